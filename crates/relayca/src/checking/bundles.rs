//! Sealed files: whether they are whole, go together, and open to the keys that they should hold.
//!
//! In: the headers of sealed files, and what opening them gave. Out: findings. A header is in the clear; without the keys of an
//! admin it is all that can be looked at. It refuses to know how files are opened.

use std::collections::BTreeMap;

use super::{Finding, Look};
use crate::home::{CA_PASSPHRASE, PASSPHRASE};

/// Bytes behind a header: a nonce of 16, and the tag of 16 of an empty last chunk (age-encryption.org/v1).
const LEAST_PAYLOAD: usize = 32;
/// Ends the name of a bundle sealed to a key of the host, beside the admins' one.
const TO_HOST: &str = ".sealed.tar.age";
/// Ends the name of a bundle.
const BUNDLE: &str = ".tar.age";
/// Ends the name of the passphrase of a bundle.
const BUNDLE_PASSPHRASE: &str = ".passphrase.age";

/// A sealed file.
#[derive(Debug)]
pub struct Sealed {
    /// Below the authority.
    pub path: String,
    /// What its header says.
    pub header: Header,
}

/// The header of a sealed file.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// A passphrase opens it.
    Passphrase,
    /// Recipients open it: the kind of each stanza.
    Recipients(Vec<String>),
    /// It is no age file, or not all of one: why.
    Broken(String),
    /// Another user's to read.
    NotForUs,
}

impl Header {
    /// Reads the header of these bytes.
    pub fn read(content: &[u8]) -> Self {
        let by_passphrase = match relayca_bundle::sealed_with_passphrase(content) {
            Ok(by_passphrase) => by_passphrase,
            Err(error) => return Self::Broken(error.to_string()),
        };
        // The last line of a header begins with `---`. An armored file has none in the clear; relayca writes none.
        let end = content.windows(4).position(|window| window == b"\n---");
        let payload = end.and_then(|at| {
            let rest = content.get(at + 1..)?;
            let line = rest.iter().position(|byte| *byte == b'\n')?;
            rest.get(line + 1..)
        });
        if payload.is_some_and(|payload| payload.len() < LEAST_PAYLOAD) {
            return Self::Broken("the age file is cut short".to_owned());
        }
        if by_passphrase {
            return Self::Passphrase;
        }
        let head = content.get(..end.unwrap_or(0)).unwrap_or_default();
        let kinds = head
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"-> "))
            .map(|stanza| {
                let kind = stanza
                    .split(|byte| *byte == b' ')
                    .next()
                    .unwrap_or_default();
                String::from_utf8_lossy(kind).into_owned()
            })
            .collect();
        Self::Recipients(kinds)
    }
}

impl Sealed {
    /// Whether it is sealed to the admins' recipients, if it is sealed to any.
    pub fn to_admins(&self) -> bool {
        self.path.ends_with(BUNDLE_PASSPHRASE) || self.path.ends_with(PASSPHRASE)
    }
}

/// A bundle and the file with its passphrase.
#[derive(Debug)]
pub struct Pair {
    /// The bundle, below the authority.
    pub bundle: String,
    /// Its passphrase.
    pub passphrase: String,
    /// The host, or for a bundle that was put aside the serial of its certificate.
    pub of: String,
}

/// The bundles that have a passphrase.
pub fn pairs(sealed: &[Sealed]) -> Vec<Pair> {
    sealed
        .iter()
        .filter_map(|file| {
            let stem = file.path.strip_suffix(BUNDLE_PASSPHRASE)?;
            let name = stem.strip_prefix("bundles/")?;
            Some(Pair {
                bundle: format!("{stem}{BUNDLE}"),
                passphrase: file.path.clone(),
                of: name.strip_prefix("old/").unwrap_or(name).to_owned(),
            })
        })
        .collect()
}

