//! The raw cost of issuing: generating keys, signing, sealing, and nothing else.
//!
//! In: a number of hosts and the bytes of an archive. Out: seconds on one thread, seconds on all, and how many those are. For
//! each host a P-256 key, one signature over as many bytes as a certificate has, the archive sealed with a generated
//! passphrase, and the passphrase sealed to one X25519 recipient. Nothing is encoded, checked, opened again or written.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rayon::prelude::*;
use relayca_bundle::{
    GENERATED_WORK_FACTOR, Passphrase, Recipient, SealTo, generate_identity, no_prompt, seal,
};

/// Bytes that are signed for a leaf.
const TO_BE_SIGNED: usize = 420;

struct Authority {
    key: EcdsaKeyPair,
    admins: Vec<Recipient>,
    archive: Vec<u8>,
}

fn one_host(authority: &Authority) {
    let prompt = no_prompt();
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
    let to = SealTo::Recipients {
        recipients: &authority.admins,
        prompt: &prompt,
    };
    black_box(seal(passphrase.expose().as_bytes(), &to).unwrap());
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|word| word.parse::<usize>().unwrap());
    let hosts = numbers.next().unwrap_or(1_000);
    let bytes = numbers.next().unwrap_or(18_432);
    let authority = Authority {
        key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
        admins: vec![generate_identity().1],
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
