//! The grammar of `relayca deploy`.
//!
//! In: arguments. Out: its options. It refuses to know how it does its work.

use clap::{ArgGroup, Args};

#[derive(Debug, Args)]
#[command(after_help = "\
It runs the system's ssh, with your configuration, agent and known_hosts, as root@HOST or as relayca.toml says (`ssh`, `sudo`, \
`host-key` under [host.\"HOST\"]). A host needs sh, tar, sha256sum and Postfix, and age where its bundle is sealed to its own key.

On each host all is put in place and Postfix reloaded, or everything is as it was. A mail host's relays come first, named or not; \
where none of them can be brought up to date, the mail host is left alone. Hosts with another mail server than Postfix are skipped.

States: deployed, unchanged, failed (the host is as it was), skipped, unknown (the line broke; --status asks).
Exit codes: 0 all is in place, 3 a host is not but is as it was, 4 a relay is not, or a host is unknown.
With --status: 0 all is in place, 3 a host lags, 4 one could not be asked or its Postfix does not run.

Examples:
  relayca deploy mailhost
  relayca deploy --relays
  relayca deploy --all --jobs 16
  relayca deploy --status
  relayca deploy mailhost --host-key known_hosts
  relayca deploy mailhost --dry-run")]
#[command(group(
    ArgGroup::new("whom").args(["hosts", "relays", "all", "status"]).required(true).multiple(true)
))]
pub struct Deploy {
    /// Hosts that have a certificate
    #[arg(value_name = "HOST")]
    pub hosts: Vec<String>,
    /// All relays
    #[arg(long)]
    pub relays: bool,
    /// All relays, then all mail hosts
    #[arg(long, conflicts_with_all = ["hosts", "relays"])]
    pub all: bool,
    /// Ask the hosts named, or all, whether they have what they should, and change nothing
    #[arg(long)]
    pub status: bool,
    /// Print what would be sent and run, and reach no host
    #[arg(long, conflicts_with = "status")]
    pub dry_run: bool,
    /// Leave out the relays of a mail host
    #[arg(long, conflicts_with_all = ["relays", "all"])]
    pub no_relays: bool,
    /// Bring a relay a list that is older than the one it has, as after a `relayca restore`
    #[arg(long, conflicts_with = "status")]
    pub older: bool,
    /// Seal the bundle to the host's SSH key first: a file, a key in quotes, or `known_hosts`
    #[arg(long, value_name = "KEY", conflicts_with_all = ["status", "dry_run", "all"])]
    pub host_key: Option<String>,
    /// How hosts are reached
    #[command(flatten)]
    pub reach: SshOptions,
}

// How hosts are reached.
#[derive(Debug, Args)]
pub struct SshOptions {
    /// How many hosts at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// How long a host may take
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u32).range(5..=3600))]
    pub timeout: u32,
    /// The ssh to run, with its first options, in words without quotes
    #[arg(
        long,
        value_name = "COMMAND",
        env = "RELAYCA_SSH",
        default_value = "ssh"
    )]
    pub ssh: String,
}
