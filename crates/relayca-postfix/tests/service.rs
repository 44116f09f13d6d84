//! What the relay's service says to a listed client, and to anybody before a certificate is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use pair::{DOMAIN, MAIL_HOST, Pair, SOON, Wish, paste};
use xtask::lab;

/// Speaks SMTP through `openssl s_client`, as the mail host.
fn speak(pair: &Pair, lines: &str) -> String {
    let files = pair.mail_host.config().join("relayca");
    let file = |name: String| files.join(name);
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-starttls",
            "smtp",
            "-connect",
            &format!("127.0.0.1:{}", pair.port.number()),
        ])
        .arg("-cert")
        .arg(file(format!("{MAIL_HOST}.crt.pem")))
        .arg("-key")
        .arg(file(format!("{MAIL_HOST}.key.pem")))
        .arg("-CAfile")
        .arg(file(format!("{DOMAIN}-ca.crt.pem")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(lines.replace('\n', "\r\n").as_bytes())
        .unwrap();
    // s_client ends when the server does, after QUIT.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn plain(pair: &Pair, lines: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", pair.port.number())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut said = String::new();
    for line in lines.lines() {
        let mut buffer = [0; 2048];
        let n = stream.read(&mut buffer).unwrap();
        said.push_str(&String::from_utf8_lossy(&buffer[..n]));
        // The server may have closed after a refusal.
        let _ = write!(stream, "{line}\r\n");
    }
    let _ = stream.read_to_string(&mut said);
    said
}

#[test]
fn the_service_offers_relaying_and_nothing_else() {
    let pair = Pair::new(Wish {
        hostile: true,
        ..Wish::default()
    });
    let said = speak(
        &pair,
        "EHLO mail.example.org\nETRN example.net\nVRFY root\nAUTH PLAIN AGEAYg==\nQUIT\n",
    );
    for word in ["ETRN", "VRFY", "AUTH"] {
        assert!(
            !said
                .lines()
                .any(|line| line.starts_with("250") && line.contains(word)),
            "{word} is offered:\n{said}"
        );
    }
    let refused: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("50") || line.starts_with("55") || line.starts_with("45"))
        .collect();
    assert_eq!(refused.len(), 3, "{said}");

    // Before TLS nothing is possible, and nothing else is offered either.
    let said = plain(
        &pair,
        "EHLO somebody.example.net\nMAIL FROM:<a@example.org>\nVRFY root\nETRN example.net\nQUIT\n",
    );
    for word in ["ETRN", "VRFY", "AUTH"] {
        assert!(
            !said
                .lines()
                .any(|line| line.starts_with("250") && line.contains(word)),
            "{word} is offered:\n{said}"
        );
    }
    assert!(
        said.contains("530 5.7.0 Must issue a STARTTLS command first"),
        "{said}"
    );

    // A listed client cannot make backscatter: an unknown local user is refused at once.
    let said = speak(
        &pair,
        "EHLO mail.example.org\nMAIL FROM:<a@example.org>\nrcpt TO:<nobody-here@relay.example.org>\nQUIT\n",
    );
    assert!(said.contains("550 5.1.1"), "{said}");

    // A session is not resumed: an expired certificate would live on in it.
    let log = pair.relay.log();
    assert!(!log.contains("Reusing old session"), "{log}");
}

#[test]
fn a_mail_host_in_a_hurry_is_not_held_up() {
    const MESSAGES: usize = 300;
    let pair = Pair::new(Wish::default());
    let said = Command::new("/usr/sbin/smtp-source")
        .args([
            "-c",
            "-m",
            &MESSAGES.to_string(),
            "-s",
            "20",
            "-f",
            "info@example.org",
            "-t",
            "someone@example.net",
            &format!("127.0.0.1:{}", pair.mail_host.port()),
        ])
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    pair.internet
        .wait_for(MESSAGES, Duration::from_secs(60))
        .unwrap_or_else(|e| panic!("{e}\n{}", pair.relay.log()));
    let log = pair.mail_host.log();
    assert!(!log.contains("status=deferred"), "{log}");
    lab::wait_for("an empty queue", SOON, || {
        pair.mail_host.queue().unwrap().is_empty()
    })
    .unwrap();
}

#[test]
fn a_stranger_is_held_up() {
    let pair = Pair::before_pasting(Wish::default());
    pair.paste_map(&[&pair.listed]);
    // The same text with a limit that a test can reach.
    let script = pair
        .relay_script()
        .replace("_rate_limit=12000", "_rate_limit=5");
    assert!(script.contains("_rate_limit=5\n"));
    paste(&pair.relay, &script);
    for _ in 0..8 {
        let said = plain(&pair, "QUIT\n");
        if said.contains("421 4.7.0") {
            return;
        }
    }
    panic!("127.0.0.1 is not limited:\n{}", pair.relay.log());
}
