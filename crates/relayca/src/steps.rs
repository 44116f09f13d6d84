//! What the admin does next, as text that can be pasted: comments and commands, host by host.
//!
//! In: what was issued, the snippets. Out: the steps on stdout. It refuses to know how any of it was made.
//! A step begins with `# N. On HOST`; everything up to the next is for a root shell there.

use std::net::IpAddr;
use std::path::Path;

use relayca_ca::{AltName, Certificate, HostName};

use relayca_fingerprint::FingerprintMap;
use relayca_mta::Mta;
use relayca_postfix::{NewFiles, RelayStyle, SenderBinding};

use crate::failure::Failure;
use crate::home::Home;
use crate::issuing::Delivery;
use crate::mail_servers;
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

/// Sending a bundle, and the passphrase that opens it.
pub fn send(steps: &mut Steps, home: &Home, host: &HostName, delivery: Delivery) {
    let place = place(&home.settings, host);
    let bundle = match delivery {
        Delivery::Public => Home::public_bundle(host),
        Delivery::ByPassphrase | Delivery::ToKey(_) => Home::bundle(host),
    };
    let mut commands = format!("scp {} root@{place}:\n", quoted(&home.path(&bundle)));
    let title = match delivery {
        Delivery::ByPassphrase => {
            commands.push_str(&format!("{} passphrase {host}\n", relayca(home)));
            format!("Here: send {host} its bundle, and show the passphrase that opens it there.")
        }
        Delivery::ToKey(_) => {
            format!("Here: send {host} its bundle. A key of that host opens it.")
        }
        Delivery::Public => format!("Here: send {host} its files. No key is among them."),
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
pub fn unpack(steps: &mut Steps, settings: &Settings, host: &HostName, delivery: Delivery) {
    let directory = settings.config_directory(host);
    let sealed = format!("{host}.tar.age");
    let (archive, bundle, title) = match delivery {
        Delivery::ByPassphrase => (
            format!("age -d {sealed} | tar -xf -"),
            sealed,
            "unpack the bundle (age asks for the passphrase)",
        ),
        Delivery::ToKey(file) => (
            format!("age -d -i {file} {sealed} | tar -xf -"),
            sealed,
            "unpack the bundle (with the key that it was sealed to)",
        ),
        Delivery::Public => (
            format!("tar -xf {host}.public.tar"),
            format!("{host}.public.tar"),
            "unpack the files, beside the key that lies there",
        ),
    };
    // `relayca request` replaces no key: a new one lies elsewhere, and its certificate does not fit the old one.
    let key_first = if delivery == Delivery::Public {
        format!(
            "# First the key that its certificate is for goes there, where it does not lie already: {directory}/relayca/{host}.key.pem, mode 0600.\n"
        )
    } else {
        String::new()
    };
    steps.add(
        &format!("On {host}, as root: {title}."),
        &format!(
            "{key_first}{} && rm {bundle}",
            mail_servers::unpacking(settings, host, &archive)
        ),
    );
}

/// New certificates beside the key that lies on the host: pasted, as nothing is secret in them.
pub fn certificates(
    steps: &mut Steps,
    home: &Home,
    host: &HostName,
    certificate: Option<&Certificate>,
    trusted: &[Certificate],
) -> Result<(), Failure> {
    let what = if certificate.is_some() {
        "the new certificate"
    } else {
        "the CA certificates to trust"
    };
    let text = certificate.map(Certificate::to_pem);
    let files = NewFiles {
        domain: home.settings.domain.as_str(),
        host: host.as_str(),
        config_directory: home.settings.config_directory(host),
        trust: &pieces::trust_text(trusted),
        certificate: text.as_deref(),
    };
    let script = mail_servers::files_script(&home.settings, host, &files)?;
    settings_block(steps, host, what, &script);
    Ok(())
}

/// The mail server's settings on a host.
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
        steps.add(
            &format!("On {name}, as root, where that lies: put the map in place. Paste the block."),
            &mail_servers::archived_list_script(&home.settings, name, map, bindings)?,
        );
        return Ok(());
    }
    steps.add(
        &format!("On {name}, as root: the map of who may relay. Paste the block."),
        &mail_servers::list_script(&home.settings, name, map, bindings)?,
    );
    Ok(())
}

/// The relays first: until they know the host, its mail waits.
pub fn relays(steps: &mut Steps, home: &Home, map: &FingerprintMap) -> Result<(), Failure> {
    let bindings = pieces::bindings(&home.settings);
    for relay in &home.settings.relays {
        self::map(steps, home, relay, map, &bindings)?;
        // Exim's list has the senders in it.
        if !bindings.is_empty() && home.settings.mta(&relay.name) == Mta::Postfix {
            let snippet =
                pieces::relay_snippet(&home.settings, relay, bindings.clone(), RelayStyle::Block)?;
            settings_block(
                steps,
                &relay.name,
                "the service, which now binds senders",
                &snippet.script,
            );
        }
    }
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
