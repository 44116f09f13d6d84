//! Names of hosts in greetings, and which of them belong together.
//!
//! In: words of a server. Out: a name, or whether two are of one operator. It refuses to look anything up.

/// The host name at the beginning of a greeting (RFC 5321 section 4.2: the first word is the name of the server).
#[must_use]
pub fn banner_name(banner: &str) -> Option<&str> {
    let word = banner.split_ascii_whitespace().next()?;
    let word = word.trim_end_matches('.');
    let is_name = word.len() <= 253
        && word.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    // `5.7.1` is a status, and an address is no name.
    let has_letter = word
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().any(|b| b.is_ascii_alphabetic()));
    // One label is a name only where it is the name of this machine; `ESMTP` is none.
    let is_whole = word.contains('.') || word.eq_ignore_ascii_case("localhost");
    (is_name && is_whole && has_letter).then_some(word)
}

/// Whether two names belong to one operator: equal, or below the same registered domain. What is registered cannot be
/// told without the list of public suffixes; two labels count, three where the second is as short as in `co.uk`.
#[must_use]
pub fn same_host(one: &str, other: &str) -> bool {
    let (one, other) = (lower(one), lower(other));
    if one == other {
        return true;
    }
    match (registered(&one), registered(&other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

fn lower(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn registered(name: &str) -> Option<&str> {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let last = dots.next()?;
    let second = dots.next();
    let under_country = name.len() - last == 3;
    let label = name.get(second.map_or(0, |at| at + 1)..last)?;
    let start = match second {
        None => 0,
        // `co.uk`, `com.au`: one label more. A name of just these two is registered itself, as `rz.de`.
        Some(_) if under_country && label.len() <= 3 => dots.next().map_or(0, |at| at + 1),
        Some(at) => at + 1,
    };
    name.get(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_operator_are_known_by_the_registered_domain() {
        for (one, other, same) in [
            ("gmail-smtp-in.l.google.com", "mx.google.com", true),
            (
                "in1-smtp.messagingengine.com",
                "mx1.messagingengine.com",
                true,
            ),
            ("a.example.co.uk", "b.example.co.uk", true),
            ("a.example.co.uk", "b.other.co.uk", false),
            ("example.co.uk", "other.co.uk", false),
            ("mx.web.de", "mx.web.de", true),
            ("mx00.gmx.net", "gmx.net", true),
            ("a.com", "b.com", false),
            ("localhost", "localhost", true),
            ("localhost", "com", false),
            ("mx.example.org", "example.net", false),
        ] {
            assert_eq!(same_host(one, other), same, "{one} {other}");
            assert_eq!(same_host(other, one), same, "{other} {one}");
        }
    }

    #[test]
    fn only_host_names_are_taken_for_names() {
        assert_eq!(banner_name("mx.example.org. ESMTP"), Some("mx.example.org"));
        assert_eq!(banner_name("localhost"), Some("localhost"));
        for none in [
            "",
            "ESMTP Postfix",
            "[192.0.2.1] ESMTP",
            "5.7.1 Service unavailable",
            "a..b",
            "x;y.z",
            "****",
        ] {
            assert_eq!(banner_name(none), None, "{none}");
        }
    }
}
