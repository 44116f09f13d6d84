//! What stands in the tables that decide who relays.
//!
//! Enters: a [`Subject`]. Leaves: findings, at the line of the table. Refuses to know: which clients there are.

use super::digests::{bytes_of, digest_of};
use super::named::{Purpose, Table, all_fingerprints};
use super::rows::Row;
use crate::config::{Place, Scope};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

const SOURCES: &[&str] = &[
    "postconf(5) relay_clientcerts",
    "postconf(5) smtpd_tls_fingerprint_digest",
    "postmap(1)",
];

pub(super) const MATCHES_EVERYBODY: Rule = Rule {
    id: "map-matches-everybody",
    severity: Severity::Error,
    title: "the table of those who may relay has an answer for everybody",
    why: "`static:` answers every lookup, and so does a pattern such as `/./`. permit_tls_clientcerts does not look at the chain, so where \
          certificates are merely asked for, anybody with a self-signed one relays; where they are required, every host of every CA in the CA \
          file.",
    remedy: "list fingerprints, one a line",
    sources: SOURCES,
    check: matches_everybody,
};

pub(super) const OPENSSL_LINE: Rule = Rule {
    id: "fingerprint-line-of-openssl",
    severity: Severity::Error,
    title: "a line of `openssl x509 -fingerprint` stands in the table as it was printed",
    why: "Of `SHA256 Fingerprint=AA:BB…` postmap makes the key `sha256`, without a warning. Nobody ever matches it; `postmap -s` shows it.",
    remedy: "keep only what stands behind the `=`, then a blank and the host's name, and run postmap",
    sources: SOURCES,
    check: openssl_line,
};

pub(super) const WITHOUT_COLONS: Rule = Rule {
    id: "fingerprint-without-colons",
    severity: Severity::Error,
    title: "a fingerprint in the table has no colons",
    why: "Postfix looks up pairs of digits joined by colons. Without them it never matches, and nothing warns.",
    remedy: "put the colons in, and run postmap",
    sources: SOURCES,
    check: without_colons,
};

pub(super) const MALFORMED: Rule = Rule {
    id: "fingerprint-malformed",
    severity: Severity::Error,
    title: "a key in the table is no fingerprint",
    why: "Postfix looks up pairs of digits joined by colons, as many as the digest has bytes. Anything else never matches, and nothing warns: names \
          of hosts, fingerprints cut off by a copy, quotes.",
    remedy: "write the fingerprint anew, and run postmap",
    sources: SOURCES,
    check: malformed,
};

pub(super) const WITHOUT_VALUE: Rule = Rule {
    id: "fingerprint-without-value",
    severity: Severity::Error,
    title: "nothing stands behind a fingerprint in the table",
    why: "postmap wants a value: it warns `expected format: key whitespace value` and leaves the line out, so that host does not relay.",
    remedy: "put the host's name behind it, and run postmap",
    sources: SOURCES,
    check: without_value,
};

pub(super) const CONTINUED: Rule = Rule {
    id: "fingerprint-on-a-continuation-line",
    severity: Severity::Error,
    title: "a line with a fingerprint begins with a blank, so it belongs to the line before",
    why: "A line that begins with a blank or a tab continues the one before: the fingerprint becomes part of that one's value and never matches, and \
          nothing warns.",
    remedy: "take the blanks at the beginning away, and run postmap",
    sources: SOURCES,
    check: continued,
};

pub(super) const TWICE: Rule = Rule {
    id: "fingerprint-twice",
    severity: Severity::Warning,
    title: "a fingerprint stands twice in the table",
    why: "postmap warns `duplicate entry` and keeps one of the two. Taking out one line does not shut that host out; and if they are two hosts, \
          they share a key.",
    remedy: "take one out, and run postmap",
    sources: SOURCES,
    check: twice,
};

