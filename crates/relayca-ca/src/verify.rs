//! Is this certificate one of ours, and good at a given moment?
//!
//! Enters: a certificate, the authorities trusted, the role expected, a moment. Leaves: findings, none where every verifier
//! should agree that it is good. Refuses to know: fingerprint maps and revocation.
//!
//! No single verifier serves: webpki takes an expired authority, OpenSSL without `-x509_strict` takes a leaf that may sign
//! certificates, and none reports a leaf that outlives its authority.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::certificate::Certificate;
use crate::finding::Finding;
use crate::lint::{lint, signing_authority};
use crate::role::Role;

/// Judges a certificate at a moment. The authorities may be several, as while one is rolled over to the next; one of them must
/// have signed it. An authority's own certificate is judged too, where no role is expected.
#[must_use]
pub fn verify(
    certificate: &Certificate,
    authorities: &[Certificate],
    expected: Option<Role>,
    at: OffsetDateTime,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let authority = find_authority(certificate, authorities, &mut findings);
    dates(certificate, at, &mut findings);
    if let Some(role) = expected {
        purpose(certificate, role, &mut findings);
    }
    let Some(authority) = authority else {
        return findings;
    };
    findings.extend(lint(certificate, authority));
    if !certificate.is_authority() {
        signing_authority(authority, &mut findings);
        authority_dates(authority, at, &mut findings);
    }
    findings.dedup();
    findings
}

/// The authority that signed it. Where there is none, says in which respect the nearest one is not it.
fn find_authority<'a>(
    certificate: &Certificate,
    authorities: &'a [Certificate],
    findings: &mut Vec<Finding>,
) -> Option<&'a Certificate> {
    let named: Vec<_> = authorities
        .iter()
        .filter(|a| a.subject_der() == certificate.issuer_der())
        .collect();
    if named.is_empty() {
        let message = format!(
            "it was issued by `{}`, which is no authority of this domain",
            certificate.issuer()
        );
        findings.push(
            Finding::new("unknown-authority", message)
                .with_hint("issue it again with `relayca issue`"),
        );
        return None;
    }
    let signer = named
        .iter()
        .find(|authority| certificate.is_signed_by(authority));
    if signer.is_none() {
        let message = format!("the signature is not that of `{}`", certificate.issuer());
        let finding = Finding::new("signature", message);
        findings.push(finding.with_hint(
            "it was altered, or an authority of the same name but another key issued it",
        ));
    }
    signer.copied()
}

fn dates(certificate: &Certificate, at: OffsetDateTime, findings: &mut Vec<Finding>) {
    if at > certificate.not_after() {
        let finding = Finding::new(
            "expired",
            format!("it expired on {}", moment(certificate.not_after())),
        );
        findings.push(finding.with_hint("renew it with `relayca renew`"));
    }
    if at < certificate.not_before() {
        let message = format!(
            "it is not valid before {}",
            moment(certificate.not_before())
        );
        findings.push(Finding::new("not-yet-valid", message).with_hint("check the clock"));
    }
}

fn authority_dates(authority: &Certificate, at: OffsetDateTime, findings: &mut Vec<Finding>) {
    if at > authority.not_after() {
        let message = format!("its authority expired on {}", moment(authority.not_after()));
        findings.push(
            Finding::new("authority-expired", message).with_hint("roll over to a new authority"),
        );
    }
    if at < authority.not_before() {
        let message = format!(
            "its authority is not valid before {}",
            moment(authority.not_before())
        );
        findings
            .push(Finding::new("authority-not-yet-valid", message).with_hint("check the clock"));
    }
}

fn purpose(certificate: &Certificate, role: Role, findings: &mut Vec<Finding>) {
    if certificate.is_authority() {
        findings.push(Finding::new(
            "not-a-leaf",
            format!("it is an authority's certificate, not a {role}'s"),
        ));
    } else if certificate.role() != Some(role) {
        let message = format!("it is not for a {role}, which has {}", role.purpose());
        findings.push(Finding::new("wrong-purpose", message));
    }
}

/// A moment as people and programs both read it, RFC 3339.
pub(crate) fn moment(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
