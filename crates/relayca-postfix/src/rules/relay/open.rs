//! Whether a stranger relays: no certificate, no password, an address that nobody listed.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what servers of tables and policies answer; they are taken to say nothing.

use super::networks::{Network, networks};
use super::walk::{
    OTHERS, RECIPIENT, RELAY, Restriction, has_working_refusal, restrictions, servers,
};
use crate::config::{Origin, Scope};
use crate::rules::files::named::owner;
use crate::rules::maps::named::{Table, of_restriction};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

const SOURCES: &[&str] = &[
    "postconf(5) smtpd_relay_restrictions",
    "SMTPD_ACCESS_README",
];

pub(super) const NOTHING_REFUSES: Rule = Rule {
    id: "nothing-refuses-strangers",
    severity: Severity::Error,
    title: "no restriction refuses mail from strangers to other domains",
    why: "Postfix does not serve an open relay by oversight: where neither smtpd_relay_restrictions nor smtpd_recipient_restrictions has a refusal \
          that works, smtpd ends with `fatal: … specify at least one working instance of: reject_unauth_destination, …`, and clients get no \
          greeting. One behind `warn_if_reject` or `permit` does not count.",
    remedy: "end smtpd_relay_restrictions with defer_unauth_destination, or with defer on a relay service",
    sources: SOURCES,
    check: nothing_refuses,
};

pub(super) const BY_NETWORKS: Rule = Rule {
    id: "open-relay-by-mynetworks",
    severity: Severity::Error,
    title: "mynetworks is the whole internet, and permit_mynetworks lets it relay",
    why: "With `0.0.0.0/0` (or `::/0`) in mynetworks every client passes permit_mynetworks: anybody sends mail to anybody through this server, within \
          hours of being found.",
    remedy: "list your own networks in mynetworks, 127.0.0.0/8 and ::1 if there are no others",
    sources: &["postconf(5) mynetworks", "postconf(5) permit_mynetworks"],
    check: by_networks,
};

pub(super) const BY_TABLE: Rule = Rule {
    id: "open-relay-by-table",
    severity: Severity::Error,
    title: "a table permits every client before anything refuses relaying",
    why: "A table that answers `OK` to every client (`static:OK`, `0.0.0.0/0 OK`, a pattern such as `/./`) in front of the refusal lets anybody relay.",
    remedy: "take it out, or make it answer DUNNO",
    sources: &["postconf(5) check_client_access", "access(5)"],
    check: by_table,
};

pub(super) const BY_SENDER: Rule = Rule {
    id: "open-relay-by-sender",
    severity: Severity::Error,
    title: "a table of senders or HELO names permits before anything refuses relaying",
    why: "The sender and the HELO name are whatever the client writes: whoever writes one that the table answers with `OK` relays, with no certificate \
          and from any address. Spammers try the server's own domains first.",
    remedy: "ask such tables in smtpd_sender_restrictions, or behind the refusal",
    sources: &["postconf(5) check_sender_access", "SMTPD_ACCESS_README"],
    check: by_sender,
};

pub(super) const EVERY_DOMAIN: Rule = Rule {
    id: "every-domain-is-a-relay-domain",
    severity: Severity::Error,
    title: "every domain counts as one that this server relays for",
    why: "reject_unauth_destination lets mail to relay_domains pass. A table that answers for every domain (`static:`, a pattern such as `/./`) makes \
          all the internet one: anybody relays.",
    remedy: "list the domains in relay_domains, or empty it",
    sources: &[
        "postconf(5) relay_domains",
        "postconf(5) reject_unauth_destination",
    ],
    check: every_domain,
};

pub(super) const DOMAIN_WILDCARD: Rule = Rule {
    id: "domain-list-with-wildcard",
    severity: Severity::Warning,
    title: "a list of domains holds a `*`, which matches nothing",
    why: "Lists of domains have no wildcards: Postfix looks for a domain that is called so. `relay_domains = *` relays for no domain, and \
          `*.example.org` for no sub-domain; mail to them is refused with `Relay access denied`.",
    remedy: "write the domains; `.example.org` means what lies below",
    sources: &[
        "postconf(5) relay_domains",
        "postconf(5) parent_domain_matches_subdomains",
    ],
    check: domain_wildcard,
};

