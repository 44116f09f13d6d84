//! What the rules about the server, and about who relays without a certificate, claim of Postfix, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use rules_live::{
    ASK, Bench, Client, DEFER, ENCRYPT, Hosts, MAY, REQUIRE, SHA256, SOON, client, hears, row,
    starttls, stranger, table, trusting,
};
use xtask::lab::{Sink, wait_for};

#[test]
fn the_level_decides_what_a_server_does() {
    let mut bench = Bench::new();
    let without = bench.service(&[MAY]);
    let anonymous = bench.service(&[MAY, "smtpd_tls_cert_file=none"]);
    let anonymous_asking = bench.service(&[MAY, "smtpd_tls_cert_file=none", ASK]);
    let asking_without = bench.service(&[MAY, ASK]);
    let unset = bench.server(&[]);
    let verify = bench.server(&["smtpd_tls_security_level=verify"]);
    let dane = bench.server(&["smtpd_tls_security_level=dane"]);
    let commented = bench.server(&["smtpd_tls_security_level=may # as they say"]);
    let three = bench.server(&[MAY, "smtpd_tls_loglevel=3"]);
    let four = bench.server(&[MAY, "smtpd_tls_loglevel=4"]);
    let one = bench.server(&[MAY, "smtpd_tls_loglevel=1"]);
    bench.start();
    for port in [without, asking_without, anonymous_asking] {
        hears(
            &starttls(port),
            "454 4.7.0 TLS not available due to local problem",
        );
        bench.logged(port, "No server certs available. TLS won't be enabled");
    }
    hears(&starttls(anonymous), "220");
    assert!(Client::default().relay(anonymous).shown().is_empty());
    bench.logged(anonymous, "no shared cipher");
    hears(&starttls(unset), "502 5.5.1");
    let said = Client::default().relay(verify);
    assert_eq!(said.shown().len(), 1, "{}", said.text);
    bench.logged(
        verify,
        "unsupported TLS level \"verify\", using \"encrypt\"",
    );
    hears(
        &stranger(verify, "x@example.com"),
        "530 5.7.0 Must issue a STARTTLS command first",
    );
    for port in [dane, commented] {
        bench.stops(port, "fatal: Invalid TLS level");
    }
    let lines = [one, three, four].map(|port| {
        let _ = Client::default().relay(port);
        bench.logged(port, "disconnect");
        bench.log_of(port).lines().count()
    });
    assert!(
        lines[0] < 10 && lines[1] > 60 && lines[2] > lines[1],
        "{lines:?}"
    );
    assert!(bench.log_of(three).contains(": 0000 "));
}

