//! Identities behind a passphrase.
//!
//! In come an encrypted SSH key or identity file and whom to ask; out comes the clear identity, unlocked once, when first
//! needed. It refuses to ask about a key that the file at hand is not sealed to, as far as age lets it know.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use age::secrecy::SecretString;
use age_core::format::Stanza;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use crate::identity::{Identities, IdentityError, parse_lines};
use crate::passphrase::Passphrase;
use crate::prompt::Prompt;
use crate::recipient::Recipient;
use crate::seal::{self, OpenWith};
use crate::seal_error::OpenError;

/// An SSH private key with a passphrase. Its public half is readable without.
pub(crate) struct LockedSsh {
    locked: age::ssh::EncryptedKey,
    recipient: Recipient,
    name: String,
    prompt: Arc<dyn Prompt>,
    clear: OnceLock<age::ssh::Identity>,
    asking: Mutex<()>,
}

impl LockedSsh {
    pub(crate) fn new(
        locked: age::ssh::EncryptedKey,
        recipient: Recipient,
        name: String,
        prompt: Arc<dyn Prompt>,
    ) -> Self {
        Self {
            locked,
            recipient,
            name,
            prompt,
            clear: OnceLock::new(),
            asking: Mutex::new(()),
        }
    }

    pub(crate) fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    pub(crate) fn is_unlocked(&self) -> bool {
        self.clear.get().is_some()
    }

    /// The clear key, if a stanza is for it; asks at most one person at a time.
    pub(crate) fn unlocked_for(
        &self,
        stanzas: &[Stanza],
    ) -> Result<Option<&age::ssh::Identity>, OpenError> {
        if !self.is_meant(stanzas) {
            return Ok(None);
        }
        let _one_at_a_time = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clear) = self.clear.get() {
            return Ok(Some(clear));
        }
        let asked = self
            .prompt
            .passphrase(&format!("the SSH key `{}`", self.name));
        let mut typed = asked.ok_or_else(|| OpenError::IdentityLocked {
            name: self.name.clone(),
        })?;
        let passphrase = SecretString::from(std::mem::take(&mut *typed));
        let clear =
            self.locked
                .decrypt(passphrase)
                .map_err(|_| OpenError::WrongIdentityPassphrase {
                    name: self.name.clone(),
                })?;
        Ok(Some(self.clear.get_or_init(|| clear.into())))
    }

    /// Whether a stanza carries the tag of this key: the first four bytes of SHA-256 of the SSH public key blob
    /// (age's `ssh.rs`). Without this, every file would ask for the passphrase.
    fn is_meant(&self, stanzas: &[Stanza]) -> bool {
        let mut words = self.recipient.text().split(' ');
        let (Some(kind), Some(encoded)) = (words.next(), words.next()) else {
            return false;
        };
        let Ok(blob) = BASE64_STANDARD.decode(encoded) else {
            return false;
        };
        let tag = BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(blob)[..4]);
        stanzas
            .iter()
            .any(|s| s.tag == kind && s.args.first() == Some(&tag))
    }
}

/// An age identity file encrypted with a passphrase.
pub(crate) struct LockedFile {
    sealed: Vec<u8>,
    name: String,
    prompt: Arc<dyn Prompt>,
    clear: OnceLock<Identities>,
    asking: Mutex<()>,
}

impl LockedFile {
    pub(crate) fn new(
        sealed: &[u8],
        name: &str,
        prompt: Arc<dyn Prompt>,
    ) -> Result<Self, IdentityError> {
        match seal::sealed_with_passphrase(sealed) {
            Ok(true) => Ok(Self {
                sealed: sealed.to_vec(),
                name: name.to_owned(),
                prompt,
                clear: OnceLock::new(),
                asking: Mutex::new(()),
            }),
            Ok(false) => Err(IdentityError::SealedToRecipients {
                name: name.to_owned(),
            }),
            Err(_) => Err(IdentityError::DamagedAge {
                name: name.to_owned(),
            }),
        }
    }

    /// What is in it, once it was unlocked.
    pub(crate) fn inside(&self) -> Option<&Identities> {
        self.clear.get()
    }

    pub(crate) fn recipients(&self) -> Vec<Recipient> {
        self.inside()
            .map(Identities::recipients)
            .unwrap_or_default()
    }

    /// The identities inside; asks at most one person at a time, and once unlocked no one.
    pub(crate) fn unlocked(&self) -> Result<&Identities, OpenError> {
        let _one_at_a_time = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clear) = self.clear.get() {
            return Ok(clear);
        }
        let name = || self.name.clone();
        let asked = self
            .prompt
            .passphrase(&format!("the identity file `{}`", self.name));
        let typed = asked.ok_or_else(|| OpenError::IdentityLocked { name: name() })?;
        let passphrase = Passphrase::new(typed)
            .map_err(|_| OpenError::WrongIdentityPassphrase { name: name() })?;
        let plain =
            seal::open(&self.sealed, &OpenWith::Passphrase(&passphrase)).map_err(|e| match e {
                OpenError::WrongPassphrase => OpenError::WrongIdentityPassphrase { name: name() },
                other => OpenError::IdentityFile {
                    name: name(),
                    problem: other.to_string(),
                },
            })?;
        let text = std::str::from_utf8(&plain);
        let text = text.map_err(|_| OpenError::IdentityFile {
            name: name(),
            problem: "it is not text inside".into(),
        })?;
        let clear =
            parse_lines(text, &self.name, &self.prompt).map_err(|e| OpenError::IdentityFile {
                name: name(),
                problem: e.to_string(),
            })?;
        Ok(self.clear.get_or_init(|| clear))
    }
}
