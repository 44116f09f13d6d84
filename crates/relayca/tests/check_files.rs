//! What `relayca check` finds in the files of an authority: modes, strangers, leftovers, keys, sealed files, the inventory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod looking;

use std::fs;
use std::os::unix::fs::symlink;

use authority::{Admin, judge, judged, keygen};
use looking::{check, mode, sqlite};

const BUNDLE: &str = "bundles/mailhost.example.org.tar.age";
const BUNDLE_PASSPHRASE: &str = "bundles/mailhost.example.org.passphrase.age";

#[test]
fn an_admin_passphrase_opens_all_of_it_too() {
    let admin = Admin::new();
    admin.write("pass", "correct horse battery staple\n");
    let with = ["--passphrase-file", "pass"];
    admin.done(&[&["init", "example.org"][..], &with].concat());
    let open = [&["--open"][..], &with].concat();
    assert_eq!(check(&admin, &open), [""; 0]);
    let identity = admin.part("ca/admin.identity.age");
    let kept = fs::read(&identity).unwrap();
    fs::remove_file(&identity).unwrap();
    assert_eq!(
        check(&admin, &[]),
        ["admin-identity-missing critical ca/admin.identity.age"]
    );
    fs::write(&identity, &kept[..kept.len() - 1]).unwrap();
    mode(&identity, 0o600);
    assert_eq!(
        check(&admin, &open),
        ["admin-identity-does-not-open critical ca/admin.identity.age"]
    );
}

#[test]
fn files_are_their_owners_alone_and_nothing_strange_lies_among_them() {
    let admin = Admin::with_mailhost();
    let kept = admin.tree();
    for (name, odd, told) in [
        (
            "ca/ca.key.pem",
            0o640,
            "file-open-to-others warning ca/ca.key.pem",
        ),
        (
            BUNDLE,
            0o604,
            &format!("file-open-to-others warning {BUNDLE}"),
        ),
        (
            "inventory.db",
            0o644,
            "file-open-to-others warning inventory.db",
        ),
        (
            "ca/ca.crt.pem",
            0o664,
            "file-writable-by-others critical ca/ca.crt.pem",
        ),
        (
            "relayca.toml",
            0o602,
            "file-writable-by-others critical relayca.toml",
        ),
        (".", 0o755, "file-open-to-others warning ."),
        ("bundles", 0o770, "file-writable-by-others critical bundles"),
    ] {
        let path = admin.part(name);
        let before = fs::metadata(&path).unwrap().permissions();
        mode(&path, odd);
        assert_eq!(check(&admin, &[]), [told]);
        fs::set_permissions(&path, before).unwrap();
    }
    // A group may be let in to read what is no secret.
    for (name, wider) in [(".", 0o750), ("inventory.db", 0o640), ("bundles", 0o750)] {
        mode(&admin.part(name), wider);
    }
    assert_eq!(check(&admin, &[]), [""; 0]);
    for (name, back) in [(".", 0o700), ("inventory.db", 0o600), ("bundles", 0o700)] {
        mode(&admin.part(name), back);
    }

    let key = judge("openssl", &["genpkey", "-algorithm", "ed25519"]);
    let identity = fs::read_to_string(admin.identity()).unwrap();
    for (name, content, told) in [
        (
            "ca/clear.pem",
            &key,
            "clear-private-key critical ca/clear.pem",
        ),
        (
            "bundles/mailhost.key.pem",
            &key,
            "clear-private-key critical bundles/mailhost.key.pem",
        ),
        ("key.txt", &identity, "clear-identity critical key.txt"),
        (
            "ca/notes",
            &"x".to_owned(),
            "unexpected-file warning ca/notes",
        ),
        (
            "relayca.toml.unmerged",
            &"x".to_owned(),
            "unmerged warning relayca.toml.unmerged",
        ),
    ] {
        fs::write(admin.part(name), content).unwrap();
        assert_eq!(check(&admin, &[]), [told]);
        fs::remove_file(admin.part(name)).unwrap();
    }
    fs::write(admin.part("README"), "ours").unwrap();
    assert_eq!(check(&admin, &[]), [""; 0]);
    fs::remove_file(admin.part("README")).unwrap();

    fs::rename(admin.part("ca/ca.key.pem"), admin.file("ca.key.pem")).unwrap();
    assert_eq!(
        check(&admin, &[]),
        ["ca-key-missing critical ca/ca.key.pem"]
    );
    symlink(admin.file("ca.key.pem"), admin.part("ca/ca.key.pem")).unwrap();
    assert_eq!(check(&admin, &[]), ["file-symlink warning ca/ca.key.pem"]);
    fs::remove_file(admin.part("ca/ca.key.pem")).unwrap();
    fs::rename(admin.file("ca.key.pem"), admin.part("ca/ca.key.pem")).unwrap();
    kept.assert_same(&admin.tree());

    if judge("id", &["-u"]).trim() == "0" {
        judge(
            "chown",
            &["65534", admin.part("ca/ca.key.pem").to_str().unwrap()],
        );
        assert_eq!(
            check(&admin, &[]),
            ["file-other-owner warning ca/ca.key.pem"]
        );
    }
}

