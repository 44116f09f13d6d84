//! relayca.toml: what people decide about an authority.
//!
//! In: the file's text. Out: [`Settings`], every value checked; an unknown key or a bad value is an
//! error with its line. It refuses to know what has been issued (that is the inventory's) and any
//! secret. Where a command changes it (a relay added, senders bound) comments and order stay.

mod edit;
mod file;
mod login;
mod relay;

use std::collections::BTreeMap;
use std::path::Path;

use relayca_bundle::Recipient;
use relayca_ca::{Domain, HostName, KeyType};
use relayca_fingerprint::{Digest, Pin};
use relayca_mta::Mta;
use relayca_postfix::{Refusal, Style};

use self::file::{HostFile, SettingsFile};
use crate::failure::{FAILED, Failure};

pub use edit::{render, with_mta, with_recipients, with_relay, with_senders};
pub use login::Login;
pub use relay::Relay;

/// Days that a leaf certificate is valid: Apple caps private roots' server certificates at 825.
pub const DEFAULT_DAYS: u32 = 730;
/// Days that can be asked for: up to a hundred years.
pub const DAYS: std::ops::RangeInclusive<u32> = 1..=36525;
/// Bytes; a settings file of a person is far below.
const LONGEST: usize = 4 << 20;

/// What relayca.toml says, checked.
#[derive(Debug)]
pub struct Settings {
    /// The mail domain.
    pub domain: Domain,
    /// Where mail hosts send to, in order of preference.
    pub relays: Vec<Relay>,
    /// Who opens what the authority seals for itself.
    pub recipients: Vec<Recipient>,
    /// Identity files used when `-i` is not given.
    pub identities: Vec<String>,
    /// Key type of new certificates.
    pub key: KeyType,
    /// Days of validity of new certificates.
    pub days: u32,
    /// What the map lists.
    pub pin: Pin,
    /// The map's digest.
    pub digest: Digest,
    /// What the relay answers to those it does not know.
    pub refusal: Refusal,
    /// Implicit TLS instead of STARTTLS between mail host and relay.
    pub wrapper: bool,
    /// Postfix's config_directory unless a host has its own.
    pub config_directory: String,
    /// Style of the mail hosts' snippets.
    pub style: Style,
    hosts: BTreeMap<String, HostFile>,
    mtas: BTreeMap<String, Mta>,
}

