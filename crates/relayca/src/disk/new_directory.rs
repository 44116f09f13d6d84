//! A directory that appears whole or not at all.
//!
//! In: files to be below it. Out: the directory, renamed into its place once all of it is on the disk. It refuses to replace
//! anything.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use std::os::unix::fs::DirBuilderExt;

use walkdir::WalkDir;

use super::unfinished::{UNFINISHED_NAME, clear_leavings, keep, unfinished};
use super::{FLUSH_ALL_FROM, flush_file_system, make_directory, sync, write_exclusive};
use crate::failure::Failure;

/// A directory that appears whole or not at all.
#[derive(Debug)]
pub struct NewDirectory {
    target: PathBuf,
    building: PathBuf,
    above: Above,
    written: AtomicUsize,
    _lock: File,
    done: bool,
}

impl NewDirectory {
    /// Begins beside `target`, which must not exist or be empty. What a killed run left there is taken away.
    pub fn begin(target: &Path) -> Result<Self, Failure> {
        let target =
            std::path::absolute(target).map_err(|error| Failure::io("find", target, &error))?;
        refuse_existing(&target)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Failure::new(format!(
                "`{}` cannot be made",
                target.display()
            )));
        };
        let above = Above::make(parent)?;
        clear_leavings(parent, &name.to_string_lossy());
        // A name that nobody can have taken before us, with something else behind it.
        let building = parent.join(format!(
            ".{}.{}{UNFINISHED_NAME}",
            name.to_string_lossy(),
            relayca_ca::Serial::random()?
        ));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&building)
            .map_err(|error| Failure::io("make", &building, &error))?;
        unfinished(|paths| paths.push(building.clone()));
        // The lock tells a run that died, whose leavings may go, from one that is working.
        let lock = File::open(&building)
            .and_then(|lock| lock.lock().map(|()| lock))
            .map_err(|error| Failure::io("lock", &building, &error))?;
        Ok(Self {
            target,
            building,
            above,
            written: AtomicUsize::new(0),
            _lock: lock,
            done: false,
        })
    }

    /// Where it is being built.
    pub fn path(&self) -> &Path {
        &self.building
    }

    /// Writes a file at `relative`.
    pub fn put(&self, relative: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        write_below(&self.building, relative, content, mode)?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a directory at `relative`, for the owner alone.
    pub fn make(&self, relative: &str) -> Result<(), Failure> {
        let relative = going_down(relative)?;
        make_directory(&self.building.join(relative)).map(drop)
    }

    /// Writes a file at `relative` as its content comes. Its directory must be there.
    pub fn put_from(
        &self,
        relative: &str,
        content: &mut dyn Read,
        mode: u32,
    ) -> Result<(), Failure> {
        let path = self.building.join(going_down(relative)?);
        let failed = |error: io::Error| Failure::io("write", &path, &error);
        let mut file = write_exclusive(&path, b"", mode).map_err(failed)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match content.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Of the content, not of this file: whoever reads it knows more.
                Err(error) => {
                    return Err(Failure::new(format!("cannot read `{relative}`: {error}")));
                }
                Ok(count) => count,
            };
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).map_err(failed)?;
        }
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Brings it to the disk and renames it into place; gives the place.
    pub fn publish(mut self) -> Result<PathBuf, Failure> {
        flush_tree(&self.building, self.written.load(Ordering::Relaxed))?;
        keep(&self.building)?;
        fs::rename(&self.building, &self.target).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotADirectory => exists(&self.target),
            _ => Failure::io("put in place", &self.target, &error),
        })?;
        self.done = true;
        self.above.made = None;
        sync(self.target.parent().unwrap_or(Path::new("/"))).map_err(|failure| {
            failure
                .within(format_args!(
                    "`{}` is made and whole",
                    self.target.display()
                ))
                .hint("look at the disk: after a power cut it might be gone again")
        })?;
        Ok(self.target.clone())
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.done {
            unfinished(|paths| paths.retain(|path| *path != self.building));
            let _ = fs::remove_dir_all(&self.building);
        }
    }
}

/// The directories above a new one, taken away again unless it gets into its place.
#[derive(Debug)]
struct Above {
    lowest: PathBuf,
    /// The topmost that had to be made.
    made: Option<PathBuf>,
}

