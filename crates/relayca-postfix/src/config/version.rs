//! A version of Postfix.
//!
//! Enters: text as `postconf mail_version` prints it. Leaves: a major and a minor number. Refuses to know: patch levels.

use std::fmt;
use std::str::FromStr;

/// A version of Postfix, as far as it matters: `3.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// `3`.
    pub major: u16,
    /// `7`.
    pub minor: u16,
}

impl Version {
    /// Of two numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Text that is no version of Postfix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version of Postfix, such as `3.7` or `3.7.11`")]
pub struct VersionError;

impl VersionError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("`postconf -h mail_version` prints it".to_owned())
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Takes `3.7`, `3.7.11`, `3.12-20260101` and `3.8-RC1`.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let release = text.split('-').next().unwrap_or_default();
        let numbers = release
            .split('.')
            .map(|part| {
                if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(VersionError);
                }
                part.parse::<u16>().map_err(|_| VersionError)
            })
            .collect::<Result<Vec<u16>, VersionError>>()?;
        match numbers[..] {
            [major, minor] | [major, minor, _] => Ok(Self { major, minor }),
            _ => Err(VersionError),
        }
    }
}
