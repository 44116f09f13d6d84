//! Revocation lists, as openssl, certtool and pkilint see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use std::process::Command;

use judges::{Bench, authority, authority_at, issue, now};
use relayca_ca::{
    Authority, Certificate, CrlError, IssueError, KeyType, NewCrl, PrivateKey, Reason,
    RevocationList, Revoked, Role, Serial,
};
use time::Duration;

fn revoked(certificate: &Certificate, reason: Reason) -> Revoked {
    Revoked {
        serial: certificate.serial().clone(),
        at: now(),
        reason,
    }
}

fn list(ca: &Authority, number: u64, revoked: Vec<Revoked>) -> RevocationList {
    let wanted = NewCrl {
        number,
        days: 30,
        revoked,
    };
    ca.revocation_list(&wanted, now()).unwrap()
}

/// Both judges take the list as the authority's.
fn taken(bench: &Bench, ca: &Certificate, crl: &RevocationList) {
    bench.put("ca.pem", ca.to_pem());
    bench.put("list.pem", crl.to_pem());
    bench.must("openssl crl -in list.pem -verify -CAfile ca.pem -noout");
    bench.must("certtool --crl-info --infile list.pem");
    let said = bench.must("certtool --verify-crl --load-ca-certificate ca.pem --infile list.pem");
    assert!(said.contains("output: Verified. The"), "{said}");
    assert!(crl.is_signed_by(ca));
    assert_eq!(&RevocationList::from_der(crl.der()).unwrap(), crl);
    assert_eq!(&RevocationList::from_pem(&crl.to_pem()).unwrap(), crl);
    assert_eq!(bench.must("openssl crl -in list.pem"), crl.to_pem());
}

/// What both verifiers say of the leaf, with the list in `list.pem`.
fn good(bench: &Bench, leaf: &Certificate) -> bool {
    bench.put("leaf.pem", leaf.to_pem());
    let openssl = bench
        .run("openssl verify -x509_strict -crl_check -CRLfile list.pem -CAfile ca.pem leaf.pem");
    let certtool = bench.run(
        "certtool --verify --load-ca-certificate ca.pem --load-crl list.pem --infile leaf.pem",
    );
    assert_eq!(
        openssl.is_ok(),
        certtool.is_ok(),
        "{openssl:?} {certtool:?}"
    );
    if let Err(said) = &openssl {
        assert!(said.contains("certificate revoked"), "{said}");
    }
    openssl.is_ok()
}

fn lists_of(key_type: KeyType) {
    let bench = Bench::new();
    let ca = authority(key_type, &[]);
    let gone = issue(&ca, Role::MailHost, "gone.example.org", &[]);
    let lost = issue(&ca, Role::Relay, "lost.example.org", &[]);
    let kept = issue(&ca, Role::MailHost, "kept.example.org", &[]);

    let empty = list(&ca, 1, Vec::new());
    taken(&bench, ca.certificate(), &empty);
    for leaf in [&gone, &lost, &kept] {
        assert!(good(&bench, leaf));
    }
    let second = list(
        &ca,
        2,
        vec![
            revoked(&gone, Reason::Unspecified),
            revoked(&lost, Reason::KeyCompromise),
        ],
    );
    taken(&bench, ca.certificate(), &second);
    assert!(!good(&bench, &gone));
    assert!(!good(&bench, &lost));
    assert!(good(&bench, &kept));
}

#[test]
fn lists_of_a_p256_authority_are_obeyed() {
    lists_of(KeyType::P256);
}

#[test]
fn lists_of_a_p384_authority_are_obeyed() {
    lists_of(KeyType::P384);
}

#[test]
fn lists_of_an_ed25519_authority_are_obeyed() {
    lists_of(KeyType::Ed25519);
}

#[test]
fn lists_of_rsa_authorities_are_obeyed() {
    for key_type in [KeyType::Rsa2048, KeyType::Rsa3072, KeyType::Rsa4096] {
        lists_of(key_type);
    }
}

