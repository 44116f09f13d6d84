//! The map of those who may relay, and its formats.
//!
//! In: the certificates to list; who is listed is decided elsewhere. Out: `relay_clientcerts` (postconf(5)) as text for
//! postmap or texthash, as an inline table, as JSON; and the list for Exim.
//!
//! Whatever goes in is validated first: a name that could end a line, a brace or a comment would let somebody in.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::{Digest, Fingerprint, MapError, fingerprint};

/// What is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    /// The public key. Survives a renewal that keeps the key.
    Pubkey,
    /// The certificate. Ends with it.
    Cert,
    /// Both, a line each: either lets in.
    Both,
}

impl Pin {
    /// All of them.
    pub const ALL: [Pin; 3] = [Pin::Pubkey, Pin::Cert, Pin::Both];

    /// Gives its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Pin::Pubkey => "pubkey",
            Pin::Cert => "cert",
            Pin::Both => "both",
        }
    }

    fn kinds(self) -> &'static [EntryKind] {
        match self {
            Pin::Pubkey => &[EntryKind::Pubkey],
            Pin::Cert => &[EntryKind::Cert],
            Pin::Both => &[EntryKind::Pubkey, EntryKind::Cert],
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Pin {
    type Err = MapError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Pin::ALL
            .into_iter()
            .find(|pin| pin.as_str() == text)
            .ok_or_else(|| MapError::UnknownPin {
                given: text.escape_default().to_string(),
            })
    }
}

/// A certificate that is to be listed.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The host it belongs to.
    pub host: &'a str,
    /// Its serial in hex.
    pub serial: &'a str,
    /// When it expires, RFC 3339.
    pub not_after: &'a str,
    /// The certificate.
    pub certificate_der: &'a [u8],
    /// Its public key (SubjectPublicKeyInfo).
    pub spki_der: &'a [u8],
}

/// What an entry's fingerprint is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A public key.
    Pubkey,
    /// A certificate.
    Cert,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EntryKind::Pubkey => "public key",
            EntryKind::Cert => "certificate",
        })
    }
}

/// One line of the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What Postfix looks up.
    pub fingerprint: Fingerprint,
    /// Who that is. Postfix only logs it; any value lets in.
    pub host: String,
    /// The serial of the certificate; of several with one key, of the one that lasts longest.
    pub serial: String,
    /// When that certificate expires.
    pub not_after: String,
    /// What the fingerprint is of.
    pub kind: EntryKind,
}

/// The map: sorted by host, then serial, then public key before certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintMap {
    digest: Digest,
    pin: Pin,
    entries: Vec<Entry>,
    certificates: Vec<Entry>,
    progress: Option<u64>,
}

/// Around the number in the line of [`FingerprintMap::with_progress`].
const PROGRESS: (&str, &str) = (
    "# As of change ",
    " of the authority: a list with a lower number is an older one.",
);

/// How far the authority's history had gone when this text was made: the highest number that a line has, whatever was edited around
/// it; `None` where the text does not say. A number that is none, or has more digits than a shell compares, is later than any:
/// the blocks that are pasted refuse such a list (`relayca_postfix::refuse_older_list`), by the same rules.
#[must_use]
pub fn progress(text: &str) -> Option<u64> {
    let blank = |letter: char| matches!(letter, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}');
    let number = |line: &str| {
        let comment = line.trim_start_matches(blank).strip_prefix('#')?;
        let said = comment
            .trim_start_matches(blank)
            .strip_prefix(PROGRESS.0.trim_start_matches("# ").trim_end())?;
        let word = said.trim_start_matches(blank).split(blank).next()?;
        let plain = said.starts_with(blank)
            && word.len() <= 15
            && word.bytes().all(|byte| byte.is_ascii_digit());
        Some(
            plain
                .then(|| word.parse().ok())
                .flatten()
                .unwrap_or(u64::MAX),
        )
    };
    text.split('\n').filter_map(number).max()
}

impl Serialize for FingerprintMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Map<'a> {
            digest: Digest,
            pin: Pin,
            entries: &'a [Entry],
        }
        Map {
            digest: self.digest,
            pin: self.pin,
            entries: &self.entries,
        }
        .serialize(serializer)
    }
}

