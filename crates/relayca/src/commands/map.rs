//! `relayca map`: relay_clientcerts, who may relay.

use crate::cli::{Map, MapFormat};
use crate::failure::Failure;
use crate::pieces;
use crate::printer::count;
use crate::run::Run;
use crate::settings::word;

/// Runs the command.
pub fn run(run: &Run, arguments: &Map) -> Result<(), Failure> {
    let home = run.home(None)?;
    let settings = &home.settings;
    let digest = arguments.digest.as_deref().map_or(Ok(settings.digest), word)?;
    let pin = arguments.pin.as_deref().map_or(Ok(settings.pin), word)?;
    if digest.is_weak() {
        run.printer.warning(&format!("{digest} is weak: use it only for a Postfix that knows nothing better"));
    }
    let listed = pieces::listed(&home.inventory_read_only()?, run.now)?;
    let map = pieces::map_of(&listed, digest, pin)?;
    let format = if run.printer.json { MapFormat::Json } else { arguments.format };
    let text = match format {
        MapFormat::Text => map.to_text(),
        MapFormat::Inline => format!("{}\n", map.to_inline()),
        MapFormat::Texthash => map.to_texthash(),
        MapFormat::Json => map.to_json(),
        MapFormat::Paste => relayca_postfix::map_script(&settings.config_directory, &map.to_text())?,
    };
    run.printer.data(&text)?;
    if digest != settings.digest {
        run.printer.warning(&format!(
            "the relay's service looks up {} fingerprints; set `digest` in relayca.toml and paste its snippet again",
            settings.digest
        ));
    }
    run.printer.note(&format!("{}; what is not listed may not relay", count(map.entries().len(), "entry", "entries")));
    Ok(())
}
