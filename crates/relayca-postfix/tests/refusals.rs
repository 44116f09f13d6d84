//! Everyone else is refused with 4xx: the message stays in the mail host's queue, nothing reaches the internet, and once
//! the fault is mended all of it is delivered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use pair::{MAIL_HOST, Pair, RELAY, SOON, Wish, paste};
use relayca_postfix::{Refusal, RelayStyle, Style};
use xtask::lab::openssl::{Authority, Certificate, Usage};
use xtask::lab::{self, Instance};

#[test]
fn only_a_listed_certificate_that_is_valid_today_relays() {
    let pair = Pair::new(Wish::default());
    let foreign = Authority::create(pair.directory.path(), "another CA").unwrap();
    let other_relayca =
        Authority::create(pair.directory.path(), "example.net mail relay CA").unwrap();

    let unlisted = pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
    let expired = pair
        .authority
        .issue_between(
            MAIL_HOST,
            Usage::Client,
            "20200101000000Z",
            "20200201000000Z",
        )
        .unwrap();
    let future = pair
        .authority
        .issue_between(
            MAIL_HOST,
            Usage::Client,
            "20980101000000Z",
            "20990101000000Z",
        )
        .unwrap();
    let self_signed = Certificate::self_signed(pair.directory.path(), MAIL_HOST).unwrap();
    let by_another = foreign.issue(MAIL_HOST, Usage::Client).unwrap();
    let by_other_domain = other_relayca.issue(MAIL_HOST, Usage::Client).unwrap();
    let for_servers = pair.authority.issue(RELAY, Usage::Server).unwrap();
    // All but one are listed, so that the chain alone keeps them out.
    pair.paste_map(&[
        &pair.listed,
        &expired,
        &future,
        &self_signed,
        &by_another,
        &by_other_domain,
        &for_servers,
    ]);

    pair.show(&unlisted);
    let said = pair.is_refused("unlisted@example.net");
    assert!(said.contains("450 4.3.2"), "{said}");

    for (name, certificate, why) in [
        ("expired", &expired, "certificate has expired"),
        ("future", &future, "not yet valid"),
        (
            "self-signed",
            &self_signed,
            "Client certificate not trusted",
        ),
        ("foreign", &by_another, "untrusted issuer /CN=another CA"),
        (
            "other-domain",
            &by_other_domain,
            "untrusted issuer /CN=example.net mail relay CA",
        ),
        (
            "server",
            &for_servers,
            "not designated for use as a client certificate",
        ),
    ] {
        pair.show(certificate);
        let said = pair.is_refused(&format!("{name}@example.net"));
        assert!(said.contains("421 4.7.1"), "{name}: {said}");
        pair.relay.wait_for_log(why, SOON).unwrap();
    }

    let without = |value: &str| {
        for name in ["smtp_tls_cert_file", "smtp_tls_key_file"] {
            pair.mail_host
                .run("postconf", &["-P", &format!("relayca/unix/{name}={value}")])
                .unwrap();
        }
        pair.mail_host.reload().unwrap();
    };
    without("");
    let said = pair.is_refused("nobody@example.net");
    assert!(said.contains("421 4.7.1"), "{said}");
    pair.relay
        .wait_for_log("No client certificate presented", SOON)
        .unwrap();
    assert_eq!(pair.internet.count(), 0);

    // The fault is mended: not one message was lost.
    paste(&pair.mail_host, &pair.mail_host_script());
    pair.show(&pair.listed);
    pair.mail_host.flush().unwrap();
    for name in [
        "unlisted",
        "expired",
        "future",
        "self-signed",
        "foreign",
        "other-domain",
        "server",
        "nobody",
    ] {
        pair.arrives(&format!("{name}@example.net"));
    }
    lab::wait_for("an empty queue", SOON, || {
        pair.mail_host.queue().unwrap().is_empty()
    })
    .unwrap();

    // A host is cut off by taking its line out, without touching Postfix.
    pair.paste_map(&[]);
    let said = pair.is_refused("revoked@example.net");
    assert!(said.contains("450 4.3.2"), "{said}");
}

