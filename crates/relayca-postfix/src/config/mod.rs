//! main.cf and master.cf as Postfix reads them.
//!
//! Enters: the bytes of the two files, and the version of Postfix that reads them, where it is known. Leaves: entries
//! and services with their lines, values as a service sees them, and what Postfix would not take as it was meant.
//! Refuses to know: files, this machine, and what a value means.

mod defect;
mod expand;
mod logical;
mod main_cf;
mod master_cf;
mod options;
mod parameters;
mod scope;
mod unknown;
mod version;
mod words;

use std::collections::HashMap;
use std::sync::OnceLock;

use defect::Defects;
use expand::{Trouble, Work};

pub use defect::{Defect, DefectKind};
pub use main_cf::{Entry, MainCf};
pub use master_cf::{MasterCf, Override, Service, Word};
pub use parameters::{NEWEST, Parameter, USUAL, parameter, parameters};
pub use scope::{Origin, Scope, Value};
pub use version::{Version, VersionError};

/// The name of the one file.
pub const MAIN_CF: &str = "main.cf";

/// The name of the other.
pub const MASTER_CF: &str = "master.cf";

/// The parameters that Postfix sets for each process, whatever is said.
const READ_ONLY: &[&str] = &["process_id", "process_name", "service_name"];

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `main.cf`, `master.cf` or an absolute path.
    pub file: String,
    /// From 1; none for the file as a whole.
    pub line: Option<u32>,
}

impl Place {
    /// A line of main.cf.
    #[must_use]
    pub fn main(line: u32) -> Self {
        Self {
            file: MAIN_CF.to_owned(),
            line: Some(line),
        }
    }

    /// A line of master.cf.
    #[must_use]
    pub fn master(line: u32) -> Self {
        Self {
            file: MASTER_CF.to_owned(),
            line: Some(line),
        }
    }

    /// A file as a whole.
    #[must_use]
    pub fn file(path: &str) -> Self {
        Self {
            file: path.to_owned(),
            line: None,
        }
    }
}

/// main.cf and master.cf, of one Postfix.
#[derive(Debug, Clone)]
pub struct Config {
    /// main.cf.
    pub main: MainCf,
    /// master.cf.
    pub master: MasterCf,
    /// The Postfix that reads them, where it is known.
    pub version: Option<Version>,
    directory: String,
    /// The commands of the services of a name.
    commands: HashMap<String, Vec<String>>,
    /// What main.cf makes of `mydomain` where it does not set it.
    domain: OnceLock<Option<String>>,
}

impl Config {
    /// Reads both. Never fails: what cannot be taken is in the defects of the two. What is beyond 4 MiB or 10,000
    /// logical lines of a file is not read, and said to be so.
    #[must_use]
    pub fn parse(main_cf: &[u8], master_cf: Option<&[u8]>, version: Option<Version>) -> Self {
        let mut config = Self {
            main: MainCf::parse(main_cf),
            master: MasterCf::parse(master_cf.unwrap_or_default()),
            version,
            directory: "/etc/postfix".to_owned(),
            commands: HashMap::new(),
            domain: OnceLock::new(),
        };
        for service in &config.master.services {
            let commands = config.commands.entry(service.name.clone()).or_default();
            if !commands.contains(&service.command) {
                commands.push(service.command.clone());
            }
        }
        let (main, master) = config.broken_values();
        config.main.defects.extend(main);
        config.main.defects.sort_by(defect::order);
        config.master.defects.extend(master);
        config.master.defects.sort_by(defect::order);
        config
    }

    /// The values that no Postfix can expand.
    fn broken_values(&self) -> (Vec<Defect>, Vec<Defect>) {
        let mut work = Work::for_all();
        let mut main = Defects::of(MAIN_CF);
        let scope = self.main_scope();
        for entry in self.main.counting() {
            if let Some((kind, text)) = broken(scope, &entry.name, &entry.value, &mut work) {
                main.push(kind, Some(entry.line), None, Some(&entry.name), text);
            }
        }
        let mut master = Defects::of(MASTER_CF);
        for service in &self.master.services {
            let scope = self.scope(service);
            for option in &service.options {
                if let Some((kind, text)) = broken(scope, &option.name, &option.value, &mut work) {
                    let label = Some(service.label());
                    master.push(kind, Some(option.line), label, Some(&option.name), text);
                }
            }
        }
        (main.into_vec(), master.into_vec())
    }

