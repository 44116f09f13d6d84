//! Revocation lists: whether the newest is still good, and has all that was revoked.
//!
//! In: the inventory. Out: findings. Nothing where no list was ever made: Postfix reads none. It refuses to know who reads them.

use std::collections::HashSet;

use relayca_ca::{Certificate, RevocationList};
use relayca_inventory::{CrlRecord, Phase};

use super::known::{FROM_BACKUP, Known};
use super::{Finding, Look};
use crate::authorities::Standing;
use crate::dates;

/// A list is due when this part of its time is left: one of 30 days would else be due the day that it is made.
const LAST_PART: i32 = 3;

/// The newest list of each CA that signs.
pub fn findings(known: &Known, look: &Look) -> Vec<Finding> {
    let Some(authorities) = &known.authorities else {
        return Vec::new();
    };
    if known.crls.is_empty() {
        return Vec::new();
    }
    let hint = format!(
        "`{} crl --out FILE`, and give it to who reads lists",
        look.relayca
    );
    let mut found = Vec::new();
    for one in authorities.all() {
        if !matches!(one.phase, Phase::Active | Phase::Outgoing) {
            continue;
        }
        let serial = one.certificate.serial().to_string();
        match known.crls.iter().find(|crl| crl.authority == serial) {
            None => found.push(Finding::warning(
                "crl-missing",
                format!("CRL of CA {serial}"),
                format!("lists are made here, and the {} CA has none: who reads lists needs one of each CA", one.phase),
                hint.clone(),
            )),
            Some(crl) => found.extend(of_list(known, one, crl, look, &hint)),
        }
    }
    found
}

fn of_list(
    known: &Known,
    standing: &Standing,
    crl: &CrlRecord,
    look: &Look,
    hint: &str,
) -> Vec<Finding> {
    let subject = format!("CRL {}", crl.number);
    let list = match RevocationList::from_der(&crl.crl_der) {
        Ok(list) => list,
        Err(error) => {
            return vec![Finding::critical(
                "inventory-certificate",
                subject,
                format!("the revocation list in the inventory cannot be read: {error}"),
                FROM_BACKUP,
            )];
        }
    };
    let mut found = Vec::new();
    let next = list.next_update();
    let soon = look.within.min((next - list.this_update()) / LAST_PART);
    if next < look.now {
        found.push(Finding::critical(
            "crl-expiry",
            &subject,
            format!(
                "its next update was due on {}: who reads it refuses every certificate",
                dates::day(next)
            ),
            hint,
        ));
    } else if next - look.now <= soon {
        found.push(Finding::warning(
            "crl-expiry",
            &subject,
            format!("its next update is due on {}", dates::day(next)),
            hint,
        ));
    }
    let listed: HashSet<String> = list
        .revoked()
        .iter()
        .map(|revoked| revoked.serial.to_string())
        .collect();
    let lacking: Vec<&str> = known
        .revocations
        .iter()
        .map(|revocation| revocation.serial.as_str())
        .filter(|serial| !listed.contains(*serial))
        .filter(|serial| signed_by(known, serial, &standing.certificate))
        .collect();
    if !lacking.is_empty() {
        found.push(Finding::warning(
            "crl-lacks-revocation",
            &subject,
            format!(
                "it was made before these were revoked: {}",
                super::some_of(lacking)
            ),
            hint,
        ));
    }
    found
}

fn signed_by(known: &Known, serial: &str, authority: &Certificate) -> bool {
    known
        .held
        .iter()
        .find(|held| held.record.serial == serial)
        .and_then(|held| held.certificate.as_ref())
        .is_some_and(|certificate| certificate.issuer_is(authority))
}