impl Settings {
    /// Reads the text of relayca.toml; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        if text.len() > LONGEST {
            return Err(Failure::new(format!(
                "`{}` is larger than {LONGEST} bytes",
                path.display()
            )));
        }
        let file: SettingsFile = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            Failure::new(format!(
                "{}:{line}: {}",
                path.display(),
                error.message().trim()
            ))
            .hint("docs/FORMATS.md lists the keys of relayca.toml")
        })?;
        let at = |key: &str, failure: Failure| {
            let line = text
                .lines()
                .position(|line| line.trim_start().starts_with(key))
                .map_or(1, |line| line + 1);
            // The file is at fault, not the command line, whatever kind of value it is.
            Failure {
                code: FAILED,
                ..failure
                    .within(format_args!("{}:{line}: `{key}`", path.display()))
                    .or_hint("docs/FORMATS.md lists the keys of relayca.toml and their values")
            }
        };
        let domain = Domain::parse(&file.domain).map_err(|error| at("domain", error.into()))?;
        let relays = file
            .relays
            .iter()
            .map(|relay| Relay::parse(relay, &domain))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| at("relays", error))?;
        let recipients = file
            .recipients
            .iter()
            .map(|text| Recipient::parse(text))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| at("recipients", error.into()))?;
        let mut mtas = BTreeMap::new();
        for (key, host) in &file.host {
            let name = HostName::parse(key).map_err(|error| at("[host", error.into()))?;
            if name.as_str() != key {
                return Err(at(
                    "[host",
                    Failure::new(format!("`{key}` is written `{name}`"))
                        .hint("write host names in full and in lower case"),
                ));
            }
            if host.senders.as_ref().is_some_and(Vec::is_empty) {
                return Err(at(
                    "senders",
                    Failure::new(format!("`{key}` is bound to no sender"))
                        .hint("name its senders, or take the line out to let it use any"),
                ));
            }
            if let Some(directory) = &host.config_directory {
                check_directory(directory).map_err(|error| at("config-directory", error))?;
            }
            if let Some(login) = &host.ssh {
                Login::parse(login).map_err(|error| at("ssh", error))?;
            }
            if let Some(file) = &host.host_key {
                check_directory(file).map_err(|error| at("host-key", error))?;
            }
            if let Some(mta) = &host.mta {
                let mta: Mta = mta
                    .parse()
                    .map_err(|error: relayca_mta::MtaError| at("mta", error.into()))?;
                if !mta.can_be_relay() && relays.iter().any(|relay| relay.name == name) {
                    return Err(at("mta", relayca_mta::MtaError::NoRelay(mta).into()));
                }
                mtas.insert(key.clone(), mta);
            }
        }
        check_directory(&file.postfix.config_directory)
            .map_err(|error| at("config-directory", error))?;
        if !DAYS.contains(&file.certificates.days) {
            let (first, last) = (DAYS.start(), DAYS.end());
            return Err(at(
                "days",
                Failure::new(format!("give a number of days from {first} to {last}")),
            ));
        }
        Ok(Self {
            domain,
            relays,
            recipients,
            identities: file.identities,
            key: word(&file.certificates.key).map_err(|error| at("key", error))?,
            days: file.certificates.days,
            pin: word(&file.map.pin).map_err(|error| at("pin", error))?,
            digest: word(&file.map.digest).map_err(|error| at("digest", error))?,
            refusal: word(&file.relay.refusal).map_err(|error| at("refusal", error))?,
            wrapper: file.relay.wrapper,
            config_directory: file.postfix.config_directory,
            style: word(&file.postfix.style).map_err(|error| at("style", error))?,
            hosts: file.host,
            mtas,
        })
    }

    /// Where the mail server of `host` keeps its configuration.
    pub fn config_directory(&self, host: &HostName) -> &str {
        self.hosts
            .get(host.as_str())
            .and_then(|host| host.config_directory.as_deref())
            .unwrap_or_else(|| match self.mta(host) {
                Mta::Postfix => &self.config_directory,
                other => other.usual_directory(),
            })
    }

    /// The mail server of `host`.
    pub fn mta(&self, host: &HostName) -> Mta {
        self.mtas.get(host.as_str()).copied().unwrap_or_default()
    }

    /// Likewise, whatever relayca.toml says: for this run.
    pub fn set_mta(&mut self, host: &HostName, mta: Mta) {
        self.mtas.insert(host.to_string(), mta);
    }

    /// Whether a relay lists certificates, so that each renewal changes its list.
    pub fn a_relay_lists_certificates(&self) -> bool {
        self.relays
            .iter()
            .any(|relay| self.mta(&relay.name) == Mta::Exim)
    }

    /// Whether all relays and these hosts have Postfix, so that `deploy` can do what is pasted otherwise.
    pub fn have_postfix<'a>(&'a self, hosts: impl IntoIterator<Item = &'a HostName>) -> bool {
        let relays = self.relays.iter().map(|relay| &relay.name);
        relays
            .chain(hosts)
            .all(|host| self.mta(host) == Mta::Postfix)
    }

    /// The senders that `host` is bound to; empty where it may use any.
    pub fn senders(&self, host: &str) -> &[String] {
        self.hosts
            .get(host)
            .and_then(|host| host.senders.as_deref())
            .unwrap_or_default()
    }

    /// How `deploy` logs in on `host`, where that is said.
    pub fn login(&self, host: &HostName) -> Option<Login> {
        let text = self.hosts.get(host.as_str())?.ssh.as_deref()?;
        Login::parse(text).ok()
    }

    /// Whether that login becomes root by sudo.
    pub fn sudo(&self, host: &HostName) -> bool {
        self.hosts.get(host.as_str()).is_some_and(|host| host.sudo)
    }

    /// The file on `host` that opens what is sealed to it, where that is said.
    pub fn host_key(&self, host: &HostName) -> Option<&str> {
        self.hosts.get(host.as_str())?.host_key.as_deref()
    }

    /// All hosts that are bound to senders.
    pub fn bound(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.hosts
            .iter()
            .filter_map(|(name, host)| Some((name.as_str(), host.senders.as_deref()?)))
    }

    /// All hosts that have a section of their own.
    pub fn host_sections(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// The relay whose certificate is called `name`.
    pub fn relay(&self, name: &HostName) -> Option<&Relay> {
        self.relays.iter().find(|relay| relay.name == *name)
    }
}

