//! `relayca issue`: certificates for mail hosts or relays.
//!
//! In: host names. Out: for each a certificate and a sealed bundle; the relays' public pieces anew; the steps
//! that put them in place. One transaction: all hosts or none.

mod report;

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;
use relayca_bundle::Recipient;
use relayca_ca::{AltName, Certificate, KeyType};
use relayca_inventory::{CertificateRecord, Change, Host, Inventory, State};
use relayca_mta::Mta;
use relayca_postfix::RelayStyle;

pub use self::report::{bundle_path, issued_json};

use super::init::{enter_issued, recipients};
use super::snippet::usage_of;
use crate::authorities::Authorities;
use crate::cli::Issue;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::hosts::{self, HostRequest};
use crate::issuing::{self, Issued, Issuing};
use crate::pieces;
use crate::process;
use crate::progress;
use crate::public_bundles;
use crate::requested::{refuse_keys, requested_key};
use crate::run::Run;
use crate::settings::{self, Settings, word};

/// Hosts issued between two visits to the inventory; bounds what waits in memory.
const BATCH: usize = 256;
/// From this many hosts on, the steps are not printed one by one.
pub const MANY: usize = 6;

/// Runs the command.
pub fn run(run: &Run, arguments: &Issue) -> Result<(), Failure> {
    let mut home = run.home(arguments.hosts.first().map(String::as_str))?;
    let requests = requests(run, &home, arguments)?;
    check_names(&home, &requests)?;
    let mut inventory = home.inventory()?;
    refuse_issued(&inventory, &requests)?;
    refuse_keys(&inventory, &requests)?;
    let (authority, admins) = home.authority(&run.secrets, run.now)?;
    let proof = home.proof(&run.secrets, admins)?;

    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    // Again, now that nobody else can issue; and relayca.toml as it is now.
    refuse_issued(&*change, &requests)?;
    refuse_keys(&*change, &requests)?;
    home = home.again()?;
    let changed = change_settings(&mut home, &requests)?.is_some();
    let authorities = Authorities::of(&*change)?;
    authorities.still_active(authority.certificate())?;
    let trusted = authorities.trusted();
    if takes_long(&home.settings, &requests) {
        process::watch_for_interrupts();
    }
    let staged = Staged::begin(&home.root, new_id()?)?;
    let prompt = run.secrets.prompt();
    let (home, issued, map) = staged.while_flushing(|flush_more| {
        let issuing = Issuing {
            authority: &authority,
            trusted: &trusted,
            settings: &home.settings,
            proof: Some(&proof).filter(|proof| proof.native_only()),
            prompt: &prompt,
            now: run.now,
        };
        let issued = issue_all(run, &issuing, &requests, &mut *change, &staged, flush_more)?;
        // As it is now: somebody may have edited it while the hosts were being issued.
        let mut home = if changed {
            Home::at(home.root)?
        } else {
            home.again()?
        };
        let was = home.settings_text.clone();
        if let Some(text) = change_settings(&mut home, &requests)? {
            staged.replace(
                home::SETTINGS,
                text.as_bytes(),
                pieces::PRIVATE,
                was.as_bytes(),
            )?;
        }
        flush_more()?;
        let map = pieces::map_now(&home.settings, &*change, run.now)?;
        public_bundles::put_relays(&run.printer, &home, &*change, &trusted, &map, &staged)?;
        Ok((home, issued, map))
    })?;
    home.commit(change, staged, run.now)?;
    // What closing it would free goes with the process, which ends with the report.
    std::mem::forget(inventory);
    report::report(run, &home, &requests, &issued, &map)
}

