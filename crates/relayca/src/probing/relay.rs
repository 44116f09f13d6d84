//! A relay looked at step by step: address, greeting, EHLO, STARTTLS, TLS, its certificate, and what it says to ours.
//!
//! In: a [`Question`]. Out: a [`Report`] of checks. It refuses to send a message that was not asked for, or one to a relay whose
//! certificate is not good in every respect; and to know how a report is printed.

use std::net::SocketAddr;

use relayca_ca::Certificate;
use relayca_probe::{Dialogue, Mode, Offers, ProbeError, Reply, Shown, TlsClient, TlsVersions};

use super::asking::{Envelope, Outcome, Place, Stage, leave, said, sign, starttls};
use super::credentials::Credential;
use super::judging::{Judgement, Judges, WithHint, check, fault, judge};
use super::message::Message;
use super::remedies;
use super::services::{Check, Mark};

/// What is asked of a relay.
pub struct Question<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// By whom its certificate is judged.
    pub judges: Judges<'a>,
    /// What the authority knows of a certificate that it may have issued.
    pub known: &'a dyn Fn(&Certificate) -> Option<Check>,
    /// The certificate to show, if any.
    pub client: Option<Client<'a>>,
    /// Whose mail it would be.
    pub envelope: &'a Envelope,
    /// The message to send, if one is to be sent.
    pub send: Option<&'a Message>,
}

/// A mail host, as which the relay is asked.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its certificate.
    pub credential: &'a Credential,
    /// Whether the relay is to let it in, where that is known.
    pub listed: Option<bool>,
}

/// A relay as it was seen.
#[derive(Debug, Default)]
pub struct Report {
    /// The address that accepted.
    pub address: Option<SocketAddr>,
    /// What it said first.
    pub greeting: Option<String>,
    /// What it offers in the clear; none with implicit TLS.
    pub offers_before: Option<Offers>,
    /// What it offers under TLS.
    pub offers: Option<Offers>,
    /// What TLS showed.
    pub shown: Option<Shown>,
    /// Its certificate.
    pub leaf: Option<Certificate>,
    /// What it said of the message that was sent.
    pub sent: Option<String>,
    /// In the order in which they were looked at.
    pub checks: Vec<Check>,
}

impl Report {
    /// The worst there is.
    pub fn worst(&self) -> Mark {
        let marks = self.checks.iter().map(|check| check.mark);
        marks.max().unwrap_or(Mark::Untried)
    }
}

/// Looks at it. What comes after a step that failed is not in the report.
///
/// # Errors
/// Where there is no connection, or the certificate to show cannot be used.
pub fn look(question: &Question<'_>) -> Result<Report, ProbeError> {
    let identity = question.client.map(|client| client.credential.identity());
    let client = TlsClient::new(identity, TlsVersions::Both)?;
    let mut dialogue = Dialogue::connect(&question.place.target, &question.place.dial())?;
    let mut report = Report {
        address: dialogue.address(),
        ..Report::default()
    };
    report.addresses(&dialogue);
    // What ended it is told by its last check.
    let _ = steps(question, &client, &mut dialogue, &mut report);
    leave(&mut dialogue);
    Ok(report)
}

/// The conversation is over, and the report says why.
struct Over;

fn steps(
    question: &Question<'_>,
    client: &TlsClient,
    dialogue: &mut Dialogue,
    report: &mut Report,
) -> Result<(), Over> {
    let implicit = question.place.target.mode == Mode::Implicit;
    let begun = if implicit {
        dialogue
            .handshake(client)
            .map_err(|error| Outcome::of_error(Stage::Handshake, &error))
    } else {
        in_the_clear(dialogue, report)?;
        starttls(dialogue, client)
    };
    let judgement = report.tls(question, dialogue, implicit, &begun);
    if let Err(outcome) = begun {
        report.turned_away(question, &outcome);
        return Err(Over);
    }
    let mut entered = Ok(());
    if implicit {
        entered = said(Stage::InTls, dialogue.greeting()).map(|reply| {
            report.greeting = Some(reply.text());
            report.good("greeting", &reply);
        });
    }
    if let Err(outcome) = entered.and_then(|()| said(Stage::InTls, dialogue.hello()).map(drop)) {
        report.turned_away(question, &outcome);
        return Err(Over);
    }
    report.offers = Some(dialogue.offers().clone());
    report
        .checks
        .push(check("ehlo-in-tls", Mark::Good, offered(dialogue.offers())));
    let Some(client) = question.client else {
        report.checks.push(
            check(
                "client",
                Mark::Note,
                "no certificate was shown, and it goes on talking",
            )
            .with_hint("whether it would relay: --matrix"),
        );
        return Ok(());
    };
    envelope(question, client, &judgement, dialogue, report)
}

