//! Revoking: what goes, what is asked first, and what stays in the history.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::path::Path;
use std::process::Command;

use authority::{Admin, judge, judge_input};
use serde_json::json;

const HOST: &str = "mailhost.example.org";
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Serials of a host by their state.
fn serials(admin: &Admin, host: &str, state: &str) -> Vec<String> {
    let shown = admin.json(&["show", host]);
    let all = shown["certificates"].as_array().unwrap();
    all.iter()
        .filter(|one| one["state"] == state)
        .map(|one| one["serial"].as_str().unwrap().to_owned())
        .collect()
}

fn listed(admin: &Admin, host: &str) -> usize {
    let map = admin.json(&["map"]);
    let entries = map["entries"].as_array().unwrap();
    entries.iter().filter(|entry| entry["host"] == host).count()
}

#[test]
fn a_revoked_host_leaves_the_map_and_stays_in_the_history() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "other"]);
    let serial = serials(&admin, HOST, "live").remove(0);
    // No key is needed: whoever has just lost one acts at once.
    std::fs::rename(admin.identity(), admin.file("away")).unwrap();
    let answer = admin.json(&["revoke", "mailhost", "--reason", "keyCompromise"]);
    let revoked = &answer["revoked"][0];
    assert_eq!(
        (
            &revoked["host"],
            &revoked["serial"],
            &revoked["reason"],
            &revoked["role"]
        ),
        (
            &json!(HOST),
            &json!(serial),
            &json!("keyCompromise"),
            &json!("mailhost")
        )
    );
    assert!(revoked["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(answer["map_entries"], 1);
    for format in ["text", "inline", "texthash", "json", "paste"] {
        let map = admin.done(&["map", "--format", format]);
        assert!(
            !map.contains(HOST) && map.contains("other.example.org"),
            "{map}"
        );
    }
    let archive = admin.part("bundles/relayhost.example.org.public.tar");
    let map = judge("tar", &["-xOf", text(&archive), "relay_clientcerts"]);
    assert!(
        !map.contains(HOST) && map.contains("other.example.org"),
        "{map}"
    );
    assert_eq!(
        serials(&admin, HOST, "revoked"),
        std::slice::from_ref(&serial)
    );
    assert!(!admin.done(&["list"]).contains(HOST));
    assert!(admin.done(&["list", "--all"]).contains(&serial));
    let events = admin.json(&["show", "mailhost"])["events"].clone();
    let last = events.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["what"], &last["detail"]),
        (&json!("revoke"), &json!("keyCompromise"))
    );
    // The history cannot be taken back, not even with sqlite3.
    let database = admin.part("inventory.db");
    for change in [
        "update certificates set state = 'live' where state = 'revoked'",
        "delete from revocations",
        "update revocations set reason = 'superseded'",
    ] {
        let tried = Command::new("sqlite3")
            .arg(&database)
            .arg(change)
            .output()
            .unwrap();
        assert!(!tried.status.success(), "{change}");
    }
    // A second time there is nothing to revoke, and it says so.
    let told = admin.refused(1, &["revoke", "mailhost"]);
    assert!(told.contains("no live certificate"), "{told}");
    let told = admin.refused(1, &["revoke", &serial]);
    assert!(told.contains("revoked already"), "{told}");
    // It is not issued or renewed with that key, and a new key is the way back.
    assert!(
        admin
            .refused(1, &["issue", "mailhost", "-i", "away"])
            .contains("--rekey")
    );
    assert!(
        admin
            .refused(1, &["renew", "mailhost", "-i", "away"])
            .contains("--rekey")
    );
}

#[test]
fn the_printed_steps_rebuild_the_map_on_every_relay() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "--relay", "relay2:2500"]);
    admin.done(&["issue", "other"]);
    let printed = admin.done(&["revoke", "mailhost"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    for relay in ["relayhost.example.org", "relay2.example.org"] {
        assert!(
            printed.contains(&format!("On {relay}, as root: the map")),
            "{printed}"
        );
    }
    assert!(
        !printed.contains(HOST) && printed.contains("other.example.org"),
        "{printed}"
    );
    assert!(
        printed.contains("postmap") && printed.contains("postfix reload"),
        "{printed}"
    );
}

#[test]
fn several_live_certificates_are_listed_and_none_is_revoked_until_told_which() {
    let admin = Admin::with_mailhost();
    admin.done(&["renew", "--rekey", "mailhost"]);
    let live = serials(&admin, HOST, "live");
    let told = admin.refused(1, &["revoke", "mailhost"]);
    for serial in &live {
        assert!(told.contains(serial), "{told}");
    }
    assert!(
        told.contains("--all") && told.contains("nothing was revoked"),
        "{told}"
    );
    // One that is right among others that are not: none.
    for wrong in ["nobody", "00ff", "../x", ""] {
        admin.refused(1, &["revoke", &live[0], wrong]);
        admin.refused(1, &["revoke", wrong]);
    }
    assert_eq!(listed(&admin, HOST), 2);
    // By serial, as openssl writes it.
    let colons: Vec<String> = live[0]
        .to_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect();
    admin.done(&["revoke", &colons.join(":"), "--reason", "superseded"]);
    assert_eq!(serials(&admin, HOST, "revoked"), live[..1]);
    assert_eq!(listed(&admin, HOST), 1);
    // Now there is no doubt.
    admin.done(&["revoke", "mailhost"]);
    assert_eq!(listed(&admin, HOST), 0);
}

#[test]
fn several_serials_go_at_once_and_so_do_all() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "other"]);
    for host in ["mailhost", "other"] {
        admin.done(&["renew", "--rekey", host]);
    }
    let live = serials(&admin, HOST, "live");
    let answer = admin.json(&["revoke", &live[0], &live[1], &live[0]]);
    assert_eq!(answer["revoked"].as_array().unwrap().len(), 2, "each once");
    assert_eq!(
        (listed(&admin, HOST), listed(&admin, "other.example.org")),
        (0, 2)
    );
    let answer = admin.json(&[
        "revoke",
        "other",
        "--all",
        "--reason",
        "cessationOfOperation",
    ]);
    assert_eq!(answer["revoked"].as_array().unwrap().len(), 2);
    assert_eq!(answer["map_entries"], 0);
}

