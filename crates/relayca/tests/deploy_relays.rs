//! Several relays of one domain: a relay that is down costs no mail, and the one that lags is named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod deploy_kit;

use std::fs;

use deploy_kit::{Fleet, ended, state};
use xtask::lab::wait_for;
use xtask::main_job::{MAIL_HOST, SOON};

const RELAYS: [&str; 2] = ["relay1.example.org", "relay2.example.org"];

#[test]
fn with_two_relays_one_stopped_mail_goes_by_the_other_and_with_both_it_waits_and_comes_once() {
    let fleet = Fleet::of(&RELAYS, &[MAIL_HOST]);
    ended(&fleet.deploy(&["--all"]), 0);
    let maps = RELAYS.map(|relay| fs::read(fleet.host(relay).file("relay_clientcerts")).unwrap());
    assert_eq!(maps[0], maps[1]);
    let mail_host = &fleet.host(MAIL_HOST).instance;
    let main = fs::read_to_string(mail_host.config().join("main.cf")).unwrap();
    assert!(
        main.contains("default_transport = relayca:[relay1.example.org]:"),
        "{main}"
    );

    fleet.mail_flows(MAIL_HOST);
    assert!(
        fleet
            .host(RELAYS[0])
            .instance
            .log()
            .contains("client=localhost")
    );
    fleet.host(RELAYS[0]).instance.stop().unwrap();
    fleet.mail_flows(MAIL_HOST);
    assert!(
        fleet
            .host(RELAYS[1])
            .instance
            .log()
            .contains("client=localhost")
    );
    fleet.host(RELAYS[1]).instance.stop().unwrap();
    fleet.send(MAIL_HOST);
    mail_host.wait_for_log("status=deferred", SOON).unwrap();
    assert_eq!(mail_host.queue().unwrap().len(), 1);

    // What is told of it, by the hosts themselves.
    let said = ended(&fleet.deploy(&["--status"]), 4);
    assert_eq!(said.matches("Postfix does not run").count(), 2, "{said}");
    // No deploy starts them.
    let next = "next: `postfix start` on relay1.example.org, relay2.example.org";
    assert!(
        said.contains(next) && !said.contains("deploy HOST"),
        "{said}"
    );

    fleet.host(RELAYS[1]).instance.start().unwrap();
    let before = fleet.internet.count();
    mail_host.flush().unwrap();
    fleet.internet.wait_for(before + 1, SOON).unwrap();
    wait_for("the queue to be empty", SOON, || {
        mail_host.queue().unwrap().is_empty()
    })
    .unwrap();
    assert_eq!(fleet.internet.count(), before + 1);
}

#[test]
fn the_relay_that_lags_is_named_by_status_and_by_check_and_one_that_is_brought_up_to_date_is_enough()
 {
    let fleet = Fleet::of(&RELAYS, &[MAIL_HOST]);
    ended(&fleet.deploy(&["--relays"]), 0);
    let ssh = fleet.ssh();
    fleet.admin.done(&["issue", "other"]).unwrap();
    fleet
        .admin
        .done(&["revoke", "other", "--reason", "keyCompromise"])
        .unwrap();
    fleet.admin.done(&["issue", "third"]).unwrap();
    let said = fleet.deploy(&["relay1"]);
    ended(&said, 0);
    assert!(!said.stdout.contains("relay2"), "{}", said.stdout);
    let said = fleet.deploy(&["--status", "--relays"]);
    let all = ended(&said, 3);
    assert_eq!(state(&said, RELAYS[0]), "current");
    assert_eq!(state(&said, RELAYS[1]), "lags");
    assert!(all.contains("the map relay_clientcerts is old"), "{all}");
    let said = fleet.admin.run(&["check", "--ask", "--ssh", &ssh]).unwrap();
    assert_eq!(said.code, 3, "{}{}", said.stdout, said.stderr);
    assert!(
        said.stdout
            .lines()
            .any(|line| line.contains("relay2.example.org")
                && line.contains("the map relay_clientcerts is old")),
        "{}",
        said.stdout
    );
    assert!(
        !said.stdout.contains("relay1.example.org"),
        "{}",
        said.stdout
    );

    // One relay cannot be reached: it is told loudly, and the other lets the mail host in.
    let configuration = fs::read_to_string(fleet.admin.place().join("ssh_config")).unwrap();
    fleet.write_configuration("Host relay2.example.org\n  HostName 127.0.0.1\n  Port 1\n");
    let said = fleet.deploy(&["mailhost"]);
    let all = ended(&said, 4);
    assert_eq!(state(&said, RELAYS[1]), "failed");
    assert_eq!(state(&said, MAIL_HOST), "deployed");
    assert!(all.contains("1 relay is not up to date: whoever was taken out of the list since may still relay there"), "{all}");
    fleet.mail_flows(MAIL_HOST);
    fs::write(fleet.admin.place().join("ssh_config"), configuration).unwrap();
    let said = fleet.deploy(&["--relays"]);
    ended(&said, 0);
    assert_eq!(state(&said, RELAYS[0]), "unchanged");
    assert_eq!(state(&said, RELAYS[1]), "deployed");
}
