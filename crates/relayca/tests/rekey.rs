//! A new key beside the old one, and how the old one goes: by hand, or by the calendar. Judged by openssl, age, tar and postmap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::path::Path;

use authority::{Admin, Outcome, RELAYCA, age_with_identity, judge, judge_input, unseal, untar};
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

#[test]
fn a_new_key_and_the_old_one_may_relay_until_it_is_retired() {
    let admin = Admin::with_mailhost();
    let before = lines(&admin.done(&["map"]));
    let old_key = unseal(&admin, HOST);
    let answer = admin.json(&["renew", "--rekey", "mailhost"]);
    let one = &answer["renewed"][0];
    assert_eq!(
        (one["rekeyed"].as_bool(), answer["map_entries"].as_u64()),
        (Some(true), Some(2))
    );
    let both = lines(&admin.done(&["map"]));
    assert_eq!(both.len(), 2);
    assert!(
        both.contains(&before[0]) && both.iter().all(|line| line.ends_with(HOST)),
        "{both:?}"
    );
    // postmap looks both up.
    let table = admin.write("relay_clientcerts", admin.done(&["map"]));
    judge("postmap", &[&format!("lmdb:{table}")]);
    for line in &both {
        let fingerprint = line.split(' ').next().unwrap();
        assert_eq!(
            judge("postmap", &["-q", fingerprint, &format!("lmdb:{table}")]).trim(),
            HOST
        );
    }
    // The new bundle holds the new key, and fits.
    let files = unseal(&admin, HOST);
    let key = files.join(format!("{HOST}.key.pem"));
    let public_key = judge("openssl", &["pkey", "-pubout", "-in", text(&key)]);
    assert_eq!(
        public_key,
        openssl_x509(&files.join(format!("{HOST}.crt.pem")), &["-pubkey"])
    );
    assert_ne!(
        std::fs::read(&key).unwrap(),
        std::fs::read(old_key.join(format!("{HOST}.key.pem"))).unwrap()
    );
    // The way back: the old bundle opens with age and tar, and with relayca.
    let serial = one["supersedes"].as_str().unwrap();
    let passphrase = age_with_identity(
        &admin.identity(),
        &admin.part(&format!("bundles/old/{serial}.passphrase.age")),
    );
    let passphrase = String::from_utf8(passphrase).unwrap();
    let old = admin.part(&format!("bundles/old/{serial}.tar.age"));
    let kept = untar(
        &admin,
        &authority::age_with_passphrase(&admin, &old, passphrase.trim()),
    );
    assert_eq!(authority::Tree::of(&kept), authority::Tree::of(&old_key));
    admin.done(&["open", text(&old), "-C", "back", "-i", "key.txt"]);
    assert_eq!(
        std::fs::read(admin.file(&format!("back/{HOST}.key.pem"))).unwrap(),
        std::fs::read(old_key.join(format!("{HOST}.key.pem"))).unwrap()
    );

    let printed = admin.done(&["retire", "mailhost"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    let after = lines(&admin.done(&["map"]));
    assert_eq!(after.len(), 1);
    assert!(!after.contains(&before[0]), "the old key is out");
    assert_eq!(states(&admin, HOST), ["live", "retired"]);
    // A second time does no harm, and says so.
    let tree = admin.tree();
    let again = admin.json(&["retire", "mailhost"]);
    assert_eq!(
        again,
        serde_json::json!({ "retired": [], "map_entries": 1 })
    );
    tree.assert_same(&admin.tree());
    assert!(old.exists(), "what was retired is kept");
}

#[test]
fn the_printed_steps_of_a_rekey_are_relay_host_reload_retire() {
    let admin = Admin::with_mailhost();
    let old = admin.serials()["mailhost.example.org"][0].clone();
    let printed = admin.done(&["renew", "--rekey", "mailhost"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    let place = |needle: &str| {
        printed
            .find(needle)
            .unwrap_or_else(|| panic!("{needle}: {printed}"))
    };
    let order = [
        place(&format!("On {RELAY}, as root: the map")),
        place("scp "),
        place("age -d "),
        place("resumed"),
        place(&format!("relayca retire {old}")),
    ];
    assert!(order.is_sorted(), "{printed}");
}

#[test]
fn a_rekeyed_host_with_fewer_days_keeps_its_new_certificate_when_it_is_retired() {
    let admin = Admin::new();
    let recipient = admin.recipient().to_owned();
    at(
        &admin,
        "-9d",
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
    at(&admin, "-8d", &["issue", "mailhost"]).done();
    let first = at(
        &admin,
        "-7d",
        &["renew", "--rekey", "mailhost", "--days", "90", "--json"],
    )
    .done();
    let first: Value = serde_json::from_str(&first).unwrap();
    // Twice: no bundle of a key in use is overwritten.
    let second = at(
        &admin,
        "-6d",
        &["renew", "--rekey", "mailhost", "--days", "60", "--json"],
    )
    .done();
    let second: Value = serde_json::from_str(&second).unwrap();
    assert_eq!(
        second["renewed"][0]["supersedes"],
        first["renewed"][0]["serial"]
    );
    assert_eq!(
        admin.part("bundles/old").read_dir().unwrap().count(),
        4,
        "two bundles, two passphrases"
    );
    let retired = admin.json(&["retire", "mailhost"]);
    assert_eq!(retired["retired"].as_array().unwrap().len(), 2);
    let left = admin.json(&["list"]);
    let left: Vec<String> = left
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["host"] == HOST)
        .map(serial_of)
        .collect();
    assert_eq!(left, [serial_of(&second["renewed"][0])]);
    let files = unseal(&admin, HOST);
    let shown = openssl_x509(&files.join(format!("{HOST}.crt.pem")), &["-serial"]);
    assert!(shown.to_lowercase().contains(&left[0]), "{shown}");
}

#[test]
fn with_retire_after_the_old_key_leaves_the_map_at_that_time() {
    let admin = Admin::with_mailhost();
    let old = lines(&admin.done(&["map"]));
    let answer = admin.json(&["renew", "--rekey", "mailhost", "--retire-after", "14d"]);
    let until = answer["renewed"][0]["retire_after"].as_str().unwrap();
    let serial = answer["renewed"][0]["supersedes"].as_str().unwrap();
    assert_eq!(
        admin.json(&["show", serial])["certificates"][0]["retire_after"],
        until
    );
    assert_eq!(lines(&at(&admin, "+13d", &["map"]).done()).len(), 2);
    let later = lines(&at(&admin, "+15d", &["map"]).done());
    assert!(later.len() == 1 && later != old, "{later:?}");
    // The list without it counts as a later one: the one with it cannot come back.
    let change = |text: &str| -> u64 {
        let (_, rest) = text.split_once("# As of change ").unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let numbers = ["+13d", "+15d"].map(|days| change(&at(&admin, days, &["map"]).done()));
    assert_eq!(numbers[0] + 1, numbers[1]);
    // Before that time nothing is retired; list says the same as the map.
    assert_eq!(
        admin.json(&["retire", "--due"])["retired"],
        serde_json::json!([])
    );
    let list: Value =
        serde_json::from_str(&at(&admin, "+15d", &["list", "--all", "--json"]).done()).unwrap();
    let of_old = list
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["serial"] == serial)
        .unwrap();
    assert_eq!(
        (of_old["listed"].as_bool(), of_old["state"].as_str()),
        (Some(false), Some("retired"))
    );
    let done: Value =
        serde_json::from_str(&at(&admin, "+15d", &["retire", "--due", "--json"]).done()).unwrap();
    assert_eq!(done["retired"][0]["serial"], serial);
    assert_eq!(states(&admin, HOST), ["live", "retired"]);
    assert_eq!(change(&admin.done(&["map"])), numbers[1]);
    assert_eq!(lines(&admin.done(&["map"])), later, "for good");
    for bad in [
        ["renew", "mailhost", "--retire-after", "14d"].as_slice(),
        &["renew", "--rekey", "mailhost", "--retire-after", "x"],
    ] {
        admin.refused(2, bad);
    }
}

#[test]
fn the_calendar_takes_no_host_its_last_way_to_relay() {
    let admin = Admin::with_mailhost();
    let old = lines(&admin.done(&["map"]));
    let answer = admin.json(&["renew", "--rekey", "mailhost", "--retire-after", "14d"]);
    let new = answer["renewed"][0]["serial"].as_str().unwrap();
    admin.done(&["revoke", new, "--reason", "keyCompromise"]);
    let later = at(&admin, "+15d", &["map"]).done();
    assert_eq!(
        lines(&later),
        old,
        "the new key is gone, so the old one stays"
    );
    let retired: Value =
        serde_json::from_str(&at(&admin, "+15d", &["retire", "--due", "--json"]).done()).unwrap();
    assert_eq!(retired["retired"], serde_json::json!([]));
    assert_eq!(
        admin.json(&["retire", "mailhost"])["retired"],
        serde_json::json!([])
    );
    assert_eq!(lines(&at(&admin, "+15d", &["map"]).done()), old);
}

#[test]
fn an_older_certificate_that_is_valid_is_not_retired_for_one_that_is_not() {
    let admin = Admin::with_mailhost();
    admin.done(&["renew", "--rekey", "mailhost", "--days", "5"]);
    let told = at(&admin, "+6d", &["retire", "mailhost"]);
    let told = told.refused(1);
    assert!(
        told.contains("not valid today") && told.contains("relayca renew"),
        "{told}"
    );
    assert_eq!(states(&admin, HOST), ["live", "live"]);
}

#[test]
fn a_rekeyed_relay_gets_the_map_of_today_in_its_sealed_bundle() {
    let admin = Admin::with_mailhost();
    admin.done(&["renew", "--rekey", "relayhost", "mailhost"]);
    let map = lines(&admin.done(&["map"]));
    assert_eq!(map.len(), 2);
    let files = unseal(&admin, RELAY);
    assert_eq!(
        lines(&std::fs::read_to_string(files.join("relay_clientcerts")).unwrap()),
        map
    );
    assert!(files.join(format!("{RELAY}.key.pem")).exists());
}

#[test]
fn a_bundle_that_was_sealed_to_the_host_moves_aside_with_the_old_key() {
    let admin = Admin::with_mailhost();
    let host_key = authority::ssh_keygen(&admin.file("hk"), &["ed25519"]);
    admin.done(&["bundle", "mailhost", "--seal-to", &host_key]);
    let old = std::fs::read(admin.part(&format!("bundles/{HOST}.sealed.tar.age"))).unwrap();
    let answer = admin.json(&["renew", "--rekey", "mailhost", "--seal-to", &host_key]);
    assert_eq!(answer["renewed"][0]["passphrase_file"], Value::Null);
    let serial = answer["renewed"][0]["supersedes"].as_str().unwrap();
    assert!(
        !admin
            .part(&format!("bundles/{HOST}.sealed.tar.age"))
            .exists()
    );
    assert!(
        !admin
            .part(&format!("bundles/{HOST}.passphrase.age"))
            .exists()
    );
    assert_eq!(
        std::fs::read(admin.part(&format!("bundles/old/{serial}.sealed.tar.age"))).unwrap(),
        old
    );
    let new = age_with_identity(
        &admin.file("hk"),
        &admin.part(&format!("bundles/{HOST}.tar.age")),
    );
    assert!(untar(&admin, &new).join(format!("{HOST}.key.pem")).exists());
}

#[test]
fn the_printed_step_retires_what_was_old_then_and_not_what_another_admin_made_since() {
    let admin = Admin::with_mailhost();
    let first = admin.serials()["mailhost.example.org"][0].clone();
    let printed = admin.done(&["renew", "--rekey", "mailhost"]);
    let step = format!("relayca retire {first}");
    assert!(printed.contains(&step), "{printed}");
    let in_use = admin.json(&["renew", "--rekey", "mailhost"])["renewed"][0]["supersedes"]
        .as_str()
        .unwrap()
        .to_owned();
    admin.done(&["retire", &first]);
    let map = admin.done(&["map"]);
    assert!(map.contains(&in_use) && !map.contains(&first), "{map}");
    let again = admin.json(&["retire", &first]);
    assert_eq!(again["retired"], serde_json::json!([]));
    let newest = admin
        .json(&["list"])
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["host"] == "mailhost.example.org" && item["serial"] != *in_use)
        .map(|item| item["serial"].as_str().unwrap().to_owned())
        .next()
        .unwrap();
    let told = admin.refused(1, &["retire", &newest]);
    assert!(told.contains("is to use"), "{told}");
    let ca = admin.serials()["example.org"][0].clone();
    admin.refused(1, &["retire", &ca]);
}
