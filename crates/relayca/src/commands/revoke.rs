//! `relayca revoke`: withdraws certificates for good.
//!
//! In: a host or a serial, and a reason. Out: the inventory and the relays' maps without them. A host with several live
//! certificates is never guessed about.

use relayca_ca::{HostName, Reason, Serial};
use relayca_inventory::{CertificateRecord, Filter, Inventory, NewEvent, Phase, Records, State};
use serde_json::json;

use super::issue::new_id;
use crate::authorities::Authorities;
use crate::cli::Revoke;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::Home;
use crate::pieces;
use crate::public_bundles;
use crate::run::Run;
use crate::steps::{self, Steps};

/// Runs the command.
pub fn run(run: &Run, arguments: &Revoke) -> Result<(), Failure> {
    let mut home = run.home(arguments.what.first().map(String::as_str))?;
    let reason: Reason = arguments.reason.parse()?;
    let mut inventory = home.inventory()?;
    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    home = Home::at(home.root)?;
    let mut chosen = chosen(&home, &*change, arguments)?;
    if reason != Reason::Superseded {
        refuse_to_leave_the_key(&*change, &chosen)?;
        add_retired_of_the_key(&*change, &mut chosen)?;
    }
    let before = pieces::map_of(
        &pieces::live(&*change, run.now)?,
        home.settings.digest,
        home.settings.pin,
    )?;
    let at = dates::stamp(run.now);
    for record in &chosen {
        change.revoke(&record.serial, &at, &reason.to_string())?;
        change.record(&NewEvent {
            at: at.clone(),
            what: "revoke".into(),
            serial: Some(record.serial.clone()),
            host: Some(record.host.clone()),
            detail: Some(reason.to_string()),
        })?;
    }
    let map = pieces::map_now(&home.settings, &*change, run.now)?;
    let authorities = Authorities::of(&*change)?;
    let staged = Staged::begin(&home.root, new_id()?)?;
    let trusted = authorities.trusted();
    public_bundles::put_relays(&run.printer, &home, &*change, &trusted, &map, &staged)?;
    let has_list = match authorities.in_phase(Phase::Active) {
        Some(active) => change
            .newest_crl(&active.certificate.serial().to_string())?
            .is_some(),
        None => false,
    };
    home.commit(change, staged, run.now)?;

    // With a pin of the public key, another certificate of the same key keeps the line.
    let shorter =
        pieces::fingerprints(&home.settings, &before) != pieces::fingerprints(&home.settings, &map);
    if run.printer.json {
        let items: Vec<_> = chosen
            .iter()
            .map(|record| {
                json!({
                    "host": record.host,
                    "role": record.role,
                    "serial": record.serial,
                    "reason": reason.to_string(),
                    "at": at,
                })
            })
            .collect();
        run.printer
            .json(&json!({ "revoked": items, "map_entries": map.entries().len() }))?;
    } else if shorter {
        let mut steps = Steps::default();
        steps::relays(&mut steps, &home, &map)?;
        run.printer.data(steps.text())?;
    }
    report(run, &home, &chosen, shorter, has_list);
    Ok(())
}

/// The certificates that are meant, each once.
fn chosen(
    home: &Home,
    inventory: &(impl Records + ?Sized),
    arguments: &Revoke,
) -> Result<Vec<CertificateRecord>, Failure> {
    let mut all: Vec<CertificateRecord> = Vec::new();
    for what in &arguments.what {
        for record in meant(home, inventory, what, arguments.all)? {
            if all.iter().all(|other| other.serial != record.serial) {
                all.push(record);
            }
        }
    }
    Ok(all)
}

/// With a pin of the public key, a key relays while any live certificate of it is there.
fn refuse_to_leave_the_key(
    inventory: &(impl Records + ?Sized),
    chosen: &[CertificateRecord],
) -> Result<(), Failure> {
    // Not of its host alone: of a CA made elsewhere, a relay may have the key of a mail host.
    let mut live = inventory.certificates(&Filter {
        state: Some(State::Live),
        ..Filter::default()
    })?;
    live.retain(|other| chosen.iter().all(|one| one.serial != other.serial));
    for record in chosen {
        let left: Vec<String> = live
            .iter()
            .filter(|other| other.spki_sha256 == record.spki_sha256)
            .map(|other| match other.host == record.host {
                true => other.serial.clone(),
                false => format!("{} of {}", other.serial, other.host),
            })
            .collect();
        if !left.is_empty() {
            return Err(Failure::new(format!(
                "the key of serial {} is in another live certificate, and would go on relaying: {}; nothing was revoked",
                record.serial,
                left.join(", ")
            ))
            .hint("name those serials too; with `--reason superseded` one may go alone"));
        }
    }
    Ok(())
}

