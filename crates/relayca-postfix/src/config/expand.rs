//! `$name`, `${name?text}` and their kin.
//!
//! Enters: a value, and who knows the values of others. Leaves: the expanded text, or the names that it asks for; or why
//! it is no expression. Refuses to know: where values come from.
//!
//! As postconf(5) describes it and mac_expand(3) does it: nested to a bound; all work is bounded.

use std::borrow::Cow;

use super::Version;
use super::logical::{is_blank, is_space};
use super::words::balanced;

/// How deep Postfix goes.
const MAX_LEVEL: u32 = 100;

/// How deep this goes, operands of comparisons counted too, which Postfix does not bound.
const MAX_DEPTH: u32 = 160;

/// How much text a value may grow to.
const MAX_TEXT: usize = 1 << 19;

/// How much work a value may make, in bytes read.
const MAX_WORK: u64 = 1 << 20;

/// How many bytes a look-up is worth.
const LOOK_UP: usize = 16;

/// How much may be done for many values together, in bytes read.
#[derive(Debug)]
pub(super) struct Work(u64);

impl Work {
    /// For one value.
    pub(super) fn for_one() -> Self {
        Self(MAX_WORK)
    }

    /// For one that is looked up within others, again and again: the name of a host.
    pub(super) fn for_a_name() -> Self {
        Self(1 << 9)
    }

    /// For all values of a configuration.
    pub(super) fn for_all() -> Self {
        Self(8 * MAX_WORK)
    }

    /// Whether all is done that may be.
    pub(super) fn is_used_up(&self) -> bool {
        self.0 == 0
    }

    /// Does a piece of work for one value.
    fn lend<T>(&mut self, piece: impl FnOnce(&mut u64) -> T) -> T {
        let lent = self.0.min(MAX_WORK);
        let mut left = lent;
        let done = piece(&mut left);
        self.0 = self.0.saturating_sub(lent - left);
        done
    }
}

/// Why a value cannot be expanded. Whatever of Postfix asks for it stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is no expression.
    Syntax(String),
    /// It contains itself, or is nested too deep.
    Recursion,
    /// It grows, or asks for, more than is followed here.
    TooLong,
}

impl Trouble {
    /// In words.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Syntax(text) => text.clone(),
            Self::Recursion => "it contains itself, or is nested too deep".to_owned(),
            Self::TooLong => "it grows beyond all bounds".to_owned(),
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup<'a> {
    /// Nobody sets it and there is no default: nothing.
    Undefined,
    /// Text to expand.
    Text(Cow<'a, str>),
    /// Text to take as it is.
    Verbatim(Cow<'a, str>),
    /// Text that only the machine knows: the name stays, with its `$`.
    Machine,
}

/// Who knows.
pub(super) trait Values {
    /// What a name stands for.
    fn lookup(&self, name: &str) -> Lookup<'_>;
}

/// Expands a value.
pub(super) fn expand(
    text: &str,
    values: &dyn Values,
    version: Option<Version>,
    work: &mut Work,
) -> Result<String, Trouble> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    work.lend(|work| {
        let mut run = Run {
            values: Some(values),
            names: Vec::new(),
            version,
            work,
        };
        let mut out = String::new();
        run.parse(text, 0, 0, &mut out)?;
        Ok(out)
    })
}

/// The names that a value asks for, in any of its branches; those before the first fault if there is one.
pub(super) fn names(text: &str, version: Option<Version>, work: &mut Work) -> Vec<String> {
    if !text.contains('$') {
        return Vec::new();
    }
    work.lend(|work| {
        let mut run = Run {
            values: None,
            names: Vec::new(),
            version,
            work,
        };
        let mut out = String::new();
        let _ = run.parse(text, 0, 0, &mut out);
        run.names
    })
}

struct Run<'a> {
    /// None: the names are collected, and nothing is expanded.
    values: Option<&'a dyn Values>,
    names: Vec<String>,
    version: Option<Version>,
    work: &'a mut u64,
}

/// What stands before `?` or `:`.
#[derive(PartialEq, Eq)]
enum Subject<'a> {
    /// The result of a comparison, or of collecting.
    Truth(bool),
    /// What a name stands for.
    Value(&'a str, Lookup<'a>),
}

