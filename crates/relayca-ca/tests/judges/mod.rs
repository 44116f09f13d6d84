//! The judges that are not ours: openssl, certtool, rustls-webpki and pkilint, each asked about one certificate.
//!
//! Enters: certificates and keys as text. Leaves: a verdict each, with the judge's own words. Refuses to know what is right.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use relayca_ca::{
    AltName, Authority, Certificate, Domain, HostName, KeyType, LeafRequest, NewAuthority,
    PrivateKey, Role,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use tempfile::TempDir;
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// A judge's verdict: `Err` has what it said.
pub type Verdict = Result<(), String>;

/// A directory to hand files to the judges in.
pub struct Bench {
    dir: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Bench {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a program here, with arguments split at spaces.
    pub fn run(&self, command: &str) -> Result<String, String> {
        let mut words = command.split(' ').filter(|word| !word.is_empty());
        let program = words.next().unwrap();
        let output = Command::new(program)
            .args(words)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| {
                panic!("`{program}` does not start ({error}); `cargo xtask test` installs it")
            });
        judged(&output)
    }

    /// Runs a program that must succeed.
    pub fn must(&self, command: &str) -> String {
        self.run(command)
            .unwrap_or_else(|said| panic!("`{command}`: {said}"))
    }

    /// `openssl verify`, strict unless told otherwise.
    pub fn openssl(
        &self,
        leaf: &Certificate,
        ca: &Certificate,
        role: Role,
        strict: bool,
    ) -> Verdict {
        self.put("ca.pem", ca.to_pem());
        self.put("leaf.pem", leaf.to_pem());
        let purpose = match role {
            Role::MailHost => "sslclient",
            Role::Relay => "sslserver",
        };
        let strict = if strict { "-x509_strict" } else { "" };
        self.run(&format!(
            "openssl verify {strict} -purpose {purpose} -CAfile ca.pem leaf.pem"
        ))
        .map(drop)
    }

    /// `certtool --verify`.
    pub fn certtool(&self, leaf: &Certificate, ca: &Certificate, role: Role) -> Verdict {
        self.put("ca.pem", ca.to_pem());
        self.put("leaf.pem", leaf.to_pem());
        let purpose = match role {
            Role::MailHost => "1.3.6.1.5.5.7.3.2",
            Role::Relay => "1.3.6.1.5.5.7.3.1",
        };
        let command = format!(
            "certtool --verify --verify-purpose {purpose} --load-ca-certificate ca.pem --infile leaf.pem"
        );
        self.run(&command).map(drop)
    }

    /// pkilint's PKIX lints; anything from a warning up counts.
    pub fn pkilint(&self, certificate: &Certificate) -> Verdict {
        let pem = self.put("lint.pem", certificate.to_pem());
        let output = Command::new(pkilint())
            .args(["lint", "-s", "WARNING"])
            .arg(&pem)
            .output()
            .unwrap();
        let said = judged(&output)?;
        if said.trim().is_empty() {
            Ok(())
        } else {
            Err(said)
        }
    }
}

/// Where the virtual environment with pkilint is.
pub fn pkilint() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judges/pkilint");
    let program = target.join("bin/lint_pkix_cert");
    assert!(
        program.exists(),
        "pkilint is not at {}: `cargo xtask test` puts it there, or `python3 -m venv {1} && {1}/bin/pip install pkilint`",
        program.display(),
        target.display()
    );
    program
}

fn judged(output: &Output) -> Result<String, String> {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(said)
    } else {
        Err(said + &String::from_utf8_lossy(&output.stderr))
    }
}

/// rustls-webpki, as rustls asks it.
pub fn webpki(leaf: &Certificate, ca: &Certificate, role: Role, at: OffsetDateTime) -> Verdict {
    let ca_der = CertificateDer::from(ca.der());
    let anchor = anchor_from_trusted_cert(&ca_der).map_err(|error| error.to_string())?;
    let leaf_der = CertificateDer::from(leaf.der());
    let entity = EndEntityCert::try_from(&leaf_der).map_err(|error| error.to_string())?;
    let usage = match role {
        Role::MailHost => KeyUsage::client_auth(),
        Role::Relay => KeyUsage::server_auth(),
    };
    let seconds = u64::try_from(at.unix_timestamp()).unwrap();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            time,
            usage,
            None,
            None,
        )
        .map(drop)
        .map_err(|error| error.to_string())
}

