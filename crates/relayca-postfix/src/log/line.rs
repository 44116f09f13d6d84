//! A line of a log, taken apart.
//!
//! Enters: one line, as syslog, rsyslog, Postfix's postlogd or journalctl write it. Leaves: when, which machine, which of
//! Postfix's programs, which process, and what it said ([`Line`]). Refuses to know what the words mean.
//!
//! Everything before the words is read from the front and only there: what a stranger had written into a line by a greeting or an
//! address stands behind it.

use super::journal;
use super::stamp::{self, Around, Stamp};

/// One of Postfix's programs, by what it can say of relaying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Program {
    /// smtpd, and what takes its part at the door: tlsproxy, postscreen.
    Server,
    /// smtp and lmtp.
    Client,
    /// qmgr.
    Queue,
    /// local, virtual, pipe, error, discard: they deliver without a connection.
    Agent,
    /// master, postfix-script, tlsmgr, proxymap and the others: only their troubles are of interest.
    Other,
    /// The log does not say (`journalctl -o cat`).
    Unknown,
}

/// A line of Postfix's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The stamp as written; [`Line::when`] reads it.
    stamp: When<'a>,
    /// The machine that logged it, as it calls itself; empty where the log does not say.
    pub machine: &'a [u8],
    /// As `postfix/relayca/smtpd`; empty where the log does not say.
    pub tag: &'a [u8],
    /// The program at the end of the tag.
    pub program: Program,
    /// The process; `None` where the log does not say.
    pub process: Option<u32>,
    /// What it said.
    pub text: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When<'a> {
    Written(&'a [u8]),
    Known(Stamp),
    Never,
}

impl<'a> Line<'a> {
    /// Takes a line apart; `None` if it is not Postfix's, or of no program that could matter here.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = without_priority(line);
        match stamp::length(line) {
            Some(length) => {
                let (written, rest) = line.split_at_checked(length)?;
                Self::behind_stamp(written, rest.strip_prefix(b" ")?)
            }
            // Without a stamp there is no machine and no tag either.
            None => Some(Self {
                stamp: When::Never,
                machine: b"",
                tag: b"",
                program: Program::Unknown,
                process: None,
                text: line,
            }),
        }
    }

    fn behind_stamp(written: &'a [u8], rest: &'a [u8]) -> Option<Self> {
        let (machine, rest) = word(rest)?;
        let (tag, process, text) = tagged(rest)?;
        Some(Self {
            stamp: When::Written(written),
            machine,
            tag,
            program: program(tag)?,
            process,
            text,
        })
    }

    /// Of an entry of the journal, in which the parts are apart already.
    pub(super) fn of_entry(entry: &'a journal::Entry<'_>) -> Option<Self> {
        Some(Self {
            stamp: entry.when.map_or(When::Never, When::Known),
            machine: entry.machine.as_bytes(),
            tag: entry.identifier.as_bytes(),
            program: program(entry.identifier.as_bytes())?,
            process: entry.process,
            text: &entry.message,
        })
    }

    /// When it was logged.
    #[must_use]
    pub fn when(&self, around: &Around) -> Option<Stamp> {
        match self.stamp {
            When::Written(text) => stamp::stamp(text, around).map(|(stamp, _)| stamp),
            When::Known(stamp) => Some(stamp),
            When::Never => None,
        }
    }
}

/// A priority as it goes over the wire (RFC 3164 section 4.1.1); some collectors keep it.
fn without_priority(line: &[u8]) -> &[u8] {
    match line {
        [b'<', b'0'..=b'9', b'>', rest @ ..]
        | [b'<', b'0'..=b'9', b'0'..=b'9', b'>', rest @ ..]
        | [b'<', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'>', rest @ ..] => {
            // RFC 5424 has its version there.
            rest.strip_prefix(b"1 ").unwrap_or(rest)
        }
        _ => line,
    }
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ')?;
    let (word, rest) = text.split_at_checked(end)?;
    Some((word, rest.get(1..)?))
}

/// `postfix/smtpd[123]: words`, `postfix/smtpd: words`, or `postfix/smtpd 123 - - words` (RFC 5424).
fn tagged(text: &[u8]) -> Option<(&[u8], Option<u32>, &[u8])> {
    let end = text
        .iter()
        .take(200)
        .position(|byte| matches!(byte, b'[' | b':' | b' '))?;
    let (tag, rest) = text.split_at_checked(end)?;
    match rest.split_first()? {
        (b':', rest) => Some((tag, None, rest.strip_prefix(b" ")?)),
        (b'[', rest) => {
            let (process, rest) = process(rest)?;
            Some((tag, Some(process), rest.strip_prefix(b"]: ")?))
        }
        (_, rest) => {
            let (process, rest) = process(rest)?;
            Some((tag, Some(process), rest.strip_prefix(b" - - ")?))
        }
    }
}

