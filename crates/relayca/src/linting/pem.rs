//! What a PEM file holds, block by block, as far as it can be said without a secret.
//!
//! In: bytes. Out: plain values for the rules. It refuses to judge, and to stop at a block that it cannot read.

use std::fmt::Write as _;

use relayca_ca::{Certificate, InspectedKind, spki_of};
use relayca_fingerprint::{Digest, fingerprint};
use relayca_postfix::rules::{self, Key, Pem};

/// The most blocks that are taken from a file; the trust store of a system has about 150.
const MOST_BLOCKS: usize = 1000;

/// The blocks in order.
pub fn blocks(content: &[u8]) -> Vec<Pem> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const END: &[u8] = b"-----END ";
    let mut found = Vec::new();
    let mut rest = content;
    while let Some(start) = position(rest, BEGIN) {
        if found.len() == MOST_BLOCKS {
            break;
        }
        let block = rest.get(start..).unwrap_or_default();
        let after = block.get(BEGIN.len()..).unwrap_or_default();
        let label = after
            .split(|byte| *byte == b'-')
            .next()
            .map(|label| crate::printer::one_line(&String::from_utf8_lossy(label)))
            .unwrap_or_default();
        let label: String = label.chars().take(64).collect();
        let end = position(after, END).map(|end| BEGIN.len() + end);
        let next = position(after, BEGIN).map(|next| BEGIN.len() + next);
        let Some(end) = end.filter(|end| next.is_none_or(|next| *end < next)) else {
            found.push(Pem::Other {
                label,
                why: Some("it has no end".into()),
            });
            // Without any end there is nothing more to find, however many beginnings follow.
            if end.is_none() {
                break;
            }
            rest = after;
            continue;
        };
        let tail = block.get(end..).unwrap_or_default();
        let line = tail
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(tail.len(), |newline| newline + 1);
        let (whole, behind) = block.split_at(end + line);
        found.push(one(&label, whole));
        rest = behind;
    }
    found
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn one(label: &str, block: &[u8]) -> Pem {
    let is_key = label.ends_with("PRIVATE KEY");
    if is_key
        && (label.starts_with("ENCRYPTED") || position(block, b"Proc-Type: 4,ENCRYPTED").is_some())
    {
        return Pem::Key(Key {
            spki: None,
            encrypted: true,
        });
    }
    match spki_of(block) {
        Ok(found) => match found.first() {
            Some(found) if found.kind == InspectedKind::PrivateKey => Pem::Key(Key {
                spki: Some(hex(&found.spki_der)),
                encrypted: false,
            }),
            Some(found) => match found.certificate_der.as_deref().map(Certificate::from_der) {
                Some(Ok(certificate)) => Pem::Certificate(Box::new(certificate_of(&certificate))),
                Some(Err(error)) => other(label, Some(error.to_string())),
                None => other(label, None),
            },
            None => other(label, None),
        },
        // A kind of key that relayca does not know may well be one that OpenSSL knows.
        Err(_) if is_key => Pem::Key(Key::default()),
        Err(error) if label == "CERTIFICATE" => other(label, Some(error.to_string())),
        Err(_) => other(label, None),
    }
}

fn other(label: &str, why: Option<String>) -> Pem {
    Pem::Other {
        label: label.to_owned(),
        why,
    }
}

fn certificate_of(certificate: &Certificate) -> rules::Certificate {
    let purposes = certificate.purposes();
    let may = |purpose: &str| {
        purposes.is_empty()
            || purposes
                .iter()
                .any(|one| one == purpose || one == "anyExtendedKeyUsage")
    };
    let mut alt_names: Vec<String> = certificate
        .alt_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    alt_names.extend(certificate.wildcards().iter().cloned());
    rules::Certificate {
        subject: certificate.subject().to_owned(),
        issuer: certificate.issuer().to_owned(),
        not_before: certificate.not_before().unix_timestamp(),
        not_after: certificate.not_after().unix_timestamp(),
        spki: hex(certificate.spki_der()),
        sha256: hex(certificate.der()),
        alt_names,
        ca: certificate.is_ca(),
        client: may("clientAuth"),
        server: may("serverAuth"),
        self_signed: certificate.issuer_is(certificate),
        key: certificate.key_description().to_owned(),
    }
}

/// SHA-256 in lower-case hex.
fn hex(der: &[u8]) -> String {
    let colons = fingerprint(Digest::Sha256, der).to_string();
    let mut text = String::with_capacity(64);
    for pair in colons.split(':') {
        let _ = write!(text, "{}", pair.to_ascii_lowercase());
    }
    text
}
