//! The grammar of `relayca explain`.
//!
//! In: arguments. Out: its options. It refuses to know how it does its work.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Reads what syslog, rsyslog, Postfix's own maillog_file and journalctl (-o short, short-iso, short-precise, cat, json)
write, of Postfix 3.4 to 3.11, on the relay and on the mail hosts. Where the authority is at hand, hosts are named by
the fingerprints in the log; those need smtpd_tls_loglevel = 2 on the relay's service. Without one, names are Postfix's.
Times are shown as the log has them.

--follow begins at the end of the log, or with --since at that time; Ctrl-C ends it with the summary.

Exit codes: 0 read; with --check 3 where mail is refused, waits or bounces at the end.

Examples:
  relayca explain
  relayca explain /var/log/mail.log.1 /var/log/mail.log --since 2d
  relayca explain --follow --host mailhost.example.org
  zcat /var/log/mail.log.*.gz | relayca explain -
  journalctl -u 'postfix*' -o short-iso --since today | relayca explain -
  journalctl -f -u 'postfix*' -o json | relayca explain - --follow")]
pub struct Explain {
    /// Logs, the oldest first (`-` is standard input) [default: /var/log/mail.log, /var/log/maillog]
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// Wait for more, and say of each session what became of it as it ends
    #[arg(short, long)]
    pub follow: bool,
    /// Leave out what is older: a time as 2026-11-21T09:00, or a span as 2h, 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Leave out other hosts than this one: a name, or an address
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Also what has nothing to do with relaying by certificate: strangers, and servers of the world
    #[arg(long)]
    pub all: bool,
    /// Exit with 3 where mail is refused, waits or bounces at the end
    #[arg(long, conflicts_with = "follow")]
    pub check: bool,
}
