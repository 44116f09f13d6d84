//! `cargo xtask fuzz`: every fuzz target for a bounded time.
//!
//! Enters: seconds and names of targets. Leaves: for each how often it ran and what new it found; an input that breaks a
//! promise, takes ten seconds or a gigabyte is a failure, and its file is named. Refuses to know what a target does.
//!
//! What a run finds stays in `target/fuzz/corpus`, and the next one goes on from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::needs;

/// How long each target runs unless told otherwise, in seconds.
const SECONDS: u64 = 20;
/// The longest input tried: 1 MiB, as much as most readers take.
const LONGEST: usize = 1 << 20;
/// What long inputs consist of: what opens, separates or nests in the formats read.
const FILLERS: &[&[u8]] = &[
    b"[",
    b"{",
    b"a.",
    b"\n",
    b" ",
    b"\"",
    b",a",
    b"a=[",
    b"# ",
    b"-> x\n",
    b"250-\r\n",
    b"0\x80",
    b"0\x84",
    b"\xff",
    b"-----BEGIN A-----\n-----END A-----\n",
];

/// How cargo-fuzz builds here.
struct Toolchain {
    name: &'static str,
    options: &'static [&'static str],
    bootstrap: bool,
}

/// Runs the command.
pub fn run(arguments: &[String]) -> Result<()> {
    let (seconds, wanted) = parse(arguments)?;
    let all = targets()?;
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!(
            "there is no target `{unknown}`; there are {}",
            all.join(", ")
        );
    }
    let chosen = if wanted.is_empty() { all } else { wanted };
    let toolchain = toolchain();
    provide()?;
    let binaries = build(&toolchain, &chosen)?;

    let mut failed = Vec::new();
    for name in &chosen {
        if let Err(error) = fuzz(&binaries.join(name), name, seconds) {
            eprintln!("xtask: {name}: {error:#}");
            failed.push(name.as_str());
        }
    }
    ensure!(
        failed.is_empty(),
        "promises broken in {}",
        failed.join(", ")
    );
    Ok(())
}

fn parse(arguments: &[String]) -> Result<(u64, Vec<String>)> {
    let (mut seconds, mut names) = (SECONDS, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--seconds" {
            let number = rest.next().context("--seconds takes a number")?;
            seconds = number
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .with_context(|| format!("`{number}` is not a number of seconds"))?;
        } else if argument.starts_with('-') {
            bail!("usage: cargo xtask fuzz [--seconds N] [TARGET...]");
        } else {
            names.push(argument.clone());
        }
    }
    Ok((seconds, names))
}

fn package() -> PathBuf {
    needs::workspace().join("crates/relayca-fuzz")
}

fn place() -> PathBuf {
    needs::workspace().join("target/fuzz")
}

/// The targets, by their source files.
fn targets() -> Result<Vec<String>> {
    let mut names: Vec<String> = files(&package().join("fuzz/fuzz_targets"))?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    };
    let mut files = read().with_context(|| format!("read `{}`", directory.display()))?;
    files.sort();
    Ok(files)
}

/// A nightly toolchain where there is one: it alone has AddressSanitizer.
fn toolchain() -> Toolchain {
    let nightly = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if nightly {
        return Toolchain {
            name: "nightly",
            options: &[],
            bootstrap: false,
        };
    }
    println!("xtask: no nightly toolchain, so without AddressSanitizer");
    Toolchain {
        name: "stable",
        options: &["--sanitizer", "none"],
        bootstrap: true,
    }
}

