//! Files on their way into an authority.
//!
//! In: files below the authority, and whether the inventory committed them. Out: all of them in place, or none. It refuses
//! to know what they are, and the inventory.
//!
//! They are written into the one directory `staged/ID`, so that one directory is made, flushed and removed however they
//! lie afterwards, and reach the disk; the inventory commits a transaction that names the ID; only then each is renamed
//! into place. After a stop at any moment [`settle`] looks at the inventory: a committed ID is put into place, another
//! one is removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use super::publishing::{GOES, WAS, give_spare_back, put_in_place, take_spare};
use super::staged_names::staged_name;
use super::unfinished::{GOING, go_on, keep, unfinished};
use super::{FLUSH_ALL_FROM, flush_file_system, make_directory, send, sync, write_exclusive};
use crate::failure::Failure;

/// Where an authority keeps what is not yet in place.
const STAGED: &str = "staged";
/// Files on their way into an authority.
#[derive(Debug)]
pub struct Staged {
    root: PathBuf,
    directory: PathBuf,
    id: String,
    written: Mutex<Written>,
    committed: bool,
    took_spare: bool,
}

/// What was written and has to be flushed: a few files one by one, of many only that there are.
#[derive(Debug)]
enum Written {
    Few(Vec<(PathBuf, File)>),
    Many,
}

impl Staged {
    /// Begins under `root`/staged/`id`. The caller holds the inventory's write lock.
    pub fn begin(root: &Path, id: String) -> Result<Self, Failure> {
        let parent = root.join(STAGED);
        let directory = parent.join(&id);
        unfinished(|paths| paths.push(directory.clone()));
        let mut staged = Self {
            root: root.to_owned(),
            directory,
            id,
            written: Mutex::new(Written::Few(Vec::new())),
            committed: false,
            took_spare: false,
        };
        staged.took_spare = take_spare(&parent, &staged.directory);
        if !staged.took_spare {
            make_directory(&parent)?;
            make_directory(&staged.directory)?;
        }
        Ok(staged)
    }

    /// The ID to be committed in the inventory.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes a file that will be at `relative` below the root. Several threads may call it at once.
    pub fn put(&self, relative: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        go_on()?;
        let path = self.directory.join(staged_name(relative)?);
        let file = write_exclusive(&path, content, mode)
            .map_err(|error| Failure::io("write", &path, &error))?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *written {
            Written::Few(files) if files.len() < FLUSH_ALL_FROM => files.push((path, file)),
            _ => *written = Written::Many,
        }
        Ok(())
    }

    /// Writes a file that takes the place of the one at `relative`, if that still holds `was`. Where a person
    /// edited it meanwhile, the new text goes beside it, to `relative` and [`super::UNMERGED`].
    pub fn replace(
        &self,
        relative: &str,
        content: &[u8],
        mode: u32,
        was: &[u8],
    ) -> Result<(), Failure> {
        self.put(&format!("{relative}{WAS}"), was, mode)?;
        self.put(relative, content, mode)
    }

    /// Takes away the file at `relative`, when the rest is put in place. One that is not there is fine.
    pub fn remove(&self, relative: &str) -> Result<(), Failure> {
        self.put(&format!("{relative}{GOES}"), b"", 0o600)
    }

    /// Does `work`, which may put more, while what was put is already on its way to the disk, if it is much. `work` is handed what
    /// it calls from time to time to have the next part sent.
    pub fn while_flushing<T>(
        &self,
        work: impl FnOnce(&mut dyn FnMut() -> Result<(), Failure>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        std::thread::scope(|scope| {
            let mut flushing: Option<ScopedJoinHandle<'_, Result<(), Failure>>> = None;
            let mut flush_more = || {
                if !self.is_much() || flushing.as_ref().is_some_and(|one| !one.is_finished()) {
                    return Ok(());
                }
                let before = flushing.replace(scope.spawn(|| flush_file_system(&self.directory)));
                before.map_or(Ok(()), joined)
            };
            flush_more()?;
            let done = work(&mut flush_more)?;
            flushing.map_or(Ok(()), joined).map(|()| done)
        })
    }

    fn is_much(&self) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(&*written, Written::Many)
    }

    /// Brings everything to the disk: after this the inventory may commit.
    pub fn flush(&self) -> Result<(), Failure> {
        match &*self.written.lock().unwrap_or_else(PoisonError::into_inner) {
            Written::Few(files) => {
                files.iter().for_each(|(_, file)| send(file));
                for (path, file) in files {
                    file.sync_all()
                        .map_err(|error| Failure::io("flush", path, &error))?;
                }
                sync(&self.directory)?;
                sync(&self.root.join(STAGED))
            }
            Written::Many => flush_file_system(&self.directory),
        }
    }

    /// From here on the files belong to the authority: an interrupt leaves them to [`settle`].
    pub fn commits(&mut self) -> Result<(), Failure> {
        keep(&self.directory)?;
        self.committed = true;
        Ok(())
    }

    /// The inventory did not commit after all: they are taken away again.
    pub fn did_not_commit(&mut self) {
        self.committed = false;
    }

