//! A mail server as it should be, and as people leave it, on a real Postfix and a real Dovecot: what `relayca probe --mx`,
//! `--submission`, `--imaps` and the others say of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod services;

use authority::{Admin, Outcome};
use serde_json::Value;
use services::{Pki, check, verdict, with_roots};
use xtask::lab::{Dovecot, DovecotSetup, Instance, Port, Setup};
use xtask::main_job::SOON;

/// A Postfix with a mail exchanger on its own port, submission, and submissions.
struct Server {
    postfix: Instance,
    submission: Port,
    submissions: Port,
}

/// One service's options, as each role's snippet has them.
fn service(port: &Port, options: &[&str]) -> String {
    let mut text = format!("{} inet n - n - - smtpd\n", port.number());
    for option in options {
        text.push_str(&format!("  -o {option}\n"));
    }
    text
}

const SUBMISSION: [&str; 4] = [
    "smtpd_tls_security_level=encrypt",
    "smtpd_sasl_auth_enable=yes",
    "smtpd_client_restrictions=permit_sasl_authenticated,reject",
    "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
];

impl Server {
    fn start(pki: &Pki, setup: Setup, submission: &[&str], submissions: &[&str]) -> Self {
        Self::with(pki, "fullchain.pem", setup, submission, submissions)
    }

    /// With the certificates of this file.
    fn with(
        pki: &Pki,
        file: &str,
        setup: Setup,
        submission: &[&str],
        submissions: &[&str],
    ) -> Self {
        let ports = (Port::reserve().unwrap(), Port::reserve().unwrap());
        let postfix = setup
            .set("smtpd_tls_cert_file", &pki.path(file))
            .set("smtpd_sasl_type", "dovecot")
            .set("smtpd_sasl_path", "private/auth")
            .service(&service(&ports.0, submission))
            .service(&service(&ports.1, submissions))
            .start()
            .unwrap();
        Self {
            postfix,
            submission: ports.0,
            submissions: ports.1,
        }
    }

    fn dovecot(&self, pki: &Pki) -> Dovecot {
        DovecotSetup::default()
            .user("user", "password")
            .certificate(&pki.certificate("fullchain.pem"))
            .authenticates(&self.postfix)
            .start()
            .unwrap()
    }

    fn mx(&self) -> String {
        format!("localhost:{}", self.postfix.port())
    }
}

/// With the key of the certificate.
fn basic(pki: &Pki) -> Setup {
    Setup::new("localhost").set("smtpd_tls_key_file", &pki.path("leaf.key"))
}

/// Nobody relays by address alone, this machine included.
fn closed(pki: &Pki) -> Setup {
    basic(pki)
        .set("mynetworks", "192.0.2.1/32")
        .set("disable_vrfy_command", "yes")
        .set("smtpd_discard_ehlo_keywords", "etrn,silent-discard")
        .set("smtpd_tls_protocols", "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1")
        .set(
            "smtpd_tls_mandatory_protocols",
            "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1",
        )
}

fn at(port: &Port) -> String {
    format!("localhost:{}", port.number())
}

/// Implicit TLS, otherwise like submission.
const SUBMISSIONS: [&str; 4] = [
    "smtpd_tls_wrappermode=yes",
    SUBMISSION[1],
    SUBMISSION[2],
    SUBMISSION[3],
];

/// The reports on services, in the order asked for, and the exit code.
fn looked(pki: &Pki, arguments: &[&str]) -> (Vec<Value>, i32) {
    let admin = Admin::new();
    let all = [&["probe", "--json"], arguments].concat();
    let outcome = Outcome::of(&mut with_roots(&admin, pki, &all));
    let value: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let reports = value["services"].as_array().unwrap().clone();
    (reports, outcome.code.unwrap())
}

#[test]
fn a_mail_server_as_it_should_be_passes_in_every_service() {
    let pki = Pki::new();
    let server = Server::start(&pki, closed(&pki), &SUBMISSION, &SUBMISSIONS);
    let dovecot = server.dovecot(&pki);
    let place = |port: u16| format!("localhost:{port}");
    let (reports, code) = looked(
        &pki,
        &[
            "--mx",
            &server.mx(),
            "--submission",
            &at(&server.submission),
            "--submissions",
            &at(&server.submissions),
            "--imaps",
            &place(dovecot.imaps()),
            "--pop3s",
            &place(dovecot.pop3s()),
        ],
    );
    for report in &reports {
        assert_eq!(report["status"], "good", "{report:#}");
        assert_eq!(report["tls"]["protocol"], "TLS 1.3");
    }
    assert_eq!((reports.len(), code), (5, 0));
    assert_eq!(
        check(&reports[0], "relaying").1,
        "refused: 454 4.7.1 <relayca-probe@example.com>: Relay access denied"
    );
    assert_eq!(
        check(&reports[1], "mail-before-tls").1,
        "MAIL before TLS is refused: 530 5.7.0 Must issue a STARTTLS command first"
    );
    assert_eq!(check(&reports[2], "auth").1, "AUTH PLAIN under TLS");
    // Dovecot takes passwords in the clear from its own address, even with `ssl = required`: from here that cannot be told.
    let (reports, code) = looked(
        &pki,
        &[
            "--imap",
            &place(dovecot.imap()),
            "--pop3",
            &place(dovecot.pop3()),
        ],
    );
    for report in &reports {
        assert_eq!(verdict(report, "starttls"), "good");
        assert_eq!(verdict(report, "login"), "good");
        assert_eq!(verdict(report, "login-before-tls"), "untried");
    }
    assert_eq!(code, 3);
    // Nothing was sent.
    assert!(server.postfix.queue().unwrap().is_empty());
}

