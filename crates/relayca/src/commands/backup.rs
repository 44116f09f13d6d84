//! `relayca backup`: the whole authority in one sealed file.
//!
//! In: a file to make. Out: a tar archive with its checksums, sealed with age, of one moment: the inventory is locked while it is
//! read. Written as a stream, opened again and compared where that needs nobody, and only then given its name.

pub mod parts;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use relayca_bundle::{
    ADMIN_WORK_FACTOR, Identities, Manifest, OpenError, OpenWith, Passphrase, Recipient, SealTo,
    SealedReader, TreeError, TreeWriter,
};
use relayca_inventory::{Change, Inventory};
use serde_json::json;

use self::parts::{Found, Part};
use super::init::recipients;
use super::passwd::openers::{Openers, by_passphrase};
use crate::authorities::Authorities;
use crate::cli::Backup;
use crate::disk::{self, NewFile};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::opening::AdminKeys;
use crate::pieces;
use crate::printer::count;
use crate::progress;
use crate::run::Run;

/// Bytes written at once.
const BUFFER: usize = 256 << 10;
/// So many files that are not the authority's are named, and no more.
const NAMED: usize = 5;

/// Runs the command.
pub fn run(run: &Run, arguments: &Backup) -> Result<(), Failure> {
    let home = run.home(None)?;
    home::refuse_odd_path(&arguments.file)?;
    refuse_inside(&home.root, &arguments.file)?;
    disk::refuse_existing_file(&arguments.file)?;
    let opener = Opener::of(run, &home, arguments)?;
    let before = Openers::of(&home)?;

    let new = NewFile::begin(&arguments.file)?;
    let prompt = run.secrets.prompt();
    let to = match &opener {
        Opener::Recipients(recipients, _) => SealTo::Recipients {
            recipients,
            prompt: &prompt,
        },
        Opener::Passphrase(passphrase) => SealTo::Passphrase {
            passphrase,
            work_factor: ADMIN_WORK_FACTOR,
        },
    };
    // Whatever takes a person or a second is done before anybody else has to wait.
    let sealing = relayca_bundle::seal_to_writer(BufWriter::with_capacity(BUFFER, &new), &to)?;

    let mut inventory = home.inventory()?;
    let change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    let home = Home::at(home.root)?;
    if arguments.recipient.is_empty() {
        before.unchanged(&home)?;
    }
    let found = parts::find(&home.root)?;
    whole(&home, &*change)?;
    let named = |error: TreeError| write_failure(error, &arguments.file);
    let mut tree = TreeWriter::new(sealing);
    add(run, &home, &found, &mut tree, &*change).map_err(|error| match error {
        AddError::Tree(error) => named(error),
        AddError::Other(failure) => failure,
    })?;
    let now = u64::try_from(run.now.unix_timestamp()).unwrap_or_default();
    let (sealing, manifest) = tree.finish(now).map_err(named)?;
    drop(change);
    sealing
        .finish()
        .and_then(|mut output| output.flush())
        .map_err(|error| Failure::io("write", &arguments.file, &error))?;
    new.flush()?;
    let proven = prove(run, arguments, &new, &opener, &manifest)?;
    let file = new.publish()?;
    report(run, &home, &file, &opener, &manifest, &found, proven)
}

/// Who is to open the backup.
enum Opener {
    /// These, and identities to prove it with where some are at hand.
    Recipients(Vec<Recipient>, Option<Identities>),
    /// Whoever knows the admin passphrase.
    Passphrase(Passphrase),
}

impl Opener {
    fn of(run: &Run, home: &Home, arguments: &Backup) -> Result<Self, Failure> {
        if !arguments.recipient.is_empty() {
            return Ok(Self::Recipients(
                recipients(&arguments.recipient)?,
                identities(run, home)?,
            ));
        }
        if by_passphrase(home)? {
            // Opening the authority with it shows that it is not mistyped.
            return match home.ca_passphrase(&run.secrets)?.1 {
                AdminKeys::Passphrase(passphrase) => Ok(Self::Passphrase(passphrase)),
                AdminKeys::Identities(_) => Err(Failure::new(
                    "who opens the authority was changed at this moment",
                )
                .hint("run it again")),
            };
        }
        if home.settings.recipients.is_empty() {
            return Err(Failure::new("`recipients` in relayca.toml names nobody")
                .hint("`relayca passwd --add RECIPIENT` adds one; --recipient names another one for the backup"));
        }
        Ok(Self::Recipients(
            home.settings.recipients.clone(),
            identities(run, home)?,
        ))
    }
}

