//! `relayca list`: the hosts and their certificates.

use std::collections::{HashMap, HashSet};

use relayca_inventory::{AuthorityRecord, CertificateRecord, Filter, Phase, Records, State};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::cli::List;
use crate::dates;
use crate::failure::Failure;
use crate::pieces;
use crate::printer::{count, table};
use crate::run::Run;

/// Runs the command.
pub fn run(run: &Run, arguments: &List) -> Result<(), Failure> {
    let home = run.home(None)?;
    let inventory = home.inventory_read_only()?;
    let today = Today::of(&inventory, run.now)?;
    let mut records = inventory.certificates(&Filter::default())?;
    if !arguments.all {
        records.retain(|record| state(record, &today) == "live");
    }
    if run.printer.json {
        let items: Vec<Value> = records
            .iter()
            .map(|record| record_json(record, &today))
            .collect();
        return run.printer.json(&Value::Array(items));
    }
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            vec![
                record.host.clone(),
                record.role.clone(),
                state_in_list(record, &today),
                dates::day_of(&record.not_after).to_owned(),
                record.serial.clone(),
            ]
        })
        .collect();
    run.printer
        .data(&table(&["HOST", "ROLE", "STATE", "UNTIL", "SERIAL"], &rows))?;
    // A host may have two certificates while one supersedes the other.
    let hosts: HashSet<&str> = records
        .iter()
        .filter(|record| listed(record, &today))
        .map(|record| record.host.as_str())
        .collect();
    let hosts = count(hosts.len(), "mail host", "mail hosts");
    run.printer
        .note(&format!("{hosts} may relay for {}", home.settings.domain));
    Ok(())
}

/// What tells how a certificate stands today.
pub struct Today {
    now: String,
    phases: Vec<AuthorityRecord>,
    planned: HashMap<String, String>,
    retired: HashSet<String>,
}

impl Today {
    /// As the inventory has it.
    pub fn of(inventory: &(impl Records + ?Sized), now: OffsetDateTime) -> Result<Self, Failure> {
        Ok(Self {
            now: dates::stamp(now),
            phases: inventory.authorities()?,
            planned: inventory
                .retirements()?
                .into_iter()
                .map(|one| (one.serial, one.after))
                .collect(),
            retired: pieces::due_to_retire(inventory, now)?
                .into_iter()
                .map(|record| record.serial)
                .collect(),
        })
    }
}

/// The state in a word; an expired certificate is called that, and one whose time to retire has come is retired.
pub fn state(record: &CertificateRecord, today: &Today) -> &'static str {
    match record.state {
        State::Revoked => "revoked",
        State::Retired => "retired",
        State::Live if record.not_after < today.now => "expired",
        State::Live if today.retired.contains(&record.serial) => "retired",
        State::Live => "live",
    }
}

/// Where a CA stands in a rollover; `None` for a certificate of a host.
pub fn phase(record: &CertificateRecord, today: &Today) -> Option<Phase> {
    today
        .phases
        .iter()
        .find(|one| one.serial == record.serial)
        .map(|one| one.phase)
}

/// During a rollover a CA beside the active one is called by its phase.
fn state_in_list(record: &CertificateRecord, today: &Today) -> String {
    match (state(record, today), phase(record, today)) {
        ("live", Some(phase)) if phase != Phase::Active => phase.to_string(),
        (state, _) => state.to_owned(),
    }
}

/// Whether it is in the map.
pub fn listed(record: &CertificateRecord, today: &Today) -> bool {
    record.role == "mailhost" && state(record, today) == "live" && record.not_before <= today.now
}

/// A certificate as `--json` shows it: that of a CA with its phase, one that is to retire with the time.
pub fn record_json(record: &CertificateRecord, today: &Today) -> Value {
    let mut value = json!({
        "host": record.host,
        "role": record.role,
        "serial": record.serial,
        "state": state(record, today),
        "listed": listed(record, today),
        "not_before": record.not_before,
        "not_after": record.not_after,
        "issued_at": record.issued_at,
        "spki_sha256": record.spki_sha256,
    });
    if let Some(phase) = phase(record, today) {
        value["phase"] = json!(phase);
    }
    if let Some(after) = today.planned.get(&record.serial) {
        value["retire_after"] = json!(after);
    }
    value
}
