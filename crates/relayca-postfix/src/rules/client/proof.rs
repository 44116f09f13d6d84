//! How the client proves who the server is: by which CAs, and under which name.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: the servers' certificates.

use super::add;
use crate::config::Origin;
use crate::rules::clients::{Policy, clients, proves};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const NOTHING_TO_VERIFY_WITH: Rule = Rule {
    id: "no-ca-to-verify-with",
    severity: Severity::Error,
    title: "the level wants a proven certificate, and no CA is trusted",
    why: "Without smtp_tls_CAfile and smtp_tls_CApath Postfix trusts nobody, not even the CAs of the system \
          (tls_append_default_CA is `no`). At `verify` and `secure` every delivery ends in 4.7.5 `Server certificate not \
          verified` (`not trusted` up to 3.5), and the mail waits.",
    remedy: "set smtp_tls_CAfile to the CA of the relay",
    sources: &[
        "postconf(5) smtp_tls_CAfile",
        "postconf(5) tls_append_default_CA",
        "TLS_README",
    ],
    check: nothing_to_verify_with,
};

pub(super) const AUTHORITIES_INHERITED: Rule = Rule {
    id: "other-cas-trusted-too",
    severity: Severity::Warning,
    title: "beside the relay's own CA, others may vouch for the relay",
    why: "smtp_tls_CAfile and smtp_tls_CApath are added up, and tls_append_default_CA adds the system's CAs: a certificate for \
          the relay's name from any of them is `Verified`. Debian 11 and 12 ship smtp_tls_CApath = /etc/ssl/certs in main.cf, \
          and a service inherits it.",
    remedy: "empty smtp_tls_CApath where smtp_tls_CAfile names the relay's own CA",
    sources: &[
        "postconf(5) smtp_tls_CApath",
        "postconf(5) tls_append_default_CA",
    ],
    check: authorities_inherited,
};

pub(super) const NAMES_FROM_DNS: Rule = Rule {
    id: "name-taken-from-dns",
    severity: Severity::Warning,
    title: "the name in the certificate is compared with one that DNS gives",
    why: "`hostname` is the name of the MX host, and unsigned DNS can name any host: whoever forges the answer shows a good \
          certificate of his own. Level `verify` compares with it by default, so it is only as safe as DNS unless the next hop \
          stands in brackets.",
    remedy: "use level secure, which compares with the next hop as it is written in the configuration",
    sources: &[
        "postconf(5) smtp_tls_verify_cert_match",
        "postconf(5) smtp_tls_secure_cert_match",
        "TLS_README",
    ],
    check: names_from_dns,
};

pub(super) const NAMES_BELOW: Rule = Rule {
    id: "names-below-the-relay-accepted",
    severity: Severity::Note,
    title: "a certificate for a host below the relay's name is accepted too",
    why: "The default of smtp_tls_secure_cert_match is `nexthop, dot-nexthop`: for [relay.example.org] a certificate for \
          sub.relay.example.org is `Verified` as well.",
    remedy: "set smtp_tls_secure_cert_match = nexthop on the transport",
    sources: &["postconf(5) smtp_tls_secure_cert_match"],
    check: names_below,
};

pub(super) const ADDRESS: Rule = Rule {
    id: "relay-by-address-has-no-name",
    severity: Severity::Error,
    title: "the relay is reached by its address, and no name for its certificate is given",
    why: "With `nexthop` the certificate is compared with the next hop as it is written. Up to 3.5 an address never matches; \
          later it matches an address in the certificate, but not while `dot-nexthop` stands in the list, as it does by default: \
          4.7.5 `Server certificate not verified`, and the mail waits.",
    remedy: "set smtp_tls_secure_cert_match to the name in the relay's certificate",
    sources: &["postconf(5) smtp_tls_secure_cert_match", "TLS_README"],
    check: address,
};

pub(super) const POLICY_KEY: Rule = Rule {
    id: "policy-key-is-not-the-next-hop",
    severity: Severity::Error,
    title: "a TLS policy for the relay is never found, as its key is written differently from the next hop",
    why: "smtp_tls_policy_maps is asked for the next hop as it is written, brackets and port and all; only a bare domain is also \
          asked for by its parents. For [relay.example.org]:2500 neither relay.example.org nor [relay.example.org] counts, and \
          mail goes at the level of smtp_tls_security_level.",
    remedy: "write the key exactly like the next hop, and run postmap",
    sources: &["postconf(5) smtp_tls_policy_maps", "TLS_README"],
    check: policy_key,
};