/// The hosts asked for, with the options of the command line.
fn requests(run: &Run, home: &Home, arguments: &Issue) -> Result<Vec<HostRequest>, Failure> {
    let domain = &home.settings.domain;
    let mut requests = arguments
        .hosts
        .iter()
        .map(|host| HostRequest::parse(host, domain, arguments.relay))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = &arguments.from {
        if file == Path::new("-") && run.global.passphrase_file.as_deref() == Some(file) {
            return Err(Failure::usage(
                "both the list and the passphrase are to come from standard input",
            )
            .hint("give the passphrase by --passphrase-fd or in a file"));
        }
        let (text, name) = if file == Path::new("-") {
            let text = std::io::read_to_string(std::io::Read::take(
                std::io::stdin(),
                hosts::LONGEST_LIST as u64 + 1,
            ))
            .map_err(|error| {
                Failure::new(format!("cannot read standard input: {error}"))
                    .hint("standard input must be open, and text in UTF-8")
            })?;
            if text.len() > hosts::LONGEST_LIST {
                let limit = hosts::LONGEST_LIST;
                return Err(
                    Failure::new(format!("the list is larger than {limit} bytes"))
                        .hint("issue the hosts in several runs"),
                );
            }
            (text, "standard input".to_owned())
        } else {
            (
                disk::read_text(file, hosts::LONGEST_LIST)?.to_string(),
                file.display().to_string(),
            )
        };
        requests.extend(hosts::parse_list(&text, &name, domain, arguments.relay)?);
    }
    let seal_to = recipients(&arguments.seal_to)?;
    for sender in &arguments.senders {
        relayca_postfix::validate::sender(sender)
            .map_err(|error| usage_of(&error, error.hint()))?;
    }
    let key = arguments.key.as_deref().map(word).transpose()?;
    let mta: Option<Mta> = arguments
        .mta
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error: relayca_mta::MtaError| usage_of(&error, error.hint()))?;
    if !arguments.san.is_empty() && requests.len() != 1 {
        return Err(
            Failure::usage("--san is for one host").hint("in a list, write san= behind each host")
        );
    }
    for request in &mut requests {
        if request.seal_to.is_empty() {
            request.seal_to.clone_from(&seal_to);
        }
        if request.senders.is_empty() {
            request.senders.clone_from(&arguments.senders);
        }
        request.key = request.key.or(key);
        request.mta = request.mta.or(mta);
        if request.mta == Some(Mta::OpenSmtpd)
            && request.key.unwrap_or(home.settings.key) == KeyType::Ed25519
        {
            return Err(Failure::usage(format!(
                "OpenSMTPD takes no Ed25519 key, and {} is to have one",
                request.host
            ))
            .hint("--key p256"));
        }
        request.days = request.days.or(arguments.days);
        for name in &arguments.san {
            request.alt_names.push(relayca_ca::AltName::parse(name)?);
        }
    }
    hosts::refuse_duplicates(&requests)?;
    if let Some(file) = &arguments.csr {
        let [only] = requests.as_mut_slice() else {
            return Err(Failure::usage("--csr is for one host")
                .hint("issue one host with each certificate request"));
        };
        only.public_key = Some(requested_key(run, &only.host, file)?);
    }
    Ok(requests)
}

/// Refuses what the CA may not certify before the admin is asked for anything.
fn check_names(home: &Home, requests: &[HostRequest]) -> Result<(), Failure> {
    let ca = home.ca_certificate()?;
    for request in requests {
        let names = std::iter::once(relayca_ca::AltName::Dns(request.host.clone()))
            .chain(request.alt_names.iter().cloned());
        for name in names {
            if !home.may_name(&ca, &name) {
                return Err(outside(home, &ca, &name));
            }
        }
    }
    Ok(())
}

/// The refusal of a name that is not this authority's to certify.
pub fn outside(home: &Home, ca: &Certificate, name: &AltName) -> Failure {
    let domain = &home.settings.domain;
    let failure = Failure::new(format!(
        "`{name}` lies outside the domain `{domain}` that this CA may certify"
    ));
    if ca.permits(name) {
        // Made elsewhere, it is kept to its domain by relayca alone.
        return failure.hint(
            "beside the domain only relays are certified: write it into `relays` in relayca.toml, if it is one",
        );
    }
    failure
        .hint("what a CA may certify is set when it is made: `relayca init --permit NAME|IP`, or a new one by `relayca rollover prepare --permit NAME|IP`")
}

/// A relay that relayca.toml does not name yet is added there, and senders are bound; gives the new text.
fn change_settings(home: &mut Home, requests: &[HostRequest]) -> Result<Option<String>, Failure> {
    let mut text = home.settings_text.clone();
    for request in requests {
        if let Some(relay) = &request.relay
            && home.settings.relay(&relay.name).is_none()
        {
            text = settings::with_relay(&text, relay)?;
        }
        if !request.senders.is_empty() {
            text = settings::with_senders(&text, &request.host, &request.senders)?;
        }
        if let Some(mta) = request.mta
            && home.settings.mta(&request.host) != mta
        {
            text = settings::with_mta(&text, &request.host, mta)?;
        }
    }
    if text == home.settings_text {
        return Ok(None);
    }
    home.settings = Settings::parse(&text, &home.path(home::SETTINGS))?;
    if requests.iter().any(|request| !request.senders.is_empty()) {
        // Refuses senders that Postfix would read otherwise, before anything is made.
        for relay in &home.settings.relays {
            pieces::relay_snippet(
                &home.settings,
                relay,
                pieces::bindings(&home.settings),
                RelayStyle::Block,
            )?;
        }
    }
    Ok(Some(text))
}

