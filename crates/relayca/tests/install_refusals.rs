//! What `install` does not believe: strange archives, foreign files, foreign services, certificates that do not hold. Nothing is
//! changed by any of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod install_kit;
mod install_system;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use authority::judge;
use install_kit::{same, stand};
use install_system::{MAILHOST, RELAY, System};

#[test]
fn paths_that_lead_out_links_and_odd_modes_are_refused() {
    let system = System::new();
    let opened = system.opened(RELAY);
    for (transform, words) in [
        (
            "--transform=s,^relay_clientcerts$,../relay_clientcerts,",
            "../relay_clientcerts",
        ),
        (
            "--transform=s,^relay_clientcerts$,/etc/passwd,",
            "/etc/passwd",
        ),
        ("--transform=s,^relay_clientcerts$,a/b,", "a/b"),
    ] {
        let tar = system.packed(&opened, true, &["-P", transform]);
        system.refuses(&tar, &["--apply"], 1, words);
    }
    // A link, and a directory.
    fs::remove_file(opened.join("relay_clientcerts")).unwrap();
    symlink("/etc/passwd", opened.join("relay_clientcerts")).unwrap();
    let tar = system.packed(&opened, true, &[]);
    system.refuses(&tar, &["--apply"], 1, "relay_clientcerts");
    fs::remove_file(opened.join("relay_clientcerts")).unwrap();
    fs::create_dir(opened.join("relay_clientcerts")).unwrap();
    let tar = system.packed(&opened, false, &[]);
    system.refuses(&tar, &["--apply"], 1, "relay_clientcerts");
    // The same name twice, and more than any bundle holds.
    let opened = system.opened(RELAY);
    let tar = system.packed(&opened, true, &["--hard-dereference", "relay_clientcerts"]);
    system.refuses(
        &tar,
        &["--apply"],
        1,
        "`relay_clientcerts` is in the archive twice",
    );
    let map = fs::File::options()
        .write(true)
        .open(opened.join("relay_clientcerts"));
    map.unwrap().set_len(17 << 20).unwrap();
    let tar = system.packed(&opened, true, &[]);
    system.refuses(
        &tar,
        &["--apply"],
        1,
        "`relay_clientcerts` is larger than 16 MiB",
    );
    // Modes: a program, set-user-ID, a key for all.
    for (file, mode) in [
        ("INSTALL.txt", 0o755),
        ("INSTALL.txt", 0o4644),
        ("relayhost.example.org.key.pem", 0o644),
        ("relay_clientcerts", 0o600),
    ] {
        let opened = system.opened(RELAY);
        fs::set_permissions(opened.join(file), fs::Permissions::from_mode(mode)).unwrap();
        let tar = system.packed(&opened, true, &[]);
        system.refuses(&tar, &["--apply"], 1, file);
    }
}

#[test]
fn what_the_checksums_do_not_hold_and_what_no_bundle_has_is_refused() {
    let system = System::new();
    let opened = system.opened(RELAY);
    let map = opened.join("relay_clientcerts");
    fs::write(&map, fs::read_to_string(&map).unwrap() + "# more\n").unwrap();
    let tar = system.packed(&opened, false, &[]);
    system.refuses(&tar, &[], 1, "relay_clientcerts");
    fs::remove_file(opened.join("SHA256SUMS")).unwrap();
    let tar = system.packed(&opened, false, &[]);
    system.refuses(&tar, &[], 1, "SHA256SUMS");
    for name in [
        "installed.json",
        "dynamicmaps.cf",
        "relay_clientcerts.db",
        "main.cf",
    ] {
        let opened = system.opened(RELAY);
        fs::write(opened.join(name), "x").unwrap();
        let tar = system.packed(&opened, true, &[]);
        system.refuses(&tar, &["--apply"], 1, name);
    }
    let opened = system.opened(RELAY);
    let service = opened.join("relayhost.example.org.master.cf");
    let text = fs::read_to_string(&service).unwrap();
    fs::write(
        &service,
        text.replace(
            "permit_tls_clientcerts,defer",
            "permit_tls_all_clientcerts,defer",
        ),
    )
    .unwrap();
    let tar = system.packed(&opened, true, &[]);
    system.refuses(&tar, &["--apply"], 1, "what relayca never says");
    // A truncated one, one of nothing, and the bundle of somebody else's key.
    let half = fs::read(system.sealed(RELAY)).unwrap();
    let half = system.admin.write("half.tar.age", &half[..half.len() / 2]);
    system.refuses(&half, &[], 1, "half.tar.age");
    let nothing = system.admin.write("nothing", "");
    system.refuses(&nothing, &[], 1, "nothing");
    authority::keygen(&system.admin.file("other.txt"));
    let sealed = system.sealed(RELAY);
    let before = stand(&system.root);
    let root = system.root.to_str().unwrap();
    system
        .admin
        .run(&["install", &sealed, "-i", "other.txt", "--root", root])
        .refused(1);
    let said = system
        .admin
        .run(&["install", &sealed, "--root", root])
        .refused(2);
    assert!(said.contains("-i FILE"), "{said}");
    same(&before, &stand(&system.root));
}

