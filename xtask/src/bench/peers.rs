//! The peers: other tools that make a P-256 key and a client certificate signed by a CA of theirs.
//!
//! Enters: a directory to work in. Leaves: those that are installed, each with a CA and ready to issue, and the names of those that
//! are not. Refuses to know: relayca. None of them seals, keeps an inventory of the kind, lints, or writes a snippet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::measure::time;
use crate::needs;

/// A tool that is installed, and its own directory.
pub struct Peer {
    pub name: &'static str,
    /// What a run does.
    pub what: &'static str,
    directory: PathBuf,
    steps: Steps,
}

/// The commands of a run: the number makes names that were never used.
type Steps = fn(&Path, usize) -> Vec<Command>;

struct Candidate {
    name: &'static str,
    program: &'static str,
    what: &'static str,
    prepare: fn(&Path) -> anyhow::Result<()>,
    steps: Steps,
}

const CANDIDATES: [Candidate; 7] = [
    Candidate {
        name: "certtool",
        program: "certtool",
        what: "--generate-privkey, --generate-certificate",
        prepare: certtool_authority,
        steps: certtool_steps,
    },
    Candidate {
        name: "openssl",
        program: "openssl",
        what: "genpkey, req -new, x509 -req",
        prepare: openssl_authority,
        steps: openssl_steps,
    },
    Candidate {
        name: "openssl",
        program: "openssl",
        what: "req -x509 -newkey -CA, one process",
        prepare: openssl_authority,
        steps: openssl_one_step,
    },
    Candidate {
        name: "cfssl",
        program: "cfssl",
        what: "gencert",
        prepare: cfssl_authority,
        steps: cfssl_steps,
    },
    Candidate {
        name: "mkcert",
        program: "mkcert",
        what: "-ecdsa -client",
        prepare: mkcert_authority,
        steps: mkcert_steps,
    },
    Candidate {
        name: "minica",
        program: "minica",
        what: "--domains",
        prepare: minica_authority,
        steps: minica_steps,
    },
    Candidate {
        name: "easy-rsa",
        program: "/usr/share/easy-rsa/easyrsa",
        what: "build-client-full, EC",
        prepare: easyrsa_authority,
        steps: easyrsa_steps,
    },
];

impl Peer {
    /// Makes a key and a certificate.
    pub fn issue(&self, number: usize) -> anyhow::Result<Duration> {
        time(&mut (self.steps)(&self.directory, number)).with_context(|| self.name)
    }
}

/// Those that are installed, with their CAs made, and the others: the name, or the name and what kept it from being set up.
pub fn found(directory: &Path) -> anyhow::Result<(Vec<Peer>, Vec<String>)> {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for (number, candidate) in CANDIDATES.into_iter().enumerate() {
        if !needs::present(candidate.program) {
            missing.push(candidate.name.to_owned());
            continue;
        }
        let directory = directory.join(number.to_string());
        fs::create_dir(&directory)?;
        // Debian's `minica`, for one, is another program than the one that is meant.
        if let Err(error) = (candidate.prepare)(&directory) {
            missing.push(format!(
                "{}, whose set-up failed: {error:#}",
                candidate.name
            ));
            continue;
        }
        let peer = Peer {
            name: candidate.name,
            what: candidate.what,
            directory,
            steps: candidate.steps,
        };
        peers.push(peer);
    }
    missing.dedup();
    Ok((peers, missing))
}

fn command(directory: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).args(arguments);
    command
}

/// Runs a command that is not measured; an error has the first line that it wrote.
fn set_up(mut command: Command) -> anyhow::Result<()> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = [done.stderr, done.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    bail!(
        "{:?} ended with {}: {}",
        command.get_program(),
        done.status,
        line.unwrap_or("it wrote nothing")
    )
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    set_up(command(directory, program, arguments))
}

fn certtool_authority(directory: &Path) -> anyhow::Result<()> {
    fs::write(
        directory.join("ca.cfg"),
        "cn = \"CA\"\nca\ncert_signing_key\nexpiration_days = 3650\n",
    )?;
    let leaf = "cn = \"mailhost.example.org\"\ndns_name = \"mailhost.example.org\"\ntls_www_client\nsigning_key\nexpiration_days = 730\n";
    fs::write(directory.join("leaf.cfg"), leaf)?;
    run(
        directory,
        "certtool",
        &[
            "--generate-privkey",
            "--key-type",
            "ecdsa",
            "--curve",
            "secp256r1",
            "--outfile",
            "ca.key",
        ],
    )?;
    run(
        directory,
        "certtool",
        &[
            "--generate-self-signed",
            "--load-privkey",
            "ca.key",
            "--template",
            "ca.cfg",
            "--outfile",
            "ca.crt",
        ],
    )
}

fn certtool_steps(directory: &Path, _: usize) -> Vec<Command> {
    let certificate = [
        "--generate-certificate",
        "--load-privkey",
        "leaf.key",
        "--load-ca-certificate",
        "ca.crt",
        "--load-ca-privkey",
        "ca.key",
        "--template",
        "leaf.cfg",
        "--outfile",
        "leaf.crt",
    ];
    vec![
        command(
            directory,
            "certtool",
            &[
                "--generate-privkey",
                "--key-type",
                "ecdsa",
                "--curve",
                "secp256r1",
                "--outfile",
                "leaf.key",
            ],
        ),
        command(directory, "certtool", &certificate),
    ]
}

