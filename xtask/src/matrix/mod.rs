//! `cargo xtask lab`: the main job on every Postfix in use.
//!
//! Enters: names of Debian suites. Leaves: which ways of setting up a pair hold on which versions, as a table, kept in
//! docs/COMPATIBILITY.md after a full run. Refuses to know how a scenario is played.

mod installed;
mod scenario;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use scenario::Change;
use xtask::lab::{SUITES, Suite, Tree};
use xtask::main_job::Admin;

use crate::needs::workspace;

const USAGE: &str = "\
usage: cargo xtask lab [--few] [--deb FILE] [SUITE...]

Without SUITE all of them, and docs/COMPATIBILITY.md is written. `--few` is for every change of the source.
With --deb the package is installed in each tree, the main job is done with it from beginning to end, and it is purged.
The trees are kept in $RELAYCA_LAB, or in ~/.cache/relayca-lab.";

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
    xtask::lab::available().map_err(anyhow::Error::msg)?;
    let all = names.is_empty();
    let suites: Vec<Suite> = if all {
        SUITES.to_vec()
    } else {
        names
            .iter()
            .map(|name| Suite::named(name))
            .collect::<Result<_>>()?
    };
    let trees: Vec<(Suite, Tree)> = suites
        .iter()
        .map(|suite| Ok((*suite, suite.tree()?)))
        .collect::<Result<_>>()?;
    if let Some(package) = package {
        return packaged(&package, &trees);
    }
    let program = program()?;
    let jobs = jobs(&trees, few)?;
    println!("lab: {} scenarios", jobs.len());
    let outcomes = play(&program, &trees, &jobs);
    let text = table(&trees, &jobs, &outcomes);
    println!("{text}");
    let failed: Vec<&String> = outcomes
        .values()
        .filter_map(|outcome| outcome.as_ref().err())
        .collect();
    if all && !few && failed.is_empty() {
        let place = workspace().join("docs/COMPATIBILITY.md");
        std::fs::write(&place, document(&trees, &text)?)?;
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
                jobs.push(Job {
                    relay: index,
                    mail_host: other,
                    change: Change::None,
                });
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

/// Two tables in Markdown: each way of setting up on each version, and each version to each.
fn table(trees: &[(Suite, Tree)], jobs: &[Job], outcomes: &BTreeMap<usize, Outcome>) -> String {
    let said = |relay: usize, mail_host: usize, change: &Change| {
        let index = jobs.iter().position(|job| {
            job.relay == relay && job.mail_host == mail_host && job.change == *change
        });
        match index.and_then(|index| outcomes.get(&index)) {
            Some(Ok(())) => "holds",
            Some(Err(_)) => "**fails**",
            None => "-",
        }
    };
    let heads: Vec<String> = trees
        .iter()
        .map(|(suite, _)| format!("{} ({})", suite.postfix, suite.name))
        .collect();
    let rule = "| --- ".repeat(trees.len() + 1);
    let mut text = format!(
        "| relay and mail host on | {} |\n{rule}|\n",
        heads.join(" | ")
    );
    let mut changes: Vec<&Change> = Vec::new();
    for job in jobs {
        if job.relay == job.mail_host && !changes.contains(&&job.change) {
            changes.push(&job.change);
        }
    }
    for change in changes {
        let row: Vec<&str> = (0..trees.len())
            .map(|tree| said(tree, tree, change))
            .collect();
        text.push_str(&format!("| {} | {} |\n", change.title(), row.join(" | ")));
    }
    if trees.len() > 1 {
        text.push_str(&format!(
            "\n| mail host on | relay on {} |\n{rule}|\n",
            heads.join(" | relay on ")
        ));
        for (index, head) in heads.iter().enumerate() {
            let row: Vec<&str> = (0..trees.len())
                .map(|relay| said(relay, index, &Change::None))
                .collect();
            text.push_str(&format!("| {head} | {} |\n", row.join(" | ")));
        }
    }
    text
}

/// docs/COMPATIBILITY.md.
fn document(trees: &[(Suite, Tree)], tables: &str) -> Result<String> {
    let mut versions = String::from("| suite | Postfix | OpenSSL |\n| --- | --- | --- |\n");
    for (suite, tree) in trees {
        let ask = |program: &str, arguments: &[&str]| -> Result<String> {
            let output = tree.command(program).args(arguments).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let postfix = ask("postconf", &["-d", "-h", "mail_version"])?;
        let openssl = ask("openssl", &["version"])?;
        let openssl = openssl.split_whitespace().nth(1).unwrap_or_default();
        versions.push_str(&format!("| {} | {postfix} | {openssl} |\n", suite.name));
    }
    Ok(format!(
        "\
# Which Postfix

Written by `cargo xtask lab`. In each case `init` and `issue` were run, what they print was pasted as it stands, a message
went from the mail host through the relay over TLS that the mail host verified, and `relayca probe --matrix` showed the relay
everything that it must refuse: it refused all of it, and took the listed certificate. What a version does not offer is `-`.

{versions}
{tables}"
    ))
}

/// Installs a package in each tree, does the main job with it there, and purges it.
fn packaged(package: &Path, trees: &[(Suite, Tree)]) -> Result<()> {
    for (suite, tree) in trees {
        let dpkg = |arguments: &[&str]| -> Result<()> {
            let output = tree.command("dpkg").args(arguments).output()?;
            ensure!(
                output.status.success(),
                "{}: dpkg {}: {}",
                suite.name,
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
            Ok(())
        };
        let inside = Path::new("/tmp/relayca-lab.deb");
        std::fs::copy(package, tree.outside(inside)).context("copy the package")?;
        let installed = dpkg(&["-i", "/tmp/relayca-lab.deb"]);
        std::fs::remove_file(tree.outside(inside))?;
        installed?;
        let outcome = dpkg(&["-V", "relayca"]).and_then(|()| {
            let admin = Admin::in_tree(Path::new("/usr/bin/relayca"), tree.clone())?;
            scenario::holds(admin, tree, tree, &Change::None)
        });
        dpkg(&["-P", "relayca"])?;
        ensure!(
            !tree.outside(Path::new("/usr/share/doc/relayca")).exists(),
            "{}: purging left something",
            suite.name
        );
        outcome.with_context(|| format!("with the package on {}", suite.name))?;
        println!("lab: {}: installed, relayed, purged", suite.name);
    }
    Ok(())
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
