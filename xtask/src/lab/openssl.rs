//! Certificates by the openssl command: good ones, and every kind of bad one. Enters: names and usages. Leaves: PEM files
//! and fingerprints. Refuses to know how relayca makes them: it is the other opinion.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// `clientAuth`: a mail host.
    Client,
    /// `serverAuth`: a relay.
    Server,
}

/// Runs openssl and gives its standard output.
///
/// # Errors
/// With what openssl said.
pub fn openssl(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .context("run openssl")?;
    if !output.status.success() {
        bail!(
            "openssl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// PEM, PKCS#8.
    pub key: PathBuf,
    /// PEM.
    pub certificate: PathBuf,
}

impl Certificate {
    /// A self-signed certificate, P-256, files `NAME.*.pem` in a directory.
    ///
    /// # Errors
    /// With what openssl said.
    pub fn self_signed(directory: &Path, name: &str) -> Result<Self> {
        let made = Self {
            key: directory.join(format!("{name}.key.pem")),
            certificate: directory.join(format!("{name}.crt.pem")),
        };
        let subject = format!("/CN={name}");
        let (key, certificate) = (text(&made.key), text(&made.certificate));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-sha256",
            "-days",
            "30",
            "-subj",
            &subject,
            "-addext",
            "extendedKeyUsage=clientAuth",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ])?;
        Ok(made)
    }

    /// SHA-256 of the public key (SPKI DER), as Postfix looks it up.
    ///
    /// # Errors
    /// With what openssl said.
    pub fn fingerprint(&self) -> Result<String> {
        let pem = self.certificate.with_extension("spki");
        let der = self.certificate.with_extension("spki.der");
        fs::write(
            &pem,
            openssl(&["x509", "-in", &text(&self.certificate), "-noout", "-pubkey"])?,
        )?;
        openssl(&[
            "pkey",
            "-pubin",
            "-in",
            &text(&pem),
            "-outform",
            "DER",
            "-out",
            &text(&der),
        ])?;
        let digest = String::from_utf8(openssl(&["dgst", "-sha256", "-c", &text(&der)])?)?;
        let (_, hex) = digest.trim().rsplit_once(' ').context("openssl dgst")?;
        Ok(hex.to_ascii_uppercase())
    }

    /// Puts key and certificate where relayca's snippets want them: `DIR/relayca/HOST.key.pem` and `.crt.pem`.
    ///
    /// # Errors
    /// Where they cannot be copied.
    pub fn install(&self, config_directory: &Path, host: &str) -> Result<()> {
        let directory = config_directory.join("relayca");
        fs::create_dir_all(&directory)?;
        fs::copy(&self.key, directory.join(format!("{host}.key.pem")))?;
        fs::copy(&self.certificate, directory.join(format!("{host}.crt.pem")))?;
        Ok(())
    }
}

/// A CA, P-256.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    own: Certificate,
}

impl Authority {
    /// Makes one in a directory of its own below `directory`.
    ///
    /// # Errors
    /// With what openssl said.
    pub fn create(directory: &Path, name: &str) -> Result<Self> {
        let directory = directory.join(name.replace(' ', "-"));
        fs::create_dir_all(&directory)?;
        let own = Certificate {
            key: directory.join("ca.key.pem"),
            certificate: directory.join("ca.crt.pem"),
        };
        let subject = format!("/CN={name}");
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-sha256",
            "-days",
            "3650",
            "-subj",
            &subject,
            "-addext",
            "basicConstraints=critical,CA:TRUE,pathlen:0",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            &text(&own.key),
            "-out",
            &text(&own.certificate),
        ])?;
        fs::write(directory.join("index.txt"), "")?;
        fs::write(
            directory.join("ca.cnf"),
            format!(
                "[ca]\ndefault_ca=d\n[d]\ndatabase={d}/index.txt\nnew_certs_dir={d}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n",
                d = directory.display()
            ),
        )?;
        Ok(Self { directory, own })
    }

    /// One that [`Authority::create`] made earlier.
    #[must_use]
    pub fn at(directory: &Path, name: &str) -> Self {
        let directory = directory.join(name.replace(' ', "-"));
        Self {
            own: Certificate {
                key: directory.join("ca.key.pem"),
                certificate: directory.join("ca.crt.pem"),
            },
            directory,
        }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.own.certificate
    }

    /// Puts its certificate where relayca's snippets want it: `DIR/relayca/DOMAIN-ca.crt.pem`.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn install(&self, config_directory: &Path, domain: &str) -> Result<()> {
        let directory = config_directory.join("relayca");
        fs::create_dir_all(&directory)?;
        fs::copy(
            &self.own.certificate,
            directory.join(format!("{domain}-ca.crt.pem")),
        )?;
        Ok(())
    }

    /// Issues a certificate for a host name, valid for the coming month.
    ///
    /// # Errors
    /// With what openssl said.
    pub fn issue(&self, host: &str, usage: Usage) -> Result<Certificate> {
        self.issue_between(host, usage, "20200101000000Z", "20991231235959Z")
    }

    /// Likewise, valid from and until given times (`YYYYMMDDHHMMSSZ`).
    ///
    /// # Errors
    /// With what openssl said.
    pub fn issue_between(
        &self,
        host: &str,
        usage: Usage,
        from: &str,
        until: &str,
    ) -> Result<Certificate> {
        // Several certificates of one name live side by side.
        let number = fs::read_dir(&self.directory)?.count();
        let made = Certificate {
            key: self.directory.join(format!("{number}.key.pem")),
            certificate: self.directory.join(format!("{number}.crt.pem")),
        };
        let (request, extensions) = (
            self.directory.join(format!("{number}.csr")),
            self.directory.join(format!("{number}.ext")),
        );
        let purpose = match usage {
            Usage::Client => "clientAuth",
            Usage::Server => "serverAuth",
        };
        fs::write(
            &extensions,
            format!(
                "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\nsubjectAltName=DNS:{host}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            ),
        )?;
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={host}"),
            "-keyout",
            &text(&made.key),
            "-out",
            &text(&request),
        ])?;
        openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            &text(&self.directory.join("ca.cnf")),
            "-cert",
            &text(&self.own.certificate),
            "-keyfile",
            &text(&self.own.key),
            "-in",
            &text(&request),
            "-out",
            &text(&made.certificate),
            "-startdate",
            from,
            "-enddate",
            until,
            "-extfile",
            &text(&extensions),
        ])?;
        Ok(made)
    }
}
