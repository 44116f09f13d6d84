//! Bundles of later years over older ones, several relays, keys that never left their host, blocks pasted in between: by `install`
//! on real Postfixes, with mail that flows after each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod install_kit;

use std::fs;

use install_kit::{Hosts, Plan, done, failed, host_key, same, same_bytes, stand};
use xtask::lab::{Port, Setup, wait_for};
use xtask::main_job::{MAIL_HOST, RELAY, SOON};

#[test]
fn a_new_key_and_then_a_new_ca_arrive_by_bundles_while_mail_flows() {
    let hosts = Hosts::new();
    let before = hosts.stands();
    hosts.install_both();
    let key = hosts.key(MAIL_HOST);
    let admin = |words: &[&str]| hosts.admin.done(words).unwrap();
    admin(&["renew", "mailhost", "--rekey", "--seal-to", &key]);
    // The new key is not listed on the relay yet: it is asked first, and nothing is changed.
    let now = stand(&hosts.mail_host.config());
    let said = failed(&hosts.install(MAIL_HOST, "--apply"), 1);
    assert!(said.contains("no relay takes mail of"), "{said}");
    same(&now, &stand(&hosts.mail_host.config()));
    done(&hosts.install_public(RELAY, "--apply"));
    let said = done(&hosts.install(MAIL_HOST, "--apply"));
    assert!(said.contains("mailhost.example.org updated"), "{said}");
    hosts.mail_flows();
    let identity = hosts.admin.identity_inside();
    for step in [
        &["rollover", "prepare", "-i", &identity][..],
        &["rollover", "activate"],
        &["rollover", "retire"],
    ] {
        if step.contains(&"retire") {
            admin(&["retire", MAIL_HOST, RELAY]);
        }
        admin(step);
        if step.contains(&"activate") {
            admin(&["renew", "--due", "-i", &identity]);
        }
        hosts.bring_up_to_date();
        hosts.mail_flows();
    }
    let ca = hosts.text(MAIL_HOST, "relayca/example.org-ca.crt.pem");
    assert_eq!(ca.matches("BEGIN CERTIFICATE").count(), 1, "{ca}");
    for (host, before) in [RELAY, MAIL_HOST].iter().zip(&before) {
        done(&hosts.uninstall(host, "--apply"));
        same_bytes(before, &stand(&hosts.instance(host).config()));
    }
}

#[test]
fn of_two_relays_one_is_down_when_the_mail_host_is_set_up() {
    const SECOND: &str = "relay2.example.org";
    let mut hosts = Hosts::of(Plan {
        mail_host: Setup::new(MAIL_HOST).knows(SECOND),
        ..Plan::default()
    });
    let port = Port::reserve().unwrap();
    let second = Setup::new(SECOND)
        .relays_to(&hosts.internet)
        .start()
        .unwrap();
    fs::remove_dir(second.config().join("relayca")).unwrap();
    let key = host_key(second.directory(), "ed25519");
    hosts
        .admin
        .config_directory(SECOND, &second.config_inside())
        .unwrap();
    let place = format!("relay2:{}", port.number());
    let issued = ["issue", "--relay", &place, "--seal-to", &key];
    hosts.admin.done(&issued).unwrap();
    hosts.others.insert(SECOND.into(), second);
    // The public bundle names both; the key comes with the sealed one.
    hosts.admin.done(&["bundle", "mailhost"]).unwrap();
    let before = hosts.stands();
    done(&hosts.install(SECOND, "--apply"));
    hosts.relay.stop().unwrap();
    done(&hosts.install(MAIL_HOST, ""));
    let said = done(&hosts.install_public(MAIL_HOST, "--apply"));
    assert!(
        said.contains(&format!("fault     {RELAY}:{}", hosts.port.number()))
            && said.contains(&format!("good      {SECOND}:{}", port.number())),
        "{said}"
    );
    let main = hosts.text(MAIL_HOST, "main.cf");
    assert!(
        main.contains(&format!(
            "\ndefault_transport = relayca:[{RELAY}]:{}, [{SECOND}]:{}\n",
            hosts.port.number(),
            port.number()
        )),
        "{main}"
    );
    hosts.mail_flows();
    done(&hosts.uninstall(MAIL_HOST, "--apply"));
    same_bytes(&before[1], &stand(&hosts.mail_host.config()));
}

