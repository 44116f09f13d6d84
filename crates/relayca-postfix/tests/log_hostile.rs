//! What strangers write into a log: it fakes nothing, drives no terminal, and takes no memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use relayca_postfix::log::{Around, Explainer, Known, Outcome, Report, State, Way};

fn explained(log: &str) -> Report {
    let known = Known::new(
        |_| None,
        |name| (name == "mail.example.org").then(|| name.to_owned()),
    );
    let mut explainer = Explainer::new(Around::until(1_796_083_200), known);
    explainer.feed(log.as_bytes(), &mut |_| {});
    explainer.finish(&mut |_| {})
}

fn ids(report: &Report) -> Vec<&'static str> {
    report
        .problems
        .iter()
        .map(|problem| problem.meaning.id)
        .collect()
}

fn smtpd(process: u32, words: &str) -> String {
    format!("Nov 21 09:00:01 relay postfix/relayca/smtpd[{process}]: {words}\n")
}

fn smtp(words: &str) -> String {
    format!("Nov 21 09:00:01 mail postfix/relayca/smtp[9]: {words}\n")
}

const STRANGER: &str = "unknown[203.0.113.9]";
const TRUSTED: &str = "Trusted TLS connection established from mail.example.org[192.0.2.7]: TLSv1.3 with cipher X (256/256 bits)";

#[test]
fn no_text_of_a_stranger_makes_another_host_relay_or_fail() {
    for text in [
        TRUSTED.to_owned(),
        format!("x\nNov 21 09:00:02 relay postfix/relayca/smtpd[1]: {TRUSTED}").replace('\n', "?"),
        "1F41D9F225D: client=mail.example.org[192.0.2.7]".to_owned(),
        "NOQUEUE: abort: TLS from mail.example.org[192.0.2.7]: Client certificate not trusted".to_owned(),
        "client certificate verification failed for mail.example.org[192.0.2.7]: certificate has expired".to_owned(),
        "TLS library problem: error:1:SSL routines::no shared cipher:x:1:".to_owned(),
        "mail.example.org[192.0.2.7]: Reusing old session".to_owned(),
        "fatal: Invalid TLS level \"x\"".to_owned(),
        "disconnect from mail.example.org[192.0.2.7] ehlo=1 mail=0/1".to_owned(),
    ] {
        let log = [
            smtpd(1, &format!("connect from {STRANGER}")),
            smtpd(1, &format!("warning: Illegal address syntax from {STRANGER} in RCPT command: {text}")),
            smtpd(1, &format!("warning: non-SMTP command from {STRANGER}: {text}")),
            smtpd(1, &format!("NOQUEUE: reject: RCPT from {STRANGER}: 504 5.5.2 <{text}>: Helo command rejected: need fully-qualified hostname; from=<{text}> to=<{text}> proto=ESMTP helo=<{text}>")),
            smtpd(1, &format!("< {STRANGER}: EHLO {text}")),
            smtpd(1, &format!("warning: {STRANGER}: SASL LOGIN authentication failed: {text}")),
            smtpd(1, &format!("improper command pipelining after CONNECT from {STRANGER}: {text}")),
            smtpd(1, &format!("warning: hostname {text} does not resolve to address 203.0.113.9")),
            smtpd(1, &format!("disconnect from {STRANGER} ehlo=1 mail=1 commands=2 {text}")),
        ]
        .concat();
        let report = explained(&log);
        assert!(report.hosts.iter().all(|host| host.name == "203.0.113.9"), "{text}: {:?}", report.hosts);
        assert!(report.hosts.iter().all(|host| host.accepted == 0 && host.relayed == 0), "{text}");
        assert!(ids(&report).is_empty(), "{text}: {:?}", ids(&report));
    }
}

