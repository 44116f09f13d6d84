//! OpenSMTPD, msmtp and nullmailer as mail hosts of a Postfix relay.

use std::fs;

use xtask::lab::{Machine, Pasted, wait_for};
use xtask::main_job::{MAIL_HOST, RELAY};

use crate::scenario::{
    ALIAS, LONG, Scenario, another_ca, machine, opened, plain_exim, send_by_exim,
};

const MESSAGE: &str = "From: info@example.org\nSubject: through the relay\n\nbody\n";

/// Issued and pasted; gives the scenario.
fn issued(mta: &str, machine: Machine) -> Scenario {
    let mut scenario = Scenario::with_postfix(&[]);
    scenario.add(MAIL_HOST, machine);
    let printed = scenario
        .admin
        .done(&["issue", "mailhost", "--mta", mta])
        .unwrap();
    scenario.paste(&printed);
    scenario
}

/// The configuration with the relay's other name in it, and then with another CA.
fn with_wrong_relays(scenario: &Scenario, config: &str, trust: &str, try_it: &dyn Fn(&str)) {
    let mail_host = scenario.machine(MAIL_HOST);
    let before = fs::read_to_string(mail_host.file(config)).unwrap();
    assert!(before.contains(RELAY), "{before}");
    mail_host
        .write(config, &before.replace(RELAY, ALIAS))
        .unwrap();
    try_it("wrong name");
    mail_host.write(config, &before).unwrap();
    let somebody = another_ca();
    let other = opened(&somebody, MAIL_HOST).join("example.org-ca.crt.pem");
    let ours = fs::read(mail_host.file(trust)).unwrap();
    fs::write(mail_host.file(trust), fs::read(other).unwrap()).unwrap();
    try_it("another CA");
    fs::write(mail_host.file(trust), ours).unwrap();
}

fn verified(scenario: &Scenario) {
    scenario.relay_logs("Trusted TLS connection established from");
}

fn file_of(machine: &Machine, path: &str) -> String {
    fs::read_to_string(machine.file(path)).unwrap()
}

/// OpenSMTPD as its package has it, but for its port: this machine has no other.
fn opensmtpd(name: &str) -> Machine {
    let smtpd = machine(name, "opensmtpd-trixie");
    // As its package has it, on a port of its own.
    smtpd
        .write(
            "/etc/smtpd.conf",
            "table aliases file:/etc/aliases\nlisten on socket\n\
             action \"local\" maildir alias <aliases>\naction \"relay\" relay\n\
             match for local action \"local\"\nmatch from local for any action \"relay\"\n",
        )
        .unwrap();
    smtpd.write("/etc/aliases", "").unwrap();
    let made = smtpd
        .paste("mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd/offline && chmod 711 /var/spool/smtpd && chgrp opensmtpq /var/spool/smtpd/offline && chmod 770 /var/spool/smtpd/offline\n")
        .unwrap();
    assert!(made.ok(), "{made:?}");
    smtpd
}

/// nullmailer as its package has it; it goes through its queue once, and ends.
fn nullmailer_machine(name: &str) -> Machine {
    let nullmailer = machine(name, "nullmailer");
    nullmailer
        .write("/etc/nullmailer/remotes", "smtp.example.net smtp\n")
        .unwrap();
    nullmailer
        .write("/etc/nullmailer/pausetime", "0\n")
        .unwrap();
    let made = nullmailer
        .paste("cd /var/spool && mkdir -p nullmailer/queue nullmailer/tmp nullmailer/failed && mkfifo nullmailer/trigger && chmod 622 nullmailer/trigger && chown -R mail:mail nullmailer && chown mail:mail /etc/nullmailer/remotes && chmod 600 /etc/nullmailer/remotes\n")
        .unwrap();
    assert!(made.ok(), "{made:?}");
    nullmailer
}

fn start_opensmtpd(smtpd: &Machine) {
    smtpd.daemon("smtpd", &["-d"]).unwrap();
    wait_for("OpenSMTPD", LONG, || {
        smtpd.run("smtpctl", &["show", "status"], "").unwrap().ok()
    })
    .unwrap_or_else(|error| panic!("{error}: {}", smtpd.log()));
}

