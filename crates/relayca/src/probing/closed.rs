//! What a relay must keep closed, apart from certificates: mail in the clear, passwords, VRFY and ETRN, old TLS, resumption, injection.
//!
//! In: where it is, a TLS client. Out: [`Outcome`]s: taken is open, refused is closed. It refuses to know which it must be.

use relayca_probe::{
    ClientIdentity, Dialogue, Mode, Offers, OldAnswer, OldVersion, ProbeError, Reply, TlsClient,
    TlsVersions,
};

use super::asking::{Envelope, Outcome, Place, Stage, enter, leave, said, sign, stage_of};

/// A command that no server knows: where it is answered, somebody obeyed it.
const UNKNOWN_COMMAND: &str = "XRELAYCA";
/// A recipient that every server has (RFC 5321 section 4.5.1).
const EVERYBODYS_MAILBOX: &str = "VRFY postmaster";
/// A domain that nobody has (RFC 2606): no queue is ever flushed by asking for it.
const NOBODYS_QUEUE: &str = "ETRN relayca.invalid";

/// What was heard before TLS.
#[derive(Debug)]
pub struct InTheClear {
    /// What EHLO offered.
    pub offers: Offers,
    /// Whether MAIL was taken, and RCPT then.
    pub mail: Outcome,
    /// The answer to VRFY.
    pub vrfy: Outcome,
    /// The answer to ETRN.
    pub etrn: Outcome,
}

impl InTheClear {
    /// Nothing was heard.
    pub fn untried(why: &str) -> Self {
        Self {
            offers: Offers::default(),
            mail: Outcome::untried(why),
            vrfy: Outcome::untried(why),
            etrn: Outcome::untried(why),
        }
    }
}

/// Asks in the clear.
pub fn in_the_clear(place: &Place, envelope: &Envelope) -> InTheClear {
    let mut heard = InTheClear::untried("nothing was asked");
    let mut dialogue = match Dialogue::connect(&place.target, &place.dial()) {
        Ok(dialogue) => dialogue,
        Err(error) => {
            heard.mail = Outcome::of_error(Stage::Connection, &error);
            return heard;
        }
    };
    if place.target.mode == Mode::Implicit {
        heard.mail = no_tls_at_all(&mut dialogue);
        return heard;
    }
    let entered = said(Stage::Greeting, dialogue.greeting())
        .and_then(|_| said(Stage::Ehlo, dialogue.hello()));
    if let Err(outcome) = entered {
        heard.mail = outcome;
        return heard;
    }
    heard.offers = dialogue.offers().clone();
    sign(&mut dialogue);
    heard.vrfy = command(&mut dialogue, EVERYBODYS_MAILBOX, reveals);
    heard.etrn = command(&mut dialogue, NOBODYS_QUEUE, flushes);
    heard.mail = mail(&mut dialogue, envelope);
    leave(&mut dialogue);
    heard
}

/// MAIL in the clear is open already, whether or not RCPT is refused then.
fn mail(dialogue: &mut Dialogue, envelope: &Envelope) -> Outcome {
    let mail = match said(Stage::Mail, dialogue.command(&envelope.mail())) {
        Ok(reply) => Outcome::of_reply(Stage::Mail, &reply),
        Err(outcome) => return outcome,
    };
    match said(Stage::Rcpt, dialogue.command(&envelope.rcpt())) {
        Ok(reply) => {
            let _ = dialogue.command("RSET");
            Outcome::of_reply(Stage::Rcpt, &reply)
        }
        Err(_) => mail,
    }
}

/// A port that begins with TLS has no answer to SMTP.
fn no_tls_at_all(dialogue: &mut Dialogue) -> Outcome {
    match dialogue.hello() {
        Ok(reply) => Outcome::of_reply(Stage::Greeting, &reply),
        Err(ProbeError::Foreign { .. } | ProbeError::Closed { .. }) => Outcome::Refused {
            stage: Stage::Handshake,
            code: None,
            text: "nothing but TLS is understood".to_owned(),
        },
        Err(error) => Outcome::of_error(Stage::Handshake, &error),
    }
}

/// What Exim says to VRFY (with 252) and ETRN (with 458) where no ACL allows them; it looks for nothing then.
const PROHIBITED: &str = "Administrative prohibition";

/// Asks one thing, and lets `open` say whether the answer to it is one that should not be given.
fn command(dialogue: &mut Dialogue, line: &str, open: fn(u16) -> bool) -> Outcome {
    match dialogue.command(line) {
        Ok(reply) if open(reply.code()) && reply.text() != PROHIBITED => Outcome::Taken {
            stage: Stage::Command,
            code: reply.code(),
            text: reply.text(),
        },
        Ok(reply) => refused(Stage::Command, &reply),
        Err(error) => Outcome::of_error(Stage::Command, &error),
    }
}

fn refused(stage: Stage, reply: &Reply) -> Outcome {
    Outcome::Refused {
        stage,
        code: Some(reply.code()),
        text: reply.text(),
    }
}

/// VRFY that says whether a mailbox is there (RFC 5321 section 3.5.3), 252 included: others get 550 there.
fn reveals(code: u16) -> bool {
    matches!(code, 250..=252 | 550 | 551 | 553)
}

/// ETRN that looks for a queue (RFC 1985 section 5.4).
fn flushes(code: u16) -> bool {
    matches!(code, 250..=253 | 458)
}

