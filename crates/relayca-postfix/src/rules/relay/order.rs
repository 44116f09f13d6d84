//! What stands in which list, and in which order.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what tables answer; a table that could do either is passed over.

use super::walk::{
    OTHERS, RECIPIENT, RELAY, Relay, Restriction, asks, dedicated, known, relays, restrictions,
    servers,
};
use crate::config::{Origin, Scope};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const UNKNOWN: Rule = Rule {
    id: "restriction-unknown",
    severity: Severity::Error,
    title: "there is no restriction of this name",
    why: "Postfix starts. When a client reaches the word, smtpd logs `unknown smtpd restriction` and answers `451 4.3.5 Server configuration error`: \
          nobody who gets that far sends mail.",
    remedy: "correct the word, or list it in smtpd_restriction_classes if it is a class",
    sources: &[
        "postconf(5) smtpd_relay_restrictions",
        "SMTPD_ACCESS_README",
    ],
    check: unknown,
};

pub(super) const AFTER_PERMIT: Rule = Rule {
    id: "restriction-after-permit",
    severity: Severity::Warning,
    title: "what stands behind `permit` is never reached",
    why: "`permit` ends the list. Postfix warns that the restriction behind it `is ignored`, and does not count what is behind it as a refusal: where \
          nothing else refuses strangers, smtpd ends with `fatal: … specify at least one working instance of`.",
    remedy: "put what refuses in front of it, or take it out",
    sources: &[
        "postconf(5) smtpd_relay_restrictions",
        "SMTPD_ACCESS_README",
    ],
    check: after_permit,
};

pub(super) const PERMIT_TOO_LATE: Rule = Rule {
    id: "certificate-permitted-too-late",
    severity: Severity::Error,
    title: "clients with a listed certificate are refused before the certificate is looked at",
    why: "The first restriction that decides ends the list. With `reject`, `defer`, `reject_unauth_destination` or `defer_unauth_destination` in \
          front of it, permit_tls_clientcerts is not reached for mail to other domains: `Relay access denied`, listed or not.",
    remedy: "put the certificates first",
    sources: &[
        "postconf(5) smtpd_relay_restrictions",
        "SMTPD_ACCESS_README",
    ],
    check: permit_too_late,
};

pub(super) const WRONG_LIST: Rule = Rule {
    id: "certificate-permitted-in-the-wrong-list",
    severity: Severity::Error,
    title: "certificates are permitted among the recipient restrictions, and the relay restrictions refuse",
    why: "Mail to other domains has to pass smtpd_relay_restrictions (since 2.10) as well as smtpd_recipient_restrictions. A listed client that only \
          the latter let through hears `Relay access denied`. Recipes from before 2.10 have it there.",
    remedy: "put permit_tls_clientcerts into smtpd_relay_restrictions",
    sources: &[
        "postconf(5) smtpd_relay_restrictions",
        "SMTPD_ACCESS_README",
    ],
    check: wrong_list,
};

pub(super) const REFUSED_ELSEWHERE: Rule = Rule {
    id: "listed-hosts-refused-by-another-list",
    severity: Severity::Error,
    title: "another list refuses the clients that may relay",
    why: "A client has to pass every list; being permitted in one does not carry over. A `reject` in another, or reject_unauth_destination among the \
          recipient restrictions, refuses listed clients with `554 5.7.1`, and their mail bounces.",
    remedy: "empty the inherited lists in the service, or put permit_tls_clientcerts in front there too",
    sources: &[
        "postconf(5) smtpd_recipient_restrictions",
        "SMTPD_ACCESS_README",
    ],
    check: refused_elsewhere,
};

pub(super) const REFUSED_BY_ADDRESS: Rule = Rule {
    id: "listed-hosts-judged-by-address",
    severity: Severity::Warning,
    title: "the relay service inherits checks of the client's address and name",
    why: "A mail host behind a dynamic address stands on blocklists of such addresses and has no name that fits: reject_rbl_client and \
          reject_unknown_client_hostname refuse it, whatever certificate it shows. They are meant for mail from strangers.",
    remedy: "empty the inherited lists in the service",
    sources: &[
        "postconf(5) smtpd_client_restrictions",
        "postconf(5) reject_rbl_client",
    ],
    check: refused_by_address,
};

