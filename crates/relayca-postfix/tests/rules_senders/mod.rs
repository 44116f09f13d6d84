//! A mail host with a transport for each claim, and what became of the mail of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code
)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use xtask::lab::{Instance, Setup, wait_for};

const SOON: Duration = Duration::from_secs(30);

pub const RELAY: &str = "relay.example.org";

pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A mail host to be, with transports that are added one by one; mail for NAME.test goes by the transport NAME.
pub struct Senders {
    pub setup: Setup,
    pub names: Vec<String>,
    pub map: String,
}

impl Senders {
    pub fn new() -> Self {
        Self {
            setup: Setup::new("mail.example.org")
                .knows(RELAY)
                .set("smtp_tls_security_level", "")
                .set("smtp_tls_CApath", "")
                .set("smtp_tls_session_cache_database", "")
                // A second attempt is made by hand, and may go in the clear so soon.
                .set("minimal_backoff_time", "5s"),
            names: Vec::new(),
            map: String::new(),
        }
    }

    /// A transport with options, and where it sends to.
    pub fn transport(&mut self, name: &str, hop: &str, options: &[&str]) {
        let mut lines = format!(
            "{name} unix - - n - - smtp\n -o syslog_name=t-{name}\n -o smtp_tls_loglevel=1\n"
        );
        for option in options {
            if option.starts_with('-') {
                writeln!(lines, " {option}").unwrap();
            } else {
                writeln!(lines, " -o {{ {option} }}").unwrap();
            }
        }
        self.setup = self.setup.clone().service(&lines);
        writeln!(self.map, "/@{name}[.]test$/ {name}:{hop}").unwrap();
        self.names.push(name.to_owned());
    }

    /// Runs, with a message for each; waits until the log has said of each what became of it.
    pub fn start(self, directory: &Path) -> (Instance, Vec<String>) {
        let map = directory.join("transports");
        std::fs::write(&map, &self.map).unwrap();
        let instance = self
            .setup
            .set("transport_maps", &format!("regexp:{}", map.display()))
            .start()
            .unwrap();
        for name in &self.names {
            instance
                .send("a@mail.example.org", &format!("x@{name}.test"), "hello")
                .unwrap();
        }
        (instance, self.names)
    }
}

/// All that was logged of a transport.
pub fn log_of(instance: &Instance, name: &str) -> String {
    let (own, to) = (format!("t-{name}/smtp["), format!("to=<x@{name}.test>"));
    instance
        .log()
        .lines()
        .filter(|line| line.contains(&own) || line.contains(&to))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Words in what was logged of a transport, waited for.
#[track_caller]
pub fn says(instance: &Instance, name: &str, words: &[&str]) {
    for word in words {
        let waited = wait_for(word, SOON, || log_of(instance, name).contains(word));
        assert!(
            waited.is_ok(),
            "{name}: no `{word}` in\n{}",
            log_of(instance, name)
        );
    }
}
