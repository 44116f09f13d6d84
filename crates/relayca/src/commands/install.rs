//! `relayca install`: a bundle put in place on its host, and Postfix told.

use std::net::ToSocketAddrs;

use relayca_ca::{Certificate, PrivateKey, Role};
use serde_json::{Value, json};

use crate::cli::Install;
use crate::dates;
use crate::failure::Failure;
use crate::installing::age::Allowed;
use crate::installing::bundle::{self, Bundle};
use crate::installing::changes::{self, Change, found};
use crate::installing::diff::unified;
use crate::installing::place::Place;
use crate::installing::plan::{self, Planned};
use crate::installing::{postfix, proof};
use crate::printer::{Printer, count, one_line, printable};
use crate::probing::in_a_line;
use crate::process;
use crate::run::Run;
use crate::steps::quoted;

/// Runs the command.
pub fn run(run: &Run, arguments: &Install) -> Result<(), Failure> {
    let place = Place::find(
        arguments.root.as_deref(),
        arguments.config_directory.as_deref(),
    )?;
    if !arguments.dry_run {
        refuse_others_than_root()?;
    }
    place.refuse_foreign()?;
    let bundle = bundle::open(run, &place, &arguments.bundle)?;
    refuse_other_directory(&place, &bundle)?;
    if arguments.dry_run {
        refuse_unfinished(&place)?;
        let key = bundle.key(&place)?;
        let planned = plan::plan(run, &place, &bundle, arguments.apply, allowed(arguments))?;
        drop(key);
        return Report::of(arguments, &place, &bundle, &planned).print(run);
    }
    let _undisturbed = process::undisturbed();
    let _lock = place.lock()?;
    recover(&run.printer, &place)?;
    let key = bundle.key(&place)?;
    let planned = plan::plan(run, &place, &bundle, arguments.apply, allowed(arguments))?;
    let mut report = Report::of(arguments, &place, &bundle, &planned);
    if planned.changes.is_empty() {
        return report.print(run);
    }
    let told = tell_interrupted(
        &run.printer,
        carry_out(run, arguments, &place, &bundle, key.as_ref(), &planned),
    );
    (report.running, report.proofs) = told?;
    report.print(run)
}

fn allowed(arguments: &Install) -> Allowed {
    Allowed {
        older: arguments.older,
        other_ca: arguments.other_ca,
    }
}

/// Puts all in place, and proves it. Gives whether Postfix ran, and the proof.
fn carry_out(
    run: &Run,
    arguments: &Install,
    place: &Place,
    bundle: &Bundle,
    key: Option<&PrivateKey>,
    planned: &Planned,
) -> Result<(Option<bool>, Vec<proof::Proof>), Failure> {
    let live = arguments.apply && place.root.is_none();
    let probes = live && !arguments.no_probe;
    let certificate = match &bundle.certificate {
        Some(certificate) => Some(certificate.clone()),
        None => certificate_there(place, bundle)?,
    };
    let mut proofs = Vec::new();
    if let (true, Role::MailHost, Some(certificate), Some(key)) =
        (probes, bundle.role, &certificate, key)
    {
        // It asks the relay and not this Postfix: so before anything is changed.
        proofs =
            proof::mail_host(bundle, certificate, key, run.now).map_err(|failure| Failure {
                message: format!("{}; nothing was changed", failure.message),
                ..failure
            })?;
    } else if live && bundle.role == Role::MailHost {
        warn_of_unknown_relays(&run.printer, bundle);
    }
    let running = if live {
        postfix::runs(&place.inside)?
    } else {
        false
    };
    let pending = changes::carry_out(place, &planned.changes, running, false)?;
    let proven = || -> Result<Option<proof::Proof>, Failure> {
        if !live {
            return Ok(None);
        }
        postfix::check(&place.inside)?;
        postfix::refuse_interrupted()?;
        if !running {
            return Ok(None);
        }
        postfix::reload(&place.inside)?;
        match (
            probes && bundle.role == Role::Relay,
            &certificate,
            &planned.config,
        ) {
            (true, Some(certificate), Some(config)) => {
                proof::relay(bundle, certificate, config, run.now).map(Some)
            }
            _ => Ok(None),
        }
    };
    match proven().and_then(|proof| postfix::refuse_interrupted().map(|()| proof)) {
        Ok(proof) => {
            pending.keep()?;
            proofs.extend(proof);
            Ok((live.then_some(running), proofs))
        }
        Err(failure) => Err(pending.give_up(failure)),
    }
}