impl Run<'_> {
    fn spend(&mut self, work: usize) -> Result<(), Trouble> {
        let work = u64::try_from(work).unwrap_or(u64::MAX);
        let left = self.work.checked_sub(work);
        *self.work = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Trouble::TooLong)
    }

    fn append(&self, out: &mut String, text: &str) -> Result<(), Trouble> {
        if out.len() + text.len() > MAX_TEXT {
            return Err(Trouble::TooLong);
        }
        if self.values.is_some() {
            out.push_str(text);
        }
        Ok(())
    }

    /// Literal text and expressions, one behind the other.
    fn parse(
        &mut self,
        text: &str,
        level: u32,
        depth: u32,
        out: &mut String,
    ) -> Result<(), Trouble> {
        self.spend(text.len() + 1)?;
        if depth > MAX_DEPTH || (level > MAX_LEVEL && !text.is_empty()) {
            return Err(Trouble::Recursion);
        }
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (literal, expression) = rest.split_at(at);
            self.append(out, literal)?;
            let behind = expression.get(1..).unwrap_or_default();
            match behind.bytes().next() {
                Some(b'$') => {
                    self.append(out, "$")?;
                    rest = behind.get(1..).unwrap_or_default();
                }
                Some(open @ (b'{' | b'(')) => {
                    let close = if open == b'{' { b'}' } else { b')' };
                    let end = closing(behind, open, close)
                        .ok_or_else(|| syntax("`${` or `$(` is not closed in", text))?;
                    let inside = behind.get(1..end).unwrap_or_default();
                    if inside.is_empty() {
                        return Err(syntax("there is no name behind `$` in", text));
                    }
                    self.expression(inside, level, depth, out)?;
                    rest = behind.get(end + 1..).unwrap_or_default();
                }
                _ => {
                    let end = behind.find(|c: char| !is_name(c)).unwrap_or(behind.len());
                    if end == 0 {
                        return Err(syntax("there is no name behind `$` in", text));
                    }
                    let (name, after) = behind.split_at(end);
                    self.expression(name, level, depth, out)?;
                    rest = after;
                }
            }
        }
        self.append(out, rest)
    }

    /// What stands within `${` and `}`.
    fn expression(
        &mut self,
        text: &str,
        level: u32,
        depth: u32,
        out: &mut String,
    ) -> Result<(), Trouble> {
        self.spend(text.len() + LOOK_UP)?;
        let start = skip_blanks(text);
        let (name, operator, rest) = if start.starts_with('{') {
            let (truth, rest) = self.comparison(start, depth)?;
            let operator = rest.bytes().next();
            if !matches!(operator, None | Some(b'?' | b':')) {
                return Err(syntax("`?` or `:` expected at", rest));
            }
            let rest = rest.get(1..).unwrap_or_default();
            return self.branches(&Subject::Truth(truth), operator, rest, level, depth, out);
        } else {
            let end = start.find(|c: char| !is_name(c)).unwrap_or(start.len());
            let (name, behind) = start.split_at(end);
            let behind = skip_blanks(behind);
            match behind.bytes().next() {
                None => (name, None, ""),
                Some(operator @ (b'?' | b':')) => {
                    (name, Some(operator), behind.get(1..).unwrap_or_default())
                }
                Some(b'{')
                    if self
                        .version
                        .is_none_or(|version| version >= Version::new(3, 11)) =>
                {
                    return self.function(name, behind, depth, out);
                }
                Some(_) => return Err(syntax("a name is expected at", start)),
            }
        };
        let values = self.values;
        let value = match values {
            Some(values) => values.lookup(name),
            None => {
                self.names.push(name.to_owned());
                Lookup::Undefined
            }
        };
        self.branches(
            &Subject::Value(name, value),
            operator,
            rest,
            level,
            depth,
            out,
        )
    }

    /// What is said behind the name or comparison: nothing, `?yes`, `:no`, `?{yes}:{no}`.
    fn branches(
        &mut self,
        subject: &Subject<'_>,
        operator: Option<u8>,
        rest: &str,
        level: u32,
        depth: u32,
        out: &mut String,
    ) -> Result<(), Trouble> {
        let collecting = self.values.is_none();
        let yes = match subject {
            Subject::Truth(truth) => *truth,
            Subject::Value(_, Lookup::Text(text) | Lookup::Verbatim(text)) => !text.is_empty(),
            Subject::Value(_, Lookup::Machine) => true,
            Subject::Value(_, Lookup::Undefined) => false,
        };
        let mut rest = rest;
        match operator {
            None => {
                return match subject {
                    Subject::Value(_, Lookup::Text(text)) => {
                        self.parse(text, level + 1, depth + 1, out)
                    }
                    Subject::Value(_, Lookup::Verbatim(text)) => self.append(out, text),
                    Subject::Value(name, Lookup::Machine) => {
                        self.append(out, "$")?;
                        self.append(out, name)
                    }
                    Subject::Truth(true) => self.append(out, "true"),
                    Subject::Value(_, Lookup::Undefined) | Subject::Truth(false) => Ok(()),
                };
            }
            Some(b'?') => {
                let (branch, behind) = operand(rest)?;
                if yes || collecting {
                    self.parse(branch, level + 1, depth + 1, out)?;
                }
                if behind.is_empty() {
                    return Ok(());
                }
                rest = behind
                    .strip_prefix(':')
                    .ok_or_else(|| syntax("`:` expected at", behind))?;
            }
            Some(_) => {}
        }
        let (branch, behind) = operand(rest)?;
        if !yes || collecting {
            self.parse(branch, level + 1, depth + 1, out)?;
        }
        if behind.is_empty() {
            Ok(())
        } else {
            Err(syntax("nothing is expected at", behind))
        }
    }

    /// `{left} == {right}`: whether it holds, and what is behind it.
    fn comparison<'t>(&mut self, text: &'t str, depth: u32) -> Result<(bool, &'t str), Trouble> {
        let (left, behind) = payload(text)?;
        let end = behind
            .find(|c: char| !"<>!=?+-*/~&|%".contains(c))
            .unwrap_or(behind.len());
        let (operator, behind) = behind.split_at(end);
        let compare = comparator(operator)
            .ok_or_else(|| syntax("`==`, `!=`, `<`, `<=`, `>=` or `>` expected behind", left))?;
        let end = behind
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(behind.len());
        let (suffix, behind) = behind.split_at(end);
        let level = match suffix {
            "" => false,
            "level"
                if self
                    .version
                    .is_none_or(|version| version >= Version::new(3, 6)) =>
            {
                true
            }
            _ => return Err(syntax("this version knows no comparison by", suffix)),
        };
        let behind = skip_blanks(behind);
        if !behind.starts_with('{') {
            return Err(syntax("`{...}` expected at", behind));
        }
        let (right, behind) = payload(behind)?;
        let mut values = [String::new(), String::new()];
        let [left_value, right_value] = &mut values;
        // The names of the right one are collected even where the left one is no expression.
        let result = self.parse(left, 0, depth + 1, left_value);
        self.parse(right, 0, depth + 1, right_value)?;
        result?;
        if self.values.is_none() {
            return Ok((false, behind));
        }
        let order = if level {
            let left = compatibility_level(left_value);
            let right = compatibility_level(right_value);
            left.and_then(|left| Some(left.cmp(&right?)))
                .ok_or_else(|| syntax("no compatibility level in", text))?
        } else if digits(left_value) && digits(right_value) {
            let left: Result<i64, _> = left_value.parse();
            let right: Result<i64, _> = right_value.parse();
            match (left, right) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                _ => return Err(syntax("a number is too long in", text)),
            }
        } else {
            left_value.as_bytes().cmp(right_value.as_bytes())
        };
        Ok((compare(order), behind))
    }

    /// `${domain_to_ascii{...}}` of 3.11. The argument is taken as it is: what is not ASCII stays so.
    fn function(
        &mut self,
        name: &str,
        text: &str,
        depth: u32,
        out: &mut String,
    ) -> Result<(), Trouble> {
        let (argument, behind) = payload(text)?;
        if !behind.is_empty() {
            return Err(syntax("nothing is expected at", behind));
        }
        if !matches!(name, "domain_to_ascii" | "domain_to_utf8") {
            return Err(syntax("there is no function", name));
        }
        let argument = argument.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_blank));
        let mut value = String::new();
        self.parse(argument, 0, depth + 1, &mut value)?;
        self.append(out, &value)
    }
}

