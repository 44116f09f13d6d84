//! Cipher lists, and what is excluded from them.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what this host's OpenSSL has.

use super::names::is_known;
use super::{SIDES, set_values};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const EXCLUSION_SIGN: Rule = Rule {
    id: "cipher-exclusion-with-a-sign",
    severity: Severity::Error,
    title: "a `!` in a list of ciphers to exclude",
    why: "Postfix puts the `!` there itself. A word that begins with one of !+-@ ends every TLS handshake: smtpd closes the \
          connection after STARTTLS, and smtp lets the mail wait (4.7.5 `Cannot start TLS: handshake failure`); the log says \
          `invalid unary '!+-@' in cipher exclusion`.",
    remedy: "write the names alone",
    sources: &["postconf(5) smtpd_tls_exclude_ciphers"],
    check: exclusion_sign,
};

pub(super) const EXCLUSION_UNKNOWN: Rule = Rule {
    id: "cipher-exclusion-unknown",
    severity: Severity::Note,
    title: "a cipher is excluded that no OpenSSL knows",
    why: "OpenSSL passes over names that it does not know, without a word: such an entry excludes nothing.",
    remedy: "mend the name, or remove it; ciphers(1) lists them",
    sources: &[
        "postconf(5) smtpd_tls_exclude_ciphers",
        "openssl-ciphers(1)",
    ],
    check: exclusion_unknown,
};

pub(super) const EXCLUDES_ALL: Rule = Rule {
    id: "all-ciphers-excluded",
    severity: Severity::Error,
    title: "no cipher is left",
    why: "Where a list of exclusions leaves nothing up to TLS 1.2, OpenSSL takes no list at all (`no cipher match`), and the \
          handshake ends, TLS 1.3 or not: smtpd closes the connection after STARTTLS.",
    remedy: "exclude single ciphers only",
    sources: &["postconf(5) smtpd_tls_exclude_ciphers"],
    check: excludes_all,
};

pub(super) const LIST_CHANGED: Rule = Rule {
    id: "cipher-list-changed",
    severity: Severity::Note,
    title: "what a cipher grade means is changed",
    why: "A list of one's own is fixed while the defaults follow what is known of ciphers with every version; and it counts for \
          every service and both directions. TLS 1.3 is not touched by it.",
    remedy: "leave the lists at their defaults, and choose a grade",
    sources: &[
        "postconf(5) tls_high_cipherlist",
        "postconf(5) tls_medium_cipherlist",
    ],
    check: list_changed,
};

pub(super) const LIST_WEAK: Rule = Rule {
    id: "cipher-list-weak",
    severity: Severity::Warning,
    title: "a cipher list names weak ciphers",
    why: "What is named without `!` or `-` before it is offered and accepted, as far as the OpenSSL of the host still has it: \
          RC4, DES and export ciphers can be broken, and with NULL there is no encryption.",
    remedy: "leave the list at its default",
    sources: &[
        "postconf(5) tls_high_cipherlist",
        "RFC 7465",
        "RFC 9325 section 4.1",
    ],
    check: list_weak,
};

pub(super) const LIST_EMPTY: Rule = Rule {
    id: "cipher-list-without-ciphers",
    severity: Severity::Error,
    title: "a cipher list without a cipher that OpenSSL knows",
    why: "OpenSSL does not take a list in which it knows nothing (`no cipher match`), and every handshake at that grade ends.",
    remedy: "leave the list at its default",
    sources: &["postconf(5) tls_high_cipherlist", "openssl-ciphers(1)"],
    check: list_empty,
};

/// The lists that give the grades their meaning.
const LISTS: &[&str] = &[
    "tls_high_cipherlist",
    "tls_medium_cipherlist",
    "tls_low_cipherlist",
    "tls_export_cipherlist",
    "tls_null_cipherlist",
];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\r', '\n', ':', ';'])
        .filter(|word| !word.is_empty())
}

fn exclusions(subject: &Subject<'_>, mut each: impl FnMut(&str, &Finding, &str)) {
    for side in SIDES {
        for rest in ["tls_exclude_ciphers", "tls_mandatory_exclude_ciphers"] {
            let name = format!("{side}_{rest}");
            for (scope, value) in set_values(subject.config, &name) {
                let who = owner(scope, &value);
                // A blank one, to be told what is wrong.
                let blank = EXCLUSION_SIGN.finds(scope.place(&value), "").on(who);
                each(&name, &blank, &value.text);
            }
        }
    }
}

