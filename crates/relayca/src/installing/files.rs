//! The files of a bundle, as they go into CONFIG/relayca.
//!
//! In: the bundle, what lies there, what an earlier installation wrote. Out: changes, and the record of them. It refuses to replace
//! what is not relayca's.

use std::collections::BTreeSet;

use relayca_bundle::CHECKSUMS_NAME;
use relayca_ca::{Certificate, PrivateKey};
use relayca_postfix::{ACCESS_MAP, CLIENT_MAP, authority_file, certificate_file, key_file};
use zeroize::Zeroizing;

use super::age::{self, Allowed};
use super::bundle::Bundle;
use super::changes::{Change, Found, NewFile, found};
use super::digest;
use super::place::Place;
use super::record::{File, Installation};
use crate::failure::Failure;

/// root:root.
pub const ROOT: (u32, u32) = (0, 0);

/// What becomes of the files.
#[derive(Debug, Default)]
pub struct Planned {
    /// To be done.
    pub changes: Vec<Change>,
    /// For the record.
    pub files: Vec<File>,
    /// Hosts that may relay from now on.
    pub listed: Vec<String>,
    /// Hosts that may relay no more.
    pub unlisted: Vec<String>,
}

/// Thinks it out.
pub fn plan(
    place: &Place,
    bundle: &Bundle,
    old: Option<&Installation>,
    others: &[&Installation],
    allowed: Allowed,
) -> Result<Planned, Failure> {
    refuse_shared_map(bundle, others)?;
    age::refuse(place, bundle, allowed)?;
    let mut planned = Planned::default();
    for entry in &bundle.entries {
        planned.add(
            place,
            bundle,
            (old, others),
            (&entry.name, &entry.content, entry.mode),
        )?;
    }
    let list = place.files.join(CLIENT_MAP);
    if let Some(change) = planned.changes.iter().find(|change| change.path == list) {
        let was = hosts(change.was.as_ref().map(|was| was.as_slice()));
        let new = hosts(bundle.content(CLIENT_MAP));
        planned.listed = new.difference(&was).cloned().collect();
        planned.unlisted = was.difference(&new).cloned().collect();
    }
    if let (Some(map), None) = (bundle.content(CLIENT_MAP), bundle.content(ACCESS_MAP)) {
        // Nobody is bound to senders. A service that looks there since somebody was gets the same list.
        let path = place.files.join(ACCESS_MAP);
        if found(&path)?.is_some() {
            let text = unbound(map);
            planned.add(
                place,
                bundle,
                (old, others),
                (ACCESS_MAP, text.as_bytes(), 0o644),
            )?;
        }
    }
    // Of an earlier bundle, and not in this one: a public bundle has no key.
    for file in old.iter().flat_map(|old| &old.files) {
        if !planned.files.iter().any(|one| one.name == file.name) {
            planned.files.push(file.clone());
        }
    }
    planned
        .files
        .sort_by(|one, other| one.name.cmp(&other.name));
    Ok(planned)
}

impl Planned {
    fn add(
        &mut self,
        place: &Place,
        bundle: &Bundle,
        (old, others): (Option<&Installation>, &[&Installation]),
        (name, content, mode): (&str, &[u8], u32),
    ) -> Result<(), Failure> {
        let path = place.files.join(name);
        // INSTALL.txt, SHA256SUMS and the CA certificates may be of two hosts.
        let recorded = old
            .iter()
            .chain(others)
            .find_map(|one| one.files.iter().find(|file| file.name == name));
        let there = found(&path)?;
        let mut record = File {
            name: name.to_owned(),
            sha256: digest(content),
            kept: recorded.is_some_and(|file| file.kept),
            was: recorded.and_then(|file| file.was.clone()),
            before: recorded.and_then(|file| file.before.clone()),
        };
        let same = match &there {
            None => false,
            Some(there) if *there.content == *content => {
                record.kept |= recorded.is_none();
                there.mode == mode && there.owner == ROOT
            }
            Some(there) => {
                let ours = recorded.is_some_and(|file| file.sha256 == digest(&there.content));
                if !ours && name == key_file(&bundle.host) {
                    if recorded.is_some() || !is_old_key(place, bundle, there)? {
                        return Err(foreign_key(&path, bundle));
                    }
                    record.before = Some(self.keep_key(place, name, there)?);
                } else if !ours {
                    let text = adopted(bundle, name, there).ok_or_else(|| foreign(&path))?;
                    if recorded.is_none() {
                        record.was = Some(text);
                    }
                }
                record.kept = false;
                false
            }
        };
        if !same {
            self.changes.push(Change {
                path,
                was: there.map(|there| there.content),
                becomes: Some(NewFile {
                    content: Zeroizing::new(content.to_vec()),
                    mode,
                    owner: ROOT,
                }),
            });
        }
        self.files.push(record);
        Ok(())
    }

    /// The key that is replaced, for the way back; the record holds none. Gives its name.
    fn keep_key(&mut self, place: &Place, name: &str, there: &Found) -> Result<String, Failure> {
        let before = format!(".{name}.before");
        let path = place.files.join(&before);
        self.changes.push(Change {
            was: found(&path)?.map(|left| left.content),
            path,
            becomes: Some(NewFile {
                content: Zeroizing::new(there.content.to_vec()),
                mode: there.mode,
                owner: there.owner,
            }),
        });
        Ok(before)
    }
}

