//! The handbook of faults: what the log says, and what is wrong in a configuration.
//!
//! Enters: nothing but the tables that `explain` and `lint` work by. Leaves: docs/TROUBLESHOOTING.md. Refuses to know more than
//! they do, so that the document cannot say anything else than the commands.

use crate::log::{self, Kind, Meaning, Side};
use crate::rules::{self, Rule, Severity};

/// How it begins.
const HEAD: &str = "\
# When mail does not flow

Made from the tables that `relayca explain` and `relayca lint` work by; a test keeps it so. Start with the commands:

| on | command | says |
| --- | --- | --- |
| the mail host or the relay | `relayca explain` | what the log says, host by host, why, and what to do |
| the mail host or the relay | `relayca lint`, `relayca lint --fix` | what is wrong in main.cf and master.cf, and the commands that mend it |
| the admin's machine | `relayca probe --matrix --as HOST` | whom the relay lets in, and whom it refuses |
| the mail host | `relayca probe --egress` | whether the provider blocks port 25 |
| the admin's machine | `relayca check` | what expires, what is out of step |

A log says more after `smtpd_tls_loglevel = 2` on the relay's service and `smtp_tls_loglevel = 2` on the mail host's, and
`postfix reload`: fingerprints, and whether a session was resumed. Set both back to 1 afterwards.

In the lines below H is the other host, `*` anything.
";

/// The document, in Markdown.
#[must_use]
pub fn troubleshooting() -> String {
    let mut text = String::from(HEAD);
    text.push_str("\n## What the log says\n");
    for (side, title) in [
        (Side::Relay, "In the relay's log"),
        (Side::MailHost, "In the mail host's log"),
        (Side::Either, "In either log"),
    ] {
        text.push_str(&format!("\n### {title}\n"));
        for meaning in log::all().filter(|meaning| meaning.side == side) {
            one_meaning(&mut text, meaning);
        }
    }
    text.push_str("\n## What is wrong in a configuration\n");
    for (severity, title) in [
        (
            Severity::Error,
            "Errors: mail is lost, refused or readable, or somebody relays who should not",
        ),
        (
            Severity::Warning,
            "Warnings: it is not what was meant, or will break",
        ),
        (Severity::Note, "Notes"),
    ] {
        text.push_str(&format!("\n### {title}\n"));
        for rule in rules::all()
            .into_iter()
            .filter(|rule| rule.severity == severity)
        {
            one_rule(&mut text, rule);
        }
    }
    text
}

fn one_meaning(text: &mut String, meaning: &Meaning) {
    text.push_str(&format!("\n#### {}\n\n", meaning.id));
    text.push_str(&format!("{}.\n\n", capital(meaning.title)));
    let lines: Vec<String> = meaning
        .wordings
        .iter()
        .map(|wording| wording.shown())
        .collect();
    text.push_str(&format!("```text\n{}\n```\n\n", lines.join("\n")));
    text.push_str(&format!("{} {}\n", meaning.says, meaning.why));
    if !meaning.versions.is_empty() {
        text.push_str(&format!("Versions: {}\n", meaning.versions));
    }
    if !matches!(meaning.kind, Kind::Good) || !meaning.commands.is_empty() {
        text.push_str(&format!("\n**Do:** {}\n", meaning.remedy));
    }
    if !meaning.commands.is_empty() {
        let commands: Vec<String> = meaning
            .commands
            .iter()
            .map(|command| named(command))
            .collect();
        text.push_str(&format!("\n```sh\n{}\n```\n", commands.join("\n")));
    }
    text.push_str(&format!("\nSee {}.\n", meaning.sources.join("; ")));
}

fn one_rule(text: &mut String, rule: &Rule) {
    text.push_str(&format!("\n#### {}\n\n", rule.id));
    text.push_str(&format!("{}.\n\n", capital(rule.title)));
    text.push_str(&format!("{}\n", rule.why));
    text.push_str(&format!(
        "\n**Do:** {}\n\nSee {}.\n",
        sentence(rule.remedy),
        rule.sources.join("; ")
    ));
}

/// A command with names in the places of names.
fn named(command: &str) -> String {
    command
        .replace("{host}", "mailhost.example.org")
        .replace("{relay}", "relayhost.example.org")
        .replace("{file}", "FILE")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn sentence(text: &str) -> String {
    let text = capital(text);
    if text.ends_with('.') {
        text
    } else {
        format!("{text}.")
    }
}
