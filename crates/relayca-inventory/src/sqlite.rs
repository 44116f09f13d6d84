//! The inventory in a SQLite file: making, opening, and taking the write lock.
//!
//! In: a path. Out: an `Inventory`, checked to be ours and up to date, or a plain reason why not.
//! Refuses to know what is recorded in it.
//!
//! A rollback journal rather than a write-ahead log: what is committed is in one file that can be copied, and it can be
//! read from a directory that may not be written.

use std::cell::RefCell;
use std::fmt;
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags, TransactionBehavior};
use rustix::fs::OFlags;

use crate::change::SqliteChange;
use crate::error::fault;
use crate::reading::Source;
use crate::schema::{self, Standing};
use crate::{Change, Inventory, InventoryError, image, queries};

/// How long to wait for other processes before an inventory counts as busy.
pub const BUSY_WAIT: Duration = Duration::from_secs(60);

/// How often, and how far apart, a reader looks whether the owner has rolled back a change that was cut off.
const CUT_OFF_TRIES: u32 = 10;
const CUT_OFF_PAUSE: Duration = Duration::from_millis(100);

/// An inventory in a SQLite file.
pub struct SqliteInventory {
    /// In a cell because SQLite's image wants it alone. No borrow outlives the call it is made in.
    connection: RefCell<Connection>,
    path: PathBuf,
    /// The connection is to a copy in memory, which is nobody's to change.
    copied: bool,
}

impl fmt::Debug for SqliteInventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteInventory")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Makes a new inventory at `path`, readable by its owner alone.
///
/// # Errors
/// `Exists` if anything is there; otherwise what kept it from being written. Nothing is left behind then.
pub fn create(path: &Path) -> Result<SqliteInventory, InventoryError> {
    let path = absolute(path)?;
    // SQLite would make the file with the umask's mode; the journal takes its mode from the file.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| system(&error, &path))?;
    let made = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|mut connection| {
        settle(&connection, &path)?;
        in_transaction(&mut connection, &path, |inside| {
            have_journal(&path)?;
            schema::migrate(inside, 0, &path)
        })?;
        Ok(connection)
    });
    match made {
        Ok(connection) => Ok(SqliteInventory::new(connection, &path)),
        Err(error) => {
            // The file is ours and nothing was committed to it. If it stays, `open` says that it is unfinished.
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_file(journal_of(&path));
            Err(error)
        }
    }
}

/// Opens the inventory at `path`, rolls back what a crash cut off, and brings an older layout up to date.
///
/// # Errors
/// `Missing`, `NotAnInventory`, `Newer`, `Busy`, `Corrupt`, or what the system said.
pub fn open(path: &Path) -> Result<SqliteInventory, InventoryError> {
    let path = absolute(path)?;
    share_journal(&path);
    let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    settle(&connection, &path)?;
    if let Standing::Older(found) = schema::standing(&connection, &path)? {
        if unwritable(&connection, &path)? {
            return Err(InventoryError::Older {
                path,
                found,
                known: schema::LAYOUT,
            });
        }
        // Of several processes one does it; the others wait for the lock and find it done.
        up_to_date(&mut connection, &path, true)?;
    }
    schema::check_guards(&connection, &path)?;
    Ok(SqliteInventory::new(connection, &path))
}

/// Opens the inventory at `path` for reading; the directory need not be writable. The layout stays as it is: of an older
/// one, a copy in memory is brought up to date, which does not see what others commit later.
///
/// # Errors
/// As `open`; also `CutOff` if a crash left a change to be rolled back and this process may not do that.
pub fn open_read_only(path: &Path) -> Result<SqliteInventory, InventoryError> {
    let path = absolute(path)?;
    let mut tries = 0;
    loop {
        match read_only(&path) {
            Err(InventoryError::CutOff { .. }) if tries < CUT_OFF_TRIES => {
                // Reading it by a connection that may write rolls the change back, where that is allowed. Where it is
                // not, the owner may be at it just now.
                let rolled_back = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
                    .and_then(|connection| schema::standing(&connection, &path));
                if rolled_back.is_err() {
                    thread::sleep(CUT_OFF_PAUSE);
                }
                tries += 1;
            }
            Err(InventoryError::CutOff { path }) if journal_is_hidden(&path) => {
                return Err(InventoryError::JournalHidden { path });
            }
            other => return other,
        }
    }
}

