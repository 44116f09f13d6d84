//! The files that an authority is made of.
//!
//! In: paths below it. Out: which of them are its own, and how large they may be. It refuses to know what is in them.
//! `backup` takes no other file, and `restore` lays out no other.

use std::path::Path;

use walkdir::WalkDir;

use crate::failure::Failure;
use crate::home;

/// What every authority has.
pub const REQUIRED: [&str; 5] = [
    home::SETTINGS,
    home::CA_CERTIFICATE,
    home::CA_KEY,
    home::CA_PASSPHRASE,
    home::INVENTORY,
];

/// Mode of a directory of an authority.
pub const DIRECTORY: u32 = 0o700;

/// A file of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Bytes that it has at most.
    pub longest: u64,
    /// Whether others on the machine may read it.
    pub public: bool,
}

/// What the file at this path below an authority is; `None`: not one of its own.
pub fn part(path: &str) -> Option<Part> {
    let names: Vec<&str> = path.split('/').collect();
    let (longest, public) = match names.as_slice() {
        [home::SETTINGS] => (4 << 20, true),
        [home::INVENTORY] => (16 << 30, false),
        [home::CA, name] if *name == admin_identity() => (1 << 20, false),
        [home::CA, name] => of_a_ca(name)?,
        [home::CA, serial, name] if is_serial(serial) => of_a_ca(name)?,
        ["bundles", name] | ["bundles", "old", name] if is_bundle(name) => (64 << 20, false),
        _ => return None,
    };
    Some(Part { longest, public })
}

/// Whether an authority has a directory of this path.
pub fn is_directory(path: &str) -> bool {
    match path.split_once('/') {
        None => matches!(path, home::CA | "bundles"),
        Some((home::CA, serial)) => is_serial(serial),
        Some(("bundles", name)) => name == "old",
        Some(_) => false,
    }
}

fn of_a_ca(name: &str) -> Option<(u64, bool)> {
    match name {
        home::CERTIFICATE => Some((1 << 20, true)),
        home::KEY | home::PASSPHRASE => Some((1 << 20, false)),
        _ => None,
    }
}

fn admin_identity() -> &'static str {
    home::ADMIN_IDENTITY
        .rsplit('/')
        .next()
        .unwrap_or(home::ADMIN_IDENTITY)
}

fn is_serial(name: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (2..=40).contains(&name.len()) && name.bytes().all(hex)
}

fn is_bundle(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let named = name
        .strip_suffix(".age")
        .or_else(|| name.strip_suffix(".tar"));
    named.is_some_and(|rest| !rest.is_empty())
        && name.len() <= 255
        && !name.starts_with(['.', '-'])
        && name.bytes().all(plain)
}

/// What lies in an authority.
#[derive(Debug, Default)]
pub struct Found {
    /// Its directories, sorted.
    pub directories: Vec<String>,
    /// Its files without the inventory, sorted.
    pub files: Vec<String>,
    /// What is not its own.
    pub foreign: Vec<String>,
}

/// Lists an authority. The inventory and what is staged are left out: the one is not read as a file, the other not in place.
pub fn find(root: &Path) -> Result<Found, Failure> {
    let mut found = Found::default();
    let entries = WalkDir::new(root)
        .min_depth(1)
        .max_depth(3)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !(entry.depth() == 1 && entry.file_name() == "staged"));
    for entry in entries {
        let entry = entry.map_err(|error| {
            Failure::new(format!("cannot read `{}`: {error}", root.display()))
                .hint("run it as the user who owns the authority")
        })?;
        let path = entry.path();
        let relative = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        let relative = relative.into_owned();
        if entry.file_type().is_dir() {
            if is_directory(&relative) {
                found.directories.push(relative);
            } else {
                found.foreign.push(relative);
            }
        } else if relative == home::INVENTORY {
            continue;
        } else if part(&relative).is_some() && path.is_file() {
            found.files.push(relative);
        } else if relative != format!("{}-journal", home::INVENTORY) {
            found.foreign.push(relative);
        }
        if found.files.len() + found.foreign.len() > relayca_bundle::MAX_TREE_ENTRIES {
            return Err(Failure::new(format!(
                "`{}` has more files than any authority",
                root.display()
            ))
            .hint("look at what lies there"));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_an_authority_are_its_parts() {
        for path in [
            "relayca.toml",
            "inventory.db",
            "ca/ca.crt.pem",
            "ca/ca.key.pem",
            "ca/ca.passphrase.age",
            "ca/admin.identity.age",
            "ca/0a1b/ca.key.pem",
            "bundles/mailhost.example.org.tar.age",
            "bundles/mailhost.example.org.public.tar",
            "bundles/old/0a1b.passphrase.age",
        ] {
            assert!(part(path).is_some(), "{path}");
        }
        for path in [
            "",
            "x",
            "inventory.db-journal",
            "ca/x.pem",
            "ca/0A1B/ca.key.pem",
            "ca/xyz/ca.key.pem",
            "ca/0a1b/admin.identity.age",
            "ca/0a1b/0a1b/ca.key.pem",
            "bundles/.age",
            "bundles/.x.age",
            "bundles/-x.age",
            "bundles/x.sh",
            "bundles/old/old/x.age",
            "bundles/older/x.age",
            "staged/a/b.age",
            "/relayca.toml",
            "../relayca.toml",
            "ca/../relayca.toml",
        ] {
            assert!(part(path).is_none(), "{path}");
        }
        for path in ["ca", "ca/0a1b", "bundles", "bundles/old"] {
            assert!(is_directory(path), "{path}");
        }
        for path in [
            "",
            ".",
            "..",
            "staged",
            "ca/..",
            "bundles/x",
            "old",
            "ca/0a/0a",
        ] {
            assert!(!is_directory(path), "{path}");
        }
        assert!(part("ca/ca.crt.pem").unwrap().public);
        assert!(!part("ca/ca.key.pem").unwrap().public);
        for path in REQUIRED {
            assert!(part(path).is_some(), "{path}");
        }
    }
}
