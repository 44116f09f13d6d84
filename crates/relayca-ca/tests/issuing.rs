//! What is issued, as openssl, certtool, webpki and pkilint see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Bench, authority, authority_at, host, issue, now, request, webpki};
use relayca_ca::{
    AltName, Authority, Certificate, Domain, IssueError, KeyType, LeafRequest, PrivateKey, Role,
    lint, verify,
};
use time::{Duration, OffsetDateTime};

fn all_judges_agree(bench: &Bench, ca: &Certificate, leaf: &Certificate, role: Role) {
    bench.openssl(leaf, ca, role, true).unwrap();
    bench.certtool(leaf, ca, role).unwrap();
    webpki(leaf, ca, role, now()).unwrap();
    assert_eq!(
        verify(leaf, std::slice::from_ref(ca), Some(role), now()),
        []
    );
    assert_eq!(lint(leaf, ca), []);
}

fn every_leaf_of(ca_type: KeyType) {
    let bench = Bench::new();
    let ca = authority(ca_type, &[]);
    assert_eq!(lint(ca.certificate(), ca.certificate()), []);
    assert_eq!(
        verify(ca.certificate(), &[ca.certificate().clone()], None, now()),
        []
    );
    bench.pkilint(ca.certificate()).unwrap();
    for leaf_type in [
        KeyType::P256,
        KeyType::P384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ] {
        let key = PrivateKey::generate(leaf_type).unwrap();
        for role in Role::ALL {
            let leaf = ca
                .issue(
                    &request(role, "mail.example.org", &["mx.example.org"]),
                    key.spki_der(),
                    now(),
                )
                .unwrap();
            all_judges_agree(&bench, ca.certificate(), &leaf, role);
            assert_eq!(leaf.key_description(), leaf_type.to_string());
        }
    }
}

#[test]
fn leaves_of_a_p256_authority_pass_every_judge() {
    every_leaf_of(KeyType::P256);
}

#[test]
fn leaves_of_a_p384_authority_pass_every_judge() {
    every_leaf_of(KeyType::P384);
}

#[test]
fn leaves_of_an_ed25519_authority_pass_every_judge() {
    every_leaf_of(KeyType::Ed25519);
}

#[test]
fn leaves_of_an_rsa2048_authority_pass_every_judge() {
    every_leaf_of(KeyType::Rsa2048);
}

#[test]
fn large_rsa_keys_serve_at_both_ends() {
    let bench = Bench::new();
    for key_type in [KeyType::Rsa3072, KeyType::Rsa4096] {
        let ca = authority(key_type, &[]);
        let key = PrivateKey::generate(key_type).unwrap();
        let leaf = ca
            .issue(
                &request(Role::Relay, "relayhost.example.org", &[]),
                key.spki_der(),
                now(),
            )
            .unwrap();
        all_judges_agree(&bench, ca.certificate(), &leaf, Role::Relay);
        bench.pkilint(ca.certificate()).unwrap();
        bench.pkilint(&leaf).unwrap();
    }
}

#[test]
fn pkilint_finds_nothing_in_any_kind_of_leaf() {
    let bench = Bench::new();
    let ca = authority(
        KeyType::P256,
        &["relay.example.net", "192.0.2.5", "2001:db8::5"],
    );
    bench.pkilint(ca.certificate()).unwrap();
    for key_type in [KeyType::P256, KeyType::Ed25519, KeyType::Rsa2048] {
        let key = PrivateKey::generate(key_type).unwrap();
        let wanted = request(
            Role::Relay,
            "relayhost.example.org",
            &["relay.example.net", "192.0.2.5", "2001:db8::5"],
        );
        bench
            .pkilint(&ca.issue(&wanted, key.spki_der(), now()).unwrap())
            .unwrap();
    }
    let long = format!("{}.{}.example.org", "a".repeat(63), "b".repeat(63));
    bench
        .pkilint(&issue(&ca, Role::MailHost, &long, &[]))
        .unwrap();
}

#[test]
fn each_role_is_refused_at_the_other_end() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    for (role, other) in [(Role::MailHost, Role::Relay), (Role::Relay, Role::MailHost)] {
        let leaf = issue(&ca, role, "mail.example.org", &[]);
        bench
            .openssl(&leaf, ca.certificate(), other, true)
            .unwrap_err();
        bench.certtool(&leaf, ca.certificate(), other).unwrap_err();
        webpki(&leaf, ca.certificate(), other, now()).unwrap_err();
        let findings = verify(&leaf, &[ca.certificate().clone()], Some(other), now());
        assert_eq!(
            findings.iter().map(|f| f.code).collect::<Vec<_>>(),
            ["wrong-purpose"]
        );
    }
}

