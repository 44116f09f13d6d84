//! Keys, the certificate profile, issuing, linting and verification for relayca.
//!
//! Enters: names and keys as text or bytes, the time as a value. Leaves: validated names, keys, certificates and findings.
//! Refuses to know: files, clocks, Postfix, and where a passphrase comes from.
//!
//! The way through it: a [`Domain`] and a [`KeyType`] make an [`Authority`]; the authority and a [`LeafRequest`] make a
//! [`Certificate`], linted before it is signed; [`verify`](verify()) judges any certificate against authorities. A [`NewCrl`]
//! makes a [`RevocationList`]. [`weaknesses`](weaknesses()) names what is odd about certificates from elsewhere.

mod authority;
mod certificate;
mod constraints;
mod crl;
mod der;
mod directory_name;
mod encrypted_key;
mod extensions;
mod finding;
mod inspect;
mod issue;
mod key;
mod key_type;
mod lint;
mod name;
mod old_encryption;
mod pem_block;
mod profile;
mod public_key;
mod reason;
mod request;
mod revocation;
mod role;
mod serial;
mod signer;
mod trial;
mod verify;
mod weakness;

pub use authority::{Authority, NewAuthority};
pub use certificate::{Certificate, CertificateError};
pub use crl::{CrlError, RevocationList, Revoked};
pub use finding::Finding;
pub use inspect::{InspectError, Inspected, InspectedKind, MAX_INPUT, spki_of};
pub use issue::{IssueError, LeafRequest, MAX_ALT_NAMES};
pub use key::{KeyError, PrivateKey};
pub use key_type::KeyType;
pub use lint::lint;
pub use name::{AltName, Domain, HostName, NameError};
pub use public_key::may_be_certified;
pub use reason::{Reason, ReasonError};
pub use request::{RequestError, RequestedKey, certificate_request, public_key_from_csr};
pub use revocation::{MAX_REVOKED, NewCrl};
pub use role::{Role, RoleError};
pub use serial::{Serial, SerialError};
pub use trial::self_signed;
pub use verify::verify;
pub use weakness::weaknesses;
