//! Opening an authority: what the admin has, the passphrase of the CA key, the key itself.
//!
//! In: the authority's files, the identities or the passphrase of an admin. Out: an [`Authority`] that signs, and the
//! [`AdminKeys`] that opened it. It refuses to know where they come from, and what is signed.

use relayca_bundle::{Identities, OpenWith, Passphrase};
use relayca_ca::{Authority, PrivateKey};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::disk;
use crate::failure::Failure;
use crate::home::{
    ADMIN_IDENTITY, CA, CA_PASSPHRASE, FROM_BACKUP, Home, KEY, LONGEST_SMALL_FILE, PASSPHRASE,
};
use crate::secrets::Secrets;

impl Home {
    /// Opens the active CA's key.
    pub fn authority(
        &self,
        secrets: &Secrets,
        now: OffsetDateTime,
    ) -> Result<(Authority, AdminKeys), Failure> {
        let admins = self.admin_keys(secrets)?;
        let authority = self.authority_in(CA, &admins, now)?;
        Ok((authority, admins))
    }

    /// Opens the key of the CA whose files are in this directory below the authority.
    pub fn authority_in(
        &self,
        directory: &str,
        admins: &AdminKeys,
        now: OffsetDateTime,
    ) -> Result<Authority, Failure> {
        let key = self.key_in(directory, admins)?;
        Authority::load(self.certificate_in(directory)?, key, now)
            .map_err(|error| Failure::from(error).or_hint(FROM_BACKUP))
    }

    /// The key of the CA whose files are in this directory.
    pub fn key_in(&self, directory: &str, admins: &AdminKeys) -> Result<PrivateKey, Failure> {
        let passphrase = self.passphrase_in(directory, admins)?;
        let path = self.path(&format!("{directory}/{KEY}"));
        let pem = disk::read_text(&path, LONGEST_SMALL_FILE)?;
        PrivateKey::decrypt(&pem, passphrase.expose()).map_err(|error| {
            Failure::from(error)
                .within(path.display())
                .or_hint(FROM_BACKUP)
        })
    }

    /// The passphrase of the active CA's key, and what opened it.
    pub fn ca_passphrase(&self, secrets: &Secrets) -> Result<(Passphrase, AdminKeys), Failure> {
        let admins = self.admin_keys(secrets)?;
        Ok((self.passphrase_in(CA, &admins)?, admins))
    }

    /// The passphrase of the CA key in this directory.
    pub fn passphrase_in(
        &self,
        directory: &str,
        admins: &AdminKeys,
    ) -> Result<Passphrase, Failure> {
        let relative = format!("{directory}/{PASSPHRASE}");
        let sealed = self.read(&relative)?;
        let path = self.path(&relative);
        let named = |failure: Failure| failure.within(path.display()).or_hint(FROM_BACKUP);
        let with = match admins {
            AdminKeys::Passphrase(passphrase) => OpenWith::Passphrase(passphrase),
            AdminKeys::Identities(identities) => OpenWith::Identities(identities),
        };
        let opened = relayca_bundle::open(&sealed, &with).map_err(|error| named(error.into()))?;
        passphrase_of(&opened).map_err(named)
    }

    /// What the admin opens the authority with: a passphrase where its CA passphrase is sealed with one, else identities.
    pub fn admin_keys(&self, secrets: &Secrets) -> Result<AdminKeys, Failure> {
        Ok(if self.is_sealed_with_passphrase()? {
            let what = format!("the authority of {}", self.settings.domain);
            AdminKeys::Passphrase(secrets.passphrase(&what)?)
        } else {
            AdminKeys::Identities(self.identities(secrets)?)
        })
    }

    fn is_sealed_with_passphrase(&self) -> Result<bool, Failure> {
        let sealed = self.read(CA_PASSPHRASE)?;
        relayca_bundle::sealed_with_passphrase(&sealed).map_err(|error| {
            Failure::from(error)
                .within(self.path(CA_PASSPHRASE).display())
                .or_hint(FROM_BACKUP)
        })
    }

    /// The identities that open what is sealed for the admins, from what opened the authority.
    pub fn proof(&self, secrets: &Secrets, admins: AdminKeys) -> Result<Identities, Failure> {
        match admins {
            AdminKeys::Identities(identities) => Ok(identities),
            AdminKeys::Passphrase(passphrase) => self.wrapped_identity(secrets, &passphrase),
        }
    }

    /// The identities that open what was sealed to the admins: given ones, or with an admin passphrase
    /// the one that it wraps.
    pub fn admin_identities(&self, secrets: &Secrets) -> Result<Identities, Failure> {
        if !self.path(ADMIN_IDENTITY).exists() {
            return self.identities(secrets);
        }
        let passphrase =
            secrets.passphrase(&format!("the authority of {}", self.settings.domain))?;
        self.wrapped_identity(secrets, &passphrase)
    }

    /// The identity that an admin passphrase wraps.
    pub fn wrapped_identity(
        &self,
        secrets: &Secrets,
        passphrase: &Passphrase,
    ) -> Result<Identities, Failure> {
        let sealed = self.read(ADMIN_IDENTITY)?;
        let path = self.path(ADMIN_IDENTITY).display().to_string();
        let text = relayca_bundle::open(&sealed, &OpenWith::Passphrase(passphrase))
            .map_err(|error| Failure::from(error).within(&path))?;
        secrets.parse_identities(&text, &path)
    }

    fn identities(&self, secrets: &Secrets) -> Result<Identities, Failure> {
        secrets
            .identities(&self.settings.identities)?
            .filter(|identities| !identities.is_empty())
            .ok_or_else(|| {
                Failure::usage(format!("the authority of `{}` is sealed to age recipients, and no identity was given", self.settings.domain))
                    .hint("name the identity file with -i FILE, in RELAYCA_IDENTITY, or as `identities` in relayca.toml")
            })
    }
}

/// What an admin opened the authority with.
#[derive(Debug)]
pub enum AdminKeys {
    /// age, SSH or plugin identities.
    Identities(Identities),
    /// The admin passphrase.
    Passphrase(Passphrase),
}

/// The passphrase in an opened passphrase file: its only line.
pub fn passphrase_of(opened: &[u8]) -> Result<Passphrase, Failure> {
    let text = std::str::from_utf8(opened).map_err(|_| {
        Failure::new("it does not hold a passphrase").hint("restore the file from a backup")
    })?;
    Ok(Passphrase::new(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))?)
}
