//! `relayca rollover`: a new CA takes the place of the old one, while mail flows.
//!
//! In: the step. Out: the inventory's phases, the CAs' files, the hosts' public bundles, and what to do on the hosts. Each step
//! is one transaction; between two of them every host works, for as long as it takes.
//!
//! | step | old CA | new CA | hosts trust |
//! | --- | --- | --- | --- |
//! | prepare | signs | is given out | both |
//! | activate | its certificates go on | signs | both |
//! | retire | is let go | signs | the new one |
//!
//! A prepared CA that is not wanted is let go by `retire` as well: it has signed nothing.

mod activate;
mod hosts;
mod prepare;
mod retire;
mod standing;

use relayca_inventory::{Change, NewEvent, Phase};

use crate::authorities::{Authorities, Standing};
use crate::cli::{Rollover, RolloverStep};
use crate::dates;
use crate::failure::Failure;
use crate::home::Home;
use crate::run::Run;
use crate::steps;

/// Runs the command.
pub fn run(run: &Run, arguments: &Rollover) -> Result<(), Failure> {
    match &arguments.step {
        None => standing::run(run),
        Some(RolloverStep::Prepare {
            ca_key,
            ca_days,
            permit,
        }) => prepare::run(run, ca_key.as_deref(), *ca_days, permit),
        Some(RolloverStep::Activate) => activate::run(run),
        Some(RolloverStep::Retire) => retire::run(run),
    }
}

/// The CA that signs.
fn active(authorities: &Authorities) -> Result<Standing, Failure> {
    authorities.in_phase(Phase::Active).cloned().ok_or_else(|| {
        Failure::new("the inventory has no active CA").hint("restore `inventory.db` from a backup")
    })
}

/// Refuses to begin where something is under way, and tells how that goes on.
fn refuse_under_way(home: &Home, authorities: &Authorities) -> Result<(), Failure> {
    let relayca = steps::relayca(home);
    if let Some(prepared) = authorities.in_phase(Phase::Prepared) {
        return Err(Failure::new(format!(
            "a rollover is under way: CA {} is prepared; nothing was changed",
            prepared.certificate.serial()
        ))
        .hint(format!(
            "when every host trusts it, `{relayca} rollover activate` lets it sign; `{relayca} rollover retire` gives it up"
        )));
    }
    if let Some(outgoing) = authorities.in_phase(Phase::Outgoing) {
        return Err(Failure::new(format!(
            "a rollover is under way: CA {} is outgoing; nothing was changed",
            outgoing.certificate.serial()
        ))
        .hint(format!(
            "`{relayca} rollover` shows what still hangs on it; `{relayca} rollover retire` ends that rollover"
        )));
    }
    Ok(())
}

/// Refuses a CA that took another step while this command began.
fn still_in_phase(
    authorities: &Authorities,
    known: &Standing,
    phase: Phase,
) -> Result<(), Failure> {
    let now = authorities.in_phase(phase);
    if now.is_some_and(|now| now.certificate.der() == known.certificate.der()) {
        return Ok(());
    }
    Err(
        Failure::new("another rollover step was taken while this one began; nothing was changed")
            .hint("`relayca rollover` shows where it stands"),
    )
}

/// The event of a step, at the CA that it is about.
fn record(
    run: &Run,
    home: &Home,
    change: &mut dyn Change,
    what: &str,
    about: &Standing,
    detail: String,
) -> Result<(), Failure> {
    Ok(change.record(&NewEvent {
        at: dates::stamp(run.now),
        what: what.to_owned(),
        serial: Some(about.certificate.serial().to_string()),
        host: Some(home.settings.domain.to_string()),
        detail: Some(detail),
    })?)
}
