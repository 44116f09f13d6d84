//! What the client shows: its certificate, its password; and where it goes when the relay is away.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what is in the files.

use super::add;
use crate::config::Origin;
use crate::rules::clients::{Policy, clients, encrypts};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const TO_ALL: Rule = Rule {
    id: "client-certificate-shown-to-all",
    severity: Severity::Warning,
    title: "the client certificate is shown to every server that asks",
    why: "smtp_tls_cert_file in main.cf counts for every smtp service: each server that asks for a certificate is told which \
          host this is, whatever its address. A transport of its own in master.cf shows it to the relay alone. Without a relay \
          it is of no use: no server of the internet lets a host in by it.",
    remedy: "give the relay a transport of its own in master.cf with the certificate in it, and remove it from main.cf",
    sources: &["postconf(5) smtp_tls_cert_file", "TLS_README"],
    check: to_all,
};

pub(super) const SESSION_CACHE: Rule = Rule {
    id: "client-sessions-keep-old-certificate",
    severity: Severity::Note,
    title: "a cache of TLS sessions for a client with a certificate",
    why: "A resumed session goes on under the certificate it began with, so a new one is not shown until the session ends or \
          Postfix is reloaded. The cache belongs to tlsmgr, which reads main.cf alone: an `-o smtp_tls_session_cache_database=` \
          of the transport does not turn it off.",
    remedy: "run postfix reload after every change of the certificate, or empty smtp_tls_session_cache_database in main.cf",
    sources: &["postconf(5) smtp_tls_session_cache_database", "tlsmgr(8)"],
    check: session_cache,
};

pub(super) const PASSWORD: Rule = Rule {
    id: "password-in-the-clear",
    severity: Severity::Error,
    title: "the client sends its password without TLS if the server offers none",
    why: "Without `noplaintext` in smtp_sasl_security_options the client says AUTH PLAIN also on a connection that is not \
          encrypted, and below level `encrypt` a server, or anyone between, only needs to leave STARTTLS out to be told the \
          password.",
    remedy: "set smtp_tls_security_level = encrypt or stronger where smtp_sasl_auth_enable is on",
    sources: &[
        "postconf(5) smtp_sasl_security_options",
        "SASL_README",
        "RFC 4954 section 14",
    ],
    check: password,
};

pub(super) const FALLBACK: Rule = Rule {
    id: "fallback-beside-the-relay",
    severity: Severity::Warning,
    title: "mail for the relay goes elsewhere when the relay is away",
    why: "When no connection to the relay comes about, smtp_fallback_relay gets the mail by the same service: the certificate is \
          shown there, and below `verify` nobody asks who that is. Set in main.cf it counts for the relay's transport too.",
    remedy: "empty smtp_fallback_relay on the transport of the relay; mail then waits",
    sources: &["postconf(5) smtp_fallback_relay"],
    check: fallback,
};

fn to_all(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let Some(certificate) = client
            .certificate
            .as_ref()
            .filter(|certificate| !certificate.own)
        else {
            continue;
        };
        if client.side.level == "none" && client.value("tls_policy_maps").is_empty() {
            continue;
        }
        let (severity, message) = if client.direct {
            (
                Severity::Warning,
                format!(
                    "`{}` in main.cf is shown to every server of the internet that asks",
                    certificate.parameter
                ),
            )
        } else if client.relay().is_some() {
            (
                Severity::Note,
                format!(
                    "`{}` in main.cf counts for every smtp service, not for the relay alone",
                    certificate.parameter
                ),
            )
        } else {
            continue;
        };
        let finding = TO_ALL
            .finds(certificate.place.clone(), message)
            .as_severe_as(severity)
            .fix([fix::unset(&certificate.parameter)]);
        add(found, finding);
    }
}

fn session_cache(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let cache = main.value("smtp_tls_session_cache_database");
    if cache.is_empty() {
        return;
    }
    for client in clients(subject) {
        let Some(certificate) = &client.certificate else {
            continue;
        };
        if certificate.own || client.relay().is_some() {
            let finding = SESSION_CACHE
                .finds(
                    main.place(&cache),
                    "sessions with the relay are resumed under the certificate of before a renewal",
                )
                .fix([fix::set("smtp_tls_session_cache_database", "")]);
            add(found, finding);
        }
    }
}

fn password(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let scope = client.scope();
        let enable = client.value("sasl_auth_enable");
        let options = client.value("sasl_security_options");
        let plain = !options
            .text
            .split([',', ' ', '\t'])
            .any(|word| word.eq_ignore_ascii_case("noplaintext"));
        if !enable.text.eq_ignore_ascii_case("yes") || !plain {
            continue;
        }
        let hop = client.relay().map(|route| &route.hop);
        // A table may raise the level for just this server.
        let level = match hop {
            Some(hop) => client.level_for(Some(hop)),
            None => match client.policies.ask(None) {
                Policy::Silent if client.value("tls_policy_maps").is_empty() => {
                    Some(client.side.level.clone())
                }
                Policy::Says(level, _) => Some(level),
                _ => None,
            },
        };
        let Some(level) = level.filter(|level| !encrypts(level)) else {
            continue;
        };
        let who = owner(scope, &options);
        let whom = hop.map_or_else(String::new, |hop| format!(" to `{}`", hop.written));
        let finding = PASSWORD
            .finds(
                scope.place(&options),
                format!("passwords go out{whom} at level `{level}` with `smtp_sasl_security_options = {}`", options.text),
            )
            .fix([fix::set_for(client.label().filter(|_| matches!(enable.origin, Origin::Override { .. })).as_deref(), "smtp_tls_security_level", "encrypt")])
            .on(who);
        add(found, finding);
    }
}

fn fallback(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let scope = client.scope();
        let fallback = scope.value("smtp_fallback_relay");
        let Some(certificate) = &client.certificate else {
            continue;
        };
        if fallback.is_empty() || !(certificate.own || client.relay().is_some()) {
            continue;
        }
        // Said on the service itself, it is meant.
        if matches!(fallback.origin, Origin::Override { .. }) && certificate.own {
            continue;
        }
        let label = client.label().filter(|_| certificate.own);
        let finding = FALLBACK
            .finds(
                scope.place(&fallback),
                format!(
                    "`smtp_fallback_relay = {}` gets the relay's mail when the relay is away",
                    fallback.text
                ),
            )
            .fix([fix::set_for(label.as_deref(), "smtp_fallback_relay", "")])
            .on(label);
        add(found, finding);
    }
}
