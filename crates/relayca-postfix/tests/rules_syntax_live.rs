//! What the rules about texts and old settings claim of Postfix, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use std::fs::File;
use std::time::{Duration, SystemTime};

use rules_live::{Bench, Client, SOON, hears, plain, starttls, stranger};
use xtask::lab::{Instance, Port, Setup};

/// Adds text to a file of an instance that does not run; main.cf looks as if it had stood there for a while.
fn append(instance: &Instance, file: &str, text: &str) {
    let path = instance.config().join(file);
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{old}{text}")).unwrap();
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
}

fn ready() -> Instance {
    Setup::new("relay.example.org").create().unwrap()
}

/// What `postfix check` says.
fn checked(instance: &Instance) -> String {
    let said = instance.run("postfix", &["check"]).unwrap();
    format!("{}{}{}", said.status, said.stdout, said.stderr)
}

#[test]
fn names_that_nobody_knows_are_warned_of_by_postconf_alone() {
    let instance = ready();
    // Without a log of its own: postlogd does not bear a line that is overridden.
    append(
        &instance,
        "main.cf",
        "maillog_file =\nsmtpd_tls_cert_fiel = /c.pem\ntls_required_enable = no\nsmtpd_sender_restrictions = $nosuch_restrictions\nservice_name = x\nprocess_name = y\nsmtpd_banner = one\nsmtpd_banner = two $service_name $process_name\n",
    );
    let said = checked(&instance);
    // parameter-unknown, parameter-too-new, parameter-removed, name-undefined, parameter-set-twice
    for words in [
        "unused parameter: smtpd_tls_cert_fiel=/c.pem",
        "unused parameter: tls_required_enable=no",
        "undefined parameter: nosuch_restrictions",
        "overriding earlier entry: smtpd_banner=one",
        "read-only parameter assignment: service_name=x",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    instance.start().unwrap();
    let port = instance.port();
    // parameter-set-by-postfix-alone; the last one counts
    assert_eq!(plain(port, &[]), [format!("220 two {port} y")]);
    hears(&stranger(port, "root@relay.example.org"), "250");
    // What the programs themselves say of it.
    let told = instance
        .run("postmap", &["-q", "key", "static:value"])
        .unwrap()
        .stderr;
    assert!(
        told.contains("overriding earlier entry: smtpd_banner=one"),
        "{told}"
    );
    assert!(!told.contains("nosuch") && !told.contains("fiel"), "{told}");
}

#[test]
fn lines_that_stop_everything() {
    // main-cf-line-without-equals
    let instance = ready();
    append(&instance, "main.cf", "smtpd_tls_security_level may\n");
    assert!(checked(&instance).starts_with('1'));
    let said = instance.run("postconf", &["myhostname"]).unwrap();
    assert!(
        said.stderr.contains("fatal") && said.stderr.contains("missing '=' after attribute name"),
        "{}",
        said.stderr
    );
    // expression-malformed
    let instance = ready();
    append(&instance, "main.cf", "smtpd_banner = ${myhostname ESMTP\n");
    let said = instance.run("postfix", &["start"]).unwrap();
    assert!(
        !said.ok() && said.stderr.contains("fatal: macro processing error"),
        "{}",
        said.stderr
    );
    // master-cf-line-malformed
    let instance = ready();
    append(&instance, "master.cf", "2500 inet n - n smtpd\n");
    let said = instance.run("postfix", &["start"]).unwrap();
    assert_eq!((said.status, said.stdout.as_str()), (1, ""));
    let said = instance.run("postconf", &["-M"]).unwrap();
    assert!(
        said.stderr.contains("fatal") && said.stderr.contains("line"),
        "{}",
        said.stderr
    );
}

#[test]
fn options_that_are_lost_or_belong_to_another() {
    let (lost, spaced, unknown, under) = (
        Port::reserve().unwrap(),
        Port::reserve().unwrap(),
        Port::reserve().unwrap(),
        Port::reserve().unwrap(),
    );
    let instance = Setup::new("relay.example.org")
        .service(&format!(
            "{} inet n - n - - smtpd\n  -o syslog_name=lost\n  -o smtpd_relay_restrictions=permit_mynetworks, reject\n  -o smtpd_banner=late\n",
            lost.number()
        ))
        .service(&format!("{} inet n - n - - smtpd\n  -o syslog_name=spaced\n  -o smtpd_banner = mine\n", spaced.number()))
        .service(&format!("{} inet n - n - - smtpd\n  -o syslog_name=unknown\n  -Q\n", unknown.number()))
        .service(&format!(
            "{} inet n - n - - smtpd\n  -o syslog_name=under\n#submission inet n - n - - smtpd\n#  a comment between does not stop it\n  -o smtpd_banner=stray\n",
            under.number()
        ))
        .start()
        .unwrap();
    for port in [&lost, &spaced, &unknown] {
        let number = port.number();
        std::thread::spawn(move || plain(number, &[]));
    }
    // options-lost-to-a-space: `reject` is gone, and what is left of the list is none.
    instance.wait_for_log("lost/smtpd", SOON).unwrap();
    instance
        .wait_for_log("specify at least one working instance of", SOON)
        .unwrap();
    // option-malformed
    instance
        .wait_for_log("missing '=' after attribute name", SOON)
        .unwrap();
    instance
        .wait_for_log("fatal: invalid option: Q", SOON)
        .unwrap();
    // options-under-a-commented-service
    assert_eq!(plain(under.number(), &[]), ["220 stray"]);
}

#[test]
fn a_list_that_is_cut_at_a_space_loses_the_options_behind_it() {
    // options-lost-to-a-space: where what is left still works.
    let port = Port::reserve().unwrap();
    let _instance = Setup::new("relay.example.org")
        .service(&format!("{} inet n - n - - smtpd\n  -o smtpd_relay_restrictions=reject, permit\n  -o smtpd_banner=late\n", port.number()))
        .start()
        .unwrap();
    assert_ne!(plain(port.number(), &[]), ["220 late"]);
}

#[test]
fn words_that_are_none_of_those_that_postfix_takes() {
    let mut bench = Bench::new();
    // neither-yes-nor-no
    let truth = bench.server(&["smtpd_tls_security_level=may", "smtpd_tls_ask_ccert=true"]);
    let loud = bench.server(&["smtpd_tls_security_level=may", "smtpd_tls_auth_only=YES"]);
    // comment-behind-a-value
    let comment = bench.server(&["smtpd_tls_security_level=may # as everybody does"]);
    // characters-that-are-not-ascii
    let quoted = bench.server(&["smtpd_tls_security_level=\u{201c}may\u{201d}"]);
    bench.start();
    for port in [truth, comment, quoted] {
        std::thread::spawn(move || plain(port, &[]));
    }
    bench.logged(
        truth,
        "fatal: bad boolean configuration: smtpd_tls_ask_ccert = true",
    );
    bench.logged(
        comment,
        "fatal: Invalid TLS level \"may # as everybody does\"",
    );
    bench.logged(quoted, "fatal: Invalid TLS level");
    hears(&starttls(loud), "220 2.0.0");
}

#[test]
fn a_line_that_goes_on_with_nothing_is_passed_over() {
    // line-belongs-nowhere
    let instance = ready();
    let path = instance.config().join("main.cf");
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("  smtpd_banner = orphan\n{old}")).unwrap();
    append(&instance, "main.cf", "");
    instance.start().unwrap();
    assert!(!plain(instance.port(), &[])[0].contains("orphan"));
}

