//! The script that a host's `sh` is given over ssh: `deploy`'s half there.
//!
//! Enters: the settings' snippet, the names of the files, a digest of what will follow on standard input. Leaves: one POSIX `sh`
//! text that looks, or puts everything in place or nothing. Refuses to know ssh, keys, and what is in the files; no secret is in
//! the text.
//!
//! It is one group in braces, so that a text cut short is a syntax error and nothing of it runs. What is asked and what is set is
//! the very text of the block that people paste.

use std::fmt::Write as _;

use crate::lists::OF_CHANGE_OF;
use crate::{CLIENT_MAP, SUBDIRECTORY, Snippet, SnippetError, key_file, validate};

/// What all hosts run.
const HOST: &str = include_str!("remote/host.sh");
/// Seconds that one run waits for another on the same host.
const PATIENCE: u32 = 30;

/// What follows the script on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends<'a> {
    /// Nothing: the host is only looked at.
    Nothing,
    /// The public files; the key lies there.
    Public {
        /// Bytes of the archive.
        size: usize,
        /// Its SHA-256, in hexadecimal digits.
        sha256: &'a str,
    },
    /// The public files and the key, in one archive.
    Key {
        /// Bytes of the archive.
        size: usize,
        /// Its SHA-256.
        sha256: &'a str,
    },
    /// The public files, and a bundle with the key that the host opens by itself with age.
    Sealed {
        /// Bytes of the archive.
        size: usize,
        /// Its SHA-256.
        sha256: &'a str,
        /// The sealed bundle's name in it.
        member: &'a str,
        /// The file on the host that opens it.
        opens: &'a str,
    },
}

/// One host.
#[derive(Debug, Clone, Copy)]
pub struct HostScript<'a> {
    /// The host, as its key file is named.
    pub host: &'a str,
    /// Postfix's configuration directory there.
    pub config_directory: &'a str,
    /// A word of letters and digits that answers begin with, so that nothing else is taken for one.
    pub token: &'a str,
    /// The public files that belong into the subdirectory.
    pub names: &'a [&'a str],
    /// Those of them that `postmap` makes tables of.
    pub maps: &'a [&'a str],
    /// SHA-256 of the public key in the host's certificate, in hexadecimal digits; empty where it gets no certificate.
    pub spki: &'a str,
    /// Those of all certificates that the authority knows of for this host: another key is somebody else's, or a later one.
    pub known: &'a [String],
    /// What Postfix is told.
    pub snippet: &'a Snippet,
    /// The change of the authority that a relay's list is of: it does not take the place of one of a later change.
    pub as_of: Option<u64>,
    /// Whether it does all the same.
    pub older: bool,
    /// What follows.
    pub sends: Sends<'a>,
}

/// Renders the script.
///
/// # Errors
/// [`SnippetError`] where a name, path or digest is not plain.
pub fn host_script(script: &HostScript<'_>) -> Result<String, SnippetError> {
    let host = validate::host(script.host)?;
    let directory = validate::directory(script.config_directory)?;
    for name in script.names.iter().chain(script.maps) {
        validate::file_name(name)?;
    }
    let mut text = String::from("{\n");
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}='{value}'");
    };
    let (mode, sends, size, sha256, member, opens) = match script.sends {
        Sends::Nothing => ("look", "public", 0, "", "", ""),
        Sends::Public { size, sha256 } => ("put", "public", size, sha256, "", ""),
        Sends::Key { size, sha256 } => ("put", "key", size, sha256, "", ""),
        Sends::Sealed {
            size,
            sha256,
            member,
            opens,
        } => {
            validate::file_name(member)?;
            validate::directory(opens)?;
            ("put", "sealed", size, sha256, member, opens)
        }
    };
    let words = [script.token, script.spki, sha256];
    for word in words
        .into_iter()
        .chain(script.known.iter().map(String::as_str))
    {
        validate::word(word)?;
    }
    set("mode", mode);
    set("token", script.token);
    set("host", host);
    set("config", directory);
    set("names", &script.names.join(" "));
    set("maps", &script.maps.join(" "));
    set("key", &key_file(host));
    set("spki", script.spki);
    set("known", &script.known.join(" "));
    set("sends", sends);
    set("size", &size.to_string());
    set("digest", sha256);
    set("sealed", member);
    set("opens", opens);
    set("patience", &PATIENCE.to_string());
    let as_of = script.as_of.filter(|_| !script.older);
    set(
        "as_of",
        &as_of.map(|as_of| as_of.to_string()).unwrap_or_default(),
    );
    set("older", if script.older { "--older" } else { "" });
    debug_assert!(HOST.contains(SUBDIRECTORY) && HOST.contains(CLIENT_MAP));
    let parts = &script.snippet.parts;
    let _ = write!(
        text,
        "\nchecks() {{\n{}:\n}}\nedits() {{\n{}:\n}}\n{OF_CHANGE_OF}\n{HOST}",
        parts.checks, parts.edits
    );
    Ok(text)
}
