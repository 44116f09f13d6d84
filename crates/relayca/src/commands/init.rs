//! `relayca init`: makes an authority.
//!
//! In: a domain, relays, who may open it. Out: the authority's directory, whole or not at all: the CA, its
//! sealed key, the inventory, and each relay's certificate in a sealed bundle.

use std::io::Write;
use std::path::PathBuf;

use relayca_bundle::{ADMIN_WORK_FACTOR, Identities, OpenWith, Passphrase, Recipient, SealTo};
use relayca_ca::{AltName, Authority, Domain, KeyType, NewAuthority};
use relayca_inventory::{CertificateRecord, Host, Inventory, NewEvent, Phase};
use relayca_mta::Mta;
use relayca_postfix::RelayStyle;

use super::snippet::usage_of;
use crate::cli::Init;
use crate::dates;
use crate::disk::{self, NewDirectory};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::hosts::HostRequest;
use crate::issuing::{self, Issued, Issuing};
use crate::mail_servers;
use crate::pieces;
use crate::public_bundles;
use crate::run::Run;
use crate::sealed_ca::seal_ca;
use crate::secrets::on_terminal;
use crate::settings::{self, Relay, Settings, word};
use crate::steps::{self, Steps};

/// Bytes of a file of recipients.
const LONGEST_RECIPIENTS: usize = 1 << 20;

/// Runs the command.
pub fn run(run: &Run, arguments: &Init) -> Result<(), Failure> {
    let named = run.global.domain.as_deref();
    let domain = domain(arguments.domain.as_deref().or(named))?;
    if let Some(named) = named
        && Domain::parse(named)? != domain
    {
        return Err(Failure::usage(format!(
            "`--domain {named}` is another domain than `{domain}`"
        ))
        .hint("leave --domain out: `relayca init DOMAIN` names it"));
    }
    let target = match &run.global.dir {
        Some(directory) => directory.clone(),
        None => home::default_root()?.join(domain.as_str()),
    };
    if target.join(home::SETTINGS).exists() {
        return Err(Failure::new(format!(
            "there is an authority in `{}` already; nothing was changed",
            target.display()
        ))
        .hint("`relayca list` shows what it has issued; a second authority needs another --dir"));
    }
    home::refuse_odd_path(&target)?;
    disk::refuse_existing(&target)?;
    let plan = plan(&domain, arguments)?;
    let admins = admins(
        run,
        &arguments.recipient,
        &arguments.recipients_file,
        &domain,
    )?;
    let directory = NewDirectory::begin(&target)?;
    let made = make(run, arguments, &domain, &plan, &admins, &directory)?;
    let root = directory.publish()?;
    report(run, &root, &made, &admins)
}

/// The domain: an argument, or asked for on a terminal.
fn domain(given: Option<&str>) -> Result<Domain, Failure> {
    if let Some(given) = given {
        return Ok(Domain::parse(given)?);
    }
    if !on_terminal() {
        return Err(
            Failure::usage("which domain? there is no terminal to ask on")
                .hint("relayca init DOMAIN"),
        );
    }
    let mut line = String::new();
    let mut out = std::io::stderr();
    let asked = out
        .write_all(b"The mail domain, as in example.org: ")
        .and_then(|()| out.flush())
        .and_then(|()| std::io::stdin().read_line(&mut line));
    asked.map_err(|error| Failure::new(format!("cannot read from the terminal: {error}")))?;
    Ok(Domain::parse(line.trim())?)
}

/// Relays and permits, checked before anything is made.
struct Plan {
    mta: Mta,
    relays: Vec<Relay>,
    permits: Vec<AltName>,
    seal_to: Vec<Recipient>,
    ca_key: KeyType,
    leaf_key: KeyType,
}

