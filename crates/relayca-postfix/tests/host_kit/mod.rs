//! A relay that waits for its files, archives by stock tools, and a shell that is given the script as ssh has it.
//!
//! In: names and contents. Out: what the script said, and all files. It refuses to know what is expected.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use relayca_postfix::{
    HostScript, Refusal, RelayService, RelayStyle, Sends, Snippet, host_script, relay_snippet,
};
use xtask::lab::{Instance, Setup};

pub const RELAY: &str = "relayhost.example.org";
pub const NAMES: [&str; 4] = [
    "SHA256SUMS",
    "example.org-ca.crt.pem",
    "relay_clientcerts",
    "relayhost.example.org.crt.pem",
];
pub const MAP: &str = "# who\nAA:BB mailhost.example.org\n";

/// A relay that waits for its files.
pub struct Host {
    pub instance: Instance,
    pub snippet: Snippet,
}

/// An archive, and what the script is told of it.
pub struct Sent {
    pub bytes: Vec<u8>,
    pub sha256: String,
}

pub fn sha256(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let said = child.wait_with_output().unwrap();
    String::from_utf8(said.stdout).unwrap()[..64].to_owned()
}

impl Sent {
    /// Made by stock tools.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut list = String::new();
        for (name, content) in files {
            fs::write(place.path().join(name), content).unwrap();
            list.push_str(&format!("{}  {name}\n", sha256(content.as_bytes())));
        }
        if !files.iter().any(|(name, _)| *name == "SHA256SUMS") {
            fs::write(place.path().join("SHA256SUMS"), list).unwrap();
        }
        Self::packed(place.path(), &["SHA256SUMS"], files)
    }

    pub fn packed(place: &Path, first: &[&str], files: &[(&str, &str)]) -> Self {
        let mut names: Vec<&str> = first.to_vec();
        names.extend(
            files
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| *name != "SHA256SUMS"),
        );
        let said = Command::new("tar")
            .arg("-C")
            .arg(place)
            .arg("-cf")
            .arg("-")
            .args(names)
            .output()
            .unwrap();
        Self {
            sha256: sha256(&said.stdout),
            bytes: said.stdout,
        }
    }
}

pub fn good() -> Vec<(&'static str, &'static str)> {
    vec![
        ("example.org-ca.crt.pem", "the CA\n"),
        ("relay_clientcerts", MAP),
        ("relayhost.example.org.crt.pem", "a certificate\n"),
    ]
}

/// Content, mode and owner of every file; no times.
pub type Stand = BTreeMap<PathBuf, (Vec<u8>, u32, u32)>;

pub fn stand(root: &Path) -> Stand {
    let mut all = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let content = if found.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if found.is_dir() {
                todo.push(path.clone());
            }
            all.insert(path, (content, found.mode(), found.uid()));
        }
    }
    all
}

impl Host {
    pub fn new() -> Self {
        let instance = Setup::new(RELAY).create().unwrap();
        let relayca = instance.config().join("relayca");
        fs::set_permissions(&relayca, fs::Permissions::from_mode(0o700)).unwrap();
        let key = relayca.join("relayhost.example.org.key.pem");
        let made = Command::new("openssl")
            .args([
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
            ])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        let service = RelayService {
            domain: "example.org".into(),
            relay: RELAY.into(),
            port: 2500,
            wrapper: false,
            config_directory: instance.config_inside(),
            digest: "sha256".into(),
            refusal: Refusal::Defer,
            senders: Vec::new(),
        };
        let snippet = relay_snippet(&service, RelayStyle::Block).unwrap();
        Self { instance, snippet }
    }

    pub fn spki(&self) -> String {
        let key = self
            .instance
            .config()
            .join("relayca/relayhost.example.org.key.pem");
        let said = Command::new("openssl")
            .args(["pkey", "-pubout", "-outform", "DER", "-in"])
            .arg(key)
            .output()
            .unwrap();
        sha256(&said.stdout)
    }

    pub fn script(&self, sends: Sends<'_>) -> String {
        host_script(&HostScript {
            host: RELAY,
            config_directory: &self.instance.config_inside(),
            token: "t0",
            names: &NAMES,
            maps: &["relay_clientcerts"],
            spki: &self.spki(),
            known: &[],
            snippet: &self.snippet,
            as_of: Some(4),
            older: false,
            sends,
        })
        .unwrap()
    }

    /// As ssh has it: the script, then the archive, on the standard input of a shell that was told the script's length.
    pub fn run(&self, shell: &[&str], path: &str, script: &str, payload: &[u8]) -> String {
        let boot = format!("eval \"$(dd bs=1 count={} 2>/dev/null)\"", script.len());
        let mut child = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", &boot])
            .env("PATH", path)
            .env_remove("MAIL_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin
            .write_all(script.as_bytes())
            .and_then(|()| stdin.write_all(payload));
        drop(stdin);
        let said = child.wait_with_output().unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        )
    }

    pub fn put(&self, shell: &[&str], path: &str, sent: &Sent) -> String {
        let script = self.script(Sends::Public {
            size: sent.bytes.len(),
            sha256: &sent.sha256,
        });
        self.run(shell, path, &script, &sent.bytes)
    }

    pub fn look(&self) -> String {
        self.run(&["sh"], PATH, &self.script(Sends::Nothing), b"")
    }
}

pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
