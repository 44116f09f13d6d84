//! What is told in the end, and of each session as it ends.
//!
//! Enters: nothing; these are the shapes. Leaves: plain data, printable throughout. Refuses to know how it was found and how it is printed.

use super::meaning::Meaning;
use super::stamp::Stamp;

/// Which way mail goes between the machine of the log and the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// The host is a client of the machine's smtpd.
    From,
    /// The host is a server that the machine's smtp speaks to.
    To,
}

impl Way {
    /// `from` or `to`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}

/// How it stood the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was seen; nothing was sent and nothing refused.
    Seen,
    /// Mail flows.
    Relays,
    /// It was refused.
    Refused,
    /// Its mail waits.
    Waits,
    /// Its mail bounced.
    Bounces,
}

impl State {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Relays => "relays",
            Self::Refused => "refused",
            Self::Waits => "waits",
            Self::Bounces => "bounces",
        }
    }
}

/// A host, and what became of its mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// From the inventory, else its certificate's name where the chain is good, else the name that Postfix found, else its address.
    pub name: String,
    /// Which way.
    pub way: Way,
    /// Whether it is one of the inventory.
    pub known: bool,
    /// Whether it has to do with relaying by certificate: it is known, showed a certificate, or used a service or transport of relayca's.
    pub ours: bool,
    /// Its addresses, the first few.
    pub addresses: Vec<String>,
    /// Messages that smtpd took from it; what ended before its text, as a probe does, is none.
    pub accepted: u64,
    /// Deliveries that went through: of its messages onwards, or to it.
    pub relayed: u64,
    /// Commands of it that were refused, and sessions that were broken off for want of a good certificate.
    pub refused: u64,
    /// Messages whose last word in the log is that they wait: of its own onwards, or for it. Of the 32,768 seen last.
    pub waiting: u64,
    /// Deliveries that failed for good, likewise.
    pub bounced: u64,
    /// When it was first seen.
    pub first: Option<Stamp>,
    /// When it was last seen.
    pub last: Option<Stamp>,
    /// How it stood the last time.
    pub state: State,
    /// Since when.
    pub since: Option<Stamp>,
    /// When mail last went through.
    pub last_relayed: Option<Stamp>,
    /// Ids of the meanings that say why something was refused or failed, with how often, the most frequent first.
    pub reasons: Vec<(&'static str, u64)>,
}

/// Something wrong, once, however often it came.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What it is.
    pub meaning: &'static Meaning,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Option<Stamp>,
    /// When last.
    pub last: Option<Stamp>,
    /// The line that says so, the first time.
    pub example: String,
    /// The hosts that it is about, the most frequent first, with how often; the first few.
    pub hosts: Vec<(String, u64)>,
    /// Whether it has to do with relaying by certificate, see [`Host::ours`], or with the machine itself.
    pub ours: bool,
    /// What to do, with names filled in where they are plain.
    pub commands: Vec<String>,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// smtpd took so many messages.
    Accepted(u32),
    /// smtpd refused, or broke the session off.
    Refused,
    /// TLS could not be set up, or the client went away.
    Failed,
    /// A message went to the server.
    Sent,
    /// It has to be tried again.
    Deferred,
    /// It failed for good.
    Bounced,
    /// Nothing of the kind.
    Nothing,
}

impl Outcome {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Nothing => "nothing",
        }
    }
}

/// A session that has ended, or a trouble of a program outside of any.
#[derive(Debug, Clone)]
pub struct Ended {
    /// When it ended.
    pub at: Option<Stamp>,
    /// Which way.
    pub way: Way,
    /// The other side as in [`Host::name`]; empty where there is none.
    pub host: String,
    /// Its address; empty where the log has none.
    pub address: String,
    /// Whether it is one of the inventory.
    pub known: bool,
    /// See [`Host::ours`].
    pub ours: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, with the line that says so and what to do.
    pub reasons: Vec<Reason>,
}

/// Why a session ended as it did.
#[derive(Debug, Clone)]
pub struct Reason {
    /// What it is.
    pub meaning: &'static Meaning,
    /// The line that says so.
    pub example: String,
    /// What to do, with names filled in where they are plain.
    pub commands: Vec<String>,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Hosts: those that have to do with relaying first, then by name.
    pub hosts: Vec<Host>,
    /// What is wrong: causes first, then by how often.
    pub problems: Vec<Problem>,
    /// What was read.
    pub counts: Counts,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines.
    pub lines: u64,
    /// Lines that had to do with relaying, TLS or delivery.
    pub told: u64,
    /// Lines that were too long to be read.
    pub too_long: u64,
    /// Lines that were not believed, because a stranger's text in them looks like Postfix's own.
    pub not_believed: u64,
    /// Messages taken from hosts that have nothing to do with relaying.
    pub accepted_elsewhere: u64,
    /// Refusals of such hosts.
    pub refused_elsewhere: u64,
    /// Hosts that were forgotten, because there were too many.
    pub forgotten: u64,
    /// Whether the log has fingerprints of certificates at all (loglevel 2).
    pub fingerprints: bool,
    /// The first line's time.
    pub first: Option<Stamp>,
    /// The last line's.
    pub last: Option<Stamp>,
}
