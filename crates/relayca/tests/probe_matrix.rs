//! `relayca probe --matrix`: the relay as printed is closed; opened in any of the ways that people open theirs, the matrix shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use xtask::main_job::{MAIL_HOST, Pair, RELAY, SOON};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relayca"))
}

/// A relay and its mail host, as printed.
fn pair() -> Pair {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    pair
}

fn place(pair: &Pair) -> String {
    format!("127.0.0.1:{}", pair.port.number())
}

/// The matrix: its exit code and its rows by id.
struct Matrix {
    code: i32,
    rows: BTreeMap<String, Value>,
    whole: Value,
}

impl Matrix {
    fn of(pair: &Pair, arguments: &[&str]) -> Self {
        let place = place(pair);
        let all = [&["probe", place.as_str(), "--matrix", "--json"], arguments].concat();
        let said = pair.admin.run(&all).unwrap();
        let whole: Value = serde_json::from_str(&said.stdout)
            .unwrap_or_else(|_| panic!("{}\n{}", said.stdout, said.stderr));
        let rows = whole["rows"].as_array().unwrap().iter();
        assert_eq!(pair.internet.count(), 0, "a probe sends nothing");
        Self {
            code: said.code,
            rows: rows
                .map(|row| (row["id"].as_str().unwrap().to_owned(), row.clone()))
                .collect(),
            whole,
        }
    }

    /// The rows with this verdict.
    fn with(&self, verdict: &str) -> Vec<&str> {
        let found = self
            .rows
            .iter()
            .filter(|(_, row)| row["verdict"] == verdict);
        found.map(|(id, _)| id.as_str()).collect()
    }

    fn text(&self, id: &str) -> &str {
        self.rows[id]["text"].as_str().unwrap()
    }
}

/// Changes settings of the relay's service by `-o`, and main.cf where the name begins with a dot.
fn set(pair: &Pair, settings: &[&str]) {
    for setting in settings {
        let (option, argument) = match setting.strip_prefix('.') {
            Some(setting) => ("-e", setting.to_owned()),
            None => ("-P", format!("{}/inet/{setting}", pair.port.number())),
        };
        let said = pair.relay.run("postconf", &[option, &argument]).unwrap();
        assert!(said.ok(), "{}", said.stderr);
    }
    // A main.cf of this moment would be waited for by every program.
    let main_cf = fs::File::options()
        .write(true)
        .open(pair.relay.config().join("main.cf"))
        .unwrap();
    let earlier = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    main_cf.set_modified(earlier).unwrap();
    pair.relay.reload().unwrap();
}

#[test]
fn the_relay_as_printed_is_closed_to_all_but_its_mail_host() {
    let pair = pair();
    let matrix = Matrix::of(&pair, &[]);
    assert_eq!(matrix.code, 0, "{:#}", matrix.whole);
    // There is no revoked key to show: that row was not tried, and makes nothing worse.
    assert_eq!(matrix.with("good").len(), matrix.rows.len() - 1);
    assert_eq!(matrix.with("note"), ["revoked"]);
    assert_eq!(matrix.whole["status"], "good");
    let row = |id: &str| &matrix.rows[id];
    assert_eq!(row("good")["was"], "accepted");
    assert_eq!(row("good")["code"], 250);
    assert_eq!(row("good")["listed"], MAIL_HOST);
    // Who has no good certificate is turned away before the envelope, who is only unlisted at it.
    for id in [
        "none",
        "self-signed",
        "other-ca",
        "expired",
        "not-yet-valid",
        "relay",
    ] {
        assert_eq!(
            (&row(id)["was"], &row(id)["code"]),
            (&"refused".into(), &421.into()),
            "{id}"
        );
        assert_eq!(row(id)["stage"], "EHLO in TLS", "{id}");
        assert_eq!(row(id)["listed"], Value::Null, "{id}");
    }
    assert_eq!(
        (&row("unlisted")["stage"], &row("unlisted")["code"]),
        (&"RCPT".into(), &450.into())
    );
    // The key is the listed one, and that is not enough.
    for id in [
        "listed-expired",
        "listed-self-signed",
        "listed-other-ca",
        "listed-server",
    ] {
        assert_eq!(
            (&row(id)["was"], &row(id)["code"]),
            (&"refused".into(), &421.into()),
            "{id}"
        );
        assert_eq!(row(id)["listed"], MAIL_HOST, "{id}");
        assert_eq!(row(id)["fingerprint"], row("good")["fingerprint"], "{id}");
    }
    // Judged by Postfix's own words: it saw each fault for what it is.
    for words in [
        "certificate has expired",
        "certificate not yet valid",
        "self-signed certificate",
        "certificate signature failure",
        "not designated for use as a client certificate",
    ] {
        pair.relay.wait_for_log(words, SOON).unwrap();
    }
    assert_eq!(row("revoked")["was"], "untried");
    assert_eq!(row("revoked")["code"], Value::Null);
    assert_eq!(
        matrix.text("revoked"),
        "no mail host's certificate was revoked that is valid otherwise; the row `unlisted` is a try of the same kind"
    );
    assert_eq!(row("plaintext")["code"], 530);
    assert_eq!(row("vrfy")["code"], 502);
    // Without tickets OpenSSL gives references to a cache that there is none of.
    assert_eq!(
        matrix.text("tls13-resumption"),
        "a ticket was given, and not taken back"
    );
    // Few connections, one after the other.
    let connections = pair.relay.log().matches(": connect from").count();
    assert!(connections <= 30, "{connections}");

    // For people the same.
    let said = pair
        .admin
        .run(&["probe", &place(&pair), "--matrix"])
        .unwrap();
    assert_eq!(said.code, 0);
    for row in matrix.rows.values() {
        assert!(
            said.stdout.contains(row["what"].as_str().unwrap()),
            "{}",
            said.stdout
        );
    }
    let tries = format!("refuses all else: {} tries", matrix.rows.len() - 1);
    assert!(said.stderr.contains(&tries), "{}", said.stderr);
    assert!(
        said.stderr.contains("no message was sent"),
        "{}",
        said.stderr
    );
}

