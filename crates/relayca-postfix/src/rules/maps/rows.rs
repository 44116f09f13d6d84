//! The text of a table, read as Postfix reads it.
//!
//! Enters: the text of a file, or the body of `inline:`. Leaves: rows with their lines. Refuses to know: what the rows are for.

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Row {
    /// From 1; none for `inline:`.
    pub line: Option<u32>,
    /// What is looked up.
    pub key: String,
    /// What is found; empty where nothing stands behind the key.
    pub value: String,
    /// First words of the lines that continue this one, with their numbers.
    pub continued: Vec<(u32, String)>,
}

/// More rows than this are not read.
const MOST: usize = 100_000;

/// The rows of a text: blank lines and comments are passed over, a line that begins with a blank continues the one before.
pub(in crate::rules) fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t'])
            && let Some(row) = rows.last_mut()
        {
            let first = trimmed.split_whitespace().next().unwrap_or_default();
            row.continued.push((number, first.to_owned()));
            row.value = format!("{} {trimmed}", row.value).trim().to_owned();
            continue;
        }
        if rows.len() >= MOST {
            break;
        }
        let (key, value) = split(trimmed);
        rows.push(Row {
            line: Some(number),
            key,
            value,
            continued: Vec::new(),
        });
    }
    rows
}

/// The key, which may stand in quotes (since 3.2), and the rest.
fn split(line: &str) -> (String, String) {
    if let Some(rest) = line.strip_prefix('"')
        && let Some((key, value)) = rest.split_once('"')
    {
        return (key.to_owned(), value.trim().to_owned());
    }
    match line.split_once(char::is_whitespace) {
        Some((key, value)) => (key.to_owned(), value.trim().to_owned()),
        None => (line.to_owned(), String::new()),
    }
}

/// The rows of `inline:{ key=value, { key = text with spaces } }`: the body with its braces.
pub(in crate::rules) fn inline_rows(body: &str) -> Vec<Row> {
    let body = body.trim();
    let inner = body
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(body);
    let mut rows = Vec::new();
    for element in elements(inner) {
        let element = element
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(element);
        let (key, value) = element.split_once('=').unwrap_or((element, ""));
        rows.push(Row {
            line: None,
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
            continued: Vec::new(),
        });
        if rows.len() >= MOST {
            break;
        }
    }
    rows
}

/// Words between commas and blanks, braces kept together.
fn elements(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let (mut depth, mut start) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (c == ',' || c.is_whitespace()) {
            if let Some(from) = start.take() {
                all.extend(text.get(from..at));
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(from) = start {
        all.extend(text.get(from..));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_postmap_sees() {
        let rows = rows("# c\n\nA b c\n  d e\n\"x y\" z\nalone\n\t# not this\n");
        let seen: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.line,
                    row.key.as_str(),
                    row.value.as_str(),
                    row.continued.len(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (Some(3), "A", "b c d e", 1),
                (Some(5), "x y", "z", 0),
                (Some(6), "alone", "", 0)
            ]
        );
    }

    #[test]
    fn inline_tables_have_rows_in_both_forms() {
        let rows = inline_rows("{ A:B=one, { C:D = two words } }");
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.key.as_str(), row.value.as_str()))
            .collect();
        assert_eq!(seen, [("A:B", "one"), ("C:D", "two words")]);
        assert!(inline_rows("{}").is_empty());
    }
}
