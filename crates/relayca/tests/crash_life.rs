//! Death in the middle of the commands of later years: whatever the moment, the old state is there whole or the new one is,
//! every key opens and fits its certificate, and the command can be run again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod authority;

use authority::faults::{Spoiled, with_fault};
use authority::{Admin, Tree, judge, keygen};

/// System calls that change what is on the disk, and of how many of each one is tried: SQLite's own writes are many and alike.
const CALLS: [(&str, usize); 8] = [
    ("fsync", 1),
    ("fdatasync", 1),
    ("rename", 1),
    ("unlink", 1),
    ("unlinkat", 1),
    ("mkdir", 1),
    ("ftruncate", 1),
    ("pwrite64", 5),
];

/// All that the inventory knows, by sqlite3: what was published and when does not matter.
fn facts(admin: &Admin) -> String {
    let database = admin.part("inventory.db");
    let database = database.to_str().unwrap();
    [
        "select serial, host, state from certificates order by 1",
        "select serial, phase from authorities order by 1",
        "select * from revocations order by 1",
        "select * from retirements order by 1",
        "select number from crls order by 1",
        "select what, count(*) from events where what <> 'bundle' group by 1 order by 1",
    ]
    .map(|question| judge("sqlite3", &[database, question]))
    .concat()
}

/// The files, without what is on its way and without the inventory.
fn files(admin: &Admin) -> Tree {
    admin
        .tree()
        .without("staged")
        .without("inventory.db")
        .without("inventory.db-journal")
}

/// Every certificate, key and sealed file fits the others.
#[track_caller]
fn fits(admin: &Admin, moment: &str) {
    let checked = admin.run(&["check", "--open", "--json"]);
    assert!(
        matches!(checked.code, Some(0 | 3)),
        "{moment}: {} {}",
        checked.stdout,
        checked.stderr
    );
    assert!(
        admin.staged().is_empty(),
        "{moment}: nothing is left in `staged`"
    );
    let database = admin.part("inventory.db");
    let answer = judge(
        "sqlite3",
        &[database.to_str().unwrap(), "pragma integrity_check"],
    );
    assert_eq!(answer.trim(), "ok", "{moment}");
}

/// Kills the command at each of its calls; gives how many kills left the old state and how many the new one.
fn killed(admin: Admin, arguments: &[&str]) -> (usize, usize) {
    fits(&admin, "before");
    let (known, tree) = (facts(&admin), files(&admin));
    let spoiled = Spoiled::of(admin);
    let admin = &spoiled.admin;
    let (mut old, mut new) = (0, 0);
    for (call, step) in CALLS {
        for nth in (1..).step_by(step) {
            spoiled.restore();
            if let Some(outcome) = with_fault(admin, call, "signal=KILL", nth, arguments) {
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
                fits(admin, "not killed");
                break;
            }
            let moment = format!("{arguments:?} killed at {call} {nth}");
            // The next command that writes settles what was left; it is the same one again, or any other.
            admin.done(&["bundle", "relayhost"]);
            fits(admin, &moment);
            if facts(admin) == known {
                old += 1;
                let now = files(admin);
                let public = "bundles/relayhost.example.org.public.tar";
                tree.clone()
                    .without(public)
                    .assert_same(&now.without(public));
                admin.done(arguments);
                fits(admin, &format!("{moment}, then run again"));
            } else {
                new += 1;
            }
        }
    }
    println!("{arguments:?}: {} kills, {old} old, {new} new", old + new);
    assert!(old >= 5 && new >= 1, "{arguments:?}: {old} old, {new} new");
    (old, new)
}

#[test]
fn renew() {
    killed(Admin::with_mailhost(), &["renew", "mailhost"]);
}

#[test]
fn renew_due() {
    killed(
        Admin::with_mailhost(),
        &["renew", "--due", "--within", "1000d"],
    );
}

#[test]
fn rekey() {
    killed(
        Admin::with_mailhost(),
        &["renew", "--rekey", "mailhost", "--retire-after", "14d"],
    );
}

#[test]
fn retire() {
    let admin = Admin::with_mailhost();
    admin.done(&["renew", "--rekey", "mailhost"]);
    killed(admin, &["retire", "mailhost"]);
}

#[test]
fn revoke() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "mail2"]);
    killed(admin, &["revoke", "mail2", "--reason", "keyCompromise"]);
}

#[test]
fn crl() {
    killed(Admin::with_mailhost(), &["crl"]);
}

#[test]
fn issue_for_a_request() {
    let admin = Admin::with_mailhost();
    admin.done(&["request", "mail2.example.org"]);
    killed(
        admin,
        &["issue", "mail2", "--csr", "mail2.example.org.csr.pem"],
    );
}

#[test]
fn rollover_prepare() {
    killed(Admin::with_mailhost(), &["rollover", "prepare"]);
}

#[test]
fn rollover_activate() {
    let admin = Admin::with_mailhost();
    admin.done(&["rollover", "prepare"]);
    killed(admin, &["rollover", "activate"]);
}

#[test]
fn rollover_retire() {
    let admin = Admin::with_mailhost();
    admin.done(&["rollover", "prepare"]);
    admin.done(&["rollover", "activate"]);
    admin.done(&["renew", "--due"]);
    admin.done(&["retire", "mailhost", "relayhost"]);
    killed(admin, &["rollover", "retire"]);
}

#[test]
fn passwd_add() {
    let admin = Admin::with_mailhost();
    let second = keygen(&admin.file("second.txt"));
    killed(admin, &["passwd", "--add", &second]);
}

