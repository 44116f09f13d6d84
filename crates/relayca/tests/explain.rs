//! `relayca explain` as people use it: on real logs, with and without an authority, on files that are rotated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use authority::{Admin, judge};
use serde_json::Value;

fn fixture(version: &str, name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/logs")
        .join(version)
        .join(format!("{name}.log"));
    std::fs::read_to_string(path).unwrap()
}

/// What a relay logs of a host that relays, and of one whose certificate has expired.
fn log(host: &str, fingerprint: &str) -> String {
    let smtpd = |process: u32, words: &str| {
        format!(
            "2026-11-21T09:00:0{process}.5+00:00 relayhost postfix/relayca/smtpd[{process}]: {words}\n"
        )
    };
    let (one, two) = ("host-1.isp.example.net[192.0.2.7]", "unknown[192.0.2.8]");
    [
        smtpd(1, &format!("connect from {one}")),
        smtpd(1, &format!("{one}: subject_CN={host}, issuer=example.org mail relay CA, cert fingerprint={}, pkey fingerprint={fingerprint}", "00:".repeat(31) + "00")),
        smtpd(1, &format!("Trusted TLS connection established from {one}: TLSv1.3 with cipher X (256/256 bits)")),
        smtpd(1, &format!("NOQUEUE: reject: RCPT from {one}: 450 4.3.2 <a@example.net>: Recipient address rejected: Try again later; from=<b@example.org> to=<a@example.net> proto=ESMTP helo=<x>")),
        smtpd(1, &format!("disconnect from {one} ehlo=2 starttls=1 mail=1 rcpt=0/1 quit=1 commands=5/6")),
        smtpd(2, &format!("connect from {two}")),
        smtpd(2, &format!("client certificate verification failed for {two}: certificate has expired")),
        smtpd(2, &format!("Untrusted TLS connection established from {two}: TLSv1.3 with cipher X (256/256 bits)")),
        smtpd(2, &format!("NOQUEUE: abort: TLS from {two}: Client certificate not trusted")),
        smtpd(2, &format!("disconnect from {two} ehlo=1 starttls=1 commands=2")),
    ]
    .concat()
}

