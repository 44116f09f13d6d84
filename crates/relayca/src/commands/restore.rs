//! `relayca restore`: lays out an authority from a backup, in an empty place.
//!
//! In: a backup, and who opens it. Out: the authority's directory, whole or not at all. Anybody can seal a file to the admins: so
//! nothing but the known files of an authority is laid out, each checked, and nothing that exists is ever replaced.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use relayca_bundle::{Manifest, Member, OpenWith, SealedReader, TreeError};
use relayca_ca::{AltName, Domain, HostName};
use relayca_inventory::{Filter, Records};
use serde_json::json;

use super::backup::{active_is, parts};
use crate::authorities::Authorities;
use crate::cli::Restore;
use crate::dates;
use crate::disk::{self, NewDirectory};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::pieces;
use crate::printer::count;
use crate::run::Run;
use crate::settings::Settings;
use crate::steps;

/// Runs the command.
pub fn run(run: &Run, arguments: &Restore) -> Result<(), Failure> {
    if let Some(directory) = &run.global.dir {
        home::refuse_odd_path(directory)?;
        disk::refuse_existing(directory)?;
    }
    let path = &arguments.file;
    let named = |failure: Failure| failure.within(path.display());
    let opened = open(run, path)?;
    let mut layout = Layout {
        run,
        begun: None,
        directories: HashSet::new(),
    };
    let manifest =
        relayca_bundle::read_tree(opened, |member, content| layout.take(member, content))
            .map_err(named)?;
    let (directory, domain) = layout.begun.ok_or_else(|| named(not_a_backup()))?;
    let summary = judge(&directory, &manifest, &domain)
        .map_err(|failure| named(without_place(&directory, failure)))?;
    let root = directory.publish()?;
    report(run, root, &manifest, &summary)
}

fn not_a_backup() -> Failure {
    Failure::new("it is not a backup of an authority")
        .hint("name a file that `relayca backup` made")
}

/// Opens the backup with the passphrase or an identity.
fn open(run: &Run, path: &Path) -> Result<impl Read + use<>, Failure> {
    let named = |error: relayca_bundle::OpenError| Failure::from(error).within(path.display());
    let file = File::open(path).map_err(|error| Failure::io("read", path, &error))?;
    let sealed = SealedReader::begin(file).map_err(named)?;
    if sealed.by_passphrase() {
        let passphrase = run
            .secrets
            .passphrase(&format!("the backup `{}`", path.display()))?;
        return sealed
            .open(&OpenWith::Passphrase(&passphrase))
            .map_err(named);
    }
    let identities = run.secrets.identities(&[])?.ok_or_else(|| {
        Failure::usage(format!(
            "`{}` is sealed to age recipients, and no identity was given",
            path.display()
        ))
        .hint("name the identity file with -i FILE or in RELAYCA_IDENTITY")
    })?;
    sealed
        .open(&OpenWith::Identities(&identities))
        .map_err(named)
}

/// What was laid out so far.
struct Layout<'a> {
    run: &'a Run,
    /// From the settings on, which are first and tell the domain.
    begun: Option<(NewDirectory, Domain)>,
    directories: HashSet<String>,
}

impl Layout<'_> {
    fn take(&mut self, member: &Member, content: &mut dyn Read) -> Result<(), Failure> {
        let Some((directory, _)) = &self.begun else {
            return self.begin(member, content);
        };
        match member {
            Member::Directory { path, mode } => {
                if !parts::is_directory(path) {
                    return Err(foreign(path));
                }
                if *mode & 0o7777 != parts::DIRECTORY {
                    return Err(odd_mode(path, *mode));
                }
                directory.make(path)?;
                self.directories.insert(path.clone());
                Ok(())
            }
            Member::File { path, mode, size } => {
                let mode = checked(path, *mode, *size)?;
                if let Some((above, _)) = path.rsplit_once('/')
                    && !self.directories.contains(above)
                {
                    return Err(Failure::new(format!("`{path}` comes before its directory"))
                        .hint("name a file that `relayca backup` made"));
                }
                let mut content = Watched {
                    inner: content,
                    trouble: None,
                };
                directory
                    .put_from(path, &mut content, mode)
                    .map_err(|failure| content.trouble.take().map_or(failure, Failure::from))
            }
        }
    }

    /// The settings tell where everything goes.
    fn begin(&mut self, member: &Member, content: &mut dyn Read) -> Result<(), Failure> {
        let Member::File { path, mode, size } = member else {
            return Err(not_a_backup());
        };
        if path != home::SETTINGS {
            return Err(not_a_backup());
        }
        let mode = checked(path, *mode, *size)?;
        let mut text = String::new();
        content
            .read_to_string(&mut text)
            .map_err(|error| Failure::from(TreeError::reading(&error)))?;
        let domain = Settings::parse(&text, Path::new(home::SETTINGS))?.domain;
        let global = &self.run.global;
        if let Some(wanted) = &global.domain
            && Domain::parse(wanted)? != domain
        {
            return Err(Failure::usage(format!(
                "it is the authority of `{domain}`, not of `{wanted}`"
            ))
            .hint("leave --domain out"));
        }
        let target = match &global.dir {
            Some(directory) => directory.clone(),
            None => home::default_root()?.join(domain.as_str()),
        };
        home::refuse_odd_path(&target)?;
        let directory = NewDirectory::begin(&target)?;
        directory.put(home::SETTINGS, text.as_bytes(), mode)?;
        self.begun = Some((directory, domain));
        Ok(())
    }
}

