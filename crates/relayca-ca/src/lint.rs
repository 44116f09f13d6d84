//! Does a certificate keep the profile?
//!
//! Enters: a certificate and its issuer. Leaves: findings, none for a certificate that OpenSSL `-x509_strict`, GnuTLS, webpki
//! and pkilint take as it is. Refuses to know: the time, and whether the signature is right; `verify` does.

use crate::certificate::Certificate;
use crate::constraints::Constraints;
use crate::extensions::{CRL_SIGN, DIGITAL_SIGNATURE, KEY_CERT_SIGN, KEY_ENCIPHERMENT};
use crate::finding::Finding;
use crate::name::{AltName, HostName};
use crate::role::Role;

/// Fewer octets than a random serial of 64 bits can have, but for bad luck.
const MIN_SERIAL: usize = 8;

/// Signature algorithms of the profile, by object identifier.
const SIGNATURES: [&str; 6] = [
    "1.2.840.10045.4.3.2",   // ecdsa-with-SHA256
    "1.2.840.10045.4.3.3",   // ecdsa-with-SHA384
    "1.3.101.112",           // Ed25519
    "1.2.840.113549.1.1.11", // sha256WithRSAEncryption
    "1.2.840.113549.1.1.12", // sha384WithRSAEncryption
    "1.2.840.113549.1.1.13", // sha512WithRSAEncryption
];

/// Signature algorithms of old, and the digest that makes them weak.
const WEAK_SIGNATURES: [(&str, &str); 6] = [
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.3.14.3.2.29", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
];

/// Judges a certificate against the profile for an authority where it is one, else for a leaf of the issuer. An authority is
/// its own issuer.
#[must_use]
pub fn lint(certificate: &Certificate, issuer: &Certificate) -> Vec<Finding> {
    let mut findings = Vec::new();
    every_certificate(certificate, &mut findings);
    if certificate.is_authority() {
        signing_authority(certificate, &mut findings);
        authority_scope(certificate, issuer, &mut findings);
    } else {
        leaf(certificate, &mut findings);
        leaf_of(certificate, issuer, &mut findings);
    }
    findings
}

pub(crate) fn every_certificate(certificate: &Certificate, findings: &mut Vec<Finding>) {
    let extensions = certificate.extensions();
    if certificate.version() != 3 {
        let message = format!(
            "it is of version {}, not 3: no extension says what it is for",
            certificate.version()
        );
        findings.push(Finding::new("version", message));
    }
    if certificate.serial().is_zero() {
        findings.push(Finding::new("serial-zero", "its serial number is 0"));
    } else if certificate.serial().as_bytes().len() < MIN_SERIAL {
        findings.push(Finding::new(
            "serial-short",
            "its serial number is short enough to be guessed",
        ));
    }
    if !SIGNATURES.contains(&certificate.signature_algorithm()) {
        let oid = certificate.signature_algorithm();
        let message = match WEAK_SIGNATURES.iter().find(|(weak, _)| *weak == oid) {
            Some((_, digest)) => format!("it is signed over a digest by {digest}, which is weak"),
            None => format!("its signature algorithm `{oid}` is weak or unknown"),
        };
        findings.push(
            Finding::new("signature-algorithm", message).with_hint("reissue it with SHA-256"),
        );
    }
    if !key_is_strong(certificate.key_description()) {
        let message = format!(
            "its key, `{}`, is weak or not widely supported",
            certificate.key_description()
        );
        findings.push(Finding::new("key-type", message).with_hint("use p256"));
    }
    if certificate.not_before() > certificate.not_after() {
        findings.push(Finding::new(
            "validity",
            "it expires before it becomes valid",
        ));
    }
    for oid in &extensions.repeated {
        findings.push(Finding::new(
            "extension-repeated",
            format!("it has the extension `{oid}` twice"),
        ));
    }
    for oid in &extensions.unreadable {
        findings.push(Finding::new(
            "extension-unreadable",
            format!("its extension `{oid}` cannot be read"),
        ));
    }
    for oid in &extensions.unknown_critical {
        findings.push(Finding::new(
            "extension-unknown",
            format!("it has the unknown critical extension `{oid}`"),
        ));
    }
    if extensions.subject_key_id.is_none() {
        findings.push(Finding::new(
            "no-subject-key-id",
            "it has no subject key identifier",
        ));
    }
}

fn key_is_strong(description: &str) -> bool {
    let rsa = description
        .strip_prefix("rsa")
        .and_then(|bits| bits.parse::<u32>().ok());
    matches!(description, "p256" | "p384" | "ed25519")
        || rsa.is_some_and(|bits| (2048..=8192).contains(&bits))
}

