//! What can be wrong with a map, and what to do about it.

use crate::Digest;

/// Why a map could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// No such digest.
    #[error("there is no digest `{given}`")]
    UnknownDigest {
        /// What was given.
        given: String,
    },
    /// No such way of pinning.
    #[error("there is no pin `{given}`")]
    UnknownPin {
        /// What was given.
        given: String,
    },
    /// A host name that would not survive in a map.
    #[error("host `{host}` cannot stand in a map")]
    Host {
        /// The name, with everything unprintable escaped.
        host: String,
    },
    /// A serial or a date that would not survive in a comment.
    #[error("{field} of host `{host}` cannot stand in a map")]
    Comment {
        /// Which of the two.
        field: &'static str,
        /// The host.
        host: String,
    },
    /// Senders that would not survive in Exim's list.
    #[error("the senders of host `{host}` cannot stand in a list for Exim")]
    Senders {
        /// The host.
        host: String,
    },
    /// Two hosts with one key could not be told apart, nor cut off one by one.
    #[error("hosts `{first}` and `{second}` have the same key")]
    SharedKey {
        /// One host.
        first: String,
        /// The other.
        second: String,
    },
    /// The text is larger than any map.
    #[error("the map has more than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// A line that Postfix would not read as it is meant.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
}

/// What is wrong with a line of a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// Output of `openssl x509 -fingerprint`, pasted whole.
    #[error("the label before `=` would become the key")]
    Label,
    /// Hex digits in a row.
    #[error("the fingerprint has no colons between its bytes, and Postfix would never match it")]
    NoColons,
    /// Something else than hex pairs.
    #[error("the key is not a fingerprint")]
    NotHex,
    /// Hex pairs, but of no digest.
    #[error("the fingerprint has {bytes} bytes, which is the length of no digest")]
    Length {
        /// How many.
        bytes: usize,
    },
    /// A key and nothing after it.
    #[error("there is no host after the fingerprint")]
    NoHost,
    /// Postfix joins such a line to the one before.
    #[error("the line begins with white space, so it belongs to the line before")]
    Continuation,
    /// A control character.
    #[error("there is a control character in it")]
    Control,
    /// Longer than any entry.
    #[error("the line is too long")]
    TooLong,
    /// The key stood in an earlier line, with another host.
    #[error("the fingerprint stands in line {earlier} too, for another host")]
    Repeated {
        /// That line.
        earlier: usize,
    },
}

impl MapError {
    /// Gives the remedy, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            MapError::UnknownDigest { .. } => {
                let all: Vec<_> = Digest::ALL
                    .iter()
                    .map(|digest| format!("`{digest}`"))
                    .collect();
                return Some(format!("choose one of {}", all.join(", ")));
            }
            MapError::UnknownPin { .. } => "choose `pubkey`, `cert` or `both`",
            MapError::Host { .. } => {
                "a host is made of letters, digits, dots, hyphens, underscores and colons"
            }
            MapError::Senders { .. } => "write domains or addresses of letters, digits and `.-_+`",
            MapError::Comment { .. } | MapError::TooLong { .. } => return None,
            MapError::SharedKey { .. } => {
                "give each host a key of its own, so that one can be cut off without the other"
            }
            MapError::Line { problem, .. } => match problem {
                LineProblem::Label => "leave out everything up to and including the `=`",
                LineProblem::NoColons => "write it as pairs, `AA:BB:...`",
                LineProblem::NotHex | LineProblem::Length { .. } => {
                    "a line is a fingerprint such as `AA:BB:...` (16, 20, 32, 48 or 64 bytes), a space and a host"
                }
                LineProblem::NoHost => "write the host's name after the fingerprint",
                LineProblem::Continuation => "begin the line with the fingerprint",
                LineProblem::Control | LineProblem::TooLong => return None,
                LineProblem::Repeated { .. } => "remove one of the two",
            },
        };
        Some(text.to_owned())
    }
}
