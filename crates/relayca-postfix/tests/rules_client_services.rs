//! Submission, SASL, port 25, protocols and ciphers: a case that each rule finds, and one that looks like it and is right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use relayca_postfix::rules::Severity;
use rules_case::{Case, PORT_25, Pair, check, ids_in, pair};

/// What belongs to these tests.
const AREAS: &[&str] = &["services", "ciphers"];

/// Submission, all right.
const SUBMISSION: &str = "\
submission inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_client_restrictions=
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=
";

const MX: &str = "\
compatibility_level = 3.6
smtpd_tls_security_level = may
smtpd_tls_cert_file = /c.pem
smtpd_tls_received_header = yes
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
";

/// The smtpd of a relay.
const RELAY: &str = "\
2500 inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_ask_ccert=yes
  -o smtpd_tls_req_ccert=yes
  -o smtpd_relay_restrictions=permit_tls_clientcerts,defer
";

const TLSMGR: &str = "tlsmgr unix - - n 1000? 1 tlsmgr\nsmtp unix - - n - - smtp\n";

fn mx(more: &str) -> Case {
    Case::new(&format!("{MX}{more}")).master(&format!("{PORT_25}{TLSMGR}"))
}

/// Submission beside port 25, with some options changed (`-name` takes one away).
fn submission(changes: &[&str]) -> Case {
    let mut service = SUBMISSION.to_owned();
    for change in changes {
        let name = change.trim_start_matches('-').split('=').next().unwrap();
        service = service
            .lines()
            .filter(|line| !line.contains(&format!("-o {name}=")))
            .map(|line| format!("{line}\n"))
            .collect();
        if !change.starts_with('-') {
            service.push_str(&format!("  -o {change}\n"));
        }
    }
    let case = mx("");
    let master = format!("{}{service}", case.master);
    case.master(&master)
}

fn with(case: Case, main: &str, master: &str) -> Case {
    Case {
        main: format!("{}{main}", case.main),
        master: format!("{}{master}", case.master),
        ..case
    }
}

const WRAPPER: &str = "\
submissions inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
";

