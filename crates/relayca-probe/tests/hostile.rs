//! Servers that drip, flood, lie or hang up: the probe ends in time and says what happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use relayca_probe::{Mode, Presented, ProbeError, Target, Timeouts, present};

/// A server for one connection that does as told.
fn server(behave: impl FnOnce(TcpStream) + Send + 'static) -> (Target, JoinHandle<()>) {
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

fn within(total: Duration) -> Timeouts {
    Timeouts {
        connect: total,
        total,
    }
}

/// The outcome of probing a server that does as told, in five seconds at most.
fn probe(behave: impl FnOnce(TcpStream) + Send + 'static) -> Result<Presented, ProbeError> {
    let (target, served) = server(behave);
    let outcome = present(&target, within(Duration::from_secs(5)));
    served.join().unwrap();
    outcome
}

/// Says each line of the script after the client has said something, the first at once, and gives what it heard.
fn recite(stream: &TcpStream, script: &[&str]) -> Vec<String> {
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
fn linger(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

const EHLO: &str = "250-relay.example.org\r\n250-PIPELINING\r\n250-starttls\r\n250 SMTPUTF8\r\n";

#[test]
fn the_conversation_is_what_the_rfc_says() {
    let error = probe(|stream| {
        let heard = recite(
            &stream,
            &["220 relay.example.org ESMTP\r\n", EHLO, "454 no\r\n"],
        );
        assert_eq!(heard, ["EHLO relayca.invalid\r\n", "STARTTLS\r\n"]);
        linger(stream);
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "the answer to STARTTLS was 454 `no`"
    );
}

#[test]
fn a_server_that_drips_forever_is_left_at_the_deadline() {
    let (target, served) = server(|mut stream| {
        // A byte every now and then, so that no single read ever times out, until the client is gone.
        while stream.write_all(b"2").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    let error = present(&target, within(Duration::from_millis(300))).unwrap_err();
    assert!(
        matches!(
            error,
            ProbeError::TimedOut {
                doing: "the greeting"
            }
        ),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(15));
    served.join().unwrap();
}

#[test]
fn a_server_that_says_nothing_is_left_at_the_deadline() {
    let (target, served) = server(linger);
    let error = present(&target, within(Duration::from_millis(200))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "timed out while waiting for the greeting"
    );
    served.join().unwrap();
}

#[test]
fn a_server_that_keeps_silent_instead_of_tls_is_left_at_the_deadline() {
    let (target, served) = server(|stream| {
        recite(&stream, &["220 a\r\n", EHLO, "220 go\r\n"]);
        linger(stream);
    });
    let error = present(&target, within(Duration::from_secs(2))).unwrap_err();
    assert!(
        matches!(
            error,
            ProbeError::TimedOut {
                doing: "the TLS handshake"
            }
        ),
        "{error}"
    );
    served.join().unwrap();
}

#[test]
fn floods_end() {
    for flood in [&b"2"[..], b"250-a\r\n"] {
        let error = probe(move |mut stream| {
            let chunk = flood.repeat(1000);
            while stream.write_all(&chunk).is_ok() {}
        });
        assert!(
            matches!(
                error,
                Err(ProbeError::TooMuch {
                    doing: "the greeting",
                    ..
                })
            ),
            "{error:?}"
        );
    }
}

#[test]
fn plaintext_injected_behind_starttls_is_refused() {
    let error = probe(|stream| {
        recite(&stream, &["220 a\r\n", EHLO, "220 go\r\n250 injected\r\n"]);
        linger(stream);
    });
    assert!(matches!(error, Err(ProbeError::Injected)), "{error:?}");
    // Sent a moment later it meets the TLS handshake instead, which takes it for the garbage it is.
    let error = probe(|stream| {
        recite(&stream, &["220 a\r\n", EHLO, "220 go\r\n"]);
        let mut first = [0u8; 1];
        (&stream).read_exact(&mut first).unwrap();
        (&stream).write_all(b"250 injected\r\n").unwrap();
        linger(stream);
    });
    assert!(matches!(error, Err(ProbeError::Tls { .. })), "{error:?}");
}

#[test]
fn servers_that_are_not_what_was_asked_for_are_named() {
    let error = probe(|stream| {
        recite(&stream, &["SSH-2.0-OpenSSH_9.2\r\n"]);
        linger(stream);
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "this is no SMTP server; it says `SSH-2.0-OpenSSH_9.2`"
    );
    let error = probe(|stream| {
        recite(
            &stream,
            &[
                "220 a\r\n",
                "250-relay\r\n250-XSTARTTLS\r\n250 STARTTLSX\r\n",
            ],
        );
        linger(stream);
    });
    assert!(matches!(error, Err(ProbeError::NoStartTls)), "{error:?}");
    let error = probe(|stream| {
        recite(&stream, &["554 go\x1b[2J away\r\n"]);
        linger(stream);
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "the greeting was 554 `go [2J away`"
    );
    let error = probe(|stream| drop(recite(&stream, &["220 a\r\n"])));
    assert!(matches!(error, Err(ProbeError::Closed { .. })), "{error:?}");
}

#[test]
fn nobody_listening_and_bad_hosts_are_told_with_a_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let target = |host: &str| Target {
        host: host.into(),
        port,
        mode: Mode::StartTls,
    };
    let error = present(&target("127.0.0.1"), Timeouts::default()).unwrap_err();
    assert!(
        matches!(error, ProbeError::Connect { .. }) && error.hint().is_some(),
        "{error}"
    );
    for host in [
        "",
        "a b",
        "[::1]",
        "relay\x1b.example",
        "-",
        "https://relay",
    ] {
        let error = present(&target(host), Timeouts::default()).unwrap_err();
        assert!(
            matches!(error, ProbeError::Host { .. }),
            "{host:?}: {error}"
        );
        assert!(!error.to_string().contains('\x1b'));
    }
}
