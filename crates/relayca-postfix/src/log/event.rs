//! What a line says, as far as relaying is concerned.
//!
//! Enters: the program and the words of a line. Leaves: an [`Event`], or nothing. Refuses to know what it means, and what other lines say.
//!
//! Everything is read from the front, word by word, as Postfix's source prints it (src/smtpd/smtpd.c, smtpd_check.c, src/tls/tls_server.c,
//! tls_client.c, tls_misc.c, tls_verify.c, src/global/log_adhoc.c; 3.4 to 3.11). What a stranger chose (HELO, addresses, replies, names in
//! certificates) comes after that, and is never searched for the words of another event.

use memchr::memmem;

use super::delivery::{self, Delivery};
use super::line::Program;
use super::peer::{Peer, only_peer, peer};

/// What the end of the handshake said of the other side's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// No certificate was shown.
    Anonymous,
    /// One was shown, and its chain is not good, or was not checked.
    Untrusted,
    /// Its chain is good.
    Trusted,
    /// Chain and name are good; only a client says this.
    Verified,
}

/// How grave Postfix calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
    Fatal,
}

/// Something that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    Connect(Peer<'a>),
    /// With the counts of commands, as ` ehlo=1 mail=0/1 quit=1`.
    Disconnect(Peer<'a>, &'a [u8]),
    /// A handshake went through. `incoming`: at the server.
    Secured {
        standing: Standing,
        incoming: bool,
        peer: Peer<'a>,
    },
    /// The names and fingerprints of a certificate that was shown (loglevel 2).
    Shown {
        peer: Peer<'a>,
        name: &'a [u8],
        fingerprints: [Option<&'a [u8]>; 2],
    },
    /// A certificate was not good. `by_authority`: it was that of the CA.
    Unverified {
        peer: Peer<'a>,
        by_authority: bool,
        reason: &'a [u8],
    },
    /// The server ends a session for want of a good certificate.
    Aborted {
        peer: Peer<'a>,
        reason: &'a [u8],
    },
    /// The server refuses a command. The reply stands without what Postfix adds of sender and HELO.
    Refused {
        peer: Peer<'a>,
        reply: &'a [u8],
        /// The HELO is that of `relayca probe`: what is tried there must be refused.
        probe: bool,
    },
    /// The server takes a message.
    Accepted {
        peer: Peer<'a>,
        message: &'a [u8],
    },
    /// `lost connection`, `timeout` and `too many errors`.
    Lost {
        peer: Peer<'a>,
        how: &'a [u8],
        after: &'a [u8],
    },
    /// A handshake failed.
    Unsecured {
        peer: Peer<'a>,
        incoming: bool,
    },
    /// A session was resumed, so that what certificate was shown in it is an older one.
    Resumed {
        peer: Peer<'a>,
        untrusted: bool,
    },
    /// What OpenSSL said of a failure.
    Library(&'a [u8]),
    Delivered(Delivery<'a>),
    /// A message is done with.
    Removed {
        message: &'a [u8],
    },
    /// A message waited too long and goes back to its sender.
    Expired {
        message: &'a [u8],
    },
    /// Anything else.
    Said {
        severity: Severity,
        text: &'a [u8],
    },
    /// A line in which a stranger's text looks like Postfix's own: nothing of it is believed.
    Forged,
}

/// Reads the words of a line.
pub(super) fn event(program: Program, text: &[u8]) -> Option<Event<'_>> {
    let (severity, words) = severity(text);
    if severity != Severity::Info {
        let library = words.strip_prefix(b"TLS library problem: ");
        return Some(library.map_or(
            Event::Said {
                severity,
                text: words,
            },
            Event::Library,
        ));
    }
    match program {
        Program::Server => server(text),
        Program::Client => client(text),
        Program::Queue => queue(text),
        Program::Agent => delivery::read(text),
        Program::Other => said(text),
        Program::Unknown => server(text)
            .filter(|event| !matches!(event, Event::Said { .. }))
            .or_else(|| client(text))
            .filter(|event| !matches!(event, Event::Said { .. }))
            .or_else(|| queue(text))
            .or_else(|| said(text)),
    }
}

fn severity(text: &[u8]) -> (Severity, &[u8]) {
    let labels = [
        (&b"warning: "[..], Severity::Warning),
        (b"error: ", Severity::Error),
        (b"fatal: ", Severity::Fatal),
        (b"panic: ", Severity::Fatal),
    ];
    for (label, severity) in labels {
        if let Some(words) = text.strip_prefix(label) {
            return (severity, words);
        }
    }
    (Severity::Info, text)
}

fn said(text: &[u8]) -> Option<Event<'_>> {
    Some(Event::Said {
        severity: Severity::Info,
        text,
    })
}