/// What lets a stranger pass a list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Networks(Network),
    Table(String),
    Sender(String, String),
}

/// Whether a stranger passes a list: by a way that can be named, or because nothing refused.
enum Walk {
    Refused,
    Passed(Option<Way>),
}

/// Whether a value of an access table lets in.
fn permits(value: &str) -> bool {
    let word = value
        .split([' ', '\t', ','])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    matches!(word.as_str(), "ok" | "permit" | "relay")
        || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) && word.len() != 3)
}

/// Whether a key of a table of this kind matches whatever is asked.
fn is_everything(kind: &str, key: &str) -> bool {
    match kind {
        "cidr" => matches!(key, "0.0.0.0/0" | "::/0" | "[::]/0"),
        "regexp" | "pcre" => crate::rules::maps::is_catch_all(key),
        _ => false,
    }
}

/// Whether a table says `OK` to everybody.
fn permits_everybody(subject: &Subject<'_>, table: &Table) -> bool {
    if table.kind == "static" {
        return permits(&table.written);
    }
    if !matches!(table.kind.as_str(), "cidr" | "regexp" | "pcre") {
        return false;
    }
    let rows = table.rows(subject).unwrap_or_default();
    // The first row that matches decides; one in front may refuse somebody, but not everybody.
    rows.iter()
        .find(|row| is_everything(&table.kind, &row.key))
        .is_some_and(|row| permits(&row.value))
}

/// A key of a table that is answered with `OK`.
fn permitted_key(subject: &Subject<'_>, table: &Table) -> Option<String> {
    let rows = table.rows(subject)?;
    rows.iter()
        .find(|row| permits(&row.value))
        .map(|row| row.key.clone())
}

fn walk(subject: &Subject<'_>, scope: Scope<'_>, list: &str) -> Walk {
    for restriction in restrictions(scope, list) {
        if restriction.blocks() {
            return Walk::Refused;
        }
        match restriction.name.as_str() {
            "permit" => return Walk::Passed(None),
            "permit_mynetworks" => {
                if let Some(network) = networks(scope).into_iter().find(Network::is_everything) {
                    return Walk::Passed(Some(Way::Networks(network)));
                }
            }
            _ => {}
        }
        if let Some(way) = by_restriction(subject, scope, list, &restriction) {
            return Walk::Passed(Some(way));
        }
    }
    Walk::Passed(None)
}

fn by_restriction(
    subject: &Subject<'_>,
    scope: Scope<'_>,
    list: &str,
    restriction: &Restriction,
) -> Option<Way> {
    let table = of_restriction(scope, list, restriction)?;
    // Recipients are not the client's to choose freely where they decide: a row permits one of them.
    if matches!(
        restriction.name.as_str(),
        "check_recipient_access" | "check_ccert_access" | "check_sasl_access"
    ) {
        return None;
    }
    if permits_everybody(subject, &table) {
        return Some(Way::Table(table.shown()));
    }
    if matches!(
        restriction.name.as_str(),
        "check_sender_access" | "check_helo_access"
    ) {
        let key = permitted_key(subject, &table)?;
        return Some(Way::Sender(table.shown(), key));
    }
    None
}

/// How a stranger relays by a service, if he does and it can be said.
fn way(subject: &Subject<'_>, scope: Scope<'_>) -> Option<(&'static str, Way)> {
    // A service that a stranger does not get into at all.
    if OTHERS
        .iter()
        .any(|list| matches!(walk(subject, scope, list), Walk::Refused))
    {
        return None;
    }
    let relay = walk(subject, scope, RELAY);
    let recipient = walk(subject, scope, RECIPIENT);
    match (relay, recipient) {
        (Walk::Passed(Some(way)), Walk::Passed(_)) => Some((RELAY, way)),
        (Walk::Passed(None), Walk::Passed(Some(way))) => Some((RECIPIENT, way)),
        _ => None,
    }
}

