//! Roles on a real Postfix and a real Dovecot: what is printed is pasted as it stands, and swaks, curl and openssl judge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod roles_kit;

use std::time::Duration;

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::Role;
use roles_kit::HOST;
use roles_kit::server::{PASSWORD, Server, USER, ask, serial};
use xtask::lab::openssl::Usage;

const SOON: Duration = Duration::from_secs(30);

fn as_it_is(setup: xtask::lab::Setup) -> xtask::lab::Setup {
    setup
}

/// A user logs in and sends, on 587 and on 465, and cannot where that would be wrong.
fn users_send_and_strangers_do_not(server: &Server) {
    let (starttls, implicit) = (server.submission.number(), server.submissions.number());
    let login = ["--auth-user", USER, "--auth-password", PASSWORD];
    for (port, tls) in [(starttls, "--tls"), (implicit, "--tlsc")] {
        let before = server.internet.count();
        let good = [
            &["--to", "someone@example.net", tls, "--auth", "PLAIN"][..],
            &login,
        ]
        .concat();
        let (sent, said) = server.swaks(port, &good);
        assert!(sent, "{said}\n{}", server.logs());
        let messages = server.internet.wait_for(before + 1, SOON).unwrap();
        let text = &messages.last().unwrap().text;
        assert!(text.contains("(using TLSv1."), "{text}");
        assert!(!text.contains("Authenticated sender"), "{text}");

        // A wrong password; no password; no password to a local user either.
        let (sent, said) = server.swaks(
            port,
            &[
                "--to",
                "a@example.net",
                tls,
                "--auth",
                "PLAIN",
                "--auth-user",
                USER,
                "--auth-password",
                "wrong",
            ],
        );
        assert!(!sent && said.contains("535 5.7.8"), "{said}");
        for to in ["someone@example.net", "postmaster@mail.example.org"] {
            let (sent, said) = server.swaks(port, &["--to", to, tls]);
            assert!(!sent && said.contains("554 5.7.1"), "{to}: {said}");
        }
        assert_eq!(server.internet.count(), before + 1);
        // ETRN and VRFY are not offered, AUTH is.
        let (_, said) = server.swaks(port, &["--quit-after", "FIRST-HELO", tls]);
        assert!(!said.contains("ETRN") && !said.contains("VRFY"), "{said}");
    }
    // Before STARTTLS no AUTH is offered or taken, nor any mail.
    let (_, said) = server.swaks(starttls, &["--to", "a@example.net", "--quit-after", "EHLO"]);
    assert!(
        said.contains("STARTTLS") && !said.contains("AUTH"),
        "{said}"
    );
    let forced = [&["--to", "a@example.net", "--auth", "PLAIN"][..], &login].concat();
    let (sent, said) = server.swaks(starttls, &forced);
    assert!(!sent, "{said}");
    let (sent, said) = server.swaks(starttls, &["--to", "a@example.net"]);
    assert!(!sent && said.contains("530 5.7.0"), "{said}");
    // Plain text to 465 is no SMTP.
    let (sent, _) = server.swaks(implicit, &["--to", "a@example.net", "--timeout", "3"]);
    assert!(!sent);
}

/// Port 25 has TLS for whoever wants it, and no AUTH for anybody.
fn the_mx_has_tls_and_no_auth(server: &Server) {
    let port = server.postfix.port();
    for tls in [&["--tls"][..], &[]] {
        let more = [
            &["--to", "someone@example.net", "--quit-after", "HELO"][..],
            tls,
        ]
        .concat();
        let (good, said) = server.swaks(port, &more);
        assert!(good && !said.contains("AUTH"), "{said}");
    }
    let (_, said) = server.swaks(
        port,
        &[
            "--to",
            "a@example.net",
            "--tls",
            "--auth",
            "PLAIN",
            "--auth-user",
            USER,
            "--auth-password",
            PASSWORD,
        ],
    );
    assert!(
        said.contains("Host did not advertise authentication"),
        "{said}"
    );
    for tls in [&["--tls"][..], &[]] {
        let before = server.internet.count();
        let more = [&["--to", "someone@example.net"][..], tls].concat();
        let (sent, said) = server.swaks(port, &more);
        assert!(sent, "{said}");
        let text = server
            .internet
            .wait_for(before + 1, SOON)
            .unwrap()
            .pop()
            .unwrap()
            .text;
        assert_eq!(text.contains("(using TLSv1."), !tls.is_empty(), "{text}");
    }
}

