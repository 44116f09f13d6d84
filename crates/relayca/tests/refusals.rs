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
        admin.refused(2, &["init", "example.org", "--recipient", recipient]);
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
    // A descriptor that nobody opened gives nothing, as an empty one.
    let told = admin.refused(2, &["init", "example.org", "--passphrase-fd", "77"]);
    assert!(told.contains("the descriptor 77 is not open"), "{told}");
    assert!(told.contains("--passphrase-fd 77 77<FILE"), "{told}");
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
            let told = admin.refused(1, command);
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
    admin
        .run_with_input(&["issue", "--from", "-", "--passphrase-file", "-"], b"x\n")
        .refused(2);
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
        for (host, code) in [("nobody", 1), ("mail.example.net", 1), ("a b", 2)] {
            admin.refused(code, &[command, host]);
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
        &["issue", "a", "--senders", "not a list"],
        &["issue", "a", "--senders", ""],
        &["deploy"],
        &["completions", "tcsh"],
    ] {
        let told = admin.refused(2, arguments);
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn a_hint_names_only_what_would_help() {
    let admin = Admin::with_mailhost();
    // Outside the domain nothing can be issued.
    for command in ["passphrase", "snippet", "bundle", "renew"] {
        let told = admin.refused(1, &[command, "foo.example.com"]);
        assert!(!told.contains("relayca issue"), "{told}");
        assert!(told.contains("`relayca list`"), "{told}");
        let told = admin.refused(1, &[command, "foo"]);
        assert!(told.contains("`relayca issue foo.example.org`"), "{told}");
    }
    // Revoked is for good.
    let told = admin.refused(1, &["issue", "mailhost"]);
    assert!(told.contains("live until 20"), "{told}");
    admin.done(&["revoke", "mailhost"]);
    let told = admin.refused(1, &["issue", "mailhost"]);
    assert!(told.contains(", revoked);"), "{told}");
    // Whom to bring up to date: all the ways to say it.
    let told = admin.refused(2, &["deploy"]);
    for option in ["<HOST", "--relays", "--all", "--status"] {
        assert!(told.contains(option), "{told}");
    }
}

#[test]
fn an_argument_that_is_not_text_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let admin = Admin::with_authority();
    let odd = std::ffi::OsStr::from_bytes(b"a\xff\x1b[2Jb");
    std::fs::write(admin.file("x").with_file_name(odd), "-").unwrap();
    for (arguments, code) in [
        (["issue", "--from"].as_slice(), 2),
        (&["issue", "a", "-i"], 1),
        (&["list", "--dir"], 2),
        (&["init", "example.com", "--recipients-file"], 1),
    ] {
        let mut all: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        all.push(odd);
        let told = admin.refused(code, &all);
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
