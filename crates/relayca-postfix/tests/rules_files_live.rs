//! What the rules about keys, certificates and CA files claim of Postfix, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use std::os::unix::fs::PermissionsExt as _;

use rules_live::{Bench, Client, hears, starttls};
use xtask::lab::openssl::{Certificate, Usage, openssl};

const MAY: &str = "smtpd_tls_security_level=may";
const BROKEN: &str = "454 4.7.0 TLS not available due to local problem";

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
fn what_cannot_be_loaded_turns_tls_off() {
    let mut bench = Bench::new();
    let other = bench
        .authority
        .issue("other.example.org", Usage::Server)
        .unwrap();
    let own = bench.server.clone();
    let (certificate, key) = (text(&own.certificate), text(&own.key));
    let encrypted = bench.directory.path().join("encrypted.pem");
    openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        &key,
        "-passout",
        "pass:x",
        "-out",
        &text(&encrypted),
    ])
    .unwrap();
    let request = bench.directory.path().join("request.pem");
    openssl(&[
        "req",
        "-new",
        "-key",
        &key,
        "-subj",
        "/CN=x",
        "-out",
        &text(&request),
    ])
    .unwrap();
    let ca_first = bench.write(
        "ca-first.pem",
        [read(bench.authority.certificate()), read(&own.certificate)].concat(),
    );
    let chain = |name: &str, parts: &[&std::path::Path]| {
        let content: Vec<u8> = parts.iter().flat_map(|part| read(part)).collect();
        format!("smtpd_tls_chain_files={}", bench.write(name, content))
    };
    let chains = [
        (chain("c1", &[&own.certificate, &own.key]), "key not first"),
        (
            chain("c2", &[&other.key, &own.certificate]),
            "does not match next certificate",
        ),
        (
            chain("c3", &[&own.key, &other.key, &other.certificate]),
            "not followed by a certificate",
        ),
        (chain("c4", &[&own.key]), "No certs for key at index 1"),
        (
            chain("c5", &[&encrypted, &own.certificate]),
            "key not first",
        ),
        (chain("c6", &[&request]), "No PEM data in"),
    ];
    let directory = text(bench.directory.path());
    let mut cases: Vec<(u16, &str, &str)> = Vec::new();
    for (options, words) in [
        (files(&key, &certificate), "no start line"),
        (
            files(&certificate, &text(&other.key)),
            "key values mismatch",
        ),
        (files(&ca_first, &key), "key values mismatch"),
        (
            files(&certificate, &text(&encrypted)),
            "problems getting password",
        ),
        (files("/nowhere/c.pem", &key), "No such file or directory"),
        (files("relative.pem", &key), "fopen(relative.pem"),
        (files(&directory, &key), "no start line"),
        (files(&text(&request), &key), "no start line"),
        (files(&certificate, &certificate), "No private key found in"),
    ] {
        cases.push((service(&mut bench, &options), words, BROKEN));
    }
    for (option, words) in &chains {
        cases.push((
            service(&mut bench, &[MAY.to_owned(), option.clone()]),
            words,
            BROKEN,
        ));
    }
    for (authority, words) in [
        (
            "/nowhere/ca.pem".to_owned(),
            "cannot load Certification Authority data",
        ),
        (key.clone(), "cannot load Certification Authority data"),
    ] {
        let mut options = files(&certificate, &key).to_vec();
        options.push(format!("smtpd_tls_CAfile={authority}"));
        cases.push((service(&mut bench, &options), words, BROKEN));
    }
    // A relative path means one below the queue directory, whatever lies beside main.cf.
    let relative = service(&mut bench, &files("r.pem", "r.key"));
    let wrapper = service(
        &mut bench,
        &[
            "smtpd_tls_wrappermode=yes".to_owned(),
            format!("smtpd_tls_cert_file={key}"),
            format!("smtpd_tls_key_file={certificate}"),
        ],
    );
    // A chain file that cannot be opened is another matter: TLS begins, and no handshake succeeds.
    let fails_open = service(
        &mut bench,
        &[
            MAY.to_owned(),
            "smtpd_tls_chain_files=/nowhere/chain.pem".to_owned(),
        ],
    );
    bench.start();
    for (name, from) in [
        ("relative.pem", &own.certificate),
        ("c.pem", &own.certificate),
    ] {
        std::fs::copy(from, bench.postfix().config().join(name)).unwrap();
    }
    let queue = bench.postfix().directory().join("queue");
    std::fs::copy(&own.certificate, queue.join("r.pem")).unwrap();
    std::fs::copy(&own.key, queue.join("r.key")).unwrap();

    for (port, words, reply) in &cases {
        hears(&starttls(*port), reply);
        bench.logged(*port, words);
    }
    assert!(
        !bench
            .log_of(cases.last().unwrap().0)
            .contains("warning: cannot load")
    );
    hears(&starttls(relative), "220 2.0.0 Ready to start TLS");
    let said = Client {
        wrapper: true,
        ..Client::default()
    }
    .relay(wrapper);
    assert!(said.replies.is_empty(), "{}", said.text);
    bench.logged(wrapper, "Wrapper-mode request dropped");
    hears(&starttls(fails_open), "220 2.0.0 Ready to start TLS");
    let said = Client::default().relay(fails_open);
    assert!(said.shown().is_empty(), "{}", said.text);
    bench.logged(fails_open, "error opening chain file");
    bench.logged(fails_open, "no shared cipher");
}

