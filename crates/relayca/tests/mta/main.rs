//! Mail servers other than Postfix, the real ones: what is printed for them is pasted as it stands, and mail goes where it should and
//! nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod exim_relays;
mod exim_sends;
mod others;
mod scenario;
mod words;
