//! The extensions of a certificate, as plain values.
//!
//! Enters: a parsed certificate. Leaves: each extension that the profile knows, and a note of every one that is unknown,
//! repeated or unreadable. Refuses to judge.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{
    ExtendedKeyUsage, GeneralName, GeneralSubtree, NameConstraints, ParsedExtension,
};

use crate::constraints::{Constraints, Subtree};
use crate::der::{SEQUENCE, element};
use crate::name::{AltName, HostName, printable};

/// digitalSignature, as x509-parser numbers the bits of keyUsage (RFC 5280 section 4.2.1.3).
pub(crate) const DIGITAL_SIGNATURE: u16 = 1;
/// keyEncipherment.
pub(crate) const KEY_ENCIPHERMENT: u16 = 1 << 2;
/// keyCertSign.
pub(crate) const KEY_CERT_SIGN: u16 = 1 << 5;
/// `[0]` and `[1]` of nameConstraints (RFC 5280 section 4.2.1.10).
const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;

/// cRLSign.
pub(crate) const CRL_SIGN: u16 = 1 << 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Basic {
    pub critical: bool,
    pub ca: bool,
    pub path_len: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Usage {
    pub critical: bool,
    pub bits: u16,
}

/// What the extensions say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Extensions {
    pub subject_key_id: Option<Vec<u8>>,
    pub authority_key_id: Option<Vec<u8>>,
    pub has_alt_names: bool,
    pub alt_names: Vec<AltName>,
    /// DNS names in subjectAltName with a star for their first label (RFC 6125 section 6.4.3), as `*.example.org`.
    pub wildcards: Vec<String>,
    /// Names in subjectAltName that are neither a plain host name nor an address, safe to print.
    pub odd_names: Vec<String>,
    pub basic: Option<Basic>,
    pub usage: Option<Usage>,
    pub purposes: Option<Vec<String>>,
    pub constraints: Option<Constraints>,
    pub unknown_critical: Vec<String>,
    pub repeated: Vec<String>,
    pub unreadable: Vec<String>,
}

impl Extensions {
    pub(crate) fn read(x509: &X509Certificate<'_>) -> Self {
        let mut all = Extensions::default();
        let list = x509.extensions();
        for (index, extension) in list.iter().enumerate() {
            if list
                .iter()
                .take(index)
                .any(|earlier| earlier.oid == extension.oid)
            {
                all.repeated.push(extension.oid.to_id_string());
            }
            let critical = extension.critical;
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => {
                    all.subject_key_id = Some(id.0.to_vec())
                }
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    all.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                ParsedExtension::SubjectAlternativeName(names) => {
                    all.has_alt_names = true;
                    for name in &names.general_names {
                        all.wildcards.extend(wildcard(name));
                        match alt_name(name) {
                            Some(name) => all.alt_names.push(name),
                            None => all.odd_names.push(printable(&name.to_string(), 100)),
                        }
                    }
                }
                ParsedExtension::BasicConstraints(basic) => {
                    all.basic = Some(Basic {
                        critical,
                        ca: basic.ca,
                        path_len: basic.path_len_constraint,
                    });
                }
                ParsedExtension::KeyUsage(usage) => {
                    all.usage = Some(Usage {
                        critical,
                        bits: usage.flags,
                    })
                }
                ParsedExtension::ExtendedKeyUsage(usage) => all.purposes = Some(purposes(usage)),
                ParsedExtension::NameConstraints(constraints)
                    if !constraints_whole(extension.value, constraints) =>
                {
                    all.unreadable.push(extension.oid.to_id_string());
                }
                ParsedExtension::NameConstraints(constraints) => {
                    all.constraints = Some(Constraints {
                        critical,
                        permitted: subtrees(constraints.permitted_subtrees.as_deref()),
                        excluded: subtrees(constraints.excluded_subtrees.as_deref()),
                    });
                }
                ParsedExtension::ParseError { .. } | ParsedExtension::Unparsed => {
                    all.unreadable.push(extension.oid.to_id_string());
                }
                _ if critical => all.unknown_critical.push(extension.oid.to_id_string()),
                _ => {}
            }
        }
        all
    }
}

/// A star and a host name behind it.
fn wildcard(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) => {
            let parent = HostName::parse(text.strip_prefix("*.")?).ok()?;
            Some(format!("*.{parent}"))
        }
        _ => None,
    }
}

/// Host names and addresses; `None` for all else. Upper case in a certificate is legal and means the same.
fn alt_name(name: &GeneralName<'_>) -> Option<AltName> {
    match name {
        GeneralName::DNSName(text) if text.is_ascii() && !text.ends_with('.') => {
            HostName::parse(text).ok().map(AltName::Dns)
        }
        GeneralName::IPAddress(octets) => address(octets).map(AltName::Ip),
        _ => None,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

fn purposes(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        (usage.any, "anyExtendedKeyUsage"),
        (usage.server_auth, "serverAuth"),
        (usage.client_auth, "clientAuth"),
        (usage.code_signing, "codeSigning"),
        (usage.email_protection, "emailProtection"),
        (usage.time_stamping, "timeStamping"),
        (usage.ocsp_signing, "OCSPSigning"),
    ];
    let named = known
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| (*name).to_owned());
    named
        .chain(usage.other.iter().map(|oid| oid.to_id_string()))
        .collect()
}

/// Whether all of the extension was read. The parser takes a list of subtrees that it cannot read for none, and a constraint
/// that is lost would be one that is not kept.
fn constraints_whole(value: &[u8], read: &NameConstraints<'_>) -> bool {
    let Some(outer) = element(value, SEQUENCE).filter(|outer| outer.rest.is_empty()) else {
        return false;
    };
    let permitted = element(outer.content, PERMITTED);
    let after = permitted.as_ref().map_or(outer.content, |list| list.rest);
    let excluded = element(after, EXCLUDED);
    let rest = excluded.as_ref().map_or(after, |list| list.rest);
    rest.is_empty()
        && (permitted.is_some() || excluded.is_some())
        && permitted.is_some() == read.permitted_subtrees.is_some()
        && excluded.is_some() == read.excluded_subtrees.is_some()
        && [&read.permitted_subtrees, &read.excluded_subtrees]
            .into_iter()
            .flatten()
            .flatten()
            .all(|subtree| !matches!(subtree.base, GeneralName::Invalid(..)))
}

fn subtrees(list: Option<&[GeneralSubtree<'_>]>) -> Vec<Subtree> {
    list.unwrap_or_default()
        .iter()
        .map(|subtree| subtree_of(&subtree.base))
        .collect()
}

fn subtree_of(base: &GeneralName<'_>) -> Subtree {
    let other = || Subtree::Other(printable(&base.to_string(), 100));
    match base {
        GeneralName::DNSName(text) => Subtree::Dns(text.to_ascii_lowercase()),
        GeneralName::RFC822Name(text) => Subtree::Mail(text.to_ascii_lowercase()),
        GeneralName::IPAddress(octets) => {
            let half = octets.len() / 2;
            let parts = octets
                .split_at_checked(half)
                .and_then(|(a, m)| Some((address(a)?, address(m)?)));
            parts.map_or_else(other, |(address, mask)| Subtree::Ip { address, mask })
        }
        _ => other(),
    }
}
