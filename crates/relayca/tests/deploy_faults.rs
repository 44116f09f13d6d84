//! `relayca deploy` when something goes wrong: the host is as it was or all new, what is said is so, and the next run mends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod deploy_kit;
mod install_kit;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use deploy_kit::{Fleet, Host, RELAYCA, ended, state};
use install_kit::{same, same_bytes, stand};
use xtask::lab::{sshd, wait_for};
use xtask::main_job::{MAIL_HOST, RELAY, SOON};

/// Postfix's `check` stops on the host until `go` is there; the script's process is in `reached` by then.
fn stops_at_check(host: &Host) {
    let place = host.instance.directory().display().to_string();
    host.shim(
        "postfix",
        &format!(
            "#!/bin/sh\nif [ \"$1\" = check ]; then\n  echo $PPID > {place}/new; mv {place}/new {place}/reached\n  while [ ! -e {place}/go ]; do sleep 0.05; done\nfi\nexec /usr/sbin/postfix \"$@\"\n"
        ),
    );
}

fn reached(host: &Host) -> u32 {
    let path = host.instance.directory().join("reached");
    wait_for("the host to be in the middle of it", SOON, || path.exists()).unwrap();
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

fn goes_on(host: &Host) {
    let place = host.instance.directory();
    fs::remove_file(place.join("reached")).unwrap();
    fs::write(place.join("go"), "").unwrap();
}

#[test]
fn what_postfix_refuses_goes_back_byte_for_byte_and_the_old_postfix_runs() {
    let fleet = Fleet::new();
    let relay = fleet.host(RELAY);
    let master = relay.instance.master();
    // Somebody else has the port: Postfix ends after the reload, and comes back with what it had.
    let taken = TcpListener::bind(("127.0.0.1", relay.port.as_ref().unwrap().number())).unwrap();
    let before: Vec<_> = fleet
        .hosts
        .iter()
        .map(|host| stand(&host.instance.config()))
        .collect();
    let said = fleet.deploy(&["mailhost"]);
    let all = ended(&said, 4);
    assert_eq!(state(&said, RELAY), "failed");
    assert!(
        all.contains("is a port taken?") && all.contains("it is as it was"),
        "{all}"
    );
    // Without a relay its mail would only wait.
    assert_eq!(state(&said, MAIL_HOST), "skipped");
    for (host, before) in fleet.hosts.iter().zip(&before) {
        same(before, &stand(&host.instance.config()));
    }
    assert!(relay.instance.master().is_some() && relay.instance.master() != master);
    drop(taken);

    // What is broken is somebody else's, and stays theirs.
    for (told, script) in [
        (
            "postfix check: not today",
            "[ \"$1\" != check ] || { echo 'not today' >&2; exit 1; }",
        ),
        (
            "postfix reload: no",
            "[ \"$1$BACK\" != reload ] || { echo no >&2; BACK=1; exit 1; }",
        ),
    ] {
        relay.shim(
            "postfix",
            &format!("#!/bin/sh\n{script}\nexec /usr/sbin/postfix \"$@\"\n"),
        );
        let said = fleet.deploy(&["--relays"]);
        let all = ended(&said, 4);
        assert!(all.contains(told), "{all}");
        same(&before[0], &stand(&relay.instance.config()));
    }
    relay.no_shim("postfix");
    let broken = relay.instance.config().join("master.cf");
    let good = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, format!("{good}nonsense\n")).unwrap();
    let now = stand(&relay.instance.config());
    let said = fleet.deploy(&["--relays"]);
    ended(&said, 4);
    assert_eq!(state(&said, RELAY), "failed", "{}", said.stdout);
    same(&now, &stand(&relay.instance.config()));
    fs::write(&broken, good).unwrap();
    ended(&fleet.deploy(&["--all"]), 0);
    fleet.mail_flows(MAIL_HOST);
}

