//! What `relayca probe --mx`, `--submission`, `--imaps` and the others make of servers: of those that are as they should be, and of
//! each fault by itself. The servers are in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod services;

use authority::{Admin, Outcome};
use services::fake::{Script, exchanger, imap, nobody, pop3, submission};
use services::{Pki, check, local, looked, verdict, with_roots};

#[test]
fn servers_as_they_should_be_are_found_good() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let implicit = |script: Script, command: &str, answer: &str| {
        script.answers(command, answer).implicit().listen()
    };
    for (option, port) in [
        ("--mx", exchanger(&pki).listen()),
        ("--submission", submission(&pki).listen()),
        ("--submissions", submission(&pki).implicit().listen()),
        ("--imap", imap(&pki).listen()),
        ("--imaps", imap(&pki).implicit().listen()),
        ("--pop3", pop3(&pki).listen()),
        ("--pop3s", implicit(pop3(&pki), "CAPA", "+OK\nUSER\n.")),
    ] {
        let (report, code) = looked(&admin, &pki, &[option, &local(port)]);
        assert_eq!(
            (report["status"].as_str(), code),
            (Some("good"), 0),
            "{report:#}"
        );
        assert_eq!(report["service"], option[2..]);
        assert_eq!(report["certificate"]["sent"], 2);
        assert_eq!(report["certificate"]["days"], 89);
        assert_eq!(report["certificate"]["names"][0], "localhost");
        assert_eq!(report["address"], "127.0.0.1");
    }
}

#[test]
fn the_table_is_for_people_and_several_services_go_in_one_call() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let mx = local(
        exchanger(&pki)
            .answers("EHLO", "250-localhost\n250-VRFY\n250 STARTTLS")
            .listen(),
    );
    let imaps = local(imap(&pki).implicit().listen());
    let arguments = ["probe", "--imaps", &imaps, "--mx", &mx];
    let outcome = Outcome::of(&mut with_roots(&admin, &pki, &arguments));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let (first, second) = outcome.stdout.split_once("\n\n").unwrap();
    assert!(first.starts_with(&format!("{mx} (mx)\nCHECK")), "{first}");
    assert!(
        second.starts_with(&format!("{imaps} (imaps)\nCHECK")),
        "{second}"
    );
    assert!(
        first.contains("commands           note     VRFY offered"),
        "{first}"
    );
    assert!(
        outcome.stderr.ends_with("relayca: 1 note, 18 good\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn passwords_in_the_clear_are_a_fault_of_a_submission_service() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let port = submission(&pki)
        .answers(
            "EHLO",
            "250-localhost\n250-AUTH PLAIN\n250-AUTH=LOGIN\n250 STARTTLS",
        )
        .answers("tls EHLO", "250 localhost")
        .listen();
    let (report, code) = looked(&admin, &pki, &["--submission", &local(port)]);
    assert_eq!(code, 4);
    let (mark, seen) = check(&report, "auth-before-tls");
    assert_eq!(mark, "fault");
    assert!(
        seen.starts_with("AUTH PLAIN LOGIN is offered before TLS"),
        "{seen}"
    );
    assert_eq!(verdict(&report, "auth"), "fault");
    assert_eq!(report["offers_before_tls"][0], "AUTH PLAIN");
    // Where no password is shown it is a matter of taste.
    let port = submission(&pki).answers(
        "EHLO",
        "250-localhost\n250-AUTH SCRAM-SHA-256\n250 STARTTLS",
    );
    let port = port
        .answers("tls EHLO", "250-localhost\n250 AUTH PLAIN")
        .listen();
    let (report, code) = looked(&admin, &pki, &["--submission", &local(port)]);
    assert_eq!(
        (verdict(&report, "auth-before-tls").as_str(), code),
        ("warning", 3)
    );
}

#[test]
fn nobody_logs_in_on_port_25() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let port = exchanger(&pki)
        .answers("tls EHLO", "250-localhost\n250 AUTH PLAIN")
        .listen();
    let (report, code) = looked(&admin, &pki, &["--mx", &local(port)]);
    assert_eq!(verdict(&report, "auth-before-tls"), "good");
    assert_eq!((verdict(&report, "auth").as_str(), code), ("warning", 3));
}

