//! What the files of a tree are, told by their content alone.
//!
//! In: names and bytes. Out: certificates, keys, revocation lists, indexes and old maps. It refuses to know which CA is meant,
//! and what is to become of anything. A file may hold several; of what is there twice, all places are kept.

use std::collections::{BTreeSet, HashMap};

use relayca_ca::{Certificate, InspectError, KeyError, RevocationList, spki_of};
use relayca_fingerprint::Digest;
use zeroize::Zeroizing;

use super::index;

/// PEM blocks looked at in one file.
const MOST_BLOCKS: usize = 512;
/// How a PEM block begins.
const ARMOUR: &str = "-----BEGIN ";
/// Where the old tool's own copy of its index lies.
const OLD_COPY: &str = ".old";

/// A certificate and where it lies.
#[derive(Debug)]
pub struct FoundCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// All files that hold it, from the tree's root.
    pub files: Vec<String>,
}

/// A private key and where it lies.
pub struct FoundKey {
    /// The file.
    pub file: String,
    /// Its PEM block.
    pub pem: Zeroizing<String>,
    /// Its public key; `None` where it is encrypted.
    pub spki_der: Option<Vec<u8>>,
}

impl std::fmt::Debug for FoundKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "FoundKey({}, [elided])", self.file)
    }
}

/// A line of an old relay_clientcerts.
#[derive(Debug, Clone)]
pub struct OldEntry {
    /// The file.
    pub file: String,
    /// The digest, told by the length.
    pub digest: Digest,
    /// In upper case with colons.
    pub fingerprint: String,
    /// Whom it says it is.
    pub host: String,
}

/// All that was found in a tree.
#[derive(Debug, Default)]
pub struct Contents {
    /// Each once.
    pub certificates: Vec<FoundCertificate>,
    by_der: HashMap<Vec<u8>, usize>,
    /// Every key block of every file.
    pub keys: Vec<FoundKey>,
    /// Files whose key cannot be used, and why.
    pub odd_keys: Vec<(String, String)>,
    /// Files and lists.
    pub lists: Vec<(String, RevocationList)>,
    /// Files whose revocation list cannot be used, and why.
    pub odd_lists: Vec<(String, String)>,
    /// Lines of all indexes.
    pub index: Vec<index::Line>,
    /// Files that are indexes.
    pub indexes: Vec<String>,
    /// Lines of all old maps.
    pub old_map: Vec<OldEntry>,
    /// What looks like something, and cannot be read: for the admin to look at.
    pub damaged: Vec<String>,
    /// Names of all files, which may tell what content does not.
    pub files: Vec<String>,
}

impl Contents {
    /// Looks at one file.
    pub fn take(&mut self, file: &str, content: &[u8]) {
        self.files.push(file.to_owned());
        let text = std::str::from_utf8(content);
        let armoured = match text {
            Ok(text) => text.contains(ARMOUR),
            Err(_) => content
                .windows(ARMOUR.len())
                .any(|window| window == ARMOUR.as_bytes()),
        };
        match text {
            _ if armoured => self.take_pem(file, content),
            Ok(text) => self.take_text(file, text),
            Err(_) => self.take_der(file, content),
        }
    }

    fn take_pem(&mut self, file: &str, content: &[u8]) {
        let (blocks, whole) = blocks(content);
        if !whole {
            self.damaged.push(format!(
                "{file}: a block does not end, or there are too many"
            ));
        }
        for (label, block) in blocks {
            match label.as_str() {
                "CERTIFICATE" | "X509 CERTIFICATE" => match Certificate::from_pem(block) {
                    Ok(certificate) => self.certificate(file, certificate),
                    Err(error) => self.damaged.push(format!("{file}: {error}")),
                },
                "X509 CRL" => match RevocationList::from_pem(block) {
                    Ok(list) => self.lists.push((file.to_owned(), list)),
                    Err(error) => self.odd_lists.push((file.to_owned(), error.to_string())),
                },
                _ if label.ends_with("PRIVATE KEY") => self.key(file, block),
                // Requests, Diffie-Hellman parameters and the like tell nothing.
                _ => {}
            }
        }
    }

