//! Which CAs may be rolled over, and to what: of any key, expired, lost or made elsewhere; by those who open the authority.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use authority::cas::{MAILHOST, RELAY, ca_in, holds, newest, renew_and_retire_hosts, told, trust};
use authority::{Admin, DOMAIN, Outcome, RELAYCA, judge, judge_input};

#[test]
fn the_new_ca_may_certify_what_the_old_one_might_and_what_is_added() {
    let admin = Admin::new();
    admin.init(&[
        "--relay",
        "relay.example.net:25",
        "--permit",
        "relay.example.net",
        "--ca-key",
        "p384",
    ]);
    admin.done(&[
        "rollover",
        "prepare",
        "--permit",
        "192.0.2.5",
        "--permit",
        "inside.example.org",
    ]);
    let new = admin.json(&["rollover"]);
    assert_eq!(
        new["authorities"][1]["key"], "p384",
        "the type of the old one"
    );
    admin.refused(1, &["issue", "a", "--san", "192.0.2.5"]);
    admin.done(&["rollover", "activate"]);
    admin.done(&["issue", "a", "--san", "192.0.2.5"]);
    renew_and_retire_hosts(&admin, &["relay.example.net"]);
    holds(
        &trust(&admin, "relay.example.net"),
        &newest(&admin, "relay.example.net"),
        "sslserver",
    );
    admin.done(&["rollover", "retire"]);
    admin.refused(2, &["rollover", "prepare", "--permit", "not a name"]);
    admin.refused(2, &["rollover", "prepare", "--ca-key", "dsa"]);
}

#[test]
fn an_admin_passphrase_opens_the_new_ca_as_it_did_the_old_one() {
    let admin = Admin::new();
    admin.write("pass", "correct horse battery\n");
    admin.write("wrong", "correct horse batteries\n");
    let with = |arguments: &[&str]| -> Vec<String> {
        let options = ["--passphrase-file", "pass"];
        arguments
            .iter()
            .chain(&options)
            .map(|word| (*word).to_owned())
            .collect()
    };
    admin.done(&with(&["init", DOMAIN]));
    admin.done(&with(&["issue", "mailhost"]));
    admin.refused(1, &["rollover", "prepare", "--passphrase-file", "wrong"]);
    admin.refused(2, &["rollover", "prepare"]);
    admin.done(&with(&["rollover", "prepare"]));
    let new = ca_in(&admin, "prepared");
    admin.refused(1, &["rollover", "activate", "--passphrase-file", "wrong"]);
    // Stock age opens it with that passphrase.
    let sealed = admin.part(&format!("ca/{new}/ca.passphrase.age"));
    let opened = authority::age_with_passphrase(&admin, &sealed, "correct horse battery");
    assert_eq!(opened.len(), 65);
    admin.done(&with(&["rollover", "activate"]));
    assert_eq!(admin.done(&with(&["passphrase", "ca"])).as_bytes(), opened);
    admin.done(&with(&["renew", "--due"]));
    admin.done(&["retire", "relayhost", "mailhost"]);
    admin.done(&["rollover", "retire"]);
    holds(
        &trust(&admin, RELAY),
        &newest(&admin, MAILHOST),
        "sslclient",
    );
}

#[test]
fn who_cannot_open_the_authority_makes_no_new_ca() {
    let admin = Admin::with_mailhost();
    let other = Admin::new();
    let foreign = other.identity();
    let foreign = foreign.to_str().unwrap();
    std::fs::remove_file(admin.identity()).unwrap();
    let told = admin.refused(1, &["rollover", "prepare"]);
    assert!(told.contains("key.txt"), "{told}");
    std::fs::copy(foreign, admin.identity()).unwrap();
    let told = admin.refused(1, &["rollover", "prepare", "-i", foreign]);
    assert!(told.contains("does not open"), "{told}");
}

