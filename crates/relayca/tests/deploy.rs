//! `relayca deploy` over a real sshd: mail flows by it alone, a second time changes nothing, no secret is seen on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod deploy_kit;
mod install_kit;

use std::fs;
use std::os::unix::fs::MetadataExt;

use deploy_kit::{Fleet, ended, state};
use install_kit::{same, stand};
use xtask::lab::Setup;
use xtask::main_job::{MAIL_HOST, RELAY, SOON};

#[test]
fn a_mail_host_and_its_relay_are_set_up_by_deploy_alone_and_revoked_by_it() {
    let fleet = Fleet::new();
    let said = ended(&fleet.deploy(&["--status"]), 3);
    assert!(said.contains("its certificate is missing"), "{said}");
    // The relay comes first, though nobody named it.
    let said = fleet.deploy(&["mailhost"]);
    ended(&said, 0);
    assert_eq!(state(&said, RELAY), "deployed");
    assert_eq!(state(&said, MAIL_HOST), "deployed");
    let place = |host: &str| said.stdout.find(host).unwrap();
    assert!(place(RELAY) < place(MAIL_HOST), "{}", said.stdout);
    fleet.mail_flows(MAIL_HOST);
    for host in &fleet.hosts {
        let key = fs::metadata(host.file(&format!("{}.key.pem", host.name))).unwrap();
        assert_eq!((key.mode() & 0o7777, key.uid(), key.gid()), (0o600, 0, 0));
        let own = fs::metadata(host.file("")).unwrap();
        assert_eq!(own.mode() & 0o7777, 0o700);
        // As the bundle says, for whoever checks it by hand.
        let sums = host.instance.paste(&format!(
            "cd {} && sha256sum -c SHA256SUMS",
            host.file("").display()
        ));
        assert!(sums.unwrap().ok());
        assert!(!host.file(".deploy").exists() && !host.file(".journal").exists());
    }

    // Twice changes nothing, not even a time.
    let before: Vec<_> = fleet
        .hosts
        .iter()
        .map(|host| stand(&host.instance.config()))
        .collect();
    let said = fleet.deploy(&["--all"]);
    ended(&said, 0);
    assert_eq!(state(&said, RELAY), "unchanged");
    assert_eq!(state(&said, MAIL_HOST), "unchanged");
    for (host, before) in fleet.hosts.iter().zip(&before) {
        same(before, &stand(&host.instance.config()));
    }
    let said = ended(&fleet.deploy(&["--status"]), 0);
    assert!(said.contains("2 of 2 hosts current"), "{said}");
    let history = fleet.admin.done(&["show", "mailhost"]).unwrap();
    assert!(history.contains("deploy"), "{history}");

    // What was edited is told, and mended; what is not ours stays.
    let main = fleet.host(MAIL_HOST).instance.config().join("main.cf");
    let edited = fs::read_to_string(&main)
        .unwrap()
        .replace("relayca:[", "relayca:[old.")
        + "# mine\nbiff_mine = no\n";
    fs::write(&main, edited).unwrap();
    let said = ended(&fleet.deploy(&["--status", "mailhost"]), 3);
    assert!(said.contains("missing or edited"), "{said}");
    ended(&fleet.deploy(&["mailhost"]), 0);
    let mended = fs::read_to_string(&main).unwrap();
    assert!(
        mended.contains("# mine\nbiff_mine = no\n") && !mended.contains("old."),
        "{mended}"
    );

    // A renewed certificate needs no identity to be sent: the key lies there.
    fleet.admin.done(&["renew", "mailhost"]).unwrap();
    fleet.forgets_identity();
    let said = fleet.deploy(&["mailhost"]);
    assert!(ended(&said, 0).contains("certificate"), "{}", said.stdout);
    assert_eq!(state(&said, RELAY), "deployed");

    // Out of the list, and out of the relay.
    let identity = fleet.admin.identity_inside();
    let (authority, copy) = (fleet.admin.file(""), fleet.admin.place().join("copy"));
    copied(&authority, &copy);
    fleet
        .admin
        .done(&["revoke", "mailhost", "--all", "-i", &identity])
        .unwrap();
    let said = ended(&fleet.deploy(&["--status", "--relays"]), 3);
    assert!(said.contains("the map relay_clientcerts is old"), "{said}");
    ended(&fleet.deploy(&["--relays"]), 0);
    fleet.send(MAIL_HOST);
    fleet
        .host(MAIL_HOST)
        .instance
        .wait_for_log("status=deferred", SOON)
        .unwrap();

    // A copy of the authority from before, restored: it knows nothing of the revocation, and would let the host in again.
    fs::rename(&authority, fleet.admin.place().join("today")).unwrap();
    fs::rename(&copy, &authority).unwrap();
    let said = fleet.deploy(&["--status", "--relays"]);
    assert!(
        ended(&said, 3).contains("its list is of change"),
        "{}",
        said.stdout
    );
    let ssh = fleet.ssh();
    let checked = fleet.admin.run(&["check", "--ask", "--ssh", &ssh]).unwrap();
    assert_eq!(checked.code, 4, "{checked:?}");
    assert!(
        checked.stdout.contains("its list is of change"),
        "{checked:?}"
    );
    let list = fleet.host(RELAY).file("relay_clientcerts");
    let before = fs::read_to_string(&list).unwrap();
    let said = fleet.deploy(&["mailhost"]);
    let all = ended(&said, 4);
    assert_eq!(state(&said, RELAY), "failed");
    assert_eq!(state(&said, MAIL_HOST), "unchanged");
    assert!(all.contains("--older brings it"), "{all}");
    assert_eq!(fs::read_to_string(&list).unwrap(), before);
    let said = ended(&fleet.deploy(&["--relays", "--older"]), 0);
    assert!(said.contains("an older list"), "{said}");
    assert_ne!(fs::read_to_string(&list).unwrap(), before);
}

