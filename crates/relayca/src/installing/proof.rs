//! Proof that it works: the relay asked as a stranger and with a wrong certificate, or as the mail host that this is.
//!
//! In: the bundle, the host's key, where Postfix listens. Out: checks; a failure where it is not as it must be. It refuses to send
//! a message.

use std::time::{Duration, Instant};

use relayca_ca::{Certificate, HostName, PrivateKey};
use relayca_fingerprint::Digest;
use relayca_postfix::config::Config;
use relayca_probe::{Mode, Target, TlsClient, TlsVersions};
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::postfix::refuse_interrupted;
use crate::failure::Failure;
use crate::probing::asking::{Envelope, Outcome, Place, Stage, ask};
use crate::probing::credentials::{Credential, Fault, Forge};
use crate::probing::in_a_line;
use crate::probing::judging::{Judges, check, fault};
use crate::probing::relay::{Client, Question, Report, look};
use crate::probing::services::{Check, Mark};

/// For each conversation.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a reloaded Postfix may take until it answers as it should.
const SETTLES: Duration = Duration::from_secs(12);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Recipients in domains that nobody has (RFC 2606 section 3).
const FOREIGN: [&str; 2] = ["example.com", "example.net"];

/// What was asked, and what came of it.
#[derive(Debug)]
pub struct Proof {
    /// Whom.
    pub relay: String,
    /// One after the other.
    pub checks: Vec<Check>,
}

