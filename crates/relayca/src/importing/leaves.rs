//! What becomes of each certificate that the CA signed.
//!
//! In: what was found, the CA, the domain, what the user says of hosts. Out: the certificates to enter, each with its host, role
//! and state, and those left out, with the reason and the way to a fresh one. It refuses to know keys and the inventory.
//!
//! Nobody is let in by a guess: a certificate that does not say what it is for, and that nothing vouches for, is entered as
//! history and not listed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use relayca_ca::{AltName, Certificate, Domain, HostName, Reason, Role, Serial};
use time::OffsetDateTime;

use super::contents::{Contents, FoundCertificate};
use super::evidence::Evidence;
use super::source::{SourceCa, is_authority};
use crate::failure::Failure;
use crate::hosts::HostRequest;
use crate::settings::Relay;

/// What the user says of hosts.
#[derive(Debug)]
pub struct Said {
    /// `--relay`.
    pub relays: Vec<Relay>,
    /// `--mailhost`.
    pub mail_hosts: BTreeSet<HostName>,
}

/// What becomes of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// In use.
    Live,
    /// Kept as history and not listed, for this reason.
    NotListed(String),
    /// Revoked then, and why.
    Revoked(OffsetDateTime, Reason),
}

/// A certificate that is entered.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// The certificate and its files.
    pub found: &'a FoundCertificate,
    /// Whose it is.
    pub host: HostName,
    /// What it is for.
    pub role: Role,
    /// What becomes of it.
    pub fate: Fate,
}

impl Leaf<'_> {
    /// Whether it is in use and valid now.
    pub fn at_work(&self, now: OffsetDateTime) -> bool {
        self.fate == Fate::Live && valid(&self.found.certificate, now)
    }
}

/// A certificate that is left out.
#[derive(Debug)]
pub struct LeftOut<'a> {
    /// The certificate and its files.
    pub found: &'a FoundCertificate,
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

/// All certificates of the tree, sorted.
#[derive(Debug, Default)]
pub struct Leaves<'a> {
    /// Those that are entered, by host, then by their end.
    pub entered: Vec<Leaf<'a>>,
    /// Those that are left out.
    pub left_out: Vec<LeftOut<'a>>,
    /// Lines of the old map that fit no certificate here: files, fingerprints and hosts.
    pub strangers: Vec<(String, String, String)>,
    /// Serials and subjects that the index has as issued and valid, and no file holds.
    pub lost: Vec<(Serial, String)>,
    /// The same that it has as revoked.
    pub lost_revoked: Vec<(Serial, String)>,
}

/// The full host names in what the CA signed, for finding the domain.
pub fn hosts(contents: &Contents, source: &SourceCa) -> BTreeSet<HostName> {
    signed(contents, source)
        .flat_map(|found| {
            let certificate = &found.certificate;
            let dns = certificate
                .alt_names()
                .iter()
                .filter_map(|name| match name {
                    AltName::Dns(host) => Some(host.clone()),
                    AltName::Ip(_) => None,
                });
            let common = certificate
                .common_name()
                .and_then(|name| HostName::parse(name).ok());
            dns.chain(common).collect::<Vec<_>>()
        })
        .collect()
}

fn signed<'a>(
    contents: &'a Contents,
    source: &SourceCa,
) -> impl Iterator<Item = &'a FoundCertificate> {
    let ca = source.authority.certificate();
    contents
        .certificates
        .iter()
        .filter(move |found| !is_authority(&found.certificate) && found.certificate.issuer_is(ca))
}