pub(super) const PERMANENT: Rule = Rule {
    id: "refusal-is-permanent",
    severity: Severity::Warning,
    title: "a client that is not listed is refused for good",
    why: "With `reject` at the end every mistake in the table, and every minute before a new certificate is listed, makes the mail host bounce mail \
          (`554 5.7.1`); the bounce cannot leave either. With `defer` it hears `450 4.3.2` and the mail waits.",
    remedy: "end the list with `defer`",
    sources: &["postconf(5) smtpd_relay_restrictions", "postconf(5) defer"],
    check: permanent,
};

pub(super) const LOCAL_RECIPIENTS: Rule = Rule {
    id: "relay-service-takes-local-mail",
    severity: Severity::Warning,
    title: "the relay service takes mail for its own domains from clients that are not listed",
    why: "reject_unauth_destination and defer_unauth_destination refuse relaying only: mail to local and relay domains passes, without the checks \
          that port 25 makes, and from clients that are in no table.",
    remedy: "end the list with `defer`",
    sources: &[
        "postconf(5) reject_unauth_destination",
        "postconf(5) smtpd_relay_restrictions",
    ],
    check: local_recipients,
};

/// How many letters differ, at most.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (j, b) in other.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX - 1);
            let cell = (diagonal + usize::from(a != *b))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = cell;
            if let Some(place) = row.get_mut(j + 1) {
                *place = cell;
            }
        }
    }
    row.last().copied().unwrap_or_default()
}

fn unknown(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (_, scope) in servers(subject) {
        let classes = scope.list("smtpd_restriction_classes");
        let lists = [RELAY, RECIPIENT, "smtpd_etrn_restrictions"]
            .iter()
            .chain(OTHERS)
            .map(|list| (*list).to_owned())
            .chain(classes.iter().cloned());
        for list in lists {
            for restriction in restrictions(scope, &list) {
                let word = &restriction.name;
                // What follows is a comment, which another rule tells of.
                if word.starts_with('#') {
                    break;
                }
                // A table alone is asked about whatever the list is for; names that are not expanded cannot be judged.
                if word.contains([':', '$', '{', '/', '=']) || super::is_restriction(scope, word) {
                    continue;
                }
                let value = scope.value(&list);
                let near = known()
                    .map(|name| (distance(word, name), name))
                    .min()
                    .filter(|(distance, _)| *distance <= 3);
                let line = match near {
                    Some((_, name)) => fix::note(&format!("in {list}, write {name} for {word}")),
                    None => fix::note(&format!("take {word} out of {list}")),
                };
                out.push(
                    UNKNOWN
                        .finds(
                            scope.place(&value),
                            format!("`{word}` in `{list}` is no restriction"),
                        )
                        .on(owner(scope, &value))
                        .fix([line]),
                );
            }
        }
    }
}

fn after_permit(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (_, scope) in servers(subject) {
        for list in [RELAY, RECIPIENT] {
            let words = scope.list(list);
            let Some(at) = words
                .iter()
                .position(|word| word.eq_ignore_ascii_case("permit"))
            else {
                continue;
            };
            let Some(next) = words.get(at + 1).filter(|next| !next.starts_with('#')) else {
                continue;
            };
            let value = scope.value(list);
            out.push(
                AFTER_PERMIT
                    .finds(
                        scope.place(&value),
                        format!("`{next}` behind `permit` in `{list}` is never reached"),
                    )
                    .on(owner(scope, &value))
                    .fix([fix::note(&format!(
                        "in {list}, put {next} in front of permit, or take it out"
                    ))]),
            );
        }
    }
}

/// The service whose option the list is; for a dedicated service its own label, so that main.cf stays as it is.
fn service_for(relay: &Relay<'_>, list: &str) -> Option<String> {
    if relay.dedicated {
        relay.label()
    } else {
        owner(relay.scope, &relay.scope.value(list))
    }
}

