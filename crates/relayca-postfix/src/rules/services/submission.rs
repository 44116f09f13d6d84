//! Submission: ports 587 and 465, where users hand in their mail.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: who the users are.

use super::passwords::has_login;
use crate::config::{Scope, Service};
use crate::rules::files::named::owner;
use crate::rules::relay::walk::{
    OTHERS, RECIPIENT, RELAY, Restriction, is_mandatory, restrictions,
};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const WITHOUT_ENCRYPT: Rule = Rule {
    id: "submission-without-encrypt",
    severity: Severity::Error,
    title: "submission without mandatory TLS",
    why: "On port 587 nothing but the service's own smtpd_tls_security_level demands TLS; inherited `may` lets users hand in \
          mail in the clear, and passwords too unless smtpd_tls_auth_only is on. At `encrypt` smtpd answers MAIL before STARTTLS \
          with 530, and offers AUTH only within TLS.",
    remedy: "set smtpd_tls_security_level=encrypt on the submission service",
    sources: &[
        "postconf(5) smtpd_tls_security_level",
        "RFC 8314 section 3.3",
        "RFC 6409 section 3.3",
    ],
    check: without_encrypt,
};

pub(super) const LETS_ALL_IN: Rule = Rule {
    id: "submission-open-to-all",
    severity: Severity::Warning,
    title: "strangers may hand in mail for local users without logging in",
    why: "Unless some list of restrictions ends in reject for those who did not log in, smtpd takes mail for its own domains \
          from anybody on the submission port too, past whatever guards port 25: reject_unauth_destination only keeps mail for \
          elsewhere out.",
    remedy: "end the relay restrictions of the service with permit_sasl_authenticated,reject",
    sources: &[
        "postconf(5) smtpd_relay_restrictions",
        "SASL_README",
        "RFC 6409 section 4.3",
    ],
    check: lets_all_in,
};

pub(super) const MAY_NOT_RELAY: Rule = Rule {
    id: "logged-in-users-may-not-send",
    severity: Severity::Error,
    title: "users who logged in may not send to other domains",
    why: "A recipient has to pass the relay restrictions and the recipient restrictions, each on its own: \
          `permit_sasl_authenticated` in smtpd_client_restrictions does not help there. Without it in these, a user who logged \
          in hears `Relay access denied`.",
    remedy: "put permit_sasl_authenticated first in the relay restrictions of the service",
    sources: &[
        "postconf(5) smtpd_relay_restrictions",
        "SMTPD_ACCESS_README",
        "SASL_README",
    ],
    check: may_not_relay,
};

pub(super) const WITHOUT_SASL: Rule = Rule {
    id: "submission-without-login",
    severity: Severity::Warning,
    title: "a submission service on which nobody can log in",
    why: "permit_sasl_authenticated lets nobody in where smtpd_sasl_auth_enable is off: AUTH is answered with 503, and everybody \
          is refused.",
    remedy: "set smtpd_sasl_auth_enable=yes on the service",
    sources: &["postconf(5) smtpd_sasl_auth_enable", "SASL_README"],
    check: without_sasl,
};

pub(super) const JUDGED_BEFORE_LOGIN: Rule = Rule {
    id: "submission-inherits-checks-for-strangers",
    severity: Severity::Warning,
    title: "users are judged as if they were mail servers",
    why: "A service inherits the restrictions of main.cf that it does not set. Checks of the client's name, address or HELO that \
          stand before permit_sasl_authenticated, or in a list without it, also count for users who logged in: laptops behind a \
          home router have no good name, and send a HELO that is none.",
    remedy: "empty the inherited lists on the submission service",
    sources: &[
        "SASL_README",
        "postconf(5) smtpd_helo_restrictions",
        "postconf(5) smtpd_client_restrictions",
    ],
    check: judged_before_login,
};

