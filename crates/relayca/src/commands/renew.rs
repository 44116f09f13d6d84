//! `relayca renew`: new certificates for hosts that have some.
//!
//! In: hosts, or how soon is due. Out: for each a certificate of the same key in a public bundle, or with `--rekey` of a new key
//! in a sealed one; the steps that put them in place. What is superseded stays live until it is retired: no mail is lost.

mod old_bundles;
mod report;

use std::collections::HashSet;

use relayca_bundle::Recipient;
use relayca_ca::{AltName, Certificate, HostName, KeyType};
use relayca_fingerprint::FingerprintMap;
use relayca_inventory::{
    CertificateRecord, Change, Host, Inventory, NewEvent, Phase, Records, State,
};
use time::{Duration, OffsetDateTime};

use super::init::{enter_certificate, recipients};
use super::issue::{new_id, outside};
use super::snippet::known_host;
use crate::authorities::Authorities;
use crate::cli::Renew;
use crate::dates;
use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::Home;
use crate::hosts::HostRequest;
use crate::issuing::{self, Issued, Issuing};
use crate::pieces;
use crate::public_bundles::{self, newest};
use crate::requested::{UsedKeys, requested_key};
use crate::run::Run;
use crate::settings::word;

/// Soon, where `--within` does not say; for certificates of less than half a year, the last third of their life.
const SOON: Duration = Duration::days(60);

/// A host to be renewed, and the certificate that is superseded.
struct Wanted {
    request: HostRequest,
    supersedes: CertificateRecord,
    /// Names of the old certificate that the new one may not carry; one made elsewhere may have such.
    left_out: Vec<AltName>,
}

/// What was done for a host.
struct Renewed {
    issued: Issued,
    supersedes: CertificateRecord,
    /// All that were live before: what is to be retired when the host uses the new one.
    older: Vec<String>,
    rekeyed: bool,
    left_out: Vec<AltName>,
}

/// A host whose time comes and that cannot be renewed; the others are not to wait for it.
struct LeftOut {
    host: String,
    why: String,
    hint: String,
}

/// Who is renewed.
#[derive(Default)]
struct Chosen {
    wanted: Vec<Wanted>,
    left_out: Vec<LeftOut>,
}

/// What is asked for, read once.
struct Asked<'a> {
    arguments: &'a Renew,
    seal_to: Vec<Recipient>,
    key: Option<KeyType>,
    /// Of the certificate request.
    public_key: Option<Vec<u8>>,
    /// How soon `--due` is; where absent, a default that looks at each certificate's life.
    within: Option<Duration>,
    now: OffsetDateTime,
}

/// Runs the command.
pub fn run(run: &Run, arguments: &Renew) -> Result<(), Failure> {
    let mut home = run.home(arguments.hosts.first().map(String::as_str))?;
    let retire_after = match &arguments.retire_after {
        Some(span) => Some(dates::stamp(run.now + dates::span(span)?)),
        None => None,
    };
    let asked = asked(run, &home, arguments)?;
    let mut inventory = home.inventory()?;
    let chosen = choose(&home, &inventory, &asked)?;
    if chosen.wanted.is_empty() {
        return report::nothing_due(run, &home, &inventory, &chosen.left_out);
    }
    let (authority, admins) = home.authority(&run.secrets, run.now)?;
    let proof = home.proof(&run.secrets, admins)?;

    let mut change = inventory.change()?;
    disk::settle(&home.root, |id| Ok(change.published(id)?))?;
    home = Home::at(home.root)?;
    // Again, now that nobody else can renew.
    let Chosen { wanted, left_out } = choose(&home, &*change, &asked)?;
    if wanted.is_empty() {
        return report::nothing_due(run, &home, &*change, &left_out);
    }
    let authorities = Authorities::of(&*change)?;
    authorities.still_active(authority.certificate())?;
    let trusted = authorities.trusted();
    let staged = Staged::begin(&home.root, new_id()?)?;
    let prompt = run.secrets.prompt();
    let issuing = Issuing {
        authority: &authority,
        trusted: &trusted,
        settings: &home.settings,
        proof: Some(&proof).filter(|proof| proof.native_only()),
        prompt: &prompt,
        now: run.now,
    };
    let retire_after = retire_after.as_deref();
    let renewed = renew_all(&home, &issuing, wanted, retire_after, &mut *change, &staged)?;
    let map = pieces::map_now(&home.settings, &*change, run.now)?;
    public_bundles::put_relays(&run.printer, &home, &*change, &trusted, &map, &staged)?;
    home.commit(change, staged, run.now)?;
    report::report(
        run,
        &home,
        &renewed,
        &left_out,
        &map,
        &trusted,
        retire_after,
    )
}