fn syntax(what: &str, text: &str) -> Trouble {
    Trouble::Syntax(format!("{what} `{}`", super::defect::shown(text)))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_blank))
}

/// Where the brace or parenthesis closes that a text begins with.
fn closing(text: &str, open: u8, close: u8) -> Option<usize> {
    let mut level = 0_u32;
    text.bytes().position(|byte| {
        if byte == open {
            level += 1;
        } else if byte == close {
            level = level.saturating_sub(1);
        }
        level == 0
    })
}

/// What stands between the braces that a text begins with, and what is behind them and the blanks there.
fn payload(text: &str) -> Result<(&str, &str), Trouble> {
    let length = balanced(text).ok_or_else(|| syntax("braces do not pair in", text))?;
    let inside = text.get(1..length.saturating_sub(1)).unwrap_or_default();
    Ok((inside, skip_blanks(text.get(length..).unwrap_or_default())))
}

/// What follows `?` or `:`: text in braces and what is behind it, or all that is left.
fn operand(text: &str) -> Result<(&str, &str), Trouble> {
    let start = skip_blanks(text);
    if start.starts_with('{') {
        payload(start)
    } else {
        Ok((text, ""))
    }
}

fn comparator(operator: &str) -> Option<fn(std::cmp::Ordering) -> bool> {
    Some(match operator {
        "==" => std::cmp::Ordering::is_eq,
        "!=" => std::cmp::Ordering::is_ne,
        "<" => std::cmp::Ordering::is_lt,
        "<=" => std::cmp::Ordering::is_le,
        ">=" => std::cmp::Ordering::is_ge,
        ">" => std::cmp::Ordering::is_gt,
        _ => return None,
    })
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `3`, `3.6` or `3.6.1` (postconf(5) compatibility_level), as something to compare. strtol(3) reads the numbers: it
/// skips blanks before them and takes a `+`.
fn compatibility_level(text: &str) -> Option<[u64; 3]> {
    const MOST: [u64; 3] = [u64::MAX >> 21, 0x3ff, 0x3ff];
    let mut level = [0; 3];
    let mut parts = text.split('.');
    for ((slot, most), part) in level.iter_mut().zip(MOST).zip(parts.by_ref()) {
        let part = part.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
        let part = part.strip_prefix('+').unwrap_or(part);
        if !digits(part) {
            return None;
        }
        *slot = part.parse().ok().filter(|number| *number <= most)?;
    }
    parts.next().is_none().then_some(level)
}
