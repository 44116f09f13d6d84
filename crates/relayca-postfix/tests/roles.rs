//! What hosts in roles are told, kept in fixtures/snippets; and what is refused.
//! `RELAYCA_BLESS=1 cargo nextest run -p relayca-postfix --test roles` writes the fixtures anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod roles_kit;

use std::fs;
use std::path::Path;

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::{
    DovecotVersion, Firewall, PortRole, RelayPort, Role, RoleError, RoleHost, ServerCertificate,
    firewall_script, port_rules, role_snippet,
};
use roles_kit::{host, of_our_ca};

fn is_as_kept(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/snippets")
        .join(name);
    if std::env::var_os("RELAYCA_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let first = kept
        .lines()
        .zip(text.lines())
        .position(|(kept, now)| kept != now);
    assert!(
        kept == text,
        "{} differs from line {:?} on",
        path.display(),
        first.map(|line| line + 1)
    );
}

/// Every script of a role there is.
fn every_script() -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    for role in Role::ALL {
        for (issuer, described) in [("", host(role)), ("-ca", of_our_ca(role))] {
            for (name, style) in [("", RelayStyle::Block), ("-postconf", RelayStyle::Postconf)] {
                if role == Role::Dovecot && style == RelayStyle::Postconf {
                    continue;
                }
                let described = RoleHost {
                    style,
                    ..described.clone()
                };
                let snippet = role_snippet(&described).unwrap();
                scripts.push((format!("{role}{issuer}{name}.sh"), snippet.script));
            }
        }
    }
    let rules = port_rules(&PortRole::ALL, &relays(), 22);
    for firewall in Firewall::ALL {
        scripts.push((
            format!("ports-{firewall}.sh"),
            firewall_script(&rules, &[], firewall),
        ));
    }
    scripts
}

fn relays() -> Vec<RelayPort> {
    vec![RelayPort {
        host: "relayhost.example.org".to_owned(),
        port: 2500,
    }]
}

#[test]
fn each_role_is_told_what_the_fixtures_keep() {
    for (name, script) in every_script() {
        is_as_kept(&name, &script);
    }
}

#[test]
fn scripts_are_plain_to_paste() {
    for (name, script) in every_script() {
        assert!(
            script.is_ascii() && !script.contains('\t') && !script.contains('\r'),
            "{name}"
        );
        for line in script.lines() {
            assert!(
                !line.ends_with('\\') && !line.ends_with(' '),
                "{name}: {line}"
            );
            assert!(
                line.len() < 1000,
                "too long for a terminal in line mode: {line}"
            );
            let comment = line.trim_start().starts_with('#') && !line.starts_with("#!");
            assert!(
                !(comment && line.contains(['\'', '!', '"'])),
                "history expansion and quotes in {line}"
            );
            if let Some(option) = line.trim_start().strip_prefix("-o ") {
                assert!(!option.contains(' '), "{line}");
            }
        }
        assert!(script.ends_with("\n)\n"), "{script}");
        assert_eq!(script.lines().filter(|line| *line == "(").count(), 1);
    }
}

#[test]
fn the_pieces_are_what_the_script_writes() {
    for role in Role::ALL {
        let snippet = role_snippet(&host(role)).unwrap();
        let dovecot = snippet.dovecot.iter().map(|(_, text)| text);
        let pieces: Vec<&String> = [&snippet.main_cf, &snippet.master_cf]
            .into_iter()
            .flatten()
            .chain(dovecot)
            .collect();
        assert!(!pieces.is_empty());
        let hook = snippet.hook.as_ref().unwrap();
        assert!(snippet.script.contains(&hook.text));
        for piece in pieces {
            for block in piece.split("# BEGIN relayca ").skip(1) {
                assert!(snippet.script.contains(block), "{role}: {block}");
            }
        }
    }
}

#[test]
fn a_certificate_of_our_own_ca_has_no_hook_and_a_plain_word_about_trust() {
    for role in Role::ALL {
        let snippet = role_snippet(&of_our_ca(role)).unwrap();
        assert_eq!(snippet.hook, None);
        assert!(!snippet.script.contains("letsencrypt"));
        assert!(
            snippet.warnings[0].contains("do not trust a private CA"),
            "{:?}",
            snippet.warnings
        );
        assert_eq!(
            snippet
                .warnings
                .iter()
                .any(|w| w.contains("doveadm reload")),
            role == Role::Dovecot
        );
        assert!(role_snippet(&host(role)).unwrap().warnings.is_empty());
    }
}