pub(super) const CLIENT_ALONE: Rule = Rule {
    id: "submission-closed-by-client-restrictions-alone",
    severity: Severity::Note,
    title: "only smtpd_client_restrictions close the submission service",
    why: "`smtpd_client_restrictions=permit_sasl_authenticated,reject` keeps strangers out as long as smtpd_delay_reject is yes; \
          who may send where is still said by the relay restrictions of main.cf, made for port 25, and changes with them.",
    remedy: "set smtpd_relay_restrictions=permit_sasl_authenticated,reject on the service",
    sources: &[
        "postconf(5) smtpd_client_restrictions",
        "postconf(5) smtpd_relay_restrictions",
    ],
    check: client_alone,
};

/// The services on 587 and 465.
fn submissions<'a>(subject: &Subject<'a>) -> Vec<(&'a Service, Scope<'a>)> {
    subject
        .config
        .smtpd_services()
        .filter(|(service, _)| matches!(service.port(), Some(587 | 465)))
        .collect()
}

const LOGGED_IN: &str = "permit_sasl_authenticated";

/// Whether a list refuses everybody who did not log in: no permit for others is followed up here, only the end counts.
fn ends_in_reject(list: &[Restriction]) -> bool {
    list.last().is_some_and(Restriction::blocks_all)
}

/// Whether a list has a table or a service that may decide anything.
fn asks_somebody(list: &[Restriction]) -> bool {
    list.iter()
        .any(|restriction| restriction.name.starts_with("check_") || restriction.name.contains(':'))
}

fn without_encrypt(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in submissions(subject) {
        // 465 without wrapper mode is another rule's.
        if service.port() != Some(587) || is_mandatory(scope) {
            continue;
        }
        let local = service.name.starts_with("127.") || service.name.starts_with("localhost:");
        let level = scope.value("smtpd_tls_security_level");
        let protected = !has_login(scope) || scope.yes("smtpd_tls_auth_only");
        let label = service.label();
        let severity = match (local, protected) {
            (true, _) => Severity::Note,
            (false, true) => Severity::Warning,
            (false, false) => Severity::Error,
        };
        let place = if owner(scope, &level).is_some() {
            scope.place(&level)
        } else {
            crate::config::Place::master(service.line)
        };
        found.push(
            WITHOUT_ENCRYPT
                .finds(
                    place,
                    format!(
                        "port 587 at level `{}`: TLS is not mandatory",
                        scope.level("smtpd")
                    ),
                )
                .as_severe_as(severity)
                .fix([fix::override_(
                    &label,
                    "smtpd_tls_security_level",
                    "encrypt",
                )])
                .on(Some(label)),
        );
    }
}

fn lets_all_in(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in submissions(subject) {
        let lists = OTHERS.iter().chain(&[RELAY, RECIPIENT]);
        let closed = lists
            .map(|list| restrictions(scope, list))
            .any(|list| ends_in_reject(&list) || asks_somebody(&list));
        if closed || !has_login(scope) {
            continue;
        }
        let label = service.label();
        found.push(
            LETS_ALL_IN
                .finds(
                    crate::config::Place::master(service.line),
                    "no list of restrictions of this service ends in `reject`",
                )
                .fix([fix::override_(
                    &label,
                    RELAY,
                    "permit_sasl_authenticated,reject",
                )])
                .on(Some(label)),
        );
    }
}

fn may_not_relay(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in submissions(subject) {
        if !has_login(scope) {
            continue;
        }
        for name in [RELAY, RECIPIENT] {
            let list = restrictions(scope, name);
            let permits = list
                .iter()
                .take_while(|restriction| !restriction.blocks())
                .any(|restriction| restriction.name == LOGGED_IN || restriction.name == "permit");
            // Classes, tables and certificates may let them in.
            let otherwise = asks_somebody(&list);
            if permits || otherwise || !list.iter().any(Restriction::blocks) {
                continue;
            }
            let value = scope.value(name);
            let label = service.label();
            let place = if owner(scope, &value).is_some() {
                scope.place(&value)
            } else {
                crate::config::Place::master(service.line)
            };
            found.push(
                MAY_NOT_RELAY
                    .finds(
                        place,
                        format!("`{name} = {}` refuses users who logged in", value.text),
                    )
                    .fix([fix::override_(
                        &label,
                        name,
                        "permit_sasl_authenticated,reject",
                    )])
                    .on(Some(label)),
            );
        }
    }
}

