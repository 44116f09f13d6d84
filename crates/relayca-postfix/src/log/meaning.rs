//! What a meaning is, and how words are compared with it.
//!
//! Enters: words from one place of a line. Leaves: the [`Meaning`] that they have. Refuses to know the meanings themselves.
//!
//! A wording is compared from the beginning of its place: `*` stands for anything, `{file}` and `{table}` for anything that is worth keeping, and
//! what follows the wording does not matter.

use memchr::memmem;

/// What kind of thing a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is as it should be.
    Good,
    /// So it is; whether that is wrong, other lines tell.
    Fact,
    /// It works, and something should be looked at.
    Note,
    /// Something failed; why, other lines tell.
    Effect,
    /// Why something fails.
    Cause,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fact => "fact",
            Self::Note => "note",
            Self::Effect => "effect",
            Self::Cause => "cause",
        }
    }
}

/// In whose log it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Of the server: smtpd.
    Relay,
    /// Of the client: smtp.
    MailHost,
    /// Of either.
    Either,
}

/// Where in a line the words stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// smtpd's reply where it refuses, without its codes.
    Reply,
    /// Behind `NOQUEUE: abort: TLS from H: `.
    Abort,
    /// Behind `certificate verification failed for H: `.
    Unverified,
    /// Behind `CA certificate verification failed for H: `.
    UnverifiedAuthority,
    /// What a delivery says of itself in brackets.
    Reason,
    /// What the server said, in a delivery, without its codes.
    Remote,
    /// Behind `TLS library problem: `.
    Library,
    /// All other words, without `warning: ` and the like, and without the other host where they begin with it.
    Words,
    /// The same, behind a file or table that they begin with.
    Subject,
    /// No words of one line: several lines of a session say it together. The wording is for people.
    Session,
}

/// One wording.
#[derive(Debug, Clone, Copy)]
pub struct Wording {
    /// Where it stands.
    pub place: Place,
    /// The words.
    pub text: &'static str,
}

impl Wording {
    /// The line as people see it, `H` for the other host.
    #[must_use]
    pub fn shown(&self) -> String {
        let text = self.text.trim_start_matches('*');
        match self.place {
            Place::Reply => format!("reject: RCPT from H: ... {text}"),
            Place::Abort => format!("NOQUEUE: abort: TLS from H: {text}"),
            Place::Unverified => format!("certificate verification failed for H: {text}"),
            Place::UnverifiedAuthority => {
                format!("CA certificate verification failed for H: {text}")
            }
            Place::Reason => format!("status=... ({text}"),
            Place::Remote => format!("status=... (host H said: ... {text}"),
            Place::Library => format!("TLS library problem: ... {text}"),
            Place::Subject => format!("FILE: ... {text}"),
            Place::Words | Place::Session => text.to_owned(),
        }
    }
}

/// What a line means.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// Stable, lower case, hyphens: `client-certificate-expired`.
    pub id: &'static str,
    /// What kind of thing it tells.
    pub kind: Kind,
    /// In whose log.
    pub side: Side,
    /// In a line: lower case, no full stop.
    pub title: &'static str,
    /// What the line says, in other words.
    pub says: &'static str,
    /// How it comes about.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Commands for it, a line each, `#` before words for people. `{host}` is the mail host, `{relay}` the relay, `{own}` whichever of the two logs, `{file}` the file
    /// that the line names.
    pub commands: &'static [&'static str],
    /// In which versions, where it is not in all from 3.4 to 3.11, and what differs.
    pub versions: &'static str,
    /// Where it is written: a parameter of postconf(5), a README, a file of Postfix's source.
    pub sources: &'static [&'static str],
    /// The wordings.
    pub wordings: &'static [Wording],
}

/// Compares words with a wording; gives what stands for `{file}` or `{table}`, empty where the wording has none.
pub(super) fn compare<'a>(wording: &str, words: &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = words;
    let mut kept: &[u8] = b"";
    let mut wording = wording;
    // What came before the piece at hand: the beginning, a star, or something to keep.
    let (mut anywhere, mut keep) = (false, false);
    loop {
        let end = wording.find(['*', '{']).unwrap_or(wording.len());
        let (piece, behind) = wording.split_at(end);
        let piece = piece.as_bytes();
        let at = if anywhere {
            memmem::find(rest, piece)?
        } else {
            rest.starts_with(piece).then_some(0)?
        };
        if keep {
            // At the very end of a wording it is all that is left.
            let length = if piece.is_empty() { rest.len() } else { at };
            kept = rest.get(..length)?;
        }
        rest = rest.get(at + piece.len()..)?;
        (anywhere, keep) = (true, behind.starts_with('{'));
        wording = match behind.as_bytes().first() {
            None => return Some(kept),
            Some(b'*') => behind.get(1..)?,
            Some(_) => behind.get(behind.find('}')? + 1..)?,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordings_begin_where_their_place_begins() {
        let is = |wording: &str, words: &str| compare(wording, words.as_bytes()).is_some();
        assert!(is("certificate has expired", "certificate has expired"));
        assert!(is(
            "certificate has expired",
            "certificate has expired, and more"
        ));
        assert!(!is(
            "certificate has expired",
            "the certificate has expired"
        ));
        assert!(is(
            "<*>: Relay access denied",
            "<a@example.net>: Relay access denied"
        ));
        assert!(!is("<*>: Relay access denied", "Relay access denied"));
        assert!(is(
            "*:no shared cipher:",
            "error:1:SSL routines:f:no shared cipher:x.c:1:"
        ));
    }

    #[test]
    fn a_file_is_kept() {
        let kept = |wording: &str, words: &'static str| compare(wording, words.as_bytes());
        assert_eq!(
            kept(
                "cannot get * from file \"{file}\": x",
                "cannot get RSA key from file \"/a/b\": x"
            ),
            Some(&b"/a/b"[..])
        );
        assert_eq!(
            kept(
                "error opening chain file: {file}: ",
                "error opening chain file: /a: No such"
            ),
            Some(&b"/a"[..])
        );
        assert_eq!(
            kept("table {table}", "table hash:/a"),
            Some(&b"hash:/a"[..])
        );
        assert_eq!(kept("table {table} x", "table hash:/a"), None);
    }
}
