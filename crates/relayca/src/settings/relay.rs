//! A relay: its destination, its port and the name in its certificate.
//!
//! In: what an admin wrote. Out: [`Relay`], checked. It refuses to know whether there is such a host.

use std::net::IpAddr;

use relayca_ca::{AltName, Domain, HostName};

use crate::failure::Failure;

/// The port a relay listens on unless told otherwise: not one that providers block.
const DEFAULT_PORT: u16 = 2500;

/// A relay: where mail hosts connect to, and what its certificate is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The name or address that mail hosts connect to.
    pub destination: AltName,
    /// TCP port.
    pub port: u16,
    /// The DNS name in its certificate, which mail hosts check. Postfix compares names only, never an
    /// address, so a relay known by address alone has a name made from the address.
    pub name: HostName,
}

impl Relay {
    /// Reads `HOST[:PORT]`, `ADDRESS[:PORT]` or `[V6]:PORT`; a bare label gets the domain appended.
    pub fn parse(text: &str, domain: &Domain) -> Result<Self, Failure> {
        let text = text.trim();
        let (destination, port) = match text.parse::<IpAddr>() {
            Ok(_) => (text, None),
            Err(_) => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                Failure::usage(format!("`{port}` in relay `{text}` is not a port")).hint(
                    "write HOST:PORT with a port from 1 to 65535; an IPv6 address goes in brackets",
                )
            })?,
        };
        let bare = destination.trim_start_matches('[').trim_end_matches(']');
        let (destination, name) = match bare.parse::<IpAddr>() {
            Ok(address) => (AltName::Ip(address), name_of_address(address, domain)?),
            Err(_) => {
                let name = HostName::in_domain(destination, domain)?;
                (AltName::Dns(name.clone()), name)
            }
        };
        Ok(Self {
            destination,
            port,
            name,
        })
    }

    /// The form kept in relayca.toml.
    pub fn text(&self) -> String {
        match &self.destination {
            AltName::Ip(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            other => format!("{other}:{}", self.port),
        }
    }
}

/// `relay-192-0-2-7.example.org`, or with the eight groups of an IPv6 address.
fn name_of_address(address: IpAddr, domain: &Domain) -> Result<HostName, Failure> {
    let label = match address {
        IpAddr::V4(v4) => v4.octets().map(|octet| octet.to_string()).join("-"),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:04x}")).join("-"),
    };
    Ok(HostName::parse(&format!("relay-{label}.{domain}"))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_a_name_or_an_address_with_a_port() {
        let domain = Domain::parse("example.org").unwrap();
        for (text, normal) in [
            ("relay1", "relay1.example.org:2500"),
            ("vps.example.net:587", "vps.example.net:587"),
            ("192.0.2.7", "192.0.2.7:2500"),
            ("192.0.2.7:25", "192.0.2.7:25"),
            ("2001:db8::1", "[2001:db8::1]:2500"),
        ] {
            assert_eq!(Relay::parse(text, &domain).unwrap().text(), normal);
        }
        for bad in [
            "",
            "relay:0",
            "relay:99999",
            "a b",
            "relay:25:25",
            "-x",
            "r$(id)",
        ] {
            assert!(Relay::parse(bad, &domain).is_err(), "{bad}");
        }
    }
}
