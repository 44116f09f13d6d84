//! One host's way from a name to a sealed bundle.
//!
//! In: a request, the opened authority, the settings. Out: [`Issued`], and files handed to whoever puts
//! them away. It refuses to know where files end up, and the inventory. The key is made here, goes into
//! the sealed bundle, and is wiped.

use std::sync::Arc;

use relayca_bundle::{
    Entry, GENERATED_WORK_FACTOR, Identities, OpenWith, Passphrase, Prompt, Recipient, SealTo,
};
use relayca_ca::{Authority, Certificate, HostName, LeafRequest, PrivateKey, Role};
use relayca_fingerprint::FingerprintMap;
use relayca_inventory::{CertificateRecord, State};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::dates;
use crate::failure::Failure;
use crate::home::Home;
use crate::hosts::HostRequest;
use crate::opening::passphrase_of;
use crate::pieces;
use crate::settings::Settings;

/// Bytes of a sealed bundle.
pub const LONGEST_BUNDLE: usize = 64 << 20;

/// What issuing needs beside the request.
pub struct Issuing<'a> {
    /// The opened CA that signs.
    pub authority: &'a Authority,
    /// Every CA that the host has to trust, the newest first.
    pub trusted: &'a [Certificate],
    /// The settings.
    pub settings: &'a Settings,
    /// Opens what is sealed to the admins, to prove it; `None` where only a person or a token could.
    pub proof: Option<&'a Identities>,
    /// Answers a plugin.
    pub prompt: &'a Arc<dyn Prompt>,
    /// The time of issue.
    pub now: OffsetDateTime,
}

/// A file on its way to the authority: path below it, content, mode.
pub type Put<'a> = dyn Fn(&str, &[u8], u32) -> Result<(), Failure> + Sync + 'a;

/// A host that has its certificate and bundle.
#[derive(Debug)]
pub struct Issued {
    /// The host.
    pub host: HostName,
    /// What it may do.
    pub role: Role,
    /// Its certificate.
    pub certificate: Certificate,
    /// How its files get to it.
    pub delivery: Delivery,
}

/// How a host gets its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// In a sealed bundle that a generated passphrase opens.
    ByPassphrase,
    /// In a sealed bundle that this key file on the host opens.
    ToKey(&'static str),
    /// In the open: the host has its key already, and nothing else is secret.
    Public,
}

impl Issued {
    /// The inventory's record of it.
    pub fn record(&self, now: OffsetDateTime) -> CertificateRecord {
        record_of(
            &self.certificate,
            self.host.as_str(),
            &self.role.to_string(),
            now,
        )
    }
}

/// Where a host keeps the key of the first recipient: its SSH host key, or a file that only the admin knows.
fn sealed_delivery(seal_to: &[Recipient]) -> Delivery {
    let Some(first) = seal_to.first() else {
        return Delivery::ByPassphrase;
    };
    let first = first.text();
    Delivery::ToKey(if first.starts_with("ssh-ed25519 ") {
        "/etc/ssh/ssh_host_ed25519_key"
    } else if first.starts_with("ssh-rsa ") {
        "/etc/ssh/ssh_host_rsa_key"
    } else {
        "IDENTITY"
    })
}

/// The inventory's record of a certificate.
pub fn record_of(
    certificate: &Certificate,
    host: &str,
    role: &str,
    now: OffsetDateTime,
) -> CertificateRecord {
    CertificateRecord {
        serial: certificate.serial().to_string(),
        host: host.to_owned(),
        role: role.to_owned(),
        certificate_der: certificate.der().to_vec(),
        spki_sha256: spki_sha256(certificate.spki_der()),
        not_before: dates::stamp(certificate.not_before()),
        not_after: dates::stamp(certificate.not_after()),
        issued_at: dates::stamp(now),
        state: State::Live,
    }
}

/// SHA-256 of a public key as the inventory has it.
pub fn spki_sha256(spki_der: &[u8]) -> String {
    relayca_fingerprint::fingerprint(relayca_fingerprint::Digest::Sha256, spki_der)
        .to_string()
        .replace(':', "")
        .to_lowercase()
}

/// Certifies one host. A key that it has already is certified and the bundle is public; else a key is made and sealed
/// with the rest. `map` is for a relay's bundle.
pub fn issue(
    issuing: &Issuing<'_>,
    request: &HostRequest,
    map: &FingerprintMap,
    put: &Put<'_>,
) -> Result<Issued, Failure> {
    let role = if request.relay.is_some() {
        Role::Relay
    } else {
        Role::MailHost
    };
    let leaf = LeafRequest {
        role,
        host: request.host.clone(),
        alt_names: request.alt_names.clone(),
        days: request.days.unwrap_or(issuing.settings.days),
    };
    let certify = |spki: &[u8]| issuing.authority.issue(&leaf, spki, issuing.now);
    let (certificate, delivery) = match &request.public_key {
        Some(spki) => {
            let certificate = certify(spki)?;
            // A relay's public bundle is made of the whole change, when the map is known.
            if role == Role::MailHost {
                let entries = entries(issuing, request, &certificate, map)?;
                let archive = relayca_bundle::pack(&entries, mtime(&certificate))?;
                put(
                    &Home::public_bundle(&request.host),
                    &archive,
                    pieces::PRIVATE,
                )?;
            }
            (certificate, Delivery::Public)
        }
        None => {
            let key = PrivateKey::generate(request.key.unwrap_or(issuing.settings.key))?;
            let certificate = certify(key.spki_der())?;
            let entries = entries(issuing, request, &certificate, map)?;
            seal_bundle(issuing, request, &key, &certificate, entries, put)?;
            (certificate, sealed_delivery(&request.seal_to))
        }
    };
    Ok(Issued {
        host: request.host.clone(),
        role,
        certificate,
        delivery,
    })
}

