//! Identities: the secret halves that open what was sealed.
//!
//! In come the bytes of an identity file; out comes a set of keys, some of which stay locked until opening needs them.
//! It refuses to know where the files lie and how a person is asked: the caller brings bytes and a [`Prompt`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::locked::{LockedFile, LockedSsh};
use crate::native::NativeIdentity;
use crate::prompt::{Asked, Prompt, printable};
use crate::recipient::Recipient;
use crate::seal::{self};
use crate::seal_error::OpenError;
use crate::ssh_wire;

/// An identity file with more than this is some other file.
const MAX_FILE_BYTES: usize = 1 << 20;

/// An SSH private key with more than this is none: RSA with 16384 bits, four times what age takes, has some 13,000.
const MAX_SSH_BYTES: usize = 16 << 10;

/// And one with more lines: `ssh-keygen` writes 70 characters on each.
const MAX_SSH_LINES: usize = 512;

/// Secret keys to open with. Neither `Clone` nor printable.
#[derive(Default)]
pub struct Identities {
    keys: Vec<Key>,
}

/// One identity, clear or locked. The order is the order of trying: what asks nobody comes first.
pub(crate) enum Key {
    Native(NativeIdentity),
    Ssh(Box<age::ssh::Identity>, Option<Recipient>),
    LockedSsh(Box<LockedSsh>),
    LockedFile(Box<LockedFile>),
    Plugin(PluginKeys),
}

/// All identities of one plugin, given to it in one run.
pub(crate) struct PluginKeys {
    pub(crate) plugin: String,
    identities: Vec<age::plugin::Identity>,
    asked: Asked,
}

impl Identities {
    /// Reads an identity file: age identities (one a line, `AGE-SECRET-KEY-1...` or `AGE-PLUGIN-...`), such a file encrypted with
    /// a passphrase (armored or not), or an SSH private key (`ssh-ed25519`, `ssh-rsa`; with or without passphrase).
    ///
    /// Nothing is asked here: a locked identity asks `prompt` when it is first needed to open something.
    /// `name` is what errors and prompts call the file.
    ///
    /// # Errors
    /// [`IdentityError`], with the line where there is one and never with what stands in it.
    pub fn parse(bytes: &[u8], name: &str, prompt: Arc<dyn Prompt>) -> Result<Self, IdentityError> {
        let name = printable(name);
        if bytes.len() > MAX_FILE_BYTES {
            return Err(IdentityError::TooLarge { name });
        }
        if seal::looks_like_age(bytes) {
            return LockedFile::new(bytes, &name, prompt).map(|file| Self {
                keys: vec![Key::LockedFile(Box::new(file))],
            });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| IdentityError::NotIdentities { name: name.clone() })?;
        if text.trim_start().starts_with("-----BEGIN ") {
            return parse_ssh(text.trim_start(), name, prompt).map(|key| Self { keys: vec![key] });
        }
        parse_lines(text, &name, &prompt)
    }

    /// Adds the keys of another set behind these.
    pub fn merge(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The recipients of these identities, as far as they are known without asking anybody: of age and SSH keys, not
    /// of plugins, and of an encrypted identity file only after it was unlocked.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.keys.iter().flat_map(Key::recipients).collect()
    }

    /// Whether opening with them asks nobody and runs nothing: only clear age and SSH keys.
    pub fn native_only(&self) -> bool {
        self.keys
            .iter()
            .all(|k| matches!(k, Key::Native(_) | Key::Ssh(..)))
    }

    /// Whether opening asks nobody any more: clear keys, and locked ones that were unlocked by now; no plugins.
    pub fn asks_nobody(&self) -> bool {
        self.keys.iter().all(|key| match key {
            Key::Native(_) | Key::Ssh(..) => true,
            Key::LockedSsh(key) => key.is_unlocked(),
            Key::LockedFile(file) => file.inside().is_some_and(Self::asks_nobody),
            Key::Plugin(_) => false,
        })
    }

    /// The keys in the order in which they are to be tried.
    pub(crate) fn in_order(&self) -> Vec<&Key> {
        let mut keys: Vec<&Key> = self.keys.iter().collect();
        keys.sort_by_key(|k| k.rank());
        keys
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({} [elided])", self.keys.len())
    }
}

impl Key {
    fn rank(&self) -> u8 {
        match self {
            Self::Native(_) => 0,
            Self::Ssh(..) => 1,
            Self::LockedSsh(_) => 2,
            Self::LockedFile(_) => 3,
            Self::Plugin(_) => 4,
        }
    }