/// Those of `-i` have to be there; those of relayca.toml may lie on a stick in a drawer.
fn identities(run: &Run, home: &Home) -> Result<Option<Identities>, Failure> {
    match run.secrets.identities(&home.settings.identities) {
        Err(failure) if !run.global.identity.is_empty() => Err(failure),
        Err(_) => Ok(None),
        Ok(identities) => Ok(identities.filter(|identities| !identities.is_empty())),
    }
}

/// A backup that goes with the disk it is to replace is none, and the next backup would hold it.
fn refuse_inside(root: &Path, file: &Path) -> Result<(), Failure> {
    let file = std::path::absolute(file).map_err(|error| Failure::io("find", file, &error))?;
    let parent = file.parent().unwrap_or(Path::new("/"));
    let parent = parent
        .canonicalize()
        .map_err(|error| Failure::io("find", parent, &error))?;
    let root = root
        .canonicalize()
        .map_err(|error| Failure::io("find", root, &error))?;
    if parent.starts_with(root) {
        return Err(
            Failure::usage(format!("`{}` is inside the authority", file.display()))
                .hint("name a file elsewhere, best on another disk"),
        );
    }
    Ok(())
}

/// Refuses what `restore` would refuse: better now than on the day it is needed.
fn whole(home: &Home, change: &dyn Change) -> Result<(), Failure> {
    for required in parts::REQUIRED {
        if !home.path(required).is_file() {
            return Err(
                Failure::new(format!("`{}` is missing", home.path(required).display()))
                    .hint("restore it from an older backup"),
            );
        }
    }
    active_is(&Authorities::of(change)?, home)
}

/// Refuses a CA certificate that is not the inventory's active one.
pub fn active_is(authorities: &Authorities, home: &Home) -> Result<(), Failure> {
    let certificate = home.ca_certificate()?;
    let active = authorities.in_phase(relayca_inventory::Phase::Active);
    if active.is_some_and(|active| active.certificate.der() == certificate.der()) {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "`{}` is not the active CA of the inventory",
            home::CA_CERTIFICATE
        ))
        .hint("the two are not of one time: take both from the same backup"))
    }
}

enum AddError {
    Tree(TreeError),
    Other(Failure),
}

impl From<TreeError> for AddError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

impl From<Failure> for AddError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// All files, the settings first: they tell `restore` the domain.
fn add<W: Write>(
    run: &Run,
    home: &Home,
    found: &Found,
    tree: &mut TreeWriter<W>,
    change: &dyn Change,
) -> Result<(), AddError> {
    let bar = progress::bar(run, found.files.len(), "backing up", "files");
    add_file(home, home::SETTINGS, tree)?;
    for directory in &found.directories {
        let mtime = mtime(&home.path(directory));
        tree.directory(directory, parts::DIRECTORY, mtime)?;
    }
    for path in found.files.iter().filter(|path| *path != home::SETTINGS) {
        add_file(home, path, tree)?;
        bar.inc(1);
    }
    // Not read as a file: what SQLite has in mind is more than that, and closing the file would drop its locks.
    let image = change.image().map_err(Failure::from)?;
    tree.file(
        home::INVENTORY,
        pieces::PRIVATE,
        mtime(&home.path(home::INVENTORY)),
        image.len() as u64,
        &mut image.as_slice(),
    )?;
    bar.finish_and_clear();
    Ok(())
}

fn add_file<W: Write>(
    home: &Home,
    relative: &str,
    tree: &mut TreeWriter<W>,
) -> Result<(), AddError> {
    let path = home.path(relative);
    let failed = |error: std::io::Error| Failure::io("read", &path, &error);
    let mut file = File::open(&path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let Part { longest, public } = parts::part(relative).ok_or_else(|| {
        Failure::new(format!("`{relative}` is not a file of an authority")).hint("look at it")
    })?;
    if metadata.len() > longest {
        return Err(Failure::new(format!(
            "`{}` is larger than {longest} bytes",
            path.display()
        ))
        .hint("it cannot be what relayca put there")
        .into());
    }
    let mode = if public && metadata.mode() & 0o044 == 0o044 {
        pieces::PUBLIC
    } else {
        pieces::PRIVATE
    };
    Ok(tree.file(relative, mode, mtime(&path), metadata.len(), &mut file)?)
}

/// Seconds since 1970; for people who list the archive.
fn mtime(path: &Path) -> u64 {
    path.metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs())
}

