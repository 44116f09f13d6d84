//! Pasting what the program prints where it belongs, step by step.
//!
//! Enters: a printed text, and the hosts. Leaves: what the pasted commands did there. Refuses to know what they mean, apart from
//! the headings of the steps, `scp` (here a copy) and `relayca passphrase`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::lab::{Instance, Machine, Pasted};
use crate::main_job::Admin;

/// A host that can be pasted into.
pub trait Place {
    /// Where `scp` copies to, as seen from here.
    fn directory(&self) -> PathBuf;
    /// A path, as the host sees it.
    fn inside(&self, outside: &Path) -> PathBuf;
    /// Gives a script to `sh` there.
    ///
    /// # Errors
    /// Where it cannot be started.
    fn paste(&self, script: &str) -> Result<Pasted>;
    /// All that was logged there.
    fn log(&self) -> String;
}

impl Place for Instance {
    fn directory(&self) -> PathBuf {
        Instance::directory(self).to_owned()
    }

    fn inside(&self, outside: &Path) -> PathBuf {
        Instance::inside(self, outside)
    }

    fn paste(&self, script: &str) -> Result<Pasted> {
        Instance::paste(self, script)
    }

    fn log(&self) -> String {
        Instance::log(self)
    }
}

impl Place for Machine {
    fn directory(&self) -> PathBuf {
        self.file("/root")
    }

    fn inside(&self, outside: &Path) -> PathBuf {
        Machine::inside(self, outside)
    }

    fn paste(&self, script: &str) -> Result<Pasted> {
        Machine::paste(self, script)
    }

    fn log(&self) -> String {
        Machine::log(self)
    }
}

/// A printed step: where it is to be done, and the text to be pasted there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The heading, without its number.
    pub title: String,
    /// The host; `None` for the admin's own machine.
    pub host: Option<String>,
    /// The text below the heading.
    pub commands: String,
}

/// Cuts what was printed at its headings (`# N. …`).
#[must_use]
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        let heading = line
            .strip_prefix("# ")
            .and_then(|rest| rest.split_once(". "))
            .filter(|(number, _)| number.parse::<u32>().is_ok());
        match (heading, steps.last_mut()) {
            (Some((_, title)), _) => steps.push(Step {
                title: title.to_owned(),
                host: title
                    .strip_prefix("On ")
                    .and_then(|rest| rest.split([',', ' ']).next())
                    .map(str::to_owned),
                commands: String::new(),
            }),
            (None, Some(step)) => {
                step.commands.push_str(line);
                step.commands.push('\n');
            }
            (None, None) => {}
        }
    }
    steps
}

/// Pastes every step of a printed text where it belongs; `find` knows the hosts, and what goes to a host that it does not know is
/// copied to `elsewhere`. Of what is to be run on the admin's machine, only copies and `relayca passphrase` are: later
/// commands are the caller's.
///
/// # Errors
/// Where a step fails, with what it said.
pub fn paste<'a>(
    admin: &Admin,
    printed: &str,
    find: &dyn Fn(&str) -> Option<&'a dyn Place>,
    elsewhere: &'a dyn Place,
) -> Result<()> {
    let mut passphrase = None;
    for step in steps(printed) {
        let Some(host) = &step.host else {
            passphrase = here(admin, &step, find, elsewhere)?;
            continue;
        };
        let place = find(host)
            .with_context(|| format!("a step for `{host}`, which is not in the scenario"))?;
        let said = match passphrase.take() {
            Some(passphrase) if step.commands.contains("age -d") => {
                type_passphrase(place, &step.commands, &passphrase)?
            }
            _ => place.paste(&in_place(place, &step.commands))?,
        };
        ensure!(
            said.ok(),
            "{}:\n{}\n{}\n{}",
            step.title,
            said.stdout,
            said.stderr,
            place.log()
        );
    }
    Ok(())
}

/// A step on the admin's machine: the copy that `scp` would make, and the passphrase that is shown.
fn here<'a>(
    admin: &Admin,
    step: &Step,
    find: &dyn Fn(&str) -> Option<&'a dyn Place>,
    elsewhere: &'a dyn Place,
) -> Result<Option<String>> {
    let mut passphrase = None;
    for line in step.commands.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["scp", file, target] => {
                let host = target.trim_start_matches("root@").trim_end_matches(':');
                let place = find(host).unwrap_or(elsewhere);
                let name = Path::new(file).file_name().context("scp of no file")?;
                fs::copy(admin.outside(Path::new(file)), place.directory().join(name))?;
            }
            ["relayca", "passphrase", host] => {
                passphrase = Some(admin.done(&["passphrase", host])?);
            }
            ["relayca", "retire" | "renew" | "rollover" | "check", ..] | ["#", ..] | [] => {}
            other => bail!("a step here that nobody can do: {other:?}"),
        }
    }
    Ok(passphrase)
}

/// The commands run where the bundle was copied to.
fn in_place(place: &dyn Place, commands: &str) -> String {
    let directory = place.inside(&place.directory());
    format!("cd {}\n{commands}", directory.display())
}

/// Runs commands on a terminal of their own and types a passphrase there: `age` takes it from nowhere else.
fn type_passphrase(place: &dyn Place, commands: &str, passphrase: &str) -> Result<Pasted> {
    let script = place.directory().join("typed.sh");
    fs::write(&script, format!("set -e\n{}", in_place(place, commands)))?;
    let typed = place.directory().join("typed.txt");
    fs::write(&typed, passphrase)?;
    let said = place.paste(&format!(
        "script -qec 'sh {}' /dev/null < {}\n",
        place.inside(&script).display(),
        place.inside(&typed).display()
    ));
    fs::remove_file(typed)?;
    said
}
