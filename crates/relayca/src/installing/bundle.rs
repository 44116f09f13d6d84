//! A bundle, opened and judged before anything of it is believed.
//!
//! In: its bytes, identities or a passphrase. Out: [`Bundle`]: whose it is, its files, what Postfix is to be told. It refuses files
//! that no bundle of relayca has, a key that does not belong to its certificate, and a certificate that does not hold today.

use std::path::{Path, PathBuf};

use relayca_bundle::{CHECKSUMS_NAME, Entry, OpenWith};
use relayca_ca::{Certificate, HostName, PrivateKey, Role};
use relayca_postfix::{ACCESS_MAP, CLIENT_MAP, authority_file, certificate_file, key_file};
use zeroize::Zeroizing;

use super::changes::found;
use super::place::Place;
use super::wanted::{self, Wanted};
use crate::disk;
use crate::failure::Failure;
use crate::printer::one_line;
use crate::run::Run;

/// What files of other mail servers' bundles end in (relayca-mta), and none of Postfix's does.
const OF_OTHERS: [&str; 6] = [
    ".exim-router",
    ".exim",
    ".relay.conf",
    ".smtpd.conf",
    ".msmtprc",
    ".remotes",
];
/// Bytes of a sealed bundle.
const LONGEST_BUNDLE: usize = 64 << 20;
/// The keys of a host's SSH server: what bundles are sealed to.
const HOST_KEYS: [&str; 2] = ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key"];
/// How sealed files begin: age's own format, and its armor.
const SEALED: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE"];

/// What is in it.
#[derive(Debug)]
pub struct Bundle {
    /// The host.
    pub host: String,
    /// The domain of the authority.
    pub domain: String,
    /// What the host is.
    pub role: Role,
    /// All files.
    pub entries: Vec<Entry>,
    /// The host's certificate; a relay's public bundle may be without one.
    pub certificate: Option<Certificate>,
    /// The CAs to trust.
    pub trust: Vec<Certificate>,
    /// What Postfix is to be told.
    pub wanted: Wanted,
}

/// Opens it and looks at all that is in it.
pub fn open(run: &Run, place: &Place, path: &Path) -> Result<Bundle, Failure> {
    let content = disk::read(path, LONGEST_BUNDLE)?;
    let named = |failure: Failure| failure.within(path.display());
    let archive = archive(run, place, path, &content)?;
    let entries = relayca_bundle::unpack(&archive).map_err(|error| {
        named(error.into()).or_hint("get the bundle anew from where the authority is")
    })?;
    understand(run, entries).map_err(named)
}

fn archive(
    run: &Run,
    place: &Place,
    path: &Path,
    content: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if !SEALED.iter().any(|begins| content.starts_with(begins)) {
        return Ok(Zeroizing::new(content.to_vec()));
    }
    let named = |error: relayca_bundle::OpenError| Failure::from(error).within(path.display());
    if relayca_bundle::sealed_with_passphrase(content).map_err(named)? {
        let passphrase = run.secrets.passphrase(&path.display().to_string())?;
        return relayca_bundle::open(content, &OpenWith::Passphrase(&passphrase)).map_err(named);
    }
    let host_keys: Vec<String> = HOST_KEYS
        .iter()
        .map(|key| place.outside(Path::new(key)))
        .filter(|key| key.is_file())
        .map(|key| key.display().to_string())
        .collect();
    let identities = run.secrets.identities(&host_keys)?.ok_or_else(|| {
        Failure::usage(format!(
            "`{}` is sealed to a key; there is no SSH host key here, and no identity was given",
            path.display()
        ))
        .hint("name the file of the key that it was sealed to: -i FILE")
    })?;
    relayca_bundle::open(content, &OpenWith::Identities(&identities)).map_err(named)
}

fn understand(run: &Run, entries: Vec<Entry>) -> Result<Bundle, Failure> {
    let ending = |end: &str| {
        let mut names = entries
            .iter()
            .filter_map(|entry| entry.name.strip_suffix(end));
        names.next().filter(|_| names.next().is_none())
    };
    let odd = |what: &str| {
        Failure::new(format!(
            "this is no bundle for one host: {what}; nothing was changed"
        ))
        .hint("`relayca issue`, `renew` and `bundle` make them, where the authority is")
    };
    if let Some(piece) = entries.iter().find(|entry| {
        OF_OTHERS
            .iter()
            .any(|end| entry.name.ends_with(end) && entry.name.len() > end.len())
    }) {
        return Err(Failure::new(format!(
            "this bundle is for another mail server than Postfix (it has `{}`); nothing was changed",
            piece.name
        ))
        .hint("INSTALL.txt in it says how to put it in place by hand"));
    }
    let host = ending(".snippet.sh")
        .ok_or_else(|| odd("there is not exactly one HOST.snippet.sh in it"))?
        .to_owned();
    HostName::parse(&host)?;
    let domain = ending("-ca.crt.pem")
        .ok_or_else(|| odd("there is not exactly one DOMAIN-ca.crt.pem in it"))?
        .to_owned();
    for entry in &entries {
        refuse_strange(entry, &host, &domain)?;
    }
    let text = |name: &str| -> Result<Option<&str>, Failure> {
        entries
            .iter()
            .find(|entry| entry.name == name)
            .map(|entry| {
                std::str::from_utf8(&entry.content).map_err(|_| odd("a file of it is no text"))
            })
            .transpose()
    };
    let trust = Certificate::all_from_pem(text(&authority_file(&domain))?.unwrap_or_default())?;
    let wanted = wanted::read(
        &host,
        &domain,
        text(&format!("{host}.main.cf"))?,
        text(&format!("{host}.master.cf"))?,
    )?;
    let role = wanted.role;
    let certificate = text(&certificate_file(&host))?
        .map(Certificate::from_pem)
        .transpose()?;
    if let Some(certificate) = &certificate {
        holds(run, certificate, &trust, role)?;
    }
    if role == Role::Relay && text(CLIENT_MAP)?.is_none() {
        return Err(odd("it has a relay's service and no list of who may relay"));
    }
    Ok(Bundle {
        certificate,
        trust,
        role,
        wanted,
        host,
        domain,
        entries,
    })
}

