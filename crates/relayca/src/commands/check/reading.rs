//! Reading an authority for `check`, and nothing but reading.
//!
//! In: its directory. Out: [`Facts`]. What another user may not read is counted and passed over; what others change meanwhile is
//! read again, so that the files and the inventory are of one moment. It refuses to judge.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;
use relayca_ca::Serial;
use relayca_fingerprint::FingerprintMap;
use relayca_inventory::{Filter, InventoryError, Phase, Records, SqliteInventory, State};
use time::OffsetDateTime;
use walkdir::WalkDir;

use crate::authorities::{Authorities, Standing};
use crate::checking::bundles::{Header, Sealed};
use crate::checking::chains::{CaFault, CaFiles};
use crate::checking::files::{FileFact, Kind, Place, secret_in};
use crate::checking::known::FROM_BACKUP;
use crate::checking::maps::{Holds, MAP, SENDERS, Written};
use crate::checking::{Finding, Known, Look};
use crate::disk;
use crate::failure::Failure;
use crate::home::{CA, CERTIFICATE, Home, INVENTORY, KEY, PASSPHRASE};
use crate::issuing::LONGEST_BUNDLE;
use crate::pieces;
use crate::public_bundles;

/// Bytes looked at of a file that is not ours: a key is far shorter.
const LONGEST_UNKNOWN: usize = 1 << 20;
/// Files that are not ours, looked into: somebody may keep a whole repository there.
const MOST_UNKNOWN: usize = 1000;
/// Events among which the newest is looked for: a clock that was set back may have entered the last ones.
const LATEST: usize = 64;
/// Events read to find when a rollover was activated.
const EVENTS: usize = 1_000_000;
/// How often it is read again while others change it.
const TRIES: u32 = 5;
/// How long a change may take from its commit to its last file in place.
const PAUSE: Duration = Duration::from_millis(200);

/// All that was read.
#[derive(Debug, Default)]
pub struct Facts {
    /// The inventory.
    pub known: Known,
    /// The map as it should be.
    pub map: Option<FingerprintMap>,
    /// What could not be read, and should be.
    pub faults: Vec<Finding>,
    /// Serials of the CAs.
    pub cas: BTreeSet<String>,
    /// The files of each CA, in the order of `known.authorities`.
    pub ca_files: Vec<CaFiles>,
    /// All names below the authority.
    pub files: Vec<FileFact>,
    /// Staged changes that the inventory has.
    pub committed: BTreeSet<String>,
    /// The headers of all sealed files.
    pub sealed: Vec<Sealed>,
    /// What was last written for each relay.
    pub written: Vec<Written>,
    /// How many files are others' to read.
    pub not_for_us: usize,
}

/// Reads everything, again where somebody changed it meanwhile.
pub fn read(home: &Home, look: &Look) -> Result<Facts, Failure> {
    let mut tries = 0;
    loop {
        let before = mark(home);
        let facts = read_once(home, look)?;
        tries += 1;
        if tries == TRIES || (before == mark(home) && before.is_none_or(|mark| !mark.at_work)) {
            return Ok(facts);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What differs when somebody changed the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    last_event: Option<i64>,
    /// A change is committed, and its files are being put in place.
    at_work: bool,
}

fn mark(home: &Home) -> Option<Mark> {
    let inventory = home.inventory_read_only().ok()?;
    let now = std::time::SystemTime::now();
    // Files come and go there while somebody is at it.
    let fresh = std::fs::metadata(home.path("staged"))
        .and_then(|found| found.modified())
        .is_ok_and(|modified| {
            now.duration_since(modified)
                .is_ok_and(|age| age < PAUSE * TRIES)
        });
    let staged = disk::staged(&home.root).ok()?;
    let at_work = fresh
        && staged
            .iter()
            .any(|id| inventory.published(id).unwrap_or(false));
    Some(Mark {
        last_event: inventory.events(1).ok()?.first().map(|event| event.id),
        at_work,
    })
}

fn read_once(home: &Home, look: &Look) -> Result<Facts, Failure> {
    let mut facts = Facts::default();
    match relayca_inventory::open_read_only(&home.path(INVENTORY)) {
        Ok(inventory) => read_inventory(home, &inventory, look, &mut facts)?,
        // That it is not there is told with the files.
        Err(InventoryError::Missing { .. }) => {}
        Err(error) => facts.faults.push(damaged(error)?),
    }
    if let Some(authorities) = &facts.known.authorities {
        let serial = |one: &Standing| one.certificate.serial().to_string();
        facts.cas = authorities.all().iter().map(serial).collect();
        facts.ca_files = authorities
            .all()
            .iter()
            .map(|standing| ca_files(home, standing))
            .collect();
    } else {
        facts.cas = serials_in_ca(home);
    }
    read_files(home, &mut facts)?;
    facts.written = written(home, &facts.known);
    let hidden = |holds: &Holds| matches!(holds, Holds::NotForUs);
    facts.not_for_us += facts
        .written
        .iter()
        .filter(|one| hidden(&one.holds))
        .count();
    facts.not_for_us += facts
        .sealed
        .iter()
        .filter(|file| file.header == Header::NotForUs)
        .count();
    Ok(facts)
}

/// The directories of CAs by their names alone: without the inventory nobody knows which of them is one that was given up, and
/// any may be the outgoing or the prepared one.
fn serials_in_ca(home: &Home) -> BTreeSet<String> {
    let entries = std::fs::read_dir(home.path(CA));
    let names = entries.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let serial = name.parse::<Serial>();
            serial.is_ok_and(|serial| serial.to_string() == *name)
        })
        .collect()
}