fn provide() -> Result<()> {
    let present = Command::new("cargo")
        .args(["fuzz", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !present {
        println!("xtask: installing cargo-fuzz");
        crate::test::cargo(&["install", "--locked", "--quiet", "cargo-fuzz"])?;
    }
    Ok(())
}

/// Builds the targets, with overflow checks and debug assertions; gives where they are.
fn build(toolchain: &Toolchain, chosen: &[String]) -> Result<PathBuf> {
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .args(arguments)
            .args(toolchain.options)
            .current_dir(package())
            .env("RUSTUP_TOOLCHAIN", toolchain.name)
            // Of the cargo that runs us, which may be another.
            .env_remove("CARGO")
            .env_remove("RUSTC");
        if toolchain.bootstrap {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    };
    let place = place().display().to_string();
    let mut arguments = vec!["fuzz", "build", "--target-dir", &place];
    // One by its name, or all of them.
    if let [only] = chosen {
        arguments.push(only);
    }
    let status = cargo(&arguments).status().context("run cargo fuzz")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));

    let version = Command::new("rustc")
        .arg("-vV")
        .env("RUSTUP_TOOLCHAIN", toolchain.name)
        .output()
        .context("run rustc")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not say what it compiles for")?;
    Ok(self::place().join(host).join("release"))
}

fn fuzz(binary: &Path, name: &str, seconds: u64) -> Result<()> {
    let seeds = needs::workspace().join("fixtures/fuzz").join(name);
    let corpus = place().join("corpus").join(name);
    let artifacts = place().join("artifacts");
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory)?;
    }
    let long = long_inputs(&seeds)?;
    let temporary = tempfile::tempdir()?;
    let run = |directories: &[&Path], options: &[String]| -> Result<String> {
        let output = Command::new(binary)
            .args(directories)
            .args([
                "-timeout=10",
                "-rss_limit_mb=1024",
                &format!("-artifact_prefix={}/{name}-", artifacts.display()),
            ])
            .args(options)
            .env("TMPDIR", temporary.path())
            // What gcc makes of SQLite's C looks doubly defined to the runtime of LLVM.
            .env("ASAN_OPTIONS", "detect_odr_violation=0")
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("run `{}`", binary.display()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let written = said
            .lines()
            .find_map(|line| Some(line.split_once("Test unit written to ")?.1))
            .map(ToOwned::to_owned);
        let why: Vec<&str> = said
            .lines()
            .filter(|line| {
                line.contains("panicked at") || line.contains("ERROR:") || line.contains("SUMMARY:")
            })
            .collect();
        bail!(
            "{}\n  the input: {}\n  once more: {} INPUT\n  mended, it becomes a seed in {}",
            why.join("\n  "),
            written.unwrap_or_else(|| "see above".to_owned()),
            binary.display(),
            seeds.display()
        )
    };

    let directory = temporary.path().join("long");
    fs::create_dir(&directory)?;
    let mut paths = Vec::new();
    for (index, input) in long.iter().enumerate() {
        let path = directory.join(index.to_string());
        fs::write(&path, input)?;
        paths.push(path);
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    run(&paths, &[])?;

    let said = run(
        &[&corpus, &seeds],
        &[
            format!("-max_total_time={seconds}"),
            format!("-max_len={LONGEST}"),
            "-print_final_stats=1".to_owned(),
        ],
    )?;
    let stat = |key: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(key))
            .map_or("?", str::trim)
            .to_owned()
    };
    println!(
        "{name:20} {:>9} executions, {:>5} new inputs, {} long ones",
        stat("stat::number_of_executed_units:"),
        stat("stat::new_units_added:"),
        paths.len()
    );
    Ok(())
}

/// Inputs of 1 MiB: what takes more than linear time shows here, where the fuzzer itself seldom gets.
fn long_inputs(seeds: &Path) -> Result<Vec<Vec<u8>>> {
    let repeated = |start: &[u8], piece: &[u8]| -> Vec<u8> {
        let pieces = piece.iter().copied().cycle();
        start.iter().copied().chain(pieces).take(LONGEST).collect()
    };
    let mut inputs = Vec::new();
    let mut shortest: Option<Vec<u8>> = None;
    for path in files(seeds)? {
        let seed = fs::read(&path)?;
        if !seed.is_empty() {
            inputs.push(repeated(&[], &seed));
            shortest = shortest
                .filter(|kept| kept.len() <= seed.len())
                .or(Some(seed));
        }
    }
    for filler in FILLERS {
        inputs.push(repeated(&[], filler));
        inputs.push(repeated(shortest.as_deref().unwrap_or_default(), filler));
    }
    Ok(inputs)
}