/// Only what bundles have: nothing else of CONFIG/relayca can be overwritten by one.
fn refuse_strange(entry: &Entry, host: &str, domain: &str) -> Result<(), Failure> {
    let name = entry.name.as_str();
    let secret = name == key_file(host);
    let ours = secret
        || name
            .strip_prefix(host)
            .is_some_and(|rest| rest.starts_with('.'))
        || name == authority_file(domain)
        || [CLIENT_MAP, ACCESS_MAP, CHECKSUMS_NAME, "INSTALL.txt"].contains(&name);
    if !ours {
        return Err(Failure::new(format!(
            "`{}` belongs to no bundle of {host}; nothing was changed",
            one_line(name)
        ))
        .hint("get the bundle anew from where the authority is"));
    }
    if secret != (entry.mode == 0o600) {
        return Err(Failure::new(format!(
            "`{name}` has the mode {:04o} in the bundle; nothing was changed",
            entry.mode
        ))
        .hint("a key is for root alone (0600), all else may be read (0644)"));
    }
    Ok(())
}

fn holds(
    run: &Run,
    certificate: &Certificate,
    trust: &[Certificate],
    role: Role,
) -> Result<(), Failure> {
    let mut findings = relayca_ca::verify(certificate, trust, Some(role), run.now);
    findings.retain(|found| found.code != "predates-authority");
    match findings.into_iter().next() {
        None => Ok(()),
        Some(found) => Err(Failure::new(format!(
            "the certificate in the bundle does not hold: {}; nothing was changed",
            found.message
        ))
        .hint(found.hint.unwrap_or_else(|| {
            "look at this machine's clock; or get a new bundle: `relayca renew`".to_owned()
        }))),
    }
}

impl Bundle {
    /// A file's bytes.
    pub fn content(&self, name: &str) -> Option<&[u8]> {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .map(|entry| entry.content.as_slice())
    }

    /// The maps that postmap is to see.
    pub fn maps(&self) -> Vec<&'static str> {
        [CLIENT_MAP, ACCESS_MAP]
            .into_iter()
            .filter(|name| self.content(name).is_some())
            .collect()
    }

    /// Where the host's certificate will lie.
    pub fn certificate_path(&self, place: &Place) -> PathBuf {
        place.files.join(certificate_file(&self.host))
    }

    /// The private key: of the bundle, or the one that lies on the host. It must belong to the certificate.
    pub fn key(&self, place: &Place) -> Result<Option<PrivateKey>, Failure> {
        let name = key_file(&self.host);
        let path = place.files.join(&name);
        let there;
        let content = match self.content(&name) {
            Some(content) => content,
            None => {
                there = found(&path)?;
                match &there {
                    Some(found) if found.mode & 0o077 != 0 || found.owner.0 != 0 => {
                        return Err(Failure::new(format!(
                            "`{}` can be read by others than root; nothing was changed",
                            path.display()
                        ))
                        .hint(format!(
                            "chown root:root {0} && chmod 600 {0}; if others may have read it, get a new key: `relayca renew --rekey`",
                            crate::steps::quoted(&path)
                        )));
                    }
                    Some(found) => found.content.as_slice(),
                    None if self.certificate.is_none() => return Ok(None),
                    None => {
                        return Err(Failure::new(format!(
                            "there is no key in the bundle, and `{}` is not there; nothing was changed",
                            path.display()
                        ))
                        .hint("install the sealed bundle first; or put the key of `relayca request` there, mode 0600"));
                    }
                }
            }
        };
        let text = std::str::from_utf8(content)
            .map_err(|_| Failure::new(format!("`{name}` is no PEM file; nothing was changed")))?;
        let key = PrivateKey::from_pem(text)?;
        match &self.certificate {
            Some(certificate) if certificate.spki_der() != key.spki_der() => {
                Err(Failure::new(format!(
                    "`{name}` does not belong to the certificate in the bundle; nothing was changed"
                ))
                .hint("the certificate is for another key: install the sealed bundle that came with that key"))
            }
            _ => Ok(Some(key)),
        }
    }
}
