//! `relayca snippet`: one block for a root shell on a host.

use relayca_ca::HostName;
use relayca_inventory::Records;
use relayca_postfix::{RelayStyle, SenderBinding, Style};

use super::issue::snippet_json;
use crate::cli::Snippet;
use crate::failure::Failure;
use crate::home::Home;
use crate::pieces;
use crate::run::Run;
use crate::settings::word;

/// Runs the command.
pub fn run(run: &Run, arguments: &Snippet) -> Result<(), Failure> {
    let home = run.home(Some(&arguments.host))?;
    let (host, role) = known_host(&home, &arguments.host)?;
    let style: Option<Style> = arguments.style.as_deref().map(word).transpose()?;
    let snippet = if role == "relay" {
        let relay = home.settings.relay(&host).ok_or_else(|| {
            Failure::new(format!(
                "`{host}` is not among `relays` in relayca.toml, so its port is not known"
            ))
            .hint("add it there as HOST:PORT")
        })?;
        let style = match style {
            None | Some(Style::Transport) => RelayStyle::Block,
            Some(Style::Postconf) => RelayStyle::Postconf,
            Some(_) => {
                return Err(
                    Failure::usage("a relay's service lies in master.cf, not in main.cf")
                        .hint("use --style transport or postconf"),
                );
            }
        };
        pieces::relay_snippet(
            &home.settings,
            relay,
            bindings(&home, &arguments.senders)?,
            style,
        )?
    } else {
        if !arguments.senders.is_empty() {
            return Err(Failure::usage(
                "--senders goes with a relay: it is the relay that checks them",
            )
            .hint("give it with the relay's name instead"));
        }
        pieces::mail_host_snippet(&home.settings, &host, style.unwrap_or(home.settings.style))?
    };
    if run.printer.json {
        run.printer.json(&snippet_json(&snippet))?;
    } else {
        run.printer.data(&snippet.script)?;
    }
    for warning in &snippet.warnings {
        run.printer.warning(warning);
    }
    run.printer.note(&format!(
        "paste it into a root shell on {host}; its files must lie in {}/relayca",
        home.settings.config_directory(&host)
    ));
    Ok(())
}

/// A host of the inventory, and its role.
pub fn known_host(home: &Home, text: &str) -> Result<(HostName, String), Failure> {
    let name = HostName::in_domain(text, &home.settings.domain)?;
    match home.inventory_read_only()?.host(name.as_str())? {
        Some(host) => Ok((name, host.role)),
        None => Err(
            Failure::new(format!("`{name}` has no certificate")).hint(format!(
                "`relayca issue {name}` issues one; `relayca list` shows who has one"
            )),
        ),
    }
}

/// The bindings of relayca.toml, with those of the command line in their place.
fn bindings(home: &Home, given: &[String]) -> Result<Vec<SenderBinding>, Failure> {
    let mut bindings = pieces::bindings(&home.settings);
    for text in given {
        let (host, senders) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{text}` is not HOST=LIST"))
                .hint("as in --senders mailhost=example.org")
        })?;
        let host = HostName::in_domain(host, &home.settings.domain)?.to_string();
        bindings.retain(|binding| binding.host != host);
        bindings.push(SenderBinding {
            host,
            senders: senders.split(',').map(str::to_owned).collect(),
        });
    }
    Ok(bindings)
}
