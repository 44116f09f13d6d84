//! `relayca man`: manual pages, made from the grammar.

use clap::CommandFactory;

use crate::cli::{Cli, Man};
use crate::disk;
use crate::failure::Failure;
use crate::pieces;
use crate::run::Run;

/// Runs the command.
pub fn run(run: &Run, arguments: &Man) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(directory) = &arguments.out else {
        return run.printer.data(&page(command)?);
    };
    let mut pages = vec![("relayca.1".to_owned(), page(command.clone())?)];
    for subcommand in command
        .get_subcommands()
        .filter(|subcommand| subcommand.get_name() != "help")
    {
        let name = format!("relayca-{}", subcommand.get_name());
        pages.push((
            format!("{name}.1"),
            page(subcommand.clone().name(name.leak() as &'static str))?,
        ));
    }
    for (name, text) in &pages {
        disk::write_new(&directory.join(name), text.as_bytes(), pieces::PUBLIC)?;
    }
    run.printer
        .note(&format!("{} pages in {}", pages.len(), directory.display()));
    Ok(())
}

fn page(command: clap::Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(|error| Failure::new(format!("cannot render the manual page: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
