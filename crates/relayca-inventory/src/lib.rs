//! What relayca issued, to whom, and what became of it.
//!
//! In: host names, certificates as DER, states and events, with every time as RFC 3339 text from the caller.
//! Out: the same, ordered, for as long as the authority lives.
//! Refuses to know: cryptography, the clock, Postfix. It never holds a private key.
//!
//! History is kept: a certificate is entered once under its serial and never deleted or altered, save for its state.
//! An event is never altered at all. The database itself enforces this with triggers, so it also holds for `sqlite3`.

mod change;
mod error;
mod fields;
mod queries;
mod records;
mod schema;
mod sqlite;

pub use error::InventoryError;
pub use records::{CertificateRecord, Event, Filter, Host, NewEvent, State};
pub use sqlite::{BUSY_WAIT, SqliteInventory, create, open, open_read_only};

/// What can be asked of an inventory, at rest or in the middle of a change.
pub trait Records {
    /// Gives the host of that name.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn host(&self, name: &str) -> Result<Option<Host>, InventoryError>;

    /// Gives all hosts, by name.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn hosts(&self) -> Result<Vec<Host>, InventoryError>;

    /// Gives the certificate of that serial (lower-case hex).
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn certificate(&self, serial: &str) -> Result<Option<CertificateRecord>, InventoryError>;

    /// Gives the certificates that fit the filter, by host, then expiry, then serial.
    ///
    /// # Errors
    /// If the store cannot be read, or `valid_at` is no time.
    fn certificates(&self, filter: &Filter) -> Result<Vec<CertificateRecord>, InventoryError>;

    /// Gives the newest `limit` events, newest first.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn events(&self, limit: usize) -> Result<Vec<Event>, InventoryError>;

    /// Says whether the staged transaction `id` was published, so that what it staged may be put in place.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn published(&self, id: &str) -> Result<bool, InventoryError>;
}

/// The inventory of one authority.
pub trait Inventory: Records {
    /// Takes the write lock, waiting for others to finish, and begins a change.
    ///
    /// # Errors
    /// `Busy` if another holds the lock for too long, `ReadOnly` if the file may not be written.
    fn change(&mut self) -> Result<Box<dyn Change + '_>, InventoryError>;
}

/// A change under way. It holds the write lock; dropped without `commit`, it never was.
pub trait Change: Records {
    /// Enters a host.
    ///
    /// # Errors
    /// `HostTaken` if there is one of that name, `Invalid` for text that cannot be one.
    fn add_host(&mut self, host: &Host) -> Result<(), InventoryError>;

    /// Enters a certificate.
    ///
    /// # Errors
    /// `SerialTaken`, `UnknownHost` (a leaf needs its host entered first), or `Invalid`.
    fn add_certificate(&mut self, record: &CertificateRecord) -> Result<(), InventoryError>;

    /// Sets the state of a certificate. Revoked is final.
    ///
    /// # Errors
    /// `UnknownSerial`, or `RevokedForGood` if it is to leave the state `revoked`.
    fn set_state(&mut self, serial: &str, state: State) -> Result<(), InventoryError>;

    /// Appends an event. A serial in it must be in the inventory by the time of `commit`.
    ///
    /// # Errors
    /// `Invalid` for text that is too long or could hold a key.
    fn record(&mut self, event: &NewEvent) -> Result<(), InventoryError>;

    /// Remembers the id of a staged transaction: once committed, what was staged under it counts as done.
    ///
    /// # Errors
    /// `Invalid` if the id is unfit or was published before.
    fn publish(&mut self, id: &str, at: &str) -> Result<(), InventoryError>;

    /// Makes the change last, durably, in one step.
    ///
    /// # Errors
    /// `Busy`, `DiskFull` and their like; the change is then rolled back whole.
    fn commit(self: Box<Self>) -> Result<(), InventoryError>;
}
