//! Death and failing disks in the middle of `install` and `uninstall`: whatever the moment, the next run finds its way, and a run
//! that fails leaves every byte and every time as it was. On a tree of another system, so that nothing but the files counts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod authority;
mod install_kit;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use authority::{Admin, Outcome, RELAYCA, judge};
use install_kit::{Stand, differing, same, same_bytes, stand};

const RELAY: &str = "relayhost.example.org";
/// Calls that change what is on the disk.
const CALLS: [&str; 10] = [
    "fsync", "rename", "linkat", "link", "unlink", "unlinkat", "mkdir", "rmdir", "openat", "fchmod",
];
const MAIN: &str =
    "# ours\nmyhostname = relay.example.org\n\n# and no end of line\nmynetworks = 127.0.0.0/8";
const MASTER: &str = "\
# services
smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
";

/// A system in a directory, to be spoiled and restored.
struct System {
    admin: Admin,
    root: PathBuf,
    good: PathBuf,
}

impl System {
    fn new() -> Self {
        let admin = Admin::new();
        let recipient = admin.recipient().to_owned();
        admin.init(&["--seal-to", &recipient]);
        let root = admin.file("system");
        fs::create_dir_all(root.join("etc/postfix")).unwrap();
        fs::write(root.join("etc/postfix/main.cf"), MAIN).unwrap();
        fs::write(root.join("etc/postfix/master.cf"), MASTER).unwrap();
        let good = admin.file("good");
        let system = Self { admin, root, good };
        system.remember();
        system
    }

    fn remember(&self) {
        let _ = fs::remove_dir_all(&self.good);
        judge(
            "cp",
            &[
                "-a",
                self.root.to_str().unwrap(),
                self.good.to_str().unwrap(),
            ],
        );
    }

    fn restore(&self) {
        fs::remove_dir_all(&self.root).unwrap();
        judge(
            "cp",
            &[
                "-a",
                self.good.to_str().unwrap(),
                self.root.to_str().unwrap(),
            ],
        );
    }

    fn stand(&self) -> BTreeMap<PathBuf, Stand> {
        stand(&self.root)
    }

    fn install(&self) -> Vec<String> {
        let bundle = self.admin.part(&format!("bundles/{RELAY}.tar.age"));
        self.line(&["install", bundle.to_str().unwrap(), "-i", "key.txt"])
    }

    fn update(&self) -> Vec<String> {
        let bundle = self.admin.part(&format!("bundles/{RELAY}.public.tar"));
        self.line(&["install", bundle.to_str().unwrap()])
    }

    fn uninstall(&self) -> Vec<String> {
        self.line(&["uninstall"])
    }

    fn line(&self, words: &[&str]) -> Vec<String> {
        words
            .iter()
            .chain(&["--apply", "--root", self.root.to_str().unwrap()])
            .map(|word| (*word).to_owned())
            .collect()
    }

    fn run(&self, line: &[String]) -> Outcome {
        self.admin.run(line)
    }

    /// With a fault in the `nth` of these calls of the process itself, not of the programs that it runs. `None`: killed.
    fn with_fault(&self, call: &str, fault: &str, nth: usize, line: &[String]) -> Option<Outcome> {
        let mut command: Command = self.admin.program("strace");
        command
            .args(["-qq", "-o", "/dev/null"])
            .args(["-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:{fault}:when={nth}")])
            .arg(RELAYCA)
            .args(line);
        let output = command.output().unwrap();
        if output.status.signal() == Some(9) {
            None
        } else {
            Some(output.into())
        }
    }
}

/// Without what differs from run to run: when it was installed.
fn timeless(all: &BTreeMap<PathBuf, Stand>) -> BTreeMap<PathBuf, Stand> {
    let mut all = all.clone();
    for (path, one) in &mut all {
        if path.ends_with("installed.json") {
            let text = String::from_utf8(one.content.clone()).unwrap();
            one.content = text
                .lines()
                .filter(|line| !line.contains("_at\""))
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes();
        }
    }
    all
}

