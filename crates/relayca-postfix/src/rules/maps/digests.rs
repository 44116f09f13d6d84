//! Whether fingerprints in the tables were made as Postfix makes them.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: whose fingerprints they are.

use super::named::{Table, all_fingerprints};
use crate::config::{Origin, Scope};
use crate::rules::files::named::owner;
use crate::rules::relay::walk::relays;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

const PARAMETER: &str = "smtpd_tls_fingerprint_digest";

pub(super) const UNSTATED: Rule = Rule {
    id: "fingerprint-digest-unstated",
    severity: Severity::Note,
    title: "which digest the fingerprints are made with is left to the default",
    why: "The default is md5 up to Postfix 3.5, and later while compatibility_level is below 3.6; then it is sha256. Where it changes, by an \
          upgrade or by a line in main.cf, no listed client relays any more. With md5, a certificate can be made to go with another of the same \
          fingerprint.",
    remedy: "state it, as the table has it",
    sources: &[
        "postconf(5) smtpd_tls_fingerprint_digest",
        "COMPATIBILITY_README",
    ],
    check: unstated,
};

pub(super) const WEAK: Rule = Rule {
    id: "fingerprint-digest-weak",
    severity: Severity::Warning,
    title: "clients are known by md5 or sha1",
    why: "Two certificates with one md5 or sha1 fingerprint can be made. Who gets one of them listed relays with the other as well.",
    remedy: "make the table anew with sha256, and state that digest",
    sources: &[
        "postconf(5) smtpd_tls_fingerprint_digest",
        "RFC 6151",
        "RFC 6194",
    ],
    check: weak,
};

pub(super) const ANOTHER: Rule = Rule {
    id: "fingerprints-of-another-digest",
    severity: Severity::Error,
    title: "the fingerprints in the table are not of the digest that Postfix makes",
    why: "Postfix looks up the digest it made, and finds nothing of another length: nobody who is listed there relays, and the log does not say why.",
    remedy: "state the digest of the table, or make the table anew",
    sources: &[
        "postconf(5) smtpd_tls_fingerprint_digest",
        "postconf(5) relay_clientcerts",
    ],
    check: another,
};

/// Digests by the number of bytes.
const LENGTHS: &[(usize, &str)] = &[
    (16, "md5"),
    (20, "sha1"),
    (28, "sha224"),
    (32, "sha256"),
    (48, "sha384"),
    (64, "sha512"),
];

/// The bytes of a fingerprint: pairs of hexadecimal digits between colons.
pub(super) fn bytes_of(key: &str) -> Option<usize> {
    let mut count = 0;
    for pair in key.split(':') {
        if pair.len() != 2 || !pair.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        count += 1;
    }
    Some(count)
}

/// The digest of a length.
pub(super) fn digest_of(bytes: usize) -> Option<&'static str> {
    LENGTHS
        .iter()
        .find(|(length, _)| *length == bytes)
        .map(|(_, digest)| *digest)
}

/// The digest that a scope makes, in lower case; none where it cannot be known.
fn made(scope: Scope<'_>) -> Option<String> {
    let text = scope.value(PARAMETER).text.to_ascii_lowercase();
    (!text.is_empty() && !text.contains(['$', '{'])).then_some(text)
}

/// The digest of most rows of the tables that a scope asks.
fn listed(subject: &Subject<'_>, scope: Scope<'_>) -> Option<&'static str> {
    let mut counts = vec![0_usize; LENGTHS.len()];
    for table in super::named::fingerprints(scope) {
        for row in table.rows(subject).unwrap_or_default() {
            if let Some(bytes) = bytes_of(&row.key)
                && let Some(at) = LENGTHS.iter().position(|(length, _)| *length == bytes)
                && let Some(count) = counts.get_mut(at)
            {
                *count += 1;
            }
        }
    }
    let (at, count) = counts.iter().enumerate().max_by_key(|(_, count)| **count)?;
    (*count > 0).then(|| LENGTHS.get(at).map(|(_, digest)| *digest))?
}

