//! Keys encrypted by the openssl of any year, opened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::Bench;
use relayca_ca::{KeyError, PrivateKey};

/// Often enough to pass the padding by chance.
const OFTEN: usize = 600;
const PASSPHRASE: &str = "correct horse-Battery";

/// Opens `sealed.key`, which with so many other passphrases must not open.
fn opens(bench: &Bench, how: &str, attempts: usize) {
    bench.put("pass", PASSPHRASE);
    bench
        .must("openssl pkey -in sealed.key -passin file:pass -pubout -outform DER -out clear.spki");
    let sealed = bench.text("sealed.key");
    let opened = PrivateKey::decrypt(&sealed, PASSPHRASE)
        .unwrap_or_else(|error| panic!("{how}: {error}\n{sealed}"));
    let spki = std::fs::read(bench.path("clear.spki")).unwrap();
    assert_eq!(opened.spki_der(), spki, "{how}");
    for attempt in 0..attempts {
        let error = PrivateKey::decrypt(&sealed, &format!("{PASSPHRASE}{attempt}")).unwrap_err();
        assert_eq!(error, KeyError::WrongPassphrase, "{how}");
    }
    assert_eq!(
        PrivateKey::decrypt(&sealed, "").unwrap_err(),
        KeyError::WrongPassphrase
    );
    // What we write of it is today's.
    bench.put("again.key", opened.encrypt(PASSPHRASE).unwrap());
    let said = bench.must("openssl asn1parse -in again.key");
    assert!(said.contains("aes-256-cbc"), "{said}");
    let shown = format!("{opened:?}");
    assert!(!shown.contains("pkcs8"), "{shown}");
}

#[test]
fn keys_with_headers_of_old_open() {
    let bench = Bench::new();
    bench.put("pass", PASSPHRASE);
    bench.must("openssl genrsa -traditional -out clear.key 2048");
    for cipher in ["des3", "aes128", "aes192", "aes256"] {
        bench.must(&format!(
            "openssl rsa -in clear.key -traditional -{cipher} -passout file:pass -out sealed.key"
        ));
        let text = bench.text("sealed.key");
        assert!(text.contains("Proc-Type: 4,ENCRYPTED"), "{text}");
        assert_eq!(
            PrivateKey::from_pem(&text).unwrap_err(),
            KeyError::LegacyEncrypted
        );
        opens(&bench, cipher, OFTEN);
    }
    for curve in ["prime256v1", "secp384r1"] {
        bench.must(&format!(
            "openssl ecparam -genkey -noout -name {curve} -out clear.key"
        ));
        for cipher in ["des3", "aes256"] {
            bench.must(&format!(
                "openssl ec -in clear.key -{cipher} -passout file:pass -out sealed.key"
            ));
            assert!(bench.text("sealed.key").contains("EC PRIVATE KEY"));
            opens(&bench, &format!("{curve} {cipher}"), OFTEN);
        }
    }
}

#[test]
fn pkcs8_under_triple_des_opens() {
    let bench = Bench::new();
    bench.put("pass", PASSPHRASE);
    bench.must("openssl genrsa -des3 -passout file:pass -out sealed.key 2048");
    opens(&bench, "genrsa -des3", 3);
    bench.must("openssl ecparam -genkey -noout -name prime256v1 -out clear.key");
    for how in [
        "-v2 des3",
        "-v2 des3 -v2prf hmacWithSHA1",
        "-v2 aes-192-cbc -v2prf hmacWithSHA1",
        "-v1 PBE-SHA1-3DES",
        "-v1 PBE-SHA1-3DES -iter 1",
        "-v1 PBE-SHA1-3DES -iter 5000",
        "-v2 des3 -iter 1",
    ] {
        bench.must(&format!(
            "openssl pkcs8 -topk8 -in clear.key -passout file:pass {how} -out sealed.key"
        ));
        opens(
            &bench,
            how,
            if how.ends_with("-iter 1") { OFTEN } else { 3 },
        );
    }
    bench.must("certtool --generate-privkey --key-type ecdsa --curve secp256r1 --no-text --outfile clear.key");
    for cipher in ["3des", "3des-pkcs12", "aes-128"] {
        bench.must(&format!(
            "certtool --to-p8 --load-privkey clear.key --pkcs-cipher {cipher} --password {} --outfile sealed.key",
            PASSPHRASE.replace(' ', "_")
        ));
        let opened =
            PrivateKey::decrypt(&bench.text("sealed.key"), &PASSPHRASE.replace(' ', "_")).unwrap();
        let clear = PrivateKey::from_pem(&bench.text("clear.key")).unwrap();
        assert_eq!(opened.spki_der(), clear.spki_der(), "{cipher}");
    }
}

#[test]
fn a_passphrase_beyond_ascii_opens_every_form() {
    let bench = Bench::new();
    let passphrase = "Schlüssel-für-𝄞";
    bench.put("pass", passphrase);
    bench.must("openssl ecparam -genkey -noout -name prime256v1 -out clear.key");
    let clear = PrivateKey::from_pem(&bench.text("clear.key")).unwrap();
    for how in [
        "openssl ec -in clear.key -des3 -passout file:pass -out sealed.key",
        "openssl pkcs8 -topk8 -in clear.key -passout file:pass -v2 des3 -out sealed.key",
        "openssl pkcs8 -topk8 -in clear.key -passout file:pass -v1 PBE-SHA1-3DES -out sealed.key",
    ] {
        bench.must(how);
        let opened = PrivateKey::decrypt(&bench.text("sealed.key"), passphrase).unwrap();
        assert_eq!(opened.spki_der(), clear.spki_der(), "{how}");
    }
}

#[test]
fn what_cannot_be_opened_says_so() {
    let bench = Bench::new();
    bench.put("pass", PASSPHRASE);
    bench.must("openssl genrsa -traditional -out clear.key 2048");
    bench.must(
        "openssl rsa -in clear.key -traditional -camellia256 -passout file:pass -out sealed.key",
    );
    let camellia = bench.text("sealed.key");
    assert_eq!(
        PrivateKey::decrypt(&camellia, PASSPHRASE).unwrap_err(),
        KeyError::UnsupportedEncryption
    );
    bench.must("openssl rsa -in clear.key -traditional -des3 -passout file:pass -out sealed.key");
    let sealed = bench.text("sealed.key");
    // Another cipher than the one it was made with, a vector that is none, a body cut.
    for (from, to, expected) in [
        ("DES-EDE3-CBC", "AES-256-CBC", KeyError::WrongPassphrase),
        ("DES-EDE3-CBC", "DES-CBC", KeyError::UnsupportedEncryption),
        ("DEK-Info: ", "DEK-Info: ,", KeyError::UnsupportedEncryption),
        ("DEK-Info: ", "X-Info: ", KeyError::UnsupportedEncryption),
        (
            "RSA PRIVATE KEY",
            "DSA PRIVATE KEY",
            KeyError::UnsupportedEncryption,
        ),
    ] {
        let altered = sealed.replace(from, to);
        assert_eq!(
            PrivateKey::decrypt(&altered, PASSPHRASE).unwrap_err(),
            expected,
            "{to}"
        );
    }
    for length in (0..sealed.trim_end().len()).step_by(7) {
        assert!(PrivateKey::decrypt(&sealed[..length], PASSPHRASE).is_err());
    }
    let lines: Vec<_> = sealed.lines().collect();
    for missing in 4..lines.len() - 1 {
        let mut shorter = lines.clone();
        shorter.remove(missing);
        assert!(PrivateKey::decrypt(&shorter.join("\n"), PASSPHRASE).is_err());
    }
}
