//! Coming over from openssl and easy-rsa: CAs of any name, without constraints, with a history.
//!
//! openssl, certtool, webpki and sqlite3 judge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod old_tree;

use std::collections::BTreeSet;
use std::process::Command;

use authority::{Admin, Tree, judge, judged, unseal};
use old_tree::{OldTree, certificate, codes, der_of, import, json};
use rustls::pki_types::CertificateDer;

#[test]
fn a_ca_without_constraints_is_kept_to_its_job_all_the_same() {
    let admin = Admin::new();
    let tree = OldTree::bare(&admin, "bare", "/CN=Anything goes", &[]);
    // A CA says nothing of its domain: it is asked for.
    assert!(
        admin
            .refused(2, &import(&admin, &tree, &[]))
            .contains("--domain")
    );
    admin.done(&import(
        &admin,
        &tree,
        &["--domain", "example.org", "--relay", "vps.example.net:587"],
    ));
    for names in [
        ["issue", "www.example.com"].as_slice(),
        &["issue", "mailhost", "--san", "www.example.com"],
        &["issue", "mailhost", "--san", "192.0.2.7"],
        &["issue", "--relay", "other.example.net"],
    ] {
        assert!(admin.refused(1, names).contains("outside"), "{names:?}");
    }
    // But for the relays of relayca.toml.
    admin.done(&["issue", "--relay", "vps.example.net:587"]);
    admin.done(&["issue", "mailhost"]);
    // The domain cannot be edited to another one.
    let settings = admin.part("relayca.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(
        &settings,
        text.replace("domain = \"example.org\"", "domain = \"example.com\""),
    )
    .unwrap();
    assert!(
        admin
            .refused(1, &["issue", "mailhost2"])
            .contains("is not for it")
    );
    std::fs::write(&settings, text).unwrap();
    admin.done(&["list"]);
}

#[test]
fn names_outside_the_domain_do_not_come_back_with_a_renewal() {
    let admin = Admin::new();
    let tree = OldTree::bare(&admin, "bare", "/CN=Anything goes", &[]);
    tree.leaf_v3("mailhost.example.org", "5", "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:mailhost.example.org,DNS:www.example.com,IP:192.0.2.1");
    admin.done(&import(
        &admin,
        &tree,
        &["--domain", "example.org", "--relay", "relayhost"],
    ));
    let outcome = admin.run(&["renew", "mailhost"]);
    assert!(
        outcome.stderr.contains("leaves out www.example.com"),
        "{}",
        outcome.stderr
    );
    outcome.done();
    let tar = std::fs::read(admin.part("bundles/mailhost.example.org.public.tar")).unwrap();
    let renewed = authority::untar(&admin, &tar).join("mailhost.example.org.crt.pem");
    let names = judge(
        "openssl",
        &[
            "x509",
            "-noout",
            "-ext",
            "subjectAltName",
            "-in",
            renewed.to_str().unwrap(),
        ],
    );
    assert!(
        names.contains("mailhost.example.org")
            && !names.contains("example.com")
            && !names.contains("192"),
        "{names}"
    );
}

