//! From looking at the hosts to all of them in their new state, relays first.
//!
//! In: targets, ssh. Out: an [`Outcome`] for each. It refuses to guess: where the line broke, the host is asked again, and what
//! cannot be told is called unknown.

use std::time::Duration;

use relayca_bundle::Entry;
use relayca_ca::Serial;
use relayca_postfix::Sends;
use zeroize::Zeroizing;

use super::answer::{self, Answer, Settings, no_answer};
use super::keys::{Carried, Opener};
use super::ssh::{End, Ran, Ssh, in_parallel};
use super::standing::{self, INVALID, Key, Lag};
use super::target::Target;
use super::{NOT_ASKED, Outcome, State};
use crate::failure::Failure;
use crate::home::Home;
use crate::installing::digest;
use crate::pieces;
use crate::process;
use crate::progress;
use crate::run::Run;
use crate::steps::relayca;

/// How often a host is asked again after the line broke, and how often while a run is at work there; a second apart.
const ASKED_AGAIN: (u32, u32) = (3, 90);
/// The sealed bundle's name in what is sent.
const SEALED: &str = "sealed.tar.age";
/// Begins what is told where ssh did not get as far as our script.
const NOT_REACHED: &str = "not reached; ";

/// What all hosts have in common.
#[derive(Debug)]
pub struct Way<'a> {
    /// This run.
    pub run: &'a Run,
    /// The authority.
    pub home: &'a Home,
    /// How ssh is run.
    pub ssh: &'a Ssh,
    /// How many hosts at once.
    pub jobs: usize,
}

/// A host that was looked at.
#[derive(Debug)]
pub struct Looked {
    /// What it said; or why it could not be asked.
    pub answer: Result<Answer, String>,
    /// In what it is behind.
    pub lags: Vec<Lag>,
}

/// Asks all of them.
pub fn look_at(way: &Way<'_>, targets: &[Target]) -> Result<Vec<Looked>, Failure> {
    let bar = progress::bar(way.run, targets.len(), "asking", "hosts");
    let looked = in_parallel(targets, way.jobs, |target| {
        let looked = look(way, target);
        bar.inc(1);
        looked
    });
    bar.finish_and_clear();
    looked.into_iter().collect()
}

fn look(way: &Way<'_>, target: &Target) -> Result<Looked, Failure> {
    let answer = ask(way, target)?;
    let lags = answer
        .as_ref()
        .map(|answer| standing::lags(answer, target, way.home, way.run.now))
        .unwrap_or_default();
    Ok(Looked { answer, lags })
}

fn ask(way: &Way<'_>, target: &Target) -> Result<Result<Answer, String>, Failure> {
    if process::interrupted() {
        return Ok(Err("interrupted".to_owned()));
    }
    let token = Serial::random()?.to_string();
    let script = target.script(&token, Sends::Nothing)?;
    let ran = way.ssh.run(&target.destination, &script, &[]);
    let answer = answer::read(&ran.out, &token);
    Ok(match &answer.end {
        Some((end, _)) if end == "looked" => Ok(answer),
        Some((_, why)) => Err(why.clone()),
        None => Err(format!("{NOT_REACHED}{}", no_answer(&ran))),
    })
}

/// A host that is to be changed.
struct Wanting<'a> {
    target: &'a Target,
    looked: &'a Looked,
    carried: Carried,
}

/// Brings all of them up to date. `told` is called for each as soon as it is known.
pub fn carry_out(
    way: &Way<'_>,
    targets: &[Target],
    told: &(dyn Fn(&Outcome) + Sync),
) -> Result<Vec<Outcome>, Failure> {
    let looked = look_at(way, targets)?;
    let mut opener = Opener::default();
    let mut outcomes = Vec::new();
    let mut wanting = Vec::new();
    for (target, looked) in targets.iter().zip(&looked) {
        match plan(way, &mut opener, target, looked)? {
            Planned::Over(outcome) => {
                told(&outcome);
                outcomes.push(outcome);
            }
            Planned::Wanting(carried) => wanting.push(Wanting {
                target,
                looked,
                carried,
            }),
        }
    }
    let (relays, mail_hosts): (Vec<_>, Vec<_>) =
        wanting.into_iter().partition(|one| one.target.relay);
    let send = |one: &Wanting<'_>| {
        let outcome =
            put(way, one).unwrap_or_else(|failure| outcome_of(one, State::Failed, failure.message));
        told(&outcome);
        outcome
    };
    outcomes.extend(in_parallel(&relays, way.jobs, send));
    let relay_is_known = targets.iter().any(|target| target.relay);
    let relay_is_good = outcomes.iter().any(|one| one.relay && one.state.is_good());
    if relay_is_known && !relay_is_good {
        for (number, one) in mail_hosts.iter().enumerate() {
            let mut outcome = outcome_of(
                one,
                State::Skipped,
                "no relay could be brought up to date, and its mail would only wait",
            );
            // Once is enough.
            outcome.hint = (number == 0)
                .then(|| "mend a relay and run it again; --no-relays leaves them out".to_owned());
            told(&outcome);
            outcomes.push(outcome);
        }
    } else {
        outcomes.extend(in_parallel(&mail_hosts, way.jobs, send));
    }
    outcomes.sort_by_key(|outcome| {
        targets
            .iter()
            .position(|target| target.host == outcome.host)
    });
    Ok(outcomes)
}

