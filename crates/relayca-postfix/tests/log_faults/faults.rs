//! What the faults are made with.

use xtask::lab::openssl::{Certificate, Usage, openssl};

use super::lab::Lab;
use crate::pair::{DOMAIN, RELAY};

/// A fault: its name, and how it is made and tried.
pub type Fault = (&'static str, fn(&mut Lab));

pub fn key() -> String {
    format!("{RELAY}.key.pem")
}

pub fn certificate() -> String {
    format!("{RELAY}.crt.pem")
}

pub fn ca() -> String {
    format!("{DOMAIN}-ca.crt.pem")
}

/// Only asked for a certificate, as many set it up.
pub fn only_asks(lab: &Lab) {
    lab.relay("smtpd_tls_req_ccert", "no");
}

pub fn verbose(lab: &Lab) {
    lab.relay("smtpd_tls_loglevel", "2");
    lab.host("smtp_tls_loglevel", "2");
}

/// A server that never greets is not waited for.
pub fn impatient(lab: &Lab) {
    lab.host("smtp_helo_timeout", "3s");
}

pub fn between(lab: &Lab, usage: Usage, name: &str, from: &str, until: &str) -> Certificate {
    lab.pair
        .authority
        .issue_between(name, usage, from, until)
        .unwrap()
}

pub fn chain(lab: &Lab, files: &[&std::path::Path]) -> String {
    let text: Vec<u8> = files
        .iter()
        .flat_map(|file| std::fs::read(file).unwrap())
        .collect();
    std::fs::write(lab.relay_file("chain.pem"), text).unwrap();
    lab.relay("smtpd_tls_chain_files", &lab.on_relay("chain.pem"));
    lab.on_relay("chain.pem")
}

/// An encrypted copy of a key.
pub fn locked(path: &std::path::Path) {
    let from = path.display().to_string();
    let text = openssl(&["pkey", "-in", &from, "-aes256", "-passout", "pass:secret"]).unwrap();
    std::fs::write(path, text).unwrap();
}

impl Lab {
    /// Defines a restriction class in the service.
    pub fn set_class(&self, name: &str, value: &str) {
        self.main(&self.pair.relay, name, value);
    }
}
