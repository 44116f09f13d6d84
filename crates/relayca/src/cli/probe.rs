//! The grammar of `relayca probe`.
//!
//! In: arguments. Out: its options. It refuses to know how it does its work.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Looks at a relay step by step: address, greeting, EHLO, STARTTLS, TLS, the certificate against the domain's CA; with the
certificate of a mail host also MAIL and RCPT, without DATA. --matrix shows the relay every certificate that it must
refuse, and other things that must be closed. The certificates are made in memory from the authority, are valid for
days, and are in no file and no list. No message is ever sent unless --send says so.

Where the authority is not at hand (on the mail host): --ca-file, and --cert-file and --key-file for the host's own.

Exit codes: 0 all is as it must be; 3 warnings, or something could not be tried (it says what to give); 4 something is open that
must be closed, or the right certificate is refused; 1 no connection, 2 usage. --egress: 0 port 25 is open, 3 a server there is
unwelcoming or puts off, 4 it is blocked, or the relay cannot be reached.

Examples:
  relayca probe
  relayca probe relayhost:2500 --as mailhost -i key.txt
  relayca probe --matrix --as mailhost -i key.txt
  relayca probe relayhost.example.org --as mailhost --send me@example.net
  relayca probe relayhost.example.org --ca-file /etc/postfix/relayca/example.org-ca.crt.pem \\
    --cert-file /etc/postfix/relayca/mailhost.example.org.crt.pem --key-file /etc/postfix/relayca/mailhost.example.org.key.pem
  relayca probe --mx mx.example.org --submission mail.example.org --imaps mail.example.org
  relayca probe --egress")]
pub struct Probe {
    /// The relay: a name or an address, port 2500 unless told otherwise [default: the first of relayca.toml]
    #[arg(value_name = "RELAY[:PORT]", conflicts_with_all = LOOKS)]
    pub relay: Option<String>,
    /// Try everything that must be refused, and the right certificate, which must not
    #[arg(long, conflicts_with_all = SERVICES)]
    pub matrix: bool,
    /// The port speaks TLS at once (implicit TLS), not STARTTLS [default: `wrapper` in relayca.toml]
    #[arg(long)]
    pub wrapper: bool,
    /// The name that the relay's certificate must carry [default: RELAY, or as relayca.toml has it]
    #[arg(long, value_name = "NAME", conflicts_with_all = SERVICES)]
    pub name: Option<String>,
    /// Show the certificate of this mail host, from its bundle in the authority
    #[arg(long = "as", value_name = "HOST", conflicts_with = "cert_file", conflicts_with_all = SERVICES)]
    pub host: Option<String>,
    /// Show the certificate in this file (PEM), and further ones in it behind
    #[arg(long, value_name = "FILE", requires = "key_file", conflicts_with_all = SERVICES)]
    pub cert_file: Option<PathBuf>,
    /// Its private key (PEM, without a passphrase)
    #[arg(long, value_name = "FILE", requires = "cert_file", conflicts_with_all = SERVICES)]
    pub key_file: Option<PathBuf>,
    /// The CA certificates to judge the server by (PEM) [default: those of the authority]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The recipient of RCPT: an address that is not the relay's own [default: relayca-probe@example.com]
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// The sender of MAIL [default: postmaster@DOMAIN, or the first that the host is bound to]
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = SERVICES)]
    pub sender: Option<String>,
    /// Send one message to ADDRESS, if the relay's certificate is good
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["matrix", "recipient"])]
    pub send: Option<String>,
    /// Give up on a connection after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: u64,
    /// A public mail exchanger: STARTTLS on port 25; may be repeated, like the next ones
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Other services")]
    pub mx: Vec<String>,
    /// A submission service: STARTTLS on port 587, and AUTH not before it
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Other services")]
    pub submission: Vec<String>,
    /// A submission service with implicit TLS, port 465
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Other services")]
    pub submissions: Vec<String>,
    /// An IMAP service: STARTTLS on port 143
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Other services")]
    pub imap: Vec<String>,
    /// An IMAP service with implicit TLS, port 993
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Other services")]
    pub imaps: Vec<String>,
    /// A POP3 service: STLS on port 110
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Other services")]
    pub pop3: Vec<String>,
    /// A POP3 service with implicit TLS, port 995
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Other services")]
    pub pop3s: Vec<String>,
    /// Whether port 25 is open outwards, blocked, or answered by somebody else; and the relay's port
    #[arg(long, value_name = "HOST[:PORT]", num_args = 0..=1, default_missing_value = "", help_heading = "Other services")]
    pub egress: Option<String>,
    /// With --egress: also ask the relay on ports 465 and 587, which are seldom blocked
    #[arg(long, requires = "egress", help_heading = "Other services")]
    pub compare: bool,
}

/// The options of `probe` that name a service to look at. With --egress a relay may be named: is its port open outwards?
const LOOKS: [&str; 7] = [
    "mx",
    "submission",
    "submissions",
    "imap",
    "imaps",
    "pop3",
    "pop3s",
];

/// The options of `probe` that are about another service than the relay's.
const SERVICES: [&str; 8] = [
    "mx",
    "submission",
    "submissions",
    "imap",
    "imaps",
    "pop3",
    "pop3s",
    "egress",
];

impl Probe {
    /// Whether services of a mail server are to be looked at, not a relay's.
    pub fn is_about_services(&self) -> bool {
        [
            &self.mx,
            &self.submission,
            &self.submissions,
            &self.imap,
            &self.imaps,
            &self.pop3,
            &self.pop3s,
        ]
        .iter()
        .any(|hosts| !hosts.is_empty())
    }
}
