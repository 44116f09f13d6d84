//! A Postfix that does not run: its files, and scripts pasted on them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    dead_code
)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::pair::{DOMAIN, MAIL_HOST, RELAY, write};
use relayca_postfix::{
    MailHost, NewFiles, NextHop, Refusal, RelayService, RelayStyle, SenderBinding, Style,
    files_script, mail_host_snippet, map_script, relay_snippet,
};
use xtask::lab::{Instance, Pasted, Setup};

pub const FINGERPRINT: &str = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

pub fn instance() -> Instance {
    let instance = Setup::new(RELAY)
        .knows("relay2.example.org")
        .create()
        .unwrap();
    for file in [
        "relay.example.org.key.pem",
        "relay.example.org.crt.pem",
        "mail.example.org.key.pem",
        "mail.example.org.crt.pem",
        "example.org-ca.crt.pem",
        "example.net-ca.crt.pem",
    ] {
        write(&instance.config().join("relayca").join(file), "PEM\n");
    }
    // Postfix waits two seconds for each main.cf that was written just now. What the real thing says is for the other
    // tests.
    pretend(&instance, "postfix", "[ \"$1\" = check ]");
    pretend(&instance, "postmap", "[ -f \"$1\" ]");
    paste(
        &instance,
        &map_script(&instance.config_inside(), "# nobody\n", None).unwrap(),
    );
    instance
}

/// No longer pretends.
pub fn real(instance: &Instance, program: &str) {
    fs::remove_file(instance.directory().join("bin").join(program)).unwrap();
}

/// Puts a program of another's name first on the path.
pub fn pretend(instance: &Instance, program: &str, script: &str) {
    let bin = instance.directory().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join(program), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn paste_into(instance: &Instance, shell: &[&str], script: &str) -> Pasted {
    crate::pair::backdate(instance);
    let path = format!(
        "PATH={}:{}:/usr/sbin",
        instance.directory().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    instance
        .paste_into(&[&["env", path.as_str()], shell].concat(), script)
        .unwrap()
}

pub fn try_paste(instance: &Instance, script: &str) -> Pasted {
    paste_into(instance, &["sh"], script)
}

pub fn paste(instance: &Instance, script: &str) -> Pasted {
    let pasted = try_paste(instance, script);
    assert!(pasted.ok(), "{pasted:?}");
    pasted
}

pub fn service(instance: &Instance) -> RelayService {
    RelayService {
        domain: DOMAIN.to_owned(),
        relay: RELAY.to_owned(),
        port: 2500,
        wrapper: false,
        config_directory: instance.config_inside(),
        digest: "sha256".to_owned(),
        refusal: Refusal::Defer,
        senders: Vec::new(),
    }
}

pub fn mail_host(instance: &Instance, style: Style) -> MailHost {
    MailHost {
        domain: DOMAIN.to_owned(),
        host: MAIL_HOST.to_owned(),
        config_directory: instance.config_inside(),
        relays: vec![NextHop {
            destination: RELAY.to_owned(),
            port: 2500,
            certificate_name: RELAY.to_owned(),
        }],
        wrapper: false,
        style,
    }
}

pub fn block(instance: &Instance) -> String {
    relay_snippet(&service(instance), RelayStyle::Block)
        .unwrap()
        .script
}

pub fn transport(instance: &Instance) -> String {
    mail_host_snippet(&mail_host(instance, Style::Transport))
        .unwrap()
        .script
}

pub fn every_script(instance: &Instance) -> Vec<String> {
    let mut bound = service(instance);
    bound.senders = vec![SenderBinding {
        host: MAIL_HOST.to_owned(),
        senders: vec![DOMAIN.to_owned()],
    }];
    let mut two = mail_host(instance, Style::Main);
    two.relays.push(NextHop {
        destination: "2001:db8::1".to_owned(),
        port: 465,
        certificate_name: "relay2.example.org".to_owned(),
    });
    two.wrapper = true;
    vec![
        block(instance),
        relay_snippet(&service(instance), RelayStyle::Postconf)
            .unwrap()
            .script,
        relay_snippet(&bound, RelayStyle::Block).unwrap().script,
        relay_snippet(&bound, RelayStyle::Postconf).unwrap().script,
        transport(instance),
        mail_host_snippet(&mail_host(instance, Style::Main))
            .unwrap()
            .script,
        mail_host_snippet(&mail_host(instance, Style::Postconf))
            .unwrap()
            .script,
        mail_host_snippet(&two).unwrap().script,
        map_script(
            &instance.config_inside(),
            &format!("{FINGERPRINT} mail.example.org\n"),
            Some(7),
        )
        .unwrap(),
        new_files(instance, PEM, None),
        new_files(instance, PEM, Some(PEM)),
    ]
}

/// Something in the shape of a certificate.
pub const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// The block that puts certificates beside the mail host's key.
pub fn new_files(instance: &Instance, trust: &str, certificate: Option<&str>) -> String {
    files_script(&NewFiles {
        domain: DOMAIN,
        host: MAIL_HOST,
        config_directory: &instance.config_inside(),
        trust,
        certificate,
    })
    .unwrap()
}

/// Everything in the configuration directory, with names and modes.
pub fn everything(instance: &Instance) -> Vec<(String, u32, Vec<u8>)> {
    let mut files = Vec::new();
    for directory in [instance.config(), instance.config().join("relayca")] {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                files.push((
                    entry.path().display().to_string(),
                    entry.metadata().unwrap().mode(),
                    fs::read(entry.path()).unwrap(),
                ));
            }
        }
    }
    files.sort();
    files
}