#[test]
fn a_certificate_cannot_call_itself_by_the_name_of_another_host() {
    let shown = |names: &str| {
        format!(
            "{STRANGER}: subject_CN={names}, fingerprint={}, pkey_fingerprint={}",
            "AA:".repeat(31) + "AA",
            "BB:".repeat(31) + "BB"
        )
    };
    let untrusted = format!(
        "Untrusted TLS connection established from {STRANGER}: TLSv1.3 with cipher X (256/256 bits)"
    );
    let log = [
        smtpd(1, &format!("connect from {STRANGER}")),
        smtpd(1, &shown("mail.example.org, issuer=x")),
        smtpd(1, &untrusted),
        smtpd(
            1,
            &format!("NOQUEUE: abort: TLS from {STRANGER}: Client certificate not trusted"),
        ),
        smtpd(
            1,
            &format!("disconnect from {STRANGER} ehlo=1 starttls=1 commands=2"),
        ),
    ]
    .concat();
    let report = explained(&log);
    assert_eq!(report.hosts[0].name, "203.0.113.9");
    assert!(!report.hosts[0].known);

    // Fingerprints that stand in the name are not believed: the ones at the end are Postfix's.
    let seen = std::cell::RefCell::new(Vec::new());
    let known = Known::new(
        |fingerprint| {
            seen.borrow_mut().push(fingerprint.to_owned());
            None
        },
        |_| None,
    );
    let forged = shown(&format!(
        "x, issuer=y, fingerprint={}, pkey_fingerprint={}, issuer=z",
        "CC:".repeat(31) + "CC",
        "DD:".repeat(31) + "DD"
    ));
    let mut explainer = Explainer::new(Around::until(1_796_083_200), known);
    explainer.feed(smtpd(1, &forged).as_bytes(), &mut |_| {});
    let _ = explainer.finish(&mut |_| {});
    assert_eq!(
        *seen.borrow(),
        ["AA:".repeat(31) + "AA", "BB:".repeat(31) + "BB"]
    );
}

#[test]
fn a_recipient_or_a_reply_cannot_forge_a_delivery() {
    let fields = "relay=relay.example.org[192.0.2.1]:2500, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)";
    let log = smtp(&format!(
        "1F41D9F225D: to=<\"x>, {fields}\"@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=5.4.4, status=bounced (no)"
    ));
    let report = explained(&log);
    assert_eq!((report.hosts.len(), report.counts.not_believed), (0, 1));
    // A server's reply stands for itself alone.
    let log = smtp(&format!(
        "1F41D9F225D: to=<a@example.net>, relay=mx.example.com[203.0.113.9]:25, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (host mx.example.com[203.0.113.9] said: 450 {TRUSTED} status=sent (in reply to RCPT TO command))"
    ));
    let report = explained(&log);
    assert_eq!(
        (report.hosts[0].name.as_str(), report.hosts[0].state),
        ("mx.example.com", State::Waits)
    );
}

#[test]
fn nothing_that_is_told_can_drive_a_terminal() {
    let nasty = "\u{1b}[2J\u{9b}31m\u{202e}\u{7}x\r";
    let log = [
        smtpd(1, &format!("connect from {STRANGER}")),
        smtpd(1, &format!("NOQUEUE: reject: RCPT from {STRANGER}: 554 5.7.1 <{nasty}@example.net>: Relay access denied; from=<> to=<> proto=ESMTP helo=<{nasty}>")),
        smtpd(1, &format!("warning: cannot get RSA certificate from file \"{nasty}\": disabling TLS support")),
        smtp(&format!("1F41D9F225D: to=<a@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=5.4.4, status=bounced (unable to look up host {nasty}: no)")),
    ]
    .concat();
    let report = explained(&log);
    let mut texts: Vec<String> = report
        .hosts
        .iter()
        .flat_map(|host| [vec![host.name.clone()], host.addresses.clone()].concat())
        .collect();
    for problem in &report.problems {
        texts.push(problem.example.clone());
        texts.extend(problem.commands.iter().cloned());
        texts.extend(problem.hosts.iter().map(|(host, _)| host.clone()));
    }
    assert!(report.problems.len() >= 2);
    for text in texts {
        assert!(
            !text
                .chars()
                .any(|letter| letter.is_control() || letter == '\u{202e}'),
            "{text:?}"
        );
    }
}

#[test]
fn commands_hold_plain_names_or_none() {
    for name in ["$(reboot)", "a;b", "a'b", "-rf", "a b"] {
        let log = smtp(&format!(
            "1F41D9F225D: to=<a@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=5.4.4, status=bounced (unable to look up host {name}: no)"
        ));
        for problem in explained(&log).problems {
            for command in &problem.commands {
                assert!(!command.contains(name), "{command}");
                assert!(!command.contains('{'), "{command}");
            }
        }
    }
    let log = smtpd(
        3,
        "warning: cannot get RSA certificate from file \"/etc/x;reboot\": disabling TLS support",
    );
    assert!(
        explained(&log).problems[0]
            .commands
            .iter()
            .all(|command| !command.contains("reboot"))
    );
    let log = smtpd(
        3,
        "warning: cannot get RSA certificate from file \"/etc/postfix/relayca/x.crt.pem\": disabling TLS support",
    );
    assert!(
        explained(&log).problems[0]
            .commands
            .iter()
            .any(|command| command.contains("/etc/postfix/relayca/x.crt.pem"))
    );
}

