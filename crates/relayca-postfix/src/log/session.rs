//! A session, while it goes on.
//!
//! Enters: what its lines say, one after the other. Leaves: who the other side is, and why it ended as it did. Refuses to know other
//! sessions, and how lines are read.

use std::sync::Arc;

use super::event::Standing;
use super::meaning::{Kind, Meaning};
use super::meanings::find;
use super::peer::Peer;
use super::report::{Outcome, Way};
use super::shown::{EXAMPLE, is_host, shown};
use super::stamp::Stamp;

/// The most clues that a session keeps.
const MOST_CLUES: usize = 8;

/// A line that means something.
#[derive(Debug, Clone)]
pub(super) struct Clue {
    pub meaning: &'static Meaning,
    pub example: Box<str>,
    /// The file or table that the line names.
    pub file: Box<str>,
}

impl Clue {
    /// Keeps what may be shown of the line.
    pub fn new(meaning: &'static Meaning, line: &[u8], file: &[u8]) -> Self {
        Self {
            meaning,
            example: shown(line, EXAMPLE).into(),
            file: shown(file, EXAMPLE).into(),
        }
    }
}

/// The clues of a session or a process, each meaning once.
#[derive(Debug, Clone, Default)]
pub(super) struct Clues(Vec<Clue>);

impl Clues {
    pub fn add(&mut self, clue: Clue) {
        if self.0.len() < MOST_CLUES && !self.has(clue.meaning.id) {
            self.0.push(clue);
        }
    }

    /// Forgets what was said of one delivery alone.
    pub fn forget(&mut self, ids: &[&str]) {
        self.0.retain(|clue| !ids.contains(&clue.meaning.id));
    }

    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|clue| clue.meaning.id == id)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Clue> {
        self.0.iter()
    }

    pub fn of_kind(&self, kind: Kind) -> Vec<Clue> {
        self.0
            .iter()
            .filter(|clue| clue.meaning.kind == kind)
            .cloned()
            .collect()
    }

    pub fn last_file(&self) -> &str {
        self.0
            .iter()
            .rev()
            .map(|clue| &*clue.file)
            .find(|file| !file.is_empty())
            .unwrap_or_default()
    }
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub way: Way,
    /// Of a service or transport of relayca's, by its name in the log.
    pub service: bool,
    /// The port is not the one on which all the world's servers listen.
    pub own_port: bool,
    /// The machine that logs, as it calls itself.
    pub machine: Arc<str>,
    pub name: String,
    pub address: String,
    pub standing: Option<Standing>,
    /// The name in the certificate.
    pub certificate: String,
    /// Whose fingerprint it is, by the inventory.
    pub owner: Option<String>,
    pub clues: Clues,
    pub last: Option<Stamp>,
    /// A line of it, for what no single line says.
    pub sample: Box<str>,
    /// Recipients for which a message was begun: each has a queue identifier.
    pub accepted: u32,
    /// How often the client sent a message's text, where the end of the session says so.
    pub texts: Option<u32>,
    pub refused: u32,
    /// Of a client: the message was delivered, or not, and the session is kept for the next recipient alone.
    pub delivered: bool,
}

impl Session {
    pub fn new(way: Way, service: bool, machine: Arc<str>, peer: &Peer<'_>) -> Self {
        Self {
            way,
            service,
            machine,
            own_port: peer.port.is_some_and(|port| port != b"25"),
            name: if peer.has_name() {
                shown(peer.name, 255)
            } else {
                String::new()
            },
            address: shown(peer.address, 255),
            standing: None,
            certificate: String::new(),
            owner: None,
            clues: Clues::default(),
            last: None,
            sample: Box::default(),
            accepted: 0,
            texts: None,
            refused: 0,
            delivered: false,
        }
    }

    pub fn is_with(&self, peer: &Peer<'_>) -> bool {
        let name = if peer.has_name() { peer.name } else { b"" };
        self.name.as_bytes() == name && self.address.as_bytes() == peer.address
    }

    /// The name in the certificate, where the chain vouches for it.
    pub fn certified(&self) -> Option<&str> {
        let vouched = matches!(self.standing, Some(Standing::Trusted | Standing::Verified));
        (vouched && self.way == Way::From && is_host(&self.certificate))
            .then_some(&*self.certificate)
    }

    /// Whether it has to do with relaying by certificate, as far as the session alone tells.
    pub fn ours(&self) -> bool {
        self.service
            || match self.way {
                Way::From => matches!(self.standing, Some(Standing::Untrusted | Standing::Trusted)),
                // What listens on this machine itself is a filter or a mailbox.
                Way::To => {
                    self.own_port && !self.address.starts_with("127.") && self.address != "::1"
                }
            }
    }

