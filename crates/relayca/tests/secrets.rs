//! What must never be seen: secrets in arguments, environments, outputs and files that others can read;
//! and control characters from outside on a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use authority::terminal::Terminal;
use authority::{Admin, Outcome, RELAYCA, Tree, judge, judged, unseal};

/// Runs relayca under strace; gives what strace wrote.
fn strace(admin: &Admin, options: &[&str], arguments: &[&str]) -> String {
    let log = admin.file("strace.log");
    let mut command = admin.program("strace");
    command
        .args(["-f", "-v", "-s", "100000", "-o"])
        .arg(&log)
        .args(options)
        .arg(RELAYCA)
        .args(arguments);
    Outcome::of(&mut command).done();
    std::fs::read_to_string(log).unwrap()
}

/// The secrets of an authority with one mail host: the CA's key and passphrase, the host's key and
/// passphrase, the admin's identity. As text that would betray them.
fn secrets(admin: &Admin) -> Vec<(&'static str, String)> {
    let line = |pem: &str| pem.lines().nth(1).unwrap()[..40].to_owned();
    let ca = admin.done(&["passphrase", "ca"]).trim().to_owned();
    let opened = judge(
        "openssl",
        &[
            "pkey",
            "-in",
            admin.part("ca/ca.key.pem").to_str().unwrap(),
            "-passin",
            &format!("pass:{ca}"),
            "-outform",
            "pem",
        ],
    );
    let files = unseal(admin, "mailhost.example.org");
    let key = std::fs::read_to_string(files.join("mailhost.example.org.key.pem")).unwrap();
    std::fs::remove_dir_all(files).unwrap();
    let second = |pem: &str| pem.lines().nth(2).unwrap()[..20].to_owned();
    let identity = std::fs::read_to_string(admin.identity()).unwrap();
    let identity = identity
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY-1"))
        .unwrap()
        .to_owned();
    vec![
        ("the passphrase of the CA key", ca),
        ("the CA key", second(&opened)),
        ("the host's key", second(&key)),
        ("the host's key", line(&key)[30..].to_owned()),
        (
            "the bundle's passphrase",
            admin.done(&["passphrase", "mailhost"]).trim().to_owned(),
        ),
        ("the admin's identity", identity),
    ]
}

#[test]
fn no_output_and_no_file_of_the_authority_shows_a_secret() {
    let admin = Admin::with_mailhost();
    let secrets = secrets(&admin);
    let mut seen = String::new();
    for command in [
        ["list", "--all"].as_slice(),
        &["list", "--json"],
        &["show", "mailhost"],
        &["show", "mailhost", "--json"],
        &["map"],
        &["map", "--json"],
        &["snippet", "mailhost", "--json"],
        &["snippet", "relayhost"],
        &["bundle", "mailhost", "--json"],
        &["verify", "ca", "--json"],
        &[
            "open",
            "--json",
            "-C",
            "out",
            admin
                .part("bundles/mailhost.example.org.tar.age")
                .to_str()
                .unwrap(),
        ],
        &["fingerprint", "--json", "out/mailhost.example.org.key.pem"],
        &["issue", "other", "--json"],
        &["issue", "third"],
    ] {
        let outcome = admin.run(command);
        assert_eq!(outcome.code, Some(0), "{command:?}: {outcome:?}");
        seen.push_str(&outcome.stdout);
        seen.push_str(&outcome.stderr);
    }
    let tree = admin.tree();
    for (what, secret) in &secrets {
        assert!(!seen.contains(secret), "{what} is printed");
        assert!(
            !tree.holds(secret.as_bytes()),
            "{what} lies in the authority in the clear"
        );
    }
    assert!(!seen.contains("PRIVATE KEY"), "no key in any output");
    for (name, node) in &tree.0 {
        let clear = b"-----BEGIN PRIVATE KEY";
        assert!(
            !node
                .content
                .windows(clear.len())
                .any(|window| window == clear),
            "{}",
            name.display()
        );
    }
    // What opens the bundle in the layed out directory is there, and only there.
    assert!(Tree::of(&admin.file("out")).holds(secrets[2].1.as_bytes()));
}

