//! Keys, certificates and CA files: whether Postfix can load what it is told to, and who else can read it.
//!
//! Enters: a [`Subject`](super::Subject). Leaves: findings. Refuses to know: files, clocks; what is in them is told.

mod authorities;
mod certificates;
mod chains;
mod loading;
pub(in crate::rules) mod named;
mod pairs;
mod permissions;

pub(in crate::rules) use permissions::open_directory;

use super::Rule;

/// The rules.
pub(super) const RULES: &[Rule] = &[
    loading::FILE_RELATIVE,
    loading::FILE_MISSING,
    loading::FILE_IS_DIRECTORY,
    loading::CERTIFICATE_BEATEN,
    loading::CHAIN_AND_CERTIFICATE,
    pairs::SWAPPED,
    pairs::WITHOUT_CERTIFICATE,
    pairs::WITHOUT_KEY,
    pairs::MISMATCH,
    pairs::OUT_OF_ORDER,
    pairs::ENCRYPTED,
    chains::MISSING,
    chains::KEY_NOT_FIRST,
    chains::MISMATCH,
    chains::WITHOUT_CERTIFICATE,
    permissions::KEY_READABLE,
    permissions::KEY_GROUP_READABLE,
    permissions::KEY_WRITABLE,
    permissions::KEY_OWNER,
    permissions::DIRECTORY_WRITABLE,
    certificates::EXPIRED,
    certificates::NOT_YET_VALID,
    certificates::EXPIRES_SOON,
    certificates::NO_SERVER_USE,
    certificates::NO_CLIENT_USE,
    certificates::WEAK_KEY,
    certificates::OTHER_NAME,
    certificates::LEAF_ALONE,
    authorities::WITHOUT_ROOT,
    authorities::WITHOUT_CERTIFICATE,
    authorities::WITH_KEY,
    authorities::EXPIRED,
    authorities::OUTSIDE_JAIL,
];
