//! The grammar of the command line, and nothing else.
//!
//! In: arguments. Out: [`Cli`]. It refuses to know how a command does its work, and takes no secret:
//! passphrases come from a prompt, a file or a file descriptor.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod deploy;
mod explain;
mod install;
mod life;
mod lint;
mod ports;
mod probe;
mod snippet;

pub use deploy::{Deploy, SshOptions};
pub use explain::Explain;
pub use install::{Install, Uninstall};
pub use life::{
    Backup, Check, Crl, Import, Passwd, Renew, Request, Restore, Retire, Revoke, Rollover,
    RolloverStep,
};
pub use lint::Lint;
pub use ports::Ports;
pub use probe::Probe;
pub use snippet::Snippet;

const AFTER: &str = "\
Exit codes: 0 done, 1 failed, 2 usage; those that judge (`verify`, `check`,
`lint`, `probe`, `deploy`) also 3 (warnings, or not all could be tried or done)
and 4 (errors, does not hold); `explain --check` also 3 (mail does not flow).

Examples:
  relayca init example.org --recipient age1… -i ~/.config/age/key.txt
  relayca issue mailhost
  relayca snippet mailhost";

/// A private certificate authority with one job: letting the internal mail servers of a domain relay
/// through its internet-facing Postfix, proved by TLS client certificates.
#[derive(Debug, Parser)]
#[command(name = "relayca", version, about, after_help = AFTER, propagate_version = true)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The authority's directory [default: $XDG_DATA_HOME/relayca/DOMAIN]
    #[arg(
        long,
        global = true,
        env = "RELAYCA_DIR",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub dir: Option<PathBuf>,
    /// Which authority, where the default place holds several
    #[arg(
        long,
        global = true,
        value_name = "DOMAIN",
        help_heading = "Global options"
    )]
    pub domain: Option<String>,
    /// Print data as JSON (docs/JSON.md describes it)
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// No closing notes; warnings and errors stay
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// An age or SSH private key, or a passphrase-encrypted age identity; may be repeated
    #[arg(
        short,
        long,
        global = true,
        env = "RELAYCA_IDENTITY",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub identity: Vec<PathBuf>,
    /// Read the passphrase from the first line of FILE (`-` is standard input)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "passphrase_fd",
        help_heading = "Global options"
    )]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line of file descriptor N
    #[arg(long, global = true, value_name = "N", help_heading = "Global options")]
    pub passphrase_fd: Option<u32>,
}

