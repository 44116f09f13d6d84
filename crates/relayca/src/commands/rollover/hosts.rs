//! The hosts that a rollover has to reach, and how each of them gets the CA certificates to trust.
//!
//! In: the inventory under its lock, the CAs to trust. Out: every host's public bundle, staged, and the steps that put the
//! trust file in place. It refuses to know why the CAs change.

use std::collections::BTreeMap;

use relayca_ca::{AltName, Certificate, HostName};
use relayca_inventory::{CertificateRecord, Change, Records};
use relayca_mta::Mta;
use serde_json::{Value, json};

use crate::commands::issue::MANY;
use crate::disk::Staged;
use crate::failure::Failure;
use crate::home::Home;
use crate::pieces;
use crate::public_bundles::{self, newest};
use crate::run::Run;
use crate::steps::{self, Steps};

/// A host with a certificate in use.
pub struct Reached {
    /// The host.
    pub host: HostName,
    /// Its newest live certificate.
    pub record: CertificateRecord,
}

/// Every host that has a live certificate, the relays first. One that has expired counts too: the host is renewed some day.
pub fn reached(inventory: &(impl Records + ?Sized)) -> Result<Vec<Reached>, Failure> {
    let mut all = Vec::new();
    for host in inventory.hosts()? {
        if let Some(record) = newest(inventory, &host.name)? {
            all.push(Reached {
                host: HostName::parse(&host.name)?,
                record,
            });
        }
    }
    all.sort_by_key(|one| one.record.role != "relay");
    Ok(all)
}

/// Names of hosts that could not be renewed as they are by a CA of this domain with these permits: with the hosts. A further
/// name that not even the old CA is let certify any more is left out on renewal, and so does not count.
pub fn uncovered(
    home: &Home,
    reached: &[Reached],
    old: &Certificate,
    permits: &[AltName],
) -> Result<Vec<(AltName, HostName)>, Failure> {
    let domain = &home.settings.domain;
    let covered = |name: &AltName| {
        matches!(name, AltName::Dns(name) if domain.contains(name)) || permits.contains(name)
    };
    let mut all: Vec<(AltName, HostName)> = Vec::new();
    for one in reached {
        let certificate = Certificate::from_der(&one.record.certificate_der)?;
        let own = AltName::Dns(one.host.clone());
        for name in certificate.alt_names().iter().chain([&own]) {
            let lasting = *name == own || home.may_name(old, name);
            if lasting && !covered(name) && !all.iter().any(|(other, _)| other == name) {
                all.push((name.clone(), one.host.clone()));
            }
        }
    }
    Ok(all)
}

/// Stages every host's public bundle anew; gives those hosts. A relay that relayca.toml does not name is left out, and told.
pub fn put_all(
    run: &Run,
    home: &Home,
    change: &dyn Change,
    trusted: &[Certificate],
    staged: &Staged,
) -> Result<Vec<Reached>, Failure> {
    let map = pieces::map_now(&home.settings, change, run.now)?;
    let mut hosts = Vec::new();
    for one in reached(change)? {
        if one.record.role == "relay" && home.settings.relay(&one.host).is_none() {
            run.printer.warning(&format!(
                "relay {} has a certificate, but is not among `relays` in relayca.toml: it is left out",
                one.host
            ));
            run.printer.hint(&format!(
                "add it there as HOST:PORT, or `{} revoke {} --reason cessationOfOperation`",
                steps::relayca(home),
                one.host
            ));
            continue;
        }
        let (certificate, entries) =
            public_bundles::entries(home, &one.host, &one.record, trusted, &map)?;
        public_bundles::put(staged, &one.host, &certificate, &entries)?;
        hosts.push(one);
    }
    Ok(hosts)
}

/// The trust file on every host: pasted where the hosts are few, else taken out of each host's public bundle. That bundle's
/// certificate is left in it: a host that is being rekeyed may not have the key yet.
pub fn trust_steps(
    steps: &mut Steps,
    home: &Home,
    hosts: &[Reached],
    trusted: &[Certificate],
) -> Result<(), Failure> {
    if hosts.len() < MANY {
        return hosts
            .iter()
            .try_for_each(|one| steps::certificates(steps, home, &one.host, None, trusted));
    }
    // Where Postfix has its files, and the hosts of which that is so: nearly always one place.
    let mut places: BTreeMap<(&str, Mta), Vec<&str>> = BTreeMap::new();
    for one in hosts {
        let directory = home.settings.config_directory(&one.host);
        let mta = home.settings.mta(&one.host);
        places
            .entry((directory, mta))
            .or_default()
            .push(one.host.as_str());
    }
    for ((directory, mta), there) in &places {
        let whom = if places.len() == 1 {
            "each host".to_owned()
        } else if *directory == home.settings.config_directory && *mta == Mta::Postfix {
            "each host that no other step names".to_owned()
        } else {
            there.join(" ")
        };
        let (reload, used) = match (*mta, *directory) {
            (Mta::Postfix, "/etc/postfix") => ("postfix reload".to_owned(), "reload Postfix"),
            (Mta::Postfix, other) => (format!("postfix -c {other} reload"), "reload Postfix"),
            (_, other) => (
                format!("sh {other}/relayca/HOST.snippet.sh"),
                "have them used",
            ),
        };
        steps.add(
            &format!(
                "For {whom}, in any order: send its files, take the CA certificates to trust out of them, {used}."
            ),
            &format!(
                "# scp {}/HOST.public.tar root@HOST:\n\
                 # tar -xf HOST.public.tar -C {directory}/relayca {}-ca.crt.pem && {reload}    (on HOST)",
                steps::quoted(&home.path("bundles")),
                home.settings.domain
            ),
        );
    }
    Ok(())
}

/// The hosts as `--json` shows them.
pub fn json(home: &Home, hosts: &[Reached]) -> Value {
    hosts
        .iter()
        .map(|one| {
            json!({
                "host": one.host.as_str(),
                "role": one.record.role,
                "bundle": home.path(&Home::public_bundle(&one.host)),
            })
        })
        .collect()
}