fn without_sasl(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in submissions(subject) {
        if has_login(scope) {
            continue;
        }
        let lists = OTHERS.iter().chain(&[RELAY, RECIPIENT]);
        let only = lists.map(|list| restrictions(scope, list)).any(|list| {
            ends_in_reject(&list)
                && list.iter().any(|restriction| restriction.name == LOGGED_IN)
                && !list.iter().any(|restriction| {
                    restriction.name.starts_with("permit_tls")
                        || restriction.name == "permit_mynetworks"
                })
                && !asks_somebody(&list)
        });
        if !only {
            continue;
        }
        let label = service.label();
        found.push(
            WITHOUT_SASL
                .finds(
                    crate::config::Place::master(service.line),
                    "`smtpd_sasl_auth_enable` is off, and only users who logged in are let in",
                )
                .fix([fix::override_(&label, "smtpd_sasl_auth_enable", "yes")])
                .on(Some(label)),
        );
    }
}

/// What is asked of mail servers and not of users.
fn is_for_servers(name: &str) -> bool {
    name.starts_with("reject_rbl")
        || name.starts_with("reject_rhsbl_client")
        || name.starts_with("reject_rhsbl_helo")
        || name.starts_with("reject_rhsbl_reverse")
        || matches!(
            name,
            "reject_unknown_client_hostname"
                | "reject_unknown_client"
                | "reject_unknown_reverse_client_hostname"
                | "reject_invalid_helo_hostname"
                | "reject_invalid_hostname"
                | "reject_non_fqdn_helo_hostname"
                | "reject_non_fqdn_hostname"
                | "reject_unknown_helo_hostname"
                | "reject_unknown_hostname"
        )
}

fn judged_before_login(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in submissions(subject) {
        if !has_login(scope) {
            continue;
        }
        for name in OTHERS.iter().chain(&[RELAY, RECIPIENT]) {
            let value = scope.value(name);
            // What the service says itself is meant.
            if owner(scope, &value).is_some() {
                continue;
            }
            let list = restrictions(scope, name);
            let Some(check) = list
                .iter()
                .take_while(|restriction| {
                    restriction.name != LOGGED_IN && restriction.name != "permit"
                })
                .find(|restriction| is_for_servers(&restriction.name) && !restriction.only_warns)
            else {
                continue;
            };
            let label = service.label();
            found.push(
                JUDGED_BEFORE_LOGIN
                    .finds(
                        scope.place(&value),
                        format!(
                            "`{}` in `{name}` counts on `{label}` for users who logged in",
                            check.name
                        ),
                    )
                    .fix([fix::override_(&label, name, "")])
                    .on(Some(label)),
            );
        }
    }
}

fn client_alone(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in submissions(subject) {
        let clients = restrictions(scope, "smtpd_client_restrictions");
        let relay = scope.value(RELAY);
        let closed = [RELAY, RECIPIENT]
            .iter()
            .any(|name| ends_in_reject(&restrictions(scope, name)));
        if !has_login(scope)
            || !ends_in_reject(&clients)
            || closed
            || owner(scope, &relay).is_some()
        {
            continue;
        }
        let label = service.label();
        let value = scope.value("smtpd_client_restrictions");
        found.push(
            CLIENT_ALONE
                .finds(
                    scope.place(&value),
                    format!(
                        "`smtpd_relay_restrictions = {}` is that of main.cf",
                        relay.text
                    ),
                )
                .fix([fix::override_(
                    &label,
                    RELAY,
                    "permit_sasl_authenticated,reject",
                )])
                .on(Some(label)),
        );
    }
}
