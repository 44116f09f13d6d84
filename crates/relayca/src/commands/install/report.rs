//! What `install` and `uninstall` say: a diff before, what changed after, what was proved, what is next.
//!
//! In: the plan, and what came of it. Out: text, or JSON. It refuses to change anything, and to show a key.

use relayca_postfix::{ACCESS_MAP, CLIENT_MAP};
use serde_json::{Value, json};

use crate::cli::Install;
use crate::dates;
use crate::failure::Failure;
use crate::installing::bundle::Bundle;
use crate::installing::changes::Change;
use crate::installing::diff::unified;
use crate::installing::place::Place;
use crate::installing::plan::Planned;
use crate::installing::{proof, record};
use crate::printer::{Printer, count, printable};
use crate::probing::in_a_line;
use crate::run::Run;
use crate::steps::quoted;

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

/// The differences: of main.cf, master.cf and the lists of who may relay. What else a bundle brings is named, no key is shown, and
/// nothing that is not text.
pub fn diff(place: &Place, changes: &[Change]) -> String {
    let (mut named, mut text) = (String::new(), String::new());
    for change in changes {
        let name = change.path.display().to_string();
        let inside = change.path.strip_prefix(&place.files).ok();
        let inside = inside.and_then(std::path::Path::to_str);
        let list = inside.is_none_or(|name| [CLIENT_MAP, ACCESS_MAP].contains(&name));
        let content = [
            change.was.as_deref().map(|was| was.as_slice()),
            change.becomes.as_ref().map(|new| new.content.as_slice()),
        ];
        let own = |name: &str| name == record::NAME || name.ends_with(".before");
        match content.map(as_text) {
            _ if inside.is_some_and(own) => {}
            [Some(old), Some(new)] if list => text.push_str(&unified(&name, old, new)),
            _ => {
                let secret = inside.is_some_and(|name| name.ends_with(".key.pem"));
                let what = if secret {
                    "a private key, not shown: "
                } else {
                    ""
                };
                named.push_str(&format!("# {name}: {what}{}\n", action(change)));
            }
        }
    }
    named + &text
}

/// As text, if it is there; nothing where it is no text.
fn as_text(content: Option<&[u8]>) -> Option<Option<&str>> {
    content.map(std::str::from_utf8).transpose().ok()
}

/// All that is printed.
pub struct Report<'a> {
    arguments: &'a Install,
    place: &'a Place,
    bundle: &'a Bundle,
    planned: &'a Planned,
    /// Whether Postfix ran, and was told.
    pub running: Option<bool>,
    /// What the probe saw.
    pub proofs: Vec<proof::Proof>,
}

impl<'a> Report<'a> {
    /// Of what is planned; nothing was told or proved yet.
    pub fn of(
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

    /// Prints it.
    pub fn print(&self, run: &Run) -> Result<(), Failure> {
        let changes = &self.planned.changes;
        if run.printer.json {
            run.printer.json(&self.json())?;
        } else if self.arguments.dry_run {
            run.printer.data(&printable(&diff(self.place, changes)))?;
        } else {
            let mut text = changes_text(changes, &self.planned.settings);
            for (word, hosts) in [
                ("listed", &self.planned.listed),
                ("unlisted", &self.planned.unlisted),
            ] {
                for host in hosts {
                    text.push_str(&format!("{word:<9} {host}\n"));
                }
            }
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
                self.places()
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

    fn places(&self) -> String {
        let files = self.place.files.display();
        let within = |change: &Change| change.path.starts_with(&self.place.files);
        if self.planned.changes.iter().all(within) {
            files.to_string()
        } else {
            format!("{} and {files}", self.place.config.display())
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
            "listed": self.planned.listed,
            "unlisted": self.planned.unlisted,
            "left": self.planned.left,
            "warnings": self.planned.warnings,
            "diff": self.arguments.dry_run.then(|| diff(self.place, &self.planned.changes)),
            "reloaded": self.running,
            "proof": proofs,
            "certificate": certificate,
        })
    }
}
