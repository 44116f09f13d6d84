//! Who opens an authority: to list them, and to see whether that changed.
//!
//! In: the authority. Out: its recipients, or that a passphrase opens it. It opens nothing itself.

use relayca_bundle::Recipient;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::home::{self, Home};
use crate::printer;
use crate::run::Run;

/// Whether an admin passphrase opens the authority; otherwise recipients do.
pub fn by_passphrase(home: &Home) -> Result<bool, Failure> {
    relayca_bundle::sealed_with_passphrase(&home.read(home::CA_PASSPHRASE)?).map_err(|error| {
        Failure::from(error)
            .within(home.path(home::CA_PASSPHRASE).display())
            .or_hint("restore the file from a backup")
    })
}

/// Who opens the authority at one moment, to compare it with another.
#[derive(PartialEq, Eq)]
pub struct Openers {
    recipients: Vec<Recipient>,
    ca_passphrase: Vec<u8>,
    admin_identity: Option<Vec<u8>>,
}

impl Openers {
    /// As the files are.
    pub fn of(home: &Home) -> Result<Self, Failure> {
        let wrapped = home.path(home::ADMIN_IDENTITY).exists();
        Ok(Self {
            recipients: home.settings.recipients.clone(),
            ca_passphrase: home.read(home::CA_PASSPHRASE)?.to_vec(),
            admin_identity: if wrapped {
                Some(home.read(home::ADMIN_IDENTITY)?.to_vec())
            } else {
                None
            },
        })
    }

    /// Fails if it is not the same any more.
    pub fn unchanged(&self, home: &Home) -> Result<(), Failure> {
        if *self == Self::of(home)? {
            return Ok(());
        }
        Err(
            Failure::new("who opens the authority was changed at this moment; nothing was done")
                .hint("look who opens it now with `relayca passwd`, and run it again"),
        )
    }
}

/// Prints who opens the authority.
pub fn list(run: &Run, home: &Home) -> Result<(), Failure> {
    print(run, home, by_passphrase(home)?, json!({}))
}

/// The list as data; `more` goes into the JSON beside it.
pub fn print(run: &Run, home: &Home, by_passphrase: bool, more: Value) -> Result<(), Failure> {
    // With a passphrase the only recipient is the identity behind it, which nobody has.
    let recipients: &[Recipient] = if by_passphrase {
        &[]
    } else {
        &home.settings.recipients
    };
    if run.printer.json {
        let listed: Vec<Value> = recipients
            .iter()
            .map(|recipient| json!({ "recipient": recipient.text(), "kind": kind(recipient) }))
            .collect();
        let mut all = json!({
            "domain": home.settings.domain.as_str(),
            "opened_by": if by_passphrase { "passphrase" } else { "recipients" },
            "recipients": listed,
        });
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        return run.printer.json(&all);
    }
    if by_passphrase {
        return run.printer.data("an admin passphrase\n");
    }
    let rows: Vec<Vec<String>> = recipients
        .iter()
        .map(|recipient| vec![kind(recipient), recipient.text().to_owned()])
        .collect();
    run.printer
        .data(&printer::table(&["KIND", "RECIPIENT"], &rows))
}

/// What kind of key opens what is sealed to it.
pub fn kind(recipient: &Recipient) -> String {
    let text = recipient.text();
    match (recipient.plugin(), text.split_once(' ')) {
        (Some(plugin), _) => format!("age-plugin-{plugin}"),
        (None, Some((ssh, _))) => ssh.to_owned(),
        (None, None) if text.starts_with("age1tag") => "age tag".to_owned(),
        (None, None) => "age".to_owned(),
    }
}
