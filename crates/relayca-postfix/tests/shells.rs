//! The scripts in the shells and with the awks and seds that people have: every one writes the same bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use pair::{DOMAIN, MAIL_HOST, RELAY, backdate, config_files, write};
use relayca_postfix::{MailHost, NextHop, Style, mail_host_snippet};
use xtask::lab::{Instance, Setup};

fn mail_host(instance: &Instance) -> MailHost {
    MailHost {
        domain: DOMAIN.to_owned(),
        host: MAIL_HOST.to_owned(),
        config_directory: instance.config_inside(),
        relays: vec![NextHop {
            destination: RELAY.to_owned(),
            port: 2500,
            certificate_name: RELAY.to_owned(),
        }],
        wrapper: false,
        style: Style::Transport,
    }
}

fn instance() -> (Instance, String, (String, String)) {
    let instance = Setup::new(MAIL_HOST).knows(RELAY).create().unwrap();
    for file in [
        "mail.example.org.key.pem",
        "mail.example.org.crt.pem",
        "example.org-ca.crt.pem",
    ] {
        write(&instance.config().join("relayca").join(file), "PEM\n");
    }
    let script = mail_host_snippet(&mail_host(&instance)).unwrap().script;
    let before = config_files(&instance);
    // Postfix waits two seconds for each main.cf that was written just now; what it says is for the other tests.
    let bin = instance.directory().join("pretended");
    fs::create_dir(&bin).unwrap();
    // A terminal is not in the room where the name of the relay is known.
    for (program, text) in [("postfix", "[ \"$1\" = check ]"), ("getent", "true")] {
        write(&bin.join(program), &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    (instance, script, before)
}

fn pretended(instance: &Instance) -> String {
    format!(
        "{}:{}:/usr/sbin",
        instance.directory().join("pretended").display(),
        std::env::var("PATH").unwrap()
    )
}

#[test]
fn every_shell_and_awk_writes_the_same() {
    let (instance, script, before) = instance();
    assert!(instance.paste(&script).unwrap().ok());
    let expected = config_files(&instance);
    let bin = instance.directory().join("bin");
    let mut tried = Vec::new();
    for (shell, tools) in [
        ("bash", ""),
        ("dash", ""),
        ("busybox", "busybox"),
        ("sh", "gawk"),
        ("sh", "mawk"),
        ("sh", "original-awk"),
    ] {
        let find = |program: &str| {
            ["/bin", "/usr/bin"]
                .iter()
                .map(|d| Path::new(d).join(program))
                .find(|p| p.exists())
        };
        assert!(
            find(shell).is_some() && (tools.is_empty() || find(tools).is_some()),
            "`cargo xtask test` installs {shell} and {tools}"
        );
        let _ = fs::remove_dir_all(&bin);
        fs::create_dir(&bin).unwrap();
        if tools == "busybox" {
            for applet in [
                "awk", "sed", "cp", "mv", "rm", "cat", "cmp", "mktemp", "readlink", "id",
            ] {
                symlink(find("busybox").unwrap(), bin.join(applet)).unwrap();
            }
        } else if !tools.is_empty() {
            symlink(find(tools).unwrap(), bin.join("awk")).unwrap();
        }
        write(&instance.config().join("main.cf"), &before.0);
        write(&instance.config().join("master.cf"), &before.1);
        backdate(&instance);
        let path = format!("PATH={}:{}", bin.display(), pretended(&instance));
        let mut arguments = vec!["env", &path, shell];
        if shell == "busybox" {
            arguments.push("ash");
        }
        let said = instance.paste_into(&arguments, &script).unwrap();
        assert!(said.ok(), "{shell} {tools}: {said:?}");
        assert_eq!(config_files(&instance), expected, "{shell} {tools}");
        tried.push((shell, tools));
    }
    assert!(tried.len() >= 3, "only {tried:?}");
}

/// Types a script into an interactive shell on a terminal, as a paste without brackets does.
fn type_into(instance: &Instance, shell: &str, script: &str) -> String {
    let mut child = Command::new("script")
        .args(["-qec", shell, "/dev/null"])
        .env("TERM", "xterm")
        .env("PATH", pretended(instance))
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
    let (instance, script, before) = instance();
    assert!(instance.paste(&script).unwrap().ok());
    let expected = config_files(&instance);
    for shell in [
        "bash --norc --noprofile -i",
        "bash --norc --noprofile --noediting -i",
        "dash -i",
    ] {
        write(&instance.config().join("main.cf"), &before.0);
        write(&instance.config().join("master.cf"), &before.1);
        backdate(&instance);
        let said = type_into(&instance, shell, &script);
        assert!(said.contains("still-42"), "{shell} ended: {said}");
        assert_eq!(config_files(&instance), expected, "{shell}: {said}");
    }
    // A failure does not end the login shell either.
    fs::remove_file(instance.config().join("relayca/mail.example.org.key.pem")).unwrap();
    let said = type_into(&instance, "bash --norc --noprofile -i", &script);
    assert!(
        said.contains("is missing") && said.contains("still-42"),
        "{said}"
    );
}

#[test]
fn a_csh_changes_nothing() {
    assert!(
        Path::new("/usr/bin/tcsh").exists(),
        "`cargo xtask test` installs tcsh"
    );
    let (instance, script, before) = instance();
    // It would run on the Postfix of this machine.
    let called = instance.directory().join("called");
    let postconf = instance.directory().join("pretended/postconf");
    write(
        &postconf,
        &format!("#!/bin/sh\necho \"$@\" >> {}\n", called.display()),
    );
    fs::set_permissions(&postconf, fs::Permissions::from_mode(0o755)).unwrap();
    for style in [Style::Transport, Style::Postconf] {
        let script = mail_host_snippet(&MailHost {
            style,
            ..mail_host(&instance)
        })
        .unwrap()
        .script;
        let path = format!("PATH={}", pretended(&instance));
        // Line by line, as at a terminal. (From a pipe it throws the rest away after the first fault.)
        for line in script.lines() {
            instance
                .paste_into(&["env", &path, "tcsh", "-f", "-c", line], "")
                .unwrap();
        }
        assert_eq!(config_files(&instance), before, "{style}");
        let called = fs::read_to_string(&called).unwrap_or_default();
        assert!(
            !called.contains("-e ") && !called.contains("-M ") && !called.contains("-P "),
            "{style}: {called}"
        );
    }
    // `status` is a variable of every csh: `exit $status` would log it out.
    assert!(script.contains("exit \"$result\"") && !script.contains("$status"));
}
