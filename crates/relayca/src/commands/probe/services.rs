//! `relayca probe --mx HOST --submission HOST …`: what other services of a mail server are like, as people test them by hand
//! with telnet and `openssl s_client`.
//!
//! In: the arguments, the system's list of public authorities, an authority if there is one. Out: a table a service, or JSON.
//! It refuses to log in and to send anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use relayca_ca::{Certificate, HostName};
use relayca_probe::TrustStore;
use serde_json::{Value, json};

use crate::authorities::Authorities;
use crate::cli::Probe;
use crate::disk;
use crate::failure::Failure;
use crate::home::Home;
use crate::probing::services::{self, Judges, Mark, Question, Report, Service};
use crate::run::Run;

/// Where systems keep the certificates that their programs trust: Debian, Alpine and Arch; Fedora and RHEL; the BSDs.
const SYSTEM_STORES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// Names another list, as OpenSSL has it.
const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Bytes. Mozilla's list is about 220 KB.
const LONGEST_STORE: usize = 8 << 20;
/// A recipient elsewhere: a domain that nobody has (RFC 2606).
const ELSEWHERE: &str = "relayca-probe@example.com";

/// Runs it; gives the exit code.
pub fn run(run: &Run, arguments: &Probe) -> Result<u8, Failure> {
    let judges = judges(run, arguments)?;
    let reports = look(run, arguments, &judges)?;
    let code = services::exit_code(&reports);
    if code == crate::failure::FAILED {
        return Err(nobody_answered(&reports));
    }
    if run.printer.json {
        run.printer
            .json(&json!({ "services": json_of(&reports) }))?;
    } else {
        run.printer.data(&text_of(&reports))?;
    }
    close(run, &reports);
    Ok(code)
}

/// Looks at all that was named, in the order of the options.
pub fn look(run: &Run, arguments: &Probe, judges: &Judges) -> Result<Vec<Report>, Failure> {
    let recipient = arguments.recipient.as_deref().unwrap_or(ELSEWHERE);
    let mut questions = Vec::new();
    for (service, hosts) in [
        (Service::Mx, &arguments.mx),
        (Service::Submission, &arguments.submission),
        (Service::Submissions, &arguments.submissions),
        (Service::Imap, &arguments.imap),
        (Service::Imaps, &arguments.imaps),
        (Service::Pop3, &arguments.pop3),
        (Service::Pop3s, &arguments.pop3s),
    ] {
        for host in hosts {
            let (host, port) = place(host, service.port())?;
            questions.push(Question {
                service,
                host,
                port,
                timeout: Duration::from_secs(arguments.timeout),
                recipient,
                judges,
                now: run.now,
            });
        }
    }
    Ok(questions.iter().map(services::look).collect())
}

/// The tables, a blank line between two.
pub fn text_of(reports: &[Report]) -> String {
    let tables: Vec<String> = reports.iter().map(Report::text).collect();
    tables.join("\n")
}

/// For programs.
pub fn json_of(reports: &[Report]) -> Vec<Value> {
    reports.iter().map(Report::json).collect()
}

/// The remedies, each once, and the sum of it.
pub fn close(run: &Run, reports: &[Report]) {
    if !run.printer.json {
        let mut told: Vec<&str> = Vec::new();
        for report in reports {
            let place = report.place();
            for check in &report.checks {
                let Some(hint) = check.hint.as_deref().filter(|hint| !told.contains(hint)) else {
                    continue;
                };
                // What is only worth knowing is not to be mended.
                if check.mark > Mark::Note {
                    run.printer.hint(&format!("{place} {}: {hint}", check.id));
                } else {
                    run.printer.note(&format!("{place} {}: {hint}", check.id));
                }
                told.push(hint);
            }
        }
    }
    run.printer.note(&services::tally(reports));
}

/// None of them could be connected to: that is no answer on what they are like.
fn nobody_answered(reports: &[Report]) -> Failure {
    let mut lines = Vec::new();
    let mut hint = None;
    for report in reports {
        for check in &report.checks {
            lines.push(format!("{}: {}", report.place(), check.seen));
            hint = hint.or_else(|| check.hint.clone());
        }
    }
    Failure::new(format!("cannot connect to {}", lines.join("\n"))).hint_of(hint)
}

