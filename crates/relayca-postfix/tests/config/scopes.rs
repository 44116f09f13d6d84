//! Services, and what they see.

use relayca_postfix::config::{Config, Service, Version};

use super::judge::assert_agrees;
use super::read;

const SMTPD: &str = "smtp inet n - n - - smtpd\n";

#[test]
fn a_service_is_read_field_by_field() {
    let master_cf = "\
smtp      inet  n       -       y       -       -       smtpd
# comment
127.0.0.1:10025 inet n  n       n       -       20      smtpd -v
pickup    unix  n       y       -       60?     1       pickup
filter    unix  -       n       n       -       -       pipe
  flags=Rq user=filter null_sender=
  argv=/path/to/script -f ${sender} -- ${recipient}
";
    assert_agrees(b"", master_cf.as_bytes());
    let config = read("", master_cf);
    let services = &config.master.services;
    let label: Vec<String> = services.iter().map(Service::label).collect();
    assert_eq!(
        label,
        [
            "smtp/inet",
            "127.0.0.1:10025/inet",
            "pickup/unix",
            "filter/unix"
        ]
    );
    let pickup = config.master.service("pickup/unix").unwrap();
    assert_eq!(
        (pickup.private, pickup.unprivileged, pickup.chroot),
        (Some(false), Some(true), None)
    );
    assert_eq!(
        (pickup.wakeup.as_str(), pickup.max_processes.as_str()),
        ("60?", "1")
    );
    assert_eq!((pickup.line, pickup.lines), (4, 1));
    let filter = &services[3];
    assert_eq!((filter.line, filter.lines), (5, 3));
    let words: Vec<(&str, u32)> = filter
        .words
        .iter()
        .map(|word| (word.text.as_str(), word.line))
        .collect();
    assert_eq!(
        words[..4],
        [
            ("flags=Rq", 6),
            ("user=filter", 6),
            ("null_sender=", 6),
            ("argv=/path/to/script", 7)
        ]
    );
    assert_eq!(config.master.defects, []);
    assert!(
        config.master.service("smtp/unix").is_none() && config.master.service("smtp").is_none()
    );
}

#[test]
fn a_port_is_known_by_its_number_or_its_usual_name() {
    for (name, port) in [
        ("smtp", Some(25)),
        ("25", Some(25)),
        ("submission", Some(587)),
        ("submissions", Some(465)),
        ("smtps", Some(465)),
        ("127.0.0.1:2500", Some(2500)),
        ("[::1]:smtp", Some(25)),
        (":2500", Some(2500)),
        ("mail.example.org:urd", Some(465)),
        ("2525x", None),
        ("70000", None),
    ] {
        let config = read("", &format!("{name} inet n - n - - smtpd\n"));
        assert_eq!(config.master.services[0].port(), port, "{name}");
    }
    assert_eq!(
        read("", "25 unix n - n - - smtpd\n").master.services[0].port(),
        None
    );
}

#[test]
fn options_are_taken_as_a_daemon_takes_them() {
    for (words, taken) in [
        ("-o a=b -o c=d", "a=b;c=d"),
        ("-o a=b, c -o d=e", "a=b,"),
        ("-oa=b -vo c=d -v -Do e=f", "a=b;c=d;e=f"),
        ("-o { a = b, c } -o {d=e}", "a=b, c;d=e"),
        ("-o { a = { b } ${c?{d}} }", "a={ b } ${c?{d}}"),
        ("-o a={b c} -o d=e", "a={b c};d=e"),
        ("-o a= -o b=", "a=;b="),
        ("-o a=b -- -o c=d", "a=b"),
        ("-o a=1 -o a=2", "a=1;a=2"),
        ("-o a=b=c", "a=b=c"),
        ("\n# comment\n\n  -o a=b\n\t-o c=d", "a=b;c=d"),
    ] {
        let master_cf = format!("2500 inet n - n - - smtpd {words}\n");
        let config = read("", &master_cf);
        let options: Vec<String> = config.master.services[0]
            .options
            .iter()
            .map(|option| format!("{}={}", option.name, option.value))
            .collect();
        assert_eq!(options.join(";"), taken, "{words}");
        assert_agrees(b"myhostname = a.example\n", master_cf.as_bytes());
    }
    // postconf(1) reads these in its own way; the daemons do as getopt(3).
    let options = |words: &str| {
        read("", &format!("2500 inet n - n - - smtpd {words}\n"))
            .master
            .services[0]
            .options
            .clone()
    };
    assert_eq!(
        options("-osmtpd_sender_restrictions=x")[0].name,
        "smtpd_sender_restrictions"
    );
    assert_eq!(options("-i 5 -o a=b")[0].name, "a");
    assert_eq!(options("-o{ a = b } -o c=d")[0].name, "c");
    assert!(
        options("-o { a = b } -o {c=d}")
            .iter()
            .all(|option| option.braced)
    );
    assert_eq!(options("-o a=b\n  -o\n  c=d")[1].line, 3);
}

