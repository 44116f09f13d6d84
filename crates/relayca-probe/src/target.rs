//! Whom to talk to, how, and what it says it can do.
//!
//! In: what the caller wants. Out: values for [`Dialogue`](crate::Dialogue). It refuses to know sockets.

use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::error::ProbeError;
use crate::reply::{Reply, printable};

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// SMTP first, then STARTTLS: what Postfix does on all ports but 465.
    StartTls,
    /// TLS from the first byte (`smtpd_tls_wrappermode`).
    Implicit,
}

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Target {
    /// A host name, which is also sent as SNI, or an IP address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How TLS begins.
    pub mode: Mode,
}

/// How long it may take, looking up the name included.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For each address of the host to accept the connection.
    pub connect: Duration,
    /// For everything together.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 10 and 30 seconds: postscreen and greylisting servers may hold the greeting back for some seconds.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(30),
        }
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 9051.
    Imap,
    /// RFC 1939, with the capabilities of RFC 2449.
    Pop3,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
        }
    }
}

/// How to talk to it.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// How long the whole conversation may take.
    pub timeouts: Timeouts,
    /// What is spoken.
    pub protocol: Protocol,
    /// The name to send as SNI, where it is another than the host connected to.
    pub server_name: Option<String>,
}

/// What a server says it can do: keywords of EHLO, CAPABILITY or CAPA, each with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers(pub Vec<String>);

impl Offers {
    /// Whether this keyword is among them, in any case: `STARTTLS`, `AUTH`, `LOGINDISABLED`, `AUTH=PLAIN`.
    #[must_use]
    pub fn has(&self, keyword: &str) -> bool {
        self.get(keyword).is_some()
    }

    /// The arguments of a keyword; empty where it has none.
    #[must_use]
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.iter().find_map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            word.eq_ignore_ascii_case(keyword).then_some(rest)
        })
    }
}

/// The capabilities in a reply.
pub(crate) fn offers(protocol: Protocol, reply: &Reply) -> Offers {
    Offers(match protocol {
        Protocol::Smtp | Protocol::Pop3 => reply.lines.iter().skip(1).cloned().collect(),
        Protocol::Imap => reply
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix("CAPABILITY "))
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect(),
    })
}

/// A name or address as TLS takes it.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, ProbeError> {
    ServerName::try_from(host.to_owned()).map_err(|_| ProbeError::Host {
        host: printable(host.as_bytes()),
    })
}
