//! The grammar of `relayca ports`.
//!
//! In: arguments. Out: its options. It refuses to know how it does its work.

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --firewall: a table of what the host's firewall, and its provider's, must let in and out.
With it: one block for a root shell on a host that has all of these roles. SSH stays open in any case.

ufw, firewalld and iptables are told to let these ports through; nothing else is closed or switched on.
nftables gets a table of its own, which closes every other TCP port.

Examples:
  relayca ports
  relayca ports mailhost --json
  relayca ports mx submission submissions imaps certbot --firewall ufw
  relayca ports relay --firewall nftables --also 443")]
pub struct Ports {
    /// relay, mailhost, mx, submission, submissions, imaps, pop3s, dovecot (imaps and pop3s) or certbot
    /// [default: all]
    #[arg(value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Print the commands for ufw, nftables, iptables or firewalld
    #[arg(long, value_name = "FIREWALL", requires = "roles")]
    pub firewall: Option<String>,
    /// A port of SSH, beside those that the block finds on the host
    #[arg(long, value_name = "PORT", default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh: u16,
    /// A further TCP port to let in; may be repeated
    #[arg(long, value_name = "PORT", requires = "firewall", value_parser = clap::value_parser!(u16).range(1..))]
    pub also: Vec<u16>,
}
