//! Why a server could not be asked, or refused.
//!
//! In: what went wrong. Out: [`ProbeError`], with a remedy. It refuses to know what was wanted of the server.

use std::io;

use crate::wire::Attempt;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Neither a host name nor an address.
    #[error("`{host}` is neither a host name nor an IP address")]
    Host {
        /// As given, cleaned for printing.
        host: String,
    },
    /// No address, or none that accepts.
    #[error("cannot connect to `{host}` port {port}: {}", crate::wire::plain(.source))]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The addresses tried, in their order; none where the name has none.
        tried: Vec<Attempt>,
        /// Of the last address tried.
        source: io::Error,
    },
    /// The time given was not enough.
    #[error("timed out while waiting for {doing}")]
    TimedOut {
        /// What was waited for.
        doing: &'static str,
    },
    /// The server hung up.
    #[error("the server closed the connection instead of {doing}")]
    Closed {
        /// What was waited for.
        doing: &'static str,
    },
    /// The connection failed otherwise.
    #[error("the connection failed at {doing}: {source}")]
    Io {
        /// What was waited for.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Something else listens there.
    #[error("this is no {protocol} server; it says `{line}`")]
    Foreign {
        /// What was expected: `SMTP`, `IMAP` or `POP3`.
        protocol: &'static str,
        /// The beginning of what it said, cleaned for printing.
        line: String,
    },
    /// A reply that is not a yes.
    #[error("{doing} was {status} `{text}`")]
    Refused {
        /// Which reply.
        doing: &'static str,
        /// The SMTP code, or the IMAP or POP3 status.
        status: String,
        /// The text, cleaned for printing.
        text: String,
    },
    /// A line or a reply without end.
    #[error("{doing} is too long for {protocol}")]
    TooMuch {
        /// Which reply.
        doing: &'static str,
        /// The protocol.
        protocol: &'static str,
    },
    /// STARTTLS (STLS in POP3) is not among the capabilities.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// Bytes in the clear behind the answer to STARTTLS.
    #[error("the server sent text between STARTTLS and TLS")]
    Injected,
    /// The server ended TLS with an alert, in the handshake or, in TLS 1.3, at the first words behind it.
    #[error("the server ended TLS with the alert `{alert}` instead of {doing}")]
    Alert {
        /// The alert, in the words of RFC 8446 section 6: `certificate_required`.
        alert: String,
        /// What was waited for.
        doing: &'static str,
    },
    /// TLS failed otherwise.
    #[error("no TLS with the server: {reason}")]
    Tls {
        /// In the words of rustls.
        reason: String,
    },
    /// The certificate or key to show cannot be used.
    #[error("the client certificate cannot be shown: {reason}")]
    Identity {
        /// In the words of rustls; nothing of the key is in it.
        reason: String,
    },
    /// What was to be said is not one line, or is too long.
    #[error("that is not one command line")]
    Command,
    /// A message would go to a server that was not verified.
    #[error("the server on this connection is not the one that was verified; nothing was sent")]
    Unverified,
}

impl ProbeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host { .. } => Some(
                "write `relay.example.org:2500`, `192.0.2.1:2500` or `[2001:db8::1]:2500`".into(),
            ),
            Self::Connect { .. } | Self::TimedOut { .. } => Some(
                "check that the relay service runs (`postfix status`, `ss -ltn`) and no firewall is between".into(),
            ),
            Self::Foreign { .. } => {
                Some("check the port; a service that begins with TLS needs the implicit mode".into())
            }
            Self::NoStartTls => {
                Some("on the relay, `postconf smtpd_tls_security_level` must not be `none`".into())
            }
            Self::Injected => Some(
                "something between here and the relay tampers with SMTP; do not trust this path".into(),
            ),
            Self::Tls { .. } => {
                Some("it needs TLS 1.2 or later and a certificate; see the relay's mail log".into())
            }
            Self::Identity { .. } => {
                Some("give a certificate and the private key that belongs to it".into())
            }
            Self::Command | Self::Unverified => None,
            Self::Refused { .. }
            | Self::Closed { .. }
            | Self::Io { .. }
            | Self::TooMuch { .. }
            | Self::Alert { .. } => Some("see the relay's mail log".into()),
        }
    }
}
