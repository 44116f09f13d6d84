//! Every snippet as it is printed, kept in fixtures/snippets: a change of a setting shows itself in the review.
//! `RELAYCA_BLESS=1 cargo nextest run -p relayca-postfix --test golden` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::Path;

use relayca_postfix::{
    MailHost, NextHop, Refusal, RelayService, RelayStyle, SenderBinding, Style, mail_host_snippet,
    map_script, relay_snippet,
};

fn service() -> RelayService {
    RelayService {
        domain: "example.org".to_owned(),
        relay: "relayhost.example.org".to_owned(),
        port: 2500,
        wrapper: false,
        config_directory: "/etc/postfix".to_owned(),
        digest: "sha256".to_owned(),
        refusal: Refusal::Defer,
        senders: Vec::new(),
    }
}

fn mail_host(style: Style) -> MailHost {
    MailHost {
        domain: "example.org".to_owned(),
        host: "mailhost.example.org".to_owned(),
        config_directory: "/etc/postfix".to_owned(),
        relays: vec![NextHop {
            destination: "relayhost.example.org".to_owned(),
            port: 2500,
            certificate_name: "relayhost.example.org".to_owned(),
        }],
        wrapper: false,
        style,
    }
}

fn is_as_kept(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/snippets")
        .join(name);
    if std::env::var_os("RELAYCA_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let first = kept
        .lines()
        .zip(text.lines())
        .position(|(kept, now)| kept != now);
    assert!(
        kept == text,
        "{} differs from line {:?} on",
        path.display(),
        first.map(|line| line + 1)
    );
}

#[test]
fn the_relay_is_told_what_the_fixtures_keep() {
    is_as_kept(
        "relay.sh",
        &relay_snippet(&service(), RelayStyle::Block).unwrap().script,
    );
    is_as_kept(
        "relay-postconf.sh",
        &relay_snippet(&service(), RelayStyle::Postconf)
            .unwrap()
            .script,
    );
    let bound = RelayService {
        senders: vec![SenderBinding {
            host: "mailhost.example.org".to_owned(),
            senders: vec!["example.org".to_owned(), "alerts@example.net".to_owned()],
        }],
        ..service()
    };
    is_as_kept(
        "relay-senders.sh",
        &relay_snippet(&bound, RelayStyle::Block).unwrap().script,
    );
}

#[test]
fn the_mail_host_is_told_what_the_fixtures_keep() {
    for (name, style) in [
        ("transport", Style::Transport),
        ("main", Style::Main),
        ("postconf", Style::Postconf),
    ] {
        is_as_kept(
            &format!("mailhost-{name}.sh"),
            &mail_host_snippet(&mail_host(style)).unwrap().script,
        );
    }
}

#[test]
fn the_map_is_put_in_place_as_the_fixtures_keep() {
    let map = "2A:60 mailhost.example.org\n";
    is_as_kept("map.sh", &map_script("/etc/postfix", map, Some(3)).unwrap());
}