/// Opens the relay in some way; the rows that must show it, and no others.
fn shows(pair: &Pair, settings: &[&str], open: &[&str]) -> Matrix {
    set(pair, settings);
    let matrix = Matrix::of(pair, &[]);
    let mut expected = open.to_vec();
    expected.sort_unstable();
    assert_eq!(
        matrix.with("fault"),
        expected,
        "{settings:?}\n{:#}\n{}",
        matrix.whole,
        pair.relay.log()
    );
    assert_eq!(
        matrix.code,
        if open.is_empty() { 0 } else { 4 },
        "{settings:?}"
    );
    for id in open {
        let hint = matrix.rows[*id]["hint"].as_str();
        assert!(hint.is_some(), "{id} has no remedy");
    }
    matrix
}

const LISTED: [&str; 4] = [
    "listed-expired",
    "listed-other-ca",
    "listed-self-signed",
    "listed-server",
];
/// What level `may` opens besides: it takes mail in the clear, and `smtpd_tls_protocols` of Postfix 3.7 begins with TLS 1.0.
const OPPORTUNISTIC: [&str; 3] = ["plaintext", "tlsv1", "tlsv1.1"];
const AS_PRINTED: &str = "smtpd_relay_restrictions=permit_tls_clientcerts,defer";

#[test]
fn a_relay_that_only_asks_for_certificates_is_unmasked_by_the_listed_key() {
    let pair = pair();
    shows(&pair, &["smtpd_tls_req_ccert=no"], &LISTED);
    shows(&pair, &["smtpd_tls_req_ccert=yes"], &[]);
    // Without TLS for all, that a certificate is required is ignored; and other protocols count, the old ones among them.
    let matrix = shows(
        &pair,
        &["smtpd_tls_security_level=may"],
        &[&LISTED[..], &OPPORTUNISTIC].concat(),
    );
    assert_eq!(matrix.rows["plaintext"]["was"], "accepted");
    assert_eq!(matrix.rows["plaintext"]["stage"], "MAIL");
    assert!(matrix.text("tlsv1").starts_with("TLSv1, cipher suite "));
    assert_eq!(matrix.rows["tlsv1"]["was"], "on");
    assert_eq!(matrix.rows["sslv3"]["was"], "off");
    // One that does not even ask lets nobody in.
    let matrix = shows(
        &pair,
        &[
            "smtpd_tls_security_level=encrypt",
            "smtpd_tls_ask_ccert=no",
            "smtpd_tls_req_ccert=no",
        ],
        &["good"],
    );
    let hint = matrix.rows["good"]["hint"].as_str().unwrap();
    assert!(hint.contains("smtpd_tls_ask_ccert=yes"), "{hint}");
}

