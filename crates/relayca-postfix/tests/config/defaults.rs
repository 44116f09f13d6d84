//! The table of parameters and defaults.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use relayca_postfix::config::{NEWEST, Version, parameter, parameters};

use super::judge::{Judge, version};

/// What `postconf -d` says with nothing set.
fn said() -> BTreeMap<String, String> {
    let said = Judge::of(b"", b"").ask(&["-d"]);
    assert!(said.ok, "{said:?}");
    let text = String::from_utf8(said.stdout).unwrap();
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(" =").unwrap();
            (name.to_owned(), value.trim_start().to_owned())
        })
        .collect()
}

#[test]
fn the_defaults_are_those_of_this_postfix() {
    let version = version();
    let theirs = said();
    if std::env::var_os("RELAYCA_BLESS").is_some() {
        bless(version, &theirs);
        return;
    }
    let mut wrong = String::new();
    for parameter in parameters() {
        let name = parameter.name;
        let known = parameter.known_by(Some(version)) && !parameter.legacy_in(Some(version));
        match theirs.get(name) {
            Some(_) if !known => writeln!(wrong, "{name} is not known").unwrap(),
            None if known => writeln!(wrong, "{name} is known").unwrap(),
            Some(theirs) if !parameter.machine => {
                let ours = parameter.default(Some(version));
                if ours != Some(theirs) {
                    writeln!(wrong, "{name}: ours {ours:?}, theirs {theirs:?}").unwrap();
                }
            }
            _ => {}
        }
    }
    for name in theirs.keys().filter(|name| parameter(name).is_none()) {
        writeln!(wrong, "{name} is in no version").unwrap();
    }
    assert!(
        wrong.is_empty(),
        "{wrong}RELAYCA_BLESS=1 writes the table anew"
    );
}

/// Old names, which `postconf -d` passes over, it knows when asked.
#[test]
fn old_names_are_known_to_this_postfix() {
    let version = version();
    let judge = Judge::of(b"", b"");
    let mut old = 0;
    for parameter in parameters() {
        if parameter.legacy_in(Some(version)) {
            old += 1;
            assert_eq!(parameter.default(Some(version)), Some(""));
            let said = judge.ask(&["-h", parameter.name]);
            assert!(said.stderr.is_empty(), "{said:?}");
        }
    }
    assert!(old >= 5, "{old}");
    let said = judge.ask(&["-h", "smtpd_tls_no_such_thing"]);
    assert!(said.stderr.contains("unknown parameter"), "{said:?}");
}

#[test]
fn a_parameter_has_the_default_of_the_version_that_is_asked_for() {
    let default = |name: &str, text: &str| {
        let version: Option<Version> = (!text.is_empty()).then(|| text.parse().unwrap());
        parameter(name).unwrap().default(version)
    };
    let digest = "smtpd_tls_fingerprint_digest";
    assert_eq!(default(digest, "3.5"), Some("md5"));
    let by_level = Some("${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}");
    assert_eq!(default(digest, "3.6.1"), by_level);
    assert_eq!(default(digest, "3.12-20260101"), by_level);
    assert_eq!(default(digest, ""), by_level);
    assert_eq!(default("smtp_tls_security_level", "3.10"), Some(""));
    assert!(
        default("smtp_tls_security_level", "3.11")
            .unwrap()
            .contains("{may}")
    );
    assert_eq!(default("default_database_type", "3.11"), Some("cdb"));
    assert_eq!(default("default_database_type", ""), Some("hash"));
    // Known since 3.10: no default before, and the first one where nobody says which version.
    assert_eq!(default("tls_required_enable", "3.9"), None);
    assert_eq!(default("tls_required_enable", "3.10"), Some("yes"));
    assert_eq!(default("tls_required_enable", ""), Some("yes"));
    // The machine's.
    assert_eq!(default("myhostname", "3.7"), None);

    let known = |name: &str, text: &str| {
        let version: Version = text.parse().unwrap();
        parameter(name).is_some_and(|parameter| parameter.known_by(Some(version)))
    };
    assert!(!known("smtpd_tls_enable_rpk", "3.8") && known("smtpd_tls_enable_rpk", "3.9"));
    let gone = "tls_legacy_public_key_fingerprints";
    assert!(known(gone, "3.10") && !known(gone, "3.11"));
    assert!(known("requiretls_enable", "3.11") && known("requiretls_enable", "4.0"));
    assert!(!known("relay_destination_concurrency_limit", "3.7"));
    assert!(parameter("smtpd_reject_footer").unwrap().raw);
    let old = parameter("tlsproxy_client_level").unwrap();
    assert!(!old.legacy_in(Some(Version::new(3, 6))) && old.legacy_in(Some(Version::new(3, 7))));
}

