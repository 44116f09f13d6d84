//! What `relayca explain` is made of, beside the reading itself, which is in `relayca_postfix::log`.
//!
//! In: logs, the authority if there is one, a report. Out: blocks of bytes, names, text and JSON. It refuses to know what a line means.

pub mod follow;
pub mod json;
pub mod known;
pub mod open;
pub mod text;
pub mod when;