#[test]
fn carriage_returns_are_blanks() {
    // characters-that-are-not-ascii
    let instance = ready();
    let path = instance.config().join("main.cf");
    let old = std::fs::read_to_string(&path).unwrap();
    let lines = old.lines().filter(|line| !line.starts_with("smtpd_banner"));
    let text: String = lines
        .chain(["smtpd_banner = dos"])
        .map(|line| format!("{line}\r\n"))
        .collect();
    std::fs::write(&path, text).unwrap();
    instance.start().unwrap();
    assert_eq!(plain(instance.port(), &[]), ["220 dos"]);
}

#[test]
fn enforcing_and_using_by_the_old_names() {
    let mut bench = Bench::new();
    // tls-switches-obsolete
    let used = bench.server(&["smtpd_use_tls=yes"]);
    let enforced = bench.server(&["smtpd_enforce_tls=yes"]);
    let overridden = bench.server(&["smtpd_enforce_tls=yes", "smtpd_tls_security_level=may"]);
    let off = bench.server(&["smtpd_use_tls=yes", "smtpd_tls_security_level=none"]);
    bench.start();
    hears(&starttls(used), "220 2.0.0");
    hears(&stranger(enforced, "root@relay.example.org"), "530 5.7.0");
    hears(&stranger(overridden, "root@relay.example.org"), "250");
    hears(&starttls(off), "502 5.5.1");
}

#[test]
fn tickets_live_as_long_as_the_time_out_says() {
    // session-timeout-set
    for (timeout, ticket) in [("0", false), ("3600s", true)] {
        let mut bench = Bench::new();
        bench.set("smtpd_tls_session_cache_timeout", timeout);
        let port = bench.server(&["smtpd_tls_security_level=may", "smtpd_tls_loglevel=2"]);
        bench.start();
        Client::default().say(port, "QUIT\n");
        bench.logged(port, "TLS connection established");
        assert_eq!(
            bench
                .log_of(port)
                .contains("Issuing session ticket, key expiration"),
            ticket,
            "{}",
            bench.log_of(port)
        );
    }
}

#[test]
fn a_source_of_randomness_that_is_not_there_stops_the_greeting() {
    // random-source-set
    let instance = Setup::new("relay.example.org")
        .set("tls_random_source", "dev:/nonexistent")
        .start()
        .unwrap();
    let port = instance.port();
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    instance
        .wait_for_log("cannot open entropy device /nonexistent", SOON)
        .unwrap();
    instance
        .wait_for_log(
            "exiting to reopen external entropy source dev:/nonexistent",
            SOON,
        )
        .unwrap();
    let mut first = [0_u8; 1];
    assert!(std::io::Read::read(&mut &stream, &mut first).is_err());
}

#[test]
fn without_a_compatibility_level_old_defaults_count() {
    // compatibility-level-missing
    let instance = ready();
    let path = instance.config().join("main.cf");
    let old = std::fs::read_to_string(&path).unwrap();
    let kept: String = old
        .lines()
        .filter(|line| !line.starts_with("compatibility_level") && !line.starts_with("mynetworks"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(path, kept).unwrap();
    append(&instance, "main.cf", "");
    let said = instance
        .run(
            "postconf",
            &[
                "-x",
                "compatibility_level",
                "mynetworks_style",
                "relay_domains",
                "smtpd_tls_fingerprint_digest",
            ],
        )
        .unwrap();
    for line in [
        "compatibility_level = 0",
        "mynetworks_style = subnet",
        "relay_domains = relay.example.org, localhost",
        "smtpd_tls_fingerprint_digest = md5",
    ] {
        assert!(said.stdout.contains(line), "{line}: {}", said.stdout);
    }
    instance.start().unwrap();
    instance
        .wait_for_log(
            "Postfix is using backwards-compatible default settings",
            SOON,
        )
        .unwrap();
}
