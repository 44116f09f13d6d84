//! Hosts and problems, added up.
//!
//! Enters: sessions as they end. Leaves: the hosts and problems of a [`Report`](super::Report). Refuses to know lines and processes.
//! What is kept is bounded: strangers that were not seen for longest are forgotten, those that have to do with relaying last.

use std::collections::HashMap;

use super::meaning::{Kind, Meaning};
use super::recent::Recent;
use super::report::{Host, Outcome, Problem, State, Way};
use super::session::Clue;
use super::shown::{is_host, is_path};
use super::stamp::Stamp;

/// The most strangers, and the most hosts that have to do with relaying, that are kept.
const MOST_HOSTS: usize = 4096;
/// The most addresses of a host, and the most hosts of a problem, that are kept.
const FEW: usize = 8;
/// The most reasons of a host that are kept.
const MOST_REASONS: usize = 16;

/// What a host is called, and which way it is.
pub(super) type Key = (Way, String);

/// The machine that logs, and the other side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub way: Way,
    /// The machine's own full name; empty where it is not known.
    pub own: &'a str,
    /// The other side's; empty where there is none.
    pub other: &'a str,
    /// Whether the other side's is a name that relayca may know: where there is an inventory, one of it.
    pub nameable: bool,
}

/// Hosts and problems so far.
#[derive(Debug)]
pub(super) struct Ledger {
    ours: Recent<Key, Host>,
    strangers: Recent<Key, Host>,
    problems: HashMap<(&'static str, bool), Problem>,
    pub forgotten: u64,
}

impl Ledger {
    pub fn new() -> Self {
        Self {
            ours: Recent::new(MOST_HOSTS),
            strangers: Recent::new(MOST_HOSTS),
            problems: HashMap::new(),
            forgotten: 0,
        }
    }

    /// The host of this key, made if it is not there; `ours` lifts it out of the strangers.
    pub fn host(&mut self, key: &Key, ours: bool, known: bool) -> Option<&mut Host> {
        if self.ours.get(key).is_none() {
            if ours {
                let host = self.strangers.remove(key).unwrap_or_else(|| fresh(key));
                self.forgotten += u64::from(self.ours.put(key.clone(), host).is_some());
            } else {
                if self.strangers.get(key).is_none() {
                    self.forgotten +=
                        u64::from(self.strangers.put(key.clone(), fresh(key)).is_some());
                }
                return self.strangers.get(key);
            }
        }
        let host = self.ours.get(key)?;
        host.ours = true;
        host.known |= known;
        Some(host)
    }

    /// A host that is there already.
    pub fn seen(&mut self, key: &Key) -> Option<&mut Host> {
        if self.ours.get(key).is_some() {
            return self.ours.get(key);
        }
        self.strangers.get(key)
    }

    /// A problem once more.
    pub fn problem(&mut self, clue: &Clue, names: Names<'_>, ours: bool, at: Option<Stamp>) {
        let problem = self
            .problems
            .entry((clue.meaning.id, ours))
            .or_insert_with(|| Problem {
                meaning: clue.meaning,
                count: 0,
                first: at,
                last: at,
                example: clue.example.to_string(),
                hosts: Vec::new(),
                ours,
                commands: commands(clue.meaning, names, &clue.file),
            });
        problem.count += 1;
        problem.last = at.or(problem.last);
        if !names.other.is_empty() {
            if let Some((_, count)) = problem
                .hosts
                .iter_mut()
                .find(|(host, _)| host == names.other)
            {
                *count += 1;
            } else if problem.hosts.len() < FEW {
                problem.hosts.push((names.other.to_owned(), 1));
                for command in commands(clue.meaning, names, &clue.file) {
                    if problem.commands.len() < 2 * FEW && !problem.commands.contains(&command) {
                        problem.commands.push(command);
                    }
                }
            }
        }
    }

    /// Everything, in the order in which it is told.
    pub fn told(&self) -> (Vec<Host>, Vec<Problem>) {
        let mut hosts: Vec<Host> = self
            .ours
            .values()
            .chain(self.strangers.values())
            .cloned()
            .collect();
        for host in &mut hosts {
            host.reasons
                .sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
        }
        hosts.sort_by(|one, other| {
            let rank = |host: &Host| (!host.ours, !host.known);
            (rank(one), &one.name, one.way).cmp(&(rank(other), &other.name, other.way))
        });
        let mut problems: Vec<Problem> = self.problems.values().cloned().collect();
        for problem in &mut problems {
            problem
                .hosts
                .sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
        }
        problems.sort_by_key(|problem| {
            (
                !problem.ours,
                std::cmp::Reverse(problem.meaning.kind),
                std::cmp::Reverse(problem.count),
                problem.meaning.id,
            )
        });
        (hosts, problems)
    }
}

fn fresh((way, name): &Key) -> Host {
    Host {
        name: name.clone(),
        way: *way,
        known: false,
        ours: false,
        addresses: Vec::new(),
        accepted: 0,
        relayed: 0,
        refused: 0,
        waiting: 0,
        bounced: 0,
        first: None,
        last: None,
        state: State::Seen,
        since: None,
        last_relayed: None,
        reasons: Vec::new(),
    }
}

/// Adds what became of a session to a host.
pub(super) fn enter(
    host: &mut Host,
    address: &str,
    outcome: Outcome,
    why: &[Clue],
    at: Option<Stamp>,
) {
    host.first = host.first.or(at);
    host.last = at.or(host.last);
    if !address.is_empty()
        && host.addresses.len() < FEW
        && !host.addresses.iter().any(|known| known == address)
    {
        host.addresses.push(address.to_owned());
    }
    for clue in why.iter().filter(|clue| clue.meaning.kind >= Kind::Effect) {
        let id = clue.meaning.id;
        if let Some((_, count)) = host.reasons.iter_mut().find(|(known, _)| *known == id) {
            *count += 1;
        } else if host.reasons.len() < MOST_REASONS {
            host.reasons.push((id, 1));
        }
    }
    let state = match outcome {
        Outcome::Accepted(messages) => {
            host.accepted += u64::from(messages);
            host.last_relayed = at.or(host.last_relayed);
            State::Relays
        }
        Outcome::Refused => State::Refused,
        Outcome::Sent => {
            host.relayed += 1;
            host.last_relayed = at.or(host.last_relayed);
            State::Relays
        }
        Outcome::Deferred => State::Waits,
        Outcome::Bounced => {
            host.bounced += 1;
            State::Bounces
        }
        Outcome::Failed => State::Refused,
        Outcome::Nothing => return,
    };
    if host.state != state {
        host.state = state;
        host.since = at;
    }
}

/// The commands of a meaning, with names filled in; a place for which there is no plain name says what belongs there.
pub(super) fn commands(meaning: &Meaning, names: Names<'_>, file: &str) -> Vec<String> {
    let other = if names.nameable { names.other } else { "" };
    let (relay, host) = match names.way {
        Way::From => (names.own, other),
        Way::To => (other, names.own),
    };
    let name = |name: &str, otherwise: &str| {
        if is_host(name) && name != "localhost" {
            name.to_owned()
        } else {
            otherwise.to_owned()
        }
    };
    let (host, relay, own) = (
        name(host, "HOST"),
        name(relay, "RELAY"),
        name(names.own, "THIS-HOST"),
    );
    let file = if is_path(file) { file } else { "FILE" };
    meaning
        .commands
        .iter()
        .map(|command| {
            command
                .replace("{host}", &host)
                .replace("{relay}", &relay)
                .replace("{own}", &own)
                .replace("{file}", file)
        })
        .collect()
}
