//! `relayca lint` beside a real Postfix: what relayca prints is clean, and what it proposes works when it is pasted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xtask::lab::{Instance, Setup};
use xtask::main_job::{MAIL_HOST, Pair, RELAY};

const RELAYCA: &str = env!("CARGO_BIN_EXE_relayca");

fn lint(instance: &Instance, more: &[&str]) -> (i32, String, String) {
    let output = Command::new(RELAYCA)
        .arg("lint")
        .arg(instance.config())
        .args(more)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn findings(instance: &Instance) -> Vec<(String, String)> {
    let (_, stdout, stderr) = lint(instance, &["--json"]);
    let said: Value =
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    said["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            (
                finding["id"].as_str().unwrap().to_owned(),
                finding["severity"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn a_pair_set_up_with_what_relayca_prints_has_nothing_to_mend() {
    let pair = Pair::new(Path::new(RELAYCA), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    for instance in [&pair.relay, &pair.mail_host] {
        // The lab listens on this machine alone.
        let (code, stdout, stderr) = lint(instance, &["--ignore", "relay-service-on-loopback"]);
        assert_eq!(code, 0, "{stdout}{stderr}");
        assert!(stderr.contains("0 errors, 0 warnings"), "{stderr}");
    }
}

#[test]
fn no_fix_edits_the_block_that_relayca_marks_as_its_own() {
    let cached = |host: &str, side: &str| {
        let (name, value) = (
            format!("{side}_tls_session_cache_database"),
            format!("btree:${{data_directory}}/{side}_scache"),
        );
        Setup::new(host).set(&name, &value)
    };
    let pair = Pair::between(
        Path::new(RELAYCA),
        cached(RELAY, "smtpd"),
        cached(MAIL_HOST, "smtp"),
        &[],
        None,
    )
    .unwrap();
    pair.issue(&[]).unwrap();
    for (instance, half) in [
        (&pair.relay, "postconf -e 'smtpd_tls_received_header = yes'"),
        (
            &pair.mail_host,
            "postconf -e 'smtp_tls_session_cache_database ='",
        ),
    ] {
        let master_cf = instance.config().join("master.cf");
        let before = std::fs::read_to_string(&master_cf).unwrap();
        let (_, script, stderr) = lint(instance, &["--fix"]);
        assert!(script.contains(half), "{script}{stderr}");
        for option in ["-P ", "-PX ", "-F ", "-M# "] {
            assert!(
                !script.contains(&format!("postconf {option}'relayca")),
                "{script}"
            );
            assert!(
                !script.contains(&format!("postconf {option}'{}/", pair.port.number())),
                "{script}"
            );
        }
        let pasted = instance.paste(&script).unwrap();
        assert!(pasted.ok(), "{script}\n{}", pasted.stderr);
        assert_eq!(before, std::fs::read_to_string(&master_cf).unwrap());
        let after = findings(instance);
        for rule in [
            "received-header-without-tls",
            "session-cache-option-without-effect",
        ] {
            assert!(!after.iter().any(|(id, _)| id == rule), "{after:?}");
        }
    }

    // What only an edit of the block would mend is told in words.
    let master_cf = pair.relay.config().join("master.cf");
    let edited = std::fs::read_to_string(&master_cf).unwrap().replace(
        "smtpd_tls_security_level=encrypt",
        "smtpd_tls_security_level=may",
    );
    std::fs::write(&master_cf, edited).unwrap();
    let (code, script, _) = lint(&pair.relay, &["--fix"]);
    assert!(code >= 3, "{script}");
    assert!(
        script.contains("# ")
            && script.contains("stands in relayca's own block, which is not edited"),
        "{script}"
    );
    assert!(!script.contains("postconf -P"), "{script}");
}

#[test]
fn the_script_of_fix_is_pasted_and_what_it_can_mend_is_mended() {
    let broken = Setup::new("relay.example.org")
        .set("smtpd_use_tls", "yes")
        .set("smtpd_tls_mandatory_protocols", "TLSv1")
        .set("smtpd_tls_loglevel", "4")
        .set("smtpd_tls_auth_only", "no")
        .start()
        .unwrap();
    let before = findings(&broken);
    assert!(before.len() >= 2, "{before:?}");
    let (code, script, stderr) = lint(&broken, &["--fix"]);
    assert!(code == 3 || code == 4, "{stderr}");
    assert!(stderr.contains("nothing was changed"), "{stderr}");
    let main_cf = broken.config().join("main.cf");
    let old = std::fs::read_to_string(&main_cf).unwrap();
    assert_eq!(findings(&broken), before, "printing changed something");
    let pasted = broken.paste(&script).unwrap();
    assert!(pasted.ok(), "{script}\n{}", pasted.stderr);
    let kept = std::fs::read_to_string(broken.config().join("main.cf.before-lint")).unwrap();
    assert_eq!(kept, old);
    let after = findings(&broken);
    assert!(
        after.iter().all(|(_, severity)| severity == "note"),
        "{after:?}\n{script}"
    );
    assert!(broken.master().is_some(), "it still runs");
}

#[test]
fn what_postfix_itself_refuses_is_passed_on() {
    let broken = Setup::new("relay.example.org").create().unwrap();
    let master_cf = broken.config().join("master.cf");
    let mut text = std::fs::read_to_string(&master_cf).unwrap();
    text.push_str("odd inet n\n");
    std::fs::write(&master_cf, text).unwrap();
    let found = findings(&broken);
    assert!(
        found
            .iter()
            .any(|(id, severity)| id == "postconf-complains" && severity == "error"),
        "{found:?}"
    );
}
