//! Who may not relay is refused for now: the message waits at the mail host, and nothing reaches the internet.
//! And the mail host sends nothing to a relay that is not the one it was told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use xtask::lab::{openssl, wait_for};
use xtask::main_job::{Admin, DOMAIN, MAIL_HOST, Pair, RELAY, SOON};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relayca"))
}

/// A key and a certificate to show in place of the right ones.
struct Shown {
    key: PathBuf,
    certificate: PathBuf,
}

/// Opens the bundle of `host` and gives its key and certificate.
fn opened(admin: &Admin, host: &str) -> Shown {
    let place = admin.place().join(format!("opened-{host}"));
    let bundle = admin.file(&format!("bundles/{host}.tar.age"));
    let identity = admin.identity().display().to_string();
    admin
        .done(&[
            "open",
            bundle.to_str().unwrap(),
            "-i",
            &identity,
            "-C",
            place.to_str().unwrap(),
        ])
        .unwrap();
    Shown {
        key: place.join(format!("{host}.key.pem")),
        certificate: place.join(format!("{host}.crt.pem")),
    }
}

/// Puts other files in the place of a host's own, and lets Postfix see them.
fn show(instance: &xtask::lab::Instance, host: &str, shown: &Shown) {
    let place = instance.config().join("relayca");
    fs::copy(&shown.key, place.join(format!("{host}.key.pem"))).unwrap();
    fs::copy(&shown.certificate, place.join(format!("{host}.crt.pem"))).unwrap();
    instance.reload().unwrap();
}

/// Lists a certificate's key beside those that are listed already.
fn list(pair: &Pair, shown: &Shown) {
    let pin = pair
        .admin
        .done(&[
            "fingerprint",
            "--pin",
            "pubkey",
            shown.certificate.to_str().unwrap(),
        ])
        .unwrap();
    let path = pair.relay.config().join("relayca/relay_clientcerts");
    let map = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        format!("{map}{} somebody\n", pin.split("  ").next().unwrap()),
    )
    .unwrap();
    assert!(
        pair.relay
            .run("postmap", &[path.to_str().unwrap()])
            .unwrap()
            .ok()
    );
}

/// Sends a message and waits until it is deferred with `code`; it is still queued and nobody got it.
fn is_deferred(pair: &Pair, case: &str, code: &str) {
    let arrived = pair.internet.count();
    let to = format!("{}@example.net", case.replace(' ', "-"));
    pair.mail_host.send("info@example.org", &to, case).unwrap();
    let waited = wait_for(case, SOON, || {
        pair.mail_host
            .log()
            .lines()
            .any(|line| line.contains(&to) && line.contains("status="))
    });
    let log = pair.mail_host.log();
    let relay_log = pair.relay.log();
    assert!(waited.is_ok(), "{case}: {log}\n{relay_log}");
    let line = log
        .lines()
        .rfind(|line| line.contains(&to) && line.contains("status="))
        .unwrap();
    assert!(
        line.contains("status=deferred") && line.contains(code),
        "{case}: {line}\n{relay_log}"
    );
    assert!(
        pair.mail_host
            .queue()
            .unwrap()
            .iter()
            .any(|message| message.contains(&to)),
        "{case}: not queued"
    );
    assert_eq!(
        pair.internet.count(),
        arrived,
        "{case}: something was relayed"
    );
}

