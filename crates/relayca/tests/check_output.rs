//! How `relayca check` says it: JSON, metrics and units that other programs rely on; and that it only reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use authority::{Admin, Outcome, RELAYCA, judge, judged};

fn keys(value: &serde_json::Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn json_keeps_its_shape() {
    let admin = Admin::with_mailhost();
    fs::write(admin.part("ca/notes"), "x").unwrap();
    let outcome = admin.run(&["check", "--json"]);
    assert_eq!(outcome.code, Some(3));
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        keys(&report),
        ["checked_at", "expiries", "findings", "status"]
    );
    assert_eq!(
        keys(&report["findings"][0]),
        ["hint", "id", "message", "severity", "subject"]
    );
    let expiries = report["expiries"].as_array().unwrap();
    for expiry in expiries {
        assert_eq!(
            keys(expiry),
            ["days", "not_after", "role", "serial", "subject"]
        );
    }
    let of = |key: &str| -> Vec<&str> {
        expiries
            .iter()
            .map(|one| one[key].as_str().unwrap())
            .collect()
    };
    assert_eq!(
        of("role"),
        ["relay", "mailhost", "ca"].map(|role| {
            // The two leaves may be of one second, and then go by name.
            if of("not_after")[0] == of("not_after")[1] {
                match role {
                    "relay" => "mailhost",
                    "mailhost" => "relay",
                    other => other,
                }
            } else {
                role
            }
        })
    );
    assert!(expiries[0]["days"].as_i64().unwrap() > 700);
    assert!(of("subject").contains(&"example.org"));
}

#[test]
fn the_table_is_on_stdout_and_the_remedies_below_it_on_stderr() {
    let admin = Admin::with_mailhost();
    fs::write(admin.part("ca/notes"), "x").unwrap();
    fs::remove_file(admin.part("ca/ca.crt.pem")).unwrap();
    let outcome = admin.run(&["check"]);
    assert_eq!(outcome.code, Some(4));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].starts_with("SEVERITY  WHAT"), "{lines:?}");
    assert!(
        lines[1].starts_with("critical  ca/ca.crt.pem")
            && lines[2].starts_with("warning   ca/notes")
    );
    assert_eq!(
        outcome.stderr.matches("relayca: hint: ").count(),
        2,
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("1 critical, 1 warning"),
        "{}",
        outcome.stderr
    );
    // A name of somebody else's making does not drive the terminal.
    fs::write(admin.part("ca/\u{1b}[2Jx\ny"), "x").unwrap();
    let outcome = admin.run(&["check"]);
    assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'));
    assert_eq!(outcome.stdout.lines().count(), 4, "{}", outcome.stdout);
}

/// The text format of Prometheus, strictly: HELP, TYPE and samples of each metric together, once; no series twice.
fn samples(text: &str) -> Vec<(String, String, f64)> {
    assert!(text.ends_with('\n'));
    let name = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    let (mut seen, mut series, mut all) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let metric = help
            .strip_prefix("# HELP ")
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        assert!(name(metric) && seen.insert(metric), "{help}");
        assert_eq!(lines.next().unwrap(), format!("# TYPE {metric} gauge"));
        let before = all.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = line
                .strip_prefix(metric)
                .unwrap()
                .strip_prefix('{')
                .unwrap();
            let (labels, value) = rest.rsplit_once("} ").unwrap();
            let mut left = labels;
            while !left.is_empty() {
                let (label, rest) = left.split_once("=\"").unwrap();
                assert!(name(label), "{line}");
                let mut end = None;
                let mut escaped = false;
                for (at, letter) in rest.char_indices() {
                    match letter {
                        _ if escaped => {
                            assert!("\\\"n".contains(letter), "{line}");
                            escaped = false;
                        }
                        '\\' => escaped = true,
                        '"' => {
                            end = Some(at);
                            break;
                        }
                        _ => {}
                    }
                }
                left = &rest[end.unwrap() + 1..];
                left = left.strip_prefix(',').unwrap_or(left);
            }
            assert!(
                series.insert(format!("{metric}{{{labels}")),
                "twice: {line}"
            );
            all.push((metric.to_owned(), labels.to_owned(), value.parse().unwrap()));
        }
        assert!(all.len() > before, "{metric} has no sample");
    }
    all
}

#[test]
fn metrics_are_what_a_collector_reads() {
    let admin = Admin::with_mailhost();
    let text = admin.done(&["check", "--prometheus"]);
    let all = samples(&text);
    let value = |metric: &str, label: &str| {
        all.iter()
            .find(|one| one.0 == metric && one.1.contains(label))
            .unwrap_or_else(|| panic!("{metric}{label}: {text}"))
            .2
    };
    assert_eq!(value("relayca_check_status", "domain=\"example.org\""), 0.0);
    assert_eq!(value("relayca_findings", "severity=\"warning\""), 0.0);
    assert_eq!(value("relayca_findings", "severity=\"critical\""), 0.0);
    let now: f64 = judge("date", &["+%s"]).trim().parse().unwrap();
    assert!((value("relayca_checked_at_seconds", "") - now).abs() < 60.0);
    let end = value(
        "relayca_certificate_not_after_seconds",
        "host=\"mailhost.example.org\",role=\"mailhost\",serial=\"",
    );
    assert!(end > now + 700.0 * 86400.0);
    value("relayca_certificate_not_after_seconds", "role=\"relay\"");
    value("relayca_certificate_not_after_seconds", "role=\"ca\"");
    assert!(!text.contains("crl"));

    admin.done(&["crl", "--out", "crl.pem"]);
    fs::write(admin.part("ca/notes"), "x").unwrap();
    let before = admin.tree();
    let outcome = admin.run(&["check", "--prometheus", "--out", "relayca.prom"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""));
    before.assert_same(&admin.tree());
    let written = fs::read_to_string(admin.file("relayca.prom")).unwrap();
    let all = samples(&written);
    assert!(
        all.iter()
            .any(|one| one.0 == "relayca_crl_next_update_seconds" && one.2 > now)
    );
    assert!(written.contains("relayca_check_status{domain=\"example.org\"} 3"));
    // Where it cannot look, the last metrics stay, with the time that they are of.
    fs::write(admin.part("relayca.toml"), "x").unwrap();
    admin.refused(1, &["check", "--prometheus", "--out", "relayca.prom"]);
    assert_eq!(
        fs::read_to_string(admin.file("relayca.prom")).unwrap(),
        written
    );
}

