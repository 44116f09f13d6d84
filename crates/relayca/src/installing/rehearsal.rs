//! Editing main.cf and master.cf by the real `postconf`, on a copy.
//!
//! In: the bytes of both. Out: the bytes as they will be: what is shown is what happens. It refuses to touch the originals.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::programs::run;
use crate::failure::Failure;

/// A private directory that goes with it.
#[derive(Debug)]
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
}

impl Scratch {
    /// Makes one for root alone.
    pub fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("relayca-{}", relayca_ca::Serial::random()?));
        // It must be new: another user's would be another user's.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failure::io("make", &path, &error))?;
        Ok(Self { path })
    }

    /// Writes a file in it.
    pub fn put(&self, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        fs::write(&path, content).map_err(|error| Failure::io("write", &path, &error))?;
        Ok(path)
    }

    /// Reads one.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let path = self.path.join(name);
        fs::read(&path).map_err(|error| Failure::io("read", &path, &error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The copy.
#[derive(Debug)]
pub struct Rehearsal {
    scratch: Scratch,
    directory: String,
}

impl Rehearsal {
    /// Of these bytes.
    pub fn of(main_cf: &[u8], master_cf: &[u8]) -> Result<Self, Failure> {
        let scratch = Scratch::new()?;
        scratch.put("main.cf", &with_end(main_cf))?;
        scratch.put("master.cf", &with_end(master_cf))?;
        let directory = scratch.path.to_str().ok_or_else(|| {
            Failure::new("the directory for temporary files has a name that is no text")
                .hint("set TMPDIR to another one")
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            scratch,
        })
    }

    /// Gives parameters a line at the end of main.cf, for their values to come.
    pub fn add(&self, names: &[String]) -> Result<(), Failure> {
        if names.is_empty() {
            return Ok(());
        }
        let mut content = self.main_cf()?;
        for name in names {
            content.extend_from_slice(format!("{name} =\n").as_bytes());
        }
        self.scratch.put("main.cf", &content).map(drop)
    }

    /// `postconf FLAG ARGUMENT…`; nothing without arguments.
    pub fn edit(&self, flag: &str, arguments: &[String]) -> Result<(), Failure> {
        if arguments.is_empty() {
            return Ok(());
        }
        // A name from a record must never be read as an option: `-c` would be another Postfix's.
        let mut all = vec!["-c", self.directory.as_str(), flag, "--"];
        all.extend(arguments.iter().map(String::as_str));
        let what = format!("postconf {flag}");
        run("postconf", &all)?
            .done(&what)
            .map(drop)
            .map_err(|failure| Failure {
                message: format!("{}; nothing was changed", failure.message),
                ..failure
            })
    }

    /// Whether this Postfix knows a parameter.
    pub fn knows(&self, name: &str) -> Result<bool, Failure> {
        let ran = run("postconf", &["-c", &self.directory, "-d", "-h", name])?;
        Ok(!ran.out.trim().is_empty())
    }

    /// main.cf as it is by now.
    pub fn main_cf(&self) -> Result<Vec<u8>, Failure> {
        self.scratch.read("main.cf")
    }

    /// master.cf as it is by now.
    pub fn master_cf(&self) -> Result<Vec<u8>, Failure> {
        self.scratch.read("master.cf")
    }
}

/// `postconf` would write a new setting behind a last line without an end, and make one of two.
fn with_end(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    if content.last().is_some_and(|byte| *byte != b'\n') {
        content.push(b'\n');
    }
    content
}
