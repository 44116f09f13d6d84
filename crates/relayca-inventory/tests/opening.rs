//! Which files are opened, which are refused, and with what words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sample;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use relayca_inventory::{
    Filter, Inventory as _, InventoryError, Records as _, State, create, open, open_read_only,
};
use sample::{ask, certificate, inventory, serial};
use tempfile::TempDir;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_file_and_its_journal_are_for_the_owner_alone() {
    let (_dir, path, mut inventory) = inventory();
    assert_eq!(mode(&path), 0o600);
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    assert_eq!(mode(&path.with_extension("db-journal")), 0o600);
    change.commit().unwrap();
    assert!(!sample::is_cut_off(&path));
    let journal = path.with_extension("db-journal");
    let head = fs::read(&journal).unwrap();
    assert!(head.starts_with(&[0; 28]), "it stays, and counts as none");
}

#[test]
fn a_journal_that_somebody_took_away_is_made_again_before_anything_is_written() {
    let (_dir, path, mut inventory) = inventory();
    let journal = path.with_extension("db-journal");
    fs::remove_file(&journal).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut change = inventory.change().unwrap();
    assert_eq!(mode(&journal), 0o640, "and it is there for the same people");
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    change.commit().unwrap();
    assert!(journal.exists() && !sample::is_cut_off(&path));
}

#[test]
fn the_journal_lies_beside_the_inventory_itself_and_belongs_to_its_owner() {
    let (dir, path, inventory) = inventory();
    drop(inventory);
    let journal = path.with_extension("db-journal");
    fs::remove_file(&journal).unwrap();
    let link = dir.path().join("elsewhere");
    fs::create_dir(&link).unwrap();
    let link = link.join("inventory.db");
    symlink(&path, &link).unwrap();
    let is_root = fs::metadata(&path).unwrap().uid() == 0;
    if is_root {
        lchown(&path, Some(65534), Some(65534)).unwrap();
    }
    let mut inventory = open(&link).unwrap();
    // Nothing is written, and it is there all the same.
    drop(inventory.change().unwrap());
    let found = fs::metadata(&journal).unwrap();
    assert!(!link.with_extension("db-journal").exists());
    if is_root {
        assert_eq!((found.uid(), found.gid()), (65534, 65534));
    }
}

#[test]
fn a_large_change_leaves_no_large_journal() {
    let (_dir, path, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    for number in 0..6_000 {
        change
            .add_certificate(&certificate(number, "a.example.org"))
            .unwrap();
    }
    change.commit().unwrap();
    let mut change = inventory.change().unwrap();
    let journal = path.with_extension("db-journal");
    for number in 0..6_000 {
        change.set_state(&serial(number), State::Retired).unwrap();
    }
    change.commit().unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 2 << 20);
    assert!(fs::metadata(&journal).unwrap().len() <= 1 << 20);
    assert!(!sample::is_cut_off(&path));
}

#[test]
fn who_is_let_in_to_the_inventory_is_let_in_to_its_journal() {
    let (dir, path, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    change.commit().unwrap();
    drop(inventory);
    let journal = path.with_extension("db-journal");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    // Nobody else can tell that it is over.
    sample::as_somebody_else(dir.path(), "miss_the_journal");
    drop(open_read_only(&path).unwrap());
    assert_eq!(mode(&journal), 0o600, "who only reads changes nothing");
    drop(open(&path).unwrap());
    assert_eq!(mode(&journal), 0o644);
    sample::as_somebody_else(dir.path(), "read_what_is_there");
    for (inventory, expected) in [(0o600, 0o600), (0o666, 0o644), (0o400, 0o600)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(inventory)).unwrap();
        drop(open(&path).unwrap());
        assert_eq!(mode(&journal), expected, "read, never written");
    }
}

#[test]
#[ignore = "run by who_is_let_in_to_the_inventory_is_let_in_to_its_journal"]
fn miss_the_journal() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let error = open_read_only(Path::new(&path)).unwrap_err();
    assert!(
        matches!(error, InventoryError::JournalHidden { .. }),
        "{error:?}"
    );
}

#[test]
#[ignore = "run by who_is_let_in_to_the_inventory_is_let_in_to_its_journal"]
fn read_what_is_there() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let inventory = open_read_only(Path::new(&path)).unwrap();
    assert!(!inventory.hosts().unwrap().is_empty());
}

