//! This machine's clock against what the inventory remembers.
//!
//! In: the newest time in the inventory. Out: a finding where now is before it. It refuses to know which of the two is wrong.

use time::Duration;

use super::{Finding, Known, Look};
use crate::dates;

/// The clocks of two machines that share an authority may differ by this much.
const TOLERANCE: Duration = Duration::minutes(5);

/// A clock that is behind what has happened already.
pub fn findings(known: &Known, look: &Look) -> Option<Finding> {
    let (at, what) = known.last_entry.as_ref()?;
    if dates::moment(at)? <= look.now + TOLERANCE {
        return None;
    }
    Some(Finding::warning(
        "clock-behind",
        "clock",
        format!(
            "this machine's clock says {}, and the inventory has `{what}` of {at}: what is said of expiry cannot be relied on",
            dates::stamp(look.now)
        ),
        "set the clock; if it is right, it was wrong when that was entered: `date -u`",
    ))
}
