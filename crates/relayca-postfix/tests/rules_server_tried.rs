//! Where each claim about Postfix is tried on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use rules_case::ids_in;

/// Where each claim about Postfix is tried: a test on a real one, or why there is none.
const TRIED: &[(&str, &[&str])] = &[
    (
        "what_cannot_be_loaded_turns_tls_off",
        &[
            "tls-file-relative",
            "tls-file-missing",
            "tls-file-is-a-directory",
            "key-and-certificate-swapped",
            "certificate-file-without-certificate",
            "key-file-without-key",
            "key-does-not-match",
            "certificates-out-of-order",
            "key-encrypted",
            "chain-file-missing",
            "chain-key-not-first",
            "chain-key-does-not-match",
            "chain-key-without-certificate",
            "ca-file-without-certificate",
        ],
    ),
    (
        "what_should_not_be_loaded_is_loaded_without_a_word",
        &[
            "inherited-certificate-wins",
            "chain-files-hide-certificates",
            "key-readable-by-everybody",
            "key-readable-by-a-group",
            "key-writable-by-others",
            "key-not-owned-by-root",
            "directory-of-keys-writable",
            "certificate-expired",
            "certificate-not-yet-valid",
            "certificate-expires-soon",
            "server-certificate-for-clients-only",
            "certificate-key-weak",
            "certificate-names-another-host",
        ],
    ),
    (
        "a_client_whose_files_do_not_load_sends_in_the_clear_or_not_at_all",
        &[
            "tls-file-missing",
            "chain-file-missing",
            "client-certificate-for-servers-only",
        ],
    ),
    (
        "a_chain_is_what_is_in_the_file_or_in_the_ca_file_and_must_end_in_a_root",
        &[
            "certificate-without-its-chain",
            "ca-file-without-root",
            "ca-file-with-a-key",
            "ca-expired",
            "ca-directory-outside-the-jail",
        ],
    ),
    (
        "the_level_decides_what_a_server_does",
        &[
            "server-without-certificate",
            "server-anonymous-only",
            "server-level-unknown",
            "server-level-of-clients",
            "server-certificate-unused",
            "tls-loglevel-high",
        ],
    ),
    (
        "a_fingerprint_is_all_that_permit_tls_clientcerts_looks_at",
        &[
            "certificate-not-asked-for",
            "certificate-not-required",
            "certificate-requirement-ignored",
            "certificates-required-on-port-25",
            "certificate-judged-before-tls",
            "any-certificate-of-the-ca-relays",
            "certificates-permitted-without-a-map",
            "no-ca-to-trust",
            "inherited-ca-directory",
            "system-cas-trusted-for-clients",
            "map-matches-everybody",
        ],
    ),
    (
        "on_a_resumed_session_an_expired_certificate_still_relays_unless_tickets_are_off",
        &["resumed-sessions-outlive-certificates"],
    ),
    (
        "sessions_are_resumed_as_main_cf_says_and_an_expired_certificate_relays_on",
        &["resumed-sessions-outlive-certificates"],
    ),
    (
        "order_and_list_decide_before_the_certificate_does",
        &[
            "relay-clientcerts-never-asked",
            "restriction-unknown",
            "restriction-after-permit",
            "certificate-permitted-too-late",
            "certificate-permitted-in-the-wrong-list",
            "listed-hosts-refused-by-another-list",
            "listed-hosts-judged-by-address",
            "refusal-is-permanent",
            "relay-service-takes-local-mail",
            "nothing-refuses-strangers",
            "addresses-relay-beside-certificates",
            "etrn-open-on-the-relay-service",
            "vrfy-open-on-the-relay-service",
            "unlisted-recipients-taken",
            "received-header-without-tls",
        ],
    ),
    (
        "a_stranger_relays_where_addresses_senders_or_domains_say_so",
        &[
            "open-relay-by-mynetworks",
            "open-relay-by-table",
            "open-relay-by-sender",
            "every-domain-is-a-relay-domain",
            "domain-list-with-wildcard",
            "mynetworks-too-wide",
            "neighbours-in-mynetworks",
            "mynetworks-with-host-bits",
        ],
    ),
    (
        "a_table_is_what_postfix_opens_and_not_what_was_meant",
        &[
            "map-without-type",
            "map-type-unknown",
            "map-relative",
            "map-missing",
            "map-writable-by-others",
            "fingerprint-digest-unstated",
            "fingerprints-of-another-digest",
            "fingerprint-line-of-openssl",
            "fingerprint-without-colons",
            "fingerprint-malformed",
            "fingerprint-without-value",
            "fingerprint-on-a-continuation-line",
            "fingerprint-twice",
            "relay-clientcerts-value-is-no-refusal",
            "access-value-is-no-action",
        ],
    ),
    (
        "a_line_that_was_taken_out_relays_until_postmap_or_a_reload",
        &["map-not-rebuilt", "map-needs-a-reload"],
    ),
];

/// Rules that claim nothing of Postfix that a test on this machine's could show.
const STYLE_ONLY: &[(&str, &str)] = &[
    (
        "map-type-deprecated",
        "the warning is that of 3.11; this machine has 3.7",
    ),
    (
        "fingerprint-digest-weak",
        "it is about digests, not about Postfix",
    ),
    (
        "certificates-asked-and-not-used",
        "it is about mail programs, not about Postfix",
    ),
    (
        "filters-inherited-by-the-relay-service",
        "`relaying::what_others_left_in_main_cf_does_not_matter` has dead filters",
    ),
];

#[test]
fn every_claim_about_postfix_is_tried_on_a_real_one_or_said_not_to_be() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let live: String = std::fs::read_dir(tests)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with("_live.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for (test, rules) in TRIED {
        assert!(live.contains(&format!("fn {test}()")), "{test}");
        seen.extend(rules.iter().map(|rule| (*rule).to_owned()));
    }
    for (rule, why) in STYLE_ONLY {
        assert!(!why.is_empty() && seen.insert((*rule).to_owned()), "{rule}");
    }
    assert_eq!(seen, ids_in(&["files", "server.rs", "relay", "maps"]));
}