fn write_failure(error: TreeError, file: &Path) -> Failure {
    match error {
        TreeError::Writing(error) => Failure::io("write", file, &error),
        other => other.into(),
    }
}

/// Opens what was written and compares every entry, where that needs nobody. Gives whether it was done.
fn prove(
    run: &Run,
    arguments: &Backup,
    new: &NewFile,
    opener: &Opener,
    manifest: &Manifest,
) -> Result<bool, Failure> {
    let with = match opener {
        Opener::Passphrase(passphrase) => OpenWith::Passphrase(passphrase),
        Opener::Recipients(_, Some(identities)) if identities.asks_nobody() => {
            OpenWith::Identities(identities)
        }
        Opener::Recipients(..) => return Ok(false),
    };
    let opened = match SealedReader::begin(new.reopen()?).and_then(|sealed| sealed.open(&with)) {
        // Another's backup, or an identity of relayca.toml that is not among the recipients any more.
        Err(OpenError::WrongKey)
            if run.global.identity.is_empty() || !arguments.recipient.is_empty() =>
        {
            return Ok(false);
        }
        Err(OpenError::WrongKey) => {
            return Err(Failure::new(
                "none of the identities given with -i opens the backup; it was not made",
            )
            .hint("give the identity of a recipient, or leave -i out"));
        }
        other => other?,
    };
    let again = relayca_bundle::read_tree(opened, |_, _| Ok::<(), Failure>(()))?;
    if again == *manifest {
        Ok(true)
    } else {
        Err(
            Failure::new("the backup did not open to what was sealed; it was not made")
                .hint("this must not happen: check the machine's disk and memory and report it"),
        )
    }
}

fn report(
    run: &Run,
    home: &Home,
    file: &Path,
    opener: &Opener,
    manifest: &Manifest,
    found: &Found,
    proven: bool,
) -> Result<(), Failure> {
    let printer = &run.printer;
    let files = manifest.files.len();
    if printer.json {
        let recipients: Vec<&str> = match opener {
            Opener::Recipients(recipients, _) => recipients.iter().map(Recipient::text).collect(),
            Opener::Passphrase(_) => Vec::new(),
        };
        printer.json(&json!({
            "domain": home.settings.domain.as_str(),
            "file": file,
            "files": files,
            "bytes": manifest.bytes(),
            "opened_by": if recipients.is_empty() { "passphrase" } else { "recipients" },
            "recipients": recipients,
            "proven": proven,
            "left_out": found.foreign,
        }))?;
    } else {
        printer.data(&crate::printer::printable(&format!("{}\n", file.display())))?;
    }
    let opens = match opener {
        Opener::Passphrase(_) => "the admin passphrase opens it".to_owned(),
        Opener::Recipients(recipients, _) => {
            let who = count(recipients.len(), "recipient", "recipients");
            let verb = if recipients.len() == 1 {
                "opens"
            } else {
                "open"
            };
            format!("{who} {verb} it")
        }
    };
    printer.note(&format!(
        "backed up the authority of {}, {files} files: {}; {opens}",
        home.settings.domain,
        file.display()
    ));
    if !found.foreign.is_empty() {
        let mut named: Vec<String> = found
            .foreign
            .iter()
            .take(NAMED)
            .map(|path| format!("`{path}`"))
            .collect();
        if found.foreign.len() > NAMED {
            named.push(format!("{} more", found.foreign.len() - NAMED));
        }
        printer.warning(&format!(
            "not in the backup, because relayca did not put it there: {}",
            named.join(", ")
        ));
    }
    if proven {
        printer.note("it was opened again, and every file compared");
    } else {
        printer
            .warning("nobody has opened it yet, because no identity at hand does without asking");
        printer.hint("`age -d -i IDENTITY FILE | tar -t` proves that you can");
    }
    printer.note(
        "next: take it to another place; `relayca restore FILE` lays it out again, or age and tar",
    );
    Ok(())
}
