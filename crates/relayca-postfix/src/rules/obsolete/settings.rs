//! Settings that were good advice once.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: files, clocks.

use super::set_values;
use crate::config::parameter;
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const DH_PARAMETERS: Rule = Rule {
    id: "dh-parameters-obsolete",
    severity: Severity::Note,
    title: "files of Diffie-Hellman parameters",
    why: "smtpd_tls_dh512_param_file was for export ciphers, and from 3.6 on nobody reads it. smtpd_tls_dh1024_param_file is \
          still read; with OpenSSL 3 Postfix 3.7 and later leave the choice to OpenSSL if it is empty, 3.9 warns that support \
          for it `will be removed`, and a file that cannot be opened gives `using compiled-in defaults`.",
    remedy: "remove both",
    sources: &[
        "postconf(5) smtpd_tls_dh1024_param_file",
        "postconf(5) smtpd_tls_dh512_param_file",
        "DEPRECATION_README",
    ],
    check: dh_parameters,
};

pub(super) const EECDH_GRADE: Rule = Rule {
    id: "eecdh-grade-obsolete",
    severity: Severity::Note,
    title: "smtpd_tls_eecdh_grade",
    why: "From 3.6 on it is not looked at, not even for a word that is no grade; up to 3.5 a grade of one's own narrows the \
          choice of curves, and a wrong word turns ECDHE off. 3.9 warns that support for it `will be removed`.",
    remedy: "remove it",
    sources: &["postconf(5) smtpd_tls_eecdh_grade", "DEPRECATION_README"],
    check: eecdh_grade,
};

pub(super) const RANDOM: Rule = Rule {
    id: "random-source-set",
    severity: Severity::Note,
    title: "where tlsmgr gets its randomness from is set by hand",
    why: "The default, dev:/dev/urandom, is right. With a source that cannot be opened tlsmgr ends and starts again without end, \
          and smtpd waits for it: clients get no greeting at all.",
    remedy: "remove tls_random_source and its like",
    sources: &["postconf(5) tls_random_source", "tlsmgr(8)"],
    check: random,
};

pub(super) const SESSION_TIMEOUT: Rule = Rule {
    id: "session-timeout-set",
    severity: Severity::Note,
    title: "how long TLS sessions can be resumed is set by hand",
    why: "The time-out is also the life of the keys for session tickets: as long as a key lives, who gets hold of it reads all \
          sessions under it. Zero issues no tickets at all. 3600s is the default.",
    remedy: "remove it",
    sources: &[
        "postconf(5) smtpd_tls_session_cache_timeout",
        "RFC 5246 section F.1.4",
    ],
    check: session_timeout,
};

pub(super) const SESSION_CACHE: Rule = Rule {
    id: "server-session-cache-set",
    severity: Severity::Note,
    title: "smtpd keeps TLS sessions in a file",
    why: "From 2.11 on clients keep their sessions themselves, as tickets, and the file is of no use; what is in it lets an \
          expired client certificate go on relaying until it times out.",
    remedy: "remove smtpd_tls_session_cache_database",
    sources: &["postconf(5) smtpd_tls_session_cache_database", "RFC 5077"],
    check: session_cache,
};

pub(super) const PREEMPT: Rule = Rule {
    id: "server-picks-ciphers",
    severity: Severity::Note,
    title: "the server's order of ciphers counts instead of the client's",
    why: "tls_preempt_cipherlist = yes was advice from the time of RC4. Among today's ciphers all are good, and the client knows \
          which of them its hardware does fast.",
    remedy: "remove tls_preempt_cipherlist",
    sources: &["postconf(5) tls_preempt_cipherlist"],
    check: preempt,
};

pub(super) const DSA: Rule = Rule {
    id: "dsa-certificate",
    severity: Severity::Warning,
    title: "a DSA certificate",
    why: "TLS 1.3 has no DSA, and OpenSSL's default security level takes none of its ciphers; nobody can verify such a \
          certificate any more.",
    remedy: "remove the parameter, and use ECDSA or RSA",
    sources: &[
        "postconf(5) smtpd_tls_dcert_file",
        "RFC 8446 section 4.2.3",
        "RFC 9155",
    ],
    check: dsa,
};

pub(super) const COMPATIBILITY: Rule = Rule {
    id: "compatibility-level-missing",
    severity: Severity::Warning,
    title: "compatibility_level is not set",
    why: "Its default is 0, and Postfix then takes the defaults of old versions: fingerprints by MD5 (from 3.6 on), the whole \
          subnet in mynetworks where nobody sets it, relay_domains = $mydestination, services in a jail. It logs `Postfix is \
          using backwards-compatible default settings`.",
    remedy: "set compatibility_level to the version of this Postfix, after reading COMPATIBILITY_README",
    sources: &["postconf(5) compatibility_level", "COMPATIBILITY_README"],
    check: compatibility,
};

fn dh_parameters(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for name in ["smtpd_tls_dh512_param_file", "smtpd_tls_dh1024_param_file"] {
        for (scope, value) in set_values(subject.config, name) {
            if value.is_empty() || value.text.eq_ignore_ascii_case("auto") {
                continue;
            }
            let who = owner(scope, &value);
            let ignored = name == "smtpd_tls_dh512_param_file" && subject.facts.at_least(3, 6);
            let message = if ignored {
                format!("`{name} = {}` is not read by this version", value.text)
            } else {
                format!("`{name} = {}` is better left to Postfix", value.text)
            };
            found.push(
                DH_PARAMETERS
                    .finds(scope.place(&value), message)
                    .fix([fix::unset_for(who.as_deref(), name)])
                    .on(who),
            );
        }
    }
}

