//! A conversation with a mail server, step by step: connect, greeting, EHLO, STARTTLS, commands, QUIT.
//!
//! In comes a target; out come replies, and what TLS showed. It refuses to decide what is asked, and to judge the answers: it only
//! keeps the server from doing harm (one deadline, bounded lines, nothing taken over from before TLS).
//!
//! ```no_run
//! use relayca_probe::{Dial, Dialogue, Mode, Target, TlsClient};
//!
//! let target = Target { host: "relay.example.org".into(), port: 2500, mode: Mode::StartTls };
//! let client = TlsClient::anonymous()?;
//! let mut dialogue = Dialogue::open(&target, &Dial::default(), &client)?;
//! if dialogue.offers().has("STARTTLS") {
//!     dialogue.starttls(&client)?;
//!     dialogue.hello()?;
//! }
//! let reply = dialogue.command("MAIL FROM:<>")?;
//! dialogue.quit();
//! # Ok::<(), relayca_probe::ProbeError>(())
//! ```

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use crate::error::ProbeError;
use crate::reply::{Replies, Reply, ReplyError};
use crate::target::{Dial, Mode, Offers, Protocol, Target, offers, server_name};
use crate::tls::{self, Session, Shown, TlsClient};
use crate::wire::{Attempt, Wire};

/// The name given in EHLO: reserved by RFC 2606, so that logs tell a probe from a client.
pub const EHLO_NAME: &str = "relayca.invalid";

/// How long to wait for a word of farewell.
const PARTING: Duration = Duration::from_secs(2);

/// The longest command (RFC 5321 section 4.5.3.1.4), without its end.
const MAX_COMMAND: usize = 510;

#[derive(Debug)]
enum Channel {
    Plain(Wire),
    Tls(Box<Session>),
    /// TLS could not even begin.
    Gone,
}

/// A conversation under way. Every step has the same deadline, counted from the beginning.
#[derive(Debug)]
pub struct Dialogue {
    channel: Channel,
    replies: Replies,
    protocol: Protocol,
    server_name: ServerName<'static>,
    attempts: Vec<Attempt>,
    offers: Offers,
    tag: u32,
}

impl Dialogue {
    /// Connects, and says nothing yet.
    ///
    /// # Errors
    /// [`ProbeError::Host`], [`ProbeError::Connect`].
    pub fn connect(target: &Target, dial: &Dial) -> Result<Self, ProbeError> {
        let host = server_name(&target.host)?;
        let server_name = match &dial.server_name {
            Some(name) => server_name(name)?,
            None => host,
        };
        let deadline = Instant::now() + dial.timeouts.total;
        let (wire, attempts) =
            Wire::open(&target.host, target.port, dial.timeouts.connect, deadline);
        let wire = match wire {
            Ok(wire) => wire,
            Err(source) => {
                return Err(ProbeError::Connect {
                    host: target.host.clone(),
                    port: target.port,
                    tried: attempts,
                    source,
                });
            }
        };
        Ok(Self {
            channel: Channel::Plain(wire),
            replies: Replies::default(),
            protocol: dial.protocol,
            server_name,
            attempts,
            offers: Offers::default(),
            tag: 0,
        })
    }

    /// Connects, with [`Mode::Implicit`] begins TLS, and goes on until the capabilities are known.
    ///
    /// # Errors
    /// [`ProbeError`]: also where the greeting or the answer to EHLO is no yes.
    pub fn open(target: &Target, dial: &Dial, client: &TlsClient) -> Result<Self, ProbeError> {
        let mut dialogue = Self::connect(target, dial)?;
        if target.mode == Mode::Implicit {
            dialogue.handshake(client)?;
        }
        yes(dialogue.greeting()?, GREETING)?;
        yes(dialogue.hello()?, HELLO)?;
        Ok(dialogue)
    }

