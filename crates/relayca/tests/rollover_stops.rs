//! A rollover stopped at any moment, by SIGKILL or a full disk, and several at once: the old state or the new one, and the way goes
//! on from there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use authority::cas::{
    MAILHOST, RELAY, ca_in, count, key_opens, openssl_holds, pem, renew_and_retire_hosts, trust,
    words,
};
use authority::{Admin, Outcome, RELAYCA, Tree, judge};

#[test]
fn of_several_at_once_one_takes_the_step() {
    let admin = Admin::with_mailhost();
    for (step, phases) in [
        ("prepare", ["active", "prepared"]),
        ("activate", ["active", "outgoing"]),
    ] {
        let running: Vec<_> = (0..4)
            .map(|_| {
                let mut command = admin.relayca(&["rollover", step]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let outcomes: Vec<Outcome> = running
            .into_iter()
            .map(|child| child.wait_with_output().unwrap().into())
            .collect();
        let done = outcomes
            .iter()
            .filter(|outcome| outcome.code == Some(0))
            .count();
        assert_eq!(done, 1, "{outcomes:?}");
        assert_eq!(words(&admin), phases);
        admin.done(&["verify", "ca"]);
    }
}

/// Whoever opened the old CA and then had to wait for the inventory must not sign with it when the new one is active.
#[test]
fn a_command_that_waited_while_the_ca_was_replaced_does_not_sign_with_the_old_one() {
    let admin = Admin::with_mailhost();
    admin.done(&["rollover", "prepare"]);
    let (old, new) = (ca_in(&admin, "active"), ca_in(&admin, "prepared"));
    let mut lock = admin.program("sqlite3");
    let mut lock = lock
        .arg(admin.part("inventory.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut say = lock.stdin.take().unwrap();
    let mut said = BufReader::new(lock.stdout.take().unwrap()).lines();
    // Those who wait look in now and then.
    writeln!(say, ".timeout 10000\nBEGIN IMMEDIATE; SELECT 'locked';").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "locked");
    let waiting: Vec<_> = [["issue", "new"], ["renew", "mailhost"]]
        .into_iter()
        .map(|arguments| {
            let log = admin.file(arguments[0]);
            let mut command = admin.program("strace");
            command.args(["-f", "-qq", "-e", "trace=fcntl", "-o"]);
            command.arg(&log).arg(RELAYCA).args(arguments);
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            // It was refused the lock, so it has opened the CA.
            let waits = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("EAGAIN"));
            while !waits() {
                std::thread::yield_now();
            }
            child.unwrap()
        })
        .collect();
    // What `activate` does while it has the lock.
    writeln!(
        say,
        "UPDATE authorities SET phase = 'outgoing' WHERE serial = '{old}';
         UPDATE authorities SET phase = 'active' WHERE serial = '{new}';
         COMMIT;"
    )
    .unwrap();
    drop(say);
    assert!(lock.wait().unwrap().success());
    let before = admin.serials();
    for child in waiting {
        let outcome = Outcome::from(child.wait_with_output().unwrap());
        let told = outcome.refused(1);
        assert!(told.contains("the CA was replaced"), "{told}");
    }
    assert_eq!(admin.serials(), before);
}

/// An authority before a step, restored before each attempt to spoil it.
struct Before {
    admin: Admin,
    good: PathBuf,
    step: &'static str,
    before: Vec<String>,
    after: Vec<String>,
}

impl Before {
    fn new(step: &'static str) -> Self {
        let admin = Admin::with_mailhost();
        match step {
            "activate" => {
                admin.done(&["rollover", "prepare"]);
            }
            "retire" => {
                admin.done(&["rollover", "prepare"]);
                admin.done(&["rollover", "activate"]);
                renew_and_retire_hosts(&admin, &["relayhost", "mailhost"]);
            }
            _ => {}
        }
        let good = admin.file("good");
        copy(&admin.root(), &good);
        let before = words(&admin);
        admin.done(&["rollover", step]);
        let after = words(&admin);
        Self {
            admin,
            good,
            step,
            before,
            after,
        }
    }

    fn restore(&self) {
        std::fs::remove_dir_all(self.admin.root()).unwrap();
        copy(&self.good, &self.admin.root());
    }

    /// Takes the step, and is killed at the `nth` of these calls. `None` when it was.
    fn killed(&self, call: &str, nth: usize) -> Option<Outcome> {
        let mut command = self.admin.program("strace");
        command
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
            ])
            .args(["-e", &format!("inject={call}:signal=KILL:when={nth}")])
            .args([RELAYCA, "rollover", self.step]);
        let output = command.output().unwrap();
        (output.status.signal() != Some(9)).then(|| output.into())
    }

    /// After a stop: the old state or the new one, whole, and the way goes on. Says whether it was the new one.
    fn survives(&self, moment: &str) -> bool {
        let admin = &self.admin;
        let found = words(admin);
        let new = found == self.after;
        assert!(new || found == self.before, "{moment}: {found:?}");
        assert_eq!(admin.done(&["verify", "ca"]), "ca holds\n", "{moment}");
        key_opens(admin, "ca");
        let again = admin.run(&["rollover", self.step]);
        assert_eq!(again.code, Some(i32::from(new)), "{moment}: {again:?}");
        assert_eq!(words(admin), self.after, "{moment}");
        let stand = admin.json(&["rollover"]);
        let all = stand["authorities"].as_array().unwrap();
        let mut directories: Vec<String> = admin
            .part("ca")
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| {
                entry.path().is_dir() && entry.path().read_dir().unwrap().next().is_some()
            })
            .map(|entry| entry.file_name().to_str().unwrap().to_owned())
            .collect();
        directories.sort();
        let mut expected: Vec<&str> = all
            .iter()
            .filter(|one| one["phase"] != "active")
            .map(|one| one["serial"].as_str().unwrap())
            .collect();
        expected.sort_unstable();
        assert_eq!(
            directories, expected,
            "{moment}: each CA's files are in one place"
        );
        for directory in directories {
            key_opens(admin, &format!("ca/{directory}"));
        }
        let trusted = if self.step == "retire" { 1 } else { 2 };
        for host in [RELAY, MAILHOST] {
            assert_eq!(count(&trust(admin, host)), trusted, "{moment}");
        }
        // It goes on: what is issued now is of the active CA.
        admin.done(&["issue", "new"]);
        let leaf = pem(admin, &admin.serials()["new.example.org"][0]);
        assert!(
            openssl_holds(&trust(admin, RELAY), &leaf, "sslclient"),
            "{moment}"
        );
        assert!(
            openssl_holds(&admin.part("ca/ca.crt.pem"), &leaf, "sslclient"),
            "{moment}"
        );
        assert!(admin.staged().is_empty(), "{moment}");
        new
    }

    /// Kills the step at each of these calls; gives how often the old and the new state were found.
    fn killed_at_every(&self, calls: &[(&str, usize)]) -> (usize, usize) {
        let (mut old, mut new) = (0, 0);
        for (call, every) in calls {
            for nth in (1..).step_by(*every) {
                self.restore();
                if let Some(outcome) = self.killed(call, nth) {
                    assert_eq!(outcome.code, Some(0), "{outcome:?}");
                    break;
                }
                if self.survives(&format!("killed at {call} {nth}")) {
                    new += 1;
                } else {
                    old += 1;
                }
            }
        }
        (old, new)
    }
}