/// Content that remembers why it could not be read: whoever writes it knows only that.
struct Watched<'a> {
    inner: &'a mut dyn Read,
    trouble: Option<TreeError>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            self.trouble = Some(TreeError::reading(error));
        })
    }
}

/// The mode of a file that an authority has.
fn checked(path: &str, mode: u32, size: u64) -> Result<u32, Failure> {
    let part = parts::part(path).ok_or_else(|| foreign(path))?;
    if size > part.longest {
        return Err(
            Failure::new(format!("`{path}` is larger than {} bytes", part.longest))
                .hint("it cannot be what relayca put there: take another backup"),
        );
    }
    match mode & 0o7777 {
        pieces::PRIVATE => Ok(pieces::PRIVATE),
        pieces::PUBLIC if part.public => Ok(pieces::PUBLIC),
        _ => Err(odd_mode(path, mode)),
    }
}

fn foreign(path: &str) -> Failure {
    Failure::new(format!("`{path}` is not a file of an authority"))
        .hint("use nothing of it: relayca put no such file into a backup")
}

fn odd_mode(path: &str, mode: u32) -> Failure {
    Failure::new(format!(
        "`{path}` has mode {:04o}, which no backup gives it",
        mode & 0o7777
    ))
    .hint("use nothing of it: relayca put no such file into a backup")
}

/// In words that name the file, not the place where it was laid out and will not stay.
fn without_place(directory: &NewDirectory, failure: Failure) -> Failure {
    let place = format!("{}/", directory.path().display());
    Failure {
        message: failure.message.replace(&place, ""),
        ..failure
    }
    .hint("take another backup")
}

/// What the report tells.
struct Summary {
    hosts: usize,
    certificates: usize,
    /// When the last entry was made.
    newest: Option<String>,
    ca_not_after: String,
}

/// Whether what was laid out is an authority: complete, the inventory whole, and the CA its own.
fn judge(
    directory: &NewDirectory,
    manifest: &Manifest,
    domain: &Domain,
) -> Result<Summary, Failure> {
    for required in parts::REQUIRED {
        if !manifest.files.contains_key(required) {
            return Err(Failure::new(format!("`{required}` is missing")));
        }
    }
    let path: PathBuf = directory.path().join(home::INVENTORY);
    let inventory = relayca_inventory::open_read_only(&path)?;
    if let Some(damage) = inventory.damage()?.into_iter().next() {
        return Err(Failure::new(format!("`{}`: {damage}", home::INVENTORY)));
    }
    let home = Home::at(directory.path().to_owned())?;
    active_is(&Authorities::of(&inventory)?, &home)?;
    let ca = home.ca_certificate()?;
    if !ca.permits(&AltName::Dns(HostName::parse(domain.as_str())?)) {
        return Err(Failure::new(format!(
            "its CA certificate is not for `{domain}`, which `{}` names",
            home::SETTINGS
        ))
        .hint("take another backup"));
    }
    Ok(Summary {
        hosts: inventory.hosts()?.len(),
        certificates: inventory.certificates(&Filter::default())?.len(),
        newest: inventory
            .events(1)?
            .into_iter()
            .next()
            .map(|event| event.at),
        ca_not_after: dates::stamp(ca.not_after()),
    })
}

fn report(run: &Run, root: PathBuf, manifest: &Manifest, summary: &Summary) -> Result<(), Failure> {
    let home = Home::at(root)?;
    let printer = &run.printer;
    if printer.json {
        printer.json(&json!({
            "domain": home.settings.domain.as_str(),
            "directory": home.root,
            "files": manifest.files.len(),
            "hosts": summary.hosts,
            "certificates": summary.certificates,
            "newest_event": summary.newest,
            "ca_not_after": summary.ca_not_after,
        }))?;
    } else {
        printer.data(&crate::printer::printable(&format!(
            "{}\n",
            home.root.display()
        )))?;
    }
    printer.note(&format!(
        "restored the authority of {} in {}: {}, {}, {}; its CA is valid until {}",
        home.settings.domain,
        home.root.display(),
        count(manifest.files.len(), "file", "files"),
        count(summary.hosts, "host", "hosts"),
        count(summary.certificates, "certificate", "certificates"),
        dates::day_of(&summary.ca_not_after)
    ));
    if let Some(newest) = &summary.newest {
        printer.note(&format!(
            "its last entry is of {newest}: what was issued or revoked later is not in it"
        ));
    }
    printer.note(&format!("next: `{} check`", steps::relayca(&home)));
    Ok(())
}
