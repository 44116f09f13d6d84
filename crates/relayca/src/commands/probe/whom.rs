//! Which relay is asked, by whom it is judged, and as whom.
//!
//! In: the arguments, an authority if there is one. Out: [`Whom`], and opened credentials. It refuses to talk to anybody.

use std::path::Path;
use std::time::Duration;

use relayca_bundle::{Identities, OpenWith};
use relayca_ca::{Certificate, Domain, HostName, PrivateKey};
use relayca_fingerprint::{Digest, EntryKind, FingerprintMap};
use relayca_inventory::{CertificateRecord, Filter, Records, State};
use relayca_postfix::Refusal;
use relayca_probe::{Mode, Target};

use super::services::place;
use crate::authorities::Authorities;
use crate::cli::Probe;
use crate::disk;
use crate::failure::Failure;
use crate::home::Home;
use crate::issuing::LONGEST_BUNDLE;
use crate::opening::passphrase_of;
use crate::pieces;
use crate::probing::asking::{self, Envelope, Place};
use crate::probing::credentials::Credential;
use crate::public_bundles;
use crate::run::Run;

/// The relay's port, where nothing else is said.
const RELAY_PORT: u16 = 2500;
/// Bytes of a file of certificates or a key.
const LONGEST_FILE: usize = 1 << 20;
/// Recipients in domains that nobody has (RFC 2606 section 3): where the mail domain is one of them, the other is foreign.
const FOREIGN: [&str; 2] = ["example.com", "example.net"];

/// Whom to ask.
pub struct Whom {
    /// The authority, where one is at hand.
    pub home: Option<Home>,
    /// Where the relay is.
    pub place: Place,
    /// The name that its certificate must carry.
    pub name: Option<HostName>,
    /// The CAs that may have issued it.
    pub authorities: Vec<Certificate>,
    /// The digest of fingerprints.
    pub digest: Digest,
    /// Whether refusals are to be final.
    pub bounces: bool,
    map: Option<FingerprintMap>,
}

/// The relay and the authority that the arguments name.
pub fn find(run: &Run, arguments: &Probe) -> Result<Whom, Failure> {
    let home = home(run, arguments)?;
    let wrapper = arguments.wrapper;
    let (host, port, mut name, known) = match (&arguments.relay, &home) {
        (Some(text), home) => named(text, home.as_ref())?,
        (None, Some(home)) => first(home)?,
        (None, None) => return Err(Failure::usage("no relay is named")),
    };
    if let Some(given) = &arguments.name {
        name = Some(match &home {
            Some(home) => HostName::in_domain(given, &home.settings.domain)?,
            None => HostName::parse(given)?,
        });
    }
    let implicit = wrapper || (known && home.as_ref().is_some_and(|home| home.settings.wrapper));
    let place = Place {
        target: Target {
            host,
            port,
            mode: if implicit {
                Mode::Implicit
            } else {
                Mode::StartTls
            },
        },
        name: name.as_ref().map(ToString::to_string),
        timeout: Duration::from_secs(arguments.timeout),
    };
    let authorities = match (&arguments.ca_file, &home) {
        (Some(file), _) => certificates(file)?,
        (None, Some(home)) => Authorities::of(&home.inventory_read_only()?)?.trusted(),
        (None, None) => Vec::new(),
    };
    let map = home
        .as_ref()
        .map(|home| pieces::map_now(&home.settings, &home.inventory_read_only()?, run.now))
        .transpose()?;
    Ok(Whom {
        place,
        name,
        authorities,
        digest: home
            .as_ref()
            .map_or(Digest::Sha256, |home| home.settings.digest),
        bounces: home
            .as_ref()
            .is_some_and(|home| home.settings.refusal == Refusal::Reject),
        map,
        home,
    })
}

