//! Death and failing disks in the middle of a change: whatever the moment, the next command works, and
//! what is committed is whole. strace picks the moments, one system call after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod authority;

use std::process::Stdio;

use authority::faults::{Spoiled, with_fault};
use authority::{Admin, Outcome, RELAYCA, Tree, judge};

/// What is asked of an authority after a stop while `new` was issued.
trait Survives {
    fn survives(&self, moment: &str) -> bool;
}

impl Survives for Spoiled {
    /// After a stop: a command works at once, `new` is there with its bundle or not at all, and issuing goes
    /// on. Says whether it was there.
    fn survives(&self, moment: &str) -> bool {
        let admin = &self.admin;
        let before = admin.serials();
        let there = before.contains_key("new.example.org");
        let bundle = admin.part("bundles/new.example.org.tar.age");
        assert_eq!(
            there,
            bundle.exists(),
            "{moment}: certificate and bundle come together"
        );
        let map = admin.done(&["map"]);
        assert_eq!(map.contains("new.example.org"), there, "{moment}");
        let again = admin.run(&["issue", "new"]);
        assert_eq!(again.code, Some(i32::from(there)), "{moment}: {again:?}");
        for (host, serials) in &before {
            assert_eq!(
                &admin.serials()[host],
                serials,
                "{moment}: no serial is lost"
            );
        }
        // The bundle opens and is the certificate's (the admin's way, as stock age asks on a terminal).
        let out = admin.file("opened");
        admin.done(&["open", bundle.to_str().unwrap(), "-C", "opened"]);
        let serial = judge(
            "openssl",
            &[
                "x509",
                "-noout",
                "-serial",
                "-in",
                out.join("new.example.org.crt.pem").to_str().unwrap(),
            ],
        );
        assert_eq!(
            serial.trim().to_lowercase(),
            format!("serial={}", admin.serials()["new.example.org"][0]),
            "{moment}"
        );
        std::fs::remove_dir_all(out).unwrap();
        let public = judge(
            "tar",
            &[
                "-xOf",
                admin
                    .part("bundles/relayhost.example.org.public.tar")
                    .to_str()
                    .unwrap(),
                "relay_clientcerts",
            ],
        );
        assert!(
            public.contains("new.example.org"),
            "{moment}: the relay's pieces have it"
        );
        assert!(admin.staged().is_empty(), "{moment}: nothing is left over");
        assert_eq!(
            judge(
                "sqlite3",
                &[
                    admin.part("inventory.db").to_str().unwrap(),
                    "pragma integrity_check"
                ]
            )
            .trim(),
            "ok"
        );
        there
    }
}

/// Kills `issue` at every one of these calls; gives how often the old and the new state were found.
fn killed_at_every(calls: &[&str]) -> (usize, usize) {
    let spoiled = Spoiled::of(Admin::with_mailhost());
    let (mut old, mut new) = (0, 0);
    for call in calls {
        for nth in 1.. {
            spoiled.restore();
            if let Some(outcome) =
                with_fault(&spoiled.admin, call, "signal=KILL", nth, &["issue", "new"])
            {
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
                break;
            }
            if spoiled.survives(&format!("killed at {call} {nth}")) {
                new += 1
            } else {
                old += 1
            }
        }
    }
    println!(
        "issue, {calls:?}: {} kills, {old} old, {new} new",
        old + new
    );
    (old, new)
}

#[test]
fn issue_killed_at_any_flush_leaves_the_old_state_or_the_new_one() {
    let (old, new) = killed_at_every(&["fsync", "fdatasync"]);
    assert!(old >= 5 && new >= 1, "{old} old, {new} new");
}

#[test]
fn issue_killed_at_any_write_to_the_inventory_leaves_the_old_state_or_the_new_one() {
    let (old, _) = killed_at_every(&["pwrite64"]);
    assert!(old >= 10, "{old}");
}

#[test]
fn issue_killed_at_any_change_of_names_leaves_the_old_state_or_the_new_one() {
    let (old, new) = killed_at_every(&["rename", "unlink", "unlinkat", "mkdir", "ftruncate"]);
    assert!(old >= 1 && new >= 3, "{old} old, {new} new");
}

#[test]
fn issue_killed_at_any_write_leaves_the_old_state_or_the_new_one() {
    let (old, _) = killed_at_every(&["write"]);
    assert!(old >= 3, "{old}");
}

