//! Bytes of a log as text that may be shown.
//!
//! Enters: bytes, from whoever wrote them. Leaves: text of bounded length without control characters and without marks that turn
//! the direction of writing round. Refuses to know what the text says.

/// The longest example that is kept, in bytes.
pub(super) const EXAMPLE: usize = 600;

/// The first `most` bytes as printable text; what is cut off is shown as `...`.
pub(super) fn shown(bytes: &[u8], most: usize) -> String {
    let kept = bytes.get(..most).unwrap_or(bytes);
    // Nearly all text is this plain, and need not be looked at letter by letter.
    if kept.len() == bytes.len()
        && kept.iter().all(|byte| (b' '..=b'~').contains(byte))
        && let Ok(text) = std::str::from_utf8(kept)
    {
        return text.to_owned();
    }
    let mut text: String = String::from_utf8_lossy(kept)
        .chars()
        .map(|letter| if steers(letter) { '\u{fffd}' } else { letter })
        .collect();
    if bytes.len() > most {
        text.push_str("...");
    }
    text
}

/// Control characters, and the marks that turn the direction of writing round.
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A host name that may stand in a command: letters, digits, dots and hyphens, as in DNS.
pub(super) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && !text.starts_with(['-', '.'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// A path that may stand in a command as it is.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= 400
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_drives_a_terminal_is_shown() {
        assert_eq!(
            shown(b"a\x1b[2J\r\n\xff\xc2\x9b\xe2\x80\xaeb", 100),
            "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}b"
        );
        assert_eq!(shown(b"abcdef", 3), "abc...");
        assert_eq!(shown("\u{e9}\u{e9}".as_bytes(), 3), "\u{e9}\u{fffd}...");
    }

    #[test]
    fn only_plain_names_and_paths_go_into_commands() {
        assert!(is_host("mail.example.org") && is_path("/etc/postfix/relayca/a_b-c.pem"));
        for bad in [
            "",
            "-x",
            "a b",
            "a;b",
            "$(x)",
            "192.0.2.1",
            "a/b",
            "unknown'",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
        for bad in ["relayca/x", "/a b", "/a;b", "/$(x)", "/a'"] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
