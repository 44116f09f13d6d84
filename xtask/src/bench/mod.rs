//! `cargo xtask bench`: relayca beside its peers and beside the raw cost, as one table from one run.
//!
//! Enters: how often to run what. Leaves: medians, ratios, and whether each target is met, as text; a missed target is
//! no error, since a busy machine misses them too. Refuses to know: how relayca works; it runs the released program.

mod measure;
mod peers;
mod relayca;
mod table;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::bench::measure::{Samples, cpu_of_children};
use crate::bench::peers::Peer;
use crate::bench::relayca::{Bulk, Relayca};
use crate::bench::table::{Table, milliseconds, verdict};

const USAGE: &str = "usage: cargo xtask bench [--runs N] [--hosts N] [--bulk-runs N]";

/// How often to run what.
struct Plan {
    /// Runs of one certificate, of relayca and of each peer.
    runs: usize,
    /// Hosts in a bulk issue.
    hosts: usize,
    /// Bulk issues.
    bulk_runs: usize,
}

/// Measures, and prints the table.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let plan = plan(arguments)?;
    let relayca = Relayca::prepare(plan.runs, plan.bulk_runs, plan.hosts)?;
    let (peers, missing) = peers::found(&relayca.place("peers")?)?;
    eprintln!("{} runs of one certificate each …", plan.runs);
    let singles = singles(&plan, &relayca, &peers)?;
    let mut bulks = Vec::new();
    for number in 0..plan.bulk_runs {
        eprintln!(
            "{} hosts, run {} of {} …",
            plan.hosts,
            number + 1,
            plan.bulk_runs
        );
        bulks.push(relayca.bulk(number, plan.hosts)?);
    }
    println!("{}", report(&plan, &singles, &bulks, &missing)?);
    Ok(())
}

fn plan(arguments: &[String]) -> anyhow::Result<Plan> {
    let mut plan = Plan {
        runs: 40,
        hosts: 10_000,
        bulk_runs: 5,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let number = match word.as_str() {
            "--runs" => &mut plan.runs,
            "--hosts" => &mut plan.hosts,
            "--bulk-runs" => &mut plan.bulk_runs,
            _ => bail!(USAGE),
        };
        *number = words
            .next()
            .and_then(|text| text.parse().ok())
            .filter(|number| *number > 0)
            .context(USAGE)?;
    }
    Ok(plan)
}

/// What one certificate costs somebody.
struct Single {
    name: &'static str,
    what: &'static str,
    wall: Samples,
    /// User and system time, per run.
    cpu: Duration,
}

/// Everybody once a round, so that what else the machine does hits all alike, and in another order each round: who comes after
/// a large program finds the processor's caches full of that one's data. relayca comes first in the result.
fn singles(plan: &Plan, relayca: &Relayca, peers: &[Peer]) -> anyhow::Result<Vec<Single>> {
    let mut singles = vec![Single {
        name: "relayca",
        what: "issue HOST: key, certificate, sealed bundle, inventory, snippets",
        wall: Samples::default(),
        cpu: Duration::ZERO,
    }];
    singles.extend(peers.iter().map(|peer| Single {
        name: peer.name,
        what: peer.what,
        wall: Samples::default(),
        cpu: Duration::ZERO,
    }));
    for number in 0..plan.runs {
        for index in shuffled(singles.len(), number) {
            let single = &mut singles[index];
            let before = cpu_of_children()?;
            let wall = match index.checked_sub(1).map(|peer| &peers[peer]) {
                None => relayca.issue(number)?,
                Some(peer) => peer.issue(number)?,
            };
            single.wall.add(wall);
            single.cpu += cpu_of_children()?.saturating_sub(before);
        }
    }
    let runs = u32::try_from(plan.runs)?;
    for single in &mut singles {
        single.cpu /= runs;
    }
    Ok(singles)
}

/// The numbers below `count` in an order that depends on the round alone.
fn shuffled(count: usize, round: usize) -> Vec<usize> {
    let hash = BuildHasherDefault::<DefaultHasher>::default();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|index| hash.hash_one((round, index)));
    order
}

