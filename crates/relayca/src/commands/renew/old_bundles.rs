//! The sealed bundles of a host that gets a new key.
//!
//! In: what was issued. Out: the old bundles, staged under `bundles/old`. It refuses to know what is in them.

use relayca_ca::Role;
use relayca_inventory::Change;

use crate::disk::{self, Staged};
use crate::failure::Failure;
use crate::home::Home;
use crate::issuing::{self, Delivery, Issued};
use crate::pieces;
use crate::public_bundles;

/// The bundles with the old key are the way back to it: they move aside, under the serial of the last certificate of that key.
pub fn keep(
    home: &Home,
    issued: &Issued,
    change: &dyn Change,
    staged: &Staged,
) -> Result<(), Failure> {
    let host = &issued.host;
    let public = Home::public_bundle(host);
    // It holds a certificate of the old key, which would not fit the new one.
    if issued.delivery != Delivery::Public
        && issued.role == Role::MailHost
        && home.path(&public).exists()
    {
        staged.remove(&public)?;
    }
    let written_anew = [
        issued.delivery != Delivery::Public,
        issued.delivery == Delivery::ByPassphrase,
        false,
    ];
    let now = [
        Home::bundle(host),
        Home::bundle_passphrase(host),
        Home::sealed_bundle(host),
    ];
    if now.iter().all(|path| !home.path(path).exists()) {
        return Ok(());
    }
    let then = |serial: &str| {
        [
            Home::old_bundle(serial),
            Home::old_bundle_passphrase(serial),
            Home::old_sealed_bundle(serial),
        ]
    };
    // Mostly the last one. Where something was kept under that already, nothing of it is overwritten.
    let mut serials = public_bundles::of_host(change, host.as_str())?;
    serials.reverse();
    let kept = serials
        .iter()
        .map(|record| then(&record.serial))
        .find(|then| then.iter().all(|path| !home.path(path).exists()))
        .ok_or_else(|| {
            Failure::new(format!(
                "the bundle of `{host}` with its old key can be kept under none of its serials"
            ))
            .hint(format!(
                "move `{}` to another place",
                home.path(&Home::bundle(host)).display()
            ))
        })?;
    for ((now, then), written_anew) in now.iter().zip(&kept).zip(written_anew) {
        let path = home.path(now);
        if !path.exists() {
            continue;
        }
        let content = disk::read(&path, issuing::LONGEST_BUNDLE)?;
        staged.put(then, &content, pieces::PRIVATE)?;
        if !written_anew {
            staged.remove(now)?;
        }
    }
    Ok(())
}
