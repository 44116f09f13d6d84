//! What can be wrong with a description of a mail host or a relay, and the remedy.

use relayca_postfix::SnippetError;

use crate::Mta;

/// A description that cannot be turned into text. Nothing was rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MtaError {
    /// No such mail server.
    #[error("`{0}` is no mail server that is known here")]
    Unknown(String),
    /// It cannot ask for both a chain and an entry of a list.
    #[error("{} cannot be a relay: it has no list of certificates that may relay", .0.name())]
    NoRelay(Mta),
    /// Postfix is another crate's.
    #[error("Postfix has snippets of its own")]
    NotHere,
    /// A value that cannot be printed.
    #[error(transparent)]
    Value(#[from] SnippetError),
}

impl MtaError {
    /// The remedy, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(_) => {
                let words: Vec<&str> = Mta::ALL.iter().map(|mta| mta.as_str()).collect();
                Some(format!("write one of {}", words.join(", ")))
            }
            Self::NoRelay(Mta::OpenSmtpd) => Some(
                "`tls-require verify` would let in every certificate of the CA, also one that was revoked; use Postfix or Exim for the relay"
                    .to_owned(),
            ),
            Self::NoRelay(_) => Some("use Postfix or Exim for the relay".to_owned()),
            Self::NotHere => None,
            Self::Value(error) => error.hint(),
        }
    }
}
