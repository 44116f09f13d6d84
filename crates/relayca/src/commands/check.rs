//! `relayca check`: one look at everything.
//!
//! In: the authority, read and never changed. Out: what is wrong or soon will be, worst first, each with what mends it.
//! Exit codes: 0 all is well, 3 warnings, 4 critical, 1 it could not be looked at. The judgements are in [`crate::checking`].

mod asking;
mod opening;
mod reading;

use std::os::unix::fs::MetadataExt;

use relayca_fingerprint::FingerprintMap;

use self::reading::Facts;
use crate::checking::{
    Finding, Look, Report, Severity, bundles, chains, clock, expiry, files, maps, metrics,
    revocations, settings, units,
};
use crate::cli::Check;
use crate::disk;
use crate::failure::Failure;
use crate::home::Home;
use crate::pieces;
use crate::printer::count;
use crate::run::Run;
use crate::steps;

/// The defaults of `--within` and `--critical`, see the grammar.
const DEFAULTS: (&str, &str) = ("30d", "7d");

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Check) -> Result<u8, Failure> {
    if run.printer.json && (arguments.prometheus || arguments.systemd) {
        return Err(
            Failure::usage("--json does not go with --prometheus or --systemd")
                .hint("leave one of the two out"),
        );
    }
    let within = crate::dates::span(&arguments.within)?;
    let home = Home::look(&run.global, None)?;
    let look = Look {
        now: run.now,
        within,
        critical: crate::dates::span(&arguments.critical)?.min(within),
        relayca: steps::relayca(&home),
    };
    if arguments.systemd {
        return print_units(run, &home, arguments);
    }
    let facts = reading::read(&home, &look)?;
    let mut findings = judge(&home, &facts, &look);
    if arguments.open {
        findings.extend(opening::open(run, &home, &facts, &look)?);
    }
    if arguments.ask {
        findings.extend(asking::ask(run, &home, &arguments.reach, &look)?);
    }
    let report = Report::new(
        home.settings.domain.to_string(),
        run.now,
        findings,
        expiry::expiries(&facts.known),
        facts.known.crls.clone(),
    );
    print(run, arguments, &report)?;
    notes(run, arguments, &facts, &report);
    Ok(report.exit_code())
}

/// Every judgement on what was read.
fn judge(home: &Home, facts: &Facts, look: &Look) -> Vec<Finding> {
    let known = &facts.known;
    let mut found = facts.faults.clone();
    found.extend(known.faults());
    found.extend(clock::findings(known, look));
    found.extend(files::findings(
        &facts.files,
        &facts.cas,
        &facts.committed,
        look,
    ));
    found.extend(bundles::findings(&facts.sealed, look));
    found.extend(settings::of_recipients(&home.settings, &facts.sealed, look));
    found.extend(settings::of_wrapped(&facts.sealed));
    // Without CAs the inventory is too damaged to say anything of hosts.
    let Some(authorities) = &known.authorities else {
        return found;
    };
    for (standing, files) in authorities.all().iter().zip(&facts.ca_files) {
        found.extend(chains::of_files(standing, files));
    }
    if let Some(active) = authorities.in_phase(relayca_inventory::Phase::Active) {
        found.extend(settings::of_domain(&home.settings, &active.certificate));
    }
    found.extend(expiry::findings(known, look));
    found.extend(chains::findings(known, look));
    found.extend(revocations::findings(known, look));
    found.extend(maps::of_settings(&home.settings, known, look));
    if let Some(map) = &facts.map {
        found.extend(of_map(home, facts, map, look));
    }
    found
}

fn of_map(home: &Home, facts: &Facts, map: &FingerprintMap, look: &Look) -> Vec<Finding> {
    let bindings = pieces::bindings(&home.settings);
    let senders = pieces::access_map(map, &bindings);
    let list = if home.settings.a_relay_lists_certificates() {
        crate::mail_servers::exim_list(map, &bindings)
    } else {
        Ok(String::new())
    };
    match senders.and_then(|senders| Ok((senders, list?))) {
        Ok((senders, list)) => maps::findings(
            &facts.written,
            map,
            senders.as_deref(),
            &list,
            &facts.known,
            look,
        ),
        Err(failure) => vec![Finding::critical(
            "map-impossible",
            crate::home::SETTINGS,
            failure.message,
            failure.hint.unwrap_or_default(),
        )],
    }
}

fn print(run: &Run, arguments: &Check, report: &Report) -> Result<(), Failure> {
    if arguments.prometheus {
        let text = metrics::text(report);
        return match &arguments.out {
            Some(out) => disk::replace_file(out, text.as_bytes(), pieces::PUBLIC),
            None => run.printer.data(&text),
        };
    }
    if run.printer.json {
        return run.printer.json(&report.json());
    }
    run.printer.data(&report.text())?;
    let (hints, more) = report.hints();
    for hint in hints {
        run.printer.hint(&hint);
    }
    if more > 0 {
        run.printer
            .hint(&format!("and {more} more; `check --json` has them all"));
    }
    Ok(())
}

fn notes(run: &Run, arguments: &Check, facts: &Facts, report: &Report) {
    if !report.findings.is_empty() {
        run.printer.note(&format!(
            "{}: {} critical, {}",
            report.domain,
            report.count(Severity::Critical),
            count(report.count(Severity::Warning), "warning", "warnings")
        ));
    }
    if facts.not_for_us > 0 {
        run.printer.note(&format!(
            "{} could not be read by this user, and what is in them was not looked at",
            count(facts.not_for_us, "file", "files")
        ));
    }
    if !arguments.open {
        run.printer
            .note("nothing sealed was opened; --open does, with an identity or the passphrase");
    }
}

/// The service and its timer, for this authority.
fn print_units(run: &Run, home: &Home, arguments: &Check) -> Result<u8, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot tell where relayca lies: {error}")))?;
    let directory =
        std::path::absolute(&home.root).map_err(|error| Failure::io("find", &home.root, &error))?;
    let owner = std::fs::metadata(&home.root)
        .map_err(|error| Failure::io("read", &home.root, &error))?
        .uid();
    let mut options = Vec::new();
    for (name, value, default) in [
        ("--within", &arguments.within, DEFAULTS.0),
        ("--critical", &arguments.critical, DEFAULTS.1),
    ] {
        if value != default {
            options.push(format!("{name} {value}"));
        }
    }
    run.printer.data(&units::text(&units::Job {
        program: &program,
        directory: &directory,
        domain: home.settings.domain.as_str(),
        owner,
        options: &options,
    })?)?;
    run.printer
        .note("next: paste it into a root shell on this machine");
    Ok(0)
}
