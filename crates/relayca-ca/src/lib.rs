//! Keys, the certificate profile, issuing, linting and verification for relayca.
//!
//! Enters: names and keys as text or bytes, the time as a value. Leaves: validated names, keys, certificates and findings.
//! Refuses to know: files, clocks, Postfix, and where a passphrase comes from.
//!
//! The way through it: a [`Domain`] and a [`KeyType`] make an [`Authority`]; the authority and a [`LeafRequest`] make a
//! [`Certificate`], linted before it is signed; [`verify`] judges any certificate against authorities.

mod authority;
mod certificate;
mod constraints;
mod der;
mod encrypted_key;
mod extensions;
mod finding;
mod inspect;
mod issue;
mod key;
mod key_type;
mod lint;
mod name;
mod pem_block;
mod profile;
mod public_key;
mod request;
mod role;
mod serial;
mod signer;
mod verify;

pub use authority::{Authority, NewAuthority};
pub use certificate::{Certificate, CertificateError};
pub use finding::Finding;
pub use inspect::{InspectError, Inspected, InspectedKind, MAX_INPUT, spki_of};
pub use issue::{IssueError, LeafRequest, MAX_ALT_NAMES};
pub use key::{KeyError, PrivateKey};
pub use key_type::KeyType;
pub use lint::lint;
pub use name::{AltName, Domain, HostName, NameError};
pub use request::{RequestError, RequestedKey, public_key_from_csr};
pub use role::{Role, RoleError};
pub use serial::{Serial, SerialError};
pub use verify::verify;
