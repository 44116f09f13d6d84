//! The archive inside a bundle: flat, deterministic tar with its checksums.
//!
//! In come named contents; out comes a tar archive that is the same bytes for the same input, and back. It refuses to
//! know what the files mean, and refuses every archive with more in it than plain listed files.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;

use zeroize::Zeroizing;

use crate::checksums::{self, CHECKSUMS_NAME};

/// More files than any bundle has.
pub const MAX_ENTRIES: usize = 64;

/// The most that one file may hold: 16 MiB.
pub const MAX_ENTRY_BYTES: usize = 16 << 20;

/// The most that an archive may hold: 64 MiB.
pub const MAX_ARCHIVE_BYTES: usize = 64 << 20;

/// The longest file name that Linux file systems take.
pub const MAX_NAME_BYTES: usize = 255;

/// The only file modes in a bundle: secret, for a group, for all. Nothing in it is run.
pub const MODES: [u32; 3] = [0o600, 0o640, 0o644];

const BLOCK: usize = 512;

/// One file of a bundle.
pub struct Entry {
    /// A bare file name of `[A-Za-z0-9._-]`, not beginning with a dot or a dash.
    pub name: String,
    /// One of [`MODES`].
    pub mode: u32,
    /// What is in it; wiped on drop, since it may be a private key.
    pub content: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Entry {{ name: {:?}, mode: {:#o}, content: [elided] }}",
            self.name, self.mode
        )
    }
}

/// Packs files, sorted by name, with a `SHA256SUMS` over them, into a tar archive owned by `root`.
///
/// `mtime` is in seconds since 1970 and is given to every file: the same input gives the same bytes.
///
/// # Errors
/// [`ArchiveError`] for a name, mode, size or number that [`unpack`] would refuse.
pub fn pack(entries: &[Entry], mtime: u64) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    if sorted.len() >= MAX_ENTRIES {
        return Err(ArchiveError::TooManyEntries);
    }
    for (i, entry) in sorted.iter().enumerate() {
        if entry.name == CHECKSUMS_NAME {
            return Err(ArchiveError::ReservedName);
        }
        check_name(&entry.name)?;
        check_mode(&entry.name, entry.mode)?;
        if entry.content.len() > MAX_ENTRY_BYTES {
            return Err(ArchiveError::EntryTooLarge {
                name: entry.name.clone(),
            });
        }
        if i > 0 && sorted[i - 1].name == entry.name {
            return Err(ArchiveError::DuplicateName {
                name: entry.name.clone(),
            });
        }
    }
    let list = checksums::checksums(
        sorted
            .iter()
            .map(|e| (e.name.as_str(), e.content.as_slice())),
    );
    let mut files: Vec<(&str, u32, &[u8])> = sorted
        .iter()
        .map(|e| (e.name.as_str(), e.mode, &e.content[..]))
        .collect();
    let place = files.partition_point(|(name, ..)| *name < CHECKSUMS_NAME);
    files.insert(place, (CHECKSUMS_NAME, 0o644, list.as_bytes()));

    // The whole size beforehand: a vector that grows would leave copies of private keys in freed memory.
    // Each file: header, content in blocks, and for a long name one more header with at most one block.
    let size: usize = files
        .iter()
        .map(|(.., content)| content.len().next_multiple_of(BLOCK) + 3 * BLOCK)
        .sum();
    if size > MAX_ARCHIVE_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    let mut archive = Zeroizing::new(Vec::with_capacity(size + 2 * BLOCK));
    let mut builder = tar::Builder::new(&mut *archive);
    for (name, mode, content) in files {
        // GNU format, the default of stock tar: it alone holds bare names over 100 bytes everywhere.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(mtime);
        header.set_size(content.len() as u64);
        let named = header
            .set_username("root")
            .and_then(|()| header.set_groupname("root"));
        named
            .and_then(|()| builder.append_data(&mut header, name, content))
            .map_err(|_| ArchiveError::Writing)?;
    }
    builder.into_inner().map_err(|_| ArchiveError::Writing)?;
    Ok(archive)
}

