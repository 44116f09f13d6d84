//! openssl says what a fingerprint is, and postmap says what a map holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use relayca_fingerprint::{Digest, FingerprintMap, Listed, Pin, fingerprint, parse_text};
use tempfile::TempDir;

struct Certificate {
    host: String,
    serial: String,
    certificate: Vec<u8>,
    spki: Vec<u8>,
}

impl Certificate {
    fn listed(&self) -> Listed<'_> {
        Listed {
            host: &self.host,
            serial: &self.serial,
            not_after: "2028-11-21T03:00:00Z",
            certificate_der: &self.certificate,
            spki_der: &self.spki,
        }
    }
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect(program)
}

fn stdout(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = run(dir, program, arguments);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A fresh self-signed certificate, as `NAME.pem` and `NAME.spki.der` in `dir`.
fn certificate(dir: &Path, name: &str) -> Certificate {
    let pem = format!("{name}.pem");
    let subject = format!("/CN={name}");
    stdout(
        dir,
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            &subject,
            "-keyout",
            "key.pem",
            "-out",
            &pem,
        ],
    );
    let der = format!("{name}.der");
    let spki = format!("{name}.spki.der");
    stdout(
        dir,
        "openssl",
        &["x509", "-in", &pem, "-outform", "der", "-out", &der],
    );
    stdout(
        dir,
        "openssl",
        &[
            "pkey", "-in", "key.pem", "-pubout", "-outform", "der", "-out", &spki,
        ],
    );
    let serial = stdout(dir, "openssl", &["x509", "-in", &pem, "-noout", "-serial"]);
    Certificate {
        host: format!("{name}.example.org"),
        serial: serial.trim().trim_start_matches("serial=").to_owned(),
        certificate: fs::read(dir.join(der)).unwrap(),
        spki: fs::read(dir.join(spki)).unwrap(),
    }
}

/// Writes a file as if an hour ago: Postfix rereads a main.cf or texthash file until it has been at rest for a second.
fn write_at_rest(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
}

/// What postmap finds under `key`, with an empty main.cf, so that no setting of this machine has a say.
fn lookup(dir: &Path, key: &str, table: &str) -> Option<String> {
    write_at_rest(&dir.join("main.cf"), "");
    let output = run(
        dir,
        "postmap",
        &["-c", dir.to_str().unwrap(), "-q", key, table],
    );
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(complaints, "", "{table}");
    output.status.success().then(|| {
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    })
}

/// Every table that Postfix can make of the map, by its name for `postmap -q`.
fn tables(dir: &Path, map: &FingerprintMap) -> Vec<String> {
    write_at_rest(&dir.join("main.cf"), "");
    let config = dir.to_str().unwrap();
    let mut tables = vec![map.to_inline()];
    for kind in ["hash", "lmdb", "btree"] {
        let file = dir.join(format!("map-{kind}"));
        fs::write(&file, map.to_text()).unwrap();
        let table = format!("{kind}:{}", file.display());
        let output = run(dir, "postmap", &["-c", config, &table]);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        tables.push(table);
    }
    let file = dir.join("map-texthash");
    write_at_rest(&file, &map.to_texthash());
    tables.push(format!("texthash:{}", file.display()));
    tables
}

#[test]
fn openssl_prints_the_same_fingerprint_of_a_certificate_with_every_digest() {
    let dir = TempDir::new().unwrap();
    let one = certificate(dir.path(), "alpha");
    for digest in Digest::ALL {
        let option = format!("-{digest}");
        let printed = stdout(
            dir.path(),
            "openssl",
            &[
                "x509",
                "-in",
                "alpha.pem",
                "-noout",
                "-fingerprint",
                &option,
            ],
        );
        let expected = printed.trim().split_once('=').unwrap().1;
        assert_eq!(
            fingerprint(digest, &one.certificate).as_str(),
            expected,
            "{digest}"
        );
    }
}

#[test]
fn openssl_prints_the_same_fingerprint_of_a_public_key_with_every_digest() {
    let dir = TempDir::new().unwrap();
    let one = certificate(dir.path(), "alpha");
    for digest in Digest::ALL {
        // As in Postfix's TLS_README: openssl pkey -pubin -outform DER | openssl dgst -sha256 -c
        let pipe = format!(
            "openssl x509 -in alpha.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -{digest} -c"
        );
        let printed = stdout(dir.path(), "sh", &["-c", &pipe]);
        let expected = printed.trim().rsplit_once("= ").unwrap().1.to_uppercase();
        assert_eq!(
            fingerprint(digest, &one.spki).as_str(),
            expected,
            "{digest}"
        );
    }
}