    /// The same, said to lie in another directory than `/etc/postfix`: what `$config_directory` is.
    #[must_use]
    pub fn in_directory(mut self, directory: &str) -> Self {
        directory.clone_into(&mut self.directory);
        self
    }

    /// The configuration directory.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// What main.cf says, for whatever has no options of its own.
    #[must_use]
    pub fn main_scope(&self) -> Scope<'_> {
        Scope::new(self, None)
    }

    /// What a service sees: its options, then main.cf, then the defaults.
    #[must_use]
    pub fn scope<'a>(&'a self, service: &'a Service) -> Scope<'a> {
        Scope::new(self, Some(service))
    }

    /// The services that run `smtpd`, with what they see.
    pub fn smtpd_services(&self) -> impl Iterator<Item = (&Service, Scope<'_>)> {
        self.master
            .services
            .iter()
            .filter(|service| service.is_smtpd())
            .map(|service| (service, self.scope(service)))
    }

    /// The services that run `smtp` or `lmtp`, with what they see.
    pub fn smtp_clients(&self) -> impl Iterator<Item = (&Service, Scope<'_>)> {
        self.master
            .services
            .iter()
            .filter(|service| service.is_smtp_client())
            .map(|service| (service, self.scope(service)))
    }

    /// The absolute form of a path: a daemon works in the queue directory, so a relative one is below it.
    #[must_use]
    pub fn absolute(&self, path: &str, scope: Scope<'_>) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        let queue = scope.value("queue_directory").text;
        format!("{}/{path}", queue.trim_end_matches('/'))
    }

    /// The parameters that are set and that this version does not know, as its `postconf` warns of them (`unused
    /// parameter`); if the version is not known, those that none from 3.4 on knows.
    #[must_use]
    pub fn unknown_parameters(&self) -> Vec<(String, Place)> {
        unknown::judge_names(self).unknown
    }

    /// The names that a value asks for by `$name`, or smtpd_restriction_classes lists, and that nobody sets or knows,
    /// as `postconf` warns of them (`undefined parameter`): they stand for nothing.
    #[must_use]
    pub fn undefined_parameters(&self) -> Vec<(String, Place)> {
        unknown::judge_names(self).undefined
    }

    /// The parameter of which a parameter like `relay_destination_concurrency_limit` takes its default, if a service
    /// of master.cf gives it.
    pub(crate) fn default_of_service(&self, name: &str) -> Option<&'static str> {
        parameters::service_suffixes().find_map(|(suffix, default)| {
            let service = name.strip_suffix(suffix)?;
            let commands = self.commands.get(service)?;
            commands
                .iter()
                .any(|command| parameters::gives(command, suffix))
                .then_some(default)
        })
    }
}

/// Why a value cannot be expanded. What is too much work to find out is not said.
fn broken(
    scope: Scope<'_>,
    name: &str,
    value: &str,
    work: &mut Work,
) -> Option<(DefectKind, String)> {
    let raw = parameter(name).is_some_and(|parameter| parameter.raw);
    if raw || READ_ONLY.contains(&name) || work.is_used_up() {
        return None;
    }
    let result = scope.expand(value, work);
    let name = defect::shown(name);
    match result {
        Ok(_) => None,
        Err(Trouble::TooLong) if work.is_used_up() => None,
        Err(trouble @ Trouble::Syntax(_)) => Some((
            DefectKind::BadExpression,
            format!("the value of `{name}` is no expression: {}", trouble.text()),
        )),
        Err(trouble) => Some((
            DefectKind::Recursion,
            format!("the value of `{name}` has no end: {}", trouble.text()),
        )),
    }
}
