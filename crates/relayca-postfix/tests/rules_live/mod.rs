//! One real Postfix with a service for each claim, and clients that say what they heard.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use xtask::lab::openssl::{Authority, Certificate, Usage, openssl};
use xtask::lab::{self, Instance, Port, Setup, Sink, wait_for};

pub const SOON: Duration = Duration::from_secs(30);

pub const ENCRYPT: &str = "smtpd_tls_security_level=encrypt";
pub const MAY: &str = "smtpd_tls_security_level=may";
pub const ASK: &str = "smtpd_tls_ask_ccert=yes";
pub const REQUIRE: &str = "smtpd_tls_req_ccert=yes";
pub const DEFER: &str = "smtpd_relay_restrictions=permit_tls_clientcerts,defer";
pub const SHA256: &str = "smtpd_tls_fingerprint_digest=sha256";

/// A Postfix to be, with services that are added one by one.
pub struct Bench {
    pub directory: TempDir,
    pub authority: Authority,
    pub server: Certificate,
    setup: Option<Setup>,
    ports: Vec<Port>,
    instance: Option<Instance>,
}

impl Bench {
    /// With a CA, and a server's certificate of it.
    pub fn new() -> Self {
        lab::available().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "example.org relay CA").unwrap();
        let server = authority.issue("relay.example.org", Usage::Server).unwrap();
        let setup = Setup::new("relay.example.org")
            .set("smtpd_peername_lookup", "no")
            .set("smtpd_tls_cert_file", "")
            .set("smtpd_tls_key_file", "")
            .set("smtpd_tls_security_level", "")
            .set("mynetworks", "192.0.2.1/32")
            .set("smtpd_tls_loglevel", "1")
            // An idle daemon keeps what it read; each client gets what stands in the files.
            .set("max_use", "1");
        Self {
            directory,
            authority,
            server,
            setup: Some(setup),
            ports: Vec::new(),
            instance: None,
        }
    }

    /// A parameter of main.cf.
    pub fn set(&mut self, name: &str, value: &str) {
        self.setup = self.setup.take().map(|setup| setup.set(name, value));
    }

    /// Sends what is not local to a sink.
    pub fn relays_to(&mut self, internet: &Sink) {
        self.setup = self.setup.take().map(|setup| setup.relays_to(internet));
    }

    /// Adds a service with options `name=value`; gives its port.
    pub fn service(&mut self, options: &[&str]) -> u16 {
        self.service_with("n", options)
    }

    /// Likewise, in the jail or not.
    pub fn service_with(&mut self, chroot: &str, options: &[&str]) -> u16 {
        let port = Port::reserve().unwrap();
        let number = port.number();
        self.ports.push(port);
        let mut lines =
            format!("{number} inet n - {chroot} - - smtpd\n -o syslog_name=s{number}\n");
        for option in options {
            writeln!(lines, " -o {{ {option} }}").unwrap();
        }
        self.setup = self.setup.take().map(|setup| setup.service(&lines));
        number
    }

    /// Likewise, with a good certificate of the server.
    pub fn server(&mut self, options: &[&str]) -> u16 {
        let files = [
            format!("smtpd_tls_cert_file={}", self.server.certificate.display()),
            format!("smtpd_tls_key_file={}", self.server.key.display()),
        ];
        let all: Vec<&str> = files
            .iter()
            .map(String::as_str)
            .chain(options.iter().copied())
            .collect();
        self.service(&all)
    }

    /// Starts it.
    pub fn start(&mut self) {
        self.instance = Some(self.setup.take().unwrap().start().unwrap());
    }

    pub fn postfix(&self) -> &Instance {
        self.instance.as_ref().unwrap()
    }

    /// Writes a file; gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// What a service logged.
    pub fn log_of(&self, port: u16) -> String {
        let name = format!("s{port}/smtpd");
        self.postfix()
            .log()
            .lines()
            .filter(|line| line.contains(&name))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// A client of a service gets no greeting, because the daemon stops with these words.
    #[track_caller]
    pub fn stops(&self, port: u16, words: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        self.logged(port, words);
        // master holds the port and starts the daemon again a minute later.
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let mut heard = [0; 64];
        assert_eq!(stream.read(&mut heard).unwrap_or(0), 0);
    }

    /// Waits for words in what a service logged.
    #[track_caller]
    pub fn logged(&self, port: u16, words: &str) {
        let waited = wait_for(words, SOON, || self.log_of(port).contains(words));
        assert!(waited.is_ok(), "no `{words}` in\n{}", self.log_of(port));
    }
}

