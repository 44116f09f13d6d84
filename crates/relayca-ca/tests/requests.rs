//! Requests made on a host, as openssl, certtool and the other side see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Bench, authority, host, now, request};
use relayca_ca::{KeyType, PrivateKey, Role, certificate_request, public_key_from_csr};

#[test]
fn a_request_of_every_kind_of_key_is_taken_by_openssl_and_certtool() {
    let bench = Bench::new();
    for key_type in KeyType::ALL {
        let key = PrivateKey::generate(key_type).unwrap();
        let pem = certificate_request(&key, &host("mailhost.example.org")).unwrap();
        bench.put("host.csr", &pem);
        bench.must("openssl req -in host.csr -verify -noout");
        let said = bench.must("openssl req -in host.csr -noout -text");
        assert!(said.contains("CN = mailhost.example.org"), "{said}");
        assert!(said.contains("DNS:mailhost.example.org"), "{said}");
        assert_eq!(bench.must("openssl req -in host.csr"), pem, "{key_type}");
        bench.must("certtool --crq-info --infile host.csr");
        bench.must("openssl req -in host.csr -outform DER -out host.der");

        let der = std::fs::read(bench.path("host.der")).unwrap();
        for bytes in [pem.as_bytes(), &der] {
            let read = public_key_from_csr(bytes).unwrap();
            assert_eq!(read.spki_der, key.spki_der());
            assert_eq!(
                read.ignored,
                [
                    "subject CN=mailhost.example.org",
                    "subjectAltName mailhost.example.org"
                ]
            );
        }
    }
}

#[test]
fn a_name_too_long_for_a_common_name_is_asked_for_all_the_same() {
    let bench = Bench::new();
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let long = format!("{}.{}.example.org", "a".repeat(63), "b".repeat(63));
    bench.put("host.csr", certificate_request(&key, &host(&long)).unwrap());
    bench.must("openssl req -in host.csr -verify -noout");
    let said = bench.must("certtool --crq-info --infile host.csr");
    assert!(said.contains(&format!("DNSname: {long}")), "{said}");
}

#[test]
fn a_request_becomes_a_certificate_for_its_key() {
    let ca = authority(KeyType::P256, &[]);
    let key = PrivateKey::generate(KeyType::Ed25519).unwrap();
    let pem = certificate_request(&key, &host("elsewhere.example.net")).unwrap();
    assert!(!pem.contains("PRIVATE"));
    let read = public_key_from_csr(pem.as_bytes()).unwrap();
    let wanted = request(Role::MailHost, "mailhost.example.org", &[]);
    let leaf = ca.issue(&wanted, &read.spki_der, now()).unwrap();
    assert_eq!(leaf.spki_der(), key.spki_der());
    assert_eq!(leaf.common_name(), Some("mailhost.example.org"));
}
