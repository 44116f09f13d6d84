//! The revocation list before its judges: openssl and GnuTLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use authority::{Admin, Outcome, judge, judge_input, unseal};
use serde_json::{Value, json};

const HOST: &str = "mailhost.example.org";
const REASONS: [(&str, &str); 7] = [
    ("unspecified", ""),
    ("keyCompromise", "Key Compromise"),
    ("cACompromise", "CA Compromise"),
    ("affiliationChanged", "Affiliation Changed"),
    ("superseded", "Superseded"),
    ("cessationOfOperation", "Cessation Of Operation"),
    ("privilegeWithdrawn", "Privilege Withdrawn"),
];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Lists {
    admin: Admin,
    ca: PathBuf,
    list: PathBuf,
}

impl Lists {
    fn openssl(&self, what: &[&str]) -> String {
        let mut arguments = vec!["crl", "-in", text(&self.list), "-noout"];
        arguments.extend(what);
        judge("openssl", &arguments)
    }

    fn crl(&self, more: &[&str]) {
        let mut arguments = vec!["crl", "--out", text(&self.list)];
        arguments.extend(more);
        assert_eq!(self.admin.done(&arguments), "");
    }

    /// Whether openssl and certtool take a certificate.
    fn takes(&self, certificate: &Path) -> [bool; 2] {
        let openssl = Command::new("openssl")
            .args([
                "verify",
                "-crl_check",
                "-x509_strict",
                "-CAfile",
                text(&self.ca),
                "-CRLfile",
                text(&self.list),
                text(certificate),
            ])
            .output()
            .unwrap();
        let mut certtool = Command::new("certtool");
        certtool.args([
            "--verify",
            "--load-ca-certificate",
            text(&self.ca),
            "--load-crl",
            text(&self.list),
        ]);
        let told = authority::feed(&mut certtool, &std::fs::read(certificate).unwrap());
        [
            openssl.status.success(),
            told.code == Some(0) && told.stdout.contains("The certificate is trusted"),
        ]
    }
}

fn lists(admin: Admin) -> Lists {
    let (ca, list) = (admin.part("ca/ca.crt.pem"), admin.file("list.pem"));
    Lists { admin, ca, list }
}

#[test]
fn the_list_holds_before_openssl_and_gnutls() {
    let lists = lists(Admin::with_mailhost());
    let admin = &lists.admin;
    for (number, _) in REASONS.iter().enumerate() {
        admin.done(&["issue", &format!("h{number}")]);
    }
    let good = unseal(admin, HOST).join(format!("{HOST}.crt.pem"));
    let bad = unseal(admin, "h1.example.org").join("h1.example.org.crt.pem");
    // An empty one first: who checks revocation wants one from the first day.
    lists.crl(&[]);
    assert_eq!(
        (lists.takes(&good), lists.takes(&bad)),
        ([true; 2], [true; 2])
    );
    for (number, (reason, _)) in REASONS.iter().enumerate() {
        admin.done(&["revoke", &format!("h{number}"), "--reason", reason]);
    }
    lists.crl(&["--days", "14"]);
    assert_eq!(
        (lists.takes(&good), lists.takes(&bad)),
        ([true; 2], [false; 2])
    );
    let verified = Command::new("openssl")
        .args([
            "crl",
            "-noout",
            "-in",
            text(&lists.list),
            "-CAfile",
            text(&lists.ca),
        ])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&verified.stderr).contains("verify OK"),
        "{verified:?}"
    );
    let printed = lists.openssl(&["-text"]);
    for (_, shown) in REASONS {
        assert!(printed.contains(shown), "{shown}: {printed}");
    }
    assert_eq!(printed.matches("Serial Number:").count(), REASONS.len());
    assert_eq!(
        printed.matches("CRL Reason Code").count(),
        REASONS.len() - 1,
        "unspecified is left out"
    );
    let key_id = |printed: &str, name: &str| {
        let after = printed.split(name).nth(1).unwrap();
        after
            .lines()
            .nth(1)
            .unwrap()
            .trim()
            .trim_start_matches("keyid:")
            .to_owned()
    };
    let ca = judge(
        "openssl",
        &["x509", "-noout", "-text", "-in", text(&lists.ca)],
    );
    assert_eq!(
        key_id(&printed, "Authority Key Identifier"),
        key_id(&ca, "Subject Key Identifier")
    );
    let told = judge("certtool", &["--crl-info", "--infile", text(&lists.list)]);
    assert!(
        told.contains("CRL Number") && told.contains("Revoked certificates (7)"),
        "{told}"
    );
    let told = judge(
        "certtool",
        &[
            "--verify-crl",
            "--load-ca-certificate",
            text(&lists.ca),
            "--infile",
            text(&lists.list),
        ],
    );
    assert!(told.contains("Verified"), "{told}");
}

