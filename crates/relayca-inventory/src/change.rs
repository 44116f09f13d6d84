//! Writing: one transaction, from the lock to the commit.
//!
//! In: records. Out: all of them in the inventory, or none. Every value is checked before SQLite sees it, and what
//! SQLite's own constraints refuse is given back under its plain name.

use std::cell::RefCell;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, Params};

use crate::error::fault;
use crate::reading::Source;
use crate::sqlite::have_journal;
use crate::{
    CertificateRecord, Change, CrlRecord, Host, InventoryError, NewEvent, Phase, State, fields,
    image, life,
};

/// Not a `rusqlite::Transaction`: that one would not lend out the connection for an image.
pub(crate) struct SqliteChange<'a> {
    connection: RefCell<&'a mut Connection>,
    path: &'a Path,
}

impl<'a> SqliteChange<'a> {
    /// Takes the write lock.
    pub(crate) fn begin(
        connection: &'a mut Connection,
        path: &'a Path,
    ) -> Result<Self, InventoryError> {
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| fault(&error, path))?;
        // From here on it is rolled back when dropped.
        let change = SqliteChange {
            connection: RefCell::new(connection),
            path,
        };
        have_journal(path)?;
        Ok(change)
    }

    /// After a full disk or a failed read SQLite may end the transaction by itself. Writing on would then commit each
    /// statement alone.
    fn still_open(&self) -> Result<(), InventoryError> {
        if self.connection.borrow().is_autocommit() {
            Err(InventoryError::RolledBack)
        } else {
            Ok(())
        }
    }

    /// Runs one statement and gives the number of rows it touched. `refused` names the refusal of a trigger.
    pub(crate) fn write(
        &self,
        sql: &str,
        values: impl Params,
        refused: impl FnOnce(&str) -> Option<InventoryError>,
    ) -> Result<usize, InventoryError> {
        self.still_open()?;
        let done = self
            .connection
            .borrow()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values));
        done.map_err(|error| match &error {
            rusqlite::Error::SqliteFailure(code, Some(message))
                if code.code == ErrorCode::ConstraintViolation =>
            {
                refused(message).unwrap_or_else(|| fault(&error, self.path))
            }
            _ => fault(&error, self.path),
        })
    }
}

impl Source for SqliteChange<'_> {
    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, InventoryError> {
        question(&self.connection.borrow()).map_err(|error| fault(&error, self.path))
    }

    fn whole(&self) -> Result<Vec<u8>, InventoryError> {
        self.still_open()?;
        image::take(&mut self.connection.borrow_mut(), self.path)
    }
}

/// What was not committed never was.
impl Drop for SqliteChange<'_> {
    fn drop(&mut self) {
        let connection = self.connection.get_mut();
        if !connection.is_autocommit() {
            // Should even this fail, closing the connection rolls back, and until then the next BEGIN says so.
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
}

impl Change for SqliteChange<'_> {
    fn add_host(&mut self, host: &Host) -> Result<(), InventoryError> {
        fields::name("host name", &host.name)?;
        fields::word("role of a host", &host.role, &["mailhost", "relay"])?;
        fields::time("added_at", &host.added_at)?;
        self.write(
            "INSERT INTO hosts (name, role, added_at) VALUES (?1, ?2, ?3)",
            (&host.name, &host.role, &host.added_at),
            |message| {
                (message == "host taken").then(|| InventoryError::HostTaken {
                    name: host.name.clone(),
                })
            },
        )?;
        Ok(())
    }

    fn add_certificate(&mut self, record: &CertificateRecord) -> Result<(), InventoryError> {
        fields::hex("serial", &record.serial, 1, 20)?;
        fields::name("host name", &record.host)?;
        fields::word(
            "role of a certificate",
            &record.role,
            &["ca", "mailhost", "relay"],
        )?;
        fields::certificate(&record.certificate_der)?;
        fields::hex("spki_sha256", &record.spki_sha256, 32, 32)?;
        fields::time("not_before", &record.not_before)?;
        fields::time("not_after", &record.not_after)?;
        fields::time("issued_at", &record.issued_at)?;
        self.write(
            "INSERT INTO certificates (serial, host, role, certificate_der, spki_sha256, not_before, not_after, issued_at, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                &record.serial,
                &record.host,
                &record.role,
                &record.certificate_der,
                &record.spki_sha256,
                &record.not_before,
                &record.not_after,
                &record.issued_at,
                record.state.as_str(),
            ),
            |message| match message {
                "serial taken" => Some(InventoryError::SerialTaken { serial: record.serial.clone() }),
                "host unknown" => Some(InventoryError::UnknownHost { name: record.host.clone() }),
                _ => None,
            },
        )?;
        Ok(())
    }

    fn set_state(&mut self, serial: &str, state: State) -> Result<(), InventoryError> {
        fields::hex("serial", serial, 1, 20)?;
        let touched = self.write(
            "UPDATE certificates SET state = ?2 WHERE serial = ?1",
            (serial, state.as_str()),
            |message| {
                (message == "revoked is final").then(|| InventoryError::RevokedForGood {
                    serial: serial.to_owned(),
                })
            },
        )?;
        if touched == 0 {
            Err(InventoryError::UnknownSerial {
                serial: serial.to_owned(),
            })
        } else {
            Ok(())
        }
    }

    fn set_phase(&mut self, serial: &str, phase: Phase) -> Result<(), InventoryError> {
        life::set_phase(self, serial, phase)
    }

    fn revoke(&mut self, serial: &str, at: &str, reason: &str) -> Result<(), InventoryError> {
        life::revoke(self, serial, at, reason)
    }

    fn retire_after(&mut self, serial: &str, after: Option<&str>) -> Result<(), InventoryError> {
        life::retire_after(self, serial, after)
    }

    fn add_crl(&mut self, crl: &CrlRecord) -> Result<(), InventoryError> {
        life::add_crl(self, crl)
    }

    fn record(&mut self, event: &NewEvent) -> Result<(), InventoryError> {
        fields::time("at", &event.at)?;
        fields::line("what", &event.what, 64)?;
        event
            .serial
            .as_deref()
            .map_or(Ok(()), |serial| fields::hex("serial", serial, 1, 20))?;
        event
            .host
            .as_deref()
            .map_or(Ok(()), |host| fields::name("host name", host))?;
        event.detail.as_deref().map_or(Ok(()), fields::detail)?;
        self.write(
            "INSERT INTO events (at, what, serial, host, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                &event.at,
                &event.what,
                &event.serial,
                &event.host,
                &event.detail,
            ),
            |_| None,
        )?;
        Ok(())
    }

    fn publish(&mut self, id: &str, at: &str) -> Result<(), InventoryError> {
        fields::line("transaction id", id, 64)?;
        fields::time("at", at)?;
        self.write(
            "INSERT INTO published (id, at) VALUES (?1, ?2)",
            (id, at),
            |message| {
                (message == "id taken").then(|| InventoryError::Invalid {
                    field: "transaction id",
                    reason: "was published before".to_owned(),
                })
            },
        )?;
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), InventoryError> {
        self.still_open()?;
        let committed = self.connection.borrow().execute_batch("COMMIT");
        committed.map_err(|error| match &error {
            // The only constraint that waits for the commit is that of an event on its certificate.
            rusqlite::Error::SqliteFailure(code, _)
                if code.code == ErrorCode::ConstraintViolation =>
            {
                InventoryError::EventWithoutCertificate
            }
            _ => fault(&error, self.path),
        })
    }
}
