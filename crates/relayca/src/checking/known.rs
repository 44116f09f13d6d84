//! What the inventory says, in the form that the judgements need.
//!
//! In: records as they were read. Out: [`Known`], every certificate parsed once, and the hosts with what they use. It refuses
//! to know where the records came from, and judges nothing but whether a certificate can be read.

use std::collections::HashMap;

use rayon::prelude::*;
use relayca_ca::Certificate;
use relayca_inventory::{CertificateRecord, CrlRecord, Retirement, Revocation, State};
use time::OffsetDateTime;

use super::Finding;
use crate::authorities::Authorities;
use crate::dates;

/// The remedy for an inventory that is not what relayca wrote.
pub const FROM_BACKUP: &str = "restore `inventory.db` from a backup";

/// A certificate of the inventory.
#[derive(Debug)]
pub struct Held {
    /// As it is recorded.
    pub record: CertificateRecord,
    /// As it reads; `None` where it cannot be read.
    pub certificate: Option<Certificate>,
}

impl Held {
    /// The end of its validity.
    pub fn not_after(&self) -> Option<OffsetDateTime> {
        self.certificate.as_ref().map(Certificate::not_after)
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: OffsetDateTime) -> bool {
        self.not_after().is_none_or(|end| end < now)
    }
}

/// The inventory, read.
#[derive(Debug, Default)]
pub struct Known {
    /// The domain, which CA certificates are recorded under.
    pub domain: String,
    /// All certificates ever, by host, then in the order of their issue.
    pub held: Vec<Held>,
    /// The CAs, unless the inventory is too damaged to tell.
    pub authorities: Option<Authorities>,
    /// What is to be retired, and from when on.
    pub retirements: HashMap<String, String>,
    /// What was revoked.
    pub revocations: Vec<Revocation>,
    /// The newest revocation list of each CA that made one.
    pub crls: Vec<CrlRecord>,
    /// The newest time in the inventory, and what happened then.
    pub last_entry: Option<(String, String)>,
    /// When the active CA became that, where it had a predecessor.
    pub activated: Option<String>,
}

impl Known {
    /// Parses the certificates, which are in the order of their issue.
    pub fn hold(records: Vec<CertificateRecord>) -> Vec<Held> {
        records
            .into_par_iter()
            .map(|record| Held {
                certificate: Certificate::from_der(&record.certificate_der).ok(),
                record,
            })
            .collect()
    }

    /// Takes over the plans to retire.
    pub fn plans(retirements: Vec<Retirement>) -> HashMap<String, String> {
        retirements
            .into_iter()
            .map(|retirement| (retirement.serial, retirement.after))
            .collect()
    }

    /// The hosts that have a live certificate, with the one that they are to use.
    pub fn hosts(&self) -> Vec<InUse<'_>> {
        let mut hosts: Vec<InUse<'_>> = Vec::new();
        let live = self
            .held
            .iter()
            .filter(|held| held.record.role != "ca" && held.record.state == State::Live);
        for held in live {
            match hosts.last_mut() {
                Some(host) if host.newest.record.host == held.record.host => host.add(held),
                _ => hosts.push(InUse {
                    newest: held,
                    older: Vec::new(),
                }),
            }
        }
        hosts
    }

    /// Certificates that cannot be read, or are not what their record says.
    pub fn faults(&self) -> Vec<Finding> {
        self.held
            .iter()
            .filter_map(|held| {
                let record = &held.record;
                let fault = match &held.certificate {
                    None => "cannot be read",
                    Some(certificate) => disagreement(record, certificate)?,
                };
                Some(Finding::critical(
                    "inventory-certificate",
                    &record.host,
                    format!("the certificate {} in the inventory {fault}", record.serial),
                    FROM_BACKUP,
                ))
            })
            .collect()
    }
}

/// In what a record and its certificate differ.
fn disagreement(record: &CertificateRecord, certificate: &Certificate) -> Option<&'static str> {
    if certificate.serial().to_string() != record.serial {
        return Some("has another serial");
    }
    if dates::stamp(certificate.not_after()) != record.not_after
        || dates::stamp(certificate.not_before()) != record.not_before
    {
        return Some("has other dates than are recorded");
    }
    None
}

/// A host and what it uses.
#[derive(Debug)]
pub struct InUse<'a> {
    /// The live certificate that was issued last, as [`crate::public_bundles::newest`] has it.
    pub newest: &'a Held,
    /// The other live ones.
    pub older: Vec<&'a Held>,
}

impl<'a> InUse<'a> {
    fn add(&mut self, held: &'a Held) {
        self.older.push(self.newest);
        self.newest = held;
    }

    /// The host's name.
    pub fn host(&self) -> &'a str {
        &self.newest.record.host
    }
}