/// The final line of a reply, if that is what a line is. s_client prints about tickets meanwhile, and a reply may begin in the
/// middle of such a line.
fn reply(line: &str) -> Option<&str> {
    let line = line.trim();
    let coded = |text: &str| {
        let (code, rest) = text.split_at_checked(3)?;
        (code.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with(' ')).then_some(())
    };
    if coded(line).is_some() {
        return Some(line);
    }
    // `421 4.7.1 ...`
    let at = line.as_bytes().windows(7).position(|seen| {
        matches!(
            seen,
            [
                b'2' | b'4' | b'5',
                b'0'..=b'9',
                b'0'..=b'9',
                b' ',
                b'2' | b'4' | b'5',
                b'.',
                b'0'..=b'9'
            ]
        )
    })?;
    line.get(at..)
}

/// The final lines of an SMTP dialogue, each with its code; QUIT's aside.
fn replies(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(reply)
        .filter(|line| !line.starts_with("221"))
        .map(str::to_owned)
        .collect()
}

/// Speaks SMTP in the clear, a line at a time; gives the final lines of the replies, the greeting first.
pub fn plain(port: u16, lines: &[&str]) -> Vec<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut out = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    let mut heard = Vec::new();
    for line in std::iter::once(None).chain(lines.iter().map(Some)) {
        if let Some(line) = line
            && write!(out, "{line}\r\n").is_err()
        {
            break;
        }
        loop {
            let mut reply = String::new();
            if reader.read_line(&mut reply).unwrap_or(0) == 0 {
                return heard;
            }
            if reply.as_bytes().get(3) == Some(&b' ') {
                heard.push(reply.trim_end().to_owned());
                break;
            }
        }
    }
    heard
}

/// What a stranger in the clear hears for a recipient.
pub fn stranger(port: u16, to: &str) -> String {
    plain(
        port,
        &[
            "EHLO client.example.net",
            "MAIL FROM:<a@example.net>",
            &format!("RCPT TO:<{to}>"),
        ],
    )
    .pop()
    .unwrap_or_default()
}

/// The reply to STARTTLS.
pub fn starttls(port: u16) -> String {
    plain(port, &["EHLO client.example.net", "STARTTLS"])
        .pop()
        .unwrap_or_default()
}

/// Says a line, and the next when it was answered: a server that refuses closes at once, and what it said last is lost where it
/// had more to read.
fn dialogue(
    greeted: bool,
    lines: &str,
    to: &mut impl Write,
    from: &mut impl BufRead,
    text: &mut String,
) {
    // Reads up to the end of a reply; says whether there was one.
    let mut answered = |text: &mut String| {
        loop {
            let mut line = Vec::new();
            if from.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                return false;
            }
            let line = String::from_utf8_lossy(&line);
            text.push_str(&line);
            if reply(&line).is_some() {
                return true;
            }
        }
    };
    let mut message = false;
    if !greeted || answered(text) {
        for line in lines.lines() {
            if write!(to, "{line}\r\n").is_err() {
                break;
            }
            message &= line != ".";
            if message {
                continue;
            }
            if !answered(text) {
                break;
            }
            message = line.eq_ignore_ascii_case("DATA");
        }
    }
    while answered(text) {}
}

/// A TLS client, as openssl makes it.
#[derive(Default)]
pub struct Client<'a> {
    pub certificate: Option<&'a Certificate>,
    pub wrapper: bool,
    pub authority: Option<&'a Path>,
    /// More arguments for s_client.
    pub more: Vec<String>,
}

/// What came of it.
pub struct Said {
    /// All that openssl printed.
    pub text: String,
    /// The final lines of the replies.
    pub replies: Vec<String>,
}

impl Said {
    /// The last reply: to RCPT, mostly.
    pub fn last(&self) -> &str {
        self.replies.last().map_or("", String::as_str)
    }

    /// The last reply begins with a code.
    #[track_caller]
    pub fn hears(&self, code: &str) {
        assert!(
            self.last().starts_with(code),
            "`{}` is not {code} in\n{}",
            self.last(),
            self.text
        );
    }

    /// The subjects of the certificates that the server showed.
    pub fn shown(&self) -> Vec<String> {
        self.text
            .lines()
            .filter_map(|line| line.trim().split_once(" s:"))
            .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
            .map(|(_, subject)| subject.replace(' ', ""))
            .collect()
    }
}

