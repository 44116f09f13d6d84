//! The files of an authority: who may read and change them, and what should not be there.
//!
//! In: the names below the authority with their modes and owners. Out: findings. It refuses to know the disk, and what sealed
//! files and certificates hold.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};

use super::{Finding, Look, some_of};
use crate::home::{
    ADMIN_IDENTITY, CA_CERTIFICATE, CA_KEY, CA_PASSPHRASE, CERTIFICATE, INVENTORY, KEY, PASSPHRASE,
    SETTINGS,
};

/// What is younger may be in the hands of a command at this moment.
const AT_WORK: Duration = Duration::minutes(10);

/// A name below the authority.
#[derive(Debug, Clone)]
pub struct FileFact {
    /// Below the authority; empty for the authority's directory itself.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// User id.
    pub owner: u32,
    /// When it was last changed.
    pub modified: OffsetDateTime,
    /// What a file of no known name holds.
    pub holds: Option<Secret>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A plain file.
    File,
    /// A symbolic link.
    Link,
    /// A socket, a device.
    Other,
}

/// A secret in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// A private key.
    PrivateKey,
    /// An age identity.
    Identity,
}

/// What a name is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A directory of ours.
    Directory,
    /// Sealed or encrypted: its owner's alone.
    Secret,
    /// Not secret; a group may read it, so that a monitor can be let in.
    Shared,
    /// Public.
    Public,
    /// Under way, see `staged`.
    Staged,
    /// Not ours.
    Unknown,
}

impl Place {
    /// What the name below the authority is for; `cas` are the serials of the CAs.
    pub fn of(path: &str, cas: &BTreeSet<String>) -> Self {
        match path {
            "" | "ca" | "bundles" | "bundles/old" | "staged" => return Self::Directory,
            SETTINGS | INVENTORY => return Self::Shared,
            CA_CERTIFICATE => return Self::Public,
            CA_KEY | CA_PASSPHRASE | ADMIN_IDENTITY => return Self::Secret,
            // The journal of a change that is being made, or of one that is over.
            "inventory.db-journal" => return Self::Shared,
            _ => {}
        }
        if path.starts_with("staged/") {
            return Self::Staged;
        }
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["ca", serial] if cas.contains(*serial) => Self::Directory,
            ["ca", serial, name] if cas.contains(*serial) => match *name {
                CERTIFICATE => Self::Public,
                KEY | PASSPHRASE => Self::Secret,
                _ => Self::Unknown,
            },
            ["bundles", name] | ["bundles", "old", name] => {
                if name.ends_with(".tar.age") || name.ends_with(".passphrase.age") {
                    Self::Secret
                } else if name.ends_with(".public.tar") {
                    Self::Shared
                } else {
                    Self::Unknown
                }
            }
            _ => Self::Unknown,
        }
    }

    /// Permission bits that it may have.
    fn widest(self) -> u32 {
        match self {
            Self::Directory => 0o750,
            Self::Secret => 0o600,
            Self::Shared => 0o640,
            Self::Public => 0o644,
            Self::Staged | Self::Unknown => 0o777,
        }
    }
}

/// Looks for private keys and age identities in the clear among these bytes.
pub fn secret_in(content: &[u8]) -> Option<Secret> {
    let text = String::from_utf8_lossy(content);
    if text.contains("AGE-SECRET-KEY-1") {
        return Some(Secret::Identity);
    }
    for block in text.split("-----BEGIN ").skip(1) {
        let Some((label, rest)) = block.split_once("-----") else {
            continue;
        };
        // The old encryption says so in a header below the label. A key of OpenSSH does not tell.
        let encrypted = label.starts_with("ENCRYPTED")
            || rest.trim_start().starts_with("Proc-Type: 4,ENCRYPTED");
        if label.ends_with("PRIVATE KEY") && !encrypted {
            return Some(Secret::PrivateKey);
        }
    }
    let der = content.first() == Some(&0x30)
        && relayca_ca::spki_of(content).is_ok_and(|all| {
            all.iter()
                .any(|one| one.kind == relayca_ca::InspectedKind::PrivateKey)
        });
    der.then_some(Secret::PrivateKey)
}

/// Modes, owners, links, leftovers and what is not ours. `committed` are the staged changes that the inventory has.
pub fn findings(
    files: &[FileFact],
    cas: &BTreeSet<String>,
    committed: &BTreeSet<String>,
    look: &Look,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let owner = files
        .iter()
        .find(|file| file.path.is_empty())
        .map(|root| root.owner);
    let mut strangers: Vec<&FileFact> = Vec::new();
    let mut told = BTreeSet::new();
    for file in files {
        let place = Place::of(&file.path, cas);
        let shown = shown(&file.path);
        if file.kind == Kind::Link {
            if place != Place::Unknown || file.path.starts_with("ca/") {
                found.push(Finding::warning(
                    "file-symlink",
                    shown,
                    "it is a symbolic link: what it leads to is not under this authority's protection",
                    "put the file itself there",
                ));
            }
            continue;
        }
        if let Some(secret) = file.holds {
            found.push(clear(&shown, secret));
            continue;
        }
        match place {
            Place::Staged => found.extend(leftover(file, committed, &mut told, look)),
            Place::Unknown => found.extend(unexpected(file)),
            _ => {
                found.extend(of_mode(file, place));
                if owner.is_some_and(|owner| owner != file.owner) {
                    strangers.push(file);
                }
            }
        }
    }
    if let Some(first) = strangers.first() {
        found.push(Finding::warning(
            "file-other-owner",
            &first.path,
            format!(
                "the owner of the authority does not own {}",
                some_of(strangers.iter().map(|file| file.path.as_str()))
            ),
            "run relayca as the owner only, and give them back: `chown -R --reference=DIR DIR`",
        ));
    }
    for (name, what) in [(INVENTORY, "inventory"), (SETTINGS, "settings")] {
        if !files.iter().any(|file| file.path == name) {
            found.push(Finding::critical(
                "file-missing",
                name,
                format!("the {what} is not there"),
                "restore it from a backup",
            ));
        }
    }
    found
}

