//! Which tables a configuration names.
//!
//! Enters: a [`Subject`]. Leaves: tables with the place that names them, and what can be said of their rows. Refuses to know:
//! databases; the text beside them is what people edit.

use super::rows::{Row, inline_rows, rows};
use crate::config::{Place, Scope};
use crate::rules::files::named::owner;
use crate::rules::relay::walk::{OTHERS, RECIPIENT, RELAY, Restriction, restrictions, servers};
use crate::rules::wanted::FILE_TYPES;
use crate::rules::{Found, Subject};

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Table {
    /// `lmdb`; empty where there is none.
    pub kind: String,
    /// A path, made absolute for kinds that are files; else whatever stands behind the colon.
    pub name: String,
    /// The path as written.
    pub written: String,
    /// The parameter that names it.
    pub parameter: String,
    pub place: Place,
    /// The service whose option names it.
    pub service: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Purpose {
    /// Fingerprints of clients that may relay: relay_clientcerts.
    Relaying,
    /// Fingerprints with actions: check_ccert_access.
    Access,
    /// Anything else.
    Other,
}

impl Table {
    /// Whether it decides who relays by certificate.
    pub fn of_fingerprints(&self) -> bool {
        self.purpose != Purpose::Other
    }

    /// What is appended to the name for the database; nothing for kinds that are read as text, none for those that are no files.
    pub fn databases(&self) -> Option<&'static [&'static str]> {
        databases(&self.kind)
    }

    /// As it is written: `lmdb:/etc/postfix/relay_clientcerts`.
    pub fn shown(&self) -> String {
        if self.kind.is_empty() {
            self.written.clone()
        } else {
            format!("{}:{}", self.kind, self.written)
        }
    }

    /// The text file, if somebody looked at it.
    pub fn source<'a>(&self, subject: &Subject<'a>) -> Option<&'a Found> {
        self.databases()?;
        subject
            .facts
            .found(&self.name)
            .filter(|found| !found.directory)
    }

    /// The rows, where they are known.
    pub fn rows(&self, subject: &Subject<'_>) -> Option<Vec<Row>> {
        if self.kind == "inline" {
            return Some(inline_rows(&self.name));
        }
        Some(rows(self.source(subject)?.text.as_deref()?))
    }

    /// Whether a key is looked up as it stands, and not matched by patterns.
    pub fn is_exact(&self) -> bool {
        self.kind == "inline"
            || self.kind == "texthash"
            || self.databases().is_some_and(|ends| !ends.is_empty())
    }
}

fn databases(kind: &str) -> Option<&'static [&'static str]> {
    FILE_TYPES
        .iter()
        .find(|(known, _)| *known == kind)
        .map(|(_, ends)| *ends)
}

/// A word of a list as a table: its kind and the rest, `proxy:` and `debug:` taken off; from `{ kind:name, option = value }`
/// the first word.
fn kind_and_name(word: &str) -> (String, String) {
    let word = word.trim();
    let word = match word
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(inner) => {
            let inner = inner.trim();
            let end = inner.find([',', ' ', '\t']).unwrap_or(inner.len());
            inner.get(..end).unwrap_or(inner)
        }
        None => word,
    };
    let mut word = word;
    while let Some(rest) = word
        .strip_prefix("proxy:")
        .or_else(|| word.strip_prefix("debug:"))
    {
        word = rest;
    }
    match word.split_once(':') {
        Some((kind, name)) => (kind.to_owned(), name.to_owned()),
        None => (String::new(), word.to_owned()),
    }
}

/// The table that a word of a parameter's value names.
pub(in crate::rules) fn table(
    scope: Scope<'_>,
    parameter: &str,
    word: &str,
    purpose: Purpose,
) -> Table {
    let value = scope.value(parameter);
    let (kind, written) = kind_and_name(word);
    let name = if databases(&kind).is_some() {
        scope.config().absolute(&written, scope)
    } else {
        written.clone()
    };
    Table {
        kind,
        name,
        written,
        parameter: parameter.to_owned(),
        place: scope.place(&value),
        service: owner(scope, &value),
        purpose,
    }
}

