//! One look at an authority: what is wrong with it, or soon will be.
//!
//! In: facts that were read (the inventory, the files, what opened) and the time. Out: [`Finding`]s, each with the command that
//! mends it, and the [`Expiry`] of all that is in use. It refuses to know the disk, the clock and who asks.

pub mod bundles;
pub mod chains;
pub mod clock;
pub mod expiry;
pub mod files;
pub mod known;
pub mod maps;
pub mod metrics;
pub mod report;
pub mod revocations;
pub mod settings;
pub mod units;

use time::{Duration, OffsetDateTime};

pub use known::Known;
pub use report::Report;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It wants attention, and no mail stops of it for now.
    Warning,
    /// Mail stops, or soon will; or what the authority rests on is broken.
    Critical,
}

impl Severity {
    /// The word for it, in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Names the kind of fault, for programs: it does not change.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The host or the file.
    pub subject: String,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What mends it.
    pub hint: String,
}

impl Finding {
    /// A warning.
    pub fn warning(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            id,
            severity: Severity::Warning,
            subject: subject.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A critical one.
    pub fn critical(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Critical,
            ..Self::warning(id, subject, message, hint)
        }
    }
}

/// What all findings are measured by.
#[derive(Debug, Clone)]
pub struct Look {
    /// The time of the look.
    pub now: OffsetDateTime,
    /// What expires within this time is worth a warning.
    pub within: Duration,
    /// What expires within this time is critical.
    pub critical: Duration,
    /// How relayca is called for this authority, for hints that can be pasted.
    pub relayca: String,
}

/// When something in use expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The host; of a CA the domain.
    pub subject: String,
    /// `ca`, `relay` or `mailhost`.
    pub role: String,
    /// Of the certificate.
    pub serial: String,
    /// Its last second.
    pub not_after: OffsetDateTime,
}

impl Expiry {
    /// Whole days that are left; negative once it is over.
    pub fn days(&self, now: OffsetDateTime) -> i64 {
        (self.not_after - now).whole_seconds().div_euclid(86_400)
    }
}

/// `a, b, c and 7 more`.
pub fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>();
    match names.len() {
        0..=SHOWN => shown.join(", "),
        all => format!("{} and {} more", shown.join(", "), all - SHOWN),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn days_left_are_whole_days_and_negative_once_it_is_over() {
        let end = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let expiry = Expiry {
            subject: "a".into(),
            role: "relay".into(),
            serial: "01".into(),
            not_after: end,
        };
        assert_eq!(expiry.days(end - Duration::hours(47)), 1);
        assert_eq!(expiry.days(end - Duration::hours(23)), 0);
        assert_eq!(expiry.days(end + Duration::seconds(1)), -1);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(some_of(["a", "b"]), "a, b");
        assert_eq!(some_of(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
