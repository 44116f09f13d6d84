//! Replies of servers, read with bounds: SMTP (RFC 5321 section 4.2), IMAP (RFC 9051 section 7) and POP3 (RFC 1939 section 3).
//!
//! In come bytes from a server that may be anything; out comes a status and its lines, cleaned for printing. It refuses
//! to know commands.

use std::io::{self, Read};

/// The longest line taken. RFC 5321 section 4.5.3.1.5 allows 512; some servers write more.
pub(crate) const MAX_LINE: usize = 2048;

/// The most lines taken in one reply; Postfix writes about a dozen for EHLO.
pub(crate) const MAX_LINES: usize = 100;

/// One reply, its lines cleaned for printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The SMTP code as `250`; in IMAP `OK`, `NO`, `BAD`, `PREAUTH` or `BYE`; in POP3 `+OK` or `-ERR`.
    pub status: String,
    /// The text of each line behind that. In IMAP the untagged lines come first, without their `*`; in POP3 the lines of a
    /// list come behind the first.
    pub lines: Vec<String>,
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum ReplyError {
    Io(io::Error),
    Closed,
    LineTooLong,
    TooManyLines,
    Foreign(String),
}

impl Reply {
    /// All lines in one.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join(" ").trim().to_owned()
    }

    /// The SMTP code, 0 in the other protocols.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.status.parse().unwrap_or_default()
    }

    /// Whether it is a yes: 2xx or 3xx, `OK`, `PREAUTH`, `+OK`.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        matches!(self.code(), 200..=399) || matches!(self.status.as_str(), "OK" | "PREAUTH" | "+OK")
    }
}

/// Reads replies and remembers what the server sent beyond the one asked for.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    ahead: Vec<u8>,
}

impl Replies {
    /// Whether the server has already sent more than it was asked for.
    pub(crate) fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Reads one SMTP reply of one or more lines.
    pub(crate) fn smtp(&mut self, from: &mut impl Read) -> Result<Reply, ReplyError> {
        let mut code = None;
        let mut lines = Vec::new();
        loop {
            let line = self.line_after(&lines, from)?;
            let (number, more, text) =
                split(&line).ok_or_else(|| ReplyError::Foreign(shown(&line)))?;
            if *code.get_or_insert(number) != number {
                return Err(ReplyError::Foreign(shown(&line)));
            }
            lines.push(printable(text));
            if !more {
                return Ok(Reply {
                    status: number.to_string(),
                    lines,
                });
            }
        }
    }

    /// Reads what answers the IMAP command with this tag; `None` for the greeting, which has none.
    pub(crate) fn imap(
        &mut self,
        tag: Option<&str>,
        from: &mut impl Read,
    ) -> Result<Reply, ReplyError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line_after(&lines, from)?;
            let text = String::from_utf8_lossy(&line);
            let foreign = || ReplyError::Foreign(shown(&line));
            let (first, rest) = text.split_once(' ').ok_or_else(foreign)?;
            let (status, words) = rest.split_once(' ').unwrap_or((rest, ""));
            let status = status.to_ascii_uppercase();
            let known = matches!(status.as_str(), "OK" | "NO" | "BAD" | "PREAUTH" | "BYE");
            match (first, tag) {
                ("*", None) if known => {
                    lines.push(printable(words.as_bytes()));
                    return Ok(Reply { status, lines });
                }
                ("*", Some(_)) => lines.push(printable(rest.as_bytes())),
                (first, Some(tag)) if first == tag && known => {
                    lines.push(printable(words.as_bytes()));
                    return Ok(Reply { status, lines });
                }
                _ => return Err(foreign()),
            }
        }
    }

    /// Reads a POP3 reply; where it is a yes and a `list`, up to the line with a single dot.
    pub(crate) fn pop3(&mut self, list: bool, from: &mut impl Read) -> Result<Reply, ReplyError> {
        let first = self.line_after(&[], from)?;
        let text = String::from_utf8_lossy(&first);
        let (status, words) = text.split_once(' ').unwrap_or((&text, ""));
        if !matches!(status, "+OK" | "-ERR") {
            return Err(ReplyError::Foreign(shown(&first)));
        }
        let mut lines = vec![printable(words.as_bytes())];
        if list && status == "+OK" {
            loop {
                let line = self.line_after(&lines, from)?;
                if line == b"." {
                    break;
                }
                lines.push(printable(line.strip_prefix(b".").unwrap_or(&line)));
            }
        }
        Ok(Reply {
            status: status.to_owned(),
            lines,
        })
    }

    /// The next line of a reply that has these already.
    fn line_after(
        &mut self,
        lines: &[String],
        from: &mut impl Read,
    ) -> Result<Vec<u8>, ReplyError> {
        if lines.len() == MAX_LINES {
            return Err(ReplyError::TooManyLines);
        }
        self.line(from)
    }

    fn line(&mut self, from: &mut impl Read) -> Result<Vec<u8>, ReplyError> {
        loop {
            if let Some(end) = self.ahead.iter().position(|b| *b == b'\n') {
                if end > MAX_LINE {
                    return Err(ReplyError::LineTooLong);
                }
                let mut line: Vec<u8> = self.ahead.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if self.ahead.len() > MAX_LINE {
                return Err(ReplyError::LineTooLong);
            }
            let mut chunk = [0u8; 1024];
            match from.read(&mut chunk) {
                Ok(0) => return Err(ReplyError::Closed),
                Ok(n) => self.ahead.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ReplyError::Closed);
                }
                Err(e) => return Err(ReplyError::Io(e)),
            }
        }
    }
}

