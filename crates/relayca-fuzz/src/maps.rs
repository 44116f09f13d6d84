//! Maps of fingerprints.
//!
//! Promised: what is read is what postmap(1) would look up, and what relayca writes is what it reads.

use relayca_fingerprint::{Digest, FingerprintMap, Listed, Pin, parse_text};

/// [`parse_text`] over the bytes, and a map made of them.
pub fn maps(data: &[u8]) -> bool {
    let made = made(data);
    if let Ok(text) = std::str::from_utf8(data) {
        match parse_text(text) {
            Ok(pairs) => {
                assert_pairs(&pairs);
                return made || !pairs.is_empty();
            }
            Err(error) => crate::assert_printable(&error.to_string()),
        }
    }
    made
}

fn assert_pairs(pairs: &[(String, String)]) {
    let mut text = String::new();
    for (fingerprint, host) in pairs {
        let octets: Vec<&str> = fingerprint.split(':').collect();
        assert!(
            Digest::ALL
                .iter()
                .any(|digest| digest.bytes() == octets.len())
        );
        for octet in octets {
            let hex = octet
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
            assert!(hex && octet.len() == 2, "{fingerprint}");
        }
        assert!(!host.is_empty() && host.trim_ascii() == host, "{host:?}");
        assert!(
            !host.chars().any(|c| c.is_control() && c != '\t'),
            "{host:?}"
        );
        text.push_str(&format!("{fingerprint} {host}\n"));
    }
    assert_eq!(parse_text(&text).unwrap(), pairs);
    let mut keys: Vec<&String> = pairs.iter().map(|(fingerprint, _)| fingerprint).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), pairs.len());
}

/// Each line of the bytes is a certificate: host, serial, expiry and key, apart by commas.
fn made(data: &[u8]) -> bool {
    let mut made = false;
    let lines: Vec<Vec<&[u8]>> = data
        .split(|byte| *byte == b'\n')
        .take(64)
        .map(|line| line.splitn(4, |byte| *byte == b',').collect())
        .collect();
    let mut listed = Vec::new();
    for line in &lines {
        if let [host, serial, not_after, key] = line[..]
            && let (Ok(host), Ok(serial), Ok(not_after)) = (
                std::str::from_utf8(host),
                std::str::from_utf8(serial),
                std::str::from_utf8(not_after),
            )
        {
            listed.push(Listed {
                host,
                serial,
                not_after,
                certificate_der: key,
                spki_der: key,
            });
        }
    }
    for pin in [Pin::Pubkey, Pin::Cert] {
        let map = match FingerprintMap::new(Digest::Sha256, pin, listed.iter().copied()) {
            Ok(map) => map,
            Err(error) => {
                crate::assert_printable(&error.to_string());
                continue;
            }
        };
        let pairs: Vec<(String, String)> = map
            .entries()
            .iter()
            .map(|entry| (entry.fingerprint.to_string(), entry.host.clone()))
            .collect();
        assert_eq!(parse_text(&map.to_text()).unwrap(), pairs);
        assert_eq!(parse_text(&map.to_texthash()).unwrap(), pairs);
        let inline = map.to_inline();
        assert_eq!(inline.lines().count(), 1);
        for (fingerprint, host) in &pairs {
            assert!(inline.contains(&format!("{{ {fingerprint} = {host} }}")));
        }
        let backwards = FingerprintMap::new(Digest::Sha256, pin, listed.iter().rev().copied());
        assert_eq!(backwards.as_ref(), Ok(&map));
        made |= !pairs.is_empty();
    }
    made
}
