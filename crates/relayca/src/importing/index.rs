//! `index.txt`, the list of issued certificates that `openssl ca` and easy-rsa keep (openssl-ca(1)).
//!
//! In: its text. Out: for each line the serial, and whether and why it was revoked. It refuses to know the certificates.
//!
//! A line is: `V`, `R` or `E`; when it expires; when it was revoked, with the reason behind a comma; the serial; the file,
//! mostly `unknown`; the subject. Tabs part them.

use relayca_ca::{Reason, Serial};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// Bytes of a line.
const LONGEST_LINE: usize = 8192;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of the certificate.
    pub serial: Serial,
    /// When it expires.
    pub expires: OffsetDateTime,
    /// When and why it was revoked.
    pub revoked: Option<(OffsetDateTime, Reason)>,
    /// The subject as openssl writes it.
    pub subject: String,
}

/// Whether a text is such an index: its first line is one.
pub fn looks_like_index(text: &str) -> bool {
    text.lines()
        .next()
        .is_some_and(|line| parse_line(line).is_some())
}

/// Reads the lines; gives the numbers of those that cannot be read, too.
pub fn parse(text: &str) -> (Vec<Line>, Vec<usize>) {
    let mut lines = Vec::new();
    let mut odd = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        match parse_line(line) {
            Some(line) => lines.push(line),
            None => odd.push(number),
        }
    }
    (lines, odd)
}

fn parse_line(line: &str) -> Option<Line> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let fields: Vec<&str> = line.trim_end_matches('\r').split('\t').collect();
    let [status, expires, revoked, serial, _file, subject] = fields.as_slice() else {
        return None;
    };
    let expires = moment(expires)?;
    let revoked = match *status {
        "V" | "E" if revoked.is_empty() => None,
        "R" => Some(revocation(revoked)?),
        _ => return None,
    };
    Some(Line {
        serial: serial.parse().ok()?,
        expires,
        revoked,
        subject: (*subject).to_owned(),
    })
}

/// `TIME[,REASON[,MORE]]`. Reasons that could be taken back, and those that openssl makes up, are revocations all the same.
fn revocation(text: &str) -> Option<(OffsetDateTime, Reason)> {
    let mut parts = text.split(',');
    let at = moment(parts.next()?)?;
    let word = parts.next().unwrap_or_default();
    let reason = match word {
        "keyTime" => Reason::KeyCompromise,
        "CAkeyTime" => Reason::CaCompromise,
        _ => Reason::ALL
            .into_iter()
            .find(|reason| reason.as_str().eq_ignore_ascii_case(word))
            .unwrap_or_default(),
    };
    Some((at, reason))
}

/// `YYMMDDHHMMSSZ`, or with four digits of the year (UTCTime and GeneralizedTime; RFC 5280 section 4.1.2.5.1 has the century).
fn moment(text: &str) -> Option<OffsetDateTime> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match digits.len() {
        12 => {
            let (year, rest) = digits.split_at(2);
            let year: i32 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        14 => {
            let (year, rest) = digits.split_at(4);
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    let time = Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_read() {
        let text = "V\t281121030000Z\t\t0A1B\tunknown\t/CN=mailhost.example.org\n\
                    R\t281121030000Z\t261101020304Z,keyCompromise\t02\tunknown\t/CN=a b\r\n\
                    R\t20501121030000Z\t261101020304Z\t03\tunknown\t/CN=x\n\
                    R\t281121030000Z\t261101020304Z,certificateHold,holdInstructionNone\t04\tunknown\t/CN=x\n\
                    R\t281121030000Z\t261101020304Z,CACompromise\t06\tunknown\t/CN=x\n\
                    E\t991121030000Z\t\t05\tunknown\t/CN=x\n\nnonsense\n";
        assert!(looks_like_index(text));
        let (lines, odd) = parse(text);
        assert_eq!(odd, [8]);
        let reasons: Vec<_> = lines
            .iter()
            .map(|line| (line.serial.to_string(), line.revoked.map(|(_, why)| why)))
            .collect();
        assert_eq!(
            reasons,
            [
                ("0a1b".into(), None),
                ("02".into(), Some(Reason::KeyCompromise)),
                ("03".into(), Some(Reason::Unspecified)),
                ("04".into(), Some(Reason::Unspecified)),
                ("06".into(), Some(Reason::CaCompromise)),
                ("05".into(), None),
            ]
        );
        let (at, _) = lines[1].revoked.unwrap();
        assert_eq!(crate::dates::stamp(at), "2026-11-01T02:03:04Z");
    }

    #[test]
    fn what_is_no_index_is_none() {
        for text in [
            "",
            "V\t\t\t\t\t",
            "V\t281121030000Z\t261101020304Z\t01\tunknown\t/CN=x",
            "R\t281121030000Z\t\t01\tunknown\t/CN=x",
            "X\t281121030000Z\t\t01\tunknown\t/CN=x",
            "V\t281321030000Z\t\t01\tunknown\t/CN=x",
            "V\t2811210300é0Z\t\t01\tunknown\t/CN=x",
        ] {
            assert!(!looks_like_index(text), "{text}");
        }
    }
}