/// Unpacks what [`pack`] made (or stock tar, from the same files), in the order of the archive, with its `SHA256SUMS`
/// among the entries, so that writing all of them gives what `tar -x` gives.
///
/// # Errors
/// [`ArchiveError`] for whatever is no plain file with a plain name and mode, for a file without or against its checksum, and
/// for bytes after the end.
pub fn unpack(archive: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    if archive.len() > MAX_ARCHIVE_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut names = BTreeSet::new();
    let mut end = 0usize;
    let mut reader = tar::Archive::new(archive);
    for file in reader.entries().map_err(|_| ArchiveError::NotAnArchive)? {
        let mut file = match file {
            Ok(file) => file,
            Err(_) if entries.is_empty() => return Err(ArchiveError::NotAnArchive),
            Err(_) => return Err(ArchiveError::Damaged),
        };
        if entries.len() == MAX_ENTRIES {
            return Err(ArchiveError::TooManyEntries);
        }
        let name = match String::from_utf8(file.path_bytes().into_owned()) {
            Ok(name) => name,
            Err(e) => {
                return Err(ArchiveError::Name {
                    name: crate::prompt::printable(&String::from_utf8_lossy(e.as_bytes())),
                });
            }
        };
        check_name(&name)?;
        if file.header().entry_type() != tar::EntryType::Regular {
            return Err(ArchiveError::NotAFile { name });
        }
        // pax records can rename, resize or scatter a file, and readers differ about them. `pack` needs none.
        if !matches!(file.pax_extensions(), Ok(None)) {
            return Err(ArchiveError::Extended { name });
        }
        let mode = file.header().mode().map_err(|_| ArchiveError::Damaged)?;
        check_mode(&name, mode)?;
        if !names.insert(name.clone()) {
            return Err(ArchiveError::DuplicateName { name });
        }
        let size = usize::try_from(file.size()).unwrap_or(usize::MAX);
        if size > MAX_ENTRY_BYTES {
            return Err(ArchiveError::EntryTooLarge { name });
        }
        let start = usize::try_from(file.raw_file_position()).map_err(|_| ArchiveError::Damaged)?;
        end = start.saturating_add(size.next_multiple_of(BLOCK));
        // A size beyond the archive's own end must not reserve memory.
        if end > archive.len() {
            return Err(ArchiveError::Truncated);
        }
        let mut content = Zeroizing::new(Vec::with_capacity(size));
        file.read_to_end(&mut content)
            .map_err(|_| ArchiveError::Truncated)?;
        if content.len() != size {
            return Err(ArchiveError::Truncated);
        }
        entries.push(Entry {
            name,
            mode,
            content,
        });
    }
    // Two blocks of zeros end an archive (POSIX pax, "ustar Interchange Format"); anything else behind is hidden.
    let rest = archive.get(end..).unwrap_or_default();
    if rest.iter().any(|b| *b != 0) {
        return Err(ArchiveError::TrailingBytes);
    }
    if rest.len() < 2 * BLOCK {
        return Err(if entries.is_empty() {
            ArchiveError::NotAnArchive
        } else {
            ArchiveError::Truncated
        });
    }
    check_sums(&entries)?;
    Ok(entries)
}

fn check_sums(entries: &[Entry]) -> Result<(), ArchiveError> {
    let list = entries
        .iter()
        .find(|e| e.name == CHECKSUMS_NAME)
        .ok_or(ArchiveError::NoChecksums)?;
    let mut listed = checksums::parse(&list.content).ok_or(ArchiveError::BadChecksums)?;
    for entry in entries.iter().filter(|e| e.name != CHECKSUMS_NAME) {
        let digest = listed
            .remove(entry.name.as_str())
            .ok_or_else(|| ArchiveError::Unlisted {
                name: entry.name.clone(),
            })?;
        if digest != checksums::sha256_hex(&entry.content) {
            return Err(ArchiveError::WrongChecksum {
                name: entry.name.clone(),
            });
        }
    }
    match listed.keys().next() {
        Some(name) => Err(ArchiveError::Missing {
            name: crate::prompt::printable(name),
        }),
        None => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), ArchiveError> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if !plain || name.is_empty() || name.len() > MAX_NAME_BYTES || name.starts_with(['.', '-']) {
        return Err(ArchiveError::Name {
            name: crate::prompt::printable(name),
        });
    }
    Ok(())
}

