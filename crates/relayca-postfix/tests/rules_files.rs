//! Keys, certificates and CA files: a case that each rule finds, and one that looks like it and is right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use relayca_postfix::rules::{Certificate, Found, Key, Pem, Severity};
use rules_case::{Case, DAY, NOW, Pair, cert, certificate, check, good, ids_in, key, pair, root};

const MAIN: &str = "\
smtpd_tls_security_level = may
smtpd_tls_cert_file = /tls/c.pem
smtpd_tls_key_file = /tls/k.pem
";

const CHAIN: &str = "\
smtpd_tls_security_level = may
smtpd_tls_chain_files = /tls/chain.pem
";

/// Requires certificates of the CA in a file.
const REQUIRES: &str = "\
smtpd_tls_security_level = encrypt
smtpd_tls_req_ccert = yes
smtpd_tls_CAfile = /tls/ca.pem
smtpd_tls_cert_file = /tls/c.pem
smtpd_tls_key_file = /tls/k.pem
";

fn sound() -> Case {
    Case::new(MAIN)
        .pem("/tls/c.pem", &[good("a")])
        .pem("/tls/k.pem", &[key("a")])
}

fn chain(blocks: &[Pem]) -> Case {
    Case::new(CHAIN).pem("/tls/chain.pem", blocks)
}

fn shows(change: impl FnOnce(&mut Certificate)) -> Case {
    let mut changed = certificate("a");
    change(&mut changed);
    sound().pem("/tls/c.pem", &[cert(changed)])
}

fn mode(mode: u32, uid: u32, gid: u32) -> Case {
    // The certificate is root's: then owners mean something.
    sound().file(
        "/tls/k.pem",
        Found {
            mode,
            uid,
            gid,
            pem: Some(vec![key("a")]),
            ..Found::default()
        },
    )
}

fn trusts(blocks: &[Pem]) -> Case {
    Case::new(REQUIRES)
        .pem("/tls/c.pem", &[good("a")])
        .pem("/tls/k.pem", &[key("a")])
        .pem("/tls/ca.pem", blocks)
}

fn intermediate() -> Certificate {
    Certificate {
        subject: "CN=intermediate".to_owned(),
        issuer: "CN=root".to_owned(),
        ca: true,
        ..certificate("intermediate")
    }
}

fn locked() -> Pem {
    Pem::Key(Key {
        spki: None,
        encrypted: true,
    })
}

fn request() -> Pem {
    Pem::Other {
        label: "CERTIFICATE REQUEST".to_owned(),
        why: None,
    }
}

fn with_master(master: &str) -> Case {
    sound().master(master)
}

