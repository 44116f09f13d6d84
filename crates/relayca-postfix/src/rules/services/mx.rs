//! Port 25, where the internet comes in.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: which hosts can reach it.

use super::add;
use crate::config::{Scope, Service};
use crate::rules::files::named::owner;
use crate::rules::relay::walk::{
    RECIPIENT, RELAY, Restriction, asks, requires, restrictions, servers,
};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const ENCRYPT: Rule = Rule {
    id: "encrypt-on-public-mx",
    severity: Severity::Warning,
    title: "port 25 refuses mail from servers without TLS",
    why: "At `encrypt` a client that does not say STARTTLS hears 530 `Must issue a STARTTLS command first` to MAIL: mail from \
          servers that cannot do TLS goes back to its sender. A server that is listed in DNS as an MX must not demand TLS. smtpd \
          logs nothing of it but `mail=0/1` at the end of the session.",
    remedy: "set may in main.cf, and encrypt on the submission services in master.cf",
    sources: &["postconf(5) smtpd_tls_security_level", "RFC 3207 section 4"],
    check: encrypt,
};

pub(super) const ASKS: Rule = Rule {
    id: "certificates-asked-of-the-internet",
    severity: Severity::Warning,
    title: "hosts relay by certificate on port 25, and every server of the internet is asked for one",
    why: "With smtpd_tls_ask_ccert smtpd asks every client for a certificate; some mail servers break the session off when they \
          are asked, and the mail comes in the clear or not at all.",
    remedy: "let hosts relay by certificate on a service with a port of its own, and ask there alone",
    sources: &["postconf(5) smtpd_tls_ask_ccert", "TLS_README"],
    check: asks_all,
};

pub(super) const RECEIVED: Rule = Rule {
    id: "tls-not-in-received-header",
    severity: Severity::Note,
    title: "the Received header does not tell how mail came in",
    why: "With smtpd_tls_received_header = yes smtpd writes protocol, cipher and client certificate into the Received header, \
          which shows with any message whether its last way was encrypted. The default is no; ESMTPS is written either way.",
    remedy: "set smtpd_tls_received_header = yes",
    sources: &["postconf(5) smtpd_tls_received_header"],
    check: received,
};

pub(super) const LOOPBACK: Rule = Rule {
    id: "relay-service-on-loopback",
    severity: Severity::Warning,
    title: "a service for other hosts listens on the loopback address alone",
    why: "inet_interfaces = loopback-only (or localhost) binds every inet service that names no address of its own to 127.0.0.1 \
          and ::1: a mail host elsewhere hears `Connection refused`.",
    remedy: "set inet_interfaces = all, or write the address into the name of the service: 192.0.2.1:2500",
    sources: &["postconf(5) inet_interfaces", "master(5)"],
    check: loopback,
};

/// The services on port 25; main.cf itself where no master.cf is known.
pub(super) fn on_25<'a>(subject: &Subject<'a>) -> Vec<(Option<&'a Service>, Scope<'a>)> {
    servers(subject)
        .into_iter()
        .filter(|(service, _)| {
            service
                .is_none_or(|service| service.port() == Some(25) || is_behind_postscreen(service))
        })
        .collect()
}

/// The smtpd that postscreen hands its clients to.
fn is_behind_postscreen(service: &Service) -> bool {
    service.kind == "pass"
}

/// Whether only clients with a certificate get anywhere: then it is not the internet's.
fn is_for_certificates(scope: Scope<'_>) -> bool {
    asks(scope) && requires(scope)
}

fn encrypt(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in on_25(subject) {
        if scope.level("smtpd") != "encrypt"
            || is_for_certificates(scope)
            || scope.yes("smtpd_tls_wrappermode")
        {
            continue;
        }
        // Bound to this host alone, it is no MX.
        if service.is_some_and(|service| {
            service.name.starts_with("127.") || service.name.starts_with("localhost:")
        }) || on_loopback(scope)
        {
            continue;
        }
        let level = scope.value("smtpd_tls_security_level");
        let value = if level.is_empty() {
            scope.value("smtpd_enforce_tls")
        } else {
            level
        };
        let who = owner(scope, &value);
        let finding = ENCRYPT
            .finds(
                scope.place(&value),
                "TLS is mandatory on port 25: servers without it cannot deliver",
            )
            .fix([fix::set_for(
                who.as_deref(),
                "smtpd_tls_security_level",
                "may",
            )])
            .on(who);
        add(found, finding);
    }
}

fn asks_all(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (_, scope) in on_25(subject) {
        let ask = scope.value("smtpd_tls_ask_ccert");
        if scope.level("smtpd") == "none"
            || !ask.text.eq_ignore_ascii_case("yes")
            || is_for_certificates(scope)
        {
            continue;
        }
        // Where nothing looks at them, another rule says so.
        let used = [RELAY, RECIPIENT].iter().any(|list| {
            restrictions(scope, list)
                .iter()
                .any(Restriction::permits_by_certificate)
        });
        if !used {
            continue;
        }
        let who = owner(scope, &ask);
        let finding = ASKS
            .finds(
                scope.place(&ask),
                "every server that delivers to port 25 is asked for a client certificate",
            )
            .fix([fix::set_for(who.as_deref(), "smtpd_tls_ask_ccert", "no")])
            .on(who);
        add(found, finding);
    }
}

fn received(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let tls = on_25(subject).iter().any(|(_, scope)| {
        scope.level("smtpd") != "none" && !scope.yes("smtpd_tls_received_header")
    });
    if tls && !main.yes("smtpd_tls_received_header") {
        found.push(
            RECEIVED
                .finds(
                    main.place(&main.value("smtpd_tls_received_header")),
                    "`smtpd_tls_received_header` is off",
                )
                .fix([fix::set("smtpd_tls_received_header", "yes")]),
        );
    }
}

/// Whether inet_interfaces names loopback addresses and nothing else.
fn on_loopback(scope: Scope<'_>) -> bool {
    let interfaces = scope.list("inet_interfaces");
    !interfaces.is_empty()
        && interfaces.iter().all(|word| {
            let word = word.to_ascii_lowercase();
            matches!(
                word.as_str(),
                "loopback-only" | "localhost" | "::1" | "[::1]"
            ) || word.starts_with("127.")
        })
}

fn loopback(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (service, scope) in subject.config.smtpd_services() {
        // `host:port` says where.
        if service.kind != "inet"
            || service.name.contains(':')
            || !on_loopback(scope)
            || !requires(scope)
        {
            continue;
        }
        let interfaces = scope.value("inet_interfaces");
        let finding = LOOPBACK
            .finds(
                scope.place(&interfaces),
                format!("`{}` wants certificates of other hosts, and `inet_interfaces = {}` keeps them out", service.label(), interfaces.text),
            )
            .fix([fix::set("inet_interfaces", "all"), fix::note("inet_interfaces counts after postfix stop and postfix start")])
            .on(Some(service.label()));
        add(found, finding);
    }
}
