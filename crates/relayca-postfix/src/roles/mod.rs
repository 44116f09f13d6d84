//! Roles beyond the relay pair: the public MX, submission, and Dovecot for IMAP, POP3 and passwords; and the ports of all.
//!
//! Enters: a role and where its certificate lies ([`RoleHost`]). Leaves: [`RoleSnippet`]: pieces of main.cf and master.cf, or
//! of Dovecot's configuration, the hook for certbot, and a script that puts them in place. Refuses to know: keys, files,
//! whether the certificate is any good (the script looks).

mod certificate;
mod dovecot;
mod error;
mod firewall;
mod hook;
mod paste;
mod ports;
mod postfix;

use std::fmt;
use std::str::FromStr;

use crate::RelayStyle;
use crate::validate;

pub use certificate::ServerCertificate;
pub use dovecot::DovecotVersion;
pub use error::RoleError;
pub use firewall::{Firewall, firewall_script};
pub use hook::Hook;
pub use ports::{PortRole, PortRule, Protocols, RelayPort, Way, port_rules};

/// What a host does beside relaying by certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes mail from anybody on port 25, and delivers to anybody: opportunistic TLS both ways.
    Mx,
    /// Takes mail from users on port 587, by STARTTLS and password (RFC 6409).
    Submission,
    /// Takes mail from users on port 465, by implicit TLS and password (RFC 8314).
    Submissions,
    /// Dovecot: IMAP and POP3 over TLS, and the passwords for submission.
    Dovecot,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Mx, Self::Submission, Self::Submissions, Self::Dovecot];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mx => "mx",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Dovecot => "dovecot",
        })
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| RoleError::Role(validate::shown(text)))
    }
}

/// A host in a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleHost {
    /// What it does.
    pub role: Role,
    /// The name by which others know it, if that is to be looked for in the certificate.
    pub host: Option<String>,
    /// Where its certificate and key lie.
    pub certificate: ServerCertificate,
    /// Postfix's configuration directory, `/etc/postfix` on most systems.
    pub config_directory: String,
    /// Postfix's queue, in which Dovecot listens; `/var/spool/postfix` on most systems. For Dovecot alone.
    pub queue_directory: String,
    /// Dovecot's configuration directory, `/etc/dovecot` on most systems. For Dovecot alone.
    pub dovecot_directory: String,
    /// The Dovecot that it is for; without, the script asks. For Dovecot alone.
    pub dovecot_version: Option<DovecotVersion>,
    /// Another port than the usual one of submission or submissions.
    pub port: Option<u16>,
    /// How Postfix is told. Dovecot has blocks only.
    pub style: RelayStyle,
}

/// What a host must be told, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSnippet {
    /// The piece for main.cf in its marked blocks, with comments; none in the style of commands, and none for Dovecot.
    pub main_cf: Option<String>,
    /// The piece for master.cf, likewise.
    pub master_cf: Option<String>,
    /// The file for Dovecot, in the words of each version that was asked for.
    pub dovecot: Vec<(DovecotVersion, String)>,
    /// What certbot is to run after a renewal; none for a certificate of our own CA.
    pub hook: Option<Hook>,
    /// What to paste, as root, into a shell: checks first, then puts all in place, and puts the old files back if it is not
    /// accepted.
    pub script: String,
    /// What the admin should know beforehand, one sentence each, for stderr.
    pub warnings: Vec<String>,
}

/// Renders what a host in a role is told.
///
/// # Errors
/// [`RoleError`] where a name, directory or port is not plain, or the style does not fit the role.
pub fn role_snippet(host: &RoleHost) -> Result<RoleSnippet, RoleError> {
    host.certificate.check()?;
    if let Some(name) = &host.host {
        validate::host(name)?;
    }
    for directory in [
        &host.config_directory,
        &host.queue_directory,
        &host.dovecot_directory,
    ] {
        validate::directory(directory)?;
    }
    if let Some(port) = host.port {
        if !matches!(host.role, Role::Submission | Role::Submissions) {
            return Err(RoleError::PortOf(host.role));
        }
        validate::port(port)?;
    }
    if host.role == Role::Dovecot {
        if host.style == RelayStyle::Postconf {
            return Err(RoleError::PostconfDovecot);
        }
        return Ok(dovecot::snippet(host));
    }
    if host.dovecot_version.is_some() {
        return Err(RoleError::VersionOf(host.role));
    }
    Ok(postfix::snippet(host))
}
