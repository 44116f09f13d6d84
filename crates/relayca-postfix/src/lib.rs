//! What a Postfix must be told so that a mail host relays through a relay by client certificate.
//!
//! Enters: a description of the relay's service or of the mail host (names, ports, directories, senders).
//! Leaves: a [`Snippet`]: the main.cf and master.cf pieces, and a `sh` script that puts them in place.
//! Refuses to know: files, clocks, keys, the network. It renders text and nothing else.
//!
//! One text holds for Postfix 3.4 to 3.11. Every string that enters a piece or a script is checked against a strict
//! alphabet first ([`SnippetError`]), so nothing needs quoting and nothing can break out.

pub mod config;
mod error;
mod files;
mod lists;
pub mod log;
mod mail_host;
mod maps;
mod relay;
mod remote;
pub mod roles;
pub mod rules;
mod script;
mod setting;
mod troubleshooting;
pub mod validate;

pub use error::SnippetError;
pub use files::{NewFiles, files_script, files_script_between};
pub use lists::{LOCK, archived_maps_script, from_archive, is_no_directory, refuse_older_list};
pub use mail_host::{MailHost, NextHop, Style, mail_host_snippet};
pub use maps::{access_map_script, access_map_text, map_script};
pub use relay::{Refusal, RelayService, RelayStyle, SenderBinding, relay_snippet};
pub use remote::{HostScript, Sends, host_script};
pub use script::names_resolve;
pub use troubleshooting::troubleshooting;

/// The directory below Postfix's configuration directory in which everything of relayca lies.
pub const SUBDIRECTORY: &str = "relayca";

/// The map of client fingerprints that may relay, as a file name in [`SUBDIRECTORY`].
pub const CLIENT_MAP: &str = "relay_clientcerts";

/// The map from fingerprints to restrictions, used instead of [`CLIENT_MAP`] where senders are bound to hosts.
pub const ACCESS_MAP: &str = "relay_ccert_access";

/// What Postfix must be told, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The piece for main.cf, in its marked block, with comments; none where nothing of main.cf changes, or where the
    /// style is made of `postconf` commands.
    pub main_cf: Option<String>,
    /// The piece for master.cf, likewise.
    pub master_cf: Option<String>,
    /// What to paste, as root, into a shell: checks first, then puts the pieces in place, and puts the old files back
    /// if Postfix does not accept them.
    pub script: String,
    /// What the admin should know beforehand, one sentence each, for stderr.
    pub warnings: Vec<String>,
    /// What [`host_script`] makes its own script of.
    parts: script::Parts,
}

/// The file name of a host's private key in [`SUBDIRECTORY`].
#[must_use]
pub fn key_file(host: &str) -> String {
    format!("{host}.key.pem")
}

/// The file name of a host's certificate in [`SUBDIRECTORY`].
#[must_use]
pub fn certificate_file(host: &str) -> String {
    format!("{host}.crt.pem")
}

/// The file name of a domain's CA certificate in [`SUBDIRECTORY`].
#[must_use]
pub fn authority_file(domain: &str) -> String {
    format!("{domain}-ca.crt.pem")
}
