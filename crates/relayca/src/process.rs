//! What the operating system is told about this process.
//!
//! In: nothing. Out: no core dumps, no debugger by the same user, and an interrupt that leaves nothing
//! half done. It refuses to know what the process works on.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::disk;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether an interrupt is ending this process. What fails from then on fails because its files are
/// being taken away, and is not worth a word.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Keys and passphrases are in this process's memory: no core file may hold them.
pub fn keep_secrets_in_memory() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Where the system refuses, a dump is what the administrator wants.
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// On SIGINT, SIGTERM and SIGHUP: takes away what is unfinished, gives the terminal its echo back, and
/// ends with 128 plus the signal's number. What is committed stays and is finished by the next command.
pub fn tidy_up_on_interrupt() {
    let terminal = tcgetattr(rustix::stdio::stdin()).ok();
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else {
        return;
    };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            disk::remove_unfinished();
            if let Some(settings) = &terminal {
                let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, settings);
            }
            use std::io::Write;
            let _ = std::io::stderr().write_all(b"\nrelayca: error: interrupted\n");
            #[allow(
                clippy::exit,
                reason = "the thread that was interrupted cannot be asked to return"
            )]
            std::process::exit(128 + signal);
        }
    });
}
