//! Damaged or foreign files, a full disk, a directory that may only be read: a clear error, and nothing
//! changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::path::Path;
use std::process::Command;

use authority::{Admin, Outcome, RELAYCA, judge, judged};

/// Puts other bytes in a file's place; gives those that were there.
fn swap(path: &Path, content: &[u8]) -> Vec<u8> {
    let before = std::fs::read(path).unwrap();
    std::fs::write(path, content).unwrap();
    before
}

/// Some ways in which a file gets damaged.
fn damages(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut middle = good.to_vec();
    middle[good.len() / 2] ^= 1;
    let mut last = good.to_vec();
    // Before the newline of a PEM file's last line lies its end mark; a letter of it is enough.
    let place = good.len() - 3;
    last[place] ^= 1;
    vec![
        ("a letter in the middle", middle),
        ("a letter at the end", last),
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("emptied", Vec::new()),
        ("filled with zeroes", vec![0; good.len()]),
        ("escape sequences", b"\x1b[2J\x1b]0;x\x07".to_vec()),
    ]
}

#[test]
fn a_damaged_ca_issues_nothing() {
    let admin = Admin::with_authority();
    for part in ["ca/ca.key.pem", "ca/ca.crt.pem", "ca/ca.passphrase.age"] {
        let path = admin.part(part);
        let good = std::fs::read(&path).unwrap();
        for (how, bad) in damages(&good) {
            swap(&path, &bad);
            let told = admin.refused(1, &["issue", "mailhost"]);
            assert!(
                !told.contains('\u{1b}') && !told.contains('\u{7}'),
                "{part} {how}: {told:?}"
            );
            assert!(
                told.contains(path.file_name().unwrap().to_str().unwrap())
                    // A flipped bit of the public key makes it another key.
                    || told.contains("does not belong to the authority's certificate"),
                "{part} {how}: {told}"
            );
            admin.refused(1, &["verify", "ca"]);
        }
        std::fs::remove_file(&path).unwrap();
        let told = admin.refused(1, &["issue", "mailhost"]);
        assert!(told.contains(part), "{told}");
        std::fs::write(&path, &good).unwrap();
    }
    admin.done(&["issue", "mailhost"]);
}

#[test]
fn the_key_of_another_ca_is_found_out_before_anything_is_signed() {
    let admin = Admin::with_authority();
    let other = Admin::new();
    other.done(&["init", "example.org", "--recipient", admin.recipient()]);
    // Key and passphrase of another CA: they open, and do not belong to the certificate.
    for part in ["ca/ca.key.pem", "ca/ca.passphrase.age"] {
        swap(&admin.part(part), &std::fs::read(other.part(part)).unwrap());
    }
    let told = admin.refused(1, &["issue", "mailhost"]);
    assert!(
        told.contains("does not belong") || told.contains("does not match"),
        "{told}"
    );
    admin.refused(1, &["verify", "ca"]);
    // The other certificate as well: then the authority is another one than the inventory's.
    // The key alone: the passphrase does not open it.
    let admin = Admin::with_authority();
    swap(
        &admin.part("ca/ca.key.pem"),
        &std::fs::read(other.part("ca/ca.key.pem")).unwrap(),
    );
    admin.refused(1, &["issue", "mailhost"]);
}

#[test]
fn a_leaf_in_the_place_of_the_ca_certificate_is_refused() {
    let admin = Admin::with_mailhost();
    let leaf =
        authority::unseal(&admin, "mailhost.example.org").join("mailhost.example.org.crt.pem");
    swap(&admin.part("ca/ca.crt.pem"), &std::fs::read(leaf).unwrap());
    admin.refused(1, &["issue", "another"]);
}

