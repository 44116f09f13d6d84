//! The grammar of `relayca lint`.
//!
//! In: arguments. Out: its options. It refuses to know how it does its work.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is changed: --fix prints commands for a root shell and runs none. Run it as root to have keys judged; as an
ordinary user what cannot be read is named, and not taken for a fault.

Exit codes: 0 nothing above a note, 3 warnings, 4 errors.

Examples:
  relayca lint
  relayca lint --fix
  relayca lint --rule key-does-not-match
  relayca lint --root /mnt/backup --postfix 3.5
  relayca lint --main-cf main.cf --master-cf master.cf --postfix 3.7 --map-types hash,lmdb
  relayca lint --sarif > lint.sarif")]
pub struct Lint {
    /// Postfix's configuration directory [default: /etc/postfix]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Read this file as main.cf
    #[arg(long, value_name = "FILE", conflicts_with = "directory")]
    pub main_cf: Option<PathBuf>,
    /// Read this file as master.cf
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "directory",
        requires = "main_cf"
    )]
    pub master_cf: Option<PathBuf>,
    /// Look up every absolute path below this directory: a chroot, a mounted backup
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The version of Postfix to judge for, as 3.7 [default: that of the host]
    #[arg(long, value_name = "VERSION")]
    pub postfix: Option<String>,
    /// The map types that the host has, as `postconf -m` prints them [default: those of the host]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub map_types: Vec<String>,
    /// Leave out the findings of this rule; may be repeated
    #[arg(long, value_name = "ID")]
    pub ignore: Vec<String>,
    /// Print the commands that mend what was found
    #[arg(long, conflicts_with = "sarif")]
    pub fix: bool,
    /// Print SARIF 2.1.0, for code scanners and editors
    #[arg(long)]
    pub sarif: bool,
    /// List the rules
    #[arg(long, conflicts_with_all = ["fix", "sarif", "rule"])]
    pub rules: bool,
    /// Say what one rule is about
    #[arg(long, value_name = "ID", conflicts_with_all = ["fix", "sarif"])]
    pub rule: Option<String>,
}
