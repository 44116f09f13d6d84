//! `relayca snippet --role` and `relayca ports`, as an admin runs them: with an authority, and without one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::path::Path;
use std::process::Command;

use authority::Admin;
use xtask::lab::{DovecotSetup, Port};
use xtask::main_job::{Pair, RELAY, SOON};

const NAME: &str = "mail.example.org";

#[test]
fn a_certificate_of_lets_encrypt_needs_no_authority() {
    let admin = Admin::new();
    for role in ["mx", "submission", "submissions", "dovecot"] {
        let outcome = admin.run(&["snippet", NAME, "--role", role, "--cert-name", NAME]);
        assert!(
            outcome
                .stderr
                .contains("live/mail.example.org/fullchain.pem must lie there"),
            "{}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.contains("after each renewal certbot runs"),
            "{}",
            outcome.stderr
        );
        let script = outcome.done().to_owned();
        assert!(
            script.contains("/etc/letsencrypt/live/mail.example.org/privkey.pem"),
            "{script}"
        );
        // The host need not be named.
        let without = admin.done(&["snippet", "--role", role, "--cert-name", NAME]);
        assert!(without.len() < script.len() && !without.contains("checkhost"));

        let json = admin.json(&["snippet", NAME, "--role", role, "--cert-name", NAME]);
        assert_eq!(json["script"].as_str().unwrap(), script);
        assert_eq!(
            (json["role"].as_str(), json["host"].as_str()),
            (Some(role), Some(NAME))
        );
        assert!(
            json["hook"]["text"]
                .as_str()
                .unwrap()
                .starts_with("#!/bin/sh\n")
        );
        assert_eq!(json["hook"]["mode"], "0755");
        assert_eq!(json["dovecot"].is_object(), role == "dovecot");
        assert_eq!(json["main_cf"].is_string(), role != "dovecot");
        assert_eq!(
            json["master_cf"].is_string(),
            role.starts_with("submission")
        );
    }
    let one = admin.json(&[
        "snippet",
        "--role",
        "dovecot",
        "--cert-name",
        NAME,
        "--dovecot-version",
        "2.4",
    ]);
    assert_eq!(
        one["dovecot"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["2.4"]
    );
    // Nothing was made.
    assert!(!admin.file("data").exists());
}

#[test]
fn places_that_differ_are_said_on_the_command_line() {
    let admin = Admin::new();
    let script = admin.done(&[
        "snippet",
        "--role",
        "dovecot",
        "--cert-name",
        NAME,
        "--config-directory",
        "/usr/local/etc/postfix",
        "--dovecot-directory",
        "/usr/local/etc/dovecot",
        "--letsencrypt-directory",
        "/usr/local/etc/letsencrypt",
        "--queue-directory",
        "/var/spool/other",
    ]);
    for place in [
        "MAIL_CONFIG=/usr/local/etc/postfix;",
        "dovecot=/usr/local/etc/dovecot\n",
        "ssl_cert = </usr/local/etc/letsencrypt/live/mail.example.org/fullchain.pem",
        "hook=/usr/local/etc/letsencrypt/renewal-hooks/deploy/relayca-dovecot",
        "unix_listener /var/spool/other/private/auth",
    ] {
        assert!(script.contains(place), "{place}: {script}");
    }
    let script = admin.done(&[
        "snippet",
        "--role",
        "submission",
        "--cert-name",
        NAME,
        "--port",
        "2587",
        "--style",
        "postconf",
    ]);
    assert!(
        script.contains("-M '2587/inet=2587 inet n - n - - smtpd'"),
        "{script}"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_a_remedy() {
    let admin = Admin::with_mailhost();
    for (words, arguments) in [
        (
            "is not a role",
            &["snippet", "--role", "mda", "--cert-name", NAME][..],
        ),
        (
            "is not the name of a certificate",
            &["snippet", "--role", "mx", "--cert-name", "../x"],
        ),
        (
            "a role has no style",
            &[
                "snippet",
                "--role",
                "mx",
                "--cert-name",
                NAME,
                "--style",
                "main",
            ],
        ),
        (
            "Dovecot has no `postconf`",
            &[
                "snippet",
                "--role",
                "dovecot",
                "--cert-name",
                NAME,
                "--style",
                "postconf",
            ],
        ),
        (
            "cannot be chosen",
            &[
                "snippet",
                "--role",
                "mx",
                "--cert-name",
                NAME,
                "--port",
                "26",
            ],
        ),
        (
            "is not a version of Dovecot",
            &[
                "snippet",
                "--role",
                "dovecot",
                "--cert-name",
                NAME,
                "--dovecot-version",
                "2.2",
            ],
        ),
        ("required arguments", &["snippet", "--role", "mx"]),
        ("required arguments", &["snippet"]),
        (
            "required arguments",
            &["snippet", "mailhost", "--cert-name", NAME],
        ),
        (
            "is not an absolute directory",
            &[
                "snippet",
                "--role",
                "mx",
                "--cert-name",
                NAME,
                "--config-directory",
                "etc",
            ],
        ),
        ("is not a role with ports", &["ports", "web"]),
        ("is not a firewall", &["ports", "mx", "--firewall", "pf"]),
        ("required arguments", &["ports", "--firewall", "ufw"]),
        ("invalid value", &["ports", "--ssh", "0"]),
    ] {
        let said = admin.refused(2, arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    // What only a TLS client may show is no server's certificate.
    let said = admin.refused(1, &["snippet", "mailhost", "--role", "mx"]);
    assert!(
        said.contains("clientAuth") && said.contains("--cert-name"),
        "{said}"
    );
    let said = admin.refused(1, &["snippet", "nobody", "--role", "mx"]);
    assert!(
        said.contains("`nobody.example.org` has no certificate"),
        "{said}"
    );
    let said = Admin::new().refused(1, &["snippet", NAME, "--role", "mx"]);
    assert!(said.contains("no authority is needed then"), "{said}");
}

#[test]
fn the_table_has_the_ports_of_this_authority() {
    let admin = Admin::new();
    let outcome = admin.run(&["ports"]);
    assert!(
        outcome
            .stderr
            .contains("shown is the usual port of a relay, 2500"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.done().contains("relay        in   2500  tcp"));
    let outcome = admin.run(&["ports", "mx"]);
    assert!(!outcome.stderr.contains("usual port"), "{}", outcome.stderr);
    admin.refused(1, &["ports", "--dir", "/nowhere"]);

    admin.init(&["--relay", "relayhost:2525", "--relay", "relay2:2626"]);
    let ports = admin.json(&["ports", "relay", "mailhost"]);
    let listed: Vec<String> = ports["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| {
            format!(
                "{} {} {} {}",
                port["role"].as_str().unwrap(),
                port["way"].as_str().unwrap(),
                port["port"],
                port["with"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            "relay in 2525 the mail hosts",
            "relay in 2626 the mail hosts",
            "relay out 25 any mail server",
            "mailhost out 2525 relayhost.example.org",
            "mailhost out 2626 relay2.example.org",
            "dns out 53 the resolver",
            "ssh in 22 the admin",
        ]
    );
    assert!(ports["script"].is_null());
    let all = admin.json(&[
        "ports",
        "dovecot",
        "--firewall",
        "nftables",
        "--also",
        "8443",
    ]);
    let script = all["script"].as_str().unwrap();
    for port in ["993", "995", "8443"] {
        assert!(
            script.contains(&format!("tcp dport {port} accept")),
            "{script}"
        );
    }
    assert_eq!(
        script,
        admin.done(&[
            "ports",
            "dovecot",
            "--firewall",
            "nftables",
            "--also",
            "8443"
        ])
    );
}

fn swaks(port: u16, ca: &Path, more: &[&str]) -> (bool, String) {
    let output = Command::new("swaks")
        .args([
            "--server",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--helo",
            "client.example.org",
        ])
        .args([
            "--from",
            "info@example.org",
            "--to",
            "someone@example.net",
            "--timeout",
            "20",
        ])
        .args(["--tls-verify", "--tls-ca-path"])
        .arg(ca)
        .args(more)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// The relay of a pair takes mail from users too, with the certificate that this CA gave it, and goes on relaying.
#[test]
fn a_relay_is_an_mx_and_takes_mail_from_users_with_its_certificate_of_this_ca() {
    let pair = Pair::new(Path::new(env!("CARGO_BIN_EXE_relayca")), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    let dovecot = DovecotSetup::default()
        .user("info@example.org", "secret")
        .start()
        .unwrap();
    let (submission, submissions) = (Port::reserve().unwrap(), Port::reserve().unwrap());
    let queue = pair.relay.directory().join("queue").display().to_string();
    let (dovecot_directory, starttls, implicit) = (
        dovecot.config_inside(),
        submission.number().to_string(),
        submissions.number().to_string(),
    );
    for more in [
        &[
            "dovecot",
            "--queue-directory",
            &queue,
            "--dovecot-directory",
            &dovecot_directory,
        ][..],
        &["mx"],
        &["submission", "--port", &starttls],
        &["submissions", "--port", &implicit],
        &["mx", "--style", "postconf"],
    ] {
        let script = pair
            .admin
            .done(&[&["snippet", "relayhost", "--role"][..], more].concat())
            .unwrap();
        let said = pair.relay.paste(&script).unwrap();
        assert!(
            said.ok(),
            "{more:?}: {said:?}\n{}\n{}",
            pair.relay.log(),
            dovecot.log()
        );
    }
    let ca = pair.relay.config().join("relayca/example.org-ca.crt.pem");
    let login = [
        "--auth",
        "PLAIN",
        "--auth-user",
        "info@example.org",
        "--auth-password",
        "secret",
    ];
    for (port, tls) in [(&submission, "--tls"), (&submissions, "--tlsc")] {
        let before = pair.internet.count();
        let (sent, said) = swaks(port.number(), &ca, &[&[tls][..], &login].concat());
        assert!(sent, "{said}\n{}", pair.relay.log());
        pair.internet.wait_for(before + 1, SOON).unwrap();
    }
    let (good, said) = swaks(pair.relay.port(), &ca, &["--tls", "--quit-after", "HELO"]);
    assert!(good && !said.contains("AUTH"), "{said}");
    pair.relays("again@example.net").unwrap();
    let said = Command::new("curl")
        .args(["-sS", "--user", "info@example.org:secret", "--cacert"])
        .arg(&ca)
        .args([
            "--resolve",
            &format!("{RELAY}:{}:127.0.0.1", dovecot.imaps()),
        ])
        .arg(format!("imaps://{RELAY}:{}/INBOX", dovecot.imaps()))
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}\n{}", dovecot.log());
}