fn send_by_opensmtpd(smtpd: &Machine) {
    let said = smtpd
        .run(
            "/usr/sbin/sendmail",
            &["-f", "info@example.org", "someone@example.net"],
            MESSAGE,
        )
        .unwrap();
    assert!(said.ok(), "{said:?}");
}

/// Once through the queue, as its own user; gives what stays there.
fn send_by_nullmailer(nullmailer: &Machine) -> Pasted {
    let said = nullmailer
        .run(
            "nullmailer-inject",
            &["-f", "info@example.org", "someone@example.net"],
            MESSAGE,
        )
        .unwrap();
    assert!(said.ok(), "{said:?}");
    nullmailer
        .paste("cd /var/spool/nullmailer && setpriv --reuid=mail --regid=mail --clear-groups nullmailer-send >&2; ls queue\n")
        .unwrap()
}

#[test]
fn opensmtpd_relays_as_printed_and_to_nobody_else() {
    let smtpd = opensmtpd(MAIL_HOST);
    let scenario = issued("opensmtpd", smtpd);
    let smtpd = scenario.machine(MAIL_HOST);
    let config = file_of(smtpd, "/etc/smtpd.conf");
    scenario.paste_snippet(MAIL_HOST);
    assert_eq!(file_of(smtpd, "/etc/smtpd.conf"), config, "pasted twice");
    assert!(
        config.contains("#relayca# action \"relay\" relay\n"),
        "{config}"
    );

    let (start, send) = (|| start_opensmtpd(smtpd), || send_by_opensmtpd(smtpd));
    start();
    send();
    let text = scenario.arrives(1);
    assert!(text.contains("Subject: through the relay"), "{text}");
    verified(&scenario);
    with_wrong_relays(
        &scenario,
        "/etc/smtpd.conf",
        "/etc/relayca/example.org-ca.crt.pem",
        &|what| {
            smtpd.end_daemons();
            let said = smtpd.log().len();
            start();
            send();
            wait_for(what, LONG, || smtpd.log()[said..].contains("mta error"))
                .unwrap_or_else(|error| panic!("{error}: {}", smtpd.log()));
            let queue = smtpd.run("smtpctl", &["show", "queue"], "").unwrap();
            assert!(queue.stdout.contains("someone@example.net"), "{queue:?}");
            assert_eq!(scenario.internet.count(), 1, "{what}");
            smtpd.end_daemons();
            smtpd.paste("rm -rf /var/spool/smtpd/queue\n").unwrap();
        },
    );
}

#[test]
fn msmtp_relays_as_printed_and_says_what_it_could_not_send() {
    let msmtp = machine(MAIL_HOST, "msmtp");
    msmtp
        .write(
            "/etc/msmtprc",
            "defaults\nauth on\ntls off\naccount provider\nhost mail.example.net\nuser me\naccount default : provider\n",
        )
        .unwrap();
    let scenario = issued("msmtp", msmtp);
    let msmtp = scenario.machine(MAIL_HOST);
    let config = file_of(msmtp, "/etc/msmtprc");
    scenario.paste_snippet(MAIL_HOST);
    assert_eq!(file_of(msmtp, "/etc/msmtprc"), config, "pasted twice");
    let send = || -> Pasted {
        msmtp
            .run("msmtp", &["someone@example.net"], MESSAGE)
            .unwrap()
    };
    let said = send();
    assert!(said.ok(), "{said:?}");
    scenario.arrives(1);
    assert_eq!(scenario.internet.messages()[0].from, "root@example.org");
    verified(&scenario);
    with_wrong_relays(
        &scenario,
        "/etc/msmtprc",
        "/etc/relayca/example.org-ca.crt.pem",
        &|what| {
            let said = send();
            assert!(!said.ok(), "{what}: {said:?}");
            assert!(
                said.stderr.contains("certificate verification failed"),
                "{what}: {said:?}"
            );
            assert_eq!(scenario.internet.count(), 1, "{what}");
        },
    );
    let printed = scenario.admin.done(&["revoke", "mailhost", "-q"]).unwrap();
    scenario.paste(&printed);
    let said = send();
    assert!(!said.ok() && said.stderr.contains("450"), "{said:?}");
}

