//! Whether a key and its certificate belong together, by the older parameters.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: chain files, which have rules of their own.

use super::named::{Named, Pair, sides};
use crate::rules::{Certificate, Finding, Key, Pem, Rule, Severity, Subject, fix};

const SOURCES: &[&str] = &[
    "postconf(5) smtpd_tls_cert_file",
    "postconf(5) smtpd_tls_key_file",
    "TLS_README",
];

pub(super) const SWAPPED: Rule = Rule {
    id: "key-and-certificate-swapped",
    severity: Severity::Error,
    title: "the key is named as certificate and the certificate as key",
    why: "OpenSSL finds no certificate (`no start line`) and TLS is off: a server answers STARTTLS with `454 4.7.0 TLS not available due to \
          local problem`, and in wrapper mode it closes the connection. The log says `cannot get RSA certificate`, whatever kind it is.",
    remedy: "swap the two",
    sources: SOURCES,
    check: swapped,
};

pub(super) const WITHOUT_CERTIFICATE: Rule = Rule {
    id: "certificate-file-without-certificate",
    severity: Severity::Error,
    title: "there is no certificate in the certificate file",
    why: "Postfix reads PEM only, and of it only `BEGIN CERTIFICATE`. A request (CSR), a public key or DER gives `no start line`, and TLS is \
          off: `454 4.7.0 TLS not available due to local problem`.",
    remedy: "name the file with the certificate; DER becomes PEM by `openssl x509 -inform der`",
    sources: SOURCES,
    check: without_certificate,
};

pub(super) const WITHOUT_KEY: Rule = Rule {
    id: "key-file-without-key",
    severity: Severity::Error,
    title: "there is no private key in the key file",
    why: "Without a key parameter Postfix looks for the key in the certificate's own file. Where there is none it logs `No private key found` or \
          `cannot get RSA private key`, and TLS is off: `454 4.7.0 TLS not available due to local problem`.",
    remedy: "name the file with the key",
    sources: SOURCES,
    check: without_key,
};

pub(super) const MISMATCH: Rule = Rule {
    id: "key-does-not-match",
    severity: Severity::Error,
    title: "the key is not that of the certificate",
    why: "OpenSSL finds `key values mismatch` and TLS is off: `454 4.7.0 TLS not available due to local problem`. It happens when only one of \
          the two is renewed.",
    remedy: "put the two that belong together in place, then reload",
    sources: SOURCES,
    check: mismatch,
};

pub(super) const OUT_OF_ORDER: Rule = Rule {
    id: "certificates-out-of-order",
    severity: Severity::Error,
    title: "the own certificate is not the first in its file",
    why: "The first certificate of the file is taken for the server's own, the others for its issuers. With a CA certificate in front the key \
          does not match (`key values mismatch`) and TLS is off.",
    remedy: "write the file anew: the own certificate first, then its issuer, and so on",
    sources: &["postconf(5) smtpd_tls_cert_file"],
    check: out_of_order,
};

pub(super) const ENCRYPTED: Rule = Rule {
    id: "key-encrypted",
    severity: Severity::Error,
    title: "the private key is encrypted",
    why: "A daemon has nobody to ask for the passphrase: OpenSSL reports `problems getting password` and TLS is off (`454 4.7.0 TLS not \
          available due to local problem`). In a chain file the key is skipped and the rest refused as `key not first`.",
    remedy: "decrypt the key into a file that only root can read",
    sources: &[
        "postconf(5) smtpd_tls_key_file",
        "postconf(5) smtpd_tls_chain_files",
    ],
    check: encrypted,
};

/// What is in a file, if somebody looked.
pub(super) fn blocks<'a>(subject: &Subject<'a>, path: &str) -> Option<&'a [Pem]> {
    let found = subject.facts.found(path)?;
    if found.directory {
        return None;
    }
    found.pem.as_deref()
}

pub(super) fn certificates(blocks: &[Pem]) -> impl Iterator<Item = &Certificate> {
    blocks.iter().filter_map(|block| match block {
        Pem::Certificate(certificate) => Some(certificate.as_ref()),
        _ => None,
    })
}

pub(super) fn keys(blocks: &[Pem]) -> impl Iterator<Item = &Key> {
    blocks.iter().filter_map(|block| match block {
        Pem::Key(key) => Some(key),
        _ => None,
    })
}

/// Whether there is a block that could not be read here, though Postfix may: then nothing is said of what is not there.
fn is_broken(blocks: &[Pem]) -> bool {
    blocks.iter().any(|block| match block {
        Pem::Other { label, why } => {
            why.is_some() || matches!(label.as_str(), "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
        }
        _ => false,
    })
}

/// Every pair that Postfix loads, with what is in its files where that is known.
struct Seen<'a> {
    pair: Pair,
    certificate: Option<&'a [Pem]>,
    key: Option<&'a [Pem]>,
}

fn seen<'a>(subject: &Subject<'a>) -> Vec<Seen<'a>> {
    sides(subject)
        .iter()
        .filter(|side| side.speaks_tls() && side.chain_files().is_empty())
        .flat_map(|side| side.pairs())
        .map(|pair| Seen {
            certificate: blocks(subject, &pair.certificate.path),
            key: blocks(subject, &pair.key.path),
            pair,
        })
        .collect()
}

fn is_swapped(seen: &Seen<'_>) -> bool {
    let (Some(certificate), Some(key)) = (seen.certificate, seen.key) else {
        return false;
    };
    certificates(certificate).next().is_none()
        && keys(certificate).next().is_some()
        && keys(key).next().is_none()
        && certificates(key).next().is_some()
}

