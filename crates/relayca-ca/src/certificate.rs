//! One certificate, read.
//!
//! Enters: DER or PEM from anywhere, bounded. Leaves: its fields as plain values, texts made safe to print. Refuses to judge:
//! `lint` and `verify` do that.

use std::fmt;

use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer;

use crate::constraints::Constraints;
use crate::der::{is_one_sequence, is_signed_envelope};
use crate::directory_name::{common_name, shown_name};
use crate::extensions::Extensions;
use crate::name::AltName;
use crate::pem_block::{self, PemError};
use crate::public_key;
use crate::role::Role;
use crate::serial::{Serial, SerialError};

/// The largest certificate looked at, in bytes: room for a thousand names.
const MAX_CERTIFICATE: usize = 64 * 1024;
/// The largest PEM text looked at, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// Why bytes are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The bytes are no X.509 certificate in DER, or have something behind it.
    #[error("this is not a valid certificate")]
    Malformed,
    /// The serial number is negative or too long.
    #[error("the certificate has an unusable serial number: {0}")]
    Serial(SerialError),
    /// More than 64 KiB, or text of more than 1 MiB.
    #[error("this is too large for a certificate")]
    TooLarge,
    /// The text holds no certificate.
    #[error("there is no certificate here")]
    None,
    /// The text holds several and one is wanted.
    #[error("there are {0} certificates here, and one is wanted")]
    Several(usize),
    /// The text holds something that is no certificate.
    #[error("there is a `{0}` block among the certificates")]
    ForeignBlock(String),
    /// The armour is broken.
    #[error("{0}")]
    Armour(String),
}

impl CertificateError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            CertificateError::Malformed => {
                "give a certificate in PEM or DER; `openssl x509 -text` shows what a file holds"
            }
            CertificateError::Armour(_) => "fetch the file again, complete",
            CertificateError::Several(_) => "give one certificate a file",
            CertificateError::ForeignBlock(label) if label.ends_with("PRIVATE KEY") => {
                "keep keys and certificates apart"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// What a look at a signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureCheck {
    Good,
    Bad,
    /// The algorithm is not one that is checked here.
    Unknown,
}

