//! The whole authority in one file and back: opened by age and tar, identical, and never over anything that exists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod copies;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use authority::{Admin, Outcome, RELAYCA, age_with_identity, judge, judge_input, keygen};
use copies::{assert_identical, assert_no_leavings, files, full};

#[test]
fn age_tar_and_sha256sum_alone_lay_it_out() {
    let admin = full();
    let before = admin.tree();
    let told = admin.run(&["backup", "b.tar.age"]);
    assert!(told.stderr.contains("every file compared"), "{told:?}");
    assert_eq!(told.done().trim(), admin.name("b.tar.age"));
    before.assert_same(&admin.tree());
    let mode = admin
        .file("b.tar.age")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    let archive = age_with_identity(&admin.identity(), &admin.file("b.tar.age"));
    let out = authority::untar(&admin, &archive);
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    std::fs::remove_file(out.join("SHA256SUMS")).unwrap();
    std::fs::set_permissions(&out, PermissionsExt::from_mode(0o700)).unwrap();
    assert_identical(&admin.root(), &out);
    assert_eq!(
        sums.lines().count(),
        1 + files(&out)
            .0
            .values()
            .filter(|node| node.mode & 0o170_000 == 0o100_000)
            .count()
    );
    let list = judge_input("tar", &["-t"], &archive);
    let names: Vec<&str> = list.lines().collect();
    assert_eq!(
        (names[0], *names.last().unwrap()),
        ("relayca.toml", "SHA256SUMS")
    );
    // And relayca works on it as it is.
    admin.done(&["issue", "new", "--dir", out.to_str().unwrap()]);
    assert_no_leavings(&admin);
}

#[test]
fn what_is_restored_is_identical_and_goes_on() {
    let admin = full();
    admin.done(&["backup", "b.tar.age"]);
    std::fs::rename(admin.root(), admin.file("was")).unwrap();
    let json = admin.json(&["restore", "b.tar.age", "-i", "key.txt"]);
    assert_eq!(json["directory"], admin.root().to_str().unwrap());
    assert_eq!(json["hosts"], 4);
    assert_identical(&admin.root(), &admin.file("was"));
    admin.done(&["verify", "ca"]);
    admin.done(&["passphrase", "mailhost"]);
    admin.done(&["issue", "new"]);
    admin.done(&["backup", "b2.tar.age", "-q"]);
    let told = admin.run(&[
        "restore",
        "b2.tar.age",
        "-i",
        "key.txt",
        "--dir",
        "elsewhere/deep",
    ]);
    assert!(
        told.stderr.contains("check`") && told.stderr.contains("5 hosts"),
        "{told:?}"
    );
    assert_identical(&admin.root(), &admin.file("elsewhere/deep"));
    assert_no_leavings(&admin);
}

