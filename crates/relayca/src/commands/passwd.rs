//! `relayca passwd`: who opens the authority.
//!
//! In: recipients to add or remove, a new passphrase, or the wish to encrypt the CA key anew; what opens the authority now. Out:
//! everything that was sealed to the admins, sealed to the new ones, in one commit. All of it was opened with what the admin has
//! and, where that needs nobody, opened again and compared, before any old file goes. A change after which nobody at hand could
//! open the authority is refused.

mod admins;
pub mod openers;
mod reseal;

use std::path::PathBuf;

use relayca_bundle::Recipient;
use relayca_inventory::{Inventory, NewEvent};
use serde_json::json;

use self::admins::{Admins, Present};
use self::openers::Openers;
use self::reseal::Resealed;
use super::init::recipients;
use super::issue::new_id;
use crate::authorities::Authorities;
use crate::cli::Passwd;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::pieces;
use crate::printer::count;
use crate::run::Run;
use crate::settings::{Settings, with_recipients};
use crate::steps;

/// Bytes of an event's detail; the inventory takes 4096.
const LONGEST_DETAIL: usize = 4000;

/// What is to change.
pub struct Wish {
    add: Vec<Recipient>,
    remove: Vec<Recipient>,
    new_passphrase: bool,
    new_passphrase_file: Option<PathBuf>,
    rotate: bool,
}

impl Wish {
    fn of(arguments: &Passwd) -> Result<Self, Failure> {
        Ok(Self {
            add: recipients(&arguments.add)?,
            remove: recipients(&arguments.remove)?,
            new_passphrase: arguments.new_passphrase,
            new_passphrase_file: arguments.new_passphrase_file.clone(),
            rotate: arguments.rotate,
        })
    }

    fn is_for_nothing(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && !self.new_passphrase && !self.rotate
    }
}

/// Runs the command.
pub fn run(run: &Run, arguments: &Passwd) -> Result<(), Failure> {
    let wish = Wish::of(arguments)?;
    let home = run.home(None)?;
    if wish.is_for_nothing() {
        return openers::list(run, &home);
    }
    let before = Openers::of(&home)?;
    let present = Present::open(run, &home)?;
    let admins = Admins::of(run, &home, &present, &wish)?;

    let mut inventory = home.inventory()?;
    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    let home = Home::at(home.root)?;
    before.unchanged(&home)?;
    let authorities = Authorities::of(&*change)?;
    let staged = Staged::begin(&home.root, new_id()?)?;
    let resealed = reseal::all(
        run,
        &home,
        &authorities,
        &present,
        &admins,
        wish.rotate,
        &staged,
    )?;
    put_settings(&home, &admins, &staged)?;
    change.record(&NewEvent {
        at: dates::stamp(run.now),
        what: "passwd".into(),
        serial: None,
        host: Some(home.settings.domain.to_string()),
        detail: Some(detail(&home, &present, &admins, &wish)),
    })?;
    home.commit(change, staged, run.now)?;
    report(
        run,
        Home::at(home.root)?,
        &present,
        &admins,
        &wish,
        &resealed,
    )
}

/// relayca.toml names the recipients of what is sealed from now on.
fn put_settings(home: &Home, admins: &Admins, staged: &Staged) -> Result<(), Failure> {
    if admins.recipients == home.settings.recipients {
        return Ok(());
    }
    let text = with_recipients(&home.settings_text, &admins.recipients)?;
    Settings::parse(&text, &home.path(home::SETTINGS))?;
    staged.replace(
        home::SETTINGS,
        text.as_bytes(),
        pieces::PRIVATE,
        home.settings_text.as_bytes(),
    )
}

/// Who opened it and does no longer, of those that have a name.
fn gone<'a>(home: &'a Home, present: &Present, admins: &Admins) -> Vec<&'a Recipient> {
    if present.by_passphrase() {
        return Vec::new();
    }
    let stays = |recipient: &Recipient| {
        admins.passphrase.is_none() && admins.recipients.contains(recipient)
    };
    let all = home.settings.recipients.iter();
    all.filter(|recipient| !stays(recipient)).collect()
}

