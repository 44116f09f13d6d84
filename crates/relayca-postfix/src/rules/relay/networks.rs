//! Which addresses relay without a certificate.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: the interfaces of the machine, and tables in mynetworks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::walk::{RELAY, dedicated, restrictions, servers};
use crate::config::{Origin, Scope};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

const SOURCES: &[&str] = &["postconf(5) mynetworks", "postconf(5) permit_mynetworks"];

pub(super) const TOO_WIDE: Rule = Rule {
    id: "mynetworks-too-wide",
    severity: Severity::Warning,
    title: "mynetworks holds a large network of public addresses",
    why: "permit_mynetworks asks for the address alone. Whoever gets an address in that network, a neighbour at the same provider for one, relays.",
    remedy: "list the addresses of your own machines; let others show a certificate",
    sources: SOURCES,
    check: too_wide,
};

pub(super) const NEIGHBOURS: Rule = Rule {
    id: "neighbours-in-mynetworks",
    severity: Severity::Note,
    title: "mynetworks follows from the interfaces: the neighbours' addresses are in it",
    why: "With mynetworks_style=subnet (the default while compatibility_level is below 2) every address of the networks that this machine is in may \
          relay, with `class` every one of their old class A, B or C. On a rented server these are strangers.",
    remedy: "set mynetworks, or mynetworks_style=host",
    sources: &["postconf(5) mynetworks_style", "COMPATIBILITY_README"],
    check: neighbours,
};

pub(super) const HOST_BITS: Rule = Rule {
    id: "mynetworks-with-host-bits",
    severity: Severity::Error,
    title: "a network in mynetworks has bits beyond its prefix",
    why: "Postfix warns `non-null host address bits in …` and cannot use the list: every client that comes as far as permit_mynetworks hears `451 4.3.0 \
          Temporary lookup failure`.",
    remedy: "write the network's first address",
    sources: SOURCES,
    check: host_bits,
};

pub(super) const ADDRESSES_TOO: Rule = Rule {
    id: "addresses-relay-beside-certificates",
    severity: Severity::Warning,
    title: "on the relay service addresses relay without a certificate's fingerprint",
    why: "permit_mynetworks lets in whoever has one of those addresses, listed or not. Taking a host out of the table then does not shut it out.",
    remedy: "leave permit_mynetworks out of the service's relay restrictions",
    sources: SOURCES,
    check: addresses_too,
};

/// A network in mynetworks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    /// As it is written.
    pub text: String,
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        // `[::1]/128` and `[::1/128]` are both usual.
        let plain: String = text.chars().filter(|c| !matches!(c, '[' | ']')).collect();
        let (address, bits) = match plain.split_once('/') {
            Some((address, bits)) => (
                address.parse::<IpAddr>().ok()?,
                Some(bits.parse::<u8>().ok()?),
            ),
            None => (plain.parse::<IpAddr>().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then(|| Self {
            text: text.to_owned(),
            address,
            bits,
        })
    }

    /// Whether every address of its kind is in it.
    pub fn is_everything(&self) -> bool {
        self.bits == 0
    }

    /// Its first address.
    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
            }
        }
    }

    /// Whether its addresses reach nobody beyond the site: the loopback, private use, link-local.
    fn is_private(&self) -> bool {
        const V4: &[(u32, u8)] = &[
            (0x7f00_0000, 8),
            (0x0a00_0000, 8),
            (0xac10_0000, 12),
            (0xc0a8_0000, 16),
            (0xa9fe_0000, 16),
            (0x6440_0000, 10),
        ];
        match self.first() {
            IpAddr::V4(address) => V4.iter().any(|(network, bits)| {
                self.bits >= *bits && u32::from(address) >> (32 - bits) == network >> (32 - bits)
            }),
            IpAddr::V6(address) => {
                let top = address.segments()[0];
                (self.bits >= 7 && top & 0xfe00 == 0xfc00)
                    || (self.bits >= 10 && top & 0xffc0 == 0xfe80)
                    || (self.bits >= 96
                        && address.to_ipv4_mapped().is_some_and(|mapped| {
                            Self {
                                text: String::new(),
                                address: IpAddr::V4(mapped),
                                bits: self.bits - 96,
                            }
                            .is_private()
                        }))
                    || (self.bits == 128 && address.is_loopback())
            }
        }
    }

    fn is_loopback(&self) -> bool {
        match self.first() {
            IpAddr::V4(address) => self.bits >= 8 && address.is_loopback(),
            IpAddr::V6(address) => {
                (self.bits == 128 && address.is_loopback())
                    || (self.bits >= 104
                        && address
                            .to_ipv4_mapped()
                            .is_some_and(|mapped| mapped.is_loopback()))
            }
        }
    }

    /// Whether many strangers have addresses in it.
    fn is_wide(&self) -> bool {
        let limit = if self.address.is_ipv4() { 20 } else { 40 };
        self.bits < limit && !self.is_private()
    }
}

/// The networks that mynetworks lists; tables and what is excluded by `!` are passed over.
pub(super) fn networks(scope: Scope<'_>) -> Vec<Network> {
    let value = scope.value("mynetworks");
    if value.origin == Origin::Default {
        return Vec::new();
    }
    scope
        .list("mynetworks")
        .iter()
        .filter_map(|word| Network::parse(word))
        .collect()
}

