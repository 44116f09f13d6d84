//! Lines, from bytes as they come.
//!
//! Enters: blocks of any size. Leaves: each line without its newline, once it is whole. Refuses to know what a line says.
//! A line of more than [`LONGEST`] bytes is left out and counted.

use memchr::memchr;

/// The longest line that is read, in bytes: rsyslog cuts at 8 KiB, the journal at 48 KiB.
pub const LONGEST: usize = 64 << 10;

/// What is left of the last block, and what was left out.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    begun: Vec<u8>,
    skipping: bool,
    /// Lines left out.
    pub too_long: u64,
}

impl Cutter {
    /// Takes a block and gives each line that it ends.
    pub fn feed(&mut self, block: &[u8], line: &mut impl FnMut(&[u8])) {
        let mut rest = block;
        while let Some(end) = memchr(b'\n', rest) {
            let (now, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            if self.begun.is_empty() && !self.skipping {
                self.whole(now, line);
            } else {
                self.keep(now);
                self.end(line);
            }
        }
        self.keep(rest);
    }

    /// The input ended, perhaps without a newline.
    pub fn end(&mut self, line: &mut impl FnMut(&[u8])) {
        if self.skipping {
            self.skipping = false;
            return;
        }
        if !self.begun.is_empty() {
            let begun = std::mem::take(&mut self.begun);
            self.whole(&begun, line);
            self.begun = begun;
            self.begun.clear();
        }
    }

    fn whole(&mut self, text: &[u8], line: &mut impl FnMut(&[u8])) {
        if text.len() > LONGEST {
            self.too_long += 1;
        } else {
            line(text.strip_suffix(b"\r").unwrap_or(text));
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if self.skipping || part.is_empty() {
            return;
        }
        if self.begun.len() + part.len() > LONGEST {
            self.begun.clear();
            self.skipping = true;
            self.too_long += 1;
        } else {
            self.begun.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(blocks: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut cutter, mut lines) = (Cutter::default(), Vec::new());
        for block in blocks {
            cutter.feed(block, &mut |line| lines.push(line.to_vec()));
        }
        cutter.end(&mut |line| lines.push(line.to_vec()));
        (lines, cutter.too_long)
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = b"one\ntwo\r\n\nthree";
        let whole = lines(&[text]);
        assert_eq!(whole.0, [&b"one"[..], b"two", b"", b"three"]);
        for at in 0..text.len() {
            assert_eq!(lines(&[&text[..at], &text[at..]]), whole, "{at}");
        }
    }

    #[test]
    fn a_line_without_end_is_left_out_and_the_next_one_is_read() {
        let long = vec![b'x'; LONGEST + 1];
        let text = [&long[..], b"\nnext\n"].concat();
        let expected = (vec![b"next".to_vec()], 1);
        assert_eq!(lines(&[&text]), expected);
        let pieces: Vec<&[u8]> = text.chunks(1000).collect();
        assert_eq!(lines(&pieces), expected);
        let fits = [&long[1..], b"\n"].concat();
        let pieces: Vec<&[u8]> = fits.chunks(777).collect();
        assert_eq!(lines(&pieces).1, 0);
    }
}
