//! main.cf.
//!
//! Enters: its bytes. Leaves: every `name = value` with its lines, and what Postfix would not take as it was meant.
//! Refuses to know: defaults, and what a value means.

use std::collections::HashMap;

use super::defect::{Defect, DefectKind, Defects, shown};
use super::logical::{Logical, is_blank, logical_lines};
use super::words::{NotNameValue, name_value};
use super::{MAIN_CF, READ_ONLY};

/// What main.cf holds.
#[derive(Debug, Clone, Default)]
pub struct MainCf {
    /// Every `name = value`, in the order of the file, doubles among them.
    pub entries: Vec<Entry>,
    /// What Postfix would not take as it was meant, in the order of the lines.
    pub defects: Vec<Defect>,
    last: HashMap<String, usize>,
}

/// A `name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The parameter.
    pub name: String,
    /// The value with its lines joined, as `postconf -n` shows it; nothing is expanded.
    pub value: String,
    /// Its first line, from 1.
    pub line: u32,
    /// How many lines of the file it spans, comments between them counted too.
    pub lines: u32,
}

impl MainCf {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let lines = logical_lines(bytes);
        let mut defects = Defects::of(MAIN_CF);
        defects.add_lines(&lines);
        let mut main = Self::default();
        for logical in &lines.lines {
            if logical.is_orphan() {
                defects.add(
                    DefectKind::ContinuationWithoutLine,
                    logical.first(),
                    format!(
                        "`{}` begins with a blank and continues nothing",
                        shown(logical.text.trim_start())
                    ),
                );
            } else {
                main.add(logical, &mut defects);
            }
        }
        main.defects = defects.into_vec();
        main
    }

    fn add(&mut self, logical: &Logical, defects: &mut Defects) {
        let line = logical.first();
        let (name, value) = match name_value(&logical.text) {
            Ok(pair) => pair,
            Err(NotNameValue::NoName) => {
                let text = "no name before `=`".to_owned();
                defects.add(DefectKind::MissingName, line, text);
                return;
            }
            Err(NotNameValue::NoEquals) => {
                let text = format!("no `=` in `{}`", shown(&logical.text));
                defects.add(DefectKind::MissingEquals, line, text);
                return;
            }
        };
        let mut defect = |kind, line, text| defects.push(kind, Some(line), None, Some(name), text);
        if let Some(before) = self.get(name) {
            let same = if before.value == value {
                "with the same value"
            } else {
                "with another value"
            };
            let text = format!(
                "`{}` is set on line {} too, {same}; the last one counts",
                shown(name),
                before.line
            );
            defect(DefectKind::DuplicateParameter, line, text);
        }
        if READ_ONLY.contains(&name) {
            let text = format!("`{name}` is set by Postfix alone");
            defect(DefectKind::ReadOnlyParameter, line, text);
        }
        let value_at = logical.text.find('=').unwrap_or_default();
        if let Some(at) = trailing_comment(&logical.text, value_at) {
            let text = format!(
                "`{}` is part of the value of `{}`",
                shown(logical.text.get(at..).unwrap_or_default()),
                shown(name)
            );
            defect(DefectKind::TrailingComment, logical.line_at(at), text);
        }
        if opened(value) != 0 {
            let text = format!(
                "`{{` and `}}` do not pair in the value of `{}`",
                shown(name)
            );
            defect(DefectKind::UnbalancedBraces, line, text);
        }
        self.last.insert(name.to_owned(), self.entries.len());
        self.entries.push(Entry {
            name: name.to_owned(),
            value: value.to_owned(),
            line,
            lines: logical.span(),
        });
    }

    /// The entry that counts for a name: the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.last.get(name).and_then(|at| self.entries.get(*at))
    }

    /// The entries that count, one for a name, in the order of the file.
    pub fn counting(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(at, entry)| self.last.get(&entry.name) == Some(at))
            .map(|(_, entry)| entry)
    }
}

/// A `#` behind a blank and outside of braces: the place of the first, at or behind a place.
fn trailing_comment(text: &str, from: usize) -> Option<usize> {
    let mut level = 0_u32;
    let mut blank = false;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            b'{' => level += 1,
            b'}' => level = level.saturating_sub(1),
            b'#' if blank && level == 0 => return Some(at),
            _ => {}
        }
        blank = is_blank(byte) || at == from;
    }
    None
}

/// How many more braces are opened than closed.
fn opened(value: &str) -> i64 {
    value.bytes().fold(0, |level, byte| match byte {
        b'{' => level + 1,
        b'}' => level - 1,
        _ => level,
    })
}
