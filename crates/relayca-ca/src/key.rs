//! Private keys.
//!
//! Enters: key bytes in PKCS#8, SEC1 or PKCS#1, clear. Leaves: a key that can sign, its SPKI, and one normal form on disk
//! (PKCS#8 version 1) that OpenSSL 1.1.1, OpenSSL 3 and GnuTLS 3.7 load. Refuses to know: files and passphrases
//! (`encrypted_key` has those).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rcgen::{PublicKeyData, SignatureAlgorithm};
use zeroize::Zeroizing;

use crate::der::is_one_sequence;
use crate::key_type::KeyType;
use crate::pem_block;

/// The largest key looked at, in bytes; an RSA key of 8192 bits has under 5000.
const MAX_KEY: usize = 64 * 1024;

/// Why a key cannot be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No key type has this name.
    #[error("no such key type")]
    UnknownType,
    /// The library failed to make a key.
    #[error("the key could not be generated")]
    Generation,
    /// The bytes are no private key, or one that contradicts itself.
    #[error("this is not a valid private key")]
    Malformed,
    /// A sound key of a kind or size that is not supported here.
    #[error("a `{0}` key is not supported")]
    Unsupported(String),
    /// The key is encrypted, and no passphrase was asked for here.
    #[error("the private key is encrypted")]
    Encrypted,
    /// An encrypted PEM of the kind before PKCS#8.
    #[error("the private key is encrypted in the old form with `Proc-Type` headers")]
    LegacyEncrypted,
    /// The text holds no private key block.
    #[error("there is no private key here")]
    NoKey,
    /// The text holds several.
    #[error("there are several private keys here")]
    SeveralKeys,
    /// The armour is broken.
    #[error("{0}")]
    Armour(String),
    /// More than 64 KiB.
    #[error("this is too large for a private key")]
    TooLarge,
    /// The passphrase does not open the key, or the file was altered: the two cannot be told apart.
    #[error("the passphrase does not open this private key, or the file was altered")]
    WrongPassphrase,
    /// Encrypted with something that cannot be opened here.
    #[error("the private key is encrypted in a way that is not supported")]
    UnsupportedEncryption,
    /// The iteration count or memory demand of the encryption would make the machine hang.
    #[error("the private key asks for an unreasonable amount of work to open")]
    ExcessiveWork,
    /// Encryption failed.
    #[error("the private key could not be encrypted")]
    Encryption,
    /// The bytes are no public key of a kind that can be certified.
    #[error("this is not a valid public key")]
    MalformedPublic,
}

