//! main.cf and master.cf as texts, and what the years have made pointless: a case that each rule finds, and one that looks
//! like it and is right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use relayca_postfix::rules::{self, Severity};
use rules_case::{Case, PORT_25, Pair, check, ids_in, pair};

/// What belongs to these tests.
const AREAS: &[&str] = &["syntax", "obsolete"];

fn main(text: &str) -> Case {
    Case::new(&format!("compatibility_level = 3.6\n{text}"))
}

fn master(text: &str) -> Case {
    main("").master(&format!("{PORT_25}{text}"))
}

fn doubles(count: usize) -> String {
    "biff = no\nbiff = yes\n".repeat(count)
}

#[allow(clippy::too_many_lines)]
fn pairs() -> Vec<Pair> {
    vec![
        pair(
            "options-lost-to-a-space",
            master(
                "2500 inet n - n - - smtpd\n  -o smtpd_relay_restrictions=permit_tls_clientcerts, reject\n  -o smtpd_tls_req_ccert=yes\n",
            ),
            master(
                "2500 inet n - n - - smtpd\n  -o { smtpd_relay_restrictions=permit_tls_clientcerts, reject }\n  -o smtpd_tls_req_ccert=yes\n",
            ),
        ),
        pair(
            "option-malformed",
            master("2500 inet n - n - - smtpd\n  -o smtpd_tls_req_ccert = yes\n"),
            master("2500 inet n - n - - smtpd\n  -o { smtpd_tls_req_ccert = yes }\n"),
        ),
        pair(
            "options-under-a-commented-service",
            master("#submission inet n - n - - smtpd\n  -o smtpd_tls_security_level=encrypt\n"),
            master("#submission inet n - n - - smtpd\n#  -o smtpd_tls_security_level=encrypt\n"),
        ),
        pair(
            "comment-behind-a-value",
            main("smtp_tls_security_level = may  # as everybody does\n"),
            main("# as everybody does\nsmtp_tls_security_level = may\n"),
        ),
        pair(
            "parameter-set-twice",
            main("biff = no\nbiff = yes\n"),
            main("biff = no\n"),
        ),
        pair(
            "service-twice",
            master("2500 inet n - n - - smtpd\n2500 inet n - n - - smtpd\n"),
            master("2500 inet n - n - - smtpd\n2501 inet n - n - - smtpd\n"),
        ),
        pair(
            "characters-that-are-not-ascii",
            main("smtpd_banner = \u{201c}relay\u{201d} ESMTP\n"),
            main("smtpd_banner = \"relay\" ESMTP\n"),
        ),
        pair(
            "main-cf-line-without-equals",
            main("smtpd_tls_security_level may\n"),
            main("smtpd_tls_security_level =\n"),
        ),
        pair(
            "master-cf-line-malformed",
            master("2500 inet n - n smtpd\n"),
            master("2500 inet n - n - - smtpd\n"),
        ),
        pair(
            "line-belongs-nowhere",
            Case::new("  -o x=y\ncompatibility_level = 3.6\n"),
            main("mydestination = localhost,\n  example.org\n"),
        ),
        pair(
            "expression-malformed",
            main("smtpd_banner = ${myhostname ESMTP\n"),
            main("smtpd_banner = ${myhostname} ESMTP\n"),
        ),
        pair(
            "parameter-set-by-postfix-alone",
            main("process_name = smtpd\n"),
            main("myhostname = relay.example.org\n"),
        ),
        pair(
            "configuration-not-read-to-the-end",
            main(&"# a long story\n".repeat(400_000)),
            main(&"# a story\n".repeat(100)),
        ),
        pair(
            "parameter-unknown",
            main("smtpd_tls_cert_fiel = /c.pem\n"),
            main("my_networks = 192.0.2.0/24\nmynetworks = $my_networks\n"),
        ),
        pair(
            "parameter-too-new",
            main("tls_required_enable = no\n").version(3, 7),
            main("tls_required_enable = no\n").version(3, 10),
        ),
        pair(
            "parameter-removed",
            main("tls_legacy_public_key_fingerprints = no\n").version(3, 11),
            main("tls_legacy_public_key_fingerprints = no\n").version(3, 5),
        ),
        pair(
            "name-undefined",
            main("smtpd_sender_restrictions = $mua_sender_restrictions\n"),
            main(
                "mua_sender_restrictions = reject\nsmtpd_sender_restrictions = $mua_sender_restrictions\n",
            ),
        ),
        pair(
            "tls-level-unknown",
            main("smtp_tls_security_level = encrypted\n"),
            main("smtp_tls_security_level = Encrypt\n"),
        ),
        pair(
            "neither-yes-nor-no",
            main("smtpd_tls_auth_only = true\n"),
            main("smtpd_tls_auth_only = YES\n"),
        ),
        pair(
            "tls-switches-obsolete",
            main("smtpd_use_tls = yes\n"),
            main("smtpd_tls_security_level = may\n"),
        ),
        pair(
            "per-site-table-obsolete",
            main("smtp_tls_per_site = lmdb:/p\n"),
            main("smtp_tls_policy_maps = lmdb:/p\n"),
        ),
        pair(
            "parameter-deprecated",
            main("virtual_maps = lmdb:/v\n"),
            main("virtual_alias_maps = lmdb:/v\n"),
        ),
        pair(
            "dh-parameters-obsolete",
            main("smtpd_tls_dh512_param_file = /dh\n"),
            main("smtpd_tls_dh1024_param_file = auto\n"),
        ),
        pair(
            "eecdh-grade-obsolete",
            main("smtpd_tls_eecdh_grade = strong\n"),
            main("tls_eecdh_auto_curves = X25519\n"),
        ),
        pair(
            "random-source-set",
            main("tls_random_source = dev:/dev/urandom\n"),
            main(""),
        ),
        pair(
            "session-timeout-set",
            main("smtpd_tls_session_cache_timeout = 3600s\n"),
            main("smtpd_tls_session_cache_timeout = 2h\n"),
        ),
        pair(
            "server-session-cache-set",
            main("smtpd_tls_session_cache_database = btree:/x\n"),
            main("smtpd_tls_session_cache_database =\n"),
        ),
        pair(
            "server-picks-ciphers",
            main("tls_preempt_cipherlist = yes\n"),
            main("tls_preempt_cipherlist = no\n"),
        ),
        pair(
            "dsa-certificate",
            main("smtpd_tls_dcert_file = /dsa.pem\n"),
            main("smtpd_tls_dcert_file =\n"),
        ),
        pair(
            "compatibility-level-missing",
            Case::new("biff = no\n"),
            main(""),
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

#[test]
fn a_slip_of_the_pen_is_told_what_was_meant() {
    let message = |text: &str| main(text).findings("parameter-unknown").remove(0).message;
    assert!(message("smtpd_tls_cert_fiel = /c\n").contains("is `smtpd_tls_cert_file` meant?"));
    assert!(message("relay_host = [x]\n").contains("is `relayhost` meant?"));
    assert!(!message("my_own_thing = x\n").contains("meant"));
    let found =
        main("smtpd_relay_restrictions = permit_mynetworks reject\nmynetworks = $mynetwork\n")
            .findings("name-undefined");
    assert!(
        found[0].message.contains("is `$mynetworks` meant?"),
        "{found:?}"
    );
}

#[test]
fn many_doubles_with_a_log_file_stop_everything() {
    let few = main(&format!(
        "maillog_file = /var/log/postfix.log\n{}",
        doubles(2)
    ));
    let many = main(&format!(
        "maillog_file = /var/log/postfix.log\n{}",
        doubles(5)
    ));
    let severest = |case: &Case| {
        case.findings("parameter-set-twice")
            .iter()
            .map(|finding| finding.severity)
            .max()
    };
    assert_eq!(severest(&few), Some(Severity::Warning));
    assert_eq!(severest(&many), Some(Severity::Error));
    assert_eq!(
        severest(&main("biff = no\nbiff = no\n")),
        Some(Severity::Note)
    );
}

#[test]
fn places_and_services_are_those_of_the_lines() {
    let case = master("2500 inet n - n - - smtpd\n  -o smtpd_tls_cert_fiel=/c\n");
    let found = case.findings("parameter-unknown");
    assert_eq!(
        (found[0].place.file.as_str(), found[0].place.line),
        ("master.cf", Some(3))
    );
    assert_eq!(found[0].service.as_deref(), Some("2500/inet"));
    assert_eq!(
        found[0].fix,
        ["postconf -PX '2500/inet/smtpd_tls_cert_fiel'"]
    );
}

/// Ids, words and sources of these areas.
#[test]
fn every_rule_of_the_client_s_areas_is_written_as_the_others() {
    let ours = ids_in(&[
        "client", "routing", "services", "ciphers", "syntax", "obsolete",
    ]);
    assert!(ours.len() >= 70, "{}", ours.len());
    for rule in rules::all()
        .into_iter()
        .filter(|rule| ours.contains(rule.id))
    {
        for text in [rule.title, rule.why, rule.remedy] {
            assert_eq!(text.matches('`').count() % 2, 0, "{}: {text}", rule.id);
            assert!(!text.contains("  "), "{}: {text}", rule.id);
        }
        assert!(!rule.sources.is_empty(), "{}", rule.id);
        assert!(
            rule.id
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')),
            "{}",
            rule.id
        );
        assert!(
            !rule.title.ends_with('.') && !rule.title.starts_with("A "),
            "{}",
            rule.id
        );
        assert!(
            rule.why.ends_with('.') && !rule.remedy.ends_with('.'),
            "{}",
            rule.id
        );
    }
}

/// Rules of whose claims no test of this machine's Postfix can be the judge, and why.
const WITHOUT_A_JUDGE: &[(&str, &str)] = &[
    (
        "configuration-not-read-to-the-end",
        "is about what is read here",
    ),
    (
        "several-next-hops-before-3.5",
        "a Postfix 3.4 is not at hand; RELEASE_NOTES-3.5",
    ),
    (
        "name-taken-from-dns",
        "needs a DNS of its own; tried by hand with a forged MX record",
    ),
    (
        "ssl-allowed",
        "no OpenSSL of today has SSLv3; how lists are read is tried",
    ),
    (
        "parameter-deprecated",
        "3.10 and 3.11 warn; tried by hand with every name",
    ),
    (
        "tls-required-header-downgrades",
        "3.10 and 3.11 know the header; tried by hand, with wrapper mode and a policy table too",
    ),
];

#[test]
fn what_each_rule_claims_was_tried_on_a_real_postfix() {
    let tests = concat!(
        include_str!("rules_client_live.rs"),
        include_str!("rules_client_ways_live.rs"),
        include_str!("rules_client_server_live.rs"),
        include_str!("rules_client_ciphers_live.rs"),
        include_str!("rules_syntax_live.rs")
    );
    let mut words: std::collections::BTreeSet<&str> = tests
        .lines()
        .filter_map(|line| line.trim().strip_prefix("// "))
        .flat_map(|line| line.split([',', ':', ';', ' ']))
        .collect();
    words.extend(WITHOUT_A_JUDGE.iter().map(|(id, _)| *id));
    for id in ids_in(&[
        "client", "routing", "services", "ciphers", "syntax", "obsolete",
    ]) {
        assert!(
            words.contains(id.as_str()),
            "`{id}` is in no test of a real Postfix"
        );
    }
}
