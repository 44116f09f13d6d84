//! What relayca issued, to whom, and what became of it.
//!
//! In: host names, certificates and revocation lists as DER, states and events, with every time as RFC 3339 text from the caller.
//! Out: the same, ordered, for as long as the authority lives.
//! Refuses to know: cryptography, the clock, Postfix. It never holds a private key.
//!
//! History is kept: a certificate is entered once under its serial and never deleted or altered, save for its state.
//! An event, a revocation or a revocation list is never altered at all. The database itself enforces this with triggers, so it also holds for `sqlite3`.

mod change;
mod error;
mod fields;
mod image;
mod life;
mod queries;
mod reading;
mod records;
mod schema;
mod sqlite;

pub use error::InventoryError;
pub use records::{
    AuthorityRecord, CertificateRecord, CrlRecord, Event, Filter, Host, NewEvent, Phase,
    Retirement, Revocation, State,
};
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
    /// If the store cannot be read, or `valid_at` or `unexpired_at` is no time.
    fn certificates(&self, filter: &Filter) -> Result<Vec<CertificateRecord>, InventoryError>;

    /// How far the history has gone: a number that rises with every certificate that is issued, and with every one that is revoked
    /// or retired.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn progress(&self) -> Result<u64, InventoryError>;

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

    /// Gives the CA certificates with their phases: the active one, then outgoing, prepared and retired ones, by serial.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn authorities(&self) -> Result<Vec<AuthorityRecord>, InventoryError>;

    /// Gives all revocations, by time, then serial.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn revocations(&self) -> Result<Vec<Revocation>, InventoryError>;

    /// Gives the plans to retire, by time, then serial; only those of certificates that are still `live`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn retirements(&self) -> Result<Vec<Retirement>, InventoryError>;

    /// Gives the revocation list of the highest number that the CA certificate of serial `authority` signed.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    fn newest_crl(&self, authority: &str) -> Result<Option<CrlRecord>, InventoryError>;

    /// Gives the number for the next revocation list, whichever CA signs it: one more than the highest ever used.
    ///
    /// # Errors
    /// If the store cannot be read, or the numbers are used up.
    fn next_crl_number(&self) -> Result<u64, InventoryError>;

    /// Gives the whole store as the bytes of one SQLite file, all of it of one moment. In a change it holds what the
    /// change did so far, committed or not. Read back and compared before it is given.
    ///
    /// # Errors
    /// If the store cannot be read or is damaged, or memory runs out.
    fn image(&self) -> Result<Vec<u8>, InventoryError>;
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

    /// Sets the state of a certificate. Revoked is final, and better set by `revoke`: this enters a revocation without
    /// a reason, by the clock of the machine.
    ///
    /// # Errors
    /// `UnknownSerial`, or `RevokedForGood` if it is to leave the state `revoked`.
    fn set_state(&mut self, serial: &str, state: State) -> Result<(), InventoryError>;

    /// Enters a CA certificate, added before, in the given phase, or takes it a step forward: from prepared to active,
    /// outgoing and retired, or from prepared to retired at once. The phase that it has already is no error. No two may
    /// be prepared, active or outgoing, so the active one must leave before the prepared one follows it.
    ///
    /// # Errors
    /// `PhaseBackwards`, `PhaseTaken`, `UnknownSerial`, `NotAnAuthority`.
    fn set_phase(&mut self, serial: &str, phase: Phase) -> Result<(), InventoryError>;

    /// Revokes a certificate for good, live or retired, with the time and a reason of RFC 5280, 5.3.1 (see
    /// `Revocation::reason`); its state follows.
    ///
    /// # Errors
    /// `AlreadyRevoked`, whose time and reason stay; `UnknownSerial`, or `Invalid` for another word or time.
    fn revoke(&mut self, serial: &str, at: &str, reason: &str) -> Result<(), InventoryError>;

    /// Plans that a live certificate is no longer listed from `after` on; replaces an earlier plan, and `None` takes it
    /// back.
    ///
    /// # Errors
    /// `UnknownSerial`, `NotLive`, or `Invalid` if it is no time.
    fn retire_after(&mut self, serial: &str, after: Option<&str>) -> Result<(), InventoryError>;

    /// Enters a revocation list. Its number must be above all others, see `next_crl_number`.
    ///
    /// # Errors
    /// `CrlNumberTaken`, `UnknownSerial` or `NotAnAuthority` if its authority is no CA certificate, or `Invalid`.
    fn add_crl(&mut self, crl: &CrlRecord) -> Result<(), InventoryError>;

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
