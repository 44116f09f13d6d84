//! From lines to sessions.
//!
//! Enters: lines. Leaves: sessions, as long as they go on. Refuses to know blocks; what becomes of a session that ends stands in
//! [`conclude`](super::conclude).
//!
//! A process of smtpd serves one client at a time, and one of smtp one server: lines belong together by machine, tag and process number. What a
//! process says before its first client (a key that cannot be loaded) counts for all its sessions.

use std::sync::Arc;

use super::belonging::{key, peer_of, way_by, way_of};
use super::event::{Event, Severity, Standing, event};
use super::explainer::Known;
use super::journal;
use super::ledger::Ledger;
use super::line::{Line, Program};
use super::meaning::{Kind, Meaning, Place};
use super::meanings::{find, meaning_of};
use super::message::Message;
use super::peer::Peer;
use super::recent::Recent;
use super::report::{Counts, Ended, Report, Way};
use super::session::{Clue, Clues, Session};
use super::shown::{EXAMPLE, shown};
use super::stamp::{Around, Stamp};
use super::words::{said, without_codes};

/// The most processes whose sessions are kept open.
const MOST_PROCESSES: usize = 4096;
/// The most messages that are remembered: with those that wait, so many at most are told of.
const MOST_MESSAGES: usize = 32_768;

/// A process of Postfix's.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// Whether a client is connected now.
    pub connected: bool,
    pub session: Option<Box<Session>>,
    /// What it said outside of sessions.
    pub clues: Clues,
    /// What of that no session has shown yet.
    pub pending: Vec<Pending>,
}

impl Process {
    /// Whether what it says now is of its session.
    fn is_in_session(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| match session.way {
                Way::From => self.connected,
                Way::To => !session.delivered,
            })
    }
}

/// A trouble of a process that may yet turn out to be why a session fails.
#[derive(Debug)]
pub(super) struct Pending {
    pub clue: Clue,
    pub machine: Box<[u8]>,
    pub way: Way,
    pub at: Option<Stamp>,
    pub told: bool,
}

/// Everything so far.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub known: Known<'a>,
    pub since: Option<Stamp>,
    pub only: Option<String>,
    processes: Recent<(u64, u32), Process>,
    /// Messages on their way that have to do with relaying. One that was forgotten is counted no more among those that wait.
    pub messages: Recent<Box<[u8]>, Message>,
    pub ledger: Ledger,
    pub counts: Counts,
    /// The machine of the last session: mostly it is that of the next one, too.
    machine: Arc<str>,
}

/// Where an explanation of a session goes.
pub(super) type Told<'t> = &'t mut dyn FnMut(&Ended);

/// A line, with what is needed of it everywhere.
#[derive(Clone, Copy)]
pub(super) struct Context<'l> {
    pub line: &'l Line<'l>,
    pub at: Option<Stamp>,
    /// Of a service or transport of relayca's, by its tag.
    pub service: bool,
}

impl Context<'_> {
    /// Tag, process and words, as an example.
    pub fn example(&self) -> Vec<u8> {
        let mut text = self.line.tag.to_vec();
        if let Some(process) = self.line.process {
            text.extend_from_slice(format!("[{process}]").as_bytes());
        }
        if !text.is_empty() {
            text.extend_from_slice(b": ");
        }
        text.extend_from_slice(self.line.text);
        text
    }

    fn sample(&self) -> Box<str> {
        shown(&self.example(), EXAMPLE).into()
    }
}

impl<'a> Reader<'a> {
    pub fn new(known: Known<'a>) -> Self {
        Self {
            known,
            since: None,
            only: None,
            processes: Recent::new(MOST_PROCESSES),
            messages: Recent::new(MOST_MESSAGES),
            ledger: Ledger::new(),
            counts: Counts::default(),
            machine: Arc::default(),
        }
    }

    /// What a machine calls itself.
    pub fn called(&mut self, machine: &[u8]) -> Arc<str> {
        if self.machine.as_bytes() != machine {
            self.machine = shown(machine, 255).into();
        }
        Arc::clone(&self.machine)
    }

    /// Ends what is open.
    pub fn finish(mut self, told: Told<'_>) -> Report {
        let processes = std::mem::replace(&mut self.processes, Recent::new(1));
        for (_, mut process) in processes.into_oldest_first() {
            self.end(&mut process, told);
        }
        for message in self.messages.values() {
            for key in message.waits_at() {
                if let Some(host) = self.ledger.seen(key) {
                    host.waiting += 1;
                }
            }
        }
        let (hosts, problems) = self.ledger.told();
        self.counts.forgotten = self.ledger.forgotten;
        Report {
            hosts,
            problems,
            counts: self.counts,
        }
    }

    /// A line.
    pub fn line(&mut self, text: &[u8], around: &Around, told: Told<'_>) {
        self.counts.lines += 1;
        if text.first() == Some(&b'{') {
            if let Some(entry) = journal::entry(text)
                && let Some(line) = Line::of_entry(&entry)
            {
                self.parsed(&line, around, told);
            }
        } else if let Some(line) = Line::parse(text) {
            self.parsed(&line, around, told);
        }
    }

