//! What a relay service leaves open or drags along beside relaying.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: services that are there for others.

use super::walk::{dedicated, restrictions};
use crate::config::Origin;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const ETRN: Rule = Rule {
    id: "etrn-open-on-the-relay-service",
    severity: Severity::Note,
    title: "the relay service takes ETRN",
    why: "ETRN makes Postfix deliver what waits for a domain. It is offered to everybody before any certificate is asked for, and \
          smtpd_relay_restrictions do not judge it: a client with a certificate of the CA may use it, listed or not.",
    remedy: "refuse it on the service",
    sources: &["postconf(5) smtpd_etrn_restrictions", "ETRN_README"],
    check: etrn,
};

pub(super) const VRFY: Rule = Rule {
    id: "vrfy-open-on-the-relay-service",
    severity: Severity::Note,
    title: "the relay service takes VRFY",
    why: "VRFY tells which addresses exist. It is offered to everybody before any certificate is asked for; whoever the restrictions let in gets an \
          answer (252 or 550). No mail host needs it.",
    remedy: "turn it off on the service",
    sources: &["postconf(5) disable_vrfy_command"],
    check: vrfy,
};

pub(super) const FILTERS: Rule = Rule {
    id: "filters-inherited-by-the-relay-service",
    severity: Severity::Note,
    title: "mail of your own hosts goes through the filters for mail from outside",
    why: "A service inherits milters, content and proxy filters from main.cf. One that is down makes mail of listed hosts wait (milter_default_action), \
          and a filter for spam judges them by a dynamic address.",
    remedy: "empty them in the service, unless they are meant",
    sources: &[
        "postconf(5) smtpd_milters",
        "postconf(5) content_filter",
        "postconf(5) smtpd_proxy_filter",
    ],
    check: filters,
};

pub(super) const UNLISTED: Rule = Rule {
    id: "unlisted-recipients-taken",
    severity: Severity::Warning,
    title: "the relay service takes mail for local recipients that do not exist",
    why: "With smtpd_reject_unlisted_recipient=no smtpd answers 250 to any local recipient and finds out later: it then sends a bounce to a sender that \
          may be forged.",
    remedy: "leave it at yes",
    sources: &[
        "postconf(5) smtpd_reject_unlisted_recipient",
        "BACKSCATTER_README",
    ],
    check: unlisted,
};

pub(super) const WITHOUT_RECEIVED: Rule = Rule {
    id: "received-header-without-tls",
    severity: Severity::Note,
    title: "the Received header does not say how a message came",
    why: "With smtpd_tls_received_header=yes Postfix writes the protocol, the cipher and the name in the client's certificate into the header: where \
          something went wrong, the message itself tells which host sent it.",
    remedy: "turn it on",
    sources: &["postconf(5) smtpd_tls_received_header"],
    check: without_received,
};

fn etrn(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        let refused = restrictions(relay.scope, "smtpd_etrn_restrictions")
            .iter()
            .any(|one| one.blocks_all());
        if refused {
            continue;
        }
        let label = relay.label();
        out.push(
            ETRN.finds(
                relay.place("smtpd_etrn_restrictions"),
                "`smtpd_etrn_restrictions` refuses nobody",
            )
            .on(label.clone())
            .fix([
                fix::set_for(label.as_deref(), "smtpd_etrn_restrictions", "reject"),
                fix::set_for(
                    label.as_deref(),
                    "smtpd_discard_ehlo_keywords",
                    "etrn,silent-discard",
                ),
                fix::reload(),
            ]),
        );
    }
}

fn vrfy(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        if relay.scope.yes("disable_vrfy_command") {
            continue;
        }
        let label = relay.label();
        out.push(
            VRFY.finds(
                relay.place("disable_vrfy_command"),
                "`disable_vrfy_command` is `no`",
            )
            .on(label.clone())
            .fix([
                fix::set_for(label.as_deref(), "disable_vrfy_command", "yes"),
                fix::reload(),
            ]),
        );
    }
}

fn filters(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        let Some(label) = relay.label() else {
            continue;
        };
        for parameter in [
            "smtpd_milters",
            "smtpd_milter_maps",
            "content_filter",
            "smtpd_proxy_filter",
        ] {
            let value = relay.scope.value(parameter);
            if value.is_empty() || !matches!(value.origin, Origin::Main { .. }) {
                continue;
            }
            out.push(
                FILTERS
                    .finds(
                        relay.scope.place(&value),
                        format!("`{parameter} = {}` counts here too", value.text),
                    )
                    .on(Some(label.clone()))
                    .fix([fix::override_(&label, parameter, ""), fix::reload()]),
            );
        }
    }
}

fn unlisted(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        let value = relay.scope.value("smtpd_reject_unlisted_recipient");
        if value.origin == Origin::Default || relay.scope.yes("smtpd_reject_unlisted_recipient") {
            continue;
        }
        let label = relay.label();
        out.push(
            UNLISTED
                .finds(
                    relay.scope.place(&value),
                    "`smtpd_reject_unlisted_recipient = no`",
                )
                .on(label.clone())
                .fix([
                    fix::set_for(label.as_deref(), "smtpd_reject_unlisted_recipient", "yes"),
                    fix::reload(),
                ]),
        );
    }
}

fn without_received(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        if relay.scope.yes("smtpd_tls_received_header") {
            continue;
        }
        let label = relay.label();
        // relayca's own block is not edited, and for any other service it does no harm.
        let of_main = relay.service.is_some_and(|service| service.marked)
            && !relay.sets("smtpd_tls_received_header");
        let edited = label.as_deref().filter(|_| !of_main);
        out.push(
            WITHOUT_RECEIVED
                .finds(
                    relay.place("smtpd_tls_received_header"),
                    "`smtpd_tls_received_header` is `no`",
                )
                .on(label.clone())
                .fix([
                    fix::set_for(edited, "smtpd_tls_received_header", "yes"),
                    fix::reload(),
                ]),
        );
    }
}
