//! Values: as they are written, joined, expanded.

use std::fs;
use std::path::Path;

use relayca_postfix::config::{Config, Origin, Place, Version, parameters};

use super::judge::{Judge, assert_agrees, compare_all, version};
use super::read;

const HOST: &str = "myhostname = mail.example.org\nmynetworks = 127.0.0.0/8\n";

/// The value of a name in main.cf, expanded.
fn expanded(main_cf: &str, name: &str) -> String {
    let value = read(&format!("{HOST}{main_cf}\n"), "")
        .main_scope()
        .value(name);
    assert_eq!(value.broken, None, "{main_cf}");
    value.text
}

#[test]
fn every_parameter_expands_to_what_postconf_makes_of_it() {
    for level in [
        "",
        "compatibility_level = 2\n",
        "compatibility_level = 3.6\n",
        "compatibility_level = 3.11\n",
    ] {
        let main_cf = format!(
            "{HOST}{level}smtpd_use_tls = yes\nlmtp_per_record_deadline = yes\ntlsproxy_client_level = may\n\
             postscreen_whitelist_interfaces = static:x\nmulti_instance_name = postfix-out\n"
        );
        let judge = Judge::of(main_cf.as_bytes(), b"");
        let config = read(&main_cf, "").in_directory(judge.directory());
        let said = judge.ask(&["-x"]);
        assert!(said.ok, "{said:?}");
        let text = String::from_utf8(said.stdout).unwrap();
        let mut compared = 0;
        let version_line = text
            .lines()
            .find(|line| line.starts_with("mail_version "))
            .unwrap();
        let (_, mail_version) = version_line.split_once(" = ").unwrap();
        for line in text.lines() {
            let (name, theirs) = line.split_once(" =").unwrap();
            let set = config.main_scope().is_set(name);
            let machine = parameters()
                .iter()
                .any(|known| known.name == name && known.machine);
            if machine && !set && name != "mydomain" && name != "config_directory" {
                continue;
            }
            let value = config.main_scope().value(name);
            let ours = value.text.replace("$mail_version", mail_version);
            let words = |text: &str| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(&ours), words(theirs), "{name} with {level:?}");
            assert_eq!(value.broken, None);
            compared += 1;
        }
        assert!(compared > 780, "{compared}");
    }
}

/// Those that the seeds of other tests, and the head of this crate, are about, one by one.
#[test]
fn lines_are_joined_as_postconf_joins_them() {
    let main_cf = "\
# comment
   # and one that is indented
mydestination = a.example,
  b.example
# between

\t  c.example\x20\x20
   \t
relayhost=
smtpd_banner =  x=y = z\x20
smtpd_tls_cert_file\t=\t/a
relayhost = [relay]:25

virtual_alias_domains
";
    let main_cf = main_cf.replace("virtual_alias_domains\n", "virtual_alias_domains =");
    assert_agrees(main_cf.as_bytes(), b"");
    let config = read(&main_cf, "");
    let values: Vec<(&str, &str, u32, u32)> = config
        .main
        .entries
        .iter()
        .map(|entry| {
            (
                entry.name.as_str(),
                entry.value.as_str(),
                entry.line,
                entry.lines,
            )
        })
        .collect();
    assert_eq!(
        values,
        [
            ("mydestination", "a.example,  b.example\t  c.example", 3, 5),
            ("relayhost", "", 9, 1),
            ("smtpd_banner", "x=y = z", 10, 1),
            ("smtpd_tls_cert_file", "/a", 11, 1),
            ("relayhost", "[relay]:25", 12, 1),
            ("virtual_alias_domains", "", 14, 1),
        ]
    );
    assert_eq!(config.main.get("relayhost").unwrap().line, 12);
    assert_eq!(config.main.counting().count(), 5);
    assert!(config.main.get("nothing").is_none());
}