#[test]
fn a_mail_server_as_people_leave_it_is_found_out() {
    let pki = Pki::new();
    // Everything in main.cf, for all services; cert.pem for fullchain.pem.
    let setup = basic(&pki).set("smtpd_sasl_auth_enable", "yes");
    let server = Server::with(
        &pki,
        "leaf.pem",
        setup,
        &["smtpd_tls_security_level=may"],
        &["smtpd_sasl_auth_enable=yes"],
    );
    let _dovecot = server.dovecot(&pki);
    let (reports, code) = looked(
        &pki,
        &[
            "--mx",
            &server.mx(),
            "--submission",
            &at(&server.submission),
            "--submissions",
            &at(&server.submissions),
        ],
    );
    assert_eq!(code, 4);
    let [mx, submission, submissions] = reports.as_slice() else {
        panic!()
    };
    for (id, expected) in [
        ("answers", "good"),
        ("starttls", "good"),
        ("auth-before-tls", "warning"),
        ("certificate-chain", "warning"),
        ("certificate-name", "good"),
        ("auth", "warning"),
        // `mynetworks`: from this machine.
        ("relaying", "warning"),
        ("commands", "note"),
    ] {
        assert_eq!(verdict(mx, id), expected, "{id}");
    }
    for (id, expected) in [
        ("auth-before-tls", "fault"),
        ("mail-before-tls", "warning"),
        ("relaying-before-tls", "warning"),
        ("certificate-chain", "fault"),
        ("auth", "good"),
        ("relaying", "warning"),
    ] {
        assert_eq!(verdict(submission, id), expected, "{id}");
    }
    let (mark, seen) = check(submissions, "answers");
    assert_eq!(mark, "fault");
    assert_eq!(
        seen,
        "it greets in plaintext: 220 localhost ESMTP Postfix (Debian/GNU)"
    );
    let hint = submissions["checks"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("smtpd_tls_wrappermode=yes"), "{hint}");
}

#[test]
fn tls_that_a_real_server_cannot_do_is_told() {
    let pki = Pki::new();
    // A key that does not belong to the certificate: STARTTLS is offered all the same.
    let setup = closed(&pki).set("smtpd_tls_key_file", &pki.path("root.key"));
    let wrapped = ["smtpd_tls_wrappermode=yes"];
    let server = Server::start(&pki, setup, &wrapped, &SUBMISSIONS);
    let (reports, code) = looked(&pki, &["--mx", &server.mx()]);
    let (mark, seen) = check(&reports[0], "tls");
    assert_eq!((mark.as_str(), code), ("fault", 4));
    assert_eq!(
        seen,
        "the answer to STARTTLS was 454 `4.7.0 TLS not available due to local problem`"
    );
    assert_eq!(verdict(&reports[0], "relaying"), "good");
    let (reports, code) = looked(
        &pki,
        &["--submissions", &at(&server.submissions), "--timeout", "5"],
    );
    assert_eq!((verdict(&reports[0], "tls").as_str(), code), ("fault", 4));
}

#[test]
fn implicit_tls_on_a_port_for_starttls_is_told() {
    let pki = Pki::new();
    let server = Server::start(&pki, closed(&pki), &SUBMISSIONS, &SUBMISSION);
    let (reports, code) = looked(
        &pki,
        &["--submission", &at(&server.submission), "--timeout", "5"],
    );
    let (mark, seen) = check(&reports[0], "answers");
    assert_eq!((mark.as_str(), code), ("fault", 4));
    assert_eq!(seen, "it says nothing in the clear: it begins with TLS");
}

#[test]
fn old_versions_of_tls_are_a_note_on_25_and_a_warning_for_people() {
    let pki = Pki::new();
    let old = closed(&pki)
        .set("smtpd_tls_protocols", "")
        .set("smtpd_tls_mandatory_protocols", "")
        .set("tls_medium_cipherlist", "ALL:@SECLEVEL=0")
        .set("tls_high_cipherlist", "ALL:@SECLEVEL=0");
    let server = Server::start(&pki, old, &SUBMISSION, &SUBMISSIONS);
    let _dovecot = server.dovecot(&pki);
    let (reports, _) = looked(
        &pki,
        &[
            "--mx",
            &server.mx(),
            "--submissions",
            &at(&server.submissions),
        ],
    );
    assert_eq!(
        check(&reports[0], "old-tls"),
        ("note".to_owned(), "TLSv1, TLSv1.1 too".to_owned())
    );
    assert_eq!(
        check(&reports[1], "old-tls"),
        ("warning".to_owned(), "TLSv1, TLSv1.1 too".to_owned())
    );
}

#[test]
fn a_submission_service_without_its_sasl_server_is_told_so() {
    let pki = Pki::new();
    let server = Server::start(&pki, closed(&pki), &SUBMISSION, &SUBMISSIONS);
    let (reports, code) = looked(&pki, &["--submissions", &at(&server.submissions)]);
    assert_eq!(
        (verdict(&reports[0], "answers").as_str(), code),
        ("fault", 4)
    );
    let hint = reports[0]["checks"][4]["hint"].as_str().unwrap();
    assert!(hint.contains("no SASL authentication mechanisms"), "{hint}");
    server
        .postfix
        .wait_for_log("fatal: no SASL authentication mechanisms", SOON)
        .unwrap();
}
