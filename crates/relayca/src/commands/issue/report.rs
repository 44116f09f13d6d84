//! What `relayca issue` prints.
//!
//! In: what was issued. Out: the steps that put it in place, the relay's first, or JSON; on standard error what was done, until when it
//! holds, and what comes next. It refuses to change anything.

use std::path::PathBuf;

use relayca_fingerprint::FingerprintMap;
use relayca_postfix::RelayStyle;
use serde_json::{Value, json};

use super::MANY;
use crate::dates;
use crate::failure::Failure;
use crate::home::Home;
use crate::hosts::HostRequest;
use crate::issuing::{Delivery, Issued};
use crate::mail_servers::{self, HostText};
use crate::pieces;
use crate::run::Run;
use crate::steps::{self, Steps};

/// Prints the steps, or JSON, and then what was done.
pub fn report(
    run: &Run,
    home: &Home,
    requests: &[HostRequest],
    issued: &[Issued],
    map: &FingerprintMap,
) -> Result<(), Failure> {
    let relays_issued = requests.iter().any(|request| request.relay.is_some());
    if run.printer.json {
        let hosts = issued
            .iter()
            .map(|issued| Ok(issued_json(home, issued, &snippet_of(home, issued)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        run.printer
            .json(&json!({ "issued": hosts, "map_entries": map.entries().len() }))?;
    } else {
        let mut steps = Steps::default();
        if !relays_issued {
            steps::relays(&mut steps, home, map)?;
        }
        if issued.len() < MANY {
            for issued in issued {
                host_steps(&mut steps, home, issued)?;
            }
        } else {
            many_steps(&mut steps, home);
        }
        run.printer.data(steps.text())?;
    }
    notes(run, home, issued, relays_issued);
    Ok(())
}

fn snippet_of(home: &Home, issued: &Issued) -> Result<HostText, Failure> {
    match home.settings.relay(&issued.host) {
        Some(relay) => mail_servers::relay_text(
            &home.settings,
            relay,
            pieces::bindings(&home.settings),
            RelayStyle::Block,
        ),
        None => mail_servers::mail_host_text(&home.settings, &issued.host, home.settings.style),
    }
}

fn host_steps(steps: &mut Steps, home: &Home, issued: &Issued) -> Result<(), Failure> {
    let snippet = snippet_of(home, issued)?;
    steps::send(steps, home, &issued.host, issued.delivery);
    steps::unpack(steps, &home.settings, &issued.host, issued.delivery);
    let what = if home.settings.relay(&issued.host).is_some() {
        "the relay's service"
    } else {
        "mail goes out through the relay"
    };
    steps::settings_block(steps, &issued.host, what, &snippet.script);
    Ok(())
}

fn many_steps(steps: &mut Steps, home: &Home) {
    let relayca = steps::relayca(home);
    steps.add(
        "For each host: send its bundle, unpack it there, run the snippet that lies in it (INSTALL.txt says how).",
        &format!(
            "# scp {}/HOST.tar.age root@HOST:\n# {relayca} passphrase HOST\n# {relayca} snippet HOST",
            steps::quoted(&home.path("bundles"))
        ),
    );
}

fn notes(run: &Run, home: &Home, issued: &[Issued], relays: bool) {
    let printer = &run.printer;
    if let [only] = issued {
        printer.note(&format!(
            "issued {} ({}), serial {}, valid until {}",
            only.host,
            only.role,
            only.certificate.serial(),
            dates::day(only.certificate.not_after())
        ));
        let kind = if only.delivery == Delivery::Public {
            "its files, without a key"
        } else {
            "its sealed bundle"
        };
        printer.note(&format!("{kind}: {}", bundle_path(home, only).display()));
    } else if let Some(first) = issued
        .iter()
        .map(|issued| issued.certificate.not_after())
        .min()
    {
        printer.note(&format!(
            "issued {} certificates; the first expires on {}",
            issued.len(),
            dates::day(first)
        ));
        printer.note(&format!(
            "their sealed bundles: {}",
            home.path("bundles").display()
        ));
    }
    if relays {
        let relayca = steps::relayca(home);
        printer.note(&format!("next: set up the relay as printed, then paste `{relayca} snippet HOST` on every mail host"));
    } else {
        let or = if home
            .settings
            .have_postfix(issued.iter().map(|issued| &issued.host))
        {
            format!(", or let `{} deploy` take them", steps::relayca(home))
        } else {
            String::new()
        };
        printer.note(&format!("next: paste the steps in their order, the relay's first{or}; until then the host's mail waits in its queue"));
    }
}

/// A host as `--json` shows it.
pub fn issued_json(home: &Home, issued: &Issued, snippet: &HostText) -> Value {
    let certificate = &issued.certificate;
    json!({
        "host": issued.host.as_str(),
        "role": issued.role.to_string(),
        "serial": certificate.serial().to_string(),
        "not_before": dates::stamp(certificate.not_before()),
        "not_after": dates::stamp(certificate.not_after()),
        "fingerprint": relayca_fingerprint::fingerprint(home.settings.digest, certificate.spki_der()).to_string(),
        "bundle": bundle_path(home, issued),
        "passphrase_file": (issued.delivery == Delivery::ByPassphrase).then(|| home.path(&Home::bundle_passphrase(&issued.host))),
        "snippet": snippet.json(),
    })
}

/// The bundle that a host gets.
pub fn bundle_path(home: &Home, issued: &Issued) -> PathBuf {
    home.path(&match issued.delivery {
        Delivery::Public => Home::public_bundle(&issued.host),
        Delivery::ByPassphrase | Delivery::ToKey(_) => Home::bundle(&issued.host),
    })
}