#[test]
fn init_killed_at_any_moment_can_be_run_again() {
    let admin = Admin::new();
    let recipient = admin.recipient().to_owned();
    let arguments = [
        "init",
        "example.org",
        "--recipient",
        &recipient,
        "-i",
        "key.txt",
    ];
    for calls in ["fsync", "fdatasync", "write", "mkdir", "rename", "pwrite64"] {
        let mut moments = 0;
        // SQLite's writes of a new inventory are many and alike: every third.
        let step = if calls == "pwrite64" { 3 } else { 1 };
        for nth in (1..).step_by(step) {
            if let Some(outcome) = with_fault(&admin, calls, "signal=KILL", nth, &arguments) {
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
                break;
            }
            moments += 1;
            // Whole or not at all: if it is there it is complete, otherwise it can be made.
            if admin.root().exists() {
                admin.done(&["verify", "ca"]);
            } else {
                admin.done(&arguments);
            }
            assert_eq!(admin.serials().len(), 2, "{calls} {nth}");
            let names: Vec<_> = admin
                .root()
                .parent()
                .unwrap()
                .read_dir()
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(
                names,
                ["example.org"],
                "nothing unfinished is left beside it"
            );
            std::fs::remove_dir_all(admin.root()).unwrap();
        }
        println!("init, {calls}: {moments} kills");
        assert!(moments >= 1, "{calls}: {moments}");
        admin.done(&["issue", "mailhost"]);
        admin.assert_whole();
        std::fs::remove_dir_all(admin.root()).unwrap();
    }
}

#[test]
fn open_killed_at_any_moment_lays_out_all_or_nothing() {
    let admin = Admin::with_mailhost();
    let bundle = admin.part("bundles/mailhost.example.org.tar.age");
    let arguments = ["open", bundle.to_str().unwrap(), "-C", "out"];
    for (call, nth) in ["fsync", "rename", "mkdir", "write"]
        .into_iter()
        .flat_map(|call| (1..=12).map(move |nth| (call, nth)))
    {
        let outcome = with_fault(&admin, call, "signal=KILL", nth, &arguments);
        if admin.file("out").exists() {
            assert_eq!(
                admin.file("out").read_dir().unwrap().count(),
                8,
                "all of it"
            );
        } else {
            assert!(outcome.is_none(), "{outcome:?}");
            admin.done(&arguments);
        }
        assert!(!admin.file(".out.unfinished").exists());
        std::fs::remove_dir_all(admin.file("out")).unwrap();
    }
}

/// Makes the nth of these calls fail, for every n; what fails must have changed nothing, or be finished.
fn failing_at_every(calls: &str, error: &str) -> usize {
    let spoiled = Spoiled::of(Admin::with_mailhost());
    let admin = &spoiled.admin;
    let good = Tree::of(&spoiled.good);
    let mut failures = 0;
    // Some calls are retried or do not matter (a lock file, a message): it ends when none was left to fail.
    let count = count_calls(admin, calls);
    for nth in 1..=count {
        spoiled.restore();
        let moment = format!("{error} at {calls} {nth}");
        let outcome = with_fault(
            admin,
            calls,
            &format!("error={error}"),
            nth,
            &["issue", "new"],
        )
        .unwrap();
        if outcome.code != Some(0) {
            failures += 1;
            assert_eq!(outcome.code, Some(1), "{moment}: {outcome:?}");
            assert!(
                outcome.stderr.contains("relayca: error: ")
                    && outcome.stderr.contains("relayca: hint: "),
                "{moment}: {outcome:?}"
            );
            let committed = outcome.stderr.contains("the inventory has the change");
            if !committed
                && outcome.stdout.is_empty()
                && !outcome.stderr.contains("standard output")
            {
                // Where the journal could not be removed, the next one who looks rolls back.
                admin.serials();
                let kept = |tree: Tree| tree.without("staged").without("inventory.db-journal");
                let same = kept(good.clone()) == kept(admin.tree());
                assert!(same, "{moment}: {outcome:?} {:?}", admin.serials());
            }
        }
        let there = spoiled.survives(&moment);
        assert!(
            there || outcome.code == Some(1),
            "{moment}: reported as done, it is done"
        );
    }
    println!("issue, {error} at {calls}: {failures} failures");
    failures
}

