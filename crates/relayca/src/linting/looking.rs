//! Looking at the files that a configuration names.
//!
//! In: the paths. Out: facts, without a secret in them. It refuses to judge, to wait for a pipe, and to leave the root.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use relayca_postfix::config::Config;
use relayca_postfix::rules::{Found, Look, Purpose, wanted};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::beneath::beneath;
use super::{Source, pem};

/// The most that is read of a file: 1 MiB.
const LONGEST: u64 = 1 << 20;
/// The most text of maps that is kept altogether.
const MOST_TEXT: usize = 64 << 20;

/// Looks at all of them.
pub fn look(source: &Source, config: &Config) -> BTreeMap<String, Look> {
    let mut text_left = MOST_TEXT;
    wanted(config)
        .into_iter()
        .map(|(path, purpose)| {
            let look = at(source, &path, purpose, text_left);
            if let Look::Found(found) = &look {
                text_left -= found.text.as_ref().map_or(0, String::len).min(text_left);
            }
            (path, look)
        })
        .collect()
}

/// The paths that this user may not look at, or not into.
pub fn unreadable(paths: &BTreeMap<String, Look>) -> Vec<String> {
    paths
        .iter()
        .filter(|(_, look)| match look {
            Look::Absent => false,
            Look::Unreadable { .. } => true,
            Look::Found(found) => found.unopened.is_some(),
        })
        .map(|(path, _)| path.clone())
        .collect()
}

fn at(source: &Source, path: &str, purpose: Purpose, text_left: usize) -> Look {
    let found = beneath(&source.root, Path::new(path)).and_then(|place| {
        let metadata = place.symlink_metadata()?;
        let mut found = Found {
            directory: metadata.is_dir(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            modified: metadata.mtime(),
            ..Found::default()
        };
        let read = matches!(purpose, Purpose::Pem | Purpose::Parameters | Purpose::Map);
        if read && !found.directory {
            match content(&place) {
                Ok(content) if purpose == Purpose::Map => {
                    found.text = String::from_utf8(content.to_vec())
                        .ok()
                        .filter(|text| text.len() <= text_left);
                }
                Ok(content) => found.pem = Some(pem::blocks(&content)),
                Err(error) => found.unopened = Some(error.to_string()),
            }
        }
        Ok(found)
    });
    match found {
        Ok(found) => Look::Found(Box::new(found)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Look::Absent
        }
        Err(error) => Look::Unreadable {
            why: error.to_string(),
        },
    }
}

/// What is in a plain file. Wiped when dropped: it may be a key.
fn content(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Opening a pipe would wait for somebody to write.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY).bits();
    let mut file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)?;
    let metadata: Metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    if metadata.len() > LONGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    // Room from the start: a vector that grows would leave copies of a key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    Read::by_ref(&mut file)
        .take(metadata.len())
        .read_to_end(&mut content)?;
    Ok(content)
}
