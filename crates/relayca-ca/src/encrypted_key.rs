//! Private keys at rest, encrypted under a passphrase.
//!
//! Enters: a key and a passphrase, or an encrypted file and a passphrase. Leaves: PKCS#8 under PBES2 (RFC 8018), PBKDF2 with
//! HMAC-SHA256 and AES-256-CBC, which OpenSSL since 1.1 and GnuTLS open; or the key. Refuses to know: where the passphrase
//! comes from. What is only read, the encryptions of old, is in `old_encryption`.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Pbkdf2Prf};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, der::Decode};
use zeroize::Zeroizing;

use crate::key::{KeyError, PrivateKey, single_key_block};
use crate::old_encryption;
use crate::pem_block;

/// PBKDF2 rounds when encrypting. Stretching makes up for passphrases people think of; ours is 256 random bits, which no
/// number of rounds makes harder to guess. 1000 is the least that SP 800-132 allows and that OpenSSL's FIPS provider takes.
const ITERATIONS: u32 = 1000;
/// PBKDF2 rounds accepted when decrypting: some seconds of work, so that a hostile file cannot hang the machine.
const MAX_ITERATIONS: u32 = 10_000_000;
/// Memory accepted for scrypt, in bytes.
const MAX_SCRYPT_MEMORY: u64 = 256 * 1024 * 1024;
/// Work accepted for scrypt, in bytes mixed.
const MAX_SCRYPT_WORK: u64 = 4 * MAX_SCRYPT_MEMORY;

impl PrivateKey {
    /// The key as `ENCRYPTED PRIVATE KEY` PEM. The passphrase is meant to be random: see the number of rounds.
    ///
    /// # Errors
    /// [`KeyError::Encryption`], also for an empty passphrase.
    pub fn encrypt(&self, passphrase: &str) -> Result<String, KeyError> {
        if passphrase.is_empty() {
            return Err(KeyError::Encryption);
        }
        let failed = |_| KeyError::Encryption;
        let mut salt = [0; 16];
        let mut iv = [0; 16];
        aws_lc_rs::rand::fill(&mut salt).map_err(failed)?;
        aws_lc_rs::rand::fill(&mut iv).map_err(failed)?;
        let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv)
            .map_err(|_| KeyError::Encryption)?;
        let info =
            PrivateKeyInfoRef::from_der(self.pkcs8_der()).map_err(|_| KeyError::Encryption)?;
        let sealed = info
            .encrypt_with_params(parameters, passphrase)
            .map_err(|_| KeyError::Encryption)?;
        let text = pem_block::write("ENCRYPTED PRIVATE KEY", sealed.as_bytes())
            .ok_or(KeyError::Encryption)?;
        Ok(text.as_str().to_owned())
    }

    /// Opens PEM text with exactly one encrypted private key in it: PKCS#8 under PBES2 (PBKDF2 or scrypt, with AES or
    /// triple-DES) or under PBES1 with SHA-1 and triple-DES, or the form before PKCS#8 with `DEK-Info` (triple-DES or AES).
    ///
    /// # Errors
    /// [`KeyError::WrongPassphrase`], [`KeyError::ExcessiveWork`], [`KeyError::UnsupportedEncryption`], and those of
    /// [`PrivateKey::from_pem`]. A clear key is [`KeyError::NoKey`]: a caller who expects encryption must not be handed a key
    /// that somebody put in its place.
    pub fn decrypt(pem: &str, passphrase: &str) -> Result<Self, KeyError> {
        let block = single_key_block(pem.as_bytes())?;
        let clear = match (block.label.as_str(), &block.sealed) {
            ("RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY", Some(sealed)) => {
                old_encryption::open_traditional(sealed, passphrase)?
            }
            _ if block.legacy_encrypted => return Err(KeyError::UnsupportedEncryption),
            ("ENCRYPTED PRIVATE KEY", _) => open_pkcs8(&block.content, passphrase)?,
            _ => return Err(KeyError::NoKey),
        };
        // A wrong passphrase passes the padding check once in 256 times and gives noise.
        PrivateKey::from_der(&clear).map_err(|error| match error {
            KeyError::Unsupported(_) => error,
            _ => KeyError::WrongPassphrase,
        })
    }
}

/// The content of an EncryptedPrivateKeyInfo (RFC 5958 section 3).
fn open_pkcs8(der: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if let Some(opened) = old_encryption::open_pbes1(der, passphrase, MAX_ITERATIONS) {
        return opened;
    }
    let sealed =
        EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::UnsupportedEncryption)?;
    let parameters = sealed
        .encryption_algorithm
        .pbes2()
        .ok_or(KeyError::UnsupportedEncryption)?;
    bound_the_work(parameters)?;
    let mut buffer = Zeroizing::new(sealed.encrypted_data.as_bytes().to_vec());
    if let Some(length) = open_what_we_write(parameters, passphrase, &mut buffer) {
        buffer.truncate(length?);
        return Ok(buffer);
    }
    let length = parameters
        .decrypt_in_place(passphrase, &mut buffer)
        .map_err(|error| match error {
            pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. } => KeyError::UnsupportedEncryption,
            _ => KeyError::WrongPassphrase,
        })?
        .len();
    // Decrypted in place, from the start.
    buffer.truncate(length);
    Ok(buffer)
}

