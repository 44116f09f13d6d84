//! Certificates with one thing wrong: each must be found, whichever verifier misses it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Bench, Forged, LEAF, authority, authority_at, forge, issue, now, webpki};
use relayca_ca::{Authority, Certificate, KeyType, Role, lint, verify};
use time::Duration;

const ROLE: Role = Role::MailHost;
const GOOD_CA: &str = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
const CONSTRAINED: &str = "nameConstraints=critical,permitted;DNS:example.org,permitted;email:example.org,\
    excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0\n";
const NAMED: &str = "subjectAltName=DNS:mailhost.example.org\n";

fn codes(leaf: &Certificate, ca: &Certificate) -> Vec<&'static str> {
    verify(leaf, std::slice::from_ref(ca), Some(ROLE), now())
        .iter()
        .map(|f| f.code)
        .collect()
}

/// An authority that openssl makes with these extensions: its certificate and its key.
fn openssl_authority(bench: &Bench, extensions: &str, days: u32) -> (Certificate, String) {
    bench.put("ca.cnf", format!("[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\nCN=Test CA\n[v3]\n{extensions}"));
    bench.must("openssl ecparam -genkey -name prime256v1 -noout -out made.key");
    bench.must(&format!(
        "openssl req -new -x509 -key made.key -sha256 -days {days} -config ca.cnf -out made.pem"
    ));
    (
        Certificate::from_pem(&bench.text("made.pem")).unwrap(),
        bench.text("made.key"),
    )
}

fn forged_by(bench: &Bench, ca: &Authority, subject: &str, extensions: &str) -> Certificate {
    let forged = Forged {
        subject,
        extensions,
        days: 30,
    };
    forge(bench, ca.certificate(), &ca.key().to_pkcs8_pem(), &forged)
}

#[test]
fn the_forge_itself_makes_good_certificates() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let leaf = forged_by(
        &bench,
        &ca,
        "/CN=mailhost.example.org",
        &format!("{LEAF}{NAMED}"),
    );
    assert_eq!(codes(&leaf, ca.certificate()), [""; 0]);
    let (made, key) = openssl_authority(&bench, &format!("{GOOD_CA}{CONSTRAINED}"), 100);
    assert_eq!(lint(&made, &made), []);
    let forged = Forged {
        subject: "/CN=mailhost.example.org",
        extensions: &format!("{LEAF}{NAMED}"),
        days: 30,
    };
    let leaf = forge(&bench, &made, &key, &forged);
    assert_eq!(codes(&leaf, &made), [""; 0]);
    bench.openssl(&leaf, &made, ROLE, true).unwrap();
}

#[test]
fn what_is_wrong_with_a_leaf_is_named() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let without = |line: &str| format!("{}{NAMED}", LEAF.replace(line, ""));
    let with = |from: &str, to: &str| format!("{}{NAMED}", LEAF.replace(from, to));
    for (extensions, code) in [
        (
            with(
                "authorityKeyIdentifier=keyid",
                "authorityKeyIdentifier=none",
            ),
            "no-authority-key-id",
        ),
        (
            with("subjectKeyIdentifier=hash", "subjectKeyIdentifier=none"),
            "no-subject-key-id",
        ),
        (
            without("basicConstraints=critical,CA:FALSE\n"),
            "no-basic-constraints",
        ),
        (
            without("keyUsage=critical,digitalSignature\n"),
            "no-key-usage",
        ),
        (
            with("keyUsage=critical,", "keyUsage="),
            "key-usage-not-critical",
        ),
        (
            with("digitalSignature", "digitalSignature,keyCertSign"),
            "key-usage-signs",
        ),
        (
            with("digitalSignature", "digitalSignature,cRLSign"),
            "key-usage-signs",
        ),
        (
            with("critical,digitalSignature", "critical,keyAgreement"),
            "key-usage",
        ),
        (
            with(
                "critical,digitalSignature",
                "critical,digitalSignature,keyEncipherment",
            ),
            "key-usage",
        ),
        (without("extendedKeyUsage=clientAuth\n"), "no-purpose"),
        (with("clientAuth", "clientAuth,serverAuth"), "purpose"),
        (with("clientAuth", "anyExtendedKeyUsage"), "purpose"),
        (with("clientAuth", "serverAuth"), "wrong-purpose"),
        (with("CA:FALSE", "CA:TRUE"), "not-a-leaf"),
        (LEAF.to_owned(), "no-alt-name"),
        (
            format!("{LEAF}subjectAltName=DNS:*.example.org\n"),
            "alt-name",
        ),
        (
            format!("{LEAF}{},email:postmaster@example.org\n", NAMED.trim()),
            "alt-name",
        ),
        (
            format!("{LEAF}{},URI:https://example.org\n", NAMED.trim()),
            "alt-name",
        ),
        (
            format!("{LEAF}subjectAltName=DNS:mailhost.example.net\n"),
            "name-not-permitted",
        ),
        (
            format!("{LEAF}{},IP:192.0.2.5\n", NAMED.trim()),
            "name-not-permitted",
        ),
        (
            format!("{LEAF}{NAMED}1.2.3.4=critical,ASN1:NULL\n"),
            "extension-unknown",
        ),
        (format!("{LEAF}{NAMED}{CONSTRAINED}"), "leaf-constraints"),
    ] {
        let leaf = forged_by(&bench, &ca, "/CN=mailhost.example.org", &extensions);
        let found = codes(&leaf, ca.certificate());
        assert!(
            found.contains(&code),
            "{code} is not in {found:?} for\n{extensions}"
        );
    }
}

