//! Coming over: a CA that the Makefile, easy-rsa or openssl made goes on under relayca.
//!
//! The trees are made by the tools themselves; openssl, certtool, webpki, sqlite3 and strace judge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod old_tree;

use std::process::Command;

use authority::{Admin, Outcome, Tree, judge, judge_input, judged, unseal};
use old_tree::{OldTree, certificate, codes, der_of, import, import_encrypted, json, pin};

#[test]
fn the_makefiles_tree_goes_on_under_relayca() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    tree.leaf("mailhost.example.org", "1");
    tree.leaf("relayhost.example.org", "2");
    tree.map("-md5", &["mailhost.example.org"]);
    // What went to the hosts with the whole tree.
    tree.copy("example.org-ca.key.pem", "relayhost/example.org-ca.key.pem");
    tree.copy(
        "relayhost.example.org.key.pem",
        "relayhost/relayhost.example.org.key.pem",
    );
    let before = Tree::of(&tree.at);

    let outcome = admin.run(&import_encrypted(&admin, &tree, &[]));
    assert!(
        outcome.stderr.contains("took over the CA of example.org"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome
            .stderr
            .contains("the map lets in: `mailhost.example.org`"),
        "{}",
        outcome.stderr
    );
    let text = outcome.done();
    // The report can be pasted: each line is a comment, or belongs to a step.
    for line in text.split("\n# 1. ").next().unwrap().lines() {
        assert!(line.is_empty() || line.starts_with('#'), "{line}");
    }
    judge_input("sh", &["-n"], text.as_bytes());
    before.assert_same(&Tree::of(&tree.at));

    // The CA is the same one, byte for byte; its key opens with the new passphrase, sealed to the admin, and not with the old.
    assert_eq!(
        der_of(&admin.part("ca/ca.crt.pem")),
        der_of(&tree.at.join("example.org-ca.crt.pem"))
    );
    let passphrase = admin.write("new", admin.done(&["passphrase", "ca"]));
    let key = admin.part("ca/ca.key.pem");
    let key = key.to_str().unwrap();
    let public = judge(
        "openssl",
        &[
            "pkey",
            "-pubout",
            "-in",
            key,
            "-passin",
            &format!("file:{passphrase}"),
        ],
    );
    assert_eq!(
        public,
        tree.openssl(&["x509", "-noout", "-pubkey", "-in", "example.org-ca.crt.pem"])
    );
    let old = Command::new("openssl")
        .args([
            "pkey",
            "-noout",
            "-in",
            key,
            "-passin",
            &format!("file:{}", tree.passphrase.display()),
        ])
        .output()
        .unwrap();
    assert!(!old.status.success());

    // The old leaves chain to what relayca keeps, are listed by SHA-256, and no key of a host came along.
    for host in ["mailhost", "relayhost"] {
        judge(
            "openssl",
            &[
                "verify",
                "-CAfile",
                admin.part("ca/ca.crt.pem").to_str().unwrap(),
                &tree.name(&format!("{host}.example.org.crt.pem")),
            ],
        );
        let host_key = tree.read(&format!("{host}.example.org.key.pem"));
        let line = host_key.lines().nth(1).unwrap();
        assert!(!admin.tree().holds(line.as_bytes()));
    }
    let map = admin.done(&["map"]);
    assert!(
        map.contains(&format!(
            "{} mailhost.example.org",
            pin(&tree, "mailhost.example.org")
        )),
        "{map}"
    );
    assert!(!map.contains("relayhost.example.org"), "{map}");
    let serials = admin.serials();
    assert_eq!(serials["mailhost.example.org"], ["01"]);
    assert_eq!(serials["relayhost.example.org"], ["02"]);
    let events = judge(
        "sqlite3",
        &[
            admin.part("inventory.db").to_str().unwrap(),
            "select what, host from events order by id",
        ],
    );
    assert_eq!(
        events,
        "import|example.org\nimport|mailhost.example.org\nimport|relayhost.example.org\n"
    );
    let settings = std::fs::read_to_string(admin.part("relayca.toml")).unwrap();
    assert!(
        settings.contains("relays = [\"relayhost.example.org:2500\"]"),
        "{settings}"
    );
    assert!(
        admin
            .part("bundles/relayhost.example.org.public.tar")
            .exists()
    );
    assert!(
        admin
            .run(&["verify", &tree.name("mailhost.example.org.crt.pem")])
            .code
            .is_some()
    );
    admin.done(&["show", "mailhost"]);
    // A second run does not touch what the first one made.
    assert!(
        admin
            .refused(1, &import_encrypted(&admin, &tree, &[]))
            .contains("already")
    );
}

