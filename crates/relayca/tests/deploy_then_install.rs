//! A host that `deploy` set up, and then `install`: a new key comes over the old one where that one is sure to be ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod deploy_kit;
mod install_kit;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use deploy_kit::{Fleet, RELAYCA, ended};
use install_kit::{done, failed, same, stand};
use xtask::lab::Pasted;
use xtask::main_job::MAIL_HOST;

#[test]
fn a_new_key_is_installed_over_the_one_that_deploy_brought_and_stays_with_its_certificate() {
    let fleet = Fleet::new();
    ended(&fleet.deploy(&["--all"]), 0);
    fleet.admin.done(&["renew", "--rekey", "mailhost"]).unwrap();
    ended(&fleet.deploy(&["--relays"]), 0);
    let host = fleet.host(MAIL_HOST);
    let passphrase = host.instance.directory().join("passphrase");
    let word = fleet.admin.done(&["passphrase", MAIL_HOST]).unwrap();
    fs::write(&passphrase, word).unwrap();
    let bundle = fleet.admin.file(&format!("bundles/{MAIL_HOST}.tar.age"));
    let config = host.instance.config_inside();
    let installs = || -> Pasted {
        let line = format!(
            "{RELAYCA} install {} --passphrase-file {} --config-directory {config} --apply",
            bundle.display(),
            passphrase.display()
        );
        host.instance.paste(&line).unwrap()
    };

    // Whoever else could read it, whatever else lies beside it: it stays, and the hint says why.
    let key = host.file(&format!("{MAIL_HOST}.key.pem"));
    let certificate = host.file(&format!("{MAIL_HOST}.crt.pem"));
    let old = fs::read(&key).unwrap();
    let of_it = fs::read(&certificate).unwrap();
    let refused = || {
        let now = stand(&host.instance.config());
        let said = failed(&installs(), 1);
        assert!(said.contains("is not what relayca put there"), "{said}");
        assert!(said.contains("beside it is its certificate"), "{said}");
        same(&now, &stand(&host.instance.config()));
    };
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    refused();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(&certificate).unwrap();
    refused();
    // Of this CA and this host, and another key's.
    let opened = host.instance.directory().join("opened");
    let place = opened.display().to_string();
    fleet
        .admin
        .done(&["open", &bundle.display().to_string(), "-C", &place])
        .unwrap();
    fs::copy(opened.join(format!("{MAIL_HOST}.crt.pem")), &certificate).unwrap();
    refused();
    fs::write(&certificate, of_it).unwrap();
    // Nothing there says whose certificate it is.
    let authority = host.file("example.org-ca.crt.pem");
    let ca = fs::read(&authority).unwrap();
    fs::remove_file(&authority).unwrap();
    refused();
    fs::write(&authority, ca).unwrap();

    done(&installs());
    assert_ne!(fs::read(&key).unwrap(), old);
    let kept = host.file(&format!(".{MAIL_HOST}.key.pem.before"));
    assert_eq!(fs::read(&kept).unwrap(), old);
    assert_eq!(
        fs::metadata(&kept).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let record = fs::read_to_string(host.file("installed.json")).unwrap();
    assert!(!record.contains("PRIVATE KEY"), "{record}");
    fleet.admin.done(&["retire", "mailhost"]).unwrap();
    ended(&fleet.deploy(&["--relays"]), 0);
    fleet.mail_flows(MAIL_HOST);
    // Twice changes nothing.
    let now = stand(&host.instance.config());
    done(&installs());
    same(&now, &stand(&host.instance.config()));

    // The old key is retired by now: what Postfix goes on to show stays.
    let pair = [&key, &certificate].map(|path| fs::read(path).unwrap());
    let said = host.instance.paste(&format!(
        "{RELAYCA} uninstall --config-directory {config} --apply"
    ));
    let said = done(&said.unwrap());
    assert!(
        said.contains("key.pem (what lay there before is out of date) stays"),
        "{said}"
    );
    assert_eq!(
        [&key, &certificate].map(|path| fs::read(path).unwrap()),
        pair
    );
    assert!(!kept.exists() && !host.file("installed.json").exists());
    fleet.mail_flows(MAIL_HOST);
}
