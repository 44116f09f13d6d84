//! `relayca import`: takes over a CA made elsewhere.
//!
//! In: a directory, which is only read. Out: a new authority, whole or not at all, with that CA as it is, its key encrypted anew,
//! and what it signed in the inventory; a report of what is weak, and the way to fresh certificates. No host's key is taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use relayca_ca::{Domain, HostName, KeyType, Role};
use relayca_inventory::{Change, CrlRecord, Host, Inventory, NewEvent, Phase, State};

use super::init::{self, Admins};
use crate::cli::Import;
use crate::dates;
use crate::disk::{self, NewDirectory};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::importing::contents::Contents;
use crate::importing::leaves::{self, Fate, Leaf, Leaves, Said};
use crate::importing::passphrase::Source;
use crate::importing::report::{self, Imported};
use crate::importing::source::{self, SourceCa};
use crate::importing::{domain, tree, weak};
use crate::issuing;
use crate::pieces;
use crate::printer::one_line;
use crate::run::Run;
use crate::settings::{self, Relay, Settings};

/// The highest number taken over of a revocation list: the next ones need room above it.
const HIGHEST_LIST: u64 = u64::MAX >> 2;
/// Letters of a file's name in an event.
const LONGEST_DETAIL: usize = 1000;

/// Runs the command.
pub fn run(run: &Run, arguments: &Import) -> Result<(), Failure> {
    let from = &arguments.from;
    home::refuse_odd_path(from)?;
    settings::check_directory(&arguments.config_directory)?;
    refuse_one_stdin_for_two(run, arguments)?;
    if let Some(target) = &run.global.dir {
        refuse_target(target, from)?;
    }
    let mut contents = Contents::default();
    let passed = tree::read(from, &mut |file, content| contents.take(file, content))?;
    let passphrase = Source::of(
        arguments.ca_passphrase_file.as_deref(),
        arguments.ca_passphrase_gpg.as_deref(),
    );
    let what = from.display().to_string();
    let found = source::find(&contents, &passphrase, &what, run.now);
    if found.is_err() && passed.unreadable() {
        // It may be the very key that nobody may read.
        run.printer
            .warning(&format!("in `{what}`: {}", passed.told().join("; ")));
    }
    let source = found?;
    let hosts = leaves::hosts(&contents, &source);
    let domain = domain::find(run.global.domain.as_deref(), &source, &hosts)?;
    let said = said(arguments, &domain, &source)?;
    let target = match &run.global.dir {
        Some(directory) => directory.clone(),
        None => home::default_root()?.join(domain.as_str()),
    };
    refuse_target(&target, from)?;
    let leaves = leaves::sort(&contents, &source, &domain, &said, run.now)?;
    let relays = relays(&said, &leaves, &domain, run)?;
    let admins = init::admins(
        run,
        &arguments.recipient,
        &arguments.recipients_file,
        &domain,
    )?;

    let directory = NewDirectory::begin(&target)?;
    let text = settings::render(
        &domain,
        &relays,
        admins.recipients(),
        &init::lasting_identities(run),
        KeyType::P256,
        &arguments.config_directory,
    );
    let settings = Settings::parse(&text, Path::new(home::SETTINGS))?;
    make(
        run, &domain, &settings, &text, &contents, &source, &leaves, &admins, &directory,
    )?;
    let root = directory.publish()?;

    let home = Home::at(root)?;
    let mut notes = passed.told();
    notes.extend(contents.damaged.iter().map(|text| one_line(text)));
    report::print(
        run,
        &Imported {
            home: &home,
            from,
            source: &source,
            leaves: &leaves,
            weaknesses: weak::find(&contents, &source, &leaves, domain.as_str(), run.now),
            notes,
            unknown_to_it: unknown(&said, &leaves),
            proven: admins.proven(),
        },
    )
}

/// Standard input has one first line.
fn refuse_one_stdin_for_two(run: &Run, arguments: &Import) -> Result<(), Failure> {
    let stdin = Some(Path::new("-"));
    if arguments.ca_passphrase_file.as_deref() == stdin
        && run.global.passphrase_file.as_deref() == stdin
    {
        return Err(
            Failure::usage("both passphrases are to come from standard input")
                .hint("give one of them in a file, or by --passphrase-fd"),
        );
    }
    Ok(())
}

