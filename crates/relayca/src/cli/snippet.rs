//! The grammar of `relayca snippet`.
//!
//! In: arguments. Out: its options. It refuses to know what is printed.

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
What is printed is one block for a root shell on that host. Pasting it twice changes nothing.

The mail server is what relayca.toml says, or Postfix; --mta says another for this print
(docs/OTHER-MTAS.md tells what each can do). Exim can also be the relay.

--role prints what a host needs beside relaying by certificate: mx (TLS on port 25, both
ways), submission (587) and submissions (465) for users by password, dovecot (IMAP, POP3,
and those passwords: paste it first). The certificate is one of Let's Encrypt (--cert-name;
no authority is needed) or, without, the one that this CA issued to a relay.

Examples:
  relayca snippet mailhost
  relayca snippet mailhost --style main
  relayca snippet mailhost --mta exim
  relayca snippet relayhost | ssh root@relayhost sh
  relayca snippet mail.example.org --role mx --cert-name mail.example.org
  relayca snippet --role submissions --cert-name mail.example.org --style postconf
  relayca snippet relayhost --role mx")]
pub struct Snippet {
    /// A mail host or a relay that has a certificate; with --cert-name the name that the certificate is for
    #[arg(required_unless_present = "cert_name")]
    pub host: Option<String>,
    /// transport (an own transport in master.cf), main (all in main.cf) or postconf (commands only);
    /// for a relay: transport or postconf; with --role: block or postconf
    #[arg(long, value_name = "STYLE")]
    pub style: Option<String>,
    /// Bind HOST's envelope senders for this print only: HOST=DOMAIN,ADDRESS…; relays only; may be
    /// repeated (relayca.toml keeps them for good)
    #[arg(long, value_name = "HOST=LIST", conflicts_with = "role")]
    pub senders: Vec<String>,
    /// Its mail server, for this print only: postfix, exim, opensmtpd, msmtp or nullmailer (relayca.toml
    /// keeps it for good)
    #[arg(long, value_name = "MTA", conflicts_with = "role")]
    pub mta: Option<String>,
    /// What the host is beside the pair: mx, submission, submissions or dovecot
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Its certificate is certbot's of this name: live/NAME/fullchain.pem and privkey.pem
    #[arg(long, value_name = "NAME", requires = "role")]
    pub cert_name: Option<String>,
    /// 2.3 or 2.4 [default: both; the block asks Dovecot which it is]
    #[arg(long, value_name = "VERSION", requires = "role")]
    pub dovecot_version: Option<String>,
    /// Another port than 587 or 465
    #[arg(long, value_name = "PORT", requires = "role", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Postfix's configuration directory on the host [default: as in relayca.toml, or /etc/postfix]
    #[arg(long, value_name = "DIR", requires = "role")]
    pub config_directory: Option<String>,
    /// Postfix's queue on the host, where Dovecot listens for it
    #[arg(
        long,
        value_name = "DIR",
        requires = "role",
        default_value = "/var/spool/postfix"
    )]
    pub queue_directory: String,
    /// Dovecot's configuration directory on the host
    #[arg(
        long,
        value_name = "DIR",
        requires = "role",
        default_value = "/etc/dovecot"
    )]
    pub dovecot_directory: String,
    /// certbot's directory on the host
    #[arg(
        long,
        value_name = "DIR",
        requires = "role",
        default_value = "/etc/letsencrypt"
    )]
    pub letsencrypt_directory: String,
}
