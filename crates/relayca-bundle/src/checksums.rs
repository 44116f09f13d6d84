//! `SHA256SUMS`, the list that `sha256sum -c` checks.
//!
//! In come names and contents; out comes the list, or what is wrong with one. It refuses to know archives.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

/// The name of the list inside a bundle.
pub const CHECKSUMS_NAME: &str = "SHA256SUMS";

/// One line for each file, `digest`, two blanks and the name, in the order given (GNU coreutils `sha256sum`).
pub(crate) fn checksums<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut list = String::new();
    for (name, content) in files {
        // Writing to a String cannot fail.
        let _ = writeln!(list, "{}  {name}", sha256_hex(content));
    }
    list
}

/// The list as a map from name to digest; `None` for a line that is not of that form or a name listed twice.
pub(crate) fn parse(list: &[u8]) -> Option<BTreeMap<&str, &str>> {
    let text = std::str::from_utf8(list).ok()?;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let (digest, name) = line.split_once("  ")?;
        let hex = digest.len() == 64
            && digest
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !hex || found.insert(name, digest).is_some() {
            return None;
        }
    }
    Some(found)
}

/// SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(content: &[u8]) -> String {
    let digest = digest(&SHA256, content);
    let mut hex = String::with_capacity(2 * digest.as_ref().len());
    for byte in digest.as_ref() {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    hex
}
