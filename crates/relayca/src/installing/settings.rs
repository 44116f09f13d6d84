//! Which settings change, and what they were.
//!
//! In: main.cf and master.cf as they are, what a bundle wants, what an earlier installation wrote. Out: [`Edits`] for `postconf`, and
//! the record of them. It refuses a port or a transport that is somebody else's, and to run anything.

use std::collections::BTreeSet;

use relayca_postfix::config::{Config, Service as Parsed};

use super::record::{Installation, Service, Setting, named};
use super::rehearsal::Rehearsal;
use super::wanted::{Wanted, WantedService, fields};
use crate::failure::Failure;

/// What `postconf` is to do, by its options.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// What main.cf does not have yet, in this order: `-e` alone would add it in one of its own, another one each time.
    pub new: Vec<String>,
    /// `-e`
    pub set: Vec<String>,
    /// `-X`
    pub unset: Vec<String>,
    /// `-M`
    pub make: Vec<String>,
    /// `-MX`
    pub remove: Vec<String>,
    /// `-F`
    pub fields: Vec<String>,
    /// `-P`
    pub options: Vec<String>,
    /// `-PX`
    pub no_options: Vec<String>,
    /// Each as a line to be read.
    pub told: Vec<String>,
}

impl Edits {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Does them.
    pub fn carry_out(&self, on: &Rehearsal) -> Result<(), Failure> {
        on.add(&self.new)?;
        for (flag, arguments) in [
            ("-X", &self.unset),
            ("-e", &self.set),
            ("-MX", &self.remove),
            ("-M", &self.make),
            ("-F", &self.fields),
            ("-PX", &self.no_options),
            ("-P", &self.options),
        ] {
            on.edit(flag, arguments)?;
        }
        Ok(())
    }

    fn set_main(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => {
                let line = format!("{name} = {value}").trim_end().to_owned();
                self.told.push(format!("main.cf: {line}"));
                self.set.push(line);
            }
            None => {
                self.told.push(format!("main.cf: {name} goes"));
                self.unset.push(name.to_owned());
            }
        }
    }

    fn set_option(&mut self, label: &str, name: &str, value: Option<&str>) {
        match value {
            Some(value) => {
                let line = format!("{label}/{name}={value}");
                self.told.push(format!("master.cf: {line}"));
                self.options.push(line);
            }
            None => {
                let line = format!("{label}/{name}");
                self.told.push(format!("master.cf: {line} goes"));
                self.no_options.push(line);
            }
        }
    }

    fn set_field(&mut self, label: &str, name: &str, value: &str) {
        let line = format!("{label}/{name}={value}");
        self.told.push(format!("master.cf: {line}"));
        self.fields.push(line);
    }
}

/// What came of it: the settings that we wrote, or wrote before.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be done.
    pub edits: Edits,
    /// For the record.
    pub main: Vec<Setting>,
    /// For the record.
    pub services: Vec<Service>,
    /// What somebody changed since, and stays.
    pub left: Vec<String>,
}

/// From what is to what is wanted. What an earlier installation wrote and nobody wants any more goes back to what it was.
pub fn install(
    config: &Config,
    wanted: &Wanted,
    main: &[(String, String)],
    old: Option<&Installation>,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    for (name, value) in main {
        let now = config.main.get(name).map(|entry| entry.value.as_str());
        let before = old.and_then(|old| named(&old.main, name));
        if now != Some(value.as_str()) {
            if now.is_none() {
                outcome.edits.new.push(name.clone());
            }
            outcome.edits.set_main(name, Some(value));
        } else if before.is_none() {
            // It was so before: pasted, or by hand. It is not ours to take back.
            continue;
        }
        outcome.main.push(Setting {
            name: name.clone(),
            value: value.clone(),
            was: match before {
                Some(before) => before.was.clone(),
                None => now.map(str::to_owned),
            },
        });
    }
    for service in &wanted.services {
        refuse_foreign(config, service, old)?;
        let record = self::service(config, service, old, &mut outcome.edits);
        if record.made || !record.fields.is_empty() || !record.options.is_empty() {
            outcome.services.push(record);
        }
    }
    if let Some(old) = old {
        let gone_main: Vec<Setting> = old
            .main
            .iter()
            .filter(|setting| !main.iter().any(|(name, _)| *name == setting.name))
            .cloned()
            .collect();
        revert_main(config, &gone_main, &mut outcome);
        for service in &old.services {
            match wanted
                .services
                .iter()
                .find(|other| other.label == service.label)
            {
                None => revert_service(config, service, &mut outcome),
                Some(wanted) => {
                    for option in &service.options {
                        if wanted.option(&option.name).is_none() {
                            revert_option(config, &service.label, option, &mut outcome);
                        }
                    }
                }
            }
        }
    }
    Ok(outcome)
}

