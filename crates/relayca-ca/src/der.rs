//! The outermost DER of things that are signed, read strictly.
//!
//! Enters: bytes. Leaves: whether they are wrapped in the one way DER allows. Refuses to know: what is inside; x509-parser
//! reads that. It takes other tags in place of a SEQUENCE's, and bytes that no signature covers must not vary: the digest of a
//! certificate is in somebody's map.

/// SEQUENCE.
const SEQUENCE: u8 = 0x30;
/// BIT STRING.
const BIT_STRING: u8 = 0x03;
/// INTEGER.
const INTEGER: u8 = 0x02;
/// `[0] EXPLICIT`, the version of a certificate.
const VERSION: u8 = 0xa0;

/// Whether the bytes are one SEQUENCE with nothing behind it.
pub(crate) fn is_one_sequence(der: &[u8]) -> bool {
    element(der, SEQUENCE).is_some_and(|element| element.rest.is_empty())
}

/// Whether the bytes are the three parts of a certificate (RFC 5280 section 4.1), the signature algorithm outside written
/// exactly as inside.
pub(crate) fn is_certificate_envelope(der: &[u8]) -> bool {
    envelope(der).unwrap_or(false)
}

fn envelope(der: &[u8]) -> Option<bool> {
    let outer = element(der, SEQUENCE)?;
    let to_be_signed = element(outer.content, SEQUENCE)?;
    let algorithm = element(to_be_signed.rest, SEQUENCE)?;
    let signature = element(algorithm.rest, BIT_STRING)?;

    let after_version =
        element(to_be_signed.content, VERSION).map_or(to_be_signed.content, |version| version.rest);
    let serial = element(after_version, INTEGER)?;
    let inner = element(serial.rest, SEQUENCE)?;

    let whole =
        outer.rest.is_empty() && signature.rest.is_empty() && signature.content.first() == Some(&0);
    Some(whole && inner.whole == algorithm.whole)
}

struct Element<'a> {
    whole: &'a [u8],
    content: &'a [u8],
    rest: &'a [u8],
}

/// The first element, if it has this tag and its length is in the shortest form.
fn element(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    let (&[found, first], after) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, body) = match first {
        0x00..=0x7f => (usize::from(first), after),
        0x81..=0x83 => {
            let (octets, body) = after.split_at_checked(usize::from(first & 0x7f))?;
            let length = octets
                .iter()
                .fold(0usize, |sum, b| (sum << 8) | usize::from(*b));
            if length <= 0x7f || octets.first() == Some(&0) {
                return None;
            }
            (length, body)
        }
        _ => return None,
    };
    let (content, rest) = body.split_at_checked(length)?;
    let whole = bytes.get(..bytes.len() - rest.len())?;
    Some(Element {
        whole,
        content,
        rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_length_is_der() {
        assert!(is_one_sequence(&[0x30, 0]));
        assert!(is_one_sequence(&[0x30, 1, 5]));
        let long = [&[0x30, 0x81, 0x80][..], &[0; 0x80]].concat();
        assert!(is_one_sequence(&long));
        for wrong in [
            &[][..],
            &[0x30],
            &[0x10, 0],
            &[0x30, 2, 5],
            &[0x30, 0, 0],
            &[0x30, 0x81, 1, 5],
            &[0x30, 0x80, 0, 0],
        ] {
            assert!(!is_one_sequence(wrong), "{wrong:x?}");
        }
    }
}
