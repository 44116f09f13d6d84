//! Small configurations with facts made by hand, and what the rules say of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code
)]

use std::collections::BTreeSet;
use std::path::Path;

use relayca_postfix::config::{Config, Version};
use relayca_postfix::rules::{self, Certificate, Facts, Finding, Found, Key, Look, Pem, Subject};

/// 2026-11-21.
pub const NOW: i64 = 1_795_219_200;
pub const DAY: i64 = 86_400;

/// A configuration and what is around it.
#[derive(Clone)]
pub struct Case {
    pub main: String,
    pub master: String,
    pub facts: Facts,
}

/// A port for everybody, as most have it.
pub const PORT_25: &str = "smtp inet n - n - - smtpd\n";

impl Case {
    /// Postfix 3.7 with this main.cf, and an smtpd on port 25.
    pub fn new(main: &str) -> Self {
        Self {
            main: main.to_owned(),
            master: PORT_25.to_owned(),
            facts: Facts {
                version: Some(Version::new(3, 7)),
                now: NOW,
                ..Facts::default()
            },
        }
    }

    /// Services instead of the one on port 25.
    pub fn master(mut self, master: &str) -> Self {
        master.clone_into(&mut self.master);
        self
    }

    pub fn version(mut self, major: u16, minor: u16) -> Self {
        self.facts.version = Some(Version::new(major, minor));
        self
    }

    pub fn map_types(mut self, types: &[&str]) -> Self {
        self.facts.map_types = Some(types.iter().map(|kind| (*kind).to_owned()).collect());
        self
    }

    pub fn absent(mut self, path: &str) -> Self {
        self.facts.paths.insert(path.to_owned(), Look::Absent);
        self
    }

    pub fn file(mut self, path: &str, found: Found) -> Self {
        self.facts
            .paths
            .insert(path.to_owned(), Look::Found(Box::new(found)));
        self
    }

    /// A file of root's, mode 0600, with PEM blocks.
    pub fn pem(self, path: &str, blocks: &[Pem]) -> Self {
        self.file(
            path,
            Found {
                mode: 0o600,
                pem: Some(blocks.to_vec()),
                ..Found::default()
            },
        )
    }

    /// A table's text of today, and its database of a moment later.
    pub fn table(self, path: &str, text: &str) -> Self {
        let found = |text: Option<&str>, modified| Found {
            mode: 0o644,
            modified,
            text: text.map(str::to_owned),
            ..Found::default()
        };
        self.file(path, found(Some(text), NOW - 100))
            .file(&format!("{path}.lmdb"), found(None, NOW - 90))
    }

    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.file(
            path,
            Found {
                directory: true,
                mode,
                ..Found::default()
            },
        )
    }

    pub fn judge(&self) -> Vec<Finding> {
        let config = Config::parse(
            self.main.as_bytes(),
            Some(self.master.as_bytes()),
            self.facts.version,
        );
        rules::judge(&Subject {
            config: &config,
            facts: &self.facts,
        })
    }

    /// The findings of a rule.
    pub fn findings(&self, rule: &str) -> Vec<Finding> {
        self.judge()
            .into_iter()
            .filter(|finding| finding.rule == rule)
            .collect()
    }
}

/// A good certificate of a host, whose key is called `key`.
pub fn certificate(key: &str) -> Certificate {
    Certificate {
        subject: "CN=relay.example.org".to_owned(),
        issuer: "CN=example.org mail relay CA".to_owned(),
        not_before: NOW - 100 * DAY,
        not_after: NOW + 600 * DAY,
        spki: key.to_owned(),
        sha256: format!("certificate of {key}"),
        alt_names: vec!["relay.example.org".to_owned()],
        client: true,
        server: true,
        key: "p256".to_owned(),
        ..Certificate::default()
    }
}

/// A CA's own certificate.
pub fn root() -> Certificate {
    Certificate {
        subject: "CN=example.org mail relay CA".to_owned(),
        ca: true,
        self_signed: true,
        alt_names: Vec::new(),
        ..certificate("root")
    }
}

pub fn cert(certificate: Certificate) -> Pem {
    Pem::Certificate(Box::new(certificate))
}

pub fn good(key: &str) -> Pem {
    cert(certificate(key))
}

pub fn key(name: &str) -> Pem {
    Pem::Key(Key {
        spki: Some(name.to_owned()),
        encrypted: false,
    })
}

/// A rule with a case that it finds something in, and one that looks like it and is right.
pub struct Pair {
    pub rule: &'static str,
    pub fires: Case,
    pub silent: Case,
}

