//! A host bound to senders relays with those and with `<>`, and with no others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use pair::{MAIL_HOST, Pair, SOON, Wish, paste};
use relayca_postfix::{RelayStyle, SenderBinding, access_map_text};
use xtask::lab;
use xtask::lab::openssl::Usage;

fn bound(relay_style: RelayStyle) -> Pair {
    let senders = vec![
        SenderBinding {
            host: MAIL_HOST.to_owned(),
            senders: vec!["example.org".to_owned(), "Boss@partner.example".to_owned()],
        },
        SenderBinding {
            host: "mail-1.example.org".to_owned(),
            senders: vec!["other.example".to_owned()],
        },
    ];
    Pair::new(Wish {
        relay_style,
        senders,
        ..Wish::default()
    })
}

fn goes(pair: &Pair, from: &str, to: &str) {
    pair.mail_host.send(from, to, "hello").unwrap();
    pair.arrives(to);
}

fn waits(pair: &Pair, from: &str, to: &str) {
    pair.mail_host.send(from, to, "hello").unwrap();
    let line = format!("to=<{to}>");
    lab::wait_for(to, SOON, || {
        pair.mail_host
            .log()
            .lines()
            .any(|l| l.contains(&line) && l.contains("status=deferred") && l.contains("450 4."))
    })
    .unwrap_or_else(|e| panic!("{e}\n{}\n{}", pair.mail_host.log(), pair.relay.log()));
}

#[test]
fn a_bound_host_sends_as_its_own_senders_only() {
    let pair = bound(RelayStyle::Block);
    goes(&pair, "anyone@example.org", "1@example.net");
    goes(&pair, "boss@partner.example", "2@example.net");
    goes(&pair, "<>", "3@example.net");
    waits(&pair, "anyone@partner.example", "4@example.net");
    waits(&pair, "anyone@sub.example.org", "5@example.net");
    waits(&pair, "anyone@other.example", "6@example.net");
    assert_eq!(pair.internet.count(), 3);

    // Bound or not, who is not listed is out.
    let unlisted = pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
    pair.show(&unlisted);
    waits(&pair, "anyone@example.org", "7@example.net");

    // A host without a binding may use any sender.
    let text = access_map_text(
        &[(
            unlisted.fingerprint().unwrap(),
            "web.example.org".to_owned(),
        )],
        &pair.wish.senders,
    )
    .unwrap();
    paste(
        &pair.relay,
        &relayca_postfix::access_map_script(&pair.relay.config_inside(), &text, None).unwrap(),
    );
    goes(&pair, "anyone@anywhere.example", "8@example.net");
}

#[test]
fn postconf_binds_senders_too() {
    let pair = bound(RelayStyle::Postconf);
    goes(&pair, "anyone@example.org", "1@example.net");
    waits(&pair, "anyone@other.example", "2@example.net");
}
