//! A TCP connection with one deadline for everything.
//!
//! In comes an address; out comes something to read and write that cannot be kept busy past its deadline, however
//! slowly the other side drips. It refuses to know protocols.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// More addresses than this of one name are not tried.
const MAX_ADDRESSES: usize = 8;

/// A connection that ends at its deadline.
pub(crate) struct Wire {
    stream: TcpStream,
    deadline: Instant,
}

impl Wire {
    /// Connects to the first address of `host` that answers, allowing `connect` for each of them.
    pub(crate) fn open(
        host: &str,
        port: u16,
        connect: Duration,
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()?.take(MAX_ADDRESSES) {
            let wait = connect.min(left(deadline)?);
            match TcpStream::connect_timeout(&address, wait) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self { stream, deadline });
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// Brings the deadline forward, never back.
    pub(crate) fn hurry(&mut self, within: Duration) {
        self.deadline = self.deadline.min(Instant::now() + within);
    }
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