#[test]
fn order_and_list_decide_before_the_certificate_does() {
    let internet = Sink::start().unwrap();
    let mut bench = Bench::new();
    bench.relays_to(&internet);
    bench.set("relay_domains", "example.net");
    let hosts = Hosts::new(&bench);
    let Hosts {
        listed, unlisted, ..
    } = &hosts;
    let (ca, map) = (
        trusting(&bench),
        format!("relay_clientcerts={}", table(&bench, "map", &row(listed))),
    );
    let service = |bench: &mut Bench, options: &[&str]| {
        let mut all = vec![SHA256, ENCRYPT, REQUIRE, ca.as_str(), map.as_str()];
        all.extend_from_slice(options);
        bench.server(&all)
    };
    let relay = |list: &str| format!("smtpd_relay_restrictions={list}");
    let unknown = service(&mut bench, &[&relay("permit_tls_clientcert,defer")]);
    let too_late = service(
        &mut bench,
        &[&relay("defer_unauth_destination,permit_tls_clientcerts")],
    );
    let wrong_list = service(
        &mut bench,
        &[
            &relay("permit_mynetworks,defer_unauth_destination"),
            "smtpd_recipient_restrictions=permit_tls_clientcerts,reject",
        ],
    );
    let refused_by_recipient = service(
        &mut bench,
        &[
            DEFER,
            "smtpd_recipient_restrictions=permit_mynetworks,reject_unauth_destination",
        ],
    );
    let refused_by_client = service(&mut bench, &[DEFER, "smtpd_client_restrictions=reject"]);
    let refused_by_name = service(
        &mut bench,
        &[
            DEFER,
            "smtpd_client_restrictions=reject_unknown_reverse_client_hostname",
        ],
    );
    let rejects = service(&mut bench, &[&relay("permit_tls_clientcerts,reject")]);
    let softened = service(
        &mut bench,
        &[&relay("permit_tls_clientcerts,reject"), "reject_code=450"],
    );
    let for_mx = service(
        &mut bench,
        &[&relay("permit_tls_clientcerts,reject_unauth_destination")],
    );
    let nothing = service(&mut bench, &[&relay("permit_tls_clientcerts")]);
    let only_warns = service(
        &mut bench,
        &[&relay("permit_tls_clientcerts,warn_if_reject,reject")],
    );
    let behind_permit = service(
        &mut bench,
        &[&relay("permit_tls_clientcerts,permit,reject")],
    );
    let open_beside = service(&mut bench, &[DEFER]);
    let unlisted_recipients = service(&mut bench, &[DEFER, "smtpd_reject_unlisted_recipient=no"]);
    let addresses = service(
        &mut bench,
        &[
            &relay("permit_mynetworks,permit_tls_clientcerts,defer"),
            "mynetworks=127.0.0.0/8",
        ],
    );
    let header = bench.server(&[
        SHA256,
        ENCRYPT,
        REQUIRE,
        &ca,
        &map,
        DEFER,
        "smtpd_tls_received_header=yes",
    ]);
    bench.start();

    client(listed)
        .relay(unknown)
        .hears("451 4.3.5 Server configuration error");
    bench.logged(
        unknown,
        "unknown smtpd restriction: \"permit_tls_clientcert\"",
    );
    for port in [too_late, wrong_list] {
        client(listed)
            .relay(port)
            .hears("454 4.7.1 <x@example.com>: Relay access denied");
    }
    client(listed)
        .relay(refused_by_recipient)
        .hears("554 5.7.1 <x@example.com>: Relay access denied");
    client(listed).relay(refused_by_client).hears("554 5.7.1");
    client(listed).relay(refused_by_name).hears("4");
    client(unlisted).relay(rejects).hears("554 5.7.1");
    client(unlisted).relay(softened).hears("450 ");
    client(unlisted)
        .relay(for_mx)
        .hears("554 5.7.1 <x@example.com>: Relay access denied");
    client(unlisted)
        .mail(for_mx, "root@relay.example.org")
        .hears("250 2.1.5");
    for port in [nothing, only_warns, behind_permit] {
        bench.stops(port, "specify at least one working instance of");
    }
    bench.logged(behind_permit, "after `permit' is ignored");
    // What a client of the CA may do though it is not listed; VRFY is judged like a recipient.
    let asked = "EHLO c.example.net\nVRFY root\nETRN example.net\nQUIT\n";
    let said = client(unlisted).say(open_beside, asked);
    let [.., vrfy, etrn] = &said.replies[..] else {
        panic!("{}", said.text);
    };
    hears(vrfy, "450 4.3.2");
    hears(etrn, "250 Queuing started");
    let said = client(listed).say(open_beside, asked);
    assert!(
        said.replies
            .iter()
            .any(|reply| reply.starts_with("252 2.0.0 root")),
        "{}",
        said.text
    );
    let offered = plain_ehlo(open_beside);
    assert!(
        offered.contains("ETRN") && offered.contains("VRFY"),
        "{offered}"
    );
    client(listed)
        .mail(unlisted_recipients, "nobody-here@relay.example.org")
        .hears("250 2.1.5");
    client(listed)
        .mail(open_beside, "nobody-here@relay.example.org")
        .hears("550 5.1.1");
    client(unlisted).relay(addresses).hears("250 2.1.5");
    // The header names the client's certificate, or does not.
    for (port, to, named) in [
        (header, "told@example.com", true),
        (open_beside, "untold@example.com", false),
    ] {
        let said = client(listed).say(
            port,
            &format!("EHLO c.example.net\nMAIL FROM:<a@example.net>\nrcpt TO:<{to}>\nDATA\nSubject: x\n\nhello\n.\nQUIT\n"),
        );
        assert!(said.text.contains("250 2.0.0 Ok: queued"), "{}", said.text);
        let arrived = || {
            internet
                .messages()
                .into_iter()
                .find(|message| message.to == [to])
        };
        wait_for("the message", SOON, || arrived().is_some()).unwrap();
        let text = arrived().unwrap().text;
        assert_eq!(
            text.contains("Client CN \"mail.example.org\""),
            named,
            "{text}"
        );
    }
}

