//! A relay's configuration directory beside the authority, and shells that printed blocks are piped into.
//!
//! In: blocks. Out: how they ended, and what they left. Postfix's programs are pretended: what a real one makes of the files is
//! looked at elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Admin, Outcome, feed};

/// The shells that it is piped into.
pub const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];
/// The list of who may relay.
pub const LIST: &str = "relay_clientcerts";

/// An authority with a mail host, and its relay's configuration directory in the same place.
pub struct Story {
    pub admin: Admin,
}

impl Story {
    pub fn new() -> Self {
        let story = Self {
            admin: Admin::with_mailhost(),
        };
        let toml = story.admin.part("relayca.toml");
        let mut text = fs::read_to_string(&toml).unwrap();
        text.push_str(&format!(
            "\n[host.\"relayhost.example.org\"]\nconfig-directory = \"{}\"\n",
            story.config().display()
        ));
        fs::write(&toml, text).unwrap();
        fs::create_dir_all(story.files()).unwrap();
        fs::create_dir(story.admin.file("bin")).unwrap();
        for program in ["postconf", "postmap", "postfix"] {
            story.pretend(program, "exit 0");
        }
        story
    }

    pub fn config(&self) -> PathBuf {
        self.admin.file("etc/postfix")
    }

    pub fn files(&self) -> PathBuf {
        self.config().join("relayca")
    }

    pub fn pretend(&self, program: &str, does: &str) {
        let file = self.admin.file("bin").join(program);
        fs::write(
            &file,
            format!(
                "#!/bin/sh\necho \"{program} $*\" >> {}\n{does}\n",
                self.admin.file("called").display()
            ),
        )
        .unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What was asked of Postfix since the last time.
    pub fn called(&self) -> String {
        let file = self.admin.file("called");
        let called = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        called
    }

    /// Through a pipe, as `| ssh root@relay sh` does it.
    pub fn pipe(&self, shell: &[&str], script: &str) -> Outcome {
        let mut command = self.admin.program(shell[0]);
        command.args(&shell[1..]).env(
            "PATH",
            format!(
                "{}:{}",
                self.admin.file("bin").display(),
                std::env::var("PATH").unwrap()
            ),
        );
        feed(&mut command, script.as_bytes())
    }

    pub fn list(&self) -> String {
        fs::read_to_string(self.files().join(LIST)).unwrap()
    }

    /// The commands of the printed step that has this in its title.
    pub fn step(&self, printed: &str, title: &str) -> String {
        let mut steps = xtask::pasting::steps(printed).into_iter();
        steps
            .find(|step| step.title.contains(title))
            .unwrap_or_else(|| panic!("{title}: {printed}"))
            .commands
    }

    /// Nothing is left of a block but what it was for.
    pub fn assert_no_work_left(&self) {
        let left: Vec<String> = names(&self.files())
            .into_iter()
            .filter(|name| name.contains("work") || name.contains("new"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What was said by a block that failed.
#[track_caller]
pub fn fails(outcome: Outcome) -> String {
    assert!(
        !matches!(outcome.code, Some(0) | None),
        "stdout: {}\nstderr: {}",
        outcome.stdout,
        outcome.stderr
    );
    format!("{}{}", outcome.stdout, outcome.stderr)
}

pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
