//! Files on their way into an authority.
//!
//! In: files below the authority, and whether the inventory committed them. Out: all of them in place, or none. It refuses
//! to know what they are, and the inventory.
//!
//! They are written into the one directory `staged`, under names that begin with the change's ID, so that one directory is
//! flushed however they lie afterwards; many of them, and those with the longest names, into `staged/ID`. They reach the disk;
//! the inventory commits a transaction that names the ID; only then each is renamed into place. After a stop at any moment
//! [`super::settle`] looks at the inventory: a committed ID is put into place, another one is removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ScopedJoinHandle;

use super::publishing::{GOES, WAS, put_in_place};
use super::staged_names::{flat_name, staged_name};
use super::unfinished::{ended, go_on, keep_all, unfinished};
use super::waiting::{Change, STAGED};
use super::{
    FLUSH_ALL_FROM, flush_file_system, make_directory, new_file_of_ours, send, sync,
    write_exclusive,
};
use crate::failure::Failure;

/// Files on their way into an authority.
#[derive(Debug)]
pub struct Staged {
    root: PathBuf,
    id: String,
    written: Mutex<Written>,
    committed: bool,
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    /// Files in `staged`, or about to be.
    flat: Vec<PathBuf>,
    /// Others are in `staged/ID`.
    apart: bool,
    /// What is to be flushed, one by one.
    open: Vec<(PathBuf, File)>,
    /// There is more than that.
    much: bool,
}

impl Staged {
    /// Begins a change under this ID. The caller holds the inventory's write lock.
    pub fn begin(root: &Path, id: String) -> Result<Self, Failure> {
        if make_directory(&root.join(STAGED))? {
            sync(root)?;
        }
        Ok(Self {
            root: root.to_owned(),
            id,
            written: Mutex::default(),
            committed: false,
        })
    }

    /// The ID to be committed in the inventory.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes a file that will be at `relative` below the root. Several threads may call it at once.
    pub fn put(&self, relative: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        go_on()?;
        let name = staged_name(relative)?;
        let (path, flat) = self.place_for(&name)?;
        let failed = |error: io::Error| Failure::io("write", &path, &error);
        let file = if flat {
            let mut file = new_file_of_ours(&path, mode)?;
            io::Write::write_all(&mut file, content).map_err(failed)?;
            file
        } else {
            write_exclusive(&path, content, mode).map_err(failed)?
        };
        let mut written = self.written();
        if written.open.len() < FLUSH_ALL_FROM && !written.much {
            written.open.push((path, file));
        } else {
            written.much = true;
        }
        Ok(())
    }

    /// Where a file of this name waits, and whether that is in `staged` itself. A note that a file is to go waits apart, in a
    /// directory that goes with the change: who still looks at the change then finds no room for what it would take away.
    fn place_for(&self, name: &str) -> Result<(PathBuf, bool), Failure> {
        let mut written = self.written();
        if written.flat.len() < FLUSH_ALL_FROM
            && !name.ends_with(GOES)
            && let Some(flat) = flat_name(&self.id, name)
        {
            let path = self.parent().join(flat);
            written.flat.push(path.clone());
            return Ok((path, true));
        }
        let directory = self.directory();
        if !written.apart {
            // In one step, as with a file: after an interrupt nothing is made any more.
            unfinished(|paths| {
                if ended() {
                    let error = io::ErrorKind::Interrupted.into();
                    return Err(Failure::io("make", &directory, &error));
                }
                make_directory(&directory)?;
                paths.push(directory.clone());
                Ok(())
            })?;
            written.apart = true;
        }
        Ok((directory.join(name), false))
    }

    fn parent(&self) -> PathBuf {
        self.root.join(STAGED)
    }

