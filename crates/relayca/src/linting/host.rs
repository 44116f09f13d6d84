//! Which Postfix it is: its version and map types, and what its own `postconf` has to complain about.
//!
//! In: where the configuration lies. Out: what is known, from the command line first, then from the host, or from the
//! package database of another root. It refuses to guess: what is not known stays unknown.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use relayca_postfix::config::Version;

use super::Source;
use super::beneath::beneath;
use super::postconf::postconf;
use crate::cli::Lint;
use crate::failure::Failure;
use crate::printer;
use crate::settings::word;

/// The most of a package database that is read.
const LONGEST: u64 = 64 << 20;
/// The most complaints that are kept.
const MOST_COMPLAINTS: usize = 50;

/// What is known.
#[derive(Debug, Default)]
pub struct Host {
    /// The version.
    pub version: Option<Version>,
    /// The map types.
    pub map_types: Option<Vec<String>>,
    /// What `postconf -n` and `postconf -M` say on stderr, a line each, each once.
    pub complaints: Vec<String>,
}

/// Asks whom there is to ask.
///
/// # Errors
/// Where an option holds no version, or no name of a map type.
pub fn ask(source: &Source, arguments: &Lint) -> Result<Host, Failure> {
    let mut host = Host {
        version: arguments.postfix.as_deref().map(word).transpose()?,
        ..Host::default()
    };
    if !arguments.map_types.is_empty() {
        let types: Vec<String> = arguments
            .map_types
            .iter()
            .flat_map(|types| types.split_whitespace())
            .map(str::to_owned)
            .collect();
        if let Some(odd) = types.iter().find(|name| {
            !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        }) {
            return Err(
                Failure::usage(format!("`{}` is not a map type", printer::one_line(odd)))
                    .hint("as in --map-types hash,lmdb,texthash"),
            );
        }
        host.map_types = Some(types);
    }
    let live = arguments.root.is_none();
    if !live {
        host.version = host.version.or_else(|| installed_version(&source.root));
        return Ok(host);
    }
    if host.version.is_none() {
        host.version =
            postconf(&["-d", "-h", "mail_version"]).and_then(|said| said.out.trim().parse().ok());
    }
    if host.map_types.is_none() {
        host.map_types = postconf(&["-m"])
            .map(|said| {
                said.out
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter(|types| !types.is_empty());
    }
    // A version named on the command line is another Postfix than this one: what this one says is beside the point.
    if arguments.postfix.is_none()
        && let Some(directory) = source
            .directory
            .as_deref()
            .filter(|path| nobody_else_writes(path))
        && let Some(directory) = directory.to_str()
    {
        for mode in ["-n", "-M"] {
            let said = postconf(&["-c", directory, mode]);
            for line in said.iter().flat_map(|said| said.err.lines()) {
                let line = printer::one_line(line.trim());
                if !line.is_empty()
                    && host.complaints.len() < MOST_COMPLAINTS
                    && !host.complaints.contains(&line)
                {
                    host.complaints.push(line);
                }
            }
        }
    }
    Ok(host)
}

/// Whether only root or this user can have written the configuration: it may name libraries that `postconf` loads.
fn nobody_else_writes(directory: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    [
        directory.to_owned(),
        directory.join("main.cf"),
        directory.join("master.cf"),
    ]
    .iter()
    .all(|path| {
        std::fs::metadata(path).is_ok_and(|metadata| {
            (metadata.uid() == 0 || metadata.uid() == me) && metadata.mode() & 0o022 == 0
        })
    })
}

/// What the package database of another root says: Debian's, Alpine's.
pub fn installed_version(root: &Path) -> Option<Version> {
    let open = |path: &str| {
        let path = beneath(root, Path::new(path)).ok()?;
        let file = std::fs::File::open(path).ok()?;
        file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(BufReader::new(file.take(LONGEST)))
    };
    open("/var/lib/dpkg/status")
        .and_then(|file| version_of(file, "Package: postfix", "Version: "))
        .or_else(|| {
            open("/lib/apk/db/installed").and_then(|file| version_of(file, "P:postfix", "V:"))
        })
}

/// The value behind `field` in the paragraph that has the line `package`.
fn version_of(database: impl BufRead, package: &str, field: &str) -> Option<Version> {
    let mut inside = false;
    for line in database.split(b'\n') {
        let line = line.ok()?;
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            inside = false;
        } else if line == package {
            inside = true;
        } else if inside && let Some(version) = line.strip_prefix(field) {
            // Debian puts an epoch before and its own revision behind.
            let version = version
                .split_once(':')
                .map_or(version, |(_, version)| version);
            return version.split(['-', '+', '~']).next()?.trim().parse().ok();
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_package_database_of_a_backup_tells_the_version() {
        let debian = "Package: postfix-lmdb\nVersion: 9.9\n\nPackage: postfix\nStatus: install ok installed\nVersion: 3.5.25-0+deb11u1\n\n";
        let found = version_of(debian.as_bytes(), "Package: postfix", "Version: ");
        assert_eq!(found, Some("3.5".parse().unwrap()));
        let alpine = "P:musl\nV:1.2\n\nP:postfix\nV:3.10.4-r0\n\n";
        let found = version_of(alpine.as_bytes(), "P:postfix", "V:");
        assert_eq!(found, Some("3.10".parse().unwrap()));
        assert_eq!(
            version_of("P:exim\nV:4\n".as_bytes(), "P:postfix", "V:"),
            None
        );
    }
}
