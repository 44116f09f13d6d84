//! The CA in a tree: its certificate, and the key that belongs to it.
//!
//! In: what was found, and a passphrase for a key that is encrypted. Out: the CA, able to sign, and where its parts lie. What a
//! file is called counts for nothing: the key is the CA's when the certificate says so.

use std::collections::BTreeSet;

use relayca_ca::{Authority, Certificate, KeyError, PrivateKey};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::contents::{Contents, FoundCertificate, FoundKey};
use super::passphrase::Source;
use super::tree::listed;
use crate::failure::Failure;
use crate::printer::one_line;

/// Encrypted keys that are tried with the passphrase; each may cost seconds.
const MOST_TRIED: usize = 16;

/// The CA of a tree.
#[derive(Debug)]
pub struct SourceCa {
    /// Its certificate and its key, fit for each other and valid today.
    pub authority: Authority,
    /// Files that hold the certificate.
    pub certificate_files: Vec<String>,
    /// Files that hold the key.
    pub key_files: Vec<String>,
    /// Those that hold it in the clear.
    pub clear_key_files: Vec<String>,
}

/// Whether a certificate is an authority's: it says so, or is a root of version 1.
pub fn is_authority(certificate: &Certificate) -> bool {
    certificate.is_ca()
        || relayca_ca::weaknesses(certificate)
            .iter()
            .any(|finding| finding.code == "authority-version")
}

/// Finds it. `what` names the tree for messages.
pub fn find(
    contents: &Contents,
    passphrase: &Source,
    what: &str,
    now: OffsetDateTime,
) -> Result<SourceCa, Failure> {
    let candidates = candidates(contents, what)?;
    let at_work = at_work(contents, &candidates);
    let encrypted = contents.keys.iter().any(|key| key.spki_der.is_none());
    let mut opened = None;
    let key = match clear_key(contents, &at_work)? {
        Some(key) => key,
        None if encrypted => {
            let (key, block) = encrypted_key(contents, &candidates, passphrase)?;
            opened = Some(block);
            key
        }
        None => clear_key(contents, &candidates)?.ok_or_else(|| no_key(contents, &candidates))?,
    };
    let chosen = certificate_of(&candidates, &key, now)?;
    let authority = Authority::load(chosen.certificate.clone(), key, now).map_err(|error| {
        Failure::from(error)
            .within(first_file(chosen))
            .or_hint("only a self-signed CA that is valid now can be taken over; `relayca init` makes a new one")
    })?;
    let spki = authority.certificate().spki_der();
    let files = |same: &dyn Fn(&FoundKey) -> bool| -> BTreeSet<String> {
        let found = contents.keys.iter().filter(|key| same(key));
        found.map(|key| key.file.clone()).collect()
    };
    let clear = files(&|key| key.spki_der.as_deref() == Some(spki));
    // Copies of the encrypted one are the same text, or are called the same; where it was never opened, they are called after it.
    let mut all = files(&|key| opened.is_some_and(|opened| opened.pem == key.pem));
    all.extend(clear.iter().cloned());
    let names: BTreeSet<String> = all.iter().map(|file| base_name(file).to_owned()).collect();
    all.extend(files(&|key| {
        key.spki_der.is_none()
            && (names.contains(base_name(&key.file))
                || opened.is_none() && called_after_a_ca(&key.file))
    }));
    Ok(SourceCa {
        certificate_files: chosen.files.clone(),
        key_files: all.into_iter().collect(),
        clear_key_files: clear.into_iter().collect(),
        authority,
    })
}

/// The authorities' certificates.
fn candidates<'a>(
    contents: &'a Contents,
    what: &str,
) -> Result<Vec<&'a FoundCertificate>, Failure> {
    let (authorities, leaves): (Vec<_>, Vec<_>) = contents
        .certificates
        .iter()
        .partition(|found| is_authority(&found.certificate));
    if !authorities.is_empty() {
        return Ok(authorities);
    }
    let others = match leaves.first() {
        Some(leaf) => format!(
            "; what there is, such as `{}`, is no authority's",
            one_line(first_file(leaf))
        ),
        None => String::new(),
    };
    Err(
        Failure::new(format!("there is no CA certificate in `{what}`{others}"))
            .hint("name the directory that the CA's certificate and key lie in"),
    )
}

/// Those that signed others in the tree, if any did; a tree may hold certificates of CAs that have nothing to do with it.
fn at_work<'a>(
    contents: &Contents,
    candidates: &[&'a FoundCertificate],
) -> Vec<&'a FoundCertificate> {
    let signed_some = |ca: &FoundCertificate| {
        contents.certificates.iter().any(|found| {
            found.certificate != ca.certificate && found.certificate.issuer_is(&ca.certificate)
        })
    };
    let at_work: Vec<_> = candidates
        .iter()
        .filter(|ca| signed_some(ca))
        .copied()
        .collect();
    if at_work.is_empty() {
        candidates.to_vec()
    } else {
        at_work
    }
}

/// A key in the clear that belongs to one of them.
fn clear_key(
    contents: &Contents,
    candidates: &[&FoundCertificate],
) -> Result<Option<PrivateKey>, Failure> {
    let mut found: Option<&FoundKey> = None;
    for key in &contents.keys {
        let Some(spki) = &key.spki_der else { continue };
        if !candidates
            .iter()
            .any(|ca| ca.certificate.spki_der() == spki)
        {
            continue;
        }
        match found {
            Some(other) if other.spki_der != key.spki_der => {
                return Err(several(&other.file, &key.file));
            }
            _ => found = Some(key),
        }
    }
    let Some(key) = found else { return Ok(None) };
    let loaded = PrivateKey::from_pem(&key.pem);
    Ok(Some(loaded.map_err(|error| unusable(error, &key.file))?))
}