/// The certificate that a relay has, where its public bundle brings only the list.
fn certificate_there(place: &Place, bundle: &Bundle) -> Result<Option<Certificate>, Failure> {
    let there = found(&bundle.certificate_path(place))?;
    Ok(there.and_then(|there| {
        let text = std::str::from_utf8(&there.content).ok()?;
        Certificate::from_pem(text).ok()
    }))
}

/// Files in CONFIG/relayca belong to root.
pub fn refuse_others_than_root() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Failure::new("this must run as root; nothing was changed")
            .hint("--dry-run shows what it would do"))
    }
}

/// What an earlier run left is taken back first.
pub fn recover(printer: &Printer, place: &Place) -> Result<(), Failure> {
    if let Some(told) = changes::recover(place)? {
        printer.warning(&told);
    }
    Ok(())
}

/// A dry run changes nothing, so it takes nothing back.
pub fn refuse_unfinished(place: &Place) -> Result<(), Failure> {
    if changes::is_unfinished(place)? {
        return Err(Failure::new(
            "an earlier run was stopped in the middle, so that nothing can be told",
        )
        .hint("run it without --dry-run: it takes that back first"));
    }
    Ok(())
}

/// On an interrupt the process ends without a word of how: this says it.
pub fn tell_interrupted<T>(printer: &Printer, result: Result<T, Failure>) -> Result<T, Failure> {
    if let Err(failure) = &result
        && process::interrupted()
    {
        printer.warning(&failure.message);
    }
    result
}

fn refuse_other_directory(place: &Place, bundle: &Bundle) -> Result<(), Failure> {
    let wanted = &bundle.wanted.directory;
    if *wanted == place.inside {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the bundle is for `{wanted}`, and Postfix's configuration here is in `{}`; nothing was changed",
        place.inside
    ))
    .hint(format!(
        "where the authority is: `config-directory = \"{}\"` under [host.\"{}\"] in relayca.toml, then `relayca bundle {}`; or name the other one here: --config-directory {wanted}",
        place.inside, bundle.host, bundle.host
    )))
}

fn warn_of_unknown_relays(printer: &Printer, bundle: &Bundle) {
    for hop in proof::next_hops(bundle).unwrap_or_default() {
        let (host, port) = (hop.target.host.as_str(), hop.target.port);
        if (host, port).to_socket_addrs().is_err() {
            printer.warning(&format!(
                "{} does not resolve here: mail waits until it does",
                one_line(host)
            ));
        }
    }
}

/// Changes as people and programs read them.
pub fn changes_json(place: &Place, changes: &[Change]) -> Vec<Value> {
    changes
        .iter()
        .map(|change| {
            json!({
                "path": place.within(&change.path),
                "action": action(change),
                "mode": change.becomes.as_ref().map(|new| format!("{:04o}", new.mode)),
            })
        })
        .collect()
}

/// `new`, `replaced` or `removed`.
fn action(change: &Change) -> &'static str {
    match (&change.was, &change.becomes) {
        (None, _) => "new",
        (Some(_), Some(_)) => "replaced",
        (Some(_), None) => "removed",
    }
}

/// The lines that say what changes, or changed.
pub fn changes_text(changes: &[Change], settings: &[String]) -> String {
    let mut text = String::new();
    for change in changes {
        text.push_str(&format!(
            "{:<9} {}\n",
            action(change),
            change.path.display()
        ));
    }
    for line in in_short(settings) {
        text.push_str(&format!("{:<9} {line}\n", "set"));
    }
    text
}

