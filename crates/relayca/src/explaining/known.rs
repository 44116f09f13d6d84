//! Whose a fingerprint is, and which names are hosts.
//!
//! In: the inventory. Out: names. It refuses to know logs. Fingerprints are worked out when the first one of their length is asked for:
//! Postfix writes the certificate's and the key's, of whatever digest it is set to.

use std::cell::OnceCell;
use std::collections::HashMap;

use relayca_ca::Certificate;
use relayca_fingerprint::{Digest, fingerprint};
use relayca_inventory::{CertificateRecord, Filter, Records};
use relayca_postfix::log;

use crate::failure::Failure;
use crate::home::Home;

/// The digests by the length of their fingerprints as text.
const DIGESTS: [(usize, Digest); 5] = [
    (16 * 3 - 1, Digest::Md5),
    (20 * 3 - 1, Digest::Sha1),
    (32 * 3 - 1, Digest::Sha256),
    (48 * 3 - 1, Digest::Sha384),
    (64 * 3 - 1, Digest::Sha512),
];

/// The hosts of an inventory.
#[derive(Debug, Default)]
pub struct Hosts {
    domain: String,
    names: Vec<String>,
    records: Vec<CertificateRecord>,
    by_fingerprint: [OnceCell<HashMap<String, usize>>; DIGESTS.len()],
}

impl Hosts {
    /// All that the authority ever certified, whatever its state today: a log may be older.
    pub fn of(home: &Home) -> Result<Self, Failure> {
        let inventory = home.inventory_read_only()?;
        let mut names: Vec<String> = inventory
            .hosts()?
            .into_iter()
            .map(|host| host.name)
            .collect();
        names.sort();
        let mut records = inventory.certificates(&Filter::default())?;
        records.retain(|record| record.role != "ca");
        Ok(Self {
            domain: home.settings.domain.to_string(),
            names,
            records,
            by_fingerprint: Default::default(),
        })
    }

    /// Whether there is an inventory with hosts in it.
    pub fn any(&self) -> bool {
        !self.names.is_empty()
    }

    /// What the reader of logs asks.
    pub fn known(&self) -> log::Known<'_> {
        if !self.any() {
            return log::Known::nobody();
        }
        log::Known::new(
            |fingerprint| self.by_fingerprint(fingerprint),
            |name| self.by_name(name),
        )
    }

    fn by_fingerprint(&self, text: &str) -> Option<String> {
        let (table, (_, digest)) = self
            .by_fingerprint
            .iter()
            .zip(DIGESTS)
            .find(|(_, (length, _))| *length == text.len())?;
        let at = table.get_or_init(|| self.fingerprints(digest)).get(text)?;
        self.records.get(*at).map(|record| record.host.clone())
    }

    fn fingerprints(&self, digest: Digest) -> HashMap<String, usize> {
        let mut table = HashMap::new();
        for (at, record) in self.records.iter().enumerate() {
            table.insert(fingerprint(digest, &record.certificate_der).to_string(), at);
            // What the inventory holds is a certificate; if it were none, its host would not be named.
            if let Ok(certificate) = Certificate::from_der(&record.certificate_der) {
                table.insert(fingerprint(digest, certificate.spki_der()).to_string(), at);
            }
        }
        table
    }

    fn by_name(&self, name: &str) -> Option<String> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let full = if name.contains('.') {
            name
        } else {
            format!("{name}.{}", self.domain)
        };
        self.names.binary_search(&full).is_ok().then_some(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_known_by_their_full_and_short_names() {
        let hosts = Hosts {
            domain: "example.org".into(),
            names: vec!["mailhost.example.org".into(), "relay.example.org".into()],
            ..Hosts::default()
        };
        for name in ["mailhost", "mailhost.example.org", "MailHost.Example.Org."] {
            assert_eq!(
                hosts.by_name(name).as_deref(),
                Some("mailhost.example.org"),
                "{name}"
            );
        }
        for name in ["", "mail", "mailhost.example.com", "example.org"] {
            assert_eq!(hosts.by_name(name), None, "{name}");
        }
        assert_eq!(hosts.by_fingerprint("AA:BB"), None);
    }
}
