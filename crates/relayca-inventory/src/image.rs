//! The whole inventory as bytes, for a backup or a look at an older layout.
//!
//! In: a connection, within a transaction or not. Out: the bytes of a SQLite file, or a connection to such bytes in
//! memory. Never opens the file itself: closing a second descriptor of it would drop the locks of this process.
//! Refuses to know what the tables hold.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, Row};

use crate::InventoryError;
use crate::error::fault;
use crate::queries;

/// Gives what `connection` sees, its own uncommitted changes included, compared with the source in every row.
///
/// # Errors
/// If it cannot be read whole, is damaged, or is busy for too long.
pub(crate) fn take(connection: &mut Connection, path: &Path) -> Result<Vec<u8>, InventoryError> {
    if !connection.is_autocommit() {
        return copy(connection, path);
    }
    // One read lock from the first byte to the last comparison.
    connection
        .execute_batch("BEGIN")
        .map_err(|error| fault(&error, path))?;
    let image = copy(connection, path);
    // Nothing was written; SQLite may have ended it by itself after a fault.
    let ended = if connection.is_autocommit() {
        Ok(())
    } else {
        connection.execute_batch("ROLLBACK")
    };
    ended.map_err(|error| fault(&error, path)).and(image)
}

fn copy(connection: &mut Connection, path: &Path) -> Result<Vec<u8>, InventoryError> {
    let name = |error: rusqlite::Error| fault(&error, path);
    // Takes the lock, and has the true cause if it cannot: `serialize` knows only "out of memory".
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(name)?;
    let image = connection.serialize(MAIN_DB).map_err(name)?.to_vec();
    // A page that cannot be read is zeros in the image, without a word.
    let loaded = load(&image, path)?;
    let mut damage = queries::broken(&loaded).map_err(name)?;
    if damage.is_empty() && !alike(connection, &loaded).map_err(name)? {
        damage.push("its image differs from it".to_owned());
    }
    match damage.into_iter().next() {
        None => Ok(image),
        Some(reason) => Err(InventoryError::Corrupt {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// Opens an image in memory, to be read and changed there. `path` is named in errors.
///
/// # Errors
/// If it is no SQLite file, or memory runs out.
pub(crate) fn load(image: &[u8], path: &Path) -> Result<Connection, InventoryError> {
    let open = || -> rusqlite::Result<Connection> {
        let mut connection = Connection::open_in_memory()?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.deserialize_read_exact(MAIN_DB, image, image.len(), false)?;
        connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;")?;
        Ok(connection)
    };
    open().map_err(|error| fault(&error, path))
}

/// Says whether both hold the same rows in the same order in every table.
fn alike(one: &Connection, other: &Connection) -> rusqlite::Result<bool> {
    let mut tables: Vec<String> = one
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    tables.push("sqlite_schema".to_owned());
    for table in tables {
        let sql = format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""));
        let (mut here, mut there) = (one.prepare(&sql)?, other.prepare(&sql)?);
        let columns = here.column_count();
        let (mut here, mut there) = (here.query([])?, there.query([])?);
        loop {
            match (here.next()?, there.next()?) {
                (None, None) => break,
                (Some(row), Some(copied)) if same(row, copied, columns)? => {}
                _ => return Ok(false),
            }
        }
    }
    Ok(true)
}

fn same(row: &Row<'_>, copied: &Row<'_>, columns: usize) -> rusqlite::Result<bool> {
    for column in 0..columns {
        if row.get_ref(column)? != copied.get_ref(column)? {
            return Ok(false);
        }
    }
    Ok(true)
}
