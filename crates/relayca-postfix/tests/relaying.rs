//! Mail flows from the mail host through the relay, in every style, and pasting twice changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use pair::{Pair, Wish, config_files, paste};
use relayca_postfix::{RelayStyle, Style};

fn flows_and_pastes_twice(wish: Wish) -> Pair {
    let pair = Pair::new(wish);
    pair.relays("someone@example.net");
    let log = pair.mail_host.log();
    assert!(
        log.contains("Verified TLS connection established to"),
        "{log}"
    );
    let log = pair.relay.log();
    assert!(
        log.contains("Trusted TLS connection established from"),
        "{log}"
    );

    let before = (config_files(&pair.relay), config_files(&pair.mail_host));
    paste(&pair.relay, &pair.relay_script());
    paste(&pair.mail_host, &pair.mail_host_script());
    assert_eq!(
        before,
        (config_files(&pair.relay), config_files(&pair.mail_host))
    );
    for instance in [&pair.relay, &pair.mail_host] {
        let said = instance.run("postfix", &["check"]).unwrap();
        assert_eq!(
            (said.status, said.stdout.as_str(), said.stderr.as_str()),
            (0, "", "")
        );
        let left: Vec<_> = std::fs::read_dir(instance.config().join("relayca"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(
            left.iter()
                .all(|name| !name.to_string_lossy().starts_with("work.")),
            "{left:?}"
        );
    }
    pair.relays("again@example.net");
    pair
}

#[test]
fn a_transport_of_its_own_relays() {
    flows_and_pastes_twice(Wish::default());
}

#[test]
fn everything_in_main_cf_relays() {
    flows_and_pastes_twice(Wish {
        style: Style::Main,
        ..Wish::default()
    });
}

#[test]
fn postconf_commands_on_both_sides_relay() {
    flows_and_pastes_twice(Wish {
        style: Style::Postconf,
        relay_style: RelayStyle::Postconf,
        ..Wish::default()
    });
}

#[test]
fn implicit_tls_relays_to_an_address() {
    flows_and_pastes_twice(Wish {
        wrapper: true,
        destination: "127.0.0.1",
        ..Wish::default()
    });
}

#[test]
fn what_others_left_in_main_cf_does_not_matter() {
    flows_and_pastes_twice(Wish {
        hostile: true,
        ..Wish::default()
    });
}
