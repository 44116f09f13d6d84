//! The tools that `dist` needs and a bare machine has not.
//!
//! Enters: the package registries (PyPI, crates.io). Leaves: their programs in `target/dist/tools`. Refuses to know what they
//! are used for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::said;
use crate::needs::workspace;

/// Zig's C compiler and linker, which can link against an older glibc, and cargo's way to it; and the judge of the bill of
/// materials.
const FROM_PYPI: [&str; 3] = [
    "cargo-zigbuild==0.24.0",
    "ziglang==0.17.0",
    "cyclonedx-python-lib[json-validation]==11.12.0",
];
/// Writes the bill of materials; from crates.io.
const CYCLONEDX: (&str, &str) = ("cargo-cyclonedx", "0.5.9");

/// Where they are.
pub struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// A command with the tools on its path.
    pub fn command(&self, program: &str) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut paths = vec![self.directory.join("bin")];
        paths.extend(std::env::split_paths(&path));
        let mut command = Command::new(program);
        if let Ok(joined) = std::env::join_paths(paths) {
            command.env("PATH", joined);
        }
        command.current_dir(workspace());
        command
    }
}

/// Installs what is missing.
pub fn provide() -> Result<Tools> {
    let directory = workspace().join("target/dist/tools");
    for program in ["git", "tar", "dpkg-deb", "readelf", "objdump"] {
        ensure!(
            crate::needs::present(program),
            "`{program}` is missing; on Debian: apt-get install git tar dpkg binutils"
        );
    }
    let list = FROM_PYPI.join(" ");
    let stamp = directory.join("from-pypi");
    if std::fs::read_to_string(&stamp).ok().as_ref() != Some(&list) {
        println!("xtask: installing {list} from PyPI");
        said(Command::new("python3").args(["-m", "venv"]).arg(&directory))
            .context("python3 with its venv module is needed (Debian: python3-venv)")?;
        let pip = directory.join("bin/pip");
        let install = ["install", "--quiet", "--disable-pip-version-check"];
        let plain = said(Command::new(&pip).args(install).args(FROM_PYPI));
        if plain.is_err() && Path::new(crate::needs::SYSTEM_TRUST).exists() {
            // As for the judges: behind a proxy with a certificate of its own, the system's list is right.
            said(
                Command::new(&pip)
                    .args(install)
                    .args(["--cert", crate::needs::SYSTEM_TRUST])
                    .args(FROM_PYPI),
            )?;
        } else {
            plain?;
        }
        std::fs::write(&stamp, &list)?;
    }
    let (name, version) = CYCLONEDX;
    if !directory.join("bin").join(name).exists() {
        println!("xtask: building {name} {version}");
        said(
            Command::new("cargo")
                .args([
                    "install",
                    "--quiet",
                    "--locked",
                    "--version",
                    version,
                    name,
                    "--root",
                ])
                .arg(&directory),
        )?;
    }
    Ok(Tools { directory })
}
