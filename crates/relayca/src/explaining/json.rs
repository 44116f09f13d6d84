//! The report as programs read it, see docs/JSON.md.
//!
//! In: a report, or a session that ended. Out: values. It refuses to know how they came about.

use relayca_postfix::log::{Ended, Host, Outcome, Problem, Report, Stamp};
use serde_json::{Value, json};

fn stamp(stamp: Option<Stamp>) -> Value {
    stamp.map_or(Value::Null, |stamp| Value::String(stamp.rfc3339()))
}

/// All of it.
pub fn report(report: &Report) -> Value {
    let counts = &report.counts;
    json!({
        "hosts": report.hosts.iter().map(host).collect::<Vec<_>>(),
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
        "read": {
            "lines": counts.lines,
            "told": counts.told,
            "too_long": counts.too_long,
            "not_believed": counts.not_believed,
            "accepted_elsewhere": counts.accepted_elsewhere,
            "refused_elsewhere": counts.refused_elsewhere,
            "hosts_forgotten": counts.forgotten,
            "fingerprints": counts.fingerprints,
            "first": stamp(counts.first),
            "last": stamp(counts.last),
        },
    })
}

fn host(host: &Host) -> Value {
    let reasons: Vec<Value> = host
        .reasons
        .iter()
        .map(|(id, count)| json!({"id": id, "count": count}))
        .collect();
    json!({
        "host": host.name,
        "way": host.way.as_str(),
        "known": host.known,
        "ours": host.ours,
        "addresses": host.addresses,
        "state": host.state.as_str(),
        "since": stamp(host.since),
        "first": stamp(host.first),
        "last": stamp(host.last),
        "last_relayed": stamp(host.last_relayed),
        "taken": host.accepted,
        "sent": host.relayed,
        "refused": host.refused,
        "waiting": host.waiting,
        "bounced": host.bounced,
        "reasons": reasons,
    })
}

fn problem(problem: &Problem) -> Value {
    let meaning = problem.meaning;
    let hosts: Vec<Value> = problem
        .hosts
        .iter()
        .map(|(host, count)| json!({"host": host, "count": count}))
        .collect();
    json!({
        "id": meaning.id,
        "kind": meaning.kind.as_str(),
        "title": meaning.title,
        "count": problem.count,
        "first": stamp(problem.first),
        "last": stamp(problem.last),
        "example": problem.example,
        "hosts": hosts,
        "ours": problem.ours,
        "says": meaning.says,
        "why": meaning.why,
        "remedy": meaning.remedy,
        "commands": problem.commands,
    })
}

/// A session that ended, as a line.
pub fn ended(ended: &Ended) -> Value {
    let reasons: Vec<Value> = ended
        .reasons
        .iter()
        .map(|reason| {
            json!({
                "id": reason.meaning.id,
                "title": reason.meaning.title,
                "example": reason.example,
                "remedy": reason.meaning.remedy,
                "commands": reason.commands,
            })
        })
        .collect();
    let text = |text: &str| {
        if text.is_empty() {
            Value::Null
        } else {
            Value::String(text.to_owned())
        }
    };
    json!({
        "at": stamp(ended.at),
        "way": ended.way.as_str(),
        "host": text(&ended.host),
        "address": text(&ended.address),
        "known": ended.known,
        "ours": ended.ours,
        "outcome": ended.outcome.as_str(),
        "messages": match ended.outcome {
            Outcome::Accepted(messages) => messages,
            Outcome::Sent => 1,
            _ => 0,
        },
        "reasons": reasons,
    })
}
