//! Requests, and whatever else may hold a public key, made by openssl and certtool.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Bench, authority, issue, now};
use relayca_ca::{
    Certificate, CertificateError, InspectError, Inspected, InspectedKind, KeyError, KeyType,
    LeafRequest, MAX_INPUT, RequestError, Role, public_key_from_csr, spki_of,
};

fn openssl_spki(bench: &Bench, key: &str) -> Vec<u8> {
    bench.must(&format!(
        "openssl pkey -in {key} -pubout -outform DER -out openssl.spki"
    ));
    std::fs::read(bench.path("openssl.spki")).unwrap()
}

fn only(found: Result<Vec<Inspected>, InspectError>) -> Inspected {
    let mut found = found.unwrap();
    assert_eq!(found.len(), 1);
    found.pop().unwrap()
}

#[test]
fn a_request_gives_its_key_and_none_of_its_wishes() {
    let bench = Bench::new();
    bench.put(
        "wishes.cnf",
        "[req]\nprompt=no\ndistinguished_name=dn\nreq_extensions=v3\nattributes=more\n[dn]\nO=Evil\nCN=www.example.net\n\
         [more]\nchallengePassword=hunter22\n[v3]\n\
         basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nextendedKeyUsage=serverAuth\n\
         subjectAltName=DNS:www.example.net,DNS:example.com\nnameConstraints=permitted;DNS:com\n",
    );
    bench.must("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout r.key -config wishes.cnf -out r.csr");
    let requested = public_key_from_csr(bench.text("r.csr").as_bytes()).unwrap();
    assert_eq!(requested.spki_der, openssl_spki(&bench, "r.key"));
    let ignored = requested.ignored.join("\n");
    for wish in [
        "www.example.net",
        "CA:true",
        "Key Cert Sign",
        "extendedKeyUsage",
        "example.com",
        "2.5.29.30",
        "challengePassword",
    ] {
        assert!(ignored.contains(wish), "{wish} is not in\n{ignored}");
    }
    assert!(!ignored.contains("hunter22"));

    let ca = authority(KeyType::P256, &[]);
    let wanted = LeafRequest {
        role: Role::MailHost,
        host: judges::host("a.example.org"),
        alt_names: Vec::new(),
        days: 30,
    };
    let leaf = ca.issue(&wanted, &requested.spki_der, now()).unwrap();
    assert!(!leaf.is_ca());
    assert_eq!(leaf.subject(), "CN=a.example.org");
    assert_eq!(leaf.alt_names().len(), 1);
    bench
        .openssl(&leaf, ca.certificate(), Role::MailHost, true)
        .unwrap();
}

#[test]
fn requests_of_every_kind_of_key_and_tool_are_taken() {
    let bench = Bench::new();
    for algorithm in [
        "ec -pkeyopt ec_paramgen_curve:prime256v1",
        "ec -pkeyopt ec_paramgen_curve:secp384r1",
        "ed25519",
        "rsa -pkeyopt rsa_keygen_bits:2048",
    ] {
        bench.must(&format!(
            "openssl genpkey -algorithm {algorithm} -out k.key"
        ));
        bench.must("openssl req -new -key k.key -subj / -out k.csr");
        bench.must("openssl req -new -key k.key -subj / -outform DER -out k.der");
        let spki = openssl_spki(&bench, "k.key");
        for file in ["k.csr", "k.der"] {
            let requested = public_key_from_csr(&std::fs::read(bench.path(file)).unwrap()).unwrap();
            assert_eq!(
                (requested.spki_der, requested.ignored),
                (spki.clone(), Vec::new()),
                "{algorithm} {file}"
            );
        }
        let found = only(spki_of(bench.text("k.csr").as_bytes()));
        assert_eq!(
            (found.kind, found.spki_der),
            (InspectedKind::CertificateRequest, spki)
        );
    }
    bench.put("c.cfg", "cn = a.example.org\n");
    bench.must("certtool --generate-privkey --key-type ecdsa --outfile c.key");
    bench.must("certtool --generate-request --template c.cfg --load-privkey c.key --outfile c.csr");
    let requested = public_key_from_csr(bench.text("c.csr").as_bytes()).unwrap();
    assert_eq!(requested.spki_der, openssl_spki(&bench, "c.key"));
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let bench = Bench::new();
    bench.must("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout r.key -subj /CN=a -outform DER -out r.der");
    let der = std::fs::read(bench.path("r.der")).unwrap();
    let openssl_key = openssl_spki(&bench, "r.key");
    let mut forged = der.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(
        public_key_from_csr(&forged).unwrap_err(),
        RequestError::Signature
    );
    for position in 0..der.len() {
        let mut changed = der.clone();
        changed[position] ^= 0x40;
        if let Ok(requested) = public_key_from_csr(&changed) {
            assert_eq!(requested.spki_der, openssl_key, "byte {position}");
        }
        assert!(public_key_from_csr(&der[..position]).is_err());
    }
    bench.must(
        "openssl req -new -newkey rsa:1024 -nodes -keyout weak.key -subj /CN=a -out weak.csr",
    );
    let error = public_key_from_csr(bench.text("weak.csr").as_bytes()).unwrap_err();
    assert!(
        matches!(error, RequestError::Key(KeyError::Unsupported(_))),
        "{error}"
    );

    bench.must("openssl req -in r.der -inform DER -out r.csr");
    let (csr, key) = (bench.text("r.csr"), bench.text("r.key"));
    let error = public_key_from_csr(format!("{csr}{key}").as_bytes()).unwrap_err();
    assert!(matches!(error, RequestError::ForeignBlock(_)));
    assert!(error.hint().unwrap().contains("private key"));
    assert_eq!(
        public_key_from_csr(format!("{csr}{csr}").as_bytes()).unwrap_err(),
        RequestError::NotOne(2)
    );
    assert!(public_key_from_csr(b"").is_err());
    assert_eq!(
        public_key_from_csr(&vec![0; 100_000]).unwrap_err(),
        RequestError::TooLarge
    );
}

