//! What a run that changes files leaves for the next one, should it be killed.
//!
//! In: the files that will change. Out: a note in CONFIG/relayca, on the disk before anything else is. It refuses to hold what
//! is in the files: the old ones lie beside the new ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// While files change: what is in it is taken back. No file of a bundle begins with a dot.
pub const JOURNAL: &str = ".journal";
/// When all is well: what is left of the old files is taken away.
const FINISHED: &str = ".finished";
/// Before it has its name.
const WRITING: &str = ".journal.new";
/// Bytes of one.
const LONGEST: usize = 1 << 20;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its path, as the system that it is for names it.
    pub path: PathBuf,
    /// The digest of what was there.
    pub was: Option<String>,
    /// The digest of what will be there.
    pub becomes: Option<String>,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Of this form of it.
    pub format: u32,
    /// Whether CONFIG/relayca was made for this.
    pub made_directory: bool,
    /// Whether CONFIG/relayca goes in the end, if nothing is left in it.
    pub removes_directory: bool,
    /// Whether Postfix ran, and is to be told.
    pub running: bool,
    /// The files.
    pub lines: Vec<Line>,
}

/// How far a run got.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing is left.
    Nothing,
    /// It did not get to its end.
    Unfinished(Journal),
    /// It did, but did not tidy up.
    Finished(Journal),
}

/// What an earlier run left.
pub fn left(files: &Path) -> Result<Left, Failure> {
    if let Some(journal) = read(&files.join(FINISHED))? {
        return Ok(Left::Finished(journal));
    }
    Ok(match read(&files.join(JOURNAL))? {
        Some(journal) => Left::Unfinished(journal),
        None => Left::Nothing,
    })
}

/// What is there is none of ours.
pub fn odd(path: &Path) -> Failure {
    Failure::new(format!("`{}` is not what relayca wrote", path.display()))
        .hint("look at it and at the files that end in .relayca-old beside what they were; then remove it")
}

fn read(path: &Path) -> Result<Option<Journal>, Failure> {
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("look at", path, &error)),
    };
    let odd = || odd(path);
    let me = rustix::process::geteuid().as_raw();
    if !found.is_file() || found.uid() != me && found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Err(odd());
    }
    let content = crate::disk::read(path, LONGEST)?;
    let journal: Journal = serde_json::from_slice(&content).map_err(|_| odd())?;
    let plain = |line: &Line| {
        line.path.is_absolute()
            && line
                .path
                .components()
                .all(|part| !matches!(part, std::path::Component::ParentDir))
    };
    if journal.format != 1 || !journal.lines.iter().all(plain) {
        return Err(odd());
    }
    Ok(Some(journal))
}

/// Writes it, whole and on the disk.
pub fn write(files: &Path, journal: &Journal) -> Result<(), Failure> {
    let path = files.join(WRITING);
    let failed = |error: io::Error| Failure::io("write", &path, &error);
    clear(files)?;
    let text = serde_json::to_vec(journal).map_err(|error| failed(io::Error::other(error)))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    let written = file
        .write_all(&text)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&path, files.join(JOURNAL)))
        .map_err(failed)
        .and_then(|()| flush(files));
    if written.is_err() {
        let _ = fs::remove_file(&path);
        let _ = fs::remove_file(files.join(JOURNAL));
    }
    written
}

/// From here on the new files count.
pub fn finish(files: &Path) -> Result<(), Failure> {
    fs::rename(files.join(JOURNAL), files.join(FINISHED))
        .map_err(|error| Failure::io("rename", &files.join(JOURNAL), &error))?;
    flush(files)
}

/// Nothing is left to do.
pub fn remove(files: &Path) -> Result<(), Failure> {
    for name in [WRITING, JOURNAL, FINISHED] {
        match fs::remove_file(files.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::io("remove", &files.join(name), &error));
            }
            _ => {}
        }
    }
    // Should it be there again after a power cut, then there is nothing left for it to take back.
    let _ = flush(files);
    Ok(())
}

/// Takes away one that a killed run did not get to name.
pub fn clear(files: &Path) -> Result<(), Failure> {
    let path = files.join(WRITING);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("remove", &path, &error))
        }
        _ => Ok(()),
    }
}

/// Brings the names in a directory to the disk.
pub fn flush(directory: &Path) -> Result<(), Failure> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Failure::io("flush", directory, &error))
}
