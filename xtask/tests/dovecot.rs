//! The lab's Dovecot answers, and lets in who has the password.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;

use xtask::lab::openssl::{Authority, Usage};
use xtask::lab::{DovecotSetup, Setup, Tree};

fn curl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20"])
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn dovecot_answers_over_tls_and_knows_its_users() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "lab").unwrap();
    let certificate = authority.issue("localhost", Usage::Server).unwrap();
    let dovecot = DovecotSetup::default()
        .user("info@example.org", "secret")
        .certificate(&certificate)
        .start()
        .unwrap();
    let ca = authority.certificate().display().to_string();
    for url in [
        format!("imaps://localhost:{}/INBOX", dovecot.imaps()),
        format!("pop3s://localhost:{}/", dovecot.pop3s()),
    ] {
        let ask = |user| curl(&["--cacert", &ca, "--user", user, &url]);
        let (good, said) = ask("info@example.org:secret");
        assert!(good, "{url}: {said}\n{}", dovecot.log());
        assert!(!ask("info@example.org:wrong").0, "{url}");
    }
    assert!(dovecot.master().is_some());
    dovecot.stop().unwrap();
    assert_eq!(dovecot.master(), None);
}

#[test]
fn postfix_may_ask_it_about_passwords() {
    let postfix = Setup::new("mail.example.org").create().unwrap();
    std::fs::create_dir_all(postfix.directory().join("queue/private")).unwrap();
    let dovecot = DovecotSetup::default()
        .user("info@example.org", "secret")
        .authenticates(&postfix)
        .start()
        .unwrap();
    assert!(postfix.directory().join("queue/private/auth").exists());
    let said = dovecot
        .run("doveadm", &["auth", "test", "info@example.org", "secret"])
        .unwrap();
    assert!(said.ok(), "{said:?}\n{}", dovecot.log());
}

/// By hand: `RELAYCA_TREES=DIR cargo test -p xtask --test dovecot -- --ignored`, with Dovecot in the tree.
#[test]
#[ignore = "needs RELAYCA_TREES, with Dovecot in the trees"]
fn another_version_answers_too() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "lab").unwrap();
    let certificate = authority.issue("localhost", Usage::Server).unwrap();
    let ca = authority.certificate().display().to_string();
    for tree in std::env::var("RELAYCA_TREES").unwrap().split(':') {
        let dovecot = DovecotSetup::default()
            .tree(Tree::at(tree))
            .user("info@example.org", "secret")
            .certificate(&certificate)
            .start()
            .unwrap();
        let url = format!("imaps://localhost:{}/INBOX", dovecot.imaps());
        let (good, said) = curl(&["--cacert", &ca, "--user", "info@example.org:secret", &url]);
        assert!(good, "{}: {said}\n{}", dovecot.version(), dovecot.log());
    }
}