    fn directory(&self) -> PathBuf {
        self.parent().join(&self.id)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
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
                let before = flushing.replace(scope.spawn(|| flush_file_system(&self.root)));
                before.map_or(Ok(()), joined)
            };
            flush_more()?;
            let done = work(&mut flush_more)?;
            flushing.map_or(Ok(()), joined).map(|()| done)
        })
    }

    fn is_much(&self) -> bool {
        self.written().much
    }

    /// Brings everything to the disk: after this the inventory may commit.
    pub fn flush(&self) -> Result<(), Failure> {
        if self.is_much() {
            return flush_file_system(&self.root);
        }
        let (open, apart) = {
            let mut written = self.written();
            (std::mem::take(&mut written.open), written.apart)
        };
        open.iter().for_each(|(_, file)| send(file));
        for (path, file) in &open {
            file.sync_all()
                .map_err(|error| Failure::io("flush", path, &error))?;
        }
        if apart {
            sync(&self.directory())?;
        }
        sync(&self.parent())
    }

    /// From here on the files belong to the authority: an interrupt leaves them to [`super::settle`].
    pub fn commits(&mut self) -> Result<(), Failure> {
        let directory = self.directory();
        let mut all = {
            let written = self.written();
            let apart = written.apart.then_some(directory);
            written
                .flat
                .iter()
                .cloned()
                .chain(apart)
                .collect::<Vec<_>>()
        };
        all.sort_unstable();
        keep_all(&all.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        self.committed = true;
        Ok(())
    }

    /// The inventory did not commit after all: they are taken away again.
    pub fn did_not_commit(&mut self) {
        self.committed = false;
    }

    /// Renames every file into its place.
    pub fn publish(self) -> Result<(), Failure> {
        Change::found(&self.root, &self.id)
            .and_then(|change| put_in_place(&self.root, &change))
            .map_err(|failure| {
                failure
                    .within("the inventory has the change, but a file is not in its place yet")
                    .hint("remove the cause and run any relayca command: it finishes the work")
            })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let written = std::mem::take(&mut *self.written());
        let directory = self.directory();
        for path in &written.flat {
            let _ = fs::remove_file(path);
        }
        if written.apart {
            let _ = fs::remove_dir_all(&directory);
        }
        unfinished(|paths| {
            paths.retain(|path| *path != directory && !written.flat.contains(path));
        });
    }
}

