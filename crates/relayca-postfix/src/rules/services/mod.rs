//! Submission, SASL and the public MX; and the services that others need.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks.

mod mx;
mod parts;
mod passwords;
mod ports;
mod submission;

use super::{Finding, Rule};

pub(super) const RULES: &[Rule] = &[
    mx::ENCRYPT,
    mx::ASKS,
    mx::RECEIVED,
    mx::LOOPBACK,
    passwords::IN_THE_CLEAR,
    passwords::ON_25,
    passwords::NEVER_OFFERED,
    submission::WITHOUT_ENCRYPT,
    submission::LETS_ALL_IN,
    submission::MAY_NOT_RELAY,
    submission::WITHOUT_SASL,
    submission::JUDGED_BEFORE_LOGIN,
    submission::CLIENT_ALONE,
    ports::WRAPPER_MISSING,
    ports::WRAPPER_TOO_MUCH,
    ports::SHARED,
    ports::OLD_NAME,
    parts::NO_TLSMGR,
    parts::NO_TLSPROXY,
    parts::NO_SMTPD_PASS,
    parts::NO_POSTLOG,
    parts::OTHER_SIDE,
    parts::CACHE_OPTION,
];

/// Adds a finding, unless it is the last one: several services inherit the same line of main.cf. Those that do not
/// follow each other are taken out when all are put in order.
fn add(found: &mut Vec<Finding>, finding: Finding) {
    if found.last() != Some(&finding) {
        found.push(finding);
    }
}
