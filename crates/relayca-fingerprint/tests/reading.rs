//! Maps that people wrote: what is read, and what is caught, with its line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use relayca_fingerprint::{Digest, LineProblem, MapError, fingerprint, parse_text};

fn key() -> String {
    fingerprint(Digest::Sha256, b"key").to_string()
}

/// The problem with `line`, which stands third in its map.
fn problem(line: &str) -> LineProblem {
    match parse_text(&format!("# a comment\n\n{line}\n")) {
        Err(MapError::Line { line: 3, problem }) => problem,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn comments_blanks_tabs_lower_case_and_missing_line_ends_are_fine() {
    let key = key();
    let text = format!(
        "# one\n  # two\n\n \t\n{}\t  mail host 1  ",
        key.to_lowercase()
    );
    assert_eq!(
        parse_text(&text).unwrap(),
        [(key, "mail host 1".to_owned())]
    );
    assert_eq!(parse_text("").unwrap(), []);
}

#[test]
fn every_digest_has_its_length() {
    for digest in Digest::ALL {
        let line = format!("{} host\n", fingerprint(digest, b"key"));
        assert_eq!(parse_text(&line).unwrap().len(), 1, "{digest}");
    }
}

#[test]
fn a_line_that_is_there_twice_counts_once_but_not_for_two_hosts() {
    let key = key();
    assert_eq!(parse_text(&format!("{key} a\n{key} a\n")).unwrap().len(), 1);
    let error = parse_text(&format!("{key} a\n\n{} b\n", key.to_lowercase())).unwrap_err();
    assert_eq!(
        error,
        MapError::Line {
            line: 3,
            problem: LineProblem::Repeated { earlier: 1 }
        }
    );
}

#[test]
fn output_of_openssl_pasted_whole_is_caught() {
    let key = key();
    let bare = key.replace(':', "").to_lowercase();
    for line in [
        format!("SHA256 Fingerprint={key} host"),
        format!("sha256 Fingerprint={key} host"),
        format!("MD5 Fingerprint={key}"),
        format!("SHA2-256(stdin)= {bare}"),
        format!("(stdin)= {bare} host"),
    ] {
        assert_eq!(problem(&line), LineProblem::Label, "{line}");
    }
}

#[test]
fn a_fingerprint_without_colons_is_caught() {
    assert_eq!(
        problem(&format!("{} host", key().replace(':', ""))),
        LineProblem::NoColons
    );
}

#[test]
fn a_fingerprint_of_the_wrong_length_is_caught() {
    let key = key();
    assert_eq!(
        problem(&format!("{}:00 host", key)),
        LineProblem::Length { bytes: 33 }
    );
    assert_eq!(
        problem(&format!("{} host", &key[3..])),
        LineProblem::Length { bytes: 31 }
    );
    assert_eq!(problem("AA:BB host"), LineProblem::Length { bytes: 2 });
}

#[test]
fn what_is_no_fingerprint_is_caught() {
    let key = key();
    for line in [
        "host.example.org OK".to_owned(),
        format!("{key}: host"),
        format!("{}:GG host", &key[3..]),
        "é:é x".to_owned(),
    ] {
        assert_eq!(problem(&line), LineProblem::NotHex, "{line}");
    }
}

#[test]
fn lines_that_postfix_would_join_or_pass_over_are_caught() {
    let key = key();
    assert_eq!(problem(&format!("  {key} host")), LineProblem::Continuation);
    assert_eq!(problem(&key), LineProblem::NoHost);
    assert_eq!(problem(&format!("{key}  \t ")), LineProblem::NoHost);
    assert_eq!(problem(&format!("{key} ho\u{0}st")), LineProblem::Control);
    assert_eq!(
        problem(&format!("{key} {}", "x".repeat(2000))),
        LineProblem::TooLong
    );
}

#[test]
fn a_map_beyond_measure_is_refused_unread() {
    let text = "#".repeat((64 << 20) + 1);
    assert!(matches!(parse_text(&text), Err(MapError::TooLong { .. })));
}
