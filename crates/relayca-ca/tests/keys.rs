//! Keys in and out, judged by openssl and certtool in both directions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::Bench;
use relayca_ca::{KeyError, KeyType, PrivateKey, may_be_certified};

const PASSPHRASE: &str = "b1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184";

fn all_but_the_slow() -> [KeyType; 4] {
    [
        KeyType::P256,
        KeyType::P384,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ]
}

#[test]
fn openssl_and_certtool_load_every_kind_of_key_we_write() {
    let bench = Bench::new();
    for key_type in KeyType::ALL {
        let key = PrivateKey::generate(key_type).unwrap();
        bench.put("our.key", key.to_pkcs8_pem().as_bytes());
        bench.must("openssl pkey -in our.key -check -noout");
        bench.must("openssl pkey -in our.key -pubout -outform DER -out openssl.spki");
        assert_eq!(
            std::fs::read(bench.path("openssl.spki")).unwrap(),
            key.spki_der(),
            "{key_type}"
        );
        bench
            .must("certtool --load-privkey our.key --pubkey-info --outder --outfile certtool.spki");
        assert_eq!(
            std::fs::read(bench.path("certtool.spki")).unwrap(),
            key.spki_der(),
            "{key_type}"
        );
        bench.must("certtool --key-info --infile our.key");
        // Traditional reading, as OpenSSL 1.1.1 does it, knows version 1 alone.
        let version = bench.must("openssl asn1parse -in our.key");
        assert!(
            version.lines().nth(1).unwrap().contains("INTEGER")
                && version.lines().nth(1).unwrap().ends_with(":00")
        );
    }
}

#[test]
fn openssl_and_certtool_open_what_we_encrypt() {
    let bench = Bench::new();
    for key_type in all_but_the_slow() {
        let key = PrivateKey::generate(key_type).unwrap();
        bench.put("our.key", key.encrypt(PASSPHRASE).unwrap());
        bench.must(&format!(
            "openssl pkey -in our.key -passin pass:{PASSPHRASE} -out opened.key"
        ));
        assert_eq!(bench.text("opened.key"), *key.to_pkcs8_pem());
        bench.must(&format!(
            "certtool --key-info --infile our.key --password {PASSPHRASE} --outfile certtool.txt"
        ));
        bench
            .run("openssl pkey -in our.key -passin pass:wrong -noout")
            .unwrap_err();
        let said = bench.must("openssl asn1parse -in our.key");
        assert!(
            said.contains("hmacWithSHA256") && said.contains("aes-256-cbc"),
            "{said}"
        );
    }
}

#[test]
fn we_open_what_openssl_and_certtool_encrypt() {
    let bench = Bench::new();
    for key_type in all_but_the_slow() {
        let key = PrivateKey::generate(key_type).unwrap();
        bench.put("clear.key", key.to_pkcs8_pem().as_bytes());
        for how in [
            "-v2 aes-256-cbc -v2prf hmacWithSHA256",
            "-v2 aes-128-cbc -v2prf hmacWithSHA512 -iter 10000",
            "-scrypt",
        ] {
            bench.must(&format!("openssl pkcs8 -topk8 -in clear.key -passout pass:{PASSPHRASE} {how} -out sealed.key"));
            let opened = PrivateKey::decrypt(&bench.text("sealed.key"), PASSPHRASE).unwrap();
            assert_eq!(opened.spki_der(), key.spki_der(), "{key_type} {how}");
        }
    }
}

#[test]
fn a_passphrase_opens_its_own_key_alone_and_no_altered_one() {
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let sealed = key.encrypt(PASSPHRASE).unwrap();
    assert_eq!(
        PrivateKey::decrypt(&sealed, PASSPHRASE)
            .unwrap()
            .pkcs8_der(),
        key.pkcs8_der()
    );
    assert_ne!(sealed, key.encrypt(PASSPHRASE).unwrap());
    // Often enough to pass the padding by chance.
    for attempt in 0..600 {
        let error = PrivateKey::decrypt(&sealed, &format!("{PASSPHRASE}{attempt}")).unwrap_err();
        assert_eq!(error, KeyError::WrongPassphrase);
    }
    assert_eq!(key.encrypt("").unwrap_err(), KeyError::Encryption);
    assert_eq!(
        PrivateKey::from_pem(&sealed).unwrap_err(),
        KeyError::Encrypted
    );
    assert_eq!(
        PrivateKey::decrypt(&key.to_pkcs8_pem(), PASSPHRASE).unwrap_err(),
        KeyError::NoKey
    );

    let body: Vec<_> = sealed.lines().collect();
    for (row, column) in [(1, 5), (2, 10), (3, 0), (4, 7)] {
        let mut lines: Vec<String> = body.iter().map(|line| (*line).to_owned()).collect();
        let was = lines[row].as_bytes()[column];
        lines[row].replace_range(column..=column, if was == b'A' { "B" } else { "A" });
        assert!(
            PrivateKey::decrypt(&(lines.join("\n") + "\n"), PASSPHRASE).is_err(),
            "{row},{column}"
        );
    }
    for length in 0..sealed.trim_end().len() {
        assert!(PrivateKey::decrypt(&sealed[..length], PASSPHRASE).is_err());
    }
}

