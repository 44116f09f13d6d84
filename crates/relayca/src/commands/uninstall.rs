//! `relayca uninstall`: what `install` did, taken back.

use relayca_ca::Role;
use serde_json::json;

use super::install::report::{changes_json, changes_text, diff};
use super::install::{recover, refuse_others_than_root, refuse_unfinished, tell_interrupted};
use crate::cli::Uninstall;
use crate::failure::Failure;
use crate::installing::changes::{self, found};
use crate::installing::place::Place;
use crate::installing::record::{Installation, Record};
use crate::installing::taking_back::{self, Planned};
use crate::installing::{plan, postfix};
use crate::printer::{count, printable};
use crate::process;
use crate::run::Run;

/// Runs the command.
pub fn run(run: &Run, arguments: &Uninstall) -> Result<(), Failure> {
    let place = Place::find(
        arguments.root.as_deref(),
        arguments.config_directory.as_deref(),
    )?;
    place.refuse_foreign()?;
    if arguments.dry_run {
        refuse_unfinished(&place)?;
        let (record, host) = installed(&place, arguments)?;
        let planned = think(&place, &record, &host, arguments)?;
        return print(run, arguments, &place, &host, &planned, None);
    }
    refuse_others_than_root()?;
    let _undisturbed = process::undisturbed();
    let _lock = place.lock()?;
    recover(&run.printer, &place)?;
    if place.has_no_files() {
        // It has nothing in it, or is not there.
        let _ = std::fs::remove_dir(&place.files);
    }
    let (record, host) = installed(&place, arguments)?;
    let planned = think(&place, &record, &host, arguments)?;
    let last = record.installations.len() == 1 && record.made_directory;
    let running = tell_interrupted(&run.printer, carry_out(&place, &planned, arguments, last))?;
    print(run, arguments, &place, &host, &planned, running)
}

fn think(
    place: &Place,
    record: &Record,
    host: &Installation,
    arguments: &Uninstall,
) -> Result<Planned, Failure> {
    let told = !host.main.is_empty() || !host.services.is_empty();
    if told && !arguments.apply {
        return Err(Failure::usage(format!(
            "Postfix was told to use the files of {}; nothing was changed",
            host.host
        ))
        .hint("--apply takes its settings back, too"));
    }
    let now = (found(&place.main_cf)?, found(&place.master_cf)?);
    taking_back::plan(place, record, host, now)
}

/// What is installed, and which of it is meant.
fn installed(place: &Place, arguments: &Uninstall) -> Result<(Record, Installation), Failure> {
    let nothing = || {
        Failure::new(format!(
            "nothing is installed in `{}`: there is no record of it",
            place.files.display()
        ))
        .hint("files that were unpacked by hand are removed by hand")
    };
    let Some((record, _)) = plan::record(place)? else {
        return Err(nothing());
    };
    let names: Vec<&str> = record
        .installations
        .iter()
        .map(|one| one.host.as_str())
        .collect();
    let found = match (&arguments.host, record.installations.as_slice()) {
        (Some(host), _) => record.of(host).cloned().ok_or_else(|| {
            Failure::usage(format!("`{host}` is not installed here"))
                .hint(format!("installed: {}", names.join(", ")))
        })?,
        (None, [one]) => one.clone(),
        (None, []) => return Err(nothing()),
        (None, _) => {
            return Err(Failure::usage("several bundles are installed here")
                .hint(format!("name one: {}", names.join(", "))));
        }
    };
    Ok((record, found))
}

/// Takes back. Gives whether Postfix ran.
fn carry_out(
    place: &Place,
    planned: &Planned,
    arguments: &Uninstall,
    last: bool,
) -> Result<Option<bool>, Failure> {
    let live = arguments.apply && place.root.is_none();
    let running = if live {
        postfix::runs(&place.inside)?
    } else {
        false
    };
    let pending = changes::carry_out(place, &planned.changes, running, last)?;
    let taken = || -> Result<(), Failure> {
        if live {
            postfix::check(&place.inside)?;
            postfix::refuse_interrupted()?;
        }
        if running {
            postfix::reload(&place.inside)?;
        }
        postfix::refuse_interrupted()
    };
    match taken() {
        Ok(()) => {
            pending.keep()?;
            Ok(live.then_some(running))
        }
        Err(failure) => Err(pending.give_up(failure)),
    }
}

fn print(
    run: &Run,
    arguments: &Uninstall,
    place: &Place,
    host: &Installation,
    planned: &Planned,
    running: Option<bool>,
) -> Result<(), Failure> {
    if run.printer.json {
        run.printer.json(&json!({
            "host": host.host,
            "domain": host.domain,
            "role": host.role,
            "status": if arguments.dry_run { "would-change" } else { "uninstalled" },
            "root": place.root,
            "config_directory": place.inside,
            "files": changes_json(place, &planned.changes),
            "settings": planned.settings,
            "left": planned.left,
            "diff": arguments.dry_run.then(|| diff(place, &planned.changes)),
            "reloaded": running,
        }))?;
    } else if arguments.dry_run {
        run.printer
            .data(&printable(&diff(place, &planned.changes)))?;
    } else {
        let text = changes_text(&planned.changes, &planned.settings);
        run.printer.data(&printable(&text))?;
    }
    for left in &planned.left {
        run.printer.warning(&if left.ends_with(')') {
            format!("{left} stays")
        } else {
            format!("{left} was changed since and stays")
        });
    }
    let files = count(planned.changes.len(), "file", "files");
    if arguments.dry_run {
        run.printer
            .note(&format!("{files} would change; nothing was changed"));
        run.printer.note("next: the same without --dry-run");
        return Ok(());
    }
    run.printer.note(&format!(
        "{} uninstalled: {files} changed or removed, in {} and {}",
        host.host,
        place.config.display(),
        place.files.display()
    ));
    match running {
        Some(true) => run.printer.note("Postfix was checked and reloaded"),
        Some(false) => run
            .printer
            .note("Postfix was checked; it does not run and was not started"),
        None if place.root.is_some() => run.printer.note("nothing was checked or reloaded there"),
        None => {}
    }
    let is_mail_host = host.role == Role::MailHost.to_string();
    if planned.goes_on {
        // A block that was pasted before `install` holds again.
        run.printer.warning(if is_mail_host {
            "main.cf or master.cf still has relayca's settings from before: mail goes on through the relay"
        } else {
            "master.cf still has relayca's service from before: who is listed goes on relaying"
        });
    } else if is_mail_host && !planned.settings.is_empty() {
        run.printer
            .note("mail leaves as main.cf says now, and no longer through the relay");
    }
    run.printer.note(&format!(
        "its certificate still holds; if the host is gone for good, where the authority is: relayca revoke {}",
        host.host
    ));
    Ok(())
}
