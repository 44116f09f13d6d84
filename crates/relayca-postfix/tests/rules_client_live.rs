//! What the rules about the client claim of Postfix, on a real one: a mail host with a transport for each claim, and a relay
//! with a service for each kind of server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;
mod rules_senders;

use rules_live::{Bench, SOON};
use rules_senders::{RELAY, Senders, log_of, says, text};
use xtask::lab::openssl::{Authority, Usage};
use xtask::lab::{Port, Setup, wait_for};

fn ca(authority: &Authority) -> String {
    format!("smtp_tls_CAfile={}", text(authority.certificate()))
}

#[test]
#[allow(clippy::too_many_lines)]
fn what_a_level_demands_of_a_relay() {
    let mut bench = Bench::new();
    let other = Authority::create(&bench.directory.path().join("."), "another CA").unwrap();
    let own = bench
        .authority
        .issue("wrong.example.net", Usage::Server)
        .unwrap();
    let below = bench
        .authority
        .issue("sub.relay.example.org", Usage::Server)
        .unwrap();
    let forged = other.issue(RELAY, Usage::Server).unwrap();
    let files = |certificate: &xtask::lab::openssl::Certificate| {
        [
            "smtpd_tls_security_level=may".to_owned(),
            "smtpd_relay_restrictions=permit_mynetworks,reject".to_owned(),
            "mynetworks=127.0.0.0/8".to_owned(),
            format!("smtpd_tls_cert_file={}", text(&certificate.certificate)),
            format!("smtpd_tls_key_file={}", text(&certificate.key)),
        ]
    };
    bench.set("default_transport", "discard");
    let server = bench.server.clone();
    let [good, wrong, sub, forged] = [&server, &own, &below, &forged].map(|certificate| {
        let options = files(certificate);
        bench.service(&options.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let wrapper = {
        let mut options = files(&server).to_vec();
        options.push("smtpd_tls_wrappermode=yes".to_owned());
        bench.service(&options.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let plain = bench.service(&[
        "smtpd_tls_security_level=none",
        "mynetworks=127.0.0.0/8",
        "smtpd_relay_restrictions=permit_mynetworks,reject",
    ]);
    bench.start();

    // The other CA in a directory.
    let directory = bench.directory.path().join("capath");
    std::fs::create_dir(&directory).unwrap();
    let hash = xtask::lab::openssl::openssl(&[
        "x509",
        "-in",
        &text(other.certificate()),
        "-noout",
        "-subject_hash",
    ])
    .unwrap();
    let name = format!("{}.0", String::from_utf8(hash).unwrap().trim());
    std::fs::copy(other.certificate(), directory.join(name)).unwrap();

    let ca = ca(&bench.authority);
    let at = |port: u16| format!("[{RELAY}]:{port}");
    let (secure, may, encrypt) = (
        "smtp_tls_security_level=secure",
        "smtp_tls_security_level=may",
        "smtp_tls_security_level=encrypt",
    );
    let gone = Port::reserve().unwrap();
    let mut senders = Senders::new();
    senders.transport(
        "enforced",
        &at(wrong),
        &["smtp_enforce_tls=yes", "smtp_tls_security_level=", &ca],
    );
    senders.transport(
        "overridden",
        &at(wrong),
        &["smtp_enforce_tls=yes", may, &ca],
    );
    senders.transport("encrypt", &at(forged), &[encrypt, &ca]);
    senders.transport("dane", &at(forged), &["smtp_tls_security_level=dane", &ca]);
    senders.transport(
        "daneonly",
        &at(good),
        &["smtp_tls_security_level=dane-only", &ca],
    );
    senders.transport(
        "nofingerprint",
        &at(good),
        &["smtp_tls_security_level=fingerprint"],
    );
    senders.transport("never", &at(good), &["smtp_tls_security_level="]);
    senders.transport("everybody", &at(plain), &[encrypt]);
    senders.transport("badlevel", &at(good), &["smtp_tls_security_level=secured"]);
    senders.transport("noca", &at(good), &[secure]);
    senders.transport("forged", &at(forged), &[secure, &ca]);
    senders.transport(
        "directory",
        &at(forged),
        &[
            secure,
            &ca,
            &format!("smtp_tls_CApath={}", text(&directory)),
        ],
    );
    senders.transport("below", &at(sub), &[secure, &ca]);
    senders.transport(
        "belownot",
        &at(sub),
        &[secure, &ca, "smtp_tls_secure_cert_match=nexthop"],
    );
    senders.transport("address", &format!("[127.0.0.1]:{good}"), &[secure, &ca]);
    senders.transport(
        "addressnamed",
        &format!("[127.0.0.1]:{good}"),
        &[secure, &ca, &format!("smtp_tls_secure_cert_match={RELAY}")],
    );
    let policy =
        |key: &str, words: &str| format!("smtp_tls_policy_maps=inline:{{ {{ {key} = {words} }} }}");
    senders.transport(
        "keybare",
        &at(forged),
        &[may, &ca, &policy(RELAY, "secure")],
    );
    senders.transport(
        "keyportless",
        &at(forged),
        &[may, &ca, &policy(&format!("[{RELAY}]"), "secure")],
    );
    senders.transport(
        "key",
        &at(forged),
        &[may, &ca, &policy(&at(forged).to_uppercase(), "secure")],
    );
    senders.transport("keybad", &at(good), &[may, &policy(&at(good), "verified")]);
    senders.transport(
        "persite",
        &at(good),
        &[secure, &ca, "smtp_tls_per_site=static:NONE"],
    );
    senders.transport(
        "persiteignored",
        &at(good),
        &[
            secure,
            &ca,
            "smtp_tls_per_site=static:NONE",
            "smtp_tls_policy_maps=static:secure",
        ],
    );
    senders.transport(
        "wrappermay",
        &at(wrapper),
        &["smtp_tls_wrappermode=yes", may],
    );
    senders.transport(
        "wrapper",
        &at(wrapper),
        &["smtp_tls_wrappermode=yes", encrypt],
    );
    senders.transport(
        "wrapperplain",
        &at(good),
        &["smtp_tls_wrappermode=yes", encrypt],
    );
    senders.transport(
        "nowrapper",
        &at(wrapper),
        &[encrypt, "smtp_helo_timeout=2s"],
    );
    senders.transport(
        "port465",
        &format!("[{RELAY}]:465"),
        &[encrypt, "smtp_connect_timeout=2s"],
    );
    senders.transport(
        "fallback",
        &at(gone.number()),
        &[encrypt, &ca, &format!("smtp_fallback_relay={}", at(wrong))],
    );
    let (mail_host, names) = senders.start(bench.directory.path());
    assert!(names.len() > 25);

    let sent = "status=sent";
    let waits = "dsn=4.7.5, status=deferred (Server certificate not verified)";
    // enforce-tls-overridden
    says(&mail_host, "enforced", &[waits]);
    says(
        &mail_host,
        "overridden",
        &["TLS connection established", sent],
    );
    // relay-not-proved, dane-without-dnssec
    says(
        &mail_host,
        "encrypt",
        &["Untrusted TLS connection established", sent],
    );
    says(
        &mail_host,
        "dane",
        &[
            "dane configured with dnssec lookups disabled",
            "Untrusted",
            sent,
        ],
    );
    says(
        &mail_host,
        "daneonly",
        &["dsn=4.7.5", "client TLS configuration problem"],
    );
    // fingerprint-level-without-fingerprints
    says(
        &mail_host,
        "nofingerprint",
        &[
            "no fingerprints to match",
            "dsn=4.7.5",
            "client TLS configuration problem",
        ],
    );
    // mail-leaves-in-the-clear
    says(&mail_host, "never", &[sent]);
    assert!(
        !log_of(&mail_host, "never").contains("TLS connection"),
        "{}",
        log_of(&mail_host, "never")
    );
    // mandatory-level-for-everybody
    says(
        &mail_host,
        "everybody",
        &["dsn=4.7.4", "TLS is required, but was not offered"],
    );
    // tls-level-unknown
    says(
        &mail_host,
        "badlevel",
        &["fatal: Invalid TLS level \"secured\""],
    );
    // no-ca-to-verify-with
    says(&mail_host, "noca", &[waits]);
    // other-cas-trusted-too
    says(&mail_host, "forged", &[waits]);
    says(
        &mail_host,
        "directory",
        &["Verified TLS connection established", sent],
    );
    // names-below-the-relay-accepted
    says(
        &mail_host,
        "below",
        &["Verified TLS connection established", sent],
    );
    says(&mail_host, "belownot", &[waits]);
    // relay-by-address-has-no-name
    says(&mail_host, "address", &[waits]);
    says(
        &mail_host,
        "addressnamed",
        &["Verified TLS connection established", sent],
    );
    // policy-key-is-not-the-next-hop, policy-level-unknown
    says(&mail_host, "keybare", &["Untrusted", sent]);
    says(&mail_host, "keyportless", &["Untrusted", sent]);
    says(&mail_host, "key", &[waits]);
    says(
        &mail_host,
        "keybad",
        &[
            "invalid security level \"verified\"",
            "dsn=4.7.5",
            "client TLS configuration problem",
        ],
    );
    // per-site-table-obsolete
    says(&mail_host, "persite", &[sent]);
    assert!(!log_of(&mail_host, "persite").contains("TLS connection"));
    says(
        &mail_host,
        "persiteignored",
        &["smtp_tls_per_site ignored", "Verified", sent],
    );
    // wrappermode-without-encrypt, wrappermode-to-a-starttls-port, port-465-without-wrappermode
    says(
        &mail_host,
        "wrappermay",
        &[
            "requires \"smtp_tls_security_level = encrypt\"",
            "dsn=4.3.0",
            "server unavailable or unable to receive mail",
        ],
    );
    says(&mail_host, "wrapper", &["TLS connection established", sent]);
    says(
        &mail_host,
        "wrapperplain",
        &[
            "wrong version number",
            "dsn=4.7.5",
            "Cannot start TLS: handshake failure",
        ],
    );
    says(
        &mail_host,
        "nowrapper",
        &[
            "dsn=4.4.2",
            "timed out while receiving the initial server greeting",
        ],
    );
    says(
        &mail_host,
        "port465",
        &["SMTPS wrappermode (TCP port 465) requires setting \"smtp_tls_wrappermode = yes\""],
    );
    // fallback-beside-the-relay
    says(
        &mail_host,
        "fallback",
        &["Connection refused", &format!(":{wrong}"), sent],
    );
}

#[test]
fn a_certificate_of_main_cf_is_shown_to_every_server_that_asks() {
    // client-certificate-shown-to-all
    let mut bench = Bench::new();
    bench.set("default_transport", "discard");
    let own = bench
        .authority
        .issue("mail.example.org", Usage::Client)
        .unwrap();
    let options = [
        "smtpd_tls_security_level=may",
        "smtpd_tls_ask_ccert=yes",
        "smtpd_tls_loglevel=1",
        "smtpd_relay_restrictions=permit_mynetworks,reject",
        "mynetworks=127.0.0.0/8",
    ];
    let (relay, stranger) = (bench.server(&options), bench.server(&options));
    bench.start();
    let seen = |port: u16| -> Vec<String> {
        let log = bench.log_of(port);
        let lines = log
            .lines()
            .filter(|line| line.contains("TLS connection established from"));
        lines.map(str::to_owned).collect()
    };
    let certificate = format!("smtp_tls_cert_file={}", text(&own.certificate));
    let key = format!("smtp_tls_key_file={}", text(&own.key));
    for (before, in_main) in [true, false].into_iter().enumerate() {
        let mut senders = Senders::new();
        if in_main {
            senders.setup = senders
                .setup
                .set("smtp_tls_cert_file", &text(&own.certificate))
                .set("smtp_tls_key_file", &text(&own.key));
        }
        let may = "smtp_tls_security_level=may";
        senders.transport(
            "relay",
            &format!("[{RELAY}]:{relay}"),
            &[may, &certificate, &key],
        );
        senders.transport("others", &format!("[{RELAY}]:{stranger}"), &[may]);
        let (mail_host, _) = senders.start(bench.directory.path());
        says(&mail_host, "relay", &["status=sent"]);
        says(&mail_host, "others", &["status=sent"]);
        wait_for("what both servers saw", SOON, || {
            [relay, stranger].map(|port| seen(port).len()) == [before + 1; 2]
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", bench.postfix().log()));
        let last = seen(stranger).pop().unwrap();
        // `Anonymous` is who showed none.
        assert_eq!(last.contains("Anonymous"), !in_main, "{last}");
        assert!(
            !bench.log_of(relay).contains("Anonymous"),
            "{}",
            bench.log_of(relay)
        );
    }
}

#[test]
fn the_session_cache_is_that_of_main_cf_whatever_the_transport_says() {
    // client-sessions-keep-old-certificate, session-cache-option-without-effect
    let mut bench = Bench::new();
    bench.set("default_transport", "discard");
    let port = bench.server(&[
        "smtpd_tls_security_level=may",
        "smtpd_relay_restrictions=permit_mynetworks,reject",
        "mynetworks=127.0.0.0/8",
    ]);
    bench.start();
    for (cache, resumes) in [("btree:${data_directory}/smtp_scache", true), ("", false)] {
        let mail_host = Setup::new("mail.example.org")
            .knows(RELAY)
            .set("smtp_tls_session_cache_database", cache)
            .set("default_transport", &format!("out:[{RELAY}]:{port}"))
            // Each message by a new process.
            .service("out unix - - n - - smtp\n -o syslog_name=out\n -o max_use=1\n -o smtp_tls_security_level=may\n -o smtp_tls_loglevel=2\n -o smtp_tls_session_cache_database=\n")
            .start()
            .unwrap();
        for name in ["one", "two"] {
            mail_host
                .send("a@mail.example.org", &format!("{name}@far.test"), "hello")
                .unwrap();
            mail_host
                .wait_for_log(&format!("to=<{name}@far.test>"), SOON)
                .unwrap();
        }
        let log = mail_host.log();
        assert_eq!(
            log.contains("reusing old session") || log.contains("Reusing old session"),
            resumes,
            "{log}"
        );
    }
}