#[test]
fn the_certificate_says_what_was_asked() {
    let ca = authority(KeyType::P256, &["192.0.2.5"]);
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let wanted = request(
        Role::Relay,
        "relayhost.example.org",
        &["192.0.2.5", "mx.example.org", "relayhost.example.org"],
    );
    let leaf = ca.issue(&wanted, key.spki_der(), now()).unwrap();
    let names: Vec<_> = leaf.alt_names().iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["relayhost.example.org", "192.0.2.5", "mx.example.org"]
    );
    assert_eq!(leaf.common_name(), Some("relayhost.example.org"));
    assert_eq!(leaf.subject(), "CN=relayhost.example.org");
    assert_eq!(leaf.issuer(), ca.certificate().subject());
    assert_eq!(leaf.purposes(), ["serverAuth"]);
    assert_eq!(leaf.role(), Some(Role::Relay));
    assert_eq!(leaf.spki_der(), key.spki_der());
    assert_eq!(leaf.authority_key_id(), ca.certificate().subject_key_id());
    assert!(!leaf.is_ca());
    assert_eq!(leaf.serial().as_bytes().len(), 16);
    assert_eq!(Certificate::from_pem(&leaf.to_pem()).unwrap(), leaf);
}

#[test]
fn our_reading_of_a_certificate_is_openssls() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, Role::MailHost, "mailhost.example.org", &[]);
    bench.put("leaf.pem", leaf.to_pem());
    let said = bench.must("openssl x509 -in leaf.pem -noout -serial -ext subjectKeyIdentifier,subjectAltName,extendedKeyUsage");
    assert!(
        said.to_lowercase()
            .contains(&format!("serial={}", leaf.serial())),
        "{said}"
    );
    let key_id: Vec<_> = leaf
        .subject_key_id()
        .unwrap()
        .iter()
        .map(|b| format!("{b:02X}"))
        .collect();
    assert!(said.contains(&key_id.join(":")), "{said}");
    assert!(said.contains("DNS:mailhost.example.org"), "{said}");
    assert!(said.contains("TLS Web Client Authentication"), "{said}");
    assert_eq!(bench.must("openssl x509 -in leaf.pem"), leaf.to_pem());
    bench.put("leaf.der", leaf.der());
    assert_eq!(Certificate::from_der(leaf.der()).unwrap(), leaf);
}

#[test]
fn one_key_certified_twice_has_two_serials() {
    let ca = authority(KeyType::P256, &[]);
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let wanted = request(Role::MailHost, "mailhost.example.org", &[]);
    let first = ca.issue(&wanted, key.spki_der(), now()).unwrap();
    let second = ca.issue(&wanted, key.spki_der(), now()).unwrap();
    assert_ne!(first.serial(), second.serial());
}

#[test]
fn two_authorities_of_a_domain_have_two_names() {
    let (old, new) = (authority(KeyType::P256, &[]), authority(KeyType::P256, &[]));
    assert_ne!(old.certificate().subject(), new.certificate().subject());
    assert!(
        old.certificate()
            .subject()
            .starts_with("CN=example.org mail relay CA ")
    );
    let leaf = issue(&new, Role::MailHost, "mailhost.example.org", &[]);
    let both = [old.certificate().clone(), new.certificate().clone()];
    assert_eq!(verify(&leaf, &both, Some(Role::MailHost), now()), []);
}

#[test]
fn a_leaf_never_outlives_its_authority_nor_predates_it() {
    let made =
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + Duration::milliseconds(250);
    let ca = authority_at(KeyType::P256, &[], made, 365);
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let wanted = request(Role::MailHost, "mailhost.example.org", &[]);
    let early = ca
        .issue(&wanted, key.spki_der(), made - Duration::minutes(10))
        .unwrap();
    assert_eq!(early.not_before(), ca.certificate().not_before());
    assert_eq!(early.not_after(), ca.certificate().not_after());
    assert_eq!(
        early.not_before(),
        made.replace_nanosecond(0).unwrap() - Duration::hours(1)
    );
    let short = LeafRequest {
        days: 30,
        ..wanted.clone()
    };
    let later = made + Duration::days(10);
    let leaf = ca.issue(&short, key.spki_der(), later).unwrap();
    assert_eq!(
        leaf.not_before(),
        later.replace_nanosecond(0).unwrap() - Duration::hours(1)
    );
    assert_eq!(
        leaf.not_after(),
        later.replace_nanosecond(0).unwrap() + Duration::days(30)
    );

    let after = made + Duration::days(366);
    assert!(matches!(
        ca.issue(&wanted, key.spki_der(), after),
        Err(IssueError::AuthorityExpired(_))
    ));
    let before = made - Duration::days(1);
    assert!(matches!(
        ca.issue(&wanted, key.spki_der(), before),
        Err(IssueError::AuthorityNotYetValid(_))
    ));
}

