//! What a host's mail server has to be told, whichever it is.
//!
//! In: settings, a host. Out: a [`HostText`], the list of an Exim relay, the words that steps use. It refuses to know what any of
//! them means: relayca-postfix and relayca-mta do.

use std::collections::BTreeMap;

use relayca_ca::HostName;
use relayca_fingerprint::FingerprintMap;
use relayca_mta::{EXIM_LIST, Mta, Receiver, Sender, Text};
use relayca_postfix::{NewFiles, NextHop, RelayStyle, SenderBinding, Snippet, Style};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::pieces;
use crate::settings::{Relay, Settings};

/// What a host must be told.
#[derive(Debug)]
pub struct HostText {
    /// Its mail server.
    pub mta: Mta,
    /// Pieces of configuration: the end of the file's name, and the text.
    pub pieces: Vec<(String, String)>,
    /// The block to paste.
    pub script: String,
    /// What the admin should know beforehand.
    pub warnings: Vec<String>,
}

impl HostText {
    fn piece(&self, name: &str) -> Option<&str> {
        let mut found = self.pieces.iter().filter(|(end, _)| end == name);
        found.next().map(|(_, text)| text.as_str())
    }

    /// As `--json` shows it.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "main_cf": self.piece("main.cf"),
            "master_cf": self.piece("master.cf"),
            "script": self.script,
            "warnings": self.warnings,
        });
        if self.mta != Mta::Postfix {
            let pieces: BTreeMap<_, _> = self.pieces.iter().cloned().collect();
            value["mta"] = json!(self.mta.as_str());
            value["pieces"] = json!(pieces);
        }
        value
    }
}

impl From<Snippet> for HostText {
    fn from(snippet: Snippet) -> Self {
        let pieces = [
            ("main.cf", snippet.main_cf),
            ("master.cf", snippet.master_cf),
        ];
        Self {
            mta: Mta::Postfix,
            pieces: pieces
                .into_iter()
                .filter_map(|(name, text)| Some((name.to_owned(), text?)))
                .collect(),
            script: snippet.script,
            warnings: snippet.warnings,
        }
    }
}

fn of_other(mta: Mta, text: Text) -> HostText {
    HostText {
        mta,
        pieces: text
            .pieces
            .into_iter()
            .map(|piece| (piece.name.to_owned(), piece.text))
            .collect(),
        script: text.script,
        warnings: text.warnings,
    }
}

/// A mail host's; `style` is for Postfix alone.
pub fn mail_host_text(
    settings: &Settings,
    host: &HostName,
    style: Style,
) -> Result<HostText, Failure> {
    let mta = settings.mta(host);
    if mta == Mta::Postfix {
        return Ok(pieces::mail_host_snippet(settings, host, style)?.into());
    }
    let sender = Sender {
        domain: settings.domain.to_string(),
        host: host.to_string(),
        directory: settings.config_directory(host).to_owned(),
        relays: next_hops(settings)?,
        wrapper: settings.wrapper,
    };
    Ok(of_other(mta, relayca_mta::sender(mta, &sender)?))
}

/// The relays, as mail hosts reach them.
pub fn next_hops(settings: &Settings) -> Result<Vec<NextHop>, Failure> {
    if settings.relays.is_empty() {
        return Err(Failure::new("`relays` in relayca.toml names no relay")
            .hint("add one, as in relays = [\"relayhost.example.org:2500\"]"));
    }
    let relays = settings.relays.iter().map(|relay| NextHop {
        destination: relay.destination.to_string(),
        port: relay.port,
        certificate_name: relay.name.to_string(),
    });
    Ok(relays.collect())
}

/// A relay's; `style` is for Postfix alone.
pub fn relay_text(
    settings: &Settings,
    relay: &Relay,
    bindings: Vec<SenderBinding>,
    style: RelayStyle,
) -> Result<HostText, Failure> {
    let mta = settings.mta(&relay.name);
    if mta == Mta::Postfix {
        return Ok(pieces::relay_snippet(settings, relay, bindings, style)?.into());
    }
    let receiver = Receiver {
        domain: settings.domain.to_string(),
        relay: relay.name.to_string(),
        directory: settings.config_directory(&relay.name).to_owned(),
        port: relay.port,
        wrapper: settings.wrapper,
        refusal: settings.refusal,
    };
    Ok(of_other(mta, relayca_mta::receiver(mta, &receiver)?))
}

