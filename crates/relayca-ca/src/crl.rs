//! One certificate revocation list (RFC 5280 section 5), read.
//!
//! Enters: DER or PEM from anywhere, bounded. Leaves: its fields as plain values. Refuses lists that are not whole: one of
//! version 1, a delta, one without number, next update or key identifier, one with an entry that takes a revocation back.

use std::fmt;

use time::OffsetDateTime;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

use crate::certificate::Certificate;
use crate::der::{INTEGER, SEQUENCE, element, is_one_sequence, is_signed_envelope};
use crate::directory_name::shown_name;
use crate::pem_block;
use crate::public_key;
use crate::reason::Reason;
use crate::serial::Serial;

/// The largest list looked at, in bytes: a third of a million entries.
const MAX_LIST: usize = 16 * 1024 * 1024;
/// The most extensions looked at.
const MAX_EXTENSIONS: usize = 32;
/// The same as PEM.
const MAX_TEXT: usize = 2 * MAX_LIST;
/// UTCTime.
const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`, the extensions of a list.
const EXTENSIONS: u8 = 0xa0;

/// A certificate that is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// Since when. Whole seconds are kept.
    pub at: OffsetDateTime,
    /// Why.
    pub reason: Reason,
}

/// Why bytes are no revocation list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// The bytes are no X.509 revocation list in DER, or have something behind it.
    #[error("this is not a valid certificate revocation list")]
    Malformed,
    /// It lacks something that RFC 5280 section 5 wants, or has something that would make it say less.
    #[error("the certificate revocation list {0}")]
    Unusable(String),
    /// More than 16 MiB.
    #[error("this is too large for a certificate revocation list")]
    TooLarge,
    /// The text holds another number of lists than one, or something else too.
    #[error("there is not exactly one certificate revocation list here")]
    NotOne,
    /// The armour is broken.
    #[error("{0}")]
    Armour(String),
}

impl CrlError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            CrlError::Malformed | CrlError::Unusable(_) => {
                "write it anew with `relayca crl`; `openssl crl -text` shows what a file holds"
            }
            CrlError::Armour(_) => "fetch the file again, complete",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// A revocation list and what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationList {
    der: Vec<u8>,
    number: u64,
    this_update: OffsetDateTime,
    next_update: OffsetDateTime,
    issuer: String,
    issuer_der: Vec<u8>,
    authority_key_id: Vec<u8>,
    revoked: Vec<Revoked>,
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("number", &self.number)
            .field("issuer", &self.issuer)
            .field("this_update", &self.this_update)
            .field("next_update", &self.next_update)
            .field("revoked", &self.revoked.len())
            .finish_non_exhaustive()
    }
}

impl RevocationList {
    /// Reads DER with nothing behind it.
    ///
    /// # Errors
    /// [`CrlError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_LIST {
            return Err(CrlError::TooLarge);
        }
        // The parser takes an unreadable list of entries for none, and would let a revoked certificate pass: count first.
        let count = entries(der)
            .filter(|_| is_signed_envelope(der))
            .ok_or(CrlError::Malformed)?;
        let Ok(([], list)) = CertificateRevocationList::from_der(der) else {
            return Err(CrlError::Malformed);
        };
        // A name with a part that cannot be read would be given cut short.
        if !is_one_sequence(list.issuer().as_raw()) {
            return Err(CrlError::Malformed);
        }
        let revoked = list
            .iter_revoked_certificates()
            .map(revoked)
            .collect::<Result<Vec<_>, _>>()?;
        if revoked.len() != count {
            return Err(CrlError::Malformed);
        }
        let next_update = list
            .next_update()
            .ok_or_else(|| unusable("does not say when the next one comes"))?;
        let Known {
            number,
            authority_key_id,
        } = known_extensions(list.extensions())?;
        Ok(RevocationList {
            number: number.ok_or_else(|| unusable("has no number"))?,
            this_update: list.last_update().to_datetime(),
            next_update: next_update.to_datetime(),
            issuer: shown_name(list.issuer()),
            issuer_der: list.issuer().as_raw().to_vec(),
            authority_key_id: authority_key_id
                .ok_or_else(|| unusable("does not say which key signed it"))?,
            revoked,
            der: der.to_vec(),
        })
    }

    /// Reads PEM text with exactly one list in it and nothing else.
    ///
    /// # Errors
    /// [`CrlError`].
    pub fn from_pem(text: &str) -> Result<Self, CrlError> {
        if text.len() > MAX_TEXT {
            return Err(CrlError::TooLarge);
        }
        let blocks = pem_block::read(text.as_bytes())
            .map_err(|error| CrlError::Armour(error.to_string()))?;
        match blocks.as_slice() {
            [only] if only.label == "X509 CRL" => RevocationList::from_der(&only.content),
            _ => Err(CrlError::NotOne),
        }
    }

    /// The list, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The list, PEM, lines of 64 characters.
    #[must_use]
    pub fn to_pem(&self) -> String {
        // Armour fails only for a label that is no label.
        pem_block::write("X509 CRL", &self.der)
            .map(|text| text.as_str().to_owned())
            .unwrap_or_default()
    }

    /// The cRLNumber: a later list has a higher one.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// From when on it holds.
    #[must_use]
    pub fn this_update(&self) -> OffsetDateTime {
        self.this_update
    }

    /// When there will be a newer one: after it, OpenSSL and Exim refuse all certificates of the authority.
    #[must_use]
    pub fn next_update(&self) -> OffsetDateTime {
        self.next_update
    }

    /// The authority, readable, safe to print.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key identifier of the authority.
    #[must_use]
    pub fn authority_key_id(&self) -> &[u8] {
        &self.authority_key_id
    }

    /// What is revoked, in the list's order.
    #[must_use]
    pub fn revoked(&self) -> &[Revoked] {
        &self.revoked
    }

    /// Whether the list is this authority's: its name, and a signature by its key.
    #[must_use]
    pub fn is_signed_by(&self, ca: &Certificate) -> bool {
        let Ok((_, list)) = CertificateRevocationList::from_der(&self.der) else {
            return false;
        };
        let Ok(key) = public_key::parse(ca.spki_der()) else {
            return false;
        };
        self.issuer_der == ca.subject_der() && list.verify_signature(&key).is_ok()
    }

    pub(crate) fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }
}

