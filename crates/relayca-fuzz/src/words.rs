//! Short texts: names, serial numbers, spans of time.
//!
//! Promised: what is read is written back in one form, which means the same when read again and is safe in a shell.

use relayca_ca::{AltName, Domain, HostName, Serial};

/// [`Domain::parse`], [`HostName::parse`], [`HostName::in_domain`], [`AltName::parse`].
pub fn names(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let domain = Domain::parse("example.org").unwrap();
    if let Ok(found) = Domain::parse(text) {
        assert_host(found.as_str());
        assert_eq!(Domain::parse(found.as_str()).as_ref(), Ok(&found));
        assert!(found.contains(&HostName::parse(found.as_str()).unwrap()));
    }
    for host in [HostName::parse(text), HostName::in_domain(text, &domain)]
        .into_iter()
        .flatten()
    {
        assert_host(host.as_str());
        assert_eq!(HostName::parse(host.as_str()).as_ref(), Ok(&host));
        assert_eq!(
            HostName::in_domain(host.as_str(), &domain).as_ref(),
            Ok(&host)
        );
        // What a label is, does not depend on its neighbours.
        let below = HostName::parse(&format!("a.{host}"));
        assert!(below.is_ok() || host.as_str().len() > 251, "{host}");
    }
    match AltName::parse(text) {
        Ok(name) => {
            let shown = name.to_string();
            assert_eq!(AltName::parse(&shown).as_ref(), Ok(&name));
            if let AltName::Dns(host) = &name {
                assert_host(host.as_str());
            }
            true
        }
        Err(error) => {
            crate::assert_printable(&error.to_string());
            false
        }
    }
}

/// Letters, digits and hyphens (RFC 1123), in lower case, at least two labels, not ending like an address.
fn assert_host(name: &str) {
    assert!(name.len() <= 253, "{name}");
    let labels: Vec<&str> = name.split('.').collect();
    assert!(labels.len() >= 2, "{name}");
    for label in &labels {
        let inner = label
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        assert!(inner && (1..=63).contains(&label.len()), "{name}");
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{name}");
    }
    let last = labels.last().unwrap();
    assert!(!last.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    assert!(name.parse::<std::net::IpAddr>().is_err(), "{name}");
}

/// [`Serial`] from text and from bytes.
pub fn serials(data: &[u8]) -> bool {
    if let Ok(serial) = Serial::from_bytes(data) {
        let significant = data
            .iter()
            .position(|byte| *byte != 0)
            .unwrap_or(data.len() - 1);
        assert_eq!(serial.as_bytes(), &data[significant..]);
        assert_serial(&serial);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(serial) = text.parse::<Serial>()
    {
        assert_serial(&serial);
        return true;
    }
    false
}

fn assert_serial(serial: &Serial) {
    let bytes = serial.as_bytes();
    assert!((1..=20).contains(&bytes.len()));
    assert!(bytes.len() == 1 || bytes[0] != 0);
    let plain = serial.to_string();
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    for text in [
        plain.clone(),
        plain.to_uppercase(),
        format!("0x{plain}"),
        pairs.join(":"),
    ] {
        assert_eq!(text.parse::<Serial>().as_ref(), Ok(serial), "{text}");
    }
    assert_eq!(Serial::from_bytes(bytes).as_ref(), Ok(serial));
}

/// Spans such as `60d`.
pub fn spans(data: &[u8]) -> bool {
    kept(data, relayca::outside::span)
}

/// Asks a reader of the program itself, which says whether it took the text, or which promise it broke.
pub(crate) fn kept(data: &[u8], reader: fn(&str) -> Result<bool, String>) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    reader(text).unwrap_or_else(|broken| panic!("{broken}"))
}