#[test]
fn no_program_is_run_and_no_secret_is_written_outside_the_bundle() {
    let admin = Admin::with_authority();
    let log = strace(
        &admin,
        &["-e", "trace=execve,execveat,write,pwrite64,sendto"],
        &["issue", "mailhost"],
    );
    assert_eq!(
        log.matches("execve(").count(),
        1,
        "only relayca itself: {log}"
    );
    for (what, secret) in secrets(&admin) {
        assert!(!log.contains(&secret), "{what} was written somewhere");
    }
    assert!(!log.contains("PRIVATE KEY"));
}

/// An age plugin that "wraps" the file key as itself (<https://c2sp.org/age-plugin>), and notes how it was
/// run.
const PLUGIN: &str = r#"#!/bin/sh
{ echo "$0 $*"; tr '\0' '\n' < /proc/$$/environ; } >> "$HOME/spied"
next() { IFS= read -r line || exit 1; }
expect_ok() { next; next; }
case "$1" in
--age-plugin=recipient-v1)
    while next; do
        case "$line" in
        '-> wrap-file-key') next; key=$line ;;
        '-> done') next; break ;;
        esac
    done
    printf -- '-> recipient-stanza 0 fake\n%s\n' "$key"; expect_ok ;;
--age-plugin=identity-v1)
    while next; do
        case "$line" in
        '-> recipient-stanza 0 fake') next; key=$line ;;
        '-> done') next; break ;;
        esac
    done
    if [ -n "$key" ]; then printf -- '-> file-key 0\n%s\n' "$key"; expect_ok; fi ;;
esac
printf -- '-> done\n\n'
"#;

