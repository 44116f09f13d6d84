//! An authority: a CA certificate and its key.
//!
//! Enters: a domain and the time, or a certificate and a key from before. Leaves: an authority that has been checked to be
//! one. Refuses to know: how the key is kept.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyIdMethod};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::prelude::FromDer;

use crate::certificate::Certificate;
use crate::extensions::KEY_CERT_SIGN;
use crate::issue::{IssueError, validity};
use crate::key::PrivateKey;
use crate::key_type::KeyType;
use crate::lint::lint;
use crate::name::{AltName, Domain};
use crate::profile;
use crate::public_key::{SubjectKey, key_id};
use crate::serial::Serial;
use crate::signer::sign_what_passes;

/// An authority that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuthority {
    /// What it may name: the domain and all below it.
    pub domain: Domain,
    /// Single names and addresses beside the domain.
    pub permits: Vec<AltName>,
    /// The kind of its key.
    pub key_type: KeyType,
    /// How many days it is valid.
    pub days: u32,
}

/// A CA certificate with its key, able to issue.
pub struct Authority {
    certificate: Certificate,
    key: PrivateKey,
    issuer: CertificateParams,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate)
            .field("key", &"[elided]")
            .finish()
    }
}

impl Authority {
    /// Makes a new authority with a new key: self-signed, name-constrained, path length 0.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn create(wanted: &NewAuthority, now: OffsetDateTime) -> Result<Self, IssueError> {
        if wanted.permits.len() > crate::issue::MAX_ALT_NAMES {
            return Err(IssueError::TooManyNames);
        }
        let validity = validity(wanted.days, now)?;
        let key =
            PrivateKey::generate(wanted.key_type).map_err(IssueError::AuthorityKeyGeneration)?;
        let serial = Serial::random().map_err(IssueError::Serial)?;
        let params = profile::authority(
            &serial,
            &wanted.domain,
            &wanted.permits,
            validity,
            key_id(key.public_bits()),
        );
        let subject = SubjectKey::from_spki(key.spki_der()).map_err(IssueError::PublicKey)?;
        let certificate = sign_what_passes(&params, &subject, &params, &key, |draft| {
            let findings = lint(draft, draft);
            if findings.is_empty() {
                Ok(())
            } else {
                Err(IssueError::Profile(findings))
            }
        })?;
        Authority::load(certificate, key, now)
    }

    /// Takes an authority from before. The key must be the certificate's, the certificate an authority's, self-signed, allowed
    /// to sign certificates, and valid now.
    ///
    /// # Errors
    /// [`IssueError::KeyMismatch`], [`IssueError::NotAnAuthority`], [`IssueError::AuthorityExpired`],
    /// [`IssueError::AuthorityNotYetValid`].
    pub fn load(
        certificate: Certificate,
        key: PrivateKey,
        now: OffsetDateTime,
    ) -> Result<Self, IssueError> {
        if certificate.spki_der() != key.spki_der() {
            return Err(IssueError::KeyMismatch);
        }
        let not = |why: &str| Err(IssueError::NotAnAuthority(why.to_owned()));
        if !certificate.is_ca() {
            return not("its basicConstraints does not say so");
        }
        if certificate
            .extensions()
            .usage
            .is_none_or(|usage| usage.bits & KEY_CERT_SIGN == 0)
        {
            return not("its keyUsage does not allow signing certificates");
        }
        if certificate.subject_key_id().is_none() {
            return not("it has no subject key identifier");
        }
        if certificate.issuer_der() != certificate.subject_der()
            || !certificate.is_signed_by(&certificate)
        {
            return not("it is not self-signed");
        }
        if now > certificate.not_after() {
            return Err(IssueError::AuthorityExpired(certificate.not_after()));
        }
        if now < certificate.not_before() {
            return Err(IssueError::AuthorityNotYetValid(certificate.not_before()));
        }
        let issuer = issuer_params(&certificate)?;
        Ok(Authority {
            certificate,
            key,
            issuer,
        })
    }

    /// The CA certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The CA key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The domain it was made for; `None` for an authority made elsewhere without name constraints like ours.
    #[must_use]
    pub fn domain(&self) -> Option<Domain> {
        self.certificate
            .extensions()
            .constraints
            .as_ref()
            .and_then(|constraints| constraints.domain())
    }

    /// Whether a leaf may carry the name: it lies in the domain, or is one of the permitted ones.
    #[must_use]
    pub fn permits(&self, name: &AltName) -> bool {
        self.certificate
            .extensions()
            .constraints
            .as_ref()
            .is_none_or(|constraints| constraints.issue(name))
    }

    pub(crate) fn issuer_params(&self) -> &CertificateParams {
        &self.issuer
    }
}

/// What of an authority goes into its leaves: its name and its key identifier.
fn issuer_params(certificate: &Certificate) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name_to_write(certificate)?;
    params.key_identifier_method =
        KeyIdMethod::PreSpecified(certificate.subject_key_id().unwrap_or_default().to_vec());
    Ok(params)
}

/// The subject in the library's terms. Its names are a map, so that a name with a part of each kind once is all it can write;
/// others would give leaves that do not chain, and are refused here.
fn name_to_write(certificate: &Certificate) -> Result<DistinguishedName, IssueError> {
    let refused = || {
        IssueError::NotAnAuthority(format!(
            "its name `{}` cannot be written again",
            certificate.subject()
        ))
    };
    let Ok((_, x509)) = X509Certificate::from_der(certificate.der()) else {
        return Err(refused());
    };
    let mut name = DistinguishedName::new();
    for part in x509.subject().iter_rdn() {
        let mut attributes = part.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
            return Err(refused());
        };
        let oid: Vec<u64> = attribute.attr_type().iter().ok_or_else(refused)?.collect();
        let kind = DnType::from_oid(&oid);
        if name.get(&kind).is_some() {
            return Err(refused());
        }
        let text = std::str::from_utf8(attribute.attr_value().data).map_err(|_| refused())?;
        let value = match attribute.attr_value().header.tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => {
                DnValue::PrintableString(text.try_into().map_err(|_| refused())?)
            }
            Tag::Ia5String => DnValue::Ia5String(text.try_into().map_err(|_| refused())?),
            _ => return Err(refused()),
        };
        name.push(kind, value);
    }
    Ok(name)
}
