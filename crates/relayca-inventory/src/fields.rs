//! What may enter: the shape of every value, checked before SQLite sees it.
//!
//! In: one value and its name. Out: nothing, or `Invalid`, which never repeats the value: it could be a secret that
//! went astray. Refuses to know what the values mean; certificates are only told apart from keys by their outline.

use crate::InventoryError;

/// The most a certificate may weigh, in bytes; the schema says the same.
const CERTIFICATE_LIMIT: usize = 65_536;

/// The most a revocation list may weigh, in bytes; the schema says the same. At some 40 bytes an entry that is 400,000
/// revocations.
const CRL_LIMIT: usize = 16 * 1024 * 1024;

fn invalid(field: &'static str, reason: impl Into<String>) -> InventoryError {
    InventoryError::Invalid {
        field,
        reason: reason.into(),
    }
}

/// One printable line of at most `limit` bytes, not a key.
pub(crate) fn line(field: &'static str, text: &str, limit: usize) -> Result<(), InventoryError> {
    if text.is_empty() || text.len() > limit {
        return Err(invalid(field, format!("must have 1 to {limit} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "must not hold control characters"));
    }
    not_a_key(field, text)
}

/// Free text, of several lines if need be.
pub(crate) fn detail(text: &str) -> Result<(), InventoryError> {
    if text.len() > 4096 {
        return Err(invalid("detail", "must have at most 4096 bytes"));
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(invalid("detail", "must not hold control characters"));
    }
    not_a_key("detail", text)
}

fn not_a_key(field: &'static str, text: &str) -> Result<(), InventoryError> {
    if text.contains("PRIVATE KEY") || text.contains("AGE-SECRET-KEY-") {
        return Err(invalid(
            field,
            "looks like a private key, which never enters the inventory",
        ));
    }
    Ok(())
}

/// A host name, or for a CA its domain: no spaces.
pub(crate) fn name(field: &'static str, text: &str) -> Result<(), InventoryError> {
    line(field, text, 253)?;
    if text.chars().any(|c| c.is_whitespace() || c.is_uppercase()) {
        return Err(invalid(field, "must be lower case, without spaces"));
    }
    Ok(())
}

/// One of the given words.
pub(crate) fn word(field: &'static str, text: &str, words: &[&str]) -> Result<(), InventoryError> {
    if words.contains(&text) {
        Ok(())
    } else {
        Err(invalid(
            field,
            format!("must be one of `{}`", words.join("`, `")),
        ))
    }
}

/// Lower-case hex of `least` to `most` whole bytes.
pub(crate) fn hex(
    field: &'static str,
    text: &str,
    least: usize,
    most: usize,
) -> Result<(), InventoryError> {
    let whole = text.len().is_multiple_of(2) && (least..=most).contains(&(text.len() / 2));
    if whole && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(())
    } else {
        Err(invalid(
            field,
            format!("must be lower-case hex of {least} to {most} bytes"),
        ))
    }
}

/// `2026-11-21T03:00:00Z` and no other form (RFC 3339), so that text order is time order.
pub(crate) fn time(field: &'static str, text: &str) -> Result<(), InventoryError> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 20
        && bytes
            .iter()
            .zip(b"0000-00-00T00:00:00Z")
            .all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                mark => byte == mark,
            });
    let part = |from: usize| {
        text.get(from..from + 2)
            .and_then(|two| two.parse::<u8>().ok())
            .unwrap_or(u8::MAX)
    };
    let real = shaped
        && (1..=12).contains(&part(5))
        && (1..=31).contains(&part(8))
        && part(11) < 24
        && part(14) < 60
        && part(17) <= 60;
    if real {
        Ok(())
    } else {
        Err(invalid(
            field,
            "must be a UTC time such as `2026-11-21T03:00:00Z`",
        ))
    }
}

/// `text` must be after `than`; both are times.
pub(crate) fn later(field: &'static str, text: &str, than: &str) -> Result<(), InventoryError> {
    if text > than {
        Ok(())
    } else {
        Err(invalid(field, "must come after the time it counts from"))
    }
}

/// The number of a revocation list, which SQLite keeps as a signed one.
pub(crate) fn crl_number(number: u64) -> Result<i64, InventoryError> {
    i64::try_from(number)
        .map_err(|_| invalid("CRL number", format!("must be at most {}", i64::MAX)))
}