    /// A line that no other line is needed to understand, where several say it together.
    fn clue(&self, id: &str) -> Option<Clue> {
        find(id).map(|meaning| Clue {
            meaning,
            example: self.sample.clone(),
            file: Box::default(),
        })
    }

    /// Whether something failed that is understood.
    fn is_troubled(&self) -> bool {
        self.clues
            .iter()
            .any(|clue| clue.meaning.kind >= Kind::Effect)
    }

    fn access_refused(&self) -> bool {
        self.clues.has("access-denied") || self.clues.has("relay-access-denied")
    }

    /// Why a server's session ended as it did. `process` is what the process said before; `known`: the host is one of the inventory.
    pub fn why_server(&self, process: &Clues, known: bool) -> Vec<Clue> {
        let failed = self.outcome() == Outcome::Failed || self.refused > 0;
        // What the process said when it began explains what Postfix could not do, and not that somebody is on a blocklist.
        let explainable = self.service || self.is_troubled();
        let of_process = process.of_kind(Kind::Cause);
        if failed && explainable && !of_process.is_empty() {
            return of_process;
        }
        let causes = self.clues.of_kind(Kind::Cause);
        if !causes.is_empty() {
            return causes;
        }
        let composed = if self.access_refused() {
            match self.standing {
                Some(Standing::Trusted | Standing::Verified) => self.clue("not-listed"),
                Some(Standing::Untrusted) => self.clue("untrusted-certificate-refused"),
                Some(Standing::Anonymous) if self.service => self.clue("no-client-certificate"),
                None if self.service => self.clue("refused-without-tls"),
                _ => None,
            }
        } else if self.accepted > 0
            && self.standing == Some(Standing::Untrusted)
            && (self.service || known)
        {
            self.clue("untrusted-but-relayed")
        } else {
            None
        };
        if let Some(composed) = composed {
            return vec![composed];
        }
        match (failed, explainable) {
            (true, true) => self.effects(process),
            (true, false) => self.effects(&Clues::default()),
            _ => Vec::new(),
        }
    }

    /// Why a delivery went as it did. `reason` is what its own line says.
    pub fn why_client(&self, process: &Clues, reason: Option<Clue>) -> Vec<Clue> {
        // Likewise: a message that is greylisted is not for want of a key.
        let nothing = Clues::default();
        let explainable = reason.is_some() || self.is_troubled();
        let process = if explainable { process } else { &nothing };
        let of_process = process.of_kind(Kind::Cause);
        if !of_process.is_empty() {
            return of_process;
        }
        let mut causes = self.clues.of_kind(Kind::Cause);
        causes.extend(
            reason
                .clone()
                .filter(|clue| clue.meaning.kind == Kind::Cause),
        );
        if !causes.is_empty() {
            return causes;
        }
        let not_verified = reason
            .as_ref()
            .is_some_and(|clue| clue.meaning.id == "relay-not-verified");
        if not_verified
            && self.standing == Some(Standing::Trusted)
            && let Some(name) = find("relay-wrong-name")
        {
            return reason
                .map(|clue| Clue {
                    meaning: name,
                    ..clue
                })
                .into_iter()
                .collect();
        }
        match reason {
            // What the delivery says of itself is nearest; a handshake that failed may be told better by OpenSSL.
            Some(reason) if reason.meaning.id != "handshake-failed" => vec![reason],
            reason => {
                let mut effects = self.effects(process);
                if effects.is_empty() {
                    effects.extend(reason);
                }
                effects
            }
        }
    }

    /// The first effect: what comes later mostly comes of it. What the process said when it began came before.
    fn effects(&self, process: &Clues) -> Vec<Clue> {
        let mut effects = process.of_kind(Kind::Effect);
        effects.extend(self.clues.of_kind(Kind::Effect));
        // That a handshake failed is said before why.
        let general = ["handshake-failed", "starttls-refused", "lost-in-handshake"];
        let special = effects
            .iter()
            .position(|clue| !general.contains(&clue.meaning.id));
        let at = special.unwrap_or(0);
        if at < effects.len() {
            vec![effects.swap_remove(at)]
        } else {
            Vec::new()
        }
    }

    /// Messages taken: one that was begun and never sent, as a probe's, is none.
    pub fn messages(&self) -> u32 {
        self.texts
            .map_or(self.accepted, |texts| texts.min(self.accepted))
    }

    /// What became of a server's session.
    pub fn outcome(&self) -> Outcome {
        if self.refused > 0 {
            Outcome::Refused
        } else if self.messages() > 0 {
            Outcome::Accepted(self.messages())
        } else if self.is_troubled() {
            Outcome::Failed
        } else {
            Outcome::Nothing
        }
    }
}