/// `HOST`, `HOST:PORT`, `ADDRESS`, `[V6]` or `[V6]:PORT`. The name is made what DNS has.
pub fn place(text: &str, port: u16) -> Result<(String, u16), Failure> {
    let wrong = || {
        Failure::usage(format!("`{}` is no host", crate::printer::one_line(text)))
            .hint("write `mail.example.org`, `mail.example.org:587`, `192.0.2.1:25` or `[2001:db8::1]:25`")
    };
    let number = |text: &str| {
        let port = text.parse().ok().filter(|port| *port != 0);
        port.ok_or_else(wrong)
    };
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address.to_string(), port));
    }
    if let Some(inner) = text.strip_prefix('[') {
        let (address, behind) = inner.split_once(']').ok_or_else(wrong)?;
        let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
        let port = match behind.strip_prefix(':') {
            Some(digits) => number(digits)?,
            None if behind.is_empty() => port,
            None => return Err(wrong()),
        };
        return Ok((address.to_string(), port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) => (host, number(digits)?),
        None => (text, port),
    };
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok((address.to_string(), port));
    }
    // One label is a name of this network.
    let is_label = !host.is_empty()
        && host.len() <= 63
        && !host.starts_with('-')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && host.bytes().any(|b| b.is_ascii_alphabetic());
    if is_label {
        return Ok((host.to_ascii_lowercase(), port));
    }
    Ok((HostName::parse(host)?.to_string(), port))
}

/// By whom certificates are judged: the file named, or this system's list and the authority at hand.
pub fn judges(run: &Run, arguments: &Probe) -> Result<Judges, Failure> {
    if let Some(path) = &arguments.ca_file {
        let store = read(path)?;
        if store.is_empty() {
            return Err(Failure::new(format!(
                "there is no CA certificate in `{}`",
                path.display()
            ))
            .hint("give certificates in PEM, as /etc/ssl/certs/ca-certificates.crt has them"));
        }
        return Ok(Judges {
            store,
            source: Some(format!("`{}`", path.display())),
            own: None,
        });
    }
    let (store, source) = system_store()?;
    Ok(Judges {
        store,
        source,
        own: own(run)?,
    })
}

fn system_store() -> Result<(TrustStore, Option<String>), Failure> {
    let named = std::env::var_os(SSL_CERT_FILE).filter(|name| !name.is_empty());
    let path = match named {
        Some(path) => Some(PathBuf::from(path)),
        None => SYSTEM_STORES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file()),
    };
    let Some(path) = path else {
        return Ok((TrustStore::default(), None));
    };
    let store = read(&path)?;
    let source = (!store.is_empty()).then(|| format!("`{}`", path.display()));
    Ok((store, source))
}

fn read(path: &Path) -> Result<TrustStore, Failure> {
    Ok(TrustStore::from_pem(&disk::read(path, LONGEST_STORE)?))
}

/// The authority at hand. These services mostly have nothing to do with one: that there is none, or that several are to choose
/// from, is an error only where one was named.
pub fn authority(run: &Run) -> Result<Option<Home>, Failure> {
    let is_named = run.global.dir.is_some() || run.global.domain.is_some();
    match Home::look(&run.global, None) {
        Err(failure) if is_named => Err(failure),
        found => Ok(found.ok()),
    }
}

/// Its CAs. One that does not open is told, and everything else is judged all the same.
fn own(run: &Run) -> Result<Option<(String, Vec<Certificate>)>, Failure> {
    let Some(home) = authority(run)? else {
        return Ok(None);
    };
    let trusted = home
        .inventory_read_only()
        .and_then(|inventory| Authorities::of(&inventory));
    Ok(match trusted {
        Ok(authorities) => Some((home.settings.domain.to_string(), authorities.trusted())),
        Err(failure) => {
            run.printer.warning(&format!(
                "certificates of {} will not be known: {failure}",
                home.settings.domain
            ));
            None
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for (text, host, port) in [
            ("mail.example.org", "mail.example.org", 25),
            ("Mail.Example.org:587", "mail.example.org", 587),
            ("bücher.example", "xn--bcher-kva.example", 25),
            ("localhost:2525", "localhost", 2525),
            ("192.0.2.1", "192.0.2.1", 25),
            ("192.0.2.1:465", "192.0.2.1", 465),
            ("2001:db8::1", "2001:db8::1", 25),
            ("[2001:db8::1]", "2001:db8::1", 25),
            ("[2001:db8::1]:993", "2001:db8::1", 993),
        ] {
            assert_eq!(place(text, 25).unwrap(), (host.to_owned(), port), "{text}");
        }
        for bad in [
            "",
            ":25",
            "mail:",
            "mail:0",
            "mail:70000",
            "a b",
            "[mail]:25",
            "[::1",
            "-x",
            "https://mail",
            "a_b.c",
            "2001:db8::1:25:x",
            "8080",
        ] {
            assert_eq!(
                place(bad, 25).unwrap_err().code,
                crate::failure::USAGE,
                "{bad}"
            );
        }
    }
}
