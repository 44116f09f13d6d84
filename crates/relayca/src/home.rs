//! An authority on disk: which one is meant, and where its parts lie.
//!
//! In: the global options, the environment, relayca.toml. Out: [`Home`], from which commands take the CA
//! certificate and the inventory. It refuses to know the CA key, and what the commands do with all that.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use relayca_ca::{AltName, Certificate, Domain, HostName};
use relayca_inventory::{Change, Inventory, InventoryError, Records, SqliteInventory};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;

/// The settings.
pub const SETTINGS: &str = "relayca.toml";
/// The directory of the active CA's files.
pub const CA: &str = "ca";
/// The CA certificate, in the directory of its CA.
pub const CERTIFICATE: &str = "ca.crt.pem";
/// The CA key, likewise.
pub const KEY: &str = "ca.key.pem";
/// The sealed passphrase of the CA key, likewise.
pub const PASSPHRASE: &str = "ca.passphrase.age";
/// The active CA's certificate.
pub const CA_CERTIFICATE: &str = "ca/ca.crt.pem";
/// The CA key, PKCS#8 under PBES2.
pub const CA_KEY: &str = "ca/ca.key.pem";
/// The passphrase of the CA key, sealed.
pub const CA_PASSPHRASE: &str = "ca/ca.passphrase.age";
/// Where an admin passphrase opens the authority: an age identity sealed with it. Passphrases of bundles
/// are sealed to its recipient, so that issuing many hosts does not stretch the passphrase once a host.
pub const ADMIN_IDENTITY: &str = "ca/admin.identity.age";
/// The inventory.
pub const INVENTORY: &str = "inventory.db";

/// A host that nobody can have (RFC 2606): a CA that may name it may name any.
const NOBODYS_HOST: &str = "host.invalid";

/// The remedy for a file of the authority that is not what relayca wrote.
pub const FROM_BACKUP: &str = "the file is damaged or another one: restore it from a backup";

/// Bytes; sealed passphrases, PEM files.
pub const LONGEST_SMALL_FILE: usize = 1 << 20;

/// One domain's authority.
#[derive(Debug)]
pub struct Home {
    /// Its directory.
    pub root: PathBuf,
    /// relayca.toml, read.
    pub settings: Settings,
    /// relayca.toml, as it stands.
    pub settings_text: String,
    /// The CA certificate that was read last, beside its text.
    read: Mutex<Option<(String, Certificate)>>,
}

impl Home {
    /// Finds the authority: `--dir`, `--domain`, the suffix of `host`, or the only one there is.
    pub fn find(global: &Global, host: Option<&str>, printer: &Printer) -> Result<Self, Failure> {
        let home = Self::look(global, host)?;
        home.is_of_its_ca()?;
        if home.finish_interrupted(printer) {
            return Self::at(home.root);
        }
        Ok(home)
    }

    /// Finds it likewise, and leaves everything in it as it is: for whoever judges it.
    pub fn look(global: &Global, host: Option<&str>) -> Result<Self, Failure> {
        let root = match &global.dir {
            Some(directory) => directory.clone(),
            None => find_root(global, host)?,
        };
        let home = Self::at(root)?;
        if let Some(domain) = &global.domain
            && Domain::parse(domain)? != home.settings.domain
        {
            return Err(Failure::usage(format!(
                "`{}` is the authority of `{}`, not of `{domain}`",
                home.root.display(),
                home.settings.domain
            ))
            .hint("leave --domain or --dir out"));
        }
        Ok(home)
    }

    /// Refuses a `domain` in relayca.toml that the CA certificate is not for. Where the certificate does not bind itself to
    /// any, as one made elsewhere may not, the inventory has the domain that it was taken over for.
    fn is_of_its_ca(&self) -> Result<(), Failure> {
        let domain = &self.settings.domain;
        let apex = AltName::Dns(HostName::parse(domain.as_str())?);
        let is_for_it = match self.ca_certificate() {
            Ok(ca) if !ca.permits(&apex) => false,
            Ok(ca) if ca.permits(&AltName::Dns(HostName::parse(NOBODYS_HOST)?)) => {
                let serial = ca.serial().to_string();
                match self.inventory_read_only() {
                    Ok(inventory) => inventory
                        .certificate(&serial)?
                        .is_none_or(|record| record.host == domain.as_str()),
                    Err(_) => true,
                }
            }
            // What else may be wrong with it is told by the command that needs it.
            _ => true,
        };
        if is_for_it {
            return Ok(());
        }
        Err(Failure::new(format!(
            "`domain` in `{}` is `{domain}`, and the CA certificate is not for it",
            self.path(SETTINGS).display()
        ))
        .hint("write the domain that `relayca init` or `relayca import` was given; another domain needs another authority"))
    }

