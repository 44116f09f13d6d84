//! One conversation with a relay, up to RCPT: would it relay for whoever shows this certificate?
//!
//! In: where the relay is, a TLS client, an envelope. Out: an [`Outcome`] and what TLS showed. It refuses to send a message, and to
//! know whether the outcome is the right one.

use std::fmt;
use std::time::Duration;

use relayca_probe::{
    Dial, Dialogue, Mode, ProbeError, Protocol, Reply, Shown, Target, Timeouts, TlsClient,
};

/// For each address to accept the connection, at most.
const CONNECT: Duration = Duration::from_secs(10);

/// How a reason begins that says nothing of certificates: the relay limits how often we may come.
pub const BUSY: &str = "the relay is busy with us";

/// Where a relay is, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its address, port and mode.
    pub target: Target,
    /// The name sent as SNI, where it is another than the host connected to.
    pub name: Option<String>,
    /// For each connection, all in all.
    pub timeout: Duration,
}

impl Place {
    /// How to connect to it.
    pub fn dial(&self) -> Dial {
        Dial {
            timeouts: Timeouts {
                connect: self.timeout.min(CONNECT),
                total: self.timeout,
            },
            protocol: Protocol::Smtp,
            server_name: self.name.clone(),
        }
    }

    /// `relayhost.example.org:2500`, `[2001:db8::1]:2500`.
    pub fn text(&self) -> String {
        let Target { host, port, .. } = &self.target;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

/// Whose mail it would be, and for whom.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Of MAIL FROM; empty for the null sender.
    pub sender: String,
    /// Of RCPT TO: not the relay's own.
    pub recipient: String,
}

impl Envelope {
    /// `MAIL FROM:<…>`.
    pub fn mail(&self) -> String {
        format!("MAIL FROM:<{}>", self.sender)
    }

    /// `RCPT TO:<…>`.
    pub fn rcpt(&self) -> String {
        format!("RCPT TO:<{}>", self.recipient)
    }
}

/// How far a conversation got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// TCP.
    Connection,
    /// The first word.
    Greeting,
    /// EHLO in the clear.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// The TLS handshake.
    Handshake,
    /// The first words under TLS: the greeting with implicit TLS, and EHLO. In TLS 1.3 certificates are refused here.
    InTls,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// Another command.
    Command,
}

impl Stage {
    /// The word for it, in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Handshake => "handshake",
            Self::InTls => "EHLO in TLS",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What somebody got from the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// RCPT was taken: a message would be relayed.
    Taken {
        /// Where.
        stage: Stage,
        /// The code.
        code: u16,
        /// What it said.
        text: String,
    },
    /// It was turned away.
    Refused {
        /// Where.
        stage: Stage,
        /// The code, where it is an SMTP reply that refuses.
        code: Option<u16>,
        /// What it said; without a code what it did.
        text: String,
    },
    /// It cannot be told.
    Untried {
        /// Why.
        why: String,
        /// Whether not even a connection was had.
        no_connection: bool,
    },
}

impl Outcome {
    /// It cannot be told.
    pub fn untried(why: impl Into<String>) -> Self {
        Self::Untried {
            why: why.into(),
            no_connection: false,
        }
    }

    /// A no, or that it says nothing of what was asked.
    pub fn of_reply(stage: Stage, reply: &Reply) -> Self {
        let (code, text) = (reply.code(), reply.text());
        if is_about_load(code, &text) {
            return Self::untried(format!("{BUSY}: {code} {text}"));
        }
        if reply.is_yes() {
            Self::Taken { stage, code, text }
        } else {
            Self::Refused {
                stage,
                code: Some(code),
                text,
            }
        }
    }

    /// An alert or a closed connection is a refusal; silence, or no mail server at all, tells nothing.
    pub fn of_error(stage: Stage, error: &ProbeError) -> Self {
        match error {
            ProbeError::Alert { alert, .. } => Self::Refused {
                stage,
                code: None,
                text: format!("alert {alert}"),
            },
            ProbeError::Closed { .. } if stage != Stage::Connection => Self::Refused {
                stage,
                code: None,
                text: "closed the connection".to_owned(),
            },
            ProbeError::Refused { status, text, .. } => {
                let code = status.parse().unwrap_or_default();
                if is_about_load(code, text) {
                    return Self::untried(format!("{BUSY}: {code} {text}"));
                }
                Self::Refused {
                    stage,
                    code: Some(code),
                    text: text.clone(),
                }
            }
            error => Self::Untried {
                why: error.to_string(),
                no_connection: matches!(error, ProbeError::Connect { .. }),
            },
        }
    }

    /// Whether the answer is final: mail bounces on it.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if (500..600).contains(code))
    }
}

/// Postfix's anvil(8) has counted too many of us: that says nothing of certificates.
fn is_about_load(code: u16, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    (400..500).contains(&code) && (text.contains("too many") || text.contains("rate limit"))
}

/// Goes through the conversation. Gives also what TLS showed, if it began.
pub fn ask(place: &Place, client: &TlsClient, envelope: &Envelope) -> (Outcome, Option<Shown>) {
    let mut dialogue = match Dialogue::connect(&place.target, &place.dial()) {
        Ok(dialogue) => dialogue,
        Err(error) => return (Outcome::of_error(Stage::Connection, &error), None),
    };
    let outcome = enter(&mut dialogue, place.target.mode, client)
        .and_then(|()| envelope_of(&mut dialogue, envelope))
        .unwrap_or_else(|outcome| outcome);
    let shown = dialogue.shown();
    leave(&mut dialogue);
    (outcome, shown)
}