#[test]
fn every_weakness_is_named_with_its_remedy() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    tree.leaf("mailhost.example.org", "1");
    tree.leaf("weak.example.org", "3");
    tree.openssl(&["genrsa", "-out", "weak.example.org.key.pem", "1024"]);
    tree.openssl(&[
        "req",
        "-new",
        "-subj",
        "/CN=weak.example.org",
        "-key",
        "weak.example.org.key.pem",
        "-out",
        "weak.csr.pem",
    ]);
    tree.openssl(&[
        "x509",
        "-req",
        "-sha1",
        "-days",
        "700",
        "-in",
        "weak.csr.pem",
        "-CA",
        "example.org-ca.crt.pem",
        "-CAkey",
        "example.org-ca.key.pem",
        "-passin",
        "file:../passphrase",
        "-set_serial",
        "3",
        "-out",
        "weak.example.org.crt.pem",
    ]);
    tree.map("-md5", &["mailhost.example.org", "weak.example.org"]);
    let stranger = format!("{}01 stranger\n", "AB:".repeat(15));
    tree.write(
        "relay_clientcerts",
        tree.read("relay_clientcerts") + &stranger,
    );
    tree.copy("example.org-ca.key.pem", "mailhost/example.org-ca.key.pem");
    tree.copy(
        "mailhost.example.org.crt.pem",
        "mailhost/mailhost.example.org.crt.pem",
    );
    // Swapped, as the Makefile's printed blocks had it.
    tree.copy(
        "mailhost.example.org.crt.pem",
        "mailhost/mailhost.example.org.key.pem",
    );
    tree.openssl(&[
        "rsa",
        "-in",
        "example.org-ca.key.pem",
        "-passin",
        "file:../passphrase",
        "-out",
        "ca-clear.pem",
    ]);

    let report = json(&admin, &import(&admin, &tree, &[]));
    let named = codes(&report);
    for code in [
        "version",
        "no-alt-name",
        "key-type",
        "signature-algorithm",
        "map-md5",
        "map-stranger",
        "ca-unconstrained",
        "ca-key-clear",
        "ca-key-beside-hosts",
        "host-key",
        "swapped-names",
    ] {
        assert!(named.contains(code), "{code} in {named:?}");
    }
    for one in report["weaknesses"].as_array().unwrap() {
        assert!(!one["remedy"].as_str().unwrap().is_empty(), "{one}");
        assert!(!one["about"].as_array().unwrap().is_empty(), "{one}");
    }
    let of = |code: &str| {
        report["weaknesses"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["code"] == code)
            .unwrap()
            .to_string()
    };
    assert!(of("ca-key-beside-hosts").contains("mailhost/example.org-ca.key.pem"));
    assert!(of("ca-key-beside-hosts").contains("rollover prepare"));
    assert!(of("host-key").contains("mailhost.example.org"));
    assert!(of("map-stranger").contains("stranger"));
    assert_eq!(report["map"].as_array().unwrap().len(), 2);
}

