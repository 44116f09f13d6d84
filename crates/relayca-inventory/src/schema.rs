//! The layout of the database, and how an older one is brought up to date.
//!
//! In: a connection whose transaction is open. Out: the newest layout, or the reason why not.
//! Refuses to know what the tables are used for.

use std::path::Path;

use rusqlite::Connection;

use crate::InventoryError;
use crate::error::fault;

/// Marks the file as a relayca inventory (`file` and `PRAGMA application_id` show it): "rlca".
pub(crate) const APPLICATION_ID: i64 = 0x726c_6361;

/// Each step brings the layout of its index to the next. A published step is never edited: add one.
const STEPS: &[&str] = &[
    include_str!("steps/001_first.sql"),
    include_str!("steps/002_life.sql"),
];

/// The layout that this code works with.
pub(crate) const LAYOUT: i64 = STEPS.len() as i64;

/// What keeps history; if one is gone, so is the promise. A step that adds or drops one edits this list.
const GUARDS: &[&str] = &[
    "authorities_forward",
    "authorities_of_cas",
    "authorities_one_each",
    "authorities_one_each_still",
    "authorities_stay",
    "authorities_taken",
    "authorities_unchanged",
    "certificates_of_hosts",
    "certificates_revoke",
    "certificates_revoked",
    "certificates_revoked_before",
    "certificates_stay",
    "certificates_taken",
    "certificates_unchanged",
    "crls_of_cas",
    "crls_stay",
    "crls_taken",
    "crls_unchanged",
    "events_stay",
    "events_taken",
    "events_unchanged",
    "hosts_stay",
    "hosts_taken",
    "hosts_unchanged",
    "published_stay",
    "published_taken",
    "published_unchanged",
    "retirements_of_live",
    "retirements_stay",
    "retirements_unchanged",
    "revocations_mark",
    "revocations_of_certificates",
    "revocations_stay",
    "revocations_taken",
    "revocations_unchanged",
];

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As this code needs it.
    Current,
    /// An older layout, to be brought up to date.
    Older(i64),
}

/// Reads what the file is.
///
/// # Errors
/// `Unfinished`, `NotAnInventory`, `Newer`, or that it cannot be read.
pub(crate) fn standing(connection: &Connection, path: &Path) -> Result<Standing, InventoryError> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|error| fault(&error, path))
    };
    let version = number("user_version")?;
    if number("application_id")? != APPLICATION_ID {
        let path = path.to_owned();
        return Err(if number("page_count")? == 0 {
            InventoryError::Unfinished { path }
        } else {
            InventoryError::NotAnInventory { path }
        });
    }
    match version {
        LAYOUT => Ok(Standing::Current),
        found if found > LAYOUT => Err(InventoryError::Newer {
            path: path.to_owned(),
            found,
            known: LAYOUT,
        }),
        found if found >= 1 => Ok(Standing::Older(found)),
        found => Err(InventoryError::Corrupt {
            path: path.to_owned(),
            reason: format!("layout {found}"),
        }),
    }
}

/// Runs the steps that a file of layout `from` lacks, inside the transaction that the caller holds.
///
/// # Errors
/// Any fault of the steps; the caller then rolls back.
pub(crate) fn migrate(
    connection: &Connection,
    from: i64,
    path: &Path,
) -> Result<(), InventoryError> {
    let done = usize::try_from(from).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        connection
            .execute_batch(step)
            .map_err(|error| fault(&error, path))?;
    }
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT};"
        ))
        .map_err(|error| fault(&error, path))
}

/// Checks that every trigger that keeps history is in place.
///
/// # Errors
/// `Corrupt`, naming the first that is missing.
pub(crate) fn check_guards(connection: &Connection, path: &Path) -> Result<(), InventoryError> {
    let read = || -> rusqlite::Result<Vec<String>> {
        connection
            .prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'trigger'")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    let found = read().map_err(|error| fault(&error, path))?;
    match GUARDS
        .iter()
        .find(|guard| !found.iter().any(|name| name == *guard))
    {
        None => Ok(()),
        Some(guard) => Err(InventoryError::Corrupt {
            path: path.to_owned(),
            reason: format!("trigger `{guard}` is missing"),
        }),
    }
}
