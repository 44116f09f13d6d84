//! What issuing costs without files: a key, and a certificate linted and signed.
//!
//! In: nothing. Out: a table of times (`cargo bench -p relayca-ca`).

#![allow(clippy::unwrap_used, missing_docs)]

use divan::Bencher;
use relayca_ca::{
    Authority, Certificate, Domain, HostName, KeyType, LeafRequest, NewAuthority, NewCrl,
    PrivateKey, Reason, Revoked, Role, Serial, lint,
};
use time::OffsetDateTime;

const QUICK: [KeyType; 3] = [KeyType::P256, KeyType::P384, KeyType::Ed25519];

fn main() {
    divan::main();
}

fn authority(key_type: KeyType) -> Authority {
    let wanted = NewAuthority {
        domain: Domain::parse("example.org").unwrap(),
        permits: Vec::new(),
        key_type,
        days: 3650,
    };
    Authority::create(&wanted, now()).unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn request() -> LeafRequest {
    LeafRequest {
        role: Role::MailHost,
        host: HostName::parse("mailhost.example.org").unwrap(),
        alt_names: Vec::new(),
        days: 730,
    }
}

#[divan::bench(args = QUICK)]
fn generate(key_type: KeyType) -> PrivateKey {
    PrivateKey::generate(key_type).unwrap()
}

#[divan::bench(args = QUICK)]
fn issue(bencher: Bencher<'_, '_>, key_type: KeyType) {
    let (authority, request) = (authority(key_type), request());
    let key = PrivateKey::generate(key_type).unwrap();
    bencher.bench(|| authority.issue(&request, key.spki_der(), now()).unwrap());
}

#[divan::bench(args = [0, 10_000])]
fn revoke(bencher: Bencher<'_, '_>, entries: usize) {
    let authority = authority(KeyType::P256);
    let wanted = NewCrl {
        number: 1,
        days: 30,
        revoked: (0..entries)
            .map(|_| Revoked {
                serial: Serial::random().unwrap(),
                at: now(),
                reason: Reason::Superseded,
            })
            .collect(),
    };
    bencher.bench(|| authority.revocation_list(&wanted, now()).unwrap());
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let authority = authority(KeyType::P256);
    let der = authority.certificate().der();
    bencher.bench(|| Certificate::from_der(der).unwrap());
}

#[divan::bench]
fn judge(bencher: Bencher<'_, '_>) {
    let authority = authority(KeyType::P256);
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let leaf = authority.issue(&request(), key.spki_der(), now()).unwrap();
    bencher.bench(|| lint(&leaf, authority.certificate()));
}