/// Sorts them.
pub fn sort<'a>(
    contents: &'a Contents,
    source: &SourceCa,
    domain: &Domain,
    said: &Said,
    now: OffsetDateTime,
) -> Result<Leaves<'a>, Failure> {
    let ca = source.authority.certificate();
    let mut leaves = Leaves::default();
    let mut own = Vec::new();
    for found in &contents.certificates {
        let certificate = &found.certificate;
        if certificate == ca {
            continue;
        }
        match not_ours(certificate, ca) {
            Some((why, remedy)) => leaves.left_out.push(LeftOut { found, why, remedy }),
            None => own.push(found),
        }
    }
    let evidence = Evidence::of(contents, source, &own);
    leaves.strangers = evidence.strangers(contents);
    // Of two with one serial the first is entered: what the relay lists, what is valid, what is newer.
    own.sort_by_key(|found| {
        let certificate = &found.certificate;
        std::cmp::Reverse((
            evidence.lists(certificate),
            valid(certificate, now),
            certificate.not_before(),
            certificate.der().to_vec(),
        ))
    });
    let mut serials: HashMap<&Serial, &FoundCertificate> = HashMap::new();
    for found in own {
        let certificate = &found.certificate;
        let named = name_of(certificate, domain, said);
        if certificate.serial() == ca.serial() || serials.contains_key(certificate.serial()) {
            leaves
                .left_out
                .push(taken(found, &named, serials.get(certificate.serial())));
            continue;
        }
        let revoked = evidence.revoked.get(certificate.serial()).copied();
        match (named, revoked) {
            (Named::Host(host), revoked) => {
                let (role, fate) = evidence.judge(certificate, &host, said);
                let fate = match revoked {
                    Some((at, reason)) => Fate::Revoked(at, reason),
                    None => fate,
                };
                leaves.entered.push(Leaf {
                    found,
                    host,
                    role,
                    fate,
                });
            }
            // Whoever it was, the next revocation list must have it.
            (named, Some((at, reason))) => leaves.entered.push(Leaf {
                found,
                host: stand_in(&named, certificate, domain)?,
                role: certificate.role().unwrap_or(Role::MailHost),
                fate: Fate::Revoked(at, reason),
            }),
            (named, None) => {
                leaves.left_out.push(outside(found, &named, domain));
                continue;
            }
        }
        serials.insert(certificate.serial(), found);
    }
    one_role_each(&mut leaves.entered, said, now);
    one_host_a_key(&mut leaves.entered);
    no_revoked_key(&mut leaves.entered);
    let known: HashSet<&Serial> = contents
        .certificates
        .iter()
        .map(|found| found.certificate.serial())
        .collect();
    for line in &contents.index {
        if known.contains(&line.serial) || line.expires < now {
            continue;
        }
        let lost = (line.serial.clone(), line.subject.clone());
        match line.revoked {
            Some(_) => leaves.lost_revoked.push(lost),
            None => leaves.lost.push(lost),
        }
    }
    leaves.entered.sort_by(|one, other| {
        let key = |leaf: &Leaf<'_>| (leaf.host.clone(), leaf.found.certificate.not_after());
        key(one).cmp(&key(other))
    });
    Ok(leaves)
}

fn valid(certificate: &Certificate, now: OffsetDateTime) -> bool {
    certificate.not_before() <= now && now <= certificate.not_after()
}

/// Why a certificate is none that this CA gave a host.
fn not_ours(certificate: &Certificate, ca: &Certificate) -> Option<(String, String)> {
    let gone = |why: &str, remedy: &str| Some((why.to_owned(), remedy.to_owned()));
    if is_authority(certificate) {
        return if certificate.spki_der() == ca.spki_der() {
            gone(
                "it is another certificate of the same CA",
                "nothing: the one taken over is valid longest",
            )
        } else {
            gone(
                "it is another CA's",
                "import that one by itself, if it is wanted",
            )
        };
    }
    if !certificate.issuer_is(ca) {
        return if certificate.issuer() == ca.subject() {
            gone(
                "it names this CA as its issuer, but the signature is not by the CA's key, or by a method that cannot be checked here (MD5, ECDSA with SHA-512)",
                "`relayca issue HOST` gives its host a certificate of this CA",
            )
        } else {
            gone(
                "another CA signed it",
                "`relayca issue HOST` gives its host a certificate of this CA",
            )
        };
    }
    if certificate.spki_der() == ca.spki_der() {
        return gone(
            "its key is the CA's own key",
            "`relayca issue HOST` gives its host a key of its own; the CA's key is on that host: `relayca rollover prepare`",
        );
    }
    None
}

/// Whom a certificate names.
enum Named {
    /// A host of the domain, or a relay that the user named.
    Host(HostName),
    /// A host elsewhere.
    Outside(HostName),
    /// Something else.
    Nobody,
}

fn name_of(certificate: &Certificate, domain: &Domain, said: &Said) -> Named {
    let full = |text: &str| HostName::parse(text).ok();
    let common = certificate.common_name();
    let mut names: Vec<HostName> = common.and_then(full).into_iter().collect();
    for name in certificate.alt_names() {
        match name {
            AltName::Dns(host) => names.push(host.clone()),
            AltName::Ip(_) => {
                if let Some(relay) = said.relays.iter().find(|one| one.destination == *name) {
                    return Named::Host(relay.name.clone());
                }
            }
        }
    }
    let ours = |host: &&HostName| {
        domain.contains(host) || said.relays.iter().any(|relay| relay.name == **host)
    };
    // Names of files are made of it.
    let fits = |host: &&HostName| HostRequest::parse(host.as_str(), domain, false).is_ok();
    if let Some(host) = names.iter().filter(fits).find(ours) {
        return Named::Host(host.clone());
    }
    if let Some(host) = names.into_iter().next() {
        return Named::Outside(host);
    }
    match common.and_then(|label| HostName::in_domain(label, domain).ok()) {
        Some(host) if fits(&&host) => Named::Host(host),
        _ => Named::Nobody,
    }
}