#[allow(clippy::too_many_lines)]
fn pairs() -> Vec<Pair> {
    let screen = "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\ndnsblog unix - - n - 0 dnsblog\ntlsmgr unix - - n 1000? 1 tlsmgr\n";
    vec![
        pair(
            "encrypt-on-public-mx",
            mx("smtpd_tls_security_level = encrypt\n"),
            mx(""),
        ),
        pair(
            "encrypt-on-public-mx",
            mx("smtpd_enforce_tls = yes\nsmtpd_tls_security_level =\n"),
            mx("smtpd_tls_security_level = encrypt\ninet_interfaces = loopback-only\n"),
        ),
        pair(
            "certificates-asked-of-the-internet",
            mx(
                "smtpd_tls_ask_ccert = yes\nsmtpd_relay_restrictions = permit_tls_clientcerts, reject_unauth_destination\n",
            ),
            with(mx(""), "", RELAY),
        ),
        pair(
            "tls-not-in-received-header",
            mx("smtpd_tls_received_header = no\n"),
            mx(""),
        ),
        pair(
            "relay-service-on-loopback",
            with(mx("inet_interfaces = loopback-only\n"), "", RELAY),
            with(
                mx("inet_interfaces = loopback-only\n"),
                "",
                &RELAY.replace("2500 ", "192.0.2.1:2500 "),
            ),
        ),
        pair(
            "login-offered-in-the-clear",
            submission(&["smtpd_tls_security_level=may", "-smtpd_tls_auth_only"]),
            submission(&["-smtpd_tls_auth_only"]),
        ),
        pair(
            "login-offered-in-the-clear",
            mx("smtpd_sasl_auth_enable = yes\n"),
            mx(
                "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_security_options = noanonymous, noplaintext\n",
            ),
        ),
        pair(
            "login-on-port-25",
            mx("smtpd_sasl_auth_enable = yes\nsmtpd_tls_auth_only = yes\n"),
            submission(&[]),
        ),
        pair(
            "login-never-offered",
            submission(&["smtpd_tls_security_level=none"]),
            submission(&[]),
        ),
        pair(
            "submission-without-encrypt",
            submission(&["-smtpd_tls_security_level"]),
            submission(&[]),
        ),
        pair(
            "submission-open-to-all",
            submission(&["-smtpd_relay_restrictions"]),
            submission(&[
                "-smtpd_relay_restrictions",
                "smtpd_client_restrictions=permit_sasl_authenticated,reject",
            ]),
        ),
        pair(
            "logged-in-users-may-not-send",
            with(
                submission(&[
                    "-smtpd_relay_restrictions",
                    "smtpd_client_restrictions=permit_sasl_authenticated,reject",
                ]),
                "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n",
                "",
            ),
            submission(&[
                "-smtpd_relay_restrictions",
                "smtpd_client_restrictions=permit_sasl_authenticated,reject",
            ]),
        ),
        pair(
            "submission-without-login",
            submission(&["smtpd_sasl_auth_enable=no"]),
            submission(&[]),
        ),
        pair(
            "submission-inherits-checks-for-strangers",
            with(
                submission(&["-smtpd_helo_restrictions"]),
                "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname\n",
                "",
            ),
            with(
                submission(&["-smtpd_helo_restrictions"]),
                "smtpd_helo_restrictions = permit_sasl_authenticated, reject_non_fqdn_helo_hostname\n",
                "",
            ),
        ),
        pair(
            "submission-inherits-checks-for-strangers",
            with(
                submission(&["-smtpd_client_restrictions"]),
                "smtpd_client_restrictions = reject_rbl_client zen.example.org\n",
                "",
            ),
            with(
                submission(&[]),
                "smtpd_client_restrictions = reject_rbl_client zen.example.org\n",
                "",
            ),
        ),
        pair(
            "submission-closed-by-client-restrictions-alone",
            submission(&[
                "-smtpd_relay_restrictions",
                "smtpd_client_restrictions=permit_sasl_authenticated,reject",
            ]),
            submission(&[]),
        ),
        pair(
            "port-465-without-implicit-tls",
            with(
                mx(""),
                "",
                &WRAPPER.replace(
                    "smtpd_tls_wrappermode=yes",
                    "smtpd_tls_security_level=encrypt",
                ),
            ),
            with(mx(""), "", WRAPPER),
        ),
        pair(
            "implicit-tls-on-a-starttls-port",
            mx("smtpd_tls_wrappermode = yes\n"),
            with(mx(""), "", WRAPPER),
        ),
        pair(
            "port-of-two-services",
            with(submission(&[]), "", "587 inet n - n - - smtpd\n"),
            with(submission(&[]), "", WRAPPER),
        ),
        pair(
            "port-of-two-services",
            with(
                mx(""),
                "",
                &format!("{RELAY}127.0.0.1:2500 inet n - n - - smtpd\n"),
            ),
            with(
                mx(""),
                "",
                &format!(
                    "{}127.0.0.1:2500 inet n - n - - smtpd\n",
                    RELAY.replace("2500 ", "192.0.2.1:2500 ")
                ),
            ),
        ),
        pair(
            "smtps-service-name",
            with(mx(""), "", &WRAPPER.replace("submissions", "smtps")),
            with(mx(""), "", WRAPPER),
        ),
        pair("tlsmgr-missing", mx("").master(PORT_25), mx("")),
        pair(
            "postscreen-without-tlsproxy",
            mx("").master(screen),
            mx("").master(&format!("{screen}tlsproxy unix - - n - 0 tlsproxy\n")),
        ),
        pair(
            "postscreen-without-smtpd",
            mx("").master(&screen.replace("smtpd pass - - n - - smtpd\n", "")),
            mx("").master(screen),
        ),
        pair(
            "postlog-missing",
            mx("maillog_file = /var/log/postfix.log\n"),
            with(
                mx("maillog_file = /var/log/postfix.log\n"),
                "",
                "postlog unix-dgram n - n - 1 postlogd\n",
            ),
        ),
        pair(
            "option-of-the-other-side",
            with(
                mx(""),
                "",
                "out unix - - n - - smtp\n  -o smtpd_tls_security_level=encrypt\n",
            ),
            with(
                mx(""),
                "",
                "out unix - - n - - smtp\n  -o smtp_tls_security_level=encrypt\n",
            ),
        ),
        pair(
            "option-of-the-other-side",
            with(
                mx(""),
                "",
                "lmtp unix - - n - - lmtp\n  -o smtp_tls_security_level=encrypt\n",
            ),
            with(
                mx(""),
                "",
                "lmtp unix - - n - - lmtp\n  -o smtp_tls_security_level=none\n  -o lmtp_tls_security_level=$smtp_tls_security_level\n",
            ),
        ),
        pair(
            "session-cache-option-without-effect",
            with(
                mx("smtpd_tls_session_cache_database = btree:/x\n"),
                "",
                &format!("{RELAY}  -o smtpd_tls_session_cache_database=\n"),
            ),
            with(
                mx(""),
                "",
                &format!("{RELAY}  -o smtpd_tls_session_cache_database=\n"),
            ),
        ),
        pair(
            "protocol-unknown",
            mx("smtpd_tls_protocols = !TLSv1.0\n"),
            mx("smtpd_tls_protocols = !sslv2, !SSLv3 !tlsv1:!TLSv1.1\n"),
        ),
        pair(
            "protocol-bounds-before-3.6",
            mx("smtpd_tls_mandatory_protocols = >=TLSv1.2\n").version(3, 5),
            mx("smtpd_tls_mandatory_protocols = >=TLSv1.2\n").version(3, 6),
        ),
        pair(
            "old-protocols-alone",
            mx("smtpd_tls_mandatory_protocols = TLSv1\n"),
            mx("smtpd_tls_mandatory_protocols = TLSv1.2 TLSv1.3\n"),
        ),
        pair(
            "current-protocol-excluded",
            mx("smtpd_tls_protocols = >=TLSv1.3\n"),
            mx("smtpd_tls_protocols = >=TLSv1.2\n"),
        ),
        pair(
            "ssl-allowed",
            mx("smtpd_tls_protocols = !TLSv1, !TLSv1.1\n"),
            mx("smtpd_tls_protocols = !SSLv2, !SSLv3\n"),
        ),
        pair(
            "tls-1.0-for-mandatory-tls",
            mx("smtp_tls_mandatory_protocols = !SSLv2, !SSLv3\n"),
            mx("smtp_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1\n"),
        ),
        pair(
            "cipher-grade-unknown",
            mx("smtpd_tls_ciphers = strong\n"),
            mx("smtpd_tls_ciphers = Medium\n"),
        ),
        pair(
            "cipher-grade-weak",
            mx("smtp_tls_ciphers = export\n"),
            mx("smtp_tls_ciphers = medium\n"),
        ),
        pair(
            "mandatory-ciphers-weaker",
            mx("smtpd_tls_ciphers = high\nsmtpd_tls_mandatory_ciphers = medium\n"),
            mx("smtpd_tls_ciphers = medium\nsmtpd_tls_mandatory_ciphers = high\n"),
        ),
        pair(
            "high-ciphers-on-public-mx",
            mx("smtpd_tls_ciphers = high\n"),
            mx("smtpd_tls_mandatory_ciphers = high\n"),
        ),
        pair(
            "cipher-exclusion-with-a-sign",
            mx("smtpd_tls_exclude_ciphers = !aNULL, RC4\n"),
            mx("smtpd_tls_exclude_ciphers = aNULL, RC4\n"),
        ),
        pair(
            "cipher-exclusion-unknown",
            mx("smtpd_tls_exclude_ciphers = EDH-RSA-DES-CDC3-SHA\n"),
            mx("smtpd_tls_exclude_ciphers = aNULL, EDH-RSA-DES-CBC3-SHA\n"),
        ),
        pair(
            "all-ciphers-excluded",
            mx("smtp_tls_exclude_ciphers = ALL\n"),
            mx("smtp_tls_exclude_ciphers = MEDIUM\n"),
        ),
        pair(
            "cipher-list-changed",
            mx("tls_medium_cipherlist = ECDHE-RSA-AES128-GCM-SHA256\n"),
            mx("tls_medium_cipherlist = aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH\n"),
        ),
        pair(
            "cipher-list-weak",
            mx("tls_high_cipherlist = HIGH:RC4-SHA\n"),
            mx("tls_high_cipherlist = HIGH:!RC4:!3DES:!MD5\n"),
        ),
        pair(
            "cipher-list-without-ciphers",
            mx("tls_high_cipherlist = STRONG\n"),
            mx("tls_high_cipherlist = STRONG:HIGH\n"),
        ),
    ]
}