/// Whether the parameter can be set for the service alone.
fn service_of(scope: Scope<'_>) -> Option<String> {
    owner(scope, &scope.value("smtpd_relay_restrictions"))
        .or_else(|| owner(scope, &scope.value("relay_clientcerts")))
}

fn unstated(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        let value = relay.scope.value(PARAMETER);
        if value.origin != Origin::Default {
            continue;
        }
        let default = made(relay.scope);
        let listed = listed(subject, relay.scope);
        // Then another rule speaks up.
        if listed.is_some() && default.is_some() && listed != default.as_deref() {
            continue;
        }
        let known = subject.facts.version.is_some() && default.is_some();
        let (message, severity) = match default.as_deref().filter(|_| known) {
            Some("sha256") => ("the default is `sha256` here".to_owned(), Severity::Note),
            Some(digest) => (format!("the default is `{digest}` here"), Severity::Warning),
            None => (
                "the default is `md5` or `sha256`, by version and compatibility_level".to_owned(),
                Severity::Note,
            ),
        };
        let service = service_of(relay.scope);
        let digest = listed
            .or(default.as_deref().filter(|_| known))
            .unwrap_or("sha256");
        out.push(
            UNSTATED
                .finds(relay.own_place(), message)
                .as_severe_as(severity)
                .on(relay.label())
                .fix([
                    fix::set_for(service.as_deref(), PARAMETER, digest),
                    fix::reload(),
                ]),
        );
    }
}

fn weak(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        let value = relay.scope.value(PARAMETER);
        let Some(digest) =
            made(relay.scope).filter(|digest| matches!(digest.as_str(), "md5" | "sha1"))
        else {
            continue;
        };
        if value.origin == Origin::Default {
            continue;
        }
        let service = owner(relay.scope, &value);
        out.push(
            WEAK.finds(relay.place(PARAMETER), format!("`{PARAMETER} = {digest}`"))
                .on(service.clone())
                .fix([
                    fix::note("make the table with SHA-256 fingerprints, then:"),
                    fix::set_for(service.as_deref(), PARAMETER, "sha256"),
                    fix::reload(),
                ]),
        );
    }
}

fn another(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (scope, table) in all_fingerprints(subject) {
        let Some(digest) = made(scope) else {
            continue;
        };
        // Of an unknown version the default is a guess.
        if scope.value(PARAMETER).origin == Origin::Default && subject.facts.version.is_none() {
            continue;
        }
        let Some(rows) = Some(&table)
            .filter(|table: &&Table| table.is_exact())
            .and_then(|table| table.rows(subject))
        else {
            continue;
        };
        let others: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let listed = digest_of(bytes_of(&row.key)?)?;
                (listed != digest).then_some((row, listed))
            })
            .collect();
        let Some((first, listed)) = others.first() else {
            continue;
        };
        let all = others.len() == rows.len();
        let place = super::contents::row_place(&table, first);
        let message = if all {
            format!(
                "`{}` has {listed} fingerprints, and Postfix makes `{digest}` ones",
                table.parameter
            )
        } else {
            format!(
                "{} of {} rows have other fingerprints than the `{digest}` ones that Postfix makes, the first of them {listed}",
                others.len(),
                rows.len()
            )
        };
        let line = if all {
            fix::set_for(service_of(scope).as_deref(), PARAMETER, listed)
        } else {
            fix::note(&format!("make those rows anew with {digest}, then postmap"))
        };
        out.push(
            ANOTHER
                .finds(place, message)
                .on(table.service.clone())
                .fix([line, fix::reload()]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_pairs_between_colons() {
        assert_eq!(bytes_of("AA:bb:0C"), Some(3));
        for bad in ["", "AA:", "AABB", "AA:B", "AA:GG", "AA BB"] {
            assert_eq!(bytes_of(bad), None, "{bad}");
        }
        assert_eq!(digest_of(32), Some("sha256"));
        assert_eq!(digest_of(31), None);
    }
}
