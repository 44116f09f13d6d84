//! One admin's account in a temporary place: a home, an age identity, and relayca run there as from a
//! script.
//!
//! In: arguments. Out: status, stdout and stderr, and what lies on the disk. It refuses to know how
//! relayca works: everything is judged from outside, by stock tools where there is one.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod cas;
pub mod faults;
pub mod piping;
pub mod terminal;
pub mod tree;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub use tree::Tree;

/// The program under test.
pub const RELAYCA: &str = env!("CARGO_BIN_EXE_relayca");
/// The domain that the stories play in.
pub const DOMAIN: &str = "example.org";

/// An account of its own: nothing of the machine's environment reaches relayca.
pub struct Admin {
    place: TempDir,
    recipient: String,
}

impl Admin {
    /// A home with an age identity made by age-keygen, and no authority yet.
    pub fn new() -> Self {
        let place = tempfile::Builder::new()
            .prefix("relayca-test-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(place.path().join("home")).unwrap();
        let recipient = keygen(&place.path().join("home/key.txt"));
        Self { place, recipient }
    }

    /// The same with the authority of example.org, sealed to that identity.
    pub fn with_authority() -> Self {
        let admin = Self::new();
        admin.init(&[]);
        admin
    }

    /// The same with mailhost.example.org issued.
    pub fn with_mailhost() -> Self {
        let admin = Self::with_authority();
        admin.done(&["issue", "mailhost"]);
        admin
    }

    /// `relayca init example.org` with the identity and further arguments.
    pub fn init(&self, more: &[&str]) -> String {
        let identity = self.identity();
        let mut arguments = vec![
            "init",
            DOMAIN,
            "--recipient",
            &self.recipient,
            "-i",
            identity.to_str().unwrap(),
        ];
        arguments.extend(more);
        self.done(&arguments)
    }

    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// The home directory, where commands are run.
    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// The path of a file as text.
    pub fn name(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    /// Writes a file into the home.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.file(name), content).unwrap();
        self.name(name)
    }

    pub fn identity(&self) -> PathBuf {
        self.file("key.txt")
    }

    /// The authority in the default place.
    pub fn root(&self) -> PathBuf {
        self.home().join("data/relayca").join(DOMAIN)
    }

    /// A file of the authority.
    pub fn part(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    /// Changes under way, or left by a command that was cut off.
    pub fn staged(&self) -> Vec<String> {
        let Ok(entries) = self.part("staged").read_dir() else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// The authority, byte for byte.
    pub fn tree(&self) -> Tree {
        Tree::of(&self.root())
    }

    /// relayca as the user `nobody`, who may enter the home by now; the program is copied to where that
    /// user can reach it. Needs root.
    pub fn as_nobody(&self, arguments: &[&str]) -> Command {
        let copy = self.place.path().join("relayca");
        if !copy.exists() {
            std::fs::copy(RELAYCA, &copy).unwrap();
        }
        let mut command = self.program("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(copy)
            .args(arguments);
        command
    }

    /// relayca, not yet run.
    pub fn relayca<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.program(RELAYCA);
        command.args(arguments);
        command
    }

    /// Any program in the same clean environment.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("XDG_DATA_HOME", self.file("data"))
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.home())
            .stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Outcome {
        Outcome::of(&mut self.relayca(arguments))
    }

    /// Runs relayca with `input` on its standard input.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, arguments: &[S], input: &[u8]) -> Outcome {
        feed(&mut self.relayca(arguments), input)
    }

    /// Runs relayca, which must succeed; gives its stdout.
    pub fn done<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        self.run(arguments).done()
    }

    /// Runs relayca with `--json`, which must succeed.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut with: Vec<&str> = arguments.to_vec();
        with.push("--json");
        serde_json::from_str(&self.done(&with)).unwrap()
    }

    /// Runs relayca, which must refuse with `code`, an error and a hint on stderr, nothing on stdout, and
    /// nothing changed in the whole home. Gives stderr.
    pub fn refused<S: AsRef<OsStr>>(&self, code: i32, arguments: &[S]) -> String {
        let before = Tree::of(&self.home());
        let stderr = self.run(arguments).refused(code);
        before.assert_same(&Tree::of(&self.home()));
        stderr
    }

    /// Serials of live certificates by host.
    pub fn serials(&self) -> std::collections::BTreeMap<String, Vec<String>> {
        let mut serials = std::collections::BTreeMap::<_, Vec<String>>::new();
        for item in self.json(&["list", "--all"]).as_array().unwrap() {
            let text = |key: &str| item[key].as_str().unwrap().to_owned();
            serials
                .entry(text("host"))
                .or_default()
                .push(text("serial"));
        }
        serials
    }

    /// What a stopped or refused run must never leave: a certificate without its bundle, a bundle that
    /// does not open, anything staged, a damaged inventory.
    pub fn assert_whole(&self) {
        for (host, serials) in self.serials() {
            assert_eq!(serials.len(), 1, "{host} has one certificate");
            if host == DOMAIN {
                continue;
            }
            let files = unseal(self, &host);
            let serial = judge(
                "openssl",
                &[
                    "x509",
                    "-noout",
                    "-serial",
                    "-in",
                    &files.join(format!("{host}.crt.pem")).to_string_lossy(),
                ],
            );
            assert_eq!(
                serial.trim().to_lowercase(),
                format!("serial={}", serials[0]),
                "the bundle holds what is listed"
            );
            let key = judge(
                "openssl",
                &[
                    "pkey",
                    "-pubout",
                    "-in",
                    &files.join(format!("{host}.key.pem")).to_string_lossy(),
                ],
            );
            let public = judge(
                "openssl",
                &[
                    "x509",
                    "-noout",
                    "-pubkey",
                    "-in",
                    &files.join(format!("{host}.crt.pem")).to_string_lossy(),
                ],
            );
            assert_eq!(key, public, "the bundle's key belongs to its certificate");
            std::fs::remove_dir_all(files).unwrap();
        }
        assert_eq!(self.staged(), [""; 0], "nothing is left in `staged`");
        assert_eq!(
            judge(
                "sqlite3",
                &[
                    self.part("inventory.db").to_str().unwrap(),
                    "pragma integrity_check"
                ]
            )
            .trim(),
            "ok"
        );
    }
}

