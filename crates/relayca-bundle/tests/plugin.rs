//! Plugins: a tiny `age-plugin-fake` in a PATH of its own, with stock `age` as judge in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Typist, run};
use relayca_bundle::{
    Identities, OpenError, OpenWith, Prompt, Recipient, SealError, SealTo, no_prompt, open, seal,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

const RECIPIENT: &str = "age1fake1w3jhxaqrc5akr";
const IDENTITY: &str = "AGE-PLUGIN-FAKE-1W3JHXAQ8FAZUR";
const MISSING_RECIPIENT: &str = "age1nowhere1w3jhxaq284ppp";
const MISSING_IDENTITY: &str = "AGE-PLUGIN-NOWHERE-1W3JHXAQ90K859";

/// "Wraps" the file key as itself; asks for a PIN to unwrap it (<https://c2sp.org/age-plugin>).
const PLUGIN: &str = r#"#!/bin/sh
next() { IFS= read -r line || exit 1; }
expect_ok() { next; case "$line" in '-> ok') next ;; *) fail "no answer" ;; esac }
fail() { printf -- '-> error internal\n%s\n' "$(printf %s "$1" | base64 | tr -d =)"; next; next; printf -- '-> done\n\n'; exit 0; }
case "$1" in
--age-plugin=recipient-v1)
    while next; do
        case "$line" in
        '-> wrap-file-key') next; key=$line ;;
        '-> done') next; break ;;
        esac
    done
    printf -- '-> recipient-stanza 0 fake\n%s\n' "$key"; expect_ok ;;
--age-plugin=identity-v1)
    while next; do
        case "$line" in
        '-> recipient-stanza 0 fake') next; key=$line ;;
        '-> done') next; break ;;
        esac
    done
    if [ -n "$key" ]; then
        printf -- '-> msg\n%s\n' "$(printf 'insert\033[31m the fake' | base64 | tr -d =)"; expect_ok
        printf -- '-> request-secret\n%s\n' "$(printf PIN | base64 | tr -d =)"
        next; [ "$line" = '-> ok' ] || { next; fail 'no PIN'; }
        next; [ "$line" = "$(printf 1234 | base64 | tr -d =)" ] || fail 'wrong PIN'
        printf -- '-> file-key 0\n%s\n' "$key"; expect_ok
    fi ;;
esac
printf -- '-> done\n\n'
"#;

/// Runs `inside` with the plugin in PATH: since a process cannot safely change its own environment, in a child that
/// is this program with the same test again.
fn with_plugin_in_path(test: &str, inside: fn()) {
    if std::env::var_os("RELAYCA_TEST_PLUGIN_IN_PATH").is_some() {
        return inside();
    }
    let dir = tempfile::tempdir().unwrap();
    let plugin = dir.path().join("age-plugin-fake");
    fs::write(&plugin, PLUGIN).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        dir.path().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("PATH", path)
        .env("RELAYCA_TEST_PLUGIN_IN_PATH", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

fn seal_to(plain: &[u8], recipients: &[&str]) -> Result<Vec<u8>, SealError> {
    let recipients: Vec<Recipient> = recipients
        .iter()
        .map(|r| Recipient::parse(r).unwrap())
        .collect();
    seal(
        plain,
        &SealTo::Recipients {
            recipients: &recipients,
            prompt: &no_prompt(),
        },
    )
}

fn identities(text: &str, prompt: Arc<dyn Prompt>) -> Identities {
    Identities::parse(text.as_bytes(), "token", prompt).unwrap()
}

#[test]
fn a_plugin_seals_and_opens_and_its_questions_reach_the_prompt() {
    with_plugin_in_path(
        "a_plugin_seals_and_opens_and_its_questions_reach_the_prompt",
        both_directions,
    );
}

fn both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let sealed = seal_to(b"for the token", &[RECIPIENT]).unwrap();
    let typist = Typist::new(Some("1234"));
    let known = identities(IDENTITY, typist.clone());
    assert!(!known.native_only() && known.recipients().is_empty());
    assert_eq!(
        *open(&sealed, &OpenWith::Identities(&known)).unwrap(),
        b"for the token"
    );
    assert_eq!(
        *typist.asked.lock().unwrap(),
        ["insert [31m the fake", "PIN"]
    );

    let theirs = run("age", &["-r", RECIPIENT], dir.path(), b"from age");
    assert_eq!(
        *open(&theirs, &OpenWith::Identities(&known)).unwrap(),
        b"from age"
    );
    fs::write(dir.path().join("sealed.age"), &sealed).unwrap();
    fs::write(dir.path().join("token"), format!("{IDENTITY}\n")).unwrap();
    let command = "age -d -i token -o opened sealed.age";
    assert!(judges::on_terminal(command, dir.path(), "1234\n"));
    assert_eq!(
        fs::read(dir.path().join("opened")).unwrap(),
        b"for the token"
    );
}

#[test]
fn a_plugin_that_refuses_is_quoted_and_other_keys_still_open() {
    with_plugin_in_path(
        "a_plugin_that_refuses_is_quoted_and_other_keys_still_open",
        refusing,
    );
}

fn refusing() {
    let (text, recipient) = relayca_bundle::generate_identity();
    let sealed = seal_to(b"a", &[RECIPIENT]).unwrap();
    for (answer, reason) in [(Some("9999"), "wrong PIN"), (None, "no PIN")] {
        let known = identities(IDENTITY, Typist::new(answer));
        let error = open(&sealed, &OpenWith::Identities(&known)).unwrap_err();
        assert!(
            matches!(error, OpenError::Plugin { .. }) && error.to_string().contains(reason),
            "{error}"
        );
    }
    let both = seal_to(b"b", &[RECIPIENT, recipient.text()]).unwrap();
    let known = identities(&format!("{IDENTITY}\n{}", text.as_str()), no_prompt());
    assert_eq!(*open(&both, &OpenWith::Identities(&known)).unwrap(), b"b");
    let stranger = seal_to(b"c", &[relayca_bundle::generate_identity().1.text()]).unwrap();
    let error = open(
        &stranger,
        &OpenWith::Identities(&identities(IDENTITY, no_prompt())),
    )
    .unwrap_err();
    assert!(matches!(error, OpenError::WrongKey), "{error}");
}

#[test]
fn a_missing_plugin_is_named_and_other_keys_still_open() {
    let (text, recipient) = relayca_bundle::generate_identity();
    let error = seal_to(b"a", &[MISSING_RECIPIENT]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plugin `age-plugin-nowhere` was not found"
    );
    assert!(error.hint().unwrap().contains("age-plugin-nowhere"));
    assert_eq!(
        Recipient::parse(MISSING_RECIPIENT).unwrap().plugin(),
        Some("nowhere")
    );

    let sealed = seal_to(b"a", &[recipient.text()]).unwrap();
    let known = identities(MISSING_IDENTITY, no_prompt());
    let error = open(&sealed, &OpenWith::Identities(&known)).unwrap_err();
    assert!(matches!(error, OpenError::PluginMissing { .. }), "{error}");
    let known = identities(
        &format!("{MISSING_IDENTITY}\n{}", text.as_str()),
        no_prompt(),
    );
    assert_eq!(*open(&sealed, &OpenWith::Identities(&known)).unwrap(), b"a");
}
