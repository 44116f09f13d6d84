//! Where the programs come from: this system, or another one in a directory (`chroot`). Enters: commands. Leaves: what they
//! said. Refuses to know what is run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result};

/// A system with a Postfix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    root: Option<PathBuf>,
}

/// Lays files of an instance (`$1`) over those of its tree (`$2`) in a mount namespace of its own, then runs the rest:
/// /etc/hosts, nsswitch.conf (no DNS), if there are any the certificates that the system trusts, and in a tree the terminals.
const WITH_HOSTS: &str = r#"mount --bind "$1/hosts" "$2/etc/hosts" || exit
if [ -f "$2/etc/nsswitch.conf" ]; then mount --bind "$1/queue/etc/nsswitch.conf" "$2/etc/nsswitch.conf" || exit; fi
if [ -d "$1/system-ca" ]; then mount --bind "$1/system-ca" "$2/etc/ssl/certs" || exit; fi
if [ -n "$2" ] && [ -d "$2/dev/pts" ]; then mount --bind /dev/pts "$2/dev/pts" || exit; fi
shift 2
exec "$@""#;

impl Tree {
    /// A system in a directory, as `debootstrap` makes it, with postfix, postfix-lmdb and openssl in it.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: Some(root.into()),
        }
    }

    /// A path of the tree, as seen from outside.
    #[must_use]
    pub fn outside(&self, inside: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(inside.strip_prefix("/").unwrap_or(inside)),
            None => inside.to_owned(),
        }
    }

    /// A path outside, as seen from within the tree.
    #[must_use]
    pub fn inside(&self, outside: &Path) -> PathBuf {
        match self
            .root
            .as_deref()
            .and_then(|root| outside.strip_prefix(root).ok())
        {
            Some(rest) => Path::new("/").join(rest),
            None => outside.to_owned(),
        }
    }

    /// A command of the tree, with nothing on its standard input.
    pub fn command(&self, program: &str) -> Command {
        let mut command = match &self.root {
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(program);
                command
            }
            None => Command::new(program),
        };
        prepare(&mut command);
        command
    }

    /// Likewise, as another user than root.
    pub fn command_as(&self, user: &str, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={user}"))
            .arg(self.root.as_deref().unwrap_or(Path::new("/")))
            .arg(program);
        prepare(&mut command);
        command
    }

    /// Likewise, for it and all that it starts with the `/etc` files of an instance, whose directory (a path outside) this is.
    pub fn command_of(&self, instance: &Path, program: &str) -> Command {
        let root = self.root.as_deref().unwrap_or(Path::new(""));
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", WITH_HOSTS, "sh"])
            .arg(instance)
            .arg(root);
        if self.root.is_some() {
            command.arg("chroot").arg(root);
        }
        command.arg(program);
        prepare(&mut command);
        command
    }
}

pub(crate) fn prepare(command: &mut Command) {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env(
        "PATH",
        format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"),
    );
    command
        .env("LC_ALL", "C")
        .env_remove("MAIL_CONFIG")
        .current_dir("/")
        .stdin(Stdio::null());
}

/// What a shell made of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pasted {
    /// The exit status; -1 where a signal ended it.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Pasted {
    /// Whether it ended well.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.status == 0
    }
}

/// Gives a script to `sh` on standard input, as a paste does.
///
/// # Errors
/// Where `sh` cannot be started.
pub fn paste(script: &str) -> Result<Pasted> {
    feed(Tree::default().command("sh"), script)
}

/// Gives text to a command on standard input.
pub(crate) fn feed(mut command: Command, text: &str) -> Result<Pasted> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    let mut stdin = child.stdin.take();
    // Written beside the reading below: both could fill their pipes otherwise.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin.take() {
                // A shell that ends early closes the pipe; its status tells the rest.
                let _ = stdin.write_all(text.as_bytes());
            }
        });
        child.wait_with_output()
    })?;
    Ok(pasted(&output))
}

fn pasted(output: &Output) -> Pasted {
    Pasted {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// See [`super::available`].
pub(crate) fn available() -> Result<(), String> {
    can_mount()?;
    ask("postconf", &["-d", "mail_version"])?;
    ask("openssl", &["version"])?;
    Ok(())
}

/// See [`super::can_mount`].
pub(crate) fn can_mount() -> Result<(), String> {
    if ask("id", &["-u"])? != "0" {
        return Err("only root can run Postfix".to_owned());
    }
    ask(
        "unshare",
        &["--mount", "sh", "-c", "mount --bind /etc/hosts /etc/hosts"],
    )?;
    Ok(())
}

fn ask(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Tree::default()
        .command(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("`{program}` is missing: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!(
            "`{program}` fails: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
