//! Writing what becomes of certificates: phases of CAs, revocations, retirements and revocation lists.
//!
//! In: a change under way and checked-for-shape values. Out: rows, or why not. What the triggers would refuse as well
//! is looked up first, to say which certificate is in the way; the write lock keeps the answer true.

use crate::change::SqliteChange;
use crate::reading::Source as _;
use crate::{CrlRecord, InventoryError, Phase, Records as _, State, fields, queries};

/// Reasons for a revocation (RFC 5280, 5.3.1); the schema has the same ones. Left out are those that can be taken back
/// (`certificateHold`, `removeFromCRL`) and `aACompromise`: there are no attribute authorities.
const REASONS: &[&str] = &[
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
];

pub(crate) fn set_phase(
    change: &SqliteChange<'_>,
    serial: &str,
    phase: Phase,
) -> Result<(), InventoryError> {
    fields::hex("serial", serial, 1, 20)?;
    let known = change.authorities()?;
    let before = known.iter().find(|known| known.serial == serial);
    match before.map(|known| known.phase) {
        Some(from) if from == phase => return Ok(()),
        Some(from) if !from.may_become(phase) => {
            return Err(InventoryError::PhaseBackwards {
                serial: serial.to_owned(),
                from,
                to: phase,
            });
        }
        Some(_) => {}
        None => authority(change, serial)?,
    }
    if phase != Phase::Retired
        && let Some(holder) = known.iter().find(|known| known.phase == phase)
    {
        return Err(InventoryError::PhaseTaken {
            phase,
            serial: holder.serial.clone(),
        });
    }
    let sql = match before {
        Some(_) => "UPDATE authorities SET phase = ?2 WHERE serial = ?1",
        None => "INSERT INTO authorities (serial, phase) VALUES (?1, ?2)",
    };
    change.write(sql, (serial, phase.as_str()), |_| None)?;
    Ok(())
}

pub(crate) fn revoke(
    change: &SqliteChange<'_>,
    serial: &str,
    at: &str,
    reason: &str,
) -> Result<(), InventoryError> {
    fields::hex("serial", serial, 1, 20)?;
    fields::time("time of revocation", at)?;
    fields::word("reason", reason, REASONS)?;
    if let Some(before) = change.ask(|connection| queries::revocation(connection, serial))? {
        return Err(InventoryError::AlreadyRevoked {
            serial: serial.to_owned(),
            at: before.at,
        });
    }
    // The state of the certificate follows by a trigger.
    change.write(
        "INSERT INTO revocations (serial, at, reason) VALUES (?1, ?2, ?3)",
        (serial, at, reason),
        |message| (message == "serial unknown").then(|| unknown(serial)),
    )?;
    Ok(())
}

pub(crate) fn retire_after(
    change: &SqliteChange<'_>,
    serial: &str,
    after: Option<&str>,
) -> Result<(), InventoryError> {
    fields::hex("serial", serial, 1, 20)?;
    after.map_or(Ok(()), |after| fields::time("time to retire after", after))?;
    let state = change
        .certificate(serial)?
        .ok_or_else(|| unknown(serial))?
        .state;
    if state != State::Live {
        return Err(InventoryError::NotLive {
            serial: serial.to_owned(),
            state,
        });
    }
    match after {
        Some(after) => change.write(
            "INSERT OR REPLACE INTO retirements (serial, due) VALUES (?1, ?2)",
            (serial, after),
            |_| None,
        ),
        None => change.write(
            "DELETE FROM retirements WHERE serial = ?1",
            [serial],
            |_| None,
        ),
    }?;
    Ok(())
}

pub(crate) fn add_crl(change: &SqliteChange<'_>, crl: &CrlRecord) -> Result<(), InventoryError> {
    let number = fields::crl_number(crl.number)?;
    fields::hex("serial", &crl.authority, 1, 20)?;
    fields::time("this_update", &crl.this_update)?;
    fields::time("next_update", &crl.next_update)?;
    fields::later("next_update", &crl.next_update, &crl.this_update)?;
    fields::revocation_list(&crl.crl_der)?;
    authority(change, &crl.authority)?;
    change.write(
        "INSERT INTO crls (number, authority, this_update, next_update, crl_der) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            number,
            &crl.authority,
            &crl.this_update,
            &crl.next_update,
            &crl.crl_der,
        ),
        |message| {
            (message == "number taken").then_some(InventoryError::CrlNumberTaken {
                number: crl.number,
            })
        },
    )?;
    Ok(())
}

/// Refuses a serial that is not that of a CA certificate.
fn authority(change: &SqliteChange<'_>, serial: &str) -> Result<(), InventoryError> {
    match change.certificate(serial)? {
        None => Err(unknown(serial)),
        Some(record) if record.role == "ca" => Ok(()),
        Some(_) => Err(InventoryError::NotAnAuthority {
            serial: serial.to_owned(),
        }),
    }
}

fn unknown(serial: &str) -> InventoryError {
    InventoryError::UnknownSerial {
        serial: serial.to_owned(),
    }
}