/// Reads the command line, and the certificate request.
fn asked<'a>(run: &Run, home: &Home, arguments: &'a Renew) -> Result<Asked<'a>, Failure> {
    let public_key = match (&arguments.csr, arguments.hosts.as_slice()) {
        (None, _) => None,
        (Some(file), [host]) => {
            let (host, _) = known_host(home, host)?;
            Some(requested_key(run, &host, file)?)
        }
        (Some(_), _) => {
            return Err(Failure::usage("--csr is for one host")
                .hint("rekey one host with each certificate request"));
        }
    };
    Ok(Asked {
        arguments,
        seal_to: recipients(&arguments.seal_to)?,
        key: arguments.key.as_deref().map(word).transpose()?,
        public_key,
        within: arguments.within.as_deref().map(dates::span).transpose()?,
        now: run.now,
    })
}

/// Which hosts, as the inventory stands: those named, or those whose time comes.
fn choose(
    home: &Home,
    inventory: &(impl Records + ?Sized),
    asked: &Asked<'_>,
) -> Result<Chosen, Failure> {
    let used = UsedKeys::of(inventory)?;
    let mut chosen = Chosen::default();
    if asked.arguments.due {
        for record in due(home, inventory, asked, &mut chosen.left_out)? {
            // One that cannot be renewed keeps no other from it.
            match wish(home, &used, asked, &record) {
                Ok((request, left_out)) => chosen.wanted.push(Wanted {
                    request,
                    supersedes: record,
                    left_out,
                }),
                Err(failure) => chosen.left_out.push(LeftOut {
                    host: record.host,
                    why: failure.message,
                    hint: failure.hint.unwrap_or_default(),
                }),
            }
        }
        return Ok(chosen);
    }
    let mut seen = HashSet::new();
    for text in &asked.arguments.hosts {
        let (host, _) = known_host(home, text)?;
        if !seen.insert(host.clone()) {
            return Err(
                Failure::usage(format!("`{host}` is named twice; nothing was renewed"))
                    .hint("leave one of the two out"),
            );
        }
        let supersedes = last(inventory, &host)?;
        let (request, left_out) = wish(home, &used, asked, &supersedes)?;
        chosen.wanted.push(Wanted {
            request,
            supersedes,
            left_out,
        });
    }
    Ok(chosen)
}

/// What is to be issued in the place of a certificate, and the names that it may not carry on.
fn wish(
    home: &Home,
    used: &UsedKeys,
    asked: &Asked<'_>,
    supersedes: &CertificateRecord,
) -> Result<(HostRequest, Vec<AltName>), Failure> {
    let host = HostName::parse(&supersedes.host)?;
    let certificate = Certificate::from_der(&supersedes.certificate_der)?;
    let mut request = request_of(home, &host, supersedes, &certificate)?;
    let left_out = leave_out(home, &home.ca_certificate()?, &mut request)?;
    request.days = asked.arguments.days;
    if !asked.arguments.rekey {
        refuse_unfit(supersedes, &host)?;
        used.refuse_revoked(&host, certificate.spki_der())?;
        // An imported certificate may have a key of a kind that is not certified today.
        relayca_ca::may_be_certified(certificate.spki_der()).map_err(|error| {
            Failure::from(error)
                .within(&host)
                .hint(format!("`relayca renew --rekey {host}` gives it a new key"))
        })?;
        request.public_key = Some(certificate.spki_der().to_vec());
        return Ok((request, left_out));
    }
    request.key = asked.key;
    request.seal_to.clone_from(&asked.seal_to);
    if let Some(key) = &asked.public_key {
        used.refuse(&host, key)?;
        if key.as_slice() == certificate.spki_der() {
            return Err(Failure::new(format!(
                "the certificate request is for the key that `{host}` has already"
            ))
            .hint("make a new key there with `relayca request`; to keep the key, renew without --rekey"));
        }
        request.public_key = Some(key.clone());
    }
    Ok((request, left_out))
}

