//! What is handed out, in the trees.
//!
//! Enters: the directory in which it was made. Leaves: nothing if the Debian package and the archive could each be installed in
//! each tree by the commands of docs/INSTALL.md, did there what they are for (an ordinary user's authority, mail by pasting, mail
//! by `relayca install`), and left no file when they were removed. Refuses to know how they were made.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xtask::lab::{Instance, Port, Setup, Sink, Suite, Tree};
use xtask::main_job::{Admin, MAIL_HOST, RELAY, SOON};

use super::scenario::{self, Change};
use crate::needs::workspace;

/// What changes in a tree whatever is installed, and what apt and dpkg keep of every package that there ever was.
const RESTLESS: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/tmp",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/log",
];

/// Where the files are put.
const PLACE: &str = "/tmp/relayca-lab-dist";

/// Tries both in each tree.
///
/// # Errors
/// What did not hold, and where.
pub fn hold(package: &Path, trees: &[(Suite, Tree)]) -> Result<()> {
    for (suite, tree) in trees {
        for way in ["package", "archive"] {
            one(package, way, tree).with_context(|| format!("the {way} on {}", suite.name))?;
            println!(
                "lab: {}: the {way}: installed, relayed as pasted, relayed as installed, uninstalled, removed",
                suite.name
            );
        }
    }
    Ok(())
}

fn one(package: &Path, way: &str, tree: &Tree) -> Result<()> {
    let before = files(tree)?;
    let place = tree.outside(Path::new(PLACE));
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir(&place)?;
    for entry in fs::read_dir(package.parent().context("the package lies nowhere")?)? {
        let entry = entry?;
        fs::copy(entry.path(), place.join(entry.file_name()))
            .with_context(|| format!("copy {}", entry.path().display()))?;
    }
    // What a person would answer.
    fs::write(place.join("apt.conf"), "APT::Get::Assume-Yes \"true\";\n")?;
    as_documented(tree, &format!("{way}-install"))?;
    let outcome = verified(tree, way)
        .and_then(|()| scenario::holds(admin(tree)?, tree, tree, &Change::None))
        .and_then(|()| by_install(tree).context("by `relayca install`"));
    as_documented(tree, &format!("{way}-remove"))?;
    fs::remove_dir_all(place)?;
    outcome?;
    let after = files(tree)?;
    let left: Vec<_> = after
        .symmetric_difference(&before)
        // `rm` leaves the directories that `install` made.
        .filter(|path| way == "package" || !tree.outside(path).is_dir())
        .collect();
    ensure!(left.is_empty(), "left, or taken: {left:?}");
    Ok(())
}