/// A finding of a rule where another stands.
fn at(blank: &Finding, rule: &Rule, message: String) -> Finding {
    rule.finds(blank.place.clone(), message)
        .on(blank.service.clone())
}

fn exclusion_sign(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    exclusions(subject, |name, blank, text| {
        let signs = ['!', '+', '-', '@'];
        if let Some(word) = words(text).find(|word| word.starts_with(signs)) {
            let mended: Vec<&str> = words(text)
                .map(|word| word.trim_start_matches(signs))
                .collect();
            found.push(
                at(
                    blank,
                    &EXCLUSION_SIGN,
                    format!("`{name}`: `{word}` begins with a sign"),
                )
                .fix([fix::set_for(
                    blank.service.as_deref(),
                    name,
                    &mended.join(","),
                )]),
            );
        }
    });
}

fn exclusion_unknown(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    exclusions(subject, |name, blank, text| {
        for word in words(text) {
            if !word.starts_with(['!', '+', '-', '@', '$']) && !is_known(word) {
                found.push(at(
                    blank,
                    &EXCLUSION_UNKNOWN,
                    format!("`{name}`: OpenSSL knows no `{word}`"),
                ));
            }
        }
    });
}

fn excludes_all(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    exclusions(subject, |name, blank, text| {
        // Before 3.8, SEED is left where only HIGH is taken away.
        let high = subject.facts.at_least(3, 8);
        if let Some(word) = words(text).find(|word| *word == "ALL" || (high && *word == "HIGH")) {
            found.push(
                at(
                    blank,
                    &EXCLUDES_ALL,
                    format!("`{name}`: without `{word}` nothing is left"),
                )
                .fix([fix::unset_for(blank.service.as_deref(), name)]),
            );
        }
    });
}

fn list_changed(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for name in LISTS {
        let default = crate::config::parameter(name)
            .and_then(|parameter| parameter.default(subject.config.version));
        for (scope, value) in set_values(subject.config, name) {
            if default == Some(value.text.as_str()) {
                continue;
            }
            let who = owner(scope, &value);
            found.push(
                LIST_CHANGED
                    .finds(scope.place(&value), format!("`{name}` is not the default"))
                    .fix([fix::unset_for(who.as_deref(), name)])
                    .on(who),
            );
        }
    }
}

fn is_weak(word: &str) -> bool {
    let parts = |part: &str| word.split(['-', '+']).any(|each| each == part);
    matches!(
        word,
        "NULL" | "eNULL" | "LOW" | "EXPORT" | "EXPORT40" | "EXPORT56" | "COMPLEMENTOFALL"
    ) || ["RC4", "RC2", "DES", "EXP", "EXP1024", "MD5", "NULL", "3DES"]
        .iter()
        .any(|part| parts(part))
}

fn list_weak(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for name in LISTS.iter().filter(|name| **name != "tls_null_cipherlist") {
        for (scope, value) in set_values(subject.config, name) {
            if crate::config::parameter(name)
                .and_then(|parameter| parameter.default(subject.config.version))
                == Some(value.text.as_str())
            {
                continue;
            }
            let weak: Vec<&str> = words(&value.text)
                .filter(|word| {
                    let gone = words(&value.text).any(|other| {
                        other.strip_prefix('!').or_else(|| other.strip_prefix('-')) == Some(*word)
                    });
                    !word.starts_with(['!', '+', '-', '@']) && is_weak(word) && !gone
                })
                .collect();
            // For `low` and `export` that is their meaning.
            if weak.is_empty()
                || (matches!(*name, "tls_low_cipherlist" | "tls_export_cipherlist")
                    && subject.facts.at_least(3, 8))
            {
                continue;
            }
            let who = owner(scope, &value);
            found.push(
                LIST_WEAK
                    .finds(
                        scope.place(&value),
                        format!("`{name}` names {}", weak.join(", ")),
                    )
                    .fix([fix::unset_for(who.as_deref(), name)])
                    .on(who),
            );
        }
    }
}

fn list_empty(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for name in LISTS {
        for (scope, value) in set_values(subject.config, name) {
            let known = words(&value.text)
                .any(|word| !word.starts_with(['!', '+', '-', '@']) && is_known(word));
            if known || value.text.contains('$') {
                continue;
            }
            let who = owner(scope, &value);
            found.push(
                LIST_EMPTY
                    .finds(
                        scope.place(&value),
                        format!("`{name} = {}` names no cipher", value.text),
                    )
                    .fix([fix::unset_for(who.as_deref(), name)])
                    .on(who),
            );
        }
    }
}
