//! Looking at a Postfix for `lint`: its configuration, the files that it names, its version.
//!
//! In: where it lies. Out: what the rules of relayca-postfix judge, and the report in its forms. It refuses to write, and
//! runs no program but `postconf`, and that only on a configuration that nobody else could have put there.

pub mod beneath;
pub mod fixes;
pub mod host;
mod looking;
mod pem;
mod postconf;
pub mod report;
pub mod sarif;
mod source;

use relayca_postfix::rules::{Facts, Finding, Subject, judge};

use crate::cli::Lint;
use crate::failure::Failure;
use crate::run::Run;

pub use source::Source;

/// What was looked at, and what was found.
#[derive(Debug)]
pub struct Linted {
    /// Where the configuration lies.
    pub source: Source,
    /// What is around it.
    pub facts: Facts,
    /// What the rules say.
    pub findings: Vec<Finding>,
    /// Absolute paths that this user may not look at, in order.
    pub unreadable: Vec<String>,
}

/// Looks and judges.
///
/// # Errors
/// [`Failure`] where there is no configuration to read, or an option says nothing that can be understood.
pub fn lint(run: &Run, arguments: &Lint) -> Result<Linted, Failure> {
    let source = Source::find(arguments)?;
    let host = host::ask(&source, arguments)?;
    let config = source.read(host.version)?;
    let paths = looking::look(&source, &config);
    let facts = Facts {
        version: host.version,
        map_types: host.map_types,
        paths,
        complaints: host.complaints,
        now: run.now.unix_timestamp(),
    };
    let mut findings = judge(&Subject {
        config: &config,
        facts: &facts,
    });
    findings.retain(|finding| !arguments.ignore.iter().any(|id| id == finding.rule));
    let unreadable = looking::unreadable(&facts.paths);
    Ok(Linted {
        source,
        facts,
        findings,
        unreadable,
    })
}
