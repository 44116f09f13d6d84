//! What a host says.
//!
//! In: the output of [`relayca_postfix::host_script`], among whatever else the host printed. Out: [`Answer`]. It refuses to take a
//! line that does not begin with this run's token, and to hand on letters that would steer a terminal.

use std::collections::BTreeMap;

use super::ssh::{End, Ran};
use crate::printer::one_line;

/// Letters of a line that is handed on.
const LONGEST_LINE: usize = 600;
/// Lines that are handed on.
const MOST_NOTES: usize = 12;
/// Files that are told of: more than any bundle has.
const MOST_FILES: usize = 64;

/// What Postfix's settings there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Settings {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// As they should be.
    Same,
    /// Missing, or not as they should be.
    Differ,
    /// `relayca install` looks after them.
    Installed,
    /// They cannot be set, for this reason.
    Refused(String),
}

/// All that was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Postfix's version.
    pub version: String,
    /// Whether Postfix runs.
    pub running: bool,
    /// What its clock says, in seconds since 1970.
    pub clock: Option<i64>,
    /// The digests of the files; `null` for one that is missing.
    pub files: BTreeMap<String, String>,
    /// The digests of the maps without their comments.
    pub entries: BTreeMap<String, String>,
    /// The change of the authority that the list there is of.
    pub list: Option<u64>,
    /// The digest of the key's public half, or a word why there is none.
    pub key: String,
    /// Whether others than root may read the key.
    pub key_is_open: bool,
    /// Maps whose tables do not say what the map does.
    pub stale: Vec<String>,
    /// Postfix's settings.
    pub settings: Settings,
    /// A run was stopped in the middle, and is to be taken back.
    pub left: bool,
    /// A run is at work.
    pub busy: bool,
    /// Everything had arrived: the host goes on by itself.
    pub begun: bool,
    /// What was changed.
    pub changed: Vec<String>,
    /// What people should know.
    pub notes: Vec<String>,
    /// How it ended, as the host says: a word, and why.
    pub end: Option<(String, String)>,
}

/// Reads it.
pub fn read(out: &str, token: &str) -> Answer {
    let mut answer = Answer::default();
    let begins = format!("relayca:{token}:");
    for line in out.lines() {
        let Some(said) = line.strip_prefix(&begins) else {
            continue;
        };
        let said: String = one_line(said).chars().take(LONGEST_LINE).collect();
        let (word, rest) = said.split_once(' ').unwrap_or((&said, ""));
        match word {
            "version" => answer.version = rest.to_owned(),
            "clock" => answer.clock = rest.parse().ok(),
            "running" => answer.running = rest == "yes",
            "file" => {
                if let Some((name, digest)) = rest.split_once(' ')
                    && answer.files.len() < MOST_FILES
                {
                    answer.files.insert(name.to_owned(), digest.to_owned());
                }
            }
            "entries" => {
                if let Some((name, digest)) = rest.split_once(' ')
                    && answer.entries.len() < MOST_FILES
                {
                    answer.entries.insert(name.to_owned(), digest.to_owned());
                }
            }
            "list" => answer.list = rest.parse().ok(),
            "key" if rest == "open" => answer.key_is_open = true,
            "key" => answer.key = rest.to_owned(),
            "table" => {
                if let Some(name) = rest.strip_suffix(" stale")
                    && answer.stale.len() < MOST_FILES
                {
                    answer.stale.push(name.to_owned());
                }
            }
            "settings" => {
                answer.settings = match rest.split_once(' ').unwrap_or((rest, "")) {
                    ("same", _) => Settings::Same,
                    ("differ", _) => Settings::Differ,
                    ("installed", _) => Settings::Installed,
                    ("refused", why) => Settings::Refused(why.to_owned()),
                    _ => Settings::Unsaid,
                };
            }
            "left" => answer.left = true,
            "busy" => answer.busy = true,
            "begun" => answer.begun = true,
            "changed" if answer.changed.len() < MOST_NOTES => answer.changed.push(rest.to_owned()),
            "note" if answer.notes.len() < MOST_NOTES => answer.notes.push(rest.to_owned()),
            "end" if answer.end.is_none() => {
                let (end, why) = rest.split_once(' ').unwrap_or((rest, ""));
                answer.end = Some((end.to_owned(), why.to_owned()));
            }
            _ => {}
        }
    }
    answer
}

impl Answer {
    /// Everything that came from the host and is shown or compared.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let refused = match &self.settings {
            Settings::Refused(why) => Some(why),
            _ => None,
        };
        let files = self.files.iter().chain(&self.entries);
        let files = files.flat_map(|(name, digest)| [name, digest]);
        let end = self.end.iter().flat_map(|(end, why)| [end, why]);
        [&self.version, &self.key]
            .into_iter()
            .chain(files)
            .chain(&self.stale)
            .chain(&self.changed)
            .chain(&self.notes)
            .chain(refused)
            .chain(end)
            .map(String::as_str)
    }
}

/// Why there was no answer, in a line: ssh's own last words, or the host's.
pub fn no_answer(ran: &Ran) -> String {
    let last: Vec<String> = ran
        .err
        .lines()
        .map(|line| one_line(line.trim()))
        .filter(|line| !line.is_empty())
        .collect();
    let last = last
        .iter()
        .rev()
        .take(2)
        .rev()
        .map(|line| line.chars().take(LONGEST_LINE / 2).collect::<String>())
        .collect::<Vec<_>>()
        .join("; ");
    let with = |what: &str| {
        if last.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {last}")
        }
    };
    match &ran.end {
        End::NotRun(why) => format!("ssh could not be run: {}", one_line(why)),
        End::TimedOut => with("its time was over"),
        End::TooMuch => "it said too much".to_owned(),
        End::Interrupted => "interrupted".to_owned(),
        // ssh ends so for its own reasons (ssh(1), EXIT STATUS).
        End::Exit(Some(255)) if last.starts_with("ssh: ") => last.clone(),
        End::Exit(Some(255)) => with("ssh"),
        End::Exit(Some(code)) => with(&format!("it ended with code {code}")),
        End::Exit(None) => with("ssh was killed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_the_token_are_taken_and_none_steers_a_terminal() {
        let out = "Welcome!\nrelayca:other:end deployed\nrelayca:t0:begun\nrelayca:t0:note a\u{1b}[2Jb\nrelayca:t0:file x 00\nrelayca:t0:end failed because\nrelayca:t0:end deployed\n";
        let answer = read(out, "t0");
        assert!(answer.begun);
        assert_eq!(answer.notes, ["a\u{fffd}[2Jb"]);
        assert_eq!(answer.end, Some(("failed".into(), "because".into())));
        assert_eq!(answer.files.get("x").map(String::as_str), Some("00"));
        assert_eq!(read(out, "t1"), Answer::default());
    }

    #[test]
    fn a_talkative_host_is_cut_short() {
        let long = format!("relayca:t:note {}\n", "x".repeat(100_000)).repeat(50);
        let answer = read(&long, "t");
        assert_eq!(answer.notes.len(), MOST_NOTES);
        assert!(answer.notes.iter().all(|note| note.len() < 1000));
    }
}