pub fn pair(rule: &'static str, fires: Case, silent: Case) -> Pair {
    Pair {
        rule,
        fires,
        silent,
    }
}

/// Every pair does what it says; the findings are whole.
pub fn check(pairs: &[Pair]) {
    for Pair {
        rule,
        fires,
        silent,
    } in pairs
    {
        let found = fires.findings(rule);
        assert!(
            !found.is_empty(),
            "`{rule}` does not fire on\n{}{}",
            fires.main,
            fires.master
        );
        for finding in &found {
            whole(finding);
        }
        let other = silent.findings(rule);
        assert_eq!(
            other,
            [],
            "`{rule}` fires on\n{}{}",
            silent.main,
            silent.master
        );
    }
}

/// A message is a line in lower case without a full stop, and what is to be pasted has a line each.
pub fn whole(finding: &Finding) {
    let Finding {
        rule, message, fix, ..
    } = finding;
    assert!(
        !message.is_empty() && !message.ends_with('.') && !message.contains('\n'),
        "{rule}: {message}"
    );
    assert!(
        !message.starts_with(|c: char| c.is_uppercase())
            || message.starts_with("TLS")
            || message.starts_with("CN="),
        "{rule}: {message}"
    );
    assert_eq!(message.matches('`').count() % 2, 0, "{rule}: {message}");
    for line in fix {
        assert!(!line.contains('\n') && !line.is_empty(), "{rule}: {line}");
        let command = line.split(' ').next().unwrap();
        assert!(
            ["#", "postconf", "postmap", "postfix", "chmod", "chown"].contains(&command),
            "{rule}: {line}"
        );
    }
}

/// The ids of the rules that are written in these files or directories below src/rules.
pub fn ids_in(names: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules");
    let mut ids = BTreeSet::new();
    for name in names {
        let path = root.join(name);
        let files: Vec<_> = if path.is_dir() {
            std::fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect()
        } else {
            vec![path]
        };
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            ids.extend(
                text.lines()
                    .filter_map(|line| line.trim().strip_prefix("id: \""))
                    .filter_map(|rest| rest.strip_suffix("\","))
                    .map(str::to_owned),
            );
        }
    }
    ids
}

/// A relay service as relayca prints it, in few lines.
const RELAY: &str = "2500 inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_ask_ccert=yes
  -o smtpd_tls_req_ccert=yes
  -o smtpd_tls_fingerprint_digest=sha256
  -o smtpd_tls_CAfile=/etc/postfix/relayca/example.org-ca.crt.pem
  -o smtpd_tls_CApath=
  -o smtpd_tls_cert_file=/etc/postfix/relayca/relay.crt.pem
  -o smtpd_tls_key_file=/etc/postfix/relayca/relay.key.pem
  -o tls_ssl_options=NO_TICKET
  -o smtpd_tls_session_cache_database=
  -o smtpd_tls_received_header=yes
  -o relay_clientcerts=lmdb:/etc/postfix/relay_clientcerts
  -o smtpd_client_restrictions=
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=
  -o smtpd_relay_restrictions=permit_tls_clientcerts,defer
  -o smtpd_recipient_restrictions=
  -o smtpd_data_restrictions=
  -o smtpd_end_of_data_restrictions=
  -o smtpd_etrn_restrictions=reject
  -o disable_vrfy_command=yes
  -o mynetworks=127.0.0.1/32
  -o smtpd_milters=
  -o content_filter=
";

/// Its lines in master.cf.
pub fn relay_service() -> &'static str {
    RELAY
}

/// A relay service that is right, and nothing else.
pub fn sound_relay() -> Case {
    Case::new("compatibility_level = 3.6\n").master(RELAY)
}

/// The sound service with options changed: `name=value` takes the place of the one of that name, or is added; `-name` goes.
pub fn changed(changes: &[&str]) -> Case {
    let mut lines: Vec<String> = RELAY.lines().map(str::to_owned).collect();
    for change in changes {
        let name = change.trim_start_matches('-').split('=').next().unwrap();
        lines.retain(|line| !line.contains(&format!("-o {name}=")));
        if !change.starts_with('-') {
            lines.push(format!("  -o {change}"));
        }
    }
    sound_relay().master(&(lines.join("\n") + "\n"))
}

/// More lines of main.cf.
pub fn main_cf(case: Case, more: &str) -> Case {
    Case {
        main: format!("{}{more}", case.main),
        ..case
    }
}

/// An ordinary server.
pub fn mx(main: &str) -> Case {
    Case::new(&format!("compatibility_level = 3.6\n{main}"))
}
