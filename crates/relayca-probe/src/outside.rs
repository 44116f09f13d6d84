//! The reader of replies, for fuzzing: what a server says is what others decide.
//!
//! In come bytes; out come the replies in them, up to the first that is none. It refuses to know sockets.

use std::io::Read;

use crate::reply::Replies;

/// Gives code and lines of each reply, up to the end or the first error.
pub fn replies(from: &mut impl Read) -> Vec<(u16, Vec<String>)> {
    let mut reader = Replies::default();
    let mut found = Vec::new();
    while let Ok(reply) = reader.smtp(from) {
        found.push((reply.code(), reply.lines));
    }
    found
}