#[test]
fn who_knows_nothing_of_a_newer_key_does_not_put_an_old_one_in_its_place() {
    let fleet = Fleet::new();
    ended(&fleet.deploy(&["--all"]), 0);
    let (authority, copy) = (fleet.admin.file(""), fleet.admin.place().join("copy"));
    copied(&authority, &copy);
    let identity = fleet.admin.identity_inside();
    let rekey = ["renew", "--rekey", "mailhost", "-i", &identity];
    fleet.admin.done(&rekey).unwrap();
    ended(&fleet.deploy(&["mailhost", "-i", &identity]), 0);
    // Another admin's view from before, or an older copy.
    fs::rename(&authority, fleet.admin.place().join("today")).unwrap();
    fs::rename(&copy, &authority).unwrap();
    let before = stand(&fleet.host(MAIL_HOST).instance.config());
    let deploy = ["mailhost", "--no-relays", "-i", &identity];
    let said = fleet.deploy(&deploy);
    let all = ended(&said, 3);
    assert!(
        all.contains("is of no certificate that this authority knows"),
        "{all}"
    );
    assert_eq!(stand(&fleet.host(MAIL_HOST).instance.config()), before);
    ended(&fleet.deploy(&[&deploy[..], &["--older"]].concat()), 0);
    assert_ne!(stand(&fleet.host(MAIL_HOST).instance.config()), before);
}

#[test]
fn a_certificate_that_does_not_hold_today_is_put_nowhere_and_keeps_no_list_from_its_relay() {
    let mut fleet = Fleet::new();
    ended(&fleet.deploy(&["--all"]), 0);
    let before = stand(&fleet.host(MAIL_HOST).instance.config());
    fleet.admin.lives(Some("+3 years"));
    fleet.admin.done(&["renew", "--due", "-q"]).unwrap();
    fleet.admin.lives(None);
    let said = fleet.deploy(&["mailhost"]);
    let all = ended(&said, 4);
    for host in [RELAY, MAIL_HOST] {
        assert_eq!(state(&said, host), "failed", "{all}");
    }
    assert!(
        all.contains("its certificate does not hold today: it is not valid before 2")
            && all.contains("`date -u`; if it is right, `relayca renew mailhost.example.org`"),
        "{all}"
    );
    same(&before, &stand(&fleet.host(MAIL_HOST).instance.config()));
    let said = ended(&fleet.deploy(&["--status", "mailhost"]), 3);
    assert!(said.contains("does not hold today"), "{said}");
    fleet.mail_flows(MAIL_HOST);

    // Renewed by the right clock, all is well.
    fleet.admin.done(&["renew", "mailhost", RELAY]).unwrap();
    ended(&fleet.deploy(&["--all"]), 0);
    ended(&fleet.deploy(&["--status"]), 0);
    fleet.mail_flows(MAIL_HOST);

    // A host whose own clock is wrong gets nothing either.
    let host = fleet.host(MAIL_HOST);
    host.shim(
        "date",
        "#!/bin/sh\n[ \"$*\" != '-u +%s' ] || { echo 86400; exit; }\nexec /usr/bin/date \"$@\"\n",
    );
    fleet.admin.done(&["renew", "mailhost"]).unwrap();
    let all = ended(&fleet.deploy(&["mailhost", "--no-relays"]), 3);
    assert!(
        all.contains("by its own clock (1970-01-02T00:00:00Z) its certificate does not hold")
            && all.contains("set the clock there"),
        "{all}"
    );
    host.no_shim("date");
    ended(&fleet.deploy(&["mailhost"]), 0);

    // Where it lies already, the list comes all the same.
    let relay = fleet.host(RELAY);
    relay.shim(
        "date",
        "#!/bin/sh\n[ \"$*\" != '-u +%s' ] || { echo 86400; exit; }\nexec /usr/bin/date \"$@\"\n",
    );
    fleet
        .admin
        .done(&["revoke", "mailhost", "--all", "--reason", "keyCompromise"])
        .unwrap();
    let said = fleet.deploy(&["--relays"]);
    let all = ended(&said, 0);
    assert_eq!(state(&said, RELAY), "deployed");
    assert!(all.contains("by its own clock"), "{all}");
    let list = fs::read_to_string(relay.file("relay_clientcerts")).unwrap();
    assert!(!list.contains(MAIL_HOST), "{list}");
    assert_eq!(state(&fleet.deploy(&["--relays"]), RELAY), "failed");
}

