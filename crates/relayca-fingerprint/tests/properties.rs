//! What holds of every map and every fingerprint; openssl and postmap judge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use relayca_fingerprint::{
    Digest, EntryKind, FingerprintMap, Listed, Pin, fingerprint, parse_text,
};

/// A certificate of a host: two of one host may share the key, two hosts never do.
#[derive(Clone, Debug)]
struct One {
    host: String,
    serial: String,
    not_after: String,
    certificate: Vec<u8>,
    spki: Vec<u8>,
}

impl One {
    fn listed(&self) -> Listed<'_> {
        Listed {
            host: &self.host,
            serial: &self.serial,
            not_after: &self.not_after,
            certificate_der: &self.certificate,
            spki_der: &self.spki,
        }
    }
}

fn one() -> impl Strategy<Value = One> {
    (
        "[a-z][a-z0-9-]{0,3}\\.example\\.org",
        "[0-9a-f]{2,40}",
        2026..2036u32,
        0..3u8,
    )
        .prop_map(|(host, serial, year, key)| One {
            certificate: format!("certificate {serial} of {host}").into_bytes(),
            spki: format!("key {key} of {host}").into_bytes(),
            not_after: format!("{year}-11-21T03:00:00Z"),
            host,
            serial,
        })
}

fn digest() -> impl Strategy<Value = Digest> {
    prop::sample::select(Digest::ALL.to_vec())
}

fn pin() -> impl Strategy<Value = Pin> {
    prop::sample::select(Pin::ALL.to_vec())
}

fn map(digest: Digest, pin: Pin, all: &[One]) -> FingerprintMap {
    FingerprintMap::new(digest, pin, all.iter().map(One::listed)).unwrap()
}

type Pairs = BTreeSet<(String, String)>;

/// Who should get in by what, from the certificates themselves.
fn expected(digest: Digest, pin: Pin, all: &[One]) -> Pairs {
    let mut pairs = Pairs::new();
    for one in all {
        if pin != Pin::Cert {
            pairs.insert((fingerprint(digest, &one.spki).to_string(), one.host.clone()));
        }
        if pin != Pin::Pubkey {
            pairs.insert((
                fingerprint(digest, &one.certificate).to_string(),
                one.host.clone(),
            ));
        }
    }
    pairs
}

fn of_inline(text: &str) -> Pairs {
    let inside = text.strip_prefix("inline:{ ").unwrap();
    let inside = inside.strip_suffix(" }").unwrap();
    inside
        .split("} {")
        .map(|pair| pair.trim_matches(['{', '}', ' ']))
        .map(|pair| pair.split_once(" = ").unwrap())
        .filter(|(key, _)| *key != "nobody")
        .map(|(key, host)| (key.to_owned(), host.to_owned()))
        .collect()
}

fn of_json(text: &str) -> Pairs {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    value["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (text(&entry["fingerprint"]), text(&entry["host"])))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_form_of_a_map_holds_the_same_pairs(all in vec(one(), 0..12), digest in digest(), pin in pin()) {
        let map = map(digest, pin, &all);
        let pairs = expected(digest, pin, &all);
        let of_text = |text: &str| -> Pairs { parse_text(text).unwrap().into_iter().collect() };
        prop_assert_eq!(&of_text(&map.to_text()), &pairs);
        prop_assert_eq!(&of_text(&map.to_texthash()), &pairs);
        prop_assert_eq!(&of_inline(&map.to_inline()), &pairs);
        prop_assert_eq!(&of_json(&map.to_json()), &pairs);
        prop_assert_eq!(map.entries().len(), pairs.len());
    }

    #[test]
    fn a_map_does_not_depend_on_the_order_it_is_made_in(
        (all, shuffled) in vec(one(), 0..12).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        pin in pin(),
    ) {
        let (one, other) = (map(Digest::Sha256, pin, &all), map(Digest::Sha256, pin, &shuffled));
        prop_assert_eq!(one.to_text(), other.to_text());
        prop_assert_eq!(one.to_json(), other.to_json());
    }

    #[test]
    fn of_one_key_the_longest_lasting_certificate_is_told(all in vec(one(), 1..12)) {
        let mut longest: BTreeMap<&[u8], &str> = BTreeMap::new();
        for one in &all {
            let kept = longest.entry(&one.spki).or_insert(&one.not_after);
            *kept = (*kept).max(&one.not_after);
        }
        let map = map(Digest::Sha256, Pin::Pubkey, &all);
        for (key, not_after) in longest {
            let key = fingerprint(Digest::Sha256, key);
            let entry = map.entries().iter().find(|entry| entry.fingerprint == key).unwrap();
            prop_assert_eq!(entry.kind, EntryKind::Pubkey);
            prop_assert_eq!(&*entry.not_after, not_after);
        }
    }

    #[test]
    fn a_key_of_two_hosts_is_refused_whatever_is_pinned(all in vec(one(), 1..6), pin in pin(), at in 0..6usize) {
        let mut all = all;
        let thief = One { host: "thief.example.org".to_owned(), ..all[at % all.len()].clone() };
        all.insert(at % (all.len() + 1), thief);
        prop_assert!(FingerprintMap::new(Digest::Sha256, pin, all.iter().map(One::listed)).is_err());
    }

    #[test]
    fn however_a_map_is_spaced_and_cased_it_is_read_the_same(
        all in vec(one(), 0..6),
        space in "[ \t]{1,3}",
        after in "[ \t]{0,3}",
    ) {
        let map = map(Digest::Sha256, Pin::Both, &all);
        let mut text = String::from("\n \n  # indented comment\r\n");
        for entry in map.entries() {
            let key = entry.fingerprint.as_str().to_ascii_lowercase();
            text.push_str(&format!("{key}{space}{}{after}\n", entry.host));
        }
        prop_assert_eq!(parse_text(&text).unwrap(), parse_text(&map.to_text()).unwrap());
    }

    #[test]
    fn a_map_cut_short_or_with_a_digit_lost_never_lists_somebody_else(all in vec(one(), 1..4), at in any::<prop::sample::Index>()) {
        let map = map(Digest::Sha256, Pin::Pubkey, &all);
        let text = map.to_text();
        let whole: Pairs = parse_text(&text).unwrap().into_iter().collect();
        let at = at.index(text.len());
        let keys: BTreeSet<&String> = whole.iter().map(|(key, _)| key).collect();
        if let Ok(read) = parse_text(&text[..at]) {
            prop_assert!(read.iter().all(|(key, _)| keys.contains(key)));
        }
        // A comment may lose a character, a fingerprint not.
        let lost = format!("{}{}", &text[..at], &text[at + 1..]);
        if let Ok(read) = parse_text(&lost) {
            prop_assert!(read.iter().all(|(key, _)| keys.contains(key)));
        }
    }
}