#[test]
fn nullmailer_relays_as_printed_and_keeps_what_it_may_not_send() {
    let nullmailer = nullmailer_machine(MAIL_HOST);
    let scenario = issued("nullmailer", nullmailer);
    let nullmailer = scenario.machine(MAIL_HOST);
    let config = file_of(nullmailer, "/etc/nullmailer/remotes");
    assert!(
        config.contains("#relayca# smtp.example.net smtp"),
        "{config}"
    );
    scenario.paste_snippet(MAIL_HOST);
    assert_eq!(
        file_of(nullmailer, "/etc/nullmailer/remotes"),
        config,
        "pasted twice"
    );
    let send = || send_by_nullmailer(nullmailer);
    let said = send();
    scenario.arrives(1);
    assert_eq!(said.stdout.lines().count(), 0, "{said:?}");
    verified(&scenario);
    with_wrong_relays(
        &scenario,
        "/etc/nullmailer/remotes",
        "/etc/nullmailer/relayca/example.org-ca.crt.pem",
        &|what| {
            let said = send();
            assert!(
                said.stdout.trim_end().lines().count() >= 1,
                "{what}: {said:?}"
            );
            assert!(said.stderr.contains("certificate"), "{what}: {said:?}");
            assert_eq!(scenario.internet.count(), 1, "{what}");
            nullmailer
                .paste("rm -f /var/spool/nullmailer/queue/*\n")
                .unwrap();
        },
    );
}

#[test]
fn all_of_them_send_to_an_exim_relay_that_wants_tls_from_the_first_byte() {
    let mut scenario = Scenario::with_exim("exim", &[]);
    scenario
        .admin
        .edit("wrapper = false", "wrapper = true")
        .unwrap();
    scenario.paste_snippet(RELAY);
    let exim = machine("a.example.org", "exim");
    exim.write("/etc/exim4/exim4.conf", &plain_exim(&scenario.internet, 2))
        .unwrap();
    scenario.add("a.example.org", exim);
    scenario.add("b.example.org", opensmtpd("b.example.org"));
    scenario.add("c.example.org", machine("c.example.org", "msmtp"));
    scenario.add("d.example.org", nullmailer_machine("d.example.org"));
    scenario.add_postfix("e.example.org");
    let list = scenario.admin.place().join("hosts.txt");
    fs::write(
        &list,
        "a mta=exim\nb mta=opensmtpd key=rsa2048\nc mta=msmtp\nd mta=nullmailer\ne\n",
    )
    .unwrap();
    let printed = scenario
        .admin
        .done(&["issue", "--from", list.to_str().unwrap()])
        .unwrap();
    scenario.paste(&printed);
    let mail_host = |name: &str| scenario.machine(name);
    send_by_exim(mail_host("a.example.org"), "from Exim");
    scenario.arrives(1);
    start_opensmtpd(mail_host("b.example.org"));
    send_by_opensmtpd(mail_host("b.example.org"));
    scenario.arrives(2);
    let said = mail_host("c.example.org")
        .run(
            "msmtp",
            &["-f", "info@example.org", "someone@example.net"],
            MESSAGE,
        )
        .unwrap();
    assert!(said.ok(), "{said:?}");
    scenario.arrives(3);
    let said = send_by_nullmailer(mail_host("d.example.org"));
    assert_eq!(said.stdout, "", "{said:?}");
    scenario.arrives(4);
    scenario
        .postfix("e.example.org")
        .send("info@example.org", "someone@example.net", "from Postfix")
        .unwrap();
    scenario.arrives(5);
    for host in ["a", "b", "c", "d", "e"] {
        scenario.relay_logs(&format!("{host}.example.org may relay"));
    }
}
