//! Hosts that were set up by pasting what is printed, as `deploy --status` and `check --ask` see them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod deploy_kit;

use std::fs;
use std::path::Path;

use deploy_kit::{RELAYCA, ended, state};
use xtask::lab::{Sshd, sshd};
use xtask::main_job::{MAIL_HOST, Pair, RELAY, Said};

/// A pair that was pasted, and a way there by ssh.
struct Pasted {
    pair: Pair,
    ssh: String,
    _sshds: [Sshd; 2],
}

impl Pasted {
    fn new() -> Self {
        let pair = Pair::new(Path::new(RELAYCA), &[], None).unwrap();
        pair.issue(&[]).unwrap();
        let place = pair.admin.place();
        let public = sshd::key(&place.join("ssh_key")).unwrap();
        let start = |instance| Sshd::start(instance, &public).unwrap();
        let sshds = [start(&pair.relay), start(&pair.mail_host)];
        let known: String = sshds.iter().map(|one| one.known_host().unwrap()).collect();
        fs::write(place.join("known_hosts"), known).unwrap();
        let sections: String = [RELAY, MAIL_HOST]
            .iter()
            .zip(&sshds)
            .map(|(name, sshd)| sshd.client_section(name))
            .collect();
        fs::write(
            place.join("ssh_config"),
            format!(
                "{sections}Host *\n  IdentityFile {0}/ssh_key\n  IdentitiesOnly yes\n  UserKnownHostsFile {0}/known_hosts\n  \
                 GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
                place.display()
            ),
        )
        .unwrap();
        Self {
            ssh: format!("ssh -F {}/ssh_config", place.display()),
            pair,
            _sshds: sshds,
        }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut all = arguments.to_vec();
        all.extend(["--ssh", &self.ssh]);
        self.pair.admin.run(&all).unwrap()
    }

    #[track_caller]
    fn all_are_current(&self) {
        let said = ended(&self.run(&["deploy", "--status"]), 0);
        assert!(said.contains("2 of 2 hosts current"), "{said}");
        let said = self.run(&["check", "--ask", "--json"]);
        assert!(!said.stdout.contains("host-lags"), "{said:?}");
    }
}

#[test]
fn what_was_pasted_word_for_word_is_current_and_deploy_leaves_it_alone() {
    let pasted = Pasted::new();
    pasted.all_are_current();
    let said = pasted.run(&["deploy", "--all"]);
    ended(&said, 0);
    for host in [RELAY, MAIL_HOST] {
        assert_eq!(state(&said, host), "unchanged", "{}", said.stdout);
    }
}

#[test]
fn a_list_that_lets_the_same_keys_relay_does_not_lag_and_deploy_brings_its_later_number() {
    let pasted = Pasted::new();
    let admin = &pasted.pair.admin;
    let renewed = |senders: bool| {
        let printed = admin.done(&["renew", "mailhost"]).unwrap();
        pasted.pair.paste(&printed).unwrap();
        admin.done(&["retire", "mailhost"]).unwrap();
        pasted.all_are_current();
        let list =
            || fs::read_to_string(pasted.pair.relay.config().join("relayca/relay_clientcerts"));
        let before = list().unwrap();
        let said = pasted.run(&["deploy", "--relays"]);
        assert!(
            ended(&said, 0).contains("the number of the list"),
            "{senders}: {said:?}"
        );
        assert_ne!(before, list().unwrap());
        let said = pasted.run(&["deploy", "--relays"]);
        assert_eq!(state(&said, RELAY), "unchanged");
    };
    renewed(false);

    // Likewise with the table of bound senders. Other senders are no comment: then it lags.
    let section = format!("\n[host.\"{MAIL_HOST}\"]\n");
    let bound = |whom: &str| format!("{section}senders = [\"{whom}@example.org\"]\n");
    admin.edit(&section, &bound("info")).unwrap();
    let said = ended(&pasted.run(&["deploy", "--status", RELAY]), 3);
    assert!(
        said.contains("the map relay_ccert_access is missing"),
        "{said}"
    );
    ended(&pasted.run(&["deploy", "--relays"]), 0);
    renewed(true);

    // One entry more or less is no comment either.
    let list = pasted.pair.relay.config().join("relayca/relay_clientcerts");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(
        &list,
        format!("{text}{} other.example.org\n", vec!["AA"; 32].join(":")),
    )
    .unwrap();
    let said = ended(&pasted.run(&["deploy", "--status", RELAY]), 3);
    assert!(said.contains("the map relay_clientcerts is old"), "{said}");
}