/// The authority: needed where something is to be taken from it; else taken where it is, if no CA file takes its place.
fn home(run: &Run, arguments: &Probe) -> Result<Option<Home>, Failure> {
    let needed = arguments.relay.is_none()
        || arguments.host.is_some()
        || (arguments.matrix && arguments.ca_file.is_none())
        || run.global.dir.is_some()
        || run.global.domain.is_some();
    if !needed && arguments.ca_file.is_some() {
        return Ok(None);
    }
    let relay = arguments.relay.as_deref();
    let hint = arguments
        .host
        .as_deref()
        .or_else(|| relay.and_then(|text| text.split(':').next()));
    match run.home(hint) {
        Ok(home) => Ok(Some(home)),
        Err(failure) if needed => Err(failure.or_hint(
            "where no authority is: relayca probe RELAY --ca-file FILE --cert-file FILE --key-file FILE",
        )),
        Err(failure) => {
            run.printer.warning(&failure.message);
            Ok(None)
        }
    }
}

type Named = (String, u16, Option<HostName>, bool);

/// The first relay of relayca.toml.
fn first(home: &Home) -> Result<Named, Failure> {
    let relay = home.settings.relays.first().ok_or_else(|| {
        Failure::new("`relays` in relayca.toml names no relay")
            .hint("add one, as in relays = [\"relayhost.example.org:2500\"], or name it here")
    })?;
    let name = Some(relay.name.clone());
    Ok((relay.destination.to_string(), relay.port, name, true))
}

/// A relay that is written out: one of relayca.toml, or any.
fn named(text: &str, home: Option<&Home>) -> Result<Named, Failure> {
    let (mut host, port) = place(text, 0)?;
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    if let Some(home) = home
        && !is_address
        && !host.contains('.')
    {
        host = HostName::in_domain(&host, &home.settings.domain)?.to_string();
    }
    let relays = home.map_or(&[][..], |home| home.settings.relays.as_slice());
    let found = relays.iter().find(|relay| {
        (relay.destination.to_string() == host || relay.name.as_str() == host)
            && (port == 0 || relay.port == port)
    });
    let or_default = |default: u16| if port == 0 { default } else { port };
    if let Some(relay) = found {
        let name = Some(relay.name.clone());
        return Ok((
            relay.destination.to_string(),
            or_default(relay.port),
            name,
            true,
        ));
    }
    // A relay of which only the address is given is the one there is.
    let name = match relays {
        [only] if is_address => Some(only.name.clone()),
        _ => HostName::parse(&host).ok().filter(|_| !is_address),
    };
    let default = match relays {
        [only] => only.port,
        _ => RELAY_PORT,
    };
    Ok((host, or_default(default), name, !relays.is_empty()))
}

impl Whom {
    /// The host that the map lists this certificate for, as the relay would find it.
    pub fn listed(&self, credential: &Credential) -> Option<String> {
        let map = self.map.as_ref()?;
        let (key, certificate) = (
            credential.fingerprint(self.digest),
            credential.certificate_fingerprint(self.digest),
        );
        let entry = map.entries().iter().find(|entry| match entry.kind {
            EntryKind::Pubkey => entry.fingerprint.as_str() == key,
            EntryKind::Cert => entry.fingerprint.as_str() == certificate,
        })?;
        Some(entry.host.clone())
    }

    /// What the map lists this host with.
    pub fn fingerprints_of(&self, host: &str) -> Vec<String> {
        let entries = self.map.iter().flat_map(FingerprintMap::entries);
        entries
            .filter(|entry| entry.host == host)
            .map(|entry| entry.fingerprint.to_string())
            .collect()
    }

    /// Whether there is a map to know it from.
    pub fn knows_the_map(&self) -> bool {
        self.map.is_some()
    }

    /// Hosts in the map, each once.
    pub fn listed_hosts(&self) -> Vec<HostName> {
        let mut hosts: Vec<HostName> = self
            .map
            .iter()
            .flat_map(FingerprintMap::entries)
            .filter_map(|entry| HostName::parse(&entry.host).ok())
            .collect();
        hosts.dedup();
        hosts
    }

    /// The mail domain: of the authority, or of the mail host or the relay.
    pub fn domain(&self, host: Option<&HostName>) -> String {
        let parent = |host: &HostName| {
            let (_, parent) = host.as_str().split_once('.')?;
            Domain::parse(parent).ok()
        };
        let own = self.home.as_ref().map(|home| home.settings.domain.clone());
        own.or_else(|| host.and_then(parent))
            .or_else(|| self.name.as_ref().and_then(parent))
            .map_or_else(|| "relayca.invalid".to_owned(), |domain| domain.to_string())
    }

