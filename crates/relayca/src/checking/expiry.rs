//! What expires, and what should be out of use by now.
//!
//! In: the inventory, the time. Out: the end of everything in use, and findings. It refuses to know chains and maps.

use relayca_inventory::Phase;
use time::{Duration, OffsetDateTime};

use super::known::{Held, InUse, Known};
use super::{Expiry, Finding, Look, Severity};
use crate::dates;

/// How long an old certificate may stay in use beside the new one before that looks forgotten.
const FORGOTTEN: Duration = Duration::days(30);

/// The end of each CA in use and of each host's newest certificate, soonest first.
pub fn expiries(known: &Known) -> Vec<Expiry> {
    let mut all: Vec<Expiry> = cas_in_use(known)
        .iter()
        .map(|(held, _)| *held)
        .chain(known.hosts().iter().map(|host| host.newest))
        .filter_map(|held| {
            Some(Expiry {
                subject: held.record.host.clone(),
                role: held.record.role.clone(),
                serial: held.record.serial.clone(),
                not_after: held.not_after()?,
            })
        })
        .collect();
    all.sort_by(|one, other| {
        (one.not_after, &one.subject, &one.serial).cmp(&(
            other.not_after,
            &other.subject,
            &other.serial,
        ))
    });
    all
}

/// What expires soon or has, what is not valid yet, and what should have been retired.
pub fn findings(known: &Known, look: &Look) -> Vec<Finding> {
    let mut found = Vec::new();
    for (held, phase) in cas_in_use(known) {
        found.extend(of_ca(known, held, phase, look));
    }
    for host in known.hosts() {
        found.extend(of_host(&host, look));
        found.extend(not_retired(known, &host, look));
    }
    found
}

fn cas_in_use(known: &Known) -> Vec<(&Held, Phase)> {
    let Some(authorities) = &known.authorities else {
        return Vec::new();
    };
    authorities
        .all()
        .iter()
        .filter(|one| one.phase != Phase::Retired)
        .filter_map(|one| {
            let serial = one.certificate.serial().to_string();
            let held = known
                .held
                .iter()
                .find(|held| held.record.serial == serial)?;
            Some((held, one.phase))
        })
        .collect()
}

/// How bad an end is: critical within the shorter time, a warning within the longer one.
fn severity(end: OffsetDateTime, look: &Look) -> Option<Severity> {
    let left = end - look.now;
    if left <= look.critical || end < look.now {
        Some(Severity::Critical)
    } else if left <= look.within {
        Some(Severity::Warning)
    } else {
        None
    }
}

/// `expires on 2026-11-30, in 9 days`, or that it did.
fn ends(end: OffsetDateTime, now: OffsetDateTime) -> String {
    let day = dates::day(end);
    let days = (end - now).whole_seconds().div_euclid(86_400);
    match days {
        _ if end < now => format!("expired on {day}"),
        0 => format!("expires on {day}, within a day"),
        1 => format!("expires on {day}, in 1 day"),
        _ => format!("expires on {day}, in {days} days"),
    }
}

fn of_ca(known: &Known, held: &Held, phase: Phase, look: &Look) -> Option<Finding> {
    let certificate = held.certificate.as_ref()?;
    let (subject, relayca) = (&held.record.host, &look.relayca);
    if certificate.not_before() > look.now && phase == Phase::Active {
        return Some(not_valid_yet(held, certificate.not_before()));
    }
    let end = certificate.not_after();
    let mut severity = severity(end, look)?;
    let needed = phase == Phase::Active
        || known.hosts().iter().any(|host| {
            host.newest
                .certificate
                .as_ref()
                .is_some_and(|leaf| leaf.issuer_is(certificate))
        });
    let what = match phase {
        Phase::Active => "the CA certificate".to_owned(),
        _ => format!("the {phase} CA certificate"),
    };
    let over = end < look.now;
    let (stops, hint) = match phase {
        Phase::Active => (
            if over {
                ": all mail stops"
            } else {
                "; then all mail stops"
            },
            format!("`{relayca} rollover prepare` begins to replace it"),
        ),
        _ if needed => (
            if over {
                ": the mail of all that hang on it stops"
            } else {
                "; then the mail of all that hang on it stops"
            },
            format!("`{relayca} renew --due` renews what hangs on it"),
        ),
        _ => {
            severity = Severity::Warning;
            let hint = if phase == Phase::Outgoing {
                format!("nothing hangs on it: `{relayca} rollover retire` lets it go")
            } else {
                format!("`{relayca} rollover` shows where the rollover stands")
            };
            ("", hint)
        }
    };
    Some(Finding {
        id: "ca-expiry",
        severity,
        subject: subject.clone(),
        message: format!("{what} {}{stops}", ends(end, look.now)),
        hint,
    })
}

