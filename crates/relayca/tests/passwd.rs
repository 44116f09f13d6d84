//! Who opens the authority: added, removed, by passphrase or by key. Judged by age and openssl.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod sealed;

use std::os::unix::fs::PermissionsExt;

use authority::terminal::Terminal;
use authority::{Admin, Outcome, RELAYCA, Tree, age_with_passphrase, judge, keygen, ssh_keygen};
use sealed::{
    ca_certificate_key, ca_key, opens, opens_all, opens_none, sealed, settings, with_old_bundle,
    with_passphrase,
};

#[test]
fn who_opens_it_is_listed() {
    let admin = Admin::with_mailhost();
    let ssh = ssh_keygen(&admin.file("ssh"), &["ed25519"]);
    admin.done(&["passwd", "--add", &ssh]);
    let listed = admin.done(&["passwd"]);
    assert!(listed.starts_with("KIND"), "{listed}");
    assert!(
        listed.contains(admin.recipient()) && listed.contains("\nssh-ed25519  ssh-ed25519 AAAA"),
        "{listed}"
    );
    let json = admin.json(&["passwd"]);
    assert_eq!(json["opened_by"], "recipients");
    assert_eq!(json["recipients"][0]["kind"], "age");
    assert_eq!(json["recipients"][1]["kind"], "ssh-ed25519");
}

#[test]
fn an_added_recipient_opens_everything_and_a_removed_one_nothing() {
    let admin = with_old_bundle();
    let commented = settings(&admin).replace("[map]", "[map] # ours");
    std::fs::write(admin.part("relayca.toml"), commented).unwrap();
    let (old, new) = (admin.identity(), admin.file("new.txt"));
    let recipient = keygen(&new);
    let told = admin.run(&["passwd", "--add", &recipient]);
    assert!(
        told.stderr.contains("nobody has opened it as age1") && told.stderr.contains("verify ca"),
        "{told:?}"
    );
    told.done();
    assert!(opens_all(&admin, &old) && opens_all(&admin, &new));
    let ca = admin.done(&["passphrase", "ca"]);
    assert_eq!(admin.done(&["passphrase", "ca", "-i", "new.txt"]), ca);

    let told = admin.run(&["passwd", "--remove", admin.recipient(), "-i", "new.txt"]);
    assert!(
        told.stderr.contains("copies of the old files") && told.stderr.contains("--rotate"),
        "{told:?}"
    );
    told.done();
    assert!(opens_none(&admin, &old) && opens_all(&admin, &new));
    admin.done(&["verify", "ca", "-i", "new.txt"]);
    admin.refused(1, &["verify", "ca"]);
    let text = settings(&admin);
    assert!(text.contains(&recipient) && !text.contains(admin.recipient()));
    assert!(
        text.contains("[map] # ours") && text.contains("# Who can open"),
        "{text}"
    );
    admin.done(&["issue", "other", "-i", "new.txt"]);
    assert!(opens_none(&admin, &old) && opens_all(&admin, &new));
    for file in sealed(&admin) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let events = judge(
        "sqlite3",
        &[
            admin.part("inventory.db").to_str().unwrap(),
            "select detail from events where what = 'passwd' order by id",
        ],
    );
    let removed = format!("removed {}", admin.recipient());
    let lines: Vec<&str> = events.lines().collect();
    assert_eq!(lines, [format!("added {recipient}"), removed]);
}

#[test]
fn adding_again_seals_again_to_all_that_relayca_toml_names() {
    let admin = Admin::with_mailhost();
    let recipient = keygen(&admin.file("new.txt"));
    // Somebody wrote the recipient into relayca.toml by hand: what was sealed before is not for it.
    let edited = settings(&admin).replace(
        &format!("\"{}\"]", admin.recipient()),
        &format!("\"{}\", \"{recipient}\"]", admin.recipient()),
    );
    std::fs::write(admin.part("relayca.toml"), &edited).unwrap();
    assert!(opens_none(&admin, &admin.file("new.txt")));
    admin.done(&["passwd", "--add", &recipient]);
    assert!(opens_all(&admin, &admin.file("new.txt")));
    assert_eq!(settings(&admin), edited);
}