fn plan(domain: &Domain, arguments: &Init) -> Result<Plan, Failure> {
    let permits = arguments
        .permit
        .iter()
        .map(|permit| AltName::parse(permit))
        .collect::<Result<Vec<_>, _>>()?;
    let named: Vec<String> = match arguments.relay.as_slice() {
        [] => vec!["relayhost".to_owned()],
        several => several.to_vec(),
    };
    let mut relays: Vec<Relay> = Vec::new();
    for text in &named {
        let relay = Relay::parse(text, domain)?;
        let inside = matches!(&relay.destination, AltName::Dns(name) if domain.contains(name));
        if !inside && !permits.contains(&relay.destination) {
            let kind = if matches!(relay.destination, AltName::Ip(_)) {
                "an address"
            } else {
                "outside the domain"
            };
            return Err(Failure::usage(format!(
                "relay `{}` is {kind}, which the CA of `{domain}` may not certify",
                relay.destination
            ))
            .hint(format!(
                "add `--permit {}` to allow exactly that one",
                relay.destination
            )));
        }
        if relays.iter().any(|other| other.name == relay.name) {
            return Err(
                Failure::usage(format!("relay `{}` is named twice", relay.name))
                    .hint("leave one of the two out"),
            );
        }
        relays.push(relay);
    }
    settings::check_directory(&arguments.config_directory)?;
    let mta: Mta = arguments
        .mta
        .parse()
        .map_err(|error: relayca_mta::MtaError| usage_of(&error, error.hint()))?;
    if !mta.can_be_relay() {
        let error = relayca_mta::MtaError::NoRelay(mta);
        return Err(usage_of(&error, error.hint()));
    }
    Ok(Plan {
        mta,
        relays,
        permits,
        seal_to: recipients(&arguments.seal_to)?,
        ca_key: word(&arguments.ca_key)?,
        leaf_key: word(&arguments.key)?,
    })
}

/// Parses recipients.
pub fn recipients(texts: &[String]) -> Result<Vec<Recipient>, Failure> {
    Ok(texts
        .iter()
        .map(|text| Recipient::parse(text))
        .collect::<Result<_, _>>()?)
}

/// Who opens the new authority.
pub enum Admins {
    /// Their public keys, and identities to prove it with where some were given.
    Recipients(Vec<Recipient>, Option<Identities>),
    /// A passphrase; bundle passphrases go to an identity that it wraps.
    Passphrase {
        /// What the admin types.
        passphrase: Passphrase,
        /// The identity, sealed with it.
        wrapped: Vec<u8>,
        /// The identity's public key.
        recipient: Vec<Recipient>,
        /// The identity, opened.
        identity: Identities,
    },
}

/// Takes the recipients of the command line, or else a passphrase.
pub fn admins(
    run: &Run,
    texts: &[String],
    files: &[PathBuf],
    domain: &Domain,
) -> Result<Admins, Failure> {
    let mut named = recipients(texts)?;
    for file in files {
        let text = disk::read_text(file, LONGEST_RECIPIENTS)?;
        let read = relayca_bundle::parse_recipients_file(&text).map_err(|error| {
            Failure::new(error.to_string())
                .hint_of(error.hint())
                .within(file.display())
        })?;
        named.extend(read);
    }
    if !named.is_empty() {
        return Ok(Admins::Recipients(named, run.secrets.identities(&[])?));
    }
    if (!files.is_empty()) || (!run.secrets.has_passphrase() && !on_terminal()) {
        return Err(Failure::usage("who may open the authority? there is no recipient, no passphrase and no terminal to ask on")
            .hint("give --recipient age1… (and -i with its identity), or --passphrase-file FILE, or --passphrase-fd N"));
    }
    let passphrase = run
        .secrets
        .new_passphrase(&format!("the authority of {domain}"))?;
    let (text, recipient) = relayca_bundle::generate_identity();
    let to = SealTo::Passphrase {
        passphrase: &passphrase,
        work_factor: ADMIN_WORK_FACTOR,
    };
    let wrapped = relayca_bundle::seal(text.as_bytes(), &to)?;
    // Opened again, not taken from memory: the file is what the admin will depend on.
    let opened = relayca_bundle::open(&wrapped, &OpenWith::Passphrase(&passphrase))?;
    let identity = run
        .secrets
        .parse_identities(&opened, home::ADMIN_IDENTITY)?;
    Ok(Admins::Passphrase {
        passphrase,
        wrapped,
        recipient: vec![recipient],
        identity,
    })
}

impl Admins {
    /// Their public keys.
    pub fn recipients(&self) -> &[Recipient] {
        match self {
            Self::Recipients(recipients, _) => recipients,
            Self::Passphrase { recipient, .. } => recipient,
        }
    }

    fn identities(&self) -> Option<&Identities> {
        match self {
            Self::Recipients(_, identities) => identities.as_ref(),
            Self::Passphrase { identity, .. } => Some(identity),
        }
    }

