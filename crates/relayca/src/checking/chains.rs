//! Certificates and the CAs that they hang on.
//!
//! In: the inventory, and the CA certificates that lie in files. Out: findings about trust and about a rollover that stands
//! still. It refuses to know keys.

use std::collections::BTreeMap;

use rayon::prelude::*;
use relayca_ca::Certificate;
use relayca_inventory::{Phase, State};
use time::Duration;

use super::known::{Held, Known};
use super::{Finding, Look, Severity, some_of};
use crate::authorities::Standing;
use crate::dates;
use crate::home::{CERTIFICATE, KEY, PASSPHRASE};

/// A rollover that takes longer looks forgotten.
const FORGOTTEN: Duration = Duration::days(90);

/// What lies in the directory of a CA.
#[derive(Debug)]
pub struct CaFiles {
    /// The directory, below the authority.
    pub directory: String,
    /// The certificate in it, or why there is none.
    pub certificate: Result<Certificate, CaFault>,
    /// Whether its key is there.
    pub key: bool,
    /// Whether the passphrase of its key is there.
    pub passphrase: bool,
}

/// Why there is no certificate.
#[derive(Debug)]
pub enum CaFault {
    /// No file.
    Missing,
    /// Another user's to read.
    NotForUs,
    /// What was wrong.
    Unreadable(String),
}

/// The files of each CA against the inventory.
pub fn of_files(standing: &Standing, files: &CaFiles) -> Vec<Finding> {
    let path = |name: &str| format!("{}/{name}", files.directory);
    let backup = "restore it from a backup";
    let retired = standing.phase == Phase::Retired;
    let mut found = Vec::new();
    match &files.certificate {
        Err(CaFault::NotForUs) => {}
        Err(CaFault::Missing) if retired => {}
        Err(CaFault::Missing) => found.push(Finding::critical(
            "ca-certificate-missing",
            path(CERTIFICATE),
            format!("the certificate of the {} CA is not there", standing.phase),
            backup,
        )),
        Err(CaFault::Unreadable(why)) => found.push(Finding::critical(
            "ca-certificate-unreadable",
            path(CERTIFICATE),
            why,
            backup,
        )),
        Ok(certificate) if certificate.der() != standing.certificate.der() => {
            found.push(Finding::critical(
                "ca-certificate-differs",
                path(CERTIFICATE),
                format!(
                    "it is another certificate ({}) than the {} CA of the inventory ({})",
                    certificate.serial(),
                    standing.phase,
                    standing.certificate.serial()
                ),
                backup,
            ));
        }
        Ok(_) => {}
    }
    // A CA that is retired signs nothing more, so its key may be gone.
    for (there, name, what) in [
        (files.key, KEY, "the key"),
        (files.passphrase, PASSPHRASE, "the passphrase of the key"),
    ] {
        if !there && !retired {
            found.push(Finding::critical(
                "ca-key-missing",
                path(name),
                format!(
                    "{what} of the {} CA is not there: nothing can be renewed with it",
                    standing.phase
                ),
                backup,
            ));
        }
    }
    found
}

/// Whether every live certificate hangs on a CA that the hosts trust, and how far a rollover is.
pub fn findings(known: &Known, look: &Look) -> Vec<Finding> {
    let Some(authorities) = &known.authorities else {
        return Vec::new();
    };
    let live: Vec<&Held> = known
        .held
        .iter()
        .filter(|held| held.record.role != "ca" && held.record.state == State::Live)
        .filter(|held| !held.is_over(look.now))
        .collect();
    let signers: Vec<Option<&Standing>> = live
        .par_iter()
        .map(|held| authorities.signer_of(held.certificate.as_ref()?))
        .collect();
    let newest: std::collections::HashSet<&str> = known
        .hosts()
        .iter()
        .map(|host| host.newest.record.serial.as_str())
        .collect();
    let mut found = Vec::new();
    // By CA, and whether the hosts use them.
    let mut outgoing: BTreeMap<(String, bool), Vec<&str>> = BTreeMap::new();
    for (held, signer) in live.iter().zip(signers) {
        let in_use = newest.contains(held.record.serial.as_str());
        match signer {
            Some(one) if one.phase == Phase::Outgoing => outgoing
                .entry((one.certificate.serial().to_string(), in_use))
                .or_default()
                .push(&held.record.host),
            Some(one) if one.phase != Phase::Retired => {}
            _ => found.push(untrusted(held, signer, in_use, look)),
        }
    }
    for ((serial, in_use), mut hosts) in outgoing {
        hosts.dedup();
        let (number, step) = if in_use {
            (
                crate::printer::count(hosts.len(), "host hangs", "hosts hang"),
                format!("`{} renew --due`", look.relayca),
            )
        } else {
            (
                crate::printer::count(
                    hosts.len(),
                    "host's old certificate hangs",
                    "hosts' old certificates hang",
                ),
                format!(
                    "`{} retire HOST` for each that uses its new one",
                    look.relayca
                ),
            )
        };
        found.push(Finding::warning(
            "outgoing-ca-in-use",
            &known.domain,
            format!(
                "{number} on the outgoing CA {serial} still: {}",
                some_of(hosts)
            ),
            format!("{step}, then `{} rollover retire`", look.relayca),
        ));
    }
    found.extend(standing_still(known, authorities.all(), look));
    found
}

fn untrusted(held: &Held, signer: Option<&Standing>, in_use: bool, look: &Look) -> Finding {
    let why = match signer {
        Some(retired) => format!("hangs on the retired CA {}", retired.certificate.serial()),
        None => "was signed by no CA of this authority".to_owned(),
    };
    let host = &held.record.host;
    let (severity, hint) = if in_use {
        (
            Severity::Critical,
            format!("`{} renew {host}`", look.relayca),
        )
    } else {
        (
            Severity::Warning,
            format!("`{} retire {host}`", look.relayca),
        )
    };
    Finding {
        id: "untrusted-certificate",
        severity,
        subject: host.clone(),
        message: format!("its certificate {} {why}", held.record.serial),
        hint,
    }
}

/// A CA that has been prepared or on its way out for long.
fn standing_still(known: &Known, all: &[Standing], look: &Look) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in all {
        let serial = one.certificate.serial().to_string();
        let since = match one.phase {
            Phase::Prepared => known
                .held
                .iter()
                .find(|held| held.record.serial == serial)
                .map(|held| held.record.issued_at.clone()),
            Phase::Outgoing => known.activated.clone(),
            Phase::Active | Phase::Retired => None,
        };
        let Some(since) = since else { continue };
        if dates::moment(&since).is_some_and(|at| look.now - at > FORGOTTEN) {
            let step = if one.phase == Phase::Prepared {
                "activate"
            } else {
                "retire"
            };
            found.push(Finding::warning(
                "rollover-unfinished",
                &known.domain,
                format!(
                    "the CA {serial} is {} since {}",
                    one.phase,
                    dates::day_of(&since)
                ),
                format!(
                    "`{} rollover` shows where it stands; next is `rollover {step}`",
                    look.relayca
                ),
            ));
        }
    }
    found
}
