//! The main job on real Postfixes: what is printed is pasted as it stands, and mail flows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use xtask::lab::{Port, Setup, Sink};
use xtask::main_job::{Admin, MAIL_HOST, Pair, RELAY, SOON, steps};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relayca"))
}

#[test]
fn init_issue_paste_and_a_message_reaches_the_internet_over_verified_tls() {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    pair.relays("someone@example.net").unwrap();
    let message = pair.internet.messages().pop().unwrap();
    assert_eq!(message.from, "info@example.org");
    assert_eq!(message.to, ["someone@example.net"]);
    assert!(message.text.contains("through the relay"));
    pair.mail_host
        .wait_for_log(
            &format!("Verified TLS connection established to {RELAY}"),
            SOON,
        )
        .unwrap();
    pair.relay
        .wait_for_log("Trusted TLS connection established from", SOON)
        .unwrap();

    // The key lies where its host needs it and is for root alone.
    use std::os::unix::fs::MetadataExt;
    let key = pair
        .mail_host
        .config()
        .join(format!("relayca/{MAIL_HOST}.key.pem"));
    let key = std::fs::metadata(key).unwrap();
    assert_eq!((key.mode() & 0o7777, key.uid()), (0o600, 0));
}

#[test]
fn what_is_printed_may_be_pasted_twice() {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    let files = || {
        [&pair.relay, &pair.mail_host].map(|instance| {
            ["main.cf", "master.cf"]
                .map(|file| std::fs::read_to_string(instance.config().join(file)).unwrap())
        })
    };
    let before = files();
    for (host, instance) in [("relayhost", &pair.relay), ("mailhost", &pair.mail_host)] {
        let said = instance
            .paste(&pair.admin.done(&["snippet", host]).unwrap())
            .unwrap();
        assert!(said.ok(), "{}", said.stderr);
    }
    assert_eq!(before, files());
    pair.relays("again@example.net").unwrap();
}