    /// Whose mail it would be, and for whom.
    pub fn envelope(
        &self,
        arguments: &Probe,
        host: Option<&HostName>,
    ) -> Result<Envelope, Failure> {
        let checked = |text: &str| {
            asking::address(text).ok_or_else(|| {
                Failure::usage(format!(
                    "`{}` is no mail address",
                    crate::printer::one_line(text)
                ))
                .hint("write it as in someone@example.net")
            })
        };
        let domain = self.domain(host);
        let sender = match &arguments.sender {
            Some(text) if matches!(text.as_str(), "" | "<>") => String::new(),
            Some(text) => checked(text)?,
            None => self.own_sender(host, &domain),
        };
        let recipient = match arguments.send.as_ref().or(arguments.recipient.as_ref()) {
            Some(text) => checked(text)?,
            None => {
                let foreign = FOREIGN.iter().find(|foreign| {
                    let dot = format!(".{foreign}");
                    domain != **foreign && !domain.ends_with(&dot)
                });
                format!("relayca-probe@{}", foreign.unwrap_or(&FOREIGN[0]))
            }
        };
        Ok(Envelope { sender, recipient })
    }

    /// The first that the host is bound to, or the postmaster, whom every domain has (RFC 5321 section 4.5.1).
    fn own_sender(&self, host: Option<&HostName>, domain: &str) -> String {
        let bound = self
            .home
            .as_ref()
            .zip(host)
            .and_then(|(home, host)| home.settings.senders(host.as_str()).first());
        match bound {
            Some(address) if address.contains('@') => address.clone(),
            Some(domain) => format!("postmaster@{}", domain.trim_start_matches('.')),
            None => format!("postmaster@{domain}"),
        }
    }
}

/// A host's certificate and key.
pub type Opened = (Credential, PrivateKey);

/// Those of `--cert-file` and `--key-file`.
pub fn from_files(arguments: &Probe) -> Result<Option<Opened>, Failure> {
    let (Some(cert_file), Some(key_file)) = (&arguments.cert_file, &arguments.key_file) else {
        return Ok(None);
    };
    let chain = certificates(cert_file)?;
    let pem = disk::read_text(key_file, LONGEST_FILE)?;
    let key = PrivateKey::from_pem(&pem)
        .map_err(|error| Failure::from(error).within(key_file.display()))?;
    let Some((leaf, further)) = chain.split_first() else {
        return Ok(None);
    };
    if leaf.spki_der() != key.spki_der() {
        return Err(Failure::new(format!(
            "the key in `{}` does not belong to the first certificate in `{}`",
            key_file.display(),
            cert_file.display()
        ))
        .hint("name the two files of one host"));
    }
    Ok(Some((Credential::new(leaf.clone(), &key, further), key)))
}

/// Certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<Certificate>, Failure> {
    let text = disk::read_text(file, LONGEST_FILE)?;
    let all = Certificate::all_from_pem(&text)
        .map_err(|error| Failure::from(error).within(file.display()))?;
    if all.is_empty() {
        return Err(
            Failure::new(format!("there is no certificate in `{}`", file.display()))
                .hint("give certificates in PEM"),
        );
    }
    Ok(all)
}

/// Those in a host's bundle, with its newest certificate for that key.
pub fn from_bundle(home: &Home, admins: &Identities, host: &HostName) -> Result<Opened, Failure> {
    let inventory = home.inventory_read_only()?;
    let mut records = public_bundles::of_host(&inventory, host.as_str())?;
    if records.is_empty() {
        return Err(home.unknown(host));
    }
    let key = key_in(
        home,
        admins,
        host,
        &Home::bundle(host),
        &Home::bundle_passphrase(host),
    )?;
    // The last one issued that is live, or the last of all.
    records.sort_by_key(|record| record.state == State::Live);
    let certificates = records
        .iter()
        .rev()
        .map(|record| Certificate::from_der(&record.certificate_der))
        .collect::<Result<Vec<_>, _>>()?;
    let certificate = certificates
        .into_iter()
        .find(|certificate| certificate.spki_der() == key.spki_der())
        .ok_or_else(|| {
            Failure::new(format!(
                "the key in the bundle of `{host}` belongs to none of its certificates"
            ))
            .hint("restore the bundle from a backup")
        })?;
    Ok((Credential::new(certificate, &key, &[]), key))
}

