//! Lines as they stand in logs, in their older and newer wordings, and what each means by itself. Together with the real logs of `log_fixtures` this is
//! every line that the project's notes on Postfix list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use relayca_postfix::log::{Around, Explainer, Kind, Known, Report, all};

const H: &str = "mail.example.org[192.0.2.7]";
const R: &str = "relay.example.org[192.0.2.1]:2500";

/// Program, words, and the id of the problem that a log with this line alone has.
fn lines() -> Vec<(&'static str, String, &'static str)> {
    let verify = |who: &str, peer: &str, why: &str| {
        format!("{who}certificate verification failed for {peer}: {why}")
    };
    let reject = |reply: &str| {
        format!(
            "NOQUEUE: reject: RCPT from {H}: {reply}; from=<a@example.org> to=<r@example.net> proto=ESMTP helo=<x>"
        )
    };
    let failed = |status: &str, reason: &str| {
        format!(
            "1F41D9F225D: to=<r@example.net>, relay={R}, delay=1, delays=0/0/0/1, dsn=4.7.5, status={status} ({reason})"
        )
    };
    let newer = |tls: &str, reason: &str| {
        format!(
            "1F41D9F225D: to=<r@example.net>, relay={R}, delay=1, delays=0/0/0/1, tls={tls}, dsn=4.7.5, status=deferred ({reason})"
        )
    };
    let print = "AA:".repeat(31) + "AA";
    vec![
        ("smtpd", verify("client ", H, "certificate has expired"), "client-certificate-expired"),
        ("smtpd", verify("client ", H, "certificate not yet valid"), "client-certificate-not-yet-valid"),
        ("smtpd", verify("", H, "untrusted issuer /CN=another CA"), "client-untrusted-issuer"),
        ("smtpd", verify("", H, "self-signed certificate"), "client-self-signed"),
        ("smtpd", verify("", H, "not designated for use as a client certificate"), "client-wrong-purpose"),
        ("smtpd", verify("", H, "not designated for use as a CA certificate"), "ca-is-no-ca"),
        ("smtpd", verify("client ", H, "num=47:permitted subtree violation"), "client-name-not-permitted"),
        ("smtpd", verify("client ", H, "num=7:certificate signature failure"), "client-signature-of-another-ca"),
        ("smtpd", verify("client ", H, "num=66:EE certificate key too weak"), "client-algorithm-too-weak"),
        ("smtpd", verify("client ", H, "num=26:unsuitable certificate purpose"), "client-chain-not-good"),
        ("smtpd", verify("CA ", H, "certificate has expired"), "ca-expired"),
        ("smtpd", verify("CA ", H, "num=2:unable to get issuer certificate"), "ca-file-lacks-root"),
        ("smtpd", verify("client ", H, "num=2: unable to get issuer certificate"), "ca-file-lacks-root"),
        ("smtp", verify("server ", R, "certificate has expired"), "relay-certificate-expired"),
        ("smtp", verify("server ", R, "num=62:hostname mismatch"), "relay-wrong-name"),
        ("smtp", verify("", R, "untrusted issuer /CN=another CA"), "relay-untrusted-issuer"),
        ("smtp", verify("", R, "not designated for use as a server certificate"), "relay-wrong-purpose"),
        ("smtpd", format!("NOQUEUE: abort: TLS from {H}: Client certificate not trusted"), "client-certificate-not-trusted"),
        ("smtpd", format!("NOQUEUE: abort: TLS from {H}: No client certificate presented"), "no-client-certificate"),
        ("smtpd", reject("554 5.7.1 <r@example.net>: Relay access denied"), "refused-without-tls"),
        ("smtpd", reject("454 4.7.1 <r@example.net>: Relay access denied"), "refused-without-tls"),
        ("smtpd", reject("554 5.7.1 <mail.example.org>: Client certificate rejected: Access denied"), "certificate-access-denied"),
        ("smtpd", reject("451 4.3.0 <r@example.net>: Temporary lookup failure"), "table-lookup-failed"),
        ("smtpd", reject("451 4.3.5 Server configuration error"), "server-configuration-error"),
        ("smtpd", reject("452 4.3.1 Insufficient system storage"), "system-storage"),
        ("smtpd", format!("warning: relay_clientcerts: lookup error for fingerprint '{print}', pkey fingerprint {print}"), "fingerprint-lookup-failed"),
        ("smtpd", "warning: permit_tls_clientcerts is requested, but \"smtpd_tls_ask_ccert = no\"".into(), "certificate-not-asked-for"),
        ("smtpd", "warning: hash:/etc/postfix/relayca/relay_clientcerts is unavailable. open database /etc/postfix/relayca/relay_clientcerts.db: No such file or directory".into(), "table-missing"),
        ("smtpd", "warning: lmdb:/etc/postfix/relayca/relay_clientcerts is unavailable. unsupported dictionary type: lmdb".into(), "table-type-unknown"),
        ("smtpd", "fatal: unsupported dictionary type: lmdb (/usr/lib/postfix/postfix-lmdb.so: No such file or directory). Is the postfix-lmdb package installed?".into(), "table-type-unknown"),
        ("smtpd", "warning: texthash:/x lookup error for \"AA\"".into(), "table-lookup-failed"),
        ("smtp", failed("deferred", "Server certificate not verified"), "relay-not-verified"),
        ("smtp", failed("deferred", "Server certificate not trusted"), "relay-not-verified"),
        ("smtp", newer("!secure", "Server certificate not verified"), "relay-not-verified"),
        ("smtp", newer("secure?", "conversation with relay.example.org[192.0.2.1] timed out while receiving the initial server greeting"), "no-greeting"),
        ("smtp", failed("deferred", "TLS is required, but was not offered by host relay.example.org[192.0.2.1]"), "starttls-not-offered"),
        ("smtp", failed("deferred", "TLS is required, but host relay.example.org[192.0.2.1] refused to start TLS: 454 4.7.0 TLS not available due to local problem"), "relay-cannot-start-tls"),
        ("smtp", failed("deferred", "TLS is required, but our TLS engine is unavailable"), "own-tls-unavailable"),
        ("smtp", failed("deferred", "Cannot start TLS: handshake failure"), "handshake-failed"),
        ("smtp", failed("deferred", "host relay.example.org[192.0.2.1] refused to talk to me: 421 4.7.1 relay.example.org Error: Client certificate not trusted"), "relay-wants-good-certificate"),
        ("smtp", failed("deferred", "host relay.example.org[192.0.2.1] refused to talk to me: 421 4.7.1 relay.example.org Error: No client certificate presented"), "relay-wants-certificate"),
        ("smtp", failed("bounced", "host relay.example.org[192.0.2.1] said: 554 5.7.1 <r@example.net>: Relay access denied (in reply to RCPT TO command)"), "relay-does-not-permit"),
        ("smtp", failed("deferred", "host relay.example.org[192.0.2.1] said: 450 4.3.2 <r@example.net>: Recipient address rejected: Try again later (in reply to RCPT TO command)"), "relay-does-not-permit"),
        ("smtp", failed("bounced", "host relay.example.org[192.0.2.1] said: 530 5.7.0 Must issue a STARTTLS command first (in reply to MAIL FROM command)"), "relay-wants-starttls"),
        ("smtp", failed("bounced", "host relay.example.org[192.0.2.1] said: 501 5.7.1 DSN support is disabled (in reply to RCPT TO command)"), "provider-answers"),
        ("smtp", failed("deferred", "delivery temporarily suspended: connect to relay.example.org[192.0.2.1]:2500: Connection refused"), "relay-not-listening"),
        ("smtp", failed("deferred", "connect to relay.example.org[192.0.2.1]:2500: Connection timed out"), "port-blocked"),
        ("smtp", failed("bounced", "Host or domain name not found. Name service error for name=relya.example.org type=A: Host not found"), "relay-name-not-found"),
        ("smtp", failed("deferred", "lost connection with relay.example.org[192.0.2.1] while performing the EHLO handshake"), "lost-connection"),
        ("smtp", failed("bounced", "mail for relay.example.org loops back to myself"), "mail-loops"),
        ("smtpd", "warning: TLS library problem: error:1417A0C1:SSL routines:tls_post_process_client_hello:no shared cipher:ssl/statem/statem_srvr.c:2283:".into(), "no-shared-cipher"),
        ("smtpd", "warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/statem/statem_srvr.c:2226:".into(), "no-shared-cipher"),
        ("smtp", "warning: TLS library problem: error:0A00010B:SSL routines::wrong version number:../ssl/record/ssl3_record.c:350:".into(), "plain-where-tls"),
        ("smtpd", "warning: TLS library problem: error:14094418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:s3_pkt.c:1493:SSL alert number 48:".into(), "unknown-ca-alert"),
        ("smtpd", "warning: TLS library problem: error:0A00042E:SSL routines::tlsv1 alert protocol version:../ssl/record/rec_layer_s3.c:1601:SSL alert number 70:".into(), "tls-versions-differ"),
        ("smtp", "warning: TLS library problem: error:0A000119:SSL routines::legacy sigalg disallowed or unsupported:../ssl/t1_lib.c:1:".into(), "too-weak"),
        ("smtp", "warning: TLS library problem: error:0A000438:SSL routines::tlsv1 alert internal error:x:SSL alert number 80:".into(), "handshake-alert"),
        ("smtpd", format!("improper command pipelining after CONNECT from {H}: \\026\\003\\001\\002\\000"), "tls-where-plain"),
        ("smtpd", "warning: error loading chain from /etc/postfix/chain.pem: key not first".into(), "chain-key-not-first"),
        ("smtpd", "warning: key at index 1 in /etc/postfix/chain.pem does not match next certificate".into(), "chain-key-of-another"),
        ("smtpd", "warning: error opening chain file: /etc/postfix/chain.pem: No such file or directory".into(), "chain-file-not-there"),
        ("smtpd", "cannot load Certification Authority data, CAfile=\"/etc/postfix/ca.pem\": disabling TLS support".into(), "ca-file-not-loaded"),
        ("smtpd", "warning: cannot get RSA private key from file \"/etc/postfix/k.pem\": disabling TLS support".into(), "key-not-loaded"),
        ("smtpd", "warning: Wrapper-mode request dropped from unknown[192.0.2.7] for service smtps. TLS context initialization failed. For details see earlier warnings in your logs.".into(), "wrapper-without-tls"),
        ("smtpd", "fatal: Invalid TLS level \"may  # opportunistic\"".into(), "tls-level-invalid"),
        ("smtpd", "fatal: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or check_relay_domains".into(), "restrictions-incomplete"),
        ("smtpd", "fatal: invalid \"-o smtpd_tls_ask_ccert\" option value: missing '=' after attribute name".into(), "setting-malformed"),
        ("master", "fatal: /etc/postfix/main.cf, line 12: missing '=' after attribute name: \"x\"".into(), "setting-malformed"),
        ("master", "warning: /usr/lib/postfix/sbin/smtpd: bad command startup -- throttling".into(), "service-falls-over"),
        ("master", "warning: /etc/postfix/main.cf, line 9: overriding earlier entry: relayhost=".into(), "parameter-twice"),
        ("smtpd", "warning: database /etc/postfix/relay_clientcerts.db is older than source file /etc/postfix/relay_clientcerts".into(), "table-older-than-its-text"),
        ("smtpd", "using backwards-compatible default setting smtpd_tls_fingerprint_digest=md5 to compute certificate fingerprints".into(), "digest-left-to-default"),
        ("smtpd", "using backwards-compatible default setting smtpd_tls_fingerprint_digest=md5 to compute certificate and public key fingerprints".into(), "digest-left-to-default"),
        ("smtpd", format!("warning: Connection rate limit exceeded: 61 from {H} for service 2500"), "rate-limit"),
        ("smtpd", format!("warning: permit_tls_clientcerts: {H}: relay_clientcerts: Fragile access policy: smtpd_tls_enable_rpk=yes, but public key fingerprint \"{print}\" not matched, while certificate fingerprint \"{print}\" matched"), "fragile-access-policy"),
        ("smtpd", format!("{H}: re-using session with untrusted certificate, look for details earlier in the log"), "session-resumed-untrusted"),
        ("smtpd", format!("{H}: re-using session with untrusted peer credential, look for details earlier in the log"), "session-resumed-untrusted"),
        ("smtpd", format!("{H}: Reusing old session (RFC 5077 session ticket)"), "session-resumed"),
        ("smtpd", format!("lost connection after STARTTLS from {H}"), "lost-in-handshake"),
        ("smtpd", format!("NOQUEUE: lost connection after STARTTLS from {H}"), "lost-in-handshake"),
        ("smtpd", format!("SSL_accept error from {H}: -1"), "handshake-failed"),
        ("smtp", format!("SSL_connect error to {R}: lost connection"), "handshake-failed"),
        ("qmgr", "warning: connect to transport private/relayca: No such file or directory".into(), "transport-missing"),
        ("qmgr", "1F41D9F225D: from=<a@example.org>, status=expired, returned to sender".into(), "expired-in-queue"),
        ("smtp", verify("server ", R, "num=47:permitted subtree violation"), "relay-name-not-permitted"),
        ("smtp", verify("server ", R, "num=7:certificate signature failure"), "relay-signature-of-another-ca"),
        ("smtp", verify("", R, "external policy failure (x)"), "relay-chain-not-good"),
        ("smtp", verify("CA ", R, "certificate not yet valid"), "ca-not-yet-valid"),
        ("smtpd", verify("CA ", H, "num=24:invalid CA certificate"), "ca-not-good"),
        ("smtpd", format!("relay_clientcerts: No match for fingerprint '{print}', pkey fingerprint {print}"), "fingerprint-not-found"),
        ("smtpd", "Relaying allowed for all verified client certificates".into(), "every-certificate-relays"),
        ("smtpd", "error: open database /etc/postfix/relayca/relay_clientcerts.db: Permission denied".into(), "table-unreadable"),
        ("smtpd", "warning: TLS library problem: error:8000000D:system library::Permission denied:../crypto/bio/bss_file.c:297:calling fopen(/x, r):".into(), "file-not-readable"),
        ("smtpd", "warning: error loading certificate (PEM object number 2) from /x".into(), "chain-file-damaged"),
        ("smtpd", "warning: error loading private keys and certificates from: /x: disabling TLS support".into(), "chain-not-loaded"),
        ("smtpd", "warning: Need a server cert to request client certs".into(), "no-server-certificate"),
        ("smtpd", "warning: TLS library problem: error:0A000412:SSL routines::sslv3 alert bad certificate:x:1:SSL alert number 42:".into(), "certificate-alert"),
        ("smtp", format!("warning: {R}: invalid cipher grade: \"hihg\""), "ciphers-invalid"),
        ("master", "warning: service \"2500\" (2500) has reached its process limit \"100\": new clients may experience noticeable delays".into(), "process-limit"),
        ("smtpd", "warning: support for restriction \"check_relay_domains\" will be removed from Postfix; use \"reject_unauth_destination\" instead".into(), "restriction-obsolete"),
        ("smtpd", "warning: cannot load 1024-bit DH parameters from file /x: No such file or directory -- using compiled-in defaults".into(), "dh-file-not-loaded"),
        ("smtp", failed("deferred", "client TLS configuration problem"), "own-tls-misconfigured"),
        ("smtp", failed("deferred", "server unavailable or unable to receive mail"), "own-trouble"),
        ("smtp", failed("bounced", "Sender requested REQUIRETLS, but no server was found that supports REQUIRETLS. The last attempted server was x"), "sender-wants-tls"),
        ("smtp", newer("may:none", "x").replace("deferred", "sent"), "sent-without-tls"),
        ("smtpd", format!("disconnect from {H} ehlo=1 starttls=0/1 quit=1 commands=2/3"), "starttls-refused"),
        ("tlsmgr", "warning: /var/lib/postfix/smtp_scache: hash/btree support is deprecated.  Please switch to cdb or lmdb.".into(), "tables-deprecated"),
    ]
}

