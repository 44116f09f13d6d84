//! Next hops, as they are written.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: DNS.

use crate::config::{Scope, Value};
use crate::rules::clients::clients;
use crate::rules::files::named::owner;
use crate::rules::next_hop::{NextHop, several, transport_and_next_hop};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const SYNTAX: Rule = Rule {
    id: "next-hop-malformed",
    severity: Severity::Error,
    title: "a next hop is not written as Postfix takes it",
    why: "smtp stops on it (`fatal: ... in server description`), each time anew: no mail leaves by this way, and the queue \
          manager says `mail transport unavailable` or `malformed response`. A next hop is host, host:port, [host] or \
          [host]:port; relayhost has no transport before it.",
    remedy: "write [host]:port",
    sources: &["postconf(5) relayhost", "transport(5)", "smtp(8)"],
    check: syntax,
};

pub(super) const SEVERAL: Rule = Rule {
    id: "several-next-hops-before-3.5",
    severity: Severity::Error,
    title: "several next hops, which this Postfix does not know",
    why: "A list of next hops is taken apart from 3.5 on. Before, the whole text is one host name.",
    remedy: "name one next hop, or take a Postfix from 3.5 on",
    sources: &["postconf(5) relayhost", "RELEASE_NOTES-3.5"],
    check: several_before,
};

pub(super) const WITHOUT_BRACKETS: Rule = Rule {
    id: "relay-without-brackets",
    severity: Severity::Warning,
    title: "the relay is looked up as a domain with MX records",
    why: "Without brackets smtp asks DNS for the MX records of the name, also where a port stands behind it, and connects to the \
          hosts that they name; only a name without MX is taken as a host. Brackets mean: this host.",
    remedy: "write [host]:port",
    sources: &["postconf(5) relayhost", "transport(5)"],
    check: without_brackets,
};

pub(super) const THIS_HOST: Rule = Rule {
    id: "relay-is-this-host",
    severity: Severity::Error,
    title: "the relay is this very host, on the port of its own SMTP service",
    why: "smtp sees its own address and port 25 and gives up at once: `mail for ... loops back to myself`, 5.4.6, and the mail \
          goes back to its sender.",
    remedy: "name the relay; for a service of this host name its port",
    sources: &["postconf(5) relayhost", "postconf(5) inet_interfaces"],
    check: this_host,
};

/// The texts that hold next hops, with their transports: relayhost, default_transport, relay_transport and smtp_fallback_relay.
fn texts<'a>(subject: &Subject<'a>) -> Vec<(Scope<'a>, &'static str, Value, String)> {
    let config = subject.config;
    let mut texts = Vec::new();
    let main = config.main_scope();
    let is_smtp = |transport: &str| {
        config
            .master
            .services
            .iter()
            .filter(|service| service.kind == "unix" && service.name == transport)
            .all(|service| service.process_name() == "smtp")
    };
    for name in ["default_transport", "relay_transport"] {
        let value = main.value(name);
        let text = value.text.clone();
        let (transport, hop) = transport_and_next_hop(&text);
        // `error:text`, `discard:text` and `lmtp:unix:path` are no next hops of smtp.
        if value.is_set()
            && !hop.is_empty()
            && is_smtp(transport)
            && !matches!(
                transport,
                "error" | "discard" | "lmtp" | "local" | "virtual" | "retry"
            )
        {
            texts.push((main, name, value, hop.to_owned()));
        }
    }
    let mut plain = |scope: Scope<'a>, name: &'static str| {
        let value = scope.value(name);
        if value.is_set() && !value.is_empty() {
            let text = value.text.clone();
            texts.push((scope, name, value, text));
        }
    };
    plain(main, "relayhost");
    plain(main, "smtp_fallback_relay");
    for (_, scope) in config.smtp_clients() {
        if owner(scope, &scope.value("smtp_fallback_relay")).is_some() {
            plain(scope, "smtp_fallback_relay");
        }
    }
    texts
}

fn syntax(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (scope, name, value, text) in texts(subject) {
        for hop in several(&text) {
            let Err(why) = NextHop::parse(hop) else {
                continue;
            };
            found.push(
                SYNTAX
                    .finds(scope.place(&value), format!("`{name}`: `{hop}`: {why}"))
                    .on(owner(scope, &value)),
            );
        }
    }
}

fn several_before(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    if !subject.facts.older_than(3, 5) {
        return;
    }
    for (scope, name, value, text) in texts(subject) {
        // smtp_fallback_relay has always been a list.
        if name != "smtp_fallback_relay" && several(&text).count() > 1 {
            found.push(SEVERAL.finds(
                scope.place(&value),
                format!("`{name}` names more than one next hop: `{text}`"),
            ));
        }
    }
}

fn without_brackets(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let by_dns = client
            .scope()
            .list("smtp_dns_support_level")
            .iter()
            .all(|level| !level.eq_ignore_ascii_case("disabled"))
            && !client.scope().yes("disable_dns_lookups");
        for route in &client.routes {
            let hop = &route.hop;
            if hop.brackets
                || hop.is_address()
                || !by_dns
                || !matches!(route.parameter, "relayhost" | "default_transport")
            {
                continue;
            }
            // With a port, or with a certificate, a host was meant. A bare domain may be one with MX records.
            let meant = hop.port_number() != Some(25)
                || client
                    .certificate
                    .as_ref()
                    .is_some_and(|certificate| certificate.own);
            let bracketed = hop.bracketed();
            let fix = if route.parameter == "relayhost" {
                fix::set("relayhost", &bracketed)
            } else {
                fix::note(&format!("in {}: {bracketed}", route.parameter))
            };
            let finding = WITHOUT_BRACKETS
                .finds(route.place.clone(), format!("`{}` has no brackets: its MX records decide where mail goes; `{bracketed}` is that host", hop.written))
                .as_severe_as(if meant { Severity::Warning } else { Severity::Note })
                .fix([fix]);
            if found.last() != Some(&finding) {
                found.push(finding);
            }
        }
    }
}

fn this_host(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let own_name = main.value("myhostname").text.to_ascii_lowercase();
    for client in clients(subject) {
        for route in &client.routes {
            let hop = &route.hop;
            let own = (hop.brackets && hop.host == own_name)
                || hop.host == "localhost"
                || hop.host == "::1"
                || (hop.host.starts_with("127.") && hop.is_address());
            if !own
                || hop.port_number() != Some(25)
                || !matches!(route.parameter, "relayhost" | "default_transport")
            {
                continue;
            }
            let finding = THIS_HOST.finds(
                route.place.clone(),
                format!(
                    "`{}` is this host: its mail loops back to itself",
                    hop.written
                ),
            );
            if found.last() != Some(&finding) {
                found.push(finding);
            }
        }
    }
}
