//! How a host stands beside what it should have.
//!
//! In: what it said of itself, what it should have. Out: [`Lag`]s, each with an id and words. It refuses to ask anything.

use relayca_bundle::CHECKSUMS_NAME;
use relayca_postfix::{ACCESS_MAP, CLIENT_MAP, authority_file, certificate_file};
use time::OffsetDateTime;

use super::answer::{Answer, Settings};
use super::target::Target;
use crate::dates;
use crate::home::Home;
use crate::installing::digest;
use crate::steps::relayca;

/// The id of a certificate that does not hold today.
pub const INVALID: &str = "invalid";

/// One way in which a host is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Names the kind, for programs: it does not change.
    pub id: &'static str,
    /// For people.
    pub told: String,
    /// What mends it, where that is not a deploy.
    pub hint: Option<String>,
}

fn lag(id: &'static str, told: impl Into<String>) -> Lag {
    Lag {
        id,
        told: told.into(),
        hint: None,
    }
}

/// Whether the key there is the one of the certificate, as far as the host can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// It is.
    Right,
    /// There is none.
    Missing,
    /// It is another one, or no key.
    Other,
    /// It is right, and others may read it.
    Open,
}

/// Judges the key.
pub fn key(answer: &Answer, target: &Target) -> Key {
    let certificate = certificate_file(target.host.as_str());
    let certificate_is_there = || {
        let wanted = target.digests.iter().find(|(name, _)| *name == certificate);
        wanted.is_some_and(|(name, digest)| answer.files.get(name) == Some(digest))
    };
    match answer.key.as_str() {
        _ if !target.live => Key::Right,
        "missing" | "" => Key::Missing,
        // Nothing there can read a key: beside its certificate it is taken for the right one.
        "unknown" if !certificate_is_there() => Key::Other,
        "unknown" => open_or_right(answer),
        digest if digest == target.spki() => open_or_right(answer),
        _ => Key::Other,
    }
}

fn open_or_right(answer: &Answer) -> Key {
    if answer.key_is_open {
        Key::Open
    } else {
        Key::Right
    }
}

/// A certificate that does not hold today, by the clock here or the one there: with it no mail flows.
fn invalid(answer: &Answer, target: &Target, home: &Home, now: OffsetDateTime) -> Option<Lag> {
    if let Some(why) = target.does_not_hold(now) {
        return Some(Lag {
            id: INVALID,
            told: format!("its certificate does not hold today: {why}"),
            hint: Some(format!(
                "compare this machine's clock with the right time: `date -u`; if it is right, `{} renew {}`",
                relayca(home),
                target.host
            )),
        });
    }
    let there = OffsetDateTime::from_unix_timestamp(answer.clock?).ok()?;
    target.does_not_hold(there).map(|why| Lag {
        id: INVALID,
        told: format!(
            "by its own clock ({}) its certificate does not hold: {why}",
            dates::stamp(there)
        ),
        hint: Some("set the clock there, and run it again".to_owned()),
    })
}

