//! What goes into the texts is plain, or refused; and every script is one that a shell takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use relayca_mta::{EXIM_LIST, Mta, MtaError, Receiver, Sender, map_script, receiver, sender};
use relayca_postfix::{NextHop, Refusal};

const SENDERS: [Mta; 4] = [Mta::Exim, Mta::OpenSmtpd, Mta::Msmtp, Mta::Nullmailer];

fn mail_host() -> Sender {
    Sender {
        domain: "example.org".into(),
        host: "mailhost.example.org".into(),
        directory: "/etc/exim4".into(),
        relays: vec![NextHop {
            destination: "relayhost.example.org".into(),
            port: 2500,
            certificate_name: "relayhost.example.org".into(),
        }],
        wrapper: false,
    }
}

fn relay() -> Receiver {
    Receiver {
        domain: "example.org".into(),
        relay: "relayhost.example.org".into(),
        directory: "/etc/exim4".into(),
        port: 2500,
        wrapper: false,
        refusal: Refusal::Defer,
    }
}

/// `sh -n`, and the same with CRLF, which no shell may run.
fn a_shell_takes_it(script: &str) {
    let parse = |text: &str| {
        let mut shell = Command::new("sh")
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        shell.wait().unwrap().success()
    };
    assert!(parse(script), "{script}");
    assert!(
        !parse(&script.replace('\n', "\r\n")),
        "a paste with CRLF never runs"
    );
    assert!(script.trim_end().ends_with(')'), "one subshell");
}

#[test]
fn hostile_words_are_refused_by_every_mail_server() {
    for bad in [
        "a b.org", "$(x).org", "a\n.org", "-a.org", "A.org", "a.org:25", "", "a.org/b",
    ] {
        for mta in SENDERS {
            let changed = |change: fn(&mut Sender, &str)| {
                let mut host = mail_host();
                change(&mut host, bad);
                assert!(sender(mta, &host).is_err(), "{mta}: {bad:?}");
            };
            changed(|host, bad| host.domain = bad.into());
            changed(|host, bad| host.host = bad.into());
            changed(|host, bad| host.directory = bad.into());
            changed(|host, bad| host.relays[0].certificate_name = bad.into());
            changed(|host, bad| host.relays[0].destination = bad.into());
        }
        let changed = |change: fn(&mut Receiver, &str)| {
            let mut relay = relay();
            change(&mut relay, bad);
            assert!(receiver(Mta::Exim, &relay).is_err(), "{bad:?}");
        };
        changed(|relay, bad| relay.domain = bad.into());
        changed(|relay, bad| relay.relay = bad.into());
        changed(|relay, bad| relay.directory = bad.into());
    }
    assert!(map_script(Mta::Exim, "/etc/exim4", "a\tb\n", None).is_err());
    assert!(map_script(Mta::Exim, "/etc/exim4", "RELAYCA_END\n", None).is_err());
}

#[test]
fn every_script_is_one_subshell_that_a_shell_takes() {
    for mta in SENDERS {
        for wrapper in [false, true] {
            let host = Sender {
                wrapper,
                ..mail_host()
            };
            a_shell_takes_it(&sender(mta, &host).unwrap().script);
        }
    }
    for refusal in [Refusal::Defer, Refusal::Reject] {
        a_shell_takes_it(
            &receiver(Mta::Exim, &Receiver { refusal, ..relay() })
                .unwrap()
                .script,
        );
    }
    a_shell_takes_it(&map_script(Mta::Exim, "/etc/exim4", "# nobody\n", Some(3)).unwrap());
}

