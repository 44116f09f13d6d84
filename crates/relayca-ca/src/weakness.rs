//! What is odd about a certificate from elsewhere, by itself.
//!
//! Enters: an authority's certificate or a leaf. Leaves: findings to show to whoever takes it over, none for one of our own.
//! Refuses to know: who issued it, the time, and whether anybody should mind; `verify` says what keeps it from working.

use crate::certificate::Certificate;
use crate::finding::Finding;
use crate::lint::{authority_scope, every_certificate, leaf, signing_authority};

/// Names what is weak or odd: version 1, no subjectAltName, a digest or key that is weak, serial 0, an authority that may name
/// any host or sign further authorities, and so on. The codes are those of [`lint`](crate::lint()) and
/// [`verify`](crate::verify()), so that what was accepted once can be told from what is new.
#[must_use]
pub fn weaknesses(certificate: &Certificate) -> Vec<Finding> {
    let mut findings = Vec::new();
    every_certificate(certificate, &mut findings);
    if certificate.is_authority() {
        signing_authority(certificate, &mut findings);
        authority_scope(certificate, certificate, &mut findings);
    } else {
        leaf(certificate, &mut findings);
    }
    // Of an authority it is said once, in the words for authorities.
    let twice =
        |finding: &Finding| certificate.is_authority() && finding.code == "no-subject-key-id";
    // A version without extensions lacks them all; only those are named that somebody may look for.
    let follows = |finding: &Finding| {
        certificate.version() < 3
            && !matches!(
                finding.code,
                "version"
                    | "serial-zero"
                    | "serial-short"
                    | "signature-algorithm"
                    | "key-type"
                    | "validity"
                    | "no-alt-name"
                    | "authority-unconstrained"
            )
    };
    findings.retain(|finding| !twice(finding) && !follows(finding));
    findings
}
