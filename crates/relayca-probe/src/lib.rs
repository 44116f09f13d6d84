//! Talking to a live mail server: what it says, what TLS it speaks, which certificates it shows and takes.
//!
//! In comes the address of a server; out come its replies, the certificates it presents (DER, leaf first) and what TLS it
//! speaks. This crate refuses to know files, and refuses to judge: it records whatever certificate it is shown, and sends a
//! message only to the holder of a certificate that the caller has judged. It has a socket and, for that, a clock.

mod dialogue;
pub mod egress;
mod error;
mod old_versions;
#[doc(hidden)]
pub mod outside;
mod present;
mod public_trust;
mod reply;
mod target;
mod tls;
mod wire;

pub use dialogue::{Dialogue, EHLO_NAME};
pub use error::ProbeError;
pub use old_versions::{OldAnswer, OldVersion};
pub use present::{Presented, present};
pub use public_trust::{Trust, TrustStore, bears_name, bears_public_marks, names_of, trust};
pub use reply::Reply;
pub use target::{Dial, Mode, Offers, Protocol, Target, Timeouts};
pub use tls::{ClientIdentity, Shown, TlsClient, TlsVersions};
pub use wire::{Attempt, ConnectFailure};
