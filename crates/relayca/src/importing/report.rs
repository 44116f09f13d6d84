//! What an import says: what was taken over, what was left out, what is weak, and the way to fresh certificates.
//!
//! In: all that was decided. Out: text whose every line is a comment or a command for a shell, or JSON; closing notes. It refuses
//! to decide anything.

use std::collections::BTreeSet;
use std::path::Path;

use relayca_ca::{Certificate, HostName, Role};
use relayca_fingerprint::FingerprintMap;
use relayca_postfix::RelayStyle;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::leaves::{Fate, Leaf, Leaves};
use super::source::SourceCa;
use super::tree::listed;
use super::weak::Weakness;
use crate::dates;
use crate::failure::Failure;
use crate::home::Home;
use crate::issuing::Delivery;
use crate::mail_servers;
use crate::pieces;
use crate::printer::{count, one_line, table};
use crate::run::Run;
use crate::settings::Relay;
use crate::steps::{self, Steps};

/// Names that are told one by one.
const MOST_TOLD: usize = 12;
/// Entries of a map that are printed.
const LONGEST_PRINTED_MAP: usize = 100;

/// An authority that was taken over.
pub struct Imported<'a> {
    /// Where it lies now.
    pub home: &'a Home,
    /// Where it came from.
    pub from: &'a Path,
    /// Its CA.
    pub source: &'a SourceCa,
    /// What became of its certificates.
    pub leaves: &'a Leaves<'a>,
    /// What is weak.
    pub weaknesses: Vec<Weakness>,
    /// What was not read, or could not be.
    pub notes: Vec<String>,
    /// Hosts that the command line names, without a certificate.
    pub unknown_to_it: Vec<(HostName, Role)>,
    /// Whether what was sealed has been opened again.
    pub proven: bool,
}

/// The certificate that a relay uses today.
pub fn at_work<'a>(
    leaves: &Leaves<'a>,
    host: &HostName,
    now: OffsetDateTime,
) -> Option<&'a Certificate> {
    leaves
        .entered
        .iter()
        .filter(|leaf| leaf.host == *host && leaf.role == Role::Relay && leaf.at_work(now))
        .map(|leaf| &leaf.found.certificate)
        .max_by_key(|certificate| certificate.not_after())
}

/// Prints it all.
pub fn print(run: &Run, imported: &Imported<'_>) -> Result<(), Failure> {
    let inventory = imported.home.inventory_read_only()?;
    let map = pieces::map_now(&imported.home.settings, &inventory, run.now)?;
    if run.printer.json {
        run.printer.json(&as_json(imported, &map))?;
    } else {
        run.printer.data(&text(run, imported, &map)?)?;
    }
    notes(run, imported, &map);
    Ok(())
}

