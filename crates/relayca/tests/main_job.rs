//! The main job, end to end, judged by stock tools: an authority for each kind of admin, a mail host, and
//! what lies on the disk afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::process::Command;

use authority::terminal::Terminal;
use authority::{
    Admin, Outcome, age_with_identity, age_with_passphrase, feed, judge, judge_input, ssh_keygen,
    unseal, untar,
};

/// The CA key opens in openssl with the passphrase that relayca prints.
fn ca_key_opens_in_openssl(admin: &Admin) {
    ca_key_opens_with(admin, &admin.done(&["passphrase", "ca"]));
}

fn ca_key_opens_with(admin: &Admin, passphrase: &str) {
    let key = admin.part("ca/ca.key.pem");
    let opened = judge_input(
        "openssl",
        &[
            "pkey",
            "-in",
            key.to_str().unwrap(),
            "-passin",
            "stdin",
            "-pubout",
        ],
        passphrase.as_bytes(),
    );
    let certified = judge(
        "openssl",
        &[
            "x509",
            "-in",
            admin.part("ca/ca.crt.pem").to_str().unwrap(),
            "-noout",
            "-pubkey",
        ],
    );
    assert_eq!(opened, certified);
}

#[test]
fn an_age_recipient_runs_the_whole_job_and_every_file_opens_with_stock_tools() {
    let admin = Admin::with_mailhost();
    ca_key_opens_in_openssl(&admin);
    // The passphrase file is age's own.
    let sealed = age_with_identity(&admin.identity(), &admin.part("ca/ca.passphrase.age"));
    assert_eq!(
        String::from_utf8(sealed).unwrap(),
        admin.done(&["passphrase", "ca"])
    );
    let files = unseal(&admin, "mailhost.example.org");
    let mut names: Vec<String> = files
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "INSTALL.txt",
            "SHA256SUMS",
            "example.org-ca.crt.pem",
            "mailhost.example.org.crt.pem",
            "mailhost.example.org.key.pem",
            "mailhost.example.org.main.cf",
            "mailhost.example.org.master.cf",
            "mailhost.example.org.snippet.sh",
        ]
    );
    judge(
        "sh",
        &[
            "-n",
            files
                .join("mailhost.example.org.snippet.sh")
                .to_str()
                .unwrap(),
        ],
    );
    let relay = unseal(&admin, "relayhost.example.org");
    assert!(relay.join("relay_clientcerts").exists());
    admin.assert_whole();
}

#[test]
fn the_public_pieces_of_the_relay_carry_the_new_map_and_no_key() {
    let admin = Admin::with_mailhost();
    let archive = std::fs::read(admin.part("bundles/relayhost.example.org.public.tar")).unwrap();
    let files = untar(&admin, &archive);
    assert_eq!(
        std::fs::read_to_string(files.join("relay_clientcerts")).unwrap(),
        admin.done(&["map"])
    );
    assert!(!files.join("relayhost.example.org.key.pem").exists());
    assert!(!String::from_utf8_lossy(&archive).contains("PRIVATE KEY"));
}

#[test]
fn ssh_keys_of_both_kinds_open_the_authority() {
    for kind in [["ed25519"].as_slice(), &["rsa", "-b", "3072"]] {
        let admin = Admin::new();
        let public = ssh_keygen(&admin.file("id"), kind);
        admin.done(&["init", "example.org", "--recipient", &public, "-i", "id"]);
        admin.done(&["issue", "mailhost"]);
        ca_key_opens_in_openssl(&admin);
        let opened = age_with_identity(
            &admin.file("id"),
            &admin.part("bundles/mailhost.example.org.passphrase.age"),
        );
        assert_eq!(
            String::from_utf8(opened).unwrap(),
            admin.done(&["passphrase", "mailhost"])
        );
    }
}

#[test]
fn any_of_several_recipients_in_a_file_opens_the_authority() {
    let admin = Admin::new();
    let ssh = ssh_keygen(&admin.file("id"), &["ed25519"]);
    admin.write(
        "admins",
        format!("# the admins\n\n{}\n{ssh}\n", admin.recipient()),
    );
    admin.done(&["init", "example.org", "--recipients-file", "admins"]);
    for identity in ["id", "key.txt"] {
        admin.done(&["verify", "ca", "-i", identity]);
    }
    admin.done(&["issue", "mailhost", "-i", "id"]);
    assert_eq!(
        admin.done(&["passphrase", "mailhost", "-i", "id"]),
        admin.done(&["passphrase", "mailhost", "-i", "key.txt"])
    );
}

#[test]
fn an_identity_from_the_environment_is_as_good_as_a_flag() {
    let admin = Admin::new();
    admin.done(&["init", "example.org", "--recipient", admin.recipient()]);
    admin.refused(2, &["issue", "mailhost"]);
    Outcome::of(
        admin
            .relayca(&["issue", "mailhost"])
            .env("RELAYCA_IDENTITY", admin.identity()),
    )
    .done();
    Outcome::of(
        admin
            .relayca(&["list", "--dir", "/nowhere"])
            .env("RELAYCA_DIR", admin.root()),
    )
    .refused(1);
    Outcome::of(admin.relayca(&["list"]).env("RELAYCA_DIR", admin.root())).done();
}

