//! What goes in stays in, comes out in order, and cannot be taken back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sample;

use relayca_inventory::{
    CertificateRecord, Filter, Inventory as _, InventoryError, NewEvent, Records as _, State, open,
};
use sample::{NOW, ask, certificate, event, host, inventory, serial, sqlite3};

#[test]
fn what_was_committed_is_there_for_the_next_process() {
    let (_dir, path, mut inventory) = inventory();
    let record = certificate(1, "a.example.org");
    let mut change = inventory.change().unwrap();
    change.add_certificate(&record).unwrap();
    change
        .record(&NewEvent {
            host: Some("a.example.org".to_owned()),
            detail: Some("by hand".to_owned()),
            ..event("issue", Some(record.serial.clone()))
        })
        .unwrap();
    change.publish("7c1f", NOW).unwrap();
    assert_eq!(
        change.certificate(&record.serial).unwrap().as_ref(),
        Some(&record),
        "a change sees what it did"
    );
    assert!(change.published("7c1f").unwrap());
    change.commit().unwrap();
    drop(inventory);

    let inventory = open(&path).unwrap();
    assert_eq!(inventory.certificate(&record.serial).unwrap(), Some(record));
    assert_eq!(
        inventory.host("a.example.org").unwrap(),
        Some(host("a.example.org"))
    );
    assert_eq!(inventory.host("z.example.org").unwrap(), None);
    assert_eq!(inventory.hosts().unwrap().len(), 3);
    assert!(inventory.published("7c1f").unwrap());
    assert!(!inventory.published("7c1e").unwrap());
    let events = inventory.events(10).unwrap();
    assert_eq!(
        (
            events.len(),
            events[0].what.as_str(),
            events[0].detail.as_deref()
        ),
        (1, "issue", Some("by hand"))
    );
    assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
}

