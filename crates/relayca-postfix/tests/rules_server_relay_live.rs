//! What the rules about relaying by certificate claim of Postfix, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use rules_live::{
    ASK, Bench, Client, DEFER, ENCRYPT, Hosts, MAY, REQUIRE, SHA256, SOON, client, hears, plain,
    postmap, row, table, trusting,
};
use xtask::lab::openssl::{Authority, Usage, openssl};
use xtask::lab::wait_for;

#[test]
fn a_fingerprint_is_all_that_permit_tls_clientcerts_looks_at() {
    let mut bench = Bench::new();
    let hosts = Hosts::new(&bench);
    let Hosts {
        listed,
        expired,
        unlisted,
        foreign,
        own_signed,
    } = &hosts;
    let ca = trusting(&bench);
    let map = format!(
        "relay_clientcerts={}",
        table(
            &bench,
            "map",
            &[listed, expired, own_signed].map(row).concat()
        )
    );
    let service = |bench: &mut Bench, options: &[&str]| {
        let mut all = vec![SHA256, ca.as_str()];
        // Of two options of one name the last counts.
        all.extend_from_slice(options);
        bench.server(&all)
    };
    let asks = service(&mut bench, &[ENCRYPT, ASK, &map, DEFER]);
    let requires = service(&mut bench, &[ENCRYPT, REQUIRE, &map, DEFER]);
    let ignored = service(&mut bench, &[MAY, REQUIRE, &map, DEFER]);
    let silent = service(&mut bench, &[ENCRYPT, &map, DEFER]);
    let without_ca = service(
        &mut bench,
        &[ENCRYPT, REQUIRE, &map, DEFER, "smtpd_tls_CAfile="],
    );
    let appended = service(
        &mut bench,
        &[
            ENCRYPT,
            REQUIRE,
            &map,
            DEFER,
            "smtpd_tls_CAfile=",
            "tls_append_default_CA=yes",
        ],
    );
    let all_of_the_ca = service(
        &mut bench,
        &[
            ENCRYPT,
            ASK,
            "smtpd_relay_restrictions=permit_tls_all_clientcerts,defer",
        ],
    );
    let without_map = service(&mut bench, &[ENCRYPT, ASK, DEFER]);
    let anybody = service(
        &mut bench,
        &[ENCRYPT, ASK, DEFER, "relay_clientcerts=static:yes"],
    );
    let pattern = bench.write("re", "/./ yes\n");
    let by_pattern = service(
        &mut bench,
        &[
            ENCRYPT,
            ASK,
            DEFER,
            &format!("relay_clientcerts=regexp:{pattern}"),
        ],
    );
    let early = service(
        &mut bench,
        &[
            ENCRYPT,
            ASK,
            &map,
            DEFER,
            "smtpd_delay_reject=no",
            "smtpd_client_restrictions=permit_tls_clientcerts,reject",
        ],
    );
    let late = service(
        &mut bench,
        &[ENCRYPT, ASK, &map, DEFER, "smtpd_delay_reject=no"],
    );
    let bundle = service(
        &mut bench,
        &[
            ENCRYPT,
            REQUIRE,
            &map,
            DEFER,
            "smtpd_tls_CAfile=/etc/ssl/certs/ca-certificates.crt",
        ],
    );
    let foreign_ca = bench.directory.path().join("foreign-ca");
    std::fs::create_dir(&foreign_ca).unwrap();
    let foreign_root = Authority::at(bench.directory.path(), "somebody else");
    std::fs::copy(foreign_root.certificate(), foreign_ca.join("1.pem")).unwrap();
    openssl(&["rehash", &foreign_ca.display().to_string()]).unwrap();
    let inherits = service(
        &mut bench,
        &[
            ENCRYPT,
            REQUIRE,
            DEFER,
            "relay_clientcerts=static:yes",
            &format!("smtpd_tls_CApath={}", foreign_ca.display()),
        ],
    );
    bench.start();

    for host in [listed, expired, own_signed] {
        client(host).relay(asks).hears("250 2.1.5");
    }
    for host in [unlisted, foreign] {
        client(host).relay(asks).hears("450 4.3.2");
    }
    Client::default().relay(asks).hears("450 4.3.2");

    client(listed).relay(requires).hears("250 2.1.5");
    for host in [expired, own_signed, foreign] {
        client(host).relay(requires).hears("421 4.7.1");
    }
    Client::default().relay(requires).hears("421 4.7.1");
    client(unlisted).relay(requires).hears("450 4.3.2");
    bench.logged(requires, "Client certificate not trusted");
    bench.logged(requires, "No client certificate presented");

    client(listed).relay(ignored).hears("450 4.3.2");
    bench.logged(ignored, "Can't require client certs unless TLS is required");
    client(listed).relay(silent).hears("450 4.3.2");
    bench.logged(
        silent,
        "permit_tls_clientcerts is requested, but \"smtpd_tls_ask_ccert = no\"",
    );
    for port in [without_ca, appended, bundle] {
        client(listed).relay(port).hears("421 4.7.1");
    }
    // All of them are named to the client.
    let said = Client::default().relay(bundle);
    let named = said
        .text
        .split("Acceptable client certificate CA names")
        .nth(1)
        .unwrap();
    let named = named
        .split("Requested Signature Algorithms")
        .next()
        .unwrap();
    assert!(named.lines().count() > 50, "{named}");
    client(unlisted).relay(all_of_the_ca).hears("250 2.1.5");
    client(foreign).relay(all_of_the_ca).hears("450 4.3.2");
    client(listed).relay(without_map).hears("450 4.3.2");
    assert!(
        !bench.log_of(without_map).contains("warning"),
        "{}",
        bench.log_of(without_map)
    );
    for port in [anybody, by_pattern] {
        client(foreign).relay(port).hears("250 2.1.5");
        Client::default().relay(port).hears("450 4.3.2");
    }
    client(foreign).relay(inherits).hears("250 2.1.5");
    hears(&plain(early, &[]).pop().unwrap_or_default(), "554 5.7.1");
    client(listed).relay(late).hears("250 2.1.5");
}

