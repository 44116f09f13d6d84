//! What can go wrong with an inventory, and what to do about it.
//!
//! In: the SQLite fault and the file it concerns. Out: one error that names the cause, with the remedy in `hint`.
//! SQLite's own error type does not leave this crate.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::{Phase, State};

/// Why the inventory could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// `create` found something there.
    #[error("`{path}` exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("there is no inventory at `{path}`")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is empty: its creation was interrupted.
    #[error("`{path}` is empty; its creation was interrupted")]
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// Some other file, or some other program's database.
    #[error("`{path}` is not a relayca inventory")]
    NotAnInventory {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later relayca.
    #[error("`{path}` has layout {found}, and this relayca knows layouts up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
    /// Written by an earlier relayca, to be changed, and it may not be written, so it cannot be brought up to date.
    #[error("`{path}` has the old layout {found} (now {known}) and cannot be written")]
    Older {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The layout needed.
        known: i64,
    },
    /// Another process holds the lock.
    #[error("`{path}` is in use by another process")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A change was cut off by a crash, and this process may not roll it back.
    #[error(
        "a change to `{path}` was cut off and must be rolled back first, which needs write permission"
    )]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// The journal beside it may not be read, so that nobody knows whether a change was cut off.
    #[error(
        "`{path}` cannot be read without its journal, `{path}-journal`, which this user may not read"
    )]
    JournalHidden {
        /// The inventory.
        path: PathBuf,
    },
    /// The content is damaged.
    #[error("`{path}` is damaged: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// No room left.
    #[error("no space left to write `{path}`")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file, its directory or the file system may not be written.
    #[error("`{path}` cannot be written")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file was moved or replaced while it was open.
    #[error("`{path}` was moved or replaced while it was in use")]
    Moved {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot use `{path}`: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// The serial is in the inventory already.
    #[error("serial `{serial}` is in the inventory already")]
    SerialTaken {
        /// The serial.
        serial: String,
    },
    /// The host is in the inventory already.
    #[error("host `{name}` is in the inventory already")]
    HostTaken {
        /// The host.
        name: String,
    },
    /// A certificate for a host that was not entered.
    #[error("host `{name}` is not in the inventory")]
    UnknownHost {
        /// The host.
        name: String,
    },
    /// No certificate has that serial.
    #[error("serial `{serial}` is not in the inventory")]
    UnknownSerial {
        /// The serial.
        serial: String,
    },
    /// An event names a serial that the inventory does not hold.
    #[error("an event names a serial that is not in the inventory")]
    EventWithoutCertificate,
    /// A revoked certificate was to be put to use again.
    #[error("serial `{serial}` is revoked, which is final")]
    RevokedForGood {
        /// The serial.
        serial: String,
    },
    /// A certificate was to be revoked twice.
    #[error("serial `{serial}` is revoked already, since {at}")]
    AlreadyRevoked {
        /// The serial.
        serial: String,
        /// When it was revoked.
        at: String,
    },
    /// Only a live certificate can be planned to retire.
    #[error("serial `{serial}` is {state}, not live")]
    NotLive {
        /// The serial.
        serial: String,
        /// What it is.
        state: State,
    },
    /// A leaf certificate where a CA certificate was needed.
    #[error("serial `{serial}` is not that of a CA certificate")]
    NotAnAuthority {
        /// The serial.
        serial: String,
    },
    /// A CA certificate was to take a step back, or to skip one.
    #[error("CA certificate `{serial}` is {from} and cannot become {to}")]
    PhaseBackwards {
        /// Its serial.
        serial: String,
        /// Its phase.
        from: Phase,
        /// The phase wanted.
        to: Phase,
    },
    /// Another CA certificate is in the phase that only one may be in.
    #[error("CA certificate `{serial}` is {phase} already")]
    PhaseTaken {
        /// The phase wanted.
        phase: Phase,
        /// Serial of the CA certificate that has it.
        serial: String,
    },
    /// A revocation list of that number, or of a higher one, was entered before.
    #[error("CRL number {number} is not above all that were used")]
    CrlNumberTaken {
        /// The number.
        number: u64,
    },
    /// A value that may not enter.
    #[error("{field} {reason}")]
    Invalid {
        /// Which value.
        field: &'static str,
        /// Why it is refused; never the value itself, which could be a secret.
        reason: String,
    },
    /// SQLite gave up the transaction after an earlier fault; nothing of it was kept.
    #[error("the change was rolled back after an earlier fault")]
    RolledBack,
    /// Any other fault of SQLite.
    #[error("SQLite: {reason}")]
    Sqlite {
        /// What it said.
        reason: String,
    },
}

