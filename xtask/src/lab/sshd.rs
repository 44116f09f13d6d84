//! A real sshd on an instance's system, for those who come as root with a key. Enters: an [`Instance`]. Leaves: a port, and what is to
//! be in a client's configuration. Refuses to know what is run over it.
//!
//! It is Debian's, unpacked and not installed ([`program`]): an installed one would listen on port 22. What it wants of the system (a
//! user of its own, /run/sshd) it finds in a mount namespace. Programs in `bin` of the instance's directory come first in its PATH.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Instance, Port, wait_for};

/// Where a system has it.
const SYSTEM: &str = "/usr/sbin/sshd";

/// Makes what sshd wants, then becomes it. `$1` is its directory, `$2` the program.
const WITHIN: &str = r#"mount --bind "$1/passwd" /etc/passwd || exit
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/sshd || exit
exec "$2" -D -e -f "$1/config" 2> "$1/log""#;

/// A running sshd; it and its sessions end when it is dropped.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    directory: PathBuf,
    port: Port,
}

/// Where `cargo xtask test` unpacks it.
#[must_use]
pub fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
        .join("target/judges/sshd")
}

/// The program: the system's own where there is one.
#[must_use]
pub fn program() -> PathBuf {
    if installed() {
        PathBuf::from(SYSTEM)
    } else {
        place().join("usr/sbin/sshd")
    }
}

/// Whether the system has one.
#[must_use]
pub fn installed() -> bool {
    Path::new(SYSTEM).is_file()
}

/// A new key pair without a passphrase; `.pub` is beside it.
///
/// # Errors
/// Where `ssh-keygen` fails.
pub fn key(path: &Path) -> Result<String> {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .context("run ssh-keygen")?;
    ensure!(made.success(), "ssh-keygen failed");
    Ok(fs::read_to_string(path.with_extension("pub"))?
        .trim()
        .to_owned())
}

impl Sshd {
    /// Starts it on the instance's system; who has the private half of `authorized` may log in as root.
    ///
    /// # Errors
    /// Where it does not start, with its log.
    pub fn start(instance: &Instance, authorized: &str) -> Result<Self> {
        ensure!(
            program().is_file(),
            "there is no sshd; `cargo xtask test` unpacks one"
        );
        let directory = instance.directory().join("ssh");
        fs::create_dir(&directory)?;
        let bin = instance.directory().join("bin");
        fs::create_dir(&bin)?;
        key(&directory.join("host_key"))?;
        fs::write(directory.join("authorized_keys"), format!("{authorized}\n"))?;
        let passwd = fs::read_to_string("/etc/passwd")?;
        let user = if passwd.contains("\nsshd:") {
            ""
        } else {
            "sshd:x:64999:65534::/run/sshd:/usr/sbin/nologin\n"
        };
        fs::write(directory.join("passwd"), format!("{passwd}{user}"))?;
        let port = Port::reserve()?;
        let place_of = |name: &str| directory.join(name).display().to_string();
        fs::write(
            directory.join("config"),
            format!(
                "ListenAddress 127.0.0.1:{}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\nUseDNS no\n\
                 SetEnv PATH={}:/usr/bin:/bin:/usr/sbin:/sbin\n",
                port.number(),
                place_of("host_key"),
                place_of("authorized_keys"),
                bin.display(),
            ),
        )?;
        let mut command = instance.command("sh");
        let child = command
            .args(["-c", WITHIN, "sh"])
            .arg(&directory)
            .arg(program())
            .env("LD_LIBRARY_PATH", place().join("usr/lib/x86_64-linux-gnu"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start sshd")?;
        let sshd = Self {
            child,
            directory,
            port,
        };
        let number = sshd.port.number();
        wait_for("sshd to listen", Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", number)).is_ok()
        })
        .with_context(|| sshd.log())?;
        Ok(sshd)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its private host key.
    #[must_use]
    pub fn host_key(&self) -> PathBuf {
        self.directory.join("host_key")
    }

    /// The public half.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn public_key(&self) -> Result<String> {
        Ok(fs::read_to_string(self.directory.join("host_key.pub"))?
            .trim()
            .to_owned())
    }

    /// A line of known_hosts.
    ///
    /// # Errors
    /// Where the key cannot be read.
    pub fn known_host(&self) -> Result<String> {
        Ok(format!(
            "[127.0.0.1]:{} {}\n",
            self.port(),
            self.public_key()?
        ))
    }

    /// A section of ssh_config.
    #[must_use]
    pub fn client_section(&self, host: &str) -> String {
        format!(
            "Host {host}\n  HostName 127.0.0.1\n  Port {}\n",
            self.port()
        )
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The processes that it has for those who are logged in now.
    #[must_use]
    pub fn sessions(&self) -> Vec<u32> {
        children(self.child.id())
    }

    /// Ends every session's sshd, as a line that breaks does. What runs in them is not touched.
    pub fn break_lines(&self) {
        for session in self.sessions() {
            kill(session);
        }
    }
}

/// Ends a process at once.
pub fn kill(pid: u32) {
    let _ = Command::new("kill")
        .arg("-KILL")
        .arg(pid.to_string())
        .status();
}

/// The children of a process.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    fs::read_to_string(path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.break_lines();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
