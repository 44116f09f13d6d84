//! What mail servers other than Postfix must be told, so that a mail host relays by client certificate.
//!
//! Enters: a description of the mail host, or of a relay's service. Leaves: a [`Text`]: pieces of configuration, and a `sh`
//! script that puts them in place. Refuses to know: Postfix (but for the alphabets, and the shell that is the same for all),
//! files, clocks, keys, the network.
//!
//! Exim can be both, OpenSMTPD, msmtp and nullmailer a mail host only: none of the three can ask for a certificate of a list,
//! and a relay that trusts a whole CA is never printed.

mod error;
mod exim;
mod exim_relay;
mod files;
mod msmtp;
mod nullmailer;
mod opensmtpd;
mod script;

use std::fmt;
use std::str::FromStr;

use relayca_postfix::{NextHop, Refusal, validate};

pub use error::MtaError;
pub use files::{archived_map_script, files_script, map_script};

/// The list of certificates that may relay through Exim, as a file name beside the key.
pub const EXIM_LIST: &str = "relay_clientcerts.exim";

/// A mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Mta {
    /// Postfix, which this crate has no words for.
    #[default]
    Postfix,
    /// Exim 4.
    Exim,
    /// OpenSMTPD 7.
    OpenSmtpd,
    /// msmtp, which has no queue.
    Msmtp,
    /// nullmailer.
    Nullmailer,
}

impl Mta {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Postfix,
        Self::Exim,
        Self::OpenSmtpd,
        Self::Msmtp,
        Self::Nullmailer,
    ];

    /// Its word in settings and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Exim => "exim",
            Self::OpenSmtpd => "opensmtpd",
            Self::Msmtp => "msmtp",
            Self::Nullmailer => "nullmailer",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postfix => "Postfix",
            Self::Exim => "Exim",
            Self::OpenSmtpd => "OpenSMTPD",
            Self::Msmtp => "msmtp",
            Self::Nullmailer => "nullmailer",
        }
    }

    /// Where Debian keeps its configuration.
    #[must_use]
    pub fn usual_directory(self) -> &'static str {
        match self {
            Self::Postfix => "/etc/postfix",
            Self::Exim => "/etc/exim4",
            Self::OpenSmtpd | Self::Msmtp => "/etc",
            Self::Nullmailer => "/etc/nullmailer",
        }
    }

    /// Whether it can let in who shows a good certificate and is listed, and nobody else.
    #[must_use]
    pub fn can_be_relay(self) -> bool {
        matches!(self, Self::Postfix | Self::Exim)
    }
}

impl fmt::Display for Mta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mta {
    type Err = MtaError;

    fn from_str(text: &str) -> Result<Self, MtaError> {
        Self::ALL
            .into_iter()
            .find(|mta| mta.as_str() == text)
            .ok_or_else(|| MtaError::Unknown(validate::shown(text)))
    }
}

/// A mail host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The domain of the authority.
    pub domain: String,
    /// The mail host, as its certificate and key files are named.
    pub host: String,
    /// Where its mail server keeps its configuration.
    pub directory: String,
    /// The relays, the preferred one first. They are reached by the names in their certificates: none of these mail servers
    /// can be told to look for another name.
    pub relays: Vec<NextHop>,
    /// TLS from the first byte instead of STARTTLS.
    pub wrapper: bool,
}

/// A relay's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The domain of the authority.
    pub domain: String,
    /// The relay, as its certificate and key files are named.
    pub relay: String,
    /// Where its mail server keeps its configuration.
    pub directory: String,
    /// The port of the service.
    pub port: u16,
    /// TLS from the first byte instead of STARTTLS.
    pub wrapper: bool,
    /// What those hear who may not relay.
    pub refusal: Refusal,
}

/// A file of configuration, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is, as the end of a file's name.
    pub name: &'static str,
    /// The text.
    pub text: String,
}

/// What a mail server must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The configuration, with comments.
    pub pieces: Vec<Piece>,
    /// What to paste, as root, into a shell.
    pub script: String,
    /// What the admin should know beforehand, one sentence each.
    pub warnings: Vec<String>,
}

/// What a mail host must be told.
///
/// # Errors
/// [`MtaError`] where a name, directory or port is not plain, there is no relay, or the mail server is Postfix.
pub fn sender(mta: Mta, sender: &Sender) -> Result<Text, MtaError> {
    let checked = script::Checked::of(sender)?;
    match mta {
        Mta::Postfix => Err(MtaError::NotHere),
        Mta::Exim => Ok(exim::sender(&checked)),
        Mta::OpenSmtpd => Ok(opensmtpd::sender(&checked)),
        Mta::Msmtp => Ok(msmtp::sender(&checked)),
        Mta::Nullmailer => Ok(nullmailer::sender(&checked)),
    }
}

/// What a relay must be told.
///
/// # Errors
/// [`MtaError`] where a name, directory or port is not plain, or the mail server cannot keep such a list.
pub fn receiver(mta: Mta, receiver: &Receiver) -> Result<Text, MtaError> {
    match mta {
        Mta::Postfix => Err(MtaError::NotHere),
        Mta::Exim => exim_relay::receiver(receiver),
        Mta::OpenSmtpd | Mta::Msmtp | Mta::Nullmailer => Err(MtaError::NoRelay(mta)),
    }
}
