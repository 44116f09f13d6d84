//! From `staged` to their places.
//!
//! In: the files of a change that the inventory has. Out: each file in its place, or taken away. It may be stopped and done
//! again, also by another process. It refuses to know the inventory.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::staged_names::place_of;
use super::waiting::Change;
use super::{make_directory, sync};
use crate::failure::Failure;

/// Ends the name of a copy of what is to be replaced.
pub(super) const WAS: &str = "~was";
/// Ends the name of a note that says which file is to go.
pub(super) const GOES: &str = "~goes";
/// Ends the name of a file that could not take its place, because the one there was edited meanwhile.
pub const UNMERGED: &str = ".unmerged";

/// Moves what waits to its places below `root`. What is already moved, by us before a stop or by another process, is done.
pub(super) fn put_in_place(root: &Path, change: &Change) -> Result<(), Failure> {
    let mut touched = BTreeSet::new();
    for (name, from) in &change.files {
        // A name that `put` does not give could lead out.
        let Some(relative) = place_of(name) else {
            return Err(Failure::new(format!("`{}` is not ours", from.display()))
                .hint("take it away: relayca put nothing of that name there"));
        };
        if relative.ends_with(WAS) {
            continue;
        }
        if let Some(going) = relative.strip_suffix(GOES) {
            remove(root, going, from, &mut touched)?;
            continue;
        }
        let mut target = root.join(&relative);
        // Looked up among the names: asking the disk would ask once a file.
        let was = change.files.get(&format!("{name}{WAS}"));
        if was.is_some_and(|was| edited(was, &target)) {
            target = root.join(format!("{relative}{UNMERGED}"));
        }
        let parent = target.parent().unwrap_or(root);
        if !touched.contains(parent) {
            if parent != root && make_directory(parent)? {
                touched.extend(parent.parent().map(Path::to_owned));
            }
            touched.insert(parent.to_owned());
        }
        match fs::rename(from, &target) {
            // Moved already; what still waits could not go where it belongs: a link that leads nowhere, say.
            Err(error)
                if is_gone(&error) && from.symlink_metadata().is_err_and(|e| is_gone(&e)) => {}
            Err(error) => return Err(Failure::io("put in place", &target, &error)),
            Ok(()) => {}
        }
    }
    for directory in &touched {
        sync_what_is_left(directory)?;
    }
    // What is left are the copies of what was replaced, and what was taken away. One by one: nothing that waits goes unseen.
    for (name, path) in &change.files {
        if name.ends_with(WAS) || name.ends_with(GOES) {
            removed(path, fs::remove_file(path))?;
        }
    }
    match &change.directory {
        Some(directory) => removed(directory, fs::remove_dir(directory)),
        None => Ok(()),
    }
}

/// Takes away all files of a change.
pub(super) fn remove_files(change: &Change) -> Result<(), Failure> {
    let directory = change.directory.as_deref();
    for path in change.files.values() {
        if !directory.is_some_and(|directory| path.starts_with(directory)) {
            removed(path, fs::remove_file(path))?;
        }
    }
    match directory {
        Some(directory) => removed(directory, fs::remove_dir_all(directory)),
        None => Ok(()),
    }
}

/// That it is gone already is fine.
fn removed(path: &Path, done: io::Result<()>) -> Result<(), Failure> {
    match done {
        Err(error) if !is_gone(&error) => Err(Failure::io("remove", path, &error)),
        _ => Ok(()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Whether it lies in a directory that is a link to what is not there now.
fn leads_nowhere(target: &Path) -> bool {
    target.parent().is_some_and(|parent| {
        parent.is_symlink() && fs::metadata(parent).is_err_and(|error| is_gone(&error))
    })
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
        Err(error) if is_gone(&error) && !leads_nowhere(&target) => return Ok(()),
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
    fn what_cannot_go_where_a_link_leads_nowhere_waits_and_is_not_lost() {
        use super::super::Staged;
        let id = "0123456789abcdef0123456789abcdef";
        let root = tempfile::tempdir().unwrap();
        let vault = root.path().join("vault");
        fs::create_dir(&vault).unwrap();
        std::os::unix::fs::symlink(&vault, root.path().join("bundles")).unwrap();
        fs::write(vault.join("old"), "old").unwrap();
        fs::rename(&vault, root.path().join("away")).unwrap();
        let mut staged = Staged::begin(root.path(), id.to_owned()).unwrap();
        for number in 0..40 {
            staged
                .put(&format!("bundles/{number}"), b"1", 0o600)
                .unwrap();
        }
        staged.remove("bundles/old").unwrap();
        staged.flush().unwrap();
        staged.commits().unwrap();
        assert!(staged.publish().is_err());
        let settle = || super::super::settle(root.path(), |_| Ok(true));
        assert!(settle().is_err());
        fs::rename(root.path().join("away"), &vault).unwrap();
        settle().unwrap();
        assert_eq!(fs::read_dir(&vault).unwrap().count(), 40);
        assert!(super::super::staged(root.path()).unwrap().is_empty());
        // Likewise what is only to be taken away.
        let mut staged = Staged::begin(root.path(), id.to_owned()).unwrap();
        staged.remove("bundles/1").unwrap();
        staged.flush().unwrap();
        staged.commits().unwrap();
        fs::rename(&vault, root.path().join("away")).unwrap();
        assert!(staged.publish().is_err());
        fs::rename(root.path().join("away"), &vault).unwrap();
        settle().unwrap();
        assert!(!vault.join("1").exists());
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
