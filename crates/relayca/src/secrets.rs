//! Passphrases and identities, from wherever the user keeps them.
//!
//! In: the global options, the terminal. Out: [`Passphrase`] and [`Identities`]. It refuses to know what
//! they open. No secret comes from the command line or the environment; a prompt appears only on a
//! terminal, and where there is none the error names the flag.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use relayca_bundle::{Identities, Passphrase, Prompt};
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::disk;
use crate::failure::{Failure, INTERRUPTED};
use crate::printer::Printer;
use crate::process;

/// Bytes of a passphrase line, far above what anybody types.
const LONGEST_PASSPHRASE: u64 = 4096;
/// Characters; a new passphrase of fewer draws a warning.
const SHORT_PASSPHRASE: usize = 14;
/// What a descriptor is opened as.
const DESCRIPTORS: &str = "/dev/fd";
/// Bytes of an identity file.
const LONGEST_IDENTITY: usize = 1 << 20;

/// Where this run's secrets come from.
#[derive(Debug)]
pub struct Secrets {
    source: Arc<Source>,
    identities: Vec<PathBuf>,
}

/// The passphrase source, which the prompts of encrypted identities share.
struct Source {
    file: Option<PathBuf>,
    printer: Printer,
    read: Mutex<Option<Zeroizing<String>>>,
    /// Why an identity's or a plugin's question could not be answered; the libraries only learn that.
    unanswered: Mutex<Option<Failure>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Source([elided])")
    }
}

impl Secrets {
    /// Takes the sources named by the global options; reads nothing yet.
    pub fn new(global: &Global, printer: Printer) -> Self {
        let file = match global.passphrase_fd {
            Some(number) => Some(Path::new(DESCRIPTORS).join(number.to_string())),
            None => global.passphrase_file.clone(),
        };
        Self {
            source: Arc::new(Source {
                file,
                printer,
                read: Mutex::new(None),
                unanswered: Mutex::new(None),
            }),
            identities: global.identity.clone(),
        }
    }

    /// Whether a passphrase was given by a flag, so that none is asked for.
    pub fn has_passphrase(&self) -> bool {
        self.source.file.is_some()
    }

    /// The identity files named by `-i`, as absolute paths where they can be.
    pub fn identity_files(&self) -> Vec<PathBuf> {
        self.identities
            .iter()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            .collect()
    }

    /// A passphrase that exists already. `what` completes "passphrase of …".
    pub fn passphrase(&self, what: &str) -> Result<Passphrase, Failure> {
        match self.source.text(what)? {
            Some(text) => Ok(Passphrase::new(text)?),
            None => Err(needs_terminal(&format!(
                "the passphrase of {what} is needed"
            ))),
        }
    }

    /// A new passphrase: asked for twice on a terminal.
    pub fn new_passphrase(&self, what: &str) -> Result<Passphrase, Failure> {
        if self.has_passphrase() {
            let given = self.passphrase(what)?;
            self.warn_of_short(&given);
            return Ok(given);
        }
        if !on_terminal() {
            return Err(needs_terminal(&format!(
                "a new passphrase for {what} is needed"
            )));
        }
        self.typed_twice(what)
    }

    /// A passphrase that takes the place of another: from the first line of `file`, or asked for twice on a terminal. The
    /// options that give passphrases give the other one.
    pub fn replacement(&self, what: &str, file: Option<&Path>) -> Result<Passphrase, Failure> {
        let Some(file) = file else {
            if on_terminal() {
                return self.typed_twice(what);
            }
            return Err(Failure::usage(format!(
                "a new passphrase for {what} is needed and there is no terminal to ask on"
            ))
            .hint("give --new-passphrase-file FILE"));
        };
        if file == Path::new("-") && self.source.file.as_deref() == Some(file) {
            return Err(
                Failure::usage("both passphrases are to come from standard input")
                    .hint("give one of them in a file, or by --passphrase-fd"),
            );
        }
        let given = Passphrase::new(first_line(file)?)?;
        self.warn_of_short(&given);
        Ok(given)
    }

    fn typed_twice(&self, what: &str) -> Result<Passphrase, Failure> {
        let first = Passphrase::new(ask(&format!("New passphrase for {what}: "))?)?;
        let second = Passphrase::new(ask("The same again: ")?)?;
        if !first.same_as(&second) {
            return Err(
                Failure::new("the two passphrases differ; nothing was changed")
                    .hint("run it again"),
            );
        }
        self.warn_of_short(&first);
        Ok(first)
    }