impl FingerprintMap {
    /// Makes the map of the certificates listed. Certificates of one host and key give one public-key entry.
    ///
    /// # Errors
    /// `Host` or `Comment` for text that cannot stand in a map, `SharedKey` where two hosts have one key (whatever is
    /// pinned: such hosts share a secret).
    pub fn new<'a>(
        digest: Digest,
        pin: Pin,
        listed: impl IntoIterator<Item = Listed<'a>>,
    ) -> Result<FingerprintMap, MapError> {
        let mut owners: BTreeMap<&[u8], &str> = BTreeMap::new();
        let mut entries: BTreeMap<Fingerprint, Entry> = BTreeMap::new();
        let mut certificates: BTreeMap<Fingerprint, Entry> = BTreeMap::new();
        for one in listed {
            check(&one)?;
            let owner = owners.entry(one.spki_der).or_insert(one.host);
            if *owner != one.host {
                let (first, second) = if *owner < one.host {
                    (*owner, one.host)
                } else {
                    (one.host, *owner)
                };
                return Err(MapError::SharedKey {
                    first: first.to_owned(),
                    second: second.to_owned(),
                });
            }
            let entry = |digest, kind| Entry {
                fingerprint: fingerprint(
                    digest,
                    match kind {
                        EntryKind::Pubkey => one.spki_der,
                        EntryKind::Cert => one.certificate_der,
                    },
                ),
                host: one.host.to_owned(),
                serial: one.serial.to_owned(),
                not_after: one.not_after.to_owned(),
                kind,
            };
            for &kind in pin.kinds() {
                insert(&mut entries, entry(digest, kind))?;
            }
            insert(&mut certificates, entry(Digest::Sha256, EntryKind::Cert))?;
        }
        let sorted = |entries: BTreeMap<Fingerprint, Entry>| {
            let mut entries: Vec<Entry> = entries.into_values().collect();
            entries.sort_by(|a, b| (&a.host, &a.serial, a.kind).cmp(&(&b.host, &b.serial, b.kind)));
            entries
        };
        Ok(FingerprintMap {
            digest,
            pin,
            entries: sorted(entries),
            certificates: sorted(certificates),
            progress: None,
        })
    }

    /// Says in the text how far the authority's history had gone, so that an older list is not taken for a newer one.
    #[must_use]
    pub fn with_progress(mut self, progress: u64) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Gives the change of the authority that the list is of, where it was said.
    #[must_use]
    pub fn as_of(&self) -> Option<u64> {
        self.progress
    }

    /// Gives the certificates by SHA-256, whatever is pinned: what Exim lists.
    #[must_use]
    pub fn certificates(&self) -> &[Entry] {
        &self.certificates
    }

    /// Gives the list for Exim's `lsearch`: the SHA-256 of each certificate as `${sha256:$tls_in_peercert}` has it, and what
    /// `${extract` takes: the host, and with which senders it may relay, as an address list. A host that `senders` does not
    /// name may use any.
    ///
    /// # Errors
    /// `Senders` for one that Exim would read otherwise.
    pub fn to_exim(&self, senders: &BTreeMap<String, Vec<String>>) -> Result<String, MapError> {
        let mut text = String::from(
            "# Who may relay, by sha256 of the certificate; Exim has no digest of a public key. Made by relayca.\n\
             # Exim reads it for each look-up.\n",
        );
        text.push_str(&self.of_change());
        for Entry {
            fingerprint,
            host,
            serial,
            not_after,
            ..
        } in &self.certificates
        {
            let list = match senders.get(host) {
                None => "*".to_owned(),
                Some(list) => {
                    let plain = |sender: &String| {
                        made_of(sender, 320, "@.-_+") && sender.starts_with(char::is_alphanumeric)
                    };
                    if list.is_empty() || !list.iter().all(plain) {
                        return Err(MapError::Senders { host: host.clone() });
                    }
                    list.join(" : ").to_ascii_lowercase()
                }
            };
            let digest = fingerprint.as_str().replace(':', "");
            let _ = write!(
                text,
                "# serial {serial}, expires {not_after}, certificate\n{digest}: host={host} senders=\"{list}\"\n"
            );
        }
        Ok(text)
    }

    /// The line that says so, if it is known.
    fn of_change(&self) -> String {
        self.progress
            .map(|progress| format!("{}{progress}{}\n", PROGRESS.0, PROGRESS.1))
            .unwrap_or_default()
    }

    /// Gives the entries, in the order of the map.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Gives the digest that `smtpd_tls_fingerprint_digest` must name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Gives what is pinned.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Gives the source text for postmap(1), for hash, btree, cdb and lmdb tables.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.lines("After an edit run postmap on this file.")
    }

    /// Gives the text for a `texthash:` table, which Postfix reads as it stands, once.
    #[must_use]
    pub fn to_texthash(&self) -> String {
        self.lines(
            "For texthash: after an edit run postfix reload, or a host taken out keeps relaying.",
        )
    }

    fn lines(&self, after: &str) -> String {
        let what = match self.pin {
            Pin::Pubkey => "public key",
            Pin::Cert => "certificate",
            Pin::Both => "public key and certificate",
        };
        let mut text = format!(
            "# Who may relay, by {digest} of the {what}. Made by relayca.\n\
             # Needs smtpd_tls_fingerprint_digest = {digest}. {after}\n",
            digest = self.digest,
        );
        text.push_str(&self.of_change());
        for Entry {
            fingerprint,
            host,
            serial,
            not_after,
            kind,
        } in &self.entries
        {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "# serial {serial}, expires {not_after}, {kind}\n{fingerprint} {host}\n"
            );
        }
        text
    }

    /// Gives an `inline:` table for `relay_clientcerts` itself (Postfix 3.0 and later), on one line.
    #[must_use]
    pub fn to_inline(&self) -> String {
        let mut text = String::from("inline:{");
        for Entry {
            fingerprint, host, ..
        } in &self.entries
        {
            let _ = write!(text, " {{ {fingerprint} = {host} }}");
        }
        if self.entries.is_empty() {
            // Postfix refuses an empty table, and no fingerprint is spelled like this.
            text.push_str(" { nobody = nobody }");
        }
        text.push_str(" }");
        text
    }

    /// Gives an object of `digest`, `pin` and `entries`, indented.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }
}

