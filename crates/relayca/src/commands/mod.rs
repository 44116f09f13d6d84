//! One file a command. Each takes what the grammar gives and a [`crate::run::Run`], does its work through
//! the stages, and ends by saying what it did, where it lies, when it expires and the next step.

pub mod backup;
pub mod bundle;
pub mod check;
pub mod completions;
pub mod crl;
pub mod deploy;
pub mod explain;
pub mod fingerprint;
pub mod import;
pub mod init;
pub mod install;
pub mod issue;
pub mod lint;
pub mod list;
pub mod man;
pub mod map;
pub mod open;
pub mod passphrase;
pub mod passwd;
pub mod ports;
pub mod probe;
pub mod renew;
pub mod request;
pub mod restore;
pub mod retire;
pub mod revoke;
pub mod rollover;
pub mod show;
pub mod snippet;
pub mod uninstall;
pub mod verify;
