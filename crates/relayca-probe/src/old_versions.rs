//! Whether a server still speaks SSL 3.0, TLS 1.0 or TLS 1.1.
//!
//! In: a conversation at the point where TLS begins. Out: [`OldAnswer`]. It refuses to finish the handshake: a ClientHello of our own
//! (rustls has none so old; RFC 6101, 2246 and 4346 section 7.4.1.2) is answered by a ServerHello of that version, or it is not.

use std::fmt;
use std::io::{self, Read, Write};

use crate::dialogue::{Dialogue, TLS, stopped};
use crate::error::ProbeError;
use crate::wire::Wire;

/// A version of TLS that nobody should speak any more (RFC 7568, RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OldVersion {
    /// SSL 3.0.
    Ssl3,
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
}

impl OldVersion {
    /// All of them, the oldest first.
    pub const ALL: [Self; 3] = [Self::Ssl3, Self::Tls10, Self::Tls11];

    fn minor(self) -> u8 {
        match self {
            Self::Ssl3 => 0,
            Self::Tls10 => 1,
            Self::Tls11 => 2,
        }
    }
}

impl fmt::Display for OldVersion {
    /// As OpenSSL and Postfix write them: `SSLv3`, `TLSv1`, `TLSv1.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(version_name(self.minor()))
    }
}

/// What a server makes of an old version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldAnswer {
    /// It goes on in this version, which may be an older one still.
    Accepted {
        /// `TLSv1`.
        version: String,
        /// The cipher suite as IANA numbers it: `C014`.
        cipher: String,
    },
    /// It does not.
    Refused {
        /// In words: the alert, or that it closed the connection.
        how: String,
    },
}

/// Bytes of one record (RFC 5246 section 6.2.3: 2^14 + 2048).
const MAX_RECORD: usize = 16_384 + 2048;
/// Records looked at before giving up.
const MAX_RECORDS: usize = 64;
/// Bytes of all that the server says first: its certificates may be many.
const MAX_FLIGHT: usize = 1 << 17;

/// Everything that a server of those days may want. First those without a signature (the key encrypted by RSA, or agreed by nobody in
/// particular): libraries of today that still speak the version often refuse to sign in it. The last is
/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746). TLS_FALLBACK_SCSV is not among them: it asks to be refused.
const CIPHERS: [u16; 20] = [
    0x0035, 0x002f, 0x0084, 0x000a, 0x0005, 0x0004, 0xc019, 0x0034, 0xc00a, 0xc014, 0x0039, 0x0038,
    0xc009, 0xc013, 0x0033, 0x0032, 0x0088, 0xc012, 0x0016, 0x00ff,
];

impl Dialogue {
    /// Offers an old version after STARTTLS. The conversation is over then.
    ///
    /// # Errors
    /// [`ProbeError::Refused`] for a no to STARTTLS; others where there is no answer to judge.
    pub fn starttls_old(mut self, version: OldVersion) -> Result<OldAnswer, ProbeError> {
        self.ask_for_tls("")?;
        self.handshake_old(version)
    }

    /// Offers an old version at once: implicit TLS. The conversation is over then.
    ///
    /// # Errors
    /// [`ProbeError`] where there is no answer to judge: silence, or no TLS.
    pub fn handshake_old(mut self, version: OldVersion) -> Result<OldAnswer, ProbeError> {
        let name = self.server_name();
        let mut wire = self.take_wire()?;
        // Where it cannot be sent any more, the reason may be there to be read.
        let _ = wire.write_all(&client_hello(version, &name));
        match answer(&mut wire) {
            Err(error) => match stopped(error, TLS) {
                ProbeError::Closed { .. } => Ok(refused("it closed the connection")),
                error => Err(error),
            },
            Ok(answer) => Ok(answer),
        }
    }
}

fn refused(how: &str) -> OldAnswer {
    OldAnswer::Refused {
        how: how.to_owned(),
    }
}

