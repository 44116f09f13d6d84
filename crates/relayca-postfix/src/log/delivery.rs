//! What became of a message for one recipient.
//!
//! Enters: the words of a delivery agent. Leaves: a [`Delivery`]. Refuses to know what the reason means.
//!
//! The form (src/global/log_adhoc.c, 3.4 to 3.11):
//! `QID: to=<a@b>, orig_to=<c>, relay=H[A]:25, conn_use=2, delay=1, delays=0/0/0.1/0.9, tls=secure, dsn=4.7.1, status=deferred (reason)`.
//! The recipient was chosen by whoever sent the message, the reason often by the server: a line in which more than one place looks like the fields
//! between them is not believed at all.

use memchr::memmem;

use super::event::Event;
use super::peer::{Peer, only_peer};

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Sent,
    Deferred,
    Bounced,
}

/// A delivery, or an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The queue identifier.
    pub message: &'a [u8],
    /// Whom it is for.
    pub recipient: &'a [u8],
    /// The server; `None` where none was reached, or none is needed.
    pub relay: Option<Peer<'a>>,
    /// How far TLS came, from 3.11: `secure`, `!secure`, `may:none`; else empty.
    pub tls: &'a [u8],
    /// What became of it.
    pub status: Status,
    /// The words in brackets.
    pub reason: &'a [u8],
}

/// Reads `QID: to=<...`; `None` for any other words.
pub(super) fn read(text: &[u8]) -> Option<Event<'_>> {
    let end = text
        .iter()
        .take(26)
        .position(|byte| !byte.is_ascii_alphanumeric())?;
    let (message, rest) = text.split_at_checked(end)?;
    let rest = rest.strip_prefix(b": to=<")?;
    let mut found = None;
    for at in memmem::find_iter(rest, RELAY) {
        let fields = rest.get(at + RELAY.len()..)?;
        let recipient = rest.get(..at).unwrap_or_default();
        if let Some(delivery) = fields_of(message, recipient, fields) {
            if found.is_some() {
                return Some(Event::Forged);
            }
            found = Some((at, delivery));
        }
    }
    let (at, delivery) = found?;
    // A log cuts long lines: the true fields may be gone, and those in the recipient be the only ones left.
    Some(if behind_addresses(rest) == Some(at) {
        Event::Delivered(delivery)
    } else {
        Event::Forged
    })
}

const RELAY: &[u8] = b">, relay=";

/// Where the fields begin: behind one address or two. Odd ones stand in quotes (`info_log_address_format`, from 3.5).
fn behind_addresses(text: &[u8]) -> Option<usize> {
    let mut at = address(text)?;
    if let Some(second) = text.get(at..)?.strip_prefix(b">, orig_to=<") {
        at = text.len() - second.len() + address(second)?;
    }
    text.get(at..)?.starts_with(RELAY).then_some(at)
}

/// The length of an address up to its `>`.
fn address(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    if text.first() == Some(&b'"') {
        at = 1;
        loop {
            at += match text.get(at)? {
                b'\\' => 2,
                b'"' => break,
                _ => 1,
            };
        }
    }
    Some(at + memchr::memchr(b'>', text.get(at..)?)?)
}

/// The fields from the value of `relay=` on.
fn fields_of<'a>(message: &'a [u8], recipient: &'a [u8], text: &'a [u8]) -> Option<Delivery<'a>> {
    let (relay, mut rest) = field(text)?;
    let relay = only_peer(relay);
    let mut tls: &[u8] = b"";
    for (name, needed) in [
        (&b"conn_use="[..], false),
        (b"delay=", true),
        (b"delays=", true),
        (b"tls=", false),
        (b"dsn=", true),
    ] {
        match rest.strip_prefix(name) {
            Some(value) => {
                let (value, behind) = field(value)?;
                if name == b"tls=" {
                    tls = value;
                } else if !value
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'/'))
                {
                    return None;
                }
                rest = behind;
            }
            None if needed => return None,
            None => {}
        }
    }
    let rest = rest.strip_prefix(b"status=")?;
    let (status, rest) = [
        (&b"sent ("[..], Status::Sent),
        (b"deferred (", Status::Deferred),
        (b"bounced (", Status::Bounced),
    ]
    .into_iter()
    .find_map(|(word, status)| Some((status, rest.strip_prefix(word)?)))?;
    Some(Delivery {
        message,
        recipient,
        relay,
        tls,
        status,
        // The last bracket is Postfix's own; a line that was cut short has none.
        reason: rest.strip_suffix(b")").unwrap_or(rest),
    })
}

/// A value and what follows its comma. No value holds a blank.
fn field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .take(600)
        .position(|byte| matches!(byte, b',' | b' '))?;
    let (value, rest) = text.split_at_checked(end)?;
    Some((value, rest.strip_prefix(b", ")?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const END: &str = "delay=0.12, delays=0.01/0.02/0.08/0.02, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1F)";

    fn delivery(text: &str) -> Delivery<'_> {
        match read(text.as_bytes()) {
            Some(Event::Delivered(delivery)) => delivery,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn deliveries_of_every_version_are_read() {
        let plain = format!(
            "1F41D9F225D: to=<a@example.net>, relay=relay.example.org[192.0.2.1]:2500, {END}"
        );
        let read = delivery(&plain);
        assert_eq!(
            (read.message, read.status),
            (&b"1F41D9F225D"[..], Status::Sent)
        );
        assert_eq!(read.relay.unwrap().port, Some(&b"2500"[..]));
        assert_eq!(read.reason, b"250 2.0.0 Ok: queued as 1F");
        let newer = "1F41D9F225D: to=<a@example.net>, orig_to=<b>, relay=none, conn_use=3, delay=1, delays=0/0/0/1, tls=!secure, dsn=4.7.5, status=deferred (Server certificate not verified)";
        let read = delivery(newer);
        assert_eq!(
            (read.relay, read.tls, read.status),
            (None, &b"!secure"[..], Status::Deferred)
        );
    }

    #[test]
    fn a_recipient_cannot_forge_a_delivery() {
        let forged = format!(
            "1F41D9F225D: to=<\"x>, relay=relay.example.org[192.0.2.1]:2500, {END}\"@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=5.4.4, status=bounced (no)"
        );
        assert_eq!(read(forged.as_bytes()), Some(Event::Forged));
        // Nor can a server, in its reply.
        let forged = format!(
            "1F41D9F225D: to=<a@example.net>, relay=mx.example.com[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx.example.com[192.0.2.9] said: 550 to=<x>, relay=relay.example.org[192.0.2.1]:2500, {END}"
        );
        assert_eq!(read(forged.as_bytes()), Some(Event::Forged));
        // Not even where the log cut off what follows.
        let forged =
            format!("1F41D9F225D: to=<\"x>, relay=relay.example.org[192.0.2.1]:2500, {END}");
        assert_eq!(read(forged.as_bytes()), Some(Event::Forged));
        // What only begins like the fields is no harm.
        let odd = format!("1F41D9F225D: to=<\"x>, relay=y\"@example.net>, relay=none, {END}");
        assert_eq!(delivery(&odd).relay, None);
    }

    #[test]
    fn other_words_are_no_deliveries() {
        for text in [
            "",
            "1F41D9F225D: removed",
            "1F41D9F225D: to=<a@b>, relay=none",
            "to=<a@b>, relay=none, x",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
