//! An inventory of layout 1, as the first relayca left it, brought up to date: whole, once, and whatever interrupts it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sample;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use relayca_inventory::{
    AuthorityRecord, Filter, Inventory as _, InventoryError, Phase, Records, Revocation, State,
    open, open_read_only,
};
use sample::{NOW, again, ask, certificate, crl, layout_1, serial};
use tempfile::TempDir;

const STEP: &str = include_str!("../src/steps/002_life.sql");

fn old(count: u64) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("inventory.db");
    layout_1(&path, count);
    assert_eq!(ask(&path, "PRAGMA user_version"), "1");
    (dir, path)
}

/// What must be known of an old inventory of `count` certificates.
fn knows_all(records: &dyn Records, count: u64) {
    assert_eq!(
        records.authorities().unwrap(),
        [AuthorityRecord {
            serial: serial(0),
            phase: Phase::Active
        }]
    );
    let mut expected: Vec<_> = (1..=count)
        .filter(|number| number % 2 == 0)
        .map(|number| Revocation {
            serial: serial(number),
            // The newest event that says so, else when it was issued.
            at: if number % 4 == 0 {
                "2026-12-02T00:00:00Z"
            } else {
                NOW
            }
            .to_owned(),
            reason: "unspecified".to_owned(),
        })
        .collect();
    expected.sort_by(|a, b| (&a.at, &a.serial).cmp(&(&b.at, &b.serial)));
    assert_eq!(records.revocations().unwrap(), expected);
    assert_eq!(records.retirements().unwrap(), []);
    assert_eq!(records.newest_crl(&serial(0)).unwrap(), None);
    assert_eq!(records.next_crl_number().unwrap(), 1);
    let certificates = records.certificates(&Filter::default()).unwrap();
    assert_eq!(certificates.len() as u64, count + 1);
    assert_eq!(records.hosts().unwrap().len(), 2);
    assert!(records.published("first").unwrap());
}

