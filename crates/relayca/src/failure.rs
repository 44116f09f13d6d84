//! The one error that leaves a command: a message, a hint and an exit code.
//!
//! In: the error enums of the stages, input and output errors. Out: [`Failure`], printed by `main`.
//! It refuses to know what any command does.

use std::path::Path;

/// Exit code for a command line that cannot be understood or lacks something that no prompt can supply.
pub const USAGE: u8 = 2;
/// Exit code for everything else that went wrong.
pub const FAILED: u8 = 1;
/// Exit code after Ctrl-C: 128 plus the number of SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// What a command ends with when it cannot do its work. Nothing has been changed then, unless the
/// message says so.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Lower case, no full stop, literals in backticks.
    pub message: String,
    /// The remedy, as a sentence of its own.
    pub hint: Option<String>,
    /// The exit code of the process.
    pub code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: FAILED,
        }
    }

    /// A usage error, exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            ..Self::new(message)
        }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the remedy where there is none yet.
    #[must_use]
    pub fn or_hint(self, hint: &str) -> Self {
        if self.hint.is_some() {
            self
        } else {
            self.hint(hint)
        }
    }

    /// Adds the remedy, if there is one.
    #[must_use]
    pub fn hint_of(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// An input or output error on `path`, with the remedy for the common ones.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let failure = Self::new(format!(
            "cannot {doing} `{}`: {}",
            path.display(),
            plain(error)
        ));
        match error.kind() {
            Kind::PermissionDenied => failure.hint("run it as the user who owns the authority"),
            Kind::ReadOnlyFilesystem => failure.hint("the file system is mounted read-only"),
            Kind::StorageFull => failure
                .hint("the disk is full: free some room and run it again, nothing was changed"),
            Kind::QuotaExceeded => {
                failure.hint("the quota is used up: free some room and run it again")
            }
            Kind::NotFound => failure.hint("check the path: nothing is there"),
            Kind::IsADirectory => failure.hint("name a file, not a directory"),
            Kind::InvalidData => failure.hint("it must be text in UTF-8"),
            _ => failure.hint("remove the cause and run it again; nothing was changed"),
        }
    }

    /// Puts `context` before the message.
    #[must_use]
    pub fn within(mut self, context: impl std::fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

/// The operating system's words, without Rust's `(os error 13)`, in lower case.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text.to_owned(),
    }
}

/// Implements `From` for error enums that carry their own hint.
macro_rules! carries_hint {
    ($code:expr; $($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self { message: error.to_string(), hint: error.hint(), code: $code }
            }
        }
    )+};
}

// What people write on the command line. relayca.toml turns them into failures of its own.
carries_hint!(USAGE; relayca_bundle::RecipientError, relayca_ca::NameError, relayca_ca::ReasonError);

carries_hint!(
    FAILED;
    relayca_bundle::ArchiveError,
    relayca_bundle::IdentityError,
    relayca_bundle::OpenError,
    relayca_bundle::PassphraseError,
    relayca_bundle::SealError,
    relayca_bundle::TreeError,
    relayca_ca::CertificateError,
    relayca_ca::CrlError,
    relayca_ca::InspectError,
    relayca_ca::IssueError,
    relayca_ca::KeyError,
    relayca_ca::RequestError,
    relayca_ca::SerialError,
    relayca_fingerprint::MapError,
    relayca_inventory::InventoryError,
    relayca_mta::MtaError,
    relayca_postfix::SnippetError,
    relayca_probe::ProbeError,
);
