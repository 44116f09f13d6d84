//! `cargo xtask dist`: what is handed out.
//!
//! Enters: this source. Leaves, in `target/dist/out`: a binary that runs on any Linux in use in an archive, a Debian package, a
//! bill of materials and the checksums of all three. Refuses to know where they are published.

mod binary;
mod bom;
mod debian;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::needs::workspace;

/// Makes all of it.
///
/// # Errors
/// Where a tool is missing and cannot be had, a step fails, or what came out is not as it must be.
pub fn run(arguments: &[String]) -> Result<()> {
    ensure!(
        arguments.is_empty(),
        "usage: cargo xtask dist; the parts come to target/dist/out"
    );
    let tools = tools::provide()?;
    let out = workspace().join("target/dist/out");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let epoch = epoch()?;
    let program = binary::build(&tools)?;
    let parts = Parts::lay_out(&program)?;
    let name = format!("relayca-{VERSION}-{ARCHITECTURE}-linux");
    let mut made = vec![
        archive(&parts, &out, &name, &epoch)?,
        debian::package(&parts, &out, &epoch)?,
        bom::write(&tools, &out, &epoch)?,
    ];
    made.push(checksums(&made, &out)?);
    println!();
    for file in &made {
        let size = fs::metadata(file)?.len();
        let file = file.strip_prefix(workspace())?;
        println!("{:>9} KiB  {}", size.div_ceil(1024), file.display());
    }
    binary::report(&program)?;
    binary::tell_of_others()?;
    debian::judge(&made)?;
    Ok(())
}

/// Of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// As `uname -m` has it.
const ARCHITECTURE: &str = "x86_64";
/// As dpkg has it.
const DEBIAN_ARCHITECTURE: &str = "amd64";

/// What is packed: the program, and what it writes about itself.
struct Parts {
    program: PathBuf,
    /// `relayca*.1`.
    manual: PathBuf,
    /// Shells, each with its script.
    completions: Vec<(&'static str, String)>,
}

impl Parts {
    /// Has the program write its manual pages and completions.
    fn lay_out(program: &Path) -> Result<Self> {
        let manual = workspace().join("target/dist/man");
        if manual.exists() {
            fs::remove_dir_all(&manual)?;
        }
        fs::create_dir_all(&manual)?;
        let text = manual.display().to_string();
        said(Command::new(program).args(["-q", "man", "--out", &text]))?;
        let completions = ["bash", "zsh", "fish"]
            .into_iter()
            .map(|shell| {
                let script = said(Command::new(program).args(["completions", shell]))?;
                Ok((shell, script))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            program: program.to_owned(),
            manual,
            completions,
        })
    }

    /// The manual pages, by name.
    fn pages(&self) -> Result<Vec<PathBuf>> {
        let mut pages: Vec<PathBuf> = fs::read_dir(&self.manual)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        pages.sort();
        ensure!(!pages.is_empty(), "the program wrote no manual pages");
        Ok(pages)
    }

    /// README.md, LICENSE, and the documents.
    fn documents() -> Result<Vec<PathBuf>> {
        let mut documents = vec![workspace().join("README.md"), workspace().join("LICENSE")];
        for entry in fs::read_dir(workspace().join("docs"))? {
            documents.push(entry?.path());
        }
        documents.sort();
        Ok(documents)
    }
}

/// `relayca-VERSION-ARCHITECTURE-linux.tar.gz`, the same bytes from the same source.
fn archive(parts: &Parts, out: &Path, name: &str, epoch: &str) -> Result<PathBuf> {
    let tree = workspace().join("target/dist/archive");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let top = tree.join(name);
    install(&parts.program, &top.join("relayca"), 0o755)?;
    for page in parts.pages()? {
        install(&page, &top.join("man").join(file_name(&page)?), 0o644)?;
    }
    for (shell, script) in &parts.completions {
        write(
            &top.join(format!("completions/relayca.{shell}")),
            script,
            0o644,
        )?;
    }
    for document in Parts::documents()? {
        let place = top.join(document.strip_prefix(workspace())?);
        install(&document, &place, 0o644)?;
    }
    let file = out.join(format!("{name}.tar.gz"));
    said(
        Command::new("tar")
            .args([
                "--sort=name",
                "--owner=root:0",
                "--group=root:0",
                "--format=gnu",
            ])
            .arg(format!("--mtime=@{epoch}"))
            // Without the time and name that gzip would write.
            .args(["--use-compress-program", "gzip -9n", "-cf"])
            .arg(&file)
            .arg("-C")
            .arg(&tree)
            .arg(name),
    )?;
    Ok(file)
}

fn checksums(files: &[PathBuf], out: &Path) -> Result<PathBuf> {
    let mut command = Command::new("sha256sum");
    command.current_dir(out);
    for file in files {
        command.arg(file_name(file)?);
    }
    let place = out.join("SHA256SUMS");
    fs::write(&place, said(&mut command)?)?;
    said(
        Command::new("sha256sum")
            .args(["--quiet", "-c", "SHA256SUMS"])
            .current_dir(out),
    )?;
    Ok(place)
}

/// When the source was last committed, in seconds since 1970: the time that is written into all that is made.
fn epoch() -> Result<String> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    said(
        Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(workspace()),
    )
    .map(|time| time.trim().to_owned())
    .context("set SOURCE_DATE_EPOCH where there is no git")
}

/// Copies a file to a place, whose directories are made.
fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    write(to, content, mode)
}

/// Writes a file, whose directories are made.
fn write(to: &Path, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = to.parent().context("a file lies in a directory")?;
    let mut missing: Vec<&Path> = directory
        .ancestors()
        .take_while(|path| !path.exists())
        .collect();
    while let Some(path) = missing.pop() {
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(to, content).with_context(|| format!("write {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no plain name", path.display()))
}

/// What a command printed.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