/// The newest live certificates that expire soon or hang on a CA that is being replaced, where a new one is of use.
fn due(
    home: &Home,
    inventory: &(impl Records + ?Sized),
    asked: &Asked<'_>,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<CertificateRecord>, Failure> {
    let authorities = Authorities::of(inventory)?;
    let active = authorities
        .in_phase(Phase::Active)
        .map(|one| &one.certificate);
    let days = asked.arguments.days.unwrap_or(home.settings.days);
    let wished = asked.now + Duration::days(i64::from(days));
    let end = active.map_or(wished, |ca| wished.min(ca.not_after()));
    let mut due = Vec::new();
    for Host { name, .. } in inventory.hosts()? {
        let Some(record) = newest(inventory, &name)? else {
            continue;
        };
        let certificate = Certificate::from_der(&record.certificate_der)?;
        if active.is_some_and(|active| !certificate.issuer_is(active)) {
            due.push(record);
            continue;
        }
        let life = certificate.not_after() - certificate.not_before();
        let within = asked.within.unwrap_or_else(|| SOON.min(life / 3));
        if certificate.not_after() > asked.now + within {
            continue;
        }
        if end > certificate.not_after() {
            due.push(record);
            continue;
        }
        // Renewed again and again by a timer, it would pile up certificates that end on the same day.
        let day = dates::day_of(&record.not_after);
        let with_its_ca = active.is_some_and(|ca| ca.not_after() <= certificate.not_after());
        let (why, hint) = if with_its_ca {
            (
                format!("it ends on {day} with its CA, and so would a new one"),
                "replace the CA: `relayca rollover prepare` begins that",
            )
        } else {
            (
                format!("it is valid until {day}, longer than a new one would be"),
                "give more --days, or a shorter time to --within",
            )
        };
        left_out.push(LeftOut {
            host: record.host,
            why,
            hint: hint.to_owned(),
        });
    }
    // The relays first: until they have theirs, no mail host depends on anything new.
    due.sort_by_key(|record| record.role != "relay");
    Ok(due)
}

/// A host's newest live certificate; without one its last of all, to rekey from.
fn last(
    inventory: &(impl Records + ?Sized),
    host: &HostName,
) -> Result<CertificateRecord, Failure> {
    if let Some(live) = newest(inventory, host.as_str())? {
        return Ok(live);
    }
    let mut all = public_bundles::of_host(inventory, host.as_str())?;
    all.pop().ok_or_else(|| {
        Failure::new(format!("`{host}` has no certificate"))
            .hint(format!("`relayca issue {host}` issues one"))
    })
}

/// The same names and role as before.
fn request_of(
    home: &Home,
    host: &HostName,
    record: &CertificateRecord,
    certificate: &Certificate,
) -> Result<HostRequest, Failure> {
    let relay = if record.role == "relay" {
        let relay = home.settings.relay(host).ok_or_else(|| {
            Failure::new(format!("`{host}` is not among `relays` in relayca.toml"))
                .hint(format!("add it there as HOST:PORT; one that is gone: `relayca revoke {host} --reason cessationOfOperation`"))
        })?;
        Some(relay.clone())
    } else {
        None
    };
    let own = AltName::Dns(host.clone());
    Ok(HostRequest {
        host: host.clone(),
        relay,
        alt_names: certificate
            .alt_names()
            .iter()
            .filter(|name| **name != own)
            .cloned()
            .collect(),
        seal_to: Vec::new(),
        senders: Vec::new(),
        public_key: None,
        key: None,
        days: None,
        mta: None,
    })
}

