//! What was tried so far: one row after the other, as long as the relay answers.
//!
//! In: certificates and outcomes. Out: [`Row`]s. It refuses to decide what is tried.

use relayca_ca::{HostName, PrivateKey};
use relayca_probe::{ClientIdentity, Shown, TlsClient, TlsVersions};

use super::{Plan, Row};
use crate::probing::asking::{BUSY, Envelope, Outcome, Place, ask};
use crate::probing::credentials::{Credential, Fault};
use crate::probing::remedies;
use crate::probing::services::Mark;

/// What was tried so far, and what became of it.
pub struct Tried<'a> {
    /// What there is to try.
    pub plan: &'a Plan<'a>,
    /// What came of it.
    pub rows: Vec<Row>,
    /// Why nothing more is tried: the relay is busy, gone or silent, and asking on would make that worse, or take for ever.
    stopped: Option<String>,
    /// How many questions in a row had no answer.
    silences: usize,
    /// Whether anything was ever answered.
    heard: bool,
    /// Why there never was a connection.
    pub unreachable: Option<String>,
    /// The first time that the relay showed its certificate.
    pub shown: Option<Shown>,
}

/// A TLS client that shows this.
pub fn client(
    identity: Option<&ClientIdentity>,
    versions: TlsVersions,
) -> Result<TlsClient, Outcome> {
    TlsClient::new(identity, versions).map_err(|error| Outcome::untried(error.to_string()))
}

/// So many questions in a row without an answer are enough.
const SILENCES: usize = 3;
/// What must become of most things.
pub const REFUSED: &str = "refused";
/// What must become of the right certificate.
pub const ACCEPTED: &str = "accepted";
/// What must be so of versions and commands.
const OFF: &str = "off";

/// What becomes of a row for which nothing was asked.
pub const UNTRIED: &str = "untried";

/// A row that nothing has come of yet.
pub fn row(id: &'static str, what: impl Into<String>, must: &'static str) -> Row {
    Row {
        id,
        what: what.into(),
        must,
        was: UNTRIED,
        mark: Mark::Untried,
        stage: None,
        code: None,
        text: String::new(),
        fingerprint: None,
        listed: None,
        hint: None,
    }
}

impl<'a> Tried<'a> {
    /// Nothing yet.
    pub fn new(plan: &'a Plan<'a>) -> Self {
        Self {
            plan,
            rows: Vec::new(),
            stopped: None,
            silences: 0,
            heard: false,
            unreachable: None,
            shown: None,
        }
    }

    pub fn forge(
        &self,
        fault: Fault,
        host: &HostName,
        key: Option<&PrivateKey>,
    ) -> Result<Credential, String> {
        match &self.plan.forge {
            Some(forge) => forge.make(fault, host, key),
            None => Err("no CA certificate is at hand to make it like".to_owned()),
        }
    }

    /// Asks on, unless there was a reason to stop.
    pub fn asks<T>(&self, question: impl FnOnce(&Place, &Envelope) -> T) -> Result<T, String> {
        match &self.stopped {
            Some(why) => Err(why.clone()),
            None => Ok(question(self.plan.place, self.plan.envelope)),
        }
    }

    pub fn note_stop(&mut self, outcome: &Outcome) {
        let Outcome::Untried { why, no_connection } = outcome else {
            self.silences = 0;
            self.heard = true;
            return;
        };
        self.silences += 1;
        if *no_connection && !self.heard && self.unreachable.is_none() {
            self.unreachable = Some(why.clone());
        }
        if self.stopped.is_none()
            && (*no_connection || why.contains(BUSY) || self.silences == SILENCES)
        {
            self.stopped = Some(why.clone());
        }
    }

    pub fn show_made(&mut self, id: &'static str, what: &str, made: &Result<Credential, String>) {
        match made {
            Ok(credential) => self.show(id, what.to_owned(), REFUSED, Some(credential)),
            Err(why) => self.leave_out(id, what.to_owned(), REFUSED, why),
        }
    }

