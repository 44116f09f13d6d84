//! Authorities made elsewhere: what they sign here must chain, whatever they are called and whatever they lack.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Bench, FULL, issue, made, made_read, now, request, webpki};
use relayca_ca::{
    Authority, Certificate, KeyType, NewCrl, PrivateKey, Reason, Revoked, Role, lint, verify,
    weaknesses,
};

/// Every judge takes leaves of both roles, and openssl and certtool a list that revokes one.
fn all_chain(bench: &Bench, ca: &Authority, strict: bool) {
    let certificate = ca.certificate();
    for role in Role::ALL {
        let leaf = issue(ca, role, "mailhost.example.org", &["mx.example.org"]);
        assert_eq!(lint(&leaf, certificate), []);
        bench.openssl(&leaf, certificate, role, false).unwrap();
        if strict {
            bench.openssl(&leaf, certificate, role, true).unwrap();
        }
        bench.certtool(&leaf, certificate, role).unwrap();
        webpki(&leaf, certificate, role, now()).unwrap();
        assert!(leaf.issuer_is(certificate));
        assert_eq!(leaf.issuer(), certificate.subject());
    }
    let gone = issue(ca, Role::MailHost, "gone.example.org", &[]);
    let kept = issue(ca, Role::MailHost, "kept.example.org", &[]);
    let wanted = NewCrl {
        number: 1,
        days: 30,
        revoked: vec![Revoked {
            serial: gone.serial().clone(),
            at: now(),
            reason: Reason::KeyCompromise,
        }],
    };
    let list = ca.revocation_list(&wanted, now()).unwrap();
    bench.put("ca.pem", certificate.to_pem());
    bench.put("list.pem", list.to_pem());
    bench.must("openssl crl -in list.pem -verify -CAfile ca.pem -noout");
    // GnuTLS takes leaves of a version 1 root, and no lists.
    if certificate.is_ca() {
        bench.must("certtool --verify-crl --load-ca-certificate ca.pem --infile list.pem");
    }
    bench.put("kept.pem", kept.to_pem());
    bench.put("gone.pem", gone.to_pem());
    bench.must("openssl verify -crl_check -CRLfile list.pem -CAfile ca.pem kept.pem");
    let said = bench
        .run("openssl verify -crl_check -CRLfile list.pem -CAfile ca.pem gone.pem")
        .unwrap_err();
    assert!(said.contains("certificate revoked"), "{said}");
}

fn codes(certificate: &Certificate) -> Vec<&'static str> {
    weaknesses(certificate).iter().map(|f| f.code).collect()
}

/// The bytes of a Name as openssl shows them for a certificate's subject or issuer.
fn name_hash(bench: &Bench, certificate: &Certificate, which: &str) -> String {
    bench.put("named.pem", certificate.to_pem());
    bench
        .must(&format!(
            "openssl x509 -in named.pem -noout -{which} -nameopt RFC2253,dump_all,dump_der"
        ))
        .split_once('=')
        .unwrap()
        .1
        .to_owned()
}

#[test]
fn a_name_of_any_shape_is_taken_over_byte_for_byte() {
    let bench = Bench::new();
    for (what, name, shown) in [
        (
            "the makefile's",
            "[dn]\nC=DE\nST=Somewhere\nL=Town\nO=Example\nOU=Mail\nCN=mail CA\nemailAddress=postmaster@example.org",
            "C=DE, ST=Somewhere, L=Town, O=Example, OU=Mail, CN=mail CA, Email=postmaster@example.org",
        ),
        (
            "repeated units",
            "[dn]\n0.OU=one\n1.OU=two\n2.OU=one\nCN=CA",
            "OU=one, OU=two, OU=one, CN=CA",
        ),
        (
            "a domain",
            "[dn]\n0.DC=org\n1.DC=example\nCN=CA",
            "DC=org, DC=example, CN=CA",
        ),
        (
            "two values in one part",
            "[dn]\nO=Example\nCN=CA\n+OU=beside it\n+serialNumber=5",
            "O=Example, serialNumber=5 + CN=CA + OU=beside it",
        ),
        (
            "several common names",
            "[dn]\n0.CN=one\n1.CN=two",
            "CN=one, CN=two",
        ),
        (
            "printable text",
            "string_mask=default\n[dn]\nC=DE\nO=Example\nCN=CA",
            "C=DE, O=Example, CN=CA",
        ),
        (
            "T61 text",
            "string_mask=MASK:4\n[dn]\nO=Exåmple\nCN=CA",
            "O=Exåmple, CN=CA",
        ),
        (
            "BMP text",
            "string_mask=MASK:0x800\n[dn]\nO=Example\nCN=Wide CA",
            "O=Example, CN=Wide CA",
        ),
        (
            "universal text",
            "string_mask=MASK:0x100\n[dn]\nO=Example\nCN=Wide CA",
            "O=Example, CN=Wide CA",
        ),
        (
            "mixed text",
            "string_mask=pkix\n[dn]\nC=DE\nO=Bücher\nCN=Postamt Köln",
            "C=DE, O=Bücher, CN=Postamt Köln",
        ),
        (
            "an unknown kind",
            "[dn]\nO=Example\n0.1.3.6.1.4.1.55555.1=odd\nCN=CA",
            "O=Example, 1.3.6.1.4.1.55555.1=odd, CN=CA",
        ),
        ("no common name", "[dn]\nO=Example", "O=Example"),
    ] {
        let (certificate, key) = made(
            &bench,
            name,
            FULL,
            "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -utf8 -multivalue-rdn",
        );
        let ca = Authority::load(certificate, key, now())
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let leaf = issue(&ca, Role::MailHost, "mailhost.example.org", &[]);
        assert_eq!(
            name_hash(&bench, &leaf, "issuer"),
            name_hash(&bench, ca.certificate(), "subject"),
            "{what}"
        );
        all_chain(&bench, &ca, true);
        assert_eq!(ca.certificate().subject(), shown, "{what}");
    }
}

