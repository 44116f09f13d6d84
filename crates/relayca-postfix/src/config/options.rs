//! The arguments of a service's daemon.
//!
//! Enters: the words behind the command. Leaves: the parameters that they override, as the daemon's getopt(3) takes
//! them, and what it would not take as it was meant. Refuses to know: what a parameter means.

use super::READ_ONLY;
use super::defect::{DefectKind, Defects, shown};
use super::master_cf::{Override, Service, Word};
use super::words::{NotNameValue, name_value};

/// Options without a value, of any daemon.
const FLAGS: &str = "cdDlSuvVz";

/// Options with a value other than `-o`, of any daemon.
const WITH_VALUE: &str = "imnrst";

/// The parameters that a service overrides. What stands behind the first word that is no option is not read: so do the
/// daemons.
pub(super) fn read_options(service: &Service, defects: &mut Defects) -> Vec<Override> {
    let mut reader = Reader {
        label: service.label(),
        words: &service.words,
        at: 0,
        spaced: false,
        options: Vec::new(),
        defects,
    };
    while let Some(word) = reader.words.get(reader.at) {
        match word.text.strip_prefix('-') {
            // What follows `--` is meant to be no options.
            Some("-") => {
                let own = matches!(service.process_name(), "pipe" | "spawn");
                if let Some(word) = reader.words.get(reader.at + 1).filter(|_| !own) {
                    reader.ended_by(word);
                }
                break;
            }
            Some(letters) if !letters.is_empty() => {
                reader.at += 1;
                reader.letters(word, letters);
            }
            _ => {
                // pipe(8) and spawn(8) have arguments of their own behind the options, smtp(8) and lmtp(8) may have flags
                // there (3.5); the other daemons have none.
                let own = match service.process_name() {
                    "pipe" | "spawn" => true,
                    "smtp" | "lmtp" => word.text.starts_with("flags="),
                    _ => false,
                };
                if !reader.spaced && (!own || reader.is_lost()) {
                    reader.ended_by(word);
                }
                break;
            }
        }
    }
    reader.options
}

struct Reader<'a> {
    label: String,
    words: &'a [Word],
    /// The next word.
    at: usize,
    /// Whether blanks around `=` were told of already.
    spaced: bool,
    options: Vec<Override>,
    defects: &'a mut Defects,
}

impl<'a> Reader<'a> {
    fn defect(&mut self, kind: DefectKind, line: u32, name: Option<&str>, text: String) {
        let label = Some(self.label.clone());
        self.defects.push(kind, Some(line), label, name, text);
    }

    /// The letters behind a `-`: flags, and at most one option with a value.
    fn letters(&mut self, word: &'a Word, letters: &'a str) {
        for (index, letter) in letters.char_indices() {
            if FLAGS.contains(letter) {
                continue;
            }
            if letter != 'o' && !WITH_VALUE.contains(letter) {
                let letter = shown(&letter.to_string());
                let text = format!("no daemon of Postfix has an option `-{letter}`");
                self.defect(DefectKind::UnknownFlag, word.line, None, text);
                continue;
            }
            let attached = letters.get(index + letter.len_utf8()..);
            let attached = attached.filter(|attached| !attached.is_empty());
            let next = self.words.get(self.at).filter(|_| attached.is_none());
            self.at += usize::from(next.is_some());
            match (attached, next) {
                (Some(text), _) if letter == 'o' => self.option(text, word.line, false),
                (None, Some(next)) if letter == 'o' => {
                    self.option(&next.text, next.line, next.braced);
                }
                (None, None) => {
                    let text = format!("nothing follows `-{letter}`");
                    self.defect(DefectKind::BadOption, word.line, None, text);
                }
                _ => {}
            }
            return;
        }
    }

    /// What stands behind `-o`.
    fn option(&mut self, text: &str, line: u32, braced: bool) {
        if text.starts_with('{') && !braced {
            let text = format!("`-o{}` needs a blank before the brace", shown(text));
            self.defect(DefectKind::BadOption, line, None, text);
            return;
        }
        match name_value(text) {
            Ok((name, value)) => {
                if READ_ONLY.contains(&name) {
                    let text = format!("`{name}` is set by Postfix alone");
                    self.defect(DefectKind::ReadOnlyParameter, line, Some(name), text);
                }
                self.options.push(Override {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    line,
                    braced,
                });
            }
            Err(why) => {
                let next = self.words.get(self.at);
                self.spaced = why == NotNameValue::NoEquals
                    && next.is_some_and(|next| next.text.starts_with('='));
                let name = shown(text);
                if self.spaced {
                    let text =
                        format!("`-o {name} = ...` has blanks around `=`; that needs braces");
                    self.defect(DefectKind::SpacedOption, line, None, text);
                } else {
                    let text = format!("`-o {name}` is no `name=value`");
                    self.defect(DefectKind::BadOption, line, None, text);
                }
            }
        }
    }

    /// Whether pipe(8) or spawn(8) has a `-o` or a comment among its own arguments, before the command that it runs.
    fn is_lost(&self) -> bool {
        self.words
            .iter()
            .skip(self.at)
            .take_while(|word| !word.text.starts_with("argv="))
            .any(|word| word.text == "-o" || word.text.starts_with('#'))
    }

    /// The options end at a word that is none.
    fn ended_by(&mut self, word: &Word) {
        let behind = self.words.get(self.at..).unwrap_or_default();
        let lost: Vec<String> = behind
            .windows(2)
            .filter_map(|pair| match pair {
                [flag, value] if flag.text == "-o" => Some(shown(name_value(&value.text).ok()?.0)),
                _ => None,
            })
            .collect();
        let last = self.options.last().map(|option| option.name.clone());
        let mut text = match &last {
            Some(name) => format!(
                "`{}` is no part of the value of `{}`",
                shown(&word.text),
                shown(name)
            ),
            None => format!("`{}` is no option", shown(&word.text)),
        };
        match lost.as_slice() {
            [] => {}
            [name] => text.push_str(&format!(", and `-o {name}` behind it does not count")),
            names => {
                let few: Vec<&str> = names.iter().take(4).map(String::as_str).collect();
                let (count, few) = (names.len(), few.join("`, `"));
                let more = if count > 4 { " and more" } else { "" };
                text.push_str(&format!(
                    ", and the {count} options behind it do not count: `{few}`{more}"
                ));
            }
        }
        let kind = if word.text.starts_with('#') {
            DefectKind::TrailingComment
        } else {
            DefectKind::WordsAfterOption
        };
        self.defect(kind, word.line, last.as_deref(), text);
    }
}
