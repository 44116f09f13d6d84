//! The mail host: all mail for elsewhere goes to the relay, over TLS, to that relay and no other.
//!
//! Enters: [`MailHost`]. Leaves: [`Snippet`]. Refuses to know: keys, files, what the relay lists.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::script::{self, Parts, Target};
use crate::setting::{self, Group, fixed, group};
use crate::{
    SUBDIRECTORY, Snippet, SnippetError, authority_file, certificate_file, key_file, validate,
};

/// How the mail host is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// A transport of its own in master.cf, and `default_transport` in main.cf: the certificate is shown to the relay alone.
    #[default]
    Transport,
    /// All in main.cf: the certificate is shown to every server that this host speaks TLS with.
    Main,
    /// Like `Transport`, as `postconf` commands.
    Postconf,
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Transport => "transport",
            Self::Main => "main",
            Self::Postconf => "postconf",
        })
    }
}

impl FromStr for Style {
    type Err = SnippetError;

    fn from_str(text: &str) -> Result<Self, SnippetError> {
        match text {
            "transport" => Ok(Self::Transport),
            "main" => Ok(Self::Main),
            "postconf" => Ok(Self::Postconf),
            _ => Err(SnippetError::Style(validate::shown(text))),
        }
    }
}

/// A relay, as the mail host reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The name or the address to connect to, without brackets. No MX is looked up.
    pub destination: String,
    /// The port of the relay's service.
    pub port: u16,
    /// A DNS name in the relay's certificate. Where it is the destination itself, `nexthop` does; otherwise it is named.
    pub certificate_name: String,
}

/// The mail host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailHost {
    /// The domain of the authority.
    pub domain: String,
    /// The mail host, as its certificate and key files are named.
    pub host: String,
    /// Postfix's configuration directory, `/etc/postfix` on most systems.
    pub config_directory: String,
    /// The relays, tried in this order. More than one needs Postfix 3.5.
    pub relays: Vec<NextHop>,
    /// Implicit TLS (`smtp_tls_wrappermode`) instead of STARTTLS.
    pub wrapper: bool,
    /// How the host is told.
    pub style: Style,
}

/// Renders the settings for a mail host.
///
/// # Errors
/// [`SnippetError`] where a name, directory or port is not plain, or there is no relay.
pub fn mail_host_snippet(mail_host: &MailHost) -> Result<Snippet, SnippetError> {
    let domain = validate::domain(&mail_host.domain)?;
    let host = validate::host(&mail_host.host)?;
    let directory = validate::directory(&mail_host.config_directory)?;
    let next_hops = next_hops(&mail_host.relays)?;

    let target = Target {
        title: format!("mail of {host} goes through {next_hops}"),
        directory,
        bundle_of: host,
        files: vec![
            key_file(host),
            certificate_file(host),
            authority_file(domain),
        ],
        oldest: if mail_host.relays.len() > 1 {
            script::OLDEST_WITH_SEVERAL_RELAYS
        } else {
            script::OLDEST
        },
    };
    let mut text = script::start(&target);
    let transport = transport_groups(mail_host, &next_hops);
    let known_later = [fixed(
        "A `TLS-Required: no` header in a message would otherwise undo `secure` (Postfix 3.10 and later).",
        [("tls_required_enable", "no")],
    )];
    let mut main = match mail_host.style {
        Style::Main => main_groups(mail_host, &next_hops),
        Style::Transport | Style::Postconf => {
            vec![group(
                "Mail for elsewhere goes to the relay, by the transport relayca of master.cf.",
                [("default_transport", format!("relayca:{next_hops}"))],
            )]
        }
    };
    let line = "relayca   unix  -       -       n       -       -       smtp";
    let owner = format!("{domain} mailhost");
    let master_block = setting::block(&owner, &setting::service(line, &transport));

    let mut checks = match mail_host.style {
        Style::Main => script::main_is_ours(&authority_file(domain)),
        Style::Transport | Style::Postconf => script::transport_is_ours(&authority_file(domain)),
    };
    checks.push_str(&script::next_hops_resolve(
        &names_to_look_up(&mail_host.relays),
        mail_host.style,
    ));
    checks.push_str(&script::overriding_settings(
        mail_host.style,
        mail_host.relays.len() > 1,
    ));
    let mut edits = String::new();
    match mail_host.style {
        Style::Postconf => {
            edits.push_str(script::changing());
            edits.push_str(&setting::postconf_service(
                "relayca/unix",
                "relayca unix - - n - - smtp",
                &transport,
            ));
            edits.push_str(&setting::postconf_main(&main));
            edits.push_str(&script::if_known(
                "tls_required_enable",
                &setting::postconf_main(&known_later),
            ));
        }
        Style::Transport | Style::Main => {
            let piece = setting::block(
                &owner,
                &format!(
                    "{}{}",
                    setting::main_cf(&main),
                    setting::main_cf(&known_later)
                ),
            );
            let names = format!("{} tls_required_enable", setting::names(&main));
            edits.push_str(&script::edit_function(&owner));
            if mail_host.style == Style::Transport {
                edits.push_str(&script::edit("master.cf", "relayca/unix", &master_block));
            }
            edits.push_str(&script::edit_if_known(
                "tls_required_enable",
                "main.cf",
                &names,
                &piece,
            ));
        }
    }
    text.push_str(&checks);
    text.push_str(&script::keep_old_files());
    text.push_str(&edits);
    text.push_str(&script::finish());

    // The piece on its own is for eyes and for hands: what an old Postfix does not know stays a comment in it.
    main.push(Group {
        why: "From Postfix 3.10 on, add: tls_required_enable = no".to_owned(),
        settings: Vec::new(),
    });
    let piece = setting::block(&owner, &setting::main_cf(&main));
    let pieces = mail_host.style != Style::Postconf;
    Ok(Snippet {
        main_cf: pieces.then_some(piece),
        master_cf: (mail_host.style == Style::Transport).then_some(master_block),
        script: text,
        warnings: warnings(mail_host),
        parts: Parts::new(target.oldest, &checks, edits),
    })
}

