//! What the tests need beside Rust: programs that are not ours and judge what relayca makes.
//!
//! Enters: nothing but this machine. Leaves: what had to be left missing ([`Missing`]), after installing what
//! can be had by apt (as root) and pip. Refuses to know the tests, apart from which ones need what.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::unpacked;

/// The version of pkilint whose verdicts the tests expect.
const PKILINT: &str = "pkilint==0.13.3";
/// The certificates that Debian's programs trust.
pub const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The keys that sign Debian's archive.
const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A program, the Debian package that has it, and the tests that cannot do without it (a nextest filter).
struct Need {
    program: &'static str,
    package: &'static str,
    tests: &'static str,
}

const POSTFIX_TESTS: &str = "binary(/^(postfix|probe|install|deploy|lint_live|explain_live|roles)/) | package(relayca-postfix) | (package(relayca-fingerprint) & kind(test))";
const COMMAND_TESTS: &str = "(package(relayca) & kind(test))";
/// Those that start a Dovecot beside Postfix, and ask both with clients of their own.
const DOVECOT_TESTS: &str = "binary(/dovecot|^roles|^probe/)";
const FIREWALL_TESTS: &str = "binary(/^ports|^roles|^probe_egress/)";

const NEEDS: &[Need] = &[
    Need {
        program: "postconf",
        package: "postfix",
        tests: POSTFIX_TESTS,
    },
    Need {
        program: "/usr/lib/postfix/postfix-lmdb.so",
        package: "postfix-lmdb",
        tests: POSTFIX_TESTS,
    },
    Need {
        program: "unshare",
        package: "util-linux",
        tests: POSTFIX_TESTS,
    },
    Need {
        program: "script",
        package: "bsdutils",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "setpriv",
        package: "util-linux",
        tests: "package(relayca-inventory) | (package(relayca) & kind(test))",
    },
    Need {
        program: "openssl",
        package: "openssl",
        tests: "kind(test)",
    },
    Need {
        program: "certtool",
        package: "gnutls-bin",
        tests: "(package(relayca-ca) & kind(test)) | (package(relayca) & kind(test))",
    },
    Need {
        program: "age",
        package: "age",
        tests: "(package(relayca-bundle) & kind(test)) | (package(relayca) & kind(test))",
    },
    Need {
        program: "ssh-keygen",
        package: "openssh-client",
        tests: "(package(relayca-bundle) & kind(test)) | (package(relayca) & kind(test))",
    },
    Need {
        program: "sqlite3",
        package: "sqlite3",
        tests: "package(relayca-inventory) | (package(relayca) & kind(test))",
    },
    Need {
        program: "faketime",
        package: "faketime",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "zsh",
        package: "zsh",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "fish",
        package: "fish",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "mandoc",
        package: "mandoc",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "groff",
        package: "groff-base",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "systemd-analyze",
        package: "systemd",
        tests: "binary(/^check_output|^mta/)",
    },
    Need {
        program: "strace",
        package: "strace",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "/usr/share/easy-rsa/easyrsa",
        package: "easy-rsa",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "gpg",
        package: "gnupg",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "tcsh",
        package: "tcsh",
        tests: POSTFIX_TESTS,
    },
    Need {
        program: "gawk",
        package: "gawk",
        tests: POSTFIX_TESTS,
    },
    Need {
        program: "original-awk",
        package: "original-awk",
        tests: POSTFIX_TESTS,
    },
    Need {
        program: "busybox",
        package: "busybox",
        tests: POSTFIX_TESTS,
    },
    Need {
        program: "dovecot",
        package: "dovecot-core",
        tests: DOVECOT_TESTS,
    },
    Need {
        program: "/usr/lib/dovecot/imap",
        package: "dovecot-imapd",
        tests: DOVECOT_TESTS,
    },
    Need {
        program: "/usr/lib/dovecot/pop3",
        package: "dovecot-pop3d",
        tests: DOVECOT_TESTS,
    },
    // Passwords in the clear, for Postfix as a client.
    Need {
        program: "/usr/lib/x86_64-linux-gnu/sasl2/libplain.so",
        package: "libsasl2-modules",
        tests: POSTFIX_TESTS,
    },
    // What a Debian trusts, for the rules about it.
    Need {
        program: SYSTEM_TRUST,
        package: "ca-certificates",
        tests: POSTFIX_TESTS,
    },
    // Judges the diff of `install --dry-run`.
    Need {
        program: "patch",
        package: "patch",
        tests: COMMAND_TESTS,
    },
    Need {
        program: "swaks",
        package: "swaks",
        tests: DOVECOT_TESTS,
    },
    // What swaks speaks TLS with; it only recommends it.
    Need {
        program: "/usr/share/doc/libnet-ssleay-perl",
        package: "libnet-ssleay-perl",
        tests: DOVECOT_TESTS,
    },
    Need {
        program: "curl",
        package: "curl",
        tests: DOVECOT_TESTS,
    },
    Need {
        program: "nft",
        package: "nftables",
        tests: FIREWALL_TESTS,
    },
    Need {
        program: "ufw",
        package: "ufw",
        tests: FIREWALL_TESTS,
    },
    Need {
        program: "iptables",
        package: "iptables",
        tests: FIREWALL_TESTS,
    },
    Need {
        program: "ip",
        package: "iproute2",
        tests: FIREWALL_TESTS,
    },
];

