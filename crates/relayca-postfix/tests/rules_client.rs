//! The client's side and the ways of mail: a case that each rule finds, and one that looks like it and is right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use relayca_postfix::rules::Severity;
use rules_case::{Case, PORT_25, Pair, check, ids_in, pair};

/// What belongs to these tests.
const AREAS: &[&str] = &["client", "routing"];

/// The relay by a transport of its own, all right.
const TRANSPORT: &str = "\
relayca unix - - n - - smtp
  -o smtp_tls_security_level=secure
  -o smtp_tls_secure_cert_match=nexthop
  -o smtp_tls_CAfile=/etc/postfix/relayca/ca.pem
  -o smtp_tls_CApath=
  -o smtp_tls_cert_file=/etc/postfix/relayca/c.pem
  -o smtp_tls_key_file=/etc/postfix/relayca/k.pem
  -o smtp_fallback_relay=
";

const SMTP: &str = "smtp unix - - n - - smtp\n";
const DEFAULT: &str = "default_transport = relayca:[relay.example.org]:2500\n";

/// A host whose mail goes through the relay, with some options of the transport changed (`-name` takes one away).
fn relayed(changes: &[&str]) -> Case {
    let mut master = TRANSPORT.to_owned();
    for change in changes {
        let name = change.trim_start_matches('-').split('=').next().unwrap();
        master = master
            .lines()
            .filter(|line| !line.contains(&format!("-o {name}=")))
            .map(|line| format!("{line}\n"))
            .collect();
        if !change.starts_with('-') {
            master.push_str(&format!("  -o {{ {change} }}\n"));
        }
    }
    Case::new(DEFAULT).master(&format!("{PORT_25}{SMTP}{master}"))
}

/// All in main.cf.
fn main(text: &str) -> Case {
    Case::new(text).master(&format!("{PORT_25}{SMTP}relay unix - - n - - smtp\n"))
}

fn with_main(case: Case, text: &str) -> Case {
    Case {
        main: format!("{}{text}", case.main),
        ..case
    }
}

const CERTIFICATE: &str = "smtp_tls_cert_file = /c.pem\nsmtp_tls_key_file = /k.pem\n";