    /// Whether what was sealed to them has been opened again.
    pub fn proven(&self) -> bool {
        self.identities().is_some()
    }
}

/// What was made, for the report.
struct Made {
    authority: Authority,
    issued: Vec<Issued>,
}

fn make(
    run: &Run,
    arguments: &Init,
    domain: &Domain,
    plan: &Plan,
    admins: &Admins,
    directory: &NewDirectory,
) -> Result<Made, Failure> {
    let new = NewAuthority {
        domain: domain.clone(),
        permits: plan.permits.clone(),
        key_type: plan.ca_key,
        days: arguments.ca_days,
    };
    let authority = Authority::create(&new, run.now)?;
    put_ca(run, &authority, admins, directory)?;

    let identities = lasting_identities(run);
    let mut text = settings::render(
        domain,
        &plan.relays,
        admins.recipients(),
        &identities,
        plan.leaf_key,
        &arguments.config_directory,
    );
    if plan.mta != Mta::Postfix {
        for relay in &plan.relays {
            text = settings::with_mta(&text, &relay.name, plan.mta)?;
        }
    }
    directory.put(home::SETTINGS, text.as_bytes(), pieces::PRIVATE)?;
    let settings = Settings::parse(&text, &PathBuf::from(home::SETTINGS))?;

    let prompt = run.secrets.prompt();
    let trusted = [authority.certificate().clone()];
    let issuing = Issuing {
        authority: &authority,
        trusted: &trusted,
        settings: &settings,
        proof: admins
            .identities()
            .filter(|identities| identities.native_only()),
        prompt: &prompt,
        now: run.now,
    };
    // The CA and the relays: a list that does not say of which change it is could not be told from a later one.
    let change = u64::try_from(1 + plan.relays.len()).unwrap_or_default();
    let nobody = pieces::map_of(&[], settings.digest, settings.pin)?.with_progress(change);
    let mut issued = Vec::new();
    for relay in &plan.relays {
        let mut request = HostRequest::parse(&relay.text(), domain, true)?;
        request.seal_to.clone_from(&plan.seal_to);
        issued.push(issuing::issue(
            &issuing,
            &request,
            &nobody,
            &|path, content, mode| directory.put(path, content, mode),
        )?);
    }
    enter(run, domain, &authority, &issued, directory)?;
    Ok(Made { authority, issued })
}

/// The identity files that will still be there for the next command; relayca.toml names them.
pub fn lasting_identities(run: &Run) -> Vec<String> {
    let mut lasting = Vec::new();
    for path in run.secrets.identity_files() {
        match path.to_str() {
            Some(text) if path.is_file() && home::refuse_odd_path(&path).is_ok() => {
                lasting.push(text.to_owned());
            }
            _ => run.printer.warning(&format!(
                "the identity `{}` is no plain file, so relayca.toml does not name it: give -i to each command",
                path.display()
            )),
        }
    }
    lasting
}

/// Seals the first CA, and lays it out with what opens it.
pub fn put_ca(
    run: &Run,
    authority: &Authority,
    admins: &Admins,
    directory: &NewDirectory,
) -> Result<(), Failure> {
    let prompt = run.secrets.prompt();
    let sealed = match admins {
        Admins::Recipients(recipients, identities) => {
            let to = SealTo::Recipients {
                recipients,
                prompt: &prompt,
            };
            let proof = identities.as_ref().map(OpenWith::Identities);
            seal_ca(authority, &to, proof.as_ref())?
        }
        Admins::Passphrase {
            passphrase,
            wrapped,
            ..
        } => {
            directory.put(home::ADMIN_IDENTITY, wrapped, pieces::PRIVATE)?;
            let to = SealTo::Passphrase {
                passphrase,
                work_factor: ADMIN_WORK_FACTOR,
            };
            seal_ca(authority, &to, Some(&OpenWith::Passphrase(passphrase)))?
        }
    };
    sealed.put(home::CA, &|path, content, mode| {
        directory.put(path, content, mode)
    })
}

