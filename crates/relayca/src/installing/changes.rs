//! Several files changed at once, or not at all.
//!
//! In: what each is and what it becomes. Out: all of them in place, with the old ones at hand until [`Pending::keep`]; or each as
//! it was: the same file, with its owner, mode and times. It refuses to know what they are, and to touch one that somebody
//! changed meanwhile.
//!
//! The journal goes to the disk first. Then every new file is written beside its place, every old one gets a second name beside it,
//! and the new ones take their places. What a killed run left, [`recover`] takes back, or tidies up behind it if it had ended well.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::beside::{NEW, OLD, beside, remove_if_there, restore, second_name, stage};
use super::journal::{self, Journal, Left, Line};
use super::place::Place;
use super::postfix::{self, refuse_interrupted};
use super::{LONGEST, digest};
use crate::disk;
use crate::failure::Failure;

/// Where `deploy` unpacks what it is sent; one that was killed leaves it.
const DEPLOYING: &str = ".deploy";

/// A file as it is to be.
#[derive(Debug)]
pub struct NewFile {
    /// Its bytes.
    pub content: Zeroizing<Vec<u8>>,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub owner: (u32, u32),
}

/// A file that changes.
#[derive(Debug)]
pub struct Change {
    /// Where it is.
    pub path: PathBuf,
    /// What was there when the change was thought out.
    pub was: Option<Zeroizing<Vec<u8>>>,
    /// What will be there; nothing where it goes.
    pub becomes: Option<NewFile>,
}

/// What is at a path: a plain file or nothing.
#[derive(Debug)]
pub struct Found {
    /// Its bytes.
    pub content: Zeroizing<Vec<u8>>,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub owner: (u32, u32),
}

/// Looks at a path; refuses links and whatever else is no plain file.
pub fn found(path: &Path) -> Result<Option<Found>, Failure> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("look at", path, &error)),
    };
    if !metadata.is_file() {
        return Err(Failure::new(format!(
            "`{}` is no plain file; nothing was changed",
            path.display()
        ))
        .hint("move it away: relayca neither follows nor replaces it"));
    }
    Ok(Some(Found {
        content: disk::read(path, LONGEST)?,
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
    }))
}

/// Files in place whose old selves are still at hand.
#[derive(Debug)]
#[must_use]
pub struct Pending<'a> {
    place: &'a Place,
    journal: Journal,
    /// Whether any new file may be in its place.
    placed: bool,
}

/// What came of taking back.
#[derive(Debug, Default)]
pub struct TakenBack {
    /// Files that somebody changed meanwhile, with where their old selves are.
    pub left: Vec<(PathBuf, PathBuf)>,
}

/// Puts all of them in place; where that fails, all is as it was. The caller holds the lock, and has recovered.
pub fn carry_out<'a>(
    place: &'a Place,
    changes: &[Change],
    running: bool,
    removes_directory: bool,
) -> Result<Pending<'a>, Failure> {
    refuse_left(changes)?;
    let made_directory = make_directory(&place.files)?;
    let lines = changes
        .iter()
        .map(|change| Line {
            path: place.within(&change.path),
            was: change.was.as_deref().map(|was| digest(was)),
            becomes: change.becomes.as_ref().map(|new| digest(&new.content)),
        })
        .collect();
    let mut pending = Pending {
        place,
        journal: Journal {
            format: 1,
            made_directory,
            removes_directory,
            running,
            lines,
        },
        placed: false,
    };
    if let Err(failure) = journal::write(&place.files, &pending.journal) {
        if made_directory {
            let _ = fs::remove_dir(&place.files);
        }
        return Err(failure);
    }
    match pending.put(changes) {
        Ok(()) => Ok(pending),
        Err(failure) => Err(pending.give_up(failure)),
    }
}

