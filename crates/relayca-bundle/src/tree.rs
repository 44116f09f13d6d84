//! A whole directory tree as a tar archive with its checksums, written and read as a stream.
//!
//! In come files one after the other; out comes an archive that stock `tar -x` and `sha256sum -c` take, and back. Only paths,
//! modes and digests are kept in memory. It refuses to know what the files are and where they lie, and refuses every archive
//! with more in it than directories and plain files with plain names, `SHA256SUMS` last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};

use sha2::{Digest, Sha256};

use crate::checksums::CHECKSUMS_NAME;
use crate::prompt::printable;
use crate::seal_error::OpenError;
use crate::tree_error::TreeError;

/// More files and directories than any tree has.
pub const MAX_TREE_ENTRIES: usize = 2_000_000;

/// The most that all files may hold together: 64 GiB.
pub const MAX_TREE_BYTES: u64 = 64 << 30;

/// The longest path, of at most [`MAX_DEPTH`] names of 255 bytes.
const MAX_PATH_BYTES: u64 = 1024;
const MAX_DEPTH: usize = 4;

/// Zeros behind the end: stock tar fills up its last 10 KiB record, other record sizes are larger.
const MAX_PADDING: u64 = 1 << 20;

/// What is known of a file once it went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFile {
    /// Bytes.
    pub size: u64,
    /// Its permission bits.
    pub mode: u32,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// What a tree holds: files by path, and directories without a slash at the end. `SHA256SUMS` is not among them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The files.
    pub files: BTreeMap<String, TreeFile>,
    /// The directories and their permission bits.
    pub directories: BTreeMap<String, u32>,
}

impl Manifest {
    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.size).sum()
    }

    fn entries(&self) -> usize {
        self.files.len() + self.directories.len()
    }

    fn has(&self, path: &str) -> bool {
        path == CHECKSUMS_NAME
            || self.files.contains_key(path)
            || self.directories.contains_key(path)
    }
}

/// Writes a tree.
pub struct TreeWriter<W: Write> {
    builder: tar::Builder<W>,
    manifest: Manifest,
}

impl<W: Write> std::fmt::Debug for TreeWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TreeWriter([elided])")
    }
}

impl<W: Write> TreeWriter<W> {
    /// Begins an archive in `output`.
    pub fn new(output: W) -> Self {
        Self {
            builder: tar::Builder::new(output),
            manifest: Manifest::default(),
        }
    }

    /// Adds a directory. `mtime` is in seconds since 1970, as of all files.
    ///
    /// # Errors
    /// [`TreeError`] for a path that [`read_tree`] would refuse, or when the output fails.
    pub fn directory(&mut self, path: &str, mode: u32, mtime: u64) -> Result<(), TreeError> {
        self.fits(path)?;
        let mut header = header(tar::EntryType::Directory, mode, mtime, 0)?;
        self.builder
            .append_data(&mut header, format!("{path}/"), io::empty())
            .map_err(TreeError::writing)?;
        self.manifest.directories.insert(path.to_owned(), mode);
        Ok(())
    }

    /// Adds a file of exactly `size` bytes.
    ///
    /// # Errors
    /// [`TreeError::Changed`] where `content` has more or fewer; otherwise as of a directory.
    pub fn file(
        &mut self,
        path: &str,
        mode: u32,
        mtime: u64,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), TreeError> {
        self.fits(path)?;
        let mut header = header(tar::EntryType::Regular, mode, mtime, size)?;
        let mut hashed = Hashed::new(&mut *content, size);
        self.builder
            .append_data(&mut header, path, &mut hashed)
            .map_err(TreeError::writing)?;
        let (read, sha256) = hashed.end();
        let more = content
            .read(&mut [0])
            .map_err(|error| TreeError::reading(&error))?;
        if read != size || more != 0 {
            return Err(TreeError::Changed {
                name: path.to_owned(),
            });
        }
        self.manifest
            .files
            .insert(path.to_owned(), TreeFile { size, mode, sha256 });
        Ok(())
    }

