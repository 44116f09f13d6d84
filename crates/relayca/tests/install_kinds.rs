//! Every kind of bundle and of host: keys, seals, styles, ports with TLS from the first byte, what main.cf says already. Each is
//! installed, mail flows through it or is refused, and `uninstall` leaves every byte as it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod install_kit;

use std::fs;

use install_kit::{Hosts, Plan, done, failed, same, same_bytes, stand};
use xtask::lab::Setup;
use xtask::main_job::{MAIL_HOST, RELAY, SOON};

/// Installs on both, sends a message, and takes all of it back.
#[track_caller]
fn there_and_back(hosts: &Hosts) {
    let before = hosts.stands();
    hosts.install_both();
    hosts.mail_flows();
    for host in [RELAY, MAIL_HOST] {
        let now = stand(&hosts.instance(host).config());
        let said = done(&if host == RELAY {
            hosts.install_public(host, "--apply")
        } else {
            hosts.install(host, "--apply")
        });
        assert!(said.contains("nothing to do"), "{said}");
        same(&now, &stand(&hosts.instance(host).config()));
        done(&hosts.uninstall(host, "--apply"));
    }
    for (before, after) in before.iter().zip(&hosts.stands()) {
        same_bytes(before, after);
    }
}

#[test]
fn bundles_under_a_passphrase_and_p384_keys() {
    let hosts = Hosts::of(Plan {
        ssh: None,
        init: &["--key", "p384", "--ca-key", "p384"],
        ..Plan::default()
    });
    let before = hosts.stands();
    let file = hosts.passphrase(RELAY);
    let line = |opens: &str| {
        hosts
            .install_line(RELAY, &hosts.sealed(RELAY), "--apply")
            .replace(&format!("--passphrase-file {}", file.display()), opens)
    };
    // Nobody can be asked here, a wrong one opens nothing, and an empty one is none.
    let wrong = file.with_extension("wrong");
    for (content, opens, code, words) in [
        ("", String::new(), 2, "there is no terminal to ask on"),
        (
            "one two three four five six seven eight nine ten\n",
            format!("--passphrase-file {}", wrong.display()),
            1,
            "passphrase",
        ),
        (
            "",
            format!("--passphrase-file {}", wrong.display()),
            2,
            "holds no passphrase",
        ),
    ] {
        fs::write(&wrong, content).unwrap();
        let said = failed(&hosts.relay.paste(&line(&opens)).unwrap(), code);
        assert!(said.contains(words), "{said}");
        same(&before[0], &stand(&hosts.relay.config()));
    }
    // As people give it: by a descriptor, on standard input, typed on a terminal.
    let fd = line(&format!(
        "--passphrase-fd 3 --dry-run 3< {}",
        file.display()
    ));
    done(&hosts.relay.paste(&fd).unwrap());
    let stdin = format!(
        "{} < {}",
        line("--passphrase-file - --dry-run"),
        file.display()
    );
    done(&hosts.relay.paste(&stdin).unwrap());
    let typed = format!(
        "script -qec '{}' /dev/null < {}\n",
        line("--dry-run"),
        file.display()
    );
    let said = hosts.relay.paste(&typed).unwrap();
    assert!(said.stdout.contains("would change"), "{said:?}");
    same(&before[0], &stand(&hosts.relay.config()));
    there_and_back(&hosts);
}

#[test]
fn rsa_host_keys_ed25519_certificates_and_tls_from_the_first_byte() {
    there_and_back(&Hosts::of(Plan {
        ssh: Some("rsa"),
        init: &["--key", "ed25519"],
        edits: &[("wrapper = false", "wrapper = true")],
        ..Plan::default()
    }));
}