/// A key that is given up must not go on by a certificate that was retired and is valid still: who reads revocation lists
/// would trust that one.
fn add_retired_of_the_key(
    inventory: &(impl Records + ?Sized),
    chosen: &mut Vec<CertificateRecord>,
) -> Result<(), Failure> {
    let mut retired = inventory.certificates(&Filter {
        state: Some(State::Retired),
        ..Filter::default()
    })?;
    retired.retain(|record| record.role != "ca");
    for record in chosen.clone() {
        for other in &retired {
            let fits = other.spki_sha256 == record.spki_sha256;
            if fits && chosen.iter().all(|one| one.serial != other.serial) {
                chosen.push(other.clone());
            }
        }
    }
    Ok(())
}

/// One by its serial, or those of a host where there is no doubt.
fn meant(
    home: &Home,
    inventory: &(impl Records + ?Sized),
    what: &str,
    every: bool,
) -> Result<Vec<CertificateRecord>, Failure> {
    let host = HostName::in_domain(what, &home.settings.domain).ok();
    let known = match &host {
        Some(host) => inventory.host(host.as_str())?,
        None => None,
    };
    let Some(known) = known else {
        return Ok(vec![by_serial(inventory, what)?]);
    };
    let live = public_bundles::live(inventory, &known.name)?;
    match live.as_slice() {
        [] => Err(Failure::new(format!(
            "`{}` has no live certificate; nothing was revoked",
            known.name
        ))
        .hint(format!("`relayca show {}` tells its history", known.name))),
        [_] => Ok(live),
        _ if every => Ok(live),
        several => {
            let listed: Vec<String> = several
                .iter()
                .map(|record| {
                    format!(
                        "serial {}, issued {}, until {}",
                        record.serial,
                        dates::day_of(&record.issued_at),
                        dates::day_of(&record.not_after)
                    )
                })
                .collect();
            Err(Failure::new(format!(
                "`{}` has {} live certificates; nothing was revoked\n{}",
                known.name,
                several.len(),
                listed.join("\n")
            ))
            .hint("name them by their serials, or all by --all"))
        }
    }
}

fn by_serial(
    inventory: &(impl Records + ?Sized),
    what: &str,
) -> Result<CertificateRecord, Failure> {
    let record = match what.parse::<Serial>() {
        Ok(serial) => inventory.certificate(&serial.to_string())?,
        Err(_) => None,
    };
    let Some(record) = record else {
        return Err(
            Failure::new(format!("nothing is known of `{what}`; nothing was revoked"))
                .hint("`relayca list --all` shows every host and serial"),
        );
    };
    if record.role == "ca" {
        return Err(Failure::new(format!(
            "serial {} is the CA's own certificate; nothing was revoked",
            record.serial
        ))
        .hint("a CA is replaced: `relayca rollover prepare` begins that"));
    }
    if record.state == State::Revoked {
        return Err(Failure::new(format!(
            "serial {} of `{}` is revoked already",
            record.serial, record.host
        ))
        .hint("`relayca map --format paste` prints the map for the relays again"));
    }
    Ok(record)
}

fn report(run: &Run, home: &Home, chosen: &[CertificateRecord], shorter: bool, has_list: bool) {
    let relayca = steps::relayca(home);
    for record in chosen {
        run.printer.note(&format!(
            "revoked {} ({}), serial {}",
            record.host, record.role, record.serial
        ));
    }
    if chosen.iter().any(|record| record.role == "relay") {
        run.printer.warning(
            "Postfix reads no revocation list: mail hosts go on trusting a relay that shows this certificate until it expires",
        );
        run.printer.hint(&format!(
            "if its key was stolen, replace the CA (`{relayca} rollover prepare`): a mail host trusts the thief until the last step of that, `{relayca} rollover retire`, has reached it; else `{relayca} renew --rekey HOST` is enough"
        ));
    }
    if has_list {
        run.printer.note(&format!(
            "the revocation list that was given out does not have it: `{relayca} crl` writes the next one"
        ));
    }
    if shorter {
        let or = if home.settings.have_postfix([]) {
            format!(", or `{relayca} deploy --relays`")
        } else {
            String::new()
        };
        run.printer.note(&format!(
            "next: paste the map on every relay{or}; until then the host may still relay there"
        ));
    } else if !note_expired(run, home, chosen)
        && chosen.iter().any(|record| record.role == "mailhost")
    {
        run.printer
            .note("the relays' maps stay as they are: these were not in it, or their key is in another certificate");
    }
}

/// Says where the maps stay as they are because by this clock one of these expired: a clock that is ahead would make a fool of the
/// admin. Gives whether it did.
pub fn note_expired(run: &Run, home: &Home, taken_out: &[CertificateRecord]) -> bool {
    let now = dates::stamp(run.now);
    let expired = |record: &&CertificateRecord| record.role == "mailhost" && record.not_after < now;
    let Some(record) = taken_out.iter().find(expired) else {
        return false;
    };
    run.printer.note(&format!(
        "the relays' maps stay as they are: by this machine's clock ({now}) serial {} expired on {}",
        record.serial, record.not_after
    ));
    run.printer.hint(&format!(
        "if the clock is wrong, set it, and paste what `{} map --format paste` prints",
        steps::relayca(home)
    ));
    true
}
