//! The main job by the `relayca` program, on real Postfixes: for the demo and for the tests.
//!
//! Enters: the path of the program. Leaves: an authority in a temporary place ([`Admin`]), and a mail host and a
//! relay that were set up by pasting exactly what was printed ([`Pair`]). What is not pasted is `scp`: here a copy.
//! Refuses to know what the printed text means, apart from the headings of its steps.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::lab::{Instance, Port, Setup, Sink, Tree};
pub use crate::pasting::{Place, Step, paste, steps};

/// The domain of the scenario.
pub const DOMAIN: &str = "example.org";
/// The relay's full name.
pub const RELAY: &str = "relayhost.example.org";
/// The mail host's full name.
pub const MAIL_HOST: &str = "mailhost.example.org";
/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(40);

/// An admin with an age identity and the program, in a temporary place.
#[derive(Debug)]
pub struct Admin {
    program: PathBuf,
    tree: Tree,
    user: Option<String>,
    place: TempDir,
    recipient: String,
    past: Option<String>,
}

/// What a run of the program printed.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code; -1 where a signal ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

impl Admin {
    /// Makes a place and an identity.
    ///
    /// # Errors
    /// Where they cannot be made.
    pub fn new(program: &Path) -> Result<Self> {
        Self::make(program, Tree::default())
    }

    /// Likewise, where the program is that of another system, and is run by a user (`name:group`) there.
    ///
    /// # Errors
    /// Where they cannot be made.
    pub fn in_tree(program: &Path, tree: Tree, user: &str) -> Result<Self> {
        let mut admin = Self::make(program, tree)?;
        let status = admin
            .tree
            .command("chown")
            .args(["-R", user])
            .arg(admin.tree.inside(admin.place()))
            .status()?;
        ensure!(status.success(), "chown {user}: no such user there");
        admin.user = Some(user.to_owned());
        Ok(admin)
    }

    fn make(program: &Path, tree: Tree) -> Result<Self> {
        let place = tempfile::tempdir_in(tree.outside(&std::env::temp_dir()))?;
        let (identity, recipient) = relayca_bundle::generate_identity();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(place.path().join("key.txt"))?;
        file.write_all(identity.as_bytes())?;
        Ok(Self {
            program: program.to_owned(),
            tree,
            user: None,
            place,
            recipient: recipient.text().to_owned(),
            past: None,
        })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The temporary place.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// The identity file.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.place.path().join("key.txt")
    }

    /// The identity file, as the program sees it.
    #[must_use]
    pub fn identity_inside(&self) -> String {
        self.tree.inside(&self.identity()).display().to_string()
    }

    /// The identity's public half.
    #[must_use]
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// A path that the program printed, as seen from here.
    #[must_use]
    pub fn outside(&self, inside: &Path) -> PathBuf {
        self.tree.outside(inside)
    }

    /// A file of the authority.
    #[must_use]
    pub fn file(&self, relative: &str) -> PathBuf {
        self.place
            .path()
            .join("relayca")
            .join(DOMAIN)
            .join(relative)
    }

    /// Lets the program live in the past (`faketime`, as in `-10 days`), or again today.
    pub fn lives(&mut self, when: Option<&str>) {
        self.past = when.map(str::to_owned);
    }

    /// Runs the program.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = match (&self.past, &self.user) {
            (_, Some(user)) => self
                .tree
                .command_as(user, &self.program.display().to_string()),
            (Some(when), None) => {
                let mut command = Command::new("faketime");
                command.arg(when).arg(&self.program);
                command
            }
            (None, None) => Command::new(&self.program),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RELAYCA_") {
                command.env_remove(name);
            }
        }
        let output = command
            .args(arguments)
            .env("XDG_DATA_HOME", self.tree.inside(self.place.path()))
            .current_dir(self.place.path())
            .stdin(std::process::Stdio::null())
            .output()
            .with_context(|| format!("run {}", self.program.display()))?;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs the program and gives its stdout.
    ///
    /// # Errors
    /// Where it fails, with what it said.
    pub fn done(&self, arguments: &[&str]) -> Result<String> {
        let said = self.run(arguments)?;
        ensure!(
            said.code == 0,
            "relayca {}: {}",
            arguments.join(" "),
            said.stderr
        );
        Ok(said.stdout)
    }

    /// `relayca init`, sealed to the admin's identity.
    ///
    /// # Errors
    /// Where it fails.
    pub fn init(&self, arguments: &[&str]) -> Result<String> {
        let identity = self.identity_inside();
        let mut all = vec![
            "init",
            DOMAIN,
            "--recipient",
            &self.recipient,
            "-i",
            &identity,
        ];
        all.extend(arguments);
        self.done(&all)
    }

    /// Changes a line of relayca.toml, as an editor would.
    ///
    /// # Errors
    /// Where there is no such line.
    pub fn edit(&self, from: &str, to: &str) -> Result<()> {
        let path = self.file("relayca.toml");
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "relayca.toml has no `{from}`");
        fs::write(&path, text.replacen(from, to, 1))?;
        Ok(())
    }

    /// Writes a host's own configuration directory into relayca.toml, as an editor would.
    ///
    /// # Errors
    /// Where the file cannot be changed.
    pub fn config_directory(&self, host: &str, directory: &str) -> Result<()> {
        let path = self.file("relayca.toml");
        let text = fs::read_to_string(&path)?;
        fs::write(
            &path,
            format!("{text}\n[host.\"{host}\"]\nconfig-directory = \"{directory}\"\n"),
        )?;
        Ok(())
    }
}

