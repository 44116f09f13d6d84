//! `relayca install` on real Postfixes: mail flows by it alone, and `uninstall` leaves no trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod install_kit;

use std::fs;
use std::os::unix::fs::MetadataExt;

use install_kit::{Hosts, done, failed, same, same_bytes, stand};
use xtask::main_job::{MAIL_HOST, RELAY};

#[test]
fn both_hosts_are_set_up_by_install_alone_and_uninstall_leaves_every_byte_as_it_was() {
    let hosts = Hosts::new();
    let before = [RELAY, MAIL_HOST].map(|host| stand(&hosts.instance(host).config()));
    let said = done(&hosts.install(RELAY, "--apply"));
    assert!(said.contains("the probe holds"), "{said}");
    assert!(said.contains("refused, as it must be without a certificate"));
    assert!(said.contains("refused, as it must be, with a certificate that signed itself"));
    // The sealed bundle is older than the mail host: the relay does not know it yet.
    let said = failed(&hosts.install(MAIL_HOST, "--apply"), 1);
    assert!(
        said.contains("no relay takes mail of mailhost.example.org"),
        "{said}"
    );
    same(&before[1], &stand(&hosts.mail_host.config()));
    done(&hosts.install_public(RELAY, "--apply"));
    let said = done(&hosts.install(MAIL_HOST, "--apply"));
    assert!(
        said.contains("it would relay to postmaster@example.com"),
        "{said}"
    );
    hosts.mail_flows();

    let key = hosts
        .mail_host
        .config()
        .join(format!("relayca/{MAIL_HOST}.key.pem"));
    let key = fs::metadata(key).unwrap();
    assert_eq!((key.mode() & 0o7777, key.uid(), key.gid()), (0o600, 0, 0));

    // Twice does nothing.
    for host in [RELAY, MAIL_HOST] {
        let now = stand(&hosts.instance(host).config());
        let said = done(&if host == RELAY {
            hosts.install_public(host, "--apply")
        } else {
            hosts.install(host, "--apply")
        });
        assert!(said.contains("nothing to do"), "{said}");
        same(&now, &stand(&hosts.instance(host).config()));
    }

    for (host, before) in [RELAY, MAIL_HOST].iter().zip(&before) {
        done(&hosts.uninstall(host, "--apply"));
        same_bytes(before, &stand(&hosts.instance(host).config()));
        let said = hosts.instance(host).run("postfix", &["status"]).unwrap();
        assert!(said.ok(), "{}", said.stderr);
        failed(&hosts.uninstall(host, "--apply"), 1);
    }
}