#[test]
fn what_an_interrupted_command_left_is_told_and_what_is_under_way_is_not() {
    let admin = Admin::with_mailhost();
    fs::create_dir_all(admin.part("staged/ab120000000000000000000000000000")).unwrap();
    mode(
        &admin.part("staged/ab120000000000000000000000000000"),
        0o700,
    );
    assert_eq!(check(&admin, &[]), [""; 0], "somebody is at work");
    let old = |name: &str| {
        judge(
            "touch",
            &["-d", "1 hour ago", admin.part(name).to_str().unwrap()],
        );
    };
    old("staged/ab120000000000000000000000000000");
    assert_eq!(
        check(&admin, &[]),
        ["staged-leftover warning staged/ab120000000000000000000000000000"]
    );
    let staged = admin.part("staged/ab120000000000000000000000000000/other.example.org.public.tar");
    // Committed, and not in its place: told, and left to a command that may change things.
    fs::write(&staged, "x").unwrap();
    mode(&staged, 0o600);
    sqlite(
        &admin,
        "insert into published values ('ab120000000000000000000000000000', '2026-01-01T00:00:00Z')",
    );
    old("staged/ab120000000000000000000000000000");
    assert_eq!(
        check(&admin, &[]),
        ["staged-leftover warning staged/ab120000000000000000000000000000"]
    );
    admin.done(&["list"]);
    assert_eq!(check(&admin, &[]), [""; 0]);
    // Few files lie in `staged` itself; whatever else lies there is not relayca's.
    for name in [
        "staged/cd340000000000000000000000000000=one.tar.age",
        "staged/cd340000000000000000000000000000=two.tar.age",
        "staged/notes",
    ] {
        fs::write(admin.part(name), "x").unwrap();
        mode(&admin.part(name), 0o600);
        assert_eq!(check(&admin, &[]).len(), 0, "somebody is at work");
    }
    for name in [
        "staged/cd340000000000000000000000000000=one.tar.age",
        "staged/cd340000000000000000000000000000=two.tar.age",
        "staged/notes",
    ] {
        old(name);
    }
    assert_eq!(
        check(&admin, &[]),
        [
            "staged-leftover warning staged/cd340000000000000000000000000000=one.tar.age",
            "unexpected-file warning staged/notes"
        ]
    );
    admin.done(&["issue", "after"]);
    assert_eq!(check(&admin, &[]), ["unexpected-file warning staged/notes"]);
}

#[test]
fn the_ca_key_belongs_to_the_ca_certificate_and_opens() {
    let admin = Admin::with_mailhost();
    let other = Admin::with_authority();
    let certificate = admin.part("ca/ca.crt.pem");
    let kept = fs::read(&certificate).unwrap();
    fs::copy(other.part("ca/ca.crt.pem"), &certificate).unwrap();
    assert_eq!(
        check(&admin, &[]),
        ["ca-certificate-differs critical ca/ca.crt.pem"]
    );
    fs::write(&certificate, "x").unwrap();
    assert_eq!(
        check(&admin, &[]),
        ["ca-certificate-unreadable critical ca/ca.crt.pem"]
    );
    fs::remove_file(&certificate).unwrap();
    assert_eq!(
        check(&admin, &[]),
        ["ca-certificate-missing critical ca/ca.crt.pem"]
    );
    fs::write(&certificate, kept).unwrap();

    let (key, passphrase) = (
        admin.part("ca/ca.key.pem"),
        admin.part("ca/ca.passphrase.age"),
    );
    let (kept_key, kept_passphrase) = (fs::read(&key).unwrap(), fs::read(&passphrase).unwrap());
    fs::write(
        &key,
        judge("openssl", &["genpkey", "-algorithm", "ed25519"]),
    )
    .unwrap();
    assert_eq!(
        check(&admin, &[]),
        ["clear-private-key critical ca/ca.key.pem"]
    );
    fs::copy(other.part("ca/ca.key.pem"), &key).unwrap();
    assert_eq!(
        check(&admin, &[]),
        [""; 0],
        "closed, one key is like the other"
    );
    assert_eq!(
        check(&admin, &["--open"]),
        ["ca-key-does-not-open critical ca/ca.key.pem"]
    );
    // Another key under the same passphrase.
    let word = admin.write("word", admin.done(&["passphrase", "ca"]));
    let pkcs8 = [
        "genpkey",
        "-algorithm",
        "ed25519",
        "-aes256",
        "-pass",
        &format!("file:{word}"),
    ];
    fs::write(&key, judge("openssl", &pkcs8)).unwrap();
    assert_eq!(
        check(&admin, &["--open"]),
        ["ca-key-differs critical ca/ca.key.pem"]
    );
    fs::write(&key, kept_key).unwrap();

    fs::write(&passphrase, &kept_passphrase[..kept_passphrase.len() - 3]).unwrap();
    assert_eq!(
        check(&admin, &["--open"]),
        ["ca-passphrase-does-not-open critical ca/ca.passphrase.age"]
    );
    fs::write(&passphrase, "x").unwrap();
    assert_eq!(
        check(&admin, &["--open"]),
        ["sealed-damaged critical ca/ca.passphrase.age"]
    );
    // Sealed to somebody else: nothing could be looked at, and no verdict is given.
    fs::write(&passphrase, kept_passphrase).unwrap();
    keygen(&admin.file("stranger.txt"));
    admin.refused(1, &["check", "--open", "-i", "stranger.txt"]);
    fs::remove_file(admin.identity()).unwrap();
    admin.refused(1, &["check", "--open"]);
}

