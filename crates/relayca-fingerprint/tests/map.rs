//! What a map is made of, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use relayca_fingerprint::{
    Digest, EntryKind, FingerprintMap, Listed, MapError, Pin, fingerprint, parse_text,
};

const EXPIRY: &str = "2028-11-21T03:00:00Z";

fn listed<'a>(host: &'a str, serial: &'a str, certificate: &'a [u8], spki: &'a [u8]) -> Listed<'a> {
    Listed {
        host,
        serial,
        not_after: EXPIRY,
        certificate_der: certificate,
        spki_der: spki,
    }
}

fn map<'a>(
    pin: Pin,
    all: impl IntoIterator<Item = Listed<'a>>,
) -> Result<FingerprintMap, MapError> {
    FingerprintMap::new(Digest::Sha256, pin, all)
}

#[test]
fn the_text_of_a_map_is_this() {
    let map = FingerprintMap::new(
        Digest::Md5,
        Pin::Both,
        [
            listed("b.example.org", "02", b"B", b"b"),
            listed("a.example.org", "01", b"A", b"a"),
        ],
    )
    .unwrap();
    // echo -n a | md5sum, and so on
    assert_eq!(
        map.to_text(),
        "\
# Who may relay, by md5 of the public key and certificate. Made by relayca.
# Needs smtpd_tls_fingerprint_digest = md5. After an edit run postmap on this file.
# serial 01, expires 2028-11-21T03:00:00Z, public key
0C:C1:75:B9:C0:F1:B6:A8:31:C3:99:E2:69:77:26:61 a.example.org
# serial 01, expires 2028-11-21T03:00:00Z, certificate
7F:C5:62:70:E7:A7:0F:A8:1A:59:35:B7:2E:AC:BE:29 a.example.org
# serial 02, expires 2028-11-21T03:00:00Z, public key
92:EB:5F:FE:E6:AE:2F:EC:3A:D7:1C:77:75:31:57:8F b.example.org
# serial 02, expires 2028-11-21T03:00:00Z, certificate
9D:5E:D6:78:FE:57:BC:CA:61:01:40:95:7A:FA:B5:71 b.example.org
"
    );
    let mut read = parse_text(&map.to_text()).unwrap();
    let mut made: Vec<_> = map
        .entries()
        .iter()
        .map(|entry| (entry.fingerprint.to_string(), entry.host.clone()))
        .collect();
    read.sort();
    made.sort();
    assert_eq!(read, made);
}

#[test]
fn the_order_they_come_in_does_not_matter() {
    let all = [
        listed("b.example.org", "02", b"B2", b"b"),
        listed("b.example.org", "03", b"B3", b"b"),
        listed("a.example.org", "09", b"A9", b"a9"),
        listed("a.example.org", "01", b"A1", b"a1"),
    ];
    for pin in Pin::ALL {
        let forth = map(pin, all).unwrap();
        let back = map(pin, all.into_iter().rev()).unwrap();
        assert_eq!(forth, back);
        let keys: Vec<_> = forth
            .entries()
            .iter()
            .map(|entry| (&entry.host, &entry.serial, entry.kind))
            .collect();
        assert!(keys.is_sorted());
    }
}

#[test]
fn a_renewal_that_keeps_the_key_gives_one_line_with_the_later_expiry() {
    let old = listed("a.example.org", "0f", b"old", b"key");
    let new = Listed {
        not_after: "2030-11-21T03:00:00Z",
        ..listed("a.example.org", "0a", b"new", b"key")
    };
    for all in [[old, new], [new, old]] {
        let map = map(Pin::Pubkey, all).unwrap();
        let [entry] = map.entries() else {
            panic!("{:?}", map.entries())
        };
        assert_eq!(
            (entry.serial.as_str(), entry.not_after.as_str()),
            ("0a", "2030-11-21T03:00:00Z")
        );
    }
    // The certificates differ, and so do their lines.
    assert_eq!(map(Pin::Cert, [old, new]).unwrap().entries().len(), 2);
    assert_eq!(map(Pin::Both, [old, new]).unwrap().entries().len(), 3);
}

#[test]
fn a_rollover_lists_both_keys_of_a_host() {
    let all = [
        listed("a.example.org", "01", b"old", b"old key"),
        listed("a.example.org", "02", b"new", b"new key"),
    ];
    assert_eq!(map(Pin::Pubkey, all).unwrap().entries().len(), 2);
}

#[test]
fn the_same_certificate_listed_twice_counts_once() {
    let one = listed("a.example.org", "01", b"A", b"a");
    assert_eq!(map(Pin::Both, [one, one]).unwrap().entries().len(), 2);
}

#[test]
fn two_hosts_with_one_key_are_refused_by_name_whatever_is_pinned() {
    let all = [
        listed("b.example.org", "02", b"B", b"key"),
        listed("a.example.org", "01", b"A", b"key"),
    ];
    for pin in Pin::ALL {
        for error in [
            map(pin, all).unwrap_err(),
            map(pin, all.into_iter().rev()).unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "hosts `a.example.org` and `b.example.org` have the same key"
            );
            assert!(error.hint().is_some());
        }
    }
}

