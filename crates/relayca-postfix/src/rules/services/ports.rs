//! Which port speaks what, and who listens on it.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: /etc/services, and what else listens on this host.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::add;
use crate::config::{Place, Service};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const WRAPPER_MISSING: Rule = Rule {
    id: "port-465-without-implicit-tls",
    severity: Severity::Error,
    title: "port 465 without smtpd_tls_wrappermode",
    why: "Clients on port 465 begin TLS at once. Without smtpd_tls_wrappermode smtpd greets in plain SMTP, and the handshake \
          fails on both sides.",
    remedy: "set smtpd_tls_wrappermode=yes on the service",
    sources: &["postconf(5) smtpd_tls_wrappermode", "RFC 8314 section 3.3"],
    check: wrapper_missing,
};

pub(super) const WRAPPER_TOO_MUCH: Rule = Rule {
    id: "implicit-tls-on-a-starttls-port",
    severity: Severity::Error,
    title: "smtpd_tls_wrappermode on a port where clients begin in plain SMTP",
    why: "With wrapper mode smtpd waits for TLS and sends no greeting; clients on 25 and 587 wait for the greeting, until both \
          give up. In main.cf it counts for every smtpd service that does not set it itself, port 25 with it: no mail comes in.",
    remedy: "set smtpd_tls_wrappermode=yes in master.cf on the service of port 465 alone",
    sources: &["postconf(5) smtpd_tls_wrappermode", "RFC 8314 section 3.3"],
    check: wrapper_too_much,
};

pub(super) const SHARED: Rule = Rule {
    id: "port-of-two-services",
    severity: Severity::Error,
    title: "two services listen on the same port",
    why: "Written differently (587 and submission, 2500 and 192.0.2.1:2500), both count as services of their own. From 3.7 on \
          (on Linux) both listen, and the system hands each connection to one or the other: whose restrictions and certificate a \
          client meets is chance. Before, Postfix does not start.",
    remedy: "keep one of the two",
    sources: &["master(5)", "postconf(5) inet_interfaces"],
    check: shared,
};

pub(super) const OLD_NAME: Rule = Rule {
    id: "smtps-service-name",
    severity: Severity::Note,
    title: "port 465 by an old name",
    why: "Postfix looks a service's name up in /etc/services, and does not start if it is not there. Port 465 is registered as \
          `submissions`; `smtps` is only an alias that not every system has.",
    remedy: "write submissions, or 465",
    sources: &["RFC 8314 section 7.3", "master(5)"],
    check: old_name,
};

fn wrapper_missing(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in subject.config.smtpd_services() {
        if service.port() != Some(465) || scope.yes("smtpd_tls_wrappermode") {
            continue;
        }
        let label = service.label();
        found.push(
            WRAPPER_MISSING
                .finds(
                    Place::master(service.line),
                    "`smtpd_tls_wrappermode` is off on port 465",
                )
                .fix([fix::override_(&label, "smtpd_tls_wrappermode", "yes")])
                .on(Some(label)),
        );
    }
}

fn wrapper_too_much(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in subject.config.smtpd_services() {
        let wrapper = scope.value("smtpd_tls_wrappermode");
        if !matches!(service.port(), Some(25 | 587)) || !wrapper.text.eq_ignore_ascii_case("yes") {
            continue;
        }
        let who = owner(scope, &wrapper);
        let port = service.port().unwrap_or_default();
        let finding = WRAPPER_TOO_MUCH
            .finds(
                scope.place(&wrapper),
                format!("`smtpd_tls_wrappermode = yes` counts on port {port}"),
            )
            .fix([match &who {
                Some(service) => fix::override_(service, "smtpd_tls_wrappermode", "no"),
                None => fix::unset("smtpd_tls_wrappermode"),
            }])
            .on(Some(service.label()));
        add(found, finding);
    }
}

/// More services on one port than this are not compared.
const MOST_OF_A_PORT: usize = 20;

/// The address that a service names, if it names one: `192.0.2.1:25`, `[::1]:25`, `localhost:25`.
fn host(service: &Service) -> Option<String> {
    let (host, _) = service.name.rsplit_once(':')?;
    Some(
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase(),
    )
}

fn overlap(one: &Service, other: &Service) -> bool {
    match (host(one), host(other)) {
        (None, _) | (_, None) => true,
        (Some(one), Some(other)) => {
            one == other
                || matches!((one.parse::<IpAddr>(), other.parse::<IpAddr>()), (Ok(one), Ok(other)) if one.is_unspecified() || other.is_unspecified())
        }
    }
}

/// Whether a service without an address of its own would listen on one, as inet_interfaces says.
fn is_among(host: &str, interfaces: &[String]) -> bool {
    let local = host.starts_with("127.") || matches!(host, "::1" | "localhost");
    interfaces.iter().any(|word| {
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "all" => true,
            "loopback-only" | "localhost" => local,
            word => word.trim_matches(['[', ']']) == host,
        }
    })
}

fn shared(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let interfaces = main.list("inet_interfaces");
    let mut by_port: BTreeMap<u16, Vec<&Service>> = BTreeMap::new();
    for service in &subject.config.master.services {
        if let Some(port) = service.port() {
            by_port.entry(port).or_default().push(service);
        }
    }
    // Nobody needs to be told a hundred times.
    for services in by_port.values() {
        for (later, earlier) in
            services
                .iter()
                .take(MOST_OF_A_PORT)
                .enumerate()
                .flat_map(|(index, later)| {
                    services
                        .iter()
                        .take(index)
                        .map(move |earlier| (later, earlier))
                })
        {
            // The same name twice is told by the reader of master.cf.
            if later.name == earlier.name || !overlap(earlier, later) {
                continue;
            }
            // A service without an address listens where inet_interfaces says, which may leave the other's address out.
            let apart = match (host(earlier), host(later)) {
                (Some(host), None) | (None, Some(host)) => !is_among(&host, &interfaces),
                _ => false,
            };
            if apart {
                continue;
            }
            let severity = if subject.facts.version.is_some() {
                Severity::Error
            } else {
                Severity::Warning
            };
            found.push(
                SHARED
                    .finds(
                        Place::master(later.line),
                        format!(
                            "`{}` and `{}` (line {}) listen on the same port",
                            later.label(),
                            earlier.label(),
                            earlier.line
                        ),
                    )
                    .as_severe_as(severity)
                    .on(Some(later.label())),
            );
        }
    }
}

fn old_name(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for service in &subject.config.master.services {
        let name = service.name.rsplit(':').next().unwrap_or_default();
        if service.kind != "inet" || !matches!(name, "smtps" | "ssmtp" | "urd") {
            continue;
        }
        found.push(
            OLD_NAME
                .finds(
                    Place::master(service.line),
                    format!("`{name}` is an alias of `submissions` (465)"),
                )
                .fix([fix::note(&format!(
                    "in master.cf, write submissions instead of {name}"
                ))])
                .on(Some(service.label())),
        );
    }
}
