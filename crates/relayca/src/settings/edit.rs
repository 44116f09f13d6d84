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

# Who can open what relayca seals for the admins (age and SSH public keys). Change them with
# `relayca passwd`: it seals anew what there is, while an edit here is only for what comes.
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
# ssh = \"admin@192.0.2.7:2222\"
# sudo = true
# mta = \"exim\" # postfix, exim, opensmtpd, msmtp or nullmailer: docs/OTHER-MTAS.md
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
    let list: toml_edit::Array = senders.iter().map(String::as_str).collect();
    with_host(text, host, "senders", toml_edit::value(list))
}

/// relayca.toml with the mail server of `host`.
pub fn with_mta(text: &str, host: &HostName, mta: relayca_mta::Mta) -> Result<String, Failure> {
    with_host(text, host, "mta", toml_edit::value(mta.as_str()))
}

fn with_host(
    text: &str,
    host: &HostName,
    key: &str,
    value: toml_edit::Item,
) -> Result<String, Failure> {
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
    entry[key] = value;
    Ok(document.to_string())
}

/// relayca.toml with these recipients and no others; those that stay keep their place and comment.
pub fn with_recipients(text: &str, recipients: &[Recipient]) -> Result<String, Failure> {
    let mut document = editable(text)?;
    let list = document
        .entry("recipients")
        .or_insert(toml_edit::value(toml_edit::Array::new()))
        .as_array_mut()
        .ok_or_else(|| {
            Failure::new("`recipients` in relayca.toml is not a list")
                .hint("write recipients = [\"age1...\"]")
        })?;
    let mut wanted: Vec<&Recipient> = recipients.iter().collect();
    // By what they mean: an SSH key is written with a comment, perhaps.
    list.retain(|written| {
        let found = written
            .as_str()
            .and_then(|text| Recipient::parse(text).ok())
            .and_then(|written| wanted.iter().position(|one| **one == written));
        match found {
            Some(at) => {
                wanted.remove(at);
                true
            }
            None => false,
        }
    });
    for recipient in wanted {
        list.push(recipient.text());
    }
    Ok(document.to_string())
}

fn editable(text: &str) -> Result<toml_edit::DocumentMut, Failure> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::new(format!("relayca.toml: {}", error.message()))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use relayca_bundle::generate_identity;

    #[test]
    fn recipients_change_and_comments_stay() {
        let [one, two, three] = [(); 3].map(|()| generate_identity().1);
        let text = format!(
            "# mine\ndomain = \"example.org\" # ours\nrecipients = [\n  # Anna\n  \"{one}\",\n  # Berta\n  \"{two}\",\n]\n[map] # last\npin = \"both\"\n"
        );
        let changed = with_recipients(&text, &[one.clone(), three.clone()]).unwrap();
        for kept in [
            "# mine",
            "# ours",
            "# Anna",
            "[map] # last",
            one.text(),
            three.text(),
        ] {
            assert!(changed.contains(kept), "{kept}: {changed}");
        }
        assert!(!changed.contains(two.text()), "{changed}");
        assert_eq!(
            with_recipients(&text, &[two.clone(), one.clone()]).unwrap(),
            text
        );
        let settings = super::super::Settings::parse(&changed, std::path::Path::new("t")).unwrap();
        assert_eq!(settings.recipients, [one, three]);
        // Where nobody wrote the key, it comes before the tables.
        let bare = with_recipients("domain = \"example.org\"\n[map]\n", &[two]).unwrap();
        super::super::Settings::parse(&bare, std::path::Path::new("t")).unwrap();
        assert!(with_recipients("recipients = 1\n", &[]).is_err());
    }
}
