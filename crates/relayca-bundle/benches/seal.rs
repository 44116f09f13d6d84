//! What a bundle costs without files: packing, sealing, and opening again.
//!
//! In: nothing. Out: a table of times (`cargo bench -p relayca-bundle`).

#![allow(clippy::unwrap_used, missing_docs)]

use divan::Bencher;
use relayca_bundle::{
    Entry, GENERATED_WORK_FACTOR, Identities, OpenWith, Passphrase, SealTo, generate_identity,
    no_prompt, open, pack, seal, unpack,
};
use zeroize::Zeroizing;

/// Bytes of the archive of a mail host.
const ARCHIVE: usize = 18_432;

fn main() {
    divan::main();
}

fn entries() -> Vec<Entry> {
    (0..8)
        .map(|number| Entry {
            name: format!("file{number}"),
            mode: 0o600,
            content: Zeroizing::new(vec![7; 1500]),
        })
        .collect()
}

#[divan::bench]
fn pack_files(bencher: Bencher<'_, '_>) {
    let entries = entries();
    bencher.bench(|| pack(&entries, 0).unwrap());
}

#[divan::bench]
fn unpack_files(bencher: Bencher<'_, '_>) {
    let archive = pack(&entries(), 0).unwrap();
    bencher.bench(|| unpack(&archive).unwrap());
}

#[divan::bench]
fn seal_archive_with_passphrase(bencher: Bencher<'_, '_>) {
    let passphrase = Passphrase::generate_words().unwrap();
    bencher.bench(|| seal(&[7; ARCHIVE], &generated(&passphrase)).unwrap());
}

#[divan::bench]
fn open_archive_with_passphrase(bencher: Bencher<'_, '_>) {
    let passphrase = Passphrase::generate_words().unwrap();
    let sealed = seal(&[7; ARCHIVE], &generated(&passphrase)).unwrap();
    bencher.bench(|| open(&sealed, &OpenWith::Passphrase(&passphrase)).unwrap());
}

#[divan::bench]
fn seal_passphrase_to_admin(bencher: Bencher<'_, '_>) {
    let (recipients, prompt) = ([generate_identity().1], no_prompt());
    let to = SealTo::Recipients {
        recipients: &recipients,
        prompt: &prompt,
    };
    bencher.bench(|| seal(&[7; 70], &to).unwrap());
}

#[divan::bench]
fn open_passphrase_as_admin(bencher: Bencher<'_, '_>) {
    let prompt = no_prompt();
    let (text, recipient) = generate_identity();
    let identities = Identities::parse(text.as_bytes(), "identity", no_prompt()).unwrap();
    let to = SealTo::Recipients {
        recipients: &[recipient],
        prompt: &prompt,
    };
    let sealed = seal(&[7; 70], &to).unwrap();
    bencher.bench(|| open(&sealed, &OpenWith::Identities(&identities)).unwrap());
}

fn generated(passphrase: &Passphrase) -> SealTo<'_> {
    SealTo::Passphrase {
        passphrase,
        work_factor: GENERATED_WORK_FACTOR,
    }
}
