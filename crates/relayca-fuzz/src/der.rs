//! Enough DER to take a certificate apart and put it together again.
//!
//! Enters: bytes. Leaves: elements, each with its header. Refuses to share a line with the reader that it judges.

/// The elements that stand side by side in these bytes; `None` where they are not DER with lengths of up to three octets.
pub(crate) fn elements(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (header, length) = header(bytes)?;
        let (one, rest) = bytes.split_at_checked(header + length)?;
        found.push(one);
        bytes = rest;
    }
    Some(found)
}

/// The content of the one element that these bytes are.
pub(crate) fn content(element: &[u8]) -> Option<&[u8]> {
    let (header, length) = header(element)?;
    (element.len() == header + length).then(|| &element[header..])
}

/// One element with these contents.
pub(crate) fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let content = contents.concat();
    let length = content.len();
    let mut all = vec![tag];
    match length {
        0..=0x7f => all.push(length as u8),
        0x80..=0xff => all.extend([0x81, length as u8]),
        0x100..=0xffff => all.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => all.extend([
            0x83,
            (length >> 16) as u8,
            (length >> 8) as u8,
            length as u8,
        ]),
    }
    all.extend(content);
    all
}

/// The fields of the signed part of a certificate or revocation list.
pub(crate) fn signed_fields(der: &[u8]) -> Option<Vec<&[u8]>> {
    let parts = elements(content(der)?)?;
    elements(content(parts.first()?)?)
}

/// Octets of the header, and of the content.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let octets = first & 0x7f;
    if !(1..=3).contains(&octets) {
        return None;
    }
    let length = bytes
        .get(2..2 + octets)?
        .iter()
        .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    Some((2 + octets, length))
}
