//! The map that was last written for each relay, against the map as it should be.
//!
//! In: what `bundles/RELAY.public.tar` holds, the inventory, relayca.toml. Out: findings. What was pasted on a relay cannot be
//! seen from here; what was written for it can. It refuses to know the disk.

use std::collections::{BTreeMap, BTreeSet};

use relayca_fingerprint::{Entry, FingerprintMap};
use relayca_inventory::State;

use super::known::Known;
use super::{Finding, Look, Severity, some_of};
use crate::dates;
use crate::settings::Settings;

/// The name of the map in a relay's files.
pub const MAP: &str = "relay_clientcerts";
/// The name of the table of bound senders.
pub const SENDERS: &str = "relay_ccert_access";

/// What was last written for a relay.
#[derive(Debug)]
pub struct Written {
    /// The relay's name.
    pub relay: String,
    /// The file, below the authority.
    pub file: String,
    /// The map and the table of senders in it.
    pub holds: Holds,
}

/// What is in a relay's files.
#[derive(Debug)]
pub enum Holds {
    /// There is no such file.
    Missing,
    /// It is another user's to read.
    NotForUs,
    /// It cannot be read.
    Unreadable(String),
    /// Its map and, where hosts are bound, the table of senders.
    Map(String, Option<String>),
    /// The list of a relay with Exim.
    List(String),
}

/// The maps that were written, against `now`, the map of this moment, `senders`, the table that goes with it, and `list`, what Exim
/// has in their place.
pub fn findings(
    written: &[Written],
    now: &FingerprintMap,
    senders: Option<&str>,
    list: &str,
    known: &Known,
    look: &Look,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in written {
        let hint = mend(&one.relay, look);
        match &one.holds {
            Holds::NotForUs => {}
            // Before the first mail host there is nothing to write.
            Holds::Missing if now.entries().is_empty() => {}
            Holds::Missing => found.push(Finding::warning(
                "map-missing",
                &one.file,
                format!(
                    "there is no map for {}, and {} may relay",
                    one.relay,
                    crate::printer::count(now.entries().len(), "key", "keys")
                ),
                hint,
            )),
            Holds::Unreadable(why) => {
                found.push(Finding::warning("map-unreadable", &one.file, why, hint));
            }
            Holds::Map(..) | Holds::List(_) => {
                let (differs, same_senders) = match &one.holds {
                    Holds::Map(text, table) => (
                        compare(one, parsed(text), now.entries(), known, look),
                        table.as_deref() == senders,
                    ),
                    Holds::List(text) => (
                        compare(one, Ok(of_exim(text)), now.certificates(), known, look),
                        text == list,
                    ),
                    _ => continue,
                };
                if differs.is_empty() && !same_senders {
                    let or = match &one.holds {
                        Holds::Map(..) => format!(", or `{} deploy {}`", look.relayca, one.relay),
                        _ => String::new(),
                    };
                    found.push(Finding::warning(
                        "senders-stale",
                        &one.file,
                        format!(
                            "the senders that {} binds hosts to are not those of relayca.toml",
                            one.relay
                        ),
                        format!(
                            "`{0} bundle {1}` writes them anew; then paste there what `{0} snippet {1}` and `{0} map --format paste` print{or}",
                            look.relayca, one.relay
                        ),
                    ));
                }
                found.extend(differs);
            }
        }
    }
    found
}

fn mend(relay: &str, look: &Look) -> String {
    format!(
        "`{} bundle {relay}`, and paste what `{} map --format paste` prints on {relay}",
        look.relayca, look.relayca
    )
}

/// Fingerprints and their hosts.
type Pairs = Vec<(String, String)>;

fn parsed(text: &str) -> Result<Pairs, String> {
    let pairs = relayca_fingerprint::parse_text(text).map_err(|error| error.to_string())?;
    Ok(pairs
        .into_iter()
        .map(|(fingerprint, host)| (fingerprint.as_str().to_owned(), host))
        .collect())
}

