//! Which time `--since` means.
//!
//! In: what was typed, and the time. Out: a [`Stamp`] to compare with those of a log. It asks the system for its time zone, as a
//! traditional log is written in local time and does not say so; otherwise it refuses to know clocks.

use std::process::{Command, Stdio};

use relayca_postfix::log::Stamp;
use time::OffsetDateTime;

use crate::dates;
use crate::failure::Failure;

/// A time as the log has it, or a span before now.
pub fn since(text: &str, now: OffsetDateTime) -> Result<Stamp, Failure> {
    if let Some(stamp) = Stamp::parse(text) {
        return Ok(stamp);
    }
    let span = dates::span(text).map_err(|_| {
        Failure::usage(format!("`{text}` is neither a time nor a span of time"))
            .hint("write 2026-11-21, 2026-11-21T09:00, or a number and a unit, h, d or w, as in 2h")
    })?;
    Ok(Stamp::local((now - span).unix_timestamp(), offset()))
}

/// How far local time is ahead of UTC, in seconds. date(1) is on every system, and knows every time zone.
fn offset() -> i32 {
    let said = Command::new("date")
        .arg("+%z")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    said.ok()
        .and_then(|output| parse(&String::from_utf8_lossy(&output.stdout)))
        .unwrap_or(0)
}

/// `+0130`.
fn parse(text: &str) -> Option<i32> {
    let text = text.trim();
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    Some(sign * (number / 100 * 3600 + number % 100 * 60))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_read_as_date_writes_them() {
        assert_eq!(parse("+0000\n"), Some(0));
        assert_eq!(parse("+0130"), Some(5400));
        assert_eq!(parse("-0930"), Some(-34_200));
        for text in ["", "CET", "+1", "+01:00", "+é0"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_and_spans_are_understood() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_251_601).unwrap();
        assert_eq!(
            since("2026-11-21", now).unwrap().rfc3339(),
            "2026-11-21T00:00:00"
        );
        assert_eq!(since("1h", now).unwrap().rfc3339(), "2026-11-21T08:00:01Z");
        assert!(since("yesterday", now).is_err());
    }
}
