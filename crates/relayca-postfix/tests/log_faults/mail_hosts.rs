//! What the mail host's configuration does, and the relay's certificate: a fault each.

use xtask::lab::Port;
use xtask::lab::openssl::{Certificate, Usage};

use super::faults::{Fault, between, ca, verbose};
use crate::pair::{MAIL_HOST, RELAY};

/// What the mail host's configuration does.
pub const MAIL_HOSTS: &[Fault] = &[
    ("starttls-first", |lab| {
        lab.host("smtp_tls_security_level", "none");
        lab.host("smtp_tls_policy_maps", "");
        lab.attempt();
    }),
    ("host-key-missing", |lab| {
        std::fs::remove_file(lab.host_file(&format!("{MAIL_HOST}.key.pem"))).unwrap();
        lab.attempt();
    }),
    ("host-key-of-another", |lab| {
        let other = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        std::fs::copy(other.key, lab.host_file(&format!("{MAIL_HOST}.key.pem"))).unwrap();
        lab.attempt();
    }),
    ("host-ca-file-missing", |lab| {
        std::fs::remove_file(lab.host_file(&ca())).unwrap();
        lab.attempt();
    }),
    ("host-chain-missing", |lab| {
        lab.host("smtp_tls_chain_files", &lab.on_host("nowhere.pem"));
        lab.attempt();
    }),
    ("relay-of-another-name", |lab| {
        let other = lab
            .pair
            .authority
            .issue("other.example.org", Usage::Server)
            .unwrap();
        lab.relay_shows(&other);
        lab.attempt();
    }),
    ("relay-expired", |lab| {
        let bad = between(
            lab,
            Usage::Server,
            RELAY,
            "20200101000000Z",
            "20200201000000Z",
        );
        lab.relay_shows(&bad);
        lab.attempt();
    }),
    ("relay-not-yet-valid", |lab| {
        let bad = between(
            lab,
            Usage::Server,
            RELAY,
            "20900101000000Z",
            "20910201000000Z",
        );
        lab.relay_shows(&bad);
        lab.attempt();
    }),
    ("relay-foreign-ca", |lab| {
        let bad = lab.foreign.issue(RELAY, Usage::Server).unwrap();
        lab.relay_shows(&bad);
        lab.attempt();
    }),
    ("relay-self-signed", |lab| {
        let bad = Certificate::self_signed(lab.pair.directory.path(), RELAY).unwrap();
        lab.relay_shows(&bad);
        lab.attempt();
    }),
    ("relay-wrong-purpose", |lab| {
        let bad = lab.pair.authority.issue(RELAY, Usage::Client).unwrap();
        lab.relay_shows(&bad);
        lab.attempt();
    }),
    ("wrapper-to-starttls", |lab| {
        lab.host("smtp_tls_wrappermode", "yes");
        lab.attempt();
    }),
    ("starttls-to-wrapper", |lab| {
        lab.relay("smtpd_tls_wrappermode", "yes");
        lab.host("smtp_helo_timeout", "2s");
        lab.attempt();
    }),
    ("relay-name-unknown", |lab| {
        lab.main(
            &lab.pair.mail_host,
            "default_transport",
            "relayca:[nowhere.example.org]:2500",
        );
        lab.host("relayhost", "");
        lab.attempt();
    }),
    ("relay-name-unknown-dns", |lab| {
        lab.main(
            &lab.pair.mail_host,
            "default_transport",
            "relayca:nowhere.example.invalid:2500",
        );
        lab.host("relayhost", "");
        lab.host("smtp_host_lookup", "dns");
        lab.attempt();
    }),
    ("relay-not-listening", |lab| {
        let nobody = Port::reserve().unwrap();
        lab.main(
            &lab.pair.mail_host,
            "default_transport",
            &format!("relayca:[{RELAY}]:{}", nobody.number()),
        );
        lab.attempt();
    }),
    ("transport-missing", |lab| {
        lab.main(
            &lab.pair.mail_host,
            "default_transport",
            &format!("relaycaa:[{RELAY}]:2500"),
        );
        lab.attempt();
    }),
    ("session-resumed", |lab| {
        verbose(lab);
        lab.relay("tls_ssl_options", "");
        lab.host(
            "smtp_tls_session_cache_database",
            "btree:${data_directory}/relay_scache",
        );
        lab.attempt();
        lab.send();
    }),
    ("expired-in-the-queue", |lab| {
        lab.main(&lab.pair.mail_host, "maximal_queue_lifetime", "0");
        let bad = lab.pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
        lab.show(&bad);
        lab.attempt();
    }),
    ("policy-misspelt", |lab| {
        lab.host("smtp_tls_policy_maps", "static:secured");
        lab.attempt_in_vain();
    }),
    ("wrapper-without-encrypt", |lab| {
        lab.host("smtp_tls_wrappermode", "yes");
        lab.host("smtp_tls_policy_maps", "");
        lab.host("smtp_tls_security_level", "may");
        lab.attempt();
    }),
    ("host-level-with-comment", |lab| {
        lab.rewrite(&lab.pair.mail_host.config().join("master.cf"), |text| {
            text.replace(
                "smtp_tls_security_level=secure",
                "{ smtp_tls_security_level = secure # always }",
            )
            .replace(
                "smtp_tls_policy_maps=static:secure",
                "smtp_tls_policy_maps=",
            )
        });
        lab.attempt_in_vain();
    }),
    ("host-key-missing-may", |lab| {
        std::fs::remove_file(lab.host_file(&format!("{MAIL_HOST}.key.pem"))).unwrap();
        lab.host("smtp_tls_policy_maps", "");
        lab.host("smtp_tls_security_level", "may");
        lab.attempt();
    }),
];
