//! Ports that no other test has. Enters: nothing. Leaves: a number that stays ours while the value lives.

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;

use anyhow::{Context as _, Result, bail};

/// Below the range from which systems take ports for outgoing connections.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port on 127.0.0.1 reserved against the other tests of this machine by a lock, which ends with the process at the
/// latest. Nothing listens on it yet.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    /// Where the lock directory cannot be used, or no port is left.
    pub fn reserve() -> Result<Self> {
        let directory = std::env::temp_dir().join("relayca-lab-ports");
        fs::create_dir_all(&directory)
            .with_context(|| format!("create {}", directory.display()))?;
        // Start somewhere else in every process, to collide seldom.
        let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(COUNT))?;
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(directory.join(number.to_string()))?;
            if lock.try_lock().is_err() {
                continue;
            }
            if TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self {
                    number,
                    _lock: lock,
                });
            }
        }
        bail!("no free port from {FIRST} on")
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}
