//! The Debian package.
//!
//! Enters: the parts. Leaves: a `.deb`, made by dpkg-deb, and lintian's judgement. Refuses to build anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{DEBIAN_ARCHITECTURE, Parts, VERSION, file_name, install, said, write};
use crate::needs::workspace;

const MAINTAINER: &str = "relayca developers <relayca@example.org>";

/// What lintian says of it and why it stays.
const OVERRIDES: &str = "\
# SQLite is linked in on purpose, without its search, geometry and extension modules: see .cargo/config.toml.
relayca: embedded-library *
# The package is not made for Debian's archive: there is no bug that asked for it.
relayca: initial-upload-closes-no-bugs *
# `relayca lint --root` reads that of another system, a backup's for example, on machines that have no dpkg too.
relayca: uses-dpkg-database-directly *
";

const SERVICE: &str = "\
[Unit]
Description=Look at the mail relay certificates of %i
Documentation=man:relayca-check(1)

[Service]
Type=oneshot
# 3 is a warning, 4 is critical: both fail the unit, so that `systemctl --user --failed` lists it.
ExecStart=/usr/bin/relayca --domain %i check
NoNewPrivileges=yes
UMask=0077
";

const TIMER: &str = "\
[Unit]
Description=Look at the mail relay certificates of %i each day
Documentation=man:relayca-check(1)

[Timer]
OnCalendar=daily
RandomizedDelaySec=2h
Persistent=true

[Install]
WantedBy=timers.target
";

/// `relayca_VERSION_ARCHITECTURE.deb`.
pub fn package(parts: &Parts, out: &Path, epoch: &str) -> Result<PathBuf> {
    let tree = workspace().join("target/dist/deb");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    install(&parts.program, &tree.join("usr/bin/relayca"), 0o755)?;
    for page in parts.pages()? {
        let packed = gzip(&fs::read(&page)?)?;
        let name = format!("usr/share/man/man1/{}.gz", file_name(&page)?);
        write(&tree.join(name), packed, 0o644)?;
    }
    for (shell, script) in &parts.completions {
        let place = match *shell {
            "bash" => "usr/share/bash-completion/completions/relayca",
            "zsh" => "usr/share/zsh/vendor-completions/_relayca",
            _ => "usr/share/fish/vendor_completions.d/relayca.fish",
        };
        write(&tree.join(place), script, 0o644)?;
    }
    for (name, text) in [("service", SERVICE), ("timer", TIMER)] {
        let place = format!("usr/lib/systemd/user/relayca-check@.{name}");
        write(&tree.join(place), text, 0o644)?;
    }
    let doc = tree.join("usr/share/doc/relayca");
    for document in Parts::documents()? {
        let name = document.strip_prefix(workspace())?;
        // That is in `copyright`.
        if name != Path::new("LICENSE") {
            install(&document, &doc.join(name), 0o644)?;
        }
    }
    write(&doc.join("copyright"), copyright()?, 0o644)?;
    write(
        &doc.join("changelog.gz"),
        gzip(changelog(epoch)?.as_bytes())?,
        0o644,
    )?;
    write(
        &tree.join("usr/share/lintian/overrides/relayca"),
        OVERRIDES,
        0o644,
    )?;
    write(&tree.join("DEBIAN/md5sums"), sums(&tree)?, 0o644)?;
    write(&tree.join("DEBIAN/control"), control(&tree)?, 0o644)?;
    let file = out.join(format!("relayca_{VERSION}_{DEBIAN_ARCHITECTURE}.deb"));
    said(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zxz", "--build"])
            .arg(&tree)
            .arg(&file)
            .env("SOURCE_DATE_EPOCH", epoch),
    )?;
    Ok(file)
}

/// Asks lintian, where it is installed, and systemd.
pub fn judge(made: &[PathBuf]) -> Result<()> {
    judge_units()?;
    let package = made
        .iter()
        .find(|file| file.extension().is_some_and(|end| end == "deb"))
        .context("there is no package")?;
    if !crate::needs::present("lintian") {
        println!("lintian is not installed (apt-get install lintian): the package was not judged");
        return Ok(());
    }
    let output = Command::new("lintian")
        .args([
            "--pedantic",
            "--allow-root",
            "--fail-on",
            "error,warning,info,pedantic",
        ])
        .arg(package)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && text.trim().is_empty(),
        "lintian: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("lintian --pedantic: nothing to say");
    Ok(())
}

