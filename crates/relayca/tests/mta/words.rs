//! What is printed, and what is refused, before any mail server is asked.

use std::fs;
use std::path::Path;

use xtask::main_job::{Admin, RELAY, Said};

fn admin(arguments: &[&str]) -> Admin {
    let admin = Admin::new(Path::new(env!("CARGO_BIN_EXE_relayca"))).unwrap();
    admin.init(arguments).unwrap();
    admin
}

fn refused(admin: &Admin, code: i32, arguments: &[&str], words: &str) -> Said {
    let said = admin.run(arguments).unwrap();
    assert_eq!(said.code, code, "{arguments:?}: {said:?}");
    assert!(said.stderr.contains(words), "{}", said.stderr);
    assert!(said.stderr.contains("relayca: hint: "), "{}", said.stderr);
    assert_eq!(said.stdout, "");
    said
}

#[test]
fn a_mail_server_is_written_into_the_settings_and_can_be_overridden_for_a_print() {
    let admin = admin(&[]);
    let hosts = admin.place().join("hosts.txt");
    fs::write(&hosts, "one mta=msmtp\ntwo mta=nullmailer\nthree\n").unwrap();
    admin
        .done(&["issue", "--from", hosts.to_str().unwrap(), "-q"])
        .unwrap();
    let settings = fs::read_to_string(admin.file("relayca.toml")).unwrap();
    assert!(
        settings.contains("[host.\"one.example.org\"]\nmta = \"msmtp\""),
        "{settings}"
    );
    assert!(
        admin
            .done(&["snippet", "one"])
            .unwrap()
            .contains("tls_cert_file /etc/relayca/one.example.org.crt.pem")
    );
    assert!(
        admin
            .done(&["snippet", "two"])
            .unwrap()
            .contains("--x509keyfile=/etc/nullmailer/relayca/two.example.org.key.pem")
    );
    assert!(
        admin
            .done(&["snippet", "three"])
            .unwrap()
            .contains("postconf")
    );
    let other = admin.done(&["snippet", "three", "--mta", "exim"]).unwrap();
    assert!(
        other.contains("tls_privatekey = /etc/exim4/relayca/three.example.org.key.pem"),
        "{other}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&admin.done(&["snippet", "one", "--json"]).unwrap()).unwrap();
    assert_eq!(json["mta"], "msmtp");
    assert!(
        json["pieces"]["msmtprc"]
            .as_str()
            .unwrap()
            .contains("auth off")
    );
    assert!(json["warnings"][0].as_str().unwrap().contains("no queue"));
    // The bundle has the piece, and says what it is for.
    let tar = admin.done(&["bundle", "two"]).unwrap();
    let listed = std::process::Command::new("tar")
        .args(["-tf", tar.lines().last().unwrap().trim()])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.contains("two.example.org.remotes\n"),
        "{tar}: {listed}"
    );
    assert!(!listed.contains("main.cf"), "{listed}");
}

#[test]
fn a_relay_that_cannot_keep_a_list_is_refused_and_so_are_words_that_do_not_go_together() {
    let admin = admin(&[]);
    admin.done(&["issue", "mailhost", "-q"]).unwrap();
    for mta in ["opensmtpd", "msmtp", "nullmailer"] {
        refused(
            &admin,
            1,
            &["snippet", RELAY, "--mta", mta],
            "cannot be a relay",
        );
    }
    refused(
        &admin,
        2,
        &["snippet", "mailhost", "--mta", "qmail"],
        "no mail server",
    );
    refused(
        &admin,
        2,
        &["issue", "other", "--mta", "qmail"],
        "no mail server",
    );
    refused(
        &admin,
        2,
        &["snippet", "mailhost", "--mta", "exim", "--style", "main"],
        "--style is for Postfix",
    );
    refused(
        &admin,
        2,
        &["issue", "other", "--mta", "opensmtpd", "--key", "ed25519"],
        "takes no Ed25519 key",
    );
    let settings = admin.file("relayca.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(
        &settings,
        format!("{text}\n[host.\"{RELAY}\"]\nmta = \"opensmtpd\"\n"),
    )
    .unwrap();
    refused(&admin, 1, &["map"], "OpenSMTPD cannot be a relay");
    fs::write(
        &settings,
        format!("{text}\n[host.\"{RELAY}\"]\nmta = \"sendmail\"\n"),
    )
    .unwrap();
    refused(&admin, 1, &["map"], "`mta`");
}