#[test]
fn a_common_name_is_held_to_the_other_names() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let foreign = forged_by(
        &bench,
        &ca,
        "/CN=relay.example.net",
        &format!("{LEAF}{NAMED}"),
    );
    assert_eq!(
        codes(&foreign, ca.certificate()),
        ["common-name", "name-not-permitted"]
    );
    let address = forged_by(&bench, &ca, "/CN=192.0.2.5", &format!("{LEAF}{NAMED}"));
    assert_eq!(
        codes(&address, ca.certificate()),
        ["common-name", "name-not-permitted"]
    );
    let prose = forged_by(&bench, &ca, "/CN=mailhost", &format!("{LEAF}{NAMED}"));
    assert_eq!(codes(&prose, ca.certificate()), [""; 0]);
}

#[test]
fn a_foreign_common_name_without_alt_names_passes_certtool_but_not_us() {
    let bench = Bench::new();
    let (ca, key) = openssl_authority(
        &bench,
        &format!("{GOOD_CA}nameConstraints=critical,permitted;DNS:example.org\n"),
        100,
    );
    let leaf = forge(
        &bench,
        &ca,
        &key,
        &Forged {
            subject: "/CN=relay.example.net",
            extensions: LEAF,
            days: 30,
        },
    );
    bench.openssl(&leaf, &ca, ROLE, false).unwrap_err();
    bench.certtool(&leaf, &ca, ROLE).unwrap();
    webpki(&leaf, &ca, ROLE, now()).unwrap();
    let found = codes(&leaf, &ca);
    assert!(
        found.contains(&"no-alt-name") && found.contains(&"name-not-permitted"),
        "{found:?}"
    );
}

#[test]
fn an_address_from_an_authority_over_names_passes_every_judge_but_not_us() {
    let bench = Bench::new();
    let (ca, key) = openssl_authority(
        &bench,
        &format!("{GOOD_CA}nameConstraints=critical,permitted;DNS:example.org\n"),
        100,
    );
    let extensions = format!("{LEAF}subjectAltName=IP:192.0.2.5\n");
    let leaf = forge(
        &bench,
        &ca,
        &key,
        &Forged {
            subject: "/CN=mailhost",
            extensions: &extensions,
            days: 30,
        },
    );
    bench.openssl(&leaf, &ca, ROLE, true).unwrap();
    webpki(&leaf, &ca, ROLE, now()).unwrap();
    // GnuTLS refuses some such certificates, but for their common name, and none of clients.
    bench.certtool(&leaf, &ca, ROLE).unwrap();
    assert!(codes(&leaf, &ca).contains(&"name-not-permitted"));
}

#[test]
fn a_leaf_that_signs_passes_all_but_strict_openssl_and_us() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let extensions = format!(
        "{}{NAMED}",
        LEAF.replace("digitalSignature", "digitalSignature,keyCertSign")
    );
    let leaf = forged_by(&bench, &ca, "/CN=mailhost.example.org", &extensions);
    bench.openssl(&leaf, ca.certificate(), ROLE, false).unwrap();
    bench.certtool(&leaf, ca.certificate(), ROLE).unwrap();
    webpki(&leaf, ca.certificate(), ROLE, now()).unwrap();
    bench
        .openssl(&leaf, ca.certificate(), ROLE, true)
        .unwrap_err();
    assert_eq!(codes(&leaf, ca.certificate()), ["key-usage-signs"]);
}