#[test]
fn maps_and_restrictions_that_let_all_in_are_found() {
    let mut pair = pair();
    shows(&pair, &["relay_clientcerts=static:yes"], &["unlisted"]);
    let map = format!(
        "relay_clientcerts=${{default_database_type}}:{}/relayca/relay_clientcerts",
        pair.relay.config_inside()
    );
    set(&pair, &[&map]);
    shows(
        &pair,
        &["smtpd_relay_restrictions=permit_tls_all_clientcerts,defer"],
        &["unlisted"],
    );
    shows(
        &pair,
        &["smtpd_relay_restrictions=permit_mynetworks,permit_tls_clientcerts,defer"],
        &["unlisted"],
    );
    // An open relay: no TLS wanted, and this address trusted.
    let all = [
        "expired",
        "none",
        "not-yet-valid",
        "other-ca",
        "relay",
        "self-signed",
        "unlisted",
    ];
    let open = shows(
        &pair,
        &["smtpd_tls_security_level=may"],
        &[&all[..], &LISTED, &OPPORTUNISTIC].concat(),
    );
    assert_eq!(open.rows["plaintext"]["stage"], "RCPT");
    set(&pair, &["smtpd_tls_security_level=encrypt", AS_PRINTED]);

    // Listed no more, by hand or by accident: the right one is refused.
    let list = pair.relay.config().join("relayca/relay_clientcerts");
    let text = fs::read_to_string(&list).unwrap();
    let postmap = |text: &str| {
        fs::write(&list, text).unwrap();
        let said = pair
            .relay
            .run("postmap", &[list.to_str().unwrap()])
            .unwrap();
        assert!(said.ok(), "{}", said.stderr);
    };
    postmap("# nobody\n");
    let matrix = shows(&pair, &[], &["good"]);
    assert_eq!(matrix.rows["good"]["code"], 450);
    assert!(
        matrix.rows["good"]["hint"]
            .as_str()
            .unwrap()
            .contains("map")
    );
    postmap(&text);
    shows(&pair, &[], &[]);

    // A revoked host that the relay has not heard of is shown with its own certificate.
    pair.add_mail_host("second.example.org").unwrap();
    pair.paste(&pair.admin.done(&["issue", "second"]).unwrap())
        .unwrap();
    let revoked = pair.admin.done(&["revoke", "second"]).unwrap();
    let matrix = shows(&pair, &[], &["revoked"]);
    let hint = matrix.rows["revoked"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("the list on the relay is an old one"),
        "{hint}"
    );
    assert!(hint.contains("`relayca deploy --relays`"), "{hint}");
    assert_ne!(matrix.rows["revoked"]["fingerprint"], Value::Null);
    assert_eq!(matrix.rows["revoked"]["listed"], Value::Null);
    pair.paste(&revoked).unwrap();
    let matrix = shows(&pair, &[], &[]);
    assert_eq!(matrix.rows["revoked"]["code"], 450);
}

#[test]
fn refusals_for_good_are_a_warning_unless_they_are_wanted() {
    let pair = pair();
    set(
        &pair,
        &["smtpd_relay_restrictions=permit_tls_clientcerts,reject"],
    );
    let matrix = Matrix::of(&pair, &[]);
    assert_eq!(matrix.code, 3, "{:#}", matrix.whole);
    assert_eq!(matrix.with("fault"), [""; 0]);
    assert_eq!(matrix.with("warning"), ["unlisted"]);
    assert_eq!(matrix.rows["unlisted"]["code"], 554);
    assert!(
        matrix.rows["unlisted"]["hint"]
            .as_str()
            .unwrap()
            .contains("bounce")
    );
    let settings = pair.admin.file("relayca.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(
        &settings,
        text.replace("refusal = \"defer\"", "refusal = \"reject\""),
    )
    .unwrap();
    let matrix = Matrix::of(&pair, &[]);
    assert_eq!(matrix.code, 0, "{:#}", matrix.whole);
}

#[test]
fn commands_passwords_old_tls_and_tickets_are_found() {
    let pair = pair();
    shows(&pair, &["disable_vrfy_command=no"], &["vrfy"]);
    shows(
        &pair,
        &[
            "disable_vrfy_command=yes",
            "smtpd_etrn_restrictions=",
            "smtpd_discard_ehlo_keywords=",
        ],
        &["etrn"],
    );
    set(
        &pair,
        &[
            "smtpd_etrn_restrictions=reject",
            "smtpd_discard_ehlo_keywords=etrn,silent-discard",
        ],
    );
    let auth = shows(
        &pair,
        &[
            "smtpd_sasl_auth_enable=yes",
            "smtpd_sasl_type=cyrus",
            "smtpd_sasl_security_options=noanonymous",
        ],
        &["auth"],
    );
    assert_eq!(auth.text("auth"), "AUTH is offered under TLS");
    let auth = shows(
        &pair,
        &["smtpd_tls_security_level=may"],
        &[&LISTED[..], &OPPORTUNISTIC, &["auth"]].concat(),
    );
    assert_eq!(auth.text("auth"), "AUTH is offered before TLS");
    set(
        &pair,
        &[
            "smtpd_sasl_auth_enable=no",
            "smtpd_tls_security_level=encrypt",
        ],
    );

    let resumption = ["tls12-resumption", "tls13-resumption"];
    shows(&pair, &["tls_ssl_options="], &resumption);
    shows(&pair, &["tls_ssl_options=NO_TICKET"], &[]);
    // A cache of sessions in main.cf, as older Debians ship it, is not for this service: it has a tlsmgr of its own.
    shows(
        &pair,
        &[".smtpd_tls_session_cache_database=btree:${data_directory}/smtpd_scache"],
        &[],
    );
    // The one of all others keeps it for all services, whatever theirs say.
    shows(&pair, &["tlsmgr_service_name=tlsmgr"], &resumption);
}

