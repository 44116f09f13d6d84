//! Old names.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what becomes of them in versions to come.

use super::set_values;
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const SWITCHES: Rule = Rule {
    id: "tls-switches-obsolete",
    severity: Severity::Warning,
    title: "*_use_tls or *_enforce_tls",
    why: "They are of the time before *_tls_security_level and count only where that is empty. From 3.9 on postconf and postfix \
          check warn that support for them `will be removed`.",
    remedy: "set *_tls_security_level: may for use, encrypt for enforce, secure for a relay",
    sources: &[
        "postconf(5) smtpd_use_tls",
        "postconf(5) smtp_enforce_tls",
        "DEPRECATION_README",
    ],
    check: switches,
};

pub(super) const PER_SITE: Rule = Rule {
    id: "per-site-table-obsolete",
    severity: Severity::Warning,
    title: "smtp_tls_per_site",
    why: "smtp_tls_policy_maps took its place in 2.3: where that is set the old table is not looked at (smtp warns), and where \
          it is not, an entry `NONE` beats the level secure. From 3.9 on postconf warns that support `will be removed`.",
    remedy: "move its entries to smtp_tls_policy_maps",
    sources: &[
        "postconf(5) smtp_tls_per_site",
        "TLS_LEGACY_README",
        "DEPRECATION_README",
    ],
    check: per_site,
};

pub(super) const DEPRECATED: Rule = Rule {
    id: "parameter-deprecated",
    severity: Severity::Note,
    title: "a parameter that Postfix will drop",
    why: "It still works, under another name or not at all. From 3.9 or 3.11 on postconf and postfix check warn that support for \
          it `will be removed`.",
    remedy: "write the new name, or leave it out",
    sources: &["DEPRECATION_README", "postconf(1)"],
    check: deprecated,
};

/// Old switches, and the level that each stands for.
const OLD_SWITCHES: &[(&str, &str, &str)] = &[
    ("smtpd_use_tls", "smtpd_tls_security_level", "may"),
    ("smtpd_enforce_tls", "smtpd_tls_security_level", "encrypt"),
    ("smtp_use_tls", "smtp_tls_security_level", "may"),
    ("smtp_enforce_tls", "smtp_tls_security_level", "verify"),
    ("lmtp_use_tls", "lmtp_tls_security_level", "may"),
    ("lmtp_enforce_tls", "lmtp_tls_security_level", "verify"),
    ("postscreen_use_tls", "postscreen_tls_security_level", "may"),
    (
        "postscreen_enforce_tls",
        "postscreen_tls_security_level",
        "encrypt",
    ),
    ("tlsproxy_use_tls", "tlsproxy_tls_security_level", "may"),
    (
        "tlsproxy_enforce_tls",
        "tlsproxy_tls_security_level",
        "encrypt",
    ),
    (
        "tlsproxy_client_use_tls",
        "tlsproxy_client_security_level",
        "may",
    ),
    (
        "tlsproxy_client_enforce_tls",
        "tlsproxy_client_security_level",
        "verify",
    ),
];

/// Those that 3.9 and 3.11 warn of (postconf_unused.c) and that no other rule tells of: since when, and what instead.
const OLD_NAMES: &[(&str, u16, &str)] = &[
    ("disable_dns_lookups", 9, "smtp_dns_support_level"),
    (
        "authorized_verp_clients",
        11,
        "smtpd_authorized_verp_clients",
    ),
    ("fallback_relay", 11, "smtp_fallback_relay"),
    ("lmtp_per_record_deadline", 11, "lmtp_per_request_deadline"),
    ("lmtp_tls_enforce_peername", 11, "lmtp_tls_security_level"),
    (
        "postscreen_blacklist_action",
        11,
        "postscreen_denylist_action",
    ),
    ("postscreen_dnsbl_ttl", 11, "postscreen_dnsbl_max_ttl"),
    (
        "postscreen_dnsbl_whitelist_threshold",
        11,
        "postscreen_dnsbl_allowlist_threshold",
    ),
    (
        "postscreen_whitelist_interfaces",
        11,
        "postscreen_allowlist_interfaces",
    ),
    (
        "smtpd_client_connection_limit_exceptions",
        11,
        "smtpd_client_event_limit_exceptions",
    ),
    (
        "smtpd_per_record_deadline",
        11,
        "smtpd_per_request_deadline",
    ),
    ("smtp_per_record_deadline", 11, "smtp_per_request_deadline"),
    ("smtp_tls_enforce_peername", 11, "smtp_tls_security_level"),
    (
        "tlsproxy_client_level",
        11,
        "tlsproxy_client_security_level",
    ),
    ("tlsproxy_client_policy", 11, "tlsproxy_client_policy_maps"),
    ("virtual_maps", 11, "virtual_alias_maps"),
    ("lmtp_cname_overrides_servername", 11, ""),
    ("smtp_cname_overrides_servername", 11, ""),
];

