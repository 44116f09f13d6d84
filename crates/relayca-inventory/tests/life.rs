//! What becomes of certificates: phases of CAs, revocations, plans to retire, revocation lists; and that none of it can
//! be taken back behind relayca's back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sample;

use relayca_inventory::{
    AuthorityRecord, CertificateRecord, Change, Inventory as _, InventoryError, Phase, Records,
    Retirement, Revocation, State, open,
};
use sample::{NOW, ask, ca, certificate, crl, event, inventory, serial, sqlite3, with_authorities};

const LATER: &str = "2026-12-05T00:00:00Z";

fn phases(records: &(impl Records + ?Sized)) -> Vec<(String, Phase)> {
    let pair = |AuthorityRecord { serial, phase }| (serial, phase);
    records
        .authorities()
        .unwrap()
        .into_iter()
        .map(pair)
        .collect()
}

#[test]
fn a_rollover_takes_each_ca_forward_and_the_active_one_is_named_first() {
    let (_dir, path, mut inventory) = with_authorities();
    assert_eq!(phases(&inventory), []);
    let mut change = inventory.change().unwrap();
    change.set_phase(&serial(1), Phase::Active).unwrap();
    change.set_phase(&serial(2), Phase::Prepared).unwrap();
    change.commit().unwrap();

    let mut change = inventory.change().unwrap();
    let error = change.set_phase(&serial(2), Phase::Active).unwrap_err();
    assert!(
        matches!(&error, InventoryError::PhaseTaken { phase: Phase::Active, serial: holder } if *holder == serial(1)),
        "{error:?}"
    );
    assert!(error.hint().is_some());
    change.set_phase(&serial(1), Phase::Outgoing).unwrap();
    change.set_phase(&serial(2), Phase::Active).unwrap();
    change.set_phase(&serial(3), Phase::Prepared).unwrap();
    change.set_phase(&serial(4), Phase::Retired).unwrap();
    change.commit().unwrap();
    drop(inventory);
    let expected = [
        (serial(2), Phase::Active),
        (serial(1), Phase::Outgoing),
        (serial(3), Phase::Prepared),
        (serial(4), Phase::Retired),
    ];
    assert_eq!(phases(&open(&path).unwrap()), expected);
    assert_eq!(
        ask(&path, "SELECT phase FROM authorities ORDER BY phase"),
        "active\noutgoing\nprepared\nretired"
    );
}

#[test]
fn a_phase_only_goes_forward_and_again_is_no_error() {
    let order = [
        Phase::Prepared,
        Phase::Active,
        Phase::Outgoing,
        Phase::Retired,
    ];
    for from in order {
        for to in order {
            let (_dir, path, mut inventory) = with_authorities();
            let mut change = inventory.change().unwrap();
            change.set_phase(&serial(1), from).unwrap();
            let done = change.set_phase(&serial(1), to);
            change.commit().unwrap();
            let allowed = [
                (Phase::Prepared, Phase::Active),
                (Phase::Prepared, Phase::Retired),
                (Phase::Active, Phase::Outgoing),
                (Phase::Outgoing, Phase::Retired),
            ]
            .contains(&(from, to))
                || from == to;
            assert_eq!(done.is_ok(), allowed, "{from} to {to}");
            assert_eq!(phases(&inventory)[0].1, if allowed { to } else { from });
            if let Err(error) = done {
                assert!(matches!(error, InventoryError::PhaseBackwards { .. }));
                assert!(error.to_string().contains(from.as_str()) && error.hint().is_some());
                // Nor by hand.
                let sql = format!("UPDATE OR REPLACE authorities SET phase = '{to}'");
                assert!(!sqlite3(&path, &sql).status.success(), "{from} to {to}");
            }
            assert_eq!(from.as_str().parse::<Phase>().unwrap(), from);
        }
    }
}

