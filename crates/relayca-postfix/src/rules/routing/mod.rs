//! Which way mail goes: relayhost, transports, and what comes before them.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks.

mod hops;
mod order;

use super::Rule;

pub(super) const RULES: &[Rule] = &[
    hops::SYNTAX,
    hops::SEVERAL,
    hops::WITHOUT_BRACKETS,
    hops::THIS_HOST,
    order::RELAYHOST_UNUSED,
    order::WILDCARD,
    order::OTHER_WAYS,
    order::NO_SUCH_TRANSPORT,
];
