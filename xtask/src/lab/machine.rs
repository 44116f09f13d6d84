//! Another system beside this one, for programs that cannot be installed here: a root of its own with its own `/etc` and `/var`,
//! and programs that were unpacked into a directory, laid over this system's.
//!
//! Enters: a host name, directories with a `usr` in them. Leaves: a [`Machine`] that commands run in, at the paths that they have
//! where they are installed. Refuses to know what is run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::tree::{Pasted, feed, prepare};
use super::wait_for;

/// Users of Debian's packages, which the machine need not have, with numbers that nobody has.
const USERS: &[(&str, u32)] = &[
    ("Debian-exim", 64998),
    ("opensmtpd", 64997),
    ("opensmtpq", 64996),
];

/// Device files that programs ask for.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Mounts what is this system's below `$1`, with `$2` over /usr, then runs the rest there.
const ENTER: &str = r#"root=$1; over=$2; shift 2
mount -t overlay overlay -o "lowerdir=$over:/usr" "$root/usr" || exit
mount --rbind /proc "$root/proc" || exit
mount --bind /dev/pts "$root/dev/pts" || exit
for device in null zero full random urandom tty; do mount --bind "/dev/$device" "$root/dev/$device" || exit; done
exec chroot "$root" "$@""#;

/// A system of its own. What was started in it by [`Machine::daemon`] ends with it, and what left a pid file.
#[derive(Debug)]
pub struct Machine {
    directory: TempDir,
    over: String,
    log: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
    daemons: Mutex<Vec<Child>>,
}

impl Machine {
    /// A machine called `name`, with the programs in these directories; `knows` are names for 127.0.0.1.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(name: &str, programs: &[PathBuf], knows: &[&str]) -> Result<Self> {
        for place in programs {
            ensure!(
                place.join("usr").is_dir(),
                "{} is missing: `cargo xtask test` puts it there",
                place.display()
            );
        }
        let over: Vec<String> = programs
            .iter()
            .map(|place| Ok(place.join("usr").canonicalize()?.display().to_string()))
            .collect::<Result<_>>()?;
        let directory = tempfile::Builder::new().prefix("relayca-mta-").tempdir()?;
        let root = directory.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        for part in [
            "usr",
            "etc/ssl",
            "var/mail",
            "var/log",
            "var/lib",
            "var/spool",
            "tmp",
            "run",
            "dev/pts",
            "proc",
            "root",
        ] {
            fs::create_dir_all(root.join(part))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        for part in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{part}"), root.join(part))?;
        }
        symlink("/run", root.join("var/run"))?;
        symlink("pts/ptmx", root.join("dev/ptmx"))?;
        for device in DEVICES {
            fs::write(root.join("dev").join(device), "")?;
        }
        let copied = Command::new("cp")
            .arg("-a")
            .args(["/etc/alternatives", "/etc/services", "/etc/protocols"])
            .arg(root.join("etc"))
            .output()?;
        ensure!(
            copied.status.success() || root.join("etc/alternatives").exists(),
            "cp -a /etc/alternatives"
        );
        let _ = fs::copy("/etc/ssl/openssl.cnf", root.join("etc/ssl/openssl.cnf"));
        let mut passwd = fs::read_to_string("/etc/passwd")?;
        let mut group = fs::read_to_string("/etc/group")?;
        for (user, number) in USERS {
            let other = |line: &&str| !line.starts_with(&format!("{user}:"));
            let without = |text: &str| -> String {
                text.lines()
                    .filter(other)
                    .map(|line| format!("{line}\n"))
                    .collect()
            };
            passwd = without(&passwd)
                + &format!("{user}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n");
            group = without(&group) + &format!("{user}:x:{number}:\n");
        }
        fs::write(root.join("etc/passwd"), passwd)?;
        fs::write(root.join("etc/group"), group)?;
        fs::write(
            root.join("etc/nsswitch.conf"),
            "passwd: files\ngroup: files\nshadow: files\nhosts: files\nprotocols: files\nservices: files\n",
        )?;
        fs::write(root.join("etc/mailname"), format!("{name}\n"))?;
        let socket = UnixDatagram::bind(root.join("dev/log"))?;
        fs::set_permissions(root.join("dev/log"), fs::Permissions::from_mode(0o666))?;
        let log = Arc::new(Mutex::new(String::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let listener = listen(socket, Arc::clone(&log), Arc::clone(&stop))?;
        let machine = Self {
            over: over.join(":"),
            directory,
            log,
            stop,
            listener: Some(listener),
            daemons: Mutex::new(Vec::new()),
        };
        machine.set_hosts(&[&[name], knows].concat())?;
        Ok(machine)
    }

    /// Gives it another `/etc/hosts`: these names are 127.0.0.1, others do not exist.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn set_hosts(&self, names: &[&str]) -> Result<()> {
        Ok(fs::write(
            self.file("/etc/hosts"),
            format!("127.0.0.1 {} localhost\n", names.join(" ")),
        )?)
    }