fn permit_too_late(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        let Some(blocker) = relay
            .list
            .iter()
            .take_while(|one| !one.permits_by_certificate())
            .find(|one| one.blocks())
        else {
            continue;
        };
        let mut words: Vec<String> = vec!["permit_tls_clientcerts".to_owned()];
        words.extend(
            relay
                .scope
                .list(RELAY)
                .into_iter()
                .filter(|word| !word.eq_ignore_ascii_case("permit_tls_clientcerts")),
        );
        let service = owner(relay.scope, &relay.scope.value(RELAY));
        out.push(
            PERMIT_TOO_LATE
                .finds(
                    relay.place(RELAY),
                    format!("`{}` stands in front", blocker.name),
                )
                .on(relay.label())
                .fix([
                    fix::set_for(service.as_deref(), RELAY, &words.join(",")),
                    fix::reload(),
                ]),
        );
    }
}

fn wrong_list(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in servers(subject) {
        let list = restrictions(scope, RELAY);
        let here = list.iter().any(Restriction::permits_by_certificate);
        let refuses = list.iter().any(Restriction::blocks);
        let there = restrictions(scope, RECIPIENT)
            .iter()
            .any(Restriction::permits_by_certificate);
        // Where nobody is asked for a certificate nobody meant it.
        if here || !refuses || !there || !asks(scope) {
            continue;
        }
        let value = scope.value(RECIPIENT);
        let mut words = vec!["permit_tls_clientcerts".to_owned()];
        words.extend(scope.list(RELAY));
        let relay = scope.value(RELAY);
        out.push(
            WRONG_LIST
                .finds(
                    scope.place(&value),
                    format!(
                        "`{RECIPIENT}` permits by certificate, and `{RELAY} = {}` does not",
                        relay.text
                    ),
                )
                .on(service.map(|service| service.label()))
                .fix([
                    fix::set_for(owner(scope, &relay).as_deref(), RELAY, &words.join(",")),
                    fix::reload(),
                ]),
        );
    }
}

/// What refuses a client with a listed certificate in a list, whoever it is; nothing if it may pass.
fn refuses_listed(scope: Scope<'_>, list: &str) -> Option<Restriction> {
    for restriction in restrictions(scope, list) {
        if restriction.name == "permit" || restriction.permits_by_certificate() {
            return None;
        }
        if restriction.blocks() {
            return Some(restriction);
        }
    }
    None
}

fn refused_elsewhere(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        // A table of the service's own in front of it may let in whom it likes: not known, so not said.
        for list in [RECIPIENT].iter().chain(OTHERS) {
            let Some(blocker) = refuses_listed(relay.scope, list) else {
                continue;
            };
            let before_table = restrictions(relay.scope, list)
                .iter()
                .take_while(|one| **one != blocker)
                .any(|one| {
                    one.argument.is_some()
                        || one.name.contains(':')
                        || one.name.starts_with("permit_")
                });
            // Networks and passwords may be what those clients have; on a service of its own they are not.
            if before_table && !relay.dedicated {
                continue;
            }
            let value = relay.scope.value(list);
            let line = if relay.dedicated && !matches!(value.origin, Origin::Override { .. }) {
                fix::set_for(service_for(&relay, list).as_deref(), list, "")
            } else {
                let mut words = vec!["permit_tls_clientcerts".to_owned()];
                words.extend(relay.scope.list(list));
                fix::set_for(
                    owner(relay.scope, &value).as_deref(),
                    list,
                    &words.join(","),
                )
            };
            out.push(
                REFUSED_ELSEWHERE
                    .finds(
                        relay.scope.place(&value),
                        format!("`{}` in `{list}` refuses them", blocker.name),
                    )
                    .on(relay.label())
                    .fix([line, fix::reload()]),
            );
        }
    }
}

