//! Whether a bundle is of today and of the authority that is known here.
//!
//! In: the bundle, what lies on the host. Out: nothing, or why not. An old bundle that is found again would let in hosts that are
//! revoked, keep out those that came since, and take back a renewal; one of another authority would let in whom that one lists.

use relayca_bundle::Entry;
use relayca_ca::Certificate;
use relayca_postfix::{ACCESS_MAP, CLIENT_MAP, authority_file};
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::changes::found;
use super::place::Place;
use crate::failure::Failure;

/// What the admin takes upon himself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// That the bundle is older.
    pub older: bool,
    /// That its CA is another one.
    pub other_ca: bool,
}

/// Refuses one that is older, or another authority's, unless that is allowed.
pub fn refuse(place: &Place, bundle: &Bundle, allowed: Allowed) -> Result<(), Failure> {
    let trust = authority_file(&bundle.domain);
    let there = text(place, &trust)?.and_then(|text| Certificate::all_from_pem(&text).ok());
    if let Some(there) = there.filter(|there| !there.is_empty()) {
        let known = |one: &Certificate| there.iter().any(|other| other.der() == one.der());
        if !bundle.trust.iter().any(known) {
            if allowed.other_ca {
                // What is older, of two authorities, cannot be told.
                return Ok(());
            }
            return Err(Failure::new(format!(
                "the CA in the bundle is another one than that of {} which is installed here; nothing was changed",
                bundle.domain
            ))
            .hint("is it from your authority? If that was made anew, or a rollover was missed here, --other-ca takes it"));
        }
        if !allowed.older && newest(&there) > newest(&bundle.trust) {
            return Err(older(
                bundle,
                "the CA certificates that are here are newer than those in the bundle".to_owned(),
            ));
        }
    }
    if allowed.older {
        return Ok(());
    }
    let certificate = format!("{}.crt.pem", bundle.host);
    let there = text(place, &certificate)?.and_then(|text| Certificate::from_pem(&text).ok());
    if let (Some(there), Some(new)) = (there, &bundle.certificate)
        && there.not_before() > new.not_before()
    {
        return Err(older(
            bundle,
            format!(
                "the certificate that {} has is newer than the one in the bundle",
                bundle.host
            ),
        ));
    }
    let there = found(&place.files.join(CLIENT_MAP))?.map(|there| progress(&there.content));
    let new = bundle.content(CLIENT_MAP).map(progress);
    match (there.flatten(), new) {
        (Some(u64::MAX), Some(_)) => Err(older(
            bundle,
            "the list of who may relay that is here does not say plainly of which change of the authority it is".to_owned(),
        )),
        (Some(there), Some(new)) if new.is_none_or(|new| new < there) => Err(older(
            bundle,
            format!(
                "the list of who may relay that is here is of change {there} of the authority, and the one in the bundle {}",
                new.map_or_else(|| "older".to_owned(), |new| format!("of change {new}"))
            ),
        )),
        _ => Ok(()),
    }
}

/// Of which change a list is. One of relayca's that does not say counts as later than any, as it does for the block that is pasted.
fn progress(list: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(list);
    let ours = || text.contains("Made by relayca").then_some(u64::MAX);
    relayca_fingerprint::progress(&text).or_else(ours)
}

/// A relay that gets a newer certificate keeps the list that it has where that is later than the bundle's: a key is made once, and the
/// list has gone on since. Gives whether it does.
pub fn keep_later_list(place: &Place, bundle: &mut Bundle) -> Result<bool, Failure> {
    let certificate = format!("{}.crt.pem", bundle.host);
    let there = text(place, &certificate)?.and_then(|text| Certificate::from_pem(&text).ok());
    // Two of one second may be either.
    let newer = match (&there, &bundle.certificate) {
        (Some(there), Some(new)) => {
            new.not_before() >= there.not_before() && new.der() != there.der()
        }
        _ => false,
    };
    let (Some(list), Some(new)) = (
        found(&place.files.join(CLIENT_MAP))?,
        bundle.content(CLIENT_MAP),
    ) else {
        return Ok(false);
    };
    let later =
        progress(&list.content).is_some_and(|there| progress(new).is_none_or(|new| new < there));
    let senders = found(&place.files.join(ACCESS_MAP))?;
    if !newer || !later || bundle.content(ACCESS_MAP).is_some() && senders.is_none() {
        return Ok(false);
    }
    let lists = [(CLIENT_MAP, Some(list)), (ACCESS_MAP, senders)];
    for (name, there) in lists {
        let Some(there) = there else {
            continue;
        };
        bundle.entries.retain(|entry| entry.name != name);
        bundle.entries.push(Entry {
            name: name.to_owned(),
            content: there.content,
            mode: 0o644,
        });
    }
    Ok(true)
}

fn older(bundle: &Bundle, what: String) -> Failure {
    Failure::new(format!("{what}; nothing was changed")).hint(format!(
        "this is an old bundle: where the authority is, `relayca bundle {}` makes one of today; --older takes this one",
        bundle.host
    ))
}

fn newest(all: &[Certificate]) -> Option<OffsetDateTime> {
    all.iter().map(Certificate::not_before).max()
}

fn text(place: &Place, name: &str) -> Result<Option<String>, Failure> {
    let there = found(&place.files.join(name))?;
    Ok(there.and_then(|there| String::from_utf8(there.content.to_vec()).ok()))
}
