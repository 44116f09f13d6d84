//! Conversations step by step: with servers in this process that do as told, in all three protocols.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod servers;

use std::io::Write;
use std::time::{Duration, Instant};

use relayca_probe::{
    ClientIdentity, Dial, Dialogue, Mode, OldAnswer, OldVersion, ProbeError, Protocol, Target,
    Timeouts, TlsClient,
};
use servers::{linger, recite, server};
use zeroize::Zeroizing;

fn dial(protocol: Protocol) -> Dial {
    Dial {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(5),
        },
        protocol,
        server_name: None,
    }
}

#[test]
fn smtp_is_spoken_line_by_line_and_capabilities_are_read() {
    let (target, served) = server(|stream| {
        let heard = recite(
            &stream,
            &[
                "220-relay\r\n220 ESMTP\r\n",
                "250-relay\r\n250-AUTH PLAIN LOGIN\r\n250-size 100\r\n250 starttls\r\n",
                "530 5.7.0 first\r\n",
                "221 bye\r\n",
            ],
        );
        assert_eq!(
            heard,
            [
                "EHLO relayca.invalid\r\n",
                "MAIL FROM:<a@example.org>\r\n",
                "QUIT\r\n"
            ]
        );
    });
    let mut dialogue = Dialogue::connect(&target, &dial(Protocol::Smtp)).unwrap();
    assert_eq!(dialogue.attempts().len(), 1);
    assert_eq!(dialogue.address().unwrap().port(), target.port);
    assert_eq!(dialogue.greeting().unwrap().text(), "relay ESMTP");
    assert!(dialogue.hello().unwrap().is_yes());
    let offers = dialogue.offers().clone();
    assert!(offers.has("STARTTLS") && offers.has("Size") && !offers.has("relay"));
    assert_eq!(offers.get("AUTH"), Some("PLAIN LOGIN"));
    let reply = dialogue.command("MAIL FROM:<a@example.org>").unwrap();
    assert_eq!((reply.code(), reply.text().as_str()), (530, "5.7.0 first"));
    assert!(!reply.is_yes() && dialogue.shown().is_none());
    assert_eq!(dialogue.quit().unwrap().code(), 221);
    served.join().unwrap();
}

#[test]
fn imap_and_pop3_are_spoken_too() {
    let (target, served) = server(|stream| {
        let heard = recite(
            &stream,
            &[
                "* OK [CAPABILITY IMAP4rev1] ready\r\n",
                "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na1 OK done\r\n",
                "* BYE\r\na2 OK bye\r\n",
            ],
        );
        assert_eq!(heard, ["a1 CAPABILITY\r\n", "a2 LOGOUT\r\n"]);
    });
    let client = TlsClient::anonymous().unwrap();
    let mut dialogue = Dialogue::open(&target, &dial(Protocol::Imap), &client).unwrap();
    assert!(dialogue.offers().has("STARTTLS") && dialogue.offers().has("LOGINDISABLED"));
    assert_eq!(dialogue.quit().unwrap().status, "OK");
    served.join().unwrap();

    let (target, served) = server(|stream| {
        let heard = recite(
            &stream,
            &[
                "+OK ready\r\n",
                "+OK list\r\nSTLS\r\nSASL PLAIN\r\n..dot\r\n.\r\n",
                "-ERR not yet\r\n",
                "+OK\r\n",
            ],
        );
        assert_eq!(heard, ["CAPA\r\n", "STLS\r\n", "QUIT\r\n"]);
    });
    let mut dialogue = Dialogue::open(&target, &dial(Protocol::Pop3), &client).unwrap();
    assert_eq!(dialogue.offers().0, ["STLS", "SASL PLAIN", ".dot"]);
    let refused = dialogue.starttls(&client).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the answer to STARTTLS was -ERR `not yet`"
    );
    dialogue.quit().unwrap();
    served.join().unwrap();
}