/// Goes as far as the words under TLS; or gives what came of it.
pub fn enter(dialogue: &mut Dialogue, mode: Mode, client: &TlsClient) -> Result<(), Outcome> {
    if mode == Mode::Implicit {
        told(Stage::Handshake, dialogue.handshake(client))?;
        said(Stage::InTls, dialogue.greeting())?;
    } else {
        said(Stage::Greeting, dialogue.greeting())?;
        said(Stage::Ehlo, dialogue.hello())?;
        sign(dialogue);
        if !dialogue.offers().has("STARTTLS") {
            return Err(Outcome::Refused {
                stage: Stage::StartTls,
                code: None,
                text: "STARTTLS is not offered".to_owned(),
            });
        }
        starttls(dialogue, client)?;
    }
    said(Stage::InTls, dialogue.hello()).map(drop)
}

/// Says NOOP before TLS, which no mail server does: the relay's log counts it (`noop=1`), and has the EHLO name only of a refused
/// envelope. So `relayca explain` knows a probe whose certificate was refused.
pub fn sign(dialogue: &mut Dialogue) {
    let _ = dialogue.command("NOOP");
}

/// STARTTLS and the handshake.
pub fn starttls(dialogue: &mut Dialogue, client: &TlsClient) -> Result<(), Outcome> {
    dialogue
        .starttls(client)
        .map_err(|error| Outcome::of_error(stage_of(&error), &error))
}

/// Whether STARTTLS itself failed, or the handshake behind it.
pub fn stage_of(error: &ProbeError) -> Stage {
    match error {
        ProbeError::Refused { .. } => Stage::StartTls,
        ProbeError::Closed { doing }
        | ProbeError::TimedOut { doing }
        | ProbeError::TooMuch { doing, .. }
        | ProbeError::Io { doing, .. }
            if doing.contains("STARTTLS") =>
        {
            Stage::StartTls
        }
        _ => Stage::Handshake,
    }
}

/// MAIL and RCPT, and nothing of it is meant.
fn envelope_of(dialogue: &mut Dialogue, envelope: &Envelope) -> Result<Outcome, Outcome> {
    said(Stage::Mail, dialogue.command(&envelope.mail()))?;
    let reply = said(Stage::Rcpt, dialogue.command(&envelope.rcpt()))?;
    // What comes of it does not matter any more: the connection ends here.
    let _ = dialogue.command("RSET");
    Ok(Outcome::of_reply(Stage::Rcpt, &reply))
}

/// A yes, or the outcome that it was none.
pub fn said(stage: Stage, reply: Result<Reply, ProbeError>) -> Result<Reply, Outcome> {
    let reply = told(stage, reply)?;
    if reply.is_yes() {
        Ok(reply)
    } else {
        Err(Outcome::of_reply(stage, &reply))
    }
}

fn told<T>(stage: Stage, result: Result<T, ProbeError>) -> Result<T, Outcome> {
    result.map_err(|error| Outcome::of_error(stage, &error))
}

/// Politely, and without waiting for more than a word.
pub fn leave(dialogue: &mut Dialogue) {
    let _ = dialogue.quit();
}

/// An address of an envelope, fit for a command line: ASCII, one part on each side of the `@`.
pub fn address(text: &str) -> Option<String> {
    let text = text.strip_prefix('<').unwrap_or(text);
    let text = text.strip_suffix('>').unwrap_or(text);
    let (local, domain) = text.rsplit_once('@')?;
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_graphic() && !"<>()[]\\,;:\"@".contains(c))
    };
    (plain(local) && plain(domain) && text.len() <= 254).then(|| text.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_relay_has_refused_nobody() {
        let reply = |status: &str, text: &str| Reply {
            status: status.to_owned(),
            lines: vec![text.to_owned()],
        };
        let busy = [
            (
                "421",
                "4.7.0 relay Error: too many connections from 192.0.2.1",
            ),
            (
                "421",
                "4.7.0 relay Error: too many new TLS sessions from 192.0.2.1",
            ),
            ("450", "4.7.1 Error: rate limit exceeded"),
        ];
        for (code, text) in busy {
            let outcome = Outcome::of_reply(Stage::Greeting, &reply(code, text));
            assert!(matches!(outcome, Outcome::Untried { .. }), "{outcome:?}");
        }
        let refused = Outcome::of_reply(Stage::InTls, &reply("421", "4.7.1 not trusted"));
        assert!(matches!(
            refused,
            Outcome::Refused {
                code: Some(421),
                ..
            }
        ));
        assert!(!refused.is_permanent());
        assert!(Outcome::of_reply(Stage::Rcpt, &reply("554", "5.7.1 denied")).is_permanent());
    }

    #[test]
    fn an_address_cannot_carry_a_second_command() {
        assert_eq!(address("<a+b@example.org>").unwrap(), "a+b@example.org");
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b>\r\nDATA",
            "a b@c",
            "a@b@c",
            "a@b> SIZE=1",
            "ä@example.org",
        ] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