#[test]
fn a_backup_of_a_backup_is_the_same_archive() {
    let admin = full();
    admin.done(&["backup", "b1.tar.age"]);
    admin.done(&["restore", "b1.tar.age", "-i", "key.txt", "--dir", "r"]);
    admin.done(&["backup", "b2.tar.age", "--dir", "r"]);
    let sums = |name: &str| {
        let archive = age_with_identity(&admin.identity(), &admin.file(name));
        judge_input("tar", &["-xO", "SHA256SUMS"], &archive)
    };
    let without_inventory = |sums: String| -> Vec<String> {
        let lines = sums.lines().filter(|line| !line.ends_with("inventory.db"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        without_inventory(sums("b1.tar.age")),
        without_inventory(sums("b2.tar.age"))
    );
}

#[test]
fn an_admin_passphrase_seals_and_opens_it() {
    let admin = Admin::new();
    let pass = ["--passphrase-file", "pass"];
    admin.write("pass", "correct horse battery staple\n");
    admin.write("wrong", "wrong\n");
    admin.done(&[&["init", "example.org"][..], &pass].concat());
    admin.refused(2, &["backup", "b"]);
    // A mistyped passphrase must not seal it.
    admin.refused(1, &["backup", "b", "--passphrase-file", "wrong"]);
    admin.done(&[&["backup", "b"][..], &pass].concat());
    let file = std::fs::read(admin.file("b")).unwrap();
    let header = String::from_utf8_lossy(&file[..120]).into_owned();
    assert!(header.lines().nth(1).unwrap().ends_with(" 18"), "{header}");
    std::fs::rename(admin.root(), admin.file("was")).unwrap();
    admin.refused(2, &["restore", "b"]);
    assert!(
        admin
            .refused(1, &["restore", "b", "--passphrase-file", "wrong"])
            .contains("does not open")
    );
    admin.done(&[&["restore", "b"][..], &pass].concat());
    assert_identical(&admin.root(), &admin.file("was"));
}

#[test]
fn it_can_be_sealed_to_somebody_else() {
    let admin = full();
    let vault = keygen(&admin.file("vault.txt"));
    let told = admin.run(&["backup", "b", "--recipient", &vault]);
    assert!(told.stderr.contains("nobody has opened it yet"), "{told:?}");
    told.done();
    admin.refused(1, &["restore", "b", "-i", "key.txt", "--dir", "r"]);
    admin.done(&["restore", "b", "-i", "vault.txt", "--dir", "r"]);
    assert_identical(&admin.root(), &admin.file("r"));
    let json = admin.json(&["backup", "b2", "--recipient", &vault, "-i", "vault.txt"]);
    assert_eq!(json["proven"], true);
    // One who gives an identity wants to be sure.
    let told = admin.refused(1, &["backup", "b3", "-i", "vault.txt"]);
    assert!(told.contains("none of the identities"), "{told}");
    // An identity in a drawer is no reason not to take one.
    std::fs::rename(admin.identity(), admin.file("drawer")).unwrap();
    assert_eq!(admin.json(&["backup", "b4"])["proven"], false);
}

#[test]
fn nothing_is_written_where_something_is_or_inside_the_authority() {
    let admin = full();
    admin.write("there", "mine");
    symlink("nowhere", admin.file("link")).unwrap();
    symlink(admin.part("bundles"), admin.file("inside")).unwrap();
    for (code, file) in [
        (1, "there".to_owned()),
        (1, "link".to_owned()),
        (1, "key.txt".to_owned()),
        (1, "missing/b".to_owned()),
        (2, admin.part("b").to_str().unwrap().to_owned()),
        (2, "inside/b".to_owned()),
    ] {
        admin.refused(code, &["backup", &file]);
    }
    admin.done(&["backup", "b"]);
    admin.refused(1, &["backup", "b"]);
    // Nor is anything restored over what is there.
    std::fs::create_dir(admin.file("full")).unwrap();
    admin.write("full/x", "x");
    for directory in ["full", "there", "link", admin.root().to_str().unwrap()] {
        let told = admin.refused(1, &["restore", "b", "-i", "key.txt", "--dir", directory]);
        assert!(told.contains("exists") || directory == "link", "{told}");
    }
    admin.refused(1, &["restore", "b", "-i", "key.txt"]);
    admin.refused(
        2,
        &["restore", "b", "-i", "key.txt", "--domain", "example.net"],
    );
    std::fs::create_dir(admin.file("empty")).unwrap();
    admin.done(&["restore", "b", "-i", "key.txt", "--dir", "empty"]);
    assert_no_leavings(&admin);
}

#[test]
fn what_is_not_the_authoritys_stays_out_and_is_named() {
    let admin = full();
    std::fs::write(admin.part("notes.txt"), "x").unwrap();
    std::fs::write(admin.part("bundles/x.sh"), "x").unwrap();
    let json = admin.json(&["backup", "b"]);
    assert_eq!(
        json["left_out"],
        serde_json::json!(["bundles/x.sh", "notes.txt"])
    );
    let told = admin.run(&["backup", "b2"]);
    assert!(told.stderr.contains("`notes.txt`"), "{told:?}");
    admin.done(&["restore", "b2", "-i", "key.txt", "--dir", "r"]);
    assert!(!admin.file("r/notes.txt").exists());
    // What could not be restored is not backed up.
    std::fs::copy(admin.part("ca/ca.crt.pem"), admin.file("ca")).unwrap();
    std::fs::remove_file(admin.part("ca/ca.crt.pem")).unwrap();
    assert!(admin.refused(1, &["backup", "b3"]).contains("ca.crt.pem"));
}

#[test]
fn a_backup_while_eight_issue_is_of_one_moment() {
    let admin = Admin::with_authority();
    let children: Vec<_> = (0..8)
        .map(|process| {
            let script =
                format!("for n in 1 2 3 4; do {RELAYCA} -q issue h{process}-$n || exit; done");
            let mut command = admin.program("sh");
            command.args(["-c", &script]).stdout(Stdio::null());
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for number in 0..4 {
        admin.done(&["backup", &format!("b{number}")]);
    }
    for child in children {
        Outcome::from(child.wait_with_output().unwrap()).done();
    }
    let mut sizes = Vec::new();
    for number in 0..4 {
        let directory = format!("r{number}");
        admin.done(&[
            "restore",
            &format!("b{number}"),
            "-i",
            "key.txt",
            "--dir",
            &directory,
        ]);
        let listed = admin.json(&["list", "--all", "--dir", &directory]);
        let hosts: Vec<&str> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["host"].as_str().unwrap())
            .collect();
        let bundle = |host: &&&str| {
            admin
                .file(&format!("{directory}/bundles/{host}.tar.age"))
                .exists()
        };
        assert_eq!(
            hosts.iter().filter(bundle).count(),
            hosts.len() - 1,
            "all but the CA have a bundle"
        );
        let bundles = admin
            .file(&format!("{directory}/bundles"))
            .read_dir()
            .unwrap();
        let sealed = bundles.filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .ends_with(".tar.age")
        });
        assert_eq!(sealed.count(), hosts.len() - 1, "and there is no other");
        // The relay's map is of the same moment.
        let public = admin.file(&format!(
            "{directory}/bundles/relayhost.example.org.public.tar"
        ));
        if public.exists() {
            let map = judge(
                "tar",
                &["-xOf", public.to_str().unwrap(), "relay_clientcerts"],
            );
            assert_eq!(map, admin.done(&["map", "--dir", &directory]));
        }
        sizes.push(hosts.len());
    }
    assert!(sizes.is_sorted(), "{sizes:?}");
}
