//! Everything that is sealed to the admins, sealed anew.
//!
//! In: who opens it now, who is to open it. Out: staged files, each opened and compared where that needs nobody. It replaces
//! nothing itself: that is the commit's.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use relayca_bundle::{OpenWith, Passphrase, Prompt};
use relayca_ca::PrivateKey;
use relayca_inventory::Phase;

use super::admins::{Admins, Present};
use crate::authorities::Authorities;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::issuing;
use crate::opening::passphrase_of;
use crate::pieces;
use crate::progress;
use crate::run::Run;

/// The directories of sealed bundles, below the authority.
const BUNDLES: [&str; 2] = ["bundles", "bundles/old"];
/// How the name of a bundle's sealed passphrase ends.
const PASSPHRASE: &str = ".passphrase.age";
/// More passphrases than any authority has.
const MANY: usize = 2_000_000;
/// Bytes of a PEM file.
const LONGEST_KEY: usize = 1 << 20;

/// What was sealed anew.
pub struct Resealed {
    /// Directories of the CAs.
    pub authorities: Vec<String>,
    /// Passphrases of bundles.
    pub bundles: usize,
}

/// Seals all of it. With `rotate` the CA keys are encrypted anew, too.
pub fn all(
    run: &Run,
    home: &Home,
    authorities: &Authorities,
    present: &Present,
    admins: &Admins,
    rotate: bool,
    staged: &Staged,
) -> Result<Resealed, Failure> {
    let prompt = run.secrets.prompt();
    let directories = directories(home, authorities)?;
    for Directory { path, needs_key } in &directories {
        let without = !needs_key && !home.path(&format!("{path}/{}", home::KEY)).exists();
        let sealed = if without {
            passphrase_alone(home, path, present, admins, &prompt, staged)
        } else {
            authority(home, path, present, admins, rotate, &prompt, staged)
        };
        sealed.map_err(|failure| failure.within(home.path(path).display()))?;
    }
    match &admins.wrapped {
        Some(wrapped) => staged.put(home::ADMIN_IDENTITY, wrapped, pieces::PRIVATE)?,
        None if home.path(home::ADMIN_IDENTITY).exists() => staged.remove(home::ADMIN_IDENTITY)?,
        None => {}
    }
    let bundles = if admins.bundles {
        bundles(run, home, present, admins, &prompt, staged)?
    } else {
        0
    };
    Ok(Resealed {
        authorities: directories.into_iter().map(|one| one.path).collect(),
        bundles,
    })
}

/// A directory with a sealed CA passphrase, below the authority.
struct Directory {
    path: String,
    /// Whether it is no use without the key.
    needs_key: bool,
}

/// Every one: those of the inventory, and whatever else lies there.
fn directories(home: &Home, authorities: &Authorities) -> Result<Vec<Directory>, Failure> {
    let has = |directory: &str| {
        home.path(&format!("{directory}/{}", home::PASSPHRASE))
            .exists()
    };
    let mut directories: Vec<Directory> = Vec::new();
    for standing in authorities.all() {
        let path = standing.directory();
        // Of a retired one the key may be destroyed, and of an outgoing one lost. Of any other it may not: opening it says
        // what is wrong.
        let needs_key = matches!(standing.phase, Phase::Active | Phase::Prepared);
        if needs_key || has(&path) {
            directories.push(Directory { path, needs_key });
        }
    }
    for name in names(&home.path(home::CA))? {
        let path = format!("{}/{name}", home::CA);
        let is_new = || directories.iter().all(|known| known.path != path);
        if home.path(&path).is_dir() && has(&path) && is_new() {
            directories.push(Directory {
                path,
                needs_key: false,
            });
        }
    }
    Ok(directories)
}

/// The passphrase of a CA whose key is gone: a copy of the key may turn up.
fn passphrase_alone(
    home: &Home,
    directory: &str,
    present: &Present,
    admins: &Admins,
    prompt: &Arc<dyn Prompt>,
    staged: &Staged,
) -> Result<(), Failure> {
    let path = format!("{directory}/{}", home::PASSPHRASE);
    let opened = relayca_bundle::open(&home.read(&path)?, &present.ca())
        .map_err(|error| Failure::from(error).within(home::PASSPHRASE))?;
    let proof = admins.proof_of_ca(present);
    let sealed = issuing::seal_passphrase(
        &passphrase_of(&opened)?,
        &admins.seal_ca(prompt),
        proof.as_ref(),
    )?;
    staged.put(&path, &sealed, pieces::PRIVATE)
}