/// Files that are not whole, and bundles without their passphrase or the other way round. A host that made its own key has
/// neither, and a bundle may be taken away once the host has it: that both are missing is no fault.
pub fn findings(sealed: &[Sealed], look: &Look) -> Vec<Finding> {
    let backup = "restore it from a backup";
    let by_path: BTreeMap<&str, &Header> = sealed
        .iter()
        .map(|file| (file.path.as_str(), &file.header))
        .collect();
    let mut found = Vec::new();
    for file in sealed {
        let path = file.path.as_str();
        if let Header::Broken(why) = &file.header {
            found.push(if path.starts_with("ca/") {
                Finding::critical("sealed-damaged", path, why, backup)
            } else {
                Finding::warning("sealed-damaged", path, why, anew(path, look))
            });
        }
        if !path.starts_with("bundles/") || path.ends_with(TO_HOST) {
            continue;
        }
        if let Some(stem) = path.strip_suffix(BUNDLE_PASSPHRASE) {
            let bundle = format!("{stem}{BUNDLE}");
            match by_path.get(bundle.as_str()) {
                None => found.push(Finding::warning(
                    "bundle-incomplete",
                    path,
                    format!("the bundle that it opens is not there: `{bundle}`"),
                    backup,
                )),
                Some(Header::Recipients(_)) => found.push(Finding::warning(
                    "bundle-incomplete",
                    path,
                    format!("the bundle `{bundle}` is not sealed with a passphrase"),
                    backup,
                )),
                Some(_) => {}
            }
        } else if let Some(stem) = path.strip_suffix(BUNDLE)
            && file.header == Header::Passphrase
            && !by_path.contains_key(format!("{stem}{BUNDLE_PASSPHRASE}").as_str())
        {
            found.push(Finding::warning(
                "bundle-incomplete",
                path,
                format!("the passphrase that opens it is not there: `{stem}{BUNDLE_PASSPHRASE}`"),
                backup,
            ));
        }
    }
    found
}

/// What mends a bundle that does not open.
fn anew(path: &str, look: &Look) -> String {
    let host = path
        .strip_prefix("bundles/")
        .filter(|name| !name.contains('/'))
        .and_then(|name| {
            [TO_HOST, BUNDLE_PASSPHRASE, BUNDLE]
                .iter()
                .find_map(|end| name.strip_suffix(end))
        });
    match host {
        Some(host) => format!(
            "restore it from a backup; if {host} has its key no more either: `{} renew --rekey {host}`",
            look.relayca
        ),
        None => "restore it from a backup".to_owned(),
    }
}

/// What opening a sealed file gave.
#[derive(Debug)]
pub enum Opened {
    /// What it should hold.
    Good,
    /// It does not open, or does not hold what it should: the file, and why.
    Failed {
        /// The file at fault, below the authority.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// It opens to a key that is not the one of the certificate.
    OtherKey {
        /// The file, below the authority.
        path: String,
    },
}

/// What opening the CA keys gave.
pub fn of_ca_keys(opened: Vec<Opened>) -> Vec<Finding> {
    let backup = "restore the file from a backup";
    opened
        .into_iter()
        .filter_map(|one| match one {
            Opened::Good => None,
            Opened::Failed { path, why } => {
                let id = if path.ends_with(PASSPHRASE) {
                    "ca-passphrase-does-not-open"
                } else {
                    "ca-key-does-not-open"
                };
                Some(Finding::critical(id, path, why, backup))
            }
            Opened::OtherKey { path } => Some(Finding::critical(
                "ca-key-differs",
                path,
                "it is not the key of the CA certificate beside it",
                backup,
            )),
        })
        .collect()
}

/// What opening the bundles gave.
pub fn of_bundles(opened: Vec<Opened>, look: &Look) -> Vec<Finding> {
    opened
        .into_iter()
        .filter_map(|one| match one {
            Opened::Good => None,
            Opened::Failed { path, why } => {
                let hint = anew(&path, look);
                Some(Finding::warning("bundle-does-not-open", path, why, hint))
            }
            Opened::OtherKey { path } => {
                let hint = anew(&path, look);
                Some(Finding::warning(
                    "bundle-other-key",
                    path,
                    "the key in it is not the one of the host's certificate",
                    hint,
                ))
            }
        })
        .collect()
}

/// The passphrase of the active CA opens nothing else that it should.
pub fn of_wrapped(path: &str, why: String) -> Finding {
    Finding::critical(
        "admin-identity-does-not-open",
        path,
        why,
        format!("restore it from a backup of the same time as `{CA_PASSPHRASE}`"),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_its_stanzas_and_whether_something_follows() {
        let (_, recipient) = relayca_bundle::generate_identity();
        let prompt = relayca_bundle::no_prompt();
        let to = relayca_bundle::SealTo::Recipients {
            recipients: &[recipient],
            prompt: &prompt,
        };
        let sealed = relayca_bundle::seal(b"", &to).unwrap();
        let Header::Recipients(kinds) = Header::read(&sealed) else {
            unreachable!("it is sealed to a recipient");
        };
        assert_eq!(kinds.iter().filter(|kind| *kind == "X25519").count(), 1);
        let short = sealed.get(..sealed.len() - 1).unwrap();
        assert!(matches!(Header::read(short), Header::Broken(_)));
        assert!(matches!(Header::read(b"hello"), Header::Broken(_)));
        assert!(matches!(Header::read(b""), Header::Broken(_)));
    }
}
