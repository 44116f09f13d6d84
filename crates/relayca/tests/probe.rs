//! `relayca probe`: a relay on a real Postfix, set up by pasting what is printed, looked at step by step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::main_job::{Admin, MAIL_HOST, Pair, RELAY, SOON, Said};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relayca"))
}

/// The relay's address here: its name is known inside the lab only.
fn place(pair: &Pair) -> String {
    format!("127.0.0.1:{}", pair.port.number())
}

/// A relay and its mail host, as printed.
fn pair() -> Pair {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    pair
}

fn probe(admin: &Admin, arguments: &[&str]) -> Said {
    let all = [&["probe"], arguments].concat();
    admin.run(&all).unwrap()
}

/// With `--json`: the exit code, and the document.
fn probed(admin: &Admin, arguments: &[&str]) -> (i32, Value) {
    let said = probe(admin, &[arguments, &["--json"]].concat());
    let value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("{}\n{}", said.stdout, said.stderr));
    (said.code, value)
}

/// The verdict of a check, and what was seen.
fn check<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["id"] == id);
    let found = found.unwrap_or_else(|| panic!("no `{id}` in {report:#}"));
    (
        found["verdict"].as_str().unwrap(),
        found["seen"].as_str().unwrap(),
    )
}

/// Opens a bundle; gives the directory of its files.
fn opened(admin: &Admin, host: &str) -> PathBuf {
    let place = admin.place().join(format!("opened-{host}"));
    let bundle = admin.file(&format!("bundles/{host}.tar.age"));
    admin
        .done(&[
            "open",
            bundle.to_str().unwrap(),
            "-C",
            place.to_str().unwrap(),
        ])
        .unwrap();
    place
}

