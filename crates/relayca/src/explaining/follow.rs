//! A log that grows, and is rotated meanwhile.
//!
//! In: a path. Out: what is added to the file of that name, in blocks. It refuses to know what is in a log.
//!
//! A file that was renamed is read to its end: whoever writes it may do so for a while after the new one is there. One that became shorter was
//! emptied in place (`copytruncate`) and begins again. The file is looked at four times a second; nothing is read meanwhile.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::explaining::open;
use crate::failure::Failure;

/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(250);
/// Bytes read at once from standard input.
const BLOCK: usize = 64 << 10;
/// Looks without anything new after which a file that has another name by now is left.
const PATIENCE: u32 = 4;

/// What comes on standard input, as it comes: a read that waits there would not notice an interrupt.
pub fn standard_input() -> Receiver<Result<Vec<u8>, Failure>> {
    // Who writes faster than is read waits.
    let (to, blocks) = mpsc::sync_channel(4);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut block = vec![0; BLOCK];
            let sent = match input.read(&mut block) {
                Ok(0) => return,
                Ok(read) => {
                    block.truncate(read);
                    to.send(Ok(block))
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // The last word, whether anybody hears it or not.
                    let _ = to.send(Err(Failure::io("read", Path::new("-"), &error)));
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    });
    blocks
}

/// A file that is followed.
#[derive(Debug)]
pub struct Followed {
    path: PathBuf,
    file: File,
    at: u64,
    /// Looks since the name is another file's, and nothing came.
    idle: u32,
}

impl Followed {
    /// Opens it; reading begins at its end, or with `whole` at its beginning.
    pub fn open(path: &Path, whole: bool) -> Result<Self, Failure> {
        let (mut file, changed) = open::file(path)?;
        if changed.is_none() {
            return Err(
                Failure::usage(format!("`{}` is no ordinary file", path.display()))
                    .hint("give it on standard input, with `-`"),
            );
        }
        let at = if whole {
            0
        } else {
            file.seek(SeekFrom::End(0))
                .map_err(|error| Failure::io("read", path, &error))?
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            at,
            idle: 0,
        })
    }

    /// Reads what there is; 0 where nothing is new.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let read = self
            .file
            .read(buffer)
            .map_err(|error| Failure::io("read", &self.path, &error))?;
        self.at += read as u64;
        if read > 0 {
            self.idle = 0;
        }
        Ok(read)
    }

    /// Looks whether the file was emptied or replaced; gives whether another one begins.
    pub fn look(&mut self) -> Result<bool, Failure> {
        let failed = |error: &std::io::Error| Failure::io("read", &self.path, error);
        let open = self.file.metadata().map_err(|error| failed(&error))?;
        if open.len() < self.at {
            self.file
                .seek(SeekFrom::Start(0))
                .map_err(|error| failed(&error))?;
            self.at = 0;
            return Ok(true);
        }
        // Between the two steps of a rotation nothing is there; then the old file is all there is.
        let Ok(named) = std::fs::metadata(&self.path) else {
            return Ok(false);
        };
        if (named.dev(), named.ino()) == (open.dev(), open.ino()) {
            self.idle = 0;
            return Ok(false);
        }
        self.idle += 1;
        if self.idle < PATIENCE {
            return Ok(false);
        }
        *self = Self::open(&self.path, true)?;
        Ok(true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn all(followed: &mut Followed) -> String {
        let mut buffer = [0; 64];
        let mut text = Vec::new();
        loop {
            match followed.read(&mut buffer).unwrap() {
                0 => return String::from_utf8(text).unwrap(),
                read => text.extend_from_slice(&buffer[..read]),
            }
        }
    }

    #[test]
    fn what_is_added_is_read_across_both_kinds_of_rotation() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("mail.log");
        std::fs::write(&path, "old\n").unwrap();
        let mut followed = Followed::open(&path, false).unwrap();
        assert_eq!(all(&mut followed), "");
        let mut writer = std::fs::File::options().append(true).open(&path).unwrap();
        writer.write_all(b"one\n").unwrap();
        assert!(!followed.look().unwrap());
        assert_eq!(all(&mut followed), "one\n");

        // Renamed: the writer goes on with the old one for a while.
        std::fs::rename(&path, place.path().join("mail.log.1")).unwrap();
        assert!(!followed.look().unwrap());
        std::fs::write(&path, "new\n").unwrap();
        assert!(!followed.look().unwrap());
        writer.write_all(b"late\n").unwrap();
        assert_eq!(all(&mut followed), "late\n");
        let looks = (0..10).position(|_| followed.look().unwrap()).unwrap();
        assert_eq!(looks + 1, usize::try_from(PATIENCE).unwrap());
        assert_eq!(all(&mut followed), "new\n");

        // Emptied in place.
        std::fs::write(&path, "x\n").unwrap();
        assert!(followed.look().unwrap());
        assert_eq!(all(&mut followed), "x\n");
    }
}
