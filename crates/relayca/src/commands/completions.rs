//! `relayca completions`: a completion script for a shell.

use clap::CommandFactory;

use crate::cli::{Cli, Completions};
use crate::failure::Failure;
use crate::run::Run;

/// Runs the command.
pub fn run(run: &Run, arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "relayca", &mut script);
    run.printer.data(&String::from_utf8_lossy(&script))
}
