//! Who may not relay, and how the relay says so: a fault each.

use xtask::lab::openssl::{Certificate, Usage, openssl};

use super::faults::{Fault, between, only_asks, verbose};
use super::lab::{authority_with, issued_by};
use crate::pair::MAIL_HOST;

/// Who may not relay, and how the relay says so.
pub const CLIENTS: &[Fault] = &[
    ("relayed", |lab| lab.attempt()),
    ("relayed-loglevel-2", |lab| {
        verbose(lab);
        lab.attempt();
    }),
    ("client-unlisted", |lab| {
        verbose(lab);
        let other = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&other);
        lab.attempt();
    }),
    ("client-unlisted-reject", |lab| {
        lab.relay("smtpd_relay_restrictions", "permit_tls_clientcerts,reject");
        let other = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&other);
        lab.attempt();
    }),
    ("client-unlisted-verbose", |lab| {
        lab.rewrite(&lab.pair.relay.config().join("master.cf"), |text| {
            let port = lab.pair.port.number().to_string();
            text.lines()
                .map(|line| {
                    let verbose = line.starts_with(&port) && line.trim_end().ends_with("smtpd");
                    format!("{}{}\n", line, if verbose { " -v" } else { "" })
                })
                .collect()
        });
        let other = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&other);
        lab.attempt();
    }),
    ("client-in-client-restrictions", |lab| {
        lab.relay("smtpd_client_restrictions", "permit_tls_clientcerts,reject");
        let other = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&other);
        lab.attempt();
    }),
    ("relay-access-denied", |lab| {
        lab.relay(
            "smtpd_relay_restrictions",
            "permit_tls_clientcerts,reject_unauth_destination",
        );
        let other = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&other);
        lab.attempt();
    }),
    ("relay-access-deferred", |lab| {
        lab.relay(
            "smtpd_relay_restrictions",
            "permit_tls_clientcerts,defer_unauth_destination",
        );
        let other = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&other);
        lab.attempt();
    }),
    ("client-expired", |lab| {
        let bad = between(
            lab,
            Usage::Client,
            MAIL_HOST,
            "20200101000000Z",
            "20200201000000Z",
        );
        lab.show(&bad);
        lab.attempt();
    }),
    ("client-not-yet-valid", |lab| {
        let bad = between(
            lab,
            Usage::Client,
            MAIL_HOST,
            "20900101000000Z",
            "20910201000000Z",
        );
        lab.show(&bad);
        lab.attempt();
    }),
    ("client-foreign-ca", |lab| {
        let bad = lab.foreign.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&bad);
        lab.attempt();
    }),
    ("client-self-signed", |lab| {
        let bad = Certificate::self_signed(lab.pair.directory.path(), MAIL_HOST).unwrap();
        lab.show(&bad);
        lab.attempt();
    }),
    ("client-wrong-purpose", |lab| {
        let bad = lab.pair.authority.issue(MAIL_HOST, Usage::Server).unwrap();
        lab.show(&bad);
        lab.attempt();
    }),
    ("client-outside-constraints", |lab| {
        let place = lab.pair.directory.path().join("constrained");
        let (ca, ca_key) = authority_with(
            &place,
            "nameConstraints=critical,permitted;DNS:example.com",
            None,
        );
        lab.show(&issued_by(&place, MAIL_HOST, Usage::Client, (&ca, &ca_key)));
        lab.trust(&lab.pair.relay, &ca);
        lab.attempt();
    }),
    ("client-ca-replaced", |lab| {
        // With the same key identifiers nothing but the signature tells them apart.
        let place = lab.pair.directory.path().join("plain");
        let (ca, ca_key) = authority_with(&place.join("old"), "subjectKeyIdentifier=none", None);
        let (new, _) = authority_with(&place.join("new"), "subjectKeyIdentifier=none", None);
        lab.show(&issued_by(&place, MAIL_HOST, Usage::Client, (&ca, &ca_key)));
        lab.trust(&lab.pair.relay, &new);
        lab.attempt();
    }),
    ("client-ca-only-intermediate", |lab| {
        let place = lab.pair.directory.path().join("three");
        let (root, root_key) = authority_with(&place.join("root"), "", None);
        let (middle, middle_key) =
            authority_with(&place.join("middle"), "", Some((&root, &root_key)));
        lab.show(&issued_by(
            &place,
            MAIL_HOST,
            Usage::Client,
            (&middle, &middle_key),
        ));
        lab.trust(&lab.pair.relay, &middle);
        lab.attempt();
    }),
    ("client-ca-expired", |lab| {
        let place = lab.pair.directory.path().join("old-root");
        let (root, root_key) = authority_with(&place, "", None);
        let bad = issued_by(&place, MAIL_HOST, Usage::Client, (&root, &root_key));
        let text = |path: &std::path::Path| path.display().to_string();
        std::fs::write(place.join("index.txt"), "").unwrap();
        std::fs::write(place.join("ca.cnf"), format!("[ca]\ndefault_ca=d\n[d]\ndatabase={d}/index.txt\nnew_certs_dir={d}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n", d = place.display())).unwrap();
        openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-selfsign",
            "-config",
            &text(&place.join("ca.cnf")),
            "-keyfile",
            &text(&root_key),
            "-in",
            &text(&place.join("ca.csr")),
            "-out",
            &text(&root),
            "-startdate",
            "20200101000000Z",
            "-enddate",
            "20210101000000Z",
            "-extfile",
            &text(&place.join("ca.ext")),
        ])
        .unwrap();
        lab.show(&bad);
        lab.trust(&lab.pair.relay, &root);
        lab.attempt();
    }),
    ("client-no-certificate", |lab| {
        lab.host("smtp_tls_cert_file", "");
        lab.host("smtp_tls_key_file", "");
        lab.attempt();
    }),
    ("client-no-certificate-asked", |lab| {
        only_asks(lab);
        lab.host("smtp_tls_cert_file", "");
        lab.host("smtp_tls_key_file", "");
        lab.attempt();
    }),
    ("client-expired-asked", |lab| {
        only_asks(lab);
        let bad = between(
            lab,
            Usage::Client,
            MAIL_HOST,
            "20200101000000Z",
            "20200201000000Z",
        );
        lab.show(&bad);
        lab.attempt();
    }),
    ("client-expired-asked-listed", |lab| {
        only_asks(lab);
        let bad = between(
            lab,
            Usage::Client,
            MAIL_HOST,
            "20200101000000Z",
            "20200201000000Z",
        );
        lab.show(&bad);
        lab.list(&[&bad]);
        lab.attempt();
    }),
    ("certificate-not-asked-for", |lab| {
        only_asks(lab);
        lab.relay("smtpd_tls_ask_ccert", "no");
        lab.attempt();
    }),
    ("required-under-may", |lab| {
        lab.relay("smtpd_tls_security_level", "may");
        lab.relay("smtpd_tls_ask_ccert", "no");
        lab.attempt();
    }),
    ("certificate-access-denied", |lab| {
        let map = lab.relay_file("denied");
        std::fs::write(
            &map,
            format!("{} REJECT\n", lab.pair.listed.fingerprint().unwrap()),
        )
        .unwrap();
        lab.relay(
            "smtpd_relay_restrictions",
            &format!(
                "check_ccert_access,texthash:{},reject",
                lab.on_relay("denied")
            ),
        );
        lab.attempt();
    }),
    ("sender-not-bound", |lab| {
        let map = lab.relay_file("bound");
        std::fs::write(
            &map,
            format!("{} only_com\n", lab.pair.listed.fingerprint().unwrap()),
        )
        .unwrap();
        lab.relay("smtpd_restriction_classes", "only_com");
        lab.set_class(
            "only_com",
            "check_sender_access inline:{ { <> = OK } { example.com = OK } }, reject",
        );
        lab.relay(
            "smtpd_relay_restrictions",
            &format!(
                "check_ccert_access,texthash:{},reject",
                lab.on_relay("bound")
            ),
        );
        lab.attempt();
    }),
];
