//! From `staged/ID` to their places.
//!
//! In: the directory of a change that the inventory has. Out: each file in its place, or taken away; the directory as the spare one
//! for the next change. It may be stopped and done again, also by another process. It refuses to know the inventory.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::staged_names::place_of;
use super::{FLUSH_ALL_FROM, make_directory, sync};
use crate::failure::Failure;

/// An empty directory of an earlier change, kept below `staged` for the next one: a new name costs a file system far less than a
/// new directory.
pub(super) const SPARE: &str = ".spare";
/// Ends the name of a copy of what is to be replaced.
pub(super) const WAS: &str = "~was";
/// Ends the name of a note that says which file is to go.
pub(super) const GOES: &str = "~goes";
/// Ends the name of a file that could not take its place, because the one there was edited meanwhile.
pub const UNMERGED: &str = ".unmerged";

/// Makes the spare directory the one at `directory`. Only an empty one: what somebody put there is not to be published.
pub(super) fn take_spare(parent: &Path, directory: &Path) -> bool {
    let spare = parent.join(SPARE);
    let is_empty = fs::read_dir(&spare).is_ok_and(|mut entries| entries.next().is_none());
    is_empty && fs::rename(&spare, directory).is_ok()
}

/// Empties it and makes it the spare one again, so that a change which was given up leaves all as it was.
pub(super) fn give_spare_back(directory: &Path) -> bool {
    let emptied = fs::read_dir(directory).and_then(|mut entries| {
        entries.try_for_each(|entry| entry.and_then(|entry| fs::remove_file(entry.path())))
    });
    emptied.is_ok() && fs::rename(directory, directory.with_file_name(SPARE)).is_ok()
}

/// Moves what is in `directory` to its places below `root`. What is already moved, by us before a stop or by another
/// process, is done.
pub(super) fn put_in_place(root: &Path, directory: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other,
    };
    let mut names = entries
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|error| Failure::io("read", directory, &error))?;
    names.sort_unstable();
    let mut touched = BTreeSet::new();
    for name in &names {
        let from = directory.join(name);
        // A name that `put` does not give could lead out.
        let Some(relative) = name.to_str().and_then(place_of) else {
            return Err(Failure::new(format!("`{}` is not ours", from.display()))
                .hint("take it away: relayca put nothing of that name there"));
        };
        if relative.ends_with(WAS) {
            continue;
        }
        if let Some(going) = relative.strip_suffix(GOES) {
            remove(root, going, &from, &mut touched)?;
            continue;
        }
        let mut target = root.join(&relative);
        let mut was = name.clone();
        was.push(WAS);
        // Looked up among the names: asking the disk would ask once a file.
        if names.binary_search(&was).is_ok() && edited(&directory.join(was), &target) {
            target = root.join(format!("{relative}{UNMERGED}"));
        }
        let parent = target.parent().unwrap_or(root);
        if !touched.contains(parent) {
            if parent != root && make_directory(parent)? {
                touched.insert(root.to_owned());
            }
            touched.insert(parent.to_owned());
        }
        match fs::rename(&from, &target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::io("put in place", &target, &error));
            }
            _ => {}
        }
    }
    for directory in &touched {
        sync_what_is_left(directory)?;
    }
    let all_moved = !names.iter().any(|name| {
        let name = name.to_string_lossy();
        name.ends_with(WAS) || name.ends_with(GOES)
    });
    // One that held many files stays large, and slow to read.
    if all_moved
        && names.len() < FLUSH_ALL_FROM
        && fs::rename(directory, directory.with_file_name(SPARE)).is_ok()
    {
        return Ok(());
    }
    // What is left in it are the copies of what was replaced.
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("remove", directory, &error))
        }
        _ => Ok(()),
    }
}

/// Brings a directory to the disk; that it went, with its last file and by another process, is its parent's to tell.
fn sync_what_is_left(directory: &Path) -> Result<(), Failure> {
    match (sync(directory), directory.parent()) {
        (Err(_), Some(parent)) if matches!(directory.try_exists(), Ok(false)) => sync(parent),
        (synced, _) => synced,
    }
}

/// Takes a file away by moving it over the note that says so: where another process finished this, and the note is gone,
/// nothing more is taken away, as a later change may have put a new file there. A directory further down goes with its last file.
fn remove(
    root: &Path,
    relative: &str,
    note: &Path,
    touched: &mut BTreeSet<PathBuf>,
) -> Result<(), Failure> {
    let target = root.join(relative);
    match fs::rename(&target, note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::io("remove", &target, &error)),
        Ok(()) => {}
    }
    let Some(parent) = target.parent() else {
        return Ok(());
    };
    let own_directory = relative.split('/').count() > 2;
    if own_directory && fs::remove_dir(parent).is_ok() {
        touched.remove(parent);
        touched.extend(parent.parent().map(Path::to_owned));
    } else {
        touched.insert(parent.to_owned());
    }
    Ok(())
}

/// Whether the file at `target` is another than the one that was to be replaced.
fn edited(was: &Path, target: &Path) -> bool {
    match (fs::read(was), fs::read(target)) {
        (Ok(was), Ok(now)) => was != now,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_another_process_took_away_is_no_failure() {
        let root = tempfile::tempdir().unwrap();
        sync_what_is_left(&root.path().join("gone")).unwrap();
        sync_what_is_left(root.path()).unwrap();
        assert!(sync_what_is_left(&root.path().join("gone/further")).is_err());
    }

    #[test]
    fn what_another_process_took_away_is_not_taken_away_again() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("old"), "put there by a later change").unwrap();
        // The other process finished and removed the directory with the note.
        let note = root.path().join("staged/a1").join(",old~goes");
        remove(root.path(), "old", &note, &mut BTreeSet::new()).unwrap();
        assert!(root.path().join("old").exists());
    }
}