/// A ClientHello in one record.
fn client_hello(version: OldVersion, host: &str) -> Vec<u8> {
    let mut body = vec![3, version.minor()];
    // It seeds nothing: no key is ever agreed.
    body.extend([0x5a; 32]);
    body.push(0);
    put_u16(&mut body, 2 * CIPHERS.len());
    for cipher in CIPHERS {
        body.extend(cipher.to_be_bytes());
    }
    body.extend([1, 0]);
    if version != OldVersion::Ssl3 {
        let extensions = extensions(host);
        put_u16(&mut body, extensions.len());
        body.extend(extensions);
    }
    let mut message = vec![1, 0];
    put_u16(&mut message, body.len());
    message.extend(body);
    let mut record = vec![22, 3, version.minor()];
    put_u16(&mut record, message.len());
    record.extend(message);
    record
}

/// server_name (RFC 6066 section 3; not for an address), supported_groups and ec_point_formats (RFC 8422 section 5.1).
fn extensions(host: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    if !is_address && host.len() < 256 {
        put_u16(&mut all, 0);
        put_u16(&mut all, host.len() + 5);
        put_u16(&mut all, host.len() + 3);
        all.push(0);
        put_u16(&mut all, host.len());
        all.extend(host.as_bytes());
    }
    let groups: [u16; 4] = [29, 23, 24, 25];
    put_u16(&mut all, 10);
    put_u16(&mut all, 2 + 2 * groups.len());
    put_u16(&mut all, 2 * groups.len());
    for group in groups {
        all.extend(group.to_be_bytes());
    }
    all.extend([0, 11, 0, 2, 1, 0]);
    all
}

/// All lengths here are below 65536.
fn put_u16(to: &mut Vec<u8>, number: usize) {
    to.extend(u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes());
}

/// Reads records up to the end of what the server says first (ServerHelloDone), or an alert. A ServerHello alone is not enough: a
/// server whose library forbids the signatures of that version breaks off behind it.
fn answer(wire: &mut Wire) -> io::Result<OldAnswer> {
    let mut flight = Flight::default();
    for _ in 0..MAX_RECORDS {
        let mut header = [0u8; 5];
        wire.read_exact(&mut header)?;
        let [kind, major, _, high, low] = header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if major != 3 || !matches!(kind, 20..=23) || length > MAX_RECORD {
            return Err(no_tls("what it answers is no TLS"));
        }
        let mut content = vec![0; length];
        wire.read_exact(&mut content)?;
        match (kind, content.as_slice()) {
            // A warning (1) is not the end, as unrecognized_name.
            (21, [1, description]) if *description != 0 => {}
            (21, [_, description]) => {
                return Ok(refused(&format!("alert {}", alert_name(*description))));
            }
            (22, content) => {
                if let Some(answer) = flight.take(content)? {
                    return Ok(answer);
                }
            }
            _ => {
                return Err(no_tls(
                    "it answers the first words of TLS with something else",
                ));
            }
        }
    }
    Err(no_tls("it does not come to an end"))
}

/// The server's handshake messages as they come in (RFC 5246 section 7.4).
#[derive(Default)]
struct Flight {
    bytes: Vec<u8>,
    hello: Option<OldAnswer>,
}

impl Flight {
    /// Takes in the content of a record; gives the answer once it is known.
    fn take(&mut self, content: &[u8]) -> io::Result<Option<OldAnswer>> {
        self.bytes.extend(content);
        if self.bytes.len() > MAX_FLIGHT {
            return Err(no_tls("it does not come to an end"));
        }
        while let [kind, a, b, c, rest @ ..] = self.bytes.as_slice() {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if length > MAX_FLIGHT {
                return Err(no_tls("it answers with a message without end"));
            }
            let Some(body) = rest.get(..length) else {
                break;
            };
            match (kind, &self.hello) {
                (2, None) => match server_hello(body)? {
                    refused @ OldAnswer::Refused { .. } => return Ok(Some(refused)),
                    accepted => self.hello = Some(accepted),
                },
                (14, Some(accepted)) => return Ok(Some(accepted.clone())),
                // Certificate, ServerKeyExchange, CertificateRequest, CertificateStatus.
                (11 | 12 | 13 | 22, Some(_)) => {}
                _ => return Err(no_tls("it answers with a message out of turn")),
            }
            self.bytes.drain(..4 + length);
        }
        Ok(None)
    }
}

