//! Chain files: a key, its certificate, the issuers; then perhaps the next key.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: the older parameters.

use super::named::{Named, Side, sides};
use super::pairs::blocks;
use crate::rules::{Finding, Look, Pem, Rule, Severity, Subject, fix};

const SOURCES: &[&str] = &[
    "postconf(5) smtpd_tls_chain_files",
    "postconf(5) smtp_tls_chain_files",
];

pub(super) const MISSING: Rule = Rule {
    id: "chain-file-missing",
    severity: Severity::Error,
    title: "a chain file is not there",
    why: "Where a chain file cannot be opened Postfix warns and goes on without any certificate. A server offers STARTTLS, says `220 Ready to \
          start TLS`, and every handshake fails with `no shared cipher`. A client shows no certificate, so a relay that requires one answers 421 \
          and one that only asks refuses its mail.",
    remedy: "put the file there, or name the one that is meant",
    sources: SOURCES,
    check: missing,
};

pub(super) const KEY_NOT_FIRST: Rule = Rule {
    id: "chain-key-not-first",
    severity: Severity::Error,
    title: "the chain file does not begin with the key",
    why: "In chain files each key comes before its certificate. Otherwise Postfix logs `error loading chain from …: key not first`, and TLS is \
          off: `454 4.7.0 TLS not available due to local problem`. A file that was right for smtpd_tls_cert_file may have them the other way \
          round.",
    remedy: "write the file anew: key, own certificate, issuers",
    sources: SOURCES,
    check: key_not_first,
};

pub(super) const MISMATCH: Rule = Rule {
    id: "chain-key-does-not-match",
    severity: Severity::Error,
    title: "the certificate behind a key in the chain files is not that key's",
    why: "Postfix logs `key at index … does not match next certificate`, and TLS is off: `454 4.7.0 TLS not available due to local problem`.",
    remedy: "write the file anew: key, the certificate made for it, issuers",
    sources: SOURCES,
    check: mismatch,
};

pub(super) const WITHOUT_CERTIFICATE: Rule = Rule {
    id: "chain-key-without-certificate",
    severity: Severity::Error,
    title: "a key in the chain files has no certificate behind it",
    why: "Postfix logs `key at index … not followed by a certificate`, `No certs for key` or `No PEM data`, and TLS is off: `454 4.7.0 TLS not \
          available due to local problem`.",
    remedy: "put each key's certificate behind it, or take the key out",
    sources: SOURCES,
    check: without_certificate,
};

/// What Postfix stumbles over first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    Missing(Named),
    KeyNotFirst(Named),
    Mismatch(Named),
    WithoutCertificate(Named),
    Nothing(Named),
}

/// Goes through the files as Postfix does. Nothing where it cannot be known.
fn trouble(subject: &Subject<'_>, side: &Side<'_>) -> Option<Trouble> {
    let files = side.chain_files();
    let first = files.first()?.clone();
    // The key that has no certificate yet, and where it stands.
    let mut pending: Option<(Option<String>, Named)> = None;
    let mut any_key = false;
    for file in &files {
        if file.written.starts_with('/') && subject.facts.look(&file.path) == Some(&Look::Absent) {
            return Some(Trouble::Missing(file.clone()));
        }
        for block in blocks(subject, &file.path)? {
            match block {
                // Another rule tells of those.
                Pem::Key(key) if key.encrypted => return None,
                Pem::Key(key) => {
                    if let Some((_, before)) = pending {
                        return Some(Trouble::WithoutCertificate(before));
                    }
                    any_key = true;
                    pending = Some((key.spki.clone(), file.clone()));
                }
                Pem::Certificate(certificate) => {
                    if !any_key {
                        return Some(Trouble::KeyNotFirst(file.clone()));
                    }
                    if let Some((Some(spki), _)) = pending.take()
                        && spki != certificate.spki
                    {
                        return Some(Trouble::Mismatch(file.clone()));
                    }
                }
                Pem::Other { why: Some(_), .. } => return None,
                Pem::Other { .. } => {}
            }
        }
    }
    match pending {
        Some((_, file)) => Some(Trouble::WithoutCertificate(file)),
        None if !any_key => Some(Trouble::Nothing(first)),
        None => None,
    }
}

fn troubles(subject: &Subject<'_>) -> Vec<Trouble> {
    sides(subject)
        .iter()
        .filter(|side| side.speaks_tls())
        .filter_map(|side| trouble(subject, side))
        .collect()
}

fn finding(rule: &Rule, file: &Named, message: String, remedy: &str) -> Finding {
    rule.finds(file.place.clone(), message)
        .on(file.service.clone())
        .fix([fix::note(remedy), fix::reload()])
}

fn missing(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for trouble in troubles(subject) {
        if let Trouble::Missing(file) = trouble {
            let message = format!(
                "`{}` names `{}`, which is not there",
                file.parameter, file.path
            );
            out.push(finding(
                &MISSING,
                &file,
                message,
                &format!("put `{}` in place, then:", file.path),
            ));
        }
    }
}

fn key_not_first(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for trouble in troubles(subject) {
        if let Trouble::KeyNotFirst(file) = trouble {
            let message = format!("`{}` begins with a certificate", file.path);
            let remedy = format!("in {}, put the key first, then:", file.path);
            out.push(finding(&KEY_NOT_FIRST, &file, message, &remedy));
        }
    }
}

fn mismatch(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for trouble in troubles(subject) {
        if let Trouble::Mismatch(file) = trouble {
            let message = format!(
                "in `{}`, the certificate behind the key is another key's",
                file.path
            );
            let remedy = format!(
                "in {}, put behind the key the certificate made for it, then:",
                file.path
            );
            out.push(finding(&MISMATCH, &file, message, &remedy));
        }
    }
}

fn without_certificate(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for trouble in troubles(subject) {
        let (file, message) = match trouble {
            Trouble::WithoutCertificate(file) => {
                let message = format!("a key in `{}` has no certificate behind it", file.path);
                (file, message)
            }
            Trouble::Nothing(file) => {
                let message = format!("there is neither key nor certificate in `{}`", file.path);
                (file, message)
            }
            _ => continue,
        };
        let remedy = format!(
            "in {}, put each key's certificate behind it, then:",
            file.path
        );
        out.push(finding(&WITHOUT_CERTIFICATE, &file, message, &remedy));
    }
}
