//! Issuing a leaf: what is asked for, and why it may be refused.
//!
//! Enters: an authority, a request, a public key, the time. Leaves: a certificate that keeps the profile. Refuses to know:
//! where the key lives, and what was issued before.

use time::{Duration, OffsetDateTime};

use crate::authority::Authority;
use crate::certificate::Certificate;
use crate::finding::Finding;
use crate::key::KeyError;
use crate::lint::{lint, other_key_id};
use crate::name::{AltName, HostName};
use crate::profile::{self, Validity};
use crate::public_key::SubjectKey;
use crate::role::Role;
use crate::serial::{Serial, SerialError};
use crate::signer::sign_what_passes;
use crate::verify::moment;

/// The most names beside the host's own.
pub const MAX_ALT_NAMES: usize = 100;
/// How far a certificate is dated back: clocks of mail hosts are often a little slow, and a certificate from the future fails.
pub(crate) const BACKDATE: Duration = Duration::hours(1);

/// A leaf that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRequest {
    /// What it is for.
    pub role: Role,
    /// Whose it is; always among the subjectAltNames.
    pub host: HostName,
    /// Further names. Repetitions do no harm.
    pub alt_names: Vec<AltName>,
    /// How many days it is valid, shortened where the authority expires sooner.
    pub days: u32,
}

/// Why a certificate is not issued, or an authority not made or loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The name lies outside what the authority may name.
    #[error("`{0}` lies outside what this authority may name")]
    NotPermitted(AltName),
    /// More than [`MAX_ALT_NAMES`].
    #[error("a certificate has at most {MAX_ALT_NAMES} further names")]
    TooManyNames,
    /// Zero days, or a span beyond the year 9999.
    #[error("a certificate cannot be valid for {0} days")]
    Days(u32),
    /// The time given is not one that a certificate can state.
    #[error("the clock is wrong: it shows the year {0}")]
    Clock(i32),
    /// The authority has expired.
    #[error("the authority expired on {}", moment(*.0))]
    AuthorityExpired(OffsetDateTime),
    /// The authority is not valid yet.
    #[error("the authority is not valid before {}", moment(*.0))]
    AuthorityNotYetValid(OffsetDateTime),
    /// The key does not belong to the certificate.
    #[error("the private key does not belong to the authority's certificate")]
    KeyMismatch,
    /// The certificate is no authority's.
    #[error("this is not the certificate of an authority: {0}")]
    NotAnAuthority(String),
    /// The public key cannot be certified.
    #[error("the public key cannot be certified: {0}")]
    PublicKey(KeyError),
    /// The public key is the authority's own.
    #[error("the public key is the authority's own")]
    AuthorityKey,
    /// The authority's key could not be made.
    #[error("the authority's key cannot be made: {0}")]
    AuthorityKeyGeneration(KeyError),
    /// The system gave no random bytes.
    #[error("no serial number can be drawn: {0}")]
    Serial(SerialError),
    /// The certificate would not keep the profile: never issued.
    #[error("the certificate would not keep the profile: {}", listed(.0))]
    Profile(Vec<Finding>),
    /// The next list in zero days, or beyond the year 9999.
    #[error("a revocation list cannot hold for {0} days")]
    ListDays(u32),
    /// The authority's keyUsage has no cRLSign: verifiers would refuse its lists.
    #[error("the authority's certificate does not allow signing revocation lists")]
    MayNotSignLists,
    /// A serial number given twice.
    #[error("the serial number {0} is to be revoked twice")]
    RevokedTwice(Serial),
    /// More than [`MAX_REVOKED`](crate::MAX_REVOKED).
    #[error("a revocation list has at most {} entries", crate::MAX_REVOKED)]
    TooManyRevoked,
    /// The list would not say what was asked, or not as it must: never signed.
    #[error("the revocation list would not keep the profile: {0}")]
    ListProfile(String),
    /// The certificate or list could not be encoded.
    #[error("what was to be signed could not be encoded")]
    Encoding,
    /// The key did not sign.
    #[error("the authority's key did not sign")]
    Signing,
}

impl IssueError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            IssueError::NotPermitted(name) => Some(format!(
                "an authority made with `relayca init --permit {name}` may name it"
            )),
            IssueError::Days(_) | IssueError::ListDays(_) => {
                Some("give a number of days from 1".to_owned())
            }
            IssueError::Clock(_) | IssueError::AuthorityNotYetValid(_) => {
                Some("set the clock of this machine".to_owned())
            }
            IssueError::AuthorityExpired(_) | IssueError::MayNotSignLists => {
                Some("roll over to a new authority".to_owned())
            }
            IssueError::KeyMismatch => {
                Some("restore the key and the certificate from the same backup".to_owned())
            }
            IssueError::PublicKey(error) => error.hint(),
            IssueError::AuthorityKey => Some("a host needs a key of its own".to_owned()),
            IssueError::Profile(findings) => {
                findings.iter().find_map(|finding| finding.hint.clone())
            }
            _ => None,
        }
    }
}

