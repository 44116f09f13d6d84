//! Certificate requests as strangers write them, and keys that may not be certified.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use authority::{Admin, judge, judge_input, untar};
use serde_json::json;

const HOST: &str = "mailhost.example.org";
const CSR: &str = "mailhost.example.org.csr.pem";

/// A key and a request by openssl.
fn openssl_request(admin: &Admin, name: &str, algorithm: &[&str], more: &[&str]) -> String {
    let (key, csr) = (
        admin.name(&format!("{name}.key")),
        admin.name(&format!("{name}.csr")),
    );
    let mut arguments = vec!["genpkey", "-out", &key, "-algorithm"];
    arguments.extend(algorithm);
    judge("openssl", &arguments);
    request_for(&key, &csr, more);
    csr
}

fn request_for(key: &str, csr: &str, more: &[&str]) {
    let mut arguments = vec!["req", "-new", "-key", key, "-out", csr];
    if !more.contains(&"-subj") {
        arguments.extend(["-subj", "/CN=x"]);
    }
    arguments.extend(more);
    judge("openssl", &arguments);
}

const P256: [&str; 3] = ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

fn public_key_of_request(csr: &str) -> String {
    judge("openssl", &["req", "-in", csr, "-noout", "-pubkey"])
}

fn certificate(admin: &Admin, host: &str) -> String {
    let shown = admin.json(&["show", host]);
    let all = shown["certificates"].as_array().unwrap();
    all.iter().find(|one| one["state"] == "live").unwrap()["pem"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn every_wish_but_the_key_is_ignored_and_said() {
    let admin = Admin::with_authority();
    let wishes = [
        "-subj",
        "/CN=evil.example.net/O=Somebody",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "subjectAltName=DNS:evil.example.net,IP:192.0.2.1",
        "-addext",
        "extendedKeyUsage=serverAuth",
        "-addext",
        "keyUsage=keyCertSign",
    ];
    let csr = openssl_request(&admin, "wishes", &P256, &wishes);
    let outcome = admin.run(&["issue", "mailhost", "--csr", &csr]);
    for wish in ["evil.example.net", "CA:true", "Key Cert Sign"] {
        assert!(outcome.stderr.contains(wish), "{outcome:?}");
    }
    assert_eq!(
        outcome.stderr.matches("relayca: warning:").count(),
        1,
        "{outcome:?}"
    );
    outcome.done();
    let shown = judge_input(
        "openssl",
        &["x509", "-noout", "-text"],
        certificate(&admin, "mailhost").as_bytes(),
    );
    assert!(
        shown.contains("CA:FALSE") && shown.contains("TLS Web Client Authentication"),
        "{shown}"
    );
    for wish in [
        "evil",
        "192.0.2.1",
        "Server Authentication",
        "Certificate Sign",
        "Somebody",
    ] {
        assert!(!shown.contains(wish), "{wish}: {shown}");
    }
    // A rekey warns once, too.
    let csr = openssl_request(&admin, "more", &P256, &wishes);
    let outcome = admin.run(&["renew", "--rekey", "mailhost", "--csr", &csr]);
    assert_eq!(
        outcome.stderr.matches("relayca: warning:").count(),
        1,
        "{outcome:?}"
    );
    // The new key does not lie where the old one does.
    assert!(
        outcome
            .done()
            .contains("goes there, where it does not lie already: /etc/postfix/relayca/mailhost.example.org.key.pem")
    );
}

#[test]
fn what_is_no_request_is_refused_and_nothing_changes() {
    let admin = Admin::with_authority();
    admin.done(&["request", HOST]);
    let pem = std::fs::read(admin.file(CSR)).unwrap();
    judge(
        "openssl",
        &[
            "req",
            "-in",
            &admin.name(CSR),
            "-outform",
            "DER",
            "-out",
            &admin.name("der"),
        ],
    );
    let mut der = std::fs::read(admin.file("der")).unwrap();
    let last = der.len() - 1;
    der[last] ^= 1;
    admin.write("tampered", &der);
    der[last] ^= 1;
    der.push(0);
    admin.write("longer", &der);
    der.truncate(last);
    admin.write("shorter", &der);
    admin.write("two", [pem.clone(), pem.clone()].concat());
    let key = std::fs::read(admin.file(&format!("{HOST}.key.pem"))).unwrap();
    admin.write("with-key", [pem.clone(), key.clone()].concat());
    admin.write("key", key);
    admin.write("ca", std::fs::read(admin.part("ca/ca.crt.pem")).unwrap());
    admin.write("cut", &pem[..pem.len() - 40]);
    admin.write("huge", vec![b'x'; 2 << 20]);
    admin.write("large", vec![b'x'; 100 << 10]);
    admin.write("empty", "");
    for file in [
        "tampered",
        "longer",
        "shorter",
        "two",
        "with-key",
        "key",
        "ca",
        "cut",
        "huge",
        "large",
        "empty",
        "/nowhere",
        "/",
        "/dev/zero",
    ] {
        let told = admin.refused(1, &["issue", "mailhost", "--csr", file]);
        assert!(told.contains(file), "{file}: {told}");
    }
    let told = admin.refused(1, &["issue", "mailhost", "--csr", "with-key"]);
    assert!(told.contains("on its host"), "{told}");
    for more in [["--key", "p384"], ["--seal-to", "age1x"], ["--from", "x"]] {
        admin.refused(
            2,
            &[["issue", "mailhost", "--csr", CSR].as_slice(), &more].concat(),
        );
    }
    admin.refused(2, &["issue", "a", "b", "--csr", CSR]);
    admin.refused(2, &["renew", "--rekey", "--due", "--csr", CSR]);
    admin.refused(2, &["renew", "mailhost", "--csr", CSR]);
    admin.refused(1, &["renew", "--rekey", "mailhost", "--csr", CSR]);
    admin.done(&["issue", "mailhost", "--csr", CSR]);
}

#[test]
fn weak_and_uncommon_keys_are_refused() {
    let admin = Admin::with_authority();
    for (name, algorithm, more) in [
        (
            "rsa1024",
            ["RSA", "-pkeyopt", "rsa_keygen_bits:1024"].as_slice(),
            [].as_slice(),
        ),
        (
            "secp256k1",
            &["EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
            &[],
        ),
        (
            "sm2",
            &["EC", "-pkeyopt", "ec_paramgen_curve:SM2"],
            &["-sm3"],
        ),
        ("ed448", &["ED448"], &[]),
        ("p521", &["EC", "-pkeyopt", "ec_paramgen_curve:P-521"], &[]),
        ("dsa", &["RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], &[]),
    ] {
        let csr = openssl_request(&admin, name, algorithm, more);
        let told = admin.refused(1, &["issue", "mailhost", "--csr", &csr]);
        assert!(told.contains(name), "{name}: {told}");
    }
    for (number, algorithm) in [
        ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"].as_slice(),
        &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["ED25519"],
    ]
    .iter()
    .enumerate()
    {
        let csr = openssl_request(&admin, &format!("good{number}"), algorithm, &[]);
        admin.done(&["issue", &format!("h{number}"), "--csr", &csr]);
    }
}

#[test]
fn a_key_is_for_one_host_and_never_the_cas() {
    let admin = Admin::with_authority();
    admin.done(&["request", HOST]);
    admin.done(&["issue", "mailhost", "--csr", CSR]);
    let told = admin.refused(1, &["issue", "other", "--csr", CSR]);
    assert!(
        told.contains(HOST) && told.contains("one host") && told.contains("relayca request"),
        "{told}"
    );
    // Neither is a relay's a mail host's, nor of a host whose certificate has expired or was retired.
    admin.done(&["issue", "third"]);
    let relay =
        authority::unseal(&admin, "relayhost.example.org").join("relayhost.example.org.key.pem");
    request_for(relay.to_str().unwrap(), &admin.name("relay.csr"), &[]);
    admin.refused(1, &["issue", "other", "--csr", "relay.csr"]);
    let told = admin.refused(1, &["renew", "--rekey", "third", "--csr", CSR]);
    assert!(told.contains(HOST), "{told}");
    let told = admin.refused(1, &["renew", "--rekey", "mailhost", "--csr", CSR]);
    assert!(told.contains("already"), "{told}");
    let passphrase = admin.done(&["passphrase", "ca"]);
    let ca_key = admin.part("ca/ca.key.pem");
    let ca_request = admin.name("ca.csr");
    request_for(
        ca_key.to_str().unwrap(),
        &ca_request,
        &["-passin", &format!("pass:{}", passphrase.trim())],
    );
    for command in [
        ["issue", "other", "--csr", &ca_request].as_slice(),
        &["renew", "--rekey", "third", "--csr", &ca_request],
    ] {
        let told = admin.refused(1, command);
        assert!(told.contains("key of a CA"), "{told}");
    }
}

#[test]
fn a_revoked_key_is_never_certified_again() {
    let admin = Admin::with_authority();
    admin.done(&["request", HOST]);
    admin.done(&["issue", "mailhost", "--csr", CSR]);
    admin.done(&["revoke", "mailhost", "--reason", "keyCompromise"]);
    admin.done(&["issue", "third"]);
    for command in [
        ["issue", "other", "--csr", CSR].as_slice(),
        &["renew", "mailhost"],
        &["renew", "--rekey", "mailhost", "--csr", CSR],
        &["renew", "--rekey", "third", "--csr", CSR],
    ] {
        let told = admin.refused(1, command);
        assert!(told.contains("revoked"), "{told}");
    }
    // A new request is the way back, and the key stays on the host.
    admin.done(&["request", HOST, "-C", "again"]);
    let answer = admin.json(&[
        "renew",
        "--rekey",
        "mailhost",
        "--csr",
        &format!("again/{CSR}"),
    ]);
    assert_eq!(answer["renewed"][0]["rekeyed"], json!(true));
    assert_eq!(answer["map_entries"], 2);
    assert!(!admin.part(&format!("bundles/{HOST}.tar.age")).exists());
}

#[test]
fn a_host_with_a_sealed_key_can_go_over_to_its_own() {
    let admin = Admin::with_mailhost();
    admin.done(&["request", HOST]);
    let answer = admin.json(&["renew", "--rekey", "mailhost", "--csr", CSR]);
    let one = &answer["renewed"][0];
    let serial = one["supersedes"].as_str().unwrap();
    // The old bundle is the way back and lies aside; the new one has no key.
    for name in ["tar.age", "passphrase.age"] {
        assert!(admin.part(&format!("bundles/old/{serial}.{name}")).exists());
        assert!(!admin.part(&format!("bundles/{HOST}.{name}")).exists());
    }
    assert!(one["bundle"].as_str().unwrap().ends_with("public.tar"));
    let printed = public_key_of_request(&admin.name(CSR));
    let files = untar(
        &admin,
        &std::fs::read(one["bundle"].as_str().unwrap()).unwrap(),
    );
    let certificate = files.join(format!("{HOST}.crt.pem"));
    assert_eq!(
        judge(
            "openssl",
            &[
                "x509",
                "-noout",
                "-pubkey",
                "-in",
                certificate.to_str().unwrap()
            ]
        ),
        printed
    );
    // A relay likewise.
    let relay = "relayhost.example.org";
    admin.done(&["request", relay]);
    let answer = admin.json(&[
        "renew",
        "--rekey",
        "relayhost",
        "--csr",
        &format!("{relay}.csr.pem"),
    ]);
    let files = untar(
        &admin,
        &std::fs::read(answer["renewed"][0]["bundle"].as_str().unwrap()).unwrap(),
    );
    let certificate = files.join(format!("{relay}.crt.pem"));
    assert_eq!(
        judge(
            "openssl",
            &[
                "x509",
                "-noout",
                "-pubkey",
                "-in",
                certificate.to_str().unwrap()
            ]
        ),
        public_key_of_request(&admin.name(&format!("{relay}.csr.pem")))
    );
}
