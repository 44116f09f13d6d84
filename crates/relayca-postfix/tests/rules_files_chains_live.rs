//! What the rules about chains, CA files and a client's files claim of Postfix, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use std::os::unix::fs::PermissionsExt as _;

use rules_live::{Bench, Client, SOON, client};
use xtask::lab::openssl::{Authority, Certificate, Usage, openssl};
use xtask::lab::{Port, Setup, Sink};

const MAY: &str = "smtpd_tls_security_level=may";

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

fn files(certificate: &str, key: &str) -> [String; 3] {
    [
        MAY.to_owned(),
        format!("smtpd_tls_cert_file={certificate}"),
        format!("smtpd_tls_key_file={key}"),
    ]
}

fn service(bench: &mut Bench, options: &[String]) -> u16 {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    bench.service(&options)
}

fn read(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn a_chain_is_what_is_in_the_file_or_in_the_ca_file_and_must_end_in_a_root() {
    let mut bench = Bench::new();
    let directory = bench.directory.path().to_owned();
    // An intermediate below the root, and a leaf below that.
    let intermediate = Certificate {
        key: directory.join("int.key"),
        certificate: directory.join("int.crt"),
    };
    let made = |name: &str,
                certificate: &Certificate,
                extensions: &str,
                issuer: &std::path::Path,
                issuer_key: &std::path::Path| {
        let request = directory.join(format!("{name}.csr"));
        let extension_file = directory.join(format!("{name}.ext"));
        std::fs::write(&extension_file, extensions).unwrap();
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &text(&certificate.key),
            "-out",
            &text(&request),
        ])
        .unwrap();
        openssl(&[
            "x509",
            "-req",
            "-in",
            &text(&request),
            "-CA",
            &text(issuer),
            "-CAkey",
            &text(issuer_key),
            "-CAcreateserial",
            "-CAserial",
            &text(&directory.join(format!("{name}.srl"))),
            "-days",
            "30",
            "-extfile",
            &text(&extension_file),
            "-out",
            &text(&certificate.certificate),
        ])
        .unwrap();
    };
    // The lab's root forbids intermediates; one of its own has room for them.
    let root = Certificate {
        key: directory.join("root.key"),
        certificate: directory.join("root.crt"),
    };
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=root",
        "-days",
        "30",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-keyout",
        &text(&root.key),
        "-out",
        &text(&root.certificate),
    ])
    .unwrap();
    made(
        "int",
        &intermediate,
        "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n",
        &root.certificate,
        &root.key,
    );
    let leaf = Certificate {
        key: directory.join("leaf.key"),
        certificate: directory.join("leaf.crt"),
    };
    made(
        "leaf",
        &leaf,
        "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n",
        &intermediate.certificate,
        &intermediate.key,
    );
    let whole = bench.write(
        "whole.pem",
        [read(&leaf.certificate), read(&intermediate.certificate)].concat(),
    );

    let alone = service(
        &mut bench,
        &files(&text(&leaf.certificate), &text(&leaf.key)),
    );
    let full = service(&mut bench, &files(&whole, &text(&leaf.key)));
    let mut options = files(&text(&leaf.certificate), &text(&leaf.key)).to_vec();
    options.push(format!(
        "smtpd_tls_CAfile={}",
        text(&intermediate.certificate)
    ));
    let completed = service(&mut bench, &options);
    let requires = |bench: &mut Bench, chroot: &str, more: &[String]| {
        let server = bench.server.clone();
        let mut options = vec![
            "smtpd_tls_security_level=encrypt".to_owned(),
            "smtpd_tls_req_ccert=yes".to_owned(),
            format!("smtpd_tls_cert_file={}", server.certificate.display()),
            format!("smtpd_tls_key_file={}", server.key.display()),
        ];
        options.extend_from_slice(more);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        bench.service_with(chroot, &options)
    };
    let by_intermediate = requires(
        &mut bench,
        "n",
        &[format!(
            "smtpd_tls_CAfile={}",
            intermediate.certificate.display()
        )],
    );
    let by_leaf = requires(
        &mut bench,
        "n",
        &[format!("smtpd_tls_CAfile={}", leaf.certificate.display())],
    );
    let both = bench.write(
        "both.pem",
        [read(&root.certificate), read(&intermediate.certificate)].concat(),
    );
    let by_both = requires(&mut bench, "n", &[format!("smtpd_tls_CAfile={both}")]);
    let with_key = bench.write(
        "with-key.pem",
        [
            read(&root.certificate),
            read(&root.key),
            read(&intermediate.certificate),
        ]
        .concat(),
    );
    let by_file_with_key = requires(&mut bench, "n", &[format!("smtpd_tls_CAfile={with_key}")]);
    let old_root = directory.join("old-root.crt");
    old_authority(&directory, &root, &old_root);
    let old = bench.write(
        "old.pem",
        [read(&old_root), read(&intermediate.certificate)].concat(),
    );
    let by_old = requires(&mut bench, "n", &[format!("smtpd_tls_CAfile={old}")]);
    let capath = directory.join("cas");
    std::fs::create_dir(&capath).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    for (number, one) in [&root, &intermediate].into_iter().enumerate() {
        std::fs::copy(&one.certificate, capath.join(format!("{number}.pem"))).unwrap();
    }
    openssl(&["rehash", &text(&capath)]).unwrap();
    let path_outside = format!("smtpd_tls_CApath={}", capath.display());
    let jailed = requires(&mut bench, "y", std::slice::from_ref(&path_outside));
    let free = requires(&mut bench, "n", &[path_outside]);
    let file_as_directory = requires(
        &mut bench,
        "n",
        &[format!("smtpd_tls_CApath={}", root.certificate.display())],
    );
    bench.start();

    assert_eq!(Client::default().relay(alone).shown(), ["CN=leaf"]);
    assert_eq!(Client::default().relay(full).shown(), ["CN=leaf", "CN=int"]);
    assert_eq!(
        Client::default().relay(completed).shown(),
        ["CN=leaf", "CN=int"]
    );
    let verifying = Client {
        authority: Some(&root.certificate),
        ..Client::default()
    };
    assert!(
        verifying
            .relay(alone)
            .text
            .contains("unable to get local issuer certificate")
    );
    assert!(
        verifying
            .relay(full)
            .text
            .contains("Verify return code: 0 (ok)")
    );

    for (port, words) in [
        (by_intermediate, "num=2:unable to get issuer certificate"),
        (by_leaf, "untrusted issuer"),
        (by_old, "CA certificate verification failed"),
        (jailed, "untrusted issuer"),
        (file_as_directory, "untrusted issuer"),
    ] {
        client(&leaf).relay(port).hears("421 4.7.1");
        bench.logged(port, words);
        bench.logged(port, "Client certificate not trusted");
        assert!(
            !bench.log_of(port).contains("warning"),
            "{}",
            bench.log_of(port)
        );
    }
    bench.logged(by_old, "certificate has expired");
    for port in [by_both, by_file_with_key, free] {
        client(&leaf).relay(port).hears("454 4.7.1");
        assert!(
            !bench.log_of(port).contains("warning"),
            "{}",
            bench.log_of(port)
        );
    }
}

