//! The same text on other versions of Postfix and Dovecot, as versions.rs does for the pair: `RELAYCA_TREES` names the
//! directories, joined by colons; one with Dovecot in it (2.4 in Debian 13) is told the role dovecot too.
//! `RELAYCA_TREES=... cargo test -p relayca-postfix --test roles_versions -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod roles_kit;

use std::path::Path;
use std::time::Duration;

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::Role;
use roles_kit::HOST;
use roles_kit::server::{PASSWORD, Server, USER, ask, serial};
use xtask::lab::openssl::Usage;
use xtask::lab::{Setup, Tree, wait_for};

const SOON: Duration = Duration::from_secs(30);

fn holds(tree: &Tree, style: RelayStyle) {
    let what = format!("{tree:?} {style}");
    eprintln!("{what}");
    let server = Server::new(|setup: Setup| setup, style, tree);
    let has_dovecot = tree.outside(Path::new("/usr/sbin/dovecot")).exists();
    let roles = [Role::Dovecot, Role::Mx, Role::Submission, Role::Submissions];
    let roles = &roles[usize::from(!has_dovecot)..];
    for _ in 0..2 {
        for role in roles {
            let said = server.paste(*role);
            assert!(
                said.ok() && !said.stderr.contains("warning"),
                "{what} {role}: {said:?}\n{}",
                server.logs()
            );
        }
    }
    let before = server.files();
    // What it said of the settings that it came with is not ours.
    let said_before = server.postfix.log().len();
    for role in roles {
        assert!(server.paste(*role).ok());
    }
    assert_eq!(before, server.files(), "{what}");
    for (program, arguments) in [
        ("postfix", &["check"][..]),
        ("postconf", &["-n"]),
        ("postconf", &["-M"]),
        ("postconf", &["-P"]),
    ] {
        let said = server.postfix.run(program, arguments).unwrap();
        // Debian's own compatibility level is older than what later versions would like.
        let ours: Vec<&str> = said
            .stderr
            .lines()
            .filter(|line| !line.to_lowercase().contains("compatib"))
            .collect();
        assert!(said.ok() && ours.is_empty(), "{what}: {program}: {ours:#?}");
    }
    let login = ["--auth-user", USER, "--auth-password", PASSWORD];
    for (port, tls) in [
        (server.submission.number(), "--tls"),
        (server.submissions.number(), "--tlsc"),
    ] {
        let before = server.internet.count();
        let good = [
            &["--to", "someone@example.net", tls, "--auth", "PLAIN"][..],
            &login,
        ]
        .concat();
        let (sent, said) = server.swaks(port, &good);
        assert!(sent, "{what}: {said}\n{}", server.logs());
        server.internet.wait_for(before + 1, SOON).unwrap();
        let (sent, said) = server.swaks(port, &["--to", "a@example.net", tls]);
        assert!(!sent && said.contains("554 5.7.1"), "{what}: {said}");
    }
    let (good, said) = server.swaks(server.postfix.port(), &["--to", "a@example.net", "--tls"]);
    assert!(good && !said.contains("AUTH"), "{what}: {said}");
    if has_dovecot {
        let ca = server.authority.certificate().display().to_string();
        for (scheme, port) in [
            ("imaps", server.dovecot.imaps()),
            ("pop3s", server.dovecot.pop3s()),
        ] {
            let resolve = format!("{HOST}:{port}:127.0.0.1");
            let (user, url) = (
                format!("{USER}:{PASSWORD}"),
                format!("{scheme}://{HOST}:{port}/"),
            );
            let (good, said) = ask(
                "curl",
                &[
                    "-sS",
                    "--cacert",
                    &ca,
                    "--resolve",
                    &resolve,
                    "--user",
                    &user,
                    &url,
                ],
            );
            assert!(good, "{what}: {said}\n{}", server.logs());
        }
        let port = server.dovecot.imap();
        let (user, url) = (
            format!("{USER}:{PASSWORD}"),
            format!("imap://127.0.0.1:{port}/"),
        );
        let (good, said) = ask(
            "curl",
            &["-sS", "--interface", "127.0.0.2", "--user", &user, &url],
        );
        assert!(!good, "{what}: a password in the clear: {said}");
    }

    // The hook, as the host runs it.
    let renewed = server.authority.issue(HOST, Usage::Server).unwrap();
    server.renew(&renewed);
    for hook in std::fs::read_dir(server.letsencrypt().join("renewal-hooks/deploy")).unwrap() {
        let said = server.paste_text(&std::fs::read_to_string(hook.unwrap().path()).unwrap());
        assert!(said.ok(), "{what}: {said:?}");
    }
    let expected = serial(&renewed.certificate);
    let seen = || {
        server.serial_shown(server.submission.number(), &["-starttls", "smtp"]) == expected
            && (!has_dovecot || server.serial_shown(server.dovecot.imaps(), &[]) == expected)
    };
    wait_for("the renewed certificate", SOON, seen)
        .unwrap_or_else(|error| panic!("{what}: {error}\n{}", server.logs()));
    let log = server.postfix.log().split_off(said_before);
    let faults: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("warning:") || line.contains("fatal:"))
        .filter(|line| !line.to_lowercase().contains("compatib"))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}");
    eprintln!(
        "  {} with Dovecot {}",
        version(&server),
        server.dovecot.version()
    );
}

fn version(server: &Server) -> String {
    let said = server
        .postfix
        .run("postconf", &["-h", "mail_version"])
        .unwrap();
    format!("Postfix {}", said.stdout.trim())
}

#[test]
#[ignore = "needs RELAYCA_TREES"]
fn the_roles_hold_on_every_version() {
    let paths = std::env::var("RELAYCA_TREES").expect("RELAYCA_TREES names the trees");
    for tree in paths.split(':').map(Tree::at).chain([Tree::default()]) {
        for style in [RelayStyle::Block, RelayStyle::Postconf] {
            holds(&tree, style);
        }
    }
}
