//! Looking at an authority with `relayca check`, now or at another time.
//!
//! In: an admin's account. Out: what was found, each as `ID SEVERITY SUBJECT`. It refuses to know what is right.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::authority::{Admin, Outcome, RELAYCA, judge};

pub fn at(admin: &Admin, when: &str, arguments: &[&str]) -> Outcome {
    let mut command = admin.program("faketime");
    command.args(["-f", when, RELAYCA]).args(arguments);
    Outcome::of(&mut command)
}

/// `ID SEVERITY SUBJECT` of each finding; the exit code must go with them.
#[track_caller]
pub fn findings(outcome: Outcome) -> Vec<String> {
    let report: serde_json::Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap().to_owned();
    let code = match text(&report, "status").as_str() {
        "ok" => 0,
        "warning" => 3,
        "critical" => 4,
        other => panic!("{other}"),
    };
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    let all = report["findings"].as_array().unwrap();
    assert_eq!(all.is_empty(), code == 0);
    all.iter()
        .map(|one| {
            assert!(text(one, "hint").len() > 5, "{one}");
            assert!(!text(one, "message").ends_with('.'), "{one}");
            [text(one, "id"), text(one, "severity"), text(one, "subject")].join(" ")
        })
        .collect()
}

/// What is found; the look must change nothing.
#[track_caller]
pub fn check(admin: &Admin, more: &[&str]) -> Vec<String> {
    let before = admin.tree();
    let found = findings(admin.run(&[&["check", "--json"], more].concat()));
    before.assert_same(&admin.tree());
    found
}

#[track_caller]
pub fn check_at(admin: &Admin, when: &str, more: &[&str]) -> Vec<String> {
    findings(at(admin, when, &[&["check", "--json"], more].concat()))
}

pub fn settings(admin: &Admin, from: &str, to: &str) {
    let path = admin.part("relayca.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn sqlite(admin: &Admin, sql: &str) -> String {
    judge(
        "sqlite3",
        &[admin.part("inventory.db").to_str().unwrap(), sql],
    )
}
