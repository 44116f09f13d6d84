//! Asking: the questions of `Records`, answered alike at rest and in the middle of a change.
//!
//! In: whatever can lend out its connection. Out: records, and SQLite's faults under their plain names.
//! Refuses to know which of the two it asks.

use rusqlite::Connection;

use crate::{
    AuthorityRecord, CertificateRecord, CrlRecord, Event, Filter, Host, InventoryError, Records,
    Retirement, Revocation, fields, queries,
};

/// Something with a connection to ask.
pub(crate) trait Source {
    /// Puts a question to the connection.
    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, InventoryError>;

    /// Gives the whole of it, see `Records::image`.
    fn whole(&self) -> Result<Vec<u8>, InventoryError>;
}

impl<S: Source> Records for S {
    fn host(&self, name: &str) -> Result<Option<Host>, InventoryError> {
        self.ask(|connection| queries::host(connection, name))
    }

    fn hosts(&self) -> Result<Vec<Host>, InventoryError> {
        self.ask(queries::hosts)
    }

    fn certificate(&self, serial: &str) -> Result<Option<CertificateRecord>, InventoryError> {
        self.ask(|connection| queries::certificate(connection, serial))
    }

    fn certificates(&self, filter: &Filter) -> Result<Vec<CertificateRecord>, InventoryError> {
        queries::check(filter)?;
        self.ask(|connection| queries::certificates(connection, filter))
    }

    fn progress(&self) -> Result<u64, InventoryError> {
        self.ask(queries::progress)
    }

    fn events(&self, limit: usize) -> Result<Vec<Event>, InventoryError> {
        self.ask(|connection| queries::events(connection, limit))
    }

    fn published(&self, id: &str) -> Result<bool, InventoryError> {
        self.ask(|connection| queries::published(connection, id))
    }

    fn authorities(&self) -> Result<Vec<AuthorityRecord>, InventoryError> {
        self.ask(queries::authorities)
    }

    fn revocations(&self) -> Result<Vec<Revocation>, InventoryError> {
        self.ask(queries::revocations)
    }

    fn retirements(&self) -> Result<Vec<Retirement>, InventoryError> {
        self.ask(queries::retirements)
    }

    fn newest_crl(&self, authority: &str) -> Result<Option<CrlRecord>, InventoryError> {
        self.ask(|connection| queries::newest_crl(connection, authority))
    }

    fn next_crl_number(&self) -> Result<u64, InventoryError> {
        fields::next_crl_number(self.ask(queries::last_crl_number)?)
    }

    fn image(&self) -> Result<Vec<u8>, InventoryError> {
        self.whole()
    }
}