#[test]
fn whatever_a_ca_is_called_what_it_issues_chains() {
    for (name, mask) in [
        ("latin", "nombstr"),
        ("bmp", "MASK:0x802"),
        ("utf8", "utf8only"),
    ] {
        let admin = Admin::new();
        let config = admin.write(
            "openssl.cnf",
            format!(
                "\
[req]
distinguished_name = dn
x509_extensions = ext
prompt = no
utf8 = yes
string_mask = {mask}
[dn]
C = NL
ST = Zuid-Holland
O = Æble og Øl
0.OU = one
1.OU = two
2.OU = two
0.DC = org
1.DC = example
CN = Röot
+serialNumber = 7
emailAddress = ca@example.org
[ext]
basicConstraints = CA:TRUE
"
            ),
        );
        let tree = OldTree::empty(&admin, name, "ca");
        tree.openssl(&[
            "req",
            "-new",
            "-x509",
            "-nodes",
            "-config",
            &config,
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-days",
            "3650",
            "-keyout",
            "ca.key.pem",
            "-out",
            "ca.crt.pem",
        ]);
        tree.leaf("old.example.org", "9");
        admin.done(&import(
            &admin,
            &tree,
            &[
                "--domain",
                "example.org",
                "--mailhost",
                "old",
                "--relay",
                "relayhost",
            ],
        ));
        admin.done(&["issue", "--relay", "relayhost"]);
        let leaf = unseal(&admin, "relayhost.example.org").join("relayhost.example.org.crt.pem");
        let ca = admin.part("ca/ca.crt.pem");
        let (file, root) = (leaf.to_str().unwrap(), ca.to_str().unwrap());
        judge(
            "openssl",
            &["verify", "-purpose", "sslserver", "-CAfile", root, file],
        );
        judge(
            "certtool",
            &["--verify", "--load-ca-certificate", root, "--infile", file],
        );
        let (leaf, ca) = (
            CertificateDer::from(der_of(&leaf)),
            CertificateDer::from(der_of(&ca)),
        );
        let entity = webpki::EndEntityCert::try_from(&leaf).unwrap();
        let anchors = [webpki::anchor_from_trusted_cert(&ca).unwrap()];
        let verified = entity.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &[],
            rustls::pki_types::UnixTime::now(),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        );
        assert!(verified.is_ok(), "{name}: {:?}", verified.err());
    }
}