#[test]
fn only_ca_certificates_have_phases_and_sign_revocation_lists() {
    let (_dir, _, mut inventory) = with_authorities();
    let mut change = inventory.change().unwrap();
    let (leaf, nobody) = (serial(10), serial(99));
    let errors = |serial: &str, change: &mut dyn Change| {
        [
            change.set_phase(serial, Phase::Active).unwrap_err(),
            change.add_crl(&crl(1, serial)).unwrap_err(),
        ]
    };
    for error in errors(&leaf, &mut *change) {
        assert!(
            matches!(error, InventoryError::NotAnAuthority { .. }),
            "{error:?}"
        );
    }
    for error in errors(&nobody, &mut *change) {
        assert!(
            matches!(error, InventoryError::UnknownSerial { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn a_certificate_is_revoked_once_and_time_and_reason_stay() {
    let (_dir, path, mut inventory) = with_authorities();
    let mut change = inventory.change().unwrap();
    change.set_state(&serial(11), State::Retired).unwrap();
    change
        .revoke(&serial(11), LATER, "cessationOfOperation")
        .unwrap();
    change.revoke(&serial(10), NOW, "keyCompromise").unwrap();
    let error = change.revoke(&serial(10), LATER, "superseded").unwrap_err();
    assert!(
        matches!(&error, InventoryError::AlreadyRevoked { at, .. } if at == NOW),
        "{error:?}"
    );
    assert!(error.hint().is_some());
    // The old way to say the same changes nothing either.
    change.set_state(&serial(10), State::Revoked).unwrap();
    assert!(matches!(
        change.set_state(&serial(10), State::Live),
        Err(InventoryError::RevokedForGood { .. })
    ));
    change.commit().unwrap();

    let revocation = |number, at: &str, reason: &str| Revocation {
        serial: serial(number),
        at: at.to_owned(),
        reason: reason.to_owned(),
    };
    assert_eq!(
        inventory.revocations().unwrap(),
        [
            revocation(10, NOW, "keyCompromise"),
            revocation(11, LATER, "cessationOfOperation"),
        ]
    );
    for number in [10, 11] {
        let record = inventory.certificate(&serial(number)).unwrap().unwrap();
        assert_eq!(record.state, State::Revoked);
    }
    assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
    assert_eq!(
        ask(
            &path,
            "SELECT count(*) FROM certificates WHERE state = 'revoked'"
        ),
        "2"
    );
}

#[test]
fn a_revocation_needs_a_certificate_a_time_and_a_reason_of_the_rfc() {
    let (_dir, path, mut inventory) = with_authorities();
    let before = ask(&path, ".dump");
    let mut change = inventory.change().unwrap();
    assert!(matches!(
        change.revoke(&serial(99), NOW, "unspecified"),
        Err(InventoryError::UnknownSerial { .. })
    ));
    for (at, reason) in [
        ("yesterday", "unspecified"),
        (NOW, ""),
        (NOW, "key-compromise"),
        (NOW, "KeyCompromise"),
        (NOW, "certificateHold"),
        (NOW, "removeFromCRL"),
    ] {
        let error = change.revoke(&serial(10), at, reason).unwrap_err();
        assert!(
            matches!(error, InventoryError::Invalid { .. }),
            "{at} {reason}"
        );
    }
    change.commit().unwrap();
    assert_eq!(ask(&path, ".dump"), before);
}

#[test]
fn a_state_set_by_hand_leaves_a_revocation_and_a_revocation_by_hand_sets_the_state() {
    let (_dir, path, mut inventory) = with_authorities();
    let (by_state, by_row) = (serial(10), serial(11));
    ask(
        &path,
        &format!("UPDATE certificates SET state = 'revoked' WHERE serial = '{by_state}'"),
    );
    ask(
        &path,
        &format!("INSERT INTO revocations VALUES ('{by_row}', '{NOW}', 'superseded')"),
    );
    let mut change = inventory.change().unwrap();
    let entered = CertificateRecord {
        state: State::Revoked,
        ..certificate(12, "a.example.org")
    };
    change.add_certificate(&entered).unwrap();
    change
        .add_certificate(&certificate(13, "a.example.org"))
        .unwrap();
    change.set_state(&serial(13), State::Revoked).unwrap();
    change.commit().unwrap();

    let told = inventory.revocations().unwrap();
    let find = |serial: &str| told.iter().find(|told| told.serial == serial).unwrap();
    assert_eq!(told.len(), 4);
    assert_eq!(find(&by_row).reason, "superseded");
    assert_eq!(
        (
            find(&serial(12)).at.as_str(),
            find(&serial(12)).reason.as_str()
        ),
        (entered.issued_at.as_str(), "unspecified")
    );
    // By the clock of the machine, in the one form of a time.
    let year = ask(&path, "SELECT strftime('%Y-', 'now')");
    for serial in [&by_state, &serial(13)] {
        assert!(find(serial).at.starts_with(&year) && find(serial).at.len() == NOW.len());
    }
    for told in &told {
        let record = inventory.certificate(&told.serial).unwrap().unwrap();
        assert_eq!(record.state, State::Revoked);
    }
    assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
    assert_eq!(ask(&path, "PRAGMA foreign_key_check"), "");
}

#[test]
fn a_retirement_is_planned_replaced_and_taken_back_while_the_certificate_is_live() {
    let (_dir, path, mut inventory) = with_authorities();
    let plans = |records: &dyn Records| {
        let pair = |Retirement { serial, after }| (serial, after);
        records
            .retirements()
            .unwrap()
            .into_iter()
            .map(pair)
            .collect::<Vec<_>>()
    };
    let mut change = inventory.change().unwrap();
    change.retire_after(&serial(10), None).unwrap();
    change.retire_after(&serial(10), Some(NOW)).unwrap();
    change.retire_after(&serial(11), Some(NOW)).unwrap();
    change.retire_after(&serial(10), Some(LATER)).unwrap();
    assert_eq!(
        plans(&*change),
        [(serial(11), NOW.to_owned()), (serial(10), LATER.to_owned())]
    );
    change.retire_after(&serial(11), None).unwrap();
    assert_eq!(plans(&*change), [(serial(10), LATER.to_owned())]);
    assert!(matches!(
        change.retire_after(&serial(10), Some("in a fortnight")),
        Err(InventoryError::Invalid { .. })
    ));
    assert!(matches!(
        change.retire_after(&serial(99), None),
        Err(InventoryError::UnknownSerial { .. })
    ));
    change.set_state(&serial(10), State::Retired).unwrap();
    assert_eq!(plans(&*change), []);
    for after in [Some(NOW), None] {
        let error = change.retire_after(&serial(10), after).unwrap_err();
        assert!(
            matches!(
                error,
                InventoryError::NotLive {
                    state: State::Retired,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.hint().is_some());
    }
    change.commit().unwrap();
    assert_eq!(
        ask(&path, "SELECT due FROM retirements"),
        LATER,
        "what was planned stays as history"
    );
}

#[test]
fn numbers_of_revocation_lists_rise_whichever_ca_signs() {
    let (_dir, path, mut inventory) = with_authorities();
    assert_eq!(inventory.next_crl_number().unwrap(), 1);
    let mut change = inventory.change().unwrap();
    for (number, authority) in [(1, 1), (2, 2), (7, 1)] {
        change.add_crl(&crl(number, &serial(authority))).unwrap();
    }
    for number in [0, 1, 3, 7] {
        let error = change.add_crl(&crl(number, &serial(2))).unwrap_err();
        assert!(
            matches!(error, InventoryError::CrlNumberTaken { number: taken } if taken == number),
            "{error:?}"
        );
        assert!(error.hint().is_some());
    }
    assert_eq!(change.next_crl_number().unwrap(), 8);
    change.commit().unwrap();
    let newest = |number| inventory.newest_crl(&serial(number)).unwrap();
    assert_eq!(newest(1), Some(crl(7, &serial(1))));
    assert_eq!(newest(2), Some(crl(2, &serial(2))));
    assert_eq!(newest(3), None);
    assert_eq!(ask(&path, "SELECT max(number) FROM crls"), "7");
}

#[test]
fn the_last_number_that_sqlite_can_hold_is_the_last() {
    let (_dir, _, mut inventory) = with_authorities();
    let mut change = inventory.change().unwrap();
    let last = i64::MAX.unsigned_abs();
    assert!(matches!(
        change.add_crl(&crl(last + 1, &serial(1))),
        Err(InventoryError::Invalid { .. })
    ));
    change.add_crl(&crl(last, &serial(1))).unwrap();
    assert_eq!(change.newest_crl(&serial(1)).unwrap().unwrap().number, last);
    assert!(
        change
            .next_crl_number()
            .unwrap_err()
            .to_string()
            .contains("used up")
    );
}

#[test]
fn a_change_that_is_dropped_changed_no_phase_and_revoked_nothing() {
    let (_dir, path, mut inventory) = with_authorities();
    let before = ask(&path, ".dump");
    let mut change = inventory.change().unwrap();
    change.set_phase(&serial(1), Phase::Active).unwrap();
    change.revoke(&serial(10), NOW, "superseded").unwrap();
    change.retire_after(&serial(11), Some(NOW)).unwrap();
    change.add_crl(&crl(1, &serial(1))).unwrap();
    drop(change);
    assert_eq!(ask(&path, ".dump"), before);
    inventory.change().unwrap().commit().unwrap();
}

#[test]
fn the_sqlite3_command_cannot_rewrite_what_became_of_them() {
    let (_dir, path, mut inventory) = inventory();
    let mut change = inventory.change().unwrap();
    for number in 1..=5 {
        change.add_certificate(&ca(number)).unwrap();
    }
    for number in 10..=13 {
        change
            .add_certificate(&certificate(number, "a.example.org"))
            .unwrap();
    }
    for (number, phase) in [
        (1, Phase::Retired),
        (2, Phase::Outgoing),
        (3, Phase::Active),
        (4, Phase::Prepared),
    ] {
        change.set_phase(&serial(number), phase).unwrap();
    }
    change.revoke(&serial(10), NOW, "keyCompromise").unwrap();
    for number in [11, 12] {
        change.retire_after(&serial(number), Some(NOW)).unwrap();
    }
    change.set_state(&serial(11), State::Retired).unwrap();
    change.add_crl(&crl(3, &serial(3))).unwrap();
    change.record(&event("revoke", Some(serial(10)))).unwrap();
    change.commit().unwrap();
    drop(inventory);

    let before = ask(&path, ".dump");
    let [retired, outgoing, active, prepared, new] = [1, 2, 3, 4, 5].map(serial);
    let [revoked, gone, planned, live] = [10, 11, 12, 13].map(serial);
    let crl = "number, authority, this_update, next_update, crl_der";
    for sql in [
        "DELETE FROM revocations".to_owned(),
        "UPDATE revocations SET reason = 'unspecified'".to_owned(),
        format!("UPDATE revocations SET serial = '{live}'"),
        format!("INSERT OR REPLACE INTO revocations VALUES ('{revoked}', '{LATER}', 'unspecified')"),
        format!("INSERT INTO revocations VALUES ('{revoked}', '{LATER}', 'unspecified') ON CONFLICT DO UPDATE SET at = excluded.at"),
        format!("INSERT INTO revocations VALUES ('{live}', '{LATER}', 'certificateHold')"),
        format!("INSERT INTO revocations VALUES ('{live}', 'today', 'unspecified')"),
        format!("INSERT INTO revocations VALUES ('{}', '{NOW}', 'unspecified')", serial(99)),
        format!("UPDATE certificates SET state = 'live' WHERE serial = '{revoked}'"),
        "DELETE FROM authorities".to_owned(),
        format!("DELETE FROM authorities WHERE serial = '{prepared}'"),
        format!("UPDATE authorities SET phase = 'active' WHERE serial = '{outgoing}'"),
        format!("UPDATE authorities SET phase = 'outgoing' WHERE serial = '{retired}'"),
        format!("UPDATE OR REPLACE authorities SET phase = 'active' WHERE serial = '{prepared}'"),
        format!("UPDATE OR IGNORE authorities SET phase = 'active' WHERE serial = '{prepared}'"),
        format!("UPDATE authorities SET serial = '{new}' WHERE serial = '{prepared}'"),
        format!("UPDATE authorities SET phase = 'lost' WHERE serial = '{prepared}'"),
        format!("INSERT INTO authorities VALUES ('{new}', 'active')"),
        format!("INSERT OR REPLACE INTO authorities VALUES ('{new}', 'active')"),
        format!("INSERT OR REPLACE INTO authorities VALUES ('{active}', 'active')"),
        format!("INSERT OR REPLACE INTO authorities VALUES ('{active}', 'retired')"),
        format!("INSERT INTO authorities VALUES ('{live}', 'retired')"),
        format!("INSERT INTO authorities VALUES ('{}', 'retired')", serial(99)),
        "DELETE FROM crls".to_owned(),
        "UPDATE crls SET number = 9".to_owned(),
        "UPDATE crls SET crl_der = x'30' || zeroblob(64)".to_owned(),
        format!("INSERT OR REPLACE INTO crls SELECT {crl} FROM crls"),
        "INSERT INTO crls SELECT 2, authority, this_update, next_update, crl_der FROM crls".to_owned(),
        "INSERT INTO crls SELECT 4, authority, next_update, this_update, crl_der FROM crls".to_owned(),
        format!("INSERT INTO crls SELECT 4, '{live}', this_update, next_update, crl_der FROM crls"),
        "INSERT INTO crls SELECT 4, authority, this_update, next_update, '-----BEGIN PRIVATE KEY-----' || hex(zeroblob(64)) FROM crls".to_owned(),
        format!("DELETE FROM retirements WHERE serial = '{gone}'"),
        format!("UPDATE retirements SET due = '{LATER}' WHERE serial = '{gone}'"),
        format!("INSERT OR REPLACE INTO retirements VALUES ('{gone}', '{LATER}')"),
        format!("INSERT INTO retirements VALUES ('{revoked}', '{LATER}')"),
        format!("UPDATE retirements SET serial = '{live}' WHERE serial = '{planned}'"),
        format!("UPDATE retirements SET due = 'soon' WHERE serial = '{planned}'"),
        "DELETE FROM retirements".to_owned(),
    ] {
        let output = sqlite3(&path, &sql);
        assert!(!output.status.success(), "accepted: {sql}");
        assert_eq!(ask(&path, ".dump"), before, "{sql}");
    }
    // What may change by hand: a plan, and a step forward.
    ask(
        &path,
        &format!("UPDATE retirements SET due = '{LATER}' WHERE serial = '{planned}'"),
    );
    ask(
        &path,
        &format!("DELETE FROM retirements WHERE serial = '{planned}'"),
    );
    ask(
        &path,
        &format!("UPDATE authorities SET phase = 'retired' WHERE serial = '{outgoing}'"),
    );
    assert_eq!(ask(&path, "PRAGMA integrity_check"), "ok");
    assert_eq!(open(&path).unwrap().damage().unwrap(), Vec::<String>::new());
}

#[test]
fn the_indexes_allow_one_of_each_phase_even_without_the_triggers() {
    let (_dir, path, mut inventory) = with_authorities();
    let mut change = inventory.change().unwrap();
    change.set_phase(&serial(1), Phase::Active).unwrap();
    change.set_phase(&serial(2), Phase::Prepared).unwrap();
    change.set_phase(&serial(3), Phase::Outgoing).unwrap();
    change.commit().unwrap();
    for phase in ["prepared", "active", "outgoing"] {
        let sql = format!(
            "DROP TRIGGER authorities_one_each; INSERT INTO authorities VALUES ('{}', '{phase}')",
            serial(4)
        );
        let output = sqlite3(&path, &format!("BEGIN; {sql}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("UNIQUE constraint failed"), "{said}");
    }
}

#[test]
fn a_revocation_that_was_taken_out_all_the_same_is_found() {
    let (_dir, path, mut inventory) = with_authorities();
    let mut change = inventory.change().unwrap();
    change.revoke(&serial(10), NOW, "superseded").unwrap();
    change.commit().unwrap();
    let guard = ask(
        &path,
        "SELECT sql FROM sqlite_master WHERE name = 'revocations_stay'",
    );
    ask(
        &path,
        &format!("DROP TRIGGER revocations_stay; DELETE FROM revocations; {guard}"),
    );
    let found = open(&path).unwrap().damage().unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("revoked"), "{found:?}");
}