/// Under what name a revoked certificate is kept that names no host of ours.
fn stand_in(
    named: &Named,
    certificate: &Certificate,
    domain: &Domain,
) -> Result<HostName, Failure> {
    match named {
        Named::Host(host) | Named::Outside(host) => Ok(host.clone()),
        Named::Nobody => Ok(HostName::in_domain(
            &format!("serial-{}", certificate.serial()),
            domain,
        )?),
    }
}

fn taken<'a>(
    found: &'a FoundCertificate,
    named: &Named,
    first: Option<&&FoundCertificate>,
) -> LeftOut<'a> {
    let serial = found.certificate.serial();
    let whose = match first {
        Some(first) => format!(
            "`{}`",
            crate::printer::one_line(first.files.first().map_or("", String::as_str))
        ),
        None => "the CA's own certificate".to_owned(),
    };
    let host = match named {
        Named::Host(host) | Named::Outside(host) => host.as_str(),
        Named::Nobody => "HOST",
    };
    LeftOut {
        found,
        why: format!("its serial {serial} is that of {whose} too"),
        remedy: format!("`relayca issue {host}` gives it a certificate with a serial of its own"),
    }
}

fn outside<'a>(found: &'a FoundCertificate, named: &Named, domain: &Domain) -> LeftOut<'a> {
    match named {
        Named::Host(host) | Named::Outside(host) => LeftOut {
            found,
            why: format!("`{host}` lies outside `{domain}`"),
            remedy: format!(
                "if it is a relay, import with `--relay {host}`; an authority certifies one domain and its relays"
            ),
        },
        Named::Nobody => LeftOut {
            found,
            why: "it names no host".to_owned(),
            remedy: "`relayca issue HOST` gives its host a certificate with a name".to_owned(),
        },
    }
}

/// A host is a mail host or a relay: what it uses today decides, and certificates of the other kind are history.
fn one_role_each(leaves: &mut [Leaf<'_>], said: &Said, now: OffsetDateTime) {
    let mut newest: BTreeMap<HostName, (bool, OffsetDateTime, Role)> = BTreeMap::new();
    for leaf in leaves.iter().filter(|leaf| leaf.fate == Fate::Live) {
        let certificate = &leaf.found.certificate;
        let this = (valid(certificate, now), certificate.not_after(), leaf.role);
        let best = newest.entry(leaf.host.clone()).or_insert(this);
        if (this.0, this.1) > (best.0, best.1) {
            *best = this;
        }
    }
    for leaf in leaves.iter_mut().filter(|leaf| leaf.fate == Fate::Live) {
        let role = if said.relays.iter().any(|relay| relay.name == leaf.host) {
            Role::Relay
        } else if said.mail_hosts.contains(&leaf.host) {
            Role::MailHost
        } else {
            match newest.get(&leaf.host) {
                Some((.., role)) => *role,
                None => continue,
            }
        };
        if leaf.role != role {
            leaf.fate = Fate::NotListed(format!(
                "it is a {}'s certificate, and this host is a {role}",
                leaf.role
            ));
        }
    }
}

/// A map names one host to a key. Where two share one, the first keeps it.
fn one_host_a_key(leaves: &mut [Leaf<'_>]) {
    let mut whose: HashMap<Vec<u8>, HostName> = HashMap::new();
    for leaf in leaves.iter_mut() {
        if leaf.fate != Fate::Live || leaf.role != Role::MailHost {
            continue;
        }
        let key = leaf.found.certificate.spki_der().to_vec();
        let first = whose.entry(key).or_insert_with(|| leaf.host.clone());
        if *first != leaf.host {
            leaf.fate = Fate::NotListed(format!("its key is that of `{first}` too"));
        }
    }
}

/// A key that was revoked with one certificate does not come back with another. Where that one was only superseded, it may.
fn no_revoked_key(leaves: &mut [Leaf<'_>]) {
    let revoked: HashMap<Vec<u8>, (String, Reason)> = leaves
        .iter()
        .filter_map(|leaf| match leaf.fate {
            Fate::Revoked(_, reason) if reason != Reason::Superseded => {
                let certificate = &leaf.found.certificate;
                let serial = certificate.serial().to_string();
                Some((certificate.spki_der().to_vec(), (serial, reason)))
            }
            _ => None,
        })
        .collect();
    for leaf in leaves.iter_mut().filter(|leaf| leaf.fate == Fate::Live) {
        if let Some((serial, reason)) = revoked.get(leaf.found.certificate.spki_der()) {
            leaf.fate = Fate::NotListed(format!(
                "its key was revoked with serial {serial} ({reason})"
            ));
        }
    }
}
