//! Reading: the SQL of every question, and rows turned into records.
//!
//! In: a connection, within a transaction or not. Out: records in a fixed order.
//! Statements are prepared once a connection. Values are always bound, never written into the SQL.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ValueRef};
use rusqlite::{Connection, Error, OptionalExtension as _, Result, Row};

use crate::{
    AuthorityRecord, CertificateRecord, CrlRecord, Event, Filter, Host, InventoryError, Phase,
    Retirement, Revocation, State, fields,
};

const CERTIFICATE: &str = "SELECT serial, host, role, certificate_der, spki_sha256, not_before, not_after, issued_at, state FROM certificates";

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl FromSql for Phase {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// Refuses a filter that could only ever miss.
pub(crate) fn check(filter: &Filter) -> std::result::Result<(), InventoryError> {
    for (name, at) in [
        ("valid_at", &filter.valid_at),
        ("unexpired_at", &filter.unexpired_at),
    ] {
        at.as_deref().map_or(Ok(()), |at| fields::time(name, at))?;
    }
    Ok(())
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
    if let Some(at) = &filter.unexpired_at {
        conditions.push("not_after >= ?");
        values.push(at);
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

pub(crate) fn progress(connection: &Connection) -> Result<u64> {
    // Nothing is ever deleted, and states only go forward.
    connection
        .prepare_cached("SELECT COUNT(*) + COALESCE(SUM(state <> 'live'), 0) FROM certificates")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
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

pub(crate) fn authorities(connection: &Connection) -> Result<Vec<AuthorityRecord>> {
    connection
        .prepare_cached(
            "SELECT serial, phase FROM authorities \
             ORDER BY CASE phase WHEN 'active' THEN 0 WHEN 'outgoing' THEN 1 WHEN 'prepared' THEN 2 ELSE 3 END, serial",
        )?
        .query_map([], |row| {
            Ok(AuthorityRecord {
                serial: row.get(0)?,
                phase: row.get(1)?,
            })
        })?
        .collect()
}

pub(crate) fn revocation(connection: &Connection, serial: &str) -> Result<Option<Revocation>> {
    connection
        .prepare_cached("SELECT serial, at, reason FROM revocations WHERE serial = ?1")?
        .query_row([serial], revocation_row)
        .optional()
}

pub(crate) fn revocations(connection: &Connection) -> Result<Vec<Revocation>> {
    connection
        .prepare_cached("SELECT serial, at, reason FROM revocations ORDER BY at, serial")?
        .query_map([], revocation_row)?
        .collect()
}

pub(crate) fn retirements(connection: &Connection) -> Result<Vec<Retirement>> {
    connection
        .prepare_cached(
            "SELECT r.serial, r.due FROM retirements AS r JOIN certificates AS c ON c.serial = r.serial \
             WHERE c.state = 'live' ORDER BY r.due, r.serial",
        )?
        .query_map([], |row| {
            Ok(Retirement {
                serial: row.get(0)?,
                after: row.get(1)?,
            })
        })?
        .collect()
}

pub(crate) fn newest_crl(connection: &Connection, authority: &str) -> Result<Option<CrlRecord>> {
    connection
        .prepare_cached(
            "SELECT number, authority, this_update, next_update, crl_der FROM crls \
             WHERE authority = ?1 ORDER BY number DESC LIMIT 1",
        )?
        .query_row([authority], crl_row)
        .optional()
}

/// The highest number of all revocation lists.
pub(crate) fn last_crl_number(connection: &Connection) -> Result<Option<u64>> {
    connection
        .prepare_cached("SELECT max(number) FROM crls")?
        .query_row([], |row| match row.get_ref(0)? {
            ValueRef::Null => Ok(None),
            _ => crl_number(row).map(Some),
        })
}

/// What is wrong with pages and indexes, whatever the layout.
pub(crate) fn broken(connection: &Connection) -> Result<Vec<String>> {
    let mut found: Vec<String> = connection
        .prepare("PRAGMA integrity_check")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    found.retain(|line| line != "ok");
    Ok(found)
}

pub(crate) fn damage(connection: &Connection) -> Result<Vec<String>> {
    let mut found = broken(connection)?;
    let count = |sql: &str| -> Result<i64> { connection.query_row(sql, [], |row| row.get(0)) };
    let orphans = count("SELECT count(*) FROM pragma_foreign_key_check")?;
    if orphans > 0 {
        found.push(format!(
            "{orphans} rows name a serial that is not in the inventory"
        ));
    }
    let untold = count(
        "SELECT count(*) FROM certificates WHERE (state = 'revoked') <> (serial IN (SELECT serial FROM revocations))",
    )?;
    if untold > 0 {
        found.push(format!(
            "{untold} certificates are revoked by their state alone, or by their revocation alone"
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

fn revocation_row(row: &Row<'_>) -> Result<Revocation> {
    Ok(Revocation {
        serial: row.get(0)?,
        at: row.get(1)?,
        reason: row.get(2)?,
    })
}

fn crl_row(row: &Row<'_>) -> Result<CrlRecord> {
    Ok(CrlRecord {
        number: crl_number(row)?,
        authority: row.get(1)?,
        this_update: row.get(2)?,
        next_update: row.get(3)?,
        crl_der: row.get(4)?,
    })
}

fn crl_number(row: &Row<'_>) -> Result<u64> {
    let number: i64 = row.get(0)?;
    u64::try_from(number).map_err(|_| Error::IntegralValueOutOfRange(0, number))
}
