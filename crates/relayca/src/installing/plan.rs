//! All that an installation changes, thought out before anything is.
//!
//! In: the bundle, the place, the record. Out: [`Planned`]. It refuses to change anything.

use relayca_ca::Role;
use relayca_postfix::SUBDIRECTORY;
use relayca_postfix::config::{Config, Version};
use zeroize::Zeroizing;

use super::age::{self, Allowed};
use super::bundle::Bundle;
use super::changes::{Change, Found, NewFile, found};
use super::files::{self, ROOT};
use super::place::Place;
use super::record::{Installation, NAME, Record, Setting, Whole};
use super::rehearsal::Rehearsal;
use super::settings::{self, Outcome};
use super::wanted::KNOWN_LATER;
use super::{databases, digest, programs};
use crate::dates;
use crate::failure::Failure;
use crate::linting::host::installed_version;
use crate::run::Run;

/// The oldest Postfix that understands the settings, and that understands a list of relays.
const OLDEST: [Version; 2] = [Version::new(3, 4), Version::new(3, 5)];
/// The first that knows [`KNOWN_LATER`].
const LATER: Version = Version::new(3, 10);

/// What is to be done.
#[derive(Debug, Default)]
pub struct Planned {
    /// To be done.
    pub changes: Vec<Change>,
    /// Settings, each as a line to be read.
    pub settings: Vec<String>,
    /// What somebody changed since and so stays.
    pub left: Vec<String>,
    /// Hosts that may relay from now on.
    pub listed: Vec<String>,
    /// Hosts that may relay no more.
    pub unlisted: Vec<String>,
    /// What to warn of.
    pub warnings: Vec<String>,
    /// main.cf and master.cf as they will be.
    pub config: Option<Config>,
    /// Whether an earlier installation is updated.
    pub update: bool,
}

/// Reads the record.
pub fn record(place: &Place) -> Result<Option<(Record, Found)>, Failure> {
    found(&place.files.join(NAME))?
        .map(|found| Ok((Record::parse(&found.content)?, found)))
        .transpose()
}

/// Thinks it out.
pub fn plan(
    run: &Run,
    place: &Place,
    bundle: &mut Bundle,
    apply: bool,
    allowed: Allowed,
) -> Result<Planned, Failure> {
    let keeps_list = age::keep_later_list(place, bundle)?;
    let bundle: &Bundle = bundle;
    let (record, record_there) = match record(place)? {
        Some((record, there)) => (record, Some(there)),
        None => (Record::empty(), None),
    };
    let old = record.of(&bundle.host);
    let mut planned = Planned {
        update: old.is_some(),
        ..Planned::default()
    };
    if keeps_list {
        planned.warnings.push(
            "the list of who may relay that is here is later than the bundle's, and stays"
                .to_owned(),
        );
    }
    let others: Vec<&Installation> = record
        .installations
        .iter()
        .filter(|one| one.host != bundle.host)
        .collect();
    let files = files::plan(place, bundle, old, &others, allowed)?;
    planned.changes = files.changes;
    (planned.listed, planned.unlisted) = (files.listed, files.unlisted);
    let mut installation = Installation {
        host: bundle.host.clone(),
        domain: bundle.domain.clone(),
        role: bundle.role.to_string(),
        installed_at: old.map_or_else(|| dates::stamp(run.now), |old| old.installed_at.clone()),
        updated_at: old.map_or_else(|| dates::stamp(run.now), |old| old.updated_at.clone()),
        files: files.files,
        databases: old.map(|old| old.databases.clone()).unwrap_or_default(),
        main: old.map(|old| old.main.clone()).unwrap_or_default(),
        services: old.map(|old| old.services.clone()).unwrap_or_default(),
        main_cf: old.and_then(|old| old.main_cf.clone()),
        master_cf: old.and_then(|old| old.master_cf.clone()),
    };
    if apply {
        if place.root.is_none() {
            planned.databases(place, bundle, &mut installation)?;
        }
        refuse_second(bundle, &others)?;
        planned.configuration(place, bundle, old, &mut installation)?;
    }
    if planned.changes.is_empty() && old == Some(&installation) {
        return Ok(planned);
    }
    installation.updated_at = dates::stamp(run.now);
    let mut new = record.clone();
    new.made_directory |= place.has_no_files();
    for other in &mut new.installations {
        for file in &mut other.files {
            if let Some(same) = installation.files.iter().find(|one| one.name == file.name) {
                file.sha256.clone_from(&same.sha256);
                file.kept = same.kept;
            }
        }
    }
    match new
        .installations
        .iter_mut()
        .find(|one| one.host == installation.host)
    {
        Some(one) => *one = installation,
        None => new.installations.push(installation),
    }
    planned.changes.push(Change {
        path: place.files.join(NAME),
        was: record_there.map(|there| there.content),
        becomes: Some(file(new.bytes()?, 0o600)),
    });
    Ok(planned)
}