fn service(pair: &Pair) -> Option<String> {
    pair.certificate
        .service
        .clone()
        .or_else(|| pair.key.service.clone())
}

fn swapped(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for seen in seen(subject).iter().filter(|seen| is_swapped(seen)) {
        let Pair { certificate, key } = &seen.pair;
        out.push(
            SWAPPED
                .finds(
                    certificate.place.clone(),
                    format!(
                        "`{}` (`{}`) holds a key, and `{}` (`{}`) a certificate",
                        certificate.path, certificate.parameter, key.path, key.parameter
                    ),
                )
                .on(service(&seen.pair))
                .fix([
                    fix::set_for(
                        certificate.service.as_deref(),
                        &certificate.parameter,
                        &key.path,
                    ),
                    fix::set_for(key.service.as_deref(), &key.parameter, &certificate.path),
                    fix::reload(),
                ]),
        );
    }
}

/// What is in a file instead of what was wanted.
fn instead(blocks: &[Pem]) -> String {
    let labels: Vec<String> = blocks
        .iter()
        .map(|block| match block {
            Pem::Certificate(_) => "a certificate".to_owned(),
            Pem::Key(_) => "a key".to_owned(),
            Pem::Other { label, .. } => format!("`{label}`"),
        })
        .take(3)
        .collect();
    if labels.is_empty() {
        "no PEM at all".to_owned()
    } else {
        labels.join(", ")
    }
}

fn without_certificate(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for seen in &seen(subject) {
        let Some(blocks) = seen.certificate else {
            continue;
        };
        if is_swapped(seen) || is_broken(blocks) || certificates(blocks).next().is_some() {
            continue;
        }
        let file = &seen.pair.certificate;
        out.push(
            WITHOUT_CERTIFICATE
                .finds(
                    file.place.clone(),
                    format!(
                        "`{}` (`{}`) holds {}, no certificate",
                        file.path,
                        file.parameter,
                        instead(blocks)
                    ),
                )
                .on(file.service.clone())
                .fix([
                    fix::note(&format!("name the certificate in {}", file.parameter)),
                    fix::reload(),
                ]),
        );
    }
}

fn without_key(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for seen in &seen(subject) {
        let Some(blocks) = seen.key else {
            continue;
        };
        if is_swapped(seen) || is_broken(blocks) || keys(blocks).next().is_some() {
            continue;
        }
        let file: &Named = &seen.pair.key;
        let message = if file.default {
            format!(
                "`{}` is not set, so the key is looked for in `{}`, which holds {}",
                file.parameter,
                file.path,
                instead(blocks)
            )
        } else {
            format!(
                "`{}` (`{}`) holds {}, no key",
                file.path,
                file.parameter,
                instead(blocks)
            )
        };
        // A sibling that certbot would have made.
        let sibling = file
            .path
            .rsplit_once('/')
            .filter(|(directory, _)| file.default && directory.contains("/live/"))
            .map(|(directory, _)| format!("{directory}/privkey.pem"));
        let line = match sibling {
            Some(path) => fix::set_for(file.service.as_deref(), &file.parameter, &path),
            None => fix::note(&format!("name the key in {}", file.parameter)),
        };
        out.push(
            WITHOUT_KEY
                .finds(file.place.clone(), message)
                .on(service(&seen.pair))
                .fix([line, fix::reload()]),
        );
    }
}

/// The position of the certificate that the key belongs to, if both are known; nothing if the key is not known.
fn position<'a>(seen: &Seen<'a>) -> Option<Option<usize>> {
    // Of several keys in a file the first counts.
    let spki = keys(seen.key?).next()?.spki.as_deref()?;
    let mut own = certificates(seen.certificate?).peekable();
    own.peek()?;
    Some(own.position(|certificate| certificate.spki == spki))
}

fn mismatch(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for seen in &seen(subject) {
        if position(seen) != Some(None) {
            continue;
        }
        let Pair { certificate, key } = &seen.pair;
        out.push(
            MISMATCH
                .finds(
                    certificate.place.clone(),
                    format!(
                        "the key in `{}` does not belong to the certificate in `{}`",
                        key.path, certificate.path
                    ),
                )
                .on(service(&seen.pair))
                .fix([
                    fix::note(
                        "put the key and the certificate that were made together in place, then:",
                    ),
                    fix::reload(),
                ]),
        );
    }
}

fn out_of_order(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for seen in &seen(subject) {
        let Some(Some(position)) = position(seen) else {
            continue;
        };
        if position == 0 {
            continue;
        }
        let file = &seen.pair.certificate;
        out.push(
            OUT_OF_ORDER
                .finds(
                    file.place.clone(),
                    format!(
                        "the certificate of the key is number {} in `{}`",
                        position + 1,
                        file.path
                    ),
                )
                .on(file.service.clone())
                .fix([
                    fix::note(&format!(
                        "in {}, put the own certificate first, then:",
                        file.path
                    )),
                    fix::reload(),
                ]),
        );
    }
}

fn encrypted(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        let files = match side.chain_files() {
            chains if !chains.is_empty() => chains,
            _ => side.pairs().into_iter().map(|pair| pair.key).collect(),
        };
        for file in files {
            let Some(blocks) = blocks(subject, &file.path) else {
                continue;
            };
            if keys(blocks).any(|key| key.encrypted) {
                out.push(
                    ENCRYPTED
                        .finds(file.place.clone(), format!("the key in `{}` needs a passphrase", file.path))
                        .on(file.service.clone())
                        .fix([
                            fix::note(&format!(
                                "as root: (umask 077; openssl pkey -in {} -out NEW.key.pem), then put it in its place",
                                file.path
                            )),
                            fix::reload(),
                        ]),
                );
            }
        }
    }
}