    /// Whoever takes the authority's directory can try passphrases, each a second or so.
    fn warn_of_short(&self, passphrase: &Passphrase) {
        if passphrase.expose().chars().count() < SHORT_PASSPHRASE {
            self.source.printer.warning(
                "the passphrase is short: whoever takes the authority's directory can guess it",
            );
            self.source.printer.hint("take four random words or more");
        }
    }

    /// The identities of `-i`, or else those that the settings name. `None` where neither names any.
    pub fn identities(&self, from_settings: &[String]) -> Result<Option<Identities>, Failure> {
        let fallback: Vec<PathBuf> = from_settings.iter().map(PathBuf::from).collect();
        let files = if self.identities.is_empty() {
            &fallback
        } else {
            &self.identities
        };
        let mut all: Option<Identities> = None;
        for file in files {
            let read = self.identity_file(file)?;
            all = Some(match all {
                None => read,
                Some(mut identities) => {
                    identities.merge(read);
                    identities
                }
            });
        }
        Ok(all)
    }

    /// The identities in a text that was read already.
    pub fn parse_identities(&self, text: &[u8], name: &str) -> Result<Identities, Failure> {
        let prompt: Arc<dyn Prompt> = self.prompt();
        Ok(Identities::parse(text, name, prompt)?)
    }

    /// Why a question of an identity or a plugin was not answered, if one was not: the cause behind a
    /// failure to open something.
    pub fn unanswered(&self) -> Option<Failure> {
        self.source
            .unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Answers the questions of plugins and encrypted identities.
    pub fn prompt(&self) -> Arc<dyn Prompt> {
        Arc::clone(&self.source) as Arc<dyn Prompt>
    }

    fn identity_file(&self, file: &Path) -> Result<Identities, Failure> {
        let content = disk::read(file, LONGEST_IDENTITY).map_err(|failure| {
            failure.hint("`-i` takes the file of an age identity or an SSH private key")
        })?;
        self.parse_identities(&content, &file.display().to_string())
    }
}

impl Source {
    /// The passphrase of the file or descriptor, read once; or what is typed on a terminal.
    fn text(&self, what: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        let Some(file) = &self.file else {
            return if on_terminal() {
                ask(&format!("Passphrase of {what}: ")).map(Some)
            } else {
                Ok(None)
            };
        };
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match kept.take() {
            Some(text) => text,
            None => first_line(file)?,
        };
        let copy = text.clone();
        *kept = Some(text);
        Ok(Some(copy))
    }
}

impl Prompt for Source {
    fn passphrase(&self, description: &str) -> Option<Zeroizing<String>> {
        let failure = match self.text(description) {
            Ok(Some(text)) => return Some(text),
            Ok(None) => needs_terminal(&format!("the passphrase of {description} is needed")),
            Err(failure) => failure,
        };
        *self
            .unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(failure);
        None
    }

    fn message(&self, message: &str) {
        // A token waits for a touch: `-q` must not hide that.
        self.printer.notice(message);
    }
}

/// Prompts only where a person sees the question and types the answer.
pub fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks on the terminal, without an echo.
pub fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    process::watch_for_interrupts();
    rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| match error.kind() {
            // The prompt takes Ctrl-C as a letter, so no signal came.
            std::io::ErrorKind::Interrupted => Failure {
                code: INTERRUPTED,
                ..Failure::new("interrupted; nothing was changed")
            },
            _ => Failure::new(format!(
                "cannot read a passphrase from the terminal: {error}"
            )),
        })
}

fn needs_terminal(message: &str) -> Failure {
    Failure::usage(format!("{message} and there is no terminal to ask on"))
        .hint("give --passphrase-file FILE or --passphrase-fd N")
}

/// The first line of a file; `-` is standard input.
pub fn first_line(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| match file.strip_prefix(DESCRIPTORS) {
        // One that is closed is a passphrase that was not given.
        Ok(number) if error.kind() == std::io::ErrorKind::NotFound => {
            let number = number.display();
            Failure::usage(format!(
                "the descriptor {number} is not open: no passphrase was given"
            ))
            .hint(format!(
                "open it for relayca: `relayca ... --passphrase-fd {number} {number}<FILE`"
            ))
        }
        _ => Failure::io("read the passphrase from", file, &error),
    };
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let line = first_line_of(source).map_err(failed)?;
    if line.is_empty() {
        return Err(
            Failure::usage(format!("`{}` holds no passphrase", file.display()))
                .hint("the passphrase is its first line"),
        );
    }
    Ok(line)
}

/// The first line of whatever it is, without its end.
pub fn first_line_of(source: impl Read) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(LONGEST_PASSPHRASE as usize));
    BufReader::with_capacity(LONGEST_PASSPHRASE as usize, source.take(LONGEST_PASSPHRASE))
        .read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}
