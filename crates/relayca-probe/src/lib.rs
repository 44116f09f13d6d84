//! Looking at the certificate that a live relay presents.
//!
//! In comes the address of a relay; out come the certificates it presents (DER, leaf first), its greeting and what TLS it
//! speaks. This crate refuses to know files, and refuses to judge: it records whatever certificate it is shown, and
//! therefore never sends mail. It has a socket and, for that, a clock.

#[doc(hidden)]
pub mod outside;
mod reply;
mod starttls;
mod tls;
mod wire;

pub use starttls::{Mode, Presented, ProbeError, Target, Timeouts, present};
