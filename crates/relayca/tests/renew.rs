//! Renewing and rekeying: what stays, what changes, and what the old key may do meanwhile. Judged by openssl, age, tar and
//! postmap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::path::{Path, PathBuf};
use std::process::Command;

use authority::{Admin, Outcome, RELAYCA, judge, judge_input, unseal, untar};
use serde_json::Value;

const HOST: &str = "mailhost.example.org";
const RELAY: &str = "relayhost.example.org";

fn at(admin: &Admin, when: &str, arguments: &[&str]) -> Outcome {
    let mut command = admin.program("faketime");
    command.args(["-f", when, RELAYCA]).args(arguments);
    Outcome::of(&mut command)
}

/// The map without the comments, which tell serials and dates.
fn lines(map: &str) -> Vec<String> {
    map.lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A host's public files, unpacked with tar and checked with sha256sum.
fn public(admin: &Admin, host: &str) -> PathBuf {
    let archive = std::fs::read(admin.part(&format!("bundles/{host}.public.tar"))).unwrap();
    untar(admin, &archive)
}

fn openssl_x509(certificate: &Path, what: &[&str]) -> String {
    let mut arguments = vec!["x509", "-noout", "-in", text(certificate)];
    arguments.extend(what);
    judge("openssl", &arguments)
}

fn states(admin: &Admin, host: &str) -> Vec<String> {
    let shown = admin.json(&["show", host]);
    let mut states: Vec<String> = shown["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].as_str().unwrap().to_owned())
        .collect();
    states.sort();
    states
}

fn serial_of(item: &Value) -> String {
    item["serial"].as_str().unwrap().to_owned()
}

/// The serials of a renewal, by host, in the order told.
fn renewed(answer: &Value) -> Vec<&str> {
    let all = answer["renewed"].as_array().unwrap();
    all.iter()
        .map(|one| one["host"].as_str().unwrap())
        .collect()
}

#[test]
fn the_same_key_is_certified_again_and_the_relay_needs_nothing() {
    let admin = Admin::with_authority();
    admin.done(&[
        "issue",
        "mailhost",
        "--san",
        "mx.example.org",
        "--days",
        "100",
    ]);
    let old = unseal(&admin, HOST);
    let before = lines(&admin.done(&["map"]));
    let sealed = std::fs::read(admin.part(&format!("bundles/{HOST}.tar.age"))).unwrap();

    let answer = admin.json(&["renew", "mailhost"]);
    assert_eq!(lines(&admin.done(&["map"])), before, "the map's lines stay");
    let files = public(&admin, HOST);
    let names: Vec<String> = files
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.contains("key")), "{names:?}");
    let new = files.join(format!("{HOST}.crt.pem"));
    let ca = files.join("example.org-ca.crt.pem");
    judge(
        "openssl",
        &[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-CAfile",
            text(&ca),
            text(&new),
        ],
    );
    let old = old.join(format!("{HOST}.crt.pem"));
    for same in [
        ["-pubkey"].as_slice(),
        &["-ext", "subjectAltName,extendedKeyUsage"],
        &["-subject"],
    ] {
        assert_eq!(openssl_x509(&old, same), openssl_x509(&new, same));
    }
    assert!(openssl_x509(&new, &["-ext", "subjectAltName"]).contains("DNS:mx.example.org"));
    assert_ne!(
        openssl_x509(&old, &["-serial"]),
        openssl_x509(&new, &["-serial"])
    );
    assert_ne!(
        openssl_x509(&old, &["-enddate"]),
        openssl_x509(&new, &["-enddate"])
    );
    assert_eq!(
        std::fs::read(admin.part(&format!("bundles/{HOST}.tar.age"))).unwrap(),
        sealed,
        "the bundle with the key stays"
    );
    assert_eq!(states(&admin, HOST), ["live", "live"]);

    // The answer for programs.
    let one = answer["renewed"][0].as_object().unwrap();
    let mut keys: Vec<&str> = one.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "bundle",
            "fingerprint",
            "host",
            "not_after",
            "not_before",
            "passphrase_file",
            "rekeyed",
            "retire_after",
            "role",
            "serial",
            "supersedes"
        ]
    );
    assert_eq!(
        (&one["rekeyed"], &one["passphrase_file"]),
        (&Value::Bool(false), &Value::Null)
    );
    assert!(before[0].starts_with(one["fingerprint"].as_str().unwrap()));

    // Only the old one goes when it is retired, and the map stays again.
    let told = admin.run(&["retire", "mailhost"]);
    assert_eq!(told.stdout, "", "no map to paste: {told:?}");
    assert_eq!(told.code, Some(0));
    assert_eq!(lines(&admin.done(&["map"])), before);
    assert_eq!(states(&admin, HOST), ["live", "retired"]);
    let left = admin.json(&["list"]);
    let left = left
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["host"] == HOST);
    assert_eq!(left.unwrap()["serial"], one["serial"]);
}