fn of_host(host: &InUse<'_>, look: &Look) -> Option<Finding> {
    let held = host.newest;
    let certificate = held.certificate.as_ref()?;
    if certificate.not_before() > look.now {
        return Some(not_valid_yet(held, certificate.not_before()));
    }
    let end = certificate.not_after();
    let severity = severity(end, look)?;
    let name = host.host();
    let relayca = &look.relayca;
    let over = end < look.now;
    let (id, what, stops) = match (held.record.role.as_str(), over) {
        ("relay", false) => (
            "relay-expiry",
            "the relay's certificate",
            "; then no mail host sends to it",
        ),
        ("relay", true) => (
            "relay-expiry",
            "the relay's certificate",
            ": no mail host sends to it",
        ),
        (_, false) => (
            "mailhost-expiry",
            "its certificate",
            "; then its mail waits",
        ),
        (_, true) => ("mailhost-expiry", "its certificate", ": its mail waits"),
    };
    let gone = if over {
        format!(
            "; if the host is gone: `{relayca} revoke {name} --reason cessationOfOperation --all`"
        )
    } else {
        String::new()
    };
    Some(Finding {
        id,
        severity,
        subject: name.to_owned(),
        message: format!("{what} {}{stops}", ends(end, look.now)),
        hint: format!("`{relayca} renew {name}`{gone}"),
    })
}

fn not_valid_yet(held: &Held, begins: OffsetDateTime) -> Finding {
    Finding::critical(
        "not-yet-valid",
        &held.record.host,
        format!(
            "the certificate {} is not valid before {}",
            held.record.serial,
            dates::stamp(begins)
        ),
        "set this machine's clock; if it is right, that certificate was issued by a wrong one: renew it",
    )
}

/// Superseded certificates that are still in use.
fn not_retired(known: &Known, host: &InUse<'_>, look: &Look) -> Vec<Finding> {
    let now = dates::stamp(look.now);
    let relayca = &look.relayca;
    let name = host.host();
    let mut found = Vec::new();
    let planned = |held: &Held| {
        let after = known.retirements.get(&held.record.serial);
        after.filter(|after| **after <= now)
    };
    // As `pieces::due_to_retire` has it: the calendar alone takes a host's last one from no map.
    let another = std::iter::once(host.newest)
        .chain(host.older.iter().copied())
        .any(|held| {
            let record = &held.record;
            planned(held).is_none() && record.not_before <= now && record.not_after >= now
        });
    if let Some(after) = planned(host.newest) {
        let map = if another {
            "so the map leaves it out"
        } else {
            "and relays still, because the host has no other"
        };
        found.push(Finding::critical(
            "last-certificate-retired",
            name,
            format!(
                "its newest live certificate {} was to be retired from {} on, {map}",
                host.newest.record.serial,
                dates::day_of(after)
            ),
            format!("`{relayca} renew --rekey {name}`"),
        ));
    }
    let superseded = dates::moment(&host.newest.record.issued_at);
    for old in host.older.iter().filter(|old| !old.is_over(look.now)) {
        let serial = &old.record.serial;
        match known.retirements.get(serial) {
            Some(after) if *after <= now && !another => {}
            Some(after) if *after <= now => found.push(Finding::warning(
                "retirement-due",
                name,
                format!(
                    "its old certificate {serial} was to be retired from {} on",
                    dates::day_of(after)
                ),
                format!("`{relayca} retire --due`, and paste the map that it prints"),
            )),
            None if superseded.is_some_and(|since| look.now - since > FORGOTTEN) => {
                found.push(Finding::warning(
                    "not-retired",
                    name,
                    format!(
                        "its old certificate {serial} is not retired yet, though there is a new one since {}",
                        dates::day_of(&host.newest.record.issued_at)
                    ),
                    format!("`{relayca} retire {name}`, once it uses the new one"),
                ));
            }
            _ => {}
        }
    }
    found
}
