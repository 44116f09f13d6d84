//! relayca.toml against the CA certificate and against whom the sealed files are sealed to.
//!
//! In: settings, the stanzas in the headers of sealed files. Out: findings. It refuses to know keys: a header tells how many
//! recipients of a kind there are, not who they are; only what opens a file tells that.

use std::collections::BTreeMap;

use relayca_bundle::Recipient;
use relayca_ca::{AltName, Certificate, HostName};

use super::bundles::{Header, Sealed};
use super::{Finding, Look};
use crate::home::{ADMIN_IDENTITY, CA_PASSPHRASE, SETTINGS};
use crate::settings::Settings;

/// The kinds of stanzas whose number says how many recipients there are. A plugin names its own as it likes.
const KINDS: [&str; 3] = ["X25519", "ssh-ed25519", "ssh-rsa"];

/// A domain that the CA certificate is not for.
pub fn of_domain(settings: &Settings, ca: &Certificate) -> Option<Finding> {
    let apex = AltName::Dns(HostName::parse(settings.domain.as_str()).ok()?);
    if ca.permits(&apex) {
        return None;
    }
    Some(Finding::critical(
        "settings-domain",
        SETTINGS,
        format!(
            "`domain` is `{}`, and the CA certificate is not for it: no command works",
            settings.domain
        ),
        "write the domain that `relayca init` was given; another domain needs another authority",
    ))
}

/// Sealed files whose recipients are not as many as relayca.toml names.
pub fn of_recipients(settings: &Settings, sealed: &[Sealed], look: &Look) -> Option<Finding> {
    let mut wanted = BTreeMap::new();
    for recipient in &settings.recipients {
        if let Some(kind) = kind(recipient) {
            *wanted.entry(kind).or_insert(0_usize) += 1;
        }
    }
    let others: Vec<&str> = sealed
        .iter()
        .filter(|file| file.to_admins())
        .filter(|file| match &file.header {
            Header::Recipients(stanzas) => KINDS.iter().any(|kind| {
                stanzas.iter().filter(|stanza| stanza == kind).count()
                    != wanted.get(kind).copied().unwrap_or(0)
            }),
            _ => false,
        })
        .map(|file| file.path.as_str())
        .collect();
    let first = others.first()?;
    let ca = if others.contains(&CA_PASSPHRASE) {
        CA_PASSPHRASE
    } else {
        first
    };
    Some(Finding::warning(
        "recipients-drift",
        SETTINGS,
        format!(
            "`recipients` are not as many as {} is sealed to{}",
            ca,
            match others.len() {
                1 => String::new(),
                more => format!(
                    ", and {} more",
                    crate::printer::count(more - 1, "file", "files")
                ),
            }
        ),
        format!(
            "`{} passwd --add` and `--remove` change both; take back what was edited by hand",
            look.relayca
        ),
    ))
}

/// An authority that was opened by somebody whom relayca.toml does not name.
pub fn of_opener(settings: &Settings, openers: &[Recipient], look: &Look) -> Option<Finding> {
    let key = |recipient: &Recipient| {
        let words: Vec<&str> = recipient.text().split_whitespace().take(2).collect();
        words.join(" ")
    };
    let named: Vec<String> = settings.recipients.iter().map(key).collect();
    if openers.is_empty() || openers.iter().any(|one| named.contains(&key(one))) {
        return None;
    }
    Some(Finding::warning(
        "recipients-drift",
        SETTINGS,
        "`recipients` does not name the identity that opens the authority: what is issued now, it cannot open",
        format!(
            "`{} passwd` shows who opens it, and changes that",
            look.relayca
        ),
    ))
}

/// An admin passphrase without the identity that opens the bundles' passphrases.
pub fn of_wrapped(sealed: &[Sealed]) -> Option<Finding> {
    let by_passphrase = sealed
        .iter()
        .any(|file| file.path == CA_PASSPHRASE && matches!(file.header, Header::Passphrase));
    let there = sealed.iter().any(|file| file.path == ADMIN_IDENTITY);
    if !by_passphrase || there {
        return None;
    }
    Some(Finding::critical(
        "admin-identity-missing",
        ADMIN_IDENTITY,
        "it is not there, and the admin passphrase opens no bundle's passphrase without it",
        "restore it from a backup",
    ))
}

fn kind(recipient: &Recipient) -> Option<&'static str> {
    if recipient.plugin().is_some() {
        return None;
    }
    let text = recipient.text();
    Some(match text.split_whitespace().next() {
        Some("ssh-ed25519") => "ssh-ed25519",
        Some("ssh-rsa") => "ssh-rsa",
        _ => "X25519",
    })
}
