//! What each command prints, for people and for programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use authority::{Admin, Tree, judge, judge_input, unseal};
use serde_json::Value;

#[track_caller]
fn keys(value: &Value, expected: &[&str]) {
    let mut found: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[track_caller]
fn is_file(value: &Value) {
    assert!(Path::new(value.as_str().unwrap()).is_file(), "{value}");
}

#[test]
fn init_and_issue_answer_programs_with_one_json_document() {
    let admin = Admin::new();
    let made: Value = serde_json::from_str(&admin.init(&["--json"])).unwrap();
    keys(&made, &["domain", "directory", "ca", "proven", "relays"]);
    keys(&made["ca"], &["serial", "subject", "not_after"]);
    assert_eq!(made["domain"], "example.org");
    assert_eq!(made["proven"], true);
    assert_eq!(made["directory"], admin.root().to_str().unwrap());
    let host = [
        "host",
        "role",
        "serial",
        "not_before",
        "not_after",
        "fingerprint",
        "bundle",
        "passphrase_file",
        "snippet",
    ];
    keys(&made["relays"][0], &host);
    let issued = admin.json(&["issue", "mailhost", "mail2"]);
    keys(&issued, &["issued", "map_entries"]);
    assert_eq!(issued["map_entries"], 2);
    let first = &issued["issued"][0];
    keys(first, &host);
    keys(
        &first["snippet"],
        &["main_cf", "master_cf", "script", "warnings"],
    );
    assert_eq!(first["role"], "mailhost");
    is_file(&first["bundle"]);
    is_file(&first["passphrase_file"]);
    let map = admin.json(&["map"]);
    let fingerprints: Vec<&Value> = map["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["fingerprint"])
        .collect();
    assert!(fingerprints.contains(&&first["fingerprint"]), "{map}");
}

#[test]
fn an_authority_that_nobody_opened_yet_says_so() {
    let admin = Admin::new();
    let outcome = admin.run(&[
        "init",
        "example.org",
        "--recipient",
        admin.recipient(),
        "--json",
    ]);
    assert!(
        outcome.stderr.contains("relayca: warning:") && outcome.stderr.contains("verify ca"),
        "{}",
        outcome.stderr
    );
    let made: Value = serde_json::from_str(&outcome.done()).unwrap();
    assert_eq!(made["proven"], false);
}

#[test]
fn list_and_show_tell_the_same_of_a_host_its_serial_and_its_file() {
    let admin = Admin::with_mailhost();
    let list = admin.json(&["list"]);
    let listed = list
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["host"] == "mailhost.example.org")
        .unwrap();
    let fields = [
        "host",
        "role",
        "serial",
        "state",
        "listed",
        "not_before",
        "not_after",
        "issued_at",
        "spki_sha256",
    ];
    keys(listed, &fields);
    assert_eq!(
        (listed["state"].as_str(), listed["listed"].as_bool()),
        (Some("live"), Some(true))
    );
    let serial = listed["serial"].as_str().unwrap();
    let shown = admin.json(&["show", "mailhost"]);
    keys(&shown, &["certificates", "events"]);
    let mut with: Vec<&str> = fields.to_vec();
    with.extend(["subject", "names", "key", "pem"]);
    keys(&shown["certificates"][0], &with);
    let pem = shown["certificates"][0]["pem"].as_str().unwrap();
    let printed = judge_input(
        "openssl",
        &["x509", "-noout", "-serial", "-subject"],
        pem.as_bytes(),
    );
    assert!(
        printed.to_lowercase().contains(serial) && printed.contains("mailhost.example.org"),
        "{printed}"
    );
    assert_eq!(shown["events"][0]["what"], "issue");
    admin.write("one.pem", pem);
    let colons = serial
        .to_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap())
        .collect::<Vec<_>>()
        .join(":");
    for what in [
        "mailhost.example.org",
        "MAILHOST",
        serial,
        &colons,
        "one.pem",
    ] {
        assert_eq!(
            admin.json(&["show", what])["certificates"],
            shown["certificates"],
            "{what}"
        );
    }
    for text in [admin.done(&["list"]), admin.done(&["show", "mailhost"])] {
        assert!(
            text.contains("mailhost.example.org") && text.contains(serial) && text.contains("live"),
            "{text}"
        );
    }
    let ca = admin.json(&["show", "example.org"]);
    assert_eq!(ca["certificates"][0]["role"], "ca");
}

