//! The files that belong on a host: certificate, CA certificate, map and Postfix pieces.
//!
//! In: settings, certificates, the map. Out: [`Entry`]s for a bundle, and the [`Snippet`]s in them. It
//! refuses to know keys (the caller adds one) and the disk.

use std::collections::HashSet;

use rayon::prelude::*;
use relayca_bundle::Entry;
use relayca_ca::{Certificate, HostName};
use relayca_fingerprint::{Digest, FingerprintMap, Listed, Pin};
use relayca_inventory::{CertificateRecord, Filter, Records, State};
use relayca_mta::Mta;
use relayca_postfix::{MailHost, RelayService, RelayStyle, SenderBinding, Snippet, Style};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::dates;
use crate::failure::Failure;
use crate::mail_servers::{self, HostText};
use crate::settings::{Relay, Settings};

/// Mode of a file that anybody on the host may read.
pub const PUBLIC: u32 = 0o644;
/// Mode of a private key.
pub const PRIVATE: u32 = 0o600;
/// From this many certificates on, several threads read them.
const MANY: usize = 256;

/// Who may relay now: live mail hosts whose certificates have not expired, and whose time to retire has not come.
pub fn listed(
    inventory: &(impl Records + ?Sized),
    now: OffsetDateTime,
) -> Result<Vec<CertificateRecord>, Failure> {
    let retired: HashSet<String> = due_to_retire(inventory, now)?
        .into_iter()
        .map(|record| record.serial)
        .collect();
    let mut records = live(inventory, now)?;
    records.retain(|record| !retired.contains(&record.serial));
    Ok(records)
}

/// Certificates whose time to retire has come. None of a host that would have no other valid one left: the calendar alone
/// stops no mail.
pub fn due_to_retire(
    inventory: &(impl Records + ?Sized),
    now: OffsetDateTime,
) -> Result<Vec<CertificateRecord>, Failure> {
    let now = dates::stamp(now);
    let mut due = inventory.retirements()?;
    due.retain(|retirement| retirement.after <= now);
    let serials: HashSet<&str> = due.iter().map(|one| one.serial.as_str()).collect();
    let mut all = Vec::new();
    for retirement in &due {
        let Some(record) = inventory.certificate(&retirement.serial)? else {
            continue;
        };
        let valid = inventory.certificates(&Filter {
            host: Some(record.host.clone()),
            role: Some(record.role.clone()),
            state: Some(State::Live),
            valid_at: Some(now.clone()),
            ..Filter::default()
        })?;
        if valid
            .iter()
            .any(|other| !serials.contains(other.serial.as_str()))
        {
            all.push(record);
        }
    }
    Ok(all)
}

/// Live mail hosts whose certificates have not expired, whatever the calendar says of retiring them. One that is not valid yet by this
/// machine's clock is among them: the clock may be behind, and would empty the relays' lists; a relay looks at the dates itself.
pub fn live(
    inventory: &(impl Records + ?Sized),
    now: OffsetDateTime,
) -> Result<Vec<CertificateRecord>, Failure> {
    Ok(inventory.certificates(&Filter {
        role: Some("mailhost".into()),
        state: Some(State::Live),
        unexpired_at: Some(dates::stamp(now)),
        ..Filter::default()
    })?)
}

/// relay_clientcerts as the inventory stands.
pub fn map_now(
    settings: &Settings,
    inventory: &(impl Records + ?Sized),
    now: OffsetDateTime,
) -> Result<FingerprintMap, Failure> {
    let map = map_of(&listed(inventory, now)?, settings.digest, settings.pin)?;
    Ok(map.with_progress(progress(inventory, now)?))
}

/// Up to which change of the authority a list of now goes: changes of the inventory, and retirements that the calendar brings. It
/// only ever grows, so that of two lists the older one is told.
pub fn progress(inventory: &(impl Records + ?Sized), now: OffsetDateTime) -> Result<u64, Failure> {
    let now = dates::stamp(now);
    let mut due = inventory.retirements()?;
    due.retain(|retirement| retirement.after <= now);
    Ok(inventory.progress()? + due.len() as u64)
}

