//! Whether the rest of the world would trust a server's certificates.
//!
//! In: certificates as a server sent them, the trust anchors and the time, all as values. Out: [`Trust`]. It
//! refuses to know where a system keeps its anchors, and revocation: no list is fetched.

use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// More certificates than this in one store are not read. Mozilla has about 150.
const MAX_ANCHORS: usize = 2000;
/// More names of one certificate than this are not told.
const MAX_NAMES: usize = 1000;
/// id-ad-caIssuers (RFC 5280 section 4.2.2.1) in DER: where the issuer's certificate can be fetched.
const CA_ISSUERS: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
/// The list of certificate-transparency timestamps (RFC 6962 section 3.3) in DER.
const TIMESTAMPS: &[u8] = &[
    0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02,
];

/// Whom a system trusts to certify servers.
#[derive(Clone, Debug, Default)]
pub struct TrustStore {
    certificates: Vec<CertificateDer<'static>>,
    anchors: Vec<TrustAnchor<'static>>,
    unreadable: usize,
}

impl TrustStore {
    /// The certificates in a PEM text. What is no certificate, or none that can certify others, is counted and left out, as
    /// every TLS library does: one odd root must not distrust all others.
    #[must_use]
    pub fn from_pem(text: &[u8]) -> Self {
        let mut store = Self::default();
        for found in CertificateDer::pem_slice_iter(text).take(MAX_ANCHORS) {
            let Ok(certificate) = found else {
                store.unreadable += 1;
                // Behind a broken block nothing can be found reliably.
                break;
            };
            match webpki::anchor_from_trusted_cert(&certificate) {
                Ok(anchor) => store.anchors.push(anchor.to_owned()),
                Err(_) => {
                    store.unreadable += 1;
                    continue;
                }
            }
            store.certificates.push(certificate);
        }
        store
    }

    /// How many anchors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// How many certificates could not be used.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}

/// Whether certificates lead to an anchor (RFC 5280 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// They do.
    Trusted,
    /// Nobody in the store signed any of them.
    UnknownIssuer,
    /// They lead there by a certificate that is out of its dates. If it is the first, its own dates say so too.
    OutOfDate,
    /// A certificate among them does not hold, and why.
    Faulty(String),
}

/// Judges certificates, leaf first, as a server's at a time in seconds since 1970. The name is not looked at, see [`bears_name`].
#[must_use]
pub fn trust(chain: &[Vec<u8>], store: &TrustStore, at: u64) -> Trust {
    let Some((leaf, others)) = chain.split_first() else {
        return Trust::Faulty("there is no certificate".into());
    };
    let leaf = CertificateDer::from(leaf.as_slice());
    // Trusting a self-signed server certificate by itself is what people do who have one; webpki has no word for it.
    if store.certificates.contains(&leaf) {
        return Trust::Trusted;
    }
    let leaf = match EndEntityCert::try_from(&leaf) {
        Ok(leaf) => leaf,
        Err(error) => return Trust::Faulty(why(&error)),
    };
    let others: Vec<CertificateDer<'_>> = others
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let judged = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &store.anchors,
        &others,
        UnixTime::since_unix_epoch(Duration::from_secs(at)),
        KeyUsage::server_auth(),
        None,
        None,
    );
    match judged {
        Ok(_) => Trust::Trusted,
        Err(Error::UnknownIssuer) => Trust::UnknownIssuer,
        Err(Error::CertExpired { .. } | Error::CertNotValidYet { .. }) => Trust::OutOfDate,
        Err(error) => Trust::Faulty(why(&error)),
    }
}

fn why(error: &Error) -> String {
    match error {
        Error::CaUsedAsEndEntity => "a CA's certificate is used as the server's own".into(),
        Error::EndEntityUsedAsCa => "a certificate was signed by one that may not sign any".into(),
        Error::RequiredEkuNotFoundContext(_) => {
            "it is not for servers (no serverAuth in its extended key usage)".into()
        }
        Error::InvalidSignatureForPublicKey => {
            "a signature is not by the key of the issuer named".into()
        }
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature is of a kind that nobody takes any more, as SHA-1".into()
        }
        Error::NameConstraintViolation => {
            "its issuer may not certify this name (name constraints)".into()
        }
        Error::PathLenConstraintViolated => {
            "its issuer may not have a CA below it (path length)".into()
        }
        Error::UnsupportedCertVersion => "a certificate is not of version 3".into(),
        Error::UnsupportedCriticalExtension => {
            "a certificate has a critical extension that nobody knows".into()
        }
        Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => {
            "there are too many certificates to find a way through".into()
        }
        other => crate::reply::printable(other.to_string().as_bytes()),
    }
}

/// Whether a certificate bears a host name or address (RFC 9525 section 6.3: names in the subject do not count), be it by a
/// wildcard.
#[must_use]
pub fn bears_name(leaf: &[u8], host: &str) -> bool {
    let leaf = CertificateDer::from(leaf);
    match (EndEntityCert::try_from(&leaf), ServerName::try_from(host)) {
        (Ok(leaf), Ok(name)) => leaf.verify_is_valid_for_subject_name(&name).is_ok(),
        _ => false,
    }
}

/// The host names in a certificate, also those with a star and those of one label; cleaned for printing.
#[must_use]
pub fn names_of(leaf: &[u8]) -> Vec<String> {
    let leaf = CertificateDer::from(leaf);
    let Ok(leaf) = EndEntityCert::try_from(&leaf) else {
        return Vec::new();
    };
    let names = leaf.valid_dns_names().take(MAX_NAMES);
    names
        .map(|name| crate::reply::printable(name.as_bytes()))
        .collect()
}

/// Whether a certificate has marks that only public authorities leave: where its issuer can be fetched, or
/// certificate-transparency timestamps. Sent without its issuer, such a one lacks an intermediate; another may hang on a
/// private root directly.
///
/// The bytes are searched, not parsed: the answer words a remedy and decides nothing.
#[must_use]
pub fn bears_public_marks(certificate: &[u8]) -> bool {
    [CA_ISSUERS, TIMESTAMPS]
        .iter()
        .any(|mark| certificate.windows(mark.len()).any(|bytes| bytes == *mark))
}
