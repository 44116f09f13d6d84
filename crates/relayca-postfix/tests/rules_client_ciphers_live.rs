//! What the rules about protocols, ciphers and sessions claim of Postfix as a server, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use rules_live::{Bench, Client, hears, starttls};
use xtask::lab::openssl::{Usage, openssl};

const MAY: &str = "smtpd_tls_security_level=may";
const ENCRYPT: &str = "smtpd_tls_security_level=encrypt";

#[test]
fn sessions_are_resumed_as_main_cf_says_and_an_expired_certificate_relays_on() {
    for (cache, resumes) in [("btree:${data_directory}/smtpd_scache", true), ("", false)] {
        let mut bench = Bench::new();
        bench.set("smtpd_tls_session_cache_database", cache);
        bench.set("default_transport", "discard");
        let listed = bench
            .authority
            .issue("mail.example.org", Usage::Client)
            .unwrap();
        let map = format!(
            "relay_clientcerts=inline:{{ {{ {} = mail }} }}",
            listed.fingerprint().unwrap()
        );
        let authority = format!(
            "smtpd_tls_CAfile={}",
            bench.authority.certificate().display()
        );
        // session-cache-option-without-effect, server-session-cache-set
        let port = bench.server(&[
            ENCRYPT,
            "smtpd_tls_ask_ccert=yes",
            "smtpd_tls_req_ccert=yes",
            "smtpd_tls_fingerprint_digest=sha256",
            "tls_ssl_options=NO_TICKET",
            "smtpd_tls_session_cache_database=",
            "smtpd_relay_restrictions=permit_tls_clientcerts,defer",
            "smtpd_recipient_restrictions=",
            &map,
            &authority,
        ]);
        bench.start();
        let session = bench.directory.path().join("session").display().to_string();
        let with = |more: &[&str]| Client {
            certificate: Some(&listed),
            more: more.iter().map(|word| (*word).to_owned()).collect(),
            ..Client::default()
        };
        let first = with(&["-tls1_2", "-sess_out", &session]).relay(port);
        hears(first.last(), "250 2.1.5");
        // Without a certificate, on the session of the one that had it: as it is when that has expired.
        let second = Client {
            more: ["-tls1_2", "-sess_in", &session]
                .map(str::to_owned)
                .to_vec(),
            ..Client::default()
        }
        .relay(port);
        assert_eq!(
            second.text.contains("Reused, TLSv1.2"),
            resumes,
            "{}",
            second.text
        );
        assert_eq!(
            second.last().starts_with("250 2.1.5"),
            resumes,
            "{:?}",
            second.replies
        );
    }
}

