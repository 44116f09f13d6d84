//! What the operating system is told about this process.
//!
//! In: nothing. Out: no core dumps, no debugger by the same user, and an interrupt that leaves nothing
//! half done. It refuses to know what the process works on.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::disk;

/// What asks a process to end.
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Held by work that an interrupt may not cut short.
static UNDISTURBED: Mutex<()> = Mutex::new(());

/// While this is held an interrupt waits, see [`undisturbed`].
#[must_use]
pub struct Undisturbed {
    _held: MutexGuard<'static, ()>,
}

/// While this is held an interrupt waits. Who holds it asks [`interrupted`] between steps, and takes back what it did.
pub fn undisturbed() -> Undisturbed {
    let held = wait_for_work();
    // Without this, a step that writes would wait for the thread that waits for it.
    disk::UNDISTURBED.store(true, Ordering::SeqCst);
    Undisturbed { _held: held }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        disk::UNDISTURBED.store(false, Ordering::SeqCst);
    }
}

fn wait_for_work() -> MutexGuard<'static, ()> {
    UNDISTURBED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether somebody asked this process to end.
pub fn interrupted() -> bool {
    disk::caught().is_some()
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

/// From here on SIGINT, SIGTERM and SIGHUP end the process with 128 plus the signal's number: where it stands while nothing is
/// begun, else where it next looks, or as [`watch_for_interrupts`] has it. A thread for it would cost a single certificate a
/// tenth of its time.
pub fn end_on_interrupt() {
    for signal in ENDING {
        // The order counts: what ends here is not noted.
        let _ = flag::register_conditional_shutdown(signal, 128 + signal, &disk::MAY_END);
        if let Ok(number) = usize::try_from(signal) {
            let _ = flag::register_usize(signal, &disk::CAUGHT, number);
        }
    }
}

/// Before a question, a plugin or long work: a thread that on an interrupt takes away what is unfinished, gives the terminal
/// its echo back and ends the process, whatever the others are at. What is committed stays and is finished by the next
/// command.
pub fn watch_for_interrupts() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let terminal = tcgetattr(rustix::stdio::stdin()).ok();
        let Ok(mut signals) = Signals::new(ENDING) else {
            return;
        };
        disk::watched(true);
        let watch = std::thread::Builder::new().spawn(move || {
            // One that came before this thread did is noted only.
            let signal = disk::caught().or_else(|| signals.forever().next());
            if let Some(signal) = signal {
                let _waited = wait_for_work();
                disk::remove_unfinished();
                if let Some(settings) = &terminal {
                    let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, settings);
                }
                end(signal);
            }
        });
        if watch.is_err() {
            disk::watched(false);
        }
    });
}

/// Where the work was given up for an interrupt: says so, and ends.
pub fn end_if_interrupted() {
    let Some(signal) = disk::caught() else {
        return;
    };
    while disk::is_watched() {
        // The thread that watches ends the process.
        std::thread::park();
    }
    end(signal);
}

fn end(signal: i32) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(b"\nrelayca: error: interrupted\n");
    #[allow(
        clippy::exit,
        reason = "the thread that was interrupted cannot be asked to return"
    )]
    std::process::exit(128 + signal);
}
