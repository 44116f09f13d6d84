//! Records to play with, and the sqlite3 command to judge by.
#![allow(dead_code)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use relayca_inventory::{
    CertificateRecord, Host, Inventory, NewEvent, SqliteInventory, State, create,
};
use tempfile::TempDir;

pub const NOW: &str = "2026-11-21T03:00:00Z";

/// A new inventory in a directory of its own, with the hosts `a`, `b` and `c`.example.org.
pub fn inventory() -> (TempDir, PathBuf, SqliteInventory) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("inventory.db");
    let mut inventory = create(&path).unwrap();
    let mut change = inventory.change().unwrap();
    for name in ["a", "b", "c"] {
        change
            .add_host(&host(&format!("{name}.example.org")))
            .unwrap();
    }
    change.commit().unwrap();
    (dir, path, inventory)
}

pub fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        role: "mailhost".to_owned(),
        added_at: NOW.to_owned(),
    }
}

/// Bytes with the outline of a certificate and the weight of a P-256 one.
pub fn der(seed: u64) -> Vec<u8> {
    let mut der = vec![
        0x30, 0x82, 0x02, 0x54, 0x30, 0x82, 0x01, 0xf0, 0xa0, 0x03, 0x02, 0x01, 0x02,
    ];
    der.extend(seed.to_be_bytes());
    der.resize(4 + 0x254, 0x5a);
    der
}

/// The serial that goes with a number: spread, like the random ones are.
pub fn serial(number: u64) -> String {
    format!(
        "{:016x}{number:016x}",
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1
    )
}

pub fn certificate(number: u64, host: &str) -> CertificateRecord {
    CertificateRecord {
        serial: serial(number),
        host: host.to_owned(),
        role: "mailhost".to_owned(),
        certificate_der: der(number),
        spki_sha256: format!("{number:064x}"),
        not_before: "2026-11-21T02:00:00Z".to_owned(),
        not_after: "2028-11-20T03:00:00Z".to_owned(),
        issued_at: NOW.to_owned(),
        state: State::Live,
    }
}

pub fn event(what: &str, serial: Option<String>) -> NewEvent {
    NewEvent {
        at: NOW.to_owned(),
        what: what.to_owned(),
        serial,
        ..NewEvent::default()
    }
}

pub fn sqlite3(path: &Path, sql: &str) -> Output {
    Command::new("sqlite3")
        .arg(path)
        .arg(sql)
        .stdin(Stdio::null())
        .output()
        .expect("sqlite3")
}

/// What sqlite3 prints for a statement that it accepts.
pub fn ask(path: &Path, sql: &str) -> String {
    let output = sqlite3(path, sql);
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// This test binary again, to run the ignored test `name` alone, as a process of its own.
pub fn again(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command
}

/// Kills sqlite3 in the middle of a change that has already reached the file, so that its journal is needed.
pub fn cut_off(path: &Path) {
    let mut child = Command::new("sqlite3")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3");
    let mut input = child.stdin.take().unwrap();
    writeln!(
        input,
        "PRAGMA cache_size = 5; BEGIN IMMEDIATE;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO hosts SELECT 'h' || i, 'relay', '{NOW}' FROM n;
         SELECT 'written';"
    )
    .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "written\n");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        path.with_extension("db-journal").metadata().unwrap().len() > 512,
        "there is something to roll back"
    );
}
