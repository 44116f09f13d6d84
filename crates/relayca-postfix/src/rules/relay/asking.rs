//! Whether certificates are asked for where they decide, and required where they should.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: which CAs are trusted.

use std::collections::BTreeSet;

use super::walk::{
    OTHERS, RECIPIENT, RELAY, asks, is_mandatory, relays, requires, restrictions, servers,
};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const NOT_ASKED: Rule = Rule {
    id: "certificate-not-asked-for",
    severity: Severity::Error,
    title: "certificates decide who relays, and the service does not ask for any",
    why: "A TLS client shows its certificate only when asked. Without smtpd_tls_ask_ccert (or smtpd_tls_req_ccert where TLS is mandatory) nobody \
          shows one, so nobody relays by it; the log says `permit_tls_clientcerts is requested, but \"smtpd_tls_ask_ccert = no\"`.",
    remedy: "ask for them; on a service of its own, require them",
    sources: &[
        "postconf(5) smtpd_tls_ask_ccert",
        "postconf(5) permit_tls_clientcerts",
    ],
    check: not_asked,
};

pub(super) const NOT_REQUIRED: Rule = Rule {
    id: "certificate-not-required",
    severity: Severity::Warning,
    title: "a listed certificate relays although it expired or its CA is unknown",
    why: "permit_tls_clientcerts looks at the fingerprint and at nothing else. Where certificates are only asked for, an expired, a self-signed and \
          a foreign certificate relay as long as their fingerprint is listed. With smtpd_tls_req_ccert the chain and the dates have to be good \
          as well; who fails hears 421, so mail waits and is not lost.",
    remedy: "require them, on a service of its own where TLS is mandatory",
    sources: &[
        "postconf(5) smtpd_tls_req_ccert",
        "postconf(5) permit_tls_clientcerts",
        "TLS_README",
    ],
    check: not_required,
};

pub(super) const REQUIREMENT_IGNORED: Rule = Rule {
    id: "certificate-requirement-ignored",
    severity: Severity::Error,
    title: "smtpd_tls_req_ccert is ignored, because TLS is not mandatory",
    why: "At level `may` (or `none`) smtpd warns `Can't require client certs unless TLS is required` and does not even ask for one: a listed client \
          is refused like everybody else.",
    remedy: "make TLS mandatory on this service: smtpd_tls_security_level=encrypt",
    sources: &[
        "postconf(5) smtpd_tls_req_ccert",
        "postconf(5) smtpd_tls_security_level",
    ],
    check: requirement_ignored,
};

pub(super) const REQUIRED_OF_THE_INTERNET: Rule = Rule {
    id: "certificates-required-on-port-25",
    severity: Severity::Warning,
    title: "port 25 takes mail only from clients with a certificate",
    why: "Other mail servers have no certificate of your CA: each hears `421 4.7.1 … No client certificate presented`, and no mail comes in from the \
          internet. That is right only where port 25 is out of its reach.",
    remedy: "require certificates on a service with a port of its own, such as 2500",
    sources: &["postconf(5) smtpd_tls_req_ccert", "RFC 3207 section 4"],
    check: required_of_the_internet,
};

pub(super) const BEFORE_TLS: Rule = Rule {
    id: "certificate-judged-before-tls",
    severity: Severity::Error,
    title: "a restriction by certificate is judged before there is TLS",
    why: "With smtpd_delay_reject=no, client restrictions are judged at the connection and HELO restrictions at the first EHLO, both before STARTTLS: \
          there is no certificate yet. A listed client is refused (`Client host rejected`), and the session ends before it can show one.",
    remedy: "leave smtpd_delay_reject at yes, or judge certificates in smtpd_relay_restrictions only",
    sources: &[
        "postconf(5) smtpd_delay_reject",
        "postconf(5) smtpd_client_restrictions",
    ],
    check: before_tls,
};

pub(super) const ANY_OF_THE_CA: Rule = Rule {
    id: "any-certificate-of-the-ca-relays",
    severity: Severity::Warning,
    title: "every certificate of every trusted CA relays",
    why: "permit_tls_all_clientcerts asks only whether the chain ends in a CA that is trusted. Postfix has no revocation lists, so no single host can \
          be shut out; and with the system's CAs or a directory of them, anybody who gets a certificate somewhere relays.",
    remedy: "list the hosts in relay_clientcerts and use permit_tls_clientcerts",
    sources: &[
        "postconf(5) permit_tls_all_clientcerts",
        "postconf(5) permit_tls_clientcerts",
    ],
    check: any_of_the_ca,
};