/// relay_clientcerts of these certificates.
pub fn map_of(
    records: &[CertificateRecord],
    digest: Digest,
    pin: Pin,
) -> Result<FingerprintMap, Failure> {
    let public_key = |record: &CertificateRecord| {
        Certificate::from_der(&record.certificate_der)
            .map(|certificate| certificate.spki_der().to_vec())
            .map_err(|error| {
                Failure::from(error)
                    .within(format_args!("serial {} in the inventory", record.serial))
            })
    };
    let public_keys: Vec<Vec<u8>> = if records.len() < MANY {
        records.iter().map(public_key).collect::<Result<_, _>>()?
    } else {
        records
            .par_iter()
            .map(public_key)
            .collect::<Result<_, _>>()?
    };
    let listed = records
        .iter()
        .zip(&public_keys)
        .map(|(record, public_key)| Listed {
            host: &record.host,
            serial: &record.serial,
            not_after: &record.not_after,
            certificate_der: &record.certificate_der,
            spki_der: public_key,
        });
    Ok(FingerprintMap::new(digest, pin, listed)?)
}

/// What the relays' lists hold, to tell whether others have to go there.
pub fn fingerprints<'a>(settings: &Settings, map: &'a FingerprintMap) -> Vec<(String, &'a str)> {
    let certificates: &[_] = if settings.a_relay_lists_certificates() {
        map.certificates()
    } else {
        &[]
    };
    map.entries()
        .iter()
        .chain(certificates)
        .map(|entry| (entry.fingerprint.to_string(), entry.host.as_str()))
        .collect()
}

/// What the relay looks a certificate up in, beside relay_clientcerts: fingerprints to the senders' rule
/// of their host. `None` where no listed host is bound.
pub fn access_map(
    map: &FingerprintMap,
    bindings: &[SenderBinding],
) -> Result<Option<String>, Failure> {
    if bindings.is_empty() {
        return Ok(None);
    }
    let entries: Vec<(String, String)> = map
        .entries()
        .iter()
        .map(|entry| (entry.fingerprint.to_string(), entry.host.clone()))
        .collect();
    Ok(Some(relayca_postfix::access_map_text(&entries, bindings)?))
}

/// The block that writes the map on a relay, with the table of bound senders. Where nobody is bound, a relay that
/// bound senders before may still look there: it is made to say the same as the map.
pub fn map_script(
    directory: &str,
    map: &FingerprintMap,
    bindings: &[SenderBinding],
) -> Result<String, Failure> {
    let list = relayca_postfix::map_script(directory, &map.to_text(), map.as_of())?;
    let senders = match access_map(map, bindings)? {
        Some(access) => relayca_postfix::access_map_script(directory, &access, map.as_of())?,
        None => unbound_access_script(directory, map.as_of()),
    };
    Ok(in_turn(&[list, senders, reload_script(directory)]))
}

/// Likewise out of the relay's public files, which lie there. The map alone: a certificate beside it may be for a key that is not
/// there yet.
pub fn archived_map_script(
    directory: &str,
    relay: &str,
    as_of: u64,
    bound: bool,
) -> Result<String, Failure> {
    use relayca_postfix::{ACCESS_MAP, CLIENT_MAP, archived_maps_script};
    let mut parts = Vec::new();
    if bound {
        let lists = [CLIENT_MAP, ACCESS_MAP];
        parts.push(archived_maps_script(directory, relay, &lists, as_of)?);
    } else {
        parts.push(archived_maps_script(
            directory,
            relay,
            &[CLIENT_MAP],
            as_of,
        )?);
        parts.push(unbound_access_script(directory, None));
    }
    parts.push(reload_script(directory));
    Ok(in_turn(&parts))
}

/// Subshells one after the other: where one fails, those after it do not run, and its status is that of all. Not with `&&`, before
/// which `set -e` counts for nothing, in a subshell neither.
fn in_turn(parts: &[String]) -> String {
    format!(
        "# Each part only where the one before it went well; where one fails, so does all of it.\n(\nset -e\n{})\n",
        parts.concat()
    )
}