#[test]
fn nobody_is_let_in_by_a_guess() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    tree.leaf("mailhost.example.org", "1");
    tree.leaf("other.example.org", "2");

    // No old list, nothing in the certificates: history, and not listed; and that is said loudly.
    let unsure = admin.file("unsure");
    let unsure = unsure.to_str().unwrap();
    let mut arguments = import_encrypted(&admin, &tree, &["--dir", unsure]);
    let outcome = admin.run(&arguments);
    assert!(
        outcome
            .stderr
            .contains("warning: 2 certificates are not listed"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("--mailhost"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("lets in: nobody"),
        "{}",
        outcome.stderr
    );
    outcome.done();
    let listed = admin.json(&["--dir", unsure, "map", "--format", "json"]);
    assert_eq!(
        listed["entries"].as_array().map(Vec::len),
        Some(0),
        "{listed}"
    );
    // The way back in from there: a new key.
    admin.done(&["--dir", unsure, "issue", "--relay", "relayhost"]);
    admin.done(&["--dir", unsure, "renew", "--rekey", "mailhost"]);

    // Said by the admin.
    arguments = import_encrypted(
        &admin,
        &tree,
        &["--mailhost", "mailhost", "--mailhost", "absent"],
    );
    let outcome = admin.run(&arguments);
    assert!(
        outcome
            .stderr
            .contains("no certificate here is that of absent.example.org"),
        "{}",
        outcome.stderr
    );
    outcome.done();
    let map = admin.done(&["map"]);
    assert!(
        map.contains(" mailhost.example.org") && !map.contains("other"),
        "{map}"
    );

    // The old list decides over a clientAuth certificate that it does not have.
    let strict = OldTree::empty(&admin, "strict", "ca");
    for file in ["crt", "key"] {
        let from = tree.at.join(format!("example.org-ca.{file}.pem"));
        strict.write(&format!("ca.{file}.pem"), std::fs::read(from).unwrap());
    }
    strict.leaf_v3("in.example.org", "11", "extendedKeyUsage=clientAuth");
    strict.leaf_v3("out.example.org", "12", "extendedKeyUsage=clientAuth");
    strict.map("-sha256", &["in.example.org"]);
    let report = json(
        &admin,
        &import_encrypted(
            &admin,
            &strict,
            &["--dir", &admin.name("third"), "--domain", "example.org"],
        ),
    );
    assert_eq!(certificate(&report, "in.example.org")["state"], "live");
    assert_eq!(certificate(&report, "out.example.org")["state"], "retired");
}

#[test]
fn what_follows_works_on_a_ca_that_was_taken_over() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    tree.leaf("mailhost.example.org", "1");
    tree.leaf("relayhost.example.org", "2");
    tree.leaf("late.example.org", "3");
    tree.map("-md5", &["mailhost.example.org", "late.example.org"]);
    admin.done(&import_encrypted(&admin, &tree, &[]));
    let ca = admin.part("ca/ca.crt.pem");
    let ca = ca.to_str().unwrap();

    // The same key, now in a certificate of version 3 with a name and a purpose.
    admin.done(&["renew", "mailhost"]);
    let tar = std::fs::read(admin.part("bundles/mailhost.example.org.public.tar")).unwrap();
    let renewed = authority::untar(&admin, &tar).join("mailhost.example.org.crt.pem");
    let renewed = renewed.to_str().unwrap();
    let shown = judge("openssl", &["x509", "-noout", "-text", "-in", renewed]);
    for word in [
        "Version: 3",
        "DNS:mailhost.example.org",
        "TLS Web Client Authentication",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert_eq!(
        judge("openssl", &["x509", "-noout", "-pubkey", "-in", renewed]),
        tree.openssl(&[
            "x509",
            "-noout",
            "-pubkey",
            "-in",
            "mailhost.example.org.crt.pem"
        ])
    );
    judge(
        "openssl",
        &["verify", "-purpose", "sslclient", "-CAfile", ca, renewed],
    );

    admin.done(&["issue", "new"]);
    let new = unseal(&admin, "new.example.org").join("new.example.org.crt.pem");
    let new = new.to_str().unwrap();
    judge(
        "openssl",
        &["verify", "-purpose", "sslclient", "-CAfile", ca, new],
    );
    judge(
        "certtool",
        &["--verify", "--load-ca-certificate", ca, "--infile", new],
    );

    admin.done(&["revoke", "late", "--reason", "keyCompromise"]);
    let map = admin.done(&["map"]);
    assert!(
        !map.contains("late") && map.contains("new.example.org"),
        "{map}"
    );
    let crl = admin.write("list.pem", admin.done(&["crl"]));
    let printed = judge(
        "openssl",
        &["crl", "-noout", "-text", "-in", &crl, "-CAfile", ca],
    );
    assert!(printed.contains("Serial Number: 03"), "{printed}");
    let refused = Command::new("openssl")
        .args([
            "verify",
            "-crl_check",
            "-CRLfile",
            &crl,
            "-CAfile",
            ca,
            &tree.name("late.example.org.crt.pem"),
        ])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    for command in [
        ["list", "--all"].as_slice(),
        &["show", "mailhost"],
        &["show", "01"],
        &["snippet", "relayhost"],
        &["snippet", "mailhost"],
        &["bundle", "mailhost"],
    ] {
        admin.done(command);
    }
    let checked = admin.run(&["check", "--open"]);
    assert!(
        matches!(checked.code, Some(0 | 3)),
        "{}{}",
        checked.stdout,
        checked.stderr
    );
}

#[test]
fn what_does_not_fit_is_left_out_and_named() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    tree.leaf("mailhost.example.org", "1");
    tree.leaf("twin.example.org", "1");
    tree.leaf("www.example.net", "4");
    tree.leaf("spaces.example.org", "5");
    let foreign = OldTree::bare(&admin, "foreign", "/O=example.org/CN=example.org CA", &[]);
    foreign.leaf("foreign.example.org", "6");
    tree.write(
        "foreign.example.org.crt.pem",
        foreign.read("foreign.example.org.crt.pem"),
    );
    tree.map("-md5", &["mailhost.example.org"]);

    let report = json(&admin, &import_encrypted(&admin, &tree, &[]));
    let left = report["left_out"].as_array().unwrap();
    let why = |file: &str| {
        let one = left
            .iter()
            .find(|one| one["files"][0] == format!("{file}.crt.pem"));
        let one = one.unwrap_or_else(|| panic!("{file}: {left:#?}"));
        assert!(!one["remedy"].as_str().unwrap().is_empty());
        one["why"].as_str().unwrap().to_owned()
    };
    assert!(
        why("twin.example.org")
            .contains("its serial 01 is that of `mailhost.example.org.crt.pem` too")
    );
    assert!(why("www.example.net").contains("outside `example.org`"));
    assert!(why("foreign.example.org").contains("not by the CA's key"));
    assert_eq!(left.len(), 3);
    assert_eq!(
        certificate(&report, "mailhost.example.org")["state"],
        "live"
    );
    // The twin gets a serial of its own.
    admin.done(&["issue", "--relay", "relayhost"]);
    admin.done(&["issue", "twin"]);
}