/// Mailboxes are read over TLS alone.
fn mailboxes_are_read_over_tls(server: &Server) {
    let ca = server.authority.certificate().display().to_string();
    let read = |url: &str, port: u16, password: &str, more: &[&str]| {
        let (user, resolve) = (
            format!("{USER}:{password}"),
            format!("{HOST}:{port}:127.0.0.1"),
        );
        let mut arguments = vec![
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--cacert",
            &ca,
            "--user",
            &user,
            "--resolve",
            &resolve,
            url,
        ];
        arguments.extend(more);
        ask("curl", &arguments)
    };
    for (scheme, port, path) in [
        ("imaps", server.dovecot.imaps(), "INBOX"),
        ("pop3s", server.dovecot.pop3s(), ""),
    ] {
        let url = format!("{scheme}://{HOST}:{port}/{path}");
        let (good, said) = read(&url, port, PASSWORD, &[]);
        assert!(good, "{url}: {said}\n{}", server.logs());
        assert!(!read(&url, port, "wrong", &[]).0, "{url}");
        // An old version of TLS is refused, by whoever still has it.
        let (old, _) = read(
            &url,
            port,
            PASSWORD,
            &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"],
        );
        assert!(!old, "{url}");
    }
    // From another address than its own, which Dovecot lets in without TLS.
    let elsewhere = ["--interface", "127.0.0.2"];
    for (scheme, port) in [
        ("imap", server.dovecot.imap()),
        ("pop3", server.dovecot.pop3()),
    ] {
        let url = format!("{scheme}://{HOST}:{port}/");
        let (good, said) = read(&url, port, PASSWORD, &elsewhere);
        assert!(!good, "a password in the clear on {url}: {said}");
        let (good, said) = read(
            &url,
            port,
            PASSWORD,
            &["--interface", "127.0.0.2", "--ssl-reqd"],
        );
        assert!(good, "{url}: {said}");
    }
}

fn everything_works(server: &Server) {
    users_send_and_strangers_do_not(server);
    the_mx_has_tls_and_no_auth(server);
    mailboxes_are_read_over_tls(server);
    for name in ["postfix/submission/smtpd", "postfix/submissions/smtpd"] {
        server.postfix.wait_for_log(name, SOON).unwrap();
    }
    let log = server.postfix.log();
    // But for the wrong passwords, and plain text to a port that speaks TLS.
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("warning:") || line.contains("fatal:"))
        .filter(|line| {
            !line.contains("authentication failed") && !line.contains("TLS library problem")
        })
        .collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
    let said = server.postfix.run("postfix", &["check"]).unwrap();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
}

#[test]
fn users_send_and_read_and_the_mx_takes_mail() {
    everything_works(&Server::pasted(as_it_is, RelayStyle::Block));
}

#[test]
fn they_do_when_postfix_is_told_by_commands() {
    everything_works(&Server::pasted(as_it_is, RelayStyle::Postconf));
}