fn fingerprint(admin: &Admin, digest: &str) -> String {
    let certificate = admin.json(&["show", "mailhost"])["certificates"][0]["pem"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = admin.write("host.pem", certificate);
    let said = admin.json(&["fingerprint", "--pin", "pubkey", "--digest", digest, &file]);
    said[0]["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn hosts_are_named_by_the_fingerprint_in_the_log_and_told_what_to_do() {
    let admin = Admin::with_mailhost();
    for digest in ["sha256", "md5", "sha512"] {
        let file = admin.write(
            "mail.log",
            log("whoever.example.org", &fingerprint(&admin, digest)),
        );
        let said = admin.done(&["explain", &file]);
        let summary: Vec<&str> = said.lines().take_while(|line| !line.is_empty()).collect();
        assert!(
            summary[0].starts_with("HOST ") && summary.len() == 3,
            "{said}"
        );
        assert!(summary[1].starts_with("mailhost.example.org "), "{said}");
        assert!(
            summary[1].contains("refused") && summary[1].ends_with("not-listed"),
            "{said}"
        );
        assert!(summary[2].starts_with("192.0.2.8 "), "{said}");
        assert!(said.contains("\nnot-listed: "), "{said}");
        assert!(
            said.contains("relayca map --format paste | ssh root@relayhost.example.org sh\n"),
            "{said}"
        );
        assert!(
            said.contains("relayca show mailhost.example.org\n"),
            "{said}"
        );
        // Whose expired certificate it is nobody knows: the command has a place to be filled.
        assert!(said.contains("relayca renew HOST\n"), "{said}");
    }
    // Without the authority the certificate's own name counts, as its chain is good.
    let file = admin.write(
        "mail.log",
        log("whoever.example.org", &fingerprint(&admin, "sha256")),
    );
    let outcome = authority::Outcome::of(
        admin
            .relayca(&["explain", &file])
            .env("XDG_DATA_HOME", admin.file("nowhere")),
    );
    assert!(
        outcome.stderr.contains("no inventory to name hosts from"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome
            .done()
            .contains("\nwhoever.example.org  from  refused")
    );
    admin.refused(1, &["explain", &file, "--dir", "nowhere"]);
}

#[test]
fn json_has_hosts_problems_and_what_was_read() {
    let admin = Admin::with_mailhost();
    let file = admin.write(
        "mail.log",
        log("x.example.org", &fingerprint(&admin, "sha256")),
    );
    let said = admin.json(&["explain", &file]);
    let host = &said["hosts"][0];
    assert_eq!(host["host"], "mailhost.example.org");
    assert_eq!(
        (&host["known"], &host["way"], &host["state"]),
        (&Value::Bool(true), &"from".into(), &"refused".into())
    );
    assert_eq!(host["since"], "2026-11-21T09:00:01Z");
    assert_eq!(host["reasons"][0]["id"], "not-listed");
    assert_eq!(host["refused"], 1);
    let ids: Vec<&str> = said["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["client-certificate-expired", "not-listed"]);
    assert!(
        said["problems"][0]["example"]
            .as_str()
            .unwrap()
            .contains("certificate has expired")
    );
    assert_eq!(said["read"]["lines"], 10);
    assert_eq!(said["read"]["fingerprints"], true);
    // Each key is in the document, under the name of the command.
    let documented = include_str!("../../../docs/JSON.md");
    let (_, documented) = documented.split_once("`relayca explain`").unwrap();
    let (documented, _) = documented.split_once("\n## ").unwrap();
    for object in [&said, host, &said["problems"][0], &said["read"]] {
        for key in object.as_object().unwrap().keys() {
            assert!(documented.contains(&format!("`{key}`")), "{key}");
        }
    }
    // A traditional log does not say its zone, and neither does what is made of it.
    let file = admin.write("old.log", fixture("3.7", "relayed"));
    let first = admin.json(&["explain", &file])["read"]["first"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(first.contains('T') && !first.ends_with('Z'), "{first}");
}

#[test]
fn logs_come_from_files_in_order_from_standard_input_and_not_compressed() {
    let admin = Admin::new();
    let text = fixture("3.10", "client-expired");
    let whole = admin.json(&["explain", &admin.write("mail.log", &text)]);
    let middle = text.len() / 2;
    let parts = [
        admin.write("mail.log.1", &text[..middle]),
        admin.write("mail.log.0", &text[middle..]),
    ];
    // Two files are two logs: a line that is cut between them is two lines.
    let cut = text[..middle].rfind('\n').unwrap() + 1;
    let parts_by_line = [
        admin.write("a.log", &text[..cut]),
        admin.write("b.log", &text[cut..]),
    ];
    let said = admin.json(&["explain", &parts_by_line[0], &parts_by_line[1]]);
    assert_eq!(said["problems"], whole["problems"]);
    assert_eq!(said["read"]["lines"], whole["read"]["lines"]);
    assert_eq!(admin.run(&["explain", &parts[0], &parts[1]]).code, Some(0));
    let piped = admin
        .run_with_input(&["explain", "-", "--json"], text.as_bytes())
        .done();
    let piped: Value = serde_json::from_str(&piped).unwrap();
    assert_eq!(piped["problems"], whole["problems"]);

    judge("gzip", &["-k", &admin.name("mail.log")]);
    let stderr = admin.refused(1, &["explain", &admin.name("mail.log.gz")]);
    assert!(
        stderr.contains("zcat") && stderr.contains("| relayca explain -"),
        "{stderr}"
    );
    admin.refused(1, &["explain", &admin.name("nothing.log")]);
    admin.refused(1, &["explain", &admin.home().display().to_string()]);
    admin.refused(2, &["explain", "--follow", &parts[0], &parts[1]]);
    admin.refused(2, &["explain", &parts[0], "--since", "sometime"]);
}

#[test]
fn time_and_host_choose_and_check_tells_by_its_exit_code() {
    let admin = Admin::new();
    let file = admin.write("mail.log", log("x.example.org", &("AA:".repeat(31) + "AA")));
    let ids = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["explain", file.as_str()];
        all.extend(arguments);
        let said = admin.json(&all);
        said["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        ids(&["--since", "2026-11-21T09:00:02Z"]),
        ["client-certificate-expired"]
    );
    assert_eq!(ids(&["--since", "2026-11-22"]), Vec::<String>::new());
    assert_eq!(ids(&["--since", "5200w"]).len(), 2);
    assert_eq!(ids(&["--host", "x.example.org"]), ["not-listed"]);
    assert_eq!(
        ids(&["--host", "192.0.2.8"]),
        ["client-certificate-expired"]
    );
    assert_eq!(admin.run(&["explain", &file, "--check"]).code, Some(3));
    let good = admin.write("good.log", fixture("3.11", "relayed"));
    assert_eq!(admin.run(&["explain", &good, "--check"]).code, Some(0));
    let other = admin.write("other.log", "Nov 21 09:00:01 host dovecot: imap-login: x\n");
    let outcome = admin.run(&["explain", &other]);
    assert!(
        outcome
            .stderr
            .contains("relayca: hint: no line of Postfix's was in it"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.done(), "");
}

#[test]
fn strangers_are_counted_and_shown_when_asked_for() {
    let admin = Admin::new();
    let stranger = "unknown[203.0.113.9]";
    let smtpd = |words: &str| format!("Nov 21 09:00:01 relay postfix/smtpd[7]: {words}\n");
    let text = [
        smtpd(&format!("connect from {stranger}")),
        smtpd(&format!("NOQUEUE: reject: RCPT from {stranger}: 554 5.7.1 <a@example.net>: Relay access denied; from=<> to=<a@example.net> proto=ESMTP helo=<x>")),
        smtpd(&format!("disconnect from {stranger} ehlo=1 mail=1 rcpt=0/1 commands=2/3")),
    ]
    .concat();
    let file = admin.write("mail.log", fixture("3.7", "relayed") + &text);
    let outcome = admin.run(&["explain", &file]);
    assert!(
        outcome.stderr.contains("beside that, 1 host and 1 trouble")
            && outcome.stderr.contains("--all"),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.done().contains("203.0.113.9"));
    let all = admin.done(&["explain", &file, "--all"]);
    assert!(
        all.contains("203.0.113.9") && all.contains("\nrelay-access-denied: "),
        "{all}"
    );
}

/// relayca, while it follows.
struct Following {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Following {
    fn start(admin: &Admin, arguments: &[&str]) -> Self {
        let mut child = admin
            .relayca(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says so when it has begun.
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        if arguments.contains(&"-") {
            std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        } else {
            let mut line = String::new();
            while !line.contains("following ") {
                line.clear();
                assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended");
            }
            std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        }
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines
            .recv_timeout(Duration::from_secs(30))
            .expect("a line in time")
    }

    /// Waits for a line with these words.
    fn until(&self, words: &str) -> String {
        loop {
            let line = self.next();
            if line.contains(words) {
                return line;
            }
        }
    }

    fn interrupt(mut self) -> (Option<i32>, String) {
        judge("sh", &["-c", &format!("kill -INT {}", self.child.id())]);
        let code = self.child.wait().unwrap().code();
        let rest: Vec<String> = self.lines.iter().collect();
        (code, rest.join("\n"))
    }
}

fn append(path: &str, text: &str) {
    std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

#[test]
fn a_growing_log_is_followed_across_rotations_until_an_interrupt() {
    let admin = Admin::new();
    let old = fixture("3.10", "client-expired");
    let path = admin.write("mail.log", &old);
    let following = Following::start(&admin, &["explain", "--follow", &path]);
    let text = log("x.example.org", &("AA:".repeat(31) + "AA"));
    let (one, two) = text.split_at(text.find("2026-11-21T09:00:02").unwrap());
    append(&path, one);
    let line = following.next();
    assert!(
        line.starts_with(
            "2026-11-21 09:00:01 from x.example.org: refused, the certificate is good"
        ),
        "{line}"
    );
    assert!(line.ends_with("(not-listed)"), "{line}");
    assert!(
        following.next().trim_start().starts_with("do "),
        "the remedy"
    );

    // Renamed and made anew.
    std::fs::rename(&path, admin.file("mail.log.1")).unwrap();
    // Longer than what comes after it is emptied, so that this is seen whenever the file is looked at.
    append(&path, &format!("{two}{}", "\n".repeat(one.len())));
    following.until("from 192.0.2.8: refused, the mail host's certificate has expired");
    // Emptied in place; what was explained before is not explained again.
    std::fs::write(&path, "").unwrap();
    append(&path, one);
    following.until("(not-listed)");

    let (code, rest) = following.interrupt();
    assert_eq!(code, Some(0), "{rest}");
    assert!(
        rest.contains("HOST ") && rest.contains("x.example.org") && rest.contains("192.0.2.8"),
        "{rest}"
    );
    assert!(
        !rest.contains("localhost"),
        "what was there before it began is not counted: {rest}"
    );
}

#[test]
fn following_prints_lines_of_json_and_ends_with_its_input() {
    let admin = Admin::new();
    let mut following = Following::start(&admin, &["explain", "-", "--follow", "--json"]);
    let mut input = following.child.stdin.take().unwrap();
    input
        .write_all(log("x.example.org", &("AA:".repeat(31) + "AA")).as_bytes())
        .unwrap();
    let line: Value = serde_json::from_str(&following.next()).unwrap();
    assert_eq!(
        (&line["host"], &line["outcome"]),
        (&"x.example.org".into(), &"refused".into())
    );
    assert_eq!(line["reasons"][0]["id"], "not-listed");
    let line: Value = serde_json::from_str(&following.next()).unwrap();
    assert_eq!(line["reasons"][0]["id"], "client-certificate-expired");
    drop(input);
    let line: Value = serde_json::from_str(&following.next()).unwrap();
    assert_eq!(line["summary"]["hosts"][0]["refused"], 1);
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
}

#[test]
fn following_ends_when_nobody_reads_and_costs_nothing_while_it_waits() {
    let admin = Admin::new();
    let path = admin.write("mail.log", "");
    let following = Following::start(&admin, &["explain", "--follow", &path]);
    let ticks = || -> u64 {
        let mut stat = String::new();
        std::fs::File::open(format!("/proc/{}/stat", following.child.id()))
            .unwrap()
            .read_to_string(&mut stat)
            .unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        ticks() - before <= 10,
        "at most a tenth of a second of work in two seconds"
    );
    let (code, rest) = following.interrupt();
    assert_eq!((code, rest.as_str()), (Some(0), ""));

    let text = log("x.example.org", &("AA:".repeat(31) + "AA"));
    let script = format!(
        "'{}' explain --follow --quiet '{path}' | head -1",
        authority::RELAYCA
    );
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", admin.home())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while shell.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it goes on although nobody reads"
        );
        append(&path, &text);
        std::thread::sleep(Duration::from_millis(100));
    }
}