impl Proof {
    fn faults(&self) -> Option<String> {
        let faults: Vec<String> = self
            .checks
            .iter()
            .filter(|check| matches!(check.mark, Mark::Fault | Mark::Untried))
            .map(|check| format!("{}: {}", check.id, in_a_line(&check.seen)))
            .collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}

/// The relay on this host, after it was reloaded.
pub fn relay(
    bundle: &Bundle,
    certificate: &Certificate,
    config: &Config,
    now: OffsetDateTime,
) -> Result<Proof, Failure> {
    let start = Instant::now();
    let place = listening(bundle, config)?;
    loop {
        refuse_interrupted()?;
        let proof = look_at_relay(bundle, certificate, &place, now)?;
        match proof.faults() {
            None => return Ok(proof),
            Some(_) if start.elapsed() < SETTLES => std::thread::sleep(PAUSE),
            Some(faults) => {
                return Err(Failure::new(format!(
                    "the relay on {} is not as it must be: {faults}",
                    place.text()
                ))
                .hint("its mail log tells why; --no-probe leaves the proof out"));
            }
        }
    }
}

fn look_at_relay(
    bundle: &Bundle,
    certificate: &Certificate,
    place: &Place,
    now: OffsetDateTime,
) -> Result<Proof, Failure> {
    let name = HostName::parse(&bundle.host)?;
    let known = |leaf: &Certificate| {
        Some(if leaf.der() == certificate.der() {
            check("own", Mark::Good, format!("serial {}", leaf.serial()))
        } else {
            fault(
                "own",
                format!(
                    "it shows another certificate than the one in the bundle: {}",
                    leaf.serial()
                ),
            )
        })
    };
    let envelope = envelope(bundle);
    let report = look(&Question {
        place,
        judges: judges(bundle, Some(&name), now),
        known: &known,
        client: None,
        envelope: &envelope,
        send: None,
    });
    let mut checks = match report {
        Ok(report) => as_a_stranger(report),
        Err(error) => vec![fault("connection", error.to_string())],
    };
    if checks.iter().all(|check| check.mark != Mark::Fault) {
        checks.push(with_a_wrong_certificate(bundle, place, &envelope, now));
    }
    Ok(Proof {
        relay: place.text(),
        checks,
    })
}

/// Without a certificate it must not go on talking.
fn as_a_stranger(report: Report) -> Vec<Check> {
    let mut checks = report.checks;
    for check in &mut checks {
        if check.id == "client" && check.mark == Mark::Note {
            check.mark = Mark::Fault;
        }
    }
    checks
}

/// One that signed itself.
fn with_a_wrong_certificate(
    bundle: &Bundle,
    place: &Place,
    envelope: &Envelope,
    now: OffsetDateTime,
) -> Check {
    const ID: &str = "stranger";
    let shown = || -> Result<Outcome, String> {
        let ca = bundle.trust.first().ok_or("no CA is at hand")?;
        let forge = Forge {
            authority: None,
            ca,
            now,
        };
        let host =
            HostName::parse(&format!("stranger.{}", bundle.domain)).map_err(|e| e.to_string())?;
        let credential = forge.make(Fault::SelfSigned, &host, None)?;
        let client = TlsClient::new(Some(credential.identity()), TlsVersions::Both)
            .map_err(|error| error.to_string())?;
        Ok(ask(place, &client, envelope).0)
    };
    match shown() {
        Ok(Outcome::Refused {
            stage: Stage::Handshake | Stage::InTls | Stage::Mail | Stage::Rcpt,
            code,
            text,
        }) => {
            let code = code.map(|code| format!("{code} ")).unwrap_or_default();
            check(
                ID,
                Mark::Good,
                format!(
                    "refused, as it must be, with a certificate that signed itself: {code}{text}"
                ),
            )
        }
        Ok(Outcome::Taken { .. }) => {
            fault(ID, "it would relay for a certificate that signed itself")
        }
        Ok(Outcome::Refused { text, .. }) => fault(ID, text),
        Ok(Outcome::Untried { why, .. }) => check(ID, Mark::Untried, why),
        Err(why) => check(ID, Mark::Untried, why),
    }
}

/// The relays that a mail host is told of, asked with its own certificate up to RCPT. One must take it; what others say is told.
pub fn mail_host(
    bundle: &Bundle,
    certificate: &Certificate,
    key: &PrivateKey,
    now: OffsetDateTime,
) -> Result<Vec<Proof>, Failure> {
    let credential = Credential::new(certificate.clone(), key, &[]);
    let mut proofs = Vec::new();
    for place in next_hops(bundle)? {
        refuse_interrupted()?;
        proofs.push(ask_as_mail_host(bundle, &credential, &place, now)?);
    }
    if proofs.iter().any(|proof| proof.faults().is_none()) {
        return Ok(proofs);
    }
    let told: Vec<String> = proofs
        .iter()
        .filter_map(|proof| Some(format!("{}: {}", proof.relay, proof.faults()?)))
        .collect();
    Err(Failure::new(format!(
        "no relay takes mail of {}: {}",
        bundle.host,
        told.join("; ")
    ))
    .hint(
        "the relay first: it needs the list with this host in it; --no-probe leaves the proof out",
    ))
}

fn ask_as_mail_host(
    bundle: &Bundle,
    credential: &Credential,
    place: &Place,
    now: OffsetDateTime,
) -> Result<Proof, Failure> {
    let name = place.name.as_deref().map(HostName::parse).transpose()?;
    let envelope = envelope(bundle);
    let report = look(&Question {
        place,
        judges: judges(bundle, name.as_ref(), now),
        known: &|_| None,
        client: Some(Client {
            credential,
            listed: None,
        }),
        envelope: &envelope,
        send: None,
    });
    let checks = match report {
        Ok(report) => report.checks,
        Err(error) => vec![fault("connection", error.to_string())],
    };
    Ok(Proof {
        relay: place.text(),
        checks,
    })
}

fn judges<'a>(bundle: &'a Bundle, name: Option<&'a HostName>, now: OffsetDateTime) -> Judges<'a> {
    Judges {
        authorities: &bundle.trust,
        name,
        digest: Digest::Sha256,
        now,
    }
}

/// From nobody, as bounces are, because any host may send those; to somebody elsewhere.
fn envelope(bundle: &Bundle) -> Envelope {
    let domain = FOREIGN
        .iter()
        .find(|domain| **domain != bundle.domain)
        .unwrap_or(&FOREIGN[0]);
    Envelope {
        sender: String::new(),
        recipient: format!("postmaster@{domain}"),
    }
}

/// Where the relay's service listens, seen from here.
fn listening(bundle: &Bundle, config: &Config) -> Result<Place, Failure> {
    let service = bundle
        .wanted
        .services
        .iter()
        .find(|service| service.is_smtpd());
    let label = service
        .map(|service| service.label.as_str())
        .unwrap_or_default();
    let name = label.strip_suffix("/inet").unwrap_or(label);
    let (host, port) = name.rsplit_once(':').unwrap_or(("", name));
    let port = port
        .parse()
        .map_err(|_| Failure::new(format!("`{label}` names no port")))?;
    let interfaces = config.main_scope().list("inet_interfaces");
    let protocols = config.main_scope().list("inet_protocols");
    let usual = if protocols.iter().all(|protocol| protocol == "ipv6") && !protocols.is_empty() {
        "::1"
    } else {
        "127.0.0.1"
    };
    let host = match (host, interfaces.first().map(String::as_str)) {
        ("", None | Some("all" | "loopback-only" | "localhost")) => usual.to_owned(),
        ("", Some(first)) if interfaces.iter().any(|one| one == usual) || first.is_empty() => {
            usual.to_owned()
        }
        ("", Some(first)) => first.trim_matches(['[', ']']).to_owned(),
        (host, _) => host.trim_matches(['[', ']']).to_owned(),
    };
    let implicit =
        service.and_then(|service| service.option("smtpd_tls_wrappermode")) == Some("yes");
    Ok(place(host, port, implicit, Some(bundle.host.clone())))
}

fn place(host: String, port: u16, implicit: bool, name: Option<String>) -> Place {
    Place {
        target: Target {
            host,
            port,
            mode: if implicit {
                Mode::Implicit
            } else {
                Mode::StartTls
            },
        },
        name,
        timeout: PATIENCE,
    }
}

/// The next hops that the mail host is told of: `relayca:[one]:2500, [two]:2500`.
pub fn next_hops(bundle: &Bundle) -> Result<Vec<Place>, Failure> {
    let wanted = &bundle.wanted;
    let value = match wanted.value("default_transport") {
        Some(value) if value.contains('[') => value.split_once(':').map_or(value, |(_, rest)| rest),
        _ => wanted.value("relayhost").unwrap_or_default(),
    };
    let implicit = wanted.value("smtp_tls_wrappermode") == Some("yes");
    let matched = wanted
        .value("smtp_tls_secure_cert_match")
        .unwrap_or("nexthop");
    let hops: Vec<(String, u16)> = value
        .split(',')
        .filter_map(|hop| next_hop(hop.trim()))
        .collect();
    if hops.is_empty() {
        return Err(
            Failure::new(format!("`{value}` names no relay; nothing was changed"))
                .hint("--no-probe leaves the proof out"),
        );
    }
    Ok(hops
        .into_iter()
        .map(|(host, port)| {
            // One name for all, or else each has the name by which it is reached.
            let name = if matched == "nexthop" || matched.contains([',', ':']) {
                HostName::parse(&host).ok().map(|name| name.to_string())
            } else {
                Some(matched.to_owned())
            };
            place(host, port, implicit, name)
        })
        .collect())
}

fn next_hop(text: &str) -> Option<(String, u16)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = rest.strip_prefix(':').map_or(Ok(25), str::parse).ok()?;
    let host = host.strip_prefix("ipv6:").unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_are_read_as_postfix_writes_them() {
        let read = |text| next_hop(text);
        assert_eq!(
            read("[a.example.org]:2500"),
            Some(("a.example.org".into(), 2500))
        );
        assert_eq!(
            read("[ipv6:2001:db8::1]:25"),
            Some(("2001:db8::1".into(), 25))
        );
        assert_eq!(read("[192.0.2.1]"), Some(("192.0.2.1".into(), 25)));
        assert_eq!(
            read("a.example.org:2500"),
            Some(("a.example.org".into(), 2500))
        );
        assert_eq!(read("[a]:x"), None);
    }
}
