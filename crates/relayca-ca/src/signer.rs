//! Signing what was judged.
//!
//! Enters: a way to write a certificate or a revocation list, the issuer, a judge. Leaves: the thing signed, its signed bytes
//! the very ones the judge saw. Refuses to know: what the judge looks for.
//!
//! The library writes, and is handed a key that signs nothing: what it was to sign is taken from it. The issuer's name goes in
//! byte for byte as the issuer's certificate has it, since the library's own names lose repeated parts, parts of several
//! values and kinds of text, and what it wrote would not chain. Then a draft with a placeholder for a signature is judged.

use std::cell::RefCell;

use rcgen::{CertificateParams, Issuer, PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::der;
use crate::issue::IssueError;
use crate::key::PrivateKey;

/// Who signs.
pub(crate) struct Signer<'a> {
    pub key: &'a PrivateKey,
    /// The issuer in the library's terms: its key identifier, and a name.
    pub params: &'a CertificateParams,
    /// The issuer's name, DER, to stand in place of the library's.
    pub name: Option<&'a [u8]>,
}

/// A key that signs nothing and remembers what it was to sign.
pub(crate) struct Rehearsal<'a> {
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
        Ok(Vec::new())
    }
}

/// Has the library write, the draft judged, and then signs exactly what was judged. Gives the whole, DER.
pub(crate) fn sign_what_passes<W>(
    signer: &Signer<'_>,
    write: impl FnOnce(&Issuer<'_, &Rehearsal<'_>>) -> Result<W, rcgen::Error>,
    judge: impl FnOnce(&[u8]) -> Result<(), IssueError>,
) -> Result<Vec<u8>, IssueError> {
    let rehearsal = Rehearsal {
        key: signer.key,
        to_be_signed: RefCell::new(Vec::new()),
    };
    write(&Issuer::from_params(signer.params, &rehearsal)).map_err(|_| IssueError::Encoding)?;
    let mut to_be_signed = rehearsal.to_be_signed.into_inner();
    if let Some(name) = signer.name {
        to_be_signed = der::with_issuer(&to_be_signed, name).ok_or(IssueError::Encoding)?;
    }
    let placeholder = vec![0; signer.key.signature_length()];
    judge(&der::signed(&to_be_signed, &placeholder).ok_or(IssueError::Encoding)?)?;
    let signature = signer.key.sign(&to_be_signed).ok_or(IssueError::Signing)?;
    der::signed(&to_be_signed, &signature).ok_or(IssueError::Encoding)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::key_type::KeyType;
    use crate::public_key::SubjectKey;

    #[test]
    fn nothing_is_signed_but_what_the_judge_saw_and_passed() {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let subject = SubjectKey::from_spki(key.spki_der()).unwrap();
        let params = CertificateParams::default();
        let name = [0x30, 0];
        let signer = Signer {
            key: &key,
            params: &params,
            name: Some(&name),
        };
        let mut draft = Vec::new();
        let signed = sign_what_passes(
            &signer,
            |issuer| params.signed_by(&subject, issuer),
            |seen| {
                draft = seen.to_vec();
                Ok(())
            },
        )
        .unwrap();
        let tbs = |der: &[u8]| {
            let outer = der::element(der, der::SEQUENCE).unwrap();
            let tbs = der::element(outer.content, der::SEQUENCE).unwrap();
            tbs.whole.to_vec()
        };
        assert_eq!(tbs(&signed), tbs(&draft));
        assert_ne!(signed, draft);

        let refused = sign_what_passes(
            &signer,
            |issuer| params.signed_by(&subject, issuer),
            |_| Err(IssueError::KeyMismatch),
        );
        assert_eq!(refused, Err(IssueError::KeyMismatch));
    }
}