/// Runs a block of docs/INSTALL.md, as root, beside the files that are handed out.
fn as_documented(tree: &Tree, block: &str) -> Result<()> {
    let text = fs::read_to_string(workspace().join("docs/INSTALL.md"))?;
    let script = text
        .split_once(&format!("```sh {block}\n"))
        .and_then(|(_, rest)| rest.split_once("```\n"))
        .map(|(script, _)| script)
        .with_context(|| format!("docs/INSTALL.md has no block `sh {block}`"))?;
    let output = tree
        .command("sh")
        .args(["-euc", &format!("cd {PLACE}\n{script}")])
        .env("APT_CONFIG", format!("{PLACE}/apt.conf"))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()?;
    ensure!(
        output.status.success(),
        "{script}{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The program that is installed, and an ordinary user.
fn admin(tree: &Tree) -> Result<Admin> {
    Admin::in_tree(Path::new("relayca"), tree.clone(), "nobody:nogroup")
}

/// The program runs; of the package, all files are as they were packed, and each command has its page.
fn verified(tree: &Tree, way: &str) -> Result<()> {
    let said = |command: &mut std::process::Command| -> Result<String> {
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{command:?}: {text}");
        Ok(text)
    };
    let help = said(tree.command("relayca").arg("--help"))?;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| *word != "help")
        .collect();
    ensure!(commands.len() > 20, "not all commands are listed: {help}");
    if way != "package" {
        return Ok(());
    }
    let wrong = said(tree.command("dpkg").args(["-V", "relayca"]))?;
    ensure!(wrong.is_empty(), "dpkg -V: {wrong}");
    let there = said(tree.command("dpkg").args(["-L", "relayca"]))?;
    let mut wanted: Vec<String> = commands
        .iter()
        .map(|command| format!("/usr/share/man/man1/relayca-{command}.1.gz"))
        .collect();
    wanted.extend(
        [
            "/usr/share/man/man1/relayca.1.gz",
            "/usr/share/bash-completion/completions/relayca",
            "/usr/share/zsh/vendor-completions/_relayca",
            "/usr/share/fish/vendor_completions.d/relayca.fish",
            "/usr/lib/systemd/user/relayca-check@.service",
            "/usr/lib/systemd/user/relayca-check@.timer",
        ]
        .map(str::to_owned),
    );
    for file in wanted {
        ensure!(
            there.lines().any(|line| line == file) && tree.outside(Path::new(&file)).is_file(),
            "the package has no {file}"
        );
    }
    Ok(())
}

/// Both hosts set up by the program itself, a message, and all taken back.
fn by_install(tree: &Tree) -> Result<()> {
    let admin = admin(tree)?;
    let internet = Sink::start()?;
    let port = Port::reserve()?;
    let setup = |name| Setup::new(name).tree(tree.clone());
    let relay = setup(RELAY).relays_to(&internet).start()?;
    let mail_host = setup(MAIL_HOST).knows(RELAY).start()?;
    for instance in [&relay, &mail_host] {
        // The lab makes it; here `install` is to.
        fs::remove_dir(instance.config().join("relayca"))?;
    }
    let before = [&relay, &mail_host].map(configuration);
    let place = format!("{RELAY}:{}", port.number());
    admin.init(&[
        "--relay",
        &place,
        "--config-directory",
        &relay.config_inside(),
    ])?;
    admin.config_directory(MAIL_HOST, &mail_host.config_inside())?;
    admin.done(&["issue", "mailhost"])?;
    install(&admin, &relay, RELAY, "tar.age")?;
    // The sealed bundle is older than the mail host; the list of today has no secret in it.
    install(&admin, &relay, RELAY, "public.tar")?;
    install(&admin, &mail_host, MAIL_HOST, "tar.age")?;
    mail_host.send("info@example.org", "someone@example.net", "installed")?;
    internet
        .wait_for(1, SOON)
        .with_context(|| format!("{}\n{}", mail_host.log(), relay.log()))?;
    for (instance, before) in [&relay, &mail_host].into_iter().zip(before) {
        run(instance, "relayca uninstall --apply")?;
        ensure!(
            configuration(instance)? == before?,
            "`uninstall` left something"
        );
    }
    Ok(())
}

/// `relayca install` of a host's bundle, as root on that host.
fn install(admin: &Admin, instance: &Instance, host: &str, end: &str) -> Result<()> {
    let bundle = instance.directory().join(format!("{host}.{end}"));
    fs::copy(admin.file(&format!("bundles/{host}.{end}")), &bundle)?;
    let mut line = format!("relayca install {}", instance.inside(&bundle).display());
    if end == "tar.age" {
        let file = instance.directory().join("passphrase");
        fs::write(&file, admin.done(&["passphrase", host])?)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        line.push_str(&format!(
            " --passphrase-file {}",
            instance.inside(&file).display()
        ));
    }
    run(instance, &format!("{line} --apply"))
}

fn run(instance: &Instance, line: &str) -> Result<()> {
    let said = instance.paste(&format!(
        "{line} --config-directory {}\n",
        instance.config_inside()
    ))?;
    ensure!(
        said.ok(),
        "{line}: {}{}\n{}",
        said.stdout,
        said.stderr,
        instance.log()
    );
    Ok(())
}

/// An instance's configuration: each file's mode and bytes.
fn configuration(instance: &Instance) -> Result<BTreeMap<PathBuf, (u32, Vec<u8>)>> {
    let mut all = BTreeMap::new();
    let top = instance.config();
    walk(&top, &mut |path, found| {
        let content = if found.is_file() {
            fs::read(path)?
        } else {
            Vec::new()
        };
        all.insert(path.to_owned(), (found.permissions().mode(), content));
        Ok(true)
    })?;
    Ok(all)
}

/// Every path of a tree that stays where it is.
fn files(tree: &Tree) -> Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    walk(&tree.outside(Path::new("/")), &mut |path, _| {
        let inside = tree.inside(path);
        if RESTLESS.iter().any(|place| inside == Path::new(place)) {
            return Ok(false);
        }
        all.insert(inside);
        Ok(true)
    })?;
    Ok(all)
}

/// Visits what lies below a directory; goes into one where it is told to.
fn walk(top: &Path, visit: &mut impl FnMut(&Path, &fs::Metadata) -> Result<bool>) -> Result<()> {
    for entry in fs::read_dir(top)? {
        let path = entry?.path();
        let found = path.symlink_metadata()?;
        if visit(&path, &found)? && found.is_dir() {
            walk(&path, visit)?;
        }
    }
    Ok(())
}
