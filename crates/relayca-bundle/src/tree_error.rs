//! Why a tree is not written or read, and what to do about it.
//!
//! In: what a file, the tar reader or the seal failed with. Out: [`TreeError`]. It refuses to know the tree's content.

use std::io;

use crate::checksums::CHECKSUMS_NAME;
use crate::seal_error::OpenError;
use crate::tree::MAX_TREE_ENTRIES;

/// Why a tree cannot be written, or is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Not tar at all.
    #[error("the content is not a tar archive")]
    NotAnArchive,
    /// A header inside is damaged, or the archive is cut.
    #[error("the archive is damaged")]
    Damaged,
    /// A file is shorter than its header says.
    #[error("the archive is cut short")]
    Truncated,
    /// What it is sealed in is damaged or cut.
    #[error("{0}")]
    Sealed(String, Option<String>),
    /// More than [`MAX_TREE_ENTRIES`].
    #[error("the archive has more than {MAX_TREE_ENTRIES} files")]
    TooMany,
    /// Over 64 GiB.
    #[error("the archive holds more than 64 GiB")]
    TooLarge,
    /// A path that leads out, is hidden, or has strange characters.
    #[error("`{name}` is not a plain path")]
    Name {
        /// As found, cleaned for printing.
        name: String,
    },
    /// A link, device, or an extension.
    #[error("`{name}` is neither a file nor a directory")]
    NotAFile {
        /// Which entry.
        name: String,
    },
    /// The same path twice.
    #[error("`{name}` is in the archive twice")]
    Duplicate {
        /// Which path.
        name: String,
    },
    /// There is no `SHA256SUMS`.
    #[error("the archive has no `{CHECKSUMS_NAME}` at its end")]
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
    /// A file that is not what was written.
    #[error("`{name}` does not match its checksum")]
    WrongChecksum {
        /// Which file.
        name: String,
    },
    /// An entry behind `SHA256SUMS`.
    #[error("there is a file after `{CHECKSUMS_NAME}`")]
    AfterChecksums,
    /// Something hidden behind the end.
    #[error("there are bytes after the end of the archive")]
    Trailing,
    /// A file that changed while it was read.
    #[error("`{name}` changed while it was read")]
    Changed {
        /// Which file.
        name: String,
    },
    /// The input failed.
    #[error("the archive cannot be read: {0}")]
    Reading(String),
    /// The output failed.
    #[error("the archive cannot be written: {0}")]
    Writing(#[source] io::Error),
}

impl TreeError {
    pub(crate) fn writing(error: io::Error) -> Self {
        Self::Writing(error)
    }

    /// What it means that the content could not be read.
    pub fn reading(error: &io::Error) -> Self {
        match OpenError::behind(error) {
            Some(cause) => Self::Sealed(cause.to_string(), cause.hint()),
            None => match error.kind() {
                // What the tar reader finds wrong with headers has one of these.
                io::ErrorKind::Other
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof => Self::Damaged,
                _ => Self::Reading(error.to_string()),
            },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Sealed(_, hint) => hint.clone(),
            Self::Changed { .. } => Some("run it again when nobody edits the file".into()),
            Self::Reading(_) | Self::Writing(_) => {
                Some("look at the disk: is there room, is it in order?".into())
            }
            _ => Some("use nothing of it; take another backup".into()),
        }
    }
}
