//! Faults on real Postfixes, and what is logged of them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs
)]

mod clients;
mod faults;
mod lab;
mod mail_hosts;
mod relays;

pub use clients::CLIENTS;
pub use lab::Lab;
pub use mail_hosts::MAIL_HOSTS;
pub use relays::RELAYS;
