//! What the world would trust, with certificates made, and judged once more, by openssl.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use relayca_probe::{Trust, TrustStore, bears_name, bears_public_marks, names_of, trust};

const HOST: &str = "mail.example.org";

/// A root, an intermediate and what hangs on them, all made by openssl.
struct Pki {
    directory: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        let pki = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        pki.make("root", None, 3650, CA);
        pki.make("middle", Some("root"), 3650, CA);
        pki
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate with a key of its own, signed by another or by itself, valid for these days.
    fn make(&self, name: &str, issuer: Option<&str>, days: i32, extensions: &str) {
        let path = |suffix: &str| self.file(&format!("{name}.{suffix}"));
        let own_key = path("key").to_str().unwrap().to_owned();
        openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            &own_key,
        ]);
        std::fs::write(path("ext"), extensions).unwrap();
        let request = path("csr").to_str().unwrap().to_owned();
        openssl(&[
            "req",
            "-new",
            "-key",
            &own_key,
            "-subj",
            &format!("/CN={name}"),
            "-out",
            &request,
        ]);
        let (days, extensions, out) = (
            days.to_string(),
            path("ext").to_str().unwrap().to_owned(),
            path("pem").to_str().unwrap().to_owned(),
        );
        let mut arguments = vec![
            "x509",
            "-req",
            "-in",
            &request,
            "-days",
            &days,
            "-extfile",
            &extensions,
            "-out",
            &out,
        ];
        let (certificate, key);
        match issuer {
            Some(issuer) => {
                certificate = self.file(&format!("{issuer}.pem"));
                key = self.file(&format!("{issuer}.key"));
                arguments.extend([
                    "-CA",
                    certificate.to_str().unwrap(),
                    "-CAkey",
                    key.to_str().unwrap(),
                    "-CAcreateserial",
                ]);
            }
            None => arguments.extend(["-signkey", &own_key]),
        }
        openssl(&arguments);
    }

    fn der(&self, name: &str) -> Vec<u8> {
        openssl(&[
            "x509",
            "-in",
            self.file(&format!("{name}.pem")).to_str().unwrap(),
            "-outform",
            "DER",
        ])
    }

    fn chain(&self, names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| self.der(name)).collect()
    }

    fn store(&self, names: &[&str]) -> TrustStore {
        let texts: Vec<Vec<u8>> = names
            .iter()
            .map(|name| read(&self.file(&format!("{name}.pem"))))
            .collect();
        TrustStore::from_pem(&texts.concat())
    }

    /// What openssl says of the same certificates.
    fn openssl_trusts(&self, leaf: &str, sent: &[&str]) -> bool {
        let mut command = Command::new("openssl");
        command.args([
            "verify",
            "-no-CAfile",
            "-no-CApath",
            "-no-CAstore",
            "-purpose",
            "sslserver",
        ]);
        command.arg("-CAfile").arg(self.file("root.pem"));
        for other in sent {
            command
                .arg("-untrusted")
                .arg(self.file(&format!("{other}.pem")));
        }
        let output = command
            .arg(self.file(&format!("{leaf}.pem")))
            .output()
            .unwrap();
        output.status.success()
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n";
const SERVER: &str = "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:mail.example.org,DNS:*.mx.example.org,IP:192.0.2.7\n";

#[test]
fn a_chain_is_trusted_where_its_intermediate_was_sent() {
    let pki = Pki::new();
    pki.make("leaf", Some("middle"), 90, SERVER);
    let store = pki.store(&["root"]);
    assert_eq!(
        (store.len(), store.unreadable(), store.is_empty()),
        (1, 0, false)
    );
    for (sent, expected) in [
        (&["middle"][..], Trust::Trusted),
        (&["middle", "root"], Trust::Trusted),
        (&["root", "middle"], Trust::Trusted),
        (&[], Trust::UnknownIssuer),
        (&["root"], Trust::UnknownIssuer),
    ] {
        let names: Vec<&str> = std::iter::once("leaf")
            .chain(sent.iter().copied())
            .collect();
        assert_eq!(
            trust(&pki.chain(&names), &store, now()),
            expected,
            "{sent:?}"
        );
        assert_eq!(
            pki.openssl_trusts("leaf", sent),
            expected == Trust::Trusted,
            "{sent:?}"
        );
    }
    assert_eq!(
        trust(
            &pki.chain(&["leaf", "middle"]),
            &TrustStore::default(),
            now()
        ),
        Trust::UnknownIssuer
    );
    assert!(matches!(trust(&[], &store, now()), Trust::Faulty(_)));
    assert!(matches!(
        trust(&[b"nonsense".to_vec()], &store, now()),
        Trust::Faulty(_)
    ));
}

#[test]
fn what_does_not_hold_is_told_by_its_kind() {
    let pki = Pki::new();
    let store = pki.store(&["root"]);
    pki.make("client", Some("root"), 90, "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:mail.example.org\n");
    pki.make("below-a-leaf", Some("client"), 90, SERVER);
    pki.make("stranger", None, 90, CA);
    pki.make("leaf", Some("root"), 90, SERVER);
    let judged = |names: &[&str]| trust(&pki.chain(names), &store, now());
    let Trust::Faulty(why) = judged(&["client"]) else {
        panic!()
    };
    assert!(why.contains("serverAuth"), "{why}");
    assert!(!pki.openssl_trusts("client", &[]));
    let Trust::Faulty(why) = judged(&["below-a-leaf", "client"]) else {
        panic!()
    };
    assert!(why.contains("may not sign"), "{why}");
    assert!(!pki.openssl_trusts("below-a-leaf", &["client"]));
    // A CA made by `openssl req -x509` and used as the server's own certificate.
    let Trust::Faulty(why) = judged(&["stranger"]) else {
        panic!()
    };
    assert!(why.contains("CA's certificate"), "{why}");
    assert_eq!(
        trust(&pki.chain(&["leaf"]), &store, now() + 100 * 86_400),
        Trust::OutOfDate
    );
    assert_eq!(
        trust(&pki.chain(&["leaf"]), &store, now() - 86_400),
        Trust::OutOfDate
    );
}

#[test]
fn a_self_signed_certificate_is_trusted_by_those_who_have_it() {
    let pki = Pki::new();
    pki.make("own", None, 90, SERVER);
    pki.make("own-ca", None, 90, CA);
    for own in ["own", "own-ca"] {
        assert_ne!(
            trust(&pki.chain(&[own]), &pki.store(&["root"]), now()),
            Trust::Trusted
        );
        assert_eq!(
            trust(&pki.chain(&[own]), &pki.store(&["root", own]), now()),
            Trust::Trusted
        );
    }
}

#[test]
fn one_odd_certificate_in_a_store_distrusts_no_other() {
    let pki = Pki::new();
    pki.make("leaf", Some("root"), 90, SERVER);
    let odd = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let text = [
        b"# a comment\n".to_vec(),
        odd.into(),
        read(&pki.file("root.key")),
        read(&pki.file("root.pem")),
    ]
    .concat();
    let store = TrustStore::from_pem(&text);
    assert_eq!((store.len(), store.unreadable()), (1, 1));
    assert_eq!(trust(&pki.chain(&["leaf"]), &store, now()), Trust::Trusted);
    assert!(TrustStore::from_pem(b"").is_empty());
    assert!(TrustStore::from_pem(&[0xff; 5000]).is_empty());
}

#[test]
fn names_count_in_the_alternative_names_only() {
    let pki = Pki::new();
    pki.make("leaf", Some("root"), 90, SERVER);
    pki.make(HOST, Some("root"), 90, "basicConstraints=CA:FALSE\n");
    let leaf = pki.der("leaf");
    for (host, expected) in [
        (HOST, true),
        ("MAIL.example.org", true),
        ("a.mx.example.org", true),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("mx.example.org", false),
        ("a.b.mx.example.org", false),
        ("example.org", false),
        ("leaf", false),
        ("a b", false),
        ("", false),
    ] {
        assert_eq!(bears_name(&leaf, host), expected, "{host}");
    }
    assert!(!bears_name(&pki.der(HOST), HOST), "in the subject only");
    assert!(!bears_name(b"nonsense", HOST));
    assert_eq!(names_of(&leaf), [HOST, "*.mx.example.org"]);
    assert!(names_of(&pki.der(HOST)).is_empty() && names_of(b"nonsense").is_empty());
}

#[test]
fn marks_of_public_authorities_are_seen() {
    let pki = Pki::new();
    pki.make("private", Some("root"), 90, SERVER);
    pki.make(
        "public",
        Some("root"),
        90,
        "basicConstraints=CA:FALSE\nauthorityInfoAccess=caIssuers;URI:http://ca.example/r3.der\n",
    );
    pki.make(
        "logged",
        Some("root"),
        90,
        "basicConstraints=CA:FALSE\n1.3.6.1.4.1.11129.2.4.2=DER:04020000\n",
    );
    assert!(!bears_public_marks(&pki.der("private")));
    assert!(bears_public_marks(&pki.der("public")));
    assert!(bears_public_marks(&pki.der("logged")));
}
