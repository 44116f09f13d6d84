//! Reading a directory that others filled.
//!
//! In: a directory. Out: the content of each plain file, and what was passed over. It refuses to follow a link, to open
//! anything that is no plain file, to go deep, and to read much. Nothing in the directory changes.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use walkdir::WalkDir;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::printer::{count, one_line};

/// Directories below one another. easy-rsa needs four.
const DEEPEST: usize = 16;
/// Names in the whole tree: some thousand hosts with key, request, certificate and a copy by serial.
const MOST_NAMES: usize = 20_000;
/// Bytes of one file: an index of twenty thousand certificates.
const LONGEST_FILE: u64 = 4 << 20;
/// Bytes of all files.
const LONGEST_TREE: u64 = 64 << 20;
/// Names of files that are told one by one.
const MOST_TOLD: usize = 5;

/// What was not read, and why.
#[derive(Debug, Default)]
pub struct PassedOver {
    links: Vec<String>,
    special: Vec<String>,
    large: Vec<String>,
    unreadable: Vec<String>,
}

impl PassedOver {
    /// One line for each reason.
    pub fn told(&self) -> Vec<String> {
        [
            (
                &self.links,
                "not followed, as it is a link",
                "not followed, as they are links",
            ),
            (
                &self.special,
                "not opened, as it is no plain file",
                "not opened, as they are no plain files",
            ),
            (
                &self.large,
                "not read, as it is far too large",
                "not read, as they are far too large",
            ),
            (
                &self.unreadable,
                "not read, as it may not be or cannot be",
                "not read, as they may not be or cannot be",
            ),
        ]
        .into_iter()
        .filter(|(names, ..)| !names.is_empty())
        .map(|(names, one, several)| {
            let why = if names.len() == 1 { one } else { several };
            format!("{why}: {}", listed(names))
        })
        .collect()
    }

    /// What nobody may read could be the very key.
    pub fn unreadable(&self) -> bool {
        !self.unreadable.is_empty()
    }
}

/// Some names, and how many more.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let told: Vec<String> = names
        .iter()
        .take(MOST_TOLD)
        .map(|name| format!("`{}`", one_line(name.as_ref())))
        .collect();
    match names.len().saturating_sub(MOST_TOLD) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}

/// Gives each plain file below `root` to `take`, by its path from there, in the order of names.
pub fn read(root: &Path, take: &mut dyn FnMut(&str, &[u8])) -> Result<PassedOver, Failure> {
    let found = std::fs::metadata(root).map_err(|error| Failure::io("read", root, &error))?;
    if !found.is_dir() {
        return Err(
            Failure::usage(format!("`{}` is not a directory", root.display()))
                .hint("name the directory that the CA's certificate and key lie in"),
        );
    }
    let mut passed = PassedOver::default();
    let mut names = 0;
    let mut left = LONGEST_TREE;
    // Of links only the one named by the user is followed. Without an order of our own the walk holds one name at a time.
    for entry in WalkDir::new(root).max_depth(DEEPEST + 1).min_depth(1) {
        names += 1;
        if names > MOST_NAMES {
            return Err(Failure::new(format!(
                "`{}` holds more than {MOST_NAMES} files and directories; nothing was made",
                root.display()
            ))
            .hint("name the directory of the CA itself"));
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.depth() == 0 => {
                return Err(
                    Failure::new(format!("cannot read `{}`: {error}", root.display()))
                        .hint("check who may read it"),
                );
            }
            Err(error) => {
                passed
                    .unreadable
                    .push(relative(root, error.path().unwrap_or(root)));
                continue;
            }
        };
        let name = relative(root, entry.path());
        let kind = entry.file_type();
        if kind.is_dir() {
            if entry.depth() > DEEPEST {
                return Err(Failure::new(format!(
                    "`{}` lies more than {DEEPEST} directories deep; nothing was made",
                    one_line(&name)
                ))
                .hint("name the directory of the CA itself"));
            }
        } else if kind.is_symlink() {
            passed.links.push(name);
        } else if !kind.is_file() {
            passed.special.push(name);
        } else {
            match content(entry.path()) {
                Content::Whole(content) => {
                    left = left.checked_sub(content.len() as u64).ok_or_else(|| {
                        Failure::new(format!(
                            "`{}` holds more than {}; nothing was made",
                            root.display(),
                            count((LONGEST_TREE >> 20) as usize, "megabyte", "megabytes")
                        ))
                        .hint("name the directory of the CA itself")
                    })?;
                    take(&name, &content);
                }
                Content::Special => passed.special.push(name),
                Content::Large => passed.large.push(name),
                Content::Unreadable => passed.unreadable.push(name),
            }
        }
    }
    for names in [
        &mut passed.links,
        &mut passed.special,
        &mut passed.large,
        &mut passed.unreadable,
    ] {
        names.sort();
    }
    Ok(passed)
}

/// The path from `root` on.
fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

enum Content {
    Whole(Zeroizing<Vec<u8>>),
    Special,
    Large,
    Unreadable,
}

/// What was a plain file may be another by now: the open one is asked again, and opening it neither follows nor waits.
fn content(path: &Path) -> Content {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let Ok(mut file) = opened else {
        return Content::Unreadable;
    };
    let Ok(found) = file.metadata() else {
        return Content::Unreadable;
    };
    if !found.is_file() {
        return Content::Special;
    }
    if found.len() > LONGEST_FILE {
        return Content::Large;
    }
    // Room from the start: a vector that grows would leave copies of a key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(found.len() as usize + 1));
    match Read::by_ref(&mut file)
        .take(found.len() + 1)
        .read_to_end(&mut content)
    {
        Ok(_) => Content::Whole(content),
        Err(_) => Content::Unreadable,
    }
}
