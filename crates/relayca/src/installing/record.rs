//! CONFIG/relayca/installed.json: what `install` did, and what was there before.
//!
//! In: its bytes. Out: [`Record`]. It refuses to hold a private key, and what it does not understand.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Its name.
pub const NAME: &str = "installed.json";
/// Of this form of it.
const FORMAT: u32 = 1;

/// All installations on one Postfix: it may be a relay for one domain and a mail host of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Of this form of it.
    pub format: u32,
    /// Whether CONFIG/relayca was made by `install`.
    pub made_directory: bool,
    /// By host.
    pub installations: Vec<Installation>,
}

/// One host's bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installation {
    /// The host that the certificate is for.
    pub host: String,
    /// The domain of the authority.
    pub domain: String,
    /// `relay` or `mailhost`.
    pub role: String,
    /// When it was first put there.
    pub installed_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Its files.
    pub files: Vec<File>,
    /// Databases that postmap made from them, by name.
    pub databases: Vec<String>,
    /// What was set in main.cf.
    pub main: Vec<Setting>,
    /// What was set in master.cf.
    pub services: Vec<Service>,
    /// main.cf as a whole.
    pub main_cf: Option<Whole>,
    /// master.cf as a whole.
    pub master_cf: Option<Whole>,
}

/// A file in CONFIG/relayca.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub name: String,
    /// The digest of what was written.
    pub sha256: String,
    /// Whether it lay there before, with the same bytes.
    pub kept: bool,
    /// What lay there before, of a public file unpacked by hand.
    pub was: Option<String>,
    /// The file in CONFIG/relayca that has the private key which lay there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A setting that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The parameter.
    pub name: String,
    /// Our value.
    pub value: String,
    /// The value before.
    pub was: Option<String>,
}

/// A service of master.cf that was written or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// As `postconf -P` names it.
    pub label: String,
    /// Whether it was not there before.
    pub made: bool,
    /// Its fields that were changed (`postconf -F`).
    pub fields: Vec<Setting>,
    /// Its options.
    pub options: Vec<Setting>,
}

/// A whole file: while nobody else has changed it since, its old bytes can come back as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    /// The name of the file in CONFIG/relayca that has the old bytes.
    pub before: String,
    /// The digest of those.
    pub was: String,
    /// The digest of the new ones.
    pub is: String,
}

impl Record {
    /// Nothing is installed.
    pub fn empty() -> Self {
        Self {
            format: FORMAT,
            made_directory: false,
            installations: Vec::new(),
        }
    }

    /// Reads it.
    pub fn parse(content: &[u8]) -> Result<Self, Failure> {
        let odd = || {
            Failure::new(format!("`{NAME}` is not what this relayca wrote"))
                .hint("a newer relayca may have written it: use that one")
        };
        let record: Self = serde_json::from_slice(content).map_err(|_| odd())?;
        let plain = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
                && name != "."
                && name != ".."
        };
        let names = record.installations.iter().flat_map(|one| {
            let files = one.files.iter().map(|file| file.name.as_str());
            let wholes = one.main_cf.iter().chain(&one.master_cf);
            let keys = one.files.iter().filter_map(|file| file.before.as_deref());
            files
                .chain(keys)
                .chain(one.databases.iter().map(String::as_str))
                .chain(wholes.map(|whole| whole.before.as_str()))
        });
        if record.format != FORMAT || !names.into_iter().all(plain) {
            return Err(odd());
        }
        Ok(record)
    }

    /// Its bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(format!("cannot write `{NAME}`: {error}")))?;
        text.push(b'\n');
        Ok(text)
    }

    /// The installation of a host.
    pub fn of(&self, host: &str) -> Option<&Installation> {
        self.installations.iter().find(|one| one.host == host)
    }
}

/// The setting of a name.
pub fn named<'a>(settings: &'a [Setting], name: &str) -> Option<&'a Setting> {
    settings.iter().find(|setting| setting.name == name)
}
