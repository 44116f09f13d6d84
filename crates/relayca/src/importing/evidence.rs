//! What vouches for a certificate made elsewhere, and what speaks against it.
//!
//! In: old maps, indexes and revocation lists, and what the user says. Out: what a certificate is for, and whether it is to be
//! listed. It refuses to guess: what nothing vouches for is not listed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use relayca_ca::{Certificate, HostName, Reason, Role, Serial};
use relayca_fingerprint::{Digest, fingerprint};
use time::OffsetDateTime;

use super::contents::{Contents, FoundCertificate};
use super::leaves::{Fate, Said};
use super::source::SourceCa;
use crate::issuing;

/// What a relay is called where nobody says otherwise, here and in the Makefile's examples.
const USUAL_RELAY: &str = "relayhost";

/// What vouches for a certificate, and what speaks against it.
pub struct Evidence {
    /// SHA-256 of the keys that an old map lets in.
    listed_keys: HashSet<String>,
    /// Fingerprints of all that was found, in the digests of the old maps.
    known: HashSet<String>,
    /// Whether there is an old map.
    has_map: bool,
    /// Whether who was revoked stands in a list that cannot be read, and nowhere else.
    unread_list: bool,
    /// Serials that a list or an index has as revoked, when and why.
    pub revoked: BTreeMap<Serial, (OffsetDateTime, Reason)>,
}

impl Evidence {
    /// Gathers it. `own` are the certificates that the CA signed.
    pub fn of(contents: &Contents, source: &SourceCa, own: &[&FoundCertificate]) -> Self {
        let digests: BTreeSet<Digest> = contents.old_map.iter().map(|entry| entry.digest).collect();
        let wanted: HashSet<&str> = contents
            .old_map
            .iter()
            .map(|entry| entry.fingerprint.as_str())
            .collect();
        let mut listed_keys = HashSet::new();
        let mut known = HashSet::new();
        for found in own {
            let certificate = &found.certificate;
            for digest in &digests {
                for der in [certificate.der(), certificate.spki_der()] {
                    let print = fingerprint(*digest, der).to_string();
                    if wanted.contains(print.as_str()) {
                        listed_keys.insert(issuing::spki_sha256(certificate.spki_der()));
                        known.insert(print);
                    }
                }
            }
        }
        let mut revoked = BTreeMap::new();
        let ca = source.authority.certificate();
        for (_, list) in &contents.lists {
            if list.is_signed_by(ca) {
                for one in list.revoked() {
                    revoked.insert(one.serial.clone(), (one.at, one.reason));
                }
            }
        }
        for line in &contents.index {
            if let Some(when_and_why) = line.revoked {
                revoked.insert(line.serial.clone(), when_and_why);
            }
        }
        Self {
            listed_keys,
            known,
            has_map: !contents.old_map.is_empty(),
            unread_list: !contents.odd_lists.is_empty() && contents.indexes.is_empty(),
            revoked,
        }
    }

    /// Whether an old map lets its key in.
    pub fn lists(&self, certificate: &Certificate) -> bool {
        self.listed_keys
            .contains(&issuing::spki_sha256(certificate.spki_der()))
    }

    /// Lines of the old maps that fit none of them: files, fingerprints and hosts.
    pub fn strangers(&self, contents: &Contents) -> Vec<(String, String, String)> {
        contents
            .old_map
            .iter()
            .filter(|entry| !self.known.contains(&entry.fingerprint))
            .map(|entry| {
                (
                    entry.file.clone(),
                    entry.fingerprint.clone(),
                    entry.host.clone(),
                )
            })
            .collect()
    }

    /// What a certificate is for: what it says itself; else what the user says; else whom the relay lists.
    pub fn judge(&self, certificate: &Certificate, host: &HostName, said: &Said) -> (Role, Fate) {
        let said_relay = said.relays.iter().any(|relay| relay.name == *host);
        let said_mail_host = said.mail_hosts.contains(host);
        let not = |why: &str| Fate::NotListed(why.to_owned());
        match certificate.role() {
            Some(Role::Relay) if said_mail_host => (
                Role::Relay,
                not(
                    "it is a server's certificate (serverAuth), which no relay takes from a mail host",
                ),
            ),
            Some(Role::Relay) if !said_relay && !said.relays.is_empty() => (
                Role::Relay,
                not("it is a server's certificate, and --relay names others"),
            ),
            Some(Role::Relay) => (Role::Relay, Fate::Live),
            Some(Role::MailHost) if said_relay => (
                Role::MailHost,
                not(
                    "it is a client's certificate (clientAuth), which no mail host takes from a relay",
                ),
            ),
            Some(Role::MailHost) if said_mail_host || self.lists(certificate) => {
                (Role::MailHost, Fate::Live)
            }
            Some(Role::MailHost) if self.has_map => (
                Role::MailHost,
                not("it is a client's certificate, and the old relay_clientcerts does not list it"),
            ),
            Some(Role::MailHost) if bare(certificate) => (
                Role::MailHost,
                not(
                    "it is a client's certificate, but it may be anybody's: it has no full host name",
                ),
            ),
            Some(Role::MailHost) if self.unread_list => (
                Role::MailHost,
                not("a revocation list here cannot be read, and it may be on that"),
            ),
            Some(Role::MailHost) => (Role::MailHost, Fate::Live),
            None if said_relay => (Role::Relay, Fate::Live),
            None if said_mail_host || self.lists(certificate) => (Role::MailHost, Fate::Live),
            // A name alone lets nobody in; a relay is not let in.
            None if usual_relay(host) => (Role::Relay, Fate::Live),
            None => (
                Role::MailHost,
                not(
                    "nothing tells whether it is a mail host's or a relay's: it does not say, and no relay_clientcerts here lists it",
                ),
            ),
        }
    }
}

fn usual_relay(host: &HostName) -> bool {
    host.as_str().split('.').next() == Some(USUAL_RELAY)
}

/// No full host name in it.
fn bare(certificate: &Certificate) -> bool {
    let common = certificate.common_name();
    certificate.alt_names().is_empty() && common.is_none_or(|name| HostName::parse(name).is_err())
}