fn pairs() -> Vec<Pair> {
    vec![
        pair(
            "tls-file-relative",
            Case::new("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = c.pem\nsmtpd_tls_key_file = /tls/k.pem\n"),
            sound(),
        ),
        pair("tls-file-missing", sound().absent("/tls/k.pem"), sound().absent("/tls/other.pem")),
        pair("tls-file-is-a-directory", sound().directory("/tls/c.pem", 0o755), sound()),
        pair(
            "inherited-certificate-wins",
            Case::new(&format!("{MAIN}smtpd_tls_eccert_file = /tls/ec.pem\nsmtpd_tls_eckey_file = /tls/eck.pem\n"))
                .master("2500 inet n - n - - smtpd\n  -o smtpd_tls_cert_file=/tls/own.pem\n  -o smtpd_tls_key_file=/tls/ownk.pem\n"),
            Case::new(&format!("{MAIN}smtpd_tls_eccert_file = /tls/ec.pem\n")).master(
                "2500 inet n - n - - smtpd\n  -o smtpd_tls_cert_file=/tls/own.pem\n  -o smtpd_tls_key_file=/tls/ownk.pem\n  -o smtpd_tls_eccert_file=\n",
            ),
        ),
        pair(
            "chain-files-hide-certificates",
            Case::new(&format!("{MAIN}smtpd_tls_chain_files = /tls/chain.pem\n")),
            chain(&[key("a"), good("a")]),
        ),
        pair(
            "key-and-certificate-swapped",
            Case::new(MAIN).pem("/tls/c.pem", &[key("a")]).pem("/tls/k.pem", &[good("a")]),
            sound(),
        ),
        pair("certificate-file-without-certificate", sound().pem("/tls/c.pem", &[request()]), sound()),
        pair(
            "key-file-without-key",
            Case::new("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /tls/c.pem\n").pem("/tls/c.pem", &[good("a")]),
            Case::new("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /tls/c.pem\n").pem("/tls/c.pem", &[good("a"), key("a")]),
        ),
        pair("key-does-not-match", sound().pem("/tls/k.pem", &[key("b")]), sound()),
        pair(
            "certificates-out-of-order",
            sound().pem("/tls/c.pem", &[cert(root()), good("a")]),
            sound().pem("/tls/c.pem", &[good("a"), cert(root())]),
        ),
        pair("key-encrypted", sound().pem("/tls/k.pem", &[locked()]), sound()),
        pair("chain-file-missing", Case::new(CHAIN).absent("/tls/chain.pem"), chain(&[key("a"), good("a")])),
        pair(
            "chain-key-not-first",
            chain(&[good("a"), key("a")]),
            chain(&[key("a"), good("a"), cert(root()), key("b"), good("b")]),
        ),
        pair("chain-key-does-not-match", chain(&[key("b"), good("a")]), chain(&[key("a"), good("a")])),
        pair(
            "chain-key-without-certificate",
            chain(&[key("a"), key("b"), good("b")]),
            chain(&[key("a"), good("a")]),
        ),
        pair("key-readable-by-everybody", mode(0o644, 0, 0), mode(0o600, 0, 0)),
        pair("key-readable-by-a-group", mode(0o640, 0, 120), mode(0o640, 0, 0)),
        pair("key-writable-by-others", mode(0o620, 0, 0), mode(0o600, 0, 0)),
        pair("key-not-owned-by-root", mode(0o600, 103, 0), mode(0o400, 0, 0)),
        pair("directory-of-keys-writable", sound().directory("/tls", 0o777), sound().directory("/tls", 0o1777)),
        pair("certificate-expired", shows(|one| one.not_after = NOW - DAY), shows(|one| one.not_after = NOW + DAY)),
        pair("certificate-not-yet-valid", shows(|one| one.not_before = NOW + DAY), sound()),
        pair(
            "certificate-expires-soon",
            shows(|one| one.not_after = NOW + 29 * DAY),
            // Renewed in the last third of its ninety days.
            shows(|one| {
                one.not_before = NOW - 62 * DAY;
                one.not_after = NOW + 28 * DAY;
            }),
        ),
        pair("server-certificate-for-clients-only", shows(|one| one.server = false), shows(|one| one.client = false)),
        pair(
            "client-certificate-for-servers-only",
            Case::new("smtp_tls_security_level = may\nsmtp_tls_cert_file = /tls/c.pem\n")
                .master("smtp unix - - n - - smtp\n")
                .pem(
                    "/tls/c.pem",
                    &[
                        cert(Certificate {
                            client: false,
                            ..certificate("a")
                        }),
                        key("a"),
                    ],
                ),
            sound(),
        ),
        pair(
            "certificate-key-weak",
            shows(|one| one.key = "rsa1024".to_owned()),
            shows(|one| one.key = "rsa2048".to_owned()),
        ),
        pair(
            "certificate-names-another-host",
            Case {
                main: format!("{MAIN}myhostname = mx.example.net\n"),
                ..sound()
            },
            Case {
                main: format!("{MAIN}myhostname = Relay.Example.org\n"),
                ..sound()
            },
        ),
        pair(
            "certificate-without-its-chain",
            Case::new("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/letsencrypt/live/m/cert.pem\nsmtpd_tls_key_file = /etc/letsencrypt/live/m/privkey.pem\n"),
            Case::new("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/letsencrypt/live/m/fullchain.pem\nsmtpd_tls_key_file = /etc/letsencrypt/live/m/privkey.pem\n"),
        ),
        pair(
            "ca-file-without-root",
            trusts(&[cert(intermediate())]),
            trusts(&[cert(intermediate()), cert(root())]),
        ),
        pair("ca-file-without-certificate", trusts(&[request()]), trusts(&[cert(root())])),
        pair("ca-file-with-a-key", trusts(&[cert(root()), key("root")]), trusts(&[cert(root())])),
        pair(
            "ca-expired",
            trusts(&[cert(Certificate {
                not_after: NOW - DAY,
                ..root()
            })]),
            trusts(&[cert(root())]),
        ),
        pair(
            "ca-directory-outside-the-jail",
            with_master("2500 inet n - y - - smtpd\n  -o smtpd_tls_security_level=encrypt\n  -o smtpd_tls_req_ccert=yes\n  -o smtpd_tls_CApath=/tls/cas\n"),
            with_master("2500 inet n - n - - smtpd\n  -o smtpd_tls_security_level=encrypt\n  -o smtpd_tls_req_ccert=yes\n  -o smtpd_tls_CApath=/tls/cas\n"),
        ),
    ]
}

