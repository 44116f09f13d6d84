//! Other systems to try things on: Debian's suites, each with its own Postfix, OpenSSL and C library.
//!
//! Enters: a suite's name. Leaves: its [`Tree`], made by debootstrap the first time and kept outside the repository. Refuses to
//! know what is tried there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::Tree;

/// The suites that are tried, oldest first, with what they have.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "bullseye",
        postfix: "3.5",
        openssl: "1.1.1",
    },
    Suite {
        name: "bookworm",
        postfix: "3.7",
        openssl: "3.0",
    },
    Suite {
        name: "trixie",
        postfix: "3.10",
        openssl: "3.5",
    },
    Suite {
        name: "sid",
        postfix: "3.11",
        openssl: "3.6",
    },
];

/// What every tree has.
const BASE: &str = "postfix,postfix-lmdb,openssl";
/// What is added where the suite has it.
const FURTHER: &[&str] = &["age", "postfix-cdb"];
const MIRROR: &str = "http://deb.debian.org/debian";

/// A suite of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// Its code name.
    pub name: &'static str,
    /// The Postfix in it.
    pub postfix: &'static str,
    /// The OpenSSL in it.
    pub openssl: &'static str,
}

impl Suite {
    /// The suite of this name.
    ///
    /// # Errors
    /// Where it is none of [`SUITES`].
    pub fn named(name: &str) -> Result<Self> {
        let known: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        SUITES
            .iter()
            .find(|suite| suite.name == name)
            .copied()
            .with_context(|| format!("`{name}` is none of {}", known.join(", ")))
    }

    /// Its tree: below `RELAYCA_LAB`, or else `relayca-lab` in the user's cache. Made if it is not there, which takes
    /// about a minute.
    ///
    /// # Errors
    /// Where debootstrap is missing or fails.
    pub fn tree(self) -> Result<Tree> {
        let place = place()?.join(self.name);
        let tree = Tree::at(&place);
        if !place.join("usr/sbin/postconf").exists() {
            self.make(&place)?;
        }
        for package in FURTHER {
            add(&tree, &place, package)?;
        }
        Ok(tree)
    }

    #[allow(
        clippy::print_stdout,
        reason = "it takes a minute, in which somebody waits"
    )]
    fn make(self, place: &std::path::Path) -> Result<()> {
        println!("lab: making {} in {}", self.name, place.display());
        fs::create_dir_all(place.parent().context("the cache has no place")?)?;
        // A tree that is cut short must not be taken for one.
        let unfinished = place.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let output = Command::new("debootstrap")
            .arg("--variant=minbase")
            .arg(format!("--include={BASE}"))
            .arg(self.name)
            .arg(&unfinished)
            .arg(MIRROR)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .context("run debootstrap (Debian package `debootstrap`)")?;
        if !output.status.success() {
            let log = fs::read_to_string(unfinished.join("debootstrap/debootstrap.log"));
            bail!(
                "debootstrap {}: {}{}",
                self.name,
                String::from_utf8_lossy(&output.stderr),
                log.unwrap_or_default()
                    .lines()
                    .rev()
                    .take(5)
                    .collect::<Vec<_>>()
                    .join("\n")
            );
        }
        fs::rename(&unfinished, place)?;
        Ok(())
    }
}

/// Where the trees are kept.
fn place() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("RELAYCA_LAB") {
        return Ok(given.into());
    }
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(cache.join("relayca-lab"))
}

/// Adds a package where the suite has it; that it has none is remembered.
fn add(tree: &Tree, place: &std::path::Path, package: &str) -> Result<()> {
    let told = place.join(format!("var/lib/relayca-lab-{package}"));
    if told.exists() {
        return Ok(());
    }
    let apt = |arguments: &[&str]| -> Result<bool> {
        let output = tree
            .command("apt-get")
            .args(["-qq", "-y", "--no-install-recommends"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()?;
        Ok(output.status.success())
    };
    if !apt(&["install", package])? {
        ensure!(
            apt(&["update"])?,
            "apt-get update fails in {}",
            place.display()
        );
        apt(&["install", package])?;
    }
    fs::write(told, "")?;
    Ok(())
}