fn process(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// By the last part of the tag: `syslog_name` may be anything, the program's name behind it is Postfix's.
fn program(tag: &[u8]) -> Option<Program> {
    let start = memchr::memrchr(b'/', tag)? + 1;
    match tag.get(start..)? {
        b"smtpd" | b"tlsproxy" | b"postscreen" => Some(Program::Server),
        b"smtp" | b"lmtp" => Some(Program::Client),
        b"qmgr" | b"oqmgr" | b"nqmgr" => Some(Program::Queue),
        b"local" | b"virtual" | b"pipe" | b"error" | b"discard" | b"retry" => Some(Program::Agent),
        b"master" | b"postfix-script" | b"tlsmgr" | b"proxymap" | b"trivial-rewrite"
        | b"postmap" | b"postlogd" | b"postlog" | b"sendmail" | b"postfix" => Some(Program::Other),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn around() -> Around {
        Around::until(1_798_891_200)
    }

    #[test]
    fn lines_of_every_writer_are_taken_apart() {
        for line in [
            "Nov 21 09:00:01 relay postfix/relayca/smtpd[123]: connect from unknown[192.0.2.1]",
            "2026-11-21T09:00:01.5+00:00 relay postfix/relayca/smtpd[123]: connect from unknown[192.0.2.1]",
            "<22>Nov 21 09:00:01 relay postfix/relayca/smtpd[123]: connect from unknown[192.0.2.1]",
            "<22>1 2026-11-21T09:00:01Z relay postfix/relayca/smtpd 123 - - connect from unknown[192.0.2.1]",
            "Nov 21 09:00:01.123456 relay postfix/relayca/smtpd[123]: connect from unknown[192.0.2.1]",
            "2026-11-21T09:00:01+0000 relay postfix/relayca/smtpd[123]: connect from unknown[192.0.2.1]",
            "Sat 2026-11-21 09:00:01 UTC relay postfix/relayca/smtpd[123]: connect from unknown[192.0.2.1]",
            "1795251601.000001 relay postfix/relayca/smtpd[123]: connect from unknown[192.0.2.1]",
        ] {
            let read = Line::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(read.machine, b"relay", "{line}");
            assert_eq!(read.tag, b"postfix/relayca/smtpd", "{line}");
            assert_eq!(read.program, Program::Server, "{line}");
            assert_eq!(read.process, Some(123), "{line}");
            assert_eq!(read.text, b"connect from unknown[192.0.2.1]", "{line}");
            assert_eq!(
                read.when(&around()).unwrap().to_string(),
                "2026-11-21 09:00:01",
                "{line}"
            );
        }
    }

    #[test]
    fn a_line_without_a_stamp_is_all_words() {
        let read = Line::parse(b"connect from unknown[192.0.2.1]").unwrap();
        assert_eq!(
            (read.program, read.process, read.when(&around())),
            (Program::Unknown, None, None)
        );
        assert_eq!(read.text, b"connect from unknown[192.0.2.1]");
    }

    #[test]
    fn instances_and_services_with_names_of_their_own_are_known_by_the_program() {
        for (tag, program) in [
            ("postfix/smtpd", Some(Program::Server)),
            ("postfix-relayca/smtp", Some(Program::Client)),
            ("postfix/submission/smtpd", Some(Program::Server)),
            ("mx-out/lmtp", Some(Program::Client)),
            ("postfix/qmgr", Some(Program::Queue)),
            ("postfix-lab/master", Some(Program::Other)),
            ("postfix/cleanup", None),
            ("dovecot", None),
            ("smtpd", None),
            ("postfix/smtpdd", None),
        ] {
            let line = format!("Nov 21 09:00:01 h {tag}[1]: x");
            assert_eq!(
                Line::parse(line.as_bytes()).map(|line| line.program),
                program,
                "{tag}"
            );
        }
    }

    #[test]
    fn what_stands_in_the_words_is_never_taken_for_the_tag() {
        let line = b"Nov 21 09:00:01 h postfix/smtpd[1]: NOQUEUE: x Nov 21 09:00:02 h postfix/smtp[2]: Trusted TLS";
        let read = Line::parse(line).unwrap();
        assert_eq!((read.process, read.program), (Some(1), Program::Server));
        assert!(read.text.starts_with(b"NOQUEUE"));
        for odd in [
            "Nov 21 09:00:01 h postfix/smtpd[1] x",
            "Nov 21 09:00:01 h postfix/smtpd[x]: x",
            "Nov 21 09:00:01 h postfix/smtpd[99999999999]: x",
            "Nov 21 09:00:01 h kernel: x",
            "Nov 21 09:00:01 h",
            "Nov 21 09:00:01",
        ] {
            assert_eq!(Line::parse(odd.as_bytes()), None, "{odd}");
        }
    }
}