#[test]
fn what_is_not_plain_enters_no_script() {
    let hostile = [
        "", "a b", "a;b", "$(id)", "`id`", "a'b", "a\"b", "../x", "-x", ".x", "a\nb", "a/b",
        "\u{e4}",
    ];
    for role in Role::ALL {
        for text in hostile {
            let mut described = host(role);
            described.certificate = ServerCertificate::LetsEncrypt {
                directory: "/etc/letsencrypt".to_owned(),
                name: text.to_owned(),
            };
            assert!(
                matches!(role_snippet(&described), Err(RoleError::CertificateName(_))),
                "{text:?}"
            );
            let mut described = host(role);
            described.host = Some(text.to_owned());
            assert!(role_snippet(&described).is_err(), "{text:?}");
            for change in [
                (|host: &mut RoleHost, text: String| host.config_directory = text)
                    as fn(&mut RoleHost, String),
                |host, text| host.queue_directory = text,
                |host, text| host.dovecot_directory = text,
                |host, text| {
                    host.certificate = ServerCertificate::LetsEncrypt {
                        directory: text,
                        name: "mail.example.org".to_owned(),
                    }
                },
            ] {
                let mut described = host(role);
                change(&mut described, format!("/etc/{text}/x y"));
                let error = role_snippet(&described).unwrap_err();
                assert!(error.hint().is_some(), "{text:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_a_role_is_refused_with_a_remedy() {
    let refused = |described: RoleHost| {
        let error = role_snippet(&described).unwrap_err();
        assert!(error.hint().is_some());
        error
    };
    let of = |role| RoleHost {
        port: Some(2525),
        ..host(role)
    };
    assert_eq!(refused(of(Role::Mx)), RoleError::PortOf(Role::Mx));
    assert_eq!(refused(of(Role::Dovecot)), RoleError::PortOf(Role::Dovecot));
    assert!(
        role_snippet(&of(Role::Submission))
            .unwrap()
            .script
            .contains("\n2525      inet")
    );
    assert!(matches!(
        refused(RoleHost {
            port: Some(0),
            ..host(Role::Submission)
        }),
        RoleError::Plain(_)
    ));
    let version = Some(DovecotVersion::V2_4);
    assert_eq!(
        refused(RoleHost {
            dovecot_version: version,
            ..host(Role::Mx)
        }),
        RoleError::VersionOf(Role::Mx)
    );
    assert_eq!(
        refused(RoleHost {
            style: RelayStyle::Postconf,
            ..host(Role::Dovecot)
        }),
        RoleError::PostconfDovecot
    );
    let only = role_snippet(&RoleHost {
        dovecot_version: version,
        ..host(Role::Dovecot)
    })
    .unwrap();
    assert_eq!(only.dovecot.len(), 1);
    assert!(!only.script.contains("ssl_cert ="));
    for error in [
        "x".parse::<Role>().unwrap_err(),
        "2.2".parse::<DovecotVersion>().unwrap_err(),
        "pf".parse::<Firewall>().unwrap_err(),
        "x".parse::<PortRole>().unwrap_err(),
    ] {
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn every_role_of_the_table_has_its_ports_and_every_host_its_names_and_ssh() {
    let relays = [
        relays(),
        vec![RelayPort {
            host: "192.0.2.7".to_owned(),
            port: 465,
        }],
    ]
    .concat();
    let listed = |roles: &[PortRole]| {
        port_rules(roles, &relays, 2222)
            .into_iter()
            .map(|rule| format!("{} {} {}", rule.role, rule.way, rule.port))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), ["dns out 53", "ssh in 2222"]);
    assert_eq!(
        listed(&[PortRole::Relay]),
        [
            "relay in 465",
            "relay in 2500",
            "relay out 25",
            "dns out 53",
            "ssh in 2222"
        ]
    );
    assert_eq!(
        listed(&[PortRole::MailHost, PortRole::MailHost]),
        [
            "mailhost out 2500",
            "mailhost out 465",
            "dns out 53",
            "ssh in 2222"
        ]
    );
    assert_eq!(
        listed(&[
            PortRole::Pop3s,
            PortRole::Mx,
            PortRole::Submission,
            PortRole::Submissions,
            PortRole::Imaps,
            PortRole::Certbot
        ])[..8],
        [
            "mx in 25",
            "mx out 25",
            "submission in 587",
            "submissions in 465",
            "imaps in 993",
            "pop3s in 995",
            "certbot in 80",
            "certbot out 443"
        ]
    );
}
