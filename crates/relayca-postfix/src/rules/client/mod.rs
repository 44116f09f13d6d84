//! The client's side: who it shows its certificate to, and what it demands of a server.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks.

mod levels;
mod proof;
mod showing;
mod wrapper;

use super::{Finding, Rule};

pub(super) const RULES: &[Rule] = &[
    levels::ENFORCE_OVERRIDDEN,
    levels::RELAY_NOT_PROVED,
    levels::CLEAR,
    levels::EVERYBODY,
    levels::NO_FINGERPRINTS,
    levels::NO_DNSSEC,
    levels::POLICY_LEVEL,
    proof::NOTHING_TO_VERIFY_WITH,
    proof::AUTHORITIES_INHERITED,
    proof::NAMES_FROM_DNS,
    proof::NAMES_BELOW,
    proof::ADDRESS,
    proof::POLICY_KEY,
    proof::TLS_REQUIRED,
    showing::TO_ALL,
    showing::SESSION_CACHE,
    showing::PASSWORD,
    showing::FALLBACK,
    wrapper::WITHOUT_ENCRYPT,
    wrapper::WRONG_PORT,
    wrapper::MISSING,
];

/// Adds a finding, unless it is the last one: several services inherit the same line of main.cf. Those that do not
/// follow each other are taken out when all are put in order.
fn add(found: &mut Vec<Finding>, finding: Finding) {
    if found.last() != Some(&finding) {
        found.push(finding);
    }
}
