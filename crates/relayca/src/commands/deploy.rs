//! `relayca deploy`: the hosts brought up to date over ssh, or asked whether they are.

use std::path::Path;

use relayca_ca::HostName;
use relayca_inventory::{Inventory, NewEvent};
use relayca_postfix::Sends;
use serde_json::{Value, json};

use super::bundle;
use super::snippet::known_host;
use crate::checking::report::{CRITICAL, WARNING};
use crate::cli::Deploy;
use crate::dates;
use crate::deploying::carrying::{self, Looked, Way};
use crate::deploying::host_key;
use crate::deploying::ssh::Ssh;
use crate::deploying::target::{self, Other, Target};
use crate::deploying::{NOT_ASKED, Outcome, State, standing};
use crate::failure::Failure;
use crate::home::Home;
use crate::printer::{count, one_line};
use crate::process;
use crate::run::Run;
use crate::steps::{quoted, relayca};

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Deploy) -> Result<u8, Failure> {
    let home = run.home(arguments.hosts.first().map(String::as_str))?;
    let mut named = named(&home, arguments)?;
    let mut hosts = with_relays(&home, arguments, &named)?;
    target::others(&home.settings, &mut named);
    let others = target::others(&home.settings, &mut hosts);
    refuse_named(&home, arguments, &others)?;
    let ssh = Ssh::of(&arguments.reach, hosts.len())?;
    if let Some(key) = &arguments.host_key {
        seal(run, &home, key, &ssh, &named)?;
    }
    let mut targets = target::targets(run, &home, &hosts)?;
    for target in &mut targets {
        target.older = arguments.older;
    }
    if targets.is_empty() && others.is_empty() {
        return Err(Failure::new("there is no host to deploy to")
            .hint("`relays` in relayca.toml names none, and no mail host has a live certificate"));
    }
    let way = Way {
        run,
        home: &home,
        ssh: &ssh,
        jobs: usize::from(arguments.reach.jobs),
    };
    if arguments.dry_run {
        return dry_run(&way, &targets);
    }
    if arguments.status {
        return status(&way, &targets, &others);
    }
    let width = width(&targets, &others);
    let told = |outcome: &Outcome| {
        if !run.printer.json {
            // A closed pipe is no reason to stop halfway.
            let _ = run.printer.data(&line(
                width,
                &outcome.host,
                outcome.state.as_str(),
                &outcome.told,
            ));
        }
    };
    // On an interrupt each host is told what became of it, and then this ends.
    let undisturbed = process::undisturbed();
    let mut outcomes: Vec<Outcome> = others
        .into_iter()
        .map(|other| left_alone(&home, other))
        .collect();
    outcomes.iter().for_each(told);
    outcomes.extend(carrying::carry_out(&way, &targets, &told)?);
    if let Err(failure) = record(run, &home, &targets, &outcomes) {
        run.printer.warning(&format!(
            "the inventory does not know of it: {}",
            failure.message
        ));
    }
    let code = report(run, &home, &outcomes)?;
    let interrupted = process::interrupted();
    drop(undisturbed);
    if interrupted {
        return Err(Failure::new("interrupted"));
    }
    Ok(code)
}