    pub fn leave_out(&mut self, id: &'static str, what: String, must: &'static str, why: &str) {
        let mut row = row(id, what, must);
        row.text = why.to_owned();
        row.hint = remedies::untried(id);
        self.rows.push(row);
    }

    /// Shows a certificate and asks for RCPT.
    pub fn show(
        &mut self,
        id: &'static str,
        what: String,
        must: &'static str,
        credential: Option<&Credential>,
    ) {
        let identity = credential.map(Credential::identity);
        let asked = self.asks(
            |place, envelope| match client(identity, TlsVersions::Both) {
                Ok(client) => ask(place, &client, envelope),
                Err(outcome) => (outcome, None),
            },
        );
        let (mut outcome, shown) = asked.unwrap_or_else(|why| (Outcome::untried(why), None));
        self.note_stop(&outcome);
        let mut asked = true;
        if let Some(shown) = shown {
            asked = shown.asked || shown.protocol.is_empty();
            if identity.is_some() && !shown.given && shown.asked {
                // The key is of a kind that the relay does not take: it saw no certificate.
                outcome = Outcome::untried("the relay takes no certificate of this kind of key");
            }
            if self.shown.is_none() && !shown.chain.is_empty() {
                self.shown = Some(shown);
            }
        }
        let mut row = row(id, what, must);
        if let Some(credential) = credential {
            row.fingerprint = Some(credential.fingerprint(self.plan.judges.digest));
            row.listed = (self.plan.listed)(credential);
        }
        fill(&mut row, &outcome, REFUSED, ACCEPTED);
        if must == REFUSED && outcome.is_permanent() && !self.plan.bounces && row.mark == Mark::Good
        {
            row.mark = Mark::Warning;
            row.hint = Some(remedies::PERMANENT.to_owned());
        }
        if must == ACCEPTED && row.mark == Mark::Fault && !asked {
            row.hint = Some(remedies::NOT_ASKED.to_owned());
        }
        row.hint = row.hint.or_else(|| remedies::of(id, row.mark, &outcome));
        self.rows.push(row);
    }

    /// Something that must be closed.
    pub fn close(&mut self, id: &'static str, what: &str, outcome: &Outcome) {
        let must = if id == "plaintext" || id == "injection" {
            REFUSED
        } else {
            OFF
        };
        let (closed, open) = if must == OFF {
            (OFF, "on")
        } else {
            (REFUSED, ACCEPTED)
        };
        let mut row = row(id, what, must);
        fill(&mut row, outcome, closed, open);
        row.hint = remedies::of(id, row.mark, outcome);
        self.rows.push(row);
    }

    /// A row that there is nothing to show for, while another row is a try of the same kind: where that was made, a note, which makes
    /// nothing worse.
    pub fn stand_in(&mut self, id: &'static str, what: &str, why: &str, by: &str) {
        let mut row = row(id, what, REFUSED);
        match self.rows.iter().find(|row| row.id == by) {
            Some(other) if other.was == UNTRIED => {
                row.text.clone_from(&other.text);
                row.hint.clone_from(&other.hint);
            }
            _ => {
                row.mark = Mark::Note;
                row.text = format!("{why}; the row `{by}` is a try of the same kind");
            }
        }
        self.rows.push(row);
    }

    /// Whether a row was refused.
    pub fn refused(&self, id: &str) -> bool {
        self.rows
            .iter()
            .any(|row| row.id == id && row.was == REFUSED)
    }
}

/// Enters an outcome: which word it is, and whether that is the one that it must be.
fn fill(row: &mut Row, outcome: &Outcome, closed: &'static str, open: &'static str) {
    match outcome {
        Outcome::Taken { stage, code, text } => {
            row.was = open;
            row.stage = Some(*stage);
            row.code = (*code > 0).then_some(*code);
            row.text.clone_from(text);
        }
        Outcome::Refused { stage, code, text } => {
            row.was = closed;
            row.stage = Some(*stage);
            row.code = *code;
            row.text.clone_from(text);
        }
        Outcome::Untried { why, .. } => {
            row.text.clone_from(why);
            return;
        }
    }
    row.mark = if row.was == row.must {
        Mark::Good
    } else {
        Mark::Fault
    };
}