fn read_only(path: &Path) -> Result<SqliteInventory, InventoryError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if let Standing::Older(_) = schema::standing(&connection, path)? {
        let image = image::take(&mut connection, path)?;
        let mut copy = image::load(&image, path)?;
        up_to_date(&mut copy, path, false)?;
        schema::check_guards(&copy, path)?;
        return Ok(SqliteInventory {
            copied: true,
            ..SqliteInventory::new(copy, path)
        });
    }
    schema::check_guards(&connection, path)?;
    Ok(SqliteInventory::new(connection, path))
}

/// Brings the layout up to date, unless another process was faster; `on_disk` or in a copy in memory.
fn up_to_date(
    connection: &mut Connection,
    path: &Path,
    on_disk: bool,
) -> Result<(), InventoryError> {
    in_transaction(connection, path, |inside| {
        if on_disk {
            have_journal(path)?;
        }
        match schema::standing(inside, path)? {
            Standing::Current => Ok(()),
            Standing::Older(found) => schema::migrate(inside, found, path),
        }
    })
}

fn unwritable(connection: &Connection, path: &Path) -> Result<bool, InventoryError> {
    connection
        .is_readonly(MAIN_DB)
        .map_err(|error| fault(&error, path))
}

/// SQLite takes `file:...` for a URI and `:memory:` for no file at all; an absolute path is neither.
fn absolute(path: &Path) -> Result<PathBuf, InventoryError> {
    std::path::absolute(path).map_err(|error| system(&error, path))
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, InventoryError> {
    // SQLite says no more than "unable to open"; the system knows why. This does not open the file: closing a second
    // descriptor of it would drop the locks that another connection of this process holds.
    let metadata = std::fs::metadata(path).map_err(|error| system(&error, path))?;
    if !metadata.is_file() {
        return Err(InventoryError::NotAnInventory {
            path: path.to_owned(),
        });
    }
    let open = || -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.set_prepared_statement_cache_capacity(32);
        // The file may have been doctored: no functions from its schema, no writing to the schema as data.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
        connection.execute_batch(
            "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;",
        )?;
        Ok(connection)
    };
    open().map_err(|error| fault(&error, path))
}

/// Sets what concerns writing.
fn settle(connection: &Connection, path: &Path) -> Result<(), InventoryError> {
    // EXTRA is FULL, and syncs the directory where a journal is taken away, as a SQLite that is built otherwise than here may do:
    // else a power cut may bring it back, and undo a commit that was already reported. After a large change the journal gives its
    // room back.
    connection
        .execute_batch("PRAGMA synchronous = EXTRA; PRAGMA journal_size_limit = 1048576;")
        .map_err(|error| fault(&error, path))?;
    // The journal stays between changes, its head blank: to make it anew each time, with room on the disk, and to take it away
    // is a good part of what issuing a certificate takes.
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "PERSIST", |row| row.get(0))
        .map_err(|error| fault(&error, path))?;
    if mode == "persist" {
        Ok(())
    } else {
        Err(InventoryError::Corrupt {
            path: path.to_owned(),
            reason: format!("journal mode `{mode}`"),
        })
    }
}

/// Lets those read the journal who may read the inventory: who cannot see that its head is blank takes it for one to be rolled
/// back. What cannot be done is left: the owner comes by some time.
fn share_journal(path: &Path) {
    // Opened once, and not by way of a link: root must change nothing that somebody else puts there meanwhile.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let (Ok(inventory), Ok(journal)) = (std::fs::metadata(path), options.open(journal_of(path)))
    else {
        return;
    };
    let found = || {
        let found = journal.metadata().ok()?;
        (found.is_file() && found.nlink() == 1).then_some(found)
    };
    let Some(before) = found() else {
        return;
    };
    if (before.uid(), before.gid()) != (inventory.uid(), inventory.gid()) {
        // The owner's again, where root made it; else at least the group's, where that may be.
        let (uid, gid) = (Some(inventory.uid()), Some(inventory.gid()));
        let _ = fchown(&journal, uid, gid).or_else(|_| fchown(&journal, None, gid));
    }
    let Some(now) = found() else {
        return;
    };
    let of_group = if now.gid() == inventory.gid() {
        0o040
    } else {
        0
    };
    let mode = inventory.mode() & (0o404 | of_group) | 0o600;
    if now.mode() & 0o7777 != mode {
        let _ = journal.set_permissions(Permissions::from_mode(mode));
    }
}

