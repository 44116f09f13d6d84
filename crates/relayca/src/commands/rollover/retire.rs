//! `relayca rollover retire`: a CA is let go.
//!
//! In: the outgoing CA, when nothing hangs on it any more; or a prepared one that is not wanted after all. Out: every host's
//! public bundle without it. Its files stay where they are, its certificate in the inventory.

use std::collections::HashSet;

use rayon::prelude::*;
use relayca_ca::Certificate;
use relayca_inventory::{CertificateRecord, Inventory, Phase, Records, State};
use serde_json::json;

use super::hosts::{self, Reached};
use super::{active, record, standing};
use crate::authorities::{Authorities, Standing};
use crate::commands::issue::{MANY, new_id};
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::Home;
use crate::public_bundles::newest;
use crate::run::Run;
use crate::steps::{self, Steps};

/// Runs the step.
pub fn run(run: &Run) -> Result<(), Failure> {
    let mut home = run.home(None)?;
    let mut inventory = home.inventory()?;
    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    home = Home::at(home.root)?;
    let authorities = Authorities::of(&*change)?;
    let leaving = leaving(&home, &authorities)?;
    let stays = active(&authorities)?;
    if leaving.phase == Phase::Outgoing {
        refuse_hanging(run, &home, &*change, &stays)?;
    }
    let serial = leaving.certificate.serial().to_string();
    change.set_phase(&serial, Phase::Retired)?;
    change.set_state(&serial, State::Retired)?;
    let what = match leaving.phase {
        Phase::Prepared => "rollover-abandon",
        _ => "rollover-retire",
    };
    let subject = leaving.certificate.subject().to_owned();
    record(run, &home, &mut *change, what, &leaving, subject)?;
    let trusted = Authorities::of(&*change)?.trusted();
    let staged = Staged::begin(&home.root, new_id()?)?;
    let hosts = hosts::put_all(run, &home, &*change, &trusted, &staged)?;
    home.commit(change, staged, run.now)?;
    report(run, &home, &leaving, &hosts, &trusted)
}

/// The CA to let go: the outgoing one, or one that was prepared and signed nothing.
fn leaving(home: &Home, authorities: &Authorities) -> Result<Standing, Failure> {
    authorities
        .in_phase(Phase::Outgoing)
        .or_else(|| authorities.in_phase(Phase::Prepared))
        .cloned()
        .ok_or_else(|| {
            let relayca = steps::relayca(home);
            Failure::new("no rollover is under way: no CA is outgoing or prepared; nothing was changed")
                .hint(format!("`{relayca} rollover prepare` begins one; `{relayca} retire HOST` is about a host's certificates"))
        })
}

/// Refuses while a certificate in use was not signed by the CA that stays. Names them all.
fn refuse_hanging(
    run: &Run,
    home: &Home,
    inventory: &(impl Records + ?Sized),
    stays: &Standing,
) -> Result<(), Failure> {
    // Each is a signature to be checked.
    let hanging: Vec<_> = standing::in_use(run, inventory)?
        .into_par_iter()
        .filter(|(_, certificate)| !certificate.issuer_is(&stays.certificate))
        .collect();
    if hanging.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = hanging
        .iter()
        .map(|(record, _)| {
            format!(
                "{}, serial {}, until {}",
                record.host,
                record.serial,
                dates::day_of(&record.not_after)
            )
        })
        .collect();
    let count = crate::printer::count(hanging.len(), "certificate hangs", "certificates hang");
    Err(Failure::new(format!(
        "{count} on the old CA and would be refused everywhere; nothing was changed\n{}",
        listed.join("\n")
    ))
    .hint(way_out(home, inventory, &hanging)?))
}

/// Some hosts have no certificate of the new CA yet, others have one beside the old one.
fn way_out(
    home: &Home,
    inventory: &(impl Records + ?Sized),
    hanging: &[(CertificateRecord, Certificate)],
) -> Result<String, Failure> {
    let relayca = steps::relayca(home);
    let mut superseded: Vec<&str> = Vec::new();
    let mut newest_of_all = false;
    let mut seen = HashSet::new();
    for (record, _) in hanging {
        if newest(inventory, &record.host)?.is_some_and(|newest| newest.serial == record.serial) {
            newest_of_all = true;
        } else if seen.insert(&record.host) {
            superseded.push(&record.host);
        }
    }
    let mut ways = Vec::new();
    if newest_of_all {
        ways.push(format!(
            "`{relayca} renew --due` gives those that have none a certificate of the new CA; when they use it, `{relayca} retire HOST`"
        ));
    }
    if !superseded.is_empty() {
        let hosts = if superseded.len() < MANY {
            superseded.join(" ")
        } else {
            "HOST...".to_owned()
        };
        ways.push(format!(
            "when they use their new certificates, `{relayca} retire {hosts}`"
        ));
    }
    ways.push(format!(
        "a host that is gone: `{relayca} revoke HOST --reason cessationOfOperation`"
    ));
    Ok(ways.join("; "))
}

fn report(
    run: &Run,
    home: &Home,
    left: &Standing,
    hosts: &[Reached],
    trusted: &[Certificate],
) -> Result<(), Failure> {
    let abandoned = left.phase == Phase::Prepared;
    let left = Standing {
        phase: Phase::Retired,
        ..left.clone()
    };
    let files = home.path(&left.directory());
    if run.printer.json {
        let (authorities, next) = standing::json(run, home)?;
        run.printer.json(&json!({
            "step": if abandoned { "abandon" } else { "retire" },
            "authorities": authorities,
            "hosts": hosts::json(home, hosts),
            "trust": crate::pieces::trust_text(trusted),
            "next": next,
        }))?;
    } else {
        let mut steps = Steps::default();
        hosts::trust_steps(&mut steps, home, hosts, trusted)?;
        run.printer.data(steps.text())?;
    }
    let serial = left.certificate.serial();
    if abandoned {
        run.printer.note(&format!(
            "gave up the prepared CA {serial}; it has signed nothing, and the other one goes on"
        ));
        run.printer.note(
            "next: paste the steps on the hosts that trust it already, in any order; the others have nothing to do",
        );
    } else {
        run.printer.note(&format!("retired the old CA {serial}"));
        run.printer.note(
            "next: paste the steps on every host, in any order, once it shows its new certificate (Postfix reloaded since): then nothing trusts the old CA any more",
        );
    }
    run.printer.note(&format!(
        "its files stay in {}; whoever has the key can make certificates for a host that still trusts it: destroy them once every host has its new file",
        files.display()
    ));
    Ok(())
}
