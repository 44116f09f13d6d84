//! What every run has: one authority, one key, one identity, one passphrase. They open nothing anywhere.

use std::sync::{Arc, OnceLock};

use relayca_bundle::{Identities, Passphrase, no_prompt};
use relayca_ca::{Authority, Certificate, PrivateKey};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

const AUTHORITY: &str = include_str!("../fixed/ca.crt.pem");
const AUTHORITY_KEY: &str = include_str!("../fixed/ca.key.pem");
const IDENTITY: &str = include_str!("../fixed/identity.txt");

/// The passphrase under which the seeds are sealed and encrypted.
pub(crate) const PASSPHRASE: &str = "fuzz";

pub(crate) fn authority() -> &'static Authority {
    static AT: OnceLock<Authority> = OnceLock::new();
    AT.get_or_init(|| {
        let certificate = Certificate::from_pem(AUTHORITY).unwrap();
        Authority::load(certificate, authority_key(), now()).unwrap()
    })
}

/// A moment at which the fixed authority is valid.
pub(crate) fn now() -> OffsetDateTime {
    let certificate = Certificate::from_pem(AUTHORITY).unwrap();
    certificate.not_before() + Duration::days(1)
}

pub(crate) fn authority_key() -> PrivateKey {
    PrivateKey::from_pem(AUTHORITY_KEY).unwrap()
}

pub(crate) fn identities() -> Identities {
    Identities::parse(IDENTITY.as_bytes(), "identity.txt", no_prompt()).unwrap()
}

pub(crate) fn passphrase() -> Passphrase {
    Passphrase::new(Zeroizing::new(PASSPHRASE.to_owned())).unwrap()
}

/// Nobody is asked anything.
pub(crate) fn nobody() -> Arc<dyn relayca_bundle::Prompt> {
    no_prompt()
}