fn in_the_clear(dialogue: &mut Dialogue, report: &mut Report) -> Result<(), Over> {
    match said(Stage::Greeting, dialogue.greeting()) {
        Ok(reply) => {
            report.greeting = Some(reply.text());
            report.good("greeting", &reply);
        }
        Err(outcome) => return report.end("greeting", &outcome),
    }
    if let Err(outcome) = said(Stage::Ehlo, dialogue.hello()) {
        return report.end("ehlo", &outcome);
    }
    let offers = dialogue.offers().clone();
    report
        .checks
        .push(check("ehlo", Mark::Good, offered(&offers)));
    let has_tls = offers.has("STARTTLS");
    report.offers_before = Some(offers);
    if has_tls {
        sign(dialogue);
        return Ok(());
    }
    report.checks.push(
        fault("starttls", "it is not offered").with_hint(
            "the port may be another service's; on the relay, see `postconf smtpd_tls_security_level` and the mail log",
        ),
    );
    Err(Over)
}

/// MAIL, RCPT, and the message if one is to be sent.
fn envelope(
    question: &Question<'_>,
    client: Client<'_>,
    judgement: &Judgement,
    dialogue: &mut Dialogue,
    report: &mut Report,
) -> Result<(), Over> {
    let given = dialogue.shown().is_some_and(|shown| shown.given);
    report.checks.push(if given {
        check(
            "client",
            Mark::Good,
            format!("shown: {}", client.credential.certificate.subject()),
        )
    } else {
        check(
            "client",
            Mark::Warning,
            "the relay asked for no certificate, or not for one of this kind of key",
        )
        .with_hint(remedies::NOT_ASKED)
    });
    let mail = said(Stage::Mail, dialogue.command(&question.envelope.mail()));
    match mail {
        Ok(reply) => report.good("mail", &reply),
        Err(outcome) => {
            report.turned_away(question, &outcome);
            return Err(Over);
        }
    }
    let rcpt = match said(Stage::Rcpt, dialogue.command(&question.envelope.rcpt())) {
        Ok(reply) => reply,
        Err(outcome) => {
            report.turned_away(question, &outcome);
            return Err(Over);
        }
    };
    let to = &question.envelope.recipient;
    let answer = format!("{} {}", rcpt.code(), rcpt.text());
    if client.listed == Some(false) {
        report.checks.push(
            fault("rcpt", format!("{answer}: it would relay to {to}, and the host is not listed"))
                .with_hint("the map on the relay is an old one, or lets all in: `relayca map --format paste`, pasted there; then --matrix"),
        );
    } else {
        report.checks.push(check(
            "rcpt",
            Mark::Good,
            format!("{answer}: it would relay to {to}"),
        ));
    }
    match question.send {
        Some(message) => send(message, judgement, dialogue, report),
        None => {
            // Nothing of it was meant.
            let _ = dialogue.command("RSET");
            Ok(())
        }
    }
}

fn send(
    message: &Message,
    judgement: &Judgement,
    dialogue: &mut Dialogue,
    report: &mut Report,
) -> Result<(), Over> {
    // The inventory may know worse of it than its dates tell.
    let faults = report.worst() == Mark::Fault;
    let Some(leaf) = judgement.verified().filter(|_| !faults) else {
        let _ = dialogue.command("RSET");
        report.checks.push(
            fault("message", "not sent: the relay's certificate is not good")
                .with_hint("nothing is ever sent to a relay that is not verified"),
        );
        return Err(Over);
    };
    match dialogue.data(leaf.der(), &message.text) {
        Ok(reply) if reply.is_yes() => {
            let answer = format!("{} {}", reply.code(), reply.text());
            report.checks.push(check(
                "message",
                Mark::Good,
                format!("sent, Message-ID {}: {answer}", message.id),
            ));
            report.sent = Some(answer);
            Ok(())
        }
        Ok(reply) => report.end("message", &Outcome::of_reply(Stage::Command, &reply)),
        Err(error) => report.end("message", &Outcome::of_error(Stage::Command, &error)),
    }
}

