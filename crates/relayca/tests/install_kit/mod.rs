//! A relay and a mail host that are set up by `relayca install` alone.
//!
//! In: nothing. Out: two real Postfixes, an authority, bundles sealed to the hosts' SSH keys; everything about a directory, to
//! prove that nothing changed. It refuses to know how install works.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::lab::{Instance, Pasted, Port, Setup, Sink};
use xtask::main_job::{Admin, DOMAIN, MAIL_HOST, RELAY, SOON};

pub const RELAYCA: &str = env!("CARGO_BIN_EXE_relayca");

/// Both hosts, and the internet behind the relay.
pub struct Hosts {
    pub admin: Admin,
    pub relay: Instance,
    pub mail_host: Instance,
    pub internet: Sink,
    pub port: Port,
    /// Further relays, by name.
    pub others: BTreeMap<String, Instance>,
}

/// What differs from the ordinary.
#[derive(Clone)]
pub struct Plan<'a> {
    pub relay: Setup,
    pub mail_host: Setup,
    /// More for `init`.
    pub init: &'a [&'a str],
    /// More for `issue`.
    pub issue: &'a [&'a str],
    /// In relayca.toml: from, to.
    pub edits: &'a [(&'a str, &'a str)],
    /// The type of the hosts' SSH keys; none, and bundles are under passphrases.
    pub ssh: Option<&'a str>,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            relay: Setup::new(RELAY),
            mail_host: Setup::new(MAIL_HOST),
            init: &[],
            issue: &[],
            edits: &[],
            ssh: Some("ed25519"),
        }
    }
}

