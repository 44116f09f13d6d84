//! What `passwd` refuses: whatever leaves nobody who opens the authority, and whatever it cannot be sure of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod sealed;

use std::os::unix::fs::PermissionsExt;

use authority::{Admin, Outcome, judge, keygen};
use sealed::{opens_all, opens_none, sealed, with_old_bundle, with_passphrase};

#[test]
fn what_would_lock_somebody_out_or_says_nothing_is_refused() {
    let admin = Admin::with_mailhost();
    let own = admin.recipient().to_owned();
    let other = keygen(&admin.file("other.txt"));
    admin.write("pass", "correct horse battery staple\n");
    let secret = std::fs::read_to_string(admin.file("other.txt")).unwrap();
    let secret = secret.lines().last().unwrap().to_owned();
    for (code, arguments, told) in [
        (2, vec!["--remove", &own], "the last recipient"),
        (2, vec!["--remove", &other], "is not a recipient"),
        (
            1,
            vec!["--add", &other, "--remove", &own],
            "none of the identities at hand",
        ),
        (
            2,
            vec!["--add", &own, "--remove", &own],
            "both to be added and to be removed",
        ),
        (2, vec!["--add", "age1x"], "not a valid age recipient"),
        (2, vec!["--add", &secret], "a secret key was given"),
        (
            2,
            vec!["--add", &other, "--new-passphrase"],
            "cannot be used with",
        ),
        (
            2,
            vec!["--remove", &own, "--new-passphrase"],
            "cannot be used with",
        ),
        (2, vec!["--new-passphrase-file", "pass"], "--new-passphrase"),
        (2, vec!["--new-passphrase"], "no terminal to ask on"),
        (
            1,
            vec!["--new-passphrase", "--new-passphrase-file", "nowhere"],
            "nowhere",
        ),
        (
            1,
            vec!["--add", &other, "-i", "other.txt"],
            "none of the identities opens",
        ),
        (
            1,
            vec!["--rotate", "-i", "other.txt"],
            "none of the identities opens",
        ),
        (
            1,
            vec!["--add", "age1nowhere1w3jhxaq284ppp"],
            "age-plugin-nowhere",
        ),
    ] {
        let arguments = [&["passwd"][..], &arguments].concat();
        let stderr = admin.refused(code, &arguments);
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
        assert!(!stderr.contains(&secret), "{stderr}");
    }
    let many: Vec<String> = (0..64)
        .map(|number| keygen(&admin.file(&format!("many-{number}"))))
        .collect();
    let mut arguments = vec!["passwd"];
    arguments.extend(many.iter().flat_map(|one| ["--add", one.as_str()]));
    assert!(admin.refused(1, &arguments).contains("too many recipients"));

    let admin = with_passphrase();
    let with = |more: &[&'static str]| [&["passwd"][..], more].concat();
    admin.write("wrong", "wrong\n");
    for (code, arguments, told) in [
        (
            1,
            with(&["--rotate", "--passphrase-file", "wrong"]),
            "does not open",
        ),
        (
            2,
            with(&[
                "--remove",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhpJcZbQzLsKJPv4g9E2gWZ7kUZKyPLJMoXIHEZl3Kd",
                "--passphrase-file",
                "pass",
            ]),
            "no recipient to remove",
        ),
        (
            2,
            with(&[
                "--new-passphrase",
                "--new-passphrase-file",
                "pass",
                "--passphrase-file",
                "pass",
            ]),
            "is the old one",
        ),
        (
            2,
            with(&["--new-passphrase", "--passphrase-file", "pass"]),
            "--new-passphrase-file",
        ),
        (2, with(&["--rotate"]), "--passphrase-file"),
    ] {
        let stderr = admin.refused(code, &arguments);
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
    }
    let both = [
        "passwd",
        "--new-passphrase",
        "--new-passphrase-file",
        "-",
        "--passphrase-file",
        "-",
    ];
    let outcome = admin.run_with_input(&both, b"correct horse battery staple\nnew\n");
    assert!(outcome.refused(2).contains("standard input"));
}

#[test]
fn a_file_that_does_not_open_stops_it_before_anything_is_replaced() {
    let admin = with_old_bundle();
    let other = keygen(&admin.file("other.txt"));
    for file in sealed(&admin) {
        let good = std::fs::read(&file).unwrap();
        let mut broken = good.clone();
        *broken.last_mut().unwrap() ^= 1;
        std::fs::write(&file, broken).unwrap();
        let told = admin.refused(1, &["passwd", "--add", &other]);
        assert!(
            told.contains(file.file_name().unwrap().to_str().unwrap()),
            "{told}"
        );
        std::fs::write(&file, good).unwrap();
    }
    // A CA key of somewhere else under the right passphrase.
    let key = std::fs::read(admin.part("ca/ca.key.pem")).unwrap();
    let passphrase = admin.write("p", admin.done(&["passphrase", "ca"]));
    let part = admin.part("ca/ca.key.pem");
    judge(
        "openssl",
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-aes-256-cbc",
            "-pass",
            &format!("file:{passphrase}"),
            "-out",
            part.to_str().unwrap(),
        ],
    );
    let told = admin.refused(1, &["passwd", "--rotate"]);
    assert!(told.contains("does not belong"), "{told}");
    std::fs::write(part, key).unwrap();
    admin.done(&["passwd", "--add", &other]);
}

