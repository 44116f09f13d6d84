//! The tables: a case that each rule finds, and one that looks like it and is right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_case;

use relayca_postfix::rules::Found;
use rules_case::{Case, NOW, Pair, changed, check, ids_in, main_cf, pair, sound_relay};

const A: &str = "58:D3:87:AA:A8:63:E5:34:DB:FC:7D:11:DD:57:EA:18:65:ED:C8:12:EE:72:65:35:F1:3E:DC:90:BB:7F:E4:F6";
const B: &str = "32:95:52:C6:3E:B6:63:5F:91:DF:2A:66:A8:CE:A5:5C:7E:41:43:53:BE:D0:B4:7F:22:A6:88:7B:08:4F:1E:65";
const MD5: &str = "2A:60:75:A6:5D:67:D3:08:DF:A6:29:AE:82:71:22:18";
const MAP: &str = "/etc/postfix/relay_clientcerts";

fn table(text: &str) -> Case {
    sound_relay().table(MAP, text)
}

fn listed() -> Case {
    table(&format!("{A} mail.example.org\n"))
}

fn tables() -> Vec<Pair> {
    let written = |mode, modified| Found {
        mode,
        modified,
        ..Found::default()
    };
    let database = format!("{MAP}.lmdb");
    vec![
        pair(
            "map-without-type",
            changed(&["relay_clientcerts=/etc/postfix/relay_clientcerts"]),
            changed(&["relay_clientcerts=${default_database_type}:/etc/postfix/relay_clientcerts"]),
        ),
        pair(
            "map-type-unknown",
            sound_relay().map_types(&["hash", "cdb"]),
            sound_relay().map_types(&["hash", "lmdb"]),
        ),
        pair(
            "map-type-deprecated",
            changed(&["relay_clientcerts=hash:/etc/postfix/relay_clientcerts"]).version(3, 11),
            changed(&["relay_clientcerts=hash:/etc/postfix/relay_clientcerts"]),
        ),
        pair(
            "map-relative",
            changed(&["relay_clientcerts=lmdb:relay_clientcerts"]),
            sound_relay(),
        ),
        pair("map-missing", sound_relay().absent(&database), listed()),
        pair(
            "map-not-rebuilt",
            listed().file(&database, written(0o644, NOW - 200)),
            // Written within a second of one another.
            listed().file(&database, written(0o644, NOW - 100)),
        ),
        pair(
            "map-needs-a-reload",
            changed(&["relay_clientcerts=texthash:/etc/postfix/relay_clientcerts"]),
            sound_relay(),
        ),
        pair(
            "map-writable-by-others",
            listed().file(&database, written(0o646, NOW)),
            listed(),
        ),
        pair(
            "fingerprint-digest-unstated",
            changed(&["-smtpd_tls_fingerprint_digest"]),
            sound_relay(),
        ),
        pair(
            "fingerprint-digest-weak",
            changed(&["smtpd_tls_fingerprint_digest=md5"]),
            sound_relay(),
        ),
        pair(
            "fingerprints-of-another-digest",
            table(&format!("{MD5} mail\n")),
            listed(),
        ),
        pair(
            "map-matches-everybody",
            changed(&["relay_clientcerts=static:yes"]),
            changed(&["relay_clientcerts=regexp:/etc/postfix/re"])
                .table("/etc/postfix/re", &format!("/^{A}$/ mail\n")),
        ),
        pair(
            "fingerprint-line-of-openssl",
            table(&format!("SHA256 Fingerprint={A} mail\n")),
            table(&format!("# SHA256 Fingerprint={A}\n{A} mail\n")),
        ),
        pair(
            "fingerprint-without-colons",
            table(&format!("{} mail\n", A.replace(':', ""))),
            table(&format!("{} mail\n", A.to_lowercase())),
        ),
        pair(
            "fingerprint-malformed",
            table("mail.example.org yes\n"),
            listed(),
        ),
        pair(
            "fingerprint-without-value",
            table(&format!("{A}\n")),
            listed(),
        ),
        pair(
            "fingerprint-on-a-continuation-line",
            table(&format!("{B} one\n  {A} two\n")),
            table(&format!("{B} one,\n  of the second floor\n")),
        ),
        pair(
            "fingerprint-twice",
            table(&format!("{A} one\n{} two\n", A.to_lowercase())),
            table(&format!("{A} one\n{B} one\n")),
        ),
        pair(
            "relay-clientcerts-value-is-no-refusal",
            table(&format!("{A} REJECT\n")),
            listed(),
        ),
        pair(
            "access-value-is-no-action",
            changed(&[&format!(
                "smtpd_relay_restrictions=check_ccert_access,lmdb:{MAP},defer"
            )])
            .table(MAP, &format!("{A} mail.example.org\n")),
            changed(&[&format!(
                "smtpd_relay_restrictions=check_ccert_access,lmdb:{MAP},defer"
            )])
            .table(MAP, &format!("{A} OK\n{B} own_class\n"))
            .clone_with_class(),
        ),
    ]
}