/// Kills `line` at each of its calls, then runs `then`, which must lead to `end`; or the old state must be there, where
/// `then` has nothing to do.
fn killed(system: &System, line: &[String], then: &[String], ends: &[&BTreeMap<PathBuf, Stand>]) {
    let mut kills = 0;
    let mut taken_back = 0;
    for call in CALLS {
        // Files are opened often, and few of them to be written.
        let step = if call == "openat" { 3 } else { 1 };
        for nth in (1..).step_by(step) {
            system.restore();
            if let Some(outcome) = system.with_fault(call, "signal=KILL", nth, line) {
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
                break;
            }
            kills += 1;
            let moment = format!("{line:?} killed at {call} {nth}");
            let next = system.run(then);
            taken_back += usize::from(next.stderr.contains("it was taken back"));
            let now = timeless(&system.stand());
            let found = ends.iter().any(|end| {
                let bytes = |all: &BTreeMap<PathBuf, Stand>| {
                    let mut all = all.clone();
                    all.values_mut().for_each(|one| one.changed = (0, 0));
                    all
                };
                bytes(&timeless(end)) == bytes(&now)
            });
            assert!(
                found,
                "{moment}\n{}\n{:?}",
                next.stderr,
                ends.iter()
                    .map(|end| differing(&timeless(end), &now))
                    .collect::<Vec<_>>()
            );
        }
    }
    println!("{}: {kills} kills, {taken_back} taken back", line[0]);
    assert!(kills > 30 && taken_back > 10, "{kills} {taken_back}");
}

#[test]
fn install_is_killed_and_the_next_install_finishes() {
    let system = System::new();
    let (install, _) = (system.install(), system.uninstall());
    system.run(&install).done();
    let installed = system.stand();
    killed(&system, &install, &install, &[&installed]);
}

#[test]
fn install_is_killed_and_the_next_uninstall_takes_it_back() {
    let system = System::new();
    let before = system.stand();
    killed(&system, &system.install(), &system.uninstall(), &[&before]);
}

#[test]
fn uninstall_is_killed_and_either_command_goes_on() {
    let system = System::new();
    let before = system.stand();
    system.run(&system.install()).done();
    let installed = system.stand();
    system.remember();
    killed(
        &system,
        &system.uninstall(),
        &system.uninstall(),
        &[&before],
    );
    killed(
        &system,
        &system.uninstall(),
        &system.install(),
        &[&installed],
    );
}

#[test]
fn an_update_is_killed_and_goes_through_the_next_time() {
    let system = System::new();
    let before = system.stand();
    system.run(&system.install()).done();
    system.admin.done(&["issue", "mailhost"]);
    system.remember();
    system.run(&system.update()).done();
    let updated = system.stand();
    killed(&system, &system.update(), &system.update(), &[&updated]);
    killed(&system, &system.update(), &system.uninstall(), &[&before]);
}