pub(super) const TLS_REQUIRED: Rule = Rule {
    id: "tls-required-header-downgrades",
    severity: Severity::Warning,
    title: "a message can switch the proof of the relay off",
    why: "From 3.10 on, a `TLS-Required: no` header in a message lowers its level to `may` (to `encrypt` with \
          smtp_tls_wrappermode), and its TLS policy is not looked up: it goes to any server that answers, in the clear if need \
          be. Anybody who may send through this host can write that header.",
    remedy: "set tls_required_enable = no in main.cf",
    sources: &["postconf(5) tls_required_enable", "RFC 8689 section 5"],
    check: tls_required,
};

fn nothing_to_verify_with(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let scope = client.scope();
        let trusts = ["tls_CAfile", "tls_CApath", "tls_trust_anchor_file"]
            .iter()
            .any(|name| !client.value(name).is_empty())
            || scope.yes("tls_append_default_CA");
        if trusts {
            continue;
        }
        let level = match client.policies.ask(None) {
            Policy::Says(level, attributes) if !attributes.contains("tafile=") => level,
            // A table may have anchors for each.
            Policy::Silent if client.value("tls_policy_maps").is_empty() => {
                client.side.level.clone()
            }
            _ => continue,
        };
        if !matches!(level.as_str(), "verify" | "secure") {
            continue;
        }
        let (place, who) = client.level_place();
        let finding = NOTHING_TO_VERIFY_WITH
            .finds(place, format!("level `{level}` with `smtp_tls_CAfile` and `smtp_tls_CApath` empty: no certificate is good"))
            .fix([fix::note("set smtp_tls_CAfile to the file with the CA that signed the relay's certificate")])
            .on(who);
        add(found, finding);
    }
}

fn authorities_inherited(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let scope = client.scope();
        let authority = client.value("tls_CAfile");
        let Some(certificate) = &client.certificate else {
            continue;
        };
        // Where the CA file is not this relay's own, nobody meant to trust it alone.
        let own = certificate.own == matches!(authority.origin, Origin::Override { .. });
        let level = client.level_for(client.routes.first().map(|route| &route.hop));
        if authority.is_empty()
            || !own
            || !level.is_some_and(|level| matches!(level.as_str(), "verify" | "secure"))
        {
            continue;
        }
        let label = client.label().filter(|_| certificate.own);
        let directory = client.value("tls_CApath");
        if !directory.is_empty() {
            let finding = AUTHORITIES_INHERITED
                .finds(
                    scope.place(if certificate.own {
                        &authority
                    } else {
                        &directory
                    }),
                    format!(
                        "`smtp_tls_CApath = {}` counts beside `smtp_tls_CAfile = {}`",
                        directory.text, authority.text
                    ),
                )
                .fix([fix::set_for(label.as_deref(), "smtp_tls_CApath", "")])
                .on(label.clone());
            add(found, finding);
        }
        if scope.yes("tls_append_default_CA") {
            let finding = AUTHORITIES_INHERITED
                .finds(
                    scope.place(&scope.value("tls_append_default_CA")),
                    format!("`tls_append_default_CA = yes` adds the system's CAs to `smtp_tls_CAfile = {}`", authority.text),
                )
                .fix([fix::set_for(label.as_deref(), "tls_append_default_CA", "no")])
                .on(label);
            add(found, finding);
        }
    }
}

fn names_from_dns(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let scope = client.scope();
        let hop = client.routes.first().map(|route| &route.hop);
        let Some(level) = client.level_for(hop) else {
            continue;
        };
        let parameter = match level.as_str() {
            "verify" => "smtp_tls_verify_cert_match",
            "secure" => "smtp_tls_secure_cert_match",
            _ => continue,
        };
        // With brackets the host name is the next hop; and who sends nowhere asks nobody.
        if hop.map_or(!client.direct, |hop| hop.brackets) {
            continue;
        }
        let list = scope.value(parameter);
        let asks = words(&list.text).any(|word| word.eq_ignore_ascii_case("hostname"));
        if !asks {
            continue;
        }
        let (place, who) = if scope.is_set(parameter) {
            (scope.place(&list), owner(scope, &list))
        } else {
            client.level_place()
        };
        let finding = NAMES_FROM_DNS
            .finds(
                place,
                format!("level `{level}` compares with `hostname`, which comes from the MX record"),
            )
            .fix([
                fix::set_for(who.as_deref(), "smtp_tls_security_level", "secure"),
                fix::set_for(who.as_deref(), "smtp_tls_secure_cert_match", "nexthop"),
            ])
            .on(who);
        add(found, finding);
    }
}

