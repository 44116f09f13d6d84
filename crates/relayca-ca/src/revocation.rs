//! Writing a revocation list.
//!
//! Enters: an authority, what it revoked, a number, the time. Leaves: a list that openssl, certtool and Exim's `tls_crl` take.
//! Refuses to know: which numbers were used, and what was issued.

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use time::{OffsetDateTime, UtcOffset};

use crate::authority::Authority;
use crate::crl::{RevocationList, Revoked};
use crate::extensions::CRL_SIGN;
use crate::issue::{IssueError, whole_seconds};
use crate::profile::Validity;
use crate::signer::sign_what_passes;

/// The most entries of a list.
pub const MAX_REVOKED: usize = 100_000;

/// A revocation list that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCrl {
    /// Its number, higher than that of every list before (RFC 5280 section 5.2.3).
    pub number: u64,
    /// In how many days the next one comes, sooner where the authority expires.
    pub days: u32,
    /// What is revoked, in any order, each serial number once. None at all is a good list too: verifiers that check
    /// revocation want one from the first day.
    pub revoked: Vec<Revoked>,
}

impl Authority {
    /// Writes a revocation list: dated back an hour for slow clocks but not before the authority, its next update in so many
    /// days but not after the authority's end, entries sorted by serial number. It is read again and compared with what was
    /// asked before it is signed.
    ///
    /// # Errors
    /// [`IssueError::AuthorityExpired`], [`IssueError::AuthorityNotYetValid`], [`IssueError::ListDays`],
    /// [`IssueError::MayNotSignLists`], [`IssueError::RevokedTwice`], [`IssueError::TooManyRevoked`],
    /// [`IssueError::ListProfile`]; nothing is signed then.
    pub fn revocation_list(
        &self,
        wanted: &NewCrl,
        now: OffsetDateTime,
    ) -> Result<RevocationList, IssueError> {
        if wanted.revoked.len() > MAX_REVOKED {
            return Err(IssueError::TooManyRevoked);
        }
        let ca = self.certificate();
        if ca
            .extensions()
            .usage
            .is_some_and(|usage| usage.bits & CRL_SIGN == 0)
        {
            return Err(IssueError::MayNotSignLists);
        }
        let validity = self
            .validity_within(wanted.days, now)
            .map_err(|error| match error {
                IssueError::Days(days) => IssueError::ListDays(days),
                other => other,
            })?;
        // In the last second of the authority a list would be born expired.
        if validity.not_after <= now {
            return Err(IssueError::AuthorityExpired(ca.not_after()));
        }
        let entries = sorted(&wanted.revoked)?;
        let params = CertificateRevocationListParams {
            this_update: validity.not_before,
            next_update: validity.not_after,
            crl_number: SerialNumber::from_slice(&wanted.number.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: entries.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::PreSpecified(self.key_id().to_vec()),
        };
        let signed = sign_what_passes(
            &self.signer(),
            |issuer| params.signed_by(issuer),
            |draft| {
                let draft = RevocationList::from_der(draft)
                    .map_err(|error| IssueError::ListProfile(error.to_string()))?;
                self.judge(&draft, wanted.number, validity, &entries)
            },
        )?;
        RevocationList::from_der(&signed).map_err(|_| IssueError::Encoding)
    }

    /// Does the draft say what was asked, and what it must?
    fn judge(
        &self,
        draft: &RevocationList,
        number: u64,
        validity: Validity,
        entries: &[Revoked],
    ) -> Result<(), IssueError> {
        let fault = if draft.issuer_der() != self.certificate().subject_der() {
            "its issuer is not the authority"
        } else if draft.authority_key_id() != self.key_id() {
            "its key identifier is not the authority's"
        } else if draft.number() != number {
            "its number is another one"
        } else if draft.this_update() != validity.not_before
            || draft.next_update() != validity.not_after
        {
            "its dates are others"
        } else if draft.revoked() != entries {
            "its entries are others"
        } else {
            return Ok(());
        };
        Err(IssueError::ListProfile(fault.to_owned()))
    }
}

/// The entries by ascending serial number, in whole seconds.
fn sorted(revoked: &[Revoked]) -> Result<Vec<Revoked>, IssueError> {
    let mut entries = Vec::with_capacity(revoked.len());
    for entry in revoked {
        entries.push(Revoked {
            serial: entry.serial.clone(),
            at: whole_seconds(entry.at.to_offset(UtcOffset::UTC))?,
            reason: entry.reason,
        });
    }
    entries.sort_by(|a, b| by_number(a).cmp(&by_number(b)));
    for pair in entries.windows(2) {
        if let [first, second] = pair
            && first.serial == second.serial
        {
            return Err(IssueError::RevokedTwice(first.serial.clone()));
        }
    }
    Ok(entries)
}

fn by_number(entry: &Revoked) -> (usize, &[u8]) {
    let bytes = entry.serial.as_bytes();
    (bytes.len(), bytes)
}

fn entry(revoked: &Revoked) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(revoked.serial.as_bytes()),
        revocation_time: revoked.at,
        // `unspecified` is left out (RFC 5280 section 5.3.1).
        reason_code: revoked.reason.code(),
        invalidity_date: None,
    }
}
