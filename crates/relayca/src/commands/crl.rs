//! `relayca crl`: certificate revocation lists (RFC 5280 section 5), newly signed.
//!
//! In: what was revoked. Out: a list of each CA in use, its number one higher than ever before. Postfix reads none; Exim does.

use std::collections::HashSet;

use relayca_ca::{Authority, Certificate, NewCrl, RevocationList, Revoked, Serial};
use relayca_inventory::{Change, CrlRecord, Inventory, NewEvent, Phase, Records};
use serde_json::json;

use crate::authorities::{Authorities, Standing};
use crate::cli::Crl;
use crate::dates;
use crate::disk;
use crate::failure::Failure;
use crate::home::{Home, KEY};
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
    let authorities = Authorities::of(&*change)?;
    let now_in_use = in_use(run, &home, &authorities);
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
    for one in keyless(run, &home, &authorities) {
        pem.push_str(&last_list(run, one, &*change)?);
    }
    change.commit()?;
    give_out(run, arguments, &records, &pem)?;
    report(run, &home, arguments, &records);
    Ok(())
}

/// The CAs that sign a list, the active one first. One that is going out and has expired signs nothing more, and nobody asks.
fn in_use(run: &Run, home: &Home, authorities: &Authorities) -> Vec<Standing> {
    let signs = |one: &&Standing| match one.phase {
        Phase::Active => true,
        Phase::Outgoing => one.certificate.not_after() > run.now && has_key(home, one),
        Phase::Prepared | Phase::Retired => false,
    };
    authorities.all().iter().filter(signs).cloned().collect()
}

/// An outgoing CA whose key is lost, which may be why it goes out. The other one's list is not to wait for it.
fn keyless<'a>(
    run: &Run,
    home: &Home,
    authorities: &'a Authorities,
) -> impl Iterator<Item = &'a Standing> {
    authorities
        .in_phase(Phase::Outgoing)
        .filter(|one| one.certificate.not_after() > run.now && !has_key(home, one))
        .into_iter()
}

fn has_key(home: &Home, one: &Standing) -> bool {
    home.path(&format!("{}/{KEY}", one.directory())).exists()
}

/// The last list of a CA that signs no more, while it holds: readers want one of each CA.
fn last_list(run: &Run, one: &Standing, change: &dyn Change) -> Result<String, Failure> {
    let serial = one.certificate.serial().to_string();
    run.printer.warning(&format!(
        "the key of the outgoing CA {serial} is not there: it signs no new list"
    ));
    let last = match change.newest_crl(&serial)? {
        Some(record) => Some(RevocationList::from_der(&record.crl_der)?),
        None => None,
    };
    let Some(last) = last.filter(|list| list.next_update() > run.now) else {
        run.printer
            .hint("who reads lists refuses its certificates: `relayca renew --due` replaces them");
        return Ok(String::new());
    };
    run.printer.hint(&format!(
        "its last list goes along, which holds until {}: `relayca renew --due` replaces its certificates",
        dates::day(last.next_update())
    ));
    Ok(last.to_pem())
}

/// Their opened keys.
fn signing(run: &Run, home: &Home, inventory: &impl Records) -> Result<Vec<Authority>, Failure> {
    let admins = home.admin_keys(&run.secrets)?;
    in_use(run, home, &Authorities::of(inventory)?)
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
    all.extend(of_the_last_list(change, authority)?);
    Ok(all)
}

/// What the last list has and the inventory does not know: of a CA taken over, certificates that nobody has the file of. Left
/// out, they would be good again.
fn of_the_last_list(change: &dyn Change, authority: &Certificate) -> Result<Vec<Revoked>, Failure> {
    let Some(last) = change.newest_crl(&authority.serial().to_string())? else {
        return Ok(Vec::new());
    };
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for one in RevocationList::from_der(&last.crl_der)?.revoked() {
        let serial = one.serial.to_string();
        if change.certificate(&serial)?.is_none() && seen.insert(serial) {
            all.push(one.clone());
        }
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