#[test]
fn file_and_sqlite3_know_it_by_its_marks() {
    let (_dir, path, _) = inventory();
    assert_eq!(ask(&path, "PRAGMA application_id"), "1919705953");
    assert_eq!(ask(&path, "PRAGMA user_version"), "2");
    assert_eq!(ask(&path, "PRAGMA journal_mode"), "delete");
    assert_eq!(ask(&path, "PRAGMA integrity_check"), "ok");
}

#[test]
fn create_never_touches_what_is_there() {
    let (dir, path, _) = inventory();
    let before = fs::read(&path).unwrap();
    assert!(matches!(create(&path), Err(InventoryError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    let link = dir.path().join("link.db");
    symlink(dir.path().join("nowhere.db"), &link).unwrap();
    assert!(
        matches!(create(&link), Err(InventoryError::Exists { .. })),
        "a dangling link is something too"
    );
    assert!(!dir.path().join("nowhere.db").exists());
    let homeless = create(&dir.path().join("no/such/inventory.db"));
    assert!(matches!(homeless, Err(InventoryError::Missing { .. })));
}

#[test]
fn opening_makes_no_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("inventory.db");
    for error in [open(&path).unwrap_err(), open_read_only(&path).unwrap_err()] {
        assert!(matches!(error, InventoryError::Missing { .. }));
        assert!(error.to_string().contains("inventory.db"), "{error}");
        assert!(error.hint().is_some());
    }
    assert!(!path.exists());
}

#[test]
fn a_name_that_sqlite_would_read_otherwise_is_a_name_like_any_other() {
    let dir = TempDir::new().unwrap();
    // `?mode=memory` would make SQLite forget all of it, if this were taken for a URI.
    let path = dir.path().join("file:x?mode=memory");
    drop(create(&path).unwrap());
    assert!(path.is_file());
    open(&path).unwrap();
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let text = dir.path().join("text");
    fs::write(
        &text,
        "no database at all, but long enough to look like one\n".repeat(100),
    )
    .unwrap();
    let foreign = dir.path().join("foreign.db");
    ask(&foreign, "CREATE TABLE bookmarks (url TEXT)");
    let marked = dir.path().join("marked.db");
    ask(
        &marked,
        "PRAGMA application_id = 7; PRAGMA user_version = 1; CREATE TABLE t (x)",
    );
    for path in [
        text.as_path(),
        foreign.as_path(),
        marked.as_path(),
        dir.path(),
    ] {
        let before = path.is_file().then(|| fs::read(path).unwrap());
        for error in [open(path).unwrap_err(), open_read_only(path).unwrap_err()] {
            assert!(
                matches!(error, InventoryError::NotAnInventory { .. }),
                "{}: {error:?}",
                path.display()
            );
            assert!(error.hint().is_some());
        }
        assert_eq!(path.is_file().then(|| fs::read(path).unwrap()), before);
    }
}

#[test]
fn an_empty_file_is_a_creation_that_was_cut_off() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("inventory.db");
    fs::write(&path, "").unwrap();
    for error in [open(&path).unwrap_err(), open_read_only(&path).unwrap_err()] {
        assert!(
            matches!(error, InventoryError::Unfinished { .. }),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("remove"));
    }
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let (_dir, path, inventory) = inventory();
    drop(inventory);
    ask(&path, "PRAGMA user_version = 99");
    let before = fs::read(&path).unwrap();
    for error in [open(&path).unwrap_err(), open_read_only(&path).unwrap_err()] {
        assert!(
            matches!(
                error,
                InventoryError::Newer {
                    found: 99,
                    known: 2,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains("99"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn damage_is_named() {
    let (_dir, path, inventory) = inventory();
    drop(inventory);
    let good = fs::read(&path).unwrap();
    // The page that holds the schema, past the file header.
    let mut bad = good.clone();
    bad[100..200].fill(0xee);
    fs::write(&path, &bad).unwrap();
    for error in [open(&path).unwrap_err(), open_read_only(&path).unwrap_err()] {
        assert!(matches!(error, InventoryError::Corrupt { .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("backup"));
    }
    // Cut short.
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    let opened = open(&path).and_then(|inventory| inventory.damage());
    assert!(matches!(&opened, Err(InventoryError::Corrupt { .. })) || !opened.unwrap().is_empty());
}

#[test]
fn an_inventory_whose_guards_are_gone_is_not_trusted() {
    let (_dir, path, inventory) = inventory();
    drop(inventory);
    // Each of them, as the file itself lists them.
    let whole = fs::read(&path).unwrap();
    let guards = ask(
        &path,
        "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    );
    assert!(guards.lines().count() > 30);
    for guard in guards.lines() {
        ask(&path, &format!("DROP TRIGGER {guard}"));
        for error in [open(&path).unwrap_err(), open_read_only(&path).unwrap_err()] {
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("trigger `{guard}` is missing")),
                "{error}"
            );
        }
        fs::write(&path, &whole).unwrap();
    }
    open(&path).unwrap();
}

#[test]
fn a_second_writer_waits_and_then_says_busy_while_readers_go_on() {
    let (_dir, path, mut first) = inventory();
    let mut second = open(&path).unwrap();
    second.set_busy_wait(Duration::from_millis(20)).unwrap();
    let mut change = first.change().unwrap();
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    let error = second.change().err().unwrap();
    assert!(matches!(error, InventoryError::Busy { .. }), "{error:?}");
    assert!(error.hint().is_some());
    assert_eq!(
        second.certificates(&Filter::default()).unwrap(),
        [],
        "the change is not seen before its commit"
    );
    change.commit().unwrap();
    assert_eq!(second.certificates(&Filter::default()).unwrap().len(), 1);
    second.change().unwrap().commit().unwrap();
}

#[test]
fn a_read_only_inventory_can_be_read_and_not_changed() {
    let (_dir, path, mut inventory) = inventory();
    let mut reader = open_read_only(&path).unwrap();
    assert!(matches!(
        reader.change().err().unwrap(),
        InventoryError::ReadOnly { .. }
    ));
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    change.commit().unwrap();
    assert!(
        reader.certificate(&serial(1)).unwrap().is_some(),
        "a reader sees what others commit"
    );
}

#[test]
fn a_full_disk_is_named_and_the_change_is_undone_whole() {
    let (_dir, path, inventory) = inventory();
    drop(inventory);
    // A file-size limit of some 200 KiB stands for the full disk; the signal that comes with it is ignored.
    let exe = std::env::current_exe().unwrap();
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$0\" --exact fill_the_disk --ignored";
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(exe)
        .env("RELAYCA_TEST_DB", &path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let inventory = open(&path).unwrap();
    assert_eq!(inventory.certificates(&Filter::default()).unwrap(), []);
    assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
}

#[test]
#[ignore = "run by a_full_disk_is_named_and_the_change_is_undone_whole"]
fn fill_the_disk() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let mut inventory = open(Path::new(&path)).unwrap();
    let mut change = inventory.change().unwrap();
    let mut write = || -> Result<(), InventoryError> {
        for number in 0..2_000 {
            change.add_certificate(&certificate(number, "a.example.org"))?;
        }
        Ok(())
    };
    let error = write().and_then(|()| change.commit()).unwrap_err();
    assert!(
        matches!(
            error,
            InventoryError::DiskFull { .. } | InventoryError::Io { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn an_inventory_in_a_read_only_directory_can_be_read() {
    let (dir, path, inventory) = inventory();
    drop(inventory);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(&path).unwrap());
    sample::as_somebody_else(dir.path(), "read_what_may_not_be_written");
}

#[test]
#[ignore = "run by an_inventory_in_a_read_only_directory_can_be_read"]
fn read_what_may_not_be_written() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let reader = open_read_only(Path::new(&path)).unwrap();
    assert_eq!(reader.hosts().unwrap().len(), 3);
    let mut writer = open(Path::new(&path)).unwrap();
    assert!(matches!(
        writer.change().err().unwrap(),
        InventoryError::ReadOnly { .. }
    ));
    let beside = Path::new(&path).with_file_name("another.db");
    assert!(matches!(
        create(&beside).unwrap_err(),
        InventoryError::Io { .. }
    ));
}

#[test]
fn a_change_that_was_cut_off_stops_a_stranger_and_not_the_owner() {
    let (dir, path, inventory) = inventory();
    drop(inventory);
    sample::cut_off(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(
        path.with_extension("db-journal"),
        fs::Permissions::from_mode(0o444),
    )
    .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    sample::as_somebody_else(dir.path(), "meet_a_change_that_was_cut_off");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let reader = open_read_only(&path).unwrap();
    assert_eq!(reader.hosts().unwrap().len(), 3);
    assert!(!sample::is_cut_off(&path));
}

#[test]
#[ignore = "run by a_change_that_was_cut_off_stops_a_stranger_and_not_the_owner"]
fn meet_a_change_that_was_cut_off() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let error = open_read_only(Path::new(&path)).unwrap_err();
    assert!(matches!(error, InventoryError::CutOff { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("owner"));
}