#[test]
fn a_list_of_an_earlier_change_does_not_take_the_place_of_a_later_one() {
    let place = tempfile::tempdir().unwrap();
    let files = place.path().join("relayca");
    std::fs::create_dir(&files).unwrap();
    let kept = || std::fs::read_to_string(files.join(EXIM_LIST)).unwrap();
    for (change, taken) in [(3, true), (12, true), (12, true), (3, false)] {
        let list = format!(
            "# As of change {change} of the authority: a list with a lower number is an older one.\n"
        );
        let directory = place.path().to_str().unwrap();
        let script = map_script(Mta::Exim, directory, &list, Some(change)).unwrap();
        let said = Command::new("sh").arg("-c").arg(&script).output().unwrap();
        assert_eq!(said.status.success(), taken, "{said:?}");
        assert_eq!(kept() == list, taken);
    }
    assert!(kept().contains("change 12"));

    // A directory of that name would swallow the list.
    std::fs::remove_file(files.join(EXIM_LIST)).unwrap();
    std::fs::create_dir(files.join(EXIM_LIST)).unwrap();
    let script = map_script(Mta::Exim, place.path().to_str().unwrap(), "", Some(12)).unwrap();
    let said = Command::new("sh").arg("-c").arg(&script).output().unwrap();
    assert!(!said.status.success(), "{said:?}");
    assert_eq!(std::fs::read_dir(files.join(EXIM_LIST)).unwrap().count(), 0);
}

#[test]
fn only_exim_can_be_a_relay_and_it_says_in_which_file_it_looks() {
    for mta in [Mta::OpenSmtpd, Mta::Msmtp, Mta::Nullmailer] {
        assert_eq!(receiver(mta, &relay()), Err(MtaError::NoRelay(mta)));
        assert!(MtaError::NoRelay(mta).hint().is_some());
        assert!(map_script(mta, "/etc", "", None).is_err());
    }
    let text = receiver(Mta::Exim, &relay()).unwrap();
    assert!(text.pieces[0].text.contains(EXIM_LIST));
    assert!(text.pieces[0].text.contains("\n  defer\n"));
    let reject = Receiver {
        refusal: Refusal::Reject,
        ..relay()
    };
    let reject = receiver(Mta::Exim, &reject).unwrap();
    assert!(
        reject.pieces[0]
            .text
            .contains("\n  deny\n    message = 554 5.7.1 ")
    );
}

#[test]
fn a_relay_that_is_known_by_an_address_is_reached_by_the_name_in_its_certificate() {
    let mut host = mail_host();
    host.relays[0].destination = "192.0.2.7".into();
    for mta in SENDERS {
        let text = sender(mta, &host).unwrap();
        assert!(
            text.warnings
                .iter()
                .any(|one| one.contains("192.0.2.7") && one.contains("/etc/hosts")),
            "{mta}"
        );
        for piece in &text.pieces {
            assert!(!piece.text.contains("192.0.2.7"), "{mta}");
        }
    }
}

#[test]
fn several_relays_are_tried_in_their_order_by_those_that_can_and_the_others_say_that_they_cannot() {
    let mut host = mail_host();
    host.relays.push(NextHop {
        destination: "second.example.org".into(),
        port: 2501,
        certificate_name: "second.example.org".into(),
    });
    let all = |mta: Mta| -> String {
        sender(mta, &host)
            .unwrap()
            .pieces
            .iter()
            .map(|piece| piece.text.clone())
            .collect()
    };
    assert!(
        all(Mta::Exim)
            .contains("route_data = relayhost.example.org::2500:second.example.org::2501 byname")
    );
    let nullmailer = all(Mta::Nullmailer);
    let place = |name: &str| nullmailer.find(name).unwrap();
    assert!(
        place("relayhost.example.org smtp --port=2500")
            < place("second.example.org smtp --port=2501")
    );
    for mta in [Mta::OpenSmtpd, Mta::Msmtp] {
        assert!(!all(mta).contains("second.example.org"));
        let warnings = sender(mta, &host).unwrap().warnings;
        assert!(
            warnings
                .iter()
                .any(|one| one.contains("sends to one relay")),
            "{mta}"
        );
    }
    host.relays[1] = host.relays[0].clone();
    assert!(sender(Mta::Exim, &host).is_err());
}
