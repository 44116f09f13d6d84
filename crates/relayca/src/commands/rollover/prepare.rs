//! `relayca rollover prepare`: a new CA beside the old one.
//!
//! In: its key type, days and permits. Out: its sealed key in `ca/SERIAL`, and both CA certificates in every host's public
//! bundle. It signs nothing yet. The old CA's key is not needed: it may be lost, and the CA expired.

use relayca_bundle::{ADMIN_WORK_FACTOR, OpenWith, SealTo};
use relayca_ca::{AltName, Authority, Certificate, KeyType, NewAuthority};
use relayca_inventory::{Inventory, Phase, Records};
use serde_json::json;

use super::hosts::{self, Reached};
use super::{active, record, refuse_under_way, standing};
use crate::authorities::{Authorities, Standing, directory};
use crate::commands::issue::new_id;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::{ADMIN_IDENTITY, CA, CA_PASSPHRASE, Home};
use crate::issuing;
use crate::opening::AdminKeys;
use crate::run::Run;
use crate::sealed_ca::{SealedCa, seal_ca};
use crate::settings::word;
use crate::steps::{self, Steps};

/// Runs the step.
pub fn run(run: &Run, ca_key: Option<&str>, days: u32, permit: &[String]) -> Result<(), Failure> {
    let mut home = run.home(None)?;
    let mut inventory = home.inventory()?;
    let authorities = Authorities::of(&inventory)?;
    refuse_under_way(&home, &authorities)?;
    let old = active(&authorities)?;
    let wanted = wanted(
        run,
        &home,
        &inventory,
        &old.certificate,
        ca_key,
        days,
        permit,
    )?;

    let opened_by = home.read(CA_PASSPHRASE)?;
    let admins = home.admin_keys(&run.secrets)?;
    let (authority, sealed) = make(run, &home, &wanted, &admins)?;

    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    let recipients = home.settings.recipients.clone();
    home = Home::at(home.root)?;
    // Again, now that nobody else can take a step.
    let authorities = Authorities::of(&*change)?;
    refuse_under_way(&home, &authorities)?;
    authorities.still_active(&old.certificate)?;
    refuse_uncovered(&home, &*change, &old.certificate, &wanted.permits)?;
    let others = recipients.len() != home.settings.recipients.len()
        || recipients
            .iter()
            .zip(&home.settings.recipients)
            .any(|(one, other)| one.text() != other.text());
    if others || *home.read(CA_PASSPHRASE)? != *opened_by {
        return Err(Failure::new(
            "who opens the authority was changed while this command began; nothing was changed",
        )
        .hint("run it again"));
    }

    let new = Standing {
        certificate: authority.certificate().clone(),
        phase: Phase::Prepared,
    };
    let serial = new.certificate.serial().to_string();
    let domain = home.settings.domain.as_str();
    change.add_certificate(&issuing::record_of(&new.certificate, domain, "ca", run.now))?;
    change.set_phase(&serial, Phase::Prepared)?;
    let subject = new.certificate.subject().to_owned();
    record(run, &home, &mut *change, "rollover-prepare", &new, subject)?;
    let trusted = Authorities::of(&*change)?.trusted();
    let staged = Staged::begin(&home.root, new_id()?)?;
    sealed.put(
        &directory(&serial, Phase::Prepared),
        &|path, content, mode| staged.put(path, content, mode),
    )?;
    let hosts = hosts::put_all(run, &home, &*change, &trusted, &staged)?;
    home.commit(change, staged, run.now)?;
    report(run, &home, &new, &hosts, &trusted)
}

/// What the new CA is to be. It may certify at least what the hosts' certificates carry today.
fn wanted(
    run: &Run,
    home: &Home,
    inventory: &impl Records,
    old: &Certificate,
    ca_key: Option<&str>,
    days: u32,
    permit: &[String],
) -> Result<NewAuthority, Failure> {
    let key_type = match ca_key {
        Some(text) => word(text)?,
        // One made elsewhere may have a key that we do not make.
        None => old.key_description().parse().unwrap_or_else(|_| {
            run.printer.note(&format!(
                "the old CA has a key of type {}; the new one gets {}",
                old.key_description(),
                KeyType::P256
            ));
            KeyType::P256
        }),
    };
    let domain = &home.settings.domain;
    let mut permits = old.further_permits();
    for text in permit {
        permits.push(AltName::parse(text)?);
    }
    permits.retain(|name| !matches!(name, AltName::Dns(name) if domain.contains(name)));
    permits.sort();
    permits.dedup();
    refuse_uncovered(home, inventory, old, &permits)?;
    Ok(NewAuthority {
        domain: domain.clone(),
        permits,
        key_type,
        days,
    })
}

