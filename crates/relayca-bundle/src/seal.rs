//! Sealing and opening age files (<https://c2sp.org/age>).
//!
//! In come bytes and whom they are for, or a sealed file and who opens it; out comes the other. It refuses to know what
//! the bytes mean and where they are kept. All is in memory: bundles are small, and a half-written age file is no file.

use std::cell::OnceCell;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::identity::{Attempt, Identities};
use crate::passphrase::Passphrase;
use crate::payload::{PAYLOAD_NONCE_BYTES, Remembering, open_payload};
use crate::prompt::{Asked, Prompt, printable};
use crate::recipient::{Recipient, RecipientKey};
use crate::seal_error::{OpenError, SealError};
use crate::stretch::{Unwrap, Wrap};

/// scrypt work factor for what a person thought up: 2^18, about a second and 256 MiB, the default of stock `age -p`.
pub const ADMIN_WORK_FACTOR: u8 = 18;

/// The highest work factor opened: 2^22, about 16 seconds and 4 GiB, the limit of stock `age -d`.
pub const MAX_WORK_FACTOR: u8 = 22;

/// scrypt work factor for generated passphrases. Stretching makes each guess dearer; ten random words are 110 bits, which
/// nobody guesses at any price, so the cheapest factor that the format has will do.
pub const GENERATED_WORK_FACTOR: u8 = 1;

/// The most that is opened: 64 MiB.
pub const MAX_SEALED_BYTES: usize = 64 << 20;

/// The most recipients that one file is sealed to.
pub const MAX_RECIPIENTS: usize = 64;

/// age's parser begins a header anew for each of its lines: 128 KiB of tiny stanzas take it minutes. So the header's length and
/// the number of its stanzas are bounded beforehand; [`MAX_RECIPIENTS`] of the largest kind fit.
pub(crate) const MAX_HEADER_BYTES: usize = 128 << 10;
const MAX_STANZAS: usize = 2 * MAX_RECIPIENTS;

pub(crate) const MAGIC: &[u8] = b"age-encryption.org/";
const ARMOR_BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const ARMOR_END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";

/// Whom to seal to. age allows recipients or one passphrase, never both.
#[derive(Clone, Copy)]
pub enum SealTo<'a> {
    /// Each of them alone can open it.
    Recipients {
        /// At least one, at most [`MAX_RECIPIENTS`].
        recipients: &'a [Recipient],
        /// Who answers a plugin; [`crate::no_prompt`] where there are none.
        prompt: &'a Arc<dyn Prompt>,
    },
    /// Whoever knows the passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: &'a Passphrase,
        /// [`ADMIN_WORK_FACTOR`] or, for a generated passphrase, [`GENERATED_WORK_FACTOR`]; at most [`MAX_WORK_FACTOR`].
        work_factor: u8,
    },
}

/// What to open with.
#[derive(Clone, Copy)]
pub enum OpenWith<'a> {
    /// Identities, tried in the order: clear keys, locked SSH keys, locked files, plugins.
    Identities(&'a Identities),
    /// A passphrase.
    Passphrase(&'a Passphrase),
}

/// Seals bytes into a binary age file that stock `age -d` opens.
///
/// # Errors
/// [`SealError`].
pub fn seal(plain: &[u8], to: &SealTo<'_>) -> Result<Vec<u8>, SealError> {
    // Header, nonce and a 16-byte tag for each 64 KiB, generously.
    let overhead = 1024 + plain.len() / 2048;
    if plain.len() + overhead + MAX_HEADER_BYTES > MAX_SEALED_BYTES {
        return Err(SealError::TooLarge);
    }
    let encryptor = encryptor(to)?;
    let mut sealed = Vec::with_capacity(plain.len() + overhead);
    let mut writer = encryptor
        .wrap_output(&mut sealed)
        .map_err(|_| SealError::Writing)?;
    writer
        .write_all(plain)
        .and_then(|()| writer.finish().map(|_| ()))
        .map_err(|_| SealError::Writing)?;
    // Only a plugin could write so much; what cannot be opened again must not be written.
    header_fits(&sealed).map_err(|_| SealError::TooManyRecipients)?;
    Ok(sealed)
}

/// The head of an age file for these: a plugin or scrypt does its work here.
pub(crate) fn encryptor(to: &SealTo<'_>) -> Result<age::Encryptor, SealError> {
    match to {
        SealTo::Passphrase {
            passphrase,
            work_factor,
        } => {
            if !(1..=MAX_WORK_FACTOR).contains(work_factor) {
                return Err(SealError::WorkFactor {
                    work_factor: *work_factor,
                });
            }
            let wrap = Wrap::new(passphrase, *work_factor).ok_or(SealError::Randomness)?;
            age::Encryptor::with_recipients(std::iter::once(&wrap as &dyn age::Recipient))
        }
        SealTo::Recipients { recipients, prompt } => {
            if recipients.is_empty() {
                return Err(SealError::NoRecipients);
            }
            if recipients.len() > MAX_RECIPIENTS {
                return Err(SealError::TooManyRecipients);
            }
            let keys = recipient_keys(recipients, prompt)?;
            age::Encryptor::with_recipients(keys.iter().map(RecipientRef::as_age))
        }
    }
    .map_err(encrypt_error)
}

/// A recipient as age wants it, borrowed where it can be.
pub(crate) enum RecipientRef<'a> {
    Own(&'a dyn age::Recipient),
    Plugin(Box<dyn age::Recipient>),
}

impl RecipientRef<'_> {
    pub(crate) fn as_age(&self) -> &dyn age::Recipient {
        match self {
            Self::Own(own) => *own,
            Self::Plugin(plugin) => plugin.as_ref(),
        }
    }
}