fn copied(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_bundle_sealed_to_the_hosts_ssh_key_is_opened_there_by_age() {
    let fleet = Fleet::new();
    let mail_host = fleet.host(MAIL_HOST);
    let section = format!("\n[host.\"{MAIL_HOST}\"]\n");
    let key = mail_host.sshd.host_key();
    fleet
        .admin
        .edit(
            &section,
            &format!("{section}host-key = \"{}\"\n", key.display()),
        )
        .unwrap();
    // The key is looked up as ssh would.
    let said = fleet.deploy(&["mailhost", "--host-key", "known_hosts"]);
    let all = ended(&said, 0);
    assert!(
        all.contains("sealed to the SSH key of mailhost.example.org"),
        "{all}"
    );
    fleet.mail_flows(MAIL_HOST);
    assert!(!mail_host.file("sealed.tar.age").exists());
    let sealed = fleet
        .admin
        .file(&format!("bundles/{MAIL_HOST}.sealed.tar.age"));
    assert!(
        fs::read(&sealed)
            .unwrap()
            .starts_with(b"age-encryption.org/")
    );

    // From then on nobody here need open it.
    fleet.forgets_identity();
    fs::remove_file(mail_host.file(&format!("{MAIL_HOST}.key.pem"))).unwrap();
    let said = fleet.deploy(&["mailhost", "--no-relays"]);
    ended(&said, 0);
    assert_eq!(state(&said, MAIL_HOST), "deployed");

    // Without age the host says so, and is as it was.
    fs::remove_file(mail_host.file(&format!("{MAIL_HOST}.key.pem"))).unwrap();
    mail_host.shim("age", "#!/bin/sh\nexit 1\n");
    let before = stand(&mail_host.instance.config());
    let said = fleet.deploy(&["mailhost", "--no-relays"]);
    let all = ended(&said, 3);
    assert!(all.contains("does not open with"), "{all}");
    same(&before, &stand(&mail_host.instance.config()));

    for (given, words) in [
        (key.display().to_string(), "is a private key"),
        ("/dev/null".to_owned(), "does not hold one SSH public key"),
    ] {
        let said = fleet.deploy(&[
            "mailhost",
            "--host-key",
            &given,
            "-i",
            &fleet.admin.identity_inside(),
        ]);
        assert!(ended(&said, 2).contains(words), "{}", said.stderr);
    }
}

#[test]
fn no_secret_is_in_an_argument_the_environment_or_what_is_printed() {
    let fleet = Fleet::new();
    let place = fleet.admin.place().display().to_string();
    // One of them is reached by another name, as somebody who becomes root there.
    let mail_host = fleet.host(MAIL_HOST);
    let section = format!("\n[host.\"{MAIL_HOST}\"]\n");
    let login = format!(
        "{section}ssh = \"root@127.0.0.1:{}\"\nsudo = true\n",
        mail_host.sshd.port()
    );
    fleet.admin.edit(&section, &login).unwrap();
    mail_host.shim(
        "sudo",
        &format!("#!/bin/sh\n[ \"$1\" = -n ] || exit 9\nshift\ntouch {place}/sudo\nexec \"$@\"\n"),
    );
    // Every argument and variable of every ssh, and of what runs on the host.
    let ssh = fleet.instead_of_ssh(&format!(
        "{{ printf '%s\\n' \"$@\"; env; }} >> {place}/seen\nreal \"$@\""
    ));
    let spy = format!(
        "#!/bin/sh\n{{ tr '\\0' '\\n' < /proc/$PPID/cmdline; tr '\\0' '\\n' < /proc/$PPID/environ; }} >> {place}/seen-there\nexec /usr/sbin/postfix \"$@\"\n"
    );
    for host in &fleet.hosts {
        host.shim("postfix", &spy);
    }
    let said = fleet.deploy_by(&ssh, &["--all"]);
    let all = ended(&said, 0);
    let dry = ended(&fleet.deploy(&["--all", "--dry-run"]), 0);
    let seen = fs::read_to_string(fleet.admin.place().join("seen")).unwrap();
    let there = fs::read_to_string(fleet.admin.place().join("seen-there")).unwrap();
    assert!(fleet.admin.place().join("sudo").exists());
    assert!(
        seen.contains("BatchMode=yes") && there.contains("dd bs=1"),
        "{seen}{there}"
    );
    for host in &fleet.hosts {
        let key = fs::read_to_string(host.file(&format!("{}.key.pem", host.name))).unwrap();
        let passphrase = fleet.admin.done(&["passphrase", &host.name]).unwrap();
        for text in [
            &seen,
            &there,
            &all,
            &dry,
            &host.sshd.log(),
            &host.instance.log(),
        ] {
            for line in key.lines().filter(|line| line.len() > 20) {
                assert!(!text.contains(line) || line.starts_with("-----"), "{text}");
            }
            assert!(!text.contains("PRIVATE KEY") && !text.contains(passphrase.trim()));
        }
    }
    assert!(
        dry.contains("postfix reload") && dry.contains("relay_clientcerts"),
        "{dry}"
    );
}

#[test]
fn the_styles_of_a_mail_host_are_settled_too_and_only_once() {
    for style in ["main", "postconf"] {
        let fleet = Fleet::made_of(
            &[RELAY],
            &[(MAIL_HOST, Setup::new(MAIL_HOST).knows(RELAY).hostile())],
        );
        fleet
            .admin
            .edit("style = \"transport\"", &format!("style = \"{style}\""))
            .unwrap();
        ended(&fleet.deploy(&["--all"]), 0);
        fleet.mail_flows(MAIL_HOST);
        let before = stand(&fleet.host(MAIL_HOST).instance.config());
        let said = fleet.deploy(&["--all"]);
        assert_eq!(
            state(&said, MAIL_HOST),
            "unchanged",
            "{style}: {}",
            said.stdout
        );
        same(&before, &stand(&fleet.host(MAIL_HOST).instance.config()));
    }
}

#[test]
fn a_new_key_and_a_new_ca_travel_by_deploy_alone_while_mail_flows() {
    let fleet = Fleet::new();
    let deployed = |arguments: &[&str]| ended(&fleet.deploy(arguments), 0);
    deployed(&["--all"]);
    fleet.mail_flows(MAIL_HOST);
    fleet.admin.done(&["renew", "--rekey", "mailhost"]).unwrap();
    let said = deployed(&["mailhost"]);
    assert!(said.contains("certificate, key"), "{said}");
    fleet.admin.done(&["retire", "mailhost"]).unwrap();
    deployed(&["--relays"]);
    fleet.mail_flows(MAIL_HOST);

    fleet.admin.done(&["rollover", "prepare"]).unwrap();
    let said = deployed(&["--all"]);
    assert_eq!(said.matches("trust").count(), 2, "{said}");
    fleet.admin.done(&["rollover", "activate"]).unwrap();
    fleet.admin.done(&["renew", "--due"]).unwrap();
    // One after the other: what was given out before holds in between.
    deployed(&["--relays"]);
    fleet.mail_flows(MAIL_HOST);
    deployed(&["--all"]);
    fleet.admin.done(&["retire", MAIL_HOST, RELAY]).unwrap();
    fleet.admin.done(&["rollover", "retire"]).unwrap();
    deployed(&["--all"]);
    fleet.mail_flows(MAIL_HOST);
    deployed(&["--status"]);
}