fn count_calls(admin: &Admin, calls: &str) -> usize {
    let log = admin.name("count");
    let mut command = admin.program("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        &log,
        "-e",
        &format!("trace={calls}"),
        RELAYCA,
        "issue",
        "counted",
    ]);
    Outcome::of(&mut command).done();
    std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .filter(|line| line.contains('('))
        .count()
}

#[test]
fn a_disk_that_fills_at_any_write_changes_nothing() {
    assert!(
        ["write", "pwrite64"]
            .map(|call| failing_at_every(call, "ENOSPC"))
            .iter()
            .sum::<usize>()
            >= 10
    );
}

#[test]
fn a_disk_that_fails_at_any_flush_changes_nothing_or_is_finished_later() {
    assert!(
        ["fsync", "fdatasync"]
            .map(|call| failing_at_every(call, "EIO"))
            .iter()
            .sum::<usize>()
            >= 5
    );
}

#[test]
fn a_name_that_cannot_be_changed_changes_nothing_or_is_finished_later() {
    assert!(
        ["rename", "unlink", "unlinkat", "mkdir", "ftruncate"]
            .map(|call| failing_at_every(call, "EIO"))
            .iter()
            .sum::<usize>()
            >= 3
    );
}

#[test]
fn init_on_a_failing_disk_leaves_nothing() {
    let admin = Admin::new();
    let recipient = admin.recipient().to_owned();
    let arguments = [
        "init",
        "example.org",
        "--recipient",
        &recipient,
        "-i",
        "key.txt",
    ];
    let before = Tree::of(&admin.home());
    for (calls, error) in [
        ("write", "ENOSPC"),
        ("pwrite64", "ENOSPC"),
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
        ("mkdir", "EACCES"),
        ("rename", "EACCES"),
    ] {
        let mut failures = 0;
        for nth in 1.. {
            let outcome =
                with_fault(&admin, calls, &format!("error={error}"), nth, &arguments).unwrap();
            if outcome.code == Some(0) {
                break;
            }
            failures += 1;
            assert_eq!(outcome.code, Some(1), "{calls} {nth}: {outcome:?}");
            if admin.root().exists() {
                // It was in place when the last flush, or the printing, failed: it is whole then.
                admin.done(&["verify", "ca"]);
                std::fs::remove_dir_all(admin.file("data")).unwrap();
            } else {
                assert!(
                    outcome.stdout.is_empty() && outcome.stderr.contains("relayca: hint: "),
                    "{calls} {nth}: {outcome:?}"
                );
            }
            before.assert_same(&Tree::of(&admin.home()));
        }
        println!("init, {error} at {calls}: {failures} failures");
        assert!(failures >= 1, "{calls}: {failures}");
        std::fs::remove_dir_all(admin.file("data")).unwrap();
    }
}

#[test]
fn a_process_killed_while_it_issues_many_leaves_none_of_them() {
    let admin = Admin::with_mailhost();
    let hosts: String = (0..20_000).map(|number| format!("h{number}\n")).collect();
    admin.write("hosts", hosts);
    let mut child = admin
        .relayca(&["issue", "--from", "hosts"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let half = || {
        let ids = admin.staged();
        let id = ids.iter().find(|name| !name.contains('='))?;
        let directory = admin.part("staged").join(id).read_dir().ok()?;
        Some(directory.count())
    };
    while half().unwrap_or_default() < 100 {
        assert!(child.try_wait().unwrap().is_none());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Who only reads is not in the way of the next who writes.
    assert_eq!(admin.serials().len(), 3);
    admin.done(&["issue", "h1"]);
    assert_eq!(admin.serials().len(), 4);
    admin.assert_whole();
}

#[test]
fn a_file_size_limit_ends_it_like_any_other_death() {
    let spoiled = Spoiled::of(Admin::with_mailhost());
    // In blocks of 512 bytes: from nothing to more than any file needs.
    for blocks in [0, 1, 4, 16, 32, 64, 96, 128, 160] {
        spoiled.restore();
        let script = format!("ulimit -f {blocks}; exec {RELAYCA} issue new");
        let mut command = spoiled.admin.program("sh");
        command
            .args(["-c", &script])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().unwrap();
        spoiled.survives(&format!("files of at most {blocks} blocks"));
    }
}