/// A service with many options in one line; the diff has all of them.
fn in_short(settings: &[String]) -> Vec<String> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for line in settings {
        // `master.cf: 2500/inet/name=value` is an option of 2500/inet.
        let service = line
            .strip_prefix("master.cf: ")
            .and_then(|rest| rest.split('=').next())
            .filter(|name| name.matches('/').count() > 1 && !line.ends_with(" goes"))
            .and_then(|name| name.rsplit_once('/'))
            .map(|(service, _)| service);
        let key = service.map_or_else(|| line.clone(), |service| format!("master.cf: {service}"));
        match lines.last_mut() {
            Some((last, number)) if service.is_some() && *last == key => *number += 1,
            _ => lines.push((key, usize::from(service.is_some()))),
        }
    }
    lines
        .into_iter()
        .map(|(line, number)| match number {
            0 => line,
            _ => format!("{line}: {}", count(number, "option", "options")),
        })
        .collect()
}

/// The differences. No key is shown, and nothing that is not text.
pub fn diff(place: &Place, changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let name = change.path.display().to_string();
        let old = change.was.as_deref().map(|was| was.as_slice());
        let new = change.becomes.as_ref().map(|new| new.content.as_slice());
        let secret = [old, new]
            .into_iter()
            .flatten()
            .any(|content| content.windows(11).any(|window| window == b"PRIVATE KEY"));
        let own = change.path == place.files.join(crate::installing::record::NAME)
            || name.ends_with(".before");
        match (as_text(old), as_text(new)) {
            _ if own => {}
            _ if secret => text.push_str(&format!(
                "# {name}: a private key, not shown: {}\n",
                action(change)
            )),
            (Some(old), Some(new)) => text.push_str(&unified(&name, old, new)),
            _ => text.push_str(&format!(
                "# {name}: no text, not shown: {}\n",
                action(change)
            )),
        }
    }
    text
}

/// As text, if it is there; nothing where it is no text.
fn as_text(content: Option<&[u8]>) -> Option<Option<&str>> {
    content.map(std::str::from_utf8).transpose().ok()
}

/// All that is printed.
struct Report<'a> {
    arguments: &'a Install,
    place: &'a Place,
    bundle: &'a Bundle,
    planned: &'a Planned,
    running: Option<bool>,
    proofs: Vec<proof::Proof>,
}

impl<'a> Report<'a> {
    fn of(
        arguments: &'a Install,
        place: &'a Place,
        bundle: &'a Bundle,
        planned: &'a Planned,
    ) -> Self {
        Self {
            arguments,
            place,
            bundle,
            planned,
            running: None,
            proofs: Vec::new(),
        }
    }

