//! `relayca fingerprint`: what Postfix looks up, of files or of a live server. Needs no authority.

use std::io::Read;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

use relayca_ca::{Inspected, InspectedKind};
use relayca_fingerprint::{Digest, Pin, fingerprint};
use relayca_probe::{Mode, Target, Timeouts};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::Fingerprint;
use crate::disk;
use crate::failure::Failure;
use crate::run::Run;
use crate::settings::word;

/// Bytes of a file to take a fingerprint of.
const LONGEST: usize = 1 << 20;

/// Runs the command.
pub fn run(run: &Run, arguments: &Fingerprint) -> Result<(), Failure> {
    let digest: Digest = word(&arguments.digest)?;
    let pin: Pin = word(&arguments.pin)?;
    super::map::warn_of_weak(run, digest);
    let mut found = Vec::new();
    for what in &arguments.what {
        for inspected in inspect(what, arguments)? {
            found.push((what.as_str(), inspected));
        }
    }
    let mut values = Vec::new();
    let mut text = String::new();
    for (source, inspected) in &found {
        for (kind, der) in pinned(inspected, pin) {
            let fingerprint = fingerprint(digest, der).to_string();
            text.push_str(&format!(
                "{fingerprint}  {kind:<6}  {digest}  {} in {}\n",
                word_of(inspected.kind),
                crate::printer::one_line(source)
            ));
            values.push(json!({ "source": source, "of": word_of(inspected.kind), "pin": kind, "digest": digest.to_string(), "fingerprint": fingerprint }));
        }
    }
    if text.is_empty() {
        return Err(Failure::usage(
            "a certificate fingerprint was asked for, and there is no certificate",
        )
        .hint("a key or CSR has a public-key fingerprint only: --pin pubkey"));
    }
    if run.printer.json {
        return run.printer.json(&Value::Array(values));
    }
    run.printer.data(&text)
}

fn pinned(inspected: &Inspected, pin: Pin) -> Vec<(&'static str, &[u8])> {
    let mut pinned = Vec::new();
    if pin != Pin::Cert {
        pinned.push(("pubkey", inspected.spki_der.as_slice()));
    }
    if let Some(certificate) = inspected
        .certificate_der
        .as_deref()
        .filter(|_| pin != Pin::Pubkey)
    {
        pinned.push(("cert", certificate));
    }
    pinned
}

fn word_of(kind: InspectedKind) -> &'static str {
    match kind {
        InspectedKind::Certificate => "certificate",
        InspectedKind::CertificateRequest => "certificate request",
        InspectedKind::PublicKey => "public key",
        InspectedKind::PrivateKey => "private key",
    }
}

fn inspect(what: &str, arguments: &Fingerprint) -> Result<Vec<Inspected>, Failure> {
    if what == "-" {
        let mut content = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        std::io::stdin()
            .take(LONGEST as u64 + 1)
            .read_to_end(&mut content)
            .map_err(|error| {
                Failure::new(format!("cannot read standard input: {error}"))
                    .hint("standard input must be open")
            })?;
        return read(&content, "standard input");
    }
    if !Path::new(what).exists()
        && let Some((host, port)) = host_and_port(what)
    {
        return from_server(host, port, arguments);
    }
    read(&disk::read(Path::new(what), LONGEST)?, what)
}

fn read(content: &[u8], name: &str) -> Result<Vec<Inspected>, Failure> {
    relayca_ca::spki_of(content).map_err(|error| Failure::from(error).within(name))
}

/// `HOST:PORT` or `[V6]:PORT`.
fn host_and_port(what: &str) -> Option<(&str, u16)> {
    let (host, port) = what.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty() && !host.contains('/'))
}

fn from_server(host: &str, port: u16, arguments: &Fingerprint) -> Result<Vec<Inspected>, Failure> {
    // Asked for here so that a mistyped name is told apart from a server that is down.
    (host, port).to_socket_addrs().map_err(|error| {
        Failure::new(format!(
            "`{host}` is no file, and no host of that name was found: {error}"
        ))
        .hint("check the spelling; a live server is HOST:PORT")
    })?;
    let target = Target {
        host: host.to_owned(),
        port,
        mode: if arguments.wrapper {
            Mode::Implicit
        } else {
            Mode::StartTls
        },
    };
    let total = Duration::from_secs(arguments.timeout);
    let timeouts = Timeouts {
        connect: total,
        total,
    };
    let presented = relayca_probe::present(&target, timeouts)?;
    let leaf = presented
        .chain
        .first()
        .ok_or_else(|| Failure::new(format!("`{host}:{port}` showed no certificate")))?;
    read(leaf, &format!("{host}:{port}"))
}
