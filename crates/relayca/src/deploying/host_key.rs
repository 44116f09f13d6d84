//! The SSH host key that a bundle is to be sealed to.
//!
//! In: what the admin wrote: a key, a file, or `known_hosts`. Out: [`Recipient`]s. It refuses to ask the host itself: whoever
//! answers there could give any key.

use std::path::Path;
use std::process::{Command, Stdio};

use relayca_bundle::Recipient;
use relayca_ca::HostName;

use super::ssh::{Destination, Ssh};
use crate::disk;
use crate::failure::Failure;

/// The word that stands for the user's own list of hosts.
const KNOWN_HOSTS: &str = "known_hosts";
/// What age can seal to, the best first.
const KINDS: [&str; 2] = ["ssh-ed25519", "ssh-rsa"];
/// Bytes of a key file, or of what ssh says.
const LONGEST: usize = 1 << 20;

/// Whether it is one key, and so good for one host.
pub fn is_of_one_host(given: &str) -> bool {
    given != KNOWN_HOSTS
}

/// The key of a host.
pub fn find(
    given: &str,
    ssh: &Ssh,
    host: &HostName,
    destination: &Destination,
) -> Result<Vec<Recipient>, Failure> {
    if given == KNOWN_HOSTS {
        return known(ssh, host, destination);
    }
    if KINDS.iter().any(|kind| given.starts_with(kind)) {
        return Ok(vec![Recipient::parse(given)?]);
    }
    let text = disk::read_text(Path::new(given), LONGEST)
        .map_err(|failure| failure.hint("--host-key takes a file such as ssh_host_ed25519_key.pub, a key in quotes, or `known_hosts`"))?;
    if text.contains("PRIVATE KEY") {
        return Err(Failure::usage(format!(
            "`{given}` is a private key; the host's stays there"
        ))
        .hint("name the one that ends in .pub"));
    }
    let mut keys = text.lines().filter_map(key_in);
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(vec![Recipient::parse(&key)?]),
        _ => Err(
            Failure::usage(format!("`{given}` does not hold one SSH public key"))
                .hint("age seals to ssh-ed25519 and ssh-rsa keys"),
        ),
    }
}

/// `KIND BASE64` in a line of a .pub file or of known_hosts.
fn key_in(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let kind = words.find(|word| KINDS.contains(word))?;
    Some(format!("{kind} {}", words.next()?))
}

/// As ssh would look it up: by the name, port, alias and files of the user's configuration.
fn known(ssh: &Ssh, host: &HostName, destination: &Destination) -> Result<Vec<Recipient>, Failure> {
    let mut words = ssh.line(destination, "");
    // The words end in `-- HOST COMMAND`.
    words.truncate(words.len().saturating_sub(3));
    words.extend([
        "-G".to_owned(),
        "--".to_owned(),
        destination.login.host.clone(),
    ]);
    let configuration = said(&words)?;
    let value = |name: &str| {
        configuration
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let alias = value("hostkeyalias").filter(|alias| *alias != "none");
    let name = alias
        .or_else(|| value("hostname"))
        .unwrap_or(&destination.login.host);
    let sought = match value("port") {
        Some(port) if port != "22" && alias.is_none() => format!("[{name}]:{port}"),
        _ => name.to_owned(),
    };
    if sought.starts_with('-') {
        return Err(Failure::new(format!("`{sought}` is no name of a host")));
    }
    let files = ["userknownhostsfile", "globalknownhostsfile"]
        .iter()
        .filter_map(|name| value(name))
        .flat_map(str::split_whitespace);
    let mut found: Vec<String> = Vec::new();
    for file in files {
        let file = match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
            (Some(rest), Some(home)) => Path::new(&home).join(rest).display().to_string(),
            _ => file.to_owned(),
        };
        if !Path::new(&file).is_file() {
            continue;
        }
        let words = ["ssh-keygen", "-F", &sought, "-f", &file].map(str::to_owned);
        // Without a match it ends with code 1.
        let text = said(&words).unwrap_or_default();
        found.extend(
            text.lines()
                // `@revoked` and `@cert-authority` are no keys of the host.
                .filter(|line| !line.starts_with(['#', '@']))
                .filter_map(key_in),
        );
    }
    for kind in KINDS {
        if let Some(key) = found.iter().find(|key| key.starts_with(kind)) {
            return Ok(vec![Recipient::parse(key)?]);
        }
    }
    Err(Failure::new(format!(
        "known_hosts has no ssh-ed25519 or ssh-rsa key of `{sought}`, which is {host}"
    ))
    .hint("log in once with ssh and compare the key that it shows; or give the key itself"))
}

/// What a program of ssh's says.
fn said(words: &[String]) -> Result<String, Failure> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Failure::usage("no ssh command was named"))?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::io("run", Path::new(program), &error))?;
    if !output.status.success() || output.stdout.len() > LONGEST {
        return Err(Failure::new(format!(
            "`{program}` failed: {}",
            crate::printer::one_line(String::from_utf8_lossy(&output.stderr).trim())
        ))
        .hint("look at your ssh configuration"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