/// A mail host and a relay on real Postfixes, and the internet behind the relay.
#[allow(missing_debug_implementations, reason = "the sink has none")]
pub struct Pair {
    /// The admin.
    pub admin: Admin,
    /// The relay's Postfix.
    pub relay: Instance,
    /// The mail host's Postfix.
    pub mail_host: Instance,
    /// Where the relay sends everything.
    pub internet: Sink,
    /// Further mail hosts, by name.
    pub others: BTreeMap<String, Instance>,
    /// The port of the relay's service.
    pub port: Port,
    /// What `init` printed.
    pub init: String,
}

impl Pair {
    /// Starts both, makes an authority with `arguments` more to `init`, and sets up the relay. The mail host is not
    /// issued yet. With `past` the authority was made then.
    ///
    /// # Errors
    /// Where anything fails.
    pub fn new(program: &Path, arguments: &[&str], past: Option<&str>) -> Result<Self> {
        let relay = Setup::new(RELAY);
        let mail_host = Setup::new(MAIL_HOST);
        Self::between(program, relay, mail_host, arguments, past)
    }

    /// Likewise, between instances that are set up in a way of their own, or lie in other trees.
    ///
    /// # Errors
    /// Where anything fails.
    pub fn between(
        program: &Path,
        relay: Setup,
        mail_host: Setup,
        arguments: &[&str],
        past: Option<&str>,
    ) -> Result<Self> {
        let mut admin = Admin::new(program)?;
        admin.lives(past);
        Self::of(admin, relay, mail_host, arguments)
    }

    /// Likewise, for an admin who is there already and has no authority yet.
    ///
    /// # Errors
    /// Where anything fails.
    pub fn of(admin: Admin, relay: Setup, mail_host: Setup, arguments: &[&str]) -> Result<Self> {
        let internet = Sink::start()?;
        let port = Port::reserve()?;
        let relay = relay.relays_to(&internet).start()?;
        let mail_host = mail_host.knows(RELAY).start()?;
        let place = format!("{RELAY}:{}", port.number());
        let directory = relay.config_inside();
        let mut all = vec!["--relay", &place, "--config-directory", &directory];
        all.extend(arguments);
        let init = admin.init(&all)?;
        admin.config_directory(MAIL_HOST, &mail_host.config_inside())?;
        let pair = Self {
            admin,
            relay,
            mail_host,
            internet,
            others: BTreeMap::new(),
            port,
            init,
        };
        pair.paste(&pair.init)?;
        Ok(pair)
    }

    /// Issues the mail host and pastes what is printed.
    ///
    /// # Errors
    /// Where anything fails.
    pub fn issue(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["issue", "mailhost"];
        all.extend(arguments);
        let printed = self.admin.done(&all)?;
        self.paste(&printed)?;
        Ok(printed)
    }

    /// Starts one more mail host, not issued yet.
    ///
    /// # Errors
    /// Where its Postfix does not start.
    pub fn add_mail_host(&mut self, name: &str) -> Result<()> {
        let instance = Setup::new(name).knows(RELAY).start()?;
        self.admin
            .config_directory(name, &instance.config_inside())?;
        self.others.insert(name.to_owned(), instance);
        Ok(())
    }

    /// The Postfix of a host.
    fn instance(&self, host: &str) -> Option<&Instance> {
        match host {
            RELAY => Some(&self.relay),
            MAIL_HOST => Some(&self.mail_host),
            other => self.others.get(other),
        }
    }

    /// Pastes every step of a printed text where it belongs. Of what is to be run on the admin's machine, only copies and
    /// `relayca passphrase` are: later commands are the caller's.
    ///
    /// # Errors
    /// Where a step fails, with what it said.
    pub fn paste(&self, printed: &str) -> Result<()> {
        paste(
            &self.admin,
            printed,
            &|host| self.instance(host).map(|instance| instance as &dyn Place),
            &self.mail_host,
        )
    }

    /// Sends a message from the mail host and waits until the internet has it.
    ///
    /// # Errors
    /// Where it does not arrive, with both logs.
    pub fn relays(&self, to: &str) -> Result<()> {
        let before = self.internet.count();
        self.mail_host
            .send(&format!("info@{DOMAIN}"), to, "through the relay")?;
        self.internet.wait_for(before + 1, SOON).with_context(|| {
            format!(
                "mail host:\n{}\nrelay:\n{}",
                self.mail_host.log(),
                self.relay.log()
            )
        })?;
        Ok(())
    }
}
