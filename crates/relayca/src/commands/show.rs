//! `relayca show`: a host, a certificate by serial, or a certificate file, with its history.

use relayca_ca::{Certificate, HostName, Serial};
use relayca_fingerprint::{Digest, fingerprint};
use relayca_inventory::{CertificateRecord, Event, Filter, Records};
use serde_json::{Value, json};

use super::list::{Today, phase, record_json, state};
use crate::cli::Show;
use crate::dates;
use crate::disk;
use crate::failure::Failure;
use crate::home::Home;
use crate::run::Run;

/// Bytes of a certificate file.
pub const LONGEST_CERTIFICATE: usize = 1 << 20;
/// Events read to find those of one host.
const EVENTS: usize = 1_000_000;

/// Runs the command.
pub fn run(run: &Run, arguments: &Show) -> Result<(), Failure> {
    let what = arguments.what.as_str();
    let home = run.home(Some(what))?;
    let inventory = home.inventory_read_only()?;
    let path = std::path::Path::new(what);
    if path.is_file() {
        let certificate = read_certificate(path)?;
        let record = inventory
            .certificate(&certificate.serial().to_string())?
            .filter(|record| record.certificate_der == certificate.der());
        return match record {
            Some(record) => show(run, &home, &inventory, &[record]),
            None => show_foreign(run, &certificate),
        };
    }
    let records = find(&home, &inventory, what)?;
    show(run, &home, &inventory, &records)
}

/// Reads one certificate, PEM or DER.
pub fn read_certificate(path: &std::path::Path) -> Result<Certificate, Failure> {
    let content = disk::read(path, LONGEST_CERTIFICATE)?;
    let certificate = match std::str::from_utf8(&content) {
        Ok(text) if text.contains("-----BEGIN") => {
            Certificate::all_from_pem(text).and_then(|all| {
                all.into_iter()
                    .next()
                    .ok_or(relayca_ca::CertificateError::None)
            })
        }
        _ => Certificate::from_der(&content),
    };
    certificate.map_err(|error| Failure::from(error).within(path.display()))
}

/// The certificates of a host, or the one of a serial.
fn find(
    home: &Home,
    inventory: &impl Records,
    what: &str,
) -> Result<Vec<CertificateRecord>, Failure> {
    if let Ok(host) = HostName::in_domain(what, &home.settings.domain) {
        let filter = Filter {
            host: Some(host.to_string()),
            ..Filter::default()
        };
        let records = inventory.certificates(&filter)?;
        if !records.is_empty() {
            return Ok(records);
        }
    }
    if let Ok(serial) = what.parse::<Serial>()
        && let Some(record) = inventory.certificate(&serial.to_string())?
    {
        return Ok(vec![record]);
    }
    Err(Failure::new(format!("nothing is known of `{what}`"))
        .hint("`relayca list --all` shows every certificate"))
}

fn show(
    run: &Run,
    home: &Home,
    inventory: &impl Records,
    records: &[CertificateRecord],
) -> Result<(), Failure> {
    let today = Today::of(inventory, run.now)?;
    let events = events_of(inventory, records)?;
    if run.printer.json {
        let certificates = records
            .iter()
            .map(|record| {
                let certificate = Certificate::from_der(&record.certificate_der)?;
                let mut value = record_json(record, &today);
                value["subject"] = json!(certificate.subject());
                value["names"] = json!(
                    certificate
                        .alt_names()
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                );
                value["key"] = json!(certificate.key_description());
                value["pem"] = json!(certificate.to_pem());
                Ok(value)
            })
            .collect::<Result<Vec<Value>, Failure>>()?;
        return run
            .printer
            .json(&json!({ "certificates": certificates, "events": events }));
    }
    let mut text = String::new();
    for record in records {
        let certificate = Certificate::from_der(&record.certificate_der)?;
        describe(&mut text, &certificate, home.settings.digest);
        line(&mut text, "role", &record.role);
        line(&mut text, "state", state(record, &today));
        if let Some(phase) = phase(record, &today) {
            line(&mut text, "phase", phase.as_str());
        }
        line(&mut text, "issued", &record.issued_at);
        if let Ok(host) = HostName::parse(&record.host) {
            let bundle = home.path(&Home::bundle(&host));
            if bundle.exists() {
                line(&mut text, "bundle", &bundle.display().to_string());
            }
            let senders = home.settings.senders(host.as_str());
            if !senders.is_empty() {
                line(&mut text, "senders", &senders.join(", "));
            }
        }
        text.push('\n');
    }
    for event in events {
        let told = [Some(event.what), event.serial, event.detail];
        let told: Vec<String> = told.into_iter().flatten().collect();
        text.push_str(&format!("{}  {}\n", event.at, told.join("  ")));
    }
    run.printer.data(&text)
}

fn show_foreign(run: &Run, certificate: &Certificate) -> Result<(), Failure> {
    if run.printer.json {
        return run.printer.json(&json!({
            "serial": certificate.serial().to_string(),
            "subject": certificate.subject(),
            "issuer": certificate.issuer(),
            "names": certificate.alt_names().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "key": certificate.key_description(),
            "not_before": dates::stamp(certificate.not_before()),
            "not_after": dates::stamp(certificate.not_after()),
            "listed": false,
        }));
    }
    let mut text = String::new();
    describe(&mut text, certificate, Digest::Sha256);
    run.printer.data(&text)?;
    run.printer
        .warning("this certificate is not in the inventory: this authority did not issue it");
    Ok(())
}

fn describe(text: &mut String, certificate: &Certificate, digest: Digest) {
    let names: Vec<String> = certificate
        .alt_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    line(text, "subject", certificate.subject());
    line(text, "issuer", certificate.issuer());
    line(text, "names", &names.join(", "));
    line(text, "serial", &certificate.serial().to_string());
    line(text, "key", certificate.key_description());
    line(text, "from", &dates::stamp(certificate.not_before()));
    line(text, "until", &dates::stamp(certificate.not_after()));
    line(
        text,
        &format!("pubkey {digest}"),
        &fingerprint(digest, certificate.spki_der()).to_string(),
    );
    line(
        text,
        &format!("cert {digest}"),
        &fingerprint(digest, certificate.der()).to_string(),
    );
}

fn line(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("{name:<14} {}\n", crate::printer::one_line(value)));
}

/// The events of these certificates and their hosts, oldest first.
fn events_of(
    inventory: &impl Records,
    records: &[CertificateRecord],
) -> Result<Vec<Event>, Failure> {
    let mut events = inventory.events(EVENTS)?;
    events.retain(|event| {
        records.iter().any(|record| {
            event.serial.as_deref() == Some(&record.serial)
                || event.host.as_deref() == Some(&record.host)
        })
    });
    events.reverse();
    Ok(events)
}