/// Has a journal there whose name is on the disk. For who holds the write lock and has not written yet: at that moment there is
/// none to be rolled back, and nobody takes one away. SQLite as built here (`SQLITE_DISABLE_DIRSYNC`) leaves it to us; without
/// the name, what a power cut interrupts could not be taken back.
pub(crate) fn have_journal(path: &Path) -> Result<(), InventoryError> {
    let journal = journal_of(path);
    // Once something is in it, its name was brought to the disk before.
    if std::fs::symlink_metadata(&journal).is_ok_and(|found| found.is_file() && found.len() > 0) {
        return Ok(());
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&journal);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(system(&error, path));
        }
        _ => {}
    }
    share_journal(path);
    let directory = journal.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| system(&error, path))
}

/// Where SQLite has it: beside the inventory itself, not beside a link to it.
fn journal_of(path: &Path) -> PathBuf {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let itself = if is_link {
        std::fs::canonicalize(path).ok()
    } else {
        None
    };
    let mut journal = itself.unwrap_or_else(|| path.to_owned()).into_os_string();
    journal.push("-journal");
    journal.into()
}

/// Whether there is a journal that this process may not read.
fn journal_is_hidden(path: &Path) -> bool {
    std::fs::File::open(journal_of(path))
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

fn in_transaction(
    connection: &mut Connection,
    path: &Path,
    work: impl FnOnce(&Connection) -> Result<(), InventoryError>,
) -> Result<(), InventoryError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| fault(&error, path))?;
    work(&transaction)?;
    transaction.commit().map_err(|error| fault(&error, path))
}

fn system(error: &io::Error, path: &Path) -> InventoryError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::AlreadyExists => InventoryError::Exists { path },
        io::ErrorKind::NotFound => InventoryError::Missing { path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            InventoryError::DiskFull { path }
        }
        io::ErrorKind::ReadOnlyFilesystem => InventoryError::ReadOnly { path },
        _ => InventoryError::Io {
            path,
            reason: error.to_string(),
        },
    }
}

impl SqliteInventory {
    fn new(connection: Connection, path: &Path) -> Self {
        SqliteInventory {
            connection: RefCell::new(connection),
            path: path.to_owned(),
            copied: false,
        }
    }

    /// Waits no longer than this for other processes. `BUSY_WAIT` is what it starts with.
    ///
    /// # Errors
    /// Only if SQLite refuses the setting.
    pub fn set_busy_wait(&self, wait: Duration) -> Result<(), InventoryError> {
        self.ask(|connection| connection.busy_timeout(wait))
    }

    /// Reads every page and index and gives what is wrong; empty is good. Takes time with the size of the file.
    ///
    /// # Errors
    /// If it cannot be read to the end.
    pub fn damage(&self) -> Result<Vec<String>, InventoryError> {
        self.ask(queries::damage)
    }
}

impl Source for SqliteInventory {
    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, InventoryError> {
        question(&self.connection.borrow()).map_err(|error| fault(&error, &self.path))
    }

    fn whole(&self) -> Result<Vec<u8>, InventoryError> {
        image::take(&mut self.connection.borrow_mut(), &self.path)
    }
}

impl Inventory for SqliteInventory {
    fn change(&mut self) -> Result<Box<dyn Change + '_>, InventoryError> {
        let connection = self.connection.get_mut();
        // SQLite would begin all the same, without the lock, and refuse only the first write.
        if self.copied || unwritable(connection, &self.path)? {
            return Err(InventoryError::ReadOnly {
                path: self.path.clone(),
            });
        }
        Ok(Box::new(SqliteChange::begin(connection, &self.path)?))
    }
}
