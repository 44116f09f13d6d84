//! What distributions ship and what relayca itself prints is right: nothing above a note.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use std::collections::BTreeSet;
use std::path::Path;

use relayca_postfix::roles::{Role, RoleHost, ServerCertificate, role_snippet};
use relayca_postfix::rules::{Certificate, Found, Pem, Severity};
use relayca_postfix::{
    MailHost, NextHop, Refusal, RelayService, RelayStyle, SenderBinding, Style, mail_host_snippet,
    relay_snippet,
};
use rules_case::{Case, DAY, NOW, cert, certificate, ids_in, key, root};

const VERSIONS: &[(u16, u16)] = &[(3, 5), (3, 7), (3, 10), (3, 11)];

fn stock(version: (u16, u16)) -> Case {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/config")
        .join(format!("debian-{}.{}", version.0, version.1));
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    Case::new(&read("main.cf"))
        .master(&read("master.cf"))
        .version(version.0, version.1)
}

/// Debian's own certificate, as the package ssl-cert makes it, and its key for a group.
fn snakeoil(case: Case) -> Case {
    let own = Certificate {
        alt_names: vec!["debian".to_owned()],
        self_signed: true,
        key: "rsa2048".to_owned(),
        not_before: NOW - DAY,
        not_after: NOW + 3650 * DAY,
        ..certificate("snakeoil")
    };
    let found = |pem: Vec<Pem>, mode, gid| Found {
        mode,
        gid,
        pem: Some(pem),
        ..Found::default()
    };
    case.file(
        "/etc/ssl/certs/ssl-cert-snakeoil.pem",
        found(vec![cert(own)], 0o644, 0),
    )
    .file(
        "/etc/ssl/private/ssl-cert-snakeoil.key",
        found(vec![key("snakeoil")], 0o640, 110),
    )
    .directory("/etc/ssl/certs", 0o755)
    .directory("/etc/ssl/private", 0o710)
}

fn ours() -> BTreeSet<String> {
    ids_in(&["files", "server.rs", "relay", "maps"])
}

fn is_quiet(what: &str, case: &Case) {
    let ours = ours();
    let found: Vec<_> = case
        .judge()
        .into_iter()
        .filter(|finding| finding.severity > Severity::Note && ours.contains(finding.rule))
        .collect();
    assert!(found.is_empty(), "{what}: {found:#?}");
}

#[test]
fn what_debian_ships_is_right() {
    for version in VERSIONS {
        is_quiet(&format!("{version:?}"), &stock(*version));
        is_quiet(
            &format!("{version:?}, looked at"),
            &snakeoil(stock(*version)),
        );
    }
}

fn with(case: Case, main: Option<&String>, master: Option<&String>) -> Case {
    Case {
        main: format!("{}\n{}", case.main, main.map_or("", String::as_str)),
        master: format!("{}\n{}", case.master, master.map_or("", String::as_str)),
        ..case
    }
}

/// The files of a relay's or mail host's bundle, in place.
fn bundle(case: Case, host: &str) -> Case {
    let directory = "/etc/postfix/relayca";
    case.pem(&format!("{directory}/{host}.key.pem"), &[key("host")])
        .pem(
            &format!("{directory}/{host}.crt.pem"),
            &[cert(certificate("host"))],
        )
        .pem(
            &format!("{directory}/example.org-ca.crt.pem"),
            &[cert(root())],
        )
        .directory(directory, 0o755)
}

fn service(senders: bool) -> RelayService {
    RelayService {
        domain: "example.org".to_owned(),
        relay: "relay.example.org".to_owned(),
        port: 2500,
        wrapper: false,
        config_directory: "/etc/postfix".to_owned(),
        digest: "sha256".to_owned(),
        refusal: Refusal::Defer,
        senders: if senders {
            vec![SenderBinding {
                host: "mail.example.org".to_owned(),
                senders: vec!["example.org".to_owned()],
            }]
        } else {
            Vec::new()
        },
    }
}

#[test]
fn what_relayca_prints_for_a_relay_is_right() {
    for version in VERSIONS {
        for (senders, wrapper) in [(false, false), (true, false), (false, true)] {
            let wish = RelayService {
                wrapper,
                ..service(senders)
            };
            let snippet = relay_snippet(&wish, RelayStyle::Block).unwrap();
            let case = with(
                stock(*version),
                snippet.main_cf.as_ref(),
                snippet.master_cf.as_ref(),
            );
            let case = bundle(snakeoil(case), "relay.example.org");
            is_quiet(
                &format!("{version:?}, senders {senders}, wrapper {wrapper}"),
                &case,
            );
            // Not even notes about what it closes.
            for rule in [
                "etrn-open-on-the-relay-service",
                "vrfy-open-on-the-relay-service",
                "certificate-not-required",
            ] {
                assert_eq!(case.findings(rule), [], "{rule}");
            }
        }
    }
}

#[test]
fn what_relayca_prints_for_a_mail_host_is_right() {
    for version in VERSIONS {
        for style in [Style::Transport, Style::Main] {
            let host = MailHost {
                domain: "example.org".to_owned(),
                host: "mail.example.org".to_owned(),
                config_directory: "/etc/postfix".to_owned(),
                relays: vec![NextHop {
                    destination: "relay.example.org".to_owned(),
                    port: 2500,
                    certificate_name: "relay.example.org".to_owned(),
                }],
                wrapper: false,
                style,
            };
            let snippet = mail_host_snippet(&host).unwrap();
            let case = with(
                stock(*version),
                snippet.main_cf.as_ref(),
                snippet.master_cf.as_ref(),
            );
            is_quiet(
                &format!("{version:?} {style}"),
                &bundle(snakeoil(case), "mail.example.org"),
            );
        }
    }
}

#[test]
fn what_relayca_prints_for_a_role_is_right() {
    for version in VERSIONS {
        for role in [Role::Mx, Role::Submission, Role::Submissions] {
            let host = RoleHost {
                role,
                host: Some("mail.example.org".to_owned()),
                certificate: ServerCertificate::LetsEncrypt {
                    directory: "/etc/letsencrypt".to_owned(),
                    name: "mail.example.org".to_owned(),
                },
                config_directory: "/etc/postfix".to_owned(),
                queue_directory: "/var/spool/postfix".to_owned(),
                dovecot_directory: "/etc/dovecot".to_owned(),
                dovecot_version: None,
                port: None,
                style: RelayStyle::Block,
            };
            let snippet = role_snippet(&host).unwrap();
            let case = with(
                stock(*version),
                snippet.main_cf.as_ref(),
                snippet.master_cf.as_ref(),
            );
            is_quiet(&format!("{version:?} {role}"), &snakeoil(case));
        }
    }
}