impl Pending<'_> {
    fn put(&mut self, changes: &[Change]) -> Result<(), Failure> {
        for change in changes {
            refuse_interrupted()?;
            unchanged(change)?;
            if let Some(new) = &change.becomes {
                // After a power cut one may be there, of which nothing tells any more.
                remove_if_there(&beside(&change.path, NEW))?;
                stage(&beside(&change.path, NEW), new)?;
            }
            if change.was.is_some() {
                second_name(&change.path, &beside(&change.path, OLD))?;
            }
        }
        let directories = directories(changes);
        directories
            .iter()
            .try_for_each(|path| journal::flush(path))?;
        self.placed = true;
        for change in changes {
            refuse_interrupted()?;
            unchanged(change)?;
            let placed = if change.becomes.is_some() {
                fs::rename(beside(&change.path, NEW), &change.path)
            } else {
                fs::remove_file(&change.path)
            };
            placed.map_err(|error| not_replaced(&change.path, &error))?;
        }
        directories.iter().try_for_each(|path| journal::flush(path))
    }

    /// They stay.
    pub fn keep(self) -> Result<(), Failure> {
        if let Err(failure) = journal::finish(&self.place.files) {
            return Err(self.give_up(failure));
        }
        tidy_up(self.place, &self.journal).map_err(|failure| {
            failure
                .within("all is in place, but old files beside it could not be removed")
                .hint("run it again: it removes them")
        })
    }

    /// All as it was, Postfix too; and the failure, told so.
    pub fn give_up(self, failure: Failure) -> Failure {
        let interrupted = crate::process::interrupted();
        let placed = self.placed;
        let back = take_back(self.place, &self.journal).and_then(|back| {
            // Told before the journal goes: should this be killed meanwhile, the next run tells it.
            let told = (placed && self.journal.running)
                .then(|| postfix::run_again(&self.place.inside))
                .transpose();
            forget(self.place, &self.journal)?;
            Ok((back, told))
        });
        let (told, hint) = match back {
            Ok((back, told)) => (
                with_postfix(back.told("everything is as it was"), told.err()),
                failure.hint,
            ),
            Err(second) => (
                format!("and not everything could be taken back: {}", second.message),
                Some("remove the cause and run it again: it takes back the rest first".to_owned()),
            ),
        };
        let message = if interrupted {
            format!("interrupted; {told}")
        } else {
            format!("{}; {told}", failure.message)
        };
        Failure {
            message,
            hint,
            code: failure.code,
        }
    }
}

/// What is told where Postfix could not be.
fn with_postfix(told: String, failure: Option<Failure>) -> String {
    match failure {
        None => told,
        Some(failure) => format!(
            "{told}, but Postfix does not know it: {}; run `postfix reload`, or `postfix start`",
            failure.message
        ),
    }
}

impl TakenBack {
    /// In words; `all` where nothing was left.
    pub fn told(&self, all: &str) -> String {
        if self.left.is_empty() {
            return all.to_owned();
        }
        let each: Vec<String> = self
            .left
            .iter()
            .map(|(path, old)| {
                format!(
                    "`{}` was changed by somebody meanwhile and stays; what it was before is in `{}`",
                    path.display(),
                    old.display()
                )
            })
            .collect();
        each.join("; ")
    }
}

/// What an earlier run left is taken back or tidied up. Gives what is to be told of it.
pub fn recover(place: &Place) -> Result<Option<String>, Failure> {
    // Who holds the lock is the only one at work here.
    match fs::remove_dir_all(place.files.join(DEPLOYING)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::io("remove", &place.files.join(DEPLOYING), &error));
        }
        _ => {}
    }
    match left(place)? {
        Left::Nothing => journal::clear(&place.files).map(|()| None),
        Left::Finished(journal) => {
            tidy_up(place, &journal)?;
            Ok(Some(
                "an earlier run was stopped at its end: what it left was removed".into(),
            ))
        }
        Left::Unfinished(journal) => {
            let back = take_back(place, &journal)?;
            let told = (journal.running && place.root.is_none())
                .then(|| postfix::run_again(&place.inside))
                .transpose();
            forget(place, &journal)?;
            let mut all = "an earlier run was stopped in the middle: it was taken back".to_owned();
            if !back.left.is_empty() {
                all = format!("{all}; {}", back.told(""));
            }
            let told = with_postfix(all, told.err());
            Ok(Some(told))
        }
    }
}

