//! Bad input: each is a clear error with a hint and the documented exit code, and changes nothing.
//! (`refused` compares the whole home before and after, byte for byte.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use authority::{Admin, Outcome, Tree, keygen};

#[test]
fn an_authority_that_exists_is_never_made_again() {
    let admin = Admin::with_mailhost();
    let arguments = [
        "init",
        "example.org",
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ];
    let told = admin.refused(1, &arguments);
    assert!(
        told.contains("there is an authority") && told.contains("nothing was changed"),
        "{told}"
    );
    // Nor into a directory or over a file that is something else.
    std::fs::create_dir(admin.file("full")).unwrap();
    admin.write("full/letter", "dear");
    admin.write("file", "dear");
    for place in ["full", "file"] {
        let told = admin.refused(
            1,
            &[
                "init",
                "example.org",
                "--dir",
                place,
                "--recipient",
                admin.recipient(),
            ],
        );
        assert!(told.contains("exists already"), "{told}");
    }
}

#[test]
fn no_authority_is_a_clear_error_for_every_command() {
    let admin = Admin::new();
    for arguments in [
        ["list"].as_slice(),
        &["issue", "a"],
        &["show", "a"],
        &["map"],
        &["snippet", "a"],
        &["bundle", "a"],
        &["passphrase", "ca"],
        &["verify", "ca"],
        &["list", "--dir", "nowhere"],
        &["list", "--domain", "example.org"],
    ] {
        let told = admin.refused(1, arguments);
        assert!(
            told.contains("no authority") && told.contains("relayca init"),
            "{told}"
        );
    }
}

#[test]
fn a_missing_or_wrong_identity_opens_nothing() {
    let admin = Admin::new();
    admin.done(&["init", "example.org", "--recipient", admin.recipient()]);
    keygen(&admin.file("other.txt"));
    authority::ssh_keygen(&admin.file("ssh"), &["ed25519"]);
    admin.write("garbage", [0_u8, 159, 146, 150, 27, 91]);
    for command in [
        ["issue", "mailhost"],
        ["passphrase", "ca"],
        ["passphrase", "relayhost"],
        ["verify", "ca"],
    ] {
        let told = admin.refused(2, &command);
        assert!(
            told.contains("no identity was given") && told.contains("-i"),
            "{told}"
        );
        for wrong in ["other.txt", "ssh", "garbage", "/nowhere", "/", "/dev/null"] {
            let told = admin.refused(1, &[command[0], command[1], "-i", wrong]);
            assert!(!told.contains('\u{1b}'), "{told}");
        }
    }
    let told = admin.refused(1, &["issue", "mailhost", "-i", "/nowhere"]);
    assert!(told.contains("/nowhere"), "{told}");
}

#[test]
fn init_proves_that_the_identity_opens_it_before_anything_is_made() {
    let admin = Admin::new();
    keygen(&admin.file("other.txt"));
    let told = admin.refused(
        1,
        &[
            "init",
            "example.org",
            "--recipient",
            admin.recipient(),
            "-i",
            "other.txt",
        ],
    );
    assert!(told.contains("does not open"), "{told}");
    assert!(!admin.root().exists());
}

#[test]
fn bad_recipients_name_their_file_and_line() {
    let admin = Admin::new();
    admin.write(
        "recipients",
        format!("# admins\n{}\nage1nonsense\n", admin.recipient()),
    );
    let told = admin.refused(
        1,
        &["init", "example.org", "--recipients-file", "recipients"],
    );
    assert!(told.contains("recipients") && told.contains('3'), "{told}");
    admin.write("empty", "# nobody\n");
    admin.write("binary", [0xff_u8, 0xfe, 0]);
    let secret = std::fs::read_to_string(admin.identity()).unwrap();
    admin.write("secret", &secret);
    for (file, code) in [("empty", 1), ("binary", 1), ("secret", 1), ("/nowhere", 1)] {
        let told = admin.refused(code, &["init", "example.org", "--recipients-file", file]);
        assert!(
            !told.contains("AGE-SECRET-KEY-1"),
            "a secret given by mistake is not repeated: {told}"
        );
    }
    for recipient in [
        "",
        "age1",
        "ssh-dss AAAA",
        "ssh-ed25519 !!!",
        "age1\u{1b}[2J",
        "AGE-SECRET-KEY-1QQQ",
    ] {
        admin.refused(1, &["init", "example.org", "--recipient", recipient]);
    }
}

#[test]
fn a_passphrase_source_without_a_passphrase_is_told() {
    let admin = Admin::new();
    admin.write("empty", "");
    admin.write("blank", "\nsecond line\n");
    admin.write("binary", [0xff_u8, 0xfe, 10]);
    admin.write("control", "a\u{1b}b\n");
    admin.write("long", "x".repeat(5000));
    for (file, code) in [
        ("empty", 2),
        ("blank", 2),
        ("binary", 1),
        ("control", 1),
        ("long", 1),
        ("/nowhere", 1),
        ("/", 1),
        ("/dev/null", 2),
        ("-", 2),
    ] {
        let told = admin.refused(code, &["init", "example.org", "--passphrase-file", file]);
        assert!(!told.contains("xxxx"), "{told}");
    }
    admin.refused(1, &["init", "example.org", "--passphrase-fd", "77"]);
}