#[test]
fn a_key_made_on_the_host_beside_other_instances_of_postfix() {
    let hosts = Hosts::new();
    done(&hosts.install(RELAY, "--apply"));
    let instance = &hosts.mail_host;
    // As the first of several instances is, with the relay's as another: what is told to this one is told to it alone.
    let main = instance.config().join("main.cf");
    let text = hosts.text(MAIL_HOST, "main.cf")
        + &format!(
            "multi_instance_wrapper = ${{command_directory}}/postmulti -p --\nmulti_instance_enable = yes\nmulti_instance_directories = {}\n",
            hosts.relay.config_inside()
        );
    fs::write(&main, text).unwrap();
    let files = instance.config().join("relayca");
    let place = files.display().to_string();
    hosts
        .admin
        .done(&["request", "keeps.example.org", "-C", &place])
        .unwrap();
    let before = stand(&instance.config());
    hosts
        .admin
        .config_directory("keeps.example.org", &instance.config_inside())
        .unwrap();
    let request = format!("{place}/keeps.example.org.csr.pem");
    hosts
        .admin
        .done(&["issue", "keeps", "--csr", &request])
        .unwrap();
    done(&hosts.install_public(RELAY, "--apply"));
    let reloads = || {
        let log = hosts.relay.log();
        log.matches("refreshing the Postfix mail").count()
    };
    let told = reloads();
    let bundle = hosts.public("keeps.example.org");
    let line = hosts.install_line(MAIL_HOST, &bundle, "--apply");
    let said = done(&instance.paste(&line).unwrap());
    assert!(said.contains("the probe holds"), "{said}");
    hosts.mail_flows();
    done(&hosts.uninstall(MAIL_HOST, "--apply"));
    // The key stays, with the request: they were there before.
    same_bytes(&before, &stand(&instance.config()));
    assert_eq!(reloads(), told);
}

#[test]
fn blocks_pasted_over_an_installation_and_installed_over_again() {
    let hosts = Hosts::new();
    hosts.install_both();
    let label = format!("{}/inet", hosts.port.number());
    let services = |host: &str| {
        let said = hosts.instance(host).run("postconf", &["-M"]).unwrap();
        said.stdout
            .lines()
            .filter(|line| line.starts_with("relayca ") || line.starts_with(&label[..5]))
            .count()
    };
    for host in [RELAY, MAIL_HOST] {
        let name = if host == RELAY {
            "relayhost"
        } else {
            "mailhost"
        };
        let block = hosts.admin.done(&["snippet", name]).unwrap();
        done(&hosts.instance(host).paste(&block).unwrap());
        assert_eq!(services(host), 1, "{}", hosts.text(host, "master.cf"));
        // Somebody spoils an option; `install` mends it, and moves the comments of the block by that.
        let service = if host == RELAY {
            &label
        } else {
            "relayca/unix"
        };
        let side = if host == RELAY { "smtpd" } else { "smtp" };
        let option = format!("{service}/{side}_tls_loglevel=0");
        hosts
            .instance(host)
            .run("postconf", &["-P", &option])
            .unwrap();
        let said = done(&if host == RELAY {
            hosts.install_public(host, "--apply")
        } else {
            hosts.install(host, "--apply")
        });
        assert!(said.contains(&format!("{service}: 1 option")), "{said}");
        // Pasted once more, it is still there once.
        done(&hosts.instance(host).paste(&block).unwrap());
        assert_eq!(services(host), 1, "{}", hosts.text(host, "master.cf"));
        let now = stand(&hosts.instance(host).config());
        let said = done(&if host == RELAY {
            hosts.install_public(host, "--apply")
        } else {
            hosts.install(host, "--apply")
        });
        assert!(said.contains("nothing to do"), "{said}");
        same(&now, &stand(&hosts.instance(host).config()));
    }
    hosts.mail_flows();
    for host in [MAIL_HOST, RELAY] {
        done(&hosts.uninstall(host, "--apply"));
        assert_eq!(services(host), 0, "{}", hosts.text(host, "master.cf"));
        assert!(!hosts.instance(host).config().join("relayca").exists());
        assert!(
            hosts
                .instance(host)
                .run("postfix", &["check"])
                .unwrap()
                .ok()
        );
    }
    let closed = || std::net::TcpStream::connect(("127.0.0.1", hosts.port.number())).is_err();
    wait_for("the service to go", SOON, closed).unwrap();
}

#[test]
fn a_postfix_without_the_type_of_table_that_it_prefers_is_left_alone() {
    let hosts = Hosts::of(Plan {
        relay: Setup::new(RELAY).set("default_database_type", "sdbm"),
        ..Plan::default()
    });
    let before = hosts.stands();
    let said = failed(&hosts.install(RELAY, "--apply"), 1);
    assert!(said.contains("sdbm"), "{said}");
    same(&before[0], &stand(&hosts.relay.config()));
    // With another type, where somebody unpacked the bundle and went no further: the table is made, and goes again.
    hosts.relay.stop().unwrap();
    let main = hosts.text(RELAY, "main.cf").replace(
        "default_database_type = sdbm",
        "default_database_type = lmdb",
    );
    fs::write(hosts.relay.config().join("main.cf"), main).unwrap();
    let place = hosts.relay.config().join("relayca").display().to_string();
    let key = hosts
        .relay
        .directory()
        .join("host_key")
        .display()
        .to_string();
    let sealed = hosts.sealed(RELAY).display().to_string();
    hosts
        .admin
        .done(&["open", &sealed, "-i", &key, "-C", &place])
        .unwrap();
    let before = stand(&hosts.relay.config());
    let said = done(&hosts.install(RELAY, "--apply"));
    assert!(said.contains("relay_clientcerts.lmdb"), "{said}");
    done(&hosts.uninstall(RELAY, "--apply"));
    same_bytes(&before, &stand(&hosts.relay.config()));
}
