//! What the rules about services claim of Postfix as a server, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rules_live::{Bench, Client, SOON, hears, plain, starttls, stranger};
use xtask::lab::{Port, Setup, Sink, wait_for};

const MAY: &str = "smtpd_tls_security_level=may";
const ENCRYPT: &str = "smtpd_tls_security_level=encrypt";
const LOCAL: &str = "root@relay.example.org";
const FAR: &str = "x@far.test";

/// Dovecot's side of logging in: everybody may, as `u` with the password `p`.
fn auth(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    let world = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(path, world).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut out = stream.try_clone().unwrap();
                let _ = out.write_all(
                    b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\taa\nDONE\n",
                );
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut words = line.split('\t');
                    if words.next() == Some("AUTH") {
                        let id = words.next().unwrap_or_default();
                        let _ = out.write_all(format!("OK\t{id}\tuser=u\n").as_bytes());
                    }
                }
            });
        }
    });
}

/// What a client within TLS hears for a recipient, logged in or not.
fn within(port: u16, login: bool, to: &str) -> String {
    let login = if login { "AUTH PLAIN AHUAcA==\n" } else { "" };
    Client::default()
        .say(
            port,
            &format!(
                "EHLO client.example.net\n{login}MAIL FROM:<a@example.net>\nrcpt TO:<{to}>\nQUIT\n"
            ),
        )
        .last()
        .to_owned()
}

/// The keywords that a client in the clear is offered.
fn offered(port: u16) -> String {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut out = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.next();
    out.write_all(b"EHLO client.example.net\r\n").unwrap();
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
        if line.as_bytes().get(3) == Some(&b' ') {
            break;
        }
    }
    text
}