    fn parsed(&mut self, line: &Line<'_>, around: &Around, told: Told<'_>) {
        let Some(event) = event(line.program, line.text) else {
            return;
        };
        // What means nothing is by far the most of what is left.
        let meaning = match &event {
            Event::Said { severity, text } => match said(line.program, *severity, text) {
                Some(found) => Some(found),
                None => return,
            },
            Event::Library(text) => match meaning_of(line.program, Place::Library, text) {
                Some(found) => Some(found),
                None => return,
            },
            Event::Removed { message } => {
                self.messages.remove(*message);
                return;
            }
            _ => None,
        };
        let at = line.when(around);
        if let (Some(at), Some(since)) = (at, self.since)
            && at.before(&since)
        {
            return;
        }
        self.counts.told += 1;
        self.counts.first = self.counts.first.or(at);
        self.counts.last = at.or(self.counts.last);
        let context = Context {
            line,
            at,
            service: memchr::memmem::find(line.tag, b"relayca").is_some(),
        };
        match event {
            Event::Forged => self.counts.not_believed += 1,
            Event::Expired { message } => self.expired(message, context, told),
            event => self.of_process(&event, meaning, context, told),
        }
    }

    fn of_process(
        &mut self,
        event: &Event<'_>,
        meaning: Option<(&'static Meaning, &[u8])>,
        context: Context<'_>,
        told: Told<'_>,
    ) {
        let peer = peer_of(event);
        let key = key(context.line, peer);
        let mut process = match self.processes.get(&key) {
            Some(process) => std::mem::take(process),
            None => {
                if let Some((_, mut gone)) = self.processes.put(key, Process::default()) {
                    self.end(&mut gone, told);
                }
                Process::default()
            }
        };
        if meaning.is_none() {
            self.tell(&mut process.pending, told);
        }
        match (event, meaning) {
            (Event::Said { severity, .. }, Some((meaning, file))) => {
                self.clue(&mut process, meaning, file, context, told);
                if *severity == Severity::Fatal {
                    self.end(&mut process, told);
                    process.connected = false;
                }
            }
            // A handshake fails in a session; outside of one OpenSSL speaks of a file that was named before, or of a goodbye.
            (Event::Library(_), Some(_))
                if !process.is_in_session()
                    && process.clues.is_empty()
                    && context.line.process.is_some() => {}
            (_, Some((meaning, file))) => self.clue(&mut process, meaning, file, context, told),
            (Event::Delivered(delivery), _) => {
                self.delivered(&mut process, delivery, context, told)
            }
            (Event::Connect(peer), _) => {
                self.conclude(&mut process, told);
                self.meet(&mut process, Way::From, peer, context, told);
            }
            (Event::Disconnect(peer, counts), _) => {
                self.meet(&mut process, Way::From, peer, context, told);
                if let Some(session) = &mut process.session {
                    leave(session, counts, context);
                }
                self.conclude(&mut process, told);
                process.connected = false;
            }
            (event, _) => {
                if let Some(peer) = peer {
                    self.meet(
                        &mut process,
                        way_of(event, context.line.program),
                        peer,
                        context,
                        told,
                    );
                }
                self.add(&mut process, event, context);
            }
        }
        // It is there: it was got or put above.
        if let Some(slot) = self.processes.get(&key) {
            *slot = process;
        }
    }

    /// Sees to it that the process has a session with this peer.
    pub fn meet(
        &mut self,
        process: &mut Process,
        way: Way,
        peer: &Peer<'_>,
        context: Context<'_>,
        told: Told<'_>,
    ) {
        let same = process.session.as_ref().is_some_and(|session| {
            session.is_with(peer) && session.way == way && !session.delivered
        });
        if !same {
            self.conclude(process, told);
            let machine = self.called(context.line.machine);
            process.session = Some(Box::new(Session::new(way, context.service, machine, peer)));
        }
        process.connected = way == Way::From;
        if let Some(session) = &mut process.session {
            session.last = context.at.or(session.last);
            session.own_port |= peer.port.is_some_and(|port| port != b"25");
        }
    }

    /// A line that means something by itself.
    fn clue(
        &mut self,
        process: &mut Process,
        meaning: &'static Meaning,
        file: &[u8],
        context: Context<'_>,
        told: Told<'_>,
    ) {
        let of_session = process.is_in_session();
        let clues = match &mut process.session {
            Some(session) if of_session => {
                session.last = context.at.or(session.last);
                &mut session.clues
            }
            _ => &mut process.clues,
        };
        // Of what kind a file's trouble is, is said before why.
        let last = clues.last_file().to_owned();
        let is_relative =
            meaning.id == "file-not-there" && !last.is_empty() && !last.starts_with('/');
        let meaning = is_relative
            .then(|| find("path-relative"))
            .flatten()
            .unwrap_or(meaning);
        let file = if file.is_empty() {
            last.into_bytes()
        } else {
            file.to_vec()
        };
        let before = clues.has(meaning.id);
        let clue = Clue::new(meaning, &context.example(), &file);
        clues.add(clue.clone());
        if of_session || before || meaning.kind < Kind::Note {
            return;
        }
        let pending = Pending {
            clue,
            machine: context.line.machine.into(),
            way: way_by(context.line.program),
            at: context.at,
            told: false,
        };
        if context.line.process.is_some()
            && matches!(context.line.program, Program::Server | Program::Client)
        {
            // That a file could not be loaded is said before why; that no TLS is to be had, behind it.
            let caused = process
                .clues
                .iter()
                .any(|clue| clue.meaning.kind == Kind::Cause);
            if caused {
                process
                    .pending
                    .retain(|pending| pending.clue.meaning.kind != Kind::Effect);
            }
            if !caused || pending.clue.meaning.kind != Kind::Effect {
                process.pending.push(pending);
            }
        } else {
            self.settle(&mut vec![pending], told);
        }
    }

    /// What a line adds to the session that it is of.
    fn add(&mut self, process: &mut Process, event: &Event<'_>, context: Context<'_>) {
        let Some(session) = &mut process.session else {
            return;
        };
        let program = match (context.line.program, session.way) {
            (Program::Unknown, Way::From) => Program::Server,
            (Program::Unknown, Way::To) => Program::Client,
            (program, _) => program,
        };
        let named = |id: &str| find(id).map(|meaning| (meaning, &b""[..]));
        let found = match event {
            Event::Secured { standing, .. } => {
                session.standing = Some(*standing);
                // All the world's servers show none.
                if session.service || *standing != Standing::Anonymous {
                    session.sample = context.sample();
                }
                None
            }
            Event::Shown {
                name, fingerprints, ..
            } => {
                self.counts.fingerprints = true;
                session.certificate = shown(name, 255);
                session.owner = fingerprints
                    .iter()
                    .flatten()
                    .filter_map(|fingerprint| std::str::from_utf8(fingerprint).ok())
                    .find_map(|fingerprint| (self.known.by_fingerprint)(fingerprint));
                None
            }
            Event::Unverified {
                by_authority,
                reason,
                ..
            } => {
                let place = if *by_authority {
                    Place::UnverifiedAuthority
                } else {
                    Place::Unverified
                };
                meaning_of(program, place, reason)
            }
            Event::Aborted { reason, .. } => {
                session.refused += 1;
                meaning_of(program, Place::Abort, reason)
            }
            Event::Refused { probe: true, .. } => None,
            Event::Refused { reply, .. } => {
                session.refused += 1;
                let found = meaning_of(program, Place::Reply, without_codes(reply));
                if found.is_some() {
                    session.sample = context.sample();
                }
                found
            }
            Event::Accepted { message, .. } => {
                session.accepted += 1;
                let (key, ours) = self.key_of(process.session.as_deref());
                if ours {
                    self.messages
                        .put((*message).into(), Message::from(Arc::new(key)));
                }
                return;
            }
            Event::Lost { after, .. } if *after == b"STARTTLS" => named("lost-in-handshake"),
            Event::Unsecured { .. } => named("handshake-failed"),
            Event::Resumed { untrusted, .. } => named(if *untrusted {
                "session-resumed-untrusted"
            } else {
                "session-resumed"
            }),
            _ => None,
        };
        if let Some((meaning, file)) = found {
            session
                .clues
                .add(Clue::new(meaning, &context.example(), file));
        }
    }
}

/// What the counts of commands say, where nothing else was said of a session on relayca's service.
fn leave(session: &mut Session, counts: &[u8], context: Context<'_>) {
    let has = |words: &[u8]| memchr::memmem::find(counts, words).is_some();
    // A text in pieces (BDAT) is counted once a piece.
    if has(b" commands=") && !has(b" bdat=") {
        session.texts = Some(number(counts, b" data="));
    }
    // No mail server says NOOP and then asks for nothing: so `relayca probe` signs what it has to see refused.
    if has(b" noop=") && !has(b" rcpt=") {
        session.refused = 0;
        session.clues = Clues::default();
        return;
    }
    let quiet = session.refused == 0 && session.accepted == 0;
    let id = if has(b" starttls=0/") {
        "starttls-refused"
    } else if session.service && quiet && session.standing.is_none() && has(b" mail=0/") {
        session.refused += 1;
        "refused-without-tls"
    } else if session.service && quiet && session.standing.is_some() && !has(b" mail=") {
        "left-after-starttls"
    } else {
        return;
    };
    if let Some(meaning) = find(id) {
        session
            .clues
            .add(Clue::new(meaning, &context.example(), b""));
    }
}

/// The number behind a word; 0 where it is not there.
fn number(counts: &[u8], word: &[u8]) -> u32 {
    let digits = memchr::memmem::find(counts, word)
        .and_then(|at| counts.get(at + word.len()..))
        .unwrap_or_default();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let digits = digits
        .get(..end.unwrap_or(digits.len()))
        .unwrap_or_default();
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