fn check_mode(name: &str, mode: u32) -> Result<(), ArchiveError> {
    if MODES.contains(&mode) {
        Ok(())
    } else {
        Err(ArchiveError::Mode {
            name: name.to_owned(),
            mode,
        })
    }
}

/// Why files cannot be packed, or an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Not tar at all.
    #[error("the content is not a tar archive")]
    NotAnArchive,
    /// A header inside is damaged or cut.
    #[error("the archive is damaged")]
    Damaged,
    /// The archive ends too early.
    #[error("the archive is cut short")]
    Truncated,
    /// Over 64 MiB in all.
    #[error("the archive is larger than 64 MiB")]
    TooLarge,
    /// Over 64 files.
    #[error("the archive has more than {MAX_ENTRIES} files")]
    TooManyEntries,
    /// One file over 16 MiB.
    #[error("`{name}` is larger than 16 MiB")]
    EntryTooLarge {
        /// Which file.
        name: String,
    },
    /// Not a bare file name: a path, a hidden file, an option or strange characters.
    #[error("`{name}` is not a plain file name")]
    Name {
        /// As found, cleaned for printing.
        name: String,
    },
    /// A mode outside [`MODES`].
    #[error("`{name}` has mode {mode:04o}, not 0600, 0640 or 0644")]
    Mode {
        /// Which file.
        name: String,
        /// The mode found.
        mode: u32,
    },
    /// The same name twice.
    #[error("`{name}` is in the archive twice")]
    DuplicateName {
        /// Which file.
        name: String,
    },
    /// `SHA256SUMS` is written by [`pack`] itself.
    #[error("`{CHECKSUMS_NAME}` is written by the packing itself")]
    ReservedName,
    /// A link, directory, device or the like.
    #[error("`{name}` is not a regular file")]
    NotAFile {
        /// Which entry.
        name: String,
    },
    /// A file with pax records.
    #[error("`{name}` carries pax extensions")]
    Extended {
        /// Which entry.
        name: String,
    },
    /// There is no `SHA256SUMS`.
    #[error("the archive has no `{CHECKSUMS_NAME}`")]
    NoChecksums,
    /// `SHA256SUMS` cannot be read.
    #[error("`{CHECKSUMS_NAME}` is not a list of checksums")]
    BadChecksums,
    /// A file that `SHA256SUMS` does not list.
    #[error("`{name}` is not listed in `{CHECKSUMS_NAME}`")]
    Unlisted {
        /// Which file.
        name: String,
    },
    /// A file that is listed but not there.
    #[error("`{name}` is listed in `{CHECKSUMS_NAME}` but missing")]
    Missing {
        /// Which file.
        name: String,
    },
    /// A file that is not what was packed.
    #[error("`{name}` does not match its checksum")]
    WrongChecksum {
        /// Which file.
        name: String,
    },
    /// Something hidden after the end of the archive.
    #[error("there are bytes after the end of the archive")]
    TrailingBytes,
    /// The tar writer failed.
    #[error("the archive cannot be written")]
    Writing,
}

impl ArchiveError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => {
                Some("names have letters, digits, `.`, `_` and `-`, begin with neither `.` nor `-` and have no directories".into())
            }
            Self::Mode { .. } | Self::ReservedName | Self::Writing => None,
            Self::TooLarge | Self::TooManyEntries | Self::EntryTooLarge { .. } => {
                Some("a bundle holds one host's key, certificates and settings, some tens of KiB".into())
            }
            _ => Some("unpack nothing of it; make the bundle again with `relayca bundle HOST`".into()),
        }
    }
}
