//! Client certificates, late refusals, resumption and old versions, judged by `openssl s_server`. It is no mail server; but with
//! `-rev` it answers each line with its reverse, so that it can be asked to say `250 ok`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod servers;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use relayca_probe::{
    ClientIdentity, Dial, Dialogue, OldAnswer, OldVersion, ProbeError, Reply, Target, Timeouts,
    TlsClient, TlsVersions,
};
use servers::{OpenSsl, P256, certificate, openssl, recite, server, some_bytes};
use zeroize::Zeroizing;

/// Backwards it is `250 ok`.
const SAY_OK: &str = "ko 052";

fn dial() -> Dial {
    Dial {
        timeouts: Timeouts {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(10),
        },
        ..Dial::default()
    }
}

/// The certificate `NAME.crt` with its key.
fn identity(dir: &Path, name: &str) -> ClientIdentity {
    let (crt, key) = (format!("{name}.crt"), format!("{name}.key"));
    let leaf = openssl(dir, &["x509", "-in", &crt, "-outform", "der"]);
    let key = openssl(
        dir,
        &[
            "pkcs8", "-topk8", "-nocrypt", "-in", &key, "-outform", "der",
        ],
    );
    ClientIdentity {
        chain: vec![leaf],
        key_pkcs8: Zeroizing::new(key),
    }
}

/// Shakes hands and says one line.
fn talk(target: &Target, client: &TlsClient) -> (Dialogue, Result<Reply, ProbeError>) {
    let mut dialogue = Dialogue::connect(target, &dial()).unwrap();
    let begun = match target.mode {
        relayca_probe::Mode::Implicit => dialogue.handshake(client),
        relayca_probe::Mode::StartTls => {
            dialogue.greeting().unwrap();
            dialogue.hello().unwrap();
            dialogue.starttls(client)
        }
    };
    let said = begun.and_then(|()| dialogue.command(SAY_OK));
    (dialogue, said)
}

#[test]
fn every_kind_of_key_is_shown_and_proved_in_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "leaf", &P256, &[]);
    let kinds: [(&str, &[&str]); 4] = [
        ("p256", &P256),
        (
            "p384",
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        ),
        ("ed25519", &["-newkey", "ed25519"]),
        ("rsa", &["-newkey", "rsa:2048"]),
    ];
    for (name, key) in kinds {
        certificate(dir.path(), name, key, &[]);
        let identity = identity(dir.path(), name);
        let trusted = format!("{name}.crt");
        let server = OpenSsl::start(
            dir.path(),
            &[
                "-rev",
                "-Verify",
                "1",
                "-verify_return_error",
                "-CAfile",
                &trusted,
            ],
        );
        for versions in [TlsVersions::Only12, TlsVersions::Only13] {
            let client = TlsClient::new(Some(&identity), versions).unwrap();
            let (mut dialogue, said) = talk(&server.implicit(), &client);
            assert_eq!(said.unwrap().text(), "ok", "{name} {versions:?}");
            let shown = dialogue.shown().unwrap();
            assert!(shown.asked && shown.given && shown.proven, "{name}");
            assert!(!shown.resumed);
            let _ = dialogue.quit();
        }
        let client = TlsClient::new(Some(&identity), TlsVersions::Both).unwrap();
        let (_, said) = talk(&server.behind_smtp(), &client);
        assert_eq!(said.unwrap().text(), "ok", "{name} behind STARTTLS");
    }
}

#[test]
fn a_refused_certificate_is_a_refusal_also_where_tls_1_3_tells_it_late() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "leaf", &P256, &[]);
    certificate(dir.path(), "stranger", &P256, &[]);
    let stranger = identity(dir.path(), "stranger");
    let server = OpenSsl::start(
        dir.path(),
        &[
            "-rev",
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
            "leaf.crt",
        ],
    );
    for (versions, identity, alerts) in [
        (
            TlsVersions::Only12,
            Some(&stranger),
            ["unknown_ca", "bad_certificate"],
        ),
        (
            TlsVersions::Only13,
            Some(&stranger),
            ["unknown_ca", "bad_certificate"],
        ),
        (TlsVersions::Only12, None, ["handshake_failure", ""]),
        (TlsVersions::Only13, None, ["certificate_required", ""]),
    ] {
        let client = TlsClient::new(identity, versions).unwrap();
        let (dialogue, said) = talk(&server.implicit(), &client);
        let ProbeError::Alert { alert, .. } = said.unwrap_err() else {
            panic!("{versions:?}");
        };
        assert!(alerts.contains(&alert.as_str()), "{alert}");
        let shown = dialogue.shown().unwrap();
        assert_eq!(
            shown.chain.len(),
            1,
            "its own certificate was seen all the same"
        );
        assert_eq!((shown.asked, shown.given), (true, identity.is_some()));
    }
}