#[test]
fn every_encoding_openssl_writes_is_read() {
    let bench = Bench::new();
    for (generate, key_type) in [
        ("ecparam -genkey -name prime256v1", KeyType::P256),
        ("ecparam -genkey -name secp384r1", KeyType::P384),
        ("genrsa -traditional", KeyType::Rsa2048),
        ("genpkey -algorithm ed25519", KeyType::Ed25519),
    ] {
        bench.must(&format!("openssl {generate} -out their.key"));
        bench.must("openssl pkey -in their.key -pubout -outform DER -out their.spki");
        let spki = std::fs::read(bench.path("their.spki")).unwrap();
        let ours = PrivateKey::from_pem(&bench.text("their.key")).unwrap();
        assert_eq!(
            (ours.key_type(), ours.spki_der()),
            (key_type, spki.as_slice())
        );
        // Ed25519 has no form of its own before PKCS#8.
        let forms: &[&str] = if key_type == KeyType::Ed25519 {
            &[""]
        } else {
            &["", "-traditional"]
        };
        for form in forms {
            bench.must(&format!(
                "openssl pkey -in their.key {form} -outform DER -out their.der"
            ));
            let der = std::fs::read(bench.path("their.der")).unwrap();
            let again = PrivateKey::from_der(&der).unwrap();
            assert_eq!(again.pkcs8_der(), ours.pkcs8_der(), "{generate} {form}");
        }
    }
}

#[test]
fn keys_that_cannot_serve_are_refused_by_name() {
    let bench = Bench::new();
    for (generate, expected) in [
        (
            "-algorithm ec -pkeyopt ec_paramgen_curve:secp521r1",
            KeyError::Unsupported("p521".to_owned()),
        ),
        (
            "-algorithm rsa -pkeyopt rsa_keygen_bits:2560",
            KeyError::Unsupported("rsa2560".to_owned()),
        ),
        (
            "-algorithm rsa -pkeyopt rsa_keygen_bits:1024",
            KeyError::Malformed,
        ),
        (
            "-algorithm ec -pkeyopt ec_paramgen_curve:secp256k1",
            KeyError::Malformed,
        ),
        ("-algorithm x25519", KeyError::Malformed),
    ] {
        bench.must(&format!("openssl genpkey {generate} -out their.key"));
        assert_eq!(
            PrivateKey::from_pem(&bench.text("their.key")).unwrap_err(),
            expected,
            "{generate}"
        );
    }
    bench.must("openssl genrsa -traditional -aes128 -passout pass:abcd -out old.key 2048");
    let error = PrivateKey::from_pem(&bench.text("old.key")).unwrap_err();
    assert_eq!(error, KeyError::LegacyEncrypted);
    assert!(error.hint().unwrap().contains("openssl pkcs8"));

    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let twice = format!("{0}{0}", *key.to_pkcs8_pem());
    assert_eq!(
        PrivateKey::from_pem(&twice).unwrap_err(),
        KeyError::SeveralKeys
    );
    assert_eq!(PrivateKey::from_pem("").unwrap_err(), KeyError::NoKey);
    assert_eq!(
        PrivateKey::from_pem(&"x".repeat(100_000)).unwrap_err(),
        KeyError::TooLarge
    );
}

#[test]
fn errors_never_show_the_key() {
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let text = key.to_pkcs8_pem();
    let secret_line = text.lines().nth(1).unwrap();
    let broken = text.replace("-----END", "*\n-----END");
    let error = PrivateKey::from_pem(&broken).unwrap_err();
    for shown in [format!("{error}"), format!("{error:?}"), format!("{key:?}")] {
        assert!(!shown.contains(&secret_line[..12]), "{shown}");
    }
}

#[test]
fn what_may_be_certified_is_told_before_anything_is_issued() {
    let bench = Bench::new();
    for (kind, refusal) in [
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-256", None),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
            Some("rsa1024"),
        ),
        ("-algorithm ED448", Some("ed448")),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-521",
            Some("p521"),
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            Some("ec"),
        ),
    ] {
        bench.must(&format!("openssl genpkey {kind} -out a.key"));
        bench.must("openssl pkey -in a.key -pubout -outform DER -out a.spki");
        let spki = std::fs::read(bench.path("a.spki")).unwrap();
        let expected = match refusal {
            None => Ok(()),
            Some(kind) => Err(KeyError::Unsupported(kind.to_owned())),
        };
        assert_eq!(may_be_certified(&spki), expected, "{kind}");
    }
}