/// The rows of layout 1, as the sqlite3 command sees them.
fn rows(path: &Path) -> String {
    let tables = [
        "hosts",
        "certificates",
        "events",
        "published",
        "sqlite_sequence",
    ];
    let sql = tables.map(|table| format!("SELECT '{table}', * FROM {table};"));
    let output = Command::new("sqlite3")
        .arg("-quote")
        .arg(path)
        .arg(sql.concat())
        .output()
        .unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_old_inventory_is_brought_up_to_date_and_loses_nothing() {
    let (_dir, path) = old(8);
    let before = rows(&path);
    knows_all(&open(&path).unwrap(), 8);
    assert_eq!(rows(&path), before);
    assert_eq!(ask(&path, "PRAGMA user_version"), "2");
    assert_eq!(ask(&path, "PRAGMA application_id"), "1919705953");
    assert_eq!(ask(&path, "PRAGMA integrity_check"), "ok");
    assert_eq!(ask(&path, "PRAGMA foreign_key_check"), "");

    // And its life goes on from there.
    let mut inventory = open(&path).unwrap();
    let mut change = inventory.change().unwrap();
    assert!(matches!(
        change.revoke(&serial(2), NOW, "superseded"),
        Err(InventoryError::AlreadyRevoked { .. })
    ));
    change.revoke(&serial(1), NOW, "superseded").unwrap();
    change.retire_after(&serial(3), Some(NOW)).unwrap();
    change.add_crl(&crl(1, &serial(0))).unwrap();
    change.set_phase(&serial(0), Phase::Outgoing).unwrap();
    change.commit().unwrap();
    assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
}

#[test]
fn what_was_brought_up_to_date_has_the_same_layout_as_what_was_made_new() {
    let (_dir, migrated) = old(2);
    open(&migrated).unwrap();
    let (_dir, made, _) = sample::inventory();
    let schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name";
    assert_eq!(ask(&migrated, schema), ask(&made, schema));
}

#[test]
fn an_old_inventory_without_certificates_or_with_two_cas_is_brought_up_to_date_too() {
    let (_dir, path) = old(0);
    let ca = "host, role, certificate_der, spki_sha256, not_before, not_after";
    ask(
        &path,
        &format!(
            "INSERT INTO certificates SELECT 'aa', {ca}, '2027-01-01T00:00:00Z', state FROM certificates"
        ),
    );
    let phases = open(&path).unwrap().authorities().unwrap();
    assert_eq!(phases.len(), 2);
    assert_eq!(
        (phases[0].serial.as_str(), phases[0].phase),
        ("aa", Phase::Active)
    );
    assert_eq!(phases[1].phase, Phase::Retired);
}

#[test]
fn a_reader_answers_from_an_old_inventory_without_touching_it() {
    let (_dir, path) = old(8);
    let bytes = fs::read(&path).unwrap();
    let mut reader = open_read_only(&path).unwrap();
    knows_all(&reader, 8);
    assert_eq!(reader.damage().unwrap(), Vec::<String>::new());
    assert!(matches!(
        reader.change().err().unwrap(),
        InventoryError::ReadOnly { .. }
    ));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(ask(&path, "PRAGMA user_version"), "1");
    // The copy is in the way of nobody.
    open(&path).unwrap().change().unwrap().commit().unwrap();
    knows_all(&reader, 8);
    knows_all(&open_read_only(&path).unwrap(), 8);
}

#[test]
fn an_old_inventory_whose_guards_are_gone_is_not_trusted() {
    let (_dir, path) = old(2);
    ask(&path, "DROP TRIGGER events_stay");
    for error in [open_read_only(&path).unwrap_err(), open(&path).unwrap_err()] {
        assert!(error.to_string().contains("`events_stay`"), "{error}");
    }
}

#[test]
fn who_may_not_write_an_old_inventory_may_read_it_and_is_told_why_no_more() {
    let (dir, path) = old(4);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    sample::as_somebody_else(dir.path(), "meet_an_old_inventory");
    assert_eq!(ask(&path, "PRAGMA user_version"), "1");
}

#[test]
#[ignore = "run by who_may_not_write_an_old_inventory_may_read_it_and_is_told_why_no_more"]
fn meet_an_old_inventory() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    knows_all(&open_read_only(Path::new(&path)).unwrap(), 4);
    let error = open(Path::new(&path)).unwrap_err();
    assert!(
        matches!(
            error,
            InventoryError::Older {
                found: 1,
                known: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("owner"));
}

#[test]
fn eight_processes_that_meet_an_old_inventory_at_once_all_go_on() {
    let (_dir, path) = old(400);
    let children: Vec<_> = (0..8_u64)
        .map(|number| {
            again("open_and_issue")
                .env("RELAYCA_TEST_DB", &path)
                .env("RELAYCA_TEST_NUMBER", (1_000 + number).to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let inventory = open(&path).unwrap();
    assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
    let certificates = inventory.certificates(&Filter::default()).unwrap();
    assert_eq!(certificates.len(), 400 + 1 + 8);
    assert_eq!(inventory.revocations().unwrap().len(), 200 + 8);
    assert_eq!(inventory.authorities().unwrap().len(), 1);
}

#[test]
#[ignore = "run by eight_processes_that_meet_an_old_inventory_at_once_all_go_on"]
fn open_and_issue() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let number: u64 = std::env::var("RELAYCA_TEST_NUMBER")
        .unwrap()
        .parse()
        .unwrap();
    // Half of them read first.
    if number.is_multiple_of(2) {
        let reader = open_read_only(Path::new(&path)).unwrap();
        assert!(reader.revocations().unwrap().len() >= 200);
    }
    let mut inventory = open(Path::new(&path)).unwrap();
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&certificate(number, "a.example.org"))
        .unwrap();
    change.revoke(&serial(number), NOW, "superseded").unwrap();
    change.commit().unwrap();
}

#[test]
fn a_migration_killed_after_it_reached_the_file_is_rolled_back_and_done_again() {
    let (_dir, path) = old(4_000);
    let before = rows(&path);
    sample::cut_off_in(&path, &format!("{STEP}\nPRAGMA user_version = 2;"));
    // A reader rolls back what was cut off and leaves the layout as it is.
    knows_all(&open_read_only(&path).unwrap(), 4_000);
    assert!(!sample::is_cut_off(&path));
    sample::cut_off_in(&path, &format!("{STEP}\nPRAGMA user_version = 2;"));
    let inventory = open(&path).unwrap();
    knows_all(&inventory, 4_000);
    assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
    assert_eq!(rows(&path), before);
}

#[test]
fn relayca_killed_in_the_migration_leaves_the_old_layout_or_the_new() {
    let mut found = Vec::new();
    for _ in 0..8 {
        let (_dir, path) = old(1_000);
        let mut child = again("only_open")
            .env("RELAYCA_TEST_DB", &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Its journal is there while it is at it.
        let journal = path.with_extension("db-journal");
        while !journal.exists() && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        found.push(ask(&path, "PRAGMA user_version"));
        let inventory = open(&path).unwrap();
        knows_all(&inventory, 1_000);
        assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
    }
    assert!(
        found.iter().all(|layout| layout == "1" || layout == "2"),
        "{found:?}"
    );
}

#[test]
#[ignore = "run by relayca_killed_in_the_migration_leaves_the_old_layout_or_the_new"]
fn only_open() {
    if let Some(path) = std::env::var_os("RELAYCA_TEST_DB") {
        open(Path::new(&path)).unwrap();
    }
}

#[test]
fn a_migration_without_room_changes_nothing_and_says_so() {
    let (_dir, path) = old(2_000);
    let before = rows(&path);
    // A limit on the size of a file, in blocks of 512 bytes, stands for the full disk.
    let blocks = fs::metadata(&path).unwrap().len().div_ceil(512) + 8;
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" --exact no_room --ignored");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("RELAYCA_TEST_DB", &path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(ask(&path, "PRAGMA user_version"), "1");
    assert_eq!(rows(&path), before);
    knows_all(&open(&path).unwrap(), 2_000);
}

#[test]
#[ignore = "run by a_migration_without_room_changes_nothing_and_says_so"]
fn no_room() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let error = open(Path::new(&path)).unwrap_err();
    assert!(
        matches!(
            error,
            InventoryError::DiskFull { .. } | InventoryError::Io { .. }
        ),
        "{error:?}"
    );
    // Reading goes on.
    let reader = open_read_only(Path::new(&path)).unwrap();
    let record = reader.certificate(&serial(2)).unwrap().unwrap();
    assert_eq!(record.state, State::Revoked);
}