#[test]
fn a_damaged_or_foreign_inventory_is_not_written_to() {
    let admin = Admin::with_mailhost();
    let path = admin.part("inventory.db");
    let good = std::fs::read(&path).unwrap();
    let mut header = good.clone();
    header[3] ^= 0xff;
    judge(
        "sqlite3",
        &[
            &admin.name("foreign.db"),
            "create table t (x); insert into t values (1);",
        ],
    );
    let foreign = std::fs::read(admin.file("foreign.db")).unwrap();
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&9999_u32.to_be_bytes());
    for (how, bad) in [
        ("its header", header),
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("not a database", b"not a database".repeat(100)),
        ("emptied", Vec::new()),
        ("another program's", foreign),
        ("a newer relayca's", newer),
    ] {
        swap(&path, &bad);
        for command in [
            ["issue", "another"].as_slice(),
            &["list"],
            &["map"],
            &["show", "mailhost"],
            &["snippet", "mailhost"],
            &["bundle", "mailhost"],
        ] {
            let told = admin.refused(1, command);
            assert!(told.contains("inventory.db"), "{how}, {command:?}: {told}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    let told = admin.refused(1, &["issue", "another"]);
    assert!(told.contains("inventory.db"), "{told}");
    admin.refused(1, &["list"]);
}

#[test]
fn a_damaged_or_foreign_bundle_is_laid_out_nowhere() {
    let admin = Admin::with_mailhost();
    let path = admin.part("bundles/mailhost.example.org.tar.age");
    let bundle = path.to_str().unwrap();
    let good = std::fs::read(&path).unwrap();
    for (how, bad) in damages(&good) {
        swap(&path, &bad);
        let told = admin.refused(1, &["open", bundle, "-C", "out"]);
        assert!(!told.contains('\u{1b}'), "{how}: {told:?}");
    }
    // One byte short, and one too long.
    for bad in [
        good[..good.len() - 1].to_vec(),
        [good.as_slice(), b"x"].concat(),
    ] {
        swap(&path, &bad);
        admin.refused(1, &["open", bundle, "-C", "out"]);
    }
    // Another authority's bundle in its place.
    let other = Admin::with_mailhost();
    swap(
        &path,
        &std::fs::read(other.part("bundles/mailhost.example.org.tar.age")).unwrap(),
    );
    let told = admin.refused(1, &["open", bundle, "-C", "out"]);
    assert!(told.contains("passphrase"), "{told}");
    swap(&path, &good);
    // A passphrase file that is damaged, or another host's.
    let passphrase = admin.part("bundles/mailhost.example.org.passphrase.age");
    let kept = swap(
        &passphrase,
        &std::fs::read(admin.part("bundles/relayhost.example.org.passphrase.age")).unwrap(),
    );
    admin.refused(1, &["open", bundle, "-C", "out"]);
    admin.refused(1, &["bundle", "mailhost", "--seal-to", admin.recipient()]);
    swap(&passphrase, &kept[..kept.len() - 1]);
    admin.refused(1, &["open", bundle, "-C", "out"]);
    admin.refused(1, &["passphrase", "mailhost"]);
    swap(&passphrase, &kept);
    admin.done(&["open", bundle, "-C", "out"]);
}

#[test]
fn an_archive_that_is_not_ours_is_laid_out_nowhere() {
    let admin = Admin::new();
    std::fs::create_dir(admin.file("d")).unwrap();
    admin.write("d/a", "1");
    std::os::unix::fs::symlink("/etc/passwd", admin.file("d/link")).unwrap();
    admin.write("sums", "");
    let tar = |name: &str, arguments: &str| {
        let script = format!(
            "cd d && tar -cf ../{name} {arguments} && cd .. && age -r {} -o {name}.age {name}",
            admin.recipient()
        );
        judged(admin.program("sh").args(["-c", &script]));
        format!("{name}.age")
    };
    for bad in [
        tar("nosums", "a"),
        tar("link", "link a"),
        tar("up", "-P ../key.txt"),
        tar("absolute", "-P /etc/hostname"),
        tar("directory", "."),
    ] {
        admin.refused(1, &["open", &bad, "-i", "key.txt", "-C", "out"]);
    }
    judged(admin.program("sh").args([
        "-c",
        &format!(
            "head -c 3000 /dev/urandom | age -r {} > noise.age",
            admin.recipient()
        ),
    ]));
    admin.refused(1, &["open", "noise.age", "-i", "key.txt", "-C", "out"]);
    // A name that does not tell the host needs -C.
    admin.refused(2, &["open", "noise.age", "-i", "key.txt"]);
}

/// Runs a script as root of a mount namespace of its own, in the admin's home; its mounts end with it.
fn in_own_mounts(admin: &Admin, script: &str) -> String {
    let mut command = admin.program("unshare");
    // Root needs no user namespace, which some places (a chroot) refuse.
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-euc", script]);
    command.env("RELAYCA", RELAYCA).env("ROOT", admin.root());
    judged(&mut command)
}

#[test]
fn a_full_disk_changes_nothing_and_with_room_again_it_goes_on() {
    let admin = Admin::with_mailhost();
    // A disk of its own with the authority on it, and so much room left as each number says.
    let script = r#"
        mkdir disk
        mount -t tmpfs -o size=1m tmpfs disk
        cp -a "$ROOT" disk/authority
        for left in 0 4 8 16 24 40 60; do
            cp -a disk/authority before
            dd if=/dev/zero of=disk/filler bs=1k count=2000 2> /dev/null || :
            if [ $left != 0 ]; then truncate -s -${left}k disk/filler; fi
            set +e
            "$RELAYCA" --dir disk/authority issue "h$left" -i key.txt > out 2> err
            echo "$left $? $(wc -c < out)"
            set -e
            rm disk/filler
            if [ -s err ] && grep -q error: err; then
                grep -q '^relayca: error: ' err; grep -q '^relayca: hint: ' err
                cat err >> errors
                diff -r -x inventory.db-journal before disk/authority
            fi
            rm -r before
        done
        "$RELAYCA" --dir disk/authority issue last -i key.txt > /dev/null 2>&1
        cp -a disk/authority result
    "#;
    let told = in_own_mounts(&admin, script);
    let codes: Vec<Vec<&str>> = told.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(&codes[0][1..], ["1", "0"], "no room at all: {told}");
    for code in &codes {
        assert!(
            code[1] == "0" || (code[1] == "1" && code[2] == "0"),
            "{told}"
        );
    }
    let errors = std::fs::read_to_string(admin.file("errors")).unwrap();
    assert!(errors.contains("full"), "{errors}");
    // What was issued has its bundle; what was not is not there.
    let listed = admin.json(&["list", "--dir", "result"]);
    for item in listed.as_array().unwrap() {
        let host = item["host"].as_str().unwrap();
        if item["role"] != "ca" {
            let bundle = admin.file("result/bundles").join(format!("{host}.tar.age"));
            admin.done(&[
                "open",
                bundle.to_str().unwrap(),
                "-C",
                &format!("opened-{host}"),
            ]);
        }
    }
}

#[test]
fn init_on_a_full_disk_leaves_nothing() {
    let admin = Admin::new();
    let script = format!(
        r#"
        mkdir disk
        mount -t tmpfs -o size=40k tmpfs disk
        set +e
        "$RELAYCA" --dir disk/authority init example.org --recipient {} > out 2> err
        code=$?
        set -e
        ls -A disk
        cat err >&2
        grep -q '^relayca: error: ' err; grep -q '^relayca: hint: ' err
        test $code = 1; test ! -s out
        test -z "$(ls -A disk)"
    "#,
        admin.recipient()
    );
    in_own_mounts(&admin, &script);
}

#[test]
fn a_file_system_mounted_read_only_can_be_read_and_not_changed() {
    let admin = Admin::with_mailhost();
    let before = admin.tree();
    let script = r#"
        mount --bind "$ROOT" "$ROOT"
        mount -o remount,bind,ro "$ROOT"
        for command in "list" "map" "show mailhost" "snippet mailhost" "passphrase mailhost" "verify ca"; do
            "$RELAYCA" $command > /dev/null 2> err || { echo "$command"; cat err; }
        done
        for command in "issue another" "bundle mailhost"; do
            if "$RELAYCA" $command > out 2> err; then echo "$command went through"; fi
            test ! -s out
            grep -q '^relayca: error: ' err && grep -q '^relayca: hint: ' err || { echo "$command"; cat err; }
        done
    "#;
    assert_eq!(in_own_mounts(&admin, script), "");
    before.assert_same(&admin.tree());
}

#[test]
fn somebody_who_may_only_read_reads_and_changes_nothing() {
    let admin = Admin::with_mailhost();
    let before = admin.tree();
    // Everybody may read it now; only root may write.
    judged(
        Command::new("chmod")
            .args(["-R", "a+rX"])
            .arg(admin.home().parent().unwrap()),
    );
    let opened = admin.tree();
    let nobody = |arguments: &[&str]| Outcome::of(&mut admin.as_nobody(arguments));
    if judge("id", &["-u"]).trim() != "0" {
        // Without root: the owner with a directory that is closed to writing.
        judged(Command::new("chmod").args(["-R", "a-w"]).arg(admin.root()));
        admin.refused(1, &["issue", "another"]);
        judged(Command::new("chmod").args(["-R", "u+w"]).arg(admin.root()));
        return;
    }
    for command in [
        ["list"].as_slice(),
        &["map"],
        &["show", "mailhost"],
        &["snippet", "mailhost"],
        &["verify", "ca"],
    ] {
        let outcome = nobody(command);
        assert!(matches!(outcome.code, Some(0 | 3)), "{outcome:?}");
    }
    for command in [
        ["issue", "another"].as_slice(),
        &["bundle", "mailhost"],
        &["init", "example.net", "--recipient", admin.recipient()],
    ] {
        nobody(command).refused(1);
    }
    opened.assert_same(&admin.tree());
    assert_eq!(before.names(), opened.names());
    // Nor may somebody else even look in, once the modes are as relayca makes them.
    judged(Command::new("chmod").arg("700").arg(admin.root()));
    let told = nobody(&["list", "--dir", admin.root().to_str().unwrap()]).refused(1);
    assert!(told.contains("permission"), "{told}");
}

#[test]
fn open_leaves_nothing_where_it_may_not_write() {
    let admin = Admin::with_mailhost();
    let script = r#"
        mkdir place
        mount -t tmpfs -o size=4k tmpfs place
        if "$RELAYCA" open "$ROOT/bundles/mailhost.example.org.tar.age" -C place/out > out 2> err; then echo through; fi
        test ! -s out
        grep -q '^relayca: error: ' err && grep -q '^relayca: hint: ' err || cat err
        ls -A place
        mount -o remount,ro place
        if "$RELAYCA" open "$ROOT/bundles/mailhost.example.org.tar.age" -C place/out > out 2> err; then echo through; fi
        grep -q 'read-only' err || cat err
    "#;
    assert_eq!(in_own_mounts(&admin, script), "");
}
