//! What the rules are told of a system beside its main.cf and master.cf.
//!
//! Enters: plain values, gathered by whoever can look: modes, dates, what certificates say. Leaves: answers to the
//! rules. Refuses to know: how to look. A fact that nobody gathered is unknown, never false.

use std::collections::BTreeMap;

use crate::config::Version;

/// All that is known of a system.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The Postfix that reads the configuration, where it is known.
    pub version: Option<Version>,
    /// The map types it has (`postconf -m`), where that is known.
    pub map_types: Option<Vec<String>>,
    /// Files and directories by the absolute path that Postfix uses (below `--root` it lies elsewhere).
    pub paths: BTreeMap<String, Look>,
    /// What the system's own `postconf` says on stderr about the configuration, a line each, each once.
    pub complaints: Vec<String>,
    /// When it was looked, in seconds since 1970.
    pub now: i64,
}

impl Facts {
    /// What is known of a path.
    #[must_use]
    pub fn look(&self, path: &str) -> Option<&Look> {
        self.paths.get(path)
    }

    /// A file or directory that is there and could be looked at.
    #[must_use]
    pub fn found(&self, path: &str) -> Option<&Found> {
        match self.paths.get(path) {
            Some(Look::Found(found)) => Some(found),
            _ => None,
        }
    }

    /// Whether the version is known and at least this.
    #[must_use]
    pub fn at_least(&self, major: u16, minor: u16) -> bool {
        self.version
            .is_some_and(|version| version >= Version { major, minor })
    }

    /// Whether the version is known and older than this.
    #[must_use]
    pub fn older_than(&self, major: u16, minor: u16) -> bool {
        self.version
            .is_some_and(|version| version < Version { major, minor })
    }
}

/// What looking at a path gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// There is nothing.
    Absent,
    /// It may be there; this user may not see. Not a fault of the configuration.
    Unreadable {
        /// In the words of the system.
        why: String,
    },
    /// It is there.
    Found(Box<Found>),
}

/// A file or directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether it is a directory.
    pub directory: bool,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was last written, in seconds since 1970.
    pub modified: i64,
    /// What is in it, for those files that were opened: certificates and keys.
    pub pem: Option<Vec<Pem>>,
    /// What is in it, for maps and scripts: at most 1 MiB of text, else nothing.
    pub text: Option<String>,
    /// The mode and content may be unknown although it is there: then this says why.
    pub unopened: Option<String>,
}

/// A PEM block, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// A certificate.
    Certificate(Box<Certificate>),
    /// A private key.
    Key(Key),
    /// Something else, or something broken: its label, and what is wrong with it.
    Other {
        /// What stands behind `BEGIN`.
        label: String,
        /// Why it could not be read; none if it is merely of another kind.
        why: Option<String>,
    },
}

/// What a certificate says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The subject, readable.
    pub subject: String,
    /// The issuer, readable.
    pub issuer: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// SHA-256 of the SPKI, lower-case hex: equal to the [`Key::spki`] of its key.
    pub spki: String,
    /// SHA-256 of the certificate, lower-case hex.
    pub sha256: String,
    /// DNS names and addresses.
    pub alt_names: Vec<String>,
    /// Whether it is a CA's.
    pub ca: bool,
    /// Whether it may be used by a TLS client (no EKU, or clientAuth in it).
    pub client: bool,
    /// Whether it may be used by a TLS server.
    pub server: bool,
    /// Whether issuer and subject are one and its own key signed it.
    pub self_signed: bool,
    /// The kind of key, for example `p256` or `rsa2048`.
    pub key: String,
}

/// What can be said of a private key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// SHA-256 of its SPKI, lower-case hex; none if it is encrypted or of a kind that is not known.
    pub spki: Option<String>,
    /// Whether a passphrase is needed, which no daemon has.
    pub encrypted: bool,
}