#[test]
fn dates_are_right_on_both_sides_of_2050_and_impossible_ones_are_refused() {
    let bench = Bench::new();
    let ca = authority_at(KeyType::P256, &[], now(), 36_500);
    assert!(ca.certificate().not_after().year() > 2100);
    let leaf = issue(&ca, Role::MailHost, "mailhost.example.org", &[]);
    all_judges_agree(&bench, ca.certificate(), &leaf, Role::MailHost);
    bench.pkilint(ca.certificate()).unwrap();

    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let asked = |days| LeafRequest {
        days,
        ..request(Role::MailHost, "mailhost.example.org", &[])
    };
    assert_eq!(
        ca.issue(&asked(0), key.spki_der(), now()),
        Err(IssueError::Days(0))
    );
    assert_eq!(
        ca.issue(&asked(u32::MAX), key.spki_der(), now()),
        Err(IssueError::Days(u32::MAX))
    );
    let stuck = OffsetDateTime::from_unix_timestamp(-1_000_000_000).unwrap();
    assert!(matches!(
        ca.issue(&asked(1), key.spki_der(), stuck),
        Err(IssueError::Clock(1938) | IssueError::AuthorityNotYetValid(_))
    ));
}

#[test]
fn names_that_do_not_fit_a_common_name_are_still_named() {
    let bench = Bench::new();
    let domain = format!("{}.example.org", "d".repeat(60));
    let wanted = relayca_ca::NewAuthority {
        domain: Domain::parse(&domain).unwrap(),
        permits: Vec::new(),
        key_type: KeyType::P256,
        days: 3650,
    };
    let ca = Authority::create(&wanted, now()).unwrap();
    assert!(ca.certificate().subject().starts_with("CN=mail relay CA "));
    assert_eq!(ca.domain(), Some(Domain::parse(&domain).unwrap()));
    let leaf = issue(&ca, Role::MailHost, &format!("mailhost.{domain}"), &[]);
    assert_eq!(
        leaf.alt_names(),
        [AltName::Dns(host(&format!("mailhost.{domain}")))]
    );
    all_judges_agree(&bench, ca.certificate(), &leaf, Role::MailHost);
    bench.pkilint(ca.certificate()).unwrap();
}

#[test]
fn an_authority_loads_only_with_its_own_key_and_only_if_it_is_one() {
    let ca = authority(KeyType::P256, &[]);
    let copy = |authority: &Authority| PrivateKey::from_der(authority.key().pkcs8_der()).unwrap();
    let loaded = Authority::load(ca.certificate().clone(), copy(&ca), now()).unwrap();
    assert_eq!(loaded.domain(), Some(Domain::parse("example.org").unwrap()));

    let stranger = PrivateKey::generate(KeyType::P256).unwrap();
    let error = Authority::load(ca.certificate().clone(), stranger, now()).unwrap_err();
    assert_eq!(error, IssueError::KeyMismatch);
    assert!(error.hint().is_some());

    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let leaf = ca
        .issue(
            &request(Role::MailHost, "a.example.org", &[]),
            key.spki_der(),
            now(),
        )
        .unwrap();
    assert!(matches!(
        Authority::load(leaf, key, now()),
        Err(IssueError::NotAnAuthority(_))
    ));
    let later = now() + Duration::days(4000);
    assert!(matches!(
        Authority::load(ca.certificate().clone(), copy(&ca), later),
        Err(IssueError::AuthorityExpired(_))
    ));
    let earlier = now() - Duration::days(1);
    assert!(matches!(
        Authority::load(ca.certificate().clone(), copy(&ca), earlier),
        Err(IssueError::AuthorityNotYetValid(_))
    ));
}

