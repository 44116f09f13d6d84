//! Exim as the relay: who is listed and has a good certificate gets through, nobody else does.

use std::fs;
use std::path::Path;

use serde_json::Value;
use xtask::lab::wait_for;
use xtask::main_job::{MAIL_HOST, RELAY};

use crate::scenario::{
    LONG, Scenario, empty_exim, machine, plain_exim, send_by_exim, waiting_in_exim,
};

fn exim_list(scenario: &Scenario) -> String {
    fs::read_to_string(
        scenario
            .machine(RELAY)
            .file("/etc/exim4/relayca/relay_clientcerts.exim"),
    )
    .unwrap()
}

/// The matrix of `relayca probe`: its rows with their verdicts.
fn matrix(scenario: &Scenario) -> (i32, Value) {
    let place = format!("127.0.0.1:{}", scenario.port.number());
    let said = scenario
        .admin
        .run(&["probe", &place, "--matrix", "--json"])
        .unwrap();
    let whole = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("{}\n{}", said.stdout, said.stderr));
    (said.code, whole)
}

#[test]
fn an_exim_relay_takes_mail_from_postfix_and_exim_and_from_nobody_else() {
    let mut scenario = Scenario::with_exim("exim", &[]);
    let before = fs::read_to_string(scenario.machine(RELAY).file("/etc/exim4/exim4.conf")).unwrap();
    assert!(
        !exim_list(&scenario).contains("host="),
        "nobody is listed yet"
    );
    scenario.add_postfix(MAIL_HOST);
    let printed = scenario.admin.done(&["issue", "mailhost"]).unwrap();
    scenario.paste(&printed);
    scenario
        .postfix(MAIL_HOST)
        .send("info@example.org", "someone@example.net", "from Postfix")
        .unwrap();
    let text = scenario.arrives(1);
    // Taken from a client that was verified, and handed over to the other Exim.
    assert!(text.contains("with relayca (Exim"), "{text}");
    let log = scenario.relay_log();
    assert!(log.contains("mailhost.example.org may relay"), "{log}");
    assert!(log.contains("CV=yes"), "{log}");

    let exim = machine("second.example.org", "exim");
    exim.write("/etc/exim4/exim4.conf", &plain_exim(&scenario.internet, 2))
        .unwrap();
    scenario.add("second.example.org", exim);
    let printed = scenario
        .admin
        .done(&["issue", "second", "--mta", "exim"])
        .unwrap();
    scenario.paste(&printed);
    send_by_exim(scenario.machine("second.example.org"), "from Exim");
    scenario.arrives(2);

    // Everybody else is put off, by every certificate and protocol that there is.
    let (code, whole) = matrix(&scenario);
    assert_eq!(code, 0, "{whole:#}");
    for row in whole["rows"].as_array().unwrap() {
        let accepted = row["id"] == "good";
        assert_eq!(row["was"] == "accepted", accepted, "{row:#}");
        if row["stage"] == "RCPT" && !accepted {
            assert_eq!(row["code"], 450, "{row:#}");
        }
    }
    assert_eq!(scenario.internet.count(), 2, "nothing was relayed");
    let relay = scenario.machine(RELAY);
    assert_eq!(
        fs::read_to_string(relay.file("/etc/exim4/exim4.conf")).unwrap(),
        before,
        "the other Exim is as it was"
    );
    scenario.paste_snippet(RELAY);
    scenario
        .postfix(MAIL_HOST)
        .send("info@example.org", "someone@example.net", "pasted twice")
        .unwrap();
    scenario.arrives(3);
}

#[test]
fn a_renewed_certificate_is_in_exims_list_before_its_host_uses_it_and_the_old_one_leaves_it() {
    let mut scenario = Scenario::with_exim("exim-trixie", &[]);
    scenario.add_postfix(MAIL_HOST);
    let printed = scenario.admin.done(&["issue", "mailhost"]).unwrap();
    scenario.paste(&printed);
    let one = exim_list(&scenario);
    assert_eq!(one.matches("host=").count(), 1);
    let printed = scenario.admin.done(&["renew", "mailhost"]).unwrap();
    let list = printed.find("relay_clientcerts.exim").expect("the list");
    let certificate = printed.find("BEGIN CERTIFICATE").expect("the certificate");
    assert!(list < certificate, "the list comes first:\n{printed}");
    scenario.paste(&printed);
    assert_eq!(exim_list(&scenario).matches("host=").count(), 2);
    scenario
        .postfix(MAIL_HOST)
        .send("info@example.org", "someone@example.net", "renewed")
        .unwrap();
    scenario.arrives(1);
    let printed = scenario.admin.done(&["retire", "mailhost"]).unwrap();
    scenario.paste(&printed);
    let last = exim_list(&scenario);
    assert_eq!(last.matches("host=").count(), 1, "{printed}");
    assert_ne!(last, one);
    // `check` reads what was written for Exim, too.
    let said = scenario.admin.run(&["check", "--json"]).unwrap();
    assert!(!said.stdout.contains("map-"), "{}", said.stdout);
}

