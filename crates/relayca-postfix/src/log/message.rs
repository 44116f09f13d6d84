//! A message, as long as it is on its way.
//!
//! Enters: where it came from, and what became of it for each recipient. Leaves: the hosts at which it waits. Refuses to know lines and
//! sessions.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::delivery::Status;
use super::ledger::Key;

/// The most recipients of a message that are remembered as waiting.
const MOST_RECIPIENTS: usize = 8;

/// A message.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The host that it came from.
    pub from: Option<Arc<Key>>,
    /// The relay that it was last put off by.
    pub to: Option<Arc<Key>>,
    /// Digests of the recipients for whom the last word was `deferred`.
    waits: Vec<u64>,
}

impl From<Arc<Key>> for Message {
    fn from(from: Arc<Key>) -> Self {
        Self {
            from: Some(from),
            ..Self::default()
        }
    }
}

impl Message {
    /// What became of it for one recipient.
    pub fn fate(&mut self, recipient: &[u8], status: Status) {
        let mut hasher = DefaultHasher::new();
        recipient.hash(&mut hasher);
        let recipient = hasher.finish();
        self.waits.retain(|waiting| *waiting != recipient);
        if status == Status::Deferred && self.waits.len() < MOST_RECIPIENTS {
            self.waits.push(recipient);
        }
    }

    /// The hosts at which it waits: none if it does not.
    pub fn waits_at(&self) -> impl Iterator<Item = &Key> {
        let hosts = [&self.from, &self.to].into_iter().flatten();
        hosts
            .filter(|_| !self.waits.is_empty())
            .map(|key| key.as_ref())
    }
}