#[test]
fn an_authority_as_openssl_makes_it_by_default_issues() {
    let bench = Bench::new();
    for how in [
        "",
        "-newkey rsa:4096 -sha256",
        "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1",
        "-newkey ec -pkeyopt ec_paramgen_curve:secp384r1",
        "-newkey ed25519",
    ] {
        bench.put("passphrase", "secret");
        bench.must(&format!(
            "openssl req -x509 -nodes -keyout made.key -out made.pem -days 400 -subj /C=DE/O=Example/CN=CA {}",
            if how.is_empty() { "-newkey rsa:2048" } else { how }
        ));
        let (certificate, key) = made_read(&bench);
        let ca = Authority::load(certificate, key, now()).unwrap();
        all_chain(&bench, &ca, false);
        assert!(codes(ca.certificate()).contains(&"authority-unconstrained"));
    }
}

#[test]
fn an_authority_without_any_extension_but_its_flag_issues() {
    let bench = Bench::new();
    for extensions in [
        "basicConstraints=CA:TRUE\nsubjectKeyIdentifier=none\n",
        "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n",
    ] {
        let (certificate, key) = made(&bench, "[dn]\nCN=Bare CA", extensions, "");
        assert_eq!(certificate.subject_key_id(), None);
        let ca = Authority::load(certificate, key, now()).unwrap();
        all_chain(&bench, &ca, false);
        let leaf = issue(&ca, Role::MailHost, "mailhost.example.org", &[]);
        // RFC 5280's method 1, which openssl's `hash` is.
        let (again, _) = {
            bench.must("openssl req -x509 -key made.key -subj /CN=x -out made.pem -addext subjectKeyIdentifier=hash");
            made_read(&bench)
        };
        assert_eq!(leaf.authority_key_id(), again.subject_key_id());
        let found = codes(ca.certificate());
        for code in [
            "authority-key-usage",
            "authority-no-subject-key-id",
            "authority-unconstrained",
        ] {
            assert!(found.contains(&code), "{code}: {found:?}");
        }
        assert!(!found.contains(&"no-subject-key-id"), "{found:?}");
    }
}

#[test]
fn an_easy_rsa_authority_issues() {
    // Its certificate states issuer and serial in the authority key identifier, and does not bound the path.
    let bench = Bench::new();
    let (certificate, key) = made(
        &bench,
        "[dn]\nCN=Easy-RSA CA",
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always,issuer:always\nbasicConstraints=CA:TRUE\nkeyUsage=cRLSign,keyCertSign\n",
        "",
    );
    let ca = Authority::load(certificate, key, now()).unwrap();
    all_chain(&bench, &ca, false);
    assert_eq!(
        codes(ca.certificate()),
        [
            "authority-basic-constraints",
            "authority-path-length",
            "authority-key-usage",
            "authority-unconstrained"
        ]
    );
}

#[test]
fn serial_zero_and_old_digests_are_read_and_named() {
    let bench = Bench::new();
    for (digest, word) in [("sha1", "SHA-1"), ("md5", "MD5")] {
        let (certificate, key) = made(
            &bench,
            "[dn]\nCN=Old CA",
            FULL,
            &format!("-newkey rsa:2048 -{digest} -set_serial 0"),
        );
        assert_eq!(certificate.serial().to_string(), "00");
        let found = weaknesses(&certificate);
        assert!(found.iter().any(|f| f.code == "serial-zero"));
        let signature = found
            .iter()
            .find(|f| f.code == "signature-algorithm")
            .unwrap();
        assert!(signature.message.contains(word), "{signature}");
        let ca = Authority::load(certificate, key, now()).unwrap();
        all_chain(&bench, &ca, false);
        assert_eq!(
            ca.certificate().issuer_is(ca.certificate()),
            digest == "sha1"
        );
    }
}

