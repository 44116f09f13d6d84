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
use crate::home::{Home, passphrase_of};
use crate::hosts::HostRequest;
use crate::pieces;
use crate::settings::Settings;

/// What issuing needs beside the request.
pub struct Issuing<'a> {
    /// The opened authority.
    pub authority: &'a Authority,
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
    /// The key file on the host that opens the bundle; `None` where a generated passphrase does.
    pub key_file: Option<&'static str>,
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
fn key_file(seal_to: &[Recipient]) -> Option<&'static str> {
    let first = seal_to.first()?.text();
    Some(if first.starts_with("ssh-ed25519 ") {
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
        spki_sha256: relayca_fingerprint::fingerprint(
            relayca_fingerprint::Digest::Sha256,
            certificate.spki_der(),
        )
        .to_string()
        .replace(':', "")
        .to_lowercase(),
        not_before: dates::stamp(certificate.not_before()),
        not_after: dates::stamp(certificate.not_after()),
        issued_at: dates::stamp(now),
        state: State::Live,
    }
}

/// Makes key, certificate and sealed bundle of one host. `map` is for a relay's bundle.
pub fn issue(
    issuing: &Issuing<'_>,
    request: &HostRequest,
    map: &FingerprintMap,
    put: &Put<'_>,
) -> Result<Issued, Failure> {
    let settings = issuing.settings;
    let key = PrivateKey::generate(request.key.unwrap_or(settings.key))?;
    let leaf = LeafRequest {
        role: if request.relay.is_some() {
            Role::Relay
        } else {
            Role::MailHost
        },
        host: request.host.clone(),
        alt_names: request.alt_names.clone(),
        days: request.days.unwrap_or(settings.days),
    };
    let certificate = issuing
        .authority
        .issue(&leaf, key.spki_der(), issuing.now)?;
    let ca = issuing.authority.certificate();
    let mut entries = match &request.relay {
        Some(relay) => pieces::relay_entries(settings, &certificate, ca, relay, map)?,
        None => pieces::mail_host_entries(settings, &certificate, ca, &request.host)?,
    };
    entries.push(Entry {
        name: format!("{}.key.pem", request.host),
        mode: pieces::PRIVATE,
        content: Zeroizing::new(key.to_pkcs8_pem().as_bytes().to_vec()),
    });
    let archive = relayca_bundle::pack(&entries, mtime(&certificate))?;
    let by_passphrase = request.seal_to.is_empty();
    let sealed = if by_passphrase {
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
    put(&Home::bundle(&request.host), &sealed, pieces::PRIVATE)?;
    Ok(Issued {
        host: request.host.clone(),
        role: leaf.role,
        certificate,
        key_file: key_file(&request.seal_to),
    })
}

/// Seals a bundle with a generated passphrase, and opens it again.
pub fn seal_with_passphrase(archive: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, Failure> {
    let to = SealTo::Passphrase {
        passphrase,
        work_factor: GENERATED_WORK_FACTOR,
    };
    let sealed = relayca_bundle::seal(archive, &to)?;
    let opened = relayca_bundle::open(&sealed, &OpenWith::Passphrase(passphrase))?;
    if *opened == archive {
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
