//! Recipients: whom something is sealed to.
//!
//! In comes the public text of a recipient, typed or from a file; out comes a value ready for sealing. It refuses to
//! know secrets and files.

use std::fmt;

use age::ssh::ParseRecipientKeyError;

use crate::native::NativeRecipient;
use crate::prompt::printable;
use crate::ssh_wire;

/// A public key in text; the largest in use (post-quantum tags) have some 2000 characters.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// A recipients file with more than this is some other file.
const MAX_FILE_BYTES: usize = 1 << 20;

/// Somebody who can open what is sealed: an age key, an SSH key or a token behind a plugin. Public, so printable.
#[derive(Clone)]
pub struct Recipient {
    pub(crate) key: RecipientKey,
    text: String,
}

#[derive(Clone)]
pub(crate) enum RecipientKey {
    Native(NativeRecipient),
    Ssh(age::ssh::Recipient),
    Tag(age::tag::Recipient),
    TagPq(Box<age::tagpq::Recipient>),
    Plugin(age::plugin::Recipient),
}

impl Recipient {
    /// Reads one recipient: `age1...` (X25519), `ssh-ed25519 AAAA...`, `ssh-rsa AAAA...` (2048 to 4096 bits), `age1tag1...`,
    /// or `age1PLUGIN1...`. The comment of an SSH key is dropped.
    ///
    /// # Errors
    /// [`RecipientError`]; an age or SSH *secret* key given here by mistake is refused without being repeated.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(RecipientError::Empty);
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(RecipientError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(RecipientError::ControlCharacter);
        }
        let upper = text.to_ascii_uppercase();
        // A secret may stand behind a word or a mark; a plugin's name may stand in the comment of an SSH key.
        if upper.contains("AGE-SECRET-KEY-")
            || upper.starts_with("AGE-PLUGIN-")
            || upper.contains("PRIVATE KEY")
        {
            return Err(RecipientError::Secret);
        }
        if text.starts_with("age1") {
            Self::parse_age(text)
        } else {
            Self::parse_ssh(text)
        }
    }

    fn parse_age(text: &str) -> Result<Self, RecipientError> {
        let invalid = |reason| RecipientError::Invalid {
            text: shown(text),
            reason,
        };
        let key = if let Some(native) = NativeRecipient::parse(text) {
            RecipientKey::Native(native)
        } else if text.starts_with("age1tag1") {
            RecipientKey::Tag(text.parse().map_err(invalid)?)
        } else if text.starts_with("age1tagpq1") {
            RecipientKey::TagPq(Box::new(text.parse().map_err(invalid)?))
        } else {
            // The prefix alone would be a plugin without a name; say what is wrong with the X25519 text instead.
            let plugin: age::plugin::Recipient = text.parse().map_err(|_| {
                invalid("not a valid age recipient: a character is wrong or missing")
            })?;
            RecipientKey::Plugin(plugin)
        };
        Ok(Self {
            key,
            text: text.to_owned(),
        })
    }

    fn parse_ssh(text: &str) -> Result<Self, RecipientError> {
        let mut words = text.split_whitespace();
        let (kind, encoded) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let bare = format!("{kind} {encoded}");
        let parsed = if ssh_wire::public_is_fit(encoded) {
            bare.parse()
        } else {
            Err(ParseRecipientKeyError::Invalid("unfit"))
        };
        let key: age::ssh::Recipient = parsed.map_err(|e| match e {
            ParseRecipientKeyError::Unsupported(kind) => {
                RecipientError::SshKind { kind: shown(&kind) }
            }
            ParseRecipientKeyError::RsaModulusTooLarge => RecipientError::RsaSize {
                problem: "more than 4096",
            },
            ParseRecipientKeyError::RsaModulusTooSmall => RecipientError::RsaSize {
                problem: "fewer than 2048",
            },
            _ if encoded.starts_with("AAAA") => RecipientError::Invalid {
                text: shown(text),
                reason: "the SSH key is damaged or cut short",
            },
            _ => RecipientError::Unknown { text: shown(text) },
        })?;
        // The parser looks at the length that the key declares only; anything behind it is not part of the key.
        if key.to_string() != bare {
            return Err(RecipientError::Invalid {
                text: shown(text),
                reason: "the SSH key has extra characters",
            });
        }
        Ok(Self {
            key: RecipientKey::Ssh(key),
            text: bare,
        })
    }

    /// Whether sealing to it runs a plugin, which may wait for a person or a token.
    pub fn needs_plugin(&self) -> bool {
        matches!(self.key, RecipientKey::Plugin(_))
    }

    pub(crate) fn native(key: &age::x25519::Recipient) -> Self {
        Self {
            text: key.to_string(),
            key: RecipientKey::Native(NativeRecipient::of(key)),
        }
    }

    /// The recipient as it is written in a recipients file, without comment.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the plugin that seals for it (`yubikey` for `age-plugin-yubikey`), if it needs one.
    pub fn plugin(&self) -> Option<&str> {
        match &self.key {
            RecipientKey::Plugin(p) => Some(p.plugin()),
            _ => None,
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({:?})", self.text)
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Recipient {}

/// Reads a recipients file as `age -R` does: one recipient a line, `#` comments and empty lines skipped. An
/// `authorized_keys` file without options is one too.
///
/// # Errors
/// [`RecipientError::Line`] with the line number, or [`RecipientError::NoneInFile`].
pub fn parse_recipients_file(text: &str) -> Result<Vec<Recipient>, RecipientError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(RecipientError::TooLong);
    }
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let recipient = Recipient::parse(line).map_err(|error| RecipientError::Line {
            line: index + 1,
            error: Box::new(error),
        })?;
        found.push(recipient);
    }
    if found.is_empty() {
        Err(RecipientError::NoneInFile)
    } else {
        Ok(found)
    }
}

