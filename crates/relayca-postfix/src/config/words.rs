//! Splitting as Postfix splits.
//!
//! Enters: text. Leaves: words with their places, name and value, what is between braces. Refuses to know: what the
//! words mean.

use super::logical::{is_blank, is_space, trim};

/// The words of a text with the byte at which each begins: apart by any of the delimiters, text in braces kept
/// together.
pub(super) fn words(text: &str, delimiter: fn(u8) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes.get(at..)?.iter().position(|byte| !delimiter(*byte))?;
        let start = at;
        let mut level = 0_u32;
        let length = bytes.get(start..)?.iter().position(|byte| match byte {
            b'{' => {
                level += 1;
                false
            }
            b'}' if level > 0 => {
                level -= 1;
                false
            }
            byte => level == 0 && delimiter(*byte),
        });
        at = length.map_or(bytes.len(), |length| start + length);
        Some((start, text.get(start..at)?))
    })
}

/// Between the words of a list in a value.
pub(super) fn is_comma_or_blank(byte: u8) -> bool {
    byte == b',' || is_blank(byte)
}

/// What is wrong with text in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Braces {
    /// It is well.
    Balanced,
    /// There is no `}`.
    Open,
    /// There is text behind the `}`.
    TextBehind,
}

/// What is between the braces of a text that begins with `{`, without the blanks around it, as Postfix takes it even
/// where something is wrong.
pub(super) fn in_braces(text: &str) -> (&str, Braces) {
    match balanced(text) {
        None => (trim(text.get(1..).unwrap_or_default()), Braces::Open),
        Some(length) => {
            let inside = text.get(1..length.saturating_sub(1)).unwrap_or_default();
            let state = if length == text.len() {
                Braces::Balanced
            } else {
                Braces::TextBehind
            };
            (trim(inside), state)
        }
    }
}

/// The length of `{...}` at the beginning of a text.
pub(super) fn balanced(text: &str) -> Option<usize> {
    let mut level = 0_u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => level += 1,
            b'}' => level = level.saturating_sub(1),
            _ => {}
        }
        if level == 0 {
            return (at > 0).then_some(at + 1);
        }
    }
    None
}

/// Why a text is no `name = value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNameValue {
    /// Nothing before `=`, or nothing at all.
    NoName,
    /// No `=` behind the first word.
    NoEquals,
}

/// Splits `name = value`; a name has no blanks in it, a value none around it.
pub(super) fn name_value(text: &str) -> Result<(&str, &str), NotNameValue> {
    let text = trim(text);
    let end = text
        .bytes()
        .position(|byte| byte == b'=' || is_space(byte))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    if name.is_empty() {
        return Err(NotNameValue::NoName);
    }
    match trim(rest).strip_prefix('=') {
        Some(value) => Ok((name, trim(value))),
        None => Err(NotNameValue::NoEquals),
    }
}
