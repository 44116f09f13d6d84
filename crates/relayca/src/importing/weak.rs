//! What is weak in what was taken over, and what to do about it.
//!
//! In: what was found and what becomes of it. Out: weaknesses with their remedies, each kind once. It refuses to mend anything.

use std::collections::{BTreeMap, BTreeSet};

use relayca_ca::{Certificate, Role};
use relayca_fingerprint::Digest;
use time::{Duration, OffsetDateTime};

use super::contents::Contents;
use super::leaves::{Fate, Leaf, Leaves};
use super::source::{SourceCa, base_name};
use crate::dates;

/// A CA that ends sooner cuts its certificates short.
const SOON: Duration = Duration::days(365);
/// Of a host's certificate, what is worth a word: the rest follows from these, or is a matter of style.
const OF_LEAVES: [&str; 10] = [
    "version",
    "no-alt-name",
    "no-purpose",
    "signature-algorithm",
    "key-type",
    "key-usage-signs",
    "serial-zero",
    "extension-unknown",
    "extension-repeated",
    "leaf-constraints",
];
/// Of a CA's, what is not.
const NOT_OF_THE_CA: [&str; 1] = ["serial-short"];

/// Something weak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weakness {
    /// A short name for programs.
    pub code: String,
    /// What.
    pub what: String,
    /// Which hosts, files or serials.
    pub about: Vec<String>,
    /// What to do.
    pub remedy: String,
}

/// Weaknesses by code; a later one of the same code adds to whom it concerns.
#[derive(Default)]
struct List(Vec<Weakness>);

impl List {
    fn add(&mut self, code: &str, about: impl Into<String>, what: &str, remedy: &str) {
        let about = about.into();
        match self.0.iter_mut().find(|one| one.code == code) {
            Some(known) if known.about.contains(&about) => {}
            Some(known) => known.about.push(about),
            None => self.0.push(Weakness {
                code: code.to_owned(),
                what: what.to_owned(),
                about: vec![about],
                remedy: remedy.to_owned(),
            }),
        }
    }
}

/// Names them: those of the CA first.
pub fn find(
    contents: &Contents,
    source: &SourceCa,
    leaves: &Leaves<'_>,
    domain: &str,
    now: OffsetDateTime,
) -> Vec<Weakness> {
    let mut list = List::default();
    of_the_ca(&mut list, source, domain, now);
    of_the_ca_key(&mut list, contents, source, leaves);
    of_host_keys(&mut list, contents, source, leaves);
    for leaf in &leaves.entered {
        of_a_leaf(&mut list, leaf, leaves, now);
    }
    of_the_old_map(&mut list, contents, leaves);
    for file in contents.swapped() {
        list.add(
            "swapped-names",
            file,
            "a key is called a certificate, or a certificate a key: Postfix told by such names turns TLS off",
            "nothing here: relayca goes by the content; look at what the hosts have",
        );
    }
    for (serial, subject) in &leaves.lost {
        list.add(
            "certificate-missing",
            format!("serial {serial} ({subject})"),
            "the index lists certificates whose files are not here: they are good, and unknown to relayca",
            "find them and import again, or replace the CA (`relayca rollover prepare`): a list of relayca's does not let them in",
        );
    }
    for (serial, subject) in &leaves.lost_revoked {
        list.add(
            "revoked-missing",
            format!("serial {serial} ({subject})"),
            "the index lists revoked certificates whose files are not here: of them `relayca crl` lists those alone that the newest revocation list here has",
            "find them and import again, or replace the CA (`relayca rollover prepare`)",
        );
    }
    // Where there is an index, it says all that a list says.
    let odd_lists = contents.odd_lists.iter();
    for (file, why) in odd_lists.filter(|_| contents.indexes.is_empty()) {
        list.add(
            "revocation-list",
            format!("{file} ({why})"),
            "a revocation list cannot be read as one of this CA; what only it revokes is not known here",
            "compare it with `relayca list --all` (`openssl crl -text -noout -in FILE`) and `relayca revoke SERIAL` what is missing",
        );
    }
    for one in &mut list.0 {
        one.about.sort();
    }
    list.0
}

fn of_the_ca(list: &mut List, source: &SourceCa, domain: &str, now: OffsetDateTime) {
    let ca = source.authority.certificate();
    for finding in relayca_ca::weaknesses(ca) {
        let remedy = match finding.code {
            code if NOT_OF_THE_CA.contains(&code) => continue,
            "authority-unconstrained" => format!(
                "relayca keeps it to {domain} and the relays in relayca.toml; who has its key is not kept: `relayca rollover prepare` makes a CA that is"
            ),
            _ => "`relayca rollover prepare` begins with a CA of today".to_owned(),
        };
        list.add(
            &format!("ca-{}", finding.code.trim_start_matches("authority-")),
            "the CA",
            &finding.message,
            &remedy,
        );
    }
    if ca.not_after() < now + SOON {
        list.add(
            "ca-expires",
            "the CA",
            &format!(
                "it expires on {}, and all that it signed with it",
                dates::day(ca.not_after())
            ),
            "`relayca rollover prepare` begins with a new CA while mail flows",
        );
    }
}