fn nothing_refuses(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let value = scope.value(RELAY);
        // Below compatibility_level 1 the default is empty, and Postfix adds a refusal of its own.
        if value.origin == Origin::Default
            || has_working_refusal(scope, RELAY)
            || has_working_refusal(scope, RECIPIENT)
        {
            continue;
        }
        // What is not expanded may hold anything.
        if value.text.contains('$') || scope.value(RECIPIENT).text.contains('$') {
            continue;
        }
        let label = service.map(|service| service.label());
        let mut words = scope.list(RELAY);
        words.retain(|word| {
            !matches!(
                word.to_ascii_lowercase().as_str(),
                "permit" | "warn_if_reject"
            )
        });
        words.push("defer_unauth_destination".to_owned());
        out.push(
            NOTHING_REFUSES
                .finds(
                    scope.place(&value),
                    format!("neither `{RELAY}` nor `{RECIPIENT}` refuses"),
                )
                .on(label)
                .fix([
                    fix::set_for(owner(scope, &value).as_deref(), RELAY, &words.join(",")),
                    fix::reload(),
                ]),
        );
    }
}

fn by_networks(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let Some((list, Way::Networks(network))) = way(subject, scope) else {
            continue;
        };
        let value = scope.value("mynetworks");
        out.push(
            BY_NETWORKS
                .finds(
                    scope.place(&value),
                    format!(
                        "`{}` in `mynetworks`, and `permit_mynetworks` in `{list}`",
                        network.text
                    ),
                )
                .on(service.map(|service| service.label()))
                .fix([
                    fix::set_for(
                        owner(scope, &value).as_deref(),
                        "mynetworks",
                        "127.0.0.0/8,[::1]/128",
                    ),
                    fix::reload(),
                ]),
        );
    }
}

fn by_table(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let Some((list, Way::Table(table))) = way(subject, scope) else {
            continue;
        };
        let value = scope.value(list);
        out.push(
            BY_TABLE
                .finds(
                    scope.place(&value),
                    format!("`{table}` in `{list}` permits everybody"),
                )
                .on(service.map(|service| service.label()))
                .fix([fix::note(&format!("take {table} out of {list}"))]),
        );
    }
}

fn by_sender(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let Some((list, Way::Sender(table, key))) = way(subject, scope) else {
            continue;
        };
        let value = scope.value(list);
        out.push(
            BY_SENDER
                .finds(
                    scope.place(&value),
                    format!("who writes `{key}` is permitted by `{table}` in `{list}`"),
                )
                .on(service.map(|service| service.label()))
                .fix([fix::note(&format!(
                    "in {list}, put {table} behind what refuses"
                ))]),
        );
    }
}

fn every_domain(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    // trivial-rewrite decides, which reads main.cf; an option of smtpd changes nothing.
    let scope = subject.config.main_scope();
    let value = scope.value("relay_domains");
    for word in scope.list("relay_domains") {
        let table = crate::rules::maps::named::table(
            scope,
            "relay_domains",
            &word,
            crate::rules::maps::named::Purpose::Other,
        );
        let patterns = matches!(table.kind.as_str(), "regexp" | "pcre");
        let row = table.rows(subject).filter(|_| patterns).and_then(|rows| {
            rows.into_iter()
                .find(|row| is_everything(&table.kind, &row.key))
        });
        if table.kind != "static" && row.is_none() {
            continue;
        }
        out.push(
            EVERY_DOMAIN
                .finds(
                    scope.place(&value),
                    format!("`{word}` answers for every domain"),
                )
                .fix([
                    fix::note("list the domains in relay_domains, or:"),
                    fix::set("relay_domains", ""),
                    fix::reload(),
                ]),
        );
    }
}

fn domain_wildcard(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let scope = subject.config.main_scope();
    for parameter in [
        "relay_domains",
        "mydestination",
        "virtual_alias_domains",
        "virtual_mailbox_domains",
    ] {
        let value = scope.value(parameter);
        for word in scope.list(parameter) {
            if !word.contains('*') || word.contains(':') || word.starts_with('/') {
                continue;
            }
            let line = match word.strip_prefix("*.") {
                Some(domain) => fix::note(&format!(
                    "in {parameter}, write .{domain} or the sub-domains for {word}"
                )),
                None => fix::note(&format!("take {word} out of {parameter}")),
            };
            out.push(
                DOMAIN_WILDCARD
                    .finds(scope.place(&value), format!("`{word}` in `{parameter}`"))
                    .fix([line]),
            );
        }
    }
}