/// A finding of an inventory that is broken; every other trouble keeps us from looking.
fn damaged(error: InventoryError) -> Result<Finding, Failure> {
    match error {
        InventoryError::Corrupt { .. }
        | InventoryError::NotAnInventory { .. }
        | InventoryError::Unfinished { .. } => Ok(Finding::critical(
            "inventory-damaged",
            INVENTORY,
            error.to_string(),
            FROM_BACKUP,
        )),
        other => Err(other.into()),
    }
}

fn read_inventory(
    home: &Home,
    inventory: &SqliteInventory,
    look: &Look,
    facts: &mut Facts,
) -> Result<(), Failure> {
    let whole = inventory.damage().and_then(|damage| {
        if let Some(first) = damage.first() {
            facts.faults.push(Finding::critical(
                "inventory-damaged",
                INVENTORY,
                format!("SQLite finds it damaged: {first}"),
                FROM_BACKUP,
            ));
        }
        ask(inventory)
    });
    match whole {
        Ok(known) => facts.known = known,
        Err(error) => {
            facts.faults.push(damaged(error)?);
            return Ok(());
        }
    }
    facts.known.domain = home.settings.domain.to_string();
    match Authorities::of(inventory) {
        Ok(authorities) => facts.known.authorities = Some(authorities),
        Err(failure) => {
            facts.faults.push(Finding::critical(
                "inventory-damaged",
                INVENTORY,
                failure.message,
                FROM_BACKUP,
            ));
            return Ok(());
        }
    }
    read_of_cas(inventory, &mut facts.known)?;
    match pieces::map_now(&home.settings, inventory, look.now) {
        Ok(map) => facts.map = Some(map),
        Err(failure) => facts.faults.push(Finding::critical(
            "map-impossible",
            INVENTORY,
            format!("no map can be made: {}", failure.message),
            failure.hint.unwrap_or_default(),
        )),
    }
    for id in disk::staged(&home.root).unwrap_or_default() {
        if inventory.published(&id)? {
            facts.committed.insert(id);
        }
    }
    Ok(())
}

fn ask(inventory: &SqliteInventory) -> Result<Known, InventoryError> {
    let all = inventory.certificates(&Filter::default())?;
    let held = Known::hold(public_bundles::in_order(inventory, all)?);
    let events = inventory.events(LATEST)?.into_iter();
    let issued = held.iter().map(|held| {
        let record = &held.record;
        (
            record.issued_at.clone(),
            format!("issue of {}", record.host),
        )
    });
    Ok(Known {
        last_entry: events
            .map(|event| (event.at, event.what))
            .chain(issued)
            .max_by(|one, other| one.0.cmp(&other.0)),
        held,
        retirements: Known::plans(inventory.retirements()?),
        revocations: inventory.revocations()?,
        ..Known::default()
    })
}

/// The lists of each CA, and since when the active one is active.
fn read_of_cas(inventory: &SqliteInventory, known: &mut Known) -> Result<(), Failure> {
    let Some(authorities) = &known.authorities else {
        return Ok(());
    };
    for one in authorities.all() {
        known
            .crls
            .extend(inventory.newest_crl(&one.certificate.serial().to_string())?);
    }
    let active = authorities.in_phase(Phase::Active);
    if let (Some(active), Some(_)) = (active, authorities.in_phase(Phase::Outgoing)) {
        let serial = active.certificate.serial().to_string();
        let activated = inventory
            .events(EVENTS)?
            .into_iter()
            .find(|event| event.what.contains("activate") && event.serial.as_ref() == Some(&serial))
            .map(|event| event.at);
        // Without such an event it was active since it was made, at the earliest.
        known.activated = activated.or_else(|| {
            let made = known.held.iter().find(|held| held.record.serial == serial);
            made.map(|held| held.record.issued_at.clone())
        });
    }
    Ok(())
}

