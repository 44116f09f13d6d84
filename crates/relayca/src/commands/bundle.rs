//! `relayca bundle`: a host's public pieces anew, or its bundle sealed to other recipients.

use std::path::PathBuf;

use relayca_bundle::{Entry, OpenWith, Passphrase, Recipient};
use relayca_ca::{Certificate, HostName};
use relayca_inventory::{Change, Inventory, NewEvent};
use serde_json::json;

use super::init::recipients;
use super::passphrase::bundle_passphrase;
use super::snippet::known_host;
use crate::authorities::Authorities;
use crate::cli::Bundle;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::Home;
use crate::issuing;
use crate::pieces;
use crate::public_bundles;
use crate::run::Run;

/// Runs the command.
pub fn run(run: &Run, arguments: &Bundle) -> Result<(), Failure> {
    let home = run.home(arguments.hosts.first().map(String::as_str))?;
    let seal_to = recipients(&arguments.seal_to)?;
    let hosts = arguments
        .hosts
        .iter()
        .map(|host| known_host(&home, host))
        .collect::<Result<Vec<_>, _>>()?;
    // The passphrases first: they may ask the admin something, and the lock is not to wait for that.
    let keys = hosts
        .iter()
        .map(|(host, _)| {
            if seal_to.is_empty() {
                Ok(None)
            } else {
                private_key(run, &home, host).map(Some)
            }
        })
        .collect::<Result<Vec<_>, Failure>>()?;

    let written = write(
        run,
        &home,
        hosts.iter().map(|(host, _)| host).zip(keys),
        &seal_to,
    )?;

    if run.printer.json {
        let items: Vec<_> = written
            .iter()
            .map(|(host, path, _)| json!({ "host": host.as_str(), "bundle": path }))
            .collect();
        run.printer.json(&json!(items))?;
    } else {
        let paths: String = written
            .iter()
            .map(|(_, path, _)| format!("{}\n", path.display()))
            .collect();
        run.printer.data(&crate::printer::printable(&paths))?;
    }
    for (host, _, certificate) in &written {
        run.printer.note(&format!(
            "the certificate of {host} is valid until {}",
            dates::day(certificate.not_after())
        ));
    }
    run.printer.note(if seal_to.is_empty() {
        "no key is in a public bundle; next, on the host: tar -xf HOST.public.tar -C CONFIG_DIRECTORY/relayca"
    } else {
        "next, on the host: age -d -i KEY HOST.sealed.tar.age | tar -xf - -C CONFIG_DIRECTORY/relayca"
    });
    if hosts
        .iter()
        .any(|(host, _)| home.settings.relay(host).is_some())
    {
        run.printer.note(&format!(
            "a relay's list goes in by `{} map --format paste`, which compares it with the one that is there",
            crate::steps::relayca(&home)
        ));
    }
    Ok(())
}

/// Seals one host's bundle anew, to these recipients; gives where it lies.
pub fn seal(
    run: &Run,
    home: &Home,
    host: &HostName,
    seal_to: &[Recipient],
) -> Result<PathBuf, Failure> {
    let key = private_key(run, home, host)?;
    let mut written = write(run, home, [(host, Some(key))], seal_to)?;
    written
        .pop()
        .map(|(_, path, _)| path)
        .ok_or_else(|| Failure::new("nothing was sealed"))
}

fn write<'a>(
    run: &Run,
    home: &Home,
    hosts: impl IntoIterator<Item = (&'a HostName, Option<Entry>)>,
    seal_to: &[Recipient],
) -> Result<Vec<(&'a HostName, PathBuf, Certificate)>, Failure> {
    let mut inventory = home.inventory()?;
    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    let staged = Staged::begin(&home.root, relayca_ca::Serial::random()?.to_string())?;
    let mut written = Vec::new();
    for (host, key) in hosts {
        let (certificate, entries) = public_entries(run, home, &*change, host)?;
        let relative = match key {
            None => public_bundles::put(&staged, host, &certificate, &entries)?,
            Some(key) => put_sealed(run, &staged, host, &certificate, entries, key, seal_to)?,
        };
        change.record(&NewEvent {
            at: dates::stamp(run.now),
            what: if seal_to.is_empty() { "bundle" } else { "seal" }.into(),
            serial: Some(certificate.serial().to_string()),
            host: Some(host.to_string()),
            detail: None,
        })?;
        written.push((host, home.path(&relative), certificate));
    }
    home.commit(change, staged, run.now)?;
    Ok(written)
}

/// The newest live certificate of a host, and the files that go with it.
fn public_entries(
    run: &Run,
    home: &Home,
    inventory: &dyn Change,
    host: &HostName,
) -> Result<(Certificate, Vec<Entry>), Failure> {
    let record = public_bundles::newest(inventory, host.as_str())?.ok_or_else(|| {
        Failure::new(format!("`{host}` has no live certificate"))
            .hint(format!("`relayca show {host}` tells its history"))
    })?;
    let trusted = Authorities::of(inventory)?.trusted();
    let map = pieces::map_now(&home.settings, inventory, run.now)?;
    public_bundles::entries(home, host, &record, &trusted, &map)
}

/// Seals the key with today's public pieces. The bundle that the admins can open is kept as it is: it is
/// their way back to the key until the host has it.
fn put_sealed(
    run: &Run,
    staged: &Staged,
    host: &HostName,
    certificate: &Certificate,
    mut entries: Vec<Entry>,
    key: Entry,
    seal_to: &[Recipient],
) -> Result<String, Failure> {
    let text = std::str::from_utf8(&key.content).map_err(|_| {
        Failure::new("the key in the bundle is not PEM").hint("restore the bundle from a backup")
    })?;
    if relayca_ca::PrivateKey::from_pem(text)?.spki_der() != certificate.spki_der() {
        return Err(Failure::new(format!(
            "the key in the bundle of `{host}` does not belong to its newest certificate"
        ))
        .hint("restore the bundle from a backup"));
    }
    entries.push(key);
    let archive = relayca_bundle::pack(&entries, issuing::mtime(certificate))?;
    let sealed = issuing::seal_to_recipients(&archive, seal_to, &run.secrets.prompt())?;
    let relative = format!("bundles/{host}.sealed.tar.age");
    staged.put(&relative, &sealed, pieces::PRIVATE)?;
    Ok(relative)
}

/// The key in a host's bundle, where the admins hold its passphrase.
fn private_key(run: &Run, home: &Home, host: &HostName) -> Result<Entry, Failure> {
    key_in_bundle(home, host, &bundle_passphrase(run, home, host)?)
}

/// Likewise, with the bundle's passphrase at hand.
pub fn key_in_bundle(
    home: &Home,
    host: &HostName,
    passphrase: &Passphrase,
) -> Result<Entry, Failure> {
    let path = home.path(&Home::bundle(host));
    let named = |failure: Failure| failure.within(path.display());
    let sealed = disk::read(&path, issuing::LONGEST_BUNDLE)?;
    let archive = relayca_bundle::open(&sealed, &OpenWith::Passphrase(passphrase))
        .map_err(|error| named(error.into()))?;
    relayca_bundle::unpack(&archive)
        .map_err(|error| named(error.into()))?
        .into_iter()
        .find(|entry| entry.name == format!("{host}.key.pem"))
        .ok_or_else(|| {
            named(Failure::new("there is no key in it").hint("restore the bundle from a backup"))
        })
}
