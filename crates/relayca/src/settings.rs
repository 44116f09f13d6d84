//! relayca.toml: what people decide about an authority.
//!
//! In: the file's text. Out: [`Settings`], every value checked; an unknown key or a bad value is an
//! error with its line. It refuses to know what has been issued (that is the inventory's) and any
//! secret. Where a command changes it (a relay added, senders bound) comments and order stay.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use relayca_bundle::Recipient;
use relayca_ca::{AltName, Domain, HostName, KeyType};
use relayca_fingerprint::{Digest, Pin};
use relayca_postfix::{Refusal, Style};
use serde::Deserialize;

use crate::failure::{FAILED, Failure};

/// The port a relay listens on unless told otherwise: not one that providers block.
pub const DEFAULT_PORT: u16 = 2500;
/// Days that a leaf certificate is valid: Apple caps private roots' server certificates at 825.
pub const DEFAULT_DAYS: u32 = 730;
/// Days that can be asked for: up to a hundred years.
pub const DAYS: std::ops::RangeInclusive<u32> = 1..=36525;
/// Bytes; a settings file of a person is far below.
const LONGEST: usize = 4 << 20;

/// A relay: where mail hosts connect to, and what its certificate is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The name or address that mail hosts connect to.
    pub destination: AltName,
    /// TCP port.
    pub port: u16,
    /// The DNS name in its certificate, which mail hosts check. Postfix compares names only, never an
    /// address, so a relay known by address alone has a name made from the address.
    pub name: HostName,
}

impl Relay {
    /// Reads `HOST[:PORT]`, `ADDRESS[:PORT]` or `[V6]:PORT`; a bare label gets the domain appended.
    pub fn parse(text: &str, domain: &Domain) -> Result<Self, Failure> {
        let text = text.trim();
        let (destination, port) = match text.parse::<IpAddr>() {
            Ok(_) => (text, None),
            Err(_) => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                Failure::usage(format!("`{port}` in relay `{text}` is not a port")).hint(
                    "write HOST:PORT with a port from 1 to 65535; an IPv6 address goes in brackets",
                )
            })?,
        };
        let bare = destination.trim_start_matches('[').trim_end_matches(']');
        let (destination, name) = match bare.parse::<IpAddr>() {
            Ok(address) => (AltName::Ip(address), name_of_address(address, domain)?),
            Err(_) => {
                let name = HostName::in_domain(destination, domain)?;
                (AltName::Dns(name.clone()), name)
            }
        };
        Ok(Self {
            destination,
            port,
            name,
        })
    }

    /// The form kept in relayca.toml.
    pub fn text(&self) -> String {
        match &self.destination {
            AltName::Ip(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            other => format!("{other}:{}", self.port),
        }
    }
}

