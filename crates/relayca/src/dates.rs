//! Times as the inventory keeps them and as people read them.
//!
//! In: a point in time, or a span as `60d`. Out: RFC 3339 text in UTC, or a day. It reads no clock.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::failure::Failure;

/// `2026-11-21T03:00:00Z`: sorts as text.
pub fn stamp(at: OffsetDateTime) -> String {
    let whole = at.to_offset(time::UtcOffset::UTC).truncate_to_second();
    whole.format(&Rfc3339).unwrap_or_default()
}

/// `2026-11-21`.
pub fn day(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).date().to_string()
}

/// The day of a [`stamp`].
pub fn day_of(stamp: &str) -> &str {
    stamp.get(..10).unwrap_or(stamp)
}

/// The point in time of a [`stamp`]; `None` for any other text.
pub fn moment(stamp: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(stamp, &Rfc3339).ok()
}

/// A span of time as people write it: `60d`, `8w`, `12h`; at most a hundred years.
pub fn span(text: &str) -> Result<Duration, Failure> {
    let wrong = || {
        Failure::usage(format!("`{text}` is not a span of time"))
            .hint("write a number and a unit: h, d or w, as in 60d")
    };
    let (number, unit) = text
        .char_indices()
        .last()
        .and_then(|(at, unit)| Some((text.get(..at)?, unit)))
        .ok_or_else(wrong)?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 7 * 24,
        _ => return Err(wrong()),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number
        .parse::<i64>()
        .ok()
        .filter(|_| digits)
        .and_then(|number| number.checked_mul(hours))
        .filter(|hours| *hours <= 36_525 * 24)
        .map(Duration::hours)
        .ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        assert_eq!(span("60d").unwrap(), Duration::days(60));
        assert_eq!(span("8w").unwrap(), Duration::weeks(8));
        assert_eq!(span("12h").unwrap(), Duration::hours(12));
        assert_eq!(span("0d").unwrap(), Duration::ZERO);
        for bad in [
            "", "d", "60", "-1d", "+1d", "1.5d", "1m", "9999999d", "60 d", "６d", "1é",
        ] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stamp_is_read_back() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        assert_eq!(moment(&stamp(now)), Some(now));
        assert_eq!(moment("2026-11-21"), None);
    }
}
