//! The readers of what people write, for fuzzing and the seeds.
//!
//! In: text, or the files of a tree. Out: whether a reader took it, or which promise it broke: what is read can be written again and means the same then, and an
//! edit leaves what was there. A text that is refused breaks none. It refuses to know files.

use std::collections::BTreeSet;
use std::path::Path;

use relayca_ca::{AltName, Domain, HostName};
use time::OffsetDateTime;

use crate::dates;
use crate::deploying::answer::{self, Answer};
use crate::hosts::{self, HostRequest};
use crate::importing::contents::Contents;
use crate::importing::leaves::{self, Said};
use crate::importing::{domain, index, passphrase, source};
use crate::settings::{self, Relay, Settings};

/// A promise that was not kept.
type Broken = String;

fn promise(kept: bool, what: &str) -> Result<(), Broken> {
    if kept { Ok(()) } else { Err(what.to_owned()) }
}

/// Reads a span such as `60d`.
///
/// # Errors
/// The promise that was broken.
pub fn span(text: &str) -> Result<bool, Broken> {
    let Ok(span) = dates::span(text) else {
        return Ok(false);
    };
    promise(
        (0..=36_525).contains(&span.whole_days()),
        "a span is out of its bounds",
    )?;
    let again = dates::span(&format!("{}h", span.whole_hours()));
    promise(
        again.ok() == Some(span),
        "a span changes when it is written",
    )?;
    Ok(true)
}

/// Reads what a host says to `deploy`, in a run whose token is `t0`.
///
/// # Errors
/// The promise that was broken.
pub fn host_answer(text: &str) -> Result<bool, Broken> {
    let answer = answer::read(text, "t0");
    let words: Vec<&str> = answer.words().collect();
    promise(
        words.len() < 400 && words.iter().all(|word| word.chars().count() <= 600),
        "a host is not cut short",
    )?;
    promise(
        !words.iter().any(|word| word.chars().any(char::is_control)),
        "a host steers the terminal",
    )?;
    promise(
        answer::read(text, "t1") == Answer::default() || text.contains("relayca:t1:"),
        "words are taken for an answer that are none",
    )?;
    Ok(answer.end.is_some())
}

/// Reads relayca.toml, and edits it as `issue` does.
///
/// # Errors
/// The promise that was broken.
pub fn settings(text: &str) -> Result<bool, Broken> {
    let path = Path::new("relayca.toml");
    let Ok(read) = Settings::parse(text, path) else {
        return Ok(false);
    };
    for relay in &read.relays {
        let again = Relay::parse(&relay.text(), &read.domain);
        promise(
            again.ok().as_ref() == Some(relay),
            "a relay changes when it is written",
        )?;
    }
    let parse = |text: &str| Settings::parse(text, path).map_err(|failure| failure.message);
    let rendered = settings::render(
        &read.domain,
        &read.relays,
        &read.recipients,
        &read.identities,
        read.key,
        &read.config_directory,
    );
    let again = parse(&rendered)?;
    promise(
        again.relays == read.relays
            && again.recipients == read.recipients
            && again.identities == read.identities
            && again.config_directory == read.config_directory,
        "new settings are not what they were made of",
    )?;

    let relay =
        Relay::parse("another-relay:25", &read.domain).map_err(|failure| failure.message)?;
    if let Ok(more) = settings::with_relay(text, &relay) {
        let more = parse(&more)?;
        promise(
            more.relays.split_last() == Some((&relay, &read.relays[..])),
            "a relay was added and another changed",
        )?;
    }
    let host =
        HostName::parse(&format!("bound.{}", read.domain)).map_err(|error| error.to_string())?;
    let senders = ["example.org".to_owned()];
    if let Ok(more) = settings::with_senders(text, &host, &senders) {
        let more = parse(&more)?;
        promise(
            more.senders(host.as_str()) == senders,
            "senders were bound and are not",
        )?;
        let others = |settings: &Settings| -> Vec<(String, Vec<String>)> {
            settings
                .bound()
                .filter(|(name, _)| *name != host.as_str())
                .map(|(name, senders)| (name.to_owned(), senders.to_vec()))
                .collect()
        };
        promise(
            others(&more) == others(&read) && more.relays == read.relays,
            "senders were bound and something else changed",
        )?;
    }
    Ok(true)
}

