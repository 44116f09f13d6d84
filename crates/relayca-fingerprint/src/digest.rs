//! A digest of DER bytes, written as Postfix writes it.
//!
//! In: the DER of a certificate, or of a public key (SubjectPublicKeyInfo, RFC 5280 4.1.2.7). Out: its fingerprint.

use std::fmt;
use std::str::FromStr;

use md5::Md5;
use serde::{Serialize, Serializer};
use sha1::Sha1;
use sha2::digest::Digest as _;
use sha2::{Sha256, Sha384, Sha512};

use crate::MapError;

/// A digest that Postfix can be told to use: `smtpd_tls_fingerprint_digest` in postconf(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// Postfix's default up to 3.5. Weak.
    Md5,
    /// Weak.
    Sha1,
    /// What relayca uses unless told otherwise.
    Sha256,
    /// Longer.
    Sha384,
    /// Longest.
    Sha512,
}

impl Digest {
    /// All of them, weakest first.
    pub const ALL: [Digest; 5] = [
        Digest::Md5,
        Digest::Sha1,
        Digest::Sha256,
        Digest::Sha384,
        Digest::Sha512,
    ];

    /// Gives the name that Postfix and OpenSSL know it by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Digest::Md5 => "md5",
            Digest::Sha1 => "sha1",
            Digest::Sha256 => "sha256",
            Digest::Sha384 => "sha384",
            Digest::Sha512 => "sha512",
        }
    }

    /// Gives its length in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Digest::Md5 => 16,
            Digest::Sha1 => 20,
            Digest::Sha256 => 32,
            Digest::Sha384 => 48,
            Digest::Sha512 => 64,
        }
    }

    /// Says whether collisions are known (RFC 6151 for MD5, RFC 6194 for SHA-1): for old Postfixes only.
    #[must_use]
    pub fn is_weak(self) -> bool {
        matches!(self, Digest::Md5 | Digest::Sha1)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Digest {
    type Err = MapError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Digest::ALL
            .into_iter()
            .find(|digest| digest.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| MapError::UnknownDigest {
                given: text.escape_default().to_string(),
            })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Upper-case hex pairs joined by colons. Postfix matches no other form: without colons never, and lower case only in
/// tables that fold it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Gives the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Gives the fingerprint of the DER bytes of a certificate or a public key.
#[must_use]
pub fn fingerprint(digest: Digest, der: &[u8]) -> Fingerprint {
    match digest {
        Digest::Md5 => pairs(&Md5::digest(der)),
        Digest::Sha1 => pairs(&Sha1::digest(der)),
        Digest::Sha256 => pairs(&Sha256::digest(der)),
        Digest::Sha384 => pairs(&Sha384::digest(der)),
        Digest::Sha512 => pairs(&Sha512::digest(der)),
    }
}

fn pairs(bytes: &[u8]) -> Fingerprint {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let mut text = String::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if !text.is_empty() {
            text.push(':');
        }
        text.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    Fingerprint(text)
}
