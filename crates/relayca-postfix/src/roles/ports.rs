//! Which ports a role needs, in and out: what a firewall, and the provider's, must let through.
//!
//! Enters: roles, and the relays with their ports. Leaves: [`PortRule`]s. Refuses to know which firewall there is.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::RoleError;
use crate::validate;

/// Something that a host does on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortRole {
    /// Takes mail from mail hosts by certificate, and delivers it.
    Relay,
    /// Sends through the relay.
    MailHost,
    /// Takes mail from anybody, and delivers to anybody.
    Mx,
    /// Takes mail from users by STARTTLS.
    Submission,
    /// Takes mail from users by implicit TLS.
    Submissions,
    /// IMAP over TLS.
    Imaps,
    /// POP3 over TLS.
    Pop3s,
    /// Gets its certificate from Let's Encrypt by HTTP (RFC 8555 section 8.3).
    Certbot,
    /// Looks names up: every host.
    Dns,
    /// Is administered: every host.
    Ssh,
}

impl PortRole {
    /// All roles, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Relay,
        Self::MailHost,
        Self::Mx,
        Self::Submission,
        Self::Submissions,
        Self::Imaps,
        Self::Pop3s,
        Self::Certbot,
        Self::Dns,
        Self::Ssh,
    ];
}

impl fmt::Display for PortRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Relay => "relay",
            Self::MailHost => "mailhost",
            Self::Mx => "mx",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Imaps => "imaps",
            Self::Pop3s => "pop3s",
            Self::Certbot => "certbot",
            Self::Dns => "dns",
            Self::Ssh => "ssh",
        })
    }
}

impl FromStr for PortRole {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| RoleError::PortRole(validate::shown(text)))
    }
}

/// Who begins the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The other side: ingress.
    In,
    /// This host: egress.
    Out,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::In => "in",
            Self::Out => "out",
        })
    }
}

/// Transport protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocols {
    /// TCP.
    Tcp,
    /// TCP and UDP.
    Both,
}

impl Protocols {
    /// Their names, as firewalls have them.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["tcp"],
            Self::Both => &["tcp", "udp"],
        }
    }
}

/// A relay, as mail hosts reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayPort {
    /// Its name or address, to be shown.
    pub host: String,
    /// The port of its service.
    pub port: u16,
}

/// A port that must be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// For what.
    pub role: PortRole,
    /// From which side.
    pub way: Way,
    /// The port of the side that listens.
    pub port: u16,
    /// By which protocols.
    pub protocols: Protocols,
    /// With whom.
    pub peer: String,
    /// What it is for.
    pub why: &'static str,
}

/// The rules of these roles, those of every host (names, SSH) among them.
#[must_use]
pub fn port_rules(roles: &[PortRole], relays: &[RelayPort], ssh: u16) -> Vec<PortRule> {
    let mut all: BTreeSet<PortRole> = roles.iter().copied().collect();
    all.extend([PortRole::Dns, PortRole::Ssh]);
    all.into_iter()
        .flat_map(|role| of_role(role, relays, ssh))
        .collect()
}

fn of_role(role: PortRole, relays: &[RelayPort], ssh: u16) -> Vec<PortRule> {
    let rule = |way, port, peer: &str, why| PortRule {
        role,
        way,
        port,
        protocols: Protocols::Tcp,
        peer: peer.to_owned(),
        why,
    };
    let (inwards, outwards) = (Way::In, Way::Out);
    match role {
        PortRole::Relay => {
            let ports: BTreeSet<u16> = relays.iter().map(|relay| relay.port).collect();
            let mut rules: Vec<PortRule> = ports
                .into_iter()
                .map(|port| {
                    rule(
                        inwards,
                        port,
                        "the mail hosts",
                        "mail to be relayed, by certificate",
                    )
                })
                .collect();
            rules.push(rule(
                outwards,
                25,
                "any mail server",
                "delivery; many providers block it until they are asked",
            ));
            rules
        }
        PortRole::MailHost => relays
            .iter()
            .map(|relay| rule(outwards, relay.port, &relay.host, "mail to the relay"))
            .collect(),
        PortRole::Mx => vec![
            rule(inwards, 25, "any mail server", "mail for this domain"),
            rule(
                outwards,
                25,
                "any mail server",
                "delivery; many providers block it until they are asked",
            ),
        ],
        PortRole::Submission => vec![rule(
            inwards,
            587,
            "users",
            "mail from users: STARTTLS and password",
        )],
        PortRole::Submissions => vec![rule(
            inwards,
            465,
            "users",
            "mail from users: implicit TLS and password",
        )],
        PortRole::Imaps => vec![rule(
            inwards,
            993,
            "users",
            "their mailboxes: IMAP over TLS",
        )],
        PortRole::Pop3s => vec![rule(
            inwards,
            995,
            "users",
            "their mailboxes: POP3 over TLS",
        )],
        PortRole::Certbot => vec![
            rule(
                inwards,
                80,
                "Let's Encrypt",
                "http-01, at each renewal, from addresses that change",
            ),
            rule(
                outwards,
                443,
                "Let's Encrypt",
                "asking for the certificate (ACME)",
            ),
        ],
        PortRole::Dns => vec![PortRule {
            protocols: Protocols::Both,
            ..rule(outwards, 53, "the resolver", "names; TCP for long answers")
        }],
        PortRole::Ssh => vec![rule(
            inwards,
            ssh,
            "the admin",
            "never closed by what is printed here",
        )],
    }
}
