//! Every certificate that relayca issues, before judges that are not ours: openssl, GnuTLS and pkilint.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::path::{Path, PathBuf};
use std::process::Command;

use authority::{Admin, judge, judged, unseal};

/// pkilint's PKIX profile, from the venv that `cargo xtask test` makes.
fn pkilint(certificate: &Path) {
    let default = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/judges/pkilint/bin/lint_pkix_cert");
    let lint = std::env::var_os("RELAYCA_PKILINT").map_or(default, PathBuf::from);
    assert!(
        lint.exists(),
        "{} is missing: `cargo xtask test` installs it, or RELAYCA_PKILINT names it",
        lint.display()
    );
    let found = judged(
        Command::new(&lint)
            .args(["lint", "-s", "NOTICE"])
            .arg(certificate),
    );
    assert_eq!(found.trim(), "", "{}: {found}", certificate.display());
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A leaf in all that uses it: right purpose yes, other purpose no.
fn chain_holds(ca: &Path, leaf: &Path, purpose: &str, other: &str) {
    let verdict = |purpose: &str| {
        let arguments = [
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-CAfile",
            text(ca),
            "-purpose",
            purpose,
            text(leaf),
        ];
        Command::new("openssl").args(arguments).output().unwrap()
    };
    let right = verdict(purpose);
    assert!(
        right.status.success(),
        "{}",
        String::from_utf8_lossy(&right.stderr)
    );
    assert!(
        !verdict(other).status.success(),
        "a certificate for {purpose} must not do for {other}"
    );
    let chain = [std::fs::read(leaf).unwrap(), std::fs::read(ca).unwrap()].concat();
    let told = authority::judge_input(
        "certtool",
        &["--verify", "--load-ca-certificate", text(ca)],
        &chain,
    );
    assert!(
        told.contains("Verified. The certificate is trusted."),
        "{told}"
    );
}

/// The whole of one authority's certificates before all judges.
fn all_hold(admin: &Admin, relay: &str, hosts: &[&str]) {
    let ca = admin.part("ca/ca.crt.pem");
    pkilint(&ca);
    for (host, purpose, other) in std::iter::once((relay, "sslserver", "sslclient"))
        .chain(hosts.iter().map(|host| (*host, "sslclient", "sslserver")))
    {
        let files = unseal(admin, host);
        let leaf = files.join(format!("{host}.crt.pem"));
        chain_holds(&ca, &leaf, purpose, other);
        pkilint(&leaf);
        // The key loads in both libraries and is the certificate's.
        let key = files.join(format!("{host}.key.pem"));
        judge("openssl", &["pkey", "-in", text(&key), "-noout", "-check"]);
        judge("certtool", &["--key-info", "--infile", text(&key)]);
        let code = admin.run(&["verify", text(&leaf)]);
        assert_eq!(code.code, Some(0), "{}{}", code.stdout, code.stderr);
    }
    let encrypted = admin.done(&["passphrase", "ca"]);
    let key = admin.part("ca/ca.key.pem");
    let told = judge(
        "certtool",
        &[
            "--pubkey-info",
            "--load-privkey",
            text(&key),
            "--password",
            encrypted.trim(),
        ],
    );
    assert!(told.contains("Public Key Information"), "{told}");
    judge(
        "openssl",
        &[
            "pkey",
            "-in",
            text(&key),
            "-noout",
            "-check",
            "-passin",
            &format!("pass:{}", encrypted.trim()),
        ],
    );
}

fn key_type_holds(key: &str) {
    let admin = Admin::new();
    admin.init(&["--ca-key", key, "--key", key]);
    admin.done(&["issue", "mailhost"]);
    all_hold(&admin, "relayhost.example.org", &["mailhost.example.org"]);
    assert_eq!(
        admin.json(&["show", "mailhost"])["certificates"][0]["key"],
        key
    );
}

#[test]
fn p256_certificates_hold_before_every_judge() {
    key_type_holds("p256");
}

#[test]
fn p384_certificates_hold_before_every_judge() {
    key_type_holds("p384");
}

#[test]
fn ed25519_certificates_hold_before_every_judge() {
    key_type_holds("ed25519");
}

#[test]
fn rsa2048_certificates_hold_before_every_judge() {
    key_type_holds("rsa2048");
}

#[test]
fn an_rsa4096_ca_and_an_rsa3072_leaf_hold_before_every_judge() {
    let admin = Admin::new();
    admin.init(&["--ca-key", "rsa4096", "--key", "p256"]);
    admin.done(&["issue", "mailhost", "--key", "rsa3072"]);
    all_hold(&admin, "relayhost.example.org", &["mailhost.example.org"]);
}

#[test]
fn a_permitted_name_outside_the_domain_holds_and_its_neighbours_do_not() {
    let admin = Admin::new();
    admin.init(&["--relay", "vps.example.net", "--permit", "vps.example.net"]);
    admin.done(&["issue", "mailhost"]);
    all_hold(&admin, "vps.example.net", &["mailhost.example.org"]);
    for outside in ["example.net", "other.example.net", "vps.example.com"] {
        let told = admin.refused(1, &["issue", outside]);
        assert!(
            told.contains("outside the domain") && told.contains("--permit"),
            "{told}"
        );
    }
    admin.refused(1, &["issue", "a", "--san", "192.0.2.7"]);
}

#[test]
fn a_relay_known_by_address_alone_holds_and_its_neighbours_do_not() {
    for (address, neighbour, name) in [
        ("192.0.2.7", "192.0.2.8", "relay-192-0-2-7.example.org"),
        (
            "2001:db8::7",
            "2001:db8::8",
            "relay-2001-0db8-0000-0000-0000-0000-0000-0007.example.org",
        ),
    ] {
        let admin = Admin::new();
        let told = admin.refused(
            2,
            &[
                "init",
                "example.org",
                "--recipient",
                admin.recipient(),
                "--relay",
                address,
            ],
        );
        assert!(told.contains(&format!("--permit {address}")), "{told}");
        admin.init(&["--relay", address, "--permit", address]);
        admin.done(&["issue", "mailhost"]);
        all_hold(&admin, name, &["mailhost.example.org"]);
        let names = &admin.json(&["show", name])["certificates"][0]["names"];
        assert_eq!(*names, serde_json::json!([name, address]));
        admin.refused(1, &["issue", "a", "--san", neighbour]);
    }
}

#[test]
fn a_leaf_has_the_profile_that_openssl_prints() {
    let admin = Admin::with_mailhost();
    let print = |path: &Path| judge("openssl", &["x509", "-in", text(path), "-noout", "-text"]);
    let ca = print(&admin.part("ca/ca.crt.pem"));
    for needle in [
        "CA:TRUE, pathlen:0",
        "X509v3 Name Constraints: critical",
        "DNS:example.org",
        "Certificate Sign, CRL Sign",
        "IP:0.0.0.0/0.0.0.0",
    ] {
        assert!(ca.contains(needle), "{needle}: {ca}");
    }
    assert!(!ca.contains("Extended Key Usage"), "{ca}");
    let files = unseal(&admin, "mailhost.example.org");
    let path = files.join("mailhost.example.org.crt.pem");
    let leaf = print(&path);
    for needle in [
        "CA:FALSE",
        "TLS Web Client Authentication",
        "DNS:mailhost.example.org",
        "Authority Key Identifier",
        "Subject Key Identifier",
    ] {
        assert!(leaf.contains(needle), "{needle}: {leaf}");
    }
    assert!(!leaf.contains("TLS Web Server Authentication"), "{leaf}");
    let serial = judge(
        "openssl",
        &["x509", "-in", text(&path), "-noout", "-serial"],
    );
    assert!(
        serial.trim().len() > "serial=".len() + 28,
        "16 random bytes: {serial}"
    );
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let admin = Admin::new();
    admin.init(&["--ca-days", "30"]);
    admin.done(&["issue", "mailhost", "--days", "3000"]);
    let list = admin.json(&["show", "mailhost"]);
    let end = |path: &Path| {
        judge(
            "openssl",
            &["x509", "-in", text(path), "-noout", "-enddate"],
        )
    };
    let files = unseal(&admin, "mailhost.example.org");
    assert_eq!(
        end(&admin.part("ca/ca.crt.pem")),
        end(&files.join("mailhost.example.org.crt.pem")),
        "{list}"
    );
}

#[test]
fn the_fingerprints_are_those_that_openssl_computes() {
    let admin = Admin::with_mailhost();
    let files = unseal(&admin, "mailhost.example.org");
    let certificate = files.join("mailhost.example.org.crt.pem");
    let key = files.join("mailhost.example.org.key.pem");
    let csr = admin.file("csr.pem");
    judge(
        "openssl",
        &[
            "req",
            "-new",
            "-key",
            text(&key),
            "-subj",
            "/CN=x",
            "-out",
            text(&csr),
        ],
    );
    let public = admin.file("public.der");
    judge(
        "openssl",
        &[
            "pkey",
            "-in",
            text(&key),
            "-pubout",
            "-outform",
            "der",
            "-out",
            text(&public),
        ],
    );
    for digest in ["md5", "sha1", "sha256", "sha384", "sha512"] {
        let sum = judge(
            "openssl",
            &["dgst", &format!("-{digest}"), "-c", text(&public)],
        );
        let pubkey = sum.trim().rsplit_once(' ').unwrap().1.to_uppercase();
        let print = judge(
            "openssl",
            &[
                "x509",
                "-in",
                text(&certificate),
                "-noout",
                "-fingerprint",
                &format!("-{digest}"),
            ],
        );
        let cert = print.trim().rsplit_once('=').unwrap().1.to_owned();
        let all = admin.json(&[
            "fingerprint",
            "--digest",
            digest,
            text(&certificate),
            text(&key),
            text(&csr),
            text(&public),
        ]);
        let all = all.as_array().unwrap();
        let of = |what: &str, pin: &str| {
            let one = all
                .iter()
                .find(|item| item["of"] == what && item["pin"] == pin);
            one.unwrap_or_else(|| panic!("{what} {pin}: {all:?}"))["fingerprint"]
                .as_str()
                .unwrap()
        };
        assert_eq!(of("certificate", "cert"), cert);
        for what in [
            "certificate",
            "private key",
            "certificate request",
            "public key",
        ] {
            assert_eq!(of(what, "pubkey"), pubkey, "{what}");
        }
        let map = admin.done(&["map", "--digest", digest, "--pin", "both"]);
        assert!(
            map.contains(&format!("{pubkey} mailhost.example.org"))
                && map.contains(&format!("{cert} mailhost.example.org")),
            "{map}"
        );
        let warned = admin.run(&["map", "--digest", digest]).stderr;
        assert_eq!(
            warned.contains(&format!("{digest} is weak")),
            ["md5", "sha1"].contains(&digest),
            "{warned}"
        );
    }
}

#[test]
fn postmap_looks_the_host_up_in_every_format() {
    let admin = Admin::with_mailhost();
    let fingerprint = admin.json(&["map"])["entries"][0]["fingerprint"]
        .as_str()
        .unwrap()
        .to_owned();
    admin.write("relay_clientcerts", admin.done(&["map"]));
    admin.write("texthash", admin.done(&["map", "--format", "texthash"]));
    let inline = admin.done(&["map", "--format", "inline"]);
    for kind in ["hash", "lmdb"] {
        let table = format!("{kind}:{}", admin.name("relay_clientcerts"));
        judge("postmap", &[&table]);
        assert_eq!(
            judge("postmap", &["-q", &fingerprint, &table]).trim(),
            "mailhost.example.org"
        );
    }
    for table in [
        format!("texthash:{}", admin.name("texthash")),
        inline.trim().to_owned(),
    ] {
        assert_eq!(
            judge("postmap", &["-q", &fingerprint, &table]).trim(),
            "mailhost.example.org",
            "{table}"
        );
    }
}
