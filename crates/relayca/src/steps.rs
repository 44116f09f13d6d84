//! What the admin does next, as text that can be pasted: comments and commands, host by host.
//!
//! In: what was issued, the snippets. Out: the steps on stdout. It refuses to know how any of it was made.
//! A step begins with `# N. On HOST`; everything up to the next is for a root shell there.

use std::net::IpAddr;
use std::path::Path;

use relayca_ca::{AltName, HostName};

use relayca_fingerprint::FingerprintMap;
use relayca_postfix::SenderBinding;

use crate::failure::Failure;
use crate::home::Home;
use crate::pieces;
use crate::settings::{Relay, Settings};

/// A map of more entries than this is sent as a file instead of being printed.
const LONGEST_PRINTED_MAP: usize = 100;

/// Numbered steps.
#[derive(Debug, Default)]
pub struct Steps {
    text: String,
    number: u32,
}

impl Steps {
    /// Adds a step.
    pub fn add(&mut self, title: &str, commands: &str) {
        self.number += 1;
        if self.number > 1 {
            self.text.push('\n');
        }
        self.text.push_str(&format!(
            "# {}. {title}\n{}\n",
            self.number,
            commands.trim_end()
        ));
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Sending a sealed bundle, and the passphrase that opens it.
pub fn send(steps: &mut Steps, home: &Home, host: &HostName, by_passphrase: bool) {
    let place = place(&home.settings, host);
    let mut commands = format!(
        "scp {} root@{place}:\n",
        quoted(&home.path(&Home::bundle(host)))
    );
    if by_passphrase {
        commands.push_str(&format!("{} passphrase {host}\n", relayca(home)));
    }
    let title = if by_passphrase {
        format!("Here: send {host} its bundle, and show the passphrase that opens it there.")
    } else {
        format!("Here: send {host} its bundle. A key of that host opens it.")
    };
    steps.add(&title, &commands);
}

/// What ssh calls the host: its name, or the address of a relay that is known by nothing else.
fn place(settings: &Settings, host: &HostName) -> String {
    match settings.relay(host).map(|relay| &relay.destination) {
        Some(AltName::Ip(IpAddr::V6(address))) => format!("[{address}]"),
        Some(destination) => destination.to_string(),
        None => host.to_string(),
    }
}

/// Opening the bundle on the host with stock tools.
pub fn unpack(steps: &mut Steps, settings: &Settings, host: &HostName, key_file: Option<&str>) {
    let directory = settings.config_directory(host);
    let (age, title) = match key_file {
        None => (
            format!("age -d {host}.tar.age"),
            "unpack the bundle (age asks for the passphrase)",
        ),
        Some(file) => (
            format!("age -d -i {file} {host}.tar.age"),
            "unpack the bundle (with the key that it was sealed to)",
        ),
    };
    steps.add(
        &format!("On {host}, as root: {title}."),
        &format!(
            "mkdir -p -m 700 {directory}/relayca\n\
             {age} | tar -xf - -C {directory}/relayca\n\
             ( cd {directory}/relayca && sha256sum -c SHA256SUMS ) && rm {host}.tar.age"
        ),
    );
}

/// Postfix's settings on a host.
pub fn settings_block(steps: &mut Steps, host: &HostName, what: &str, script: &str) {
    steps.add(
        &format!("On {host}, as root: {what}. Paste the block."),
        script,
    );
}

/// The relay's map: printed whole where it is short, else sent as a file.
pub fn map(
    steps: &mut Steps,
    home: &Home,
    relay: &Relay,
    map: &FingerprintMap,
    bindings: &[SenderBinding],
) -> Result<(), Failure> {
    let directory = home.settings.config_directory(&relay.name);
    let name = &relay.name;
    if map.entries().len() > LONGEST_PRINTED_MAP {
        let public = Home::public_bundle(name);
        steps.add(
            &format!("Here: send {name} the new map."),
            &format!(
                "scp {} root@{}:",
                quoted(&home.path(&public)),
                place(&home.settings, name)
            ),
        );
        let (tables, unbound) = if bindings.is_empty() {
            (
                "relay_clientcerts",
                pieces::unbound_access_script(directory),
            )
        } else {
            ("relay_clientcerts relay_ccert_access", String::new())
        };
        steps.add(
            &format!("On {name}, as root: put the map in place."),
            &format!(
                "tar -xf {name}.public.tar -C {directory}/relayca\n\
                 ( cd {directory}/relayca && sha256sum -c SHA256SUMS && postmap {tables} )\n\
                 {unbound}postfix reload"
            ),
        );
        return Ok(());
    }
    steps.add(
        &format!("On {name}, as root: the map of who may relay. Paste the block."),
        &pieces::map_script(directory, map, bindings)?,
    );
    Ok(())
}

/// `relayca` with the `--dir` that finds this authority again, where it is not in the default place.
pub fn relayca(home: &Home) -> String {
    let default = crate::home::default_root().map(|root| root.join(home.settings.domain.as_str()));
    if default.is_ok_and(|default| default == home.root) {
        return "relayca".to_owned();
    }
    let root = std::path::absolute(&home.root).unwrap_or_else(|_| home.root.clone());
    format!("relayca --dir {}", quoted(&root))
}

/// A path as a word for sh: plain ones as they are, others in single quotes.
pub fn quoted(path: &Path) -> String {
    let text = crate::printer::printable(&path.to_string_lossy());
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/a/b.age")), "/a/b.age");
        assert_eq!(quoted(Path::new("/a b/$(id)")), "'/a b/$(id)'");
        assert_eq!(quoted(Path::new("/it's")), "'/it'\\''s'");
    }
}
