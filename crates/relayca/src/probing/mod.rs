//! What is asked of a live server, and what its answers mean.
//!
//! In: where it is, what to show it, by whom to judge it. Out: checks, outcomes, rows of a table. It refuses to know the command
//! line, the authority on disk and how anything is printed.

pub mod asking;
pub mod closed;
pub mod credentials;
pub mod judging;
pub mod matrix;
pub mod message;
pub mod relay;
pub mod remedies;
pub mod services;

/// Characters of what a server says, in a table.
const LONGEST: usize = 300;

/// What a server says, short enough for a line of a table, and nothing that steers a terminal.
pub fn in_a_line(text: &str) -> String {
    let text = crate::printer::one_line(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
