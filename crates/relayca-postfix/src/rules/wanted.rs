//! Which files a configuration names, so that somebody can look at them before the rules judge.
//!
//! Enters: a configuration. Leaves: absolute paths, each with what it is for. Refuses to know: whether they are there.

use std::collections::BTreeMap;

use crate::config::{Config, Scope};

/// More paths than this are not asked for: no real configuration names as many.
const MOST: usize = 2000;

/// What a path is for. The order is that of how much is looked at: where one path is wanted for two things, the last counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A directory in which one of the others lies, or that Postfix works in: its mode and owner only.
    Directory,
    /// The database that is made from a map: its dates only.
    Database,
    /// A map whose content is not for our eyes: passwords, or how to log in to a database server.
    SecretMap,
    /// A map: its text.
    Map,
    /// Parameters for Diffie-Hellman: what PEM blocks it has.
    Parameters,
    /// Certificates, keys, or both: what PEM blocks it has, as far as can be said without a secret.
    Pem,
}

/// The files whose names end the parameters `smtpd_tls_…`, `smtp_tls_…` and `lmtp_tls_…`.
const PEM_FILES: &[&str] = &[
    "cert_file",
    "key_file",
    "eccert_file",
    "eckey_file",
    "dcert_file",
    "dkey_file",
    "chain_files",
    "CAfile",
];

/// The map types that are files, and what is appended to the name for the database (database_README).
pub const FILE_TYPES: &[(&str, &[&str])] = &[
    ("hash", &[".db"]),
    ("btree", &[".db"]),
    ("lmdb", &[".lmdb"]),
    ("cdb", &[".cdb"]),
    ("dbm", &[".dir", ".pag"]),
    ("sdbm", &[".dir", ".pag"]),
    ("texthash", &[]),
    ("cidr", &[]),
    ("pcre", &[]),
    ("regexp", &[]),
];

/// The map types that are named by a file which tells how to reach a server.
const SERVER_TYPES: &[&str] = &["mysql", "pgsql", "ldap", "sqlite", "mongodb", "memcache"];

/// All paths, each once, in order.
#[must_use]
pub fn wanted(config: &Config) -> BTreeMap<String, Purpose> {
    let mut paths = Paths::default();
    let main = config.main_scope();
    paths.of_tls(config, main);
    for service in &config.master.services {
        let scope = config.scope(service);
        paths.of_tls(config, scope);
        for option in &service.options {
            paths.of_maps(config, scope, &option.name);
        }
    }
    for entry in &config.main.entries {
        paths.of_maps(config, main, &entry.name);
    }
    for name in ["queue_directory", "data_directory"] {
        paths.add(main.value(name).text, Purpose::Directory);
    }
    paths.0
}

/// A map as it is named in a value: `hash:/etc/postfix/relay_clientcerts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapName {
    /// `hash`.
    pub kind: String,
    /// `/etc/postfix/relay_clientcerts`; for other types whatever stands behind the colon.
    pub name: String,
}

/// The maps named in a value: words with a known type, a colon and more; what lies behind `proxy:` is looked through, and
/// braces are too.
#[must_use]
pub fn maps_in(value: &str) -> Vec<MapName> {
    value
        .split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '{' | '}'))
        .filter_map(|word| {
            let word = word.strip_prefix("proxy:").unwrap_or(word);
            let (kind, name) = word.split_once(':')?;
            let known = FILE_TYPES.iter().any(|(file, _)| *file == kind)
                || SERVER_TYPES.contains(&kind)
                || matches!(
                    kind,
                    "static" | "inline" | "unix" | "environ" | "fail" | "tcp" | "socketmap"
                );
            known.then(|| MapName {
                kind: kind.to_owned(),
                name: name.to_owned(),
            })
        })
        .collect()
}

#[derive(Default)]
struct Paths(BTreeMap<String, Purpose>);

impl Paths {
    fn add(&mut self, path: String, purpose: Purpose) {
        // What is left of an unknown `$name` is no path.
        if !path.starts_with('/') || path.contains(['\0', '$']) || self.0.len() >= MOST {
            return;
        }
        if purpose != Purpose::Directory
            && let Some((directory, _)) = path.rsplit_once('/')
            && !directory.is_empty()
        {
            self.add(directory.to_owned(), Purpose::Directory);
        }
        let known = self.0.entry(path).or_insert(purpose);
        *known = purpose.max(*known);
    }

    fn of_tls(&mut self, config: &Config, scope: Scope<'_>) {
        for side in ["smtpd", "smtp", "lmtp"] {
            for end in PEM_FILES {
                for path in scope.list(&format!("{side}_tls_{end}")) {
                    self.add(config.absolute(&path, scope), Purpose::Pem);
                }
            }
            for path in scope.list(&format!("{side}_tls_CApath")) {
                self.add(config.absolute(&path, scope), Purpose::Directory);
            }
        }
        for name in ["smtpd_tls_dh1024_param_file", "smtpd_tls_dh512_param_file"] {
            let path = scope.value(name).text;
            if !path.is_empty() && path != "auto" {
                self.add(config.absolute(&path, scope), Purpose::Parameters);
            }
        }
    }

    fn of_maps(&mut self, config: &Config, scope: Scope<'_>, parameter: &str) {
        let secret = parameter.contains("sasl") || parameter.contains("password");
        for map in maps_in(&scope.value(parameter).text) {
            if SERVER_TYPES.contains(&map.kind.as_str()) {
                self.add(map.name, Purpose::SecretMap);
                continue;
            }
            let Some((_, databases)) = FILE_TYPES.iter().find(|(kind, _)| *kind == map.kind) else {
                continue;
            };
            let path = config.absolute(&map.name, scope);
            for end in *databases {
                self.add(format!("{path}{end}"), Purpose::Database);
            }
            let purpose = if secret {
                Purpose::SecretMap
            } else {
                Purpose::Map
            };
            self.add(path, purpose);
        }
    }
}
