//! `relayca crl`: certificate revocation lists (RFC 5280 section 5), newly signed.
//!
//! In: what was revoked. Out: a list of each CA in use, its number one higher than ever before. Postfix reads none; Exim does.

use relayca_ca::{Authority, Certificate, NewCrl, Revoked, Serial};
use relayca_inventory::{Change, CrlRecord, Inventory, NewEvent, Phase, Records};
use serde_json::json;

use crate::authorities::{Authorities, Standing};
use crate::cli::Crl;
use crate::dates;
use crate::disk;
use crate::failure::Failure;
use crate::home::Home;
use crate::run::Run;
use crate::settings::word;
use crate::steps;

/// Runs the command.
pub fn run(run: &Run, arguments: &Crl) -> Result<(), Failure> {
    let home = run.home(None)?;
    let mut inventory = home.inventory()?;
    // What asks the admin comes before the lock.
    let signing = signing(run, &home, &inventory)?;
    if arguments.der && signing.len() > 1 {
        return Err(Failure::usage(
            "there are two lists while a CA is being replaced, and DER holds one",
        )
        .hint("leave --der out: PEM holds both"));
    }
    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    let now_in_use = in_use(run, &Authorities::of(&*change)?);
    let same = |(one, authority): (&Standing, &Authority)| {
        one.certificate.der() == authority.certificate().der()
    };
    if now_in_use.len() != signing.len() || !now_in_use.iter().zip(&signing).all(same) {
        return Err(Failure::new(
            "the CA was replaced while this command began; nothing was changed",
        )
        .hint("run it again: the new CA signs then"));
    }
    let mut records = Vec::new();
    let mut pem = String::new();
    for authority in &signing {
        let wanted = NewCrl {
            number: change.next_crl_number()?,
            days: arguments.days,
            revoked: revoked_by(&*change, authority.certificate())?,
        };
        let count = wanted.revoked.len();
        let list = authority.revocation_list(&wanted, run.now)?;
        pem.push_str(&list.to_pem());
        let record = CrlRecord {
            number: list.number(),
            authority: authority.certificate().serial().to_string(),
            this_update: dates::stamp(list.this_update()),
            next_update: dates::stamp(list.next_update()),
            crl_der: list.der().to_vec(),
        };
        change.add_crl(&record)?;
        change.record(&NewEvent {
            at: dates::stamp(run.now),
            what: "crl".into(),
            serial: Some(record.authority.clone()),
            host: None,
            detail: Some(format!("number {}", record.number)),
        })?;
        records.push((record, count));
    }
    change.commit()?;
    give_out(run, arguments, &records, &pem)?;
    report(run, &home, arguments, &records);
    Ok(())
}

/// The CAs that have a list, the active one first. One that is going out and has expired signs nothing more, and nobody asks.
fn in_use(run: &Run, authorities: &Authorities) -> Vec<Standing> {
    authorities
        .all()
        .iter()
        .filter(|one| match one.phase {
            Phase::Active => true,
            Phase::Outgoing => one.certificate.not_after() > run.now,
            Phase::Prepared | Phase::Retired => false,
        })
        .cloned()
        .collect()
}

/// Their opened keys.
fn signing(run: &Run, home: &Home, inventory: &impl Records) -> Result<Vec<Authority>, Failure> {
    let admins = home.admin_keys(&run.secrets)?;
    in_use(run, &Authorities::of(inventory)?)
        .iter()
        .map(|one| home.authority_in(&one.directory(), &admins, run.now))
        .collect()
}

/// What was revoked of the certificates that this CA signed.
fn revoked_by(change: &dyn Change, authority: &Certificate) -> Result<Vec<Revoked>, Failure> {
    let mut all = Vec::new();
    for revocation in change.revocations()? {
        let Some(record) = change.certificate(&revocation.serial)? else {
            continue;
        };
        if !Certificate::from_der(&record.certificate_der)?.issuer_is(authority) {
            continue;
        }
        let at = dates::moment(&revocation.at).ok_or_else(|| {
            Failure::new(format!(
                "serial {} was revoked at no time",
                revocation.serial
            ))
            .hint("restore `inventory.db` from a backup")
        })?;
        all.push(Revoked {
            serial: revocation.serial.parse::<Serial>()?,
            at,
            reason: word(&revocation.reason)?,
        });
    }
    Ok(all)
}

fn give_out(
    run: &Run,
    arguments: &Crl,
    records: &[(CrlRecord, usize)],
    pem: &str,
) -> Result<(), Failure> {
    if let Some(out) = &arguments.out {
        let content = match records {
            [(only, _)] if arguments.der => only.crl_der.as_slice(),
            _ => pem.as_bytes(),
        };
        disk::replace_file(out, content, 0o644)
            .map_err(|failure| failure.within("the list is in the inventory, but not given out"))?;
    }
    if run.printer.json {
        let items: Vec<_> = records
            .iter()
            .map(|(record, count)| {
                json!({
                    "number": record.number,
                    "authority": record.authority,
                    "this_update": record.this_update,
                    "next_update": record.next_update,
                    "revoked": count,
                })
            })
            .collect();
        return run.printer.json(&json!({ "crls": items, "pem": pem }));
    }
    match arguments.out {
        Some(_) => Ok(()),
        None => run.printer.data(pem),
    }
}

fn report(run: &Run, home: &Home, arguments: &Crl, records: &[(CrlRecord, usize)]) {
    for (record, count) in records {
        run.printer.note(&format!(
            "revocation list {} of CA {}: {}, the next one is due on {}",
            record.number,
            record.authority,
            crate::printer::count(*count, "revoked certificate", "revoked certificates"),
            dates::day_of(&record.next_update)
        ));
    }
    if let Some(out) = &arguments.out {
        run.printer.note(&format!("written to {}", out.display()));
    }
    run.printer.note(&format!(
        "next: give it to who reads lists (Exim's tls_crl); run `{} crl` again before that day",
        steps::relayca(home)
    ));
}