/// The first entries of the inventory.
fn enter(
    run: &Run,
    domain: &Domain,
    authority: &Authority,
    issued: &[Issued],
    directory: &NewDirectory,
) -> Result<(), Failure> {
    let mut inventory = relayca_inventory::create(&directory.path().join(home::INVENTORY))?;
    let at = dates::stamp(run.now);
    let mut change = inventory.change()?;
    let ca = issuing::record_of(authority.certificate(), domain.as_str(), "ca", run.now);
    change.add_certificate(&ca)?;
    change.set_phase(&ca.serial, Phase::Active)?;
    change.record(&NewEvent {
        at: at.clone(),
        what: "init".into(),
        serial: Some(ca.serial),
        host: Some(domain.to_string()),
        detail: Some(authority.certificate().subject().to_string()),
    })?;
    for issued in issued {
        enter_issued(&mut *change, issued, run.now)?;
    }
    Ok(change.commit()?)
}

/// Enters a host, its certificate and the event.
pub fn enter_issued(
    change: &mut dyn relayca_inventory::Change,
    issued: &Issued,
    now: time::OffsetDateTime,
) -> Result<(), Failure> {
    change.add_host(&Host {
        name: issued.host.to_string(),
        role: issued.role.to_string(),
        added_at: dates::stamp(now),
    })?;
    enter_one(change, issued.record(now), "issue", now)
}

/// Enters another certificate of a host that is known, and the event.
pub fn enter_certificate(
    change: &mut dyn relayca_inventory::Change,
    issued: &Issued,
    what: &str,
    now: time::OffsetDateTime,
) -> Result<(), Failure> {
    let mut record = issued.record(now);
    // Of a host's certificates the last is the one to use, even where the clock was ahead when an earlier one was issued. The
    // event has the time.
    if let Some(last) = public_bundles::of_host(change, issued.host.as_str())?.pop() {
        record.issued_at = record.issued_at.max(last.issued_at);
    }
    enter_one(change, record, what, now)
}

fn enter_one(
    change: &mut dyn relayca_inventory::Change,
    record: CertificateRecord,
    what: &str,
    now: time::OffsetDateTime,
) -> Result<(), Failure> {
    change.add_certificate(&record)?;
    Ok(change.record(&NewEvent {
        at: dates::stamp(now),
        what: what.to_owned(),
        serial: Some(record.serial),
        host: Some(record.host),
        detail: None,
    })?)
}

fn report(run: &Run, root: &std::path::Path, made: &Made, admins: &Admins) -> Result<(), Failure> {
    let home = Home::at(root.to_owned())?;
    let printer = &run.printer;
    let mut steps = Steps::default();
    let mut relays = Vec::new();
    for issued in &made.issued {
        let Some(relay) = home.settings.relay(&issued.host) else {
            continue;
        };
        let snippet =
            mail_servers::relay_text(&home.settings, relay, Vec::new(), RelayStyle::Block)?;
        steps::send(&mut steps, &home, &issued.host, issued.delivery);
        steps::unpack(&mut steps, &home.settings, &issued.host, issued.delivery);
        steps::settings_block(
            &mut steps,
            &issued.host,
            &format!("the service on port {}", relay.port),
            &snippet.script,
        );
        relays.push(super::issue::issued_json(&home, issued, &snippet));
    }
    let ca = made.authority.certificate();
    if printer.json {
        printer.json(&serde_json::json!({
            "domain": home.settings.domain.as_str(),
            "directory": root,
            "ca": { "serial": ca.serial().to_string(), "subject": ca.subject(), "not_after": dates::stamp(ca.not_after()) },
            "proven": admins.proven(),
            "relays": relays,
        }))?;
    } else {
        printer.data(steps.text())?;
    }
    let day = dates::day(ca.not_after());
    printer.note(&format!(
        "made the authority of {} in {}; its CA is valid until {day}",
        home.settings.domain,
        root.display()
    ));
    for issued in &made.issued {
        printer.note(&format!(
            "issued {} (relay), valid until {}: {}",
            issued.host,
            dates::day(issued.certificate.not_after()),
            home.path(&Home::bundle(&issued.host)).display()
        ));
    }
    if !admins.proven() {
        printer.warning("nobody has opened what was sealed to the recipients yet, because no identity was given");
        printer.hint(&format!(
            "`{} verify ca -i FILE` proves that you can; do it before you rely on this authority",
            steps::relayca(&home)
        ));
    }
    printer.note(&format!(
        "next: set up the relay as printed, then `{} issue mailhost` for each mail host",
        steps::relayca(&home)
    ));
    Ok(())
}