/// The table of a restriction that asks one; none for a policy service and the like.
pub(in crate::rules) fn of_restriction(
    scope: Scope<'_>,
    list: &str,
    restriction: &Restriction,
) -> Option<Table> {
    let asks = restriction.name.starts_with("check_") && restriction.name.ends_with("_access");
    let word = restriction.argument.as_deref().filter(|_| asks)?;
    let purpose = if restriction.name == "check_ccert_access" {
        Purpose::Access
    } else {
        Purpose::Other
    };
    Some(table(scope, list, word, purpose))
}

/// The tables of fingerprints of one scope.
pub(in crate::rules) fn fingerprints(scope: Scope<'_>) -> Vec<Table> {
    let mut tables: Vec<Table> = scope
        .list("relay_clientcerts")
        .iter()
        .map(|word| table(scope, "relay_clientcerts", word, Purpose::Relaying))
        .collect();
    for list in [RELAY, RECIPIENT].iter().chain(OTHERS) {
        tables.extend(
            restrictions(scope, list)
                .iter()
                .filter(|restriction| restriction.name == "check_ccert_access")
                .filter_map(|restriction| of_restriction(scope, list, restriction)),
        );
    }
    tables
}

/// The tables of fingerprints that any server asks, each once a place, with the scope that asks.
pub(in crate::rules) fn all_fingerprints<'a>(subject: &Subject<'a>) -> Vec<(Scope<'a>, Table)> {
    let mut all: Vec<(Scope<'a>, Table)> = Vec::new();
    for (_, scope) in servers(subject) {
        for table in fingerprints(scope) {
            if !all.iter().any(|(_, known)| *known == table) {
                all.push((scope, table));
            }
        }
    }
    all
}

/// Parameters whose tables Postfix makes and keeps itself, that only `newaliases` reads, or that merely allow what others name.
fn is_kept_by_postfix(parameter: &str) -> bool {
    parameter.contains("cache")
        || matches!(
            parameter,
            "address_verify_map" | "alias_database" | "proxy_read_maps" | "proxy_write_maps"
        )
}

/// Parameters that are lists of tables and of nothing else.
fn lists_tables(parameter: &str) -> bool {
    parameter.ends_with("_maps")
        || parameter.ends_with("_checks")
        || parameter == "relay_clientcerts"
}

/// Every table that main.cf or an option in master.cf names, each once a place.
pub(in crate::rules) fn all(subject: &Subject<'_>) -> Vec<Table> {
    let config = subject.config;
    let mut tables = Vec::new();
    let main = config.main_scope();
    for entry in &config.main.entries {
        // Only the last of several counts.
        if config
            .main
            .get(&entry.name)
            .is_some_and(|last| last.line == entry.line)
        {
            of_parameter(main, &entry.name, &mut tables);
        }
    }
    for service in &config.master.services {
        let scope = config.scope(service);
        for option in &service.options {
            of_parameter(scope, &option.name, &mut tables);
        }
    }
    tables
}

fn of_parameter(scope: Scope<'_>, parameter: &str, tables: &mut Vec<Table>) {
    if is_kept_by_postfix(parameter) {
        return;
    }
    let mut found = Vec::new();
    if lists_tables(parameter) {
        let purpose = if parameter == "relay_clientcerts" {
            Purpose::Relaying
        } else {
            Purpose::Other
        };
        found.extend(
            scope
                .list(parameter)
                .iter()
                .map(|word| table(scope, parameter, word, purpose)),
        );
    } else {
        // Restrictions and classes; anything else that asks tables has a known kind before the colon.
        for restriction in restrictions(scope, parameter) {
            found.extend(of_restriction(scope, parameter, &restriction));
        }
        if found.is_empty() {
            found.extend(
                crate::rules::maps_in(&scope.value(parameter).text)
                    .iter()
                    .map(|map| {
                        table(
                            scope,
                            parameter,
                            &format!("{}:{}", map.kind, map.name),
                            Purpose::Other,
                        )
                    }),
            );
        }
    }
    for table in found {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
}
