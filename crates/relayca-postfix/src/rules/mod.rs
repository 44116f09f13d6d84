//! What can be wrong with a Postfix that should relay by client certificate, or speak TLS at all.
//!
//! Enters: a configuration and the facts around it ([`Subject`]). Leaves: findings, each with its place, the
//! reason and text to paste. Refuses to know: files, clocks, and how the facts were gathered.

mod ciphers;
mod client;
mod clients;
mod facts;
mod files;
pub mod fix;
mod live;
mod maps;
mod next_hop;
mod obsolete;
mod relay;
mod routing;
mod server;
mod services;
mod syntax;
mod tables;
mod wanted;

use crate::config::{Config, Place};

pub use facts::{Certificate, Facts, Found, Key, Look, Pem};
pub use wanted::{MapName, Purpose, maps_in, wanted};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works; it could be plainer, or it will stop working in a later version.
    Note,
    /// It works today and is not what was meant, or will break.
    Warning,
    /// Mail is lost, refused or readable, or somebody relays who should not.
    Error,
}

/// One rule. The tables of the areas are put together in [`all`].
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable, lower case, hyphens: `key-and-certificate-swapped`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a line: lower case, no full stop.
    pub title: &'static str,
    /// Why it matters and what Postfix really does then, in one to four sentences. What is claimed here of Postfix is
    /// tried on a real one by a test.
    pub why: &'static str,
    /// What to do, in a sentence or two; the commands with the names of the case are in [`Finding::fix`].
    pub remedy: &'static str,
    /// Where it is written: `postconf(5) smtpd_tls_key_file`, `RFC 8314 section 3.3`, `TLS_README`.
    pub sources: &'static [&'static str],
    /// Looks.
    pub check: fn(&Subject<'_>, &mut Vec<Finding>),
}

impl Rule {
    /// A finding of this rule, with its severity, at a place. Short, so that a check reads as what it looks for:
    ///
    /// ```ignore
    /// out.push(SWAPPED.finds(place, format!("`{path}` holds a key")).on(scope.service()).fix([fix::set(..)]));
    /// ```
    #[must_use]
    pub fn finds(&self, place: Place, message: impl Into<String>) -> Finding {
        Finding {
            rule: self.id,
            severity: self.severity,
            place,
            service: None,
            message: message.into(),
            fix: Vec::new(),
        }
    }
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// main.cf and master.cf.
    pub config: &'a Config,
    /// What is around them.
    pub facts: &'a Facts,
}

/// Something that a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of which rule.
    pub rule: &'static str,
    /// How bad it is; that of the rule unless the case is milder or worse.
    pub severity: Severity,
    /// The file and line.
    pub place: Place,
    /// The service in master.cf that it is about, as `2500/inet`; none for main.cf as a whole.
    pub service: Option<String>,
    /// What is wrong in this case, with the names and values: lower case, no full stop, literals in backticks.
    pub message: String,
    /// Text to paste into a root shell, a command each; lines that begin with `#` are for people. Built with
    /// `fix::` functions only, which quote or refuse.
    pub fix: Vec<String>,
}

impl Finding {
    /// It is about this service (`2500/inet`).
    #[must_use]
    pub fn on(mut self, service: Option<String>) -> Self {
        self.service = service;
        self
    }

    /// Milder or worse than its rule.
    #[must_use]
    pub fn as_severe_as(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// What to paste, added to what is there.
    #[must_use]
    pub fn fix(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.fix.extend(lines);
        self
    }
}

/// All rules, by area.
#[must_use]
pub fn all() -> Vec<&'static Rule> {
    const AREAS: &[&[Rule]] = &[
        files::RULES,
        server::RULES,
        relay::RULES,
        maps::RULES,
        client::RULES,
        routing::RULES,
        services::RULES,
        ciphers::RULES,
        syntax::RULES,
        obsolete::RULES,
        live::RULES,
    ];
    AREAS.iter().flat_map(|area| area.iter()).collect()
}

/// Every rule's findings, in the order of file and line, the worst first where they share one.
#[must_use]
pub fn judge(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in all() {
        (rule.check)(subject, &mut findings);
    }
    for finding in &mut findings {
        leave_marked_alone(subject.config, finding);
    }
    findings.sort_by(|one, other| {
        (
            &one.place,
            other.severity,
            one.rule,
            &one.service,
            &one.message,
        )
            .cmp(&(
                &other.place,
                one.severity,
                other.rule,
                &other.service,
                &other.message,
            ))
    });
    findings.dedup();
    findings
}

/// relayca's own block is whole or it is another one: `postconf -P` tears its comments apart, and the next `deploy` calls it edited.
/// What is left of a remedy is its half in main.cf, or words.
fn leave_marked_alone(config: &Config, finding: &mut Finding) {
    for service in config.master.services.iter().filter(|one| one.marked) {
        let label = service.label();
        let before = finding.fix.len();
        finding.fix.retain(|line| !fix::edits_service(line, &label));
        let in_main = |line: &String| line.starts_with("postconf -");
        if finding.fix.len() < before && !finding.fix.iter().any(in_main) {
            finding.fix = vec![fix::note(&format!(
                "{label} stands in relayca's own block, which is not edited: paste again what `relayca snippet` prints for this host, where the authority is"
            ))];
        }
    }
}