/// Asks systemd about the units, where it is installed.
fn judge_units() -> Result<()> {
    if !crate::needs::present("systemd-analyze") {
        println!("systemd is not installed: the units were not judged");
        return Ok(());
    }
    let tree = workspace().join("target/dist/deb");
    let place = workspace().join("target/dist/units");
    for end in ["service", "timer"] {
        let unit = tree.join(format!("usr/lib/systemd/user/relayca-check@.{end}"));
        // It looks for the program.
        let text = fs::read_to_string(unit)?.replace(
            "/usr/bin/relayca",
            &tree.join("usr/bin/relayca").display().to_string(),
        );
        let named = format!("relayca-check@example.org.{end}");
        write(&place.join(named), text, 0o644)?;
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--user", "--man=no"])
        .arg(place.join("relayca-check@example.org.timer"))
        .env("XDG_RUNTIME_DIR", &place)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", place.display()))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && text.is_empty(),
        "systemd-analyze: {text}"
    );
    println!("systemd-analyze verify: nothing to say");
    Ok(())
}

fn control(tree: &Path) -> Result<String> {
    let size = said(
        Command::new("du")
            .args(["-sk", "--apparent-size", "--exclude=DEBIAN"])
            .arg(tree),
    )?;
    let size = size.split_whitespace().next().unwrap_or("0");
    Ok(format!(
        "\
Package: relayca
Version: {VERSION}
Architecture: {DEBIAN_ARCHITECTURE}
Maintainer: {MAINTAINER}
Installed-Size: {size}
Depends: libc6 (>= 2.17)
Suggests: postfix, age, openssh-client
Section: mail
Priority: optional
Description: certificate authority for relaying mail through Postfix
 relayca is a private certificate authority with one job: letting the internal
 mail servers of a domain relay through its internet-facing Postfix, proved by
 TLS client certificates.
 .
 It issues the certificates, keeps the list of who may relay, seals what each
 host needs into one file, and prints the Postfix settings for both sides. All
 that it writes opens with age, tar, openssl and sqlite3.
"
    ))
}

/// In Debian's machine-readable form (DEP-5).
fn copyright() -> Result<String> {
    let licence = fs::read_to_string(workspace().join("LICENSE"))?;
    let mut holders = String::new();
    let mut text = String::new();
    for line in licence
        .lines()
        .skip_while(|line| !line.starts_with("Copyright"))
    {
        if let Some(holder) = line.strip_prefix("Copyright (c) ") {
            holders.push_str(holder);
            continue;
        }
        if text.is_empty() && line.trim().is_empty() {
            continue;
        }
        text.push_str(if line.trim().is_empty() { " ." } else { " " });
        text.push_str(line);
        text.push('\n');
    }
    ensure!(
        !holders.is_empty() && !text.is_empty(),
        "LICENSE is not as expected"
    );
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: relayca\n\n\
         Files: *\nCopyright: {holders}\nLicense: Expat\n{text}"
    ))
}

fn changelog(epoch: &str) -> Result<String> {
    let date = said(Command::new("date").args(["-u", "-R", "-d", &format!("@{epoch}")]))?;
    Ok(format!(
        "relayca ({VERSION}) unstable; urgency=medium\n\n  * See docs/CHANGELOG.md beside this file.\n\n -- {MAINTAINER}  {}\n",
        date.trim()
    ))
}

/// `md5sums`, as dpkg verifies an installed package by.
fn sums(tree: &Path) -> Result<String> {
    said(
        Command::new("sh")
            .args([
                "-c",
                "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum",
            ])
            .current_dir(tree),
    )
}

/// Without the name and time, at the best compression, as Debian asks.
fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = Command::new("gzip")
        .args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("gzip has no input")?;
    let content = content.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&content));
    let output = child.wait_with_output()?;
    writer
        .join()
        .map_err(|_| anyhow::anyhow!("gzip was not fed"))??;
    ensure!(output.status.success(), "gzip failed");
    Ok(output.stdout)
}
