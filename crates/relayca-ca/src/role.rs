//! The two ends of a relay connection.
//!
//! Enters: `mailhost` or `relay`. Leaves: the role and the one extended key usage that goes with it.
//! Refuses to know: which host has which role.

use std::fmt;
use std::str::FromStr;

/// What a leaf certificate is for. Each role has exactly one extended key usage, so that a certificate stolen from one end
/// cannot play the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The internal server that sends: Postfix's smtp client, `clientAuth`.
    MailHost,
    /// The internet-facing server that accepts: Postfix's smtpd, `serverAuth`.
    Relay,
}

impl Role {
    /// Both roles.
    pub const ALL: [Role; 2] = [Role::MailHost, Role::Relay];

    /// The extended key usage of the role, named as in RFC 5280 section 4.2.1.12.
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Role::MailHost => "clientAuth",
            Role::Relay => "serverAuth",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::MailHost => "mailhost",
            Role::Relay => "relay",
        })
    }
}

/// The text names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("no such role: expected `mailhost` or `relay`")]
pub struct RoleError;

impl RoleError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("a mail host sends, a relay accepts".to_owned())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        match text {
            "mailhost" => Ok(Role::MailHost),
            "relay" => Ok(Role::Relay),
            _ => Err(RoleError),
        }
    }
}
