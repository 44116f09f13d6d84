//! The passphrase of a CA key made elsewhere.
//!
//! In: a file, a file that gpg opens, or the terminal. Out: its first line. It never lies in a file of ours, and is no
//! argument of any program; what gpg prints is read through a pipe.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::secrets;

/// Where it comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The first line of this file; `-` is standard input.
    File(PathBuf),
    /// The first line of what gpg makes of this file.
    Gpg(PathBuf),
    /// Asked for.
    Terminal,
}

impl Source {
    /// Takes what the command line names.
    pub fn of(file: Option<&Path>, gpg: Option<&Path>) -> Self {
        match (file, gpg) {
            (Some(file), _) => Self::File(file.to_owned()),
            (_, Some(file)) => Self::Gpg(file.to_owned()),
            _ => Self::Terminal,
        }
    }

    /// Reads it. `what` completes "passphrase of …".
    pub fn read(&self, what: &str) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::File(file) => secrets::first_line(file),
            Self::Gpg(file) => by_gpg(file),
            Self::Terminal if secrets::on_terminal() => {
                secrets::ask(&format!("Passphrase of {what}: "))
            }
            Self::Terminal => Err(Failure::usage(format!(
                "the passphrase of {what} is needed and there is no terminal to ask on"
            ))
            .hint("give --ca-passphrase-file FILE or --ca-passphrase-gpg FILE")),
        }
    }
}

/// gpg asks the user itself, through its agent; only where there is no terminal must it not try one.
fn by_gpg(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |why: String| {
        Failure::new(format!(
            "gpg does not open `{}`: {why}; nothing was made",
            file.display()
        ))
    };
    let mut gpg = Command::new("gpg");
    gpg.args(["--decrypt", "--quiet"]);
    if !std::io::stdin().is_terminal() {
        // What comes by standard input is for us.
        gpg.args(["--batch", "--no-tty"]).stdin(Stdio::null());
    }
    let mut gpg = gpg
        .arg("--")
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("there is no gpg on the PATH".into())
                .hint("install gnupg, or give the passphrase with --ca-passphrase-file"),
            _ => failed(error.to_string()).hint("give the passphrase with --ca-passphrase-file"),
        })?;
    let line = match gpg.stdout.take() {
        Some(out) => secrets::first_line_of(out),
        None => Ok(Zeroizing::new(String::new())),
    };
    // The pipe is closed by now: one that prints on ends of itself.
    let status = gpg.wait();
    let hint = format!(
        "`gpg --decrypt {}` must print the passphrase",
        file.display()
    );
    match (line, status) {
        (Ok(line), Ok(status)) if status.success() => {
            if line.is_empty() {
                return Err(failed("it holds no passphrase".into()).hint(hint));
            }
            Ok(line)
        }
        (Err(error), Ok(status)) if status.success() => {
            Err(failed(format!("what it prints cannot be read: {error}")).hint(hint))
        }
        _ => Err(failed("it ended with an error".into()).hint(hint)),
    }
}