#[test]
fn a_key_that_relayca_toml_does_not_know_is_named_with_its_line() {
    let admin = Admin::with_authority();
    let path = admin.part("relayca.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let line = |text: &str, start: &str| {
        text.lines()
            .position(|line| line.starts_with(start))
            .unwrap()
            + 1
    };
    for (from, to, start) in [
        ("days = 730", "dayz = 730", "dayz"),
        ("wrapper = false", "wraper = false", "wraper"),
        ("[map]", "[mapp]", "[mapp]"),
        ("digest = \"sha256\"", "digest = \"sha3\"", "digest"),
        ("days = 730", "days = 0", "days"),
        ("days = 730", "days = -1", "days"),
        ("key = \"p256\"", "key = 256", "key"),
        ("key = \"p256\"", "key = \"dsa\"", "key"),
        ("refusal = \"defer\"", "refusal = \"drop\"", "refusal"),
        (
            "config-directory = \"/etc/postfix\"",
            "config-directory = \"/etc/$(id)\"",
            "config-directory",
        ),
        ("relays = [", "relays = [\"a b\", ", "relays"),
        ("recipients = [", "recipients = [\"age1x\", ", "recipients"),
        (
            "domain = \"example.org\"",
            "domain = \"exa mple\"",
            "domain",
        ),
        ("[postfix]", "[postfix", "[postfix"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        std::fs::write(&path, &bad).unwrap();
        for command in [["list"].as_slice(), &["issue", "mailhost"], &["map"]] {
            let told = admin.refused(if told_usage(&admin, command) { 2 } else { 1 }, command);
            assert!(
                told.contains(&format!("relayca.toml:{}: ", line(&bad, start))),
                "{to}: {told}"
            );
        }
    }
    for bad in [
        vec![0xff_u8, 0xfe],
        vec![0; 100],
        vec![b'a'; 5 << 20],
        Vec::new(),
    ] {
        std::fs::write(&path, &bad).unwrap();
        admin.refused(1, &["list"]);
    }
}

/// A bad word in the settings is told with the exit code of its kind: both are documented.
fn told_usage(admin: &Admin, command: &[&str]) -> bool {
    admin.run(command).code == Some(2)
}

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
    for twice in [
        ["mail", "mail"],
        ["mail", "MAIL.Example.ORG"],
        ["mail", "mail.example.org."],
    ] {
        let outcome = admin.run(&["issue", twice[0], twice[1]]);
        // A trailing dot may be refused for itself.
        outcome.refused(if twice[1].ends_with('.') {
            outcome_code(&admin, &twice)
        } else {
            2
        });
        assert_eq!(admin.serials().len(), 2);
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

fn outcome_code(admin: &Admin, hosts: &[&str; 2]) -> i32 {
    admin.run(&["issue", hosts[0], hosts[1]]).code.unwrap()
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
        outcome.refused(1);
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
            &"b".repeat(36)
        ]
        .join(".")
    );
    // The domain name system allows 253; file systems 255, with `.passphrase.age` behind it.
    assert_eq!(long.len(), 240);
    let told = admin.refused(1, &["issue", &long.replacen("b.", "bb.", 1)]);
    assert!(told.contains("too long"), "{told}");
    admin.done(&["issue", &label, &long]);
    assert!(admin.serials().contains_key(&long));
    authority::unseal(&admin, &long);
}

#[test]
fn a_bad_line_in_a_list_is_named_and_nothing_is_issued() {
    let admin = Admin::with_authority();
    let unknown = [
        "a\nb colour=red\n",
        "a\nb c\n",
        "a\nb days=0\n",
        "a\nb days=99999999999\n",
        "a\nb key=dsa\n",
        "a\nb \"san=x\n",
        "a\nb\u{7}\n",
    ];
    for text in unknown.iter().chain(&[
        "a\nb san=$(id)\n",
        "a\nb seal-to=age1x\n",
        "a\nb..c\n",
        "a\nb senders=\"a b\"\n",
        "a\nb san=mail.example.net\n",
    ]) {
        admin.write("hosts", text);
        let outcome = admin.run(&["issue", "--from", "hosts"]);
        let code = outcome.code.unwrap();
        assert!(code == 1 || code == 2, "{text:?} {outcome:?}");
        let told = outcome.refused(code);
        if !text.contains("senders") && !text.contains("example.net") {
            assert!(told.contains("hosts:2: "), "{text:?}: {told}");
        }
        assert!(!told.contains('\u{7}'));
        assert_eq!(admin.serials().len(), 2);
    }
    admin.write("none", "# nobody\n\n");
    admin.write("binary", [0xff_u8; 64]);
    for (file, code) in [
        ("none", 2),
        ("binary", 1),
        ("/nowhere", 1),
        ("/", 1),
        ("/dev/null", 2),
    ] {
        admin.refused(code, &["issue", "--from", file]);
    }
    admin
        .run_with_input(&["issue", "--from", "-"], &[0xff; 64])
        .refused(1);
    let before = admin.tree();
    admin
        .run_with_input(&["issue", "--from", "-", "--passphrase-file", "-"], b"x\n")
        .done();
    assert_ne!(before, admin.tree());
}