#[test]
fn sessions_are_resumed_where_the_server_lets_it_and_only_when_wanted() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "leaf", &P256, &[]);
    let open = OpenSsl::start(dir.path(), &["-rev"]);
    let shut = OpenSsl::start(
        dir.path(),
        &["-rev", "-no_ticket", "-num_tickets", "0", "-no_cache"],
    );
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        for (server, resumes) in [(&open, true), (&shut, false)] {
            let client = TlsClient::new(None, versions).unwrap().resuming();
            let (mut first, said) = talk(&server.implicit(), &client);
            said.unwrap();
            let shown = first.shown().unwrap();
            assert!(!shown.resumed);
            if versions == TlsVersions::Only13 {
                assert_eq!(shown.tickets > 0, resumes);
            }
            let _ = first.quit();
            let (second, said) = talk(&server.implicit(), &client);
            said.unwrap();
            assert_eq!(second.shown().unwrap().resumed, resumes, "{versions:?}");
        }
        let client = TlsClient::new(None, versions).unwrap();
        for _ in 0..2 {
            let (dialogue, said) = talk(&open.implicit(), &client);
            said.unwrap();
            assert!(!dialogue.shown().unwrap().resumed);
        }
    }
}

fn offer(target: &Target, version: OldVersion) -> OldAnswer {
    let mut dialogue = Dialogue::connect(target, &dial()).unwrap();
    if target.mode == relayca_probe::Mode::Implicit {
        return dialogue.handshake_old(version).unwrap();
    }
    dialogue.greeting().unwrap();
    dialogue.hello().unwrap();
    dialogue.starttls_old(version).unwrap()
}

#[test]
fn old_versions_are_accepted_by_who_accepts_them_and_refused_by_who_does_not() {
    let dir = tempfile::tempdir().unwrap();
    for (name, key) in [("ec", &P256[..]), ("rsa", &["-newkey", "rsa:2048"])] {
        certificate(dir.path(), "leaf", key, &[]);
        for (option, version, told) in [
            ("-tls1", OldVersion::Tls10, "TLSv1"),
            ("-tls1_1", OldVersion::Tls11, "TLSv1.1"),
        ] {
            let server = OpenSsl::start(dir.path(), &[option, "-cipher", "ALL:@SECLEVEL=0"]);
            for target in [server.implicit(), server.behind_smtp()] {
                match offer(&target, version) {
                    OldAnswer::Accepted { version, .. } => assert_eq!(version, told, "{name}"),
                    refused => panic!("{name} {told}: {refused:?}"),
                }
            }
            let OldAnswer::Refused { how } = offer(&server.implicit(), OldVersion::Ssl3) else {
                panic!("OpenSSL here knows no SSL 3.0");
            };
            assert!(how.starts_with("alert "), "{how}");
        }
        // TLS 1.1 offered to a server of TLS 1.0: it goes on in that, which is worse.
        let server = OpenSsl::start(dir.path(), &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(matches!(
            offer(&server.implicit(), OldVersion::Tls11),
            OldAnswer::Accepted { version, .. } if version == "TLSv1"
        ));
        let modern = OpenSsl::start(dir.path(), &["-cipher", "ALL:@SECLEVEL=0", "-tls1_2"]);
        for version in OldVersion::ALL {
            for target in [modern.implicit(), modern.behind_smtp()] {
                let OldAnswer::Refused { how } = offer(&target, version) else {
                    panic!("{version}");
                };
                assert!(how.starts_with("alert "), "{version}: {how}");
            }
        }
    }
}

#[test]
fn a_chain_without_end_and_a_handshake_cut_short_are_ends() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "leaf", &["-newkey", "rsa:2048"], &[]);
    let one = fs::read(dir.path().join("leaf.crt")).unwrap();
    fs::write(dir.path().join("chain.crt"), one.repeat(120)).unwrap();
    let server = OpenSsl::start(dir.path(), &["-rev", "-cert_chain", "chain.crt"]);
    let start = Instant::now();
    let client = TlsClient::anonymous().unwrap();
    let (_, said) = talk(&server.implicit(), &client);
    assert!(matches!(said.unwrap_err(), ProbeError::Tls { .. }));
    assert!(start.elapsed() < Duration::from_secs(20));

    for sent in [&b""[..], &[22, 3, 3, 0, 100, 2]] {
        let (target, served) = server_that_breaks_off(sent);
        let mut dialogue = Dialogue::connect(&target, &dial()).unwrap();
        dialogue.greeting().unwrap();
        dialogue.hello().unwrap();
        let error = dialogue.starttls(&client).unwrap_err();
        assert!(
            matches!(
                error,
                ProbeError::Closed {
                    doing: "the TLS handshake"
                }
            ),
            "{error}"
        );
        served.join().unwrap();
    }
}

fn server_that_breaks_off(sent: &'static [u8]) -> (Target, std::thread::JoinHandle<()>) {
    server(move |stream| {
        recite(
            &stream,
            &["220 a\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n"],
        );
        some_bytes(&stream);
        std::io::Write::write_all(&mut &stream, sent).unwrap();
    })
}

#[test]
fn what_came_with_starttls_is_seen_by_whom_it_reaches() {
    // The command comes behind STARTTLS in one packet; a server that keeps its buffer would obey it under TLS.
    let (target, served) = server(|stream| {
        recite(&stream, &["220 a\r\n", "250-a\r\n250 STARTTLS\r\n"]);
        let together = some_bytes(&stream);
        assert_eq!(together, b"STARTTLS\r\nXRELAYCA\r\n");
    });
    let mut dialogue = Dialogue::connect(&target, &dial()).unwrap();
    dialogue.greeting().unwrap();
    dialogue.hello().unwrap();
    let client = TlsClient::anonymous().unwrap();
    dialogue.starttls_ahead_of("XRELAYCA", &client).unwrap_err();
    served.join().unwrap();
}
