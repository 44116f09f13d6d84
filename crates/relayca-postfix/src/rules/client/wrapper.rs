//! TLS from the first byte on: smtp_tls_wrappermode.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what listens at the other end.

use super::add;
use crate::config::Origin;
use crate::rules::clients::{clients, encrypts};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const WITHOUT_ENCRYPT: Rule = Rule {
    id: "wrappermode-without-encrypt",
    severity: Severity::Error,
    title: "smtp_tls_wrappermode at a level below encrypt",
    why: "Postfix sends nothing then: the log has `smtp_tls_wrappermode requires \"smtp_tls_security_level = encrypt\" (or \
          stronger)`, and the mail waits with 4.3.0 `server unavailable or unable to receive mail`.",
    remedy: "set smtp_tls_security_level = encrypt or stronger beside it",
    sources: &["postconf(5) smtp_tls_wrappermode"],
    check: without_encrypt,
};

pub(super) const WRONG_PORT: Rule = Rule {
    id: "wrappermode-to-a-starttls-port",
    severity: Severity::Error,
    title: "smtp_tls_wrappermode for servers that begin in plain SMTP",
    why: "The client begins TLS at once, and a server on port 25 or 587 answers in plain SMTP: OpenSSL says `wrong version \
          number`, and the mail waits with 4.7.5 `Cannot start TLS: handshake failure`. In main.cf it counts for every smtp \
          service that does not set it itself.",
    remedy: "set smtp_tls_wrappermode = yes only on a transport for a server with implicit TLS",
    sources: &["postconf(5) smtp_tls_wrappermode", "RFC 8314 section 3.3"],
    check: wrong_port,
};

pub(super) const MISSING: Rule = Rule {
    id: "port-465-without-wrappermode",
    severity: Severity::Error,
    title: "a relay on port 465 without smtp_tls_wrappermode",
    why: "The server waits for TLS and says nothing, the client waits for its greeting and says nothing: the mail waits with \
          4.4.2 `timed out while receiving the initial server greeting`. Postfix logs `SMTPS wrappermode (TCP port 465) requires \
          setting \"smtp_tls_wrappermode = yes\"`.",
    remedy: "set smtp_tls_wrappermode = yes and smtp_tls_security_level = encrypt or stronger on that transport",
    sources: &["postconf(5) smtp_tls_wrappermode", "RFC 8314 section 3.3"],
    check: missing,
};

fn without_encrypt(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let wrapper = client.value("tls_wrappermode");
        let hop = client.routes.first().map(|route| &route.hop);
        let Some(level) = client.level_for(hop) else {
            continue;
        };
        // `dane` is above `encrypt` where it finds records, and below it elsewhere.
        if !wrapper.text.eq_ignore_ascii_case("yes") || encrypts(&level) || level == "dane" {
            continue;
        }
        let scope = client.scope();
        let who = owner(scope, &wrapper);
        let finding = WITHOUT_ENCRYPT
            .finds(
                scope.place(&wrapper),
                format!("`smtp_tls_wrappermode = yes` at level `{level}` sends nothing"),
            )
            .fix([fix::set_for(
                client.label().as_deref(),
                "smtp_tls_security_level",
                "encrypt",
            )])
            .on(who);
        add(found, finding);
    }
}

fn wrong_port(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let wrapper = client.value("tls_wrappermode");
        if !wrapper.text.eq_ignore_ascii_case("yes") {
            continue;
        }
        let scope = client.scope();
        let who = owner(scope, &wrapper);
        let inherited = matches!(wrapper.origin, Origin::Main { .. });
        let label = client.label();
        let mut say = |message: String| {
            let finding = WRONG_PORT
                .finds(scope.place(&wrapper), message)
                .fix([if inherited {
                    fix::unset("smtp_tls_wrappermode")
                } else {
                    fix::set_for(label.as_deref(), "smtp_tls_wrappermode", "no")
                }])
                .on(who.clone());
            add(found, finding);
        };
        if client.direct {
            say("implicit TLS towards every server of the internet, which listens on port 25 for plain SMTP".to_owned());
        }
        for route in &client.routes {
            if matches!(route.hop.port_number(), Some(25 | 587)) {
                say(format!(
                    "implicit TLS towards `{}`, which is a port for plain SMTP and STARTTLS",
                    route.hop.written
                ));
            }
        }
    }
}

fn missing(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        if client.scope().yes("smtp_tls_wrappermode") {
            continue;
        }
        let label = client.label();
        for route in &client.routes {
            if route.hop.port_number() != Some(465) {
                continue;
            }
            let finding = MISSING
                .finds(
                    route.place.clone(),
                    format!(
                        "`{}` wants TLS from the first byte on, and `smtp_tls_wrappermode` is off",
                        route.hop.written
                    ),
                )
                .fix([
                    fix::set_for(label.as_deref(), "smtp_tls_wrappermode", "yes"),
                    fix::set_for(label.as_deref(), "smtp_tls_security_level", "encrypt"),
                ])
                .on(label.clone());
            add(found, finding);
        }
    }
}