/// The beginning of a text, for an error message.
fn shown(text: &str) -> String {
    let clean = printable(text);
    match clean.char_indices().nth(40) {
        Some((cut, _)) => format!("{}...", &clean[..cut]),
        None => clean,
    }
}

/// Why a text is no recipient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// Nothing was given.
    #[error("the recipient is empty")]
    Empty,
    /// A recipient over 16 KiB or a file over 1 MiB.
    #[error("the text is too long for recipients")]
    TooLong,
    /// A tab, an escape or the like inside.
    #[error("the recipient contains a control character")]
    ControlCharacter,
    /// The secret half was given.
    #[error("a secret key was given where a recipient belongs")]
    Secret,
    /// Not of any known form.
    #[error("`{text}` is not a recipient")]
    Unknown {
        /// Its beginning.
        text: String,
    },
    /// Of a known form, but damaged.
    #[error("`{text}`: {reason}")]
    Invalid {
        /// Its beginning.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An SSH key of a kind that age cannot seal to.
    #[error("SSH keys of type `{kind}` cannot be sealed to")]
    SshKind {
        /// The SSH key type.
        kind: String,
    },
    /// An RSA key too short to be safe or too long to be used.
    #[error("the `ssh-rsa` key has {problem} bits")]
    RsaSize {
        /// Which bound it breaks.
        problem: &'static str,
    },
    /// A line of a recipients file.
    #[error("line {line}: {error}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: Box<RecipientError>,
    },
    /// Only comments, or nothing at all.
    #[error("the recipients file names nobody")]
    NoneInFile,
}

impl RecipientError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Secret => Some("give the public half: `age-keygen -y FILE` or `ssh-keygen -y -f FILE` prints it".into()),
            Self::SshKind { .. } | Self::RsaSize { .. } => {
                Some("use the `ssh-ed25519` key, for a host `/etc/ssh/ssh_host_ed25519_key.pub`".into())
            }
            Self::Line { error, .. } => error.hint(),
            Self::Empty | Self::Unknown { .. } | Self::NoneInFile => {
                Some("recipients are `age1...`, `ssh-ed25519 AAAA...`, `ssh-rsa AAAA...` or `age1PLUGIN1...`".into())
            }
            Self::TooLong | Self::ControlCharacter | Self::Invalid { .. } => {
                Some("copy the whole recipient, on one line".into())
            }
        }
    }
}