fn listed(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect::<Vec<_>>()
        .join("; ")
}

impl Authority {
    /// Issues a leaf for the public key: dated back an hour but not before the authority, never outliving it, linted before it
    /// is signed. The serial is random, so that two certificates of one key differ.
    ///
    /// `spki_der` is the SubjectPublicKeyInfo and goes into the certificate byte for byte.
    ///
    /// # Errors
    /// [`IssueError`]; nothing is signed then.
    pub fn issue(
        &self,
        request: &LeafRequest,
        spki_der: &[u8],
        now: OffsetDateTime,
    ) -> Result<Certificate, IssueError> {
        let validity = self.validity_within(request.days, now)?;
        self.sign_leaf(request, spki_der, validity, &[])
    }

    /// A leaf with these dates, linted before it is signed. What is said by codes that are `let_pass` is let pass.
    pub(crate) fn sign_leaf(
        &self,
        request: &LeafRequest,
        spki_der: &[u8],
        validity: Validity,
        let_pass: &[&str],
    ) -> Result<Certificate, IssueError> {
        let names = self.permitted_names(request)?;
        if spki_der == self.certificate().spki_der() {
            return Err(IssueError::AuthorityKey);
        }
        let subject = SubjectKey::from_spki(spki_der).map_err(IssueError::PublicKey)?;
        let serial = Serial::random().map_err(IssueError::Serial)?;
        let params = profile::leaf(
            &serial,
            request.role,
            &request.host,
            &names,
            subject.is_rsa(),
            validity,
            subject.key_id(),
        )?;
        let signed = sign_what_passes(
            &self.signer(),
            |issuer| params.signed_by(&subject, issuer),
            |draft| {
                let draft = Certificate::from_der(draft).map_err(|_| IssueError::Encoding)?;
                let mut findings = lint(&draft, self.certificate());
                findings.retain(|finding| !let_pass.contains(&finding.code));
                if draft.authority_key_id() != Some(self.key_id()) {
                    findings.push(other_key_id());
                }
                passed(findings)
            },
        )?;
        Certificate::from_der(&signed).map_err(|_| IssueError::Encoding)
    }

    /// The host and its further names, each once, the host first.
    fn permitted_names(&self, request: &LeafRequest) -> Result<Vec<AltName>, IssueError> {
        if request.alt_names.len() > MAX_ALT_NAMES {
            return Err(IssueError::TooManyNames);
        }
        let mut names = vec![AltName::Dns(request.host.clone())];
        for name in &request.alt_names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if let Some(constraints) = &self.certificate().extensions().constraints
            && let Some(outside) = names.iter().find(|name| !constraints.issue(name))
        {
            return Err(IssueError::NotPermitted(outside.clone()));
        }
        Ok(names)
    }

    /// So many days from now, within the authority's own.
    pub(crate) fn validity_within(
        &self,
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Validity, IssueError> {
        let asked = validity(days, now)?;
        let ca = self.certificate();
        if now > ca.not_after() {
            return Err(IssueError::AuthorityExpired(ca.not_after()));
        }
        if now < ca.not_before() {
            return Err(IssueError::AuthorityNotYetValid(ca.not_before()));
        }
        Ok(Validity {
            not_before: asked.not_before.max(ca.not_before()),
            not_after: asked.not_after.min(ca.not_after()),
        })
    }
}

/// From an hour before now to so many days after it, in whole seconds UTC.
pub(crate) fn validity(days: u32, now: OffsetDateTime) -> Result<Validity, IssueError> {
    let now = whole_seconds(now.to_offset(time::UtcOffset::UTC))?;
    let not_after = now
        .checked_add(Duration::days(days.into()))
        .filter(|end| days > 0 && end.year() <= 9999);
    Ok(Validity {
        not_before: now - BACKDATE,
        not_after: not_after.ok_or(IssueError::Days(days))?,
    })
}

/// The moment as a certificate can state it: before 1950 not as UTCTime, after 9999 not at all.
pub(crate) fn whole_seconds(at: OffsetDateTime) -> Result<OffsetDateTime, IssueError> {
    at.replace_nanosecond(0)
        .ok()
        .filter(|at| (1951..9999).contains(&at.year()))
        .ok_or(IssueError::Clock(at.year()))
}

/// No findings, or the refusal to sign.
pub(crate) fn passed(findings: Vec<Finding>) -> Result<(), IssueError> {
    if findings.is_empty() {
        Ok(())
    } else {
        Err(IssueError::Profile(findings))
    }
}
