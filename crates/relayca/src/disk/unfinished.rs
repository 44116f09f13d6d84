//! What goes when the user interrupts.
//!
//! In: paths that are being written. Out: they are gone, or kept once they count. It refuses to know what is in them.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::failure::Failure;

/// Ends the name of a directory that is being taken away.
pub(super) const GOING: &str = ".going";

/// Ends the name of what is not whole yet.
pub(super) const UNFINISHED_NAME: &str = ".unfinished";

/// What to take away when the user interrupts.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Set with the list in hand, once it was worked off.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Whether a signal may end this process where it stands: nothing is begun, or nobody has to tidy up after it.
pub static MAY_END: AtomicBool = AtomicBool::new(true);

/// The signal that came while it might not; 0 is none.
pub static CAUGHT: AtomicUsize = AtomicUsize::new(0);

/// Whether work is under way that an interrupt waits for, and that takes back by itself what it did.
pub static UNDISTURBED: AtomicBool = AtomicBool::new(false);

/// Whether a thread waits for signals, and tidies up. Changed with the list in hand.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// A thread waits for signals from now on, or could not be had.
pub fn watched(watched: bool) {
    unfinished(|_| WATCHED.store(watched, Ordering::SeqCst));
}

/// The signal that came while something was begun.
pub fn caught() -> Option<i32> {
    i32::try_from(CAUGHT.load(Ordering::SeqCst))
        .ok()
        .filter(|signal| *signal != 0)
}

/// Whether a thread acts on it.
pub fn is_watched() -> bool {
    WATCHED.load(Ordering::SeqCst)
}

/// Fails once an interrupt came; where a thread acts on it, does not come back. The list is not in hand.
pub(super) fn go_on() -> Result<(), Failure> {
    if caught().is_none() || UNDISTURBED.load(Ordering::SeqCst) {
        return Ok(());
    }
    while is_watched() {
        // It takes away what is on the list, and ends the process.
        std::thread::park();
    }
    Err(interrupted())
}

fn interrupted() -> Failure {
    Failure::new("interrupted; nothing was changed")
}

/// Whether what is made from now on would stay.
pub(super) fn ended() -> bool {
    ENDED.load(Ordering::SeqCst)
}

pub(super) fn unfinished<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    let mut paths = UNFINISHED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // Before the first path is on the list, until after the last one is off.
    MAY_END.store(false, Ordering::SeqCst);
    let changed = change(&mut paths);
    let may_end = paths.is_empty() && !is_watched();
    MAY_END.store(may_end, Ordering::SeqCst);
    changed
}

/// Takes `path` off the list: from here on an interrupt leaves it. Fails where an interrupt was first.
pub(super) fn keep(path: &Path) -> Result<(), Failure> {
    go_on()?;
    let before = unfinished(|paths| {
        let before = paths.len();
        paths.retain(|other| other != path);
        before - paths.len()
    });
    if before == 0 {
        return Err(interrupted());
    }
    // What came earlier is noted by now, what comes later ends the process itself.
    go_on()
}

/// Takes all of these off the list in one step, likewise.
pub(super) fn keep_all(several: &[&Path]) -> Result<(), Failure> {
    go_on()?;
    let all = unfinished(|paths| {
        let all = several
            .iter()
            .all(|one| paths.iter().any(|path| path == one));
        if all {
            paths.retain(|path| several.iter().all(|one| path != one));
        }
        all
    });
    if all { go_on() } else { Err(interrupted()) }
}

/// Removes what this process has begun and not committed. For the thread that watches, just before exit.
pub fn remove_unfinished() {
    unfinished(|paths| {
        ENDED.store(true, Ordering::SeqCst);
        for path in paths.drain(..) {
            // Other threads may be writing into it still: out of their way first.
            let mut going = path.clone().into_os_string();
            going.push(GOING);
            let going = PathBuf::from(going);
            let path = if fs::rename(&path, &going).is_ok() {
                going
            } else {
                path
            };
            if fs::remove_dir_all(&path).is_err() {
                let _ = fs::remove_file(path);
            }
        }
    });
}

/// Takes away what killed runs left for the target `name`: things of ours, for us alone, under a name that only we give, and
/// that nobody works in. Anything else is not ours to touch.
pub(super) fn clear_leavings(parent: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let begins = format!(".{name}.");
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let ours = file_name
            .strip_prefix(&begins)
            .and_then(|rest| rest.strip_suffix(UNFINISHED_NAME))
            .is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        // Not through a link: its own kind, owner and mode.
        let Ok(found) = entry.metadata() else {
            continue;
        };
        let private = found.uid() == rustix::process::geteuid().as_raw()
            && match found.mode() & 0o7777 {
                0o700 => found.is_dir(),
                0o600 => found.is_file(),
                _ => false,
            };
        let dead = || File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if ours && private && dead() {
            // Where it cannot go it does no harm.
            let _ = if found.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
        }
    }
}
