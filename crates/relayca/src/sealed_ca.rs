//! A CA's three files: its certificate, its key under a random passphrase, and that passphrase sealed to the admins.
//!
//! In: an authority, whom to seal to, and what proves that they can open it. Out: the files, for whoever puts them away. It
//! refuses to know where they end up, and which CA of an authority it is.

use relayca_bundle::{OpenWith, Passphrase, SealTo};
use relayca_ca::{Authority, PrivateKey};

use crate::failure::Failure;
use crate::home;
use crate::issuing::{self, Put};
use crate::pieces;

/// A CA's three files, to be put into its directory.
pub struct SealedCa {
    certificate: String,
    key: String,
    passphrase: Vec<u8>,
}

impl SealedCa {
    /// Puts them into this directory below the authority.
    pub fn put(&self, directory: &str, put: &Put<'_>) -> Result<(), Failure> {
        let name = |file: &str| format!("{directory}/{file}");
        put(
            &name(home::CERTIFICATE),
            self.certificate.as_bytes(),
            pieces::PUBLIC,
        )?;
        put(&name(home::KEY), self.key.as_bytes(), pieces::PRIVATE)?;
        put(&name(home::PASSPHRASE), &self.passphrase, pieces::PRIVATE)
    }
}

/// The CA certificate, its key under a new random passphrase, and that passphrase sealed to the admins; with `proof` opened again.
pub fn seal_ca(
    authority: &Authority,
    to: &SealTo<'_>,
    proof: Option<&OpenWith<'_>>,
) -> Result<SealedCa, Failure> {
    let passphrase = Passphrase::generate_key()?;
    let key = authority.key().encrypt(passphrase.expose())?;
    if PrivateKey::decrypt(&key, passphrase.expose())?.pkcs8_der() != authority.key().pkcs8_der() {
        return Err(Failure::new(
            "the encrypted CA key did not open to the same key; nothing was changed",
        ));
    }
    let sealed = issuing::seal_passphrase(&passphrase, to, proof).map_err(|failure| match to {
        SealTo::Recipients { .. } => failure
            .within("the identity given with -i does not open what was sealed to the recipients"),
        SealTo::Passphrase { .. } => failure,
    })?;
    Ok(SealedCa {
        certificate: authority.certificate().to_pem(),
        key,
        passphrase: sealed,
    })
}