#[test]
fn a_dollar_begins_an_expression() {
    let set = "apple = x y\nb =\nten = 10\nnine = 9\nlong = $apple/$b/${ten}\n";
    for (written, meant) in [
        ("$apple", "x y"),
        ("${apple}-$(apple)", "x y-x y"),
        ("$long.", "x y//10."),
        ("$$apple $$$ten", "$apple $10"),
        ("[$b][$nobody]", "[][]"),
        ("${apple?yes}${apple:no}", "yes"),
        ("${b?yes}${b:no}", "no"),
        ("${nobody?yes}${nobody:no}", "no"),
        ("${ apple ? { yes } : { no } }", " yes "),
        ("${apple?{yes}:{no}}${b?{yes}:{no}}", "yesno"),
        ("${b?{yes}:no, $ten}", "no, 10"),
        ("${apple?a:b}", "a:b"),
        ("$(apple?{(a)})", "(a)"),
        ("${{$ten} > {$nine} ? {more} : {less}}", "more"),
        ("${{x$ten} > {x$nine} ? {more} : {less}}", "less"),
        ("${{$ten} == {010} ? {same}}", "same"),
        ("${{a} != {b}}${{a} < {b}}${{a} >= {b}}", "truetrue"),
        ("${{3.10} >=level {3.9} ? {later} : {earlier}}", "later"),
        ("${{3.10} >= {3.9} ? {later} : {earlier}}", "earlier"),
        ("${{{a}}=={{a}}?{${{1}<={1}?{deep}}}}", "deep"),
    ] {
        if written.contains("level") && version() < Version::new(3, 6) {
            continue;
        }
        let main_cf = format!("{set}smtpd_banner = {written}\nhelper = $long\n");
        assert_eq!(expanded(&main_cf, "smtpd_banner"), meant, "{written}");
        assert_agrees(format!("{HOST}{main_cf}").as_bytes(), b"");
    }
}

#[test]
fn what_is_no_expression_is_left_as_it_is_and_said_to_be_broken() {
    let mut refused = Vec::new();
    for written in [
        "$",
        "a $ b",
        "${",
        "${}",
        "$(apple",
        "${apple?{x}y}",
        "${apple-}",
        "${{a}}",
        "${{a} = {b}}",
        "${{a} == b}",
        "${{a} == {b} x}",
        "${{a} ==no {b}}",
        "${{x} <level {1} ? {y}}",
        "$smtpd_banner",
        "${{99999999999999999999} < {1}}",
    ] {
        let main_cf = format!("smtpd_banner = {written}\n");
        let config = read(&main_cf, "");
        let value = config.main_scope().value("smtpd_banner");
        assert_eq!(
            (value.text.as_str(), value.raw.as_str()),
            (written, written)
        );
        assert!(value.broken.is_some(), "{written}");
        assert_eq!(config.main_scope().expanded(written), None);
        refused.push((main_cf, String::new()));
    }
    for ((main_cf, _), judged) in refused.iter().zip(compare_all(&refused)) {
        assert_eq!(judged, Ok(false), "{main_cf}");
    }
    // 3.6 brought comparisons of levels.
    let main_cf = b"smtpd_banner = ${{2} <level {10} ? {y}}\n";
    let value = |version| {
        Config::parse(main_cf, None, version)
            .main_scope()
            .value("smtpd_banner")
    };
    assert!(value(Some(Version::new(3, 5))).broken.is_some());
    assert_eq!(value(Some(Version::new(3, 6))).text, "y");
    assert_eq!(value(None).text, "y");
    // 3.11 brought functions.
    let main_cf = b"a = Example.org\nsmtpd_banner = ${domain_to_ascii { $a }}\n";
    let value = |version| {
        Config::parse(main_cf, None, version)
            .main_scope()
            .value("smtpd_banner")
    };
    assert!(value(Some(Version::new(3, 10))).broken.is_some());
    assert_eq!(value(Some(Version::new(3, 11))).text, "Example.org");
}