/// The number after `last`.
pub(crate) fn next_crl_number(last: Option<u64>) -> Result<u64, InventoryError> {
    let next = last.map_or(Some(1), |last| last.checked_add(1));
    next.filter(|next| i64::try_from(*next).is_ok())
        .ok_or_else(|| invalid("CRL number", "has no successor: the numbers are used up"))
}

/// The outline of an X.509 certificate (RFC 5280, 4.1): one SEQUENCE that holds a SEQUENCE that begins with the version
/// or, in version 1, with the serial. PKCS#8, SEC1 and PKCS#1 keys begin with an INTEGER, encrypted ones with an OID.
pub(crate) fn certificate(der: &[u8]) -> Result<(), InventoryError> {
    if der.len() > CERTIFICATE_LIMIT {
        return Err(invalid(
            "certificate",
            format!("must have at most {CERTIFICATE_LIMIT} bytes"),
        ));
    }
    let outline = || {
        let (outer, rest) = sequence(der)?;
        let (inner, _) = sequence(outer)?;
        (rest.is_empty() && matches!(inner.first(), Some(0xa0 | 0x02))).then_some(())
    };
    if der.len() < 64 || outline().is_none() {
        return Err(invalid("certificate", "is not a DER certificate"));
    }
    Ok(())
}

/// The outline of a revocation list (RFC 5280, 5.1): a SEQUENCE of what is signed, the algorithm and the signature. What
/// is signed begins with the version (2, or absent for 1), the algorithm and the issuer, and then, unlike in a
/// certificate, there is a time.
pub(crate) fn revocation_list(der: &[u8]) -> Result<(), InventoryError> {
    if der.len() > CRL_LIMIT {
        return Err(invalid(
            "revocation list",
            format!("must have at most {CRL_LIMIT} bytes"),
        ));
    }
    let outline = || {
        let (outer, rest) = sequence(der)?;
        let (signed, tail) = sequence(outer)?;
        let (_algorithm, tail) = sequence(tail)?;
        let (tag, _signature, tail) = element(tail)?;
        let fields = signed.strip_prefix(&[0x02, 0x01, 0x01]).unwrap_or(signed);
        let (_algorithm, fields) = sequence(fields)?;
        let (_issuer, fields) = sequence(fields)?;
        let time = matches!(fields.first(), Some(0x17 | 0x18));
        (rest.is_empty() && tail.is_empty() && tag == 0x03 && time).then_some(())
    };
    if der.len() < 64 || outline().is_none() {
        return Err(invalid("revocation list", "is not a DER revocation list"));
    }
    Ok(())
}

/// Splits a DER SEQUENCE from the front: its content, and what follows it.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    match element(der)? {
        (0x30, content, rest) => Some((content, rest)),
        _ => None,
    }
}

/// Splits a DER element from the front: its tag of one byte, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // No more than four bytes of length: nothing here is that long.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            (length.iter().fold(0, add), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn only_one_form_of_time_enters() {
        assert!(time("at", "2026-11-21T03:00:00Z").is_ok());
        for bad in [
            "",
            "2026-11-21T03:00:00+00:00",
            "2026-11-21 03:00:00Z",
            "2026-11-21T03:00:00.5Z",
            "2026-13-21T03:00:00Z",
            "2026-00-21T03:00:00Z",
            "2026-11-32T03:00:00Z",
            "2026-11-21T24:00:00Z",
            "２026-11-21T03:00Z",
        ] {
            assert!(time("at", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hex_is_lower_case_and_whole_bytes() {
        assert!(hex("serial", "0a1b", 1, 20).is_ok());
        for bad in ["", "0", "0A", "0a1", "0x0a", "0g", &"00".repeat(21)] {
            assert!(hex("serial", bad, 1, 20).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_never_repeats_the_value() {
        let text = "-----BEGIN PRIVATE KEY-----hunter2";
        let error = detail(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(error.contains("private key"), "{error}");
    }

    #[test]
    fn a_length_that_runs_past_the_end_is_refused() {
        let mut der = vec![0x30, 0x82, 0xff, 0xff];
        der.resize(100, 0);
        assert!(certificate(&der).is_err());
        assert!(certificate(&[0x30]).is_err());
        assert!(certificate(&[]).is_err());
    }
}