/// Everything in which it is behind; nothing where all is as it should be.
pub fn lags(answer: &Answer, target: &Target, home: &Home, now: OffsetDateTime) -> Vec<Lag> {
    let mut lags: Vec<Lag> = invalid(answer, target, home, now).into_iter().collect();
    let domain = home.settings.domain.as_str();
    let host = target.host.as_str();
    let mut others = Vec::new();
    let later = target.later_there(answer);
    if let (Some(there), Some(ours)) = (later, target.as_of) {
        lags.push(lag(
            "later",
            format!(
                "its list is of change {there} of the authority, and this authority is at {ours}"
            ),
        ));
    }
    for (name, digest) in &target.digests {
        let found = answer.files.get(name).map_or("null", String::as_str);
        // The list that came with a sealed bundle names the key as well, and is as good.
        if found == digest || name == CHECKSUMS_NAME || lists_the_same(answer, target, name) {
            continue;
        }
        let state = if found == "null" { "missing" } else { "old" };
        if (name == CLIENT_MAP || name == ACCESS_MAP) && later.is_some() {
            continue;
        }
        if name == CLIENT_MAP || name == ACCESS_MAP {
            lags.push(lag("map", format!("the map {name} is {state}")));
        } else if *name == certificate_file(host) {
            lags.push(lag("certificate", format!("its certificate is {state}")));
        } else if *name == authority_file(domain) {
            lags.push(lag("trust", format!("its CA file is {state}")));
        } else {
            others.push(name.as_str());
        }
    }
    match key(answer, target) {
        Key::Right => {}
        Key::Missing => lags.push(lag("key", "its key is missing")),
        Key::Other => lags.push(lag("key", "its key is not the one of its certificate")),
        Key::Open => lags.push(lag("key", "its key may be read by others than root")),
    }
    for map in &answer.stale {
        if !lags.iter().any(|lag| lag.id == "map") {
            lags.push(lag("table", format!("postmap was not run on {map}")));
        }
    }
    match &answer.settings {
        Settings::Same | Settings::Installed => {}
        Settings::Differ | Settings::Unsaid => lags.push(lag(
            "settings",
            "its settings in main.cf or master.cf are missing or edited",
        )),
        Settings::Refused(why) => lags.push(lag(
            "settings",
            format!("its settings cannot be set: {why}"),
        )),
    }
    if !answer.running {
        lags.push(lag("postfix", "Postfix does not run"));
    }
    if answer.left {
        lags.push(lag(
            "stopped",
            "a run was stopped in the middle there; the next one takes it back",
        ));
    }
    // What only people read comes last, and alone it says that relayca.toml changed.
    if !others.is_empty() && lags.is_empty() {
        lags.push(lag("files", format!("not of today: {}", others.join(", "))));
    }
    lags
}

/// Whether a map there has the entries that it should have, whatever its comments say of serials and dates.
fn lists_the_same(answer: &Answer, target: &Target, name: &str) -> bool {
    let is_there = answer.files.get(name).is_some_and(|found| found != "null");
    let ours = [CLIENT_MAP, ACCESS_MAP]
        .contains(&name)
        .then(|| target.entries.iter().find(|entry| entry.name == name))
        .flatten();
    is_there
        && ours.is_some_and(|ours| answer.entries.get(name) == Some(&entries_of(&ours.content)))
}

/// As the host makes it.
fn entries_of(map: &[u8]) -> String {
    let blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
    let mut lines: Vec<&[u8]> = map
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"#") && !blank(line))
        .collect();
    lines.sort_unstable();
    let mut text = lines.join(&b'\n');
    if !text.is_empty() {
        text.push(b'\n');
    }
    digest(&text)
}

/// Whether the list there is of an earlier change. Where its entries are the same nobody relays who should not, and so it is no
/// lag; but a deploy brings the later number, so that no paste from in between is taken for a newer list.
pub fn is_of_earlier_change(answer: &Answer, target: &Target) -> bool {
    target.as_of > answer.list
}

/// Whether a deploy would mend something there: a Postfix that is stopped stays so, and no file makes a certificate hold.
pub fn wants_deploy(lags: &[Lag]) -> bool {
    lags.iter().any(is_mended)
}

/// Whether a deploy mends it.
pub fn is_mended(lag: &Lag) -> bool {
    !["postfix", INVALID].contains(&lag.id)
}

/// A certificate that does not hold today and would be put there, or lies there while nothing else is to be done. Where it lies
/// there already, the rest is brought all the same: whoever was revoked must not stay in a relay's list for it.
pub fn refused(lags: &[Lag]) -> Option<&Lag> {
    let put = lags.iter().any(|lag| lag.id == "certificate") || !wants_deploy(lags);
    lags.iter().find(|lag| lag.id == INVALID && put)
}
