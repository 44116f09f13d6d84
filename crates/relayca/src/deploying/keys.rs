//! How a host that lacks its key gets it.
//!
//! In: the authority, what opens it. Out: [`Carried`]: the key, opened in memory, or a bundle that only the host opens. It refuses
//! to write either to a file.

use relayca_bundle::{Entry, Identities};
use relayca_ca::PrivateKey;

use super::target::Target;
use crate::commands::bundle::key_in_bundle;
use crate::commands::passphrase::passphrase_by;
use crate::disk;
use crate::failure::Failure;
use crate::home::Home;
use crate::issuing::LONGEST_BUNDLE;
use crate::run::Run;
use crate::steps::relayca;

/// What goes along with the public files.
#[derive(Debug)]
pub enum Carried {
    /// Nothing: the key lies there.
    Nothing,
    /// The key.
    Key(Entry),
    /// A bundle sealed to a key of the host.
    Sealed {
        /// Its bytes.
        content: Vec<u8>,
        /// The file on the host that opens it.
        opens: String,
    },
}

/// Opens the bundles' passphrases; the admin is asked once, and only if any is needed.
#[derive(Debug, Default)]
pub struct Opener {
    identities: Option<Identities>,
}

impl Opener {
    /// What the host is to be given. The outer failure is the admin's, the inner one this host's alone.
    pub fn carried(
        &mut self,
        run: &Run,
        home: &Home,
        target: &Target,
    ) -> Result<Result<Carried, Failure>, Failure> {
        let host = &target.host;
        let later = Home::sealed_bundle(host);
        let first = Home::bundle(host);
        let passphrase = Home::bundle_passphrase(host);
        // Whoever sealed it to the host's own key later wants it to travel so.
        if home.path(&later).exists() {
            return Ok(sealed(home, target, &later));
        }
        if !home.path(&first).exists() {
            return Ok(Err(Failure::new(
                "its key was made on the host, and is not there",
            )
            .hint(format!(
                "`{} renew --rekey {host}` gives it a new one; or put the key where it belongs",
                relayca(home)
            ))));
        }
        if !home.path(&passphrase).exists() {
            return Ok(sealed(home, target, &first));
        }
        if self.identities.is_none() {
            self.identities = Some(home.admin_identities(&run.secrets)?);
        }
        let Some(identities) = &self.identities else {
            return Ok(Ok(Carried::Nothing));
        };
        let passphrase = passphrase_by(home, &passphrase, identities)?;
        Ok(key_in_bundle(home, host, &passphrase).and_then(|key| fits(home, key, target)))
    }
}

fn fits(home: &Home, key: Entry, target: &Target) -> Result<Carried, Failure> {
    let found = std::str::from_utf8(&key.content)
        .ok()
        .and_then(|text| PrivateKey::from_pem(text).ok());
    if found.is_some_and(|found| found.spki_der() == target.certificate.spki_der()) {
        return Ok(Carried::Key(key));
    }
    Err(Failure::new(
        "the key in its bundle does not belong to its newest certificate, and the right one is not there",
    )
    .hint(format!("`{} renew --rekey {}` gives it a new one", relayca(home), target.host)))
}

fn sealed(home: &Home, target: &Target, relative: &str) -> Result<Carried, Failure> {
    let content = disk::read(&home.path(relative), LONGEST_BUNDLE)?;
    let header = content.get(..4096.min(content.len())).unwrap_or_default();
    let is_for = |kind: &[u8]| header.windows(kind.len()).any(|window| window == kind);
    let opens = match home.settings.host_key(&target.host) {
        Some(file) => file,
        None if is_for(b"\n-> ssh-ed25519 ") => "/etc/ssh/ssh_host_ed25519_key",
        None if is_for(b"\n-> ssh-rsa ") => "/etc/ssh/ssh_host_rsa_key",
        None => {
            return Err(Failure::new(
                "its bundle is sealed to a key that only its admin knows",
            )
            .hint(format!(
                "name the file there that opens it: `host-key = \"/root/key.txt\"` under [host.\"{}\"] in relayca.toml",
                target.host
            )));
        }
    };
    Ok(Carried::Sealed {
        content: content.to_vec(),
        opens: opens.to_owned(),
    })
}