    /// No certificate and no key is text: keys and signatures are noise.
    fn take_der(&mut self, file: &str, content: &[u8]) {
        if let Ok(certificate) = Certificate::from_der(content) {
            self.certificate(file, certificate);
        } else if let Ok(list) = RevocationList::from_der(content) {
            self.lists.push((file.to_owned(), list));
        } else if let Ok(key) = relayca_ca::PrivateKey::from_der(content) {
            self.keys.push(FoundKey {
                file: file.to_owned(),
                pem: key.to_pkcs8_pem(),
                spki_der: Some(key.spki_der().to_vec()),
            });
        }
    }

    fn take_text(&mut self, file: &str, text: &str) {
        if index::looks_like_index(text) && !file.ends_with(OLD_COPY) {
            let (lines, odd) = index::parse(text);
            for number in odd {
                self.damaged.push(format!(
                    "{file}:{number}: this line of the index cannot be read"
                ));
            }
            self.index.extend(lines);
            self.indexes.push(file.to_owned());
        } else if looks_like_map(text) {
            self.take_map(file, text);
        }
    }

    /// Line by line: what one of them cannot tell, the others may.
    fn take_map(&mut self, file: &str, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            match relayca_fingerprint::parse_text(line) {
                Ok(entries) => {
                    for (fingerprint, host) in entries {
                        let bytes = fingerprint.split(':').count();
                        let digest = Digest::ALL.into_iter().find(|one| one.bytes() == bytes);
                        if let Some(digest) = digest {
                            self.old_map.push(OldEntry {
                                file: file.to_owned(),
                                digest,
                                fingerprint,
                                host,
                            });
                        }
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    // Each line is the first of its own text.
                    let why = error
                        .split_once(": ")
                        .map_or(error.as_str(), |(_, why)| why);
                    self.damaged.push(format!("{file}:{number}: {why}"));
                }
            }
        }
    }

    fn certificate(&mut self, file: &str, certificate: Certificate) {
        match self.by_der.get(certificate.der()) {
            Some(index) => {
                if let Some(found) = self.certificates.get_mut(*index)
                    && found.files.last().is_none_or(|last| last != file)
                {
                    found.files.push(file.to_owned());
                }
            }
            None => {
                self.by_der
                    .insert(certificate.der().to_vec(), self.certificates.len());
                self.certificates.push(FoundCertificate {
                    certificate,
                    files: vec![file.to_owned()],
                });
            }
        }
    }

    fn key(&mut self, file: &str, block: &str) {
        let spki_der = match spki_of(block.as_bytes()) {
            Ok(mut found) => found.pop().map(|found| found.spki_der),
            Err(InspectError::Key(KeyError::Encrypted | KeyError::LegacyEncrypted)) => None,
            Err(error) => {
                self.damaged.push(format!("{file}: {error}"));
                self.odd_keys.push((file.to_owned(), error.to_string()));
                return;
            }
        };
        self.keys.push(FoundKey {
            file: file.to_owned(),
            pem: Zeroizing::new(block.to_owned()),
            spki_der,
        });
    }

    /// Files named after a certificate that hold a key alone, or the other way round.
    pub fn swapped(&self) -> Vec<&str> {
        let certificates: BTreeSet<&str> = self
            .certificates
            .iter()
            .flat_map(|found| found.files.iter().map(String::as_str))
            .collect();
        let keys: BTreeSet<&str> = self.keys.iter().map(|key| key.file.as_str()).collect();
        let called = |file: &str, words: &[&str]| {
            let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
            words.iter().any(|word| name.contains(word))
        };
        let (for_keys, for_certificates) = ([".key"], [".crt", ".cert"]);
        let keys_as_certificates = keys
            .difference(&certificates)
            .filter(|file| called(file, &for_certificates) && !called(file, &for_keys));
        let certificates_as_keys = certificates
            .difference(&keys)
            .filter(|file| called(file, &for_keys) && !called(file, &for_certificates));
        keys_as_certificates
            .chain(certificates_as_keys)
            .copied()
            .collect()
    }
}