/// What a program left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// It succeeded, without a word of error or a warning lost among data.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(
            self.code,
            Some(0),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// It refused as documented.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        assert_eq!(
            self.stdout, "",
            "an error prints nothing on stdout; stderr: {}",
            self.stderr
        );
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("relayca: error: ")),
            "an error line: {}",
            self.stderr
        );
        assert!(
            lines.iter().any(|line| line.starts_with("relayca: hint: ")),
            "a hint line: {}",
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.stderr
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command with `input` on its standard input.
pub fn feed(command: &mut Command, input: &[u8]) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Whoever does not read all of it is right to.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let outcome = child.wait_with_output().unwrap().into();
    writer.join().unwrap();
    outcome
}

/// Makes an age identity; gives its recipient.
pub fn keygen(file: &Path) -> String {
    judge("age-keygen", &["-o", file.to_str().unwrap()]);
    judge("age-keygen", &["-y", file.to_str().unwrap()])
        .trim()
        .to_owned()
}

/// Makes an SSH key; gives the public key's line.
pub fn ssh_keygen(file: &Path, kind: &[&str]) -> String {
    let mut arguments = vec![
        "-q",
        "-N",
        "",
        "-C",
        "host",
        "-f",
        file.to_str().unwrap(),
        "-t",
    ];
    arguments.extend(kind);
    judge("ssh-keygen", &arguments);
    std::fs::read_to_string(file.with_extension("pub"))
        .unwrap()
        .trim()
        .to_owned()
}

/// A stock tool's verdict: it must succeed; gives its stdout.
#[track_caller]
pub fn judge(program: &str, arguments: &[&str]) -> String {
    judged(Command::new(program).args(arguments))
}

/// A stock tool's verdict on `input`.
#[track_caller]
pub fn judge_input(program: &str, arguments: &[&str], input: &[u8]) -> String {
    let outcome = feed(Command::new(program).args(arguments), input);
    assert_eq!(
        outcome.code,
        Some(0),
        "{program} {arguments:?}: {}{}",
        outcome.stdout,
        outcome.stderr
    );
    outcome.stdout
}

/// The verdict of a command that must succeed.
#[track_caller]
pub fn judged(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask test` installs it"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Opens a bundle with age and tar alone, as INSTALL.txt says, and checks it with sha256sum. Gives the
/// directory.
pub fn unseal(admin: &Admin, host: &str) -> PathBuf {
    let passphrase = admin.done(&["passphrase", host]);
    let sealed = admin.part(&format!("bundles/{host}.tar.age"));
    let tar = age_with_passphrase(admin, &sealed, passphrase.trim());
    untar(admin, &tar)
}

/// Unpacks an archive with tar and checks it with sha256sum.
pub fn untar(admin: &Admin, archive: &[u8]) -> PathBuf {
    let directory = tempfile::Builder::new()
        .prefix("unpacked-")
        .tempdir_in(admin.home())
        .unwrap()
        .keep();
    judge_input("tar", &["-x", "-C", directory.to_str().unwrap()], archive);
    judged(
        Command::new("sha256sum")
            .args(["-c", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(&directory),
    );
    directory
}

/// `age -d` with a passphrase, which age reads from a terminal only.
pub fn age_with_passphrase(admin: &Admin, sealed: &Path, passphrase: &str) -> Vec<u8> {
    let out = tempfile::NamedTempFile::new_in(admin.home())
        .unwrap()
        .into_temp_path();
    let mut command = admin.program("age");
    command.args(["-d", "-o"]).arg(&out).arg(sealed);
    let mut terminal = terminal::Terminal::run(&command);
    terminal.answer("passphrase", passphrase);
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    std::fs::read(&out).unwrap()
}

/// `age -d -i IDENTITY`.
pub fn age_with_identity(identity: &Path, sealed: &Path) -> Vec<u8> {
    let output = Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(identity)
        .arg(sealed)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