/// What EHLO offers before TLS.
fn plain_ehlo(port: u16) -> String {
    use std::io::{BufRead as _, Write as _};
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut out = stream.try_clone().unwrap();
    let mut text = String::new();
    for line in std::io::BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        if line.starts_with("220 ") {
            out.write_all(b"EHLO c.example.net\r\n").unwrap();
        }
        text.push_str(&line);
        text.push('\n');
        if line.starts_with("250 ") {
            break;
        }
    }
    text
}

#[test]
fn a_stranger_relays_where_addresses_senders_or_domains_say_so() {
    let mut bench = Bench::new();
    bench.set("relay_domains", "*, *.example.com, static:all");
    let relay = |list: &str| format!("smtpd_relay_restrictions={list}");
    let networks = bench.service(&[
        &relay("permit_mynetworks,reject_unauth_destination"),
        "mynetworks=0.0.0.0/0",
        "relay_domains=",
    ]);
    let bits = bench.service(&[
        &relay("permit_mynetworks,reject_unauth_destination"),
        "mynetworks=192.168.1.5/24",
    ]);
    let everybody = bench.service(&[&relay("check_client_access,static:OK,reject")]);
    let senders = bench.service(&[&relay(
        "check_sender_access,inline:{{example.net=OK}},reject",
    )]);
    let helo = bench.service(&[&relay(
        "check_helo_access,inline:{{client.example.net=OK}},reject",
    )]);
    let every_domain = bench.service(&[&relay("permit_mynetworks,reject_unauth_destination")]);
    bench.start();
    for port in [networks, everybody, senders, helo, every_domain] {
        hears(&stranger(port, "x@example.com"), "250 2.1.5");
    }
    hears(&stranger(bits, "x@example.com"), "451 4.3.0");
    bench.logged(bits, "non-null host address bits in");
    // What follows from the interfaces: of a class or network every address.
    let postconf = |arguments: &[&str]| bench.postfix().run("postconf", arguments).unwrap().stdout;
    postconf(&["-X", "mynetworks"]);
    for (style, networks) in [
        ("class", "127.0.0.0/8"),
        ("subnet", "127.0.0.0/8"),
        ("host", "127.0.0.1/32"),
    ] {
        postconf(&["-e", &format!("mynetworks_style={style}")]);
        assert_eq!(postconf(&["-h", "mynetworks"]).trim(), networks);
    }

    let mut wild = Bench::new();
    wild.set("relay_domains", "*, *.example.com");
    let port = wild.service(&[&relay("permit_mynetworks,reject_unauth_destination")]);
    // An option of smtpd changes nothing: trivial-rewrite decides, by main.cf.
    let own = wild.service(&[
        &relay("permit_mynetworks,reject_unauth_destination"),
        "relay_domains=static:all",
    ]);
    wild.start();
    for to in ["x@example.com", "x@sub.example.com"] {
        hears(&stranger(port, to), "554 5.7.1");
        hears(&stranger(own, to), "554 5.7.1");
    }
}
