//! The name of the relay does not resolve on the mail host, or stops to: nothing is changed, and no mail is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use pair::{Pair, RELAY, SOON, Wish, backdate, config_files, paste};
use relayca_postfix::{NextHop, Style, mail_host_snippet};
use xtask::lab::Port;

const STYLES: [Style; 3] = [Style::Transport, Style::Main, Style::Postconf];
const NOBODY: &str = "127.0.0.1 localhost mail.example.org\n";
const KNOWN: &str = "127.0.0.1 localhost mail.example.org relay.example.org relay2.example.org\n";

#[test]
fn a_name_that_does_not_resolve_stops_the_script() {
    let pair = Pair::before_pasting(Wish::default());
    let before = config_files(&pair.mail_host);
    for style in STYLES {
        let mut settings = pair.settings();
        settings.style = style;
        settings.relays.push(NextHop {
            destination: "relay3.example.org".to_owned(),
            port: 2500,
            certificate_name: RELAY.to_owned(),
        });
        let script = mail_host_snippet(&settings).unwrap().script;
        let said = pair.mail_host.paste(&script).unwrap();
        assert!(
            !said.ok()
                && said
                    .stderr
                    .contains("relay3.example.org does not resolve here"),
            "{style}: {said:?}"
        );
        // Without getent the other programs, and /etc/hosts, tell the same.
        let other = script.replace("command -v getent", "command -v no-such-getent");
        assert_ne!(other, script);
        for (nslookup, refused) in [("exit 1", true), ("exit 0", false)] {
            let bin = pair.mail_host.directory().join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in ["host", "nslookup"] {
                let file = bin.join(program);
                // Asked about the name that is not in /etc/hosts, and not about the other.
                let text =
                    format!("#!/bin/sh\n[ \"$1\" = relay3.example.org ] || exit 1\n{nslookup}\n");
                pair::write(&file, &text);
                std::fs::set_permissions(
                    &file,
                    std::os::unix::fs::PermissionsExt::from_mode(0o755),
                )
                .unwrap();
            }
            let path = format!(
                "PATH={}:{}:/usr/sbin",
                bin.display(),
                std::env::var("PATH").unwrap()
            );
            // The check alone: the rest of the script is for the other tests.
            let (check, _) = other.split_once("\n# Keep main.cf").unwrap();
            let said = pair
                .mail_host
                .paste_into(&["env", &path, "sh"], &format!("{check}\n)\n"))
                .unwrap();
            assert_eq!(!said.ok(), refused, "{style}: {said:?}");
        }
    }
    assert_eq!(config_files(&pair.mail_host), before);
}

#[test]
fn an_address_needs_no_look_up() {
    let pair = Pair::before_pasting(Wish {
        destination: "127.0.0.1",
        ..Wish::default()
    });
    assert!(!pair.mail_host_script().contains("resolves"));
}

#[test]
fn mail_waits_while_the_name_is_gone_and_a_real_refusal_still_bounces() {
    for style in STYLES {
        let pair = Pair::new(Wish {
            style,
            ..Wish::default()
        });
        pair.mail_host.set_hosts(NOBODY).unwrap();
        let said = pair.is_refused("gone@example.net");
        assert!(said.contains("dsn=4.3.5"), "{style}: {said}");

        // That it is `relayhost` that makes it wait: without it this message bounces, with it the earlier one arrives.
        if style != Style::Main {
            let said = pair
                .mail_host
                .run("postconf", &["-PX", "relayca/unix/relayhost"])
                .unwrap();
            assert!(said.ok(), "{}", said.stderr);
            pair.mail_host.reload().unwrap();
            pair.mail_host
                .send("info@example.org", "lost@example.net", "hello")
                .unwrap();
            pair.mail_host.wait_for_log("dsn=5.4.4", SOON).unwrap();
        }
        pair.mail_host.set_hosts(KNOWN).unwrap();
        paste(&pair.mail_host, &pair.mail_host_script());
        backdate(&pair.mail_host);
        pair.relays("back@example.net");

        pair.mail_host
            .send("info@example.org", "nobody-here@relay.example.org", "hello")
            .unwrap();
        pair.mail_host
            .wait_for_log("said: 550 5.1.1 <nobody-here@relay.example.org>", SOON)
            .unwrap();
        let log = pair.mail_host.log();
        assert!(
            log.lines()
                .any(|line| line.contains("550 5.1.1") && line.contains("status=bounced")),
            "{style}: {log}"
        );
    }
}

#[test]
fn mail_waits_while_one_relay_is_down_and_the_name_of_the_next_is_gone() {
    for style in [Style::Transport, Style::Main] {
        let pair = Pair::before_pasting(Wish::default());
        pair.paste_map(&[&pair.listed]);
        paste(&pair.relay, &pair.relay_script());
        let closed = Port::reserve().unwrap();
        let mut settings = pair.settings();
        settings.style = style;
        settings.relays.insert(
            0,
            NextHop {
                destination: "relay2.example.org".to_owned(),
                port: closed.number(),
                certificate_name: "relay2.example.org".to_owned(),
            },
        );
        paste(
            &pair.mail_host,
            &mail_host_snippet(&settings).unwrap().script,
        );
        backdate(&pair.mail_host);
        pair.mail_host
            .set_hosts("127.0.0.1 localhost mail.example.org relay2.example.org\n")
            .unwrap();
        pair.is_refused("one@example.net");
        pair.mail_host.set_hosts(NOBODY).unwrap();
        pair.is_refused("none@example.net");
        pair.mail_host.set_hosts(KNOWN).unwrap();
        pair.mail_host.flush().unwrap();
        pair.arrives("one@example.net");
        pair.arrives("none@example.net");
    }
}
