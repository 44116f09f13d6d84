//! The one message that a probe may send.
//!
//! In: sender, recipient, relay, time. Out: its text. It refuses to know how it is sent, and to say more than that it is a test.

use relayca_ca::{Serial, SerialError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// A message (RFC 5322).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its Message-ID, brackets included.
    pub id: String,
    /// Header and body, lines ending in a line feed.
    pub text: String,
}

/// Writes it. `domain` is where its Message-ID belongs.
pub fn message(
    sender: &str,
    recipient: &str,
    relay: &str,
    domain: &str,
    now: OffsetDateTime,
) -> Result<Message, SerialError> {
    let id = format!("<{}@{domain}>", Serial::random()?);
    let date = now
        .to_offset(time::UtcOffset::UTC)
        .format(&Rfc2822)
        .unwrap_or_default();
    // A message without a sender is from nobody that could be answered.
    let from = if sender.is_empty() {
        format!("postmaster@{domain}")
    } else {
        sender.to_owned()
    };
    let text = format!(
        "\
From: <{from}>
To: <{recipient}>
Subject: relayca probe: this came through the relay
Date: {date}
Message-ID: {id}
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

relayca probe --send sent this through {relay}.
It got in by its TLS client certificate. Nothing is to be done.
"
    );
    Ok(Message { id, text })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_what_a_message_needs_and_its_own_id() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap();
        let write = || {
            message(
                "postmaster@example.org",
                "me@example.net",
                "relayhost.example.org:2500",
                "example.org",
                now,
            )
            .unwrap()
        };
        let one = write();
        assert_ne!(one.id, write().id);
        let (header, body) = one.text.split_once("\n\n").unwrap();
        for line in [
            "From: <postmaster@example.org>",
            "To: <me@example.net>",
            "Date: Wed, 18 Nov 2026 11:06:40 +0000",
            &format!("Message-ID: {}", one.id),
        ] {
            assert!(
                header.lines().any(|found| found == line),
                "{line}\n{header}"
            );
        }
        assert!(body.contains("relayhost.example.org:2500"));
        assert!(one.text.is_ascii() && one.text.lines().all(|line| line.len() < 78));
    }
}