#[test]
fn a_line_that_breaks_before_all_has_come_changes_nothing_and_after_it_the_host_goes_on() {
    let fleet = Fleet::new();
    let relay = fleet.host(RELAY);
    let before = stand(&relay.instance.config());
    let place = fleet.admin.place().display().to_string();
    // The second connection sends. Of what it sends only a part gets through.
    for part in [
        "head -c 10",
        "head -c 15000",
        "head -c $((size + 5000))",
        "head -c -1",
    ] {
        for name in ["second", "third"] {
            let _ = fs::remove_file(format!("{place}/{name}"));
        }
        let ssh = fleet.instead_of_ssh(&format!(
            "if [ -e {place}/second ] && [ ! -e {place}/third ]; then\n  touch {place}/third; for last; do :; done; size=${{last##*count=}}; size=${{size%% *}}\n  {part} | real \"$@\"\nelse touch {place}/second; real \"$@\"; fi"
        ));
        let said = fleet.deploy_by(&ssh, &["--relays"]);
        ended(&said, 4);
        assert_eq!(state(&said, RELAY), "failed", "{part}: {}", said.stdout);
        same(&before, &stand(&relay.instance.config()));
    }

    // The line is cut while the host is in the middle of it.
    stops_at_check(relay);
    let said = std::thread::scope(|scope| {
        let deploy = scope.spawn(|| fleet.deploy(&["--relays"]));
        reached(relay);
        relay.sshd.break_lines();
        goes_on(relay);
        deploy.join().unwrap()
    });
    let all = ended(&said, 0);
    assert_eq!(state(&said, RELAY), "deployed");
    assert!(
        all.contains("the line broke, and asked again it has all of it"),
        "{all}"
    );
    relay.no_shim("postfix");
    ended(&fleet.deploy(&["--status", "--relays"]), 0);
    ended(&fleet.deploy(&["--all"]), 0);
    fleet.mail_flows(MAIL_HOST);
}

#[test]
fn a_host_that_dies_in_the_middle_is_called_unknown_and_whoever_comes_next_takes_it_back() {
    let fleet = Fleet::new();
    for next in ["deploy", "install"] {
        let name = if next == "deploy" { RELAY } else { MAIL_HOST };
        let host = fleet.host(name);
        let before = stand(&host.instance.config());
        stops_at_check(host);
        let said = std::thread::scope(|scope| {
            let deploy = scope.spawn(|| fleet.deploy(&[name, "--no-relays"]));
            sshd::kill(reached(host));
            goes_on(host);
            deploy.join().unwrap()
        });
        let all = ended(&said, 4);
        assert_eq!(state(&said, name), "unknown");
        assert!(
            all.contains("stopped in the middle, and the next run takes it back"),
            "{all}"
        );
        assert!(
            all.contains(&format!("relayca deploy --status {name}")),
            "{all}"
        );
        host.no_shim("postfix");
        let said = ended(&fleet.deploy(&["--status", name]), 3);
        assert!(
            said.contains("a run was stopped in the middle there"),
            "{said}"
        );
        if next == "deploy" {
            let said = ended(&fleet.deploy(&[name]), 0);
            assert!(said.contains("it was taken back"), "{said}");
        } else {
            // Its journal is the one of `install`.
            let config = host.instance.config_inside();
            let said = host
                .instance
                .paste(&format!(
                    "{RELAYCA} uninstall --apply --config-directory {config}"
                ))
                .unwrap();
            assert!(said.stderr.contains("it was taken back"), "{}", said.stderr);
            same_bytes(&before, &stand(&host.instance.config()));
        }
        assert!(host.instance.master().is_some());
    }

    // And the other way round: what `install` left, `deploy` takes back.
    let host = fleet.host(MAIL_HOST);
    let main = host.instance.config().join("main.cf");
    let old = fs::read(&main).unwrap();
    fs::rename(&main, host.instance.config().join(".main.cf.relayca-old")).unwrap();
    fs::write(&main, "half = done\n").unwrap();
    fs::create_dir(host.file("")).unwrap();
    let digest = |content: &[u8]| sha256(content);
    let journal = format!(
        "{{\"format\":1,\"made_directory\":true,\"removes_directory\":false,\"running\":true,\"lines\":[{{\"path\":\"{}\",\"was\":\"{}\",\"becomes\":\"{}\"}},{{\"path\":\"{}\",\"was\":null,\"becomes\":\"{}\"}}]}}",
        main.display(),
        digest(&old),
        digest(b"half = done\n"),
        host.file("x").display(),
        digest(b"x"),
    );
    fs::write(host.file(".journal"), journal).unwrap();
    install_kit_mode(&host.file(".journal"));
    fs::write(host.file("x"), "x").unwrap();
    let said = ended(&fleet.deploy(&["mailhost"]), 0);
    assert!(said.contains("it was taken back"), "{said}");
    assert!(!host.file("x").exists());
    assert!(!fs::read_to_string(&main).unwrap().contains("half"));
    fleet.mail_flows(MAIL_HOST);
}