/// Code, whether more lines follow, and text: `250-PIPELINING`, `250 HELP`, `250`.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&digits[0]) {
        return None;
    }
    let code = digits
        .iter()
        .fold(0u16, |n, d| n * 10 + u16::from(d - b'0'));
    match rest.split_first() {
        None => Some((code, false, rest)),
        Some((b' ', text)) => Some((code, false, text)),
        Some((b'-', text)) => Some((code, true, text)),
        Some(_) => None,
    }
}

/// A foreign text fit for a terminal: control and direction characters become spaces.
pub(crate) fn printable(text: &[u8]) -> String {
    let clean = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    };
    String::from_utf8_lossy(text)
        .chars()
        .map(clean)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The beginning of a line, for an error message.
fn shown(line: &[u8]) -> String {
    printable(&line[..line.len().min(60)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// Gives one byte a read, as a dripping server does.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            buf[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn read(bytes: &[u8]) -> Result<Reply, ReplyError> {
        Replies::default().smtp(&mut Drip(bytes))
    }

    #[test]
    fn a_reply_of_several_lines_is_one_reply() {
        let reply = read(b"250-relay.example.org\r\n250-STARTTLS\r\n250 HELP\r\n").unwrap();
        assert_eq!(
            reply,
            Reply {
                status: "250".into(),
                lines: vec!["relay.example.org".into(), "STARTTLS".into(), "HELP".into()]
            }
        );
        assert_eq!(
            read(b"220\r\n").unwrap(),
            Reply {
                status: "220".into(),
                lines: vec![String::new()]
            }
        );
        assert_eq!(
            read(b"220 bare line feed\n").unwrap().text(),
            "bare line feed"
        );
    }

    #[test]
    fn what_comes_after_the_reply_is_kept_apart() {
        let mut replies = Replies::default();
        let mut from: &[u8] = b"220 go\r\n250 injected\r\n";
        assert_eq!(replies.smtp(&mut from).unwrap().code(), 220);
        assert!(replies.is_ahead());
        assert_eq!(replies.smtp(&mut from).unwrap().code(), 250);
        assert!(!replies.is_ahead());
    }

    #[test]
    fn what_is_not_smtp_is_refused_with_its_beginning() {
        for bad in [
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            b"2x0 a\r\n",
            b"20\r\n",
            b"220_a\r\n",
            b"120 a\r\n",
            b"620 a\r\n",
        ] {
            assert!(matches!(read(bad), Err(ReplyError::Foreign(_))), "{bad:?}");
        }
        assert!(matches!(
            read(b"250-a\r\n220 b\r\n"),
            Err(ReplyError::Foreign(_))
        ));
        let Err(ReplyError::Foreign(text)) = read(b"HTTP/1.1\x1b[31m 400\r\n") else {
            panic!()
        };
        assert_eq!(text, "HTTP/1.1 [31m 400");
    }

    #[test]
    fn endless_lines_and_endless_replies_end() {
        let mut longest = b"220 ".to_vec();
        longest.extend(vec![b'a'; MAX_LINE - 5]);
        longest.extend(b"\r\n");
        assert!(read(&longest).is_ok());
        assert!(matches!(
            read(&vec![b'2'; 100_000]),
            Err(ReplyError::LineTooLong)
        ));
        let mut one_line_too_long = vec![b'2'; MAX_LINE + 1];
        one_line_too_long.push(b'\n');
        assert!(matches!(
            read(&one_line_too_long),
            Err(ReplyError::LineTooLong)
        ));
        assert!(matches!(
            read(&b"250-a\r\n".repeat(MAX_LINES)),
            Err(ReplyError::TooManyLines)
        ));
        let mut hundred = b"250-a\r\n".repeat(MAX_LINES - 1);
        hundred.extend(b"250 a\r\n");
        assert_eq!(read(&hundred).unwrap().lines.len(), MAX_LINES);
        assert!(matches!(read(b"250-a\r\n"), Err(ReplyError::Closed)));
    }

    #[test]
    fn a_banner_cannot_write_to_the_terminal() {
        let reply = read("220 a\x1b]0;title\x07b\u{202e}c\u{9b}31m\r\n".as_bytes()).unwrap();
        assert_eq!(reply.text(), "a ]0;title b c 31m");
    }
}