fn unusable(why: &str) -> CrlError {
    CrlError::Unusable(why.to_owned())
}

/// How many entries a list of version 2 has, its outline strictly as RFC 5280 section 5.1 draws it.
fn entries(der: &[u8]) -> Option<usize> {
    let outer = element(der, SEQUENCE)?;
    let list = element(outer.content, SEQUENCE)?;
    let version = element(list.content, INTEGER).filter(|version| version.content == [1])?;
    let algorithm = element(version.rest, SEQUENCE)?;
    let issuer = element(algorithm.rest, SEQUENCE)?;
    let after_dates = after_time(after_time(issuer.rest)?)?;
    let (mut entries, after_entries) = match element(after_dates, SEQUENCE) {
        // Without entries the field is absent (section 5.1.2.6).
        Some(entries) if entries.content.is_empty() => return None,
        Some(entries) => (entries.content, entries.rest),
        None => (&[][..], after_dates),
    };
    element(after_entries, EXTENSIONS).filter(|extensions| extensions.rest.is_empty())?;
    let mut count = 0;
    while !entries.is_empty() {
        let entry = element(entries, SEQUENCE)?;
        let extensions = after_time(element(entry.content, INTEGER)?.rest)?;
        if !extensions.is_empty() && !element(extensions, SEQUENCE)?.rest.is_empty() {
            return None;
        }
        entries = entry.rest;
        count += 1;
    }
    Some(count)
}

/// What stands behind a date.
fn after_time(bytes: &[u8]) -> Option<&[u8]> {
    element(bytes, UTC_TIME)
        .or_else(|| element(bytes, GENERALIZED_TIME))
        .map(|time| time.rest)
}

fn revoked(entry: &RevokedCertificate<'_>) -> Result<Revoked, CrlError> {
    let serial = Serial::from_der_integer(entry.raw_serial())
        .map_err(|error| unusable(&format!("has an entry with a bad serial number: {error}")))?;
    let mut reason = Reason::Unspecified;
    for extension in entry.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::ReasonCode(code) => {
                reason = Reason::from_code(code.0).ok_or_else(|| {
                    unusable(&format!(
                        "has an entry whose reason, number {}, is not a revocation for good",
                        code.0
                    ))
                })?;
            }
            ParsedExtension::ParseError { .. } => {
                return Err(unusable("has an entry that cannot be read"));
            }
            _ if extension.critical => {
                return Err(unusable("has an entry with an unknown critical extension"));
            }
            _ => {}
        }
    }
    Ok(Revoked {
        serial,
        at: entry.revocation_date.to_datetime(),
        reason,
    })
}

#[derive(Default)]
struct Known {
    number: Option<u64>,
    authority_key_id: Option<Vec<u8>>,
}

fn known_extensions(extensions: &[X509Extension<'_>]) -> Result<Known, CrlError> {
    // RFC 5280 section 5.2 knows seven.
    if extensions.len() > MAX_EXTENSIONS {
        return Err(unusable("has too many extensions"));
    }
    let mut known = Known::default();
    for (index, extension) in extensions.iter().enumerate() {
        if extensions
            .iter()
            .take(index)
            .any(|earlier| earlier.oid == extension.oid)
        {
            return Err(unusable("has an extension twice"));
        }
        match extension.parsed_extension() {
            ParsedExtension::CRLNumber(number) => {
                let number = u64::try_from(number)
                    .map_err(|_| unusable("has a number of more than 64 bits"))?;
                known.number = Some(number);
            }
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                known.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            ParsedExtension::ParseError { .. } => {
                return Err(unusable("has an extension that cannot be read"));
            }
            // A delta, or a list for a part of the certificates only, says so in a critical extension.
            _ if extension.critical => {
                return Err(unusable("has an unknown critical extension"));
            }
            _ => {}
        }
    }
    Ok(known)
}
