//! The profile: what goes into a certificate.
//!
//! Enters: names, dates, a public key's identifier. Leaves: certificate parameters with every default of the library replaced.
//! Refuses to know: keys.
//!
//! The profile is the one that OpenSSL `-x509_strict`, GnuTLS, webpki and pkilint's PKIX lints all take.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyUsagePurpose, NameConstraints,
    SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::issue::IssueError;
use crate::name::{AltName, Domain, HostName};
use crate::role::Role;
use crate::serial::Serial;

/// The longest common name, in characters (RFC 5280 appendix A.1, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;

/// The span of time a certificate is valid.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

/// Parameters with nothing left to chance: no library default survives.
fn bare(
    serial: &Serial,
    common_name: &str,
    validity: Validity,
    key_id: Vec<u8>,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.distinguished_name = common_name_only(common_name);
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id);
    params
}

/// An authority: may sign leaves and CRLs, nothing further; may name its domain and what is permitted beside it.
pub(crate) fn authority(
    serial: &Serial,
    domain: &Domain,
    permits: &[AltName],
    validity: Validity,
    key_id: Vec<u8>,
) -> CertificateParams {
    let common_name = authority_name(domain, &key_id);
    let mut params = bare(serial, &common_name, validity, key_id);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(name_constraints(domain, permits));
    params
}

/// A leaf: one role, its names, no power to sign anything.
pub(crate) fn leaf(
    serial: &Serial,
    role: Role,
    host: &HostName,
    names: &[AltName],
    is_rsa: bool,
    validity: Validity,
    key_id: Vec<u8>,
) -> Result<CertificateParams, IssueError> {
    let common_name = leaf_name(role, host, &key_id);
    let mut params = bare(serial, &common_name, validity, key_id);
    // Written out: rcgen adds the subject key identifier only to certificates that state what they are.
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if is_rsa {
        // For the RSA key exchange of TLS 1.2, which some peers still prefer.
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages = vec![match role {
        Role::MailHost => ExtendedKeyUsagePurpose::ClientAuth,
        Role::Relay => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params.subject_alt_names = names.iter().map(alt_name).collect::<Result<_, _>>()?;
    Ok(params)
}

/// A request: the host's name, and nothing else that anybody should honour.
pub(crate) fn request(host: &HostName, key_id: &[u8]) -> Option<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name_only(&leaf_name(Role::MailHost, host, key_id));
    params.subject_alt_names = vec![alt_name(&AltName::Dns(host.clone())).ok()?];
    Some(params)
}

fn common_name_only(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(
        DnType::CommonName,
        DnValue::Utf8String(common_name.to_owned()),
    );
    name
}

/// Names the domain and the key: two authorities of one domain must not share a name, or verifiers try the wrong one.
fn authority_name(domain: &Domain, key_id: &[u8]) -> String {
    let full = format!("{domain} mail relay CA {}", short(key_id));
    if full.len() <= MAX_COMMON_NAME {
        full
    } else {
        format!("mail relay CA {}", short(key_id))
    }
}

/// The host name where it fits; the subjectAltName has it in any case.
fn leaf_name(role: Role, host: &HostName, key_id: &[u8]) -> String {
    if host.as_str().len() <= MAX_COMMON_NAME {
        return host.as_str().to_owned();
    }
    match role {
        Role::MailHost => format!("mail host {}", short(key_id)),
        Role::Relay => format!("mail relay {}", short(key_id)),
    }
}

fn short(key_id: &[u8]) -> String {
    key_id.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

fn alt_name(name: &AltName) -> Result<SanType, IssueError> {
    Ok(match name {
        AltName::Dns(host) => {
            SanType::DnsName(Ia5String::try_from(host.as_str()).map_err(|_| IssueError::Encoding)?)
        }
        AltName::Ip(address) => SanType::IpAddress(*address),
    })
}

/// The domain first, without a leading dot: with one, the apex is out and pkilint objects. Addresses are excluded family by
/// family until one is permitted; then the list of permitted ones excludes the rest of its family.
fn name_constraints(domain: &Domain, permits: &[AltName]) -> NameConstraints {
    let mut permitted = vec![
        GeneralSubtree::DnsName(domain.as_str().to_owned()),
        GeneralSubtree::Rfc822Name(domain.as_str().to_owned()),
    ];
    let mut excluded = Vec::new();
    let mut seen: Vec<&AltName> = Vec::new();
    let (mut v4, mut v6) = (false, false);
    for permit in permits {
        if seen.contains(&permit) {
            continue;
        }
        seen.push(permit);
        match permit {
            AltName::Dns(host) if domain.contains(host) => {}
            AltName::Dns(host) => permitted.push(GeneralSubtree::DnsName(host.as_str().to_owned())),
            AltName::Ip(address) => {
                let single = if address.is_ipv4() { 32 } else { 128 };
                permitted.push(GeneralSubtree::IpAddress(one_network(*address, single)));
                v4 |= address.is_ipv4();
                v6 |= address.is_ipv6();
            }
        }
    }
    if !v4 {
        excluded.push(GeneralSubtree::IpAddress(one_network(
            Ipv4Addr::UNSPECIFIED.into(),
            0,
        )));
    }
    if !v6 {
        excluded.push(GeneralSubtree::IpAddress(one_network(
            Ipv6Addr::UNSPECIFIED.into(),
            0,
        )));
    }
    NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: excluded,
    }
}

fn one_network(address: IpAddr, prefix: u8) -> CidrSubnet {
    CidrSubnet::from_addr_prefix(address, prefix)
}
