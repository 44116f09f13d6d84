//! Names of the X.500 directory as text.
//!
//! Enters: a Name of a certificate, request or list, in whatever kind of text its maker chose. Leaves: `C=DE, O=Example, CN=x`,
//! safe to print. Refuses to compare: names are compared byte for byte elsewhere.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::name::printable;

/// The most characters of a name that are shown.
const MAX_SHOWN: usize = 400;

/// A name as text, parts joined by commas, the values of one part by plus signs.
pub(crate) fn shown_name(name: &X509Name<'_>) -> String {
    let part = |attribute: &AttributeTypeAndValue<'_>| {
        let kind = match oid2abbrev(attribute.attr_type(), oid_registry()) {
            Ok(known) => known.to_owned(),
            Err(_) => attribute.attr_type().to_id_string(),
        };
        format!("{kind}={}", text(attribute.attr_value()))
    };
    let parts: Vec<_> = name
        .iter_rdn()
        .map(|rdn| rdn.iter().map(part).collect::<Vec<_>>().join(" + "))
        .collect();
    printable(&parts.join(", "), MAX_SHOWN)
}

/// The last common name, safe to print.
pub(crate) fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name()
        .last()
        .map(|attribute| printable(&text(attribute.attr_value()), MAX_SHOWN))
}

/// A value as text. T61 is read as Latin-1, as all readers do since its makers meant that; what is no text is shown in
/// hexadecimal.
fn text(value: &Any<'_>) -> String {
    let bytes = value.data;
    let latin = || bytes.iter().map(|b| char::from(*b)).collect();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::T61String => std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned),
        Tag::BmpString => {
            let units = bytes.chunks(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0xfffd,
            });
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        Tag::UniversalString => bytes
            .chunks(4)
            .map(|four| {
                <[u8; 4]>::try_from(four)
                    .ok()
                    .and_then(|four| char::from_u32(u32::from_be_bytes(four)))
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect(),
        _ => {
            let shown = bytes.iter().take(MAX_SHOWN / 2);
            format!("#{}", shown.map(|b| format!("{b:02x}")).collect::<String>())
        }
    }
}
