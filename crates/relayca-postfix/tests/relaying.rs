//! Mail flows from the mail host through the relay, in every style, and pasting twice changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use pair::{Pair, RELAY, SOON, Wish, backdate, config_files, paste};
use relayca_postfix::{NextHop, RelayStyle, Style, mail_host_snippet};
use xtask::lab::Port;

fn flows_and_pastes_twice(wish: Wish) -> Pair {
    let pair = Pair::new(wish);
    pair.relays("someone@example.net");
    pair.mail_host
        .wait_for_log("Verified TLS connection established to", SOON)
        .unwrap();
    pair.relay
        .wait_for_log("Trusted TLS connection established from", SOON)
        .unwrap();

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

#[test]
fn what_others_left_does_not_matter_in_the_other_styles_either() {
    for (style, relay_style) in [
        (Style::Main, RelayStyle::Block),
        (Style::Postconf, RelayStyle::Postconf),
    ] {
        flows_and_pastes_twice(Wish {
            style,
            relay_style,
            hostile: true,
            ..Wish::default()
        });
    }
}

#[test]
fn the_next_of_several_relays_takes_over_each_under_its_own_name() {
    let pair = Pair::new(Wish::default());
    let mut settings = pair.settings();
    let hop = |name: &str, port| NextHop {
        destination: name.to_owned(),
        port,
        certificate_name: name.to_owned(),
    };
    let closed = Port::reserve().unwrap();
    // Nobody listens; then the relay under a name that it has no certificate for; then the relay.
    settings.relays = vec![
        hop(RELAY, closed.number()),
        hop("relay2.example.org", pair.port.number()),
        hop(RELAY, pair.port.number()),
    ];
    for style in [Style::Transport, Style::Main] {
        settings.style = style;
        paste(
            &pair.mail_host,
            &mail_host_snippet(&settings).unwrap().script,
        );
        backdate(&pair.mail_host);
        let to = format!("{style}@example.net");
        pair.relays(&to);
    }
    pair.mail_host
        .wait_for_log(
            "Verified TLS connection established to relay.example.org",
            SOON,
        )
        .unwrap();
    let log = pair.mail_host.log();
    assert!(
        log.contains("Untrusted TLS connection established to relay2.example.org")
            || log.contains("Trusted TLS connection established to relay2.example.org"),
        "{log}"
    );
    assert!(
        !log.contains("Verified TLS connection established to relay2.example.org"),
        "{log}"
    );
}

#[test]
fn a_port_that_something_else_has_does_not_cost_the_mail_system() {
    let pair = Pair::before_pasting(Wish::default());
    pair.paste_map(&[&pair.listed]);
    let before = config_files(&pair.relay);
    let taken = std::net::TcpListener::bind(("127.0.0.1", pair.port.number())).unwrap();
    let said = pair.relay.paste(&pair.relay_script()).unwrap();
    assert!(!said.ok() && said.stderr.contains("is port"), "{said:?}");
    assert_eq!(config_files(&pair.relay), before);
    assert!(pair.relay.master().is_some(), "{}", pair.relay.log());
    drop(taken);
    paste(&pair.relay, &pair.relay_script());
}