#[test]
fn from_a_key_to_a_passphrase_and_back() {
    let admin = with_old_bundle();
    let ca = admin.done(&["passphrase", "ca"]);
    let mailhost = admin.done(&["passphrase", "mailhost"]);
    admin.write("pass", "correct horse battery staple\n");
    let told = admin.run(&[
        "passwd",
        "--new-passphrase",
        "--new-passphrase-file",
        "pass",
    ]);
    assert_eq!(told.stdout, "an admin passphrase\n", "{told:?}");
    assert!(told.stderr.contains("copies of the old files"), "{told:?}");
    assert!(opens_none(&admin, &admin.identity()));
    let opened = age_with_passphrase(
        &admin,
        &admin.part("ca/ca.passphrase.age"),
        "correct horse battery staple",
    );
    assert_eq!(String::from_utf8(opened).unwrap(), ca);
    let identity = age_with_passphrase(
        &admin,
        &admin.part("ca/admin.identity.age"),
        "correct horse battery staple",
    );
    admin.write("wrapped.txt", identity);
    for file in &sealed(&admin)[1..] {
        assert!(
            opens(&admin.file("wrapped.txt"), file),
            "{}",
            file.display()
        );
    }
    let pass = ["--passphrase-file", "pass"];
    assert_eq!(
        admin.done(&[&["passphrase", "mailhost"][..], &pass].concat()),
        mailhost
    );
    admin.done(&[&["issue", "other"][..], &pass].concat());

    // Back, and nobody is locked out: without an identity of the new recipient it is refused.
    let back = [&["passwd", "--add", admin.recipient()][..], &pass].concat();
    assert!(
        admin
            .refused(2, &["passwd", "--add", admin.recipient()])
            .contains("terminal")
    );
    let edited = settings(&admin);
    std::fs::write(
        admin.part("relayca.toml"),
        edited.replace(
            &format!("identities = [\"{}\"]", admin.name("key.txt")),
            "identities = []",
        ),
    )
    .unwrap();
    assert!(admin.refused(2, &back).contains("no identity was given"));
    keygen(&admin.file("stranger.txt"));
    let told = admin.refused(1, &[&back[..], &["-i", "stranger.txt"]].concat());
    assert!(told.contains("none of the identities at hand"), "{told}");
    admin.done(&[&back[..], &["-i", "key.txt"]].concat());
    assert!(opens_all(&admin, &admin.identity()) && opens_none(&admin, &admin.file("wrapped.txt")));
    assert!(!admin.part("ca/admin.identity.age").exists());
    assert_eq!(admin.done(&["passphrase", "ca", "-i", "key.txt"]), ca);
    admin.done(&["issue", "third", "-i", "key.txt"]);
}

#[test]
fn a_new_passphrase_leaves_the_bundles_as_they_are_unless_all_is_rotated() {
    let admin = with_passphrase();
    let ca = admin.done(&["passphrase", "ca", "--passphrase-file", "pass"]);
    let bundles = Tree::of(&admin.part("bundles"));
    let toml = settings(&admin);
    admin.write("new", "another horse battery staple\n");
    let change = [
        "passwd",
        "--new-passphrase",
        "--new-passphrase-file",
        "new",
        "--passphrase-file",
        "pass",
    ];
    admin.done(&change);
    bundles.assert_same(&Tree::of(&admin.part("bundles")));
    assert_eq!(settings(&admin), toml);
    admin.refused(1, &["passphrase", "ca", "--passphrase-file", "pass"]);
    assert_eq!(
        admin.done(&["passphrase", "ca", "--passphrase-file", "new"]),
        ca
    );
    admin.done(&["passphrase", "relayhost", "--passphrase-file", "new"]);

    let told = admin.run(&[
        "passwd",
        "--new-passphrase",
        "--new-passphrase-file",
        "pass",
        "--rotate",
        "--passphrase-file",
        "new",
    ]);
    assert!(told.stderr.contains("rollover"), "{told:?}");
    told.done();
    assert_ne!(settings(&admin), toml, "another admin identity");
    let rotated = admin.done(&["passphrase", "ca", "--passphrase-file", "pass"]);
    assert_ne!(rotated, ca);
    assert_eq!(ca_key(&admin, &ca), None);
    assert_eq!(ca_key(&admin, &rotated), Some(ca_certificate_key(&admin)));
    admin.done(&["passphrase", "relayhost", "--passphrase-file", "pass"]);
}

#[test]
fn rotating_alone_keeps_the_admin_passphrase() {
    let admin = with_passphrase();
    assert_eq!(admin.done(&["passwd"]), "an admin passphrase\n");
    let json = admin.json(&["passwd"]);
    assert_eq!(json["opened_by"], "passphrase");
    assert_eq!(json["recipients"].as_array().unwrap().len(), 0);
    let pass = ["--passphrase-file", "pass"];
    let ca = admin.done(&[&["passphrase", "ca"][..], &pass].concat());
    admin.done(&[&["passwd", "--rotate"][..], &pass].concat());
    let rotated = admin.done(&[&["passphrase", "ca"][..], &pass].concat());
    assert_ne!(rotated, ca);
    assert_eq!(ca_key(&admin, &ca), None);
    assert_eq!(ca_key(&admin, &rotated), Some(ca_certificate_key(&admin)));
    admin.done(&[&["issue", "other"][..], &pass].concat());
}

