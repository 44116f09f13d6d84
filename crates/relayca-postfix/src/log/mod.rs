//! Reading what Postfix logs of relaying, and saying what it means.
//!
//! Enters: bytes of a log as they come, in whatever blocks. Leaves: a [`Report`] (who relays, who is refused and why, what is wrong and what to
//! do), and on the way each session as it ends ([`Ended`]). Refuses to know files, clocks and authorities: about when a log was written and
//! whose a fingerprint is, the caller says.
//!
//! The log is full of what strangers chose. Nothing is searched for in a whole line: a line is read from the front, as Postfix prints it, and each
//! part is matched from its own beginning. What is kept is bounded: open sessions, hosts, messages, the text of an example.
//!
//! ```
//! use relayca_postfix::log::{Around, Explainer, Known};
//!
//! let log = b"Nov 21 09:00:01 relay postfix/relayca/smtpd[7]: connect from mail.example.org[192.0.2.7]\n\
//! Nov 21 09:00:01 relay postfix/relayca/smtpd[7]: client certificate verification failed for mail.example.org[192.0.2.7]: certificate has expired\n\
//! Nov 21 09:00:01 relay postfix/relayca/smtpd[7]: Untrusted TLS connection established from mail.example.org[192.0.2.7]: TLSv1.3 with cipher X (256/256 bits)\n\
//! Nov 21 09:00:01 relay postfix/relayca/smtpd[7]: NOQUEUE: abort: TLS from mail.example.org[192.0.2.7]: Client certificate not trusted\n";
//! let mut explainer = Explainer::new(Around::until(1_795_300_000), Known::nobody());
//! explainer.feed(log, &mut |_| {});
//! let report = explainer.finish(&mut |_| {});
//! assert_eq!(report.problems[0].meaning.id, "client-certificate-expired");
//! assert_eq!(report.hosts[0].refused, 1);
//! ```

mod belonging;
mod conclude;
mod cut;
mod delivery;
mod event;
mod explainer;
mod journal;
mod ledger;
mod line;
mod meaning;
mod meanings;
mod message;
mod peer;
mod reader;
mod recent;
mod report;
mod session;
mod shown;
mod stamp;
mod words;

pub use cut::LONGEST;
pub use explainer::{Explainer, Known};
pub use meaning::{Kind, Meaning, Place, Side, Wording};
pub use meanings::{all, find};
pub use report::{Counts, Ended, Host, Outcome, Problem, Reason, Report, State, Way};
pub use stamp::{Around, Stamp};
