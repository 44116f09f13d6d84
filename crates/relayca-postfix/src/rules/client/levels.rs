//! How much TLS the client demands.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what the servers can.

use std::rc::Rc;

use super::add;
use crate::config::Place;
use crate::rules::clients::{Client, Policies, Policy, Route, clients, encrypts, proves};
use crate::rules::files::named::owner;
use crate::rules::tables::Table;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const ENFORCE_OVERRIDDEN: Rule = Rule {
    id: "enforce-tls-overridden",
    severity: Severity::Error,
    title: "smtp_enforce_tls is set, and ignored",
    why: "Where smtp_tls_security_level has a value, smtp_enforce_tls and smtp_use_tls are not looked at, without a word in the \
          log. Debian sets that level to `may`, and from 3.11 on this is the default: mail meant for a proven relay then goes to \
          any server, whatever name its certificate has.",
    remedy: "set smtp_tls_security_level = secure for the relay, and remove smtp_enforce_tls",
    sources: &[
        "postconf(5) smtp_enforce_tls",
        "postconf(5) smtp_tls_security_level",
        "TLS_README",
    ],
    check: enforce_overridden,
};

pub(super) const RELAY_NOT_PROVED: Rule = Rule {
    id: "relay-not-proved",
    severity: Severity::Error,
    title: "mail goes to the relay without proof that it is the relay",
    why: "At `may` and `encrypt` Postfix accepts any certificate, also one of an unknown CA and for another name; at `dane` it \
          does the same where DNSSEC gives no TLSA record. Whoever stands between can read and change the mail; at `may` and \
          `none` it goes in the clear if TLS is not offered.",
    remedy: "set smtp_tls_security_level = secure on the transport, with the CA of the relay as smtp_tls_CAfile",
    sources: &["postconf(5) smtp_tls_security_level", "TLS_README"],
    check: relay_not_proved,
};

pub(super) const CLEAR: Rule = Rule {
    id: "mail-leaves-in-the-clear",
    severity: Severity::Warning,
    title: "outgoing mail is never encrypted",
    why: "With smtp_tls_security_level empty or `none`, smtp does not say STARTTLS even to servers that offer it. Empty is the \
          default before 3.11, and from 3.11 on where compatibility_level is below 3.11.",
    remedy: "set smtp_tls_security_level = may: TLS wherever it is offered",
    sources: &["postconf(5) smtp_tls_security_level", "RFC 7435"],
    check: clear,
};

pub(super) const EVERYBODY: Rule = Rule {
    id: "mandatory-level-for-everybody",
    severity: Severity::Warning,
    title: "TLS is demanded of every server of the internet",
    why: "Mail for a server without STARTTLS waits (4.7.4 `TLS is required, but was not offered`) and goes back to its sender \
          after maximal_queue_lifetime. From `verify` on, so does mail for the many servers whose certificate no CA that is \
          trusted here signed, or which has another name.",
    remedy: "set `may` in main.cf, and the stricter level on a transport of its own or in smtp_tls_policy_maps",
    sources: &[
        "postconf(5) smtp_tls_security_level",
        "TLS_README",
        "RFC 3207 section 4.1",
    ],
    check: everybody,
};

pub(super) const NO_FINGERPRINTS: Rule = Rule {
    id: "fingerprint-level-without-fingerprints",
    severity: Severity::Error,
    title: "the level is fingerprint, and no fingerprint is given",
    why: "Nothing can match: no mail leaves by this client. It waits with 4.7.5 `client TLS configuration problem`, and the log \
          says `no fingerprints to match`.",
    remedy: "list the relay's fingerprint in smtp_tls_fingerprint_cert_match",
    sources: &["postconf(5) smtp_tls_fingerprint_cert_match", "TLS_README"],
    check: no_fingerprints,
};

pub(super) const NO_DNSSEC: Rule = Rule {
    id: "dane-without-dnssec",
    severity: Severity::Warning,
    title: "a DANE level without DNSSEC lookups",
    why: "DANE needs smtp_dns_support_level = dnssec and DNS for host lookups. Without them, `dane` is no more than `may` (the \
          log has `dane configured with dnssec lookups disabled`), and at `dane-only` no mail leaves: 4.7.5 `client TLS \
          configuration problem`.",
    remedy: "set smtp_dns_support_level = dnssec, and have a resolver on this host that validates",
    sources: &["postconf(5) smtp_dns_support_level", "TLS_README"],
    check: no_dnssec,
};