/// Whether an earlier run left something.
pub fn is_unfinished(place: &Place) -> Result<bool, Failure> {
    Ok(left(place)? != Left::Nothing)
}

/// The journal, if it is of files that are ours to change: that of another system may be anybody's, and lead out of its root.
fn left(place: &Place) -> Result<Left, Failure> {
    let left = journal::left(&place.files)?;
    if let Left::Unfinished(journal) | Left::Finished(journal) = &left {
        let ours = |path: &Path| {
            path == place.main_cf
                || path == place.master_cf
                || path.parent() == Some(place.files.as_path())
        };
        let all = |line: &Line| ours(&place.outside(&line.path));
        if !journal.lines.iter().all(all) {
            return Err(journal::odd(&place.files.join(journal::JOURNAL)));
        }
    }
    Ok(left)
}

/// Each file as it was. What was taken back already stays so: this may be stopped, and done again, until [`forget`].
fn take_back(place: &Place, journal: &Journal) -> Result<TakenBack, Failure> {
    let mut back = TakenBack::default();
    for line in journal.lines.iter().rev() {
        let path = place.outside(&line.path);
        let old = beside(&path, OLD);
        remove_if_there(&beside(&path, NEW))?;
        let now = found(&path)?.map(|found| digest(&found.content));
        let has_old = old.symlink_metadata().is_ok();
        if now != line.was && now != line.becomes {
            // Somebody changed it since: theirs stays.
            if has_old {
                back.left.push((path, old));
            }
            continue;
        }
        match (&line.was, has_old) {
            (Some(_), true) => restore(&old, &path)?,
            // Not touched yet, or restored before.
            (Some(_), false) => {}
            (None, _) => remove_if_there(&path)?,
        }
        journal::flush(above(&path))?;
    }
    Ok(back)
}

/// Nothing is left to take back.
fn forget(place: &Place, journal: &Journal) -> Result<(), Failure> {
    journal::remove(&place.files)?;
    if journal.made_directory {
        let _ = fs::remove_dir(&place.files);
    }
    Ok(())
}

/// Takes away the second names, then the journal.
fn tidy_up(place: &Place, journal: &Journal) -> Result<(), Failure> {
    for line in &journal.lines {
        let path = place.outside(&line.path);
        remove_if_there(&beside(&path, OLD))?;
        remove_if_there(&beside(&path, NEW))?;
    }
    journal::remove(&place.files)?;
    if journal.removes_directory {
        let _ = fs::remove_dir(&place.files);
    }
    Ok(())
}

/// What an earlier run left for somebody to look at must not be taken for what was there before this one.
fn refuse_left(changes: &[Change]) -> Result<(), Failure> {
    let mut old = changes.iter().map(|change| beside(&change.path, OLD));
    match old.find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => Err(Failure::new(format!(
            "`{}` is there, which an earlier run left; nothing was changed",
            path.display()
        ))
        .hint(
            "it is what the file beside it was before that run: compare the two, and move it away",
        )),
    }
}

fn not_replaced(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::io("put in place", path, error);
    match error.kind() {
        io::ErrorKind::ResourceBusy | io::ErrorKind::PermissionDenied => failure.hint(
            "it is mounted over another (a container), or immutable (lsattr): let it be replaced, and run it again",
        ),
        _ => failure,
    }
}

/// That it is what it was when the change was thought out.
fn unchanged(change: &Change) -> Result<(), Failure> {
    let now = found(&change.path)?;
    let same = match (&now, &change.was) {
        (None, None) => true,
        (Some(now), Some(was)) => *now.content == **was,
        _ => false,
    };
    if same {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{}` was changed by somebody meanwhile",
        change.path.display()
    ))
    .hint("run it again"))
}

fn make_directory(path: &Path) -> Result<bool, Failure> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => match journal::flush(above(path)) {
            Ok(()) => Ok(true),
            Err(failure) => {
                let _ = fs::remove_dir(path);
                Err(failure)
            }
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::io("make", path, &error)),
    }
}

fn above(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn directories(changes: &[Change]) -> BTreeSet<&Path> {
    changes.iter().map(|change| above(&change.path)).collect()
}