#[test]
fn postmap_finds_every_listed_host_and_nobody_else_in_every_kind_of_table() {
    let dir = TempDir::new().unwrap();
    let listed: Vec<_> = ["alpha", "beta", "gamma"]
        .iter()
        .map(|name| certificate(dir.path(), name))
        .collect();
    let stranger = certificate(dir.path(), "stranger");
    for pin in Pin::ALL {
        let map = FingerprintMap::new(Digest::Sha256, pin, listed.iter().map(Certificate::listed))
            .unwrap();
        for table in tables(dir.path(), &map) {
            for one in &listed {
                let by_key = lookup(
                    dir.path(),
                    fingerprint(Digest::Sha256, &one.spki).as_str(),
                    &table,
                );
                let by_certificate = lookup(
                    dir.path(),
                    fingerprint(Digest::Sha256, &one.certificate).as_str(),
                    &table,
                );
                let host = Some(one.host.clone());
                let expected = match pin {
                    Pin::Pubkey => (host, None),
                    Pin::Cert => (None, host),
                    Pin::Both => (host.clone(), host),
                };
                assert_eq!((by_key, by_certificate), expected, "{pin} {table}");
            }
            let unlisted = fingerprint(Digest::Sha256, &stranger.spki);
            assert_eq!(
                lookup(dir.path(), unlisted.as_str(), &table),
                None,
                "{table}"
            );
        }
    }
}

#[test]
fn every_digest_fits_every_kind_of_table() {
    let dir = TempDir::new().unwrap();
    let one = certificate(dir.path(), "alpha");
    for digest in Digest::ALL {
        let map = FingerprintMap::new(digest, Pin::Pubkey, [one.listed()]).unwrap();
        for table in tables(dir.path(), &map) {
            let found = lookup(dir.path(), fingerprint(digest, &one.spki).as_str(), &table);
            assert_eq!(found.as_deref(), Some("alpha.example.org"), "{table}");
        }
    }
}

#[test]
fn an_empty_map_is_a_valid_table_that_lets_nobody_in() {
    let dir = TempDir::new().unwrap();
    let stranger = certificate(dir.path(), "stranger");
    let map = FingerprintMap::new(Digest::Sha256, Pin::Both, []).unwrap();
    for table in tables(dir.path(), &map) {
        for der in [&stranger.spki, &stranger.certificate] {
            assert_eq!(
                lookup(
                    dir.path(),
                    fingerprint(Digest::Sha256, der).as_str(),
                    &table
                ),
                None,
                "{table}"
            );
        }
    }
}

#[test]
fn postmap_reads_the_same_lines_as_we_do() {
    let dir = TempDir::new().unwrap();
    let listed: Vec<_> = ["alpha", "beta"]
        .iter()
        .map(|name| certificate(dir.path(), name))
        .collect();
    let map = FingerprintMap::new(
        Digest::Sha256,
        Pin::Both,
        listed.iter().map(Certificate::listed),
    )
    .unwrap();
    let table = tables(dir.path(), &map)
        .into_iter()
        .find(|table| table.starts_with("hash:"))
        .unwrap();
    // postmap -s gives every key and value; this kind of table folds the keys to lower case.
    let dump = stdout(
        dir.path(),
        "postmap",
        &["-c", dir.path().to_str().unwrap(), "-s", &table],
    );
    let mut theirs: Vec<(String, String)> = dump
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(key, host)| (key.to_uppercase(), host.to_owned()))
        .collect();
    let mut ours = parse_text(&map.to_text()).unwrap();
    theirs.sort();
    ours.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn pasted_openssl_output_is_caught_where_postmap_takes_it_for_a_key() {
    let dir = TempDir::new().unwrap();
    certificate(dir.path(), "alpha");
    let pasted = stdout(
        dir.path(),
        "openssl",
        &[
            "x509",
            "-in",
            "alpha.pem",
            "-noout",
            "-fingerprint",
            "-sha256",
        ],
    );
    let line = format!("{} alpha.example.org\n", pasted.trim());
    write_at_rest(&dir.path().join("main.cf"), "");
    fs::write(dir.path().join("pasted"), &line).unwrap();
    let config = dir.path().to_str().unwrap();
    stdout(dir.path(), "postmap", &["-c", config, "hash:pasted"]);
    let dump = stdout(dir.path(), "postmap", &["-c", config, "-s", "hash:pasted"]);
    assert!(dump.starts_with("sha256\t"), "{dump}");
    let error = parse_text(&line).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1: the label before `=` would become the key"
    );
    assert!(error.hint().is_some());
}