fn next_hops(relays: &[NextHop]) -> Result<String, SnippetError> {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for relay in relays {
        validate::host(&relay.certificate_name)?;
        let next_hop = format!(
            "{}:{}",
            validate::destination(&relay.destination)?,
            validate::port(relay.port)?
        );
        if !seen.insert(next_hop.clone()) {
            return Err(SnippetError::RelayTwice(next_hop));
        }
        list.push(next_hop);
    }
    if list.is_empty() {
        return Err(SnippetError::NoRelay);
    }
    Ok(list.join(", "))
}

fn warnings(mail_host: &MailHost) -> Vec<String> {
    let mut warnings = Vec::new();
    match mail_host.style {
        Style::Transport | Style::Postconf => {
            warnings.push("`transport_maps` and `sender_dependent_default_transport_maps` come before `default_transport`: what they name does not go through the relay".to_owned());
            warnings.push("`relayhost` and `sender_dependent_relayhost_maps` have no say once `default_transport` names the relay".to_owned());
        }
        Style::Main => {
            warnings.push("the certificate is shown to every server that this host speaks TLS with; the style `transport` shows it to the relay alone".to_owned());
            if mail_host.relays.len() > 1 {
                warnings.push("`transport_maps` and `sender_dependent_default_transport_maps` come before `default_transport`: what they name does not go through the relay".to_owned());
            } else {
                warnings.push("`transport_maps`, `sender_dependent_default_transport_maps` and `sender_dependent_relayhost_maps` come before `relayhost`: what they name does not go through the relay".to_owned());
            }
        }
    }
    if mail_host.relays.len() > 1 {
        warnings.push("several relays need Postfix 3.5 or later on the mail host".to_owned());
    }
    warnings
}