#[test]
fn other_protocols_are_named_as_what_they_are_not() {
    for (protocol, greeting, name) in [
        (Protocol::Smtp, "* OK imap\r\n", "SMTP"),
        (Protocol::Imap, "220 smtp\r\n", "IMAP"),
        (Protocol::Imap, "* PING\r\n", "IMAP"),
        (Protocol::Imap, "lonely\r\n", "IMAP"),
        (Protocol::Pop3, "* OK imap\r\n", "POP3"),
    ] {
        let (target, served) = server(move |stream| {
            recite(&stream, &[greeting]);
            linger(stream);
        });
        let mut dialogue = Dialogue::connect(&target, &dial(protocol)).unwrap();
        let error = dialogue.greeting().unwrap_err();
        drop(dialogue);
        assert!(
            matches!(error, ProbeError::Foreign { protocol, .. } if protocol == name),
            "{error}"
        );
        served.join().unwrap();
    }
}

#[test]
fn a_command_cannot_carry_another() {
    let (target, served) = server(|stream| {
        assert!(recite(&stream, &["220 a\r\n"]).is_empty());
        linger(stream);
    });
    let mut dialogue = Dialogue::connect(&target, &dial(Protocol::Smtp)).unwrap();
    dialogue.greeting().unwrap();
    for bad in ["MAIL\r\nDATA", "MAIL\nDATA", "A\0", &"a".repeat(600)] {
        let error = dialogue.command(bad).unwrap_err();
        assert!(matches!(error, ProbeError::Command), "{error}");
    }
    drop(dialogue);
    served.join().unwrap();
}

#[test]
fn lists_without_end_end() {
    for (protocol, flood) in [
        (Protocol::Imap, "* CAPABILITY A\r\n"),
        (Protocol::Pop3, "+OK\r\nA\r\n"),
    ] {
        let (target, served) = server(move |mut stream| {
            let greeting = if protocol == Protocol::Imap {
                "* OK\r\n"
            } else {
                "+OK\r\n"
            };
            stream.write_all(greeting.as_bytes()).unwrap();
            let chunk = flood.repeat(1000);
            while stream.write_all(chunk.as_bytes()).is_ok() {}
        });
        let mut dialogue = Dialogue::connect(&target, &dial(protocol)).unwrap();
        let error = dialogue
            .greeting()
            .and_then(|_| dialogue.hello())
            .unwrap_err();
        drop(dialogue);
        assert!(matches!(error, ProbeError::TooMuch { .. }), "{error}");
        served.join().unwrap();
    }
}