/// A name outside the domain, which the old CA permits in a way of its own or does not limit at all, would be found when its
/// host is to be renewed: after the new CA was activated.
fn refuse_uncovered(
    home: &Home,
    inventory: &(impl Records + ?Sized),
    old: &Certificate,
    permits: &[AltName],
) -> Result<(), Failure> {
    let uncovered = hosts::uncovered(home, &hosts::reached(inventory)?, old, permits)?;
    if uncovered.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = uncovered
        .iter()
        .map(|(name, host)| format!("{name}, of {host}"))
        .collect();
    let options: Vec<String> = uncovered
        .iter()
        .map(|(name, _)| format!("--permit {name}"))
        .collect();
    Err(Failure::new(format!(
        "the new CA could not certify what these hosts are called; nothing was changed\n{}",
        named.join("\n")
    ))
    .hint(format!(
        "add `{}`, or revoke the hosts that are gone",
        options.join(" ")
    )))
}

/// Makes the CA and seals its key to those who open the authority, proved by opening it again.
fn make(
    run: &Run,
    home: &Home,
    wanted: &NewAuthority,
    admins: &AdminKeys,
) -> Result<(Authority, SealedCa), Failure> {
    let prompt = run.secrets.prompt();
    let (to, proof) = match admins {
        AdminKeys::Identities(identities) => (
            SealTo::Recipients {
                recipients: &home.settings.recipients,
                prompt: &prompt,
            },
            OpenWith::Identities(identities),
        ),
        AdminKeys::Passphrase(passphrase) => {
            // A mistyped passphrase would seal, too: first it opens what is there.
            if home.path(ADMIN_IDENTITY).exists() {
                home.wrapped_identity(&run.secrets, passphrase)?;
            } else {
                home.passphrase_in(CA, admins)?;
            }
            (
                SealTo::Passphrase {
                    passphrase,
                    work_factor: ADMIN_WORK_FACTOR,
                },
                OpenWith::Passphrase(passphrase),
            )
        }
    };
    let authority = Authority::create(wanted, run.now)?;
    let sealed = seal_ca(&authority, &to, Some(&proof))?;
    Ok((authority, sealed))
}

fn report(
    run: &Run,
    home: &Home,
    new: &Standing,
    hosts: &[Reached],
    trusted: &[Certificate],
) -> Result<(), Failure> {
    let relayca = steps::relayca(home);
    if run.printer.json {
        let (authorities, next) = standing::json(run, home)?;
        run.printer.json(&json!({
            "step": "prepare",
            "authorities": authorities,
            "hosts": hosts::json(home, hosts),
            "trust": crate::pieces::trust_text(trusted),
            "next": next,
        }))?;
    } else {
        let mut steps = Steps::default();
        hosts::trust_steps(&mut steps, home, hosts, trusted)?;
        steps.add(
            "Here, when every host trusts both CAs: let the new one sign.",
            &format!("{relayca} rollover activate"),
        );
        run.printer.data(steps.text())?;
    }
    let certificate = &new.certificate;
    run.printer.note(&format!(
        "made the new CA {}, serial {}, valid until {}: {}",
        certificate.subject(),
        certificate.serial(),
        dates::day(certificate.not_after()),
        home.path(&new.directory()).display()
    ));
    run.printer.note(
        "next: paste the steps on every host, relays and mail hosts in any order: who trusts both CAs accepts all that it accepted before, and the new one has signed nothing yet",
    );
    run.printer.note(&format!(
        "was the old CA's key stolen? Then go through all steps today: whoever has it can pose as the relay to each mail host until the block of `{relayca} rollover retire` is pasted there"
    ));
    run.printer.note(&format!(
        "a bundle sealed before today has the old CA alone: a host that is set up from one needs its step, too. To give the new CA up: `{relayca} rollover retire`"
    ));
    Ok(())
}
