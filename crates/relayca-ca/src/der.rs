//! The outermost DER of things that are signed, read strictly, and the little of it that is written here.
//!
//! Enters: bytes. Leaves: whether they are wrapped in the one way DER allows; to-be-signed bytes with another issuer; those
//! bytes with their signature. Refuses to know: what is inside; x509-parser reads that. It takes other tags in place of a
//! SEQUENCE's, and bytes that no signature covers must not vary: the digest of a certificate is in somebody's map.

/// SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
/// BIT STRING.
const BIT_STRING: u8 = 0x03;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// OBJECT IDENTIFIER.
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
/// OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// The most bytes a length of three octets can tell.
const MAX_LENGTH: usize = 0xff_ffff;
/// `[0] EXPLICIT`, the version of a certificate.
const VERSION: u8 = 0xa0;

/// Whether the bytes are one SEQUENCE with nothing behind it.
pub(crate) fn is_one_sequence(der: &[u8]) -> bool {
    element(der, SEQUENCE).is_some_and(|element| element.rest.is_empty())
}

/// Whether the bytes are the three parts of a certificate or a revocation list (RFC 5280 sections 4.1 and 5.1), the signature
/// algorithm outside written exactly as inside.
pub(crate) fn is_signed_envelope(der: &[u8]) -> bool {
    envelope(der).unwrap_or(false)
}

fn envelope(der: &[u8]) -> Option<bool> {
    let outer = element(der, SEQUENCE)?;
    let to_be_signed = element(outer.content, SEQUENCE)?;
    let algorithm = element(to_be_signed.rest, SEQUENCE)?;
    let signature = element(algorithm.rest, BIT_STRING)?;

    let inner = before_issuer(to_be_signed.content)?;
    let whole =
        outer.rest.is_empty() && signature.rest.is_empty() && signature.content.first() == Some(&0);
    Some(whole && inner.whole == algorithm.whole)
}

/// The signature algorithm inside, the field before the issuer. What stands before it is in a certificate a tagged version
/// and the serial number, in a revocation list its version, which is an INTEGER as the serial number is.
fn before_issuer(content: &[u8]) -> Option<Element<'_>> {
    let after_version = element(content, VERSION).map_or(content, |version| version.rest);
    let number = element(after_version, INTEGER)?;
    element(number.rest, SEQUENCE)
}

/// A TBSCertificate or TBSCertList with this Name as its issuer, byte for byte, and all else as it was. `None` where the
/// bytes are not such a thing or the name is no SEQUENCE.
pub(crate) fn with_issuer(to_be_signed: &[u8], issuer: &[u8]) -> Option<Vec<u8>> {
    let outer = element(to_be_signed, SEQUENCE)?;
    if !outer.rest.is_empty() || !is_one_sequence(issuer) {
        return None;
    }
    let algorithm = before_issuer(outer.content)?;
    let placeholder = element(algorithm.rest, SEQUENCE)?;
    let kept = outer.content.len() - algorithm.rest.len();
    write(
        SEQUENCE,
        &[outer.content.get(..kept)?, issuer, placeholder.rest],
    )
}

/// To-be-signed bytes, the algorithm they name, and the signature: a certificate or a revocation list.
pub(crate) fn signed(to_be_signed: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let outer = element(to_be_signed, SEQUENCE)?;
    let algorithm = before_issuer(outer.content)?;
    let signature = write(BIT_STRING, &[&[0], signature])?;
    write(SEQUENCE, &[to_be_signed, algorithm.whole, &signature])
}

/// One element of these contents; `None` where it would be longer than is read here.
pub(crate) fn write(tag: u8, contents: &[&[u8]]) -> Option<Vec<u8>> {
    let length = contents
        .iter()
        .try_fold(0usize, |sum, part| sum.checked_add(part.len()))?;
    if length > MAX_LENGTH {
        return None;
    }
    let octets = length.to_be_bytes();
    let start = octets.iter().position(|b| *b != 0).unwrap_or(octets.len());
    let octets = octets.get(start..)?;
    let mut der = Vec::with_capacity(length + 5);
    der.push(tag);
    if length > 0x7f {
        der.push(0x80 | u8::try_from(octets.len()).ok()?);
        der.extend_from_slice(octets);
    } else {
        der.push(u8::try_from(length).ok()?);
    }
    contents.iter().for_each(|part| der.extend_from_slice(part));
    Some(der)
}

/// One element and what stands behind it.
pub(crate) struct Element<'a> {
    pub whole: &'a [u8],
    pub content: &'a [u8],
    pub rest: &'a [u8],
}

/// The first element, if it has this tag and its length is in the shortest form.
pub(crate) fn element(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
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

    #[test]
    fn another_issuer_goes_in_whatever_its_length_and_nothing_else_moves() {
        let name = |length: usize| write(SEQUENCE, &[&vec![7; length]]).unwrap_or_default();
        let body = |issuer: &[u8]| {
            let fields: [&[u8]; 5] = [
                &[0xa0, 3, 2, 1, 2],
                &[2, 1, 5],
                &[0x30, 2, 5, 0],
                issuer,
                &[0x30, 1, 9, 4, 1, 8],
            ];
            write(SEQUENCE, &fields).unwrap_or_default()
        };
        for from in [0, 5, 127, 128, 300] {
            for to in [0, 1, 100, 127, 128, 255, 256, 65_535, 65_536] {
                let spliced = with_issuer(&body(&name(from)), &name(to));
                assert_eq!(spliced, Some(body(&name(to))), "{from} {to}");
            }
        }
        let whole = body(&name(40));
        for length in 0..whole.len() {
            assert_eq!(with_issuer(&whole[..length], &name(1)), None, "{length}");
        }
        for wrong in [&[][..], &[5, 0], &[0x30, 2, 0], &[0x30, 0, 0]] {
            assert_eq!(with_issuer(&whole, wrong), None, "{wrong:x?}");
        }
        assert_eq!(with_issuer(&whole, &vec![0x30; 1 << 24]), None);
        let signed = signed(&whole, &[1, 2, 3]).unwrap_or_default();
        assert!(is_signed_envelope(&signed));
    }
}
