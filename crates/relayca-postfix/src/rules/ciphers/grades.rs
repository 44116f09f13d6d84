//! Grades of ciphers.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: which ciphers a grade holds on this host.

use super::{SIDES, set_values};
use crate::rules::files::named::owner;
use crate::rules::relay::walk::servers;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const UNKNOWN: Rule = Rule {
    id: "cipher-grade-unknown",
    severity: Severity::Error,
    title: "a cipher grade that Postfix does not know",
    why: "The grades are high, medium, low, export and null. With any other word every TLS handshake ends at once: smtpd closes \
          the connection after STARTTLS, and smtp lets the mail wait (4.7.5); the log says `invalid cipher grade`.",
    remedy: "set medium, or high where all peers are known",
    sources: &[
        "postconf(5) smtpd_tls_mandatory_ciphers",
        "postconf(5) smtp_tls_ciphers",
    ],
    check: unknown,
};

pub(super) const WEAK: Rule = Rule {
    id: "cipher-grade-weak",
    severity: Severity::Warning,
    title: "a weak cipher grade",
    why: "Up to 3.7 `low` and `export` allow whatever ciphers of 40 and 56 bits OpenSSL still has; from 3.8 on both are \
          `medium`. `null` allows TLS without encryption up to TLS 1.2.",
    remedy: "set medium",
    sources: &[
        "postconf(5) smtpd_tls_mandatory_ciphers",
        "postconf(5) tls_export_cipherlist",
    ],
    check: weak,
};

pub(super) const MANDATORY_WEAKER: Rule = Rule {
    id: "mandatory-ciphers-weaker",
    severity: Severity::Warning,
    title: "mandatory TLS has weaker ciphers than opportunistic TLS",
    why: "*_tls_mandatory_ciphers counts where TLS is mandatory, *_tls_ciphers elsewhere. Strict ciphers at level `may` only \
          make mail go in the clear, while the sessions that must be safe take the weaker ones.",
    remedy: "swap the two",
    sources: &[
        "postconf(5) smtpd_tls_ciphers",
        "postconf(5) smtpd_tls_mandatory_ciphers",
    ],
    check: mandatory_weaker,
};

pub(super) const HIGH_ON_25: Rule = Rule {
    id: "high-ciphers-on-public-mx",
    severity: Severity::Note,
    title: "ciphers on port 25 that shut out old servers",
    why: "At level `may` a server that shares no cipher does not get a better one: its handshake fails, and Postfix as a client \
          sends the mail in the clear at the next attempt. Old TLS is better than none here.",
    remedy: "leave smtpd_tls_ciphers at medium, and set smtpd_tls_mandatory_ciphers = high",
    sources: &[
        "postconf(5) smtpd_tls_ciphers",
        "TLS_README",
        "RFC 7435 section 3",
    ],
    check: high_on_25,
};

/// The weaker, the lower; none for a word that is no grade.
fn strength(grade: &str) -> Option<u8> {
    match grade.to_ascii_lowercase().as_str() {
        "null" => Some(0),
        "export" => Some(1),
        "low" => Some(2),
        "medium" => Some(3),
        "high" => Some(4),
        _ => None,
    }
}

fn unknown(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (name, scope, value) in grades(subject) {
        if strength(&value.text).is_some() || value.text.contains('$') {
            continue;
        }
        let who = owner(scope, &value);
        found.push(
            UNKNOWN
                .finds(
                    scope.place(&value),
                    format!("`{name} = {}`: there is no such grade", value.text),
                )
                .fix([fix::set_for(who.as_deref(), &name, "medium")])
                .on(who),
        );
    }
}

fn weak(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (name, scope, value) in grades(subject) {
        let severity = match strength(&value.text) {
            Some(0) => Severity::Error,
            Some(1 | 2) if subject.facts.at_least(3, 8) => Severity::Note,
            Some(1 | 2) => Severity::Warning,
            _ => continue,
        };
        let who = owner(scope, &value);
        found.push(
            WEAK.finds(scope.place(&value), format!("`{name} = {}`", value.text))
                .as_severe_as(severity)
                .fix([fix::set_for(who.as_deref(), &name, "medium")])
                .on(who),
        );
    }
}

fn grades<'a>(
    subject: &Subject<'a>,
) -> Vec<(String, crate::config::Scope<'a>, crate::config::Value)> {
    let mut all = Vec::new();
    for side in SIDES {
        for rest in ["tls_ciphers", "tls_mandatory_ciphers"] {
            let name = format!("{side}_{rest}");
            for (scope, value) in set_values(subject.config, &name) {
                all.push((name.clone(), scope, value));
            }
        }
    }
    all
}

fn mandatory_weaker(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for side in SIDES {
        let (may, must) = (
            format!("{side}_tls_ciphers"),
            format!("{side}_tls_mandatory_ciphers"),
        );
        for name in [&may, &must] {
            for (scope, value) in set_values(subject.config, name) {
                let (one, other) = (scope.value(&may), scope.value(&must));
                if strength(&one.text)
                    .zip(strength(&other.text))
                    .is_none_or(|(may, must)| must >= may)
                {
                    continue;
                }
                let who = owner(scope, &value);
                let finding = MANDATORY_WEAKER
                    .finds(
                        scope.place(&value),
                        format!("`{must} = {}`, and `{may} = {}`", other.text, one.text),
                    )
                    .fix([
                        fix::set_for(who.as_deref(), &may, "medium"),
                        fix::set_for(who.as_deref(), &must, "high"),
                    ])
                    .on(who);
                // Where both are set, once is enough.
                if !found.iter().any(|known| {
                    known.message == finding.message && known.service == finding.service
                }) {
                    found.push(finding);
                }
            }
        }
    }
}

fn high_on_25(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let value = scope.value("smtpd_tls_ciphers");
        if service.is_none_or(|service| service.port() != Some(25))
            || scope.level("smtpd") != "may"
            || strength(&value.text) != Some(4)
        {
            continue;
        }
        let who = owner(scope, &value);
        found.push(
            HIGH_ON_25
                .finds(
                    scope.place(&value),
                    "`smtpd_tls_ciphers = high` counts on port 25",
                )
                .fix([fix::set_for(who.as_deref(), "smtpd_tls_ciphers", "medium")])
                .on(who),
        );
    }
}