#[test]
fn the_relay_is_shown_step_by_step_and_who_shows_no_certificate_is_turned_away() {
    let pair = pair();
    let place = place(&pair);
    let said = probe(&pair.admin, &[&place]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    let (code, report) = probed(&pair.admin, &[&place]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["status"], "good");
    for id in [
        "address",
        "greeting",
        "ehlo",
        "starttls",
        "tls",
        "chain",
        "name",
        "dates",
        "inventory",
        "client",
    ] {
        assert_eq!(check(&report, id).0, "good", "{id}");
        assert!(said.stdout.contains(id), "{id} in {}", said.stdout);
    }
    assert_eq!(check(&report, "name").1, RELAY);
    assert!(
        check(&report, "client")
            .1
            .contains("refused, as it must be")
    );
    assert!(check(&report, "client").1.contains("421"));
    assert!(report["greeting"].as_str().unwrap().contains("ESMTP"));
    assert_eq!(report["tls"]["protocol"], "TLS 1.3");
    assert_eq!(report["tls"]["asks_for_certificate"], true);
    assert_eq!(report["address"], "127.0.0.1");
    assert_eq!(report["sent"], Value::Null);
    let file = pair.relay.config().join(format!("relayca/{RELAY}.crt.pem"));
    let on_disk = pair
        .admin
        .done(&["fingerprint", "--pin", "pubkey", file.to_str().unwrap()])
        .unwrap();
    let fingerprint = report["certificate"]["fingerprint"].as_str().unwrap();
    assert!(on_disk.starts_with(fingerprint));
    assert!(check(&report, "fingerprint").1.ends_with(fingerprint));
    assert_eq!(pair.internet.count(), 0);

    // By its name and port it is what mail hosts take it for, without an argument: where the name is known.
    let home = pair.admin.place().display();
    let said = pair
        .relay
        .paste(&format!(
            "XDG_DATA_HOME={home} {} probe\n",
            program().display()
        ))
        .unwrap();
    assert!(said.ok(), "{}\n{}", said.stdout, said.stderr);
    assert!(
        said.stdout
            .starts_with(&format!("{RELAY}:{}\n", pair.port.number()))
    );
}

#[test]
fn a_listed_host_may_relay_and_nothing_is_sent_unless_it_is_said() {
    let pair = pair();
    let place = place(&pair);
    let (code, report) = probed(&pair.admin, &[&place, "--as", "mailhost"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(check(&report, "mail").0, "good");
    let (verdict, seen) = check(&report, "rcpt");
    assert_eq!(verdict, "good");
    assert!(
        seen.starts_with("250") && seen.contains("relayca-probe@example.com"),
        "{seen}"
    );
    assert_eq!(report["client"]["host"], MAIL_HOST);
    assert_eq!(report["client"]["listed"], MAIL_HOST);
    assert_eq!(report["envelope"]["sender"], "postmaster@example.org");
    assert_eq!(pair.internet.count(), 0);
    assert!(pair.relay.queue().unwrap().is_empty());

    let said = probe(
        &pair.admin,
        &[&place, "--as", "mailhost", "--send", "me@example.net"],
    );
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    pair.internet.wait_for(1, SOON).unwrap();
    let message = pair.internet.messages().pop().unwrap();
    assert_eq!(message.from, "postmaster@example.org");
    assert_eq!(message.to, ["me@example.net"]);
    let id = message
        .text
        .lines()
        .find_map(|line| line.strip_prefix("Message-ID: "))
        .unwrap();
    assert!(said.stdout.contains(id), "{}", said.stdout);
    assert!(
        said.stderr
            .contains("one message was sent to me@example.net"),
        "{}",
        said.stderr
    );
    assert!(message.text.contains("Subject: relayca probe"));
    let date = message.text.lines().any(|line| line.starts_with("Date: "));
    assert!(date, "{}", message.text);
    pair.relay
        .wait_for_log("Trusted TLS connection established", SOON)
        .unwrap();

    // To a relay that is not the right one in any respect, nothing is sent: neither name nor CA may be wrong.
    let stranger = Admin::new(program()).unwrap();
    stranger.init(&["--relay", "relayhost:2500"]).unwrap();
    let other_ca = stranger.file("ca/ca.crt.pem").display().to_string();
    let files = opened(&pair.admin, MAIL_HOST);
    let file = |name: &str| files.join(name).display().to_string();
    let (crt, key) = (
        file(&format!("{MAIL_HOST}.crt.pem")),
        file(&format!("{MAIL_HOST}.key.pem")),
    );
    let as_host = [
        "--cert-file",
        &crt,
        "--key-file",
        &key,
        "--send",
        "you@example.net",
    ];
    let own_ca = pair.admin.file("ca/ca.crt.pem").display().to_string();
    for (fault, more) in [
        ("chain", ["--name", RELAY, "--ca-file", &other_ca]),
        (
            "name",
            ["--name", "other.example.org", "--ca-file", &own_ca],
        ),
    ] {
        let (code, report) = probed(
            &pair.admin,
            &[&[place.as_str()], &as_host[..], &more].concat(),
        );
        assert_eq!(code, 4, "{report:#}");
        assert_eq!(check(&report, fault).0, "fault");
        assert_eq!(check(&report, "rcpt").0, "good");
        assert_eq!(check(&report, "message").0, "fault");
        assert!(check(&report, "message").1.starts_with("not sent"));
        assert_eq!(report["sent"], Value::Null);
    }
    // Nor where nobody says which CA is the right one.
    let unjudged = [&[place.as_str()], &as_host[..], &["--name", RELAY]].concat();
    let nobody = Admin::new(program()).unwrap();
    let (code, report) = probed(&nobody, &unjudged);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(check(&report, "chain").0, "untried");
    assert_eq!(check(&report, "message").0, "fault");
    // Nor to a relay whose certificate was withdrawn, good as it looks.
    pair.admin.done(&["revoke", "relayhost"]).unwrap();
    let (code, report) = probed(
        &pair.admin,
        &[&place, "--as", "mailhost", "--send", "you@example.net"],
    );
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(check(&report, "chain").0, "good");
    assert_eq!(check(&report, "inventory").0, "fault");
    assert!(check(&report, "message").1.starts_with("not sent"));
    assert_eq!(pair.internet.count(), 1);
    assert!(pair.relay.queue().unwrap().is_empty());
}

#[test]
fn on_a_mail_host_without_the_authority_its_files_will_do() {
    let pair = pair();
    let files = pair.mail_host.config().join("relayca");
    let file = |name: &str| files.join(name).display().to_string();
    let nobody = Admin::new(program()).unwrap();
    let arguments = [
        &place(&pair),
        "--name",
        RELAY,
        "--ca-file",
        &file("example.org-ca.crt.pem"),
        "--cert-file",
        &file(&format!("{MAIL_HOST}.crt.pem")),
        "--key-file",
        &file(&format!("{MAIL_HOST}.key.pem")),
    ];
    let (code, report) = probed(&nobody, &arguments);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(check(&report, "chain").0, "good");
    assert_eq!(check(&report, "rcpt").0, "good");
    assert_eq!(report["client"]["listed"], Value::Null);
    assert_eq!(report["envelope"]["sender"], "postmaster@example.org");

    // The relay's name is not known from its address; and the matrix tries what needs no CA key.
    let (code, report) = probed(
        &nobody,
        &[&place(&pair), "--ca-file", &file("example.org-ca.crt.pem")],
    );
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(check(&report, "name").0, "untried");
    let said = probe(&nobody, &[&arguments[..], &["--matrix"]].concat());
    assert_eq!(said.code, 3, "{}\n{}", said.stdout, said.stderr);
    for line in said.stdout.lines() {
        let untried = line.starts_with("untried");
        let needs_the_ca = line.contains("it takes the CA's key");
        assert_eq!(
            untried,
            needs_the_ca || line.contains("a revoked one"),
            "{line}"
        );
    }
    assert!(
        said.stdout
            .contains("good     one of another CA of the same name"),
        "{}",
        said.stdout
    );

    // A key that is not the certificate's is noticed before anybody is asked.
    let other = opened(&pair.admin, RELAY).join(format!("{RELAY}.key.pem"));
    let mut wrong = arguments;
    wrong[8] = other.to_str().unwrap();
    let said = probe(&nobody, &wrong);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(
        said.stderr.contains("does not belong to"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_revoked_host_is_refused_and_that_is_right() {
    let pair = pair();
    let revoked = pair.admin.done(&["revoke", "mailhost"]).unwrap();
    // The relay does not know yet: the host would still get in.
    let (code, report) = probed(&pair.admin, &[&place(&pair), "--as", "mailhost"]);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(check(&report, "rcpt").0, "fault");
    pair.paste(&revoked).unwrap();
    let (code, report) = probed(&pair.admin, &[&place(&pair), "--as", "mailhost"]);
    assert_eq!(code, 0, "{report:#}");
    let (verdict, seen) = check(&report, "client");
    assert_eq!(report["client"]["listed"], Value::Null);
    assert!(
        report["checks"].as_array().unwrap().last().unwrap()["seen"]
            .as_str()
            .unwrap()
            .contains("450"),
        "{verdict} {seen}"
    );
}

#[test]
fn implicit_tls_is_looked_at_too() {
    let pair = pair();
    let settings = pair.admin.file("relayca.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("wrapper = false", "wrapper = true")).unwrap();
    let snippet = pair.admin.done(&["snippet", "relayhost"]).unwrap();
    assert!(snippet.contains("smtpd_tls_wrappermode=yes"), "{snippet}");
    let said = pair.relay.paste(&snippet).unwrap();
    assert!(said.ok(), "{}", said.stderr);
    let (code, report) = probed(&pair.admin, &[&place(&pair), "--as", "mailhost"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["offers_before_tls"], Value::Null);
    assert!(report["greeting"].as_str().unwrap().contains("ESMTP"));
    assert_eq!(check(&report, "rcpt").0, "good");
    let (code, report) = probed(&pair.admin, &["--matrix", &place(&pair)]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn a_relay_that_is_not_as_it_should_be_is_told_step_by_step() {
    let pair = pair();
    let place = place(&pair);
    let set = |setting: &str| {
        let label = format!("{}/inet/{setting}", pair.port.number());
        assert!(pair.relay.run("postconf", &["-P", &label]).unwrap().ok());
        pair.relay.reload().unwrap();
    };
    // No TLS at all.
    set("smtpd_tls_security_level=none");
    let (code, report) = probed(&pair.admin, &[&place]);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(check(&report, "starttls").0, "fault");
    // Its key is not where it is looked for.
    set("smtpd_tls_security_level=encrypt");
    set("smtpd_tls_key_file=/nowhere");
    let (code, report) = probed(&pair.admin, &[&place, "--as", "mailhost"]);
    assert_eq!(code, 4, "{report:#}");
    assert!(
        report["checks"].as_array().unwrap().last().unwrap()["seen"]
            .as_str()
            .unwrap()
            .contains("454"),
        "{report:#}"
    );
    // Another certificate: the system's own.
    set("smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem");
    set("smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key");
    let (code, report) = probed(&pair.admin, &[&place]);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(check(&report, "chain").0, "fault");
    assert_eq!(check(&report, "name").0, "fault");
    assert_eq!(check(&report, "inventory").0, "warning");
}

#[test]
fn a_busy_relay_is_not_taken_for_a_closed_one() {
    let pair = pair();
    let place = place(&pair);
    for setting in [
        "smtpd_client_connection_rate_limit=3",
        "anvil_rate_time_unit=600s",
    ] {
        let label = format!("{}/inet/{setting}", pair.port.number());
        assert!(pair.relay.run("postconf", &["-P", &label]).unwrap().ok());
    }
    pair.relay.reload().unwrap();
    let (code, report) = probed(&pair.admin, &["--matrix", &place]);
    assert_eq!(code, 3, "{report:#}");
    let rows = report["rows"].as_array().unwrap();
    let untried: Vec<&Value> = rows
        .iter()
        .filter(|row| row["verdict"] == "untried")
        .collect();
    assert!(untried.len() > 15, "{report:#}");
    assert!(untried.iter().all(|row| row["was"] == "untried"));
    let busy = |row: &&&Value| row["text"].as_str().unwrap().contains("busy with us: 421");
    assert!(untried.iter().filter(busy).count() > 15, "{report:#}");
    // It did not go on knocking.
    assert!(
        pair.relay.log().matches(": connect from").count() <= 5,
        "{}",
        pair.relay.log()
    );
    let (code, report) = probed(&pair.admin, &[&place]);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(check(&report, "greeting").0, "untried");
}

#[test]
fn what_cannot_be_asked_is_an_error_with_a_remedy() {
    let admin = Admin::new(program()).unwrap();
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let said = probe(&admin, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{arguments:?}");
        assert!(
            said.stderr.contains(words),
            "{arguments:?}: {}",
            said.stderr
        );
        assert!(
            said.stderr.contains("relayca: hint: "),
            "{arguments:?}: {}",
            said.stderr
        );
    };
    refused(&[], 1, "there is no authority");
    refused(&["--matrix", "127.0.0.1:9"], 1, "there is no authority");
    refused(&["--as", "mailhost"], 1, "there is no authority");
    admin
        .init(&[
            "--relay",
            "relayhost.invalid:2500",
            "--permit",
            "relayhost.invalid",
        ])
        .unwrap();
    admin.done(&["issue", "mailhost"]).unwrap();
    let port = xtask::lab::Port::reserve().unwrap();
    let closed = format!("127.0.0.1:{}", port.number());
    refused(&[&closed], 1, "connection refused");
    refused(&[&closed, "--matrix"], 1, "connection refused");
    refused(
        &["--timeout", "5"],
        1,
        "cannot connect to `relayhost.invalid`",
    );
    refused(&["a b"], 2, "a b");
    refused(&[&closed, "--as", "nobody"], 1, "has no certificate");
    refused(
        &[&closed, "--send", "me@example.net"],
        2,
        "a message is sent as a mail host",
    );
    refused(
        &[&closed, "--as", "mailhost", "--send", "me"],
        2,
        "no mail address",
    );
    refused(
        &[&closed, "--recipient", "a@b> SIZE=1"],
        2,
        "no mail address",
    );
    refused(&[&closed, "--cert-file", "/nowhere"], 2, "--key-file");
    refused(
        &[&closed, "--mx", "mx.example.org"],
        2,
        "cannot be used with",
    );
    refused(
        &["--matrix", "--send", "a@example.net"],
        2,
        "cannot be used with",
    );
    refused(&[&closed, "--ca-file", "/nowhere"], 1, "/nowhere");
    // Nothing of all that is in the authority: no certificate was entered, no file written.
    let history = admin.done(&["list", "--all", "--json"]).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&history)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        3
    );
}