#[test]
fn what_the_authority_cannot_open_is_told_and_what_to_give_for_it() {
    let pair = Pair::new(program(), &[], None).unwrap();
    let key = pair.mail_host.directory().join("ssh_host_ed25519_key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .unwrap();
    assert!(made.success());
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let printed = pair
        .admin
        .done(&["issue", "mailhost", "--seal-to", public.trim()])
        .unwrap();
    pair.paste(&printed.replace("/etc/ssh/ssh_host_ed25519_key", key.to_str().unwrap()))
        .unwrap();
    let matrix = Matrix::of(&pair, &["--as", "mailhost"]);
    assert_eq!(matrix.code, 3, "{:#}", matrix.whole);
    let mut untried = vec!["good"];
    untried.extend(LISTED);
    untried.sort_unstable();
    assert_eq!(matrix.with("untried"), untried);
    assert!(
        matrix.text("good").contains("sealed to a key of that host"),
        "{:#}",
        matrix.whole
    );
    assert!(
        matrix.rows["good"]["hint"]
            .as_str()
            .unwrap()
            .contains("--cert-file")
    );
    // What it takes: the host's files, or the key that opens its bundle.
    let files = pair.mail_host.config().join("relayca");
    let file = |name: &str| files.join(name).display().to_string();
    let (crt, secret) = (
        file(&format!("{MAIL_HOST}.crt.pem")),
        file(&format!("{MAIL_HOST}.key.pem")),
    );
    let matrix = Matrix::of(&pair, &["--cert-file", &crt, "--key-file", &secret]);
    assert_eq!(matrix.code, 0, "{:#}", matrix.whole);
    assert_eq!(matrix.whole["client"]["host"], MAIL_HOST);
    let (admins, own) = (
        pair.admin.identity().display().to_string(),
        key.display().to_string(),
    );
    let matrix = Matrix::of(&pair, &["--as", "mailhost", "-i", &admins, "-i", &own]);
    assert_eq!(matrix.code, 0, "{:#}", matrix.whole);
    // Revoked, and its bundle opens for nobody here: that is told, and is no try.
    let printed = pair.admin.done(&["revoke", "mailhost"]).unwrap();
    pair.paste(&printed).unwrap();
    let files = ["--cert-file", &crt, "--key-file", &secret];
    let matrix = Matrix::of(&pair, &files);
    assert_eq!(matrix.rows["revoked"]["was"], "untried");
    assert_eq!(matrix.rows["revoked"]["verdict"], "note");
    assert!(
        matrix
            .text("revoked")
            .contains("is sealed to a key of that host"),
        "{:#}",
        matrix.whole
    );
    // A relay of another name answers: its certificate is a row, too.
    let matrix = Matrix::of(
        &pair,
        &["--name", "other.example.org", "-i", &admins, "-i", &own],
    );
    assert_eq!(matrix.code, 4);
    assert_eq!(matrix.with("fault"), ["server"]);
    assert!(matrix.text("server").contains(RELAY));
}

#[test]
fn keys_of_every_kind_are_shown_to_the_relay() {
    for kind in ["ed25519", "rsa2048"] {
        let pair = Pair::new(program(), &["--ca-key", kind, "--key", kind], None).unwrap();
        pair.issue(&[]).unwrap();
        shows(&pair, &[], &[]);
    }
}

#[test]
fn a_host_that_is_bound_to_senders_is_probed_as_one_of_them() {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&["--senders", "info@example.org,example.org"])
        .unwrap();
    let matrix = Matrix::of(&pair, &[]);
    assert_eq!(matrix.code, 0, "{:#}", matrix.whole);
    assert_eq!(matrix.whole["envelope"]["sender"], "info@example.org");
    let matrix = Matrix::of(&pair, &["--sender", "boss@example.com"]);
    assert_eq!(matrix.code, 4);
    assert_eq!(matrix.with("fault"), ["good"]);
    assert!(
        matrix.rows["good"]["hint"]
            .as_str()
            .unwrap()
            .contains("--sender")
    );
}
