//! Fingerprints of certificates and public keys, and the `relay_clientcerts` map made of them.
//!
//! In: DER bytes, and the host, serial and expiry they belong to. Out: what Postfix looks up, and the map that holds it,
//! in every format that Postfix reads.
//! Refuses to know: how certificates are made, which of them should be listed, files and clocks.

mod digest;
mod error;
mod map;
mod parse;

pub use digest::{Digest, Fingerprint, fingerprint};
pub use error::{LineProblem, MapError};
pub use map::{Entry, EntryKind, FingerprintMap, Listed, Pin, progress};
pub use parse::parse_text;
