//! Who is at the other end, as Postfix writes it: `name[address]`, at the client with `:port`.
//!
//! Enters: text that begins with it. Leaves: the [`Peer`], and what stands behind. Refuses to know whether the name is true: smtpd writes a
//! name only where it leads back to the address, else `unknown`.

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer<'a> {
    /// The host name, or `unknown`; empty where only the address is given (postscreen, tlsproxy).
    pub name: &'a [u8],
    /// The address; of LMTP over a socket its path.
    pub address: &'a [u8],
    /// The port, where the log says it.
    pub port: Option<&'a [u8]>,
}

/// The longest name and address that are believed.
const LONGEST: usize = 255;

/// Reads a peer from the front of `text`.
pub(super) fn peer(text: &[u8]) -> Option<(Peer<'_>, &[u8])> {
    let open = text
        .iter()
        .take(LONGEST + 1)
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')))?;
    let (name, rest) = text.split_at_checked(open)?;
    let rest = rest.strip_prefix(b"[")?;
    let close = rest.iter().take(LONGEST + 1).position(|byte| {
        !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'%' | b'/'))
    })?;
    let (address, rest) = rest.split_at_checked(close)?;
    let rest = rest.strip_prefix(b"]")?;
    if address.is_empty() {
        return None;
    }
    let digits = match rest {
        [b':', digits @ ..] => digits
            .iter()
            .take(6)
            .take_while(|byte| byte.is_ascii_digit())
            .count(),
        _ => 0,
    };
    let (port, rest) = match digits {
        1..=5 => (rest.get(1..=digits), rest.get(1 + digits..)?),
        _ => (None, rest),
    };
    let peer = Peer {
        name,
        address,
        port,
    };
    Some((peer, rest))
}

/// A peer, and nothing behind it.
pub(super) fn only_peer(text: &[u8]) -> Option<Peer<'_>> {
    peer(text)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(peer, _)| peer)
}

impl Peer<'_> {
    /// Whether the name is one that leads back to the address.
    pub(super) fn has_name(&self) -> bool {
        !self.name.is_empty() && self.name != b"unknown"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<(String, String, String, String)> {
        let (peer, rest) = peer(text.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((
            text(peer.name),
            text(peer.address),
            text(peer.port.unwrap_or_default()),
            text(rest),
        ))
    }

    fn four(
        one: &str,
        two: &str,
        three: &str,
        four: &str,
    ) -> Option<(String, String, String, String)> {
        Some((one.into(), two.into(), three.into(), four.into()))
    }

    #[test]
    fn names_addresses_and_ports_are_told_apart() {
        assert_eq!(
            shown("mail.example.org[192.0.2.1]: x"),
            four("mail.example.org", "192.0.2.1", "", ": x")
        );
        assert_eq!(
            shown("unknown[2001:db8::1]"),
            four("unknown", "2001:db8::1", "", "")
        );
        assert_eq!(
            shown("relay.example.org[192.0.2.1]:2500: TLS"),
            four("relay.example.org", "192.0.2.1", "2500", ": TLS")
        );
        assert_eq!(shown("[192.0.2.1]:4711"), four("", "192.0.2.1", "4711", ""));
        assert_eq!(
            shown("host[private/dovecot-lmtp]"),
            four("host", "private/dovecot-lmtp", "", "")
        );
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for text in [
            "",
            "mail",
            "mail example[192.0.2.1]",
            "mail[192.0.2.1",
            "mail[]",
            "mail[1 2]",
            "a[b\u{1b}]",
            "<x>[192.0.2.1]",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
        assert_eq!(shown(&format!("{}[192.0.2.1]", "a".repeat(300))), None);
        assert!(only_peer(b"mail[192.0.2.1] x").is_none());
    }
}