enum Planned {
    Over(Outcome),
    Wanting(Carried),
}

fn plan(
    way: &Way<'_>,
    opener: &mut Opener,
    target: &Target,
    looked: &Looked,
) -> Result<Planned, Failure> {
    let over = |state, told: &str, hint: Option<String>| {
        Ok(Planned::Over(Outcome {
            host: target.host.clone(),
            relay: target.relay,
            state,
            told: told.to_owned(),
            notes: looked
                .answer
                .as_ref()
                .map(|answer| answer.notes.clone())
                .unwrap_or_default(),
            hint,
        }))
    };
    let answer = match &looked.answer {
        Ok(answer) => answer,
        Err(_) if process::interrupted() => {
            return over(State::Skipped, NOT_ASKED, None);
        }
        Err(why) => return over(State::Failed, why, reach_hint(target, why)),
    };
    if let Settings::Refused(why) = &answer.settings {
        return over(State::Failed, why, None);
    }
    if let (Some(there), Some(ours), false) =
        (target.later_there(answer), target.as_of, target.older)
    {
        let told = format!(
            "the list there is of change {there} of the authority, and this authority is at {ours}"
        );
        return over(State::Failed, &told, Some(older_hint(way.home)));
    }
    if let Some(lag) = standing::refused(&looked.lags) {
        return over(State::Failed, &lag.told, lag.hint.clone());
    }
    if !standing::wants_deploy(&looked.lags) && !standing::is_of_earlier_change(answer, target) {
        let told = if answer.running {
            ""
        } else {
            "Postfix does not run there"
        };
        return over(State::Unchanged, told, None);
    }
    if standing::key(answer, target) == Key::Right {
        // What a stopped run had put there goes first, and the key may be of that.
        let carried = if answer.left {
            opener
                .carried(way.run, way.home, target)
                .ok()
                .and_then(Result::ok)
        } else {
            None
        };
        return Ok(Planned::Wanting(carried.unwrap_or(Carried::Nothing)));
    }
    match opener.carried(way.run, way.home, target)? {
        Ok(carried) => Ok(Planned::Wanting(carried)),
        Err(failure) => over(State::Failed, &failure.message, failure.hint),
    }
}

/// What to do where a relay has a list of a later change than the authority is at.
fn older_hint(home: &Home) -> String {
    let relayca = relayca(home);
    format!(
        "was this authority made anew or restored from a backup, or is there another copy of it? Its list may let in again who was revoked since: look it through with `{relayca} list`, then --older brings it"
    )
}

/// What helps where ssh did not get there.
fn reach_hint(target: &Target, why: &str) -> Option<String> {
    let login = &target.destination.login;
    let user = login
        .user
        .as_ref()
        .map(|user| format!("{user}@"))
        .unwrap_or_default();
    let text = if why.contains("Host key verification failed") {
        format!(
            "log in once by hand and compare its key: ssh {user}{}",
            login.host
        )
    } else if why.contains("Permission denied") || why.contains("Could not resolve") {
        format!(
            "it must work without a question: ssh {user}{} true; another login goes into relayca.toml: `ssh = \"USER@HOST:PORT\"` under [host.\"{}\"]",
            login.host, target.host
        )
    } else {
        return None;
    };
    Some(text)
}

fn outcome_of(one: &Wanting<'_>, state: State, told: impl Into<String>) -> Outcome {
    let mut notes = one
        .looked
        .answer
        .as_ref()
        .map(|answer| answer.notes.clone())
        .unwrap_or_default();
    let invalid = one.looked.lags.iter().filter(|lag| lag.id == INVALID);
    notes.extend(invalid.map(|lag| lag.told.clone()));
    Outcome {
        host: one.target.host.clone(),
        relay: one.target.relay,
        state,
        told: told.into(),
        notes,
        hint: None,
    }
}