impl Report {
    fn addresses(&mut self, dialogue: &Dialogue) {
        let failed: Vec<String> = dialogue
            .attempts()
            .iter()
            .filter_map(|attempt| {
                let failure = attempt.failure.as_ref()?;
                Some(format!("{}: {}", attempt.address.ip(), failure.text))
            })
            .collect();
        let accepts = self
            .address
            .map(|address| format!("{address} accepts"))
            .unwrap_or_default();
        self.checks.push(if failed.is_empty() {
            check("address", Mark::Good, accepts)
        } else {
            check("address", Mark::Warning, format!("{accepts}; {}", failed.join("; ")))
                .with_hint("mail waits for the others first: take their addresses out of DNS, or open the port there")
        });
    }

    fn good(&mut self, id: &'static str, reply: &Reply) {
        let seen = format!("{} {}", reply.status, reply.text());
        self.checks.push(check(id, Mark::Good, seen));
    }

    /// The step failed, and the conversation is over.
    fn end(&mut self, id: &'static str, outcome: &Outcome) -> Result<(), Over> {
        let (mark, seen) = told(outcome);
        self.checks
            .push(check(id, mark, seen).with_hint(remedies::kept_out(outcome)));
        Err(Over)
    }

    /// STARTTLS, what was agreed, and the certificate.
    fn tls(
        &mut self,
        question: &Question<'_>,
        dialogue: &Dialogue,
        implicit: bool,
        begun: &Result<(), Outcome>,
    ) -> Judgement {
        let nothing = Judgement {
            leaf: None,
            checks: Vec::new(),
        };
        let Some(shown) = dialogue.shown() else {
            return nothing;
        };
        if !implicit {
            self.checks
                .push(check("starttls", Mark::Good, "220, and TLS begins"));
        }
        if !shown.protocol.is_empty() {
            let seen = format!("{}, {}", shown.protocol, shown.cipher);
            self.checks.push(check("tls", Mark::Good, seen));
        } else if shown.chain.is_empty() && begun.is_ok() {
            self.checks
                .push(fault("tls", "it did not get as far as a version"));
        }
        if shown.chain.is_empty() {
            self.shown = Some(shown);
            return nothing;
        }
        let judgement = judge(&shown, &question.judges);
        self.checks.extend(judgement.checks.iter().cloned());
        if let Some(leaf) = &judgement.leaf {
            self.checks.extend((question.known)(leaf));
            self.leaf = Some(leaf.clone());
        }
        self.shown = Some(shown);
        judgement
    }

    /// A refusal: right or wrong, according to whom it met.
    fn turned_away(&mut self, question: &Question<'_>, outcome: &Outcome) {
        let (mark, seen) = told(outcome);
        if mark == Mark::Untried {
            let hint = remedies::of("client", mark, outcome)
                .unwrap_or_else(|| "see the relay's mail log".to_owned());
            self.checks
                .push(check("client", mark, seen).with_hint(hint));
            return;
        }
        let refused_for_us = matches!(
            outcome,
            Outcome::Refused {
                stage: Stage::Handshake | Stage::InTls | Stage::Mail | Stage::Rcpt,
                ..
            }
        ) && self.leaf.is_some();
        let check = match question.client {
            None if refused_for_us => check(
                "client",
                Mark::Good,
                format!("refused, as it must be without a certificate: {seen}"),
            ),
            Some(client) if refused_for_us && client.listed == Some(false) => check(
                "client",
                Mark::Good,
                format!("refused, as it must be: the host is not listed: {seen}"),
            ),
            _ => fault("client", format!("refused: {seen}")).with_hint(remedies::kept_out(outcome)),
        };
        self.checks.push(check);
    }
}

/// An outcome in words.
fn told(outcome: &Outcome) -> (Mark, String) {
    match outcome {
        Outcome::Taken { code, text, .. } => (Mark::Good, format!("{code} {text}")),
        Outcome::Refused { stage, code, text } => {
            let code = code.map(|code| format!("{code} ")).unwrap_or_default();
            (Mark::Fault, format!("{code}{text} (at {stage})"))
        }
        Outcome::Untried { why, .. } => (Mark::Untried, why.clone()),
    }
}

fn offered(offers: &Offers) -> String {
    if offers.0.is_empty() {
        "nothing is offered".to_owned()
    } else {
        offers.0.join(", ")
    }
}
