//! The server and who relays: a case that each rule finds, and one that looks like it and is right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use rules_case::{
    PORT_25, Pair, changed, check, ids_in, main_cf, mx, pair, relay_service, sound_relay,
};

const TLS: &str = "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /tls/c.pem\nsmtpd_tls_key_file = /tls/k.pem\n";

fn server() -> Vec<Pair> {
    let tls = |more: &str| mx(&format!("{TLS}{more}"));
    vec![
        pair(
            "server-without-certificate",
            mx("smtpd_tls_security_level = may\n"),
            tls(""),
        ),
        pair(
            "server-anonymous-only",
            mx("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = none\n"),
            tls(""),
        ),
        pair(
            "server-level-unknown",
            mx("smtpd_tls_security_level = dane\n"),
            mx("smtpd_tls_security_level = verify\n"),
        ),
        pair(
            "server-level-of-clients",
            mx("smtpd_tls_security_level = verify\n"),
            mx("smtpd_tls_security_level = encrypt\n"),
        ),
        pair(
            "server-certificate-unused",
            mx("smtpd_tls_cert_file = /tls/c.pem\n"),
            mx("smtpd_tls_security_level = none\nsmtpd_tls_cert_file = /tls/c.pem\n"),
        ),
        pair(
            "tls-loglevel-high",
            tls("smtpd_tls_loglevel = 3\n"),
            tls("smtpd_tls_loglevel = 2\n"),
        ),
        pair(
            "certificates-asked-and-not-used",
            tls("smtpd_tls_ask_ccert = yes\n"),
            sound_relay(),
        ),
    ]
}

fn certificates() -> Vec<Pair> {
    vec![
        pair(
            "certificate-not-asked-for",
            changed(&["smtpd_tls_ask_ccert=no", "smtpd_tls_req_ccert=no"]),
            // Required is asked for, where TLS is mandatory.
            changed(&["smtpd_tls_ask_ccert=no"]),
        ),
        pair(
            "certificate-not-required",
            changed(&["smtpd_tls_req_ccert=no"]),
            sound_relay(),
        ),
        pair(
            "certificate-requirement-ignored",
            changed(&["smtpd_tls_security_level=may"]),
            sound_relay(),
        ),
        pair(
            "certificates-required-on-port-25",
            sound_relay().master(&relay_service().replace("2500 inet", "smtp inet")),
            sound_relay().master(&relay_service().replace("2500 inet", "127.0.0.1:smtp inet")),
        ),
        pair(
            "certificate-judged-before-tls",
            changed(&[
                "smtpd_delay_reject=no",
                "smtpd_client_restrictions=permit_tls_clientcerts,reject",
            ]),
            changed(&["smtpd_delay_reject=no"]),
        ),
        pair(
            "any-certificate-of-the-ca-relays",
            changed(&["smtpd_relay_restrictions=permit_tls_all_clientcerts,defer"]),
            sound_relay(),
        ),
        pair(
            "certificates-permitted-without-a-map",
            changed(&["relay_clientcerts="]),
            sound_relay(),
        ),
        pair(
            "relay-clientcerts-never-asked",
            mx("relay_clientcerts = lmdb:/etc/postfix/relay_clientcerts\n"),
            main_cf(
                changed(&["-relay_clientcerts"]),
                "relay_clientcerts = lmdb:/etc/postfix/relay_clientcerts\n",
            )
            .master(&format!(
                "{PORT_25}{}",
                changed(&["-relay_clientcerts"]).master
            )),
        ),
        pair(
            "no-ca-to-trust",
            changed(&["smtpd_tls_CAfile="]),
            sound_relay(),
        ),
        pair(
            "inherited-ca-directory",
            main_cf(
                changed(&["-smtpd_tls_CApath"]),
                "smtpd_tls_CApath = /etc/ssl/certs\n",
            ),
            main_cf(sound_relay(), "smtpd_tls_CApath = /etc/ssl/certs\n"),
        ),
        pair(
            "system-cas-trusted-for-clients",
            changed(&["smtpd_tls_CAfile=/etc/ssl/certs/ca-certificates.crt"]),
            main_cf(sound_relay(), "tls_append_default_CA = no\n"),
        ),
        pair(
            "resumed-sessions-outlive-certificates",
            changed(&["-tls_ssl_options"]),
            sound_relay(),
        ),
    ]
}

