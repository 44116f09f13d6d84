//! Trees that other tools leave, made by openssl as they made them: a CA, what it signed, an old map.
//!
//! In: an admin's home. Out: a directory in it. It refuses to know relayca.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::authority::{Admin, judge, judge_input, judged};

/// What the Makefile's CA key is encrypted with.
pub const PASSPHRASE: &str = "an old passphrase, typed once";

/// A directory with a CA.
pub struct OldTree {
    /// The directory.
    pub at: PathBuf,
    /// Beside it: the passphrase of the CA key.
    pub passphrase: PathBuf,
    ca: String,
}

impl OldTree {
    /// The Makefile's: an RSA CA of example.org, its key under triple-DES, and nothing else yet.
    pub fn makefile(admin: &Admin) -> Self {
        let tree = Self::empty(admin, "certs", "example.org-ca");
        tree.openssl(&[
            "genrsa",
            "-traditional",
            "-des3",
            "-passout",
            "file:../passphrase",
            "-out",
            "example.org-ca.key.pem",
            "2048",
        ]);
        let key = tree.read("example.org-ca.key.pem");
        assert!(key.contains("DEK-Info: DES-EDE3-CBC"), "{key}");
        tree.openssl(&[
            "req",
            "-new",
            "-x509",
            "-sha256",
            "-days",
            "3650",
            "-subj",
            "/O=example.org/CN=example.org CA",
            "-passin",
            "file:../passphrase",
            "-key",
            "example.org-ca.key.pem",
            "-out",
            "example.org-ca.crt.pem",
        ]);
        tree
    }

    /// A bare CA with its key in the clear, of this subject, with further arguments for `openssl req`.
    pub fn bare(admin: &Admin, name: &str, subject: &str, more: &[&str]) -> Self {
        let tree = Self::empty(admin, name, "ca");
        let mut arguments = vec![
            "req",
            "-new",
            "-x509",
            "-nodes",
            "-sha256",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-days",
            "3650",
            "-keyout",
            "ca.key.pem",
            "-out",
            "ca.crt.pem",
            "-subj",
            subject,
        ];
        arguments.extend(more);
        tree.openssl(&arguments);
        tree
    }

    /// A directory that is there already.
    pub fn of(admin: &Admin, name: &str) -> Self {
        Self {
            at: admin.file(name),
            passphrase: admin.file("passphrase"),
            ca: "ca".to_owned(),
        }
    }

    /// A directory without anything; `ca` is how its CA's files are called.
    pub fn empty(admin: &Admin, name: &str, ca: &str) -> Self {
        let at = admin.file(name);
        std::fs::create_dir(&at).unwrap();
        Self {
            at,
            passphrase: PathBuf::from(admin.write("passphrase", format!("{PASSPHRASE}\n"))),
            ca: ca.to_owned(),
        }
    }

    /// A host's key, request and certificate, as the Makefile calls them: X.509 v1 by openssl 3.0's rules.
    pub fn leaf(&self, host: &str, serial: &str) {
        self.leaf_with(host, serial, &[]);
    }

    /// The same with further arguments for `openssl x509 -req`.
    pub fn leaf_with(&self, host: &str, serial: &str, more: &[&str]) {
        let file = |kind: &str| format!("{host}.{kind}.pem");
        self.openssl(&[
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            &format!("/CN={host}"),
            "-keyout",
            &file("key"),
            "-out",
            &file("csr"),
        ]);
        let (ca, key) = (
            format!("{}.crt.pem", self.ca),
            format!("{}.key.pem", self.ca),
        );
        let (csr, crt) = (file("csr"), file("crt"));
        let mut arguments = vec![
            "x509",
            "-req",
            "-sha256",
            "-days",
            "700",
            "-in",
            &csr,
            "-CA",
            &ca,
            "-CAkey",
            &key,
            "-passin",
            "file:../passphrase",
            "-set_serial",
            serial,
            "-out",
            &crt,
        ];
        arguments.extend(more);
        self.openssl(&arguments);
    }

    /// A certificate of version 3 with these lines of openssl's configuration.
    pub fn leaf_v3(&self, host: &str, serial: &str, extensions: &str) {
        let place = self.at.with_extension("ext");
        std::fs::write(&place, format!("{extensions}\n")).unwrap();
        self.leaf_with(host, serial, &["-extfile", place.to_str().unwrap()]);
    }

