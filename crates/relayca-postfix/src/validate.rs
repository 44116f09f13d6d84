//! The alphabets. Enters: text from outside. Leaves: the same text, known to hold nothing that a shell, master.cf or
//! main.cf would take as more than a word. Refuses to know what the words are for.
//!
//! Each function gives the text, or the [`SnippetError`] that names what it is not.
#![allow(clippy::missing_errors_doc, reason = "said once, above")]

use std::net::IpAddr;

use crate::SnippetError;

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_name(text: &str) -> bool {
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(is_label)
        // A last label of digits alone would be read as an address.
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
}

/// A full host name: LDH labels, lower case, at least two (RFC 1123 section 2.1).
pub fn host(text: &str) -> Result<&str, SnippetError> {
    if is_name(text) {
        Ok(text)
    } else {
        Err(SnippetError::HostName(shown(text)))
    }
}

/// A domain, likewise.
pub fn domain(text: &str) -> Result<&str, SnippetError> {
    if is_name(text) {
        Ok(text)
    } else {
        Err(SnippetError::Domain(shown(text)))
    }
}

/// The next hop as Postfix writes it without a port: `[name]`, `[192.0.2.1]`, `[ipv6:2001:db8::1]`. The brackets turn MX
/// look-ups off.
pub fn destination(text: &str) -> Result<String, SnippetError> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Ok(format!("[{address}]")),
        Ok(IpAddr::V6(address)) => Ok(format!("[ipv6:{address}]")),
        Err(_) if is_name(text) => Ok(format!("[{text}]")),
        Err(_) => Err(SnippetError::Destination(shown(text))),
    }
}

/// An absolute directory in `[A-Za-z0-9/._-]`, without `.`, `..` and empty components.
pub fn directory(text: &str) -> Result<&str, SnippetError> {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    match text.strip_prefix('/') {
        Some(rest) if text.len() <= 1024 && rest.split('/').all(plain) => Ok(text),
        _ => Err(SnippetError::Directory(shown(text))),
    }
}

/// A bare file name in `[A-Za-z0-9._-]`, not beginning with a dot or a dash.
pub(crate) fn file_name(text: &str) -> Result<&str, SnippetError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=255).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(SnippetError::FileName(shown(text)))
    }
}

/// Letters and digits, or nothing.
pub(crate) fn word(text: &str) -> Result<&str, SnippetError> {
    if text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Ok(text)
    } else {
        Err(SnippetError::FileName(shown(text)))
    }
}

/// A port that can be listened on.
pub fn port(number: u16) -> Result<u16, SnippetError> {
    if number == 0 {
        Err(SnippetError::Port)
    } else {
        Ok(number)
    }
}

/// A digest that every Postfix of the versions meant here knows by this name.
pub fn digest(text: &str) -> Result<&str, SnippetError> {
    match text {
        "md5" | "sha1" | "sha256" | "sha384" | "sha512" => Ok(text),
        _ => Err(SnippetError::Digest(shown(text))),
    }
}

/// A sender: a domain, or an address with a local part in `[a-z0-9._+-]`; lower-cased, as Postfix looks it up.
pub fn sender(text: &str) -> Result<String, SnippetError> {
    let lower = text.to_ascii_lowercase();
    let good = match lower.split_once('@') {
        None => is_name(&lower),
        Some((local, at)) => {
            (1..=64).contains(&local.len())
                && local
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-'))
                && is_name(at)
        }
    };
    if good {
        Ok(lower)
    } else {
        Err(SnippetError::Sender(shown(text)))
    }
}

/// A fingerprint as Postfix looks it up: 16 to 64 upper-case pairs joined by colons.
pub fn fingerprint(text: &str) -> Result<&str, SnippetError> {
    let pair = |pair: &str| {
        pair.len() == 2 && pair.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
    };
    let good = matches!(text.len(), 47 | 59 | 95 | 143 | 191) && text.split(':').all(pair);
    if good {
        Ok(text)
    } else {
        Err(SnippetError::Fingerprint(shown(text)))
    }
}

/// Text that was refused, cut and without control characters, so that an error message cannot play tricks either.
pub fn shown(text: &str) -> String {
    text.chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
    use super::*;

    const HOSTILE: [&str; 18] = [
        "", " ", "a b.org", "a\n.org", "a;b.org", "$(x).org", "`x`.org", "'a.org", "\"a.org",
        "a.org'", "a..org", ".a.org", "a.org.", "-a.org", "a-.org", "a_b.org", "ä.org", "A.org",
    ];

    #[test]
    fn nothing_but_plain_names_gets_through() {
        for text in HOSTILE {
            assert!(host(text).is_err(), "{text:?}");
            assert!(domain(text).is_err(), "{text:?}");
            assert!(destination(text).is_err(), "{text:?}");
            assert!(directory(text).is_err(), "{text:?}");
            assert!(digest(text).is_err(), "{text:?}");
            assert!(fingerprint(text).is_err(), "{text:?}");
        }
        for text in [
            "localhost",
            "10.0.0.1",
            "a.1",
            &format!("{}.org", "a".repeat(64)),
            &"a.".repeat(130),
        ] {
            assert!(host(text).is_err(), "{text:?}");
        }
        assert!(host("mail-1.example.org").is_ok());
    }

    #[test]
    fn a_next_hop_is_in_brackets_so_that_no_mx_is_asked_for() {
        assert_eq!(
            destination("relay.example.org").unwrap(),
            "[relay.example.org]"
        );
        assert_eq!(destination("192.0.2.1").unwrap(), "[192.0.2.1]");
        assert_eq!(destination("2001:DB8::1").unwrap(), "[ipv6:2001:db8::1]");
        for text in [
            "fe80::1%eth0",
            "[192.0.2.1]",
            "192.0.2.1:25",
            "relay.example.org:25",
        ] {
            assert!(destination(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn directories_are_absolute_and_plain() {
        assert!(directory("/usr/local/etc/postfix").is_ok());
        for text in [
            "/",
            "etc/postfix",
            "/etc/../root",
            "/etc//postfix",
            "/etc/postfix/",
            "/etc/post fix",
            "/etc/$HOME",
            "/a/./b",
        ] {
            assert!(directory(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn senders_are_domains_or_addresses() {
        assert_eq!(sender("Info@Example.org").unwrap(), "info@example.org");
        assert_eq!(sender("example.org").unwrap(), "example.org");
        for text in [
            "<>",
            "@example.org",
            "a b@example.org",
            "a@b",
            "a}@example.org",
            "a=b@example.org",
            "a@b@example.org",
            "a#@example.org",
        ] {
            assert!(sender(text).is_err(), "{text:?}");
        }
    }
}