/// What an authority needs so that strict verifiers take what it signs.
pub(crate) fn signing_authority(ca: &Certificate, findings: &mut Vec<Finding>) {
    let extensions = ca.extensions();
    match extensions.basic {
        Some(basic) if basic.ca && basic.critical => {}
        Some(basic) if basic.ca => {
            findings.push(Finding::new(
                "authority-basic-constraints",
                "the authority's basicConstraints is not critical",
            ));
        }
        _ if ca.is_old_root() => findings.push(Finding::new(
            "authority-version",
            "the authority's certificate is of version 1, which strict verifiers refuse",
        )),
        _ => findings.push(Finding::new(
            "not-an-authority",
            "the issuer's certificate is no authority's",
        )),
    }
    match extensions.usage {
        None => findings.push(Finding::new(
            "authority-key-usage",
            "the authority has no keyUsage",
        )),
        Some(usage) if usage.bits & KEY_CERT_SIGN == 0 => {
            findings.push(Finding::new(
                "authority-key-usage",
                "the authority's keyUsage does not allow signing certificates",
            ));
        }
        Some(_) => {}
    }
    if extensions.subject_key_id.is_none() {
        findings.push(Finding::new(
            "authority-no-subject-key-id",
            "the authority has no subject key identifier",
        ));
    }
}

/// What keeps an authority to its one job.
pub(crate) fn authority_scope(ca: &Certificate, issuer: &Certificate, findings: &mut Vec<Finding>) {
    let extensions = ca.extensions();
    if ca.issuer_der() != ca.subject_der() || issuer.subject_der() != ca.subject_der() {
        findings.push(Finding::new(
            "authority-intermediate",
            "the authority is not its own issuer",
        ));
    }
    let own = ca
        .authority_key_id()
        .is_none_or(|id| Some(id) == ca.subject_key_id());
    if !own {
        findings.push(Finding::new(
            "authority-key-id",
            "the authority's own key identifiers differ",
        ));
    }
    if extensions
        .basic
        .is_some_and(|basic| basic.path_len != Some(0))
    {
        findings.push(Finding::new(
            "authority-path-length",
            "the authority may sign further authorities",
        ));
    }
    if extensions
        .usage
        .is_some_and(|usage| !usage.critical || usage.bits != KEY_CERT_SIGN | CRL_SIGN)
    {
        findings.push(Finding::new(
            "authority-key-usage",
            "the authority's keyUsage is not critical keyCertSign and cRLSign",
        ));
    }
    if extensions.purposes.is_some() {
        findings.push(Finding::new(
            "authority-purposes",
            "the authority has an extended key usage",
        ));
    }
    match &extensions.constraints {
        None => {
            let finding = Finding::new(
                "authority-unconstrained",
                "the authority may name any host in the world",
            );
            findings.push(
                finding
                    .with_hint("an authority made by `relayca init` is constrained to its domain"),
            );
        }
        Some(constraints) => constraints_hold(constraints, findings),
    }
}

fn constraints_hold(constraints: &Constraints, findings: &mut Vec<Finding>) {
    use crate::constraints::Subtree;
    if !constraints.critical {
        findings.push(Finding::new(
            "authority-constraints",
            "the authority's nameConstraints is not critical",
        ));
    }
    if !constraints
        .permitted
        .iter()
        .any(|s| matches!(s, Subtree::Dns(base) if !base.is_empty()))
    {
        findings.push(Finding::new(
            "authority-constraints",
            "the authority's nameConstraints permits no domain",
        ));
    }
    for (v4, family) in [(true, "IPv4"), (false, "IPv6")] {
        let closed = constraints.excluded.iter().any(|s| s.is_every_address(v4));
        let single = constraints.permitted.iter().any(|s| s.is_one_address(v4));
        if !closed && !single {
            let message = format!("the authority's nameConstraints leaves {family} addresses open");
            findings.push(Finding::new("authority-constraints", message));
        }
    }
}

/// What a leaf is by itself.
pub(crate) fn leaf(certificate: &Certificate, findings: &mut Vec<Finding>) {
    let extensions = certificate.extensions();
    if extensions.basic.is_none() {
        findings.push(Finding::new(
            "no-basic-constraints",
            "it does not say whether it is an authority's",
        ));
    }
    if certificate.authority_key_id().is_none() {
        findings.push(Finding::new(
            "no-authority-key-id",
            "it has no authority key identifier",
        ));
    }
    leaf_usage(certificate, findings);
    match certificate.purposes() {
        [] => findings.push(Finding::new(
            "no-purpose",
            "it has no extended key usage, so it serves both ends",
        )),
        [one] if Role::ALL.iter().any(|role| role.purpose() == one) => {}
        many => {
            let message = format!(
                "its extended key usage is {}, not one of serverAuth and clientAuth",
                many.join(", ")
            );
            findings.push(Finding::new("purpose", message));
        }
    }
    if extensions.constraints.is_some() {
        findings.push(Finding::new(
            "leaf-constraints",
            "it has nameConstraints, which is for authorities",
        ));
    }
    leaf_names(certificate, findings);
}