pub(super) const REFUSAL_AS_VALUE: Rule = Rule {
    id: "relay-clientcerts-value-is-no-refusal",
    severity: Severity::Error,
    title: "a fingerprint is listed with a word such as REJECT, and relays all the same",
    why: "permit_tls_clientcerts asks only whether the fingerprint is there; what stands behind it means nothing. A client listed with `REJECT` \
          relays.",
    remedy: "take the line out, and run postmap; actions are for check_ccert_access",
    sources: &[
        "postconf(5) permit_tls_clientcerts",
        "postconf(5) check_ccert_access",
    ],
    check: refusal_as_value,
};

pub(super) const NO_ACTION: Rule = Rule {
    id: "access-value-is-no-action",
    severity: Severity::Error,
    title: "a fingerprint in a check_ccert_access table has no action behind it",
    why: "check_ccert_access takes the value for an action or a restriction. Of a host's name Postfix logs `unknown smtpd restriction`, and that \
          client hears `451 4.3.5 Server configuration error`.",
    remedy: "write OK behind it, and run postmap; names are for relay_clientcerts",
    sources: &["postconf(5) check_ccert_access", "access(5)"],
    check: no_action,
};

/// Where a row stands: the line of the text, or the parameter of `inline:`.
pub(super) fn row_place(table: &Table, row: &Row) -> Place {
    match row.line {
        Some(line) => Place {
            file: table.name.clone(),
            line: Some(line),
        },
        None => table.place.clone(),
    }
}

/// The tables whose keys are looked up as they stand, with their rows.
fn listed(subject: &Subject<'_>) -> Vec<(Table, Vec<Row>)> {
    all_fingerprints(subject)
        .into_iter()
        .filter(|(_, table)| table.is_exact())
        .filter_map(|(_, table)| {
            let rows = table.rows(subject)?;
            Some((table, rows))
        })
        .collect()
}

/// One finding for all the rows of a table: at the first, with how many there are, and a line to write for some.
fn report(
    rule: &Rule,
    table: &Table,
    rows: &[&Row],
    message: impl Fn(&Row) -> String,
    meant: impl Fn(&Row) -> Option<String>,
    out: &mut Vec<Finding>,
) {
    let Some(first) = rows.first() else {
        return;
    };
    let mut text = message(first);
    if rows.len() > 1 {
        text.push_str(&format!(", and {} more like it", rows.len() - 1));
    }
    let mut lines: Vec<String> = rows
        .iter()
        .take(20)
        .filter_map(|row| {
            let meant = meant(row)?;
            Some(match row.line {
                Some(line) => fix::note(&format!("{} line {line}: {meant}", table.name)),
                None => fix::note(&format!("in {}: {meant}", table.parameter)),
            })
        })
        .collect();
    lines.push(if table.kind == "inline" || table.kind == "texthash" {
        fix::reload()
    } else {
        fix::postmap(&table.kind, &table.name)
    });
    out.push(
        rule.finds(row_place(table, first), text)
            .on(table.service.clone())
            .fix(lines),
    );
}

/// Patterns that match whatever is looked up.
pub(in crate::rules) fn is_catch_all(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix('/') else {
        return false;
    };
    let Some((inner, flags)) = rest.rsplit_once('/') else {
        return false;
    };
    flags.chars().all(|c| c.is_ascii_alphabetic())
        && matches!(
            inner,
            "" | "."
                | ".*"
                | ".+"
                | "^"
                | "$"
                | "^.*$"
                | "^.*"
                | ".*$"
                | "^.+$"
                | "^.+"
                | "^."
                | ":"
                | "(.*)"
                | "(.+)"
        )
}