#[test]
fn a_plugin_opens_the_authority_and_finds_no_secret_in_its_arguments_or_environment() {
    let admin = Admin::new();
    std::fs::create_dir(admin.file("bin")).unwrap();
    admin.write("bin/age-plugin-fake", PLUGIN);
    std::fs::set_permissions(
        admin.file("bin/age-plugin-fake"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    admin.write("token", "AGE-PLUGIN-FAKE-1W3JHXAQ8FAZUR\n");
    let mut path = admin.file("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let with_plugin = |arguments: &[&str]| Outcome::of(admin.relayca(arguments).env("PATH", &path));
    with_plugin(&[
        "init",
        "example.org",
        "--recipient",
        "age1fake1w3jhxaqrc5akr",
        "-i",
        "token",
    ])
    .done();
    with_plugin(&["issue", "mailhost"]).done();
    let ca = with_plugin(&["passphrase", "ca"]).done();
    let host = with_plugin(&["passphrase", "mailhost"]).done();
    with_plugin(&["verify", "ca"]).done();
    let spied = std::fs::read_to_string(admin.file("spied")).unwrap();
    assert!(
        spied.contains("--age-plugin=identity-v1") && spied.contains("PATH="),
        "{spied}"
    );
    for secret in [&ca, &host] {
        assert!(!spied.contains(secret.trim()), "{spied}");
    }
    assert!(
        !spied.contains("PRIVATE KEY") && !spied.contains("AGE-PLUGIN"),
        "{spied}"
    );
    // Without the plugin nothing opens, and the error says what is missing.
    let told = admin.refused(1, &["issue", "other"]);
    assert!(told.contains("age-plugin-fake"), "{told}");
}

#[test]
fn what_others_are_to_read_they_may_read_under_any_umask() {
    let admin = Admin::with_mailhost();
    let strictly = |command: &str| {
        let script = format!("umask 077; exec {RELAYCA} {command}");
        Outcome::of(admin.program("sh").args(["-c", &script])).done()
    };
    admin.write("list.pem", "an older one");
    std::os::unix::fs::symlink("list.pem", admin.file("link.pem")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    std::fs::set_permissions(admin.file("list.pem"), Permissions::from_mode(0o644)).unwrap();
    strictly("crl --out link.pem -q");
    strictly("crl --out new.pem -q");
    strictly("check --prometheus --out relayca.prom -q");
    strictly("request other.example.org -C other -q");
    for name in [
        "list.pem",
        "new.pem",
        "relayca.prom",
        "other/other.example.org.csr.pem",
    ] {
        assert_eq!(mode(&admin.file(name)), 0o644, "{name}");
    }
    assert_eq!(mode(&admin.file("other/other.example.org.key.pem")), 0o600);
    strictly(&format!(
        "--dir made init example.net --recipient {} -i key.txt -q",
        admin.recipient()
    ));
    assert_eq!(mode(&admin.file("made/ca/ca.crt.pem")), 0o644);
    assert_eq!(mode(&admin.file("made/ca/ca.key.pem")), 0o600);
}

#[test]
fn every_file_is_closed_to_others_from_its_first_moment() {
    let admin = Admin::new();
    // With an umask that takes nothing away, modes are what relayca asks for.
    let script = |command: &str| {
        format!(
            "umask 0; exec strace -f -v -e trace=openat,open,creat,mkdir,mkdirat,chmod,fchmod,fchmodat -o strace.log {RELAYCA} {command}"
        )
    };
    for command in [
        format!(
            "init example.org --recipient {} -i key.txt",
            admin.recipient()
        ),
        "issue mailhost".to_owned(),
        "bundle mailhost".to_owned(),
        format!("bundle mailhost --seal-to {}", admin.recipient()),
        format!(
            "open {} -C out",
            admin.part("bundles/mailhost.example.org.tar.age").display()
        ),
    ] {
        Outcome::of(admin.program("sh").args(["-c", &script(&command)])).done();
        let log = std::fs::read_to_string(admin.file("strace.log")).unwrap();
        assert!(log.contains("O_CREAT") || log.contains("mkdir("), "{log}");
        for line in log.lines() {
            assert!(
                !line.contains("chmod("),
                "a mode that is set later is too late: {line}"
            );
            let public =
                line.contains("crt.pem") || (line.contains("/.out.") && !line.contains("key.pem"));
            if line.contains("O_CREAT") && !line.contains("/proc/") && !public {
                assert!(line.contains("0600)"), "{line}");
            }
            if line.contains("mkdir(") {
                assert!(line.contains("0700)"), "{line}");
            }
        }
    }
    for (name, node) in &admin.tree().0 {
        let name = name.to_string_lossy();
        let expected = if node.mode & 0o170_000 == 0o040_000 {
            0o700
        } else if name == "ca/ca.crt.pem" {
            0o644
        } else {
            0o600
        };
        assert_eq!(node.mode & 0o7777, expected, "{name}: {:o}", node.mode);
    }
    let key = std::fs::metadata(admin.file("out/mailhost.example.org.key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_waiting_process_dumps_no_core_and_lets_nobody_look_in() {
    let admin = Admin::new();
    let mut terminal = Terminal::run(&admin.relayca(&["init", "example.org"]));
    terminal.await_text("New passphrase");
    let process = format!("/proc/{}", terminal.id());
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().collect::<Vec<_>>()[4..6],
        ["0", "0"],
        "{core}"
    );
    // A process that may not be dumped belongs to root in /proc, whoever runs it: seen where it is run as
    // somebody else.
    if judge("id", &["-u"]).trim() == "0" {
        judged(
            Command::new("chmod")
                .args(["-R", "a+rwX"])
                .arg(admin.home().parent().unwrap()),
        );
        let mut other = Terminal::run(&admin.as_nobody(&["init", "example.org"]));
        other.await_text("New passphrase");
        let owner = std::os::unix::fs::MetadataExt::uid(
            &std::fs::metadata(format!("/proc/{}/mem", other.id())).unwrap(),
        );
        assert_eq!(owner, 0, "nobody's debugger may not attach");
        other.press(3);
        assert_eq!(other.end().0, Some(130));
    }
    terminal.press(3);
    assert_eq!(terminal.end().0, Some(130));
}

#[test]
fn an_abort_leaves_no_core_file() {
    let admin = Admin::new();
    let script = format!("ulimit -c unlimited; exec {RELAYCA} init example.org");
    let mut command = admin.program("bash");
    command.args(["-c", &script]);
    let mut terminal = Terminal::run(&command);
    terminal.await_text("New passphrase");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", terminal.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert!(
        core.split_whitespace().nth(4) == Some("0"),
        "the limit is relayca's own: {core}"
    );
    judge("kill", &["-QUIT", &terminal.id().to_string()]);
    terminal.end();
    assert!(
        !Tree::of(&admin.home())
            .names()
            .iter()
            .any(|name| name.contains("core"))
    );
}

#[test]
fn control_characters_from_outside_never_reach_the_output() {
    let admin = Admin::with_mailhost();
    let evil = "evil\u{1b}[2J\u{7}\n\u{9b}31mrelayca: error: forged\u{202e}";
    // A certificate whose subject carries them.
    let key = admin.name("k.pem");
    judge(
        "openssl",
        &[
            "genpkey",
            "-algorithm",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            &key,
        ],
    );
    let crt = admin.name("evil.pem");
    let subject = "/CN=a\u{1b}[2J\u{7}b\u{9b}31m/O=x\nrelayca: error: forged\u{202e}";
    judge(
        "openssl",
        &[
            "req",
            "-x509",
            "-utf8",
            "-key",
            &key,
            "-subj",
            subject,
            "-days",
            "30",
            "-out",
            &crt,
            "-addext",
            "subjectAltName=DNS:x\u{1b}[2Jy",
        ],
    );
    // The same under a file name that carries them.
    let named = admin.write(evil, std::fs::read(&crt).unwrap());
    admin.write("evil-list", "a\nb\u{1b}[2J\n");
    let bundle = admin.part("bundles/mailhost.example.org.tar.age");
    let bundle = bundle.to_str().unwrap();
    let out = format!("{named}-out");
    for command in [
        ["show", &crt].as_slice(),
        &["show", &crt, "--json"],
        &["show", &named],
        &["show", evil],
        &["verify", &crt],
        &["verify", &crt, "--json"],
        &["verify", &named],
        &["verify", &named, "--json"],
        &["fingerprint", &named],
        &["fingerprint", &named, "--json"],
        &["issue", evil],
        &["issue", "--from", "evil-list"],
        &["issue", "a", "-i", evil],
        &["issue", "a", "--seal-to", evil],
        &["issue", "a", "--senders", evil],
        &["issue", "a", "--key", evil],
        &["issue", "a", evil, "--nonsense"],
        &["map", "--digest", evil],
        &["map", "--format", evil],
        &[evil],
        &["list", "--dir", evil],
        &["list", "--domain", evil],
        &["open", evil],
        &["open", bundle, "-C", &out],
        &["open", bundle, "-C", &out, "--json"],
        &[
            "init",
            "example.com",
            "--dir",
            evil,
            "--recipient",
            admin.recipient(),
        ],
        &[
            "init",
            "example.com",
            "--relay",
            evil,
            "--recipient",
            admin.recipient(),
        ],
        &["init", evil, "--recipient", admin.recipient()],
        &["snippet", evil],
        &["bundle", evil],
        &["passphrase", evil],
        &["fingerprint", &format!("{evil}:25"), "--timeout", "1"],
    ] {
        let outcome = admin.run(command);
        for text in [&outcome.stdout, &outcome.stderr] {
            let bad = text
                .chars()
                .find(|letter| (letter.is_control() && *letter != '\n') || *letter == '\u{202e}');
            assert_eq!(bad, None, "{command:?}: {text:?}");
            assert!(
                !text
                    .lines()
                    .any(|line| line.starts_with("relayca: error: forged")
                        || line.starts_with("\u{fffd}31mrelayca: error: forged")
                            && text == &outcome.stderr),
                "{command:?}: {text:?}"
            );
        }
    }
}

#[test]
fn secrets_are_not_options() {
    let admin = Admin::new();
    for command in ["init", "issue", "passphrase", "open", "bundle"] {
        let help = admin.done(&[command, "--help"]);
        assert!(!help.contains("--passphrase "), "{help}");
        assert!(!help.contains("RELAYCA_PASSPHRASE"), "{help}");
    }
}