/// The key of an earlier bundle, put there by hand or by `deploy`: a private file, beside a certificate of this host from a CA that
/// lies there too. Any other key is somebody's.
fn is_old_key(place: &Place, bundle: &Bundle, there: &Found) -> Result<bool, Failure> {
    fn text(found: &Found) -> Option<&str> {
        std::str::from_utf8(&found.content).ok()
    }
    let certificate = found(&bundle.certificate_path(place))?
        .and_then(|found| Certificate::from_pem(text(&found)?).ok());
    let trust = found(&place.files.join(authority_file(&bundle.domain)))?
        .and_then(|found| Certificate::all_from_pem(text(&found)?).ok())
        .unwrap_or_default();
    let key = text(there).and_then(|text| PrivateKey::from_pem(text).ok());
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Ok(false);
    };
    Ok(there.owner == ROOT
        && there.mode == 0o600
        && names(&certificate, &bundle.host)
        && certificate.role() == Some(bundle.role)
        && certificate.spki_der() == key.spki_der()
        && trust
            .iter()
            .any(|ca| ca.is_ca() && certificate.issuer_is(ca)))
}

fn foreign_key(path: &std::path::Path, bundle: &Bundle) -> Failure {
    foreign(path).hint(format!(
        "it is replaced only where it is root's alone (0600) and {} beside it is its certificate, issued by {}: look at it and move it away",
        certificate_file(&bundle.host),
        authority_file(&bundle.domain)
    ))
}

/// Who is in a list.
fn hosts(list: Option<&[u8]>) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(list.unwrap_or_default());
    let pairs = relayca_fingerprint::parse_text(&text).unwrap_or_default();
    pairs.into_iter().map(|(_, host)| host).collect()
}

/// Two relays of one domain have one list; those of two domains cannot both have the file.
fn refuse_shared_map(bundle: &Bundle, others: &[&Installation]) -> Result<(), Failure> {
    let has_map = |one: &Installation| one.files.iter().any(|file| file.name == CLIENT_MAP);
    let other = others
        .iter()
        .find(|one| one.domain != bundle.domain && has_map(one));
    match other {
        Some(other) if bundle.content(CLIENT_MAP).is_some() => Err(Failure::new(format!(
            "`{CLIENT_MAP}` here is the list of {}, and {} would put another one in its place; nothing was changed",
            other.host, bundle.host
        ))
        .hint("the relays of two domains need two Postfix instances (postmulti(1)): name the other one in relayca.toml (`config-directory`), and make the bundle anew")),
        _ => Ok(()),
    }
}

/// The list of who may relay, with any sender.
fn unbound(map: &[u8]) -> String {
    let mut text = String::new();
    for line in String::from_utf8_lossy(map).lines() {
        let mut words = line.split_whitespace();
        if let (Some(fingerprint), Some(_), None) = (words.next(), words.next(), words.next())
            && !fingerprint.starts_with('#')
        {
            text.push_str(&format!("{fingerprint} OK\n"));
        }
    }
    text
}

fn foreign(path: &std::path::Path) -> Failure {
    Failure::new(format!(
        "`{}` is there already and is not what relayca put there; nothing was changed",
        path.display()
    ))
    .hint("look at it and move it away")
}

/// A public file that was unpacked or pasted by hand, and so may be replaced: its text, for the way back.
fn adopted(bundle: &Bundle, name: &str, there: &Found) -> Option<String> {
    let text = std::str::from_utf8(&there.content).ok()?;
    let host = &bundle.host;
    let ours = if name == certificate_file(host) {
        Certificate::from_pem(text).is_ok_and(|there| names(&there, host))
    } else if name == authority_file(&bundle.domain) {
        Certificate::all_from_pem(text)
            .is_ok_and(|all| !all.is_empty() && all.iter().all(Certificate::is_ca))
    } else if name == CLIENT_MAP || name == ACCESS_MAP {
        is_map(text)
    } else if name == CHECKSUMS_NAME {
        text.lines().all(|line| {
            line.split_once("  ")
                .is_some_and(|(sum, name)| sum.len() == 64 && !name.contains('/'))
        })
    } else if name == "INSTALL.txt" {
        text.starts_with("relayca: ")
    } else if name.ends_with(".snippet.sh") {
        text.starts_with("# relayca: ")
    } else {
        text.starts_with("# BEGIN relayca ")
    };
    ours.then(|| text.to_owned())
}

fn names(certificate: &Certificate, host: &str) -> bool {
    certificate
        .alt_names()
        .iter()
        .any(|name| name.to_string() == host)
}

/// Fingerprints and hosts, or classes, and comments.
fn is_map(text: &str) -> bool {
    text.lines().all(|line| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (None, _, _) => true,
            (Some(first), _, _) if first.starts_with('#') => true,
            (Some(first), Some(_), None) => {
                first.len() >= 47
                    && first
                        .split(':')
                        .all(|pair| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok())
            }
            _ => false,
        }
    })
}