/// What the inventory remembers: public keys and words, never a secret.
fn detail(home: &Home, present: &Present, admins: &Admins, wish: &Wish) -> String {
    let mut parts: Vec<String> = Vec::new();
    let added = wish
        .add
        .iter()
        .map(|recipient| format!("added {recipient}"));
    parts.extend(added);
    let removed = gone(home, present, admins).into_iter();
    parts.extend(removed.map(|recipient| format!("removed {recipient}")));
    if wish.new_passphrase {
        parts.push("new admin passphrase".into());
    } else if admins.passphrase.is_none() && present.by_passphrase() {
        parts.push("removed the admin passphrase".into());
    }
    if wish.rotate {
        parts.push("CA key encrypted anew".into());
    }
    let mut text = parts.join("; ");
    if text.len() > LONGEST_DETAIL {
        let end = (0..=LONGEST_DETAIL)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or_default();
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// `home` is as it is now.
fn report(
    run: &Run,
    home: Home,
    present: &Present,
    admins: &Admins,
    wish: &Wish,
    resealed: &Resealed,
) -> Result<(), Failure> {
    let printer = &run.printer;
    let untried = match admins.passphrase {
        Some(_) => Vec::new(),
        None => admins.untried(present),
    };
    let names: Vec<&str> = untried.iter().map(|recipient| recipient.text()).collect();
    let more = json!({
        "sealed_anew": { "authorities": resealed.authorities.len(), "bundles": resealed.bundles },
        "rotated": wish.rotate,
        "untried": names,
    });
    openers::print(run, &home, admins.passphrase.is_some(), more)?;

    let relayca = steps::relayca(&home);
    let cas = count(resealed.authorities.len(), "CA key", "CA keys");
    let bundles = count(resealed.bundles, "bundle", "bundles");
    printer.note(&format!(
        "sealed anew for the authority of {}: the passphrases of {cas} and of {bundles}",
        home.settings.domain
    ));
    if wish.rotate {
        printer.note(&format!("encrypted anew: {cas}"));
    }
    for name in &names {
        printer.note(&format!(
            "nobody has opened it as {name} yet: `{relayca} verify ca -i FILE` proves that it can be done"
        ));
    }
    if wish.remove.is_empty() && !wish.new_passphrase && same_kind(present, admins) {
        if wish.rotate {
            printer.note("the old passphrase of the CA key opens no file written from now on; copies of the old files open as before");
        }
        printer.note(&format!("next: take a new backup, `{relayca} backup FILE`"));
        return Ok(());
    }
    // Those that opened what was sealed just now are fine.
    let others = !run.global.identity.is_empty() || admins.passphrase.is_some();
    if others && !home.settings.identities.is_empty() {
        printer.note(&format!(
            "`identities` in relayca.toml still names {}: change it where that opens nothing any more",
            home.settings.identities.join(", ")
        ));
    }
    printer.warning(
        "copies of the old files, backups among them, still open with what opened them before",
    );
    if wish.rotate {
        printer.hint("the new CA passphrase mends this for files copied from now on. Who copied the CA key before can go on using it: if that is to be feared, replace the CA (`relayca rollover prepare`) and rekey the hosts (`relayca renew --rekey`)");
    } else {
        printer.hint("who was removed and noted the passphrase of the CA key can still use it: `relayca passwd --rotate` encrypts the key anew. Who copied the key can use it until the CA is replaced (`relayca rollover prepare`)");
    }
    printer.note(&format!(
        "next: take a new backup, `{relayca} backup FILE`, and remove those that must not open any more"
    ));
    Ok(())
}

/// Whether it went neither from a passphrase to recipients nor the other way.
fn same_kind(present: &Present, admins: &Admins) -> bool {
    present.by_passphrase() == admins.passphrase.is_some()
}