/// An SSH key, as a host has one. Gives the public half.
pub fn host_key(directory: &Path, kind: &str) -> String {
    let key = directory.join("host_key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    fs::read_to_string(key.with_extension("pub"))
        .unwrap()
        .trim()
        .to_owned()
}

impl Hosts {
    /// Postfix runs on both; the authority has made its relay, and issued the mail host.
    pub fn new() -> Self {
        Self::of(Plan::default())
    }

    /// Likewise, with something else about it.
    pub fn of(plan: Plan<'_>) -> Self {
        let admin = Admin::new(Path::new(RELAYCA)).unwrap();
        let internet = Sink::start().unwrap();
        let port = Port::reserve().unwrap();
        let relay = plan.relay.relays_to(&internet).start().unwrap();
        let mail_host = plan.mail_host.knows(RELAY).start().unwrap();
        for instance in [&relay, &mail_host] {
            // The lab makes it; here `install` is to.
            fs::remove_dir(instance.config().join("relayca")).unwrap();
        }
        let hosts = Self {
            admin,
            relay,
            mail_host,
            internet,
            port,
            others: BTreeMap::new(),
        };
        let place = format!("{RELAY}:{}", hosts.port.number());
        let directory = hosts.relay.config_inside();
        let mut all = vec!["--relay", &place, "--config-directory", &directory];
        let key = plan.ssh.map(|kind| host_key(hosts.relay.directory(), kind));
        all.extend(key.iter().flat_map(|key| ["--seal-to", key]));
        all.extend(plan.init);
        hosts.admin.init(&all).unwrap();
        for (from, to) in plan.edits {
            hosts.admin.edit(from, to).unwrap();
        }
        hosts
            .admin
            .config_directory(MAIL_HOST, &hosts.mail_host.config_inside())
            .unwrap();
        let key = plan
            .ssh
            .map(|kind| host_key(hosts.mail_host.directory(), kind));
        let mut all = vec!["issue", "mailhost"];
        all.extend(key.iter().flat_map(|key| ["--seal-to", key]));
        all.extend(plan.issue);
        hosts.admin.done(&all).unwrap();
        for host in [RELAY, MAIL_HOST] {
            if plan.ssh.is_none() {
                let passphrase = hosts.admin.done(&["passphrase", host]).unwrap();
                fs::write(hosts.passphrase(host), passphrase).unwrap();
            }
        }
        hosts
    }

    /// The file with the passphrase of its bundle, where there is one.
    pub fn passphrase(&self, host: &str) -> PathBuf {
        self.instance(host).directory().join("passphrase")
    }

    pub fn instance(&self, host: &str) -> &Instance {
        match self.others.get(host) {
            Some(other) => other,
            None if host == RELAY => &self.relay,
            None => &self.mail_host,
        }
    }

    /// The hosts' whole configuration directories.
    pub fn stands(&self) -> [BTreeMap<PathBuf, Stand>; 2] {
        [&self.relay, &self.mail_host].map(|instance| stand(&instance.config()))
    }

    /// What is in a file of a host's configuration directory.
    pub fn text(&self, host: &str, file: &str) -> String {
        fs::read_to_string(self.instance(host).config().join(file)).unwrap()
    }

    /// The public half of a host's SSH key.
    pub fn key(&self, host: &str) -> String {
        let file = self.instance(host).directory().join("host_key.pub");
        fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// Both have what was made for them last, without keys.
    pub fn bring_up_to_date(&self) {
        done(&self.install_public(RELAY, "--apply"));
        done(&self.install_public(MAIL_HOST, "--apply"));
    }

    /// The sealed bundle.
    pub fn sealed(&self, host: &str) -> PathBuf {
        self.admin.file(&format!("bundles/{host}.tar.age"))
    }

    /// The public one.
    pub fn public(&self, host: &str) -> PathBuf {
        self.admin.file(&format!("bundles/{host}.public.tar"))
    }

    /// The command line of `install` on a host.
    pub fn install_line(&self, host: &str, bundle: &Path, more: &str) -> String {
        let instance = self.instance(host);
        let opens = match self.passphrase(host) {
            file if file.exists() => format!("--passphrase-file {}", file.display()),
            _ => format!("-i {}", instance.directory().join("host_key").display()),
        };
        format!(
            "{RELAYCA} install {} {opens} --config-directory {} {more}",
            bundle.display(),
            instance.config_inside(),
        )
    }

    /// `install` on a host, with whatever was made for it last.
    pub fn install(&self, host: &str, more: &str) -> Pasted {
        let line = self.install_line(host, &self.sealed(host), more);
        self.instance(host).paste(&line).unwrap()
    }

    /// `install` of the public bundle.
    pub fn install_public(&self, host: &str, more: &str) -> Pasted {
        let line = self.install_line(host, &self.public(host), more);
        self.instance(host).paste(&line).unwrap()
    }

    /// `uninstall` on a host.
    pub fn uninstall(&self, host: &str, more: &str) -> Pasted {
        let instance = self.instance(host);
        let line = format!(
            "{RELAYCA} uninstall --config-directory {} {more}",
            instance.config_inside()
        );
        instance.paste(&line).unwrap()
    }

    /// The relay has the list of today (a public bundle: `issue` made it after the sealed one), then the mail host.
    pub fn install_both(&self) {
        done(&self.install(RELAY, "--apply"));
        done(&self.install_public(RELAY, "--apply"));
        done(&self.install(MAIL_HOST, "--apply"));
    }

    /// Both are set up without `install`. As INSTALL.txt says: unpacked by tar, then the block; and the list of today on the relay.
    pub fn paste_both(&self) {
        for host in [RELAY, MAIL_HOST] {
            let instance = self.instance(host);
            let script = format!(
                "set -e\nmkdir -p -m 700 {0}/relayca\nage -d -i {1}/host_key {2} | tar -xf - -C {0}/relayca\ncd {0}/relayca\nsh {host}.snippet.sh\n",
                instance.config_inside(),
                instance.directory().display(),
                self.sealed(host).display(),
            );
            done(&instance.paste(&script).unwrap());
        }
        let list = self.admin.done(&["map", "--format", "paste"]).unwrap();
        done(&self.relay.paste(&list).unwrap());
    }

    /// A message goes from the mail host to the internet.
    #[track_caller]
    pub fn mail_flows(&self) {
        let before = self.internet.count();
        self.mail_host
            .send(&format!("info@{DOMAIN}"), "someone@example.net", "x")
            .unwrap();
        self.internet
            .wait_for(before + 1, SOON)
            .unwrap_or_else(|error| {
                panic!("{error}\n{}\n{}", self.mail_host.log(), self.relay.log())
            });
    }
}

/// It ended well; gives what it said.
#[track_caller]
pub fn done(said: &Pasted) -> String {
    assert!(said.ok(), "{}\n{}", said.stdout, said.stderr);
    format!("{}{}", said.stdout, said.stderr)
}

/// It failed with this code; gives what it said.
#[track_caller]
pub fn failed(said: &Pasted, code: i32) -> String {
    assert_eq!(said.status, code, "{}\n{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("relayca: error: "), "{}", said.stderr);
    assert!(said.stderr.contains("relayca: hint: "), "{}", said.stderr);
    said.stderr.clone()
}

/// All that a file is, its last change included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    pub mode: u32,
    pub owner: (u32, u32),
    pub changed: (i64, i64),
    pub content: Vec<u8>,
}

/// A directory: of directories only kind and mode, as their times go with what is made in them for a while.
pub fn stand(root: &Path) -> BTreeMap<PathBuf, Stand> {
    let mut all = BTreeMap::new();
    read(root, root, &mut all);
    all
}

fn read(root: &Path, path: &Path, all: &mut BTreeMap<PathBuf, Stand>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let file = found.is_file();
        all.insert(
            path.strip_prefix(root).unwrap().to_owned(),
            Stand {
                mode: found.mode(),
                owner: (found.uid(), found.gid()),
                changed: if file {
                    (found.mtime(), found.mtime_nsec())
                } else {
                    (0, 0)
                },
                content: if file {
                    fs::read(&path).unwrap()
                } else {
                    Vec::new()
                },
            },
        );
        if found.is_dir() {
            read(root, &path, all);
        }
    }
}

/// Names of what differs.
pub fn differing(one: &BTreeMap<PathBuf, Stand>, other: &BTreeMap<PathBuf, Stand>) -> Vec<String> {
    let mut names: Vec<String> = one
        .keys()
        .chain(other.keys())
        .filter(|path| one.get(*path) != other.get(*path))
        .map(|path| path.display().to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Nothing differs, not even a time.
#[track_caller]
pub fn same(one: &BTreeMap<PathBuf, Stand>, other: &BTreeMap<PathBuf, Stand>) {
    assert_eq!(differing(one, other), Vec::<String>::new());
}

/// The same bytes, modes and owners, whatever the times.
#[track_caller]
pub fn same_bytes(one: &BTreeMap<PathBuf, Stand>, other: &BTreeMap<PathBuf, Stand>) {
    let timeless = |all: &BTreeMap<PathBuf, Stand>| {
        let mut all = all.clone();
        for one in all.values_mut() {
            one.changed = (0, 0);
        }
        all
    };
    same(&timeless(one), &timeless(other));
}