/// Opens in place what [`PrivateKey::encrypt`] writes, as every command that signs does first, on AWS-LC: it is in use anyway,
/// while other libraries first ask the processor what it can do, which takes a virtual machine longer than the work.
/// `None` for another form.
fn open_what_we_write(
    parameters: &Parameters,
    passphrase: &str,
    buffer: &mut [u8],
) -> Option<Result<usize, KeyError>> {
    let (Kdf::Pbkdf2(pbkdf2), EncryptionScheme::Aes256Cbc { iv }) =
        (&parameters.kdf, &parameters.encryption)
    else {
        return None;
    };
    let whole_key = pbkdf2.key_length.is_none_or(|length| length == 32);
    let rounds = NonZeroU32::new(pbkdf2.iteration_count)?;
    if pbkdf2.prf != Pbkdf2Prf::HmacWithSha256 || !whole_key {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    aws_lc_rs::pbkdf2::derive(
        aws_lc_rs::pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        pbkdf2.salt.as_ref(),
        passphrase.as_bytes(),
        key.as_mut(),
    );
    let opened = UnboundCipherKey::new(&AES_256, key.as_ref())
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| {
            let context = DecryptionContext::Iv128((*iv).into());
            Ok(key.decrypt(buffer, context)?.len())
        });
    Some(opened.map_err(|_| KeyError::WrongPassphrase))
}

fn bound_the_work(parameters: &Parameters) -> Result<(), KeyError> {
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) if (1..=MAX_ITERATIONS).contains(&pbkdf2.iteration_count) => Ok(()),
        Kdf::Scrypt(scrypt) => {
            let memory = u64::from(scrypt.block_size)
                .checked_mul(128)
                .and_then(|block| block.checked_mul(scrypt.cost_parameter))
                .ok_or(KeyError::ExcessiveWork)?;
            let work = memory
                .checked_mul(scrypt.parallelization.into())
                .ok_or(KeyError::ExcessiveWork)?;
            if memory <= MAX_SCRYPT_MEMORY && work <= MAX_SCRYPT_WORK {
                Ok(())
            } else {
                Err(KeyError::ExcessiveWork)
            }
        }
        Kdf::Pbkdf2(_) => Err(KeyError::ExcessiveWork),
        _ => Err(KeyError::UnsupportedEncryption),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use pkcs8::der::Encode;
    use pkcs8::der::asn1::OctetStringRef;
    use pkcs8::pkcs5::pbes2::ScryptParams;

    fn hostile(parameters: Parameters) -> String {
        let info = EncryptedPrivateKeyInfoRef {
            encryption_algorithm: parameters.into(),
            encrypted_data: OctetStringRef::new(&[0; 160]).unwrap(),
        };
        let text = pem_block::write("ENCRYPTED PRIVATE KEY", &info.to_der().unwrap()).unwrap();
        text.as_str().to_owned()
    }

    #[test]
    fn a_hostile_file_cannot_make_the_machine_hang() {
        let rounds =
            |count| Parameters::generate_pbkdf2_sha256_aes256cbc(count, &[1; 16], [2; 16]).unwrap();
        for count in [0, 10_000_001, 100_000_000] {
            let error = PrivateKey::decrypt(&hostile(rounds(count)), "x").unwrap_err();
            assert_eq!(error, KeyError::ExcessiveWork, "{count}");
        }
        assert_eq!(
            PrivateKey::decrypt(&hostile(rounds(1)), "x").unwrap_err(),
            KeyError::WrongPassphrase
        );

        let mut scrypt = rounds(1);
        for (cost, block, parallel) in [
            (1 << 20, 8, 1),
            (1 << 14, 8, 1000),
            (u64::MAX / 2 + 1, 8, 1),
            (2, u16::MAX, u16::MAX),
        ] {
            scrypt.kdf = Kdf::Scrypt(ScryptParams {
                salt: [1; 16].as_slice().try_into().unwrap(),
                cost_parameter: cost,
                block_size: block,
                parallelization: parallel,
                key_length: None,
            });
            let error = PrivateKey::decrypt(&hostile(scrypt.clone()), "x").unwrap_err();
            assert_eq!(error, KeyError::ExcessiveWork, "{cost} {block} {parallel}");
        }
    }
}