fn runner(cases: u32) -> proptest::test_runner::TestRunner {
    proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        cases,
        max_shrink_iters: 20,
        ..ProptestConfig::default()
    })
}

fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// All keys of a map, and one more, in one call for each kind of table.
#[test]
fn postmap_finds_each_host_of_a_map_and_no_other() {
    let found = |directory: &Path, table: &str, keys: &str| -> Pairs {
        let mut postmap = Command::new("postmap");
        postmap.args(["-c", directory.to_str().unwrap(), "-q", "-", table]);
        String::from_utf8(output(&mut postmap, keys.as_bytes()))
            .unwrap()
            .lines()
            .map(|line| line.split_once('\t').unwrap())
            .map(|(key, host)| (key.to_owned(), host.to_owned()))
            .collect()
    };
    let judged = |all: Vec<One>| {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let map = map(Digest::Sha256, Pin::Both, &all);
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).unwrap();
            // Postfix reads a file again and again until it has been at rest for a second.
            let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(hour_ago).unwrap();
            path.display().to_string()
        };
        file("main.cf", "");
        let text = file("text", &map.to_text());
        let texthash = file("texthash", &map.to_texthash());
        let mut make = Command::new("postmap");
        make.args(["-c", directory.to_str().unwrap(), &format!("hash:{text}")]);
        assert!(make.status().unwrap().success());
        let pairs = expected(Digest::Sha256, Pin::Both, &all);
        let mut keys: String = pairs.iter().map(|(key, _)| format!("{key}\n")).collect();
        keys.push_str(fingerprint(Digest::Sha256, b"a stranger").as_str());
        keys.push('\n');
        for table in [
            format!("hash:{text}"),
            format!("texthash:{texthash}"),
            map.to_inline(),
        ] {
            assert_eq!(found(directory, &table, &keys), pairs, "{table}");
        }
        Ok(())
    };
    runner(6).run(&vec(one(), 0..12), judged).unwrap();
}

#[test]
fn openssl_prints_the_same_fingerprint_of_anything() {
    runner(10)
        .run(&(vec(any::<u8>(), 0..4000), digest()), |(der, digest)| {
            let mut openssl = Command::new("openssl");
            openssl.args(["dgst", "-c", &format!("-{digest}")]);
            let printed = String::from_utf8(output(&mut openssl, &der)).unwrap();
            let theirs = printed.trim().rsplit("= ").next().unwrap().to_uppercase();
            assert_eq!(fingerprint(digest, &der).as_str(), theirs);
            Ok(())
        })
        .unwrap();
}

#[test]
fn openssl_prints_the_same_fingerprint_of_certificates_with_random_keys() {
    let directory = tempfile::tempdir().unwrap();
    let sh = |script: &str| -> String {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(directory.path());
        String::from_utf8(output(&mut shell, b"")).unwrap()
    };
    for kind in [
        "ec -pkeyopt ec_paramgen_curve:P-256",
        "ec -pkeyopt ec_paramgen_curve:P-384",
        "ed25519",
    ] {
        let printed = sh(&format!(
            "openssl req -x509 -newkey {kind} -nodes -subj /CN=a -keyout key.pem -out cert.pem 2>/dev/null \
             && openssl x509 -in cert.pem -outform der -out cert.der \
             && openssl x509 -in cert.pem -noout -fingerprint -sha256 \
             && openssl pkey -in key.pem -pubout -outform der -out key.der \
             && openssl dgst -sha256 -c key.der"
        ));
        let theirs: Vec<String> = printed
            .lines()
            .map(|line| line.rsplit('=').next().unwrap().trim().to_uppercase())
            .collect();
        let ours = ["cert.der", "key.der"].map(|name| {
            let der = fs::read(directory.path().join(name)).unwrap();
            fingerprint(Digest::Sha256, &der).to_string()
        });
        assert_eq!(theirs, ours, "{kind}");
    }
}
