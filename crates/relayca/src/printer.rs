//! All that a person or a program reads from relayca goes through here.
//!
//! In: finished text and values. Out: data on stdout; `relayca: …` lines on stderr. It refuses to know
//! what the text is about. Control characters never reach a terminal; a closed pipe is no error.

use std::io::{IsTerminal, Write};

use crate::failure::Failure;

/// Where output goes and how it looks.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// `--json`: data is one JSON document.
    pub json: bool,
    /// `-q`: no closing notes; warnings and errors stay.
    pub quiet: bool,
    colour: bool,
}

impl Printer {
    /// Colour only on a terminal and without `NO_COLOR` (<https://no-color.org>).
    pub fn new(json: bool, quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        Self {
            json,
            quiet,
            colour: wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Prints data to stdout as it is. A reader that went away ends the output silently.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        self.flows(text).map(|_| ())
    }

    /// Likewise; gives whether somebody still reads.
    pub fn flows(&self, text: &str) -> Result<bool, Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => {
                Err(Failure::new(format!("cannot write to standard output: {error}")).hint("the command itself went through; print it again with `relayca show` or `relayca snippet`"))
            }
        }
    }

    /// Prints a value as JSON, indented, with a newline.
    pub fn json(&self, value: &serde_json::Value) -> Result<(), Failure> {
        // JSON lets DEL, C1 controls and marks that turn the writing round stand as they are; a terminal
        // would obey them.
        let mut text = String::new();
        for letter in format!("{value:#}\n").chars() {
            match letter {
                _ if letter == '\n' || !steers(letter) => text.push(letter),
                _ => text.push_str(&format!("\\u{:04x}", u32::from(letter))),
            }
        }
        self.data(&text)
    }

    /// What was done, where it lies, the next step: on stderr, silent under `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(None, text);
        }
    }

    /// What a person has to do now, even under `-q`.
    pub fn notice(&self, text: &str) {
        self.line(None, text);
    }

    /// Something the user should know although the command went through.
    pub fn warning(&self, text: &str) {
        self.line(Some(("warning", "33")), text);
    }

    /// The remedy after an error or a warning.
    pub fn hint(&self, text: &str) {
        self.line(Some(("hint", "36")), text);
    }

    /// The last words of a command that failed.
    pub fn failure(&self, failure: &Failure) {
        self.line(Some(("error", "31")), &failure.message);
        if let Some(hint) = &failure.hint {
            self.hint(hint);
        }
    }

    fn line(&self, kind: Option<(&str, &str)>, text: &str) {
        // What follows a newline in a name from outside must not pass for a line of ours.
        let text = printable(text).trim_end().replace('\n', "\n    ");
        let line = match kind {
            Some((word, colour)) if self.colour => {
                format!("relayca: \u{1b}[1;{colour}m{word}:\u{1b}[0m {text}\n")
            }
            Some((word, _)) => format!("relayca: {word}: {text}\n"),
            None => format!("relayca: {text}\n"),
        };
        // stderr may be closed; there is nowhere left to say so.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// `text` without control characters other than the newline, so that a name from outside cannot
/// drive the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' => letter,
            _ if steers(letter) => '\u{fffd}',
            _ => letter,
        })
        .collect()
}

/// [`printable`], and on one line: for names within a line of data.
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\u{fffd}")
}

/// Control characters, and the marks that turn the direction of writing round: all are below U+FFFF.
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1 host`, `2 hosts`.
pub fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Rows as columns padded to their widest cell, two spaces apart, the last column ragged.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{:<width$}", printable(cell), width = *width))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\nc\u{9b}"),
            "a\u{fffd}[2Jb\u{fffd}\nc\u{fffd}"
        );
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let rows = [
            vec!["a".to_owned(), "b".to_owned()],
            vec!["long".to_owned(), String::new()],
        ];
        assert_eq!(table(&["X", "Y"], &rows), "X     Y\na     b\nlong\n");
    }
}
