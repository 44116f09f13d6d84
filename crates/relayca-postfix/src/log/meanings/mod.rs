//! The meanings of the lines that matter, by area.
//!
//! Enters: a place and the words in it. Leaves: the [`Meaning`]. Refuses to know how a line is taken apart, and what a session adds to it.
//!
//! The wordings are those of Postfix's source from 3.4 to 3.11, and of OpenSSL 1.1.1 to 3.6; `fixtures/logs` has real lines of 3.5, 3.7, 3.10 and 3.11 for
//! nearly all.

mod authorities;
mod clients;
mod configuration;
mod deliveries;
mod files;
mod handshakes;
mod refusals;
mod relays;
mod standings;
mod tables;

use std::sync::LazyLock;

use super::line::Program;
use super::meaning::{Meaning, Place, Side, Wording, compare};

const AREAS: &[&[Meaning]] = &[
    // Before those of hosts, which take every number that is not named.
    authorities::MEANINGS,
    clients::MEANINGS,
    relays::MEANINGS,
    refusals::MEANINGS,
    tables::MEANINGS,
    files::MEANINGS,
    handshakes::MEANINGS,
    configuration::MEANINGS,
    deliveries::MEANINGS,
    standings::MEANINGS,
];

/// All of them, by area: what is said of a CA, of a mail host's certificate, of the relay's, refusals, maps, keys and files,
/// handshakes, configuration, deliveries, and how sessions stand.
pub fn all() -> impl Iterator<Item = &'static Meaning> {
    AREAS.iter().copied().flatten()
}

/// The one of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Meaning> {
    all().find(|meaning| meaning.id == id)
}

/// Wordings by place, and where a wording begins with a letter by that: most words have none that begins like them.
type Index = Vec<(Place, Option<u8>, &'static Meaning, &'static Wording)>;

static BY_PLACE: LazyLock<[Index; 256]> = LazyLock::new(|| {
    std::array::from_fn(|letter| {
        let wordings = all().flat_map(|meaning| {
            meaning
                .wordings
                .iter()
                .map(move |wording| (meaning, wording))
        });
        wordings
            .map(|(meaning, wording)| {
                let first = wording
                    .text
                    .bytes()
                    .next()
                    .filter(|byte| !matches!(byte, b'*' | b'{'));
                (wording.place, first, meaning, wording)
            })
            .filter(|(place, first, ..)| {
                *place != Place::Session && first.is_none_or(|first| usize::from(first) == letter)
            })
            .collect()
    })
});

/// What words in this place mean, with the file or table that they name.
pub(in crate::log) fn meaning_of(
    program: Program,
    place: Place,
    words: &[u8],
) -> Option<(&'static Meaning, &[u8])> {
    let first = words.first().copied().unwrap_or_default();
    BY_PLACE
        .get(usize::from(first))?
        .iter()
        .filter(|(at, _, meaning, _)| *at == place && said_by(meaning.side, program))
        .find_map(|(_, _, meaning, wording)| Some((*meaning, compare(wording.text, words)?)))
}

fn said_by(side: Side, program: Program) -> bool {
    match side {
        Side::Relay => matches!(program, Program::Server | Program::Unknown),
        Side::MailHost => !matches!(program, Program::Server | Program::Other),
        Side::Either => true,
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_meaning_is_whole() {
        let mut ids = HashSet::new();
        for meaning in all() {
            let id = meaning.id;
            assert!(ids.insert(id), "{id} twice");
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{id}"
            );
            for text in [meaning.says, meaning.why, meaning.remedy] {
                assert!(
                    text.ends_with('.') && text.is_ascii() && !text.contains("  "),
                    "{id}: {text}"
                );
            }
            assert!(
                !meaning.title.ends_with('.') && !meaning.title.is_empty(),
                "{id}"
            );
            assert!(
                !meaning.sources.is_empty() && !meaning.wordings.is_empty(),
                "{id}"
            );
            for command in meaning.commands {
                for word in ["{host}", "{relay}", "{own}", "{file}"] {
                    // A place that is filled stands alone or in a word of plain letters: nothing has to be quoted.
                    assert!(
                        !command.contains(&format!("'{word}"))
                            && !command.contains(&format!("\"{word}")),
                        "{id}"
                    );
                }
            }
        }
        assert!(ids.len() >= 80, "{}", ids.len());
    }

    #[test]
    fn a_strangers_words_are_never_searched_for_in_a_whole_line() {
        for meaning in all() {
            for wording in meaning.wordings {
                let free = wording.text.starts_with(['*', '{']);
                // What OpenSSL says begins with a number; a reply begins with what it is about.
                let bounded = !matches!(wording.place, Place::Words);
                assert!(!free || bounded, "{}: {}", meaning.id, wording.text);
            }
        }
    }

    #[test]
    fn every_wording_means_what_it_stands_for() {
        for meaning in all() {
            let program = match meaning.side {
                Side::Relay => Program::Server,
                Side::MailHost => Program::Client,
                Side::Either => Program::Other,
            };
            for wording in meaning
                .wordings
                .iter()
                .filter(|wording| wording.place != Place::Session)
            {
                let words = wording
                    .text
                    .replace('*', "x")
                    .replace("{file}", "/f")
                    .replace("{table}", "hash:/t");
                let (found, _) = meaning_of(program, wording.place, words.as_bytes())
                    .unwrap_or_else(|| panic!("{}: {words}", meaning.id));
                assert_eq!(found.id, meaning.id, "{words}");
            }
        }
    }
}
