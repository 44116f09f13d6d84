//! What relayca tells of itself: help, manual pages, completions; and what `--quiet` leaves out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::process::Command;

use authority::{Admin, Outcome, judge};

#[test]
fn completions_are_accepted_by_their_shells() {
    let admin = Admin::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = admin.done(&["completions", shell]);
        assert!(
            script.contains("issue") && script.contains("passphrase-file"),
            "{shell}"
        );
        judge(shell, &["-n", &admin.write(shell, script)]);
    }
}

#[test]
fn manual_pages_please_groff_and_mandoc() {
    let admin = Admin::new();
    std::fs::create_dir(admin.file("man1")).unwrap();
    admin.done(&["man", "--out", "man1"]);
    admin.write("man1/standard.1", admin.done(&["man"]));
    let pages: Vec<_> = admin
        .file("man1")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(pages.len() >= 15, "{pages:?}");
    for page in pages {
        let page = page.to_str().unwrap();
        let groff = Command::new("groff")
            .args(["-Kutf8", "-ww", "-z", "-man", "-Tutf8", page])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&groff.stderr), "", "{page}");
        judge("mandoc", &["-T", "lint", "-W", "error", page]);
    }
    // What is there is not overwritten.
    admin.refused(1, &["man", "--out", "man1"]);
}

#[test]
fn help_shows_examples_and_every_command_has_its_own() {
    let admin = Admin::new();
    let help = admin.done(&["--help"]);
    assert!(
        help.contains("Exit codes: 0 done, 1 failed, 2 usage"),
        "{help}"
    );
    for command in [
        "init",
        "issue",
        "list",
        "show",
        "map",
        "fingerprint",
        "snippet",
        "bundle",
        "passphrase",
        "open",
        "verify",
        "renew",
        "retire",
        "revoke",
        "crl",
        "rollover",
        "request",
        "passwd",
        "check",
        "import",
        "backup",
        "restore",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{command}: {help}");
        let own = admin.done(&[command, "--help"]);
        assert!(own.contains("relayca ") && own.contains("xample"), "{own}");
    }
    assert!(admin.done(&["--version"]).starts_with("relayca "));
}

#[test]
fn quiet_keeps_data_and_errors_and_drops_notes() {
    let admin = Admin::with_mailhost();
    let outcome = admin.run(&["list", "-q"]);
    assert_eq!(outcome.stderr, "");
    assert!(outcome.done().contains("mailhost"));
    let outcome = Outcome::of(&mut admin.relayca(&["show", "nobody", "-q"]));
    outcome.refused(1);
}
