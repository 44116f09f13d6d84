//! A TCP connection with one deadline for everything.
//!
//! In comes an address; out comes something to read and write that cannot be kept busy past its deadline, however
//! slowly the other side drips. It refuses to know protocols.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// More addresses than this of one name are not tried.
const MAX_ADDRESSES: usize = 8;

/// One address of a host, and how it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The address with the port.
    pub address: SocketAddr,
    /// Why there is no connection to it; `None` for the one that accepted.
    pub failure: Option<ConnectFailure>,
}

/// Why an address does not accept a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectFailure {
    /// The kind: [`io::ErrorKind::ConnectionRefused`] is an answer, [`io::ErrorKind::TimedOut`] is silence.
    pub kind: io::ErrorKind,
    /// In the words of the operating system.
    pub text: String,
}

/// A connection that ends at its deadline.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    deadline: Instant,
}

impl Wire {
    /// Connects to the first address of `host` that answers, allowing `connect` for each of them. Gives also how each
    /// address answered that was tried.
    pub(crate) fn open(
        host: &str,
        port: u16,
        connect: Duration,
        deadline: Instant,
    ) -> (io::Result<Self>, Vec<Attempt>) {
        let addresses = match addresses(host, port, deadline) {
            Ok(addresses) => addresses,
            Err(error) => return (Err(error), Vec::new()),
        };
        let mut attempts = Vec::new();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            let wait = match left(deadline) {
                Ok(left) => connect.min(left),
                Err(error) => return (Err(error), attempts),
            };
            let opened = TcpStream::connect_timeout(&address, wait)
                .and_then(|stream| stream.set_nodelay(true).map(|()| stream));
            let failure = opened.as_ref().err().map(|error| ConnectFailure {
                kind: timed_out_kind(error.kind()),
                text: plain(error),
            });
            attempts.push(Attempt { address, failure });
            match opened {
                Ok(stream) => return (Ok(Self { stream, deadline }), attempts),
                Err(error) => last = error,
            }
        }
        (Err(last), attempts)
    }

    /// Brings the deadline forward, never back.
    pub(crate) fn hurry(&mut self, within: Duration) {
        self.deadline = self.deadline.min(Instant::now() + within);
    }
}

/// Looks the name up, in a thread of its own: the resolver has no deadline, and goes on alone where it takes too long.
fn addresses(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (found, answer) = mpsc::channel();
    let host = host.to_owned();
    std::thread::Builder::new().spawn(move || {
        let addresses = (host.as_str(), port)
            .to_socket_addrs()
            .map(|all| all.take(MAX_ADDRESSES).collect());
        // Nobody may be waiting any more.
        let _ = found.send(addresses);
    })?;
    answer.recv_timeout(left(deadline)?).unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "looking up the name takes too long",
        ))
    })
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream.read(buf).map_err(timed_out)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(buf).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    // A zero timeout would mean none at all to the socket.
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

/// Unix sockets report an expired timeout as `WouldBlock`, which rustls would take as "try again".
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        io::ErrorKind::TimedOut.into()
    } else {
        error
    }
}

fn timed_out_kind(kind: io::ErrorKind) -> io::ErrorKind {
    if kind == io::ErrorKind::WouldBlock {
        io::ErrorKind::TimedOut
    } else {
        kind
    }
}

/// The operating system's words, without Rust's `(os error 111)`, in lower case.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}
