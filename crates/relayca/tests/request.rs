//! A key that is made on the host: `request` there, `issue --csr` and `renew --rekey --csr` here. Requests are made and judged
//! by openssl, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use authority::{Admin, Tree, judge, judge_input, untar};
use serde_json::Value;

const HOST: &str = "mailhost.example.org";
const CSR: &str = "mailhost.example.org.csr.pem";

fn public_key_of_request(csr: &str) -> String {
    judge("openssl", &["req", "-in", csr, "-noout", "-pubkey"])
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = directory
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_request_is_a_key_for_its_owner_and_a_request_for_all() {
    for kind in ["p256", "p384", "ed25519", "rsa2048", "rsa3072"] {
        // No authority is there, and none is needed.
        let admin = Admin::new();
        let answer = admin.json(&["request", HOST, "--key", kind, "-C", "new"]);
        let mut keys: Vec<&str> = answer
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, ["fingerprint", "host", "key", "request"]);
        let (key, csr) = (
            admin.file("new").join(format!("{HOST}.key.pem")),
            admin.file("new").join(CSR),
        );
        assert_eq!(
            (answer["key"].as_str(), answer["request"].as_str()),
            (
                Some("new/mailhost.example.org.key.pem"),
                Some("new/mailhost.example.org.csr.pem")
            )
        );
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode(&key), mode(&csr), mode(&admin.file("new"))),
            (0o600, 0o644, 0o700)
        );
        let (key, csr) = (key.to_str().unwrap(), csr.to_str().unwrap());
        let told = judge(
            "openssl",
            &["req", "-in", csr, "-noout", "-verify", "-text"],
        );
        assert!(told.contains(HOST), "{told}");
        assert_eq!(
            public_key_of_request(csr),
            judge("openssl", &["pkey", "-in", key, "-pubout"])
        );
        let told = judge("certtool", &["--crq-info", "--infile", csr]);
        assert!(told.contains("Self signature: verified"), "{told}");
        assert_eq!(
            names(&admin.file("new")),
            [CSR, "mailhost.example.org.key.pem"]
        );
    }
}

#[test]
fn a_key_is_never_overwritten_and_no_half_is_left() {
    let admin = Admin::new();
    let printed = admin.done(&["request", HOST]);
    assert!(
        printed.starts_with("-----BEGIN CERTIFICATE REQUEST-----"),
        "{printed}"
    );
    assert_eq!(printed, std::fs::read_to_string(admin.file(CSR)).unwrap());
    let told = admin.refused(1, &["request", HOST]);
    assert!(told.contains("there already"), "{told}");
    std::fs::remove_file(admin.file(CSR)).unwrap();
    admin.refused(1, &["request", HOST]);
    std::os::unix::fs::symlink("nowhere", admin.file("m2.example.org.csr.pem")).unwrap();
    admin.refused(1, &["request", "m2.example.org"]);
    for (host, code) in [
        ("mailhost", 2),
        ("a b.example.org", 2),
        ("", 2),
        ("192.0.2.1", 2),
        ("../x.example.org", 2),
    ] {
        admin.refused(code, &["request", host]);
    }
    admin.refused(2, &["request", "m3.example.org", "--key", "dsa"]);
    admin.refused(1, &["request", "m3.example.org", "-C", "no/where"]);
    admin.refused(1, &["request", "m3.example.org", "-C", "/proc"]);
    let long = ["a"; 4].map(|label| label.repeat(60)).join(".") + ".example";
    let told = admin.refused(1, &["request", &long]);
    assert!(told.contains("too long") || told.contains("long"), "{told}");
}

#[test]
fn a_disk_that_fails_between_the_two_files_leaves_none() {
    let admin = Admin::new();
    let (near, far) = (format!("./{CSR}"), admin.name(CSR));
    for call in ["openat", "write", "fsync"] {
        let mut failed = 0;
        for when in 1..40 {
            let mut command = admin.program("strace");
            command
                .args([
                    "-f",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-P",
                    &near,
                    "-P",
                    &far,
                    "-e",
                ])
                .arg(format!("inject={call}:error=EIO:when={when}"))
                .args([authority::RELAYCA, "request", HOST]);
            let outcome = authority::Outcome::of(&mut command);
            let left: Vec<String> = names(&admin.home())
                .into_iter()
                .filter(|name| name.ends_with(".pem"))
                .collect();
            if outcome.code == Some(0) {
                assert_eq!(left.len(), 2);
                for name in left {
                    std::fs::remove_file(admin.file(&name)).unwrap();
                }
                break;
            }
            assert!(left.is_empty(), "{call} {when}: {left:?} {outcome:?}");
            failed += 1;
        }
        assert!(failed > 0, "no {call} failed");
    }
}

