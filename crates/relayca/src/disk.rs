//! The one place that writes files.
//!
//! In: bytes, a mode and a path below a directory. Out: files that are whole or absent. It refuses to
//! know what the bytes are.
//!
//! A change to an authority goes through [`Staged`]: its files are written under `staged/ID`, reach the
//! disk, the inventory commits a transaction that names the ID, and only then each file is renamed into
//! place. After a stop at any moment [`settle`] looks at the inventory: a committed ID is put into place,
//! another one is removed. A new directory ([`NewDirectory`]) is built beside its place and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use walkdir::WalkDir;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Where an authority keeps what is not yet in place.
pub const STAGED: &str = "staged";
/// Past this many files one flush of the file system is cheaper than one a file.
const FLUSH_ALL_FROM: usize = 16;

/// What to take away when the user interrupts.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    change(
        &mut UNFINISHED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    )
}

/// Takes `path` off the list: from here on an interrupt leaves it. Fails where an interrupt was first.
fn keep(path: &Path) -> Result<(), Failure> {
    let before = unfinished(|paths| {
        let before = paths.len();
        paths.retain(|other| other != path);
        before - paths.len()
    });
    if before == 0 {
        Err(Failure::new("interrupted; nothing was changed"))
    } else {
        Ok(())
    }
}

/// Removes what this process has begun and not committed. For the signal thread, just before exit.
pub fn remove_unfinished() {
    unfinished(|paths| {
        for path in paths.drain(..) {
            // Other threads may be writing into it still: out of their way first.
            let mut going = path.clone().into_os_string();
            going.push(".going");
            let going = PathBuf::from(going);
            let path = if fs::rename(&path, &going).is_ok() {
                going
            } else {
                path
            };
            let _ = fs::remove_dir_all(path);
        }
    });
}

/// Files on their way into an authority.
#[derive(Debug)]
pub struct Staged {
    root: PathBuf,
    directory: PathBuf,
    id: String,
    written: AtomicUsize,
    committed: bool,
}

impl Staged {
    /// Begins under `root`/staged/`id`. The caller holds the inventory's write lock.
    pub fn begin(root: &Path, id: String) -> Result<Self, Failure> {
        let parent = root.join(STAGED);
        make_directory(&parent)?;
        let directory = parent.join(&id);
        unfinished(|paths| paths.push(directory.clone()));
        let staged = Self {
            root: root.to_owned(),
            directory,
            id,
            written: AtomicUsize::new(0),
            committed: false,
        };
        make_directory(&staged.directory)?;
        Ok(staged)
    }

    /// The ID to be committed in the inventory.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes a file that will be at `relative` below the root. Several threads may call it at once.
    pub fn put(&self, relative: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        write_below(&self.directory, relative, content, mode)?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Brings everything to the disk: after this the inventory may commit.
    pub fn flush(&self) -> Result<(), Failure> {
        flush_tree(&self.directory, self.written.load(Ordering::Relaxed))?;
        sync_directory(&self.root.join(STAGED))
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
            let _ = fs::remove_dir_all(&self.directory);
        }
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
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::io("read", &parent, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::io("read", &parent, &error)),
    }
}

