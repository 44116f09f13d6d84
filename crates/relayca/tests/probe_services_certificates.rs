//! What `relayca probe --mx` and `--submission` make of a server's certificates: the chain, who trusts it, the name, the dates. The
//! certificates are made by openssl.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod services;

use authority::{Admin, Outcome, unseal};
use services::fake::{exchanger, shows, submission};
use services::{Pki, SERVER, check, local, looked, with_roots};

/// A submission service and an MX that show these certificates.
fn judged(pki: &Pki, file: &str, key: &str, more: &[&str], id: &str) -> [(String, String, i32); 2] {
    let admin = Admin::new();
    let tls = shows(pki, file, key);
    [("--submission", submission(pki)), ("--mx", exchanger(pki))].map(|(option, script)| {
        let place = local(script.tls(tls.clone()).listen());
        let mut arguments = vec![option, &place];
        arguments.extend(more);
        let (report, code) = looked(&admin, pki, &arguments);
        let (mark, seen) = check(&report, id);
        (mark, seen, code)
    })
}

#[track_caller]
fn are(found: [(String, String, i32); 2], marks: [(&str, i32); 2], words: &str) {
    for ((mark, seen, code), expected) in found.into_iter().zip(marks) {
        assert_eq!((mark.as_str(), code), expected, "{seen}");
        assert!(seen.contains(words), "{seen}");
    }
}

const FAULT_AND_WARNING: [(&str, i32); 2] = [("fault", 4), ("warning", 3)];

#[test]
fn cert_pem_in_place_of_fullchain_pem_is_seen() {
    let pki = Pki::new();
    let found = judged(&pki, "leaf.pem", "leaf.key", &[], "certificate-chain");
    are(
        found,
        FAULT_AND_WARNING,
        "incomplete: the intermediate `CN=R3` is not sent (cert.pem in place of fullchain.pem?)",
    );
    // A private CA has no such mark, and may have no intermediate.
    pki.make(
        "private",
        "localhost",
        Some("middle"),
        90,
        "subjectAltName=DNS:localhost\n",
    );
    let found = judged(&pki, "private.pem", "private.key", &[], "certificate-chain");
    are(
        found,
        FAULT_AND_WARNING,
        "its issuer `CN=R3` is neither sent nor trusted here",
    );
    // Nor is anything wrong for those who trust that CA.
    let middle = pki.path("middle.pem");
    let found = judged(
        &pki,
        "private.pem",
        "private.key",
        &["--ca-file", &middle],
        "certificate-chain",
    );
    are(found, [("good", 0); 2], "trusted: issued by `CN=R3`");
}

#[test]
fn a_root_that_nobody_trusts_is_named() {
    let pki = Pki::new();
    pki.make(
        "other-root",
        "Somebody's root",
        None,
        90,
        "basicConstraints=critical,CA:TRUE\n",
    );
    pki.make(
        "stranger",
        "localhost",
        Some("other-root"),
        90,
        &format!("{SERVER}subjectAltName=DNS:localhost\n"),
    );
    let chain = [pki.read("stranger.pem"), pki.read("other-root.pem")].concat();
    std::fs::write(pki.file("stranger-chain.pem"), chain).unwrap();
    let found = judged(
        &pki,
        "stranger-chain.pem",
        "stranger.key",
        &[],
        "certificate-chain",
    );
    are(
        found,
        FAULT_AND_WARNING,
        "it leads to `CN=Somebody's root`, which is not trusted here",
    );
}

#[test]
fn self_signed_will_do_between_servers_and_not_for_people() {
    let pki = Pki::new();
    for extensions in [
        "subjectAltName=DNS:localhost\n",
        "basicConstraints=critical,CA:TRUE\nsubjectAltName=DNS:localhost\n",
    ] {
        pki.make("own", "localhost", None, 90, extensions);
        let found = judged(&pki, "own.pem", "own.key", &[], "certificate-chain");
        are(found, [("fault", 4), ("note", 0)], "self-signed");
    }
}

#[test]
fn names_and_dates_are_compared() {
    let pki = Pki::new();
    pki.leaf("other", "mail.example.org", 90);
    let found = judged(
        &pki,
        "other-chain.pem",
        "other.key",
        &[],
        "certificate-name",
    );
    are(
        found,
        FAULT_AND_WARNING,
        "it does not name `localhost`, but mail.example.org",
    );
    pki.make("nameless", "localhost", Some("middle"), 90, SERVER);
    let found = judged(
        &pki,
        "nameless.pem",
        "nameless.key",
        &[],
        "certificate-name",
    );
    are(
        found,
        FAULT_AND_WARNING,
        "it names no host in subjectAltName",
    );
    // Ten days are little of ninety, and not of ten.
    pki.leaf_before(80, "soon", "localhost", 90);
    let found = judged(&pki, "soon-chain.pem", "soon.key", &[], "certificate-dates");
    are(found, [("warning", 3); 2], "9 days left");
    pki.leaf("short", "localhost", 10);
    let found = judged(
        &pki,
        "short-chain.pem",
        "short.key",
        &[],
        "certificate-dates",
    );
    are(found, [("good", 0); 2], "9 days left");
    // A chain that is good but for the date is told so: the date alone is at fault.
    pki.leaf_before(100, "old", "localhost", 90);
    let found = judged(&pki, "old-chain.pem", "old.key", &[], "certificate-dates");
    are(found, FAULT_AND_WARNING, "it expired on ");
    let found = judged(&pki, "old-chain.pem", "old.key", &[], "certificate-chain");
    are(found, [("good", 4), ("good", 3)], "complete and trusted");
}

#[test]
fn a_certificate_of_this_domain_is_known_by_its_authority() {
    let pki = Pki::new();
    let admin = Admin::new();
    admin.init(&["--relay", "mail.example.org"]);
    let opened = unseal(&admin, "mail.example.org");
    for (from, to) in [("crt", "pem"), ("key", "key")] {
        std::fs::copy(
            opened.join(format!("mail.example.org.{from}.pem")),
            pki.file(&format!("ours.{to}")),
        )
        .unwrap();
    }
    let tls = shows(&pki, "ours.pem", "ours.key");
    for (option, script, mark) in [
        ("--mx", exchanger(&pki), "good"),
        ("--submission", submission(&pki), "note"),
    ] {
        let place = local(script.tls(tls.clone()).listen());
        let (report, _) = looked(&admin, &pki, &[option, &place]);
        let (found, seen) = check(&report, "certificate-chain");
        assert_eq!(found, mark, "{seen}");
        assert!(
            seen.starts_with("good: issued by the CA of example.org"),
            "{seen}"
        );
    }
}

#[test]
fn without_a_list_of_authorities_the_chain_is_not_judged() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let empty = admin.write("empty.pem", "");
    let place = local(submission(&pki).listen());
    let mut command = admin.relayca(&["probe", "--submission", &place]);
    let outcome = Outcome::of(command.env("SSL_CERT_FILE", empty));
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(
        outcome
            .stdout
            .contains("untried  this system has no list of public authorities"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn an_authority_that_was_named_must_be_there_and_one_that_is_damaged_is_told() {
    let pki = Pki::new();
    let admin = Admin::with_authority();
    let place = local(exchanger(&pki).listen());
    admin.refused(1, &["probe", "--mx", &place, "--dir", "nowhere"]);
    std::fs::write(admin.part("inventory.db"), "no database").unwrap();
    let outcome = Outcome::of(&mut with_roots(&admin, &pki, &["probe", "--mx", &place]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let warning = "relayca: warning: certificates of example.org will not be known: ";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
}