#[test]
fn many_hosts_and_sessions_take_bounded_room() {
    let known = Known::new(
        |_| None,
        |name| name.starts_with("mail7.").then(|| name.to_owned()),
    );
    let mut explainer = Explainer::new(Around::until(1_796_083_200), known);
    let mut told = 0;
    for number in 0..20_000_u32 {
        // Sessions that never end, each of another host in another process.
        let host = format!("mail{number}.example.org[192.0.2.7]");
        let log = smtpd(number, &format!("connect from {host}"))
            + &smtpd(
                number,
                &format!(
                    "NOQUEUE: reject: RCPT from {host}: 554 5.7.1 <a@example.net>: Relay access denied; from=<> to=<> proto=ESMTP helo=<x>"
                ),
            );
        explainer.feed(log.as_bytes(), &mut |_| told += 1);
    }
    let open = 20_000 - told;
    assert!(open <= 4096, "{open} sessions are open");
    let report = explainer.finish(&mut |_| {});
    assert!(report.hosts.len() <= 8192, "{}", report.hosts.len());
    assert!(report.counts.forgotten > 10_000);
    let problem = &report.problems[0];
    assert_eq!(
        (problem.meaning.id, problem.count),
        ("refused-without-tls", 20_000)
    );
    assert!(problem.hosts.len() <= 8 && problem.commands.len() <= 16);
}

#[test]
fn sessions_without_process_numbers_are_told_apart_by_the_other_side() {
    let log = format!(
        "connect from {STRANGER}\nconnect from mail.example.org[192.0.2.7]\n\
         client certificate verification failed for {STRANGER}: certificate has expired\n\
         {TRUSTED}\nNOQUEUE: abort: TLS from {STRANGER}: Client certificate not trusted\n\
         1F41D9F225D: client=mail.example.org[192.0.2.7]\n\
         disconnect from {STRANGER} ehlo=1 starttls=1 commands=2\n\
         disconnect from mail.example.org[192.0.2.7] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7\n\
         1F41D9F225D: to=<a@example.net>, relay=mx.example.com[203.0.113.25]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 Ok)\n"
    );
    let report = explained(&log);
    let host = |name: &str| {
        report
            .hosts
            .iter()
            .find(|host| host.name == name && host.way == Way::From)
            .unwrap()
    };
    assert_eq!(
        (
            host("mail.example.org").accepted,
            host("mail.example.org").relayed
        ),
        (1, 1)
    );
    assert_eq!(host("203.0.113.9").refused, 1);
    assert_eq!(ids(&report), ["client-certificate-expired"]);
    assert!(report.counts.first.is_none());
}

#[test]
fn sessions_are_told_as_they_end_and_blocks_do_not_matter() {
    let log = [
        smtpd(1, "connect from mail.example.org[192.0.2.7]"),
        smtpd(2, &format!("connect from {STRANGER}")),
        smtpd(1, TRUSTED),
        smtpd(1, "1F41D9F225D: client=mail.example.org[192.0.2.7]"),
        smtpd(2, &format!("NOQUEUE: reject: RCPT from {STRANGER}: 554 5.7.1 <a@example.net>: Relay access denied; from=<> to=<> proto=ESMTP helo=<x>")),
        smtpd(1, "disconnect from mail.example.org[192.0.2.7] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7"),
        smtpd(2, &format!("disconnect from {STRANGER} ehlo=1 mail=1 rcpt=0/1 commands=2/3")),
    ]
    .concat();
    let told = |size: usize| {
        let mut told = Vec::new();
        let mut explainer = Explainer::new(Around::until(1_796_083_200), Known::nobody());
        for block in log.as_bytes().chunks(size) {
            explainer.feed(block, &mut |ended| {
                told.push((ended.host.clone(), ended.outcome))
            });
        }
        let before = told.len();
        let _ = explainer.finish(&mut |ended| told.push((ended.host.clone(), ended.outcome)));
        assert_eq!(before, told.len(), "they ended before the end");
        told
    };
    let expected = [
        ("mail.example.org".to_owned(), Outcome::Accepted(1)),
        ("203.0.113.9".to_owned(), Outcome::Refused),
    ];
    for size in [1, 7, 100, 1 << 20] {
        assert_eq!(told(size), expected);
    }
}

/// A session of a client whose chain is good, from its first line to its last.
fn session(process: u32, lines: &[&str], counts: &str) -> String {
    let peer = "mail.example.org[192.0.2.7]";
    let mut log = smtpd(process, &format!("connect from {peer}"));
    log.push_str(&smtpd(process, TRUSTED));
    for line in lines {
        log.push_str(&smtpd(process, line));
    }
    log.push_str(&smtpd(process, &format!("disconnect from {peer} {counts}")));
    log
}

