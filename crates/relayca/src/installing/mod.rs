//! Putting a bundle in place on its host, and taking it away again.
//!
//! In: a bundle, the host's Postfix. Out: files in CONFIG/relayca, settings by `postconf`, a record of what was there before. It
//! refuses to know the authority, to change a setting that is not ours, and to leave anything half done: every change goes
//! through [`changes`], which has the old files at hand until the end.

pub mod age;
mod beside;
pub mod bundle;
pub mod changes;
pub mod databases;
pub mod diff;
pub mod files;
mod journal;
pub mod place;
pub mod plan;
pub mod postfix;
pub mod programs;
pub mod proof;
pub mod record;
pub mod rehearsal;
pub mod settings;
pub mod taking_back;
pub mod wanted;

/// Bytes of a file of a configuration, far above what anybody has.
pub const LONGEST: usize = 16 << 20;

/// The digest of a file, as the record and the journal have it.
pub fn digest(content: &[u8]) -> String {
    relayca_fingerprint::fingerprint(relayca_fingerprint::Digest::Sha256, content)
        .to_string()
        .replace(':', "")
        .to_lowercase()
}
