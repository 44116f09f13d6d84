//! Asking a relay for its certificate: SMTP with STARTTLS (RFC 3207), or TLS from the first byte.
//!
//! In comes a target; out comes what it presents. It refuses to send mail or to log in: the conversation is EHLO,
//! STARTTLS, the handshake and QUIT.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use crate::reply::{Replies, Reply, ReplyError};
use crate::tls;
use crate::wire::Wire;

/// The name given in EHLO: reserved by RFC 2606, so that logs tell a probe from a client.
const EHLO_NAME: &str = "relayca.invalid";

/// How long to wait for a word after the handshake. It is wanted only for the explanation of a refusal.
const PARTING: Duration = Duration::from_secs(2);

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

/// How long it may take. Looking up the name is the resolver's time and not counted in.
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

/// What a relay presents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Presented {
    /// The certificates in DER, leaf first, as sent. At least one.
    pub chain: Vec<Vec<u8>>,
    /// The SMTP greeting without control characters; empty if none was got.
    pub banner: String,
    /// For example `TLS 1.3`; empty if the handshake did not get that far.
    pub protocol: String,
    /// For example `TLS13_AES_256_GCM_SHA384`; empty if the handshake did not get that far.
    pub cipher: String,
    /// Whether the server proved that it holds the key of the leaf. False if the handshake failed before or the
    /// certificate is too strange for rustls to check a signature with.
    pub proven: bool,
    /// What went wrong after the certificates were shown, most often that the server demands a client certificate.
    pub refusal: Option<String>,
}

/// Asks a relay for its certificates. They are returned even if the server then turns us away for having none ourselves.
///
/// # Errors
/// [`ProbeError`] when no certificate was shown.
pub fn present(target: &Target, timeouts: Timeouts) -> Result<Presented, ProbeError> {
    let server = server_name(&target.host)?;
    let deadline = Instant::now() + timeouts.total;
    let mut wire =
        Wire::open(&target.host, target.port, timeouts.connect, deadline).map_err(|source| {
            match source {
                e if e.kind() == io::ErrorKind::TimedOut => ProbeError::TimedOut {
                    doing: "the connection",
                },
                source => ProbeError::Connect {
                    host: target.host.clone(),
                    port: target.port,
                    source,
                },
            }
        })?;
    let mut banner = String::new();
    if target.mode == Mode::StartTls {
        banner = start_tls(&mut wire)?;
    }
    let mut session = tls::handshake(server, &mut wire).map_err(|e| ProbeError::Tls {
        reason: e.to_string(),
    })?;
    let learnt = session.learnt();
    if learnt.chain.is_empty() {
        return Err(match session.failure.take() {
            Some(e) if e.kind() == io::ErrorKind::InvalidData => ProbeError::Tls {
                reason: e.to_string(),
            },
            Some(e) => stopped(e, "the TLS handshake"),
            None => ProbeError::Tls {
                reason: "the server sent no certificate".into(),
            },
        });
    }
    let refusal = match session.failure.take() {
        Some(failure) => Some(failure.to_string()),
        None => {
            let refusal = part(&mut session, target.mode, &mut banner);
            session.close();
            refusal
        }
    };
    let (protocol, cipher) = (learnt.protocol, learnt.cipher);
    Ok(Presented {
        chain: learnt.chain,
        banner,
        protocol,
        cipher,
        proven: learnt.proven,
        refusal,
    })
}

/// Greets and asks for TLS; gives the greeting.
fn start_tls(wire: &mut Wire) -> Result<String, ProbeError> {
    let mut replies = Replies::default();
    let greeting = expect(replies.read(wire), 220, "the greeting")?;
    say(wire, &format!("EHLO {EHLO_NAME}\r\n"))?;
    let offers = expect(replies.read(wire), 250, "the answer to EHLO")?;
    let offered = offers
        .lines
        .iter()
        .skip(1)
        .any(|l| l.eq_ignore_ascii_case("STARTTLS"));
    if !offered {
        let _ = say(wire, "QUIT\r\n");
        return Err(ProbeError::NoStartTls);
    }
    say(wire, "STARTTLS\r\n")?;
    expect(replies.read(wire), 220, "the answer to STARTTLS")?;
    // What came unasked in the clear must not be taken for something said under TLS (CVE-2011-0411).
    if replies.is_ahead() {
        return Err(ProbeError::Injected);
    }
    Ok(greeting.text())
}

