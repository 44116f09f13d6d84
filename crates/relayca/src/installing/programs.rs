//! Running Postfix's own programs.
//!
//! In: a name and arguments. Out: what it said, bounded in size and time. It refuses to look into the user's PATH, because root
//! runs this, and to hand on our environment: a MAIL_CONFIG there would change what is done.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::printer::one_line;

/// Where they are looked for.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/opt/local/sbin", "/sbin"];
/// The most of an output that is taken.
const LONGEST: u64 = 4 << 20;
/// How long one may take: `postfix check` walks through the queue.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long its output may stay open behind it: a daemon that it started may hold it.
const OUTPUT: Duration = Duration::from_secs(2);
/// Lines of a complaint that are told.
const TOLD: usize = 5;

/// What a program said.
#[derive(Debug)]
pub struct Ran {
    /// Whether it ended well.
    pub ok: bool,
    /// On stdout.
    pub out: String,
    /// On stderr.
    pub err: String,
}

impl Ran {
    /// What it complained about, in a line.
    pub fn complaint(&self) -> String {
        let text = if self.err.trim().is_empty() {
            &self.out
        } else {
            &self.err
        };
        let lines: Vec<String> = text
            .lines()
            .map(|line| one_line(line.trim()))
            .filter(|line| !line.is_empty())
            .take(TOLD)
            .collect();
        if lines.is_empty() {
            "it said nothing".to_owned()
        } else {
            lines.join("; ")
        }
    }

    /// Itself, unless it failed.
    pub fn done(self, what: &str) -> Result<Self, Failure> {
        if self.ok {
            return Ok(self);
        }
        Err(
            Failure::new(format!("`{what}` failed: {}", self.complaint()))
                .hint("remove the cause and run it again"),
        )
    }
}

/// Where a program is.
pub fn find(name: &str) -> Option<PathBuf> {
    PLACES
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.is_file())
}

/// Runs a program of Postfix.
pub fn run(name: &str, arguments: &[&str]) -> Result<Ran, Failure> {
    let program = find(name).ok_or_else(|| {
        Failure::new(format!("there is no `{name}` on this system"))
            .hint("install Postfix first, or leave --apply out")
    })?;
    let failed = |error: std::io::Error| Failure::io("run", &program, &error);
    let mut child = Command::new(&program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        // Ctrl-C is for us alone: it must not end one in the middle, least of all on the way back.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Both are read at once: a full pipe would stop it.
    let out = child.stdout.take().map(read);
    let err = child.stderr.take().map(read);
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(
                    Failure::new(format!("`{name}` did not end within a minute"))
                        .hint("look at what holds it up, and run it again"),
                );
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    Ok(Ran {
        ok: status.success(),
        out: taken(out),
        err: taken(err),
    })
}

fn read(from: impl Read + Send + 'static) -> Receiver<String> {
    let (give, take) = channel();
    std::thread::spawn(move || {
        let mut from = from;
        let mut bytes = Vec::new();
        // What cannot be read is as if it had not been said.
        let _ = Read::by_ref(&mut from)
            .take(LONGEST)
            .read_to_end(&mut bytes);
        let _ = give.send(String::from_utf8_lossy(&bytes).into_owned());
        // The rest is drained, so that it ends.
        let _ = std::io::copy(&mut from, &mut std::io::sink());
    });
    take
}

fn taken(from: Option<Receiver<String>>) -> String {
    from.and_then(|from| from.recv_timeout(OUTPUT).ok())
        .unwrap_or_default()
}