#[test]
fn a_change_that_is_dropped_never_was() {
    let (_dir, path, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    change.publish("id", NOW).unwrap();
    drop(change);
    assert_eq!(inventory.certificates(&Filter::default()).unwrap(), []);
    assert!(!inventory.published("id").unwrap());
    assert_eq!(ask(&path, "SELECT count(*) FROM certificates"), "0");
}

#[test]
fn certificates_come_by_host_then_expiry_then_serial_and_every_condition_counts() {
    let (_dir, _, mut inventory) = inventory();
    let base = certificate(1, "a.example.org");
    let all = [
        CertificateRecord {
            serial: "09".into(),
            host: "b.example.org".into(),
            ..base.clone()
        },
        CertificateRecord {
            serial: "02".into(),
            not_after: "2029-01-01T00:00:00Z".into(),
            ..base.clone()
        },
        CertificateRecord {
            serial: "08".into(),
            state: State::Revoked,
            ..base.clone()
        },
        CertificateRecord {
            serial: "03".into(),
            ..base.clone()
        },
        CertificateRecord {
            serial: "01".into(),
            host: "example.org".into(),
            role: "ca".into(),
            ..base.clone()
        },
    ];
    let mut change = inventory.change().unwrap();
    for record in &all {
        change.add_certificate(record).unwrap();
    }
    let serials = |change: &dyn relayca_inventory::Records, filter: Filter| {
        change
            .certificates(&filter)
            .unwrap()
            .into_iter()
            .map(|record| record.serial)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let any = Filter::default;
    assert_eq!(serials(&*change, any()), "03 08 02 09 01");
    assert_eq!(
        serials(
            &*change,
            Filter {
                host: Some("a.example.org".into()),
                ..any()
            }
        ),
        "03 08 02"
    );
    assert_eq!(
        serials(
            &*change,
            Filter {
                role: Some("ca".into()),
                ..any()
            }
        ),
        "01"
    );
    assert_eq!(
        serials(
            &*change,
            Filter {
                state: Some(State::Revoked),
                ..any()
            }
        ),
        "08"
    );
    // First and last second count, the ones beside them do not.
    for (at, expected) in [
        ("2026-11-21T01:59:59Z", ""),
        ("2026-11-21T02:00:00Z", "03 08 02 09 01"),
        ("2028-11-20T03:00:00Z", "03 08 02 09 01"),
        ("2028-11-20T03:00:01Z", "02"),
        ("2029-01-01T00:00:01Z", ""),
    ] {
        assert_eq!(
            serials(
                &*change,
                Filter {
                    valid_at: Some(at.into()),
                    ..any()
                }
            ),
            expected,
            "{at}"
        );
    }
    for (at, expected) in [
        ("2000-01-01T00:00:00Z", "03 08 02 09 01"),
        ("2028-11-20T03:00:01Z", "02"),
        ("2029-01-01T00:00:01Z", ""),
    ] {
        let filter = Filter {
            unexpired_at: Some(at.into()),
            ..any()
        };
        assert_eq!(serials(&*change, filter), expected, "{at}");
    }
    let narrow = Filter {
        host: Some("a.example.org".into()),
        role: Some("mailhost".into()),
        state: Some(State::Live),
        valid_at: Some(NOW.into()),
        ..any()
    };
    assert_eq!(serials(&*change, narrow), "03 02");
    assert!(
        change
            .certificates(&Filter {
                valid_at: Some("tomorrow".into()),
                ..any()
            })
            .is_err()
    );
}

#[test]
fn a_serial_a_host_and_an_id_are_taken_once() {
    let (_dir, _, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    let again = CertificateRecord {
        host: "b.example.org".into(),
        ..certificate(1, "a.example.org")
    };
    let error = change.add_certificate(&again).unwrap_err();
    assert!(
        matches!(&error, InventoryError::SerialTaken { serial: taken } if *taken == serial(1)),
        "{error}"
    );
    assert!(matches!(
        change.add_host(&host("a.example.org")),
        Err(InventoryError::HostTaken { .. })
    ));
    change.publish("id", NOW).unwrap();
    assert!(matches!(
        change.publish("id", NOW),
        Err(InventoryError::Invalid { .. })
    ));
    // A refusal does not spoil what came before.
    change.commit().unwrap();
    assert_eq!(
        inventory.certificate(&serial(1)).unwrap().unwrap().host,
        "a.example.org"
    );
}

#[test]
fn a_leaf_needs_its_host_a_ca_does_not_and_an_event_needs_its_certificate() {
    let (_dir, _, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    let error = change
        .add_certificate(&certificate(1, "z.example.org"))
        .unwrap_err();
    assert!(
        matches!(&error, InventoryError::UnknownHost { name } if name == "z.example.org"),
        "{error}"
    );
    let ca = CertificateRecord {
        role: "ca".into(),
        ..certificate(2, "example.org")
    };
    // The event may come first.
    change
        .record(&event("init", Some(ca.serial.clone())))
        .unwrap();
    change.add_certificate(&ca).unwrap();
    change.commit().unwrap();

    let mut change = inventory.change().unwrap();
    change.record(&event("issue", Some(serial(77)))).unwrap();
    assert!(matches!(
        change.commit(),
        Err(InventoryError::EventWithoutCertificate)
    ));
    assert_eq!(inventory.events(10).unwrap().len(), 1);
    inventory.change().unwrap().commit().unwrap();
}

#[test]
fn a_state_changes_but_revoked_is_final() {
    let (_dir, _, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&certificate(1, "a.example.org"))
        .unwrap();
    for state in [
        State::Retired,
        State::Live,
        State::Retired,
        State::Revoked,
        State::Revoked,
    ] {
        change.set_state(&serial(1), state).unwrap();
        assert_eq!(
            change.certificate(&serial(1)).unwrap().unwrap().state,
            state
        );
    }
    let error = change.set_state(&serial(1), State::Live).unwrap_err();
    assert!(
        matches!(error, InventoryError::RevokedForGood { .. }),
        "{error}"
    );
    assert!(matches!(
        change.set_state(&serial(2), State::Live),
        Err(InventoryError::UnknownSerial { .. })
    ));
}

#[test]
fn events_come_newest_first_and_no_more_than_asked_for() {
    let (_dir, _, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    for what in ["first", "second", "third"] {
        change.record(&event(what, None)).unwrap();
    }
    change.commit().unwrap();
    let told = |limit| {
        inventory
            .events(limit)
            .unwrap()
            .into_iter()
            .map(|event| event.what)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(2), ["third", "second"]);
    assert_eq!(told(usize::MAX).len(), 3);
    assert_eq!(told(0), Vec::<String>::new());
}

#[test]
fn the_sqlite3_command_cannot_rewrite_history() {
    let (_dir, path, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    for number in [1, 2] {
        change
            .add_certificate(&certificate(number, "a.example.org"))
            .unwrap();
        change
            .record(&event("issue", Some(serial(number))))
            .unwrap();
    }
    change.set_state(&serial(2), State::Revoked).unwrap();
    change.publish("id", NOW).unwrap();
    change.commit().unwrap();
    drop(inventory);

    let before = ask(&path, ".dump");
    let (live, revoked) = (serial(1), serial(2));
    let columns =
        "serial, host, role, certificate_der, spki_sha256, not_before, not_after, issued_at, state";
    let others =
        "host, role, certificate_der, spki_sha256, not_before, not_after, issued_at, 'live'";
    for sql in [
        "UPDATE events SET what = 'nothing'".to_owned(),
        "UPDATE OR REPLACE events SET id = 2 WHERE id = 1".to_owned(),
        "DELETE FROM events".to_owned(),
        format!("INSERT OR REPLACE INTO events (id, at, what) VALUES (1, '{NOW}', 'nothing')"),
        format!("DELETE FROM certificates WHERE serial = '{live}'"),
        format!("UPDATE certificates SET serial = 'ff' WHERE serial = '{live}'"),
        format!("UPDATE certificates SET host = 'b.example.org' WHERE serial = '{live}'"),
        format!("UPDATE certificates SET certificate_der = x'30' WHERE serial = '{live}'"),
        format!(
            "UPDATE certificates SET not_after = '2099-01-01T00:00:00Z' WHERE serial = '{live}'"
        ),
        format!("UPDATE certificates SET state = 'live' WHERE serial = '{revoked}'"),
        format!("UPDATE certificates SET state = 'forgotten' WHERE serial = '{live}'"),
        format!("UPDATE OR REPLACE certificates SET rowid = 2 WHERE serial = '{live}'"),
        format!(
            "INSERT OR REPLACE INTO certificates ({columns}) SELECT serial, {others} FROM certificates WHERE serial = '{revoked}'"
        ),
        format!(
            "INSERT OR REPLACE INTO certificates (rowid, {columns}) SELECT 2, 'ff', {others} FROM certificates WHERE rowid = 1"
        ),
        "DELETE FROM hosts".to_owned(),
        "UPDATE hosts SET role = 'relay'".to_owned(),
        format!("REPLACE INTO hosts VALUES ('a.example.org', 'relay', '{NOW}')"),
        "DELETE FROM published".to_owned(),
        "UPDATE published SET id = 'other'".to_owned(),
        format!(
            "INSERT INTO certificates ({columns}) SELECT 'ff', host, role, '-----BEGIN PRIVATE KEY-----' || hex(zeroblob(64)), spki_sha256, not_before, not_after, issued_at, state FROM certificates WHERE rowid = 1"
        ),
        format!(
            "INSERT INTO events (at, what, detail) VALUES ('{NOW}', 'x', '-----BEGIN PRIVATE KEY-----')"
        ),
    ] {
        let output = sqlite3(&path, &sql);
        assert!(!output.status.success(), "accepted: {sql}");
        assert_eq!(ask(&path, ".dump"), before, "{sql}");
    }
    // The one thing that may change.
    ask(
        &path,
        &format!("UPDATE certificates SET state = 'retired' WHERE serial = '{live}'"),
    );
    assert_eq!(
        open(&path)
            .unwrap()
            .certificate(&live)
            .unwrap()
            .unwrap()
            .state,
        State::Retired
    );
}