    /// The old map: hosts by the fingerprints of their certificates, as `openssl x509 -fingerprint` has them.
    pub fn map(&self, digest: &str, hosts: &[&str]) {
        let mut text = "# who may relay\n".to_owned();
        for host in hosts {
            let printed = self.openssl(&[
                "x509",
                "-noout",
                "-fingerprint",
                digest,
                "-in",
                &format!("{host}.crt.pem"),
            ]);
            let (_, fingerprint) = printed.trim().split_once('=').unwrap();
            text.push_str(&format!("{fingerprint} {host}\n"));
        }
        self.write("relay_clientcerts", text);
    }

    pub fn path(&self) -> &str {
        self.at.to_str().unwrap()
    }

    pub fn name(&self, file: &str) -> String {
        self.at.join(file).to_str().unwrap().to_owned()
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.at.join(file)).unwrap()
    }

    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.at.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn copy(&self, from: &str, to: &str) {
        self.write(to, std::fs::read(self.at.join(from)).unwrap());
    }

    /// openssl, run in the directory; gives its stdout.
    #[track_caller]
    pub fn openssl(&self, arguments: &[&str]) -> String {
        judged(
            Command::new("openssl")
                .args(arguments)
                .current_dir(&self.at),
        )
    }
}

/// `relayca import` of a tree, for the admin's own age identity.
pub fn import<'a>(admin: &'a Admin, tree: &'a OldTree, more: &[&'a str]) -> Vec<String> {
    let identity = admin.identity();
    let mut arguments: Vec<String> = [
        "import",
        tree.path(),
        "--recipient",
        admin.recipient(),
        "-i",
        identity.to_str().unwrap(),
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(more.iter().map(|&text| text.to_owned()));
    arguments
}

/// The same with the passphrase of the tree.
pub fn import_encrypted<'a>(admin: &'a Admin, tree: &'a OldTree, more: &[&'a str]) -> Vec<String> {
    let mut arguments = import(admin, tree, more);
    arguments.extend([
        "--ca-passphrase-file".to_owned(),
        tree.passphrase.to_str().unwrap().to_owned(),
    ]);
    arguments
}

/// Codes of the weaknesses in a report.
pub fn codes(report: &Value) -> BTreeSet<&str> {
    let weaknesses = report["weaknesses"].as_array().unwrap();
    weaknesses
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect()
}

#[track_caller]
pub fn certificate<'a>(report: &'a Value, host: &str) -> &'a Value {
    let all = report["certificates"].as_array().unwrap();
    all.iter()
        .find(|one| one["host"] == host)
        .unwrap_or_else(|| panic!("{host} in {report:#}"))
}

pub fn json(admin: &Admin, arguments: &[String]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.push("--json".into());
    serde_json::from_str(&admin.done(&arguments)).unwrap()
}

/// What a fingerprint map has to say by openssl's own reckoning.
pub fn pin(tree: &OldTree, host: &str) -> String {
    let public = tree.openssl(&[
        "x509",
        "-noout",
        "-pubkey",
        "-in",
        &format!("{host}.crt.pem"),
    ]);
    let public = judge_input(
        "openssl",
        &["pkey", "-pubin", "-outform", "pem"],
        public.as_bytes(),
    );
    let file = tree.at.with_extension("public");
    std::fs::write(&file, public).unwrap();
    let der = tree.at.with_extension("der");
    judge(
        "openssl",
        &[
            "pkey",
            "-pubin",
            "-in",
            file.to_str().unwrap(),
            "-outform",
            "der",
            "-out",
            der.to_str().unwrap(),
        ],
    );
    let printed = judge("openssl", &["dgst", "-sha256", "-c", der.to_str().unwrap()]);
    printed.trim().rsplit(' ').next().unwrap().to_uppercase()
}

pub fn der_of(file: &Path) -> Vec<u8> {
    let out = Command::new("openssl")
        .args(["x509", "-outform", "der", "-in"])
        .arg(file)
        .output()
        .unwrap();
    assert!(out.status.success());
    out.stdout
}
