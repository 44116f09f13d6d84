//! Records to play with, and the sqlite3 command to judge by.
#![allow(dead_code)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use relayca_inventory::{
    CertificateRecord, CrlRecord, Host, Inventory, NewEvent, SqliteInventory, State, create,
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

/// The certificate of a CA of the domain `example.org`.
pub fn ca(number: u64) -> CertificateRecord {
    CertificateRecord {
        role: "ca".to_owned(),
        ..certificate(number, "example.org")
    }
}

/// Bytes with the outline of a revocation list of `entries` bytes of entries.
pub fn crl_der(entries: usize) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x84], &length[..], content].concat()
    };
    let signed = [
        &[0x02, 0x01, 0x01][..],
        &element(0x30, &[0x06, 0x01, 0x2a]),
        &element(0x30, &[]),
        &element(0x17, b"261121030000Z"),
        &element(0x17, b"261221030000Z"),
        &element(0x30, &vec![0x5a; entries]),
    ]
    .concat();
    let outer = [
        element(0x30, &signed),
        element(0x30, &[0x06, 0x01, 0x2a]),
        element(0x03, &[0; 65]),
    ]
    .concat();
    element(0x30, &outer)
}

pub fn crl(number: u64, authority: &str) -> CrlRecord {
    CrlRecord {
        number,
        authority: authority.to_owned(),
        this_update: NOW.to_owned(),
        next_update: "2026-12-21T03:00:00Z".to_owned(),
        crl_der: crl_der(9_000),
    }
}

/// A new inventory with the CA certificates 1 to 4, none in a phase yet, and a live certificate 10 of `a.example.org`
/// and 11 of `b.example.org`.
pub fn with_authorities() -> (TempDir, PathBuf, SqliteInventory) {
    let (dir, path, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    for number in 1..=4 {
        change.add_certificate(&ca(number)).unwrap();
    }
    for (number, name) in [(10, "a.example.org"), (11, "b.example.org")] {
        change.add_certificate(&certificate(number, name)).unwrap();
    }
    change.commit().unwrap();
    (dir, path, inventory)
}

/// An inventory as the first relayca made it, by its own step alone: a CA, the hosts `a` and `b`.example.org, and
/// `count` certificates of `a`, of which every other one is revoked; of those, every other one with two events.
pub fn layout_1(path: &Path, count: u64) {
    let step = include_str!("../../src/steps/001_first.sql");
    let hex = |der: Vec<u8>| {
        der.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let insert = |record: CertificateRecord, state: &str| {
        let CertificateRecord {
            serial,
            host,
            role,
            spki_sha256,
            not_before,
            not_after,
            issued_at,
            ..
        } = &record;
        format!(
            "INSERT INTO certificates VALUES ('{serial}', '{host}', '{role}', x'{}', '{spki_sha256}', '{not_before}', '{not_after}', '{issued_at}', '{state}');\n",
            hex(record.certificate_der.clone())
        )
    };
    let mut sql = format!(
        "BEGIN; {step}
         PRAGMA application_id = 1919705953; PRAGMA user_version = 1;
         INSERT INTO hosts VALUES ('a.example.org', 'mailhost', '{NOW}'), ('b.example.org', 'relay', '{NOW}');
         INSERT INTO published VALUES ('first', '{NOW}');\n"
    );
    sql += &insert(ca(0), "live");
    sql += &format!(
        "INSERT INTO events (at, what, serial) VALUES ('{NOW}', 'init', '{}');\n",
        serial(0)
    );
    for number in 1..=count {
        let state = if number % 2 == 0 { "revoked" } else { "live" };
        sql += &insert(certificate(number, "a.example.org"), state);
        if number % 4 == 0 {
            for day in ["2026-12-01", "2026-12-02"] {
                sql += &format!(
                    "INSERT INTO events (at, what, serial) VALUES ('{day}T00:00:00Z', 'revoke', '{0}'), ('2026-12-24T00:00:00Z', 'show', '{0}');\n",
                    serial(number)
                );
            }
        }
    }
    sql += "COMMIT;\n";
    let mut child = Command::new("sqlite3")
        .arg("-bail")
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sqlite3");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(sql.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
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

/// Runs the ignored test `name` of the test's file as a user who owns nothing here.
pub fn as_somebody_else(dir: &Path, name: &str) {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if root {
        // Root may write anywhere; and the build directory may be closed to others.
        let copy = dir.join("test-binary");
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(copy)
            .args(["--exact", name, "--ignored"]);
        command
    } else {
        again(name)
    };
    let output = command
        .env("RELAYCA_TEST_DB", dir.join("inventory.db"))
        .current_dir("/")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Kills sqlite3 in the middle of a change that has already reached the file, so that its journal is needed.
pub fn cut_off(path: &Path) {
    cut_off_in(
        path,
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             INSERT INTO hosts SELECT 'h' || i, 'relay', '{NOW}' FROM n;"
        ),
    );
}

/// The same in the middle of what `sql` does.
pub fn cut_off_in(path: &Path, sql: &str) {
    let mut child = Command::new("sqlite3")
        .arg("-bail")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3");
    let mut input = child.stdin.take().unwrap();
    writeln!(
        input,
        "PRAGMA cache_size = 5; BEGIN IMMEDIATE; {sql}\nSELECT 'written';"
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
        is_cut_off(path) && path.with_extension("db-journal").metadata().unwrap().len() > 512,
        "there is something to roll back"
    );
}

/// Whether a journal is there that the next one to open would roll back: one with a blank head is none.
pub fn is_cut_off(path: &Path) -> bool {
    std::fs::read(path.with_extension("db-journal"))
        .is_ok_and(|journal| journal.first().is_some_and(|byte| *byte != 0))
}
