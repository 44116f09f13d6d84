//! `relayca rollover` alone: where it stands.
//!
//! In: the inventory. Out: each CA, its phase and dates, how many certificates in use hang on it, and the next step. Nothing is
//! opened, nothing changed.

use rayon::prelude::*;
use relayca_ca::Certificate;
use relayca_inventory::{CertificateRecord, Filter, Phase, Records, State};
use serde_json::{Value, json};

use super::super::issue::MANY;
use crate::authorities::{Authorities, Standing};
use crate::dates;
use crate::failure::Failure;
use crate::home::Home;
use crate::printer::{count, table};
use crate::run::Run;
use crate::steps;

/// Where a rollover stands.
struct Stand {
    /// Each CA and the hosts whose certificates in use it signed, a host as often as it has such certificates.
    authorities: Vec<(Standing, Vec<String>)>,
    /// Hosts with certificates in use that no CA here is known to have signed.
    unsigned: Vec<String>,
}

/// Shows where it stands.
pub fn run(run: &Run) -> Result<(), Failure> {
    let home = run.home(None)?;
    if run.printer.json {
        let (authorities, next) = self::json(run, &home)?;
        return run.printer.json(&json!({
            "domain": home.settings.domain.as_str(),
            "authorities": authorities,
            "next": next,
        }));
    }
    let stand = stand(run, &home)?;
    let rows: Vec<Vec<String>> = stand
        .authorities
        .iter()
        .map(|(one, hosts)| {
            let certificate = &one.certificate;
            vec![
                one.phase.to_string(),
                dates::day(certificate.not_before()),
                dates::day(certificate.not_after()),
                hosts.len().to_string(),
                certificate.serial().to_string(),
                crate::printer::one_line(certificate.subject()),
            ]
        })
        .collect();
    let header = ["PHASE", "FROM", "UNTIL", "IN USE", "SERIAL", "SUBJECT"];
    run.printer.data(&table(&header, &rows))?;
    if !stand.unsigned.is_empty() {
        run.printer.warning(&format!(
            "{} hang on none of these CAs: {}",
            count(
                stand.unsigned.len(),
                "certificate in use",
                "certificates in use"
            ),
            some(&stand.unsigned)
        ));
    }
    run.printer.note(&next(run, &home, &stand).1);
    Ok(())
}

/// The CAs as `--json` shows them, and the word for the next step.
pub fn json(run: &Run, home: &Home) -> Result<(Value, &'static str), Failure> {
    let stand = stand(run, home)?;
    let authorities = stand
        .authorities
        .iter()
        .map(|(one, hosts)| {
            let certificate = &one.certificate;
            json!({
                "serial": certificate.serial().to_string(),
                "subject": certificate.subject(),
                "phase": one.phase,
                "key": certificate.key_description(),
                "not_before": dates::stamp(certificate.not_before()),
                "not_after": dates::stamp(certificate.not_after()),
                "in_use": hosts.len(),
                "directory": home.path(&one.directory()),
            })
        })
        .collect();
    Ok((authorities, next(run, home, &stand).0))
}

/// Every certificate of a host that is live and has not expired.
pub fn in_use(
    run: &Run,
    inventory: &(impl Records + ?Sized),
) -> Result<Vec<(CertificateRecord, Certificate)>, Failure> {
    let now = dates::stamp(run.now);
    let mut records = inventory.certificates(&Filter {
        state: Some(State::Live),
        ..Filter::default()
    })?;
    records.retain(|record| record.role != "ca" && record.not_after >= now);
    records
        .into_iter()
        .map(|record| {
            let certificate = Certificate::from_der(&record.certificate_der)?;
            Ok((record, certificate))
        })
        .collect()
}

fn stand(run: &Run, home: &Home) -> Result<Stand, Failure> {
    let inventory = home.inventory_read_only()?;
    let authorities = Authorities::of(&inventory)?;
    let in_use = in_use(run, &inventory)?;
    // Each is a signature to be checked.
    let signers: Vec<Option<usize>> = in_use
        .par_iter()
        .map(|(_, certificate)| authorities.position_of_signer(certificate))
        .collect();
    let mut stand = Stand {
        authorities: authorities
            .all()
            .iter()
            .map(|one| (one.clone(), Vec::new()))
            .collect(),
        unsigned: Vec::new(),
    };
    for ((record, _), signer) in in_use.into_iter().zip(signers) {
        match signer.and_then(|at| stand.authorities.get_mut(at)) {
            Some((_, hosts)) => hosts.push(record.host),
            None => stand.unsigned.push(record.host),
        }
    }
    Ok(stand)
}

/// The next step: a word, and what to do.
fn next(run: &Run, home: &Home, stand: &Stand) -> (&'static str, String) {
    let relayca = steps::relayca(home);
    let phase = |phase: Phase| stand.authorities.iter().find(|(one, _)| one.phase == phase);
    if phase(Phase::Prepared).is_some() {
        return (
            "activate",
            format!(
                "next: when every host trusts both CAs ({}/HOST.public.tar has the file), `{relayca} rollover activate`; to give the new one up, `{relayca} rollover retire`",
                home.path("bundles").display()
            ),
        );
    }
    if let Some((_, hosts)) = phase(Phase::Outgoing) {
        let hanging: Vec<String> = hosts.iter().chain(&stand.unsigned).cloned().collect();
        if hanging.is_empty() {
            return (
                "retire",
                format!("next: nothing hangs on the old CA any more: `{relayca} rollover retire`"),
            );
        }
        return (
            "renew",
            format!(
                "next: {} on the old CA ({}): `{relayca} renew --due`, and when the hosts use the new ones `{relayca} retire HOST`; then `{relayca} rollover retire`",
                count(hanging.len(), "certificate hangs", "certificates hang"),
                some(&hanging)
            ),
        );
    }
    let until = phase(Phase::Active).map(|(active, _)| active.certificate.not_after());
    let when = match until {
        Some(until) if until < run.now => "next: the CA has expired".to_owned(),
        Some(until) => format!(
            "no rollover is under way; the CA is valid until {}",
            dates::day(until)
        ),
        None => "no rollover is under way".to_owned(),
    };
    (
        "prepare",
        format!("{when}: `{relayca} rollover prepare` makes a new one beside it"),
    )
}

/// A few of them by name.
fn some(hosts: &[String]) -> String {
    let mut named: Vec<&str> = hosts.iter().map(String::as_str).collect();
    named.dedup();
    if named.len() < MANY {
        return named.join(", ");
    }
    let more = named.len() - (MANY - 1);
    named.truncate(MANY - 1);
    format!("{} and {more} more", named.join(", "))
}
