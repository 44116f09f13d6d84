//! What was found, as a whole: its status, and its forms for people and programs.
//!
//! In: findings and expiries. Out: the table, JSON, the exit code. It refuses to know how they came about.

use relayca_inventory::CrlRecord;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Expiry, Finding, Severity};
use crate::dates;
use crate::printer;

/// Exit code: something wants attention.
pub const WARNING: u8 = 3;
/// Exit code: mail stops, or soon will.
pub const CRITICAL: u8 = 4;
/// Hints beyond these are left to `--json`.
const MOST_HINTS: usize = 20;

/// One look.
#[derive(Debug)]
pub struct Report {
    /// Of whom.
    pub domain: String,
    /// When.
    pub at: OffsetDateTime,
    /// Worst first.
    pub findings: Vec<Finding>,
    /// Soonest first.
    pub expiries: Vec<Expiry>,
    /// The newest revocation list of each CA.
    pub crls: Vec<CrlRecord>,
}

impl Report {
    /// Puts the findings into their order.
    pub fn new(
        domain: String,
        at: OffsetDateTime,
        mut findings: Vec<Finding>,
        expiries: Vec<Expiry>,
        crls: Vec<CrlRecord>,
    ) -> Self {
        findings.sort_by(|one, other| {
            (other.severity, one.id, &one.subject, &one.message).cmp(&(
                one.severity,
                other.id,
                &other.subject,
                &other.message,
            ))
        });
        Self {
            domain,
            at,
            findings,
            expiries,
            crls,
        }
    }

    /// The worst there is.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.first().map(|finding| finding.severity)
    }

    /// 0, [`WARNING`] or [`CRITICAL`].
    pub fn exit_code(&self) -> u8 {
        match self.worst() {
            None => 0,
            Some(Severity::Warning) => WARNING,
            Some(Severity::Critical) => CRITICAL,
        }
    }

    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// `mailhost.example.org expires on 2028-11-20`; a CA is called that.
    pub fn next(&self) -> Option<String> {
        let expiry = self.expiries.first()?;
        let what = match expiry.role.as_str() {
            "ca" => format!("the CA of {}", expiry.subject),
            _ => expiry.subject.clone(),
        };
        Some(format!(
            "{what} expires on {}",
            dates::day(expiry.not_after)
        ))
    }

    /// For people: a table, or one line where all is well.
    pub fn text(&self) -> String {
        if self.findings.is_empty() {
            let next = self
                .next()
                .map_or(String::new(), |next| format!("; next: {next}"));
            return format!("all is well with {}{next}\n", self.domain);
        }
        let rows: Vec<Vec<String>> = self
            .findings
            .iter()
            .map(|finding| {
                vec![
                    finding.severity.as_str().to_owned(),
                    printer::one_line(&finding.subject),
                    printer::one_line(&finding.message),
                ]
            })
            .collect();
        printer::table(&["SEVERITY", "WHAT", "MESSAGE"], &rows)
    }

    /// What mends it, each remedy once, in the order of the table; and how many are left out.
    pub fn hints(&self) -> (Vec<String>, usize) {
        let mut hints: Vec<String> = Vec::new();
        for finding in &self.findings {
            let hint = format!("{}: {}", finding.subject, finding.hint);
            if !hints.contains(&hint) {
                if hints.len() == MOST_HINTS {
                    return (hints, self.findings.len() - MOST_HINTS);
                }
                hints.push(hint);
            }
        }
        (hints, 0)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "id": finding.id,
                    "severity": finding.severity.as_str(),
                    "subject": finding.subject,
                    "message": finding.message,
                    "hint": finding.hint,
                })
            })
            .collect();
        let expiries: Vec<Value> = self
            .expiries
            .iter()
            .map(|expiry| {
                json!({
                    "subject": expiry.subject,
                    "role": expiry.role,
                    "serial": expiry.serial,
                    "not_after": dates::stamp(expiry.not_after),
                    "days": expiry.days(self.at),
                })
            })
            .collect();
        json!({
            "status": self.worst().map_or("ok", Severity::as_str),
            "checked_at": dates::stamp(self.at),
            "findings": findings,
            "expiries": expiries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_decides_the_exit_code() {
        let warning = Finding::warning("a", "x", "m", "h");
        let critical = Finding::critical("z", "y", "m", "h");
        let report = |findings| {
            Report::new(
                "example.org".into(),
                OffsetDateTime::UNIX_EPOCH,
                findings,
                Vec::new(),
                Vec::new(),
            )
        };
        let all = report(vec![warning.clone(), critical]);
        assert_eq!(
            (all.findings.first().map(|one| one.id), all.exit_code()),
            (Some("z"), 4)
        );
        assert_eq!(report(vec![warning]).exit_code(), 3);
        assert_eq!(report(vec![]).exit_code(), 0);
        assert_eq!(report(vec![]).text(), "all is well with example.org\n");
    }
}
