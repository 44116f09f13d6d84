//! `relayca snippet`: one block for a root shell on a host.
//!
//! In: a host of the authority, or with `--role` any host and where its certificate lies. Out: the block, or as JSON its
//! pieces.

use relayca_ca::HostName;
use relayca_inventory::Records;
use relayca_mta::Mta;
use relayca_postfix::roles::{
    DovecotVersion, Role, RoleError, RoleHost, RoleSnippet, ServerCertificate, role_snippet,
};
use relayca_postfix::{RelayStyle, SenderBinding, Style};
use serde_json::{Value, json};

use crate::cli::Snippet;
use crate::failure::{Failure, USAGE};
use crate::home::Home;
use crate::mail_servers;
use crate::pieces;
use crate::run::Run;
use crate::settings::word;

/// Postfix's configuration directory, where no authority says otherwise.
const USUAL_DIRECTORY: &str = "/etc/postfix";

/// Runs the command.
pub fn run(run: &Run, arguments: &Snippet) -> Result<(), Failure> {
    if let Some(role) = &arguments.role {
        return of_role(run, arguments, role.parse().map_err(usage)?);
    }
    let given = host_given(arguments)?;
    let mut home = run.home(Some(given))?;
    let (host, role) = known_host(&home, given)?;
    if let Some(mta) = &arguments.mta {
        let mta: Mta = mta
            .parse()
            .map_err(|error: relayca_mta::MtaError| usage_of(&error, error.hint()))?;
        home.settings.set_mta(&host, mta);
    }
    let mta = home.settings.mta(&host);
    if mta != Mta::Postfix && arguments.style.is_some() {
        return Err(Failure::usage(format!(
            "--style is for Postfix, and {host} has {}",
            mta.name()
        ))
        .hint("leave it out"));
    }
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
        if mta != Mta::Postfix && !arguments.senders.is_empty() {
            return Err(
                Failure::usage("Exim's senders stand in its list, not in its settings")
                    .hint("write them into relayca.toml, and print `relayca map --format paste`"),
            );
        }
        mail_servers::relay_text(
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
        mail_servers::mail_host_text(&home.settings, &host, style.unwrap_or(home.settings.style))?
    };
    if run.printer.json {
        run.printer.json(&snippet.json())?;
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
        None => Err(home.unknown(&name)),
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

fn host_given(arguments: &Snippet) -> Result<&str, Failure> {
    arguments
        .host
        .as_deref()
        .ok_or_else(|| Failure::usage("no host was named").hint("name the host that it is for"))
}

/// What was written on the command line is at fault.
fn usage(error: RoleError) -> Failure {
    usage_of(&error, error.hint())
}

/// Likewise.
pub fn usage_of(error: &impl ToString, hint: Option<String>) -> Failure {
    Failure::usage(error.to_string()).hint_of(hint)
}

/// A role beside the pair.
fn of_role(run: &Run, arguments: &Snippet, role: Role) -> Result<(), Failure> {
    let style = match arguments.style.as_deref() {
        None | Some("block") => RelayStyle::Block,
        Some("postconf") => RelayStyle::Postconf,
        Some(other) => {
            return Err(Failure::usage(format!("a role has no style `{other}`"))
                .hint("use --style block or postconf"));
        }
    };
    let dovecot_version = arguments
        .dovecot_version
        .as_deref()
        .map(str::parse::<DovecotVersion>)
        .transpose()
        .map_err(usage)?;
    let given = arguments.config_directory.clone();
    let (host, certificate, config_directory) = match &arguments.cert_name {
        Some(name) => (
            arguments
                .host
                .as_deref()
                .map(|host| name_of(run, host))
                .transpose()?,
            ServerCertificate::LetsEncrypt {
                directory: arguments.letsencrypt_directory.clone(),
                name: name.clone(),
            },
            given.unwrap_or_else(|| USUAL_DIRECTORY.to_owned()),
        ),
        None => of_our_ca(run, host_given(arguments)?, given)?,
    };
    let described = RoleHost {
        role,
        host: host.as_ref().map(ToString::to_string),
        certificate,
        config_directory,
        queue_directory: arguments.queue_directory.clone(),
        dovecot_directory: arguments.dovecot_directory.clone(),
        dovecot_version,
        port: arguments.port,
        style,
    };
    let snippet = role_snippet(&described).map_err(usage)?;
    if run.printer.json {
        run.printer.json(&role_json(&described, &snippet))?;
    } else {
        run.printer.data(&snippet.script)?;
    }
    for warning in &snippet.warnings {
        run.printer.warning(warning);
    }
    run.printer.note(&format!(
        "paste it into a root shell on {}; {} must lie there",
        host.map_or_else(|| "the host".to_owned(), |host| host.to_string()),
        described.certificate.certificate()
    ));
    if let Some(hook) = &snippet.hook {
        run.printer.note(&format!(
            "after each renewal certbot runs {}, which the block writes",
            hook.path
        ));
    }
    Ok(())
}

/// A full name; a bare one gets the domain of the authority that there may be.
fn name_of(run: &Run, text: &str) -> Result<HostName, Failure> {
    if text.contains('.') {
        return Ok(HostName::parse(text)?);
    }
    let home = run.home(None).map_err(|_| {
        Failure::usage(format!("`{text}` is not a full host name"))
            .hint("write it with its domain, for example `mail.example.org`")
    })?;
    Ok(HostName::in_domain(text, &home.settings.domain)?)
}

/// A host with a certificate of this CA that a server can show.
fn of_our_ca(
    run: &Run,
    text: &str,
    directory: Option<String>,
) -> Result<(Option<HostName>, ServerCertificate, String), Failure> {
    let home = run.home(Some(text)).map_err(|failure| {
        if failure.code == USAGE {
            return failure;
        }
        failure
            .within("without --cert-name the certificate is one of this CA")
            .hint(
                "give --cert-name for a certificate of Let's Encrypt; no authority is needed then",
            )
    })?;
    let (host, role) = known_host(&home, text)?;
    if role != "relay" {
        return Err(Failure::new(format!(
            "the certificate of `{host}` is a mail host's (clientAuth), which no server can show"
        ))
        .hint("get one from Let's Encrypt and give --cert-name; only a relay has a server's certificate of this CA"));
    }
    let directory = directory.unwrap_or_else(|| home.settings.config_directory(&host).to_owned());
    let certificate = ServerCertificate::Authority {
        domain: home.settings.domain.to_string(),
        host: host.to_string(),
        config_directory: directory.clone(),
    };
    Ok((Some(host), certificate, directory))
}

fn role_json(host: &RoleHost, snippet: &RoleSnippet) -> Value {
    let dovecot: serde_json::Map<String, Value> = snippet
        .dovecot
        .iter()
        .map(|(version, text)| (version.to_string(), json!(text)))
        .collect();
    json!({
        "role": host.role.to_string(),
        "host": host.host,
        "certificate": host.certificate.certificate(),
        "key": host.certificate.key(),
        "main_cf": snippet.main_cf,
        "master_cf": snippet.master_cf,
        "dovecot": if dovecot.is_empty() { Value::Null } else { Value::Object(dovecot) },
        "hook": snippet.hook.as_ref().map(|hook| json!({ "path": hook.path, "mode": "0755", "text": hook.text })),
        "script": snippet.script,
        "warnings": snippet.warnings,
    })
}