impl InventoryError {
    /// Gives the remedy, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        use InventoryError as E;
        let text = match self {
            E::Exists { .. } => "choose another directory, or use the authority that is there",
            E::Missing { .. } => "name the authority's directory, or make one with `relayca init`",
            E::Unfinished { path } => {
                return Some(format!(
                    "nothing is lost: remove `{}` and try again",
                    path.display()
                ));
            }
            E::NotAnInventory { .. } => {
                "name the authority's directory; if the file was rebuilt from a dump, restore a copy of the file itself"
            }
            E::Newer { .. } => "use the newer relayca that wrote it",
            E::Older { .. } => {
                "run the command as the owner of the authority, who may bring it up to date"
            }
            E::Busy { .. } => "wait for the other command to end, then try again",
            E::CutOff { .. } => {
                "run any relayca command as the owner of the authority; it rolls the change back"
            }
            E::JournalHidden { .. } => {
                "let this user read it like the inventory itself, as the owner's next change does where it may"
            }
            E::Corrupt { path, .. } => {
                return Some(format!(
                    "restore a backup; `sqlite3 {} .recover` may save the rest",
                    path.display()
                ));
            }
            E::DiskFull { .. } => "make room and try again; nothing was changed",
            E::ReadOnly { .. } => {
                "run it as the owner of the authority, on a file system that can be written"
            }
            E::Moved { .. } => "try again; nothing was changed",
            E::SerialTaken { .. } => {
                "serials are random and do not repeat: this certificate was entered before"
            }
            E::UnknownHost { .. } | E::UnknownSerial { .. } => "`relayca list` shows what there is",
            E::RevokedForGood { .. } => "issue a new certificate",
            E::AlreadyRevoked { .. } => {
                "there is nothing to do: the time and the reason of the first revocation stay"
            }
            E::NotLive { .. } => "it is no longer listed, so there is nothing to plan",
            E::NotAnAuthority { .. } => "`relayca list` shows which certificate is whose",
            E::PhaseBackwards { .. } => {
                "the order is prepared, active, outgoing, retired, or prepared to retired; to go back, prepare a new CA"
            }
            E::PhaseTaken { .. } => "a rollover is under way: take it to its end first",
            E::CrlNumberTaken { .. } => {
                "try again; if it stays, an older copy of the inventory was put in place"
            }
            E::RolledBack => "see the first error; nothing was changed",
            E::Io { .. } | E::Sqlite { .. } => {
                "check the disk and the modes of the file and its directory, then try again"
            }
            E::HostTaken { .. } | E::EventWithoutCertificate | E::Invalid { .. } => {
                return None;
            }
        };
        Some(text.to_owned())
    }
}

/// Names the cause of a SQLite fault on the inventory at `path`.
pub(crate) fn fault(error: &rusqlite::Error, path: &Path) -> InventoryError {
    use rusqlite::Error as E;
    let path = path.to_owned();
    match error {
        E::SqliteFailure(code, message) => failure(*code, message.as_deref(), path),
        // A value of the wrong type or an unknown word can only come from a damaged or doctored file.
        E::FromSqlConversionFailure(..)
        | E::InvalidColumnType(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..) => InventoryError::Corrupt {
            path,
            reason: error.to_string(),
        },
        _ => InventoryError::Sqlite {
            reason: error.to_string(),
        },
    }
}

fn failure(code: ffi::Error, message: Option<&str>, path: PathBuf) -> InventoryError {
    let reason = || message.map_or_else(|| code.to_string(), str::to_owned);
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => InventoryError::Busy { path },
        ErrorCode::NotADatabase => InventoryError::NotAnInventory { path },
        ErrorCode::DatabaseCorrupt => InventoryError::Corrupt {
            path,
            reason: reason(),
        },
        ErrorCode::DiskFull => InventoryError::DiskFull { path },
        ErrorCode::ReadOnly => match code.extended_code {
            ffi::SQLITE_READONLY_ROLLBACK | ffi::SQLITE_READONLY_RECOVERY => {
                InventoryError::CutOff { path }
            }
            ffi::SQLITE_READONLY_DBMOVED => InventoryError::Moved { path },
            _ => InventoryError::ReadOnly { path },
        },
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure => {
            InventoryError::Io {
                path,
                reason: reason(),
            }
        }
        _ => InventoryError::Sqlite { reason: reason() },
    }
}