#[allow(clippy::too_many_lines)]
fn pairs() -> Vec<Pair> {
    vec![
        pair(
            "enforce-tls-overridden",
            main(
                "smtp_enforce_tls = yes\nsmtp_tls_security_level = may\nrelayhost = [relay.example.org]:2500\n",
            ),
            main("smtp_enforce_tls = yes\nsmtp_tls_security_level = secure\n"),
        ),
        pair(
            "relay-not-proved",
            relayed(&["smtp_tls_security_level=encrypt"]),
            relayed(&[]),
        ),
        pair(
            "relay-not-proved",
            main(&format!(
                "{CERTIFICATE}relayhost = [relay.example.org]:2500\nsmtp_tls_security_level = may\n"
            )),
            main(&format!("{CERTIFICATE}smtp_tls_security_level = may\n")),
        ),
        pair(
            "relay-not-proved",
            relayed(&["smtp_tls_security_level=dane"]),
            // A table raises it for just this next hop.
            relayed(&[
                "smtp_tls_security_level=may",
                "smtp_tls_policy_maps = inline:{ { [relay.example.org]:2500 = secure } }",
            ]),
        ),
        pair(
            "mail-leaves-in-the-clear",
            main("smtp_tls_security_level = none\n"),
            main("smtp_tls_security_level = may\n"),
        ),
        pair(
            "mandatory-level-for-everybody",
            main("smtp_tls_security_level = encrypt\n"),
            main("smtp_tls_security_level = encrypt\nrelayhost = [relay.example.org]:2500\n"),
        ),
        pair(
            "fingerprint-level-without-fingerprints",
            relayed(&["smtp_tls_security_level=fingerprint"]),
            relayed(&[
                "smtp_tls_security_level=fingerprint",
                "smtp_tls_fingerprint_cert_match=AA:BB",
            ]),
        ),
        pair(
            "dane-without-dnssec",
            main("smtp_tls_security_level = dane\n"),
            main("smtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec\n"),
        ),
        pair(
            "policy-level-unknown",
            main("smtp_tls_policy_maps = inline:{ { example.net = verified } }\n"),
            main("smtp_tls_policy_maps = inline:{ { example.net = secure match=nexthop } }\n"),
        ),
        pair(
            "policy-level-unknown",
            main("smtp_tls_policy_maps = lmdb:/p\n").table("/p", "# x\nexample.net  strong\n"),
            main("smtp_tls_policy_maps = lmdb:/p\n")
                .table("/p", "example.net  Encrypt protocols=!SSLv3\n"),
        ),
        pair(
            "no-ca-to-verify-with",
            relayed(&["-smtp_tls_CAfile"]),
            relayed(&[]),
        ),
        pair(
            "no-ca-to-verify-with",
            main("smtp_tls_policy_maps = static:secure\n"),
            main("smtp_tls_policy_maps = static:secure\nsmtp_tls_CApath = /etc/ssl/certs\n"),
        ),
        pair(
            "other-cas-trusted-too",
            with_main(
                relayed(&["-smtp_tls_CApath"]),
                "smtp_tls_CApath = /etc/ssl/certs\n",
            ),
            with_main(relayed(&[]), "smtp_tls_CApath = /etc/ssl/certs\n"),
        ),
        pair(
            "other-cas-trusted-too",
            relayed(&["tls_append_default_CA=yes"]),
            // The CAs of the system are what a relay of a provider is proved by.
            main(
                "relayhost = [smtp.example.net]:587\nsmtp_tls_security_level = secure\nsmtp_tls_CApath = /etc/ssl/certs\n",
            ),
        ),
        pair(
            "name-taken-from-dns",
            main(
                "relayhost = relay.example.org\nsmtp_tls_security_level = verify\nsmtp_tls_CApath = /etc/ssl/certs\n",
            ),
            main(
                "relayhost = [relay.example.org]\nsmtp_tls_security_level = verify\nsmtp_tls_CApath = /etc/ssl/certs\n",
            ),
        ),
        pair(
            "names-below-the-relay-accepted",
            relayed(&["-smtp_tls_secure_cert_match"]),
            relayed(&[]),
        ),
        pair(
            "relay-by-address-has-no-name",
            Case {
                main: "default_transport = relayca:[192.0.2.1]:2500\n".to_owned(),
                ..relayed(&["-smtp_tls_secure_cert_match"])
            },
            Case {
                main: "default_transport = relayca:[192.0.2.1]:2500\n".to_owned(),
                ..relayed(&["smtp_tls_secure_cert_match=relay.example.org"])
            },
        ),
        pair(
            "policy-key-is-not-the-next-hop",
            main("relayhost = [relay.example.org]:2500\nsmtp_tls_policy_maps = lmdb:/p\n")
                .table("/p", "relay.example.org secure\n"),
            main("relayhost = [relay.example.org]:2500\nsmtp_tls_policy_maps = lmdb:/p\n").table(
                "/p",
                "[RELAY.example.org]:2500 secure\nrelay.example.org:26 may\n",
            ),
        ),
        pair(
            "tls-required-header-downgrades",
            relayed(&[]).version(3, 10),
            with_main(relayed(&[]), "tls_required_enable = no\n").version(3, 10),
        ),
        pair(
            "tls-required-header-downgrades",
            relayed(&[]).version(3, 11),
            relayed(&[]).version(3, 7),
        ),
        pair(
            "client-certificate-shown-to-all",
            main(&format!("{CERTIFICATE}smtp_tls_security_level = may\n")),
            relayed(&[]),
        ),
        pair(
            "client-sessions-keep-old-certificate",
            with_main(
                relayed(&["smtp_tls_session_cache_database="]),
                "smtp_tls_session_cache_database = btree:/var/lib/postfix/smtp_scache\n",
            ),
            main(
                "smtp_tls_session_cache_database = btree:/var/lib/postfix/smtp_scache\nsmtp_tls_security_level = may\n",
            ),
        ),
        pair(
            "password-in-the-clear",
            main(
                "relayhost = [smtp.example.net]:587\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\nsmtp_tls_security_level = may\n",
            ),
            main(
                "relayhost = [smtp.example.net]:587\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\nsmtp_tls_security_level = encrypt\n",
            ),
        ),
        pair(
            "password-in-the-clear",
            main("smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options =\n"),
            main("smtp_sasl_auth_enable = yes\n"),
        ),
        pair(
            "fallback-beside-the-relay",
            with_main(
                relayed(&["-smtp_fallback_relay"]),
                "smtp_fallback_relay = [other.example.net]\n",
            ),
            with_main(relayed(&[]), "smtp_fallback_relay = [other.example.net]\n"),
        ),
        pair(
            "wrappermode-without-encrypt",
            main(
                "relayhost = [relay.example.org]:465\nsmtp_tls_wrappermode = yes\nsmtp_tls_security_level = may\n",
            ),
            main(
                "relayhost = [relay.example.org]:465\nsmtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n",
            ),
        ),
        pair(
            "wrappermode-to-a-starttls-port",
            main("smtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n"),
            relayed(&["smtp_tls_wrappermode=yes"]),
        ),
        pair(
            "wrappermode-to-a-starttls-port",
            main(
                "relayhost = [relay.example.org]:587\nsmtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n",
            ),
            main(
                "relayhost = [relay.example.org]:submissions\nsmtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n",
            ),
        ),
        pair(
            "port-465-without-wrappermode",
            main("relayhost = [relay.example.org]:smtps\nsmtp_tls_security_level = encrypt\n"),
            main("relayhost = [relay.example.org]:587\nsmtp_tls_security_level = encrypt\n"),
        ),
        pair(
            "next-hop-malformed",
            main("relayhost = [relay.example.org:2500]\n"),
            main("relayhost = [relay.example.org]:2500, [2001:db8::1]:2500\n"),
        ),
        pair(
            "next-hop-malformed",
            main("relayhost = smtp:[relay.example.org]\n"),
            main("default_transport = error:5.1.2 mail is not sent from here\nrelayhost =\n"),
        ),
        pair(
            "several-next-hops-before-3.5",
            main("relayhost = [a.example.org], [b.example.org]\n").version(3, 4),
            main("relayhost = [a.example.org], [b.example.org]\n").version(3, 5),
        ),
        pair(
            "relay-without-brackets",
            main("relayhost = relay.example.org:2500\n"),
            main("relayhost = [relay.example.org]:2500\n"),
        ),
        pair(
            "relay-without-brackets",
            main("relayhost = relay.example.org:2500\n"),
            main("relayhost = relay.example.org:2500\nsmtp_dns_support_level = disabled\n"),
        ),
        pair(
            "relay-is-this-host",
            main("myhostname = mail.example.org\nrelayhost = [mail.example.org]\n"),
            main("myhostname = mail.example.org\nrelayhost = [127.0.0.1]:10026\n"),
        ),
        pair(
            "relayhost-without-effect",
            with_main(relayed(&[]), "relayhost = [old.example.org]\n"),
            with_main(relayed(&[]), "relayhost = [relay.example.org]:2500\n"),
        ),
        pair(
            "relayhost-without-effect",
            with_main(relayed(&[]), "sender_dependent_relayhost_maps = lmdb:/s\n"),
            main("sender_dependent_relayhost_maps = lmdb:/s\nrelayhost = [relay.example.org]\n"),
        ),
        pair(
            "transport-maps-take-all",
            main("transport_maps = texthash:/t\n")
                .table("/t", "example.net :\n* smtp:[relay.example.org]\n"),
            main("transport_maps = texthash:/t\n")
                .table("/t", "example.net smtp:[mx.example.net]\n"),
        ),
        pair(
            "other-ways-beside-the-relay",
            with_main(relayed(&[]), "transport_maps = lmdb:/t\n"),
            main("transport_maps = lmdb:/t\n"),
        ),
        pair(
            "transport-not-in-master-cf",
            main("default_transport = relayca:[relay.example.org]:2500\n"),
            relayed(&[]),
        ),
        pair(
            "transport-not-in-master-cf",
            main("transport_maps = texthash:/t\n").table("/t", "example.net lmpt:unix:private/x\n"),
            main("transport_maps = texthash:/t\n").table(
                "/t",
                "example.net smtp:[mx.example.net]\nexample.com :\nexample.info relay\n",
            ),
        ),
    ]
}