fn file(content: Vec<u8>, mode: u32) -> NewFile {
    NewFile {
        content: Zeroizing::new(content),
        mode,
        owner: ROOT,
    }
}

impl Planned {
    fn databases(
        &mut self,
        place: &Place,
        bundle: &Bundle,
        installation: &mut Installation,
    ) -> Result<(), Failure> {
        for map in bundle.maps() {
            let text = bundle.content(map).unwrap_or_default();
            let made = databases::make(place, map, text)?;
            let kind = databases::kind(&place.inside)?;
            let there = made
                .iter()
                .map(|(name, _)| found(&place.files.join(name)))
                .collect::<Result<Vec<_>, _>>()?;
            let path = place.files.join(map);
            let changes = self.changes.iter().any(|change| change.path == path);
            let complete = there.iter().all(Option::is_some);
            if !changes && complete && databases::is_of_today(place, &path, text, &kind)? {
                continue;
            }
            for ((name, content), there) in made.into_iter().zip(there) {
                if there.is_none() && !installation.databases.contains(&name) {
                    installation.databases.push(name.clone());
                }
                self.changes.push(Change {
                    path: place.files.join(&name),
                    was: there.map(|there| there.content),
                    becomes: Some(file(content, 0o644)),
                });
            }
        }
        Ok(())
    }

    fn configuration(
        &mut self,
        place: &Place,
        bundle: &Bundle,
        old: Option<&Installation>,
        installation: &mut Installation,
    ) -> Result<(), Failure> {
        let missing = |path: &std::path::Path| {
            Failure::new(format!(
                "`{}` is missing; nothing was changed",
                path.display()
            ))
            .hint("install Postfix first, or leave --apply out")
        };
        let main = found(&place.main_cf)?.ok_or_else(|| missing(&place.main_cf))?;
        let master = found(&place.master_cf)?.ok_or_else(|| missing(&place.master_cf))?;
        let version = version(place);
        refuse_old(version, bundle)?;
        let rehearsal = Rehearsal::of(&main.content, &master.content)?;
        let mut settings = bundle.wanted.main.clone();
        let known = match &place.root {
            Some(_) => version.is_some_and(|version| version >= LATER),
            None => rehearsal.knows(KNOWN_LATER.0)?,
        };
        if bundle.role == Role::MailHost && known {
            settings.retain(|(name, _)| name != KNOWN_LATER.0);
            settings.push((KNOWN_LATER.0.to_owned(), KNOWN_LATER.1.to_owned()));
        }
        let config = Config::parse(&main.content, Some(&master.content), version);
        refuse_pasted(place, bundle, &config)?;
        let Outcome {
            edits,
            main: main_record,
            services,
            left,
        } = settings::install(&config, &bundle.wanted, &settings, old)?;
        self.left = left;
        edits.carry_out(&rehearsal)?;
        // What the copies say now is what the originals will say; a copy that nothing was done to may differ in its last byte.
        let of_main = !(edits.set.is_empty() && edits.unset.is_empty());
        let of_master = edits.told.len() > edits.set.len() + edits.unset.len();
        let new_main = if of_main {
            rehearsal.main_cf()?
        } else {
            main.content.to_vec()
        };
        let new_master = if of_master {
            rehearsal.master_cf()?
        } else {
            master.content.to_vec()
        };
        self.settings = edits.told;
        let config =
            Config::parse(&new_main, Some(&new_master), version).in_directory(&place.inside);
        refuse_unwanted(&config, bundle, &settings)?;
        self.warnings.extend(overriding(&config, bundle));
        self.config = Some(config);
        let touched_before = old.is_some_and(|old| !old.main.is_empty());
        installation.main_cf = self.whole(
            place,
            (&place.main_cf, main, new_main),
            (old.and_then(|old| old.main_cf.as_ref()), touched_before),
            format!(".{}.main.cf.before", bundle.host),
        )?;
        let touched_before = old.is_some_and(|old| !old.services.is_empty());
        installation.master_cf = self.whole(
            place,
            (&place.master_cf, master, new_master),
            (old.and_then(|old| old.master_cf.as_ref()), touched_before),
            format!(".{}.master.cf.before", bundle.host),
        )?;
        installation.main = in_order(main_record);
        installation.services = services;
        Ok(())
    }