fn matches_everybody(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (_, table) in all_fingerprints(subject) {
        let whole = format!("{}:{}", table.kind, table.written);
        let answers_all = table.kind == "static"
            || table.kind == "randmap"
            || (table.kind == "unionmap" && whole.contains("static:"));
        let patterns = matches!(table.kind.as_str(), "regexp" | "pcre");
        let row = table
            .rows(subject)
            .filter(|_| patterns)
            .and_then(|rows| rows.into_iter().find(|row| is_catch_all(&row.key)));
        let lets_in = |value: &str| {
            table.purpose == Purpose::Relaying
                || value.split_whitespace().next().is_some_and(|word| {
                    word.eq_ignore_ascii_case("ok") || word.eq_ignore_ascii_case("permit")
                })
        };
        let (place, message) = match row {
            Some(row) if lets_in(&row.value) => (
                row_place(&table, &row),
                format!("`{}` matches every fingerprint", row.key),
            ),
            None if answers_all && (table.kind != "static" || lets_in(&table.written)) => (
                table.place.clone(),
                format!("`{}` answers every lookup", table.shown()),
            ),
            _ => continue,
        };
        out.push(
            MATCHES_EVERYBODY
                .finds(place, message)
                .on(table.service.clone())
                .fix([fix::note(&format!(
                    "list the fingerprints of the hosts that may relay in {}",
                    table.parameter
                ))]),
        );
    }
}

/// What stands behind the `=` of openssl's line.
fn openssl_fingerprint(row: &Row) -> Option<&str> {
    let (label, rest) = row.value.split_once('=')?;
    let digest = row.key.to_ascii_lowercase();
    (label.eq_ignore_ascii_case("fingerprint") && (digest.starts_with("sha") || digest == "md5"))
        .then_some(rest)
}

fn openssl_line(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (table, rows) in listed(subject) {
        let rows: Vec<&Row> = rows
            .iter()
            .filter(|row| openssl_fingerprint(row).is_some())
            .collect();
        report(
            &OPENSSL_LINE,
            &table,
            &rows,
            |row| format!("the key is `{}`, not the fingerprint behind it", row.key),
            |row| openssl_fingerprint(row).map(with_host),
            out,
        );
    }
}

/// A fingerprint with what stands behind it, or a place for the host's name.
fn with_host(text: &str) -> String {
    if text.contains(char::is_whitespace) {
        text.to_owned()
    } else {
        format!("{text} HOST")
    }
}

/// A fingerprint without its colons, with them.
fn colons(key: &str) -> Option<String> {
    let hex = key.len().is_multiple_of(2) && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex || digest_of(key.len() / 2).is_none() {
        return None;
    }
    let pairs: Vec<String> = key
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).to_ascii_uppercase())
        .collect();
    Some(pairs.join(":"))
}

fn without_colons(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (table, rows) in listed(subject) {
        let rows: Vec<&Row> = rows
            .iter()
            .filter(|row| colons(&row.key).is_some())
            .collect();
        report(
            &WITHOUT_COLONS,
            &table,
            &rows,
            |row| format!("`{}` has no colons", row.key),
            |row| colons(&row.key).map(|key| format!("{key} {}", row.value)),
            out,
        );
    }
}

/// Whether a key is a fingerprint of some digest, or one of the mistakes that other rules tell of.
fn is_explained(row: &Row) -> bool {
    bytes_of(&row.key).and_then(digest_of).is_some()
        || openssl_fingerprint(row).is_some()
        || colons(&row.key).is_some()
}

fn malformed(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (table, rows) in listed(subject) {
        // check_ccert_access may look up other things than fingerprints: search_order, since 3.5.
        let rows: Vec<&Row> = rows
            .iter()
            .filter(|row| table.purpose == Purpose::Relaying && !is_explained(row))
            .collect();
        report(
            &MALFORMED,
            &table,
            &rows,
            |row| match bytes_of(&row.key) {
                Some(bytes) => format!(
                    "`{}` has {bytes} bytes, which is no digest's length",
                    row.key
                ),
                None => format!("`{}` is no fingerprint", row.key),
            },
            |_| None,
            out,
        );
    }
}