/// age-plugin-fake: wraps the file key as itself, and asks for the PIN 1234 (as in relayca-bundle/tests/plugin.rs).
const PLUGIN: &str = r#"#!/bin/sh
next() { IFS= read -r line || exit 1; }
expect_ok() { next; next; }
case "$1" in
--age-plugin=recipient-v1)
    while next; do case "$line" in '-> wrap-file-key') next; key=$line ;; '-> done') next; break ;; esac; done
    printf -- '-> recipient-stanza 0 fake\n%s\n' "$key"; expect_ok ;;
--age-plugin=identity-v1)
    while next; do case "$line" in '-> recipient-stanza 0 fake') next; key=$line ;; '-> done') next; break ;; esac; done
    if [ -n "$key" ]; then
        printf -- '-> request-secret\n%s\n' "$(printf PIN | base64 | tr -d =)"; next; next
        [ "$line" = "$(printf 1234 | base64 | tr -d =)" ] || exit 1
        printf -- '-> file-key 0\n%s\n' "$key"; expect_ok
    fi ;;
esac
printf -- '-> done\n\n'
"#;

#[test]
fn a_token_behind_a_plugin_opens_what_is_sealed_to_it() {
    let admin = with_old_bundle();
    let bin = admin.file("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("age-plugin-fake"), PLUGIN).unwrap();
    std::fs::set_permissions(
        bin.join("age-plugin-fake"),
        PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| Outcome::of(admin.relayca(arguments).env("PATH", &path));
    admin.write("token", "AGE-PLUGIN-FAKE-1W3JHXAQ8FAZUR\n");
    admin.write("pin", "1234\n");
    admin.write("wrong", "0000\n");
    run(&["passwd", "--add", "age1fake1w3jhxaqrc5akr"]).done();
    assert!(admin.done(&["passwd"]).contains("age-plugin-fake"));
    assert!(opens_all(&admin, &admin.identity()));
    let remove = [
        "passwd",
        "--remove",
        admin.recipient(),
        "-i",
        "token",
        "--passphrase-file",
    ];
    let before = admin.tree();
    run(&[&remove[..], &["wrong"]].concat()).refused(1);
    before.assert_same(&admin.tree());
    run(&[&remove[..], &["pin"]].concat()).done();
    assert!(opens_none(&admin, &admin.identity()));
    run(&[
        "passphrase",
        "mailhost",
        "-i",
        "token",
        "--passphrase-file",
        "pin",
    ])
    .done();
    // Without the plugin nothing can be sealed or opened, and that is said.
    let told = admin.run(&["verify", "ca", "-i", "token", "--passphrase-file", "pin"]);
    assert!(told.refused(1).contains("age-plugin-fake"));
}
