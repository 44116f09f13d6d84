//! What never enters: keys in any form, and values of the wrong shape.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod sample;

use std::process::Command;

use relayca_inventory::{
    CertificateRecord, CrlRecord, Host, Inventory as _, InventoryError, NewEvent, Records as _,
};
use sample::{NOW, ask, ca, certificate, crl, crl_der, der, event, host, inventory, serial};

#[test]
fn no_private_key_enters_whatever_its_form() {
    let (dir, path, mut inventory) = inventory();
    let keys = "
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
        openssl genpkey -algorithm ED25519 -out ed.pem
        openssl pkcs8 -topk8 -in rsa.pem -passout pass:x -outform der -out encrypted.der
        openssl pkcs8 -topk8 -nocrypt -in ec.pem -outform der -out ec-pkcs8.der
        openssl pkcs8 -topk8 -nocrypt -in rsa.pem -outform der -out rsa-pkcs8.der
        openssl pkcs8 -topk8 -nocrypt -in ed.pem -outform der -out ed-pkcs8.der
        openssl ec -in ec.pem -outform der -out ec-sec1.der
        openssl rsa -in rsa.pem -traditional -outform der -out rsa-pkcs1.der
        openssl req -x509 -key ec.pem -subj /CN=a -days 9 -outform der -out certificate.crt";
    let made = Command::new("sh")
        .args(["-ec", keys])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();

    let mut change = inventory.change().unwrap();
    for name in [
        "encrypted.der",
        "ec-pkcs8.der",
        "rsa-pkcs8.der",
        "ed-pkcs8.der",
        "ec-sec1.der",
        "rsa-pkcs1.der",
        "ec.pem",
        "rsa.pem",
    ] {
        let record = CertificateRecord {
            certificate_der: read(name),
            ..certificate(1, "a.example.org")
        };
        assert!(
            matches!(
                change.add_certificate(&record),
                Err(InventoryError::Invalid { .. })
            ),
            "{name}"
        );
    }
    // A key behind a certificate does not pass as part of it.
    let mut both = read("certificate.crt");
    both.extend(read("ec-pkcs8.der"));
    let record = CertificateRecord {
        certificate_der: both,
        ..certificate(1, "a.example.org")
    };
    assert!(change.add_certificate(&record).is_err());
    let secret = String::from_utf8(read("ec.pem")).unwrap();
    for stray in [
        NewEvent {
            detail: Some(secret.clone()),
            ..event("x", None)
        },
        NewEvent {
            what: secret.replace('\n', " "),
            ..event("x", None)
        },
        NewEvent {
            host: Some(secret.clone()),
            ..event("x", None)
        },
        NewEvent {
            detail: Some("AGE-SECRET-KEY-1QQQ".to_owned()),
            ..event("x", None)
        },
    ] {
        assert!(matches!(
            change.record(&stray),
            Err(InventoryError::Invalid { .. })
        ));
    }
    let record = CertificateRecord {
        certificate_der: read("certificate.crt"),
        ..certificate(1, "a.example.org")
    };
    change.add_certificate(&record).unwrap();
    change.commit().unwrap();

    let dump = ask(&path, ".dump");
    assert!(!dump.contains("PRIVATE KEY") && !dump.contains("AGE-SECRET"));
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert!(
        dump.contains(&hex(&read("certificate.crt"))),
        "the certificate itself is there"
    );
    assert!(!dump.contains(&hex(&read("ec-pkcs8.der"))));
}

#[test]
fn malformed_values_are_refused_before_sqlite_sees_them() {
    let (_dir, path, mut inventory) = inventory();
    let before = ask(&path, ".dump");
    let mut change = inventory.change().unwrap();
    let good = certificate(1, "a.example.org");
    let text = String::from;
    for bad in [
        CertificateRecord {
            serial: text(""),
            ..good.clone()
        },
        CertificateRecord {
            serial: text("0A"),
            ..good.clone()
        },
        CertificateRecord {
            serial: "00".repeat(21),
            ..good.clone()
        },
        CertificateRecord {
            host: text("A.example.org"),
            ..good.clone()
        },
        CertificateRecord {
            host: text("a b"),
            ..good.clone()
        },
        CertificateRecord {
            host: text("a\n"),
            ..good.clone()
        },
        CertificateRecord {
            host: "a".repeat(254),
            ..good.clone()
        },
        CertificateRecord {
            role: text("client"),
            ..good.clone()
        },
        CertificateRecord {
            certificate_der: vec![],
            ..good.clone()
        },
        CertificateRecord {
            certificate_der: der(1)[..500].to_vec(),
            ..good.clone()
        },
        CertificateRecord {
            spki_sha256: text("00"),
            ..good.clone()
        },
        CertificateRecord {
            not_before: text("2026-11-21"),
            ..good.clone()
        },
        CertificateRecord {
            not_after: text("2028-11-20T03:00:00+01:00"),
            ..good.clone()
        },
        CertificateRecord {
            issued_at: text("now"),
            ..good.clone()
        },
    ] {
        assert!(
            matches!(
                change.add_certificate(&bad),
                Err(InventoryError::Invalid { .. })
            ),
            "{bad:?}"
        );
    }
    for bad in [
        Host {
            name: text(""),
            ..host("d.example.org")
        },
        Host {
            role: text("ca"),
            ..host("d.example.org")
        },
        Host {
            added_at: text(""),
            ..host("d.example.org")
        },
    ] {
        assert!(
            matches!(change.add_host(&bad), Err(InventoryError::Invalid { .. })),
            "{bad:?}"
        );
    }
    assert!(change.record(&event("", None)).is_err());
    assert!(change.record(&event("two\nlines", None)).is_err());
    assert!(
        change
            .record(&NewEvent {
                detail: Some("\u{1b}[2J".into()),
                ..event("x", None)
            })
            .is_err()
    );
    assert!(
        change
            .record(&NewEvent {
                detail: Some("x".repeat(4097)),
                ..event("x", None)
            })
            .is_err()
    );
    assert!(change.publish("", NOW).is_err());
    assert!(change.publish(&"x".repeat(65), NOW).is_err());
    change.commit().unwrap();
    assert_eq!(ask(&path, ".dump"), before);
}

