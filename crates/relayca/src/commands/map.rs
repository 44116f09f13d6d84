//! `relayca map`: relay_clientcerts, who may relay.

use relayca_fingerprint::{Digest, FingerprintMap};

use crate::cli::{Map, MapFormat};
use crate::failure::Failure;
use crate::mail_servers;
use crate::pieces;
use crate::printer::count;
use crate::run::Run;
use crate::settings::{Settings, word};

/// Runs the command.
pub fn run(run: &Run, arguments: &Map) -> Result<(), Failure> {
    let home = run.home(None)?;
    let settings = &home.settings;
    let digest = arguments
        .digest
        .as_deref()
        .map_or(Ok(settings.digest), word)?;
    let pin = arguments.pin.as_deref().map_or(Ok(settings.pin), word)?;
    warn_of_weak(run, digest);
    let inventory = home.inventory_read_only()?;
    let listed = pieces::listed(&inventory, run.now)?;
    let map =
        pieces::map_of(&listed, digest, pin)?.with_progress(pieces::progress(&inventory, run.now)?);
    let format = if run.printer.json {
        MapFormat::Json
    } else {
        arguments.format
    };
    let text = match format {
        MapFormat::Text => map.to_text(),
        MapFormat::Inline => format!("{}\n", map.to_inline()),
        MapFormat::Texthash => map.to_texthash(),
        MapFormat::Json => map.to_json(),
        MapFormat::Exim => mail_servers::exim_list(&map, &pieces::bindings(settings))?,
        MapFormat::Paste => paste(settings, &map)?,
    };
    run.printer.data(&text)?;
    if digest != settings.digest {
        run.printer.warning(&format!(
            "the relay's service looks up {} fingerprints; set `digest` in relayca.toml and paste its snippet again",
            settings.digest
        ));
    }
    run.printer.note(&format!(
        "{}; what is not listed may not relay",
        count(map.entries().len(), "entry", "entries")
    ));
    Ok(())
}

/// The block that writes the map on a relay, and where hosts are bound to senders the table of those too.
fn paste(settings: &Settings, map: &FingerprintMap) -> Result<String, Failure> {
    let mut relays = settings.relays.iter().map(|relay| &relay.name);
    let Some(first) = relays.next() else {
        return Err(
            Failure::new("`relays` in relayca.toml names no relay to paste it on")
                .hint("add one, as in relays = [\"relayhost.example.org:2500\"]"),
        );
    };
    let place = |name| (settings.mta(name), settings.config_directory(name));
    if relays.any(|other| place(other) != place(first)) {
        return Err(Failure::usage(
            "the relays have different mail servers, or keep their configuration in different directories, and a block is for one",
        )
        .hint("`relayca bundle RELAY` writes each relay's own HOST.public.tar"));
    }
    mail_servers::list_script(settings, first, map, &pieces::bindings(settings))
}

/// Old digests are for old Postfixes only.
pub fn warn_of_weak(run: &Run, digest: Digest) {
    if digest.is_weak() {
        run.printer.warning(&format!(
            "{digest} is weak: use it only for a Postfix that knows nothing better"
        ));
    }
}