/// The new authority goes where nothing is, and not into the directory that is to stay as it is.
fn refuse_target(target: &Path, from: &Path) -> Result<(), Failure> {
    if target.join(home::SETTINGS).exists() {
        return Err(Failure::new(format!(
            "there is an authority in `{}` already; nothing was changed",
            target.display()
        ))
        .hint("an authority has one CA at first: import into another place with --dir"));
    }
    home::refuse_odd_path(target)?;
    disk::refuse_existing(target)?;
    let absolute =
        std::path::absolute(target).map_err(|error| Failure::io("find", target, &error))?;
    let real = absolute
        .ancestors()
        .find_map(|above| above.canonicalize().ok());
    let inside = match (real, from.canonicalize()) {
        (Some(real), Ok(from)) => real.starts_with(from),
        _ => false,
    };
    if inside {
        return Err(Failure::usage(format!(
            "`{}` lies in `{}`, where nothing is to change",
            target.display(),
            from.display()
        ))
        .hint("name another place with --dir"));
    }
    Ok(())
}

/// What the command line says of hosts.
fn said(arguments: &Import, domain: &Domain, source: &SourceCa) -> Result<Said, Failure> {
    let mut relays: Vec<Relay> = Vec::new();
    for text in &arguments.relay {
        let relay = Relay::parse(text, domain)?;
        if relays.iter().any(|other| other.name == relay.name) {
            return Err(
                Failure::usage(format!("relay `{}` is named twice", relay.name))
                    .hint("leave one of the two out"),
            );
        }
        if !source.authority.permits(&relay.destination) {
            return Err(Failure::usage(format!(
                "relay `{}` lies outside what this CA may certify",
                relay.destination
            ))
            .hint("leave it out: a CA that may certify it is made with `relayca init --permit`"));
        }
        relays.push(relay);
    }
    let mut mail_hosts = BTreeSet::new();
    for text in &arguments.mailhost {
        let host = HostName::in_domain(text, domain)?;
        if relays.iter().any(|relay| relay.name == host) {
            return Err(
                Failure::usage(format!("`{host}` is named as a relay and as a mail host"))
                    .hint("leave one of the two out: a host has one role"),
            );
        }
        mail_hosts.insert(host);
    }
    Ok(Said { relays, mail_hosts })
}

/// The relays named, or else the hosts whose server certificates are at work.
fn relays(
    said: &Said,
    leaves: &Leaves<'_>,
    domain: &Domain,
    run: &Run,
) -> Result<Vec<Relay>, Failure> {
    if !said.relays.is_empty() {
        return Ok(said.relays.clone());
    }
    let found: BTreeSet<&HostName> = leaves
        .entered
        .iter()
        .filter(|leaf| leaf.role == Role::Relay && leaf.at_work(run.now))
        .map(|leaf| &leaf.host)
        .collect();
    found
        .into_iter()
        .map(|host| Relay::parse(host.as_str(), domain))
        .collect()
}

/// Hosts that the command line names and no certificate does.
fn unknown(said: &Said, leaves: &Leaves<'_>) -> Vec<(HostName, Role)> {
    let known: BTreeSet<&HostName> = leaves.entered.iter().map(|leaf| &leaf.host).collect();
    let relays = said
        .relays
        .iter()
        .map(|relay| (relay.name.clone(), Role::Relay));
    let mail_hosts = said
        .mail_hosts
        .iter()
        .map(|host| (host.clone(), Role::MailHost));
    relays
        .chain(mail_hosts)
        .filter(|(host, _)| !known.contains(host))
        .collect()
}

#[allow(
    clippy::too_many_arguments,
    reason = "each part of the new authority once"
)]
fn make(
    run: &Run,
    domain: &Domain,
    settings: &Settings,
    settings_text: &str,
    contents: &Contents,
    source: &SourceCa,
    leaves: &Leaves<'_>,
    admins: &Admins,
    directory: &NewDirectory,
) -> Result<(), Failure> {
    init::put_ca(run, &source.authority, admins, directory)?;
    directory.put(home::SETTINGS, settings_text.as_bytes(), pieces::PRIVATE)?;
    let mut inventory = relayca_inventory::create(&directory.path().join(home::INVENTORY))?;
    let mut change = inventory.change()?;
    enter_ca(run, domain, source, &mut *change)?;
    let mut roles: BTreeMap<&HostName, Role> = BTreeMap::new();
    for leaf in &leaves.entered {
        let role = roles.entry(&leaf.host).or_insert(leaf.role);
        if leaf.fate == Fate::Live {
            *role = leaf.role;
        }
    }
    for (host, role) in roles {
        change.add_host(&Host {
            name: host.to_string(),
            role: role.to_string(),
            added_at: dates::stamp(run.now),
        })?;
    }
    for leaf in &leaves.entered {
        enter_leaf(run, leaf, &mut *change)?;
    }
    enter_list(contents, source, &mut *change)?;
    put_relays(run, settings, source, leaves, &*change, directory)?;
    Ok(change.commit()?)
}