impl Client<'_> {
    /// Says lines after TLS has begun. Lower-case `rcpt`: s_client takes a line with `R` for a wish of its own.
    pub fn say(&self, port: u16, lines: &str) -> Said {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-showcerts",
            "-ign_eof",
            "-connect",
            &format!("127.0.0.1:{port}"),
        ]);
        if !self.wrapper {
            command.args(["-starttls", "smtp"]);
        }
        if let Some(certificate) = self.certificate {
            command
                .arg("-cert")
                .arg(&certificate.certificate)
                .arg("-key")
                .arg(&certificate.key);
        }
        if let Some(authority) = self.authority {
            command.arg("-CAfile").arg(authority);
        }
        let mut child = command
            .args(&self.more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (mut text, mut errors) = (String::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| stderr.read_to_end(&mut errors));
            dialogue(self.wrapper, lines, &mut stdin, &mut stdout, &mut text);
        });
        drop(stdin);
        child.wait().unwrap();
        // What EHLO said before TLS stands among the errors.
        Said {
            replies: replies(&text),
            text: format!("{text}{}", String::from_utf8_lossy(&errors)),
        }
    }

    /// Asks for a recipient elsewhere.
    pub fn relay(&self, port: u16) -> Said {
        self.mail(port, "x@example.com")
    }

    /// Asks for a recipient.
    pub fn mail(&self, port: u16, to: &str) -> Said {
        self.say(
            port,
            &format!("EHLO client.example.net\nMAIL FROM:<a@example.net>\nrcpt TO:<{to}>\nQUIT\n"),
        )
    }
}

/// A client with this certificate.
pub fn client(certificate: &Certificate) -> Client<'_> {
    Client {
        certificate: Some(certificate),
        ..Client::default()
    }
}

/// Fingerprint of the public key by another digest than SHA-256.
pub fn fingerprint(certificate: &Certificate, digest: &str) -> String {
    let der = certificate.certificate.with_extension("key.der");
    let pem = certificate.certificate.with_extension("key.pub");
    let text = |path: &PathBuf| path.display().to_string();
    std::fs::write(
        &pem,
        openssl(&[
            "x509",
            "-in",
            &text(&certificate.certificate),
            "-noout",
            "-pubkey",
        ])
        .unwrap(),
    )
    .unwrap();
    openssl(&[
        "pkey",
        "-pubin",
        "-in",
        &text(&pem),
        "-outform",
        "DER",
        "-out",
        &text(&der),
    ])
    .unwrap();
    let said = openssl(&["dgst", &format!("-{digest}"), "-c", &text(&der)]).unwrap();
    let said = String::from_utf8(said).unwrap();
    said.trim().rsplit(' ').next().unwrap().to_ascii_uppercase()
}

/// Whether words begin with a code.
#[track_caller]
pub fn hears(what: &str, code: &str) {
    assert!(what.starts_with(code), "`{what}` is not {code}");
}

/// A CA's hosts, good and bad.
pub struct Hosts {
    pub listed: Certificate,
    pub expired: Certificate,
    pub unlisted: Certificate,
    pub foreign: Certificate,
    pub own_signed: Certificate,
}

impl Hosts {
    pub fn new(bench: &Bench) -> Self {
        let directory = bench.directory.path();
        let foreign = Authority::create(directory, "somebody else").unwrap();
        let issue = |host: &str| bench.authority.issue(host, Usage::Client).unwrap();
        Self {
            listed: issue("mail.example.org"),
            expired: bench
                .authority
                .issue_between(
                    "old.example.org",
                    Usage::Client,
                    "20200101000000Z",
                    "20210101000000Z",
                )
                .unwrap(),
            unlisted: issue("other.example.org"),
            foreign: foreign.issue("mail.example.org", Usage::Client).unwrap(),
            own_signed: Certificate::self_signed(directory, "self").unwrap(),
        }
    }
}

/// A table of a name with rows; gives `lmdb:/path`.
pub fn table(bench: &Bench, name: &str, rows: &str) -> String {
    let path = bench.write(name, rows);
    postmap("lmdb", &path);
    format!("lmdb:{path}")
}

/// What postmap said.
pub fn postmap(kind: &str, path: &str) -> String {
    let said = std::process::Command::new("postmap")
        .arg(format!("{kind}:{path}"))
        .output()
        .unwrap();
    assert!(said.status.success());
    String::from_utf8_lossy(&said.stderr).into_owned()
}

pub fn row(certificate: &Certificate) -> String {
    format!(
        "{} {}\n",
        certificate.fingerprint().unwrap(),
        "mail.example.org"
    )
}

pub fn trusting(bench: &Bench) -> String {
    format!(
        "smtpd_tls_CAfile={}",
        bench.authority.certificate().display()
    )
}
