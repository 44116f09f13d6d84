//! Servers that turn away, drip, flood, lie and hang up: `relayca probe` ends in time, and says what it saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod services;

use std::thread::sleep;
use std::time::{Duration, Instant};

use authority::{Admin, Outcome};
use services::fake::{Script, Talk, exchanger, imap, listen, pop3, submission};
use services::{Pki, check, local, looked, verdict, with_roots};

#[test]
fn who_is_turned_away_hears_why() {
    let (pki, admin) = (Pki::new(), Admin::new());
    for (greeting, mark, code) in [
        ("554 5.7.1 go \u{1b}[2Jaway", "fault", 4),
        ("421 too busy", "untried", 3),
        ("SSH-2.0-OpenSSH_9.2", "fault", 4),
    ] {
        let port = Script::new(greeting, &[]).listen();
        for option in ["--mx", "--submission"] {
            let place = local(port);
            let mut command = with_roots(&admin, &pki, &["probe", option, &place]);
            let outcome = Outcome::of(&mut command);
            assert_eq!(outcome.code, Some(code), "{outcome:?}");
            assert!(outcome.stdout.contains(mark), "{}", outcome.stdout);
            assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'));
        }
    }
    let port = Script::new("* BYE overloaded", &[]).listen();
    let (report, code) = looked(&admin, &pki, &["--imap", &local(port)]);
    assert_eq!((verdict(&report, "answers").as_str(), code), ("fault", 4));
}

#[test]
fn servers_that_mean_harm_come_to_an_end() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let flood = |text: &'static [u8]| {
        listen(move |stream| {
            let chunk = text.repeat(1000);
            let mut talk = Talk::Plain(stream);
            while talk.say(&chunk) {}
        })
    };
    let drip = listen(|stream| {
        let mut talk = Talk::Plain(stream);
        while talk.say(b"2") {
            sleep(Duration::from_millis(20));
        }
    });
    for port in [
        flood(b"220-more\r\n"),
        flood(b"* CAPABILITY IMAP4rev1\r\n"),
        flood(b"+OK\r\nUSER\r\n"),
        flood(&[0xff, 0, 0x16, 3, 1, 0xff, 0xff]),
        flood(b"2"),
        drip,
        listen(drop),
    ] {
        for option in [
            "--mx",
            "--submissions",
            "--imap",
            "--imaps",
            "--pop3",
            "--pop3s",
        ] {
            let start = Instant::now();
            let (report, code) = looked(&admin, &pki, &[option, &local(port), "--timeout", "1"]);
            assert!(matches!(code, 3 | 4), "{option}: {report:#}");
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{:?}",
                start.elapsed()
            );
        }
    }
}

#[test]
fn endless_capabilities_come_to_an_end_under_tls_too() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let endless = |line: &str| line.repeat(5000);
    for (option, script) in [
        (
            "--submission",
            submission(&pki).answers("tls EHLO", &endless("250-AUTH PLAIN\n")),
        ),
        (
            "--imap",
            imap(&pki).answers("tls CAPABILITY", &endless("* CAPABILITY IMAP4rev1\n")),
        ),
        (
            "--pop3",
            pop3(&pki).answers("tls CAPA", &format!("+OK\n{}", endless("USER\n"))),
        ),
    ] {
        let (report, code) = looked(&admin, &pki, &[option, &local(script.listen())]);
        let (mark, seen) = check(&report, "conversation");
        assert_eq!((mark.as_str(), code), ("untried", 3), "{report:#}");
        assert!(seen.contains("too long"), "{seen}");
        assert_eq!(
            verdict(&report, "tls"),
            "good",
            "what was seen before stands"
        );
    }
}

#[test]
fn a_server_that_hangs_up_at_any_point_leaves_what_was_seen() {
    let (pki, admin) = (Pki::new(), Admin::new());
    for command in [
        "EHLO", "STARTTLS", "tls EHLO", "MAIL", "tls MAIL", "RCPT", "RSET", "QUIT",
    ] {
        for (option, script) in [
            ("--mx", exchanger(&pki)),
            ("--submission", submission(&pki)),
        ] {
            let place = local(script.answers(command, "close").listen());
            let (report, code) = looked(&admin, &pki, &[option, &place]);
            assert_eq!(verdict(&report, "answers"), "good", "{command}");
            assert!(matches!(code, 0 | 3 | 4), "{command}: {report:#}");
            let is_used = command != "QUIT" && (option, command) != ("--mx", "MAIL");
            assert!(!is_used || code != 0, "{option} {command}: {report:#}");
        }
    }
}
