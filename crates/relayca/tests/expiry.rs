//! Certificates whose time is over: not in the map, shown as expired, and judged so. faketime runs
//! relayca in the past.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use authority::{Admin, Outcome, RELAYCA, judge};

fn at(admin: &Admin, when: &str, arguments: &[&str]) -> Outcome {
    let mut command = admin.program("faketime");
    command.args(["-f", when, RELAYCA]).args(arguments);
    Outcome::of(&mut command)
}

/// An authority that is forty days old, with a host whose thirty days are over and one that goes on.
fn forty_days_old() -> Admin {
    let admin = Admin::new();
    at(
        &admin,
        "-40d",
        &[
            "init",
            "example.org",
            "--recipient",
            admin.recipient(),
            "-i",
            "key.txt",
        ],
    )
    .done();
    at(&admin, "-40d", &["issue", "old", "--days", "30"]).done();
    at(&admin, "-40d", &["issue", "mailhost"]).done();
    admin
}

#[test]
fn an_expired_certificate_is_in_no_map_and_stays_in_the_history() {
    let admin = forty_days_old();
    assert!(
        at(&admin, "-39d", &["map"])
            .done()
            .contains("old.example.org"),
        "then it was listed"
    );
    for format in ["text", "inline", "texthash", "json", "paste"] {
        let map = admin.done(&["map", "--format", format]);
        assert!(
            !map.contains("old.example.org") && map.contains("mailhost.example.org"),
            "{format}: {map}"
        );
    }
    assert!(!admin.done(&["list"]).contains("old.example.org"));
    let all = admin.json(&["list", "--all"]);
    let old = all
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["host"] == "old.example.org")
        .unwrap();
    assert_eq!(
        (old["state"].as_str(), old["listed"].as_bool()),
        (Some("expired"), Some(false))
    );
    assert!(admin.done(&["show", "old"]).contains("expired"));
    // The relay's pieces that are written now leave it out as well.
    let archive = admin.done(&["bundle", "relayhost"]);
    let map = judge("tar", &["-xOf", archive.trim(), "relay_clientcerts"]);
    assert!(
        !map.contains("old.example.org") && map.contains("mailhost.example.org"),
        "{map}"
    );
    // It is not issued again silently.
    let told = admin.refused(1, &["issue", "old"]);
    assert!(told.contains("renew"), "{told}");
}

#[test]
fn verify_tells_expired_from_expiring_from_good() {
    let admin = forty_days_old();
    for host in ["old", "mailhost"] {
        let bundle = admin.part(&format!("bundles/{host}.example.org.tar.age"));
        admin.done(&["open", bundle.to_str().unwrap(), "-C", host]);
    }
    let old = "old/old.example.org.crt.pem";
    let code = |outcome: Outcome| outcome.code.unwrap();
    assert_eq!(
        code(admin.run(&["verify", "mailhost/mailhost.example.org.crt.pem"])),
        0
    );
    assert_eq!(
        code(at(&admin, "-39d", &["verify", old])),
        3,
        "thirty days before its end"
    );
    assert_eq!(code(admin.run(&["verify", old])), 4);
    assert_eq!(
        code(at(&admin, "-50d", &["verify", old])),
        4,
        "not valid yet"
    );
    let told = admin.run(&["verify", old]);
    assert!(told.stdout.contains("expired"), "{told:?}");
    // openssl says the same.
    let ca = admin.part("ca/ca.crt.pem");
    let judged = std::process::Command::new("openssl")
        .args(["verify", "-CAfile"])
        .arg(ca)
        .arg(admin.file(old))
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&judged.stderr).contains("expired"),
        "{judged:?}"
    );
}

#[test]
fn an_expired_ca_issues_nothing() {
    let admin = Admin::new();
    at(
        &admin,
        "-40d",
        &[
            "init",
            "example.org",
            "--recipient",
            admin.recipient(),
            "-i",
            "key.txt",
            "--ca-days",
            "30",
        ],
    )
    .done();
    let told = admin.refused(1, &["issue", "mailhost"]);
    assert!(told.contains("expired"), "{told}");
    let outcome = admin.run(&["verify", "ca"]);
    assert!(matches!(outcome.code, Some(1 | 4)), "{outcome:?}");
}

#[test]
fn the_clock_of_the_mail_host_may_be_a_little_late() {
    let admin = Admin::with_mailhost();
    let shown = admin.json(&["show", "mailhost"]);
    let certificate = &shown["certificates"][0];
    assert!(certificate["not_before"].as_str() < certificate["issued_at"].as_str());
    // Half an hour behind, it is valid already.
    assert!(
        at(&admin, "-30m", &["map"])
            .done()
            .contains("mailhost.example.org")
    );
}

#[test]
fn a_clock_that_was_ahead_once_does_not_decide_which_certificate_is_the_newest() {
    let admin = Admin::with_mailhost();
    at(&admin, "+200d", &["renew", "mailhost", "relayhost"]).done();
    // The clock is right again, and what it spoiled is mended.
    let mended = admin.json(&["renew", "--rekey", "mailhost", "relayhost"]);
    let serial = |at: usize| mended["renewed"][at]["serial"].as_str().unwrap().to_owned();
    for (at, host) in ["mailhost.example.org", "relayhost.example.org"]
        .into_iter()
        .enumerate()
    {
        admin.done(&["bundle", host]);
        let bundle = admin.part(&format!("bundles/{host}.public.tar"));
        let certificate = judge(
            "tar",
            &["-xOf", bundle.to_str().unwrap(), &format!("{host}.crt.pem")],
        );
        let file = admin.write("newest.pem", certificate);
        let told = judge("openssl", &["x509", "-noout", "-serial", "-in", &file]);
        assert_eq!(
            told.trim().to_lowercase(),
            format!("serial={}", serial(at)),
            "{host}"
        );
    }
    // On the day that the clock showed, too, the key in use is the one that stays.
    at(&admin, "+201d", &["retire", "mailhost", "relayhost"]).done();
    let live = admin.json(&["list"]);
    let live: Vec<&str> = live
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["role"] != "ca")
        .map(|one| one["serial"].as_str().unwrap())
        .collect();
    assert_eq!(live, [serial(0), serial(1)]);
}

#[test]
fn a_clock_that_is_behind_takes_nobody_from_the_list_and_those_who_are_taken_from_it_are_told() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "other"]);
    admin.done(&["renew", "--rekey", "mailhost"]);
    let entries = |text: &str| text.matches(" other.example.org").count();
    for arguments in [&["retire", "mailhost"][..], &["revoke", "mailhost"]] {
        let outcome = at(&admin, "-900d", arguments);
        assert!(
            outcome.stderr.contains("next: paste the map"),
            "{arguments:?}: {}",
            outcome.stderr
        );
        assert_eq!(entries(&outcome.done()), 1, "the other one stays listed");
    }
    let behind = at(&admin, "-900d", &["map"]).done();
    assert_eq!(entries(&behind), 1, "{behind}");
    assert!(!behind.contains(" mailhost.example.org"), "{behind}");
    assert_eq!(behind, admin.done(&["map"]));
}

#[test]
fn with_a_clock_that_is_ahead_it_is_said_why_no_list_is_printed() {
    let admin = Admin::with_mailhost();
    let told = at(&admin, "+800d", &["revoke", "mailhost"]).stderr;
    assert!(
        told.contains("by this machine's clock") && told.contains("map --format paste"),
        "{told}"
    );
}