#[test]
fn bundles_are_whole_go_with_their_passphrases_and_hold_the_right_key() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "other"]);
    let open = ["--open"];
    let path = admin.part(BUNDLE);
    let kept = fs::read(&path).unwrap();
    fs::write(&path, &kept[..kept.len() - 1]).unwrap();
    assert_eq!(check(&admin, &[]), [""; 0]);
    assert_eq!(
        check(&admin, &open),
        [format!("bundle-does-not-open warning {BUNDLE}")]
    );
    // The header ends with a line of `---`; a nonce and a tag follow at least.
    let header = kept
        .windows(4)
        .position(|window| window == b"\n---")
        .unwrap()
        + 48;
    for cut in [&b""[..], b"other", &kept[..100], &kept[..header + 20]] {
        fs::write(&path, cut).unwrap();
        assert_eq!(
            check(&admin, &[]),
            [format!("sealed-damaged warning {BUNDLE}")]
        );
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(
        check(&admin, &[]),
        [format!("bundle-incomplete warning {BUNDLE_PASSPHRASE}")]
    );
    // The other host's bundle, with its passphrase.
    for end in ["tar.age", "passphrase.age"] {
        let from = admin.part(&format!("bundles/other.example.org.{end}"));
        fs::copy(
            from,
            admin.part(&format!("bundles/mailhost.example.org.{end}")),
        )
        .unwrap();
    }
    assert_eq!(check(&admin, &[]), [""; 0]);
    assert_eq!(
        check(&admin, &open),
        [format!("bundle-other-key warning {BUNDLE}")]
    );
    fs::remove_file(admin.part(BUNDLE_PASSPHRASE)).unwrap();
    assert_eq!(
        check(&admin, &[]),
        [format!("bundle-incomplete warning {BUNDLE}")]
    );
    // A host that has neither is one that made its own key.
    fs::remove_file(&path).unwrap();
    assert_eq!(check(&admin, &open), [""; 0]);
}

#[test]
fn a_damaged_inventory_is_critical_and_an_unreadable_authority_no_verdict() {
    let admin = Admin::with_mailhost();
    let path = admin.part("inventory.db");
    let kept = fs::read(&path).unwrap();
    sqlite(
        &admin,
        &format!(
            "insert into certificates select 'abcd', host, role, x'30{}', spki_sha256, not_before, not_after, issued_at, \
             'retired' from certificates where role = 'mailhost'",
            "00".repeat(80)
        ),
    );
    assert_eq!(
        check(&admin, &[]),
        ["inventory-certificate critical mailhost.example.org"]
    );
    // Pages of rows, overwritten.
    let mut broken = kept.clone();
    let middle = broken.len() / 2;
    for byte in &mut broken[middle..] {
        *byte ^= 0x5a;
    }
    fs::write(&path, broken).unwrap();
    let told = check(&admin, &[]);
    assert!(
        told.contains(&"inventory-damaged critical inventory.db".to_owned()),
        "{told:?}"
    );
    fs::write(&path, "something else").unwrap();
    assert_eq!(
        check(&admin, &[]),
        ["inventory-damaged critical inventory.db"]
    );
    fs::remove_file(&path).unwrap();
    // A CA beside the active one may be the outgoing one: without the inventory nobody is told to take its key away.
    let beside = admin.part("ca/4b231cf3b3df4309d2c470ac10c43d2a");
    fs::create_dir(&beside).unwrap();
    mode(&beside, 0o700);
    for name in ["ca.crt.pem", "ca.key.pem", "ca.passphrase.age"] {
        fs::copy(admin.part("ca").join(name), beside.join(name)).unwrap();
    }
    assert_eq!(check(&admin, &[]), ["file-missing critical inventory.db"]);
    // Nor is a new authority made where one was.
    let told = admin.refused(1, &["list"]);
    assert!(told.contains("`relayca restore FILE`"), "{told}");
    assert!(!told.contains("relayca init"), "{told}");
    fs::write(admin.part("relayca.toml"), "domain = 1\n").unwrap();
    admin.refused(1, &["check"]);
    admin.refused(1, &["check", "--prometheus"]);
    judged(std::process::Command::new("rm").arg("-r").arg(admin.root()));
    admin.refused(1, &["check"]);
}