/// One CA: its passphrase, and with `rotate` its key.
fn authority(
    home: &Home,
    directory: &str,
    present: &Present,
    admins: &Admins,
    rotate: bool,
    prompt: &Arc<dyn Prompt>,
    staged: &Staged,
) -> Result<(), Failure> {
    let opened;
    // The active one's was opened before, and the file is the same: stretching a passphrase takes its time.
    let passphrase = if directory == home::CA {
        &present.ca_passphrase
    } else {
        let sealed = home.read(&format!("{directory}/{}", home::PASSPHRASE))?;
        let content = relayca_bundle::open(&sealed, &present.ca())
            .map_err(|error| Failure::from(error).within(home::PASSPHRASE))?;
        opened = passphrase_of(&content)?;
        &opened
    };
    let key_path = format!("{directory}/{}", home::KEY);
    let pem = disk::read_text(&home.path(&key_path), LONGEST_KEY)?;
    let key = PrivateKey::decrypt(&pem, passphrase.expose()).map_err(|error| {
        Failure::from(error)
            .within(home::KEY)
            .or_hint("restore the directory from a backup")
    })?;
    if key.spki_der() != home.certificate_in(directory)?.spki_der() {
        return Err(
            Failure::new("the key does not belong to the CA certificate")
                .hint("restore the directory from a backup"),
        );
    }
    let rotated;
    let passphrase = if rotate {
        let new = Passphrase::generate_key()?;
        let encrypted = key.encrypt(new.expose())?;
        if PrivateKey::decrypt(&encrypted, new.expose())?.pkcs8_der() != key.pkcs8_der() {
            return Err(Failure::new(
                "the encrypted CA key did not open to the same key; nothing was changed",
            )
            .hint("this must not happen: check the machine's memory and report it"));
        }
        staged.put(&key_path, encrypted.as_bytes(), pieces::PRIVATE)?;
        rotated = new;
        &rotated
    } else {
        passphrase
    };
    let proof = admins.proof_of_ca(present);
    let sealed = issuing::seal_passphrase(passphrase, &admins.seal_ca(prompt), proof.as_ref())?;
    staged.put(
        &format!("{directory}/{}", home::PASSPHRASE),
        &sealed,
        pieces::PRIVATE,
    )
}

/// The passphrases of all bundles; gives how many.
fn bundles(
    run: &Run,
    home: &Home,
    present: &Present,
    admins: &Admins,
    prompt: &Arc<dyn Prompt>,
    staged: &Staged,
) -> Result<usize, Failure> {
    let mut all = Vec::new();
    for directory in BUNDLES {
        let names = names(&home.path(directory))?;
        all.extend(
            names
                .into_iter()
                .filter(|name| name.ends_with(PASSPHRASE))
                .map(|name| format!("{directory}/{name}")),
        );
    }
    let bar = progress::bar(run, all.len(), "sealing anew", "passphrases");
    let with = OpenWith::Identities(&present.identities);
    let to = admins.seal_bundles(prompt);
    let proof = admins.proof_of_bundles(present);
    let one = |relative: &String| -> Result<(), Failure> {
        let named = |failure: Failure| {
            failure
                .within(home.path(relative).display())
                .or_hint("restore the file from a backup, or move it out of the authority")
        };
        let sealed = home.read(relative)?;
        let opened = relayca_bundle::open(&sealed, &with).map_err(|error| named(error.into()))?;
        let passphrase = passphrase_of(&opened).map_err(named)?;
        let sealed = issuing::seal_passphrase(&passphrase, &to, proof.as_ref()).map_err(named)?;
        staged.put(relative, &sealed, pieces::PRIVATE)?;
        bar.inc(1);
        Ok(())
    };
    // One after the other where a token has to be touched for each.
    if present.identities.asks_nobody() {
        all.par_iter().try_for_each(one)?;
    } else {
        all.iter().try_for_each(one)?;
    }
    bar.finish_and_clear();
    Ok(all.len())
}

/// The names in a directory, sorted; of one that is not there, none.
fn names(directory: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: std::io::Error| Failure::io("read", directory, &error);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        if names.len() >= MANY {
            return Err(Failure::new(format!(
                "`{}` has more files than any authority",
                directory.display()
            ))
            .hint("look at what lies there"));
        }
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}
