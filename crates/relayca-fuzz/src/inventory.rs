//! The inventory's gate: what may enter it.
//!
//! Promised: what enters is read back as it was, and no private key does.

use std::cell::RefCell;

use relayca_inventory::{
    CertificateRecord, CrlRecord, Host, Inventory as _, NewEvent, SqliteInventory, State, create,
};

thread_local! {
    static STORE: RefCell<Option<(tempfile::TempDir, SqliteInventory)>> = const { RefCell::new(None) };
}

/// Six lines (host, serial, digest, time, reason, detail), and behind them a certificate or a revocation list.
pub fn inventory(data: &[u8]) -> bool {
    STORE.with_borrow_mut(|store| {
        let (_, inventory) = store.get_or_insert_with(|| {
            let place = tempfile::tempdir().unwrap();
            let inventory = create(&place.path().join("inventory.db")).unwrap();
            (place, inventory)
        });
        enter(inventory, data)
    })
}

fn enter(inventory: &mut SqliteInventory, data: &[u8]) -> bool {
    let mut parts = data.splitn(7, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (host, serial, digest, at, reason, detail) =
        (text(), text(), text(), text(), text(), text());
    let der = parts.next().unwrap_or_default().to_vec();

    let mut entered = false;
    // Never committed, so that every run begins with nothing.
    let mut change = inventory.change().unwrap();
    let new = Host {
        name: host.clone(),
        role: "mailhost".to_owned(),
        added_at: at.clone(),
    };
    if change.add_host(&new).is_ok() {
        assert_eq!(change.host(&host).unwrap(), Some(new));
        assert_clean(&host);
    }
    for (host, role) in [(&host, "mailhost"), (&host, "ca")] {
        let record = CertificateRecord {
            serial: serial.clone(),
            host: host.clone(),
            role: role.to_owned(),
            certificate_der: der.clone(),
            spki_sha256: digest.clone(),
            not_before: at.clone(),
            not_after: at.clone(),
            issued_at: at.clone(),
            state: State::Live,
        };
        if change.add_certificate(&record).is_ok() {
            assert_eq!(change.certificate(&serial).unwrap(), Some(record));
            // PKCS#8, SEC1 and PKCS#1 keys have a number where a certificate has a SEQUENCE.
            let inside = der.get(der.len().min(2)..).unwrap_or_default();
            assert!(der.first() == Some(&0x30) && inside.first() != Some(&0x02));
            entered = true;
            break;
        }
    }
    let event = NewEvent {
        at: at.clone(),
        what: reason.clone(),
        serial: None,
        host: None,
        detail: Some(detail.clone()),
    };
    if change.record(&event).is_ok() {
        let newest = change.events(1).unwrap().remove(0);
        assert_eq!(newest.detail.as_deref(), Some(&*detail));
        assert_eq!((newest.at, newest.what), (at.clone(), reason.clone()));
        assert!(!detail.contains("PRIVATE KEY") && !detail.contains("AGE-SECRET-KEY-"));
    }
    let crl = CrlRecord {
        number: 1,
        authority: serial.clone(),
        this_update: at.clone(),
        next_update: at.clone(),
        crl_der: der,
    };
    if change.add_crl(&crl).is_ok() {
        assert_eq!(change.newest_crl(&serial).unwrap(), Some(crl));
    }
    if change.retire_after(&serial, Some(&at)).is_ok() {
        assert!(
            change
                .retirements()
                .unwrap()
                .iter()
                .any(|plan| plan.after == at)
        );
    }
    if change.revoke(&serial, &at, &reason).is_ok() {
        let kept = change.revocations().unwrap();
        assert!(
            kept.iter()
                .any(|one| one.serial == serial && one.reason == reason)
        );
        assert!(change.revoke(&serial, &at, &reason).is_err());
    }
    assert!(change.publish(&detail, &at).is_err() || change.published(&detail).unwrap());
    entered
}

fn assert_clean(text: &str) {
    crate::assert_printable(text);
    assert!(
        !text.contains("PRIVATE KEY") && !text.contains(' '),
        "{text}"
    );
}