/// What a ServerHello says.
fn server_hello(body: &[u8]) -> io::Result<OldAnswer> {
    let malformed = || no_tls("its ServerHello is malformed");
    let (version, rest) = body.split_at_checked(2).ok_or_else(malformed)?;
    let minor = match version {
        [3, minor] => *minor,
        _ => return Err(no_tls("its ServerHello is of an unknown version")),
    };
    let session = usize::from(*rest.get(32).ok_or_else(malformed)?);
    let suite = rest.get(33 + session..35 + session);
    let Some([high, low]) = suite.filter(|_| session <= 32) else {
        return Err(malformed());
    };
    if minor > 2 {
        return Ok(refused(&format!("it answers with {}", version_name(minor))));
    }
    Ok(OldAnswer::Accepted {
        version: version_name(minor).to_owned(),
        cipher: format!("{high:02X}{low:02X}"),
    })
}

fn no_tls(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

fn version_name(minor: u8) -> &'static str {
    match minor {
        0 => "SSLv3",
        1 => "TLSv1",
        2 => "TLSv1.1",
        3 => "TLSv1.2",
        _ => "a newer TLS",
    }
}

/// The alerts that such an offer meets (RFC 5246 section 7.2).
fn alert_name(description: u8) -> String {
    let name = match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        40 => "handshake_failure",
        47 => "illegal_parameter",
        50 => "decode_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        109 => "missing_extension",
        112 => "unrecognized_name",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn hello_of(minor: u8, session: u8) -> Vec<u8> {
        let mut body = vec![3, minor];
        body.extend([7; 32]);
        body.push(session);
        body.extend(vec![9; usize::from(session)]);
        body.extend([0xc0, 0x14, 0]);
        let mut message = vec![2, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        message
    }

    #[test]
    fn what_a_server_says_first_is_read_however_it_is_cut() {
        for session in [0, 32] {
            let mut whole = hello_of(1, session);
            whole.extend([11, 0, 0, 3, 0, 0, 0]);
            whole.extend([12, 0, 0, 1, 7]);
            whole.extend([14, 0, 0, 0]);
            let answered = Some(OldAnswer::Accepted {
                version: "TLSv1".to_owned(),
                cipher: "C014".to_owned(),
            });
            for cut in [1, 2, 5, 60, whole.len()] {
                let mut flight = Flight::default();
                let mut pieces = whole.chunks(cut).peekable();
                while let Some(piece) = pieces.next() {
                    let answer = flight.take(piece).unwrap();
                    assert_eq!(answer, answered.clone().filter(|_| pieces.peek().is_none()));
                }
            }
        }
        let answer = |bytes: &[u8]| Flight::default().take(bytes);
        assert_eq!(
            answer(&hello_of(3, 0)).unwrap(),
            Some(refused("it answers with TLSv1.2"))
        );
        for bad in [
            &hello_of(1, 33)[..],
            &[11, 0, 0, 0],
            &[14, 0, 0, 0],
            &[2, 0, 0, 1, 3],
            &[2, 0xff, 0xff, 0xff],
        ] {
            assert!(answer(bad).is_err(), "{bad:?}");
        }
        // Whatever comes, it ends.
        let mut state = 7u32;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    u8::try_from(state >> 24).unwrap() & 0x1f
                })
                .collect();
            let mut flight = Flight::default();
            let _ = flight.take(&bytes);
            let _ = server_hello(&bytes);
        }
        let mut twice = hello_of(1, 0);
        twice.extend(hello_of(1, 0));
        assert!(answer(&twice).is_err());
    }
}