/// The elements of a match list: commas, blanks and colons are between them.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', ' ', '\t', ':'])
        .filter(|word| !word.is_empty())
}

fn names_below(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let scope = client.scope();
        let list = client.value("tls_secure_cert_match");
        let below = words(&list.text).any(|word| word.eq_ignore_ascii_case("dot-nexthop"));
        let named = client
            .routes
            .iter()
            .any(|route| route.hop.brackets && !route.hop.is_address());
        let own = client
            .certificate
            .as_ref()
            .is_some_and(|certificate| certificate.own);
        if !own || !named || !below || client.side.level != "secure" {
            continue;
        }
        let (place, who) = client.level_place();
        let place = if scope.is_set("smtp_tls_secure_cert_match") {
            scope.place(&list)
        } else {
            place
        };
        let label = client.label();
        let finding = NAMES_BELOW
            .finds(
                place,
                format!(
                    "`smtp_tls_secure_cert_match = {}` also takes names below the relay's",
                    list.text
                ),
            )
            .fix([fix::set_for(
                label.as_deref(),
                "smtp_tls_secure_cert_match",
                "nexthop",
            )])
            .on(label.or(who));
        add(found, finding);
    }
}

fn address(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        for route in client.routes.iter().filter(|route| route.hop.is_address()) {
            if client.level_for(Some(&route.hop)).as_deref() != Some("secure") {
                continue;
            }
            if let Policy::Says(_, attributes) = client.policies.ask(Some(&route.hop))
                && attributes.contains("match=")
            {
                continue;
            }
            let list = client.value("tls_secure_cert_match");
            let keyword = |word: &str| {
                ["nexthop", "dot-nexthop", "hostname"]
                    .iter()
                    .any(|known| word.eq_ignore_ascii_case(known))
            };
            let dotted = words(&list.text).any(|word| word.eq_ignore_ascii_case("dot-nexthop"));
            let old = subject.facts.older_than(3, 6);
            if !words(&list.text).all(keyword) || !(dotted || old) {
                continue;
            }
            let label = client.label();
            let finding = ADDRESS
                .finds(
                    route.place.clone(),
                    format!("`{}` at level `secure` with `smtp_tls_secure_cert_match = {}` matches no certificate", route.hop.written, list.text),
                )
                .fix([fix::note(&match &label {
                    Some(label) => format!("in master.cf, under {label}: -o smtp_tls_secure_cert_match=NAME, the name in the relay's certificate"),
                    None => "smtp_tls_secure_cert_match = NAME, the name in the relay's certificate".to_owned(),
                })])
                .on(label);
            add(found, finding);
        }
    }
}

fn policy_key(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for client in clients(subject) {
        let scope = client.scope();
        let value = client.value("tls_policy_maps");
        for route in &client.routes {
            if client.policies.ask(Some(&route.hop)) != Policy::Silent {
                continue;
            }
            for row in client.policies.meant_for(&route.hop) {
                let place = row.place.clone().unwrap_or_else(|| scope.place(&value));
                let finding = POLICY_KEY
                    .finds(
                        place,
                        format!(
                            "the policy of `{}` is not that of the next hop `{}`",
                            row.key, route.hop.written
                        ),
                    )
                    .fix([fix::note(&format!(
                        "write the key as {}",
                        route.hop.written
                    ))])
                    .on(owner(scope, &value));
                add(found, finding);
            }
        }
    }
}

fn tls_required(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let enable = main.value("tls_required_enable");
    if !subject.facts.at_least(3, 10) || enable.text.eq_ignore_ascii_case("no") {
        return;
    }
    for client in clients(subject) {
        let hop = client.routes.first().map(|route| &route.hop);
        let Some(level) = client.level_for(hop) else {
            continue;
        };
        // Without a way of its own there is nobody whose proof could be switched off.
        if !proves(&level) || (hop.is_none() && client.certificate.is_none()) {
            continue;
        }
        let (place, _) = client.level_place();
        let place = main.set_at("tls_required_enable").unwrap_or(place);
        let finding = TLS_REQUIRED
            .finds(
                place,
                format!(
                    "level `{level}` holds only for messages without a `TLS-Required: no` header"
                ),
            )
            .fix([fix::set("tls_required_enable", "no")])
            .on(client.label());
        add(found, finding);
    }
}
