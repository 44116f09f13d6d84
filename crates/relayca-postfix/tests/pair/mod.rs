//! A mail host and a relay on real Postfixes, and the internet behind the relay. Certificates are made by openssl.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code
)]

use std::path::Path;
use std::time::Duration;

use relayca_postfix::{
    MailHost, NextHop, Refusal, RelayService, RelayStyle, SenderBinding, Style, access_map_script,
    access_map_text, mail_host_snippet, map_script, relay_snippet,
};
use tempfile::TempDir;
use xtask::lab::openssl::{Authority, Certificate, Usage};
use xtask::lab::{self, Instance, Pasted, Port, Setup, Sink, Tree};

pub const DOMAIN: &str = "example.org";
pub const RELAY: &str = "relay.example.org";
pub const MAIL_HOST: &str = "mail.example.org";
pub const SOON: Duration = Duration::from_secs(30);

/// What differs from test to test.
#[derive(Clone)]
pub struct Wish {
    pub style: Style,
    pub relay_style: RelayStyle,
    pub wrapper: bool,
    pub hostile: bool,
    /// Where the mail host connects to.
    pub destination: &'static str,
    pub refusal: Refusal,
    pub senders: Vec<SenderBinding>,
    pub relay_tree: Tree,
    pub mail_host_tree: Tree,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            style: Style::Transport,
            relay_style: RelayStyle::Block,
            wrapper: false,
            hostile: false,
            destination: RELAY,
            refusal: Refusal::Defer,
            senders: Vec::new(),
            relay_tree: Tree::default(),
            mail_host_tree: Tree::default(),
        }
    }
}

pub struct Pair {
    pub relay: Instance,
    pub mail_host: Instance,
    pub internet: Sink,
    pub port: Port,
    pub authority: Authority,
    pub listed: Certificate,
    pub directory: TempDir,
    pub wish: Wish,
}

/// The text of relay_clientcerts.
pub fn map_text(listed: &[&Certificate]) -> String {
    listed
        .iter()
        .map(|certificate| format!("{} {MAIL_HOST}\n", certificate.fingerprint().unwrap()))
        .collect()
}

/// Pastes, and shows what was said if it did not end well.
pub fn paste(instance: &Instance, script: &str) -> Pasted {
    let pasted = instance.paste(script).unwrap();
    assert!(
        pasted.ok(),
        "status {}\n{}\n{}\n{}",
        pasted.status,
        pasted.stdout,
        pasted.stderr,
        instance.log()
    );
    pasted
}

impl Pair {
    /// Both running, with relayca's files in place and every script pasted.
    pub fn new(wish: Wish) -> Self {
        let pair = Self::before_pasting(wish);
        pair.paste_map(&[&pair.listed]);
        paste(&pair.relay, &pair.relay_script());
        paste(&pair.mail_host, &pair.mail_host_script());
        backdate(&pair.mail_host);
        pair
    }

    /// Both running, with relayca's files in place, but nothing pasted yet.
    pub fn before_pasting(wish: Wish) -> Self {
        lab::available().expect("the lab needs root, Postfix, openssl and mount");
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::create(directory.path(), "example.org mail relay CA").unwrap();
        let internet = Sink::start().unwrap();
        let mut relay = Setup::new(RELAY)
            .tree(wish.relay_tree.clone())
            .relays_to(&internet);
        let mut mail_host = Setup::new(MAIL_HOST)
            .tree(wish.mail_host_tree.clone())
            .knows(RELAY)
            .knows("relay2.example.org");
        if wish.hostile {
            relay = relay.hostile();
            mail_host = mail_host.hostile();
        }
        let (relay, mail_host) = (relay.start().unwrap(), mail_host.start().unwrap());
        authority.install(&relay.config(), DOMAIN).unwrap();
        authority.install(&mail_host.config(), DOMAIN).unwrap();
        authority
            .issue(RELAY, Usage::Server)
            .unwrap()
            .install(&relay.config(), RELAY)
            .unwrap();
        let listed = authority.issue(MAIL_HOST, Usage::Client).unwrap();
        listed.install(&mail_host.config(), MAIL_HOST).unwrap();
        Self {
            relay,
            mail_host,
            internet,
            port: Port::reserve().unwrap(),
            authority,
            listed,
            directory,
            wish,
        }
    }