pub(super) const POLICY_LEVEL: Rule = Rule {
    id: "policy-level-unknown",
    severity: Severity::Error,
    title: "a TLS policy begins with a word that is no level",
    why: "Mail for that destination waits with 4.7.5 `client TLS configuration problem`; the log says `invalid security level`.",
    remedy: "begin the policy with none, may, encrypt, dane, dane-only, fingerprint, verify or secure",
    sources: &["postconf(5) smtp_tls_policy_maps", "TLS_README"],
    check: policy_level,
};

/// The levels that an smtp client knows.
pub(super) const LEVELS: &[&str] = &[
    "none",
    "may",
    "encrypt",
    "fingerprint",
    "dane",
    "dane-only",
    "verify",
    "secure",
];

fn enforce_overridden(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let enforce = client.value("enforce_tls");
        let level = client.value("tls_security_level").text.to_ascii_lowercase();
        let wanted_proof = !client
            .value("tls_enforce_peername")
            .text
            .eq_ignore_ascii_case("no");
        let enough = if wanted_proof {
            proves(&level)
        } else {
            encrypts(&level)
        };
        if !enforce.text.eq_ignore_ascii_case("yes") || level.is_empty() || enough {
            continue;
        }
        let scope = client.scope();
        let who = owner(scope, &enforce);
        let finding = ENFORCE_OVERRIDDEN
            .finds(
                scope.place(&enforce),
                format!("`smtp_enforce_tls = yes` does nothing beside `smtp_tls_security_level = {level}`"),
            )
            .fix([
                fix::unset_for(who.as_deref(), "smtp_enforce_tls"),
                fix::note("on the transport of the relay: -o smtp_tls_security_level=secure"),
            ])
            .on(who);
        add(found, finding);
    }
}

fn relay_not_proved(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let Some(certificate) = &client.certificate else {
            continue;
        };
        if client.routes.is_empty() && certificate.own {
            not_proved_at(&client, None, found);
        }
        for route in &client.routes {
            // A certificate of main.cf is for the relay only if all mail goes there.
            if certificate.own || matches!(route.parameter, "relayhost" | "default_transport") {
                not_proved_at(&client, Some(route), found);
            }
        }
    }
}

fn not_proved_at(client: &Client<'_>, route: Option<&Route>, found: &mut Vec<Finding>) {
    let Some(level) = client.level_for(route.map(|route| &route.hop)) else {
        return;
    };
    if !matches!(level.as_str(), "none" | "may" | "encrypt" | "dane") {
        return;
    }
    let (place, who) = client.level_place();
    let whom = match route {
        Some(route) => format!("mail for `{}`", route.hop.written),
        None => "what this transport sends".to_owned(),
    };
    let with_password = client.scope().yes("smtp_sasl_auth_enable") && encrypts(&level);
    let finding = RELAY_NOT_PROVED
        .finds(
            place,
            format!("{whom} carries a client certificate at level `{level}`, which asks for no proof of the server"),
        )
        .as_severe_as(if with_password { Severity::Warning } else { Severity::Error })
        .fix([match client.label() {
            Some(label) => fix::override_(&label, "smtp_tls_security_level", "secure"),
            None => fix::set("smtp_tls_security_level", "secure"),
        }])
        .on(client.label().or(who));
    add(found, finding);
}

fn clear(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let level = main.value("smtp_tls_security_level");
    let inherits = clients(subject).iter().any(|client| {
        client.direct
            && client.side.level == "none"
            && owner(client.scope(), &client.value("tls_security_level")).is_none()
    });
    if !inherits
        || Policies::of(subject, main).ask(None) != Policy::Silent
        || main.level("smtp") != "none"
    {
        return;
    }
    // With tables that raise the level for some, somebody has thought about it.
    if !main.value("smtp_tls_policy_maps").is_empty() {
        return;
    }
    let (severity, message) = if main.is_set("smtp_tls_security_level") {
        (
            Severity::Warning,
            format!(
                "`smtp_tls_security_level = {}` turns TLS off for all outgoing mail",
                level.text
            ),
        )
    } else {
        (
            Severity::Note,
            "`smtp_tls_security_level` is not set, and its default here is empty: outgoing mail is never encrypted".to_owned(),
        )
    };
    found.push(
        CLEAR
            .finds(main.place(&level), message)
            .as_severe_as(severity)
            .fix([fix::set("smtp_tls_security_level", "may")]),
    );
}

