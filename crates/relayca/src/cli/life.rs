//! The grammar of the commands for the years after the first day.
//!
//! In: arguments. Out: the options of each command. It refuses to know how they do their work.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::deploy::SshOptions;

#[derive(Debug, Args)]
#[command(after_help = "\
To renew is to certify the same key for longer: the relay's map does not change, and no secret is sent. To rekey
is to make a new key: both keys may relay until `relayca retire HOST`. --due takes the hosts whose certificates
expire within the time given, or hang on a CA that is being replaced.

Examples:
  relayca renew mailhost
  relayca renew --due --within 60d
  relayca renew --rekey mailhost --retire-after 14d")]
pub struct Renew {
    /// Hosts that have a certificate
    #[arg(required_unless_present = "due", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// All hosts whose certificates expire soon
    #[arg(long, conflicts_with = "hosts")]
    pub due: bool,
    /// What soon is, for --due: 60d, 8w [default: 60d, or the last third of a shorter life]
    #[arg(long, value_name = "TIME", requires = "due", conflicts_with = "hosts")]
    pub within: Option<String>,
    /// Make a new key; the old one may relay until it is retired
    #[arg(long)]
    pub rekey: bool,
    /// Take the old key out of the map after this time: 14d, 2w
    #[arg(long, value_name = "TIME", requires = "rekey")]
    pub retire_after: Option<String>,
    /// Seal the new key's bundle to this recipient instead of a generated passphrase; may be repeated
    #[arg(long, value_name = "RECIPIENT", requires = "rekey")]
    pub seal_to: Vec<String>,
    /// Type of the new key [default: `key` in relayca.toml]
    #[arg(long, value_name = "TYPE", requires = "rekey")]
    pub key: Option<String>,
    /// The new key is the one of this certificate request, made on the host; one host only
    #[arg(long, value_name = "FILE", requires = "rekey", conflicts_with_all = ["due", "seal_to", "key"])]
    pub csr: Option<PathBuf>,
    /// Days of validity, never past the CA's [default: `days` in relayca.toml]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36525))]
    pub days: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Of a host all but the newest live certificate are retired; by serial, that one. A retired certificate stays in the
inventory.

Examples:
  relayca retire mailhost
  relayca retire 4f1c0a7e…
  relayca retire --due")]
pub struct Retire {
    /// Hosts that use their new certificates by now, or serials of old ones
    #[arg(required_unless_present = "due", value_name = "HOST|SERIAL")]
    pub hosts: Vec<String>,
    /// All whose time by `renew --rekey --retire-after` has come
    #[arg(long, conflicts_with = "hosts")]
    pub due: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A host with several live certificates is never guessed about: they are listed, and named by serial, or all by
--all. While a certificate of the same key stays, the key may relay: such ones go together, unless the reason is
superseded; retired ones of that key go with them. Reasons: unspecified, keyCompromise, cACompromise, superseded,
cessationOfOperation, privilegeWithdrawn, affiliationChanged; key-compromise and the like will do.

Examples:
  relayca revoke mailhost --reason keyCompromise
  relayca revoke 4f1c0a7e… --reason superseded
  relayca revoke mailhost --all")]
pub struct Revoke {
    /// A host, or serials of certificates
    #[arg(required = true, value_name = "HOST|SERIAL")]
    pub what: Vec<String>,
    /// Why (RFC 5280 section 5.3.1)
    #[arg(long, value_name = "REASON", default_value = "unspecified")]
    pub reason: String,
    /// Every live certificate of the host
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Postfix reads no CRL: there the map decides, and `revoke` prints it. This is for Exim (tls_crl) and others. While an
old CA is outgoing there are two lists in the PEM text, one of each CA.

Examples:
  relayca crl > example.org.crl.pem
  relayca crl --days 14 --out /srv/www/example.org.crl.pem
  relayca crl --der --out example.org.crl")]
pub struct Crl {
    /// Days until the next list must be there
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3652))]
    pub days: u32,
    /// Write to FILE, replacing it whole, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// DER instead of PEM; with --out, and while there is one CA
    #[arg(long, requires = "out")]
    pub der: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
prepare makes the new CA and prints how every host learns to trust both. activate lets the new CA sign: renew every
host then. retire lets the old CA go, and refuses while a certificate in use still hangs on it; before activate it
gives up the prepared CA instead. Between two steps everything works, for as long as it takes.

Examples:
  relayca rollover
  relayca rollover prepare
  relayca rollover activate
  relayca rollover retire")]
pub struct Rollover {
    /// The step; without one: where the rollover stands
    #[command(subcommand)]
    pub step: Option<RolloverStep>,
}

// The steps of a rollover.
#[derive(Debug, Subcommand)]
pub enum RolloverStep {
    /// Make the new CA beside the old one
    #[command(
        after_help = "Examples:\n  relayca rollover prepare\n  relayca rollover prepare --ca-key p384 --ca-days 3652"
    )]
    Prepare {
        /// Its key type [default: the old one's]
        #[arg(long, value_name = "TYPE")]
        ca_key: Option<String>,
        /// Days that it is valid
        #[arg(long, value_name = "DAYS", default_value_t = 3652, value_parser = clap::value_parser!(u32).range(1..=36525))]
        ca_days: u32,
        /// A name or address outside the domain that the new CA may certify, beside those of the old one
        #[arg(long, value_name = "NAME|IP")]
        permit: Vec<String>,
    },
    /// Let the new CA sign from now on
    #[command(after_help = "Examples:\n  relayca rollover activate")]
    Activate,
    /// Let the old CA go; before activate: give up the prepared one
    #[command(after_help = "Examples:\n  relayca rollover retire")]
    Retire,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Needs no authority. The key stays here; only the request goes to the admin.

