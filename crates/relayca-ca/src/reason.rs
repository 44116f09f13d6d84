//! Why a certificate is revoked (RFC 5280 section 5.3.1).
//!
//! Enters: a word, or the number in a revocation list. Leaves: a reason. Refuses to know: `certificateHold` and
//! `removeFromCRL`, which take a revocation back; here it stands.

use std::fmt;
use std::str::FromStr;

use rcgen::RevocationReason;

/// Why a certificate is revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No reason is given.
    #[default]
    Unspecified,
    /// The private key is, or may be, in other hands.
    KeyCompromise,
    /// The authority's private key is, or may be, in other hands.
    CaCompromise,
    /// The host belongs to somebody else now.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The host is gone.
    CessationOfOperation,
    /// The host may no longer relay.
    PrivilegeWithdrawn,
}

/// A word that is no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason for a revocation")]
pub struct ReasonError(String);

impl ReasonError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let words: Vec<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
        Some(format!("the reasons are {}", words.join(", ")))
    }
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Reason; 7] = [
        Reason::Unspecified,
        Reason::KeyCompromise,
        Reason::CaCompromise,
        Reason::AffiliationChanged,
        Reason::Superseded,
        Reason::CessationOfOperation,
        Reason::PrivilegeWithdrawn,
    ];

    /// The word of RFC 5280.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unspecified => "unspecified",
            Reason::KeyCompromise => "keyCompromise",
            Reason::CaCompromise => "cACompromise",
            Reason::AffiliationChanged => "affiliationChanged",
            Reason::Superseded => "superseded",
            Reason::CessationOfOperation => "cessationOfOperation",
            Reason::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }

    /// The word for a command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Reason::Unspecified => "unspecified",
            Reason::KeyCompromise => "key-compromise",
            Reason::CaCompromise => "ca-compromise",
            Reason::AffiliationChanged => "affiliation-changed",
            Reason::Superseded => "superseded",
            Reason::CessationOfOperation => "cessation-of-operation",
            Reason::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    /// The number in a revocation list; `None` for no reason, which is left out there.
    pub(crate) fn code(self) -> Option<RevocationReason> {
        match self {
            Reason::Unspecified => None,
            Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Reason::CaCompromise => Some(RevocationReason::CaCompromise),
            Reason::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Reason::Superseded => Some(RevocationReason::Superseded),
            Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Reason::ALL
            .into_iter()
            .find(|reason| reason.code().map_or(0, |known| known as u8) == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = ReasonError;

    /// Takes the RFC's word, in any case since OpenSSL writes `CACompromise`, or the command line's.
    fn from_str(text: &str) -> Result<Self, ReasonError> {
        Reason::ALL
            .into_iter()
            .find(|reason| reason.as_str().eq_ignore_ascii_case(text) || reason.word() == text)
            .ok_or_else(|| ReasonError(crate::name::printable(text, 40)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back_from_its_words_and_its_number() {
        for reason in Reason::ALL {
            assert_eq!(reason.to_string().parse::<Reason>().unwrap(), reason);
            assert_eq!(reason.word().parse::<Reason>().unwrap(), reason);
            let code = reason.code().map_or(0, |code| code as u8);
            assert_eq!(Reason::from_code(code), Some(reason));
        }
        assert_eq!("CACompromise".parse(), Ok(Reason::CaCompromise));
    }

    #[test]
    fn a_hold_is_no_reason() {
        for text in ["certificateHold", "removeFromCRL", "", "key compromise"] {
            let error = text.parse::<Reason>().unwrap_err();
            assert!(error.hint().unwrap().contains("key-compromise"));
        }
        for code in [6, 7, 8, 10, 255] {
            assert_eq!(Reason::from_code(code), None);
        }
    }
}
