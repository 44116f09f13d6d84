//! Where the certificate of a server lies, and the shell that looks at it before anything is changed.
//!
//! Enters: the name that certbot has for it, or the host as our CA knows it. Leaves: paths and POSIX `sh`. Refuses to know
//! what is in the files.

use std::fmt::Write as _;

use super::RoleError;
use crate::{SUBDIRECTORY, certificate_file, key_file, validate};

/// Where a certificate comes from, and so where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerCertificate {
    /// Let's Encrypt, by certbot: `live/NAME/fullchain.pem` and `privkey.pem`.
    LetsEncrypt {
        /// certbot's directory, `/etc/letsencrypt` on most systems.
        directory: String,
        /// What `certbot certificates` calls it.
        name: String,
    },
    /// Our CA: the files of a relay's bundle, below Postfix's configuration directory.
    Authority {
        /// The domain of the authority.
        domain: String,
        /// The host, as its files are named.
        host: String,
        /// Postfix's configuration directory.
        config_directory: String,
    },
}

impl ServerCertificate {
    pub(super) fn check(&self) -> Result<(), RoleError> {
        match self {
            Self::LetsEncrypt { directory, name } => {
                validate::directory(directory)?;
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
                if name.is_empty()
                    || name.len() > 253
                    || name.starts_with(['.', '-'])
                    || !name.bytes().all(plain)
                {
                    return Err(RoleError::CertificateName(validate::shown(name)));
                }
            }
            Self::Authority {
                domain,
                host,
                config_directory,
            } => {
                validate::domain(domain)?;
                validate::host(host)?;
                validate::directory(config_directory)?;
            }
        }
        Ok(())
    }

    /// The certificate, and behind it those that lead to the root, where it has such.
    #[must_use]
    pub fn certificate(&self) -> String {
        match self {
            Self::LetsEncrypt { directory, name } => {
                format!("{directory}/live/{name}/fullchain.pem")
            }
            Self::Authority {
                host,
                config_directory,
                ..
            } => {
                format!(
                    "{config_directory}/{SUBDIRECTORY}/{}",
                    certificate_file(host)
                )
            }
        }
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::LetsEncrypt { directory, name } => format!("{directory}/live/{name}/privkey.pem"),
            Self::Authority {
                host,
                config_directory,
                ..
            } => {
                format!("{config_directory}/{SUBDIRECTORY}/{}", key_file(host))
            }
        }
    }

    /// What it is called in titles.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::LetsEncrypt { name, .. } => name,
            Self::Authority { host, .. } => host,
        }
    }

    /// What the admin should know of such a certificate.
    pub(super) fn warnings(&self, role: super::Role) -> Vec<String> {
        let Self::Authority { domain, .. } = self else {
            return Vec::new();
        };
        let who = match role {
            super::Role::Mx => {
                "other mail servers do not trust a private CA: most encrypt all the same, and whoever insists on a good certificate (MTA-STS) does not deliver; Let's Encrypt with --cert-name is for that".to_owned()
            }
            _ => format!(
                "mail programs do not trust a private CA: each refuses this certificate until {domain}-ca.crt.pem is installed in it; Let's Encrypt with --cert-name is for that"
            ),
        };
        let mut warnings = vec![who];
        if role == super::Role::Dovecot {
            warnings.push("a renewed certificate of this CA reaches Dovecot only by `doveadm reload`; the block that puts it in place reloads Postfix alone".to_owned());
        }
        warnings
    }

    /// Stops unless certificate and key are there, open, and belong together; warns of what is about to fail. Root reads them
    /// here, as Postfix and Dovecot do.
    pub(super) fn look(&self, host: Option<&str>) -> String {
        let (certificate, key) = (self.certificate(), self.key());
        let remedy = match self {
            Self::LetsEncrypt { name, .. } => {
                format!("certbot certonly makes it, with --cert-name {name}")
            }
            Self::Authority { host, .. } => format!("unpack the bundle of {host} there first"),
        };
        let mut text = format!(
            "\
certificate={certificate}
key={key}
for file in \"$certificate\" \"$key\"; do
  if [ -r \"$file\" ] && [ -s \"$file\" ]; then :; else stop \"$file is missing or cannot be read: {remedy}; nothing was changed\"; fi
done
case $(ls -ldL \"$key\") in
(-??????r*) say \"warning: $key can be read by every user: chmod 600\" ;;
esac
if command -v openssl > /dev/null; then
  of_key=$(openssl pkey -in \"$key\" -passin pass: -pubout 2> /dev/null) || stop \"$key is no private key, or has a passphrase, which no server can type; nothing was changed\"
  of_certificate=$(openssl x509 -in \"$certificate\" -noout -pubkey 2> /dev/null) || stop \"$certificate is no certificate; nothing was changed\"
  [ \"$of_key\" = \"$of_certificate\" ] || stop \"$certificate is not for the key in $key; nothing was changed\"
  openssl x509 -in \"$certificate\" -noout -checkend 0 > /dev/null || say \"warning: $certificate has expired\"
"
        );
        if let Some(host) = host {
            let _ = writeln!(
                text,
                "  case $(openssl x509 -in \"$certificate\" -noout -checkhost {host} 2> /dev/null) in
  (*NOT*) say \"warning: $certificate is not for the name {host}\" ;;
  esac"
            );
        }
        text.push_str("fi\n");
        text
    }
}