#[test]
fn a_list_says_what_was_asked_and_openssl_reads_the_same() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    // In no order, of any length; one of them 0, which old openssl gave out.
    let serials = ["ff00", "7f", "00", "80", "0123456789abcdef0123456789abcdef"];
    let at = now();
    let asked: Vec<_> = serials
        .iter()
        .zip(Reason::ALL)
        .map(|(serial, reason)| Revoked {
            serial: serial.parse().unwrap(),
            at,
            reason,
        })
        .collect();
    let crl = list(&ca, 0x1_0000_0001, asked.clone());
    taken(&bench, ca.certificate(), &crl);
    assert_eq!(crl.number(), 0x1_0000_0001);
    assert_eq!(
        Some(crl.authority_key_id()),
        ca.certificate().subject_key_id()
    );
    assert_eq!(crl.issuer(), ca.certificate().subject());
    assert_eq!(
        crl.this_update(),
        ca.certificate().not_before().max(crl.this_update())
    );
    let told: Vec<_> = crl.revoked().iter().map(|r| r.serial.to_string()).collect();
    assert_eq!(told, ["00", "7f", "80", "ff00", serials[4]]);
    for entry in crl.revoked() {
        let wanted = asked.iter().find(|r| r.serial == entry.serial).unwrap();
        assert_eq!(entry.reason, wanted.reason);
        assert_eq!(entry.at, at.replace_nanosecond(0).unwrap());
    }
    let said = bench.must("openssl crl -in list.pem -noout -text");
    for line in [
        "Version 2",
        "X509v3 CRL Number",
        "4294967297",
        "X509v3 Authority Key Identifier",
        "Key Compromise",
        "CA Compromise",
        "Affiliation Changed",
        "Superseded",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("Unspecified"), "{said}");
    assert_eq!(said.matches("CRL Reason Code").count(), 4);

    let none = list(&ca, 7, Vec::new());
    taken(&bench, ca.certificate(), &none);
    let said = bench.must("openssl crl -in list.pem -noout -text");
    assert!(said.contains("No Revoked Certificates"), "{said}");
}

#[test]
fn every_reason_is_written_by_its_name() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, Role::MailHost, "gone.example.org", &[]);
    for (reason, name) in [
        (Reason::CessationOfOperation, "Cessation Of Operation"),
        (Reason::PrivilegeWithdrawn, "Privilege Withdrawn"),
    ] {
        taken(
            &bench,
            ca.certificate(),
            &list(&ca, 1, vec![revoked(&leaf, reason)]),
        );
        let said = bench.must("openssl crl -in list.pem -noout -text");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn pkilint_finds_nothing_in_a_list() {
    let bench = Bench::new();
    let program = judges::pkilint().with_file_name("lint_crl");
    for key_type in [KeyType::P256, KeyType::Ed25519, KeyType::Rsa2048] {
        let ca = authority(key_type, &[]);
        let leaf = issue(&ca, Role::MailHost, "gone.example.org", &[]);
        for entries in [
            Vec::new(),
            vec![revoked(&leaf, Reason::KeyCompromise)],
            vec![revoked(&leaf, Reason::Unspecified)],
        ] {
            let pem = bench.put("list.pem", list(&ca, 3, entries).to_pem());
            let output = Command::new(&program)
                .args(["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING"])
                .arg(&pem)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.trim().is_empty(), "{said}");
        }
    }
}

#[test]
fn an_authority_whose_key_was_encrypted_revokes_all_the_same() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, Role::MailHost, "gone.example.org", &[]);
    let sealed = ca.key().encrypt("a passphrase").unwrap();
    let key = PrivateKey::decrypt(&sealed, "a passphrase").unwrap();
    let loaded = Authority::load(ca.certificate().clone(), key, now()).unwrap();
    let crl = list(&loaded, 1, vec![revoked(&leaf, Reason::Superseded)]);
    taken(&bench, ca.certificate(), &crl);
    assert!(!good(&bench, &leaf));
}