#[test]
fn one_key_has_one_public_key_in_every_dress() {
    let bench = Bench::new();
    for algorithm in [
        "ec -pkeyopt ec_paramgen_curve:prime256v1",
        "ec -pkeyopt ec_paramgen_curve:secp384r1",
        "ec -pkeyopt ec_paramgen_curve:secp521r1",
        "ed25519",
        "rsa -pkeyopt rsa_keygen_bits:2048",
        "rsa -pkeyopt rsa_keygen_bits:2560",
    ] {
        bench.must(&format!(
            "openssl genpkey -algorithm {algorithm} -out k.key"
        ));
        let spki = openssl_spki(&bench, "k.key");
        bench.must("openssl req -x509 -key k.key -subj /CN=a -out k.crt");
        bench.must("openssl x509 -in k.crt -outform DER -out k.crt.der");
        bench.must("openssl req -new -key k.key -subj /CN=a -out k.csr");
        bench.must("openssl pkey -in k.key -pubout -out k.pub");
        // Ed25519 has no form of its own before PKCS#8.
        let old_form = if algorithm == "ed25519" {
            ""
        } else {
            "-traditional"
        };
        bench.must(&format!("openssl pkey -in k.key {old_form} -out k.trad"));
        bench.must("openssl pkey -in k.key -outform DER -out k.key.der");
        bench.must(&format!(
            "openssl pkey -in k.key {old_form} -outform DER -out k.trad.der"
        ));
        for (file, kind) in [
            ("k.key", InspectedKind::PrivateKey),
            ("k.trad", InspectedKind::PrivateKey),
            ("k.key.der", InspectedKind::PrivateKey),
            ("k.trad.der", InspectedKind::PrivateKey),
            ("k.pub", InspectedKind::PublicKey),
            ("openssl.spki", InspectedKind::PublicKey),
            ("k.csr", InspectedKind::CertificateRequest),
            ("k.crt", InspectedKind::Certificate),
            ("k.crt.der", InspectedKind::Certificate),
        ] {
            let found = only(spki_of(&std::fs::read(bench.path(file)).unwrap()));
            assert_eq!(
                (found.kind, &found.spki_der),
                (kind, &spki),
                "{algorithm} {file}"
            );
            assert_eq!(
                found.certificate_der.is_some(),
                kind == InspectedKind::Certificate
            );
        }
    }
    bench.must("openssl rsa -in k.key -RSAPublicKey_out -out rsa.pub");
    bench.must("openssl rsa -in k.key -RSAPublicKey_out -outform DER -out rsa.der");
    for file in ["rsa.pub", "rsa.der"] {
        let found = only(spki_of(&std::fs::read(bench.path(file)).unwrap()));
        assert_eq!(
            (found.kind, found.spki_der),
            (InspectedKind::PublicKey, openssl_spki(&bench, "k.key"))
        );
    }
}

