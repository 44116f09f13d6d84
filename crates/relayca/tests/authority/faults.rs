//! Faults in the middle of a command: strace picks the system call, and an authority that is spoiled and restored.
//!
//! In: system calls and a fault. Out: what relayca said, or that it was killed. It refuses to know what should be there after it.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use super::{Admin, Outcome, RELAYCA, judge};

/// Runs relayca with a fault injected into the `nth` of these calls. `None` when it was killed.
pub fn with_fault(
    admin: &Admin,
    calls: &str,
    fault: &str,
    nth: usize,
    arguments: &[&str],
) -> Option<Outcome> {
    let mut command = admin.program("strace");
    command
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={calls}"),
        ])
        .args(["-e", &format!("inject={calls}:{fault}:when={nth}")])
        .arg(RELAYCA)
        .args(arguments);
    let output = command.output().unwrap();
    if output.status.signal() == Some(9) {
        None
    } else {
        Some(output.into())
    }
}

/// A copy of an authority to be spoiled, restored before each attempt.
pub struct Spoiled {
    pub admin: Admin,
    pub good: PathBuf,
}

impl Spoiled {
    /// Of this admin's authority as it is now.
    pub fn of(admin: Admin) -> Self {
        let good = admin.file("good");
        let spoiled = Self { admin, good };
        judge(
            "cp",
            &[
                "-a",
                spoiled.admin.root().to_str().unwrap(),
                spoiled.good.to_str().unwrap(),
            ],
        );
        spoiled
    }

    /// As it was.
    pub fn restore(&self) {
        std::fs::remove_dir_all(self.admin.root()).unwrap();
        judge(
            "cp",
            &[
                "-a",
                self.good.to_str().unwrap(),
                self.admin.root().to_str().unwrap(),
            ],
        );
    }
}
