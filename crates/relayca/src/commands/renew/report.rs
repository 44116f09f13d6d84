//! What `relayca renew` says: the steps in their order, notes, JSON.
//!
//! In: what was renewed. Out: text. It refuses to know how it was done.

use std::collections::BTreeMap;

use relayca_ca::{Certificate, HostName};
use relayca_fingerprint::FingerprintMap;
use relayca_inventory::Records;
use relayca_mta::Mta;
use serde_json::{Value, json};

use super::{LeftOut, Renewed};
use crate::commands::issue::{MANY, bundle_path};
use crate::dates;
use crate::failure::Failure;
use crate::home::Home;
use crate::issuing::Delivery;
use crate::mail_servers;
use crate::pieces;
use crate::run::Run;
use crate::steps::{self, Steps};

/// Nobody's time has come.
pub fn nothing_due(
    run: &Run,
    home: &Home,
    inventory: &(impl Records + ?Sized),
    left_out: &[LeftOut],
) -> Result<(), Failure> {
    if run.printer.json {
        let map = pieces::map_now(&home.settings, inventory, run.now)?;
        run.printer.json(&json!({
            "renewed": [],
            "left_out": left_out_json(left_out),
            "map_entries": map.entries().len(),
        }))?;
    }
    tell_left_out(run, left_out);
    run.printer.note(&format!(
        "nothing to renew for {}: no certificate expires soon that a new one would outlive",
        home.settings.domain
    ));
    Ok(())
}

/// What was done: the steps, in the order in which no mail is lost.
pub fn report(
    run: &Run,
    home: &Home,
    renewed: &[Renewed],
    left_out: &[LeftOut],
    map: &FingerprintMap,
    trusted: &[Certificate],
    retire_after: Option<&str>,
) -> Result<(), Failure> {
    if run.printer.json {
        let items: Vec<Value> = renewed
            .iter()
            .map(|one| renewed_json(home, one, retire_after))
            .collect();
        run.printer.json(&json!({
            "renewed": items,
            "left_out": left_out_json(left_out),
            "map_entries": map.entries().len(),
        }))?;
    } else {
        let mut steps = Steps::default();
        let listed_anew = |one: &Renewed| {
            one.supersedes.role == "mailhost"
                && (one.rekeyed
                    || home.settings.pin != relayca_fingerprint::Pin::Pubkey
                    || home.settings.a_relay_lists_certificates())
        };
        if renewed.iter().any(listed_anew) {
            steps::relays(&mut steps, home, map)?;
        }
        // Relays are few, and each has more to do than to unpack its files.
        let (relays, mail_hosts): (Vec<&Renewed>, Vec<&Renewed>) = renewed
            .iter()
            .partition(|one| one.supersedes.role == "relay");
        for one in relays {
            host_steps(&mut steps, home, one, trusted)?;
        }
        if mail_hosts.len() < MANY {
            for one in mail_hosts {
                host_steps(&mut steps, home, one, trusted)?;
            }
        } else {
            many_steps(&mut steps, home, &mail_hosts);
        }
        last_step(&mut steps, home, renewed, retire_after);
        run.printer.data(steps.text())?;
    }
    notes(run, home, renewed, retire_after);
    tell_left_out(run, left_out);
    Ok(())
}

fn host_steps(
    steps: &mut Steps,
    home: &Home,
    one: &Renewed,
    trusted: &[Certificate],
) -> Result<(), Failure> {
    let issued = &one.issued;
    if issued.delivery == Delivery::Public && !one.rekeyed {
        return steps::certificates(
            steps,
            home,
            &issued.host,
            Some(&issued.certificate),
            trusted,
        );
    }
    steps::send(steps, home, &issued.host, issued.delivery);
    steps::unpack(steps, &home.settings, &issued.host, issued.delivery);
    steps.add(
        &format!(
            "On {}, as root: have the new key used. A session that is resumed would show the old one.",
            issued.host
        ),
        &mail_servers::reload(&home.settings, &issued.host),
    );
    Ok(())
}

/// Many mail hosts are not told one by one, but by what differs: where Postfix has its files, and how theirs reach them.
fn many_steps(steps: &mut Steps, home: &Home, mail_hosts: &[&Renewed]) {
    let bundles = steps::quoted(&home.path("bundles"));
    let mut ways: BTreeMap<(&str, Mta, Delivery), Vec<&HostName>> = BTreeMap::new();
    for one in mail_hosts {
        let host = &one.issued.host;
        let directory = home.settings.config_directory(host);
        ways.entry((directory, home.settings.mta(host), one.issued.delivery))
            .or_default()
            .push(host);
    }
    let only = ways.len() == 1;
    for ((directory, mta, delivery), hosts) in ways {
        let Some(first) = hosts.first() else { continue };
        let reload = match mta {
            Mta::Postfix => mail_servers::reload(&home.settings, first),
            _ => format!("sh {directory}/relayca/HOST.snippet.sh"),
        };
        let into = format!("tar -xf - -C {directory}/relayca && {reload}    (on HOST)");
        let commands = match delivery {
            Delivery::ByPassphrase => format!(
                "# scp {bundles}/HOST.tar.age root@HOST:\n\
                 # {} passphrase HOST\n\
                 # age -d HOST.tar.age | {into}",
                steps::relayca(home)
            ),
            Delivery::ToKey(key) => format!(
                "# scp {bundles}/HOST.tar.age root@HOST:\n\
                 # age -d -i {key} HOST.tar.age | {into}"
            ),
            Delivery::Public => format!(
                "# scp {bundles}/HOST.public.tar root@HOST:\n\
                 # cat HOST.public.tar | {into}"
            ),
        };
        let whom = if only {
            "each mail host".to_owned()
        } else {
            let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            names.join(" ")
        };
        steps.add(
            &format!(
                "For {whom}: send its files, unpack them where the key lies, {}.",
                match mta {
                    Mta::Postfix => "reload Postfix",
                    _ => "have them used",
                }
            ),
            &commands,
        );
    }
}