#[test]
fn who_may_log_in_and_what_that_is_good_for() {
    let mut bench = Bench::new();
    bench.set("smtpd_sasl_type", "dovecot");
    bench.set("smtpd_sasl_path", "private/auth");
    bench.set("local_recipient_maps", "");
    bench.set(
        "smtpd_relay_restrictions",
        "permit_sasl_authenticated,reject_unauth_destination",
    );
    let on = "smtpd_sasl_auth_enable=yes";
    let may = bench.server(&[MAY, on]);
    let none = bench.server(&["smtpd_tls_security_level=none", on]);
    let only = bench.server(&[MAY, on, "smtpd_tls_auth_only=yes"]);
    let never = bench.server(&[
        "smtpd_tls_security_level=none",
        on,
        "smtpd_tls_auth_only=yes",
    ]);
    let encrypt = bench.server(&[ENCRYPT, on]);
    let closed = bench.server(&[
        ENCRYPT,
        on,
        "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    ]);
    let client = "smtpd_client_restrictions=permit_sasl_authenticated,reject";
    let client_only = bench.server(&[
        ENCRYPT,
        on,
        client,
        "smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination",
    ]);
    let client_good = bench.server(&[ENCRYPT, on, client]);
    let off = bench.server(&[
        ENCRYPT,
        "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
    ]);
    let judged = bench.server(&[
        ENCRYPT,
        on,
        "smtpd_helo_restrictions=reject_unknown_helo_hostname",
    ]);
    let excepted = bench.server(&[
        ENCRYPT,
        on,
        "smtpd_helo_restrictions=permit_sasl_authenticated,reject_unknown_helo_hostname",
    ]);
    bench.start();
    auth(&bench.postfix().directory().join("queue/private/auth"));

    // login-offered-in-the-clear, login-on-port-25
    assert!(offered(may).contains("AUTH PLAIN") && offered(none).contains("AUTH PLAIN"));
    assert!(!offered(only).contains("AUTH") && !offered(encrypt).contains("AUTH"));
    hears(&within(may, true, FAR), "250 2.1.5");
    hears(&within(may, false, FAR), "554 5.7.1");
    // login-never-offered
    let said = plain(never, &["EHLO client.example.net", "AUTH PLAIN AHUAcA=="]);
    assert!(!offered(never).contains("AUTH"));
    hears(&said[2], "503 5.5.1 Error: authentication not enabled");
    // submission-without-encrypt
    hears(
        &plain(
            encrypt,
            &["EHLO client.example.net", "MAIL FROM:<a@example.net>"],
        )[2],
        "530 5.7.0 Must issue a STARTTLS command first",
    );
    hears(&stranger(may, LOCAL), "250");
    // submission-open-to-all
    hears(&within(encrypt, false, LOCAL), "250");
    hears(&within(encrypt, false, FAR), "554 5.7.1");
    hears(&within(closed, false, LOCAL), "554 5.7.1");
    hears(&within(closed, true, FAR), "250");
    // logged-in-users-may-not-send, submission-closed-by-client-restrictions-alone
    let refused = within(client_only, true, FAR);
    assert!(refused.contains("Relay access denied"), "{refused}");
    hears(&within(client_good, true, FAR), "250");
    hears(&within(client_good, false, LOCAL), "554 5.7.1");
    // submission-without-login
    let said = Client::default().say(off, "EHLO client.example.net\nAUTH PLAIN AHUAcA==\nMAIL FROM:<a@example.net>\nrcpt TO:<x@far.test>\nQUIT\n");
    assert!(
        said.replies
            .iter()
            .any(|reply| reply.starts_with("503 5.5.1")),
        "{:?}",
        said.replies
    );
    hears(said.last(), "554 5.7.1");
    // submission-inherits-checks-for-strangers
    let refused = within(judged, true, FAR);
    assert!(refused.contains("Helo command rejected"), "{refused}");
    hears(&within(excepted, true, FAR), "250");
}

#[test]
fn what_port_25_asks_and_tells() {
    let internet = Sink::start().unwrap();
    let mut bench = Bench::new();
    bench.set(
        "default_transport",
        &format!("smtp:[127.0.0.1]:{}", internet.port()),
    );
    bench.set("smtp_tls_security_level", "none");
    bench.set("inet_interfaces", "loopback-only");
    let open = [
        "mynetworks=127.0.0.0/8",
        "smtpd_relay_restrictions=permit_mynetworks,reject",
    ];
    let plain_header = bench.server(&[&open[..], &[MAY]].concat());
    let header = bench.server(&[&open[..], &[MAY, "smtpd_tls_received_header=yes"]].concat());
    let asks = bench.server(&[MAY, "smtpd_tls_ask_ccert=yes"]);
    let encrypt = bench.server(&[ENCRYPT]);
    let wrapper = bench.server(&["smtpd_tls_wrappermode=yes"]);
    let starts = bench.server(&[MAY]);
    bench.start();
    // encrypt-on-public-mx: and nothing is logged of it.
    hears(
        &stranger(encrypt, LOCAL),
        "530 5.7.0 Must issue a STARTTLS command first",
    );
    bench.logged(encrypt, "mail=0/1");
    assert!(
        !bench.log_of(encrypt).contains("reject"),
        "{}",
        bench.log_of(encrypt)
    );
    // certificates-asked-of-the-internet
    let asked = |port: u16| {
        Client::default()
            .say(port, "QUIT\n")
            .text
            .contains("Requested Signature Algorithms")
    };
    assert!(asked(asks));
    assert!(!asked(starts));
    // tls-not-in-received-header
    for port in [plain_header, header] {
        Client::default().say(port, "EHLO client.example.net\nMAIL FROM:<a@example.net>\nrcpt TO:<x@far.test>\nDATA\nSubject: x\n\nhello\n.\nQUIT\n");
    }
    let messages = internet.wait_for(2, SOON).unwrap();
    let told: BTreeSet<bool> = messages
        .iter()
        .map(|message| message.text.contains("using TLSv1"))
        .collect();
    assert_eq!(told, [false, true].into());
    assert!(
        messages
            .iter()
            .all(|message| message.text.contains("with ESMTPS"))
    );
    // relay-service-on-loopback
    let said = std::process::Command::new("ss")
        .args(["-ltn"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = said
        .lines()
        .find(|line| line.contains(&format!(":{starts} ")))
        .unwrap();
    assert!(line.contains(&format!("127.0.0.1:{starts}")), "{line}");
    // implicit-tls-on-a-starttls-port, port-465-without-implicit-tls
    let implicit = Client {
        wrapper: true,
        ..Client::default()
    };
    assert!(implicit.say(wrapper, "QUIT\n").text.contains("CONNECTED"));
    assert!(greets(wrapper).is_none());
    assert!(greets(starts).is_some());
    assert!(
        implicit
            .say(starts, "QUIT\n")
            .text
            .contains("wrong version number")
    );
}

/// What a server says first, if it says anything before the client does.
fn greets(port: u16) -> Option<String> {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(2)))
        .unwrap();
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .ok()
        .filter(|count| *count > 0)
        .map(|_| line)
}

#[test]
fn services_that_are_not_there() {
    let mut bench = Bench::new();
    bench.set("tlsmgr_service_name", "elsewhere");
    let port = bench.server(&[MAY]);
    bench.start();
    // tlsmgr-missing
    hears(
        &starttls(port),
        "454 4.7.0 TLS not available due to local problem",
    );
    bench.logged(
        port,
        "no entropy for TLS key generation: disabling TLS support",
    );
    drop(bench);

    // postscreen-without-tlsproxy, postscreen-without-smtpd
    let (screen, alone) = (Port::reserve().unwrap(), Port::reserve().unwrap());
    let postfix = Setup::new("relay.example.org")
        .set("postscreen_cache_map", "")
        .set("postscreen_greet_wait", "1s")
        .set("postscreen_greet_banner", "$smtpd_banner")
        .set("postscreen_bare_newline_enable", "yes")
        .set("postscreen_access_list", "")
        .service(&format!(
            "{} inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n{} inet n - n - 1 postscreen\n -o smtpd_service_name=nobody\n -o postscreen_access_list=permit_mynetworks\n",
            screen.number(),
            alone.number()
        ))
        .start()
        .unwrap();
    hears(
        &starttls(screen.number()),
        "454 4.7.0 TLS not available due to local problem",
    );
    let said = plain(alone.number(), &[]);
    assert!(
        said.first()
            .is_some_and(|reply| reply.starts_with("421 4.3.2")),
        "{said:?}\n{}",
        postfix.log()
    );
}

#[test]
fn a_service_whose_name_is_not_known_keeps_postfix_from_starting() {
    // smtps-service-name
    let instance = Setup::new("relay.example.org")
        .service("smtpsx inet n - n - - smtpd\n")
        .create()
        .unwrap();
    assert_eq!(instance.run("postfix", &["start"]).unwrap().status, 1);
    assert!(instance.master().is_none());
}

#[test]
fn without_postlog_postfix_does_not_start() {
    // postlog-missing
    let instance = Setup::new("relay.example.org").create().unwrap();
    let path = instance.config().join("master.cf");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: String = text
        .lines()
        .filter(|line| !line.starts_with("postlog"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(path, kept).unwrap();
    assert_eq!(instance.run("postfix", &["start"]).unwrap().status, 1);
    assert!(
        instance
            .log()
            .contains("missing 'postlog' service in master.cf"),
        "{}",
        instance.log()
    );
}

#[test]
fn two_services_on_a_port_take_turns() {
    let port = Port::reserve().unwrap();
    let number = port.number();
    // The same service written twice: the last counts.
    let twice = Port::reserve().unwrap();
    let double = twice.number();
    let postfix = Setup::new("relay.example.org")
        .service(&format!(
            "{number} inet n - n - - smtpd\n -o smtpd_banner=first\n127.0.0.1:{number} inet n - n - - smtpd\n -o smtpd_banner=second\n\
             {double} inet n - n - - smtpd\n -o smtpd_banner=former\n{double} inet n - n - - smtpd\n -o smtpd_banner=latter\n"
        ))
        .start()
        .unwrap();
    // port-of-two-services
    let mut heard = BTreeSet::new();
    wait_for("both", SOON, || {
        heard.extend(plain(number, &[]));
        heard.len() == 2
    })
    .unwrap_or_else(|error| panic!("{error}: {heard:?}\n{}", postfix.log()));
    assert_eq!(
        heard,
        ["220 first".to_owned(), "220 second".to_owned()].into()
    );
    // service-twice
    for _ in 0..10 {
        assert_eq!(plain(double, &[]), ["220 latter"]);
    }
    assert!(
        postfix
            .log()
            .contains("duplicate master.cf entry for service")
    );
}

#[test]
fn options_of_the_other_side_are_passed_over() {
    let internet = Sink::start().unwrap();
    let mut bench = Bench::new();
    // option-of-the-other-side
    let port = bench.server(&[MAY, "smtp_tls_security_level=none"]);
    bench.start();
    hears(&starttls(port), "220 2.0.0");
    let mail_host = Setup::new("mail.example.org")
        .set("default_transport", &format!("out:[127.0.0.1]:{}", internet.port()))
        .set("smtp_tls_security_level", "none")
        .service("out unix - - n - - smtp\n -o smtpd_tls_security_level=encrypt\n -o lmtp_tls_security_level=encrypt\n")
        .start()
        .unwrap();
    mail_host
        .send("a@mail.example.org", "x@far.test", "hello")
        .unwrap();
    internet.wait_for(1, SOON).unwrap();
}