/// `relay-192-0-2-7.example.org`, or with the eight groups of an IPv6 address.
fn name_of_address(address: IpAddr, domain: &Domain) -> Result<HostName, Failure> {
    let label = match address {
        IpAddr::V4(v4) => v4.octets().map(|octet| octet.to_string()).join("-"),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:04x}")).join("-"),
    };
    Ok(HostName::parse(&format!("relay-{label}.{domain}"))?)
}

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
                ..failure.within(format_args!("{}:{line}: `{key}`", path.display()))
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
        for (key, host) in &file.host {
            HostName::parse(key).map_err(|error| at("[host", error.into()))?;
            if let Some(directory) = &host.config_directory {
                check_directory(directory).map_err(|error| at("config-directory", error))?;
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
        })
    }

    /// Postfix's config_directory on `host`.
    pub fn config_directory(&self, host: &HostName) -> &str {
        self.hosts
            .get(host.as_str())
            .and_then(|host| host.config_directory.as_deref())
            .unwrap_or(&self.config_directory)
    }

    /// The senders that `host` is bound to; empty where it may use any.
    pub fn senders(&self, host: &str) -> &[String] {
        self.hosts.get(host).map_or(&[], |host| &host.senders)
    }

    /// All hosts that are bound to senders.
    pub fn bound(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.hosts
            .iter()
            .filter(|(_, host)| !host.senders.is_empty())
            .map(|(name, host)| (name.as_str(), host.senders.as_slice()))
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

/// The text of a new relayca.toml, with a comment to each setting.
pub fn render(
    domain: &Domain,
    relays: &[Relay],
    recipients: &[Recipient],
    identities: &[String],
    key: KeyType,
    config_directory: &str,
) -> String {
    let list = |items: &mut dyn Iterator<Item = String>| {
        let quoted: Vec<String> = items
            .map(|item| toml_edit::Value::from(item).to_string())
            .collect();
        format!("[{}]", quoted.join(", "))
    };
    let relays = list(&mut relays.iter().map(Relay::text));
    let recipients = list(
        &mut recipients
            .iter()
            .map(|recipient| recipient.text().to_owned()),
    );
    let identities = list(&mut identities.iter().cloned());
    format!(
        "\
# relayca's settings for {domain}. Edit them; an unknown key is an error that names its line.
# After a change: `relayca snippet HOST` prints what the host has to be told.

# The mail domain. The CA certificate is bound to it: it cannot be changed here.
domain = \"{domain}\"

# Where the mail hosts send to, HOST:PORT or ADDRESS:PORT, the preferred one first.
relays = {relays}

# Who can open what relayca seals for the admins (age and SSH public keys).
recipients = {recipients}

# Identity files tried when a command is not given -i.
identities = {identities}

[certificates]
# p256, p384, ed25519, rsa2048, rsa3072 or rsa4096
key = \"{key}\"
# days of validity, never past the CA's end
days = {DEFAULT_DAYS}

[map]
# pubkey survives a renewal that keeps the key; cert does not; both lists the two
pin = \"pubkey\"
# sha256, sha384 or sha512; md5 and sha1 only for a Postfix that knows nothing better
digest = \"sha256\"

[relay]
# defer: what is refused waits in the mail host's queue; reject: it bounces
refusal = \"defer\"
# true: TLS from the first byte instead of STARTTLS
wrapper = false

[postfix]
# Postfix's config_directory on the hosts
config-directory = \"{config_directory}\"
# transport, main or postconf: see `relayca snippet --help`
style = \"transport\"

# A host's own settings:
# [host.\"mailhost.{domain}\"]
# senders = [\"{domain}\"]
# config-directory = \"/usr/local/etc/postfix\"
"
    )
}

/// relayca.toml with one relay more; comments and order are kept.
pub fn with_relay(text: &str, relay: &Relay) -> Result<String, Failure> {
    let mut document = editable(text)?;
    let relays = document
        .entry("relays")
        .or_insert(toml_edit::value(toml_edit::Array::new()))
        .as_array_mut()
        .ok_or_else(|| {
            Failure::new("`relays` in relayca.toml is not a list")
                .hint("write relays = [\"relayhost.example.org:2500\"]")
        })?;
    relays.push(relay.text());
    Ok(document.to_string())
}

/// relayca.toml with `host` bound to `senders`.
pub fn with_senders(text: &str, host: &HostName, senders: &[String]) -> Result<String, Failure> {
    let mut document = editable(text)?;
    let hosts = document
        .entry("host")
        .or_insert_with(|| {
            let mut table = toml_edit::Table::new();
            table.set_implicit(true);
            toml_edit::Item::Table(table)
        })
        .as_table_mut()
        .ok_or_else(|| {
            Failure::new("`host` in relayca.toml is not a table")
                .hint("write [host.\"mailhost.example.org\"]")
        })?;
    let entry = hosts.entry(host.as_str()).or_insert(toml_edit::table());
    let list: toml_edit::Array = senders.iter().map(String::as_str).collect();
    entry["senders"] = toml_edit::value(list);
    Ok(document.to_string())
}

fn editable(text: &str) -> Result<toml_edit::DocumentMut, Failure> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::new(format!("relayca.toml: {}", error.message()))
    })
}

// The file as serde reads it. Its names are the keys that people write.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    domain: String,
    #[serde(default)]
    relays: Vec<String>,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    identities: Vec<String>,
    #[serde(default)]
    certificates: CertificatesFile,
    #[serde(default)]
    map: MapFile,
    #[serde(default)]
    relay: RelayFile,
    #[serde(default)]
    postfix: PostfixFile,
    #[serde(default)]
    host: BTreeMap<String, HostFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CertificatesFile {
    key: String,
    days: u32,
}

impl Default for CertificatesFile {
    fn default() -> Self {
        Self {
            key: "p256".into(),
            days: DEFAULT_DAYS,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MapFile {
    pin: String,
    digest: String,
}

impl Default for MapFile {
    fn default() -> Self {
        Self {
            pin: "pubkey".into(),
            digest: "sha256".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RelayFile {
    refusal: String,
    wrapper: bool,
}

impl Default for RelayFile {
    fn default() -> Self {
        Self {
            refusal: "defer".into(),
            wrapper: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct PostfixFile {
    config_directory: String,
    style: String,
}

impl Default for PostfixFile {
    fn default() -> Self {
        Self {
            config_directory: "/etc/postfix".into(),
            style: "transport".into(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct HostFile {
    senders: Vec<String>,
    config_directory: Option<String>,
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
    fn a_relay_is_a_name_or_an_address_with_a_port() {
        let (domain, _) = example();
        for (text, normal) in [
            ("relay1", "relay1.example.org:2500"),
            ("vps.example.net:587", "vps.example.net:587"),
            ("192.0.2.7", "192.0.2.7:2500"),
            ("192.0.2.7:25", "192.0.2.7:25"),
            ("2001:db8::1", "[2001:db8::1]:2500"),
        ] {
            assert_eq!(Relay::parse(text, &domain).unwrap().text(), normal);
        }
        for bad in [
            "",
            "relay:0",
            "relay:99999",
            "a b",
            "relay:25:25",
            "-x",
            "r$(id)",
        ] {
            assert!(Relay::parse(bad, &domain).is_err(), "{bad}");
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