impl KeyError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            KeyError::UnknownType => {
                "the key types are p256, p384, ed25519, rsa2048, rsa3072 and rsa4096"
            }
            KeyError::Unsupported(_) => {
                "supported are p256, p384, ed25519 and RSA of 2048, 3072 or 4096 bits"
            }
            KeyError::Encrypted => {
                "decrypt it first, for example with `openssl pkey`, or give its passphrase"
            }
            KeyError::LegacyEncrypted => {
                "give its passphrase, or convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256`"
            }
            KeyError::UnsupportedEncryption => {
                "convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256`"
            }
            KeyError::ExcessiveWork => {
                "the file does not come from relayca; convert it with `openssl pkcs8` if you trust it"
            }
            KeyError::SeveralKeys => "give one key a file",
            KeyError::Armour(_) => "fetch the file again, complete",
            KeyError::WrongPassphrase => {
                "restore the key from a backup if the passphrase is the right one"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// A key pair of the crypto library, which zeroizes it.
pub(crate) enum Pair {
    Ecdsa(EcdsaKeyPair, &'static SignatureAlgorithm),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key. Not `Clone`; `Debug` elides it; the copies it holds are zeroized on drop.
pub struct PrivateKey {
    pair: Pair,
    key_type: KeyType,
    spki_der: Vec<u8>,
    pkcs8_der: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("key_type", &self.key_type)
            .field("secret", &"[elided]")
            .finish()
    }
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Generation`].
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        let ecdsa = |signing, algorithm| {
            EcdsaKeyPair::generate(signing).map(|pair| Pair::Ecdsa(pair, algorithm))
        };
        let pair = match key_type {
            KeyType::P256 => ecdsa(
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                &rcgen::PKCS_ECDSA_P256_SHA256,
            ),
            KeyType::P384 => ecdsa(
                &ECDSA_P384_SHA384_ASN1_SIGNING,
                &rcgen::PKCS_ECDSA_P384_SHA384,
            ),
            KeyType::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
            KeyType::Rsa2048 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
            KeyType::Rsa3072 => RsaKeyPair::generate(KeySize::Rsa3072).map(Pair::Rsa),
            KeyType::Rsa4096 => RsaKeyPair::generate(KeySize::Rsa4096).map(Pair::Rsa),
        };
        PrivateKey::from_pair(pair.map_err(|_| KeyError::Generation)?)
    }

    /// Takes a clear PKCS#8 key (RFC 5958, version 1 or 2).
    ///
    /// # Errors
    /// [`KeyError`]; a SEC1 or PKCS#1 key is [`KeyError::Malformed`] here.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        PrivateKey::from_pair(Pair::from_pkcs8(der)?)
    }

    /// Takes a clear key in PKCS#8, SEC1 (RFC 5915) or PKCS#1 (RFC 8017).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        PrivateKey::from_pair(Pair::from_der(der)?)
    }

    /// Takes PEM text with exactly one private key in it; certificates beside it are passed over.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Encrypted`] where a passphrase is needed.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let block = single_key_block(text.as_bytes())?;
        if block.legacy_encrypted {
            return Err(KeyError::LegacyEncrypted);
        }
        match block.label.as_str() {
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            _ => PrivateKey::from_der(&block.content),
        }
    }

    fn from_pair(pair: Pair) -> Result<Self, KeyError> {
        let key_type = pair.key_type()?;
        let spki_der = pair.subject_public_key_info();
        let pkcs8_der = pair.to_pkcs8()?;
        Ok(PrivateKey {
            pair,
            key_type,
            spki_der,
            pkcs8_der,
        })
    }

    /// The kind of key.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The private key as clear PKCS#8 version 1, DER.
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8_der
    }

    /// The private key as clear PKCS#8 in PEM, as Postfix reads it. Ed25519 in version 1 (48 bytes of DER), since version 2
    /// does not load in OpenSSL 3.0 and GnuTLS 3.7.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        // Armour fails only for a label that is no label.
        pem_block::write("PRIVATE KEY", &self.pkcs8_der).unwrap_or_default()
    }

    pub(crate) fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.pair.algorithm()
    }

    pub(crate) fn public_bits(&self) -> &[u8] {
        self.pair.der_bytes()
    }

    /// A signature's length, or for ECDSA the usual one.
    pub(crate) fn signature_length(&self) -> usize {
        match (&self.pair, self.key_type) {
            (Pair::Rsa(pair), _) => pair.public_modulus_len(),
            (_, KeyType::P384) => 104,
            (_, KeyType::Ed25519) => 64,
            _ => 72,
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair, _) => pair
                .sign(&random, message)
                .ok()
                .map(|s| s.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).ok().map(|s| s.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }
}

