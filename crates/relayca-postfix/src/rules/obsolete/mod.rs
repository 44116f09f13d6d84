//! Parameters that are gone or will go, and settings that the years have made pointless.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: files, clocks.

mod names;
mod settings;

use super::Rule;
use crate::config::{Config, Scope, Value};

pub(super) const RULES: &[Rule] = &[
    names::SWITCHES,
    names::PER_SITE,
    names::DEPRECATED,
    settings::DH_PARAMETERS,
    settings::EECDH_GRADE,
    settings::RANDOM,
    settings::SESSION_TIMEOUT,
    settings::SESSION_CACHE,
    settings::PREEMPT,
    settings::DSA,
    settings::COMPATIBILITY,
];

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
