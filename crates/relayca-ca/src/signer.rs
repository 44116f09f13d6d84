//! Signing in two passes: a rehearsal that is linted, then the real thing.
//!
//! Enters: certificate parameters, the subject's public key, the issuer's key, a judge. Leaves: a certificate whose signed
//! bytes are the ones the judge saw. Refuses to know: what the judge looks for.

use std::cell::RefCell;

use rcgen::{CertificateParams, Issuer, PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::certificate::Certificate;
use crate::issue::IssueError;
use crate::key::PrivateKey;

/// Signs nothing: gives a placeholder of the right length and remembers what it was to sign.
struct Rehearsal<'a> {
    key: &'a PrivateKey,
    to_be_signed: RefCell<Vec<u8>>,
}

impl PublicKeyData for Rehearsal<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.public_bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.key.algorithm()
    }
}

impl SigningKey for Rehearsal<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.to_be_signed.replace(message.to_vec());
        Ok(vec![0; self.key.signature_length()])
    }
}

/// Signs the one message that was judged, and no other.
struct OnlyThis<'a> {
    key: &'a PrivateKey,
    to_be_signed: &'a [u8],
}

impl PublicKeyData for OnlyThis<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.key.public_bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.key.algorithm()
    }
}

impl SigningKey for OnlyThis<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        if message != self.to_be_signed {
            return Err(rcgen::Error::RemoteKeyError);
        }
        self.key.sign(message).ok_or(rcgen::Error::RemoteKeyError)
    }
}

/// Rehearses, has the rehearsal judged, then signs exactly what was judged.
pub(crate) fn sign_what_passes(
    params: &CertificateParams,
    subject: &impl PublicKeyData,
    issuer: &CertificateParams,
    key: &PrivateKey,
    judge: impl FnOnce(&Certificate) -> Result<(), IssueError>,
) -> Result<Certificate, IssueError> {
    let rehearsal = Rehearsal {
        key,
        to_be_signed: RefCell::new(Vec::new()),
    };
    let draft = params
        .signed_by(subject, &Issuer::from_params(issuer, &rehearsal))
        .map_err(|_| IssueError::Encoding)?;
    judge(&Certificate::from_der(draft.der()).map_err(|_| IssueError::Encoding)?)?;

    let to_be_signed = rehearsal.to_be_signed.into_inner();
    let signer = OnlyThis {
        key,
        to_be_signed: &to_be_signed,
    };
    let signed = params
        .signed_by(subject, &Issuer::from_params(issuer, &signer))
        .map_err(|_| IssueError::Signing)?;
    Certificate::from_der(signed.der()).map_err(|_| IssueError::Encoding)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::key_type::KeyType;

    #[test]
    fn the_second_pass_signs_nothing_but_what_the_first_one_showed() {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let signer = OnlyThis {
            key: &key,
            to_be_signed: b"judged",
        };
        assert!(signer.sign(b"judged").is_ok());
        assert!(signer.sign(b"judged.").is_err());
        assert!(signer.sign(b"").is_err());
    }
}