#[test]
fn ten_thousand_entries_are_no_trouble() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let kept = issue(&ca, Role::MailHost, "kept.example.org", &[]);
    let gone = issue(&ca, Role::MailHost, "gone.example.org", &[]);
    let mut entries: Vec<_> = (0..9_999)
        .map(|_| Revoked {
            serial: Serial::random().unwrap(),
            at: now(),
            reason: Reason::Superseded,
        })
        .collect();
    entries.push(revoked(&gone, Reason::KeyCompromise));
    let crl = list(&ca, 9, entries);
    assert_eq!(crl.revoked().len(), 10_000);
    taken(&bench, ca.certificate(), &crl);
    assert!(good(&bench, &kept));
    assert!(!good(&bench, &gone));
}

#[test]
fn a_list_is_never_born_expired_nor_older_than_its_authority() {
    let made = now();
    let ca = authority_at(KeyType::P256, &[], made, 100);
    let wanted = |days| NewCrl {
        number: 1,
        days,
        revoked: Vec::new(),
    };
    assert_eq!(
        ca.revocation_list(&wanted(0), made),
        Err(IssueError::ListDays(0))
    );
    assert_eq!(
        ca.revocation_list(&wanted(u32::MAX), made),
        Err(IssueError::ListDays(u32::MAX))
    );
    let early = ca
        .revocation_list(&wanted(30), made - Duration::minutes(30))
        .unwrap();
    assert_eq!(early.this_update(), ca.certificate().not_before());
    let last = made + Duration::days(99);
    let late = ca.revocation_list(&wanted(30), last).unwrap();
    assert_eq!(late.next_update(), ca.certificate().not_after());
    assert!(late.this_update() < last && late.this_update() >= last - Duration::minutes(61));
    let end = ca.certificate().not_after();
    for at in [end, end + Duration::seconds(1), end + Duration::days(1)] {
        assert!(matches!(
            ca.revocation_list(&wanted(30), at),
            Err(IssueError::AuthorityExpired(_))
        ));
    }
    assert!(matches!(
        ca.revocation_list(&wanted(30), made - Duration::days(1)),
        Err(IssueError::AuthorityNotYetValid(_))
    ));
}

#[test]
fn one_serial_is_revoked_once() {
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, Role::MailHost, "gone.example.org", &[]);
    let wanted = NewCrl {
        number: 1,
        days: 30,
        revoked: vec![
            revoked(&leaf, Reason::Superseded),
            revoked(
                &issue(&ca, Role::Relay, "b.example.org", &[]),
                Reason::Superseded,
            ),
            revoked(&leaf, Reason::KeyCompromise),
        ],
    };
    assert_eq!(
        ca.revocation_list(&wanted, now()),
        Err(IssueError::RevokedTwice(leaf.serial().clone()))
    );
}

#[test]
fn a_stranger_or_a_successor_of_the_authority_did_not_sign_the_list() {
    let (ca, other) = (authority(KeyType::P256, &[]), authority(KeyType::P256, &[]));
    let crl = list(&ca, 1, Vec::new());
    assert!(!crl.is_signed_by(other.certificate()));
    let bench = Bench::new();
    bench.put("ca.pem", other.certificate().to_pem());
    bench.put("list.pem", crl.to_pem());
    bench
        .run("certtool --verify-crl --load-ca-certificate ca.pem --infile list.pem")
        .unwrap_err();
}