/// Restrictions that look at the client's address or at the name that belongs to it.
fn looks_at_address(restriction: &Restriction) -> bool {
    !restriction.only_warns
        && (matches!(
            restriction.name.as_str(),
            "reject_rbl_client"
                | "reject_rbl"
                | "reject_maps_rbl"
                | "reject_rhsbl_client"
                | "reject_rhsbl_reverse_client"
                | "reject_rhsbl_helo"
                | "reject_unknown_client"
                | "reject_unknown_client_hostname"
                | "reject_unknown_reverse_client_hostname"
                | "reject_unknown_forward_client_hostname"
                | "reject_unknown_helo_hostname"
                | "reject_unknown_hostname"
        ))
}

fn refused_by_address(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        for list in [RECIPIENT].iter().chain(OTHERS) {
            let value = relay.scope.value(list);
            if !matches!(value.origin, Origin::Main { .. }) {
                continue;
            }
            let all = restrictions(relay.scope, list);
            let Some(first) = all
                .iter()
                .take_while(|one| one.name != "permit" && !one.permits_by_certificate())
                .find(|one| looks_at_address(one))
            else {
                continue;
            };
            let label = relay.label();
            out.push(
                REFUSED_BY_ADDRESS
                    .finds(
                        relay.scope.place(&value),
                        format!("`{}` of `{list}` in main.cf counts here too", first.name),
                    )
                    .on(label.clone())
                    .fix([fix::set_for(label.as_deref(), list, ""), fix::reload()]),
            );
        }
    }
}

/// Whether refusals of a kind are turned into temporary ones.
fn is_softened(scope: Scope<'_>, code: &str) -> bool {
    scope.yes("soft_bounce") || scope.value(code).text.starts_with('4')
}

fn permanent(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        let Some(blocker) = relay
            .list
            .iter()
            .skip_while(|one| !one.permits_by_certificate())
            .find(|one| one.blocks())
        else {
            continue;
        };
        let code = match blocker.name.as_str() {
            "reject" => "reject_code",
            "reject_unauth_destination" => "relay_domains_reject_code",
            _ => continue,
        };
        if is_softened(relay.scope, code) {
            continue;
        }
        let words: Vec<String> = relay
            .scope
            .list(RELAY)
            .into_iter()
            .map(|word| match word.to_ascii_lowercase().as_str() {
                "reject" | "reject_unauth_destination" => "defer".to_owned(),
                _ => word,
            })
            .collect();
        let service = owner(relay.scope, &relay.scope.value(RELAY));
        let direct = relay
            .scope
            .list(RELAY)
            .iter()
            .any(|word| word.eq_ignore_ascii_case(&blocker.name));
        out.push(
            PERMANENT
                .finds(
                    relay.place(RELAY),
                    format!("the list ends with `{}`", blocker.name),
                )
                .on(relay.label())
                .fix([
                    if direct {
                        fix::set_for(service.as_deref(), RELAY, &words.join(","))
                    } else {
                        fix::note(&format!("write defer for {} in the class", blocker.name))
                    },
                    fix::reload(),
                ]),
        );
    }
}

fn local_recipients(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        let all = relay.list.iter().any(Restriction::blocks_all)
            || restrictions(relay.scope, RECIPIENT)
                .iter()
                .any(Restriction::blocks_all);
        let Some(last) = relay.list.iter().find(|one| one.blocks()) else {
            continue;
        };
        if all {
            continue;
        }
        let words: Vec<String> = relay
            .scope
            .list(RELAY)
            .into_iter()
            .map(|word| {
                if word.eq_ignore_ascii_case(&last.name) {
                    "defer".to_owned()
                } else {
                    word
                }
            })
            .collect();
        let service = owner(relay.scope, &relay.scope.value(RELAY));
        out.push(
            LOCAL_RECIPIENTS
                .finds(
                    relay.place(RELAY),
                    format!("the list ends with `{}`", last.name),
                )
                .on(relay.label())
                .fix([
                    fix::set_for(service.as_deref(), RELAY, &words.join(",")),
                    fix::reload(),
                ]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_more_or_less_is_near() {
        assert_eq!(
            distance("permit_tls_clientcert", "permit_tls_clientcerts"),
            1
        );
        assert_eq!(distance("permitmynetworks", "permit_mynetworks"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
