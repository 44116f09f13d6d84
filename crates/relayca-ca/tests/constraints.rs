//! How far an authority reaches: what a thief of its key could do, as every verifier sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Bench, Forged, LEAF, authority, forge, now, request, webpki};
use relayca_ca::{
    AltName, Authority, Certificate, Domain, IssueError, KeyType, NewAuthority, PrivateKey, Role,
    verify,
};

const ROLE: Role = Role::MailHost;

/// A leaf with one name, signed with the authority's key by openssl.
fn forged(bench: &Bench, ca: &Authority, name: &str) -> Certificate {
    let kind = if name.parse::<std::net::IpAddr>().is_ok() {
        "IP"
    } else {
        "DNS"
    };
    let extensions = format!("{LEAF}subjectAltName={kind}:{name}\n");
    let forged = Forged {
        subject: "/CN=mail_host",
        extensions: &extensions,
        days: 30,
    };
    forge(bench, ca.certificate(), &ca.key().to_pkcs8_pem(), &forged)
}

fn everyone_accepts(bench: &Bench, ca: &Authority, name: &str) {
    let leaf = forged(bench, ca, name);
    bench
        .openssl(&leaf, ca.certificate(), ROLE, true)
        .unwrap_or_else(|said| panic!("openssl, {name}: {said}"));
    bench
        .certtool(&leaf, ca.certificate(), ROLE)
        .unwrap_or_else(|said| panic!("certtool, {name}: {said}"));
    webpki(&leaf, ca.certificate(), ROLE, now())
        .unwrap_or_else(|said| panic!("webpki, {name}: {said}"));
    assert_eq!(
        verify(&leaf, &[ca.certificate().clone()], Some(ROLE), now()),
        [],
        "{name}"
    );
}

fn everyone_refuses(bench: &Bench, ca: &Authority, name: &str) {
    let leaf = forged(bench, ca, name);
    assert!(
        bench.openssl(&leaf, ca.certificate(), ROLE, false).is_err(),
        "openssl accepts {name}"
    );
    assert!(
        bench.certtool(&leaf, ca.certificate(), ROLE).is_err(),
        "certtool accepts {name}"
    );
    assert!(
        webpki(&leaf, ca.certificate(), ROLE, now()).is_err(),
        "webpki accepts {name}"
    );
    let findings = verify(&leaf, &[ca.certificate().clone()], Some(ROLE), now());
    // A single label is no host name at all.
    assert!(
        findings
            .iter()
            .any(|f| f.code == "name-not-permitted" || (name == "org" && f.code == "alt-name")),
        "{name}: {findings:?}"
    );
}

#[test]
fn a_stolen_key_reaches_no_further_than_the_domain() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    for name in ["example.org", "mailhost.example.org", "a.b.example.org"] {
        everyone_accepts(&bench, &ca, name);
    }
    for name in [
        "example.net",
        "badexample.org",
        "org",
        "example.org.example.net",
        "192.0.2.5",
        "2001:db8::5",
        "127.0.0.1",
    ] {
        everyone_refuses(&bench, &ca, name);
    }
}

#[test]
fn a_permitted_ipv4_address_opens_that_address_alone() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &["192.0.2.5"]);
    for name in ["192.0.2.5", "mailhost.example.org"] {
        everyone_accepts(&bench, &ca, name);
    }
    for name in [
        "192.0.2.4",
        "192.0.2.6",
        "192.0.3.5",
        "0.0.0.0",
        "255.255.255.255",
        "2001:db8::5",
        "::c000:205",
        "example.net",
    ] {
        everyone_refuses(&bench, &ca, name);
    }
}

#[test]
fn a_permitted_ipv6_address_opens_that_address_alone() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &["2001:db8::5"]);
    for name in ["2001:db8::5", "mailhost.example.org"] {
        everyone_accepts(&bench, &ca, name);
    }
    for name in [
        "2001:db8::4",
        "2001:db8::1:5",
        "::1",
        "192.0.2.5",
        "32.1.13.184",
    ] {
        everyone_refuses(&bench, &ca, name);
    }
}

#[test]
fn a_permitted_name_opens_neither_its_parent_nor_its_siblings() {
    let bench = Bench::new();
    let ca = authority(
        KeyType::P256,
        &["relay.example.net", "192.0.2.5", "2001:db8::5"],
    );
    for name in [
        "relay.example.net",
        "192.0.2.5",
        "2001:db8::5",
        "example.org",
    ] {
        everyone_accepts(&bench, &ca, name);
    }
    for name in [
        "example.net",
        "other.example.net",
        "xrelay.example.net",
        "192.0.2.6",
        "2001:db8::6",
    ] {
        everyone_refuses(&bench, &ca, name);
    }
}

