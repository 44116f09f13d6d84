//! Real logs of Postfix 3.5, 3.7, 3.10 and 3.11, fault by fault, each explained as it should be. `log_made` makes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod log_expected;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use log_expected::{EXPECTED, ids};
use relayca_postfix::log::{Around, Explainer, Known, Report, State, Way};

/// 2026-12-01: the logs are of November 2026.
const DECEMBER: i64 = 1_796_083_200;

const VERSIONS: [&str; 4] = ["3.5", "3.7", "3.10", "3.11"];

fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/logs")
}

fn explained(log: &[u8]) -> Report {
    let mut explainer = Explainer::new(Around::until(DECEMBER), Known::nobody());
    explainer.feed(log, &mut |_| {});
    explainer.finish(&mut |_| {})
}

/// What is wrong, save that 3.11 says everywhere that hash and btree will go.
fn found(report: &Report) -> BTreeSet<&'static str> {
    let ids = report.problems.iter().map(|problem| problem.meaning.id);
    ids.filter(|id| *id != "tables-deprecated").collect()
}

fn read(version: &str, name: &str) -> Vec<u8> {
    std::fs::read(logs().join(version).join(format!("{name}.log"))).unwrap()
}

#[test]
fn every_fault_of_every_version_is_explained_as_it_should_be() {
    let mut wrong = Vec::new();
    for version in VERSIONS {
        for (name, expected, _) in EXPECTED {
            let expected = ids(expected, version);
            let report = explained(&read(version, name));
            if found(&report) != expected {
                wrong.push(format!(
                    "{version} {name}: {:?}, expected {expected:?}",
                    found(&report)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_log_has_an_expectation_and_the_other_way_round() {
    let names: BTreeSet<String> = EXPECTED
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    for version in VERSIONS {
        let there: BTreeSet<String> = std::fs::read_dir(logs().join(version))
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(there, names, "{version}");
    }
}

#[test]
fn what_became_of_the_mail_is_counted_on_both_sides() {
    for version in VERSIONS {
        for (name, _, state) in EXPECTED {
            let report = explained(&read(version, name));
            let of = |way: Way| {
                report
                    .hosts
                    .iter()
                    .find(|host| host.way == way && host.ours)
            };
            let shown = (
                of(Way::From).map_or(State::Seen, |host| host.state),
                of(Way::To).map_or(State::Seen, |host| host.state),
            );
            assert_eq!(shown, *state, "{version} {name}: {:#?}", report.hosts);
        }
    }
}

#[test]
fn mail_that_flows_is_no_problem_and_is_counted() {
    for version in VERSIONS {
        let report = explained(&read(version, "relayed"));
        let ours: Vec<_> = report.hosts.iter().filter(|host| host.ours).collect();
        let [from, to] = ours.as_slice() else {
            panic!("{:?}", report.hosts);
        };
        assert_eq!(
            (from.name.as_str(), from.accepted, from.relayed),
            ("localhost", 1, 1)
        );
        assert_eq!((to.name.as_str(), to.relayed), ("relay.example.org", 1));
        assert!(from.first.is_some() && from.first.unwrap().rfc3339().starts_with("2026-11-21T"));
    }
}

#[test]
fn the_other_side_is_named_by_fingerprint_in_the_words_of_every_version() {
    for version in VERSIONS {
        let log = read(version, "client-unlisted");
        let seen = std::cell::RefCell::new(Vec::new());
        let known = Known::new(
            |fingerprint| {
                seen.borrow_mut().push(fingerprint.to_owned());
                (seen.borrow().len() % 2 == 0).then(|| "mail.example.org".to_owned())
            },
            |_| None,
        );
        let mut explainer = Explainer::new(Around::until(DECEMBER), known);
        explainer.feed(&log, &mut |_| {});
        let report = explainer.finish(&mut |_| {});
        let mail_host = report
            .hosts
            .iter()
            .find(|host| host.way == Way::From)
            .unwrap();
        assert!(mail_host.known, "{version}");
        assert_eq!(mail_host.name, "mail.example.org", "{version}");
        // The certificate's and the key's, of both sides.
        let seen = seen.borrow();
        assert!(
            seen.len() >= 2
                && seen
                    .iter()
                    .all(|print| print.len() == 95 || print.len() == 47),
            "{version}: {seen:?}"
        );
        assert!(report.counts.fingerprints);
    }
}

#[test]
fn logs_of_other_writers_say_the_same() {
    for (name, expected, _) in EXPECTED {
        let log = String::from_utf8_lossy(&read("3.10", name)).into_owned();
        let expected = ids(expected, "3.10");
        for (writer, rewritten) in writers(&log) {
            let report = explained(rewritten.as_bytes());
            assert_eq!(found(&report), expected, "{writer} {name}");
        }
    }
}

/// The same log as rsyslog and journalctl write it.
fn writers(log: &str) -> Vec<(&'static str, String)> {
    let each = |write: &dyn Fn(&str, &str) -> String| -> String {
        log.lines()
            .map(|line| {
                let (stamp, rest) = line.split_at(16);
                write(stamp.get(7..15).unwrap(), rest)
            })
            .collect()
    };
    let json = |clock: &str, rest: &str| {
        let (machine, rest) = rest.split_once(' ').unwrap();
        let (tag, message) = rest.split_once("]: ").unwrap();
        let (tag, process) = tag.split_once('[').unwrap();
        let micros = 1_795_219_200_000_000_u64
            + clock
                .split(':')
                .fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap())
                * 1_000_000;
        format!(
            "{}\n",
            serde_json::json!({
                "__REALTIME_TIMESTAMP": micros.to_string(), "_HOSTNAME": machine, "SYSLOG_IDENTIFIER": tag,
                "_PID": process, "PRIORITY": "6", "MESSAGE": message,
            })
        )
    };
    vec![
        (
            "rfc 3339",
            each(&|clock, rest| format!("2026-11-21T{clock}.123456+01:00 {rest}\n")),
        ),
        (
            "short-iso",
            each(&|clock, rest| format!("2026-11-21T{clock}+0100 {rest}\n")),
        ),
        (
            "short-precise",
            each(&|clock, rest| format!("Nov 21 {clock}.123456 {rest}\n")),
        ),
        (
            "short-full",
            each(&|clock, rest| format!("Sat 2026-11-21 {clock} CET {rest}\n")),
        ),
        ("json", each(&json)),
    ]
}