/// A value that is one of a few words; the error of its type says which.
pub fn word<T>(text: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        let message = error.to_string();
        // Not every kind of word repeats what was written.
        let named = message.contains(text);
        Failure::usage(if named {
            message
        } else {
            format!("{message}: `{text}`")
        })
        .hint("write one of the words that the option's help or the comment in relayca.toml lists")
    })
}

/// Refuses anything but a plain absolute path: it is printed into configuration files and shell blocks.
pub fn check_directory(directory: &str) -> Result<(), Failure> {
    let plain = |part: &str| {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        !matches!(part, "" | "." | "..") && part.chars().all(letters)
    };
    match directory.strip_prefix('/') {
        Some(rest) if directory.len() <= 1024 && rest.split('/').all(plain) => Ok(()),
        _ => Err(
            Failure::usage(format!("`{directory}` is not a plain absolute directory")).hint(
                "use letters, digits, `.`, `_` and `-` between slashes, as in `/etc/postfix`",
            ),
        ),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset)
        .map_or(1, |before| before.matches('\n').count() + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn example() -> (Domain, String) {
        let domain = Domain::parse("example.org").unwrap();
        let relays = [Relay::parse("relayhost", &domain).unwrap()];
        let text = render(&domain, &relays, &[], &[], KeyType::P256, "/etc/postfix");
        (domain, text)
    }

    fn parse(text: &str) -> Result<Settings, Failure> {
        Settings::parse(text, Path::new("relayca.toml"))
    }

    #[test]
    fn what_init_writes_can_be_read() {
        let settings = parse(&example().1).unwrap();
        assert_eq!(settings.relays[0].text(), "relayhost.example.org:2500");
        assert_eq!(settings.days, DEFAULT_DAYS);
    }

    #[test]
    fn an_unknown_key_names_its_line() {
        let text = example().1.replace("days = ", "dayz = ");
        let line = text
            .lines()
            .position(|line| line.starts_with("dayz"))
            .unwrap()
            + 1;
        let message = parse(&text).unwrap_err().message;
        assert!(
            message.starts_with(&format!("relayca.toml:{line}: unknown field `dayz`")),
            "{message}"
        );
    }

    #[test]
    fn a_bad_value_names_its_line_and_key() {
        let text = example().1.replace("key = \"p256\"", "key = \"rsa1024\"");
        let message = parse(&text).unwrap_err().message;
        assert!(
            message.contains("`key`") && message.contains("rsa1024"),
            "{message}"
        );
    }

    #[test]
    fn adding_a_relay_and_senders_keeps_the_comments() {
        let (domain, text) = example();
        let more = with_relay(&text, &Relay::parse("[2001:db8::1]:25", &domain).unwrap()).unwrap();
        let more = with_senders(
            &more,
            &HostName::parse("a.example.org").unwrap(),
            &["example.org".into()],
        )
        .unwrap();
        let settings = parse(&more).unwrap();
        assert_eq!(settings.relays[1].text(), "[2001:db8::1]:25");
        assert_eq!(
            settings.relays[1].name.as_str(),
            "relay-2001-0db8-0000-0000-0000-0000-0000-0001.example.org"
        );
        assert_eq!(settings.senders("a.example.org"), ["example.org"]);
        for line in text.lines().filter(|line| line.starts_with('#')) {
            assert!(more.contains(line), "lost: {line}");
        }
    }

    #[test]
    fn directories_that_a_shell_or_postfix_would_read_otherwise_are_refused() {
        for bad in [
            "etc/postfix",
            "/etc/post fix",
            "/etc/$x",
            "/etc/../x",
            "/",
            "/etc/'x",
        ] {
            assert!(check_directory(bad).is_err(), "{bad}");
        }
    }
}