#[test]
fn each_rule_finds_its_case_and_not_the_other() {
    check(&pairs());
}

#[test]
fn no_rule_is_without_its_cases() {
    let known: std::collections::BTreeSet<String> =
        pairs().iter().map(|pair| pair.rule.to_owned()).collect();
    assert_eq!(known, ids_in(AREAS));
}

/// The samples that Debian's master.cf has in comments, uncommented.
#[test]
fn the_samples_of_master_cf_are_right() {
    let old = "\
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
";
    let new = "\
submissions     inet  n       -       n       -       -       smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_forbid_unauth_pipelining=no
  -o smtpd_tls_wrappermode=yes
  -o smtpd_sasl_auth_enable=yes
  -o local_header_rewrite_clients=static:all
  -o smtpd_hide_client_session=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=
  -o smtpd_relay_restrictions=
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
";
    let ours = ids_in(&[
        "client", "routing", "services", "ciphers", "syntax", "obsolete",
    ]);
    for (sample, version) in [(old, (3, 5)), (old, (3, 7)), (new, (3, 10)), (new, (3, 11))] {
        let case = with(mx(""), "", sample).version(version.0, version.1);
        let found: Vec<_> = case
            .judge()
            .into_iter()
            .filter(|finding| finding.severity > Severity::Note && ours.contains(finding.rule))
            // The sample of 3.10 sets what 3.7 does not know; each is judged by its own version.
            .collect();
        assert!(found.is_empty(), "{version:?}: {found:#?}");
    }
}