#[test]
fn a_foreign_certificate_is_shown_and_said_to_be_foreign() {
    let admin = Admin::with_authority();
    let other = Admin::with_mailhost();
    let file = unseal(&other, "mailhost.example.org").join("mailhost.example.org.crt.pem");
    let file = file.to_str().unwrap();
    let outcome = admin.run(&["show", file]);
    assert!(
        outcome.stderr.contains("not in the inventory"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.done().contains("mailhost.example.org"));
    assert_eq!(admin.json(&["show", file])["listed"], false);
}

#[test]
fn the_map_has_every_format_and_lists_mail_hosts_only() {
    let admin = Admin::with_authority();
    let empty = admin.done(&["map", "--format", "inline"]);
    assert!(empty.starts_with("inline:{"), "{empty}");
    admin.done(&["issue", "mailhost"]);
    let text = admin.done(&["map"]);
    assert!(
        text.contains(" mailhost.example.org\n") && !text.contains("relayhost"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&admin.done(&["map", "--format", "json"])).unwrap();
    assert_eq!(json, admin.json(&["map"]));
    keys(
        &json["entries"][0],
        &["fingerprint", "host", "serial", "not_after", "kind"],
    );
    let paste = admin.done(&["map", "--format", "paste"]);
    judge_input("sh", &["-n"], paste.as_bytes());
    assert!(paste.contains("postmap"), "{paste}");
    let other = admin.run(&["map", "--digest", "sha512"]);
    assert!(
        other.stderr.contains("smtpd") || other.stderr.contains("looks up sha256"),
        "{}",
        other.stderr
    );
}

#[test]
fn snippets_are_shell_in_every_style() {
    let admin = Admin::with_mailhost();
    for (host, styles) in [
        ("mailhost", ["main", "transport", "postconf"].as_slice()),
        ("relayhost", &["transport", "postconf"]),
    ] {
        for style in styles {
            let script = admin.done(&["snippet", host, "--style", style]);
            judge_input("sh", &["-n"], script.as_bytes());
            let json = admin.json(&["snippet", host, "--style", style]);
            keys(&json, &["main_cf", "master_cf", "script", "warnings"]);
            assert_eq!(json["script"], script);
        }
    }
    let bound = admin.done(&[
        "snippet",
        "relayhost",
        "--senders",
        "mailhost=example.org,root@example.net",
    ]);
    assert!(bound.contains("root@example.net"), "{bound}");
    admin.refused(2, &["snippet", "relayhost", "--style", "main"]);
    admin.refused(
        2,
        &["snippet", "mailhost", "--senders", "mailhost=example.org"],
    );
}

#[test]
fn a_public_bundle_has_no_key_and_can_be_laid_out_again() {
    let admin = Admin::with_mailhost();
    let written = admin.json(&["bundle", "mailhost", "relayhost"]);
    keys(&written[0], &["host", "bundle"]);
    for item in written.as_array().unwrap() {
        is_file(&item["bundle"]);
        let listed = judge("tar", &["-tf", item["bundle"].as_str().unwrap()]);
        assert!(
            !listed.contains("key.pem") && listed.contains("SHA256SUMS"),
            "{listed}"
        );
    }
    let opened = admin.json(&[
        "open",
        written[0]["bundle"].as_str().unwrap(),
        "-C",
        "public",
    ]);
    keys(&opened, &["directory", "files"]);
    keys(&opened["files"][0], &["name", "mode", "bytes"]);
    assert_eq!(opened["directory"], admin.name("public"));
}

#[test]
fn a_bundle_can_be_sealed_to_a_host_key_later_and_the_first_one_stays() {
    let admin = Admin::with_mailhost();
    let before = admin.tree();
    let host_key = authority::ssh_keygen(&admin.file("hk"), &["ed25519"]);
    let path = admin.done(&["bundle", "mailhost", "--seal-to", &host_key]);
    let archive = authority::age_with_identity(&admin.file("hk"), Path::new(path.trim()));
    let files = authority::untar(&admin, &archive);
    let first = unseal(&admin, "mailhost.example.org");
    assert_eq!(
        Tree::of(&files),
        Tree::of(&first),
        "the same key and certificate, sealed to somebody else"
    );
    let after = admin.tree();
    for kept in [
        "bundles/mailhost.example.org.tar.age",
        "bundles/mailhost.example.org.passphrase.age",
    ] {
        assert_eq!(before.0[Path::new(kept)], after.0[Path::new(kept)]);
    }
}

#[test]
fn open_lays_out_what_age_and_tar_lay_out() {
    let admin = Admin::with_mailhost();
    let bundle = admin.part("bundles/mailhost.example.org.tar.age");
    let bundle = bundle.to_str().unwrap();
    admin.done(&["open", bundle]);
    let stock = unseal(&admin, "mailhost.example.org");
    let ours = Tree::of(&admin.file("mailhost.example.org"));
    assert_eq!(ours.clone().without(""), Tree::of(&stock).without(""));
    assert_eq!(
        ours.0[Path::new("mailhost.example.org.key.pem")].mode & 0o777,
        0o600
    );
    for (name, node) in Tree::of(&stock)
        .0
        .iter()
        .filter(|(name, _)| !name.as_os_str().is_empty())
    {
        assert_eq!(*node, ours.0[name], "{}", name.display());
    }
    // A second time it refuses: what is there is not overwritten.
    let told = admin.refused(1, &["open", bundle]);
    assert!(told.contains("exists already"), "{told}");
    // Away from its authority the bundle's own passphrase opens it.
    let passphrase = admin.done(&["passphrase", "mailhost"]);
    std::fs::copy(bundle, admin.file("b.tar.age")).unwrap();
    admin
        .run_with_input(
            &["open", "b.tar.age", "-C", "x", "--passphrase-file", "-"],
            passphrase.as_bytes(),
        )
        .done();
    admin.refused(2, &["open", "b.tar.age", "-C", "y"]);
}

#[test]
fn verify_judges_with_its_exit_code() {
    let admin = Admin::with_mailhost();
    let file = unseal(&admin, "mailhost.example.org").join("mailhost.example.org.crt.pem");
    let file = file.to_str().unwrap();
    let good = admin.json(&["verify", file, "--role", "mailhost"]);
    keys(&good, &["what", "holds", "faults", "warnings"]);
    assert_eq!(good["holds"], true);
    assert_eq!(admin.done(&["verify", "ca"]), "ca holds\n");
    // The wrong role does not hold.
    let wrong = admin.run(&["verify", file, "--role", "relay"]);
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    assert!(wrong.stdout.contains("does not hold"), "{wrong:?}");
    // Another authority's certificate does not hold.
    let other = Admin::with_mailhost();
    let foreign = unseal(&other, "mailhost.example.org").join("mailhost.example.org.crt.pem");
    let judged = admin.run(&["verify", foreign.to_str().unwrap(), "--json"]);
    assert_eq!(judged.code, Some(4));
    let judged: Value = serde_json::from_str(&judged.stdout).unwrap();
    keys(&judged["faults"][0], &["code", "message", "hint"]);
    // Soon to expire, it holds with a warning.
    admin.done(&["issue", "brief", "--days", "5"]);
    let brief = unseal(&admin, "brief.example.org").join("brief.example.org.crt.pem");
    let judged = admin.run(&["verify", brief.to_str().unwrap()]);
    assert_eq!(judged.code, Some(3), "{judged:?}");
    assert!(
        judged.stderr.contains("relayca: warning: it expires on"),
        "{judged:?}"
    );
}

#[test]
fn verify_ca_warns_of_files_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let admin = Admin::with_authority();
    std::fs::set_permissions(
        admin.part("ca/ca.key.pem"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let judged = admin.run(&["verify", "ca"]);
    assert_eq!(judged.code, Some(3));
    assert!(
        judged.stderr.contains("ca.key.pem` is open to other users"),
        "{judged:?}"
    );
}

#[test]
fn a_listed_certificate_of_a_copy_of_the_authority_is_valid_but_unlisted() {
    let admin = Admin::with_authority();
    judge(
        "cp",
        &["-a", admin.root().to_str().unwrap(), &admin.name("copy")],
    );
    let copy = admin.name("copy");
    let issued = admin.run(&["issue", "mailhost", "--dir", &copy]);
    assert!(
        issued
            .stderr
            .contains(&format!("or let `relayca --dir {copy} deploy` take them")),
        "{issued:?}"
    );
    let revoked = admin.run(&["issue", "other", "--dir", &copy]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    let revoked = admin.run(&["revoke", "other", "--dir", &copy]);
    assert!(
        revoked
            .stderr
            .contains(&format!("or `relayca --dir {copy} deploy --relays`")),
        "{revoked:?}"
    );
    admin.done(&[
        "open",
        &admin.name("copy/bundles/mailhost.example.org.tar.age"),
        "-C",
        "x",
    ]);
    let judged = admin.run(&["verify", "x/mailhost.example.org.crt.pem"]);
    assert_eq!(judged.code, Some(3), "{judged:?}");
    assert!(judged.stderr.contains("not in the inventory"), "{judged:?}");
}

#[test]
fn the_fingerprint_of_a_live_server_is_that_of_its_certificate() {
    let admin = Admin::with_authority();
    let files = unseal(&admin, "relayhost.example.org");
    let part = |name: &str| files.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (
        part("relayhost.example.org.crt.pem"),
        part("relayhost.example.org.key.pem"),
    );
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            &address,
            "-cert",
            &certificate,
            "-key",
            &key,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(
            server.try_wait().unwrap().is_none(),
            "openssl s_server ended"
        );
        std::thread::yield_now();
    }
    let live = admin.json(&["fingerprint", "--wrapper", &address]);
    server.kill().unwrap();
    server.wait().unwrap();
    let file = admin.json(&["fingerprint", &certificate]);
    let fingerprints = |value: &Value| {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["fingerprint"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(fingerprints(&live), fingerprints(&file));
    // Now that nobody listens there, it is an error.
    admin.refused(1, &["fingerprint", &address, "--timeout", "2"]);
}