fn report(
    plan: &Plan,
    singles: &[Single],
    bulks: &[Bulk],
    missing: &[String],
) -> anyhow::Result<String> {
    let ours = &singles[0];
    let mut table = Table::new(&["", "median", "fastest", "CPU", "x relayca", "what"]);
    for single in singles {
        table.row([
            single.name.to_owned(),
            milliseconds(single.wall.median()),
            milliseconds(single.wall.fastest()),
            milliseconds(single.cpu),
            format!("{:.2}", ratio(single.wall.median(), ours.wall.median())),
            single.what.to_owned(),
        ]);
    }

    let hosts = u32::try_from(plan.hosts)?;
    let of = |take: fn(&Bulk) -> Duration| bulks.iter().map(take).collect::<Samples>();
    let (wall, cpu) = (of(|bulk| bulk.wall), of(|bulk| bulk.cpu));
    let (raw_all, raw_one) = (of(|bulk| bulk.raw.all), of(|bulk| bulk.raw.one));
    let threads = bulks.first().map_or(1, |bulk| bulk.raw.threads);
    let archive = bulks.first().map_or(0, |bulk| bulk.raw.archive);
    let each = |samples: &Samples| samples.median() / hosts;
    for (name, samples, cpu, what) in [
        (
            "relayca",
            &wall,
            each(&cpu),
            format!("issue --from, {} hosts, a certificate", plan.hosts),
        ),
        (
            "raw",
            &raw_all,
            Duration::ZERO,
            format!(
                "keys, signatures, sealing of {archive} bytes, {threads} threads, a certificate"
            ),
        ),
        (
            "raw",
            &raw_one,
            each(&raw_one),
            "the same, one thread".to_owned(),
        ),
    ] {
        table.row([
            name.to_owned(),
            milliseconds(each(samples)),
            milliseconds(samples.fastest() / hosts),
            if cpu.is_zero() {
                String::new()
            } else {
                milliseconds(cpu)
            },
            format!("{:.2}", ratio(samples.median(), wall.median())),
            what,
        ]);
    }

    let mut text = table.text();
    text.push('\n');
    if !missing.is_empty() {
        text.push_str(&format!("not measured: {}\n", missing.join("; ")));
    }
    if let Some(certtool) = singles.iter().find(|single| single.name == "certtool") {
        let found = ratio(ours.wall.median(), certtool.wall.median());
        let name = format!("issue HOST / certtool {}", certtool.what);
        text.push_str(&verdict(&name, found, 1.0));
    }
    // Run by run: both halves of a pair saw the same machine.
    for (what, this, that) in [
        (
            format!("issue --from / raw, time, both on {threads} threads"),
            (|bulk| bulk.wall) as fn(&Bulk) -> Duration,
            (|bulk| bulk.raw.all) as fn(&Bulk) -> Duration,
        ),
        (
            format!("issue --from on {threads} threads / raw on one, time"),
            |bulk| bulk.wall,
            |bulk| bulk.raw.one,
        ),
        (
            "issue --from, CPU time of all threads / raw on one".to_owned(),
            |bulk| bulk.cpu,
            |bulk| bulk.raw.one,
        ),
    ] {
        let pairs = bulks.iter().map(|bulk| ratio(this(bulk), that(bulk)));
        text.push_str(&verdict(&what, table::middle(pairs.collect()), 3.0));
    }
    if let Some(fastest) = singles
        .iter()
        .skip(1)
        .min_by_key(|single| single.wall.median())
    {
        let name = format!(
            "issue --from / the fastest peer ({} {}), a certificate",
            fastest.name, fastest.what
        );
        text.push_str(&verdict(
            &name,
            ratio(each(&wall), fastest.wall.median()),
            0.05,
        ));
    }
    let peak = bulks
        .iter()
        .map(|bulk| bulk.peak_kib)
        .max()
        .unwrap_or_default();
    text.push_str(&verdict(
        "peak memory of issue --from, MiB",
        peak as f64 / 1024.0,
        100.0,
    ));
    Ok(text)
}

fn ratio(this: Duration, that: Duration) -> f64 {
    this.as_secs_f64() / that.as_secs_f64().max(f64::EPSILON)
}