#[test]
fn what_the_machine_knows_stays_a_name() {
    let config = Config::parse(
        b"smtpd_banner = $myhostname ${mydomain?yes} $mail_version\n",
        None,
        None,
    );
    let scope = config.main_scope();
    assert_eq!(
        scope.value("smtpd_banner").text,
        "$myhostname yes $mail_version"
    );
    assert_eq!(scope.value("myorigin").text, "$myhostname");
    assert_eq!(scope.value("mynetworks").raw, "$mynetworks");
    assert_eq!(scope.value("myhostname").origin, Origin::Default);
    assert_eq!(
        scope.value("mydestination").text,
        "$myhostname, localhost.$mydomain, localhost"
    );
    assert_eq!(expanded("", "mydomain"), "example.org");
    assert_eq!(expanded("myhostname = here", "mydomain"), "localdomain");
    assert_eq!(
        expanded(
            "mydomain = other.example\nmyhostname = a.$mydomain",
            "myorigin"
        ),
        "a.other.example"
    );
    assert_eq!(scope.value("config_directory").text, "/etc/postfix");
    let moved = config.clone().in_directory("/etc/postfix-out");
    assert_eq!(
        moved.main_scope().value("config_directory").text,
        "/etc/postfix-out"
    );
    assert_eq!(
        moved.main_scope().value("meta_directory").text,
        "/etc/postfix"
    );
}

#[test]
fn a_value_tells_who_sets_it_and_where() {
    let config = read(
        "a = 1\nsmtpd_tls_loglevel = 1\n",
        "smtp inet n - n - - smtpd\n  -o smtpd_tls_loglevel=2\n  -o a=\n",
    );
    let service = config.master.service("smtp/inet").unwrap();
    let (main, own) = (config.main_scope(), config.scope(service));
    for (scope, name, text, place, set) in [
        (main, "smtpd_tls_loglevel", "1", Place::main(2), true),
        (own, "smtpd_tls_loglevel", "2", Place::master(2), true),
        (own, "a", "", Place::master(3), true),
        (
            main,
            "smtpd_tls_ask_ccert",
            "no",
            Place::file("main.cf"),
            false,
        ),
        (own, "smtpd_tls_ask_ccert", "no", Place::master(1), false),
        (own, "no_such_thing", "", Place::master(1), false),
    ] {
        let value = scope.value(name);
        assert_eq!(value.text, text, "{name}");
        assert_eq!(scope.place(&value), place, "{name}");
        assert_eq!(value.is_set(), set, "{name}");
        assert_eq!(scope.is_set(name), set, "{name}");
        assert_eq!(scope.set_at(name), set.then_some(place), "{name}");
    }
    assert!(main.service().is_none() && own.service() == Some(service));
    assert!(std::ptr::eq(own.config(), &raw const config));
}

/// What Debian installs, without its comments.
#[test]
fn what_debian_installs_is_read_without_a_word() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/config");
    for (name, own) in [
        ("debian-3.5", "3.5"),
        ("debian-3.7", "3.7"),
        ("debian-3.10", "3.10"),
        ("debian-3.11", "3.11"),
    ] {
        let file = |file: &str| fs::read(fixtures.join(name).join(file)).unwrap();
        let (main_cf, master_cf) = (file("main.cf"), file("master.cf"));
        for version in [None, Some(own.parse().unwrap())] {
            let config = Config::parse(&main_cf, Some(&master_cf), version);
            assert_eq!(config.main.defects, [], "{name}");
            assert_eq!(config.master.defects, [], "{name}");
            assert_eq!(config.unknown_parameters(), [], "{name}");
            assert_eq!(config.undefined_parameters(), [], "{name}");
            assert!(config.master.services.len() > 20);
        }
        if own == version().to_string() {
            assert_agrees(&main_cf, &master_cf);
        }
    }
    // With its comments, where it is installed.
    let installed = Path::new("/usr/share/postfix");
    if let (Ok(mut main_cf), Ok(master_cf)) = (
        fs::read(installed.join("main.cf.debian")),
        fs::read(installed.join("master.cf.dist")),
    ) {
        let config = Config::parse(&main_cf, Some(&master_cf), None);
        assert_eq!(config.main.defects, []);
        assert_eq!(config.master.defects, []);
        main_cf.extend(HOST.as_bytes());
        assert_agrees(&main_cf, &master_cf);
    }
}
