//! The program, linked so that any Linux in use runs it.
//!
//! Enters: the tools. Leaves: the binary, after its needs were looked at: no library but those of glibc, no symbol newer than
//! 2.17 (RHEL 7, Debian 8), no larger than it may be. Refuses to know how it is packed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::said;
use super::tools::Tools;
use crate::needs::workspace;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Others that Linux is in use on: static, and on ARM.
const OTHERS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-gnu"];
/// The oldest glibc that it runs with.
const GLIBC: (u32, u32) = (2, 17);
/// Bytes: 12 MiB.
const LARGEST: u64 = 12 << 20;
/// Of the fastest of many starts: a busy machine makes the others slow.
const LONGEST_START: Duration = Duration::from_millis(5);
/// No tables to unwind C by, as a panic aborts. AWS-LC's AVX-512 code stays: 0.7 MiB, and RSA signs three times as fast by it.
const C_FLAGS: &str = "-fno-asynchronous-unwind-tables -fno-unwind-tables";

/// Builds it.
pub fn build(tools: &Tools) -> Result<PathBuf> {
    let (major, minor) = GLIBC;
    println!("xtask: building for glibc {major}.{minor}; the first time takes about 5 minutes");
    let directory = workspace().join("target/dist");
    let status = tools
        .command("cargo")
        .args([
            "zigbuild",
            "--profile",
            "dist",
            "--locked",
            "--package",
            "relayca",
            "--target",
        ])
        .arg(format!("{TARGET}.{major}.{minor}"))
        .env("CARGO_TARGET_DIR", &directory)
        .env("RUSTFLAGS", remapped())
        .env(format!("CFLAGS_{}", TARGET.replace('-', "_")), C_FLAGS)
        // Nothing of this machine's compiler and loader: see crates/relayca/build.rs.
        .env("RELAYCA_PORTABLE", "1")
        .status()?;
    ensure!(status.success(), "the build failed");
    let program = directory.join(TARGET).join("dist/relayca");
    check(&program)?;
    Ok(program)
}

/// `--remap-path-prefix` for this source and for cargo's: the path of this machine is no one's business, and would make each
/// build another.
fn remapped() -> String {
    let mut flags = format!("--remap-path-prefix={}=relayca", workspace().display());
    if let Some(home) = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
    {
        flags.push_str(&format!(" --remap-path-prefix={}=cargo", home.display()));
    }
    flags
}

/// What it needs of a system, and its size.
fn check(program: &Path) -> Result<()> {
    let needed = said(Command::new("readelf").args(["-dW"]).arg(program))?;
    ensure!(
        !needed.contains("RELR"),
        "its relocations are packed: glibc before 2.36 would not load it"
    );
    for line in needed.lines().filter(|line| line.contains("(NEEDED)")) {
        let library = line.split(['[', ']']).nth(1).unwrap_or_default();
        let of_glibc = [
            "libc.so.6",
            "libm.so.6",
            "libpthread.so.0",
            "libdl.so.2",
            "librt.so.1",
            "ld-linux-x86-64.so.2",
        ];
        ensure!(of_glibc.contains(&library), "it needs `{library}`");
    }
    let (newest, symbol) = newest_symbol(program)?;
    ensure!(newest <= GLIBC, "it needs `{symbol}`");
    let size = std::fs::metadata(program)?.len();
    ensure!(size < LARGEST, "it is {size} bytes; it may be {LARGEST}");
    Ok(())
}

/// Says what is not made here.
pub fn tell_of_others() -> Result<()> {
    let at_hand = |target: &str| -> Result<bool> {
        let place =
            said(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
        Ok(Path::new(place.trim()).exists())
    };
    for target in OTHERS {
        let why = if at_hand(target)? {
            "Rust's library for it is at hand, but nobody has tried it"
        } else {
            "Rust's library for it is not at hand"
        };
        println!("not made: {target}; {why}");
    }
    Ok(())
}

fn newest_symbol(program: &Path) -> Result<((u32, u32), String)> {
    let symbols = said(Command::new("objdump").arg("-T").arg(program))?;
    let mut newest = ((0, 0), String::new());
    for word in symbols.split(|letter: char| letter.is_whitespace() || "()".contains(letter)) {
        let Some(version) = word.strip_prefix("GLIBC_") else {
            continue;
        };
        let mut numbers = version.split('.').map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            bail!("`{word}` is no version of glibc");
        };
        if (major, minor) > newest.0 {
            newest = ((major, minor), word.to_owned());
        }
    }
    Ok(newest)
}

/// Says how large it is, what it needs and how fast it starts: the median of 50.
pub fn report(program: &Path) -> Result<()> {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        said(Command::new(program).arg("--version"))?;
        times.push(start.elapsed());
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let size = std::fs::metadata(program)?.len();
    let fastest = times.first().copied().unwrap_or_default();
    ensure!(
        fastest < LONGEST_START,
        "it starts in {fastest:?} at best; {LONGEST_START:?} is allowed"
    );
    println!(
        "the program: {:.1} MiB, needs {}, starts in {:.1} ms (median of 50)",
        size as f64 / f64::from(1 << 20),
        newest_symbol(program)?.1,
        median.as_secs_f64() * 1000.0
    );
    Ok(())
}