fn without_value(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (table, rows) in listed(subject) {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.value.is_empty()).collect();
        report(
            &WITHOUT_VALUE,
            &table,
            &rows,
            |row| format!("nothing stands behind `{}`", row.key),
            |row| Some(format!("{} HOST", row.key)),
            out,
        );
    }
}

fn continued(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (table, rows) in listed(subject) {
        let swallowed: Vec<Row> = rows
            .iter()
            .flat_map(|row| &row.continued)
            .filter(|(_, word)| bytes_of(word).is_some_and(|bytes| bytes >= 16))
            .map(|(line, word)| Row {
                line: Some(*line),
                key: word.clone(),
                value: String::new(),
                continued: Vec::new(),
            })
            .collect();
        let rows: Vec<&Row> = swallowed.iter().collect();
        report(
            &CONTINUED,
            &table,
            &rows,
            |row| format!("`{}` is part of the line before", row.key),
            |row| Some(format!("{} HOST, without blanks in front", row.key)),
            out,
        );
    }
}

fn twice(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (table, rows) in listed(subject) {
        let mut seen = std::collections::HashMap::new();
        let again: Vec<&Row> = rows
            .iter()
            .filter(|row| {
                *seen
                    .entry(row.key.to_ascii_lowercase())
                    .and_modify(|count| *count += 1)
                    .or_insert(1_usize)
                    > 1
            })
            .filter(|row| bytes_of(&row.key).is_some())
            .collect();
        report(
            &TWICE,
            &table,
            &again,
            |row| format!("`{}` ({}) is listed above already", row.key, row.value),
            |_| None,
            out,
        );
    }
}

fn first_word(value: &str) -> String {
    value
        .split([' ', '\t', ','])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn refusal_as_value(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (table, rows) in listed(subject) {
        if table.purpose != Purpose::Relaying {
            continue;
        }
        let rows: Vec<&Row> = rows
            .iter()
            .filter(|row| {
                let word = first_word(&row.value);
                let code = word.len() == 3
                    && word.starts_with(['4', '5'])
                    && word.bytes().all(|byte| byte.is_ascii_digit());
                code || matches!(
                    word.as_str(),
                    "reject"
                        | "defer"
                        | "dunno"
                        | "no"
                        | "revoked"
                        | "discard"
                        | "hold"
                        | "defer_if_permit"
                )
            })
            .collect();
        report(
            &REFUSAL_AS_VALUE,
            &table,
            &rows,
            |row| {
                format!(
                    "`{}` is listed with `{}`, and relays",
                    row.key,
                    first_word(&row.value)
                )
            },
            |_| Some("take it out".to_owned()),
            out,
        );
    }
}

/// Whether a value is something that an access table may hold (access(5)).
fn is_action(scope: Scope<'_>, value: &str) -> bool {
    let word = first_word(value);
    let number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    number
        || matches!(
            word.as_str(),
            "ok" | "relay"
                | "dunno"
                | "defer"
                | "defer_if_permit"
                | "defer_if_reject"
                | "bcc"
                | "discard"
                | "error"
                | "filter"
                | "hold"
                | "info"
                | "prepend"
                | "redirect"
                | "reject"
                | "warn"
        )
        || crate::rules::relay::is_restriction(
            scope,
            value.split([' ', '\t', ',']).next().unwrap_or_default(),
        )
}

fn no_action(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (scope, table) in all_fingerprints(subject) {
        if table.purpose != Purpose::Access || !table.is_exact() {
            continue;
        }
        let rows = table.rows(subject).unwrap_or_default();
        let rows: Vec<&Row> = rows
            .iter()
            .filter(|row| !row.value.is_empty() && !is_action(scope, &row.value))
            .collect();
        report(
            &NO_ACTION,
            &table,
            &rows,
            |row| format!("`{}` is no action", first_word(&row.value)),
            |row| Some(format!("{} OK", row.key)),
            out,
        );
    }
}
