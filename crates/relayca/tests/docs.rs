//! The examples in the documents: each `console` block is run, and must print what it says.
//!
//! What differs from run to run (serials, fingerprints, dates, age keys) is compared by its kind. A line of `...`
//! stands for any lines. An age key that a command printed is known by its printed name to the commands after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Example {
    line: usize,
    command: String,
    output: Vec<String>,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(command), _) => examples.push(Example {
                    line: number + 1,
                    command: command.to_owned(),
                    output: Vec::new(),
                }),
                (None, Some(example)) => example.output.push(line.to_owned()),
                (None, None) => panic!("line {}: output before a command", number + 1),
            },
            _ => {}
        }
    }
    examples
}

/// Cuts a line into words and what lies between them.
fn words(line: &str) -> Vec<&str> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == ':' || letter == '-';
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let kind = part(first);
        let end = rest
            .find(|letter| part(letter) != kind)
            .unwrap_or(rest.len());
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    words
}

/// The kind of a word that differs from run to run.
fn kind(word: &str) -> Option<&'static str> {
    let trimmed = word.trim_end_matches([':', '-']);
    let hex = |text: &str| text.chars().all(|letter| letter.is_ascii_hexdigit());
    let digits =
        |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit());
    let date: Vec<&str> = trimmed
        .get(..10)
        .map(|date| date.split('-').collect())
        .unwrap_or_default();
    match trimmed {
        _ if trimmed.starts_with("age1") && trimmed.len() > 50 => Some("AGE"),
        _ if date.len() == 3 && date.iter().all(|part| digits(part)) => Some("DATE"),
        _ if trimmed.matches(':').count() >= 15
            && trimmed.split(':').all(|pair| pair.len() == 2 && hex(pair)) =>
        {
            Some("FINGERPRINT")
        }
        _ if trimmed.len() >= 32 && hex(trimmed) => Some("SERIAL"),
        _ => None,
    }
}

/// The line with those words replaced by their kinds.
fn normal(line: &str) -> String {
    words(line)
        .into_iter()
        .map(|word| match kind(word) {
            Some(kind) => format!("{kind}{}", &word[word.trim_end_matches([':', '-']).len()..]),
            None => word.to_owned(),
        })
        .collect()
}

/// Whether the documented lines fit the printed ones; `...` fits any number.
fn fits(documented: &[String], printed: &[String]) -> bool {
    match documented.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        Some((line, rest)) => {
            printed
                .first()
                .is_some_and(|first| normal(first) == normal(line))
                && fits(rest, &printed[1..])
        }
    }
}

fn run_examples(document: &str) -> usize {
    let text = fs::read_to_string(workspace().join(document)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_relayca")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let examples = examples(&text);
    for example in &examples {
        let mut command = example.command.clone();
        for (documented, real) in &keys {
            command = command.replace(documented, real);
        }
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{command}")])
            .env_clear()
            .env("PATH", &path)
            .env("HOME", place.path())
            .current_dir(place.path())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout)
            .unwrap()
            .replace(place.path().to_str().unwrap(), "/home/admin");
        let printed: Vec<String> = printed.lines().map(str::to_owned).collect();
        assert!(
            fits(&example.output, &printed),
            "{document}:{}: `{}` printed:\n{}",
            example.line,
            example.command,
            printed.join("\n")
        );
        let age = |lines: &[String]| -> Vec<String> {
            lines
                .iter()
                .flat_map(|line| words(line))
                .filter(|word| kind(word) == Some("AGE"))
                .map(str::to_owned)
                .collect()
        };
        keys.extend(age(&example.output).into_iter().zip(age(&printed)));
    }
    examples.len()
}

#[test]
fn the_examples_in_the_readme_print_what_they_say() {
    assert!(run_examples("README.md") >= 5);
}

#[test]
fn the_examples_in_the_other_documents_do_too() {
    for document in fs::read_dir(workspace().join("docs")).unwrap() {
        run_examples(&format!(
            "docs/{}",
            document.unwrap().file_name().to_str().unwrap()
        ));
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut documents = vec![workspace().join("README.md")];
    documents.extend(
        fs::read_dir(workspace().join("docs"))
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.starts_with("https://") {
                continue;
            }
            assert!(
                document.parent().unwrap().join(target).exists(),
                "{}: {link}",
                document.display()
            );
        }
    }
}

#[test]
fn a_document_that_lies_is_noticed() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let printed = lines("a 2026-11-21\nb\nserial 0123456789abcdef0123456789abcdef, x");
    assert!(fits(
        &lines("a 2036-01-02\n...\nserial ffffffffffffffffffffffffffffffff, x"),
        &printed
    ));
    assert!(!fits(&lines("a 2036-01-02\n...\nserial ffff, x"), &printed));
    assert!(!fits(&lines("a 2036-01-02\nb"), &printed));
    assert!(!fits(&lines("a DATE\nb\n..."), &lines("a x\nb")));
}