    pub fn service(&self) -> RelayService {
        RelayService {
            domain: DOMAIN.to_owned(),
            relay: RELAY.to_owned(),
            port: self.port.number(),
            wrapper: self.wish.wrapper,
            config_directory: self.relay.config_inside(),
            digest: "sha256".to_owned(),
            refusal: self.wish.refusal,
            senders: self.wish.senders.clone(),
        }
    }

    pub fn relay_script(&self) -> String {
        relay_snippet(&self.service(), self.wish.relay_style)
            .unwrap()
            .script
    }

    pub fn settings(&self) -> MailHost {
        MailHost {
            domain: DOMAIN.to_owned(),
            host: MAIL_HOST.to_owned(),
            config_directory: self.mail_host.config_inside(),
            relays: vec![NextHop {
                destination: self.wish.destination.to_owned(),
                port: self.port.number(),
                certificate_name: RELAY.to_owned(),
            }],
            wrapper: self.wish.wrapper,
            style: self.wish.style,
        }
    }

    pub fn mail_host_script(&self) -> String {
        mail_host_snippet(&self.settings()).unwrap().script
    }

    /// Lists these certificates, all for the mail host, and no others.
    pub fn paste_map(&self, listed: &[&Certificate]) {
        let directory = self.relay.config_inside();
        if self.wish.senders.is_empty() {
            paste(
                &self.relay,
                &map_script(&directory, &map_text(listed), None).unwrap(),
            );
        } else {
            let listed: Vec<_> = listed
                .iter()
                .map(|c| (c.fingerprint().unwrap(), MAIL_HOST.to_owned()))
                .collect();
            paste(
                &self.relay,
                &access_map_script(
                    &directory,
                    &access_map_text(&listed, &self.wish.senders).unwrap(),
                    None,
                )
                .unwrap(),
            );
        }
    }

    /// Gives the mail host another certificate.
    pub fn show(&self, certificate: &Certificate) {
        certificate
            .install(&self.mail_host.config(), MAIL_HOST)
            .unwrap();
        self.mail_host.reload().unwrap();
    }

    /// Sends, and waits until the mail host has tried and failed; gives its log lines about it.
    pub fn is_refused(&self, to: &str) -> String {
        let before = self.internet.count();
        self.mail_host
            .send("info@example.org", to, "hello")
            .unwrap();
        let line = format!("to=<{to}>");
        let tried = || {
            self.mail_host
                .log()
                .lines()
                .any(|l| l.contains(&line) && l.contains("status="))
        };
        lab::wait_for("a delivery attempt", SOON, tried)
            .unwrap_or_else(|e| panic!("{e}\n{}\n{}", self.mail_host.log(), self.relay.log()));
        let lines: Vec<String> = self
            .mail_host
            .log()
            .lines()
            .filter(|l| l.contains(&line))
            .map(str::to_owned)
            .collect();
        let lines = lines.join("\n");
        assert!(
            lines.contains("status=deferred"),
            "not deferred: {lines}\n{}",
            self.relay.log()
        );
        assert_eq!(self.internet.count(), before, "relayed: {lines}");
        assert!(
            self.mail_host
                .queue()
                .unwrap()
                .iter()
                .any(|message| message.contains(to)),
            "not queued any more: {lines}"
        );
        lines
    }

    /// Sends, and waits for it at the other end.
    pub fn relays(&self, to: &str) {
        self.mail_host
            .send("info@example.org", to, "hello")
            .unwrap();
        self.arrives(to);
    }

    pub fn arrives(&self, to: &str) {
        let there = || {
            self.internet
                .messages()
                .iter()
                .any(|m| m.to.iter().any(|t| t == to))
        };
        lab::wait_for(to, SOON, there).unwrap_or_else(|e| {
            panic!(
                "{e}\n--- mail host\n{}\n--- relay\n{}",
                self.mail_host.log(),
                self.relay.log()
            )
        });
    }
}

pub fn config_files(instance: &Instance) -> (String, String) {
    let read = |name: &str| std::fs::read_to_string(instance.config().join(name)).unwrap();
    (read("main.cf"), read("master.cf"))
}

pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Makes main.cf look old: Postfix's programs wait two seconds for one that was written just now.
pub fn backdate(instance: &Instance) {
    let file = std::fs::File::options()
        .write(true)
        .open(instance.config().join("main.cf"))
        .unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60))
        .unwrap();
}
