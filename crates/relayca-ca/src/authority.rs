//! An authority: a CA certificate and its key.
//!
//! Enters: a domain and the time, or a certificate and a key from before. Leaves: an authority that has been checked to be
//! one. Refuses to know: how the key is kept.

use std::fmt;

use rcgen::{CertificateParams, KeyIdMethod};
use sha1::{Digest, Sha1};
use time::OffsetDateTime;

use crate::certificate::{Certificate, SignatureCheck};
use crate::extensions::KEY_CERT_SIGN;
use crate::issue::{IssueError, passed, validity};
use crate::key::PrivateKey;
use crate::key_type::KeyType;
use crate::lint::lint;
use crate::name::{AltName, Domain};
use crate::profile;
use crate::public_key::{SubjectKey, key_id};
use crate::serial::Serial;
use crate::signer::{Signer, sign_what_passes};

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
    key_id: Vec<u8>,
    /// The key identifier for the library; the name in it is a placeholder.
    issuer: CertificateParams,
}

/// A Name without parts.
const EMPTY_NAME: [u8; 2] = [0x30, 0];

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
        let signer = Signer {
            key: &key,
            params: &params,
            name: None,
        };
        let signed = sign_what_passes(
            &signer,
            |issuer| params.signed_by(&subject, issuer),
            |draft| {
                let draft = Certificate::from_der(draft).map_err(|_| IssueError::Encoding)?;
                passed(lint(&draft, &draft))
            },
        )?;
        let certificate = Certificate::from_der(&signed).map_err(|_| IssueError::Encoding)?;
        Authority::load(certificate, key, now)
    }

    /// Takes an authority from before, ours or made elsewhere. The key must be the certificate's, the certificate an
    /// authority's, self-signed, not forbidden to sign certificates, and valid now.
    ///
    /// Whatever it is called goes into what it issues byte for byte. It may lack all that verifiers can do without: name
    /// constraints, a path length, keyUsage, a key identifier (that of RFC 5280 section 4.2.1.2, method 1, is used then); it may
    /// be a root of X.509 version 1: OpenSSL and so Postfix, GnuTLS and webpki all trust one that they are given, and refuse it
    /// only under `-x509_strict` or, GnuTLS, as the signer of a revocation list. [`weaknesses`](crate::weaknesses()) names such
    /// things. Its own signature is checked where that is possible. One by MD5, or another that cannot be checked here, is
    /// taken on trust: no verifier looks at the signature of a root, and the key proves more.
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
        may_sign(&certificate)?;
        if now > certificate.not_after() {
            return Err(IssueError::AuthorityExpired(certificate.not_after()));
        }
        if now < certificate.not_before() {
            return Err(IssueError::AuthorityNotYetValid(certificate.not_before()));
        }
        Ok(Self::unchecked(certificate, key))
    }

    /// Puts the two together, whether or not they belong together.
    pub(crate) fn unchecked(certificate: Certificate, key: PrivateKey) -> Self {
        let key_id = match certificate.subject_key_id() {
            Some(id) => id.to_vec(),
            None => Sha1::digest(key.public_bits()).to_vec(),
        };
        let mut issuer = CertificateParams::default();
        issuer.key_identifier_method = KeyIdMethod::PreSpecified(key_id.clone());
        Authority {
            certificate,
            key,
            key_id,
            issuer,
        }
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

    /// What its leaves and lists name its key by: its certificate's subject key identifier, where that has one.
    pub(crate) fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    pub(crate) fn signer(&self) -> Signer<'_> {
        Signer {
            key: &self.key,
            params: &self.issuer,
            name: Some(self.certificate.subject_der()),
        }
    }
}

/// Whether verifiers take what this certificate's key signs.
fn may_sign(certificate: &Certificate) -> Result<(), IssueError> {
    let not = |why: &str| Err(IssueError::NotAnAuthority(why.to_owned()));
    let extensions = certificate.extensions();
    if !certificate.is_authority() {
        return not("its basicConstraints does not say so");
    }
    if extensions
        .usage
        .is_some_and(|usage| usage.bits & KEY_CERT_SIGN == 0)
    {
        return not("its keyUsage does not allow signing certificates");
    }
    // A name constraint that cannot be read would be one that is not kept.
    if let Some(oid) = extensions.unreadable.first() {
        return not(&format!("its extension `{oid}` cannot be read"));
    }
    if let Some(oid) = extensions.repeated.first() {
        return not(&format!("it has the extension `{oid}` twice"));
    }
    if certificate.subject_der() == EMPTY_NAME {
        return not("it has no name");
    }
    let own_key_id = match (certificate.authority_key_id(), certificate.subject_key_id()) {
        (Some(issuer), Some(own)) => issuer == own,
        _ => true,
    };
    if certificate.issuer_der() != certificate.subject_der()
        || !own_key_id
        || certificate.signature_by(certificate) == SignatureCheck::Bad
    {
        return not("it is not self-signed");
    }
    Ok(())
}
