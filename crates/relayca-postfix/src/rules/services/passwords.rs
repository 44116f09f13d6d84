//! Logging in by password.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: whose passwords, and where they are kept.

use super::{add, mx};
use crate::config::Scope;
use crate::rules::files::named::owner;
use crate::rules::relay::walk::servers;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const IN_THE_CLEAR: Rule = Rule {
    id: "login-offered-in-the-clear",
    severity: Severity::Error,
    title: "passwords may be sent without TLS",
    why: "At level `may` or `none` smtpd offers AUTH to every client as soon as it connects, and takes the password in the \
          clear. smtpd_tls_auth_only = yes, or level `encrypt`, or wrapper mode, offers AUTH only within TLS.",
    remedy: "set smtpd_tls_auth_only = yes",
    sources: &[
        "postconf(5) smtpd_tls_auth_only",
        "RFC 4954 section 4",
        "RFC 8314 section 3.3",
    ],
    check: in_the_clear,
};

pub(super) const ON_25: Rule = Rule {
    id: "login-on-port-25",
    severity: Severity::Warning,
    title: "users may log in on port 25",
    why: "Port 25 is open to the whole world, and attackers try passwords there day and night; whoever finds one sends through \
          this host wherever permit_sasl_authenticated stands. Users send through 465 or 587.",
    remedy: "set smtpd_sasl_auth_enable = no in main.cf, and yes on the submission services in master.cf",
    sources: &[
        "postconf(5) smtpd_sasl_auth_enable",
        "RFC 6409 section 3.1",
        "RFC 8314 section 3.3",
    ],
    check: on_25,
};

pub(super) const NEVER_OFFERED: Rule = Rule {
    id: "login-never-offered",
    severity: Severity::Error,
    title: "logging in is on, and never offered",
    why: "With smtpd_tls_auth_only = yes AUTH is offered within TLS alone, and with TLS off there is none: clients hear 503 \
          `authentication not enabled`.",
    remedy: "set smtpd_tls_security_level = encrypt on the service",
    sources: &[
        "postconf(5) smtpd_tls_auth_only",
        "postconf(5) smtpd_tls_security_level",
    ],
    check: never_offered,
};

/// Whether users can log in.
pub(super) fn has_login(scope: Scope<'_>) -> bool {
    scope.yes("smtpd_sasl_auth_enable")
}

/// Whether mechanisms that send the password itself are off outside TLS.
fn without_plain_text(scope: Scope<'_>) -> bool {
    scope
        .list("smtpd_sasl_security_options")
        .iter()
        .any(|word| word.eq_ignore_ascii_case("noplaintext"))
}

fn in_the_clear(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let level = scope.level("smtpd");
        if !has_login(scope)
            || scope.yes("smtpd_tls_auth_only")
            || without_plain_text(scope)
            || !matches!(level.as_str(), "may" | "none")
        {
            continue;
        }
        // On the loopback address nobody listens in.
        if service.is_some_and(|service| {
            service.name.starts_with("127.") || service.name.starts_with("localhost:")
        }) {
            continue;
        }
        // What the service itself says is the nearest cause.
        let causes = [
            "smtpd_tls_auth_only",
            "smtpd_sasl_auth_enable",
            "smtpd_tls_security_level",
        ]
        .map(|name| scope.value(name));
        let cause = causes
            .iter()
            .find(|value| owner(scope, value).is_some())
            .or_else(|| causes.get(1));
        let Some(cause) = cause else { continue };
        let who = owner(scope, cause);
        let finding = IN_THE_CLEAR
            .finds(
                scope.place(cause),
                format!(
                    "at level `{level}` AUTH is offered before TLS, as `smtpd_tls_auth_only` is off"
                ),
            )
            .fix([fix::set_for(who.as_deref(), "smtpd_tls_auth_only", "yes")])
            .on(who);
        add(found, finding);
    }
}

fn on_25(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    // Without master.cf it is not known which ports there are.
    if subject.config.master.services.is_empty() {
        return;
    }
    for (_, scope) in mx::on_25(subject) {
        let enable = scope.value("smtpd_sasl_auth_enable");
        if !has_login(scope) {
            continue;
        }
        let who = owner(scope, &enable);
        let finding = ON_25
            .finds(
                scope.place(&enable),
                "`smtpd_sasl_auth_enable = yes` counts on port 25",
            )
            .fix([match &who {
                Some(service) => fix::override_(service, "smtpd_sasl_auth_enable", "no"),
                None => fix::set("smtpd_sasl_auth_enable", "no"),
            }])
            .on(who);
        add(found, finding);
    }
}

fn never_offered(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (_, scope) in servers(subject) {
        if !has_login(scope) || !scope.yes("smtpd_tls_auth_only") || scope.level("smtpd") != "none"
        {
            continue;
        }
        let only = scope.value("smtpd_tls_auth_only");
        let who = owner(scope, &only);
        let finding = NEVER_OFFERED
            .finds(
                scope.place(&only),
                "`smtpd_tls_auth_only = yes` with TLS off: nobody can log in",
            )
            .fix([fix::set_for(
                owner(scope, &scope.value("smtpd_sasl_auth_enable")).as_deref(),
                "smtpd_tls_security_level",
                "encrypt",
            )])
            .on(who);
        add(found, finding);
    }
}