#[test]
fn a_key_does_not_go_on_by_a_certificate_that_was_renewed() {
    let admin = Admin::with_mailhost();
    admin.done(&["renew", "mailhost"]);
    let live = serials(&admin, HOST, "live");
    let told = admin.refused(1, &["revoke", &live[0]]);
    assert!(
        told.contains(&live[1]) && told.contains("would go on relaying"),
        "{told}"
    );
    // Superseded says nothing against the key: the line stays, and the host is renewed again.
    let told = admin.run(&["revoke", &live[0], "--reason", "superseded"]);
    assert!(told.stderr.contains("stay as they are"), "{told:?}");
    assert_eq!(told.done(), "", "no map to paste");
    assert_eq!(listed(&admin, HOST), 1);
    admin.done(&["renew", "mailhost"]);
    // Given up, the key goes with all its certificates, the retired one as well.
    admin.done(&["retire", "mailhost"]);
    assert_eq!(serials(&admin, HOST, "retired").len(), 1);
    let answer = admin.json(&["revoke", "mailhost", "--reason", "keyCompromise"]);
    assert_eq!(answer["revoked"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(serials(&admin, HOST, "revoked").len(), 3);
    admin.refused(1, &["renew", "mailhost"]);
}

#[test]
fn the_ca_and_unknown_ones_are_refused() {
    let admin = Admin::with_mailhost();
    let ca = admin.json(&["show", "example.org"])["certificates"][0]["serial"]
        .as_str()
        .unwrap()
        .to_owned();
    let told = admin.refused(1, &["revoke", &ca]);
    assert!(
        told.contains("CA's own") && told.contains("rollover"),
        "{told}"
    );
    for unknown in [
        "nobody",
        "example.org",
        "example.net",
        "mail.example.net",
        "00ff00ff",
        "\u{1b}[2J",
        "a b",
    ] {
        let told = admin.refused(1, &["revoke", unknown]);
        assert!(
            told.contains("nothing was revoked") && !told.contains('\u{1b}'),
            "{told:?}"
        );
    }
    for reason in [
        "",
        "stolen",
        "certificateHold",
        "removeFromCRL",
        "aACompromise",
        "1",
        "keyCompromise,superseded",
    ] {
        admin.refused(2, &["revoke", "mailhost", "--reason", reason]);
    }
    admin.refused(2, &["revoke"]);
    admin.refused(2, &["revoke", "--all"]);
}

#[test]
fn a_relay_is_revoked_with_a_warning_and_its_map_still_reaches_it() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "other"]);
    let outcome = admin.run(&["revoke", "relayhost"]);
    assert!(
        outcome.stderr.contains("Postfix reads no revocation list"),
        "{outcome:?}"
    );
    assert!(
        outcome.stderr.contains("renew --rekey") && !outcome.stderr.contains("issue --relay"),
        "{outcome:?}"
    );
    assert_eq!(outcome.done(), "", "the map is as before");
    admin.done(&["revoke", "mailhost"]);
    let archive = admin.part("bundles/relayhost.example.org.public.tar");
    let map = judge("tar", &["-xOf", text(&archive), "relay_clientcerts"]);
    assert!(
        !map.contains(HOST) && map.contains("other.example.org"),
        "{map}"
    );
    assert!(!judge("tar", &["-tf", text(&archive)]).contains("relayhost.example.org.crt.pem"));
    admin.done(&["renew", "--rekey", "relayhost"]);
    assert!(judge("tar", &["-tf", text(&archive)]).contains("relayhost.example.org.crt.pem"));
}

#[test]
fn a_revoked_certificate_does_not_hold_and_its_history_says_why() {
    let admin = Admin::with_mailhost();
    let public = admin.done(&["bundle", "mailhost"]);
    judge(
        "tar",
        &["-xf", public.trim(), "-C", admin.home().to_str().unwrap()],
    );
    let verify = ["verify", "mailhost.example.org.crt.pem", "--json"];
    assert_eq!(admin.run(&verify).code, Some(0));
    admin.done(&["revoke", "mailhost", "--reason", "keyCompromise"]);
    let outcome = admin.run(&verify);
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    let judged: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(judged["faults"][0]["code"], "revoked", "{judged}");
    let shown = admin.done(&["show", "mailhost"]);
    assert!(shown.contains("keyCompromise"), "{shown}");
}
