//! `bundles/HOST.public.tar`: what a host may know anew, without a key and so without a seal.
//!
//! In: the inventory as it will be committed, the CAs to trust, the map. Out: staged files. It refuses to know why they change.

use std::collections::HashMap;

use relayca_bundle::Entry;
use relayca_ca::{Certificate, HostName};
use relayca_fingerprint::FingerprintMap;
use relayca_inventory::{CertificateRecord, Change, Filter, InventoryError, Records, State};

use crate::disk::Staged;
use crate::failure::Failure;
use crate::home::Home;
use crate::issuing;
use crate::pieces;
use crate::printer::Printer;

/// The live certificates of a host, the one that it is to use last: the one that was issued last, whatever its end. A new
/// key may be certified for less time than the old one was, and the CA's own end shortens any.
pub fn live(
    inventory: &(impl Records + ?Sized),
    host: &str,
) -> Result<Vec<CertificateRecord>, Failure> {
    let mut live = of_host(inventory, host)?;
    live.retain(|record| record.state == State::Live);
    Ok(live)
}

/// All certificates that a host ever had, by the time of their issue.
pub fn of_host(
    inventory: &(impl Records + ?Sized),
    host: &str,
) -> Result<Vec<CertificateRecord>, Failure> {
    let mut all = inventory.certificates(&Filter {
        host: Some(host.to_owned()),
        ..Filter::default()
    })?;
    // The CA's own certificate goes by the name of the domain, which may be a host, too.
    all.retain(|record| record.role != "ca");
    Ok(in_order(inventory, all)?)
}

/// By host, then in the order of their issue.
pub fn in_order(
    inventory: &(impl Records + ?Sized),
    mut all: Vec<CertificateRecord>,
) -> Result<Vec<CertificateRecord>, InventoryError> {
    let place = |record: &CertificateRecord| (record.host.clone(), record.issued_at.clone());
    all.sort_by_cached_key(place);
    let alike =
        |pair: &[CertificateRecord]| matches!(pair, [one, other] if place(one) == place(other));
    if all.windows(2).any(alike) {
        // Within a second the events know which came first: their numbers rise.
        let entered: HashMap<String, i64> = inventory
            .events(usize::MAX)?
            .into_iter()
            .filter_map(|event| Some((event.serial?, event.id)))
            .collect();
        all.sort_by_cached_key(|record| (place(record), entered.get(&record.serial).copied()));
    }
    Ok(all)
}

/// The certificate that a host is to use: of the live ones the last.
pub fn newest(
    inventory: &(impl Records + ?Sized),
    host: &str,
) -> Result<Option<CertificateRecord>, Failure> {
    Ok(live(inventory, host)?.pop())
}

/// Every relay's: the map above all.
pub fn put_relays(
    printer: &Printer,
    home: &Home,
    inventory: &dyn Change,
    trusted: &[Certificate],
    map: &FingerprintMap,
    staged: &Staged,
) -> Result<(), Failure> {
    for relay in &home.settings.relays {
        let Some(record) = of_host(inventory, relay.name.as_str())?.pop() else {
            printer.warning(&format!(
                "relay {} in relayca.toml has no certificate",
                relay.name
            ));
            printer.hint(&format!("relayca issue --relay {}", relay.text()));
            continue;
        };
        let newest = newest(inventory, relay.name.as_str())?;
        if newest.is_none() {
            printer.warning(&format!(
                "relay {} has no live certificate any more",
                relay.name
            ));
            printer.hint(&format!(
                "`relayca renew --rekey {0}` gives it a new one; if it is gone, take it out of `relays` in relayca.toml",
                relay.name
            ));
        }
        let live = newest.is_some();
        let certificate = Certificate::from_der(&newest.unwrap_or(record).certificate_der)?;
        let mut entries = pieces::relay_entries(&home.settings, &certificate, trusted, relay, map)?;
        if !live {
            // Its service may run on: the map has to reach it all the same.
            entries.retain(|entry| entry.name != format!("{}.crt.pem", relay.name));
        }
        put(staged, &relay.name, &certificate, &entries)?;
    }
    Ok(())
}

/// The files of one host without the key, mail host or relay, with its newest live certificate.
pub fn entries(
    home: &Home,
    host: &HostName,
    record: &CertificateRecord,
    trusted: &[Certificate],
    map: &FingerprintMap,
) -> Result<(Certificate, Vec<Entry>), Failure> {
    let certificate = Certificate::from_der(&record.certificate_der)?;
    let entries = if record.role == "relay" {
        let relay = home.settings.relay(host).ok_or_else(|| {
            Failure::new(format!("`{host}` is not among `relays` in relayca.toml"))
                .hint("add it there as HOST:PORT")
        })?;
        pieces::relay_entries(&home.settings, &certificate, trusted, relay, map)?
    } else {
        pieces::mail_host_entries(&home.settings, &certificate, trusted, host)?
    };
    Ok((certificate, entries))
}

/// Packs and stages them; gives the path below the authority.
pub fn put(
    staged: &Staged,
    host: &HostName,
    certificate: &Certificate,
    entries: &[Entry],
) -> Result<String, Failure> {
    let relative = Home::public_bundle(host);
    let archive = relayca_bundle::pack(entries, issuing::mtime(certificate))?;
    staged.put(&relative, &archive, pieces::PRIVATE)?;
    Ok(relative)
}