#[test]
fn the_style_main_and_rsa_certificates() {
    let hosts = Hosts::of(Plan {
        init: &["--key", "rsa2048"],
        edits: &[("style = \"transport\"", "style = \"main\"")],
        ..Plan::default()
    });
    let before = hosts.stands();
    hosts.install_both();
    hosts.mail_flows();
    let main = hosts.text(MAIL_HOST, "main.cf");
    assert!(main.contains("smtp_tls_security_level = secure"), "{main}");
    // Postfix 3.7 does not know it.
    assert!(!main.contains("\ntls_required_enable"), "{main}");
    let style = |from: &str, to: &str| {
        let line = |style: &str| format!("style = \"{style}\"");
        hosts.admin.edit(&line(from), &line(to)).unwrap();
        hosts.admin.done(&["bundle", "mailhost"]).unwrap();
    };
    // With the style that prints commands there is nothing to read.
    style("main", "postconf");
    let said = failed(&hosts.install_public(MAIL_HOST, "--apply"), 1);
    assert!(
        said.contains("has no pieces of main.cf or master.cf"),
        "{said}"
    );
    // From one style to the other: what the one set and the other does not goes back to what it was.
    style("postconf", "transport");
    done(&hosts.install_public(MAIL_HOST, "--apply"));
    let main = hosts.text(MAIL_HOST, "main.cf");
    assert!(main.contains("smtp_tls_security_level = may"), "{main}");
    hosts.mail_flows();
    done(&hosts.uninstall(MAIL_HOST, "--apply"));
    same_bytes(&before[1], &stand(&hosts.mail_host.config()));
}

#[test]
fn a_main_cf_in_which_everything_speaks_against_it() {
    let hosts = Hosts::of(Plan {
        relay: Setup::new(RELAY).hostile(),
        mail_host: Setup::new(MAIL_HOST)
            .hostile()
            .set("smtpd_recipient_restrictions", "")
            .set("smtp_tls_chain_files", "/etc/ssl/private/nothing.pem")
            .set("relayhost", "[127.0.0.1]:9")
            .set("default_transport", "smtp:[127.0.0.1]:9")
            .set("sender_dependent_relayhost_maps", "static:[127.0.0.1]:9"),
        ..Plan::default()
    });
    there_and_back(&hosts);
    // What comes before it is told.
    let main = hosts.mail_host.config().join("main.cf");
    let text = fs::read_to_string(&main).unwrap() + "transport_maps = static:discard:\n";
    fs::write(&main, &text).unwrap();
    let said = done(&hosts.install(MAIL_HOST, "--apply --dry-run"));
    assert!(
        said.contains("warning: transport_maps = static:discard: comes before default_transport"),
        "{said}"
    );
}

#[test]
fn a_host_that_is_bound_to_its_senders_and_then_to_none() {
    let hosts = Hosts::of(Plan {
        issue: &["--senders", "example.org"],
        ..Plan::default()
    });
    let before = hosts.stands();
    hosts.install_both();
    hosts.mail_flows();
    let send = |from: &str| {
        hosts
            .mail_host
            .send(from, "someone@example.net", "x")
            .unwrap()
    };
    send("info@example.com");
    hosts
        .mail_host
        .wait_for_log("status=deferred", SOON)
        .unwrap();
    let sent = hosts.internet.count();
    // Bound no more: a bundle without the table, and the service goes by the list alone.
    let toml = hosts.admin.file("relayca.toml");
    let text = fs::read_to_string(&toml).unwrap();
    let unbound: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("senders"))
        .collect();
    assert_ne!(unbound.len(), text.lines().count());
    fs::write(&toml, unbound.join("\n") + "\n").unwrap();
    hosts.admin.done(&["bundle", RELAY]).unwrap();
    let said = done(&hosts.install_public(RELAY, "--apply"));
    assert!(said.contains("the probe holds"), "{said}");
    hosts.mail_host.flush().unwrap();
    hosts.internet.wait_for(sent + 1, SOON).unwrap();
    done(&hosts.uninstall(RELAY, "--apply"));
    same_bytes(&before[0], &stand(&hosts.relay.config()));
}
