//! `cargo xtask lab`: the main job on every Postfix in use.
//!
//! Enters: names of Debian suites. Leaves: which ways of setting up a pair hold on which versions, as a table, kept in
//! docs/COMPATIBILITY.md after a full run. Refuses to know how a scenario is played.

mod installed;
mod package;
mod scenario;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use scenario::Change;
use xtask::lab::{SUITES, Suite, Tree};
use xtask::main_job::Admin;

use crate::needs::{in_ci, provide_for_trees, workspace};

const USAGE: &str = "\
usage: cargo xtask lab [--few] [--deb FILE] [SUITE...]

Without SUITE all of them, and docs/COMPATIBILITY.md is written. `--few` is for every change of the source: what this machine
cannot do is left out and said, or with CI=true a failure.
With --deb the package, and the archive beside it, are installed in each tree as docs/INSTALL.md says, the main job is done with
them from beginning to end, and they are removed.
The trees are kept in $RELAYCA_LAB, or in ~/.cache/relayca-lab, and come from $RELAYCA_LAB_MIRROR, or from deb.debian.org.";

/// Runs what is asked for.
///
/// # Errors
/// Where a tree cannot be had, or something does not hold.
pub fn run(arguments: &[String]) -> Result<()> {
    let mut few = false;
    let mut package = None;
    let mut names: Vec<&String> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--few" => few = true,
            "--deb" => package = Some(PathBuf::from(words.next().context(USAGE)?)),
            _ => names.push(word),
        }
    }
    ensure!(!names.iter().any(|name| name.starts_with('-')), USAGE);
    let all = names.is_empty();
    let suites: Vec<Suite> = if all {
        SUITES.to_vec()
    } else {
        names
            .iter()
            .map(|name| Suite::named(name))
            .collect::<Result<_>>()?
    };
    let trees = match trees(&suites) {
        Ok(trees) => trees,
        Err(error) if few && !in_ci() => {
            eprintln!("xtask: LEFT OUT: other versions of Postfix: {error:#}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if let Some(package) = package {
        return package::hold(&package, &trees);
    }
    let program = program()?;
    let jobs = jobs(&trees, few)?;
    println!("lab: {} scenarios", jobs.len());
    let outcomes = play(&program, &trees, &jobs);
    let text = table::tables(&trees, &jobs, &outcomes);
    println!("{text}");
    let failed: Vec<&String> = outcomes
        .values()
        .filter_map(|outcome| outcome.as_ref().err())
        .collect();
    if all && !few && failed.is_empty() {
        let place = workspace().join("docs/COMPATIBILITY.md");
        std::fs::write(&place, table::document(&trees, &text)?)?;
        println!("lab: wrote {}", place.display());
    }
    ensure!(
        failed.is_empty(),
        "{} of {} scenarios do not hold",
        failed.len(),
        jobs.len()
    );
    Ok(())
}

/// The trees of the suites, made at the same time where they are not there: it takes about a minute.
fn trees(suites: &[Suite]) -> Result<Vec<(Suite, Tree)>> {
    provide_for_trees()?;
    std::thread::scope(|scope| {
        let made: Vec<_> = suites
            .iter()
            .map(|suite| scope.spawn(move || Ok((*suite, suite.tree()?))))
            .collect();
        made.into_iter()
            .map(|one| one.join().unwrap_or_else(|_| bail!("a tree was not made")))
            .collect()
    })
}

/// A scenario between two of the trees.
struct Job {
    relay: usize,
    mail_host: usize,
    change: Change,
}

fn jobs(trees: &[(Suite, Tree)], few: bool) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for (index, (_, tree)) in trees.iter().enumerate() {
        let both = |change: &Change| Job {
            relay: index,
            mail_host: index,
            change: change.clone(),
        };
        jobs.extend(if few { Change::FEW } else { Change::ALL }.iter().map(both));
        if !few {
            let offered = scenario::map_types(tree)?;
            let maps = Change::MAPS
                .iter()
                .filter(|kind| offered.iter().any(|one| one == *kind));
            jobs.extend(maps.map(|kind| both(&Change::Map(kind))));
        }
        for other in 0..trees.len() {
            // With two trees or few scenarios, the oldest and the newest are enough.
            let ends = [0, trees.len() - 1];
            if other != index && (!few || (ends.contains(&index) && ends.contains(&other))) {
                let across = if few { &[Change::None] } else { Change::ACROSS };
                jobs.extend(across.iter().map(|change| Job {
                    relay: index,
                    mail_host: other,
                    change: change.clone(),
                }));
            }
        }
    }
    Ok(jobs)
}

/// Plays them, two at a time; gives the outcomes by their place in the list.
fn play(program: &Path, trees: &[(Suite, Tree)], jobs: &[Job]) -> BTreeMap<usize, Outcome> {
    let next = Mutex::new(0..jobs.len());
    let outcomes = Mutex::new(BTreeMap::new());
    let take = || next.lock().ok().and_then(|mut next| next.next());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(index) = take() {
                    let Some(job) = jobs.get(index) else { break };
                    let outcome = one(program, trees, job);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.insert(index, outcome);
                    }
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_default()
}

/// What did not hold, if anything.
type Outcome = Result<(), String>;

fn one(program: &Path, trees: &[(Suite, Tree)], job: &Job) -> Outcome {
    let (Some((relay, relay_tree)), Some((mail_host, mail_host_tree))) =
        (trees.get(job.relay), trees.get(job.mail_host))
    else {
        return Err("no such tree".into());
    };
    let start = Instant::now();
    let outcome = Admin::new(program)
        .and_then(|admin| scenario::holds(admin, relay_tree, mail_host_tree, &job.change))
        .map_err(|error| format!("{error:#}"));
    println!(
        "lab: {} -> {}, {}: {} ({:.0} s)",
        mail_host.name,
        relay.name,
        job.change.title(),
        outcome.as_ref().map_or_else(String::as_str, |()| "holds"),
        start.elapsed().as_secs_f64()
    );
    outcome
}

/// relayca, built from this source.
fn program() -> Result<PathBuf> {
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--package", "relayca"])
        .current_dir(workspace())
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "relayca does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), PathBuf::from);
    Ok(target.join("debug/relayca"))
}