#[test]
fn a_key_and_a_certificate_that_do_not_belong_together_are_refused() {
    let system = System::new();
    // Public pieces where no key lies.
    system.refuses(&system.public(MAILHOST_PUBLIC), &[], 1, "there is no key");
    // The certificate of another key.
    system.installs(&system.sealed(RELAY), &[]);
    system.admin.done(&[
        "renew",
        "relayhost",
        "--rekey",
        "--seal-to",
        system.admin.recipient(),
    ]);
    system.refuses(
        &system.public(RELAY),
        &[],
        1,
        "does not belong to the certificate",
    );
    system.installs(&system.sealed(RELAY), &[]);
    system.installs(&system.public(RELAY), &[]);
}

/// A relay has public pieces from the start.
const MAILHOST_PUBLIC: &str = RELAY;

#[test]
fn an_old_bundle_does_not_take_the_place_of_a_renewal() {
    let system = System::new();
    let old = system
        .admin
        .write("old.tar.age", fs::read(system.sealed(MAILHOST)).unwrap());
    system.installs(&old, &["--apply"]);
    // Certificates begin an hour before they are made; a renewal in the same second is as good.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    system.admin.done(&["renew", "mailhost"]);
    let said = system.installs(&system.public(MAILHOST), &["--apply"]);
    assert!(said.contains("updated"), "{said}");
    system.refuses(&old, &["--apply"], 1, "is newer than the one in the bundle");
}

#[test]
fn files_directories_and_services_of_others_are_left_alone() {
    let system = System::new();
    let sealed = system.sealed(RELAY);
    let files = system.root.join("etc/postfix/relayca");
    fs::create_dir(&files).unwrap();
    // Not ours, under one of our names.
    for name in [
        "relay_clientcerts",
        "relayhost.example.org.key.pem",
        "INSTALL.txt",
        "relayhost.example.org.crt.pem",
    ] {
        fs::write(files.join(name), "mine\n").unwrap();
        system.refuses(&sealed, &[], 1, "is not what relayca put there");
        fs::remove_file(files.join(name)).unwrap();
        symlink("/etc/hostname", files.join(name)).unwrap();
        system.refuses(&sealed, &[], 1, "is no plain file");
        fs::remove_file(files.join(name)).unwrap();
    }
    // Where others could change the key.
    fs::set_permissions(&files, fs::Permissions::from_mode(0o777)).unwrap();
    system.refuses(&sealed, &[], 1, "can be written by others");
    fs::remove_dir(&files).unwrap();
    symlink("/tmp", &files).unwrap();
    system.refuses(&sealed, &[], 1, "is not a directory");
    fs::remove_file(&files).unwrap();
    // The port is another service's.
    let master = system.root.join("etc/postfix/master.cf");
    let text = fs::read_to_string(&master).unwrap();
    for (line, words) in [
        (
            "127.0.0.1:2500 inet n - n - - smtpd\n",
            "listens on the port",
        ),
        ("2500 inet n - n - - smtpd\n", "is somebody else's"),
        (
            "2500 inet n - n - - smtpd\n  -o smtpd_tls_CAfile=/etc/postfix/relayca/example.net-ca.crt.pem\n",
            "is somebody else's",
        ),
    ] {
        fs::write(&master, format!("{text}{line}")).unwrap();
        system.refuses(&sealed, &["--apply"], 1, words);
    }
    fs::write(&master, format!("{text}relayca unix - - n - - smtp\n")).unwrap();
    system.refuses(
        &system.sealed(MAILHOST),
        &["--apply"],
        1,
        "is somebody else's",
    );
    // Another directory than the one that the bundle is for.
    fs::create_dir(system.root.join("etc/postfix-2")).unwrap();
    system.refuses(
        &sealed,
        &["--config-directory", "/etc/postfix-2"],
        1,
        "the bundle is for `/etc/postfix`",
    );
    system.refuses(
        &sealed,
        &["--config-directory", "etc/postfix"],
        2,
        "absolute",
    );
    system.refuses(
        &sealed,
        &["--config-directory", "/etc/none"],
        1,
        "there is no directory",
    );
}

#[test]
fn a_certificate_that_does_not_hold_today_is_refused() {
    let system = System::new();
    let before = stand(&system.root);
    let mut command = system.admin.program("faketime");
    let sealed = system.sealed(RELAY);
    command
        .args(["+3 years", authority::RELAYCA])
        .args(system.line(&sealed, &["--apply"]));
    let said = authority::Outcome::of(&mut command).refused(1);
    assert!(said.contains("does not hold"), "{said}");
    same(&before, &stand(&system.root));
}

