//! A person at a real terminal: a pseudo-terminal is a program's standard streams and its controlling
//! terminal.
//!
//! In: a command, and what the person types when something appears. Out: all that was shown, and the exit
//! code. It refuses to know what the program is.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// How long anything may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program on a terminal.
pub struct Terminal {
    master: File,
    /// Kept open, so that the terminal outlives the program and can be asked for its echo.
    slave: File,
    child: Child,
    chunks: Receiver<Vec<u8>>,
    shown: String,
    seen: usize,
}

impl Terminal {
    /// Runs `command` with the terminal as its standard streams.
    pub fn run(command: &Command) -> Self {
        Self::run_with(command, |_| {})
    }

    /// The same; `change` may replace a stream.
    pub fn run_with(command: &Command, change: impl FnOnce(&mut Command)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = OsString::from_vec(ptsname(&master, Vec::new()).unwrap().into_bytes());
        let slave = File::options()
            .read(true)
            .write(true)
            .custom_flags_noctty()
            .open(name)
            .unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).unwrap();
        // setsid --ctty makes the terminal the controlling one, which needs no unsafe code here.
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .env("TERM", "xterm");
        on_terminal.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if let Some(directory) = command.get_current_dir() {
            on_terminal.current_dir(directory);
        }
        on_terminal
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave.try_clone().unwrap());
        change(&mut on_terminal);
        let child = on_terminal.spawn().unwrap();
        let master = File::from(master);
        let (sender, chunks) = channel();
        let mut reading = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            master,
            slave,
            child,
            chunks,
            shown: String::new(),
            seen: 0,
        }
    }

    /// The process on the terminal.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `text` appears (after what was awaited before).
    #[track_caller]
    pub fn await_text(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.chunks.recv_timeout(left) {
                Ok(chunk) => self.shown.push_str(&String::from_utf8_lossy(&chunk)),
                Err(_) => panic!("`{text}` did not appear; shown: {}", self.shown),
            }
        }
    }

    /// Waits for a question, and for the echo to go off, then types the answer.
    #[track_caller]
    pub fn answer(&mut self, question: &str, answer: &str) {
        self.await_text(question);
        let begun = Instant::now();
        while self.echoes() {
            assert!(
                begun.elapsed() < PATIENCE,
                "the echo stays on at `{question}`"
            );
            std::thread::yield_now();
        }
        self.type_line(answer);
    }

    /// Types a line.
    pub fn type_line(&mut self, text: &str) {
        self.master
            .write_all(format!("{text}\n").as_bytes())
            .unwrap();
    }

    /// Presses a key.
    pub fn press(&mut self, key: u8) {
        self.master.write_all(&[key]).unwrap();
    }

    /// Whether the terminal shows what is typed.
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.slave)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    /// Waits for the end; gives the exit code and all that was shown.
    pub fn end(self) -> (Option<i32>, String) {
        let (code, shown, _) = self.end_and_echo();
        (code, shown)
    }

    /// The same, and whether the terminal echoes again.
    pub fn end_and_echo(mut self) -> (Option<i32>, String, bool) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end; shown: {}", self.shown);
            }
            if let Ok(chunk) = self.chunks.recv_timeout(Duration::from_millis(10)) {
                self.shown.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        let echoes = self.echoes();
        // What it wrote last is in the terminal's buffer still: a mark of our own comes after it.
        (&self.slave).write_all(b"\n~end~\n").unwrap();
        while !self.shown.contains("~end~") {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => self.shown.push_str(&String::from_utf8_lossy(&chunk)),
                Err(_) => break,
            }
        }
        let shown = self
            .shown
            .split("\r\n~end~")
            .next()
            .unwrap_or_default()
            .to_owned();
        (status.code(), shown, echoes)
    }
}

/// Opening a terminal must not make it the test's own.
trait NoControllingTerminal {
    fn custom_flags_noctty(&mut self) -> &mut Self;
}

impl NoControllingTerminal for std::fs::OpenOptions {
    fn custom_flags_noctty(&mut self) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt;
        self.custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
    }
}