#[test]
#[allow(clippy::too_many_lines)]
fn protocols_and_ciphers_that_a_server_cannot_take() {
    let mut bench = Bench::new();
    let unknown = bench.server(&[MAY, "smtpd_tls_protocols=!TLSv1.0"]);
    let bounds = bench.server(&[MAY, "smtpd_tls_protocols=>=TLSv1.2"]);
    let old = bench.server(&[MAY, "smtpd_tls_protocols=TLSv1"]);
    let low = bench.server(&[MAY, "smtpd_tls_mandatory_protocols=!SSLv2,!SSLv3"]);
    let without = bench.server(&[MAY, "smtpd_tls_protocols=!TLSv1.3"]);
    let newest = bench.server(&[MAY, "smtpd_tls_protocols=>=TLSv1.3"]);
    let grade = bench.server(&[MAY, "smtpd_tls_ciphers=strong"]);
    let export = bench.server(&[MAY, "smtpd_tls_ciphers=export", "smtpd_tls_loglevel=2"]);
    let null = bench.server(&[MAY, "smtpd_tls_ciphers=null", "smtpd_tls_loglevel=2"]);
    let mandatory = bench.server(&[
        ENCRYPT,
        "smtpd_tls_ciphers=null",
        "smtpd_tls_mandatory_ciphers=high",
        "smtpd_tls_loglevel=2",
    ]);
    let sign = bench.server(&[MAY, "smtpd_tls_exclude_ciphers=!aNULL"]);
    let vain = bench.server(&[
        MAY,
        "smtpd_tls_exclude_ciphers=EDH-RSA-DES-CDC3-SHA,KRB5-DE5,CBC3-SHA",
    ]);
    let all = bench.server(&[MAY, "smtpd_tls_exclude_ciphers=ALL"]);
    let changed = bench.server(&[
        MAY,
        "tls_medium_cipherlist=ECDHE-ECDSA-AES128-GCM-SHA256",
        "smtpd_tls_loglevel=2",
    ]);
    let weak = bench.server(&[
        MAY,
        "tls_medium_cipherlist=HIGH:ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0",
    ]);
    let empty = bench.server(&[MAY, "tls_medium_cipherlist=STRONG"]);
    let preempt = bench.server(&[MAY, "tls_preempt_cipherlist=yes"]);
    let polite = bench.server(&[MAY]);
    let strict = bench.server(&[
        MAY,
        "smtpd_tls_ciphers=high",
        "tls_high_cipherlist=ECDHE-ECDSA-AES256-GCM-SHA384",
    ]);
    let eecdh = bench.server(&[MAY, "smtpd_tls_eecdh_grade=superb"]);
    let dh = bench.server(&[
        MAY,
        "smtpd_tls_dh1024_param_file=/nonexistent",
        "smtpd_tls_dh512_param_file=/unread",
    ]);
    let files = bench.directory.path().join("dsa");
    let file = |end: &str| format!("{}.{end}", files.display());
    openssl(&["dsaparam", "-genkey", "-out", &file("key"), "1024"]).unwrap();
    openssl(&[
        "req",
        "-new",
        "-x509",
        "-key",
        &file("key"),
        "-subj",
        "/CN=relay.example.org",
        "-days",
        "3",
        "-out",
        &file("crt"),
    ])
    .unwrap();
    let dsa = bench.service(&[
        MAY,
        &format!("smtpd_tls_dcert_file={}", file("crt")),
        &format!("smtpd_tls_dkey_file={}", file("key")),
    ]);
    bench.start();
    let speak = |port: u16, more: &[&str]| {
        Client {
            more: more.iter().map(|word| (*word).to_owned()).collect(),
            ..Client::default()
        }
        .say(port, "EHLO client.example.net\nQUIT\n")
        .text
    };
    let good = |port: u16, more: &[&str]| {
        let text = speak(port, more);
        assert!(text.contains("New, TLSv1"), "{text}");
        text
    };
    let fails = |port: u16, more: &[&str]| {
        let text = speak(port, more);
        assert!(!text.contains("New, TLSv1"), "{text}");
        text
    };
    // protocol-unknown
    hears(
        &starttls(unknown),
        "454 4.7.0 TLS not available due to local problem",
    );
    bench.logged(
        unknown,
        "Invalid TLS protocol list \"!TLSv1.0\": disabling TLS support",
    );
    // protocol-bounds-before-3.6: as it is from 3.6 on
    good(bounds, &[]);
    // old-protocols-alone, tls-1.0-for-mandatory-tls
    fails(old, &[]);
    good(old, &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]);
    good(low, &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]);
    // current-protocol-excluded
    assert!(good(without, &[]).contains("New, TLSv1.2"));
    fails(newest, &["-tls1_2"]);
    good(newest, &[]);
    // cipher-grade-unknown
    fails(grade, &[]);
    bench.logged(grade, "invalid cipher grade: \"strong\"");
    // cipher-grade-weak
    good(export, &[]);
    bench.logged(
        export,
        "TLS cipher list \"aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT",
    );
    let text = good(null, &["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"]);
    assert!(text.contains("NULL"), "{text}");
    // mandatory-ciphers-weaker
    good(mandatory, &[]);
    bench.logged(mandatory, "TLS cipher list \"aNULL:-aNULL:HIGH:@STRENGTH");
    // cipher-exclusion-with-a-sign, cipher-exclusion-unknown, all-ciphers-excluded
    fails(sign, &[]);
    bench.logged(sign, "invalid unary '!+-@' in cipher exclusion: !aNULL");
    good(vain, &[]);
    assert!(!bench.log_of(vain).contains("warning"));
    fails(all, &[]);
    bench.logged(all, "no cipher match");
    // cipher-list-changed, cipher-list-weak, cipher-list-without-ciphers
    assert!(good(changed, &["-tls1_2"]).contains("ECDHE-ECDSA-AES128-GCM-SHA256"));
    assert!(good(changed, &[]).contains("TLS_AES_256_GCM_SHA384"));
    fails(
        changed,
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
    );
    assert!(
        good(
            weak,
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"]
        )
        .contains("Cipher is ECDHE-ECDSA-NULL-SHA")
    );
    fails(empty, &[]);
    bench.logged(empty, "no cipher match");
    // server-picks-ciphers
    let order = [
        "-tls1_2",
        "-cipher",
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
    ];
    assert!(good(polite, &order).contains("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"));
    assert!(good(preempt, &order).contains("Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"));
    // high-ciphers-on-public-mx
    fails(
        strict,
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    );
    // dsa-certificate
    fails(dsa, &[]);
    fails(dsa, &["-tls1_2"]);
    // eecdh-grade-obsolete, dh-parameters-obsolete
    good(eecdh, &["-tls1_2"]);
    assert!(!bench.log_of(eecdh).contains("warning"));
    good(dh, &[]);
    bench.logged(dh, "error opening DH parameter file \"/nonexistent\": No such file or directory -- using compiled-in defaults");
    // the other file is not looked for at all
    assert!(!bench.log_of(dh).contains("/unread"));
}
