//! SSH keys made by `ssh-keygen`: sealed to here and opened by stock `age`, and the other way round.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Typist, identities, run};
use relayca_bundle::{
    Identities, IdentityError, OpenError, OpenWith, Recipient, RecipientError, SealTo, no_prompt,
    open, seal,
};
use std::fs;
use std::path::Path;

/// Makes a key pair `name` and `name.pub`.
fn keygen(dir: &Path, name: &str, options: &[&str], passphrase: &str) {
    let args = [
        options,
        &["-q", "-N", passphrase, "-C", "root@mail host", "-f", name],
    ]
    .concat();
    run("ssh-keygen", &args, dir, b"");
}

fn recipient(dir: &Path, name: &str) -> Recipient {
    Recipient::parse(&fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap()).unwrap()
}

#[test]
fn host_keys_open_what_is_sealed_to_their_public_half_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("ed", &["-t", "ed25519"][..]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ] {
        keygen(dir.path(), name, options, "");
        let to = recipient(dir.path(), name);
        assert_eq!(to.text().split(' ').count(), 2, "the comment is dropped");
        let sealed = seal(
            b"for the host",
            &SealTo::Recipients {
                recipients: std::slice::from_ref(&to),
                prompt: &no_prompt(),
            },
        );
        let sealed = sealed.unwrap();
        assert_eq!(
            run("age", &["-d", "-i", name], dir.path(), &sealed),
            b"for the host"
        );

        let known = identities(&fs::read(dir.path().join(name)).unwrap());
        assert!(known.native_only());
        assert_eq!(known.recipients(), [to]);
        assert_eq!(
            *open(&sealed, &OpenWith::Identities(&known)).unwrap(),
            b"for the host"
        );
        let public = format!("{name}.pub");
        let theirs = run("age", &["-R", &public], dir.path(), b"from age");
        assert_eq!(
            *open(&theirs, &OpenWith::Identities(&known)).unwrap(),
            b"from age"
        );
    }
}

#[test]
fn an_old_pem_rsa_key_opens_too() {
    let dir = tempfile::tempdir().unwrap();
    keygen(
        dir.path(),
        "rsa",
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
        "",
    );
    let file = fs::read(dir.path().join("rsa")).unwrap();
    assert!(file.starts_with(b"-----BEGIN RSA PRIVATE KEY-----"));
    let theirs = run("age", &["-R", "rsa.pub"], dir.path(), b"from age");
    assert_eq!(
        *open(&theirs, &OpenWith::Identities(&identities(&file))).unwrap(),
        b"from age"
    );
}

#[test]
fn a_locked_key_asks_once_and_only_for_what_is_sealed_to_it() {
    let dir = tempfile::tempdir().unwrap();
    keygen(dir.path(), "mine", &["-t", "ed25519"], "open sesame");
    keygen(dir.path(), "other", &["-t", "ed25519"], "");
    let file = fs::read(dir.path().join("mine")).unwrap();
    let to = recipient(dir.path(), "mine");
    let prompt = no_prompt();
    let seal_to = |r: Recipient| {
        seal(
            b"a",
            &SealTo::Recipients {
                recipients: &[r],
                prompt: &prompt,
            },
        )
        .unwrap()
    };
    let (sealed, foreign) = (seal_to(to.clone()), seal_to(recipient(dir.path(), "other")));

    let typist = Typist::new(Some("open sesame"));
    let locked = Identities::parse(&file, "mine", typist.clone()).unwrap();
    assert!(!locked.native_only());
    assert_eq!(locked.recipients(), [to]);
    assert!(matches!(
        open(&foreign, &OpenWith::Identities(&locked)),
        Err(OpenError::WrongKey)
    ));
    assert_eq!(typist.times_asked(), 0);
    assert_eq!(
        *open(&sealed, &OpenWith::Identities(&locked)).unwrap(),
        b"a"
    );
    assert_eq!(
        *open(&sealed, &OpenWith::Identities(&locked)).unwrap(),
        b"a"
    );
    assert_eq!(*typist.asked.lock().unwrap(), ["the SSH key `mine`"]);

    for wrong in ["open barley", ""] {
        let mistyped = Identities::parse(&file, "mine", Typist::new(Some(wrong))).unwrap();
        let error = open(&sealed, &OpenWith::Identities(&mistyped));
        assert!(matches!(
            error,
            Err(OpenError::WrongIdentityPassphrase { .. })
        ));
    }
    let silent = Identities::parse(&file, "mine", no_prompt()).unwrap();
    assert!(matches!(
        open(&sealed, &OpenWith::Identities(&silent)),
        Err(OpenError::IdentityLocked { .. })
    ));
}

#[test]
fn keys_that_age_cannot_use_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    keygen(dir.path(), "ec", &["-t", "ecdsa"], "");
    let public = fs::read_to_string(dir.path().join("ec.pub")).unwrap();
    let error = Recipient::parse(&public).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SSH keys of type `ecdsa-sha2-nistp256` cannot be sealed to"
    );
    assert!(error.hint().unwrap().contains("ssh_host_ed25519_key.pub"));
    let parse = |name: &str| {
        Identities::parse(&fs::read(dir.path().join(name)).unwrap(), name, no_prompt())
    };
    assert!(matches!(
        parse("ec"),
        Err(IdentityError::UnsupportedKey { .. })
    ));

    keygen(
        dir.path(),
        "pem",
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
        "12345",
    );
    assert!(matches!(
        parse("pem"),
        Err(IdentityError::UnsupportedKey { .. })
    ));
    run(
        "openssl",
        &["genpkey", "-algorithm", "ed25519", "-out", "pkcs8"],
        dir.path(),
        b"",
    );
    assert!(matches!(
        parse("pkcs8"),
        Err(IdentityError::UnsupportedKey { .. })
    ));
    keygen(dir.path(), "weak", &["-t", "rsa", "-b", "1024"], "");
    let weak = Recipient::parse(&fs::read_to_string(dir.path().join("weak.pub")).unwrap());
    assert!(matches!(weak, Err(RecipientError::RsaSize { .. })));
}

#[test]
fn damaged_ssh_keys_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    keygen(dir.path(), "ed", &["-t", "ed25519"], "");
    let public = fs::read_to_string(dir.path().join("ed.pub")).unwrap();
    let mut words = public.split(' ');
    let (kind, key) = (words.next().unwrap(), words.next().unwrap());
    let cut = &key[..key.len() - 4];
    for bad in [
        format!("{kind} {cut}"),
        format!("{kind} {key}AAAA"),
        format!("ssh-rsa {key}"),
        kind.to_owned(),
    ] {
        assert!(Recipient::parse(&bad).is_err(), "{bad}");
    }
    assert!(
        Recipient::parse(&format!("{kind}\t{key}")).is_err(),
        "control characters"
    );
    assert!(
        Recipient::parse(&format!("command=\"sh\" {kind} {key}")).is_err(),
        "options"
    );

    let file = fs::read_to_string(dir.path().join("ed")).unwrap();
    let cut = &file[..file.len() / 2];
    assert!(matches!(
        Identities::parse(cut.as_bytes(), "ed", no_prompt()),
        Err(IdentityError::Damaged { .. })
    ));
}
