//! The scripts of roles in the shells and with the tools that people have; and pastes that go wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod roles_kit;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::Role;
use roles_kit::still::{as_it_is, still, warns};

#[test]
fn a_paste_cut_short_or_with_carriage_returns_does_nothing() {
    let server = still(RelayStyle::Block, as_it_is);
    let before = server.files();
    for role in [Role::Mx, Role::Submission, Role::Dovecot] {
        let script = server.snippet(role).script;
        let lines: Vec<&str> = script.split_inclusive('\n').collect();
        for count in 3..lines.len() {
            // Every line in turn is the last; every third is torn in its middle.
            let mut cut = lines[..count].concat();
            if count % 3 == 0 {
                cut.truncate(cut.len() - lines[count - 1].len() / 2 - 1);
            }
            let said = server.paste_text(&cut);
            assert!(
                count == 3 || !said.ok(),
                "{role}: cut after {}",
                lines[count - 1]
            );
        }
        for shell in [&["sh"][..], &["bash"], &["busybox", "ash"]] {
            let said = server.paste_into(shell, &script.replace('\n', "\r\n"));
            assert!(!said.ok(), "{role}: {said:?}");
        }
    }
    assert_eq!(before, server.files());
}

#[test]
fn every_shell_and_awk_writes_the_same() {
    let all = [
        (&["bash"][..], ""),
        (&["dash"], ""),
        (&["busybox", "ash"], "busybox"),
        (&["sh"], "gawk"),
        (&["sh"], "mawk"),
        (&["sh"], "original-awk"),
    ];
    for (style, roles, shells) in [
        (
            RelayStyle::Block,
            &[Role::Mx, Role::Submission, Role::Dovecot][..],
            &all[..],
        ),
        (
            RelayStyle::Postconf,
            &[Role::Mx, Role::Submission],
            &all[2..3],
        ),
    ] {
        let server = still(style, as_it_is);
        let untouched = server.files();
        for role in roles {
            warns(&server, *role, "done");
        }
        let expected = server.files();
        let hooks = server.letsencrypt().join("renewal-hooks");
        for (shell, tools) in shells {
            for (path, _) in server.files() {
                fs::remove_file(path).unwrap();
            }
            fs::remove_dir_all(&hooks).unwrap();
            for (path, text) in &untouched {
                fs::write(path, text).unwrap();
            }
            let find = |program: &str| {
                ["/bin", "/usr/bin"]
                    .iter()
                    .map(|d| Path::new(d).join(program))
                    .find(|p| p.exists())
                    .unwrap()
            };
            let bin = server.postfix.directory().join("bin");
            let mut linked = Vec::new();
            if *tools == "busybox" {
                for applet in [
                    "awk", "sed", "cp", "mv", "rm", "cat", "cmp", "mktemp", "readlink", "id",
                    "grep", "chmod", "mkdir",
                ] {
                    linked.push((applet, "busybox"));
                }
            } else if !tools.is_empty() {
                linked.push(("awk", *tools));
            }
            for (name, program) in &linked {
                symlink(find(program), bin.join(name)).unwrap();
            }
            for role in roles {
                let said = server.paste_into(shell, &server.snippet(*role).script);
                assert!(said.ok(), "{shell:?} {tools} {role}: {said:?}");
            }
            assert_eq!(expected, server.files(), "{shell:?} {tools}");
            for (name, _) in linked {
                fs::remove_file(bin.join(name)).unwrap();
            }
        }
    }
}

#[test]
fn a_csh_changes_nothing() {
    for (style, role) in [
        (RelayStyle::Block, Role::Mx),
        (RelayStyle::Postconf, Role::Submission),
        (RelayStyle::Block, Role::Dovecot),
    ] {
        let server = still(style, as_it_is);
        // It would run on the Postfix and the Dovecot of this machine.
        let called = server.postfix.directory().join("called");
        for program in ["postconf", "postfix", "doveadm", "dovecot", "systemctl"] {
            server.pretend(
                program,
                &format!("echo {program} \"$@\" >> {}", called.display()),
            );
        }
        let before = server.files();
        // Line by line, as at a terminal.
        for line in server.snippet(role).script.lines() {
            server.paste_into(&["tcsh", "-f", "-c", line], "");
        }
        assert_eq!(before, server.files(), "{style} {role}");
        let called = fs::read_to_string(&called).unwrap_or_default();
        for words in ["=", "-M#", "dovecot -c"] {
            assert!(!called.contains(words), "{style} {role}: {called}");
        }
    }
}

/// Types a script into an interactive shell on a terminal, as a paste without brackets does.
fn type_into(bin: &Path, shell: &str, script: &str) -> String {
    let mut child = Command::new("script")
        .args(["-qec", shell, "/dev/null"])
        .env("TERM", "xterm")
        .env(
            "PATH",
            format!(
                "{}:{}:/usr/sbin",
                bin.display(),
                std::env::var("PATH").unwrap()
            ),
        )
        .env("HISTFILE", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = format!("echo earlier SSLv2 command\n{script}echo still-$((40 + 2))\nexit\n");
    let writer = std::thread::spawn(move || {
        // A terminal holds 4096 bytes in line mode; pieces, as they come through a real one.
        for piece in text.as_bytes().chunks(256) {
            if stdin.write_all(piece).and_then(|()| stdin.flush()).is_err() {
                break;
            }
        }
        stdin
    });
    let output = child.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_terminal_with_history_expansion_takes_it() {
    for (style, role) in [
        (RelayStyle::Block, Role::Mx),
        (RelayStyle::Postconf, Role::Submissions),
        (RelayStyle::Block, Role::Dovecot),
    ] {
        let pasted = still(style, as_it_is);
        warns(&pasted, role, "done");
        let typed = still(style, as_it_is);
        typed.backdate();
        let bin = typed.postfix.directory().join("bin");
        let script = typed.snippet(role).script;
        let said = type_into(&bin, "bash --norc --noprofile -i", &script);
        assert!(
            said.contains("still-42") && said.contains("relayca: done"),
            "{said}"
        );
        // The same but for names that are drawn anew.
        let count = |server: &roles_kit::server::Server| {
            let mut counts: Vec<_> = server
                .files()
                .iter()
                .map(|(path, text)| (path.file_name().unwrap().to_owned(), text.lines().count()))
                .collect();
            counts.sort();
            counts
        };
        assert_eq!(count(&pasted), count(&typed), "{said}");
        let text = fs::read_to_string(typed.postfix.config().join("main.cf")).unwrap();
        assert!(
            role != Role::Mx || text.contains("smtpd_tls_protocols = !SSLv2,!SSLv3"),
            "{text}"
        );
        let text = fs::read_to_string(typed.postfix.config().join("master.cf")).unwrap();
        assert!(
            role != Role::Submissions || text.contains("=!SSLv2,!SSLv3,!TLSv1,!TLSv1.1"),
            "{text}"
        );
    }
}
