//! The kinds of key relayca makes.
//!
//! Enters: a name such as `p256`. Leaves: the kind. Refuses to know: how a key is made.

use std::fmt;
use std::str::FromStr;

use crate::key::KeyError;

/// The kinds of key relayca makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// ECDSA over NIST P-256 with SHA-256: loads everywhere, and fast.
    #[default]
    P256,
    /// ECDSA over NIST P-384 with SHA-384.
    P384,
    /// Ed25519 (RFC 8410); needs OpenSSL 1.1.1 or newer, and not every TLS library has it.
    Ed25519,
    /// RSA of 2048 bits with SHA-256.
    Rsa2048,
    /// RSA of 3072 bits with SHA-256.
    Rsa3072,
    /// RSA of 4096 bits with SHA-256.
    Rsa4096,
}

impl KeyType {
    /// All of them, the default first.
    pub const ALL: [KeyType; 6] = [
        KeyType::P256,
        KeyType::P384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
        KeyType::Rsa3072,
        KeyType::Rsa4096,
    ];

    /// The name used in settings and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            KeyType::P256 => "p256",
            KeyType::P384 => "p384",
            KeyType::Ed25519 => "ed25519",
            KeyType::Rsa2048 => "rsa2048",
            KeyType::Rsa3072 => "rsa3072",
            KeyType::Rsa4096 => "rsa4096",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        KeyType::ALL
            .into_iter()
            .find(|t| t.as_str() == text)
            .ok_or(KeyError::UnknownType)
    }
}
