//! What comes before what.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: tables that only a server could answer.

use std::collections::HashSet;

use crate::rules::files::named::owner;
use crate::rules::next_hop::{NextHop, several, transport_and_next_hop};
use crate::rules::tables::{Table, tables};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const RELAYHOST_UNUSED: Rule = Rule {
    id: "relayhost-without-effect",
    severity: Severity::Warning,
    title: "relayhost is set, and default_transport names another next hop",
    why: "A next hop behind the transport's name in default_transport beats relayhost and sender_dependent_relayhost_maps, \
          without a word in the log: no mail goes to what they name.",
    remedy: "name the next hop in one place",
    sources: &[
        "postconf(5) relayhost",
        "postconf(5) default_transport",
        "ADDRESS_CLASS_README",
    ],
    check: relayhost_unused,
};

pub(super) const WILDCARD: Rule = Rule {
    id: "transport-maps-take-all",
    severity: Severity::Warning,
    title: "`*` in transport_maps sends all mail one way, local mail too",
    why: "transport_maps comes before everything else: an entry for `*` beats relayhost, default_transport and the \
          sender_dependent_ tables, and it also takes mail for this host's own users, which then never arrives in their \
          mailboxes.",
    remedy: "remove `*` from the table, and name the relay in default_transport or relayhost",
    sources: &["transport(5)", "postconf(5) transport_maps"],
    check: wildcard,
};

pub(super) const OTHER_WAYS: Rule = Rule {
    id: "other-ways-beside-the-relay",
    severity: Severity::Note,
    title: "some mail does not go through the relay",
    why: "transport_maps and sender_dependent_default_transport_maps come before default_transport, and those and \
          sender_dependent_relayhost_maps come before relayhost: what they name goes elsewhere, at whatever TLS level counts \
          there.",
    remedy: "see that every entry is meant",
    sources: &[
        "postconf(5) transport_maps",
        "postconf(5) sender_dependent_relayhost_maps",
    ],
    check: other_ways,
};

pub(super) const NO_SUCH_TRANSPORT: Rule = Rule {
    id: "transport-not-in-master-cf",
    severity: Severity::Error,
    title: "mail is sent to a transport that master.cf does not have",
    why: "The queue manager finds no socket (`connect to transport private/...: No such file or directory`), and all mail for it \
          waits with 4.3.0 `mail transport unavailable`.",
    remedy: "add the service to master.cf, or name one that is there",
    sources: &["master(5)", "postconf(5) default_transport", "transport(5)"],
    check: no_such_transport,
};

fn relayhost_unused(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let transport = main.value("default_transport").text;
    let (_, hops) = transport_and_next_hop(&transport);
    if hops.is_empty() {
        return;
    }
    let relayhost = main.value("relayhost");
    // The first of the same is how a host that is not found is made to wait.
    let same = several(hops)
        .next()
        .zip(several(&relayhost.text).next())
        .is_some_and(
            |(one, other)| match (NextHop::parse(one), NextHop::parse(other)) {
                (Ok(one), Ok(other)) => one.is_same(&other),
                _ => one == other,
            },
        );
    if !relayhost.is_empty() && !same {
        found.push(
            RELAYHOST_UNUSED
                .finds(
                    main.place(&relayhost),
                    format!(
                        "`relayhost = {}` has no say beside `default_transport = {transport}`",
                        relayhost.text
                    ),
                )
                .fix([fix::unset("relayhost")]),
        );
    }
    let by_sender = main.value("sender_dependent_relayhost_maps");
    if !by_sender.is_empty() {
        found.push(
            RELAYHOST_UNUSED
                .finds(
                    main.place(&by_sender),
                    format!("`sender_dependent_relayhost_maps` has no say beside `default_transport = {transport}`"),
                )
                .fix([fix::unset("sender_dependent_relayhost_maps")]),
        );
    }
}

fn wildcard(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let value = main.value("transport_maps");
    for table in tables(subject, main, "transport_maps") {
        let all = match &table {
            Table::Always(text) => vec![(text.clone(), main.place(&value))],
            Table::Rows(rows) => rows
                .iter()
                .filter(|row| row.key == "*")
                .map(|row| {
                    (
                        row.value.clone(),
                        row.place.clone().unwrap_or_else(|| main.place(&value)),
                    )
                })
                .collect(),
            Table::Unknown => Vec::new(),
        };
        for (text, place) in all {
            found
                .push(WILDCARD.finds(place, format!("all mail, local mail too, goes to `{text}`")));
        }
    }
}

fn other_ways(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let transport = main.value("default_transport").text;
    let (_, hop) = transport_and_next_hop(&transport);
    let relay = if hop.is_empty() {
        "relayhost"
    } else {
        "default_transport"
    };
    if hop.is_empty() && main.value("relayhost").is_empty() {
        return;
    }
    let mut before = vec!["transport_maps", "sender_dependent_default_transport_maps"];
    if hop.is_empty() {
        before.push("sender_dependent_relayhost_maps");
    }
    for name in before {
        let value = main.value(name);
        if value.is_empty() {
            continue;
        }
        found.push(OTHER_WAYS.finds(
            main.place(&value),
            format!(
                "`{name} = {}` comes before `{relay}`: what it names does not go through the relay",
                value.text
            ),
        ));
    }
}

fn no_such_transport(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let config = subject.config;
    if config.master.services.is_empty() {
        return;
    }
    let main = config.main_scope();
    let transports: HashSet<&str> = config
        .master
        .services
        .iter()
        .filter(|service| service.kind == "unix")
        .map(|service| service.name.as_str())
        .collect();
    let known = |name: &str| name.is_empty() || name.contains('$') || transports.contains(name);
    let mut say = |place, name: &str, where_from: &str| {
        let finding = NO_SUCH_TRANSPORT
            .finds(place, format!("{where_from} names the transport `{name}`, and master.cf has no `{name}` of type unix"))
            .fix([fix::note(&format!("add to master.cf: {name} unix - - n - - smtp"))]);
        if found.last() != Some(&finding) {
            found.push(finding);
        }
    };
    for parameter in [
        "default_transport",
        "relay_transport",
        "local_transport",
        "virtual_transport",
        "mailbox_transport",
        "fallback_transport",
    ] {
        let value = main.value(parameter);
        let text = value.text.clone();
        let (transport, _) = transport_and_next_hop(&text);
        if (value.is_set() || parameter == "default_transport") && !known(transport) {
            say(main.place(&value), transport, &format!("`{parameter}`"));
        }
    }
    for parameter in ["transport_maps", "sender_dependent_default_transport_maps"] {
        let value = main.value(parameter);
        for table in tables(subject, main, parameter) {
            for row in table.rows() {
                let (transport, _) = transport_and_next_hop(&row.value);
                if row.value.contains(':') && !known(transport) {
                    let place = row.place.clone().unwrap_or_else(|| main.place(&value));
                    say(
                        place,
                        transport,
                        &format!("`{parameter}` for `{}`", row.key),
                    );
                }
            }
        }
    }
    for (service, scope) in config.smtpd_services() {
        let value = scope.value("content_filter");
        let text = value.text.clone();
        let (transport, _) = transport_and_next_hop(&text);
        let who = owner(scope, &value);
        if known(transport) {
            continue;
        }
        let finding = NO_SUCH_TRANSPORT
            .finds(scope.place(&value), format!("`content_filter` names the transport `{transport}`, and master.cf has no `{transport}` of type unix"))
            .on(who.and(Some(service.label())));
        if found.last() != Some(&finding) {
            found.push(finding);
        }
    }
}