    /// Adds `SHA256SUMS` over all files and ends the archive; gives the output and what went into it.
    ///
    /// # Errors
    /// [`TreeError::Writing`].
    pub fn finish(mut self, mtime: u64) -> Result<(W, Manifest), TreeError> {
        let mut list = String::new();
        for (path, file) in &self.manifest.files {
            let _ = writeln!(list, "{}  {path}", hex(&file.sha256));
        }
        let mut header = header(tar::EntryType::Regular, 0o600, mtime, list.len() as u64)?;
        self.builder
            .append_data(&mut header, CHECKSUMS_NAME, list.as_bytes())
            .map_err(TreeError::writing)?;
        let output = self.builder.into_inner().map_err(TreeError::writing)?;
        Ok((output, self.manifest))
    }

    fn fits(&self, path: &str) -> Result<(), TreeError> {
        check_path(path)?;
        if self.manifest.has(path) {
            return Err(TreeError::Duplicate {
                name: path.to_owned(),
            });
        }
        if self.manifest.entries() >= MAX_TREE_ENTRIES {
            return Err(TreeError::TooMany);
        }
        Ok(())
    }
}

/// A header of GNU tar, owned by root: names over 100 bytes are held everywhere by that format alone.
fn header(
    kind: tar::EntryType,
    mode: u32,
    mtime: u64,
    size: u64,
) -> Result<tar::Header, TreeError> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_size(size);
    header
        .set_username("root")
        .and_then(|()| header.set_groupname("root"))
        .map_err(TreeError::writing)?;
    Ok(header)
}

/// A member of a tree that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A directory.
    Directory {
        /// Its path, without a slash at the end.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A file; its content follows.
    File {
        /// Its path.
        path: String,
        /// Its permission bits.
        mode: u32,
        /// Bytes.
        size: u64,
    },
}

/// Reads what a [`TreeWriter`] wrote (or stock tar, from the same files): hands each member to `take`, which need not read its
/// content. Gives what was there, once every checksum was compared and nothing but zeros follows.
///
/// What `take` made of the members counts only then.
///
/// # Errors
/// [`TreeError`] for whatever is no plain file or directory with a plain name, for a file without or against its checksum; and
/// what `take` refuses.
pub fn read_tree<R: Read, E: From<TreeError>>(
    input: R,
    mut take: impl FnMut(&Member, &mut dyn Read) -> Result<(), E>,
) -> Result<Manifest, E> {
    let mut archive = tar::Archive::new(input);
    let mut manifest = Manifest::default();
    let mut compared = false;
    let mut long_name: Option<String> = None;
    let mut total = 0u64;
    // Raw: without the extensions that rename, resize or scatter a file, about which readers differ, and which would be read
    // into memory whatever their size.
    let entries = archive
        .entries()
        .map_err(|error| TreeError::reading(&error))?
        .raw(true);
    for entry in entries {
        let mut entry = entry.map_err(|error| match OpenError::behind(&error) {
            None if manifest.entries() == 0 => TreeError::NotAnArchive,
            _ => TreeError::reading(&error),
        })?;
        if compared {
            return Err(TreeError::AfterChecksums.into());
        }
        let size = entry.size();
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            long_name = Some(read_long_name(&mut entry, size, long_name.is_some())?);
            continue;
        }
        let name = match long_name.take() {
            Some(name) => name,
            None => String::from_utf8(entry.path_bytes().into_owned()).map_err(|error| {
                TreeError::Name {
                    name: printable(&String::from_utf8_lossy(error.as_bytes())),
                }
            })?,
        };
        let mode = entry.header().mode().map_err(|_| TreeError::Damaged)?;
        let path = match kind {
            tar::EntryType::Directory => name.strip_suffix('/').unwrap_or(&name),
            tar::EntryType::Regular => &name,
            _ => {
                return Err(TreeError::NotAFile {
                    name: printable(&name),
                }
                .into());
            }
        };
        check_path(path)?;
        if manifest.has(path) && !(path == CHECKSUMS_NAME && kind == tar::EntryType::Regular) {
            return Err(TreeError::Duplicate { name: path.into() }.into());
        }
        if manifest.entries() >= MAX_TREE_ENTRIES {
            return Err(TreeError::TooMany.into());
        }
        total = total.saturating_add(size);
        if total > MAX_TREE_BYTES {
            return Err(TreeError::TooLarge.into());
        }
        if kind == tar::EntryType::Directory {
            if size != 0 {
                return Err(TreeError::Damaged.into());
            }
            let member = Member::Directory {
                path: path.to_owned(),
                mode,
            };
            take(&member, &mut io::empty())?;
            manifest.directories.insert(path.to_owned(), mode);
        } else if path == CHECKSUMS_NAME {
            compare(&manifest, &mut entry)?;
            compared = true;
        } else {
            let member = Member::File {
                path: path.to_owned(),
                mode,
                size,
            };
            let mut hashed = Hashed::new(&mut entry, size);
            take(&member, &mut hashed)?;
            io::copy(&mut hashed, &mut io::sink()).map_err(|error| TreeError::reading(&error))?;
            let (read, sha256) = hashed.end();
            if read != size {
                return Err(TreeError::Truncated.into());
            }
            manifest
                .files
                .insert(path.to_owned(), TreeFile { size, mode, sha256 });
        }
    }
    if manifest.entries() == 0 && !compared {
        return Err(TreeError::NotAnArchive.into());
    }
    if !compared {
        return Err(TreeError::NoChecksums.into());
    }
    only_zeros(archive.into_inner())?;
    Ok(manifest)
}

