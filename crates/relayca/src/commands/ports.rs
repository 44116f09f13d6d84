//! `relayca ports`: which ports a role needs, and the firewall's commands.
//!
//! In: roles; the relays' ports come from the authority, where there is one. Out: a table, or a block for a root shell.

use relayca_postfix::roles::{
    Firewall, PortRole, PortRule, RelayPort, RoleError, firewall_script, port_rules,
};
use serde_json::{Value, json};

use crate::cli::Ports;
use crate::failure::Failure;
use crate::printer::table;
use crate::run::Run;

/// The port of a relay, where no authority says otherwise.
const USUAL_PORT: u16 = 2500;

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Ports) -> Result<u8, Failure> {
    let roles = roles(&arguments.roles)?;
    let firewall = arguments
        .firewall
        .as_deref()
        .map(str::parse::<Firewall>)
        .transpose()
        .map_err(usage)?;
    let of_relays = [PortRole::Relay, PortRole::MailHost];
    let relays = if roles.iter().any(|role| of_relays.contains(role)) {
        relays(run)?
    } else {
        Vec::new()
    };
    let rules = port_rules(&roles, &relays, arguments.ssh);
    let script = firewall.map(|firewall| firewall_script(&rules, &arguments.also, firewall));
    if run.printer.json {
        let ports: Vec<Value> = rules.iter().map(rule_json).collect();
        run.printer
            .json(&json!({ "ports": ports, "script": script }))?;
    } else {
        match &script {
            Some(script) => run.printer.data(script)?,
            None => run.printer.data(&text(&rules))?,
        }
    }
    run.printer.note(if script.is_some() {
        "paste it into a root shell on a host that has these roles; a firewall of its provider is told apart from it"
    } else {
        "next: `relayca ports ROLE... --firewall ufw|nftables|iptables|firewalld` prints the commands for a host"
    });
    Ok(0)
}

/// A mistyped word.
fn usage(error: RoleError) -> Failure {
    Failure::usage(error.to_string()).hint_of(error.hint())
}

fn roles(words: &[String]) -> Result<Vec<PortRole>, Failure> {
    if words.is_empty() {
        return Ok(PortRole::ALL.to_vec());
    }
    let mut roles = Vec::new();
    for word in words {
        // The word that `snippet --role` has for both.
        if word == "dovecot" {
            roles.extend([PortRole::Imaps, PortRole::Pop3s]);
        } else {
            roles.push(word.parse().map_err(usage)?);
        }
    }
    Ok(roles)
}

/// The relays of the authority. Nobody needs one to open a port, so without one the usual port is shown.
fn relays(run: &Run) -> Result<Vec<RelayPort>, Failure> {
    let home = match run.home(None) {
        Ok(home) => home,
        Err(failure) if run.global.dir.is_some() || run.global.domain.is_some() => {
            return Err(failure);
        }
        Err(failure) => {
            run.printer.note(&format!(
                "{failure}; shown is the usual port of a relay, {USUAL_PORT}"
            ));
            return Ok(vec![RelayPort {
                host: "the relay".to_owned(),
                port: USUAL_PORT,
            }]);
        }
    };
    Ok(home
        .settings
        .relays
        .iter()
        .map(|relay| RelayPort {
            host: relay.destination.to_string(),
            port: relay.port,
        })
        .collect())
}

fn text(rules: &[PortRule]) -> String {
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            vec![
                rule.role.to_string(),
                rule.way.to_string(),
                rule.port.to_string(),
                rule.protocols.names().join(","),
                rule.peer.clone(),
                rule.why.to_owned(),
            ]
        })
        .collect();
    table(&["ROLE", "WAY", "PORT", "PROTOCOL", "WITH", "FOR"], &rows)
}

fn rule_json(rule: &PortRule) -> Value {
    json!({
        "role": rule.role.to_string(),
        "way": rule.way.to_string(),
        "port": rule.port,
        "protocols": rule.protocols.names(),
        "with": rule.peer,
        "for": rule.why,
    })
}
