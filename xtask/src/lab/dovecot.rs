//! A Dovecot of its own: IMAP, POP3 and the SASL that Postfix asks. Enters: users, a certificate, further settings. Leaves:
//! ports on 127.0.0.1 and what it logged. Refuses to know relayca's settings, and the Dovecot of this machine.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::openssl::Certificate;
use super::tree::{Pasted, Tree, feed};
use super::{Instance, Port, wait_for};

/// `nobody`: the owner of all mail here, as Dovecot delivers to no root.
const MAIL_OWNER: u32 = 65534;

/// A Dovecot to be.
#[derive(Debug, Clone, Default)]
pub struct DovecotSetup {
    tree: Tree,
    users: Vec<(String, String)>,
    certificate: Option<Certificate>,
    socket: Option<String>,
    lines: String,
}

impl DovecotSetup {
    /// The Dovecot of another system than this one; 2.4 or later gets its settings in the words of 2.4.
    #[must_use]
    pub fn tree(mut self, tree: Tree) -> Self {
        self.tree = tree;
        self
    }

    /// Somebody who may log in.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// The certificate that it shows. Without one there is no TLS, until somebody configures it.
    #[must_use]
    pub fn certificate(mut self, certificate: &Certificate) -> Self {
        self.certificate = Some(certificate.clone());
        self
    }

    /// Lets a Postfix ask about passwords, at `private/auth` in its queue.
    #[must_use]
    pub fn authenticates(mut self, postfix: &Instance) -> Self {
        let socket = postfix.directory().join("queue/private/auth");
        self.socket = Some(self.tree.inside(&socket).display().to_string());
        self
    }

    /// Adds lines to its configuration, after all others.
    #[must_use]
    pub fn lines(mut self, lines: &str) -> Self {
        self.lines.push_str(lines.trim_end());
        self.lines.push('\n');
        self
    }

    /// Writes the files, without starting anything.
    ///
    /// # Errors
    /// Where files cannot be written, a port reserved, or Dovecot is not installed.
    pub fn create(self) -> Result<Dovecot> {
        let parent = self.tree.outside(Path::new("/tmp"));
        let directory = tempfile::Builder::new()
            .prefix("relayca-lab-")
            .tempdir_in(&parent)
            .with_context(|| format!("make a directory in {}", parent.display()))?;
        // Its processes are other users.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        for part in ["config", "config/conf.d", "run", "state", "mail"] {
            fs::create_dir(directory.path().join(part))?;
        }
        chown(
            directory.path().join("mail"),
            Some(MAIL_OWNER),
            Some(MAIL_OWNER),
        )?;
        let ports = [
            Port::reserve()?,
            Port::reserve()?,
            Port::reserve()?,
            Port::reserve()?,
        ];
        let mut ask = self.tree.command("dovecot");
        ask.arg("--version");
        let version = feed(ask, "").context("is Dovecot installed?")?.stdout;
        let dovecot = Dovecot {
            tree: self.tree.clone(),
            version,
            directory,
            ports,
        };
        let config = dovecot.config();
        if let Some(certificate) = &self.certificate {
            fs::copy(&certificate.key, config.join("key.pem"))?;
            fs::copy(&certificate.certificate, config.join("crt.pem"))?;
        }
        let mut users = String::new();
        for (name, password) in &self.users {
            let _ = writeln!(users, "{name}:{{PLAIN}}{password}");
        }
        fs::write(config.join("users"), users)?;
        // Read by its auth process, which is no root.
        fs::set_permissions(config.join("users"), fs::Permissions::from_mode(0o644))?;
        fs::write(config.join("dovecot.conf"), self.text(&dovecot))?;
        Ok(dovecot)
    }

    /// Writes the files and starts Dovecot.
    ///
    /// # Errors
    /// Like [`DovecotSetup::create`], and where Dovecot does not start.
    pub fn start(self) -> Result<Dovecot> {
        let dovecot = self.create()?;
        dovecot.start()?;
        Ok(dovecot)
    }

    fn text(&self, dovecot: &Dovecot) -> String {
        let place = |name: &str| {
            let path = dovecot.directory.path().join(name);
            self.tree.inside(&path).display().to_string()
        };
        let [imap, imaps, pop3, pop3s] = dovecot.ports.each_ref().map(Port::number);
        let mut text = String::new();
        let newer = !dovecot.version.starts_with("2.3.");
        if newer {
            // Must be the first ones; the number is that of the settings, not of the program.
            text.push_str("dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n");
        }
        let _ = write!(
            text,
            "\
# A Dovecot of the lab. What others add lies in conf.d, and counts after this.
base_dir = {run}
state_dir = {state}
log_path = {log}
listen = 127.0.0.1
protocols = imap pop3
auth_failure_delay = 0
first_valid_uid = 1
{mail}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
# Nobody waits after a wrong password.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
",
            run = place("run"),
            state = place("state"),
            log = place("log"),
            mail = mail_text(newer, &place("config/users"), &place("mail")),
        );
        if self.certificate.is_some() {
            let (certificate, key) = (place("config/crt.pem"), place("config/key.pem"));
            let _ = if newer {
                write!(
                    text,
                    "ssl = required\nssl_server_cert_file = {certificate}\nssl_server_key_file = {key}\n"
                )
            } else {
                write!(
                    text,
                    "ssl = required\nssl_cert = <{certificate}\nssl_key = <{key}\n"
                )
            };
        } else {
            text.push_str("ssl = no\n");
        }
        if let Some(socket) = &self.socket {
            let _ = write!(
                text,
                "service auth {{\n  unix_listener {socket} {{\n    mode = 0660\n    user = postfix\n    group = postfix\n  }}\n}}\n"
            );
        }
        text.push_str(&self.lines);
        text.push_str("!include_try conf.d/*.conf\n");
        text
    }
}