/// Sends one host what it lacks, and finds out what came of it.
fn put(way: &Way<'_>, one: &Wanting<'_>) -> Result<Outcome, Failure> {
    if process::interrupted() {
        return Ok(outcome_of(one, State::Skipped, "interrupted before it"));
    }
    let target = one.target;
    let token = Serial::random()?.to_string();
    let archive = archive(one)?;
    let (size, sha256) = (archive.len(), digest(&archive));
    let sends = match &one.carried {
        Carried::Nothing => Sends::Public {
            size,
            sha256: &sha256,
        },
        Carried::Key(_) => Sends::Key {
            size,
            sha256: &sha256,
        },
        Carried::Sealed { opens, .. } => Sends::Sealed {
            size,
            sha256: &sha256,
            member: SEALED,
            opens,
        },
    };
    let script = target.script(&token, sends)?;
    let ran = way.ssh.run(&target.destination, &script, &archive);
    relayca_bundle::wipe(archive);
    let answer = answer::read(&ran.out, &token);
    let mut outcome = match &answer.end {
        Some((end, _)) if end == "deployed" => {
            outcome_of(one, State::Deployed, changed(&one.looked.lags))
        }
        Some((end, _)) if end == "unchanged" => outcome_of(one, State::Unchanged, ""),
        Some((end, why)) if end == "failed" => {
            outcome_of(one, State::Failed, format!("{why}; it is as it was"))
        }
        Some((_, why)) => {
            let mut outcome = outcome_of(
                one,
                State::Unknown,
                format!("{why}, and not all could be taken back"),
            );
            outcome.hint = Some(format!(
                "look there for .relayca-old beside main.cf and in {}/relayca, then run it again",
                target.directory
            ));
            outcome
        }
        None if never_began(&ran) => outcome_of(
            one,
            State::Failed,
            format!("{}; nothing was changed there", no_answer(&ran)),
        ),
        None => ask_again(way, one, &no_answer(&ran))?,
    };
    for note in answer.notes {
        if !outcome.notes.contains(&note) {
            outcome.notes.push(note);
        }
    }
    Ok(outcome)
}

/// In what a host was behind, in a few words.
fn changed(lags: &[Lag]) -> String {
    let mut ids: Vec<&str> = lags
        .iter()
        .filter(|lag| standing::is_mended(lag))
        .map(|lag| match lag.id {
            "later" => "an older list",
            id => id,
        })
        .collect();
    ids.dedup();
    if ids.is_empty() {
        return "the number of the list".to_owned();
    }
    ids.join(", ")
}

/// What is sent, as one archive.
fn archive(one: &Wanting<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let copy = |entry: &Entry| Entry {
        name: entry.name.clone(),
        mode: entry.mode,
        content: entry.content.clone(),
    };
    let mut entries: Vec<Entry> = one.target.entries.iter().map(copy).collect();
    match &one.carried {
        Carried::Nothing => {}
        Carried::Key(key) => entries.push(copy(key)),
        Carried::Sealed { content, .. } => entries.push(Entry {
            name: SEALED.to_owned(),
            mode: pieces::PRIVATE,
            content: Zeroizing::new(content.clone()),
        }),
    }
    Ok(relayca_bundle::pack(&entries, one.target.mtime())?)
}

/// Whether ssh itself says that it never got as far as a command.
fn never_began(ran: &Ran) -> bool {
    let words = [
        "ssh: connect to host",
        "ssh: Could not resolve",
        "Permission denied (",
        "Host key verification failed",
    ];
    !ran.sent
        || matches!(ran.end, End::NotRun(_))
        || (ran.out.is_empty() && words.iter().any(|word| ran.err.contains(word)))
}

/// After the line broke: the host has all of it or nothing, or is still at it.
fn ask_again(way: &Way<'_>, one: &Wanting<'_>, why: &str) -> Result<Outcome, Failure> {
    let target = one.target;
    let (mut left, mut busy) = ASKED_AGAIN;
    let unknown = |told: String| {
        let mut outcome = outcome_of(one, State::Unknown, told);
        outcome.hint = Some(format!(
            "it has all of it or nothing; `{} deploy --status {}` asks it",
            relayca(way.home),
            target.host
        ));
        outcome
    };
    loop {
        if process::interrupted() {
            return Ok(unknown("interrupted while it was at it".to_owned()));
        }
        std::thread::sleep(Duration::from_secs(1));
        let looked = look(way, target)?;
        match looked.answer {
            Err(_) if left > 1 => left -= 1,
            Err(again) => {
                return Ok(unknown(format!(
                    "the line broke ({why}), and it cannot be asked: {again}"
                )));
            }
            Ok(answer) if answer.busy && busy > 1 => busy -= 1,
            Ok(answer) if answer.busy || answer.left => {
                return Ok(unknown(format!(
                    "the line broke ({why}); {}",
                    if answer.busy {
                        "it is still at it"
                    } else {
                        "it was stopped in the middle, and the next run takes it back"
                    }
                )));
            }
            Ok(answer)
                if !standing::wants_deploy(&looked.lags)
                    && !standing::is_of_earlier_change(&answer, target) =>
            {
                return Ok(outcome_of(
                    one,
                    State::Deployed,
                    format!(
                        "{}; the line broke, and asked again it has all of it",
                        changed(&one.looked.lags)
                    ),
                ));
            }
            Ok(_) => {
                return Ok(outcome_of(
                    one,
                    State::Failed,
                    format!("the line broke ({why}); asked again, it is as it was"),
                ));
            }
        }
    }
}
