//! Servers that the tests start and that are not to be installed: a mail server would take Postfix's place, as only one can be the
//! mail system of a Debian, and sshd would listen on port 22.
//!
//! Enters: where they go. Leaves: for each a directory with its packages and the libraries that it needs. Refuses to know the tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::needs::{apt, present};

/// A package, what tells that it is there, and where it comes from.
struct Server {
    directory: &'static str,
    /// The tests that cannot do without it (a nextest filter).
    tests: &'static str,
    package: &'static str,
    program: &'static str,
    /// Debian 13 where this system's has none that can be used.
    trixie: bool,
}

/// Those with other mail servers than Postfix.
const MAIL_SERVER_TESTS: &str = "binary(/^exim|^mta/)";

const SERVERS: &[Server] = &[
    // Where the system has none.
    Server {
        directory: "sshd",
        tests: "binary(/^deploy/)",
        package: "openssh-server",
        program: "usr/sbin/sshd",
        trixie: false,
    },
    Server {
        directory: "exim",
        tests: MAIL_SERVER_TESTS,
        package: "exim4-daemon-light",
        program: "usr/sbin/exim4",
        trixie: false,
    },
    Server {
        directory: "exim-trixie",
        tests: MAIL_SERVER_TESTS,
        package: "exim4-daemon-light",
        program: "usr/sbin/exim4",
        trixie: true,
    },
    // Debian 12 has OpenSMTPD 6, which cannot show a certificate with OpenSSL 3.
    Server {
        directory: "opensmtpd-trixie",
        tests: MAIL_SERVER_TESTS,
        package: "opensmtpd",
        program: "usr/sbin/smtpd",
        trixie: true,
    },
    Server {
        directory: "msmtp",
        tests: MAIL_SERVER_TESTS,
        package: "msmtp",
        program: "usr/bin/msmtp",
        trixie: false,
    },
    Server {
        directory: "nullmailer",
        tests: MAIL_SERVER_TESTS,
        package: "nullmailer",
        program: "usr/sbin/nullmailer-send",
        trixie: false,
    },
];

const TRIXIE: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n";
/// The number of OpenSMTPD's group in the lab's machines.
const QUEUE_GROUP: u32 = 64996;

/// Unpacks what is not there yet; gives what could not be had, and the tests that need it.
pub fn unpack(judges: &Path) -> Vec<(String, &'static str)> {
    SERVERS
        .iter()
        .filter(|server| server.directory != "sshd" || !xtask::lab::sshd::installed())
        .filter_map(|server| {
            let error = one(judges, server).err()?;
            let what = format!("`{}` from Debian: {error:#}", server.package);
            Some((what, server.tests))
        })
        .collect()
}

fn one(judges: &Path, server: &Server) -> Result<()> {
    let place = judges.join(server.directory);
    if place.join("complete").exists() {
        return Ok(());
    }
    ensure!(present("apt-get"), "there is no apt-get here");
    println!(
        "xtask: unpacking {} into {}",
        server.package,
        place.display()
    );
    let archives = place.join("archives");
    fs::create_dir_all(archives.join("partial"))?;
    let mut options = vec![format!("Dir::Cache::archives={}", archives.display())];
    if server.trixie {
        options.extend(trixie(judges)?);
    }
    let with = |command: &[&str]| {
        let mut all: Vec<&str> = command.to_vec();
        for option in &options {
            all.extend(["-o", option]);
        }
        apt(&all)
    };
    let install = [
        "install",
        "--download-only",
        "-y",
        "-qq",
        "--no-install-recommends",
        server.package,
    ];
    if with(&install).is_err() {
        with(&["update", "-qq"])?;
        with(&install)?;
    }
    for entry in fs::read_dir(&archives)? {
        let archive = entry?.path();
        if archive.extension().is_none_or(|end| end != "deb") {
            continue;
        }
        let output = Command::new("dpkg")
            .arg("-x")
            .arg(&archive)
            .arg(&place)
            .output()
            .context("run dpkg")?;
        ensure!(
            output.status.success(),
            "dpkg -x {}: {}",
            archive.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    fs::remove_dir_all(&archives)?;
    ensure!(
        place.join(server.program).exists(),
        "{} has no {}",
        server.package,
        server.program
    );
    // As its package has it set up: who sends may write into the queue.
    let smtpctl = place.join("usr/sbin/smtpctl");
    if smtpctl.exists() {
        chown(&smtpctl, Some(0), Some(QUEUE_GROUP))?;
        fs::set_permissions(&smtpctl, fs::Permissions::from_mode(0o2555))?;
    }
    fs::write(place.join("complete"), "")?;
    Ok(())
}

/// What makes apt look at Debian 13 alone, as if nothing were installed.
fn trixie(judges: &Path) -> Result<Vec<String>> {
    let place = judges.join("trixie-apt");
    for part in ["lists/partial", "etc"] {
        fs::create_dir_all(place.join(part))?;
    }
    let list = place.join("etc/sources.list");
    let status = place.join("etc/status");
    fs::write(&list, TRIXIE)?;
    fs::write(&status, "")?;
    Ok(vec![
        format!("Dir::Etc::sourcelist={}", list.display()),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::lists={}", place.join("lists").display()),
        format!("Dir::State::status={}", status.display()),
        format!(
            "Dir::Cache::pkgcache={}",
            place.join("pkgcache.bin").display()
        ),
        format!(
            "Dir::Cache::srcpkgcache={}",
            place.join("srcpkgcache.bin").display()
        ),
        "Acquire::Languages=none".to_owned(),
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
    ])
}