fn copy(from: &Path, to: &Path) {
    judge("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}

#[test]
fn activate_killed_at_any_change_of_names_leaves_the_old_state_or_the_new_one() {
    let before = Before::new("activate");
    let (old, new) = before.killed_at_every(&[
        ("rename", 1),
        ("mkdir", 1),
        ("rmdir", 1),
        ("unlink,unlinkat", 1),
        ("ftruncate", 1),
    ]);
    assert!(old >= 1 && new >= 10, "{old} old, {new} new");
}

#[test]
fn activate_killed_at_any_flush_leaves_the_old_state_or_the_new_one() {
    let before = Before::new("activate");
    let (old, new) = before.killed_at_every(&[("fsync,fdatasync", 1)]);
    assert!(old >= 9 && new >= 2, "{old} old, {new} new");
}

#[test]
fn activate_killed_at_any_write_leaves_the_old_state_or_the_new_one() {
    let before = Before::new("activate");
    let (old, _) = before.killed_at_every(&[("write", 3), ("pwrite64", 3)]);
    assert!(old >= 4, "{old} old");
}

#[test]
fn prepare_killed_at_any_flush_or_change_of_names_leaves_the_old_state_or_the_new_one() {
    let before = Before::new("prepare");
    let (old, new) = before.killed_at_every(&[("fsync,fdatasync", 2), ("rename", 1), ("mkdir", 1)]);
    assert!(old >= 3 && new >= 4, "{old} old, {new} new");
}

#[test]
fn retire_killed_at_any_flush_or_change_of_names_leaves_the_old_state_or_the_new_one() {
    let before = Before::new("retire");
    let (old, new) = before.killed_at_every(&[("fsync,fdatasync", 2), ("rename", 1), ("mkdir", 1)]);
    assert!(old >= 3 && new >= 2, "{old} old, {new} new");
}

#[test]
fn a_full_disk_stops_a_step_and_changes_nothing() {
    for step in ["prepare", "activate", "retire"] {
        let before = Before::new(step);
        let good = Tree::of(&before.good).without("staged");
        for nth in 1.. {
            before.restore();
            let mut command = before.admin.program("strace");
            command
                .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64"])
                .args(["-e", &format!("inject=pwrite64:error=ENOSPC:when={nth}")])
                .args([RELAYCA, "rollover", step]);
            let outcome = Outcome::of(&mut command);
            if outcome.code == Some(0) {
                assert!(nth > 1, "{step}");
                break;
            }
            assert!(
                outcome.stdout.is_empty() && outcome.stderr.contains("relayca: hint: "),
                "{outcome:?}"
            );
            assert_eq!(words(&before.admin), before.before, "{step} {nth}");
            let now = before
                .admin
                .tree()
                .without("staged")
                .without("inventory.db-journal");
            good.assert_same(&now);
            if nth > 12 {
                break;
            }
        }
    }
}
