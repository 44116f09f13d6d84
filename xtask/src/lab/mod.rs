//! Real Postfixes to try things on, several at once, each with its own directories and ports on 127.0.0.1.
//!
//! Enters: what an instance should be like ([`Setup`]). Leaves: a running Postfix ([`Instance`]), an internet to relay to
//! ([`Sink`]), and certificates made by the openssl command ([`openssl::Authority`]), so that tests have a judge that
//! is not ours. Refuses to know relayca: no crate of the project is used here.
//!
//! ```no_run
//! use std::time::Duration;
//! use xtask::lab::{self, Port, Setup, Sink};
//!
//! lab::available().map_err(anyhow::Error::msg)?;
//! let internet = Sink::start()?;
//! let port = Port::reserve()?; // for the relay's service
//! let relay = Setup::new("relay.example.org").relays_to(&internet).start()?;
//! let mail_host = Setup::new("mail.example.org").knows("relay.example.org").start()?;
//! // Put files into relay.config().join("relayca"), paste the scripts, then:
//! let pasted = relay.paste("( postfix check )")?;
//! assert_eq!(pasted.status, 0, "{}", pasted.stderr);
//! mail_host.send("info@example.org", "someone@example.net", "hello")?;
//! internet.wait_for(1, Duration::from_secs(10))?;
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! An instance is stopped when it is dropped, also when a test panics. Everything lies in a temporary directory. Only root
//! can run Postfix: ask [`available`] first. Host names are given to an instance by [`Setup::knows`], in an `/etc/hosts`
//! of its own (a mount namespace), so nothing outside the temporary directory changes.
//!
//! A [`Machine`] has mail servers that cannot be installed beside Postfix.
//!
//! A [`Dovecot`] stands beside it for IMAP, POP3 and passwords, an [`Sshd`] for who comes from outside.
//!
//! Another version of Postfix is a [`Tree`], for example one made by `debootstrap`: `Setup::new(..).tree(Tree::at(..))`
//! runs all commands of the instance in it.

mod dovecot;
mod instance;
mod machine;
pub mod openssl;
mod port;
mod setup;
mod sink;
pub mod sshd;
mod suites;
mod tree;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub use dovecot::{Dovecot, DovecotSetup};
pub use instance::Instance;
pub use machine::Machine;
pub use port::Port;
pub use setup::Setup;
pub use sink::{Message, Sink};
pub use sshd::Sshd;
pub use suites::{SUITES, Suite};
pub use tree::{Pasted, Tree, paste};

/// Whether this machine can run the lab: root, Postfix, openssl, `unshare`, and no refusal to mount.
///
/// # Errors
/// What is missing, in one line.
pub fn available() -> Result<(), String> {
    tree::available()
}

/// Whether it can run Postfixes that lie in trees: root, `unshare`, and no refusal to mount.
///
/// # Errors
/// What is missing, in one line.
pub fn can_mount() -> Result<(), String> {
    tree::can_mount()
}

/// Waits until `condition` holds, asking again every few milliseconds.
///
/// # Errors
/// After `deadline`, an error that names `what` was waited for.
pub fn wait_for(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    loop {
        if condition() {
            return Ok(());
        }
        if start.elapsed() > deadline {
            bail!("waited {deadline:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(15));
    }
}