/// The PEM blocks of a file with their labels, and whether all of them end. Text around them, as `openssl x509 -text` writes
/// it, is passed over.
fn blocks(content: &[u8]) -> (Vec<(String, &str)>, bool) {
    let mut found = Vec::new();
    let mut whole = true;
    let mut begun: Option<(String, usize)> = None;
    let mut at = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        let trimmed = line.trim_ascii();
        if let Some(label) = boundary(trimmed, ARMOUR.as_bytes()) {
            whole &= begun.is_none();
            begun = Some((label, at));
        } else if let Some(label) = boundary(trimmed, b"-----END ")
            && let Some((opened, start)) = begun.take()
        {
            let text = content.get(start..end).map(std::str::from_utf8);
            match text {
                Some(Ok(text)) if opened == label && found.len() < MOST_BLOCKS => {
                    found.push((opened, text));
                }
                _ => whole = false,
            }
        }
        at = end;
    }
    (found, whole && begun.is_none())
}

fn boundary(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    (label.len() <= 64 && label.is_ascii()).then(|| String::from_utf8_lossy(label).into_owned())
}

/// Whether the first line that is no comment begins with a fingerprint, or with what somebody took for one.
fn looks_like_map(text: &str) -> bool {
    text.lines()
        .find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .and_then(|line| line.split_whitespace().next())
        .is_some_and(|word| {
            let pairs: Vec<&str> = word.split(':').collect();
            let hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            pairs.len() >= 16 && pairs.iter().all(hex)
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seed(name: &str) -> Vec<u8> {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/import/");
        std::fs::read(format!("{place}{name}")).unwrap()
    }

    #[test]
    fn a_file_is_told_by_its_content_whatever_it_is_called() {
        let mut contents = Contents::default();
        for (number, name) in [
            "index.txt",
            "relay_clientcerts",
            "chain.pem",
            "clear.key.pem",
        ]
        .into_iter()
        .enumerate()
        {
            contents.take(&format!("{number}"), &seed(name));
        }
        assert_eq!(contents.index.len(), 3);
        assert_eq!(contents.old_map.len(), 1);
        assert_eq!(contents.certificates.len(), 2);
        let encrypted: Vec<bool> = contents
            .keys
            .iter()
            .map(|key| key.spki_der.is_none())
            .collect();
        assert_eq!(encrypted, [true, false]);
        let ca = &contents.certificates.first().unwrap().certificate;
        assert_eq!(
            contents.keys.last().unwrap().spki_der.as_deref(),
            Some(ca.spki_der())
        );
        assert!(contents.damaged.is_empty() && contents.odd_keys.is_empty());
        assert!(!format!("{contents:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn files_cut_anywhere_or_altered_are_taken_without_harm() {
        for name in [
            "index.txt",
            "relay_clientcerts",
            "chain.pem",
            "clear.key.pem",
        ] {
            let whole = seed(name);
            for at in (0..whole.len()).step_by(7) {
                Contents::default().take(name, &whole[..at]);
                let mut altered = whole.clone();
                altered[at] ^= 0x15;
                Contents::default().take(name, &altered);
            }
        }
    }

    #[test]
    fn names_that_contradict_the_content_are_told() {
        let mut contents = Contents::default();
        contents.take("a.key.pem", &seed("chain.pem"));
        assert!(contents.swapped().is_empty(), "it holds both");
        contents.take("b.crt.pem", &seed("clear.key.pem"));
        contents.take("c.key", &seed("chain.pem"));
        contents.take("plain", &seed("clear.key.pem"));
        assert_eq!(contents.swapped(), ["b.crt.pem"]);
    }
}