fn switches(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (name, level, word) in OLD_SWITCHES {
        for (scope, value) in set_values(subject.config, name) {
            let on = value.text.eq_ignore_ascii_case("yes");
            let counts = scope.value(level).is_empty();
            let who = owner(scope, &value);
            let mut fix = vec![fix::unset_for(who.as_deref(), name)];
            let message = match (on, counts) {
                (true, true) => {
                    fix.push(fix::set_for(who.as_deref(), level, word));
                    format!("`{name} = yes` stands for `{level} = {word}`")
                }
                (true, false) => format!("`{name} = yes` is not looked at, as `{level}` is set"),
                (false, _) => format!("`{name} = {}` does nothing", value.text),
            };
            found.push(
                SWITCHES
                    .finds(scope.place(&value), message)
                    .as_severe_as(if on && counts {
                        Severity::Warning
                    } else {
                        Severity::Note
                    })
                    .fix(fix)
                    .on(who),
            );
        }
    }
}

fn per_site(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for side in ["smtp", "lmtp", "tlsproxy_client"] {
        let (old, new) = match side {
            "tlsproxy_client" => (
                "tlsproxy_client_per_site".to_owned(),
                "tlsproxy_client_policy_maps".to_owned(),
            ),
            side => (
                format!("{side}_tls_per_site"),
                format!("{side}_tls_policy_maps"),
            ),
        };
        for (scope, value) in set_values(subject.config, &old) {
            if value.is_empty() {
                continue;
            }
            let who = owner(scope, &value);
            let message = if scope.value(&new).is_empty() {
                format!("`{old} = {}` is the old form of `{new}`", value.text)
            } else {
                format!("`{old}` is not looked at, as `{new}` is set")
            };
            found.push(
                PER_SITE
                    .finds(scope.place(&value), message)
                    .fix([fix::unset_for(who.as_deref(), &old)])
                    .on(who),
            );
        }
    }
}

fn deprecated(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (name, minor, new) in OLD_NAMES {
        for (scope, value) in set_values(subject.config, name) {
            let who = owner(scope, &value);
            let mut fix = vec![fix::unset_for(who.as_deref(), name)];
            let known = crate::config::parameter(new)
                .is_some_and(|parameter| parameter.known_by(subject.facts.version));
            // Two of them are replaced by something that takes other values.
            if known
                && !matches!(
                    *name,
                    "disable_dns_lookups"
                        | "lmtp_tls_enforce_peername"
                        | "smtp_tls_enforce_peername"
                )
            {
                fix.push(fix::set_for(who.as_deref(), new, &value.text));
            }
            let message = match (*new, known) {
                ("", _) => format!(
                    "`{name}` will go, and needs no other in its place (3.{minor} warns of it)"
                ),
                (new, true) => {
                    format!("`{name}` will go; its place takes `{new}` (3.{minor} warns of it)")
                }
                (new, false) => {
                    format!("`{name}` will go; later versions have `{new}` (3.{minor} warns of it)")
                }
            };
            if !known && !new.is_empty() {
                fix.clear();
            }
            found.push(
                DEPRECATED
                    .finds(scope.place(&value), message)
                    .fix(fix)
                    .on(who),
            );
        }
    }
}