#[test]
fn a_root_of_version_1_is_trusted_by_all_and_issues() {
    let bench = Bench::new();
    bench.must("openssl req -new -newkey rsa:2048 -nodes -keyout made.key -out made.csr -subj /C=DE/O=Example/CN=V1");
    bench.must(
        "openssl x509 -req -in made.csr -signkey made.key -set_serial 0 -days 400 -out made.pem",
    );
    let (certificate, key) = made_read(&bench);
    assert!(!certificate.is_ca());
    let found = codes(&certificate);
    assert_eq!(found, ["version", "serial-zero", "authority-unconstrained"]);
    let ca = Authority::load(certificate, key, now()).unwrap();
    all_chain(&bench, &ca, false);
    let leaf = issue(&ca, Role::MailHost, "mailhost.example.org", &[]);
    // Strict verifiers refuse the root, and so it is said.
    bench
        .openssl(&leaf, ca.certificate(), Role::MailHost, true)
        .unwrap_err();
    let findings = verify(
        &leaf,
        &[ca.certificate().clone()],
        Some(Role::MailHost),
        now(),
    );
    assert!(
        findings.iter().any(|f| f.code == "authority-version"),
        "{findings:?}"
    );
}

#[test]
fn postfix_would_shake_hands_under_a_root_of_version_1() {
    // What Postfix does: OpenSSL on both ends, the root in CAfile, both certificates asked for.
    let bench = Bench::new();
    bench.must(
        "openssl req -new -newkey rsa:2048 -nodes -keyout made.key -out made.csr -subj /CN=V1",
    );
    bench.must("openssl x509 -req -in made.csr -signkey made.key -days 400 -out made.pem");
    let (certificate, key) = made_read(&bench);
    let ca = Authority::load(certificate, key, now()).unwrap();
    bench.put("ca.pem", ca.certificate().to_pem());
    for (role, name) in [(Role::Relay, "relay"), (Role::MailHost, "mailhost")] {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let leaf = ca
            .issue(
                &request(role, &format!("{name}.example.org"), &[]),
                key.spki_der(),
                now(),
            )
            .unwrap();
        bench.put(&format!("{name}.pem"), leaf.to_pem());
        bench.put(&format!("{name}.key"), key.to_pkcs8_pem().as_bytes());
    }
    let mut server = std::process::Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-cert",
            "relay.pem",
            "-key",
            "relay.key",
            "-CAfile",
            "ca.pem",
        ])
        .args([
            "-Verify",
            "1",
            "-verify_return_error",
            "-naccept",
            "1",
            "-www",
        ])
        .current_dir(bench.path(""))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(server.stdout.take().unwrap()));
    let port = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| Some(line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.to_owned()))
        .unwrap();
    let said = bench.run(&format!(
        "openssl s_client -connect 127.0.0.1:{port} -tls1_2 -cert mailhost.pem -key mailhost.key -CAfile ca.pem \
         -verify_return_error -verify_hostname relay.example.org"
    ));
    server.kill().ok();
    server.wait().unwrap();
    let said = said.unwrap();
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    assert!(said.contains("Verification: OK"), "{said}");
}

#[test]
fn leaves_of_the_makefile_are_read_and_their_weaknesses_named() {
    let bench = Bench::new();
    let (ca, _) = made(&bench, "[dn]\nCN=CA", "basicConstraints=CA:TRUE\n", "");
    bench.put("ca.pem", ca.to_pem());
    bench.put("ca.key", bench.text("made.key"));
    for (key, digest, expected) in [
        (
            "rsa:2048",
            "sha256",
            &["version", "serial-short", "no-alt-name"][..],
        ),
        (
            "rsa:1024",
            "sha1",
            &[
                "version",
                "serial-short",
                "signature-algorithm",
                "key-type",
                "no-alt-name",
            ],
        ),
    ] {
        bench.must(&format!("openssl req -new -newkey {key} -nodes -keyout host.key -out host.csr -subj /CN=mailhost.example.org"));
        bench.must(&format!("openssl x509 -req -in host.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 700 -{digest} -out host.pem"));
        let leaf = Certificate::from_pem(&bench.text("host.pem")).unwrap();
        assert_eq!(codes(&leaf), expected);
        assert!(leaf.issuer_is(&ca));
        assert_eq!(leaf.common_name(), Some("mailhost.example.org"));
    }
}

#[test]
fn nothing_is_odd_about_our_own() {
    let ca = judges::authority(
        KeyType::P256,
        &["relay.example.net", "192.0.2.5", "2001:db8::5"],
    );
    assert_eq!(weaknesses(ca.certificate()), []);
    let leaf = issue(&ca, Role::Relay, "relay.example.org", &["192.0.2.5"]);
    assert_eq!(weaknesses(&leaf), []);
    let permits: Vec<_> = ca
        .certificate()
        .further_permits()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(permits, ["relay.example.net", "192.0.2.5", "2001:db8::5"]);
    let other = judges::authority(KeyType::P256, &[]);
    assert!(other.certificate().further_permits().is_empty());
    assert!(leaf.issuer_is(ca.certificate()) && !leaf.issuer_is(other.certificate()));
}