/// Where the users and their mail are, in the words of 2.3 or of 2.4.
fn mail_text(newer: bool, users: &str, mail: &str) -> String {
    let owner = MAIL_OWNER;
    if newer {
        format!(
            "\
mail_driver = maildir
mail_path = ~/Maildir
passdb passwd-file {{
  passwd_file_path = {users}
}}
userdb static {{
  fields {{
    uid = {owner}
    gid = {owner}
    home = {mail}/%{{user}}
  }}
}}"
        )
    } else {
        format!(
            "\
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={mail}/%u
}}"
        )
    }
}

/// A Dovecot. It is stopped, and its directory removed, when it is dropped.
#[derive(Debug)]
pub struct Dovecot {
    tree: Tree,
    version: String,
    directory: TempDir,
    ports: [Port; 4],
}

impl Dovecot {
    /// Its directory: `config`, `run`, `mail` and `log` lie in it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration directory, as seen from outside its tree: `dovecot.conf` and `conf.d` lie in it.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// The configuration directory as Dovecot sees it: what goes into settings and scripts.
    #[must_use]
    pub fn config_inside(&self) -> String {
        self.tree.inside(&self.config()).display().to_string()
    }

    /// What `dovecot --version` says.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.trim()
    }

    /// The port of IMAP, with STARTTLS.
    #[must_use]
    pub fn imap(&self) -> u16 {
        self.ports[0].number()
    }

    /// The port of IMAP over TLS.
    #[must_use]
    pub fn imaps(&self) -> u16 {
        self.ports[1].number()
    }

    /// The port of POP3, with STLS.
    #[must_use]
    pub fn pop3(&self) -> u16 {
        self.ports[2].number()
    }

    /// The port of POP3 over TLS.
    #[must_use]
    pub fn pop3s(&self) -> u16 {
        self.ports[3].number()
    }

    /// Runs a command of Dovecot for this instance (`doveadm`, `doveconf`; all know `-c`).
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<Pasted> {
        let mut command = self.command(program);
        command.args(arguments);
        feed(command, "")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.tree.command(program);
        command
            .arg("-c")
            .arg(format!("{}/dovecot.conf", self.config_inside()));
        command
    }

    /// Starts Dovecot and waits until it listens.
    ///
    /// # Errors
    /// With what it said and logged.
    pub fn start(&self) -> Result<()> {
        // Into a file: what it starts would keep a pipe open.
        let said = self.directory.path().join("said");
        let file = fs::File::create(&said)?;
        let mut command = self.command("dovecot");
        command.stdout(file.try_clone()?).stderr(file);
        let status = command.status().context("run dovecot")?;
        ensure!(
            status.success(),
            "dovecot: {}\n{}",
            fs::read_to_string(&said).unwrap_or_default(),
            self.log()
        );
        // It listens before it writes down who it is.
        let answers = || {
            self.master().is_some()
                && std::net::TcpStream::connect(("127.0.0.1", self.imap())).is_ok()
        };
        wait_for("Dovecot to listen", Duration::from_secs(20), answers).with_context(|| self.log())
    }

    /// The process id of the master, if it runs.
    #[must_use]
    pub fn master(&self) -> Option<u32> {
        let text = fs::read_to_string(self.directory.path().join("run/master.pid")).ok()?;
        let pid = text.trim().parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, state) = stat.rsplit_once(") ")?;
        // Ended, but not yet noticed by its parent, is ended; and a number is given to others again.
        (name.contains("dovecot") && !state.starts_with('Z')).then_some(pid)
    }

    /// Stops Dovecot, if it runs, by the number of its process.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&self) -> Result<()> {
        let Some(pid) = self.master() else {
            return Ok(());
        };
        Command::new("kill").arg(pid.to_string()).status()?;
        wait_for("Dovecot to end", Duration::from_secs(10), || {
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
        wait_for(&format!("`{words}` in Dovecot's log"), deadline, || {
            self.log().contains(words)
        })
        .with_context(|| self.log())
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