#[test]
fn exim_binds_hosts_to_their_senders() {
    let mut scenario = Scenario::with_exim("exim", &[]);
    let exim = machine("second.example.org", "exim");
    exim.write("/etc/exim4/exim4.conf", &plain_exim(&scenario.internet, 2))
        .unwrap();
    scenario.add("second.example.org", exim);
    let printed = scenario
        .admin
        .done(&[
            "issue",
            "second",
            "--mta",
            "exim",
            "--senders",
            "example.com,info@example.org",
        ])
        .unwrap();
    scenario.paste(&printed);
    let exim = scenario.machine("second.example.org");
    let from = |sender: &str| {
        let said = exim
            .run(
                "exim4",
                &["-odf", "-f", sender, "someone@example.net"],
                "Subject: bound\n\nbody\n",
            )
            .unwrap();
        assert!(said.ok(), "{said:?}");
    };
    from("info@example.org");
    scenario.arrives(1);
    from("anybody@example.com");
    scenario.arrives(2);
    from("<>");
    scenario.arrives(3);
    for other in ["other@example.org", "info@sub.example.com"] {
        empty_exim(exim);
        from(other);
        assert_eq!(waiting_in_exim(exim), 1, "{other}: {}", exim.log());
    }
    assert_eq!(scenario.internet.count(), 3);

    // Who would rather have it back hears it at once.
    scenario
        .admin
        .edit("refusal = \"defer\"", "refusal = \"reject\"")
        .unwrap();
    scenario.paste_snippet(RELAY);
    empty_exim(exim);
    from("other@example.org");
    let bounce = scenario.arrives(4);
    assert!(bounce.contains("554 5.7.1"), "{bounce}");
    assert_eq!(scenario.internet.messages()[3].from, "");
}

#[test]
fn a_certificate_that_has_expired_is_refused_by_exim_though_it_is_in_the_list() {
    let mut scenario = Scenario::with_exim_since("exim", &[], Some("-30 days"));
    scenario.add_postfix(MAIL_HOST);
    let printed = scenario
        .admin
        .done(&["issue", "mailhost", "--days", "2"])
        .unwrap();
    // The list of that day, and nobody has pasted another since.
    scenario.paste(&printed);
    scenario.admin.lives(None);
    assert!(exim_list(&scenario).contains("host=mailhost.example.org"));
    let mail_host = scenario.postfix(MAIL_HOST);
    mail_host
        .send("info@example.org", "someone@example.net", "too late")
        .unwrap();
    mail_host.wait_for_log("status=deferred", LONG).unwrap();
    let log = scenario.relay_log();
    assert!(
        log.contains("verified=0") && log.contains("listed=mailhost.example.org"),
        "{log}"
    );
    assert_eq!(scenario.internet.count(), 0);

    // Where there is systemd, the daemon is a unit of it: here something that answers like systemd.
    let relay = scenario.machine(RELAY);
    relay
        .write(
            "/root/bin/systemctl",
            "#!/bin/sh\necho \"$*\" >> /var/log/systemctl\n\
             case \"$*\" in \"stop relayca-exim\") pid=$(cat /var/spool/relayca-exim/pid); kill $pid; while kill -0 $pid 2> /dev/null; do sleep 0.05; done ;; \
             \"start relayca-exim\") \
             $(sed -n 's/^ExecStart=//p' /etc/systemd/system/relayca-exim.service | sed 's/-bdf/-bd/') ;; esac\n",
        )
        .unwrap();
    let block = scenario.admin.done(&["snippet", RELAY]).unwrap();
    let said = relay
        .paste(&format!(
            "mkdir -p /run/systemd/system /etc/systemd/system; chmod 755 /root/bin/systemctl\n\
             PATH=/root/bin:$PATH\n{block}"
        ))
        .unwrap();
    assert!(said.ok(), "{said:?}");
    let told = fs::read_to_string(relay.file("/var/log/systemctl")).unwrap();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "daemon-reload",
            "--quiet enable relayca-exim",
            "stop relayca-exim",
            "start relayca-exim",
            "--quiet is-active relayca-exim"
        ]
    );
}

#[test]
fn a_list_that_is_gone_and_a_hand_over_that_fails_lose_no_mail() {
    let mut scenario = Scenario::with_exim("exim", &[]);
    scenario.add_postfix(MAIL_HOST);
    let printed = scenario.admin.done(&["issue", "mailhost"]).unwrap();
    scenario.paste(&printed);
    let relay = scenario.machine(RELAY);
    let list = relay.file("/etc/exim4/relayca/relay_clientcerts.exim");
    let aside = relay.file("/etc/exim4/relayca/aside");
    fs::rename(&list, &aside).unwrap();
    let mail_host = scenario.postfix(MAIL_HOST);
    mail_host
        .send("info@example.org", "someone@example.net", "no list")
        .unwrap();
    mail_host.wait_for_log("status=deferred", LONG).unwrap();
    fs::rename(&aside, &list).unwrap();

    // The other Exim does not work: the relay keeps what it took.
    let config = relay.file("/etc/exim4/exim4.conf");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, "no such option = 1\n").unwrap();
    assert!(mail_host.run("postqueue", &["-f"]).unwrap().ok());
    relay
        .wait_for_log("R=hand_over T=hand_over defer", LONG)
        .unwrap();
    assert_eq!(scenario.internet.count(), 0);
    fs::write(&config, good).unwrap();
    // The process that put it off may still have it in hand.
    wait_for("the queue to be run", LONG, || {
        let arguments = ["-C", "/etc/exim4/relayca/relay.conf", "-qff"];
        let said = relay.run("exim4", &arguments, "").unwrap();
        assert!(said.ok(), "{said:?}");
        scenario.internet.count() == 1
    })
    .unwrap();
    scenario.arrives(1);
    assert!(Path::new(&list).exists());
}