impl Above {
    fn make(lowest: &Path) -> Result<Self, Failure> {
        let missing = lowest.ancestors().take_while(|path| !path.exists());
        let above = Self {
            lowest: lowest.to_owned(),
            made: missing.last().map(Path::to_owned),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(lowest)
            .map_err(|error| Failure::io("make", lowest, &error))?;
        Ok(above)
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        let Some(made) = &self.made else { return };
        for path in self
            .lowest
            .ancestors()
            .take_while(|path| path.starts_with(made))
        {
            // One that holds something stays: another run is at work there.
            let _ = fs::remove_dir(path);
        }
    }
}

/// Fails unless `target` is absent or an empty directory.
pub fn refuse_existing(target: &Path) -> Result<(), Failure> {
    match fs::read_dir(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(exists(target))),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(exists(target)),
        Err(error) => Err(Failure::io("read", target, &error)),
    }
}

fn exists(target: &Path) -> Failure {
    Failure::new(format!(
        "`{}` exists already; nothing was changed",
        target.display()
    ))
    .hint("name another directory, or look at what is there first: relayca never overwrites it")
}

/// Refuses a path that leads anywhere but down.
fn going_down(relative: &str) -> Result<&Path, Failure> {
    let path = Path::new(relative);
    let down = |part| matches!(part, Component::Normal(_));
    if path.components().all(down) {
        Ok(path)
    } else {
        Err(Failure::new(format!(
            "`{relative}` leads out of its directory"
        )))
    }
}

fn write_below(base: &Path, relative: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
    let path = base.join(going_down(relative)?);
    match write_exclusive(&path, content, mode) {
        // Its directory is missing once; asking first would ask once a file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(path.parent().unwrap_or(base))?;
            write_exclusive(&path, content, mode)
        }
        other => other,
    }
    .map(drop)
    .map_err(|error| Failure::io("write", &path, &error))
}

/// Brings a tree to the disk: file by file, or all at once where there are many.
fn flush_tree(tree: &Path, files: usize) -> Result<(), Failure> {
    if files >= FLUSH_ALL_FROM {
        return flush_file_system(tree);
    }
    for entry in WalkDir::new(tree).contents_first(true) {
        let entry = entry
            .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", tree.display())))?;
        sync(entry.path())?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_never_replaces_one_that_holds_something() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("new");
        let first = NewDirectory::begin(&target).unwrap();
        // A second run beside it does not disturb the first, and comes too late.
        let second = NewDirectory::begin(&target).unwrap();
        first.put("a/b", b"1", 0o600).unwrap();
        first.publish().unwrap();
        second.put("a/b", b"2", 0o600).unwrap();
        assert!(
            second
                .publish()
                .unwrap_err()
                .message
                .contains("exists already")
        );
        assert!(
            NewDirectory::begin(&target)
                .unwrap_err()
                .message
                .contains("exists already")
        );
        assert_eq!(fs::read(target.join("a/b")).unwrap(), b"1");
    }

    #[test]
    fn leavings_of_a_killed_run_are_taken_away() {
        let root = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let private = |name: String, mode| {
            let path = root.path().join(name);
            fs::DirBuilder::new().mode(mode).create(&path).unwrap();
            fs::write(path.join("stale"), b"1").unwrap();
            path
        };
        let left = private(format!(".new.{id}.unfinished"), 0o700);
        let others = [
            private(".new.unfinished".into(), 0o700),
            private(format!(".new2.{id}.unfinished"), 0o700),
            private(format!(".new.{}.unfinished", id.replace('0', "f")), 0o750),
        ];
        let victim = private("victim".into(), 0o700);
        let link = root
            .path()
            .join(format!(".new.{}.unfinished", id.replace('1', "f")));
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let target = NewDirectory::begin(&root.path().join("new"))
            .unwrap()
            .publish()
            .unwrap();
        assert_eq!(fs::read_dir(target).unwrap().count(), 0);
        assert!(!left.exists());
        assert!(link.is_symlink() && victim.join("stale").exists());
        for other in others {
            assert!(other.join("stale").exists(), "{}", other.display());
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let new = NewDirectory::begin(&root.path().join("new")).unwrap();
        for bad in ["../x", "/x", "a/../../x"] {
            assert!(new.put(bad, b"", 0o600).is_err(), "{bad}");
        }
    }
}
