//! Next hops: where a transport is told to connect to.
//!
//! Enters: the text behind `relayhost =`, or behind the colon of `transport:nexthop`. Leaves: host, brackets and port, or what
//! smtp(8) would say. Refuses to know: DNS, and what is at the other end.

use std::net::IpAddr;

/// A next hop, as smtp(8) takes it (`host_port`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextHop {
    /// As it is written.
    pub written: String,
    /// Without brackets and port.
    pub host: String,
    /// Whether no MX is looked up.
    pub brackets: bool,
    /// What stands behind the colon.
    pub port: Option<String>,
}

impl NextHop {
    /// Reads one.
    ///
    /// # Errors
    /// What smtp(8) would stop with, for people.
    pub fn parse(written: &str) -> Result<Self, String> {
        if let Some((scheme, _)) = written.split_once("://") {
            return Err(format!("`{scheme}://` is no part of a next hop"));
        }
        let (host, port, brackets) = match written.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or("there is no `]` for the `[`")?;
                let port = match rest.strip_prefix(':') {
                    Some(port) => port,
                    None if rest.is_empty() => "",
                    None => return Err(format!("`{rest}` stands behind the `]` without a colon")),
                };
                (host, port, true)
            }
            None => {
                let (host, port) = written.rsplit_once(':').unwrap_or((written, ""));
                (host, port, false)
            }
        };
        let address = host
            .get(..5)
            .filter(|start| start.eq_ignore_ascii_case("ipv6:"))
            .and_then(|_| host.get(5..))
            .unwrap_or(host);
        if brackets && address.parse::<IpAddr>().is_err() && host.contains(':') {
            return Err("the port stands within the brackets; it belongs behind them".to_owned());
        }
        if !brackets && port.starts_with('[') {
            return Err(format!(
                "`{host}:` names a transport, which has no place here"
            ));
        }
        if !brackets && (host.contains('[') || host.contains(']')) {
            return Err(match host.split_once(":[") {
                Some((transport, _)) => {
                    format!("`{transport}:` names a transport, which has no place here")
                }
                None => "the brackets are not where they belong: `[host]:port`".to_owned(),
            });
        }
        if !brackets && host.contains(':') && host.parse::<IpAddr>().is_err() {
            return Err(match host.split_once(':') {
                Some((transport, _)) => {
                    format!("`{transport}:` is one part too many: `[host]:port`")
                }
                None => "there are too many colons".to_owned(),
            });
        }
        if address.is_empty() {
            return Err("there is no host".to_owned());
        }
        if address.parse::<IpAddr>().is_err() && !is_host_name(address) {
            return Err(format!("`{address}` is neither a host name nor an address"));
        }
        if port.starts_with(|c: char| c.is_ascii_digit())
            && !port.parse::<u16>().is_ok_and(|port| port > 0)
        {
            return Err(format!("`{port}` is no port"));
        }
        Ok(Self {
            written: written.to_owned(),
            host: address.to_ascii_lowercase(),
            brackets,
            port: (!port.is_empty()).then(|| port.to_owned()),
        })
    }

    /// The TCP port; none for a name that is not known here.
    pub fn port_number(&self) -> Option<u16> {
        match self.port.as_deref() {
            None | Some("smtp" | "mail") => Some(25),
            Some("submission" | "msa") => Some(587),
            Some("submissions" | "smtps" | "ssmtp" | "urd") => Some(465),
            Some(port) => port.parse().ok(),
        }
    }

    /// Whether it is reached by its address.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// The same with brackets.
    pub fn bracketed(&self) -> String {
        match &self.port {
            Some(port) => format!("[{}]:{port}", self.host),
            None => format!("[{}]", self.host),
        }
    }

    /// Whether both mean the same host and port, however they are written.
    pub fn is_same(&self, other: &Self) -> bool {
        self.host == other.host && self.port_number() == other.port_number()
    }
}

/// The several next hops of a text; smtp(8) takes them apart at commas and blanks from 3.5 on.
pub(super) fn several(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\r', '\n'])
        .filter(|hop| !hop.is_empty())
}

/// `transport:nexthop` apart; what has no colon is a transport.
pub(super) fn transport_and_next_hop(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(':') {
        Some((transport, hop)) => (transport.trim(), hop.trim()),
        None => (text, ""),
    }
}

fn is_host_name(name: &str) -> bool {
    // `$myhostname` that nobody sets is a name that is not known here.
    name.contains('$')
        || name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn next_hops_are_taken_apart_as_smtp_does() {
        let hop = NextHop::parse("[Relay.example.org]:2500").unwrap();
        assert_eq!(
            (hop.host.as_str(), hop.brackets),
            ("relay.example.org", true)
        );
        assert_eq!(hop.port_number(), Some(2500));
        assert!(
            NextHop::parse("[IPv6:2001:db8::1]:465")
                .unwrap()
                .is_address()
        );
        assert!(NextHop::parse("[2001:db8::1]").unwrap().is_address());
        let hop = NextHop::parse("example.org:submission").unwrap();
        assert_eq!((hop.brackets, hop.port_number()), (false, Some(587)));
        assert_eq!(hop.bracketed(), "[example.org]:submission");
        assert_eq!(NextHop::parse("$mydomain").unwrap().port_number(), Some(25));
        for wrong in [
            "[relay.example.org:2500]",
            "[relay.example.org]2500",
            "[relay.example.org:2500",
            "relay.example.org]:2500",
            "smtp:[relay.example.org]:2500",
            "smtp:[relay.example.org]",
            "smtp:relay.example.org:2500",
            "smtps://relay.example.org",
            "[relay.example.org]:70000",
            "[relay.example.org]:0",
            "[]:25",
            "relay example.org",
        ] {
            assert!(NextHop::parse(wrong).is_err(), "{wrong}");
        }
    }
}
