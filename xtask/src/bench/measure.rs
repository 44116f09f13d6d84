//! Running a program and saying what it cost.
//!
//! Enters: a command. Leaves: its time and memory, or an error with what it wrote. Refuses to know: what it does.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How often a running program is asked for its memory. The system keeps the highest value, so only a rise in the last
/// moments can be missed.
const POLL: Duration = Duration::from_millis(2);
/// Clock ticks a second in `/proc`: 100 on every Linux (`USER_HZ`).
const TICKS: u64 = 100;

/// Times of several runs.
#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The median.
    pub fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The fastest.
    pub fn fastest(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        Samples(times.into_iter().collect())
    }
}

/// Runs commands one after the other and gives the time from the first start to the last end.
pub fn time(commands: &mut [Command]) -> anyhow::Result<Duration> {
    for command in &mut *commands {
        quiet(command);
    }
    let start = Instant::now();
    for command in &mut *commands {
        let done = command
            .status()
            .with_context(|| format!("{:?} cannot be run", command.get_program()))?;
        if !done.success() {
            bail!("{command:?} failed: {done}");
        }
    }
    Ok(start.elapsed())
}

/// Runs a command and gives its time and its highest resident memory in KiB.
pub fn time_and_peak(command: &mut Command) -> anyhow::Result<(Duration, u64)> {
    quiet(command);
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    let mut peak = 0;
    loop {
        if let Some(done) = child.try_wait()? {
            if !done.success() {
                bail!("{command:?} failed: {done}");
            }
            return Ok((start.elapsed(), peak));
        }
        peak = peak.max(highest_resident(&child).unwrap_or_default());
        std::thread::sleep(POLL);
    }
}

fn quiet(command: &mut Command) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
}

/// `VmHWM` of proc_pid_status(5). It is gone once the program has ended.
fn highest_resident(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// User and system time of all children that have ended (proc_pid_stat(5), cutime and cstime). Its grain is 10 ms, so it
/// says something about many runs, not about one.
pub fn cpu_of_children() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("there is no /proc")?;
    // The second field is the program's name in parentheses and may hold blanks; the third follows the last parenthesis.
    let (_, after) = stat
        .rsplit_once(')')
        .context("/proc/self/stat is not as expected")?;
    let ticks = |field: usize| {
        after
            .split_whitespace()
            .nth(field - 3)
            .and_then(|text| text.parse::<u64>().ok())
    };
    match (ticks(16), ticks(17)) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 1000 / TICKS)),
        _ => bail!("/proc/self/stat is not as expected"),
    }
}