fn openssl_authority(directory: &Path) -> anyhow::Result<()> {
    fs::write(
        directory.join("leaf.cnf"),
        "[req]\ndistinguished_name = name\n[name]\n[leaf]\nbasicConstraints = CA:FALSE\nkeyUsage = critical, digitalSignature\n\
         extendedKeyUsage = clientAuth\nsubjectAltName = DNS:mailhost.example.org\n",
    )?;
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-subj",
        "/CN=CA",
        "-days",
        "3650",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
    ];
    run(directory, "openssl", &arguments)
}

fn openssl_steps(directory: &Path, _: usize) -> Vec<Command> {
    let certificate = [
        "x509",
        "-req",
        "-in",
        "leaf.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-days",
        "730",
        "-extfile",
        "leaf.cnf",
        "-extensions",
        "leaf",
        "-out",
        "leaf.crt",
    ];
    vec![
        command(
            directory,
            "openssl",
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
                "leaf.key",
            ],
        ),
        command(
            directory,
            "openssl",
            &[
                "req",
                "-new",
                "-key",
                "leaf.key",
                "-subj",
                "/CN=mailhost.example.org",
                "-out",
                "leaf.csr",
            ],
        ),
        command(directory, "openssl", &certificate),
    ]
}

fn openssl_one_step(directory: &Path, _: usize) -> Vec<Command> {
    let arguments = [
        "req",
        "-x509",
        "-config",
        "leaf.cnf",
        "-extensions",
        "leaf",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-noenc",
        "-subj",
        "/CN=mailhost.example.org",
        "-days",
        "730",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-keyout",
        "leaf.key",
        "-out",
        "leaf.crt",
    ];
    vec![command(directory, "openssl", &arguments)]
}

fn cfssl_authority(directory: &Path) -> anyhow::Result<()> {
    fs::write(
        directory.join("config.json"),
        r#"{"signing":{"default":{"expiry":"17520h","usages":["digital signature","client auth"]}}}"#,
    )?;
    fs::write(
        directory.join("leaf.json"),
        r#"{"CN":"mailhost.example.org","hosts":["mailhost.example.org"],"key":{"algo":"ecdsa","size":256}}"#,
    )?;
    // The CA is openssl's where it is there, which any machine with cfssl has; `cfssl gencert -initca` would write JSON.
    openssl_authority(directory)
}

fn cfssl_steps(directory: &Path, _: usize) -> Vec<Command> {
    let arguments = [
        "gencert",
        "-loglevel",
        "5",
        "-ca",
        "ca.crt",
        "-ca-key",
        "ca.key",
        "-config",
        "config.json",
        "leaf.json",
    ];
    vec![command(directory, "cfssl", &arguments)]
}

fn mkcert(directory: &Path, arguments: &[&str]) -> Command {
    let mut mkcert = command(directory, "mkcert", arguments);
    mkcert.env("CAROOT", directory);
    mkcert
}

fn mkcert_authority(directory: &Path) -> anyhow::Result<()> {
    // The first run makes the CA.
    mkcert_steps(directory, 0).into_iter().try_for_each(set_up)
}

fn mkcert_steps(directory: &Path, _: usize) -> Vec<Command> {
    let arguments = [
        "-ecdsa",
        "-client",
        "-cert-file",
        "leaf.crt",
        "-key-file",
        "leaf.key",
        "mailhost.example.org",
    ];
    vec![mkcert(directory, &arguments)]
}

fn minica_authority(directory: &Path) -> anyhow::Result<()> {
    run(directory, "minica", &["--domains", "first.example.org"])
}

fn minica_steps(directory: &Path, number: usize) -> Vec<Command> {
    vec![command(
        directory,
        "minica",
        &["--domains", &format!("mailhost{number}.example.org")],
    )]
}

fn easyrsa(directory: &Path, arguments: &[&str]) -> Command {
    let mut easyrsa = command(directory, "/usr/share/easy-rsa/easyrsa", &["--batch"]);
    easyrsa.args(arguments);
    for (name, value) in [
        ("EASYRSA_ALGO", "ec"),
        ("EASYRSA_CURVE", "prime256v1"),
        ("EASYRSA_SILENT", "1"),
    ] {
        easyrsa.env(name, value);
    }
    easyrsa.env("EASYRSA_PKI", directory.join("pki"));
    easyrsa
}

fn easyrsa_authority(directory: &Path) -> anyhow::Result<()> {
    set_up(easyrsa(directory, &["init-pki"]))?;
    set_up(easyrsa(directory, &["build-ca", "nopass"]))
}

fn easyrsa_steps(directory: &Path, number: usize) -> Vec<Command> {
    vec![easyrsa(
        directory,
        &["build-client-full", &format!("mailhost{number}"), "nopass"],
    )]
}