/// What makes a TLS client trust this relay and show it this certificate.
fn tls_groups(mail_host: &MailHost) -> Vec<Group> {
    let file = |name: &str| format!("{}/{SUBDIRECTORY}/{name}", mail_host.config_directory);
    let same = mail_host
        .relays
        .iter()
        .all(|relay| relay.destination == relay.certificate_name);
    let names: BTreeSet<&str> = mail_host
        .relays
        .iter()
        .map(|relay| relay.certificate_name.as_str())
        .collect();
    let matched = if same {
        "nexthop".to_owned()
    } else {
        names.into_iter().collect::<Vec<_>>().join(",")
    };
    vec![
        fixed(
            "Nothing is sent unless the certificate of the relay is good and carries the name below.",
            [
                ("smtp_tls_security_level", "secure"),
                (
                    "smtp_tls_wrappermode",
                    if mail_host.wrapper { "yes" } else { "no" },
                ),
            ],
        ),
        group(
            if same {
                "The name is the one in brackets in the next hop."
            } else {
                "The relay is reached under another name or an address, so its name stands here."
            },
            [("smtp_tls_secure_cert_match", matched)],
        ),
        fixed(
            "For every destination, whatever smtp_tls_policy_maps or smtp_tls_per_site say elsewhere.",
            [("smtp_tls_policy_maps", "static:secure")],
        ),
        group(
            "Our CA alone: an inherited directory would add others, and so would those that the system trusts; anchors would take its place.",
            [
                ("smtp_tls_CAfile", file(&authority_file(&mail_host.domain))),
                ("smtp_tls_CApath", String::new()),
                ("tls_append_default_CA", "no".to_owned()),
                ("smtp_tls_trust_anchor_file", String::new()),
            ],
        ),
        group(
            "The certificate that lets this host relay.",
            [
                (
                    "smtp_tls_cert_file",
                    file(&certificate_file(&mail_host.host)),
                ),
                ("smtp_tls_key_file", file(&key_file(&mail_host.host))),
            ],
        ),
        fixed(
            "Inherited ones of these kinds would be shown instead of it.",
            [
                ("smtp_tls_chain_files", ""),
                ("smtp_tls_eccert_file", ""),
                ("smtp_tls_eckey_file", ""),
                ("smtp_tls_dcert_file", ""),
                ("smtp_tls_dkey_file", ""),
            ],
        ),
        fixed(
            "TLS 1.2 or later, as every Postfix can read it.",
            [(
                "smtp_tls_mandatory_protocols",
                "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1",
            )],
        ),
        fixed(
            "No resumed sessions: one would go on showing the certificate of before a renewal.",
            [("smtp_tls_session_cache_database", "")],
        ),
        fixed(
            "The certificate is the password.",
            [("smtp_sasl_auth_enable", "no")],
        ),
        fixed(
            "No detour when the relay is down: mail waits.",
            [("smtp_fallback_relay", "")],
        ),
        fixed(
            "One line a session, saying `Verified` where all is well.",
            [("smtp_tls_loglevel", "1")],
        ),
    ]
}

fn transport_groups(mail_host: &MailHost, next_hops: &str) -> Vec<Group> {
    let mut groups = vec![
        fixed(
            "Logged under a name of its own, to be found by grep.",
            [("syslog_name", "postfix/relayca")],
        ),
        group(
            "The next hop once more: only mail for its relayhost waits where a name does not resolve; other mail would bounce.",
            [("relayhost", first(next_hops).to_owned())],
        ),
        fixed(
            "Names as this system looks them up, so that one in /etc/hosts counts.",
            [("smtp_host_lookup", "native")],
        ),
    ];
    groups.extend(tls_groups(mail_host));
    groups
}

/// The first next hop. smtp(8) compares its destination, up to the first comma, with `relayhost` as a whole; where both
/// are the same, a host that is not found (5.4.4) and a greeting with 5xx are put down to a mistake here, and the mail
/// waits (4.3.5). What the relay says about a sender or a recipient remains final. No other setting does that:
/// `soft_bounce` would make every refusal of the relay temporary, and `smtp_delivery_status_filter` wants a table of the
/// words in which each version complains.
fn first(next_hops: &str) -> &str {
    next_hops.split(',').next().unwrap_or(next_hops)
}

/// The names among the next hops, each once; addresses need no look-up.
fn names_to_look_up(relays: &[NextHop]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for relay in relays {
        let name = relay.destination.as_str();
        if name.parse::<IpAddr>().is_err() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn main_groups(mail_host: &MailHost, next_hops: &str) -> Vec<Group> {
    let mut groups = vec![
        group(
            "Mail for elsewhere goes to the relay; brackets mean that no MX is looked up. It waits if the name does not resolve.",
            [("relayhost", first(next_hops).to_owned())],
        ),
        if mail_host.relays.len() > 1 {
            group(
                "All of them, in this order; relayhost itself must be the first alone, or mail bounces where a name does not resolve.",
                [("default_transport", format!("smtp:{next_hops}"))],
            )
        } else {
            fixed(
                "A next hop in here would beat relayhost.",
                [("default_transport", "smtp")],
            )
        },
    ];
    groups.extend(tls_groups(mail_host));
    for group in &mut groups {
        if group
            .settings
            .iter()
            .any(|(name, _)| name == "smtp_tls_cert_file")
        {
            group.why = "The certificate that lets this host relay. Here in main.cf every server is shown it, not the relay alone.".to_owned();
        }
    }
    groups
}
