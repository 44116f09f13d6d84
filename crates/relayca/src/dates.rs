//! Times as the inventory keeps them and as people read them.
//!
//! In: a point in time. Out: RFC 3339 text in UTC, or a day. It reads no clock.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
