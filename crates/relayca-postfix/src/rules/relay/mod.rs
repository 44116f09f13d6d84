//! Who may relay: by certificate, by address, by mistake; and what the relay service leaves open beside it.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks, and the content of tables but for those that
//! decide who relays.

mod asking;
mod beside;
mod networks;
mod open;
mod order;
mod trust;
pub(in crate::rules) mod walk;

use super::Rule;
use crate::config::Scope;

/// The rules.
pub(super) const RULES: &[Rule] = &[
    asking::NOT_ASKED,
    asking::NOT_REQUIRED,
    asking::REQUIREMENT_IGNORED,
    asking::REQUIRED_OF_THE_INTERNET,
    asking::BEFORE_TLS,
    asking::ANY_OF_THE_CA,
    asking::WITHOUT_MAP,
    asking::MAP_UNUSED,
    trust::NO_AUTHORITY,
    trust::INHERITED_DIRECTORY,
    trust::SYSTEM_AUTHORITIES,
    trust::RESUMED,
    order::UNKNOWN,
    order::AFTER_PERMIT,
    order::PERMIT_TOO_LATE,
    order::WRONG_LIST,
    order::REFUSED_ELSEWHERE,
    order::REFUSED_BY_ADDRESS,
    order::PERMANENT,
    order::LOCAL_RECIPIENTS,
    open::NOTHING_REFUSES,
    open::BY_NETWORKS,
    open::BY_TABLE,
    open::BY_SENDER,
    open::EVERY_DOMAIN,
    open::DOMAIN_WILDCARD,
    networks::TOO_WIDE,
    networks::NEIGHBOURS,
    networks::HOST_BITS,
    networks::ADDRESSES_TOO,
    beside::ETRN,
    beside::VRFY,
    beside::FILTERS,
    beside::UNLISTED,
    beside::WITHOUT_RECEIVED,
];

/// Whether a word is a restriction that smtpd knows, or a class of this configuration.
pub(super) fn is_restriction(scope: Scope<'_>, word: &str) -> bool {
    walk::is_known(&word.to_ascii_lowercase())
        || scope
            .list("smtpd_restriction_classes")
            .iter()
            .any(|class| class == word)
}
