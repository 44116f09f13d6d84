//! The parameters that Postfix knows, and their defaults.
//!
//! Enters: a name, a version. Leaves: since when and until when Postfix knows it, and the default. Refuses to know:
//! what a parameter does, and what a machine makes of a default.
//!
//! The table is parameters.tsv; its head says how it came about.

use std::sync::OnceLock;

use super::Version;

/// The newest version that the table knows.
pub const NEWEST: Version = Version::new(3, 11);

/// Whose defaults stand in where the version is not known.
pub const USUAL: Version = Version::new(3, 7);

const TABLE: &str = include_str!("parameters.tsv");

/// A parameter that some Postfix knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// The first version that knows it; none if 3.4 did.
    pub since: Option<Version>,
    /// The first version that does not know it any more.
    pub until: Option<Version>,
    /// From which version on it is known only as the old name of another.
    pub legacy: Option<Version>,
    /// Whether Postfix leaves `$` in it alone when it reads it.
    pub raw: bool,
    /// Whether the default comes from the machine: the name of the host, the networks, the version.
    pub machine: bool,
    defaults: Vec<(Option<Version>, &'static str)>,
}

impl Parameter {
    /// The default as `postconf -d` prints it, not expanded; none where the machine makes it, or where the version
    /// does not know the parameter. Where the version is not known: that of 3.7, else of the nearest.
    #[must_use]
    pub fn default(&self, version: Option<Version>) -> Option<&'static str> {
        if version.is_some_and(|version| !self.known_by(Some(version))) {
            return None;
        }
        let version = version.unwrap_or(USUAL);
        self.defaults
            .iter()
            .rev()
            .find(|(from, _)| from.is_none_or(|from| from <= version))
            .or(self.defaults.first())
            .map(|(_, default)| *default)
    }

    /// Whether a version knows it; if the version is not known, whether any does. A version that is newer than those
    /// of the table is taken for the newest.
    #[must_use]
    pub fn known_by(&self, version: Option<Version>) -> bool {
        version.is_none_or(|version| {
            let version = version.min(NEWEST);
            self.since.is_none_or(|since| since <= version)
                && self.until.is_none_or(|until| version < until)
        })
    }

    /// Whether a version knows it only as the old name of another; if the version is not known, whether any does.
    #[must_use]
    pub fn legacy_in(&self, version: Option<Version>) -> bool {
        self.legacy
            .is_some_and(|from| version.is_none_or(|version| from <= version))
    }
}

/// The parameter of a name, as it stands in the documentation. Those that a name of a service begins
/// (`relay_destination_concurrency_limit`) and those that the configuration defines itself are not among them.
#[must_use]
pub fn parameter(name: &str) -> Option<&'static Parameter> {
    let all = parameters();
    let at = all
        .binary_search_by(|parameter| parameter.name.cmp(name))
        .ok()?;
    all.get(at)
}

/// All of them, by name.
#[must_use]
pub fn parameters() -> &'static [Parameter] {
    static ALL: OnceLock<Vec<Parameter>> = OnceLock::new();
    ALL.get_or_init(|| {
        TABLE
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(read)
            .collect()
    })
}

fn read(line: &'static str) -> Option<Parameter> {
    let mut cells = line.split('\t');
    let name = cells.next()?;
    let since = cells.next()?;
    let until = cells.next()?;
    let marks = cells.next()?;
    let version = |text: &str| text.parse().ok();
    Some(Parameter {
        name,
        since: version(since),
        until: version(until),
        legacy: marks.strip_prefix("legacy:").and_then(version),
        raw: marks == "raw",
        machine: marks == "machine",
        defaults: cells
            .filter_map(|cell| cell.split_once('='))
            .map(|(from, default)| (version(from), default))
            .collect(),
    })
}

/// What the names of the parameters of a service end in, and of what they take their default, by the command
/// (postconf(5): `transport_destination_concurrency_limit` and so on).
const OF_TRANSPORT: &[(&str, &str)] = &[
    ("_delivery_slot_cost", "default_delivery_slot_cost"),
    ("_delivery_slot_discount", "default_delivery_slot_discount"),
    ("_delivery_slot_loan", "default_delivery_slot_loan"),
    (
        "_destination_concurrency_failed_cohort_limit",
        "default_destination_concurrency_failed_cohort_limit",
    ),
    (
        "_destination_concurrency_limit",
        "default_destination_concurrency_limit",
    ),
    (
        "_destination_concurrency_negative_feedback",
        "default_destination_concurrency_negative_feedback",
    ),
    (
        "_destination_concurrency_positive_feedback",
        "default_destination_concurrency_positive_feedback",
    ),
    ("_destination_rate_delay", "default_destination_rate_delay"),
    (
        "_destination_recipient_limit",
        "default_destination_recipient_limit",
    ),
    ("_extra_recipient_limit", "default_extra_recipient_limit"),
    (
        "_initial_destination_concurrency",
        "initial_destination_concurrency",
    ),
    ("_minimum_delivery_slots", "default_minimum_delivery_slots"),
    ("_recipient_limit", "default_recipient_limit"),
    ("_recipient_refill_delay", "default_recipient_refill_delay"),
    ("_recipient_refill_limit", "default_recipient_refill_limit"),
    ("_transport_rate_delay", "default_transport_rate_delay"),
];

const TIME_LIMIT: (&str, &str) = ("_time_limit", "command_time_limit");

/// What the names of the parameters of a service end in, and of what parameter they take their default.
pub(super) fn service_suffixes() -> impl Iterator<Item = (&'static str, &'static str)> {
    OF_TRANSPORT.iter().chain([&TIME_LIMIT]).copied()
}

/// Whether a command gives its service the parameter that ends so.
pub(super) fn gives(command: &str, suffix: &str) -> bool {
    if suffix == TIME_LIMIT.0 {
        matches!(command, "pipe" | "spawn")
    } else {
        matches!(
            command,
            "local" | "error" | "virtual" | "smtp" | "lmtp" | "pipe"
        )
    }
}