#[test]
fn what_should_not_be_loaded_is_loaded_without_a_word() {
    let mut bench = Bench::new();
    let own = bench.server.clone();
    let directory = bench.directory.path().to_owned();
    let expired = bench
        .authority
        .issue_between(
            "expired.example.org",
            Usage::Server,
            "20200101000000Z",
            "20210101000000Z",
        )
        .unwrap();
    let future = bench
        .authority
        .issue_between(
            "future.example.org",
            Usage::Server,
            "20900101000000Z",
            "20910101000000Z",
        )
        .unwrap();
    let client_only = bench
        .authority
        .issue("client.example.org", Usage::Client)
        .unwrap();
    let made = |name: &str, key: &[&str]| {
        let (key_file, certificate) = (
            directory.join(format!("{name}.key")),
            directory.join(format!("{name}.crt")),
        );
        openssl(&[key, &["-out", &text(&key_file)]].concat()).unwrap();
        openssl(&[
            "req",
            "-x509",
            "-key",
            &text(&key_file),
            "-subj",
            &format!("/CN={name}"),
            "-days",
            "30",
            "-out",
            &text(&certificate),
        ])
        .unwrap();
        Certificate {
            key: key_file,
            certificate,
        }
    };
    let short = made(
        "short",
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:1024",
        ],
    );
    let rsa = made(
        "rsa",
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ],
    );
    openssl(&[
        "dsaparam",
        "-out",
        &text(&directory.join("dsa.params")),
        "1024",
    ])
    .unwrap();
    let dsa = made(
        "dsa",
        &[
            "genpkey",
            "-paramfile",
            &text(&directory.join("dsa.params")),
        ],
    );
    std::fs::create_dir(directory.join("open")).unwrap();
    let key_for_all = directory.join("open/key");
    std::fs::copy(&own.key, &key_for_all).unwrap();
    std::fs::set_permissions(&key_for_all, std::fs::Permissions::from_mode(0o666)).unwrap();
    std::fs::set_permissions(
        directory.join("open"),
        std::fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    let key_for_nobody = directory.join("closed.key");
    std::fs::copy(&own.key, &key_for_nobody).unwrap();
    std::os::unix::fs::chown(&key_for_nobody, Some(1000), Some(1000)).unwrap();
    std::fs::set_permissions(&key_for_nobody, std::fs::Permissions::from_mode(0o000)).unwrap();

    let pair =
        |certificate: &Certificate| files(&text(&certificate.certificate), &text(&certificate.key));
    let quiet: Vec<u16> = [
        pair(&expired),
        pair(&future),
        pair(&client_only),
        pair(&short),
        files(&text(&own.certificate), &text(&key_for_all)),
        files(&text(&own.certificate), &text(&key_for_nobody)),
    ]
    .iter()
    .map(|options| service(&mut bench, options))
    .collect();
    let dsa_alone = service(&mut bench, &pair(&dsa));
    let beside = |more: &[(&str, &std::path::Path)], first: &Certificate| {
        let mut options = pair(first).to_vec();
        options.extend(
            more.iter()
                .map(|(name, path)| format!("{name}={}", path.display())),
        );
        options
    };
    let second = bench
        .authority
        .issue("second.example.org", Usage::Server)
        .unwrap();
    let chain = bench.write(
        "second.chain.pem",
        [read(&second.key), read(&second.certificate)].concat(),
    );
    let over_rsa = service(
        &mut bench,
        &beside(
            &[
                ("smtpd_tls_eccert_file", &second.certificate),
                ("smtpd_tls_eckey_file", &second.key),
            ],
            &rsa,
        ),
    );
    let over_ec = service(
        &mut bench,
        &beside(
            &[
                ("smtpd_tls_eccert_file", &second.certificate),
                ("smtpd_tls_eckey_file", &second.key),
            ],
            &own,
        ),
    );
    let over_by_dsa = service(
        &mut bench,
        &beside(
            &[
                ("smtpd_tls_dcert_file", &second.certificate),
                ("smtpd_tls_dkey_file", &second.key),
            ],
            &own,
        ),
    );
    let over_by_chain = service(
        &mut bench,
        &beside(
            &[("smtpd_tls_chain_files", std::path::Path::new(&chain))],
            &own,
        ),
    );
    bench.start();

    for port in &quiet {
        let port = *port;
        let said = Client::default().relay(port);
        assert_eq!(said.shown().len(), 1, "{}", said.text);
        bench.logged(port, "TLS connection established from");
        assert!(
            !bench.log_of(port).contains("warning"),
            "{}",
            bench.log_of(port)
        );
    }
    hears(&starttls(dsa_alone), "220");
    assert!(Client::default().relay(dsa_alone).shown().is_empty());
    bench.logged(dsa_alone, "no shared cipher");
    for port in [over_rsa, over_ec, over_by_dsa, over_by_chain] {
        assert_eq!(
            Client::default().relay(port).shown(),
            ["CN=second.example.org"]
        );
    }
    bench.logged(over_by_chain, "parameters will be ignored");

    // Who verifies refuses.
    let verifies = |port: u16, words: &str| {
        let client = Client {
            authority: Some(bench.authority.certificate()),
            more: vec![
                "-verify_return_error".to_owned(),
                "-purpose".to_owned(),
                "sslserver".to_owned(),
            ],
            ..Client::default()
        };
        let said = client.relay(port);
        assert!(said.text.contains(words), "{}", said.text);
    };
    verifies(quiet[0], "certificate has expired");
    verifies(quiet[1], "certificate is not yet valid");
    verifies(quiet[2], "unsuitable certificate purpose");
    verifies(quiet[3], "key too weak");
}