#[test]
fn whoever_is_not_both_certified_and_listed_is_refused_for_now_and_nothing_is_lost() {
    // Made ten days ago, so that a certificate may have expired since.
    let mut pair = Pair::new(program(), &[], Some("-10 days")).unwrap();
    pair.admin
        .done(&["issue", "expired", "--days", "2"])
        .unwrap();
    let expired_map = pair.admin.done(&["map"]).unwrap();
    assert!(expired_map.contains("expired.example.org"));
    pair.admin.lives(None);
    assert!(
        !pair
            .admin
            .done(&["map"])
            .unwrap()
            .contains("expired.example.org"),
        "expired certificates are not listed"
    );
    pair.issue(&[]).unwrap();
    pair.relays("before@example.net").unwrap();
    let own = opened(&pair.admin, MAIL_HOST);

    pair.admin.done(&["issue", "unlisted"]).unwrap();
    let another_domain = Admin::new(program()).unwrap();
    another_domain.init(&["--relay", "relayhost:2500"]).unwrap();
    another_domain.done(&["issue", "mailhost"]).unwrap();
    let directory = pair.admin.place();
    let other_ca = openssl::Authority::create(directory, "another CA").unwrap();
    let other = other_ca.issue(MAIL_HOST, openssl::Usage::Client).unwrap();
    let alone = openssl::Certificate::self_signed(directory, "alone").unwrap();
    let by_openssl = |made: openssl::Certificate| Shown {
        key: made.key,
        certificate: made.certificate,
    };

    // All but one are listed: the list alone lets nobody in.
    let cases = [
        (
            "valid but unlisted",
            opened(&pair.admin, "unlisted.example.org"),
            false,
            "450 4.3.2",
        ),
        (
            "expired but listed",
            opened(&pair.admin, "expired.example.org"),
            true,
            "421",
        ),
        ("self-signed", by_openssl(alone), true, "421"),
        ("of another CA", by_openssl(other), true, "421"),
        (
            "of another relayca",
            opened(&another_domain, MAIL_HOST),
            true,
            "421",
        ),
        (
            "of the relay itself",
            opened(&pair.admin, RELAY),
            true,
            "421",
        ),
    ];
    for (case, shown, listed, code) in &cases {
        if *listed {
            list(&pair, shown);
        }
        show(&pair.mail_host, MAIL_HOST, shown);
        is_deferred(&pair, case, code);
    }
    for (name, value) in [("smtp_tls_cert_file", ""), ("smtp_tls_key_file", "")] {
        let setting = format!("relayca/unix/{name}={value}");
        assert!(
            pair.mail_host
                .run("postconf", &["-P", &setting])
                .unwrap()
                .ok()
        );
    }
    pair.mail_host.reload().unwrap();
    is_deferred(&pair, "without a certificate", "421");

    // Nothing was lost: with the right certificate again all of it arrives, once.
    show(&pair.mail_host, MAIL_HOST, &own);
    let said = pair
        .mail_host
        .paste(&pair.admin.done(&["snippet", "mailhost"]).unwrap())
        .unwrap();
    assert!(said.ok(), "{}", said.stderr);
    pair.mail_host.flush().unwrap();
    pair.internet
        .wait_for(1 + cases.len() + 1, SOON)
        .unwrap_or_else(|error| panic!("{error}\n{}", pair.mail_host.log()));
    assert_eq!(pair.internet.count(), 1 + cases.len() + 1);
}

#[test]
fn nothing_is_sent_to_a_relay_of_another_name_or_another_ca() {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    pair.relays("before@example.net").unwrap();

    pair.admin.done(&["issue", "--relay", "relay2"]).unwrap();
    let impostor = Admin::new(program()).unwrap();
    impostor.init(&["--relay", "relayhost:2500"]).unwrap();
    let cases = [
        ("another name", opened(&pair.admin, "relay2.example.org")),
        ("another CA", opened(&impostor, RELAY)),
    ];
    for (case, shown) in &cases {
        show(&pair.relay, RELAY, shown);
        is_deferred(&pair, case, "Server certificate not verified");
    }
    // Not even the envelope went there.
    assert!(
        !pair.relay.log().contains("another-name@example.net"),
        "{}",
        pair.relay.log()
    );
    assert!(
        !pair.relay.log().contains("another-CA@example.net"),
        "{}",
        pair.relay.log()
    );
}

#[test]
fn a_host_bound_to_its_senders_cannot_use_others() {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&["--senders", DOMAIN]).unwrap();
    pair.relays("bound@example.net").unwrap();
    pair.mail_host
        .send("boss@example.com", "forged@example.net", "forged")
        .unwrap();
    wait_for("a refusal", SOON, || {
        pair.mail_host.log().contains("to=<forged@example.net>")
    })
    .unwrap();
    let log = pair.mail_host.log();
    let line = log
        .lines()
        .rfind(|line| line.contains("to=<forged@example.net>"))
        .unwrap();
    assert!(line.contains("status=deferred"), "{line}");
    assert_eq!(pair.internet.count(), 1);

    // Set free again, by an editor: the next map lets the waiting message go. And a revoked host is cut off, although
    // the relay's service still looks where bound senders are.
    let settings = pair.admin.file("relayca.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let free: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("senders = "))
        .collect();
    fs::write(&settings, free.join("\n")).unwrap();
    let paste_map = || {
        let block = pair.admin.done(&["map", "--format", "paste"]).unwrap();
        let said = pair.relay.paste(&block).unwrap();
        assert!(said.ok(), "{}", said.stderr);
    };
    paste_map();
    pair.mail_host.flush().unwrap();
    pair.internet
        .wait_for(2, SOON)
        .unwrap_or_else(|error| panic!("{error}\n{}", pair.mail_host.log()));
    let revoked = std::process::Command::new("sqlite3")
        .arg(pair.admin.file("inventory.db"))
        .arg("UPDATE certificates SET state = 'revoked' WHERE role = 'mailhost'")
        .status()
        .unwrap();
    assert!(revoked.success());
    paste_map();
    is_deferred(&pair, "revoked", "450 4.3.2");
}