    /// One of the two: its change, and its old bytes for the way back.
    fn whole(
        &mut self,
        place: &Place,
        (path, now, new): (&std::path::Path, Found, Vec<u8>),
        (old, touched_before): (Option<&Whole>, bool),
        before: String,
    ) -> Result<Option<Whole>, Failure> {
        if *now.content == new {
            return Ok(old.cloned());
        }
        let (was, is) = (digest(&now.content), digest(&new));
        let before_path = place.files.join(&before);
        let there = found(&before_path)?;
        let kept = match old {
            // Nobody else changed it since: the way back leads to where it first was.
            Some(old) if old.is == was => Some(Whole { is, ..old.clone() }),
            // Somebody did: what they did must not go with ours.
            Some(_) => None,
            None if touched_before => None,
            None => Some(Whole {
                before: before.clone(),
                was,
                is,
            }),
        };
        let first = old.is_none() && kept.is_some();
        if first {
            self.changes.push(Change {
                path: before_path,
                was: there.map(|there| there.content),
                becomes: Some(file(now.content.to_vec(), 0o600)),
            });
        } else if kept.is_none()
            && let Some(there) = there
        {
            self.changes.push(Change {
                path: before_path,
                was: Some(there.content),
                becomes: None,
            });
        }
        self.changes.push(Change {
            path: path.to_owned(),
            becomes: Some(NewFile {
                content: Zeroizing::new(new),
                mode: now.mode,
                owner: now.owner,
            }),
            was: Some(now.content),
        });
        Ok(kept)
    }
}

fn in_order(mut settings: Vec<Setting>) -> Vec<Setting> {
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    settings
}

/// A transport and a port have one owner: the second one would show the certificate of the wrong host.
fn refuse_second(bundle: &Bundle, others: &[&Installation]) -> Result<(), Failure> {
    let role = bundle.role.to_string();
    let other = others.iter().find(|other| {
        let wanted = &bundle.wanted.services;
        let same = |label: &str| other.services.iter().any(|one| one.label == label);
        let told = !other.main.is_empty() || !other.services.is_empty();
        told && (other.role == role && bundle.role == Role::MailHost
            || wanted.iter().any(|service| same(&service.label)))
    });
    match other {
        None => Ok(()),
        Some(other) => Err(Failure::new(format!(
            "this Postfix is set up as {}, and the bundle is for {}; nothing was changed",
            other.host, bundle.host
        ))
        .hint(format!(
            "if that is another machine, install it there; if this one has a new name: relayca uninstall {} --apply",
            other.host
        ))),
    }
}

