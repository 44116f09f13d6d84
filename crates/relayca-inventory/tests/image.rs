//! The whole inventory as bytes: complete, of one moment, and taken without letting go of any lock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sample;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relayca_inventory::{
    Filter, Inventory, InventoryError, Phase, Records, SqliteInventory, open, open_read_only,
};
use sample::{NOW, again, ask, certificate, crl, event, serial, with_authorities};
use tempfile::TempDir;

/// An inventory with something in every table.
fn full() -> (TempDir, PathBuf, SqliteInventory) {
    let (dir, path, mut inventory) = with_authorities();
    let mut change = inventory.change().unwrap();
    change.set_phase(&serial(1), Phase::Active).unwrap();
    change.set_phase(&serial(2), Phase::Prepared).unwrap();
    change.revoke(&serial(10), NOW, "keyCompromise").unwrap();
    change.retire_after(&serial(11), Some(NOW)).unwrap();
    change.add_crl(&crl(1, &serial(1))).unwrap();
    change.record(&event("revoke", Some(serial(10)))).unwrap();
    change.publish("7c1f", NOW).unwrap();
    for number in 100..600 {
        change
            .add_certificate(&certificate(number, "c.example.org"))
            .unwrap();
    }
    change.commit().unwrap();
    (dir, path, inventory)
}

fn put(image: &[u8], beside: &Path) -> PathBuf {
    let path = beside.with_file_name("image.db");
    fs::write(&path, image).unwrap();
    path
}

#[test]
fn an_image_is_the_inventory_to_the_last_row() {
    let (_dir, path, inventory) = full();
    let copy = put(&inventory.image().unwrap(), &path);
    assert_eq!(ask(&copy, ".dump"), ask(&path, ".dump"));
    for pragma in ["integrity_check", "application_id", "user_version"] {
        let sql = format!("PRAGMA {pragma}");
        assert_eq!(ask(&copy, &sql), ask(&path, &sql));
    }
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&path).unwrap());
    let restored = open(&copy).unwrap();
    assert_eq!(restored.damage().unwrap(), Vec::<String>::new());
    assert_eq!(
        restored.certificates(&Filter::default()).unwrap(),
        inventory.certificates(&Filter::default()).unwrap()
    );
    // A reader, and a reader of an old layout, can give one too.
    assert_eq!(
        open_read_only(&path).unwrap().image().unwrap(),
        fs::read(&path).unwrap()
    );
}

#[test]
fn in_a_change_the_image_has_what_the_change_did_so_far() {
    let (_dir, path, mut inventory) = full();
    let committed = ask(&path, ".dump");
    let mut change = inventory.change().unwrap();
    assert_eq!(
        ask(&put(&change.image().unwrap(), &path), ".dump"),
        committed
    );
    for number in 1_000..3_000 {
        change
            .add_certificate(&certificate(number, "b.example.org"))
            .unwrap();
    }
    change.record(&event("backup", None)).unwrap();
    let copy = put(&change.image().unwrap(), &path);
    assert_eq!(ask(&copy, "PRAGMA integrity_check"), "ok");
    let count = "SELECT count(*) FROM certificates";
    assert_eq!(ask(&copy, count), "2506");
    assert_eq!(ask(&path, count), "506");
    change.commit().unwrap();
    assert_eq!(ask(&copy, ".dump"), ask(&path, ".dump"));
}

#[test]
fn while_another_changes_it_the_image_is_of_before() {
    let (_dir, path, mut inventory) = full();
    let before = inventory.image().unwrap();
    let other = open(&path).unwrap();
    other.set_busy_wait(Duration::from_millis(20)).unwrap();
    let mut change = inventory.change().unwrap();
    change.revoke(&serial(100), NOW, "superseded").unwrap();
    assert_eq!(other.image().unwrap(), before);
    change.commit().unwrap();
    assert_ne!(other.image().unwrap(), before);
}

#[test]
fn taking_an_image_lets_go_of_no_lock_and_keeps_none() {
    let (_dir, path, mut inventory) = full();
    inventory.image().unwrap();
    let held = |path: &Path| {
        let output = again("take_the_lock")
            .env("RELAYCA_TEST_DB", path)
            .output()
            .unwrap();
        !output.status.success()
    };
    assert!(!held(&path));
    let change = inventory.change().unwrap();
    change.image().unwrap();
    assert!(held(&path), "another process must still wait");
    drop(change);
    assert!(!held(&path));
}

#[test]
#[ignore = "run by taking_an_image_lets_go_of_no_lock_and_keeps_none"]
fn take_the_lock() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let mut inventory = open(Path::new(&path)).unwrap();
    inventory.set_busy_wait(Duration::from_millis(20)).unwrap();
    inventory.change().unwrap().commit().unwrap();
}

#[test]
fn there_is_no_image_of_a_damaged_inventory() {
    let (_dir, path, inventory) = full();
    drop(inventory);
    let page = 4096;
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() / page;
    // The last page cannot be read, another is gone: neither may come out as zeros.
    for (bytes, what) in [
        (whole[..whole.len() - page].to_vec(), "cut short"),
        (
            {
                let mut bytes = whole.clone();
                bytes[(pages - 1) * page..].fill(0);
                bytes
            },
            "zeros",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = open(&path)
            .and_then(|inventory| inventory.image())
            .unwrap_err();
        assert!(
            matches!(error, InventoryError::Corrupt { .. }),
            "{what}: {error:?}"
        );
    }
}
