//! An admin who reaches real Postfixes over real sshds, by an ssh configuration of his own.
//!
//! In: names of relays and mail hosts. Out: what `deploy` said, and all about the hosts. It refuses to know how deploy works.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use xtask::lab::{Instance, Port, Setup, Sink, Sshd, sshd};
use xtask::main_job::{Admin, DOMAIN, MAIL_HOST, RELAY, SOON, Said};

pub const RELAYCA: &str = env!("CARGO_BIN_EXE_relayca");

/// A host that ssh reaches.
pub struct Host {
    pub name: String,
    pub instance: Instance,
    pub sshd: Sshd,
    /// Of a relay: the port of its service.
    pub port: Option<Port>,
}

/// All of them.
pub struct Fleet {
    pub admin: Admin,
    pub hosts: Vec<Host>,
    pub internet: Sink,
}

impl Fleet {
    /// A relay and a mail host, both issued; nothing is on them yet.
    pub fn new() -> Self {
        Self::of(&[RELAY], &[MAIL_HOST])
    }

    /// Likewise, these.
    pub fn of(relays: &[&str], mail_hosts: &[&str]) -> Self {
        let knows = |setup: Setup| relays.iter().fold(setup, |setup, relay| setup.knows(relay));
        Self::made_of(
            relays,
            &mail_hosts
                .iter()
                .map(|name| (*name, knows(Setup::new(name))))
                .collect::<Vec<_>>(),
        )
    }

    /// Likewise, the mail hosts set up in a way of their own.
    pub fn made_of(relays: &[&str], mail_hosts: &[(&str, Setup)]) -> Self {
        let admin = Admin::new(Path::new(RELAYCA)).unwrap();
        let internet = Sink::start().unwrap();
        let public = sshd::key(&admin.place().join("ssh_key")).unwrap();
        let mut hosts = Vec::new();
        for relay in relays {
            let setup = Setup::new(relay).relays_to(&internet);
            hosts.push(host(relay, setup, Some(Port::reserve().unwrap()), &public));
        }
        for (name, setup) in mail_hosts {
            hosts.push(host(name, setup.clone(), None, &public));
        }
        let fleet = Self {
            admin,
            hosts,
            internet,
        };
        fleet.write_configuration("");
        let places: Vec<String> = fleet
            .hosts
            .iter()
            .filter_map(|host| Some(format!("{}:{}", host.name, host.port.as_ref()?.number())))
            .collect();
        let arguments: Vec<&str> = places.iter().flat_map(|place| ["--relay", place]).collect();
        fleet.admin.init(&arguments).unwrap();
        for host in &fleet.hosts {
            fleet
                .admin
                .config_directory(&host.name, &host.instance.config_inside())
                .unwrap();
        }
        for (name, _) in mail_hosts {
            fleet.admin.done(&["issue", name]).unwrap();
        }
        fleet
    }

    /// ssh_config and known_hosts as the admin has them, and more sections before.
    pub fn write_configuration(&self, more: &str) {
        let place = self.admin.place();
        let sections: String = self
            .hosts
            .iter()
            .map(|host| host.sshd.client_section(&host.name))
            .collect();
        let known: String = self
            .hosts
            .iter()
            .map(|host| host.sshd.known_host().unwrap())
            .collect();
        fs::write(place.join("known_hosts"), known).unwrap();
        fs::write(
            place.join("ssh_config"),
            format!(
                "{more}{sections}Host *\n  IdentityFile {0}/ssh_key\n  IdentitiesOnly yes\n  UserKnownHostsFile {0}/known_hosts\n  \
                 GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
                place.display()
            ),
        )
        .unwrap();
    }

    /// `ssh -F …`, as `--ssh` takes it.
    pub fn ssh(&self) -> String {
        format!("ssh -F {}/ssh_config", self.admin.place().display())
    }

    pub fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == name).unwrap()
    }

    /// `relayca deploy`.
    pub fn deploy(&self, arguments: &[&str]) -> Said {
        self.deploy_by(&self.ssh(), arguments)
    }

    /// Likewise, by another ssh.
    pub fn deploy_by(&self, ssh: &str, arguments: &[&str]) -> Said {
        let mut all = vec!["deploy", "--ssh", ssh];
        all.extend(arguments);
        self.admin.run(&all).unwrap()
    }

    /// A program that stands for ssh; `$@` are ssh's arguments, and `real "$@"` runs it.
    pub fn instead_of_ssh(&self, script: &str) -> String {
        let path = self.admin.place().join(format!("ssh-{}", script.len()));
        program(
            &path,
            &format!("#!/bin/sh\nreal() {{ {} \"$@\"; }}\n{script}\n", self.ssh()),
        );
        path.display().to_string()
    }

    /// Takes the hint of the admin's identity, which opens the bundles.
    pub fn forgets_identity(&self) {
        let text = fs::read_to_string(self.admin.file("relayca.toml")).unwrap();
        let kept: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("identities = "))
            .collect();
        fs::write(self.admin.file("relayca.toml"), kept.join("\n")).unwrap();
    }

    /// A message goes from this mail host to the internet.
    #[track_caller]
    pub fn mail_flows(&self, from: &str) {
        let before = self.internet.count();
        self.send(from);
        self.internet
            .wait_for(before + 1, SOON)
            .unwrap_or_else(|error| {
                let logs: Vec<String> = self.hosts.iter().map(|host| host.instance.log()).collect();
                panic!("{error}\n{}", logs.join("\n\n"))
            });
    }

    pub fn send(&self, from: &str) {
        self.host(from)
            .instance
            .send(&format!("info@{DOMAIN}"), "someone@example.net", "x")
            .unwrap();
    }
}

fn host(name: &str, setup: Setup, port: Option<Port>, public: &str) -> Host {
    let instance = setup.start().unwrap();
    // The lab makes it; here `deploy` is to.
    fs::remove_dir(instance.config().join("relayca")).unwrap();
    let sshd = Sshd::start(&instance, public).unwrap();
    Host {
        name: name.to_owned(),
        instance,
        sshd,
        port,
    }
}

impl Host {
    /// A file in CONFIG/relayca.
    pub fn file(&self, name: &str) -> PathBuf {
        self.instance.config().join("relayca").join(name)
    }

    /// A program that comes before the system's in a session.
    pub fn shim(&self, name: &str, script: &str) {
        program(&self.instance.directory().join("bin").join(name), script);
    }

    /// The system's own again.
    pub fn no_shim(&self, name: &str) {
        fs::remove_file(self.instance.directory().join("bin").join(name)).unwrap();
    }
}

/// Writes a program whole before it has its name, so that nobody runs half of it.
pub fn program(path: &Path, script: &str) {
    let new = path.with_extension("new");
    fs::write(&new, script).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, path).unwrap();
}

/// The word that stands behind a host.
#[track_caller]
pub fn state<'a>(said: &'a Said, host: &str) -> &'a str {
    let line = said
        .stdout
        .lines()
        .find(|line| line.split_whitespace().next() == Some(host))
        .unwrap_or_else(|| panic!("nothing about {host}: {}{}", said.stdout, said.stderr));
    line.split_whitespace().nth(1).unwrap()
}

/// It ended with this code; gives all that was said.
#[track_caller]
pub fn ended(said: &Said, code: i32) -> String {
    assert_eq!(said.code, code, "{}{}", said.stdout, said.stderr);
    format!("{}{}", said.stdout, said.stderr)
}