fn order() -> Vec<Pair> {
    vec![
        pair(
            "restriction-unknown",
            changed(&["smtpd_relay_restrictions=permit_tls_clientcert,defer"]),
            main_cf(
                changed(&["smtpd_relay_restrictions=own,defer"]),
                "smtpd_restriction_classes = own\nown = permit_tls_clientcerts, check_client_access cidr:/x, hash:/y, reject_rbl_client zen.example.org=127.0.0.[2..8]\n",
            ),
        ),
        pair(
            "restriction-after-permit",
            mx("smtpd_relay_restrictions = permit_mynetworks, permit, reject\n"),
            mx(
                "smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_recipient_restrictions = permit\n",
            ),
        ),
        pair(
            "certificate-permitted-too-late",
            changed(&[
                "smtpd_relay_restrictions=reject_unauth_destination,permit_tls_clientcerts,defer",
            ]),
            changed(&[
                "smtpd_relay_restrictions=warn_if_reject,reject_unauth_destination,permit_tls_clientcerts,defer",
            ]),
        ),
        pair(
            "certificate-permitted-in-the-wrong-list",
            changed(&[
                "smtpd_relay_restrictions=permit_mynetworks,defer_unauth_destination",
                "smtpd_recipient_restrictions=permit_tls_clientcerts,reject",
            ]),
            // Before 2.10, or with an empty list, the recipient restrictions alone decide.
            changed(&[
                "smtpd_relay_restrictions=",
                "smtpd_recipient_restrictions=permit_tls_clientcerts,reject",
            ]),
        ),
        pair(
            "listed-hosts-refused-by-another-list",
            main_cf(
                changed(&["-smtpd_recipient_restrictions"]),
                "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination\n",
            ),
            changed(&[
                "smtpd_recipient_restrictions=permit_tls_clientcerts,reject_unauth_destination",
            ]),
        ),
        pair(
            "listed-hosts-judged-by-address",
            main_cf(
                changed(&["-smtpd_client_restrictions"]),
                "smtpd_client_restrictions = permit_mynetworks, reject_rbl_client zen.example.org\n",
            ),
            main_cf(
                sound_relay(),
                "smtpd_client_restrictions = permit_mynetworks, reject_rbl_client zen.example.org\n",
            ),
        ),
        pair(
            "refusal-is-permanent",
            changed(&["smtpd_relay_restrictions=permit_tls_clientcerts,reject"]),
            changed(&[
                "smtpd_relay_restrictions=permit_tls_clientcerts,reject",
                "reject_code=450",
            ]),
        ),
        pair(
            "relay-service-takes-local-mail",
            changed(&["smtpd_relay_restrictions=permit_tls_clientcerts,defer_unauth_destination"]),
            // An MX takes it: that is what it is for.
            mx("smtpd_relay_restrictions = permit_tls_clientcerts, defer_unauth_destination\n"),
        ),
    ]
}

