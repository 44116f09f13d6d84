//! What `deploy` has a host's shell run: in every shell, with every tool killed at every moment, with every wrong archive, on a full
//! disk. On a Postfix that does not run, so that nothing but the files counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod host_kit;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use host_kit::{Host, PATH, Sent, Stand, good, stand};
use relayca_postfix::Sends;

#[test]
fn every_shell_puts_all_in_place_once_and_says_so() {
    let host = Host::new();
    let sent = Sent::of(&good());
    let clean = stand(&host.instance.config());
    let mut alike: Option<Stand> = None;
    // Nothing but busybox and Postfix, as on Alpine.
    let applets = tempfile::tempdir().unwrap();
    let made = Command::new("busybox")
        .args(["--install", "-s"])
        .arg(applets.path())
        .status()
        .unwrap();
    assert!(made.success());
    let alone = applets.path().display().to_string();
    for (shell, path) in [
        (&["dash"][..], PATH),
        (&["bash", "--posix"], PATH),
        (&["busybox", "sh"], PATH),
        (&["/bin/busybox", "sh"], &alone),
    ] {
        let said = host.put(shell, path, &sent);
        assert!(
            said.contains("relayca:t0:end deployed"),
            "{shell:?}: {said}"
        );
        let now = stand(&host.instance.config());
        let again = host.put(shell, path, &sent);
        assert!(
            again.contains("relayca:t0:end unchanged"),
            "{shell:?}: {again}"
        );
        assert_eq!(stand(&host.instance.config()), now);
        // The lmdb or hash bytes apart, every shell leaves the same.
        let texts: Stand = now
            .into_iter()
            .filter(|(path, _)| !path.to_string_lossy().contains("relay_clientcerts."))
            .collect();
        if let Some(alike) = &alike {
            assert_eq!(*alike, texts, "{shell:?}");
        }
        alike = Some(texts);
        let looked = host.look();
        assert!(
            looked.contains("settings same") && looked.contains("end looked"),
            "{looked}"
        );
        // Back to the beginning for the next one.
        for path in stand(&host.instance.config()).keys() {
            if !clean.contains_key(path) {
                fs::remove_file(path).unwrap();
            }
        }
        for (path, (content, mode, _)) in &clean {
            if !content.is_empty() {
                fs::write(path, content).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }
}

#[test]
fn a_list_of_an_earlier_change_is_refused_before_anything_is_unpacked() {
    let host = Host::new();
    let sent = Sent::of(&good());
    let list = host.instance.config().join("relayca/relay_clientcerts");
    // What is sent is of change 4.
    for (change, refused) in [("5", true), ("999999999999999", true), ("4", false)] {
        fs::write(
            &list,
            format!("# As of change {change} of the authority: a list with a lower number is an older one.\n"),
        )
        .unwrap();
        let looked = host.look();
        assert!(
            looked.contains(&format!("relayca:t0:list {change}\n")),
            "{looked}"
        );
        let before = stand(&host.instance.config());
        let said = host.put(&["sh"], PATH, &sent);
        if refused {
            assert!(
                said.contains(&format!("relayca:t0:end failed the list there is of change {change} of the authority, and this one of change 4")),
                "{said}"
            );
            assert_eq!(stand(&host.instance.config()), before);
        } else {
            assert!(said.contains("relayca:t0:end deployed"), "{said}");
        }
    }
    // What cannot be told is no earlier one.
    for text in [
        "# As of change soon of the authority\n",
        "# Who may relay, by sha256 of the public key. Made by relayca.\n",
    ] {
        fs::write(&list, text).unwrap();
        let said = host.put(&["sh"], PATH, &sent);
        assert!(said.contains("does not say plainly"), "{said}");
        assert_eq!(fs::read_to_string(&list).unwrap(), text);
    }
    let tools = host.instance.directory().join("without-sed");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("sed"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(tools.join("sed"), fs::Permissions::from_mode(0o755)).unwrap();
    let said = host.put(&["sh"], &format!("{}:{PATH}", tools.display()), &sent);
    assert!(said.contains("relay_clientcerts cannot be read"), "{said}");
}

/// Tools that count, and at the given count kill the shell that called them: `kill -9` between any two of its steps.
fn killing(directory: &Path) {
    for (tool, real) in [
        ("mv", "/bin/mv"),
        ("ln", "/bin/ln"),
        ("cp", "/bin/cp"),
        ("rm", "/bin/rm"),
        ("mkdir", "/bin/mkdir"),
        ("rmdir", "/bin/rmdir"),
        ("touch", "/usr/bin/touch"),
        // Nobody pulls the plug here: only the order counts.
        ("sync", "/bin/true"),
        // Not what is tried, and slow.
        ("postfix", "/bin/true"),
    ] {
        let here = directory.display();
        let path = directory.join(tool);
        fs::write(
            &path,
            format!(
                "#!/bin/sh\nread count < {here}/count; count=$((count + 1)); echo $count > {here}/count\nread at < {here}/at\n[ $count != $at ] || kill -9 $PPID\nexec {real} \"$@\"\n"
            ),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn killed_between_any_two_steps_the_next_run_finds_all_old_or_all_new() {
    let host = Host::new();
    let tools = tempfile::tempdir().unwrap();
    killing(tools.path());
    let path = format!("{}:{PATH}", tools.path().display());
    let config = host.instance.config();
    // An older state, so that files are replaced and not only made.
    let older: Vec<_> = good()
        .into_iter()
        .map(|(name, _)| (name, "# older\n"))
        .collect();
    assert!(
        host.put(&["sh"], PATH, &Sent::of(&older))
            .contains("end deployed")
    );
    let master = fs::read_to_string(config.join("master.cf")).unwrap();
    fs::write(
        config.join("master.cf"),
        master.replace("smtpd_tls_loglevel=1", "smtpd_tls_loglevel=2"),
    )
    .unwrap();
    let old = stand(&config);
    let sent = Sent::of(&good());
    let kept = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path| {
        let done = Command::new("cp")
            .arg("-a")
            .arg(from)
            .arg(to)
            .status()
            .unwrap();
        assert!(done.success());
    };
    copy(&config, &kept.path().join("config"));
    // Whoever comes next takes back what was left, before it finds that nothing useful was sent.
    let nothing = host.script(Sends::Public {
        size: 1,
        sha256: &"0".repeat(64),
    });
    let without_tables = |stand: Stand| -> Stand {
        let mut stand = stand;
        for (path, (content, ..)) in &mut stand {
            if path
                .extension()
                .is_some_and(|end| end == "lmdb" || end == "db" || end == "cdb")
            {
                content.clear();
            }
        }
        stand
    };
    let (mut backs, mut at) = (0, 0);
    let new = loop {
        at += 1;
        fs::write(tools.path().join("count"), "0\n").unwrap();
        fs::write(tools.path().join("at"), format!("{at}\n")).unwrap();
        let said = host.put(&["sh"], &path, &sent);
        fs::write(tools.path().join("at"), "0\n").unwrap();
        if said.contains("end deployed") {
            break without_tables(stand(&config));
        }
        let said = host.run(&["sh"], &path, &nothing, b"");
        assert!(said.contains("not all of it arrived"), "{at}: {said}");
        let now = stand(&config);
        if now == old {
            backs += 1;
            continue;
        }
        // New, then, and whole.
        assert!(
            host.put(&["sh"], &path, &sent).contains("end unchanged"),
            "{at}"
        );
        fs::remove_dir_all(&config).unwrap();
        copy(&kept.path().join("config"), &config);
    };
    assert!(backs > 20, "{backs} of {at}");
    assert_ne!(without_tables(old), new);
}

#[test]
fn what_is_not_what_was_meant_changes_nothing() {
    let host = Host::new();
    let before = stand(&host.instance.config());
    let mut stranger = good();
    stranger.push(("authorized_keys", "x\n"));
    let mut short = good();
    short.pop();
    let mut lying = good();
    lying.push(("SHA256SUMS", "0000  relay_clientcerts\n"));
    for (files, words) in [
        (stranger, "does not belong there"),
        (short, "lacks relayhost.example.org.crt.pem"),
        (lying, "not those of SHA256SUMS"),
    ] {
        let said = host.put(&["sh"], PATH, &Sent::of(&files));
        assert!(
            said.contains("end failed") && said.contains(words),
            "{said}"
        );
        assert_eq!(stand(&host.instance.config()), before);
    }
    // A link in the place of a file, and names that climb.
    let place = tempfile::tempdir().unwrap();
    for (name, content) in good() {
        fs::write(place.path().join(name), content).unwrap();
    }
    fs::write(place.path().join("SHA256SUMS"), "").unwrap();
    fs::remove_file(place.path().join("relay_clientcerts")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.path().join("relay_clientcerts")).unwrap();
    let sent = Sent::packed(place.path(), &["SHA256SUMS"], &good());
    let said = host.put(&["sh"], PATH, &sent);
    assert!(
        said.contains("the archive lacks relay_clientcerts"),
        "{said}"
    );
    let sent = Sent::packed(
        place.path(),
        &["SHA256SUMS", "../../../etc/hostname"],
        &good(),
    );
    let said = host.put(&["sh"], PATH, &sent);
    assert!(said.contains("odd name"), "{said}");
    // Bytes that are not those announced; a script cut short.
    let sent = Sent::of(&good());
    let script = host.script(Sends::Public {
        size: sent.bytes.len(),
        sha256: &sent.sha256,
    });
    let mut other = sent.bytes.clone();
    other[700] ^= 1;
    for payload in [&other[..], &sent.bytes[..sent.bytes.len() - 1], b""] {
        let said = host.run(&["sh"], PATH, &script, payload);
        assert!(said.contains("not all of it arrived"), "{said}");
    }
    for cut in [1, script.len() / 2, script.len() - 2] {
        let said = host.run(&["sh"], PATH, &script[..cut], &sent.bytes);
        assert!(!said.contains("relayca:t0:"), "{said}");
    }
    // A key that is not the certificate's.
    let key = host
        .instance
        .config()
        .join("relayca/relayhost.example.org.key.pem");
    let good_key = fs::read(&key).unwrap();
    fs::write(&key, "no key\n").unwrap();
    let said = host.run(&["sh"], PATH, &script, &sent.bytes);
    assert!(said.contains("the certificate is not for"), "{said}");
    fs::write(&key, good_key).unwrap();
    // Something of somebody else's in the way.
    let odd = host.instance.config().join("relayca/relay_clientcerts");
    std::os::unix::fs::symlink("/etc/passwd", &odd).unwrap();
    let said = host.run(&["sh"], PATH, &script, &sent.bytes);
    assert!(said.contains("is no plain file"), "{said}");
    fs::remove_file(odd).unwrap();
    // A place that others can write to.
    let relayca = host.instance.config().join("relayca");
    fs::set_permissions(&relayca, fs::Permissions::from_mode(0o770)).unwrap();
    let said = host.run(&["sh"], PATH, &script, &sent.bytes);
    assert!(said.contains("by others than root"), "{said}");
    fs::set_permissions(&relayca, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&relayca, Some(65534), None).unwrap();
    let said = host.run(&["sh"], PATH, &script, &sent.bytes);
    assert!(said.contains("by others than root"), "{said}");
    std::os::unix::fs::chown(&relayca, Some(0), None).unwrap();
    // Somebody else than root.
    let said = host.run(
        &["setpriv", "--reuid=65534", "--clear-groups", "sh"],
        PATH,
        &script,
        &sent.bytes,
    );
    assert!(said.contains("must run as root"), "{said}");
    assert_eq!(stand(&host.instance.config()), before);
}

#[test]
fn the_key_is_compared_by_openssl_or_by_ssh_keygen_whichever_is_there() {
    let host = Host::new();
    let tools = tempfile::tempdir().unwrap();
    let path = tools.path().display().to_string();
    // Nothing but links to what is needed: no openssl.
    for tool in [
        "sh",
        "id",
        "tr",
        "sed",
        "head",
        "cut",
        "awk",
        "sha256sum",
        "ls",
        "ssh-keygen",
        "base64",
        "postconf",
        "postfix",
        "postmap",
        "readlink",
        "tar",
        "mktemp",
        "mkdir",
        "cp",
        "cmp",
        "sort",
        "rm",
        "grep",
        "dd",
        "cat",
        "flock",
        "mv",
    ] {
        let found = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
            .iter()
            .map(|place| Path::new(place).join(tool))
            .find(|path| path.exists())
            .unwrap();
        std::os::unix::fs::symlink(found, tools.path().join(tool)).unwrap();
    }
    let looks = |script: &str| host.run(&["/bin/sh"], &path, script, b"");
    let script = host.script(Sends::Nothing);
    // /usr/sbin comes behind the PATH, and Debian's openssl is in /usr/bin.
    let key = format!("relayca:t0:key {}", host.spki());
    assert!(looks(&script).contains(&key), "{}", looks(&script));
    assert!(host.look().contains(&key));
    fs::remove_file(tools.path().join("ssh-keygen")).unwrap();
    assert!(looks(&script).contains("relayca:t0:key unknown"));
}

/// Lays a small file system over CONFIG/relayca, with the key in it; then says what is there, before and after.
const SMALL: &str = r#"cp "$1"/relayca/*.key.pem "$1/key" && mount -t tmpfs -o size="$2",mode=700 tmpfs "$1/relayca" && mv "$1/key" "$1/relayca/relayhost.example.org.key.pem" || exit
chmod 600 "$1"/relayca/*
all() { ( cd "$1" && find . -type f | sort | xargs sha256sum | sed "s/^/$2 /" ); }
all "$1" before
sh -c "$4"
all "$1" after"#;

#[test]
fn on_a_disk_that_fills_up_all_is_as_it_was() {
    let host = Host::new();
    let config = host.instance.config_inside();
    let sent = Sent::of(&good());
    let (mut failed, mut pages) = (0, 4);
    loop {
        let size = format!("{}k", pages * 4);
        let shell = [
            "unshare", "--mount", "sh", "-c", SMALL, "sh", &config, &size,
        ];
        let said = host.put(&shell, PATH, &sent);
        let of = |word: &str| -> Vec<String> {
            said.lines()
                .filter_map(|line| line.strip_prefix(word))
                .map(str::to_owned)
                .collect()
        };
        assert!(!of("before ").is_empty(), "{said}");
        if said.contains("end deployed") {
            assert_ne!(of("before "), of("after "));
            break;
        }
        assert!(said.contains("relayca:t0:end failed"), "{said}");
        assert_eq!(of("before "), of("after "), "{said}");
        failed += 1;
        pages += 3;
        assert!(pages < 200, "{said}");
    }
    assert!(failed > 5, "{failed}");
}