trait WithClass {
    fn clone_with_class(self) -> Case;
}

impl WithClass for Case {
    fn clone_with_class(self) -> Case {
        main_cf(
            self,
            "smtpd_restriction_classes = own_class\nown_class = permit\n",
        )
    }
}

#[test]
fn each_rule_finds_its_case_and_leaves_the_sound_one_alone() {
    check(&tables());
}

#[test]
fn no_rule_is_without_its_cases() {
    let known: std::collections::BTreeSet<String> =
        tables().iter().map(|pair| pair.rule.to_owned()).collect();
    assert_eq!(known, ids_in(&["maps"]));
}

#[test]
fn a_sound_relay_service_is_silent() {
    let ours = ids_in(&["server.rs", "relay", "maps", "files"]);
    let found: Vec<_> = listed()
        .judge()
        .into_iter()
        .filter(|finding| ours.contains(finding.rule))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_digest_is_judged_by_version_and_compatibility_level() {
    let case = |version: (u16, u16), level: &str, fingerprint: &str| {
        Case {
            main: format!("compatibility_level = {level}\n"),
            ..changed(&["-smtpd_tls_fingerprint_digest"])
        }
        .version(version.0, version.1)
        .table(MAP, &format!("{fingerprint} mail\n"))
        .findings("fingerprints-of-another-digest")
        .len()
    };
    assert_eq!(case((3, 7), "3.6", A), 0);
    assert_eq!(case((3, 7), "2", A), 1);
    assert_eq!(case((3, 7), "2", MD5), 0);
    assert_eq!(case((3, 5), "2", A), 1);
    assert_eq!(case((3, 5), "2", MD5), 0);
}

#[test]
fn inline_tables_are_read_too() {
    let case = changed(&["-relay_clientcerts"]).master(&format!(
        "{}  -o {{ relay_clientcerts = inline:{{ {{ {} = mail }} }} }}\n",
        changed(&["-relay_clientcerts"]).master,
        A.replace(':', "")
    ));
    let found = case.findings("fingerprint-without-colons");
    assert_eq!(found.len(), 1, "{:?}", case.judge());
    assert_eq!(found[0].place.file, "master.cf");
    assert!(found[0].fix[0].contains(A), "{:?}", found[0].fix);
}

#[test]
fn a_long_list_of_mistakes_is_one_finding_at_the_first_line() {
    let text: String = (0..500)
        .map(|n| format!("host{n}.example.org yes\n"))
        .collect();
    let found = table(&text).findings("fingerprint-malformed");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].place.file.as_str(), found[0].place.line),
        (MAP, Some(1))
    );
    assert!(
        found[0].message.ends_with("and 499 more like it"),
        "{}",
        found[0].message
    );
}
