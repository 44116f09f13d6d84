//! The findings for people and for programs.
//!
//! In: what was found. Out: text, JSON, the exit code. It refuses to know how it was found.

use relayca_postfix::rules::{Finding, Rule, Severity, all};
use serde_json::{Value, json};

use super::Linted;
use crate::printer::{self, count};

/// Exit code: something is not as it was meant.
pub const WARNING: u8 = 3;
/// Exit code: mail is lost, refused or readable, or somebody relays who should not.
pub const ERROR: u8 = 4;
/// Columns of the text.
const WIDTH: usize = 100;

/// The rule of a finding.
pub fn rule(id: &str) -> Option<&'static Rule> {
    all().into_iter().find(|rule| rule.id == id)
}

/// `note`, `warning`, `error`: the words of compilers, and of SARIF.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The worst there is.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

/// 0, [`WARNING`] or [`ERROR`].
pub fn exit_code(findings: &[Finding]) -> u8 {
    match worst(findings) {
        None | Some(Severity::Note) => 0,
        Some(Severity::Warning) => WARNING,
        Some(Severity::Error) => ERROR,
    }
}

/// `2 errors, 1 warning, 3 notes`.
pub fn counts(findings: &[Finding]) -> String {
    let of = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    format!(
        "{}, {}, {}",
        count(of(Severity::Error), "error", "errors"),
        count(of(Severity::Warning), "warning", "warnings"),
        count(of(Severity::Note), "note", "notes")
    )
}

/// A block for each finding, with the reason at the first of each rule.
pub fn text(linted: &Linted) -> String {
    let mut text = String::new();
    let mut told: Vec<&str> = Vec::new();
    for finding in &linted.findings {
        let line = finding
            .place
            .line
            .map_or(String::new(), |line| format!("{line}:"));
        let service = finding.service.as_ref().map_or(String::new(), |service| {
            format!("{}: ", printer::one_line(service))
        });
        text.push_str(&format!(
            "{}:{line} {}: {service}{} [{}]\n",
            linted.source.shown(&finding.place.file),
            word(finding.severity),
            printer::one_line(&finding.message),
            finding.rule
        ));
        let rule = rule(finding.rule);
        if let Some(rule) = rule
            && !told.contains(&rule.id)
        {
            told.push(rule.id);
            paragraph(&mut text, "why", rule.why);
            if finding.fix.is_empty() {
                paragraph(&mut text, "do", rule.remedy);
            }
            paragraph(&mut text, "see", &rule.sources.join("; "));
        }
        for (index, command) in finding.fix.iter().enumerate() {
            let label = if index == 0 { "fix" } else { "" };
            text.push_str(&format!("    {label:<5}{}\n", printer::one_line(command)));
        }
        text.push('\n');
    }
    text
}

/// One rule, for `--rule`.
pub fn of_rule(rule: &Rule) -> String {
    let mut text = format!("{} ({}): {}\n", rule.id, word(rule.severity), rule.title);
    paragraph(&mut text, "why", rule.why);
    paragraph(&mut text, "do", rule.remedy);
    paragraph(&mut text, "see", &rule.sources.join("; "));
    text
}

/// All rules, a line each, for `--rules`.
pub fn of_rules() -> String {
    let rows: Vec<Vec<String>> = all()
        .into_iter()
        .map(|rule| {
            vec![
                rule.id.to_owned(),
                word(rule.severity).to_owned(),
                rule.title.to_owned(),
            ]
        })
        .collect();
    printer::table(&["RULE", "SEVERITY", "WHAT IS WRONG"], &rows)
}

/// A rule as JSON.
pub fn rule_json(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "severity": word(rule.severity),
        "title": rule.title,
        "why": rule.why,
        "remedy": rule.remedy,
        "sources": rule.sources,
    })
}

/// For programs.
pub fn json(linted: &Linted) -> Value {
    let findings: Vec<Value> = linted
        .findings
        .iter()
        .map(|finding| {
            let rule = rule(finding.rule);
            json!({
                "id": finding.rule,
                "severity": word(finding.severity),
                "file": linted.source.shown(&finding.place.file),
                "line": finding.place.line,
                "service": finding.service,
                "message": finding.message,
                "why": rule.map(|rule| rule.why),
                "remedy": rule.map(|rule| rule.remedy),
                "fix": finding.fix,
                "sources": rule.map(|rule| rule.sources),
            })
        })
        .collect();
    json!({
        "status": worst(&linted.findings).map_or("ok", word),
        "main_cf": linted.source.shown("main.cf"),
        "master_cf": linted.source.master_cf.as_ref().map(|_| linted.source.shown("master.cf")),
        "postfix": linted.facts.version.map(|version| version.to_string()),
        "map_types": linted.facts.map_types,
        "findings": findings,
        "unreadable": linted.unreadable,
    })
}

/// A labelled paragraph, broken at blanks.
fn paragraph(text: &mut String, label: &str, words: &str) {
    let mut line = format!("    {label:<5}");
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(9);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
