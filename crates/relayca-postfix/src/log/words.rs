//! Words that mean something by themselves.
//!
//! Enters: the words of a line that is of no other form. Leaves: what they mean, with the file or table that they name. Refuses to know
//! sessions.

use super::event::Severity;
use super::line::Program;
use super::meaning::{Meaning, Place};
use super::meanings::meaning_of;
use super::peer;

/// What words mean that are not of any other form.
pub(super) fn said(
    program: Program,
    severity: Severity,
    text: &[u8],
) -> Option<(&'static Meaning, &[u8])> {
    if let Some(found) = meaning_of(program, Place::Words, text) {
        return Some(found);
    }
    if severity == Severity::Info {
        return None;
    }
    if let Some((_, rest)) = peer::peer(text) {
        return meaning_of(program, Place::Words, rest.strip_prefix(b": ")?);
    }
    let end = text.iter().take(600).position(|byte| *byte == b' ')?;
    let (subject, rest) = text.split_at_checked(end)?;
    let is_table = subject.starts_with(b"/") || subject.contains(&b':');
    let (meaning, _) = meaning_of(program, Place::Subject, rest.get(1..)?)?;
    let subject = subject
        .strip_suffix(b":")
        .or_else(|| subject.strip_suffix(b","))
        .unwrap_or(subject);
    is_table.then_some((meaning, subject))
}

/// A reply without `554 5.7.1 `.
pub(super) fn without_codes(reply: &[u8]) -> &[u8] {
    let rest = match reply {
        [a, b, c, b' ' | b'-', rest @ ..] if [a, b, c].iter().all(|byte| byte.is_ascii_digit()) => {
            rest
        }
        _ => return reply,
    };
    let code = rest
        .iter()
        .take(12)
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
        .count();
    match rest.split_at_checked(code) {
        Some((code, behind)) if code.contains(&b'.') => behind.strip_prefix(b" ").unwrap_or(rest),
        _ => rest,
    }
}