fn several(one: &str, other: &str) -> Failure {
    Failure::new(format!(
        "`{}` and `{}` are keys of two CAs; one is taken over at a time",
        one_line(one),
        one_line(other)
    ))
    .hint("copy the certificate and key of each, and what it signed, into a directory of its own")
}

fn unusable(error: KeyError, file: &str) -> Failure {
    Failure::from(error)
        .within(format_args!("the CA key `{}`", one_line(file)))
        .or_hint("a CA with such a key cannot be taken over; `relayca init` makes a new one")
}

/// The encrypted key that the passphrase opens and that belongs to one of them.
fn encrypted_key<'a>(
    contents: &'a Contents,
    candidates: &[&FoundCertificate],
    passphrase: &Source,
) -> Result<(PrivateKey, &'a FoundKey), Failure> {
    let mut seen = BTreeSet::new();
    let mut keys: Vec<&FoundKey> = contents
        .keys
        .iter()
        .filter(|key| key.spki_der.is_none() && seen.insert(key.pem.as_str()))
        .collect();
    // Only the order is guessed by names: the likely ones first.
    keys.sort_by_key(|key| (!called_after_a_ca(&key.file), key.file.as_str()));
    let names: Vec<&str> = candidates.iter().map(|ca| first_file(ca)).collect();
    let first = keys
        .first()
        .map(|key| one_line(&key.file))
        .unwrap_or_default();
    let passphrase: Zeroizing<String> = passphrase.read(&format!("the CA key (`{first}`)"))?;
    let mut opened = None;
    let mut refused: Option<(KeyError, &str)> = None;
    for key in keys.iter().take(MOST_TRIED) {
        match PrivateKey::decrypt(&key.pem, &passphrase) {
            Ok(loaded)
                if candidates
                    .iter()
                    .any(|ca| ca.certificate.spki_der() == loaded.spki_der()) =>
            {
                return Ok((loaded, key));
            }
            Ok(_) => opened = Some(key.file.as_str()),
            Err(KeyError::WrongPassphrase) => {}
            Err(error) => refused = refused.or(Some((error, &key.file))),
        }
    }
    if let Some(file) = opened {
        return Err(Failure::new(format!(
            "the key `{}` does not belong to the CA certificate {}",
            one_line(file),
            listed(&names)
        ))
        .hint("look for the key that was made with it: another key cannot go on for this CA"));
    }
    if let Some((error, file)) = refused {
        return Err(unusable(error, file));
    }
    let files: Vec<&str> = keys.iter().map(|key| key.file.as_str()).collect();
    Err(
        Failure::new(format!("the passphrase does not open {}", listed(&files)))
            .hint("it is the first line of the file given; `openssl pkey -noout -in FILE` tries one by hand"),
    )
}

fn no_key(contents: &Contents, candidates: &[&FoundCertificate]) -> Failure {
    let names: Vec<&str> = candidates.iter().map(|ca| first_file(ca)).collect();
    let beside: Vec<&str> = contents
        .keys
        .iter()
        .filter(|key| called_after_a_ca(&key.file))
        .map(|key| key.file.as_str())
        .collect();
    let message = if let Some((file, why)) = contents.odd_keys.first() {
        format!(
            "there is no key to the CA certificate {} that can be used; `{}`: {why}",
            listed(&names),
            one_line(file)
        )
    } else if beside.is_empty() {
        format!("there is no key to the CA certificate {}", listed(&names))
    } else {
        format!(
            "{} does not belong to the CA certificate {}",
            listed(&beside),
            listed(&names)
        )
    };
    let hint = if candidates.len() > 1 {
        "without its key a CA cannot issue: put the key into the directory, or begin anew with `relayca init`; \
         certificates of CAs that are not meant can go"
    } else {
        "without its key a CA cannot issue: put the key into the directory, or begin anew with `relayca init`"
    };
    Failure::new(message).hint(hint)
}

/// Of a CA whose certificate was renewed: the one that is valid now, and longest.
fn certificate_of<'a>(
    candidates: &[&'a FoundCertificate],
    key: &PrivateKey,
    now: OffsetDateTime,
) -> Result<&'a FoundCertificate, Failure> {
    let valid = |ca: &Certificate| ca.not_before() <= now && now <= ca.not_after();
    candidates
        .iter()
        .filter(|ca| ca.certificate.spki_der() == key.spki_der())
        .max_by_key(|ca| (valid(&ca.certificate), ca.certificate.not_after()))
        .copied()
        .ok_or_else(|| Failure::new("the CA's key fits none of its certificates"))
}

fn first_file(found: &FoundCertificate) -> &str {
    found.files.first().map_or("", String::as_str)
}

/// The name of a file without its directory.
pub fn base_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// `ca.key`, `DOMAIN-ca.key.pem`, `cakey.pem`.
fn called_after_a_ca(file: &str) -> bool {
    let name = base_name(file).to_ascii_lowercase();
    let stem = name.split(".key").next().unwrap_or(&name);
    stem.starts_with("ca")
        || stem.ends_with("-ca")
        || stem.ends_with("_ca")
        || stem.ends_with(".ca")
}