#[test]
fn a_failing_disk_changes_nothing_not_even_a_time() {
    let system = System::new();
    let faults = [
        ("fsync", "error=EIO"),
        ("rename", "error=EIO"),
        ("linkat", "error=ENOSPC"),
        ("write", "error=ENOSPC"),
        ("mkdir", "error=ENOSPC"),
        ("fchmod", "error=EIO"),
    ];
    for (line, prepared) in [(system.install(), false), (system.uninstall(), true)] {
        if prepared {
            system.restore();
            system.run(&system.install()).done();
            system.remember();
        }
        let mut failures = 0;
        for (call, fault) in faults {
            for nth in 1.. {
                system.restore();
                let before = system.stand();
                let outcome = system.with_fault(call, fault, nth, &line).unwrap();
                if outcome.code == Some(0) {
                    // Past the last one; or one that did no harm: a link that could not be had is a copy.
                    if nth > 40
                        || system.with_fault(call, fault, nth + 1, &line).unwrap().code == Some(0)
                    {
                        break;
                    }
                    continue;
                }
                failures += 1;
                assert!(
                    outcome.stderr.contains("relayca: error: "),
                    "{}",
                    outcome.stderr
                );
                if outcome.stderr.contains("the command itself went through") {
                    // Only what it had to say about it was lost.
                    continue;
                }
                if outcome
                    .stderr
                    .contains("not everything could be taken back")
                    || outcome.stderr.contains("all is in place")
                {
                    // The disk failed at taking back, too: the next run does that.
                    let next = system.run(&system.line(&["install", "/nothing"]));
                    assert_ne!(next.code, Some(0));
                    let recovered = system.run(&system.uninstall());
                    assert!(
                        recovered.stderr.contains("earlier run"),
                        "{call} {nth}: {}\n{}",
                        outcome.stderr,
                        recovered.stderr
                    );
                    continue;
                }
                let after = system.stand();
                assert_eq!(
                    differing(&before, &after),
                    Vec::<String>::new(),
                    "{call} {nth}: {}",
                    outcome.stderr
                );
            }
        }
        println!("{}: {failures} failures", line[0]);
        assert!(failures > 10);
    }
}

#[test]
fn a_full_disk_changes_nothing() {
    let system = System::new();
    // A file system of its own, with room for main.cf and master.cf and little more.
    let script = format!(
        "mount -t tmpfs -o size=24k,mode=755 none {0} && cp -a {1}/. {0}/ && cp -a {0} {2}/kept && shift 0 && \
         \"$@\"; code=$?; cp -a {0} {2}/after; exit $code",
        system.root.join("etc/postfix").display(),
        system.good.join("etc/postfix").display(),
        system.admin.home().display(),
    );
    let mut command = system.admin.program("unshare");
    command
        .args(["--mount", "sh", "-c", &script, "sh", RELAYCA])
        .args(system.install());
    let said = Outcome::from(command.output().unwrap()).refused(1);
    println!("{said}");
    assert!(said.contains("no space left"), "{said}");
    assert!(
        said.contains("everything is as it was") || said.contains("nothing was changed"),
        "{said}"
    );
    same(
        &stand(&system.admin.file("kept")),
        &stand(&system.admin.file("after")),
    );
}

#[test]
fn an_interrupt_takes_everything_back_at_once() {
    let system = System::new();
    let before = system.stand();
    system.run(&system.install()).done();
    let installed = system.stand();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut interrupted = 0;
        for nth in 1..40 {
            system.restore();
            let outcome = system
                .with_fault(
                    "rename",
                    &format!("signal={signal}"),
                    nth,
                    &system.install(),
                )
                .unwrap();
            match outcome.code {
                Some(0) => {}
                Some(other) => {
                    interrupted += 1;
                    assert_eq!(other, code, "{}", outcome.stderr);
                    // At the very end it comes too late.
                    let now = system.stand();
                    if now.keys().any(|path| path.ends_with("installed.json")) {
                        same_bytes(&timeless(&installed), &timeless(&now));
                    } else {
                        same_bytes(&before, &now);
                    }
                    assert!(
                        !outcome.stderr.contains("not everything"),
                        "{}",
                        outcome.stderr
                    );
                }
                None => panic!("killed"),
            }
        }
        assert!(interrupted > 3, "{interrupted}");
    }
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let system = System::new();
    let run = || {
        let mut command = system.admin.relayca(&system.install());
        std::thread::spawn(move || Outcome::from(command.output().unwrap()))
    };
    let all: Vec<Outcome> = [run(), run(), run()]
        .into_iter()
        .map(|one| one.join().unwrap())
        .collect();
    assert!(all.iter().any(|one| one.code == Some(0)));
    for one in all.iter().filter(|one| one.code != Some(0)) {
        assert!(
            one.stderr.contains("another relayca is at work"),
            "{}",
            one.stderr
        );
    }
    system.run(&system.install()).done();
    system.run(&system.uninstall()).done();
    assert!(!Path::new(&system.root.join("etc/postfix/relayca")).exists());
}
