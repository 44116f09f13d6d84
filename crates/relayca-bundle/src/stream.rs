//! Sealing and opening age files that are too large for memory.
//!
//! In come a writer or a reader and whom the file is for; out come a writer that seals and a reader that opens, a chunk of
//! 64 KiB at a time. It refuses to know what flows through. What is read is authentic chunk by chunk, and complete only when
//! the end was read: a caller must use nothing of it before.

use std::fmt;
use std::io::{self, BufReader, Chain, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::{StreamReader, StreamWriter};

use crate::identity::Attempt;
use crate::seal::{self, MAGIC, MAX_HEADER_BYTES, MAX_WORK_FACTOR, OpenWith, SealTo};
use crate::seal_error::{OpenError, SealError};
use crate::stretch::Unwrap;

/// Bytes read at once.
const BUFFER: usize = 128 << 10;

/// Begins an age file in `output`: its header is written at once, so a plugin or scrypt has done its work when this returns.
///
/// # Errors
/// [`SealError`]; [`SealError::Writing`] where `output` fails.
pub fn seal_to_writer<W: Write>(output: W, to: &SealTo<'_>) -> Result<SealingWriter<W>, SealError> {
    let encryptor = seal::encryptor(to)?;
    let head = Arc::new(Mutex::new(Some(Vec::new())));
    let headed = Headed {
        output,
        head: Arc::clone(&head),
    };
    let inner = encryptor
        .wrap_output(headed)
        .map_err(|_| SealError::Writing)?;
    let header = head
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .unwrap_or_default();
    // Only a plugin could write so much; what cannot be opened again must not be written.
    seal::header_fits(&header).map_err(|_| SealError::TooManyRecipients)?;
    Ok(SealingWriter { inner })
}

/// An age file being written. Without [`SealingWriter::finish`] it is cut short and does not open.
pub struct SealingWriter<W: Write> {
    inner: StreamWriter<Headed<W>>,
}

impl<W: Write> SealingWriter<W> {
    /// Writes the last chunk; gives the output back, not flushed.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> io::Result<W> {
        Ok(self.inner.finish()?.output)
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> fmt::Debug for SealingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingWriter([elided])")
    }
}

/// An output that remembers what is written first: the header, until it was looked at.
struct Headed<W> {
    output: W,
    head: Arc<Mutex<Option<Vec<u8>>>>,
}

impl<W: Write> Write for Headed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = &mut *head
            && head.len() <= MAX_HEADER_BYTES
        {
            head.extend_from_slice(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// What was read of a file beforehand, and the rest of it.
type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// An age file whose header was read, and that is not opened yet. Binary only: `age` armors nothing large.
pub struct SealedReader<R> {
    decryptor: age::Decryptor<Input<R>>,
}

impl<R: Read> SealedReader<R> {
    /// Reads the header, which is bounded.
    ///
    /// # Errors
    /// [`OpenError`] for what is not an age file, and [`OpenError::Reading`] where `input` fails.
    pub fn begin(mut input: R) -> Result<Self, OpenError> {
        let mut start = Vec::with_capacity(MAX_HEADER_BYTES + 1);
        input
            .by_ref()
            // One more than may be header: so it shows whether the header ends in time.
            .take(MAX_HEADER_BYTES as u64 + 1)
            .read_to_end(&mut start)
            .map_err(|error| OpenError::Reading {
                reason: error.to_string(),
            })?;
        if !start.starts_with(MAGIC) {
            return Err(if MAGIC.starts_with(&start) {
                OpenError::Truncated
            } else {
                OpenError::NotAge
            });
        }
        seal::header_fits(&start)?;
        let input = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(input));
        let decryptor = age::Decryptor::new_buffered(input).map_err(|error| match error {
            age::DecryptError::UnknownFormat => OpenError::UnknownVersion,
            age::DecryptError::Io(_) => OpenError::Truncated,
            _ => OpenError::Damaged,
        })?;
        Ok(Self { decryptor })
    }

    /// Whether a passphrase opens it; if not, identities do.
    pub fn by_passphrase(&self) -> bool {
        self.decryptor.is_scrypt()
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`OpenError`], as of [`crate::open`].
    pub fn open(self, with: &OpenWith<'_>) -> Result<OpenedReader<R>, OpenError> {
        let troubles = Mutex::new(Vec::new());
        let opened = match with {
            OpenWith::Passphrase(_) if !self.by_passphrase() => {
                return Err(OpenError::NeedsIdentity);
            }
            OpenWith::Identities(_) if self.by_passphrase() => {
                return Err(OpenError::NeedsPassphrase);
            }
            OpenWith::Passphrase(passphrase) => {
                let unwrap = Unwrap {
                    passphrase,
                    max_work_factor: MAX_WORK_FACTOR,
                };
                self.decryptor
                    .decrypt(std::iter::once(&unwrap as &dyn age::Identity))
            }
            OpenWith::Identities(identities) => {
                let keys = identities.in_order();
                let attempts: Vec<Attempt<'_>> = keys
                    .iter()
                    .map(|key| Attempt {
                        key,
                        troubles: &troubles,
                    })
                    .collect();
                self.decryptor
                    .decrypt(attempts.iter().map(|attempt| attempt as &dyn age::Identity))
            }
        };
        let inner = opened.map_err(|error| match error {
            age::DecryptError::DecryptionFailed if matches!(with, OpenWith::Passphrase(_)) => {
                OpenError::WrongPassphrase
            }
            age::DecryptError::ExcessiveWork { required, .. } => {
                OpenError::ExcessiveWork { required }
            }
            age::DecryptError::NoMatchingKeys => {
                let noted = troubles
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner);
                noted.into_iter().next().unwrap_or(OpenError::WrongKey)
            }
            _ => OpenError::Damaged,
        })?;
        Ok(OpenedReader { inner })
    }
}

impl<R> fmt::Debug for SealedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedReader([elided])")
    }
}

/// The content of an age file, as it is opened. Its errors carry an [`OpenError`], see [`OpenError::behind`].
pub struct OpenedReader<R> {
    inner: StreamReader<Input<R>>,
}

impl<R: Read> Read for OpenedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other(OpenError::Truncated),
            io::ErrorKind::InvalidData => io::Error::other(OpenError::Damaged),
            _ => error,
        })
    }
}

impl<R> fmt::Debug for OpenedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedReader([elided])")
    }
}

impl OpenError {
    /// What an [`OpenedReader`] failed with, if an error came from one, however often it was wrapped since.
    pub fn behind(error: &io::Error) -> Option<&Self> {
        let mut inner: Option<&(dyn std::error::Error + 'static)> =
            error.get_ref().map(|inner| inner as _);
        while let Some(error) = inner {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            inner = match error.downcast_ref::<io::Error>() {
                Some(error) => error.get_ref().map(|inner| inner as _),
                None => error.source(),
            };
        }
        None
    }
}
