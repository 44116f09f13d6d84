//! `relayca probe [RELAY]`: the relay step by step.
//!
//! In: the arguments, an authority if there is one. Out: a report. It refuses to send a message unless told to.

use relayca_ca::{Certificate, HostName};
use relayca_inventory::{Records, State};
use serde_json::{Value, json};

use super::whom::{self, Opened, Whom};
use crate::cli::Probe;
use crate::dates;
use crate::failure::Failure;
use crate::home::Home;
use crate::printer::{one_line, table};
use crate::probing::asking::Envelope;
use crate::probing::in_a_line;
use crate::probing::judging::{Judges, WithHint, check};
use crate::probing::message::{self, Message};
use crate::probing::relay::{Client, Question, Report, look};
use crate::probing::services::{Check, FAULTY, Mark, PARTLY};
use crate::run::Run;

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Probe) -> Result<u8, Failure> {
    let whom = whom::find(run, arguments)?;
    let opened = opened(run, arguments, &whom)?;
    if arguments.send.is_some() && opened.is_none() {
        return Err(Failure::usage("a message is sent as a mail host")
            .hint("say as which: --as HOST, or --cert-file and --key-file"));
    }
    let host = opened
        .as_ref()
        .and_then(|opened| host_of(&opened.0.certificate));
    let envelope = whom.envelope(arguments, host.as_ref())?;
    let message = arguments
        .send
        .as_ref()
        .map(|_| {
            let (from, to) = (&envelope.sender, &envelope.recipient);
            let domain = whom.domain(host.as_ref());
            message::message(from, to, &whom.place.text(), &domain, run.now)
        })
        .transpose()?;
    let listed = opened.as_ref().and_then(|opened| whom.listed(&opened.0));
    let known = |leaf: &Certificate| known(&whom, leaf);
    let question = Question {
        place: &whom.place,
        judges: Judges {
            authorities: &whom.authorities,
            name: whom.name.as_ref(),
            digest: whom.digest,
            now: run.now,
        },
        known: &known,
        client: opened.as_ref().map(|opened| Client {
            credential: &opened.0,
            listed: whom.knows_the_map().then_some(listed.is_some()),
        }),
        envelope: &envelope,
        send: message.as_ref(),
    };
    let report = look(&question)?;
    let shown = Printed {
        whom: &whom,
        opened: opened.as_ref(),
        listed,
        envelope: &envelope,
        message: message.as_ref(),
        report: &report,
    };
    shown.print(run)?;
    Ok(match report.worst() {
        Mark::Good | Mark::Note => 0,
        Mark::Untried | Mark::Warning => PARTLY,
        Mark::Fault => FAULTY,
    })
}

/// The certificate to show, if one is named.
fn opened(run: &Run, arguments: &Probe, whom: &Whom) -> Result<Option<Opened>, Failure> {
    match (&arguments.host, &whom.home) {
        (Some(host), Some(home)) => {
            let host = HostName::in_domain(host, &home.settings.domain)?;
            let admins = home.admin_identities(&run.secrets)?;
            whom::from_bundle(home, &admins, &host).map(Some)
        }
        _ => whom::from_files(arguments),
    }
}

/// The first name in a certificate.
pub fn host_of(certificate: &Certificate) -> Option<HostName> {
    certificate
        .alt_names()
        .iter()
        .find_map(|name| match name {
            relayca_ca::AltName::Dns(host) => Some(host.clone()),
            relayca_ca::AltName::Ip(_) => None,
        })
        .or_else(|| HostName::parse(certificate.common_name()?).ok())
}

/// What the inventory has of the relay's certificate.
fn known(whom: &Whom, leaf: &Certificate) -> Option<Check> {
    let home: &Home = whom.home.as_ref()?;
    let record = home
        .inventory_read_only()
        .ok()?
        .certificate(&leaf.serial().to_string())
        .ok()?
        .filter(|record| record.certificate_der == leaf.der());
    Some(match record {
        Some(record) if record.state == State::Live => check(
            "inventory",
            Mark::Good,
            format!(
                "serial {}, issued {}",
                record.serial,
                dates::day_of(&record.issued_at)
            ),
        ),
        Some(record) if record.state == State::Revoked => check(
            "inventory",
            Mark::Fault,
            format!("serial {} was revoked", record.serial),
        )
        .with_hint(format!(
            "`relayca renew --rekey {}` gives it a new key",
            record.host
        )),
        Some(record) => check(
            "inventory",
            Mark::Warning,
            format!("serial {} was {}", record.serial, record.state),
        )
        .with_hint(format!(
            "take the files of `relayca bundle {}` there",
            record.host
        )),
        None => check(
            "inventory",
            Mark::Warning,
            "this certificate is not in the inventory",
        )
        .with_hint("it was not issued here, or the inventory was restored from an old backup"),
    })
}

