//! relayca.toml as serde reads it.
//!
//! In: TOML. Out: its values with the defaults, not checked yet. Its names are the keys that people write; it refuses a key
//! that it does not know.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::DEFAULT_DAYS;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsFile {
    pub(super) domain: String,
    #[serde(default)]
    pub(super) relays: Vec<String>,
    #[serde(default)]
    pub(super) recipients: Vec<String>,
    #[serde(default)]
    pub(super) identities: Vec<String>,
    #[serde(default)]
    pub(super) certificates: CertificatesFile,
    #[serde(default)]
    pub(super) map: MapFile,
    #[serde(default)]
    pub(super) relay: RelayFile,
    #[serde(default)]
    pub(super) postfix: PostfixFile,
    #[serde(default)]
    pub(super) host: BTreeMap<String, HostFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CertificatesFile {
    pub(super) key: String,
    pub(super) days: u32,
}

impl Default for CertificatesFile {
    fn default() -> Self {
        Self {
            key: "p256".into(),
            days: DEFAULT_DAYS,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MapFile {
    pub(super) pin: String,
    pub(super) digest: String,
}

impl Default for MapFile {
    fn default() -> Self {
        Self {
            pin: "pubkey".into(),
            digest: "sha256".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RelayFile {
    pub(super) refusal: String,
    pub(super) wrapper: bool,
}

impl Default for RelayFile {
    fn default() -> Self {
        Self {
            refusal: "defer".into(),
            wrapper: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct PostfixFile {
    pub(super) config_directory: String,
    pub(super) style: String,
}

impl Default for PostfixFile {
    fn default() -> Self {
        Self {
            config_directory: "/etc/postfix".into(),
            style: "transport".into(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct HostFile {
    pub(super) senders: Option<Vec<String>>,
    pub(super) config_directory: Option<String>,
    pub(super) ssh: Option<String>,
    pub(super) sudo: bool,
    pub(super) host_key: Option<String>,
    pub(super) mta: Option<String>,
}
