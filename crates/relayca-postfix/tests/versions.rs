//! The same text on other versions of Postfix. Each is a Debian suite in a directory (debootstrap --variant=minbase
//! --include=postfix,postfix-lmdb,openssl SUITE DIR); `RELAYCA_TREES` names them all, joined by colons. Some minutes:
//! `RELAYCA_TREES=... cargo test -p relayca-postfix --test versions -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod pair;

use pair::{MAIL_HOST, Pair, SOON, Wish, config_files, paste};
use relayca_postfix::{RelayStyle, SenderBinding, Style};
use xtask::lab::Tree;
use xtask::lab::openssl::Usage;

fn trees() -> Vec<Tree> {
    let paths = std::env::var("RELAYCA_TREES").expect("RELAYCA_TREES names the trees");
    paths
        .split(':')
        .map(Tree::at)
        .chain([Tree::default()])
        .collect()
}

fn holds(wish: Wish) {
    let what = format!(
        "{:?} to {:?}, {} {}",
        wish.mail_host_tree, wish.relay_tree, wish.style, wish.relay_style
    );
    eprintln!("{what}");
    let pair = Pair::new(wish);
    for instance in [&pair.relay, &pair.mail_host] {
        for (program, arguments) in [("postfix", &["check"][..]), ("postconf", &[])] {
            let said = instance.run(program, arguments).unwrap();
            // Of what others left in main.cf, later versions say that it will go. Of ours they say nothing.
            let ours = said
                .stderr
                .lines()
                .filter(|line| {
                    !line.contains("smtp_tls_per_site")
                        && !line.contains("COMPATIBILITY")
                        && !line.contains("compatib")
                        && !line.contains("DEPRECATION")
                })
                .collect::<Vec<_>>();
            assert!(said.ok() && ours.is_empty(), "{what}: {program}: {ours:#?}");
        }
    }
    pair.relays("someone@example.net");
    pair.mail_host
        .wait_for_log("Verified TLS connection established to", SOON)
        .unwrap();
    let before = (config_files(&pair.relay), config_files(&pair.mail_host));
    paste(&pair.relay, &pair.relay_script());
    paste(&pair.mail_host, &pair.mail_host_script());
    assert_eq!(
        before,
        (config_files(&pair.relay), config_files(&pair.mail_host)),
        "{what}"
    );

    pair.show(&pair.authority.issue(MAIL_HOST, Usage::Client).unwrap());
    let said = pair.is_refused("unlisted@example.net");
    assert!(said.contains("450 4."), "{what}: {said}");
    let expired = pair
        .authority
        .issue_between(
            MAIL_HOST,
            Usage::Client,
            "20200101000000Z",
            "20200201000000Z",
        )
        .unwrap();
    pair.paste_map(&[&pair.listed, &expired]);
    pair.show(&expired);
    let said = pair.is_refused("expired@example.net");
    assert!(said.contains("421 4."), "{what}: {said}");
    pair.show(&pair.listed);
    pair.mail_host.flush().unwrap();
    pair.arrives("unlisted@example.net");
    pair.arrives("expired@example.net");
}

#[test]
#[ignore = "needs RELAYCA_TREES"]
fn one_text_holds_on_every_version_and_between_them() {
    let trees = trees();
    for (index, tree) in trees.iter().enumerate() {
        let next = &trees[(index + 1) % trees.len()];
        for hostile in [false, true] {
            let both = Wish {
                relay_tree: tree.clone(),
                mail_host_tree: tree.clone(),
                hostile,
                ..Wish::default()
            };
            holds(both.clone());
            holds(Wish {
                style: Style::Postconf,
                relay_style: RelayStyle::Postconf,
                ..both.clone()
            });
            holds(Wish {
                style: Style::Main,
                wrapper: true,
                destination: "127.0.0.1",
                ..both
            });
        }
        holds(Wish {
            relay_tree: tree.clone(),
            mail_host_tree: next.clone(),
            ..Wish::default()
        });
        holds(Wish {
            relay_tree: next.clone(),
            mail_host_tree: tree.clone(),
            ..Wish::default()
        });
        let senders = vec![SenderBinding {
            host: MAIL_HOST.to_owned(),
            senders: vec!["example.org".to_owned()],
        }];
        holds(Wish {
            relay_tree: tree.clone(),
            mail_host_tree: tree.clone(),
            senders,
            ..Wish::default()
        });
    }
}