/// Retiring, when all hosts have theirs.
fn last_step(steps: &mut Steps, home: &Home, renewed: &[Renewed], retire_after: Option<&str>) {
    // By serial: what somebody else renews meanwhile is not to go with them.
    let serials: Vec<&str> = renewed
        .iter()
        .flat_map(|one| one.older.iter().map(String::as_str))
        .collect();
    let old = if renewed.len() < MANY {
        serials.join(" ")
    } else {
        "HOST...".to_owned()
    };
    let relayca = steps::relayca(home);
    let (title, command) = match retire_after {
        Some(after) => (
            format!(
                "Here, from {} on: the old certificates leave the map; print it and paste it on the relays.",
                dates::day_of(after)
            ),
            format!("{relayca} retire --due"),
        ),
        None => (
            "Here, when the hosts use the new certificates: take the old ones out of use."
                .to_owned(),
            format!("{relayca} retire {old}"),
        ),
    };
    let command = if renewed.len() < MANY || retire_after.is_some() {
        command
    } else {
        format!("# {command}")
    };
    steps.add(&title, &command);
}

fn notes(run: &Run, home: &Home, renewed: &[Renewed], retire_after: Option<&str>) {
    for one in renewed.iter().take(MANY) {
        let issued = &one.issued;
        let what = if one.rekeyed { "rekeyed" } else { "renewed" };
        run.printer.note(&format!(
            "{what} {} ({}), serial {}, valid until {}: {}",
            issued.host,
            issued.role,
            issued.certificate.serial(),
            dates::day(issued.certificate.not_after()),
            bundle_path(home, issued).display()
        ));
    }
    for one in renewed.iter().filter(|one| !one.left_out.is_empty()) {
        let names: Vec<String> = one.left_out.iter().map(ToString::to_string).collect();
        run.printer.warning(&format!(
            "the new certificate of {} leaves out {}: outside the domain `{}`",
            one.issued.host,
            names.join(", "),
            home.settings.domain
        ));
        run.printer
            .hint("nothing that relays needs them: the host's own name is in it");
    }
    if renewed.len() > MANY {
        run.printer.note(&format!(
            "and {} more; `relayca list` shows them",
            renewed.len() - MANY
        ));
    }
    run.printer.note(&match retire_after {
        Some(after) => format!(
            "next: paste the steps in their order; the old certificates go on working until {}",
            dates::day_of(after)
        ),
        None => "next: paste the steps in their order; the old certificates go on working until they are retired".to_owned(),
    });
}

/// Those whose time comes and that were not renewed: a warning each.
fn tell_left_out(run: &Run, left_out: &[LeftOut]) {
    for one in left_out.iter().take(MANY) {
        run.printer
            .warning(&format!("{} was left out: {}", one.host, one.why));
        run.printer.hint(&one.hint);
    }
    if left_out.len() > MANY {
        run.printer.warning(&format!(
            "{} more were left out for such reasons",
            left_out.len() - MANY
        ));
    }
}

fn left_out_json(left_out: &[LeftOut]) -> Value {
    left_out
        .iter()
        .map(|one| json!({ "host": one.host, "why": one.why }))
        .collect()
}

fn renewed_json(home: &Home, one: &Renewed, retire_after: Option<&str>) -> Value {
    let certificate = &one.issued.certificate;
    json!({
        "host": one.issued.host.as_str(),
        "role": one.issued.role.to_string(),
        "serial": certificate.serial().to_string(),
        "not_before": dates::stamp(certificate.not_before()),
        "not_after": dates::stamp(certificate.not_after()),
        "supersedes": one.supersedes.serial,
        "rekeyed": one.rekeyed,
        "retire_after": retire_after,
        "fingerprint": relayca_fingerprint::fingerprint(home.settings.digest, certificate.spki_der()).to_string(),
        "bundle": bundle_path(home, &one.issued),
        "passphrase_file": (one.issued.delivery == Delivery::ByPassphrase).then(|| home.path(&Home::bundle_passphrase(&one.issued.host))),
    })
}
