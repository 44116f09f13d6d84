//! Whatever is given, its public key.
//!
//! Enters: a file's bytes, PEM or DER: certificates, requests, public and private keys. Leaves: for each, what it is and its
//! SubjectPublicKeyInfo, in order. Refuses to pass over anything: what cannot be read is an error.

use std::fmt;

use crate::certificate::{Certificate, CertificateError};
use crate::der::is_one_sequence;
use crate::key::{KeyError, Pair};
use crate::pem_block;
use crate::public_key;
use crate::request::spki_of_request;
use rcgen::PublicKeyData;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// The most bytes looked at: 1 MiB.
pub const MAX_INPUT: usize = 1024 * 1024;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InspectedKind {
    /// An X.509 certificate.
    Certificate,
    /// A PKCS#10 request.
    CertificateRequest,
    /// A SubjectPublicKeyInfo, or a PKCS#1 public key.
    PublicKey,
    /// A private key in PKCS#8, SEC1 or PKCS#1.
    PrivateKey,
}

impl fmt::Display for InspectedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            InspectedKind::Certificate => "certificate",
            InspectedKind::CertificateRequest => "certificate request",
            InspectedKind::PublicKey => "public key",
            InspectedKind::PrivateKey => "private key",
        })
    }
}

/// One thing found, without anything secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// What it is.
    pub kind: InspectedKind,
    /// The certificate, DER, where it is one.
    pub certificate_der: Option<Vec<u8>>,
    /// The SubjectPublicKeyInfo, DER.
    pub spki_der: Vec<u8>,
}

/// Why no public key is found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// Nothing was given.
    #[error("the file is empty")]
    Empty,
    /// More than [`MAX_INPUT`].
    #[error("the file is larger than 1 MiB")]
    TooLarge,
    /// Neither PEM nor any DER that is known.
    #[error("this is no certificate, certificate request, public key or private key")]
    Unknown,
    /// A PEM block of another kind.
    #[error("a `{0}` block has no public key to show")]
    UnknownBlock(String),
    /// A PEM block whose content is not what its label says.
    #[error("the `{0}` block is damaged")]
    Damaged(String),
    /// The armour is broken.
    #[error("{0}")]
    Armour(String),
    /// A private key that cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate that cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl InspectError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            InspectError::Empty | InspectError::Armour(_) | InspectError::Damaged(_) => {
                "fetch the file again, complete"
            }
            InspectError::TooLarge | InspectError::Unknown | InspectError::UnknownBlock(_) => {
                "give a certificate, request or key in PEM or DER"
            }
            InspectError::Key(error) => return error.hint(),
            InspectError::Certificate(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}

/// Reads all there is, in order: one thing in DER, or every block of a PEM file (a key and its chain, for example). Never
/// empty when it succeeds.
///
/// # Errors
/// [`InspectError`]; one unreadable block spoils all, since a list that misses one would mislead.
pub fn spki_of(bytes: &[u8]) -> Result<Vec<Inspected>, InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    if bytes.len() > MAX_INPUT {
        return Err(InspectError::TooLarge);
    }
    if !pem_block::looks_like_pem(bytes) {
        return of_der(bytes).map(|only| vec![only]);
    }
    let blocks = pem_block::read(bytes).map_err(|error| InspectError::Armour(error.to_string()))?;
    let mut found = Vec::new();
    for block in &blocks {
        // `openssl ecparam -genkey` writes the curve's name before the key; it holds no key of its own.
        if block.label != "EC PARAMETERS" {
            found.push(of_block(block)?);
        }
    }
    if found.is_empty() {
        Err(InspectError::Unknown)
    } else {
        Ok(found)
    }
}

fn of_block(block: &pem_block::Block) -> Result<Inspected, InspectError> {
    let damaged = || InspectError::Damaged(block.label.clone());
    match block.label.as_str() {
        _ if block.legacy_encrypted => Err(KeyError::LegacyEncrypted.into()),
        "CERTIFICATE" | "X509 CERTIFICATE" => certificate(&block.content).ok_or_else(damaged),
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            request(&block.content).ok_or_else(damaged)
        }
        "PUBLIC KEY" => public_key(&block.content).ok_or_else(damaged),
        "RSA PUBLIC KEY" => rsa_public_key(&block.content).ok_or_else(damaged),
        "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted.into()),
        "PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" => {
            private_key(&block.content).map_err(InspectError::Key)
        }
        _ => Err(InspectError::UnknownBlock(block.label.clone())),
    }
}

fn of_der(der: &[u8]) -> Result<Inspected, InspectError> {
    let public = certificate(der)
        .or_else(|| request(der))
        .or_else(|| public_key(der));
    match public {
        Some(found) => Ok(found),
        None => match private_key(der) {
            Ok(found) => Ok(found),
            Err(error @ KeyError::Encrypted) => Err(error.into()),
            Err(_) => rsa_public_key(der).ok_or(InspectError::Unknown),
        },
    }
}

/// Certificates are read leniently here: the fingerprint of a bad one may be just what is wanted.
fn certificate(der: &[u8]) -> Option<Inspected> {
    let spki_der = match Certificate::from_der(der) {
        Ok(certificate) => certificate.spki_der().to_vec(),
        Err(_) => match X509Certificate::from_der(der) {
            Ok(([], x509)) if is_one_sequence(x509.public_key().raw) => {
                x509.public_key().raw.to_vec()
            }
            _ => return None,
        },
    };
    Some(Inspected {
        kind: InspectedKind::Certificate,
        certificate_der: Some(der.to_vec()),
        spki_der,
    })
}

fn request(der: &[u8]) -> Option<Inspected> {
    let spki_der = spki_of_request(der)?;
    Some(Inspected {
        kind: InspectedKind::CertificateRequest,
        certificate_der: None,
        spki_der,
    })
}

fn public_key(der: &[u8]) -> Option<Inspected> {
    public_key::parse(der).ok()?;
    Some(Inspected {
        kind: InspectedKind::PublicKey,
        certificate_der: None,
        spki_der: der.to_vec(),
    })
}

/// A PKCS#1 public key, dressed as a SubjectPublicKeyInfo.
fn rsa_public_key(der: &[u8]) -> Option<Inspected> {
    let Ok(([], _)) = RSAPublicKey::from_der(der) else {
        return None;
    };
    let spki_der = BareRsa(der).subject_public_key_info();
    Some(Inspected {
        kind: InspectedKind::PublicKey,
        certificate_der: None,
        spki_der,
    })
}

fn private_key(der: &[u8]) -> Result<Inspected, KeyError> {
    let spki_der = Pair::from_der(der)?.subject_public_key_info();
    Ok(Inspected {
        kind: InspectedKind::PrivateKey,
        certificate_der: None,
        spki_der,
    })
}

struct BareRsa<'a>(&'a [u8]);

impl PublicKeyData for BareRsa<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}
