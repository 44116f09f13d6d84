//! How fast a log is read, and in how much memory: a log such as a relay with a public port 25 writes, the same every time. With `RELAYCA_LOG=FILE` it is
//! also written there, for other programs to be measured with:
//! `RELAYCA_LOG=/dev/shm/mail.log cargo test --release -p relayca-postfix --test log_speed -- --ignored --nocapture`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use relayca_postfix::log::{Around, Explainer, Known};

const MONTHS: [&str; 3] = ["Sep", "Oct", "Nov"];
const MEGABYTES: u64 = 1000;

struct Log {
    text: String,
    state: u64,
    second: u64,
}

impl Log {
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.state >> 33) % below
    }

    fn line(&mut self, tag: &str, process: u64, words: std::fmt::Arguments<'_>) {
        let (day, clock) = (self.second / 86_400, self.second % 86_400);
        let month = MONTHS[usize::try_from(day / 28).unwrap().min(2)];
        writeln!(
            self.text,
            "{month} {:2} {:02}:{:02}:{:02} relayhost {tag}[{process}]: {words}",
            day % 28 + 1,
            clock / 3600,
            clock / 60 % 60,
            clock % 60
        )
        .unwrap();
    }

    /// One session of somebody in the world on port 25.
    fn stranger(&mut self) {
        let process = 1000 + self.draw(80);
        let address = format!(
            "203.{}.{}.{}",
            self.draw(255),
            self.draw(255),
            self.draw(255)
        );
        let peer = match self.draw(3) {
            0 => format!("unknown[{address}]"),
            _ => format!(
                "mail{}.example{}.com[{address}]",
                self.draw(9),
                self.draw(5000)
            ),
        };
        let tag = "postfix/smtpd";
        self.line(tag, process, format_args!("connect from {peer}"));
        match self.draw(5) {
            0 => {
                self.line(
                    tag,
                    process,
                    format_args!("lost connection after CONNECT from {peer}"),
                );
                self.line(
                    tag,
                    process,
                    format_args!("disconnect from {peer} commands=0/0"),
                );
            }
            1 => {
                self.line(tag, process, format_args!("warning: hostname {address}.example.com does not resolve to address {address}: Name or service not known"));
                self.line(tag, process, format_args!("NOQUEUE: reject: RCPT from {peer}: 554 5.7.1 Service unavailable; Client host [{address}] blocked using zen.example.net; https://www.example.net/query/ip/{address}; from=<a@example.com> to=<info@example.org> proto=ESMTP helo=<x.example.com>"));
                self.line(
                    tag,
                    process,
                    format_args!(
                        "disconnect from {peer} ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"
                    ),
                );
            }
            _ => {
                self.line(tag, process, format_args!("Anonymous TLS connection established from {peer}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256"));
                self.message(
                    tag,
                    process,
                    &peer,
                    "postfix/local",
                    "relay=local",
                    "delivered to mailbox",
                );
                self.line(tag, process, format_args!("disconnect from {peer} ehlo=2 starttls=1 mail=1 rcpt=1 bdat=1 quit=1 commands=7"));
            }
        }
    }

    /// One session of a mail host on the relay's service.
    fn mail_host(&mut self) {
        let process = 3000 + self.draw(20);
        let number = self.draw(40);
        let peer = format!("mail{number}.example.org[192.0.2.{number}]");
        let tag = "postfix/relayca/smtpd";
        self.line(tag, process, format_args!("connect from {peer}"));
        if self.draw(50) == 0 {
            self.line(
                tag,
                process,
                format_args!(
                    "client certificate verification failed for {peer}: certificate has expired"
                ),
            );
            self.line(tag, process, format_args!("Untrusted TLS connection established from {peer}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256"));
            self.line(
                tag,
                process,
                format_args!("NOQUEUE: abort: TLS from {peer}: Client certificate not trusted"),
            );
            self.line(
                tag,
                process,
                format_args!("disconnect from {peer} ehlo=1 starttls=1 commands=2"),
            );
            return;
        }
        self.line(tag, process, format_args!("Trusted TLS connection established from {peer}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256 client-signature ECDSA (prime256v1) client-digest SHA256"));
        let relay = format!(
            "relay=mx{}.example{}.net[198.51.100.{number}]:25",
            self.draw(3),
            self.draw(3000)
        );
        self.message(
            tag,
            process,
            &peer,
            "postfix/smtp",
            &relay,
            "250 2.0.0 Ok: queued as 4FqXyz",
        );
        self.line(
            tag,
            process,
            format_args!(
                "disconnect from {peer} ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7"
            ),
        );
    }

    fn message(
        &mut self,
        tag: &str,
        process: u64,
        peer: &str,
        agent: &str,
        relay: &str,
        reason: &str,
    ) {
        let message = format!(
            "{:09X}{:02X}",
            self.draw(1 << 31) + (1 << 33),
            self.draw(256)
        );
        let (sender, recipient) = (self.draw(100_000), self.draw(100_000));
        self.line(tag, process, format_args!("{message}: client={peer}"));
        let other = 5000 + self.draw(50);
        self.line(
            "postfix/cleanup",
            other,
            format_args!("{message}: message-id=<{sender}.{recipient}.{message}@mail.example.com>"),
        );
        self.line(
            "postfix/qmgr",
            900,
            format_args!(
                "{message}: from=<user{sender}@example.com>, size={}, nrcpt=1 (queue active)",
                sender * 3 + 800
            ),
        );
        if agent == "postfix/smtp" {
            self.line(agent, other + 100, format_args!("Trusted TLS connection established to {}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256", relay.trim_start_matches("relay=")));
        }
        self.line(agent, other + 100, format_args!("{message}: to=<user{recipient}@example.net>, {relay}, delay=0.64, delays=0.05/0.01/0.21/0.37, dsn=2.0.0, status=sent ({reason})"));
        self.line("postfix/qmgr", 900, format_args!("{message}: removed"));
    }
}

/// The most memory that this process had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement; --release"]
fn a_gigabyte_is_read_in_seconds_and_constant_memory() {
    let mut copy = std::env::var_os("RELAYCA_LOG").map(|path| std::fs::File::create(path).unwrap());
    let mut log = Log {
        text: String::new(),
        state: 42,
        second: 0,
    };
    let mut explainer = Explainer::new(Around::until(1_796_083_200), Known::nobody());
    let (mut read, mut taken, mut early) = (0, Duration::ZERO, 0);
    while read < MEGABYTES * 1_000_000 {
        while log.text.len() < 1 << 20 {
            if log.draw(5) == 0 {
                log.mail_host();
            } else {
                log.stranger();
            }
        }
        let begun = Instant::now();
        explainer.feed(log.text.as_bytes(), &mut |_| {});
        taken += begun.elapsed();
        if let Some(copy) = &mut copy {
            copy.write_all(log.text.as_bytes()).unwrap();
        }
        read += log.text.len() as u64;
        log.text.clear();
        log.second = read * 80 * 86_400 / (MEGABYTES * 1_000_000);
        if read < 20_000_000 {
            early = peak();
        }
    }
    let report = explainer.finish(&mut |_| {});
    println!(
        "{} MB, {} lines in {:.2} s; at most {} KiB, after the first 20 MB {early} KiB",
        read / 1_000_000,
        report.counts.lines,
        taken.as_secs_f64(),
        peak()
    );
    assert!(peak() < early + 8 * 1024, "memory grows with the log");
    assert!(report.hosts.iter().filter(|host| host.ours).count() == 40);
}