#[test]
fn numbers_rise_and_the_next_update_is_told() {
    let lists = lists(Admin::with_mailhost());
    let admin = &lists.admin;
    let number = |lists: &Lists| lists.openssl(&["-crlnumber"]).trim().to_owned();
    let mut seen = Vec::new();
    for days in ["30", "1", "3652"] {
        lists.crl(&["--days", days]);
        seen.push(number(&lists));
        let dates = lists.openssl(&["-lastupdate", "-nextupdate"]);
        assert!(
            dates.contains("lastUpdate=") && dates.contains("nextUpdate="),
            "{dates}"
        );
    }
    assert_eq!(
        seen,
        ["crlNumber=0x01", "crlNumber=0x02", "crlNumber=0x03"].map(str::to_owned)
    );
    let answer = admin.json(&["crl"]);
    let one = answer["crls"][0].as_object().unwrap();
    let mut keys: Vec<&str> = one.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "authority",
            "next_update",
            "number",
            "revoked",
            "this_update"
        ]
    );
    assert_eq!((&one["number"], &one["revoked"]), (&json!(4), &json!(0)));
    judge_input(
        "openssl",
        &["crl", "-noout"],
        answer["pem"].as_str().unwrap().as_bytes(),
    );
    for bad in ["0", "-1", "4000", "x"] {
        admin.refused(2, &["crl", &format!("--days={bad}")]);
    }
    // A list never outlives its CA.
    let short = Admin::new();
    short.init(&["--ca-days", "5"]);
    let answer = short.json(&["crl", "--days", "30"]);
    let end = short.json(&["show", "example.org"])["certificates"][0]["not_after"].clone();
    assert_eq!(answer["crls"][0]["next_update"], end);
}

