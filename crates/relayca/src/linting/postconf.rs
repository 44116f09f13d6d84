//! Asking this system's own `postconf`.
//!
//! In: arguments. Out: what it printed, bounded in size and time. It refuses to run anything else, and to hand on our
//! environment: a MAIL_CONFIG there would change what is asked.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where `postconf` is looked for: not in the user's PATH, because root runs this.
const PLACES: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/opt/local/sbin", "/sbin"];
/// The most of its output that is taken.
const LONGEST: u64 = 1 << 20;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it said.
#[derive(Debug)]
pub struct Said {
    /// On stdout.
    pub out: String,
    /// On stderr.
    pub err: String,
}

/// Runs `postconf` with these arguments; nothing where there is none, or it does not end.
pub fn postconf(arguments: &[&str]) -> Option<Said> {
    let program = PLACES
        .iter()
        .map(|place| Path::new(place).join("postconf"))
        .find(|path| path.is_file())?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let out = child.stdout.take()?;
    let err = child.stderr.take()?;
    // Both are read at once: a full pipe would stop it.
    let out = std::thread::spawn(move || text(out));
    let err = std::thread::spawn(move || text(err));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().ok()? {
            Some(status) => break Some(status),
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let said = Said {
        out: out.join().ok()?,
        err: err.join().ok()?,
    };
    status.map(|_| said)
}

fn text(from: impl Read) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is as if it had not been said.
    let mut from = from;
    let _ = Read::by_ref(&mut from)
        .take(LONGEST)
        .read_to_end(&mut bytes);
    // The rest is drained, so that it ends.
    let _ = std::io::copy(&mut from, &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}