#[test]
fn a_prepared_ca_that_was_spoiled_is_not_activated() {
    let admin = Admin::with_mailhost();
    admin.done(&["rollover", "prepare"]);
    let new = ca_in(&admin, "prepared");
    for name in ["ca.key.pem", "ca.passphrase.age", "ca.crt.pem"] {
        let path = admin.part(&format!("ca/{new}/{name}"));
        let good = std::fs::read(&path).unwrap();
        for bad in [
            None,
            Some("x".into()),
            Some(std::fs::read(admin.part(&format!("ca/{name}"))).unwrap()),
        ] {
            match &bad {
                None => std::fs::remove_file(&path).unwrap(),
                Some(bad) => std::fs::write(&path, bad).unwrap(),
            }
            let told = admin.refused(1, &["rollover", "activate"]);
            if bad.is_none() {
                assert!(told.contains("rollover retire` and prepare anew"), "{told}");
            }
            admin.refused(1, &["verify", "ca"]);
        }
        std::fs::write(&path, good).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    admin.done(&["verify", "ca"]);
    admin.done(&["rollover", "activate"]);
}

#[test]
fn a_lost_key_of_the_old_ca_does_not_stand_in_the_way() {
    let admin = Admin::with_mailhost();
    let lists = |text: &str| text.matches("BEGIN X509 CRL").count();
    assert_eq!(lists(&admin.done(&["crl", "--days", "20"])), 1);
    std::fs::remove_file(admin.part("ca/ca.key.pem")).unwrap();
    admin.done(&["rollover", "prepare"]);
    let (_, notes) = told(&admin, &["rollover", "activate"]);
    assert!(notes.contains("ca.key.pem` is missing"), "{notes}");
    // The new CA's list does not wait for a key that nobody has, and the old one's goes along while it holds.
    let (both, notes) = told(&admin, &["crl"]);
    assert_eq!(lists(&both), 2, "{notes}");
    assert!(notes.contains("it signs no new list"), "{notes}");
    let later = Outcome::of(
        admin
            .program("faketime")
            .args(["-f", "+21d", RELAYCA, "crl"]),
    );
    assert_eq!(lists(&later.done()), 1);
    admin.done(&["passwd", "--rotate"]);
    renew_and_retire_hosts(&admin, &["relayhost", "mailhost"]);
    admin.done(&["rollover", "retire"]);
    admin.done(&["passwd", "--rotate"]);
    admin.done(&["verify", "ca"]);
}

#[test]
fn an_expired_ca_is_replaced_in_one_evening() {
    let admin = Admin::new();
    let mut command = admin.program("faketime");
    command.args(["-f", "-40d", RELAYCA, "init", DOMAIN, "--ca-days", "30"]);
    command.args(["--recipient", admin.recipient(), "-i", "key.txt"]);
    Outcome::of(&mut command).done();
    let mut command = admin.program("faketime");
    command.args(["-f", "-40d", RELAYCA, "issue", "mailhost"]);
    Outcome::of(&mut command).done();
    admin.refused(1, &["renew", "mailhost"]);
    let (_, note) = told(&admin, &["rollover"]);
    assert!(
        note.contains("expired") && note.contains("rollover prepare"),
        "{note}"
    );
    let printed = admin.done(&["rollover", "prepare"]);
    assert!(
        printed.contains(RELAY) && printed.contains(MAILHOST),
        "{printed}"
    );
    admin.done(&["rollover", "activate"]);
    let judged = admin.run(&["verify", "ca"]);
    assert_eq!(judged.code, Some(3), "{}", judged.stdout);
    assert!(judged.stderr.contains("outgoing CA") && judged.stderr.contains("expired"));
    assert_eq!(admin.done(&["crl"]).matches("BEGIN X509 CRL").count(), 1);
    admin.done(&["renew", "--due"]);
    holds(
        &trust(&admin, RELAY),
        &newest(&admin, MAILHOST),
        "sslclient",
    );
    holds(
        &trust(&admin, MAILHOST),
        &newest(&admin, RELAY),
        "sslserver",
    );
    // Nothing that has expired keeps the old CA.
    admin.done(&["rollover", "retire"]);
    assert_eq!(admin.done(&["verify", "ca"]), "ca holds\n");
}

/// A CA as openssl makes it, without name constraints, in the place of the one that relayca made: what an import leaves.
fn with_imported_ca() -> Admin {
    let admin = Admin::with_authority();
    let subject = "/C=DE/O=Old Times/CN=Old CA";
    judge(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "900",
            "-sha256",
            "-subj",
            subject,
            "-keyout",
            &admin.name("old.key"),
            "-out",
            &admin.name("old.crt"),
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ],
    );
    let serial = judge(
        "openssl",
        &["x509", "-noout", "-serial", "-in", &admin.name("old.crt")],
    );
    let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
    judge(
        "openssl",
        &[
            "x509",
            "-in",
            &admin.name("old.crt"),
            "-outform",
            "der",
            "-out",
            &admin.name("old.der"),
        ],
    );
    let der: String = std::fs::read(admin.file("old.der"))
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let passphrase = admin.done(&["passphrase", "ca"]);
    let key = judge_input(
        "openssl",
        &[
            "pkcs8",
            "-topk8",
            "-v2",
            "aes256",
            "-in",
            &admin.name("old.key"),
            "-passout",
            "stdin",
        ],
        passphrase.as_bytes(),
    );
    std::fs::write(admin.part("ca/ca.key.pem"), key).unwrap();
    std::fs::copy(admin.file("old.crt"), admin.part("ca/ca.crt.pem")).unwrap();
    // The relay's first certificate is of the CA that is no more.
    let relay = admin.serials()[RELAY][0].clone();
    admin.done(&["revoke", &relay]);
    judge("sqlite3", &[
        admin.part("inventory.db").to_str().unwrap(),
        &format!("
            INSERT INTO certificates SELECT '{serial}', host, role, x'{der}', spki_sha256, not_before, not_after, issued_at, state FROM certificates WHERE role = 'ca';
            UPDATE authorities SET phase = 'outgoing'; UPDATE authorities SET phase = 'retired';
            INSERT INTO authorities (serial, phase) VALUES ('{serial}', 'active');"),
    ]);
    admin
}

#[test]
fn a_ca_from_elsewhere_is_replaced_by_one_that_is_bound_to_the_domain() {
    let admin = with_imported_ca();
    // The old CA certifies any relay that the settings name: the new one has to be told of those outside the domain.
    let settings = std::fs::read_to_string(admin.part("relayca.toml")).unwrap();
    let named = "relays = [\"relay.example.net:25\", \"192.0.2.7:25\", ";
    assert!(settings.contains("relays = ["));
    std::fs::write(
        admin.part("relayca.toml"),
        settings.replace("relays = [", named),
    )
    .unwrap();
    admin.done(&["renew", "relayhost", "--rekey"]);
    admin.done(&["issue", "--relay", "relay.example.net:25", "192.0.2.7:25"]);
    admin.done(&["issue", "mailhost"]);
    let told = admin.refused(1, &["rollover", "prepare"]);
    assert!(
        told.contains("relay.example.net, of relay.example.net")
            && told.contains("--permit relay.example.net")
            && told.contains("--permit 192.0.2.7"),
        "{told}"
    );
    admin.done(&[
        "rollover",
        "prepare",
        "--permit",
        "192.0.2.7",
        "--permit",
        "relay.example.net",
    ]);
    admin.done(&["rollover", "activate"]);
    let ca = judge(
        "openssl",
        &[
            "x509",
            "-noout",
            "-text",
            "-in",
            admin.part("ca/ca.crt.pem").to_str().unwrap(),
        ],
    );
    assert!(
        ca.contains("Name Constraints: critical") && ca.contains("DNS:example.org"),
        "{ca}"
    );
    let serials = admin.serials();
    let hosts: Vec<&str> = serials
        .keys()
        .map(String::as_str)
        .filter(|host| *host != DOMAIN)
        .collect();
    assert_eq!(hosts.len(), 4, "{hosts:?}");
    renew_and_retire_hosts(&admin, &hosts);
    holds(
        &trust(&admin, RELAY),
        &newest(&admin, MAILHOST),
        "sslclient",
    );
    admin.done(&["rollover", "retire"]);
    holds(
        &trust(&admin, RELAY),
        &newest(&admin, MAILHOST),
        "sslclient",
    );
    assert_eq!(admin.done(&["verify", "ca"]), "ca holds\n");
}
