//! Exim as the mail host of a Postfix relay, in each way that its configuration can lie about.

use std::fs;
use std::path::Path;

use xtask::lab::{Machine, Sink};
use xtask::main_job::{Admin, MAIL_HOST, RELAY};

use crate::scenario::{
    ALIAS, LONG, Scenario, another_ca, debian_exim, empty_exim, machine, opened, plain_exim,
    send_by_exim, waiting_in_exim,
};

/// Issued and pasted, a message goes out through the relay, which has verified the certificate; pasting again changes nothing.
fn sends(scenario: &mut Scenario, exim: Machine) {
    scenario.add(MAIL_HOST, exim);
    let printed = scenario
        .admin
        .done(&["issue", "mailhost", "--mta", "exim"])
        .unwrap();
    scenario.paste(&printed);
    let exim = scenario.machine(MAIL_HOST);
    send_by_exim(exim, "through the relay");
    let text = scenario.arrives(1);
    assert!(text.contains("Subject: through the relay"), "{text}");
    scenario.relay_logs("Trusted TLS connection established from");
    let log = exim.log();
    assert!(
        log.contains("R=relayca T=relayca") && log.contains("CV=yes"),
        "{log}"
    );

    let before = configuration(exim);
    scenario.paste_snippet(MAIL_HOST);
    assert_eq!(configuration(exim), before, "pasted twice");
    assert!(
        before.contains("# BEGIN relayca example.org mailhost"),
        "{before}"
    );
    // Mail for this host stays here.
    let said = exim.run("exim4", &["-bt", "root@localhost"], "").unwrap();
    assert!(!said.stdout.contains("relayca"), "{said:?}");
    let key = fs::metadata(exim.file(&format!("/etc/exim4/relayca/{MAIL_HOST}.key.pem"))).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(
        (key.mode() & 0o777, key.uid(), key.gid()),
        (0o640, 0, 64998)
    );
}

/// All that Exim reads.
fn configuration(exim: &Machine) -> String {
    let said = exim
        .paste("cd /etc/exim4 && find . -type f -not -path './relayca/*' | sort | xargs tail -n +1; ls -A relayca\n")
        .unwrap();
    assert!(said.ok(), "{said:?}");
    said.stdout
}

#[test]
fn debians_exim_with_split_files_relays_as_printed() {
    let mut scenario = Scenario::with_postfix(&[]);
    sends(&mut scenario, debian_exim(MAIL_HOST, "exim", true, None));
    let exim = scenario.machine(MAIL_HOST);
    assert!(exim.file("/etc/exim4/conf.d/router/050_relayca").exists());
    assert!(exim.file("/etc/exim4/conf.d/transport/20_relayca").exists());

    // The years after: a new certificate, a new key that Exim may read again, a second CA.
    for (number, command) in [
        &["renew", "mailhost"][..],
        &["renew", "--rekey", "mailhost"],
        &["rollover", "prepare"],
    ]
    .iter()
    .enumerate()
    {
        let printed = scenario.admin.done(command).unwrap();
        scenario.paste(&printed);
        send_by_exim(exim, &command.join(" "));
        let text = scenario.arrives(number + 2);
        assert!(text.contains(&command.join(" ")), "{text}");
    }
}

#[test]
fn debians_exim_with_a_template_relays_as_printed_also_the_newer_one() {
    let mut scenario = Scenario::with_postfix(&[]);
    let exim = debian_exim(MAIL_HOST, "exim-trixie", false, None);
    // One that had a smarthost, and hides its name from it.
    let path = "/etc/exim4/update-exim4.conf.conf";
    let text = fs::read_to_string(exim.file(path)).unwrap();
    let text = text
        .replace("'internet'", "'smarthost'")
        .replace("dc_readhost=''", "dc_readhost='example.org'")
        .replace("dc_hide_mailname=''", "dc_hide_mailname='true'");
    exim.write(path, &text).unwrap();
    sends(&mut scenario, exim);
    let exim = scenario.machine(MAIL_HOST);
    let said = exim
        .run(
            "exim4",
            &[
                "-odf",
                "-f",
                "root@mailhost.example.org",
                "someone@example.net",
            ],
            "Subject: hidden\n\nbody\n",
        )
        .unwrap();
    assert!(said.ok(), "{said:?}");
    scenario.arrives(2);
    assert_eq!(scenario.internet.messages()[1].from, "root@example.org");
    assert!(!exim.file("/etc/exim4/conf.d/router/050_relayca").exists());
}

