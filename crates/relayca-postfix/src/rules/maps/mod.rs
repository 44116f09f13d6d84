//! The tables: whether Postfix finds them, whether they are what their text says, and what is in those that decide who relays.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks, databases; it reads texts that it is given.

mod contents;
mod digests;
mod keeping;
pub(in crate::rules) mod named;
mod reach;
pub(in crate::rules) mod rows;

pub(in crate::rules) use contents::is_catch_all;

use super::Rule;

/// The rules.
pub(super) const RULES: &[Rule] = &[
    reach::WITHOUT_TYPE,
    reach::TYPE_UNKNOWN,
    reach::TYPE_DEPRECATED,
    reach::RELATIVE,
    reach::MISSING,
    keeping::NOT_REBUILT,
    keeping::NEEDS_RELOAD,
    keeping::WRITABLE,
    digests::UNSTATED,
    digests::WEAK,
    digests::ANOTHER,
    contents::MATCHES_EVERYBODY,
    contents::OPENSSL_LINE,
    contents::WITHOUT_COLONS,
    contents::MALFORMED,
    contents::WITHOUT_VALUE,
    contents::CONTINUED,
    contents::TWICE,
    contents::REFUSAL_AS_VALUE,
    contents::NO_ACTION,
];
