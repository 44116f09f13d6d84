//! A file's new self and its old one, beside it: on the same file system in any case.
//!
//! In: paths. Out: files with their owner and mode, or the old one back under its name. It refuses to overwrite anything by itself.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::LONGEST;
use super::changes::NewFile;
use crate::disk;
use crate::failure::Failure;

/// Ends the name of a file that is not in its place yet.
pub const NEW: &str = ".relayca-new";
/// Ends the second name of a file that is being replaced.
pub const OLD: &str = ".relayca-old";

/// Writes a new file beside its place, mode first.
pub fn stage(path: &Path, new: &NewFile) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("write", path, &error);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(&new.content).map_err(failed)?;
    let (user, group) = new.owner;
    let now = file.metadata().map_err(failed)?;
    if (now.uid(), now.gid()) != new.owner {
        fchown(&file, Some(user), Some(group)).map_err(failed)?;
    }
    file.set_permissions(fs::Permissions::from_mode(new.mode))
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// The old file gets a second name; where the file system has no such thing, a copy with its owner, mode and times.
pub fn second_name(path: &Path, old: &Path) -> Result<(), Failure> {
    match fs::hard_link(path, old) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Failure::io("keep the old one of", path, &error)
                .hint(format!("look at `{}` and move it away", old.display())));
        }
        Err(_) => {}
    }
    let failed = |error: io::Error| Failure::io("keep the old one of", path, &error);
    let was = path.metadata().map_err(failed)?;
    let content = disk::read(path, LONGEST)?;
    stage(
        old,
        &NewFile {
            content,
            mode: was.mode() & 0o7777,
            owner: (was.uid(), was.gid()),
        },
    )?;
    let times = fs::FileTimes::new()
        .set_modified(was.modified().map_err(failed)?)
        .set_accessed(was.accessed().map_err(failed)?);
    File::open(old)
        .and_then(|file| {
            file.set_times(times)?;
            file.sync_all()
        })
        .map_err(failed)
}

/// Removes a file, or the link that has its name.
pub fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// The old file under its own name again.
pub fn restore(old: &Path, path: &Path) -> Result<(), Failure> {
    let untouched = match (old.symlink_metadata(), path.symlink_metadata()) {
        // Of two names of one file rename(2) removes neither; and what the old one is a copy of may be impossible to replace.
        (Ok(one), Ok(other)) => {
            (one.ino(), one.dev()) == (other.ino(), other.dev()) || alike(old, &one, path, &other)?
        }
        _ => false,
    };
    if untouched {
        remove_if_there(old)
    } else {
        fs::rename(old, path).map_err(|error| Failure::io("put back", path, &error))
    }
}

/// Whether nothing tells the two apart.
fn alike(
    old: &Path,
    one: &fs::Metadata,
    path: &Path,
    other: &fs::Metadata,
) -> Result<bool, Failure> {
    let all = |file: &fs::Metadata| {
        (
            file.mode(),
            (file.uid(), file.gid()),
            (file.mtime(), file.mtime_nsec()),
        )
    };
    Ok(all(one) == all(other) && *disk::read(old, LONGEST)? == *disk::read(path, LONGEST)?)
}

/// `.main.cf.relayca-old`, beside main.cf: on the same file system in any case.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}