    /// Renames every file into its place.
    pub fn publish(self) -> Result<(), Failure> {
        put_in_place(&self.root, &self.directory).map_err(|failure| {
            failure
                .within("the inventory has the change, but a file is not in its place yet")
                .hint("remove the cause and run any relayca command: it finishes the work")
        })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.committed {
            unfinished(|paths| paths.retain(|path| *path != self.directory));
            let keeps = self.took_spare && !self.is_much();
            if !(keeps && give_spare_back(&self.directory)) {
                let _ = fs::remove_dir_all(&self.directory);
            }
        }
    }
}

/// A failure to write is told once only, so each flush counts.
fn joined(flushing: ScopedJoinHandle<'_, Result<(), Failure>>) -> Result<(), Failure> {
    match flushing.join() {
        Ok(flushed) => flushed,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Finishes or takes back what earlier processes left under `staged`. `committed` asks the inventory.
/// The caller holds its write lock, so nobody is half way through.
pub fn settle(
    root: &Path,
    committed: impl Fn(&str) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    for directory in staged(root)? {
        let id = directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if committed(&id)? {
            put_in_place(root, &directory)?;
        } else {
            fs::remove_dir_all(&directory)
                .map_err(|error| Failure::io("remove", &directory, &error))?;
        }
    }
    Ok(())
}

/// What lies under `staged`: almost always nothing.
pub fn staged(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let parent = root.join(STAGED);
    match fs::read_dir(&parent) {
        Ok(entries) => entries
            // Only what `begin` makes: another file there is not ours to move or to remove.
            .filter(|entry| entry.as_ref().map_or(true, is_ours))
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::io("read", &parent, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::io("read", &parent, &error)),
    }
}

fn is_ours(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let plain = name
        .to_string_lossy()
        .trim_end_matches(GOING)
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric());
    plain && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::publishing::SPARE;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_is_to_go_stays_until_the_rest_is_published() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("old"), "old").unwrap();
        let staged = Staged::begin(root.path(), "a1".into()).unwrap();
        staged.put("new", b"new", 0o600).unwrap();
        staged.remove("old").unwrap();
        staged.remove("bundles/never-was").unwrap();
        assert!(root.path().join("old").exists());
        drop(staged);
        assert!(root.path().join("old").exists(), "given up, nothing goes");

        let staged = Staged::begin(root.path(), "a2".into()).unwrap();
        staged.put("new", b"new", 0o600).unwrap();
        staged.remove("old").unwrap();
        staged.flush().unwrap();
        staged.publish().unwrap();
        assert!(root.path().join("new").exists());
        assert!(!root.path().join("old").exists());
    }

    #[test]
    fn the_last_file_to_go_takes_its_directory_along_unless_it_is_one_of_ours() {
        let root = tempfile::tempdir().unwrap();
        for name in ["ca/0a/one", "ca/0a/two", "bundles/three"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let staged = Staged::begin(root.path(), "a1".into()).unwrap();
        staged.put("ca/one", b"ca/0a/one", 0o600).unwrap();
        for name in ["ca/0a/one", "ca/0a/two", "bundles/three"] {
            staged.remove(name).unwrap();
        }
        staged.flush().unwrap();
        staged.publish().unwrap();
        assert!(root.path().join("ca/one").exists());
        assert!(!root.path().join("ca/0a").exists());
        assert!(!root.path().join("bundles/three").exists());
        assert!(root.path().join("bundles").exists(), "made once for all");
    }

    #[test]
    fn the_directory_of_a_change_serves_the_next_one_unless_somebody_put_something_there() {
        let root = tempfile::tempdir().unwrap();
        let spare = root.path().join(STAGED).join(SPARE);
        let change = |id: &str| {
            let mut staged = Staged::begin(root.path(), id.into()).unwrap();
            let kept = !spare.exists();
            staged.put(&format!("bundles/{id}"), b"1", 0o600).unwrap();
            staged.flush().unwrap();
            staged.commits().unwrap();
            staged.publish().unwrap();
            assert!(root.path().join("bundles").join(id).exists());
            kept
        };
        assert!(change("a1"));
        let mode = fs::metadata(&spare).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(change("a2"), "the spare one was taken");
        assert!(spare.exists());
        let given_up = Staged::begin(root.path(), "a4".into()).unwrap();
        given_up.put("bundles/a4", b"1", 0o600).unwrap();
        drop(given_up);
        assert!(spare.exists() && super::staged(root.path()).unwrap().is_empty());
        assert!(fs::read_dir(&spare).unwrap().next().is_none());
        let much = Staged::begin(root.path(), "a5".into()).unwrap();
        for number in 0..=FLUSH_ALL_FROM {
            much.put(&format!("bundles/{number}"), b"1", 0o600).unwrap();
        }
        drop(much);
        assert!(
            !spare.exists(),
            "one that held many files stays slow to read"
        );
        assert!(change("a6"));
        fs::write(spare.join("bundles,foreign"), b"x").unwrap();
        assert!(!change("a3"), "not with something in it");
        assert!(!root.path().join("bundles/foreign").exists());
        assert!(spare.join("bundles,foreign").exists());
        assert!(super::staged(root.path()).unwrap().is_empty());
    }

    #[test]
    fn a_staged_file_appears_only_when_published() {
        let root = tempfile::tempdir().unwrap();
        let mut staged = Staged::begin(root.path(), "a1".into()).unwrap();
        staged.put("bundles/x", b"1", 0o600).unwrap();
        staged.flush().unwrap();
        assert!(!root.path().join("bundles/x").exists());
        staged.commits().unwrap();
        staged.publish().unwrap();
        let mode = fs::metadata(root.path().join("bundles/x"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(super::staged(root.path()).unwrap().is_empty());
    }

    #[test]
    fn what_was_not_committed_goes_and_what_was_is_finished() {
        let root = tempfile::tempdir().unwrap();
        for id in ["kept", "gone"] {
            let mut staged = Staged::begin(root.path(), id.into()).unwrap();
            staged.put(id, b"1", 0o600).unwrap();
            staged.commits().unwrap(); // as if killed here
            drop(staged);
        }
        settle(root.path(), |id| Ok(id == "kept")).unwrap();
        assert!(root.path().join("kept").exists());
        assert!(!root.path().join("gone").exists());
        assert!(super::staged(root.path()).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_a_person_edited_meanwhile_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("relayca.toml");
        for (edited, kept, beside) in [(false, "new", None), (true, "edited", Some("new"))] {
            fs::write(&path, "old").unwrap();
            let mut staged = Staged::begin(root.path(), format!("a{edited}")).unwrap();
            staged
                .replace("relayca.toml", b"new", 0o600, b"old")
                .unwrap();
            if edited {
                fs::write(&path, "edited").unwrap();
            }
            staged.commits().unwrap();
            staged.publish().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), kept);
            let unmerged = fs::read_to_string(root.path().join("relayca.toml.unmerged")).ok();
            assert_eq!(unmerged.as_deref(), beside);
            assert!(super::staged(root.path()).unwrap().is_empty());
        }
    }

    #[test]
    fn foreign_files_under_staged_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(STAGED)).unwrap();
        fs::write(root.path().join("staged/.DS_Store"), "x").unwrap();
        fs::write(root.path().join("staged/file"), "x").unwrap();
        settle(root.path(), |_| Ok(false)).unwrap();
        assert!(root.path().join("staged/.DS_Store").exists());
    }

    #[test]
    fn many_files_reach_their_places_too() {
        let root = tempfile::tempdir().unwrap();
        let mut staged = Staged::begin(root.path(), "a1".into()).unwrap();
        for number in 0..3 * FLUSH_ALL_FROM {
            staged
                .put(&format!("bundles/{number}"), b"1", 0o600)
                .unwrap();
        }
        staged.put("relayca.toml", b"2", 0o600).unwrap();
        staged.flush().unwrap();
        staged.commits().unwrap();
        staged.publish().unwrap();
        let bundles = fs::read_dir(root.path().join("bundles")).unwrap();
        assert_eq!(bundles.count(), 3 * FLUSH_ALL_FROM);
        assert_eq!(fs::read(root.path().join("relayca.toml")).unwrap(), b"2");
    }

    #[test]
    fn what_is_put_while_flushing_counts_as_much_and_so_does_a_failure() {
        for files in [1, 3 * FLUSH_ALL_FROM] {
            let root = tempfile::tempdir().unwrap();
            let mut staged = Staged::begin(root.path(), "a1".into()).unwrap();
            for number in 0..files {
                staged
                    .put(&format!("bundles/{number}"), b"1", 0o600)
                    .unwrap();
            }
            let late = staged.while_flushing(|flush_more| {
                staged.put("bundles/late", b"2", 0o600)?;
                for _ in 0..100 {
                    flush_more()?;
                }
                Ok("done")
            });
            assert_eq!(late.unwrap(), "done");
            let failed = staged.while_flushing(|_| staged.put("../x", b"", 0o600));
            assert!(failed.is_err());
            staged.flush().unwrap();
            staged.commits().unwrap();
            staged.publish().unwrap();
            let bundles = fs::read_dir(root.path().join("bundles")).unwrap();
            assert_eq!(bundles.count(), files + 1);
        }
    }

    #[test]
    fn what_would_lead_out_stays_where_it_is() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("staged/a1");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(",..,x"), b"1").unwrap();
        assert!(settle(root.path(), |_| Ok(true)).is_err());
        assert!(directory.join(",..,x").exists());
    }

    #[test]
    fn paths_that_lead_out_or_would_not_come_back_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let staged = Staged::begin(root.path(), "a1".into()).unwrap();
        for bad in [
            "../x",
            "/x",
            "a/../../x",
            "a,b",
            "bundles/a,b",
            "a//b",
            "a/",
            "",
            "./a",
            "a\0",
        ] {
            assert!(staged.put(bad, b"", 0o600).is_err(), "{bad}");
        }
    }
}
