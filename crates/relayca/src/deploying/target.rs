//! What a host should have today.
//!
//! In: the authority. Out: [`Target`]: the public files, their digests, what Postfix is told, how ssh gets there. It refuses to
//! know keys, and what the host has.

use relayca_bundle::{CHECKSUMS_NAME, Entry};
use relayca_ca::{AltName, Certificate, HostName, Role};
use relayca_fingerprint::FingerprintMap;
use relayca_inventory::{Filter, Records, State};
use relayca_mta::Mta;
use relayca_postfix::{
    ACCESS_MAP, CLIENT_MAP, HostScript, RelayStyle, Sends, Snippet, host_script,
};

use time::OffsetDateTime;

use super::answer::Answer;
use super::ssh::Destination;
use crate::authorities::Authorities;
use crate::failure::Failure;
use crate::home::Home;
use crate::installing::digest;
use crate::issuing;
use crate::pieces;
use crate::public_bundles;
use crate::run::Run;
use crate::settings::{Login, Settings};

/// What `verify` finds of dates: the rest was judged when it was issued.
const DATES: [&str; 4] = [
    "expired",
    "not-yet-valid",
    "authority-expired",
    "authority-not-yet-valid",
];

/// One host.
#[derive(Debug)]
pub struct Target {
    /// Which.
    pub host: HostName,
    /// Whether it is a relay.
    pub relay: bool,
    /// How ssh gets there.
    pub destination: Destination,
    /// Postfix's configuration directory there.
    pub directory: String,
    /// The public files.
    pub entries: Vec<Entry>,
    /// The digest of each, and of the list of them, by name.
    pub digests: Vec<(String, String)>,
    /// Its newest certificate, or the last one of a relay that has no live one.
    pub certificate: Certificate,
    /// Whether that one is live, and so among the files.
    pub live: bool,
    /// Digests of the public keys in all certificates that it was ever given.
    known: Vec<String>,
    /// The CAs that it is to trust.
    trusted: Vec<Certificate>,
    /// The change of the authority that a relay's list is of.
    pub as_of: Option<u64>,
    /// Whether it may take the place of one of a later change.
    pub older: bool,
    /// What Postfix is told.
    snippet: Snippet,
}

impl Target {
    /// Digest of the public key that the host's key is to have; empty where it gets no certificate.
    pub fn spki(&self) -> String {
        if self.live {
            issuing::spki_sha256(self.certificate.spki_der())
        } else {
            String::new()
        }
    }

    /// Why its certificate does not hold at a time; nothing where it does, or where it gets none.
    pub fn does_not_hold(&self, at: OffsetDateTime) -> Option<String> {
        let role = if self.relay {
            Role::Relay
        } else {
            Role::MailHost
        };
        relayca_ca::verify(&self.certificate, &self.trusted, Some(role), at)
            .into_iter()
            .find(|found| self.live && DATES.contains(&found.code))
            .map(|found| found.message)
    }

    /// The time stamp of the files in the archive.
    pub fn mtime(&self) -> u64 {
        issuing::mtime(&self.certificate)
    }

    /// The change of the authority that the list there is of, where that is a later one than ours.
    pub fn later_there(&self, answer: &Answer) -> Option<u64> {
        answer
            .list
            .filter(|there| self.as_of.is_some_and(|ours| *there > ours))
    }

    /// The script for this host.
    pub fn script(&self, token: &str, sends: Sends<'_>) -> Result<String, Failure> {
        let names: Vec<&str> = self.digests.iter().map(|(name, _)| name.as_str()).collect();
        let maps: Vec<&str> = [CLIENT_MAP, ACCESS_MAP]
            .into_iter()
            .filter(|map| names.contains(map))
            .collect();
        Ok(host_script(&HostScript {
            host: self.host.as_str(),
            config_directory: &self.directory,
            token,
            names: &names,
            maps: &maps,
            spki: &self.spki(),
            known: &self.known,
            snippet: &self.snippet,
            as_of: self.as_of,
            older: self.older,
            sends,
        })?)
    }
}

/// The targets of these hosts, relays first, all from one view of the inventory.
pub fn targets(run: &Run, home: &Home, hosts: &[HostName]) -> Result<Vec<Target>, Failure> {
    let inventory = home.inventory_read_only()?;
    let trusted = Authorities::of(&inventory)?.trusted();
    let map = pieces::map_now(&home.settings, &inventory, run.now)?;
    let mut targets = hosts
        .iter()
        .map(|host| target(home, &inventory, &trusted, &map, host))
        .collect::<Result<Vec<_>, _>>()?;
    targets.sort_by_key(|target| !target.relay);
    Ok(targets)
}

