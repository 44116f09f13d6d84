//! `relayca rollover activate`: the new CA signs from now on.
//!
//! In: the prepared CA, proved to open. Out: its files in `ca`, those of the old one in `ca/SERIAL`, both in one change: whoever
//! opens the inventory afterwards puts in place what a stop left. Nothing changes on the hosts: they trust both.

use relayca_inventory::{Inventory, Phase};
use serde_json::json;

use super::{active, record, refuse_under_way, standing, still_in_phase};
use crate::authorities::{Authorities, Standing, directory};
use crate::commands::issue::new_id;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::{CA, CERTIFICATE, Home, KEY, PASSPHRASE};
use crate::pieces;
use crate::run::Run;
use crate::steps::{self, Steps};

/// The files of a CA.
const FILES: [(&str, u32); 3] = [
    (CERTIFICATE, pieces::PUBLIC),
    (KEY, pieces::PRIVATE),
    (PASSPHRASE, pieces::PRIVATE),
];

/// Runs the step.
pub fn run(run: &Run) -> Result<(), Failure> {
    let mut home = run.home(None)?;
    let mut inventory = home.inventory()?;
    let authorities = Authorities::of(&inventory)?;
    let new = prepared(&home, &authorities)?;
    let old = active(&authorities)?;
    let admins = home.admin_keys(&run.secrets)?;
    prove(run, &home, &new, &admins)?;

    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    home = Home::at(home.root)?;
    // Again, now that nobody else can take a step.
    let authorities = Authorities::of(&*change)?;
    still_in_phase(&authorities, &new, Phase::Prepared)?;
    still_in_phase(&authorities, &old, Phase::Active)?;
    let old_serial = old.certificate.serial().to_string();
    let new_serial = new.certificate.serial().to_string();
    change.set_phase(&old_serial, Phase::Outgoing)?;
    change.set_phase(&new_serial, Phase::Active)?;
    let detail = format!("in the place of {old_serial}");
    record(run, &home, &mut *change, "rollover-activate", &new, detail)?;
    let staged = Staged::begin(&home.root, new_id()?)?;
    change_places(run, &home, &old_serial, &new.directory(), &staged)?;
    home.commit(change, staged, run.now)?;
    report(run, &home, &old, &new)
}

/// The CA that waits to be activated.
fn prepared(home: &Home, authorities: &Authorities) -> Result<Standing, Failure> {
    if let Some(prepared) = authorities.in_phase(Phase::Prepared) {
        return Ok(prepared.clone());
    }
    let relayca = steps::relayca(home);
    if authorities.in_phase(Phase::Outgoing).is_some() {
        let active = active(authorities)?;
        return Err(Failure::new(format!(
            "the new CA {} is active already; nothing was changed",
            active.certificate.serial()
        ))
        .hint(format!(
            "`{relayca} renew --due` gives the hosts certificates of it; then `{relayca} rollover retire`"
        )));
    }
    refuse_under_way(home, authorities)?;
    Err(
        Failure::new("no new CA is prepared; nothing was changed").hint(format!(
            "`{relayca} rollover prepare` makes one, and every host has to trust it first"
        )),
    )
}

/// The new CA's files are those that the inventory knows, its key opens, belongs to its certificate, and may sign today.
fn prove(
    run: &Run,
    home: &Home,
    new: &Standing,
    admins: &crate::opening::AdminKeys,
) -> Result<(), Failure> {
    let relayca = steps::relayca(home);
    let directory = new.directory();
    for (file, _) in FILES {
        let path = home.path(&format!("{directory}/{file}"));
        if matches!(path.try_exists(), Ok(false)) {
            return Err(Failure::new(format!(
                "`{}` is missing; nothing was changed",
                path.display()
            ))
            .hint(format!(
                "restore it from a backup, or `{relayca} rollover retire` and prepare anew"
            )));
        }
    }
    let (from, until) = (new.certificate.not_before(), new.certificate.not_after());
    if run.now < from || run.now > until {
        return Err(Failure::new(format!(
            "the prepared CA is valid from {} to {} and not today; nothing was changed",
            dates::day(from),
            dates::day(until)
        ))
        .hint(format!(
            "look at this machine's clock; if it is right, `{relayca} rollover retire` and prepare anew"
        )));
    }
    let authority = home.authority_in(&directory, admins, run.now)?;
    if authority.certificate().der() == new.certificate.der() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the certificate in `{}` is not the one that was prepared",
        home.path(&new.directory()).display()
    ))
    .hint(format!(
        "restore the directory from a backup, or `{relayca} rollover retire` and prepare anew"
    )))
}

/// The old CA's files move to a directory of their own, the new one's take their place.
fn change_places(
    run: &Run,
    home: &Home,
    old_serial: &str,
    new_directory: &str,
    staged: &Staged,
) -> Result<(), Failure> {
    let old_directory = directory(old_serial, Phase::Outgoing);
    for (file, mode) in FILES {
        let from = format!("{CA}/{file}");
        if home.path(&from).exists() {
            staged.put(&format!("{old_directory}/{file}"), &home.read(&from)?, mode)?;
        } else {
            // The old key may be lost: that is one reason for a new CA.
            run.printer.warning(&format!(
                "`{}` is missing: nothing of it can be kept",
                home.path(&from).display()
            ));
        }
    }
    for (file, mode) in FILES {
        let from = format!("{new_directory}/{file}");
        staged.put(&format!("{CA}/{file}"), &home.read(&from)?, mode)?;
        staged.remove(&from)?;
    }
    Ok(())
}

fn report(run: &Run, home: &Home, old: &Standing, new: &Standing) -> Result<(), Failure> {
    let relayca = steps::relayca(home);
    if run.printer.json {
        let (authorities, next) = standing::json(run, home)?;
        run.printer.json(&json!({
            "step": "activate",
            "authorities": authorities,
            "next": next,
        }))?;
    } else {
        let mut steps = Steps::default();
        steps.add(
            "Here: give every host a certificate of the new CA, the relays first. Paste the steps that it prints.",
            &format!("{relayca} renew --due"),
        );
        steps.add(
            "Here, when the hosts use their new certificates: take the old ones out of use, then let the old CA go.",
            &format!("# {relayca} retire HOST...\n{relayca} rollover retire"),
        );
        run.printer.data(steps.text())?;
    }
    run.printer.note(&format!(
        "CA {} signs from now on, valid until {}: {}",
        new.certificate.serial(),
        dates::day(new.certificate.not_after()),
        home.path(CA).display()
    ));
    let outgoing = Standing {
        phase: Phase::Outgoing,
        ..old.clone()
    };
    run.printer.note(&format!(
        "CA {} signs no more: {}; certificates that it signed go on working",
        old.certificate.serial(),
        home.path(&outgoing.directory()).display()
    ));
    run.printer.warning(
        "every host must trust both CAs by now: one that does not refuses the new certificates, and mail waits",
    );
    run.printer.hint(&format!(
        "{}/HOST.public.tar has the file for each host: {}-ca.crt.pem",
        home.path("bundles").display(),
        home.settings.domain
    ));
    Ok(())
}
