//! Protocols, ciphers and what TLS itself is made of.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks, and which ciphers this host's OpenSSL has.

mod grades;
mod lists;
mod names;
mod protocols;

use super::Rule;
use crate::config::{Config, Scope, Value};

pub(super) const RULES: &[Rule] = &[
    protocols::UNKNOWN,
    protocols::BOUNDS,
    protocols::OLD_ALONE,
    protocols::NEW_EXCLUDED,
    protocols::SSL_ALLOWED,
    protocols::FLOOR,
    grades::UNKNOWN,
    grades::WEAK,
    grades::MANDATORY_WEAKER,
    grades::HIGH_ON_25,
    lists::EXCLUSION_SIGN,
    lists::EXCLUSION_UNKNOWN,
    lists::EXCLUDES_ALL,
    lists::LIST_CHANGED,
    lists::LIST_WEAK,
    lists::LIST_EMPTY,
];

/// The sides that have protocols and ciphers.
const SIDES: &[&str] = &["smtpd", "smtp", "lmtp"];

/// Where a parameter is set: in main.cf, and by each service of its own.
fn set_values<'a>(config: &'a Config, name: &str) -> Vec<(Scope<'a>, Value)> {
    let main = config.main_scope();
    let mut values = Vec::new();
    if main.is_set(name) {
        values.push((main, main.value(name)));
    }
    for service in &config.master.services {
        if service.option(name).is_some() {
            let scope = config.scope(service);
            values.push((scope, scope.value(name)));
        }
    }
    values
}
