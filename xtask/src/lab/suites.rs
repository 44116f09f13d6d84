//! Other systems to try things on: Debian's suites, each with its own Postfix, OpenSSL and C library.
//!
//! Enters: a suite's name. Leaves: its [`Tree`], made by debootstrap the first time and kept outside the repository. Refuses to
//! know what is tried there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

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
const PACKAGES: &str = "postfix,postfix-lmdb,postfix-cdb,openssl,age";
/// Where they come from, unless `RELAYCA_LAB_MIRROR` names another place.
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
        if !place.exists() {
            self.make(&place)?;
        }
        Ok(Tree::at(place))
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
            // Where the archive's keys are missing it would go on without a look at the signature.
            .args(["--variant=minbase", "--force-check-gpg"])
            .arg(format!("--include={PACKAGES}"))
            .arg(self.name)
            .arg(&unfinished)
            .arg(std::env::var("RELAYCA_LAB_MIRROR").unwrap_or_else(|_| MIRROR.into()))
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .context("run debootstrap (Debian package `debootstrap`)")?;
        if !output.status.success() {
            let log = fs::read_to_string(unfinished.join("debootstrap/debootstrap.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(5)..);
            bail!(
                "debootstrap {}: {}{}\n{}",
                self.name,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                last.unwrap_or_default().join("\n")
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
