//! The CAs of an authority, and what hosts are told to trust, judged from outside.
//!
//! In: an account with an authority. Out: phases, files, and the verdicts of openssl, certtool and age on them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Admin, age_with_identity, feed, judge, judge_input};

pub const RELAY: &str = "relayhost.example.org";
pub const MAILHOST: &str = "mailhost.example.org";

/// What a step gives beside its data.
pub fn told(admin: &Admin, arguments: &[&str]) -> (String, String) {
    let outcome = admin.run(arguments);
    let stderr = outcome.stderr.clone();
    (outcome.done(), stderr)
}

/// The phases of all CAs, the active one first, with the number of certificates in use.
pub fn phases(admin: &Admin) -> Vec<(String, u64)> {
    let stand = admin.json(&["rollover"]);
    stand["authorities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["phase"].as_str().unwrap().to_owned(),
                one["in_use"].as_u64().unwrap(),
            )
        })
        .collect()
}

pub fn words(admin: &Admin) -> Vec<String> {
    phases(admin).into_iter().map(|(phase, _)| phase).collect()
}

/// The serial of the CA in this phase.
pub fn ca_in(admin: &Admin, phase: &str) -> String {
    let stand = admin.json(&["rollover"]);
    let all = stand["authorities"].as_array().unwrap();
    let found = all.iter().find(|one| one["phase"] == phase).unwrap();
    found["serial"].as_str().unwrap().to_owned()
}

/// The certificate of a serial as a file.
pub fn pem(admin: &Admin, serial: &str) -> PathBuf {
    let shown = admin.json(&["show", serial]);
    let text = shown["certificates"][0]["pem"].as_str().unwrap();
    PathBuf::from(admin.write(&format!("{serial}.pem"), text))
}

/// A host's newest certificate, as a file: the one that its public bundle holds.
pub fn newest(admin: &Admin, host: &str) -> PathBuf {
    let bundle = admin.part(&format!("bundles/{host}.public.tar"));
    let name = format!("{host}.crt.pem");
    let text = judge("tar", &["-xOf", bundle.to_str().unwrap(), &name]);
    PathBuf::from(admin.write(&format!("{host}.newest.pem"), text))
}

/// What a host is told to trust today.
pub fn trust(admin: &Admin, host: &str) -> PathBuf {
    let bundle = admin.part(&format!("bundles/{host}.public.tar"));
    let text = judge(
        "tar",
        &["-xOf", bundle.to_str().unwrap(), "example.org-ca.crt.pem"],
    );
    PathBuf::from(admin.write(&format!("{host}.trust.pem"), text))
}

pub fn count(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap();
    text.matches("-----BEGIN CERTIFICATE-----").count()
}

pub fn openssl_holds(trust: &Path, leaf: &Path, purpose: &str) -> bool {
    let verdict = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", purpose, "-CAfile"])
        .args([trust, leaf])
        .output()
        .unwrap();
    verdict.status.success()
}

pub fn certtool_holds(trust: &Path, leaf: &Path) -> bool {
    let mut command = Command::new("certtool");
    command
        .args(["--verify", "--load-ca-certificate"])
        .arg(trust);
    feed(&mut command, &std::fs::read(leaf).unwrap()).code == Some(0)
}

#[track_caller]
pub fn holds(trust: &Path, leaf: &Path, purpose: &str) {
    assert!(openssl_holds(trust, leaf, purpose), "openssl: {leaf:?}");
    assert!(certtool_holds(trust, leaf), "certtool: {leaf:?}");
}

#[track_caller]
pub fn holds_not(trust: &Path, leaf: &Path, purpose: &str) {
    assert!(!openssl_holds(trust, leaf, purpose), "openssl: {leaf:?}");
    assert!(!certtool_holds(trust, leaf), "certtool: {leaf:?}");
}

/// The CA's key opens with stock tools: age, then openssl; it belongs to the certificate beside it.
pub fn key_opens(admin: &Admin, directory: &str) {
    let part = |name: &str| {
        let path = admin.part(&format!("{directory}/{name}"));
        path.to_str().unwrap().to_owned()
    };
    let passphrase = age_with_identity(&admin.identity(), Path::new(&part("ca.passphrase.age")));
    let key = judge_input(
        "openssl",
        &[
            "pkey",
            "-pubout",
            "-in",
            &part("ca.key.pem"),
            "-passin",
            "stdin",
        ],
        &passphrase,
    );
    let certificate = judge(
        "openssl",
        &["x509", "-noout", "-pubkey", "-in", &part("ca.crt.pem")],
    );
    assert_eq!(key, certificate, "{directory}");
}

/// Renews all that hangs on the old CA, and takes the old certificates out of use.
pub fn renew_and_retire_hosts(admin: &Admin, hosts: &[&str]) {
    let mut arguments = vec!["retire"];
    arguments.extend(hosts);
    admin.done(&["renew", "--due"]);
    admin.done(&arguments);
}