/// A host that has a certificate keeps it: a second one is a renewal, which is another word.
fn refuse_issued(
    inventory: &(impl relayca_inventory::Records + ?Sized),
    requests: &[HostRequest],
) -> Result<(), Failure> {
    // Many are looked for in one list: each question to the inventory takes and drops its lock.
    let all = if requests.len() >= BATCH {
        Some(inventory.hosts()?)
    } else {
        None
    };
    let known = all.as_ref().map(|all| {
        all.iter()
            .map(|host| host.name.as_str())
            .collect::<HashSet<_>>()
    });
    for request in requests {
        let name = request.host.as_str();
        if known.as_ref().is_some_and(|known| !known.contains(name)) {
            continue;
        }
        let Some(host) = inventory.host(name)? else {
            continue;
        };
        return Err(has_one(
            &host,
            public_bundles::of_host(inventory, name)?.last(),
        ));
    }
    Ok(())
}

fn has_one(host: &Host, newest: Option<&CertificateRecord>) -> Failure {
    let name = &host.name;
    let existing = newest.map_or_else(
        || format!("added {}", dates::day_of(&host.added_at)),
        |record| {
            let until = match record.state {
                State::Live => format!(" until {}", dates::day_of(&record.not_after)),
                _ => String::new(),
            };
            format!("serial {}, {}{until}", record.serial, record.state)
        },
    );
    let hint = if newest.is_some_and(|record| record.state == State::Revoked) {
        format!(
            "a revoked key is not used again: `relayca renew --rekey {name}` gives it a new one"
        )
    } else {
        format!(
            "`relayca renew {name}` gives it a new certificate for the same key; `relayca show {name}` shows what it has"
        )
    };
    Failure::new(format!(
        "`{name}` has a certificate already ({existing}); nothing was issued"
    ))
    .hint(hint)
}

/// Whether an interrupt is not to wait until the next file is written: many hosts, or a plugin that asks for a token.
fn takes_long(settings: &Settings, requests: &[HostRequest]) -> bool {
    let sealed_to = requests.iter().flat_map(|request| &request.seal_to);
    requests.len() > 1
        || sealed_to
            .chain(&settings.recipients)
            .any(Recipient::needs_plugin)
}

/// The ID of a staged transaction.
pub fn new_id() -> Result<String, Failure> {
    Ok(relayca_ca::Serial::random()?.to_string())
}

/// Issues every host, over all cores where there are several, and enters them batch by batch.
fn issue_all(
    run: &Run,
    issuing: &Issuing<'_>,
    requests: &[HostRequest],
    change: &mut dyn Change,
    staged: &Staged,
    flush_more: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<Vec<Issued>, Failure> {
    let put = |path: &str, content: &[u8], mode: u32| staged.put(path, content, mode);
    // Only a relay's bundle has it.
    let map = if requests.iter().any(|request| request.relay.is_some()) {
        pieces::map_now(issuing.settings, change, run.now)?
    } else {
        pieces::map_of(&[], issuing.settings.digest, issuing.settings.pin)?
    };
    let one = |request: &HostRequest| {
        issuing::issue(issuing, request, &map, &put)
            .map_err(|failure| failure.within(&request.host))
    };
    if let [only] = requests {
        let issued = one(only)?;
        enter_issued(change, &issued, run.now)?;
        return Ok(vec![issued]);
    }
    let progress = progress::bar(run, requests.len(), "issuing", "hosts");
    let mut all: Vec<Issued> = Vec::with_capacity(requests.len());
    let mut entered = 0;
    for batch in requests.chunks(BATCH) {
        let mut issued: Result<Vec<Issued>, Failure> = Ok(Vec::new());
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| {
                issued = batch
                    .par_iter()
                    .map(|request| one(request).inspect(|_| progress.inc(1)))
                    .collect();
            });
            // While the other threads issue, this one enters what they made before.
            all[entered..]
                .iter()
                .try_for_each(|issued| enter_issued(change, issued, run.now))
        })?;
        entered = all.len();
        all.extend(issued?);
        flush_more()?;
    }
    for issued in &all[entered..] {
        enter_issued(change, issued, run.now)?;
    }
    progress.finish_and_clear();
    Ok(all)
}
