//! What a server says over SMTP.
//!
//! Promised: replies are the same however the network cuts them into pieces, bounded, and clean.

use std::io::Read;

use relayca_probe::outside::replies;

/// Gives a few bytes a read.
struct Drip<'a> {
    rest: &'a [u8],
    step: usize,
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.step.min(buffer.len()).min(self.rest.len());
        let (now, later) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.rest = later;
        Ok(length)
    }
}

/// Replies, read one after the other.
pub fn smtp_replies(data: &[u8]) -> bool {
    let at = |step| replies(&mut Drip { rest: data, step });
    let whole = at(usize::MAX);
    assert_eq!(whole, at(1));
    assert_eq!(whole, at(7));
    for (code, lines) in &whole {
        assert!((200..600).contains(code));
        assert!((1..=100).contains(&lines.len()));
        for line in lines {
            crate::assert_printable(line);
            // A byte that is no UTF-8 becomes a character of three.
            assert!(line.len() <= 3 * 2048);
        }
    }
    !whole.is_empty()
}
