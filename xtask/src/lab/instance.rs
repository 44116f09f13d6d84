//! A Postfix of its own. Enters: the directory that [`Setup`](super::Setup) made. Leaves: what it logged, queued and said.
//! Refuses to know what it is configured to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::tree::{Pasted, Tree, feed};
use super::{Port, wait_for};

/// How long a process may go on after a reload: until its client has gone.
const SETTLES: Duration = Duration::from_secs(20);

/// How long a line takes at most from a program to the log, or a new queue manager to be there.
const LOGS: Duration = Duration::from_secs(3);

/// A process of the master's, by what no other has, and its program: a new one is called `master` for a moment.
#[derive(Debug)]
struct Child {
    id: u32,
    started: String,
    name: String,
}

impl Child {
    fn is(&self, other: &Self) -> bool {
        (self.id, &self.started) == (other.id, &other.started)
    }
}

/// An instance of Postfix. It is stopped, and its directory removed, when it is dropped.
#[derive(Debug)]
pub struct Instance {
    tree: Tree,
    directory: TempDir,
    port: Port,
}

impl Instance {
    pub(super) fn new(tree: Tree, directory: TempDir, port: Port) -> Self {
        Self {
            tree,
            directory,
            port,
        }
    }

    /// The configuration directory, as seen from outside its tree.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// The configuration directory as Postfix sees it: what goes into settings and scripts.
    #[must_use]
    pub fn config_inside(&self) -> String {
        self.tree.inside(&self.config()).display().to_string()
    }

    /// Its directory: `config`, `queue`, `data` and `log` lie in it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A path outside its tree, as the programs of the instance see it.
    #[must_use]
    pub fn inside(&self, outside: &Path) -> PathBuf {
        self.tree.inside(outside)
    }

    /// The port of its ordinary SMTP service.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Runs a Postfix command of this instance (`postconf`, `postqueue`, ...; all know `-c`).
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Pasted> {
        let mut command = self.command(program);
        command.arg("-c").arg(self.config_inside()).args(arguments);
        feed(command, "")
    }

    pub(super) fn command(&self, program: &str) -> std::process::Command {
        self.tree.command_of(self.directory.path(), program)
    }

