//! What the scripts of roles refuse, what they put back, and that they leave the rest alone; on a Postfix and a Dovecot that do
//! not run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod roles_kit;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::{DovecotVersion, Role, RoleHost, ServerCertificate, role_snippet};
use roles_kit::HOST;
use roles_kit::server::{Server, ask};
use roles_kit::still::{add, as_it_is, config, install, refuses, still, warns};
use xtask::lab::openssl::{Certificate, Usage};

#[test]
fn a_certificate_that_no_server_could_show_stops_every_role() {
    let server = still(RelayStyle::Block, as_it_is);
    let directory = server.postfix.directory().to_owned();
    let other = server.authority.issue(HOST, Usage::Server).unwrap();
    let live = server.letsencrypt().join("live").join(HOST);
    let Certificate { key, certificate } = &server.shown;
    let locked = directory.join("locked.pem");
    let (good, said) = ask(
        "openssl",
        &[
            "pkey",
            "-in",
            key.to_str().unwrap(),
            "-aes256",
            "-passout",
            "pass:x",
            "-out",
            locked.to_str().unwrap(),
        ],
    );
    assert!(good, "{said}");
    for role in Role::ALL {
        install(&server, certificate, &other.key);
        refuses(&server, role, "is not for the key in");
        install(&server, key, certificate);
        refuses(&server, role, "is no private key");
        install(&server, key, key);
        refuses(&server, role, "is no certificate");
        install(&server, certificate, &locked);
        refuses(&server, role, "has a passphrase");
        fs::write(live.join("privkey.pem"), "").unwrap();
        refuses(
            &server,
            role,
            "is missing or cannot be read: certbot certonly",
        );
        fs::remove_file(live.join("privkey.pem")).unwrap();
        // As when the archive was cleared away and the links were left.
        symlink("../../archive/gone.pem", live.join("privkey.pem")).unwrap();
        refuses(
            &server,
            role,
            "is missing or cannot be read: certbot certonly",
        );
    }
}