/// Native and SSH recipients one by one; those of one plugin together, so that it runs once.
pub(crate) fn recipient_keys<'a>(
    recipients: &'a [Recipient],
    prompt: &Arc<dyn Prompt>,
) -> Result<Vec<RecipientRef<'a>>, SealError> {
    let mut keys = Vec::with_capacity(recipients.len());
    let mut plugins: Vec<(&str, Vec<age::plugin::Recipient>)> = Vec::new();
    for recipient in recipients {
        keys.push(RecipientRef::Own(match &recipient.key {
            RecipientKey::Native(key) => key,
            RecipientKey::Ssh(key) => key,
            RecipientKey::Tag(key) => key,
            RecipientKey::TagPq(key) => key.as_ref(),
            RecipientKey::Plugin(key) => {
                match plugins.iter_mut().find(|(name, _)| *name == key.plugin()) {
                    Some((_, group)) => group.push(key.clone()),
                    None => plugins.push((key.plugin(), vec![key.clone()])),
                }
                continue;
            }
        }));
    }
    for (name, group) in plugins {
        let plugin =
            age::plugin::RecipientPluginV1::new(name, &group, &[], Asked(Arc::clone(prompt)))
                .map_err(|_| SealError::PluginMissing {
                    plugin: name.to_owned(),
                })?;
        keys.push(RecipientRef::Plugin(Box::new(plugin)));
    }
    Ok(keys)
}

pub(crate) fn encrypt_error(error: age::EncryptError) -> SealError {
    match error {
        age::EncryptError::MissingRecipients => SealError::NoRecipients,
        age::EncryptError::IncompatibleRecipients { .. }
        | age::EncryptError::InvalidRecipientLabels(_)
        | age::EncryptError::MixedRecipientAndPassphrase => SealError::IncompatibleRecipients,
        // Our own errors, or those of plugins: nobody else does IO before the output begins.
        age::EncryptError::Io(error) => {
            error.downcast().unwrap_or_else(|error| SealError::Plugin {
                message: printable(&error.to_string()),
            })
        }
        other => SealError::Plugin {
            message: printable(&other.to_string()),
        },
    }
}