/// A host's files without the key.
fn entries(
    issuing: &Issuing<'_>,
    request: &HostRequest,
    certificate: &Certificate,
    map: &FingerprintMap,
) -> Result<Vec<Entry>, Failure> {
    let (settings, trusted) = (issuing.settings, issuing.trusted);
    match &request.relay {
        Some(relay) => pieces::relay_entries(settings, certificate, trusted, relay, map),
        None => pieces::mail_host_entries(settings, certificate, trusted, &request.host),
    }
}

/// The bundle with the key in it: sealed to the host's recipients, or with a generated passphrase that is sealed to the admins.
fn seal_bundle(
    issuing: &Issuing<'_>,
    request: &HostRequest,
    key: &PrivateKey,
    certificate: &Certificate,
    mut entries: Vec<Entry>,
    put: &Put<'_>,
) -> Result<(), Failure> {
    entries.push(Entry {
        name: format!("{}.key.pem", request.host),
        mode: pieces::PRIVATE,
        content: Zeroizing::new(key.to_pkcs8_pem().as_bytes().to_vec()),
    });
    let archive = relayca_bundle::pack(&entries, mtime(certificate))?;
    entries
        .into_iter()
        .for_each(|entry| relayca_bundle::wipe(entry.content));
    let sealed = if request.seal_to.is_empty() {
        let passphrase = Passphrase::generate_words()?;
        let sealed_passphrase = seal_for_admins(issuing, &passphrase)?;
        put(
            &Home::bundle_passphrase(&request.host),
            &sealed_passphrase,
            pieces::PRIVATE,
        )?;
        seal_with_passphrase(&archive, &passphrase)?
    } else {
        seal_to_recipients(&archive, &request.seal_to, issuing.prompt)?
    };
    relayca_bundle::wipe(archive);
    put(&Home::bundle(&request.host), &sealed, pieces::PRIVATE)
}

/// Seals a bundle with a generated passphrase, and opens it again.
pub fn seal_with_passphrase(archive: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, Failure> {
    let to = SealTo::Passphrase {
        passphrase,
        work_factor: GENERATED_WORK_FACTOR,
    };
    let sealed = relayca_bundle::seal(archive, &to)?;
    let opened = relayca_bundle::open(&sealed, &OpenWith::Passphrase(passphrase))?;
    let same = *opened == archive;
    relayca_bundle::wipe(opened);
    if same {
        Ok(sealed)
    } else {
        Err(differs("a sealed bundle"))
    }
}

/// Seals a bundle to a host's own key. Only that host can open it, so it cannot be tried here.
pub fn seal_to_recipients(
    archive: &[u8],
    recipients: &[Recipient],
    prompt: &Arc<dyn Prompt>,
) -> Result<Vec<u8>, Failure> {
    Ok(relayca_bundle::seal(
        archive,
        &SealTo::Recipients { recipients, prompt },
    )?)
}

/// Seals a passphrase to the admins, and opens it again where that needs nobody.
fn seal_for_admins(issuing: &Issuing<'_>, passphrase: &Passphrase) -> Result<Vec<u8>, Failure> {
    let to = SealTo::Recipients {
        recipients: &issuing.settings.recipients,
        prompt: issuing.prompt,
    };
    seal_passphrase(
        passphrase,
        &to,
        issuing.proof.map(OpenWith::Identities).as_ref(),
    )
}

/// Seals a passphrase as one line, and with `proof` opens it again and compares.
pub fn seal_passphrase(
    passphrase: &Passphrase,
    to: &SealTo<'_>,
    proof: Option<&OpenWith<'_>>,
) -> Result<Vec<u8>, Failure> {
    let line = Zeroizing::new(format!("{}\n", passphrase.expose()));
    let sealed = relayca_bundle::seal(line.as_bytes(), to)?;
    if let Some(proof) = proof
        && !passphrase_of(&relayca_bundle::open(&sealed, proof)?)?.same_as(passphrase)
    {
        return Err(differs("a sealed passphrase"));
    }
    Ok(sealed)
}

fn differs(what: &str) -> Failure {
    Failure::new(format!(
        "{what} did not open to what was sealed; nothing was changed"
    ))
    .hint("this must not happen: check the machine's memory and report it")
}

/// The time stamp of the files in a bundle: the certificate's beginning, so that the same content gives
/// the same bytes.
pub fn mtime(certificate: &Certificate) -> u64 {
    u64::try_from(certificate.not_before().unix_timestamp()).unwrap_or_default()
}