/// What was heard under TLS.
#[derive(Debug)]
pub struct UnderTls {
    /// What EHLO offered.
    pub offers: Offers,
    /// The answer to VRFY.
    pub vrfy: Outcome,
    /// The answer to ETRN.
    pub etrn: Outcome,
}

/// Asks under TLS.
pub fn under_tls(place: &Place, client: &TlsClient) -> Result<UnderTls, Outcome> {
    let mut dialogue = connect(place)?;
    enter(&mut dialogue, place.target.mode, client)?;
    let heard = UnderTls {
        offers: dialogue.offers().clone(),
        vrfy: command(&mut dialogue, EVERYBODYS_MAILBOX, reveals),
        etrn: command(&mut dialogue, NOBODYS_QUEUE, flushes),
    };
    leave(&mut dialogue);
    Ok(heard)
}

fn connect(place: &Place) -> Result<Dialogue, Outcome> {
    Dialogue::connect(&place.target, &place.dial())
        .map_err(|error| Outcome::of_error(Stage::Connection, &error))
}

/// Whether this keyword is offered; AUTH also in the form of old clients, `AUTH=LOGIN`.
pub fn offers(offers: &Offers, keyword: &str) -> bool {
    let old = format!("{keyword}=");
    offers.has(keyword)
        || offers
            .0
            .iter()
            .any(|line| line.to_ascii_uppercase().starts_with(&old))
}

/// Offers an old version of TLS.
pub fn old_version(place: &Place, version: OldVersion) -> Outcome {
    let answer = connect(place).and_then(|mut dialogue| {
        if place.target.mode == Mode::Implicit {
            return dialogue
                .handshake_old(version)
                .map_err(|error| Outcome::of_error(Stage::Handshake, &error));
        }
        said(Stage::Greeting, dialogue.greeting())?;
        said(Stage::Ehlo, dialogue.hello())?;
        sign(&mut dialogue);
        dialogue
            .starttls_old(version)
            .map_err(|error| Outcome::of_error(stage_of(&error), &error))
    });
    match answer {
        Ok(OldAnswer::Accepted { version, cipher }) => Outcome::Taken {
            stage: Stage::Handshake,
            code: 0,
            text: format!("{version}, cipher suite {cipher}"),
        },
        Ok(OldAnswer::Refused { how }) => Outcome::Refused {
            stage: Stage::Handshake,
            code: None,
            text: how,
        },
        Err(outcome) => outcome,
    }
}

/// Whether a second connection may go on in the TLS session of the first.
pub fn resumption(
    place: &Place,
    identity: Option<&ClientIdentity>,
    versions: TlsVersions,
) -> Outcome {
    let client = match TlsClient::new(identity, versions) {
        Ok(client) => client.resuming(),
        Err(error) => return Outcome::of_error(Stage::Handshake, &error),
    };
    let closed = |text: &str| Outcome::Refused {
        stage: Stage::Handshake,
        code: None,
        text: text.to_owned(),
    };
    let mut tickets = 0;
    for number in 0..2 {
        let mut dialogue = match connect(place) {
            Ok(dialogue) => dialogue,
            Err(outcome) => return outcome,
        };
        let entered = enter(&mut dialogue, place.target.mode, &client);
        let shown = dialogue.shown().unwrap_or_default();
        leave(&mut dialogue);
        if shown.resumed {
            return Outcome::Taken {
                stage: Stage::Handshake,
                code: 0,
                text: format!("a session of {} was resumed", shown.protocol),
            };
        }
        tickets += shown.tickets;
        match entered {
            Err(Outcome::Untried { why, no_connection }) => {
                return Outcome::Untried { why, no_connection };
            }
            // Without a session there is nothing to resume.
            Err(Outcome::Refused { text, .. }) if shown.protocol.is_empty() => {
                return closed(&format!("no such session: {text}"));
            }
            _ => {}
        }
        if number == 0 && versions == TlsVersions::Only13 && tickets == 0 {
            return closed("no ticket was given");
        }
    }
    if tickets > 0 {
        closed("a ticket was given, and not taken back")
    } else {
        closed("nothing was resumed")
    }
}

/// Whether a command that came in the clear behind STARTTLS is obeyed under TLS (CVE-2011-0411).
pub fn injection(place: &Place, client: &TlsClient) -> Outcome {
    injected(place, client).unwrap_or_else(|outcome| outcome)
}

fn injected(place: &Place, client: &TlsClient) -> Result<Outcome, Outcome> {
    let mut dialogue = connect(place)?;
    said(Stage::Greeting, dialogue.greeting())?;
    said(Stage::Ehlo, dialogue.hello())?;
    sign(&mut dialogue);
    let closed = |stage: Stage, text: &str| Outcome::Refused {
        stage,
        code: None,
        text: text.to_owned(),
    };
    dialogue
        .starttls_ahead_of(UNKNOWN_COMMAND, client)
        .map_err(|error| match error {
            ProbeError::Injected => closed(Stage::StartTls, "it was answered in the clear"),
            error => Outcome::of_error(stage_of(&error), &error),
        })?;
    let reply = dialogue
        .hello()
        .map_err(|error| Outcome::of_error(Stage::InTls, &error))?;
    let code = reply.code();
    let obeyed = (500..=504).contains(&code) || code == 530 || dialogue.is_ahead();
    leave(&mut dialogue);
    Ok(if obeyed {
        Outcome::Taken {
            stage: Stage::InTls,
            code,
            text: reply.text(),
        }
    } else if reply.is_yes() {
        closed(Stage::InTls, "it was thrown away")
    } else {
        refused(Stage::InTls, &reply)
    })
}
