//! Certificates, requests, revocation lists, and authorities made elsewhere.
//!
//! Promised: what is read is written again byte for byte, nothing in it steers a terminal, what is found good is good, and what
//! an authority signs bears its name as the authority bears it.

use relayca_ca::{
    AltName, Authority, Certificate, Finding, HostName, InspectedKind, IssueError, LeafRequest,
    NewCrl, PrivateKey, Reason, RevocationList, Revoked, Role, Serial, lint, public_key_from_csr,
    spki_of, verify, weaknesses,
};

use crate::{assert_printable, der, fixed};

/// [`Certificate`] from DER and PEM, all that it says, and all that is said about it.
pub fn certificates(data: &[u8]) -> bool {
    if let Ok(certificate) = Certificate::from_der(data) {
        assert_eq!(certificate.der(), data);
        assert_certificate(&certificate);
        return true;
    }
    if let Ok(text) = std::str::from_utf8(data) {
        match Certificate::all_from_pem(text) {
            Ok(all) => {
                assert!(!all.is_empty());
                assert_eq!(Certificate::from_pem(text).is_ok(), all.len() == 1);
                all.iter().take(8).for_each(assert_certificate);
                return true;
            }
            Err(error) => assert_printable(&error.to_string()),
        }
    }
    false
}

fn assert_certificate(certificate: &Certificate) {
    assert_eq!(
        Certificate::from_der(certificate.der()).as_ref(),
        Ok(certificate)
    );
    assert_eq!(
        Certificate::from_pem(&certificate.to_pem()).as_ref(),
        Ok(certificate)
    );
    for text in [
        certificate.subject(),
        certificate.issuer(),
        certificate.common_name().unwrap_or_default(),
        certificate.key_description(),
        &certificate.serial().to_string(),
    ] {
        assert_printable(text);
    }
    certificate
        .purposes()
        .iter()
        .for_each(|purpose| assert_printable(purpose));
    for name in certificate.alt_names() {
        assert_eq!(AltName::parse(&name.to_string()).as_ref(), Ok(name));
        let _ = certificate.permits(name);
    }
    for name in certificate.further_permits() {
        assert_printable(&name.to_string());
    }
    let _ = (
        certificate.subject_key_id(),
        certificate.authority_key_id(),
        certificate.role(),
        certificate.is_ca(),
        certificate.is_authority(),
        certificate.not_before(),
        certificate.not_after(),
        format!("{certificate:?}"),
    );
    // The public key inside is found by the other reader too.
    let found = spki_of(certificate.der()).unwrap();
    assert_eq!(found[0].spki_der, certificate.spki_der());

    let ca = fixed::authority().certificate();
    let at = fixed::now();
    assert_findings(&weaknesses(certificate));
    assert_findings(&lint(certificate, certificate));
    assert_findings(&lint(certificate, ca));
    assert_findings(&lint(ca, certificate));
    assert_findings(&verify(ca, std::slice::from_ref(certificate), None, at));
    for role in [None, Some(Role::MailHost), Some(Role::Relay)] {
        let findings = verify(certificate, std::slice::from_ref(ca), role, at);
        assert_findings(&findings);
        if findings.is_empty() {
            assert!(certificate.issuer_is(ca));
            assert!(certificate.not_before() <= at && at <= certificate.not_after());
            assert!(role.is_none() || certificate.role() == role);
            assert!(certificate.alt_names().iter().all(|name| ca.permits(name)));
        }
    }
}

fn assert_findings(findings: &[Finding]) {
    for finding in findings {
        assert!(!finding.code.is_empty() && !finding.message.is_empty());
        assert_printable(&finding.message);
        assert_printable(finding.hint.as_deref().unwrap_or_default());
    }
}

/// [`public_key_from_csr`]; the key that it gives can be certified.
pub fn requests(data: &[u8]) -> bool {
    let requested = match public_key_from_csr(data) {
        Ok(requested) => requested,
        Err(error) => {
            assert_printable(&error.to_string());
            return false;
        }
    };
    requested
        .ignored
        .iter()
        .for_each(|wish| assert_printable(wish));
    let found = spki_of(data).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, InspectedKind::CertificateRequest);
    assert_eq!(found[0].spki_der, requested.spki_der);
    let wanted = LeafRequest {
        role: Role::MailHost,
        host: HostName::parse("mail.example.org").unwrap(),
        alt_names: Vec::new(),
        days: 30,
    };
    match fixed::authority().issue(&wanted, &requested.spki_der, fixed::now()) {
        Ok(certificate) => {
            assert_eq!(certificate.spki_der(), requested.spki_der);
            // Of all that the request may wish for, nothing gets in.
            assert_eq!(certificate.alt_names(), [AltName::Dns(wanted.host)]);
            assert!(!certificate.is_ca());
        }
        Err(error) => assert_eq!(error, IssueError::AuthorityKey),
    }
    true
}

/// [`spki_of`].
pub fn inspection(data: &[u8]) -> bool {
    let found = match spki_of(data) {
        Ok(found) => found,
        Err(error) => {
            assert_printable(&error.to_string());
            return false;
        }
    };
    assert!(!found.is_empty());
    for one in found.iter().take(8) {
        assert_eq!(
            one.certificate_der.is_some(),
            one.kind == InspectedKind::Certificate
        );
        let key = spki_of(&one.spki_der).unwrap();
        assert_eq!(key.len(), 1);
        assert_eq!(key[0].kind, InspectedKind::PublicKey);
        assert_eq!(key[0].spki_der, one.spki_der);
    }
    true
}

