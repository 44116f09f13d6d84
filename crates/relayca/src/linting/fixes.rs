//! The remedies of all findings as one script.
//!
//! In: findings. Out: text for a root shell, which begins by keeping what was there. It refuses to run anything.

use relayca_postfix::rules::fix;

use super::Linted;
use super::report::word;
use super::source::DEFAULT_DIRECTORY;

/// The script; nothing if there is nothing to mend.
pub fn script(linted: &Linted) -> Option<String> {
    if linted.findings.is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    let root = linted.source.root.as_os_str() != "/";
    if root {
        lines.push(fix::note(&format!(
            "to be run in the system whose root is {}",
            linted.source.root.display()
        )));
    }
    let directory = linted
        .source
        .directory
        .as_ref()
        .map_or(DEFAULT_DIRECTORY.to_owned(), |path| {
            path.display().to_string()
        });
    // postconf(1), postmap(1) and postfix(1) all heed it.
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@".contains(letter);
    if directory != DEFAULT_DIRECTORY {
        if !directory.chars().all(plain) {
            lines.push(fix::note(&format!(
                "set MAIL_CONFIG to {directory} first: its name does not bear quoting here"
            )));
        } else {
            lines.push(format!("export MAIL_CONFIG={directory}"));
        }
    }
    lines.push("for f in main.cf master.cf; do cp -p \"${MAIL_CONFIG:-/etc/postfix}/$f\" \"${MAIL_CONFIG:-/etc/postfix}/$f.before-lint\"; done".to_owned());
    let mut told: Vec<&String> = Vec::new();
    let mut commands = 0;
    for finding in &linted.findings {
        let fresh: Vec<&String> = finding
            .fix
            .iter()
            .filter(|line| !told.contains(line) && !is_reload(line))
            .collect();
        lines.push(String::new());
        let line = finding
            .place
            .line
            .map_or(String::new(), |line| format!(" line {line}"));
        lines.push(fix::note(&format!(
            "{}{line}: {}: {} [{}]",
            finding.place.file,
            word(finding.severity),
            finding.message,
            finding.rule
        )));
        if finding.fix.is_empty()
            && let Some(rule) = super::report::rule(finding.rule)
        {
            lines.push(fix::note(&format!("by hand: {}", rule.remedy)));
        }
        commands += fresh.iter().filter(|line| !line.starts_with('#')).count();
        lines.extend(fresh.iter().map(|line| (*line).clone()));
        told.extend(fresh);
    }
    if commands > 0 {
        lines.push(String::new());
        lines.push("postfix check && postfix reload".to_owned());
    }
    lines.push(String::new());
    Some(lines.join("\n"))
}

/// One at the end is enough.
fn is_reload(line: &str) -> bool {
    *line == fix::reload()
}