fn read_long_name(entry: &mut dyn Read, size: u64, again: bool) -> Result<String, TreeError> {
    if again || size > MAX_PATH_BYTES {
        return Err(TreeError::Damaged);
    }
    let mut bytes = Vec::new();
    entry
        .read_to_end(&mut bytes)
        .map_err(|error| TreeError::reading(&error))?;
    let name = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    match std::str::from_utf8(name) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(TreeError::Name {
            name: printable(&String::from_utf8_lossy(name)),
        }),
    }
}

/// Every file is listed once with its digest, and nothing else is. The order is free: `sha256sum` made it, perhaps.
fn compare(manifest: &Manifest, list: &mut dyn Read) -> Result<(), TreeError> {
    let mut lines = BufReader::new(list);
    let mut listed = BTreeSet::new();
    let mut line = String::new();
    loop {
        line.clear();
        let read = lines
            .by_ref()
            .take(MAX_PATH_BYTES + 128)
            .read_line(&mut line)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => TreeError::BadChecksums,
                _ => TreeError::reading(&error),
            })?;
        if read == 0 {
            break;
        }
        let (digest, name) = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once("  "))
            .filter(|(digest, _)| digest.len() == 64)
            .ok_or(TreeError::BadChecksums)?;
        let Some((path, file)) = manifest.files.get_key_value(name) else {
            return Err(TreeError::Missing {
                name: printable(name),
            });
        };
        if digest != hex(&file.sha256) {
            return Err(TreeError::WrongChecksum { name: path.clone() });
        }
        if !listed.insert(path.as_str()) {
            return Err(TreeError::BadChecksums);
        }
    }
    match manifest
        .files
        .keys()
        .find(|path| !listed.contains(path.as_str()))
    {
        Some(path) => Err(TreeError::Unlisted { name: path.clone() }),
        None => Ok(()),
    }
}

/// Reads to the end, which proves that the seal is whole.
fn only_zeros(rest: impl Read) -> Result<(), TreeError> {
    let mut rest = rest.take(MAX_PADDING + 1);
    let mut seen = 0;
    let mut buffer = [0; 4096];
    loop {
        match rest.read(&mut buffer) {
            Ok(0) if seen > MAX_PADDING => return Err(TreeError::Trailing),
            Ok(0) => return Ok(()),
            Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => seen += count as u64,
            Ok(_) => return Err(TreeError::Trailing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TreeError::reading(&error)),
        }
    }
}

/// Plain names, at most [`MAX_DEPTH`], that only lead down.
fn check_path(path: &str) -> Result<(), TreeError> {
    let plain = |name: &str| {
        !name.is_empty()
            && name.len() <= 255
            && !name.starts_with(['.', '-'])
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    if path.split('/').count() <= MAX_DEPTH && path.split('/').all(plain) {
        Ok(())
    } else {
        Err(TreeError::Name {
            name: printable(path),
        })
    }
}

fn hex(digest: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads at most so many bytes, and keeps their digest and number.
struct Hashed<R> {
    inner: io::Take<R>,
    digest: Sha256,
    read: u64,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R, size: u64) -> Self {
        Self {
            inner: inner.take(size),
            digest: Sha256::new(),
            read: 0,
        }
    }

    fn end(self) -> (u64, [u8; 32]) {
        (self.read, self.digest.finalize().into())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        self.read += count as u64;
        Ok(count)
    }
}