/// `HEX: host=HOST senders="..."`, the hex as pairs.
fn of_exim(text: &str) -> Pairs {
    let pair = |line: &str| {
        let (hex, rest) = line.split_once(": host=")?;
        let pairs: Vec<&str> = (0..hex.len())
            .step_by(2)
            .filter_map(|at| hex.get(at..at + 2))
            .collect();
        let host = rest.split(' ').next()?;
        Some((pairs.join(":"), host.to_owned()))
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(pair)
        .collect()
}

/// In what a written map differs from what it should be.
fn compare(
    written: &Written,
    then: Result<Pairs, String>,
    now: &[Entry],
    known: &Known,
    look: &Look,
) -> Vec<Finding> {
    let hint = mend(&written.relay, look);
    let then = match then {
        Ok(then) => then,
        Err(error) => {
            return vec![Finding::warning(
                "map-unreadable",
                &written.file,
                error,
                hint,
            )];
        }
    };
    let now: BTreeSet<(&str, &str)> = now
        .iter()
        .map(|entry| (entry.fingerprint.as_str(), entry.host.as_str()))
        .collect();
    let then: BTreeSet<(&str, &str)> = then
        .iter()
        .map(|(fingerprint, host)| (fingerprint.as_str(), host.as_str()))
        .collect();
    let surplus: BTreeSet<&str> = then.difference(&now).map(|(_, host)| *host).collect();
    let lacking: BTreeSet<&str> = now.difference(&then).map(|(_, host)| *host).collect();
    let mut found = Vec::new();
    let names = |hosts: &BTreeSet<&str>| some_of(hosts.iter().copied());
    if !surplus.is_empty() {
        let reasons = why_not(&surplus, known, look);
        // Somebody was cut off on purpose, and the map still lets him in.
        let severity = if reasons.contains("revoked") {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let reasons: Vec<&str> = reasons.into_iter().collect();
        found.push(Finding {
            id: "map-stale",
            severity,
            subject: written.file.clone(),
            message: format!(
                "the map last written for {} lists keys that may not relay any more ({}): {}",
                written.relay,
                reasons.join(", "),
                names(&surplus)
            ),
            hint: hint.clone(),
        });
    }
    if !lacking.is_empty() {
        found.push(Finding::critical(
            "map-lacks-host",
            &written.file,
            format!(
                "the map last written for {} lacks keys that may relay; their mail waits: {}",
                written.relay,
                names(&lacking)
            ),
            hint,
        ));
    }
    found
}

/// Why these hosts' keys are not in the map of this moment.
fn why_not(hosts: &BTreeSet<&str>, known: &Known, look: &Look) -> BTreeSet<&'static str> {
    let now = dates::stamp(look.now);
    let mut reasons: BTreeMap<&str, &'static str> =
        hosts.iter().map(|host| (*host, "not listed")).collect();
    for held in &known.held {
        let Some(reason) = reasons.get_mut(held.record.host.as_str()) else {
            continue;
        };
        let record = &held.record;
        let planned = known
            .retirements
            .get(&record.serial)
            .is_some_and(|after| *after <= now);
        // The certificates of a host come in the order of their ends: the last word is on the newest, a revoked key on all.
        if *reason != "revoked" {
            *reason = match record.state {
                State::Revoked => "revoked",
                State::Retired => "retired",
                State::Live if planned => "to be retired by now",
                State::Live if record.not_after < now => "expired",
                State::Live => "another fingerprint",
            };
        }
    }
    reasons.into_values().collect()
}

/// What relayca.toml says of hosts and relays, against what was issued.
pub fn of_settings(settings: &Settings, known: &Known, look: &Look) -> Vec<Finding> {
    let ever: BTreeSet<&str> = known
        .held
        .iter()
        .filter(|held| held.record.role != "ca")
        .map(|held| held.record.host.as_str())
        .collect();
    let mut found: Vec<Finding> = settings
        .host_sections()
        .filter(|host| !ever.contains(host))
        .map(|host| {
            Finding::warning(
                "unknown-host-settings",
                host,
                format!("relayca.toml has a section [host.\"{host}\"], and no such host has a certificate: what is said there holds for nobody"),
                format!("correct the name in relayca.toml, or `{} issue {host}`", look.relayca),
            )
        })
        .collect();
    let in_use = known.hosts();
    let relays: BTreeSet<&str> = in_use
        .iter()
        .filter(|host| host.newest.record.role == "relay")
        .map(|host| host.host())
        .collect();
    for relay in &settings.relays {
        if !relays.contains(relay.name.as_str()) {
            found.push(Finding::critical(
                "relay-without-certificate",
                relay.name.as_str(),
                "it is a relay in relayca.toml and has no live certificate: no mail host sends to it",
                format!("`{} issue --relay {}`; a name that is known has `renew --rekey`", look.relayca, relay.text()),
            ));
        }
    }
    for name in relays {
        if !settings
            .relays
            .iter()
            .any(|relay| relay.name.as_str() == name)
        {
            found.push(Finding::warning(
                "relay-not-in-settings",
                name,
                "it has a live server certificate and is not among `relays` in relayca.toml: it gets no map",
                format!(
                    "add it to `relays`, or `{} revoke {name} --reason cessationOfOperation`",
                    look.relayca
                ),
            ));
        }
    }
    found
}