#[test]
fn mail_before_tls_is_refused_by_a_submission_service() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let lax = submission(&pki).answers("MAIL", "250 ok");
    let (report, code) = looked(
        &admin,
        &pki,
        &["--submission", &local(lax.clone().listen())],
    );
    assert_eq!(
        (verdict(&report, "mail-before-tls").as_str(), code),
        ("warning", 3)
    );
    assert_eq!(verdict(&report, "relaying"), "good");
    // And taken for anybody: from this machine that may be right, so it wants a look from outside.
    let open = lax.answers("RCPT", "250 ok").listen();
    let (report, code) = looked(&admin, &pki, &["--submission", &local(open)]);
    let (mark, seen) = check(&report, "relaying-before-tls");
    assert_eq!((mark.as_str(), code), ("warning", 3));
    assert_eq!(verdict(&report, "relaying"), "warning");
    assert_eq!(
        seen,
        "mail from <> to <relayca-probe@example.com> is taken from this machine without a password"
    );
}

#[test]
fn a_refusal_for_another_reason_leaves_open_whether_it_relays() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let port = exchanger(&pki)
        .answers("RCPT", "450 4.2.0 greylisted")
        .answers("RCPT TO:<A@EXAMPLE.NET>", "554 5.7.1 relaying denied")
        .listen();
    let (report, code) = looked(
        &admin,
        &pki,
        &["--mx", &local(port), "--recipient", "a@example.net"],
    );
    assert_eq!((verdict(&report, "relaying").as_str(), code), ("good", 0));
    let (report, code) = looked(&admin, &pki, &["--mx", &local(port)]);
    let (mark, seen) = check(&report, "relaying");
    assert_eq!((mark.as_str(), code), ("untried", 3));
    assert_eq!(seen, "refused for another reason: 450 4.2.0 greylisted");
    // A server that ends the conversation over it is answered for, too.
    let port = exchanger(&pki).answers("RCPT", "close").listen();
    let (report, code) = looked(&admin, &pki, &["--mx", &local(port)]);
    assert_eq!(
        (verdict(&report, "conversation").as_str(), code),
        ("untried", 3)
    );
}

#[test]
fn without_starttls_mail_goes_in_the_clear_and_passwords_too() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let bare = |script: Script| script.answers("EHLO", "250 localhost").listen();
    let (report, code) = looked(&admin, &pki, &["--mx", &local(bare(exchanger(&pki)))]);
    assert_eq!(
        (verdict(&report, "starttls").as_str(), code),
        ("warning", 3)
    );
    assert_eq!(verdict(&report, "relaying"), "good", "asked all the same");
    assert!(report["tls"].is_null() && report["certificate"].is_null());
    let (report, code) = looked(
        &admin,
        &pki,
        &["--submission", &local(bare(submission(&pki)))],
    );
    assert_eq!((verdict(&report, "starttls").as_str(), code), ("fault", 4));
    let port = imap(&pki)
        .answers("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\nTAG OK")
        .listen();
    let (report, code) = looked(&admin, &pki, &["--imap", &local(port)]);
    assert_eq!((verdict(&report, "starttls").as_str(), code), ("fault", 4));
    let port = pop3(&pki).answers("CAPA", "+OK\nSASL\n.").listen();
    let (report, code) = looked(&admin, &pki, &["--pop3", &local(port)]);
    assert_eq!((verdict(&report, "starttls").as_str(), code), ("fault", 4));
}

#[test]
fn starttls_that_fails_is_a_fault_and_an_exchanger_is_asked_on() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let port = exchanger(&pki)
        .answers(
            "STARTTLS",
            "454 4.7.0 TLS not available due to local problem",
        )
        .listen();
    let (report, code) = looked(&admin, &pki, &["--mx", &local(port)]);
    let (mark, seen) = check(&report, "tls");
    assert_eq!((mark.as_str(), code), ("fault", 4));
    assert_eq!(
        seen,
        "the answer to STARTTLS was 454 `4.7.0 TLS not available due to local problem`"
    );
    assert_eq!(verdict(&report, "relaying"), "good");
    let injecting = exchanger(&pki)
        .answers("STARTTLS", "220 go\n250 injected")
        .listen();
    let (report, code) = looked(&admin, &pki, &["--mx", &local(injecting)]);
    assert_eq!((verdict(&report, "tls").as_str(), code), ("fault", 4));
}

