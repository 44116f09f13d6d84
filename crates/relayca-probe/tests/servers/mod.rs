//! Servers in this process that do as told, and `openssl s_server` behind a few lines of SMTP.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use relayca_probe::{Mode, Target};

/// A server for one connection that does as told.
pub fn server(behave: impl FnOnce(TcpStream) + Send + 'static) -> (Target, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || behave(listener.accept().unwrap().0));
    (
        Target {
            host: "127.0.0.1".into(),
            port,
            mode: Mode::StartTls,
        },
        served,
    )
}

/// Says each line of the script after the client has said something, the first at once, and gives what it heard.
pub fn recite(stream: &TcpStream, script: &[&str]) -> Vec<String> {
    let mut heard = Vec::new();
    let mut reader = BufReader::new(stream);
    for (i, line) in script.iter().enumerate() {
        if i > 0 {
            let mut said = String::new();
            reader.read_line(&mut said).unwrap();
            heard.push(said);
        }
        let mut writer = stream;
        writer.write_all(line.as_bytes()).unwrap();
    }
    heard
}

/// Waits until the client is gone, so that what was sent to it is not lost in a reset.
pub fn linger(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// What came in one piece.
pub fn some_bytes(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let n = stream.read(&mut bytes).unwrap();
    bytes.truncate(n);
    bytes
}

/// Runs openssl and gives its standard output.
pub fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
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

/// `openssl req` for a P-256 key.
pub const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// A self-signed certificate with a key of the given kind, `NAME.crt` and `NAME.key`.
pub fn certificate(dir: &Path, name: &str, key: &[&str], more: &[&str]) {
    let (subject, crt, file) = (
        format!("/CN={name}"),
        format!("{name}.crt"),
        format!("{name}.key"),
    );
    let request = [
        "req", "-x509", "-nodes", "-days", "2", "-subj", &subject, "-out", &crt, "-keyout", &file,
    ];
    openssl(dir, &[&request[..], key, more].concat());
}

/// A running `openssl s_server` with `leaf.crt` and `leaf.key`, ended when dropped.
pub struct OpenSsl {
    child: Child,
    pub port: u16,
}

impl OpenSsl {
    pub fn start(dir: &Path, options: &[&str]) -> Self {
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

    /// Directly, TLS from the first byte.
    pub fn implicit(&self) -> Target {
        Target {
            host: "127.0.0.1".into(),
            port: self.port,
            mode: Mode::Implicit,
        }
    }

    /// Behind SMTP up to STARTTLS, for one connection.
    pub fn behind_smtp(&self) -> Target {
        Target {
            host: "127.0.0.1".into(),
            port: smtp_before(self.port),
            mode: Mode::StartTls,
        }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
            "220 relay ESMTP\r\n",
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