#[test]
fn a_passphrase_encrypted_identity_is_opened_by_the_passphrase_flags() {
    let admin = Admin::new();
    // age encrypts it; the passphrase is typed, as age wants it.
    let mut command = admin.program("age");
    command.args(["-p", "-o", "locked.age", "key.txt"]);
    let mut terminal = Terminal::run(&command);
    terminal.answer("passphrase", "correct horse");
    terminal.answer("passphrase", "correct horse");
    assert_eq!(terminal.end().0, Some(0));
    admin.write("pass", "correct horse\n");
    let recipient = admin.recipient().to_owned();
    admin.done(&[
        "init",
        "example.org",
        "--recipient",
        &recipient,
        "-i",
        "locked.age",
        "--passphrase-file",
        "pass",
    ]);
    admin.done(&["issue", "mailhost", "--passphrase-file", "pass"]);
    admin.refused(2, &["issue", "other"]);
    admin.write("wrong", "correct horses\n");
    admin.refused(1, &["issue", "other", "--passphrase-file", "wrong"]);
    // On a terminal it is asked for.
    let mut terminal = Terminal::run(&admin.relayca(&["issue", "other"]));
    terminal.answer("assphrase", "correct horse");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn an_admin_passphrase_from_a_file_a_descriptor_or_standard_input_is_the_same() {
    let admin = Admin::new();
    admin.write("pass", "correct horse\r\nnot this line\n");
    admin.done(&["init", "example.org", "--passphrase-file", "pass"]);
    let shown = admin
        .run_with_input(
            &["passphrase", "ca", "--passphrase-file", "-"],
            b"correct horse",
        )
        .done();
    ca_key_opens_with(&admin, &shown);
    let through = format!(
        "exec {} issue mailhost --passphrase-fd 3 3<pass",
        authority::RELAYCA
    );
    Outcome::of(admin.program("sh").args(["-c", &through])).done();
    // Stock age opens the same files with the same passphrase, down to the host's key.
    let ca = age_with_passphrase(&admin, &admin.part("ca/ca.passphrase.age"), "correct horse");
    assert_eq!(String::from_utf8(ca).unwrap(), shown);
    let wrapped = age_with_passphrase(
        &admin,
        &admin.part("ca/admin.identity.age"),
        "correct horse",
    );
    std::fs::write(admin.file("wrapped.txt"), wrapped).unwrap();
    let passphrase = age_with_identity(
        &admin.file("wrapped.txt"),
        &admin.part("bundles/mailhost.example.org.passphrase.age"),
    );
    let passphrase = String::from_utf8(passphrase).unwrap();
    let archive = age_with_passphrase(
        &admin,
        &admin.part("bundles/mailhost.example.org.tar.age"),
        passphrase.trim(),
    );
    assert!(
        untar(&admin, &archive)
            .join("mailhost.example.org.key.pem")
            .exists()
    );
}

#[test]
fn a_bundle_sealed_to_a_hosts_key_opens_with_that_key_and_needs_no_passphrase() {
    let admin = Admin::with_authority();
    let host_key = ssh_keygen(&admin.file("ssh_host_ed25519_key"), &["ed25519"]);
    admin.done(&["issue", "mailhost", "--seal-to", &host_key]);
    let archive = age_with_identity(
        &admin.file("ssh_host_ed25519_key"),
        &admin.part("bundles/mailhost.example.org.tar.age"),
    );
    untar(&admin, &archive);
    assert!(
        !admin
            .part("bundles/mailhost.example.org.passphrase.age")
            .exists()
    );
    let told = admin.refused(1, &["passphrase", "mailhost"]);
    assert!(
        told.contains("age -d -i /etc/ssh/ssh_host_ed25519_key"),
        "{told}"
    );
    // The admin's own identity does not open it.
    let wrong = admin.root().join("bundles/mailhost.example.org.tar.age");
    admin.refused(
        1,
        &[
            "open",
            wrong.to_str().unwrap(),
            "-i",
            "key.txt",
            "-C",
            "out",
        ],
    );
    admin.done(&[
        "open",
        wrong.to_str().unwrap(),
        "-i",
        "ssh_host_ed25519_key",
        "-C",
        "out",
    ]);
    judge(
        "openssl",
        &[
            "pkey",
            "-in",
            &admin.name("out/mailhost.example.org.key.pem"),
            "-noout",
        ],
    );
}

#[test]
fn a_list_of_hosts_carries_their_options() {
    let admin = Admin::with_authority();
    let host_key = ssh_keygen(&admin.file("hk"), &["ed25519"]);
    let list = format!(
        "# ours\nmail1\nmail2.example.org san=alias.example.org days=90 key=ed25519 # two\nmail3 \"seal-to={host_key}\"\n\nmail4 senders=example.org\n"
    );
    admin
        .run_with_input(&["issue", "--from", "-"], list.as_bytes())
        .done();
    let two = admin.json(&["show", "mail2"]);
    let two = &two["certificates"][0];
    assert_eq!(two["key"], "ed25519");
    assert_eq!(
        two["names"],
        serde_json::json!(["mail2.example.org", "alias.example.org"])
    );
    let untar_ok = age_with_identity(
        &admin.file("hk"),
        &admin.part("bundles/mail3.example.org.tar.age"),
    );
    untar(&admin, &untar_ok);
    let settings = std::fs::read_to_string(admin.part("relayca.toml")).unwrap();
    assert!(
        settings.contains("senders = [\"example.org\"]"),
        "{settings}"
    );
    let relay = admin.done(&["snippet", "relayhost"]);
    assert!(relay.contains("mail4.example.org"), "{relay}");
}

#[test]
fn the_inventory_holds_no_key_and_stock_sqlite_reads_it() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "rsa", "--key", "rsa2048"]);
    let dump = judge(
        "sqlite3",
        &[admin.part("inventory.db").to_str().unwrap(), ".dump"],
    );
    assert!(dump.contains("mailhost.example.org") && !dump.contains("PRIVATE KEY"));
    let database = std::fs::read(admin.part("inventory.db")).unwrap();
    for host in [
        "mailhost.example.org",
        "rsa.example.org",
        "relayhost.example.org",
    ] {
        let files = unseal(&admin, host);
        let key = files.join(format!("{host}.key.pem"));
        let der = Command::new("openssl")
            .args(["pkey", "-outform", "der", "-in"])
            .arg(&key)
            .output()
            .unwrap()
            .stdout;
        // Past the headers: of an EC key the secret number, of an RSA key the coefficient at the end.
        let secret = if host.starts_with("rsa") {
            &der[der.len() - 40..]
        } else {
            &der[40..64]
        };
        assert!(
            !database
                .windows(secret.len())
                .any(|window| window == secret),
            "{host}"
        );
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dump.to_lowercase().contains(&hex));
    }
}