#[test]
fn the_hook_shows_the_renewed_certificate_and_nothing_else_does() {
    let server = Server::pasted(as_it_is, RelayStyle::Block);
    let (starttls, implicit) = (server.submission.number(), server.submissions.number());
    let everywhere = |server: &Server| {
        [
            server.serial_shown(server.postfix.port(), &["-starttls", "smtp"]),
            server.serial_shown(starttls, &["-starttls", "smtp"]),
            server.serial_shown(implicit, &[]),
            server.serial_shown(server.dovecot.imaps(), &[]),
            server.serial_shown(server.dovecot.pop3s(), &[]),
        ]
    };
    let first = serial(&server.shown.certificate);
    assert_eq!(everywhere(&server), [first.as_str(); 5]);
    let renewed = server.authority.issue(HOST, Usage::Server).unwrap();
    server.renew(&renewed);
    assert_eq!(everywhere(&server), [first.as_str(); 5], "before the hooks");
    // As certbot runs them: every executable file in the directory.
    let hooks = server.letsencrypt().join("renewal-hooks/deploy");
    let mut names: Vec<_> = std::fs::read_dir(&hooks)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [hooks.join("relayca-dovecot"), hooks.join("relayca-postfix")]
    );
    for hook in &names {
        use std::os::unix::fs::MetadataExt as _;
        let data = std::fs::metadata(hook).unwrap();
        assert_eq!((data.mode() & 0o7777, data.uid()), (0o755, 0));
        let (good, said) = ask("env", &["-i", "PATH=/usr/bin:/bin", hook.to_str().unwrap()]);
        assert!(good, "{}: {said}", hook.display());
    }
    let second = serial(&renewed.certificate);
    assert_ne!(first, second);
    let seen = || everywhere(&server) == [second.as_str(); 5];
    xtask::lab::wait_for("the renewed certificate on every port", SOON, seen)
        .unwrap_or_else(|error| panic!("{error}: {:?}\n{}", everywhere(&server), server.logs()));

    // With nothing running a hook has nothing to do, and certbot nothing to report.
    server.postfix.stop().unwrap();
    server.dovecot.stop().unwrap();
    for hook in &names {
        let (good, said) = ask(hook.to_str().unwrap(), &[]);
        assert!(good && said.is_empty(), "{}: {said}", hook.display());
    }
}

/// What others left in main.cf: certificates of other kinds, restrictions, half of SASL, and TLS the wrong way round.
fn with_nasties(setup: xtask::lab::Setup) -> xtask::lab::Setup {
    let mut setup = setup;
    for part in [
        "client",
        "helo",
        "sender",
        "recipient",
        "data",
        "end_of_data",
    ] {
        setup = setup.set(&format!("smtpd_{part}_restrictions"), "reject");
    }
    for (name, value) in [
        ("smtpd_tls_chain_files", "/nowhere/chain.pem"),
        ("smtpd_tls_eccert_file", "/nowhere/cert.pem"),
        ("smtpd_tls_eckey_file", "/nowhere/key.pem"),
        ("smtpd_tls_wrappermode", "yes"),
        ("smtpd_tls_req_ccert", "yes"),
        ("smtpd_tls_security_level", "none"),
        ("smtpd_tls_received_header", "no"),
        ("smtpd_tls_auth_only", "no"),
        ("smtpd_sasl_auth_enable", "yes"),
        ("smtpd_sasl_type", "cyrus"),
        ("smtpd_sasl_path", "smtpd"),
        ("smtpd_sasl_security_options", "noanonymous,noplaintext"),
        ("smtpd_sasl_tls_security_options", "noanonymous,noplaintext"),
        ("smtpd_sasl_exceptions_networks", "0.0.0.0/0"),
        ("smtpd_sasl_authenticated_header", "yes"),
        ("smtpd_discard_ehlo_keywords", "starttls,auth"),
        ("smtpd_delay_reject", "no"),
        ("mynetworks", "0.0.0.0/0"),
        (
            "smtpd_tls_session_cache_database",
            "btree:${data_directory}/smtpd_scache",
        ),
    ] {
        setup = setup.set(name, value);
    }
    setup
}

#[test]
fn what_others_left_in_main_cf_does_not_matter_to_users() {
    let server = Server::new(
        with_nasties,
        RelayStyle::Block,
        &xtask::lab::Tree::default(),
    );
    for role in [Role::Dovecot, Role::Submission, Role::Submissions] {
        let said = server.paste(role);
        assert!(said.ok(), "{role}: {said:?}\n{}", server.logs());
        assert!(
            role == Role::Dovecot
                || said.stderr.contains("let users log in on every port")
                    == (role == Role::Submission),
            "{said:?}"
        );
    }
    users_send_and_strangers_do_not(&server);
    mailboxes_are_read_over_tls(&server);
}