#[test]
fn the_two_ways_to_begin_tls_are_told_apart() {
    let (pki, admin) = (Pki::new(), Admin::new());
    for (option, port, greeting) in [
        (
            "--submissions",
            submission(&pki).listen(),
            "220 localhost ESMTP",
        ),
        (
            "--imaps",
            imap(&pki).listen(),
            "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready",
        ),
        ("--pop3s", pop3(&pki).listen(), "+OK ready"),
        ("--submissions", pop3(&pki).listen(), "+OK ready"),
    ] {
        let (report, code) = looked(&admin, &pki, &[option, &local(port)]);
        let (mark, seen) = check(&report, "answers");
        assert_eq!((mark.as_str(), code), ("fault", 4), "{report:#}");
        assert_eq!(seen, format!("it greets in plaintext: {greeting}"));
    }
    for (option, port) in [
        ("--submission", submission(&pki).implicit().listen()),
        ("--imap", imap(&pki).implicit().listen()),
        ("--mx", exchanger(&pki).implicit().listen()),
    ] {
        let (report, code) = looked(&admin, &pki, &[option, &local(port), "--timeout", "3"]);
        let (mark, seen) = check(&report, "answers");
        assert_eq!((mark.as_str(), code), ("fault", 4));
        assert_eq!(seen, "it says nothing in the clear: it begins with TLS");
    }
}

#[test]
fn a_mailbox_server_that_lets_in_without_a_password_or_nobody_is_a_fault() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let mut open = imap(&pki).implicit();
    open.greeting = "* PREAUTH welcome back".to_owned();
    let (report, code) = looked(&admin, &pki, &["--imaps", &local(open.listen())]);
    assert_eq!((verdict(&report, "answers").as_str(), code), ("fault", 4));
    let nobody = imap(&pki)
        .answers("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\nTAG OK")
        .implicit();
    let nobody = nobody.answers(
        "tls CAPABILITY",
        "* CAPABILITY IMAP4rev1 LOGINDISABLED\nTAG OK",
    );
    let (report, code) = looked(&admin, &pki, &["--imaps", &local(nobody.listen())]);
    assert_eq!((verdict(&report, "login").as_str(), code), ("fault", 4));
    let mute = pop3(&pki).answers("tls CAPA", "-ERR unknown").implicit();
    let (report, code) = looked(&admin, &pki, &["--pop3s", &local(mute.listen())]);
    assert_eq!((verdict(&report, "login").as_str(), code), ("untried", 3));
}

#[test]
fn nobody_listening_is_a_failure_and_one_of_several_is_a_fault() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let closed = local(nobody());
    let stderr = admin.refused(1, &["probe", "--imaps", &closed]);
    assert!(
        stderr.contains(&format!(
            "cannot connect to {closed}: 127.0.0.1: connection refused"
        )),
        "{stderr}"
    );
    let mx = local(exchanger(&pki).listen());
    let outcome = Outcome::of(&mut with_roots(
        &admin,
        &pki,
        &["probe", "--mx", &mx, "--pop3s", &closed],
    ));
    assert_eq!(outcome.code, Some(4));
    assert!(outcome.stdout.contains(&format!("{closed} (pop3s)\nCHECK    VERDICT  SEEN\nanswers  fault    127.0.0.1: connection refused")), "{}", outcome.stdout);
}

#[test]
fn what_is_no_host_and_what_is_no_list_of_authorities_are_refused() {
    let admin = Admin::new();
    for host in ["", "a b", "mail:0", "https://mail", "-x.example.org"] {
        admin.refused(2, &["probe", "--mx", host]);
    }
    admin.refused(1, &["probe", "--mx", "localhost:1", "--ca-file", "key.txt"]);
    admin.refused(
        1,
        &["probe", "--mx", "localhost:1", "--ca-file", "absent.pem"],
    );
    admin.refused(2, &["probe", "relay", "--mx", "localhost:1"]);
}
