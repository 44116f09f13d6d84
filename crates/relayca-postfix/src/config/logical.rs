//! The logical lines of main.cf and master.cf.
//!
//! Enters: bytes. Leaves: logical lines, each with the physical lines that it was joined from and the comments between
//! them. Refuses to know: what a line says.
//!
//! As Postfix joins them (postconf(5), master(5)): a line that begins with a blank continues the one before; empty
//! lines and comments between the two do not stop that; the line ends are left out, the blanks are kept.

/// How much of a file is read.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// How many logical lines of a file are read.
pub(super) const MAX_LINES: usize = 10_000;

/// A piece of a logical line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// The physical line, from 1.
    pub(super) line: u32,
    /// Where it begins in the text.
    pub(super) at: usize,
}

/// A comment between the pieces.
#[derive(Debug, Clone)]
pub(super) struct Comment {
    /// The physical line, from 1.
    pub(super) line: u32,
    /// What it says, without the first `#`.
    pub(super) text: String,
}

/// A logical line, as far as its first NUL.
#[derive(Debug, Clone)]
pub(super) struct Logical {
    /// Its pieces, joined. Bytes that are no UTF-8 stand as U+FFFD.
    pub(super) text: String,
    /// At least one.
    pub(super) parts: Vec<Part>,
    /// The comments behind the first piece.
    pub(super) comments: Vec<Comment>,
    /// The line with a NUL byte, where there is one: what is behind it is not read.
    pub(super) nul: Option<u32>,
}

impl Logical {
    /// The physical line of a place in the text.
    pub(super) fn line_at(&self, at: usize) -> u32 {
        let behind = self.parts.partition_point(|part| part.at <= at);
        self.parts
            .get(behind.saturating_sub(1))
            .map_or(1, |part| part.line)
    }

    /// The first physical line.
    pub(super) fn first(&self) -> u32 {
        self.line_at(0)
    }

    /// How many physical lines it spans, those between its pieces counted too.
    pub(super) fn span(&self) -> u32 {
        self.parts
            .last()
            .map_or(1, |part| part.line.saturating_sub(self.first()) + 1)
    }

    /// Whether it begins with a blank, so that it continues a line that is not there. Postfix passes over it.
    pub(super) fn is_orphan(&self) -> bool {
        self.text.bytes().next().is_some_and(is_space)
    }
}

/// What was read of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    /// The logical lines, in order.
    pub(super) lines: Vec<Logical>,
    /// The line on which reading stopped, where the file is beyond the bounds.
    pub(super) stopped: Option<u32>,
    /// The first line that ends in a carriage return.
    pub(super) returns: Option<u32>,
}

/// A blank as C's `isspace` has it in the C locale.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The blanks between the words of a line: less than [`is_space`] has.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without the blanks ([`is_space`]) around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| u8::try_from(c).is_ok_and(is_space))
}

/// Joins the physical lines of a file.
pub(super) fn logical_lines(bytes: &[u8]) -> Lines {
    let mut found = Lines::default();
    let (bytes, long) = match bytes.get(..MAX_BYTES) {
        // A line that is cut would say something else: it is left out.
        Some(head) if bytes.len() > MAX_BYTES => {
            let whole = head.iter().rposition(|byte| *byte == b'\n');
            (
                head.get(..whole.map_or(0, |at| at + 1)).unwrap_or_default(),
                true,
            )
        }
        _ => (bytes, false),
    };
    let mut current: Option<Logical> = None;
    let mut line = 0;
    let mut rest = bytes;
    while !rest.is_empty() {
        line += 1;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let physical = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        rest = end.and_then(|end| rest.get(end + 1..)).unwrap_or_default();
        if physical.ends_with(b"\r") {
            found.returns.get_or_insert(line);
        }
        let content = physical.iter().find(|byte| !is_space(**byte));
        match (content, &mut current) {
            (None, _) => {}
            (Some(b'#'), None) => {}
            (Some(b'#'), Some(logical)) => {
                let text = String::from_utf8_lossy(physical);
                logical.comments.push(Comment {
                    line,
                    text: trim(&text).trim_start_matches('#').to_owned(),
                });
            }
            (Some(_), _) => {
                let logical = current.get_or_insert_with(|| Logical {
                    text: String::new(),
                    parts: Vec::new(),
                    comments: Vec::new(),
                    nul: None,
                });
                add(logical, line, physical);
            }
        }
        let continues = rest
            .first()
            .is_some_and(|next| *next == b'#' || is_space(*next));
        if !continues && let Some(logical) = current.take() {
            if found.lines.len() == MAX_LINES {
                found.stopped = Some(logical.first());
                return found;
            }
            found.lines.push(logical);
        }
    }
    found.lines.extend(current);
    if long {
        found.stopped = Some(line + 1);
    }
    found
}

/// Adds a physical line. Postfix takes a logical line up to its first NUL, as C does.
fn add(logical: &mut Logical, line: u32, physical: &[u8]) {
    let before_nul = physical.split(|byte| *byte == 0).next().unwrap_or_default();
    logical.parts.push(Part {
        line,
        at: logical.text.len(),
    });
    if logical.nul.is_none() {
        logical.text.push_str(&String::from_utf8_lossy(before_nul));
        if before_nul.len() < physical.len() {
            logical.nul = Some(line);
        }
    }
}
