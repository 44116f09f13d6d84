//! `cargo xtask test`: all tests, with everything that they need.
//!
//! Enters: arguments for nextest. Leaves: its verdict. What this machine cannot run is left out loudly; with
//! `CI=true` leaving something out is a failure.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::needs::{self, Missing};

/// Runs the command.
pub fn run(arguments: &[String]) -> Result<()> {
    let missing = needs::provide()?;
    for missing in &missing {
        eprintln!("xtask: LEFT OUT: tests that need {}", missing.what);
    }
    ensure!(
        missing.is_empty() || !needs::in_ci(),
        "with CI=true no test may be left out"
    );

    nextest(arguments, &missing)?;
    if arguments.is_empty() {
        cargo(&["test", "--quiet", "--locked", "--workspace", "--doc"])?;
    }
    for missing in &missing {
        eprintln!("xtask: LEFT OUT: tests that need {}", missing.what);
    }
    Ok(())
}

fn nextest(arguments: &[String], missing: &[Missing]) -> Result<()> {
    if !Command::new("cargo")
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
    {
        println!("xtask: installing cargo-nextest");
        cargo(&["install", "--locked", "--quiet", "cargo-nextest"])?;
    }
    let mut all = vec!["nextest", "run", "--locked", "--workspace"];
    let left_out: Vec<String> = missing
        .iter()
        .map(|missing| format!("({})", missing.tests))
        .collect();
    let filter = format!("not ({})", left_out.join(" | "));
    if !left_out.is_empty() {
        all.extend(["-E", &filter]);
    }
    all.extend(arguments.iter().map(String::as_str));
    cargo(&all)
}

/// Runs cargo in the workspace, with its output shown.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(needs::workspace())
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}