    /// The addresses tried, the last one accepted.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The address connected to.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.attempts.last().map(|attempt| attempt.address)
    }

    /// Reads the greeting, whatever it says.
    ///
    /// # Errors
    /// [`ProbeError`] where there is none.
    pub fn greeting(&mut self) -> Result<Reply, ProbeError> {
        self.reply(None, false, GREETING)
    }

    /// Asks for the capabilities: EHLO, CAPABILITY or CAPA. Those told before are forgotten, as they must be after STARTTLS.
    ///
    /// # Errors
    /// [`ProbeError`] where there is no reply; a no is a reply.
    pub fn hello(&mut self) -> Result<Reply, ProbeError> {
        self.hello_as(EHLO_NAME)
    }

    /// Likewise, calling ourselves by another name. Only SMTP has one.
    ///
    /// # Errors
    /// Like [`Self::hello`].
    pub fn hello_as(&mut self, name: &str) -> Result<Reply, ProbeError> {
        self.offers = Offers::default();
        let reply = match self.protocol {
            Protocol::Smtp => self.ask(&format!("EHLO {name}"), false, HELLO)?,
            Protocol::Imap => self.ask("CAPABILITY", false, HELLO)?,
            Protocol::Pop3 => self.ask("CAPA", true, HELLO)?,
        };
        if reply.is_yes() {
            self.offers = offers(self.protocol, &reply);
        }
        Ok(reply)
    }

    /// What the server said last that it can do.
    #[must_use]
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Says one command and gives the reply. A server that hung up or ended TLS with an alert before (TLS 1.3 refuses a client
    /// certificate behind the handshake, RFC 8446 section 4.4.2.4) is found out here.
    ///
    /// # Errors
    /// [`ProbeError`] where there is no reply; a no is a reply.
    pub fn command(&mut self, line: &str) -> Result<Reply, ProbeError> {
        self.ask(line, false, "the answer to a command")
    }

    /// Whether the server has said more than it was asked for.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.replies.is_ahead()
    }

    /// Begins TLS after a STARTTLS (STLS in POP3), which is asked for whether or not it was offered.
    ///
    /// # Errors
    /// [`ProbeError::Refused`] for a no, [`ProbeError::Injected`], and those of [`Self::handshake`].
    pub fn starttls(&mut self, client: &TlsClient) -> Result<(), ProbeError> {
        self.starttls_ahead_of("", client)
    }

    /// Likewise, with a command line sent in the same packet, before TLS. A server that obeys it after TLS is open to injection
    /// (CVE-2011-0411); it is told by a reply that nothing asked for.
    ///
    /// # Errors
    /// Like [`Self::starttls`].
    pub fn starttls_ahead_of(
        &mut self,
        behind: &str,
        client: &TlsClient,
    ) -> Result<(), ProbeError> {
        self.ask_for_tls(behind)?;
        self.handshake(client)
    }

    /// Begins TLS now: with [`Mode::Implicit`], before anything is said. After an error [`Self::shown`] still gives what was seen.
    ///
    /// # Errors
    /// [`ProbeError::Alert`] where the server refused, [`ProbeError::Closed`], [`ProbeError::TimedOut`], [`ProbeError::Tls`].
    pub fn handshake(&mut self, client: &TlsClient) -> Result<(), ProbeError> {
        let wire = self.take_wire()?;
        self.offers = Offers::default();
        self.replies = Replies::default();
        let (session, outcome) =
            tls::handshake(client, self.server_name.clone(), wire).map_err(|error| {
                ProbeError::Tls {
                    reason: error.to_string(),
                }
            })?;
        self.channel = Channel::Tls(Box::new(session));
        outcome.map_err(|error| stopped(error, TLS))
    }

    /// Takes the connection out of the conversation, for a TLS of one's own.
    pub(crate) fn take_wire(&mut self) -> Result<Wire, ProbeError> {
        match std::mem::replace(&mut self.channel, Channel::Gone) {
            Channel::Plain(wire) => Ok(wire),
            other => {
                self.channel = other;
                Err(ProbeError::Tls {
                    reason: "it has begun already".to_owned(),
                })
            }
        }
    }

    /// STARTTLS, up to the moment when TLS begins.
    pub(crate) fn ask_for_tls(&mut self, behind: &str) -> Result<(), ProbeError> {
        if !matches!(self.channel, Channel::Plain(_)) {
            return self.take_wire().map(drop);
        }
        let tag = self.next_tag();
        let word = match self.protocol {
            Protocol::Pop3 => "STLS",
            Protocol::Smtp | Protocol::Imap => "STARTTLS",
        };
        let mut text = line_of(tag.as_deref(), word)?;
        if !behind.is_empty() {
            text.push_str(&line_of(None, behind)?);
        }
        let said = self.say(&text);
        yes(
            self.answer(said, tag.as_deref(), false, STARTTLS)?,
            STARTTLS,
        )?;
        // What came unasked in the clear must not be taken for something said under TLS (CVE-2011-0411).
        if self.replies.is_ahead() {
            return Err(ProbeError::Injected);
        }
        Ok(())
    }

    /// What TLS showed, once it was begun.
    #[must_use]
    pub fn shown(&self) -> Option<Shown> {
        match &self.channel {
            Channel::Tls(session) => Some(session.shown()),
            Channel::Plain(_) | Channel::Gone => None,
        }
    }

    /// The name sent as SNI and to be found in the certificate.
    #[must_use]
    pub fn server_name(&self) -> String {
        self.server_name.to_str().into_owned()
    }

    /// Sends a message after MAIL and RCPT: DATA, the text, a dot. `verified` is the leaf that the caller judged and took for the
    /// right one; only the server that holds its key is sent anything.
    ///
    /// # Errors
    /// [`ProbeError::Unverified`], [`ProbeError::Refused`] where it does not take DATA, and as for any command.
    pub fn data(&mut self, verified: &[u8], message: &str) -> Result<Reply, ProbeError> {
        let sure = self.shown().is_some_and(|shown| {
            shown.proven && shown.chain.first().is_some_and(|l| l == verified)
        });
        if !sure {
            return Err(ProbeError::Unverified);
        }
        let go_ahead = self.ask("DATA", false, "the answer to DATA")?;
        if go_ahead.code() != 354 {
            return Err(refused(go_ahead, "the answer to DATA"));
        }
        let mut text = String::with_capacity(message.len() + 64);
        for line in message.lines() {
            if line.starts_with('.') {
                text.push('.');
            }
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str(".\r\n");
        let said = self.say(&text);
        self.answer(said, None, false, "the answer to the message")
    }

    /// Says goodbye and waits two seconds at most for the answer.
    ///
    /// # Errors
    /// [`ProbeError`]: of interest only as an explanation, where nothing was said after the handshake.
    pub fn quit(&mut self) -> Result<Reply, ProbeError> {
        self.part_soon();
        let word = match self.protocol {
            Protocol::Imap => "LOGOUT",
            Protocol::Smtp | Protocol::Pop3 => "QUIT",
        };
        let reply = self.ask(word, false, "the answer to QUIT");
        if let Channel::Tls(session) = &mut self.channel {
            session.close();
        }
        reply
    }

    /// Brings the deadline forward: two seconds from now, never later than it was.
    pub(crate) fn part_soon(&mut self) {
        match &mut self.channel {
            Channel::Plain(wire) => wire.hurry(PARTING),
            Channel::Tls(session) => session.wire().hurry(PARTING),
            Channel::Gone => {}
        }
    }

    fn ask(&mut self, line: &str, list: bool, doing: &'static str) -> Result<Reply, ProbeError> {
        let tag = self.next_tag();
        let text = line_of(tag.as_deref(), line)?;
        let said = self.say(&text);
        self.answer(said, tag.as_deref(), list, doing)
    }

    /// The reply, if there is one; where the command could not even be sent, the reason may be there to be read all the same.
    fn answer(
        &mut self,
        said: io::Result<()>,
        tag: Option<&str>,
        list: bool,
        doing: &'static str,
    ) -> Result<Reply, ProbeError> {
        match (self.reply(tag, list, doing), said) {
            (Err(ProbeError::Io { .. }), Err(error)) => Err(stopped(error, doing)),
            (outcome, _) => outcome,
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        match &mut self.channel {
            Channel::Plain(wire) => wire.write_all(text.as_bytes()),
            Channel::Tls(session) => session
                .write_all(text.as_bytes())
                .and_then(|()| session.flush()),
            Channel::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn reply(
        &mut self,
        tag: Option<&str>,
        list: bool,
        doing: &'static str,
    ) -> Result<Reply, ProbeError> {
        let outcome = match &mut self.channel {
            Channel::Plain(wire) => read(&mut self.replies, self.protocol, tag, list, wire),
            Channel::Tls(session) => read(
                &mut self.replies,
                self.protocol,
                tag,
                list,
                session.as_mut(),
            ),
            Channel::Gone => Err(ReplyError::Closed),
        };
        outcome.map_err(|error| match error {
            ReplyError::Io(error) => stopped(error, doing),
            ReplyError::Closed => ProbeError::Closed { doing },
            ReplyError::LineTooLong | ReplyError::TooManyLines => ProbeError::TooMuch {
                doing,
                protocol: self.protocol.name(),
            },
            ReplyError::Foreign(line) => ProbeError::Foreign {
                protocol: self.protocol.name(),
                line,
            },
        })
    }

    fn next_tag(&mut self) -> Option<String> {
        self.tag += 1;
        (self.protocol == Protocol::Imap).then(|| format!("a{}", self.tag))
    }
}

pub(crate) const GREETING: &str = "the greeting";
pub(crate) const HELLO: &str = "the answer to EHLO";
pub(crate) const STARTTLS: &str = "the answer to STARTTLS";
pub(crate) const TLS: &str = "the TLS handshake";

fn read(
    replies: &mut Replies,
    protocol: Protocol,
    tag: Option<&str>,
    list: bool,
    from: &mut impl Read,
) -> Result<Reply, ReplyError> {
    match protocol {
        Protocol::Smtp => replies.smtp(from),
        Protocol::Imap => replies.imap(tag, from),
        Protocol::Pop3 => replies.pop3(list, from),
    }
}

/// A yes, or the error that it is none.
pub(crate) fn yes(reply: Reply, doing: &'static str) -> Result<Reply, ProbeError> {
    if reply.is_yes() {
        Ok(reply)
    } else {
        Err(refused(reply, doing))
    }
}

fn refused(reply: Reply, doing: &'static str) -> ProbeError {
    ProbeError::Refused {
        doing,
        text: reply.text(),
        status: reply.status,
    }
}

/// What was said as one line that the server cannot take for two.
fn line_of(tag: Option<&str>, line: &str) -> Result<String, ProbeError> {
    if line.len() > MAX_COMMAND || line.chars().any(char::is_control) {
        return Err(ProbeError::Command);
    }
    Ok(match tag {
        Some(tag) => format!("{tag} {line}\r\n"),
        None => format!("{line}\r\n"),
    })
}

pub(crate) fn stopped(error: io::Error, doing: &'static str) -> ProbeError {
    if let Some(alert) = tls::alert(&error) {
        return ProbeError::Alert { alert, doing };
    }
    match error.kind() {
        io::ErrorKind::TimedOut => ProbeError::TimedOut { doing },
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => ProbeError::Closed { doing },
        // rustls found something that is not TLS as it should be.
        io::ErrorKind::InvalidData => ProbeError::Tls {
            reason: error.to_string(),
        },
        _ => ProbeError::Io {
            doing,
            source: error,
        },
    }
}