#[test]
fn mail_between_two_mx_is_encrypted_and_shows_no_certificate() {
    let there = Server::new(
        |setup| {
            setup
                .set("relay_domains", "example.net")
                .set("relay_transport", "$default_transport")
        },
        RelayStyle::Block,
        &xtask::lab::Tree::default(),
    );
    assert!(there.paste(Role::Mx).ok());
    for style in [RelayStyle::Block, RelayStyle::Postconf] {
        let here = Server::new(
            |setup| {
                setup
                    .knows("mx.example.net")
                    .set(
                        "default_transport",
                        &format!("smtp:[mx.example.net]:{}", there.postfix.port()),
                    )
                    .set("smtp_tls_cert_file", "/etc/ssl/certs/ssl-cert-snakeoil.pem")
                    .set(
                        "smtp_tls_key_file",
                        "/etc/ssl/private/ssl-cert-snakeoil.key",
                    )
            },
            style,
            &xtask::lab::Tree::default(),
        );
        let said = here.paste(Role::Mx);
        assert!(
            said.ok()
                && said
                    .stderr
                    .contains("was shown to every server; from now on none is"),
            "{said:?}"
        );
        let cache = here
            .postfix
            .run("postconf", &["-h", "smtp_tls_session_cache_database"])
            .unwrap();
        assert_eq!(cache.stdout, "lmdb:${data_directory}/smtp_scache\n");
        let before = there.internet.count();
        for number in 1..=2 {
            here.postfix
                .send(USER, &format!("{number}@example.net"), "hello")
                .unwrap();
            let messages = there.internet.wait_for(before + number, SOON).unwrap();
            let text = &messages.last().unwrap().text;
            assert!(
                text.contains("(using TLSv1.")
                    && text.contains("(No client certificate requested)"),
                "{text}"
            );
        }
        here.postfix
            .wait_for_log(
                "Untrusted TLS connection established to mx.example.net",
                SOON,
            )
            .unwrap();
        let log = here.postfix.log();
        assert!(!log.contains("warning:"), "{log}");
        assert!(
            here.postfix
                .directory()
                .join("data/smtp_scache.lmdb")
                .exists(),
            "sessions are kept"
        );
    }
}

fn pastes_twice(style: RelayStyle) {
    let server = Server::pasted(as_it_is, style);
    let before = server.files();
    for role in Role::ALL {
        let said = server.paste(role);
        assert!(said.ok(), "{role}: {said:?}");
    }
    assert_eq!(before, server.files(), "{style}");
}

#[test]
fn pasting_blocks_twice_changes_nothing() {
    pastes_twice(RelayStyle::Block);
}

#[test]
fn pasting_commands_twice_changes_nothing() {
    pastes_twice(RelayStyle::Postconf);
}

#[test]
fn a_port_that_something_else_has_does_not_cost_the_mail_system() {
    let server = Server::new(as_it_is, RelayStyle::Block, &xtask::lab::Tree::default());
    assert!(server.paste(Role::Dovecot).ok());
    let before = server.files();
    let taken = std::net::TcpListener::bind(("127.0.0.1", server.submission.number())).unwrap();
    let said = server.paste(Role::Submission);
    assert!(
        !said.ok() && said.stderr.contains("taken? Everything is as before"),
        "{said:?}"
    );
    assert_eq!(server.files(), before, "the hook is gone too");
    assert!(server.postfix.master().is_some(), "{}", server.logs());
    drop(taken);
    assert!(server.paste(Role::Submission).ok());
}

#[test]
fn a_dovecot_that_ends_instead_of_listening_for_postfix_is_started_again_as_before() {
    let server = Server::new(as_it_is, RelayStyle::Block, &xtask::lab::Tree::default());
    let before = server.files();
    // As 2.3 does where it cannot listen after a reload.
    let pid = server.dovecot.master().unwrap();
    server.pretend(
        "doveadm",
        &format!(
            "case \"$*\" in (*reload*) kill {pid} ;; (*) exec /usr/bin/doveadm \"$@\" ;; esac"
        ),
    );
    let said = server.paste(Role::Dovecot);
    assert!(
        !said.ok() && said.stderr.contains("everything is as before"),
        "{said:?}\n{}",
        server.logs()
    );
    assert_eq!(server.files(), before);
    assert_ne!(server.dovecot.master().unwrap(), pid, "{}", server.logs());
}