#[test]
fn gpg_gives_the_passphrase_through_a_pipe() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    tree.leaf("mailhost.example.org", "1");
    let gnupg = admin.file("gnupg");
    judged(Command::new("mkdir").args(["-m", "700"]).arg(&gnupg));
    let gpg = |arguments: &[&str]| {
        judged(
            admin
                .program("gpg")
                .env("GNUPGHOME", &gnupg)
                .args(["--batch", "--quiet"])
                .args(arguments),
        )
    };
    gpg(&[
        "--passphrase",
        "",
        "--quick-gen-key",
        "admin@example.org",
        "default",
        "default",
        "never",
    ]);
    let sealed = admin.name("passphrase.gpg");
    gpg(&[
        "--trust-model",
        "always",
        "-r",
        "admin@example.org",
        "-o",
        &sealed,
        "-e",
        tree.passphrase.to_str().unwrap(),
    ]);
    std::fs::remove_file(&tree.passphrase).unwrap();

    let mut wrong = import(&admin, &tree, &["--ca-passphrase-gpg"]);
    wrong.push(tree.name("mailhost.example.org.crt.pem"));
    let stderr = Outcome::of(admin.relayca(&wrong).env("GNUPGHOME", &gnupg)).refused(1);
    assert!(stderr.contains("gpg does not open"), "{stderr}");
    assert!(!admin.root().exists());

    let arguments = import(
        &admin,
        &tree,
        &["--ca-passphrase-gpg", &sealed, "--mailhost", "mailhost"],
    );
    let log = admin.name("trace");
    let mut traced = admin.program("strace");
    traced
        .args([
            "-f",
            "-s",
            "200",
            "-e",
            "trace=execve,openat,creat",
            "-o",
            &log,
            authority::RELAYCA,
        ])
        .args(&arguments)
        .env("GNUPGHOME", &gnupg);
    Outcome::of(&mut traced).done();
    let trace = std::fs::read_to_string(&log).unwrap();
    assert!(trace.contains("--decrypt"), "{trace}");
    assert!(
        !trace.contains(old_tree::PASSPHRASE),
        "no argument and no file holds it"
    );
    judged(
        admin
            .program("gpgconf")
            .env("GNUPGHOME", &gnupg)
            .args(["--kill", "all"]),
    );
    assert!(!Tree::of(&admin.home()).holds(old_tree::PASSPHRASE.as_bytes()));
}
