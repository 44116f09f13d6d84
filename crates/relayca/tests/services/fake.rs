//! Mail servers in this process, which say what they are told to.
//!
//! In: a greeting and answers. Out: a port. It refuses to be a mail server: it never takes a message.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::Pki;

/// A connection as the server has it.
pub enum Talk {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Read for Talk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Talk {
    /// Says something; a client that went away is no matter.
    pub fn say(&mut self, text: &[u8]) -> bool {
        match self {
            Self::Plain(stream) => stream.write_all(text).is_ok(),
            Self::Tls(stream) => stream.write_all(text).and_then(|()| stream.flush()).is_ok(),
        }
    }

    /// The next line, without its end.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0u8; 1];
        while self.read(&mut byte).is_ok_and(|n| n == 1) {
            match byte[0] {
                b'\n' => return String::from_utf8(line).ok(),
                b'\r' => {}
                other => line.push(other),
            }
        }
        None
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Begins TLS.
    pub fn secure(self, config: &Arc<ServerConfig>) -> Self {
        match self {
            Self::Plain(stream) => {
                let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                Self::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
            Self::Tls(_) => panic!("twice"),
        }
    }
}

/// A server on 127.0.0.1; each connection is one call. It ends with the test.
pub fn listen(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    listen_on(0, behave)
}

fn listen_on(port: u16, behave: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let behave = Arc::clone(&behave);
            thread::spawn(move || behave(stream.unwrap()));
        }
    });
    port
}

/// A port on which nobody listens.
pub fn nobody() -> u16 {
    // Kept until the test ends: a port that is only free for now is soon another test's.
    let port = xtask::lab::Port::reserve().unwrap();
    let number = port.number();
    std::mem::forget(port);
    number
}

/// What shows the certificates of a file.
pub fn shows(pki: &Pki, file: &str, key: &str) -> Arc<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pki.read(file))
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(&pki.read(key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// A server by its answers: the longest beginning of a line that is known answers it; `STARTTLS` and `STLS` begin TLS. Under TLS a
/// line behind `tls ` goes first.
#[derive(Clone)]
pub struct Script {
    pub greeting: String,
    pub answers: Vec<(String, String)>,
    pub tls: Option<Arc<ServerConfig>>,
    pub implicit: bool,
}

impl Script {
    /// A server that knows what these say; unknown commands are refused in the way of SMTP.
    pub fn new(greeting: &str, answers: &[(&str, &str)]) -> Self {
        Self {
            greeting: greeting.to_owned(),
            answers: answers
                .iter()
                .map(|(ask, answer)| ((*ask).to_owned(), (*answer).to_owned()))
                .collect(),
            tls: None,
            implicit: false,
        }
    }

    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    pub fn implicit(mut self) -> Self {
        self.implicit = true;
        self
    }

    /// Another answer, before all others.
    pub fn answers(mut self, ask: &str, answer: &str) -> Self {
        self.answers.insert(0, (ask.to_owned(), answer.to_owned()));
        self
    }

    fn answer(&self, line: &str, is_tls: bool) -> Option<&str> {
        let line = line.to_ascii_uppercase();
        let known = |ask: &str| line.starts_with(ask);
        let found = |prefix: &str| {
            self.answers
                .iter()
                .find(|(ask, _)| ask.strip_prefix(prefix).is_some_and(known))
        };
        let secret = if is_tls { found("tls ") } else { None };
        secret
            .or_else(|| found(""))
            .map(|(_, answer)| answer.as_str())
    }

    /// Listens; gives the port.
    pub fn listen(self) -> u16 {
        listen(move |stream| self.serve(stream))
    }

    /// Listens on this port.
    pub fn listen_on(self, port: u16) {
        listen_on(port, move |stream| self.serve(stream));
    }

    fn serve(&self, stream: TcpStream) {
        let mut talk = Talk::Plain(stream);
        if self.implicit {
            talk = talk.secure(self.tls.as_ref().unwrap());
        }
        if !self.greeting.is_empty() && !talk.say(format!("{}\r\n", self.greeting).as_bytes()) {
            return;
        }
        while let Some(line) = talk.hear() {
            // An IMAP command has a tag in front, which its answer repeats.
            let (tag, command) = match line.split_once(' ') {
                Some((tag, rest)) if tag.starts_with('a') && tag != "auth" => (tag, rest),
                _ => ("", line.as_str()),
            };
            let Some(answer) = self.answer(command, talk.is_tls()) else {
                talk.say(b"502 5.5.2 unknown\r\n");
                continue;
            };
            if answer == "close" {
                return;
            }
            let text = answer.replace("TAG", tag).replace('\n', "\r\n");
            if !talk.say(format!("{text}\r\n").as_bytes()) {
                return;
            }
            let begins = matches!(command, "STARTTLS" | "STLS")
                && (text.starts_with("220") || text.contains("OK"));
            if begins && let Some(config) = &self.tls {
                talk = talk.secure(config);
            }
            if command == "QUIT" || command == "LOGOUT" {
                return;
            }
        }
    }
}

/// A submission service as it should be.
pub fn submission(pki: &Pki) -> Script {
    Script::new(
        "220 localhost ESMTP",
        &[
            (
                "tls EHLO",
                "250-localhost\n250-AUTH PLAIN LOGIN\n250 8BITMIME",
            ),
            ("EHLO", "250-localhost\n250-STARTTLS\n250 8BITMIME"),
            ("STARTTLS", "220 go"),
            ("tls MAIL", "250 ok"),
            ("MAIL", "530 5.7.0 Must issue a STARTTLS command first"),
            ("RCPT", "554 5.7.1 Relay access denied"),
            ("RSET", "250 ok"),
            ("QUIT", "221 bye"),
        ],
    )
    .tls(shows(pki, "fullchain.pem", "leaf.key"))
}

/// A mail exchanger as it should be.
pub fn exchanger(pki: &Pki) -> Script {
    submission(pki)
        .answers("tls EHLO", "250-localhost\n250 8BITMIME")
        .answers("MAIL", "250 ok")
}

/// An IMAP server as it should be, with STARTTLS.
pub fn imap(pki: &Pki) -> Script {
    Script::new(
        "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready",
        &[
            (
                "tls CAPABILITY",
                "* CAPABILITY IMAP4rev1 AUTH=PLAIN\nTAG OK done",
            ),
            (
                "CAPABILITY",
                "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\nTAG OK done",
            ),
            ("STARTTLS", "TAG OK begin"),
            ("LOGOUT", "* BYE\nTAG OK bye"),
        ],
    )
    .tls(shows(pki, "fullchain.pem", "leaf.key"))
}

/// A POP3 server as it should be, with STLS.
pub fn pop3(pki: &Pki) -> Script {
    Script::new(
        "+OK ready",
        &[
            ("tls CAPA", "+OK\nUSER\nSASL PLAIN\n."),
            ("CAPA", "+OK\nSTLS\nSASL\n."),
            ("STLS", "+OK begin"),
            ("QUIT", "+OK bye"),
        ],
    )
    .tls(shows(pki, "fullchain.pem", "leaf.key"))
}