    /// Whether a certificate may carry this name: the CA certificate must allow it, and it must lie in the domain, be a relay of
    /// relayca.toml, or be what the CA certificate permits by itself. A CA made elsewhere may allow any name in the world; here it
    /// is kept to its job all the same.
    pub fn may_name(&self, ca: &Certificate, name: &AltName) -> bool {
        let in_domain = matches!(name, AltName::Dns(host) if self.settings.domain.contains(host));
        let is_relay = || {
            self.settings.relays.iter().any(|relay| {
                relay.destination == *name
                    || matches!(name, AltName::Dns(host) if *host == relay.name)
            })
        };
        ca.permits(name) && (in_domain || is_relay() || ca.further_permits().contains(name))
    }

    /// The authority in this directory.
    pub fn at(root: PathBuf) -> Result<Self, Failure> {
        let settings_text = settings_text(&root)?;
        let settings = Settings::parse(&settings_text, &root.join(SETTINGS))?;
        Ok(Self {
            root,
            settings,
            settings_text,
            read: Mutex::new(None),
        })
    }

    /// The same with relayca.toml as it is now, for whom `settings` are those of `settings_text` still.
    pub fn again(self) -> Result<Self, Failure> {
        if settings_text(&self.root)? == self.settings_text {
            Ok(self)
        } else {
            Self::at(self.root)
        }
    }

    /// What a killed process committed but did not put in place. Whoever comes next finishes it; who
    /// may only read leaves it.
    /// Gives whether there was something.
    fn finish_interrupted(&self, printer: &Printer) -> bool {
        let Ok(left) = disk::staged(&self.root) else {
            return false;
        };
        // Mostly somebody is issuing at this moment: whoever only reads is not to wait for that. What was
        // not committed is left to the next one who writes.
        let committed = || -> Result<bool, Failure> {
            let inventory = self.inventory_read_only()?;
            for id in &left {
                if inventory.published(id)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if left.is_empty() || committed().is_ok_and(|committed| !committed) {
            return false;
        }
        let finished = self.inventory().and_then(|mut inventory| {
            let change = inventory.change()?;
            disk::settle(&self.root, |id| Ok(change.published(id)?))
        });
        if let Err(failure) = finished {
            printer.warning(&format!(
                "what an interrupted run left could not be finished: {failure}"
            ));
        }
        true
    }

    /// Commits, and puts the staged files in place.
    pub fn commit(
        &self,
        mut change: Box<dyn Change + '_>,
        mut staged: Staged,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        staged.flush()?;
        change.publish(staged.id(), &dates::stamp(now))?;
        staged.commits()?;
        if let Err(error) = change.commit() {
            // A disk that fails at the last moment reports a failure of what is committed all the same.
            // Asked again, the inventory knows; where it cannot tell, the files stay for the next command.
            let committed = self
                .inventory_read_only()
                .and_then(|inventory| Ok(inventory.published(staged.id())?));
            match committed {
                Ok(true) => {}
                Ok(false) => {
                    staged.did_not_commit();
                    return Err(error.into());
                }
                Err(_) => return Err(error.into()),
            }
        }
        staged.publish()?;
        let unmerged = self.path(&format!("{SETTINGS}{}", disk::UNMERGED));
        if unmerged.exists() {
            return Err(Failure::new(format!(
                "the change is made, but `{SETTINGS}` was edited meanwhile: what was to be written is in `{}`",
                unmerged.display()
            ))
            .hint("bring the two together by hand, and remove the second"));
        }
        Ok(())
    }

    /// That a host has no certificate. How to get one is told only where this CA may certify the name.
    pub fn unknown(&self, host: &HostName) -> Failure {
        let failure = Failure::new(format!("`{host}` has no certificate"));
        let list = "`relayca list` shows who has one";
        let name = AltName::Dns(host.clone());
        match self.ca_certificate() {
            Ok(ca) if !self.may_name(&ca, &name) => failure.hint(list),
            _ => failure.hint(format!("`relayca issue {host}` issues one; {list}")),
        }
    }

    /// A file of the authority.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Reads a small file of the authority.
    pub fn read(&self, relative: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        disk::read(&self.path(relative), LONGEST_SMALL_FILE)
    }

    /// The active CA's certificate.
    pub fn ca_certificate(&self) -> Result<Certificate, Failure> {
        self.certificate_in(CA)
    }

    /// The CA certificate in this directory below the authority.
    pub fn certificate_in(&self, directory: &str) -> Result<Certificate, Failure> {
        let path = self.path(&format!("{directory}/{CERTIFICATE}"));
        let pem = disk::read_text(&path, LONGEST_SMALL_FILE)?;
        // The same is asked for several times in a command; each time the file is read, and taken as it is then.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((text, certificate)) = &*read
            && *text == *pem
        {
            return Ok(certificate.clone());
        }
        let certificate = Certificate::from_pem(&pem).map_err(|error| {
            Failure::from(error)
                .within(path.display())
                .or_hint(FROM_BACKUP)
        })?;
        *read = Some((pem.to_string(), certificate.clone()));
        Ok(certificate)
    }

    /// The inventory, to be changed.
    pub fn inventory(&self) -> Result<SqliteInventory, Failure> {
        relayca_inventory::open(&self.path(INVENTORY)).map_err(|error| self.without(error))
    }

    /// The inventory, to be read: works in a read-only directory.
    pub fn inventory_read_only(&self) -> Result<SqliteInventory, Failure> {
        relayca_inventory::open_read_only(&self.path(INVENTORY))
            .map_err(|error| self.without(error))
    }

    /// Beside a CA a lost inventory is no reason to begin anew.
    fn without(&self, error: InventoryError) -> Failure {
        let is_lost = matches!(error, InventoryError::Missing { .. });
        let failure = Failure::from(error);
        if !is_lost || !self.path(CA_CERTIFICATE).exists() {
            return failure;
        }
        failure.hint("its CA is there: move the directory away, and lay out a backup in its place with `relayca restore FILE`")
    }

    /// `bundles/HOST.tar.age`, below the root.
    pub fn bundle(host: &HostName) -> String {
        format!("bundles/{host}.tar.age")
    }

    /// `bundles/HOST.passphrase.age`, below the root.
    pub fn bundle_passphrase(host: &HostName) -> String {
        format!("bundles/{host}.passphrase.age")
    }

    /// Where the bundle that held the key of this certificate goes when the host gets a new key.
    pub fn old_bundle(serial: &str) -> String {
        format!("bundles/old/{serial}.tar.age")
    }

    /// Likewise its sealed passphrase.
    pub fn old_bundle_passphrase(serial: &str) -> String {
        format!("bundles/old/{serial}.passphrase.age")
    }

    /// `bundles/HOST.sealed.tar.age`, below the root: the bundle sealed to other recipients later.
    pub fn sealed_bundle(host: &HostName) -> String {
        format!("bundles/{host}.sealed.tar.age")
    }

    /// Where that one goes likewise.
    pub fn old_sealed_bundle(serial: &str) -> String {
        format!("bundles/old/{serial}.sealed.tar.age")
    }

    /// `bundles/HOST.public.tar`, below the root.
    pub fn public_bundle(host: &HostName) -> String {
        format!("bundles/{host}.public.tar")
    }
}

/// relayca.toml of the authority in this directory, which there must be.
fn settings_text(root: &Path) -> Result<String, Failure> {
    refuse_odd_path(root)?;
    let path = root.join(SETTINGS);
    if matches!(path.try_exists(), Ok(false)) {
        return Err(
            Failure::new(format!("there is no authority in `{}`", root.display()))
                .hint("`relayca init DOMAIN` makes one; --dir names its directory"),
        );
    }
    Ok(disk::read_text(&path, LONGEST_SMALL_FILE * 4)?.to_string())
}

/// Refuses a path that cannot be printed as it is: it would be pasted wrong, and JSON has no form for it.
pub fn refuse_odd_path(path: &Path) -> Result<(), Failure> {
    match path.to_str() {
        Some(text) if !text.chars().any(char::is_control) => Ok(()),
        _ => Err(Failure::usage(format!(
            "`{}` is not a path in UTF-8 without control characters",
            crate::printer::one_line(&path.to_string_lossy())
        ))
        .hint("use another directory")),
    }
}

/// `$XDG_DATA_HOME/relayca`, or `~/.local/share/relayca` (XDG Base Directory Specification).
pub fn default_root() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("relayca"))
        .ok_or_else(|| {
            Failure::usage("neither HOME nor XDG_DATA_HOME is set")
                .hint("name the directory with --dir")
        })
}

