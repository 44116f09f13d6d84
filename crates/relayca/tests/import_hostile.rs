//! Trees that are not what they should be: incomplete, mistaken, or made to do harm. Nothing is made of them, or no more than
//! what is sound; and they stay as they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod old_tree;

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use authority::terminal::Terminal;
use authority::{Admin, Outcome, Tree, judge, judged};
use old_tree::{OldTree, PASSPHRASE, import, import_encrypted};

const FOR_EXAMPLE: [&str; 2] = ["--domain", "example.org"];

fn bare(admin: &Admin) -> OldTree {
    OldTree::bare(admin, "bare", "/CN=Example CA", &[])
}

#[test]
fn without_a_ca_and_its_key_nothing_is_made() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    tree.leaf("mailhost.example.org", "1");
    let refused = |arguments: &[String], code: i32, words: &str| {
        let stderr = admin.refused(code, arguments);
        assert!(stderr.contains(words), "{words}: {stderr}");
        assert!(!admin.file("data").exists());
    };
    refused(&import(&admin, &tree, &[]), 2, "--ca-passphrase-file");
    let wrong = admin.write("wrong", "not this one\n");
    refused(
        &import(&admin, &tree, &["--ca-passphrase-file", &wrong]),
        1,
        "does not open",
    );
    let empty = admin.write("nothing", "");
    refused(
        &import(&admin, &tree, &["--ca-passphrase-file", &empty]),
        2,
        "holds no passphrase",
    );
    let absent = admin.name("absent");
    refused(
        &import(&admin, &tree, &["--ca-passphrase-file", &absent]),
        1,
        "cannot read",
    );
    refused(
        &import_encrypted(
            &admin,
            &tree,
            &["--relay", "mailhost", "--mailhost", "mailhost"],
        ),
        2,
        "one role",
    );
    refused(
        &import_encrypted(&admin, &tree, &["--dir", &tree.name("inside/new")]),
        2,
        "where nothing is to change",
    );
    refused(
        &import_encrypted(&admin, &tree, &["--config-directory", "/etc/$(id)"]),
        2,
        "plain absolute directory",
    );

    // The key of another CA, under the same passphrase.
    let other = OldTree::empty(&admin, "other", "ca");
    other.write("ca.crt.pem", tree.read("example.org-ca.crt.pem"));
    other.openssl(&[
        "genrsa",
        "-aes256",
        "-passout",
        "file:../passphrase",
        "-out",
        "ca.key.pem",
        "2048",
    ]);
    refused(
        &import_encrypted(&admin, &other, &FOR_EXAMPLE),
        1,
        "does not belong to",
    );
    other.openssl(&["genrsa", "-out", "ca.key.pem", "2048"]);
    refused(
        &import(&admin, &other, &FOR_EXAMPLE),
        1,
        "does not belong to",
    );
    std::fs::remove_file(other.at.join("ca.key.pem")).unwrap();
    refused(
        &import(&admin, &other, &FOR_EXAMPLE),
        1,
        "no key to the CA certificate",
    );

    // A leaf and its key are no CA, whatever they are called.
    let leaf = OldTree::empty(&admin, "leaf", "ca");
    leaf.write("ca.crt", tree.read("mailhost.example.org.crt.pem"));
    leaf.write("ca.key", tree.read("mailhost.example.org.key.pem"));
    refused(
        &import(&admin, &leaf, &FOR_EXAMPLE),
        1,
        "there is no CA certificate",
    );
    let nothing = OldTree::empty(&admin, "none", "ca");
    refused(
        &import(&admin, &nothing, &FOR_EXAMPLE),
        1,
        "there is no CA certificate",
    );
    let mut absent = import(&admin, &nothing, &FOR_EXAMPLE);
    absent[1] = admin.name("absent");
    refused(&absent, 1, "cannot read");
    absent[1] = wrong;
    refused(&absent, 2, "is not a directory");
}

