//! The grammar of `relayca install` and `relayca uninstall`.
//!
//! In: arguments. Out: their options. It refuses to know how they do their work.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Run it as root on the host; no authority is needed. The bundle is opened by the host's SSH key (/etc/ssh/ssh_host_ed25519_key, \
then _rsa_key), by -i, or by its passphrase.

Without --apply only files are put into CONFIG/relayca. With it Postfix is told too: postconf, postmap, postfix check, reload, \
then the proof by a probe. If anything fails, all is as it was. A second run finds nothing to do; a newer bundle is an update.

Examples:
  relayca install mailhost.example.org.tar.age --apply --dry-run
  relayca install mailhost.example.org.tar.age --apply
  relayca install relayhost.example.org.public.tar --apply
  relayca install mailhost.example.org.tar.age --passphrase-file /run/secret --apply --no-probe
  relayca install mailhost.example.org.tar.age --root /mnt/image --apply")]
pub struct Install {
    /// HOST.tar.age, or HOST.public.tar after a renewal
    pub bundle: PathBuf,
    /// Tell Postfix as well
    #[arg(long)]
    pub apply: bool,
    /// Show what would change, as a diff, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Leave out the proof by a probe
    #[arg(long, requires = "apply")]
    pub no_probe: bool,
    /// Take a bundle that is older than what is installed, as after a `relayca restore`
    #[arg(long)]
    pub older: bool,
    /// Take a bundle of another CA than the installed one: the authority was made anew, or a rollover was missed here
    #[arg(long)]
    pub other_ca: bool,
    /// The root of another system (an image, a chroot): nothing is reloaded or probed there
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Postfix's configuration directory, as that system names it [default: `postconf -d config_directory`, /etc/postfix]
    #[arg(long, value_name = "DIR")]
    pub config_directory: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Settings that still have our value get the old one back, or go; files of ours go. What somebody changed since is named and stays.

Examples:
  relayca uninstall --apply --dry-run
  relayca uninstall --apply
  relayca uninstall mailhost.example.org --root /mnt/image --apply")]
pub struct Uninstall {
    /// Whose installation, where there are several
    pub host: Option<String>,
    /// Tell Postfix as well
    #[arg(long)]
    pub apply: bool,
    /// Show what would change, as a diff, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The root of another system (an image, a chroot): nothing is reloaded there
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Postfix's configuration directory, as that system names it [default: `postconf -d config_directory`, /etc/postfix]
    #[arg(long, value_name = "DIR")]
    pub config_directory: Option<String>,
}
