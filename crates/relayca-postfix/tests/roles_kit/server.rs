//! A mail server on a real Postfix and a real Dovecot, with certificates as certbot lays them out, and the clients that
//! users have: swaks and curl.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::{Role, RoleHost, RoleSnippet, ServerCertificate, role_snippet};
use tempfile::TempDir;
use xtask::lab::openssl::{Authority, Certificate, Usage};
use xtask::lab::{Dovecot, DovecotSetup, Instance, Pasted, Port, Setup, Sink, Tree};

use super::HOST;

pub const USER: &str = "info@example.org";
pub const PASSWORD: &str = "a password";

pub struct Server {
    pub postfix: Instance,
    pub dovecot: Dovecot,
    pub internet: Sink,
    /// Stands in for Let's Encrypt.
    pub authority: Authority,
    pub shown: Certificate,
    pub submission: Port,
    pub submissions: Port,
    pub style: RelayStyle,
    renewals: std::cell::Cell<usize>,
    _directory: TempDir,
}

/// What a program said, and whether it ended well.
pub fn ask(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

impl Server {
    /// Both running; nothing of ours pasted yet.
    pub fn new(setup: impl FnOnce(Setup) -> Setup, style: RelayStyle, tree: &Tree) -> Self {
        let server = Self::still(setup, style, tree);
        server.postfix.start().unwrap();
        server.dovecot.start().unwrap();
        server
    }

    /// Likewise, but neither runs.
    pub fn still(setup: impl FnOnce(Setup) -> Setup, style: RelayStyle, tree: &Tree) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "Public CA").unwrap();
        let internet = Sink::start().unwrap();
        let postfix = setup(Setup::new(HOST).tree(tree.clone()).relays_to(&internet))
            .create()
            .unwrap();
        // Where another system has no Dovecot, that of this one answers its Postfix.
        let has_one = tree.outside(Path::new("/usr/sbin/dovecot")).exists();
        let dovecot = if has_one {
            DovecotSetup::default().tree(tree.clone())
        } else {
            let socket = postfix.directory().join("queue/private/auth");
            DovecotSetup::default().lines(&format!(
                "service auth {{\n  unix_listener {} {{\n    mode = 0666\n  }}\n}}",
                socket.display()
            ))
        };
        let dovecot = dovecot.user(USER, PASSWORD).create().unwrap();
        let shown = authority.issue(HOST, Usage::Server).unwrap();
        let server = Self {
            postfix,
            dovecot,
            internet,
            authority,
            shown: shown.clone(),
            submission: Port::reserve().unwrap(),
            submissions: Port::reserve().unwrap(),
            style,
            renewals: std::cell::Cell::new(0),
            _directory: directory,
        };
        server.renew(&shown);
        server
    }

    /// Postfix with its roles, Dovecot with its own, all pasted as printed.
    pub fn pasted(setup: impl FnOnce(Setup) -> Setup, style: RelayStyle) -> Self {
        let server = Self::new(setup, style, &Tree::default());
        for role in [Role::Dovecot, Role::Mx, Role::Submission, Role::Submissions] {
            let said = server.paste(role);
            assert!(said.ok(), "{role}: {said:?}\n{}", server.logs());
        }
        server
    }

    pub fn logs(&self) -> String {
        format!(
            "--- Postfix\n{}\n--- Dovecot\n{}",
            self.postfix.log(),
            self.dovecot.log()
        )
    }

    /// certbot's directory.
    pub fn letsencrypt(&self) -> PathBuf {
        self.postfix.directory().join("letsencrypt")
    }

    fn inside(&self, path: &Path) -> String {
        // Both lie in the directory of the instance.
        let rest = path.strip_prefix(self.postfix.directory()).unwrap();
        let config = self.postfix.config_inside();
        let parent = Path::new(&config).parent().unwrap();
        parent.join(rest).display().to_string()
    }

    /// Lays a certificate out as certbot does: numbered files in archive/, links to the newest in live/.
    pub fn renew(&self, certificate: &Certificate) {
        let number = self.renewals.get() + 1;
        self.renewals.set(number);
        let (live, archive) = (
            self.letsencrypt().join("live").join(HOST),
            self.letsencrypt().join("archive").join(HOST),
        );
        fs::create_dir_all(&live).unwrap();
        fs::create_dir_all(&archive).unwrap();
        for directory in ["live", "archive"] {
            let directory = self.letsencrypt().join(directory);
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let chain = [
            fs::read(&certificate.certificate).unwrap(),
            fs::read(self.authority.certificate()).unwrap(),
        ]
        .concat();
        for (name, content) in [
            ("fullchain", chain),
            ("privkey", fs::read(&certificate.key).unwrap()),
        ] {
            let file = archive.join(format!("{name}{number}.pem"));
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let link = live.join(format!("{name}.pem"));
            let _ = fs::remove_file(&link);
            symlink(format!("../../archive/{HOST}/{name}{number}.pem"), link).unwrap();
        }
    }

    pub fn host(&self, role: Role) -> RoleHost {
        RoleHost {
            role,
            host: Some(HOST.to_owned()),
            certificate: ServerCertificate::LetsEncrypt {
                directory: self.inside(&self.letsencrypt()),
                name: HOST.to_owned(),
            },
            config_directory: self.postfix.config_inside(),
            queue_directory: self.inside(&self.postfix.directory().join("queue")),
            dovecot_directory: self.dovecot.config_inside(),
            dovecot_version: None,
            port: match role {
                Role::Submission => Some(self.submission.number()),
                Role::Submissions => Some(self.submissions.number()),
                Role::Mx | Role::Dovecot => None,
            },
            style: if role == Role::Dovecot {
                RelayStyle::Block
            } else {
                self.style
            },
        }
    }

    pub fn snippet(&self, role: Role) -> RoleSnippet {
        role_snippet(&self.host(role)).unwrap()
    }

    /// Pastes what is printed for a role, into the shell of the host.
    pub fn paste(&self, role: Role) -> Pasted {
        self.paste_text(&self.snippet(role).script)
    }

    /// Pastes a script into the shell of the host; what is pretended comes before the real programs.
    pub fn paste_text(&self, script: &str) -> Pasted {
        self.paste_into(&["sh"], script)
    }

    /// Likewise into another shell.
    pub fn paste_into(&self, shell: &[&str], script: &str) -> Pasted {
        let path = format!(
            "PATH={}:{}:/usr/sbin:/sbin",
            self.postfix.directory().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        self.backdate();
        self.postfix
            .paste_into(&[&["env", path.as_str()], shell].concat(), script)
            .unwrap()
    }

    /// Puts a program of another's name first on the path.
    pub fn pretend(&self, program: &str, script: &str) {
        let bin = self.postfix.directory().join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join(program), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// No longer pretends.
    pub fn real(&self, program: &str) {
        fs::remove_file(self.postfix.directory().join("bin").join(program)).unwrap();
    }

    /// Makes main.cf look old: the programs of Postfix wait two seconds for one that was written just now.
    pub fn backdate(&self) {
        fs::File::options()
            .write(true)
            .open(self.postfix.config().join("main.cf"))
            .unwrap()
            .set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60))
            .unwrap();
    }

    /// The configuration, and what lies in conf.d and among certbot's hooks.
    pub fn files(&self) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        let mut pending = vec![
            self.postfix.config(),
            self.dovecot.config(),
            self.letsencrypt().join("renewal-hooks"),
        ];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    files.push((path, text));
                }
            }
        }
        files.sort();
        files
    }

    /// What swaks, a user's mail program, is told by a server.
    pub fn swaks(&self, port: u16, more: &[&str]) -> (bool, String) {
        let port = port.to_string();
        let ca = self.authority.certificate().display().to_string();
        let mut arguments = vec![
            "--server",
            "127.0.0.1",
            "--port",
            &port,
            "--helo",
            "client.example.org",
            "--from",
            USER,
            "--tls-verify",
            "--tls-ca-path",
            &ca,
            "--timeout",
            "20",
        ];
        arguments.extend(more);
        ask("swaks", &arguments)
    }

    /// The serial of the certificate that a port shows.
    pub fn serial_shown(&self, port: u16, more: &[&str]) -> String {
        let connect = format!("127.0.0.1:{port}");
        let ca = self.authority.certificate().display().to_string();
        let mut arguments = vec![
            "s_client",
            "-connect",
            &connect,
            "-CAfile",
            &ca,
            "-verify_hostname",
            HOST,
            "-verify_return_error",
        ];
        arguments.extend(more);
        let (good, said) = ask("openssl", &arguments);
        assert!(good, "{said}");
        let begin = said.find("-----BEGIN CERTIFICATE-----").unwrap();
        let seen = self.postfix.directory().join("seen.pem");
        fs::write(&seen, &said[begin..]).unwrap();
        serial(&seen)
    }
}

/// The serial of a certificate in a file.
pub fn serial(file: &Path) -> String {
    let (good, said) = ask(
        "openssl",
        &["x509", "-in", file.to_str().unwrap(), "-noout", "-serial"],
    );
    assert!(good, "{said}");
    said
}