#[test]
fn a_leaf_that_outlives_its_authority_passes_every_judge_but_us() {
    let bench = Bench::new();
    let ca = authority_at(KeyType::P256, &[], now(), 20);
    let leaf = forged_by(
        &bench,
        &ca,
        "/CN=mailhost.example.org",
        &format!("{LEAF}{NAMED}"),
    );
    bench.openssl(&leaf, ca.certificate(), ROLE, true).unwrap();
    bench.certtool(&leaf, ca.certificate(), ROLE).unwrap();
    bench.pkilint(&leaf).unwrap();
    webpki(&leaf, ca.certificate(), ROLE, now()).unwrap();
    assert_eq!(codes(&leaf, ca.certificate()), ["outlives-authority"]);
}

#[test]
fn an_expired_authority_passes_webpki_but_not_us() {
    let bench = Bench::new();
    let ca = authority_at(KeyType::P256, &[], now() - Duration::days(30), 20);
    let leaf = forged_by(
        &bench,
        &ca,
        "/CN=mailhost.example.org",
        &format!("{LEAF}{NAMED}"),
    );
    webpki(&leaf, ca.certificate(), ROLE, now()).unwrap();
    bench
        .openssl(&leaf, ca.certificate(), ROLE, true)
        .unwrap_err();
    bench.certtool(&leaf, ca.certificate(), ROLE).unwrap_err();
    let found = codes(&leaf, ca.certificate());
    assert!(found.contains(&"authority-expired"), "{found:?}");
}

#[test]
fn what_is_wrong_with_an_authority_is_named() {
    let bench = Bench::new();
    let good = format!("{GOOD_CA}{CONSTRAINED}");
    for (extensions, code, in_verify) in [
        (
            good.replace("keyUsage=critical,keyCertSign,cRLSign\n", ""),
            "authority-key-usage",
            true,
        ),
        (
            good.replace("keyCertSign,", ""),
            "authority-key-usage",
            true,
        ),
        (
            good.replace("critical,keyCertSign", "keyCertSign"),
            "authority-key-usage",
            false,
        ),
        (
            good.replace(",cRLSign", ",cRLSign,digitalSignature"),
            "authority-key-usage",
            false,
        ),
        (
            good.replace("critical,CA", "CA"),
            "authority-basic-constraints",
            true,
        ),
        (
            good.replace(",pathlen:0", ""),
            "authority-path-length",
            false,
        ),
        (
            good.replace(CONSTRAINED, ""),
            "authority-unconstrained",
            false,
        ),
        (
            good.replace("nameConstraints=critical,", "nameConstraints="),
            "authority-constraints",
            false,
        ),
        (
            good.replace("excluded;IP:0.0.0.0/0.0.0.0,", ""),
            "authority-constraints",
            false,
        ),
        (
            good.replace("permitted;DNS:example.org,", ""),
            "authority-constraints",
            false,
        ),
        (
            format!("{good}extendedKeyUsage=clientAuth\n"),
            "authority-purposes",
            false,
        ),
    ] {
        let (ca, key) = openssl_authority(&bench, &extensions, 100);
        let found: Vec<_> = lint(&ca, &ca).iter().map(|f| f.code).collect();
        assert!(
            found.contains(&code),
            "{code} is not in {found:?} for\n{extensions}"
        );
        let forged = Forged {
            subject: "/CN=mailhost.example.org",
            extensions: &format!("{LEAF}{NAMED}"),
            days: 30,
        };
        let leaf = forge(&bench, &ca, &key, &forged);
        assert_eq!(
            codes(&leaf, &ca).contains(&code),
            in_verify,
            "{code} for\n{extensions}"
        );
    }
}

