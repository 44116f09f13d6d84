//! relayca itself: one certificate, many, and the raw cost of many.
//!
//! Enters: numbers of runs. Leaves: times. Refuses to know: peers.
//!
//! Every run has an authority of its own, a copy of one that has issued before. Nothing is deleted before the end: ext4 does not give
//! out the inodes of files deleted in the last seconds, and looking for others makes the next run slow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::bail;
use tempfile::TempDir;

use super::measure::{cpu_of_children, time, time_and_peak};
use crate::needs;
use crate::test::cargo;

const DOMAIN: &str = "example.org";

/// The released program, an identity, and fresh authorities.
pub struct Relayca {
    program: PathBuf,
    raw: PathBuf,
    work: TempDir,
}

/// One bulk issue, and the raw cost measured right after it.
pub struct Bulk {
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
    pub peak_kib: u64,
    pub raw: Raw,
}

/// What generating keys, signing and sealing alone cost for as many hosts.
pub struct Raw {
    /// On one thread.
    pub one: Duration,
    /// On all.
    pub all: Duration,
    pub threads: usize,
    /// Bytes in an archive.
    pub archive: usize,
}

impl Relayca {
    /// Builds in release mode and makes the authorities, beside the build so that they lie on a disk and not in memory.
    pub fn prepare(runs: usize, bulk_runs: usize, hosts: usize) -> anyhow::Result<Self> {
        let target = target_directory()?;
        // An example and not a benchmark, so that both are built with the same settings.
        cargo(&[
            "build",
            "--release",
            "--package",
            "relayca",
            "--bins",
            "--example",
            "raw",
        ])?;
        let work = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&target)?;
        // As it is installed, which is by copying, like the peers. A linker writes a program by way of memory, page by page, and
        // until the system has read that file anew each start maps single pages: a tenth of the time of one certificate.
        let program = work.path().join("relayca");
        fs::copy(target.join("release/relayca"), &program)?;
        let relayca = Relayca {
            program,
            raw: target.join("release/examples/raw"),
            work,
        };
        let (identity, recipient) = relayca_bundle::generate_identity();
        fs::write(relayca.path("identity.txt"), identity.as_bytes())?;
        time(&mut [
            relayca.command("fresh", &["init", DOMAIN, "--recipient", recipient.text()]),
            // An authority at work, as the peers' are: the first change of all makes what later ones find.
            relayca.command("fresh", &["issue", "first"]),
        ])?;
        for name in (0..runs).map(|number| format!("one-{number}")) {
            copy_tree(&relayca.path("fresh"), &relayca.path(&name))?;
        }
        for name in (0..bulk_runs).map(|number| format!("many-{number}")) {
            copy_tree(&relayca.path("fresh"), &relayca.path(&name))?;
        }
        let list: String = (0..hosts).map(|number| format!("host{number}\n")).collect();
        fs::write(relayca.path("hosts.txt"), list)?;
        Ok(relayca)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// A new directory for somebody else's work.
    pub fn place(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir(&path)?;
        Ok(path)
    }

    fn command(&self, authority: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_remove("RELAYCA_DIR")
            .env_remove("RELAYCA_IDENTITY");
        command
            .arg("--dir")
            .arg(self.path(authority))
            .arg("--identity")
            .arg(self.path("identity.txt"))
            .args(arguments);
        command
    }

    /// Issues for one host in the authority of this number.
    pub fn issue(&self, number: usize) -> anyhow::Result<Duration> {
        time(&mut [self.command(&format!("one-{number}"), &["issue", "mailhost"])])
    }

    /// Issues for all hosts of the list in the authority of this number, then measures the raw cost of the same.
    pub fn bulk(&self, number: usize, hosts: usize) -> anyhow::Result<Bulk> {
        let authority = format!("many-{number}");
        let list = self.path("hosts.txt");
        let mut command = self.command(&authority, &["issue", "--from"]);
        command.arg(list);
        let before = cpu_of_children()?;
        let (wall, peak_kib) = time_and_peak(&mut command)?;
        let cpu = cpu_of_children()?.saturating_sub(before);
        let bundles = self.path(&authority).join("bundles");
        let sealed = fs::metadata(bundles.join(format!("host0.{DOMAIN}.tar.age")))?.len();
        // Of what sealing adds to an archive of whole blocks, less than one block.
        let archive = usize::try_from(sealed)? / 512 * 512;
        Ok(Bulk {
            wall,
            cpu,
            peak_kib,
            raw: self.raw(hosts, archive)?,
        })
    }

    fn raw(&self, hosts: usize, archive: usize) -> anyhow::Result<Raw> {
        let done = Command::new(&self.raw)
            .args([hosts.to_string(), archive.to_string()])
            .output()?;
        let text = String::from_utf8(done.stdout)?;
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (true, [one, all, threads]) = (done.status.success(), fields.as_slice()) else {
            bail!(
                "the raw cost could not be measured: {}",
                String::from_utf8_lossy(&done.stderr)
            );
        };
        Ok(Raw {
            one: Duration::from_secs_f64(one.parse()?),
            all: Duration::from_secs_f64(all.parse()?),
            threads: threads.parse()?,
            archive,
        })
    }
}

fn target_directory() -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| needs::workspace().join("target"), PathBuf::from);
    fs::create_dir_all(&target)?;
    Ok(target)
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