#[test]
fn an_authority_elsewhere_is_found_by_dir_domain_or_the_hosts_suffix() {
    let admin = Admin::with_authority();
    admin.done(&[
        "init",
        "example.net",
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ]);
    admin.done(&[
        "init",
        "sub.example.net",
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ]);
    let told = admin.refused(2, &["list"]);
    assert!(told.contains("--domain"), "{told}");
    admin.done(&["issue", "mail.example.net"]);
    admin.done(&["issue", "mail.sub.example.net"]);
    admin.done(&["issue", "--domain", "example.org", "mail"]);
    for (domain, host) in [
        ("example.net", "mail.example.net"),
        ("sub.example.net", "mail.sub.example.net"),
        ("example.org", "mail.example.org"),
    ] {
        let listed = admin.done(&["list", "--domain", domain]);
        assert!(listed.contains(host), "{listed}");
    }
    let elsewhere = admin.name("elsewhere");
    let told = admin.done(&[
        "init",
        "example.com",
        "--dir",
        &elsewhere,
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ]);
    assert!(
        told.contains(&format!("relayca --dir {elsewhere} passphrase")),
        "the printed commands find it again: {told}"
    );
    admin.done(&["issue", "mail", "--dir", &elsewhere]);
    let told = admin.refused(2, &["list", "--dir", &elsewhere, "--domain", "example.org"]);
    assert!(told.contains("example.com"), "{told}");
}

#[test]
fn a_second_relay_is_added_to_the_settings_and_its_comments_stay() {
    let admin = Admin::with_mailhost();
    let before = std::fs::read_to_string(admin.part("relayca.toml")).unwrap();
    let shown = admin.done(&["issue", "--relay", "relay2:587"]);
    assert!(shown.contains("587"), "{shown}");
    let after = std::fs::read_to_string(admin.part("relayca.toml")).unwrap();
    assert_eq!(
        after,
        before.replace(
            "[\"relayhost.example.org:2500\"]",
            "[\"relayhost.example.org:2500\", \"relay2.example.org:587\"]"
        )
    );
    assert!(
        admin
            .done(&["snippet", "mailhost"])
            .contains("relay2.example.org")
    );
    let files = unseal(&admin, "relay2.example.org");
    // The relay that came later knows the hosts that were there first.
    assert!(
        std::fs::read_to_string(files.join("relay_clientcerts"))
            .unwrap()
            .contains("mailhost.example.org")
    );
}

#[test]
fn the_printed_steps_name_each_host_and_are_shell_throughout() {
    let admin = Admin::with_authority();
    let printed = admin.done(&["issue", "mailhost"]);
    let titles: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("# ") && line.as_bytes()[2].is_ascii_digit())
        .collect();
    assert!(
        titles[0].contains("relayhost.example.org")
            && titles.last().unwrap().contains("mailhost.example.org"),
        "{titles:?}"
    );
    assert_eq!(
        feed(Command::new("sh").arg("-n"), printed.as_bytes()).done(),
        ""
    );
}
