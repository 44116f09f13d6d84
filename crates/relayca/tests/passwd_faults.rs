//! Death, failing disks, and others at work while the authority changes hands: the old admin opens all of it, or the new one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod sealed;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use authority::faults::with_fault;
use authority::{Admin, Outcome, RELAYCA, Tree, judge, keygen};
use sealed::{ca_certificate_key, ca_key, opens, opens_all, opens_none, sealed, with_old_bundle};

/// An authority that goes from one admin to another with everything rotated, put back before each attempt.
struct Swap {
    admin: Admin,
    new: String,
}

impl Swap {
    fn new() -> Self {
        let admin = with_old_bundle();
        let new = keygen(&admin.file("new.txt"));
        judge(
            "cp",
            &["-a", admin.root().to_str().unwrap(), &admin.name("good")],
        );
        Self { admin, new }
    }

    fn restore(&self) {
        std::fs::remove_dir_all(self.admin.root()).unwrap();
        judge(
            "cp",
            &[
                "-a",
                &self.admin.name("good"),
                self.admin.root().to_str().unwrap(),
            ],
        );
    }

    fn arguments(&self) -> Vec<&str> {
        vec![
            "passwd",
            "--add",
            &self.new,
            "--remove",
            self.admin.recipient(),
            "--rotate",
            "-i",
            "key.txt",
            "-i",
            "new.txt",
        ]
    }

    /// After a stop: the old admin opens all and the new one nothing, or the other way round. Says whether it is the new one.
    fn survives(&self, moment: &str) -> bool {
        let admin = &self.admin;
        let listed = admin.json(&["passwd"]);
        let is_new = listed["recipients"][0]["recipient"] == self.new.as_str();
        let (mut opener, mut other) = (admin.identity(), admin.file("new.txt"));
        if is_new {
            std::mem::swap(&mut opener, &mut other);
        }
        assert_eq!(
            listed["recipients"].as_array().unwrap().len(),
            1,
            "{moment}"
        );
        assert!(opens_all(admin, &opener), "{moment}: {is_new}");
        assert!(opens_none(admin, &other), "{moment}: {is_new}");
        let opener = opener.to_str().unwrap();
        admin.done(&["verify", "ca", "-i", opener]);
        assert_eq!(
            ca_key(admin, &admin.done(&["passphrase", "ca", "-i", opener])),
            Some(ca_certificate_key(admin)),
            "{moment}"
        );
        assert!(admin.staged().is_empty() || !is_new, "{moment}");
        is_new
    }
}

#[test]
fn killed_at_any_moment_the_old_admin_opens_it_or_the_new_one() {
    let swap = Swap::new();
    let (mut old, mut new) = (0, 0);
    for calls in [
        "fsync",
        "fdatasync",
        "rename",
        "unlink",
        "unlinkat",
        "mkdir",
        "ftruncate",
        "pwrite64",
        "write",
    ] {
        for nth in 1.. {
            swap.restore();
            match with_fault(&swap.admin, calls, "signal=KILL", nth, &swap.arguments()) {
                Some(outcome) => {
                    outcome.done();
                    break;
                }
                None if swap.survives(&format!("killed at {calls} {nth}")) => new += 1,
                None => old += 1,
            }
        }
    }
    assert!(old >= 20 && new >= 6, "{old} old, {new} new");
}

#[test]
fn on_a_failing_disk_the_old_admin_opens_it_or_the_new_one() {
    let swap = Swap::new();
    let mut failures = 0;
    for (calls, error) in [
        ("write", "ENOSPC"),
        ("pwrite64", "ENOSPC"),
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
        ("rename", "EIO"),
        ("unlink", "EIO"),
    ] {
        // Some calls are retried or do not matter: a few more than there are.
        let mut without = 0;
        for nth in 1.. {
            swap.restore();
            let outcome = with_fault(
                &swap.admin,
                calls,
                &format!("error={error}"),
                nth,
                &swap.arguments(),
            )
            .unwrap();
            let moment = format!("{error} at {calls} {nth}");
            if outcome.code == Some(0) {
                without += 1;
            } else {
                without = 0;
                failures += 1;
                assert_eq!(outcome.code, Some(1), "{moment}: {outcome:?}");
                assert!(
                    outcome.stderr.contains("relayca: hint: "),
                    "{moment}: {outcome:?}"
                );
            }
            assert!(
                swap.survives(&moment) || outcome.code == Some(1),
                "{moment}: {outcome:?}"
            );
            if without == 4 {
                break;
            }
        }
    }
    assert!(failures >= 15, "{failures}");
}