#[test]
fn exims_list_has_certificates_whatever_is_pinned() {
    let admin = admin(&["--mta", "exim"]);
    admin
        .done(&[
            "issue",
            "mailhost",
            "--senders",
            "example.org,a+b@example.com",
            "-q",
        ])
        .unwrap();
    let list = admin.done(&["map", "--format", "exim", "-q"]).unwrap();
    let fingerprint = admin
        .done(&["map", "--pin", "cert", "--format", "json", "-q"])
        .unwrap();
    let json: serde_json::Value = serde_json::from_str(&fingerprint).unwrap();
    let digest = json["entries"][0]["fingerprint"]
        .as_str()
        .unwrap()
        .replace(':', "");
    assert!(
        list.ends_with(&format!(
            "{digest}: host=mailhost.example.org senders=\"example.org : a+b@example.com\"\n"
        )),
        "{list}"
    );
    let paste = admin.done(&["map", "--format", "paste", "-q"]).unwrap();
    assert!(
        paste.contains("/etc/exim4") && paste.contains(&list),
        "{paste}"
    );
    assert!(!paste.contains("postmap"), "{paste}");
    // `check` reads the list as it reads a map.
    let found = |id: &str| {
        let said = admin.run(&["check", "--json"]).unwrap();
        said.stdout.contains(id)
    };
    assert!(!found("senders-stale") && !found("map-"));
    admin
        .edit("\"example.org\", \"a+b@example.com\"", "\"example.org\"")
        .unwrap();
    assert!(found("senders-stale"));
    let public = admin.file(&format!("bundles/{RELAY}.public.tar"));
    let aside = fs::read(&public).unwrap();
    admin.done(&["revoke", "mailhost", "-q"]).unwrap();
    assert!(!found("senders-stale"));
    fs::write(&public, aside).unwrap();
    assert!(found("map-stale"));
    // A bundle for Exim is not `install`'s.
    let bundle = admin.file(&format!("bundles/{RELAY}.public.tar"));
    let said = admin.run(&["install", bundle.to_str().unwrap()]).unwrap();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stderr.contains("another mail server than Postfix"),
        "{said:?}"
    );
    // systemd takes the daemon's unit.
    let json = admin.done(&["snippet", RELAY, "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let unit = json["pieces"]["relayca-exim.service"].as_str().unwrap();
    assert!(
        unit.contains("ExecStart=/usr/sbin/exim4 -C /etc/exim4/relayca/relay.conf"),
        "{unit}"
    );
    let file = admin.place().join("relayca-exim.service");
    fs::write(&file, unit.replace("/usr/sbin/exim4", "/bin/true")).unwrap();
    let judged = std::process::Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        judged.status.success(),
        "{}",
        String::from_utf8_lossy(&judged.stderr)
    );
    // Nothing that is pasted is broken by a shell that expands its history, or completes.
    for host in [RELAY, "mailhost"] {
        for mta in ["exim", "opensmtpd", "msmtp", "nullmailer"] {
            let Ok(block) = admin.done(&["snippet", host, "--mta", mta]) else {
                continue;
            };
            assert!(!block.contains('\t'), "{mta}");
            for line in block.lines() {
                assert!(!line.ends_with('\\'), "{mta}: {line}");
                assert!(!line.contains("!~"), "{mta}: {line}");
                let comment = line.trim_start().starts_with('#');
                assert!(!(comment && line.contains(['\'', '!'])), "{mta}: {line}");
            }
        }
    }
}

#[test]
fn deploy_leaves_hosts_with_another_mail_server_alone_and_says_so() {
    let admin = admin(&["--mta", "exim"]);
    admin
        .done(&["issue", "mailhost", "--mta", "opensmtpd", "-q"])
        .unwrap();
    let issued = admin.run(&["issue", "another"]).unwrap();
    assert!(
        !issued.stderr.contains("deploy"),
        "the relay has Exim: {issued:?}"
    );
    admin.done(&["revoke", "another"]).unwrap();
    let said = refused(&admin, 1, &["deploy", "mailhost"], "OpenSMTPD, not Postfix");
    assert!(
        said.stderr
            .contains("`relayca snippet mailhost.example.org`")
    );
    let told = admin.run(&["deploy", "--all", "--ssh", "false"]).unwrap();
    assert_eq!(told.code, 4, "{told:?}");
    let lines: Vec<Vec<&str>> = told
        .stdout
        .lines()
        .map(|line| line.split_whitespace().take(2).collect())
        .collect();
    assert_eq!(
        lines,
        [[RELAY, "skipped"], ["mailhost.example.org", "skipped"]],
        "{told:?}"
    );
    assert!(told.stderr.contains("may still relay there"), "{told:?}");
    assert!(
        told.stderr.contains("`relayca map --format paste`"),
        "{told:?}"
    );
    let asked = admin
        .run(&["deploy", "--status", "--ssh", "false"])
        .unwrap();
    assert_eq!(asked.code, 4, "{asked:?}");
    assert_eq!(asked.stdout.matches("unknown").count(), 2, "{asked:?}");
}