/// The real time, which the judges look at by themselves.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

pub fn host(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

/// An authority for example.org, made now, ten years.
pub fn authority(key_type: KeyType, permits: &[&str]) -> Authority {
    authority_at(key_type, permits, now(), 3650)
}

pub fn authority_at(
    key_type: KeyType,
    permits: &[&str],
    at: OffsetDateTime,
    days: u32,
) -> Authority {
    let permits = permits
        .iter()
        .map(|text| AltName::parse(text).unwrap())
        .collect();
    let wanted = NewAuthority {
        domain: Domain::parse("example.org").unwrap(),
        permits,
        key_type,
        days,
    };
    Authority::create(&wanted, at).unwrap()
}

pub fn request(role: Role, name: &str, alt_names: &[&str]) -> LeafRequest {
    let alt_names = alt_names
        .iter()
        .map(|text| AltName::parse(text).unwrap())
        .collect();
    LeafRequest {
        role,
        host: host(name),
        alt_names,
        days: 730,
    }
}

pub fn issue(ca: &Authority, role: Role, name: &str, alt_names: &[&str]) -> Certificate {
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    ca.issue(&request(role, name, alt_names), key.spki_der(), now())
        .unwrap()
}

/// A leaf that openssl signs with the authority's key and whatever extensions are asked for: what a thief of the key, or a
/// careless admin, could make.
pub struct Forged<'a> {
    pub subject: &'a str,
    pub extensions: &'a str,
    pub days: u32,
}

/// A leaf's extensions as the profile has them, but for names.
pub const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
    extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

pub fn forge(
    bench: &Bench,
    ca: &Certificate,
    ca_key_pem: &str,
    forged: &Forged<'_>,
) -> Certificate {
    bench.put("forge-ca.pem", ca.to_pem());
    bench.put("forge-ca.key", ca_key_pem);
    bench.put("forge.ext", forged.extensions);
    bench.must("openssl ecparam -genkey -name prime256v1 -noout -out forge.key");
    bench.must(&format!(
        "openssl req -new -key forge.key -subj {} -out forge.csr",
        forged.subject
    ));
    let serial = relayca_ca::Serial::random().unwrap();
    bench.must(&format!(
        "openssl x509 -req -in forge.csr -CA forge-ca.pem -CAkey forge-ca.key -set_serial 0x{serial} -days {} -sha256 \
         -extfile forge.ext -out forged.pem",
        forged.days
    ));
    Certificate::from_pem(&bench.text("forged.pem")).unwrap()
}

/// What an authority of the profile states.
pub const FULL: &str = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";

/// A self-signed certificate that openssl makes; `name` and `extensions` as in its configuration, `how` for its command line.
pub fn made(bench: &Bench, name: &str, extensions: &str, how: &str) -> (Certificate, PrivateKey) {
    bench.put(
        "ca.cnf",
        format!("[req]\nprompt=no\ndistinguished_name=dn\n{name}\n[v3]\n{extensions}"),
    );
    let how = if how.contains("-new") {
        how.to_owned()
    } else {
        format!("-newkey rsa:2048 -sha256 {how}")
    };
    let extensions = if extensions.is_empty() {
        ""
    } else {
        "-extensions v3"
    };
    bench.must(&format!(
        "openssl req -x509 -nodes -keyout made.key -out made.pem -days 400 -config ca.cnf {extensions} {how}"
    ));
    made_read(bench)
}

/// What is in `made.pem` and `made.key`.
pub fn made_read(bench: &Bench) -> (Certificate, PrivateKey) {
    (
        Certificate::from_pem(&bench.text("made.pem")).unwrap(),
        PrivateKey::from_pem(&bench.text("made.key")).unwrap(),
    )
}