const TAKEN: &str = "ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7";
const PROBED: &str = "ehlo=2 starttls=1 mail=1 rcpt=1 quit=1 commands=6";

#[test]
fn a_message_waits_as_long_as_the_last_word_of_it_says_so() {
    let fate = |id: &str, to: &str, status: &str| {
        smtp(&format!(
            "{id}: to=<{to}>, relay=relay.example.org[192.0.2.1]:2500, delay=1, delays=0/0/0/1, dsn=4.0.0, status={status} (x)"
        ))
    };
    let removed = |id: &str| format!("Nov 21 09:00:02 mail postfix/qmgr[3]: {id}: removed\n");
    let of = |log: &str, way: Way| {
        let report = explained(log);
        let host = report.hosts.iter().find(|host| host.way == way).unwrap();
        (host.accepted, host.relayed, host.waiting)
    };
    // One message that was put off twice is one that waits, on both sides of it.
    let mut log = session(
        1,
        &["1F41D9F225D: client=mail.example.org[192.0.2.7]"],
        TAKEN,
    );
    for _ in 0..2 {
        log.push_str(&fate("1F41D9F225D", "a@example.net", "deferred"));
    }
    assert_eq!(of(&log, Way::From), (1, 0, 1));
    assert_eq!(of(&log, Way::To), (0, 0, 1));
    // Sent to one, it still waits for the other.
    log.push_str(&fate("1F41D9F225D", "b@example.net", "deferred"));
    log.push_str(&fate("1F41D9F225D", "a@example.net", "sent"));
    assert_eq!(of(&log, Way::From), (1, 1, 1));
    log.push_str(&fate("1F41D9F225D", "b@example.net", "sent"));
    assert_eq!(of(&log, Way::From), (1, 2, 0));
    assert_eq!(of(&log, Way::To), (0, 2, 0));
    // Gone from the queue, whatever of it the log lacks.
    let log = fate("2F41D9F225D", "a@example.net", "deferred");
    assert_eq!(of(&log, Way::To), (0, 0, 1));
    assert_eq!(of(&(log + &removed("2F41D9F225D")), Way::To), (0, 0, 0));
    // So many are remembered, and no more are told of.
    let many: String = (0..40_000)
        .map(|n| fate(&format!("{n:011X}"), "a@example.net", "deferred"))
        .collect();
    assert_eq!(of(&many, Way::To), (0, 0, 32_768));
}

#[test]
fn a_probe_takes_no_message_and_its_refusals_are_no_problem() {
    let queued = ["1F41D9F225D: client=mail.example.org[192.0.2.7]"];
    let report = explained(&session(1, &queued, PROBED));
    let host = &report.hosts[0];
    assert_eq!((host.accepted, host.state), (0, State::Seen));
    assert_eq!(explained(&session(1, &queued, TAKEN)).hosts[0].accepted, 1);

    let refused = |helo: &str| {
        let line = format!(
            "NOQUEUE: reject: RCPT from mail.example.org[192.0.2.7]: 450 4.3.2 <relayca-probe@example.com>: Recipient address rejected: Try again later; from=<postmaster@example.org> to=<relayca-probe@example.com> proto=ESMTP helo=<{helo}>"
        );
        explained(&session(
            1,
            &[&line],
            "ehlo=2 starttls=1 mail=1 rcpt=0/1 quit=1 commands=5/6",
        ))
    };
    let report = refused("mail.example.org");
    assert_eq!(ids(&report), ["not-listed"]);
    assert_eq!(report.hosts[0].state, State::Refused);
    let report = refused("relayca.invalid");
    assert_eq!(ids(&report), [""; 0]);
    assert_eq!(
        (report.hosts[0].refused, report.hosts[0].state),
        (0, State::Seen)
    );

    // Refused before the envelope it is known by its NOOP, which nobody else says there.
    let abort =
        "NOQUEUE: abort: TLS from mail.example.org[192.0.2.7]: Client certificate not trusted";
    let aborted = |counts: &str| explained(&session(1, &[abort], counts)).hosts[0].state;
    assert_eq!(aborted("ehlo=1 starttls=1 commands=2"), State::Refused);
    assert_eq!(aborted("ehlo=1 starttls=1 noop=1 commands=3"), State::Seen);
    // Some clients say it of a connection that they keep: what is refused to them is told.
    let kept = "ehlo=2 starttls=1 mail=1 rcpt=0/1 noop=1 commands=5/6";
    assert_eq!(aborted(kept), State::Refused);
}

