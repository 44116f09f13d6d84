//! What the explanation of each fault in fixtures/logs must be: the ids of its problems, and how the mail host stands on the relay and the
//! relay on the mail host.
#![allow(dead_code, missing_docs)]

use std::collections::BTreeSet;

use relayca_postfix::log::State;
use relayca_postfix::log::State::{Bounces, Refused, Relays, Seen, Waits};

/// A fault, the ids of its problems (`3.5:id` only there, `-3.5:id` not there), and the states.
pub type Expected = (&'static str, &'static [&'static str], (State, State));

/// The ids for one version.
pub fn ids(expected: &[&'static str], version: &str) -> BTreeSet<&'static str> {
    expected
        .iter()
        .filter_map(|id| match id.split_once(':') {
            None => Some(*id),
            Some((versions, id)) => {
                let (not, versions) = versions
                    .strip_prefix('-')
                    .map_or((false, versions), |v| (true, v));
                (versions.split(',').any(|v| v == version) != not).then_some(id)
            }
        })
        .collect()
}

pub const EXPECTED: &[Expected] = &[
    (
        "ca-file-missing",
        &["file-not-there", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    (
        "certificate-access-denied",
        &["certificate-access-denied", "relay-denies-sender"],
        (Refused, Bounces),
    ),
    (
        "certificate-missing",
        &["file-not-there", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    (
        "certificate-not-asked-for",
        &["certificate-not-asked-for", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "certificate-not-pem",
        &["file-of-another-kind", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    ("chain-beats-files", &["chain-files-win"], (Relays, Relays)),
    (
        "chain-key-not-first",
        &[
            "chain-key-not-first",
            "relay-cannot-start-tls",
            "chain-files-win",
        ],
        (Refused, Waits),
    ),
    (
        "chain-missing",
        &["chain-file-not-there", "handshake-alert", "chain-files-win"],
        (Refused, Waits),
    ),
    (
        "chain-of-another",
        &[
            "chain-key-of-another",
            "relay-cannot-start-tls",
            "chain-files-win",
        ],
        (Refused, Waits),
    ),
    (
        "client-ca-expired",
        &["ca-expired", "relay-wants-good-certificate"],
        (Refused, Waits),
    ),
    (
        "client-ca-only-intermediate",
        &["ca-file-lacks-root", "relay-wants-good-certificate"],
        (Refused, Waits),
    ),
    (
        "client-ca-replaced",
        &[
            "client-signature-of-another-ca",
            "relay-wants-good-certificate",
        ],
        (Refused, Waits),
    ),
    (
        "client-expired",
        &["client-certificate-expired", "relay-wants-good-certificate"],
        (Refused, Waits),
    ),
    (
        "client-expired-asked",
        &["untrusted-certificate-refused", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "client-expired-asked-listed",
        &["untrusted-but-relayed"],
        (Relays, Relays),
    ),
    (
        "client-foreign-ca",
        &["client-untrusted-issuer", "relay-wants-good-certificate"],
        (Refused, Waits),
    ),
    (
        "client-in-client-restrictions",
        &["not-listed", "relay-does-not-permit"],
        (Refused, Bounces),
    ),
    (
        "client-no-certificate",
        &["no-client-certificate", "relay-wants-certificate"],
        (Refused, Waits),
    ),
    (
        "client-no-certificate-asked",
        &["no-client-certificate", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "client-not-yet-valid",
        &[
            "client-certificate-not-yet-valid",
            "relay-wants-good-certificate",
        ],
        (Refused, Waits),
    ),
    (
        "client-outside-constraints",
        &["client-name-not-permitted", "relay-wants-good-certificate"],
        (Refused, Waits),
    ),
    (
        "client-self-signed",
        &["client-self-signed", "relay-wants-good-certificate"],
        (Refused, Waits),
    ),
    (
        "client-unlisted",
        &["not-listed", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "client-unlisted-reject",
        &["not-listed", "relay-does-not-permit"],
        (Refused, Bounces),
    ),
    (
        "client-unlisted-verbose",
        &["not-listed", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "client-wrong-purpose",
        &["client-wrong-purpose", "relay-wants-good-certificate"],
        (Refused, Waits),
    ),
    (
        "digest-left-to-default",
        &[
            "3.5:not-listed",
            "relay-does-not-permit",
            "3.7,3.10,3.11:digest-left-to-default",
        ],
        (Refused, Waits),
    ),
    (
        "expired-in-the-queue",
        &["expired-in-queue", "not-listed", "relay-does-not-permit"],
        (Refused, Bounces),
    ),
    ("host-ca-file-missing", &["file-not-there"], (Seen, Waits)),
    (
        "host-chain-missing",
        &["chain-file-not-there", "no-client-certificate"],
        (Refused, Waits),
    ),
    ("host-key-missing", &["file-not-there"], (Seen, Waits)),
    (
        "host-key-missing-may",
        &["file-not-there", "refused-without-tls"],
        (Refused, Bounces),
    ),
    (
        "host-key-of-another",
        &["key-and-certificate-differ"],
        (Seen, Waits),
    ),
    (
        "host-level-with-comment",
        &["tls-level-invalid", "service-falls-over"],
        (Seen, Seen),
    ),
    (
        "host-only-old-tls",
        &["tls-versions-differ", "3.10,3.11:handshake-alert"],
        (Refused, Waits),
    ),
    (
        "key-and-certificate-swapped",
        &["file-of-another-kind", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    (
        "key-locked",
        &["key-has-passphrase", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    (
        "key-missing",
        &["file-not-there", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    (
        "key-of-another",
        &["key-and-certificate-differ", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    (
        "level-with-comment",
        &["no-greeting", "tls-level-invalid", "service-falls-over"],
        (Seen, Waits),
    ),
    (
        "map-changed",
        &["not-listed", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "map-missing",
        &["table-missing", "relay-lookup-failed"],
        (Refused, Waits),
    ),
    (
        "map-older-than-its-text",
        &["table-older-than-its-text"],
        (Relays, Relays),
    ),
    (
        "map-type-unknown",
        &["table-type-unknown", "relay-lookup-failed"],
        (Refused, Waits),
    ),
    (
        "override-with-spaces",
        &["no-greeting", "setting-malformed", "service-falls-over"],
        (Seen, Waits),
    ),
    (
        "path-relative",
        &["path-relative", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    ("policy-misspelt", &["policy-invalid"], (Seen, Seen)),
    (
        "protocols-misspelt",
        &["protocols-invalid", "relay-cannot-start-tls"],
        (Refused, Waits),
    ),
    (
        "rate-limit",
        &["rate-limit", "relay-is-busy"],
        (Refused, Waits),
    ),
    (
        "relay-access-deferred",
        &["not-listed", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "relay-access-denied",
        &["not-listed", "relay-does-not-permit"],
        (Refused, Bounces),
    ),
    (
        "relay-expired",
        &["relay-certificate-expired", "left-after-starttls"],
        (Refused, Waits),
    ),
    (
        "relay-foreign-ca",
        &["relay-untrusted-issuer", "left-after-starttls"],
        (Refused, Waits),
    ),
    (
        "relay-name-unknown",
        &["relay-name-not-found"],
        (Seen, Bounces),
    ),
    (
        "relay-name-unknown-dns",
        &["relay-name-not-found"],
        (Seen, Bounces),
    ),
    (
        "relay-not-listening",
        &["relay-not-listening"],
        (Seen, Waits),
    ),
    (
        "relay-not-yet-valid",
        &["relay-certificate-not-yet-valid", "left-after-starttls"],
        (Refused, Waits),
    ),
    (
        "relay-of-another-name",
        &["relay-wrong-name", "left-after-starttls"],
        (Refused, Waits),
    ),
    (
        "relay-only-old-tls",
        &["tls-versions-differ", "3.10:handshake-failed"],
        (Refused, Waits),
    ),
    (
        "relay-self-signed",
        &["relay-self-signed", "left-after-starttls"],
        (Refused, Waits),
    ),
    (
        "relay-wrong-purpose",
        &["relay-wrong-purpose", "left-after-starttls"],
        (Refused, Waits),
    ),
    ("relayed", &[], (Relays, Relays)),
    ("relayed-loglevel-2", &[], (Relays, Relays)),
    (
        "required-under-may",
        &["certificate-required-under-may", "relay-does-not-permit"],
        (Refused, Waits),
    ),
    (
        "restriction-unknown",
        &["restriction-unknown", "relay-misconfigured"],
        (Refused, Waits),
    ),
    (
        "restrictions-with-space",
        &[
            "no-greeting",
            "restrictions-incomplete",
            "service-falls-over",
        ],
        (Seen, Waits),
    ),
    (
        "sender-not-bound",
        &["certificate-access-denied", "relay-denies-sender"],
        (Relays, Relays),
    ),
    ("session-resumed", &["session-resumed"], (Relays, Relays)),
    (
        "starttls-first",
        &["refused-without-tls", "relay-wants-starttls"],
        (Refused, Bounces),
    ),
    (
        "starttls-not-offered",
        &["starttls-not-offered"],
        (Seen, Waits),
    ),
    (
        "starttls-to-wrapper",
        &["no-greeting", "handshake-failed"],
        (Refused, Waits),
    ),
    (
        "transport-missing",
        &["transport-missing", "transport-failed"],
        (Seen, Seen),
    ),
    (
        "wrapper-key-swapped",
        &["file-of-another-kind", "handshake-failed"],
        (Refused, Waits),
    ),
    (
        "wrapper-to-starttls",
        &["plain-where-tls", "tls-where-plain"],
        (Refused, Waits),
    ),
    (
        "wrapper-without-encrypt",
        &["wrapper-needs-encrypt"],
        (Seen, Seen),
    ),
];