/// All relays, and with `mail_hosts` all mail hosts that have a live certificate.
pub fn all(home: &Home, mail_hosts: bool) -> Result<Vec<HostName>, Failure> {
    let mut hosts: Vec<HostName> = home
        .settings
        .relays
        .iter()
        .map(|relay| relay.name.clone())
        .collect();
    if mail_hosts {
        let live = home.inventory_read_only()?.certificates(&Filter {
            role: Some("mailhost".into()),
            state: Some(State::Live),
            ..Filter::default()
        })?;
        for record in live {
            let host = HostName::parse(&record.host)?;
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    Ok(hosts)
}

/// A host that is left alone, because this knows how to tell Postfix and nothing else.
#[derive(Debug)]
pub struct Other {
    /// Which.
    pub host: HostName,
    /// Whether it is a relay.
    pub relay: bool,
    /// Why, for people.
    pub why: String,
}

/// Takes the hosts out whose mail server is another than Postfix.
pub fn others(settings: &Settings, hosts: &mut Vec<HostName>) -> Vec<Other> {
    let (postfix, others) = std::mem::take(hosts)
        .into_iter()
        .partition(|host| settings.mta(host) == Mta::Postfix);
    *hosts = postfix;
    others
        .into_iter()
        .map(|host| Other {
            relay: settings.relay(&host).is_some(),
            why: format!(
                "its mail server is {}, not Postfix",
                settings.mta(&host).name()
            ),
            host,
        })
        .collect()
}

fn target(
    home: &Home,
    inventory: &(impl Records + ?Sized),
    trusted: &[Certificate],
    map: &FingerprintMap,
    host: &HostName,
) -> Result<Target, Failure> {
    let settings = &home.settings;
    let relay = settings.relay(host);
    let newest = public_bundles::newest(inventory, host.as_str())?;
    let live = newest.is_some();
    let record = match (newest, relay) {
        (Some(record), _) => record,
        // Its service may run on: the list has to reach it all the same.
        (None, Some(_)) => public_bundles::of_host(inventory, host.as_str())?
            .pop()
            .ok_or_else(|| {
                Failure::new(format!("relay `{host}` has no certificate"))
                    .hint(format!("relayca issue --relay {host}"))
            })?,
        (None, None) => {
            return Err(Failure::new(format!("`{host}` has no live certificate"))
                .hint(format!("`relayca show {host}` tells its history")));
        }
    };
    let (certificate, mut entries) = public_bundles::entries(home, host, &record, trusted, map)?;
    if !live {
        entries.retain(|entry| entry.name != relayca_postfix::certificate_file(host.as_str()));
    }
    let snippet = match relay {
        Some(relay) => pieces::relay_snippet(
            settings,
            relay,
            pieces::bindings(settings),
            RelayStyle::Block,
        )?,
        None => pieces::mail_host_snippet(settings, host, settings.style)?,
    };
    Ok(Target {
        destination: destination(settings, host)?,
        directory: settings.config_directory(host).to_owned(),
        digests: digests(&mut entries),
        host: host.clone(),
        relay: relay.is_some(),
        entries,
        certificate,
        live,
        known: known_keys(inventory, host)?,
        trusted: trusted.to_vec(),
        as_of: relay.and(map.as_of()),
        older: false,
        snippet,
    })
}

/// Digests of the public keys that the inventory has for a host.
fn known_keys(
    inventory: &(impl Records + ?Sized),
    host: &HostName,
) -> Result<Vec<String>, Failure> {
    let mut all = public_bundles::of_host(inventory, host.as_str())?
        .iter()
        .map(|record| {
            let certificate = Certificate::from_der(&record.certificate_der)?;
            Ok(issuing::spki_sha256(certificate.spki_der()))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Of each file, and of the list that the archive will have of them.
fn digests(entries: &mut [Entry]) -> Vec<(String, String)> {
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let mut all: Vec<(String, String)> = entries
        .iter()
        .map(|entry| (entry.name.clone(), digest(&entry.content)))
        .collect();
    let list: String = all
        .iter()
        .map(|(name, digest)| format!("{digest}  {name}\n"))
        .collect();
    all.push((CHECKSUMS_NAME.to_owned(), digest(list.as_bytes())));
    all
}

/// As relayca.toml says; else root at the host's name, or at the address of a relay that is known by nothing else.
fn destination(settings: &Settings, host: &HostName) -> Result<Destination, Failure> {
    let login = match (
        settings.login(host),
        settings.relay(host).map(|relay| &relay.destination),
    ) {
        (Some(login), _) => login,
        (None, Some(AltName::Ip(address))) => Login {
            user: Some("root".into()),
            host: address.to_string(),
            port: None,
        },
        (None, _) => Login {
            user: Some("root".into()),
            host: host.to_string(),
            port: None,
        },
    };
    Ok(Destination {
        login,
        sudo: settings.sudo(host),
    })
}