#[test]
fn a_ca_that_cannot_go_on_is_refused() {
    let admin = Admin::new();
    let refused = |tree: &OldTree, words: &str| {
        let stderr = admin.refused(1, &import(&admin, tree, &FOR_EXAMPLE));
        assert!(stderr.contains(words), "{words}: {stderr}");
    };
    let expired = OldTree::empty(&admin, "expired", "ca");
    judged(Command::new("faketime").current_dir(&expired.at).args([
        "2020-01-01",
        "openssl",
        "req",
        "-new",
        "-x509",
        "-nodes",
        "-newkey",
        "rsa:2048",
        "-days",
        "30",
        "-subj",
        "/CN=old",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
    ]));
    refused(&expired, "expired");
    let small = OldTree::empty(&admin, "small", "ca");
    small.openssl(&[
        "req",
        "-new",
        "-x509",
        "-nodes",
        "-newkey",
        "rsa:1024",
        "-subj",
        "/CN=small",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
    ]);
    refused(&small, "`ca.key`: ");
    let two = OldTree::bare(&admin, "two", "/CN=One", &[]);
    let second = OldTree::bare(&admin, "second", "/CN=Two", &[]);
    two.write("more/ca.crt", second.read("ca.crt.pem"));
    two.write("more/ca.key", second.read("ca.key.pem"));
    refused(&two, "keys of two CAs");
    let constrained = OldTree::bare(
        &admin,
        "constrained",
        "/CN=Net",
        &[
            "-addext",
            "nameConstraints=critical,permitted;DNS:example.net",
        ],
    );
    assert!(
        admin
            .refused(1, &import(&admin, &constrained, &FOR_EXAMPLE))
            .contains("may not certify names in `example.org`")
    );
    // It says its domain itself.
    let report = admin.json(
        &import(&admin, &constrained, &[])
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    assert_eq!(report["domain"], "example.net");
}

#[test]
fn links_pipes_and_devices_are_neither_followed_nor_opened() {
    let admin = Admin::new();
    let tree = bare(&admin);
    tree.leaf_v3(
        "mailhost.example.org",
        "1",
        "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:mailhost.example.org",
    );
    // Certificates and keys elsewhere, led to by links.
    let elsewhere = OldTree::bare(&admin, "elsewhere", "/CN=Elsewhere", &[]);
    symlink(&elsewhere.at, tree.at.join("out")).unwrap();
    symlink(
        elsewhere.at.join("ca.key.pem"),
        tree.at.join("link.key.pem"),
    )
    .unwrap();
    symlink(&tree.at, tree.at.join("loop")).unwrap();
    symlink("../bare/self", tree.at.join("self")).unwrap();
    symlink("/dev/zero", tree.at.join("zero")).unwrap();
    judge("mkfifo", &[&tree.name("fifo.pem")]);
    let _socket = UnixListener::bind(tree.at.join("socket")).unwrap();
    let mut odd = vec![
        "out",
        "link.key.pem",
        "loop",
        "self",
        "zero",
        "fifo.pem",
        "socket",
    ];
    if judge("id", &["-u"]).trim() == "0"
        && Command::new("mknod")
            .args([&tree.name("device"), "c", "1", "5"])
            .status()
            .unwrap()
            .success()
    {
        odd.push("device");
    }
    let log = admin.name("trace");
    let mut traced = admin.program("strace");
    traced
        .args([
            "-f",
            "-e",
            "trace=open,openat,openat2,creat",
            "-o",
            &log,
            authority::RELAYCA,
        ])
        .args(import(&admin, &tree, &FOR_EXAMPLE));
    let outcome = Outcome::of(&mut traced);
    for words in ["they are links", "no plain file"] {
        assert!(
            outcome.stderr.contains(words),
            "{words}: {}",
            outcome.stderr
        );
    }
    outcome.done();
    let trace = std::fs::read_to_string(&log).unwrap();
    assert!(trace.contains("ca.key.pem"), "{trace}");
    for name in odd {
        assert!(
            !trace.contains(&format!("bare/{name}\"")),
            "{name} was opened"
        );
    }
    assert!(!trace.contains("/elsewhere"), "{trace}");
    for line in trace.lines().filter(|line| line.contains("/bare/")) {
        assert!(
            !line.contains("O_WRONLY") && !line.contains("O_RDWR") && !line.contains("O_CREAT"),
            "{line}"
        );
    }
}

#[test]
fn a_huge_tree_is_refused_at_once_and_a_huge_file_is_passed_over() {
    let admin = Admin::new();
    let tree = bare(&admin);
    let huge = std::fs::File::create(tree.at.join("huge.pem")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let outcome = admin.run(&import(
        &admin,
        &tree,
        &["--domain", "example.org", "--dir", &admin.name("first")],
    ));
    assert!(
        outcome.stderr.contains("`huge.pem`") && outcome.stderr.contains("far too large"),
        "{}",
        outcome.stderr
    );
    outcome.done();
    std::fs::remove_file(tree.at.join("huge.pem")).unwrap();

    let many = OldTree::empty(&admin, "many", "ca");
    for directory in 0..21 {
        let directory = many.at.join(directory.to_string());
        std::fs::create_dir(&directory).unwrap();
        for file in 0..1000 {
            std::fs::File::create(directory.join(file.to_string())).unwrap();
        }
    }
    let begun = Instant::now();
    let stderr = admin.run(&import(&admin, &many, &FOR_EXAMPLE)).refused(1);
    assert!(stderr.contains("more than 20000 files"), "{stderr}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    std::fs::remove_dir_all(&many.at).unwrap();

    let deep = OldTree::empty(&admin, "deep", "ca");
    let mut at = deep.at.clone();
    for _ in 0..40 {
        at.push("d");
        std::fs::create_dir(&at).unwrap();
    }
    assert!(
        admin
            .refused(1, &import(&admin, &deep, &FOR_EXAMPLE))
            .contains("directories deep")
    );

    let heavy = OldTree::empty(&admin, "heavy", "ca");
    for number in 0..20 {
        heavy.write(&format!("{number}.bin"), vec![b'x'; 4 << 20]);
    }
    assert!(
        admin
            .run(&import(&admin, &heavy, &FOR_EXAMPLE))
            .refused(1)
            .contains("megabytes")
    );
}

#[test]
fn junk_among_the_files_does_no_harm() {
    let admin = Admin::new();
    let tree = bare(&admin);
    tree.leaf_v3(
        "mailhost.example.org",
        "7",
        "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:mailhost.example.org",
    );
    let crt = tree.read("mailhost.example.org.crt.pem");
    tree.write("cut.pem", &crt[..crt.len() / 2]);
    tree.write("nested.pem", format!("-----BEGIN CERTIFICATE-----\n{crt}"));
    tree.write(
        "not-base64.pem",
        "-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n",
    );
    tree.write(
        "not-der.pem",
        "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n",
    );
    tree.write(
        "bomb.pem",
        "-----BEGIN X-----\n-----END X-----\n".repeat(20_000),
    );
    tree.write(
        "binary",
        (0..=255u8).cycle().take(100_000).collect::<Vec<_>>(),
    );
    tree.write("der", [0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x80]);
    tree.write(
        "index.txt",
        "V\t281121030000Z\t\t07\tunknown\t/CN=mailhost.example.org\nR\tnonsense\n\u{1b}[2J\n",
    );
    tree.write(
        "relay_clientcerts",
        format!("{}AA \u{202e}host\nnonsense\n", "AA:".repeat(15)),
    );
    tree.write("evil\u{1b}]0;name\n- PRIVATE KEY.crt", &crt);
    std::fs::remove_file(tree.at.join("mailhost.example.org.crt.pem")).unwrap();
    let before = Tree::of(&tree.at);
    let outcome = admin.run(&import(
        &admin,
        &tree,
        &[
            "--domain",
            "example.org",
            "--mailhost",
            "mailhost",
            "--relay",
            "relayhost",
        ],
    ));
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(
            !text
                .chars()
                .any(|letter| letter == '\u{1b}' || letter == '\u{202e}'),
            "{text}"
        );
    }
    for name in [
        "cut.pem",
        "nested.pem",
        "not-base64.pem",
        "not-der.pem",
        "bomb.pem",
        "index.txt:2",
    ] {
        assert!(outcome.stderr.contains(name), "{name}: {}", outcome.stderr);
    }
    for line in outcome.stdout.split("\n# 1. ").next().unwrap().lines() {
        assert!(line.is_empty() || line.starts_with('#'), "{line}");
    }
    outcome.done();
    before.assert_same(&Tree::of(&tree.at));
    assert_eq!(admin.serials()["mailhost.example.org"], ["07"]);
    assert_eq!(
        judge(
            "sqlite3",
            &[
                admin.part("inventory.db").to_str().unwrap(),
                "pragma integrity_check"
            ]
        )
        .trim(),
        "ok"
    );
}

#[test]
fn the_tree_is_read_where_nobody_may_write() {
    let admin = Admin::new();
    let tree = bare(&admin);
    tree.leaf_v3(
        "mailhost.example.org",
        "1",
        "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:mailhost.example.org",
    );
    let closed = tree.at.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::write(closed.join("file"), "x").unwrap();
    judged(Command::new("chmod").args(["-R", "a+rX,a-w"]).arg(&tree.at));
    let before = Tree::of(&tree.at);
    let arguments = import(&admin, &tree, &FOR_EXAMPLE);
    if judge("id", &["-u"]).trim() == "0" {
        judged(
            Command::new("chmod")
                .args(["-R", "a+rX"])
                .arg(admin.home().parent().unwrap()),
        );
        judged(Command::new("chmod").arg("700").arg(&closed));
        let data = admin.file("data");
        std::fs::create_dir(&data).unwrap();
        judged(Command::new("chown").arg("65534").arg(&data));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = Outcome::of(&mut admin.as_nobody(&arguments));
        assert!(
            outcome.stderr.contains("may not be or cannot be: `closed`"),
            "{}",
            outcome.stderr
        );
        outcome.done();
    } else {
        admin.done(&arguments);
        before.assert_same(&Tree::of(&tree.at));
        judged(Command::new("chmod").args(["-R", "u+w"]).arg(&tree.at));
    }
    assert!(admin.root().join("relayca.toml").exists());
}

#[test]
fn the_passphrase_can_be_typed() {
    let admin = Admin::new();
    let tree = OldTree::makefile(&admin);
    let mut terminal = Terminal::run(&admin.relayca(&import(&admin, &tree, &[])));
    terminal.answer(
        "Passphrase of the CA key (`example.org-ca.key.pem`): ",
        PASSPHRASE,
    );
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSPHRASE));
    assert!(admin.done(&["list", "--all"]).contains("example.org"));
}

#[test]
fn a_revocation_list_that_cannot_be_read_lets_nobody_in() {
    let admin = Admin::new();
    let tree = bare(&admin);
    tree.leaf_v3(
        "mailhost.example.org",
        "1",
        "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:mailhost.example.org",
    );
    tree.write(
        "../ca.cnf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=../database\ndefault_md=sha256\ndefault_crl_days=30\n",
    );
    tree.write(
        "../database",
        "R\t281121030000Z\t261101020304Z\t01\tunknown\t/CN=mailhost.example.org\n",
    );
    // As openssl writes it unless told otherwise: version 1, without a number.
    tree.openssl(&[
        "ca",
        "-config",
        "../ca.cnf",
        "-gencrl",
        "-keyfile",
        "ca.key.pem",
        "-cert",
        "ca.crt.pem",
        "-out",
        "crl.pem",
    ]);
    let outcome = admin.run(&import(
        &admin,
        &tree,
        &["--domain", "example.org", "--json"],
    ));
    let report: serde_json::Value = serde_json::from_str(&outcome.done()).unwrap();
    assert_eq!(report["map"], serde_json::json!([]));
    assert_eq!(report["certificates"][0]["state"], "retired");
    assert!(report["weaknesses"].to_string().contains("revocation-list"));
}