fn enter_ca(
    run: &Run,
    domain: &Domain,
    source: &SourceCa,
    change: &mut dyn Change,
) -> Result<(), Failure> {
    let certificate = source.authority.certificate();
    let mut ca = issuing::record_of(certificate, domain.as_str(), "ca", run.now);
    ca.issued_at = dates::stamp(certificate.not_before());
    change.add_certificate(&ca)?;
    change.set_phase(&ca.serial, Phase::Active)?;
    Ok(change.record(&NewEvent {
        at: dates::stamp(run.now),
        what: "import".into(),
        serial: Some(ca.serial),
        host: Some(domain.to_string()),
        detail: Some(detail(
            source.certificate_files.first().map_or("", String::as_str),
            certificate.subject(),
        )),
    })?)
}

/// When it was issued is not known to the hour; that it was valid from then on is.
fn enter_leaf(run: &Run, leaf: &Leaf<'_>, change: &mut dyn Change) -> Result<(), Failure> {
    let certificate = &leaf.found.certificate;
    let mut record = issuing::record_of(
        certificate,
        leaf.host.as_str(),
        &leaf.role.to_string(),
        run.now,
    );
    record.issued_at = dates::stamp(certificate.not_before());
    let why = match &leaf.fate {
        Fate::Live => String::new(),
        Fate::NotListed(why) => {
            record.state = State::Retired;
            format!("not listed: {why}")
        }
        Fate::Revoked(_, reason) => format!("revoked: {reason}"),
    };
    change.add_certificate(&record)?;
    if let Fate::Revoked(at, reason) = &leaf.fate {
        change.revoke(&record.serial, &dates::stamp(*at), &reason.to_string())?;
    }
    Ok(change.record(&NewEvent {
        at: dates::stamp(run.now),
        what: "import".into(),
        serial: Some(record.serial),
        host: Some(record.host),
        detail: Some(detail(
            leaf.found.files.first().map_or("", String::as_str),
            &why,
        )),
    })?)
}

/// Where it was found, and a word; no file may be called so that the inventory takes it for a key.
fn detail(file: &str, more: &str) -> String {
    let text = if more.is_empty() {
        one_line(file)
    } else {
        format!("{}; {}", one_line(file), one_line(more))
    };
    let text: String = text.chars().take(LONGEST_DETAIL).collect();
    text.replace("PRIVATE KEY", "PRIVATE-KEY")
        .replace("AGE-SECRET-KEY-", "AGE-SECRET-KEY~")
}

/// The newest revocation list, so that the next one has a higher number, and all that this one has.
fn enter_list(
    contents: &Contents,
    source: &SourceCa,
    change: &mut dyn Change,
) -> Result<(), Failure> {
    let ca = source.authority.certificate();
    let newest = contents
        .lists
        .iter()
        .map(|(_, list)| list)
        .filter(|list| list.number() < HIGHEST_LIST && list.this_update() < list.next_update())
        .filter(|list| list.is_signed_by(ca))
        .max_by_key(|list| list.number());
    let Some(list) = newest else { return Ok(()) };
    Ok(change.add_crl(&CrlRecord {
        number: list.number(),
        authority: ca.serial().to_string(),
        this_update: dates::stamp(list.this_update()),
        next_update: dates::stamp(list.next_update()),
        crl_der: list.der().to_vec(),
    })?)
}

/// The relays' public pieces, as every later command keeps them.
fn put_relays(
    run: &Run,
    settings: &Settings,
    source: &SourceCa,
    leaves: &Leaves<'_>,
    change: &dyn Change,
    directory: &NewDirectory,
) -> Result<(), Failure> {
    let map = pieces::map_now(settings, change, run.now)?;
    let trusted = [source.authority.certificate().clone()];
    for relay in &settings.relays {
        let Some(certificate) = report::at_work(leaves, &relay.name, run.now) else {
            continue;
        };
        let entries = pieces::relay_entries(settings, certificate, &trusted, relay, &map)?;
        let archive = relayca_bundle::pack(&entries, issuing::mtime(certificate))?;
        directory.put(&Home::public_bundle(&relay.name), &archive, pieces::PRIVATE)?;
    }
    Ok(())
}