/// The key in a bundle. Where only the host's own key opens it, that may be among the identities given.
fn key_in(
    home: &Home,
    admins: &Identities,
    host: &HostName,
    bundle: &str,
    passphrase: &str,
) -> Result<PrivateKey, Failure> {
    let path = home.path(bundle);
    let on_the_host = "its files are on the host: give --cert-file and --key-file there, or a copy";
    if !path.exists() {
        return Err(Failure::new(format!(
            "`{host}` has no sealed bundle: its key was made on the host and lies there alone"
        ))
        .hint(on_the_host));
    }
    let named = |failure: Failure| failure.within(path.display());
    let sealed = disk::read(&path, LONGEST_BUNDLE)?;
    let archive = if home.path(passphrase).exists() {
        let opened =
            relayca_bundle::open(&home.read(passphrase)?, &OpenWith::Identities(admins))
                .map_err(|error| Failure::from(error).within(home.path(passphrase).display()))?;
        let passphrase = passphrase_of(&opened)?;
        relayca_bundle::open(&sealed, &OpenWith::Passphrase(&passphrase))
            .map_err(|error| named(error.into()))?
    } else {
        relayca_bundle::open(&sealed, &OpenWith::Identities(admins)).map_err(|_| {
            Failure::new(format!(
                "the bundle of `{host}` is sealed to a key of that host, which is not among the identities"
            ))
            .hint(on_the_host)
        })?
    };
    let entries = relayca_bundle::unpack(&archive).map_err(|error| named(Failure::from(error)));
    relayca_bundle::wipe(archive);
    let wanted = format!("{host}.key.pem");
    let mut key = Err(named(
        Failure::new("there is no key in it").hint("restore the bundle from a backup"),
    ));
    for entry in entries? {
        if entry.name == wanted {
            key = match std::str::from_utf8(&entry.content) {
                Ok(pem) => PrivateKey::from_pem(pem).map_err(|error| named(error.into())),
                Err(_) => Err(named(Failure::new("the key in it is not PEM"))),
            };
        }
        relayca_bundle::wipe(entry.content);
    }
    key
}

/// A revoked certificate of a mail host that is valid otherwise, whose key is listed nowhere and whose bundle opens; or why there is none.
pub fn revoked(
    run: &Run,
    home: &Home,
    admins: &Identities,
    whom: &Whom,
) -> Result<Credential, String> {
    let said = |failure: Failure| failure.message;
    let inventory = home.inventory_read_only().map_err(said)?;
    let filter = Filter {
        role: Some("mailhost".to_owned()),
        state: Some(State::Revoked),
        valid_at: Some(crate::dates::stamp(run.now)),
        ..Filter::default()
    };
    let records = inventory
        .certificates(&filter)
        .map_err(|error| said(error.into()))?;
    let mut why = "no mail host's certificate was revoked that is valid otherwise".to_owned();
    // Each that does not open costs time; the newest are the likeliest to.
    for record in records.iter().rev().take(8) {
        match opened(home, admins, record) {
            Ok(credential) if whom.listed(&credential).is_none() => return Ok(credential),
            Ok(_) => {}
            Err(failure) => why = failure.message,
        }
    }
    Err(why)
}

fn opened(
    home: &Home,
    admins: &Identities,
    record: &CertificateRecord,
) -> Result<Credential, Failure> {
    let host = HostName::parse(&record.host)?;
    let certificate = Certificate::from_der(&record.certificate_der)?;
    let serial = &record.serial;
    let mut why = Failure::new(format!(
        "no bundle here has the key of `{host}`'s revoked certificate"
    ));
    for (bundle, passphrase) in [
        (Home::bundle(&host), Home::bundle_passphrase(&host)),
        (
            Home::old_bundle(serial),
            Home::old_bundle_passphrase(serial),
        ),
    ] {
        if !home.path(&bundle).exists() {
            continue;
        }
        match key_in(home, admins, &host, &bundle, &passphrase) {
            Ok(key) if key.spki_der() == certificate.spki_der() => {
                return Ok(Credential::new(certificate, &key, &[]));
            }
            Ok(_) => {}
            Err(failure) => why = failure,
        }
    }
    Err(why)
}