fn shown(path: &str) -> String {
    if path.is_empty() { "." } else { path }.to_owned()
}

fn of_mode(file: &FileFact, place: Place) -> Option<Finding> {
    let surplus = file.mode & 0o777 & !place.widest();
    if surplus == 0 {
        return None;
    }
    let path = shown(&file.path);
    let (mode, widest) = (file.mode & 0o777, place.widest());
    let narrow = if place == Place::Directory {
        0o700
    } else if place == Place::Public {
        0o644
    } else {
        0o600
    };
    let hint = format!("`chmod {narrow:o}` it");
    Some(if surplus & 0o022 != 0 {
        Finding::critical(
            "file-writable-by-others",
            path,
            format!("others than its owner may change it (mode {mode:04o})"),
            format!("{hint}, and find out who did"),
        )
    } else {
        Finding::warning(
            "file-open-to-others",
            path,
            format!("its mode is {mode:04o}, and {widest:04o} is the most it should be"),
            hint,
        )
    })
}

fn clear(path: &str, secret: Secret) -> Finding {
    match secret {
        Secret::PrivateKey => Finding::critical(
            "clear-private-key",
            path,
            "it holds a private key in the clear",
            "take it away; if it is the CA's or a host's, whoever read it can relay: replace that key",
        ),
        Secret::Identity => Finding::critical(
            "clear-identity",
            path,
            "it holds an age identity in the clear: whoever takes this directory may open all of it",
            "keep it elsewhere, and name it with -i or as `identities` in relayca.toml",
        ),
    }
}

/// What a killed process left, unless somebody is at work just now: one finding a change.
fn leftover<'a>(
    file: &'a FileFact,
    committed: &BTreeSet<String>,
    told: &mut BTreeSet<&'a str>,
    look: &Look,
) -> Option<Finding> {
    let name = file.path.strip_prefix("staged/")?;
    let (first, below) = name
        .split_once('/')
        .map_or((name, ""), |(first, below)| (first, below));
    let is_directory = !below.is_empty() || file.kind == Kind::Directory;
    if look.now - file.modified < AT_WORK {
        return None;
    }
    let Some((id, _)) = crate::disk::id_of(first, is_directory) else {
        return Some(Finding::warning(
            "unexpected-file",
            &file.path,
            "relayca puts no such file there",
            "take it away, or put it elsewhere",
        ));
    };
    if !below.is_empty() || !told.insert(id) {
        return None;
    }
    Some(if committed.contains(id) {
        Finding::warning(
            "staged-leftover",
            &file.path,
            "a change that an interrupted command committed is not in its place yet",
            format!("`{} list`, as the owner, finishes it", look.relayca),
        )
    } else {
        Finding::warning(
            "staged-leftover",
            &file.path,
            "an interrupted command left it, and nothing of it counts",
            "the next command that changes something takes it away",
        )
    })
}

fn unexpected(file: &FileFact) -> Option<Finding> {
    if file.path.ends_with(crate::disk::UNMERGED) {
        return Some(Finding::warning(
            "unmerged",
            &file.path,
            "a change could not be written, because the file beside it was edited meanwhile",
            "bring the two together by hand, and remove this one",
        ));
    }
    if file.path.starts_with("ca/") {
        return Some(Finding::warning(
            "unexpected-file",
            &file.path,
            "relayca puts no such file beside the CA key",
            "take it away, or put it elsewhere",
        ));
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_the_clear_are_known_and_encrypted_ones_are_none() {
        for (text, secret) in [
            (
                "x\n-----BEGIN PRIVATE KEY-----\nMA==\n",
                Some(Secret::PrivateKey),
            ),
            (
                "-----BEGIN EC PRIVATE KEY-----\nMA==\n",
                Some(Secret::PrivateKey),
            ),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n", None),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
                None,
            ),
            ("-----BEGIN CERTIFICATE-----\nMA==\n", None),
            ("# created\nAGE-SECRET-KEY-1QQ\n", Some(Secret::Identity)),
            ("notes", None),
        ] {
            assert_eq!(secret_in(text.as_bytes()), secret, "{text}");
        }
        let key = relayca_ca::PrivateKey::generate(relayca_ca::KeyType::P256).unwrap();
        assert_eq!(secret_in(key.pkcs8_der()), Some(Secret::PrivateKey));
    }

    #[test]
    fn each_name_has_its_place() {
        let cas = BTreeSet::from(["0a".to_owned()]);
        for (path, place) in [
            ("", Place::Directory),
            ("ca/0a", Place::Directory),
            ("ca/0a/ca.key.pem", Place::Secret),
            ("ca/0b/ca.key.pem", Place::Unknown),
            ("ca/notes", Place::Unknown),
            ("bundles/a.example.org.tar.age", Place::Secret),
            ("bundles/a.example.org.public.tar", Place::Shared),
            ("bundles/old/0a.tar.age", Place::Secret),
            ("bundles/old/x/y", Place::Unknown),
            ("staged/1/x", Place::Staged),
            ("staged/1=x", Place::Staged),
            ("relayca.toml", Place::Shared),
            ("relayca.toml.unmerged", Place::Unknown),
        ] {
            assert_eq!(Place::of(path, &cas), place, "{path}");
        }
    }
}