fn text(run: &Run, imported: &Imported<'_>, map: &FingerprintMap) -> Result<String, Failure> {
    let mut text = String::new();
    let mut line = |words: &str| {
        for one in words.lines() {
            text.push_str(format!("# {}", one_line(one)).trim_end());
            text.push('\n');
        }
        if words.is_empty() {
            text.push_str("#\n");
        }
    };
    let ca = imported.source.authority.certificate();
    line(&format!(
        "The CA: {}, serial {}, {}, until {}",
        ca.subject(),
        ca.serial(),
        ca.key_description(),
        dates::day(ca.not_after())
    ));
    line("");
    line(&table(
        &["HOST", "ROLE", "SERIAL", "UNTIL", "STATE"],
        &imported
            .leaves
            .entered
            .iter()
            .map(|leaf| row(leaf, run.now))
            .collect::<Vec<_>>(),
    ));
    let apart: Vec<(&Leaf<'_>, &str)> = imported
        .leaves
        .entered
        .iter()
        .filter_map(|leaf| match &leaf.fate {
            Fate::NotListed(why) => Some((leaf, why.as_str())),
            _ => None,
        })
        .collect();
    if !apart.is_empty() {
        line("\nNot listed, so that nobody is let in by a guess:");
        for (leaf, why) in apart {
            line(&format!(
                "- {}, serial {}: {why}",
                leaf.host,
                leaf.found.certificate.serial()
            ));
        }
        line(&format!(
            "  One that is wanted: `{} renew --rekey HOST` gives it a new key; or import again with",
            steps::relayca(imported.home)
        ));
        line(
            "  --mailhost HOST or --relay HOST, which keeps its present one where the certificate allows.",
        );
    }
    if !imported.leaves.left_out.is_empty() {
        line("\nLeft out:");
        for left in &imported.leaves.left_out {
            line(&format!(
                "- {} ({}): {}",
                listed(&left.found.files),
                left.found.certificate.subject(),
                left.why
            ));
            line(&format!("  {}", left.remedy));
        }
    }
    if !imported.weaknesses.is_empty() {
        line("\nWeaknesses:");
        for weakness in &imported.weaknesses {
            line(&format!("- {}: {}", weakness.code, weakness.what));
            line(&format!("  {}", about(&weakness.about)));
            line(&format!("  Remedy: {}.", weakness.remedy));
        }
    }
    line("\nThe way on:");
    text.push('\n');
    let mut steps = Steps::default();
    way_on(&mut steps, run, imported, map)?;
    text.push_str(steps.text());
    Ok(text)
}

fn row(leaf: &Leaf<'_>, now: OffsetDateTime) -> Vec<String> {
    let state = match &leaf.fate {
        Fate::Live if leaf.found.certificate.not_after() < now => "expired".to_owned(),
        Fate::Live => "live".to_owned(),
        Fate::NotListed(_) => "not listed".to_owned(),
        Fate::Revoked(at, reason) => format!("revoked {} ({reason})", dates::day(*at)),
    };
    vec![
        leaf.host.to_string(),
        leaf.role.to_string(),
        leaf.found.certificate.serial().to_string(),
        dates::day(leaf.found.certificate.not_after()),
        state,
    ]
}

fn about(names: &[String]) -> String {
    let told: Vec<String> = names
        .iter()
        .take(MOST_TOLD)
        .map(|name| one_line(name))
        .collect();
    match names.len().saturating_sub(MOST_TOLD) {
        0 => told.join(", "),
        more => format!("{}, and {more} more", told.join(", ")),
    }
}

/// First what keeps today's hosts working under relayca, then what mends them.
fn way_on(
    steps: &mut Steps,
    run: &Run,
    imported: &Imported<'_>,
    map: &FingerprintMap,
) -> Result<(), Failure> {
    let home = imported.home;
    let relayca = steps::relayca(home);
    for relay in &home.settings.relays {
        match at_work(imported.leaves, &relay.name, run.now) {
            Some(_) => relay_steps(steps, home, relay)?,
            None => steps.add(
                &format!(
                    "Here: give the relay {} a certificate; what it prints sets up the relay.",
                    relay.name
                ),
                &issue_or_rekey(imported, &relayca, relay),
            ),
        }
    }
    if home.settings.relays.is_empty() {
        steps.add(
            "Here: no relay is known yet. Give it a certificate; what it prints sets up the relay.",
            &format!("{relayca} issue --relay relayhost:2500"),
        );
    }
    if !map.entries().is_empty() {
        let mut commands = String::new();
        if map.entries().len() <= LONGEST_PRINTED_MAP {
            for one in map.to_text().lines().filter(|line| !line.starts_with('#')) {
                commands.push_str(&format!("# {one}\n"));
            }
        }
        commands.push_str(&format!(
            "# {relayca} map\n# {relayca} map --pin cert --digest md5    (the old list, for a Postfix before 3.6 that is told of no digest)"
        ));
        steps.add(
            "On a relay that keeps its old service for now: this list in SHA-256, and beside it `smtpd_tls_fingerprint_digest = sha256`; until it has both, its old list goes on.",
            &commands,
        );
    }
    let hosts = hosts(imported.leaves, run.now);
    if !hosts.is_empty() {
        let names = if hosts.len() > MOST_TOLD {
            "HOST...".to_owned()
        } else {
            let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            names.join(" ")
        };
        let here = imported
            .weaknesses
            .iter()
            .any(|one| matches!(one.code.as_str(), "host-key" | "encrypted-key" | "key-type"));
        let (first, second) = if here {
            ("renew --rekey", "renew")
        } else {
            ("renew", "renew --rekey")
        };
        let why = if here {
            "with new keys, as the old ones lay about; the second keeps the keys"
        } else {
            "for the keys they have; the second makes new ones"
        };
        steps.add(
            &format!("Here: fresh certificates for the hosts, {why}. The old ones go on until they are retired."),
            &format!("# {relayca} {first} {names}\n# {relayca} {second} {names}"),
        );
    }
    steps.add(
        "Here, when the hosts have those: a CA of today in the place of this one, while mail flows.",
        &format!("# {relayca} rollover prepare"),
    );
    Ok(())
}

/// A host that is in the inventory has had a certificate.
fn issue_or_rekey(imported: &Imported<'_>, relayca: &str, relay: &Relay) -> String {
    if imported
        .leaves
        .entered
        .iter()
        .any(|leaf| leaf.host == relay.name)
    {
        format!("{relayca} renew --rekey {}", relay.name)
    } else {
        format!("{relayca} issue --relay {}", relay.text())
    }
}

/// The relay goes on with its certificate and its key, under settings of ours.
fn relay_steps(steps: &mut Steps, home: &Home, relay: &Relay) -> Result<(), Failure> {
    let name = &relay.name;
    let directory = home.settings.config_directory(name);
    steps::send(steps, home, name, Delivery::Public);
    steps.add(
        &format!("On {name}, as root: put its present key beside them. Say where it lies."),
        &format!(
            "key={directory}/{name}.key.pem\n\
             mkdir -p -m 700 {directory}/relayca\n\
             install -m 600 \"$key\" {directory}/relayca/{name}.key.pem"
        ),
    );
    steps::unpack(steps, &home.settings, name, Delivery::Public);
    let snippet = mail_servers::relay_text(
        &home.settings,
        relay,
        pieces::bindings(&home.settings),
        RelayStyle::Block,
    )?;
    steps::settings_block(
        steps,
        name,
        &format!(
            "the service on port {}, in the place of the old one, with the list in SHA-256",
            relay.port
        ),
        &snippet.script,
    );
    Ok(())
}

fn hosts<'a>(leaves: &'a Leaves<'_>, now: OffsetDateTime) -> BTreeSet<&'a HostName> {
    leaves
        .entered
        .iter()
        .filter(|leaf| leaf.at_work(now))
        .map(|leaf| &leaf.host)
        .collect()
}

fn as_json(imported: &Imported<'_>, map: &FingerprintMap) -> Value {
    let ca = imported.source.authority.certificate();
    let entered: Vec<Value> = imported
        .leaves
        .entered
        .iter()
        .map(|leaf| {
            let (state, why) = match &leaf.fate {
                Fate::Live => ("live", None),
                Fate::NotListed(why) => ("retired", Some(why.clone())),
                Fate::Revoked(_, reason) => ("revoked", Some(reason.to_string())),
            };
            let certificate = &leaf.found.certificate;
            json!({
                "host": leaf.host.as_str(),
                "role": leaf.role.to_string(),
                "serial": certificate.serial().to_string(),
                "not_before": dates::stamp(certificate.not_before()),
                "not_after": dates::stamp(certificate.not_after()),
                "state": state,
                "why": why,
                "files": leaf.found.files,
            })
        })
        .collect();
    let left_out: Vec<Value> = imported
        .leaves
        .left_out
        .iter()
        .map(|left| {
            json!({
                "files": left.found.files,
                "subject": left.found.certificate.subject(),
                "serial": left.found.certificate.serial().to_string(),
                "why": left.why,
                "remedy": left.remedy,
            })
        })
        .collect();
    let weaknesses: Vec<Value> = imported
        .weaknesses
        .iter()
        .map(|one| {
            json!({ "code": one.code, "what": one.what, "about": one.about, "remedy": one.remedy })
        })
        .collect();
    let home = imported.home;
    json!({
        "domain": home.settings.domain.as_str(),
        "directory": home.root,
        "ca": {
            "serial": ca.serial().to_string(),
            "subject": ca.subject(),
            "not_after": dates::stamp(ca.not_after()),
            "key": ca.key_description(),
            "certificate_files": imported.source.certificate_files,
            "key_files": imported.source.key_files,
        },
        "relays": home.settings.relays.iter().map(Relay::text).collect::<Vec<_>>(),
        "certificates": entered,
        "left_out": left_out,
        "weaknesses": weaknesses,
        "notes": imported.notes,
        "map": map.entries(),
        "proven": imported.proven,
    })
}

fn notes(run: &Run, imported: &Imported<'_>, map: &FingerprintMap) {
    let printer = &run.printer;
    let home = imported.home;
    let relayca = steps::relayca(home);
    for note in imported.notes.iter().take(MOST_TOLD) {
        printer.warning(&format!("in `{}`: {note}", imported.from.display()));
    }
    if let Some(more) = imported
        .notes
        .len()
        .checked_sub(MOST_TOLD)
        .filter(|more| *more > 0)
    {
        printer.warning(&format!("and {more} more like these; --json lists them"));
    }
    for (host, role) in &imported.unknown_to_it {
        printer.warning(&format!("no certificate here is that of {host} ({role})"));
        let relay = if *role == Role::Relay { "--relay " } else { "" };
        printer.hint(&format!("`{relayca} issue {relay}{host}` gives it one"));
    }
    let apart = |leaf: &&Leaf<'_>| matches!(leaf.fate, Fate::NotListed(_));
    let not_listed = imported.leaves.entered.iter().filter(apart).count();
    if not_listed > 0 {
        printer.warning(&format!(
            "{} not listed, so that nobody relays with a guess; the report says why",
            count(not_listed, "certificate is", "certificates are")
        ));
        printer.hint("import again with --mailhost HOST for each host that is to relay, or give it a new key with `renew --rekey`");
    }
    let left_out = imported.leaves.left_out.len();
    if left_out > 0 {
        printer.warning(&format!(
            "{} left out; the report says why",
            count(left_out, "certificate was", "certificates were")
        ));
    }
    if !imported.weaknesses.is_empty() {
        printer.warning(&format!(
            "{} found; the report has the remedies",
            count(imported.weaknesses.len(), "weakness was", "weaknesses were")
        ));
    }
    printer.note(&format!(
        "took over the CA of {} into {}; it is valid until {}",
        home.settings.domain,
        home.root.display(),
        dates::day(imported.source.authority.certificate().not_after())
    ));
    let entered = imported.leaves.entered.len();
    let mut let_in: Vec<&str> = map
        .entries()
        .iter()
        .map(|entry| entry.host.as_str())
        .collect();
    let_in.dedup();
    printer.note(&format!(
        "entered {}; the map lets in: {}",
        count(entered, "certificate", "certificates"),
        if let_in.is_empty() {
            "nobody".to_owned()
        } else {
            listed(&let_in)
        }
    ));
    printer.note(&format!(
        "nothing in {} was changed; when the authority is backed up, put it where nobody reads it",
        imported.from.display()
    ));
    if !imported.proven {
        printer.warning("nobody has opened what was sealed to the recipients yet, because no identity was given");
        printer.hint(&format!(
            "`{relayca} verify ca -i FILE` proves that you can; do it before you rely on this authority"
        ));
    }
    printer.note("next: paste the steps in their order, the relay's first");
}