/// After the handshake: says goodbye and hears whether the server minds having seen no client certificate. In TLS 1.3
/// that is told only now (RFC 8446 section 4.4.2.4).
fn part(session: &mut tls::Session<'_>, mode: Mode, banner: &mut String) -> Option<String> {
    session.hurry(PARTING);
    let mut replies = Replies::default();
    let mut stream = session.stream();
    if mode == Mode::Implicit {
        match replies.read(&mut stream) {
            Ok(greeting) => *banner = greeting.text(),
            Err(error) => return refusal(error),
        }
    }
    // If this cannot be sent any more, the reason may still be there to be read.
    let _ = stream.write_all(b"QUIT\r\n").and_then(|()| stream.flush());
    match replies.read(&mut stream) {
        Ok(_) => None,
        Err(error) => refusal(error),
    }
}

/// A TLS alert is a refusal; silence, a closed connection or chatter after all was seen is not.
fn refusal(error: ReplyError) -> Option<String> {
    match error {
        ReplyError::Io(e) if e.kind() == io::ErrorKind::InvalidData => Some(e.to_string()),
        _ => None,
    }
}

fn say(wire: &mut Wire, line: &str) -> Result<(), ProbeError> {
    wire.write_all(line.as_bytes())
        .map_err(|e| stopped(e, "the next command"))
}

fn expect(
    reply: Result<Reply, ReplyError>,
    code: u16,
    doing: &'static str,
) -> Result<Reply, ProbeError> {
    match reply {
        Ok(reply) if reply.code == code => Ok(reply),
        Ok(reply) => Err(ProbeError::Refused {
            doing,
            code: reply.code,
            text: reply.text(),
        }),
        Err(ReplyError::Io(e)) => Err(stopped(e, doing)),
        Err(ReplyError::Closed) => Err(ProbeError::Closed { doing }),
        Err(ReplyError::LineTooLong | ReplyError::TooManyLines) => {
            Err(ProbeError::TooMuch { doing })
        }
        Err(ReplyError::NotSmtp(line)) => Err(ProbeError::NotSmtp { line }),
    }
}

fn stopped(error: io::Error, doing: &'static str) -> ProbeError {
    match error.kind() {
        io::ErrorKind::TimedOut => ProbeError::TimedOut { doing },
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => ProbeError::Closed { doing },
        _ => ProbeError::Io {
            doing,
            source: error,
        },
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, ProbeError> {
    ServerName::try_from(host.to_owned()).map_err(|_| ProbeError::Host {
        host: crate::reply::printable(host.as_bytes()),
    })
}

/// Why a relay's certificate was not seen.
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
    #[error("cannot connect to `{host}` port {port}: {source}")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
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
    #[error("this is no SMTP server; it says `{line}`")]
    NotSmtp {
        /// The beginning of what it said, cleaned for printing.
        line: String,
    },
    /// A reply that is not a yes.
    #[error("{doing} was {code} `{text}`")]
    Refused {
        /// Which reply.
        doing: &'static str,
        /// The SMTP code.
        code: u16,
        /// The text, cleaned for printing.
        text: String,
    },
    /// A line or a reply without end.
    #[error("{doing} is too long for SMTP")]
    TooMuch {
        /// Which reply.
        doing: &'static str,
    },
    /// EHLO does not list STARTTLS.
    #[error("the server does not offer STARTTLS")]
    NoStartTls,
    /// Bytes in the clear behind the answer to STARTTLS.
    #[error("the server sent text between STARTTLS and TLS")]
    Injected,
    /// The handshake failed before a certificate was shown.
    #[error("no TLS with the server: {reason}")]
    Tls {
        /// In the words of rustls.
        reason: String,
    },
}

impl ProbeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Host { .. } => Some("write `relay.example.org:2500`, `192.0.2.1:2500` or `[2001:db8::1]:2500`".into()),
            Self::Connect { .. } | Self::TimedOut { .. } => {
                Some("check that the relay service runs (`postfix status`, `ss -ltn`) and no firewall is between".into())
            }
            Self::NotSmtp { .. } => Some("check the port; a service that begins with TLS needs the implicit mode".into()),
            Self::NoStartTls => Some("on the relay, `postconf smtpd_tls_security_level` must not be `none`".into()),
            Self::Injected => Some("something between here and the relay tampers with SMTP; do not trust this path".into()),
            Self::Tls { .. } => Some("it needs TLS 1.2 or later and a certificate; see the relay's mail log".into()),
            Self::Refused { .. } | Self::Closed { .. } | Self::Io { .. } | Self::TooMuch { .. } => {
                Some("see the relay's mail log".into())
            }
        }
    }
}
