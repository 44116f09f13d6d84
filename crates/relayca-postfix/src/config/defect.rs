//! What is wrong with the text of main.cf and master.cf.
//!
//! Enters: logical lines, and troubles that the readers met. Leaves: [`Defect`]s, each with its place. Refuses to know:
//! what a value means to Postfix, and how bad it is.

use super::Place;
use super::logical::{Lines, Logical};

/// What is wrong with the text of a file, before anybody asks what a value means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// What kind of trouble.
    pub kind: DefectKind,
    /// Where.
    pub place: Place,
    /// In master.cf: the service that it belongs to, as `2500/inet`.
    pub service: Option<String>,
    /// The parameter that it is about, where it is about one.
    pub name: Option<String>,
    /// What is wrong in this case: lower case, no full stop, literals in backticks; nothing in it can steer a terminal.
    pub text: String,
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DefectKind {
    /// Text that begins with a blank, and no line before it to continue. Postfix passes over it, with a warning.
    ContinuationWithoutLine,
    /// A line of main.cf without `=`. Everything of Postfix stops.
    MissingEquals,
    /// A line of main.cf without a name before its `=`. Everything of Postfix stops.
    MissingName,
    /// A line of master.cf with too few fields, or with one that Postfix does not take. Postfix does not start.
    BadService,
    /// `{` without `}`, or text right behind the `}` of a word of master.cf.
    UnbalancedBraces,
    /// `$` and braces that are no expression, or one that this version does not know. Everything of Postfix that asks
    /// for the value stops.
    BadExpression,
    /// A value that contains itself, or is nested too deep. Everything of Postfix that asks for the value stops.
    Recursion,
    /// An option that no Postfix daemon knows. The daemon stops.
    UnknownFlag,
    /// Words behind the options that are none, often behind a blank in `-o name=value`: they are no part of the value,
    /// and no option behind them counts. A daemon that has no arguments of its own (smtpd and smtp have none) starts,
    /// and stops at each connection or message.
    WordsAfterOption,
    /// `-o name = value` without braces. The daemon stops.
    SpacedOption,
    /// `-o` without `name=value`, where the daemon stops; or `-o{name=value}` with no blank before the brace, where it
    /// stops or sets something of another name, whatever `postconf -P` shows.
    BadOption,
    /// Options under a service that is commented out: they belong to the service above.
    OptionsUnderComment,
    /// A parameter that is set twice in main.cf; the last one counts.
    DuplicateParameter,
    /// A service that stands twice in master.cf; the last one counts.
    DuplicateService,
    /// A parameter that only Postfix itself sets. What is said here is passed over.
    ReadOnlyParameter,
    /// A `# comment` behind a value, which is part of the value.
    TrailingComment,
    /// A control character within a line.
    ControlCharacter,
    /// Lines that end in a carriage return and a line feed. Postfix takes them as blanks.
    CarriageReturn,
    /// A character that is not ASCII, such as a typographic quote or a no-break space.
    NonAscii,
    /// A NUL byte. Postfix takes the logical line up to it.
    Nul,
    /// More than is read here: of bytes, lines, words, or defects.
    TooLong,
}

/// How many defects of a file are told.
const MAX_DEFECTS: usize = 1000;

/// The defects of one file.
#[derive(Debug)]
pub(super) struct Defects {
    file: &'static str,
    found: Vec<Defect>,
}

impl Defects {
    pub(super) fn of(file: &'static str) -> Self {
        Self {
            file,
            found: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, kind: DefectKind, line: u32, text: String) {
        self.push(kind, Some(line), None, None, text);
    }

    pub(super) fn push(
        &mut self,
        kind: DefectKind,
        line: Option<u32>,
        service: Option<String>,
        name: Option<&str>,
        text: String,
    ) {
        if self.found.len() > MAX_DEFECTS {
            return;
        }
        let last = self.found.len() == MAX_DEFECTS;
        self.found.push(Defect {
            kind: if last { DefectKind::TooLong } else { kind },
            place: Place {
                file: self.file.to_owned(),
                line,
            },
            service,
            name: name.map(str::to_owned),
            text: if last {
                "there is more wrong than is told".to_owned()
            } else {
                text
            },
        });
    }

    /// What is wrong with the file before its lines are taken apart.
    pub(super) fn add_lines(&mut self, lines: &Lines) {
        if let Some(line) = lines.stopped {
            self.add(
                DefectKind::TooLong,
                line,
                "the file is longer than is read here: 4 MiB, 10,000 logical lines".to_owned(),
            );
        }
        if let Some(line) = lines.returns {
            self.add(
                DefectKind::CarriageReturn,
                line,
                "lines end in a carriage return, as on Windows".to_owned(),
            );
        }
        for logical in &lines.lines {
            self.add_characters(logical);
        }
    }

    /// What of a line is no text as Postfix expects it; one defect of a kind for a logical line.
    fn add_characters(&mut self, logical: &Logical) {
        if let Some(line) = logical.nul {
            self.add(
                DefectKind::Nul,
                line,
                "a NUL byte ends the logical line for Postfix".to_owned(),
            );
        }
        let text = &logical.text;
        if let Some((at, c)) = text
            .char_indices()
            .find(|(_, c)| c.is_ascii_control() && !matches!(c, '\t' | '\r'))
        {
            self.add(
                DefectKind::ControlCharacter,
                logical.line_at(at),
                format!("control character U+{:04X}", u32::from(c)),
            );
        }
        if text.is_ascii() {
            return;
        }
        if let Some((at, c)) = text.char_indices().find(|(_, c)| !c.is_ascii()) {
            let name = match c {
                '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}' | '\u{201a}'
                | '\u{ab}' | '\u{bb}' => "typographic quotation mark ",
                '\u{2010}'..='\u{2015}' => "typographic dash ",
                '\u{a0}' | '\u{202f}' | '\u{2000}'..='\u{200b}' | '\u{3000}' => {
                    "blank that is none to Postfix, "
                }
                '\u{feff}' => "byte order mark ",
                '\u{fffd}' => "bytes that are no UTF-8, shown as ",
                _ => "character that is not ASCII, ",
            };
            self.add(
                DefectKind::NonAscii,
                logical.line_at(at),
                format!("{name}U+{:04X}", u32::from(c)),
            );
        }
    }

    /// All of them, in the order of the lines.
    pub(super) fn into_vec(mut self) -> Vec<Defect> {
        self.found.sort_by(order);
        self.found
    }
}

/// By line, then by kind.
pub(super) fn order(one: &Defect, other: &Defect) -> std::cmp::Ordering {
    (&one.place, one.kind).cmp(&(&other.place, other.kind))
}

/// Text from a file for people: nothing that steers a terminal, and not too much.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == 60 {
            shown.push_str("...");
            break;
        }
        // What turns the direction of text or is invisible is no control character to Rust.
        let hidden = matches!(u32::from(c), 0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff);
        if c.is_control() || hidden {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(if c == '`' { '\'' } else { c });
        }
    }
    shown
}