    fn recipients(&self) -> Vec<Recipient> {
        match self {
            Self::Native(identity) => vec![identity.recipient().clone()],
            Self::Ssh(_, recipient) => recipient.iter().cloned().collect(),
            Self::LockedSsh(key) => vec![key.recipient().clone()],
            Self::LockedFile(file) => file.recipients(),
            Self::Plugin(_) => Vec::new(),
        }
    }
}

/// One key trying one file. What prevents it from trying is noted, so that the other keys still get their turn.
pub(crate) struct Attempt<'a> {
    pub(crate) key: &'a Key,
    pub(crate) troubles: &'a Mutex<Vec<OpenError>>,
}

impl Attempt<'_> {
    fn note(&self, trouble: OpenError) {
        self.troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(trouble);
    }
}

type Unwrapped = Option<Result<age_core::format::FileKey, age::DecryptError>>;

impl age::Identity for Attempt<'_> {
    fn unwrap_stanza(&self, stanza: &age_core::format::Stanza) -> Unwrapped {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[age_core::format::Stanza]) -> Unwrapped {
        match self.key {
            Key::Native(identity) => identity.unwrap_stanzas(stanzas),
            Key::Ssh(identity, _) => identity.unwrap_stanzas(stanzas),
            Key::LockedSsh(key) => match key.unlocked_for(stanzas) {
                Ok(identity) => identity.and_then(|i| i.unwrap_stanzas(stanzas)),
                Err(trouble) => {
                    self.note(trouble);
                    None
                }
            },
            Key::LockedFile(file) => match file.unlocked() {
                Ok(inside) => inside
                    .in_order()
                    .into_iter()
                    .find_map(|key| Attempt { key, ..*self }.unwrap_stanzas(stanzas)),
                Err(trouble) => {
                    self.note(trouble);
                    None
                }
            },
            Key::Plugin(keys) => keys.unwrap_stanzas(stanzas, self),
        }
    }
}

impl PluginKeys {
    fn unwrap_stanzas(
        &self,
        stanzas: &[age_core::format::Stanza],
        attempt: &Attempt<'_>,
    ) -> Unwrapped {
        use age::Identity as _;
        let plugin = match age::plugin::IdentityPluginV1::new(
            &self.plugin,
            &self.identities,
            self.asked.clone(),
        ) {
            Ok(plugin) => plugin,
            Err(_) => {
                attempt.note(OpenError::PluginMissing {
                    plugin: self.plugin.clone(),
                });
                return None;
            }
        };
        match plugin.unwrap_stanzas(stanzas) {
            Some(Err(e)) => {
                attempt.note(OpenError::Plugin {
                    plugin: self.plugin.clone(),
                    message: printable(&e.to_string()),
                });
                None
            }
            other => other,
        }
    }
}

/// Reads the lines of an age identity file.
pub(crate) fn parse_lines(
    text: &str,
    name: &str,
    prompt: &Arc<dyn Prompt>,
) -> Result<Identities, IdentityError> {
    let mut keys: Vec<Key> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(native) = NativeIdentity::parse(line) {
            keys.push(Key::Native(native));
        } else if let Ok(identity) = line.parse::<age::plugin::Identity>() {
            let plugin = identity.plugin().to_owned();
            let known = keys.iter_mut().find_map(|key| match key {
                Key::Plugin(keys) if keys.plugin == plugin => Some(keys),
                _ => None,
            });
            match known {
                Some(keys) => keys.identities.push(identity),
                None => {
                    let asked = Asked(Arc::clone(prompt));
                    keys.push(Key::Plugin(PluginKeys {
                        plugin,
                        identities: vec![identity],
                        asked,
                    }));
                }
            }
        } else if line.starts_with("age1") || line.starts_with("ssh-") {
            return Err(IdentityError::Public {
                name: name.to_owned(),
                line: index + 1,
            });
        } else {
            return Err(IdentityError::Line {
                name: name.to_owned(),
                line: index + 1,
            });
        }
    }
    if keys.is_empty() {
        return Err(IdentityError::NoneInFile {
            name: name.to_owned(),
        });
    }
    Ok(Identities { keys })
}

