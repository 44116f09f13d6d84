//! Which logs are read, and how they are opened.
//!
//! In: paths, `-`, or nothing. Out: something to read from, and about when it was written. It refuses to know what is in a log, save that
//! compressed ones are refused with the command that opens them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use relayca_postfix::log::Around;
use time::OffsetDateTime;

use crate::failure::Failure;

/// Where Debian and Red Hat have it.
const DEFAULTS: [&str; 2] = ["/var/log/mail.log", "/var/log/maillog"];

/// How compressed files begin, and what opens them.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "zcat"),
    (b"\xfd7zXZ\x00", "xzcat"),
    (b"\x28\xb5\x2f\xfd", "zstdcat"),
    (b"BZh", "bzcat"),
];

/// A log that is open.
pub struct Log {
    /// What is read from.
    pub reader: Box<dyn Read>,
    /// About when it was written.
    pub around: Around,
}

/// The logs meant where none is named.
pub fn default() -> Result<PathBuf, Failure> {
    DEFAULTS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| {
            Failure::new(format!("there is neither `{}` nor `{}`", DEFAULTS[0], DEFAULTS[1])).hint(
                "the log may be in the journal alone: journalctl -u 'postfix*' -o short-iso | relayca explain -",
            )
        })
}

/// Opens a log; `-` is standard input.
pub fn open(path: &Path, now: OffsetDateTime) -> Result<Log, Failure> {
    let now = now.unix_timestamp();
    if path == Path::new("-") {
        return Ok(Log {
            reader: Box::new(std::io::stdin().lock()),
            around: Around::until(now),
        });
    }
    let (file, changed) = file(path)?;
    Ok(Log {
        reader: Box::new(file),
        // A log of last year, looked at today, has last year's dates.
        around: Around::until(changed.map_or(now, |changed| changed.min(now))),
    })
}

/// Opens a file; gives when it was last changed, in seconds since 1970, where it is an ordinary one.
pub fn file(path: &Path) -> Result<(File, Option<i64>), Failure> {
    let failed = |doing: &str, error: &std::io::Error| {
        let failure = Failure::io(doing, path, error);
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => failure.hint(
                "run it as root, or as a member of the group that may read logs (adm on Debian)",
            ),
            _ => failure,
        }
    };
    let mut file = File::open(path).map_err(|error| failed("open", &error))?;
    let meta = file.metadata().map_err(|error| failed("read", &error))?;
    let kind = meta.file_type();
    if kind.is_dir() {
        return Err(failed("read", &std::io::ErrorKind::IsADirectory.into()));
    }
    if kind.is_fifo() || kind.is_char_device() || kind.is_socket() {
        return Ok((file, None));
    }
    let mut start = [0; 6];
    let length = file
        .read(&mut start)
        .map_err(|error| failed("read", &error))?;
    let start = start.get(..length).unwrap_or_default();
    if let Some((_, opens)) = COMPRESSED
        .iter()
        .find(|(magic, _)| start.starts_with(magic))
    {
        let shown = crate::printer::one_line(&path.display().to_string());
        return Err(Failure::new(format!("`{shown}` is compressed"))
            .hint(format!("{opens} {shown} | relayca explain -")));
    }
    file.seek(SeekFrom::Start(0))
        .map_err(|error| failed("read", &error))?;
    let changed = meta
        .modified()
        .ok()
        .and_then(|changed| changed.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    Ok((file, changed))
}