fn explained(log: &str) -> Report {
    let mut explainer = Explainer::new(Around::until(1_796_083_200), Known::nobody());
    explainer.feed(log.as_bytes(), &mut |_| {});
    explainer.finish(&mut |_| {})
}

#[test]
fn each_line_alone_means_what_the_table_says() {
    for (program, words, id) in lines() {
        for (tag, process) in [("postfix/relayca/", "[7]"), ("postfix-relayca/", "[7]")] {
            // What OpenSSL says belongs to a handshake.
            let before = match program {
                _ if !words.contains("TLS library problem") => String::new(),
                "smtpd" => format!("connect from {H}"),
                _ => format!("SSL_connect error to {R}: -1"),
            };
            let line =
                |words: &str| format!("Nov 21 09:00:01 host {tag}{program}{process}: {words}\n");
            let report = explained(&(line(&before) + &line(&words)));
            let ids: Vec<&str> = report
                .problems
                .iter()
                .map(|problem| problem.meaning.id)
                .collect();
            assert_eq!(ids, [id], "{words}");
            assert!(
                report.problems[0].example.contains(&words[..20]),
                "{words}: {}",
                report.problems[0].example
            );
        }
    }
}

#[test]
fn each_line_means_the_same_without_its_stamp() {
    for (_, words, id) in lines() {
        // What is only known of a service by its tag is not known here.
        if ["refused-without-tls", "sent-without-tls"].contains(&id) {
            continue;
        }
        let report = explained(&format!("{words}\n"));
        let ids: Vec<&str> = report
            .problems
            .iter()
            .map(|problem| problem.meaning.id)
            .collect();
        assert_eq!(ids, [id], "{words}");
    }
}

#[test]
fn every_meaning_of_a_problem_is_seen_in_a_test() {
    let by_line: Vec<&str> = lines().into_iter().map(|(_, _, id)| id).collect();
    let fixtures = include_str!("log_expected/mod.rs");
    let hostile = include_str!("log_hostile.rs");
    let unseen: Vec<&str> = all()
        .filter(|meaning| meaning.kind >= Kind::Note)
        .map(|meaning| meaning.id)
        .filter(|id| !by_line.contains(id) && !fixtures.contains(id) && !hostile.contains(id))
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}