fn strangers() -> Vec<Pair> {
    let relays = |list: &str| mx(&format!("smtpd_relay_restrictions = {list}\n"));
    vec![
        pair(
            "nothing-refuses-strangers",
            relays("permit_tls_clientcerts, warn_if_reject, reject"),
            relays("permit_tls_clientcerts, reject"),
        ),
        pair(
            "open-relay-by-mynetworks",
            mx(
                "mynetworks = 127.0.0.0/8, 0.0.0.0/0\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n",
            ),
            mx("mynetworks = 0.0.0.0/0\nsmtpd_relay_restrictions = reject_unauth_destination\n"),
        ),
        pair(
            "open-relay-by-table",
            relays("check_client_access static:OK, reject_unauth_destination"),
            relays("check_client_access static:DUNNO, reject_unauth_destination"),
        ),
        pair(
            "open-relay-by-sender",
            relays("check_sender_access inline:{{example.org=OK}}, reject_unauth_destination"),
            relays("reject_unauth_destination, check_sender_access inline:{{example.org=OK}}"),
        ),
        pair(
            "every-domain-is-a-relay-domain",
            mx("relay_domains = static:all\n"),
            mx("relay_domains = example.net\n"),
        ),
        pair(
            "domain-list-with-wildcard",
            mx("relay_domains = *\n"),
            mx("relay_domains = .example.net\n"),
        ),
        pair(
            "mynetworks-too-wide",
            mx("mynetworks = 198.51.0.0/16\n"),
            mx("mynetworks = 10.0.0.0/8 [::1]/128\n"),
        ),
        pair(
            "neighbours-in-mynetworks",
            mx("mynetworks_style = subnet\n"),
            mx("mynetworks_style = subnet\nmynetworks = 127.0.0.0/8\n"),
        ),
        pair(
            "mynetworks-with-host-bits",
            mx("mynetworks = 192.168.1.5/24\n"),
            mx("mynetworks = 192.168.1.0/24, 10.1.2.3\n"),
        ),
        pair(
            "addresses-relay-beside-certificates",
            changed(&[
                "smtpd_relay_restrictions=permit_mynetworks,permit_tls_clientcerts,defer",
                "mynetworks=127.0.0.0/8,10.0.0.0/8",
            ]),
            changed(&["smtpd_relay_restrictions=permit_mynetworks,permit_tls_clientcerts,defer"]),
        ),
        pair(
            "etrn-open-on-the-relay-service",
            changed(&["-smtpd_etrn_restrictions"]),
            sound_relay(),
        ),
        pair(
            "vrfy-open-on-the-relay-service",
            changed(&["-disable_vrfy_command"]),
            mx(""),
        ),
        pair(
            "filters-inherited-by-the-relay-service",
            main_cf(
                changed(&["-smtpd_milters"]),
                "smtpd_milters = inet:127.0.0.1:11332\n",
            ),
            main_cf(sound_relay(), "smtpd_milters = inet:127.0.0.1:11332\n"),
        ),
        pair(
            "unlisted-recipients-taken",
            changed(&["smtpd_reject_unlisted_recipient=no"]),
            mx("smtpd_reject_unlisted_recipient = no\n"),
        ),
        pair(
            "received-header-without-tls",
            changed(&["-smtpd_tls_received_header"]),
            sound_relay(),
        ),
    ]
}

fn pairs() -> Vec<Pair> {
    [server(), certificates(), order(), strangers()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn each_rule_finds_its_case_and_leaves_the_sound_one_alone() {
    check(&pairs());
}

#[test]
fn no_rule_is_without_its_cases() {
    let known: std::collections::BTreeSet<String> =
        pairs().iter().map(|pair| pair.rule.to_owned()).collect();
    assert_eq!(known, ids_in(&["server.rs", "relay"]));
}

#[test]
fn every_word_that_a_why_quotes_from_postfix_is_whole() {
    let ours = ids_in(&["server.rs", "relay", "maps", "files"]);
    let rules = relayca_postfix::rules::all();
    for rule in rules.into_iter().filter(|rule| ours.contains(rule.id)) {
        for text in [rule.title, rule.why, rule.remedy] {
            assert_eq!(text.matches('`').count() % 2, 0, "{}: {text}", rule.id);
            assert!(!text.contains("  "), "{}: {text}", rule.id);
        }
        assert!(!rule.sources.is_empty(), "{}", rule.id);
        assert!(
            rule.id
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{}",
            rule.id
        );
        assert!(
            !rule.title.ends_with('.') && !rule.title.starts_with(char::is_uppercase)
                || rule.title.starts_with("TLS"),
            "{}",
            rule.id
        );
        assert!(rule.why.ends_with('.'), "{}", rule.id);
    }
}

#[test]
fn an_open_relay_is_none_where_strangers_do_not_get_in() {
    let case = mx(
        "mynetworks = 0.0.0.0/0\nsmtpd_client_restrictions = permit_sasl_authenticated, reject\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n",
    );
    assert_eq!(case.findings("open-relay-by-mynetworks"), []);
}

#[test]
fn the_session_cache_is_that_of_main_cf() {
    let cache = "smtpd_tls_session_cache_database = btree:${data_directory}/smtpd_scache\n";
    let rule = "resumed-sessions-outlive-certificates";
    let found = main_cf(changed(&["-smtpd_tls_session_cache_database"]), cache).findings(rule);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].place.file, "main.cf");
    assert_eq!(
        found[0].fix[0],
        "postconf -X 'smtpd_tls_session_cache_database'"
    );
    // An option of the service has a rule of its own.
    assert_eq!(main_cf(sound_relay(), cache).findings(rule), []);
}