#[test]
fn whoever_issues_at_the_same_time_seals_to_the_old_admins_or_the_new_ones() {
    let admin = Admin::with_mailhost();
    let new = keygen(&admin.file("new.txt"));
    let script = |process: usize| {
        let both = "-i key.txt -i new.txt";
        format!("for n in 1 2 3 4 5; do {RELAYCA} issue h{process}-$n {both} || exit; done")
    };
    let children: Vec<_> = (0..4)
        .map(|process| {
            let mut command = admin.program("sh");
            command.args(["-c", &script(process)]).stdout(Stdio::null());
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let both = ["-i", "key.txt", "-i", "new.txt"];
    admin.done(&[&["passwd", "--add", &new][..], &both].concat());
    let remove = [
        &["passwd", "--remove", admin.recipient(), "--rotate"][..],
        &both,
    ]
    .concat();
    admin.done(&remove);
    for child in children {
        let outcome: Outcome = child.wait_with_output().unwrap().into();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    assert_eq!(sealed(&admin).len(), 23);
    assert!(opens_none(&admin, &admin.identity()) && opens_all(&admin, &admin.file("new.txt")));
}

/// The public key of each CA key as openssl opens it with what stock age opens, by directory.
fn all_cas(admin: &Admin, identity: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut directories = vec![admin.part("ca")];
    let below = admin.part("ca").read_dir().unwrap();
    directories.extend(
        below
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir()),
    );
    for directory in directories {
        let passphrase =
            authority::age_with_identity(identity, &directory.join("ca.passphrase.age"));
        let file = admin.write("p", passphrase);
        let key = directory.join("ca.key.pem");
        let opened = judge(
            "openssl",
            &[
                "pkey",
                "-pubout",
                "-passin",
                &format!("file:{file}"),
                "-in",
                key.to_str().unwrap(),
            ],
        );
        let certificate = directory.join("ca.crt.pem");
        let certified = judge(
            "openssl",
            &[
                "x509",
                "-noout",
                "-pubkey",
                "-in",
                certificate.to_str().unwrap(),
            ],
        );
        assert_eq!(opened, certified, "{}", directory.display());
        all.push((
            directory.display().to_string(),
            std::fs::read_to_string(key).unwrap(),
        ));
    }
    all.sort();
    all
}

#[test]
fn in_every_phase_of_a_rollover_all_ca_keys_change_hands() {
    let admin = Admin::with_mailhost();
    let new = keygen(&admin.file("new.txt"));
    let both = ["-i", "key.txt", "-i", "new.txt"];
    let mut mine = true;
    for step in ["prepare", "activate", "retire"] {
        if step == "retire" {
            admin.done(&[&["renew", "--due"][..], &both].concat());
            admin.done(&[&["retire", "relayhost", "mailhost"][..], &both].concat());
        }
        admin.done(&[&["rollover", step][..], &both].concat());
        let (from, to) = if mine {
            (admin.recipient(), new.as_str())
        } else {
            (new.as_str(), admin.recipient())
        };
        let (old, opener) = if mine {
            ("key.txt", "new.txt")
        } else {
            ("new.txt", "key.txt")
        };
        let before = all_cas(&admin, &admin.file(old));
        assert!(!before.is_empty());
        let swap = ["passwd", "--rotate", "--add", to, "--remove", from];
        admin.done(&[&swap[..], &both].concat());
        let after = all_cas(&admin, &admin.file(opener));
        assert_eq!(before.len(), after.len(), "{step}");
        for (was, is) in before.iter().zip(&after) {
            assert_eq!(was.0, is.0);
            assert_ne!(was.1, is.1, "{step}: encrypted anew");
            assert!(!opens(
                &admin.file(old),
                &Path::new(&is.0).join("ca.passphrase.age")
            ));
        }
        mine = !mine;
        // What a backup has to take, too.
        admin.done(&["backup", step, "-i", opener]);
        admin.done(&["restore", step, "-i", opener, "--dir", &format!("r-{step}")]);
        let all = |root: PathBuf| Tree::of(&root).without("inventory.db").without("staged");
        all(admin.root()).assert_same(&all(admin.file(&format!("r-{step}"))));
    }
}