#[test]
fn below_a_permitted_name_verifiers_accept_what_is_never_issued() {
    // RFC 5280 section 4.2.1.10: a host name constraint covers the names below it too, and has no form that does not.
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &["relay.example.net"]);
    everyone_accepts(&bench, &ca, "below.relay.example.net");
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let refused = ca.issue(
        &request(ROLE, "below.relay.example.net", &[]),
        key.spki_der(),
        now(),
    );
    assert!(matches!(refused, Err(IssueError::NotPermitted(_))));
}

#[test]
fn names_outside_are_refused_before_anything_is_signed() {
    let ca = authority(KeyType::P256, &["relay.example.net", "192.0.2.5"]);
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let issue = |host: &str, alt: &[&str]| {
        ca.issue(&request(Role::Relay, host, alt), key.spki_der(), now())
    };
    assert!(issue("relay.example.net", &["192.0.2.5"]).is_ok());
    assert!(issue("relayhost.example.org", &["192.0.2.5", "relay.example.net"]).is_ok());
    for (host, alt) in [
        ("mail.example.net", &[][..]),
        ("relayhost.example.org", &["192.0.2.6"]),
        ("relayhost.example.org", &["2001:db8::5"]),
        ("relayhost.example.org", &["mail.example.net"]),
    ] {
        let error = issue(host, alt).unwrap_err();
        assert!(
            matches!(error, IssueError::NotPermitted(_)),
            "{host} {alt:?}: {error}"
        );
        assert!(error.hint().unwrap().contains("--permit"));
    }
    let many: Vec<String> = (0..101).map(|n| format!("h{n}.example.org")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        issue("relayhost.example.org", &many).unwrap_err(),
        IssueError::TooManyNames
    );
    assert!(ca.permits(&AltName::parse("192.0.2.5").unwrap()));
    assert!(!ca.permits(&AltName::parse("192.0.2.6").unwrap()));
}

#[test]
fn permits_given_twice_or_inside_the_domain_change_nothing() {
    let bench = Bench::new();
    let ca = authority(
        KeyType::P256,
        &[
            "mx.example.org",
            "192.0.2.5",
            "192.0.2.5",
            "relay.example.net",
            "relay.example.net",
        ],
    );
    bench.put("ca.pem", ca.certificate().to_pem());
    let said = bench.must("openssl x509 -in ca.pem -noout -ext nameConstraints");
    assert_eq!(said.matches("DNS:").count(), 2, "{said}");
    assert_eq!(said.matches("192.0.2.5").count(), 1, "{said}");
    assert!(said.contains("critical"), "{said}");
}

#[test]
fn an_authority_cannot_be_followed_by_another() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let sub = NewAuthority {
        domain: Domain::parse("example.org").unwrap(),
        permits: Vec::new(),
        key_type: KeyType::P256,
        days: 30,
    };
    let sub = Authority::create(&sub, now()).unwrap();
    let leaf = judges::issue(&sub, ROLE, "mailhost.example.org", &[]);
    // The second authority's key under a certificate from the first.
    bench.put("sub.key", sub.key().to_pkcs8_pem().as_bytes());
    bench.put("ca.pem", ca.certificate().to_pem());
    bench.put("ca.key", ca.key().to_pkcs8_pem().as_bytes());
    bench.put("leaf.pem", leaf.to_pem());
    bench.put(
        "sub.ext",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    );
    let subject = sub.certificate().subject().replace("CN=", "/CN=");
    let request = std::process::Command::new("openssl")
        .args([
            "req", "-new", "-utf8", "-key", "sub.key", "-out", "sub.csr", "-subj", &subject,
        ])
        .current_dir(bench.path("."))
        .status()
        .unwrap();
    assert!(request.success());
    bench.must("openssl x509 -req -in sub.csr -CA ca.pem -CAkey ca.key -set_serial 0x7777777777777777 -days 20 -extfile sub.ext -out sub.pem");
    bench
        .run("openssl verify -CAfile ca.pem -untrusted sub.pem leaf.pem")
        .unwrap_err();
    let sub_certificate = Certificate::from_pem(&bench.text("sub.pem")).unwrap();
    let codes: Vec<_> = verify(&sub_certificate, &[ca.certificate().clone()], None, now())
        .iter()
        .map(|f| f.code)
        .collect();
    assert!(codes.contains(&"authority-intermediate"), "{codes:?}");
}
