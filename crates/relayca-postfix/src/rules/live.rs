//! What the system's own `postconf` says of the configuration.
//!
//! Enters: its complaints, among the facts. Leaves: findings. Refuses to know: how it was asked.

use super::{Finding, Rule, Severity, Subject};
use crate::config::Place;

/// The rules.
pub(super) const RULES: &[Rule] = &[Rule {
    id: "postconf-complains",
    severity: Severity::Error,
    title: "Postfix's own `postconf` cannot read the configuration",
    why: "What `postconf` refuses, the daemons refuse as well: Postfix does not start, or goes on with what it read before.",
    remedy: "mend what it says; `postfix check` tells more",
    sources: &["postconf(1)", "postfix(1) check"],
    check: complaints,
}];

fn complaints(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for line in &subject.facts.complaints {
        // `postconf: warning: /etc/postfix/main.cf, line 3: …`
        let fatal = line.contains(": fatal: ");
        // Other rules tell of these, with a suggestion.
        let known = [
            "unused parameter",
            "overriding earlier entry",
            "support for parameter",
        ]
        .iter()
        .any(|known| line.contains(known));
        if known && !fatal {
            continue;
        }
        found.push(Finding {
            rule: "postconf-complains",
            severity: if fatal {
                Severity::Error
            } else {
                Severity::Warning
            },
            place: place(line),
            service: None,
            message: format!(
                "`{}`",
                line.trim_start_matches("postconf: ").replace('`', "'")
            ),
            fix: Vec::new(),
        });
    }
}

/// The file and line that it names.
fn place(line: &str) -> Place {
    let file = if line.contains("master.cf") {
        "master.cf"
    } else {
        "main.cf"
    };
    let number = line.split("line ").nth(1).map(|rest| {
        rest.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    });
    Place {
        file: file.to_owned(),
        line: number.and_then(|number| number.parse().ok()),
    }
}