#[test]
fn only_a_revocation_list_enters_as_one() {
    let (dir, _, mut inventory) = inventory();
    let made = Command::new("sh")
        .args([
            "-ec",
            "
        printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ndefault_md=sha256\\ndefault_crl_days=30\\ncrlnumber=number\\n' > v2.conf
        grep -v crlnumber v2.conf > v1.conf; echo 'crl_extensions=x' >> v2.conf
        printf '[x]\\nauthorityKeyIdentifier=keyid\\n' >> v2.conf
        : > index; echo 01 > number
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
        openssl pkcs8 -topk8 -nocrypt -in key.pem -outform der -out key.der
        openssl req -x509 -key key.pem -subj /CN=ca -days 9 -out ca.pem
        openssl x509 -in ca.pem -outform der -out v3-certificate.der
        openssl req -new -key key.pem -subj /CN=a -out request.pem
        openssl req -in request.pem -outform der -out request.der
        openssl x509 -req -in request.pem -CA ca.pem -CAkey key.pem -set_serial 1 -days 9 -outform der -out v1-certificate.der
        for v in v1 v2; do
            openssl ca -config $v.conf -gencrl -keyfile key.pem -cert ca.pem -out empty.pem
            openssl crl -in empty.pem -outform der -out $v-empty.der
        done
        printf 'R\\t491121030000Z\\t261121030000Z,keyCompromise\\t0A\\tunknown\\t/CN=a\\n' > index
        openssl ca -config v2.conf -gencrl -keyfile key.pem -cert ca.pem -out full.pem
        openssl crl -in full.pem -outform der -out v2-full.der",
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let mut change = inventory.change().unwrap();
    change.add_certificate(&ca(1)).unwrap();
    let lists = ["v1-empty.der", "v2-empty.der", "v2-full.der"];
    for (number, name) in lists.iter().enumerate() {
        let record = CrlRecord {
            crl_der: read(name),
            ..crl(number as u64, &serial(1))
        };
        change.add_crl(&record).unwrap();
        assert_eq!(change.newest_crl(&serial(1)).unwrap(), Some(record));
    }
    let full = read("v2-full.der");
    for (bytes, what) in [
        (read("v3-certificate.der"), "certificate"),
        (read("v1-certificate.der"), "certificate of version 1"),
        (read("request.der"), "request"),
        (read("key.der"), "key"),
        (read("full.pem"), "PEM"),
        ([full.clone(), read("key.der")].concat(), "key behind it"),
        (full[..full.len() - 1].to_vec(), "cut short"),
        (Vec::new(), "nothing"),
        (vec![0x30; 1_000], "SEQUENCE of SEQUENCE"),
        (vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "long"),
    ] {
        let record = CrlRecord {
            crl_der: bytes,
            ..crl(9, &serial(1))
        };
        assert!(
            matches!(change.add_crl(&record), Err(InventoryError::Invalid { .. })),
            "{what}"
        );
    }
    for record in [
        CrlRecord {
            authority: "CA".into(),
            ..crl(9, &serial(1))
        },
        CrlRecord {
            next_update: NOW.into(),
            ..crl(9, &serial(1))
        },
        CrlRecord {
            next_update: "soon".into(),
            ..crl(9, &serial(1))
        },
        CrlRecord {
            this_update: String::new(),
            ..crl(9, &serial(1))
        },
    ] {
        assert!(matches!(
            change.add_crl(&record),
            Err(InventoryError::Invalid { .. })
        ));
    }
}

#[test]
fn a_revocation_list_has_room_for_sixteen_mebibytes_and_no_more() {
    let (_dir, path, mut inventory) = inventory();
    let limit = 16 * 1024 * 1024;
    let frame = crl_der(0).len();
    let sized = |bytes: usize, number| CrlRecord {
        crl_der: crl_der(bytes - frame),
        ..crl(number, &serial(1))
    };
    let mut change = inventory.change().unwrap();
    change.add_certificate(&ca(1)).unwrap();
    assert!(matches!(
        change.add_crl(&sized(limit + 1, 1)),
        Err(InventoryError::Invalid { .. })
    ));
    change.add_crl(&sized(limit, 1)).unwrap();
    change.commit().unwrap();
    assert_eq!(
        ask(&path, "SELECT length(crl_der) FROM crls"),
        limit.to_string()
    );
    assert_eq!(
        inventory.newest_crl(&serial(1)).unwrap().unwrap(),
        sized(limit, 1)
    );
    assert!(inventory.image().unwrap().len() > limit);
}