#[test]
fn one_deadline_is_for_the_whole_conversation() {
    let (target, served) = server(|mut stream| {
        // Each answer comes in time; all of them together do not.
        let mut answers = 0;
        while stream.write_all(b"250 still here\r\n").is_ok() && answers < 100 {
            std::thread::sleep(Duration::from_millis(60));
            answers += 1;
        }
    });
    let mut dial = dial(Protocol::Smtp);
    dial.timeouts.total = Duration::from_millis(500);
    let start = Instant::now();
    let mut dialogue = Dialogue::connect(&target, &dial).unwrap();
    let error = loop {
        if let Err(error) = dialogue.command("NOOP") {
            break error;
        }
    };
    assert!(matches!(error, ProbeError::TimedOut { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(15));
    drop(dialogue);
    served.join().unwrap();
}

#[test]
fn a_message_goes_to_nobody_that_was_not_verified() {
    let (target, served) = server(|stream| {
        let heard = recite(&stream, &["220 a\r\n", "250 a\r\n"]);
        assert_eq!(heard, ["EHLO relayca.invalid\r\n"]);
        linger(stream);
    });
    let client = TlsClient::anonymous().unwrap();
    let mut dialogue = Dialogue::open(&target, &dial(Protocol::Smtp), &client).unwrap();
    let error = dialogue.data(b"leaf", "Subject: a\n\nb\n").unwrap_err();
    assert!(matches!(error, ProbeError::Unverified), "{error}");
    drop(dialogue);
    served.join().unwrap();
}

#[test]
fn a_key_that_cannot_be_read_is_told_without_its_content() {
    for (chain, key) in [(vec![], vec![1]), (vec![vec![1]], vec![0x42; 40])] {
        let identity = ClientIdentity {
            chain,
            key_pkcs8: Zeroizing::new(key),
        };
        let shown = format!("{identity:?}");
        assert!(
            shown.contains("[elided]") && !shown.contains("66"),
            "{shown}"
        );
        let error = TlsClient::new(Some(&identity), relayca_probe::TlsVersions::Both).unwrap_err();
        assert!(matches!(error, ProbeError::Identity { .. }), "{error}");
        assert!(error.hint().is_some());
    }
}

/// The outcome of offering an old version to a server that says this after STARTTLS.
fn offer(answer: &'static [u8], version: OldVersion) -> Result<OldAnswer, ProbeError> {
    let (target, served) = server(move |stream| {
        let heard = recite(
            &stream,
            &["220 a\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n"],
        );
        assert_eq!(heard.last().unwrap(), "STARTTLS\r\n");
        let hello = servers::some_bytes(&stream);
        assert_eq!(hello[0], 22);
        (&stream).write_all(answer).unwrap();
        if !answer.is_empty() {
            linger(stream);
        }
    });
    let mut dialogue = Dialogue::connect(&target, &dial(Protocol::Smtp)).unwrap();
    dialogue.greeting().unwrap();
    dialogue.hello().unwrap();
    let outcome = dialogue.starttls_old(version);
    served.join().unwrap();
    outcome
}

#[test]
fn what_answers_an_old_version_is_told_apart() {
    let refused = |answer| match offer(answer, OldVersion::Ssl3) {
        Ok(OldAnswer::Refused { how }) => how,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[21, 3, 0, 0, 2, 2, 70]), "alert protocol_version");
    assert_eq!(refused(&[21, 3, 0, 0, 2, 2, 99]), "alert 99");
    assert_eq!(refused(b""), "it closed the connection");
    // No server here speaks SSL 3.0 any more: this is what one would say.
    let mut hello = vec![22, 3, 0, 0, 42, 2, 0, 0, 38, 3, 0];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x35, 0]);
    // What breaks off behind that has not accepted it.
    let broken_off: &'static [u8] = [&hello[..], &[21, 3, 0, 0, 2, 2, 80]].concat().leak();
    assert_eq!(refused(broken_off), "alert internal_error");
    hello.extend([22, 3, 0, 0, 4, 14, 0, 0, 0]);
    let answer: &'static [u8] = hello.leak();
    assert_eq!(
        offer(answer, OldVersion::Ssl3).unwrap(),
        OldAnswer::Accepted {
            version: "SSLv3".to_owned(),
            cipher: "0035".to_owned()
        }
    );
    for garbage in [
        &b"454 no TLS\r\n"[..],
        &[22, 3, 1, 0xff, 0xff],
        &[23, 3, 1, 0, 1, 0],
        &[22, 3, 1, 0, 4, 11, 0, 0, 0],
        &[
            21, 3, 1, 0, 2, 1, 112, 21, 3, 1, 0, 2, 1, 112, 21, 3, 1, 0, 1, 1,
        ],
    ] {
        let error = offer(garbage, OldVersion::Tls10).unwrap_err();
        assert!(matches!(error, ProbeError::Tls { .. }), "{error}");
    }
    // Warnings without end, and nothing else, are left as well.
    let warnings: &'static [u8] = [21, 3, 1, 0, 2, 1, 112].repeat(1000).leak();
    assert!(offer(warnings, OldVersion::Tls11).is_err());
}

#[test]
fn each_address_that_was_tried_is_told_with_its_answer() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let target = Target {
        host: "127.0.0.1".into(),
        port,
        mode: Mode::StartTls,
    };
    let error = Dialogue::connect(&target, &Dial::default()).unwrap_err();
    let ProbeError::Connect { tried, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(tried.len(), 1);
    assert_eq!(tried[0].address.port(), port);
    let failure = tried[0].failure.as_ref().unwrap();
    assert_eq!(failure.kind, std::io::ErrorKind::ConnectionRefused);
    assert_eq!(failure.text, "connection refused");
    assert!(error.to_string().ends_with("connection refused"), "{error}");
}
