//! The report as people read it.
//!
//! In: a report, or a session that ended. Out: lines. It refuses to know how they came about.

use std::collections::HashSet;

use relayca_postfix::log::{Ended, Host, Outcome, Problem, Report, Stamp, Way};

use crate::printer::{count, one_line, table};

/// Long sentences are cut at this many letters.
const WIDTH: usize = 100;
/// Hosts that have nothing to do with relaying, shown where all are asked for.
const MOST_STRANGERS: usize = 100;

/// The summary and the problems. With `all` also strangers and what is wrong with them.
pub fn report(report: &Report, all: bool) -> String {
    let mut text = String::new();
    let mut strangers = 0;
    let hosts: Vec<&Host> = report
        .hosts
        .iter()
        .filter(|host| {
            strangers += usize::from(!host.ours);
            host.ours || (all && strangers <= MOST_STRANGERS)
        })
        .collect();
    if !hosts.is_empty() {
        text.push_str(&hosts_table(&hosts));
    }
    for problem in report.problems.iter().filter(|problem| all || problem.ours) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&problem_text(problem));
    }
    text
}

/// How many hosts and problems [`report`] leaves out.
pub fn left_out(report: &Report, all: bool) -> (usize, usize) {
    let strangers = report.hosts.iter().filter(|host| !host.ours).count();
    if all {
        (strangers.saturating_sub(MOST_STRANGERS), 0)
    } else {
        (
            strangers,
            report
                .problems
                .iter()
                .filter(|problem| !problem.ours)
                .count(),
        )
    }
}

fn hosts_table(hosts: &[&Host]) -> String {
    let header = [
        "HOST", "WAY", "STATE", "SINCE", "LAST", "TAKEN", "SENT", "REFUSED", "WAITING", "BOUNCED",
        "WHY",
    ];
    let rows: Vec<Vec<String>> = hosts
        .iter()
        .map(|host| {
            let why: Vec<&str> = host.reasons.iter().take(3).map(|(id, _)| *id).collect();
            vec![
                one_line(&host.name),
                host.way.as_str().to_owned(),
                host.state.as_str().to_owned(),
                shown(host.since),
                shown(host.last),
                host.accepted.to_string(),
                host.relayed.to_string(),
                host.refused.to_string(),
                host.waiting.to_string(),
                host.bounced.to_string(),
                why.join(", "),
            ]
        })
        .collect();
    table(&header, &rows)
}

fn problem_text(problem: &Problem) -> String {
    let meaning = problem.meaning;
    let mut text = format!("{}: {}\n", meaning.id, meaning.title);
    let mut often = count(
        usize::try_from(problem.count).unwrap_or(usize::MAX),
        "time",
        "times",
    );
    match (problem.first, problem.last) {
        (Some(first), Some(last)) if first != last => {
            often.push_str(&format!(", from {first} to {last}"))
        }
        (Some(first), _) => often.push_str(&format!(", at {first}")),
        _ => {}
    }
    let hosts: Vec<String> = problem
        .hosts
        .iter()
        .map(|(host, count)| format!("{} ({count})", one_line(host)))
        .collect();
    if !hosts.is_empty() {
        often.push_str(": ");
        often.push_str(&hosts.join(", "));
    }
    part(&mut text, "seen", &often);
    if !problem.example.is_empty() {
        text.push_str(&format!("  line   {}\n", one_line(&problem.example)));
    }
    part(&mut text, "means", meaning.says);
    part(&mut text, "why", meaning.why);
    part(&mut text, "do", meaning.remedy);
    for command in &problem.commands {
        text.push_str(&format!("         {}\n", one_line(command)));
    }
    text
}

/// A named paragraph, indented.
fn part(text: &mut String, name: &str, words: &str) {
    let mut line = format!("  {name:<6}");
    for word in words.split(' ') {
        if line.chars().count() + word.chars().count() + 1 > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(8);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn shown(stamp: Option<Stamp>) -> String {
    stamp.map_or_else(|| "-".to_owned(), |stamp| stamp.to_string())
}

/// A session as it ends: a line, and where something is wrong that was not explained yet, what to do.
pub fn ended(ended: &Ended, explained: &mut HashSet<(String, &'static str)>) -> String {
    let mut line = String::new();
    if let Some(at) = ended.at {
        line.push_str(&format!("{at} "));
    }
    if !ended.host.is_empty() {
        line.push_str(&format!(
            "{} {}: ",
            ended.way.as_str(),
            one_line(&ended.host)
        ));
    }
    line.push_str(&became(ended));
    let mut text = String::new();
    for (at, reason) in ended.reasons.iter().enumerate() {
        let meaning = reason.meaning;
        line.push_str(
            if at == 0 && ended.outcome == Outcome::Nothing && ended.host.is_empty() {
                ""
            } else {
                ", "
            },
        );
        line.push_str(&format!("{} ({})", meaning.title, meaning.id));
        if explained.len() < 10_000 && explained.insert((ended.host.clone(), meaning.id)) {
            part(&mut text, "do", meaning.remedy);
            for command in &reason.commands {
                text.push_str(&format!("         {}\n", one_line(command)));
            }
        }
    }
    format!("{line}\n{text}")
}

fn became(ended: &Ended) -> String {
    match ended.outcome {
        Outcome::Accepted(messages) => {
            format!(
                "{} taken",
                count(
                    usize::try_from(messages).unwrap_or(usize::MAX),
                    "message",
                    "messages"
                )
            )
        }
        Outcome::Nothing if ended.host.is_empty() => String::new(),
        Outcome::Nothing => match ended.way {
            Way::From => "came and left".to_owned(),
            Way::To => "reached".to_owned(),
        },
        other => other.as_str().to_owned(),
    }
}