/// The hosts of the command line.
fn named(home: &Home, arguments: &Deploy) -> Result<Vec<HostName>, Failure> {
    let mut hosts =
        if arguments.all || (arguments.status && arguments.hosts.is_empty() && !arguments.relays) {
            target::all(home, true)?
        } else if arguments.relays {
            target::all(home, false)?
        } else {
            Vec::new()
        };
    for text in &arguments.hosts {
        let (host, _) = known_host(home, text)?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// Whoever names a host that this cannot tell anything is told so before anything is done.
fn refuse_named(home: &Home, arguments: &Deploy, others: &[Other]) -> Result<(), Failure> {
    for text in &arguments.hosts {
        let (host, _) = known_host(home, text)?;
        if let Some(other) = others.iter().find(|other| other.host == host) {
            let what = by_hand(home, other);
            return Err(
                Failure::new(format!("`{host}`: {}; nothing was done", other.why))
                    .hint(format!("paste there what {what} prints")),
            );
        }
    }
    Ok(())
}

fn by_hand(home: &Home, other: &Other) -> String {
    let relayca = relayca(home);
    let list = if other.relay {
        format!("`{relayca} map --format paste` and ")
    } else {
        String::new()
    };
    format!("{list}`{relayca} snippet {}`", other.host)
}

fn left_alone(home: &Home, other: Other) -> Outcome {
    Outcome {
        hint: Some(format!("paste there what {} prints", by_hand(home, &other))),
        host: other.host,
        relay: other.relay,
        state: State::Skipped,
        told: other.why,
        notes: Vec::new(),
    }
}

/// With the relays, where a mail host is among them: until they list it, its mail only waits.
fn with_relays(
    home: &Home,
    arguments: &Deploy,
    named: &[HostName],
) -> Result<Vec<HostName>, Failure> {
    let mut hosts = named.to_vec();
    let mail_host = |host: &HostName| home.settings.relay(host).is_none();
    if !arguments.no_relays && !arguments.status && named.iter().any(mail_host) {
        for relay in target::all(home, false)? {
            if !hosts.contains(&relay) {
                hosts.push(relay);
            }
        }
    }
    Ok(hosts)
}

/// Each bundle is sealed to its host's own SSH key, and from then on travels so.
fn seal(run: &Run, home: &Home, given: &str, ssh: &Ssh, named: &[HostName]) -> Result<(), Failure> {
    if named.len() > 1 && host_key::is_of_one_host(given) {
        return Err(Failure::usage("one key is not good for several hosts")
            .hint("name one host, or give `--host-key known_hosts`"));
    }
    let keys = target::targets(run, home, named)?
        .into_iter()
        .map(|target| {
            let key = host_key::find(given, ssh, &target.host, &target.destination)?;
            Ok((target.host, key))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    for (host, recipients) in keys {
        let path = bundle::seal(run, home, &host, &recipients)?;
        run.printer.note(&format!(
            "sealed to the SSH key of {host}: {}",
            path.display()
        ));
    }
    Ok(())
}

fn width(targets: &[Target], others: &[Other]) -> usize {
    let hosts = targets.iter().map(|target| &target.host);
    hosts
        .chain(others.iter().map(|other| &other.host))
        .map(|host| host.as_str().len())
        .max()
        .unwrap_or_default()
}

fn line(width: usize, host: &HostName, state: &str, told: &str) -> String {
    let line = format!("{:<width$}  {state:<9}  {}", host.as_str(), one_line(told));
    format!("{}\n", line.trim_end())
}

/// That it was done, for the history of the hosts.
fn record(run: &Run, home: &Home, targets: &[Target], outcomes: &[Outcome]) -> Result<(), Failure> {
    let deployed = |target: &&Target| {
        outcomes
            .iter()
            .any(|one| one.host == target.host && one.state == State::Deployed)
    };
    let deployed: Vec<&Target> = targets.iter().filter(deployed).collect();
    if deployed.is_empty() {
        return Ok(());
    }
    let mut inventory = home.inventory()?;
    let mut change = inventory.change()?;
    for target in deployed {
        change.record(&NewEvent {
            at: dates::stamp(run.now),
            what: "deploy".into(),
            serial: target.live.then(|| target.certificate.serial().to_string()),
            host: Some(target.host.to_string()),
            detail: None,
        })?;
    }
    Ok(change.commit()?)
}

fn report(run: &Run, home: &Home, outcomes: &[Outcome]) -> Result<u8, Failure> {
    let printer = &run.printer;
    if printer.json {
        let hosts: Vec<Value> = outcomes
            .iter()
            .map(|one| {
                json!({
                    "host": one.host.as_str(),
                    "role": role(one.relay),
                    "state": one.state.as_str(),
                    "told": one.told,
                    "notes": one.notes,
                    "hint": one.hint,
                })
            })
            .collect();
        printer.json(&json!(hosts))?;
    }
    for one in outcomes {
        for note in &one.notes {
            printer.warning(&format!("{}: {note}", one.host));
        }
        if let Some(hint) = &one.hint {
            printer.hint(&format!("{}: {hint}", one.host));
        }
    }
    let number =
        |wanted: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|one| wanted(one)).count();
    let bad_relays = number(&|one| one.relay && !one.state.is_good());
    let unknown = number(&|one| one.state == State::Unknown);
    let bad = number(&|one| !one.state.is_good());
    // Of one that was not even asked nobody knows.
    let behind = number(&|one| one.relay && !one.state.is_good() && one.told != NOT_ASKED);
    if behind > 0 {
        printer.warning(&format!(
            "{} not up to date: whoever was taken out of the list since may still relay there",
            count(behind, "relay is", "relays are")
        ));
    }
    let mut parts = Vec::new();
    for state in [
        State::Deployed,
        State::Unchanged,
        State::Failed,
        State::Skipped,
        State::Unknown,
    ] {
        let number = number(&|one| one.state == state);
        if number > 0 {
            parts.push(format!("{number} {}", state.as_str()));
        }
    }
    printer.note(&format!(
        "{}: {}",
        count(outcomes.len(), "host", "hosts"),
        parts.join(", ")
    ));
    if bad > 0 {
        printer.note(&format!(
            "next: remove the cause and run it again; what is in place stays, and `{} deploy --status` asks all hosts",
            relayca(home)
        ));
    }
    Ok(match (bad_relays + unknown, bad) {
        (0, 0) => 0,
        (0, _) => WARNING,
        _ => CRITICAL,
    })
}

fn role(relay: bool) -> &'static str {
    if relay { "relay" } else { "mailhost" }
}

/// The state of a host that was only asked.
fn state_of(looked: &Looked) -> &'static str {
    match &looked.answer {
        Err(_) => "unknown",
        Ok(_) if looked.lags.is_empty() => "current",
        Ok(_) => "lags",
    }
}

fn told_of(looked: &Looked) -> String {
    match &looked.answer {
        Err(why) => why.clone(),
        Ok(answer) if looked.lags.is_empty() => format!("Postfix {}", answer.version),
        Ok(_) => {
            let lags: Vec<&str> = looked.lags.iter().map(|lag| lag.told.as_str()).collect();
            lags.join("; ")
        }
    }
}

/// Asks the hosts; gives the exit code.
fn status(way: &Way<'_>, targets: &[Target], others: &[Other]) -> Result<u8, Failure> {
    let printer = &way.run.printer;
    let undisturbed = process::undisturbed();
    let looked = carrying::look_at(way, targets)?;
    drop(undisturbed);
    if process::interrupted() {
        return Err(Failure::new("interrupted; nothing was changed"));
    }
    let both = || targets.iter().zip(&looked);
    if printer.json {
        let hosts: Vec<Value> = both()
            .map(|(target, looked)| {
                let answer = looked.answer.as_ref().ok();
                json!({
                    "host": target.host.as_str(),
                    "role": role(target.relay),
                    "state": state_of(looked),
                    "told": told_of(looked),
                    "lags": looked.lags.iter().map(|lag| lag.id).collect::<Vec<_>>(),
                    "postfix": answer.map(|answer| &answer.version),
                    "running": answer.map(|answer| answer.running),
                })
            })
            .chain(others.iter().map(|other| {
                json!({
                    "host": other.host.as_str(),
                    "role": role(other.relay),
                    "state": "unknown",
                    "told": other.why,
                    "lags": [],
                    "postfix": null,
                    "running": null,
                })
            }))
            .collect();
        printer.json(&json!(hosts))?;
    } else {
        let width = width(targets, others);
        let lines: String = both()
            .map(|(target, looked)| {
                line(
                    width,
                    &target.host,
                    state_of(looked),
                    &one_line(&told_of(looked)),
                )
            })
            .chain(
                others
                    .iter()
                    .map(|other| line(width, &other.host, "unknown", &other.why)),
            )
            .collect();
        printer.data(&lines)?;
    }
    for (target, looked) in both() {
        for hint in looked.lags.iter().filter_map(|lag| lag.hint.as_ref()) {
            printer.hint(&format!("{}: {hint}", target.host));
        }
    }
    let lag = looked.iter().any(|looked| !looked.lags.is_empty());
    let bad = !others.is_empty()
        || looked.iter().any(|looked| {
            looked
                .answer
                .as_ref()
                .map_or(true, |answer| !answer.running)
        });
    let current = looked
        .iter()
        .filter(|looked| state_of(looked) == "current")
        .count();
    printer.note(&format!(
        "{current} of {} current",
        count(targets.len() + others.len(), "host", "hosts")
    ));
    let stopped: Vec<&str> = both()
        .filter(|(_, looked)| looked.answer.as_ref().is_ok_and(|answer| !answer.running))
        .map(|(target, _)| target.host.as_str())
        .collect();
    if !stopped.is_empty() {
        printer.note(&format!(
            "next: `postfix start` on {}; if it ends, its log tells why",
            stopped.join(", ")
        ));
    }
    if looked
        .iter()
        .any(|looked| standing::wants_deploy(&looked.lags))
    {
        printer.note(&format!(
            "next: `{} deploy HOST`, or --relays, or --all",
            relayca(way.home)
        ));
    }
    Ok(match (bad, lag) {
        (true, _) => CRITICAL,
        (false, true) => WARNING,
        _ => 0,
    })
}

/// What would be sent and run. No host is reached, so all of it is shown; no key is.
fn dry_run(way: &Way<'_>, targets: &[Target]) -> Result<u8, Failure> {
    let mut shown = Vec::new();
    let mut text = String::new();
    for target in targets {
        let archive = relayca_bundle::pack(&target.entries, target.mtime())?;
        let sha256 = crate::installing::digest(&archive);
        let script = target.script(
            "TOKEN",
            Sends::Public {
                size: archive.len(),
                sha256: &sha256,
            },
        )?;
        let line = way.ssh.line(&target.destination, &script);
        let pasted: Vec<String> = line.iter().map(|word| quoted(Path::new(word))).collect();
        text.push_str(&format!("# On {}: {}\n", target.host, pasted.join(" ")));
        for (name, digest) in &target.digests {
            text.push_str(&format!("# sends {digest}  {name}\n"));
        }
        text.push_str(&format!(
            "# and {}, where it is not there\n{script}\n",
            relayca_postfix::key_file(target.host.as_str())
        ));
        shown.push(json!({
            "host": target.host.as_str(),
            "role": role(target.relay),
            "command": line,
            "files": target.digests.iter().map(|(name, digest)| json!({ "name": name, "sha256": digest })).collect::<Vec<_>>(),
            "script": script,
        }));
    }
    if way.run.printer.json {
        way.run.printer.json(&json!(shown))?;
    } else {
        way.run.printer.data(&text)?;
    }
    way.run
        .printer
        .note("no host was reached, and nothing was changed");
    Ok(0)
}