fn of_the_ca_key(list: &mut List, contents: &Contents, source: &SourceCa, leaves: &Leaves<'_>) {
    for file in &source.clear_key_files {
        list.add(
            "ca-key-clear",
            file.as_str(),
            "the CA key lies in the clear: whoever reads the file can let anybody in",
            "take the file away once the authority is backed up, from copies too; if others could read it: `relayca rollover prepare`",
        );
    }
    let host_files: BTreeSet<&str> = leaves
        .entered
        .iter()
        .flat_map(|leaf| leaf.found.files.iter())
        .chain(
            leaves
                .left_out
                .iter()
                .flat_map(|left| left.found.files.iter()),
        )
        .map(String::as_str)
        .chain(
            contents
                .keys
                .iter()
                .map(|key| key.file.as_str())
                .filter(|file| !source.key_files.iter().any(|own| own == file)),
        )
        .map(directory)
        .collect();
    for file in &source.key_files {
        let place = directory(file);
        // `pki/private` of easy-rsa: kept together on purpose, and not what is sent to hosts.
        let kept = !contents.indexes.is_empty() && base_name(place) == "private";
        if host_files.contains(place) && !kept {
            list.add(
                "ca-key-beside-hosts",
                file.as_str(),
                "the CA key lies beside the files of hosts, and went wherever they were copied: each of those hosts can let anybody in",
                "replace the CA: `relayca rollover prepare`; until that is done, take the key from every host",
            );
        }
    }
}

fn directory(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The key of a host belongs on that host alone. None of them is taken over.
fn of_host_keys(list: &mut List, contents: &Contents, source: &SourceCa, leaves: &Leaves<'_>) {
    let ca = source.authority.certificate();
    let mut whose: BTreeMap<&[u8], &str> = BTreeMap::new();
    for leaf in &leaves.entered {
        whose.insert(leaf.found.certificate.spki_der(), leaf.host.as_str());
    }
    for key in &contents.keys {
        if source.key_files.contains(&key.file) || key.spki_der.as_deref() == Some(ca.spki_der()) {
            continue;
        }
        match key.spki_der.as_deref().map(|spki| whose.get(spki)) {
            Some(Some(host)) => list.add(
                "host-key",
                *host,
                "the keys of these hosts lie here, and so does everywhere this tree was copied; none of them is taken over",
                "`relayca renew --rekey HOST` makes one that only the host has",
            ),
            Some(None) => list.add(
                "other-key",
                key.file.as_str(),
                "private keys lie here that belong to no certificate of this CA",
                "look whose they are; they are not taken over",
            ),
            None => list.add(
                "encrypted-key",
                key.file.as_str(),
                "encrypted keys lie here, of hosts perhaps; none of them is taken over",
                "a key belongs on its host alone: take them away, or `relayca renew --rekey HOST`",
            ),
        }
    }
}

fn of_a_leaf(list: &mut List, leaf: &Leaf<'_>, leaves: &Leaves<'_>, now: OffsetDateTime) {
    if matches!(leaf.fate, Fate::Revoked(..)) {
        return;
    }
    let host = leaf.host.as_str();
    let certificate = &leaf.found.certificate;
    if certificate.not_after() < now {
        let another = leaves
            .entered
            .iter()
            .any(|other| other.host == leaf.host && other.at_work(now));
        if !another {
            list.add(
                "expired",
                host,
                "the certificates of these hosts have expired",
                "`relayca renew HOST` for the same key, or `--rekey HOST` for a new one",
            );
        }
        return;
    }
    for finding in worth_a_word(certificate) {
        let remedy = if finding.code == "key-type" {
            "`relayca renew --rekey HOST` gives it a key of today"
        } else {
            "`relayca renew HOST` gives it a certificate of today for the same key"
        };
        list.add(finding.code, host, &finding.message, remedy);
    }
    if leaf.role == Role::Relay
        && certificate.alt_names().is_empty()
        && certificate.common_name().is_none()
    {
        list.add(
            "no-name",
            host,
            "it has no name that a mail host could check",
            "`relayca renew HOST`",
        );
    }
}

fn worth_a_word(certificate: &Certificate) -> impl Iterator<Item = relayca_ca::Finding> {
    relayca_ca::weaknesses(certificate)
        .into_iter()
        .filter(|finding| OF_LEAVES.contains(&finding.code))
}

fn of_the_old_map(list: &mut List, contents: &Contents, leaves: &Leaves<'_>) {
    for entry in &contents.old_map {
        let (code, what) = match entry.digest {
            Digest::Md5 => (
                "map-md5",
                "the old list names certificates by MD5, which can be forged, and which Postfix since 3.6 does not look up unless told",
            ),
            Digest::Sha1 => (
                "map-sha1",
                "the old list names certificates by SHA-1, which can be forged, and which Postfix does not look up unless told",
            ),
            _ => continue,
        };
        list.add(
            code,
            entry.file.as_str(),
            what,
            "the list below is in SHA-256; the relay looks that up where `smtpd_tls_fingerprint_digest = sha256`, which its new settings say",
        );
    }
    for (file, fingerprint, host) in &leaves.strangers {
        list.add(
            "map-stranger",
            format!("{host} ({fingerprint} in {file})"),
            "the old list lets in what no certificate here accounts for; the new list does not",
            "`relayca issue HOST` for a host that is wanted",
        );
    }
}