    fn status(&self) -> &'static str {
        match (self.planned.changes.is_empty(), self.arguments.dry_run) {
            (true, _) => "unchanged",
            (false, true) => "would-change",
            (false, false) if self.planned.update => "updated",
            (false, false) => "installed",
        }
    }

    fn print(&self, run: &Run) -> Result<(), Failure> {
        let changes = &self.planned.changes;
        if run.printer.json {
            run.printer.json(&self.json())?;
        } else if self.arguments.dry_run {
            run.printer.data(&printable(&diff(self.place, changes)))?;
        } else {
            let mut text = changes_text(changes, &self.planned.settings);
            for proof in &self.proofs {
                for check in &proof.checks {
                    text.push_str(&format!(
                        "{:<9} {} {}: {}\n",
                        check.mark.as_str(),
                        proof.relay,
                        check.id,
                        in_a_line(&check.seen)
                    ));
                }
            }
            run.printer.data(&printable(&text))?;
        }
        self.notes(&run.printer);
        Ok(())
    }

    fn notes(&self, printer: &Printer) {
        for warning in &self.planned.warnings {
            printer.warning(warning);
        }
        for left in &self.planned.left {
            printer.warning(&format!("{left} was changed since and stays as it is"));
        }
        let host = &self.bundle.host;
        let changes = self.planned.changes.len();
        printer.note(&match self.status() {
            "unchanged" => format!("nothing to do: all of {host} is in place"),
            "would-change" => format!(
                "{} would change; nothing was changed",
                count(changes, "file", "files")
            ),
            word => format!(
                "{host} {word}: {} changed, in {}",
                count(changes, "file", "files"),
                self.place.files.display()
            ),
        });
        if let Some(certificate) = &self.bundle.certificate {
            printer.note(&format!(
                "its certificate is valid until {}",
                dates::day(certificate.not_after())
            ));
        }
        for line in self.next() {
            printer.note(&line);
        }
    }

    fn next(&self) -> Vec<String> {
        let bundle = quoted(&self.arguments.bundle);
        let mut lines = Vec::new();
        if self.arguments.dry_run {
            lines.push("next: the same without --dry-run".to_owned());
            return lines;
        }
        match self.running {
            Some(true) if self.proofs.is_empty() => {
                lines.push("Postfix was checked and reloaded; nothing was probed".to_owned());
            }
            Some(true) => lines.push("Postfix was checked and reloaded, and the probe holds".to_owned()),
            Some(false) => lines.push(
                "Postfix was checked; it does not run and was not started: what was written counts when it starts"
                    .to_owned(),
            ),
            None => {}
        }
        if let Some(root) = self.place.root.as_ref().filter(|_| self.arguments.apply) {
            lines.push(format!(
                "below {}: nothing was checked, reloaded or probed there",
                root.display()
            ));
            let maps = self.bundle.maps();
            if !maps.is_empty() {
                lines.push(format!(
                    "next, in that system: cd {}/relayca && postmap {}",
                    self.place.inside,
                    maps.join(" ")
                ));
            }
        }
        if !self.arguments.apply {
            lines.push(format!(
                "Postfix was not told; next: relayca install {bundle} --apply{}",
                self.where_it_is()
            ));
        } else if self.status() != "unchanged" {
            lines.push(format!(
                "next: remove {bundle}; `relayca uninstall --apply{}` takes all of it back",
                self.where_it_is()
            ));
        }
        lines
    }

    /// The options that find the same Postfix again.
    fn where_it_is(&self) -> String {
        let mut text = String::new();
        if let Some(root) = &self.arguments.root {
            text.push_str(&format!(" --root {}", quoted(root)));
        }
        if let Some(directory) = &self.arguments.config_directory {
            text.push_str(&format!(
                " --config-directory {}",
                quoted(std::path::Path::new(directory))
            ));
        }
        text
    }

    fn json(&self) -> Value {
        let bundle = self.bundle;
        let certificate = bundle.certificate.as_ref().map(|certificate| {
            json!({ "serial": certificate.serial().to_string(), "not_after": dates::stamp(certificate.not_after()) })
        });
        let proofs: Vec<Value> = self
            .proofs
            .iter()
            .map(|proof| {
                let checks: Vec<Value> = proof
                    .checks
                    .iter()
                    .map(|check| json!({ "id": check.id, "verdict": check.mark.as_str(), "seen": check.seen, "hint": check.hint }))
                    .collect();
                json!({ "relay": proof.relay, "checks": checks })
            })
            .collect();
        json!({
            "host": bundle.host,
            "domain": bundle.domain,
            "role": bundle.role.to_string(),
            "status": self.status(),
            "root": self.place.root,
            "config_directory": self.place.inside,
            "applied": self.arguments.apply && !self.arguments.dry_run,
            "files": changes_json(self.place, &self.planned.changes),
            "settings": self.planned.settings,
            "left": self.planned.left,
            "diff": self.arguments.dry_run.then(|| diff(self.place, &self.planned.changes)),
            "reloaded": self.running,
            "proof": proofs,
            "certificate": certificate,
        })
    }
}
