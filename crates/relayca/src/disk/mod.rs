//! The one place that writes files.
//!
//! In: bytes, a mode and a path below a directory. Out: files that are whole or absent. It refuses to
//! know what the bytes are.
//!
//! A change to an authority goes through [`Staged`], a new directory through [`NewDirectory`], a large file through
//! [`NewFile`]; all are told of interrupts by [`remove_unfinished`]. Here is what they share, and reading.

mod new_directory;
mod new_file;
mod publishing;
mod staged;
mod staged_names;
mod unfinished;
mod waiting;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Failure;

pub use new_directory::{NewDirectory, refuse_existing};
pub use new_file::{NewFile, refuse_existing_file};
pub use publishing::UNMERGED;
pub use staged::Staged;
pub use staged_names::id_of;
use unfinished::unfinished;
pub use unfinished::{
    CAUGHT, MAY_END, UNDISTURBED, caught, is_watched, remove_unfinished, watched,
};
pub use waiting::{settle, staged};

/// Past this many files one flush of the file system is cheaper than one a file.
const FLUSH_ALL_FROM: usize = 16;

/// Writes a new file that must not exist, mode first, and brings it and its name to the disk.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    write_exclusive(path, content, mode).map_err(|error| Failure::io("write", path, &error))?;
    sync(path)?;
    sync(above(path))
}

/// Writes several new files: all of them, or none where one exists or cannot be written, or the user interrupts.
pub fn write_all_new(files: &[(&Path, &[u8], u32)]) -> Result<(), Failure> {
    let mut written: Vec<&Path> = Vec::new();
    let mut result = Ok(());
    for (path, content, mode) in files {
        result = new_file_of_ours(path, *mode).and_then(|mut file| {
            written.push(path);
            file.write_all(content)
                .and_then(|()| file.sync_all())
                .map_err(|error| Failure::io("write", path, &error))
        });
        if result.is_err() {
            break;
        }
    }
    let kept = result
        .and_then(|()| written.iter().try_for_each(|path| sync(above(path))))
        // One moment decides: an interrupt before it takes away all of them.
        .and_then(|()| unfinished::keep_all(&written));
    if kept.is_err() {
        for path in &written {
            unfinished(|paths| paths.retain(|other| other != path));
            let _ = fs::remove_file(path);
        }
    }
    kept
}

/// A file that was not there before, and goes again on an interrupt.
fn new_file_of_ours(path: &Path, mode: u32) -> Result<File, Failure> {
    // Made and put on the list in one step: an interrupt waits for the list, and after it nothing is made any more.
    unfinished(|paths| {
        if unfinished::ended() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        paths.push(path.to_owned());
        against_the_umask(&file, mode)?;
        Ok(file)
    })
    .map_err(|error: io::Error| Failure::io("write", path, &error))
}

/// Gives a new file what an umask took of its mode: others are to read it, whoever runs the command and whatever theirs is.
fn against_the_umask(file: &File, mode: u32) -> io::Result<()> {
    if mode & 0o077 == 0 || file.metadata()?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// The directory that a file is in.
fn above(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes a file whole, new or in the place of an old one, by way of a new one beside it. A link stays, and what it leads to
/// is replaced.
pub fn replace_file(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let found = match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(
                Failure::new(format!("`{}` is not a plain file", path.display()))
                    .hint("name a file that is to be made or replaced"),
            );
        }
        Ok(_) => fs::canonicalize(path).map_err(|error| Failure::io("find", path, &error))?,
        Err(_) => path.to_owned(),
    };
    let path = found.as_path();
    let name = path.file_name().ok_or_else(|| {
        Failure::usage(format!("`{}` is not a file", path.display())).hint("name a file")
    })?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.new", relayca_ca::Serial::random()?));
    let beside = path.with_file_name(beside);
    let mut file = new_file_of_ours(&beside, mode)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(|error| Failure::io("write", &beside, &error));
    let written = written.and_then(|()| {
        fs::rename(&beside, path).map_err(|error| Failure::io("put in place", path, &error))?;
        sync(above(path))
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    unfinished(|paths| paths.retain(|other| *other != beside));
    written
}

/// Makes a directory for its owner alone; one that exists is left as it is.
pub fn make_private(path: &Path) -> Result<(), Failure> {
    make_directory(path).map(|_| ())
}

/// Reads a file of at most `limit` bytes; what is read is wiped when dropped.
pub fn read(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: io::Error| Failure::io("read", path, &error);
    let mut file = File::open(path).map_err(failed)?;
    // Room from the start: a vector that grows would leave copies of a key behind.
    let expected = file.metadata().map_err(failed)?.len().min(limit as u64) as usize;
    let mut content = Zeroizing::new(Vec::with_capacity(expected + 1));
    Read::by_ref(&mut file)
        .take(limit as u64 + 1)
        .read_to_end(&mut content)
        .map_err(failed)?;
    if content.len() > limit {
        return Err(
            Failure::new(format!("`{}` is larger than {limit} bytes", path.display()))
                .hint("it cannot be what relayca expects there"),
        );
    }
    Ok(content)
}

/// Reads a text file of at most `limit` bytes.
pub fn read_text(path: &Path, limit: usize) -> Result<Zeroizing<String>, Failure> {
    let mut content = read(path, limit)?;
    match String::from_utf8(std::mem::take(&mut *content)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(
                Failure::new(format!("`{}` is not a text file", path.display()))
                    .hint("it must be text in UTF-8"),
            )
        }
    }
}

/// Writes a file that must not exist; what is open is not on the disk yet.
fn write_exclusive(path: &Path, content: &[u8], mode: u32) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    against_the_umask(&file, mode)?;
    file.write_all(content)?;
    Ok(file)
}

/// Makes a directory for the owner alone; one that exists is fine. Gives whether it was made.
fn make_directory(path: &Path) -> Result<bool, Failure> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::io("make", path, &error)),
    }
}

/// Brings a file or a directory to the disk. A new name is on the disk only when its directory is.
fn sync(path: &Path) -> Result<(), Failure> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Failure::io("flush", path, &error))
}

/// Sends a file on its way to the disk without waiting for it. Of several files sent at once, flushing the first then
/// brings the names and sizes of all, and the others find little left to do. It promises nothing: who needs it flushes.
fn send(file: &File) {
    // Nobody here reads what was just sealed, so that it may leave memory is no loss.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

/// Brings everything to the disk that is on the file system of this directory.
fn flush_file_system(path: &Path) -> Result<(), Failure> {
    let directory = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    rustix::fs::syncfs(&directory).map_err(|error| Failure::io("flush", path, &error.into()))
}
