//! Reading: the SQL of every question, and rows turned into records.
//!
//! In: a connection, within a transaction or not. Out: records in a fixed order.
//! Statements are prepared once a connection. Values are always bound, never written into the SQL.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Result, Row};

use crate::{CertificateRecord, Event, Filter, Host, InventoryError, State, fields};

const CERTIFICATE: &str = "SELECT serial, host, role, certificate_der, spki_sha256, not_before, not_after, issued_at, state FROM certificates";

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// Refuses a filter that could only ever miss.
pub(crate) fn check(filter: &Filter) -> std::result::Result<(), InventoryError> {
    filter
        .valid_at
        .as_deref()
        .map_or(Ok(()), |at| fields::time("valid_at", at))
}

pub(crate) fn host(connection: &Connection, name: &str) -> Result<Option<Host>> {
    connection
        .prepare_cached("SELECT name, role, added_at FROM hosts WHERE name = ?1")?
        .query_row([name], host_row)
        .optional()
}

pub(crate) fn hosts(connection: &Connection) -> Result<Vec<Host>> {
    connection
        .prepare_cached("SELECT name, role, added_at FROM hosts ORDER BY name")?
        .query_map([], host_row)?
        .collect()
}

pub(crate) fn certificate(
    connection: &Connection,
    serial: &str,
) -> Result<Option<CertificateRecord>> {
    connection
        .prepare_cached(&format!("{CERTIFICATE} WHERE serial = ?1"))?
        .query_row([serial], certificate_row)
        .optional()
}

pub(crate) fn certificates(
    connection: &Connection,
    filter: &Filter,
) -> Result<Vec<CertificateRecord>> {
    // Only the conditions asked for: `?1 IS NULL OR host = ?1` would keep SQLite from using the index.
    let mut conditions = vec!["1"];
    let mut values: Vec<&dyn ToSql> = Vec::new();
    let state = filter.state.map(State::as_str);
    if let Some(host) = &filter.host {
        conditions.push("host = ?");
        values.push(host);
    }
    if let Some(role) = &filter.role {
        conditions.push("role = ?");
        values.push(role);
    }
    if let Some(state) = &state {
        conditions.push("state = ?");
        values.push(state);
    }
    if let Some(at) = &filter.valid_at {
        conditions.push("not_before <= ? AND not_after >= ?");
        values.extend([at as &dyn ToSql, at]);
    }
    let sql = format!(
        "{CERTIFICATE} WHERE {} ORDER BY host, not_after, serial",
        conditions.join(" AND ")
    );
    connection
        .prepare_cached(&sql)?
        .query_map(values.as_slice(), certificate_row)?
        .collect()
}

pub(crate) fn events(connection: &Connection, limit: usize) -> Result<Vec<Event>> {
    connection
        .prepare_cached(
            "SELECT id, at, what, serial, host, detail FROM events ORDER BY id DESC LIMIT ?1",
        )?
        .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], event_row)?
        .collect()
}

pub(crate) fn published(connection: &Connection, id: &str) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM published WHERE id = ?1")?
        .exists([id])
}

pub(crate) fn damage(connection: &Connection) -> Result<Vec<String>> {
    let mut found: Vec<String> = connection
        .prepare("PRAGMA integrity_check")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    found.retain(|line| line != "ok");
    let orphans: i64 = connection.query_row(
        "SELECT count(*) FROM pragma_foreign_key_check('events')",
        [],
        |row| row.get(0),
    )?;
    if orphans > 0 {
        found.push(format!(
            "{orphans} events name a serial that is not in the inventory"
        ));
    }
    Ok(found)
}

fn host_row(row: &Row<'_>) -> Result<Host> {
    Ok(Host {
        name: row.get(0)?,
        role: row.get(1)?,
        added_at: row.get(2)?,
    })
}

fn certificate_row(row: &Row<'_>) -> Result<CertificateRecord> {
    Ok(CertificateRecord {
        serial: row.get(0)?,
        host: row.get(1)?,
        role: row.get(2)?,
        certificate_der: row.get(3)?,
        spki_sha256: row.get(4)?,
        not_before: row.get(5)?,
        not_after: row.get(6)?,
        issued_at: row.get(7)?,
        state: row.get(8)?,
    })
}

fn event_row(row: &Row<'_>) -> Result<Event> {
    Ok(Event {
        id: row.get(0)?,
        at: row.get(1)?,
        what: row.get(2)?,
        serial: row.get(3)?,
        host: row.get(4)?,
        detail: row.get(5)?,
    })
}