#[test]
fn nothing_that_means_something_to_postfix_gets_in_through_a_name_a_serial_or_a_date() {
    for bad in [
        "",
        " ",
        "a b",
        "a\tb",
        "a\nb",
        "a\rb",
        "a\u{2028}b",
        "#a",
        "a#b",
        "a}b",
        "{",
        "a,b",
        "a=b",
        "$a",
        "a\"b",
        "a'b",
        "a\\b",
        "a;b",
        "a\0b",
        "ä.example.org",
        "a/b",
        "a`b",
        "a\u{a0}b",
    ] {
        assert!(
            matches!(
                map(Pin::Both, [listed(bad, "01", b"A", b"a")]),
                Err(MapError::Host { .. })
            ),
            "{bad:?}"
        );
        let serial = map(Pin::Both, [listed("a", bad, b"A", b"a")]);
        assert!(
            matches!(
                serial,
                Err(MapError::Comment {
                    field: "the serial",
                    ..
                })
            ),
            "{bad:?}"
        );
        let date = map(
            Pin::Both,
            [Listed {
                not_after: bad,
                ..listed("a", "01", b"A", b"a")
            }],
        );
        assert!(
            matches!(
                date,
                Err(MapError::Comment {
                    field: "the expiry",
                    ..
                })
            ),
            "{bad:?}"
        );
    }
    let long = "a".repeat(254);
    assert!(map(Pin::Both, [listed(&long, "01", b"A", b"a")]).is_err());
    assert!(map(Pin::Both, [listed(&long[..253], "01", b"A", b"a")]).is_ok());
}

#[test]
fn an_error_shows_a_hostile_name_escaped() {
    let error = map(Pin::Both, [listed("a\u{1b}[2J\n", "01", b"A", b"a")])
        .unwrap_err()
        .to_string();
    assert!(!error.chars().any(char::is_control), "{error:?}");
}

#[test]
fn inline_is_one_line_with_balanced_braces() {
    let map = map(Pin::Pubkey, [listed("a.example.org", "01", b"A", b"a")]).unwrap();
    let key = fingerprint(Digest::Sha256, b"a");
    assert_eq!(
        map.to_inline(),
        format!("inline:{{ {{ {key} = a.example.org }} }}")
    );
}

#[test]
fn json_names_the_digest_the_pin_and_each_entry() {
    let map = map(Pin::Both, [listed("a.example.org", "01", b"A", b"a")]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&map.to_json()).unwrap();
    assert_eq!(json["digest"], "sha256");
    assert_eq!(json["pin"], "both");
    assert_eq!(json["entries"][0]["kind"], "pubkey");
    assert_eq!(json["entries"][1]["kind"], "cert");
    assert_eq!(
        json["entries"][0]["fingerprint"],
        fingerprint(Digest::Sha256, b"a").as_str()
    );
    assert_eq!(json["entries"][0]["not_after"], EXPIRY);
    assert_eq!(map.entries()[0].kind, EntryKind::Pubkey);
}

#[test]
fn digests_and_pins_are_read_as_they_are_written() {
    for digest in Digest::ALL {
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!(
            fingerprint(digest, b"x").as_str().split(':').count(),
            digest.bytes()
        );
    }
    for pin in Pin::ALL {
        assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
    }
    assert!(Digest::Md5.is_weak() && Digest::Sha1.is_weak() && !Digest::Sha256.is_weak());
    assert!(
        "sha-3"
            .parse::<Digest>()
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("`sha256`")
    );
    assert!("none".parse::<Pin>().is_err());
}

#[test]
fn exims_list_has_each_certificate_by_sha256_and_the_senders_of_its_host() {
    let map = FingerprintMap::new(
        Digest::Md5,
        Pin::Pubkey,
        [
            listed("b.example.org", "02", b"B", b"b"),
            listed("a.example.org", "01", b"A", b"a"),
            listed("a.example.org", "03", b"AA", b"a"),
        ],
    )
    .unwrap();
    let senders = |list: &[&str]| {
        let list = list.iter().map(|&sender| sender.to_owned()).collect();
        BTreeMap::from([("b.example.org".to_owned(), list)])
    };
    // echo -n A | sha256sum, and so on
    assert_eq!(
        map.to_exim(&senders(&["Example.org", "a+b@example.com"])).unwrap(),
        "\
# Who may relay, by sha256 of the certificate; Exim has no digest of a public key. Made by relayca.
# Exim reads it for each look-up.
# serial 01, expires 2028-11-21T03:00:00Z, certificate
559AEAD08264D5795D3909718CDD05ABD49572E84FE55590EEF31A88A08FDFFD: host=a.example.org senders=\"*\"
# serial 03, expires 2028-11-21T03:00:00Z, certificate
58BB119C35513A451D24DC20EF0E9031EC85B35BFC919D263E7E5D9868909CB5: host=a.example.org senders=\"*\"
# serial 02, expires 2028-11-21T03:00:00Z, certificate
DF7E70E5021544F4834BBEE64A9E3789FEBC4BE81470DF629CAD6DDB03320A5C: host=b.example.org senders=\"example.org : a+b@example.com\"
"
    );
    // What an address list, `extract` or a line would take for something else.
    for bad in [
        &[][..],
        &[""],
        &["*"],
        &["+local_domains"],
        &["^.*"],
        &["@"],
        &["!a.org"],
        &["a\" senders=\"*"],
        &["a : *"],
        &["lsearch;/etc/passwd"],
        &["a\n"],
        &["$sender"],
    ] {
        assert!(map.to_exim(&senders(bad)).is_err(), "{bad:?}");
    }
}