fn too_wide(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (_, scope) in servers(subject) {
        let value = scope.value("mynetworks");
        for network in networks(scope).iter().filter(|network| network.is_wide()) {
            out.push(
                TOO_WIDE
                    .finds(
                        scope.place(&value),
                        format!("`{}` in `mynetworks`", network.text),
                    )
                    .on(owner(scope, &value))
                    .fix([fix::note(&format!(
                        "in mynetworks, list your own addresses instead of {}",
                        network.text
                    ))]),
            );
        }
    }
}

fn neighbours(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let scope = subject.config.main_scope();
    if scope.is_set("mynetworks") {
        return;
    }
    let style = scope.value("mynetworks_style");
    let word = style.text.to_ascii_lowercase();
    let asked = servers(subject).iter().any(|(_, scope)| {
        restrictions(*scope, RELAY)
            .iter()
            .any(|one| one.name == "permit_mynetworks")
    });
    let interfaces = scope.value("inet_interfaces").text.to_ascii_lowercase();
    if !asked
        || !matches!(word.as_str(), "subnet" | "class")
        || interfaces == "loopback-only"
        || interfaces == "localhost"
    {
        return;
    }
    let public = scope
        .list("inet_interfaces")
        .iter()
        .filter_map(|word| Network::parse(word))
        .any(|network| !network.is_private());
    let severity = if word == "class" || public {
        Severity::Warning
    } else {
        Severity::Note
    };
    out.push(
        NEIGHBOURS
            .finds(
                scope.place(&style),
                format!("`mynetworks_style = {word}`, and `mynetworks` is not set"),
            )
            .as_severe_as(severity)
            .fix([fix::set("mynetworks_style", "host"), fix::reload()]),
    );
}

fn host_bits(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (_, scope) in servers(subject) {
        let value = scope.value("mynetworks");
        for network in networks(scope)
            .iter()
            .filter(|network| network.first() != network.address)
        {
            let meant = match network.first() {
                IpAddr::V4(address) => format!("{address}/{}", network.bits),
                IpAddr::V6(address) => format!("[{address}]/{}", network.bits),
            };
            let words: Vec<String> = scope
                .list("mynetworks")
                .into_iter()
                .map(|word| {
                    if word == network.text {
                        meant.clone()
                    } else {
                        word
                    }
                })
                .collect();
            let service = owner(scope, &value);
            out.push(
                HOST_BITS
                    .finds(
                        scope.place(&value),
                        format!("`{}` should be `{meant}`", network.text),
                    )
                    .on(service.clone())
                    .fix([
                        fix::set_for(service.as_deref(), "mynetworks", &words.join(",")),
                        fix::reload(),
                    ]),
            );
        }
    }
}

fn addresses_too(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        let reached = relay
            .list
            .iter()
            .take_while(|one| !one.blocks())
            .any(|one| one.name == "permit_mynetworks");
        let Some(network) = networks(relay.scope)
            .into_iter()
            .find(|network| !network.is_loopback())
        else {
            continue;
        };
        if !reached {
            continue;
        }
        let words: Vec<String> = relay
            .scope
            .list(RELAY)
            .into_iter()
            .filter(|word| !word.eq_ignore_ascii_case("permit_mynetworks"))
            .collect();
        let label = relay.label();
        out.push(
            ADDRESSES_TOO
                .finds(
                    relay.place(RELAY),
                    format!(
                        "`permit_mynetworks` in `{RELAY}`, and `{}` in `mynetworks`",
                        network.text
                    ),
                )
                .on(label.clone())
                .fix([
                    fix::set_for(label.as_deref(), RELAY, &words.join(",")),
                    fix::reload(),
                ]),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn networks_are_read_in_every_way_that_people_write_them() {
        for text in [
            "127.0.0.0/8",
            "[::ffff:127.0.0.0]/104",
            "[::1]/128",
            "::1/128",
            "[::1]",
            "127.0.0.1",
        ] {
            let network = network(text);
            assert!(
                network.is_loopback() && network.is_private() && !network.is_wide(),
                "{text}"
            );
            assert_eq!(network.first(), network.address, "{text}");
        }
        for text in [
            "10.0.0.0/8",
            "192.168.1.0/24",
            "172.16.0.0/12",
            "[fd00::]/8",
            "[fe80::]/10",
        ] {
            assert!(
                network(text).is_private() && !network(text).is_wide(),
                "{text}"
            );
        }
        for text in [
            "0.0.0.0/0",
            "8.0.0.0/8",
            "[2001:db8::]/32",
            "::/0",
            "172.0.0.0/8",
        ] {
            assert!(network(text).is_wide(), "{text}");
        }
        assert!(!network("203.0.113.0/24").is_wide());
        assert!(network("0.0.0.0/0").is_everything());
        assert_ne!(
            network("192.168.1.5/24").first(),
            network("192.168.1.5/24").address
        );
        for text in [
            "!10.0.0.0/8",
            "cidr:/x",
            "10.0.0.0/33",
            "host.example.org",
            "",
        ] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