#[test]
fn an_altered_or_shortened_list_is_refused_or_unsigned() {
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, Role::MailHost, "gone.example.org", &[]);
    let crl = list(&ca, 1, vec![revoked(&leaf, Reason::KeyCompromise)]);
    let der = crl.der();
    for length in 0..der.len() {
        assert!(RevocationList::from_der(&der[..length]).is_err());
    }
    let mut longer = der.to_vec();
    longer.push(0);
    assert_eq!(RevocationList::from_der(&longer), Err(CrlError::Malformed));
    for position in 0..der.len() {
        for bit in [1, 0x10, 0x80] {
            let mut altered = der.to_vec();
            altered[position] ^= bit;
            if let Ok(read) = RevocationList::from_der(&altered) {
                assert!(!read.is_signed_by(ca.certificate()), "{position} {bit:#x}");
            }
        }
    }
    let pem = crl.to_pem();
    assert_eq!(
        RevocationList::from_pem(&format!("{pem}{pem}")),
        Err(CrlError::NotOne)
    );
    assert_eq!(
        RevocationList::from_pem(&ca.certificate().to_pem()),
        Err(CrlError::NotOne)
    );
    assert_eq!(RevocationList::from_pem(""), Err(CrlError::NotOne));
    assert_eq!(
        RevocationList::from_der(&vec![0x30; (1 << 24) + 1]),
        Err(CrlError::TooLarge)
    );
}

/// A list that openssl writes under the authority's key.
fn openssl_list(bench: &Bench, ca: &Authority, index: &str, extensions: &str) -> String {
    bench.put("ca.pem", ca.certificate().to_pem());
    bench.put("ca.key", ca.key().to_pkcs8_pem().as_bytes());
    bench.put("index.txt", index);
    bench.put("number", "2a\n");
    bench.put(
        "ca.cnf",
        format!(
            "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ncertificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\n\
             default_crl_days=30\n{extensions}"
        ),
    );
    bench.must("openssl ca -gencrl -config ca.cnf -out their.pem");
    bench.text("their.pem")
}

#[test]
fn what_openssl_writes_is_read_and_what_would_say_less_is_refused() {
    const GOOD: &str =
        "crlnumber=number\ncrl_extensions=ext\n[ext]\nauthorityKeyIdentifier=keyid:always\n";
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let entry =
        |reason: &str| format!("R\t360101000000Z\t260102030405Z{reason}\t0A1B\tunknown\t/CN=x\n");

    let text = openssl_list(&bench, &ca, &entry(",keyCompromise"), GOOD);
    let read = RevocationList::from_pem(&text).unwrap();
    assert!(read.is_signed_by(ca.certificate()));
    assert_eq!(read.number(), 0x2a);
    let [only] = read.revoked() else {
        panic!("{read:?}")
    };
    assert_eq!(only.serial, "0a1b".parse().unwrap());
    assert_eq!(only.reason, Reason::KeyCompromise);
    assert_eq!(only.at.unix_timestamp(), 1_767_323_045);

    let says = |index: &str, extensions: &str| {
        let error =
            RevocationList::from_pem(&openssl_list(&bench, &ca, index, extensions)).unwrap_err();
        assert!(error.hint().is_some());
        error.to_string()
    };
    let hold = says(&entry(",certificateHold"), GOOD);
    assert!(hold.contains("number 6"), "{hold}");
    let delta = says("", &format!("{GOOD}2.5.29.27=critical,DER:020101\n"));
    assert!(delta.contains("unknown critical"), "{delta}");
    let partial = says(
        "",
        &format!("{GOOD}issuingDistributionPoint=critical,@idp\n[idp]\nonlyCA=TRUE\n"),
    );
    assert!(partial.contains("unknown critical"), "{partial}");
    let unnumbered = says(
        "",
        "crl_extensions=ext\n[ext]\nauthorityKeyIdentifier=keyid:always\n",
    );
    assert!(unnumbered.contains("number"), "{unnumbered}");
    let keyless = says("", "crlnumber=number\n");
    assert!(keyless.contains("which key"), "{keyless}");
    let first_version = says("", "");
    assert!(first_version.contains("not a valid"), "{first_version}");
}
