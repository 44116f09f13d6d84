//! The same certificate gives the same bytes, and every archive has fixed owners, modes and times.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use authority::{Admin, age_with_identity, age_with_passphrase, judge, judge_input, keygen};

#[test]
fn a_public_bundle_written_twice_is_the_same_file() {
    let admin = Admin::with_mailhost();
    let write = |host: &str| {
        let path = admin.done(&["bundle", host]);
        std::fs::read(path.trim()).unwrap()
    };
    for host in ["mailhost", "relayhost"] {
        assert_eq!(write(host), write(host), "{host}");
    }
    // What `issue` wrote for the relay is what `bundle` writes.
    let issued = std::fs::read(admin.part("bundles/relayhost.example.org.public.tar")).unwrap();
    assert_eq!(issued, write("relayhost"));
}

#[test]
fn a_bundle_sealed_anew_holds_the_same_archive() {
    let admin = Admin::with_mailhost();
    keygen(&admin.file("host.txt"));
    let recipient = judge("age-keygen", &["-y", &admin.name("host.txt")]);
    let seal = || {
        let path = admin.done(&["bundle", "mailhost", "--seal-to", recipient.trim()]);
        age_with_identity(&admin.file("host.txt"), std::path::Path::new(path.trim()))
    };
    let (first, second) = (seal(), seal());
    assert_eq!(first, second);
    let passphrase = admin.done(&["passphrase", "mailhost"]);
    let issued = age_with_passphrase(
        &admin,
        &admin.part("bundles/mailhost.example.org.tar.age"),
        passphrase.trim(),
    );
    assert_eq!(issued, first, "and it is the archive that was issued");
}

#[test]
fn every_name_in_an_archive_has_a_fixed_owner_mode_and_time() {
    let admin = Admin::with_mailhost();
    let passphrase = admin.done(&["passphrase", "mailhost"]);
    let archive = age_with_passphrase(
        &admin,
        &admin.part("bundles/mailhost.example.org.tar.age"),
        passphrase.trim(),
    );
    let listed = judge_input("tar", &["-tv", "--full-time", "--utc", "-f", "-"], &archive);
    let numeric = judge_input("tar", &["-tv", "--numeric-owner", "-f", "-"], &archive);
    assert!(
        numeric.lines().all(|line| line.contains(" 0/0 ")),
        "{numeric}"
    );
    // The time is the certificate's beginning, whatever the clock says when it is packed.
    let shown = admin.json(&["show", "mailhost"]);
    let begin = shown["certificates"][0]["not_before"]
        .as_str()
        .unwrap()
        .replace('T', " ")
        .replace('Z', "");
    let mut names = Vec::new();
    for line in listed.lines() {
        let mode = if line.contains(".key.pem") {
            "-rw-------"
        } else {
            "-rw-r--r--"
        };
        assert!(line.starts_with(&format!("{mode} root/root ")), "{line}");
        assert!(line.contains(&begin), "{begin}: {line}");
        names.push(line.rsplit(' ').next().unwrap());
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
}
