//! What stands in a log of Postfix's.
//!
//! Promised: a log says the same however it is cut into blocks; what is told of it is printable and bounded, and what is to be pasted is plain.

use relayca_postfix::log::{Around, Ended, Explainer, Known, Report, all};

/// 2026-12-01.
const DECEMBER: i64 = 1_796_083_200;

/// Reads a log in blocks of a size, with an inventory that knows a host.
fn read(data: &[u8], size: usize) -> (Report, Vec<String>) {
    let known = Known::new(
        |fingerprint| {
            assert!(fingerprint.len() >= 47 && !fingerprint.contains(char::is_whitespace));
            fingerprint
                .starts_with('A')
                .then(|| "mail.example.org".to_owned())
        },
        |name| {
            (name == "mail" || name == "mail.example.org").then(|| "mail.example.org".to_owned())
        },
    );
    let mut explainer = Explainer::new(Around::until(DECEMBER), known);
    let mut told = Vec::new();
    let mut tell = |ended: &Ended| {
        assert!(ended.reasons.len() <= 16);
        if told.len() < 1000 {
            told.push(format!(
                "{:?} {} {} {:?}",
                ended.at, ended.host, ended.address, ended.outcome
            ));
        }
        for text in [&ended.host, &ended.address] {
            crate::assert_printable(text);
        }
        for reason in &ended.reasons {
            crate::assert_printable(&reason.example);
            reason
                .commands
                .iter()
                .for_each(|command| assert_plain(command));
        }
    };
    for block in data.chunks(size) {
        explainer.feed(block, &mut tell);
    }
    let report = explainer.finish(&mut tell);
    (report, told)
}

/// Nothing in a command comes from the log, save names and paths of plain letters.
fn assert_plain(command: &str) {
    crate::assert_printable(command);
    let mut templates = all().flat_map(|meaning| meaning.commands);
    assert!(
        templates.any(|template| fits(template, command)),
        "{command:?}"
    );
}

/// Whether a command is a template with its places filled by plain letters.
fn fits(template: &str, command: &str) -> bool {
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte))
    };
    let mut pieces = template.split('{').enumerate().map(|(at, piece)| match at {
        0 => piece,
        _ => piece.split_once('}').map_or("", |(_, behind)| behind),
    });
    let Some(mut rest) = pieces.next().and_then(|first| command.strip_prefix(first)) else {
        return false;
    };
    for piece in pieces {
        let Some((filled, behind)) = rest.split_once(piece).filter(|_| !piece.is_empty()) else {
            return piece.is_empty() && plain(rest);
        };
        if !plain(filled) {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}

/// A log of Postfix's.
pub fn mail_log(data: &[u8]) -> bool {
    let (report, told) = read(data, data.len().max(1));
    for size in [1, 61, 4096] {
        let (again, told_again) = read(data, size);
        assert_eq!(report.hosts, again.hosts);
        assert_eq!(report.counts, again.counts);
        assert_eq!(told, told_again);
        assert_eq!(report.problems.len(), again.problems.len());
        for (one, other) in report.problems.iter().zip(&again.problems) {
            assert_eq!(
                (one.meaning.id, one.count, &one.example),
                (other.meaning.id, other.count, &other.example)
            );
            assert_eq!((&one.hosts, &one.commands), (&other.hosts, &other.commands));
        }
    }
    assert!(report.hosts.len() <= 2 * 4096);
    assert!(report.problems.len() <= 2 * all().count());
    for host in &report.hosts {
        crate::assert_printable(&host.name);
        assert!(
            host.name.len() <= 3 * 256 && host.addresses.len() <= 8 && host.reasons.len() <= 16
        );
        host.addresses
            .iter()
            .for_each(|address| crate::assert_printable(address));
    }
    for problem in &report.problems {
        crate::assert_printable(&problem.example);
        assert!(problem.example.len() <= 3 * 700);
        assert!(problem.hosts.len() <= 8 && problem.commands.len() <= 24);
        problem
            .hosts
            .iter()
            .for_each(|(host, _)| crate::assert_printable(host));
        problem
            .commands
            .iter()
            .for_each(|command| assert_plain(command));
    }
    report.counts.told > 0
}