#[test]
fn rotating_makes_the_old_passphrase_of_the_ca_key_worthless() {
    let admin = with_old_bundle();
    let before = admin.done(&["passphrase", "ca"]);
    let bundles = Tree::of(&admin.part("bundles"));
    admin.done(&["passwd", "--rotate"]);
    let after = admin.done(&["passphrase", "ca"]);
    assert_eq!(after.trim().len(), 64);
    assert_eq!(ca_key(&admin, &before), None);
    assert_eq!(ca_key(&admin, &after), Some(ca_certificate_key(&admin)));
    bundles.assert_same(&Tree::of(&admin.part("bundles")));
    admin.done(&["verify", "ca"]);
    admin.done(&["issue", "other"]);
}

#[test]
fn at_a_terminal_the_new_passphrase_is_asked_for_twice_after_the_old_one() {
    let admin = with_passphrase();
    let before = admin.tree();
    for (old, first, second) in [
        ("wrong", "", ""),
        ("correct horse battery staple", "a", "b"),
    ] {
        let mut terminal = Terminal::run(&admin.relayca(&["passwd", "--new-passphrase"]));
        terminal.answer("Passphrase of the authority of example.org", old);
        if !first.is_empty() {
            terminal.answer("New passphrase for the authority of example.org", first);
            terminal.answer("same again", second);
        }
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(1), "{shown}");
        before.assert_same(&admin.tree());
    }
    let mut terminal = Terminal::run(&admin.relayca(&["passwd", "--new-passphrase"]));
    terminal.answer("Passphrase of", "correct horse battery staple");
    terminal.answer("New passphrase for", "another horse battery staple");
    terminal.answer("same again", "another horse battery staple");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("horse"), "{shown}");
    admin.write("pass", "another horse battery staple");
    admin.done(&["issue", "other", "--passphrase-file", "pass"]);
}

#[test]
fn two_admins_swap_with_both_identities_at_hand() {
    let admin = with_old_bundle();
    let new = keygen(&admin.file("new.txt"));
    let json = admin.json(&[
        "passwd",
        "--add",
        &new,
        "--remove",
        admin.recipient(),
        "-i",
        "key.txt",
        "-i",
        "new.txt",
    ]);
    assert_eq!(json["untried"].as_array().unwrap().len(), 0, "{json}");
    assert_eq!(json["sealed_anew"]["bundles"], 3);
    assert!(opens_none(&admin, &admin.identity()) && opens_all(&admin, &admin.file("new.txt")));
}

#[test]
fn a_locked_identity_is_asked_for_once() {
    let admin = with_old_bundle();
    ssh_keygen(&admin.file("ssh"), &["ed25519"]);
    judge(
        "ssh-keygen",
        &["-q", "-p", "-N", "a passphrase", "-f", &admin.name("ssh")],
    );
    let public = std::fs::read_to_string(admin.file("ssh.pub")).unwrap();
    admin.done(&["passwd", "--add", public.trim()]);
    let arguments = ["passwd", "--remove", admin.recipient(), "-i", "ssh"];
    let mut terminal = Terminal::run(&admin.relayca(&arguments));
    terminal.answer("SSH key", "a passphrase");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(shown.matches("Passphrase of").count(), 1, "{shown}");
    assert!(opens_none(&admin, &admin.identity()));
}

#[test]
fn no_secret_is_printed_written_or_passed_on() {
    let admin = with_passphrase();
    admin.write("new", "another horse battery staple\n");
    let before = admin.done(&["passphrase", "ca", "--passphrase-file", "pass"]);
    let log = admin.name("strace.log");
    let mut command = admin.program("strace");
    command
        .args(["-f", "-v", "-s", "100000", "-o", &log])
        .args(["-e", "trace=execve,write,pwrite64,writev,sendto", RELAYCA])
        .args([
            "passwd",
            "--new-passphrase",
            "--new-passphrase-file",
            "new",
            "--rotate",
        ])
        .args(["--passphrase-file", "pass"]);
    let outcome = Outcome::of(&mut command);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let after = admin.done(&["passphrase", "ca", "--passphrase-file", "new"]);
    let log = std::fs::read_to_string(log).unwrap();
    let tree = admin.tree();
    for secret in [
        "correct horse",
        "another horse",
        before.trim(),
        after.trim(),
        "AGE-SECRET-KEY",
    ] {
        assert!(!log.contains(secret), "{secret}");
        assert!(!outcome.stdout.contains(secret) && !outcome.stderr.contains(secret));
        assert!(!tree.holds(secret.as_bytes()));
    }
}