fn everybody(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let level = &client.side.level;
        let (place, who) = client.level_place();
        // Tables may except whom they must.
        if !client.direct || !encrypts(level) || client.policies.ask(None) == Policy::Unknown {
            continue;
        }
        if !client.value("tls_policy_maps").is_empty() {
            continue;
        }
        let finding = EVERYBODY
            .finds(place, format!("level `{level}` counts for every server, as nothing sends all mail to one relay"))
            .fix([fix::set_for(who.as_deref(), "smtp_tls_security_level", "may")])
            .on(who);
        add(found, finding);
    }
}

fn no_fingerprints(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        if client.side.level != "fingerprint"
            || !client.value("tls_fingerprint_cert_match").is_empty()
            || !client.value("tls_policy_maps").is_empty()
        {
            continue;
        }
        let (place, who) = client.level_place();
        let finding = NO_FINGERPRINTS
            .finds(place, "`smtp_tls_fingerprint_cert_match` is empty: no server matches")
            .fix([fix::note(
                "smtp_tls_fingerprint_cert_match = the SHA-256 of the relay's public key, pairs of hexadecimal digits with colons between",
            )])
            .on(who);
        add(found, finding);
    }
}

fn no_dnssec(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let level = client.side.level.as_str();
        let scope = client.scope();
        if !matches!(level, "dane" | "dane-only") {
            continue;
        }
        let support = scope.value("smtp_dns_support_level").text;
        let by_dns = scope
            .list("smtp_host_lookup")
            .iter()
            .any(|word| word.eq_ignore_ascii_case("dns"));
        let wrong = if !support.eq_ignore_ascii_case("dnssec") {
            format!("`smtp_dns_support_level` is {}", shown(&support))
        } else if !by_dns {
            "`smtp_host_lookup` has no `dns`".to_owned()
        } else {
            continue;
        };
        let (place, who) = client.level_place();
        let finding = NO_DNSSEC
            .finds(place, format!("level `{level}`, but {wrong}"))
            .as_severe_as(if level == "dane" {
                Severity::Warning
            } else {
                Severity::Error
            })
            .fix([fix::set_for(
                who.as_deref(),
                "smtp_dns_support_level",
                "dnssec",
            )])
            .on(who);
        add(found, finding);
    }
}

fn shown(value: &str) -> String {
    if value.is_empty() {
        "not set".to_owned()
    } else {
        format!("`{value}`")
    }
}

/// More than this of one table are not told.
const MOST_OF_A_TABLE: usize = 100;

fn policy_level(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let mut told: Vec<Rc<Policies>> = Vec::new();
    for client in clients(subject) {
        // Most services inherit the tables of main.cf.
        if told.iter().any(|known| Rc::ptr_eq(known, &client.policies)) {
            continue;
        }
        told.push(Rc::clone(&client.policies));
        let value = client.value("tls_policy_maps");
        let at = client.scope().place(&value);
        let who = owner(client.scope(), &value);
        for table in client.policies.tables() {
            if let Table::Always(text) = table {
                wrong_level("every destination", text, &at, who.as_ref(), found);
            }
            let before = found.len();
            for row in table.rows() {
                let place = row.place.as_ref().unwrap_or(&at);
                wrong_level(
                    &format!("`{}`", row.key),
                    &row.value,
                    place,
                    who.as_ref(),
                    found,
                );
                if found.len() - before >= MOST_OF_A_TABLE {
                    break;
                }
            }
        }
    }
}

fn wrong_level(
    whom: &str,
    policy: &str,
    place: &Place,
    who: Option<&String>,
    found: &mut Vec<Finding>,
) {
    let level = policy.split([' ', '\t', ',']).next().unwrap_or_default();
    if LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
        return;
    }
    let message = format!("the policy for {whom} begins with `{level}`, which is no TLS level");
    add(
        found,
        POLICY_LEVEL.finds(place.clone(), message).on(who.cloned()),
    );
}