fn parse_ssh(text: &str, name: String, prompt: Arc<dyn Prompt>) -> Result<Key, IdentityError> {
    let ssh = text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
        || text.starts_with("-----BEGIN RSA PRIVATE KEY-----");
    if !ssh {
        return Err(IdentityError::UnsupportedKey {
            name,
            kind: "not an OpenSSH key".into(),
        });
    }
    // age begins such a file anew for each of its lines.
    let long = text.len() > MAX_SSH_BYTES || text.lines().count() > MAX_SSH_LINES;
    if long || !ssh_wire::private_is_fit(text) {
        return Err(IdentityError::Damaged { name });
    }
    let identity = age::ssh::Identity::from_buffer(text.as_bytes(), None)
        .map_err(|_| IdentityError::Damaged { name: name.clone() })?;
    let recipient = age::ssh::Recipient::try_from(identity.clone()).ok();
    let recipient = recipient.and_then(|r| Recipient::parse(&r.to_string()).ok());
    match identity {
        age::ssh::Identity::Encrypted(key) => match recipient {
            Some(recipient) => Ok(Key::LockedSsh(Box::new(LockedSsh::new(
                key, recipient, name, prompt,
            )))),
            None => Err(IdentityError::UnsupportedKey {
                name,
                kind: "its public half cannot be used".into(),
            }),
        },
        age::ssh::Identity::Unsupported(unsupported) => {
            use age::ssh::UnsupportedKey as U;
            let kind = match unsupported {
                U::EncryptedPem => "an encrypted PEM key, a weak old format".to_owned(),
                U::EncryptedSsh(cipher) => format!("encrypted with `{}`", printable(&cipher)),
                U::Hardware(kind) => format!("`{}`, held by a security token", printable(&kind)),
                U::Type(kind) => format!("of type `{}`", printable(&kind)),
            };
            Err(IdentityError::UnsupportedKey { name, kind })
        }
        clear @ age::ssh::Identity::Unencrypted(_) => Ok(Key::Ssh(Box::new(clear), recipient)),
    }
}

/// Makes a new age identity: the text of its identity file, as `age-keygen` writes it but without a date, and its recipient.
pub fn generate_identity() -> (Zeroizing<String>, Recipient) {
    let identity = age::x25519::Identity::generate();
    let recipient = Recipient::native(&identity.to_public());
    let secret = identity.to_string();
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str("# public key: ");
    text.push_str(recipient.text());
    text.push('\n');
    text.push_str(secret.expose_secret());
    text.push('\n');
    (text, recipient)
}

/// Why bytes are no identity file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Over 1 MiB.
    #[error("`{name}` is too large for an identity file")]
    TooLarge {
        /// The file.
        name: String,
    },
    /// Binary data that is no age file.
    #[error("`{name}` is not an identity file")]
    NotIdentities {
        /// The file.
        name: String,
    },
    /// A line that is neither identity nor comment.
    #[error("`{name}` line {line} is not an identity")]
    Line {
        /// The file.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// The public half was given.
    #[error("`{name}` line {line} is a recipient, not an identity")]
    Public {
        /// The file.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// Only comments, or nothing at all.
    #[error("`{name}` holds no identity")]
    NoneInFile {
        /// The file.
        name: String,
    },
    /// A private key block that cannot be read.
    #[error("the private key in `{name}` is damaged")]
    Damaged {
        /// The file.
        name: String,
    },
    /// A private key that age cannot open with.
    #[error("the private key in `{name}` cannot be used: {kind}")]
    UnsupportedKey {
        /// The file.
        name: String,
        /// What it is.
        kind: String,
    },
    /// An age file that is sealed to recipients, not to a passphrase.
    #[error("`{name}` is an age file that no passphrase opens")]
    SealedToRecipients {
        /// The file.
        name: String,
    },
    /// An age file that cannot be read.
    #[error("`{name}` is a damaged age file")]
    DamagedAge {
        /// The file.
        name: String,
    },
}

impl IdentityError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Public { .. } => Some("give the file with the secret key, made by `age-keygen -o FILE`".into()),
            Self::UnsupportedKey { .. } => {
                Some("use an `ssh-ed25519` or `ssh-rsa` key in OpenSSH format (`ssh-keygen -p -f FILE` converts), or an age identity".into())
            }
            Self::Damaged { .. } | Self::DamagedAge { .. } => Some("restore the file from a backup".into()),
            Self::SealedToRecipients { .. } => Some("open it with `age -d` first, or give the identity that opens it".into()),
            _ => Some("an identity file is what `age-keygen` writes, that file encrypted with `age -p`, or an SSH private key".into()),
        }
    }
}