#[test]
fn an_authority_made_by_openssl_can_issue_leaves_that_chain() {
    let bench = Bench::new();
    bench.put(
        "ca.cnf",
        "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\nC=DE\nO=Example\nCN=Old Mail CA\n[v3]\n\
         basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
    );
    bench.must("openssl req -x509 -newkey rsa:2048 -nodes -keyout old.key -out old.pem -days 100 -sha256 -config ca.cnf");
    let certificate = Certificate::from_pem(&bench.text("old.pem")).unwrap();
    let key = PrivateKey::from_pem(&bench.text("old.key")).unwrap();
    let ca = Authority::load(certificate, key, now()).unwrap();
    assert_eq!(ca.domain(), None);
    let leaf = issue(&ca, Role::MailHost, "mailhost.example.org", &[]);
    all_judges_agree(&bench, ca.certificate(), &leaf, Role::MailHost);
    let codes: Vec<_> = lint(ca.certificate(), ca.certificate())
        .iter()
        .map(|f| f.code)
        .collect();
    assert_eq!(codes, ["authority-unconstrained"]);
}

#[test]
fn a_certificate_that_would_not_keep_the_profile_is_never_signed() {
    // An authority named like a host: its certificate for that host would look self-signed, and nothing would verify it.
    let bench = Bench::new();
    bench.put(
        "ca.cnf",
        "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=v3\nstring_mask=utf8only\n[dn]\nCN=mailhost.example.org\n[v3]\n\
         basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
    );
    bench.must("openssl req -x509 -newkey rsa:2048 -nodes -keyout old.key -out old.pem -days 100 -sha256 -config ca.cnf");
    let certificate = Certificate::from_pem(&bench.text("old.pem")).unwrap();
    let key = PrivateKey::from_pem(&bench.text("old.key")).unwrap();
    let ca = Authority::load(certificate, key, now()).unwrap();
    let host_key = PrivateKey::generate(KeyType::P256).unwrap();
    let error = ca
        .issue(
            &request(Role::MailHost, "mailhost.example.org", &[]),
            host_key.spki_der(),
            now(),
        )
        .unwrap_err();
    let IssueError::Profile(findings) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        findings.iter().map(|f| f.code).collect::<Vec<_>>(),
        ["subject-is-issuer"]
    );
    assert!(error.to_string().contains("same subject"), "{error}");
    assert!(
        ca.issue(
            &request(Role::MailHost, "other.example.org", &[]),
            host_key.spki_der(),
            now()
        )
        .is_ok()
    );
}

#[test]
fn public_keys_that_are_weak_broken_or_the_authoritys_own_are_not_certified() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let wanted = request(Role::MailHost, "mailhost.example.org", &[]);
    let own = ca.certificate().spki_der().to_vec();
    assert_eq!(
        ca.issue(&wanted, &own, now()),
        Err(IssueError::AuthorityKey)
    );

    for generate in [
        "rsa -pkeyopt rsa_keygen_bits:1024",
        "ec -pkeyopt ec_paramgen_curve:secp256k1",
        "x25519",
    ] {
        bench.must(&format!(
            "openssl genpkey -algorithm {generate} -out weak.key"
        ));
        bench.must("openssl pkey -in weak.key -pubout -outform DER -out weak.der");
        let spki = std::fs::read(bench.path("weak.der")).unwrap();
        let error = ca.issue(&wanted, &spki, now()).unwrap_err();
        assert!(
            matches!(error, IssueError::PublicKey(_)),
            "{generate}: {error}"
        );
        assert!(error.hint().is_some());
    }

    let good = PrivateKey::generate(KeyType::P256).unwrap();
    let mut off_the_curve = good.spki_der().to_vec();
    *off_the_curve.last_mut().unwrap() ^= 1;
    assert!(matches!(
        ca.issue(&wanted, &off_the_curve, now()),
        Err(IssueError::PublicKey(_))
    ));
    let mut longer = good.spki_der().to_vec();
    longer.push(0);
    assert!(matches!(
        ca.issue(&wanted, &longer, now()),
        Err(IssueError::PublicKey(_))
    ));
    for length in 0..good.spki_der().len() {
        assert!(
            ca.issue(&wanted, &good.spki_der()[..length], now())
                .is_err()
        );
    }
}

#[test]
fn an_authority_can_serve_many_threads_at_once() {
    fn shareable<T: Send + Sync>(_: &T) {}
    let ca = authority(KeyType::P256, &[]);
    shareable(&ca);
    let serials: std::collections::HashSet<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..50)
                        .map(|_| issue(&ca, Role::MailHost, "a.example.org", &[]))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .map(|c| c.serial().clone())
            .collect()
    });
    assert_eq!(serials.len(), 200);
}
