//! What holds of every name, serial number and revocation list; openssl judges the lists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use std::collections::BTreeMap;
use std::net::IpAddr;

use judges::{Bench, authority, now};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use relayca_ca::{
    AltName, Domain, HostName, KeyType, NewCrl, Reason, RevocationList, Revoked, Serial,
};
use time::{Duration, OffsetDateTime};

fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9]|[a-z0-9][a-z0-9-]{0,8}[a-z0-9])?"
        // Two hyphens in the third place announce a form of their own (RFC 5891 section 4.2.3.1).
        .prop_filter("reserved", |label| label.get(2..4) != Some("--"))
}

fn name() -> impl Strategy<Value = String> {
    (vec(label(), 1..4), "[a-z]{2,8}")
        .prop_map(|(labels, last)| format!("{}.{last}", labels.join(".")))
}

/// LDH labels in lower case.
fn plain(name: &str) -> bool {
    name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

fn reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(Reason::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_plain_name_is_taken_as_it_is_however_it_is_written(name in name()) {
        for text in [name.clone(), name.to_uppercase(), format!("{name}.")] {
            let host = HostName::parse(&text).unwrap();
            prop_assert_eq!(host.as_str(), &*name);
            prop_assert_eq!(Domain::parse(&text).unwrap().to_string(), &*name);
            prop_assert_eq!(AltName::parse(&text).unwrap(), AltName::Dns(host));
        }
    }

    #[test]
    fn whatever_is_taken_for_a_name_is_plain_and_stays_so(text in "\\PC{0,40}(\\.\\PC{1,20}){0,3}") {
        if let Ok(host) = HostName::parse(&text) {
            prop_assert!(plain(host.as_str()), "{}", host);
            prop_assert_eq!(HostName::parse(host.as_str()).unwrap(), host);
        }
    }

    #[test]
    fn a_domain_holds_what_ends_in_it_and_nothing_else(domain in name(), label in label(), other in name()) {
        let parsed = Domain::parse(&domain).unwrap();
        let below = HostName::in_domain(&label, &parsed).unwrap();
        prop_assert_eq!(below.as_str(), format!("{label}.{domain}"));
        prop_assert!(parsed.contains(&below));
        let glued = HostName::parse(&format!("{label}{domain}"));
        if let Ok(glued) = glued {
            prop_assert!(!parsed.contains(&glued));
        }
        let other_host = HostName::parse(&other).unwrap();
        let expected = other == domain || other.ends_with(&format!(".{domain}"));
        prop_assert_eq!(parsed.contains(&other_host), expected);
    }

    #[test]
    fn an_address_is_read_as_it_is_shown(v4 in any::<u32>(), v6 in any::<u128>()) {
        for address in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
            if let Ok(name) = AltName::parse(&address.to_string()) {
                prop_assert_eq!(AltName::parse(&name.to_string()).unwrap(), name);
            }
        }
    }

    #[test]
    fn a_serial_is_one_number_in_every_way_of_writing(bytes in vec(any::<u8>(), 1..=20)) {
        let serial = Serial::from_bytes(&bytes).unwrap();
        let hex: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
        let colons: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        for text in [hex.clone(), hex.to_lowercase(), format!("0x{hex}"), colons.join(":"), serial.to_string()] {
            prop_assert_eq!(&text.parse::<Serial>().unwrap(), &serial);
        }
        let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len() - 1);
        prop_assert_eq!(serial.as_bytes(), &bytes[start..]);
    }
}

/// A list has what was put in, by our reader and by openssl's.
#[test]
fn openssl_reads_the_entries_that_were_put_into_a_list() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    bench.put("ca.pem", ca.certificate().to_pem());
    let serial = vec(any::<u8>(), 1..=20)
        .prop_map(|bytes| Serial::from_bytes(&bytes).unwrap())
        .prop_filter("0 is no serial number", |serial| !serial.is_zero());
    let entries = btree_map(serial, (0..1_000_000u32, reason()), 0..20);
    let config = ProptestConfig {
        failure_persistence: None,
        cases: 16,
        max_shrink_iters: 50,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let judged = |(number, entries): (u64, BTreeMap<Serial, (u32, Reason)>)| {
        let at = |ago: u32| {
            let then = now() - Duration::minutes(ago.into());
            OffsetDateTime::from_unix_timestamp(then.unix_timestamp()).unwrap()
        };
        let revoked: Vec<Revoked> = entries
            .into_iter()
            .map(|(serial, (ago, reason))| Revoked {
                serial,
                at: at(ago),
                reason,
            })
            .collect();
        let wanted = NewCrl {
            number,
            days: 30,
            revoked: revoked.clone(),
        };
        let list = ca.revocation_list(&wanted, now()).unwrap();
        let by_serial = |all: &[Revoked]| -> BTreeMap<Serial, (OffsetDateTime, Reason)> {
            let entries = all
                .iter()
                .map(|one| (one.serial.clone(), (one.at, one.reason)));
            entries.collect()
        };
        assert_eq!(by_serial(list.revoked()), by_serial(&revoked));
        assert_eq!(RevocationList::from_pem(&list.to_pem()).unwrap(), list);
        assert_eq!(list.number(), number);

        bench.put("list.pem", list.to_pem());
        let said =
            bench.must("openssl crl -in list.pem -verify -CAfile ca.pem -noout -text -crlnumber");
        let number_said = said
            .lines()
            .find_map(|line| line.strip_prefix("crlNumber="));
        let number_said = number_said.unwrap().trim_start_matches("0x");
        assert_eq!(u64::from_str_radix(number_said, 16).unwrap(), number);
        let theirs: Vec<Serial> = said
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Serial Number: "))
            .map(|serial| serial.parse().unwrap())
            .collect();
        let ours: Vec<Serial> = list
            .revoked()
            .iter()
            .map(|one| one.serial.clone())
            .collect();
        assert_eq!(theirs, ours);
        let reasons = said.matches("X509v3 CRL Reason Code").count();
        let given = revoked
            .iter()
            .filter(|one| one.reason != Reason::Unspecified);
        assert_eq!(reasons, given.count());
        Ok(())
    };
    runner.run(&(any::<u64>(), entries), judged).unwrap();
}