fn leaf_usage(certificate: &Certificate, findings: &mut Vec<Finding>) {
    let Some(usage) = certificate.extensions().usage else {
        findings.push(Finding::new("no-key-usage", "it has no keyUsage"));
        return;
    };
    if !usage.critical {
        findings.push(Finding::new(
            "key-usage-not-critical",
            "its keyUsage is not critical",
        ));
    }
    if usage.bits & DIGITAL_SIGNATURE == 0 {
        findings.push(Finding::new(
            "key-usage",
            "its keyUsage lacks digitalSignature",
        ));
    }
    if usage.bits & (KEY_CERT_SIGN | CRL_SIGN) != 0 {
        findings.push(Finding::new(
            "key-usage-signs",
            "its keyUsage allows signing certificates or CRLs",
        ));
    }
    let rsa = certificate.key_description().starts_with("rsa");
    let allowed =
        DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN | if rsa { KEY_ENCIPHERMENT } else { 0 };
    if usage.bits & !allowed != 0 {
        findings.push(Finding::new(
            "key-usage",
            "its keyUsage allows more than its key is for",
        ));
    }
}

fn leaf_names(certificate: &Certificate, findings: &mut Vec<Finding>) {
    let extensions = certificate.extensions();
    if extensions.alt_names.is_empty() && extensions.odd_names.is_empty() {
        findings.push(Finding::new(
            "no-alt-name",
            "it has no subjectAltName, where peers look for its name",
        ));
    }
    for name in &extensions.odd_names {
        let message =
            format!("its subjectAltName has `{name}`, neither a plain host name nor an address");
        findings.push(Finding::new("alt-name", message));
    }
    if let Some(host) = common_name_host(certificate)
        && !certificate.alt_names().contains(&host)
    {
        let message = format!("its common name `{host}` is not among its subjectAltNames");
        findings.push(Finding::new("common-name", message));
    }
    if certificate.common_name().is_none_or(str::is_empty) {
        findings.push(Finding::new(
            "no-common-name",
            "it has no common name to log",
        ));
    }
}

/// What ties a leaf to its issuer, the signature apart.
pub(crate) fn leaf_of(
    certificate: &Certificate,
    issuer: &Certificate,
    findings: &mut Vec<Finding>,
) {
    if certificate.issuer_der() != issuer.subject_der() {
        findings.push(Finding::new(
            "issuer-name",
            format!("its issuer is not `{}`", issuer.subject()),
        ));
    }
    if certificate.subject_der() == issuer.subject_der() {
        findings.push(Finding::new(
            "subject-is-issuer",
            "it has the same subject as its issuer",
        ));
    }
    // An authority made elsewhere may have no key identifier; nothing can differ from it then.
    if let (Some(id), Some(own)) = (certificate.authority_key_id(), issuer.subject_key_id())
        && id != own
    {
        findings.push(other_key_id());
    }
    if let Some(purposes) = &issuer.extensions().purposes
        && let Some(purpose) = certificate
            .purposes()
            .iter()
            .find(|purpose| !purposes.contains(purpose))
    {
        // RFC 5280 knows no such rule; OpenSSL, GnuTLS and webpki all have it.
        findings.push(Finding::new(
            "authority-purposes",
            format!("its authority's extended key usage has no {purpose}"),
        ));
    }
    if certificate.spki_der() == issuer.spki_der() {
        findings.push(Finding::new(
            "issuer-key",
            "it has the same key as its issuer",
        ));
    }
    if certificate.not_after() > issuer.not_after() {
        findings.push(
            Finding::new(
                "outlives-authority",
                "it is valid longer than its authority",
            )
            .with_hint("renew it"),
        );
    }
    if certificate.not_before() < issuer.not_before() {
        findings.push(Finding::new(
            "predates-authority",
            "it is valid before its authority is",
        ));
    }
    let Some(constraints) = &issuer.extensions().constraints else {
        return;
    };
    let common =
        common_name_host(certificate).filter(|host| !certificate.alt_names().contains(host));
    for name in certificate.alt_names().iter().chain(&common) {
        if !constraints.allow(name) {
            let finding = Finding::new(
                "name-not-permitted",
                format!("its authority may not name `{name}`"),
            );
            findings.push(
                finding.with_hint("`relayca init --permit` widens an authority when it is made"),
            );
        }
    }
}

/// What is said of a leaf that names another key than its authority's.
pub(crate) fn other_key_id() -> Finding {
    Finding::new(
        "authority-key-id",
        "its authority key identifier is another key's",
    )
}

/// The common name, where verifiers would take it for a host name or an address.
fn common_name_host(certificate: &Certificate) -> Option<AltName> {
    let text = certificate.common_name()?;
    let host = HostName::parse(text)
        .ok()
        .filter(|_| !text.contains(' '))
        .map(AltName::Dns);
    host.or_else(|| text.parse().ok().map(AltName::Ip))
}