/// Opens an age file, binary or armored.
///
/// # Errors
/// [`OpenError`], telling apart what is not an age file, what is damaged, what needs another key, and what prevented a key
/// from being used. Nothing of the content is given unless all of it is authentic.
pub fn open(sealed: &[u8], with: &OpenWith<'_>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let binary = binary(sealed)?;
    let mut chunks: &[u8] = &binary;
    let decryptor = decryptor(&mut chunks)?;
    let troubles = Mutex::new(Vec::new());
    let found = OnceCell::new();
    let remembering = |identity| Remembering {
        identity,
        found: &found,
    };
    let reader = match with {
        OpenWith::Passphrase(_) if !decryptor.is_scrypt() => return Err(OpenError::NeedsIdentity),
        OpenWith::Identities(_) if decryptor.is_scrypt() => return Err(OpenError::NeedsPassphrase),
        OpenWith::Passphrase(passphrase) => {
            let unwrap = Unwrap {
                passphrase,
                max_work_factor: MAX_WORK_FACTOR,
            };
            decryptor.decrypt(std::iter::once(&remembering(&unwrap) as &dyn age::Identity))
        }
        OpenWith::Identities(identities) => {
            let keys = identities.in_order();
            let attempts: Vec<Attempt<'_>> = keys
                .iter()
                .map(|key| Attempt {
                    key,
                    troubles: &troubles,
                })
                .collect();
            let attempts: Vec<Remembering<'_>> = attempts
                .iter()
                .map(|attempt| remembering(attempt as &dyn age::Identity))
                .collect();
            decryptor.decrypt(attempts.iter().map(|a| a as &dyn age::Identity))
        }
    };
    // The header is whole and its file key known; the reader that age makes of the rest is not needed.
    reader.map(drop).map_err(|error| match error {
        age::DecryptError::DecryptionFailed if matches!(with, OpenWith::Passphrase(_)) => {
            OpenError::WrongPassphrase
        }
        age::DecryptError::ExcessiveWork { required, .. } => OpenError::ExcessiveWork { required },
        age::DecryptError::NoMatchingKeys => {
            // A key that could not be tried is the likelier one to be meant.
            let mut noted = troubles
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner);
            if noted.is_empty() {
                OpenError::WrongKey
            } else {
                noted.swap_remove(0)
            }
        }
        _ => OpenError::Damaged,
    })?;
    let file_key = found.get().ok_or(OpenError::Damaged)?;
    let nonce_end = binary.len() - chunks.len();
    let nonce = &binary[nonce_end.saturating_sub(PAYLOAD_NONCE_BYTES)..nonce_end];
    open_payload(file_key, nonce, chunks)
}

/// Whether an age file is sealed with a passphrase; if not, identities open it.
///
/// # Errors
/// [`OpenError`] for what is not an age file, or a damaged one.
pub fn sealed_with_passphrase(sealed: &[u8]) -> Result<bool, OpenError> {
    let binary = binary(sealed)?;
    Ok(decryptor(&mut &*binary)?.is_scrypt())
}

/// Whether bytes begin like an age file, armored or not.
pub(crate) fn looks_like_age(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || is_armored(bytes)
}

fn is_armored(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(ARMOR_BEGIN)
}

/// The binary form of an age file.
fn binary(sealed: &[u8]) -> Result<std::borrow::Cow<'_, [u8]>, OpenError> {
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(OpenError::TooLarge);
    }
    if sealed.is_empty() {
        return Err(OpenError::Truncated);
    }
    if !is_armored(sealed) {
        return Ok(sealed.into());
    }
    let text = sealed.trim_ascii();
    if !text.ends_with(ARMOR_END) {
        return Err(OpenError::Truncated);
    }
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    age::armor::ArmoredReader::new(text)
        .read_to_end(&mut decoded)
        .map_err(|_| OpenError::Damaged)?;
    Ok(decoded.into())
}

fn decryptor<'a, 'b>(
    binary: &'b mut &'a [u8],
) -> Result<age::Decryptor<&'b mut &'a [u8]>, OpenError> {
    if !binary.starts_with(MAGIC) {
        let cut = MAGIC.starts_with(binary);
        return Err(if cut {
            OpenError::Truncated
        } else {
            OpenError::NotAge
        });
    }
    header_fits(binary)?;
    age::Decryptor::new_buffered(binary).map_err(|error| match error {
        age::DecryptError::UnknownFormat => OpenError::UnknownVersion,
        age::DecryptError::Io(_) => OpenError::Truncated,
        _ => OpenError::Damaged,
    })
}

/// Whether the header ends within its bounds. A stanza begins with `->`, the last line of a header with `---`.
pub(crate) fn header_fits(binary: &[u8]) -> Result<(), OpenError> {
    let start = &binary[..binary.len().min(MAX_HEADER_BYTES)];
    let header = match start
        .windows(4)
        .position(|w| w[0] == b'\n' && w == b"\n---")
    {
        Some(end) => &start[..end],
        None if start.len() < binary.len() => return Err(OpenError::HeaderTooLarge),
        None if start.starts_with(b"age-encryption.org/v1\n") => return Err(OpenError::Truncated),
        // Another version may have another header; let the parser tell.
        None => start,
    };
    let stanzas = header
        .windows(3)
        .filter(|w| w[0] == b'\n' && *w == b"\n->")
        .count();
    if stanzas > MAX_STANZAS {
        Err(OpenError::HeaderTooLarge)
    } else {
        Ok(())
    }
}