/// The commands, in the order in which people meet them.
#[derive(Debug, Subcommand)]
// Only the command that is called builds its grammar: 0.2 ms less at every start. A comment on what it takes would then be said
// in the place of the one here, so those have none.
#[command(defer = true)]
pub enum Command {
    /// Make an authority: the CA, and a server certificate for each relay
    Init(Init),
    /// Issue certificates for mail hosts (or relays), each in a sealed bundle
    Issue(Issue),
    /// List the hosts and their certificates
    List(List),
    /// Show a host, a certificate by serial, or a certificate file
    Show(Show),
    /// Print relay_clientcerts: who may relay
    Map(Map),
    /// Print the fingerprint that Postfix looks up
    Fingerprint(Fingerprint),
    /// Print a host's Postfix settings, to be pasted into a root shell there
    Snippet(Snippet),
    /// Write a host's public pieces anew, or seal its bundle to other recipients
    Bundle(Bundle),
    /// Print the passphrase of a host's bundle, or of the CA key
    Passphrase(Passphrase),
    /// Open a bundle, check it and lay out its files
    Open(Open),
    /// Bring hosts up to date over ssh, relays first; or ask them whether they are
    Deploy(Deploy),
    /// On a host: put a bundle in place, and with --apply tell Postfix
    Install(Install),
    /// On a host: take back what `install` did
    Uninstall(Uninstall),
    /// Judge a certificate, or the authority itself (`verify ca`)
    Verify(Verify),
    /// Give hosts new certificates: for the same key, or with --rekey for a new one
    Renew(Renew),
    /// Take superseded certificates out of use, once their hosts have the new ones
    Retire(Retire),
    /// Withdraw a certificate for good: its host may no longer relay with it
    Revoke(Revoke),
    /// Print a certificate revocation list, newly signed
    Crl(Crl),
    /// Replace the CA by a new one, step by step, while mail flows
    Rollover(Rollover),
    /// On a host: make a key and a certificate request for `issue --csr`
    Request(Request),
    /// Change who opens the authority
    Passwd(Passwd),
    /// Look at everything: what expires, what does not fit, what does not open
    Check(Check),
    /// Prove that a relay lets in whom it should, and nobody else
    Probe(Probe),
    /// Find what is wrong with a Postfix's configuration, and how to mend it
    Lint(Lint),
    /// Say what Postfix's log means, and what to do
    Explain(Explain),
    /// Print which ports a role needs, and the firewall's commands
    Ports(Ports),
    /// Take over a CA made elsewhere: the Makefile's tree, easy-rsa, or a bare CA
    Import(Import),
    /// Write the whole authority into one sealed file
    Backup(Backup),
    /// Lay out an authority from a backup, in an empty place
    Restore(Restore),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page, or write all of them to a directory
    Man(Man),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without --recipient the authority is opened by an admin passphrase, asked for twice.

Examples:
  relayca init example.org
  relayca init example.org --recipient age1… -i key.txt
  relayca init example.org --relay relay1:2500 --relay vps.example.net:2500 --permit vps.example.net
  relayca init example.org --relay 192.0.2.7:2500 --permit 192.0.2.7 --passphrase-file /run/secret")]
pub struct Init {
    /// The mail domain; asked for on a terminal
    // Of another name than the option that every command takes.
    #[arg(id = "mail_domain", value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// A relay, HOST[:PORT] or ADDRESS[:PORT]; may be repeated [default: relayhost.DOMAIN:2500]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub relay: Vec<String>,
    /// A name or address outside the domain that this CA may certify; may be repeated
    #[arg(long, value_name = "NAME|IP")]
    pub permit: Vec<String>,
    /// Who opens the authority: age1…, ssh-ed25519 …, ssh-rsa … or age1PLUGIN1…; may be repeated
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Vec<String>,
    /// A file of recipients, one a line
    #[arg(long, value_name = "FILE")]
    pub recipients_file: Vec<PathBuf>,
    /// Seal the relays' bundles to this recipient (a relay's SSH host key, an age recipient)
    #[arg(long, value_name = "RECIPIENT")]
    pub seal_to: Vec<String>,
    /// The CA's key: p256, p384, ed25519, rsa2048, rsa3072 or rsa4096
    #[arg(long, value_name = "TYPE", default_value = "p256")]
    pub ca_key: String,
    /// Days that the CA is valid
    #[arg(long, value_name = "DAYS", default_value_t = 3652, value_parser = clap::value_parser!(u32).range(1..=36525))]
    pub ca_days: u32,
    /// Key type of the certificates, kept in relayca.toml
    #[arg(long, value_name = "TYPE", default_value = "p256")]
    pub key: String,
    /// The relays' mail server, kept in relayca.toml: postfix or exim
    #[arg(long, value_name = "MTA", default_value = "postfix")]
    pub mta: String,
    /// Where the relay and the mail hosts keep Postfix's configuration, kept in relayca.toml
    #[arg(long, value_name = "DIR", default_value = "/etc/postfix")]
    pub config_directory: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A host that has a certificate is never given another one silently: `relayca renew` is for that.
A line of the --from file is a host and options: `mailhost san=mail2.example.org seal-to=\"ssh-ed25519 AAAA…\"`;
the options are san=, seal-to=, senders=, key=, days= and mta=; `#` begins a comment.

Examples:
  relayca issue mailhost
  relayca issue mailhost --senders example.org --seal-to \"$(ssh-keyscan -t ed25519 mailhost 2>/dev/null | cut -d' ' -f2-)\"
  relayca issue --from hosts.txt
  relayca issue mailhost --csr mailhost.example.org.csr.pem
  relayca issue --relay relay2:2500")]
pub struct Issue {
    /// Hosts; a name without a dot gets the domain appended
    #[arg(required_unless_present = "from", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Read the hosts from FILE (`-` is standard input)
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Take the public key from this certificate request; the key stays on the host; one host only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seal_to", "key", "from"])]
    pub csr: Option<PathBuf>,
    /// They are relays (server certificates), HOST[:PORT]
    #[arg(long, conflicts_with = "senders")]
    pub relay: bool,
    /// A further name or address for the certificate; may be repeated; one host only
    #[arg(long, value_name = "NAME|IP")]
    pub san: Vec<String>,
    /// Seal the bundle to this recipient instead of a generated passphrase; may be repeated
    #[arg(long, value_name = "RECIPIENT")]
    pub seal_to: Vec<String>,
    /// Bind the host to these envelope senders: domains or addresses, comma-separated
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub senders: Vec<String>,
    /// Days of validity, never past the CA's [default: `days` in relayca.toml, 730]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36525))]
    pub days: Option<u32>,
    /// Key type [default: `key` in relayca.toml, p256]
    #[arg(long, value_name = "TYPE")]
    pub key: Option<String>,
    /// Its mail server, kept in relayca.toml: postfix, exim, opensmtpd, msmtp or nullmailer
    #[arg(long, value_name = "MTA")]
    pub mta: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  relayca list\n  relayca list --all --json")]
pub struct List {
    /// Also certificates that have expired, or were revoked or retired
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  relayca show mailhost\n  relayca show 4f1c0a…\n  relayca show /etc/postfix/relayca/mailhost.example.org.crt.pem"
)]
pub struct Show {
    /// A host, a serial or a certificate file
    #[arg(value_name = "HOST|SERIAL|FILE")]
    pub what: String,
}

/// Formats of relay_clientcerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MapFormat {
    /// Lines for postmap(1)
    Text,
    /// One `inline:{ … }` value for main.cf
    Inline,
    /// Lines for a texthash: table, which needs no postmap
    Texthash,
    /// JSON
    Json,
    /// Lines for Exim, which lists certificates
    Exim,
    /// A block to paste into a root shell on the relay: writes the map whole and runs postmap
    Paste,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Listed are certificates of mail hosts that are live and valid now, until the day of `renew --retire-after`.

Examples:
  relayca map
  relayca map --format paste | ssh root@relayhost sh
  relayca map --pin both --digest sha512")]
pub struct Map {
    /// The format
    #[arg(long, value_enum, default_value = "text")]
    pub format: MapFormat,
    /// What is listed: pubkey, cert or both [default: `pin` in relayca.toml, pubkey]
    #[arg(long, value_name = "PIN")]
    pub pin: Option<String>,
    /// md5, sha1, sha256, sha384 or sha512 [default: `digest` in relayca.toml, sha256]
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  relayca fingerprint mailhost.example.org.crt.pem
  relayca fingerprint --pin both --digest sha1 key.pem
  relayca fingerprint relayhost.example.org:2500")]
pub struct Fingerprint {
    /// Certificates, CSRs, public or private keys (PEM or DER, `-` is standard input), or HOST:PORT
    #[arg(required = true, value_name = "FILE|HOST:PORT")]
    pub what: Vec<String>,
    /// pubkey, cert or both
    #[arg(long, value_name = "PIN", default_value = "both")]
    pub pin: String,
    /// md5, sha1, sha256, sha384 or sha512
    #[arg(long, value_name = "DIGEST", default_value = "sha256")]
    pub digest: String,
    /// The port speaks TLS at once (implicit TLS), not STARTTLS
    #[arg(long)]
    pub wrapper: bool,
    /// Give up on HOST:PORT after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub timeout: u64,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without --seal-to: HOST.public.tar with the certificate, the CA certificate, the map (relays) and the
snippets; no key is in it, because the key went to the host. With --seal-to: the bundle with the key,
where the admins can open it, is sealed to other recipients.

Examples:
  relayca bundle relayhost
  relayca bundle mailhost --seal-to \"ssh-ed25519 AAAA…\" -i key.txt")]
pub struct Bundle {
    /// Hosts that have a certificate
    #[arg(required = true, value_name = "HOST")]
    pub hosts: Vec<String>,
    /// Seal to this recipient; may be repeated
    #[arg(long, value_name = "RECIPIENT")]
    pub seal_to: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  relayca passphrase mailhost\n  openssl pkey -in ca/ca.key.pem -noout -passin file:<(relayca passphrase ca)"
)]
pub struct Passphrase {
    /// A host, or `ca`
    #[arg(value_name = "HOST|ca")]
    pub what: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Stock tools do the same: age -d BUNDLE | tar -xf -

Examples:
  relayca open mailhost.example.org.tar.age -i /etc/ssh/ssh_host_ed25519_key -C /etc/postfix/relayca
  relayca open ~/.local/share/relayca/example.org/bundles/mailhost.example.org.tar.age")]
pub struct Open {
    /// A sealed bundle
    pub bundle: PathBuf,
    /// The directory to make; it must not exist or be empty [default: the bundle's host name]
    #[arg(short = 'C', long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 holds, 3 holds with warnings (unlisted, on an outgoing CA, expires within 30 days), 4 does not hold, 1 could not judge.

Examples:
  relayca verify ca
  relayca verify mailhost.example.org.crt.pem --role mailhost")]
pub struct Verify {
    /// A certificate file (PEM or DER), or `ca`: the CA certificate, its key and the sealed passphrase
    #[arg(value_name = "FILE|ca")]
    pub what: String,
    /// What it must be good for: mailhost (clientAuth) or relay (serverAuth)
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  relayca completions bash > /etc/bash_completion.d/relayca")]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  relayca man | man -l -\n  relayca man --out /usr/local/share/man/man1"
)]
pub struct Man {
    /// Write relayca.1 and a page for each command here
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let mut grammar = Cli::command();
        grammar.build();
        for command in grammar
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
        {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains("Examples:\n  relayca") || help.contains("Stock tools"),
                "{}",
                command.get_name()
            );
        }
    }
}