#[test]
fn a_service_sees_its_options_then_main_cf_then_the_defaults() {
    let main_cf = "\
myhostname = mail.example.org
shared = from-main
smtpd_banner = $myhostname $shared
mydestination = $shared
";
    let master_cf = "\
2500 inet n - n - - smtpd -o shared=own -o relayhost=[$shared]:${process_name}:$service_name
smtp inet n - n - - smtpd
relay unix - - n - - smtp -o syslog_name=${multi_instance_name?{$multi_instance_name}:{postfix}}/$service_name
";
    assert_agrees(main_cf.as_bytes(), master_cf.as_bytes());
    let config = read(main_cf, master_cf);
    let value = |label: &str, name: &str| {
        config
            .scope(config.master.service(label).unwrap())
            .value(name)
            .text
    };
    assert_eq!(value("2500/inet", "mydestination"), "own");
    assert_eq!(value("smtp/inet", "mydestination"), "from-main");
    assert_eq!(value("2500/inet", "relayhost"), "[own]:smtpd:2500");
    assert_eq!(value("2500/inet", "smtpd_banner"), "mail.example.org own");
    assert_eq!(value("relay/unix", "syslog_name"), "postfix/relay");
    assert_eq!(value("relay/unix", "relay_destination_rate_delay"), "0s");
    assert_eq!(value("relay/unix", "smtp_destination_rate_delay"), "");
    let labels = |services: Vec<(&Service, _)>| -> Vec<String> {
        services
            .iter()
            .map(|(service, _): &(&Service, relayca_postfix::config::Scope<'_>)| service.label())
            .collect()
    };
    assert_eq!(
        labels(config.smtpd_services().collect()),
        ["2500/inet", "smtp/inet"]
    );
    assert_eq!(labels(config.smtp_clients().collect()), ["relay/unix"]);
}

#[test]
fn a_list_is_split_at_commas_and_blanks_and_braces_hold_together() {
    let config = read(
        "a = permit_mynetworks,  check_ccert_access inline:{ {A=b, c} {D=e} } ,\n\treject\r\n ,,defer\nempty = , ,\n",
        "",
    );
    let scope = config.main_scope();
    assert_eq!(
        scope.list("a"),
        [
            "permit_mynetworks",
            "check_ccert_access",
            "inline:{ {A=b, c} {D=e} }",
            "reject",
            "defer"
        ]
    );
    assert_eq!(scope.list("empty"), [""; 0]);
    assert_eq!(
        scope.list("smtpd_sasl_mechanism_filter").len(),
        if super::judge::version() < Version::new(3, 6) {
            0
        } else {
            2
        }
    );
}

#[test]
fn yes_is_yes_in_any_case_of_letters_and_nothing_else() {
    let config = read("a = YES\nb = yess\nc = 1\nd = ${a}\ne = no\n", "");
    let yes = |name: &str| config.main_scope().yes(name);
    assert!(yes("a") && yes("d"));
    assert!(!yes("b") && !yes("c") && !yes("e") && !yes("nothing"));
}

#[test]
fn the_level_that_counts() {
    // smtpd.c and smtp.c of 3.5 to 3.11 have it so: an explicit level silences the old parameters, smtpd's wrapper mode
    // silences the level, and levels above encrypt are encrypt to smtpd.
    for (side, main_cf, level) in [
        ("smtpd", "", "none"),
        ("smtpd", "smtpd_tls_security_level = MAY", "may"),
        ("smtpd", "smtpd_use_tls = yes", "may"),
        ("smtpd", "smtpd_enforce_tls = yes", "encrypt"),
        (
            "smtpd",
            "smtpd_enforce_tls = yes\nsmtpd_tls_security_level = may",
            "may",
        ),
        (
            "smtpd",
            "smtpd_use_tls = yes\nsmtpd_tls_security_level = none",
            "none",
        ),
        ("smtpd", "smtpd_tls_wrappermode = yes", "encrypt"),
        (
            "smtpd",
            "smtpd_tls_wrappermode = yes\nsmtpd_tls_security_level = none",
            "encrypt",
        ),
        ("smtpd", "smtpd_tls_security_level = secure", "encrypt"),
        ("smtpd", "smtpd_tls_security_level = dane", "dane"),
        (
            "smtpd",
            "smtpd_tls_security_level = may # comment",
            "may # comment",
        ),
        ("smtp", "compatibility_level = 3.6", "none"),
        ("smtp", "smtp_tls_security_level = Secure", "secure"),
        (
            "smtp",
            "smtp_use_tls = yes\ncompatibility_level = 3.6",
            "may",
        ),
        (
            "smtp",
            "smtp_enforce_tls = yes\ncompatibility_level = 3.6",
            "verify",
        ),
        (
            "smtp",
            "smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no\ncompatibility_level = 3.6",
            "encrypt",
        ),
        (
            "smtp",
            "smtp_enforce_tls = yes\nsmtp_tls_security_level = may",
            "may",
        ),
        (
            "smtp",
            "smtp_tls_wrappermode = yes\nsmtp_tls_security_level = may",
            "may",
        ),
        ("lmtp", "lmtp_use_tls = yes", "may"),
        ("lmtp", "smtp_use_tls = yes", "none"),
    ] {
        let config = read(main_cf, SMTPD);
        assert_eq!(config.main_scope().level(side), level, "{main_cf}");
        assert_eq!(
            config.scope(&config.master.services[0]).level(side),
            level,
            "{main_cf}"
        );
    }
    let level = |main_cf: &[u8], version| {
        Config::parse(main_cf, None, Some(version))
            .main_scope()
            .level("smtp")
    };
    assert_eq!(
        level(b"compatibility_level = 3.11\n", Version::new(3, 10)),
        "none"
    );
    assert_eq!(
        level(b"compatibility_level = 3.11\n", Version::new(3, 11)),
        "may"
    );
    assert_eq!(
        level(b"compatibility_level = 3.10\n", Version::new(3, 11)),
        "none"
    );
}

#[test]
fn a_relative_path_lies_below_the_queue_directory() {
    let config = read(
        "queue_directory = /srv/spool/\n",
        "smtp inet n - n - - smtpd -o queue_directory=/other\n",
    );
    let main = config.main_scope();
    assert_eq!(config.absolute("/etc/x", main), "/etc/x");
    assert_eq!(config.absolute("tls/x", main), "/srv/spool/tls/x");
    assert_eq!(
        config.absolute("x", config.scope(&config.master.services[0])),
        "/other/x"
    );
    assert_eq!(
        read("", "").absolute("x", read("", "").main_scope()),
        "/var/spool/postfix/x"
    );
}

#[test]
fn a_name_is_known_if_anything_knows_it() {
    let main_cf = "\
myhostname = mail.example.org
used = x
mydestination = $used
unused = y
asked_only_in_a_branch = z
relayhost = ${nothing?{$asked_only_in_a_branch}}
smtpd_restriction_classes = cc_a, cc_b
cc_a = reject
relay_destination_concurrency_limit = 5
nobody_destination_concurrency_limit = 5
filter_time_limit = 10
relay_time_limit = 10
alias_maps = proxy:ldap:people, hash:/etc/aliases
people_server_host = ldap.example.org
people_no_such_suffix = x
virtual_maps = hash:/x
smtpd_tls_certfile = /x
";
    let master_cf = "\
relay unix - - n - - smtp -o cc_b=permit -o cc_c=permit -o used=z -o odd=1
filter unix - n n - - pipe -o own=1 -o content_filter=$own$nowhere
";
    assert_agrees(main_cf.as_bytes(), master_cf.as_bytes());
    let config = read(main_cf, master_cf);
    let names = |found: Vec<(String, relayca_postfix::config::Place)>| -> Vec<String> {
        found
            .into_iter()
            .map(|(name, place)| format!("{}:{} {name}", place.file, place.line.unwrap()))
            .collect()
    };
    assert_eq!(
        names(config.unknown_parameters()),
        [
            "main.cf:4 unused",
            "main.cf:10 nobody_destination_concurrency_limit",
            "main.cf:12 relay_time_limit",
            "main.cf:15 people_no_such_suffix",
            "main.cf:17 smtpd_tls_certfile",
            "master.cf:1 cc_c",
            "master.cf:1 odd",
        ]
    );
    assert_eq!(
        names(config.undefined_parameters()),
        ["main.cf:6 nothing", "master.cf:2 nowhere"]
    );
}

#[test]
fn where_the_version_is_not_known_a_parameter_of_any_version_is_known() {
    let main_cf = b"tls_required_enable = no\nrequiretls_enable = no\ntls_legacy_public_key_fingerprints = no\nsmtpd_forgotten = 1\n";
    let unknown = |version: Option<&str>| -> Vec<String> {
        let version = version.map(|text| text.parse().unwrap());
        let found = Config::parse(main_cf, None, version).unknown_parameters();
        found.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(unknown(None), ["smtpd_forgotten"]);
    assert_eq!(
        unknown(Some("3.7")),
        [
            "tls_required_enable",
            "requiretls_enable",
            "smtpd_forgotten"
        ]
    );
    assert_eq!(
        unknown(Some("3.11")),
        ["tls_legacy_public_key_fingerprints", "smtpd_forgotten"]
    );
}
