//! One command on one host by the system's ssh.
//!
//! In: where to, a script, what follows it. Out: what was said, bounded in size and time. It refuses to know what the script does.
//! The script and what follows go through ssh's standard input: neither is in an argument, the environment or a file.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cli::SshOptions;
use crate::failure::Failure;
use crate::process;
use crate::secrets;
use crate::settings::Login;

/// The most of an answer that is kept.
const LONGEST_ANSWER: usize = 256 << 10;
/// The most of ssh's own words, and of the host's complaints.
const LONGEST_COMPLAINT: usize = 16 << 10;
/// A host that says more than this is not listened to any longer.
const TOO_MUCH: usize = 4 << 20;
/// How long output may stay open behind ssh: a connection that is kept for others holds it.
const OUTPUT: Duration = Duration::from_secs(2);

/// How ssh is run.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// The program and its first arguments.
    pub command: Vec<String>,
    /// Whether it may ask on the terminal.
    pub may_ask: bool,
    /// How long a host may take.
    pub patience: Duration,
}

/// A host as ssh reaches it.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Where to.
    pub login: Login,
    /// Whether root is reached by sudo.
    pub sudo: bool,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exit(Option<i32>),
    /// Its time was over.
    TimedOut,
    /// It said too much.
    TooMuch,
    /// Somebody interrupted us.
    Interrupted,
    /// ssh could not be run.
    NotRun(String),
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// On stdout.
    pub out: String,
    /// On stderr.
    pub err: String,
    /// How it ended.
    pub end: End,
    /// Whether ssh took all that was to be sent.
    pub sent: bool,
}

impl Ssh {
    /// What is to be run to reach so many hosts. It may ask on a terminal where there is one host only.
    pub fn of(options: &SshOptions, hosts: usize) -> Result<Self, Failure> {
        let command: Vec<String> = options.ssh.split_whitespace().map(str::to_owned).collect();
        if command.is_empty() {
            return Err(Failure::usage("--ssh names no command").hint("as in --ssh 'ssh -F FILE'"));
        }
        Ok(Self {
            command,
            may_ask: hosts == 1 && secrets::on_terminal(),
            patience: Duration::from_secs(u64::from(options.timeout)),
        })
    }

    /// The whole command line.
    pub fn line(&self, to: &Destination, script: &str) -> Vec<String> {
        let mut words = self.command.clone();
        let mut option = |text: &str| words.extend(["-o".to_owned(), text.to_owned()]);
        if !self.may_ask {
            option("BatchMode=yes");
        }
        // A dead line is noticed; nothing of the admin's machine is lent to the host; the command is ours.
        for text in [
            "ConnectTimeout=15",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
            "ForwardAgent=no",
            "ForwardX11=no",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
        ] {
            option(text);
        }
        words.push("-T".to_owned());
        if let Some(port) = to.login.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &to.login.user {
            words.extend(["-l".to_owned(), user.clone()]);
        }
        words.extend(["--".to_owned(), to.login.host.clone()]);
        // One byte at a time, so that what follows the script is left for it. Any login shell reads this line.
        let sudo = if to.sudo { "sudo -n " } else { "" };
        words.push(format!(
            "exec {sudo}sh -c 'eval \"$(dd bs=1 count={} 2>/dev/null)\"'",
            script.len()
        ));
        words
    }

    /// Runs a script there, with `payload` behind it on its standard input.
    pub fn run(&self, to: &Destination, script: &str, payload: &[u8]) -> Ran {
        let words = self.line(to, script);
        let not_run = |why: String| Ran {
            out: String::new(),
            err: String::new(),
            end: End::NotRun(why),
            sent: false,
        };
        let Some((program, arguments)) = words.split_first() else {
            return not_run("no command was named".to_owned());
        };
        let mut child = match Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        {
            Ok(child) => child,
            Err(error) => return not_run(format!("`{program}`: {error}")),
        };
        let said = Arc::new(AtomicUsize::new(0));
        let out = child
            .stdout
            .take()
            .map(|from| Heard::of(from, LONGEST_ANSWER, &said));
        let err = child
            .stderr
            .take()
            .map(|from| Heard::of(from, LONGEST_COMPLAINT, &said));
        let stdin = child.stdin.take();
        let (end, sent) = std::thread::scope(|scope| {
            let sent = scope.spawn(move || {
                // A host that ended early closes the pipe; its words tell the rest.
                stdin.is_some_and(|mut stdin| {
                    stdin
                        .write_all(script.as_bytes())
                        .and_then(|()| stdin.write_all(payload))
                        .is_ok()
                })
            });
            (self.wait(&mut child, &said), sent.join().unwrap_or(true))
        });
        Ran {
            out: out.map(Heard::text).unwrap_or_default(),
            err: err.map(Heard::text).unwrap_or_default(),
            end,
            sent,
        }
    }

    fn wait(&self, child: &mut Child, said: &AtomicUsize) -> End {
        let start = Instant::now();
        loop {
            let end = match child.try_wait() {
                Ok(Some(status)) => return End::Exit(status.code()),
                Ok(None) if process::interrupted() => End::Interrupted,
                Ok(None) if start.elapsed() > self.patience => End::TimedOut,
                Ok(None) if said.load(Ordering::Relaxed) > TOO_MUCH => End::TooMuch,
                Ok(None) => {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                Err(error) => End::NotRun(error.to_string()),
            };
            let _ = child.kill();
            let _ = child.wait();
            return end;
        }
    }
}

/// What is read from a pipe by a thread of its own.
struct Heard {
    kept: Arc<Mutex<Vec<u8>>>,
    over: Receiver<()>,
    stop: Arc<AtomicBool>,
}

impl Heard {
    fn of(mut from: impl Read + Send + 'static, longest: usize, said: &Arc<AtomicUsize>) -> Self {
        let (give, over) = channel();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (into, said, stopped) = (Arc::clone(&kept), Arc::clone(said), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(number @ 1..) = from.read(&mut buffer) {
                said.fetch_add(number, Ordering::Relaxed);
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                let room = longest.saturating_sub(kept.len()).min(number);
                kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
            let _ = give.send(());
        });
        Self { kept, over, stop }
    }

    fn text(self) -> String {
        let _ = self.over.recv_timeout(OUTPUT);
        self.stop.store(true, Ordering::Relaxed);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

/// Does the same with each, a few at once, each in a thread of its own; the results in the order of the items.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
