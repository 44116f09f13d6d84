//! What is sealed to the admins of an authority, and whom stock age and openssl let in.
//!
//! In: an authority, identities, passphrases. Out: who opens what. It refuses to know how relayca seals.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::authority::{Admin, judge};

/// All that is sealed to the admins.
pub fn sealed(admin: &Admin) -> Vec<PathBuf> {
    let mut files = vec![admin.part("ca/ca.passphrase.age")];
    for directory in ["bundles", "bundles/old"] {
        let Ok(entries) = admin.part(directory).read_dir() else {
            continue;
        };
        files.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.to_str().unwrap().ends_with(".passphrase.age")),
        );
    }
    files
}

/// Whether stock age opens it with this identity.
pub fn opens(identity: &Path, sealed: &Path) -> bool {
    Command::new("age")
        .args(["-d", "-o", "/dev/null", "-i"])
        .arg(identity)
        .arg(sealed)
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

pub fn opens_all(admin: &Admin, identity: &Path) -> bool {
    sealed(admin).iter().all(|file| opens(identity, file))
}

pub fn opens_none(admin: &Admin, identity: &Path) -> bool {
    !sealed(admin).iter().any(|file| opens(identity, file))
}

/// The public key of the CA key as openssl opens it with a passphrase; `None` where it does not.
pub fn ca_key(admin: &Admin, passphrase: &str) -> Option<String> {
    let file = admin.write("ca-passphrase", passphrase);
    let output = Command::new("openssl")
        .args(["pkey", "-pubout", "-passin", &format!("file:{file}"), "-in"])
        .arg(admin.part("ca/ca.key.pem"))
        .output()
        .unwrap();
    std::fs::remove_file(file).unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

pub fn ca_certificate_key(admin: &Admin) -> String {
    let certificate = admin.part("ca/ca.crt.pem");
    judge(
        "openssl",
        &[
            "x509",
            "-noout",
            "-pubkey",
            "-in",
            certificate.to_str().unwrap(),
        ],
    )
}

pub fn settings(admin: &Admin) -> String {
    std::fs::read_to_string(admin.part("relayca.toml")).unwrap()
}

/// With a rekeyed host, so that there is an old bundle, too.
pub fn with_old_bundle() -> Admin {
    let admin = Admin::with_mailhost();
    admin.done(&["renew", "--rekey", "mailhost"]);
    assert_eq!(sealed(&admin).len(), 4);
    admin
}

/// An authority that a passphrase opens: it is in the file `pass`. Each use of it takes a second, so there is no mail host.
pub fn with_passphrase() -> Admin {
    let admin = Admin::new();
    admin.write("pass", "correct horse battery staple\n");
    admin.done(&["init", "example.org", "--passphrase-file", "pass"]);
    admin
}