#[test]
fn passwd_rotate() {
    killed(Admin::with_mailhost(), &["passwd", "--rotate"]);
}

/// Lets every one of these calls fail in turn: the old state stays or the new one is there, and what was reported is true.
fn failing(admin: Admin, arguments: &[&str]) {
    let known = facts(&admin);
    let spoiled = Spoiled::of(admin);
    let admin = &spoiled.admin;
    let mut failures = 0;
    for (call, error, step) in [
        ("write", "ENOSPC", 1),
        ("pwrite64", "ENOSPC", 3),
        ("fsync", "EIO", 1),
        ("fdatasync", "EIO", 1),
        ("ftruncate", "EIO", 1),
        ("rename", "EIO", 1),
        ("mkdir", "ENOSPC", 1),
    ] {
        for nth in (1..40).step_by(step) {
            spoiled.restore();
            let fault = format!("error={error}");
            let outcome = with_fault(admin, call, &fault, nth, arguments).unwrap();
            if outcome.code == Some(0) {
                fits(admin, "nothing failed, or nothing that matters");
                // Past the last call of that kind nothing fails any more.
                if nth > 12 {
                    break;
                }
                continue;
            }
            failures += 1;
            let moment = format!("{arguments:?}: {error} at {call} {nth}: {outcome:?}");
            assert_eq!(outcome.code, Some(1), "{moment}");
            assert!(outcome.stderr.contains("relayca: hint: "), "{moment}");
            admin.done(&["bundle", "relayhost"]);
            fits(admin, &moment);
            let told = outcome.stderr.contains("the inventory has the change")
                || outcome.stderr.contains("standard output");
            assert!(
                told || facts(admin) == known,
                "{moment}: reported as failed"
            );
        }
    }
    println!("{arguments:?}: {failures} failures");
    assert!(failures >= 5, "{failures}");
}

#[test]
fn rekey_on_a_failing_disk() {
    failing(Admin::with_mailhost(), &["renew", "--rekey", "mailhost"]);
}

#[test]
fn revoke_on_a_failing_disk() {
    failing(Admin::with_mailhost(), &["revoke", "mailhost"]);
}

#[test]
fn rollover_on_a_failing_disk() {
    let admin = Admin::with_mailhost();
    admin.done(&["rollover", "prepare"]);
    failing(admin, &["rollover", "activate"]);
}

#[test]
fn passwd_on_a_failing_disk() {
    failing(Admin::with_mailhost(), &["passwd", "--rotate"]);
}

/// What is made beside an authority is there whole, or not at all and can be made.
fn made_whole(admin: &Admin, arguments: &[&str], made: &str, whole: impl Fn(&str)) {
    let mut kills = 0;
    for (call, step) in [
        ("fsync", 1),
        ("fdatasync", 1),
        ("rename", 1),
        ("mkdir", 1),
        ("write", 2),
        ("pwrite64", 7),
    ] {
        for nth in (1..).step_by(step) {
            let outcome = with_fault(admin, call, "signal=KILL", nth, arguments);
            let there = admin.file(made).exists();
            if let Some(outcome) = &outcome {
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
            }
            if !there {
                assert!(outcome.is_none());
                admin.done(arguments);
            }
            whole(&format!("{arguments:?} killed at {call} {nth}"));
            if admin.file(made).is_dir() {
                std::fs::remove_dir_all(admin.file(made)).unwrap();
            } else {
                std::fs::remove_file(admin.file(made)).unwrap();
            }
            if outcome.is_some() {
                break;
            }
            kills += 1;
        }
    }
    println!("{arguments:?}: {kills} kills");
    assert!(kills >= 3, "{kills}");
}

#[test]
fn backup() {
    let admin = Admin::with_mailhost();
    made_whole(&admin, &["backup", "b.tar.age"], "b.tar.age", |moment| {
        let tar = authority::age_with_identity(&admin.identity(), &admin.file("b.tar.age"));
        let listed = authority::judge_input("tar", &["-t"], &tar);
        assert!(
            listed.contains("inventory.db") && listed.contains("ca/ca.key.pem"),
            "{moment}: {listed}"
        );
    });
}

#[test]
fn restore() {
    let admin = Admin::with_mailhost();
    admin.done(&["backup", "b.tar.age"]);
    let tree = admin.tree().without("staged");
    let arguments = ["restore", "b.tar.age", "--dir", "again", "-i", "key.txt"];
    made_whole(&admin, &arguments, "again", |moment| {
        let again = Tree::of(&admin.file("again")).without("staged");
        assert!(tree == again, "{moment}");
    });
}

#[test]
fn import() {
    let admin = Admin::new();
    judge("mkdir", &[&admin.name("old")]);
    judge(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "900",
            "-subj",
            "/C=NL/O=Example/CN=Old CA",
            "-keyout",
            &admin.name("old/ca.key"),
            "-out",
            &admin.name("old/ca.crt"),
        ],
    );
    let recipient = admin.recipient().to_owned();
    let arguments = [
        "import",
        "old",
        "--dir",
        "new",
        "--domain",
        "example.org",
        "--relay",
        "relayhost",
        "--recipient",
        &recipient,
        "-i",
        "key.txt",
    ];
    made_whole(&admin, &arguments, "new", |moment| {
        let checked = admin.run(&["--dir", "new", "verify", "ca", "-i", "key.txt"]);
        assert!(
            matches!(checked.code, Some(0 | 3 | 4)),
            "{moment}: {} {}",
            checked.stdout,
            checked.stderr
        );
        assert!(
            admin.file("new/inventory.db").exists() && admin.file("new/ca/ca.key.pem").exists()
        );
    });
}