fn find_root(global: &Global, host: Option<&str>) -> Result<PathBuf, Failure> {
    let base = default_root()?;
    if let Some(domain) = &global.domain {
        return Ok(base.join(Domain::parse(domain)?.as_str()));
    }
    let mut domains = authorities(&base)?;
    if domains.len() > 1
        && let Some(host) = host.and_then(|host| HostName::parse(host).ok())
    {
        domains.retain(|domain| domain.contains(&host));
        // The longest suffix is the nearest authority.
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.as_str().len()));
        domains.truncate(1);
    }
    match domains.as_slice() {
        [only] => Ok(base.join(only.as_str())),
        [] => Err(
            Failure::new(format!("there is no authority in `{}`", base.display()))
                .hint("`relayca init DOMAIN` makes one; --dir names one that lies elsewhere"),
        ),
        several => {
            let names: Vec<&str> = several.iter().map(Domain::as_str).collect();
            Err(Failure::usage(format!(
                "there are several authorities: {}",
                names.join(", ")
            ))
            .hint("say which with --domain, or give the host's full name"))
        }
    }
}

fn authorities(base: &Path) -> Result<Vec<Domain>, Failure> {
    let entries = match std::fs::read_dir(base) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| Failure::io("read", base, &error))?,
    };
    Ok(entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join(SETTINGS).exists())
        .filter_map(|entry| Domain::parse(entry.file_name().to_str()?).ok())
        .collect())
}
