//! What can be wrong with the description of a host in a role, or of its ports, and the remedy.

use super::Role;
use crate::SnippetError;

/// A description that cannot be turned into a snippet. Nothing was rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoleError {
    /// A name, directory or port that is not plain.
    #[error(transparent)]
    Plain(#[from] SnippetError),
    /// A role that does not exist.
    #[error("`{0}` is not a role")]
    Role(String),
    /// A name of a certificate that is no plain directory name.
    #[error("`{0}` is not the name of a certificate of certbot")]
    CertificateName(String),
    /// A version of Dovecot whose settings are not known.
    #[error("`{0}` is not a version of Dovecot that can be configured")]
    DovecotVersion(String),
    /// A version of Dovecot for a role of Postfix.
    #[error("the role `{0}` has nothing to do with the version of Dovecot")]
    VersionOf(Role),
    /// A port for a role that has no single one.
    #[error("the port of the role `{0}` cannot be chosen")]
    PortOf(Role),
    /// Commands of Postfix for Dovecot.
    #[error("Dovecot has no `postconf`")]
    PostconfDovecot,
    /// A firewall that is not known.
    #[error("`{0}` is not a firewall that is known here")]
    Firewall(String),
    /// A role that has no ports.
    #[error("`{0}` is not a role with ports")]
    PortRole(String),
}

impl RoleError {
    /// The remedy, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Plain(error) => return error.hint(),
            Self::Role(_) => "choose one of mx, submission, submissions, dovecot",
            Self::CertificateName(_) => {
                "`certbot certificates` lists the names; write it like `mail.example.org`"
            }
            Self::DovecotVersion(_) => "choose 2.3 or 2.4, or leave it out: the script asks",
            Self::VersionOf(_) => "give it with --role dovecot, or leave it out",
            Self::PortOf(_) => "leave it out: only submission and submissions take another",
            Self::PostconfDovecot => "leave the style out: the block writes Dovecot a file",
            Self::Firewall(_) => "choose one of ufw, nftables, iptables, firewalld",
            Self::PortRole(_) => {
                "choose among relay, mailhost, mx, submission, submissions, imaps, pop3s, certbot"
            }
        };
        Some(text.to_owned())
    }
}
