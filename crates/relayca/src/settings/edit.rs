//! Writing relayca.toml: a new one, and what a command adds to an old one.
//!
//! In: values, the text as it stands. Out: the new text; comments and order stay. It refuses to know the disk.

use relayca_bundle::Recipient;
use relayca_ca::{Domain, HostName, KeyType};

use super::{DEFAULT_DAYS, Relay};
use crate::failure::Failure;

/// The text of a new relayca.toml, with a comment to each setting.
pub fn render(
    domain: &Domain,
    relays: &[Relay],
    recipients: &[Recipient],
    identities: &[String],
    key: KeyType,
    config_directory: &str,
) -> String {
    let list = |items: &mut dyn Iterator<Item = String>| {
        let quoted: Vec<String> = items
            .map(|item| toml_edit::Value::from(item).to_string())
            .collect();
        format!("[{}]", quoted.join(", "))
    };
    let relays = list(&mut relays.iter().map(Relay::text));
    let recipients = list(
        &mut recipients
            .iter()
            .map(|recipient| recipient.text().to_owned()),
    );
    let identities = list(&mut identities.iter().cloned());
    format!(
        "\
# relayca's settings for {domain}. Edit them; an unknown key is an error that names its line.
# After a change: `relayca snippet HOST` prints what the host has to be told.

# The mail domain. The CA certificate is bound to it: it cannot be changed here.
domain = \"{domain}\"

# Where the mail hosts send to, HOST:PORT or ADDRESS:PORT, the preferred one first.
relays = {relays}

# Who can open what relayca seals for the admins (age and SSH public keys).
recipients = {recipients}

# Identity files tried when a command is not given -i.
identities = {identities}

[certificates]
# p256, p384, ed25519, rsa2048, rsa3072 or rsa4096
key = \"{key}\"
# days of validity, never past the CA's end
days = {DEFAULT_DAYS}

[map]
# pubkey survives a renewal that keeps the key; cert does not; both lists the two
pin = \"pubkey\"
# sha256, sha384 or sha512; md5 and sha1 only for a Postfix that knows nothing better
digest = \"sha256\"

[relay]
# defer: what is refused waits in the mail host's queue; reject: it bounces
refusal = \"defer\"
# true: TLS from the first byte instead of STARTTLS
wrapper = false

[postfix]
# Postfix's config_directory on the hosts
config-directory = \"{config_directory}\"
# transport, main or postconf: see `relayca snippet --help`
style = \"transport\"

# A host's own settings:
# [host.\"mailhost.{domain}\"]
# senders = [\"{domain}\"]
# config-directory = \"/usr/local/etc/postfix\"
"
    )
}

/// relayca.toml with one relay more; comments and order are kept.
pub fn with_relay(text: &str, relay: &Relay) -> Result<String, Failure> {
    let mut document = editable(text)?;
    let relays = document
        .entry("relays")
        .or_insert(toml_edit::value(toml_edit::Array::new()))
        .as_array_mut()
        .ok_or_else(|| {
            Failure::new("`relays` in relayca.toml is not a list")
                .hint("write relays = [\"relayhost.example.org:2500\"]")
        })?;
    relays.push(relay.text());
    Ok(document.to_string())
}

/// relayca.toml with `host` bound to `senders`.
pub fn with_senders(text: &str, host: &HostName, senders: &[String]) -> Result<String, Failure> {
    let mut document = editable(text)?;
    let hosts = document
        .entry("host")
        .or_insert_with(|| {
            let mut table = toml_edit::Table::new();
            table.set_implicit(true);
            toml_edit::Item::Table(table)
        })
        .as_table_mut()
        .ok_or_else(|| {
            Failure::new("`host` in relayca.toml is not a table")
                .hint("write [host.\"mailhost.example.org\"]")
        })?;
    let entry = hosts.entry(host.as_str()).or_insert(toml_edit::table());
    let list: toml_edit::Array = senders.iter().map(String::as_str).collect();
    entry["senders"] = toml_edit::value(list);
    Ok(document.to_string())
}

fn editable(text: &str) -> Result<toml_edit::DocumentMut, Failure> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::new(format!("relayca.toml: {}", error.message()))
    })
}
