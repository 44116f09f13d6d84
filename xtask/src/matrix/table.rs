//! What the lab found, as text.
//!
//! Enters: scenarios and their outcomes. Leaves: tables in Markdown, and docs/COMPATIBILITY.md around them. Refuses to know how
//! they were played.

use std::collections::BTreeMap;

use anyhow::Result;
use xtask::lab::{Suite, Tree};

use super::scenario::Change;
use super::{Job, Outcome};

/// Two tables in Markdown: each way of setting up on each version, and each version to each.
pub fn tables(
    trees: &[(Suite, Tree)],
    jobs: &[Job],
    outcomes: &BTreeMap<usize, Outcome>,
) -> String {
    let said = |relay: usize, mail_host: usize, change: Option<&Change>| {
        let all: Vec<&Outcome> = jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| job.relay == relay && job.mail_host == mail_host)
            .filter(|(_, job)| change.is_none_or(|change| job.change == *change))
            .filter_map(|(index, _)| outcomes.get(&index))
            .collect();
        match all.as_slice() {
            [] => "-",
            all if all.iter().all(|outcome| outcome.is_ok()) => "holds",
            _ => "**fails**",
        }
    };
    let heads: Vec<String> = trees
        .iter()
        .map(|(suite, _)| format!("{} ({})", suite.postfix, suite.name))
        .collect();
    let rule = "| --- ".repeat(trees.len() + 1);
    let mut text = format!(
        "| relay and mail host on | {} |\n{rule}|\n",
        heads.join(" | ")
    );
    let mut changes: Vec<&Change> = Vec::new();
    for job in jobs {
        if job.relay == job.mail_host && !changes.contains(&&job.change) {
            changes.push(&job.change);
        }
    }
    for change in changes {
        let row: Vec<&str> = (0..trees.len())
            .map(|tree| said(tree, tree, Some(change)))
            .collect();
        text.push_str(&format!("| {} | {} |\n", change.title(), row.join(" | ")));
    }
    if trees.len() > 1 {
        let mut across: Vec<String> = Vec::new();
        for job in jobs.iter().filter(|job| job.relay != job.mail_host) {
            let title = job.change.title();
            if !across.contains(&title) {
                across.push(title);
            }
        }
        text.push_str(&format!("\nBetween two versions: {}.\n", across.join("; ")));
        text.push_str(&format!(
            "\n| mail host on | relay on {} |\n{rule}|\n",
            heads.join(" | relay on ")
        ));
        for (index, head) in heads.iter().enumerate() {
            let row: Vec<&str> = (0..trees.len())
                .map(|relay| said(relay, index, None))
                .collect();
            text.push_str(&format!("| {head} | {} |\n", row.join(" | ")));
        }
    }
    text
}

/// docs/COMPATIBILITY.md.
///
/// # Errors
/// Where a tree's programs cannot be asked for their versions.
pub fn document(trees: &[(Suite, Tree)], tables: &str) -> Result<String> {
    let mut versions = String::from("| suite | Postfix | OpenSSL |\n| --- | --- | --- |\n");
    for (suite, tree) in trees {
        let ask = |program: &str, arguments: &[&str]| -> Result<String> {
            let output = tree.command(program).args(arguments).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let postfix = ask("postconf", &["-d", "-h", "mail_version"])?;
        let openssl = ask("openssl", &["version"])?;
        let openssl = openssl.split_whitespace().nth(1).unwrap_or_default();
        versions.push_str(&format!("| {} | {postfix} | {openssl} |\n", suite.name));
    }
    Ok(format!(
        "\
# Which Postfix

Written by `cargo xtask lab`. In each case `init` and `issue` were run, what they print was pasted as it stands, a message
went from the mail host through the relay over TLS that the mail host verified, and `relayca probe --matrix` showed the relay
everything that it must refuse: it refused all of it, and took the listed certificate. As printed, and with each type of map, the
mail host was then revoked, and its mail waited. What a version does not offer is `-`.

{versions}
{tables}"
    ))
}