/// Something that this machine does not have, and the tests left out for it.
pub struct Missing {
    /// What, and why it could not be had.
    pub what: String,
    /// A nextest filter of the tests that need it.
    pub tests: &'static str,
}

/// Installs what is missing where that is possible; gives what stays missing.
pub fn provide() -> Result<Vec<Missing>> {
    let wanting: Vec<&Need> = NEEDS.iter().filter(|need| !present(need.program)).collect();
    if !wanting.is_empty()
        && let Err(error) = apt_install(wanting.iter().map(|need| need.package).collect())
    {
        eprintln!("xtask: {error:#}");
    }
    let mut missing: Vec<Missing> = wanting
        .into_iter()
        .filter(|need| !present(need.program))
        .map(|need| Missing {
            what: format!("`{}` (Debian package `{}`)", need.program, need.package),
            tests: need.tests,
        })
        .collect();
    if present("postconf")
        && let Err(reason) = xtask::lab::available()
    {
        missing.push(Missing {
            what: format!("the Postfix lab: {reason}"),
            tests: POSTFIX_TESTS,
        });
    }
    if let Err(error) = pkilint() {
        missing.push(Missing {
            what: format!("pkilint from PyPI: {error:#}"),
            tests: "(package(relayca-ca) & kind(test)) | (package(relayca) & kind(test))",
        });
    }
    let unpacked = unpacked::unpack(&workspace().join("target/judges"));
    missing.extend(
        unpacked
            .into_iter()
            .map(|(what, tests)| Missing { what, tests }),
    );
    Ok(missing)
}

/// Whether leaving something out is a failure.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Installs what it takes to make the lab's trees and to run Postfix in them.
pub fn provide_for_trees() -> Result<()> {
    let wanting: Vec<&str> = [
        ("debootstrap", "debootstrap"),
        ("gpgv", "gpgv"),
        (DEBIAN_KEYS, "debian-archive-keyring"),
        ("unshare", "util-linux"),
    ]
    .into_iter()
    .filter(|(program, _)| !present(program))
    .map(|(_, package)| package)
    .collect();
    if !wanting.is_empty() {
        apt_install(wanting)?;
    }
    xtask::lab::can_mount().map_err(anyhow::Error::msg)
}

/// Whether a program is on the path, or a file is there.
pub fn present(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|directory| directory.join(program).is_file())
}

fn apt_install(mut packages: Vec<&str>) -> Result<()> {
    packages.sort_unstable();
    packages.dedup();
    ensure!(
        present("apt-get"),
        "there is no apt-get here to install {}",
        packages.join(" ")
    );
    println!("xtask: installing {}", packages.join(" "));
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

pub fn apt(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("run apt-get")?;
    ensure!(
        output.status.success(),
        "apt-get {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Puts pkilint into target/judges/pkilint, where the tests look for it.
fn pkilint() -> Result<()> {
    let place = workspace().join("target/judges/pkilint");
    if place.join("bin/lint_pkix_cert").exists() {
        return Ok(());
    }
    println!("xtask: installing {PKILINT} into {}", place.display());
    let run = |program: &Path, arguments: &[&str]| -> Result<()> {
        let output = Command::new(program)
            .args(arguments)
            .output()
            .with_context(|| format!("run {}", program.display()))?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    };
    let text = place.display().to_string();
    if run(Path::new("python3"), &["-m", "venv", &text]).is_err() {
        apt(&["update", "-qq"])?;
        apt(&[
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "python3-venv",
        ])?;
        run(Path::new("python3"), &["-m", "venv", "--clear", &text])?;
    }
    let install = ["install", "--quiet", "--disable-pip-version-check"];
    let plain = run(&place.join("bin/pip"), &[&install[..], &[PKILINT]].concat());
    if plain.is_err() && Path::new(SYSTEM_TRUST).exists() {
        // pip trusts its own list: behind a proxy that answers with a certificate of its own, the system's is right.
        return run(
            &place.join("bin/pip"),
            &[&install[..], &["--cert", SYSTEM_TRUST, PKILINT]].concat(),
        );
    }
    plain
}

/// The workspace's directory.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
}
