//! The hosts that `issue` is asked for: arguments, or a file with one a line.
//!
//! In: text. Out: [`HostRequest`]s with checked names, none twice. It refuses to know what is issued
//! already, and any key.
//!
//! A line is `HOST [key=value]…`; values may be quoted with `"`; `#` begins a comment.

use std::collections::BTreeMap;

use relayca_bundle::Recipient;
use relayca_ca::{AltName, Domain, HostName, KeyType};
use relayca_mta::Mta;

use crate::failure::Failure;
use crate::settings::{self, Relay, word};

/// Bytes of a list of hosts: far above 100,000 hosts.
pub const LONGEST_LIST: usize = 64 << 20;
/// Bytes of a host name: `HOST.passphrase.age~goes` is the name of a file, which has at most 255 bytes.
const LONGEST_HOST: usize = 255 - ".passphrase.age~goes".len();
/// Names and addresses a certificate may carry beside its host name.
const MOST_ALT_NAMES: usize = 100;

/// One host to be issued a certificate.
#[derive(Debug)]
pub struct HostRequest {
    /// Its full name.
    pub host: HostName,
    /// Set for relays: where mail hosts connect to.
    pub relay: Option<Relay>,
    /// Further names and addresses.
    pub alt_names: Vec<AltName>,
    /// Whom the bundle is sealed to; a generated passphrase where empty.
    pub seal_to: Vec<Recipient>,
    /// Envelope senders it is bound to; none where empty.
    pub senders: Vec<String>,
    /// The key that the host has already, a SubjectPublicKeyInfo; where absent one is made.
    pub public_key: Option<Vec<u8>>,
    /// Key type; the settings' where absent.
    pub key: Option<KeyType>,
    /// Days; the settings' where absent.
    pub days: Option<u32>,
    /// Its mail server, to be kept in the settings; theirs where absent.
    pub mta: Option<Mta>,
}

impl HostRequest {
    /// A host without options. With `as_relay` the text is HOST[:PORT].
    pub fn parse(text: &str, domain: &Domain, as_relay: bool) -> Result<Self, Failure> {
        let relay = if as_relay {
            Some(Relay::parse(text, domain)?)
        } else {
            None
        };
        let host = match &relay {
            Some(relay) => relay.name.clone(),
            None => HostName::in_domain(text, domain)?,
        };
        if host.as_str().len() > LONGEST_HOST {
            return Err(Failure::new(format!(
                "`{host}` is too long: a file could not be called after it"
            ))
            .hint(format!(
                "give the host a name of at most {LONGEST_HOST} letters"
            )));
        }
        let alt_names = relay
            .iter()
            .filter(|relay| matches!(relay.destination, AltName::Ip(_)))
            .map(|relay| relay.destination.clone())
            .collect();
        Ok(Self {
            host,
            relay,
            alt_names,
            seal_to: Vec::new(),
            senders: Vec::new(),
            public_key: None,
            key: None,
            days: None,
            mta: None,
        })
    }

    fn option(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "san" => {
                for name in value.split(',') {
                    self.alt_names.push(AltName::parse(name)?);
                }
                if self.alt_names.len() > MOST_ALT_NAMES {
                    return Err(Failure::usage(format!(
                        "more than {MOST_ALT_NAMES} names in one certificate"
                    ))
                    .hint("issue several certificates"));
                }
            }
            "seal-to" => self.seal_to.push(Recipient::parse(value)?),
            "senders" if self.relay.is_none() => {
                self.senders = value.split(',').map(str::to_owned).collect()
            }
            "key" => self.key = Some(word(value)?),
            "mta" => self.mta = Some(value.parse()?),
            "days" => {
                let days = value
                    .parse()
                    .ok()
                    .filter(|days| settings::DAYS.contains(days));
                self.days = Some(days.ok_or_else(|| {
                    Failure::usage(format!("`{value}` is not a number of days"))
                        .hint("days= takes 1 to 36525")
                })?);
            }
            _ => {
                return Err(Failure::usage(format!("unknown option `{key}=`")).hint(
                    "the options are san=, seal-to=, senders= (mail hosts), key=, days= and mta=",
                ));
            }
        }
        Ok(())
    }
}

