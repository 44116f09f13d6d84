//! Names of hosts: those outside the domain, twice in a list, issued before, or that no host can have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use authority::Admin;

#[test]
fn a_host_outside_the_domain_is_refused() {
    let admin = Admin::with_authority();
    for outside in [
        "mail.example.net",
        "example.com",
        "mailexample.org",
        "notexample.org",
        "example.org.net",
        "192.0.2.1.example.net",
    ] {
        let told = admin.refused(1, &["issue", outside]);
        assert!(told.contains("outside the domain `example.org`"), "{told}");
        admin.refused(1, &["issue", "mailhost", "--san", outside]);
    }
    admin.refused(1, &["issue", "mailhost", "--san", "192.0.2.1"]);
    admin.refused(1, &["issue", "mailhost", "--san", "::1"]);
    admin.refused(
        2,
        &[
            "init",
            "example.com",
            "--recipient",
            admin.recipient(),
            "--relay",
            "relay.example.net",
        ],
    );
}

#[test]
fn a_name_listed_twice_is_refused_however_it_is_written() {
    let admin = Admin::with_authority();
    for twice in [["mail", "mail"], ["mail", "MAIL.Example.ORG"]] {
        let told = admin.refused(2, &["issue", twice[0], twice[1]]);
        assert!(told.contains("listed twice"), "{told}");
    }
    admin.write("hosts", "a\nb\na.example.org\n");
    let told = admin.refused(2, &["issue", "--from", "hosts"]);
    assert!(
        told.contains("listed twice") && told.contains("nothing was issued"),
        "{told}"
    );
    admin.write("one", "a\n");
    let told = admin.refused(2, &["issue", "a", "--from", "one"]);
    assert!(told.contains("listed twice"), "{told}");
    admin.refused(
        2,
        &[
            "init",
            "example.com",
            "--recipient",
            admin.recipient(),
            "--relay",
            "r",
            "--relay",
            "R.example.com",
        ],
    );
}

#[test]
fn a_host_that_has_a_certificate_keeps_it_and_renew_is_named() {
    let admin = Admin::with_mailhost();
    let serial = &admin.serials()["mailhost.example.org"][0];
    for again in [
        ["issue", "mailhost"].as_slice(),
        &["issue", "new", "MAILHOST.example.org"],
        &["issue", "--relay", "mailhost"],
        &["issue", "--relay", "relayhost:25"],
    ] {
        let told = admin.refused(1, again);
        assert!(
            told.contains("relayca renew") && told.contains("nothing was issued"),
            "{told}"
        );
    }
    let told = admin.refused(1, &["issue", "mailhost"]);
    assert!(told.contains(serial), "{told}");
}

#[test]
fn names_that_no_host_can_have_are_refused() {
    let admin = Admin::with_authority();
    let label = "a".repeat(64);
    let long = format!("{}.example.org", ["a".repeat(60).as_str(); 4].join("."));
    for bad in [
        "",
        " ",
        ".",
        "..",
        "a..b.example.org",
        ".a",
        "-a",
        "a-",
        "a_b",
        "a b",
        "a\tb",
        "a\nb",
        "a\u{0}b".trim_end_matches('\u{0}'),
        "a\u{1b}[2Jb",
        "$(id)",
        "`id`",
        "a;b",
        "a|b",
        "a&b",
        "a>b",
        "a'b",
        "a\"b",
        "a\\b",
        "a/b",
        "../a",
        "a*b",
        "{a}",
        "a#b",
        "a=b",
        "a%b",
        "a@b",
        &label,
        &long,
        "xn--zzzzzz",
        "a\u{202e}b",
        "a\u{200b}b\u{ad}_",
        "1.2.3.4",
        "::1",
        "http://a.example.org",
        "a:25",
    ] {
        if bad.contains('\0') {
            continue;
        }
        let outcome = admin.run(&["issue", "--", bad]);
        let code = outcome.code.unwrap();
        assert!(code == 1 || code == 2, "{bad:?}: {outcome:?}");
        let told = outcome.refused(code);
        assert!(
            !told.contains('\u{1b}') && !told.contains('\u{202e}'),
            "{told:?}"
        );
        for line in told.lines() {
            assert!(
                line.starts_with("relayca: ") || line.starts_with("    "),
                "every line is ours: {told:?}"
            );
        }
    }
    assert_eq!(admin.serials().len(), 2, "nothing was issued");
    for bad in [
        "",
        "org",
        "example..org",
        "exa mple.org",
        "-x.org",
        "example.org/x",
        "192.0.2.1",
        "$(id).org",
    ] {
        let outcome = admin.run(&["init", "--recipient", admin.recipient(), "--", bad]);
        outcome.refused(2);
    }
}

#[test]
fn an_international_name_becomes_its_a_label() {
    let admin = Admin::with_authority();
    admin.done(&["issue", "bücher"]);
    assert!(admin.serials().contains_key("xn--bcher-kva.example.org"));
    admin.refused(1, &["issue", "BÜCHER.example.org"]);
    admin.refused(1, &["issue", "xn--bcher-kva"]);
}

#[test]
fn the_longest_names_that_are_allowed_are_issued() {
    let admin = Admin::with_authority();
    let label = "a".repeat(63);
    let long = format!(
        "{}.example.org",
        [
            label.as_str(),
            label.as_str(),
            label.as_str(),
            &"b".repeat(31)
        ]
        .join(".")
    );
    // The domain name system allows 253; file systems 255, with `.passphrase.age` behind it and a note that it is to go.
    assert_eq!(long.len(), 235);
    let told = admin.refused(1, &["issue", &long.replacen("b.", "bb.", 1)]);
    assert!(told.contains("too long"), "{told}");
    admin.done(&["issue", &label, &long]);
    assert!(admin.serials().contains_key(&long));
    authority::unseal(&admin, &long);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJy6dBHrP5oZ1zV8F7sGc5w3yq0Ldh8mUwxU1cUQ0d4S";
    admin.done(&["renew", "--rekey", &long, "--seal-to", key]);
}
