//! Why something is not sealed or opened, and what to do about it.
//!
//! In: what age, a plugin or a bound failed with. Out: [`SealError`] and [`OpenError`]. It refuses to know keys and content.

use crate::seal::{MAX_RECIPIENTS, MAX_WORK_FACTOR};

/// Why something cannot be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Sealed to nobody.
    #[error("there is no recipient to seal to")]
    NoRecipients,
    /// More than [`MAX_RECIPIENTS`], or recipients whose stanzas are too large together.
    #[error("there are too many recipients to seal to")]
    TooManyRecipients,
    /// Recipients that declare that they do not go together, such as post-quantum ones with others.
    #[error("the recipients cannot be combined")]
    IncompatibleRecipients,
    /// An X25519 recipient of low order: whatever is sealed to it, anybody could open.
    #[error("the recipient is no key of anybody: everybody could open what is sealed to it")]
    WeakRecipient,
    /// A work factor outside 1 to [`MAX_WORK_FACTOR`].
    #[error("the scrypt work factor {work_factor} is not between 1 and {MAX_WORK_FACTOR}")]
    WorkFactor {
        /// The one given.
        work_factor: u8,
    },
    /// Over 64 MiB.
    #[error("the content is larger than 64 MiB")]
    TooLarge,
    /// A plugin that is not in `PATH`.
    #[error("the plugin `age-plugin-{plugin}` was not found")]
    PluginMissing {
        /// Its name.
        plugin: String,
    },
    /// What a plugin reported.
    #[error("an age plugin failed: {message}")]
    Plugin {
        /// In its words.
        message: String,
    },
    /// The operating system's random generator failed.
    #[error("the system gave no random bytes")]
    Randomness,
    /// Writing to memory failed.
    #[error("the sealed file cannot be written")]
    Writing,
}

impl SealError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRecipients => {
                Some("give a recipient (`age1...`, `ssh-ed25519 AAAA...`) or a passphrase".into())
            }
            Self::TooManyRecipients => Some(format!("seal to at most {MAX_RECIPIENTS} recipients")),
            Self::IncompatibleRecipients => {
                Some("seal to post-quantum recipients only, or to none of them".into())
            }
            Self::PluginMissing { plugin } => Some(format!(
                "install `age-plugin-{plugin}` into a directory of PATH"
            )),
            Self::Plugin { .. } => {
                Some("run again with AGEDEBUG=plugin in the environment to see what it says".into())
            }
            Self::WeakRecipient => Some("leave that recipient out: no `age-keygen` made it".into()),
            Self::WorkFactor { .. } | Self::TooLarge | Self::Randomness | Self::Writing => None,
        }
    }
}

/// Why a sealed file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Over 64 MiB.
    #[error("the file is larger than 64 MiB")]
    TooLarge,
    /// The file could not be read to its end.
    #[error("the age file cannot be read: {reason}")]
    Reading {
        /// What the system said.
        reason: String,
    },
    /// Something else.
    #[error("the file is not an age file")]
    NotAge,
    /// age, but not version 1.
    #[error("the file is in a newer age format")]
    UnknownVersion,
    /// The end is missing, certainly.
    #[error("the age file is cut short")]
    Truncated,
    /// It does not authenticate: altered, or cut within its last part (age cannot tell these apart).
    #[error("the age file was altered or cut short")]
    Damaged,
    /// A header with more recipients than anybody has.
    #[error("the age file has too many recipients")]
    HeaderTooLarge,
    /// Sealed to others.
    #[error("none of the identities opens the age file")]
    WrongKey,
    /// Not this passphrase.
    #[error("the passphrase does not open the age file")]
    WrongPassphrase,
    /// Identities were given, a passphrase is needed.
    #[error("the age file is sealed with a passphrase")]
    NeedsPassphrase,
    /// A passphrase was given, an identity is needed.
    #[error("the age file is sealed to recipients")]
    NeedsIdentity,
    /// It asks for more work than [`MAX_WORK_FACTOR`].
    #[error("the age file asks for scrypt work factor {required}, more than {MAX_WORK_FACTOR}")]
    ExcessiveWork {
        /// The factor asked for.
        required: u8,
    },
    /// An identity with a passphrase, and nobody to ask.
    #[error("the identity `{name}` is locked by a passphrase")]
    IdentityLocked {
        /// The identity file.
        name: String,
    },
    /// The passphrase of an identity was wrong.
    #[error("the passphrase does not unlock the identity `{name}`")]
    WrongIdentityPassphrase {
        /// The identity file.
        name: String,
    },
    /// An encrypted identity file with something else inside.
    #[error("the identity file `{name}` cannot be used: {problem}")]
    IdentityFile {
        /// The identity file.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A plugin that is not in `PATH`.
    #[error("the plugin `age-plugin-{plugin}` was not found")]
    PluginMissing {
        /// Its name.
        plugin: String,
    },
    /// What a plugin reported.
    #[error("the plugin `age-plugin-{plugin}` failed: {message}")]
    Plugin {
        /// Its name.
        plugin: String,
        /// In its words.
        message: String,
    },
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge | Self::NotAge | Self::HeaderTooLarge => {
                Some("check that it is the file that relayca or `age` wrote".into())
            }
            Self::Reading { .. } => Some("check the disk that it lies on".into()),
            Self::UnknownVersion => Some("open it with a newer `age`".into()),
            Self::Truncated | Self::Damaged => {
                Some("copy it again, or restore it from a backup".into())
            }
            Self::WrongKey => {
                Some("give the identity that it was sealed to, with `-i FILE`".into())
            }
            Self::WrongPassphrase => {
                Some("check the passphrase; if it is right, the file was altered".into())
            }
            Self::NeedsPassphrase => {
                Some("give the passphrase, on a terminal or with `--passphrase-file FILE`".into())
            }
            Self::NeedsIdentity => Some("give an identity with `-i FILE`".into()),
            Self::ExcessiveWork { .. } => Some("do not trust it; relayca writes at most 18".into()),
            Self::IdentityLocked { .. } => {
                Some("run it on a terminal, where the passphrase can be asked".into())
            }
            Self::WrongIdentityPassphrase { .. } => {
                Some("check the passphrase of that identity".into())
            }
            Self::IdentityFile { .. } => Some("restore the identity file from a backup".into()),
            Self::PluginMissing { plugin } => Some(format!(
                "install `age-plugin-{plugin}` into a directory of PATH"
            )),
            Self::Plugin { .. } => {
                Some("run again with AGEDEBUG=plugin in the environment to see what it says".into())
            }
        }
    }
}
