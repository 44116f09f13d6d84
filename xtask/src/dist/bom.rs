//! The bill of materials: every crate that is in the program.
//!
//! Enters: the tools. Leaves: a CycloneDX document (ECMA-424) in JSON. Refuses to know more of the crates than cargo does.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::said;
use super::tools::Tools;
use crate::needs::workspace;

/// Every rule of the schema, and nothing that it does not know.
const JUDGE: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(repr(error) if error else 0)
";

/// `relayca-VERSION.cdx.json`.
pub fn write(tools: &Tools, out: &Path, epoch: &str) -> Result<PathBuf> {
    let name = format!("relayca-{}.cdx", super::VERSION);
    said(
        tools
            .command("cargo")
            .args([
                "cyclonedx",
                "--manifest-path",
                "crates/relayca/Cargo.toml",
                "--format",
                "json",
            ])
            .args([
                "--spec-version",
                "1.5",
                "--target",
                "x86_64-unknown-linux-gnu",
            ])
            .args(["--override-filename", &name])
            .env("SOURCE_DATE_EPOCH", epoch),
    )?;
    // It is written beside each Cargo.toml of the workspace.
    let file = format!("{name}.json");
    let mut found = None;
    for entry in fs::read_dir(workspace().join("crates"))?.chain(fs::read_dir(workspace())?) {
        let entry = entry?.path();
        let written = entry.join(&file);
        if !written.exists() {
            continue;
        }
        if entry.ends_with("crates/relayca") {
            let text = fs::read_to_string(&written)?;
            ensure!(
                text.contains("pkg:cargo/age@"),
                "the bill of materials is empty"
            );
            let place = out.join(&file);
            fs::write(
                &place,
                text.replace(&workspace().display().to_string(), "."),
            )?;
            found = Some(place);
        }
        fs::remove_file(written)?;
    }
    let found = found.context("cargo-cyclonedx wrote nothing for relayca")?;
    said(tools.command("python3").args(["-c", JUDGE]).arg(&found))
        .context("the bill of materials")?;
    println!("the bill of materials holds to CycloneDX 1.5, strictly");
    Ok(found)
}
