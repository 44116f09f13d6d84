//! What the rules about the ways of mail, protocols and passwords claim of Postfix as a client, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;
mod rules_senders;

use std::time::Duration;

use rules_live::{Bench, SOON};
use rules_senders::{RELAY, Senders, log_of, says};
use xtask::lab::{Setup, Sink, wait_for};

#[test]
fn protocols_and_ciphers_that_a_client_cannot_take() {
    let mut bench = Bench::new();
    bench.set("default_transport", "discard");
    let open = [
        "smtpd_tls_security_level=may",
        "smtpd_relay_restrictions=permit_mynetworks,reject",
        "mynetworks=127.0.0.0/8",
    ];
    let good = bench.server(&open);
    // Nothing in common with a client that is kept at TLSv1.2.
    let strict = bench.server(&[&open[..], &["smtpd_tls_protocols=>=TLSv1.3"]].concat());
    bench.start();
    let at = |port: u16| format!("[{RELAY}]:{port}");
    let may = "smtp_tls_security_level=may";
    let mut senders = Senders::new();
    senders.transport("protocol", &at(good), &[may, "smtp_tls_protocols=!TLSv1.0"]);
    senders.transport("sign", &at(good), &[may, "smtp_tls_exclude_ciphers=!aNULL"]);
    senders.transport("grade", &at(good), &[may, "smtp_tls_ciphers=strong"]);
    senders.transport(
        "bounds",
        &at(good),
        &[
            "smtp_tls_security_level=encrypt",
            "smtp_tls_mandatory_protocols=>=TLSv1.2",
        ],
    );
    senders.transport(
        "old",
        &at(good),
        &[
            "smtp_tls_security_level=encrypt",
            "smtp_tls_mandatory_protocols=TLSv1",
        ],
    );
    senders.transport("clear", &at(strict), &[may, "smtp_tls_protocols=<=TLSv1.2"]);
    let (mail_host, _) = senders.start(bench.directory.path());
    let failed = "dsn=4.7.5, status=deferred (Cannot start TLS: handshake failure)";
    // protocol-unknown, cipher-exclusion-with-a-sign, cipher-grade-unknown
    says(
        &mail_host,
        "protocol",
        &["Invalid TLS protocol list \"!TLSv1.0\"", failed],
    );
    says(
        &mail_host,
        "sign",
        &["invalid unary '!+-@' in cipher exclusion", failed],
    );
    says(
        &mail_host,
        "grade",
        &["invalid cipher grade: \"strong\"", failed],
    );
    // protocol-bounds-before-3.6
    says(
        &mail_host,
        "bounds",
        &["TLS connection established", "status=sent"],
    );
    // old-protocols-alone
    says(
        &mail_host,
        "old",
        &[
            "Anonymous TLS connection established",
            "TLSv1 with cipher A",
            "status=sent",
        ],
    );
    // current-protocol-excluded, high-ciphers-on-public-mx: refused first, in the clear at the next attempt.
    says(&mail_host, "clear", &[failed]);
    let sent = wait_for("the next attempt", SOON, || {
        std::thread::sleep(Duration::from_millis(300));
        mail_host.flush().unwrap();
        log_of(&mail_host, "clear").contains("status=sent")
    });
    assert!(sent.is_ok(), "{}", log_of(&mail_host, "clear"));
    assert!(!log_of(&mail_host, "clear").contains("TLS connection established"));
}

#[test]
fn next_hops_that_smtp_does_not_take() {
    let bench = tempfile::tempdir().unwrap();
    let mut senders = Senders::new();
    for (name, hop) in [
        ("inside", "[relay.example.org:2500]"),
        ("behind", "[relay.example.org]2500"),
        ("open", "[relay.example.org:2500"),
        ("named", "smtp:[relay.example.org]:2500"),
        ("port", "[relay.example.org]:70000"),
        ("itself", "[127.0.0.1]"),
    ] {
        senders.transport(name, hop, &["smtp_tls_security_level=may"]);
    }
    // DNS is asked for an MX, or not; -v tells.
    senders.transport(
        "domain",
        "nowhere.invalid:2500",
        &["smtp_host_lookup=dns", "-v"],
    );
    senders.transport(
        "host",
        "[nowhere.invalid]:2500",
        &["smtp_host_lookup=dns", "-v"],
    );
    let (mail_host, _) = senders.start(bench.path());
    // next-hop-malformed
    for (name, words) in [
        (
            "inside",
            "valid hostname or network address required in server description",
        ),
        ("behind", "garbage after \"]\" in server description"),
        ("open", "missing \"]\" in server description"),
        ("named", "in server description"),
        ("port", "70000"),
    ] {
        says(&mail_host, name, &["fatal: ", words]);
    }
    // relay-is-this-host
    says(&mail_host, "itself", &["dsn=5.4.6", "loops back to myself"]);
    // relay-without-brackets
    says(
        &mail_host,
        "domain",
        &[
            "dns_query: nowhere.invalid (MX)",
            "Name service error for name=nowhere.invalid",
        ],
    );
    says(
        &mail_host,
        "host",
        &[
            "dns_query: nowhere.invalid (A)",
            "Name service error for name=nowhere.invalid",
        ],
    );
    assert!(
        !log_of(&mail_host, "host").contains("(MX)"),
        "{}",
        log_of(&mail_host, "host")
    );
}