#[test]
fn unknown_hosts_and_serials_are_told() {
    let admin = Admin::with_mailhost();
    for what in [
        "nobody",
        "00ff00ff",
        "0123456789abcdef0123456789abcdef",
        "zz zz",
        "/nowhere/x.pem",
        "",
        "\u{1b}[2J",
    ] {
        let told = admin.refused(1, &["show", what]);
        assert!(
            told.contains("relayca list") && !told.contains('\u{1b}'),
            "{told}"
        );
    }
    for command in ["snippet", "bundle", "passphrase"] {
        for host in ["nobody", "mail.example.net", "a b"] {
            admin.refused(1, &[command, host]);
        }
    }
    // One unknown host among several: none is written.
    admin.refused(1, &["bundle", "mailhost", "nobody"]);
}

#[test]
fn bad_words_and_numbers_are_usage_errors() {
    let admin = Admin::with_authority();
    for arguments in [
        ["issue", "a", "--key", "dsa"].as_slice(),
        &["map", "--digest", "md4"],
        &["map", "--pin", "dn"],
        &["fingerprint", "x", "--digest", "md4"],
        &["snippet", "relayhost", "--style", "exim"],
        &["init", "example.com", "--ca-key", "dsa"],
        &["init", "example.com", "--relay", "r:0"],
        &["init", "example.com", "--relay", "r:99999"],
        &["init", "example.com", "--config-directory", "etc"],
        &["issue", "a", "b", "--san", "c"],
        // These clap judges.
        &["issue", "a", "--days", "0"],
        &["issue", "a", "--days", "40000"],
        &["issue", "a", "--days", "x"],
        &["init", "example.com", "--ca-days", "0"],
        &["issue"],
        &["nonsense"],
        &["list", "--colour"],
        &["map", "--format", "xml"],
        &[
            "issue",
            "a",
            "--passphrase-file",
            "x",
            "--passphrase-fd",
            "3",
        ],
        &["issue", "a", "--relay", "--senders", "example.org"],
        &["completions", "tcsh"],
    ] {
        let told = admin.refused(2, arguments);
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn an_argument_that_is_not_text_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let admin = Admin::with_authority();
    let odd = std::ffi::OsStr::from_bytes(b"a\xff\x1b[2Jb");
    std::fs::write(admin.file("x").with_file_name(odd), "-").unwrap();
    for arguments in [
        ["issue", "--from"].as_slice(),
        &["issue", "a", "-i"],
        &["list", "--dir"],
        &["init", "example.com", "--recipients-file"],
    ] {
        let mut all: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        all.push(odd);
        let told = admin.refused(1, &all);
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }
    for command in ["issue", "show", "fingerprint", "verify"] {
        let outcome = Outcome::of(admin.relayca(&[command]).arg(odd));
        assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
        assert!(
            !outcome.stderr.contains('\u{1b}') && !outcome.stderr.contains("panicked"),
            "{outcome:?}"
        );
    }
}

#[test]
fn garbage_and_huge_files_for_every_file_argument_are_refused() {
    let admin = Admin::with_mailhost();
    let mut noise = Vec::new();
    let mut state = 1_u32;
    for _ in 0..4096 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.push((state >> 24) as u8);
    }
    admin.write("noise", &noise);
    admin.write(
        "escape",
        "\u{1b}[2J\u{1b}]0;x\u{7}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    admin.write("empty", "");
    // Far larger than anything read, and sparse: it costs nothing.
    for (name, size) in [("huge", 3_u64 << 30), ("huge.tar.age", 3 << 30)] {
        std::fs::File::create(admin.file(name))
            .unwrap()
            .set_len(size)
            .unwrap();
    }
    let commands: [&[&str]; 6] = [
        &["show"],
        &["fingerprint"],
        &["verify"],
        &["open", "-C", "out"],
        &["issue", "a", "-i"],
        &["issue", "--from"],
    ];
    let mut names: Vec<String> = Vec::new();
    for file in [
        "noise",
        "escape",
        "empty",
        "huge",
        "huge.tar.age",
        "/dev/zero",
        "/",
    ] {
        names.push(file.to_owned());
    }
    let light = |admin: &Admin| Tree::of(&admin.root());
    let before = light(&admin);
    for command in commands {
        for file in &names {
            let mut arguments = command.to_vec();
            arguments.push(file);
            let outcome = admin.run(&arguments);
            let code = outcome.code.unwrap();
            assert!(code == 1 || code == 2, "{arguments:?}: {outcome:?}");
            let told = outcome.refused(code);
            assert!(
                !told.contains('\u{1b}') && !told.contains('\u{7}'),
                "{told:?}"
            );
        }
    }
    before.assert_same(&light(&admin));
    assert!(!admin.file("out").exists());
}
