//! `relayca list`: the hosts and their certificates.

use relayca_inventory::{CertificateRecord, Filter, Records, State};
use serde_json::{Value, json};

use crate::cli::List;
use crate::dates;
use crate::failure::Failure;
use crate::printer::{count, table};
use crate::run::Run;

/// Runs the command.
pub fn run(run: &Run, arguments: &List) -> Result<(), Failure> {
    let home = run.home(None)?;
    let now = dates::stamp(run.now);
    let mut records = home
        .inventory_read_only()?
        .certificates(&Filter::default())?;
    if !arguments.all {
        records.retain(|record| record.state == State::Live && record.not_after >= now);
    }
    if run.printer.json {
        let items: Vec<Value> = records
            .iter()
            .map(|record| record_json(record, &now))
            .collect();
        return run.printer.json(&Value::Array(items));
    }
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            vec![
                record.host.clone(),
                record.role.clone(),
                state(record, &now).to_owned(),
                dates::day_of(&record.not_after).to_owned(),
                record.serial.clone(),
            ]
        })
        .collect();
    run.printer
        .data(&table(&["HOST", "ROLE", "STATE", "UNTIL", "SERIAL"], &rows))?;
    let hosts = records.iter().filter(|record| listed(record, &now)).count();
    let hosts = count(hosts, "mail host", "mail hosts");
    run.printer
        .note(&format!("{hosts} may relay for {}", home.settings.domain));
    Ok(())
}

/// The state in a word; an expired certificate is called that, whatever else is true of it.
pub fn state(record: &CertificateRecord, now: &str) -> &'static str {
    match record.state {
        State::Revoked => "revoked",
        State::Retired => "retired",
        State::Live if *record.not_after < *now => "expired",
        State::Live => "live",
    }
}

/// Whether it is in the map.
pub fn listed(record: &CertificateRecord, now: &str) -> bool {
    record.role == "mailhost"
        && record.state == State::Live
        && *record.not_before <= *now
        && *record.not_after >= *now
}

/// A certificate as `--json` shows it.
pub fn record_json(record: &CertificateRecord, now: &str) -> Value {
    json!({
        "host": record.host,
        "role": record.role,
        "serial": record.serial,
        "state": state(record, now),
        "listed": listed(record, now),
        "not_before": record.not_before,
        "not_after": record.not_after,
        "issued_at": record.issued_at,
        "spki_sha256": record.spki_sha256,
    })
}