/// One service.
fn service(
    config: &Config,
    wanted: &WantedService,
    old: Option<&Installation>,
    edits: &mut Edits,
) -> Service {
    let before = old.and_then(|old| {
        old.services
            .iter()
            .find(|other| other.label == wanted.label)
    });
    let there = config.master.service(&wanted.label);
    let mut record = Service {
        label: wanted.label.clone(),
        made: there.is_none() || before.is_some_and(|before| before.made),
        fields: Vec::new(),
        options: Vec::new(),
    };
    match there {
        None => {
            let words: Vec<&str> = wanted
                .fields
                .iter()
                .map(|(_, value)| value.as_str())
                .collect();
            let (name, kind) = wanted.label.rsplit_once('/').unwrap_or((&wanted.label, ""));
            let line = format!(
                "{}={name} {kind} {} {}",
                wanted.label,
                words.join(" "),
                wanted.command
            );
            edits.told.push(format!("master.cf: {line}"));
            edits.make.push(line);
        }
        Some(there) => {
            for ((name, now), (_, value)) in fields(there).iter().zip(&wanted.fields) {
                let before = before.and_then(|before| named(&before.fields, name));
                if now != value {
                    edits.set_field(&wanted.label, name, value);
                } else if before.is_none() {
                    continue;
                }
                record.fields.push(Setting {
                    name: (*name).to_owned(),
                    value: value.clone(),
                    was: match before {
                        Some(before) => before.was.clone(),
                        None => Some(now.clone()),
                    },
                });
            }
        }
    }
    for (name, value) in &wanted.options {
        let now = there
            .and_then(|there| there.option(name))
            .map(|option| option.value.as_str());
        let before = before.and_then(|before| named(&before.options, name));
        if now != Some(value.as_str()) {
            edits.set_option(&wanted.label, name, Some(value));
        } else if before.is_none() {
            continue;
        }
        record.options.push(Setting {
            name: name.clone(),
            value: value.clone(),
            was: match before {
                Some(before) => before.was.clone(),
                None => now.map(str::to_owned),
            },
        });
    }
    record
}

/// A port or a transport of somebody else's is not taken.
fn refuse_foreign(
    config: &Config,
    wanted: &WantedService,
    old: Option<&Installation>,
) -> Result<(), Failure> {
    let same_port = |other: &&Parsed| other.port().is_some() && other.port() == port(wanted);
    let other = config
        .master
        .services
        .iter()
        .filter(|other| other.label() != wanted.label)
        .find(same_port);
    if let Some(other) = other {
        return Err(Failure::new(format!(
            "the service `{}` of master.cf listens on the port of `{}` too; nothing was changed",
            other.label(),
            wanted.label
        ))
        .hint("take another port for the relay in relayca.toml, or move that service"));
    }
    let Some(there) = config.master.service(&wanted.label) else {
        return Ok(());
    };
    if old.is_some_and(|old| old.services.iter().any(|one| one.label == wanted.label)) {
        return Ok(());
    }
    let authority = |name: &str| {
        let now = there.option(name).map(|option| option.value.as_str());
        now.is_some() && now == wanted.option(name)
    };
    let beside = wanted.is_beside() && there.command == wanted.command;
    if beside || authority("smtpd_tls_CAfile") || authority("smtp_tls_CAfile") {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the service `{}` of master.cf is somebody else's: it has another CA, or none; nothing was changed",
        wanted.label
    ))
    .hint("take another port for the relay in relayca.toml, or remove that service"))
}

fn port(wanted: &WantedService) -> Option<u16> {
    wanted
        .label
        .strip_suffix("/inet")
        .and_then(|name| name.rsplit(':').next()?.parse().ok())
}

/// Back to what it was, as far as it is still ours.
pub fn uninstall(config: &Config, old: &Installation) -> Outcome {
    let mut outcome = Outcome::default();
    revert_main(config, &old.main, &mut outcome);
    for service in &old.services {
        revert_service(config, service, &mut outcome);
    }
    outcome
}

fn revert_main(config: &Config, settings: &[Setting], outcome: &mut Outcome) {
    for setting in settings {
        let now = config
            .main
            .get(&setting.name)
            .map(|entry| entry.value.as_str());
        if now == setting.was.as_deref() {
            continue;
        }
        if now == Some(setting.value.as_str()) {
            outcome
                .edits
                .set_main(&setting.name, setting.was.as_deref());
        } else {
            outcome.left.push(format!("{} of main.cf", setting.name));
        }
    }
}

fn revert_service(config: &Config, service: &Service, outcome: &mut Outcome) {
    let Some(there) = config.master.service(&service.label) else {
        return;
    };
    if service.made {
        let pair = |setting: &Setting| (setting.name.clone(), setting.value.clone());
        let ours: BTreeSet<_> = service.options.iter().map(pair).collect();
        let now: BTreeSet<_> = there
            .counting()
            .map(|option| (option.name.clone(), option.value.clone()))
            .collect();
        if ours == now {
            outcome
                .edits
                .told
                .push(format!("master.cf: {} goes", service.label));
            outcome.edits.remove.push(service.label.clone());
        } else {
            outcome
                .left
                .push(format!("the service {} of master.cf", service.label));
        }
        return;
    }
    for (name, now) in fields(there) {
        let Some(field) = named(&service.fields, name) else {
            continue;
        };
        match &field.was {
            Some(was) if *was != now && field.value == now => {
                outcome.edits.set_field(&service.label, name, was);
            }
            Some(was) if *was != now => {
                outcome
                    .left
                    .push(format!("{}/{name} of master.cf", service.label));
            }
            _ => {}
        }
    }
    for option in &service.options {
        revert_option(config, &service.label, option, outcome);
    }
}

fn revert_option(config: &Config, label: &str, option: &Setting, outcome: &mut Outcome) {
    let now = config
        .master
        .service(label)
        .and_then(|service| service.option(&option.name))
        .map(|option| option.value.as_str());
    if now == option.was.as_deref() {
        return;
    }
    if now == Some(option.value.as_str()) {
        outcome
            .edits
            .set_option(label, &option.name, option.was.as_deref());
    } else {
        outcome
            .left
            .push(format!("{label}/{} of master.cf", option.name));
    }
}