#[test]
fn a_relay_with_the_wrong_name_or_ca_gets_nothing() {
    let pair = Pair::new(Wish::default());
    let foreign = Authority::create(pair.directory.path(), "another CA").unwrap();
    for (name, certificate) in [
        (
            "name",
            pair.authority
                .issue("mx.example.org", Usage::Server)
                .unwrap(),
        ),
        ("ca", foreign.issue(RELAY, Usage::Server).unwrap()),
        (
            "client",
            pair.authority.issue(RELAY, Usage::Client).unwrap(),
        ),
    ] {
        certificate.install(&pair.relay.config(), RELAY).unwrap();
        pair.relay.reload().unwrap();
        pair.mail_host.reload().unwrap();
        let said = pair.is_refused(&format!("{name}@example.net"));
        assert!(
            said.contains("Server certificate not verified") || said.contains("Cannot start TLS"),
            "{name}: {said}"
        );
    }
    // One that offers no TLS at all.
    for setting in [
        "smtpd_tls_security_level=none",
        "smtpd_tls_req_ccert=no",
        "smtpd_tls_ask_ccert=no",
    ] {
        pair.relay
            .run(
                "postconf",
                &["-P", &format!("{}/inet/{setting}", pair.port.number())],
            )
            .unwrap();
    }
    pair.relay.reload().unwrap();
    pair.mail_host.reload().unwrap();
    let said = pair.is_refused("plain@example.net");
    assert!(
        said.contains("TLS is required, but was not offered"),
        "{said}"
    );
    let log = pair.relay.log();
    assert!(
        !log.contains("mail="),
        "the mail host said MAIL FROM to a relay it must not trust:\n{log}"
    );
}

#[test]
fn refusing_for_good_is_for_those_who_ask_for_it() {
    let pair = Pair::new(Wish {
        refusal: Refusal::Reject,
        ..Wish::default()
    });
    pair.paste_map(&[]);
    pair.mail_host
        .send("info@example.org", "someone@example.net", "hello")
        .unwrap();
    pair.mail_host.wait_for_log("status=bounced", SOON).unwrap();
    assert!(pair.mail_host.log().contains("554 5.7.1"));
    assert_eq!(pair.internet.count(), 0);
}

/// Takes settings out of a service again, to see that they are what holds.
fn without(instance: &Instance, service: &str, names: &[&str]) {
    for name in names {
        let said = instance
            .run("postconf", &["-PX", &format!("{service}/{name}")])
            .unwrap();
        assert!(said.ok(), "{}", said.stderr);
    }
    instance.reload().unwrap();
}

#[test]
fn a_listed_certificate_of_a_ca_that_the_system_trusts_does_not_relay() {
    for relay_style in [RelayStyle::Block, RelayStyle::Postconf] {
        let pair = Pair::new(Wish {
            hostile: true,
            relay_style,
            ..Wish::default()
        });
        let foreign = Authority::at(pair.relay.directory(), "foreign")
            .issue(MAIL_HOST, Usage::Client)
            .unwrap();
        pair.paste_map(&[&pair.listed, &foreign]);
        pair.show(&foreign);
        let said = pair.is_refused("foreign@example.net");
        assert!(said.contains("421 4.7.1"), "{said}");

        let service = format!("{}/inet", pair.port.number());
        without(&pair.relay, &service, &["tls_append_default_CA"]);
        pair.mail_host.flush().unwrap();
        pair.arrives("foreign@example.net");
    }
}

#[test]
fn a_relay_with_a_certificate_of_a_ca_that_the_mail_host_trusts_elsewhere_gets_nothing() {
    for style in [Style::Transport, Style::Main, Style::Postconf] {
        let pair = Pair::new(Wish {
            hostile: true,
            style,
            ..Wish::default()
        });
        let evil = Authority::at(pair.mail_host.directory(), "foreign")
            .issue(RELAY, Usage::Server)
            .unwrap();
        evil.install(&pair.relay.config(), RELAY).unwrap();
        pair.relay.reload().unwrap();
        let said = pair.is_refused("evil@example.net");
        assert!(
            said.contains("Server certificate not verified"),
            "{style}: {said}"
        );
        let log = pair.relay.log();
        assert!(!log.contains("mail="), "MAIL FROM was said:\n{log}");
        if style == Style::Main {
            continue;
        }
        // Either of the two would have let the mail out.
        without(
            &pair.mail_host,
            "relayca/unix",
            &["smtp_tls_trust_anchor_file"],
        );
        pair.mail_host.flush().unwrap();
        pair.arrives("evil@example.net");
        paste(&pair.mail_host, &pair.mail_host_script());
        pair.is_refused("again@example.net");
        without(&pair.mail_host, "relayca/unix", &["tls_append_default_CA"]);
        pair.mail_host.flush().unwrap();
        pair.arrives("again@example.net");
    }
}
