//! A new CA takes the place of the old one, step by step: in every phase old and new certificates hold before openssl and GnuTLS,
//! and a step out of turn changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::path::Path;

use authority::cas::{
    MAILHOST, RELAY, ca_in, count, holds, holds_not, key_opens, newest, pem, phases,
    renew_and_retire_hosts, told, trust, words,
};
use authority::{Admin, DOMAIN, judge, judge_input};
use serde_json::Value;

#[test]
fn old_and_new_certificates_hold_in_every_phase_of_the_whole_way() {
    let admin = Admin::with_mailhost();
    let old_leaf = pem(&admin, &admin.serials()[MAILHOST][0]);
    let old_relay = pem(&admin, &admin.serials()[RELAY][0]);
    assert_eq!(phases(&admin), [("active".to_owned(), 2)]);
    let old_ca = ca_in(&admin, "active");

    let (printed, notes) = told(&admin, &["rollover", "prepare"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    let at = |text: &str| printed.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(
        at(&format!("# 1. On {RELAY}")) < at(&format!("# 2. On {MAILHOST}"))
            && at("# 2.") < at("# 3. Here")
            && at("# 3.") < at("rollover activate"),
        "{printed}"
    );
    assert_eq!(
        printed.matches("\n-----BEGIN CERTIFICATE-----\n").count(),
        4,
        "both CAs for both hosts, nothing else"
    );
    assert_eq!(
        printed.matches("it is an old block").count(),
        2,
        "each block looks whether a CA was retired since, and be the CAs made within one second"
    );
    assert!(notes.contains("in any order"), "{notes}");
    let new_ca = ca_in(&admin, "prepared");
    assert_eq!(words(&admin), ["active", "prepared"]);
    key_opens(&admin, "ca");
    key_opens(&admin, &format!("ca/{new_ca}"));
    assert_eq!(admin.done(&["verify", "ca"]), "ca holds\n");
    for host in [RELAY, MAILHOST] {
        assert_eq!(count(&trust(&admin, host)), 2);
        holds(&trust(&admin, host), &old_leaf, "sslclient");
        holds(&trust(&admin, host), &old_relay, "sslserver");
    }
    // Nothing is signed by the new one yet: who has the old trust file alone accepts what is issued now.
    let old_trust = pem(&admin, &old_ca);
    admin.done(&["issue", "between"]);
    holds(
        &old_trust,
        &pem(&admin, &admin.serials()["between.example.org"][0]),
        "sslclient",
    );
    let list = admin.done(&["list"]);
    assert!(
        list.contains("prepared") && list.contains(&new_ca),
        "{list}"
    );

    let (printed, notes) = told(&admin, &["rollover", "activate"]);
    assert!(
        printed.contains("renew --due") && notes.contains("must trust both"),
        "{printed}{notes}"
    );
    assert_eq!(
        phases(&admin),
        [("active".to_owned(), 0), ("outgoing".to_owned(), 3)]
    );
    assert_eq!(ca_in(&admin, "active"), new_ca);
    key_opens(&admin, "ca");
    key_opens(&admin, &format!("ca/{old_ca}"));
    assert!(
        !admin.part(&format!("ca/{new_ca}")).exists(),
        "the files are in one place"
    );
    assert_eq!(admin.done(&["verify", "ca"]), "ca holds\n");

    // Newly issued certificates come from the new CA; their bundles hold both CA certificates.
    admin.done(&["issue", "mail2"]);
    let files = authority::unseal(&admin, "mail2.example.org");
    let bundled = files.join("example.org-ca.crt.pem");
    let mail2 = files.join("mail2.example.org.crt.pem");
    assert_eq!(count(&bundled), 2);
    holds(&bundled, &mail2, "sslclient");
    holds(&bundled, &old_relay, "sslserver");
    holds(&pem(&admin, &new_ca), &mail2, "sslclient");
    holds_not(&old_trust, &mail2, "sslclient");
    // Who got the trust file before the activation accepts them all the same.
    holds(&trust(&admin, MAILHOST), &mail2, "sslclient");
    assert_eq!(
        admin.run(&["verify", mail2.to_str().unwrap()]).code,
        Some(0)
    );
    let judged = admin.run(&["verify", old_leaf.to_str().unwrap()]);
    assert_eq!(judged.code, Some(3), "it holds, and wants to be renewed");
    assert!(judged.stderr.contains("outgoing"), "{}", judged.stderr);

    let refused = admin.refused(1, &["rollover", "retire"]);
    for host in [RELAY, MAILHOST, "between.example.org"] {
        let serial = &admin.serials()[host][0];
        assert!(
            refused.contains(&format!("{host}, serial {serial}, until 20")),
            "{refused}"
        );
    }
    assert!(!refused.contains("mail2") && refused.contains("renew --due"));

    let renewed = admin.done(&["renew", "--due"]);
    assert!(
        renewed.find(RELAY).unwrap() < renewed.find(MAILHOST).unwrap(),
        "the relays first"
    );
    assert!(!renewed.contains("mail2"), "{renewed}");
    assert_eq!(
        phases(&admin),
        [("active".to_owned(), 4), ("outgoing".to_owned(), 3)],
        "the old ones go on until they are retired"
    );
    for host in [RELAY, MAILHOST] {
        assert_eq!(count(&trust(&admin, host)), 2);
    }
    holds(
        &trust(&admin, RELAY),
        &newest(&admin, MAILHOST),
        "sslclient",
    );
    holds(&trust(&admin, RELAY), &old_leaf, "sslclient");
    holds(
        &trust(&admin, MAILHOST),
        &newest(&admin, RELAY),
        "sslserver",
    );
    holds(&trust(&admin, MAILHOST), &old_relay, "sslserver");
    let refused = admin.refused(1, &["rollover", "retire"]);
    assert!(
        refused.contains("retire between.example.org mailhost.example.org relayhost.example.org")
            && !refused.contains("renew --due"),
        "what is left to do is named: {refused}"
    );
    admin.done(&["retire", "relayhost", "mailhost", "between"]);

    let (printed, notes) = told(&admin, &["rollover", "retire"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    assert_eq!(
        printed.matches("\n-----BEGIN CERTIFICATE-----\n").count(),
        4
    );
    assert!(notes.contains(&format!("ca/{old_ca}")), "{notes}");
    assert_eq!(
        phases(&admin),
        [("active".to_owned(), 4), ("retired".to_owned(), 0)]
    );
    for (host, leaf, purpose) in [
        (RELAY, newest(&admin, MAILHOST), "sslclient"),
        (MAILHOST, newest(&admin, RELAY), "sslserver"),
    ] {
        let trust = trust(&admin, host);
        assert_eq!(count(&trust), 1);
        holds(&trust, &leaf, purpose);
        holds_not(&trust, &old_leaf, "sslclient");
        holds_not(&trust, &old_relay, "sslserver");
    }
    // The old key stays where it is said to be; who destroys it loses nothing.
    key_opens(&admin, &format!("ca/{old_ca}"));
    let judged = admin.run(&["verify", old_leaf.to_str().unwrap()]);
    assert_eq!(judged.code, Some(4));
    assert!(judged.stdout.contains("retired"), "{}", judged.stdout);
    std::fs::remove_dir_all(admin.part(&format!("ca/{old_ca}"))).unwrap();
    assert_eq!(admin.done(&["verify", "ca"]), "ca holds\n");
    assert!(!admin.done(&["list"]).contains(&old_ca));
    assert!(admin.done(&["list", "--all"]).contains(&old_ca));

    let events = admin.json(&["show", DOMAIN])["events"].clone();
    let told: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "init",
            "rollover-prepare",
            "rollover-activate",
            "rollover-retire"
        ]
    );
}

#[test]
fn a_step_out_of_turn_refuses_and_changes_nothing() {
    let admin = Admin::with_mailhost();
    assert!(
        admin
            .refused(1, &["rollover", "activate"])
            .contains("prepare")
    );
    assert!(
        admin
            .refused(1, &["rollover", "retire"])
            .contains("prepare")
    );
    admin.done(&["rollover", "prepare"]);
    let again = admin.refused(1, &["rollover", "prepare"]);
    assert!(
        again.contains("prepared") && again.contains("activate") && again.contains("retire"),
        "{again}"
    );
    admin.done(&["rollover", "activate"]);
    let again = admin.refused(1, &["rollover", "activate"]);
    assert!(again.contains("active already"), "{again}");
    let again = admin.refused(1, &["rollover", "prepare"]);
    assert!(again.contains("outgoing"), "{again}");
    admin.refused(1, &["rollover", "retire"]);
    renew_and_retire_hosts(&admin, &["relayhost", "mailhost"]);
    admin.done(&["rollover", "retire"]);
    admin.refused(1, &["rollover", "retire"]);
    admin.refused(1, &["rollover", "activate"]);
    for serial in &admin.serials()[DOMAIN] {
        let told = admin.refused(1, &["revoke", serial]);
        assert!(told.contains("CA"), "{told}");
    }
}

#[test]
fn where_it_stands_is_told_with_the_next_step() {
    let admin = Admin::with_mailhost();
    let next = |word: &str, command: &str| {
        let stand = admin.json(&["rollover"]);
        assert_eq!(stand["next"], word);
        let before = admin.tree();
        let (table, note) = told(&admin, &["rollover"]);
        before.assert_same(&admin.tree());
        assert!(note.contains(command), "{note}");
        for one in stand["authorities"].as_array().unwrap() {
            for key in ["serial", "phase", "subject"] {
                assert!(table.contains(one[key].as_str().unwrap()), "{table}");
            }
            let directory = Path::new(one["directory"].as_str().unwrap());
            assert!(directory.join("ca.key.pem").is_file(), "{directory:?}");
        }
    };
    next("prepare", "rollover prepare");
    let made = admin.json(&["rollover", "prepare"]);
    assert_eq!(
        (made["step"].as_str(), made["next"].as_str()),
        (Some("prepare"), Some("activate"))
    );
    assert_eq!(made["hosts"][0]["host"], RELAY);
    assert!(Path::new(made["hosts"][1]["bundle"].as_str().unwrap()).is_file());
    let pems = made["trust"].as_str().unwrap();
    assert_eq!(pems.matches("BEGIN CERTIFICATE").count(), 2);
    next("activate", "rollover activate");
    assert_eq!(admin.json(&["rollover", "activate"])["next"], "renew");
    next("renew", "renew --due");
    renew_and_retire_hosts(&admin, &["relayhost", "mailhost"]);
    next("retire", "rollover retire");
    let left = admin.json(&["rollover", "retire"]);
    assert_eq!(
        (left["step"].as_str(), left["next"].as_str()),
        (Some("retire"), Some("prepare"))
    );
    next("prepare", "no rollover is under way");
    let shown = admin.json(&["show", DOMAIN]);
    let mut shown: Vec<&str> = shown["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["phase"].as_str().unwrap())
        .collect();
    shown.sort_unstable();
    assert_eq!(shown, ["active", "retired"]);
    assert!(admin.json(&["show", MAILHOST])["certificates"][0]["phase"].is_null());
}

#[test]
fn a_prepared_ca_that_is_not_wanted_is_given_up() {
    let admin = Admin::with_mailhost();
    let before = ca_in(&admin, "active");
    admin.done(&["rollover", "prepare"]);
    let unwanted = ca_in(&admin, "prepared");
    let (printed, notes) = told(&admin, &["rollover", "retire"]);
    assert_eq!(
        printed.matches("\n-----BEGIN CERTIFICATE-----\n").count(),
        2
    );
    assert!(
        notes.contains("signed nothing") && notes.contains(&unwanted),
        "{notes}"
    );
    assert_eq!(words(&admin), ["active", "retired"]);
    assert_eq!(ca_in(&admin, "active"), before);
    for host in [RELAY, MAILHOST] {
        assert_eq!(count(&trust(&admin, host)), 1);
        holds(&trust(&admin, host), &newest(&admin, MAILHOST), "sslclient");
    }
    key_opens(&admin, &format!("ca/{unwanted}"));
    // And another one may be prepared.
    admin.done(&[
        "rollover",
        "prepare",
        "--ca-key",
        "ed25519",
        "--ca-days",
        "400",
    ]);
    admin.done(&["rollover", "activate"]);
    assert_eq!(words(&admin), ["active", "outgoing", "retired"]);
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
    assert!(ca.contains("ED25519"), "{ca}");
    admin.done(&["issue", "mail2"]);
}

#[test]
fn a_second_rollover_follows_the_first() {
    let admin = Admin::with_mailhost();
    let mut seen = vec![ca_in(&admin, "active")];
    for round in 1..=2 {
        admin.done(&["rollover", "prepare"]);
        admin.done(&["rollover", "activate"]);
        renew_and_retire_hosts(&admin, &["relayhost", "mailhost"]);
        admin.done(&["rollover", "retire"]);
        let active = ca_in(&admin, "active");
        assert!(!seen.contains(&active));
        for retired in &seen {
            key_opens(&admin, &format!("ca/{retired}"));
        }
        seen.push(active);
        key_opens(&admin, "ca");
        assert_eq!(words(&admin).len(), round + 1);
        holds(
            &trust(&admin, RELAY),
            &newest(&admin, MAILHOST),
            "sslclient",
        );
        assert_eq!(count(&trust(&admin, RELAY)), 1);
    }
    assert_eq!(
        admin.done(&["map"]).matches(MAILHOST).count(),
        1,
        "the key stayed the same"
    );
}

#[test]
fn many_hosts_get_the_trust_file_from_their_public_bundles() {
    let admin = Admin::with_mailhost();
    let names: Vec<String> = (0..8).map(|number| format!("h{number}")).collect();
    let mut arguments = vec!["issue"];
    arguments.extend(names.iter().map(String::as_str));
    admin.done(&arguments);
    let printed = admin.done(&["rollover", "prepare"]);
    judge_input("sh", &["-n"], printed.as_bytes());
    assert!(
        !printed.contains("BEGIN CERTIFICATE") && printed.contains("HOST.public.tar"),
        "{printed}"
    );
    // The command that is printed takes the trust file, and leaves the certificate of a rekeyed host alone.
    let place = admin.file("etc/relayca");
    std::fs::create_dir_all(&place).unwrap();
    let command = printed
        .lines()
        .find(|line| line.contains("tar -xf"))
        .unwrap()
        .trim_start_matches("# ")
        .split(" && ")
        .next()
        .unwrap()
        .replace(
            "HOST.public.tar",
            admin
                .part("bundles/h3.example.org.public.tar")
                .to_str()
                .unwrap(),
        )
        .replace("/etc/postfix/relayca", place.to_str().unwrap());
    judge("sh", &["-c", &command]);
    let names: Vec<_> = place
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["example.org-ca.crt.pem"]);
    assert_eq!(count(&place.join("example.org-ca.crt.pem")), 2);
    // A Postfix that has its files elsewhere gets a step of its own.
    admin.done(&["rollover", "retire"]);
    let settings = std::fs::read_to_string(admin.part("relayca.toml")).unwrap();
    let own = "\n[host.\"h5.example.org\"]\nconfig-directory = \"/opt/postfix\"\n";
    std::fs::write(admin.part("relayca.toml"), settings + own).unwrap();
    let printed = admin.done(&["rollover", "prepare"]);
    assert!(
        printed.contains("For h5.example.org, ")
            && printed.contains(
                "/opt/postfix/relayca example.org-ca.crt.pem && postfix -c /opt/postfix reload"
            )
            && printed.contains("For each host that no other step names, "),
        "{printed}"
    );
    admin.done(&["rollover", "activate"]);
    let told = admin.refused(1, &["rollover", "retire"]);
    assert_eq!(
        told.matches(", serial ").count(),
        10,
        "all of them are named: {told}"
    );
}

#[test]
fn a_host_that_is_gone_keeps_nothing() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "gone"]);
    admin.done(&["revoke", "gone", "--reason", "cessationOfOperation"]);
    let printed = admin.done(&["rollover", "prepare"]);
    assert!(!printed.contains("gone.example.org"), "{printed}");
    admin.done(&["rollover", "activate"]);
    renew_and_retire_hosts(&admin, &["relayhost", "mailhost"]);
    admin.done(&["rollover", "retire"]);
}

#[test]
fn json_is_one_document_even_where_the_hosts_are_none() {
    let admin = Admin::with_authority();
    admin.done(&["revoke", "relayhost"]);
    let made: Value = admin.json(&["rollover", "prepare"]);
    assert_eq!(made["hosts"].as_array().unwrap().len(), 0);
    assert_eq!(admin.json(&["rollover", "activate"])["next"], "retire");
    assert_eq!(admin.json(&["rollover", "retire"])["next"], "prepare");
}
