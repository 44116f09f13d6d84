//! One way of setting up a relay and a mail host, and what must hold of it.
//!
//! Enters: where the two live and what is changed from the ordinary. Leaves: nothing if mail flowed and everybody else was
//! refused, else what went wrong. Refuses to know how the outcomes are shown.

use anyhow::{Context as _, Result, ensure};
use xtask::lab::{Instance, Setup, Tree};
use xtask::main_job::{Admin, MAIL_HOST, Pair, RELAY, SOON};

/// What is changed from what relayca prints by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The map is of this type.
    Map(&'static str),
    /// Both services run in their jail.
    Chroot,
    /// The mail host's settings are in this style.
    Style(&'static str),
    /// TLS from the first byte.
    Wrapper,
    /// main.cf keeps TLS sessions, as that of older Debians does.
    Cache,
    /// This version of TLS and no other.
    Tls(&'static str),
    /// Keys of this type, the CA's too.
    Key(&'static str),
    /// The CA's key is of the first type, the others of the second.
    CaAndKey(&'static str, &'static str),
    /// Nothing is pasted: `relayca install` does it, run there or with `--root` from outside.
    Installed(From),
}

/// Where `relayca install` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// On the host.
    Inside,
    /// On another system that has the host's files.
    Outside,
}

impl Change {
    /// What is tried with both on one version, but for the map types, which differ.
    pub const ALL: &[Change] = &[
        Change::None,
        Change::Chroot,
        Change::Style("main"),
        Change::Style("postconf"),
        Change::Wrapper,
        Change::Cache,
        Change::Tls("TLSv1.2"),
        Change::Tls("TLSv1.3"),
        Change::Key("p384"),
        Change::Key("ed25519"),
        Change::Key("rsa2048"),
        Change::Key("rsa3072"),
        Change::Key("rsa4096"),
        Change::CaAndKey("rsa4096", "p256"),
        Change::CaAndKey("p384", "ed25519"),
        Change::CaAndKey("ed25519", "rsa2048"),
        Change::Installed(From::Inside),
        Change::Installed(From::Outside),
    ];

    /// What is tried between two versions: all that the two have to agree upon.
    pub const ACROSS: &[Change] = &[
        Change::None,
        Change::Wrapper,
        Change::Tls("TLSv1.2"),
        Change::Tls("TLSv1.3"),
        Change::Key("p384"),
        Change::Key("ed25519"),
        Change::Key("rsa2048"),
        Change::Key("rsa3072"),
        Change::Key("rsa4096"),
    ];

    /// Those that find most, for every change of the source.
    pub const FEW: &[Change] = &[
        Change::Chroot,
        Change::Style("main"),
        Change::Style("postconf"),
        Change::Cache,
        Change::Installed(From::Inside),
    ];

    /// The map types.
    pub const MAPS: &[&str] = &["hash", "btree", "lmdb", "cdb", "texthash", "inline"];

    /// In the table.
    pub fn title(&self) -> String {
        match self {
            Self::None => {
                "as printed: P-256 keys, `--style transport`, the default map, no chroot".into()
            }
            Self::Map(kind) => format!("`{kind}:` map"),
            Self::Chroot => "both services chrooted".into(),
            Self::Style(style) => format!("`--style {style}`"),
            Self::Wrapper => "implicit TLS (`wrapper = true`)".into(),
            Self::Cache => "a session cache in main.cf".into(),
            Self::Tls(version) => format!("only {version}"),
            Self::Key(kind) => format!("{kind} keys, the CA's too"),
            Self::CaAndKey(ca, kind) => format!("{kind} keys, the CA's {ca}"),
            Self::Installed(From::Inside) => "`relayca install --apply`, then `uninstall`".into(),
            Self::Installed(From::Outside) => "the same with `--root` from outside".into(),
        }
    }
}

/// The map types of a tree, as its `postconf -m` has them.
pub fn map_types(tree: &Tree) -> Result<Vec<String>> {
    let output = tree.command("postconf").arg("-m").output()?;
    ensure!(output.status.success(), "postconf -m fails");
    Ok(String::from_utf8(output.stdout)?
        .split_whitespace()
        .map(str::to_owned)
        .collect())
}

/// Sets the two up with exactly what relayca prints, sends a message, and shows the relay all that it must refuse.
///
/// # Errors
/// What did not hold.
pub fn holds(admin: Admin, relay: &Tree, mail_host: &Tree, change: &Change) -> Result<()> {
    if let Change::Installed(from) = change {
        return super::installed::holds(admin, relay, mail_host, *from);
    }
    let mut setup = Setup::new(RELAY).tree(relay.clone());
    if let Change::Map(kind @ ("hash" | "btree" | "lmdb" | "cdb")) = change {
        setup = setup.set("default_database_type", kind);
    }
    if *change == Change::Cache {
        setup = setup.set(
            "smtpd_tls_session_cache_database",
            "lmdb:${data_directory}/smtpd_scache",
        );
    }
    let arguments = match change {
        Change::Key(kind) => vec!["--key", kind, "--ca-key", kind],
        Change::CaAndKey(ca, kind) => vec!["--key", kind, "--ca-key", ca],
        _ => Vec::new(),
    };
    let pair = Pair::of(
        admin,
        setup,
        Setup::new(MAIL_HOST).tree(mail_host.clone()),
        &arguments,
    )?;
    match change {
        Change::Style(style) => {
            pair.admin
                .edit("style = \"transport\"", &format!("style = \"{style}\""))?;
            if *style == "postconf" {
                // The relay's service anew, in this style.
                let port = pair.port.number();
                let gone = format!("postconf -MX {port}/inet relayca-tlsmgr-{port}/unix\n");
                let printed = pair.admin.done(&["snippet", RELAY])?;
                paste(&pair.relay, &format!("{gone}{printed}"))?;
            }
        }
        Change::Wrapper => {
            pair.admin.edit("wrapper = false", "wrapper = true")?;
            paste(&pair.relay, &pair.admin.done(&["snippet", RELAY])?)?;
        }
        _ => {}
    }
    pair.issue(&[])?;
    afterwards(&pair, change)?;
    pair.relays("someone@example.net")?;
    let verified = format!("Verified TLS connection established to {RELAY}");
    pair.mail_host.wait_for_log(&verified, SOON)?;
    if let Change::Tls(version) = change {
        let version = format!("{version} with cipher");
        pair.mail_host.wait_for_log(&version, SOON)?;
    }
    closed(&pair)?;
    match change {
        Change::None | Change::Map(_) => revoked(&pair, change),
        _ => Ok(()),
    }
}

/// What is changed by hand after the pasting.
fn afterwards(pair: &Pair, change: &Change) -> Result<()> {
    let relay = format!("{}/inet", pair.port.number());
    match change {
        Change::Map(kind @ ("texthash" | "inline")) => {
            let table = pair.admin.done(&["-q", "map", "--format", kind])?;
            let value = match *kind {
                "inline" => table.trim().to_owned(),
                _ => {
                    let file = pair.relay.config().join("relayca/table");
                    std::fs::write(&file, table)?;
                    format!("texthash:{}", pair.relay.inside(&file).display())
                }
            };
            // A value with blanks stands in main.cf; the service names it.
            paste(
                &pair.relay,
                &format!(
                    "postconf -e 'lab_table = {value}'\npostconf -P '{relay}/relay_clientcerts=$lab_table'\npostfix reload\n"
                ),
            )
        }
        Change::Chroot => {
            let jail =
                |service: &str| format!("postconf -F '{service}/chroot=y' && postfix reload\n");
            paste(&pair.relay, &jail(&relay))?;
            paste(&pair.mail_host, &jail("relayca/unix"))
        }
        Change::Tls(version) => paste(
            &pair.mail_host,
            &format!(
                "postconf -P 'relayca/unix/smtp_tls_mandatory_protocols={version}' && postfix reload\n"
            ),
        ),
        _ => Ok(()),
    }
}

/// The relay refuses whom it must: the closedness matrix.
pub(super) fn closed(pair: &Pair) -> Result<()> {
    let at = format!("127.0.0.1:{}", pair.port.number());
    let said = pair.admin.run(&[
        "probe",
        &at,
        "--name",
        RELAY,
        "--matrix",
        "--as",
        "mailhost",
        "-i",
        &pair.admin.identity_inside(),
    ])?;
    ensure!(
        said.code == 0,
        "not closed: {}{}{}",
        said.stdout,
        said.stderr,
        pair.relay.log()
    );
    Ok(())
}

/// The mail of a host that is revoked waits: the relay has read the new table.
fn revoked(pair: &Pair, change: &Change) -> Result<()> {
    pair.paste(&pair.admin.done(&["revoke", "mailhost"])?)?;
    afterwards(pair, change)?;
    let before = pair.internet.count();
    pair.mail_host
        .send("info@example.org", "late@example.net", "after all")?;
    pair.mail_host.wait_for_log("status=deferred", SOON)?;
    ensure!(
        pair.internet.count() == before,
        "a revoked host still relays: {}",
        pair.relay.log()
    );
    // And not because the table could not be read.
    let log = pair.mail_host.log();
    ensure!(
        log.contains("said: 450 4.3.2"),
        "{log}\n{}",
        pair.relay.log()
    );
    Ok(())
}

/// Pastes what ends in a reload, and waits until that is done.
fn paste(instance: &Instance, script: &str) -> Result<()> {
    let reloads = || instance.log().matches("reload -- version").count();
    let before = reloads();
    let said = instance.paste(&format!(
        "export MAIL_CONFIG={}\n{script}",
        instance.config_inside()
    ))?;
    ensure!(said.ok(), "{script}\n{}", said.stderr);
    xtask::lab::wait_for("the reload", SOON, || reloads() > before).with_context(|| instance.log())
}
