//! `relayca open`: opens a bundle, checks every checksum and lays out the files in a new directory.

use std::path::{Path, PathBuf};

use relayca_bundle::{Entry, OpenWith};
use relayca_ca::HostName;
use serde_json::json;
use zeroize::Zeroizing;

use super::passphrase::sealed_passphrase;
use crate::cli::Open;
use crate::disk::{self, NewDirectory};
use crate::failure::Failure;
use crate::home::Home;
use crate::run::Run;

/// Bytes of a sealed bundle.
const LONGEST_BUNDLE: usize = 64 << 20;

/// Runs the command.
pub fn run(run: &Run, arguments: &Open) -> Result<(), Failure> {
    let target = match &arguments.directory {
        Some(directory) => directory.clone(),
        None => PathBuf::from(host_of(&arguments.bundle)?.to_string()),
    };
    disk::refuse_existing(&target)?;
    let content = disk::read(&arguments.bundle, LONGEST_BUNDLE)?;
    let entries = relayca_bundle::unpack(&open_archive(run, &arguments.bundle, &content)?)
        .map_err(|error| Failure::from(error).within(arguments.bundle.display()))?;
    let directory = NewDirectory::begin(&target)?;
    for entry in &entries {
        directory.put(&entry.name, &entry.content, entry.mode)?;
    }
    let place = directory.publish()?;
    report(run, &entries, &place)
}

/// The archive in a sealed bundle, or the bundle itself where it is a public one.
fn open_archive(run: &Run, path: &Path, content: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if path.extension().is_some_and(|extension| extension == "tar") {
        return Ok(Zeroizing::new(content.to_vec()));
    }
    let named = |error: relayca_bundle::OpenError| Failure::from(error).within(path.display());
    if relayca_bundle::sealed_with_passphrase(content).map_err(named)? {
        let passphrase = match of_authority(run, path) {
            Some((home, sealed)) => sealed_passphrase(run, &home, &sealed)?,
            None => run.secrets.passphrase(&path.display().to_string())?,
        };
        return relayca_bundle::open(content, &OpenWith::Passphrase(&passphrase)).map_err(named);
    }
    let identities = run.secrets.identities(&[])?.ok_or_else(|| {
        Failure::usage(format!(
            "`{}` is sealed to a key, and no identity was given",
            path.display()
        ))
        .hint("name the key's file, as in -i /etc/ssh/ssh_host_ed25519_key")
    })?;
    relayca_bundle::open(content, &OpenWith::Identities(&identities)).map_err(named)
}

/// A bundle that lies in its authority, also one of an old key: the admin's keys open its passphrase, in the file named
/// beside it.
fn of_authority(run: &Run, path: &Path) -> Option<(Home, String)> {
    let path = path.canonicalize().ok()?;
    let name = path.file_name()?.to_str()?.strip_suffix(".tar.age")?;
    let bundles = path
        .ancestors()
        .skip(1)
        .take(2)
        .find(|parent| parent.ends_with("bundles"))?;
    let home = Home::at(bundles.parent()?.to_owned()).ok()?;
    let beside = path.with_file_name(format!("{name}.passphrase.age"));
    let relative = beside.strip_prefix(bundles.parent()?).ok()?.to_str()?;
    // With a passphrase file at hand the user means the bundle's own, unless the authority has one.
    let own = beside.exists();
    (own && (!run.secrets.has_passphrase() || home.path(crate::home::ADMIN_IDENTITY).exists()))
        .then(|| (home, relative.to_owned()))
}

fn host_of(path: &Path) -> Result<HostName, Failure> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    name.strip_suffix(".sealed.tar.age")
        .or_else(|| name.strip_suffix(".tar.age"))
        .or_else(|| name.strip_suffix(".public.tar"))
        .and_then(|name| HostName::parse(name).ok())
        .ok_or_else(|| {
            Failure::usage(format!("`{name}` does not tell the host's name"))
                .hint("name the directory to make: -C DIR")
        })
}

fn report(run: &Run, entries: &[Entry], place: &Path) -> Result<(), Failure> {
    if run.printer.json {
        let files: Vec<_> = entries
            .iter()
            .map(|entry| json!({ "name": entry.name, "mode": format!("{:04o}", entry.mode), "bytes": entry.content.len() }))
            .collect();
        run.printer
            .json(&json!({ "directory": place.to_string_lossy(), "files": files }))?;
    } else {
        let list: String = entries
            .iter()
            .map(|entry| format!("{}\n", place.join(&entry.name).display()))
            .collect();
        run.printer.data(&crate::printer::printable(&list))?;
    }
    run.printer.note(&format!(
        "{} files, every checksum right, in {}",
        entries.len(),
        place.display()
    ));
    if entries.iter().any(|entry| entry.name.ends_with(".key.pem")) {
        run.printer
            .note("a private key is among them: it belongs on its host alone");
    }
    run.printer
        .note(&format!("next: {}", place.join("INSTALL.txt").display()));
    Ok(())
}