/// The root anew, over long ago.
fn old_authority(directory: &std::path::Path, root: &Certificate, to: &std::path::Path) {
    let request = directory.join("old.csr");
    openssl(&[
        "req",
        "-new",
        "-key",
        &text(&root.key),
        "-subj",
        "/CN=root",
        "-out",
        &text(&request),
    ])
    .unwrap();
    std::fs::write(directory.join("old.index"), "").unwrap();
    let configuration = directory.join("old.cnf");
    std::fs::write(
        &configuration,
        format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={d}/old.index\nnew_certs_dir={d}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n[x]\nbasicConstraints=critical,CA:TRUE\n",
            d = directory.display()
        ),
    )
    .unwrap();
    openssl(&[
        "ca",
        "-selfsign",
        "-batch",
        "-notext",
        "-config",
        &text(&configuration),
        "-keyfile",
        &text(&root.key),
        "-in",
        &text(&request),
        "-out",
        &text(to),
        "-startdate",
        "20200101000000Z",
        "-enddate",
        "20210101000000Z",
        "-extensions",
        "x",
    ])
    .unwrap();
}

#[test]
fn a_client_whose_files_do_not_load_sends_in_the_clear_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "example.org relay CA").unwrap();
    let server = authority.issue("relay.example.org", Usage::Server).unwrap();
    let own = authority.issue("mail.example.org", Usage::Client).unwrap();
    let not_for_clients = authority.issue("mail.example.org", Usage::Server).unwrap();
    let internet = Sink::start().unwrap();
    let requiring = Port::reserve().unwrap();
    let asking = Port::reserve().unwrap();
    let tls = format!(
        " -o smtpd_tls_cert_file={}\n -o smtpd_tls_key_file={}\n -o smtpd_tls_CAfile={}\n",
        server.certificate.display(),
        server.key.display(),
        authority.certificate().display()
    );
    let relay = Setup::new("relay.example.org")
        .relays_to(&internet)
        .set("smtpd_peername_lookup", "no")
        .service(&format!(
            "{} inet n - n - - smtpd\n -o syslog_name=requiring\n{tls} -o smtpd_tls_security_level=encrypt\n -o smtpd_tls_req_ccert=yes\n -o smtpd_relay_restrictions=permit_mynetworks,defer\n",
            requiring.number()
        ))
        .service(&format!(
            "{} inet n - n - - smtpd\n -o syslog_name=asking\n{tls} -o smtpd_tls_security_level=may\n -o smtpd_tls_ask_ccert=yes\n -o smtpd_relay_restrictions=permit_mynetworks,defer\n",
            asking.number()
        ))
        .start()
        .unwrap();
    let transport = |name: &str, options: &[String]| {
        let mut lines = format!(
            "{name} unix - - n - - smtp\n -o syslog_name={name}\n -o smtp_tls_session_cache_database=\n -o smtp_tls_loglevel=1\n"
        );
        for option in options {
            lines.push_str(&format!(" -o {option}\n"));
        }
        lines
    };
    let missing = "smtp_tls_cert_file=/nowhere/c.pem".to_owned();
    let missing_chain = "smtp_tls_chain_files=/nowhere/chain.pem".to_owned();
    let level = |level: &str| format!("smtp_tls_security_level={level}");
    let pair = |certificate: &Certificate| {
        [
            format!("smtp_tls_cert_file={}", certificate.certificate.display()),
            format!("smtp_tls_key_file={}", certificate.key.display()),
        ]
    };
    let mut good = vec![level("encrypt")];
    good.extend(pair(&own));
    let mut wrong = vec![level("encrypt")];
    wrong.extend(pair(&not_for_clients));
    let mail_host = Setup::new("mail.example.org")
        .service(&transport("clear", &[level("may"), missing.clone()]))
        .service(&transport("waits", &[level("encrypt"), missing]))
        .service(&transport("open", &[level("encrypt"), missing_chain]))
        .service(&transport("good", &good))
        .service(&transport("wrong", &wrong))
        .set("relay_domains", "clear.example.net, waits.example.net, open.example.net, good.example.net, wrong.example.net")
        .set(
            "transport_maps",
            &format!(
                "inline:{{ {{ clear.example.net = clear:[127.0.0.1]:{a} }}, {{ waits.example.net = waits:[127.0.0.1]:{a} }}, {{ open.example.net = open:[127.0.0.1]:{r} }}, {{ good.example.net = good:[127.0.0.1]:{r} }}, {{ wrong.example.net = wrong:[127.0.0.1]:{r} }} }}",
                a = asking.number(),
                r = requiring.number()
            ),
        )
        .start()
        .unwrap();
    for name in ["clear", "waits", "open", "good", "wrong"] {
        mail_host
            .send("a@example.org", &format!("x@{name}.example.net"), "hello")
            .unwrap();
    }
    // In the clear, without a certificate; and with one, as it should be.
    internet.wait_for(2, SOON).unwrap();
    let to: Vec<String> = internet
        .messages()
        .into_iter()
        .flat_map(|message| message.to)
        .collect();
    assert!(
        to.contains(&"x@clear.example.net".to_owned())
            && to.contains(&"x@good.example.net".to_owned()),
        "{to:?}"
    );
    mail_host.wait_for_log("4.7.5", SOON).unwrap();
    mail_host
        .wait_for_log("our TLS engine is unavailable", SOON)
        .unwrap();
    relay
        .wait_for_log("No client certificate presented", SOON)
        .unwrap();
    relay
        .wait_for_log("Client certificate not trusted", SOON)
        .unwrap();
    let log = relay.log();
    assert!(
        !log.lines().any(
            |line| line.contains("asking/smtpd") && line.contains("TLS connection established")
        ),
        "{log}"
    );
    mail_host
        .wait_for_log("error opening chain file", SOON)
        .unwrap();
    assert_eq!(internet.count(), 2);
}
