//! What a map of 10,000 hosts costs.
//!
//! In: nothing. Out: a table of times (`cargo bench -p relayca-fingerprint`).

#![allow(clippy::unwrap_used, missing_docs)]

use divan::Bencher;
use relayca_fingerprint::{Digest, FingerprintMap, Listed, Pin};

const HOSTS: usize = 10_000;

fn main() {
    divan::main();
}

/// A name, and bytes of the length of a public key and of a certificate, different for each host.
fn hosts() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    (0..HOSTS)
        .map(|number| {
            let name = format!("host{number}.example.org");
            let of_length = |length| name.bytes().cycle().take(length).collect();
            (name.clone(), of_length(91), of_length(480))
        })
        .collect()
}

fn map(hosts: &[(String, Vec<u8>, Vec<u8>)], pin: Pin) -> FingerprintMap {
    let listed = hosts
        .iter()
        .map(|(host, spki_der, certificate_der)| Listed {
            host,
            serial: "00112233445566778899aabbccddeeff",
            not_after: "2028-11-20T00:00:00Z",
            certificate_der,
            spki_der,
        });
    FingerprintMap::new(Digest::Sha256, pin, listed).unwrap()
}

#[divan::bench(args = [Pin::Pubkey, Pin::Both])]
fn make(bencher: Bencher<'_, '_>, pin: Pin) {
    let hosts = hosts();
    bencher.bench(|| map(&hosts, pin));
}

#[divan::bench]
fn write_text(bencher: Bencher<'_, '_>) {
    let map = map(&hosts(), Pin::Pubkey);
    bencher.bench(|| map.to_text());
}