pub(super) const WITHOUT_MAP: Rule = Rule {
    id: "certificates-permitted-without-a-map",
    severity: Severity::Error,
    title: "permit_tls_clientcerts stands there, and relay_clientcerts is empty",
    why: "Without a table nobody is listed: no client relays by certificate, and Postfix does not say why.",
    remedy: "name the table in relay_clientcerts",
    sources: &[
        "postconf(5) relay_clientcerts",
        "postconf(5) permit_tls_clientcerts",
    ],
    check: without_map,
};

pub(super) const MAP_UNUSED: Rule = Rule {
    id: "relay-clientcerts-never-asked",
    severity: Severity::Warning,
    title: "relay_clientcerts is set, and no restriction asks it",
    why: "The table is looked up by permit_tls_clientcerts only. Without it in smtpd_relay_restrictions the clients listed relay no more than \
          anybody.",
    remedy: "put permit_tls_clientcerts in front of what refuses, in smtpd_relay_restrictions of the service that they use",
    sources: &[
        "postconf(5) relay_clientcerts",
        "postconf(5) permit_tls_clientcerts",
    ],
    check: map_unused,
};

fn not_asked(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        // A requirement that is ignored has a rule of its own.
        if asks(relay.scope) || relay.scope.yes("smtpd_tls_req_ccert") {
            continue;
        }
        // Main.cf's list is inherited by services that are not meant: the port for mail programs, and those without TLS.
        if !relay.dedicated
            && !relay.sets(RELAY)
            && relay
                .service
                .is_some_and(|service| service.port() != Some(25))
        {
            continue;
        }
        let label = relay.label();
        let service = label
            .as_deref()
            .filter(|_| relay.dedicated || relay.sets(RELAY));
        let mut lines = Vec::new();
        if relay.dedicated {
            if !is_mandatory(relay.scope) {
                lines.push(fix::set_for(service, "smtpd_tls_security_level", "encrypt"));
            }
            lines.push(fix::set_for(service, "smtpd_tls_ask_ccert", "yes"));
            lines.push(fix::set_for(service, "smtpd_tls_req_ccert", "yes"));
        } else {
            if relay.scope.level("smtpd") == "none" {
                lines.push(fix::set_for(service, "smtpd_tls_security_level", "may"));
            }
            lines.push(fix::set_for(service, "smtpd_tls_ask_ccert", "yes"));
        }
        lines.push(fix::reload());
        out.push(
            NOT_ASKED
                .finds(
                    relay.place(RELAY),
                    format!("`{RELAY}` lets in by certificate, and `smtpd_tls_ask_ccert` is `no`"),
                )
                .on(label.clone())
                .fix(lines),
        );
    }
}

fn not_required(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        if requires(relay.scope) || !asks(relay.scope) || relay.scope.yes("smtpd_tls_req_ccert") {
            continue;
        }
        let label = relay.label();
        let finding = NOT_REQUIRED
            .finds(
                relay.place("smtpd_tls_ask_ccert"),
                "`smtpd_tls_req_ccert` is `no`",
            )
            .on(label.clone());
        // On the port for everybody they cannot be required.
        out.push(if relay.dedicated {
            let mut lines = Vec::new();
            if !is_mandatory(relay.scope) {
                lines.push(fix::set_for(
                    label.as_deref(),
                    "smtpd_tls_security_level",
                    "encrypt",
                ));
            }
            lines.push(fix::set_for(label.as_deref(), "smtpd_tls_req_ccert", "yes"));
            lines.push(fix::reload());
            finding.fix(lines)
        } else {
            finding.as_severe_as(Severity::Note)
        });
    }
}

fn requirement_ignored(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let deciding: BTreeSet<Option<String>> =
        relays(subject).iter().map(|relay| relay.label()).collect();
    for (service, scope) in servers(subject) {
        if is_mandatory(scope) || !scope.yes("smtpd_tls_req_ccert") {
            continue;
        }
        let label = service.map(|service| service.label());
        let value = scope.value("smtpd_tls_req_ccert");
        let owner = owner(scope, &value);
        let decides = deciding.contains(&label);
        out.push(
            REQUIREMENT_IGNORED
                .finds(
                    scope.place(&value),
                    format!(
                        "`smtpd_tls_req_ccert = yes` means nothing at level `{}`",
                        scope.level("smtpd")
                    ),
                )
                .as_severe_as(if decides {
                    Severity::Error
                } else {
                    Severity::Warning
                })
                .on(label.clone())
                .fix([
                    match owner {
                        Some(owner) => {
                            fix::override_(&owner, "smtpd_tls_security_level", "encrypt")
                        }
                        // The whole server must not be made to demand TLS.
                        None => fix::unset("smtpd_tls_req_ccert"),
                    },
                    fix::reload(),
                ]),
        );
    }
}

