//! The internet: an SMTP server in this process that accepts all mail and keeps it. Enters: SMTP on 127.0.0.1.
//! Leaves: [`Message`]s. Refuses to know TLS, and anything beyond what Postfix's client says.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

const MAX_LINE: u64 = 4096;
const MAX_MESSAGE: usize = 1 << 20;
const MAX_MESSAGES: usize = 10_000;
const MAX_SESSIONS: usize = 100;

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The argument of MAIL FROM, without angle brackets.
    pub from: String,
    /// Those of RCPT TO.
    pub to: Vec<String>,
    /// Header and body.
    pub text: String,
}

#[derive(Debug, Default)]
struct Shared {
    messages: Mutex<Vec<Message>>,
    sessions: AtomicUsize,
    stop: AtomicBool,
}

/// A running sink. It ends when it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || listen(&listener, &theirs));
        Ok(Self {
            address,
            shared,
            listener: Some(thread),
        })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All that has arrived so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many have arrived so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Waits for at least so many.
    ///
    /// # Errors
    /// When they do not come in time.
    pub fn wait_for(&self, count: usize, deadline: Duration) -> Result<Vec<Message>> {
        super::wait_for(&format!("{count} messages at the sink"), deadline, || {
            self.count() >= count
        })?;
        Ok(self.messages())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        if shared.sessions.fetch_add(1, Ordering::SeqCst) >= MAX_SESSIONS {
            shared.sessions.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(b"421 4.3.2 too many sessions\r\n");
            continue;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let _ = session(stream, &shared);
            shared.sessions.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader
        .by_ref()
        .take(MAX_LINE)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() || line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}

/// What stands between the angle brackets.
fn address(text: &str) -> String {
    text.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(inner, _)| inner)
        .to_owned()
}

fn session(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut from = String::new();
    let mut to = Vec::new();
    out.write_all(b"220 sink.invalid ESMTP\r\n")?;
    loop {
        let command = String::from_utf8_lossy(&line(&mut reader)?)
            .trim_end()
            .to_owned();
        let verb = command.get(..4).unwrap_or("").to_ascii_uppercase();
        let reply: &[u8] = match verb.as_str() {
            "EHLO" => b"250-sink.invalid\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
            "MAIL" => {
                from = address(&command);
                to = Vec::new();
                b"250 2.1.0 Ok\r\n"
            }
            "RCPT" => {
                to.push(address(&command));
                b"250 2.1.5 Ok\r\n"
            }
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let text = data(&mut reader)?;
                let mut messages = shared
                    .messages
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if messages.len() < MAX_MESSAGES {
                    messages.push(Message {
                        from: std::mem::take(&mut from),
                        to: std::mem::take(&mut to),
                        text,
                    });
                    b"250 2.0.0 Ok: kept\r\n"
                } else {
                    b"452 4.3.1 full\r\n"
                }
            }
            "QUIT" => {
                out.write_all(b"221 2.0.0 Bye\r\n")?;
                return Ok(());
            }
            _ => b"250 2.0.0 Ok\r\n",
        };
        out.write_all(reply)?;
    }
}

fn data(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        let line = line(reader)?;
        if line == b".\r\n" {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        if text.len() + line.len() > MAX_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
