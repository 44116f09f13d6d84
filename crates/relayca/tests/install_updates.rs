//! `install` where something is there already: pasted blocks, an older installation, what people wrote; and where the system is
//! another one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod install_kit;

use std::fs;
use std::path::Path;
use std::process::Command;

use install_kit::{Hosts, Plan, RELAYCA, done, failed, same, same_bytes, stand};
use xtask::lab::{Instance, Setup, paste};
use xtask::main_job::{MAIL_HOST, RELAY};

fn text(instance: &Instance, file: &str) -> String {
    fs::read_to_string(instance.config().join(file)).unwrap()
}

/// Lines that the one has and the other has not, in order.
fn lines_gone(before: &str, after: &str) -> Vec<String> {
    let mut rest = after.lines();
    before
        .lines()
        .filter(|line| {
            let mut ahead = rest.clone();
            match ahead.find(|other| other == line) {
                Some(_) => {
                    rest = ahead;
                    false
                }
                None => true,
            }
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn pasted_blocks_are_recognised_and_nothing_is_doubled() {
    let hosts = Hosts::new();
    hosts.paste_both();
    hosts.mail_flows();
    for host in [RELAY, MAIL_HOST] {
        let instance = hosts.instance(host);
        let before = stand(&instance.config());
        let said = done(&if host == RELAY {
            hosts.install_public(host, "--apply")
        } else {
            hosts.install(host, "--apply")
        });
        assert!(!said.contains("set "), "{said}");
        let mut after = stand(&instance.config());
        assert!(after.remove(Path::new("relayca/installed.json")).is_some());
        if host == RELAY {
            // The sums of the public bundle, which has no key.
            after.remove(Path::new("relayca/SHA256SUMS"));
            let mut before = before.clone();
            before.remove(Path::new("relayca/SHA256SUMS"));
            same_bytes(&before, &after);
        } else {
            same(&before, &after);
        }
        // What was there before `install` is there after `uninstall`.
        done(&hosts.uninstall(host, "--apply"));
        same_bytes(&before, &stand(&instance.config()));
    }
    hosts.mail_flows();
}

#[test]
fn a_block_that_was_pasted_long_ago_is_brought_up_to_date_and_comes_back() {
    let hosts = Hosts::new();
    hosts.install_both();
    done(&hosts.uninstall(MAIL_HOST, "--apply"));
    let mail_host = &hosts.mail_host;
    done(&mail_host.paste(&format!("mkdir -m 700 {0}/relayca; age -d -i {1}/host_key {2} | tar -xf - -C {0}/relayca && sh {0}/relayca/{MAIL_HOST}.snippet.sh",
        mail_host.config_inside(), mail_host.directory().display(), hosts.sealed(MAIL_HOST).display())).unwrap());
    // An older block said something else, and less.
    let path = mail_host.config().join("master.cf");
    let old = text(mail_host, "master.cf")
        .replace("smtp_tls_loglevel=1", "smtp_tls_loglevel=0")
        .replace("  -o smtp_fallback_relay=\n", "");
    fs::write(&path, &old).unwrap();
    let before = stand(&mail_host.config());
    let said = done(&hosts.install(MAIL_HOST, "--apply"));
    assert!(said.contains("relayca/unix: 2 options"), "{said}");
    let new = text(mail_host, "master.cf");
    assert_eq!(new.matches("\nrelayca ").count(), 1, "{new}");
    assert!(new.contains("smtp_tls_loglevel=1") && new.contains("smtp_fallback_relay="));
    hosts.mail_flows();
    done(&hosts.uninstall(MAIL_HOST, "--apply"));
    same_bytes(&before, &stand(&mail_host.config()));
}

#[test]
fn foreign_settings_and_comments_stay_byte_for_byte() {
    let hosts = Hosts::of(Plan {
        mail_host: Setup::new(MAIL_HOST).set("default_transport", "smtp"),
        ..Plan::default()
    });
    let mail_host = &hosts.mail_host;
    // As people write: odd blanks, comments within a value, lines that go on, and no end of the last line.
    let odd = "\n#  default_transport = in a comment\nmydestination =\n    $myhostname,\n# between\n\tlocalhost\n\n  # indented\nrelay_domains=   \nsmtp_helo_name   = a.example.org\nlocal_recipient_maps =";
    let main = mail_host.config().join("main.cf");
    let before_main = text(mail_host, "main.cf")
        .replace("\nmydestination = $myhostname, localhost\n", "\n")
        + odd;
    fs::write(&main, &before_main).unwrap();
    let master = mail_host.config().join("master.cf");
    let before_master = text(mail_host, "master.cf")
        + "# mine\nmine      unix  -       n       n       -       -       pipe\n  flags=R user=nobody argv=/bin/true\n  # why\n  ${recipient}\n# the end, without one";
    fs::write(&master, &before_master).unwrap();
    let before = stand(&mail_host.config());
    done(&hosts.install(RELAY, "--apply"));
    done(&hosts.install_public(RELAY, "--apply"));
    done(&hosts.install(MAIL_HOST, "--apply"));
    assert_eq!(
        lines_gone(&before_main, &text(mail_host, "main.cf")),
        ["default_transport = smtp"]
    );
    assert_eq!(
        lines_gone(&before_master, &text(mail_host, "master.cf")),
        Vec::<String>::new()
    );
    // A newer bundle leads back to the same place.
    hosts.admin.done(&["renew", "mailhost"]).unwrap();
    done(&hosts.install_public(MAIL_HOST, "--apply"));
    hosts.mail_flows();
    done(&hosts.uninstall(MAIL_HOST, "--apply"));
    same_bytes(&before, &stand(&mail_host.config()));
}

#[test]
fn what_somebody_changed_since_is_named_and_stays() {
    let hosts = Hosts::new();
    hosts.install_both();
    let mail_host = &hosts.mail_host;
    let before_main = text(mail_host, "main.cf");
    fs::write(
        mail_host.config().join("main.cf"),
        format!("{before_main}# later\nmessage_size_limit = 1000000\n"),
    )
    .unwrap();
    let said = done(&hosts.uninstall(MAIL_HOST, "--apply"));
    assert!(!said.contains("warning"), "{said}");
    let now = text(mail_host, "main.cf");
    assert!(
        now.contains("# later\nmessage_size_limit = 1000000\n"),
        "{now}"
    );
    assert!(!now.contains("default_transport"), "{now}");
    assert!(!mail_host.config().join("relayca").exists());

    // The relay's service has an option of somebody else's: it stays, and so do the files that it names.
    let relay = &hosts.relay;
    let label = format!("{}/inet", hosts.port.number());
    assert!(
        relay
            .run(
                "postconf",
                &[
                    "-P",
                    &format!("{label}/smtpd_client_connection_count_limit=7")
                ]
            )
            .unwrap()
            .ok()
    );
    let said = done(&hosts.uninstall(RELAY, "--apply"));
    assert!(
        said.contains(&format!(
            "the service {label} of master.cf was changed since and stays"
        )),
        "{said}"
    );
    assert!(said.contains("Postfix still names it"), "{said}");
    for name in [
        "relayhost.example.org.key.pem",
        "relayhost.example.org.crt.pem",
        "example.org-ca.crt.pem",
        "relay_clientcerts",
        "relay_clientcerts.db",
    ] {
        assert!(relay.config().join("relayca").join(name).exists(), "{name}");
    }
    assert!(!relay.config().join("relayca/INSTALL.txt").exists());
}

#[test]
fn a_dry_run_shows_what_then_happens() {
    let hosts = Hosts::new();
    for host in [RELAY, MAIL_HOST] {
        let instance = hosts.instance(host);
        let before = stand(&instance.config());
        let shown = hosts.install(host, "--apply --dry-run");
        done(&shown);
        same(&before, &stand(&instance.config()));
        assert!(!shown.stdout.contains("BEGIN PRIVATE"), "{}", shown.stdout);
        assert!(
            shown.stdout.contains("a private key, not shown: new"),
            "{}",
            shown.stdout
        );
        // The judge: patch makes of copies what install makes of the originals.
        let copy = tempfile::tempdir().unwrap();
        for file in ["main.cf", "master.cf"] {
            fs::copy(instance.config().join(file), copy.path().join(file)).unwrap();
            let name = instance.config().join(file).display().to_string();
            let mut part = String::new();
            let mut inside = false;
            for line in shown.stdout.split_inclusive('\n') {
                if line.starts_with("--- ") || line.starts_with("# ") {
                    inside = line.trim_end() == format!("--- {name}");
                }
                if inside {
                    part.push_str(line);
                }
            }
            if !part.is_empty() {
                let diff = copy.path().join("diff");
                fs::write(&diff, &part).unwrap();
                let said = Command::new("patch")
                    .arg("-s")
                    .arg(copy.path().join(file))
                    .arg(&diff)
                    .output()
                    .unwrap();
                assert!(said.status.success(), "{part}");
            }
        }
        done(&hosts.install(host, "--apply --no-probe"));
        for file in ["main.cf", "master.cf"] {
            assert_eq!(
                fs::read_to_string(copy.path().join(file)).unwrap(),
                text(instance, file)
            );
        }
        let now = stand(&instance.config());
        let shown = hosts.uninstall(host, "--apply --dry-run");
        assert!(done(&shown).contains("nothing was changed"));
        same(&now, &stand(&instance.config()));
        failed(&hosts.uninstall(host, ""), 2);
        let again = hosts.install(host, "--apply --dry-run");
        assert_eq!(again.stdout, "");
    }
}

#[test]
fn files_alone_are_put_in_place_without_apply_and_postfix_is_told_later() {
    let hosts = Hosts::new();
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    let said = done(&hosts.install(RELAY, ""));
    assert!(
        said.contains("Postfix was not told; next: relayca install"),
        "{said}"
    );
    assert_eq!(
        stand(&relay.config()).get(Path::new("master.cf")),
        before.get(Path::new("master.cf"))
    );
    done(&hosts.install(RELAY, "--apply"));
    done(&hosts.uninstall(RELAY, "--apply"));
    same_bytes(&before, &stand(&relay.config()));
    done(&hosts.install(RELAY, ""));
    done(&hosts.uninstall(RELAY, ""));
    same_bytes(&before, &stand(&relay.config()));
}

#[test]
fn a_stale_database_is_noticed_and_a_revoked_host_is_out_at_once() {
    let hosts = Hosts::new();
    hosts.install_both();
    hosts.mail_flows();
    hosts.admin.done(&["revoke", "mailhost"]).unwrap();
    // Without --apply the list is new and the database is not; with it both are.
    done(&hosts.install_public(RELAY, ""));
    let said = done(&hosts.install_public(RELAY, "--apply"));
    assert!(said.contains("relay_clientcerts.db"), "{said}");
    let map = format!(
        "hash:{}/relayca/relay_clientcerts",
        hosts.relay.config_inside()
    );
    let listed = Command::new("postmap").args(["-s", &map]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "");
    hosts
        .mail_host
        .send("info@example.org", "someone@example.net", "x")
        .unwrap();
    hosts
        .mail_host
        .wait_for_log("450 4.3.2", xtask::main_job::SOON)
        .unwrap();
}

#[test]
fn another_systems_tree_is_told_without_reload_and_probe() {
    let hosts = Hosts::new();
    let place = tempfile::tempdir().unwrap();
    let inside = hosts.mail_host.config_inside();
    let config = place.path().join(inside.trim_start_matches('/'));
    fs::create_dir_all(&config).unwrap();
    for file in ["main.cf", "master.cf"] {
        fs::copy(hosts.mail_host.config().join(file), config.join(file)).unwrap();
    }
    // Its own SSH host key opens the bundle.
    let ssh = place.path().join("etc/ssh");
    fs::create_dir_all(&ssh).unwrap();
    fs::copy(
        hosts.mail_host.directory().join("host_key"),
        ssh.join("ssh_host_ed25519_key"),
    )
    .unwrap();
    fs::create_dir_all(place.path().join("var/lib/dpkg")).unwrap();
    let before = stand(place.path());
    for (version, known) in [("3.7.11", false), ("3.10.1", true)] {
        fs::write(
            place.path().join("var/lib/dpkg/status"),
            format!("Package: postfix\nVersion: {version}-1\n"),
        )
        .unwrap();
        let bundle = hosts.sealed(MAIL_HOST);
        let line = |command: &str, more: &str| {
            format!(
                "{RELAYCA} {command} --root {} --config-directory {inside} {more}",
                place.path().display()
            )
        };
        let said =
            done(&paste(&line(&format!("install {}", bundle.display()), "--apply")).unwrap());
        assert!(
            said.contains("nothing was checked, reloaded or probed there"),
            "{said}"
        );
        let main = fs::read_to_string(config.join("main.cf")).unwrap();
        assert_eq!(main.contains("tls_required_enable = no"), known, "{main}");
        let master = fs::read_to_string(config.join("master.cf")).unwrap();
        assert!(master.contains(&format!(
            "smtp_tls_key_file={inside}/relayca/{MAIL_HOST}.key.pem"
        )));
        assert!(!master.contains(place.path().to_str().unwrap()));
        done(&paste(&line("uninstall", "--apply")).unwrap());
        let mut after = stand(place.path());
        let mut before = before.clone();
        before.remove(Path::new("var/lib/dpkg/status"));
        after.remove(Path::new("var/lib/dpkg/status"));
        same_bytes(&before, &after);
    }
}

#[test]
fn a_postfix_can_be_the_relay_of_one_domain_and_a_mail_host_too() {
    let hosts = Hosts::new();
    hosts.install_both();
    // The relay is a mail host of its own domain as well, through another relay.
    let relay = &hosts.relay;
    let before = stand(&relay.config());
    hosts
        .admin
        .config_directory("both.example.org", &relay.config_inside())
        .unwrap();
    let key = fs::read_to_string(relay.directory().join("host_key.pub")).unwrap();
    hosts
        .admin
        .done(&["issue", "both", "--seal-to", key.trim()])
        .unwrap();
    done(&hosts.install_public(RELAY, "--apply"));
    let bundle = hosts.sealed("both.example.org");
    let line = hosts.install_line(RELAY, &bundle, "--apply --no-probe");
    done(&relay.paste(&line).unwrap());
    let said = failed(&hosts.uninstall(RELAY, "--apply"), 2);
    assert!(
        said.contains("both.example.org, relayhost.example.org")
            || said.contains("relayhost.example.org, both.example.org"),
        "{said}"
    );
    done(&hosts.uninstall(RELAY, "both.example.org --apply"));
    for file in ["main.cf", "master.cf"] {
        assert_eq!(
            stand(&relay.config())[Path::new(file)].content,
            before[Path::new(file)].content
        );
    }
    done(&hosts.uninstall(RELAY, "--apply"));
    assert!(!relay.config().join("relayca").exists());
}