#[test]
fn each_rule_finds_its_case_and_not_the_other() {
    check(&pairs());
}

#[test]
fn no_rule_is_without_its_cases() {
    let known: std::collections::BTreeSet<String> =
        pairs().iter().map(|pair| pair.rule.to_owned()).collect();
    assert_eq!(known, ids_in(AREAS));
}

fn severities(case: &Case, rule: &str) -> Vec<Severity> {
    case.findings(rule)
        .iter()
        .map(|finding| finding.severity)
        .collect()
}

#[test]
fn a_default_that_nobody_chose_is_a_note() {
    assert_eq!(
        severities(&main(""), "mail-leaves-in-the-clear"),
        [Severity::Note]
    );
    assert_eq!(
        severities(
            &main("smtp_tls_security_level =\n"),
            "mail-leaves-in-the-clear"
        ),
        [Severity::Warning]
    );
    // From 3.11 on it is `may`, but for those who keep an old compatibility_level.
    assert_eq!(
        severities(
            &main("compatibility_level = 3.11\n").version(3, 11),
            "mail-leaves-in-the-clear"
        ),
        []
    );
    assert_eq!(
        severities(
            &main("compatibility_level = 3.6\n").version(3, 11),
            "mail-leaves-in-the-clear"
        ),
        [Severity::Note]
    );
}

