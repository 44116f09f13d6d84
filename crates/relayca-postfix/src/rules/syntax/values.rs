//! Words that are none of those that Postfix takes.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what the right word would be.

use crate::config::{Origin, Parameter, Version, parameter};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const TLS_LEVEL: Rule = Rule {
    id: "tls-level-unknown",
    severity: Severity::Error,
    title: "a TLS security level that Postfix does not know",
    why: "smtp stops (`fatal: Invalid TLS level`) each time it is started, and no mail leaves by it.",
    remedy: "smtp knows none, may, encrypt, dane, dane-only, fingerprint, verify and secure; postscreen none, may and encrypt",
    sources: &[
        "postconf(5) smtp_tls_security_level",
        "postconf(5) postscreen_tls_security_level",
    ],
    check: tls_level,
};

pub(super) const YES_OR_NO: Rule = Rule {
    id: "neither-yes-nor-no",
    severity: Severity::Error,
    title: "a value that is neither yes nor no",
    why: "Where yes or no is wanted Postfix takes nothing else, not `true`, `on` or `1`: each daemon that reads it stops \
          (`fatal: bad boolean configuration`).",
    remedy: "write yes or no",
    sources: &["postconf(5)"],
    check: yes_or_no,
};

/// Those whose words are TLS levels, with what they take.
const LEVELS: &[(&str, &[&str])] = &[
    // That of smtpd is told by the rules of the server.
    (
        "smtp_tls_security_level",
        &[
            "none",
            "may",
            "encrypt",
            "fingerprint",
            "dane",
            "dane-only",
            "verify",
            "secure",
        ],
    ),
    (
        "lmtp_tls_security_level",
        &[
            "none",
            "may",
            "encrypt",
            "fingerprint",
            "dane",
            "dane-only",
            "verify",
            "secure",
        ],
    ),
    ("postscreen_tls_security_level", &["none", "may", "encrypt"]),
];

/// Those of yes or no whose default is an expression.
const SWITCHES: &[&str] = &[
    "append_dot_mydomain",
    "lmtp_per_request_deadline",
    "postscreen_disable_vrfy_command",
    "postscreen_helo_required",
    "smtp_per_request_deadline",
    "smtpd_per_request_deadline",
    "smtpd_relay_before_recipient_restrictions",
    "smtputf8_enable",
];

/// Every value that somebody sets: the parameter, the value expanded, and a finding to be filled in.
fn each(subject: &Subject<'_>, rule: &Rule, mut tell: impl FnMut(&str, &str, &str, Finding)) {
    let config = subject.config;
    let main = config.main_scope();
    for entry in config.main.counting() {
        let value = main.value(&entry.name);
        tell(
            &entry.name,
            &value.text,
            &value.raw,
            rule.finds(main.place(&value), ""),
        );
    }
    for service in &config.master.services {
        let scope = config.scope(service);
        for option in service.counting() {
            let value = scope.value(&option.name);
            if !matches!(value.origin, Origin::Override { .. }) {
                continue;
            }
            let finding = rule
                .finds(scope.place(&value), "")
                .on(Some(service.label()));
            tell(&option.name, &value.text, &value.raw, finding);
        }
    }
}

fn tls_level(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    each(subject, &TLS_LEVEL, |name, text, raw, mut finding| {
        let Some((_, levels)) = LEVELS.iter().find(|(level, _)| *level == name) else {
            return;
        };
        // A comment in it is another rule's.
        let known = levels.iter().any(|level| level.eq_ignore_ascii_case(text));
        if text.is_empty() || known || text.contains(['$', '#']) || raw.contains('#') {
            return;
        }
        finding.message = format!("`{name} = {text}`: there is no such level");
        found.push(finding);
    });
}

fn yes_or_no(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    each(subject, &YES_OR_NO, |name, text, raw, mut finding| {
        let wanted = SWITCHES.contains(&name) || parameter(name).is_some_and(is_switch);
        let fine = text.eq_ignore_ascii_case("yes") || text.eq_ignore_ascii_case("no");
        if !wanted || fine || text.contains(['$', '#']) || raw.contains('#') {
            return;
        }
        let word = match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" | "y" => Some("yes"),
            "false" | "off" | "0" | "n" => Some("no"),
            _ => None,
        };
        finding.message = format!("`{name} = {text}`");
        if let Some(word) = word {
            finding = match finding.service.clone() {
                Some(service) => finding.fix([fix::override_(&service, name, word)]),
                None => finding.fix([fix::set(name, word)]),
            };
        }
        found.push(finding);
    });
}

/// Whether the default is yes or no in every version that knows the parameter.
fn is_switch(parameter: &Parameter) -> bool {
    let mut any = false;
    for minor in 4..=11 {
        let version = Some(Version::new(3, minor));
        if !parameter.known_by(version) || parameter.legacy_in(version) {
            continue;
        }
        match parameter.default(version) {
            Some("yes" | "no") => any = true,
            _ => return false,
        }
    }
    any
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_takes_yes_or_no_is_told_by_its_default() {
        for switch in [
            "smtpd_tls_auth_only",
            "smtpd_tls_ask_ccert",
            "biff",
            "smtp_tls_wrappermode",
            "tls_required_enable",
        ] {
            assert!(is_switch(parameter(switch).unwrap()), "{switch}");
        }
        for other in [
            "myhostname",
            "relayhost",
            "smtpd_forbid_bare_newline",
            "smtpd_tls_loglevel",
            "mynetworks",
            "readme_directory",
            "html_directory",
        ] {
            assert!(!is_switch(parameter(other).unwrap()), "{other}");
        }
        for switch in SWITCHES {
            assert!(parameter(switch).is_some(), "{switch}");
        }
    }
}
