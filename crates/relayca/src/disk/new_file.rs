//! A large file that appears whole or not at all.
//!
//! In: bytes as they come. Out: the file, under its name once all of it is on the disk. It refuses to replace anything, and to
//! know what the bytes are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::sync;
use super::unfinished::{UNFINISHED_NAME, clear_leavings, keep, unfinished};
use crate::failure::Failure;

/// A file that appears whole or not at all, for its owner alone.
#[derive(Debug)]
pub struct NewFile {
    target: PathBuf,
    building: PathBuf,
    /// Locked, so that another run tells it from what a killed one left.
    file: File,
    done: bool,
}

impl NewFile {
    /// Begins beside `target`, which must not exist. What a killed run left there is taken away.
    pub fn begin(target: &Path) -> Result<Self, Failure> {
        let target =
            std::path::absolute(target).map_err(|error| Failure::io("find", target, &error))?;
        refuse_existing_file(&target)?;
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(
                Failure::usage(format!("`{}` is not a file", target.display())).hint("name a file"),
            );
        };
        let name = name.to_string_lossy();
        clear_leavings(parent, &name);
        let building = parent.join(format!(
            ".{name}.{}{UNFINISHED_NAME}",
            relayca_ca::Serial::random()?
        ));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&building)
            .map_err(|error| Failure::io("write", &target, &error))?;
        unfinished(|paths| paths.push(building.clone()));
        let new = Self {
            target,
            building,
            file,
            done: false,
        };
        new.file
            .lock()
            .map_err(|error| Failure::io("lock", &new.building, &error))?;
        Ok(new)
    }

    /// What is written so far, to be read again.
    pub fn reopen(&self) -> Result<File, Failure> {
        File::open(&self.building).map_err(|error| Failure::io("read", &self.building, &error))
    }

    /// Brings it to the disk.
    pub fn flush(&self) -> Result<(), Failure> {
        self.file
            .sync_all()
            .map_err(|error| Failure::io("flush", &self.target, &error))
    }

    /// Gives it its name, unless something has that by now.
    pub fn publish(mut self) -> Result<PathBuf, Failure> {
        keep(&self.building)?;
        // A link takes no name that is taken, and it is all or nothing.
        match fs::hard_link(&self.building, &self.target) {
            Ok(()) => {
                let _ = fs::remove_file(&self.building);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(exists(&self.target));
            }
            // A file system without links, such as a USB stick's.
            Err(_) => {
                refuse_existing_file(&self.target)?;
                fs::rename(&self.building, &self.target)
                    .map_err(|error| Failure::io("put in place", &self.target, &error))?;
            }
        }
        self.done = true;
        sync(self.target.parent().unwrap_or(Path::new("/"))).map_err(|failure| {
            failure
                .within(format_args!(
                    "`{}` is written and whole",
                    self.target.display()
                ))
                .hint("look at the disk: after a power cut it might be gone again")
        })?;
        Ok(self.target.clone())
    }
}

impl Write for &NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.file).flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.done {
            unfinished(|paths| paths.retain(|path| *path != self.building));
            let _ = fs::remove_file(&self.building);
        }
    }
}

/// Fails if anything has this name, be it a link that leads nowhere.
pub fn refuse_existing_file(target: &Path) -> Result<(), Failure> {
    match target.symlink_metadata() {
        Ok(_) => Err(exists(target)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io("write", target, &error)),
    }
}

fn exists(target: &Path) -> Failure {
    Failure::new(format!(
        "`{}` exists already; nothing was changed",
        target.display()
    ))
    .hint("name another file: relayca never overwrites one")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_for_its_owner_alone_and_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("backup");
        let first = NewFile::begin(&target).unwrap();
        let second = NewFile::begin(&target).unwrap();
        (&first).write_all(b"1").unwrap();
        assert!(!target.exists());
        first.flush().unwrap();
        first.publish().unwrap();
        assert!(
            second
                .publish()
                .unwrap_err()
                .message
                .contains("exists already")
        );
        assert!(NewFile::begin(&target).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"1");
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(root.path()), ["backup"]);
    }

    #[test]
    fn leavings_of_a_killed_run_are_taken_away_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let put = |name: &str, mode: u32| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(mode);
            options.open(root.path().join(name)).unwrap();
        };
        put(&format!(".b.{id}.unfinished"), 0o600);
        put(&format!(".b2.{id}.unfinished"), 0o600);
        put(".b.unfinished", 0o600);
        put(&format!(".b.{}.unfinished", id.replace('0', "f")), 0o640);
        std::os::unix::fs::symlink("nowhere", root.path().join("link")).unwrap();
        drop(NewFile::begin(&root.path().join("b")).unwrap());
        assert_eq!(names(root.path()).len(), 4, "{:?}", names(root.path()));
        assert!(!root.path().join(format!(".b.{id}.unfinished")).exists());
        assert!(NewFile::begin(&root.path().join("link")).is_err());
    }
}