fn eecdh_grade(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (scope, value) in set_values(subject.config, "smtpd_tls_eecdh_grade") {
        let who = owner(scope, &value);
        let grade = value.text.to_ascii_lowercase();
        let disables = subject.facts.older_than(3, 6)
            && !matches!(grade.as_str(), "auto" | "strong" | "ultra" | "");
        let finding = EECDH_GRADE
            .finds(
                scope.place(&value),
                format!("`smtpd_tls_eecdh_grade = {}`", value.text),
            )
            .as_severe_as(if disables {
                Severity::Warning
            } else {
                Severity::Note
            })
            .fix([fix::unset_for(who.as_deref(), "smtpd_tls_eecdh_grade")])
            .on(who);
        found.push(finding);
    }
}

fn random(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for name in [
        "tls_random_source",
        "tls_random_bytes",
        "tls_random_reseed_period",
        "tls_random_prng_update_period",
        "tls_random_exchange_name",
        "tls_daemon_random_bytes",
    ] {
        for (scope, value) in set_values(subject.config, name) {
            let usual = matches!(
                value.text.as_str(),
                "dev:/dev/urandom" | "dev:/dev/random" | "/dev/urandom" | "dev:/dev/arandom" | ""
            );
            // A socket of EGD, or a file that is no device.
            let odd = name == "tls_random_source" && !usual && !value.text.contains('$');
            let who = owner(scope, &value);
            found.push(
                RANDOM
                    .finds(scope.place(&value), format!("`{name} = {}`", value.text))
                    .as_severe_as(if odd {
                        Severity::Warning
                    } else {
                        Severity::Note
                    })
                    .fix([fix::unset_for(who.as_deref(), name)])
                    .on(who),
            );
        }
    }
}

/// Seconds of a time value: `3600s`, `1h`, `7d`; a bare number is of seconds here.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let unit = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn session_timeout(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for side in ["smtpd", "smtp", "lmtp"] {
        let name = format!("{side}_tls_session_cache_timeout");
        let main = subject.config.main_scope();
        // An option of a service does nothing: that is another rule's.
        if !main.is_set(&name) {
            continue;
        }
        let value = main.value(&name);
        let (severity, message) = match seconds(&value.text) {
            Some(86_401..) => (
                Severity::Warning,
                format!("`{name} = {}` is longer than a day", value.text),
            ),
            Some(3600) => (
                Severity::Note,
                format!("`{name} = {}` is the default", value.text),
            ),
            _ => continue,
        };
        found.push(
            SESSION_TIMEOUT
                .finds(main.place(&value), message)
                .as_severe_as(severity)
                .fix([fix::unset(&name)]),
        );
    }
}

fn session_cache(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let value = main.value("smtpd_tls_session_cache_database");
    if !value.is_empty() {
        found.push(
            SESSION_CACHE
                .finds(
                    main.place(&value),
                    format!("`smtpd_tls_session_cache_database = {}`", value.text),
                )
                .fix([fix::unset("smtpd_tls_session_cache_database")]),
        );
    }
}

fn preempt(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (scope, value) in set_values(subject.config, "tls_preempt_cipherlist") {
        if value.text.eq_ignore_ascii_case("yes") {
            let who = owner(scope, &value);
            found.push(
                PREEMPT
                    .finds(scope.place(&value), "`tls_preempt_cipherlist = yes`")
                    .fix([fix::unset_for(who.as_deref(), "tls_preempt_cipherlist")])
                    .on(who),
            );
        }
    }
}

fn dsa(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for side in ["smtpd", "smtp", "lmtp"] {
        let name = format!("{side}_tls_dcert_file");
        for (scope, value) in set_values(subject.config, &name) {
            if value.is_empty() {
                continue;
            }
            let who = owner(scope, &value);
            found.push(
                DSA.finds(scope.place(&value), format!("`{name} = {}`", value.text))
                    .fix([
                        fix::unset_for(who.as_deref(), &name),
                        fix::unset_for(who.as_deref(), &format!("{side}_tls_dkey_file")),
                    ])
                    .on(who),
            );
        }
    }
}

fn compatibility(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let known = parameter("compatibility_level").is_some();
    if main.is_set("compatibility_level") || !known || subject.config.main.entries.is_empty() {
        return;
    }
    let value = main.value("compatibility_level");
    let networks = if main.is_set("mynetworks") || main.is_set("mynetworks_style") {
        ""
    } else {
        ": the whole subnet of this host is in `mynetworks`, and may relay"
    };
    let version = subject.facts.version;
    found.push(
        COMPATIBILITY
            .finds(
                main.place(&value),
                format!("`compatibility_level` is not set, and counts as 0{networks}"),
            )
            .fix([match version {
                Some(version) => fix::set("compatibility_level", &version.to_string()),
                None => fix::note("compatibility_level = the version of this Postfix, such as 3.7"),
            }]),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(seconds("3600s"), Some(3600));
        assert_eq!(seconds("1h"), Some(3600));
        assert_eq!(seconds("3600"), Some(3600));
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("soon"), None);
    }
}
