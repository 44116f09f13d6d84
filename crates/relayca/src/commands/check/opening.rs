//! Opening everything that is sealed to the admins, for `check --open`.
//!
//! In: what the admin opens the authority with. Out: findings on what does not open, or opens to another key than it should.
//! Nothing that was opened is kept or shown. Where the admin's own key or passphrase is not the right one, that is a failure and
//! no finding: nothing could be looked at.

use std::collections::HashMap;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use relayca_bundle::{Identities, OpenError, OpenWith, Passphrase};
use relayca_ca::PrivateKey;

use super::reading::Facts;
use crate::authorities::Standing;
use crate::checking::bundles::{self, Header, Opened, Pair};
use crate::checking::{Finding, Known, Look, settings};
use crate::disk;
use crate::failure::Failure;
use crate::home::{ADMIN_IDENTITY, CA, CA_PASSPHRASE, Home, KEY, PASSPHRASE};
use crate::issuing::LONGEST_BUNDLE;
use crate::opening::{AdminKeys, passphrase_of};
use crate::run::Run;

/// From this many bundles on, a bar shows how far it is.
const MANY: usize = 50;

/// Opens all of it.
pub fn open(run: &Run, home: &Home, facts: &Facts, look: &Look) -> Result<Vec<Finding>, Failure> {
    let (Some(authorities), true) = (&facts.known.authorities, passphrase_is_whole(facts)) else {
        run.printer
            .warning("nothing was opened: what opens the rest is missing or damaged");
        run.printer.hint("mend that first");
        return Ok(Vec::new());
    };
    let admins = home.admin_keys(&run.secrets)?;
    let mut opened = Vec::new();
    for standing in authorities.all() {
        opened.push(ca_key(home, standing, &admins)?);
    }
    let mut found = bundles::of_ca_keys(opened);
    let by_passphrase = matches!(admins, AdminKeys::Passphrase(_));
    let identities = match home.proof(&run.secrets, admins) {
        Ok(identities) => identities,
        Err(failure) if by_passphrase => {
            found.push(bundles::of_wrapped(ADMIN_IDENTITY, failure.message));
            return Ok(found);
        }
        Err(failure) => return Err(failure),
    };
    found.extend(settings::of_opener(
        &home.settings,
        &identities.recipients(),
        look,
    ));
    found.extend(bundles::of_bundles(
        open_bundles(run, home, facts, &identities),
        look,
    ));
    Ok(found)
}

fn passphrase_is_whole(facts: &Facts) -> bool {
    facts
        .sealed
        .iter()
        .any(|file| file.path == CA_PASSPHRASE && !matches!(file.header, Header::Broken(_)))
}

/// The key of a CA, against its certificate.
fn ca_key(home: &Home, standing: &Standing, admins: &AdminKeys) -> Result<Opened, Failure> {
    let directory = standing.directory();
    let (passphrase, key) = (
        format!("{directory}/{PASSPHRASE}"),
        format!("{directory}/{KEY}"),
    );
    let there = |relative: &str| home.path(relative).exists();
    if !there(&passphrase) || !there(&key) {
        // That it is missing is told with the files.
        return Ok(Opened::Good);
    }
    let failed = |path: &str, why: String| Opened::Failed {
        path: path.to_owned(),
        why,
    };
    let with = match admins {
        AdminKeys::Passphrase(passphrase) => OpenWith::Passphrase(passphrase),
        AdminKeys::Identities(identities) => OpenWith::Identities(identities),
    };
    let word = match relayca_bundle::open(&home.read(&passphrase)?, &with) {
        Ok(word) => word,
        Err(OpenError::Damaged | OpenError::Truncated) => {
            return Ok(failed(&passphrase, OpenError::Damaged.to_string()));
        }
        Err(error) if directory == CA => {
            return Err(Failure::from(error).within(home.path(&passphrase).display()));
        }
        Err(error) => return Ok(failed(&passphrase, error.to_string())),
    };
    let word = match passphrase_of(&word) {
        Ok(word) => word,
        Err(failure) => return Ok(failed(&passphrase, failure.message)),
    };
    let pem = match disk::read_text(&home.path(&key), LONGEST_BUNDLE) {
        Ok(pem) => pem,
        Err(failure) => return Ok(failed(&key, failure.message)),
    };
    Ok(match PrivateKey::decrypt(&pem, word.expose()) {
        Err(error) => failed(&key, error.to_string()),
        Ok(opened) if opened.spki_der() != standing.certificate.spki_der() => {
            Opened::OtherKey { path: key }
        }
        Ok(_) => Opened::Good,
    })
}

