//! Name constraints (RFC 5280 section 4.2.1.10): what an authority may name.
//!
//! Enters: the constraints of an authority, and a name. Leaves: whether the name is within them. Refuses to know: what the
//! name is wanted for.
//!
//! Stricter than the RFC in one point. There, a kind of name for which nothing is said is free; here, an authority that
//! permits some names permits no others. OpenSSL, webpki and GnuTLS all accept a client's address from an authority that
//! permits host names only.

use std::net::IpAddr;

use crate::name::{AltName, Domain, HostName, is_at_or_below};

/// One subtree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subtree {
    /// A host name and all below it; with a leading dot, only those below. Lower-case.
    Dns(String),
    /// A mailbox, or the mailboxes of a host. Lower-case.
    Mail(String),
    /// Addresses that equal `address` where `mask` has ones.
    Ip { address: IpAddr, mask: IpAddr },
    /// Any other kind, safe to print.
    Other(String),
}

/// The constraints of one authority.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Constraints {
    pub critical: bool,
    pub permitted: Vec<Subtree>,
    pub excluded: Vec<Subtree>,
}

impl Constraints {
    /// Whether a certificate may carry the name.
    pub(crate) fn allow(&self, name: &AltName) -> bool {
        if self.excluded.iter().any(|subtree| subtree.covers(name)) {
            return false;
        }
        self.permitted.is_empty() || self.permitted.iter().any(|subtree| subtree.covers(name))
    }

    /// Whether relayca issues the name. A constraint on a host name cannot help permitting the names below it; of a name
    /// permitted beside the domain only the name itself is issued.
    pub(crate) fn issue(&self, name: &AltName) -> bool {
        let AltName::Dns(host) = name else {
            return self.allow(name);
        };
        let Some(domain) = self.domain() else {
            return self.allow(name);
        };
        let exact = self
            .permitted
            .iter()
            .any(|s| matches!(s, Subtree::Dns(base) if base == host.as_str()));
        self.allow(name) && (domain.contains(host) || exact)
    }

    /// The domain of an authority of ours: the one permitted for mailboxes too.
    pub(crate) fn domain(&self) -> Option<Domain> {
        let mail = self.permitted.iter().find_map(|subtree| match subtree {
            Subtree::Mail(base) => Some(base),
            _ => None,
        })?;
        let named = self
            .permitted
            .iter()
            .any(|s| matches!(s, Subtree::Dns(base) if base == mail));
        if named {
            Domain::parse(mail).ok()
        } else {
            None
        }
    }

    /// The single names and addresses permitted beside the domain.
    pub(crate) fn further_permits(&self) -> Vec<AltName> {
        let domain = self.domain();
        let mut names = Vec::new();
        for subtree in &self.permitted {
            let name = match subtree {
                Subtree::Dns(base) => HostName::parse(base)
                    .ok()
                    .filter(|host| domain.as_ref().is_none_or(|d| !d.contains(host)))
                    .map(AltName::Dns),
                Subtree::Ip { address, .. }
                    if subtree.is_one_address(true) || subtree.is_one_address(false) =>
                {
                    Some(AltName::Ip(*address))
                }
                _ => None,
            };
            if let Some(name) = name.filter(|name| !names.contains(name)) {
                names.push(name);
            }
        }
        names
    }
}

impl Subtree {
    /// Whether the name lies in the subtree.
    pub(crate) fn covers(&self, name: &AltName) -> bool {
        match (self, name) {
            (Subtree::Dns(base), AltName::Dns(host)) => covers_host(base, host.as_str()),
            (Subtree::Ip { address, mask }, AltName::Ip(ip)) => {
                covers_address(*address, *mask, *ip)
            }
            _ => false,
        }
    }

    /// Whether it is the whole of an address family.
    pub(crate) fn is_every_address(&self, v4: bool) -> bool {
        matches!(self, Subtree::Ip { address, mask } if address.is_ipv4() == v4 && mask.is_unspecified())
    }

    /// Whether it is one single address of the family.
    pub(crate) fn is_one_address(&self, v4: bool) -> bool {
        match self {
            Subtree::Ip {
                address: IpAddr::V4(_),
                mask: IpAddr::V4(mask),
            } => v4 && mask.is_broadcast(),
            Subtree::Ip {
                address: IpAddr::V6(_),
                mask: IpAddr::V6(mask),
            } => !v4 && mask.to_bits() == u128::MAX,
            _ => false,
        }
    }
}

fn covers_host(base: &str, host: &str) -> bool {
    match base.strip_prefix('.') {
        Some(parent) => host != parent && is_at_or_below(host, parent),
        None => base.is_empty() || is_at_or_below(host, base),
    }
}

fn covers_address(address: IpAddr, mask: IpAddr, ip: IpAddr) -> bool {
    match (address, mask, ip) {
        (IpAddr::V4(a), IpAddr::V4(m), IpAddr::V4(ip)) => {
            a.to_bits() & m.to_bits() == ip.to_bits() & m.to_bits()
        }
        (IpAddr::V6(a), IpAddr::V6(m), IpAddr::V6(ip)) => {
            a.to_bits() & m.to_bits() == ip.to_bits() & m.to_bits()
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn constraints() -> Constraints {
        let ip = |a: &str, m: &str| Subtree::Ip {
            address: a.parse().unwrap(),
            mask: m.parse().unwrap(),
        };
        Constraints {
            critical: true,
            permitted: vec![
                Subtree::Dns("example.org".into()),
                Subtree::Mail("example.org".into()),
                Subtree::Dns("relay.example.net".into()),
                ip("192.0.2.5", "255.255.255.255"),
            ],
            excluded: vec![ip("::", "::")],
        }
    }

    #[test]
    fn the_domain_is_open_and_a_permitted_name_is_one_name() {
        let within = |name: &str| constraints().issue(&AltName::parse(name).unwrap());
        for name in [
            "example.org",
            "a.example.org",
            "a.b.example.org",
            "relay.example.net",
            "192.0.2.5",
        ] {
            assert!(within(name), "{name}");
        }
        for name in [
            "aexample.org",
            "example.net",
            "x.relay.example.net",
            "xrelay.example.net",
            "192.0.2.4",
            "2001:db8::5",
        ] {
            assert!(!within(name), "{name}");
        }
    }

    #[test]
    fn what_is_permitted_beside_the_domain_is_told() {
        let told: Vec<_> = constraints()
            .further_permits()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, ["relay.example.net", "192.0.2.5"]);
    }

    #[test]
    fn a_kind_of_name_that_is_not_permitted_is_refused() {
        let names_only = Constraints {
            critical: true,
            permitted: vec![Subtree::Dns("example.org".into())],
            excluded: Vec::new(),
        };
        assert!(!names_only.allow(&AltName::parse("192.0.2.5").unwrap()));
        let nothing_permitted = Constraints {
            permitted: Vec::new(),
            ..names_only
        };
        assert!(nothing_permitted.allow(&AltName::parse("192.0.2.5").unwrap()));
    }

    #[test]
    fn a_leading_dot_leaves_the_apex_out() {
        let subtree = Subtree::Dns(".example.org".into());
        assert!(subtree.covers(&AltName::parse("a.example.org").unwrap()));
        assert!(!subtree.covers(&AltName::parse("example.org").unwrap()));
    }
}