#[test]
fn a_certificate_that_clients_will_refuse_is_warned_of() {
    let server = still(RelayStyle::Block, as_it_is);
    let old = server
        .authority
        .issue_between(
            "other.example.org",
            Usage::Server,
            "20200101000000Z",
            "20200201000000Z",
        )
        .unwrap();
    install(&server, &old.certificate, &old.key);
    for role in Role::ALL {
        warns(&server, role, "fullchain.pem has expired");
        warns(&server, role, "is not for the name mail.example.org");
    }
    let key = server
        .letsencrypt()
        .join("live")
        .join(HOST)
        .join("privkey.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    warns(&server, Role::Mx, "privkey.pem can be read by every user");
    install(&server, &server.shown.certificate, &server.shown.key);
    for role in Role::ALL {
        let said = server.paste(role);
        assert!(said.ok() && !said.stderr.contains("warning"), "{said:?}");
    }
}

#[test]
fn without_dovecot_there_is_nobody_to_ask_about_passwords() {
    let server = still(RelayStyle::Block, as_it_is);
    fs::remove_file(server.postfix.directory().join("queue/private/auth")).unwrap();
    for role in [Role::Submission, Role::Submissions] {
        refuses(
            &server,
            role,
            "paste the block of relayca snippet --role dovecot first",
        );
    }
    let real = "/usr/sbin/postconf";
    assert!(Path::new(real).exists());
    server.pretend(
        "postconf",
        &format!("if [ \"$1\" = -a ]; then echo cyrus; else exec {real} \"$@\"; fi"),
    );
    for role in [Role::Submission, Role::Submissions] {
        refuses(&server, role, "cannot ask Dovecot about passwords");
    }
    warns(&server, Role::Mx, "done");
}

#[test]
fn a_port_that_is_taken_in_master_cf_stops_it() {
    for style in [RelayStyle::Block, RelayStyle::Postconf] {
        let server = still(style, as_it_is);
        let port = server.submission.number();
        let master = config(&server, "master.cf");
        for (service, words) in [
            (
                format!("127.0.0.1:{port} inet n - n - - smtpd\n"),
                "listens on port",
            ),
            (
                "[::1]:submission inet n - n - - smtpd\n".to_owned(),
                "listens on port",
            ),
            (
                format!("{port} inet n - n - - smtpd\n  -o syslog_name=postfix/relayca\n"),
                "is the one of the relay service",
            ),
        ] {
            fs::write(server.postfix.config().join("master.cf"), &master).unwrap();
            add(&server, "master.cf", &service);
            refuses(&server, Role::Submission, words);
        }
    }
}

#[test]
fn services_under_the_names_of_the_ports_give_way() {
    for style in [RelayStyle::Block, RelayStyle::Postconf] {
        let server = still(style, as_it_is);
        add(
            &server,
            "master.cf",
            "submission inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\nsmtps inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes\n",
        );
        warns(
            &server,
            Role::Submission,
            "the service submission of master.cf is commented out",
        );
        warns(
            &server,
            Role::Submissions,
            "the service smtps of master.cf is commented out",
        );
        let services = server.postfix.run("postconf", &["-M"]).unwrap().stdout;
        let named = |name: &str| {
            services
                .lines()
                .any(|line| line.split_whitespace().next() == Some(name))
        };
        assert!(!named("submission") && !named("smtps"), "{services}");
        assert!(
            named(&server.submission.number().to_string())
                && named(&server.submissions.number().to_string())
        );
        // Its options went with it: they belong to no other service.
        let master = config(&server, "master.cf");
        let line = master
            .lines()
            .find(|line| line.contains("smtps inet") || line.contains("smtps      inet"));
        assert!(line.unwrap().starts_with('#'), "{master}");
        let said = server.paste(Role::Submission);
        assert!(said.ok() && !said.stderr.contains("warning"), "{said:?}");
    }
}

#[test]
fn whoever_sends_through_another_server_keeps_the_way_out() {
    for (style, first) in [(RelayStyle::Block, 0), (RelayStyle::Postconf, 4)] {
        for (name, value) in [
            ("smtp_enforce_tls", "yes"),
            ("relayhost", "[smtp.example.com]:587"),
            ("smtp_tls_security_level", "encrypt"),
            ("smtp_tls_security_level", "dane"),
            ("smtp_tls_wrappermode", "yes"),
        ]
        .into_iter()
        .skip(first)
        {
            let server = still(style, |setup| {
                setup
                    .set("smtp_tls_cert_file", "/etc/ssl/certs/ssl-cert-snakeoil.pem")
                    .set(name, value)
            });
            let outwards = |server: &Server| {
                let said = server.postfix.run("postconf", &["-n"]).unwrap().stdout;
                said.lines()
                    .filter(|line| line.starts_with("smtp_") || line.starts_with("relayhost"))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let before = outwards(&server);
            warns(&server, Role::Mx, &format!("{name} = {value}"));
            assert_eq!(before, outwards(&server), "{name} = {value}");
            let shown = server
                .postfix
                .run("postconf", &["-h", "smtpd_tls_cert_file"])
                .unwrap()
                .stdout;
            assert!(
                shown.contains("live/mail.example.org/fullchain.pem"),
                "{shown}"
            );
        }
    }
}

#[test]
fn what_master_cf_says_of_port_25_is_warned_of() {
    let server = still(RelayStyle::Block, as_it_is);
    add(
        &server,
        "master.cf",
        "smtp inet n - y - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_security_level=none\n",
    );
    warns(
        &server,
        Role::Mx,
        "smtp/inet/smtpd_sasl_auth_enable = yes: that counts for port 25",
    );
    warns(
        &server,
        Role::Mx,
        "smtp/inet/smtpd_tls_security_level = none: that counts for port 25",
    );
}

#[test]
fn sessions_are_kept_in_a_table_that_this_postfix_has() {
    let real = "/usr/sbin/postconf";
    for (style, types, preferred, expected) in [
        (
            RelayStyle::Block,
            "btree\nlmdb",
            "",
            "lmdb:${data_directory}/smtp_scache",
        ),
        (
            RelayStyle::Postconf,
            "btree\nhash",
            "",
            "btree:${data_directory}/smtp_scache",
        ),
        (
            RelayStyle::Block,
            "cdb\nlmdb",
            "lmdb",
            "lmdb:${data_directory}/smtp_scache",
        ),
        (RelayStyle::Postconf, "cdb\ntexthash", "", ""),
    ] {
        let server = still(style, as_it_is);
        server.pretend(
                "postconf",
                &format!("case \"$*\" in (-m) printf '%s\\n' '{types}' ;; ('-dhx default_cache_db_type') echo '{preferred}' ;; (*) exec {real} \"$@\" ;; esac"),
            );
        warns(&server, Role::Mx, "done");
        let set = server
            .postfix
            .run("postconf", &["-h", "smtp_tls_session_cache_database"])
            .unwrap();
        assert_eq!(set.stdout.trim_end(), expected, "{types} {style}");
    }
}

#[test]
fn what_postfix_does_not_take_is_put_back_with_the_hook() {
    for style in [RelayStyle::Block, RelayStyle::Postconf] {
        let server = still(style, as_it_is);
        server.pretend("postfix", "exit 1");
        for role in [Role::Mx, Role::Submission, Role::Submissions] {
            refuses(&server, role, "postfix check found a fault");
        }
        assert!(
            !server
                .letsencrypt()
                .join("renewal-hooks/deploy/relayca-postfix")
                .exists()
        );
        // A hook that was there comes back as it was.
        let hook = server
            .letsencrypt()
            .join("renewal-hooks/deploy/relayca-postfix");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, "#!/bin/sh\n# an older one\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
        refuses(&server, Role::Mx, "postfix check found a fault");
        let mode = fs::metadata(&hook).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        server.pretend("postfix", "[ \"$1\" = check ]");
        warns(&server, Role::Mx, "done");
        assert!(fs::read_to_string(&hook).unwrap().contains("reload"));
    }
}

#[test]
fn a_dovecot_that_would_not_see_it_is_left_as_it_was() {
    let server = still(RelayStyle::Block, as_it_is);
    let conf = server.dovecot.config();
    let main = fs::read_to_string(conf.join("dovecot.conf")).unwrap();
    // A file that comes later.
    fs::write(conf.join("conf.d/99-zz.conf"), "ssl = yes\n").unwrap();
    refuses(
        &server,
        Role::Dovecot,
        "Dovecot does not see ssl = required",
    );
    fs::write(
        conf.join("conf.d/99-zz.conf"),
        "ssl_cert = </etc/ssl/certs/ssl-cert-snakeoil.pem\n",
    )
    .unwrap();
    refuses(&server, Role::Dovecot, "Dovecot does not see ssl_cert = <");
    fs::remove_file(conf.join("conf.d/99-zz.conf")).unwrap();
    // A file that is not read at all.
    fs::write(
        conf.join("dovecot.conf"),
        main.replace("!include_try", "#!include_try"),
    )
    .unwrap();
    refuses(&server, Role::Dovecot, "must include conf.d/*.conf");
    // Faults of others.
    fs::write(conf.join("dovecot.conf"), format!("{main}nonsense = yes\n")).unwrap();
    refuses(&server, Role::Dovecot, "as it is; nothing was changed");
    fs::write(conf.join("dovecot.conf"), &main).unwrap();
    server.pretend("dovecot", "echo '2.2.36 (1f10bfa63)'");
    refuses(
        &server,
        Role::Dovecot,
        "this is Dovecot 2.2.36 (1f10bfa63), and the block is for 2.3 and 2.4",
    );
    server.real("dovecot");
    let for_newer = RoleHost {
        dovecot_version: Some(DovecotVersion::V2_4),
        ..server.host(Role::Dovecot)
    };
    let said = server.paste_text(&role_snippet(&for_newer).unwrap().script);
    assert!(
        !said.ok() && said.stderr.contains("and the block is for 2.4"),
        "{said:?}"
    );
    let elsewhere = RoleHost {
        queue_directory: "/var/spool/elsewhere".to_owned(),
        ..server.host(Role::Dovecot)
    };
    let said = server.paste_text(&role_snippet(&elsewhere).unwrap().script);
    assert!(
        !said.ok()
            && said
                .stderr
                .contains("print the block again with --queue-directory"),
        "{said:?}"
    );
    fs::write(
        conf.join("dovecot.conf"),
        main.replace("protocols = imap pop3", "protocols = lmtp"),
    )
    .unwrap();
    warns(&server, Role::Dovecot, "neither IMAP nor POP3");
    let socket = server.postfix.directory().join("queue/private/auth");
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "").unwrap();
    refuses(&server, Role::Dovecot, "is there and is no socket");
}

#[test]
fn another_certificate_replaces_the_first() {
    let server = still(RelayStyle::Block, as_it_is);
    for role in [Role::Mx, Role::Submission, Role::Submissions, Role::Dovecot] {
        warns(&server, role, "done");
    }
    let before = server.files();
    let ours = server.authority.issue(HOST, Usage::Server).unwrap();
    ours.install(&server.postfix.config(), HOST).unwrap();
    for role in [Role::Mx, Role::Submission, Role::Submissions, Role::Dovecot] {
        let host = RoleHost {
            certificate: ServerCertificate::Authority {
                domain: "example.org".to_owned(),
                host: HOST.to_owned(),
                config_directory: server.postfix.config_inside(),
            },
            ..server.host(role)
        };
        let said = server.paste_text(&role_snippet(&host).unwrap().script);
        assert!(said.ok(), "{said:?}");
    }
    for file in ["main.cf", "master.cf"] {
        let text = config(&server, file);
        assert!(
            text.contains("relayca/mail.example.org.crt.pem") && !text.contains("letsencrypt"),
            "{text}"
        );
    }
    // And back.
    for role in [Role::Mx, Role::Submission, Role::Submissions, Role::Dovecot] {
        warns(&server, role, "done");
    }
    let after = server.files();
    let ours =
        |(path, _): &&(std::path::PathBuf, String)| !path.to_string_lossy().contains("/relayca/");
    assert!(before.iter().filter(ours).eq(after.iter().filter(ours)));
}
