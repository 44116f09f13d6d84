//! `install` on hosts that were set up by pasting: what it takes over, what it leaves to whom it belongs, and what `uninstall` may not
//! bring back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod install_kit;

use install_kit::{Hosts, done, failed, same, stand};
use xtask::main_job::{MAIL_HOST, RELAY};

#[test]
fn uninstall_does_not_let_in_again_who_was_revoked() {
    let hosts = Hosts::new();
    let admin = |words: &[&str]| hosts.admin.done(words).unwrap();
    admin(&["issue", "stolen"]);
    hosts.paste_both();
    admin(&["revoke", "stolen"]);
    let said = done(&hosts.install_public(RELAY, "--apply"));
    assert!(said.contains("stolen.example.org"), "{said}");
    let list = hosts.text(RELAY, "relayca/relay_clientcerts");
    assert!(!list.contains("stolen"), "{list}");
    let database = |kind: &str| {
        let map = format!("{}/relayca/relay_clientcerts", hosts.relay.config_inside());
        let said = hosts
            .relay
            .run("postmap", &["-s", &format!("{kind}:{map}")]);
        said.unwrap().stdout
    };
    let said = done(&hosts.uninstall(RELAY, "--apply"));
    assert!(
        said.contains("relay_clientcerts (what lay there before is out of date) stays")
            && said.contains("still has relayca's service from before"),
        "{said}"
    );
    assert_eq!(hosts.text(RELAY, "relayca/relay_clientcerts"), list);
    let kind = hosts
        .relay
        .run("postconf", &["-h", "default_database_type"])
        .unwrap();
    assert!(!database(kind.stdout.trim()).contains("stolen"));
    // The pasted service goes on, and so does the mail of who is listed.
    hosts.mail_flows();
}

#[test]
fn uninstall_does_not_trust_a_retired_ca_again() {
    let hosts = Hosts::new();
    hosts.paste_both();
    let identity = hosts.admin.identity_inside();
    for step in [
        &["rollover", "prepare", "-i", &identity][..],
        &["rollover", "activate"],
        &["rollover", "retire"],
    ] {
        if step.contains(&"retire") {
            hosts.admin.done(&["retire", MAIL_HOST, RELAY]).unwrap();
        }
        hosts.admin.done(step).unwrap();
        if step.contains(&"activate") {
            let words = ["renew", "--due", "-i", &identity];
            hosts.admin.done(&words).unwrap();
        }
        hosts.bring_up_to_date();
    }
    let files = ["example.org-ca.crt.pem", "mailhost.example.org.crt.pem"]
        .map(|name| format!("relayca/{name}"));
    let texts = || files.clone().map(|file| hosts.text(MAIL_HOST, &file));
    let before = texts();
    let said = done(&hosts.uninstall(MAIL_HOST, "--apply"));
    assert!(
        said.contains("example.org-ca.crt.pem (what lay there before is out of date) stays")
            && said.contains("mail goes on through the relay")
            && !said.contains("no longer"),
        "{said}"
    );
    assert_eq!(texts(), before);
    hosts.mail_flows();
}

#[test]
fn the_bundle_of_another_machine_does_not_take_over_one_that_was_pasted() {
    let hosts = Hosts::new();
    hosts.paste_both();
    let key = hosts.key(MAIL_HOST);
    hosts
        .admin
        .config_directory("second.example.org", &hosts.mail_host.config_inside())
        .unwrap();
    hosts
        .admin
        .done(&["issue", "second", "--seal-to", &key])
        .unwrap();
    let before = stand(&hosts.mail_host.config());
    let bundle = hosts.sealed("second.example.org");
    let line = hosts.install_line(MAIL_HOST, &bundle, "--apply --no-probe");
    let said = failed(&hosts.mail_host.paste(&line).unwrap(), 1);
    assert!(
        said.contains("this Postfix is set up as mailhost.example.org, and the bundle is for second.example.org"),
        "{said}"
    );
    same(&before, &stand(&hosts.mail_host.config()));
}