#[test]
fn a_key_with_its_chain_comes_back_whole_and_in_order() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, Role::MailHost, "a.example.org", &[]);
    bench.must("openssl ecparam -genkey -name prime256v1 -out with-parameters.key");
    let key = bench.text("with-parameters.key");
    assert!(key.contains("EC PARAMETERS"));
    let chain = format!(
        "a note\n{key}{}{}",
        leaf.to_pem(),
        ca.certificate().to_pem()
    );
    let found = spki_of(chain.as_bytes()).unwrap();
    let kinds: Vec<_> = found.iter().map(|f| f.kind).collect();
    assert_eq!(
        kinds,
        [
            InspectedKind::PrivateKey,
            InspectedKind::Certificate,
            InspectedKind::Certificate
        ]
    );
    assert_eq!(found[1].certificate_der.as_deref(), Some(leaf.der()));
    assert_eq!(found[2].spki_der, ca.certificate().spki_der());
}

#[test]
fn what_cannot_be_read_is_said_and_never_left_out() {
    let bench = Bench::new();
    let ca = authority(KeyType::P256, &[]);
    let pem = ca.certificate().to_pem();
    assert_eq!(spki_of(b"").unwrap_err(), InspectError::Empty);
    assert_eq!(spki_of(b"hello").unwrap_err(), InspectError::Unknown);
    assert_eq!(
        spki_of(&vec![b' '; MAX_INPUT + 1]).unwrap_err(),
        InspectError::TooLarge
    );
    bench.must("openssl ecparam -name prime256v1 -out parameters.pem");
    assert_eq!(
        spki_of(bench.text("parameters.pem").as_bytes()).unwrap_err(),
        InspectError::Unknown
    );
    let damaged = pem.replacen("MII", "AII", 1);
    let both = format!("{pem}{damaged}");
    assert!(matches!(
        spki_of(both.as_bytes()).unwrap_err(),
        InspectError::Damaged(_)
    ));
    let cut = &both[..both.len() - 30];
    assert!(matches!(
        spki_of(cut.as_bytes()).unwrap_err(),
        InspectError::Armour(_)
    ));
    let relabelled = pem.replace("CERTIFICATE", "X509 CRL");
    assert!(matches!(
        spki_of(relabelled.as_bytes()).unwrap_err(),
        InspectError::UnknownBlock(_)
    ));

    bench.must("openssl genpkey -algorithm ed25519 -aes256 -pass pass:abcd -out sealed.key");
    assert_eq!(
        spki_of(bench.text("sealed.key").as_bytes()).unwrap_err(),
        InspectError::Key(KeyError::Encrypted)
    );
    bench.must("openssl pkcs8 -topk8 -in sealed.key -passin pass:abcd -passout pass:abcd -outform DER -out sealed.der");
    let sealed = std::fs::read(bench.path("sealed.der")).unwrap();
    assert_eq!(
        spki_of(&sealed).unwrap_err(),
        InspectError::Key(KeyError::Encrypted)
    );
}

#[test]
fn certificates_are_read_one_by_one_or_all_or_not_at_all() {
    let ca = authority(KeyType::P256, &[]);
    let leaf = issue(&ca, Role::MailHost, "a.example.org", &[]);
    let both = format!("{}{}", leaf.to_pem(), ca.certificate().to_pem());
    assert_eq!(
        Certificate::all_from_pem(&both).unwrap(),
        [leaf.clone(), ca.certificate().clone()]
    );
    assert_eq!(
        Certificate::from_pem(&both).unwrap_err(),
        CertificateError::Several(2)
    );
    assert_eq!(
        Certificate::from_pem("").unwrap_err(),
        CertificateError::None
    );
    let with_key = format!("{}{}", leaf.to_pem(), *ca.key().to_pkcs8_pem());
    let error = Certificate::all_from_pem(&with_key).unwrap_err();
    assert_eq!(
        error,
        CertificateError::ForeignBlock("PRIVATE KEY".to_owned())
    );
    let mut longer = leaf.der().to_vec();
    longer.push(0);
    assert_eq!(
        Certificate::from_der(&longer).unwrap_err(),
        CertificateError::Malformed
    );
}

#[test]
fn texts_in_a_certificate_cannot_play_tricks_on_a_terminal() {
    let bench = Bench::new();
    bench.put(
        "tricks.cnf",
        "[req]\nprompt=no\ndistinguished_name=dn\nutf8=yes\nstring_mask=utf8only\n[dn]\nO=a\u{1b}[31mred\u{7}\u{202e}\nCN=mail\u{1b}]0;x\n",
    );
    bench.must("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.key -utf8 -config tricks.cnf -out k.crt");
    let certificate = Certificate::from_pem(&bench.text("k.crt")).unwrap();
    for text in [
        certificate.subject(),
        certificate.issuer(),
        certificate.common_name().unwrap(),
    ] {
        assert!(
            !text.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{text:?}"
        );
    }
    assert!(certificate.subject().contains("mail"));
}