impl Pair {
    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > MAX_KEY {
            return Err(KeyError::TooLarge);
        }
        if !is_one_sequence(der) {
            return Err(KeyError::Malformed);
        }
        let ecdsa = |signing, algorithm| {
            EcdsaKeyPair::from_pkcs8(signing, der).map(|pair| Pair::Ecdsa(pair, algorithm))
        };
        ecdsa(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &rcgen::PKCS_ECDSA_P256_SHA256,
        )
        .or_else(|_| Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519))
        .or_else(|_| {
            ecdsa(
                &ECDSA_P384_SHA384_ASN1_SIGNING,
                &rcgen::PKCS_ECDSA_P384_SHA384,
            )
        })
        .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Pair::Rsa))
        .or_else(|_| {
            ecdsa(
                &ECDSA_P521_SHA512_ASN1_SIGNING,
                &rcgen::PKCS_ECDSA_P521_SHA512,
            )
        })
        .map_err(|_| refused(der))
    }

    /// Any of the three encodings. Kinds that relayca does not certify (P-521, odd RSA sizes) are read all the same: their
    /// fingerprints are wanted.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let ecdsa = |signing, algorithm| {
            EcdsaKeyPair::from_private_key_der(signing, der)
                .map(|pair| Pair::Ecdsa(pair, algorithm))
        };
        match Pair::from_pkcs8(der) {
            Err(KeyError::Malformed) if is_one_sequence(der) => ecdsa(
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                &rcgen::PKCS_ECDSA_P256_SHA256,
            )
            .or_else(|_| {
                ecdsa(
                    &ECDSA_P384_SHA384_ASN1_SIGNING,
                    &rcgen::PKCS_ECDSA_P384_SHA384,
                )
            })
            .or_else(|_| RsaKeyPair::from_der(der).map(Pair::Rsa))
            .or_else(|_| {
                ecdsa(
                    &ECDSA_P521_SHA512_ASN1_SIGNING,
                    &rcgen::PKCS_ECDSA_P521_SHA512,
                )
            })
            .map_err(|_| KeyError::Malformed),
            other => other,
        }
    }

    fn key_type(&self) -> Result<KeyType, KeyError> {
        match self {
            Pair::Ecdsa(_, algorithm) if *algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 => {
                Ok(KeyType::P256)
            }
            Pair::Ecdsa(_, algorithm) if *algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 => {
                Ok(KeyType::P384)
            }
            Pair::Ecdsa(..) => Err(KeyError::Unsupported("p521".to_owned())),
            Pair::Ed25519(_) => Ok(KeyType::Ed25519),
            Pair::Rsa(pair) => match pair.public_modulus_len() * 8 {
                2048 => Ok(KeyType::Rsa2048),
                3072 => Ok(KeyType::Rsa3072),
                4096 => Ok(KeyType::Rsa4096),
                bits => Err(KeyError::Unsupported(format!("rsa{bits}"))),
            },
        }
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let malformed = |_| KeyError::Malformed;
        let bytes = match self {
            Pair::Ecdsa(pair, _) => pair.to_pkcs8v1().map_err(malformed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(malformed)?.as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(malformed)?;
                der.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(bytes))
    }
}

impl PublicKeyData for Pair {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Pair::Ecdsa(pair, _) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Pair::Ecdsa(_, algorithm) => algorithm,
            Pair::Ed25519(_) => &rcgen::PKCS_ED25519,
            Pair::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// The one private key block of a PEM text, clear or encrypted.
pub(crate) fn single_key_block(bytes: &[u8]) -> Result<pem_block::Block, KeyError> {
    if bytes.len() > MAX_KEY {
        return Err(KeyError::TooLarge);
    }
    let blocks = pem_block::read(bytes).map_err(|error| KeyError::Armour(error.to_string()))?;
    let mut keys = blocks
        .into_iter()
        .filter(|block| block.label.ends_with("PRIVATE KEY"));
    let key = keys.next().ok_or(KeyError::NoKey)?;
    if keys.next().is_some() {
        return Err(KeyError::SeveralKeys);
    }
    Ok(key)
}

/// The right words for bytes that no key loader takes.
fn refused(der: &[u8]) -> KeyError {
    match EncryptedPrivateKeyInfoRef::try_from(der) {
        Ok(_) => KeyError::Encrypted,
        Err(_) => KeyError::Malformed,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows_in_debug_output() {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        assert_eq!(
            format!("{key:?}"),
            "PrivateKey { key_type: P256, secret: \"[elided]\" }"
        );
    }

    #[test]
    fn every_kind_comes_back_from_its_own_pem() {
        for key_type in [
            KeyType::P256,
            KeyType::P384,
            KeyType::Ed25519,
            KeyType::Rsa2048,
        ] {
            let key = PrivateKey::generate(key_type).unwrap();
            let again = PrivateKey::from_pem(&key.to_pkcs8_pem()).unwrap();
            assert_eq!(again.key_type(), key_type);
            assert_eq!(again.spki_der(), key.spki_der());
            assert_eq!(again.pkcs8_der(), key.pkcs8_der());
            assert_eq!(key_type.to_string().parse::<KeyType>().unwrap(), key_type);
        }
    }

    #[test]
    fn ed25519_is_pkcs8_version_1() {
        assert_eq!(
            PrivateKey::generate(KeyType::Ed25519)
                .unwrap()
                .pkcs8_der()
                .len(),
            48
        );
    }

    #[test]
    fn bytes_behind_or_missing_from_a_key_are_noticed() {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let mut longer = key.pkcs8_der().to_vec();
        longer.push(0);
        assert_eq!(
            PrivateKey::from_der(&longer).unwrap_err(),
            KeyError::Malformed
        );
        for length in 0..key.pkcs8_der().len() {
            assert_eq!(
                PrivateKey::from_der(&key.pkcs8_der()[..length]).unwrap_err(),
                KeyError::Malformed
            );
        }
    }
}
