//! Hosts in roles, as the tests describe them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code
)]

pub mod server;
pub mod still;

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::{Role, RoleHost, ServerCertificate};

pub const HOST: &str = "mail.example.org";

/// As most systems have it, with a certificate of Let's Encrypt.
pub fn host(role: Role) -> RoleHost {
    RoleHost {
        role,
        host: Some(HOST.to_owned()),
        certificate: ServerCertificate::LetsEncrypt {
            directory: "/etc/letsencrypt".to_owned(),
            name: HOST.to_owned(),
        },
        config_directory: "/etc/postfix".to_owned(),
        queue_directory: "/var/spool/postfix".to_owned(),
        dovecot_directory: "/etc/dovecot".to_owned(),
        dovecot_version: None,
        port: None,
        style: RelayStyle::Block,
    }
}

/// The same with a certificate of our CA.
pub fn of_our_ca(role: Role) -> RoleHost {
    RoleHost {
        certificate: ServerCertificate::Authority {
            domain: "example.org".to_owned(),
            host: HOST.to_owned(),
            config_directory: "/etc/postfix".to_owned(),
        },
        ..host(role)
    }
}