fn install_kit_mode(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn sha256(content: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let said = child.wait_with_output().unwrap();
    String::from_utf8(said.stdout).unwrap()[..64].to_owned()
}

#[test]
fn hosts_that_are_down_hang_or_babble_hold_nobody_up() {
    let fleet = Fleet::new();
    let names = ["down", "hangs", "babbles", "strange", "damaged"];
    for name in names {
        fleet.admin.done(&["issue", name]).unwrap();
    }
    let mut bundle = fs::read(fleet.admin.file("bundles/damaged.example.org.tar.age")).unwrap();
    let last = bundle.len() - 1;
    bundle[last] ^= 1;
    fs::write(
        fleet.admin.file("bundles/damaged.example.org.tar.age"),
        bundle,
    )
    .unwrap();
    let relay = fleet.host(RELAY).sshd.port();
    let section = |host: &str, port: u16| {
        format!("Host {host}.example.org\n  HostName 127.0.0.1\n  Port {port}\n")
    };
    // Where nobody listens; and one whose key nobody has compared.
    fleet.write_configuration(&format!(
        "{}{}Host strange.example.org\n  HostName localhost\n  Port {relay}\n",
        section("down", 1),
        section("damaged", fleet.host(MAIL_HOST).sshd.port()),
    ));
    let ssh = fleet.instead_of_ssh(
        "case \" $* \" in\n(*' hangs.'*) exec sleep 600 ;;\n(*' babbles.'*) while :; do printf '\\033[2Jrelayca:x:end deployed\\nrelayca::end looked\\n%01000d\\n' 0; done ;;\nesac\nreal \"$@\"",
    );
    let start = Instant::now();
    let said = fleet.deploy_by(&ssh, &["--all", "--timeout", "30"]);
    let all = ended(&said, 3);
    assert!(start.elapsed().as_secs() < 180, "{:?}", start.elapsed());
    for (host, words) in [
        ("down", "Connection refused"),
        ("hangs", "its time was over"),
        ("babbles", "it said too much"),
        ("strange", "Host key verification failed"),
    ] {
        let host = format!("{host}.example.org");
        assert_eq!(state(&said, &host), "failed");
        let line = all.lines().find(|line| line.starts_with(&host)).unwrap();
        assert!(line.contains(words), "{line}");
    }
    assert!(!all.contains('\u{1b}'), "{all}");
    // A bundle that does not open goes nowhere; the host would be the mail host's own Postfix, where it has no settings of its own.
    assert_eq!(state(&said, "damaged.example.org"), "failed");
    assert!(
        all.contains("log in once by hand and compare its key"),
        "{all}"
    );
    for host in [RELAY, MAIL_HOST] {
        assert_eq!(state(&said, host), "deployed");
    }
    fleet.mail_flows(MAIL_HOST);
    // As programs read it.
    let said = fleet.deploy_by(&ssh, &["--status", "--json", "down", "mailhost"]);
    ended(&said, 4);
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let states: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["unknown", "current"]);
}

#[test]
fn two_at_once_wait_for_each_other_and_an_interrupt_says_where_each_host_stands() {
    let fleet = Fleet::new();
    let relay = fleet.host(RELAY);
    // Somebody is at work there: `install` holds the same lock.
    let lock = fs::File::open(relay.instance.config()).unwrap();
    lock.lock().unwrap();
    let place = relay.instance.directory().display().to_string();
    relay.shim(
        "flock",
        &format!("#!/bin/sh\necho x >> {place}/tried\nexec /usr/bin/flock \"$@\"\n"),
    );
    let said = std::thread::scope(|scope| {
        let deploy = scope.spawn(|| fleet.deploy(&["--relays"]));
        // Once to look, twice in vain.
        let tried = || {
            fs::read_to_string(format!("{place}/tried"))
                .is_ok_and(|tried| tried.lines().count() > 2)
        };
        wait_for("deploy to find the lock taken", SOON, tried).unwrap();
        assert!(!relay.file(".deploy").exists());
        drop(lock);
        deploy.join().unwrap()
    });
    ended(&said, 0);
    relay.no_shim("flock");

    let host = fleet.host(MAIL_HOST);
    stops_at_check(host);
    let ssh = fleet.ssh();
    let child = Command::new(RELAYCA)
        .args(["deploy", "mailhost", "--ssh", &ssh])
        .env("XDG_DATA_HOME", fleet.admin.place())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    reached(host);
    let told = Command::new("kill")
        .arg("-INT")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{out}{err}");
    assert!(
        out.contains("mailhost.example.org   unknown    interrupted while it was at it"),
        "{out}{err}"
    );
    assert!(!err.contains("not up to date"), "{err}");
    // The host goes on by itself.
    goes_on(host);
    wait_for("the host to end it", SOON, || {
        !host.file(".deploy").exists() && host.file("SHA256SUMS").exists()
    })
    .unwrap();
    host.no_shim("postfix");
    ended(&fleet.deploy(&["--status"]), 0);

    // Of a relay that was not asked yet nothing is claimed.
    let asks = fleet.admin.place().join("asks");
    let ssh = fleet.instead_of_ssh(&format!("touch {}\nexec sleep 600", asks.display()));
    let child = Command::new(RELAYCA)
        .args(["deploy", "mailhost", "--ssh", &ssh])
        .env("XDG_DATA_HOME", fleet.admin.place())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("a host to be asked", SOON, || asks.exists()).unwrap();
    let told = Command::new("kill")
        .arg("-INT")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{out}{err}");
    assert!(
        out.contains("relayhost.example.org  skipped    interrupted before it was asked"),
        "{out}{err}"
    );
    assert!(!err.contains("not up to date"), "{err}");
}

