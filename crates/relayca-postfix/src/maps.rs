//! The maps on the relay: scripts that put one in place, and the text of the map that binds senders.
//!
//! Enters: the text of a map, or fingerprints with their hosts. Leaves: a script, or text for `postmap`. Refuses to know
//! how fingerprints are made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::relay::{SenderBinding, class_name};
use crate::{ACCESS_MAP, CLIENT_MAP, SnippetError, lists, script, validate};

/// The script that writes `CONFIG/relayca/relay_clientcerts` whole and runs `postmap`. With `as_of`, the change of the authority
/// that the list is of, it refuses to take the place of a list of a later one.
///
/// # Errors
/// [`SnippetError`] where the directory is not plain or the map holds what does not survive being pasted.
pub fn map_script(
    config_directory: &str,
    map_text: &str,
    as_of: Option<u64>,
) -> Result<String, SnippetError> {
    write_map(config_directory, CLIENT_MAP, map_text, as_of)
}

/// The script that writes `CONFIG/relayca/relay_ccert_access` whole and runs `postmap`, unless relay_clientcerts there is of a
/// later change of the authority than `as_of`.
///
/// # Errors
/// Like [`map_script`].
pub fn access_map_script(
    config_directory: &str,
    map_text: &str,
    as_of: Option<u64>,
) -> Result<String, SnippetError> {
    write_map(config_directory, ACCESS_MAP, map_text, as_of)
}

fn write_map(
    config_directory: &str,
    name: &str,
    map_text: &str,
    as_of: Option<u64>,
) -> Result<String, SnippetError> {
    let directory = validate::directory(config_directory)?;
    for (index, line) in map_text.split('\n').enumerate() {
        let what = if line == script::DELIMITER {
            "the word that ends the map"
        } else if line.contains('\t') {
            "a tab"
        } else if !line.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            "a character beyond plain ASCII"
        } else {
            continue;
        };
        return Err(SnippetError::MapText {
            line: index + 1,
            what,
        });
    }
    Ok(lists::write_map(directory, name, map_text, as_of))
}

/// The text of `relay_ccert_access`: each fingerprint with `OK`, or with the restriction class of its host where that is
/// bound to senders (check_ccert_access, postconf(5)). Sorted by host, then fingerprint.
///
/// # Errors
/// [`SnippetError`] where a fingerprint or host is not plain, or a fingerprint is given twice.
pub fn access_map_text(
    listed: &[(String, String)],
    bindings: &[SenderBinding],
) -> Result<String, SnippetError> {
    let mut bound = BTreeMap::new();
    for binding in bindings {
        let host = validate::host(&binding.host)?;
        if bound.insert(host, class_name(host)).is_some() {
            return Err(SnippetError::BindingTwice(host.to_owned()));
        }
    }
    let mut lines = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (fingerprint, host) in listed {
        let fingerprint = validate::fingerprint(fingerprint)?;
        if !seen.insert(fingerprint) {
            return Err(SnippetError::FingerprintTwice(fingerprint.to_owned()));
        }
        lines.insert((validate::host(host)?, fingerprint));
    }
    let mut text = "# Which certificates may relay, and whether with any sender (OK) or with those of a class.\n".to_owned();
    for (host, fingerprint) in lines {
        let action = bound.get(host).map_or("OK", String::as_str);
        let _ = writeln!(text, "# {host}\n{fingerprint} {action}");
    }
    Ok(text)
}