fn server(text: &[u8]) -> Option<Event<'_>> {
    // The first letter decides for nearly all lines.
    match text.first()? {
        b'c' => {
            if let Some(rest) = text.strip_prefix(b"connect from ") {
                return Some(Event::Connect(only_peer(rest)?));
            }
        }
        b'd' => {
            if let Some(rest) = text.strip_prefix(b"disconnect from ") {
                let (peer, counts) = peer(rest)?;
                return Some(Event::Disconnect(peer, counts));
            }
        }
        b'l' | b't' => {
            if let Some(event) = lost(text) {
                return Some(event);
            }
        }
        b'<' | b'>' => return None,
        _ => {}
    }
    if let Some((message, rest)) = message(text) {
        return of_message(message, rest);
    }
    either(text)
}

fn client(text: &[u8]) -> Option<Event<'_>> {
    if let Some((_, rest)) = message(text) {
        return if rest.starts_with(b"to=<") {
            delivery::read(text)
        } else {
            // `host H said: ...` of an attempt that another server may still mend.
            None
        };
    }
    either(text)
}

/// What both sides say of TLS.
fn either(text: &[u8]) -> Option<Event<'_>> {
    if let Some(event) = secured(text) {
        return Some(event);
    }
    if let Some(event) = unverified(text) {
        return Some(event);
    }
    for (words, incoming) in [
        (&b"SSL_accept error from "[..], true),
        (b"SSL_connect error to ", false),
    ] {
        if let Some(rest) = text.strip_prefix(words) {
            let (peer, _) = peer(rest)?;
            return Some(Event::Unsecured { peer, incoming });
        }
    }
    if let Some((peer, rest)) = peer(text) {
        return of_peer(peer, rest.strip_prefix(b": ")?);
    }
    said(text)
}

/// `Trusted TLS connection established from H[A]: TLSv1.3 with cipher ...`.
fn secured(text: &[u8]) -> Option<Event<'_>> {
    let words = [
        (&b"Anonymous"[..], Standing::Anonymous),
        (b"Untrusted", Standing::Untrusted),
        (b"Trusted", Standing::Trusted),
        (b"Verified", Standing::Verified),
    ];
    let (standing, rest) = words
        .iter()
        .find_map(|(word, standing)| Some((*standing, text.strip_prefix(*word)?)))?;
    let rest = rest.strip_prefix(b" TLS connection ")?;
    let rest = rest
        .strip_prefix(b"established ")
        .or_else(|| rest.strip_prefix(b"reused "))?;
    let (incoming, rest) = match rest.strip_prefix(b"from ") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix(b"to ")?),
    };
    let (peer, rest) = peer(rest)?;
    // A name that the client asked for by SNI may follow.
    (rest.starts_with(b": ") || rest.starts_with(b" to ")).then_some(Event::Secured {
        standing,
        incoming,
        peer,
    })
}

/// `client certificate verification failed for H[A]: certificate has expired`.
fn unverified(text: &[u8]) -> Option<Event<'_>> {
    let (by_authority, rest) = if let Some(rest) = text.strip_prefix(b"CA ") {
        (true, rest)
    } else {
        let rest = text
            .strip_prefix(b"client ")
            .or_else(|| text.strip_prefix(b"server "));
        (false, rest.unwrap_or(text))
    };
    let rest = rest.strip_prefix(b"certificate verification failed for ")?;
    let (peer, rest) = peer(rest)?;
    Some(Event::Unverified {
        peer,
        by_authority,
        reason: rest.strip_prefix(b": ")?,
    })
}

/// Words behind `H[A]: `.
fn of_peer<'a>(peer: Peer<'a>, words: &'a [u8]) -> Option<Event<'a>> {
    if words.starts_with(b"Reusing old session") {
        return Some(Event::Resumed {
            peer,
            untrusted: false,
        });
    }
    if words.starts_with(b"re-using session with untrusted ") {
        return Some(Event::Resumed {
            peer,
            untrusted: true,
        });
    }
    if let Some(rest) = words.strip_prefix(b"subject_CN=") {
        return Some(shown(peer, rest));
    }
    let fingerprint = words.strip_prefix(b"raw public key fingerprint=")?;
    Some(Event::Shown {
        peer,
        name: b"",
        fingerprints: [None, is_fingerprint(fingerprint).then_some(fingerprint)],
    })
}

