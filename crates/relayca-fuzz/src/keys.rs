//! Private keys, clear and encrypted.
//!
//! Promised: a key that is read has one public half, however it is written again, and only its passphrase opens it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use relayca_ca::{InspectedKind, PrivateKey, spki_of};

use crate::fixed::PASSPHRASE;

/// [`PrivateKey::from_pem`] and [`PrivateKey::from_der`].
pub fn private_keys(data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).ok();
    let keys = [
        PrivateKey::from_der(data).ok(),
        PrivateKey::from_pkcs8_der(data).ok(),
        text.and_then(|text| PrivateKey::from_pem(text).ok()),
    ];
    for key in keys.iter().flatten() {
        let again = PrivateKey::from_pkcs8_der(key.pkcs8_der()).unwrap();
        assert_same(key, &again);
        assert_same(key, &PrivateKey::from_pem(&key.to_pkcs8_pem()).unwrap());
        let found = spki_of(key.pkcs8_der()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, InspectedKind::PrivateKey);
        assert_eq!(found[0].spki_der, key.spki_der());
        assert!(format!("{key:?}").contains("[elided]"));
        let sealed = key.encrypt(PASSPHRASE).unwrap();
        assert_same(key, &PrivateKey::decrypt(&sealed, PASSPHRASE).unwrap());
    }
    keys.iter().any(Option::is_some)
}

fn assert_same(one: &PrivateKey, other: &PrivateKey) {
    assert_eq!(one.key_type(), other.key_type());
    assert_eq!(one.spki_der(), other.spki_der());
    assert_eq!(one.pkcs8_der(), other.pkcs8_der());
}

/// [`PrivateKey::decrypt`], of text and of DER dressed as text.
pub fn locked_keys(data: &[u8]) -> bool {
    let mut opened = false;
    let dressed = format!(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n{}\n-----END ENCRYPTED PRIVATE KEY-----\n",
        base64::prelude::BASE64_STANDARD.encode(data)
    );
    for text in [std::str::from_utf8(data).ok(), Some(&*dressed)]
        .into_iter()
        .flatten()
    {
        if too_much_work(text) {
            continue;
        }
        if let Ok(key) = PrivateKey::decrypt(text, PASSPHRASE) {
            assert!(PrivateKey::decrypt(text, "another").is_err());
            assert!(PrivateKey::from_pem(text).is_err());
            assert_same(&key, &PrivateKey::from_pkcs8_der(key.pkcs8_der()).unwrap());
            opened = true;
        }
    }
    opened
}

/// Whether the key would take long to open: relayca bounds that at some seconds, which is too long a thousand times a second.
/// Taken from the INTEGERs that stand anywhere in it, so that it errs by leaving keys out.
fn too_much_work(text: &str) -> bool {
    let lenient = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    text.split("-----").any(|part| {
        let body: Vec<u8> = part
            .bytes()
            .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
            .collect();
        let whole = body.len() - usize::from(body.len() % 4 == 1);
        let Ok(der) = lenient.decode(&body[..whole]) else {
            return true;
        };
        let mut product = 1u64;
        for (at, pair) in der.windows(2).enumerate() {
            let length = usize::from(pair[1]);
            if pair[0] == 2 && (1..=8).contains(&length) {
                let content = der.get(at + 2..at + 2 + length).unwrap_or_default();
                let number = content
                    .iter()
                    .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
                // Small ones are versions, and chance.
                if number > 256 {
                    product = product.saturating_mul(number);
                }
                if number > 100_000 {
                    return true;
                }
            }
        }
        product > 1 << 44
    })
}
