//! Public keys: what may be certified, what a key is called, how it is identified.
//!
//! Enters: a SubjectPublicKeyInfo in DER. Leaves: a key checked to be sound and encoded canonically, its short description,
//! its identifier. Refuses to know: who holds the private half.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use rcgen::{PublicKeyData, SignatureAlgorithm};
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED448, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::der::is_one_sequence;
use crate::key::KeyError;

/// Whether a key can be certified: not every one can that a certificate made elsewhere has.
///
/// # Errors
/// [`KeyError::Unsupported`] for a kind or size of key that is not among [`KeyType`](crate::KeyType), and
/// [`KeyError::MalformedPublic`] for what is no sound key or oddly encoded.
pub fn may_be_certified(spki_der: &[u8]) -> Result<(), KeyError> {
    SubjectKey::from_spki(spki_der).map(drop)
}

/// Octets of a key identifier.
const KEY_ID_LENGTH: usize = 20;

/// A public key fit to be certified.
pub(crate) struct SubjectKey {
    algorithm: &'static SignatureAlgorithm,
    bits: Vec<u8>,
}

impl SubjectKey {
    /// Takes a P-256, P-384, Ed25519 or RSA (2048, 3072 or 4096 bits) key.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let spki = parse(der)?;
        let description = describe(&spki);
        let (algorithm, verification): (_, &'static dyn VerificationAlgorithm) =
            match description.as_str() {
                "p256" => (&rcgen::PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_ASN1),
                "p384" => (&rcgen::PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_ASN1),
                "ed25519" => (&rcgen::PKCS_ED25519, &ED25519),
                "rsa2048" | "rsa3072" | "rsa4096" => {
                    (&rcgen::PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA256)
                }
                _ => return Err(KeyError::Unsupported(description)),
            };
        let bits = spki.subject_public_key.data.to_vec();
        // Compressed points and anything behind an RSA key are legal somewhere and trouble elsewhere.
        let shape = match description.as_str() {
            "p256" => bits.len() == 65 && bits.first() == Some(&4),
            "p384" => bits.len() == 97 && bits.first() == Some(&4),
            "ed25519" => bits.len() == 32,
            _ => is_one_sequence(&bits),
        };
        // The library's parser checks that a point lies on its curve and that an RSA key is sound.
        if !shape || ParsedPublicKey::new(verification, &bits).is_err() {
            return Err(KeyError::MalformedPublic);
        }
        let key = SubjectKey { algorithm, bits };
        // The pin in the map is a digest of these bytes: the certificate must carry the very same.
        if key.subject_public_key_info() != der {
            return Err(KeyError::MalformedPublic);
        }
        Ok(key)
    }

    pub(crate) fn key_id(&self) -> Vec<u8> {
        key_id(&self.bits)
    }

    pub(crate) fn is_rsa(&self) -> bool {
        *self.algorithm == rcgen::PKCS_RSA_SHA256
    }
}

impl PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// The key identifier: the leftmost 160 bits of SHA-256 over the BIT STRING of the key (RFC 7093 section 2, method 1).
pub(crate) fn key_id(bits: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::digest(bits).to_vec();
    digest.truncate(KEY_ID_LENGTH);
    digest
}

/// Reads a SubjectPublicKeyInfo with nothing behind it.
pub(crate) fn parse(der: &[u8]) -> Result<SubjectPublicKeyInfo<'_>, KeyError> {
    match SubjectPublicKeyInfo::from_der(der) {
        Ok(([], spki)) => Ok(spki),
        _ => Err(KeyError::MalformedPublic),
    }
}

/// A short name for the kind of key: `p256`, `rsa2048`, `ed25519`, or an object identifier where it has none.
pub(crate) fn describe(spki: &SubjectPublicKeyInfo<'_>) -> String {
    let kind = &spki.algorithm.algorithm;
    if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = spki
            .algorithm
            .parameters
            .as_ref()
            // What names no curve spells one out, at length.
            .filter(|p| p.tag() == x509_parser::asn1_rs::Tag::Oid)
            .and_then(|p| p.as_oid().ok());
        return match curve {
            Some(curve) if curve == OID_EC_P256 => "p256".to_owned(),
            Some(curve) if curve == OID_NIST_EC_P384 => "p384".to_owned(),
            Some(curve) if curve == OID_NIST_EC_P521 => "p521".to_owned(),
            Some(curve) => format!("ec:{curve}"),
            None => "ec".to_owned(),
        };
    }
    if *kind == OID_SIG_ED25519 {
        return "ed25519".to_owned();
    }
    if *kind == OID_SIG_ED448 {
        return "ed448".to_owned();
    }
    if *kind == OID_PKCS1_RSAENCRYPTION {
        return match spki.parsed() {
            Ok(x509_parser::public_key::PublicKey::RSA(rsa)) => {
                format!("rsa{}", bit_length(rsa.modulus))
            }
            _ => "rsa".to_owned(),
        };
    }
    kind.to_id_string()
}

/// Bits of a big-endian magnitude.
fn bit_length(bytes: &[u8]) -> usize {
    let Some(start) = bytes.iter().position(|b| *b != 0) else {
        return 0;
    };
    let first = bytes.get(start).copied().unwrap_or_default();
    (bytes.len() - start) * 8 - first.leading_zeros() as usize
}
