//! What distributions ship and what relayca itself prints is right for the client's rules too: nothing above a note.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use std::path::Path;

use relayca_postfix::roles::{Role, RoleHost, ServerCertificate, role_snippet};
use relayca_postfix::rules::Severity;
use relayca_postfix::{
    MailHost, NextHop, Refusal, RelayService, RelayStyle, Style, mail_host_snippet, relay_snippet,
};
use rules_case::{Case, ids_in};

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

/// With what Debian adds where the package ssl-cert is installed.
fn with_tls(case: Case) -> Case {
    let text = "smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem\nsmtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key\nsmtpd_tls_security_level=may\nsmtp_tls_CApath=/etc/ssl/certs\nsmtp_tls_security_level=may\nsmtp_tls_session_cache_database = btree:${data_directory}/smtp_scache\n";
    let missing: String = text
        .lines()
        .filter(|line| {
            let name = line.split('=').next().unwrap().trim();
            !case
                .main
                .lines()
                .any(|line| line.split('=').next().unwrap().trim() == name)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    Case {
        main: format!("{}\n{missing}", case.main),
        ..case
    }
}

#[track_caller]
fn is_quiet(what: &str, case: &Case) {
    let ours = ids_in(&[
        "client", "routing", "services", "ciphers", "syntax", "obsolete",
    ]);
    let found: Vec<_> = case
        .judge()
        .into_iter()
        .filter(|finding| finding.severity > Severity::Note && ours.contains(finding.rule))
        .collect();
    assert!(found.is_empty(), "{what}: {found:#?}");
}

/// As the script puts it in place: what the piece sets is commented out elsewhere.
fn with(case: Case, main: Option<&String>, master: Option<&String>, version: (u16, u16)) -> Case {
    let mut piece = main.cloned().unwrap_or_default();
    if version >= (3, 10) && piece.contains("tls_required_enable") {
        piece.push_str("tls_required_enable = no\n");
    }
    let set: Vec<String> = piece
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect();
    let kept: String = case
        .main
        .lines()
        .filter(|line| {
            !line
                .split_once('=')
                .is_some_and(|(name, _)| set.iter().any(|own| own == name.trim()))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    Case {
        main: format!("{kept}\n{piece}"),
        master: format!("{}\n{}", case.master, master.cloned().unwrap_or_default()),
        ..case
    }
}

#[test]
fn what_debian_ships_is_right() {
    for version in VERSIONS {
        is_quiet(&format!("{version:?}"), &stock(*version));
        is_quiet(&format!("{version:?} with TLS"), &with_tls(stock(*version)));
        // Whoever does not tell the version.
        let mut case = with_tls(stock(*version));
        case.facts.version = None;
        is_quiet(&format!("{version:?} untold"), &case);
    }
}

#[test]
fn what_relayca_prints_for_a_relay_is_right() {
    for version in VERSIONS {
        for wrapper in [false, true] {
            let service = RelayService {
                domain: "example.org".to_owned(),
                relay: "relay.example.org".to_owned(),
                port: 2500,
                wrapper,
                config_directory: "/etc/postfix".to_owned(),
                digest: "sha256".to_owned(),
                refusal: Refusal::Defer,
                senders: Vec::new(),
            };
            let snippet = relay_snippet(&service, RelayStyle::Block).unwrap();
            is_quiet(
                &format!("{version:?}, wrapper {wrapper}"),
                &with(
                    with_tls(stock(*version)),
                    snippet.main_cf.as_ref(),
                    snippet.master_cf.as_ref(),
                    *version,
                ),
            );
        }
    }
}

#[test]
fn what_relayca_prints_for_a_mail_host_is_right() {
    for version in VERSIONS {
        for style in [Style::Transport, Style::Main] {
            for (destination, wrapper, count) in [
                ("relay.example.org", false, 1),
                ("192.0.2.1", true, 1),
                ("relay.example.org", false, 2),
            ] {
                let hop = |destination: &str| NextHop {
                    destination: destination.to_owned(),
                    port: 2500,
                    certificate_name: "relay.example.org".to_owned(),
                };
                let mut relays = vec![hop(destination)];
                if count == 2 {
                    relays.push(hop("192.0.2.2"));
                }
                let host = MailHost {
                    domain: "example.org".to_owned(),
                    host: "mail.example.org".to_owned(),
                    config_directory: "/etc/postfix".to_owned(),
                    relays,
                    wrapper,
                    style,
                };
                let snippet = mail_host_snippet(&host).unwrap();
                is_quiet(
                    &format!("{version:?} {style} {destination}"),
                    &with(
                        with_tls(stock(*version)),
                        snippet.main_cf.as_ref(),
                        snippet.master_cf.as_ref(),
                        *version,
                    ),
                );
            }
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
            is_quiet(
                &format!("{version:?} {role}"),
                &with(
                    with_tls(stock(*version)),
                    snippet.main_cf.as_ref(),
                    snippet.master_cf.as_ref(),
                    *version,
                ),
            );
        }
    }
}
