//! What waits in `staged`: a change that is being made, or one that was cut off.
//!
//! In: the directory, and whether the inventory committed a change. Out: the files of each change; with [`settle`] they are in place,
//! or gone. It refuses to know who put them there, and the inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::publishing::{put_in_place, remove_files};
use super::staged_names::id_of;
use crate::failure::Failure;

/// Where an authority keeps what is not yet in place.
pub(super) const STAGED: &str = "staged";

/// What waits under one ID.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Its files, by the name that `staged_name` gives them.
    pub(super) files: BTreeMap<String, PathBuf>,
    /// `staged/ID`, where it is there.
    pub(super) directory: Option<PathBuf>,
}

impl Change {
    /// Looks for what is left of it; nothing is, where another process finished it.
    pub(super) fn found(root: &Path, id: &str) -> Result<Self, Failure> {
        Ok(changes(root)?.remove(id).unwrap_or_default())
    }
}

/// Finishes or takes back what earlier processes left under `staged`. `committed` asks the inventory.
/// The caller holds its write lock, so nobody is half way through.
pub fn settle(
    root: &Path,
    committed: impl Fn(&str) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    for (id, change) in changes(root)? {
        if committed(&id)? {
            put_in_place(root, &change)?;
        } else {
            remove_files(&change)?;
        }
    }
    Ok(())
}

/// The IDs of what lies under `staged`: almost always none.
pub fn staged(root: &Path) -> Result<BTreeSet<String>, Failure> {
    Ok(entries(root)?.into_iter().map(|(id, _, _)| id).collect())
}

fn changes(root: &Path) -> Result<BTreeMap<String, Change>, Failure> {
    let mut all: BTreeMap<String, Change> = BTreeMap::new();
    for (id, file, path) in entries(root)? {
        let change = all.entry(id).or_default();
        match file {
            Some(file) => {
                change.files.insert(file, path);
            }
            None => {
                change.files.extend(files_in(&path)?);
                change.directory = Some(path);
            }
        }
    }
    Ok(all)
}

/// What lies in `staged`: the ID that it is of, the name of a file, and where that is; no name for the directory of a change.
/// Only what `put` makes: another file there is not ours to move or to remove.
fn entries(root: &Path) -> Result<Vec<(String, Option<String>, PathBuf)>, Failure> {
    let parent = root.join(STAGED);
    let failed = |error: io::Error| Failure::io("read", &parent, &error);
    let entries = match fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let Some((id, file)) = name.to_str().and_then(|name| id_of(name, is_directory)) {
            all.push((id.to_owned(), file.map(str::to_owned), entry.path()));
        }
    }
    Ok(all)
}

/// What lies in `staged/ID`; nothing where another process took it away. A name that is no text has no place: it is given as
/// an empty one, which nothing takes.
fn files_in(directory: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other,
    };
    entries
        .and_then(|entries| {
            entries
                .map(|entry| {
                    let entry = entry?;
                    let name = entry.file_name().into_string().unwrap_or_default();
                    Ok((name, entry.path()))
                })
                .collect()
        })
        .map_err(|error| Failure::io("read", directory, &error))
}