#[test]
fn a_certificate_of_somebody_elses_is_told_apart() {
    let bench = Bench::new();
    let ours = authority(KeyType::P256, &[]);
    let theirs = authority(KeyType::P256, &[]);
    let leaf = issue(&theirs, ROLE, "mailhost.example.org", &[]);
    assert_eq!(codes(&leaf, ours.certificate()), ["unknown-authority"]);
    assert_eq!(
        verify(&leaf, &[], Some(ROLE), now())
            .iter()
            .map(|f| f.code)
            .collect::<Vec<_>>(),
        ["unknown-authority"]
    );

    // The same name over another key.
    let extensions = format!("{GOOD_CA}{CONSTRAINED}");
    let (first, key) = openssl_authority(&bench, &extensions, 100);
    let forged = Forged {
        subject: "/CN=mailhost.example.org",
        extensions: &format!("{LEAF}{NAMED}"),
        days: 30,
    };
    let leaf = forge(&bench, &first, &key, &forged);
    let (second, _) = openssl_authority(&bench, &extensions, 100);
    assert_eq!(codes(&leaf, &second), ["signature"]);
    assert_eq!(verify(&leaf, &[second, first], Some(ROLE), now()), []);

    bench.must("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout s.key -subj /CN=mailhost.example.org -out self.pem");
    let own = Certificate::from_pem(&bench.text("self.pem")).unwrap();
    assert!(codes(&own, ours.certificate()).contains(&"unknown-authority"));
}

#[test]
fn no_byte_of_a_certificate_can_change_unnoticed() {
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, ROLE, "mailhost.example.org", &["mx.example.org"]);
    for position in 0..leaf.der().len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = leaf.der().to_vec();
            changed[position] ^= bit;
            if let Ok(changed) = Certificate::from_der(&changed) {
                assert_ne!(
                    codes(&changed, ca.certificate()),
                    [""; 0],
                    "byte {position}, bit {bit:#x}"
                );
            }
        }
        assert!(Certificate::from_der(&leaf.der()[..position]).is_err());
    }
}

#[test]
fn time_is_judged_to_the_second() {
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, ROLE, "mailhost.example.org", &[]);
    let at = |moment| -> Vec<_> {
        let findings = verify(&leaf, &[ca.certificate().clone()], Some(ROLE), moment);
        assert!(findings.iter().all(|f| f.hint.is_some()));
        findings.iter().map(|f| f.code).collect()
    };
    assert_eq!(at(leaf.not_before()), [""; 0]);
    assert_eq!(at(leaf.not_after()), [""; 0]);
    assert_eq!(at(leaf.not_after() + Duration::seconds(1)), ["expired"]);
    // The CA may be a second older than its certificate.
    let first = leaf.not_before().min(ca.certificate().not_before());
    assert_eq!(
        at(first - Duration::seconds(1)),
        ["not-yet-valid", "authority-not-yet-valid"]
    );
    assert_eq!(
        at(now() + Duration::days(4000)),
        ["expired", "authority-expired"]
    );
}

#[test]
fn weak_signatures_and_keys_are_named() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    bench.put("ca.pem", ca.certificate().to_pem());
    bench.put("ca.key", ca.key().to_pkcs8_pem().as_bytes());
    bench.put("leaf.ext", format!("{LEAF}{NAMED}"));
    let sign = |key: &str, digest: &str, serial: &str| {
        bench.must(&format!("openssl genpkey -algorithm {key} -out weak.key"));
        bench.must("openssl req -new -key weak.key -subj /CN=mailhost.example.org -out weak.csr");
        bench.must(&format!(
            "openssl x509 -req -in weak.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -days 30 {digest} -extfile leaf.ext -out weak.pem"
        ));
        Certificate::from_pem(&bench.text("weak.pem")).unwrap()
    };
    let (p256, long) = (
        "ec -pkeyopt ec_paramgen_curve:prime256v1",
        "0x7777777777777777",
    );
    assert!(
        codes(
            &sign("rsa -pkeyopt rsa_keygen_bits:1024", "-sha256", long),
            ca.certificate()
        )
        .contains(&"key-type")
    );
    assert!(
        codes(
            &sign("ec -pkeyopt ec_paramgen_curve:secp521r1", "-sha256", long),
            ca.certificate()
        )
        .contains(&"key-type")
    );
    assert_eq!(
        codes(&sign(p256, "-sha256", "2"), ca.certificate()),
        ["serial-short"]
    );
    // A SHA-1 signature is not even checked: nothing that we trust makes them.
    assert!(!codes(&sign(p256, "-sha1", long), ca.certificate()).is_empty());
}

#[test]
fn pkilint_would_have_complained() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let leaf = forged_by(
        &bench,
        &ca,
        "/CN=mailhost.example.org",
        &LEAF.replace("keyid", "none"),
    );
    bench.pkilint(&leaf).unwrap_err();
}
