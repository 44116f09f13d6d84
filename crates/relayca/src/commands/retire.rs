//! `relayca retire`: takes superseded certificates out of use.
//!
//! In: hosts that use their new certificates, or `--due`. Out: only the newest live certificate of each stays; the map without
//! the others. Nothing is deleted: a retired certificate stays in the inventory.

use relayca_ca::Serial;
use relayca_inventory::{CertificateRecord, Inventory, NewEvent, Records, State};
use serde_json::json;

use super::issue::new_id;
use super::revoke::note_expired;
use super::snippet::known_host;
use crate::authorities::Authorities;
use crate::cli::Retire;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::Home;
use crate::pieces;
use crate::public_bundles;
use crate::run::Run;
use crate::steps::{self, Steps};

/// Runs the command.
pub fn run(run: &Run, arguments: &Retire) -> Result<(), Failure> {
    let mut home = run.home(arguments.hosts.first().map(String::as_str))?;
    let mut inventory = home.inventory()?;
    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    home = Home::at(home.root)?;
    let superseded = superseded(run, &home, &*change, arguments)?;
    if superseded.is_empty() {
        if run.printer.json {
            let map = pieces::map_now(&home.settings, &*change, run.now)?;
            run.printer
                .json(&json!({ "retired": [], "map_entries": map.entries().len() }))?;
        }
        run.printer.note(
            "nothing to retire: each host has one live certificate, or its time has not come",
        );
        return Ok(());
    }
    let before = pieces::map_of(
        &pieces::live(&*change, run.now)?,
        home.settings.digest,
        home.settings.pin,
    )?;
    let at = dates::stamp(run.now);
    for record in &superseded {
        change.set_state(&record.serial, State::Retired)?;
        change.record(&NewEvent {
            at: at.clone(),
            what: "retire".into(),
            serial: Some(record.serial.clone()),
            host: Some(record.host.clone()),
            detail: None,
        })?;
    }
    let map = pieces::map_now(&home.settings, &*change, run.now)?;
    let trusted = Authorities::of(&*change)?.trusted();
    let staged = Staged::begin(&home.root, new_id()?)?;
    public_bundles::put_relays(&run.printer, &home, &*change, &trusted, &map, &staged)?;
    home.commit(change, staged, run.now)?;

    let shorter =
        pieces::fingerprints(&home.settings, &before) != pieces::fingerprints(&home.settings, &map);
    if run.printer.json {
        let items: Vec<_> = superseded
            .iter()
            .map(|record| json!({ "host": record.host, "serial": record.serial }))
            .collect();
        run.printer
            .json(&json!({ "retired": items, "map_entries": map.entries().len() }))?;
    } else if shorter {
        let mut steps = Steps::default();
        steps::relays(&mut steps, &home, &map)?;
        run.printer.data(steps.text())?;
    }
    for record in &superseded {
        run.printer.note(&format!(
            "retired {}, serial {}",
            record.host, record.serial
        ));
    }
    if shorter {
        run.printer
            .note("next: paste the map on each relay; until then the old keys may still relay");
    } else if !note_expired(run, &home, &superseded) {
        run.printer
            .note("the relays' maps stay as they are; nothing is left to do");
    }
    Ok(())
}

/// The live certificates that are not their host's newest.
fn superseded(
    run: &Run,
    home: &Home,
    inventory: &(impl Records + ?Sized),
    arguments: &Retire,
) -> Result<Vec<CertificateRecord>, Failure> {
    if arguments.due {
        return pieces::due_to_retire(inventory, run.now);
    }
    let now = dates::stamp(run.now);
    let mut all = Vec::new();
    for text in &arguments.hosts {
        let named = by_serial(inventory, text)?;
        let host = match &named {
            Some(record) => record.host.clone(),
            None => known_host(home, text)?.0.to_string(),
        };
        let mut live = public_bundles::live(inventory, &host)?;
        let Some(newest) = live.pop() else {
            return Err(Failure::new(format!("`{host}` has no live certificate"))
                .hint(format!("`relayca show {host}` tells its history")));
        };
        if let Some(named) = named {
            refuse_in_use(&named, &newest)?;
            // Once it is retired, to say so again does no harm.
            live.retain(|record| record.serial == named.serial);
        }
        refuse_to_stop_mail(&newest, &live, &now)?;
        all.extend(live);
    }
    all.sort_by(|one, other| one.serial.cmp(&other.serial));
    all.dedup_by(|one, other| one.serial == other.serial);
    Ok(all)
}

/// A certificate named by its serial.
fn by_serial(
    inventory: &(impl Records + ?Sized),
    text: &str,
) -> Result<Option<CertificateRecord>, Failure> {
    let record = match text.parse::<Serial>() {
        Ok(serial) => inventory.certificate(&serial.to_string())?,
        Err(_) => None,
    };
    match record {
        Some(record) if record.role == "ca" => Err(Failure::new(format!(
            "serial {} is a CA's own certificate; nothing was retired",
            record.serial
        ))
        .hint("`relayca rollover` tells how a CA is replaced")),
        other => Ok(other),
    }
}

/// The one that its host is to use is never retired.
fn refuse_in_use(named: &CertificateRecord, newest: &CertificateRecord) -> Result<(), Failure> {
    if named.serial != newest.serial {
        return Ok(());
    }
    let host = &named.host;
    Err(Failure::new(format!(
        "serial {} is the one that `{host}` is to use; nothing was retired",
        named.serial
    ))
    .hint(format!(
        "`relayca renew {host}` first; for a host that is gone: `relayca revoke {host} --reason cessationOfOperation`"
    )))
}

/// While the newest is not valid, an older one may be all that a host has.
fn refuse_to_stop_mail(
    newest: &CertificateRecord,
    older: &[CertificateRecord],
    now: &str,
) -> Result<(), Failure> {
    let valid = |record: &CertificateRecord| {
        record.not_before.as_str() <= now && record.not_after.as_str() >= now
    };
    let host = &newest.host;
    match older.iter().find(|record| valid(record)) {
        Some(older) if !valid(newest) => Err(Failure::new(format!(
            "the newest certificate of `{host}` ({}) is not valid today, and an older one ({}) is; nothing was retired",
            newest.serial, older.serial
        ))
        .hint(format!(
            "`relayca renew {host}` first, or look at the clock: retiring the older one would stop its mail"
        ))),
        _ => Ok(()),
    }
}