#[test]
fn enforce_is_overridden_by_the_default_of_3_11_too() {
    let text = "compatibility_level = 3.11\nsmtp_enforce_tls = yes\nrelayhost = [relay.example.org]:2500\n";
    assert_eq!(
        main(text)
            .version(3, 11)
            .findings("enforce-tls-overridden")
            .len(),
        1
    );
    assert_eq!(
        main(text).version(3, 10).findings("enforce-tls-overridden"),
        []
    );
}

#[test]
fn the_recipe_of_the_documents_is_told_what_is_wrong_with_it() {
    let case = main(
        "relayhost = relayhost.example.org:2500\nsmtp_enforce_tls = yes\nsmtp_tls_security_level = may\nsmtp_tls_CAfile = ca.pem\nsmtp_tls_cert_file = c.pem\nsmtp_tls_key_file = k.pem\n",
    );
    let found: std::collections::BTreeSet<&str> =
        case.judge().iter().map(|finding| finding.rule).collect();
    for rule in [
        "relay-without-brackets",
        "enforce-tls-overridden",
        "relay-not-proved",
        "client-certificate-shown-to-all",
        "tls-switches-obsolete",
    ] {
        assert!(found.contains(rule), "{rule} is not among {found:?}");
    }
}

#[test]
fn one_line_of_main_cf_is_told_once_however_many_services_inherit_it() {
    let case = main("smtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n").master(
        &format!("{PORT_25}{SMTP}relay unix - - n - - smtp\nother unix - - n - - smtp\n"),
    );
    assert_eq!(case.findings("wrappermode-to-a-starttls-port").len(), 1);
}

#[test]
fn without_master_cf_main_cf_is_judged_alone() {
    let case = Case::new(&format!(
        "{CERTIFICATE}relayhost = [relay.example.org]:465\nsmtp_tls_security_level = may\n"
    ))
    .master("");
    assert_eq!(case.findings("relay-not-proved").len(), 1);
    assert_eq!(case.findings("port-465-without-wrappermode").len(), 1);
    assert_eq!(case.findings("transport-not-in-master-cf"), []);
}

#[test]
fn a_relay_of_a_provider_with_a_password_is_no_error() {
    let case = main(&format!(
        "{CERTIFICATE}relayhost = [smtp.example.net]:587\nsmtp_sasl_auth_enable = yes\nsmtp_tls_security_level = encrypt\n"
    ));
    assert_eq!(severities(&case, "relay-not-proved"), [Severity::Warning]);
}
