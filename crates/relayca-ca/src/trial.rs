//! Certificates that every verifier must refuse, to try verifiers with.
//!
//! Enters: a request, a public key, the time. Leaves: a certificate that is out of its time, or that nobody trusted has signed.
//! Refuses to know: who is tried. Nothing here is good for anything at the time given: an authority's own signature is only put under
//! dates that have passed.

use time::{Duration, OffsetDateTime};

use crate::authority::Authority;
use crate::certificate::Certificate;
use crate::issue::{IssueError, LeafRequest, validity, whole_seconds};
use crate::key::PrivateKey;
use crate::key_type::KeyType;
use crate::name::AltName;
use crate::profile::{self, Validity};
use crate::public_key::SubjectKey;
use crate::serial::Serial;
use crate::signer::{Signer, sign_what_passes};

/// How long ago a certificate of [`Authority::issue_expired`] expired: longer than any clock is wrong.
const EXPIRED_FOR: Duration = Duration::days(2);

impl Authority {
    /// A leaf that is right in everything but its dates: it was valid for a day and expired two days ago, also where the
    /// authority itself is younger than that. `request.days` does not matter.
    ///
    /// # Errors
    /// As of [`Authority::issue`].
    pub fn issue_expired(
        &self,
        request: &LeafRequest,
        spki_der: &[u8],
        now: OffsetDateTime,
    ) -> Result<Certificate, IssueError> {
        let not_after = whole_seconds(now.to_offset(time::UtcOffset::UTC))? - EXPIRED_FOR;
        let validity = Validity {
            not_before: not_after - Duration::days(1),
            not_after,
        };
        // An authority made today has issued nothing the day before yesterday.
        self.sign_leaf(request, spki_der, validity, &["predates-authority"])
    }

    /// An authority of the same name and key identifier, with a key of its own that nobody trusts.
    ///
    /// # Errors
    /// [`IssueError::AuthorityKeyGeneration`].
    pub fn impostor(of: &Certificate) -> Result<Self, IssueError> {
        let key =
            PrivateKey::generate(KeyType::P256).map_err(IssueError::AuthorityKeyGeneration)?;
        Ok(Self::unchecked(of.clone(), key))
    }
}

/// A leaf that its own key has signed.
///
/// # Errors
/// [`IssueError`]; the key must be one that can be certified.
pub fn self_signed(
    request: &LeafRequest,
    key: &PrivateKey,
    now: OffsetDateTime,
) -> Result<Certificate, IssueError> {
    let subject = SubjectKey::from_spki(key.spki_der()).map_err(IssueError::PublicKey)?;
    let mut names = vec![AltName::Dns(request.host.clone())];
    names.extend(request.alt_names.iter().cloned());
    let serial = Serial::random().map_err(IssueError::Serial)?;
    let params = profile::leaf(
        &serial,
        request.role,
        &request.host,
        &names,
        subject.is_rsa(),
        validity(request.days, now)?,
        subject.key_id(),
    )?;
    let signer = Signer {
        key,
        params: &params,
        name: None,
    };
    let signed = sign_what_passes(
        &signer,
        |issuer| params.signed_by(&subject, issuer),
        |_| Ok(()),
    )?;
    Certificate::from_der(&signed).map_err(|_| IssueError::Encoding)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::authority::NewAuthority;
    use crate::name::{Domain, HostName};
    use crate::role::Role;
    use crate::verify::verify;

    fn codes(
        certificate: &Certificate,
        ca: &Certificate,
        now: OffsetDateTime,
    ) -> Vec<&'static str> {
        verify(
            certificate,
            std::slice::from_ref(ca),
            Some(Role::MailHost),
            now,
        )
        .iter()
        .map(|finding| finding.code)
        .collect()
    }

    #[test]
    fn each_is_refused_for_its_one_fault() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for key_type in [KeyType::P256, KeyType::Ed25519, KeyType::P384] {
            let wanted = NewAuthority {
                domain: Domain::parse("example.org").unwrap(),
                permits: Vec::new(),
                key_type,
                days: 30,
            };
            let authority = Authority::create(&wanted, now).unwrap();
            let ca = authority.certificate();
            let request = LeafRequest {
                role: Role::MailHost,
                host: HostName::parse("mail.example.org").unwrap(),
                alt_names: Vec::new(),
                days: 1,
            };
            let key = PrivateKey::generate(key_type).unwrap();

            // The authority is an hour old.
            let expired = authority
                .issue_expired(&request, key.spki_der(), now)
                .unwrap();
            assert_eq!(codes(&expired, ca, now), ["expired", "predates-authority"]);
            assert!(expired.not_after() < now && expired.is_signed_by(ca));
            let later = now + Duration::days(20);
            let expired = authority
                .issue_expired(&request, key.spki_der(), later)
                .unwrap();
            assert_eq!(codes(&expired, ca, later), ["expired"]);

            let alone = self_signed(&request, &key, now).unwrap();
            assert!(alone.issuer_is(&alone));
            assert_eq!(codes(&alone, ca, now), ["unknown-authority"]);

            let foreign = Authority::impostor(ca)
                .unwrap()
                .issue(&request, key.spki_der(), now)
                .unwrap();
            assert_eq!(codes(&foreign, ca, now), ["signature"]);
            assert_eq!(foreign.authority_key_id(), ca.subject_key_id());

            for made in [&expired, &alone, &foreign] {
                assert_eq!(made.spki_der(), key.spki_der());
                assert!(
                    made.alt_names()
                        .contains(&AltName::Dns(request.host.clone()))
                );
            }
        }
    }
}