Examples:
  relayca request mailhost.example.org -C /etc/postfix/relayca
  relayca request mailhost.example.org --key ed25519")]
pub struct Request {
    /// The host's full name
    pub host: String,
    /// The directory for HOST.key.pem (0600) and HOST.csr.pem; made for its owner alone where it is missing [default: .]
    #[arg(short = 'C', long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Key type
    #[arg(long, value_name = "TYPE", default_value = "p256")]
    pub key: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With no option: lists who opens the authority. Everything that was sealed to the admins is opened and sealed anew to the
new ones; where that asks nobody, it is opened again and compared before the old files go. Who was removed may have kept
copies, and those still open: with --rotate, what they noted opens no newer copy of the CA key.

Examples:
  relayca passwd
  relayca passwd --add age1… --remove \"ssh-ed25519 AAAA…\"
  relayca passwd --new-passphrase
  relayca passwd --rotate")]
pub struct Passwd {
    /// Add a recipient: age1…, ssh-ed25519 …, ssh-rsa … or age1PLUGIN1…; may be repeated
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "new_passphrase")]
    pub add: Vec<String>,
    /// Remove a recipient; may be repeated
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "new_passphrase")]
    pub remove: Vec<String>,
    /// Set a new admin passphrase, asked for twice; takes the place of recipients, or of the old passphrase
    #[arg(long)]
    pub new_passphrase: bool,
    /// Read the new admin passphrase from the first line of FILE
    #[arg(long, value_name = "FILE", requires = "new_passphrase")]
    pub new_passphrase_file: Option<PathBuf>,
    /// Encrypt the CA keys anew under new random passphrases, too
    #[arg(long)]
    pub rotate: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 all is well, 3 warnings, 4 critical: mail stops or soon will, 1 it could not look, 2 usage.
Nothing is changed, and a user who may only read can run it: private files are for their owner alone, and a group may be
let in to read the rest (directories 0750, inventory.db, relayca.toml and *.public.tar 0640).
Without --open, of what is sealed only the headers are looked at.

A relay's or the CA's expiry stops all mail; a mail host's makes its own mail wait. Of a host only the newest
certificate counts. A revocation list, where one was ever made, is due when a third of its time is left.

Examples:
  relayca check
  relayca check --open -i key.txt
  relayca check --ask
  relayca check --json
  relayca check --prometheus --out /var/lib/prometheus/node-exporter/relayca.prom
  relayca check --systemd")]
pub struct Check {
    /// Warn of what expires within this time: 30d, 8w
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub within: String,
    /// What expires within this time is critical; at most --within
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub critical: String,
    /// Open all that is sealed to the admins, too (needs an identity or the passphrase)
    #[arg(long, conflicts_with = "systemd")]
    pub open: bool,
    /// Ask the hosts over ssh whether they have what they should, too
    #[arg(long, conflicts_with = "systemd")]
    pub ask: bool,
    /// How hosts are reached, for --ask
    #[command(flatten)]
    pub reach: SshOptions,
    /// Print metrics for node_exporter's textfile collector
    #[arg(long, conflicts_with = "systemd")]
    pub prometheus: bool,
    /// Write the metrics to FILE, replacing it whole, instead of standard output
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    pub out: Option<PathBuf>,
    /// Print a systemd service and timer that run this check each day
    #[arg(long)]
    pub systemd: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
DIR is only read. The CA is kept as it is, so that certificates it signed go on; its key is encrypted anew.

Examples:
  relayca import ./certs --ca-passphrase-file pass.txt --recipient age1… -i key.txt
  relayca import ./certs --ca-passphrase-gpg ~/.relayhost-mailhost-passphrase.gpg
  relayca import ./certs --mailhost mailhost --relay relay1:2500
  relayca import /etc/easy-rsa/pki --domain example.org")]
pub struct Import {
    /// The Makefile's certs/, an easy-rsa pki/, or a directory with a CA certificate and its key
    #[arg(value_name = "DIR")]
    pub from: PathBuf,
    /// The passphrase of the CA key in DIR is the first line of FILE
    #[arg(long, value_name = "FILE", conflicts_with = "ca_passphrase_gpg")]
    pub ca_passphrase_file: Option<PathBuf>,
    /// The passphrase of the CA key in DIR is in this gpg-encrypted file (runs gpg)
    #[arg(long, value_name = "FILE")]
    pub ca_passphrase_gpg: Option<PathBuf>,
    /// A relay, HOST[:PORT] or ADDRESS[:PORT]; may be repeated [default: the server certificates found]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub relay: Vec<String>,
    /// A host that may relay, where neither its certificate nor an old relay_clientcerts says so; may be repeated
    #[arg(long, value_name = "HOST")]
    pub mailhost: Vec<String>,
    /// Who opens the new authority; may be repeated; without one, an admin passphrase
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Vec<String>,
    /// A file of recipients, one a line
    #[arg(long, value_name = "FILE")]
    pub recipients_file: Vec<PathBuf>,
    /// Where the hosts keep Postfix's configuration, kept in relayca.toml
    #[arg(long, value_name = "DIR", default_value = "/etc/postfix")]
    pub config_directory: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file is sealed to those who open the authority, or to the recipients given. age and tar open it.

Examples:
  relayca backup example.org-2026-11-21.tar.age
  relayca backup /mnt/usb/relayca.tar.age --recipient age1…")]
pub struct Backup {
    /// The file to make; it must not exist
    pub file: PathBuf,
    /// Seal it to this recipient instead; may be repeated
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing that exists is ever overwritten: the place must be empty. Run `relayca check` after it.

Examples:
  relayca restore example.org-2026-11-21.tar.age -i key.txt
  relayca restore backup.tar.age --dir /srv/relayca -i key.txt")]
pub struct Restore {
    /// A backup
    pub file: PathBuf,
}