fn ca_files(home: &Home, standing: &Standing) -> CaFiles {
    let directory = standing.directory();
    let path = |name: &str| home.path(&format!("{directory}/{name}"));
    let certificate = match std::fs::File::open(path(CERTIFICATE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(CaFault::Missing),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(CaFault::NotForUs),
        _ => home
            .certificate_in(&directory)
            .map_err(|failure| CaFault::Unreadable(failure.message)),
    };
    // Where one may not look, it counts as there.
    let there = |name: &str| path(name).try_exists().unwrap_or(true);
    CaFiles {
        certificate,
        key: there(KEY),
        passphrase: there(PASSPHRASE),
        directory,
    }
}

fn read_files(home: &Home, facts: &mut Facts) -> Result<(), Failure> {
    // The authority's directory may itself be reached by a link; below it there are to be none.
    let root = home
        .root
        .canonicalize()
        .map_err(|error| Failure::io("read", &home.root, &error))?;
    let mut unknown = 0;
    for entry in WalkDir::new(&root) {
        let found = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
        let (metadata, entry) = match found {
            Ok(found) => found,
            Err(error) => {
                let kind = error.io_error().map(std::io::Error::kind);
                // What goes while we look is another command's.
                if kind != Some(ErrorKind::NotFound) {
                    facts.not_for_us += 1;
                }
                continue;
            }
        };
        let path = entry.path().strip_prefix(&root).unwrap_or(entry.path());
        let path = path.to_string_lossy().into_owned();
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File
        } else if metadata.is_symlink() {
            Kind::Link
        } else {
            Kind::Other
        };
        let mut holds = None;
        if kind == Kind::File && Place::of(&path, &facts.cas) == Place::Unknown {
            unknown += 1;
            if unknown <= MOST_UNKNOWN {
                let content = disk::read(entry.path(), LONGEST_UNKNOWN);
                holds = content.ok().and_then(|content| secret_in(&content));
            }
        } else if path == crate::home::CA_KEY || path.ends_with(&format!("/{KEY}")) {
            let content = disk::read(entry.path(), LONGEST_UNKNOWN);
            holds = content.ok().and_then(|content| secret_in(&content));
        }
        facts.files.push(FileFact {
            path,
            kind,
            mode: metadata.permissions().mode() & 0o7777,
            owner: metadata.uid(),
            modified: metadata
                .modified()
                .map_or(OffsetDateTime::UNIX_EPOCH, OffsetDateTime::from),
            holds,
        });
    }
    facts.files.sort_by(|one, other| one.path.cmp(&other.path));
    facts.sealed = facts
        .files
        .par_iter()
        .filter(|file| file.kind == Kind::File && file.path.ends_with(".age"))
        .filter(|file| Place::of(&file.path, &facts.cas) == Place::Secret)
        .filter_map(|file| {
            Some(Sealed {
                path: file.path.clone(),
                header: header(&root.join(&file.path))?,
            })
        })
        .collect();
    Ok(())
}

/// The header of a sealed file; `None` for one that is gone meanwhile.
fn header(path: &Path) -> Option<Header> {
    let failure = match disk::read(path, LONGEST_BUNDLE) {
        Ok(content) => return Some(Header::read(&content)),
        Err(failure) => failure,
    };
    match std::fs::File::open(path).map_err(|error| error.kind()) {
        Err(ErrorKind::NotFound) => None,
        Err(ErrorKind::PermissionDenied) => Some(Header::NotForUs),
        _ => Some(Header::Broken(failure.message)),
    }
}

/// What was last written for each relay that has a certificate.
fn written(home: &Home, known: &Known) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    for relay in &home.settings.relays {
        let live = known.held.iter().any(|held| {
            held.record.host == relay.name.as_str() && held.record.state == State::Live
        });
        if !live || all.iter().any(|one| one.relay == relay.name.as_str()) {
            continue;
        }
        let file = Home::public_bundle(&relay.name);
        let path = home.path(&file);
        let holds = match std::fs::File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Holds::Missing,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Holds::NotForUs,
            _ => unpacked(
                &path,
                crate::mail_servers::list_name(&home.settings, &relay.name),
            ),
        };
        all.push(Written {
            relay: relay.name.to_string(),
            file,
            holds,
        });
    }
    all
}

fn unpacked(path: &Path, list: &str) -> Holds {
    let read =
        disk::read(path, LONGEST_BUNDLE).and_then(|archive| Ok(relayca_bundle::unpack(&archive)?));
    let entries = match read {
        Ok(entries) => entries,
        Err(failure) => return Holds::Unreadable(failure.message),
    };
    let text = |name: &str| {
        let entry = entries.iter().find(|entry| entry.name == name)?;
        Some(String::from_utf8_lossy(&entry.content).into_owned())
    };
    if list != MAP {
        return match text(list) {
            Some(text) => Holds::List(text),
            None => Holds::Unreadable(format!("there is no `{list}` in it")),
        };
    }
    match text(MAP) {
        Some(map) => Holds::Map(map, text(SENDERS)),
        None => Holds::Unreadable(format!("there is no `{MAP}` in it")),
    }
}
