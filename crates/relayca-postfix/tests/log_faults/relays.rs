//! What the relay's own configuration does: a fault each.

use xtask::lab::openssl::Usage;

use super::faults::{Fault, ca, certificate, chain, impatient, key, locked};
use crate::pair::RELAY;

/// What the relay's own configuration does.
pub const RELAYS: &[Fault] = &[
    ("map-missing", |lab| {
        for entry in std::fs::read_dir(lab.relay_file("")).unwrap() {
            let path = entry.unwrap().path();
            if path.display().to_string().contains("relay_clientcerts") {
                std::fs::remove_file(path).unwrap();
            }
        }
        lab.attempt();
    }),
    ("map-type-unknown", |lab| {
        lab.relay(
            "relay_clientcerts",
            &format!("nosuch:{}", lab.on_relay("relay_clientcerts")),
        );
        lab.attempt();
    }),
    ("map-older-than-its-text", |lab| {
        // Said only of a text that has been newer for 100 seconds.
        let now = std::time::SystemTime::now();
        for entry in std::fs::read_dir(lab.relay_file("")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("relay_clientcerts") {
                let age = if name == "relay_clientcerts" {
                    500
                } else {
                    1000
                };
                let file = std::fs::File::options().append(true).open(path).unwrap();
                file.set_modified(now - std::time::Duration::from_secs(age))
                    .unwrap();
            }
        }
        lab.attempt();
    }),
    ("map-changed", |lab| {
        lab.attempt();
        lab.list(&[]);
        lab.send();
    }),
    ("digest-left-to-default", |lab| {
        lab.main(&lab.pair.relay, "compatibility_level", "2");
        let said = lab
            .pair
            .relay
            .run(
                "postconf",
                &[
                    "-PX",
                    &format!("{}/smtpd_tls_fingerprint_digest", lab.service()),
                ],
            )
            .unwrap();
        assert!(said.ok(), "{}", said.stderr);
        lab.attempt();
    }),
    ("key-missing", |lab| {
        std::fs::remove_file(lab.relay_file(&key())).unwrap();
        lab.attempt();
    }),
    ("key-of-another", |lab| {
        let other = lab.pair.authority.issue(RELAY, Usage::Server).unwrap();
        std::fs::copy(other.key, lab.relay_file(&key())).unwrap();
        lab.attempt();
    }),
    ("key-locked", |lab| {
        locked(&lab.relay_file(&key()));
        lab.attempt();
    }),
    ("key-and-certificate-swapped", |lab| {
        lab.relay("smtpd_tls_cert_file", &lab.on_relay(&key()));
        lab.relay("smtpd_tls_key_file", &lab.on_relay(&certificate()));
        lab.attempt();
    }),
    ("certificate-missing", |lab| {
        std::fs::remove_file(lab.relay_file(&certificate())).unwrap();
        lab.attempt();
    }),
    ("certificate-not-pem", |lab| {
        std::fs::write(lab.relay_file(&certificate()), "nonsense\n").unwrap();
        lab.attempt();
    }),
    ("path-relative", |lab| {
        lab.relay("smtpd_tls_cert_file", &format!("relayca/{}", certificate()));
        lab.attempt();
    }),
    ("ca-file-missing", |lab| {
        std::fs::remove_file(lab.relay_file(&ca())).unwrap();
        lab.attempt();
    }),
    ("wrapper-key-swapped", |lab| {
        lab.relay("smtpd_tls_wrappermode", "yes");
        lab.host("smtp_tls_wrappermode", "yes");
        lab.relay("smtpd_tls_cert_file", &lab.on_relay(&key()));
        lab.relay("smtpd_tls_key_file", &lab.on_relay(&certificate()));
        lab.attempt();
    }),
    ("chain-missing", |lab| {
        lab.relay("smtpd_tls_chain_files", &lab.on_relay("nowhere.pem"));
        lab.attempt();
    }),
    ("chain-key-not-first", |lab| {
        chain(
            lab,
            &[&lab.relay_file(&certificate()), &lab.relay_file(&key())],
        );
        lab.attempt();
    }),
    ("chain-of-another", |lab| {
        let other = lab.pair.authority.issue(RELAY, Usage::Server).unwrap();
        chain(lab, &[&other.key, &lab.relay_file(&certificate())]);
        lab.attempt();
    }),
    ("chain-beats-files", |lab| {
        chain(
            lab,
            &[&lab.relay_file(&key()), &lab.relay_file(&certificate())],
        );
        lab.attempt();
    }),
    ("level-with-comment", |lab| {
        impatient(lab);
        lab.rewrite(&lab.pair.relay.config().join("master.cf"), |text| {
            text.replace(
                "smtpd_tls_security_level=encrypt",
                "{ smtpd_tls_security_level = encrypt # always }",
            )
        });
        lab.attempt();
    }),
    ("restrictions-with-space", |lab| {
        impatient(lab);
        lab.rewrite(&lab.pair.relay.config().join("master.cf"), |text| {
            text.replace(
                "permit_tls_clientcerts,defer",
                "permit_tls_clientcerts, defer",
            )
        });
        lab.attempt();
    }),
    ("override-with-spaces", |lab| {
        impatient(lab);
        lab.rewrite(&lab.pair.relay.config().join("master.cf"), |text| {
            text.replace("smtpd_tls_ask_ccert=yes", "smtpd_tls_ask_ccert = yes")
        });
        lab.attempt();
    }),
    ("restriction-unknown", |lab| {
        impatient(lab);
        lab.relay("smtpd_relay_restrictions", "permit_tls_clientcert,reject");
        lab.attempt();
    }),
    ("protocols-misspelt", |lab| {
        impatient(lab);
        lab.relay("smtpd_tls_mandatory_protocols", "TLSv9");
        lab.attempt();
    }),
    ("relay-only-old-tls", |lab| {
        lab.relay("smtpd_tls_mandatory_protocols", "TLSv1");
        lab.attempt();
    }),
    ("host-only-old-tls", |lab| {
        lab.host("smtp_tls_mandatory_protocols", "TLSv1");
        lab.attempt();
    }),
    ("starttls-not-offered", |lab| {
        lab.relay("smtpd_tls_security_level", "none");
        lab.attempt();
    }),
    ("rate-limit", |lab| {
        lab.relay("mynetworks", "192.0.2.1/32");
        lab.relay("smtpd_client_connection_rate_limit", "1");
        lab.relay("smtpd_client_event_limit_exceptions", "");
        lab.reload();
        lab.send();
        lab.send();
    }),
];
