//! `openssl s_server` as the relay: the probe shows exactly the certificates that it was given. Since `s_server` speaks TLS
//! only, a few lines of SMTP stand before it where STARTTLS is probed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use relayca_probe::{Mode, Presented, Target, Timeouts, present};

fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A CA and a leaf `relay.example.org` with keys of the given kind; gives both in DER, leaf first.
fn certificates(dir: &Path, key: &[&str]) -> Vec<Vec<u8>> {
    let request = ["req", "-x509", "-nodes", "-days", "2"];
    let ca = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-subj",
        "/CN=CA",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
    ];
    openssl(dir, &[&request[..], &ca].concat());
    let leaf = [
        "-subj",
        "/CN=relay.example.org",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-keyout",
        "leaf.key",
        "-out",
        "leaf.crt",
    ];
    openssl(dir, &[&request[..], key, &leaf].concat());
    ["leaf.crt", "ca.crt"]
        .map(|c| openssl(dir, &["x509", "-in", c, "-outform", "der"]))
        .to_vec()
}

/// A running `openssl s_server`, ended when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(dir: &Path, options: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                "leaf.crt",
                "-key",
                "leaf.key",
            ])
            .args(["-cert_chain", "ca.crt"])
            // Answers each line with its reverse: no SMTP, but an answer to QUIT.
            .arg("-rev")
            .args(options)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It prints `ACCEPT 127.0.0.1:PORT` when it listens, having chosen a free port.
        let mut said = BufReader::new(child.stdout.as_mut().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT") {
            line.clear();
            if said.read_line(&mut line).unwrap() == 0 {
                let output = child.wait_with_output().unwrap();
                panic!(
                    "s_server {options:?}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    fn probe(&self, host: &str, mode: Mode) -> Presented {
        let port = if mode == Mode::StartTls {
            smtp_before(self.port)
        } else {
            self.port
        };
        present(
            &Target {
                host: host.into(),
                port,
                mode,
            },
            Timeouts::default(),
        )
        .unwrap()
    }
}

/// For one connection: speaks SMTP up to STARTTLS, then passes on to and from the TLS server. Gives its port.
fn smtp_before(tls_port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let client = listener.accept().unwrap().0;
        let mut said = BufReader::new(client.try_clone().unwrap());
        for line in [
            "220 relay.example.org\x07 ESMTP\r\n",
            "250-relay\r\n250 STARTTLS\r\n",
            "220 go\r\n",
        ] {
            (&client).write_all(line.as_bytes()).unwrap();
            if !line.starts_with("220 go") {
                said.read_line(&mut String::new()).unwrap();
            }
        }
        let server = TcpStream::connect(("127.0.0.1", tls_port)).unwrap();
        let (to_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || pass_on(from_server, to_client));
        pass_on(client, server);
    });
    port
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

#[test]
fn starttls_shows_the_whole_chain_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let kinds: [(&str, &[&str]); 3] = [
        ("ec", &P256),
        ("ed25519", &["-newkey", "ed25519"]),
        ("rsa", &["-newkey", "rsa:2048"]),
    ];
    for (name, key) in kinds {
        let chain = certificates(dir.path(), key);
        for (option, protocol) in [("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")] {
            let server = Server::start(dir.path(), &[option]);
            let seen = server.probe("127.0.0.1", Mode::StartTls);
            assert_eq!(seen.chain, chain, "{name}");
            assert_eq!(seen.protocol, protocol);
            assert!(seen.cipher.starts_with("TLS"), "{}", seen.cipher);
            assert_eq!(seen.banner, "relay.example.org  ESMTP");
            assert!(seen.proven);
            assert_eq!(seen.refusal, None);
        }
    }
}

#[test]
fn a_server_that_demands_a_client_certificate_still_shows_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let chain = certificates(dir.path(), &P256);
    for (option, reason) in [
        ("-tls1_2", "handshake_failure"),
        ("-tls1_3", "certificate_required"),
    ] {
        let server = Server::start(dir.path(), &["-Verify", "1", option]);
        let seen = server.probe("127.0.0.1", Mode::StartTls);
        assert_eq!(seen.chain, chain);
        assert!(seen.proven);
        let refusal = seen.refusal.unwrap();
        assert!(refusal.contains(reason), "{refusal}");
    }
}

#[test]
fn implicit_tls_needs_no_smtp_before() {
    let dir = tempfile::tempdir().unwrap();
    let chain = certificates(dir.path(), &P256);
    let server = Server::start(dir.path(), &[]);
    let seen = server.probe("127.0.0.1", Mode::Implicit);
    assert_eq!(seen.chain, chain);
    assert_eq!(seen.protocol, "TLS 1.3");
    drop(server);
    let server = Server::start(dir.path(), &["-Verify", "1"]);
    let seen = server.probe("127.0.0.1", Mode::Implicit);
    assert_eq!(seen.chain, chain);
    assert!(seen.refusal.unwrap().contains("certificate_required"));
}

#[test]
fn the_host_name_is_sent_as_sni() {
    let dir = tempfile::tempdir().unwrap();
    let other = certificates(dir.path(), &P256);
    fs::rename(dir.path().join("leaf.crt"), dir.path().join("other.crt")).unwrap();
    fs::rename(dir.path().join("leaf.key"), dir.path().join("other.key")).unwrap();
    let chain = certificates(dir.path(), &P256);
    let server = Server::start(
        dir.path(),
        &[
            "-servername",
            "localhost",
            "-cert2",
            "other.crt",
            "-key2",
            "other.key",
        ],
    );
    assert_eq!(server.probe("localhost", Mode::Implicit).chain[0], other[0]);
    assert_eq!(server.probe("127.0.0.1", Mode::Implicit).chain[0], chain[0]);
}

#[test]
fn expired_and_foreign_certificates_are_shown_not_judged() {
    let dir = tempfile::tempdir().unwrap();
    let _ = certificates(dir.path(), &P256);
    let expired = [
        "x509",
        "-in",
        "leaf.crt",
        "-signkey",
        "leaf.key",
        "-days",
        "-1",
        "-out",
        "expired.crt",
    ];
    openssl(dir.path(), &expired);
    fs::rename(dir.path().join("expired.crt"), dir.path().join("leaf.crt")).unwrap();
    let der = openssl(dir.path(), &["x509", "-in", "leaf.crt", "-outform", "der"]);
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.probe("127.0.0.1", Mode::StartTls).chain[0], der);
}