#[test]
fn a_host_that_install_set_up_is_left_to_it_and_uninstall_still_leaves_no_trace() {
    let fleet = Fleet::new();
    let host = fleet.host(MAIL_HOST);
    let before = stand(&host.instance.config());
    let bundle = fleet.admin.file(&format!("bundles/{MAIL_HOST}.tar.age"));
    let passphrase = host.instance.directory().join("passphrase");
    fs::write(
        &passphrase,
        fleet.admin.done(&["passphrase", MAIL_HOST]).unwrap(),
    )
    .unwrap();
    let config = host.instance.config_inside();
    let on_host = |line: &str| {
        let said = host.instance.paste(line).unwrap();
        assert!(said.ok(), "{}{}", said.stdout, said.stderr);
        said
    };
    on_host(&format!(
        "{RELAYCA} install {} --passphrase-file {} --config-directory {config} --apply --no-probe",
        bundle.display(),
        passphrase.display()
    ));
    ended(&fleet.deploy(&["--relays"]), 0);
    ended(&fleet.deploy(&["--status", "mailhost"]), 0);
    fleet.admin.done(&["renew", "mailhost"]).unwrap();
    // It is nowhere to be found: a home with nothing in it.
    let home = host.instance.directory().join("home");
    fs::create_dir_all(home.join(".local/bin")).unwrap();
    host.shim(
        "sudo",
        &format!(
            "#!/bin/sh\nshift\nexport HOME={}\nexec \"$@\"\n",
            home.display()
        ),
    );
    let section = format!("\n[host.\"{MAIL_HOST}\"]\n");
    fleet
        .admin
        .edit(&section, &format!("{section}sudo = true\n"))
        .unwrap();
    let now = stand(&host.instance.config());
    let said = fleet.deploy(&["mailhost"]);
    let all = ended(&said, 3);
    assert!(
        all.contains("`relayca install` set this host up")
            && all.contains("on the PATH of this login"),
        "{all}"
    );
    same(&now, &stand(&host.instance.config()));
    // Where others could have written it, it is not run; root's own is, though no PATH names it.
    let own = home.join(".local/bin/relayca");
    deploy_kit::program(&own, &format!("#!/bin/sh\nexec {RELAYCA} \"$@\"\n"));
    for (mode, runs) in [(0o775, false), (0o757, false), (0o755, true)] {
        fs::set_permissions(&own, fs::Permissions::from_mode(mode)).unwrap();
        if !runs {
            ended(&fleet.deploy(&["mailhost"]), 3);
        }
    }
    same(&now, &stand(&host.instance.config()));
    let said = fleet.deploy(&["mailhost"]);
    assert!(ended(&said, 0).contains("by `relayca install`"));
    assert_eq!(state(&said, MAIL_HOST), "deployed");
    assert_eq!(state(&fleet.deploy(&["mailhost"]), MAIL_HOST), "unchanged");
    fleet.mail_flows(MAIL_HOST);
    on_host(&format!(
        "{RELAYCA} uninstall --config-directory {config} --apply"
    ));
    same_bytes(&before, &stand(&host.instance.config()));
}