#[test]
fn an_international_name_is_written_in_letters_that_dns_has() {
    let admin = Admin::new();
    admin.done(&["request", "bücher.example.org"]);
    assert!(admin.file("xn--bcher-kva.example.org.key.pem").exists());
    let csr = admin.name("xn--bcher-kva.example.org.csr.pem");
    assert!(
        judge("openssl", &["req", "-in", &csr, "-noout", "-text"])
            .contains("DNS:xn--bcher-kva.example.org")
    );
    admin.init(&[]);
    admin.done(&["issue", "bücher", "--csr", &csr]);
}

#[test]
fn a_request_from_the_host_becomes_a_certificate_without_a_word_of_warning() {
    let admin = Admin::with_authority();
    for (host, der) in [("mailhost", false), ("other", true)] {
        let full = format!("{host}.example.org");
        admin.done(&["request", &full, "-C", host]);
        let mut csr = format!("{host}/{full}.csr.pem");
        if der {
            judge(
                "openssl",
                &[
                    "req",
                    "-in",
                    &admin.name(&csr),
                    "-outform",
                    "DER",
                    "-out",
                    &admin.name("csr.der"),
                ],
            );
            csr = "csr.der".to_owned();
        }
        let outcome = admin.run(&["issue", host, "--csr", &csr, "--json"]);
        assert!(!outcome.stderr.contains("warning"), "{outcome:?}");
        let answer: Value = serde_json::from_str(&outcome.done()).unwrap();
        let issued = &answer["issued"][0];
        assert_eq!(
            (&issued["passphrase_file"], issued["role"].as_str()),
            (&Value::Null, Some("mailhost"))
        );
        let bundle = issued["bundle"].as_str().unwrap();
        assert!(bundle.ends_with(".public.tar"), "{bundle}");
        let files = untar(&admin, &std::fs::read(bundle).unwrap());
        assert!(
            !names(&files).iter().any(|name| name.contains("key")),
            "{files:?}"
        );
        assert!(!Tree::of(&admin.part("bundles")).holds(b"PRIVATE KEY"));
        let pem = std::fs::read_to_string(files.join(format!("{full}.crt.pem"))).unwrap();
        let key = admin.name(&format!("{host}/{full}.key.pem"));
        assert_eq!(
            judge_input("openssl", &["x509", "-noout", "-pubkey"], pem.as_bytes()),
            judge("openssl", &["pkey", "-in", &key, "-pubout"])
        );
    }
    // For such a host every command gives a clear answer.
    assert!(
        !admin
            .part(&format!("bundles/{HOST}.passphrase.age"))
            .exists()
    );
    let told = admin.refused(1, &["passphrase", "mailhost"]);
    assert!(
        told.contains("made on the host") && told.contains("relayca bundle"),
        "{told}"
    );
    let recipient = admin.recipient().to_owned();
    let told = admin.refused(1, &["bundle", "mailhost", "--seal-to", &recipient]);
    assert!(told.contains("made on the host"), "{told}");
    admin.done(&["bundle", "mailhost"]);
    admin.done(&[
        "open",
        admin
            .part(&format!("bundles/{HOST}.public.tar"))
            .to_str()
            .unwrap(),
        "-C",
        "laid",
    ]);
    judge_input(
        "sh",
        &["-n"],
        admin.done(&["snippet", "mailhost"]).as_bytes(),
    );
    admin.done(&["renew", "mailhost"]);
}

#[test]
fn what_is_printed_unpacks_beside_the_key_and_opens_no_seal() {
    let admin = Admin::with_authority();
    admin.done(&["request", HOST]);
    let printed = admin.done(&["issue", "mailhost", "--csr", CSR]);
    judge_input("sh", &["-n"], printed.as_bytes());
    assert!(
        printed.contains("public.tar")
            && !printed.contains("age -d")
            && !printed.contains("relayca passphrase"),
        "{printed}"
    );
}