/// Of certificates with one fingerprint, keeps the one that lasts longest, whatever the order they came in.
fn insert(entries: &mut BTreeMap<Fingerprint, Entry>, entry: Entry) -> Result<(), MapError> {
    match entries.get_mut(&entry.fingerprint) {
        None => {
            entries.insert(entry.fingerprint.clone(), entry);
        }
        // Different keys with one digest: a collision, which MD5 and SHA-1 allow.
        Some(kept) if kept.host != entry.host => {
            return Err(MapError::SharedKey {
                first: kept.host.clone(),
                second: entry.host,
            });
        }
        Some(kept) => {
            if (&kept.not_after, &kept.serial) < (&entry.not_after, &entry.serial) {
                *kept = entry;
            }
        }
    }
    Ok(())
}

fn made_of(text: &str, limit: usize, also: &str) -> bool {
    (1..=limit).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

/// Refuses what would not stay in its place in any of the formats. A list of what is allowed is shorter, and surer,
/// than one of what is not: spaces, `#`, braces, `=`, `,`, `$`, quotes and line ends all mean something to Postfix.
fn check(one: &Listed<'_>) -> Result<(), MapError> {
    let host = || {
        one.host
            .chars()
            .take(253)
            .collect::<String>()
            .escape_default()
            .to_string()
    };
    if !made_of(one.host, 253, ".-_:") {
        return Err(MapError::Host { host: host() });
    }
    if !made_of(one.serial, 64, ":") {
        return Err(MapError::Comment {
            field: "the serial",
            host: host(),
        });
    }
    if !made_of(one.not_after, 40, ":.+-") {
        return Err(MapError::Comment {
            field: "the expiry",
            host: host(),
        });
    }
    Ok(())
}