/// Reads a list of hosts; errors name the line in `name`.
pub fn parse_list(
    text: &str,
    name: &str,
    domain: &Domain,
    as_relay: bool,
) -> Result<Vec<HostRequest>, Failure> {
    let mut requests = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let request = parse_line(line, domain, as_relay)
            .map_err(|failure| failure.within(format_args!("{name}:{}", number + 1)))?;
        requests.extend(request);
    }
    if requests.is_empty() {
        return Err(Failure::usage(format!("`{name}` lists no host")).hint("write one host a line"));
    }
    Ok(requests)
}

fn parse_line(line: &str, domain: &Domain, as_relay: bool) -> Result<Option<HostRequest>, Failure> {
    let mut words = words(line)?.into_iter();
    let Some(host) = words.next() else {
        return Ok(None);
    };
    let mut request = HostRequest::parse(&host, domain, as_relay)?;
    for option in words {
        let (key, value) = option.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{option}` is not an option"))
                .hint("options are written key=value, one host a line")
        })?;
        request.option(key, value)?;
    }
    Ok(Some(request))
}

/// Words of a line; quotes keep spaces together, `#` outside quotes at a word's start ends it.
fn words(line: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            '#' if !quoted && word.is_empty() => break,
            _ if letter.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ if letter.is_control() => {
                return Err(Failure::usage("a control character in the line")
                    .hint("a list of hosts is plain text, one host a line"));
            }
            _ => word.push(letter),
        }
    }
    if quoted {
        return Err(Failure::usage("a quote is not closed")
            .hint("a quoted value begins and ends with `\"`"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Refuses a name that is there twice.
pub fn refuse_duplicates(requests: &[HostRequest]) -> Result<(), Failure> {
    let mut seen = BTreeMap::new();
    for (position, request) in requests.iter().enumerate() {
        if let Some(first) = seen.insert(&request.host, position) {
            return Err(Failure::usage(format!(
                "`{}` is listed twice, as host {} and {}; nothing was issued",
                request.host,
                first + 1,
                position + 1
            ))
            .hint("a host has one certificate; remove one of the two lines"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Vec<HostRequest>, Failure> {
        parse_list(
            text,
            "hosts.txt",
            &Domain::parse("example.org").unwrap(),
            false,
        )
    }

    #[test]
    fn a_list_holds_hosts_options_and_comments() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJy6dBHrP5oZ1zV8F7sGc5w3yq0Ldh8mUwxU1cUQ0d4S";
        let text = format!(
            "# all\nmail1\n\nmail2 san=m2.example.org,192.0.2.1 days=90 key=ed25519 # the second\nmail3.example.org senders=example.org \"seal-to={key}\"\n"
        );
        let hosts = list(&text).unwrap();
        assert_eq!(hosts.len(), 3);
        assert_eq!(hosts[0].host.as_str(), "mail1.example.org");
        assert_eq!(hosts[1].alt_names.len(), 2);
        assert_eq!(hosts[1].days, Some(90));
        assert_eq!(hosts[2].seal_to.len(), 1);
        assert_eq!(hosts[2].senders, ["example.org"]);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, needle) in [
            ("a\nb c\n", "hosts.txt:2: `c` is not an option"),
            (
                "a\n\nb colour=red\n",
                "hosts.txt:3: unknown option `colour=`",
            ),
            ("a \"x", "hosts.txt:1: a quote is not closed"),
            ("# none\n", "lists no host"),
            ("a days=0", "hosts.txt:1: `0` is not a number of days"),
        ] {
            let message = list(text).unwrap_err().message;
            assert!(message.contains(needle), "{message}");
        }
    }

    #[test]
    fn a_name_listed_twice_is_refused_however_it_is_written() {
        let hosts = list("mail1\nmail2\nMAIL1.example.org\n").unwrap();
        let failure = refuse_duplicates(&hosts).unwrap_err();
        assert!(
            failure
                .message
                .contains("`mail1.example.org` is listed twice, as host 1 and 3"),
            "{failure}"
        );
    }
}