    /// A file of the machine, as seen from outside.
    #[must_use]
    pub fn file(&self, inside: &str) -> PathBuf {
        self.directory.path().join(inside.trim_start_matches('/'))
    }

    /// A path outside, as seen from within.
    #[must_use]
    pub fn inside(&self, outside: &Path) -> PathBuf {
        match outside.strip_prefix(self.directory.path()) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => outside.to_owned(),
        }
    }

    /// Writes a file of the machine.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, inside: &str, text: &str) -> Result<()> {
        let path = self.file(inside);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", ENTER, "sh"])
            .arg(self.directory.path())
            .arg(&self.over)
            .arg(program);
        prepare(&mut command);
        command
    }

    /// Runs a command in it, with this on its standard input.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<Pasted> {
        let mut command = self.command(program);
        command.args(arguments);
        feed(command, input)
    }

    /// Gives a script to its `sh`, as a paste does.
    ///
    /// # Errors
    /// Where `sh` cannot be started.
    pub fn paste(&self, script: &str) -> Result<Pasted> {
        self.run("sh", &[], script)
    }

    /// Starts a program that stays in the foreground; it ends with the machine. What it says goes to the log.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn daemon(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let said = fs::File::options()
            .create(true)
            .append(true)
            .open(self.file("/var/log/said"))?;
        let child = self
            .command(program)
            .args(arguments)
            .stdout(said.try_clone()?)
            .stderr(said)
            .stdin(Stdio::null())
            .spawn()?;
        self.daemons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
        Ok(())
    }

    /// Ends what [`Machine::daemon`] started.
    pub fn end_daemons(&self) {
        let mut daemons = self.daemons.lock().unwrap_or_else(PoisonError::into_inner);
        for mut child in daemons.drain(..) {
            let _ = Command::new("kill").arg(child.id().to_string()).output();
            let _ = child.wait();
        }
    }

    /// All that was said by daemons, by Exim in its files, and to syslog.
    #[must_use]
    pub fn log(&self) -> String {
        let mut all = String::new();
        for file in [
            "/var/log/said",
            "/var/log/exim4/mainlog",
            "/var/log/exim4/paniclog",
        ] {
            if let Ok(bytes) = fs::read(self.file(file)) {
                all.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        all + &self.log.lock().unwrap_or_else(PoisonError::into_inner)
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
}

fn listen(
    socket: UnixDatagram,
    log: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
) -> Result<JoinHandle<()>> {
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    Ok(std::thread::spawn(move || {
        let mut line = [0; 8192];
        while !stop.load(Ordering::SeqCst) {
            if let Ok(length) = socket.recv(&mut line) {
                let text = String::from_utf8_lossy(line.get(..length).unwrap_or_default())
                    .trim_end()
                    .to_owned();
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&text);
                log.push('\n');
            }
        }
    }))
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end_daemons();
        for file in ["/var/spool/relayca-exim/pid", "/run/exim4/exim.pid"] {
            if let Ok(pid) = fs::read_to_string(self.file(file)) {
                let _ = Command::new("kill").arg(pid.trim()).output();
            }
        }
        self.stop.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
