//! age's scrypt stanza: a file key wrapped under a stretched passphrase (<https://c2sp.org/age#scrypt-recipient-stanza>).
//!
//! In come a passphrase and a work factor; out comes a stanza, or the file key again. It refuses to know payloads.
//!
//! The `age` crate has the same, but times scrypt on the machine every time one of its recipients or identities is
//! made (milliseconds, thousands of times in a bulk issue), only to be told the work factor afterwards.

use std::collections::HashSet;

use age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{aead_decrypt, aead_encrypt};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;

const TAG: &str = "scrypt";
const SALT_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
const SALT_BYTES: usize = 16;

/// Wraps the file key under a passphrase. The salt is drawn by the caller, so that failing to is the caller's error.
pub(crate) struct Wrap<'a> {
    pub(crate) passphrase: &'a Passphrase,
    pub(crate) work_factor: u8,
    pub(crate) salt: [u8; SALT_BYTES],
    /// Random text; no other recipient can have the same, which is how age keeps a passphrase the only recipient.
    pub(crate) label: String,
}

impl<'a> Wrap<'a> {
    /// `None` when the system gives no random bytes.
    pub(crate) fn new(passphrase: &'a Passphrase, work_factor: u8) -> Option<Self> {
        let mut drawn = [0u8; 2 * SALT_BYTES];
        aws_lc_rs::rand::fill(&mut drawn).ok()?;
        let mut salt = [0u8; SALT_BYTES];
        salt.copy_from_slice(&drawn[..SALT_BYTES]);
        let label = BASE64_STANDARD_NO_PAD.encode(&drawn[SALT_BYTES..]);
        Some(Self {
            passphrase,
            work_factor,
            salt,
            label,
        })
    }
}

impl age::Recipient for Wrap<'_> {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let key = stretched(self.passphrase, &self.salt, self.work_factor).ok_or_else(|| {
            EncryptError::Io(std::io::Error::other("scrypt parameters out of range"))
        })?;
        let stanza = Stanza {
            tag: TAG.to_owned(),
            args: vec![
                BASE64_STANDARD_NO_PAD.encode(self.salt),
                self.work_factor.to_string(),
            ],
            body: aead_encrypt(&key, file_key.expose_secret()),
        };
        Ok((vec![stanza], HashSet::from([self.label.clone()])))
    }
}

/// Unwraps the file key with a passphrase, refusing more work than allowed.
pub(crate) struct Unwrap<'a> {
    pub(crate) passphrase: &'a Passphrase,
    pub(crate) max_work_factor: u8,
}

impl age::Identity for Unwrap<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        (stanza.tag == TAG).then(|| self.unwrap(stanza))
    }
}

impl Unwrap<'_> {
    fn unwrap(&self, stanza: &Stanza) -> Result<FileKey, DecryptError> {
        let [salt, work_factor] = stanza.args.as_slice() else {
            return Err(DecryptError::InvalidHeader);
        };
        let salt = BASE64_STANDARD_NO_PAD
            .decode(salt)
            .map_err(|_| DecryptError::InvalidHeader)?;
        let salt: [u8; SALT_BYTES] = salt.try_into().map_err(|_| DecryptError::InvalidHeader)?;
        let required = decimal(work_factor).ok_or(DecryptError::InvalidHeader)?;
        if stanza.body.len() != FILE_KEY_BYTES + 16 {
            return Err(DecryptError::InvalidHeader);
        }
        if required > self.max_work_factor {
            return Err(DecryptError::ExcessiveWork {
                required,
                target: self.max_work_factor,
            });
        }
        let key = stretched(self.passphrase, &salt, required).ok_or(DecryptError::InvalidHeader)?;
        let plain = aead_decrypt(&key, FILE_KEY_BYTES, &stanza.body)
            .map_err(|_| DecryptError::DecryptionFailed)?;
        let plain = Zeroizing::new(plain);
        FileKey::try_init_with_mut(|file_key| {
            if plain.len() != file_key.len() {
                return Err(DecryptError::DecryptionFailed);
            }
            file_key.copy_from_slice(&plain);
            Ok(())
        })
    }
}

/// scrypt with r = 8 and p = 1, as age fixes them; N = 2^work_factor, so about 2^work_factor KiB of memory.
fn stretched(
    passphrase: &Passphrase,
    salt: &[u8; SALT_BYTES],
    work_factor: u8,
) -> Option<Zeroizing<[u8; 32]>> {
    let mut labelled = [0u8; SALT_LABEL.len() + SALT_BYTES];
    labelled[..SALT_LABEL.len()].copy_from_slice(SALT_LABEL);
    labelled[SALT_LABEL.len()..].copy_from_slice(salt);
    let params = scrypt::Params::new(work_factor, 8, 1).ok()?;
    let mut key = Zeroizing::new([0u8; 32]);
    scrypt::scrypt(
        passphrase.expose().as_bytes(),
        &labelled,
        &params,
        &mut *key,
    )
    .ok()?;
    Some(key)
}

/// A work factor as the format writes it: 1 to 99, no sign, no leading zero.
fn decimal(text: &str) -> Option<u8> {
    let canonical = (1..=2).contains(&text.len())
        && !text.starts_with('0')
        && text.bytes().all(|b| b.is_ascii_digit());
    canonical.then(|| text.parse().ok()).flatten()
}
