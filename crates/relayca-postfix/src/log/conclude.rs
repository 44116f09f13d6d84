//! How sessions end.
//!
//! Enters: sessions and deliveries. Leaves: entries in the ledger, and an [`Ended`] for whoever follows. Refuses to know how lines are read.

use std::sync::Arc;

use super::delivery::{Delivery, Status};
use super::ledger::{Key, Names, commands, enter};
use super::line::Program;
use super::meaning::{Kind, Meaning, Place};
use super::meanings::{find, meaning_of};
use super::message::Message;
use super::peer::{self, Peer};
use super::reader::{Context, Pending, Process, Reader, Told};
use super::report::{Ended, Outcome, Reason, Way};
use super::session::{Clue, Session};
use super::shown::{is_host, shown};
use super::words::without_codes;

/// What smtp says before a delivery, of its next hop alone.
const OF_ONE_DELIVERY: [&str; 5] = [
    "policy-invalid",
    "wrapper-needs-encrypt",
    "ciphers-invalid",
    "protocols-invalid",
    "own-tls-misconfigured",
];

/// Who is at the other end.
struct Who {
    key: Key,
    known: bool,
    ours: bool,
}

impl Reader<'_> {
    /// The process is over, as far as anybody can tell.
    pub fn end(&mut self, process: &mut Process, told: Told<'_>) {
        self.conclude(process, told);
        self.settle(&mut process.pending, told);
    }

    /// The process's session is over, or another one begins.
    pub fn conclude(&mut self, process: &mut Process, told: Told<'_>) {
        let Some(session) = process.session.take() else {
            return;
        };
        let (outcome, why) = match session.way {
            Way::From => {
                let who = self.who(&session);
                let why = session.why_server(&process.clues, who.known);
                let meant = session
                    .clues
                    .iter()
                    .any(|clue| clue.meaning.kind >= Kind::Note);
                if !who.ours && !meant && why.is_empty() {
                    self.counts.accepted_elsewhere += u64::from(session.messages());
                    self.counts.refused_elsewhere += u64::from(session.refused);
                    return;
                }
                (session.outcome(), why)
            }
            // A server that was given up for the next one. What was delivered is told already.
            Way::To if !session.delivered => {
                let why = session.why_client(&process.clues, None);
                if !why.iter().any(|clue| clue.meaning.kind >= Kind::Effect) {
                    return;
                }
                (Outcome::Failed, why)
            }
            Way::To => return,
        };
        shown_by(&mut process.pending, &why);
        self.told(&session, outcome, &why, told);
    }

    /// Enters a session, and tells it.
    fn told(&mut self, session: &Session, outcome: Outcome, why: &[Clue], told: Told<'_>) {
        let who = self.who(session);
        if !self.is_wanted(&who.key.1, &session.address) {
            return;
        }
        let Who { key, known, ours } = &who;
        if !key.1.is_empty()
            && let Some(host) = self.ledger.host(key, *ours, *known)
        {
            enter(host, &session.address, outcome, why, session.last);
            // smtpd may refuse several recipients of one session.
            host.refused += u64::from(session.refused.max(u32::from(
                outcome == Outcome::Failed && session.way == Way::From,
            )));
        }
        let own = self.own_name(session);
        let names = Names {
            way: session.way,
            own: &own,
            other: &key.1,
            nameable: *known || !self.known.any,
        };
        let notes = session.clues.of_kind(Kind::Note);
        let first_time = !session.delivered;
        for clue in why.iter().chain(notes.iter().filter(|_| first_time)) {
            self.ledger.problem(clue, names, *ours, session.last);
        }
        told(&Ended {
            at: session.last,
            way: session.way,
            host: key.1.clone(),
            address: session.address.clone(),
            known: *known,
            ours: *ours,
            outcome,
            reasons: why.iter().map(|clue| reason(clue, names)).collect(),
        });
    }

    /// A delivery, or an attempt: the end of a client's session, for one recipient.
    pub fn delivered(
        &mut self,
        process: &mut Process,
        delivery: &Delivery<'_>,
        context: Context<'_>,
        told: Told<'_>,
    ) {
        self.onward(delivery);
        let program = context.line.program;
        let cause = match delivery.status {
            Status::Sent => None,
            _ => reason_of(program, delivery.reason),
        };
        let clue = cause.map(|(meaning, file)| Clue::new(meaning, &context.example(), file));
        if program == Program::Agent {
            // What the error and retry services deliver failed in the queue manager; the others need no connection.
            let pending = clue.map(|clue| Pending {
                clue,
                machine: context.line.machine.into(),
                way: Way::To,
                at: context.at,
                told: false,
            });
            self.settle(&mut pending.into_iter().collect(), told);
            return;
        }
        self.find_server(process, delivery, clue.as_ref(), context, told);
        let Some(mut session) = process.session.take() else {
            return;
        };
        session.last = context.at.or(session.last);
        let outcome = match delivery.status {
            Status::Sent => Outcome::Sent,
            Status::Deferred => Outcome::Deferred,
            Status::Bounced => Outcome::Bounced,
        };
        let mut why = match delivery.status {
            Status::Sent => Vec::new(),
            _ => session.why_client(&process.clues, clue),
        };
        if delivery.status == Status::Sent && session.service && delivery.tls.ends_with(b":none") {
            why.extend(
                find("sent-without-tls").map(|meaning| Clue::new(meaning, &context.example(), b"")),
            );
        }
        shown_by(&mut process.pending, &why);
        process.clues.forget(&OF_ONE_DELIVERY);
        let (key, ours) = self.key_of(Some(&session));
        if ours || !why.is_empty() {
            if ours && delivery.status == Status::Deferred {
                self.put_off(delivery, Arc::new(key));
            }
            self.told(&session, outcome, &why, told);
        }
        session.delivered = true;
        process.session = Some(session);
    }

    /// Sees to it that the process has a session with the server that the delivery names.
    fn find_server(
        &mut self,
        process: &mut Process,
        delivery: &Delivery<'_>,
        clue: Option<&Clue>,
        context: Context<'_>,
        told: Told<'_>,
    ) {
        let there = process.session.as_ref().is_some_and(|session| {
            session.way == Way::To
                && match &delivery.relay {
                    Some(relay) => session.is_with(relay),
                    None => !session.delivered,
                }
        });
        if there {
            if let (Some(session), Some(relay)) = (&mut process.session, &delivery.relay) {
                session.own_port |= relay.port.is_some_and(|port| port != b"25");
            }
            return;
        }
        self.conclude(process, told);
        // `connect to H[A]:25: Connection refused` has one, too.
        let in_reason = delivery
            .reason
            .strip_prefix(b"connect to ")
            .and_then(|rest| peer::peer(rest));
        let nobody = Peer {
            name: clue.map_or(&b""[..], |clue| clue.file.as_bytes()),
            address: b"",
            port: None,
        };
        let server = delivery
            .relay
            .or(in_reason.map(|(peer, _)| peer))
            .unwrap_or(nobody);
        let machine = self.called(context.line.machine);
        process.session = Some(Box::new(Session::new(
            Way::To,
            context.service,
            machine,
            &server,
        )));
    }

    /// Adds a delivery to the host that the message came from.
    fn onward(&mut self, delivery: &Delivery<'_>) {
        let Some(message) = self.messages.get(delivery.message) else {
            return;
        };
        message.fate(delivery.recipient, delivery.status);
        if let Some(key) = &message.from
            && let Some(host) = self.ledger.seen(key.as_ref())
        {
            match delivery.status {
                Status::Sent => host.relayed += 1,
                Status::Deferred => {}
                Status::Bounced => host.bounced += 1,
            }
        }
    }

    /// A relay puts a message off: it waits for that one.
    fn put_off(&mut self, delivery: &Delivery<'_>, relay: Arc<Key>) {
        if self.messages.get(delivery.message).is_none() {
            self.messages
                .put(delivery.message.into(), Message::default());
        }
        if let Some(message) = self.messages.get(delivery.message) {
            message.to = Some(relay);
            message.fate(delivery.recipient, delivery.status);
        }
    }

    /// A message waited too long.
    pub fn expired(&mut self, message: &[u8], context: Context<'_>, told: Told<'_>) {
        let Some(meaning) = find("expired-in-queue") else {
            return;
        };
        let clue = Clue::new(meaning, &context.example(), b"");
        // It goes back, and waits no more.
        let message = self.messages.remove(message);
        let key = message.and_then(|message| message.to.or(message.from));
        let other = key.as_ref().map(|key| key.1.clone()).unwrap_or_default();
        if !self.is_wanted(&other, "") {
            return;
        }
        let own = self.machine(context.line.machine);
        let names = Names {
            way: Way::To,
            own: &own,
            other: &other,
            nameable: true,
        };
        let ours = key.is_some();
        if let Some(host) = key.and_then(|key| self.ledger.seen(&key)) {
            enter(
                host,
                "",
                Outcome::Bounced,
                std::slice::from_ref(&clue),
                context.at,
            );
        }
        self.ledger.problem(&clue, names, ours, context.at);
        told(&Ended {
            at: context.at,
            way: Way::To,
            known: false,
            ours,
            outcome: Outcome::Bounced,
            reasons: vec![reason(&clue, names)],
            address: String::new(),
            host: other.clone(),
        });
    }

    /// Enters what no session has shown.
    pub fn settle(&mut self, pending: &mut Vec<Pending>, told: Told<'_>) {
        self.tell(pending, told);
        for pending in pending.drain(..).filter(|_| self.only.is_none()) {
            let own = self.machine(&pending.machine);
            let names = Names {
                way: pending.way,
                own: &own,
                other: "",
                nameable: false,
            };
            self.ledger.problem(&pending.clue, names, true, pending.at);
        }
    }

    /// Tells troubles of a program, outside of any session, once.
    pub fn tell(&self, pending: &mut [Pending], told: Told<'_>) {
        for pending in pending
            .iter_mut()
            .filter(|pending| !pending.told && self.only.is_none())
        {
            pending.told = true;
            let own = self.machine(&pending.machine);
            let names = Names {
                way: pending.way,
                own: &own,
                other: "",
                nameable: false,
            };
            told(&Ended {
                at: pending.at,
                way: pending.way,
                host: String::new(),
                address: String::new(),
                known: false,
                ours: true,
                outcome: Outcome::Nothing,
                reasons: vec![reason(&pending.clue, names)],
            });
        }
    }

    fn is_wanted(&self, host: &str, address: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.eq_ignore_ascii_case(host) || only == address)
    }

    /// What the host of a session is called, and whether it has to do with relaying.
    pub fn key_of(&self, session: Option<&Session>) -> (Key, bool) {
        match session.map(|session| self.who(session)) {
            Some(who) => (who.key, who.ours),
            None => ((Way::From, String::new()), false),
        }
    }

    /// By fingerprint, by a certificate that its CA vouches for, by the name that Postfix found, by address.
    fn who(&self, session: &Session) -> Who {
        let by_name = |name: &str| (self.known.by_name)(name);
        let known = session
            .owner
            .clone()
            .or_else(|| session.certified().and_then(by_name))
            .or_else(|| {
                (!session.name.is_empty())
                    .then(|| by_name(&session.name))
                    .flatten()
            });
        let ours = known.is_some() || session.ours();
        let is_known = known.is_some();
        let name = known
            .or_else(|| session.certified().map(str::to_owned))
            .or_else(|| (!session.name.is_empty()).then(|| session.name.clone()))
            .unwrap_or_else(|| session.address.clone());
        Who {
            key: (session.way, name),
            known: is_known,
            ours,
        }
    }

    fn own_name(&self, session: &Session) -> String {
        self.machine(session.machine.as_bytes())
    }

    /// The full name of the machine that logged, if the inventory has it.
    fn machine(&self, machine: &[u8]) -> String {
        let name = shown(machine, 255);
        if !is_host(&name) {
            return String::new();
        }
        (self.known.by_name)(&name).unwrap_or(name)
    }
}

/// What a session has shown need not be told of the process alone.
fn shown_by(pending: &mut Vec<Pending>, why: &[Clue]) {
    pending.retain(|pending| {
        !why.iter()
            .any(|clue| clue.meaning.id == pending.clue.meaning.id)
    });
}

fn reason(clue: &Clue, names: Names<'_>) -> Reason {
    Reason {
        meaning: clue.meaning,
        example: clue.example.to_string(),
        commands: commands(clue.meaning, names, &clue.file),
    }
}

/// What the words in the brackets of a delivery mean.
fn reason_of(program: Program, text: &[u8]) -> Option<(&'static Meaning, &[u8])> {
    let text = text
        .strip_prefix(b"delivery temporarily suspended: ")
        .unwrap_or(text);
    if let Some((_, rest)) = text.strip_prefix(b"host ").and_then(peer::peer) {
        let said = rest
            .strip_prefix(b" said: ")
            .or_else(|| rest.strip_prefix(b" refused to talk to me: "))?;
        return meaning_of(program, Place::Remote, without_codes(said));
    }
    meaning_of(program, Place::Reason, text)
}
