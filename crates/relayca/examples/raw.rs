//! The raw cost of issuing: generating keys, signing, sealing, and nothing else.
//!
//! In: a number of hosts and the bytes of an archive. Out: seconds on one thread, seconds on all, and how many those are. For
//! each host a P-256 key, one signature over as many bytes as a certificate has, the archive sealed with a generated
//! passphrase, and the passphrase sealed to one X25519 recipient. Nothing is encoded, checked, opened again or written.
//!
//! It is what the libraries cost as they come: the recipient is the `age` crate's own, not relayca's faster one.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rayon::prelude::*;
use relayca_bundle::{GENERATED_WORK_FACTOR, Passphrase, SealTo, seal};

/// Bytes that are signed for a leaf.
const TO_BE_SIGNED: usize = 420;

struct Authority {
    key: EcdsaKeyPair,
    admin: age::x25519::Recipient,
    archive: Vec<u8>,
}

fn one_host(authority: &Authority) {
    black_box(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap());
    black_box(
        authority
            .key
            .sign(&SystemRandom::new(), &[7; TO_BE_SIGNED])
            .unwrap(),
    );
    let passphrase = Passphrase::generate_words().unwrap();
    let to = SealTo::Passphrase {
        passphrase: &passphrase,
        work_factor: GENERATED_WORK_FACTOR,
    };
    black_box(seal(&authority.archive, &to).unwrap());
    let admin = std::iter::once(&authority.admin as &dyn age::Recipient);
    let mut sealed = Vec::with_capacity(2048);
    let mut writer = age::Encryptor::with_recipients(admin)
        .and_then(|encryptor| Ok(encryptor.wrap_output(&mut sealed)?))
        .unwrap();
    writer.write_all(passphrase.expose().as_bytes()).unwrap();
    writer.finish().unwrap();
    black_box(sealed);
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|word| word.parse::<usize>().unwrap());
    let hosts = numbers.next().unwrap_or(1_000);
    let bytes = numbers.next().unwrap_or(18_432);
    let authority = Authority {
        key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
        admin: age::x25519::Identity::generate().to_public(),
        archive: vec![7; bytes],
    };
    // The threads start, and the caches fill, before the clock does.
    (0..hosts.min(200))
        .into_par_iter()
        .for_each(|_| one_host(&authority));

    let start = Instant::now();
    (0..hosts)
        .into_par_iter()
        .for_each(|_| one_host(&authority));
    let all = start.elapsed();
    let start = Instant::now();
    (0..hosts).for_each(|_| one_host(&authority));
    let one = start.elapsed();
    println!(
        "{} {} {}",
        one.as_secs_f64(),
        all.as_secs_f64(),
        rayon::current_num_threads()
    );
}