/// Moves the tree below `directory` to the same names below `root`. What is already moved, by us
/// before a stop or by another process, is done.
fn put_in_place(root: &Path, directory: &Path) -> Result<(), Failure> {
    let mut touched = std::collections::BTreeSet::new();
    for entry in WalkDir::new(directory)
        .sort_by_file_name()
        .follow_links(false)
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error)
                if error
                    .io_error()
                    .is_some_and(|error| error.kind() == io::ErrorKind::NotFound) =>
            {
                continue;
            }
            Err(error) => {
                return Err(Failure::new(format!(
                    "cannot read `{}`: {error}",
                    directory.display()
                )));
            }
        };
        let Ok(relative) = entry.path().strip_prefix(directory) else {
            continue;
        };
        let target = root.join(relative);
        if entry.file_type().is_dir() {
            if target != root {
                make_directory(&target)?;
            }
            continue;
        }
        match fs::rename(entry.path(), &target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::io("put in place", &target, &error));
            }
            _ => touched.insert(target.parent().unwrap_or(root).to_owned()),
        };
    }
    for directory in touched {
        sync_directory(&directory)?;
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("remove", directory, &error))
        }
        _ => Ok(()),
    }
}

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
    /// Begins beside `target`, which must not exist or be empty. What an interrupted run left there is
    /// taken away; a run that is under way is refused.
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
        let building = parent.join(format!(".{}.unfinished", name.to_string_lossy()));
        make_directory(&building)?;
        // The lock tells a run that died, whose leavings may go, from one that is working.
        let lock = File::open(&building).map_err(|error| Failure::io("open", &building, &error))?;
        lock.try_lock().map_err(|_| {
            Failure::new(format!("another relayca is making `{}`", target.display()))
                .hint("wait for it to end")
        })?;
        clear(&building)?;
        unfinished(|paths| paths.push(building.clone()));
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
        sync_directory(self.target.parent().unwrap_or(Path::new("/"))).map_err(|failure| {
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

/// Empties a directory that an interrupted run left.
fn clear(directory: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("clear", directory, &error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        }
        .map_err(failed)?;
    }
    Ok(())
}

/// Writes a new file that must not exist, mode first, and brings it and its name to the disk.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    write_exclusive(path, content, mode).map_err(|error| Failure::io("write", path, &error))?;
    sync_file(path)?;
    sync_directory(
        path.parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )
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

/// `relative` may only go down.
fn write_below(base: &Path, relative: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
    let relative = Path::new(relative);
    if !relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(Failure::new(format!(
            "`{}` leads out of its directory",
            relative.display()
        )));
    }
    let path = base.join(relative);
    match write_exclusive(&path, content, mode) {
        // Its directory is missing once; asking first would ask once a file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(path.parent().unwrap_or(base))?;
            write_exclusive(&path, content, mode)
        }
        other => other,
    }
    .map_err(|error| Failure::io("write", &path, &error))
}

fn write_exclusive(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(content))
}

/// Makes a directory for the owner alone; one that exists is fine.
fn make_directory(path: &Path) -> Result<(), Failure> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Failure::io("make", path, &error))
        }
        _ => Ok(()),
    }
}

/// Brings a tree to the disk: file by file, or all at once where there are many.
fn flush_tree(tree: &Path, files: usize) -> Result<(), Failure> {
    if files >= FLUSH_ALL_FROM && cfg!(target_os = "linux") {
        let directory = File::open(tree).map_err(|error| Failure::io("open", tree, &error))?;
        return rustix::fs::syncfs(&directory)
            .map_err(|error| Failure::io("flush", tree, &error.into()));
    }
    for entry in WalkDir::new(tree).contents_first(true) {
        let entry = entry
            .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", tree.display())))?;
        if entry.file_type().is_dir() {
            sync_directory(entry.path())?;
        } else {
            sync_file(entry.path())?;
        }
    }
    Ok(())
}

fn sync_file(path: &Path) -> Result<(), Failure> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Failure::io("flush", path, &error))
}

/// A new name is on the disk only when its directory is.
fn sync_directory(path: &Path) -> Result<(), Failure> {
    sync_file(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
    fn a_new_directory_never_replaces_one_that_holds_something() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("new");
        let first = NewDirectory::begin(&target).unwrap();
        assert!(
            NewDirectory::begin(&target)
                .unwrap_err()
                .message
                .contains("another relayca")
        );
        first.put("a/b", b"1", 0o600).unwrap();
        first.publish().unwrap();
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
        let left = root.path().join(".new.unfinished");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("stale"), b"1").unwrap();
        let target = NewDirectory::begin(&root.path().join("new"))
            .unwrap()
            .publish()
            .unwrap();
        assert_eq!(fs::read_dir(target).unwrap().count(), 0);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let staged = Staged::begin(root.path(), "a1".into()).unwrap();
        for bad in ["../x", "/x", "a/../../x"] {
            assert!(staged.put(bad, b"", 0o600).is_err(), "{bad}");
        }
    }
}
