//! Reading the text of a map as postmap(1) would, and refusing what it would silently misread.
//!
//! In: the text, from a file or a person. Out: fingerprints in upper case with their hosts, or the first line that
//! would not do what it seems to say.

use std::collections::BTreeMap;

use crate::error::LineProblem;
use crate::{Digest, MapError};

/// The most that is read: some hundred thousand hosts.
const TEXT_LIMIT: usize = 64 << 20;
/// The longest line: the longest fingerprint, and a value.
const LINE_LIMIT: usize = 1024;

/// Reads fingerprint and host of each line; comments and empty lines are passed over. A line that is there twice counts
/// once.
///
/// # Errors
/// `TooLong`, or `Line` with the number of the line and what is wrong with it.
pub fn parse_text(text: &str) -> Result<Vec<(String, String)>, MapError> {
    if text.len() > TEXT_LIMIT {
        return Err(MapError::TooLong { limit: TEXT_LIMIT });
    }
    let mut found: Vec<(String, String)> = Vec::new();
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let read = entry(line).and_then(|entry| {
            let Some((fingerprint, host)) = entry else {
                return Ok(());
            };
            match seen.get(&fingerprint) {
                Some(&(index, _)) if found[index].1 == host => {}
                Some(&(_, earlier)) => return Err(LineProblem::Repeated { earlier }),
                None => {
                    seen.insert(fingerprint.clone(), (found.len(), number));
                    found.push((fingerprint, host));
                }
            }
            Ok(())
        });
        read.map_err(|problem| MapError::Line {
            line: number,
            problem,
        })?;
    }
    Ok(found)
}

fn entry(line: &str) -> Result<Option<(String, String)>, LineProblem> {
    if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with('#') {
        return Ok(None);
    }
    if line.len() > LINE_LIMIT {
        return Err(LineProblem::TooLong);
    }
    if line.starts_with([' ', '\t']) {
        return Err(LineProblem::Continuation);
    }
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(LineProblem::Control);
    }
    if openssl_label(line) {
        return Err(LineProblem::Label);
    }
    let (key, host) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let fingerprint = key.to_ascii_uppercase();
    check(&fingerprint)?;
    let host = host.trim_ascii();
    if host.is_empty() {
        return Err(LineProblem::NoHost);
    }
    Ok(Some((fingerprint, host.to_owned())))
}

/// `SHA256 Fingerprint=AA:...` from openssl x509, `SHA2-256(stdin)= aabb...` and `(stdin)= ...` from openssl dgst.
fn openssl_label(line: &str) -> bool {
    line.split_once('=').is_some_and(|(label, rest)| {
        let label = label.to_ascii_lowercase();
        (label.ends_with("fingerprint") || label.ends_with(')'))
            && rest
                .trim_ascii()
                .starts_with(|c: char| c.is_ascii_hexdigit())
    })
}

fn check(key: &str) -> Result<(), LineProblem> {
    let lengths = Digest::ALL.map(Digest::bytes);
    if !key.contains(':') {
        let hex = key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = lengths.iter().any(|bytes| bytes * 2 == key.len());
        return Err(if hex && known {
            LineProblem::NoColons
        } else {
            LineProblem::NotHex
        });
    }
    let pairs: Vec<&str> = key.split(':').collect();
    if !pairs
        .iter()
        .all(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(LineProblem::NotHex);
    }
    if lengths.contains(&pairs.len()) {
        Ok(())
    } else {
        Err(LineProblem::Length { bytes: pairs.len() })
    }
}