#[test]
fn each_rule_finds_its_case_and_leaves_the_sound_one_alone() {
    check(&pairs());
}

#[test]
fn no_rule_is_without_its_cases() {
    let known: std::collections::BTreeSet<String> =
        pairs().iter().map(|pair| pair.rule.to_owned()).collect();
    assert_eq!(known, ids_in(&["files"]));
}

#[test]
fn a_sound_server_is_silent() {
    for case in [
        sound(),
        chain(&[key("a"), good("a"), cert(root())]),
        trusts(&[cert(root())]),
    ] {
        let found: Vec<_> = case
            .judge()
            .into_iter()
            .filter(|finding| finding.severity > Severity::Note)
            .collect();
        let found: Vec<_> = found
            .iter()
            .filter(|finding| ids_in(&["files"]).contains(finding.rule))
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn what_main_cf_names_is_told_once_however_many_services_inherit_it() {
    let case = sound().pem("/tls/k.pem", &[key("b")]).master(
        "smtp inet n - n - - smtpd\nsubmission inet n - n - - smtpd\n2525 inet n - n - - smtpd\n",
    );
    let found = case.findings("key-does-not-match");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].place.line, found[0].service.as_deref()),
        (Some(2), None)
    );
}

#[test]
fn what_nobody_could_look_at_is_no_fault() {
    use relayca_postfix::rules::Look;
    let mut case = Case::new(REQUIRES);
    for path in ["/tls/c.pem", "/tls/k.pem", "/tls/ca.pem"] {
        case.facts.paths.insert(
            path.to_owned(),
            Look::Unreadable {
                why: "permission denied".to_owned(),
            },
        );
    }
    let found = case.judge();
    assert!(
        found
            .iter()
            .all(|finding| !ids_in(&["files"]).contains(finding.rule)),
        "{found:?}"
    );
}

#[test]
fn in_a_tree_that_an_ordinary_user_unpacked_owners_mean_nothing() {
    let mut case = mode(0o600, 1000, 1000);
    for look in case.facts.paths.values_mut() {
        if let relayca_postfix::rules::Look::Found(found) = look {
            found.uid = 1000;
            found.gid = 1000;
        }
    }
    assert_eq!(case.findings("key-not-owned-by-root"), []);
}

#[test]
fn a_fix_names_the_service_that_names_the_file() {
    let case = Case::new("smtpd_tls_security_level = may\n")
        .master("2500 inet n - n - - smtpd\n  -o smtpd_tls_cert_file=/tls/c.pem\n  -o smtpd_tls_key_file=/tls/k.pem\n")
        .pem("/tls/c.pem", &[key("a")])
        .pem("/tls/k.pem", &[good("a")]);
    let found = case.findings("key-and-certificate-swapped");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].service.as_deref(), Some("2500/inet"));
    assert_eq!(
        found[0].fix,
        [
            "postconf -P '2500/inet/smtpd_tls_cert_file=/tls/k.pem'",
            "postconf -P '2500/inet/smtpd_tls_key_file=/tls/c.pem'",
            "postfix reload"
        ]
    );
}
