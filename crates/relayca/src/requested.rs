//! A key that a host made itself: out of a certificate request, and whether it may be certified.
//!
//! In: a file, the inventory. Out: the public key, or why not. It refuses to know every other wish of a request.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use relayca_ca::HostName;
use relayca_inventory::{CertificateRecord, Filter, Records, State};

use crate::disk;
use crate::failure::Failure;
use crate::hosts::HostRequest;
use crate::issuing;
use crate::run::Run;

/// Bytes of a certificate request.
const LONGEST_REQUEST: usize = 1 << 20;
/// The reason of a revocation that gives up the certificate alone, not its key.
const SUPERSEDED: &str = "superseded";

/// The public key of a certificate request: all else in it is ignored, and that is said.
pub fn requested_key(run: &Run, host: &HostName, file: &Path) -> Result<Vec<u8>, Failure> {
    let content = disk::read(file, LONGEST_REQUEST)?;
    let requested = relayca_ca::public_key_from_csr(&content).map_err(|error| {
        Failure::from(error)
            .within(file.display())
            .or_hint("make it again on the host with `relayca request`")
    })?;
    let own = [
        format!("subject CN={host}"),
        format!("subjectAltName {host}"),
    ];
    let ignored: Vec<&str> = requested
        .ignored
        .iter()
        .map(String::as_str)
        .filter(|wish| own.iter().all(|own| own != wish))
        .collect();
    if !ignored.is_empty() {
        run.printer.warning(&format!(
            "only the key of `{}` is taken; ignored: {}",
            file.display(),
            ignored.join("; ")
        ));
        run.printer.hint(
            "names are given here, with --san; what a certificate is for follows from its role",
        );
    }
    Ok(requested.spki_der)
}

/// A key that a host made itself may not be one that was used otherwise.
pub fn refuse_keys(
    inventory: &(impl Records + ?Sized),
    requests: &[HostRequest],
) -> Result<(), Failure> {
    for request in requests {
        if let Some(key) = &request.public_key {
            UsedKeys::of(inventory)?.refuse(&request.host, key)?;
        }
    }
    Ok(())
}

/// The keys that were certified ever, and what became of them.
pub struct UsedKeys {
    revoked: HashMap<String, CertificateRecord>,
    owners: HashMap<String, CertificateRecord>,
}

impl UsedKeys {
    /// As the inventory has them.
    pub fn of(inventory: &(impl Records + ?Sized)) -> Result<Self, Failure> {
        let superseded: HashSet<String> = inventory
            .revocations()?
            .into_iter()
            .filter(|revocation| revocation.reason == SUPERSEDED)
            .map(|revocation| revocation.serial)
            .collect();
        let all = inventory.certificates(&Filter::default())?;
        let live: HashSet<&str> = all
            .iter()
            .filter(|record| record.state == State::Live)
            .map(|record| record.spki_sha256.as_str())
            .collect();
        // A certificate that was superseded is no verdict on a key that another one still lets relay.
        let given_up = |record: &&CertificateRecord| {
            record.state == State::Revoked
                && !(superseded.contains(&record.serial)
                    && live.contains(record.spki_sha256.as_str()))
        };
        let revoked = all
            .iter()
            .filter(given_up)
            .map(|record| (record.spki_sha256.clone(), record.clone()))
            .collect();
        let owners = all
            .into_iter()
            .map(|record| (record.spki_sha256.clone(), record))
            .collect();
        Ok(Self { revoked, owners })
    }

    /// Refuses a key that was revoked: whoever has it could relay again.
    pub fn refuse_revoked(&self, host: &HostName, public_key: &[u8]) -> Result<(), Failure> {
        let Some(revoked) = self.revoked.get(&issuing::spki_sha256(public_key)) else {
            return Ok(());
        };
        let hint = if revoked.host == host.as_str() {
            format!(
                "`relayca renew --rekey {host}` gives it a new key; so does a new `relayca request` there"
            )
        } else {
            format!("make a new key on {host}: `relayca request {host}`")
        };
        Err(Failure::new(format!(
            "that key of `{}` was revoked (serial {}); a revoked key is not used again",
            revoked.host, revoked.serial
        ))
        .hint(hint))
    }

    /// Refuses likewise a key that another host or a CA has: the map tells hosts apart by their keys.
    pub fn refuse(&self, host: &HostName, public_key: &[u8]) -> Result<(), Failure> {
        let owner = self.owners.get(&issuing::spki_sha256(public_key));
        if owner.is_some_and(|owner| owner.role == "ca") {
            return Err(Failure::new(format!(
                "that is the key of a CA; it is not certified for `{host}`"
            ))
            .hint("a CA's key never leaves the authority: find out how it got into a request"));
        }
        self.refuse_revoked(host, public_key)?;
        match owner {
            Some(owner) if owner.host != host.as_str() => Err(Failure::new(format!(
                "`{}` has that key (serial {}); a key is for one host",
                owner.host, owner.serial
            ))
            .hint(format!(
                "make a key of its own on {host}: `relayca request {host}`"
            ))),
            _ => Ok(()),
        }
    }
}