#[test]
fn what_comes_before_what() {
    // relayhost-without-effect, other-ways-beside-the-relay, transport-maps-take-all
    let (one, other) = (Sink::start().unwrap(), Sink::start().unwrap());
    let to = |sink: &Sink| format!("[127.0.0.1]:{}", sink.port());
    let (first, second) = (to(&one), to(&other));
    let smtp = format!("smtp:{first}");
    let cases: [(&str, Vec<(&str, String)>); 6] = [
        (
            "relayhost",
            vec![
                ("relayhost", second.clone()),
                ("default_transport", smtp.clone()),
            ],
        ),
        (
            "by sender",
            vec![
                (
                    "sender_dependent_relayhost_maps",
                    format!("static:{second}"),
                ),
                ("default_transport", smtp.clone()),
            ],
        ),
        (
            "by sender before relayhost",
            vec![
                ("sender_dependent_relayhost_maps", format!("static:{first}")),
                ("relayhost", second.clone()),
                ("default_transport", "smtp".to_owned()),
            ],
        ),
        (
            "transport by sender",
            vec![
                (
                    "sender_dependent_default_transport_maps",
                    format!("static:{smtp}"),
                ),
                ("default_transport", format!("smtp:{second}")),
            ],
        ),
        (
            "a table",
            vec![
                (
                    "transport_maps",
                    format!("inline:{{ {{ far.test = {smtp} }} }}"),
                ),
                ("relayhost", second.clone()),
                ("default_transport", "smtp".to_owned()),
            ],
        ),
        (
            "a table for all",
            vec![
                ("transport_maps", format!("inline:{{ {{ * = {smtp} }} }}")),
                (
                    "sender_dependent_relayhost_maps",
                    format!("static:{second}"),
                ),
                ("relayhost", second.clone()),
                ("default_transport", format!("smtp:{second}")),
            ],
        ),
    ];
    let mut count = 0;
    for (what, settings) in cases {
        let mut setup = Setup::new("mail.example.org").set("smtp_tls_security_level", "none");
        for (name, value) in &settings {
            setup = setup.set(name, value);
        }
        let mail_host = setup.start().unwrap();
        mail_host
            .send("a@mail.example.org", "x@far.test", what)
            .unwrap();
        count += 1;
        one.wait_for(count, SOON)
            .unwrap_or_else(|error| panic!("{what}: {error}\n{}", mail_host.log()));
        if what == "a table for all" {
            // Local mail too.
            mail_host
                .send("a@mail.example.org", "root@mail.example.org", what)
                .unwrap();
            one.wait_for(count + 1, SOON).unwrap();
        }
    }
    assert_eq!(other.count(), 0);
}

#[test]
fn a_transport_that_master_cf_does_not_have_lets_mail_wait() {
    // transport-not-in-master-cf
    let mail_host = Setup::new("mail.example.org")
        .set("default_transport", "relayca:[127.0.0.1]:9")
        .start()
        .unwrap();
    mail_host
        .send("a@mail.example.org", "x@far.test", "hello")
        .unwrap();
    mail_host
        .wait_for_log(
            "connect to transport private/relayca: No such file or directory",
            SOON,
        )
        .unwrap();
    mail_host
        .wait_for_log(
            "dsn=4.3.0, status=deferred (mail transport unavailable)",
            SOON,
        )
        .unwrap();
}

#[test]
fn a_password_goes_out_in_the_clear_unless_that_is_forbidden() {
    // password-in-the-clear
    let server = LoginServer::start();
    let mail_host = Setup::new("mail.example.org")
        .set("smtp_sasl_auth_enable", "yes")
        .set("smtp_sasl_password_maps", "static:user:secret")
        .set("smtp_sasl_security_options", "noanonymous")
        .set("smtp_tls_security_level", "may")
        .set("relayhost", &format!("[127.0.0.1]:{}", server.port))
        .start()
        .unwrap();
    mail_host
        .send("a@mail.example.org", "x@far.test", "hello")
        .unwrap();
    wait_for("AUTH", SOON, || {
        server
            .heard()
            .iter()
            .any(|line| line.starts_with("AUTH PLAIN "))
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", mail_host.log()));
    drop(mail_host);
    let server = LoginServer::start();
    let mail_host = Setup::new("mail.example.org")
        .set("smtp_sasl_auth_enable", "yes")
        .set("smtp_sasl_password_maps", "static:user:secret")
        .set("smtp_tls_security_level", "may")
        .set("relayhost", &format!("[127.0.0.1]:{}", server.port))
        .start()
        .unwrap();
    mail_host
        .send("a@mail.example.org", "x@far.test", "hello")
        .unwrap();
    mail_host
        .wait_for_log("no mechanism available", SOON)
        .unwrap();
    assert!(!server.heard().iter().any(|line| line.starts_with("AUTH")));
}

/// An SMTP server that offers AUTH and no TLS, and keeps what it hears.
struct LoginServer {
    port: u16,
    heard: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl LoginServer {
    fn start() -> Self {
        use std::io::{BufRead as _, BufReader, Write as _};
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let theirs = std::sync::Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_read_timeout(Some(SOON)).unwrap();
                let mut out = stream.try_clone().unwrap();
                let _ = out.write_all(b"220 login.example.net ESMTP\r\n");
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    theirs.lock().unwrap().push(line.clone());
                    let reply: &[u8] = match line.get(..4).unwrap_or_default() {
                        "EHLO" => b"250-login.example.net\r\n250 AUTH PLAIN LOGIN\r\n",
                        "AUTH" => b"535 5.7.8 no\r\n",
                        "QUIT" => b"221 bye\r\n",
                        _ => b"250 ok\r\n",
                    };
                    if out.write_all(reply).is_err() {
                        break;
                    }
                }
            }
        });
        Self { port, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}