#[test]
fn nothing_leaves_exim_but_to_the_relay_with_the_right_certificate() {
    let mut scenario = Scenario::with_postfix(&[]);
    let exim = machine(MAIL_HOST, "exim");
    exim.write("/etc/exim4/exim4.conf", &plain_exim(&scenario.internet, 2))
        .unwrap();
    sends(&mut scenario, exim);
    let exim = scenario.machine(MAIL_HOST);
    let config = fs::read_to_string(exim.file("/etc/exim4/exim4.conf")).unwrap();
    let waits = |what: &str| {
        empty_exim(exim);
        send_by_exim(exim, what);
        assert_eq!(waiting_in_exim(exim), 1, "{what}: {}", exim.log());
        assert_eq!(scenario.internet.count(), 1, "{what}: nothing was sent");
    };

    // The relay under a name that is not in its certificate.
    exim.write(
        "/etc/exim4/exim4.conf",
        &config.replace(
            &format!("route_data = {RELAY}"),
            &format!("route_data = {ALIAS}"),
        ),
    )
    .unwrap();
    waits("wrong name");
    assert!(
        exim.log().contains("certificate verification failed"),
        "{}",
        exim.log()
    );
    exim.write("/etc/exim4/exim4.conf", &config).unwrap();

    // A relay that does not speak TLS: the sink.
    let there = format!("{RELAY}::{}", scenario.port.number());
    let sink = format!("{RELAY}::{}", scenario.internet.port());
    assert!(config.contains(&there), "{config}");
    exim.write("/etc/exim4/exim4.conf", &config.replace(&there, &sink))
        .unwrap();
    waits("no TLS");
    assert!(
        exim.log().contains("a TLS session is required"),
        "{}",
        exim.log()
    );
    exim.write("/etc/exim4/exim4.conf", &config).unwrap();

    // A name that does not resolve.
    exim.set_hosts(&[MAIL_HOST]).unwrap();
    waits("no name");
    exim.set_hosts(&[MAIL_HOST, RELAY]).unwrap();

    // Another CA of the same name, and then ours again.
    let somebody = another_ca();
    let other = opened(&somebody, MAIL_HOST).join("example.org-ca.crt.pem");
    let trust = exim.file("/etc/exim4/relayca/example.org-ca.crt.pem");
    let ours = fs::read(&trust).unwrap();
    fs::write(&trust, fs::read(other).unwrap()).unwrap();
    waits("another CA");
    fs::write(&trust, ours).unwrap();

    // Who is not listed any more waits, too.
    let printed = scenario.admin.done(&["revoke", "mailhost", "-q"]).unwrap();
    scenario.paste(&printed);
    waits("not listed");
    assert!(exim.log().contains("450"), "{}", exim.log());
}

#[test]
fn a_block_that_exim_does_not_take_leaves_all_as_it_was() {
    let mut scenario = Scenario::with_postfix(&[]);
    let exim = machine(MAIL_HOST, "exim");
    // Where no domain is local, the router cannot say what is elsewhere.
    let config = plain_exim(&scenario.internet, 2)
        .replace("domainlist local_domains = @ : localhost\n", "")
        .replace("! +local_domains", "! localhost");
    exim.write("/etc/exim4/exim4.conf", &config).unwrap();
    scenario.add(MAIL_HOST, exim);
    scenario
        .admin
        .done(&["issue", "mailhost", "--mta", "exim"])
        .unwrap();
    let files = opened(&scenario.admin, MAIL_HOST);
    let exim = scenario.machine(MAIL_HOST);
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(&files)
        .arg(exim.file("/etc/exim4/relayca"))
        .output()
        .unwrap();
    assert!(copied.status.success());
    let block = scenario.admin.done(&["snippet", "mailhost"]).unwrap();
    let said = exim.paste(&block).unwrap();
    assert!(!said.ok(), "{said:?}");
    assert!(
        said.stderr.contains("the old files are back"),
        "{}",
        said.stderr
    );
    assert_eq!(
        fs::read_to_string(exim.file("/etc/exim4/exim4.conf")).unwrap(),
        config
    );
    send_by_exim(exim, "as before");
    scenario.arrives(1);
    exim.wait_for_log("Completed", LONG).unwrap();
}

#[test]
fn several_relays_are_exims_hosts_in_their_order() {
    let admin = Admin::new(Path::new(env!("CARGO_BIN_EXE_relayca"))).unwrap();
    admin
        .init(&["--relay", "relay2:2600", "--relay", RELAY])
        .unwrap();
    admin.done(&["issue", "mailhost", "--mta", "exim"]).unwrap();
    let exim = machine(MAIL_HOST, "exim");
    let sink = Sink::start().unwrap();
    exim.write("/etc/exim4/exim4.conf", &plain_exim(&sink, 2))
        .unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(opened(&admin, MAIL_HOST))
        .arg(exim.file("/etc/exim4/relayca"))
        .output()
        .unwrap();
    assert!(copied.status.success());
    let said = exim
        .paste(&admin.done(&["snippet", "mailhost"]).unwrap())
        .unwrap();
    assert!(said.ok(), "{said:?}");
    let said = exim
        .run("exim4", &["-bt", "someone@example.net"], "")
        .unwrap();
    let ports: Vec<&str> = said
        .stdout
        .lines()
        .filter_map(|line| line.split_once("port=").map(|(_, port)| port))
        .collect();
    assert_eq!(ports, ["2600", "2500"], "{said:?}");
}