#[test]
fn the_service_of_the_documents_is_a_note() {
    let case = with(
        mx(""),
        "",
        "submission inet n - n - - smtpd\n  -o syslog_name=postfix/submission\n  -o smtpd_tls_security_level=encrypt\n  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n",
    );
    let found = case.findings("submission-closed-by-client-restrictions-alone");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, Severity::Note);
    assert_eq!(found[0].service.as_deref(), Some("submission/inet"));
    assert_eq!(case.findings("logged-in-users-may-not-send"), []);
}

#[test]
fn what_a_seed_excludes_in_vain_is_named() {
    let case = mx(
        "smtpd_tls_exclude_ciphers = aNULL, MD5, DES, 3DES, DES-CBC3-SHA, RC4-SHA, AES256-SHA, AES128-SHA, eNULL, EXPORT, RC4, PSK, aECDH, EDH-DSS-DES-CBC3-SHA, EDH-RSA-DES-CDC3-SHA, KRB5-DE5, CBC3-SHA\n",
    );
    let found: Vec<String> = case
        .findings("cipher-exclusion-unknown")
        .into_iter()
        .filter_map(|finding| Some(finding.message.rsplit('`').nth(1)?.to_owned()))
        .collect();
    assert_eq!(found, ["CBC3-SHA", "EDH-RSA-DES-CDC3-SHA", "KRB5-DE5"]);
}

#[test]
fn sessions_that_are_resumed_on_a_relay_are_an_error() {
    let case = with(
        mx("smtpd_tls_session_cache_database = btree:/x\n"),
        "",
        &format!("{RELAY}  -o smtpd_tls_session_cache_database=\n"),
    );
    assert_eq!(
        case.findings("session-cache-option-without-effect")[0].severity,
        Severity::Error
    );
}