#[test]
fn only_the_host_and_the_time_asked_for_are_told() {
    let log = [
        "Nov 21 08:59:59 relay postfix/relayca/smtpd[1]: NOQUEUE: abort: TLS from mail.example.org[192.0.2.7]: No client certificate presented\n".to_owned(),
        smtpd(1, "NOQUEUE: abort: TLS from mail.example.org[192.0.2.7]: No client certificate presented"),
        smtpd(2, &format!("NOQUEUE: abort: TLS from {STRANGER}: No client certificate presented")),
        smtpd(3, "warning: cannot get RSA certificate from file \"/x\": disabling TLS support"),
    ]
    .concat();
    let with = |since: Option<&str>, only: Option<&str>| {
        let mut explainer = Explainer::new(Around::until(1_796_083_200), Known::nobody())
            .since(since.and_then(relayca_postfix::log::Stamp::parse))
            .only(only.map(str::to_owned));
        explainer.feed(log.as_bytes(), &mut |_| {});
        let report = explainer.finish(&mut |_| {});
        let counts: Vec<(&str, u64)> = report
            .problems
            .iter()
            .map(|problem| (problem.meaning.id, problem.count))
            .collect();
        counts
    };
    assert_eq!(
        with(None, None),
        [("no-client-certificate", 2), ("certificate-not-loaded", 1)]
    );
    assert_eq!(
        with(Some("2026-11-21 09:00:00"), Some("mail.example.org")),
        [("no-client-certificate", 1)]
    );
    assert_eq!(
        with(None, Some("203.0.113.9")),
        [("no-client-certificate", 1)]
    );
    assert_eq!(with(Some("2026-11-21 09:00:02"), None), []);
}

/// What a process said when it began is no reason for everything that fails in it later.
#[test]
fn troubles_are_not_blamed_for_what_they_did_not_do() {
    let key = "warning: cannot get RSA private key from file \"/k.pem\": disabling TLS support";
    let missing = "warning: TLS library problem: error:80000002:system library::No such file or directory:x:1:";
    let delivery = |relay: &str, reason: &str| {
        smtp(&format!(
            "1F41D9F225D: to=<a@example.net>, relay={relay}, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred ({reason})"
        ))
    };
    let greylisted = "host mx.example.com[203.0.113.9] said: 450 4.2.0 <a@example.net>: Greylisted (in reply to RCPT TO command)";
    // A stranger on a blocklist, in a process without a key; a greylisted message likewise.
    let blocked = format!(
        "NOQUEUE: reject: RCPT from {STRANGER}: 554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked; from=<> to=<> proto=ESMTP helo=<x>"
    );
    let of_25 = |words: &str| format!("Nov 21 09:00:01 relay postfix/smtpd[1]: {words}\n");
    let log = [
        of_25(key),
        of_25(missing),
        of_25(&format!("connect from {STRANGER}")),
        of_25(&blocked),
        of_25(&format!(
            "disconnect from {STRANGER} ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"
        )),
        smtp(key),
        smtp(missing),
        delivery("mx.example.com[203.0.113.9]:25", greylisted),
    ]
    .concat();
    let report = explained(&log);
    assert_eq!(ids(&report), ["file-not-there"]);
    assert!(
        report.problems[0].hosts.is_empty(),
        "{:?}",
        report.problems[0]
    );

    // A policy that cannot be read is one next hop's.
    let log = [
        smtp("warning: smtp_tls_policy_maps, next-hop destination \"[a.example.com]\": invalid security level \"x\""),
        delivery("none", "client TLS configuration problem"),
        delivery("relay.example.org[192.0.2.1]:2500", "TLS is required, but was not offered by host relay.example.org[192.0.2.1]"),
    ]
    .concat();
    let report = explained(&log);
    let counts: Vec<(&str, u64)> = report
        .problems
        .iter()
        .map(|problem| (problem.meaning.id, problem.count))
        .collect();
    assert_eq!(counts, [("policy-invalid", 1), ("starttls-not-offered", 1)]);

    // OpenSSL's last words after a delivery are no trouble.
    let sent = smtp(
        "1F41D9F225D: to=<a@example.net>, relay=relay.example.org[192.0.2.1]:2500, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 Ok)",
    );
    let eof = smtp(
        "warning: TLS library problem: error:0A000126:SSL routines::unexpected eof while reading:x:1:",
    );
    assert!(explained(&(sent + &eof)).problems.is_empty());
}