/// [`RevocationList`] from DER and PEM.
pub fn revocation_lists(data: &[u8]) -> bool {
    let mut taken = false;
    let text = std::str::from_utf8(data).ok();
    let lists = [
        RevocationList::from_der(data),
        text.map_or(
            Err(relayca_ca::CrlError::Malformed),
            RevocationList::from_pem,
        ),
    ];
    for list in lists {
        let list = match list {
            Ok(list) => list,
            Err(error) => {
                assert_printable(&error.to_string());
                continue;
            }
        };
        assert_eq!(RevocationList::from_der(list.der()).as_ref(), Ok(&list));
        assert_eq!(RevocationList::from_pem(&list.to_pem()).as_ref(), Ok(&list));
        assert_printable(list.issuer());
        taken = true;
        let _ = list.is_signed_by(fixed::authority().certificate());
        for entry in list.revoked() {
            assert_eq!(
                entry.serial.to_string().parse::<Serial>().as_ref(),
                Ok(&entry.serial)
            );
        }
        let _ = (
            list.number(),
            list.this_update(),
            list.next_update(),
            list.authority_key_id(),
        );
    }
    taken
}

/// An authority made elsewhere: the certificate given, with the fixed key, its own name as issuer, and a signature that nobody
/// here can check, so that it gets as far as issuing.
pub fn foreign_authorities(data: &[u8]) -> bool {
    let Some(der) = transplanted(data) else {
        return false;
    };
    let Ok(certificate) = Certificate::from_der(&der) else {
        return false;
    };
    let now = certificate.not_before() + (certificate.not_after() - certificate.not_before()) / 2;
    let Ok(ca) = Authority::load(certificate, fixed::authority_key(), now) else {
        return false;
    };
    let mut issued = false;
    let subject =
        der::signed_fields(ca.certificate().der()).map(|fields| subject_of(&fields).to_vec());
    let subject = subject.unwrap();

    let mut hosts = vec![HostName::parse("mail.example.org").unwrap()];
    hosts.extend(
        ca.domain()
            .and_then(|domain| HostName::parse(domain.as_str()).ok()),
    );
    hosts.extend(
        ca.certificate()
            .further_permits()
            .into_iter()
            .filter_map(|name| match name {
                AltName::Dns(host) => Some(host),
                AltName::Ip(_) => None,
            }),
    );
    static KEY: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let spki = KEY.get_or_init(|| {
        let key = PrivateKey::generate(relayca_ca::KeyType::P256).unwrap();
        key.spki_der().to_vec()
    });
    for host in hosts.into_iter().take(3) {
        let permitted = ca.permits(&AltName::Dns(host.clone()));
        let wanted = LeafRequest {
            role: Role::Relay,
            host,
            alt_names: Vec::new(),
            days: 30,
        };
        match ca.issue(&wanted, spki, now) {
            Ok(leaf) => {
                assert!(permitted);
                issued = true;
                let fields = der::signed_fields(leaf.der()).unwrap();
                assert_eq!(issuer_of(&fields), subject);
                assert!(leaf.issuer_is(ca.certificate()));
                assert!(leaf.not_before() >= ca.certificate().not_before());
                assert!(leaf.not_after() <= ca.certificate().not_after());
                assert_eq!(leaf.spki_der(), spki);
            }
            Err(error @ (IssueError::Encoding | IssueError::Signing)) => panic!("{error}"),
            Err(error) => assert_printable(&error.to_string()),
        }
    }
    let wanted = NewCrl {
        number: 7,
        days: 30,
        revoked: vec![Revoked {
            serial: ca.certificate().serial().clone(),
            at: now,
            reason: Reason::Superseded,
        }],
    };
    match ca.revocation_list(&wanted, now) {
        Ok(list) => {
            let fields = der::signed_fields(list.der()).unwrap();
            // Version, algorithm, issuer.
            assert_eq!(fields[2], subject);
            assert!(list.is_signed_by(ca.certificate()));
        }
        Err(error @ (IssueError::Encoding | IssueError::Signing)) => panic!("{error}"),
        Err(error) => assert_printable(&error.to_string()),
    }
    issued
}

/// 0 where the version is absent, as it is in version 1.
fn after_version(fields: &[&[u8]]) -> usize {
    usize::from(
        fields
            .first()
            .is_some_and(|first| first.first() == Some(&0xa0)),
    )
}

fn issuer_of<'a>(fields: &[&'a [u8]]) -> &'a [u8] {
    fields[after_version(fields) + 2]
}

fn subject_of<'a>(fields: &[&'a [u8]]) -> &'a [u8] {
    fields[after_version(fields) + 4]
}

fn transplanted(data: &[u8]) -> Option<Vec<u8>> {
    // md5WithRSAEncryption, which is taken on trust in an authority's own certificate.
    const MD5: [u8; 15] = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04, 0x05, 0x00,
    ];
    let mut fields = der::signed_fields(data)?;
    let first = after_version(&fields);
    if fields.len() < first + 6 {
        return None;
    }
    let subject = fields[first + 4];
    let spki = fixed::authority().key().spki_der();
    fields[first + 1] = &MD5;
    fields[first + 2] = subject;
    fields[first + 5] = spki;
    let signed = der::element(0x30, &fields);
    let signature = der::element(0x03, &[&[0; 65]]);
    Some(der::element(0x30, &[&signed, &MD5, &signature]))
}