fn open_bundles(run: &Run, home: &Home, facts: &Facts, identities: &Identities) -> Vec<Opened> {
    let pairs = bundles::pairs(&facts.sealed);
    let keys = keys(&facts.known);
    let bar = progress(run, pairs.len());
    let look = |pair: &Pair| {
        let opened = bundle(home, pair, &keys, identities);
        bar.inc(1);
        opened
    };
    // A person or a token answers one question at a time.
    let opened = if identities.native_only() {
        pairs.par_iter().map(look).collect()
    } else {
        pairs.iter().map(look).collect()
    };
    bar.finish_and_clear();
    opened
}

fn progress(run: &Run, bundles: usize) -> ProgressBar {
    let target = if bundles >= MANY && !run.printer.quiet {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(bundles as u64), target);
    if let Ok(style) =
        ProgressStyle::with_template("relayca: opening {bar:32} {pos}/{len} bundles, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// The public keys that a bundle may hold: by host those of its newest live certificate, or where it has none of all that it
/// had; and by serial.
fn keys(known: &Known) -> HashMap<&str, Vec<&[u8]>> {
    let mut keys: HashMap<&str, Vec<&[u8]>> = HashMap::new();
    let mut all: HashMap<&str, Vec<&[u8]>> = HashMap::new();
    for held in &known.held {
        if let Some(certificate) = &held.certificate {
            keys.insert(&held.record.serial, vec![certificate.spki_der()]);
            all.entry(&held.record.host)
                .or_default()
                .push(certificate.spki_der());
        }
    }
    for host in known.hosts() {
        if let Some(certificate) = &host.newest.certificate {
            all.insert(host.host(), vec![certificate.spki_der()]);
        }
    }
    keys.extend(all);
    keys
}

/// A bundle by its passphrase, and the key in it.
fn bundle(
    home: &Home,
    pair: &Pair,
    keys: &HashMap<&str, Vec<&[u8]>>,
    identities: &Identities,
) -> Opened {
    let failed = |path: &str, why: String| Opened::Failed {
        path: path.to_owned(),
        why,
    };
    let passphrase = match open_passphrase(home, &pair.passphrase, identities) {
        Ok(passphrase) => passphrase,
        Err(failure) => return failed(&pair.passphrase, failure.message),
    };
    if !home.path(&pair.bundle).exists() {
        // That it is missing is told already.
        return Opened::Good;
    }
    let entries = disk::read(&home.path(&pair.bundle), LONGEST_BUNDLE).and_then(|sealed| {
        let archive = relayca_bundle::open(&sealed, &OpenWith::Passphrase(&passphrase))?;
        Ok(relayca_bundle::unpack(&archive)?)
    });
    let entries = match entries {
        Ok(entries) => entries,
        Err(failure) => return failed(&pair.bundle, failure.message),
    };
    let Some(entry) = entries
        .iter()
        .find(|entry| entry.name.ends_with(".key.pem"))
    else {
        return failed(&pair.bundle, "there is no key in it".to_owned());
    };
    let key = std::str::from_utf8(&entry.content)
        .ok()
        .and_then(|text| PrivateKey::from_pem(text).ok());
    let Some(key) = key else {
        return failed(&pair.bundle, "the key in it cannot be read".to_owned());
    };
    let wanted = keys.get(pair.of.as_str()).map_or(&[][..], Vec::as_slice);
    if wanted.contains(&key.spki_der()) {
        Opened::Good
    } else {
        Opened::OtherKey {
            path: pair.bundle.clone(),
        }
    }
}

fn open_passphrase(
    home: &Home,
    relative: &str,
    identities: &Identities,
) -> Result<Passphrase, Failure> {
    let sealed = home.read(relative)?;
    passphrase_of(&relayca_bundle::open(
        &sealed,
        &OpenWith::Identities(identities),
    )?)
}
