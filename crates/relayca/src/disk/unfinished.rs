//! What goes when the user interrupts.
//!
//! In: paths that are being written. Out: they are gone, or kept once they count. It refuses to know what is in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

/// Ends the name of a directory that is being taken away.
pub(super) const GOING: &str = ".going";

/// What to take away when the user interrupts.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Set with the list in hand, once it was worked off.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Whether what is made from now on would stay.
pub(super) fn ended() -> bool {
    ENDED.load(Ordering::SeqCst)
}

pub(super) fn unfinished<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    change(
        &mut UNFINISHED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    )
}

/// Takes `path` off the list: from here on an interrupt leaves it. Fails where an interrupt was first.
pub(super) fn keep(path: &Path) -> Result<(), Failure> {
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

/// Takes all of these off the list in one step, likewise.
pub(super) fn keep_all(several: &[&Path]) -> Result<(), Failure> {
    let all = unfinished(|paths| {
        let all = several
            .iter()
            .all(|one| paths.iter().any(|path| path == one));
        if all {
            paths.retain(|path| several.iter().all(|one| path != one));
        }
        all
    });
    if all {
        Ok(())
    } else {
        Err(Failure::new("interrupted; nothing was changed"))
    }
}

/// Removes what this process has begun and not committed. For the signal thread, just before exit.
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
