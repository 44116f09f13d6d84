//! Servers that drip, flood, keep silent, lie or hang up: `relayca probe` ends in time, says what happened, and lets nothing of what
//! they say steer a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::main_job::{Admin, Said};

/// A server that does the same to everybody, for as long as the test runs.
fn server(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let behave = std::sync::Arc::new(behave);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behave = std::sync::Arc::clone(&behave);
            thread::spawn(move || behave(stream));
        }
    });
    format!("127.0.0.1:{port}")
}

/// Answers each line by what `answer` makes of it, beginning with the greeting.
fn smtp(stream: &TcpStream, greeting: &str, answer: impl Fn(&str) -> String) {
    let mut writer = stream;
    if writer.write_all(greeting.as_bytes()).is_err() {
        return;
    }
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while matches!(reader.read_line(&mut line), Ok(n) if n > 0) {
        if writer
            .write_all(answer(line.trim_end()).as_bytes())
            .is_err()
        {
            return;
        }
        line.clear();
    }
}

fn admin() -> Admin {
    let admin = Admin::new(Path::new(env!("CARGO_BIN_EXE_relayca"))).unwrap();
    admin.init(&[]).unwrap();
    admin.done(&["issue", "mailhost"]).unwrap();
    admin
}

/// Runs a probe; nothing printed may hold a control character.
fn probe(admin: &Admin, place: &str, arguments: &[&str]) -> Said {
    let all = [&["probe", place], arguments].concat();
    let said = admin.run(&all).unwrap();
    for text in [&said.stdout, &said.stderr] {
        let steers =
            |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.chars().any(steers), "{text:?}");
        assert!(!text.contains("panicked"), "{text}");
    }
    said
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr))
}

#[test]
fn silence_drips_and_floods_end_in_time() {
    let admin = admin();
    let silent = server(|stream| {
        let _ = BufReader::new(&stream).read_line(&mut String::new());
    });
    let drip = server(|mut stream| {
        while stream.write_all(b"2").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let flood = server(|mut stream| while stream.write_all(&b"250-a\r\n".repeat(1000)).is_ok() {});
    let deaf_to_tls = server(|stream| {
        smtp(&stream, "220 a\r\n", |line| match line {
            "STARTTLS" => "220 go\r\n".to_owned(),
            _ => "250-a\r\n250 STARTTLS\r\n".to_owned(),
        });
    });
    for (place, told) in [
        (&silent, "timed out while waiting for the greeting"),
        (&drip, "timed out while waiting for the greeting"),
        (&flood, "the greeting is too long"),
        (&deaf_to_tls, ""),
    ] {
        let start = Instant::now();
        let said = probe(&admin, place, &["--timeout", "1"]);
        assert!(start.elapsed() < Duration::from_secs(20), "{place}");
        assert!([3, 4].contains(&said.code), "{}", said.stdout);
        assert!(said.stdout.contains(told), "{}", said.stdout);
        // The matrix does not wait for each of its rows in vain.
        let start = Instant::now();
        let said = probe(&admin, place, &["--timeout", "1", "--matrix"]);
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{place}: {:?}",
            start.elapsed()
        );
        assert!([3, 4].contains(&said.code), "{}", said.stdout);
    }
}

#[test]
fn a_server_that_says_yes_to_all_is_no_relay_that_is_closed() {
    let admin = admin();
    let yes = server(|stream| {
        smtp(&stream, "220 a\r\n", |line| match line {
            "DATA" => "354 go on\r\n".to_owned(),
            _ => "250 certainly\r\n".to_owned(),
        });
    });
    let said = probe(&admin, &yes, &["--matrix", "--json"]);
    assert_eq!(said.code, 4);
    let report = json(&said);
    for row in report["rows"].as_array().unwrap() {
        match row["id"].as_str().unwrap() {
            "good" | "plaintext" | "vrfy" | "etrn" => assert_eq!(row["verdict"], "fault", "{row}"),
            "server" => assert_eq!(row["verdict"], "untried", "{row}"),
            _ => {}
        }
    }
    // And no message is said to such a one, although it would take it.
    let said = probe(
        &admin,
        &yes,
        &["--as", "mailhost", "--send", "me@example.net"],
    );
    assert_eq!(said.code, 4);
    assert!(
        said.stderr.contains("no message was sent"),
        "{}",
        said.stderr
    );
}

#[test]
fn what_a_server_says_cannot_steer_the_terminal_or_fill_the_screen() {
    let admin = admin();
    let nasty = server(|stream| {
        let long = "x\x1b[2J\u{202e}".repeat(150);
        smtp(
            &stream,
            "220 a\x1b]0;owned\x07\x1b[31m\u{9b}2J\r\n",
            |line| match line {
                "STARTTLS" => "454 \x1b[2J\x08\x08 no\r\n".to_owned(),
                _ => format!("250-{long}\r\n").repeat(99) + "250 STARTTLS\r\n",
            },
        );
    });
    for arguments in [&[][..], &["--json"], &["--matrix"], &["--matrix", "--json"]] {
        let said = probe(&admin, &nasty, arguments);
        assert_eq!(said.code, 4, "{}", said.stderr);
    }
    let said = probe(&admin, &nasty, &[]);
    assert!(said.stdout.len() < 4000, "{}", said.stdout.len());
    assert!(said.stdout.contains("454"), "{}", said.stdout);
}

#[test]
fn who_hangs_up_in_the_middle_is_told_with_where_it_was() {
    let admin = admin();
    // Between EHLO and STARTTLS the probe says NOOP, so that the relay's log knows it.
    let script = [
        "220 a\r\n",
        "250-a\r\n250 STARTTLS\r\n",
        "250 ok\r\n",
        "220 go\r\n",
    ];
    for (steps, told) in [
        (0, "greeting"),
        (1, "EHLO"),
        (2, "STARTTLS"),
        (3, "STARTTLS"),
        (4, "handshake"),
    ] {
        let place = server(move |stream| {
            let mut reader = BufReader::new(&stream);
            for (number, line) in script.iter().take(steps).enumerate() {
                if number > 0 {
                    reader.read_line(&mut String::new()).unwrap();
                }
                (&stream).write_all(line.as_bytes()).unwrap();
            }
            if steps > 0 {
                // What was asked is taken in, so that hanging up is no reset.
                let _ = std::io::Read::read(&mut reader, &mut [0u8; 2048]);
            }
        });
        let said = probe(&admin, &place, &["--json"]);
        assert_eq!(said.code, 4, "{}", said.stderr);
        let report = json(&said);
        let last = report["checks"].as_array().unwrap().last().unwrap();
        assert_eq!(last["verdict"], "fault", "{last}");
        let seen = last["seen"].as_str().unwrap();
        assert!(
            seen.contains("closed the connection") && seen.contains(told),
            "{seen}"
        );
    }
}