/// All that is printed.
struct Printed<'a> {
    whom: &'a Whom,
    opened: Option<&'a Opened>,
    listed: Option<String>,
    envelope: &'a Envelope,
    message: Option<&'a Message>,
    report: &'a Report,
}

impl Printed<'_> {
    fn print(&self, run: &Run) -> Result<(), Failure> {
        let place = one_line(&self.whom.place.text());
        if run.printer.json {
            run.printer.json(&self.json())?;
        } else {
            let rows: Vec<Vec<String>> = self
                .report
                .checks
                .iter()
                .map(|check| {
                    vec![
                        check.id.to_owned(),
                        check.mark.as_str().to_owned(),
                        in_a_line(&check.seen),
                    ]
                })
                .collect();
            let text = table(&["CHECK", "VERDICT", "SEEN"], &rows);
            run.printer.data(&format!("{place}\n{text}"))?;
            for check in &self.report.checks {
                match &check.hint {
                    Some(hint) if check.mark > Mark::Note => {
                        run.printer.hint(&format!("{}: {hint}", check.id));
                    }
                    Some(hint) => run.printer.note(&format!("{}: {hint}", check.id)),
                    None => {}
                }
            }
        }
        run.printer.note(&match (&self.report.sent, self.message) {
            (Some(_), Some(message)) => {
                format!(
                    "one message was sent to {}: {}",
                    self.envelope.recipient, message.id
                )
            }
            (None, Some(_)) => "no message was sent".to_owned(),
            (_, None) if self.report.worst() <= Mark::Note => {
                format!("{place} is as it should be; no message was sent")
            }
            (_, None) => format!(
                "{place} is not as it should be, or not all could be seen; no message was sent"
            ),
        });
        Ok(())
    }

    fn json(&self) -> Value {
        let report = self.report;
        let lines =
            |offers: &Option<relayca_probe::Offers>| offers.as_ref().map(|offers| offers.0.clone());
        let tls = report
            .shown
            .as_ref()
            .filter(|shown| !shown.protocol.is_empty())
            .map(|shown| {
                json!({ "protocol": shown.protocol, "cipher": shown.cipher, "asks_for_certificate": shown.asked })
            });
        let checks: Vec<Value> = report
            .checks
            .iter()
            .map(|check| {
                json!({ "id": check.id, "verdict": check.mark.as_str(), "seen": check.seen, "hint": check.hint })
            })
            .collect();
        json!({
            "relay": self.whom.place.text(),
            "name": self.whom.name.as_ref().map(HostName::as_str),
            "address": report.address.map(|address| address.ip().to_string()),
            "status": report.worst().as_str(),
            "greeting": report.greeting,
            "offers_before_tls": lines(&report.offers_before),
            "offers": lines(&report.offers),
            "tls": tls,
            "certificate": report.leaf.as_ref().map(|leaf| certificate_json(leaf, self.whom)),
            "client": self.opened.map(|opened| client_json(opened, self.whom, self.listed.as_deref())),
            "envelope": self.opened.map(|_| json!({ "sender": self.envelope.sender, "recipient": self.envelope.recipient })),
            "sent": self.message.zip(report.sent.as_ref()).map(|(message, reply)| json!({ "message_id": message.id, "reply": reply })),
            "checks": checks,
        })
    }
}

/// A relay's certificate, as `--json` shows it.
fn certificate_json(leaf: &Certificate, whom: &Whom) -> Value {
    let names: Vec<String> = leaf.alt_names().iter().map(ToString::to_string).collect();
    json!({
        "subject": leaf.subject(),
        "issuer": leaf.issuer(),
        "serial": leaf.serial().to_string(),
        "names": names,
        "key": leaf.key_description(),
        "fingerprint": relayca_fingerprint::fingerprint(whom.digest, leaf.spki_der()).to_string(),
        "not_before": dates::stamp(leaf.not_before()),
        "not_after": dates::stamp(leaf.not_after()),
    })
}

/// The certificate that was shown to it.
pub fn client_json(opened: &Opened, whom: &Whom, listed: Option<&str>) -> Value {
    let certificate = &opened.0.certificate;
    let host = host_of(certificate).map(|host| host.to_string());
    json!({
        "listed_fingerprints": whom.fingerprints_of(host.as_deref().unwrap_or_default()),
        "host": host,
        "serial": certificate.serial().to_string(),
        "fingerprint": opened.0.fingerprint(whom.digest),
        "listed": listed,
    })
}