#[test]
fn a_version_is_read_as_postconf_writes_it() {
    let read = |text: &str| text.parse::<Version>();
    assert_eq!(read("3.7"), Ok(Version::new(3, 7)));
    assert_eq!(read("3.7.11"), Ok(Version::new(3, 7)));
    assert_eq!(read("3.12-20260101"), Ok(Version::new(3, 12)));
    assert_eq!(read("3.8.0-RC1"), Ok(Version::new(3, 8)));
    assert_eq!(read("3.10").unwrap().to_string(), "3.10");
    assert!(read("3.9").unwrap() < read("3.10").unwrap());
    for wrong in [
        "", "3", "3.", ".7", "3.7.1.2", "v3.7", "3.7 ", "3.99999", "-3.7",
    ] {
        let error = read(wrong).unwrap_err();
        assert!(error.hint().is_some(), "{wrong}");
    }
}

/// Writes the defaults of a version into the table.
fn bless(version: Version, theirs: &BTreeMap<String, String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/parameters.tsv");
    let mut versions: Vec<Version> = (4..=NEWEST.minor)
        .map(|minor| Version::new(3, minor))
        .collect();
    if !versions.contains(&version) {
        versions.push(version);
    }
    let old = fs::read_to_string(&path).unwrap();
    let head: String = old
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut names: Vec<&str> = theirs.keys().map(String::as_str).collect();
    names.extend(parameters().iter().map(|parameter| parameter.name));
    names.sort_unstable();
    names.dedup();
    let mut table = head;
    for name in names {
        let known = parameter(name);
        // What each version says; none where it does not know the name.
        let defaults: Vec<Option<&str>> = versions
            .iter()
            .map(|each| {
                let legacy = known.is_some_and(|known| known.legacy_in(Some(*each)));
                match known {
                    _ if *each == version && !legacy => theirs.get(name).map(String::as_str),
                    Some(known) if known.known_by(Some(*each)) => {
                        Some(known.default(Some(*each)).unwrap_or_default())
                    }
                    _ => None,
                }
            })
            .collect();
        let Some(first) = defaults.iter().position(Option::is_some) else {
            continue;
        };
        let behind = defaults[first..]
            .iter()
            .position(Option::is_none)
            .map(|at| first + at);
        let bound = |at: Option<usize>| {
            at.filter(|at| *at > 0)
                .map_or("-".to_owned(), |at| versions[at].to_string())
        };
        let mark = match known {
            Some(known) if known.raw => "raw".to_owned(),
            Some(known) if known.machine => "machine".to_owned(),
            Some(known) => known
                .legacy
                .map_or("-".to_owned(), |from| format!("legacy:{from}")),
            None => "-".to_owned(),
        };
        write!(
            table,
            "{name}\t{}\t{}\t{mark}",
            bound(Some(first)),
            bound(behind)
        )
        .unwrap();
        let mut last = None;
        for at in first..behind.unwrap_or(versions.len()) {
            if mark != "machine" && defaults[at] != last {
                last = defaults[at];
                let from = if at == first {
                    "-".to_owned()
                } else {
                    versions[at].to_string()
                };
                write!(table, "\t{from}={}", last.unwrap_or_default()).unwrap();
            }
        }
        table.push('\n');
    }
    fs::write(path, table).unwrap();
}