#[test]
fn easy_rsas_pki_comes_over_with_its_history() {
    let admin = Admin::new();
    let pki = admin.file("pki");
    let easyrsa = |arguments: &[&str]| {
        judged(
            admin
                .program("/usr/share/easy-rsa/easyrsa")
                .env("EASYRSA_BATCH", "1")
                .env("EASYRSA_PKI", &pki)
                .env("EASYRSA_ALGO", "ec")
                .env("EASYRSA_CERT_RENEW", "9999")
                .args(arguments),
        )
    };
    easyrsa(&["init-pki"]);
    easyrsa(&["--req-cn=Example CA", "build-ca", "nopass"]);
    easyrsa(&["build-server-full", "relayhost.example.org", "nopass"]);
    for host in [
        "mailhost.example.org",
        "gone.example.org",
        "renewed.example.org",
        "alice",
    ] {
        easyrsa(&["build-client-full", host, "nopass"]);
    }
    easyrsa(&["revoke", "gone.example.org", "keyCompromise"]);
    easyrsa(&["renew", "renewed.example.org", "nopass"]);
    easyrsa(&["gen-crl"]);
    let tree = OldTree::of(&admin, "pki");
    let before = Tree::of(&tree.at);
    let report = json(&admin, &import(&admin, &tree, &[]));
    before.assert_same(&Tree::of(&tree.at));

    assert_eq!(report["domain"], "example.org");
    assert_eq!(
        report["relays"],
        serde_json::json!(["relayhost.example.org:2500"])
    );
    let states: BTreeSet<(String, String)> = report["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["host"].as_str().unwrap().to_owned(),
                one["state"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        ("relayhost", "live"),
        ("mailhost", "live"),
        ("gone", "revoked"),
        ("renewed", "live"),
        ("alice", "retired"),
    ];
    assert_eq!(
        states,
        expected
            .map(|(host, state)| (format!("{host}.example.org"), state.to_owned()))
            .into()
    );
    assert_eq!(
        report["certificates"].as_array().unwrap().len(),
        6,
        "both of the renewed host"
    );
    assert_eq!(report["left_out"], serde_json::json!([]));
    assert!(
        !codes(&report).contains("ca-key-beside-hosts"),
        "{:?}",
        codes(&report)
    );
    assert!(codes(&report).contains("ca-key-clear"));

    let map = admin.done(&["map"]);
    assert!(
        !map.contains("gone") && !map.contains("alice") && map.contains("renewed"),
        "{map}"
    );
    let revoked = judge(
        "sqlite3",
        &[
            admin.part("inventory.db").to_str().unwrap(),
            "select reason from revocations",
        ],
    );
    assert_eq!(revoked.trim(), "keyCompromise");
    let index = std::fs::read_to_string(pki.join("index.txt")).unwrap();
    let line = index.lines().find(|line| line.starts_with('R')).unwrap();
    let serial = line.split('\t').nth(3).unwrap();
    let crl = admin.write("list.pem", admin.done(&["crl"]));
    let printed = judge("openssl", &["crl", "-noout", "-text", "-in", &crl]);
    assert!(
        printed.contains(&format!("Serial Number: {serial}")) && printed.contains("Key Compromise"),
        "{printed}"
    );
    admin.done(&["renew", "mailhost"]);
    // A serial whose file is gone is told.
    let fresh = Admin::new();
    judged(
        Command::new("cp")
            .arg("-r")
            .arg(&pki)
            .arg(fresh.file("pki")),
    );
    judged(Command::new("find").arg(fresh.file("pki")).args([
        "-name",
        &format!("{serial}*"),
        "-delete",
    ]));
    let lost = OldTree::of(&fresh, "pki");
    let report = json(&fresh, &import(&fresh, &lost, &[]));
    assert!(
        codes(&report).contains("revoked-missing"),
        "{:?}",
        codes(&report)
    );
}

#[test]
fn revocation_lists_go_on_where_the_old_ones_stopped() {
    let admin = Admin::new();
    let tree = OldTree::bare(&admin, "bare", "/CN=Example CA", &[]);
    let client = "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:";
    for (host, serial) in [("gone", "1"), ("mailhost", "2")] {
        let host = format!("{host}.example.org");
        tree.leaf_v3(&host, serial, &format!("{client}{host}"));
    }
    tree.leaf_v3(
        "past.example.org",
        "3",
        &format!("{client}past.example.org"),
    );
    // Its days are over, and it stays in the history.
    judged(
        Command::new("faketime")
            .current_dir(&tree.at)
            .args(["2020-01-01", "openssl", "x509", "-req", "-days", "30"])
            .args(["-in", "past.example.org.csr.pem"])
            .args(["-CA", "ca.crt.pem", "-CAkey", "ca.key.pem"])
            .args(["-set_serial", "3", "-extfile", "../bare.ext"])
            .args(["-out", "past.example.org.crt.pem"]),
    );
    tree.write(
        "../ca.cnf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=../database\ndefault_md=sha256\ndefault_crl_days=30\ncrlnumber=../number\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n",
    );
    tree.write(
        "../database",
        "R\t281121030000Z\t261101020304Z,superseded\t01\tunknown\t/CN=gone.example.org\n\
         R\t281121030000Z\t261101020304Z,keyCompromise\t99\tunknown\t/CN=stolen.example.org\n",
    );
    tree.write("../number", "2A\n");
    tree.openssl(&[
        "ca",
        "-config",
        "../ca.cnf",
        "-gencrl",
        "-keyfile",
        "ca.key.pem",
        "-cert",
        "ca.crt.pem",
        "-out",
        "crl.pem",
    ]);
    // Names tell nothing.
    for (from, to) in [
        ("ca.crt.pem", "notes.txt"),
        ("ca.key.pem", "ca.crt.pem.bak"),
        ("crl.pem", "list.of.cakes"),
    ] {
        tree.copy(from, to);
        std::fs::remove_file(tree.at.join(from)).unwrap();
    }
    let report = json(&admin, &import(&admin, &tree, &["--relay", "relayhost"]));
    assert_eq!(report["ca"]["certificate_files"][0], "notes.txt");
    assert_eq!(certificate(&report, "gone.example.org")["state"], "revoked");
    assert_eq!(
        certificate(&report, "gone.example.org")["why"],
        "superseded"
    );
    assert_eq!(
        certificate(&report, "mailhost.example.org")["state"],
        "live"
    );
    assert!(codes(&report).contains("expired"), "{:?}", codes(&report));
    assert_eq!(certificate(&report, "past.example.org")["serial"], "03");
    assert_eq!(report["map"].as_array().unwrap().len(), 1);
    let list = admin.write("list.pem", admin.done(&["crl"]));
    let number = judge("openssl", &["crl", "-noout", "-crlnumber", "-in", &list]);
    assert_eq!(number.trim(), "crlNumber=0x2B");
    // Of one of them nobody has the certificate any more: it is revoked all the same, in each list from now on.
    for _ in 0..2 {
        let list = admin.write("list.pem", admin.done(&["crl"]));
        let text = judge("openssl", &["crl", "-noout", "-text", "-in", &list]);
        assert_eq!(text.matches("Serial Number:").count(), 2, "{text}");
        assert!(
            text.contains("Serial Number: 99") && text.contains("Key Compromise"),
            "{text}"
        );
    }
    // On to a CA of today.
    admin.done(&["issue", "--relay", "relayhost"]);
    admin.done(&["rollover", "prepare"]);
}

#[test]
fn a_key_that_a_relay_and_a_mail_host_share_is_given_up_on_both() {
    let admin = Admin::new();
    let tree = OldTree::bare(&admin, "bare", "/CN=Example CA", &[]);
    let (relay, host) = ("relayhost.example.org", "mailhost.example.org");
    tree.leaf_v3(
        relay,
        "1",
        &format!("extendedKeyUsage=serverAuth\nsubjectAltName=DNS:{relay}"),
    );
    let public = tree.openssl(&[
        "x509",
        "-noout",
        "-pubkey",
        "-in",
        &format!("{relay}.crt.pem"),
    ]);
    tree.write("../public.pem", public);
    tree.write(
        "../client.ext",
        format!("extendedKeyUsage=clientAuth\nsubjectAltName=DNS:{host}\n"),
    );
    tree.leaf_with(
        host,
        "2",
        &[
            "-extfile",
            "../client.ext",
            "-force_pubkey",
            "../public.pem",
        ],
    );
    admin.done(&import(&admin, &tree, &["--domain", "example.org"]));
    assert!(admin.done(&["map"]).contains(host));
    let told = admin.refused(1, &["revoke", "relayhost", "--reason", "keyCompromise"]);
    assert!(told.contains(&format!("02 of {host}")), "{told}");
    admin.done(&[
        "revoke",
        "relayhost",
        "mailhost",
        "--reason",
        "keyCompromise",
    ]);
    assert!(!admin.done(&["map"]).contains(host));
}

#[test]
fn a_key_that_nobody_certifies_today_does_not_keep_the_others_from_being_renewed() {
    let admin = Admin::new();
    let tree = OldTree::bare(&admin, "bare", "/CN=Example CA", &[]);
    let extensions = |host: &str| format!("extendedKeyUsage=clientAuth\nsubjectAltName=DNS:{host}");
    tree.leaf_v3("good.example.org", "1", &extensions("good.example.org"));
    tree.openssl(&["genrsa", "-out", "../weak.pem", "1024"]);
    let public = tree.openssl(&["pkey", "-in", "../weak.pem", "-pubout"]);
    tree.write("../public.pem", public);
    tree.write("../client.ext", extensions("weak.example.org"));
    tree.leaf_with(
        "weak.example.org",
        "2",
        &[
            "-extfile",
            "../client.ext",
            "-force_pubkey",
            "../public.pem",
        ],
    );
    admin.done(&import(
        &admin,
        &tree,
        &["--domain", "example.org", "--relay", "relayhost"],
    ));
    let outcome = admin.run(&["renew", "--due", "--within", "9000d", "--json"]);
    assert!(
        outcome.stderr.contains("weak.example.org") && outcome.stderr.contains("--rekey"),
        "{}",
        outcome.stderr
    );
    let renewed: serde_json::Value = serde_json::from_str(&outcome.done()).unwrap();
    let hosts: Vec<&serde_json::Value> = renewed["renewed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["host"])
        .collect();
    assert_eq!(hosts, ["good.example.org"], "{renewed}");
    admin.refused(1, &["renew", "weak"]);
    admin.done(&["renew", "--rekey", "weak"]);
}
