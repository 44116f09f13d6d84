//! The project's own commands: `cargo xtask demo | test | bench | lab | dist | fuzz`.
//!
//! Enters: a word. Leaves: what the command prints, and its exit code. Refuses to know how any of them works.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what these commands are for"
)]

mod bench;
mod demo;
mod dist;
mod fuzz;
mod matrix;
mod needs;
mod test;
mod unpacked;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo    makes an authority in a temporary place and, where Postfix is installed, relays a message
  test    installs what the tests need (apt, as root) and runs all of them; arguments go to nextest
  bench   measures relayca beside its peers and beside the raw cost
  dist    makes what is handed out, in target/dist/out: the program for any Linux, a .deb, SBOM, checksums
  lab     [--few] [--deb FILE] [SUITE...] plays the main job on other versions of Postfix; without SUITE on all of them
  fuzz    [--seconds N] [TARGET...] runs each fuzz target for N seconds, 20 unless told otherwise
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let done = match arguments.first().map(String::as_str) {
        Some("demo") => demo::run(),
        Some("test") => test::run(rest),
        Some("bench") => bench::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("lab") => matrix::run(rest),
        Some("dist") => dist::run(rest),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