/// The table of bound senders made anew from the map, on a relay that has one; not where the map there is of a later change
/// than `as_of`.
fn unbound_access_script(directory: &str, as_of: Option<u64>) -> String {
    let refusal = as_of
        .map(|as_of| relayca_postfix::refuse_older_list(relayca_postfix::CLIENT_MAP, as_of))
        .unwrap_or_default();
    let lock = relayca_postfix::LOCK;
    format!(
        "\
# Nobody is bound to senders. A relay that looks in this table since somebody was gets the same list.
( PATH=$PATH:/usr/sbin:/usr/local/sbin; export PATH
  files={directory}/relayca
  stop() {{ echo \"relayca: $*\" >&2; exit 1; }}
{lock}{refusal}
  cd {directory}/relayca && if [ -f relay_ccert_access ]; then
  awk '/^[^#]/ && NF == 2 {{ print $1, \"OK\" }}' relay_clientcerts > relay_ccert_access.new &&
  mv relay_ccert_access.new relay_ccert_access && postmap relay_ccert_access
fi )
"
    )
}

/// Postfix notices a table made anew by its time in whole seconds: two changes in one second look like one, and a host
/// just taken out would go on relaying.
fn reload_script(directory: &str) -> String {
    format!(
        "\
# Sure to be seen at once.
( MAIL_CONFIG={directory}; PATH=$PATH:/usr/sbin:/usr/local/sbin; export MAIL_CONFIG PATH
  if postfix status > /dev/null 2>&1; then postfix reload; fi )
"
    )
}

/// The hosts that relayca.toml binds to senders.
pub fn bindings(settings: &Settings) -> Vec<SenderBinding> {
    settings
        .bound()
        .map(|(host, senders)| SenderBinding {
            host: host.to_owned(),
            senders: senders.to_vec(),
        })
        .collect()
}

/// The relay's service.
pub fn relay_snippet(
    settings: &Settings,
    relay: &Relay,
    bindings: Vec<SenderBinding>,
    style: RelayStyle,
) -> Result<Snippet, Failure> {
    let service = RelayService {
        domain: settings.domain.to_string(),
        relay: relay.name.to_string(),
        port: relay.port,
        wrapper: settings.wrapper,
        config_directory: settings.config_directory(&relay.name).to_owned(),
        digest: settings.digest.to_string(),
        refusal: settings.refusal,
        senders: bindings,
    };
    Ok(relayca_postfix::relay_snippet(&service, style)?)
}

/// The mail host's settings.
pub fn mail_host_snippet(
    settings: &Settings,
    host: &HostName,
    style: Style,
) -> Result<Snippet, Failure> {
    let mail_host = MailHost {
        domain: settings.domain.to_string(),
        host: host.to_string(),
        config_directory: settings.config_directory(host).to_owned(),
        relays: mail_servers::next_hops(settings)?,
        wrapper: settings.wrapper,
        style,
    };
    Ok(relayca_postfix::mail_host_snippet(&mail_host)?)
}

/// What `DOMAIN-ca.crt.pem` holds: every CA that hosts have to trust today.
pub fn trust_text(trusted: &[Certificate]) -> String {
    trusted.iter().map(Certificate::to_pem).collect()
}

/// A mail host's files, without the key.
pub fn mail_host_entries(
    settings: &Settings,
    certificate: &Certificate,
    trusted: &[Certificate],
    host: &HostName,
) -> Result<Vec<Entry>, Failure> {
    let snippet = mail_servers::mail_host_text(settings, host, settings.style)?;
    Ok(entries(settings, certificate, trusted, host, &snippet))
}

/// A relay's files, without the key.
pub fn relay_entries(
    settings: &Settings,
    certificate: &Certificate,
    trusted: &[Certificate],
    relay: &Relay,
    map: &FingerprintMap,
) -> Result<Vec<Entry>, Failure> {
    let bindings = bindings(settings);
    let text = mail_servers::relay_text(settings, relay, bindings.clone(), RelayStyle::Block)?;
    let mut entries = entries(settings, certificate, trusted, &relay.name, &text);
    if text.mta != Mta::Postfix {
        let list = mail_servers::exim_list(map, &bindings)?;
        entries.push(entry(relayca_mta::EXIM_LIST, list, PUBLIC));
        return Ok(entries);
    }
    let access = access_map(map, &bindings)?;
    entries.push(entry("relay_clientcerts", map.to_text(), PUBLIC));
    if let Some(access) = access {
        entries.push(entry("relay_ccert_access", access, PUBLIC));
    }
    Ok(entries)
}

fn entries(
    settings: &Settings,
    certificate: &Certificate,
    trusted: &[Certificate],
    host: &HostName,
    snippet: &HostText,
) -> Vec<Entry> {
    let mut entries = vec![
        entry(&format!("{host}.crt.pem"), certificate.to_pem(), PUBLIC),
        entry(
            &format!("{}-ca.crt.pem", settings.domain),
            trust_text(trusted),
            PUBLIC,
        ),
        entry(
            &format!("{host}.snippet.sh"),
            snippet.script.clone(),
            PUBLIC,
        ),
        entry("INSTALL.txt", install_text(settings, host, snippet), PUBLIC),
    ];
    for (file, piece) in &snippet.pieces {
        entries.push(entry(&format!("{host}.{file}"), piece.clone(), PUBLIC));
    }
    entries
}

/// A file of a bundle.
pub fn entry(name: &str, content: String, mode: u32) -> Entry {
    Entry {
        name: name.to_owned(),
        mode,
        content: Zeroizing::new(content.into_bytes()),
    }
}

fn install_text(settings: &Settings, host: &HostName, snippet: &HostText) -> String {
    let directory = settings.config_directory(host);
    let mta = snippet.mta.name();
    let unpacking = mail_servers::unpacking(settings, host, "age -d BUNDLE | tar -xf -");
    let unpacking = format!("   {}", unpacking.replace('\n', "\n   "));
    // What it is checked with, where that has a name.
    let whose = match snippet.mta {
        Mta::Postfix => "root alone",
        _ => "root; the block says who else",
    };
    let complains = match snippet.mta {
        Mta::Postfix => "`postfix check` complains".to_owned(),
        other => format!("{} complains", other.name()),
    };
    let shown: Vec<String> = snippet
        .pieces
        .iter()
        .map(|(file, _)| format!("{host}.{file}"))
        .collect();
    // A bundle that is unpacked again a year later must not bring back the list of its first day.
    let today = if settings.relay(host).is_some() {
        "\n\n4. The list of who may relay and the block are those of the day this was made. For\n   today's: `relayca map --format paste` and `relayca snippet` where the authority is."
    } else {
        ""
    };
    let install = if shown.is_empty() {
        String::new()
    } else {
        "\nWith relayca here as well, all of it is done by: relayca install BUNDLE --apply\n"
            .to_owned()
    };
    let shown = match shown.as_slice() {
        [] => String::new(),
        files => format!(
            "\nWhat the block writes, with the reasons: {}.\n",
            files.join(", ")
        ),
    };
    format!(
        "\
relayca: the files of {host}

As root on {host}; age, tar and {mta} are all that is needed.
{install}
1. These files belong in {directory}/relayca, for {whose}. From a sealed
   bundle (*.tar.age; age asks for its passphrase, or takes with -i the key that
   it was sealed to):

{unpacking}

   From a public one (*.public.tar) with `tar -xf BUNDLE` for `age -d BUNDLE | tar -xf -`.

2. Tell {mta}. The block checks its files first, may be run twice, and puts the
   old configuration back if {complains}:

   sh {host}.snippet.sh

3. Remove the sealed bundle.{today}

{host}.key.pem, from the sealed bundle, is the private key of this host alone.
{shown}"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn an_old_paste_unbinds_nobody() {
        let place = tempfile::tempdir().unwrap();
        let files = place.path().join("relayca");
        fs::create_dir(&files).unwrap();
        fs::write(place.path().join("postmap"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(
            place.path().join("postmap"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        let bound = "AA relayca_mail2_example_org\n";
        for (there, unbound) in [(8, false), (7, true), (6, true)] {
            fs::write(
                files.join("relay_clientcerts"),
                format!("# As of change {there} of the authority: a list with a lower number is an older one.\nAA mail2.example.org\n"),
            )
            .unwrap();
            fs::write(files.join("relay_ccert_access"), bound).unwrap();
            let script = unbound_access_script(place.path().to_str().unwrap(), Some(7));
            let path = format!(
                "{}:{}",
                place.path().display(),
                std::env::var("PATH").unwrap()
            );
            let said = Command::new("sh")
                .args(["-c", &script])
                .env("PATH", path)
                .output()
                .unwrap();
            assert_eq!(said.status.success(), unbound, "{said:?}");
            let access = fs::read_to_string(files.join("relay_ccert_access")).unwrap();
            assert_eq!(access == bound, !unbound, "{access}");
        }
    }
}