#[test]
fn what_is_printed_for_a_renewal_is_shell_and_no_map() {
    let admin = Admin::with_mailhost();
    let printed = admin.done(&["renew", "mailhost"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    assert!(
        !printed.contains("postmap") && printed.contains(&format!("On {HOST}, as root")),
        "{printed}"
    );
    assert!(!printed.contains("PRIVATE KEY"));
    assert!(printed.contains("relayca retire"), "{printed}");
    // With a pin of the certificate the relay has to learn the new one first.
    let settings = admin.part("relayca.toml");
    let toml = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(
        &settings,
        toml.replace("pin = \"pubkey\"", "pin = \"cert\""),
    )
    .unwrap();
    let printed = admin.done(&["renew", "mailhost"]);
    let first = printed.lines().next().unwrap();
    assert!(
        first.contains(RELAY) && printed.contains("postmap"),
        "{printed}"
    );
    assert_eq!(
        admin.json(&["map"])["entries"].as_array().unwrap().len(),
        3,
        "all three may relay"
    );
    let printed = admin.done(&["retire", "mailhost"]);
    assert!(printed.contains("postmap"), "{printed}");
    assert_eq!(admin.json(&["map"])["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_relay_is_renewed_likewise() {
    let admin = Admin::with_mailhost();
    let old = unseal(&admin, RELAY).join(format!("{RELAY}.crt.pem"));
    let printed = admin.done(&["renew", "relayhost"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    assert!(!printed.contains("postmap"), "{printed}");
    let files = public(&admin, RELAY);
    let new = files.join(format!("{RELAY}.crt.pem"));
    assert_eq!(
        openssl_x509(&old, &["-pubkey"]),
        openssl_x509(&new, &["-pubkey"])
    );
    assert_ne!(
        openssl_x509(&old, &["-serial"]),
        openssl_x509(&new, &["-serial"])
    );
    let ca = files.join("example.org-ca.crt.pem");
    judge(
        "openssl",
        &[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            text(&ca),
            text(&new),
        ],
    );
    assert!(!files.join(format!("{RELAY}.key.pem")).exists());
    let map = std::fs::read_to_string(files.join("relay_clientcerts")).unwrap();
    assert_eq!(lines(&map), lines(&admin.done(&["map"])));
}

#[test]
fn due_takes_those_whose_time_comes_and_the_relays_first() {
    let admin = Admin::new();
    let recipient = admin.recipient().to_owned();
    let init = [
        "init",
        "example.org",
        "--recipient",
        &recipient,
        "-i",
        "key.txt",
    ];
    at(&admin, "-700d", &init).done();
    at(&admin, "-700d", &["issue", "old", "alpha"]).done();
    admin.done(&["issue", "young"]);
    admin.done(&["issue", "brief", "--days", "40"]);
    // 730 days, 700 of them gone: 30 are left. Of `brief` a third is more than what is asked for.
    let due = |more: &[&str]| {
        let mut arguments = vec!["renew", "--due"];
        arguments.extend(more);
        admin.json(&arguments)
    };
    assert!(renewed(&due(&["--within", "29d"])).is_empty());
    let told = admin.run(&["renew", "--due", "--within", "29d"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), ""), "{told:?}");
    assert!(told.stderr.contains("nothing to renew"), "{told:?}");
    assert_eq!(
        renewed(&due(&[])),
        [RELAY, "alpha.example.org", "old.example.org"],
        "60 days are soon, and 40 of 40 are not"
    );
    assert!(
        renewed(&due(&[])).is_empty(),
        "a second time nothing is due"
    );
    assert_eq!(renewed(&due(&["--within", "6w"])), ["brief.example.org"]);
    assert_eq!(states(&admin, "young"), ["live"]);
    for bad in ["60", "-1d", "soon", ""] {
        admin.refused(2, &["renew", "--due", &format!("--within={bad}")]);
    }
    admin.refused(2, &["renew", "mailhost", "--due"]);
    admin.refused(2, &["renew", "mailhost", "--within", "60d"]);
    admin.refused(2, &["renew"]);
}

#[test]
fn nothing_due_asks_for_no_key() {
    let admin = Admin::with_mailhost();
    std::fs::remove_file(admin.identity()).unwrap();
    assert!(renewed(&admin.json(&["renew", "--due"])).is_empty());
    // What is due needs it, and nothing has changed without.
    admin.refused(1, &["renew", "--due", "--within", "1000d"]);
}

#[test]
fn what_ends_with_its_ca_is_not_renewed_day_after_day() {
    let admin = Admin::new();
    admin.init(&["--ca-days", "30"]);
    admin.done(&["issue", "mailhost"]);
    for _ in 0..2 {
        let told = admin.run(&["renew", "--due", "--within", "60d"]);
        assert!(
            told.stderr.contains("rollover prepare") && told.stderr.contains("with its CA"),
            "{told:?}"
        );
        let answer: Value =
            serde_json::from_str(&admin.done(&["renew", "--due", "--within", "60d", "--json"]))
                .unwrap();
        assert!(renewed(&answer).is_empty());
        assert_eq!(answer["left_out"].as_array().unwrap().len(), 2, "{answer}");
    }
    assert_eq!(states(&admin, HOST), ["live"]);
}

#[test]
fn one_host_that_cannot_be_renewed_keeps_no_other_from_it() {
    let admin = Admin::with_authority();
    admin.done(&["issue", "--relay", "gone:2500"]);
    admin.done(&["issue", "mailhost"]);
    let settings = admin.part("relayca.toml");
    let toml = std::fs::read_to_string(&settings).unwrap();
    let without = toml.replace(", \"gone.example.org:2500\"", "");
    assert_ne!(toml, without, "{toml}");
    std::fs::write(&settings, without).unwrap();
    let told = admin.refused(1, &["renew", "gone"]);
    assert!(told.contains("cessationOfOperation"), "{told}");
    let outcome = admin.run(&["renew", "--due", "--within", "1000d", "--json"]);
    assert!(
        outcome.stderr.contains("gone.example.org was left out"),
        "{outcome:?}"
    );
    let answer: Value = serde_json::from_str(&outcome.done()).unwrap();
    assert_eq!(renewed(&answer), [RELAY, HOST]);
}

#[test]
fn unknown_foreign_and_revoked_hosts_are_refused_and_nothing_changes() {
    let admin = Admin::with_mailhost();
    for (host, code) in [("nobody", 1), ("mail.example.net", 1), ("a b", 2), ("", 2)] {
        admin.refused(code, &["renew", host]);
        admin.refused(code, &["renew", "mailhost", host]);
        admin.refused(code, &["renew", "--rekey", host]);
        admin.refused(code, &["retire", host]);
    }
    admin.refused(2, &["renew", "mailhost", "MAILHOST.example.org"]);
    admin.refused(2, &["renew", "mailhost", "--days", "0"]);
    admin.refused(2, &["renew", "mailhost", "--key", "p384"]);
    admin.refused(2, &["renew", "--rekey", "mailhost", "--key", "dsa"]);
    admin.done(&["revoke", "mailhost"]);
    let told = admin.refused(1, &["renew", "mailhost"]);
    assert!(
        told.contains("revoked") && told.contains("--rekey"),
        "{told}"
    );
    let told = admin.refused(1, &["retire", "mailhost"]);
    assert!(told.contains("no live certificate"), "{told}");
    assert!(
        renewed(&admin.json(&["renew", "--due", "--within", "1000d"]))
            .iter()
            .all(|host| *host != HOST)
    );
    // A new key is the way back.
    admin.done(&["renew", "--rekey", "mailhost", "--key", "ed25519"]);
    assert_eq!(lines(&admin.done(&["map"])).len(), 1);
    assert_eq!(states(&admin, HOST), ["live", "revoked"]);
    assert_eq!(
        admin.json(&["show", "mailhost"])["certificates"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["key"] == "ed25519")
            .count(),
        1
    );
}

#[test]
fn the_apex_may_be_a_mail_host_and_the_ca_is_never_taken_for_its_certificate() {
    let admin = Admin::with_authority();
    let ca = serial_of(&admin.json(&["show", "example.org"])["certificates"][0]);
    admin.done(&["issue", "example.org"]);
    for command in [
        ["renew", "example.org"].as_slice(),
        &["renew", "--rekey", "example.org", "--retire-after", "0d"],
        &["renew", "--rekey", "example.org"],
        &["retire", "example.org"],
        &["bundle", "example.org"],
        &["revoke", "example.org", "--all"],
    ] {
        admin.done(command);
        let shown = admin.json(&["show", &ca]);
        let shown = &shown["certificates"][0];
        assert_eq!(
            (shown["role"].as_str(), shown["state"].as_str()),
            (Some("ca"), Some("live")),
            "{command:?}"
        );
        assert_eq!(shown["retire_after"], Value::Null, "{command:?}");
    }
    admin.done(&["issue", "mailhost"]);
}

#[test]
fn an_expired_certificate_can_still_be_renewed() {
    let admin = Admin::new();
    let recipient = admin.recipient().to_owned();
    at(
        &admin,
        "-40d",
        &[
            "init",
            "example.org",
            "--recipient",
            &recipient,
            "-i",
            "key.txt",
        ],
    )
    .done();
    at(&admin, "-40d", &["issue", "mailhost", "--days", "30"]).done();
    assert!(lines(&admin.done(&["map"])).is_empty());
    assert_eq!(renewed(&admin.json(&["renew", "--due"])), [HOST]);
    assert_eq!(lines(&admin.done(&["map"])).len(), 1);
    let new = public(&admin, HOST).join(format!("{HOST}.crt.pem"));
    let ended = Command::new("openssl")
        .args(["x509", "-checkend", "0", "-noout", "-in"])
        .arg(new)
        .status()
        .unwrap();
    assert!(ended.success());
}

#[test]
fn many_hosts_are_told_in_one_step_that_fits_how_they_were_renewed() {
    let admin = Admin::with_authority();
    admin.write(
        "hosts",
        (0..8)
            .map(|number| format!("m{number}\n"))
            .collect::<String>(),
    );
    admin.done(&["issue", "--from", "hosts"]);
    let printed = admin.done(&["renew", "--due", "--within", "1000d"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    assert!(
        printed.contains("HOST.public.tar") && printed.contains(&format!("On {RELAY}, as root")),
        "{printed}"
    );
    let printed = admin.done(&["renew", "--rekey", "--due", "--within", "1000d"]);
    assert!(
        printed.contains("HOST.tar.age") && !printed.contains("HOST.public.tar"),
        "{printed}"
    );
    judge_input("sh", &["-n"], printed.as_bytes());
}