/// A certificate and what it says.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificate {
    der: Vec<u8>,
    serial: Serial,
    subject: String,
    issuer: String,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    common_name: Option<String>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    spki_der: Vec<u8>,
    key_description: String,
    signature_algorithm: String,
    version: u32,
    extensions: Extensions,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("serial", &self.serial)
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads DER with nothing behind it.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLarge);
        }
        if !is_signed_envelope(der) {
            return Err(CertificateError::Malformed);
        }
        let Ok(([], x509)) = X509Certificate::from_der(der) else {
            return Err(CertificateError::Malformed);
        };
        // The parser gives a key or a name with a part that it cannot read cut short there.
        let parts = [
            x509.public_key().raw,
            x509.subject().as_raw(),
            x509.issuer().as_raw(),
        ];
        if !parts.into_iter().all(is_one_sequence) {
            return Err(CertificateError::Malformed);
        }
        let validity = x509.validity();
        Ok(Certificate {
            serial: Serial::from_der_integer(x509.raw_serial())
                .map_err(CertificateError::Serial)?,
            subject: shown_name(x509.subject()),
            issuer: shown_name(x509.issuer()),
            subject_der: x509.subject().as_raw().to_vec(),
            issuer_der: x509.issuer().as_raw().to_vec(),
            common_name: common_name(x509.subject()),
            not_before: validity.not_before.to_datetime(),
            not_after: validity.not_after.to_datetime(),
            spki_der: x509.public_key().raw.to_vec(),
            key_description: public_key::describe(x509.public_key()),
            signature_algorithm: x509.signature_algorithm.algorithm.to_id_string(),
            version: x509.version().0 + 1,
            extensions: Extensions::read(&x509),
            der: der.to_vec(),
        })
    }

    /// Reads PEM text with exactly one certificate in it and nothing else.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let mut all = Certificate::all_from_pem(text)?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (_, others) => Err(CertificateError::Several(others + 1)),
        }
    }

    /// Reads PEM text with at least one certificate in it and nothing else, in order.
    ///
    /// # Errors
    /// [`CertificateError`]; one bad block spoils all.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        if text.len() > MAX_TEXT {
            return Err(CertificateError::TooLarge);
        }
        let blocks = pem_block::read(text.as_bytes())
            .map_err(|error: PemError| CertificateError::Armour(error.to_string()))?;
        if blocks.is_empty() {
            return Err(CertificateError::None);
        }
        blocks
            .into_iter()
            .map(|block| match block.label.as_str() {
                "CERTIFICATE" | "X509 CERTIFICATE" => Certificate::from_der(&block.content),
                _ => Err(CertificateError::ForeignBlock(block.label)),
            })
            .collect()
    }

    /// The certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate, PEM, lines of 64 characters.
    #[must_use]
    pub fn to_pem(&self) -> String {
        // Armour fails only for a label that is no label.
        pem_block::write("CERTIFICATE", &self.der)
            .map(|text| text.as_str().to_owned())
            .unwrap_or_default()
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The subject, readable, safe to print.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer, readable, safe to print.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The last common name of the subject, safe to print.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The first moment of validity.
    #[must_use]
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last second of validity, itself included (RFC 5280 section 4.1.2.5).
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// The SubjectPublicKeyInfo, DER: what a public-key pin is a digest of.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The subject key identifier.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    /// The key identifier of the authority.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.extensions.authority_key_id.as_deref()
    }

    /// The host names and addresses in the subjectAltName extension, in order. Names of other kinds, wildcards and malformed
    /// ones are not among them; `lint` reports those.
    #[must_use]
    pub fn alt_names(&self) -> &[AltName] {
        &self.extensions.alt_names
    }

    /// The names with a star in subjectAltName, as `*.example.org`. relayca itself issues none.
    #[must_use]
    pub fn wildcards(&self) -> &[String] {
        &self.extensions.wildcards
    }

    /// Whether basicConstraints says CA. See also [`Certificate::is_authority`].
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.extensions.basic.is_some_and(|basic| basic.ca)
    }

    /// Whether this certificate, as an authority's, lets the authority certify the name (RFC 5280 section 4.2.1.10; of a
    /// name permitted beside the domain only the name itself).
    #[must_use]
    pub fn permits(&self, name: &AltName) -> bool {
        self.extensions
            .constraints
            .as_ref()
            .is_none_or(|constraints| constraints.issue(name))
    }

    /// A short name for the kind of key: `p256`, `rsa2048`, or an object identifier where it has none.
    #[must_use]
    pub fn key_description(&self) -> &str {
        &self.key_description
    }

    /// The extended key usages by their RFC 5280 names (`serverAuth`) or as object identifiers; empty where the extension is
    /// missing.
    #[must_use]
    pub fn purposes(&self) -> &[String] {
        self.extensions.purposes.as_deref().unwrap_or_default()
    }

    /// The role that the extended key usage allows: `None` unless it is exactly one of the two.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self.purposes() {
            [only] => Role::ALL.into_iter().find(|role| role.purpose() == only),
            _ => None,
        }
    }

    /// What this certificate, as an authority's, permits beside its domain: single host names and single addresses, in order.
    /// Ranges of addresses and names with a leading dot are no single names and not among them. Of an authority made
    /// elsewhere, without a domain as ours has it, all permitted names.
    #[must_use]
    pub fn further_permits(&self) -> Vec<AltName> {
        self.extensions
            .constraints
            .as_ref()
            .map(Constraints::further_permits)
            .unwrap_or_default()
    }

    /// Whether the certificate comes from this authority: the issuer's name equal byte for byte and the signature by its key.
    /// A signature that cannot be checked here (MD5, P-521, DSA) counts as none.
    #[must_use]
    pub fn issuer_is(&self, ca: &Certificate) -> bool {
        self.issuer_der == ca.subject_der && self.is_signed_by(ca)
    }

    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    pub(crate) fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The object identifier of the signature algorithm.
    pub(crate) fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// 1 to 3.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// Whether the issuer's key made the signature, as far as is known: what cannot be checked was not.
    pub(crate) fn is_signed_by(&self, issuer: &Certificate) -> bool {
        self.signature_by(issuer) == SignatureCheck::Good
    }

    /// Checks the signature with the issuer's key. MD5, DSA, P-521 and ECDSA with SHA-1 or SHA-512 cannot be checked here.
    pub(crate) fn signature_by(&self, issuer: &Certificate) -> SignatureCheck {
        let Ok((_, x509)) = X509Certificate::from_der(&self.der) else {
            return SignatureCheck::Bad;
        };
        let Ok(key) = public_key::parse(&issuer.spki_der) else {
            return SignatureCheck::Bad;
        };
        match x509.verify_signature(Some(&key)) {
            Ok(()) => SignatureCheck::Good,
            Err(X509Error::SignatureUnsupportedAlgorithm) => SignatureCheck::Unknown,
            Err(_) => SignatureCheck::Bad,
        }
    }

    /// Whether it is a root of X.509 version 1: its own issuer, without the extensions that would say what it may do. OpenSSL
    /// (and so Postfix), GnuTLS and webpki all take one that they are told to trust.
    pub(crate) fn is_old_root(&self) -> bool {
        self.version == 1 && self.issuer_der == self.subject_der
    }

    /// Whether it is an authority's: basicConstraints says so, or it is a root of X.509 version 1, its own issuer, which has no
    /// extension to say so with.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.is_ca() || self.is_old_root()
    }
}
