//! What the services are tried with: a public authority made by openssl, with an intermediate as they have it, and servers in
//! this process that do as told.
//!
//! In: names, scripts. Out: files, ports, what relayca said. It refuses to know what is expected.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod fake;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use xtask::lab::openssl::{Certificate, openssl};

use super::authority::{Admin, Outcome, judge};

/// `root.pem`, `middle.pem` signed by it, `leaf.pem` for localhost signed by that; `fullchain.pem` as certbot writes it.
pub struct Pki {
    directory: tempfile::TempDir,
}

/// What a server's certificate says beside its name.
pub const SERVER: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\nauthorityInfoAccess=caIssuers;URI:http://r3.example/r3.der\n";
const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n";

impl Pki {
    pub fn new() -> Self {
        let pki = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        pki.make_before(400, "root", "Root", None, 3650, CA);
        pki.make_before(400, "middle", "R3", Some("root"), 3650, CA);
        pki.leaf("leaf", "localhost", 90);
        std::fs::rename(pki.file("leaf-chain.pem"), pki.file("fullchain.pem")).unwrap();
        pki
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    /// A server's certificate by the intermediate; `FILE-chain.pem` has both.
    pub fn leaf(&self, file: &str, host: &str, days: i32) {
        self.leaf_before(0, file, host, days);
    }

    /// Likewise, issued some days ago.
    pub fn leaf_before(&self, ago: u32, file: &str, host: &str, days: i32) {
        let extensions = format!("{SERVER}subjectAltName=DNS:{host}\n");
        self.make_before(ago, file, host, Some("middle"), days, &extensions);
        self.chain(file, "middle");
    }

    /// `FILE-chain.pem`: with the certificate of its issuer.
    pub fn chain(&self, file: &str, issuer: &str) {
        let chain = [
            self.read(&format!("{file}.pem")),
            self.read(&format!("{issuer}.pem")),
        ]
        .concat();
        std::fs::write(self.file(&format!("{file}-chain.pem")), chain).unwrap();
    }

    /// A certificate and its key, `FILE.pem` and `FILE.key`, signed by another or by itself.
    pub fn make(&self, file: &str, name: &str, issuer: Option<&str>, days: i32, extensions: &str) {
        self.make_before(0, file, name, issuer, days, extensions);
    }

    /// Likewise, issued some days ago.
    pub fn make_before(
        &self,
        ago: u32,
        file: &str,
        name: &str,
        issuer: Option<&str>,
        days: i32,
        extensions: &str,
    ) {
        let path = |suffix: &str| self.path(&format!("{file}.{suffix}"));
        let (key, request, out) = (path("key"), path("csr"), path("pem"));
        openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            &key,
        ])
        .unwrap();
        std::fs::write(path("ext"), extensions).unwrap();
        openssl(&[
            "req",
            "-new",
            "-key",
            &key,
            "-subj",
            &format!("/CN={name}"),
            "-out",
            &request,
        ])
        .unwrap();
        let (days, extensions) = (days.to_string(), path("ext"));
        let mut arguments = vec![
            "x509",
            "-req",
            "-in",
            &request,
            "-days",
            &days,
            "-extfile",
            &extensions,
            "-out",
            &out,
        ];
        let (certificate, signer);
        match issuer {
            Some(issuer) => {
                certificate = self.path(&format!("{issuer}.pem"));
                signer = self.path(&format!("{issuer}.key"));
                arguments.extend(["-CA", &certificate, "-CAkey", &signer, "-CAcreateserial"]);
            }
            None => arguments.extend(["-signkey", &key]),
        }
        // openssl's `x509 -req` dates by the clock alone.
        let ago = format!("-{ago}d");
        arguments.insert(0, "openssl");
        judge("faketime", &[&["-f", &ago], &arguments[..]].concat());
    }

    /// A file of certificates with the leaf's key, for the lab.
    pub fn certificate(&self, file: &str) -> Certificate {
        Certificate {
            key: self.file("leaf.key"),
            certificate: self.file(file),
        }
    }
}

/// relayca on a machine whose programs trust the root, not yet run.
pub fn with_roots(admin: &Admin, pki: &Pki, arguments: &[&str]) -> Command {
    let mut command = admin.relayca(arguments);
    command.env("SSL_CERT_FILE", pki.file("root.pem"));
    command
}

/// The verdict on one thing, and what was seen.
#[track_caller]
pub fn check(report: &Value, id: &str) -> (String, String) {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["id"] == id);
    let found = found.unwrap_or_else(|| panic!("no `{id}` in {report:#}"));
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("verdict"), text("seen"))
}

/// The verdict alone.
#[track_caller]
pub fn verdict(report: &Value, id: &str) -> String {
    check(report, id).0
}

/// What relayca says of one service, and how it ended.
#[track_caller]
pub fn looked(admin: &Admin, pki: &Pki, arguments: &[&str]) -> (Value, i32) {
    let mut all = vec!["probe", "--json"];
    all.extend(arguments);
    let outcome = Outcome::of(&mut with_roots(admin, pki, &all));
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    let value: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    (value["services"][0].clone(), outcome.code.unwrap())
}

/// Where a server of this process is.
pub fn local(port: u16) -> String {
    format!("localhost:{port}")
}