/// The list of an Exim relay.
pub fn exim_list(map: &FingerprintMap, bindings: &[SenderBinding]) -> Result<String, Failure> {
    let senders = bindings
        .iter()
        .map(|binding| (binding.host.clone(), binding.senders.clone()))
        .collect();
    Ok(map.to_exim(&senders)?)
}

/// The block that writes the list on a relay.
pub fn list_script(
    settings: &Settings,
    relay: &HostName,
    map: &FingerprintMap,
    bindings: &[SenderBinding],
) -> Result<String, Failure> {
    let directory = settings.config_directory(relay);
    match settings.mta(relay) {
        Mta::Postfix => pieces::map_script(directory, map, bindings),
        other => Ok(relayca_mta::map_script(
            other,
            directory,
            &exim_list(map, bindings)?,
            map.as_of(),
        )?),
    }
}

/// The block that takes the list out of the relay's public files, where it is too long to be pasted.
pub fn archived_list_script(
    settings: &Settings,
    relay: &HostName,
    map: &FingerprintMap,
    bindings: &[SenderBinding],
) -> Result<String, Failure> {
    let directory = settings.config_directory(relay);
    let as_of = map.as_of().unwrap_or_default();
    if settings.mta(relay) != Mta::Postfix {
        return Ok(relayca_mta::archived_map_script(
            directory,
            relay.as_str(),
            as_of,
        )?);
    }
    pieces::archived_map_script(directory, relay.as_str(), as_of, !bindings.is_empty())
}

/// The block that writes new certificates on a host.
pub fn files_script(
    settings: &Settings,
    host: &HostName,
    files: &NewFiles<'_>,
) -> Result<String, Failure> {
    Ok(match settings.mta(host) {
        Mta::Postfix => relayca_postfix::files_script(files)?,
        other => relayca_mta::files_script(other, settings.relay(host).is_some(), files)?,
    })
}

/// The name of a relay's list among its files.
pub fn list_name(settings: &Settings, relay: &HostName) -> &'static str {
    match settings.mta(relay) {
        Mta::Exim => EXIM_LIST,
        _ => relayca_postfix::CLIENT_MAP,
    }
}

/// Unpacking a host's files: one command, read whole before any of it runs, as age takes its passphrase from the terminal and would
/// else take the line after its own for it. `archive` is the command that reads them, up to where they go.
///
/// A relay's list stays as it is where it has one: that in the bundle is of the day the bundle was made, and would let in again who
/// was taken out since. Not by `--exclude`, which not every tar has.
pub fn unpacking(settings: &Settings, host: &HostName, archive: &str) -> String {
    let files = format!("{}/relayca", settings.config_directory(host));
    if settings.relay(host).is_none() {
        return format!(
            "mkdir -p -m 700 {files} &&\n\
             {archive} -C {files} &&\n\
             ( cd {files} && sha256sum -c SHA256SUMS )"
        );
    }
    let lists = match settings.mta(host) {
        Mta::Postfix => "relay_clientcerts relay_ccert_access",
        _ => EXIM_LIST,
    };
    format!(
        "# A list that lies there stays, as that of the bundle may be older; `relayca map --format paste` prints one of today.\n\
         mkdir -p -m 700 {files} &&\n\
         ( new=$(mktemp -d {files}/new.XXXXXX) && trap 'rm -rf \"$new\"' 0 && trap 'exit 1' 1 2 15 &&\n\
         {archive} -C \"$new\" &&\n\
         ( cd \"$new\" && sha256sum -c SHA256SUMS ) &&\n\
         for list in {lists}; do if [ -e {files}/$list ]; then rm -f \"$new/$list\" || exit 1; fi; done &&\n\
         mv -f \"$new\"/* {files} )"
    )
}

/// The command that has new files used, for a root shell on this host.
pub fn reload(settings: &Settings, host: &HostName) -> String {
    let directory = settings.config_directory(host);
    match settings.mta(host) {
        Mta::Postfix if directory == "/etc/postfix" => "postfix reload".to_owned(),
        Mta::Postfix => format!("postfix -c {directory} reload"),
        // Who may read the key, and what has to be started again: the block knows.
        _ => format!("sh {directory}/relayca/{host}.snippet.sh"),
    }
}