#[test]
fn others_than_root_are_told_so_and_may_look() {
    let system = System::new();
    let root = system.root.to_str().unwrap();
    judge(
        "chmod",
        &[
            "-R",
            "a+rX",
            system.admin.home().parent().unwrap().to_str().unwrap(),
        ],
    );
    let public = system.public(RELAY);
    let line = ["install", &public, "--root", root];
    let before = stand(&system.root);
    let said = authority::Outcome::of(&mut system.admin.as_nobody(&line)).refused(1);
    assert!(said.contains("must run as root"), "{said}");
    same(&before, &stand(&system.root));
}

#[test]
fn an_old_list_does_not_let_a_revoked_host_in_again() {
    let system = System::new();
    let list = system.root.join("etc/postfix/relayca/relay_clientcerts");
    let listed = || {
        std::fs::read_to_string(&list)
            .unwrap()
            .contains(" mailhost")
    };
    let old = system
        .admin
        .write("old.public.tar", fs::read(system.public(RELAY)).unwrap());
    system.installs(&system.sealed(RELAY), &[]);
    system.installs(&old, &[]);
    assert!(listed());
    // The sealed one of the beginning, which may still lie about, knows no mail host.
    system.refuses(
        &system.sealed(RELAY),
        &[],
        1,
        "is of change 3 of the authority, and the one in the bundle of change 2",
    );
    system.admin.done(&["revoke", "mailhost"]);
    let public = system.public(RELAY);
    let said = system.admin.run(&system.line(&public, &[])).done();
    assert!(said.contains("unlisted  mailhost.example.org\n"), "{said}");
    assert!(!listed());
    system.refuses(
        &old,
        &[],
        1,
        "is of change 4 of the authority, and the one in the bundle of change 3",
    );
    // Today's once more, and the old one by one's own will.
    assert!(
        system
            .installs(&system.public(RELAY), &[])
            .contains("nothing to do")
    );
    system.installs(&old, &["--older"]);
    assert!(listed());
    // One of ours that does not say may be later than any.
    let text = fs::read_to_string(&list).unwrap();
    let silent: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("As of change"))
        .collect();
    fs::write(&list, silent.join("\n")).unwrap();
    system.refuses(&system.public(RELAY), &[], 1, "does not say plainly");
}

#[test]
fn a_relays_new_key_comes_with_its_old_list_and_the_later_one_stays() {
    for more in [&[][..], &["--older"]] {
        let system = System::new();
        let file = |name: &str| system.root.join("etc/postfix/relayca").join(name);
        system.installs(&system.sealed(RELAY), &[]);
        system.installs(&system.public(RELAY), &[]);
        let recipient = system.admin.recipient().to_owned();
        let rekey = ["renew", RELAY, "--rekey", "--seal-to", &recipient];
        system.admin.done(&rekey);
        system.admin.done(&["revoke", "mailhost"]);
        // Pasted since, or brought by `deploy`.
        let list = system.admin.done(&["map"]);
        assert!(!list.contains(" mailhost"));
        fs::write(file("relay_clientcerts"), &list).unwrap();
        let key = file(&format!("{RELAY}.key.pem"));
        let old = fs::read(&key).unwrap();
        let sealed = system.sealed(RELAY);
        let told = system.admin.run(&system.line(&sealed, more)).stderr;
        assert!(
            told.contains("is later than the bundle's, and stays"),
            "{told}"
        );
        assert_ne!(fs::read(&key).unwrap(), old);
        assert_eq!(fs::read_to_string(file("relay_clientcerts")).unwrap(), list);
    }
}

#[test]
fn the_bundle_of_another_authority_of_the_same_domain_is_refused() {
    let (system, anew) = (System::new(), System::new());
    // It has come less far: what is older cannot be told of two.
    system.admin.done(&["issue", "a", "b", "c"]);
    for host in [RELAY, MAILHOST] {
        system.installs(&system.sealed(host), &["--apply"]);
        if host == RELAY {
            system.installs(&system.public(host), &["--apply"]);
        }
        let other = system
            .admin
            .write("anew.tar.age", fs::read(anew.sealed(host)).unwrap());
        fs::copy(anew.admin.file("key.txt"), system.admin.file("anew.txt")).unwrap();
        let opens = ["-i", "anew.txt", "--apply"];
        system.refuses(&other, &opens, 1, "is another one than that of example.org");
        let mut all = opens.to_vec();
        all.push("--other-ca");
        let said = system.installs(&other, &all);
        assert!(said.contains(&format!("{host} updated")), "{said}");
        system.uninstalls(&[host, "--apply"]);
    }
}

#[test]
fn a_bundle_of_before_a_new_ca_is_refused_after_it() {
    let system = System::new();
    let old = system.sealed(MAILHOST);
    system.installs(&old, &["--apply"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    system.admin.done(&["rollover", "prepare", "-i", "key.txt"]);
    system.installs(&system.public(MAILHOST), &["--apply"]);
    system.refuses(
        &old,
        &["--apply"],
        1,
        "the CA certificates that are here are newer",
    );
}