#[test]
fn der_is_the_same_list_and_a_file_is_replaced_whole() {
    let lists = lists(Admin::with_mailhost());
    let admin = &lists.admin;
    admin.refused(2, &["crl", "--der"]);
    admin.done(&["crl", "--der", "--out", "list.der"]);
    let read = judge(
        "openssl",
        &[
            "crl",
            "-inform",
            "DER",
            "-in",
            &admin.name("list.der"),
            "-noout",
            "-crlnumber",
        ],
    );
    assert_eq!(read.trim(), "crlNumber=0x01");
    // A longer file that was there is gone, whoever reads it meanwhile has the old one whole.
    admin.write("list.pem", "x".repeat(1 << 20));
    let before = std::fs::File::open(&lists.list).unwrap();
    lists.crl(&[]);
    assert_eq!(before.metadata().unwrap().len(), 1 << 20);
    let after = std::fs::metadata(&lists.list).unwrap();
    assert_eq!(after.permissions().mode() & 0o777, 0o644);
    judge("openssl", &["crl", "-in", text(&lists.list), "-noout"]);
    // A link stays a link.
    std::os::unix::fs::symlink("list.pem", admin.file("link.pem")).unwrap();
    admin.done(&["crl", "--out", "link.pem"]);
    assert!(
        admin
            .file("link.pem")
            .symlink_metadata()
            .unwrap()
            .is_symlink()
    );
    assert_eq!(lists.openssl(&["-crlnumber"]).trim(), "crlNumber=0x03");
    // Nothing is left beside it.
    let names: Vec<String> = admin
        .home()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

#[test]
fn a_place_that_takes_no_list_is_told_and_left_as_it_is() {
    let admin = Admin::with_mailhost();
    std::fs::create_dir(admin.file("directory")).unwrap();
    let fifo = admin.name("fifo");
    judge("mkfifo", &[&fifo]);
    for out in [
        "directory",
        "/dev/null",
        "/proc/version/x",
        "nowhere/list.pem",
        "/proc/list.pem",
        fifo.as_str(),
        "",
    ] {
        let outcome = admin.run(&["crl", "--out", out]);
        let code = outcome.code.unwrap();
        assert!(matches!(code, 1 | 2), "{out}: {outcome:?}");
        let told = outcome.refused(code);
        assert!(told.contains("not given out") || code == 2, "{out}: {told}");
    }
    use std::os::unix::fs::FileTypeExt;
    assert!(
        std::fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );
    assert!(std::fs::metadata(&fifo).unwrap().file_type().is_fifo());
    // The next list is given out with the next number.
    let answer = admin.json(&["crl"]);
    assert!(answer["crls"][0]["number"].as_u64().unwrap() >= 1);
}

#[test]
fn with_an_admin_passphrase_the_list_is_signed_too() {
    let admin = Admin::new();
    admin.write("pass", "correct horse battery staple\n");
    admin.done(&["init", "example.org", "--passphrase-file", "pass"]);
    admin.done(&["issue", "mailhost", "--passphrase-file", "pass"]);
    admin.done(&["revoke", "mailhost"]);
    admin.refused(2, &["crl"]);
    let wrong = admin.write("wrong", "something else\n");
    admin.refused(1, &["crl", "--passphrase-file", &wrong]);
    let pem = admin.done(&["crl", "--passphrase-file", "pass"]);
    let printed = judge_input("openssl", &["crl", "-noout", "-text"], pem.as_bytes());
    assert_eq!(printed.matches("Serial Number:").count(), 1, "{printed}");
    admin.done(&["renew", "--rekey", "mailhost", "--passphrase-file", "pass"]);
    let told = Outcome::of(&mut admin.relayca(&["renew", "mailhost"]));
    told.refused(2);
}

#[test]
fn during_a_rollover_each_ca_has_its_list() {
    let lists = lists(Admin::with_mailhost());
    let admin = &lists.admin;
    admin.done(&["issue", "old"]);
    let old_ca = std::fs::read(&lists.ca).unwrap();
    admin.done(&["rollover", "prepare"]);
    admin.done(&["rollover", "activate"]);
    admin.done(&["issue", "new"]);
    admin.done(&["revoke", "old"]);
    admin.done(&["revoke", "new"]);
    admin.refused(2, &["crl", "--der", "--out", "x"]);
    let answer: Value = admin.json(&["crl", "--out", text(&lists.list)]);
    let all = answer["crls"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|one| one["revoked"] == 1), "{answer}");
    let pem = std::fs::read_to_string(&lists.list).unwrap();
    assert_eq!(pem.matches("BEGIN X509 CRL").count(), 2);
    let both = admin.write(
        "both.pem",
        [old_ca, std::fs::read(&lists.ca).unwrap()].concat(),
    );
    for host in ["old.example.org", "new.example.org"] {
        let certificate = unseal(admin, host).join(format!("{host}.crt.pem"));
        let told = Command::new("openssl")
            .args([
                "verify",
                "-crl_check",
                "-CAfile",
                &both,
                "-CRLfile",
                text(&lists.list),
                text(&certificate),
            ])
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&told.stderr).contains("certificate revoked"),
            "{host}: {told:?}"
        );
    }
}