#[test]
fn systemd_accepts_the_units() {
    let admin = Admin::with_authority();
    let spaced = admin.file("an authority");
    judged(Command::new("cp").arg("-a").arg(admin.root()).arg(&spaced));
    for (more, directory) in [
        (vec![], admin.root()),
        (vec!["--dir", "an authority", "--within", "60d"], spaced),
    ] {
        let block = admin.done(&[vec!["check", "--systemd"], more.clone()].concat());
        judge("sh", &["-n", &admin.write("block.sh", &block)]);
        let mut units = Vec::new();
        for part in block.split("cat > /etc/systemd/system/").skip(1) {
            let (name, rest) = part.split_once(" <<'END_OF_UNIT'\n").unwrap();
            let (unit, _) = rest.split_once("END_OF_UNIT\n").unwrap();
            units.push(admin.write(name, unit));
        }
        assert_eq!(units.len(), 2);
        let verdict = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(&units)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verdict.stderr).into_owned();
        let ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("relayca"))
            .collect();
        assert!(verdict.status.success() && ours.is_empty(), "{said}");
        let service = fs::read_to_string(&units[0]).unwrap();
        assert!(
            service.contains(&format!(
                "ExecStart=\"{RELAYCA}\" --dir \"{}\" check",
                directory.display()
            )),
            "{service}"
        );
        assert_eq!(service.contains("check --within 60d\n"), !more.is_empty());
        for hardened in [
            "ProtectSystem=strict",
            "NoNewPrivileges=yes",
            "ReadOnlyPaths=\"/",
        ] {
            assert!(service.contains(hardened), "{service}");
        }
        assert!(
            !service.contains("SuccessExitStatus"),
            "a finding fails the service"
        );
        let timer = fs::read_to_string(&units[1]).unwrap();
        assert!(timer.contains("Persistent=true") && timer.contains("RandomizedDelaySec="));
    }
    for odd in ["a%h", "a$HOME", "a\"b", "a\\x20"] {
        judged(
            Command::new("cp")
                .arg("-a")
                .arg(admin.root())
                .arg(admin.file(odd)),
        );
        admin.refused(2, &["check", "--systemd", "--dir", odd]);
    }
    admin.refused(2, &["check", "--systemd", "--json"]);
    admin.refused(2, &["check", "--prometheus", "--json"]);
    admin.refused(2, &["check", "--out", "x"]);
    admin.refused(2, &["check", "--within", "soon"]);
}

#[test]
fn who_may_only_read_gets_the_same_verdict_and_changes_nothing() {
    let admin = Admin::with_mailhost();
    if judge("id", &["-u"]).trim() != "0" {
        judged(Command::new("chmod").args(["-R", "a-w"]).arg(admin.root()));
        let before = admin.tree();
        assert_eq!(admin.run(&["check"]).code, Some(0));
        before.assert_same(&admin.tree());
        judged(Command::new("chmod").args(["-R", "u+w"]).arg(admin.root()));
        return;
    }
    // A monitor's group may read what is no secret; the home above lets it through.
    for directory in [
        admin.home(),
        admin.home().parent().unwrap().to_owned(),
        admin.file("data"),
        admin.file("data/relayca"),
    ] {
        judge("chmod", &["a+rx", directory.to_str().unwrap()]);
    }
    let root = admin.root();
    judged(Command::new("chgrp").args(["-R", "65534"]).arg(&root));
    judged(
        Command::new("find")
            .arg(&root)
            .args(["-type", "d", "-exec", "chmod", "750", "{}", "+"]),
    );
    for name in [
        "inventory.db",
        "inventory.db-journal",
        "relayca.toml",
        "bundles/relayhost.example.org.public.tar",
    ] {
        judge("chmod", &["640", root.join(name).to_str().unwrap()]);
    }
    let before = admin.tree();
    let outcome = Outcome::of(&mut admin.as_nobody(&["check"]));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with("all is well"), "{outcome:?}");
    assert!(
        outcome.stderr.contains("could not be read by this user"),
        "{outcome:?}"
    );
    before.assert_same(&admin.tree());
    // Who may not even read the inventory learns that, and gets no verdict.
    judge(
        "chmod",
        &["600", root.join("inventory.db").to_str().unwrap()],
    );
    Outcome::of(&mut admin.as_nobody(&["check"])).refused(1);
}

#[test]
fn many_hosts_are_looked_at_quickly() {
    let admin = Admin::with_authority();
    let hosts: String = (0..300).map(|number| format!("host{number}\n")).collect();
    admin.done(&["issue", "--from", &admin.write("hosts", hosts)]);
    let begun = Instant::now();
    assert_eq!(admin.run(&["check"]).code, Some(0));
    // A debug build on a busy machine; measured with 10,000 hosts in a release.
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(admin.run(&["check", "--open"]).code, Some(0));
}