fn required_of_the_internet(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let Some(service) = service.filter(|service| service.port() == Some(25)) else {
            continue;
        };
        // On the loopback it is nobody's port 25.
        let local = service.name.starts_with("127.")
            || service.name.starts_with("[::1]")
            || service.name.starts_with("localhost");
        if !requires(scope) || local {
            continue;
        }
        let value = scope.value("smtpd_tls_req_ccert");
        out.push(
            REQUIRED_OF_THE_INTERNET
                .finds(
                    scope.place(&value),
                    "`smtpd_tls_req_ccert = yes` on port 25",
                )
                .on(Some(service.label()))
                .fix([
                    fix::set_for(owner(scope, &value).as_deref(), "smtpd_tls_req_ccert", "no"),
                    fix::reload(),
                ]),
        );
    }
}

fn before_tls(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        if scope.yes("smtpd_delay_reject") || scope.yes("smtpd_tls_wrappermode") {
            continue;
        }
        for list in ["smtpd_client_restrictions", "smtpd_helo_restrictions"] {
            if !restrictions(scope, list)
                .iter()
                .any(|one| one.permits_by_certificate())
            {
                continue;
            }
            let value = scope.value("smtpd_delay_reject");
            out.push(
                BEFORE_TLS
                    .finds(
                        scope.place(&value),
                        format!("`{list}` asks for a certificate, and `smtpd_delay_reject = no`"),
                    )
                    .on(service.map(|service| service.label()))
                    .fix([
                        fix::set_for(owner(scope, &value).as_deref(), "smtpd_delay_reject", "yes"),
                        fix::reload(),
                    ]),
            );
        }
    }
}

fn any_of_the_ca(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        if !relay
            .list
            .iter()
            .any(|one| one.name == "permit_tls_all_clientcerts")
        {
            continue;
        }
        let scope = relay.scope;
        let public = super::trust::system_bundle(scope).is_some()
            || !scope.value("smtpd_tls_CApath").is_empty()
            || scope.yes("tls_append_default_CA");
        let mut message =
            "`permit_tls_all_clientcerts` lets in every certificate of a trusted CA".to_owned();
        if public {
            message.push_str(", and more than one CA is trusted");
        }
        out.push(
            ANY_OF_THE_CA
                .finds(relay.place(RELAY), message)
                .as_severe_as(if public { Severity::Error } else { Severity::Warning })
                .on(relay.label())
                .fix([fix::note(&format!("in {RELAY}, write permit_tls_clientcerts for permit_tls_all_clientcerts, and set relay_clientcerts"))]),
        );
    }
}

fn without_map(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        let asks_map = relay
            .list
            .iter()
            .any(|one| one.name == "permit_tls_clientcerts");
        if !asks_map || !relay.scope.list("relay_clientcerts").is_empty() {
            continue;
        }
        // In main.cf of some distributions it stands for whoever adds a table later; where certificates are not asked for, it
        // is idle.
        let severity = if relay.dedicated || asks(relay.scope) {
            Severity::Error
        } else {
            Severity::Note
        };
        let label = relay.label();
        let service = label
            .as_deref()
            .filter(|_| relay.dedicated || relay.sets(RELAY));
        let path = format!(
            "{}/relay_clientcerts",
            subject.config.directory().trim_end_matches('/')
        );
        out.push(
            WITHOUT_MAP
                .finds(relay.place(RELAY), "`relay_clientcerts` is empty")
                .as_severe_as(severity)
                .on(label.clone())
                .fix([
                    fix::note(&format!("write the fingerprints into {path}, then:")),
                    fix::set_for(
                        service,
                        "relay_clientcerts",
                        &format!("${{default_database_type}}:{path}"),
                    ),
                    fix::postmap("", &path),
                    fix::reload(),
                ]),
        );
    }
}

/// Whether any list of a scope asks relay_clientcerts.
fn asks_map(scope: crate::config::Scope<'_>) -> bool {
    [RELAY, RECIPIENT].iter().chain(OTHERS).any(|list| {
        restrictions(scope, list).iter().any(|one| {
            matches!(
                one.name.as_str(),
                "permit_tls_clientcerts" | "permit_tls_all_clientcerts"
            )
        })
    })
}

fn map_unused(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let servers = servers(subject);
    for (service, scope) in &servers {
        let value = scope.value("relay_clientcerts");
        let own = owner(*scope, &value);
        if value.is_empty() {
            continue;
        }
        // Main.cf's serves whichever service asks it.
        let asked = match &own {
            Some(_) => asks_map(*scope),
            None => servers.iter().any(|(_, scope)| asks_map(*scope)),
        };
        if asked {
            continue;
        }
        out.push(
            MAP_UNUSED
                .finds(
                    scope.place(&value),
                    format!(
                        "`relay_clientcerts = {}` is asked by no restriction",
                        value.text
                    ),
                )
                .on(own.and(service.map(|service| service.label())))
                .fix([fix::note(&format!(
                    "put permit_tls_clientcerts in front of what refuses, in {RELAY}"
                ))]),
        );
    }
}