#[test]
fn ed25519_keys_and_a_bundle_sealed_to_the_hosts_ssh_key_relay_too() {
    let pair = Pair::new(
        program(),
        &["--ca-key", "ed25519", "--key", "ed25519"],
        None,
    )
    .unwrap();
    // The step names /etc/ssh/ssh_host_ed25519_key, as on a real host; here the host's key lies elsewhere.
    let key = pair.mail_host.directory().join("ssh_host_ed25519_key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let printed = pair
        .admin
        .done(&["issue", "mailhost", "--seal-to", public.trim()])
        .unwrap();
    assert!(printed.contains("-i /etc/ssh/ssh_host_ed25519_key"));
    assert!(
        !pair
            .admin
            .file(&format!("bundles/{MAIL_HOST}.passphrase.age"))
            .exists()
    );
    pair.paste(&printed.replace("/etc/ssh/ssh_host_ed25519_key", key.to_str().unwrap()))
        .unwrap();
    pair.relays("someone@example.net").unwrap();
}

#[test]
fn a_relay_known_by_its_address_alone_is_verified_by_the_name_made_for_it() {
    let admin = Admin::new(program()).unwrap();
    let internet = Sink::start().unwrap();
    let port = Port::reserve().unwrap();
    let name = "relay-127-0-0-1.example.org";
    let relay = Setup::new(name).relays_to(&internet).start().unwrap();
    let mail_host = Setup::new(MAIL_HOST).start().unwrap();
    let place = format!("127.0.0.1:{}", port.number());
    let directory = relay.config_inside();
    admin
        .init(&[
            "--relay",
            &place,
            "--permit",
            "127.0.0.1",
            "--config-directory",
            &directory,
        ])
        .unwrap();
    admin
        .config_directory(MAIL_HOST, &mail_host.config_inside())
        .unwrap();
    admin.done(&["issue", "mailhost"]).unwrap();
    for (instance, host) in [(&relay, name), (&mail_host, MAIL_HOST)] {
        let bundle = admin.file(&format!("bundles/{host}.tar.age"));
        let place = instance.config().join("relayca");
        admin
            .done(&[
                "open",
                bundle.to_str().unwrap(),
                "-C",
                place.to_str().unwrap(),
            ])
            .unwrap();
    }
    let map = admin.done(&["map"]).unwrap();
    std::fs::write(relay.config().join("relayca/relay_clientcerts"), map).unwrap();
    for (instance, host) in [(&relay, name), (&mail_host, MAIL_HOST)] {
        let said = instance
            .paste(&admin.done(&["snippet", host]).unwrap())
            .unwrap();
        assert!(said.ok(), "{}", said.stderr);
    }
    mail_host
        .send("info@example.org", "someone@example.net", "by address")
        .unwrap();
    internet
        .wait_for(1, SOON)
        .unwrap_or_else(|error| panic!("{error}\n{}", mail_host.log()));
    mail_host
        .wait_for_log("Verified TLS connection established to 127.0.0.1", SOON)
        .unwrap();
}

#[test]
fn the_fingerprint_of_a_live_relay_is_the_one_of_its_certificate() {
    let pair = Pair::new(program(), &[], None).unwrap();
    let place = format!("127.0.0.1:{}", pair.port.number());
    let live = pair.admin.done(&["fingerprint", &place]).unwrap();
    let file = pair.relay.config().join(format!("relayca/{RELAY}.crt.pem"));
    let on_disk = pair
        .admin
        .done(&["fingerprint", file.to_str().unwrap()])
        .unwrap();
    let fingerprints = |text: &str| {
        text.lines()
            .map(|line| line.split("  ").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(fingerprints(&live), fingerprints(&on_disk));
    assert_eq!(fingerprints(&live).len(), 2);
}

#[test]
fn every_step_that_is_printed_says_where_it_belongs() {
    let admin = Admin::new(program()).unwrap();
    let init = admin.init(&[]).unwrap();
    let issue = admin.done(&["issue", "mailhost"]).unwrap();
    let of_init = vec![None, Some(RELAY), Some(RELAY)];
    let of_issue = vec![Some(RELAY), None, Some(MAIL_HOST), Some(MAIL_HOST)];
    for (printed, hosts) in [(init, of_init), (issue, of_issue)] {
        let found = steps(&printed);
        assert_eq!(
            found
                .iter()
                .map(|step| step.host.as_deref())
                .collect::<Vec<_>>(),
            hosts
        );
    }
}

#[test]
fn a_map_too_long_to_paste_is_sent_and_put_in_place_as_printed() {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    let hosts: String = (0..120).map(|number| format!("h{number}\n")).collect();
    let list = pair.admin.place().join("hosts.txt");
    std::fs::write(&list, hosts).unwrap();
    let printed = pair
        .admin
        .done(&["issue", "--from", list.to_str().unwrap()])
        .unwrap();
    assert!(printed.contains("put the map in place"), "{printed}");
    let certificate = pair.relay.config().join(format!("relayca/{RELAY}.crt.pem"));
    let before = std::fs::read_to_string(&certificate).unwrap();
    pair.paste(&printed).unwrap();
    let map = pair.relay.config().join("relayca/relay_clientcerts");
    let text = std::fs::read_to_string(&map).unwrap();
    assert_eq!(text.matches("example.org\n").count(), 121, "{text}");
    assert_eq!(std::fs::read_to_string(&certificate).unwrap(), before);
    pair.relays("someone@example.net").unwrap();

    // Shut out by the same way: the database was made anew, not only the text.
    let printed = pair.admin.done(&["revoke", "mailhost"]).unwrap();
    assert!(printed.contains("put the map in place"), "{printed}");
    pair.paste(&printed).unwrap();
    pair.mail_host
        .send("info@example.org", "someone@example.net", "late")
        .unwrap();
    pair.mail_host
        .wait_for_log("status=deferred", SOON)
        .unwrap();
    assert_eq!(pair.mail_host.queue().unwrap().len(), 1);
}
