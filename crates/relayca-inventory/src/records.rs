//! The values that go in and come out: hosts, certificates, what becomes of them, events, and what to ask for.
//!
//! Plain text and bytes. Knows nothing of SQL, and nothing of what a certificate's bytes mean.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::InventoryError;

/// A host that certificates are issued to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Full name or address, lower case.
    pub name: String,
    /// `mailhost` or `relay`.
    pub role: String,
    /// When it was entered, `2026-11-21T03:00:00Z`.
    pub added_at: String,
}

/// A certificate as it was issued, and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateRecord {
    /// Lower-case hex, two digits a byte. Identifies the certificate.
    pub serial: String,
    /// The host it names; for a CA certificate, the authority's domain.
    pub host: String,
    /// `ca`, `mailhost` or `relay`.
    pub role: String,
    /// The certificate. Left out of JSON, where it would be a list of numbers.
    #[serde(skip)]
    pub certificate_der: Vec<u8>,
    /// SHA-256 of the public key (SPKI DER), 64 lower-case hex digits.
    pub spki_sha256: String,
    /// First second of validity.
    pub not_before: String,
    /// Last second of validity.
    pub not_after: String,
    /// When it was issued.
    pub issued_at: String,
    /// What became of it.
    pub state: State,
}

/// What became of a certificate. Expiry is not a state: dates tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In use: its host may relay while its dates hold.
    Live,
    /// Withdrawn for good.
    Revoked,
    /// Replaced and no longer wanted, without suspicion.
    Retired,
}

impl State {
    /// Gives the word the inventory holds for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Revoked => "revoked",
            State::Retired => "retired",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = InventoryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "live" => Ok(State::Live),
            "revoked" => Ok(State::Revoked),
            "retired" => Ok(State::Retired),
            _ => Err(InventoryError::Invalid {
                field: "state",
                reason: "must be `live`, `revoked` or `retired`".to_owned(),
            }),
        }
    }
}

/// Something that happened, as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Rises with each event; never used twice.
    pub id: i64,
    /// When.
    pub at: String,
    /// What, in a word such as `issue`.
    pub what: String,
    /// The certificate concerned.
    pub serial: Option<String>,
    /// The host concerned.
    pub host: Option<String>,
    /// Anything more, for people. Never a secret.
    pub detail: Option<String>,
}

/// Something that happened, to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewEvent {
    /// When.
    pub at: String,
    /// What, in a word such as `issue`.
    pub what: String,
    /// The certificate concerned.
    pub serial: Option<String>,
    /// The host concerned.
    pub host: Option<String>,
    /// Anything more, for people. Never a secret.
    pub detail: Option<String>,
}

/// Which certificates to give. What is `None` does not matter; all the rest must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this host.
    pub host: Option<String>,
    /// Of this role: `ca`, `mailhost` or `relay`.
    pub role: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Whose dates hold at this time.
    pub valid_at: Option<String>,
    /// That have not expired at this time; whether they are valid yet does not matter.
    pub unexpired_at: Option<String>,
}

/// Where a CA certificate stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Made, and being handed out for hosts to trust; signs nothing yet.
    Prepared,
    /// The one that signs.
    Active,
    /// Signs no more; certificates that it signed are still in use.
    Outgoing,
    /// Trusted by nobody any more.
    Retired,
}

impl Phase {
    /// Gives the word the inventory holds for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Prepared => "prepared",
            Phase::Active => "active",
            Phase::Outgoing => "outgoing",
            Phase::Retired => "retired",
        }
    }

    /// Says whether a CA certificate may go from this phase to `next` in one step.
    #[must_use]
    pub fn may_become(self, next: Phase) -> bool {
        matches!(
            (self, next),
            (Phase::Prepared, Phase::Active | Phase::Retired)
                | (Phase::Active, Phase::Outgoing)
                | (Phase::Outgoing, Phase::Retired)
        )
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = InventoryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "prepared" => Ok(Phase::Prepared),
            "active" => Ok(Phase::Active),
            "outgoing" => Ok(Phase::Outgoing),
            "retired" => Ok(Phase::Retired),
            _ => Err(InventoryError::Invalid {
                field: "phase",
                reason: "must be `prepared`, `active`, `outgoing` or `retired`".to_owned(),
            }),
        }
    }
}

/// A CA certificate and its phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorityRecord {
    /// Of the CA certificate.
    pub serial: String,
    /// Where it stands.
    pub phase: Phase,
}

/// When and why a certificate was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revocation {
    /// Of the certificate.
    pub serial: String,
    /// When.
    pub at: String,
    /// Why, in a word of RFC 5280, 5.3.1: `unspecified`, `keyCompromise`, `cACompromise`, `affiliationChanged`,
    /// `superseded`, `cessationOfOperation` or `privilegeWithdrawn`.
    pub reason: String,
}

/// A plan to retire a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retirement {
    /// Of the certificate.
    pub serial: String,
    /// From this time on it is no longer to be listed.
    pub after: String,
}

/// A certificate revocation list as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CrlRecord {
    /// Its CRL number (RFC 5280, 5.2.3), at most `i64::MAX`.
    pub number: u64,
    /// Serial of the CA certificate that signed it.
    pub authority: String,
    /// When it was signed.
    pub this_update: String,
    /// When the next one is due at the latest.
    pub next_update: String,
    /// The list. Left out of JSON, where it would be a list of numbers.
    #[serde(skip)]
    pub crl_der: Vec<u8>,
}
