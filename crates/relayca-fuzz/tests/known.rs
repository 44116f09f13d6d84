//! What the fuzzer found once: it stays mended.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;

use relayca_ca::{Certificate, spki_of};

fn seed(path: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fuzz");
    fs::read(fixtures.join(path)).unwrap()
}

#[test]
fn a_certificate_that_speaks_of_armour_is_inspected() {
    let der = seed("certificates/found-armour-in-a-name.der");
    assert!(Certificate::from_der(&der).is_ok());
    assert!(spki_of(&der).is_ok());
}

#[test]
fn a_certificate_with_a_broken_key_is_refused() {
    let der = seed("certificates/found-key-cut-short.der");
    assert!(Certificate::from_der(&der).is_err());
    assert!(spki_of(&der).is_err());
}

#[test]
fn a_certificate_with_a_broken_name_is_refused() {
    let der = seed("foreign_authorities/found-name-cut-short.der");
    assert!(Certificate::from_der(&der).is_err());
}