/// Likewise where the other one's settings were pasted, or came by `deploy`, of which there is no record.
fn refuse_pasted(place: &Place, bundle: &Bundle, config: &Config) -> Result<(), Failure> {
    let files = format!("{}/{SUBDIRECTORY}/", place.inside);
    let host = |path: &str| {
        let name = path.strip_prefix(&files)?.strip_suffix(".crt.pem")?;
        (!name.ends_with("-ca")).then(|| name.to_owned())
    };
    let main = bundle.wanted.main.iter().map(|(name, value)| {
        let there = config.main.get(name).map(|entry| entry.value.as_str());
        (there, value)
    });
    let options = bundle.wanted.services.iter().flat_map(|wanted| {
        let service = config.master.service(&wanted.label);
        wanted.options.iter().map(move |(name, value)| {
            let there = service.and_then(|service| service.option(name));
            (there.map(|option| option.value.as_str()), value)
        })
    });
    let other = main.chain(options).find_map(|(there, value)| {
        let (there, ours) = (host(there?)?, host(value)?);
        (there != ours).then_some(there)
    });
    match other {
        None => Ok(()),
        Some(other) => Err(Failure::new(format!(
            "this Postfix is set up as {other}, and the bundle is for {}; nothing was changed",
            bundle.host
        ))
        .hint("if that is another machine, install it there; if this one has a new name, take relayca's settings out of main.cf and master.cf first")),
    }
}

fn version(place: &Place) -> Option<Version> {
    match &place.root {
        Some(root) => installed_version(root),
        None => programs::run("postconf", &["-d", "-h", "mail_version"])
            .ok()
            .and_then(|ran| ran.out.trim().parse().ok()),
    }
}

fn refuse_old(version: Option<Version>, bundle: &Bundle) -> Result<(), Failure> {
    let several = bundle
        .wanted
        .value("default_transport")
        .is_some_and(|value| value.contains(','));
    let oldest = OLDEST[usize::from(several)];
    match version {
        Some(version) if version < oldest => Err(Failure::new(format!(
            "this Postfix is {version}, and {oldest} is the oldest that understands the settings; nothing was changed"
        ))
        .hint("bring the system up to date")),
        _ => Ok(()),
    }
}

/// That `postconf` wrote what it was told, as we and so Postfix read it.
fn refuse_unwanted(
    config: &Config,
    bundle: &Bundle,
    settings: &[(String, String)],
) -> Result<(), Failure> {
    let main = settings
        .iter()
        .find(|(name, value)| config.main.get(name).map(|entry| &entry.value) != Some(value))
        .map(|(name, _)| format!("`{name}` of main.cf"));
    let options = bundle.wanted.services.iter().find_map(|wanted| {
        let there = config.master.service(&wanted.label);
        let option = |name: &str| there.and_then(|there| there.option(name));
        wanted
            .options
            .iter()
            .find(|(name, value)| option(name).map(|option| &option.value) != Some(value))
            .map(|(name, _)| format!("`{}/{name}` of master.cf", wanted.label))
    });
    match main.or(options) {
        None => Ok(()),
        Some(what) => Err(Failure::new(format!(
            "postconf did not write {what} as it was told; nothing was changed"
        ))
        .hint("`relayca lint` shows what is odd about main.cf and master.cf")),
    }
}

/// Settings that send mail another way.
fn overriding(config: &Config, bundle: &Bundle) -> Vec<String> {
    if bundle.role == Role::Relay {
        return Vec::new();
    }
    let by_transport = bundle.wanted.value("relayhost").is_none()
        || bundle
            .wanted
            .value("default_transport")
            .is_some_and(|value| value.contains('['));
    let ours = if by_transport {
        "default_transport"
    } else {
        "relayhost"
    };
    let mut before = vec!["transport_maps", "sender_dependent_default_transport_maps"];
    if !by_transport {
        before.push("sender_dependent_relayhost_maps");
    }
    let scope = config.main_scope();
    before
        .into_iter()
        .filter_map(|name| {
            let value = scope.value(name).text;
            (!value.is_empty()).then(|| {
                format!("{name} = {value} comes before {ours}: what it names does not go through the relay")
            })
        })
        .collect()
}