/// A failure to write is told once only, so each flush counts.
fn joined(flushing: ScopedJoinHandle<'_, Result<(), Failure>>) -> Result<(), Failure> {
    match flushing.join() {
        Ok(flushed) => flushed,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::settle;
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    /// An ID.
    fn id(seed: &str) -> String {
        let hex: String = seed.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex:0>32}")
    }

    #[test]
    fn a_file_that_is_to_go_stays_until_the_rest_is_published() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("old"), "old").unwrap();
        let staged = Staged::begin(root.path(), id("a1")).unwrap();
        staged.put("new", b"new", 0o600).unwrap();
        staged.remove("old").unwrap();
        staged.remove("bundles/never-was").unwrap();
        assert!(root.path().join("old").exists());
        drop(staged);
        assert!(root.path().join("old").exists(), "given up, nothing goes");

        let staged = Staged::begin(root.path(), id("a2")).unwrap();
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
        let staged = Staged::begin(root.path(), id("a1")).unwrap();
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
    fn many_files_and_long_names_wait_apart_and_nothing_is_left() {
        let longest = format!("bundles/{}", "h".repeat(255));
        let few = ["bundles/a".to_owned(), "ca/b".into(), "c".into()];
        let many = (0..=FLUSH_ALL_FROM).map(|number| format!("bundles/{number}"));
        for (names, apart) in [
            (few.to_vec(), false),
            (vec![longest, "c".into()], true),
            (many.collect(), true),
        ] {
            let root = tempfile::tempdir().unwrap();
            let directory = root.path().join(STAGED).join(id("a1"));
            let put = || {
                let staged = Staged::begin(root.path(), id("a1")).unwrap();
                for name in &names {
                    staged.put(name, b"1", 0o600).unwrap();
                }
                assert_eq!(directory.is_dir(), apart);
                staged
            };
            let left = || fs::read_dir(root.path().join(STAGED)).unwrap().count();
            drop(put());
            assert_eq!(left(), 0, "given up");
            let mut staged = put();
            staged.flush().unwrap();
            staged.commits().unwrap();
            staged.publish().unwrap();
            assert_eq!(left(), 0, "published");
            for name in &names {
                let mode = fs::metadata(root.path().join(name)).unwrap().permissions();
                assert_eq!(mode.mode() & 0o777, 0o600);
            }
        }
    }

    #[test]
    fn a_staged_file_appears_only_when_published() {
        let root = tempfile::tempdir().unwrap();
        let mut staged = Staged::begin(root.path(), id("a1")).unwrap();
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
        assert!(super::super::staged(root.path()).unwrap().is_empty());
    }

    #[test]
    fn what_was_not_committed_goes_and_what_was_is_finished() {
        let root = tempfile::tempdir().unwrap();
        for name in ["kept", "gone"] {
            let mut staged = Staged::begin(root.path(), id(name)).unwrap();
            staged.put(name, b"1", 0o600).unwrap();
            staged.commits().unwrap(); // as if killed here
            drop(staged);
        }
        settle(root.path(), |one| Ok(one == id("kept"))).unwrap();
        assert!(root.path().join("kept").exists());
        assert!(!root.path().join("gone").exists());
        assert!(super::super::staged(root.path()).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_a_person_edited_meanwhile_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("relayca.toml");
        for (edited, kept, beside) in [(false, "new", None), (true, "edited", Some("new"))] {
            fs::write(&path, "old").unwrap();
            let mut staged = Staged::begin(root.path(), id(&edited.to_string())).unwrap();
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
            assert!(super::super::staged(root.path()).unwrap().is_empty());
        }
    }

    #[test]
    fn who_comes_late_takes_nothing_away_that_a_later_change_put_there() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("old"), "old").unwrap();
        let mut staged = Staged::begin(root.path(), id("a1")).unwrap();
        staged.put("new", b"new", 0o600).unwrap();
        staged.remove("old").unwrap();
        staged.flush().unwrap();
        staged.commits().unwrap();
        // It looks at what it has to do, and is stopped there; somebody else finishes it, and makes the next change.
        let seen = Change::found(root.path(), staged.id()).unwrap();
        settle(root.path(), |_| Ok(true)).unwrap();
        assert!(!root.path().join("old").exists());
        let mut next = Staged::begin(root.path(), id("a2")).unwrap();
        next.put("old", b"of the later change", 0o600).unwrap();
        next.put("new", b"of the later change", 0o600).unwrap();
        next.flush().unwrap();
        next.commits().unwrap();
        next.publish().unwrap();
        put_in_place(root.path(), &seen).unwrap();
        for name in ["old", "new"] {
            let text = fs::read_to_string(root.path().join(name)).unwrap();
            assert_eq!(text, "of the later change", "{name}");
        }
    }

    #[test]
    fn foreign_files_under_staged_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("staged/with spaces")).unwrap();
        for name in [
            "staged/.DS_Store",
            "staged/file",
            "staged/a=b",
            "staged/with spaces/x",
        ] {
            fs::write(root.path().join(name), "x").unwrap();
        }
        for committed in [false, true] {
            settle(root.path(), |_| Ok(committed)).unwrap();
            for name in [
                "staged/.DS_Store",
                "staged/file",
                "staged/a=b",
                "staged/with spaces/x",
            ] {
                assert!(root.path().join(name).exists(), "{name}");
            }
        }
    }

    #[test]
    fn many_files_reach_their_places_too() {
        let root = tempfile::tempdir().unwrap();
        let mut staged = Staged::begin(root.path(), id("a1")).unwrap();
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
            let mut staged = Staged::begin(root.path(), id("a1")).unwrap();
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
        let directory = root.path().join(STAGED).join(id("a1"));
        fs::create_dir_all(&directory).unwrap();
        for path in [
            directory.join(",..,x"),
            root.path().join(STAGED).join(id("b2") + "=,..,x"),
        ] {
            fs::write(&path, b"1").unwrap();
            assert!(settle(root.path(), |_| Ok(true)).is_err());
            assert!(path.exists());
            fs::remove_file(&path).unwrap();
        }
        // No text, so no name that we gave.
        fs::create_dir_all(&directory).unwrap();
        let foreign = directory.join(std::ffi::OsStr::from_bytes(b"\xff.age"));
        fs::write(&foreign, b"1").unwrap();
        assert!(settle(root.path(), |_| Ok(true)).is_err());
        assert!(foreign.exists());
    }

    #[test]
    fn paths_that_lead_out_or_would_not_come_back_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let staged = Staged::begin(root.path(), id("a1")).unwrap();
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