/// `NAME, issuer=NAME, fingerprint=F, pkey_fingerprint=F`, from 3.9 `cert fingerprint=`, `pkey fingerprint=`; clients up to 3.8 write
/// `issuer_CN=`. Whoever made the certificate chose the names, so the fingerprints are taken from the end, and the name only where
/// nothing in it looks like what follows.
fn shown<'a>(peer: Peer<'a>, text: &'a [u8]) -> Event<'a> {
    let mut rest = text;
    let mut take = |labels: [&[u8]; 2]| {
        for label in labels {
            if let Some(at) = memmem::rfind(rest, label) {
                let value = rest.get(at + label.len()..).unwrap_or_default();
                if is_fingerprint(value) {
                    rest = rest.get(..at).unwrap_or_default();
                    return Some(value);
                }
            }
        }
        None
    };
    let public_key = take([b", pkey fingerprint=", b", pkey_fingerprint="]);
    let certificate = take([b", cert fingerprint=", b", fingerprint="]);
    let name = memmem::find(rest, b", issuer")
        .and_then(|end| rest.get(..end))
        .unwrap_or_default();
    Event::Shown {
        peer,
        name,
        fingerprints: [certificate, public_key],
    }
}

/// Pairs of upper-case hex with colons, of a digest that Postfix may compute: 16 to 64 bytes.
fn is_fingerprint(text: &[u8]) -> bool {
    (16 * 3 - 1..=64 * 3 - 1).contains(&text.len())
        && text.len() % 3 == 2
        && text.iter().enumerate().all(|(at, byte)| match at % 3 {
            2 => *byte == b':',
            _ => byte.is_ascii_digit() || (b'A'..=b'F').contains(byte),
        })
}

/// A queue identifier, or `NOQUEUE`, and what follows `: `.
fn message(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .take(26)
        .position(|byte| !byte.is_ascii_alphanumeric())?;
    let (message, rest) = text.split_at_checked(end)?;
    // Short ones are hexadecimal and have at least six digits; long ones (enable_long_queue_ids) have more.
    (end >= 6).then_some((message, rest.strip_prefix(b": ")?))
}

/// What smtpd says behind a queue identifier or `NOQUEUE`.
fn of_message<'a>(message: &'a [u8], text: &'a [u8]) -> Option<Event<'a>> {
    if let Some(rest) = text.strip_prefix(b"client=") {
        let (peer, _) = peer(rest)?;
        return Some(Event::Accepted { peer, message });
    }
    if let Some(rest) = text.strip_prefix(b"reject: ") {
        return refused(rest);
    }
    if let Some(rest) = text.strip_prefix(b"abort: TLS from ") {
        let (peer, rest) = peer(rest)?;
        return Some(Event::Aborted {
            peer,
            reason: rest.strip_prefix(b": ")?,
        });
    }
    lost(text)
}

/// `RCPT from H[A]: 554 5.7.1 <a@b>: Relay access denied; from=<c> to=<d> proto=ESMTP helo=<e>`.
fn refused(text: &[u8]) -> Option<Event<'_>> {
    // The command is Postfix's word, not the client's: `RCPT`, `MAIL`, `CONNECT`, `END-OF-MESSAGE`, `DATA content`.
    let at = memmem::find(text.get(..40.min(text.len()))?, b" from ")?;
    let (peer, rest) = peer(text.get(at + 6..)?)?;
    let reply = rest.strip_prefix(b": ")?;
    let end = memmem::find(reply, b"; from=<").unwrap_or(reply.len());
    Some(Event::Refused {
        peer,
        reply: reply.get(..end)?,
        // Who says so of himself is refused all the same, and only not told of.
        probe: reply.ends_with(b" helo=<relayca.invalid>"),
    })
}

/// `lost connection after STARTTLS from H[A]`; from 3.10 behind `NOQUEUE: `.
fn lost(text: &[u8]) -> Option<Event<'_>> {
    let hows = [&b"lost connection"[..], b"timeout", b"too many errors"];
    let (how, rest) = hows
        .into_iter()
        .find_map(|how| Some((how, text.strip_prefix(how)?)))?;
    let rest = rest.strip_prefix(b" after ")?;
    // The command may have a count behind it: `DATA (123 bytes)`.
    let at = memmem::find(rest.get(..60.min(rest.len()))?, b" from ")?;
    let (after, rest) = rest.split_at_checked(at)?;
    Some(Event::Lost {
        peer: only_peer(rest.get(6..)?)?,
        how,
        after,
    })
}

fn queue(text: &[u8]) -> Option<Event<'_>> {
    let (message, rest) = message(text)?;
    if rest == b"removed" {
        return Some(Event::Removed { message });
    }
    // `from=<...>, status=expired, returned to sender`; what is in the brackets was chosen by somebody else.
    let expired =
        rest.starts_with(b"from=<") && rest.ends_with(b">, status=expired, returned to sender");
    expired.then_some(Event::Expired { message })
}
