//! relayca: a private certificate authority that lets internal mail servers relay through Postfix.
//!
//! In: arguments. Out: an exit code. This file prepares the process (no core dumps, interrupts tidy up),
//! hands over to a command and prints how it ended.

mod authorities;
mod checking;
mod cli;
mod commands;
mod dates;
mod deploying;
mod disk;
mod explaining;
mod failure;
mod home;
mod hosts;
mod importing;
mod installing;
mod issuing;
mod linting;
mod mail_servers;
mod opening;
#[doc(hidden)]
pub mod outside;
mod pieces;
mod printer;
mod probing;
mod process;
mod progress;
mod public_bundles;
mod requested;
mod run;
mod sealed_ca;
mod secrets;
mod settings;
mod steps;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::run::Run;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    process::keep_secrets_in_memory();
    process::end_on_interrupt();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let run = Run::new(cli.global);
    match dispatch(&run, &cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            process::end_if_interrupted();
            let failure = run.secrets.unanswered().unwrap_or(failure);
            run.printer.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

/// Help and version go to stdout as clap has them; what was mistyped is told like every other error.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr()
        || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    {
        // A reader that went away is no error.
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() {
            failure::USAGE
        } else {
            0
        });
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text
        .split("\n\nFor more information")
        .next()
        .unwrap_or(text);
    // Blank lines keep clap's parts apart; here the lines are indented already.
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let failure = Failure::usage(lines.join("\n")).hint("`--help` shows the options and examples");
    printer::Printer::new(false, false).failure(&failure);
    ExitCode::from(failure.code)
}

fn dispatch(run: &Run, command: &Command) -> Result<u8, Failure> {
    if !matches!(command, Command::Issue(_)) {
        process::watch_for_interrupts();
    }
    match command {
        Command::Init(arguments) => commands::init::run(run, arguments)?,
        Command::Issue(arguments) => commands::issue::run(run, arguments)?,
        Command::List(arguments) => commands::list::run(run, arguments)?,
        Command::Show(arguments) => commands::show::run(run, arguments)?,
        Command::Map(arguments) => commands::map::run(run, arguments)?,
        Command::Fingerprint(arguments) => commands::fingerprint::run(run, arguments)?,
        Command::Snippet(arguments) => commands::snippet::run(run, arguments)?,
        Command::Bundle(arguments) => commands::bundle::run(run, arguments)?,
        Command::Passphrase(arguments) => commands::passphrase::run(run, arguments)?,
        Command::Open(arguments) => commands::open::run(run, arguments)?,
        Command::Deploy(arguments) => return commands::deploy::run(run, arguments),
        Command::Install(arguments) => commands::install::run(run, arguments)?,
        Command::Uninstall(arguments) => commands::uninstall::run(run, arguments)?,
        Command::Verify(arguments) => return commands::verify::run(run, arguments),
        Command::Renew(arguments) => commands::renew::run(run, arguments)?,
        Command::Retire(arguments) => commands::retire::run(run, arguments)?,
        Command::Revoke(arguments) => commands::revoke::run(run, arguments)?,
        Command::Crl(arguments) => commands::crl::run(run, arguments)?,
        Command::Rollover(arguments) => commands::rollover::run(run, arguments)?,
        Command::Request(arguments) => commands::request::run(run, arguments)?,
        Command::Passwd(arguments) => commands::passwd::run(run, arguments)?,
        Command::Check(arguments) => return commands::check::run(run, arguments),
        Command::Probe(arguments) => return commands::probe::run(run, arguments),
        Command::Lint(arguments) => return commands::lint::run(run, arguments),
        Command::Explain(arguments) => return commands::explain::run(run, arguments),
        Command::Ports(arguments) => return commands::ports::run(run, arguments),
        Command::Import(arguments) => commands::import::run(run, arguments)?,
        Command::Backup(arguments) => commands::backup::run(run, arguments)?,
        Command::Restore(arguments) => commands::restore::run(run, arguments)?,
        Command::Completions(arguments) => commands::completions::run(run, arguments)?,
        Command::Man(arguments) => commands::man::run(run, arguments)?,
    }
    Ok(0)
}
