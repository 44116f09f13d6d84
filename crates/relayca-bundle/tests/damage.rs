//! Whatever is cut, altered or foreign is refused, and nothing of it comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{identities, run};
use relayca_bundle::{
    MAX_SEALED_BYTES, OpenError, OpenWith, Passphrase, SealTo, generate_identity, no_prompt, open,
    seal, sealed_with_passphrase,
};

#[test]
fn no_cut_of_a_sealed_file_opens() {
    let (text, recipient) = generate_identity();
    let known = identities(text.as_bytes());
    let sealed = seal(
        &[7; 1000],
        &SealTo::Recipients {
            recipients: &[recipient],
            prompt: &no_prompt(),
        },
    )
    .unwrap();
    for length in 0..sealed.len() {
        let error = open(&sealed[..length], &OpenWith::Identities(&known)).unwrap_err();
        assert!(
            matches!(error, OpenError::Truncated | OpenError::Damaged),
            "{length}: {error}"
        );
        // All but a cut within the last chunk is recognised for what it is.
        if length < sealed.len() - 1016 {
            assert!(matches!(error, OpenError::Truncated), "{length}: {error}");
        }
    }
}

#[test]
fn a_cut_between_chunks_is_noticed() {
    let (text, recipient) = generate_identity();
    let known = identities(text.as_bytes());
    let sealed = seal(
        &[7; 70_000],
        &SealTo::Recipients {
            recipients: &[recipient],
            prompt: &no_prompt(),
        },
    )
    .unwrap();
    let last_chunk = 70_000 - 65_536 + 16;
    let error = open(
        &sealed[..sealed.len() - last_chunk],
        &OpenWith::Identities(&known),
    )
    .unwrap_err();
    assert!(
        matches!(error, OpenError::Truncated | OpenError::Damaged),
        "{error}"
    );
}

#[test]
fn no_altered_byte_opens() {
    let (text, recipient) = generate_identity();
    let known = identities(text.as_bytes());
    let sealed = seal(
        &[7; 300],
        &SealTo::Recipients {
            recipients: &[recipient],
            prompt: &no_prompt(),
        },
    )
    .unwrap();
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert!(
            open(&altered, &OpenWith::Identities(&known)).is_err(),
            "{at}"
        );
    }
    let mut longer = sealed.clone();
    longer.push(0);
    assert!(matches!(
        open(&longer, &OpenWith::Identities(&known)),
        Err(OpenError::Damaged)
    ));
    let last = sealed.len() - 1;
    let mut altered = sealed;
    altered[last] ^= 1;
    assert!(matches!(
        open(&altered, &OpenWith::Identities(&known)),
        Err(OpenError::Damaged)
    ));
}

#[test]
fn an_altered_passphrase_file_does_not_open() {
    let passphrase = Passphrase::generate_words().unwrap();
    let to = SealTo::Passphrase {
        passphrase: &passphrase,
        work_factor: 1,
    };
    let sealed = seal(b"a secret", &to).unwrap();
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 4;
        assert!(
            open(&altered, &OpenWith::Passphrase(&passphrase)).is_err(),
            "{at}"
        );
    }
}

#[test]
fn armor_that_is_cut_or_altered_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let (text, recipient) = generate_identity();
    let known = identities(text.as_bytes());
    let armored = run(
        "age",
        &["-a", "-r", recipient.text()],
        dir.path(),
        &[7; 500],
    );
    let open = |bytes: &[u8]| open(bytes, &OpenWith::Identities(&known));
    assert!(open(&armored).is_ok());
    assert!(matches!(
        open(&armored[..armored.len() / 2]),
        Err(OpenError::Truncated)
    ));
    let text = String::from_utf8(armored).unwrap();
    assert!(open(text.replacen('A', "B", 3).as_bytes()).is_err());
    assert!(matches!(
        open(format!("{text}extra").as_bytes()),
        Err(OpenError::Truncated)
    ));
    assert!(open(format!("\n \n{text}\n\n").as_bytes()).is_ok());
}

#[test]
fn foreign_files_are_named_as_such() {
    let known = identities(generate_identity().0.as_bytes());
    let with = OpenWith::Identities(&known);
    let pgp = b"-----BEGIN PGP MESSAGE-----\n";
    for foreign in [
        &b"hello\n"[..],
        b"\x1f\x8b\x08",
        b"age",
        b"\0",
        pgp,
        b"PK\x03\x04",
    ] {
        let error = open(foreign, &with).unwrap_err();
        let expected = if foreign == b"age" {
            matches!(error, OpenError::Truncated)
        } else {
            matches!(error, OpenError::NotAge)
        };
        assert!(expected, "{foreign:?}: {error}");
        assert!(sealed_with_passphrase(foreign).is_err());
    }
    assert!(matches!(open(b"", &with), Err(OpenError::Truncated)));
    let newer = b"age-encryption.org/v2\n-> X25519 abc\nabc\n--- abc\n";
    assert!(matches!(open(newer, &with), Err(OpenError::UnknownVersion)));
}

#[test]
fn hostile_sizes_cost_neither_memory_nor_time() {
    let known = identities(generate_identity().0.as_bytes());
    let with = OpenWith::Identities(&known);
    let begin = b"age-encryption.org/v1\n";
    let file = |stanzas: &[u8]| [begin, stanzas, b"--- AAAA\n"].concat();
    for many in [
        b"-> a\n\n".repeat(20_000),
        b"-> a\n\n".repeat(1 << 20),
        vec![b'a'; 1 << 20],
    ] {
        let error = open(&file(&many), &with).unwrap_err();
        assert!(matches!(error, OpenError::HeaderTooLarge), "{error}");
    }
    // The worst that still gets to the parser: as many lines as fit.
    let full_line = [&[b'A'; 64][..], b"\n"].concat();
    let body = [b"-> a\n", full_line.repeat(15).as_slice(), b"\n"].concat();
    let start = std::time::Instant::now();
    assert!(open(&file(&body.repeat(128)), &with).is_err());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    let huge = vec![0; MAX_SEALED_BYTES + 1];
    assert!(matches!(open(&huge, &with), Err(OpenError::TooLarge)));
}