/// Reads a list of hosts, as mail hosts and as relays.
///
/// # Errors
/// The promise that was broken.
pub fn host_list(text: &str) -> Result<bool, Broken> {
    let domain = Domain::parse("example.org").map_err(|error| error.to_string())?;
    let mut taken = false;
    for as_relay in [false, true] {
        let Ok(read) = hosts::parse_list(text, "hosts.txt", &domain, as_relay) else {
            continue;
        };
        promise(!read.is_empty(), "a list without hosts was taken")?;
        let lines: String = read.iter().map(line).collect();
        let again = hosts::parse_list(&lines, "hosts.txt", &domain, as_relay)
            .map_err(|failure| format!("{}: {lines}", failure.message))?;
        let seen = |requests: &[HostRequest]| format!("{requests:?}");
        promise(
            seen(&read) == seen(&again),
            "a list changes when it is written",
        )?;
        // Whether it is refused or not, it must end.
        let _ = hosts::refuse_duplicates(&read);
        taken = true;
    }
    Ok(taken)
}

/// A host as a list has it. An address that the relay is known by is a name of its certificate already.
fn line(request: &HostRequest) -> String {
    let mut line = match &request.relay {
        Some(relay) => relay.text(),
        None => request.host.to_string(),
    };
    let own = usize::from(
        request
            .relay
            .as_ref()
            .is_some_and(|relay| matches!(relay.destination, AltName::Ip(_))),
    );
    for name in request.alt_names.iter().skip(own) {
        line.push_str(&format!(" san={name}"));
    }
    for recipient in &request.seal_to {
        line.push_str(&format!(" \"seal-to={recipient}\""));
    }
    if !request.senders.is_empty() {
        line.push_str(&format!(" \"senders={}\"", request.senders.join(",")));
    }
    if let Some(key) = request.key {
        line.push_str(&format!(" key={key}"));
    }
    if let Some(days) = request.days {
        line.push_str(&format!(" days={days}"));
    }
    line.push('\n');
    line
}

/// Looks at a tree as `import` does: files by name and content. No passphrase is at hand.
///
/// # Errors
/// The promise that was broken.
pub fn import_tree(files: &[(&str, &[u8])], now: OffsetDateTime) -> Result<bool, Broken> {
    let mut contents = Contents::default();
    for (name, content) in files {
        contents.take(name, content);
        if let Ok(text) = std::str::from_utf8(content) {
            let (lines, odd) = index::parse(text);
            promise(
                lines.len() + odd.len() <= text.lines().count(),
                "an index has more lines than it has",
            )?;
        }
    }
    let names: BTreeSet<&str> = files.iter().map(|(name, _)| *name).collect();
    let whence = |file: &String| names.contains(file.as_str());
    promise(
        contents
            .certificates
            .iter()
            .all(|found| !found.files.is_empty() && found.files.iter().all(whence))
            && contents.keys.iter().all(|key| whence(&key.file)),
        "something was found where nothing is",
    )?;
    let count = contents.certificates.len();
    for (name, content) in files {
        contents.take(&format!("copy/{name}"), content);
    }
    promise(
        contents.certificates.len() == count,
        "a certificate is found twice",
    )?;

    let nowhere = passphrase::Source::File("/dev/null".into());
    let Ok(ca) = source::find(&contents, &nowhere, "the tree", now) else {
        return Ok(false);
    };
    let hosts = leaves::hosts(&contents, &ca);
    let Ok(domain) = domain::find(None, &ca, &hosts) else {
        return Ok(false);
    };
    let said = Said {
        relays: Vec::new(),
        mail_hosts: hosts,
    };
    let Ok(leaves) = leaves::sort(&contents, &ca, &domain, &said, now) else {
        return Ok(false);
    };
    let mut serials = BTreeSet::from([ca.authority.certificate().serial().clone()]);
    promise(
        leaves
            .entered
            .iter()
            .all(|leaf| serials.insert(leaf.found.certificate.serial().clone())),
        "a serial number is entered twice",
    )?;
    promise(
        leaves.entered.len() + leaves.left_out.len() <= count,
        "more certificates are sorted than were found",
    )?;
    Ok(true)
}
