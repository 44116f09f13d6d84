//! Certificates to show to a relay, with their keys: real ones, and all the wrong ones.
//!
//! In: keys, an opened authority, its certificate. Out: [`Credential`]s, in memory only. It refuses to write any of them
//! anywhere, and to enter them in an inventory: their keys are wiped when the probe ends.

use relayca_ca::{
    Authority, Certificate, HostName, IssueError, KeyType, LeafRequest, PrivateKey, Role,
};
use relayca_fingerprint::{Digest, fingerprint};
use relayca_probe::ClientIdentity;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// Days that a certificate made for a probe is valid.
const DAYS: u32 = 1;
/// How far in the future one begins that is not valid yet: further than any clock is wrong.
const AHEAD: Duration = Duration::days(3);

/// A certificate with its private key.
#[derive(Debug)]
pub struct Credential {
    /// The certificate.
    pub certificate: Certificate,
    identity: ClientIdentity,
}

impl Credential {
    /// Puts the two together. `further` certificates are sent behind it.
    pub fn new(certificate: Certificate, key: &PrivateKey, further: &[Certificate]) -> Self {
        let chain = std::iter::once(&certificate)
            .chain(further)
            .map(|one| one.der().to_vec())
            .collect();
        Self {
            certificate,
            identity: ClientIdentity {
                chain,
                key_pkcs8: Zeroizing::new(key.pkcs8_der().to_vec()),
            },
        }
    }

    /// What TLS shows.
    pub fn identity(&self) -> &ClientIdentity {
        &self.identity
    }

    /// What Postfix looks up first: of the public key.
    pub fn fingerprint(&self, digest: Digest) -> String {
        fingerprint(digest, self.certificate.spki_der()).to_string()
    }

    /// What Postfix looks up beside it: of the whole certificate.
    pub fn certificate_fingerprint(&self, digest: Digest) -> String {
        fingerprint(digest, self.certificate.der()).to_string()
    }
}

/// What a certificate has wrong, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the CA issues it, for today.
    None,
    /// It has signed itself.
    SelfSigned,
    /// Another CA of the same name has issued it.
    OtherAuthority,
    /// It expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is a server's.
    ServerPurpose,
}

/// Makes wrong certificates.
#[derive(Debug, Clone, Copy)]
pub struct Forge<'a> {
    /// The opened CA; without it only what needs no signature of the CA is made.
    pub authority: Option<&'a Authority>,
    /// The certificate of the CA that the relay trusts.
    pub ca: &'a Certificate,
    /// When.
    pub now: OffsetDateTime,
}

impl Forge<'_> {
    /// A certificate of `host` with this fault, for this key or for a new one.
    pub fn make(
        &self,
        fault: Fault,
        host: &HostName,
        key: Option<&PrivateKey>,
    ) -> Result<Credential, String> {
        let fresh;
        let key = match key {
            Some(key) => key,
            None => {
                fresh = PrivateKey::generate(KeyType::P256).map_err(|error| error.to_string())?;
                &fresh
            }
        };
        let request = LeafRequest {
            role: if fault == Fault::ServerPurpose {
                Role::Relay
            } else {
                Role::MailHost
            },
            host: host.clone(),
            alt_names: Vec::new(),
            days: DAYS,
        };
        let certificate = self.certificate(fault, &request, key)?;
        Ok(Credential::new(certificate, key, &[]))
    }

    fn certificate(
        &self,
        fault: Fault,
        request: &LeafRequest,
        key: &PrivateKey,
    ) -> Result<Certificate, String> {
        let spki = key.spki_der();
        let in_words = |error: IssueError| error.to_string();
        let authority = || {
            self.authority
                .ok_or_else(|| "it takes the CA's key to make this certificate".to_owned())
        };
        match fault {
            Fault::SelfSigned => relayca_ca::self_signed(request, key, self.now).map_err(in_words),
            Fault::OtherAuthority => Authority::impostor(self.ca)
                .and_then(|impostor| impostor.issue(request, spki, self.now))
                .map_err(in_words),
            Fault::Expired => authority()?
                .issue_expired(request, spki, self.now)
                .map_err(in_words),
            Fault::NotYetValid => authority()?
                .issue(request, spki, self.now + AHEAD)
                .map_err(in_words),
            Fault::None | Fault::ServerPurpose => authority()?
                .issue(request, spki, self.now)
                .map_err(in_words),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use relayca_ca::{Domain, NewAuthority};

    use super::*;

    #[test]
    fn each_certificate_has_its_one_fault_and_the_key_it_was_made_for() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let wanted = NewAuthority {
            domain: Domain::parse("example.org").unwrap(),
            permits: Vec::new(),
            key_type: KeyType::P256,
            days: 3652,
        };
        let authority = Authority::create(&wanted, now).unwrap();
        let ca = authority.certificate();
        let host = HostName::parse("mailhost.example.org").unwrap();
        let forge = Forge {
            authority: Some(&authority),
            ca,
            now,
        };
        let key = PrivateKey::generate(KeyType::Ed25519).unwrap();
        let cases = [
            (Fault::None, None),
            (Fault::SelfSigned, Some("unknown-authority")),
            (Fault::OtherAuthority, Some("signature")),
            (Fault::Expired, Some("expired")),
            (Fault::NotYetValid, Some("not-yet-valid")),
            (Fault::ServerPurpose, Some("wrong-purpose")),
        ];
        for (fault, code) in cases {
            let made = forge.make(fault, &host, Some(&key)).unwrap();
            assert_eq!(made.certificate.spki_der(), key.spki_der());
            let trusted = std::slice::from_ref(ca);
            let found = relayca_ca::verify(&made.certificate, trusted, Some(Role::MailHost), now);
            let codes: Vec<&str> = found
                .iter()
                .map(|finding| finding.code)
                .filter(|code| *code != "predates-authority")
                .collect();
            assert_eq!(codes, code.into_iter().collect::<Vec<_>>(), "{fault:?}");
            let other = forge.make(fault, &host, None).unwrap();
            assert_ne!(other.certificate.spki_der(), key.spki_der());
            assert!(!format!("{other:?}").contains("key_pkcs8: Zeroizing"));
        }
        let without = Forge {
            authority: None,
            ..forge
        };
        assert!(without.make(Fault::Expired, &host, None).is_err());
        assert!(without.make(Fault::OtherAuthority, &host, None).is_ok());
    }
}
