//! What tables answer, where that can be said without asking them.
//!
//! Enters: a table as it is named in a value, and the facts. Leaves: its rows with their places. Refuses to know: what
//! only a server, a program or a pattern could answer.

use super::Subject;
use crate::config::{Place, Scope};

/// More rows than this are not read.
const MOST: usize = 20_000;

/// The types whose text `postmap` reads.
const TEXTS: &[&str] = &["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"];

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Table {
    /// It says the same to everybody (`static:`).
    Always(String),
    /// All that it knows.
    Rows(Vec<Row>),
    /// It cannot be said here.
    Unknown,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub key: String,
    pub value: String,
    /// Its line in the file; none if it stands in the value itself.
    pub place: Option<Place>,
}

impl Table {
    /// The rows, if they are known.
    pub fn rows(&self) -> &[Row] {
        match self {
            Self::Rows(rows) => rows,
            _ => &[],
        }
    }
}

/// The tables that a parameter names, in order.
pub(super) fn tables(subject: &Subject<'_>, scope: Scope<'_>, parameter: &str) -> Vec<Table> {
    scope
        .list(parameter)
        .iter()
        .map(|name| table(subject, scope, name))
        .collect()
}

fn table(subject: &Subject<'_>, scope: Scope<'_>, name: &str) -> Table {
    let name = name.strip_prefix("proxy:").unwrap_or(name);
    let Some((kind, rest)) = name.split_once(':') else {
        return Table::Unknown;
    };
    match kind {
        "static" => Table::Always(unbraced(rest).to_owned()),
        "inline" => Table::Rows(inline(rest)),
        _ if TEXTS.contains(&kind) => {
            let path = scope.config().absolute(rest, scope);
            match subject
                .facts
                .found(&path)
                .and_then(|found| found.text.as_deref())
            {
                Some(text) => Table::Rows(rows(text, &path)),
                None => Table::Unknown,
            }
        }
        _ => Table::Unknown,
    }
}

fn unbraced(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .map_or(text, str::trim)
}

/// `{ { key = value }, key = value }`.
fn inline(text: &str) -> Vec<Row> {
    let row = |text: &str| {
        let (key, value) = text.split_once('=')?;
        Some(Row {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
            place: None,
        })
    };
    let mut rows = Vec::new();
    let mut rest = unbraced(text);
    while rows.len() < MOST {
        rest = rest.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            break;
        }
        let length = match rest.strip_prefix('{') {
            Some(_) => {
                let mut depth = 0_u32;
                rest.find(|c| {
                    match c {
                        '{' => depth += 1,
                        '}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    depth == 0
                })
                .map_or(rest.len(), |end| end + 1)
            }
            None => rest
                .find([',', ' ', '\t', '\r', '\n'])
                .unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at(length.min(rest.len()));
        rows.extend(row(unbraced(word)));
        rest = behind;
    }
    rows
}

/// The text that `postmap` reads: `key value`, comments, lines that go on with a blank.
fn rows(text: &str, path: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        if rows.len() >= MOST {
            break;
        }
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some(row) = rows.last_mut() {
                row.value.push(' ');
                row.value.push_str(line.trim());
            }
            continue;
        }
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        rows.push(Row {
            key: key.to_owned(),
            value: value.trim().to_owned(),
            place: Some(Place {
                file: path.to_owned(),
                line: Some(number),
            }),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_value_and_of_a_file() {
        let pairs = |rows: Vec<Row>| -> Vec<(String, String)> {
            rows.into_iter().map(|row| (row.key, row.value)).collect()
        };
        let one = (
            "[relay.example.org]:2500".to_owned(),
            "secure match=nexthop".to_owned(),
        );
        assert_eq!(
            pairs(inline(
                "{ { [relay.example.org]:2500 = secure match=nexthop } }"
            )),
            std::slice::from_ref(&one)
        );
        assert_eq!(
            pairs(inline("{ a=b, { c = d } }")),
            [
                ("a".to_owned(), "b".to_owned()),
                ("c".to_owned(), "d".to_owned())
            ]
        );
        assert_eq!(
            pairs(rows(
                "# x\n[relay.example.org]:2500\tsecure\n  match=nexthop\n",
                "/m"
            )),
            [one]
        );
    }
}