/// Takes the further names away that are not this authority's to certify. The host's own name must be.
fn leave_out(
    home: &Home,
    ca: &Certificate,
    request: &mut HostRequest,
) -> Result<Vec<AltName>, Failure> {
    let own = AltName::Dns(request.host.clone());
    if !home.may_name(ca, &own) {
        return Err(outside(home, ca, &own));
    }
    let names = std::mem::take(&mut request.alt_names);
    let (kept, left_out) = names.into_iter().partition(|name| home.may_name(ca, name));
    request.alt_names = kept;
    Ok(left_out)
}

/// A key is certified again only while its certificate is live.
fn refuse_unfit(record: &CertificateRecord, host: &HostName) -> Result<(), Failure> {
    if record.state == State::Live {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the last certificate of `{host}` ({}) is {}; its key is not certified again",
        record.serial, record.state
    ))
    .hint(format!("`relayca renew --rekey {host}` gives it a new key")))
}

/// Issues all, and enters them; gives them in the order asked for.
fn renew_all(
    home: &Home,
    issuing: &Issuing<'_>,
    wanted: Vec<Wanted>,
    retire_after: Option<&str>,
    change: &mut dyn Change,
    staged: &Staged,
) -> Result<Vec<Renewed>, Failure> {
    let mut wanted: Vec<(usize, Wanted)> = wanted.into_iter().enumerate().collect();
    // The relays last: the map in the sealed bundle of one that is rekeyed has to know the new keys of the mail hosts.
    wanted.sort_by_key(|(_, one)| one.supersedes.role == "relay");
    let mut map = pieces::map_now(issuing.settings, change, issuing.now)?;
    let mut all = Vec::new();
    for (place, one) in wanted {
        if one.supersedes.role == "relay" && one.request.public_key.is_none() {
            map = pieces::map_now(issuing.settings, change, issuing.now)?;
        }
        all.push((
            place,
            renew(home, issuing, one, &map, retire_after, change, staged)?,
        ));
    }
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, one)| one).collect())
}

fn renew(
    home: &Home,
    issuing: &Issuing<'_>,
    wanted: Wanted,
    map: &FingerprintMap,
    retire_after: Option<&str>,
    change: &mut dyn Change,
    staged: &Staged,
) -> Result<Renewed, Failure> {
    let Wanted {
        request,
        supersedes,
        left_out,
    } = wanted;
    let put = |path: &str, content: &[u8], mode: u32| staged.put(path, content, mode);
    let issued = issuing::issue(issuing, &request, map, &put)
        .map_err(|failure| failure.within(&request.host))?;
    let rekeyed = supersedes.spki_sha256 != issuing::spki_sha256(issued.certificate.spki_der());
    if rekeyed {
        old_bundles::keep(home, &issued, change, staged)?;
    }
    let older = public_bundles::live(&*change, request.host.as_str())?;
    let what = if rekeyed { "rekey" } else { "renew" };
    enter_certificate(change, &issued, what, issuing.now)?;
    if let Some(after) = retire_after {
        schedule(change, &issued, after, issuing.now)?;
    }
    Ok(Renewed {
        issued,
        supersedes,
        older: older.into_iter().map(|record| record.serial).collect(),
        rekeyed,
        left_out,
    })
}

/// All other live certificates of the host leave the map at that time.
fn schedule(
    change: &mut dyn Change,
    issued: &Issued,
    after: &str,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let new = issued.certificate.serial().to_string();
    let others = public_bundles::live(change, issued.host.as_str())?;
    for other in others.iter().filter(|other| other.serial != new) {
        change.retire_after(&other.serial, Some(after))?;
        change.record(&NewEvent {
            at: dates::stamp(now),
            what: "retire-after".into(),
            serial: Some(other.serial.clone()),
            host: Some(other.host.clone()),
            detail: Some(after.to_owned()),
        })?;
    }
    Ok(())
}