    /// Gives it another `/etc/hosts`, also in the jail of its services.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn set_hosts(&self, text: &str) -> Result<()> {
        for file in ["hosts", "queue/etc/hosts"] {
            // Written in place: a new file would not be the one that is mounted.
            fs::write(self.directory.path().join(file), text)?;
        }
        Ok(())
    }

    /// Starts Postfix and waits for its greeting.
    ///
    /// # Errors
    /// With what it said and logged.
    pub fn start(&self) -> Result<()> {
        // Every program warns of a line that is overridden. postlogd, too, while it does not read yet: where others have filled
        // its socket (ten messages), it waits for itself, and the whole Postfix for it. Sometimes; so never here.
        let said = self.run("postconf", &["-h", "maillog_file"])?;
        ensure!(
            said.stdout.trim().is_empty() || !said.stderr.contains("overriding earlier entry"),
            "with a log file of its own, Postfix locks up where main.cf sets something twice: {}",
            said.stderr
        );
        let said = self.run("postfix", &["start"])?;
        ensure!(
            said.ok(),
            "postfix start: {}{}\n{}",
            said.stdout,
            said.stderr,
            self.log()
        );
        let answers = || std::net::TcpStream::connect(("127.0.0.1", self.port())).is_ok();
        wait_for("Postfix to listen", Duration::from_secs(20), answers).with_context(|| self.log())
    }

    /// `postfix reload`, and waits for it to hold.
    ///
    /// # Errors
    /// With what it said, and where processes of before do not end.
    pub fn reload(&self) -> Result<()> {
        let before = self.children();
        let said = self.run("postfix", &["reload"])?;
        ensure!(
            said.ok(),
            "postfix reload: {}{}\n{}",
            said.stdout,
            said.stderr,
            self.log()
        );
        self.wait_for_successors(&before)
    }

    /// Does something. Where it told Postfix to reload, waits until those that it had started before have ended: a reload
    /// only asks them to, and one that has not noticed yet serves one more client as it was told before.
    fn settled(&self, done: impl FnOnce() -> Result<Pasted>) -> Result<Pasted> {
        let told = || self.log().matches("refreshing the Postfix mail").count();
        let (before, told_before) = (self.children(), told());
        let said = done()?;
        // What was logged until here is in the file once this is: all of it goes one way.
        let mark = format!("mark {} {}", std::process::id(), before.len());
        let marks = self.log().matches(&mark).count();
        if self.run("postlog", &["-t", "lab", &mark])?.ok() {
            let _ = wait_for("the log", LOGS, || {
                self.log().matches(&mark).count() > marks
            });
        }
        if told() > told_before {
            self.wait_for_successors(&before)?;
        }
        Ok(said)
    }

    /// Waits until nothing is left that was started before Postfix took a reload.
    fn wait_for_successors(&self, before: &[Child]) -> Result<()> {
        let start = Instant::now();
        wait_for("what ran before a reload to end", SETTLES, || {
            let now = self.children();
            let is_old = |child: &Child| before.iter().any(|old| old.is(child));
            // Every reload brings a new one; where it cannot start, there is none to wait for.
            let is_new = |child: &Child| child.name == "qmgr" && !is_old(child);
            (now.iter().any(is_new) || start.elapsed() > LOGS) && !now.iter().any(is_old)
        })
        .with_context(|| format!("{before:?} {:?}\n{}", self.children(), self.log()))
    }

    /// The processes that the master has started. Without the one that writes the log.
    fn children(&self) -> Vec<Child> {
        let Some(master) = self.master() else {
            return Vec::new();
        };
        let Ok(all) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        all.filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let (name, rest) = stat.rsplit_once(") ")?;
            // proc_pid_stat(5): the state, the parent, and as the 22nd the time of start.
            let fields: Vec<&str> = rest.split(' ').collect();
            let (_, name) = name.split_once('(')?;
            let ours = *fields.get(1)? == master.to_string();
            let lives = *fields.first()? != "Z" && name != "postlogd";
            let child = || {
                Some(Child {
                    id,
                    started: (*fields.get(19)?).to_owned(),
                    name: name.to_owned(),
                })
            };
            (ours && lives).then(child)?
        })
        .collect()
    }

    /// The process id of the master, if it runs.
    #[must_use]
    pub fn master(&self) -> Option<u32> {
        let text = fs::read_to_string(self.directory.path().join("queue/pid/master.pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Ended, but not yet noticed by its parent, is ended.
        let (_, state) = stat.rsplit_once(") ")?;
        (!state.starts_with('Z')).then_some(pid)
    }

    /// Stops Postfix, if it runs.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&self) -> Result<()> {
        if self.master().is_none() {
            return Ok(());
        }
        // `stop` is this with whole seconds of waiting.
        self.run("postfix", &["abort"])?;
        wait_for("Postfix to end", Duration::from_secs(10), || {
            self.master().is_none()
        })
    }

    /// All that was logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.directory.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Waits for words in the log.
    ///
    /// # Errors
    /// After `deadline`, with the log.
    pub fn wait_for_log(&self, words: &str, deadline: Duration) -> Result<()> {
        wait_for(&format!("`{words}` in the log"), deadline, || {
            self.log().contains(words)
        })
        .with_context(|| self.log())
    }

    /// The queue, one JSON object a message, as `postqueue -j` prints it.
    ///
    /// # Errors
    /// Where `postqueue` fails.
    pub fn queue(&self) -> Result<Vec<String>> {
        let said = self.run("postqueue", &["-j"])?;
        if !said.ok() {
            bail!("postqueue: {}", said.stderr);
        }
        Ok(said.stdout.lines().map(str::to_owned).collect())
    }

    /// Puts a message into the queue by its `sendmail`.
    ///
    /// # Errors
    /// With what `sendmail` said.
    pub fn send(&self, from: &str, to: &str, body: &str) -> Result<()> {
        let mut command = self.command("sendmail");
        command
            .arg("-C")
            .arg(self.config_inside())
            .args(["-i", "-f", from, "--", to]);
        let said = feed(
            command,
            &format!("From: <{from}>\nTo: <{to}>\nSubject: lab\n\n{body}\n"),
        )?;
        ensure!(said.ok(), "sendmail: {}", said.stderr);
        Ok(())
    }

    /// Tries everything in the queue again, now.
    ///
    /// # Errors
    /// With what `postqueue` said.
    pub fn flush(&self) -> Result<()> {
        let said = self.run("postqueue", &["-f"])?;
        ensure!(said.ok(), "postqueue: {}", said.stderr);
        Ok(())
    }

    /// Gives a script to `sh` on this instance's system, as a paste does. A reload in it holds afterwards.
    ///
    /// # Errors
    /// Where `sh` cannot be started.
    pub fn paste(&self, script: &str) -> Result<Pasted> {
        self.settled(|| feed(self.command("sh"), script))
    }

    /// Likewise with another shell, for example `["busybox", "ash"]`.
    ///
    /// # Errors
    /// Where the shell cannot be started.
    pub fn paste_into(&self, shell: &[&str], script: &str) -> Result<Pasted> {
        let (program, arguments) = shell.split_first().context("no shell")?;
        let mut command = self.command(program);
        command.args(arguments);
        self.settled(|| feed(command, script))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
