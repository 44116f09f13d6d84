//! Death and failing disks in the middle of a backup or of laying one out: all of it is there, or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod copies;

use std::process::Stdio;

use authority::RELAYCA;
use authority::faults::with_fault;
use copies::{assert_identical, assert_no_leavings, files, full};

#[test]
fn killed_at_any_moment_there_is_a_whole_backup_or_none() {
    let admin = full();
    let before = files(&admin.root());
    let mut killed = 0;
    for calls in ["write", "fsync", "linkat", "link", "unlink", "unlinkat"] {
        for nth in 1.. {
            let outcome = with_fault(&admin, calls, "signal=KILL", nth, &["backup", "b"]);
            before.assert_same(&files(&admin.root()));
            if admin.file("b").exists() {
                admin.done(&["restore", "b", "-i", "key.txt", "--dir", "r"]);
                assert_identical(&admin.root(), &admin.file("r"));
                std::fs::remove_dir_all(admin.file("r")).unwrap();
                std::fs::remove_file(admin.file("b")).unwrap();
            }
            if outcome.is_some() {
                break;
            }
            killed += 1;
        }
        admin.done(&["backup", "b"]);
        assert_no_leavings(&admin);
        std::fs::remove_file(admin.file("b")).unwrap();
    }
    assert!(killed >= 5, "{killed}");
}

#[test]
fn killed_at_any_moment_all_is_restored_or_nothing() {
    let admin = full();
    admin.done(&["backup", "b"]);
    let arguments = ["restore", "b", "-i", "key.txt", "--dir", "r"];
    let mut killed = 0;
    for calls in ["fsync", "syncfs", "rename", "mkdir", "write"] {
        for nth in 1.. {
            let outcome = with_fault(&admin, calls, "signal=KILL", nth, &arguments);
            if !admin.file("r").exists() {
                assert!(outcome.is_none(), "{outcome:?}");
                admin.done(&arguments);
            }
            assert_identical(&admin.root(), &admin.file("r"));
            assert_no_leavings(&admin);
            std::fs::remove_dir_all(admin.file("r")).unwrap();
            if outcome.is_some() {
                break;
            }
            killed += 1;
        }
    }
    assert!(killed >= 20, "{killed}");
}

#[test]
fn a_failing_disk_leaves_no_backup_and_nothing_restored() {
    let admin = full();
    admin.done(&["backup", "good"]);
    let before = files(&admin.root());
    for (arguments, made) in [
        (vec!["backup", "b"], "b"),
        (vec!["restore", "good", "-i", "key.txt", "--dir", "r"], "r"),
    ] {
        let mut failures = 0;
        for (calls, error) in [
            ("write", "ENOSPC"),
            ("fsync", "EIO"),
            ("mkdir", "EACCES"),
            ("rename", "EIO"),
            ("syncfs", "EIO"),
        ] {
            for nth in 1.. {
                let outcome =
                    with_fault(&admin, calls, &format!("error={error}"), nth, &arguments).unwrap();
                before.assert_same(&files(&admin.root()));
                let there = admin.file(made).exists();
                let _ = std::fs::remove_dir_all(admin.file("r"));
                let _ = std::fs::remove_file(admin.file("b"));
                assert_no_leavings(&admin);
                if outcome.code == Some(0) {
                    assert!(there);
                    break;
                }
                failures += 1;
                assert_eq!(outcome.code, Some(1), "{calls} {nth}: {outcome:?}");
                let whole = [
                    "is written and whole",
                    "is made and whole",
                    "standard output",
                ];
                assert_eq!(
                    there,
                    whole.iter().any(|told| outcome.stderr.contains(told)),
                    "{calls} {nth}: {outcome:?}"
                );
                assert!(
                    outcome.stderr.contains("relayca: hint: "),
                    "{calls} {nth}: {outcome:?}"
                );
            }
        }
        assert!(failures >= 3, "{made}: {failures}");
    }
}

#[test]
fn an_interrupt_takes_the_unfinished_file_away() {
    let admin = full();
    let mut command = admin.program("strace");
    command
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync",
            "-e",
            "inject=fsync:signal=TERM:when=1",
        ])
        .args([RELAYCA, "backup", "b"]);
    let status = command
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() || !admin.file("b").exists());
    assert_no_leavings(&admin);
}