#[test]
fn on_a_resumed_session_an_expired_certificate_still_relays_unless_tickets_are_off() {
    let mut bench = Bench::new();
    bench.set("max_use", "100");
    // Until it ends there is time for two handshakes.
    let until = |seconds: u64| {
        let date = std::process::Command::new("date")
            .args(["-u", "-d", &format!("+{seconds} seconds"), "+%Y%m%d%H%M%SZ"])
            .output()
            .unwrap();
        String::from_utf8(date.stdout).unwrap().trim().to_owned()
    };
    let ca = trusting(&bench);
    let map = bench.directory.path().join("map");
    let map = format!("relay_clientcerts=lmdb:{}", map.display());
    let tickets = bench.server(&[ENCRYPT, REQUIRE, &ca, SHA256, &map, DEFER]);
    let none = bench.server(&[
        ENCRYPT,
        REQUIRE,
        &ca,
        SHA256,
        &map,
        DEFER,
        "tls_ssl_options=NO_TICKET",
    ]);
    bench.start();
    let short = bench
        .authority
        .issue_between(
            "mail.example.org",
            Usage::Client,
            "20200101000000Z",
            &until(12),
        )
        .unwrap();
    table(&bench, "map", &row(&short));
    let session = |port: u16, option: &str| {
        let file = bench.directory.path().join(format!("session.{port}"));
        Client {
            certificate: Some(&short),
            more: vec![option.to_owned(), file.display().to_string()],
            ..Client::default()
        }
        .relay(port)
    };
    for port in [tickets, none] {
        session(port, "-sess_out").hears("250 2.1.5");
    }
    let path = short.certificate.display().to_string();
    wait_for("the certificate to end", SOON, || {
        openssl(&["x509", "-in", &path, "-noout", "-checkend", "0"]).is_err()
    })
    .unwrap();
    client(&short).relay(tickets).hears("421 4.7.1");
    let said = session(tickets, "-sess_in");
    said.hears("250 2.1.5");
    assert!(said.text.contains("Reused"), "{}", said.text);
    session(none, "-sess_in").hears("421 4.7.1");
    // Out of the table is out at once, on a resumed session too.
    bench.write("map", "");
    postmap(
        "lmdb",
        &bench.directory.path().join("map").display().to_string(),
    );
    session(tickets, "-sess_in").hears("450 4.3.2");
}
