//! From blocks of a log to a report.
//!
//! Enters: blocks of a log, and what somebody knows of the hosts. Leaves: each session as it ends, and the [`Report`]. Refuses to know where
//! the blocks come from, and how lines are understood.

use super::cut::Cutter;
use super::reader::Reader;
use super::report::{Ended, Report};
use super::stamp::{Around, Stamp};

/// A name for a fingerprint or a name, if there is one.
type Asked<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// What somebody knows of the hosts.
pub struct Known<'a> {
    pub(super) by_fingerprint: Asked<'a>,
    pub(super) by_name: Asked<'a>,
    /// Whether there is an inventory.
    pub(super) any: bool,
}

impl<'a> Known<'a> {
    /// `by_fingerprint`: whose certificate or key has this fingerprint, as Postfix writes it (upper-case hex with colons, of any digest).
    /// `by_name`: the full name of a host, if this name, full or short, is one of the inventory.
    pub fn new(
        by_fingerprint: impl Fn(&str) -> Option<String> + 'a,
        by_name: impl Fn(&str) -> Option<String> + 'a,
    ) -> Self {
        Self {
            by_fingerprint: Box::new(by_fingerprint),
            by_name: Box::new(by_name),
            any: true,
        }
    }

    /// No inventory.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            any: false,
            ..Self::new(|_| None, |_| None)
        }
    }
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// Reads a log.
#[derive(Debug)]
pub struct Explainer<'a> {
    around: Around,
    cutter: Cutter,
    state: Reader<'a>,
}

impl<'a> Explainer<'a> {
    /// Of a log written until about that time.
    #[must_use]
    pub fn new(around: Around, known: Known<'a>) -> Self {
        Self {
            around,
            cutter: Cutter::default(),
            state: Reader::new(known),
        }
    }

    /// Leaves out lines from before that time. Lines without a time are read.
    #[must_use]
    pub fn since(mut self, since: Option<Stamp>) -> Self {
        self.state.since = since;
        self
    }

    /// Leaves out sessions with other hosts than this one: its name as it would be reported, or its address.
    #[must_use]
    pub fn only(mut self, host: Option<String>) -> Self {
        self.state.only = host;
        self
    }

    /// What follows was written until about that time: another file, or later.
    pub fn written_until(&mut self, around: Around) {
        self.around = around;
    }

    /// Reads on. Sessions that end are told, if they have to do with relaying or something was wrong.
    pub fn feed(&mut self, block: &[u8], told: &mut dyn FnMut(&Ended)) {
        let Self {
            around,
            cutter,
            state,
        } = self;
        cutter.feed(block, &mut |line| state.line(line, around, told));
    }

    /// A file ended, perhaps without a newline; another may follow.
    pub fn end_of_file(&mut self, told: &mut dyn FnMut(&Ended)) {
        let Self {
            around,
            cutter,
            state,
        } = self;
        cutter.end(&mut |line| state.line(line, around, told));
    }

    /// The end: sessions that are still open are told, too.
    #[must_use]
    pub fn finish(mut self, told: &mut dyn FnMut(&Ended)) -> Report {
        self.end_of_file(told);
        let mut report = self.state.finish(told);
        report.counts.too_long = self.cutter.too_long;
        report
    }
}
